"""careful_run.py: create a run with a policy for flaky disks and unreliable nodes."""

from datetime import datetime, timedelta

from taskfarm_worker import connect

run = connect().create_run(
    10_000,
    name="tiles of 2026",
    namespace="cryosat",
    error_attempts=3,  # an error may happen twice,
    backoff=30,  # after which the task waits 30 s, then a minute,
    lost_attempts=5,  # a worker may be lost four times,
    timeout_attempts=2,  # and once a task may take longer
    task_timeout=timedelta(hours=2),  # than this
    canary_tasks=20,  # first only 20 tasks,
    canary_percent=90,  # 18 of which must succeed
    fail_percent=5,  # one in twenty failed: something is wrong, hold the rest
    expire_at=datetime.fromisoformat("2040-12-31T18:00:00+01:00"),
    priority=10,
)
print(run.uuid)
