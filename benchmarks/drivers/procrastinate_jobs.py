"""Drives procrastinate; runs in its environment.

    schema   make its tables.
    fill     defer so many jobs that do nothing.
    work     so many worker processes, each of so many jobs at once, empty the queue.

Prints one JSON object. Needs nothing but procrastinate and the standard library.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
from importlib.metadata import version

import procrastinate

BATCH = 1000
QUEUE = "bench"


def application(url: str, connections: int) -> tuple[procrastinate.App, procrastinate.tasks.Task]:
    """An application with one task that does nothing."""
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=connections)
    app = procrastinate.App(connector=connector)

    @app.task(name="nothing", queue=QUEUE)
    async def nothing() -> None:
        pass

    return app, nothing


async def schema(options: argparse.Namespace) -> None:
    """Make the tables."""
    app, _ = application(options.url, 2)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def fill(options: argparse.Namespace) -> None:
    """Defer the jobs, in batches."""
    app, nothing = application(options.url, 2)
    async with app.open_async():
        for first in range(0, options.jobs, BATCH):
            jobs: list[dict[str, object]] = [{}] * min(BATCH, options.jobs - first)
            await nothing.batch_defer_async(*jobs)


async def work(options: argparse.Namespace) -> None:
    """One worker process, until the queue is empty. All that is not named is as by default."""
    app, _ = application(options.url, options.concurrency + 4)
    async with app.open_async():
        await app.run_worker_async(
            queues=[QUEUE],
            concurrency=options.concurrency,
            wait=False,
            install_signal_handlers=False,
        )


def work_here(options: argparse.Namespace) -> None:
    """The life of a worker process."""
    asyncio.run(work(options))


def work_in_processes(options: argparse.Namespace) -> None:
    """All worker processes."""
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=work_here, args=(options,)) for _ in range(options.processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("a worker of procrastinate failed")


def main() -> None:
    """Read the options, do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("schema", "fill", "work"))
    parser.add_argument("--url", required=True)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=1)
    options = parser.parse_args()
    if options.what == "work":
        work_in_processes(options)
    else:
        asyncio.run({"schema": schema, "fill": fill}[options.what](options))
    print(json.dumps({"version": version("procrastinate")}))


if __name__ == "__main__":
    main()
