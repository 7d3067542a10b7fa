"""The paper's Figure 1 from the saved results: two plots, both servers side by side."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .harness.machine import caption
from .harness.paths import RESULTS
from .harness.report import Row, load

# Okabe and Ito's blue and vermilion are told apart by colour-blind readers; marker and line differ,
# too, for those who print in grey.
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    {"color": "#0072B2", "marker": "o", "linestyle": "-"},
)
PLOTS = {
    "figure1a.png": ("client time s", "time of a client until all tasks are completed [s]"),
    "figure1b.png": ("update ms", "time of an update [ms]"),
}


def draw(folder: Path) -> list[Path]:
    """Draw the plots of the results in a folder, beside them; nothing without results."""
    if not (folder / "figure1.json").exists():
        return []
    result, machine, _ = load(folder, "figure1")
    return [
        draw_one(folder / name, result.rows, column, label, caption(machine))
        for name, (column, label) in PLOTS.items()
    ]


def draw_one(path: Path, rows: list[Row], column: str, label: str, facts: str) -> Path:
    """One plot: a quantity over the number of clients, a line for each server."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    sides = list(dict.fromkeys(row["side"] for row in rows))
    for side, style in zip(sides, STYLES, strict=False):
        mine = [row for row in rows if row["side"] == side]
        axes.plot(
            [row["clients"] for row in mine], [row[column] for row in mine], label=side, **style
        )
    dress(axes, [row["clients"] for row in rows], label)
    figure.supxlabel("\n".join(textwrap.wrap(facts, 110)), fontsize=7, color="#444444")
    figure.savefig(path, dpi=150)
    return path


def dress(axes: Axes, clients: list[int], label: str) -> None:
    """Axes from zero, ticks at the numbers of clients, a legend."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(clients)), [str(count) for count in sorted(set(clients))])
    axes.set_xlabel("clients")
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    axes.set_title("256 tasks, each claimed, updated ten times and marked done", fontsize=11)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS)
    for written in draw(parser.parse_args().folder):
        print(written)
