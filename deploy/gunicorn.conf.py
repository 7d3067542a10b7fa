"""Gunicorn for the farm: ``gunicorn taskfarm_site.wsgi -c deploy/gunicorn.conf.py``.

A process per core, each with four threads: of the shapes in ``benchmarks/gunicorn_shapes.py`` the
one that answers most requests. The threads wait for the database, and for slow connections: with a
single one somebody who reads his results slowly would keep all others of that process waiting. The
threaded worker keeps connections open, too; the sync one hangs up after each request.
"""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

bind = os.environ.get("TASKFARM_BIND") or "127.0.0.1:5000"
workers = int(os.environ.get("WEB_CONCURRENCY") or max(2, os.cpu_count() or 1))
worker_class = "gthread"
threads = 4
keepalive = 30
# A selection of many numbers stands in the address; this is as long as gunicorn takes one.
limit_request_line = 8190
# A restart or a deletion of ten million tasks is one long request.
timeout = 600
graceful_timeout = 30
# Clients that come all at once (a batch system starting a thousand workers) wait here.
backlog = 4096
# Heartbeats of gunicorn's own workers go to memory, never to a slow disk.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
accesslog = os.environ.get("TASKFARM_ACCESS_LOG") or None
# gunicorn's own format without the user: a token may be sent as one.
access_log_format = '%(h)s %(t)s "%(r)s" %(s)s %(b)s %(L)s "%(a)s"'
errorlog = "-"
loglevel = (os.environ.get("TASKFARM_LOG_LEVEL") or "warning").lower()


def postgresql() -> Path | None:
    """The directory of the PostgreSQL from PyPI, if that is the database."""
    url = urlsplit(os.environ.get("DATABASE_URL") or "")
    return Path(unquote(url.path)) if url.scheme == "pgserver" and url.path.strip("/") else None


def on_starting(server: Any) -> None:
    """Make ready what all workers share."""
    share_measurements()
    start_postgresql()


def share_measurements() -> None:
    """Make the folder in whose files the workers count for ``/metrics``.

    Whichever of them is asked adds all up, those that have ended included: so it goes with this
    process only.
    """
    folder = tempfile.mkdtemp(prefix="taskfarm-metrics-", dir=worker_tmp_dir)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder


def start_postgresql() -> None:
    """Start PostgreSQL before the workers, which inherit this process's handle on it.

    So it is this process that stops it. The end of a worker is no good place for that: after
    Ctrl-C the next signal cuts it short.
    """
    directory = postgresql()
    if directory is None:
        return
    # Ctrl-C has to wait: a start that is cut short leaves a server without anybody to stop it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        from taskfarm_site.pgserver import base

        base.handle(directory)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    except KeyboardInterrupt:
        sys.exit(130)


def when_ready(server: Any) -> None:
    """Say where, as soon as it is true."""
    where = ", ".join(f"{listener}/" for listener in server.LISTENERS)
    print(f"Serving on {where}" + " until Ctrl-C" * sys.stdin.isatty(), flush=True)


def post_fork(server: Any, worker: Any) -> None:
    """Leave Ctrl-C, and PostgreSQL, to the process that this worker comes from.

    A terminal sends SIGINT to all processes, and that one then sends its workers SIGQUIT. Each of
    the two closes a worker's pool of threads, under a lock: the second, amid the first, would wait
    for it for ever.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if directory := postgresql():
        from taskfarm_site.pgserver import base

        base.leave_to_parent(directory)


def on_exit(server: Any) -> None:
    """Have PostgreSQL stopped with this process, and drop what the workers counted."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
    if directory := postgresql():
        from taskfarm_site.pgserver import base

        base.let_go(directory)
