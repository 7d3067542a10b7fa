"""`python -m benchmarks`: run them all, or those named, print the figures, keep the results."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import traceback
from pathlib import Path

from . import plots
from .harness import machine
from .harness.bench import Bench
from .harness.ours import Ours
from .harness.paths import RESULTS, TRIAL_RESULTS
from .harness.peer import Peer
from .harness.postgres import Postgres, running_postgres
from .harness.report import Result, table, write_summary

COMPARISONS = ("figure1", "loaded", "gunicorn_shapes")
BENCHMARKS = (
    "figure1", "figure1_own", "throughput", "loaded", "size", "snapshot", "create", "swarm",
    "memory", "ten_million", "pages", "capacity", "commands", "gunicorn_shapes",
)  # fmt: skip


def main() -> int:
    signal.signal(signal.SIGTERM, _leave)
    options = _options()
    folder = _folder(options)
    folder.mkdir(parents=True, exist_ok=True)
    with running_postgres() as postgres:
        bench = _bench(postgres, options)
        facts = machine.describe(postgres)
        print("\n".join(f"{name}: {fact}" for name, fact in facts.items()))
        results = [_run(name, bench, folder, facts) for name in options.names]
    write_summary(folder, BENCHMARKS)
    plots.draw(folder)
    figures = [figure for result in results if result for figure in result.figures]
    if figures:
        print("\n" + table([figure.row() for figure in figures]))
    missed = not options.quick and not all(figure.passed for figure in figures)
    return 1 if missed or None in results else 0


def _leave(*_: object) -> None:
    """Ended from outside: leave by the way that stops the servers, too."""
    sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="one tiny iteration of each")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument(
        "--null",
        action="store_true",
        help="the peer against itself: every ratio of the two sides should be 1",
    )
    options = parser.parse_args()
    options.names = options.names or (COMPARISONS if options.null else BENCHMARKS)
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    return options


def _bench(postgres: Postgres, options: argparse.Namespace) -> Bench:
    ours = Peer(postgres, "peer_again") if options.null else Ours(postgres)
    return Bench(postgres, theirs=Peer(postgres), ours=ours, quick=options.quick)


def _folder(options: argparse.Namespace) -> Path:
    """Only a full comparison goes to the results that are kept."""
    if options.out:
        return Path(options.out)
    return TRIAL_RESULTS if options.quick or options.null else RESULTS


def _run(name: str, bench: Bench, folder: Path, facts: dict[str, str]) -> Result | None:
    """One benchmark, printed and saved; a failure is printed, and the others go on."""
    print(f"\n{name} ...", flush=True)
    try:
        result: Result = importlib.import_module(f"benchmarks.{name}").measure(bench)
    except Exception:
        traceback.print_exc()
        return None
    print(result.markdown(), flush=True)
    result.save(folder, facts, bench.quick)
    return result


if __name__ == "__main__":
    sys.exit(main())
