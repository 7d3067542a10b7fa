"""The measured figures: exactly what lies in ``benchmarks/results/``."""

import json
from pathlib import Path
from typing import Any

from .text import paragraphs, table

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "benchmarks" / "results"
OWN_PAGE = {"capacity"}
PLOTS = {
    "figure1a.png": "Time of a client until all 256 tasks are completed",
    "figure1b.png": "Time of one update",
}


def results() -> list[dict[str, Any]]:
    """The saved results that were measured in full and have no page of their own."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    return [one for one in found if not one["quick"] and one["name"] not in OWN_PAGE]


def render() -> str:
    """Figures, then plots, then all rows by benchmark; or a word on why there are none."""
    found = results()
    if not found:
        return "No results are kept in this checkout: `make bench` measures them.\n"
    rows = [
        (figure["name"], f"{figure['value']:.2f}", target(figure), passed(figure))
        for result in found
        for figure in result["figures"]
    ]
    return paragraphs(
        table(("figure", "measured", "to reach", ""), rows),
        *(plot(name, text) for name, text in PLOTS.items() if (RESULTS / name).exists()),
        *(section(result) for result in found),
    )


def target(figure: dict[str, Any]) -> str:
    """What was to be reached."""
    return f"{'≥' if figure['at_least'] else '≤'} {figure['target']:g}"


def passed(figure: dict[str, Any]) -> str:
    """Whether it was."""
    return "reached" if figure["passed"] else "**missed**"


def plot(name: str, text: str) -> str:
    """A plot from the results."""
    return f"![{text}](../../benchmarks/results/{name})"


def section(result: dict[str, Any]) -> str:
    """One benchmark with all that was measured, and the machine."""
    machine = "\n".join(f"- {name}: {text}" for name, text in result["machine"].items())
    return paragraphs(
        f"## {result['title']}",
        *result["notes"],
        rows_table(result["rows"]),
        f"Measured on:\n\n{machine}",
    )


def rows_table(rows: list[dict[str, Any]]) -> str:
    """The rows of a result."""
    if not rows:
        return ""
    return table(list(rows[0]), ([short(value) for value in row.values()] for row in rows))


def short(value: object) -> str:
    """A number with as many digits as it deserves."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
