"""Commands from templates: `prog --tile {tile} {task}`, filled from the input of a task."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from string import Formatter

from .._answers import Json
from .._errors import InvalidArgumentError

WHOLE = ("task", "input")
"""Names that every task has: its number, and its whole input."""

COMMAS = "The columns of a CSV are separated by commas."

HINT = "Write {{ and }} where the command itself has braces."


class Template:
    """A command with names in braces.

    `{name}` stands for a column or a key of the input, quoted for the shell where needed;
    `{name:raw}` for the same as it is; `{task:05d}` is a number in Python's format.
    """

    def __init__(self, text: str) -> None:
        """Take a template apart.

        Args:
            text: the template.

        Raises:
            InvalidArgumentError: its braces make no sense.
        """
        self.text = text
        try:
            self._parts = [part[:3] for part in Formatter().parse(text)]
        except ValueError as error:
            raise InvalidArgumentError(f"The command {text!r}: {error}. {HINT}") from None
        for name in self.names:
            if not name.replace("-", "_").replace(".", "_").replace(" ", "_").isidentifier():
                raise InvalidArgumentError(f"The command has no name in {{{name}}}. {HINT}")

    @property
    def names(self) -> list[str]:
        """What it asks for."""
        return [name for _, name, _ in self._parts if name is not None]

    def check(self, known: Mapping[str, Json] | None) -> None:
        """See whether an input has all that is asked for.

        Args:
            known: the input of a task; None for tasks without one.

        Raises:
            InvalidArgumentError: it lacks something.
        """
        given = [] if known is None else list(known)
        for name in self.names:
            if name not in given and name not in WHOLE:
                there = ", ".join([*WHOLE[: 1 if known is None else 2], *given])
                hint = COMMAS if len(given) == 1 and set(";\t") & set(given[0]) else HINT
                raise InvalidArgumentError(
                    f"The command asks for {{{name}}}, and there are only: {there}. {hint}"
                )

    def fill(self, number: int, given: Json) -> str:
        """Make the command of a task.

        Args:
            number: of the task.
            given: its input.

        Returns:
            the command for a shell.

        Raises:
            InvalidArgumentError: the input lacks something, or does not fit its format.
        """
        values: dict[str, Json] = {**given} if isinstance(given, dict) else {}
        values.setdefault("task", number)
        values.setdefault("input", given)
        pieces = []
        for literal, name, form in self._parts:
            pieces.append(literal)
            if name is None:
                continue
            if name not in values:
                raise InvalidArgumentError(f"The input of task {number} has no {name!r}.")
            pieces.append(_shown(values[name], form or "", name, number))
        return "".join(pieces)


def _shown(value: Json, form: str, name: str, number: int) -> str:
    """A value in a command."""
    if form in ("", "raw"):
        text = value if isinstance(value, str) else json.dumps(value)
        return text if form == "raw" else shlex.quote(text)
    try:
        return shlex.quote(format(value, form))
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(
            f"{{{name}:{form}}} does not fit the input of task {number}, {value!r}: {error}."
        ) from None


def command_of(template: Template | None, number: int, given: Json) -> str:
    """Tell what a task is to run.

    Args:
        template: the run's; None where the inputs are the commands.
        number: of the task.
        given: its input.

    Returns:
        the command for a shell.

    Raises:
        InvalidArgumentError: there is no command in this.
    """
    if template is not None:
        return template.fill(number, given)
    if isinstance(given, dict):
        given = given.get("command")
    if isinstance(given, str) and given.strip():
        return given
    raise InvalidArgumentError(
        f"Task {number} is no command: its run has no template, and its input is "
        f"{json.dumps(given)[:60]}. Use Run.work with a function, or submit commands."
    )
