"""The desk's side inside pytest: orders the tests, tells the parent what happens, and bounds each test.

A plan (JSON, its path in `GROUNDUP_DESK_PLAN`) says what to do; events go out as lines of JSON. Three modes:
`check` runs the tests in the plan's order against an answer; `record` notes which taught functions each test
calls; `prove` records, then runs for each taught function the fastest test that calls it with that function
blank, which must fail.
"""

from __future__ import annotations

import ast
import builtins
import faulthandler
import functools
import inspect
import json
import os
import re
import signal
import textwrap
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from groundup.desk.substitute import PLAN_VARIABLE

SLOW_FIXTURES = {"agreements", "verdicts", "evidence"}
CLIP = 400  # characters of one value in a report
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


def identify(item: pytest.Item) -> str:
    """The test's name within its file, with its parameters."""
    return item.nodeid.partition("::")[2]


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
        skip = set(self.plan["skip"])
        chosen = []
        for position, item in enumerate(items):
            slow = is_slow(item)
            if identify(item) in skip or (slow and not self.plan["slow"]):
                continue
            chosen.append(((slow, rank.get(identify(item), len(rank)), position), item))
        items[:] = [item for _, item in sorted(chosen, key=lambda pair: pair[0])]
        self.tell("collected", tests=[identify(item) for item in items])

    def pytest_exception_interact(self, call: Any, report: Any) -> None:
        if isinstance(report, pytest.CollectReport):
            details = describe(call.excinfo, self, None)
            self.tell("uncollected", failure={**details, "traceback": str(report.longrepr)})

    # Running.

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
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
            self.ran.append(Run(seconds, item, calls, filled))
            called = {"calls": sorted(calls), "earlier": sorted(earlier - calls)}
            self.tell("end", test=name, seconds=seconds, raises=self.recorder.raises, **called)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Generator[None, Any, None]:
        outcome = yield
        report = outcome.get_result()
        if self.recorder.blank is not None:
            self.noticed |= report.failed
        elif report.skipped:
            self.tell("result", test=identify(item), outcome="skipped", reason=_skip_reason(report))
        elif report.failed:
            failure = describe(call.excinfo, self, item)
            failure["traceback"] = report.longreprtext
            failure["printed"] = clip(report.capstdout, 2000)
            self.tell("result", test=identify(item), outcome="failed", phase=report.when, failure=failure)
            if self.plan["stop"]:
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
        if self.mode != "prove" or session.testsfailed:
            return None  # pytest's own loop
        prove(self, session)
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


def is_slow(item: pytest.Item) -> bool:
    """Whether the test needs the whole validation or the failure modes."""
    return bool(SLOW_FIXTURES & set(getattr(item, "fixturenames", ())))


def caches(item: pytest.Item) -> dict[str, Any]:
    """The `functools.cache`d functions of the test's module."""
    module = getattr(item, "module", None)
    return {name: f for name, f in vars(module).items() if isinstance(f, functools._lru_cache_wrapper)}


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


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in this block after that many seconds, where the system has such an alarm."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise TimeoutError(f"no end within {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again: an event loop may swallow one
    try:
        yield
    except TimeoutError:
        pass  # it rang outside the test
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def duplicate(item: Any) -> Any:
    """The same test once more, with fresh fixtures of its own."""
    return type(item).from_parent(
        item.parent,
        name=item.name,
        callspec=getattr(item, "callspec", None),
        callobj=item.obj,
        fixtureinfo=item._fixtureinfo,
        originalname=item.originalname,
    )


def describe(excinfo: Any, desk: Session, item: pytest.Item | None) -> dict[str, Any]:
    """What a learner wants to know of a failure: what was called, what came, what was expected."""
    error = excinfo.value
    traceback = list(excinfo.traceback)
    if isinstance(error, pytest.Collector.CollectError) and error.__cause__ is not None:
        error = error.__cause__
        traceback = list(pytest.ExceptionInfo.from_exception(error).traceback)
    message = str(error)
    details: dict[str, Any] = {"kind": type(error).__name__, "message": clip(message, 2000)}
    if isinstance(error, ModuleNotFoundError):
        details["module"] = error.name
    # pytest.raises(NotImplementedError, match=...) meets the desk's own error and says so in another one
    unwritten = re.search(r"(?:^|Actual message: ['\"])(\S+): yours to write['\"]?\s*$", message)
    if unwritten:
        details["unwritten"] = unwritten[1]
    own = [entry for entry in traceback if str(entry.path) == desk.answer]
    details["inside"] = [{"line": entry.lineno + 1, "function": entry.name} for entry in own]
    if own:
        details["source"] = str(own[-1].statement).strip()
    raised_inside = bool(own) and not isinstance(error, AssertionError)
    if item is None:
        return details
    details["doc"] = inspect.getdoc(getattr(item, "obj", None)) or ""
    asking = [entry for entry in traceback if entry.path == item.path]
    frame = None
    if asking:
        frame = asking[-1].frame
        details["test_line"] = asking[-1].lineno + 1
        statement, names, details["raises"] = statement_at(item.path, asking[-1].lineno + 1)
        details["called"] = statement
        details["values"] = values_of(names, frame, desk)
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith("Falsifying example")]
    if notes:
        details["example"] = clip(notes[0], 1000)
    details.update(came_and_expected(error, message, desk, frame, raised_inside, bool(details.get("values"))))
    return details


