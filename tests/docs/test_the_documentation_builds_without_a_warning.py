"""A page that does not build, a link that leads nowhere, anything fetched from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs import pages

pytestmark = pytest.mark.once


class Page(HTMLParser):
    """The anchors and links of a page, and what it loads by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.anchors.add(str(found["id"]))
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        if tag in ("script", "img", "iframe") and found.get("src"):
            self.loads.append(str(found["src"]))
        if tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon"):
            self.loads.append(str(found["href"]))


@pytest.fixture(scope="module")
def read(built: Path) -> dict[Path, Page]:
    """Every built page."""
    return {path: Page(path) for path in built.rglob("*.html")}


def test_every_internal_link_and_anchor_resolves(read: dict[Path, Page]) -> None:
    broken = []
    for path, page in read.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = read[target].anchors if target in read else set()
            if not target.exists() or (parts.fragment and parts.fragment not in known):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_no_page_loads_anything_from_elsewhere(built: Path, read: dict[Path, Page]) -> None:
    foreign = [load for page in read.values() for load in page.loads if urlsplit(load).netloc]
    styles = "".join(path.read_text() for path in built.rglob("*.css"))
    assert foreign == []
    assert re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", styles) == []


def test_every_mark_for_a_generated_part_was_filled(built: Path) -> None:
    assert [path for path in built.rglob("*.html") if "generated:" in path.read_text()] == []


def test_the_readme_and_the_changelog_link_to_what_is_there() -> None:
    for page in (pages.README, pages.ROOT / "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert urlsplit(link).scheme or (pages.ROOT / link).exists(), f"{page.name}: {link}"
