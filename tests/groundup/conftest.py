"""The tiny topic on which the desk is tried."""

import dataclasses
from pathlib import Path

import pytest

from groundup import catalogue
from groundup.catalogue import Level, Topic

TINY = Path(__file__).parent / "tiny"


@dataclasses.dataclass(frozen=True)
class TinyTopic(Topic):
    """A topic that lives in a folder of its own."""

    folder: object = None

    @property
    def path(self):
        return self.folder / "tinylevel" / "tiny.py"

    @property
    def test_path(self):
        return self.folder / "tests" / "test_tiny.py"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The tiny topic, with practice folder, data folder and catalogue of its own."""
    (tmp_path / "tinylevel").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tinylevel" / "__init__.py").touch()
    (tmp_path / "tinylevel" / "tiny.py").write_text((TINY / "tiny.py").read_text(encoding="utf-8"))
    (tmp_path / "tests" / "test_tiny.py").write_text((TINY / "tiny_tests.py").read_text(encoding="utf-8"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("GROUNDUP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROUNDUP_PRACTICE", str(tmp_path / "practice"))
    (tmp_path / "practice").mkdir()
    topic = TinyTopic(
        "tiny", "A tiny topic", "Doubles.", 1, "tinylevel", "level1", (), ("scipy",), 1.0, folder=tmp_path
    )
    after = dataclasses.replace(topic, name="after", needs=("tiny",))
    found = {"tiny": topic, "after": after}
    monkeypatch.setattr(catalogue, "topics", lambda: found)
    monkeypatch.setattr(catalogue, "levels", lambda: (Level(1, "tinylevel", "Tiny", "?", (topic, after)),))
    return topic
