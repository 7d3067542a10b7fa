"""What a benchmark is given: the sides, the sizes, the settings of the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from .ours import Ours
from .postgres import Postgres
from .sides import Side


@dataclass
class Bench:
    """The stage of one run of the harness. `theirs` is the peer; it comes first in every pair."""

    postgres: Postgres
    theirs: Side
    ours: Side
    quick: bool = False

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.theirs, self.ours

    @property
    def this_server(self) -> Ours:
        """Our side, for what only makes sense there."""
        if not isinstance(self.ours, Ours):
            raise TypeError("this benchmark is about this server alone")
        return self.ours

    def size(self, full: int, tiny: int) -> int:
        """The full size, or the tiny one of a quick run."""
        return tiny if self.quick else full

    def turns(self, repeats: int) -> Iterator[tuple[int, Side]]:
        """Each repetition visits both sides in turn, so that a noisy minute hits both."""
        for repeat in range(self.size(repeats, 1)):
            for side in self.sides:
                yield repeat, side


def median_ratio(over: list[float], under: list[float]) -> float:
    """The median of the ratios of values that were measured one right after the other."""
    return median(a / b for a, b in zip(over, under, strict=True))
