"""A page after its run, in the order of its reader: pictures and numbers first, code folded under a name that says what it is.

A file runs top to bottom, and shows everything in its last cell. Each output says in its metadata what it is (`shared.notebook`,
`shared.figures`), and `arranged` puts it where it is looked for:

- a failure mode's section begins with what one sees, the claims as strips, its figure and its slider; then comes the
  derivation, then the experiment, folded;
- a topic's page begins with the picture of the mechanism; the table of agreements stands under `validate()`, the picture of
  results above the code that draws it. Imports, comparisons and drawing code are folded.

Who ran the page does not matter.
"""

from __future__ import annotations

import ast
import base64
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import nbformat
from docutils.nodes import make_id
from nbformat import NotebookNode

from shared.figures import DARK_PNG

__all__ = ["arranged"]

KEY = "groundup"  # in a notebook's metadata: which kind of page it is; in an output's: what it is
HEADING = re.compile(r"^## +(.+?)[ \t]*$", re.MULTILINE)
COMPARISONS = {"validate", "benchmarks"}
PICTURES = {"mechanism", "example"}
COLUMNS = 110

Save = Callable[[bytes], str]
Cells = list[NotebookNode]


def arranged(notebook: NotebookNode, save: Save) -> NotebookNode:
    """The notebook with its outputs, arranged for its kind of page.

    Args:
        save: keeps the bytes of a PNG and returns its address in the site's sources.
    """
    kind = notebook.metadata.pop(KEY, None)
    if kind is not None:
        if kind == "part":
            _raise_headings(notebook.cells)
        cells = [cell for whole in notebook.cells for cell in _split(whole)]
        shown = _Shown(save)
        for cell in cells:
            shown.take(cell)
        arrange = _failure_page if kind == "failure_modes" else _topic_page
        notebook.cells = [*arrange(cells, shown), *shown.rest()]
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.source = _with_room(cell.source)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index}"
    return notebook


# --- outputs ---------------------------------------------------------------------------------------------------


@dataclass
class _Shown:
    """The outputs that say what they are, waiting for their places."""

    save: Save
    outputs: list[NotebookNode] = field(default_factory=list)

    def take(self, cell: NotebookNode) -> None:
        """Take the known outputs out of a cell; what else it showed stays there."""
        if cell.cell_type == "code":
            known = [output for output in cell.outputs if _place(output)]
            self.outputs += known
            cell.outputs = [output for output in cell.outputs if not _place(output)]

    def give(self, part: str, mode: str | None = None) -> Iterator[NotebookNode]:
        """Cells for the outputs of this part, each of which is given once."""
        found = [o for o in self.outputs if _place(o).get("part") == part and _place(o).get("mode") == mode]
        self.outputs = [output for output in self.outputs if output not in found]
        yield from map(self._cell, found)

    def rest(self) -> Iterator[NotebookNode]:
        yield from map(self._cell, self.outputs)

    def _cell(self, output: NotebookNode) -> NotebookNode:
        if "image/png" in output.data:
            return nbformat.v4.new_markdown_cell(self._picture(output))
        cell = nbformat.v4.new_code_cell("# shown", outputs=[output])
        cell.metadata["tags"] = ["remove-input"]
        return cell

    def _picture(self, output: NotebookNode) -> str:
        caption = " ".join(_place(output).get("caption", "").split())
        lines = [f"```{{groundup-picture}} {self.save(base64.b64decode(output.data['image/png']))}"]
        if DARK_PNG in output.data:
            lines.append(f":dark: {self.save(base64.b64decode(output.data[DARK_PNG]))}")
        return "\n".join([*lines, "", caption, "```"])


def _place(output: NotebookNode) -> dict[str, str]:
    """What an output says that it is, if it does."""
    return output.get("metadata", {}).get(KEY, {})


# --- failure modes -----------------------------------------------------------------------------------------------


