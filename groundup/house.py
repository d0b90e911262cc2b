"""The rules of the house for a topic, as sentences that say what is still to be written.

The suite holds every topic to them; `groundup new` lays a topic that breaks those which ask for its content.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from groundup import catalogue, notes
from groundup.catalogue import Topic
from groundup.pages import cells

__all__ = ["RULES", "complaints", "strangers"]

LONGEST_PAGE, BREATH_LINES, CORE = 650, range(10, 31), range(5, 9)
LONGEST_NOTE, LONGEST_ESSAY = 1500, 2500
NOTE_SECTIONS = ("Theory", "Assumptions", "How it breaks", "Limits", "Open questions", "Literature")
TO_WRITE = "To be written:"
"""How `groundup new` begins what it leaves open; no page may keep it."""
MARKS = " *.,\"'|`)"  # what may stand around such a note

Rule = Callable[[Topic], Iterator[str]]


def complaints(topic: Topic) -> list[str]:
    """What the topic still lacks, one sentence each with the file it belongs to; empty is good."""
    return [complaint for rule in RULES for complaint in rule(topic)]


def strangers() -> list[str]:
    """Files that lie in a level's folder and are no topic: what outgrows a page lies in `parts/TOPIC/`."""
    known = {topic.path for topic in catalogue.topics().values()}
    return [
        f"{_place(path)} is no topic of groundup/curriculum.toml: what outgrows a page lies in parts/TOPIC/"
        for level in catalogue.levels()
        for path in sorted((catalogue.ROOT / level.package).glob("*.py"))
        if path not in known and path.name != "__init__.py"
    ]


def rooms(topic: Topic) -> Iterator[str]:
    """Page, failure modes, note, tests and learners' mistakes exist; the level's README and essay know the topic."""
    for path in (topic.path, topic.failure_modes_path, topic.note_path, topic.test_path, topic.mistakes_path):
        if not path.exists():
            yield f"{_place(path)} is missing"
    for name in ("README.md", "RESEARCH_NOTE.md"):
        path = topic.path.parent / name
        if topic.name not in _read(path):
            yield f"{_place(path)} does not mention {topic.name}"


def nothing_left_open(topic: Topic) -> Iterator[str]:
    """No page keeps what `groundup new` left open."""
    for path in (
        topic.path,
        topic.failure_modes_path,
        topic.note_path,
        topic.test_path,
        topic.mistakes_path,
        topic.path.parent / "README.md",
    ):
        for number, line in enumerate(_read(path).splitlines(), start=1):
            _, found, what = line.partition(TO_WRITE)
            if found:
                yield f"{_place(path)}, line {number}: still to be written: {what.strip(MARKS)}"


def length(topic: Topic) -> Iterator[str]:
    """A page is read in one sitting; so is a part, and a page of failure modes."""
    for path in (topic.path, topic.failure_modes_path, *_parts(topic)):
        lines = len(_read(path).splitlines())
        if lines > LONGEST_PAGE:
            yield f"{_place(path)} has {lines} lines, more than {LONGEST_PAGE}: move what outgrows it to parts/{topic.name}/"


def breath(topic: Topic) -> Iterator[str]:
    """In one breath: the heading, one bare cell of plain NumPy, then what is wrong with it; `BREATH` names its entry."""
    page = _place(topic.path)
    found = cells(topic.path) if topic.path.exists() else []
    place = next((i for i, (kind, text) in enumerate(found) if kind == "markdown" and text.startswith("### In one breath")), None)  # fmt: skip
    if place is None or place + 2 >= len(found):
        yield f"{page}: step 3 opens with a markdown cell '### In one breath', a code cell, and what is wrong with it"
        return
    before = next((text for kind, text in reversed(found[:place]) if kind == "markdown"), "")
    if not before.startswith("## 3. Implement"):
        yield f"{page}: '### In one breath' opens step 3, before anything else"
    (_, heading), (kind, code), (next_kind, after) = found[place : place + 3]
    if kind != "code":
        yield f"{page}: one code cell stands right under '### In one breath'"
        return
    written = [line for line in code.splitlines() if line.strip()]
    if len(written) not in BREATH_LINES:
        yield f"{page}: the breath has {len(written)} lines, and needs {BREATH_LINES[0]} to {BREATH_LINES[-1]}"
    tree = ast.parse(code)
    if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree)):
        yield f"{page}: the breath imports nothing; the imports stand in the cell before its heading"
    entry = _assigned(topic.path, "BREATH")
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if not (isinstance(entry, ast.Constant) and entry.value in defined):
        yield f"{page}: BREATH is a string that names one of {sorted(defined)}, the functions and classes of the breath"
    if next_kind != "markdown" or "What is wrong with it" not in after:
        yield f"{page}: after the breath one sentence tells '**What is wrong with it.**'"


def core(topic: Topic) -> Iterator[str]:
    """Five to eight functions are asked by default, and the breath is the first of them."""
    if not topic.path.exists():
        return
    source = _read(topic.path)
    lines = source.splitlines()
    marked = [
        node.name
        for node in sorted(_functions(ast.parse(source)), key=lambda node: node.lineno)
        if any("# practice: core" in line for line in lines[node.lineno - 1 : node.body[0].lineno - 1])
    ]
    if len(marked) not in CORE:
        yield f"{_place(topic.path)}: {len(marked)} functions are marked '# practice: core', and five to eight should be"
    code = next((cells(topic.path)[i + 1][1] for i, (kind, text) in enumerate(cells(topic.path)[:-1]) if text.startswith("### In one breath")), "")  # fmt: skip
    if marked and f"def {marked[0]}(" not in code:
        yield f"{_place(topic.path)}: the first '# practice: core' is {marked[0]}, and should be in the breath"


