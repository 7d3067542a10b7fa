"""How templates write times, percentages, states and bars."""

import json
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from runs import wording
from runs.pages import shown
from runs.tallies import Counts

register = template.Library()

MOST_PRETTY = 100_000
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@register.filter
def span(duration: timedelta | float | None) -> str:
    """A duration in its two largest units: ``2 h 5 min``; nothing for None."""
    if duration is None:
        return ""
    left = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if left < 1:
        return "under 1 s"
    parts = []
    for size, unit in UNITS:
        if left >= size:
            parts.append(f"{int(left // size)} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts[:2])


@register.filter
def pretty(text: str) -> str:
    """JSON as people read it; anything else, or too much of it, as it is."""
    if len(text) > MOST_PRETTY:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


@register.filter
def short(duration: timedelta | float) -> str:
    """A duration as for a task: ``40 ms``, ``2.5 s``, ``3 min 20 s``."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else span(seconds)


@register.simple_tag
def between(least: float, most: float) -> str:
    """A range of durations: ``10 to 14 min``; one alone where both ends read the same."""
    for size, unit in UNITS:
        if most >= 2 * size or unit == "s":
            low, high = round(least / size), max(round(most / size), 1)
            return f"{high} {unit}" if low == high else f"{low} to {high} {unit}"
    return ""


@register.filter
def hours(seconds: float) -> str:
    """Work in core-hours, to about two digits."""
    value = seconds / 3600
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


@register.filter
def coarse(duration: timedelta | float) -> str:
    """A duration in its largest unit alone: ``2 h``."""
    return " ".join(span(duration).split()[:2])


@register.filter
def until(end: datetime, start: datetime) -> timedelta:
    """The time from ``start`` until ``end``."""
    return end - start


@register.filter
def exact(moment: datetime) -> str:
    """A moment to the second, with its time zone."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"


@register.simple_tag
def ago(moment: datetime | None) -> SafeString | str:
    """How long ago that was, with the exact time on hover; a dash for never."""
    if moment is None:
        return "–"
    since = (timezone.now() - moment).total_seconds()
    text = "just now" if since < 1 else f"{coarse(since)} ago"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), text
    )


@register.filter
def percent(value: float) -> str:
    """A percentage to a tenth; 100 means all of it, 0 nothing at all."""
    return wording.percentage(value)


@register.filter
def rate(per_minute: float) -> str:
    """Tasks per minute, to about two digits."""
    return f"{per_minute:,.0f}" if per_minute >= 10 else f"{per_minute:.1f}"


@register.simple_tag
def icon(name: str) -> SafeString:
    """A picture from the farm's set; the word beside it says the same."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>',
        static("icons.svg"),
        name,
    )


@register.simple_tag
def badge(state: str, look: str = "") -> SafeString:
    """A state of a run, a task or an attempt: colour, picture and word.

    Args:
        state: the word.
        look: ``quiet`` in long tables; ``troubled`` where the state is not the whole story.
    """
    picture = icon("lost" if look == "troubled" else state)
    return format_html('<span class="badge is-{} {}">{}{}</span>', state, look, picture, state)


@register.inclusion_tag("partials/bar.html")
def bar(counts: Counts) -> dict[str, Any]:
    """The stacked bar of a run's tasks by state."""
    return {"shares": shown.shares(counts)}


@register.inclusion_tag("partials/counts.html")
def count_list(counts: Counts) -> dict[str, Any]:
    """The counts by state in words, empty states left out."""
    return {"shares": [share for share in shown.shares(counts) if share.count]}


@register.filter
def shares(counts: Counts) -> list[shown.Share]:
    """The counts by state with their shares."""
    return shown.shares(counts)
