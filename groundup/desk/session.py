"""The desk's side inside pytest: orders the tests, tells the parent what happens, and bounds each test.

A plan (JSON, its path in `GROUNDUP_DESK_PLAN`) says what to do; events go out as lines of JSON. Four modes:
`check` runs the tests in the plan's order against an answer; `record` notes which taught functions each test
calls; `prove` records, then runs for each taught function the fastest test that calls it with that function
blank, which must fail, and plants the plan's mistakes; `search` looks for the function whose replacement mends
the one test (both in `trials`).
"""

from __future__ import annotations

import builtins
import faulthandler
import functools
import json
import os
import signal
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from groundup.desk.describe import clip, describe
from groundup.desk.items import caches, duplicate, identify, is_asked, is_slow, patience
from groundup.desk.substitute import PLAN_VARIABLE

CASES = 2  # of a parametrized test that the proof runs
TRIES = 4  # tests that may overlook a blank function before the proof gives up


def pytest_configure(config: pytest.Config) -> None:
    """Install the session's hooks before pytest collects anything."""
    if PLAN_VARIABLE in os.environ:
        plan = json.loads(Path(os.environ[PLAN_VARIABLE]).read_text(encoding="utf-8"))
        if plan["hypothesis"]:
            from hypothesis import Phase, settings

            phases = (Phase.explicit, Phase.generate, *((Phase.shrink,) if plan["mode"] == "check" else ()))
            settings.register_profile(
                "desk", database=None, derandomize=True, phases=phases, print_blob=False
            )
            settings.load_profile("desk")
        config.pluginmanager.register(Session(plan), "groundup-desk-session")


