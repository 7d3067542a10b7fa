"""A Slurm of one machine for all tests of clusters, and the farm of the command line's tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import (  # noqa: F401  # fixtures
    Said,
    farm,
    farm_server,
    here,
    process,
    start,
    token,
)
from tests.cluster.slurm import Slurm, started, why_not


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    """A cluster of two nodes, both of them this machine."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with started() as cluster:
        yield cluster


@pytest.fixture
def script(process: Callable[..., Said], here: Path) -> Callable[..., str]:  # noqa: F811
    """The script that `taskfarm launch --print` gives."""

    def call(run: str, *options: object) -> str:
        said = process("launch", run, "--print", *options)
        assert said.code == 0, said.err
        return said.out

    return call
