"""Check the built pages: every internal link and anchor exists, and nothing is loaded from another place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["check_site"]

LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "audio": "src",
    "video": "src",
    "embed": "src",
}
LOADED_RELATIONS = {
    "stylesheet",
    "preload",
    "modulepreload",
    "icon",
    "shortcut icon",
    "prefetch",
    "preconnect",
    "dns-prefetch",
}
CSS_URL = re.compile(r"""(?:@import\s+(?:url\()?|url\()\s*['"]?(?P<url>[^'")\s]+)""")


@dataclass
class _Page(HTMLParser):
    """What a page defines (anchors), points to (links) and loads (scripts, styles, pictures)."""

    text: str
    anchors: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if attributes.get("id"):
            self.anchors.add(attributes["id"])
        if tag == "a":
            if attributes.get("name"):
                self.anchors.add(attributes["name"])
            if attributes.get("href") is not None:
                self.links.add(attributes["href"])
        elif tag == "link" and (attributes.get("rel") or "").lower() in LOADED_RELATIONS:
            self.loads.add(attributes.get("href") or "")
        elif tag in LOADED and attributes.get(LOADED[tag]):
            self.loads.add(attributes[LOADED[tag]])


def check_site(folder: Path) -> list[str]:
    """What is wrong with the site in this folder, one sentence each; empty is good."""
    pages = {path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in _html_files(folder)}
    found = []
    for path, page in sorted(pages.items()):
        name = path.relative_to(folder.resolve()).as_posix()
        for url in sorted(page.loads):
            problem = _external(url) or _missing(path, url, pages)
            if problem:
                found.append(f"{name}: loads {url}: {problem}")
        for url in sorted(page.links):
            if urlsplit(url).scheme or urlsplit(url).netloc:
                continue  # a link to elsewhere is for the reader to follow
            problem = _missing(path, url, pages)
            if problem:
                found.append(f"{name}: links to {url}: {problem}")
    for path in sorted(folder.rglob("*.css")):
        for match in CSS_URL.finditer(path.read_text(encoding="utf-8", errors="replace")):
            problem = _external(match["url"])
            if problem:
                found.append(f"{path.relative_to(folder).as_posix()}: loads {match['url']}: {problem}")
    return found


def _html_files(folder: Path) -> list[Path]:
    """The pages; the theme keeps its own templates among the static files."""
    return [path for path in folder.rglob("*.html") if "_static" not in path.relative_to(folder).parts]


def _external(url: str) -> str:
    parts = urlsplit(url)
    return "it comes from another place" if parts.netloc or parts.scheme in ("http", "https") else ""


def _missing(path: Path, url: str, pages: dict[Path, _Page]) -> str:
    parts = urlsplit(url)
    if parts.scheme == "data":
        return ""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return "there is no such file"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "there is no such anchor"
    return ""
