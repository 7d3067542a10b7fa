"""Gunicorn for the farm: ``gunicorn taskfarm_site.wsgi -c deploy/gunicorn.conf.py``.

Two processes per core keep the cores busy while one waits for the database. Each answers one
request at a time: a request is a millisecond of Python, so more threads only switch. The worker is
the threaded one all the same, for it keeps connections open: at 16 clients of the published client
it answered about 1.4 times as many requests as the sync worker, which hangs up after each
(``benchmarks/gunicorn_shapes.py``).
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

bind = os.environ.get("TASKFARM_BIND") or "127.0.0.1:5000"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2 * (os.cpu_count() or 1))
worker_class = "gthread"
threads = 1
keepalive = 30
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
    """Start PostgreSQL before the workers, which inherit this process's handle on it.

    So it is this process that stops it. The end of a worker is no good place for that: after
    Ctrl-C the next signal cuts it short.
    """
    if directory := postgresql():
        from taskfarm_site.pgserver import base

        base.handle(directory)


def post_fork(server: Any, worker: Any) -> None:
    """Leave PostgreSQL to the process that this worker comes from."""
    if directory := postgresql():
        from taskfarm_site.pgserver import base

        base.leave_to_parent(directory)


def on_exit(server: Any) -> None:
    """Have PostgreSQL stopped with this process."""
    if directory := postgresql():
        from taskfarm_site.pgserver import base

        base.let_go(directory)
