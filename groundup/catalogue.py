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

__all__ = [
    "ROOT",
    "Level",
    "Topic",
    "UnknownTopic",
    "forgiven",
    "get",
    "get_page",
    "levels",
    "note_of",
    "pages",
    "select",
    "shown",
    "study_path",
    "topics",
]

ROOT = Path(__file__).resolve().parent.parent
"""The repository: every path in the reports is relative to it."""


SEE_THE_MAP = "'groundup list' shows what there is."


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
    also: tuple[str, ...] = ()  # abbreviations and class names under which one may look for it

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
    def parts_path(self) -> Path:
        return ROOT / self.package / "parts" / self.name

    @property
    def note_path(self) -> Path:
        return ROOT / self.package / "notes" / f"{self.name}.md"

    @property
    def test_path(self) -> Path:
        return ROOT / "tests" / self.package / f"test_{self.name}.py"

    @property
    def mistakes_path(self) -> Path:
        return ROOT / "tests" / "groundup" / "mistakes" / f"{self.name}.toml"

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
                    also=tuple(topic.get("also", ())),
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
    wanted = forgiven(name)
    if wanted in topics():
        return topics()[wanted]
    if found := _pages_called(wanted):
        raise UnknownTopic(f"{name!r} is a page and no topic: 'groundup show {found[0]}' reads it.")
    raise UnknownTopic(f"no topic is called {name!r}: {_suggestion(wanted, topics())}")


def pages() -> dict[str, Path]:
    """Everything that can be read, by name: topics, `failure_modes/TOPIC`, and a topic's parts as `TOPIC/PART`."""
    found = {name: topic.path for name, topic in topics().items()}
    found |= {f"failure_modes/{name}": topic.failure_modes_path for name, topic in topics().items()}
    for topic in topics().values():
        for path in sorted(topic.parts_path.glob("*.py")):
            if path.stem != "__init__":
                found[f"{topic.name}/{path.stem}"] = path
    return found


def _pages_called(wanted: str) -> list[str]:
    """The pages of that name, or whose last part is so called: a part of a topic goes by its own name, too."""
    known = pages()
    if wanted in known:
        return [wanted]
    return [name for name in known if name.endswith(f"/{wanted}") and not name.startswith("failure_modes/")]


def get_page(name: str, *, failures: bool = False) -> tuple[Path, Topic | None]:
    """The page of that name, and the topic if it is the topic's own or that of its failure modes.

    A part of a topic goes by `TOPIC/PART`, and by its own name where no other topic has one of the same. A page may be
    given as a path, too, such as `level2_classical/failure_modes/k_means.py`.

    Raises:
        UnknownTopic: with the nearest names, or all of them where several parts share it.
    """
    wanted = forgiven(name)
    for folder in (*(level.package for level in levels()), "parts"):
        wanted = wanted.removeprefix(f"{folder}/")
    if wanted in topics() and not failures:
        return topics()[wanted].path, topics()[wanted]
    last = wanted.removeprefix("failure_modes/")
    if failures or last != wanted:
        if last in topics():
            return topics()[last].failure_modes_path, topics()[last]
        get_page(last)  # a name that is unknown is told as such
        raise UnknownTopic(f"{last} is part of a topic, and has no page of failure modes of its own.")
    found = _pages_called(wanted)
    if len(found) > 1:
        raise UnknownTopic(f"several topics have a part {name!r}: did you mean {' or '.join(found)}?")
    if not found:
        short = [page.rpartition("/")[2] for page in pages()]
        raise UnknownTopic(f"no topic or page is called {name!r}: {_suggestion(wanted, [*pages(), *short])}")
    return pages()[found[0]], None


def forgiven(name: str) -> str:
    """A name as it stands on the map: hyphens, spaces, capitals and the path of this clone are forgiven."""
    name = name.strip().removeprefix(f"{ROOT}/").removeprefix("./")
    return name.lower().replace("-", "_").replace(" ", "_").removesuffix(".py")


def _suggestion(wanted: str, names: Iterable[str]) -> str:
    near = _speaking_of(wanted) or difflib.get_close_matches(wanted, set(names), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else SEE_THE_MAP


def _speaking_of(wanted: str) -> list[str]:
    """Topics that are also called so, else those with all these words in their name, title, or summary.

    "clusters" finds "clustering": of a long word the last three letters may differ.
    """
    plain = wanted.replace("_", "")
    called = [
        topic.name
        for topic in topics().values()
        if plain in [other.lower().replace("-", "").replace("_", "").replace(" ", "") for other in topic.also]
    ]
    if called:
        return called[:3]
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


def note_of(topic: Topic) -> Path:
    """The topic's own note; the level's where it has none yet."""
    return topic.note_path if topic.note_path.exists() else topic.path.parent / "RESEARCH_NOTE.md"


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
