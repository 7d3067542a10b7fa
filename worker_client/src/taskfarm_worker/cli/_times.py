"""Times as people type them."""

from __future__ import annotations

import argparse
import math
import re
from datetime import datetime, timedelta

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
SPAN = re.compile(r"(\d+(?:\.\d*)?)\s*([a-z]*)")
CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def seconds(text: str) -> float:
    """Read a span of time.

    Args:
        text: such as `90`, `90s`, `15m`, `4h`, `2d`, or as Slurm writes it: `4:00:00`, `1-12:00`.

    Returns:
        seconds.

    Raises:
        argparse.ArgumentTypeError: it is no span of time.
    """
    compact = text.strip().lower()
    span = SPAN.fullmatch(compact)
    if span and span.group(2) in UNITS:
        return float(span.group(1)) * UNITS[span.group(2)]
    clock = CLOCK.fullmatch(compact)
    if clock:
        days, first, second, third = (int(one or 0) for one in clock.groups())
        if clock.group(4) is None and clock.group(1) is None:  # minutes:seconds, as in Slurm
            return first * 60.0 + second
        return days * 86400.0 + first * 3600.0 + second * 60.0 + third
    raise argparse.ArgumentTypeError(
        f"{text!r} is no span of time: write 90s, 15m, 4h, 2d or 4:00:00."
    )


def limit(text: str) -> float:
    """Read a span of time, or that there is none.

    Args:
        text: as for `seconds`, or `none`.

    Returns:
        seconds; infinite for none.

    Raises:
        argparse.ArgumentTypeError: it is no span of time.
    """
    return math.inf if text.strip().lower() == "none" else seconds(text)


def moment(text: str, now: datetime | None = None) -> datetime:
    """Read a moment, in local time where no zone is said.

    Args:
        text: `18:00`, `Fri 18:00`, `2026-11-20 18:00`, any ISO 8601, or `+4h` from now.
        now: the present, for tests.

    Returns:
        the moment, always ahead where only a time of day or a weekday is said.

    Raises:
        argparse.ArgumentTypeError: it is no moment.
    """
    now = now or datetime.now().astimezone()
    words = text.strip().lower().split()
    if text.startswith("+"):
        try:
            return now + timedelta(seconds=seconds(text[1:]))
        except OverflowError:
            raise argparse.ArgumentTypeError(f"{text!r} is too far away.") from None
    day = next((n for n, name in enumerate(DAYS) if words and words[0].startswith(name)), None)
    clock = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", words[-1]) if words else None
    if clock and len(words) == 1 + (day is not None):
        at = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        ahead = 0 if day is None else (day - at.weekday()) % 7
        at += timedelta(days=ahead)
        return at if at > now else at + timedelta(days=1 if day is None else 7)
    try:
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00")).astimezone()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no moment: write 18:00, 'Fri 18:00', '2026-11-20 18:00' or +4h."
        ) from None
