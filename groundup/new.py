"""`groundup new`: all rooms of a new topic with their headings, and its entry on the map.

What is laid runs: the page, its failure mode, its tests. What it leaves open begins with "To be written:", and the house's rules
(`groundup.house`) name each such place until it is gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from groundup import catalogue
from groundup.catalogue import Level, Topic
from groundup.errors import CommandError

__all__ = ["lay", "new"]

TEMPLATES = Path(__file__).parent / "templates"


def new(name: str, level: int, *, title: str | None = None, needs: Sequence[str] = ()) -> int:
    """Lay the topic, and print where its rooms are and what they still lack."""
    from groundup import house

    written = lay(name, level, title=title, needs=needs)
    topic = catalogue.get(name)
    open_places = house.complaints(topic)
    for path in written:
        print(f"  {catalogue.shown(path)}")
    print(f"\n{topic.name} stands on the map, after everything that it needs. It runs already:")
    print(
        f"  groundup run {topic.name};  groundup break {topic.name};  pytest {catalogue.shown(topic.test_path)}"
    )
    print(
        f"\n{len(open_places)} places are still to be written; the suite's house tests name them, the first of them:"
    )
    for complaint in open_places[:3]:
        print(f"  {complaint}")
    print("\nCONTRIBUTING.md has the ten steps; level2_classical/k_means.py is the pattern.")
    return 0


def lay(name: str, level: int, *, title: str | None = None, needs: Sequence[str] = ()) -> list[Path]:
    """Write the rooms of a topic and its entries; returns the files, new and changed.

    Args:
        name: an identifier in lower case, such as "ridge_regression". level: 1 to 6. title: by default the name in words.
        needs: topics on which it builds; each must stand on the map, in this level or below.

    Raises:
        CommandError: a name that is no identifier, or is taken; a need that is unknown or lies above. Nothing is written then.
        UnknownTopic: no such need.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise CommandError(
            f"TOPIC must be a name in lower case with underscores, such as 'ridge_regression', got {name!r}.",
            2,
        )
    if name in catalogue.topics():
        raise CommandError(f"{name} stands on the map already: 'groundup show {name}' reads it.", 2)
    floor = next(floor for floor in catalogue.levels() if floor.number == level)
    below = [catalogue.get(need) for need in needs]
    for need in below:
        if need.level > level:
            raise CommandError(
                f"{need.name} is on level {need.level}, above level {level}: a topic builds on what is below it.",
                2,
            )
    topic = Topic(
        name=name, title=title or name.replace("_", " ").capitalize(), summary="To be written: one line.", level=level,
        package=floor.package, extra="", needs=tuple(need.name for need in below), mirrors=(), seconds=5.0,
    )  # fmt: skip
    rooms = {
        topic.path: "page", topic.failure_modes_path: "failure_modes", topic.note_path: "note", topic.test_path: "test",
        topic.mistakes_path: "mistakes",
    }  # fmt: skip
    for path in (*rooms, topic.parts_path):
        if path.exists():
            raise CommandError(f"{catalogue.shown(path)} exists already; nothing was written.", 1)
    for path, template in rooms.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(template, topic), encoding="utf-8")
    readme, essay = (floor_path(floor, page) for page in ("README.md", "RESEARCH_NOTE.md"))
    map_path = catalogue.ROOT / "groundup" / "curriculum.toml"
    for path, change in ((map_path, _entry), (readme, _row), (essay, _mention)):
        path.write_text(change(path.read_text(encoding="utf-8"), topic, floor), encoding="utf-8")
    catalogue.levels.cache_clear()
    catalogue.topics.cache_clear()
    return [*rooms, map_path, readme, essay]


def floor_path(level: Level, page: str) -> Path:
    """A page of a level's folder."""
    return catalogue.ROOT / level.package / page


def _filled(template: str, topic: Topic) -> str:
    text = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    needs = ", ".join(f"`{need}`" for need in topic.needs) or "NumPy alone"
    for mark, value in {
        "TOPIC_WORDS": topic.title[0].lower() + topic.title[1:],
        "TOPIC": topic.name,
        "TITLE": topic.title,
        "PACKAGE": topic.package,
        "NEEDS": needs,
    }.items():
        text = text.replace(f"@{mark}@", value)
    return text


def _entry(text: str, topic: Topic, level: Level) -> str:
    """The map with the topic's entry, the last one of its level; comments and order stay."""
    heads = [match.start() for match in re.finditer(r"^\[\[level\]\]$", text, re.MULTILINE)]
    ends = [*heads[1:], len(text)]
    end = next(
        end for head, end in zip(heads, ends, strict=True)
        if re.search(rf"^number = {level.number}$", text[head:end], re.MULTILINE)
    )  # fmt: skip
    quoted = {key: json.dumps(value, ensure_ascii=False) for key, value in (
        ("name", topic.name), ("title", topic.title), ("summary", topic.summary), ("needs", list(topic.needs)),
        ("mirrors", list(topic.mirrors)), ("also", []),
    )}  # fmt: skip
    lines = [
        "[[level.topic]]",
        *(f"{key} = {value}" for key, value in quoted.items()),
        f"seconds = {topic.seconds:g}",
    ]
    before, after = text[:end].rstrip("\n"), text[end:]
    return before + "\n\n" + "\n".join(lines) + "\n" + ("\n" + after if after else "")


def _row(text: str, topic: Topic, level: Level) -> str:
    """The level's README with one row more in its table of topics."""
    rows = list(re.finditer(r"^\| \d+ \| .*$", text, re.MULTILINE))
    row = f"| {len(rows) + 1} | [{topic.title}]({topic.name}.py) | To be written: its question | To be written: what it needs |"
    if not rows:
        return f"{text.rstrip()}\n\n| Read | Topic | What it answers | What it needs |\n|---|---|---|---|\n{row}\n"
    return text[: rows[-1].end()] + "\n" + row + text[rows[-1].end() :]


def _mention(text: str, topic: Topic, level: Level) -> str:
    """The level's essay, in which the topic joins the list of its topics."""
    link = f"[{topic.title}](notes/{topic.name}.md) (`{topic.name}`)"
    known = re.search(r"^Its topics so far: .*?(?=\.\n\n)", text, re.MULTILINE | re.DOTALL)
    if known is None:
        return f"{text.rstrip()}\n\nIts topics so far: {link}.\n"
    return text[: known.end()] + ",\n" + link + text[known.end() :]
