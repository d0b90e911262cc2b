"""Show that a topic's exercises work: the stub fails, each function left blank fails, the real source passes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from groundup.catalogue import Topic
from groundup.desk import checking, cutter, exercises, honesty

__all__ = ["problems_of_blanks", "problems_of_real", "problems_of_stub"]


def problems_of_stub(topic: Topic) -> list[str]:
    """What is wrong with the untouched stub: it must import, and fail because it is unsolved."""
    source = exercises.read_source(topic)
    names = [function.name for function in cutter.taught(source)]
    session = _run(topic, cutter.stub(source), names)
    if session.uncollected is not None:
        called = session.uncollected.get("unwritten")
        if called:
            return [f"{called} is called while the tests are imported: it needs '# practice: keep'"]
        return [f"the stub cannot be imported: {session.uncollected['message']}"]
    failed = [result for result in session.results.values() if result.outcome != "passed"]
    if not failed:
        return ["the stub passes"]
    if failed[0].failure.get("unwritten") not in names:
        return [f"the stub fails, but not because it is unsolved: {failed[0].failure.get('message')}"]
    return []
