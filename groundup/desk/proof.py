"""Show that a topic's exercises work: the stub fails, each function left blank fails, the real source passes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from groundup.catalogue import Topic
from groundup.desk import cutter
from groundup.desk.checking import check
from groundup.desk.exercises import Exercises, read_source, record
from groundup.desk.mistakes import Mistake
from groundup.desk.runner import DeskError

__all__ = ["problems"]


def _errors_first(exercises: Exercises, test: str, name: str) -> bool:
    """Whether a learner meets this test of bad input before the tests of the function's values."""
    order = exercises.order()
    values = [other for other in exercises.judging(name) if other not in exercises.raising]
    return bool(values) and min(map(order.index, values)) > order.index(test)


def problems(topic: Topic, *, whole: bool = False, mistakes: Sequence[Mistake] = ()) -> list[str]:
    """Everything that is wrong with the topic's exercises, one line each; an empty list is the proof.

    The real source runs with a probe in each taught function, in the place of the topic: it must pass. Then a
    probe leaves its function blank, and the fastest test that calls it must fail. Each of the `mistakes` is planted:
    a test must fail, and the function must be named. At last the stub itself is checked. With `whole`, the source
    itself is checked, too, with its validation and failure modes.
    """
    source = read_source(topic)
    taught = {function.name for function in cutter.taught(source)}
    for mistake in mistakes:
        try:
            mistake.put_into(source)
        except ValueError as error:
            return [f"a mistake that cannot be planted: {error}"]
        if mistake.function not in taught:
            return [f"a mistake that cannot be planted: {mistake.function} is not taught"]
    try:
        exercises, session = record(topic, prove=True, mistakes=mistakes)
    except DeskError as error:
        return [str(error)]
    found = [
        f"{name} is called by the import of the topic, its failure modes or its tests: '# practice: keep' it"
        for name in exercises.imported
    ]
    found += [f"the real source fails {test}" for test in exercises.failing]
    found += [
        f"{name}: no test calls it, so a blank one passes; test it, or '# practice: keep' it"
        for name in exercises.untested()
    ]
    found += [
        f"{name}: left blank, it passes the tests that call it ({', '.join(test for test, _ in blanks)})"
        for name, blanks in session.blanks.items()
        if not any(noticed for _, noticed in blanks)
    ]
    found += [
        f"{test} asks {name} to refuse bad input before any test asks for its values"
        for test in exercises.raising
        for name in exercises.calls[test]
        if _errors_first(exercises, test, name)
    ]
    for told in session.mistakes:
        mistake = mistakes[told["number"]]
        what = f"{mistake.function}, {mistake.kind}"
        if told["test"] is None:
            found.append(f"{what}: no test of its values fails")
        elif told["named"] != mistake.function:
            found.append(f"{what}: {told['test']} fails, and the check names {told['named']}")
    if not session.finished or (not exercises.failing and len(session.mistakes) < len(mistakes)):
        found.append(f"the proof did not run to its end:\n{session.log[-2000:]}")
    if found:
        return found
    with tempfile.TemporaryDirectory(prefix="groundup-") as folder:
        answer = Path(folder, topic.path.name)
        answer.write_bytes(cutter.stub(source).encode("utf-8"))
        report = check(topic, answer, known=exercises)
        if report.passes:
            found.append("the stub passes")
        elif report.problem is not None:
            found.append(f"the stub cannot be checked: {report.problem}")
        elif report.failures[0].get("unwritten") not in exercises.functions:
            found.append(f"the stub fails, but not because it is unsolved: {report.failures[0]['message']}")
        if whole:
            answer.write_bytes(source.encode("utf-8"))
            report = check(topic, answer, known=exercises, bound=60)
            found += [f"the real source fails {failure['test']}" for failure in report.failures]
            if not report.passes and not report.failures:
                found.append(f"the real source does not pass: {report.problem or report.tests}")
    return found
