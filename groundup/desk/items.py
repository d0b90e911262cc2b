"""Small questions to pytest's items, and how to run one of them again in bounded time."""

from __future__ import annotations

import functools
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["caches", "duplicate", "identify", "is_asked", "is_slow", "patience"]

SLOW_FIXTURES = {"agreements", "verdicts", "evidence"}


def identify(item: pytest.Item) -> str:
    """The test's name within its file, with its parameters."""
    return item.nodeid.partition("::")[2]


def is_asked(item: pytest.Item) -> bool:
    """Whether the test is part of the exercises: those marked `beyond_plain` ask more than a right answer."""
    return item.get_closest_marker("beyond_plain") is None


def is_slow(item: pytest.Item) -> bool:
    """Whether the test needs the whole validation or the failure modes."""
    return bool(SLOW_FIXTURES & set(getattr(item, "fixturenames", ())))


def caches(item: pytest.Item) -> dict[str, Any]:
    """The `functools.cache`d functions of the test's module."""
    module = getattr(item, "module", None)
    return {name: f for name, f in vars(module).items() if isinstance(f, functools._lru_cache_wrapper)}


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
