"""What is asked of the learner: the taught functions of a topic, and which test asks which of them.

Which taught functions a test calls is recorded once, on the real source with a probe in each of them, and
kept in the user's data directory until the source or the tests change.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from groundup.catalogue import ROOT, Topic
from groundup.desk import cutter
from groundup.desk.mistakes import Mistake
from groundup.desk.runner import DeskError, Session, run_tests

__all__ = ["Exercises", "data_folder", "exercises_of", "practice_file", "read_source", "record"]


@dataclass(frozen=True)
class Exercises:
    """A topic's exercises, recorded on the real source."""

    functions: list[str]  # the taught ones, in the order of the file
    tests: list[str]  # in the order of the test file, without those that need the whole validation
    calls: dict[str, list[str]]  # test -> taught functions that ran for it
    seconds: dict[str, float]
    raising: list[str]  # tests that expect an error: they say little about the work itself
    failing: list[str]  # tests that fail on the real source, too
    imported: list[str]  # taught functions that are called by mere import: they should be kept

    def step(self, test: str) -> int:
        """Position of the last function that the test waits for: a learner who came so far can be asked.

        Messages for bad input come behind all functions, so that none of them waits for a message.
        """
        waits = self.waits(test)
        if test in self.messages or not waits:
            return len(self.functions)
        return max(map(self.functions.index, waits))

    def waits(self, test: str) -> set[str]:
        """The functions that must be written before the test tells anything new: those that it calls.

        A test that also expects an error, and is the first to ask for some function, waits for what the values of
        the others need.
        """
        called = set(self.calls.get(test, ()))
        return called.union(*(self._first[name] for name in called)) if test in self.raising else called

    @cached_property
    def _first(self) -> dict[str, set[str]]:
        """For each function, what the earliest test of its values calls."""
        found: dict[str, set[str]] = {name: set() for name in self.functions}
        for test in self.tests:
            called = set(self.calls.get(test, ()))
            for name in called if test not in self.raising and test not in self.failing else ():
                if not found[name] or self._reach(called) < self._reach(found[name]):
                    found[name] = called
        return found

    def _reach(self, called: set[str]) -> tuple[int, int]:
        return max(map(self.functions.index, called)), len(called)

    @cached_property
    def messages(self) -> frozenset[str]:
        """The tests that ask for an error alone, of functions whose work other tests ask for."""
        valued = {
            name
            for test, called in self.calls.items()
            if test not in self.raising and test not in self.failing
            for name in called
        }
        return frozenset(test for test in self.raising if set(self.calls.get(test, ())) <= valued)

    def order(self) -> list[str]:
        """The tests by step, those first that need fewest functions; messages for bad input last, together."""
        position = {test: i for i, test in enumerate(self.tests)}
        return sorted(
            self.tests,
            key=lambda t: (
                t in self.messages,
                self.step(t),
                t in self.raising,
                len(self.calls.get(t, ())),
                position[t],
            ),
        )

    def judging(self, name: str) -> list[str]:
        """The tests that can show the function right: those of its work, or of its errors if there are no others."""
        return self._judging[name]

    @cached_property
    def _judging(self) -> dict[str, list[str]]:
        asking: dict[str, list[str]] = {name: [] for name in self.functions}
        for test in self.tests:
            for name in self.calls.get(test, ()):
                asking[name].append(test)
        raising = set(self.raising)
        return {name: [t for t in tests if t not in raising] or tests for name, tests in asking.items()}

    def untested(self) -> list[str]:
        """Taught functions that no test calls."""
        asked = set().union(*self.calls.values()) if self.calls else set()
        return [name for name in self.functions if name not in asked]


def data_folder() -> Path:
    """Where progress and recordings are kept: `GROUNDUP_HOME`, by default the user's data directory."""
    if os.environ.get("GROUNDUP_HOME"):
        return Path(os.environ["GROUNDUP_HOME"]).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("groundup", appauthor=False))


def practice_file(topic: Topic) -> Path:
    """The learner's file: in `practice/` of the repository, or in `GROUNDUP_PRACTICE`."""
    folder = os.environ.get("GROUNDUP_PRACTICE")
    return (Path(folder).expanduser().absolute() if folder else ROOT / "practice") / f"{topic.name}.py"


def read_source(topic: Topic) -> str:
    """The topic's source with its line endings as they are."""
    try:
        return topic.path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise DeskError(f"{topic.name} is not written yet.") from None


def exercises_of(topic: Topic, on_event: Callable[[dict[str, Any]], None] = lambda event: None) -> Exercises:
    """The topic's exercises, from the last recording if nothing changed since."""
    path = data_folder() / "exercises" / f"{topic.name}-{_fingerprint(topic)}.json"
    try:
        return Exercises(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        pass
    recorded, _ = record(topic, on_event=on_event)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f"{topic.name}-*.json"):
            stale.unlink(missing_ok=True)
        path.write_text(json.dumps(asdict(recorded)), encoding="utf-8")
    except OSError:
        pass  # it is recorded again next time
    return recorded


def record(
    topic: Topic,
    *,
    prove: bool = False,
    mistakes: Sequence[Mistake] = (),
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
) -> tuple[Exercises, Session]:
    """Run the topic's tests on the real source with its probes, but for validation and failure modes.

    With `prove`, each function is then left blank, and each of the `mistakes` planted; the session tells what became of it.

    Raises:
        DeskError: the tests cannot be run on the real source either.
    """
    source = read_source(topic)
    names = [function.name for function in cutter.taught(source)]
    with tempfile.TemporaryDirectory(prefix="groundup-") as folder:
        probed = Path(folder, topic.path.name)
        probed.write_bytes(cutter.instrument(source).encode("utf-8"))
        mode = "prove" if prove else "record"
        more = {"original": source, "mistakes": [asdict(mistake) for mistake in mistakes]}
        session = run_tests(
            topic, probed, names, mode=mode, stop=False, slow=False, bound=120, more=more, on_event=on_event
        )
    if session.uncollected is not None:
        missing = session.uncollected.get("module")
        if missing and not missing.partition(".")[0].startswith(("level", "shared", "groundup")):
            raise DeskError(
                f"the tests of {topic.name} need {missing}: pip install -e '.[{topic.extra},practice]' "
                "(in the repository)"
            )
        raise DeskError(f"the tests of {topic.name} cannot be imported: {session.uncollected['message']}")
    calls = {
        test: sorted(set(session.calls[test]) | set(session.earlier[test]) | set(session.imported))
        for test in session.calls
    }
    failing = [test for test, result in session.results.items() if result.outcome in ("failed", "endless")]
    return Exercises(
        names, session.tests, calls, session.seconds, session.raises, failing, session.imported
    ), session


def _fingerprint(topic: Topic) -> str:
    """Changes when the source, its tests, or the desk's way to read them change."""
    digest = hashlib.sha256(str(sys.version_info[:2]).encode())
    here = Path(__file__).parent
    for path in (
        topic.path,
        topic.test_path,
        ROOT / "tests" / "conftest.py",
        here / "cutter.py",
        here / "session.py",
        here / "items.py",
    ):
        digest.update(path.read_bytes() if path.is_file() else b"")
        digest.update(b"\0")
    return digest.hexdigest()[:16]
