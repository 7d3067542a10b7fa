"""A run may be a grid: its map has rows of so many tasks."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """A column of the table of runs."""

    dependencies = [("runs", "0008_last_sweep")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="columns",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="The tasks are a grid of so many columns, as on the map.",
                null=True,
            ),
        ),
    ]
