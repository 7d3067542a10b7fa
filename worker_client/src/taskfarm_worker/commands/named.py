"""Runners and tasklist handlers by name, from *.ini files as PyTaskFarmer has them.

A section is a runner if it has the key `Runner`, a handler if it has `TaskList`: the class, by its
dotted path or the name of an entry point. All other keys are arguments of its constructor.
"""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import logging
import os
import sys
from collections.abc import Iterable, Iterator
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

log = logging.getLogger("taskfarm_worker")

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


def runner_named(name: str, here: str = "") -> Runner:
    """Make a runner.

    Args:
        name: of a section; `default` is the basic runner, unless a section says otherwise, and
            `shell` one that runs everything in a shell. Or the dotted path of a class.
        here: a further folder to look in.

    Returns:
        the runner: it has `run` and `terminate`.

    Raises:
        ConfigurationError: there is none of this name, or it cannot be made.
    """
    section = find_section(name, "Runner", here)
    if section is None:
        plain = ("default", "shell")
        if name in plain:
            return BasicRunner() if name == "default" else ShellRunner()
        if "." not in name:
            raise ConfigurationError(unknown(name, "Runner", plain, here))
        section = name, {}, "--runner"
    path, given, where = section
    made: Runner = construct(path, "taskfarm.runners", where, (), given, here=here)
    if not callable(getattr(made, "run", None)):
        raise ConfigurationError(f"{where}: {path} is no runner, as it has no method 'run'.")
    return made


Section = tuple[str, dict[str, str], str]
"""The class of a section, its other values, and where it stands."""


def find_section(name: str, key: str, here: str = "") -> Section | None:
    """Find a section in the *.ini files.

    Args:
        name: of the section.
        key: `Runner` or `TaskList`.
        here: a further folder to look in.

    Returns:
        what it says; None where there is none.
    """
    found = None
    for file, parser in _parsers(key, here):
        if isinstance(parser, str):
            if file.parent.name.endswith(".d"):  # elsewhere it may be somebody else's
                log.warning("%s is passed over: %s", file, parser)
        elif parser.has_section(name) and key in parser[name]:
            values = {one: _value(parser, name, one) for one in parser[name]}
            found = values.pop(key), values, f"{file} [{name}]"
    return found


def unknown(name: str, key: str, built_in: Iterable[str], here: str = "") -> str:
    """Say that there is no such name, and which there are.

    Args:
        name: what was asked for.
        key: `Runner` or `TaskList`.
        built_in: names that need no file.
        here: a further folder that was looked in.

    Returns:
        a sentence.
    """
    names, bad = set(built_in), []
    for file, parser in _parsers(key, here):
        if isinstance(parser, str):
            bad.append(f"{file} is passed over: {parser}")
        else:
            names |= {one for one in parser.sections() if key in parser[one]}
    folders = ", ".join(str(one.absolute()) for one in _folders(key, here))
    what = "runner" if key == "Runner" else "tasklist handler"
    return (
        f"There is no {what} {name!r} in the *.ini files of {folders}: {', '.join(sorted(names))}."
        + "".join(f" {one}" for one in bad)
    )


def construct(
    path: str,
    group: str,
    where: str,
    arguments: tuple[object, ...],
    options: dict[str, str],
    ours: dict[str, type] | None = None,
    here: str = "",
) -> Any:  # noqa: ANN401  # a class of somebody else
    """Make an object of a class that is named.

    Args:
        path: `package.module.Class`, `package.module:Class`, or the name of an entry point.
        group: of the entry points.
        where: it is named, for error messages.
        arguments: of the constructor.
        options: the named ones.
        ours: classes that need no path.
        here: a further folder in which modules are looked for.

    Returns:
        the object.

    Raises:
        ConfigurationError: there is no such class, or it does not take these arguments.
    """
    known = {**OURS, **(ours or {})}
    try:
        kind = known.get(path) or _entry_point(path, group) or _imported(path, here)
    except Exception as error:  # anything may happen in a module of somebody else
        raise ConfigurationError(f"{where}: {path} cannot be loaded: {in_words(error)}.") from None
    try:
        return kind(*arguments, **options)
    except Exception as error:  # and in its class
        raise ConfigurationError(f"{where}: {in_words(error)}") from None


def in_words(error: Exception) -> str:
    """Say what went wrong in somebody else's code.

    Args:
        error: what it raised.

    Returns:
        its own words where they are meant to be read, else with the name of its kind.
    """
    if isinstance(error, (TaskFarmError, ImportError, OSError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _entry_point(name: str, group: str) -> Any:  # noqa: ANN401
    points: Any = importlib.metadata.entry_points()
    newer = hasattr(points, "select")  # than Python 3.9
    found = points.select(group=group) if newer else points.get(group, ())
    return next((one.load() for one in found if one.name == name), None)


def _imported(path: str, here: str) -> Any:  # noqa: ANN401
    """A class by its path; the current folder is looked in last."""
    module, _, name = path.replace(":", ".").rpartition(".")
    added = [*([here] if here else []), os.getcwd()]
    sys.path += added
    try:
        return getattr(importlib.import_module(module), name)
    finally:
        for one in added:  # the module may have added some of its own
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(one)]


def _folders(key: str, here: str) -> list[Path]:
    below = "runners.d" if key == "Runner" else "tasklists.d"
    homes = [Path(home).expanduser() / below for home in HOMES]
    return [*homes, *([Path(here)] if here and Path(here) != Path.cwd() else []), Path()]


def _parsers(key: str, here: str) -> Iterator[tuple[Path, configparser.ConfigParser | str]]:
    """The files; in place of one that makes no sense, why."""
    for folder in _folders(key, here):
        for file in sorted(folder.glob("*.ini")):
            parser = configparser.ConfigParser()
            parser.optionxform = str  # type: ignore[assignment,method-assign]
            try:
                parser.read(file, "utf-8")
            except (configparser.Error, UnicodeDecodeError, OSError) as error:
                yield file, " ".join(str(error).split())
            else:
                yield file, parser


def _value(parser: configparser.ConfigParser, section: str, name: str) -> str:
    """A value; `%` means itself where it makes no sense as a reference."""
    try:
        return parser.get(section, name)
    except configparser.InterpolationError:
        return parser.get(section, name, raw=True)
