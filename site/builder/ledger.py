"""The page with every claim of the ledger: predicted, measured, interval, verdict, and how to run it again."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import floor, log10
from typing import Any

from groundup import catalogue

__all__ = ["ledger_page"]

INTRODUCTION = """# The ledger of claims

Every number in the notes comes from a run, and every run has an entry here. A **failure mode** is one falsifiable
sentence: a formula predicts, an experiment over seeds measures, and the claim *holds* if the whole interval, corrected
for the number of claims in the curriculum, lies within δ of the prediction (for ≥ and ≤, on its side of it). An
**agreement** is one quantity, computed by ours and by the library on identical data. Each entry names the command that
runs it again; `groundup ledger --check` runs them all.
"""

MISSING = """# The ledger of claims

The ledger has not been written yet: `groundup ledger --write` runs every validation and every failure mode and writes
it.
"""


def ledger_page(entries: Sequence[dict[str, Any]]) -> str:
    """The page as Markdown with the entries in HTML, so that each anchor equals its entry's id."""
    if not entries:
        return MISSING
    failures = [entry for entry in entries if entry["kind"] == "failure_mode"]
    agreements = [entry for entry in entries if entry["kind"] == "agreement"]
    claims = [claim for entry in failures for claim in (entry, entry["remedy"])]
    holding = sum(claim["verdict"] == "holds" for claim in claims)
    agreeing = sum(entry["agrees"] for entry in agreements)
    lines = [
        INTRODUCTION,
        f"Of {len(claims)} claims on {len(failures)} failure modes and their remedies, {holding} hold. Of {len(agreements)} "
        f"quantities, {agreeing} agree with their reference.",
        "",
    ]
    for topic in catalogue.topics().values():
        mine = [entry for entry in entries if entry["topic"] == topic.name]
        if not mine:
            continue
        lines += [
            f"## {topic.title}",
            "",
            f"Level {topic.level} · [the topic]({topic.package}/{topic.name}.ipynb)"
            f" · [how it breaks]({topic.package}/failure_modes/{topic.name}.ipynb)",
            "",
        ]
        for entry in mine:
            if entry["kind"] == "failure_mode":
                lines += [_failure(entry), ""]
        table = [entry for entry in mine if entry["kind"] == "agreement"]
        if table:
            lines += [_agreements(table), ""]
    return "\n".join(lines)


def _failure(entry: dict[str, Any]) -> str:
    remedy = entry["remedy"]
    columns = ("", "quantity", "predicted", "within δ", "measured", "95 % interval", "seeds")
    rows = [
        (
            f"<b>{label}</b><br>{_verdict(claim['verdict'])}",
            escape(claim["quantity"]),
            f"{escape(claim['relation'])} {_number(claim['predicted'])}",
            _number(claim["tolerance"]),
            _number(claim["measured"]),
            _interval(claim),
            str(claim["seeds"]),
        )
        for label, claim in (("breaks", entry), ("mended", remedy))
    ]
    return (
        f'<div class="groundup-claim" id="{escape(entry["id"])}">\n'
        f"<h3>{escape(entry['title'])}{_permalink(entry['id'])}</h3>\n"
        f"<p>{escape(entry['claim'])} <b>Mended:</b> {escape(remedy['claim'])}</p>\n{_table(columns, rows)}\n"
        f'<p class="groundup-small">δ: {_sentence(entry["reason"])} Remedy’s δ: {_sentence(remedy["reason"])}<br>'
        f"Entry <code>{escape(entry['id'])}</code>, run again with <code>{escape(entry['rerun'])}</code></p>\n</div>"
    )


def _agreements(entries: Sequence[dict[str, Any]]) -> str:
    columns = ("quantity", "agrees", "error", "allowed", "reference", "data", "why that much is allowed")
    rows = [
        (
            escape(entry["quantity"]) + _permalink(entry["id"]),
            _yes(entry["agrees"]),
            _magnitude(entry["error"]),
            f"{entry['tolerance']:.0e}",
            f"<code>{escape(entry['reference'])}</code>",
            escape(entry["dataset"]),
            escape(entry["reason"]),
        )
        for entry in entries
    ]
    agreeing = sum(entry["agrees"] for entry in entries)
    return (
        '<div class="groundup-claim"><h3>Agreement with the library</h3>\n'
        f"<p>{agreeing} of {len(entries)} quantities agree; run again with <code>{escape(entries[0]['rerun'])}</code></p>\n"
        f"{_table(columns, rows, [entry['id'] for entry in entries])}</div>"
    )


KINDS = {
    "quantity": "groundup-text",
    "why that much is allowed": "groundup-text",
    "reference": "groundup-name",
    "data": "groundup-name",
}


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], ids: Sequence[str] = ()) -> str:
    """A table that scrolls in itself where the page is narrow; a row's anchor is its entry's id."""
    kinds = [KINDS.get(column, "groundup-figure") for column in columns]
    head = "".join(f'<th class="{kind}">{column}</th>' for kind, column in zip(kinds, columns, strict=True))
    lines = []
    for index, row in enumerate(rows):
        anchor = f' id="{escape(ids[index])}"' if ids else ""
        cells = [f'<td class="{kind}">{cell}</td>' for kind, cell in zip(kinds, row, strict=True)]
        lines.append(f"<tr{anchor}>{''.join(cells)}</tr>")
    return (
        f'<div class="groundup-wide"><table class="groundup-table"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{chr(10).join(lines)}</tbody></table></div>"
    )


def _sentence(text: str) -> str:
    return escape(text if text.endswith(".") else f"{text}.")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _magnitude(error: float | None) -> str:
    """Rounding errors reproduce in their order of magnitude only, and so the page shows no more."""
    if not error:
        return "–" if error is None else "0"
    return f"≈ 1e{floor(log10(error)):+03d}"


def _interval(claim: dict[str, Any]) -> str:
    low, high = claim["interval"]
    if low == high and claim["seeds"] == 1:
        return "exact"
    return f"[{_number(low)}, {_number(high)}]"


def _verdict(verdict: str) -> str:
    return f'<span class="groundup-{verdict}">{verdict}</span>'


def _yes(agrees: bool) -> str:
    return '<span class="groundup-holds">yes</span>' if agrees else '<span class="groundup-refuted">no</span>'


def _permalink(key: str) -> str:
    return f'<a class="headerlink" href="#{escape(key)}" title="Link to this entry">#</a>'
