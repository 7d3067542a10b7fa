"""What else runs lists of commands: HyperQueue, GNU parallel, PyTaskFarmer, and a bare loop.

Each runs one command so many times, so many at a time, and answers a `Pass`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .environments import command_peers_python
from .paths import DRIVERS
from .scratch import scratch
from .web import Command

UNSHARED = ("unshare", "--map-root-user", "--net")
"""Words before a command that give it a network of its own, in which there is only loopback."""


@dataclass(frozen=True)
class Pass:
    """Seconds for a list of commands.

    `work` goes from the first command's start to the last one's end (where only starts are known,
    to its start), `whole` from the call that makes it work to its end.
    """

    work: float
    whole: float


def versions() -> str:
    """What was compared with, in words."""
    code = (
        "from importlib.metadata import version as v; "
        "print('HyperQueue', v('hyperqueue') + ', PyTaskFarmer', v('PyTaskFarmer'))"
    )
    told = Command([str(command_peers_python()), "-c", code], DRIVERS).run().strip()
    return told if parallel_there() else f"{told}, {parallel_version()}"


def bare_loop(words: list[str], count: int, places: int) -> Pass:
    """posix_spawn and wait, in Python."""
    driver = [sys.executable, str(DRIVERS / "bare_spawn.py")]
    options = ["--count", str(count), "--places", str(places), "--", *words]
    seconds = json.loads(Command([*driver, *options], DRIVERS).run())["seconds"]
    return Pass(seconds, seconds)


def parallel_there() -> str | None:
    """Why there is no GNU parallel, if there is none."""
    program = shutil.which("parallel")
    if program is None:
        return "GNU parallel is not installed (Debian: apt-get install parallel)."
    return None if "GNU parallel" in parallel_version() else f"{program} is not GNU parallel."


@cache
def parallel_version() -> str:
    """Its name and version."""
    done = subprocess.run(["parallel", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0]


def parallel(words: list[str], count: int, places: int) -> Pass:
    """GNU parallel with a joblog, which keeps exit codes; all output goes to one file."""
    with scratch() as name:
        folder = Path(name)
        (folder / "list").write_text(_lines(words, count))
        command = ["parallel", f"-j{places}", "--joblog", str(folder / "joblog")]
        # Its own settings and its notes on citing stay out of somebody's home folder.
        own = {"HOME": name, "PARALLEL_HOME": name, "PARALLEL": "", "TMPDIR": name}
        environment = {**os.environ, **own}
        start = time.perf_counter()
        with (folder / "list").open() as given, (folder / "output").open("w") as output:
            subprocess.run(command, stdin=given, stdout=output, env=environment, check=True)
        whole = time.perf_counter() - start
        rows = [line.split("\t") for line in (folder / "joblog").read_text().splitlines()[1:]]
    if len(rows) != count or any(row[6] != "0" for row in rows):
        raise RuntimeError(f"GNU parallel was to do {count} commands, its log has {len(rows)}")
    starts = [float(row[2]) for row in rows]
    ends = [float(row[2]) + float(row[3]) for row in rows]
    return Pass(max(ends) - min(starts), whole)


def hyperqueue_there() -> str | None:
    """Why HyperQueue cannot be run, if it cannot."""
    if shutil.which(UNSHARED[0]) is None:
        return "HyperQueue listens on all addresses, and there is no unshare to keep it in."
    done = subprocess.run([*UNSHARED, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"HyperQueue listens on all addresses: {done.stderr.strip()}."
    return None


def hyperqueue(words: list[str], count: int, places: int) -> Pass:
    """HyperQueue's own cluster in one process, each task with its two log files.

    It waits by looking every second; its log files, made when a task starts, tell the work's time.
    """
    with scratch() as name:
        driver = [*UNSHARED, str(command_peers_python()), str(DRIVERS / "hyperqueue_jobs.py")]
        options = ["--count", count, "--places", places, "--folder", name, "--", *words]
        command = Command([*driver, *map(str, options)], DRIVERS, {"HOME": name})
        told = json.loads(command.run())
        work = _between(Path(name), "*.stdout", count)
    if not told["good"]:
        raise RuntimeError("commands of HyperQueue have failed")
    return Pass(work, told["whole"])


def pytaskfarmer(words: list[str], count: int, places: int) -> Pass:
    """PyTaskFarmer as it comes, each task with its log file."""
    with scratch() as name:
        Path(name, "list").write_text(_lines(words, count))
        script = command_peers_python().with_name("pytaskfarmer.py")
        command = Command([str(script), "--proc", str(places), "list"], Path(name))
        start = time.perf_counter()
        command.run()
        whole = time.perf_counter() - start
        work = _between(Path(name, "list_workdir"), "**/log_*", count)
    return Pass(work, whole)


def _lines(words: list[str], count: int) -> str:
    return f"{' '.join(words)}\n" * count


def _between(folder: Path, pattern: str, count: int) -> float:
    """Seconds from the first log file to the last; commands that print nothing touch them once."""
    times = [file.stat().st_mtime for file in folder.glob(pattern)]
    if len(times) != count:
        raise RuntimeError(f"{count} commands were to be done, there are {len(times)} logs")
    return max(times) - min(times)
