"""From the results of a topic's tests to what a learner wants to hear: what is right, and what to mend next."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from groundup.catalogue import Topic, shown
from groundup.desk import cutter, honesty
from groundup.desk.culprit import culprit
from groundup.desk.exercises import Exercises, exercises_of, read_source
from groundup.desk.runner import BOUND, WORK_BOUND, DeskError, Outcome, run_tests

__all__ = ["Report", "Status", "check", "judge", "relative"]


@dataclass
class Status:
    """One taught function: "right", "mend", "blank", "written" (not judged yet) or "missing"."""

    name: str
    line: int | None  # of its `def` in the learner's file
    status: str
    note: str = ""
    last_line: int | None = None
    given: bool = False  # not asked for, and as it was


@dataclass
class Report:
    """What one check found."""

    topic: str
    answer: str
    answer_hash: str
    passes: bool = False
    functions: list[Status] = field(default_factory=list)
    next: str | None = None  # the function to write or to mend
    problem: str | None = None  # why the answer as a whole cannot be checked
    findings: list[dict[str, Any]] = field(
        default_factory=list
    )  # imports that do not count, with their lines
    failures: list[dict[str, Any]] = field(default_factory=list)  # the first one first
    messages: list[dict[str, Any]] = field(default_factory=list)  # bad input that is not refused as it should
    tests: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def asked(self) -> list[Status]:
        """The functions that the learner writes."""
        return [function for function in self.functions if not function.given]

    @property
    def right(self) -> int:
        """How many of the functions that were asked for are right."""
        return sum(function.status == "right" for function in self.asked)


def check(
    topic: Topic,
    answer: Path,
    *,
    everything: bool = False,
    slow: bool = True,
    bound: float | None = None,
    known: Exercises | None = None,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
) -> Report:
    """Check a learner's file.

    Args:
        answer: the file.
        everything: run all tests, instead of ending at the first function to mend.
        slow: include validation and failure modes, which come last.
        bound: seconds for one test; by default `WORK_BOUND` seconds of processor time more than 20 times what
            it takes on the real source (and what the imports take). Processor time, because a busy machine must
            not fail a right answer; one that waits, and does not work, has `BOUND` seconds.
        known: the topic's exercises, by default as recorded.
        on_event: called with {"event": ...} as the work proceeds, for a progress display.

    Raises:
        DeskError: there is no such file, or the tests cannot be run at all.
    """
    started = time.perf_counter()
    try:
        content = answer.read_bytes()
        source = content.decode("utf-8")
    except FileNotFoundError:
        raise DeskError(
            f"{relative(answer)} does not exist: 'groundup practice {topic.name}' writes it.", 2
        ) from None
    except UnicodeDecodeError as error:
        raise DeskError(f"{relative(answer)} is not UTF-8 text: {error}.") from None
    original = read_source(topic)
    report = Report(topic.name, str(relative(answer)), hashlib.sha256(content).hexdigest())
    taught = [function.name for function in cutter.taught(original)]
    try:
        written = {function.name: function for function in cutter.functions(source)}
    except SyntaxError as error:
        text = (error.text or "").strip()
        report.problem = f"line {error.lineno}: {error.msg}" + (f": {text}" if text else "")
        report.functions = [Status(name, None, "written") for name in taught]
        return report
    report.functions = [_status(name, written) for name in taught]
    _mark_given(report, source, original, written)
    report.findings = [asdict(finding) for finding in honesty.findings(topic, source, original)]

    on_event({"event": "recording"})
    exercises = exercises_of(topic, on_event) if known is None else known
    on_event({"event": "checking"})
    limit = BOUND if bound is None else bound
    bounds = {test: max(limit, 20 * seconds) for test, seconds in exercises.seconds.items()}
    imports = max(exercises.seconds.values(), default=0.0)  # whichever test comes first pays for them
    work = {test: WORK_BOUND + imports + 20 * exercises.seconds.get(test, 0.0) for test in exercises.tests}
    if bound is None:  # what waits must not be ended before what works
        bounds = {test: max(bounds.get(test, limit), 2 * seconds) for test, seconds in work.items()}
    # A test that needs what is not written tells nothing new, and may wait long for it. (If all do, one runs.)
    unwritten = {function.name for function in report.functions if function.status in ("blank", "missing")}
    told = [
        test
        for test, called in exercises.calls.items()
        if unwritten & exercises.waits(test) or not called or test in exercises.messages
    ]
    if not unwritten or len(told) == len(exercises.calls):
        told = []
    results: dict[str, Outcome] = {}
    tests = set(exercises.tests) - set(exercises.failing)
    while True:
        session = run_tests(
            topic,
            answer,
            taught,
            order=exercises.order(),
            skip=[*exercises.failing, *told, *results],
            stop=not everything,
            last=sorted(exercises.messages),
            slow=slow and not (unwritten or report.findings),
            bound=limit,
            bounds=bounds,
            work=work if bound is None else {},
            on_event=on_event,
        )
        tests |= set(session.tests)
        results.update(session.results)
        if session.finished or session.uncollected is not None or not everything:
            break  # else an endless test ended the process: go on behind it
    report.seconds = time.perf_counter() - started
    if session.uncollected is not None:
        _explain_import(report, session.uncollected, taught)
        return report

    def verify(test: str, names: Sequence[str]) -> tuple[str | None, bool]:
        on_event({"event": "checking"})
        return culprit(topic, source, original, exercises, test, names)

    judge(report, exercises, results, verify)
    _discount(report)
    outcomes = [result.outcome for result in results.values()]
    report.tests = {
        "passed": outcomes.count("passed"),
        "failed": outcomes.count("failed") + outcomes.count("endless"),
        "skipped": outcomes.count("skipped"),
        "not_run": len(tests - set(results)),
        "left_out": len(exercises.failing),
    }
    complete = session.finished and not (
        report.failures or report.messages or report.findings or report.tests["not_run"]
    )
    report.passes = complete and all(function.status in ("right", "written") for function in report.functions)
    return report


def judge(
    report: Report,
    exercises: Exercises,
    results: dict[str, Outcome],
    verify: Callable[[str, Sequence[str]], tuple[str | None, bool]],
) -> None:
    """Fill in the status of each function, the failures, and what to do next.

    A function is right if all tests pass that need nothing but it and functions that are right already, one of
    them about its work and not only about errors. Tests are taken by step, the position in the file of the last
    function that they need; where a step's tests all pass, all that they called is right. When one fails, one
    function is to blame: the one that is not written; else one without whose replacement by the real function the test
    does not pass, which `verify` finds by trying. None is where no replacement mends it.

    Bad input that is not refused as it should be makes no function wrong: these failures are listed by themselves.
    """
    status = {function.name: function for function in report.functions}
    position = {name: i for i, name in enumerate(exercises.functions)}
    groups: dict[int, list[str]] = {}
    for test in exercises.order():
        groups.setdefault(exercises.step(test), []).append(test)
    others = [test for test in results if test not in exercises.calls]  # validation and failure modes
    groups.setdefault(len(exercises.functions), []).extend(others)

    reached = len(exercises.functions)
    for step in sorted(groups):
        ran = [test for test in groups[step] if test in results]
        failed = [test for test in ran if results[test].outcome in ("failed", "endless")]
        _settle(exercises, results, status, last=step)
        for test in failed:
            called = exercises.calls.get(test, [])
            told = results[test].failure
            if test in exercises.messages and told.get("raises") and not told.get("unwritten"):
                report.messages.append(dict(told, test=test, outcome=results[test].outcome))
                continue
            if report.failures and any(status[name].status == "mend" for name in called or status):
                continue  # it may fail because of a function that is already known to be wrong
            failure = dict(results[test].failure, test=test, outcome=results[test].outcome)
            blamed = _blame(failure, called, status, verify)
            failure["function"] = blamed
            report.failures.append(failure)
            if blamed is not None and status[blamed].status in ("written", "right"):
                status[blamed].status = "mend"
        if failed:
            reached = min(reached, step)
            continue
        if len(ran) < len([test for test in groups[step] if test not in exercises.failing]):
            continue  # not all of them ran
        for test in ran:
            for name in exercises.calls.get(test, ()):
                judging = results[test].outcome == "passed" and test in exercises.judging(name)
                if judging and status[name].status == "written":
                    status[name].status = "right"

    _settle(exercises, results, status, last=len(exercises.functions))
    for name, function in status.items():
        if function.status == "written" and position[name] < reached:
            steps = [exercises.step(test) for test in exercises.judging(name)]
            later = [step for step in steps if position[name] < step < len(exercises.functions)]
            if later:
                function.note = f"together with {exercises.functions[min(later)]}"
    report.next = _next(report, exercises)


def _settle(exercises: Exercises, results: dict[str, Outcome], status: dict[str, Status], last: int) -> None:
    """Mark functions right of which all tests passed that need nothing else but what is right already."""
    settled = True
    while settled:
        settled = False
        right = {name for name, function in status.items() if function.status == "right"}
        for name in exercises.functions[: last + 1]:
            if status[name].status != "written":
                continue
            own = [
                test
                for test, called in exercises.calls.items()
                if name in called
                and set(called) <= right | {name}
                and test not in exercises.failing
                and test not in exercises.messages
            ]
            passed = all(test in results and results[test].outcome == "passed" for test in own)
            if passed and set(own) & set(exercises.judging(name)):
                status[name].status = "right"
                settled = True
                break


def _blame(
    failure: dict[str, Any],
    called: Sequence[str],
    status: dict[str, Status],
    verify: Callable[[str, Sequence[str]], tuple[str | None, bool]],
) -> str | None:
    """The function that a failed test speaks about; None where no function is to blame.

    Those of the traceback are tried first, the deepest of them alone; then the later ones of the file, so that of
    several guilty ones the earliest is named, on which the others may build.
    """
    unwritten = failure.get("unwritten")
    if unwritten in status:
        return unwritten
    inside = [_at_line(status, place["line"]) for place in reversed(failure.get("inside", []))]
    asked = [name for name in status if name in called or not called]  # validation asks all
    name, alone = verify(failure["test"], [name for name in (*inside, *reversed(asked)) if name is not None])
    failure["alone"] = alone
    if name is None:
        return next((name for name in asked if status[name].status in ("blank", "missing")), None)
    return name


def _discount(report: Report) -> None:
    """A function that imports what it should implement is one to mend, whatever its tests say."""
    for finding in report.findings:
        for function in report.functions:
            if f"{finding['function']}.".startswith(f"{function.name}."):
                function.status, function.note = "mend", "it imports what it should implement"
                report.next = report.next or function.name


def _at_line(status: dict[str, Status], line: int) -> str | None:
    """The taught function of the learner's file in which a line stands."""
    for function in status.values():
        if function.line is not None and function.line <= line <= (function.last_line or 0):
            return function.name
    return None


