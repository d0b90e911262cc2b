"""What was practised and passed, in a small SQLite file in the user's data directory."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup import catalogue
from groundup.catalogue import Topic
from groundup.desk.exercises import data_folder
from groundup.desk.runner import DeskError

__all__ = ["Standing", "following", "remember", "standings"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    number INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    at TEXT NOT NULL,              -- UTC, ISO 8601
    answer_hash TEXT NOT NULL,     -- SHA-256 of the learner's file
    functions_right INTEGER NOT NULL,
    functions_total INTEGER NOT NULL,
    passes INTEGER NOT NULL,
    next TEXT                      -- the function to write or mend
)
"""


@dataclass(frozen=True)
class Standing:
    """How far a learner is with one topic."""

    topic: str
    level: int
    attempts: int
    passed: bool
    passed_at: str | None
    answer_hash: str | None  # of the first answer that passed, else of the last one
    functions_right: int  # in the best attempt
    functions_total: int
    last_at: str | None
    next_function: str | None

    @property
    def started(self) -> bool:
        return self.attempts > 0


def database() -> Path:
    """Where progress is kept."""
    return data_folder() / "progress.sqlite3"


def remember(
    topic: str, *, answer_hash: str, right: int, total: int, passes: bool, next_function: str | None
) -> None:
    """Write down one attempt.

    Raises:
        DeskError: the file cannot be written, or is not a database.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    row = (topic, at, answer_hash, right, total, int(passes), next_function)
    try:
        database().parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database(), timeout=10)) as connection, connection:
            connection.execute(SCHEMA)
            connection.execute(
                "INSERT INTO attempts (topic, at, answer_hash, functions_right, functions_total, passes, next) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
    except (OSError, sqlite3.Error) as error:
        raise DeskError(f"progress could not be kept in {database()}: {error}") from None


def standings() -> dict[str, Standing]:
    """How far the learner is, for every topic in reading order.

    Raises:
        DeskError: the file cannot be read, or is not a database.
    """
    rows: dict[str, list[sqlite3.Row]] = {}
    if database().is_file():
        try:
            with closing(sqlite3.connect(database(), timeout=10)) as connection, connection:
                connection.row_factory = sqlite3.Row
                connection.execute(SCHEMA)
                for row in connection.execute("SELECT * FROM attempts ORDER BY number"):
                    rows.setdefault(row["topic"], []).append(row)
        except (OSError, sqlite3.Error) as error:
            raise DeskError(f"progress could not be read from {database()}: {error}") from None
    return {name: _standing(topic, rows.get(name, [])) for name, topic in catalogue.topics().items()}


def following(standing: dict[str, Standing] | None = None) -> list[Topic]:
    """What to study next, best first: what was begun, then what the passed topics have opened, in reading order."""
    standing = standings() if standing is None else standing
    open_topics = [
        topic
        for topic in catalogue.topics().values()
        if not standing[topic.name].passed and all(standing[need].passed for need in topic.needs)
    ]
    begun = [name for name, one in standing.items() if one.started and not one.passed]
    latest = sorted(begun, key=lambda name: standing[name].last_at or "", reverse=True)
    first = [catalogue.topics()[name] for name in latest]
    return [*first, *(topic for topic in open_topics if topic not in first)]


def _standing(topic: Topic, rows: list[Any]) -> Standing:
    passing = [row for row in rows if row["passes"]]
    last = rows[-1] if rows else None
    best = max(rows, key=lambda row: (row["passes"], row["functions_right"])) if rows else None
    shown = passing[0] if passing else last
    return Standing(
        topic=topic.name,
        level=topic.level,
        attempts=len(rows),
        passed=bool(passing),
        passed_at=passing[0]["at"] if passing else None,
        answer_hash=shown["answer_hash"] if shown else None,
        functions_right=best["functions_right"] if best else 0,
        functions_total=best["functions_total"] if best else 0,
        last_at=last["at"] if last else None,
        next_function=last["next"] if last else None,
    )
