"""The rules of the house, held by machine: what every topic must have and must not do."""

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from groundup import catalogue, house, notes
from groundup.catalogue import ROOT
from groundup.pages import cells

TOPICS = list(catalogue.topics().values())
PAGES = [page for topic in TOPICS for page in (topic.path, topic.failure_modes_path)]
HEAVY = (
    "scipy",
    "sklearn",
    "statsmodels",
    "pandas",
    "torch",
    "pymc",
    "arviz",
    "gymnasium",
    "onnx",
    "onnxruntime",
    "fastapi",
)
HEADER = """# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---
"""


def test_no_name_is_undefined():
    """The linter cannot ask for this itself: it takes the letters of a shape, such as "n d", for names."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--select",
        "F821",
        "--output-format",
        "json",
        "--no-cache",
        ".",
    ]
    found = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout)
    undefined = []
    for place in found:
        path, row, column = place["filename"], place["location"]["row"], place["location"]["column"]
        line = Path(path).read_text(encoding="utf-8").splitlines()[row - 1]
        if line[: column - 1].count('"') % 2 == 0:  # not inside of a string
            undefined.append(f"{path}:{row}: {place['message']}")
    assert not undefined


def each(items):
    return pytest.mark.parametrize("item", items, ids=lambda item: getattr(item, "name", str(item)))


@pytest.mark.parametrize("rule", house.RULES, ids=lambda rule: rule.__name__)
@each(TOPICS)
def test_a_topic_keeps_the_rules_of_the_house(item, rule):
    assert list(rule(item)) == []


def test_a_levels_folder_holds_topics_alone():
    assert house.strangers() == []


@each(TOPICS)
def test_a_topic_has_its_rooms(item):
    for path in (item.path, item.failure_modes_path, item.test_path):
        assert path.exists(), f"{path.relative_to(ROOT)} is missing"
    for page in ("README.md", "RESEARCH_NOTE.md"):
        text = (item.path.parent / page).read_text(encoding="utf-8")
        assert item.name in text, f"{item.package}/{page} does not mention {item.name}"
    assert item.note_path.exists(), f"{item.package}/notes/{item.name}.md is missing"


@each(TOPICS)
def test_a_note_quotes_every_failure_mode_and_its_agreements(item):
    text = item.note_path.read_text(encoding="utf-8")
    for mode in item.load_failure_modes().FAILURE_MODES:
        for part in ("", " remedy"):
            mark = f"<!-- claim: {item.name}/failure/{mode.name}{part} -->"
            assert mark in text, f"write {mark}<!-- /claim --> where the note speaks of {mode.title!r}"
    assert f"<!-- agreements: {item.name} -->" in text


@each([topic.note_path for topic in TOPICS])
def test_a_note_has_its_sections_in_order(item):
    text = item.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)", text, re.MULTILINE) == list(house.NOTE_SECTIONS)
    abstract = text.partition("\n")[2].partition("\n## ")[0]
    assert abstract.count("<!-- claim: ") >= 2, "the abstract has no numbers in it"


@each([topic.note_path for topic in TOPICS])
def test_a_note_of_a_topic_is_read_in_one_sitting(item):
    assert notes.words(item) <= 1500


@each(TOPICS)
def test_a_topic_has_its_five_steps_in_order(item):
    headings = re.findall(r"^# ## (\d\. \w+)", item.path.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["1. Select", "2. Derive", "3. Implement", "4. Validate", "5. Document"]


@each(TOPICS)
def test_a_topic_offers_validation_example_benchmark_and_failures(item):
    module = item.load()
    assert all(callable(getattr(module, name, None)) for name in ("validate", "example", "benchmarks"))
    names = [mode.name for mode in item.load_failure_modes().FAILURE_MODES]
    assert names and len(names) == len(set(names))


@each(PAGES)
def test_a_page_is_a_notebook(item):
    text = item.read_text(encoding="utf-8")
    assert text.startswith(HEADER), "the jupytext header with its kernelspec must come first"
    for kind, cell in cells(item):
        if kind == "code":
            ast.parse(cell)  # a cell that begins inside a class or function does not compile alone


def test_importing_any_topic_loads_no_reference_library():
    modules = [name for topic in TOPICS for name in (topic.module_name, topic.failure_modes_name)]
    code = f"import sys, {', '.join(modules)}; print([name for name in {HEAVY!r} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_level_one_uses_no_ready_made_linear_algebra():
    """NumPy's linear algebra is a reference here, and references are for agreements."""
    for path in (ROOT / "level1_foundations").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            used = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Import | ast.ImportFrom) else ""
            ready = re.match(
                r"(np|numpy|shared)\.linalg|(from|import) (numpy|shared)(\.linalg| import linalg)", used
            )
            assert not ready or path.name == "agreements.py", f"{path}, line {node.lineno}: {used}"