class Session:
    """One run of a topic's tests."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.mode: str = plan["mode"]
        self.answer: str = plan["answer"]
        self.taught = set(plan["functions"])
        self.events = open(plan["events"], "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        self.traces = open(plan["traces"], "w", encoding="utf-8")  # noqa: SIM115
        self.comparison: tuple[str, Any, Any] | None = None
        self.recorder = Recorder()
        self.ran: list[Run] = []  # what the proof chooses from
        self.noticed = False
        self.quiet = ""  # "describe" or "count" in a trial: nothing is told, the first failure is kept
        self.failure: dict[str, Any] | None = None
        if self.mode != "check":
            setattr(builtins, "__desk_called__", self.recorder)  # noqa: B010
            pytest.raises = self.recorder.noting(pytest.raises)
        if hasattr(
            signal, "SIGPROF"
        ):  # writes down where it was, in C code, too; then the signal ends the process
            faulthandler.register(signal.SIGPROF, file=self.traces, chain=True)
        self._bound(plan["import_bound"])

    def tell(self, event: str, **details: Any) -> None:
        """Send one event to the parent."""
        self.events.write(json.dumps({"event": event, **details}) + "\n")

    def _bound(self, seconds: float, work: float | None = None) -> None:
        """End this process after that many seconds, or so much processor time, writing down where it was."""
        self.traces.seek(0)
        self.traces.truncate()
        faulthandler.dump_traceback_later(seconds, exit=True, file=self.traces)
        if work is not None and hasattr(signal, "SIGPROF"):
            signal.setitimer(signal.ITIMER_PROF, work)

    def _unbound(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        if hasattr(signal, "SIGPROF"):
            signal.setitimer(signal.ITIMER_PROF, 0)

    # Collection.

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        faulthandler.cancel_dump_traceback_later()
        self.recorder.imported = frozenset(self.recorder.calls)
        rank = {name: i for i, name in enumerate(self.plan["order"])}
        skip, only = set(self.plan["skip"]), self.plan.get("only")
        chosen = []
        for position, item in enumerate(filter(is_asked, items)):
            slow = is_slow(item)
            if (
                identify(item) in skip
                or only not in (None, identify(item))
                or (slow and not self.plan["slow"])
            ):
                continue
            chosen.append(((slow, rank.get(identify(item), len(rank)), position), item))
        items[:] = [item for _, item in sorted(chosen, key=lambda pair: pair[0])]
        self.tell("collected", tests=[identify(item) for item in items])

    def pytest_exception_interact(self, call: Any, report: Any) -> None:
        if isinstance(report, pytest.CollectReport):
            details = describe(call.excinfo, self.answer, None, None)
            self.tell("uncollected", failure={**details, "traceback": str(report.longrepr)})

    # Running.

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if self.quiet:
            self.comparison = None
            yield
            return
        name = identify(item)
        slow = is_slow(item)
        bound = self.plan["slow_bound"] if slow else self.plan["bounds"].get(name, self.plan["bound"])
        work = None if slow else self.plan["work"].get(name)
        self.comparison = None
        self.tell("start", test=name, bound=bound, work=work)
        self._bound(bound, work)
        started = time.perf_counter()
        self.recorder.begin(item)
        yield
        self._unbound()
        seconds = time.perf_counter() - started
        calls, earlier, filled = self.recorder.end(item)
        if self.recorder.blank is None:
            needs = calls | earlier | self.recorder.imported
            self.ran.append(Run(seconds, item, calls, filled, needs, self.recorder.raises))
            called = {"calls": sorted(calls), "earlier": sorted(earlier - calls)}
            self.tell("end", test=name, seconds=seconds, raises=self.recorder.raises, **called)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Generator[None, Any, None]:
        outcome = yield
        report = outcome.get_result()
        if self.recorder.blank is not None:
            self.noticed |= report.failed
        elif self.quiet:
            if report.failed and self.failure is None:
                asked = self.quiet == "describe"
                told = describe(call.excinfo, self.answer, self.comparison, item) if asked else {}
                self.failure = {"kind": "", **told}
        elif report.skipped:
            self.tell("result", test=identify(item), outcome="skipped", reason=_skip_reason(report))
        elif report.failed:
            failure = describe(call.excinfo, self.answer, self.comparison, item)
            failure["traceback"] = report.longreprtext
            failure["printed"] = clip(report.capstdout, 2000)
            self.tell("result", test=identify(item), outcome="failed", phase=report.when, failure=failure)
            if self.plan["stop"] and not (identify(item) in self.plan["last"] and failure.get("raises")):
                item.session.shouldstop = "the first function to mend was found"
        elif report.when == "call":
            self.tell("result", test=identify(item), outcome="passed")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        self.recorder.enter(fixturedef)
        yield
        self.recorder.leave()

    def pytest_assertrepr_compare(self, op: str, left: Any, right: Any) -> None:
        self.comparison = (op, left, right)

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if self.mode not in ("prove", "search") or session.testsfailed:
            return None  # pytest's own loop
        from groundup.desk import trials

        if self.mode == "search":
            trials.search_culprit(self, session)
            return True
        prove(self, session)
        if self.plan.get("mistakes"):
            trials.plant_mistakes(self, session)
        return True

    def pytest_sessionfinish(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        self.tell("finished", imported=sorted(self.recorder.imported))


@dataclass(frozen=True)
class Run:
    """One recorded test: what it called itself, and which caches it filled."""

    seconds: float
    item: Any
    calls: set[str]
    filled: list[str]
    needs: set[str]  # what it called, and what ran for it earlier
    raises: bool


class Recorder:
    """Which taught functions were called, by the running test and by the fixtures that it shares."""

    def __init__(self) -> None:
        self.calls: set[str] = set()
        self.imported: frozenset[str] = frozenset()  # called while the modules were imported
        self.blank: str | None = None
        self.raises = False  # whether the running test expects an error
        self.shared: dict[str, set[str]] = {}  # what the set-up of a wider fixture called
        self.cached: dict[str, set[str]] = {}  # what filled a functools.cache
        self.misses: dict[str, tuple[int, int]] = {}
        self.open: list[tuple[str | None, set[str]]] = []

    def __call__(self, name: str) -> None:
        """The probe at the head of every taught function."""
        self.calls.add(name)
        for _, calls in self.open:
            calls.add(name)
        if name == self.blank:
            raise NotImplementedError(f"{name}: yours to write")

    def noting(self, raises: Any) -> Any:
        """`pytest.raises`, noting that it was used."""

        @functools.wraps(raises)
        def noted(*args: Any, **options: Any) -> Any:
            self.raises = True
            return raises(*args, **options)

        return noted

    def begin(self, item: pytest.Item) -> None:
        self.calls, self.raises = set(), False
        self.misses = {name: _hits(f) for name, f in caches(item).items()}

    def enter(self, fixturedef: Any) -> None:
        wide = fixturedef.scope != "function"
        self.open.append((_fixture_name(fixturedef) if wide else None, set()))

    def leave(self) -> None:
        name, calls = self.open.pop()
        if name is not None:
            self.shared.setdefault(name, set()).update(calls)

    def end(self, item: pytest.Item) -> tuple[set[str], set[str], list[str]]:
        """What this test called itself, and what ran for it earlier; caches that it filled."""
        filled = []
        earlier: set[str] = set()
        for name, function in caches(item).items():
            hits, misses = _hits(function)
            before_hits, before_misses = self.misses.get(name, (0, 0))
            if misses > before_misses:
                filled.append(name)
                self.cached.setdefault(name, set()).update(self.calls)
            elif hits > before_hits:
                earlier |= self.cached.get(name, set())
        for definitions in item._fixtureinfo.name2fixturedefs.values():  # type: ignore[attr-defined]
            for definition in definitions:
                earlier |= self.shared.get(_fixture_name(definition), set())
        return self.calls, earlier, filled


def _hits(function: Any) -> tuple[int, int]:
    info = function.cache_info()
    return info.hits, info.misses


def _fixture_name(fixturedef: Any) -> str:
    return f"{fixturedef.baseid}::{fixturedef.argname}"


def prove(desk: Session, session: pytest.Session) -> None:
    """Run the tests, then for each function its fastest test with that function blank, until one notices.

    Of a parametrized test two cases run; more of them, and costly tests, only while some function was called by
    none. A test that waits for what the blank function should have done is ended, and so has noticed.
    """
    if not session.items:
        return
    after = duplicate(session.items[0])  # stands for "more of this module follows"
    seen: dict[str, int] = {}
    first: list[pytest.Item] = []
    rest: list[pytest.Item] = []
    for item in session.items:
        name = getattr(item, "originalname", None) or item.name
        seen[name] = seen.get(name, 0) + 1
        costly = "failed_checks" in item.fixturenames or "benchmark" in name  # type: ignore[attr-defined]
        (first if seen[name] <= CASES and not costly else rest).append(item)

    def run(item: pytest.Item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)

    for item in first:
        run(item)
    for item in rest:
        if set(desk.plan["functions"]) <= set().union(*(ran.calls for ran in desk.ran)):
            break
        run(item)
    for name in desk.plan["functions"]:
        asking = sorted((ran for ran in desk.ran if name in ran.calls), key=lambda ran: ran.seconds)
        for ran in asking[:TRIES]:
            for function in ran.filled:
                caches(ran.item)[function].cache_clear()
            again = duplicate(ran.item)
            again.repr_failure = lambda excinfo: "blank"  # a full report would take longer than the test
            desk.recorder.blank, desk.noticed = name, False
            with patience(max(2.0, 5 * ran.seconds)):
                run(again)
            desk.recorder.blank = None
            desk.tell("blank", function=name, test=identify(again), noticed=desk.noticed)
            if desk.noticed:
                break
    session._setupstate.teardown_exact(None)


def _skip_reason(report: Any) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
