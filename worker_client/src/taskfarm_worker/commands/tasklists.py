"""Tasklist handlers: from a file to tasks, in the way that a section of an *.ini file says.

The interface is that of PyTaskFarmer: a class whose constructor takes the path, the working folder
and the section's values, with `len(handler)` and `handler[taskid]`. A task is a command, or with a
`command` in the section the input that fills it.
"""

from __future__ import annotations

import glob
import itertools
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from .._answers import Json
from .._errors import ConfigurationError, InvalidArgumentError
from . import lists
from .named import construct, find_section, in_words, unknown

MOST_TASKS = 10_000_000
"""A product with more tasks is taken for a mistake."""

RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(\d+))?")


class TaskList:
    """A list of tasks that a file describes. Derive from it, and set `tasks`, to write one.

    Attributes:
        path: the file.
        workdir: the working folder.
        tasks: a command or an input per task.
        command: the template that inputs fill; None where the tasks are commands.
    """

    command: str | None = None

    def __init__(self, path: str, workdir: str) -> None:
        """Prepare.

        Args:
            path: the file.
            workdir: the working folder.
        """
        self.path = path
        self.workdir = workdir
        self.tasks: list[Json] = []

    def lock(self) -> None:
        """Do nothing: there is nothing to lock. Handlers written for PyTaskFarmer call it."""

    def unlock(self) -> None:
        """Do nothing, likewise."""

    def __len__(self) -> int:
        """How many tasks there are."""
        return len(self.tasks)

    def __getitem__(self, taskid: int) -> Json:
        """What a task is to run."""
        return self.tasks[taskid]


class ListTaskList(TaskList):
    """A command per line; blank lines and # comments are passed over."""

    def __init__(self, path: str, workdir: str) -> None:
        """Read the list."""
        super().__init__(path, workdir)
        self.tasks = lists.read(path, "lines")


class CsvTaskList(TaskList):
    """A row of a CSV file per task; its head names what the command asks for."""

    kind = "csv"

    def __init__(self, path: str, workdir: str, command: str) -> None:
        """Read the rows.

        Args:
            path: the file.
            workdir: the working folder.
            command: the template.
        """
        super().__init__(path, workdir)
        self.command = command
        self.tasks = lists.read(path, self.kind)


class NdjsonTaskList(CsvTaskList):
    """A line of JSON per task."""

    kind = "ndjson"


class GlobTaskList(TaskList):
    """A task per file that a pattern finds; the tasklist has a pattern per line."""

    def __init__(self, path: str, workdir: str, command: str) -> None:
        """Look for the files.

        Args:
            path: the file with the patterns.
            workdir: the working folder.
            command: the template, with `{file}`, `{name}` (without folders) and `{stem}`.
        """
        super().__init__(path, workdir)
        self.command = command
        self.tasks = found_by(lists.read(path, "lines"))


class ProductTaskList(TaskList):
    """A task per combination of values; the tasklist has a line `name = value value …` per name."""

    def __init__(self, path: str, workdir: str, command: str) -> None:
        """Make the combinations.

        Args:
            path: the file with the values; `1..10` and `0..100..10` are ranges.
            workdir: the working folder.
            command: the template.
        """
        super().__init__(path, workdir)
        self.command = command
        self.tasks = product_of(lists.read(path, "lines"))


HANDLERS: dict[str, type] = {
    "ListTaskList": ListTaskList,
    "CsvTaskList": CsvTaskList,
    "NdjsonTaskList": NdjsonTaskList,
    "GlobTaskList": GlobTaskList,
    "ProductTaskList": ProductTaskList,
}
"""Classes that need no path."""


def handled(name: str, path: str, workdir: str, here: str = "") -> tuple[list[Json], str | None]:
    """Let a handler read a tasklist.

    Args:
        name: of a section in an *.ini file.
        path: the tasklist.
        workdir: the working folder.
        here: a further folder in which *.ini files and classes are looked for.

    Returns:
        an input per task, and the template if they are not commands themselves.

    Raises:
        ConfigurationError: there is no such handler, or it cannot be made.
    """
    section = find_section(name, "TaskList", here)
    if section is None:
        raise ConfigurationError(unknown(name, "TaskList", ("default",), here))
    kind, given, where = section
    group, arguments = "taskfarm.tasklists", (path, workdir)
    handler = construct(kind, group, where, arguments, given, HANDLERS, here)
    command = getattr(handler, "command", None)
    try:
        tasks = [handler[number] for number in range(len(handler))]
        json.dumps(tasks)
    except (Exception, SystemExit) as error:  # the class is somebody else's
        raise ConfigurationError(f"{where}: the tasks of {path}: {in_words(error)}") from None
    return tasks, command if isinstance(command, str) else None


def found_by(patterns: Sequence[str]) -> list[Json]:
    """Find files.

    Args:
        patterns: such as `data/**/*.nc`.

    Returns:
        an input per file, in order and each once.

    Raises:
        InvalidArgumentError: a pattern finds nothing.
    """
    files: dict[str, None] = {}
    for pattern in patterns:
        found = sorted(glob.glob(pattern, recursive=True))
        if not found:
            raise InvalidArgumentError(f"No file is found by {pattern!r}.")
        files.update(dict.fromkeys(found))
    return [{"file": file, "name": Path(file).name, "stem": Path(file).stem} for file in files]


def product_of(lines: Iterable[str]) -> list[Json]:
    """Combine values.

    Args:
        lines: `name = value value …`.

    Returns:
        an input per combination; the last name varies fastest.

    Raises:
        InvalidArgumentError: a line is not like that, or there are far too many combinations.
    """
    names: dict[str, list[str]] = {}
    for line in lines:
        name, equals, text = line.partition("=")
        name = name.strip()
        values = list(_values(text))
        if not equals or not name or not values or name in names:
            raise InvalidArgumentError(
                f"{line!r} is not of the form 'name = value value …', with each name once."
            )
        names[name] = values
    return list(_combinations(names))


def _values(text: str) -> Iterator[str]:
    """Words as a shell has them, commas between them allowed; ranges written out."""
    try:
        words = shlex.split(text.replace(",", " "))
    except ValueError as error:
        raise InvalidArgumentError(f"{text.strip()!r}: {error}.") from None
    for word in words:
        span = RANGE.fullmatch(word)
        if span is None:
            yield word
            continue
        first, last, step = int(span[1]), int(span[2]), int(span[3] or 1)
        if abs(last - first) // max(step, 1) > MOST_TASKS or step < 1:
            raise InvalidArgumentError(f"The range {word} is too long, or has no step.")
        way = step if last >= first else -step
        yield from map(str, range(first, last + (1 if way > 0 else -1), way))


def _combinations(names: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    count = 1
    for values in names.values():
        count *= len(values)
    if count > MOST_TASKS:
        raise InvalidArgumentError(f"That makes {count:,} tasks; {MOST_TASKS:,} at most.")
    for combination in itertools.product(*names.values()):
        yield dict(zip(names, combination))
