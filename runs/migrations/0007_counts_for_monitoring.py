"""What monitoring reads is kept as it happens: attempts by their outcome, sweeps, lost workers."""

from typing import Any

from django.db import migrations, models

OUTCOMES = ("done", "failed", "lost", "timeout", "released", "cancelled")
"""In the order of their numbers, from 1."""

# Into a slot that no writer has, so that it can be done again after it was taken back.
BACKFILL = f"""
INSERT INTO runs_tally (
    run_id, slot, waiting, computing, done, failed, cancelled, settled_percent, stale, updated,
    {", ".join(f"ended_{one}" for one in OUTCOMES)}
)
SELECT run_id, 0, 0, 0, 0, 0, 0, 0, 0, MAX(ended),
    {", ".join(f"COUNT(CASE WHEN outcome = {n} THEN 1 END)" for n in range(1, 7))}
FROM runs_attempt WHERE run_id IN (SELECT id FROM runs_run) GROUP BY run_id
ON CONFLICT (run_id, slot) DO UPDATE SET
    {", ".join(f"ended_{one} = excluded.ended_{one}" for one in OUTCOMES)}
"""


def count_attempts(apps: Any, schema_editor: Any) -> None:
    """Count the attempts that have ended so far: one walk over them."""
    schema_editor.execute(BACKFILL)


class Migration(migrations.Migration):
    dependencies = [("runs", "0006_task_id")]
    operations = [
        migrations.AddField(
            model_name="sweeplock",
            name="ended",
            field=models.DateTimeField(help_text="When the last sweep was over.", null=True),
        ),
        migrations.AddField(
            model_name="sweeplock",
            name="sweeps",
            field=models.BigIntegerField(db_default=0, default=0, help_text="How many there were."),
        ),
        migrations.AddField(
            model_name="sweeplock",
            name="seconds",
            field=models.FloatField(db_default=0, default=0, help_text="What they took in all."),
        ),
        migrations.AddField(
            model_name="sweeplock",
            name="lost_workers",
            field=models.BigIntegerField(db_default=0, default=0, help_text="Given up as lost."),
        ),
        *(
            migrations.AddField(
                model_name="tally",
                name=f"ended_{one}",
                field=models.BigIntegerField(
                    db_default=0, default=0, help_text=f"Attempts ended: {one}."
                ),
            )
            for one in OUTCOMES
        ),
        migrations.AlterField(
            model_name="tally",
            name="stale",
            field=models.BigIntegerField(
                default=0, help_text="Reports refused: they came too late."
            ),
        ),
        migrations.RunPython(count_attempts, migrations.RunPython.noop),
    ]
