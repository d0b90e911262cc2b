"""The ledger for readers: one filterable index of claims, and a page a topic with all that is behind each number."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Any

from docutils.nodes import make_id

from groundup import catalogue
from groundup.catalogue import Topic
from groundup.quoting import allowed, magnitude, significant

__all__ = ["index_page", "topic_page", "topics_of"]

Entry = dict[str, Any]

INTRODUCTION = """# The ledger of claims

Every number in the notes comes from a run, and every run has an entry here. A **failure mode** makes two claims: what breaks,
and what mends it. A formula predicts, an experiment over seeds measures, and the claim *holds* if the whole interval, corrected
for the number of claims in the curriculum, lies within δ of the prediction (for ≥ and ≤, on its side of it). The interval below
is that one. Each line leads to its entry: the rival theory's number, δ and its reason, and the command that measures it again.
"""

MISSING = """# The ledger of claims

The ledger has not been written yet: `groundup ledger --write` runs every validation and every failure mode and writes
it.
"""

VERDICTS = ("holds", "refuted", "inconclusive")


def topics_of(entries: Sequence[Entry]) -> list[Topic]:
    """The topics that have entries, in reading order."""
    there = {entry["topic"] for entry in entries}
    return [topic for topic in catalogue.topics().values() if topic.name in there]


def index_page(entries: Sequence[Entry]) -> str:
    """The index as Markdown with its table in HTML, so that each anchor equals its entry's id."""
    if not entries:
        return MISSING
    failures = [entry for entry in entries if entry["kind"] == "failure_mode"]
    agreements = [entry for entry in entries if entry["kind"] == "agreement"]
    claims = [claim for entry in failures for claim in (entry, entry["remedy"])]
    holding = sum(claim["verdict"] == "holds" for claim in claims)
    agreeing = sum(entry["agrees"] for entry in agreements)
    pages = " · ".join(f"[{topic.title}](ledger/{topic.name}.md)" for topic in topics_of(entries))
    columns = ("claim", "predicted", "measured", "interval", "verdict")
    rows = [row for entry in failures for row in _index_rows(entry)]
    return "\n".join(
        [
            INTRODUCTION,
            f"Of {len(claims)} claims on {len(failures)} failure modes and their remedies, {holding} hold. Of {len(agreements)} "
            f"quantities that ours and the libraries compute on identical data, {agreeing} agree; they stand on the topics' pages: {pages}.",
            "",
            _filter(entries),
            "",
            _table(columns, rows, cards=True),
        ]
    )


def _index_rows(entry: Entry) -> Iterator[tuple[str, Sequence[str]]]:
    """The two lines of a failure mode: attributes of the row, and its cells."""
    topic = catalogue.get(entry["topic"])
    link = f"ledger/{topic.name}.html#{escape(entry['id'])}"
    for label, claim in (("breaks", entry), ("mended", entry["remedy"])):
        key = f' id="{escape(entry["id"])}"' if label == "breaks" else ""
        yield (
            f'{key} class="groundup-line" data-verdict="{claim["verdict"]}" data-level="{topic.level}"',
            (
                f'<a class="reference internal" href="{link}">{escape(entry["title"])}</a> · {label} · '
                f"{escape(topic.title)}<br>{escape(claim['claim'])}",
                f"{escape(claim['relation'])} {_number(claim['predicted'])}",
                _number(claim["measured"]),
                _interval(claim),
                _verdict(claim["verdict"]),
            ),
        )


def _filter(entries: Sequence[Entry]) -> str:
    levels = sorted({topic.level for topic in topics_of(entries)})
    return (
        '<div class="groundup-filter"><label for="groundup-filter">Filter</label>'
        '<input id="groundup-filter" type="search" autocomplete="off" placeholder="k-means, variance, NaN …" data-filter=".groundup-line">'
        f"{_choice('level', 'every level', [(str(n), f'level {n}') for n in levels])}"
        f"{_choice('verdict', 'every verdict', [(v, v) for v in VERDICTS])}"
        '<span role="status"></span></div>'
    )


def _choice(attribute: str, everything: str, values: Sequence[tuple[str, str]]) -> str:
    options = "".join(f'<option value="{value}">{text}</option>' for value, text in values)
    return f'<select data-attribute="{attribute}" aria-label="{attribute}"><option value="">{everything}</option>{options}</select>'


# --- a topic's page --------------------------------------------------------------------------------------------


def topic_page(topic: Topic, entries: Sequence[Entry]) -> str:
    """All that the ledger knows of a topic: its claims in full, then its agreements, folded."""
    mine = [entry for entry in entries if entry["topic"] == topic.name]
    lines = [
        "---",
        "orphan: true",
        "---",
        f"# {topic.title}: the ledger",
        "",
        f"Level {topic.level} · [the topic](../{topic.package}/{topic.name}.ipynb)"
        f" · [how it breaks](../{topic.package}/failure_modes/{topic.name}.ipynb) · [all claims](../ledger.md)",
        "",
    ]
    for entry in mine:
        if entry["kind"] == "failure_mode":
            lines += [f"## {entry['title']}", "", _failure(topic, entry), ""]
    agreements = [entry for entry in mine if entry["kind"] == "agreement"]
    if agreements:
        lines += ["## Agreement", "", *_agreements(agreements)]
    return "\n".join(lines)


