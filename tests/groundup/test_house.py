"""The rules of the house, held by machine: what every topic must have and must not do."""

import ast
import importlib.util
import re
import subprocess
import sys

import pytest

from groundup import catalogue
from groundup.catalogue import ROOT
from groundup.reports import cells

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


def each(items):
    return pytest.mark.parametrize("item", items, ids=lambda item: getattr(item, "name", str(item)))


@each(TOPICS)
def test_a_topic_has_its_rooms(item):
    for path in (item.path, item.failure_modes_path, item.test_path):
        assert path.exists(), f"{path.relative_to(ROOT)} is missing"
    for page in ("README.md", "RESEARCH_NOTE.md"):
        text = (item.path.parent / page).read_text(encoding="utf-8")
        assert item.name in text, f"{item.package}/{page} does not mention {item.name}"
    assert f"<!-- ledger: {item.name} -->" in text, "the note has no ledger block for the topic"


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
    for path in (ROOT / "level1_foundations").rglob("*.py"):
        assert not re.search(r"np\.linalg|numpy\.linalg|shared\.linalg", path.read_text(encoding="utf-8")), (
            path
        )


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
