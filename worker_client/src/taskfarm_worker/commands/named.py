"""Runners and tasklist handlers by name, from *.ini files as PyTaskFarmer has them.

A section is a runner if it has the key `Runner`, a handler if it has `TaskList`: the class, by its
dotted path or the name of an entry point. All other keys are arguments of its constructor.
"""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._errors import ConfigurationError, TaskFarmError
from .runners import (
    ApptainerRunner,
    BasicRunner,
    DockerRunner,
    PodmanRunner,
    Runner,
    ShellRunner,
    ShifterRunner,
)

HOMES = ("~/.pytaskfarmer", "~/.taskfarm")
"""Where the folders `runners.d` and `tasklists.d` are; what is found later, counts."""

OURS: dict[str, type] = {
    "BasicRunner": BasicRunner,
    "ShellRunner": ShellRunner,
    "ShifterRunner": ShifterRunner,
    "ApptainerRunner": ApptainerRunner,
    "SingularityRunner": ApptainerRunner,
    "DockerRunner": DockerRunner,
    "PodmanRunner": PodmanRunner,
}
"""Classes that need no path."""


def runner_named(name: str) -> Runner:
    """Make a runner.

    Args:
        name: of a section; `default` is the basic runner, unless a section says otherwise, and
            `shell` one that runs everything in a shell.

    Returns:
        the runner: it has `run` and `terminate`.

    Raises:
        ConfigurationError: there is none of this name, or it cannot be made.
    """
    section = find_section(name, "Runner")
    if section is None:
        plain = ("default", "shell")
        if name not in plain:
            raise ConfigurationError(unknown(name, "Runner", plain))
        return BasicRunner() if name == "default" else ShellRunner()
    path, given, where = section
    made: Runner = construct(path, "taskfarm.runners", where, (), given)
    if not callable(getattr(made, "run", None)):
        raise ConfigurationError(f"{where}: {path} is no runner, as it has no method 'run'.")
    return made


Section = tuple[str, dict[str, str], str]
"""The class of a section, its other values, and where it stands."""


def find_section(name: str, key: str) -> Section | None:
    """Find a section in the *.ini files.

    Args:
        name: of the section.
        key: `Runner` or `TaskList`.

    Returns:
        what it says; None where there is none.
    """
    found = None
    for file, parser in _parsers(key):
        if parser.has_section(name) and key in parser[name]:
            values = {one: _value(parser, name, one) for one in parser[name]}
            found = values.pop(key), values, f"{file} [{name}]"
    return found


def unknown(name: str, key: str, built_in: Any) -> str:  # noqa: ANN401  # any collection of names
    """Say that there is no such name, and which there are.

    Args:
        name: what was asked for.
        key: `Runner` or `TaskList`.
        built_in: names that need no file.

    Returns:
        a sentence.
    """
    names = set(built_in)
    for _, parser in _parsers(key):
        names |= {one for one in parser.sections() if key in parser[one]}
    folders = ", ".join(map(str, _folders(key)))
    what = "runner" if key == "Runner" else "tasklist handler"
    return (
        f"There is no {what} {name!r} in the *.ini files of {folders}: {', '.join(sorted(names))}."
    )


def construct(
    path: str,
    group: str,
    where: str,
    arguments: tuple[object, ...],
    options: dict[str, str],
    ours: dict[str, type] | None = None,
) -> Any:  # noqa: ANN401  # a class of somebody else
    """Make an object of a class that is named.

    Args:
        path: `package.module.Class`, `package.module:Class`, or the name of an entry point.
        group: of the entry points.
        where: it is named, for error messages.
        arguments: of the constructor.
        options: the named ones.
        ours: classes that need no path.

    Returns:
        the object.

    Raises:
        ConfigurationError: there is no such class, or it does not take these arguments.
    """
    kind = {**OURS, **(ours or {})}.get(path) or _entry_point(path, group) or _imported(path, where)
    try:
        return kind(*arguments, **options)
    except TypeError as error:
        raise ConfigurationError(f"{where}: {error}.") from None
    except (TaskFarmError, OSError) as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _entry_point(name: str, group: str) -> Any:  # noqa: ANN401
    points: Any = importlib.metadata.entry_points()
    newer = hasattr(points, "select")  # than Python 3.9
    found = points.select(group=group) if newer else points.get(group, ())
    return next((one.load() for one in found if one.name == name), None)


def _imported(path: str, where: str) -> Any:  # noqa: ANN401
    """A class by its path; the current folder is looked in last."""
    module, _, name = path.replace(":", ".").rpartition(".")
    here = os.getcwd()
    sys.path.append(here)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"{where}: {path} cannot be loaded: {error}.") from None
    finally:
        sys.path.remove(here)


def _folders(key: str) -> list[Path]:
    below = "runners.d" if key == "Runner" else "tasklists.d"
    return [*(Path(home).expanduser() / below for home in HOMES), Path()]


def _parsers(key: str) -> Iterator[tuple[Path, configparser.ConfigParser]]:
    """The files; one that is no such file is somebody else's."""
    for folder in _folders(key):
        for file in sorted(folder.glob("*.ini")):
            parser = configparser.ConfigParser()
            parser.optionxform = str  # type: ignore[assignment,method-assign]
            try:
                parser.read(file, "utf-8")
            except (configparser.Error, UnicodeDecodeError, OSError):
                continue
            yield file, parser


def _value(parser: configparser.ConfigParser, section: str, name: str) -> str:
    """A value; `%` means itself where it makes no sense as a reference."""
    try:
        return parser.get(section, name)
    except configparser.InterpolationError:
        return parser.get(section, name, raw=True)
