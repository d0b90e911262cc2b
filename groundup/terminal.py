"""What every command needs to speak: a console, progress, JSON, saved figures, the name of a missing library."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup import catalogue
from groundup.catalogue import ROOT, Topic

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["each", "is_reference", "make_console", "missing_reference", "print_json", "save", "to_open"]


def each(topics: Sequence[Topic], work: Callable[[Topic], Any], doing: str) -> Iterator[tuple[Topic, Any]]:
    """Do the work for each topic with progress on stderr; None where a reference is missing."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    stderr = Console(stderr=True)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=stderr, transient=True, disable=not stderr.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(doing, total=len(topics))
        for topic in topics:
            progress.update(task, description=f"{doing} {topic.name}")
            if not stderr.is_terminal and len(topics) > 1:
                print(f"{doing} {topic.name} …", file=sys.stderr, flush=True)
            try:
                result = work(topic)
            except ModuleNotFoundError as error:
                if not is_reference(error):
                    raise
                print(f"groundup: {topic.name}: {missing_reference(topic, error)}", file=sys.stderr)
                result = None
            progress.advance(task)
            progress.stop()  # what is printed now goes to stdout itself, and not into the line of the bar
            yield topic, result
            if topic is not topics[-1]:
                progress.start()


def missing_reference(topic: Topic, error: ModuleNotFoundError) -> str:
    """One line that names the missing library and the command that installs it."""
    return (
        f"{error.name} is not installed; get it with: pip install -e '.[{topic.extra}]' (in the repository)."
    )


def is_reference(error: ModuleNotFoundError) -> bool:
    """Whether a library is missing, and not a module of our own (which would be a defect)."""
    own = ("shared", "groundup", *(level.package for level in catalogue.levels()))
    return error.name is not None and error.name.split(".")[0] not in own


def save(name: str, draw: Callable[[], Any]) -> Path:
    """Save a figure in output/figures: of the clone if this folder lies in it, else of this folder."""
    from shared import figures

    base = ROOT if Path.cwd().is_relative_to(ROOT) else Path.cwd()
    return figures.save(figures.draw(draw), base / "output" / "figures" / name)


def to_open(path: Path) -> str:
    """A path that can be opened from here, and from elsewhere where it lies outside the clone."""
    return catalogue.shown(path) if path.is_relative_to(ROOT) else str(path)


def make_console() -> Console:
    """A console of 120 columns where the output is no terminal, so that what is piped does not depend on a window."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def print_json(rows: Sequence[dict[str, Any]]) -> None:
    """An array with one object a line; what is not a finite number is null, as JSON wants it."""
    lines = ",\n".join(json.dumps(_finite(row), ensure_ascii=False) for row in rows)
    print(f"[\n{lines}\n]" if rows else "[]")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
