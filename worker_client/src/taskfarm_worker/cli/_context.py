"""What every command gets: its arguments, the farm, and the screen."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cached_property

from .. import _config
from .._connect import Farm
from .._errors import ConfigurationError
from .._run import Run
from .._session import SHORT_PATIENCE, ServerSession
from ._names import run_named
from ._screen import Screen

DONE = 0
ERROR = 1
USAGE = 2
TASKS_FAILED = 3
CANCELLED = 4
STOPPED = 75
"""Ended early, by `--timeout` or SIGUSR1; its tasks are given back (EX_TEMPFAIL: start again)."""
TIMED_OUT = 124
"""`wait --timeout`, as timeout(1) has it."""


class Context:
    """One call of the command line.

    Attributes:
        args: what the user said.
        screen: where output goes.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        """Prepare; the farm is not called yet.

        Args:
            args: what the user said.
        """
        self.args = args
        self.screen = Screen(
            as_json=getattr(args, "json", False), quiet=getattr(args, "quiet", False)
        )

    @cached_property
    def farm(self) -> Farm:
        """The farm."""
        settings = _config.resolve(self.args.url)
        if settings.credentials is None:
            default = settings.url == _config.DEFAULT_URL
            raise ConfigurationError(
                f"Not logged in at {settings.url}: run 'taskfarm login "
                f"{'URL' if default else settings.url}', or set TASKFARM_USER and "
                "TASKFARM_PASSWORD, or TASKFARM_TOKEN (and TASKFARM_URL for another server)."
            )
        seconds = _config.patience(None, SHORT_PATIENCE)
        return Farm(ServerSession(settings, patience=seconds))

    @cached_property
    def run(self) -> Run:
        """The run that is meant."""
        return run_named(self.farm, self.args.run)

    @property
    def runs(self) -> list[Run]:
        """The runs that are meant; all of them exist before anything is done to one."""
        return [run_named(self.farm, one) for one in self.args.runs]


Command = Callable[[Context], int]
"""Does what a command is for; returns the exit code."""
