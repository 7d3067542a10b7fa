"""Pages at ten million tasks: server time, queries, bytes, and a list of tasks beside Flower's.

- Pages and live regions. In one database three users: one owns a run of 10,000,000 tasks that a
  thousand workers have half done in a day, and an earlier one of 1,000,000; one owns two such runs
  of 10,000; one is staff (`harness/farm.py` writes them). Every address of the pages is
  asked for, as a page and as the script that renews its live regions does, in this process through
  all middleware, one after the other; the two sizes take turns. Nothing is remembered from one
  request to the next, so that each is the first one of a fresh process. Medians, of times or of
  ratios of one turn. The figures are those of the worst page. Any time up to 20 ms, a fifth of what
  a page may take, counts as 20 ms in a ratio: of a page that asks next to nothing it would tell of
  the machine's noise. Of addresses that are about no one run, such as the health of the farm,
  there is one measurement.
- The map: its bytes for the run of 1,000,000 tasks, gzipped, to the last one; beside it the other
  colours and the run of 10,000,000.
- First view: what a browser with an empty cache is sent for each page of a run, heads included, by
  gunicorn as deployed. Style sheets, scripts and pictures are gzipped; the page itself is not, as
  that is left to nginx. The map's own bytes are left aside.
- Flower with 10,000 tasks in its store, ours with a run of 10,000: seconds until the first row of
  the list of tasks is on the screen, both in one Chromium, in turns. From the click on the link to
  it, 0.3 s after the pointer has come there: on the first page of Flower, on the page of the run.
  By then Chromium has drawn our page, unseen: the pages ask it to (speculation rules). Beside it,
  in the notes, from the navigation with an empty cache; the log-in is done before.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from .harness import farm
from .harness.bench import Bench
from .harness.browser import Browser, browsing
from .harness.clients import PASSWORD, USER
from .harness.farm import Filled
from .harness.flower import FIRST_ROW, Flower
from .harness.ours import Ours
from .harness.paths import PROJECT
from .harness.pointer import pointing
from .harness.report import Figure, Result
from .harness.visits import LIVE, ZIPPED, Visitor
from .harness.web import DEPLOYED, Command, free_port, serving

NAME = "pages"
LARGE, SMALL = 10_000_000, 10_000
MIDDLE = 10
"""The earlier run of the owner of the large one is so many times smaller."""
SMALL_USER, STAFF = "small", "staff"
ROUNDS, MAP_ROUNDS, BROWSER_ROUNDS = 25, 9, 15
TARGET_MS, TARGET_QUERIES, TARGET_RATIO = 100, 12, 1.3
FLOOR = 0.02
"""Seconds: shorter times count as this one in a ratio."""
TARGET_MAP_MS, TARGET_MAP_KB, TARGET_VIEW_KB, TARGET_FLOWER = 300, 250, 100, 4
OURS_FIRST_ROW = "#task-list tbody tr th a"
OUR_LINK = 'nav a[href$="/tasks"]'
THEIR_LINK = 'a[href$="/tasks"]'

# The name of the address → the ways in which it is asked for.
OF_A_RUN = {
    "run-list": ["/runs/", "/runs/?state=active", "/runs/?search=surface"],
    "run-new": ["/runs/new"],
    "runs-act": ["/runs/actions/restart-failed?run={run}"],
    "run": ["/runs/{run}/"],
    "run-policy": ["/runs/{run}/policy"],
    "run-map": ["/runs/{run}/map", "/runs/{run}/map?by=host"],
    "run-workers": ["/runs/{run}/workers"],
    "run-timeline": ["/runs/{run}/timeline", "/runs/{run}/timeline?first=0"],
    "run-compare": ["/runs/{run}/compare", "/runs/{run}/compare?with={other}"],
    "run-failures": ["/runs/{run}/failures"],
    "run-history": ["/runs/{run}/history"],
    "run-tasks": [
        "/runs/{run}/tasks", "/runs/{run}/tasks?from={middle}", "/runs/{run}/tasks?state=failed",
        "/runs/{run}/tasks?state=waiting", "/runs/{run}/tasks?host={host}",
        "/runs/{run}/tasks?state=failed&error={error}", "/runs/{run}/tasks?tasks=0-99,{middle}",
        "/runs/{run}/tasks?state=computing&older=600",
    ],
    "task": ["/runs/{run}/tasks/{failed}", "/runs/{run}/tasks/{held}", "/runs/{run}/tasks/{last}"],
    "run-pause": ["/runs/{run}/pause"],
    "run-resume": ["/runs/{run}/resume"],
    "run-restart": [
        "/runs/{run}/restart", "/runs/{run}/restart?state=failed",
        "/runs/{run}/restart?state=failed&error={error}",
        "/runs/{run}/restart?state=failed&host={host}",
        "/runs/{run}/restart?state=failed&tasks={failed}",
    ],
    "run-restart-all": ["/runs/{run}/restart-all"],
    "run-cancel": ["/runs/{run}/cancel", "/runs/{run}/cancel?tasks={middle}-{last}"],
    "run-delete": ["/runs/{run}/delete"],
    "worker-list": ["/workers/"],
    "worker": ["/workers/{worker}"],
    "account": ["/account/"],
    "password-change": ["/account/password/"],
}  # fmt: skip
OF_STAFF = {
    "health": ["/health/"],
    "admin": [f"/admin/runs/{one}/" for one in ("run", "task", "attempt", "worker")],
}
NO_PAGES = {
    "run-map-cells": "the bytes of the map, measured by themselves",
    "run-trace": "a download",
    "run-undo": "a POST",
    "run-uploaded": "a POST",
    "login": "for those who are not logged in",
    "logout": "a POST",
}
VIEWS = ("run", "run-tasks", "task", "run-failures", "run-workers", "run-timeline", "run-compare",
         "run-history", "run-policy", "run-map", "run-list", "run-new", "worker-list", "worker",
         "account")  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """The runs of one user, and who asks for them."""

    name: str
    run: Filled
    other: Filled

    def path(self, pattern: str) -> str:
        """An address of theirs."""
        run = self.run
        return pattern.format(
            run=run.uuid, other=self.other.uuid, middle=run.ended // 2, failed=run.failed,
            held=run.ended + 1, last=run.tasks - 1, host=run.host, error=run.error,
            worker=run.worker,
        )  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """A page in the two sizes; ``small`` and ``ratio`` are None where there is one. Seconds."""

    what: str
    large: float
    small: float | None
    ratio: float | None
    queries: int
    bytes: int


def measure(bench: Bench) -> Result:
    result = Result(NAME, "Pages at ten million tasks")
    large, small = prepare(bench)
    costs = visit_all(bench, large, small)
    report_costs(bench, result, costs, large.run.tasks, small.run.tasks)
    measure_map(bench, result, large)
    with browsing() as browser:
        if browser is None:
            result.notes.append("No Chromium here: what a browser is sent and sees is left out.")
        else:
            in_the_browser(bench, result, browser, small)
    return result


def prepare(bench: Bench) -> tuple[Stage, Stage]:
    """The farm with all its runs, settled."""
    ours = bench.this_server
    ours.fresh_database()
    farm.add_user(ours, SMALL_USER)
    farm.add_user(ours, STAFF, "--superuser")
    crew = bench.size(farm.WORKERS, 40)
    large = bench.size(LARGE, 4000)
    small = min(SMALL, large // 4)
    stages = [
        Stage(
            owner,
            farm.fill(ours, tasks, owner, "Surface, March", crew),
            farm.fill(ours, earlier, owner, "Surface, February", crew),
        )
        for owner, tasks, earlier in (
            (USER, large, large // MIDDLE),
            (SMALL_USER, small, small),
        )
    ]
    ours.postgres.settle(ours.database)
    return stages[0], stages[1]


def check_names() -> None:
    """Every address of the pages is measured, or it is said why not.

    Raises:
        RuntimeError: one is neither.
    """
    from accounts import urls as of_accounts
    from runs.pages import other_urls, urls

    names = {one.name for part in (urls, other_urls, of_accounts) for one in part.urlpatterns}
    if missing := names - set(OF_A_RUN) - set(OF_STAFF) - set(NO_PAGES):
        raise RuntimeError(f"add these pages to benchmarks/pages.py: {sorted(map(str, missing))}")


# ---- pages and regions


def visit_all(bench: Bench, large: Stage, small: Stage) -> list[Cost]:
    """Every page and its live regions."""
    ours = bench.this_server
    visitors = [Visitor(ours, large.name), Visitor(ours, small.name)]
    staff = Visitor(ours, STAFF)
    check_names()
    rounds = bench.size(ROUNDS, 1)
    costs = []
    for patterns in OF_A_RUN.values():
        for pattern in patterns:
            paths = [large.path(pattern), small.path(pattern)]
            for live in (False, True):
                costs.append(cost(pattern, live, list(zip(visitors, paths, strict=True)), rounds))
    for patterns in OF_STAFF.values():
        costs += [cost(pattern, False, [(staff, pattern)], rounds) for pattern in patterns]
    return costs


def cost(pattern: str, live: bool, asked: list[tuple[Visitor, str]], rounds: int) -> Cost:
    """Ask for one page so many times, the sizes in turn; the very first visits do not count."""
    headers = LIVE if live else {}
    for visitor, path in asked:
        visitor.visit(path, headers)
    turns = [[visitor.visit(path, headers) for visitor, path in asked] for _ in range(rounds)]
    seconds = [[turn[place].seconds for turn in turns] for place in range(len(asked))]
    both = len(asked) == 2
    return Cost(
        what=pattern + (" (live)" if live else ""),
        large=median(seconds[0]),
        small=median(seconds[1]) if both else None,
        ratio=median(max(a, FLOOR) / max(b, FLOOR) for a, b in zip(*seconds, strict=True))
        if both
        else None,
        queries=max(visit.queries for turn in turns for visit in turn),
        bytes=turns[0][0].bytes,
    )


def report_costs(bench: Bench, result: Result, costs: list[Cost], large: int, small: int) -> None:
    """A row for each page, and the figures of the worst."""
    for one in costs:
        result.rows.append(
            {
                "page": one.what,
                f"ms, {large:,} tasks": round(1000 * one.large, 1),
                f"ms, {small:,} tasks": round(1000 * one.small, 1) if one.small else "",
                "ratio": f"{one.ratio:.2f}" if one.ratio else "",
                "queries": one.queries,
                "kB": round(one.bytes / 1000, 1),
            }
        )
    slowest = max(costs, key=lambda one: one.large)
    most = max(costs, key=lambda one: one.queries)
    steepest = max(costs, key=lambda one: one.ratio or 0)
    ratio = steepest.ratio or 0
    result.figures += [
        Figure(f"ms of the slowest page, {slowest.what}", 1000 * slowest.large, TARGET_MS, False),
        Figure(f"queries of a page at most, {most.what}", most.queries, TARGET_QUERIES, False),
        Figure(f"{large:,} tasks over {small:,}, {steepest.what}", ratio, TARGET_RATIO, False),
    ]


# ---- the map


def measure_map(bench: Bench, result: Result, large: Stage) -> None:
    """The bytes of the map, in every colour, and of the run of ten million."""
    visitor = Visitor(bench.this_server, large.name)
    asked = [(large.other, kind) for kind in ("state", "duration", "attempts", "age", "host")]
    for run, kind in [*asked, (large.run, "state")]:
        path = f"/runs/{run.uuid}/map/cells?by={kind}"
        visits = [visitor.visit(path, ZIPPED) for _ in range(bench.size(MAP_ROUNDS, 1))]
        seconds, size = median(one.seconds for one in visits), visits[0].bytes
        what = f"map of {run.tasks:,} tasks by {kind}"
        result.rows.append(
            {**dict.fromkeys(result.rows[0], ""), "page": what,
             next(iter(list(result.rows[0])[1:])): round(1000 * seconds, 1),
             "queries": visits[0].queries, "kB": round(size / 1000, 1)}
        )  # fmt: skip
        if (run, kind) == asked[0]:
            result.figures += [
                Figure(f"ms, {what}", 1000 * seconds, TARGET_MAP_MS, False),
                Figure(f"kB, {what}", size / 1000, TARGET_MAP_KB, False),
            ]


# ---- in the browser


def in_the_browser(bench: Bench, result: Result, browser: Browser, small: Stage) -> None:
    """First views, and the list of tasks beside Flower's."""
    with collected(bench.this_server) as root:
        state = browser.log_in(root, small.name, PASSWORD)
        views = {
            name: browser.bytes_of(root + small.path(OF_A_RUN[name][0]), state, but="/map/cells")
            for name in VIEWS
        }
        result.notes.append(
            "First views in kB: "
            + ", ".join(f"{name} {size / 1000:.1f}" for name, size in views.items())
            + "."
        )
        largest = max(views, key=lambda name: views[name])
        result.figures.append(
            Figure(f"kB of the largest first view, {largest}", views[largest] / 1000,
                   TARGET_VIEW_KB, False)
        )  # fmt: skip
        flower = Flower()
        with flower.serve(small.run.tasks) as theirs:
            beside_flower(bench, result, browser, small, (theirs, root), flower.version)


