"""Commands as tasks, on two cores: what does the command line make of them?

Our server as it is deployed, on durable PostgreSQL; `taskfarm` as a user has it, in processes of
its own, with logs and exit codes kept. Three questions:

- 5,000 times `true`, two at a time. Beside it, in turns: HyperQueue (its own cluster of a server
  and a worker of two cores in one process, each task with its two logs), GNU parallel (-j2, with a
  joblog), PyTaskFarmer (two processes; 1,000 commands, as it slows down with the list), and a loop
  of posix_spawn and wait that keeps nothing. All keep their files in memory (see
  `harness/scratch.py`), but for the database. The rate is that of the work, from the first
  command's start to the last one's end; ours ends when the server has it all durably, by the
  database's clock. The whole call stands beside it, with starting and signing off; HyperQueue's
  looks every second whether all is done. Figures are medians, of rates or of ratios of one turn.
- A list of 100,000 commands: submitting it, `taskfarm status` before and after the work, each a
  whole process; and whether the rate stays, the last tenth's over the first tenth's, by the
  farmer's clock: the median of three such lists, as the two lie a minute apart.
- 32 commands of very different length, listed with the shortest first and submitted as listed and
  longest first (`--order cost`), in two places: of one farmer, and of two farmers that know nothing
  of each other. The makespan, by the farmers' clocks, over the lower bound: the longest command, or
  half of all seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from .harness import command_peers as peers
from .harness.bench import Bench, median_ratio
from .harness.command_peers import Pass
from .harness.ours import Ours
from .harness.report import Figure, Result, Row
from .harness.taskfarm import Attempt, Terminal, attempts, terminal
from .harness.web import DEPLOYED

NAME = "commands"
COMMAND = ["true"]
COUNT, SLOW_COUNT = 5000, 1000
PLACES = 2
REPEATS = 5
TARGET_RATE, TARGET_HYPERQUEUE, TARGET_PARALLEL, TARGET_BARE = 1300, 1.5, 3, 0.5

LIST = 100_000
LOOKS = 5
WORKED_OFF = 3
"""Long lists that are worked off; all that are looked at are submitted."""
TARGET_SUBMIT, TARGET_STATUS, TARGET_FLAT = 5, 0.5, 0.9

LENGTHS = 32
TOTAL = 40.0
"""Seconds of all commands of different length together."""
TARGET_MAKESPAN = 1.1

OURS = "taskfarm work, durable in PostgreSQL"
HYPERQUEUE, PARALLEL, PYTASKFARMER = "HyperQueue", "GNU parallel", "PyTaskFarmer"
BARE = "posix_spawn and wait"


@dataclass
class Turns:
    """What each contestant did, turn by turn, in commands per second."""

    count: dict[str, int] = field(default_factory=dict)
    work: dict[str, list[float]] = field(default_factory=dict)
    whole: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, count: int, one: Pass) -> None:
        self.count[name] = count
        self.work.setdefault(name, []).append(count / one.work)
        self.whole.setdefault(name, []).append(count / one.whole)

    def rows(self) -> list[Row]:
        """A row for each contestant."""
        rows = []
        for name, count in self.count.items():
            work, whole = median(self.work[name]), median(self.whole[name])
            what = f"{count:,} times {COMMAND[0]!r}, {PLACES} at a time"
            rows.append(row(what, name, f"{work:,.0f}/s", f"whole call {whole:,.0f}/s"))
        return rows

    def figures(self) -> list[Figure]:
        """What is to be reached; only over those that were there."""
        what = f"commands/s, {COUNT:,} times {COMMAND[0]!r}"
        targets = {HYPERQUEUE: TARGET_HYPERQUEUE, PARALLEL: TARGET_PARALLEL, BARE: TARGET_BARE}
        ours = self.work[OURS]
        return [
            Figure(what, median(ours), TARGET_RATE),
            *(
                Figure(f"{what}, over {name}", median_ratio(ours, self.work[name]), target)
                for name, target in targets.items()
                if name in self.work
            ),
        ]


@dataclass
class Listed:
    """A long list: seconds of calls, and the rates of the first tenth and of the last one."""

    count: int
    submit: list[float]
    before: list[float]
    after: list[float]
    first: list[float]
    last: list[float]

    def rows(self) -> list[Row]:
        what = f"a list of {self.count:,} commands"
        return [
            row(what, "taskfarm submit", f"{median(self.submit):.2f} s"),
            row(what, "taskfarm status, all waiting", f"{median(self.before):.2f} s"),
            row(what, "taskfarm status, all done", f"{median(self.after):.2f} s"),
            row(what, "taskfarm work, the first tenth", f"{median(self.first):,.0f}/s"),
            row(what, "taskfarm work, the last tenth", f"{median(self.last):,.0f}/s"),
        ]

    def figures(self) -> list[Figure]:
        what = f"a list of {self.count:,} commands"
        status = max(median(self.before), median(self.after))
        flat = f"{what}: rate of the last tenth over the first tenth's"
        return [
            Figure(f"{what}: submit, s", median(self.submit), TARGET_SUBMIT, at_least=False),
            Figure(f"{what}: status, s", status, TARGET_STATUS, at_least=False),
            Figure(flat, median_ratio(self.last, self.first), TARGET_FLAT),
        ]


@dataclass(frozen=True)
class Makespan:
    """How long commands of different length took together, and could have taken at best."""

    order: str
    farmers: int
    seconds: float
    bound: float

    @property
    def where(self) -> str:
        return f"{PLACES} farmers of one place" if self.farmers > 1 else f"1 farmer of {PLACES}"


def measure(bench: Bench) -> Result:
    ours = bench.this_server
    result = Result(NAME, "Commands as tasks")
    missing = absent()
    turns = take_turns(bench, ours, missing)
    listed = long_list(ours, bench.size(LIST, 300), bench.size(LOOKS, 1), bench.size(WORKED_OFF, 1))
    spans = makespans(ours, bench.size(LENGTHS, 4), 1.0 if bench.quick else TOTAL)
    result.rows += [*turns.rows(), *listed.rows(), *map(span_row, spans)]
    result.figures += [*turns.figures(), *listed.figures(), *span_figures(spans)]
    result.notes.append(
        f"Medians of {bench.size(REPEATS, 1)} turns and of {bench.size(LOOKS, 1)} calls of each "
        f"command. {peers.versions()}. The lower bound of the makespan: {spans[0].bound:.1f} s."
    )
    result.notes += missing.values()
    return result


def row(work: str, by: str, measured: str, beside: str = "") -> Row:
    return {"work": work, "by": by, "measured": measured, "beside it": beside}


# ---- many commands that do nothing


def absent() -> dict[str, str]:
    """Which of the others cannot be run here, and why."""
    reasons = {PARALLEL: peers.parallel_there(), HYPERQUEUE: peers.hyperqueue_there()}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def take_turns(bench: Bench, ours: Ours, missing: dict[str, str]) -> Turns:
    """Each contestant in turn, so that a noisy minute hits all."""
    count, slow = bench.size(COUNT, 60), bench.size(SLOW_COUNT, 20)
    others: dict[str, tuple[Callable[[list[str], int, int], Pass], int]] = {
        HYPERQUEUE: (peers.hyperqueue, count),
        PARALLEL: (peers.parallel, count),
        PYTASKFARMER: (peers.pytaskfarmer, slow),
        BARE: (peers.bare_loop, count),
    }
    turns = Turns()
    for _ in range(bench.size(REPEATS, 1)):
        turns.add(OURS, count, work_off(ours, count))
        for name, (run, size) in others.items():
            if name not in missing:
                turns.add(name, size, run(COMMAND, size, PLACES))
    return turns


def work_off(ours: Ours, count: int) -> Pass:
    """One turn of ours."""
    with at_terminal(ours) as here:
        run, _ = here.submit(here.write("list", [" ".join(COMMAND)] * count))
        ours.postgres.settle(ours.database)
        whole = here.timed("work", run, "--proc", PLACES, "--workdir", "w", "--quiet")
        if here.logs("w") != count:
            raise RuntimeError(f"{count} commands were done, {here.logs('w')} logs are there")
        done = attempts(ours, run, count)
    return Pass(max(one.ended for one in done) - min(one.started for one in done), whole)


@contextmanager
def at_terminal(ours: Ours) -> Iterator[Terminal]:
    """A server on a fresh database, and a terminal that is logged in there."""
    ours.fresh_database()
    with ours.serve(DEPLOYED) as server, terminal(server) as here:
        yield here


# ---- a long list


def long_list(ours: Ours, count: int, looks: int, worked_off: int) -> Listed:
    """Submit a long list some times, look at it, work some of them off, look again."""
    with at_terminal(ours) as here:
        name = here.write("list", [" ".join(COMMAND)] * count)
        submitted = [here.submit(name) for _ in range(looks)]
        runs = [run for run, _ in submitted[-worked_off:]]
        before = [here.timed("status", runs[-1]) for _ in range(looks)]
        rates = []
        for run in runs:
            here.call("work", run, "--proc", PLACES, "--workdir", run, "--quiet")
            rates.append(tenths(attempts(ours, run, count)))
        after = [here.timed("status", runs[-1]) for _ in range(looks)]
    first, last = map(list, zip(*rates, strict=True))
    return Listed(count, [seconds for _, seconds in submitted], before, after, first, last)


def tenths(done: list[Attempt]) -> tuple[float, float]:
    """Commands per second in the first tenth and in the last one, in the order of their starts."""
    began = sorted(one.began for one in done)
    size = len(began) // 10
    end = max(one.began + one.seconds for one in done)
    return size / (began[size] - began[0]), size / (end - began[-size])


# ---- commands of different length


def lengths(count: int, total: float) -> list[float]:
    """Seconds of commands, the shortest first: log-normal, so that few of them make up most."""
    chance = random.Random(7)
    drawn = sorted(chance.lognormvariate(0.0, 1.2) for _ in range(count))
    return [round(total * one / sum(drawn), 3) for one in drawn]


def makespans(ours: Ours, count: int, total: float) -> list[Makespan]:
    """As the list has them, and longest first; in one farmer, and in two."""
    seconds = lengths(count, total)
    return [
        makespan(ours, seconds, order, farmers)
        for order, farmers in (("list", 1), ("cost", 1), ("cost", PLACES))
    ]


def makespan(ours: Ours, seconds: list[float], order: str, farmers: int) -> Makespan:
    """Work such a list off."""
    with at_terminal(ours) as here:
        name = here.write("list.csv", ["seconds", *map(str, seconds)])
        by = ("--order", "cost", "--cost", "seconds") if order == "cost" else ()
        run, _ = here.submit(name, "--command", "sleep {seconds}", *by)
        words = ("work", run, "--proc", PLACES // farmers, "--workdir", "w", "--quiet")
        crowd = [here.start(*words) for _ in range(farmers)]
        for one in crowd:
            _, told = one.communicate()
            if one.returncode:
                raise RuntimeError(f"taskfarm {words} ended with {one.returncode}:\n{told}")
        done = attempts(ours, run, len(seconds))
    took = max(one.began + one.seconds for one in done) - min(one.began for one in done)
    return Makespan(order, farmers, took, max(*seconds, sum(seconds) / PLACES))


def span_row(one: Makespan) -> Row:
    order = "longest first" if one.order == "cost" else "shortest first"
    return row(
        f"commands of different length, {order}", f"taskfarm work, {one.where}",
        f"{one.seconds:.2f} s", f"{one.seconds / one.bound:.3f} of the bound",
    )  # fmt: skip


def span_figures(spans: list[Makespan]) -> list[Figure]:
    what = "commands of different length, longest first, over the lower bound"
    return [
        Figure(f"{what}: {one.where}", one.seconds / one.bound, TARGET_MAKESPAN, at_least=False)
        for one in spans
        if one.order == "cost"
    ]
