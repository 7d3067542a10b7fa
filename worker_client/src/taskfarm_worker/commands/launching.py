"""From a command to the arguments of a process, with a shell only where one is needed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from functools import lru_cache

SHELL = "/bin/sh"

PLAIN = re.compile(r"[\w@%+=:,./ \t-]+", re.ASCII)
"""What means nothing but itself to a shell."""

BUILTINS = frozenset({
    ".", ":", "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done", "elif",
    "else", "esac", "eval", "exec", "exit", "export", "fc", "fg", "fi", "for", "function",
    "getopts", "hash", "if", "in", "jobs", "local", "read", "readonly", "return", "select", "set",
    "shift", "source", "then", "time", "times", "trap", "type", "ulimit", "umask", "unalias",
    "unset", "until", "wait", "while",
})  # fmt: skip
"""Words that only a shell understands."""


def arguments(command: str, shell: str = SHELL) -> tuple[str, list[str]]:
    """Tell how to run a command.

    A shell costs as much time as a small program. As make(1) does, one is left out where it would
    do nothing but start the program.

    Args:
        command: as written in the tasklist.
        shell: the shell for what needs one.

    Returns:
        the path of the program, and its arguments, the name first.
    """
    if PLAIN.fullmatch(command):
        words = command.split()
        if words and "=" not in words[0] and words[0] not in BUILTINS:
            path = program(words[0], os.environ.get("PATH", ""), os.getcwd())
            if path is not None:
                return path, words
    return shell, [shell, "-c", command]


@lru_cache(maxsize=1000)
def program(word: str, path: str, folder: str) -> str | None:
    """Find a program that the system itself can start.

    Args:
        word: its name.
        path: where to look.
        folder: the current one, from which relative names count.

    Returns:
        its path; None where there is none, or only a script without a first line that says how.
    """
    found = shutil.which(word, path=path)
    if found is None:
        return None
    try:
        with open(found, "rb") as file:
            start = file.read(4)
    except OSError:
        return found  # it can be run, and not read
    return (
        found if start[:2] == b"#!" or start == b"\x7fELF" or start[:1] in b"\xcf\xca\xfe" else None
    )


def quoted(words: list[str]) -> str:
    """Put words together for a shell.

    Args:
        words: of a command.

    Returns:
        the command.
    """
    return " ".join(map(shlex.quote, words))
