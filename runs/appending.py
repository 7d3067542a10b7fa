"""Adding tasks to a run that takes more: plain ones, or one for each input."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import transaction

from runs import events, inputs, lifecycle, tallies
from runs.errors import FarmError, KeyTaken, RunNotFound, StateConflict
from runs.models import Run, RunEvent
from runs.tallies import Counts

CHUNK = 20_000
"""Tasks in one transaction of a stream."""
CHUNK_CHARACTERS = 8 * 2**20
KEYS = 20
"""Keys of the last appends that a run remembers; it looks for one in as many events of appends."""

Added = tuple[int, int]
"""The first new number, and how many tasks were added."""


def append(
    *,
    run: Run,
    num_tasks: int = 0,
    values: list[Any] | None = None,
    who: str = "",
    key: str = "",
    first: int | None = None,
) -> Added:
    """Add tasks at the end of a run, all or none: ``num_tasks`` plain ones, or one for each value.

    Numbers go on from where they were.

    Args:
        run: which takes them.
        num_tasks: how many plain ones; not used where there are values.
        values: an input for each new task, any JSON.
        who: adds them.
        key: the caller's name for this append, if it may have to repeat it: the same key does
            nothing the second time, and is answered as the first time.
        first: the number that the first of them must get, where that matters.

    Raises:
        StateConflict: the run is closed and has been started already, or it is cancelled; or the
            next number is another one.
        KeyTaken: the key came before with other tasks.
        InvalidInput: the run would get too large.
        TooLarge: an input is.
        RunNotFound: the run has been deleted meanwhile.
    """
    texts = None if values is None else list(inputs.encode(values, run.num_tasks))
    digest = digest_of(num_tasks, texts) if key else ""
    with transaction.atomic():
        locked = lock(run)
        before = repeated(locked, key, digest) if key else None
        if before is not None:
            return before
        check_open(locked)
        check_first(locked, first)
        added = add(locked, num_tasks if texts is None else len(texts), texts)
        if added[1]:
            note(locked, added, who, (key, digest))
    run.num_tasks, run.largest_input = locked.num_tasks, locked.largest_input
    return added


def append_stream(*, run: Run, lines: Iterable[bytes], who: str = "") -> Added:
    """Add a task for each line of NDJSON, however many, in constant memory.

    Tasks become visible in chunks. When a line is refused half-way, the chunks before it stay, and
    the error says how many tasks they have; so does the run.

    Raises:
        StateConflict: as for ``append``, or somebody else added tasks meanwhile.
        InvalidInput: a line is no JSON, or the run would get too large.
        CutOff: the stream ended too early.
        TooLarge: a line is.
        RunNotFound: the run has been deleted meanwhile.
    """
    first, count = run.num_tasks, 0
    try:
        for start, added in chunks(run, inputs.lines(lines), who):
            first = first if count else start
            count += added
    except FarmError as error:
        if count:
            error.detail += f" The {count} tasks before it, from number {first} on, were added."
        raise
    return first, count


def chunks(
    run: Run, texts: Iterator[str], who: str, expected: int | None = None
) -> Iterator[Added]:
    """Add a task for each input, a chunk in each transaction; tells of each chunk.

    Args:
        run: which takes them.
        texts: the inputs as JSON.
        who: adds them.
        expected: how many tasks the run must have before; None where that does not matter.

    Raises:
        StateConflict: the run takes none, or somebody else added tasks between two chunks.
        InvalidInput: the run would get too large.
        RunNotFound: it has been deleted meanwhile.
    """
    while chunk := take(texts):
        with transaction.atomic():
            locked = lock(run)
            check_open(locked)
            check_next(locked, expected)
            added = add(locked, len(chunk), chunk)
            note(locked, added, who)
        run.num_tasks, run.largest_input = locked.num_tasks, locked.largest_input
        expected = run.num_tasks
        yield added


def take(texts: Iterable[str]) -> list[str]:
    """The next inputs of a stream, as many as one transaction takes."""
    chunk: list[str] = []
    size = 0
    for text in islice(texts, CHUNK):
        chunk.append(text)
        size += len(text)
        if size > CHUNK_CHARACTERS:
            break
    return chunk


def lock(run: Run) -> Run:
    """The run under a lock on its row: two appends get numbers of their own.

    Raises:
        RunNotFound: it has been deleted meanwhile.
    """
    locked = Run.objects.kept().select_for_update().filter(pk=run.pk).first()
    if locked is None:
        raise RunNotFound(run.uuid.hex)
    return locked


def check_open(run: Run) -> None:
    """Refuse tasks for a run that takes none.

    Raises:
        StateConflict: it is cancelled, or closed and started.
    """
    if run.state == "cancelled":
        raise StateConflict("The run is cancelled and takes no more tasks.")
    if not run.open and run.started is not None:
        raise StateConflict(
            "The run is closed and has been started: set its policy 'open' to true to add tasks."
        )


def check_next(run: Run, expected: int | None) -> None:
    """Refuse to go on with a stream whose numbers would have a gap.

    Raises:
        StateConflict: somebody else added tasks since its last chunk.
    """
    if expected is not None and run.num_tasks != expected:
        raise StateConflict("Somebody else added tasks to the run in the middle of this stream.")


def check_first(run: Run, first: int | None) -> None:
    """Refuse tasks that would get other numbers than their sender thinks.

    Raises:
        StateConflict: somebody else added tasks before, these perhaps.
    """
    if first is not None and run.num_tasks != first:
        raise StateConflict(
            f"The next task that is added gets number {run.num_tasks}, not {first}: nothing was "
            "added."
        )


def add(run: Run, count: int, texts: list[str] | None) -> Added:
    """Add tasks to a locked run; books and inputs in the same transaction.

    Raises:
        InvalidInput: the run would get too large.
    """
    first = run.num_tasks
    lifecycle.check_size(first + count)
    if texts:
        run.largest_input = max(run.largest_input, inputs.store(run.id, first, texts))
    lifecycle.add_numbers(run, first, count)
    tallies.add(run.id, Counts(waiting=count))
    run.num_tasks = first + count
    run.save(update_fields=["num_tasks", "largest_input"])
    return first, count


def note(run: Run, added: Added, who: str, key: tuple[str, str] = ("", "")) -> None:
    """Write it down with its key; one that goes on where the last event ended is that event."""
    first, count = added
    keys = [[key[0], first, count, key[1]]] if key[0] else []
    last = events.latest(run)
    if last is None or last.what != "append" or last.who != who or not follows(last, first):
        details = {"first": first, "keys": keys}
        events.record(run, "append", who=who, tasks=count, details=details)
        return
    last.tasks = (last.tasks or 0) + count
    last.details["keys"] = [*last.details["keys"], *keys][-KEYS:]
    last.save(update_fields=["tasks", "details"])


def follows(last: RunEvent, first: int) -> bool:
    """Whether an append from ``first`` on goes on where the event of another one ended."""
    return bool(last.details["first"] + (last.tasks or 0) == first)


def digest_of(num_tasks: int, texts: list[str] | None) -> str:
    """What tells this append's tasks from others."""
    told = hashlib.sha256(b"plain" if texts is None else b"inputs")
    for text in [str(num_tasks)] if texts is None else texts:
        told.update(b"\n" + text.encode())  # no text has a line break in it
    return told.hexdigest()[:32]


def repeated(run: Run, key: str, digest: str) -> Added | None:
    """What an append with this key added before; None where there was none.

    Raises:
        KeyTaken: it added other tasks.
    """
    for event in events.of_run(run, what="append", limit=KEYS):
        for known, first, count, *others in event.details.get("keys", ()):
            if known != key:
                continue
            if others and others[0] != digest:
                raise KeyTaken(
                    f"The key {key!r} has been used to add other tasks, {count} from number "
                    f"{first} on; nothing was added. Take another key for each append."
                )
            return int(first), int(count)
    return None
