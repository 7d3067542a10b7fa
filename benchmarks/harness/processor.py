"""Processor time: what a request costs does not depend on who else uses the machine."""

from __future__ import annotations

import resource

import psutil


def tree_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, those it has reaped included."""
    total = 0.0
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        try:
            spent = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system + spent.children_user + spent.children_system
    return total


def ended_children_seconds() -> float:
    """The same of all children of this process that have ended: the clients."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def busy_seconds() -> float:
    """What all cores of the machine have worked, for whomever."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)
