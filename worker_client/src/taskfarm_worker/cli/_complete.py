"""Completion in shells: the words of the grammar, written out as a script.

What the grammar does not know the script asks for: runs of the farm, names in *.ini files.
"""

from __future__ import annotations

import argparse
import logging
import re
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from .._connect import connect
from ..commands.batch import SCRIPTS
from ..commands.named import PLAIN, known
from ._context import DONE, Context
from ._names import LOOK_BACK, Row, rows, since

SHELLS = ("bash", "zsh", "fish")

PATIENCE, NEWEST = 2.0, 50
"""Seconds that somebody waits who has pressed Tab, and how many runs are offered at most."""

WORD = re.compile(r"[\w.,@%+/][\w.,@%+/-]*")
"""What means itself in every shell, and is one word to all of them."""

BASH = """\
_taskfarm() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    local words="{commands}" one ask= farm=()
    # Of the line: bash cuts words at : and =.
    [[ $COMP_LINE =~ ^[^[:space:]]+[[:space:]]+--url[=[:space:]]+([^[:space:]]+) ]] &&
        farm=(--url "${{BASH_REMATCH[1]}}")
    for one in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $one in
{cases}
        esac
    done
    [[ $word == -* || -z $ask ]] ||
        words+=" $("${{COMP_WORDS[0]}}" "${{farm[@]}}" completion bash --of "$ask" 2> /dev/null)"
    [[ $word == -* ]] || words=$(printf '%s\\n' $words | grep -v -e '^--')
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -o default -F _taskfarm taskfarm
"""


def completion(context: Context) -> int:
    """Print the completions for a shell: eval "$(taskfarm completion bash)"."""
    if context.args.of:
        for name in _asked(context):
            context.screen.line(name)
        return DONE
    words = _words()
    shell = context.args.shell
    context.screen.line(_fish(words) if shell == "fish" else _bash(words, shell).rstrip())
    return DONE


def _asked(context: Context) -> list[str]:
    """The names of a kind. Nobody who presses Tab is told of errors, nor waits for long."""
    logging.disable(logging.CRITICAL)
    found: list[str] = []
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        found = KINDS[context.args.of](context)
    except (Exception, _TooLate):  # there is nothing to offer, then
        return []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        logging.disable(logging.NOTSET)
    return [name for name in found if WORD.fullmatch(name)]


class _TooLate(BaseException):
    """Nobody waits any longer; no library on the way takes it for an error of its own."""


def _give_up(number: int, frame: FrameType | None) -> None:
    raise _TooLate


def _runs(context: Context) -> list[str]:
    """The newest runs, by the start of their UUID and by their name."""
    found: deque[Row] = deque()
    with connect(context.args.url, timeout=PATIENCE, patience=0) as farm:
        for back in LOOK_BACK:
            try:
                found = deque(rows(farm, **since(back)), maxlen=NEWEST)
            except _TooLate:  # what was found meanwhile will do
                break
            if len(found) == NEWEST:
                break
    named = [str(row["name"]) for row in found if row["name"]]
    return [*(str(row["uuid"])[:12] for row in found), *dict.fromkeys(named)]


def _runners(context: Context) -> list[str]:
    return known("Runner", PLAIN)[0]


def _handlers(context: Context) -> list[str]:
    return known("TaskList", ("default",))[0]


KINDS: dict[str, Callable[[Context], list[str]]] = {
    "runs": _runs,
    "runners": _runners,
    "handlers": _handlers,
}
"""Names that the grammar does not know."""

ASKED = {"run": "runs", "runs": "runs", "like": "runs", "runner": "runners", "handler": "handlers"}
"""Arguments that are such names, and of which kind."""

CHOSEN = {"executor": tuple(SCRIPTS)}
"""What is offered where other words are taken, too."""


@dataclass(frozen=True)
class _Words:
    """What may follow a command, and what may follow some of its options.

    Attributes:
        all: words that may follow it.
        after: words that may follow an option.
        asked: kinds of names that may follow an option, or with no option the command.
    """

    all: list[str]
    after: dict[str, list[str]]
    asked: dict[str, str]


def _words() -> dict[str, _Words]:
    """The options and choices of each command."""
    from ._parser import build

    _, commands = build()
    return {name: _words_of(parser) for name, parser in commands.choices.items()}


def _words_of(parser: argparse.ArgumentParser) -> _Words:
    found: list[str] = []
    after: dict[str, list[str]] = {}
    asked: dict[str, str] = {}
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        options = [one for one in action.option_strings if one.startswith("--")]
        choices = [str(one) for one in action.choices or CHOSEN.get(action.dest, ())]
        found += options[:1]  # of --state and --status one, or Tab stops at what they share
        if action.dest in ASKED:
            asked.update(dict.fromkeys(action.option_strings or [""], ASKED[action.dest]))
        if not action.option_strings:
            found += choices or (["last"] if action.dest in ("run", "runs") else [])
        elif choices:
            after.update(dict.fromkeys(options, choices))
    return _Words(sorted(found), after, asked)


def _case(name: str, words: _Words) -> str:
    """What the shell offers after a command."""
    after = "".join(
        f' [[ $before == {option} ]] && words="{" ".join(choices)}";'
        for option, choices in words.after.items()
    )
    asked = "".join(
        f" [[ $before == {option} ]] && words= ask={kind};" if option else f" ask={kind};"
        for option, kind in words.asked.items()
    )
    after += "".join(f" [[ $before == {option} ]] && ask=;" for option in words.after)
    return f'            {name}) words="{" ".join(words.all)}";{asked}{after} break ;;'


def _bash(words: dict[str, _Words], shell: str) -> str:
    cases = "\n".join(_case(name, one) for name, one in words.items())
    script = BASH.format(commands=" ".join(words), cases=cases)
    if shell == "bash":
        return script
    plain = 'COMPREPLY=($(compgen -W "$words" -- "$word"))'
    script = script.replace('mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")', plain)
    return "autoload -Uz bashcompinit && bashcompinit\n" + script


def _fish(words: dict[str, _Words]) -> str:
    lines = [f"complete -c taskfarm -n __fish_use_subcommand -a '{' '.join(words)}'"]
    for name, one in words.items():
        seen = f"'__fish_seen_subcommand_from {name}'"
        if "" in one.asked:
            lines.append(f"complete -c taskfarm -n {seen} -a '{_fish_asks(one.asked[''])}'")
        for word in one.all:
            what = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            if word in one.after:
                what += f" -x -a '{' '.join(one.after[word])}'"
            elif word in one.asked:
                what += f" -x -a '{_fish_asks(one.asked[word])}'"
            lines.append(f"complete -c taskfarm -n {seen} {what}")
    return "\n".join(lines)


def _fish_asks(kind: str) -> str:
    return f"(taskfarm completion fish --of {kind} 2> /dev/null)"
