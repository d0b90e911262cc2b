"""The research notes: where they lie, how they read without the marks that the ledger fills, and how long they are."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from groundup import catalogue
from groundup.catalogue import ROOT, UnknownTopic

__all__ = ["files", "find_note", "plain", "to_root", "words"]

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# What is generated as a block of its own: a reader meets its numbers as a table, not as sentences.
BLOCK = re.compile(r"<!-- (?P<kind>claims|modes|map|ledger)\b[^>]*-->.*?<!-- /(?P=kind) -->", re.DOTALL)


def files() -> list[Path]:
    """Every Markdown page that may carry a mark of the ledger: READMEs, notes of levels and topics, threads."""
    pages = [ROOT / "README.md", *sorted((ROOT / "research_notes").glob("*.md"))]
    for level in catalogue.levels():
        folder = ROOT / level.package
        pages += [folder / "README.md", folder / "RESEARCH_NOTE.md", *sorted((folder / "notes").glob("*.md"))]
    return [page for page in pages if page.exists() and page.name != "ledger.md"]


def find_note(name: str) -> Path:
    """The note of a topic, of a level ("level2", "2", its package), or one across the levels ("convergence").

    A path does as well. A topic without a note of its own has its level's.

    Raises:
        UnknownTopic: no such note, with the nearest names.
    """
    known = _by_name()
    wanted = name.strip().removeprefix(f"{ROOT}/").removeprefix("./")
    for form in (wanted, wanted.lower().replace("-", "_").replace(" ", "_").removesuffix(".md")):
        if form in known:
            return known[form]
    near = get_close_matches(form, _short_names(), n=3, cutoff=0.6)
    across = sorted(
        _short_names().keys()
        - catalogue.topics().keys()
        - {f"level{level.number}" for level in catalogue.levels()}
    )
    there = f"there is one for each topic and level ('level2'), and {', '.join(across)}."
    raise UnknownTopic(
        f"no note is called {name!r}: " + (f"did you mean {' or '.join(near)}?" if near else there)
    )


def _by_name() -> dict[str, Path]:
    known = _short_names()
    for level in catalogue.levels():
        essay = ROOT / level.package / "RESEARCH_NOTE.md"
        known |= {level.package: essay, str(level.number): essay, f"{level.package}/RESEARCH_NOTE.md": essay}
        known[f"{level.package}/research_note"] = essay
    return known | {str(page.relative_to(ROOT)).lower().removesuffix(".md"): page for page in files()}


def _short_names() -> dict[str, Path]:
    """One name for each note, as one would type it."""
    known = {page.stem: page for page in sorted((ROOT / "research_notes").glob("*.md"))}
    known = {stem: page for stem, page in known.items() if stem not in ("README", "ledger")}
    for level in catalogue.levels():
        known[f"level{level.number}"] = ROOT / level.package / "RESEARCH_NOTE.md"
        for topic in level.topics:
            own = topic.note_path.exists()
            known[topic.name] = topic.note_path if own else known[f"level{level.number}"]
    return known


def plain(path: Path) -> str:
    """The note as its readers see it: what the ledger filled in stays, the marks around it are gone."""
    return COMMENT.sub("", path.read_text(encoding="utf-8"))


def words(path: Path) -> int:
    """How many words a reader reads: without generated tables, marks, pictures, and the targets of links."""
    text = COMMENT.sub("", BLOCK.sub("", path.read_text(encoding="utf-8")))
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\]\([^)\s]*\)", "]", text)
    return len(text.split())


def to_root(path: Path) -> str:
    """The way from a note's folder to the repository: "../" for a level's note, "" for the README at the top."""
    return "../" * (len(path.relative_to(ROOT).parts) - 1)
