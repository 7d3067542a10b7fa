"""The peer's own virtual environment: the published server and client at pinned versions."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from .paths import PEER_REQUIREMENTS, PEER_VENV


def peer_python() -> Path:
    """Its interpreter; the environment is made on first use, and again when the pins change."""
    python = PEER_VENV / "bin" / "python"
    stamp = PEER_VENV / "installed-requirements.txt"
    wanted = PEER_REQUIREMENTS.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print("installing the peer ...", flush=True)
        venv.create(PEER_VENV, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "-r", str(PEER_REQUIREMENTS)]
        subprocess.run(pip, check=True)
        stamp.write_text(wanted)
    return python
