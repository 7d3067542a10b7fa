"""Small makers of Markdown."""

import json
from collections.abc import Iterable, Sequence


def cell(value: object) -> str:
    """A value fit for a table's cell."""
    return str(value).replace("|", "\\|").replace("\n", " ").strip()


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(one) for one in line) + " |" for line in lines)


def code(value: object) -> str:
    """A value as code; nothing for nothing."""
    return f"`{value}`" if value not in ("", None) else ""


def block(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text}\n```"


def pretty(value: object) -> str:
    """A value as readable JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def first_line(docstring: str | None) -> str:
    """The summary of a docstring."""
    return (docstring or "").strip().split("\n\n")[0].replace("\n", " ").strip()


def paragraphs(*parts: str) -> str:
    """Parts with blank lines between them; empty ones are dropped."""
    return "\n\n".join(part for part in parts if part) + "\n"
