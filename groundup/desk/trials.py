"""Run a test with other code in the learner's functions, in a process that has imported everything already.

`search_culprit` tries the real functions one by one (the mode "search"); `plant_mistakes` puts a
learner's mistake into a real function and asks whether a check would name it (part of "prove").
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from groundup.desk import cutter, swap
from groundup.desk.checking import Report, Status, judge
from groundup.desk.exercises import Exercises
from groundup.desk.items import caches, duplicate, identify, is_slow, patience
from groundup.desk.mistakes import Mistake
from groundup.desk.runner import Outcome

__all__ = ["plant_mistakes", "search_culprit"]


def failure_of(
    desk: Any, item: pytest.Item, after: pytest.Item | None = None, *, mode: str = "count"
) -> dict[str, Any] | None:
    """Run a test once more; None if it passes, else what it said, in full in the mode "describe".

    Fixtures stay for `after` if that is given.
    """
    again = duplicate(item)
    again.repr_failure = lambda excinfo: "trial"  # a full report would take longer than the test
    desk.quiet, desk.failure = mode, None
    item.config.hook.pytest_runtest_protocol(item=again, nextitem=after)
    desk.quiet = ""
    return desk.failure


def search_culprit(desk: Any, session: pytest.Session) -> None:
    """Tell the function without whose replacement by the real one the plan's test does not pass.

    Each trial is a fork, so that none meets what another left behind.
    """
    if not session.items:
        return
    item = session.items[0]
    name = identify(item)
    real = swap.codes(desk.plan["original"], "the real source")
    mine = swap.loaded(Path(desk.answer).read_bytes().decode("utf-8"), desk.answer)

    def mends(chosen: Collection[str]) -> bool:
        desk.tell("trial", functions=list(chosen), bound=desk.plan["bound"])

        def passes() -> bool:
            with swap.swapped(mine, {name: real[name] for name in chosen}):
                return failure_of(desk, item) is None

        return forked(passes, desk.plan["bound"], desk.plan["work"].get(name))

    guilty, alone = swap.search(desk.plan["suspects"], mends)
    desk.tell("culprit", function=guilty, alone=alone)


def forked(function: Callable[[], bool], bound: float, work: float | None) -> bool:
    """What the function returns in a fork; False if that crashes, or takes more seconds, or more processor time."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: no test has run yet
        child = os.fork()
    if child == 0:
        status = 2
        try:
            for alarm, timer, seconds in (
                (signal.SIGALRM, signal.ITIMER_REAL, bound), (signal.SIGPROF, signal.ITIMER_PROF, work or bound)
            ):  # fmt: skip
                signal.signal(alarm, signal.SIG_DFL)
                signal.setitimer(timer, seconds)
            status = 0 if function() else 1
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return status == 0


def plant_mistakes(desk: Any, session: pytest.Session) -> None:
    """Tell for each mistake of the plan which test fails first, in a check's order, and which function is named.

    The tests that were recorded call the function, or are further cases of those. All other functions count as the
    learner's own, so that the search has to tell them apart: it runs the test with the real code in some of them.
    """
    source = desk.plan["original"]
    mine = swap.loaded(cutter.instrument(source), desk.answer)
    real = swap.codes(cutter.instrument(source), desk.answer)
    items, known = _exercises(desk, session.items)
    after = duplicate(session.items[0])
    filled = list(caches(session.items[0]).values())  # of the test file

    def fresh() -> None:
        session._setupstate.teardown_exact(None)
        for cache in filled:
            cache.cache_clear()

    def run(test: str, code: dict[str, Any], mode: str = "count") -> dict[str, Any] | None:
        with swap.swapped(mine, code), patience(max(2.0, 5 * known.seconds[test])):
            return failure_of(desk, items[test], after, mode=mode)
        return {"kind": "Endless", "inside": []}  # its alarm rang outside the test

    for number, entry in enumerate(desk.plan["mistakes"]):
        mistake = Mistake(**entry)
        planted = cutter.instrument(mistake.put_into(source))
        code = swap.codes(planted, desk.answer)
        wrong = {mistake.function: code[mistake.function]}
        results: dict[str, Outcome] = {}
        fresh()
        for test in known.order():
            asked = mistake.function in known.calls[test] and mistake.test in (None, test)
            failure = run(test, wrong, "describe") if asked else None
            results[test] = Outcome(test, "failed" if failure else "passed", failure or {})
            if failure and not (test in known.messages and failure.get("raises")):
                break

        def verify(test: str, names: Sequence[str], wrong: dict[str, Any] = wrong) -> tuple[str | None, bool]:
            def mends(chosen: Collection[str]) -> bool:
                fresh()
                return run(test, {**wrong, **{name: real[name] for name in chosen}}) is None

            return swap.search(list(dict.fromkeys(names)), mends)

        spans = {function.name: function for function in cutter.functions(planted)}
        functions = [
            Status(name, spans[name].line, "written", last_line=spans[name].last_line)
            for name in known.functions
        ]
        report = Report("", "", "", functions=functions)
        judge(report, known, results, verify)
        first = report.failures[0] if report.failures else {}
        desk.tell("mistake", number=number, test=first.get("test"), named=first.get("function"))
    fresh()


def _exercises(desk: Any, items: Sequence[Any]) -> tuple[dict[str, Any], Exercises]:
    """The recorded tests and their further cases, by name, and what they ask, as a recording would tell it."""
    recorded = {identify(run.item): run for run in desk.ran}
    first: dict[str, Any] = {}
    for run in desk.ran:
        first.setdefault(run.item.originalname, run)
    runs = {}
    for item in items:
        run = recorded.get(identify(item)) or first.get(item.originalname)
        if run is not None and not is_slow(item):
            runs[identify(item)] = (item, run)
    known = Exercises(
        functions=list(desk.plan["functions"]),
        tests=list(runs),
        calls={test: sorted(run.needs) for test, (_, run) in runs.items()},
        seconds={test: run.seconds for test, (_, run) in runs.items()},
        raising=[test for test, (_, run) in runs.items() if run.raises],
        failing=[],
        imported=sorted(desk.recorder.imported),
    )
    return {test: item for test, (item, _) in runs.items()}, known
