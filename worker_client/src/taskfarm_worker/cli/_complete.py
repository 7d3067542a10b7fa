"""Completion in shells: the words of the grammar, written out as a script."""

from __future__ import annotations

import argparse

from ._context import DONE, Context

SHELLS = ("bash", "zsh", "fish")

BASH = """\
_taskfarm() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} words="{commands}" one
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


def _words() -> dict[str, list[str]]:
    """The options and choices of each command."""
    from ._parser import build

    _, commands = build()
    return {name: _options(parser) for name, parser in commands.choices.items()}


def _options(parser: argparse.ArgumentParser) -> list[str]:
    found: list[str] = []
    for action in parser._actions:
        found += [one for one in action.option_strings if one.startswith("--")]
        if not action.option_strings:
            found += [str(one) for one in action.choices or ()]
    return sorted(found)


def _bash(words: dict[str, list[str]], shell: str) -> str:
    cases = "\n".join(
        f'            {name}) words="{" ".join(options)}"; break ;;'
        for name, options in words.items()
    )
    script = BASH.format(commands=" ".join(words), cases=cases)
    if shell == "bash":
        return script
    plain = 'COMPREPLY=($(compgen -W "$words" -- "$word"))'
    script = script.replace('mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")', plain)
    return "autoload -Uz bashcompinit && bashcompinit\n" + script


def _fish(words: dict[str, list[str]]) -> str:
    lines = [f"complete -c taskfarm -n __fish_use_subcommand -a '{' '.join(words)}'"]
    for name, options in words.items():
        seen = f"'__fish_seen_subcommand_from {name}'"
        for one in options:
            what = f"-l {one[2:]}" if one.startswith("--") else f"-a {one}"
            lines.append(f"complete -c taskfarm -n {seen} {what}")
    return "\n".join(lines)
