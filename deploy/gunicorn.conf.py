"""Gunicorn for the farm: ``gunicorn taskfarm_site.wsgi -c deploy/gunicorn.conf.py``.

Two processes per core keep the cores busy while one waits for the database. Each answers one
request at a time: a request is a millisecond of Python, so more threads only switch. The worker is
the threaded one all the same, for it keeps connections open: at 16 clients of the published client
it answered about 1.4 times as many requests as the sync worker, which hangs up after each
(``benchmarks/gunicorn_shapes.py``).
"""

import os

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
errorlog = "-"
loglevel = (os.environ.get("TASKFARM_LOG_LEVEL") or "warning").lower()