def _failure(topic: Topic, entry: Entry) -> str:
    remedy = entry["remedy"]
    columns = ("claim", "quantity", "predicted", "rival", "measured", "corrected", "at 95 %", "seeds")
    claims = (("breaks", entry), ("mended", remedy))
    rows = [
        (
            "",
            (
                f"<b>{label}</b> {_verdict(claim['verdict'])}",
                escape(claim["quantity"]),
                f"{escape(claim['relation'])} {_number(claim['predicted'])} ± {_number(claim['tolerance'])}",
                _number(claim["rival"]),
                _number(claim["measured"]),
                _interval(claim),
                _interval(claim, "interval"),
                str(claim["seeds"]),
            ),
        )
        for label, claim in claims
    ]
    page = f"../{topic.package}/failure_modes/{topic.name}.html#{make_id(entry['title'])}"
    return (
        f'<div class="groundup-entry" id="{escape(entry["id"])}">\n'
        f"<p><b>Breaks.</b> {_sentence(entry['claim'])} <b>Mended.</b> {_sentence(remedy['claim'])} "
        f'<a class="reference internal" href="{page}">Why, and its figure</a>.</p>\n{_table(columns, rows, cards=True)}\n'
        f"{''.join(_sweep(label, claim) for label, claim in claims)}"
        f'<p class="groundup-small">δ: {_sentence(entry["reason"])} Remedy’s δ: {_sentence(remedy["reason"])}<br>'
        f"Entry <code>{escape(entry['id'])}</code>, run again with <code>{escape(entry['rerun'])}</code></p>\n</div>"
    )


def _sweep(label: str, claim: Entry) -> str:
    if not claim.get("sweep"):
        return ""
    sweep = claim["sweep"]
    rows = [
        (
            "",
            (
                _number(value),
                "outside the formula" if predicted is None else _number(predicted),
                _number(measured),
                f"[{_number(low)}, {_number(high)}]",
            ),
        )
        for value, predicted, measured, low, high in sweep["points"]
    ]
    columns = (escape(sweep["label"]), "predicted", "measured", "95 % interval")
    return (
        f"<details><summary>{label.capitalize()}, at {len(rows)} values of {escape(sweep['label'])}</summary>\n"
        f"{_table(columns, rows)}</details>\n"
    )


def _agreements(entries: Sequence[Entry]) -> Iterator[str]:
    """The agreements, folded by the reason for what is allowed, which is said once."""
    agreeing = sum(entry["agrees"] for entry in entries)
    yield (
        f"{agreeing} of {len(entries)} quantities agree with the library on identical data; run again with "
        f"<code>{escape(entries[0]['rerun'])}</code>.\n"
    )

    def key(entry: Entry) -> tuple[str, float]:
        return entry["reason"], entry["tolerance"]

    order = list(dict.fromkeys(map(key, entries)))
    for (reason, tolerance), group in groupby(sorted(entries, key=lambda e: order.index(key(e))), key=key):
        members = list(group)
        columns = ("quantity", "agrees", "error", "reference", "data")
        rows = [
            (
                f' id="{escape(entry["id"])}"',
                (
                    escape(entry["quantity"]) + _permalink(entry["id"]),
                    _yes(entry["agrees"]),
                    magnitude(entry["error"]),
                    f"<code>{_breakable(entry['reference'])}</code>",
                    escape(entry["dataset"]),
                ),
            )
            for entry in members
        ]
        found = sum(entry["agrees"] for entry in members)
        count = (
            f"{found} of {len(members)} agree"
            if len(members) > 1
            else "1 quantity" + ("" if found else ", refuted")
        )
        yield (
            f"<details{'' if found == len(members) else ' open'}><summary><b>{count}</b> within {allowed(tolerance)}: {_sentence(reason)}</summary>\n"
            f"{_table(columns, rows, cards=True)}</details>\n"
        )


TEXTS = {"claim", "quantity", "reference", "data"}
SHORT = {"verdict", "agrees", ""}


def _table(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], *, cards: bool = False) -> str:
    """A table; a row is its attributes and its cells. On a narrow screen each row of `cards` becomes a card, and another
    table scrolls in itself."""
    kinds = [
        "groundup-text" if column in TEXTS else "groundup-short" if column in SHORT else "groundup-figure"
        for column in columns
    ]
    head = "".join(f'<th class="{kind}">{column}</th>' for kind, column in zip(kinds, columns, strict=True))
    lines = []
    for attributes, row in rows:
        cells = "".join(
            f'<td class="{kind}" data-label="{column}">{cell}</td>'
            for kind, column, cell in zip(kinds, columns, row, strict=True)
        )
        lines.append(f"<tr{attributes}>{cells}</tr>")
    kind = "groundup-table groundup-cards" if cards else "groundup-table"
    return (
        f'<div class="groundup-wide"><table class="{kind}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{chr(10).join(lines)}</tbody></table></div>"
    )


def _breakable(name: str) -> str:
    """A dotted name that may be broken after its dots, and not inside of its words."""
    return re.sub(r"([._])(?=\w)", r"\1<wbr>", escape(name))


def _sentence(text: str) -> str:
    return escape(text if text.endswith(".") else f"{text}.")


def _number(value: float | None) -> str:
    return "–" if value is None else significant(value)


def _interval(claim: Entry, which: str = "corrected") -> str:
    low, high = claim[which]
    if low is None or high is None:
        return "none"  # all replicates were equal, which is no interval
    if low == high and claim["seeds"] == 1:
        return "exact"
    return f"[{_number(low)}, {_number(high)}]"


def _verdict(verdict: str) -> str:
    return f'<span class="groundup-{verdict}">{verdict}</span>'


def _yes(agrees: bool) -> str:
    return '<span class="groundup-holds">yes</span>' if agrees else '<span class="groundup-refuted">no</span>'


def _permalink(key: str) -> str:
    return f'<a class="headerlink" href="#{escape(key)}" title="Link to this entry">#</a>'
