"""What a benchmark hands back, and how it is printed and kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
WHOLE_FROM = 100  # numbers from here on are printed without decimals


@dataclass(frozen=True)
class Figure:
    """A figure to reach: a ratio, so that it does not depend on the speed of the machine."""

    name: str
    value: float
    target: float
    at_least: bool = True

    @property
    def passed(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    def row(self) -> Row:
        sign = "≥" if self.at_least else "≤"
        verdict = "pass" if self.passed else "MISSED"
        return {
            "figure": self.name,
            "measured": round(self.value, 2),
            "target": f"{sign} {self.target:g}",
            "": verdict,
        }


@dataclass
class Result:
    """Rows of measurements, the figures drawn from them, and what a reader must know.

    `constants` are for others to calculate with: so much per so much, in seconds and bytes.
    """

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    constants: dict[str, float] = field(default_factory=dict)

    def markdown(self) -> str:
        parts = [f"## {self.title}", *self.notes, table(self.rows)]
        if self.figures:
            parts.append(table([figure.row() for figure in self.figures]))
        return "\n\n".join(parts)

    def save(self, folder: Path, machine: dict[str, str], quick: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        content = {**asdict(self), "quick": quick, "machine": machine}
        for figure, kept in zip(self.figures, content["figures"], strict=True):
            kept["passed"] = figure.passed
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (folder / f"{self.name}.json").write_text(text + "\n")


def load(folder: Path, name: str) -> tuple[Result, dict[str, str], bool]:
    """A saved result, the machine it was measured on, and whether it was a quick one."""
    content = json.loads((folder / f"{name}.json").read_text())
    machine, quick = content.pop("machine"), content.pop("quick")
    for figure in content["figures"]:
        del figure["passed"]
    content["figures"] = [Figure(**figure) for figure in content["figures"]]
    return Result(**content), machine, quick


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table, aligned so that it reads well in a terminal too."""
    if not rows:
        return "(nothing measured)"
    lines = [list(rows[0]), *([_cell(row[key]) for key in rows[0]] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rule = ["-" * max(width, 3) for width in widths]
    return "\n".join(_line(line, widths) for line in [lines[0], rule, *lines[1:]])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= WHOLE_FROM else f"{value:.3g}"
    return str(value)


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"


def write_summary(folder: Path, names: Sequence[str]) -> None:
    """All results in the folder as one Markdown page."""
    pages = ["# Benchmark results"]
    for name in names:
        if (folder / f"{name}.json").exists():
            result, machine, quick = load(folder, name)
            facts = "\n".join(f"- {fact}: {text}" for fact, text in machine.items())
            tiny = ["**One tiny iteration: the numbers mean nothing.**"] if quick else []
            pages += [
                result.markdown(),
                *tiny,
                f"<details><summary>Machine</summary>\n\n{facts}\n\n</details>",
            ]
    (folder / "README.md").write_text("\n\n".join(pages) + "\n")
