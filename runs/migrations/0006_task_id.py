"""The id of a task is its run and its number in one, so that the index of run and number goes."""

from typing import Any

from django.db import migrations, models
from django.db.models import F, Q

NAME = "UPDATE runs_task SET id = run_id * 4294967296 + number"


def name_by_number(apps: Any, schema_editor: Any) -> None:
    """Give every task its new id. Old ones are smaller than any new one, so none is taken."""
    schema_editor.execute(NAME)


class Migration(migrations.Migration):
    dependencies = [("runs", "0005_event_by_kind")]
    operations = [
        migrations.AlterField(
            model_name="task",
            name="id",
            field=models.BigIntegerField(editable=False, primary_key=True, serialize=False),
        ),
        # Back again nothing need be done: the ids stay good as they are.
        migrations.RunPython(name_by_number, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name="task", name="task_number"),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(
                name="task_number",
                condition=Q(id=F("run_id") * 4294967296 + F("number")),
            ),
        ),
    ]
