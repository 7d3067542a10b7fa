"""What the admin's actions do to each of the selected runs, and how they ask before."""

from collections.abc import Callable
from dataclasses import dataclass

from runs import lifecycle, restarts, steering, tallies
from runs.models import Run
from runs.states import RunState, TaskState
from runs.tallies import Counts


@dataclass(frozen=True)
class Order:
    """What an action does to each of the selected runs.

    Attributes:
        question: what is asked before.
        meaning: what will happen.
        button: what the answer says.
        said: what is told afterwards, with ``{runs}`` and ``{tasks}``.
        perform: does it to a run, with the user's name and reason; answers how many tasks.
        states: the states whose tasks it touches.
        run_states: the states of a run from which it exists.
        kept: whether the run and its history, and so the reason, are still there afterwards.
    """

    question: str
    meaning: str
    button: str
    said: str
    perform: Callable[[Run, str, str], int]
    states: tuple[TaskState, ...]
    run_states: tuple[RunState, ...] = tuple(RunState)
    kept: bool = True

    @property
    def goes_on(self) -> bool:
        """Whether it would next be done to other runs, were all in the list selected again."""
        return not self.kept or len(self.run_states) < len(RunState)

    def touched(self, run: Run, counts: Counts) -> int | None:
        """How many tasks of a run it touches; None where it does not exist for the run."""
        return sum(map(counts.of, self.states)) if run.state in self.run_states else None


def pause(run: Run, by: str, why: str) -> int:
    """Pause a run; answers how many tasks are held back."""
    steering.pause(run=run, who=by, why=why)
    return tallies.read(run.id).waiting


def resume(run: Run, by: str, why: str) -> int:
    """Resume a run; answers how many tasks can be handed out."""
    steering.resume(run=run, who=by, why=why)
    return tallies.read(run.id).waiting


def delete(run: Run, by: str, why: str) -> int:
    """Delete a run; answers how many tasks went with it."""
    return lifecycle.delete_run(run=run)


ORDERS = {
    "pause": Order(
        question="Pause these runs?",
        meaning="Nothing more is handed out until somebody resumes them. What computes now goes "
        "on, and its reports count.",
        button="Pause",
        said="Paused {runs}: {tasks} held back.",
        perform=pause,
        states=(TaskState.WAITING,),
        run_states=(RunState.ACTIVE,),
    ),
    "resume": Order(
        question="Resume these runs?",
        meaning="Workers get tasks again. A gate that the canaries had closed is opened.",
        button="Resume",
        said="Resumed {runs}: {tasks} can be handed out.",
        perform=resume,
        states=(TaskState.WAITING,),
        run_states=(RunState.PAUSED,),
    ),
    "restart_unfinished": Order(
        question="Restart unfinished tasks?",
        meaning="Tasks that are computing, failed or cancelled wait again and keep their "
        "percentage; those that are done stay done. A worker that still computes one of them is "
        "too late.",
        button="Restart",
        said="Restarted {tasks}.",
        perform=lambda run, by, why: restarts.restart(run=run, by=by, why=why),
        states=restarts.UNFINISHED,
    ),
    "restart_all": Order(
        question="Restart all tasks?",
        meaning="Every task starts from 0 again, those that are done included. A worker that "
        "still computes one of them is too late.",
        button="Restart",
        said="Restarted {tasks}.",
        perform=lambda run, by, why: restarts.restart(run=run, everything=True, by=by, why=why),
        states=tuple(state for state in TaskState if state != TaskState.WAITING),
    ),
    "cancel": Order(
        question="Cancel what is left?",
        meaning="What waits is never handed out; what computes is called off, and its worker is "
        "told. Tasks that have ended stay what they are. A restart takes cancelled tasks up again.",
        button="Cancel",
        said="Cancelled {tasks} of {runs}.",
        perform=lambda run, by, why: steering.cancel(run=run, who=by, why=why),
        states=(TaskState.WAITING, TaskState.COMPUTING),
        run_states=(RunState.ACTIVE, RunState.PAUSED),
    ),
    "delete_selected": Order(
        question="Delete these runs?",
        meaning="They go with all their tasks and attempts, for good. Workers that still compute "
        "for them are told that they are gone.",
        button="Delete",
        said="Deleted {runs} with {tasks}.",
        perform=delete,
        states=tuple(TaskState),
        kept=False,
    ),
}
"""What people can do to runs here: the word in the form → what it does."""
