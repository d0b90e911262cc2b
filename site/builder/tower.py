"""The first screen: three doors, and under them the tower of levels as a picture whose rooms are links; it may grow.

A floor is a level, a room a topic. What a room stands on is written into it (`data-needs`), and `_static/tower.js` lights
it while a pointer or the keyboard's focus rests there. A narrow screen shows the same floors as a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from groundup.catalogue import Level, Topic

__all__ = ["home", "tower"]

WIDTH, LEFT, RIGHT = (
    800,
    196,
    12,
)  # of the picture, of the column of the floors' names, of the margin on the right
ROOM, LINE, GAP, PAD = 34, 14.5, 6, 5  # height of a room, of a line of text, between rooms, inside of a floor
QUESTION = 17  # height of the floor's question
FONT, NAME_FONT = 13.0, 14.8  # the names of floors are bold
WIDE_LABEL = 150.0  # a label that is wider stands in two lines
HUES = ("#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9")


def home(text: str, levels: Sequence[Level], *, ways_out: dict[str, str]) -> str:
    """The README's text with the doors and the tower between its introduction and its first section.

    Args:
        ways_out: addresses of the pages "broke" and "review", as seen from the home page.
    """
    introduction, mark, rest = text.partition("\n## ")
    return f"{introduction}\n\n{_doors(levels, ways_out)}\n\n{tower(levels)}\n\n{mark.lstrip()}{rest}"


def tower(levels: Sequence[Level]) -> str:
    """The tower, the highest floor on top, as one block of HTML without empty lines."""
    floors, y = [], 0.0
    for level in reversed(levels):
        floor, height = _floor(level, y)
        floors.append(floor)
        y += height + GAP
    picture = (
        f'<svg viewBox="0 0 {WIDTH} {y - GAP:g}" role="group" aria-label="The tower: six levels, each topic a link">'
        f'{"".join(floors)}<g class="groundup-needs" aria-hidden="true"></g></svg>'
    )
    return f'<div class="groundup-tower">\n{picture}\n{_list(levels)}\n</div>'


def _floor(level: Level, y: float) -> tuple[str, float]:
    rooms, height = _rooms(level.topics, y + PAD + QUESTION)
    height = max(height + 2 * PAD + QUESTION, 62.0)
    name = wrapped(level.title, LEFT - 56, NAME_FONT, most=3)
    top = y + height / 2 - (len(name) - 1) * 8.5 + 4.5
    hue = _hue(level)
    return (
        f'<g class="groundup-floor"><rect x="0" y="{y:g}" width="{WIDTH}" height="{height:g}" rx="4" fill="{hue}" fill-opacity="0.1"/>'
        f'<rect x="0" y="{y:g}" width="5" height="{height:g}" fill="{hue}"/>'
        f'<a class="groundup-level" href="{level.package}/index.html">'
        f'<text class="groundup-number" x="18" y="{y + height / 2 + 8:g}">{level.number}</text>'
        f"{_text(name, 42, top, 17)}</a>"
        f'<text class="groundup-question" x="{LEFT}" y="{y + PAD + 10:g}">{escape(level.question)}</text>'
        f"{''.join(rooms)}</g>",
        height,
    )


def _hue(level: Level) -> str:
    return HUES[(level.number - 1) % len(HUES)]


def _rooms(topics: Iterable[Topic], y: float) -> tuple[list[str], float]:
    """The rooms from left to right, in as many rows as they need, and the height of the rows."""
    rooms: list[str] = []
    x, row = float(LEFT), 0
    for topic in topics:
        lines = wrapped(topic.title, WIDE_LABEL, FONT)
        width = round(max(_width(line, FONT) for line in lines) + 22)
        if x > LEFT and x + width > WIDTH - RIGHT:
            x, row = float(LEFT), row + 1
        top = y + row * (ROOM + GAP)
        middle = top + ROOM / 2 - (len(lines) - 1) * LINE / 2 + 4.5
        rooms.append(
            f'<a class="groundup-room" id="room-{topic.name}" href="{topic.package}/{topic.name}.html" data-needs="{" ".join(topic.needs)}">'
            f"<title>{escape(topic.summary)}</title>"
            f'<rect x="{x:g}" y="{top:g}" width="{width}" height="{ROOM}" rx="4"/>'
            f"{_text(lines, x + width / 2, middle, LINE)}</a>"
        )
        x += width + GAP
    return rooms, (row + 1) * ROOM + row * GAP


def _list(levels: Sequence[Level]) -> str:
    """The same floors for a narrow screen, from the ground up: there is no room for a picture."""
    floors = []
    for level in levels:
        rooms = "".join(
            f'<li><a href="{topic.package}/{topic.name}.html">{escape(topic.title)}</a></li>'
            for topic in level.topics
        )
        floors.append(
            f'<li style="border-color: {_hue(level)}"><a class="groundup-level" href="{level.package}/index.html">{level.number} · {escape(level.title)}</a><ul>{rooms}</ul></li>'
        )
    return f'<ul class="groundup-floors">{"".join(floors)}</ul>'


def _doors(levels: Sequence[Level], ways_out: dict[str, str]) -> str:
    first = levels[0].topics[0]
    doors = (
        (f"{first.package}/{first.name}.html", "Begin", first.title),
        (ways_out["broke"], "Something broke", "What do you see?"),
        (ways_out["review"], "Review", "Notes and measured claims"),
    )
    links = "".join(
        f'<a href="{address}"><b>{name}</b><span>{escape(text)}</span></a>' for address, name, text in doors
    )
    return f'<div class="groundup-doors">{links}</div>'


# --- labels ------------------------------------------------------------------------------------------------------


def wrapped(text: str, width: float, size: float, most: int = 2) -> list[str]:
    """A label in as few lines as its width asks for, at most so many, broken between words so that the longest is short."""
    words = text.split()
    count = 1
    while True:
        lines = min(_partitions(words, count), key=lambda found: max(_width(line, size) for line in found))
        if count == min(len(words), most) or max(_width(line, size) for line in lines) <= width:
            return lines
        count += 1


def _partitions(words: Sequence[str], count: int) -> Iterator[list[str]]:
    if count == 1:
        yield [" ".join(words)]
        return
    for first in range(1, len(words) - count + 2):
        for rest in _partitions(words[first:], count - 1):
            yield [" ".join(words[:first]), *rest]


def _width(text: str, size: float) -> float:
    """About how wide a text is in a plain sans-serif face; a room leaves some space for those that are wider."""
    wide = {**dict.fromkeys("iljtf.,:;'|() -", 0.33), **dict.fromkeys("mwMW", 0.87)}
    return size * sum(wide.get(letter, 0.68 if letter.isupper() else 0.56) for letter in text)


def _text(lines: Sequence[str], x: float, y: float, height: float) -> str:
    spans = "".join(
        f'<tspan x="{x:g}" y="{y + index * height:g}">{escape(line)}</tspan>'
        for index, line in enumerate(lines)
    )
    return f"<text>{spans}</text>"
