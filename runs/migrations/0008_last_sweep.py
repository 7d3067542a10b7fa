"""What the last sweep took: health tells of slow ones."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """A column of the table that has one row."""

    dependencies = [("runs", "0007_counts_for_monitoring")]

    operations = [
        migrations.AddField(
            model_name="sweeplock",
            name="last_seconds",
            field=models.FloatField(help_text="What the last one took.", null=True),
        ),
    ]
