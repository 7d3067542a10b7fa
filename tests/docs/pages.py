"""What the tests of the documentation read: its pages, blocks of code, tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^ *```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    page: str
    language: str
    code: str


def pages() -> list[Path]:
    """Every page, the README first."""
    written = (path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
    return [README, ROOT / "CHANGELOG.md", *sorted(written)]


def name(page: Path) -> str:
    """A page's path for people."""
    return str(page.relative_to(ROOT))


def blocks(*languages: str) -> Iterator[Block]:
    """The blocks of code in these languages."""
    for page in pages():
        for found in FENCE.finditer(page.read_text()):
            if found["language"] in languages:
                cut = len(found["indent"])
                lines = (line[cut:] for line in found["code"].splitlines(keepends=True))
                yield Block(name(page), found["language"], "".join(lines))


def rows(page: str) -> dict[str, list[str]]:
    """The rows of all tables of a page whose first cell is code: code → the other cells."""
    found = {}
    for line in (DOCS / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and (first := re.fullmatch(r"`([^`]+)`", cells[0])):
            found[first[1]] = cells[1:]
    return found
