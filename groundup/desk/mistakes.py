"""Mistakes as learners make them, kept as data: a text of a real function, and what a learner wrote in its place."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from groundup.desk import cutter

__all__ = ["Mistake", "read_mistakes"]


@dataclass(frozen=True)
class Mistake:
    """One planted mistake."""

    function: str  # as `cutter` names it: "sum", "KMeans.fit"
    kind: str  # in a few words: "dropped last line"
    before: str  # stands once in the function
    after: str
    test: str | None = None  # ask this test alone; by default those that a check would run

    def put_into(self, source: str) -> str:
        """The source with the mistake.

        Raises:
            ValueError: there is no such function, or the text to replace does not stand in it once.
        """
        functions = {function.name: function for function in cutter.functions(source)}
        if self.function not in functions:
            raise ValueError(f"{self.function}: no function has this name; did the source change?")
        function = functions[self.function]
        lines = cutter.split_lines(source)
        text = "".join(lines[function.first_line - 1 : function.last_line])
        if text.count(self.before) != 1:
            raise ValueError(
                f"{self.function}: {self.before!r} stands in it {text.count(self.before)} times, and must once; "
                "did the source change?"
            )
        lines[function.first_line - 1 : function.last_line] = [text.replace(self.before, self.after)]
        mistaken = "".join(lines)
        try:
            compile(mistaken, self.function, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise ValueError(f"{self.function}: with {self.after!r} it is no Python: {error.msg}") from None
        return mistaken


def read_mistakes(path: Path) -> list[Mistake]:
    """The mistakes of a TOML file, a table `[[mistake]]` each, with the fields of `Mistake`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file.
    """
    with path.open("rb") as file:
        entries = tomllib.load(file).get("mistake", [])
    try:
        return [Mistake(**entry) for entry in entries]
    except TypeError as error:
        raise ValueError(f"{path.name}: {error}") from None
