"""The work: which files there are."""

import sysconfig
from pathlib import Path

ELSEWHERE = {"site-packages", "dist-packages", "__pycache__"}
"""What lies below the standard library's folder without being part of it."""


def library() -> Path:
    """The folder of this machine's standard library."""
    return Path(sysconfig.get_path("stdlib")).resolve()


def sources(limit: int | None = None) -> list[Path]:
    """The source files of the standard library, sorted; with a limit, as many, evenly spread."""
    root = library()
    found = sorted(
        path
        for path in root.rglob("*.py")
        if path.is_file() and not ELSEWHERE.intersection(path.relative_to(root).parts)
    )
    if limit is None or limit >= len(found):
        return found
    return [found[index * len(found) // limit] for index in range(limit)]
