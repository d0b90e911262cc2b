"""From a symptom to the failure modes that cause it: `groundup why loss is nan`."""

from __future__ import annotations

import math
import re
import shutil
import textwrap
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from groundup import modes
from groundup.errors import CommandError
from groundup.modes import Mode

__all__ = ["Candidate", "Scorer", "explain", "find", "score", "synonyms"]

Scorer = Callable[[str, Sequence[str]], Sequence[float]]
"""`scorer(query, passages)`: how well each passage answers the query; 0 where it does not speak of it."""


@dataclass(frozen=True)
class Candidate:
    """A failure mode that may be the cause, the symptom of its that is nearest to what was asked, and its score."""

    mode: Mode
    symptom: str
    score: float


WEAK = 0.6  # a match that covers less of what was asked is called weak


def explain(query: str, *, as_json: bool) -> int:
    """Print the likeliest failure mode, its name alone on the first line, then the next two in short; 0 if there is one.

    Raises:
        CommandError: nothing is found.
    """
    from groundup.terminal import print_json

    known = modes.known()
    found = find(query, known)[:3]
    corpus = [symptom for mode in known for symptom in mode.symptoms]
    by_symptom = coverage(query, [candidate.symptom for candidate in found], corpus)
    by_title = coverage(query, [candidate.mode.title for candidate in found], corpus)
    covered = [max(shares) for shares in zip(by_symptom, by_title, strict=True)]
    if as_json:
        rows = [_row(candidate) for candidate in found]
        print_json([row | {"coverage": share} for row, share in zip(rows, covered, strict=True)])
        return 0 if found else 1
    if not found:
        raise CommandError(
            f"no failure mode is known by {query!r}: say what you see in other words, such as 'loss is nan', "
            "or look around: 'groundup list', then 'groundup show TOPIC --failures'.",
            1,
        )
    print("\n".join(_whole(found[0], weak=covered[0] < WEAK)))
    if found[1:]:
        print("\nOr:")
    for candidate in found[1:]:
        print("\n".join(_short(candidate)))
    return 0


def find(query: str, known: Sequence[Mode], *, scorer: Scorer | None = None) -> list[Candidate]:
    """The failure modes that speak of what is asked, likeliest first.

    What a mode's own symptoms say counts whole, and of several the one that fits best; its title counts a half, what
    is claimed and measured a quarter, and so do its name and the names of its topic.

    Args:
        scorer: another measure of how well a passage answers a query; by default `score`.
    """
    passages: list[str] = []
    places: list[tuple[Mode, range]] = []
    for mode in known:
        own = [*mode.symptoms, mode.title, f"{mode.statement} {mode.quantity} {mode.remedy}", _names(mode)]
        places.append((mode, range(len(passages), len(passages) + len(own))))
        passages += own
    scores = (scorer or score)(query, passages)
    found = []
    for mode, place in places:
        *symptoms, title, claims, names = (float(scores[index]) for index in place)
        best = max(symptoms, default=0.0)
        nearest = mode.symptoms[symptoms.index(best)] if symptoms else ""
        total = best + title / 2 + claims / 4 + names / 4
        found.append(Candidate(mode, nearest, total))
    found = [candidate for candidate in found if candidate.score > 0]
    return sorted(found, key=lambda candidate: -candidate.score)


def _names(mode: Mode) -> str:
    return " ".join([mode.name, mode.topic.name, mode.topic.title, *mode.topic.also])


# --- the score -------------------------------------------------------------------------------------------

TERM_SATURATION, LENGTH_NORMALIZATION = 1.2, 0.5  # k₁ and b of BM25
MEANING = 0.7  # what a word of the same meaning is worth beside the word itself


def score(query: str, passages: Sequence[str]) -> list[float]:
    """BM25 (Robertson and Zaragoza 2009) over the stems of words, and over what they mean by `synonyms.toml`.

    A passage is short: each of its words counts once. One that shares a single word with a query of more than three does
    not speak of it, and its score is 0.
    """
    asked = _terms(query)
    words = frozenset().union(*asked.values())
    documents = [_terms(passage).keys() for passage in passages]
    holds = Counter(term for document in documents for term in document)
    lengths = [sum(not term.startswith("~") for term in document) for document in documents]
    mean_length = sum(lengths) / max(len(lengths), 1) or 1.0
    rarity = {
        term: math.log(1 + (len(documents) - holds[term] + 0.5) / (holds[term] + 0.5)) for term in asked
    }
    scores = []
    for document, words_in_it in zip(documents, lengths, strict=True):
        found: set[int] = set()
        total = 0.0
        for term, places in asked.items():  # words first, then meanings
            if term in document and (not places or not places <= found):
                total += (MEANING if term.startswith("~") else 1.0) * rarity[term]
                found |= places
        if len(found) < 2 and 3 * len(found) < max(len(words), 1):
            total = 0.0
        length = 1 - LENGTH_NORMALIZATION + LENGTH_NORMALIZATION * words_in_it / mean_length
        scores.append(total * (TERM_SATURATION + 1) / (TERM_SATURATION * length + 1))
    return scores


