"""Pages in the terminal: a topic, one of its parts, its failure modes, or a single one of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from groundup import catalogue, modes, notes
from groundup.catalogue import Topic, UnknownTopic
from groundup.errors import CommandError
from groundup.modes import Mode

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

__all__ = ["cells", "section", "show_note", "show_page"]


def show_page(name: str, *, failures: bool = False, pager: bool = True) -> None:
    """Print a page's prose and code, cell by cell; where the output is no terminal, the code to the letter.

    Args:
        name: a topic, `TOPIC/PART`, `failure_modes/TOPIC`, or one failure mode as `TOPIC/MODE`; a part or a mode goes by its
            own name, too, where no other has the same.
        failures: the failure modes of the topic.
        pager: through a pager where the output is a terminal.
    """
    shown, read_on = _find(name, failures=failures)
    _print_page(shown, read_on, pager=pager)


def show_note(name: str, *, pager: bool = True) -> None:
    """Print the research note of a topic or level, or one across the levels, as a page: without marks, pictures by name."""
    path = notes.find_note(name)
    text = re.sub(r"!\[([^\]]*)\]\(([^)\s]*)\)", r"*Picture (\2):* \1", notes.cited(notes.plain(path)))
    known = [topic for topic in catalogue.topics().values() if topic.note_path == path]
    read_on = [("The topic", f"groundup show {topic.name}") for topic in known]
    read_on += [("Run it again", f"groundup break {topic.name}") for topic in known]
    _print_page([("markdown", text)], [*read_on, ("The file", catalogue.shown(path))], pager=pager)


def _print_page(shown: list[tuple[str, str]], read_on: list[tuple[str, str]], *, pager: bool) -> None:
    from rich.console import Console
    from rich.syntax import Syntax

    console = Console()
    # Colors and letters beyond ASCII, as git asks of the pager; a setting of the user's own stays.
    os.environ.setdefault("LESS", "FRX")
    os.environ.setdefault("LESSCHARSET", "utf-8")
    with console.pager(styles=True) if console.is_terminal and pager else nullcontext():
        for kind, text in shown:
            if kind == "markdown":
                for block in _prose(text):
                    console.print(block)
            elif console.is_terminal:
                console.print(Syntax(text, "python", theme="ansi_dark", word_wrap=True))
            else:
                print(text)
            console.print()
        for label, where in read_on:
            console.print(f"{f'{label}:' if label else '':<15} {where}", soft_wrap=True)


def _find(name: str, *, failures: bool) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The cells to show, and where to read on."""
    known = modes.named(name)
    if len(known) == 1:
        return section(known[0]), list(_read_on_from_mode(known[0]))
    try:
        path, topic = catalogue.get_page(name, failures=failures)
    except UnknownTopic:
        if known or _names_a_topic(name):
            modes.get(name)  # tells which modes there are
        with modes.suggestions(name):
            raise
    return cells(path), list(_read_on(path, topic))


def _names_a_topic(name: str) -> bool:
    """Whether the name is that of something in a topic, such as `k_means/unlucky_star`."""
    folder, _, last = catalogue.forgiven(name).replace("/failure/", "/").rpartition("/")
    return bool(last) and folder in catalogue.topics()


def section(mode: Mode) -> list[tuple[str, str]]:
    """What the topic's page says of one failure mode: its symptoms and sentences first, then the cells under its heading.

    Raises:
        CommandError: the page has no section under the mode's title.
    """
    found: list[tuple[str, str]] = []
    inside = False
    for kind, text in cells(mode.topic.failure_modes_path):
        heading = text.partition("\n")[0] if kind == "markdown" else ""
        if heading.startswith(("# ", "## ")) or "__main__" in text:
            inside = heading == f"## {mode.title}"
            text = text.removeprefix(heading).lstrip("\n") if inside else text
        if inside:
            found.append((kind, text))
    if not found:
        place = catalogue.shown(mode.topic.failure_modes_path)
        raise CommandError(f"{place} has no section under the heading '## {mode.title}'.", 1)
    seen = "".join(f"- {symptom}\n" for symptom in mode.symptoms)
    summary = f"# {mode.title}\n\n"
    summary += f"**What you see.**\n\n{seen}\n" if seen else ""
    summary += f"**What happens.** {mode.statement}\n\n**What mends it.** {mode.remedy}"
    return [("markdown", summary), *found]


def _read_on_from_mode(mode: Mode) -> Iterator[tuple[str, str]]:
    topic = mode.topic
    yield "Run it again", f"groundup break {mode.id}"
    yield "What it breaks", f"groundup show {topic.name}   ({catalogue.shown(topic.path)})"
    yield "The others", f"groundup show {topic.name} --failures"
    yield "In the note", f"groundup note {topic.name}   ({catalogue.shown(catalogue.note_of(topic))})"
    yield "In the ledger", f"groundup ledger {mode.ledger_id}"


def _read_on(path: Path, topic: Topic | None) -> Iterator[tuple[str, str]]:
    """Where to go from a page: the failure modes or what they break, and the note."""
    if topic is not None and path == topic.path:
        place = catalogue.shown(topic.failure_modes_path)
        yield "Write it", f"groundup practice {topic.name}   (the page without the bodies that teach it)"
        yield "How it breaks", f"groundup show {topic.name} --failures   ({place})"
        for mode in modes.of(topic):
            yield "", f"groundup show {mode.id}"
    elif topic is not None:
        yield "What it breaks", f"groundup show {topic.name}   ({catalogue.shown(topic.path)})"
    else:
        topic = next(t for t in catalogue.topics().values() if path.is_relative_to(t.parts_path))
        yield "Part of", f"groundup show {topic.name}   ({catalogue.shown(topic.path)})"
    yield "In the note", f"groundup note {topic.name}   ({catalogue.shown(catalogue.note_of(topic))})"


def _prose(text: str) -> Iterator[RenderableType]:
    """Markdown with its formulas in Unicode; those of their own are lines of their own."""
    from itertools import groupby

    from rich.markdown import Markdown, TableElement
    from rich.padding import Padding
    from rich.text import Text

    from groundup import formulas

    class Table(TableElement):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for table in super().__rich_console__(console, options):
                for column in table.columns:  # type: ignore[union-attr]
                    column.overflow = "fold"  # a long word goes on in the next line; by default it is cut
                yield table

    class Page(Markdown):
        elements: ClassVar = {**Markdown.elements, "table_open": Table}

    for own, parts in groupby(formulas.spans(text), key=lambda part: part[0] == "display"):
        if own:
            for _, formula in parts:
                yield Padding(Text("\n".join(formulas.display(formula))), (1, 0, 1, 4))
        else:
            plain = (part if kind == "text" else _literally(formulas.inline(part)) for kind, part in parts)
            if (page := "".join(plain)).strip():
                yield Page(page)


def _literally(text: str) -> str:
    """Text in which Markdown sees no mark of its own."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def cells(path: Path) -> list[tuple[str, str]]:
    """The cells of a percent notebook as ("markdown" or "code", text), without the header; a plain module is one cell."""
    found: list[tuple[str, list[str]]] = []
    source = path.read_text(encoding="utf-8")
    if "# %%" not in source:
        return [("code", source.strip("\n"))]
    for line in source.splitlines():
        if line.startswith("# %%"):
            found.append(("markdown" if "[markdown]" in line else "code", []))
        elif found:
            kind, lines = found[-1]
            lines.append(line.removeprefix("#").removeprefix(" ") if kind == "markdown" else line)
    return [(kind, "\n".join(lines).strip("\n")) for kind, lines in found if "".join(lines).strip()]
