"""What came of a run, in files that other tools read: a timeline, and PyTaskFarmer's lists."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from .._answers import Json
from .._run import Run
from .templates import Template

Row = dict[str, Json]
Names = Callable[[int], str]
"""Tells the command of a task."""

LISTS = {"toprocess": ("waiting", "computing"), "finished": ("done",), "failed": ("failed",)}
"""PyTaskFarmer's files, and the states of the tasks in them."""


def names_of(tasks: list[Json], template: str) -> Names:
    """Make a function that names tasks.

    Args:
        tasks: the inputs of the run, as far as they are known here.
        template: the run's.

    Returns:
        a function from the number of a task to its command, or to its number in words.
    """
    filled = Template(template) if template else None

    def name(number: int) -> str:
        given = tasks[number] if number < len(tasks) else None
        if filled is not None and (given is not None or set(filled.names) <= {"task"}):
            return filled.fill(number, given)
        if isinstance(given, dict):
            given = given.get("command")
        return given if isinstance(given, str) else f"task {number}"

    return name


def timeline(attempts: Iterable[Row], name: Names) -> Iterator[Row]:
    """Make events of attempts, in the format that Perfetto and chrome://tracing read.

    A host is a process there, each place of a farmer a thread.

    Args:
        attempts: the ended attempts of a run.
        name: names a task.

    Yields:
        event after event.
    """
    lanes: dict[tuple[str, str], int] = {}
    hosts: dict[str, int] = {}
    for row, lane in _placed(attempts):
        host = row["host"] or "unknown host"
        if host not in hosts:
            hosts[host] = len(hosts) + 1
            yield _label("process_name", hosts[host], 0, host)
        if (host, lane) not in lanes:
            lanes[host, lane] = len(lanes) + 1
            yield _label("thread_name", hosts[host], lanes[host, lane], lane)
        began, seconds = _times(row)
        told = {"task": row["task"], "attempt": row["attempt"], "exitCode": row["exitCode"]}
        output = row["output"] if isinstance(row["output"], dict) else {}
        told.update({key: output[key] for key in ("cpu", "memory") if key in output})
        yield {
            "name": name(row["task"]), "cat": row["outcome"], "ph": "X", "ts": began * 1e6,
            "dur": seconds * 1e6, "pid": hosts[host], "tid": lanes[host, lane], "args": told,
        }  # fmt: skip


def _label(kind: str, pid: int, tid: int, name: str) -> Row:
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def _placed(attempts: Iterable[Row]) -> Iterator[tuple[Row, str]]:
    """Each attempt with its lane: where it ran, or the first one that was free."""
    others = []
    for row in attempts:
        output = row["output"]
        if isinstance(output, dict) and "slot" in output and "pid" in output:
            yield row, f"farmer {output['pid']}, place {output['slot']}"
        else:
            others.append(row)
    others.sort(key=lambda row: _times(row)[0])
    busy: dict[str, list[tuple[float, int]]] = {}
    for row in others:
        began, seconds = _times(row)
        lanes = busy.setdefault(row["host"] or "", [])
        free = heapq.heappop(lanes)[1] if lanes and lanes[0][0] <= began else len(lanes) + 1
        heapq.heappush(lanes, (began + seconds, free))
        yield row, f"place {free}"


def times_of(run: Run) -> Iterator[float]:
    """Go through the times of the attempts that succeeded, also of tasks that wait again.

    Args:
        run: the run.

    Yields:
        seconds per attempt.
    """
    for row in run.attempts():
        if row["outcome"] == "done":
            yield _times(row)[1]


def _times(row: Row) -> tuple[float, float]:
    """When an attempt began and how long it took: as the farmer measured it, else the server."""
    output = row["output"]
    if isinstance(output, dict) and {"began", "seconds"} <= output.keys():
        return float(output["began"]), float(output["seconds"])
    ended = datetime.fromisoformat(row["ended"]).timestamp()
    started = datetime.fromisoformat(row["started"]).timestamp() if row["started"] else ended
    return started, max(0.0, ended - started)


def write_files(run: Run, folder: Path, name: Names) -> dict[str, int]:
    """Write `toprocess`, `finished`, `failed` and `timeline.json` as PyTaskFarmer has them.

    Args:
        run: the run.
        folder: where to.
        name: names a task.

    Returns:
        how many lines or events each file has.
    """
    counts = dict.fromkeys([*LISTS, "timeline.json"], 0)
    of_state = {state: file for file, states in LISTS.items() for state in states}
    parts = {file: folder / f".{file}.{os.getpid()}" for file in counts}
    opened = {file: part.open("w", encoding="utf-8") for file, part in parts.items()}
    try:
        for row in run.tasks():
            file = of_state.get(row["status"])
            if file is not None:
                opened[file].write(f"{row['task']} {' '.join(name(row['task']).split())}\n")
                counts[file] += 1
        counts["timeline.json"] = write_events(opened["timeline.json"].write, run, name)
    finally:
        for one in opened.values():
            one.close()
    for file, part in parts.items():
        part.replace(folder / file)
    return counts


def write_events(write: Callable[[str], object], run: Run, name: Names) -> int:
    """Write the timeline of a run as a JSON array, an event per line.

    Args:
        write: takes text.
        run: the run.
        name: names a task.

    Returns:
        how many events there are.
    """
    count = 0
    write("[")
    for event in timeline(run.attempts(), name):
        write((",\n" if count else "\n") + json.dumps(event))
        count += 1
    write("\n]\n")
    return count
