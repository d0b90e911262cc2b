"""Start a topic's tests in a process of their own, watch what it tells, and end it when its time is up."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from groundup import warm
from groundup.catalogue import ROOT, Topic
from groundup.desk.substitute import PLAN_VARIABLE, environment

__all__ = ["BOUND", "WORK_BOUND", "DeskError", "Outcome", "Session", "run_tests"]

BOUND = 20.0  # seconds for one test, unless told otherwise
WORK_BOUND = 5.0  # seconds of processor time for one test, beyond what the real source needs
IMPORT_BOUND = 60.0  # seconds for the imports before the first one
TOTAL_BOUND = 900.0  # seconds for everything together
GRACE = 10.0  # seconds after a bound until the parent steps in


class DeskError(Exception):
    """The desk cannot do its work; the message says in one line why and what helps.

    `status` is the command's exit status: 2 where the command was not used as it is meant.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Outcome:
    """What became of one test: "passed", "failed", "skipped" or "endless"."""

    test: str
    outcome: str
    failure: dict[str, Any] = field(default_factory=dict)


@dataclass
class Session:
    """Everything that one run told."""

    tests: list[str] = field(default_factory=list)  # those that were to run
    results: dict[str, Outcome] = field(default_factory=dict)
    calls: dict[str, list[str]] = field(default_factory=dict)
    earlier: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    raises: list[str] = field(default_factory=list)  # tests that expect an error
    blanks: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)  # function -> (test, noticed)
    imported: list[str] = field(default_factory=list)
    culprit: tuple[str | None, bool] | None = None  # what a search found, and whether it is the only one
    mistakes: list[dict[str, Any]] = field(default_factory=list)  # what became of each planted one
    uncollected: dict[str, Any] | None = None  # why the tests could not even be imported
    finished: bool = False
    log: str = ""


def run_tests(
    topic: Topic,
    answer: Path,
    functions: Sequence[str],
    *,
    mode: str = "check",
    order: Sequence[str] = (),
    skip: Sequence[str] = (),
    stop: bool = True,
    last: Sequence[str] = (),
    slow: bool = True,
    bound: float = BOUND,
    bounds: dict[str, float] | None = None,
    work: dict[str, float] | None = None,
    more: dict[str, Any] | None = None,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
) -> Session:
    """Run the topic's own tests with `answer` in the place of the topic.

    Args:
        mode: see `groundup.desk.session`.
        order: tests by name, first ones first; `skip`: tests to leave out.
        stop: end at the first test that fails; `last`: tests that end nothing. slow: include validation and failure modes.
        bound: seconds for one test; `bounds` for single ones. work: seconds of processor time for single ones.
        more: what the modes "search" and "prove" need beyond that; "only": the one test that is to run.
        on_event: called with everything that the process tells, as it comes.

    Raises:
        DeskError: pytest is missing, or the process ended for a reason of its own.
    """
    for module in ("pytest", "hypothesis", "beartype", "xdist", "filelock"):
        if find_spec(module) is None:
            raise DeskError(f"checking needs {module}: pip install -e '.[practice]' (in the repository)")
    if not topic.test_path.is_file():
        raise DeskError(f"{topic.name} has no tests yet ({_relative(topic.test_path)} is missing).")
    _forget_compiled(answer)
    session = Session()
    with tempfile.TemporaryDirectory(prefix="groundup-") as folder:
        plan = {
            "mode": mode,
            "answer": str(answer),
            "functions": list(functions),
            "order": list(order),
            "skip": list(skip),
            "stop": stop,
            "last": list(last),
            "slow": slow,
            "bound": bound,
            "bounds": bounds or {},
            "work": work or {},
            **(more or {}),
            "slow_bound": max(60.0, 3 * bound, 6 * topic.seconds),
            "import_bound": IMPORT_BOUND,
            "hypothesis": "hypothesis" in topic.test_path.read_text(encoding="utf-8"),
            "events": str(Path(folder, "events")),
            "traces": str(Path(folder, "traces")),
        }
        Path(folder, "plan").write_text(json.dumps(plan), encoding="utf-8")
        Path(folder, "events").touch()
        Path(folder, "traces").touch()
        _watch(topic, answer, Path(folder), session, on_event)
    return session