def coverage(query: str, passages: Sequence[str], corpus: Sequence[str]) -> list[float]:
    """For each passage the share of the query that it speaks of, each word weighted by its rarity in the corpus.

    A word that nothing in the corpus has is the rarest of all: what nobody wrote of is not covered.
    """
    asked = _terms(query)
    documents = [_terms(text).keys() for text in corpus]
    weights: dict[int, float] = {}
    for term, places in asked.items():
        if not term.startswith("~"):
            holds = sum(term in document for document in documents)
            rarity = math.log(1 + (len(documents) - holds + 0.5) / (holds + 0.5))
            weights |= dict.fromkeys(places, rarity)
    whole = sum(weights.values())
    shares = []
    for passage in passages:
        there = _terms(passage).keys()
        spoken = frozenset().union(*(places for term, places in asked.items() if term in there))
        shares.append(sum(weights.get(place, 0.0) for place in spoken) / whole if whole else 1.0)
    return shares


SMALL = frozenset(
    [
        "a",
        "about",
        "after",
        "again",
        "all",
        "although",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "get",
        "gets",
        "got",
        "had",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "me",
        "my",
        "of",
        "on",
        "or",
        "our",
        "she",
        "so",
        "some",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "up",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
ENDINGS = [
    "ations",
    "ation",
    "ating",
    "ated",
    "ates",
    "ate",
    "ences",
    "ence",
    "ents",
    "ent",
    "ances",
    "ance",
    "ions",
    "ion",
    "ings",
    "ing",
    "edly",
    "ed",
    "ies",
    "es",
    "s",
    "ly",
    "e",
    "y",
]


@cache
def _stem(word: str) -> str:
    """The word without its ending: "decreases", "decreased" and "decreasing" are one. Rough, and the same for both sides."""
    if word.endswith("ss") or not word.isalpha():
        return word
    for ending in ENDINGS:
        stem = word.removesuffix(ending)
        shortest = 4 if len(ending) > 2 and ending not in ("ing", "ies") else 3
        if stem == word or len(stem) < shortest or (ending == "s" and stem[-1] in "aious"):
            continue
        doubled = ending in ("ed", "ing", "ings") and stem[-1] == stem[-2] and stem[-1] not in "lsz"
        return stem[:-1] if doubled else stem
    return word


def _stems(text: str) -> list[str]:
    plain = text.lower().replace("’", "'").replace("n't", " not")
    words = re.findall(r"\d+\.\d+|[a-z]\u0302|[^\W_]+", plain)
    stems = [_stem(word) for word in words if word not in SMALL]
    return ["not" if stem in ("no", "never", "cannot") else stem for stem in stems]


def synonyms() -> dict[str, list[str]]:
    """Words and phrases by what they mean, from `synonyms.toml`."""
    return tomllib.loads((Path(__file__).parent / "synonyms.toml").read_text(encoding="utf-8"))


@cache
def _meanings() -> dict[tuple[str, ...], list[str]]:
    """Which meanings a phrase has, by its stems."""
    found: dict[tuple[str, ...], list[str]] = {}
    for meaning, phrases in synonyms().items():
        for phrase in phrases:
            names = found.setdefault(tuple(_stems(phrase)), [])
            if f"~{meaning}" not in names:
                names.append(f"~{meaning}")
    return found


@cache
def _longest() -> int:
    return max(map(len, _meanings()))


def _terms(text: str) -> dict[str, frozenset[int]]:
    """The stems of a text and the meanings of its words and phrases, each with the places of its words."""
    stems = _stems(text)
    terms: dict[str, frozenset[int]] = {}
    for place, stem in enumerate(stems):
        tells = stem.isalpha() and stem != "not"  # a number or a "not" alone tells nothing
        terms[stem] = terms.get(stem, frozenset()) | ({place} if tells else set())
    for start in range(len(stems)):
        for stop in range(start + 1, min(start + _longest(), len(stems)) + 1):
            for meaning in _meanings().get(tuple(stems[start:stop]), ()):
                terms[meaning] = terms.get(meaning, frozenset()) | set(range(start, stop))
    return terms


# --- what is printed -------------------------------------------------------------------------------------


def _row(candidate: Candidate) -> dict[str, Any]:
    mode = candidate.mode
    return {
        "mode": mode.id,
        "level": mode.topic.level,
        "topic": mode.topic.name,
        "failure_mode": mode.name,
        "title": mode.title,
        "symptom": candidate.symptom,
        "symptoms": list(mode.symptoms),
        "cause": mode.statement,
        "test": mode.quantity,
        "remedy": mode.remedy,
        "score": candidate.score,
        "commands": [f"groundup break {mode.id}", f"groundup show {mode.id}"],
    }


def _whole(candidate: Candidate, *, weak: bool) -> list[str]:
    mode = candidate.mode
    lines = [mode.id, mode.title, ""]
    if weak:
        text = "a weak match: the nearest that is known, but no symptom says most of what you wrote. Its cause may be another."
        lines += [*_said("note", text), ""]
    if candidate.symptom:
        lines += _said("you see", candidate.symptom)
    lines += _said("cause", mode.statement)
    lines += _said("measure", mode.quantity)
    lines += _said("remedy", mode.remedy)
    return [*lines, "", f"  groundup break {mode.id}", f"  groundup show {mode.id}"]


def _short(candidate: Candidate) -> list[str]:
    mode = candidate.mode
    return [f"  {mode.id}", *_said("  ", candidate.symptom or mode.title)]


def _said(label: str, text: str) -> list[str]:
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    label = f"  {label}:" if label.strip() else label
    return textwrap.wrap(text, width, initial_indent=f"{label:<12}", subsequent_indent=" " * 12)
