"""`groundup new`: what it lays runs, says what is still open, and leaves everything else as it was."""

import os
import shutil
import subprocess
import sys

import pytest

from groundup.catalogue import ROOT

NEW = ("new", "ridge_regression", "--level", "2", "--needs", "linear_regression")


def at(folder, *arguments):
    """Python in that copy of the repository."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *(arguments if arguments[0] == "-c" else ("-m", *arguments))],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def copied(folder):
    for name in ("groundup", "shared", "research_notes", "pyproject.toml", "tests/conftest.py"):
        place, source = folder / name, ROOT / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, place) if source.is_dir() else shutil.copy(source, place)
    for level in ROOT.glob("level[1-6]_*"):
        shutil.copytree(level, folder / level.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def laid(tmp_path_factory):
    """A copy of the repository in which a topic was laid, and what the command said."""
    folder = copied(tmp_path_factory.mktemp("new"))
    result = at(folder, "groundup", *NEW)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_the_topic_stands_on_the_map_after_its_needs(laid):
    folder, _ = laid
    shown = at(folder, "groundup", "path", "ridge_regression").stdout
    assert shown.index("linear_regression") < shown.index("ridge_regression")


def test_what_is_laid_runs(laid):
    folder, _ = laid
    assert at(folder, "groundup", "run", "ridge_regression", "--no-figures").returncode == 0
    tests = at(
        folder, "pytest", "-q", "-p", "no:cacheprovider", "tests/level2_classical/test_ridge_regression.py"
    )
    assert tests.returncode == 0, tests.stdout


def test_the_mistakes_that_are_laid_are_noticed_and_named(laid):
    folder, _ = laid
    code = (
        "from groundup import catalogue; from groundup.desk.mistakes import read_mistakes\n"
        "from groundup.desk.proof import problems\n"
        "topic = catalogue.get('ridge_regression')\n"
        "print(problems(topic, mistakes=read_mistakes(topic.mistakes_path)))"
    )
    assert at(folder, "-c", code).stdout.strip() == "[]"


def test_what_is_laid_keeps_the_rules_of_the_linter(laid):
    folder, _ = laid
    files = ["level2_classical", "tests"]
    assert at(folder, "ruff", "check", *files).stdout.strip() == "All checks passed!"
    assert at(folder, "ruff", "format", "--check", *files).returncode == 0


def test_the_house_says_what_is_still_open_and_nothing_else(laid):
    folder, _ = laid
    code = "from groundup import catalogue, house; print(*house.complaints(catalogue.get('ridge_regression')), sep='\\n')"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True
    ).stdout.splitlines()  # fmt: skip
    other = [line for line in told if "still to be written" not in line]
    # the two that ask for content by its size
    assert len(told) > 20 and [line.split(": ", 1)[1] for line in other] == [
        "the breath has 3 lines, and needs 10 to 30",
        "1 functions are marked '# practice: core', and five to eight should be",
    ]


def test_every_room_and_entry_is_named(laid):
    _, said = laid
    for room in (
        "level2_classical/ridge_regression.py", "level2_classical/failure_modes/ridge_regression.py",
        "level2_classical/notes/ridge_regression.md", "tests/level2_classical/test_ridge_regression.py",
        "tests/groundup/mistakes/ridge_regression.toml", "groundup/curriculum.toml", "level2_classical/README.md", "level2_classical/RESEARCH_NOTE.md",
    ):  # fmt: skip
        assert room in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("Ridge", "--level", "2"), "a name in lower case"),
        (("k_means", "--level", "2"), "on the map already"),
        (("ridge_regression", "--level", "2"), "on the map already"),
        (("lasso", "--level", "1", "--needs", "k_means"), "above level 1"),
        (("lasso", "--level", "2", "--needs", "k_meanz"), "did you mean k_means"),
        (("estimator", "--level", "7"), "--level"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(laid, arguments, told):
    folder, _ = laid
    before = (folder / "groundup" / "curriculum.toml").read_text(encoding="utf-8")
    result = at(folder, "groundup", "new", *arguments)
    assert result.returncode == 2 and told in result.stderr
    assert (folder / "groundup" / "curriculum.toml").read_text(encoding="utf-8") == before


def test_what_exists_is_not_overwritten(laid):
    folder, _ = laid
    mine = folder / "level2_classical" / "notes" / "lasso.md"
    mine.write_text("mine", encoding="utf-8")
    result = at(folder, "groundup", "new", "lasso", "--level", "2")
    assert result.returncode == 1 and "exists already" in result.stderr
    assert (
        mine.read_text(encoding="utf-8") == "mine" and not (folder / "level2_classical" / "lasso.py").exists()
    )