def pictures(topic: Topic) -> Iterator[str]:
    """A picture of the mechanism and one of results; their docstrings are captions; the page shows both at its end."""
    if not topic.path.exists():
        return
    tree = ast.parse(_read(topic.path))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name in ("mechanism", "example"):
        if name not in functions:
            yield f"{_place(topic.path)}: {name}() is missing, which draws a picture"
        elif not ast.get_docstring(functions[name]):
            yield f"{_place(topic.path)}: {name}() needs a docstring, the caption and alternative text of its picture"
    if "present_topic(validate, example, mechanism)" not in cells(topic.path)[-1][1]:
        yield f"{_place(topic.path)}: the last cell calls present_topic(validate, example, mechanism)"


def plain_words(topic: Topic) -> Iterator[str]:
    """What it does, in words for a manager."""
    if "**In plain words.**" not in _read(topic.path).rpartition("## 5. Document")[2]:
        yield f"{_place(topic.path)}: step 5 has a paragraph '**In plain words.**'"


def letters(topic: Topic) -> Iterator[str]:
    """The symbol table of step 2 lists no symbol twice."""
    step = re.search(r"^# ## 2\. Derive\n(.*?)^# ## 3\.", _read(topic.path), re.MULTILINE | re.DOTALL)
    cell = r"^# \|((?:[^|\n]|\\\|)*)\|"  # the first one of a row
    rows = re.findall(cell, step[1], re.MULTILINE) if step else []
    if len(rows) < 3 or rows[0].strip() != "symbol":
        yield f"{_place(topic.path)}: step 2 opens with a table of symbols, their meaning and their shapes"
    listed = [re.sub(r"\s", "", symbol) for row in rows[2:] for symbol in re.findall(r"\$([^$]+)\$", row)]
    for symbol in sorted({symbol for symbol in listed if listed.count(symbol) > 1}):
        yield f"{_place(topic.path)}: the symbol ${symbol}$ is listed twice"


def failure_page(topic: Topic) -> Iterator[str]:
    """Each mode: heading, experiment, declaration under it, symptoms, and a rival on both claims; a tuple of names at the end."""
    path = topic.failure_modes_path
    if not path.exists():
        return
    section, declared, taken = "", [], _part_names(topic)
    for kind, text in cells(path):
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE) if kind == "markdown" else []
        section = headings[-1] if headings else section
        for node in ast.parse(text).body if kind == "code" else ():
            if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
                continue
            if ast.unparse(node.value.func) != "FailureMode":
                continue
            variable = ast.unparse(node.targets[0])
            given = {keyword.arg: keyword.value for keyword in node.value.keywords}
            name, title = (_text(given.get(key)) for key in ("name", "title"))
            where = f"{_place(path)}: {variable}"
            declared.append(variable)
            if title != section:
                yield f"{where} stands under the heading {section!r}, which should be its title {title!r}"
            if variable != name.upper():
                yield f"{where} declares {name!r}, and should be called {name.upper()}"
            if name in taken:
                yield f"{where}: {name!r} is a part of the topic as well, so that '{topic.name}/{name}' means two things"
            symptoms = given.get("symptoms")
            if not (isinstance(symptoms, ast.Tuple) and symptoms.elts and all(map(_text, symptoms.elts))):
                yield f"{where} needs symptoms, a tuple of sentences as in a bug report"
            for part in ("breaks", "remedy"):
                claim = given.get(part)
                rival = isinstance(claim, ast.Call) and "rival" in [keyword.arg for keyword in claim.keywords]
                if not rival:
                    yield f"{where}: {part} needs a rival, what the nearest wrong theory predicts"
    listed = _assigned(path, "FAILURE_MODES")
    names = [ast.unparse(element) for element in listed.elts] if isinstance(listed, ast.Tuple) else []
    if not names or names != declared:
        yield f"{_place(path)}: FAILURE_MODES is the tuple of all declared modes in their order, ({', '.join(declared)})"


def note(topic: Topic) -> Iterator[str]:
    """A note is read in one sitting, and so is the essay of its level."""
    for path, most in (
        (topic.note_path, LONGEST_NOTE),
        (topic.path.parent / "RESEARCH_NOTE.md", LONGEST_ESSAY),
    ):
        if path.exists() and (count := notes.words(path)) > most:
            yield f"{_place(path)} has {count} words, more than {most}"


def parts_below(topic: Topic) -> Iterator[str]:
    """A part never imports its topic, or how that breaks: not inside functions, not for types, not by name."""
    above = {topic.module_name, topic.failure_modes_name}
    for path in _parts(topic):
        for node in ast.walk(ast.parse(_read(path))):
            if isinstance(node, ast.Import):
                imported = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported = {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Constant):
                imported = {str(node.value)}
            else:
                continue
            if imported & above:
                yield f"{_place(path)}, line {node.lineno}: a part does not import its topic"


RULES: tuple[Rule, ...] = (
    rooms, nothing_left_open, length, breath, core, letters, pictures, plain_words, failure_page, note, parts_below,
)  # fmt: skip


def _place(path: Path) -> str:
    return str(path.relative_to(catalogue.ROOT))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _parts(topic: Topic) -> list[Path]:
    return sorted(topic.parts_path.rglob("*.py"))


def _part_names(topic: Topic) -> set[str]:
    return {path.stem for path in _parts(topic)}


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _assigned(path: Path, name: str) -> ast.expr | None:
    """What a module-level name is set to."""
    for node in ast.parse(_read(path)).body:
        if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets):
            return node.value
    return None


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
