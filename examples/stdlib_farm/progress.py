"""A progress bar of the farm's own counts: drawn on a terminal, one line at the end in a pipe."""

import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO


class Progress:
    """Shows how far the run is."""

    def __init__(self, total: int, stream: TextIO = sys.stdout) -> None:
        self.total = total
        self.stream = stream
        self.started = time.monotonic()
        self.live = stream.isatty()
        encoding = (stream.encoding or "").lower()
        self.full, self.empty = ("█", "░") if encoding.startswith("utf") else ("#", "-")

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    def show(self, counts: Mapping[str, Any]) -> None:
        """Draw the bar over the one before; in a pipe, nothing."""
        if not self.live:
            return
        ended = counts["numDone"] + counts["numFailed"]
        text = self.text(counts, ended)
        room = shutil.get_terminal_size().columns - len(text) - 4
        bar = ""
        if room >= 10:
            width = min(room, 40)
            done = width * ended // max(self.total, 1)
            bar = self.full * done + self.empty * (width - done) + " "
        self.stream.write(f"\r\x1b[K{bar}{text}")
        self.stream.flush()

    def text(self, counts: Mapping[str, Any], ended: int) -> str:
        """What stands beside the bar."""
        rate = ended / max(self.seconds, 0.001)
        left = f", {(self.total - ended) / rate:.0f} s left" if 0 < ended < self.total else ""
        failed = f", {counts['numFailed']} failed" if counts["numFailed"] else ""
        return (
            f"{ended} of {self.total} ended, {counts['numComputing']} computing{failed}, "
            f"{rate:.0f}/s{left}"
        )

    def close(self, counts: Mapping[str, Any]) -> None:
        """Leave the last state standing."""
        ended = counts["numDone"] + counts["numFailed"]
        self.stream.write("\r\x1b[K" if self.live else "")
        self.stream.write(f"{self.text(counts, ended)}: {self.seconds:.1f} s\n")
        self.stream.flush()
