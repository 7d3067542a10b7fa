"""An append finds its key among the last appends, however many other events came since."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0004_storage_of_events_and_inputs")]
    operations = [
        migrations.AddIndex(
            model_name="runevent",
            index=models.Index(fields=["run", "what", "id"], name="event_by_kind"),
        )
    ]
