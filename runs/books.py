"""The books of a run: its tallies and its failures by error, checked against its tasks."""

from runs import failures, tallies
from runs.tallies import Counts


def check(run_id: int, *, repair: bool = False) -> dict[str, tuple[int, int]]:
    """Compare the kept counts with a recount of the same moment, and mend them if asked to.

    Mending adds the difference, as every other writer adds its change, so that it is exact even
    while tasks are moving.

    Returns:
        Where they differed: name → (kept, counted); empty for a run in order.
    """
    with tallies.one_snapshot():
        found = tallies.differences(tallies.read(run_id), tallies.recount(run_id))
        missing = failures.difference(run_id)
    if repair and found:
        more = {name: counted - kept for name, (kept, counted) in found.items()}
        tallies.add(run_id, Counts(**more))
    if repair:
        failures.add(run_id, missing)
    by_error = {f"failed with error {one}": (0, count) for one, count in missing.items()}
    return {**found, **by_error}
