"""The difference between a learner's file and the real one, function by function."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from groundup.desk import cutter
from groundup.desk.runner import DeskError

__all__ = ["Difference", "differences"]

ELSEWHERE = "outside the functions"


@dataclass(frozen=True)
class Difference:
    """A unified diff, from the learner's lines to the real ones."""

    name: str
    lines: tuple[str, ...]


def differences(
    source: str, original: str, learner: str, real: str, only: str | None = None
) -> list[Difference]:
    """Diffs of the taught functions in the order of the file, then of the rest.

    Args:
        source, original: the learner's text and the real one.
        learner, real: their names, for the heads of the diffs.
        only: a function's name, whole ("KMeans.fit") or its last part ("fit").

    Raises:
        DeskError: no taught function has that name.
        SyntaxError: the learner's file is not Python; ask for a diff of the whole files then.
    """
    taught = {function.name: function for function in cutter.taught(original)}
    written = {function.name: function for function in cutter.functions(source)}
    names = list(taught)
    if only is not None:
        names = [name for name in taught if only in (name, name.rpartition(".")[2])]
        if not names:
            near = difflib.get_close_matches(only, taught, n=3, cutoff=0.4) or list(taught)[:3]
            raise DeskError(f"no taught function is called {only!r}: did you mean {' or '.join(near)}?", 2)
    before, after = (
        [line.rstrip("\r\n") for line in cutter.split_lines(text)] for text in (source, original)
    )
    found = []
    for name in names:
        real_part = _span(taught[name])
        own_part = _span(written[name]) if name in written else (0, 0)
        lines = _diff(before, after, own_part, real_part, learner, real)
        if lines:
            found.append(Difference(name, tuple(lines)))
    if only is None:
        rest = list(_without(before, [_span(f) for name, f in written.items() if name in taught]))
        rest = [line for line in rest if not cutter.NOTE.match(f"{line}\n")]
        wanted = list(_without(after, [_span(f) for f in taught.values()]))
        if rest != wanted:
            lines = [
                line.rstrip("\n")
                for line in difflib.unified_diff(rest, wanted, learner, real, n=2, lineterm="")
            ]
            found.append(Difference(ELSEWHERE, tuple(lines)))
    return found


def _span(function: cutter.Function) -> tuple[int, int]:
    return function.first_line - 1, function.last_line


def _diff(
    before: list[str], after: list[str], own: tuple[int, int], real: tuple[int, int], learner: str, name: str
) -> list[str]:
    """The diff of two spans, with the line numbers of the whole files."""
    a, b = before[slice(*own)], after[slice(*real)]
    lines = []
    for line in difflib.unified_diff(a, b, learner, name, n=3, lineterm=""):
        lines.append(_moved(line, own[0], real[0]) if line.startswith("@@") else line)
    return lines


def _moved(head: str, before: int, after: int) -> str:
    """`@@ -1,5 +1,7 @@` with its line numbers shifted."""

    def shift(part: str, by: int) -> str:
        start, comma, count = part[1:].partition(",")
        return f"{part[0]}{int(start) + by}{comma}{count}"

    _, minus, plus, _ = head.split(" ", 3)
    return f"@@ {shift(minus, before)} {shift(plus, after)} @@"


def _without(lines: list[str], spans: list[tuple[int, int]]) -> Iterator[str]:
    inside = {number for start, end in spans for number in range(start, end)}
    return (line for number, line in enumerate(lines) if number not in inside)