def _next(report: Report, exercises: Exercises) -> str | None:
    """The first failure's function; where that one is blank, the first blank one of the file."""
    unfinished = [f.name for f in report.functions if f.status in ("blank", "missing")]
    if report.failures:
        blamed = report.failures[0]["function"]
        if blamed in unfinished:
            return unfinished[0]
        return blamed
    return unfinished[0] if unfinished else None


def _status(name: str, written: dict[str, cutter.Function]) -> Status:
    function = written.get(name)
    if function is None:
        return Status(name, None, "missing", "your file has no such function")
    state = "blank" if function.blank else "written"
    return Status(name, function.line, state, last_line=function.last_line)


def _mark_given(report: Report, source: str, original: str, written: dict[str, cutter.Function]) -> None:
    """What the learner was not asked for, and left as it was, is right."""
    asked = set(cutter.asked(source, original))
    lines, lines_of_ours = cutter.split_lines(source), cutter.split_lines(original)
    ours = {function.name: function for function in cutter.functions(original)}
    for function in report.functions:
        if function.name in asked or function.name not in written:
            continue
        mine, theirs = written[function.name], ours[function.name]
        if (
            lines[mine.first_line - 1 : mine.last_line]
            == lines_of_ours[theirs.first_line - 1 : theirs.last_line]
        ):
            function.status, function.given = "right", True


def _explain_import(report: Report, failure: dict[str, Any], taught: list[str]) -> None:
    """Why the tests could not be imported with this answer."""
    place = f"line {failure['inside'][-1]['line']}: " if failure.get("inside") else ""
    report.failures = [dict(failure, test="the import of your file", outcome="failed", function=None)]
    if failure.get("unwritten"):
        report.next = failure["unwritten"]
        report.problem = (
            f"{place}{failure['unwritten']} is called while the file is imported, and is not written"
        )
    elif failure["kind"] == "Endless":
        report.problem = f"{place}the import of the file does not end ({failure['message']})"
    else:
        report.problem = f"{place}the file cannot be imported: {failure['kind']}: {failure['message']}"


def relative(path: Path) -> Path:
    """The path as one types it here: relative where it lies below the current folder, else absolute."""
    return Path(shown(path))
