"""Which pages the site has, and their text, made from the repository's own files.

`write_pages` fills a folder with Markdown and notebooks for Sphinx: the README, the levels' pages, every topic and
its failure modes as notebooks with the outputs of their run, research notes, the ledger, references, and the source of every
other file that a page links to. Nothing is written twice: a page is its file, with links and citations rewritten.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import posixpath
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat

from builder.arranging import arranged
from builder.ledger import index_page, topic_page, topics_of
from builder.rewriting import Rewriter
from builder.symptoms import symptoms_page
from builder.tower import home
from groundup import catalogue, modes
from groundup.catalogue import ROOT, Level, Topic
from shared.figures import DARK_PNG

__all__ = ["BrokenLinks", "fill", "is_percent", "write_pages"]

Outputs = Mapping[Path, Sequence[dict[str, Any]]]

NOTES_IN_ORDER = (
    "notation", "numerical_stability", "honest_evaluation", "convergence", "uncertainty", "open_questions",
)  # fmt: skip
LANGUAGES = {
    ".py": "python", ".toml": "toml", ".json": "json", ".cff": "yaml", ".yaml": "yaml", ".yml": "yaml",
    ".bib": "bibtex", ".txt": "text", ".sh": "bash", "": "text",
}  # fmt: skip


class BrokenLinks(ValueError):
    """Links of the repository that lead nowhere, one sentence each."""


def write_pages(folder: Path, root: Path = ROOT, *, outputs: Outputs | None = None) -> None:
    """Write every page into the folder and remove what is there and is no page any more.

    A file whose text did not change keeps its time, so that Sphinx reads only what is new. `outputs` are those of each
    page that was run, cell by cell (`groundup.page_runs.outputs`); without them the pages show their code alone.

    Raises:
        BrokenLinks: a page links to a file that does not exist.
    """
    _Writer(folder, root, outputs or {}).write()


class _Writer:
    def __init__(self, folder: Path, root: Path, outputs: Outputs) -> None:
        self.folder, self.root, self.outputs = folder, root, outputs
        self.written: set[Path] = set()
        self.documents: dict[str, str] = {}  # repository path -> the site's document, with its suffix
        self.sources: list[str] = []  # repository paths that need a page because somebody links to them
        ledger = root / "research_notes" / "ledger.json"
        self.entries = json.loads(ledger.read_text(encoding="utf-8"))["entries"] if ledger.exists() else []
        names = {}
        for entry in self.entries:
            names[entry["id"].replace("/", "-").replace("_", "-")] = entry["id"]
        names |= {entry["id"]: entry["id"] for entry in self.entries}
        self.drawn = {
            _figure_name(page, output["metadata"].get("groundup", {})): output["data"]
            for page, cells in self.outputs.items()
            for cell in cells
            for output in cell["outputs"]
            if DARK_PNG in output.get("data", {})
        }
        self.rewriter = Rewriter(
            self._document_of, lambda path: (root / path).is_file(), names, self._in_both_themes
        )

    def write(self) -> None:
        levels = catalogue.levels()
        self._map(levels)
        self._home(levels)
        for level in levels:
            self._level(level)
        self._notes()
        self._text("ledger.md", index_page(self.entries))
        for topic in topics_of(self.entries):
            self._text(f"ledger/{topic.name}.md", topic_page(topic, self.entries))
        self._text("symptoms.md", symptoms_page(modes.known()))
        self._text("references.md", REFERENCES)
        for name in ("CONTRIBUTING.md",):
            if (self.root / name).exists():
                self._markdown(name)
        while self.sources:
            self._source(self.sources.pop())
        if self.rewriter.broken:
            raise BrokenLinks("\n".join(sorted(set(self.rewriter.broken))))
        for path in self.rewriter.copied:
            self._copy(path)
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path not in self.written:
                path.unlink()

    # --- the map from files to documents -------------------------------------------------------------------

    def _map(self, levels: Iterable[Level]) -> None:
        self.documents = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}
        self.documents["research_notes/references.bib"] = "references.md"
        self.documents["research_notes/README.md"] = "research_notes/index.md"
        for note in self._note_names():
            self.documents[f"research_notes/{note}.md"] = f"research_notes/{note}.md"
        for level in levels:
            self.documents[f"{level.package}/README.md"] = f"{level.package}/index.md"
            self.documents[f"{level.package}/RESEARCH_NOTE.md"] = f"{level.package}/research_note.md"
            for topic in level.topics:
                for path in (topic.path, topic.failure_modes_path, topic.note_path):
                    if path.exists():
                        name = path.relative_to(ROOT).as_posix()
                        self.documents[name] = name.replace(".py", ".ipynb")
                for path in self._parts(topic):
                    if is_percent(self.root / path):
                        self.documents[path] = path.replace(".py", ".ipynb")

    def _document_of(self, path: str) -> str | None:
        """The document of a repository file or folder; a file that has none yet gets a page with its source."""
        if (self.root / path).is_dir():
            path = posixpath.normpath(f"{path}/README.md")
        if path in self.documents:
            return self.documents[path] if (self.root / path).is_file() else None
        if not (self.root / path).is_file():
            return None
        self.documents[path] = f"source/{path.lstrip('.')}.md"
        self.sources.append(path)
        return self.documents[path]

    def _parts(self, topic: Topic) -> list[str]:
        """The modules that outgrew the topic's page."""
        found = sorted(path for path in topic.parts_path.glob("*.py") if path.name != "__init__.py")
        return [path.relative_to(ROOT).as_posix() for path in found]

    def _note_names(self) -> list[str]:
        found = {path.stem for path in (self.root / "research_notes").glob("*.md")} - {"README", "ledger"}
        return [n for n in NOTES_IN_ORDER if n in found] + sorted(found - set(NOTES_IN_ORDER))

    # --- pages ---------------------------------------------------------------------------------------------

    def _home(self, levels: Sequence[Level]) -> None:
        trees = _tree(
            "The six levels",
            ((f"{level.number} · {level.title}", f"{level.package}/index") for level in levels),
        )
        trees += _tree("Something broke", (("What do you see?", "symptoms"),))
        trees += _tree(
            "For review",
            (
                ("Research notes", "research_notes/index"),
                ("The ledger of claims", "ledger"),
                ("References", "references"),
            ),
        )
        if (self.root / "CONTRIBUTING.md").exists():
            trees += _tree("The project", (("Contributing", "contributing"),))
        text = self.rewriter.rewrite(
            (self.root / "README.md").read_text(encoding="utf-8"), "README.md", "index.md"
        )
        ways_out = {"broke": "symptoms.html", "review": "research_notes/index.html"}
        self._text("index.md", f"{home(text, levels, ways_out=ways_out)}\n{trees}")

    def _level(self, level: Level) -> None:
        children = [(topic.title, topic.name) for topic in level.topics if topic.path.exists()]
        if (self.root / level.package / "RESEARCH_NOTE.md").exists():
            children.append(("The level’s research note", "research_note"))
            self._markdown(f"{level.package}/RESEARCH_NOTE.md")
        readme = f"{level.package}/README.md"
        if (self.root / readme).exists():
            text = self.rewriter.rewrite(
                (self.root / readme).read_text(encoding="utf-8"), readme, self.documents[readme]
            )
            self._text(self.documents[readme], f"{_with_rooms(text, level)}\n{_tree(None, children)}")
        else:
            lines = [f"# Level {level.number}: {level.title}", "", f"*{level.question}*", ""]
            lines += [f"- [{topic.title}]({topic.name}.ipynb): {topic.summary}" for topic in level.topics]
            self._text(self.documents[readme], "\n".join([*lines, "", _tree(None, children)]))
        for topic in level.topics:
            if topic.path.exists():
                self._topic(topic)

    def _topic(self, topic: Topic) -> None:
        level = next(level for level in catalogue.levels() if level.number == topic.level)
        up = "../"
        needs = [catalogue.get(name) for name in topic.needs]
        leads = [other for other in catalogue.topics().values() if topic.name in other.needs]
        card = [f"**Level {level.number}** · [{level.title}](index.md)"]
        card.append("**Study first** · " + (_links(needs, up) or "nothing: you can begin here"))
        if leads:
            card.append("**Leads to** · " + _links(leads, up))
        parts = self._parts(topic)
        if parts:
            here = topic.package
            names = [
                f"[{Path(path).stem.replace('_', ' ')}]({posixpath.relpath(self._document_of(path) or '', here)})"
                for path in parts
            ]
            card.append("**Its parts** · " + ", ".join(names))
        for path in parts:
            if is_percent(self.root / path):
                own = [
                    f"**Level {level.number}** · [{level.title}](../../index.md)",
                    f"**Part of** · [{topic.title}](../../{topic.name}.ipynb)",
                    f"**This page is a file** · {_download(self.root / path, self.documents[path])}",
                ]
                self._notebook(path, kind="part", card=own, orphan=True)
        children = []
        if topic.failure_modes_path.exists():
            card.append(
                f"**How it breaks** · [predicted, measured, mended](failure_modes/{topic.name}.ipynb)"
            )
            children.append(("How it breaks", f"failure_modes/{topic.name}"))
        if topic.note_path.exists():
            card.append(f"**What is known** · [research note](notes/{topic.name}.md)")
            children.append(("Research note", f"notes/{topic.name}"))
            self._markdown(topic.note_path.relative_to(ROOT).as_posix())
        card.append(
            f"**Write it yourself** · `groundup practice {topic.name}`, then `groundup check {topic.name}`"
        )
        card.append(
            f"**This page is a file** · {_download(topic.path, f'{topic.package}/{topic.name}.ipynb')}"
        )
        path = topic.path.relative_to(ROOT).as_posix()
        self._notebook(path, kind="topic", card=card, after=_tree(None, children), topic=topic)
        if topic.failure_modes_path.exists():
            card = [
                f"**Level {level.number}** · [{level.title}](../index.md)",
                f"**The topic** · [{topic.title}](../{topic.name}.ipynb)",
                f"**Run it again** · `groundup break {topic.name}`",
            ]
            mine = [e["id"] for e in self.entries if e["topic"] == topic.name and e["kind"] == "failure_mode"]
            if mine:
                card.append(
                    f'**In the ledger** · <a class="reference internal" href="../../ledger/{topic.name}.html">every claim</a>'
                )
            path = topic.failure_modes_path.relative_to(ROOT).as_posix()
            card.append(
                f"**This page is a file** · {_download(topic.failure_modes_path, self.documents[path])}"
            )
            self._notebook(path, kind="failure_modes", card=card, topic=topic)

    def _notebook(
        self,
        path: str,
        *,
        kind: str,
        card: list[str] | None = None,
        after: str = "",
        topic: Topic | None = None,
        orphan: bool = False,
    ) -> None:
        """A percent file as a notebook with the outputs of its run, arranged for its kind (`builder.arranging`), with a card
        under its title."""
        document = self.documents[path]
        notebook = jupytext.read(self.root / path)
        cells = [cell for cell in notebook.cells if cell.source.strip()]
        if self.root / path in self.outputs:
            fill([cell for cell in cells if cell.cell_type == "code"], self.outputs[self.root / path])
        for cell in cells:
            cell.metadata = nbformat.NotebookNode()
            if cell.cell_type == "markdown":
                cell.source = self.rewriter.rewrite(cell.source, path, document)
        if not cells or not cells[0].source.startswith("# ") or cells[0].cell_type != "markdown":
            cells.insert(0, nbformat.v4.new_markdown_cell(f"# {Path(path).stem}"))
        if card:
            title, _, rest = cells[0].source.partition("\n")
            items = "\n".join(f"- {item}" for item in card)
            cells[0].source = f"{title}\n\n:::{{container}} groundup-card\n{items}\n:::\n{rest}"
        if after:
            cells.append(nbformat.v4.new_markdown_cell(after))
        page = nbformat.v4.new_notebook(cells=cells)
        page.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
        page.metadata["language_info"] = {"name": "python"}
        page.metadata["groundup"] = kind
        page = arranged(page, self._picture)
        if orphan:
            page.metadata["orphan"] = True  # reached from its topic's page, not by turning pages
        self._text(document, nbformat.writes(page))

    def _notes(self) -> None:
        names = self._note_names()
        index = "research_notes/README.md"
        tree = _tree(None, ((None, name) for name in names))
        for name in names:
            self._markdown(f"research_notes/{name}.md")
        if (self.root / index).exists():
            self._markdown(index, after=tree)
            return
        notes = [
            f"- [Level {level.number}: {level.title}](../{level.package}/research_note.md)"
            for level in catalogue.levels()
            if (self.root / level.package / "RESEARCH_NOTE.md").exists()
        ]
        self._text(self.documents[index], "\n".join(["# Research notes", "", *notes, "", tree]))

    def _markdown(self, path: str, after: str = "") -> None:
        document = self.documents[path]
        text = (self.root / path).read_text(encoding="utf-8")
        self._text(document, f"{self.rewriter.rewrite(text, path, document)}\n{after}")

    def _source(self, path: str) -> None:
        """A page that shows a file as it is."""
        document = self.documents[path]
        here = posixpath.dirname((self.folder / document).as_posix())
        language = LANGUAGES.get(Path(path).suffix, "text")
        introduction = ""
        if path.endswith(".py"):
            docstring = ast.get_docstring(ast.parse((self.root / path).read_text(encoding="utf-8"))) or ""
            introduction = docstring.partition("\n\n")[0].replace("\n", " ")
        target = os.path.relpath(self.root / path, here)
        self._text(
            document,
            f"---\norphan: true\n---\n# {Path(path).name}\n\n`{path}`. {introduction}\n\n```{{literalinclude}} {target}\n:language: {language}\n```\n",
        )

    # --- files ---------------------------------------------------------------------------------------------

    def _text(self, document: str, text: str) -> None:
        target = self.folder / document
        target.parent.mkdir(parents=True, exist_ok=True)
        self.written.add(target)
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")

    def _in_both_themes(self, path: str) -> tuple[str, str] | None:
        """The addresses of a figure of the notes as it was drawn for light pages and for dark ones."""
        data = self.drawn.get(Path(path).stem)
        if data is None or not path.startswith("research_notes/figures/"):
            return None
        light, dark = (self._picture(base64.b64decode(data[kind])) for kind in ("image/png", DARK_PNG))
        return light, dark

    def _picture(self, png: bytes) -> str:
        """Keep a picture under its own digest; returns its address among the sources."""
        name = f"pictures/{hashlib.sha256(png).hexdigest()[:20]}.png"
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        self.written.add(target)
        if not target.exists():
            target.write_bytes(png)
        return f"/{name}"

    def _copy(self, path: str) -> None:
        source, target = self.root / path, self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        self.written.add(target)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)


