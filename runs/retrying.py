"""Run an operation again when the database asks for it: a deadlock, a serialization failure."""

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

TRIES = 6
# PostgreSQL's codes for deadlock_detected and serialization_failure.
CODES = {"40P01", "40001"}

P = ParamSpec("P")
R = TypeVar("R")


def wants_another_try(error: OperationalError) -> bool:
    """Whether the database rolled the operation back only because of others' transactions."""
    return getattr(error.__cause__, "pgcode", None) in CODES


def rerun_on_conflict(operation: Callable[P, R]) -> Callable[P, R]:
    """Give an operation that is one whole transaction up to six tries.

    Inside somebody else's transaction it is tried once: only the outermost can start again.
    """

    @functools.wraps(operation)
    def attempt(*args: P.args, **kwargs: P.kwargs) -> R:
        for turn in range(1, TRIES):
            try:
                return operation(*args, **kwargs)
            except OperationalError as error:
                if connection.in_atomic_block or not wants_another_try(error):
                    raise
                time.sleep(random.uniform(0, 0.005 * 2**turn))
        return operation(*args, **kwargs)

    return attempt
