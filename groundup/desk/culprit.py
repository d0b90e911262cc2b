"""Which function a failing test speaks of: the desk owns the answers, so it tries them and does not guess.

The test runs again with functions of the learner's file replaced by the real ones. One without whose replacement it is not mended
is the culprit. Functions that stand as in the real file are no suspects.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from groundup.catalogue import Topic
from groundup.desk import cutter, swap
from groundup.desk.exercises import Exercises
from groundup.desk.runner import BOUND, WORK_BOUND, Session, run_tests

__all__ = ["candidates", "culprit", "replaced"]


def candidates(source: str, original: str, names: Sequence[str]) -> list[str]:
    """Those of the functions that the learner wrote in another way than the real file, in the order given, each once."""
    mine, theirs = ({f.name: f for f in cutter.functions(text)} for text in (source, original))
    lines, lines_of_ours = cutter.split_lines(source), cutter.split_lines(original)
    return [
        name
        for name in dict.fromkeys(names)
        if name in mine
        and name in theirs
        and not mine[name].blank
        and _text(lines, mine[name]) != _text(lines_of_ours, theirs[name])
    ]


def replaced(source: str, original: str, names: Collection[str]) -> str:
    """The learner's file with these functions as they stand in the real one."""
    mine, theirs = ({f.name: f for f in cutter.functions(text)} for text in (source, original))
    lines, lines_of_ours = cutter.split_lines(source), cutter.split_lines(original)
    for name in sorted(
        names, key=lambda name: -mine[name].first_line
    ):  # from below, so that line numbers stay
        lines[mine[name].first_line - 1 : mine[name].last_line] = _text(lines_of_ours, theirs[name])
    return "".join(lines)


def culprit(
    topic: Topic, source: str, original: str, exercises: Exercises, test: str, names: Sequence[str]
) -> tuple[str | None, bool]:
    """A function without whose replacement the test does not pass, None if all of them do not mend it; and whether it
    is the only one.

    Args:
        test: one of `exercises`, or one of validation and failure modes.
        names: whom to try, the likeliest first. Of several guilty ones the last is named.

    Cost: one process, in which the test runs in a fork for each trial. Where the system has no forks, or the learner's
    functions differ in more than their bodies, or the test has a process of its own, one process for each trial: a
    second or two, or what the validation takes.
    """
    suspects = candidates(source, original, names)
    if not suspects:
        return None, False
    slow = test not in exercises.tests
    seconds = exercises.seconds.get(test, 0.0)
    bound = max(BOUND, 20 * seconds)
    work = WORK_BOUND + max(exercises.seconds.values(), default=0.0) + 20 * seconds

    def run(text: str, mode: str, **more: Any) -> Session:
        with tempfile.TemporaryDirectory(prefix="groundup-") as folder:
            answer = Path(folder, topic.path.name)
            answer.write_bytes(text.encode("utf-8"))
            return run_tests(
                topic, answer, exercises.functions, mode=mode, slow=slow, bound=bound, work={test: work},
                more={"only": test, **more},
            )  # fmt: skip

    def mends(chosen: Collection[str]) -> bool:
        outcome = run(replaced(source, original, chosen), "check").results.get(test)
        return outcome is not None and outcome.outcome == "passed"

    if hasattr(os, "fork") and not slow and swap.exchangeable(source, original, suspects):
        found = run(source, "search", original=original, suspects=suspects).culprit
        return found if found is not None else (None, False)
    return swap.search(suspects, mends)


def _text(lines: list[str], function: cutter.Function) -> list[str]:
    return lines[function.first_line - 1 : function.last_line]
