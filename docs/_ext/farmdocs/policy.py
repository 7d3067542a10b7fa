"""The options of a run's policy, from the one table of them."""

from datetime import datetime

from runs.models import Run
from runs.policy import OPTIONS, Option

from .text import cell, code, table

KINDS = {
    int: "whole number",
    float: "number",
    bool: "yes or no",
    datetime: "date and time",
    str: "text",
}
LARGEST = 2**30
"""Greater bounds tell a reader nothing."""


def render() -> str:
    """Every option: its names, what it may be, what it is if nobody says."""
    rows = [
        (code(one.api), code(one.field), span(one), code(default(one)), cell(one.meaning))
        for one in OPTIONS
    ]
    return table(("in the API", "in Python", "value", "default", "meaning"), rows) + "\n"


def span(option: Option) -> str:
    """What an option may be."""
    text = KINDS[option.kind]
    if option.kind in (int, float) and option.least is not None and option.most is not None:
        least, most = f"{option.least:,}", f"{option.most:,}"
        text += f", {least} to {most}" if option.most < LARGEST else f", at least {least}"
    if option.kind is str:
        text += f", at most {option.most:,} characters"
    return text + (", or none" if option.optional else "")


def default(option: Option) -> str:
    """What an option is if nobody says."""
    value = Run._meta.get_field(option.field).get_default()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
