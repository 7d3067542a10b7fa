"""What the body of an exchange says and asks for.

The body, all of it optional::

    {"want": 20,                                  tasks that it would like
     "runs": ["UUID", …] | "namespace": "name",   from which runs
     "reports": {"UUID": [                        by run; each names its attempt
        {"task": 17, "attempt": 1, "percentCompleted": 50},
        {"task": 18, "attempt": 1, "status": "done", "output": …any JSON…, "took": 1.2, "ago": 0.3},
        {"task": 19, "attempt": 2, "status": "failed", "error": "…", "exitCode": 1, "log": "…"},
        {"task": 20, "attempt": 1, "status": "released"}]},
     "holding": {"UUID": [[21, 1], [22, 1]]},     what it thinks it has, after these reports
     "timeLeft": 3600}                            seconds until its batch job ends

Many plain successes may be told shortly: ``"done": {"UUID": [[23, 1], [24, 1]]}``, with
their times ``[23, 1, 1.2, 0.3]``.
"""

from collections.abc import Sized
from typing import Any, NoReturn, TypeVar

from runs import attempts, plain, reports
from runs.api.fields import is_text, printable, shown
from runs.attempts import Ending
from runs.errors import InvalidInput, TooLarge
from runs.exchange import Wish
from runs.queue import Report
from runs.states import Outcome

MOST_WANTED = 10_000
MOST_REPORTS = 10_000
MOST_RUNS = 100
"""Runs that one exchange names, all in all: each is a transaction of its own."""
ENDINGS = {
    "done": Outcome.DONE,
    "failed": Outcome.FAILED,
    "timeout": Outcome.TIMEOUT,
    "released": Outcome.RELEASED,
}
Many = TypeVar("Many", bound=Sized)
KNOWN = {"want", "runs", "namespace", "reports", "done", "holding", "timeLeft"}
KNOWN_IN_REPORT = {
    "task", "attempt", "percentCompleted", "status", "output", "error", "exitCode", "log", "took",
    "ago",
}  # fmt: skip
MOST_SECONDS = 10**9


def read_wish(body: Any) -> Wish:
    """What the body says and asks for.

    Raises:
        InvalidInput: something in it makes no sense; nothing was done.
    """
    unknown = sorted(set(body) - KNOWN)
    if unknown:
        refuse(printable(unknown[0]), f"Unknown field; known are: {', '.join(sorted(KNOWN))}.")
    told: dict[str, list[Report]] = {}
    for run, items in mapping(body, "reports").items():
        told.setdefault(run_uuid(run), []).extend(
            read_report(item) for item in listing(items, "reports")
        )
    for run, items in mapping(body, "done").items():
        told.setdefault(run_uuid(run), []).extend(map(read_done, listing(items, "done")))
    if sum(map(len, told.values())) > MOST_REPORTS:
        refuse("reports", f"At most {MOST_REPORTS} reports fit into one exchange.")
    holding = read_holding(body)
    runs = [run_uuid(one) for one in few(listing(body.get("runs", []), "runs"), "runs")]
    few({*told, *(holding or ()), *runs}, "runs")
    return Wish(
        reports=told,
        holding=holding,
        want=number(body.get("want", 0), "want", 0, MOST_WANTED),
        runs=runs,
        namespace=read_namespace(body),
        time_left=read_time_left(body),
    )


def read_namespace(body: dict[str, Any]) -> str | None:
    """The namespace that tasks are asked from, if it is named."""
    name = body.get("namespace")
    if name is None:
        return None
    if not isinstance(name, str) or not is_text(name):
        refuse("namespace", f"Must be a text without NUL, in valid Unicode, not {shown(name)}.")
    return name


def read_holding(body: dict[str, Any]) -> dict[str, set[tuple[int, int]]] | None:
    """What the worker says that it holds; None where it does not say."""
    if body.get("holding") is None:
        return None
    return {
        run_uuid(run): set(pairs(items, "holding"))
        for run, items in mapping(body, "holding").items()
    }


def read_time_left(body: dict[str, Any]) -> float | None:
    """The seconds until the worker's batch job ends, if it says."""
    value = body.get("timeLeft")
    if value is None:
        return None
    if not is_real(value):
        refuse("timeLeft", f"Must be a number of seconds, not {shown(value)}.")
    try:
        return float(value)
    except OverflowError:
        refuse("timeLeft", "Must be a number of seconds, not one beyond all bounds.")


def read_report(item: Any) -> Report:
    """One report."""
    if not isinstance(item, dict):
        refuse("reports", "Each report must be an object.")
    unknown = sorted(set(item) - KNOWN_IN_REPORT)
    if unknown:
        refuse("reports", f"Unknown field {unknown[0][:64]!r} in a report.")
    task = number(item.get("task"), "task", 0, 2**31 - 1)
    attempt = number(item.get("attempt"), "attempt", 1, 2**31 - 1)
    percent = item.get("percentCompleted")
    if percent is not None and not (is_real(percent) and 0 <= percent <= 100):
        refuse("percentCompleted", "Must be a number from 0 to 100.")
    status = item.get("status")
    if status is None:
        check_progress(item)
        return Report(task, attempt, percent=float(item["percentCompleted"]))
    if not isinstance(status, str) or status not in ENDINGS:
        refuse("status", f"There is no status {shown(status)}: {', '.join(ENDINGS)}.")
    return Report(task, attempt, percent=percent, ending=read_ending(item, ENDINGS[status]))


