"""Proof that the exercises of every topic can be failed, function by function, and passed."""

import pytest

from groundup import catalogue
from groundup.desk.proof import problems


@pytest.mark.parametrize("topic", catalogue.topics().values(), ids=lambda topic: topic.name)
def test_the_exercises_can_be_failed_and_passed(topic, tmp_path, monkeypatch):
    monkeypatch.setenv("GROUNDUP_HOME", str(tmp_path))
    found = problems(topic, whole=topic.name == "k_means")
    assert not found, "\n".join(found)
