"""Proof that the exercises of every topic can be failed, function by function, and passed; and that mistakes are named.

The proofs run in forks of a process that has imported all libraries, where it would not be noticed that a topic or its
tests forgot an import. So each day another topic's proof runs in a process of its own.
"""

import datetime

import pytest

from groundup import catalogue, warm
from groundup.desk.mistakes import read_mistakes
from groundup.desk.proof import problems

COLD = list(catalogue.topics())[datetime.date.today().toordinal() % len(catalogue.topics())]
FEWEST = 3  # mistakes of learners that each topic plants


@pytest.mark.parametrize("topic", catalogue.topics().values(), ids=lambda topic: topic.name)
def test_the_exercises_can_be_failed_and_passed(topic, tmp_path, monkeypatch):
    """A mistake of a learner fails a test, too, and the check names the function in which it is."""
    monkeypatch.setenv("GROUNDUP_HOME", str(tmp_path))
    if topic.name == COLD:
        monkeypatch.delenv(warm.VARIABLE, raising=False)
    mistakes = read_mistakes(topic.mistakes_path)
    assert len(mistakes) >= FEWEST, f"{topic.mistakes_path.name} needs {FEWEST} mistakes of learners"
    found = problems(topic, whole=topic.name == "k_means", mistakes=mistakes)
    assert not found, "\n".join(found)