def check_progress(item: dict[str, Any]) -> None:
    """Refuse a report without a status that tells no progress, or tells of an end."""
    task = item["task"]
    if item.get("percentCompleted") is None:
        refuse("reports", f"The report on task {task} says neither percentage nor status.")
    for name in ("took", "ago"):
        if name in item:
            refuse(name, f"Task {task} has not ended by this report: it has no status.")


def read_done(item: Any) -> Report:
    """One success that is told shortly."""
    if isinstance(item, list) and len(item) == 4:
        took, ago = seconds(item[2], "done"), seconds(item[3], "done")
        return Report(*pair(item[:2], "done"), ending=Ending(Outcome.DONE, took=took, ago=ago))
    if isinstance(item, list) and len(item) == 2:
        return Report(*pair(item, "done"), ending=Ending(Outcome.DONE))
    refuse("done", "Each must be [task, attempt] or [task, attempt, took, ago].")


def read_ending(item: dict[str, Any], outcome: Outcome) -> Ending:
    """How a reported attempt ended."""
    output = None
    if item.get("output") is not None:
        output = read_output(item)
    for name in ("error", "log"):
        if not isinstance(item.get(name, ""), str):
            refuse(name, "Must be a string.")
    code = item.get("exitCode")
    return Ending(
        outcome,
        exit_code=None if code is None else number(code, "exitCode", -(2**31), 2**31 - 1),
        output=output,
        error=item.get("error"),
        log_tail=item.get("log"),
        **read_times(item),
    )


def read_times(item: dict[str, Any]) -> dict[str, float]:
    """How long a reported attempt took and how long ago it ended, as far as it is told."""
    times = {
        name: seconds(item[name], name) for name in ("took", "ago") if item.get(name) is not None
    }
    if "ago" in times and "took" not in times:
        refuse("ago", f"It says when task {item['task']} ended: say with 'took' how long it took.")
    return times


def seconds(value: Any, name: str) -> float:
    """A number of seconds."""
    if type(value) is float and 0 <= value <= MOST_SECONDS:  # nearly always
        return value
    if not is_real(value) or not 0 <= value <= MOST_SECONDS:
        refuse(name, f"Must be seconds from 0 to {MOST_SECONDS}, not {shown(value)}.")
    return float(value)


def read_output(item: dict[str, Any]) -> str:
    """The output in a report as the JSON that is kept: to the letter, or not at all."""
    try:
        output = plain.dump(item["output"])
    except ValueError as error:
        refuse("output", f"That of task {item['task']} is no JSON that can be kept: {error}.")
    if len(output) > attempts.MOST_OUTPUT:
        reason = (
            f"The output of task {item['task']} has {len(output)} characters; an attempt "
            f"keeps {attempts.MOST_OUTPUT} at most. Write it to a file, report its path."
        )
        raise TooLarge(reason, {"output": [reason]})
    return output


def refuse(name: str, reason: str) -> NoReturn:
    """Refuse the body for one of its fields.

    Raises:
        InvalidInput: always.
    """
    raise InvalidInput(f"{name}: {reason}", {name: [reason]})


def mapping(body: dict[str, Any], name: str) -> dict[str, Any]:
    """An object of the body; empty where it is missing."""
    value = body.get(name, {})
    if not isinstance(value, dict):
        refuse(name, "Must be an object: run → list.")
    return dict(few(value, name))


def few(runs: Many, name: str) -> Many:
    """The runs of a field, or of all, if one exchange takes so many."""
    if len(runs) > MOST_RUNS:
        refuse(name, f"One exchange names {MOST_RUNS} runs at most, not {len(runs)}.")
    return runs


def listing(value: Any, name: str) -> list[Any]:
    """A list of the body."""
    if not isinstance(value, list):
        refuse(name, "Must be a list.")
    return list(value)


def pairs(value: Any, name: str) -> list[tuple[int, int]]:
    """A list of [task, attempt]."""
    return [pair(item, name) for item in listing(value, name)]


def pair(item: Any, name: str) -> tuple[int, int]:
    """A [task, attempt]."""
    if not (isinstance(item, list) and len(item) == 2):
        refuse(name, "Each must be [task, attempt].")
    return number(item[0], name, 0, 2**31 - 1), number(item[1], name, 1, 2**31 - 1)


def number(value: Any, name: str, least: int, most: int) -> int:
    """A whole number in a range."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        refuse(name, f"Must be a whole number from {least} to {most}, not {shown(value)}.")
    return int(value)


def is_real(value: Any) -> bool:
    """A JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def run_uuid(value: Any) -> str:
    """A run's UUID as 32 hex digits; RunNotFound where it is malformed."""
    if not isinstance(value, str):
        refuse("runs", f"Each must be the UUID of a run, not {shown(value)}.")
    return reports.parse_uuid(value).hex