def beside_flower(
    bench: Bench,
    result: Result,
    browser: Browser,
    small: Stage,
    roots: tuple[str, str],
    version: str,
) -> None:
    """Until the first row of the list of tasks is seen, at Flower and here in turns."""
    theirs, ours = roots[0], roots[1] + small.path("/runs/{run}/")
    clicked: list[list[float]] = [[], []]
    with pointing(FIRST_ROW, OURS_FIRST_ROW) as pointer:
        if pointer is None:
            result.notes.append("No chromedriver here: nothing was compared with Flower.")
            return
        pointer.log_in(roots[1], small.name, PASSWORD)
        for _ in range(bench.size(BROWSER_ROUNDS, 1)):
            clicked[0].append(pointer.seconds_from_click(f"{theirs}/", THEIR_LINK))
            clicked[1].append(pointer.seconds_from_click(ours, OUR_LINK))
    state = browser.log_in(roots[1], small.name, PASSWORD)
    empty: list[list[float]] = [[], []]
    for _ in range(bench.size(BROWSER_ROUNDS, 1)):
        empty[0].append(browser.seconds_until(f"{theirs}/tasks", FIRST_ROW))
        empty[1].append(browser.seconds_until(f"{ours}tasks", OURS_FIRST_ROW, state))
    ms = [[round(1000 * median(side)) for side in both] for both in (clicked, empty)]
    ratio = median(a / b for a, b in zip(*clicked, strict=True))
    result.notes.append(
        f"The first row of {small.run.tasks:,} tasks is on the screen {ms[0][1]} ms after the "
        f"click; in Flower {version} after {ms[0][0]} ms. By its address, with an empty cache: "
        f"{ms[1][1]} ms; in Flower {ms[1][0]} ms."
    )
    result.figures.append(
        Figure("time to the list of tasks, Flower's over ours", ratio, TARGET_FLOWER)
    )


@contextmanager
def collected(ours: Ours) -> Iterator[str]:
    """Serve the farm as deployed: from a copy, in which the static files are collected."""
    with tempfile.TemporaryDirectory(prefix="taskfarm-collected-") as folder:
        copy = Path(folder)
        for part in ("accounts", "runs", "taskfarm_site", "templates", "static", "deploy"):
            shutil.copytree(
                PROJECT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(PROJECT / "manage.py", copy)
        port = free_port()
        command = replace(ours.command(port, DEPLOYED), folder=copy)
        words = [command.words[0], "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
        Command(words, copy, command.environment).run()
        with serving(command, port):
            yield f"http://127.0.0.1:{port}"
