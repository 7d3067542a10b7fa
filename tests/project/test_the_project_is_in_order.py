"""What keeps the project fit to be used from a fresh clone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from taskfarm_site import __version__

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = {"setup", "demo", "serve", "test", "lint", "bench", "docs", "screenshots", "clean"}
REQUIREMENTS = sorted(ROOT.glob("requirements*.txt"))
RANGED = re.compile(r"(>=|~=|==)\d")


def test_every_target_is_documented_and_phony() -> None:
    documented = set(re.findall(r"^([a-z]+):.*## \S", MAKEFILE, re.M))
    assert documented >= TARGETS
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.M)
    assert phony
    assert set(phony[1].split()) == documented


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: file.name)
def test_requirements_are_ranges(file: Path) -> None:
    for line in file.read_text().splitlines():
        if line and not line.startswith(("#", "-")):
            assert RANGED.search(line), f"{file.name}: {line} may be any version"


def test_the_server_needs_nothing_of_the_tests() -> None:
    needed = (ROOT / "requirements.txt").read_text()
    assert "pytest" not in needed
    assert "mypy" not in needed


def test_the_citation_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert citation["license"] == "BSD-3-Clause"
    assert "BSD 3-Clause" in (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("script", [".ci/run", ".ci/lint", "deploy/serve", "examples/worker.sh"])
def test_scripts_are_executable_and_well_formed(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / script], check=True)


@pytest.mark.parametrize("targets", [["setup"], ["demo"], ["test"], ["lint"], ["bench"]])
def test_what_make_would_do_can_be_shown(targets: list[str]) -> None:
    """A dry run: prerequisites exist and the recipes expand."""
    done = subprocess.run(
        ["make", "--dry-run", f"PYTHON={sys.executable}", *targets],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


def test_an_old_python_is_refused_with_the_way_out() -> None:
    """A Python that says it is 3.9 gets a sentence, not a failing pip."""
    recipe = MAKEFILE[MAKEFILE.index("$(CREATED):") :]
    assert "Taskfarm needs Python 3.11 or later" in recipe
    assert "make PYTHON=" in recipe
