"""Everything that can be refused, as one tree without HTTP in it.

    FarmError
    ├── InvalidInput      what was given makes no sense; ``fields`` says where; TooLarge, CutOff
    ├── NotFound          RunNotFound, TaskNotFound, WorkerNotFound, EventNotFound, UnknownInfo
    └── Conflict          StaleReport, WorkerExists, StateConflict, KeyTaken

The API maps each class to a status in one place (``runs/api/errors.py``); pages and commands show
the same sentence. A class's ``code`` is part of the API: programs may rely on it.
"""


class FarmError(Exception):
    """Something was refused and nothing was changed. The text says what, why, and what to do."""

    code = "error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(FarmError):
    """What was given is out of range or of the wrong kind."""

    code = "invalid"

    def __init__(self, detail: str, fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(detail)
        self.fields = fields or {}


class TooLarge(InvalidInput):
    """An input, output or log is larger than the farm keeps."""

    code = "too_large"


class CutOff(InvalidInput):
    """A stream of inputs ended before all of it had come; what was added before stays."""

    code = "cut_off"


class NotFound(FarmError):
    """There is no such thing, or it is not the caller's to see."""

    code = "not_found"


class RunNotFound(NotFound):
    """No run with this UUID that the caller may see."""

    code = "run_not_found"

    def __init__(self, uuid: object) -> None:
        super().__init__(f"There is no run {str(uuid)[:64]!r} that you may see.")


class TaskNotFound(NotFound):
    """The number is outside the run."""

    code = "task_not_found"

    def __init__(self, number: object, num_tasks: int) -> None:
        last = f"from 0 to {num_tasks - 1}" if num_tasks else "none, it is empty"
        super().__init__(f"There is no task {number} in this run; its tasks are: {last}.")


class WorkerNotFound(NotFound):
    """No worker with this UUID that belongs to the caller."""

    code = "worker_not_found"

    def __init__(self, uuid: object) -> None:
        super().__init__(
            f"There is no worker {str(uuid)[:64]!r} of yours: "
            "register it first with POST /api/worker."
        )


class EventNotFound(NotFound):
    """No event of this id in the run."""

    code = "event_not_found"

    def __init__(self, id: object) -> None:
        super().__init__(f"There is no event {str(id)[:20]} of this run.")


class UnknownInfo(NotFound):
    """The ``info`` that was asked for does not exist."""

    code = "unknown_info"

    def __init__(self, info: str, known: list[str], *, what: str = "info") -> None:
        super().__init__(f"There is no {what} {info[:64]!r}; it can be one of {', '.join(known)}.")


class Conflict(FarmError):
    """The state of things does not allow it now; somebody else may have been faster."""

    code = "conflict"


class StaleReport(Conflict):
    """A report for an attempt that is no longer the task's current one: refused and counted."""

    code = "stale"


class StateConflict(Conflict):
    """The transition does not exist from the state that the task or run is in."""

    code = "state_conflict"


class KeyTaken(Conflict):
    """The key of an append has been used for other tasks: each append needs one of its own."""

    code = "key_taken"


class WorkerExists(Conflict):
    """A worker with this UUID is registered already."""

    code = "worker_exists"

    def __init__(self, uuid: object) -> None:
        super().__init__(
            f"A worker {uuid} is registered already: every worker process needs a UUID of its own."
        )
