"""The commands: every one of ours with its options, read from its own parser."""

import argparse
import re

from django.core.management import get_commands, load_command_class
from taskfarm_worker import manage
from taskfarm_worker.cli import _parser

from .text import block, cell, code, paragraphs, table

OURS = ("accounts", "runs", "taskfarm_site")


def farm_commands() -> dict[str, argparse.ArgumentParser]:
    """Our ``manage.py`` commands, each with a parser of its own options alone."""
    found = {}
    for name, application in sorted(get_commands().items()):
        if application in OURS:
            command = load_command_class(application, name)
            parser = argparse.ArgumentParser(
                prog=f"manage.py {name}", description=command.help, add_help=False
            )
            command.add_arguments(parser)
            found[name] = parser
    return found


def client_parser() -> argparse.ArgumentParser:
    """The parser of ``manageTF``."""
    return manage._parser()


def render_farm() -> str:
    """All ``manage.py`` commands."""
    return paragraphs(*(describe(parser) for parser in farm_commands().values()))


def render_client() -> str:
    """``manageTF``."""
    return describe(client_parser(), heading=False)


def render_taskfarm() -> str:
    """All commands of ``taskfarm``."""
    _, commands = _parser.build()
    return paragraphs(*(describe(parser, label="taskfarm") for parser in commands.choices.values()))


def describe(
    parser: argparse.ArgumentParser, *, heading: bool = True, label: str = "command"
) -> str:
    """One command: what it does, how it is called, its options."""
    name = parser.prog.split()[-1]
    return paragraphs(
        f"({label}-{name.lower()})=\n### `{parser.prog}`" if heading else "",
        (parser.description or "").strip(),
        block("text", usage(parser)),
        table(("option", "meaning"), rows(parser)),
    )


def usage(parser: argparse.ArgumentParser) -> str:
    """The line of usage, without colours and line breaks of a terminal."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", parser.format_usage())
    return " ".join(text.removeprefix("usage: ").split())


def rows(parser: argparse.ArgumentParser) -> list[tuple[str, str]]:
    """The options, each with its help."""
    return [
        (", ".join(code(name) for name in names(action)), meaning(parser, action))
        for action in parser._actions
        if action.help != argparse.SUPPRESS
    ]


def names(action: argparse.Action) -> list[str]:
    """How an option is written, with the word for its value."""
    if not action.option_strings:
        return [str(action.metavar or action.dest)]
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    if action.choices:
        value = " {" + ",".join(str(one) for one in action.choices) + "}"
    return [option + value for option in action.option_strings]


def meaning(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """What an option is for."""
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    return cell(text[:1].upper() + text[1:] + ("; required" if action.required and
                action.option_strings else "") + ".")  # fmt: skip
