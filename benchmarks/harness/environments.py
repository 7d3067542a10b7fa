"""What we are compared with has virtual environments of its own, at pinned versions."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from .paths import (
    COMMAND_PEERS_REQUIREMENTS,
    COMMAND_PEERS_VENV,
    FLOWER_REQUIREMENTS,
    FLOWER_VENV,
    PEER_REQUIREMENTS,
    PEER_VENV,
    PROCRASTINATE_REQUIREMENTS,
    PROCRASTINATE_VENV,
)


def peer_python() -> Path:
    """The interpreter of the published server and client."""
    return python_in(PEER_VENV, PEER_REQUIREMENTS)


def procrastinate_python() -> Path:
    """The interpreter of procrastinate."""
    return python_in(PROCRASTINATE_VENV, PROCRASTINATE_REQUIREMENTS)


def flower_python() -> Path:
    """The interpreter of Flower."""
    return python_in(FLOWER_VENV, FLOWER_REQUIREMENTS)


def command_peers_python() -> Path:
    """The interpreter of HyperQueue and PyTaskFarmer."""
    return python_in(COMMAND_PEERS_VENV, COMMAND_PEERS_REQUIREMENTS)


def python_in(folder: Path, requirements: Path) -> Path:
    """The interpreter of an environment: made on first use, and again when the pins change."""
    python = folder / "bin" / "python"
    stamp = folder / "installed-requirements.txt"
    wanted = requirements.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {requirements.name} ...", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)]
        subprocess.run(pip, check=True)
        stamp.write_text(wanted)
    return python