def _failure_page(cells: Cells, shown: _Shown) -> Iterator[NotebookNode]:
    """The introduction with what the experiments share; then the sections, each turned over."""
    head, *sections = _sections(cells)
    yield from _folded(head, "What the experiments share")
    for section in sections:
        declared = [mode for cell in section for mode in _modes(cell)]
        heading = HEADING.match(section[0].source)
        own = next(
            (mode for mode in declared if heading and make_id(mode.title) == make_id(heading[1])), None
        )
        for mode in declared:
            if mode is not own and len(declared) > 1:
                yield nbformat.v4.new_markdown_cell(f"## {mode.title}")
                yield from _first(mode, shown)
        if not own and len(declared) == 1:  # the heading is not the title by which other pages link
            yield nbformat.v4.new_markdown_cell(f'<span id="{make_id(declared[0].title)}"></span>')
            own = declared[0]
        title, _, derivation = section[0].source.partition("\n")
        yield nbformat.v4.new_markdown_cell(title)
        if own:
            yield from _first(own, shown)
            if derivation.strip():
                derivation = f"```{{rubric}} Why\n:heading-level: 3\n```\n\n{derivation.strip()}"
        yield from _folded([_markdown(derivation), *section[1:]], "The experiment")


def _first(mode: _Mode, shown: _Shown) -> Iterator[NotebookNode]:
    """What the reader came for: what one sees, the claims, the figure, the slider."""
    for part in ("claims", "figure", "sweep"):
        yield from shown.give(part, mode.name)


@dataclass(frozen=True)
class _Mode:
    name: str
    title: str
    functions: tuple[str, ...]  # its experiments and formulas, by name