def fill(cells: Sequence[Any], outputs: Sequence[dict[str, Any]]) -> None:
    """Give each code cell the outputs of its run.

    Raises:
        ValueError: another text was run.
    """
    if [cell.source for cell in cells] != [one["source"] for one in outputs]:
        raise ValueError("these outputs belong to other cells.")
    for count, (cell, one) in enumerate(zip(cells, outputs, strict=True), 1):
        cell.execution_count = count
        cell.outputs = [nbformat.from_dict(output) for output in one["outputs"]]


def _figure_name(page: Path, place: Mapping[str, str]) -> str:
    """The name under which the notes show a picture of a page, by what its output says that it is."""
    suffix = {"figure": place.get("mode"), "mechanism": "mechanism"}.get(place.get("part", ""))
    return f"{page.stem}_{suffix}" if suffix else page.stem


def is_percent(path: Path) -> bool:
    """Whether a Python file is a notebook in the percent format, which its header says."""
    with path.open(encoding="utf-8") as file:
        head = file.read(400)
    return head.startswith("# ---") and "format_name: percent" in head


# --- small pieces of Markdown ------------------------------------------------------------------------------

REFERENCES = """# References

```{bibliography}
:all:
```
"""


def _tree(caption: str | None, entries: Iterable[tuple[str | None, str]]) -> str:
    """A table of contents that shows in the sidebar only."""
    lines = [f"{title} <{name}>" if title else name for title, name in entries]
    if not lines:
        return ""
    head = f":caption: {caption}\n" if caption else ""
    return "\n```{toctree}\n:hidden:\n" + head + "\n" + "\n".join(lines) + "\n```\n"


def _with_rooms(text: str, level: Level) -> str:
    """The page of a level, in whose table each topic's row leads to how it breaks and to its note, too."""
    for topic in level.topics:
        rooms = []
        if topic.failure_modes_path.exists():
            rooms.append(f"[how it breaks](failure_modes/{topic.name}.ipynb)")
        if topic.note_path.exists():
            rooms.append(f"[research note](notes/{topic.name}.md)")
        link = rf"^\|[^|\n]*\|\s*\[[^\]]+\]\({topic.name}\.ipynb\)(?=\s*\|)"
        row = re.search(link, text, re.MULTILINE)
        if row and rooms:
            text = f"{text[: row.end()]}<br>{' · '.join(rooms)}{text[row.end() :]}"
    return text


def _links(topics: Iterable[Topic], up: str) -> str:
    return ", ".join(f"[{topic.title}]({up}{topic.package}/{topic.name}.ipynb)" for topic in topics)


def _download(path: Path, document: str) -> str:
    target = os.path.relpath(path, (ROOT / "site" / "_pages" / document).parent)
    return f"{{download}}`{path.relative_to(ROOT).as_posix()} <{Path(target).as_posix()}>`"
