"""The window of a run lies in years that can be read back, in whatever time zone."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import migrations, models
from django.db.models import Q

EARLIEST, LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
FIELDS = ("start_after", "expire_at")


def readable(name: str) -> Q:
    return Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": EARLIEST, f"{name}__lt": LATEST})


def bring_near(apps: Any, schema_editor: Any) -> None:
    """Put what lies beyond to the nearest moment within, which says the same: ever, or never.

    The database compares, for Python could not read what it finds.
    """
    runs = apps.get_model("runs", "Run").objects.using(schema_editor.connection.alias)
    for name in FIELDS:
        runs.filter(**{f"{name}__lt": EARLIEST}).update(**{name: EARLIEST})
        runs.filter(**{f"{name}__gte": LATEST}).update(**{name: LATEST - timedelta(seconds=1)})
    if schema_editor.connection.vendor == "postgresql":
        # A row that is updated twice has its owner looked up at the end of the transaction: do so
        # now, for until then the table cannot be altered.
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")


class Migration(migrations.Migration):
    dependencies = [("runs", "0009_columns")]
    operations = [
        migrations.RunPython(bring_near, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.CheckConstraint(
                name="run_window", condition=readable("start_after") & readable("expire_at")
            ),
        ),
    ]