def _modes(cell: NotebookNode) -> list[_Mode]:
    """The failure modes that a cell declares."""
    found = []
    for call in ast.walk(_tree(cell)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "FailureMode":
            fields = {keyword.arg: keyword.value for keyword in call.keywords}
            claims = [fields[part] for part in ("breaks", "remedy") if isinstance(fields.get(part), ast.Call)]
            functions = [
                keyword.value.id
                for name in ("experiment", "predicted")
                for claim in claims
                for keyword in claim.keywords  # type: ignore[attr-defined]
                if keyword.arg == name and isinstance(keyword.value, ast.Name)
            ]
            name, title = (ast.literal_eval(fields[field]) for field in ("name", "title"))
            found.append(_Mode(name, title, tuple(dict.fromkeys(functions))))
    return found


def _folded(cells: Iterable[NotebookNode], what: str) -> Iterator[NotebookNode]:
    """The cells, with the code folded under a name; what only lists and shows the modes is left out."""
    for cell in cells:
        if cell.cell_type == "code" and not _is_machinery(cell):
            modes = _modes(cell)
            functions = [name for mode in modes for name in mode.functions] or _definitions(cell)
            yield _fold(cell, _said(what if modes or functions else "What it imports", functions))
        elif cell.cell_type == "code":
            yield from _only_shown(cell)
        elif cell.source.strip():
            yield cell


# --- topics and their parts --------------------------------------------------------------------------------------


def _topic_page(cells: Cells, shown: _Shown) -> Iterator[NotebookNode]:
    title = True
    for cell in cells:
        if cell.cell_type != "code":
            yield cell
            if title:
                yield from shown.give("mechanism")
            title = False
            continue
        if _is_machinery(cell):
            yield from _only_shown(cell)
            continue
        names = _definitions(cell)
        if not names:
            yield cell if "remove-cell" in cell.metadata.get("tags", ()) else _fold(cell, _imports(cell))
        elif set(names) <= COMPARISONS:
            what = "How it is compared" if "validate" in names else "How it is timed"
            yield _fold(cell, _said(what, names))
            if "validate" in names:
                yield from shown.give("agreements")
        elif PICTURES & set(names):
            if "example" in names:
                yield from shown.give("example")
            yield _fold(cell, _said("How the pictures are drawn", names))
        else:
            yield cell


def _imports(cell: NotebookNode) -> str:
    imported = any(isinstance(node, ast.Import | ast.ImportFrom) for node in _tree(cell).body)
    return "What this page imports" if imported else "What else this page names"


# --- pieces ------------------------------------------------------------------------------------------------------


def _split(cell: NotebookNode) -> Iterator[NotebookNode]:
    """A Markdown cell in pieces that each begin with a heading of the second level; another cell as it is."""
    if cell.cell_type != "markdown":
        yield cell
        return
    pieces: list[list[str]] = [[]]
    fence = ""
    for line in cell.source.splitlines():
        mark = re.match(r" {0,3}(`{3,}|~{3,}|:{3,})", line)
        if mark and (not fence or line.strip().startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and HEADING.match(line):
            pieces.append([])
        pieces[-1].append(line)
    for piece in pieces:
        if "".join(piece).strip():
            yield _markdown("\n".join(piece).strip("\n"))


def _raise_headings(cells: Cells) -> None:
    """A part whose headings begin at the third level, as they would on its topic's page: by one level."""
    texts = [cell for cell in cells if cell.cell_type == "markdown"]
    if not any(re.search(r"^## ", cell.source, re.MULTILINE) for cell in texts):
        for cell in texts:
            cell.source = re.sub(r"^##(#+ )", r"#\1", cell.source, flags=re.MULTILINE)


def _sections(cells: Iterable[NotebookNode]) -> list[Cells]:
    """The cells before the first heading of the second level, then those of each section."""
    sections: list[Cells] = [[]]
    for cell in cells:
        if cell.cell_type == "markdown" and HEADING.match(cell.source):
            sections.append([])
        sections[-1].append(cell)
    return sections


def _fold(cell: NotebookNode, summary: str) -> NotebookNode:
    if "remove-cell" not in cell.metadata.get("tags", ()):
        cell.metadata["tags"] = ["hide-input"]
        cell.metadata["mystnb"] = {"code_prompt_show": summary, "code_prompt_hide": summary}
    return cell


def _only_shown(cell: NotebookNode) -> Iterator[NotebookNode]:
    """What a cell showed and nobody asked for, such as a warning, without its code."""
    if cell.outputs:
        cell.metadata["tags"] = ["remove-input"]
        yield cell


def _said(what: str, names: Iterable[str]) -> str:
    names = list(names)
    return f"{what}: {', '.join(names)}" if names else what


def _definitions(cell: NotebookNode) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in _tree(cell).body if isinstance(node, kinds)]


def _is_machinery(cell: NotebookNode) -> bool:
    """Whether a cell says only which failure modes there are, or shows the page's results when it is run."""
    body = _tree(cell).body
    run = body and all(isinstance(node, ast.If) and "__name__" in ast.unparse(node.test) for node in body)
    listed = (
        len(body) == 1
        and isinstance(body[0], ast.Assign)
        and ast.unparse(body[0].targets[0]) == "FAILURE_MODES"
    )
    return bool(run or listed)


def _with_room(source: str) -> str:
    """Code whose docstrings and comments keep within the columns that the page has; a line goes on under its words."""
    lines = source.splitlines()
    if max(map(len, lines), default=0) <= COLUMNS:
        return source
    words = {number for first, last in _docstrings(source) for number in range(first, last + 1)}
    words |= {number for number, line in enumerate(lines, 1) if line.lstrip().startswith("#")}
    result = []
    for number, line in enumerate(lines, 1):
        margin = line[: len(line) - len(line.lstrip())]
        if (
            number not in words or len(line) <= COLUMNS or "  " in line.strip()
        ):  # a column that stands under another
            result.append(line)
            continue
        if line.lstrip().startswith("#"):
            margin, hanging = f"{margin}# ", f"{margin}# "
        else:
            hanging = margin + "    " * bool(re.match(r"\s+[\w, *`]+(\([^)]*\))?: ", line))
        text = line.strip().removeprefix("# ") if margin.endswith("# ") else line.strip()
        result += textwrap.wrap(
            text, COLUMNS, initial_indent=margin, subsequent_indent=hanging,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(result)


def _docstrings(source: str) -> Iterator[tuple[int, int]]:
    """First and last line of each docstring."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            first = node.body[0]
            yield first.lineno, first.end_lineno or first.lineno


def _tree(cell: NotebookNode) -> ast.Module:
    return ast.parse(cell.source if cell.cell_type == "code" else "")


def _markdown(text: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(text)
