"""How numbers are told to people: on pages, in commands, in the admin."""


def percentage(value: float) -> str:
    """A percentage to a tenth. 100 means all of it and 0 nothing at all, never nearly so."""
    if value <= 0 or value >= 100:
        return f"{value:.0f}"
    return f"{min(max(value, 0.1), 99.9):.1f}"


def tasks(count: int) -> str:
    """A number of tasks in words: ``1 task``, ``12,000 tasks``."""
    return f"{count:,} task{'' if count == 1 else 's'}"
