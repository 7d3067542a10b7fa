"""Plots from the saved results: the paper's Figure 1, both servers side by side; the capacity."""

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


CAPACITY = "capacity.png"
CAPACITY_MARKS = "osD^vPX"


def draw(folder: Path) -> list[Path]:
    """Draw the plots of the results in a folder, beside them; nothing without results."""
    return [*draw_figure1(folder), *draw_capacity(folder)]


def draw_figure1(folder: Path) -> list[Path]:
    """The paper's two plots."""
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


def draw_capacity(folder: Path) -> list[Path]:
    """Tasks and exchanges per second over the number of workers, a line for each length."""
    if not (folder / f"{Path(CAPACITY).stem}.json").exists():
        return []
    result, machine, _ = load(folder, Path(CAPACITY).stem)
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    plots = figure.subplots(1, 2)
    for axes, column in zip(plots, ("tasks/s", "exchanges/s"), strict=True):
        draw_lines(axes, result.rows, column)
    plots[0].legend(frameon=False, title="tasks of", fontsize=9)
    figure.supxlabel("\n".join(textwrap.wrap(caption(machine), 150)), fontsize=7, color="#444444")
    figure.savefig(folder / CAPACITY, dpi=150)
    return [folder / CAPACITY]


def draw_lines(axes: Axes, rows: list[Row], column: str) -> None:
    """A line for each length of tasks, both axes logarithmic."""
    for length, mark in zip(
        dict.fromkeys(row["task"] for row in rows), CAPACITY_MARKS, strict=False
    ):
        mine = [row for row in rows if row["task"] == length]
        axes.plot(
            [row["workers"] for row in mine],
            [row[column] for row in mine],
            f"{mark}-",
            label=length,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = sorted({row["workers"] for row in rows})
    axes.set_xticks(ticks, [str(count) for count in ticks])
    axes.set_xlabel("workers")
    axes.set_ylabel(column)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS)
    for written in draw(parser.parse_args().folder):
        print(written)
