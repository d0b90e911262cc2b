"""The research notes: where they lie, how they read without the marks that the ledger fills, and how long they are."""

from __future__ import annotations

import re
import unicodedata
from difflib import get_close_matches
from pathlib import Path

from groundup import catalogue
from groundup.catalogue import ROOT, UnknownTopic

__all__ = ["cited", "files", "find_note", "plain", "to_root", "words"]

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


CITATION = re.compile(r"\[(?P<keys>@[^\]]+)\]|(?<![\w.])@(?P<key>[a-z]+\d{4}[a-z]*)\b")


def cited(text: str) -> str:
    """The text with author and year in place of citation keys: "[@clopper1934]" becomes "(Clopper and Pearson 1934)"."""
    known = _authors_and_years()

    def name(key: str) -> str:
        return known.get(key, f"@{key}")

    def written(match: re.Match[str]) -> str:
        if match["key"]:
            return name(match["key"])
        return "(" + re.sub(r"@(\w+)", lambda key: name(key[1]), match["keys"]) + ")"

    return CITATION.sub(written, text)


def _authors_and_years() -> dict[str, str]:
    """Each key of references.bib with its authors' family names and the year."""
    text = (ROOT / "research_notes" / "references.bib").read_text(encoding="utf-8")
    found = {}
    for entry in re.split(r"^@", text, flags=re.MULTILINE)[1:]:
        key = re.match(r"\w+\{([^,\s]+),", entry)
        authors, year = _field(entry, "author") or _field(entry, "editor"), _field(entry, "year")
        if key and authors and year:
            found[key[1]] = f"{_family_names(authors)} {year}"
    return found


def _field(entry: str, name: str) -> str:
    """What stands between the braces of a field, which may hold braces of their own; "" where there is no such field."""
    start = re.search(rf"\b{name}\s*=\s*\{{", entry)
    if start is None:
        return ""
    depth = 1
    for place in range(start.end(), len(entry)):
        depth += {"{": 1, "}": -1}.get(entry[place], 0)
        if depth == 0:
            return entry[start.end() : place]
    return ""


def _family_names(authors: str) -> str:
    names = [name.partition(",")[0] if "," in name else name.split()[-1] for name in authors.split(" and ")]
    names = [_without_tex(name) for name in names]
    if len(names) > 2 or names[-1] == "others":
        return f"{names[0]} et al."
    return " and ".join(names)


ACCENTS = {
    "'": "\u0301",
    "`": "\u0300",
    "^": "\u0302",
    '"': "\u0308",
    "~": "\u0303",
    "c": "\u0327",
    "v": "\u030c",
    "u": "\u0306",
    "H": "\u030b",
}
LETTERS = {"ss": "ß", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "i": "ı", "ae": "æ", "aa": "å", "AA": "Å"}


def _without_tex(name: str) -> str:
    """A name with its TeX accents as letters of Unicode."""
    name = re.sub(
        r"\\([a-zA-Z]{1,2})(?![a-zA-Z])\s*(?!\{)", lambda found: LETTERS.get(found[1], found[0]), name
    )
    accent = r"\\(?P<mark>['`^\"~cvuH])\s*\{?\\?(?P<letter>\w)\}?"
    name = re.sub(accent, lambda found: found["letter"].replace("ı", "i") + ACCENTS[found["mark"]], name)
    return unicodedata.normalize("NFC", re.sub(r"[{}]", "", name))


def words(path: Path) -> int:
    """How many words a reader reads: without generated tables, marks, pictures, and the targets of links."""
    text = COMMENT.sub("", BLOCK.sub("", path.read_text(encoding="utf-8")))
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\]\([^)\s]*\)", "]", text)
    return len(text.split())


def to_root(path: Path) -> str:
    """The way from a note's folder to the repository: "../" for a level's note, "" for the README at the top."""
    return "../" * (len(path.relative_to(ROOT).parts) - 1)