def _watch(
    topic: Topic, answer: Path, folder: Path, session: Session, on_event: Callable[[dict[str, Any]], None]
) -> None:
    running: str | None = None
    limit, work = IMPORT_BOUND, None
    began = silent_since = time.monotonic()
    with _process(topic, answer, folder) as process, open(folder / "events", encoding="utf-8") as events:
        rest = ""
        while True:
            ended = process.poll() is not None
            rest += events.read()
            *whole, rest = rest.split("\n")
            for line in whole:
                event = json.loads(line)
                silent_since = time.monotonic()
                if event["event"] == "start":
                    running, limit, work = event["test"], event["bound"], event["work"]
                elif event["event"] in ("end", "collected", "blank"):
                    running, limit = None, IMPORT_BOUND
                elif event["event"] == "trial":
                    limit = event["bound"]
                _take(session, event)
                on_event(event)
            if ended:
                break
            now = time.monotonic()
            # The process ends itself at its bound and tells where it was; this is for one that cannot.
            if now - silent_since > limit + GRACE or now - began > TOTAL_BOUND:
                break
            time.sleep(0.02)
    session.log = (folder / "log").read_text(encoding="utf-8", errors="replace")
    if session.finished:
        return
    trace = (folder / "traces").read_text(encoding="utf-8", errors="replace")
    worked = work is not None and process.returncode == -getattr(signal, "SIGPROF", 0)
    stuck = "Timeout" in trace or not ended or worked
    if not stuck and running is None:
        if session.uncollected is None:
            raise DeskError(f"the tests of {topic.name} could not be started:\n{_last_lines(session.log)}")
        return
    place = re.search(rf'File "{re.escape(str(answer))}", line (\d+) in (\S+)', trace)
    failure: dict[str, Any] = {
        "kind": "Endless" if stuck else "Crash",
        "message": f"no end within {work if worked else limit:.3g} seconds" if stuck else "the process ended",
        "traceback": trace or _last_lines(session.log),
        "inside": [{"line": int(place[1]), "function": place[2]}] if place else [],
    }
    if running is None:
        session.uncollected = failure
    else:
        session.results[running] = Outcome(running, "endless", failure)
        on_event({"event": "result", "test": running, "outcome": "endless"})


def _take(session: Session, event: dict[str, Any]) -> None:
    kind = event["event"]
    if kind == "collected":
        session.tests = event["tests"]
    elif kind == "uncollected":
        session.uncollected = event["failure"]
    elif kind == "result":
        known = session.results.get(event["test"])
        if known is None or known.outcome == "passed":  # a tear-down may fail after the test passed
            session.results[event["test"]] = Outcome(
                event["test"], event["outcome"], event.get("failure", {})
            )
    elif kind == "end":
        session.calls[event["test"]] = event["calls"]
        session.earlier[event["test"]] = event["earlier"]
        session.seconds[event["test"]] = event["seconds"]
        if event["raises"]:
            session.raises.append(event["test"])
    elif kind == "blank":
        session.blanks.setdefault(event["function"], []).append((event["test"], event["noticed"]))
    elif kind == "culprit":
        session.culprit = event["function"], event["alone"]
    elif kind == "mistake":
        session.mistakes.append(event)
    elif kind == "finished":
        session.imported = event["imported"]
        session.finished = True


@contextmanager
def _process(topic: Topic, answer: Path, folder: Path) -> Iterator[subprocess.Popen | warm.Job]:
    """pytest in a process group of its own, which ends with this block; a fork of the warm process if there is one."""
    variables = {
        name: value
        for name, value in environment({topic.module_name: str(answer)}, ROOT).items()
        if not name.startswith("PYTEST_") and name != "COVERAGE_PROCESS_START"
    }
    variables[PLAN_VARIABLE] = str(folder / "plan")
    variables["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # what else is installed would cost half a second
    plugins = ("groundup.desk.substitute", "groundup.desk.session", "xdist")
    idle = ("no:cacheprovider", "no:faulthandler", "no:unraisableexception")
    arguments = ["-q", "--tb=short"]
    for plugin in (*plugins, *idle):
        arguments += ["-p", plugin]
    arguments += [
        f"--rootdir={ROOT}",
        f"--confcutdir={ROOT}",
        "--basetemp",
        str(folder / "tmp"),
        str(topic.test_path),
    ]
    process: subprocess.Popen | warm.Job
    if warm.VARIABLE in os.environ:
        process = warm.Job(
            "groundup.warm:run_pytest",
            arguments,
            environment=variables,
            folder=str(ROOT),
            log=str(folder / "log"),
        )
    else:
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *arguments],
                cwd=ROOT,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen | warm.Job) -> None:
    """Kill the process, and whatever it started, if it still runs."""
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait(timeout=GRACE)


def _forget_compiled(answer: Path) -> None:
    """Remove compiled forms: Python would take one for current if two saves fall into one second."""
    for compiled in (answer.parent / "__pycache__").glob(f"{answer.stem}.*.pyc"):
        compiled.unlink(missing_ok=True)


def _last_lines(text: str, count: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-count:])


def _relative(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