def test_public_functions_and_classes_are_documented():
    missing = []
    for package in ("shared", "groundup", *(level.package for level in catalogue.levels())):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                is_public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
                if is_public and not ast.get_docstring(node):
                    missing.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not missing, missing


def test_citations_are_in_the_bibliography():
    bibliography = (ROOT / "research_notes" / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{([\w:-]+),", bibliography, re.MULTILINE)
    assert len(keys) == len(set(keys)), "a key stands twice in references.bib"
    for note in ROOT.glob("**/*.md"):
        if ".venv" in note.parts or "_pages" in note.parts or "_build" in note.parts:
            continue
        for group in re.findall(r"\[(@[^\]]+)\]", note.read_text(encoding="utf-8")):
            for key in re.findall(r"@([\w:-]+)", group):
                assert key in keys, (
                    f"{note.relative_to(ROOT)} cites {key}, which references.bib does not have"
                )


def test_every_level_is_a_package_of_the_distribution():
    for level in catalogue.levels():
        assert importlib.util.find_spec(level.package) is not None


# --- every rule can be broken ------------------------------------------------------------------------------


@pytest.fixture
def k_means(tmp_path, monkeypatch):
    """k-means in a clone of its own, to break one rule at a time."""
    topic = catalogue.get("k_means")
    for path in (topic.path.parent, topic.test_path, topic.mistakes_path):
        place = tmp_path / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(path, place) if path.is_dir() else shutil.copy(path, place)
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    assert house.complaints(topic) == []
    return topic


PAGE, FAILURES, RESEARCH = "path", "failure_modes_path", "note_path"


@pytest.mark.parametrize(
    ("room", "old", "new", "told"),
    [
        (PAGE, "### In one breath", "### Plainly", "step 3 opens with a markdown cell '### In one breath'"),
        (PAGE, "# ## 3. Implement", "# ## 3. Implement\n\n# %% [markdown]\n# ### Notation", "before anything else"),
        (PAGE, 'BREATH = "plain_lloyd"', 'BREATH = "lloyd"', "BREATH is a string that names one of"),
        (PAGE, 'BREATH = "plain_lloyd"', "", "BREATH is a string that names one of"),
        (PAGE, "        centers = moved\n", "        centers = moved\n" * 20, "and needs 10 to 30"),
        (PAGE, "    while True:\n        distance", "    import math\n    while True:\n        distance", "imports nothing"),
        (PAGE, "**What is wrong with it.**", "**So.**", "What is wrong with it"),
        (PAGE, "  # practice: core", "", "0 functions are marked '# practice: core', and five to eight"),
        (PAGE, "def assign_and_sum(", "def assign_and_sum(  # practice: core", None),  # eight are not too many
        (PAGE, "(X, centers):  # practice: core", "(X, centers):", None),  # another one of the breath is the first
        (PAGE, "# | $x_i$ |", "# | $w_i$ |", "the symbol $w_i$ is listed twice"),
        (PAGE, "# | symbol |", "# | letter |", "a table of symbols"),
        (PAGE, "def mechanism(", "def picture(", "mechanism() is missing"),
        (PAGE, '"""Irises, colored', 'f"""Irises, colored', "mechanism() needs a docstring"),
        (PAGE, "(validate, example, mechanism)", "(validate, example)", "the last cell calls present_topic"),
        (PAGE, "**In plain words.**", "**In short.**", "In plain words"),
        (PAGE, "# %% [markdown]\n# ## 5.", "# a line\n" * 60 + "# %% [markdown]\n# ## 5.", "more than 650"),
        (PAGE, "**Question.**", "*To be written: the question.*", "still to be written: the question"),
        (FAILURES, "## Another answer every night", "## Another answer", "'Another answer every night'"),
        (FAILURES, "UNLUCKY_START = ", "UNLUCKY = ", "should be called UNLUCKY_START"),
        (FAILURES, 'name="unlucky_start"', 'name="elkan"', "means two things"),
        (FAILURES, "    symptoms=", "    signs=", "needs symptoms"),
        (FAILURES, "        rival=", "        other=", "breaks needs a rival"),
        (FAILURES, "(UNLUCKY_START, ANOTHER_", "(ANOTHER_", "FAILURE_MODES is the tuple of all declared modes"),
        (RESEARCH, "## Limits", "## Limits\n" + "word " * 600, "words, more than 1500"),
    ],
)  # fmt: skip
def test_a_rule_that_is_broken_is_told(k_means, room, old, new, told):
    path = getattr(k_means, room)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    found = house.complaints(k_means)
    assert any(told in complaint for complaint in found) if told else found == []


@pytest.mark.parametrize(
    "line",
    [
        "from level2_classical.k_means import lloyd",
        "from level2_classical import k_means",
        "import level2_classical.k_means",
        "def late():\n    from level2_classical.k_means import lloyd",
        "if TYPE_CHECKING:\n    from level2_classical.k_means import KMeans",
        "from level2_classical.failure_modes.k_means import FAILURE_MODES",
        "topic = importlib.import_module('level2_classical.k_means')",
    ],
)
def test_a_part_that_imports_its_topic_is_told(k_means, line):
    (k_means.parts_path / "extra.py").write_text(f"{line}\n", encoding="utf-8")
    (complaint,) = house.complaints(k_means)
    assert "extra.py" in complaint and "a part does not import its topic" in complaint


@pytest.mark.parametrize("room", [PAGE, FAILURES, RESEARCH, "test_path"])
def test_a_room_that_is_missing_is_told(k_means, room):
    getattr(k_means, room).unlink()
    told = f"{getattr(k_means, room).relative_to(catalogue.ROOT)} is missing"
    assert told in list(house.rooms(k_means))


def test_a_stranger_in_a_levels_folder_is_told(k_means):
    (k_means.path.parent / "helpers.py").write_text("", encoding="utf-8")
    (told,) = house.strangers()
    assert told.startswith("level2_classical/helpers.py is no topic")


def test_a_circle_of_imports_is_found(tmp_path, monkeypatch):
    import grimp

    contract = load_file("import_contracts", ROOT / "tests" / "import_contracts.py")
    package = tmp_path / "round_and_round"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "first": "import round_and_round.first\nfrom round_and_round import second",
        "second": "def late():\n    from round_and_round import third",
        "third": "",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert contract.circle(grimp.build_graph("round_and_round", cache_dir=None)) == []
    (package / "third.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from round_and_round.first import x"
    )
    found = contract.circle(grimp.build_graph("round_and_round", cache_dir=None))
    assert set(found) == {f"round_and_round.{name}" for name in ("first", "second", "third")}


def test_no_two_files_import_each_other():
    """As `lint-imports` holds it; here for whoever runs the suite alone."""
    import grimp

    contract = load_file("import_contracts", ROOT / "tests" / "import_contracts.py")
    packages = ("shared", *(level.package for level in catalogue.levels()), "groundup")
    graph = grimp.build_graph(*packages, cache_dir=None)
    assert contract.circle(graph) == []


def load_file(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
