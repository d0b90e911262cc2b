"""The catalogue: levels and topics as `curriculum.toml` tells them. Imports no topic until asked to."""

from __future__ import annotations

import difflib
import importlib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

__all__ = ["ROOT", "Level", "Topic", "UnknownTopic", "get", "levels", "shown", "study_path", "topics"]

ROOT = Path(__file__).resolve().parent.parent
"""The repository: every path in the reports is relative to it."""


@dataclass(frozen=True)
class Topic:
    """One topic: a file of the same name in its level's package."""

    name: str
    title: str
    summary: str
    level: int
    package: str
    extra: str
    needs: tuple[str, ...]
    mirrors: tuple[str, ...]
    seconds: float

    @property
    def module_name(self) -> str:
        return f"{self.package}.{self.name}"

    @property
    def failure_modes_name(self) -> str:
        return f"{self.package}.failure_modes.{self.name}"

    @property
    def path(self) -> Path:
        return ROOT / self.package / f"{self.name}.py"

    @property
    def failure_modes_path(self) -> Path:
        return ROOT / self.package / "failure_modes" / f"{self.name}.py"

    @property
    def test_path(self) -> Path:
        return ROOT / "tests" / self.package / f"test_{self.name}.py"

    def load(self) -> ModuleType:
        """Import the topic."""
        return importlib.import_module(self.module_name)

    def load_failure_modes(self) -> ModuleType:
        """Import the topic's failure modes."""
        return importlib.import_module(self.failure_modes_name)


@dataclass(frozen=True)
class Level:
    """One level of the tower and its topics in reading order."""

    number: int
    package: str
    title: str
    question: str
    topics: tuple[Topic, ...]


class UnknownTopic(LookupError):
    """No topic has that name; the message suggests the nearest ones."""


@cache
def levels() -> tuple[Level, ...]:
    """All levels, lowest first.

    Raises:
        ValueError: the map names a need that does not exist or stands in a higher level.
    """
    data = tomllib.loads((Path(__file__).parent / "curriculum.toml").read_text(encoding="utf-8"))
    found = tuple(
        Level(
            number=level["number"],
            package=level["package"],
            title=level["title"],
            question=level["question"],
            topics=tuple(
                Topic(
                    name=topic["name"],
                    title=topic["title"],
                    summary=topic["summary"],
                    level=level["number"],
                    package=level["package"],
                    extra=level["extra"],
                    needs=tuple(topic["needs"]),
                    mirrors=tuple(topic["mirrors"]),
                    seconds=float(topic["seconds"]),
                )
                for topic in level["topic"]
            ),
        )
        for level in data["level"]
    )
    seen: set[str] = set()
    for level in found:
        for topic in level.topics:
            missing = set(topic.needs) - seen
            if missing or topic.name in seen:
                raise ValueError(
                    f"curriculum.toml: {topic.name} is listed twice, or before its needs {missing}."
                )
            seen.add(topic.name)
    return found


@cache
def topics() -> dict[str, Topic]:
    """All topics by name, in reading order."""
    return {topic.name: topic for level in levels() for topic in level.topics}


def get(name: str) -> Topic:
    """The topic of that name; hyphens, spaces and capitals are forgiven.

    Raises:
        UnknownTopic: with the nearest names.
    """
    wanted = name.strip().lower().replace("-", "_").replace(" ", "_").removesuffix(".py")
    if wanted in topics():
        return topics()[wanted]
    near = _speaking_of(wanted) or difflib.get_close_matches(wanted, topics(), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "'groundup list' shows what there is."
    raise UnknownTopic(f"no topic is called {name!r}: {hint}")


def _speaking_of(wanted: str) -> list[str]:
    """Topics with all these words in their name, else in their title, else in their summary.

    "clusters" finds "clustering": of a long word the last three letters may differ.
    """
    stems = [word[: max(4, len(word) - 3)] for word in re.findall(r"[a-z0-9]{3,}", wanted)]
    for part in ("name", "title", "summary") if stems else ():
        found = []
        for topic in topics().values():
            words = re.findall(r"[a-z0-9]+", getattr(topic, part).lower())
            if all(any(word.startswith(stem) for word in words) for stem in stems):
                found.append(topic.name)
        if found:
            return found[:3]
    return []


def study_path(name: str) -> list[Topic]:
    """The topic's prerequisites and the topic itself, in reading order, in which each comes after its needs."""
    needed: set[str] = set()
    waiting = [get(name).name]
    while waiting:
        topic = topics()[waiting.pop()]
        needed.add(topic.name)
        waiting += topic.needs
    return [topic for topic in topics().values() if topic.name in needed]


def shown(path: Path) -> str:
    """A path as one types it here: relative where it lies below the current folder, else absolute."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def select(names: Iterable[str], *, level: int | None = None, everything: bool = False) -> list[Topic]:
    """The topics that a command line asks for, in reading order, each once."""
    chosen = {get(name).name for name in names}
    return [
        topic
        for topic in topics().values()
        if everything or topic.name in chosen or (level is not None and topic.level == level)
    ]
