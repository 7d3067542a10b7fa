"""Where things are."""

from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
PROJECT = BENCHMARKS.parent
RESULTS = BENCHMARKS / "results"
TRIAL_RESULTS = RESULTS / "trial"
DRIVERS = BENCHMARKS / "drivers"
PEER_VENV = BENCHMARKS / ".peer-venv"
PEER_REQUIREMENTS = BENCHMARKS / "peer-requirements.txt"
PROCRASTINATE_VENV = BENCHMARKS / ".procrastinate-venv"
PROCRASTINATE_REQUIREMENTS = BENCHMARKS / "procrastinate-requirements.txt"
FLOWER_VENV = BENCHMARKS / ".flower-venv"
FLOWER_REQUIREMENTS = BENCHMARKS / "flower-requirements.txt"
COMMAND_PEERS_VENV = BENCHMARKS / ".command-peers-venv"
COMMAND_PEERS_REQUIREMENTS = BENCHMARKS / "command-peers-requirements.txt"
