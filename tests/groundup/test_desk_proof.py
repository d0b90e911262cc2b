"""Proof that the exercises of every topic can be failed, function by function, and passed; and that mistakes are named."""

from pathlib import Path

import pytest

from groundup import catalogue
from groundup.desk.mistakes import read_mistakes
from groundup.desk.proof import problems

MISTAKES = Path(__file__).parent / "mistakes"
FEWEST = 3  # mistakes of learners that each topic plants


@pytest.mark.parametrize("topic", catalogue.topics().values(), ids=lambda topic: topic.name)
def test_the_exercises_can_be_failed_and_passed(topic, tmp_path, monkeypatch):
    """A mistake of a learner fails a test, too, and the check names the function in which it is."""
    monkeypatch.setenv("GROUNDUP_HOME", str(tmp_path))
    path = MISTAKES / f"{topic.name}.toml"
    mistakes = read_mistakes(path) if path.is_file() else []
    assert len(mistakes) >= FEWEST, f"tests/groundup/mistakes/{path.name} needs {FEWEST} mistakes of learners"
    found = problems(topic, whole=topic.name == "k_means", mistakes=mistakes)
    assert not found, "\n".join(found)
