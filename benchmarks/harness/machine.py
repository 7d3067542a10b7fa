"""The machine a result was measured on, in the few facts that decide the numbers."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from .postgres import Postgres

PACKAGES = ("Django", "djangorestframework", "gunicorn", "psycopg2-binary", "psycopg")


def describe(postgres: Postgres) -> dict[str, str]:
    """Facts by name, in the order in which they are printed."""
    settings = postgres.settings()
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{round(psutil.virtual_memory().total / 2**30)} GB",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "disk": f"{_filesystem(postgres.data_dir)}, "
        f"{postgres.commits_per_second():.0f} durable commits/s from one session",
        "Python": platform.python_version(),
        "packages": _packages(),
        "PostgreSQL": settings.pop("server_version"),
        "PostgreSQL settings": ", ".join(f"{name}={value}" for name, value in settings.items()),
    }


def caption(machine: dict[str, str]) -> str:
    """One line for a figure."""
    parts = (machine["processor"], machine["memory"], machine["disk"])
    return "; ".join(parts) + f"; PostgreSQL {machine['PostgreSQL']}, Python {machine['Python']}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _filesystem(path: Path) -> str:
    """The kind of file system that holds the path: on a RAM disk durable commits cost nothing."""
    mounts = [
        part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)
    ]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"


def _packages() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
