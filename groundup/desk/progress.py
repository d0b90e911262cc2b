"""What was practiced and passed, in a small SQLite file in the user's data directory, for each clone by itself."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup import catalogue
from groundup.catalogue import ROOT, Topic
from groundup.desk.exercises import data_folder, practice_file
from groundup.desk.runner import DeskError

__all__ = ["Standing", "database", "following", "remember", "standings"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    number INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    at TEXT NOT NULL,              -- UTC, ISO 8601
    answer_hash TEXT NOT NULL,     -- SHA-256 of the learner's file
    functions_right INTEGER NOT NULL,
    functions_total INTEGER NOT NULL,
    passes INTEGER NOT NULL,
    next TEXT,                     -- the function to write or mend
    clone TEXT,                    -- the repository's folder; NULL in attempts older than this column
    functions TEXT,                -- what the topic asked for, and what of it was right: JSON lists of names,
    right TEXT                     -- NULL in attempts older than these columns
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
    right: tuple[str, ...] = ()  # the names of those that are right in the best attempt

    @property
    def started(self) -> bool:
        return self.attempts > 0


def database() -> Path:
    """Where progress is kept."""
    return data_folder() / "progress.sqlite3"


def remember(
    topic: str,
    *,
    answer_hash: str,
    right: Sequence[str],
    functions: Sequence[str],
    passes: bool,
    next_function: str | None,
) -> None:
    """Write down one attempt: the functions that the topic asks for now, and those of them that are right.

    Raises:
        DeskError: the file cannot be written, or is not a database.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    row = {
        "topic": topic,
        "at": at,
        "answer_hash": answer_hash,
        "functions_right": len(right),
        "functions_total": len(functions),
        "passes": int(passes),
        "next": next_function,
        "clone": str(ROOT),
        "functions": json.dumps(list(functions)),
        "right": json.dumps(list(right)),
    }
    columns = ", ".join(f'"{column}"' for column in row)
    try:
        database().parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database(), timeout=10)) as connection, connection:
            _prepare(connection)
            connection.execute(
                f"INSERT INTO attempts ({columns}) VALUES ({', '.join('?' * len(row))})", [*row.values()]
            )
    except (OSError, sqlite3.Error) as error:
        raise DeskError(f"progress could not be kept in {database()}: {error}") from None


def standings() -> dict[str, Standing]:
    """How far the learner is in this clone, for every topic in reading order.

    An attempt from before clones were told apart counts where this clone has an answer to the topic.

    Raises:
        DeskError: the file cannot be read, or is not a database.
    """
    rows: dict[str, list[sqlite3.Row]] = {}
    if database().is_file():
        try:
            with closing(sqlite3.connect(database(), timeout=10)) as connection, connection:
                connection.row_factory = sqlite3.Row
                _prepare(connection)
                here = "SELECT * FROM attempts WHERE clone IS NULL OR clone = ? ORDER BY number"
                for row in connection.execute(here, [str(ROOT)]):
                    rows.setdefault(row["topic"], []).append(row)
        except (OSError, sqlite3.Error) as error:
            raise DeskError(f"progress could not be read from {database()}: {error}") from None
    return {
        name: _standing(topic, _own(topic, rows.get(name, []))) for name, topic in catalogue.topics().items()
    }


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


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, or give an older one the columns that it lacks."""
    connection.execute(SCHEMA)
    present = {row[1] for row in connection.execute("PRAGMA table_info(attempts)")}
    for column in ("clone", "functions", "right"):
        if column not in present:
            connection.execute(f'ALTER TABLE attempts ADD COLUMN "{column}" TEXT')


def _own(topic: Topic, rows: list[Any]) -> list[Any]:
    """Without older attempts that may belong to another clone."""
    keyed = [row for row in rows if row["clone"] is not None]
    return rows if len(keyed) == len(rows) or practice_file(topic).is_file() else keyed


def _standing(topic: Topic, rows: list[Any]) -> Standing:
    """What the attempts come to, counted by the functions that the topic asked for at the last check."""
    last = rows[-1] if rows else None
    asked = _names(last, "functions") if last else None
    total = last["functions_total"] if last else 0

    def right(row: Any) -> int:
        """How many of the functions asked for now an attempt had right."""
        names = _names(row, "right")
        if asked is None or names is None:  # an older attempt knows numbers alone
            return min(row["functions_right"], total)
        return len(asked & names)

    passing = [row for row in rows if row["passes"] and right(row) >= total]
    best = max(rows, key=right) if rows else None
    shown = passing[0] if passing else last
    return Standing(
        topic=topic.name,
        level=topic.level,
        attempts=len(rows),
        passed=bool(passing),
        passed_at=passing[0]["at"] if passing else None,
        answer_hash=shown["answer_hash"] if shown else None,
        functions_right=right(best) if best else 0,
        functions_total=total,
        last_at=last["at"] if last else None,
        next_function=last["next"] if last else None,
        right=tuple(sorted(_names(best, "right") or ())) if best else (),
    )


def _names(row: Any, column: str) -> set[str] | None:
    return None if row[column] is None else set(json.loads(row[column]))
