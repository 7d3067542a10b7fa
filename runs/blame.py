"""Failures by error, with a verdict: is a host to blame, the input, or everything?

The groups and their counts are kept with every transition (``failures.py``). What a verdict needs
is looked up in two statements for a whole page of groups: the latest attempts of each, and a sample
of the run's attempts for how its hosts do otherwise.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runs.attempts import essence
from runs.dialect import as_datetime, fetch
from runs.failures import MOST_ROWS
from runs.models import Run
from runs.samples import Sampled
from runs.states import Outcome

LATEST = 50
"""Failed attempts of a group that its verdict is made from."""
MOST_GROUPS = 20
FEW = 20
"""Up to so many tasks are few."""

READ = """
SELECT fingerprint, SUM(count), MIN(first), MAX(last) FROM (
    SELECT fingerprint, count, first, last FROM runs_failuretally WHERE run_id = %s
    ORDER BY fingerprint, slot LIMIT %s
) AS kept
GROUP BY fingerprint
HAVING SUM(count) > 0 AND (SUM(count) < %s OR (SUM(count) = %s AND fingerprint > %s))
ORDER BY SUM(count) DESC, fingerprint LIMIT %s
"""
LAST_OF = """
SELECT * FROM (
    SELECT fingerprint, id, number, worker_id FROM runs_attempt
    WHERE run_id = %s AND fingerprint = %s ORDER BY id DESC LIMIT %s
) AS g{place}
"""
WITH_HOSTS = (
    "SELECT a.*, w.hostname FROM ({all}) AS a LEFT JOIN runs_worker AS w ON w.id = a.worker_id"
)
EXAMPLES = """
SELECT a.id, a.number, a.attempt, a.error, a.log_tail, a.exit_code, a.ended, w.hostname
FROM runs_attempt AS a LEFT JOIN runs_worker AS w ON w.id = a.worker_id WHERE a.id IN ({marks})
"""
MUCH = 0.2
"""Of the sampled attempts: where fewer end well, the program is to blame before the inputs."""
CHANCE = 0.01
"""What may be by chance is blamed on nobody."""
END = (2**62, -1)
"""The cursor before the first group."""


@dataclass(frozen=True)
class Verdict:
    """``code``: host, input, everywhere or unsure; ``words`` say why, ``advice`` what to do."""

    code: str
    words: str
    advice: str
    host: str = ""


@dataclass(frozen=True)
class Example:
    """One failed attempt in full."""

    number: int
    attempt: int
    error: str | None
    log_tail: str | None
    exit_code: int | None
    ended: datetime | None
    host: str


@dataclass(frozen=True)
class Group:
    """Tasks that are failed now with the same error.

    ``hosts``: where the latest attempts with it (50 at most) ended, how many on each.
    """

    fingerprint: int
    count: int
    first: datetime | None
    last: datetime | None
    essence: str
    example: Example | None
    hosts: dict[str, int]
    verdict: Verdict


def groups(
    run: Run, sample: Sequence[Sampled], *, after: tuple[int, int] = END, limit: int = MOST_GROUPS
) -> list[Group]:
    """The run's failed tasks by their error, the most frequent first, in three queries.

    Args:
        run: whose.
        sample: some of its attempts (``samples.draw``), for how its hosts do otherwise.
        after: count and fingerprint of the last group of the page before.
        limit: how many at most.
    """
    count, fingerprint = after
    kept = fetch(READ, [run.id, MOST_ROWS, count, count, fingerprint, limit])
    seen = latest(run, [row[0] for row in kept])
    examples = read_examples([rows[0][1] for rows in seen.values()])
    return [put_together(row, seen.get(row[0], []), examples, sample) for row in kept]


Seen = dict[int, list[tuple[Any, ...]]]


def latest(run: Run, fingerprints: list[int]) -> Seen:
    """The latest attempts with each of some errors, newest first, in one statement."""
    if not fingerprints:
        return {}
    one = " UNION ALL ".join(LAST_OF.format(place=place) for place in range(len(fingerprints)))
    values = [value for each in fingerprints for value in (run.id, each, LATEST)]
    found: Seen = {}
    for row in fetch(WITH_HOSTS.replace("{all}", one), values):
        found.setdefault(row[0], []).append(row)
    return {each: sorted(rows, key=lambda row: -row[1]) for each, rows in found.items()}


def read_examples(ids: list[int]) -> dict[int, Example]:
    """Some attempts in full: id → attempt."""
    if not ids:
        return {}
    statement = EXAMPLES.replace("{marks}", ", ".join(["%s"] * len(ids)))
    return {
        id: Example(number, attempt, error, log, code, as_datetime(ended), host or "")
        for id, number, attempt, error, log, code, ended, host in fetch(statement, ids)
    }


def put_together(
    row: tuple[Any, ...],
    seen: list[tuple[Any, ...]],
    examples: dict[int, Example],
    sample: Sequence[Sampled],
) -> Group:
    """One group with its verdict."""
    fingerprint, count, first, last = row
    example = examples.get(seen[0][1]) if seen else None
    hosts = Counter(one[4] for one in seen if one[4])
    tried = [(one[2], one[4]) for one in seen if one[4]]
    return Group(
        fingerprint=fingerprint,
        count=int(count),
        first=as_datetime(first),
        last=as_datetime(last),
        essence=essence(example.error if example else None),
        example=example,
        hosts=dict(hosts.most_common()),
        verdict=judge(int(count), tried, sample),
    )


def judge(count: int, tried: list[tuple[int, str]], sample: Sequence[Sampled]) -> Verdict:
    """Whose fault it is, as far as the attempts tell.

    Args:
        count: how many tasks are failed with this error now.
        tried: number and host of the latest attempts that ended with it.
        sample: some of the run's attempts, for which hosts do well.
    """
    hosts = Counter(host for _, host in tried)
    well = Counter(one.host for one in sample if one.outcome == Outcome.DONE and one.host)
    everywhere = set(well) | set(hosts)
    if not hosts or len(everywhere) < 2:
        return Verdict("unsure", "Only one host has worked on this run.", LOOK)
    if len(hosts) == 1:
        return judge_host(*next(iter(hosts.items())), well)
    by_number: dict[int, set[str]] = {}
    for number, host in tried:
        by_number.setdefault(number, set()).add(host)
    if any(len(where) > 1 for where in by_number.values()) and count <= FEW:
        return Verdict(
            "input", f"The same few inputs fail on {len(hosts)} hosts, whoever tries them.", INPUT
        )
    if sum(well.values()) < MUCH * len(sample):
        return Verdict("everywhere", f"It fails on {len(hosts)} hosts, and little succeeds.", CODE)
    return Verdict("input", f"It fails on {len(hosts)} hosts that do other tasks well.", INPUT)


def judge_host(host: str, failed: int, well: Counter[str]) -> Verdict:
    """The verdict on an error that one host alone has.

    Were the inputs to blame, each failure would fall on the host by its share of the work.
    """
    others = sum(number for name, number in well.items() if name != host)
    share = (well[host] + 1) / (sum(well.values()) + len({*well, host}))
    if others and share ** (failed - 1) < CHANCE:
        words = f"All of them were on {host}, and other hosts do their tasks well."
        return Verdict("host", words, f"Keep workers off {host}, then restart these.", host)
    return Verdict("unsure", f"Seen on {host} alone, but too seldom to tell.", LOOK, host)


LOOK = "Read the example, restart these, and see whether it comes again."
INPUT = "Look at these inputs: a restart alone will fail again."
CODE = "Look at the program and what it needs everywhere, then restart all."
