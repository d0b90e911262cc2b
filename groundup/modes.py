"""The failure modes as their files declare them: names, titles, symptoms and sentences, read without importing.

`groundup why` must answer in less than a second, and a topic's failure modes import the topic. So the declarations are read
by `ast`: literal strings are all that they need.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from groundup import catalogue
from groundup.catalogue import Topic, UnknownTopic

__all__ = ["Mode", "declared", "get", "known", "named", "of", "select", "suggestions"]


@dataclass(frozen=True)
class Mode:
    """A failure mode as it is declared: what one sees, what is claimed, what mends it."""

    topic: Topic
    name: str
    title: str
    symptoms: tuple[str, ...]
    statement: str
    quantity: str
    remedy: str

    @property
    def id(self) -> str:
        return f"{self.topic.name}/{self.name}"

    @property
    def ledger_id(self) -> str:
        return f"{self.topic.name}/failure/{self.name}"


@cache
def of(topic: Topic) -> tuple[Mode, ...]:
    """The failure modes of a topic, in the order of its page; none where it has no such page yet."""
    path = topic.failure_modes_path
    return tuple(Mode(topic, **declaration) for declaration in declared(path)) if path.exists() else ()


def known() -> list[Mode]:
    """All failure modes, in reading order."""
    return [mode for topic in catalogue.topics().values() for mode in of(topic)]


def declared(path: Path) -> list[dict]:
    """What a page of failure modes declares: name, title, symptoms, statement, quantity and the remedy's sentence.

    Raises:
        ValueError: a declaration whose name, title, symptoms or sentences are no literal strings.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            for node in ast.walk(statement.value):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "FailureMode":
                    found.append(_declaration(node, path))
    return found


def _declaration(call: ast.Call, path: Path) -> dict:
    fields = _fields(call, ("name", "title", "breaks", "remedy"))
    breaks, remedy = (_fields(fields.get(part), ("statement", "quantity")) for part in ("breaks", "remedy"))
    texts = {
        "name": fields.get("name"),
        "title": fields.get("title"),
        "symptoms": fields.get("symptoms", ast.Tuple([])),
        "statement": breaks.get("statement"),
        "quantity": breaks.get("quantity"),
        "remedy": remedy.get("statement"),
    }
    found = {}
    for name, node in texts.items():
        try:
            found[name] = ast.literal_eval(node)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            raise ValueError(
                f"{path.name}, line {call.lineno}: {name} of a failure mode must be a literal string."
            ) from None
    return found


def _fields(call: ast.expr | None, positional: tuple[str, ...]) -> dict[str, ast.expr]:
    if not isinstance(call, ast.Call):
        return {}
    keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    return dict(zip(positional, call.args, strict=False)) | keywords


def named(name: str) -> list[Mode]:
    """The failure modes of that name: `TOPIC/MODE`, the ledger's `TOPIC/failure/MODE`, or `MODE` alone."""
    wanted = catalogue.forgiven(name)
    topic, _, mode = wanted.replace("/failure/", "/").rpartition("/")
    if topic and topic not in catalogue.topics():
        return []
    pool = of(catalogue.topics()[topic]) if topic else known()
    return [known_mode for known_mode in pool if catalogue.forgiven(known_mode.name) == mode]


def get(name: str) -> Mode:
    """The failure mode of that name; hyphens, spaces and capitals are forgiven.

    Raises:
        UnknownTopic: there is none, or several topics have one of that name; with the nearest names.
    """
    found = named(name)
    if len(found) == 1:
        return found[0]
    if found:
        several = " or ".join(mode.id for mode in found)
        raise UnknownTopic(f"several topics have a failure mode {name!r}: did you mean {several}?")
    topic, _, last = catalogue.forgiven(name).replace("/failure/", "/").rpartition("/")
    pool = of(catalogue.get(topic)) if topic else known()  # an unknown topic is told as such
    near = set(difflib.get_close_matches(last, [mode.name for mode in pool], n=3, cutoff=0.6))
    nearest = [mode.id for mode in pool if mode.name in near]
    if not nearest and topic:
        nearest = [mode.id for mode in pool]
    if nearest:
        raise UnknownTopic(f"no failure mode is called {name!r}: did you mean {' or '.join(nearest)}?")
    raise UnknownTopic(f"no failure mode is called {name!r}: 'groundup why {name}' looks up what you see.")


def select(
    names: Iterable[str], *, level: int | None = None, everything: bool = False
) -> tuple[list[Topic], dict[str, frozenset[str]]]:
    """The topics that a command line asks for, in reading order, and the modes of those of which it wants some only.

    A topic that is named as a whole comes whole. A name may also be that of a single failure mode, where it is the only one.
    """
    whole, single = [], []
    for name in names:
        if catalogue.forgiven(name) in catalogue.topics():
            whole.append(name)
        elif "/" in name or named(name):
            single.append(get(name))
        else:
            with suggestions(name):
                whole.append(catalogue.get(name).name)
    topics = catalogue.select(whole, level=level, everything=everything)
    only: dict[str, frozenset[str]] = {}
    for mode in single:
        if mode.topic not in topics:
            only[mode.topic.name] = only.get(mode.topic.name, frozenset()) | {mode.name}
    wanted = {topic.name for topic in topics} | only.keys()
    return [topic for topic in catalogue.topics().values() if topic.name in wanted], only


@contextmanager
def suggestions(name: str) -> Iterator[None]:
    """Where no topic is near an unknown name, name the failure modes that are, or else the way in by symptom."""
    try:
        yield
    except UnknownTopic as error:
        if "did you mean" in str(error):
            raise
        wanted = catalogue.forgiven(name)
        near = difflib.get_close_matches(wanted, {mode.name for mode in known()}, n=3, cutoff=0.7)
        ids = " or ".join(mode.id for mode in known() if mode.name in near)
        if near:
            told = str(error).removesuffix(catalogue.SEE_THE_MAP)
            raise UnknownTopic(f"{told}did you mean {ids}?") from None
        raise UnknownTopic(f"{error} 'groundup why {name}' looks up what you see.") from None
