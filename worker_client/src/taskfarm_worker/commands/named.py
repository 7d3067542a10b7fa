"""Runners and tasklist handlers by name, from *.ini files as PyTaskFarmer has them.

A section is a runner if it has the key `Runner`, a handler if it has `TaskList`: the class, by its
dotted path or the name of an entry point. All other keys are arguments of its constructor.
"""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import inspect
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .._errors import ConfigurationError, TaskFarmError
from . import runners
from .runners import BasicRunner, Runner, ShellRunner

log = logging.getLogger("taskfarm_worker.named")

_told: set[tuple[Path, str]] = set()
"""Files that make no sense of which people know."""

HOMES = ("~/.pytaskfarmer", "~/.taskfarm")
"""Where the folders `runners.d` and `tasklists.d` are; what is found later, counts."""

OURS: dict[str, type] = {
    name: getattr(runners, name)
    for name in runners.__all__
    if name not in ("Runner", "CommandRunner")  # which run nothing by themselves
}
"""Classes that need no path."""

PLAIN = ("default", "shell")
"""Runners that need no file."""


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
        if name in PLAIN:
            return BasicRunner() if name == "default" else ShellRunner()
        if "." not in name:
            raise ConfigurationError(unknown(name, "Runner", PLAIN, here))
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
            _tell(file, parser)
        elif parser.has_section(name) and key in parser[name]:
            values = {one: _value(parser, name, one) for one in parser[name]}
            found = values.pop(key), values, f"{file} [{name}]"
    return found


def _tell(file: Path, reason: str) -> None:
    """Warn of a file that makes no sense, once: it may be asked for runners and for handlers."""
    if (file.absolute(), reason) not in _told:
        _told.add((file.absolute(), reason))
        log.warning("%s is passed over: %s", file, reason)


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
    names, bad = known(key, built_in, here)
    folders = ", ".join(str(one.absolute()) for one in _folders(key, here))
    what = "runner" if key == "Runner" else "tasklist handler"
    return (
        f"There is no {what} {name!r} in the *.ini files of {folders}: {', '.join(names)}."
        + "".join(f" {one}" for one in bad)
    )


def known(key: str, built_in: Iterable[str], here: str = "") -> tuple[list[str], list[str]]:
    """List the names there are.

    Args:
        key: `Runner` or `TaskList`.
        built_in: names that need no file.
        here: a further folder to look in.

    Returns:
        the names in order, and a sentence per file that makes no sense.
    """
    names, bad = set(built_in), []
    for file, parser in _parsers(key, here):
        if isinstance(parser, str):
            bad.append(f"{file} is passed over: {parser}")
        else:
            names |= {one for one in parser.sections() if key in parser[one]}
    return sorted(names), bad


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
    named = {**OURS, **(ours or {})}
    if not path:
        key, such = ("Runner", OURS) if ours is None else ("TaskList", ours)
        raise ConfigurationError(f"{where}: '{key} =' names no class, such as {next(iter(such))}.")
    try:
        kind = named.get(path) or _entry_point(path, group) or _imported(path, here)
    except (Exception, SystemExit) as error:  # anything may happen in a module of somebody else
        raise ConfigurationError(f"{where}: {path} cannot be loaded: {in_words(error)}.") from None
    try:
        return kind(*arguments, **options)
    except (Exception, SystemExit) as error:  # and in its class
        why = _misspelt(error, kind, len(arguments), options) or in_words(error)
        raise ConfigurationError(f"{where}: {why}") from None


def _misspelt(error: BaseException, kind: object, given: int, options: dict[str, str]) -> str:
    """Say which option a class does not know, and which it does; empty for any other error."""
    found = re.search(r"unexpected keyword argument '(.*?)'", str(error))
    known = _options_of(kind, given) if isinstance(error, TypeError) and found else None
    if not found or known is None or found[1] in known or found[1] not in options:
        return ""
    allowed = f"it takes {', '.join(known)}" if known else "it takes none"
    return f"{getattr(kind, '__name__', kind)} has no option {found[1]!r}: {allowed}."


def _options_of(kind: object, given: int) -> list[str] | None:
    """The named arguments of a class, those included that it hands on to the one it derives from.

    Args:
        kind: the class, or a function.
        given: how many arguments it gets without a name, which are no options.

    Returns:
        their names; None where nobody can tell.
    """
    names: dict[str, None] = {}
    makers = [vars(one)["__init__"] for one in getattr(kind, "__mro__", ())
              if "__init__" in vars(one)]  # fmt: skip
    for make in makers or [kind]:
        try:
            parameters = list(inspect.signature(make).parameters.values())
        except (TypeError, ValueError):  # it is not written in Python
            return None
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        own = [one.name for one in parameters if one.kind in named]
        names.update(dict.fromkeys(own[given + bool(makers) :]))
        if all(one.kind is not inspect.Parameter.VAR_KEYWORD for one in parameters):
            return list(names)
    return None


def in_words(error: BaseException) -> str:
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
    if not module:
        raise ImportError("it is no class of ours, and others are named with their module")
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
                parser.read(file, "utf-8-sig")
            except (configparser.Error, UnicodeDecodeError, OSError) as error:
                yield file, _unread(error)
            else:
                yield file, parser


def _unread(error: configparser.Error | UnicodeDecodeError | OSError) -> str:
    """Why a file makes no sense, in words and with the line."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no text in UTF-8"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno} is neither a section, such as [name], nor in one"
    if isinstance(error, configparser.ParsingError) and getattr(error, "errors", None):
        return f"line {error.errors[0][0]} is not of the form NAME = VALUE"
    if isinstance(error, configparser.DuplicateSectionError):
        return f"line {error.lineno}: there is a section [{error.section}] already"
    if isinstance(error, configparser.DuplicateOptionError):
        return f"line {error.lineno}: [{error.section}] has {error.option!r} already"
    return " ".join(str(error).split())


def _value(parser: configparser.ConfigParser, section: str, name: str) -> str:
    """A value; `%` means itself where it makes no sense as a reference."""
    try:
        return parser.get(section, name)
    except configparser.InterpolationError:
        return parser.get(section, name, raw=True)