def came_and_expected(
    error: BaseException, message: str, desk: Session, frame: Any, raised_inside: bool, told: bool = False
) -> dict[str, str]:
    """The two values that a failed test compared, as far as its kind of failure tells them apart.

    `told`: the values that the test's statement reads are shown already.
    """
    arrays = re.search(r"\n ACTUAL: (.*?)\n DESIRED: (.*)", message, re.DOTALL)
    if isinstance(error, AssertionError) and arrays:
        head = [line for line in message[: arrays.start()].splitlines() if line.strip()]
        return {"came": clip(arrays[1]), "expected": clip(arrays[2]), "note": "\n".join(head)}
    if (found := re.search(r"DID NOT RAISE (?:<class ')?([\w.]+)", message)) is not None:
        return {"came": "no error", "expected": found[1]}
    if (
        found := re.search(r"Expected regex: (.*?)\n\s*Actual message: (.*)", message, re.DOTALL)
    ) is not None:
        return {"came": f"the message {clip(found[2])}", "expected": f"one that matches {clip(found[1])}"}
    if message.startswith("DID NOT WARN"):
        wanted = ", ".join(re.findall(r"<class '([\w.]+)'>", message.partition(" Emitted")[0]))
        pattern = re.search(r"Regex: (.*)", message)
        emitted = message.partition("Emitted warnings: ")[2].strip(" .")
        return {
            "came": "no such warning" + (f", but {clip(emitted)}" if emitted.strip("[]") else ""),
            "expected": wanted + (f" that matches {pattern[1]}" if pattern else ""),
        }
    if type(error).__name__ == "TypeCheckError":
        return {"came": "\n".join(line for line in message.splitlines()[:3])}
    measured = _first_failing(frame)
    if measured is not None:
        return measured
    if isinstance(error, AssertionError):
        note = "" if message.startswith("assert ") else message.partition("\nassert ")[0]
        if desk.comparison is not None:
            op, left, right = desk.comparison
            relation = "" if op == "==" else f"{op} "
            return {"came": show(left), "expected": relation + show(right), "note": clip(note, 1000)}
        if note:  # in words: what pytest makes of the expression is noise beside it
            return {"came": "", "note": clip(note, 1000)}
        first, *origin = plainly(message).splitlines() or [""]
        shown = first.removeprefix("assert ")
        if origin and not told:  # "where False = …" says again what the values say, if these are shown
            shown = "\n".join([shown, *origin[:7]])
        return {"came": clip(shown), "note": ""}
    where = "" if raised_inside else "outside your file: "
    return {"came": clip(f"{where}{type(error).__name__}: {message}", 1000)}


