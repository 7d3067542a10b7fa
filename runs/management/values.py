"""Values on the command line: spans of time, and who it is that types."""

import getpass
import re
from argparse import ArgumentTypeError

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
SPAN = re.compile(r"^(\d{1,9}(?:\.\d{1,6})?)([smhdw])$")


def span(text: str) -> float:
    """Seconds of a span such as ``90s``, ``30m``, ``2h``, ``90d`` or ``1.5w``.

    The unit must be there: whoever forgets that of ``--older-than 90`` means days as a rule, and
    would hit everything older than a minute and a half.

    Raises:
        ArgumentTypeError: it is something else.
    """
    found = SPAN.match(text.strip())
    if found is None:
        raise ArgumentTypeError(
            f"{text[:40]!r} is no span of time: write a number and its unit, such as 90s, 30m, 2h, "
            "90d or 2w."
        )
    return float(found[1]) * UNITS[found[2]]


def myself() -> str:
    """Who is at the keyboard, for the events of a run: commands ask for no account of the farm."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user id without a name, as in some containers
        return "manage.py"
    return f"manage.py ({name[:100]})"
