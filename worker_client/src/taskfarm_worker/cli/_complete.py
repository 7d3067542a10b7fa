"""Completion in shells: the words of the grammar, written out as a script."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from ._context import DONE, Context

SHELLS = ("bash", "zsh", "fish")

BASH = """\
_taskfarm() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    local words="{commands}" one
    for one in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $one in
{cases}
        esac
    done
    [[ $word == -* ]] || words=$(printf '%s\\n' $words | grep -v -e '^--')
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -o default -F _taskfarm taskfarm
"""


def completion(context: Context) -> int:
    """Print the completions for a shell: eval "$(taskfarm completion bash)"."""
    words = _words()
    shell = context.args.shell
    context.screen.line(_fish(words) if shell == "fish" else _bash(words, shell).rstrip())
    return DONE


@dataclass(frozen=True)
class _Words:
    """What may follow a command, and what may follow some of its options."""

    all: list[str]
    after: dict[str, list[str]]


def _words() -> dict[str, _Words]:
    """The options and choices of each command."""
    from ._parser import build

    _, commands = build()
    return {name: _words_of(parser) for name, parser in commands.choices.items()}


def _words_of(parser: argparse.ArgumentParser) -> _Words:
    found: list[str] = []
    after: dict[str, list[str]] = {}
    for action in parser._actions:
        options = [one for one in action.option_strings if one.startswith("--")]
        choices = [str(one) for one in action.choices or ()]
        found += options
        if not action.option_strings:
            found += choices or (["last"] if action.dest in ("run", "runs") else [])
        elif choices:
            after.update(dict.fromkeys(options, choices))
    return _Words(sorted(found), after)


def _case(name: str, words: _Words) -> str:
    """What the shell offers after a command."""
    after = "".join(
        f' [[ $before == {option} ]] && words="{" ".join(choices)}";'
        for option, choices in words.after.items()
    )
    return f'            {name}) words="{" ".join(words.all)}";{after} break ;;'


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
    for name, known in words.items():
        seen = f"'__fish_seen_subcommand_from {name}'"
        for one in known.all:
            what = f"-l {one[2:]}" if one.startswith("--") else f"-a {one}"
            if one in known.after:
                what += f" -x -a '{' '.join(known.after[one])}'"
            lines.append(f"complete -c taskfarm -n {seen} {what}")
    return "\n".join(lines)
