"""Measure Python's standard library with a farm: ``python -m examples.stdlib_farm``.

Starts a server with an empty database, creates a run with one task per source file, lets worker
processes take the tasks, shows how far they are, and merges what they found. ``DATABASE_URL`` picks
another database, ``pgserver:///some/folder`` for one.
"""

import argparse
import fcntl
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from taskfarm_worker import Run, TaskFarmError, connect

from examples.stdlib_farm import server, sources, tables
from examples.stdlib_farm.processes import Processes, end_orderly_on_signals
from examples.stdlib_farm.progress import Progress

ROUNDS = 3
"""How often workers are started again for tasks that dead workers left behind."""


def main() -> int:
    """Run the demonstration; 130 when Ctrl-C cut it short."""
    options = parse()
    end_orderly_on_signals()
    try:
        return demonstrate(options)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except (server.ServerFailed, TaskFarmError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(prog="python -m examples.stdlib_farm", description=__doc__)
    parser.add_argument("--workers", type=int, default=4, help="worker processes (4)")
    parser.add_argument("--limit", type=int, help="measure only so many files")
    parser.add_argument("--port", type=int, help="serve on this one (5000, or any that is free)")
    parser.add_argument("--keep", type=int, choices=(0, 1), default=1, help="serve on at the end")
    parser.add_argument("--folder", type=Path, default=server.ROOT / "var" / "demo")
    options = parser.parse_args()
    if options.workers < 1 or (options.limit is not None and options.limit < 1):
        parser.error("--workers and --limit must be at least 1")
    return options


def demonstrate(options: argparse.Namespace) -> int:
    """Everything from the empty database to the tables."""
    folder = options.folder.resolve()
    own = folder.with_suffix(".sqlite3")
    database_url = os.environ.get("DATABASE_URL") or f"sqlite:///{own}"
    access = server.choose_access("DATABASE_URL" not in os.environ, options.port)
    with fresh(folder), Processes() as processes:
        if database_url == f"sqlite:///{own}":
            remove(own)
        variables = server.environment(database_url, access)
        server.prepare(variables, access)
        gunicorn = server.start(processes, variables, access, folder / "server.log")
        say(f"Dashboard: {access.url}   user: {access.user}   password: {access.password}")
        counts = farm_out(processes, variables, access, options, folder)
        say("", tables.report(tables.read_results(folder), sources.library()))
        if options.keep:
            login = f"{access.user}, {access.password}"
            say(f"\nThe dashboard stays at {access.url} until Ctrl-C ({login})")
            say("Now yours: paste this into a second terminal.", *now_yours(access))
            serve_on(gunicorn)
    return 0 if counts["numDone"] + counts["numFailed"] == counts["numTasks"] else 1


def now_yours(access: server.Access) -> list[str]:
    """What a user can paste to run a file of commands on this farm."""
    path = f'{shlex.quote(str(Path(sys.executable).parent))}:"$PATH"'
    return [
        f"  export PATH={path}; "
        f"echo {access.password} | taskfarm login {access.url} --user {access.user}",
        "  printf 'sleep %s\\n' 1 2 3 2 1 > mywork.tasks; taskfarm run mywork.tasks --proc 8",
    ]


def say(*lines: str) -> None:
    """Print at once, in a pipe too."""
    print(*lines, sep="\n", flush=True)


def fresh(folder: Path) -> TextIO:
    """Empty the folder; what is returned locks it for as long as it is open."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise server.ServerFailed(f"Another demonstration runs in {folder}.") from None
    for old in (*folder.glob("worker-*.jsonl"), *folder.glob("*.log")):
        old.unlink(missing_ok=True)
    return lock


def remove(database: Path) -> None:
    """Delete an SQLite database with its journal."""
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def farm_out(
    processes: Processes,
    variables: dict[str, str],
    access: server.Access,
    options: argparse.Namespace,
    folder: Path,
) -> dict[str, Any]:
    """Create the run, let workers do it, and answer the farm's counts at the end."""
    files = sources.sources(options.limit)
    run = connect(access.api, access.user, access.password).create_run(
        inputs=[str(file) for file in files], name="Python standard library", namespace="demo",
        description=f"One task per source file below {sources.library()}",
    )  # fmt: skip
    say(f"Run {run.uuid}: {len(files)} files, {options.workers} workers")
    progress = Progress(len(files))
    for turn in range(ROUNDS):
        if turn:  # all workers died; what one of several leaves behind, the others take over
            say("\nA worker ended early: what it left behind is restarted.")
            run.restart(states=["computing"])
        workers = start_workers(processes, variables, run.uuid, options.workers, folder)
        counts = watch(run, workers, progress)
        if not counts["numWaiting"] and not counts["numComputing"]:
            break
    progress.close(counts)
    return {**counts, "numTasks": len(files)}


def start_workers(
    processes: Processes, variables: dict[str, str], run: str, count: int, folder: Path
) -> list[subprocess.Popen[bytes]]:
    """Start the worker processes, as batch jobs would be."""
    command = [sys.executable, "-m", "examples.stdlib_farm.worker", run, str(folder)]
    log = folder / "workers.log"
    return [processes.start(command, variables, log) for _ in range(count)]


def watch(run: Run, workers: list[subprocess.Popen[bytes]], progress: Progress) -> dict[str, Any]:
    """Show the farm's counts until all workers have ended; answers the last ones."""
    while any(worker.poll() is None for worker in workers):
        progress.show(run.info())
        time.sleep(0.2)
    return run.info()


def serve_on(gunicorn: subprocess.Popen[bytes]) -> None:
    """Wait for Ctrl-C, which is the expected end here."""
    try:
        gunicorn.wait()
    except KeyboardInterrupt:
        return
    raise server.ServerFailed("The server ended by itself.")


if __name__ == "__main__":
    sys.exit(main())