def _first_failing(frame: Any) -> dict[str, str] | None:
    """The first agreement that disagrees, or measurement that does not hold, in the frame of a slow test."""
    for value in dict(frame.f_locals if frame else {}).values():
        first: Any = value[0] if isinstance(value, list) and value else None
        if hasattr(first, "quantity") and hasattr(first, "tolerance") and hasattr(first, "theirs"):
            return {
                "came": f"{first.quantity} on {first.dataset}: {show(first.ours)}",
                "expected": f"{show(first.theirs)} ({first.reference}), error at most {first.tolerance:.0e}, "
                f"is {first.error:.1e}",
            }
    return None


def statement_at(path: Path, line: int) -> tuple[str, list[str], bool]:
    """The innermost statement that covers a line of a file, the names that it reads, and whether an error is asked for.

    Of an assertion without its message, which is told by itself.
    """
    source = path.read_text(encoding="utf-8")
    around = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    if not around:
        return "", [], False
    raises = any("pytest.raises(" in ast.unparse(item) for with_ in around if isinstance(with_, ast.With)
                 for item in with_.items)  # fmt: skip
    node = min(around, key=lambda node: (node.end_lineno or node.lineno) - node.lineno)
    lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
    margin = len(lines[0]) - len(lines[0].lstrip())
    text = "\n".join(line[margin:] for line in lines[:8])
    asked: ast.AST = node
    if isinstance(node, ast.Assert) and node.msg is not None:
        asked = node.test
        condition = textwrap.dedent(
            " " * node.test.col_offset + (ast.get_source_segment(source, node.test) or "")
        )
        text = f"assert {condition}"
    names = [
        part.id for part in ast.walk(asked) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
    ]
    return text, list(dict.fromkeys(names)), raises


def values_of(names: list[str], frame: Any, desk: Session) -> dict[str, str]:
    """Short forms of the variables that a statement reads; functions, classes and modules tell nothing."""
    values = {}
    for name in names:
        for space in (frame.f_locals, frame.f_globals):
            if name in space:
                value = space[name]
                if not (callable(value) or inspect.ismodule(value)):
                    values[name] = show(value)
                break
    return values


def show(value: Any) -> str:
    """A value in little room: small arrays in full, larger ones by shape and type."""
    import numpy as np

    if isinstance(value, np.ndarray) and value.size > 40:
        return f"{value.dtype} array of shape {value.shape}"
    if isinstance(value, np.dtype):
        return str(value)
    if isinstance(value, tuple | list) and any(isinstance(part, np.ndarray) for part in value):
        return f"{type(value).__name__} of " + ", ".join(show(part) for part in value[:6])
    try:
        with np.printoptions(precision=6, suppress=True):
            return clip(str(value) if isinstance(value, np.ndarray | np.generic) else plainly(repr(value)))
    except Exception as error:  # a learner's half-written __repr__ must not end the session
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def plainly(text: str) -> str:
    """Text of Python's or pytest's own making without what a reader cannot use: addresses, closures, flags."""
    text = re.sub(r"^.*\b[A-Z_]+ : (?:True|False)\b.*\n?", "", text, flags=re.MULTILINE)  # numpy's flags
    text = re.sub(r"<class '([\w.<>]+)'>", _last_name, text)
    text = re.sub(r"<function ([\w.<>]+) at 0x[0-9a-f]+>", _last_name, text)
    text = re.sub(r"<(?:bound |built-in )?method ([\w.<>]+) of <.*? at 0x[0-9a-f]+>>", _last_name, text)
    text = re.sub(r"<(?:bound |built-in )?method ([\w.<>]+) of .*? object at 0x[0-9a-f]+>", _last_name, text)
    return re.sub(r"<([\w.<>]+) object at 0x[0-9a-f]+>", _last_name, text)


def _last_name(found: re.Match[str]) -> str:
    name = found[1].rpartition(".")[2]
    return "a lambda" if name == "<lambda>" else name


def clip(text: str, limit: int = CLIP) -> str:
    """The text, cut after `limit` characters."""
    return text if len(text) <= limit else text[: limit - 4].rstrip() + " ..."


def _skip_reason(report: Any) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
