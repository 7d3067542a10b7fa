"""Run an operation again when the database asks for it: a deadlock, a serialization failure."""

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import Error, connection

from runs import prepared

TRIES = 6
# PostgreSQL's codes for deadlock_detected and serialization_failure.
CODES = {"40P01", "40001"}

P = ParamSpec("P")
R = TypeVar("R")


def wants_another_try(error: Error) -> bool:
    """Whether the database rolled the operation back for nothing that it did wrong."""
    return getattr(error.__cause__, "pgcode", None) in CODES or prepared.missed(error)


def rerun_on_conflict(operation: Callable[P, R]) -> Callable[P, R]:
    """Give an operation that is one whole transaction up to six tries.

    Inside somebody else's transaction it is tried once: only the outermost can start again.
    """

    @functools.wraps(operation)
    def attempt(*args: P.args, **kwargs: P.kwargs) -> R:
        if connection.in_atomic_block:
            return operation(*args, **kwargs)
        for turn in range(1, TRIES):
            try:
                with prepared.begun_again():
                    return operation(*args, **kwargs)
            except Error as error:
                if not wants_another_try(error):
                    raise
                time.sleep(random.uniform(0, 0.005 * 2**turn))
        return operation(*args, **kwargs)

    return attempt
