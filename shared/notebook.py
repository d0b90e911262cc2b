"""What a notebook displays: agreements, claims with their intervals, and swept claims, as HTML of the page.

Such tables can be read on a narrow screen, in the dark, and by a screen reader. The classes are for the site's style
sheet and its script; without them everything reads as the notebook's own. Each output says in its metadata what it is
(`{"groundup": {"part": "claims", "mode": "unlucky_start"}}`), so that the site can put it under its heading.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.agreement import Agreement
    from shared.failure_mode import Claim, Measurement, Outcome

__all__ = [
    "agreements_html",
    "claims_html",
    "digest",
    "display_html",
    "format_number",
    "interval_text",
    "sweep_html",
]

NO_INTERVAL = "no interval from one seed"
FOLDED = 8  # rows; a longer table of agreements opens on demand
FAR = 1.5  # a rival farther off than so many widths of what else is in a strip stands at its edge
LETTERS = "alpha beta gamma delta epsilon eta theta kappa lambda mu rho sigma tau"
MARKS = {"band": "#CC79A7", "measured": "#0072B2", "rival": "#D55E00"}


def display_html(html: str, **place: str) -> None:
    """Display HTML in a notebook; `place` becomes the output's metadata."""
    from IPython.display import HTML, display

    display(HTML(html), metadata={"groundup": place})


def format_number(value: float) -> str:
    """Four significant digits, without needless zeros."""
    return f"{value:.4g}"


def interval_text(interval: Sequence[float], kind: str) -> str:
    """An interval in words: exact, one reading, the range over the seeds, "[low, high]", or that there is none.

    People are shown the corrected interval, the one that decides the verdict: it lies within the prediction ± δ, or not.
    """
    if kind == "confidence" and all(math.isinf(end) for end in interval):
        return NO_INTERVAL
    low, high = (format_number(end) for end in interval)
    if kind == "exact":
        return "exact"
    if kind == "instrument":
        return f"read to ±{format_number((interval[1] - interval[0]) / 2)}"
    if kind == "range":
        return "the same at every seed" if low == high else f"every seed in [{low}, {high}]"
    return f"[{low}, {high}]"


# --- claims ------------------------------------------------------------------------------------------------------


def claims_html(outcome: Outcome) -> str:
    """A failure mode, measured: what one sees, then for what breaks and for what mends it the sentence and a strip."""
    seen = "".join(f"<li>{escape(symptom)}</li>" for symptom in outcome.failure_mode.symptoms)
    lines = [f'<div class="groundup-symptoms"><p><b>What you see</b></p><ul>{seen}</ul></div>']
    for label, measurement in (("Breaks", outcome.breaks), ("Mended", outcome.remedy)):
        lines.append(
            f'<div class="groundup-claim groundup-{label.lower()}"><p><b>{label}.</b> {escape(measurement.claim.statement)}</p>'
            f"{_strip(measurement)}{_in_words(measurement)}</div>"
        )
    return "\n".join(lines)


def _in_words(measurement: Measurement) -> str:
    """The marks of the strip, each beside its number: what it measures, predicted ± δ, measured, the rival, the verdict."""
    claim = measurement.claim
    interval = interval_text(measurement.corrected, measurement.interval_kind)
    seeds = "1 seed" if measurement.seeds == 1 else f"{measurement.seeds} seeds"
    runs = interval if claim.deterministic or interval == NO_INTERVAL else f"{interval} over {seeds}"
    verdict = f'<b class="groundup-{measurement.verdict}">{measurement.verdict}</b>'
    if measurement.verdict == "inconclusive":
        verdict += f" (try about {measurement.seeds_needed} seeds)"
    parts = [
        f"{_mark('band', '■')} predicted {claim.relation} <b>{format_number(measurement.predicted)}</b>"
        f" within {format_number(measurement.delta)}",
        f"{_mark('measured', '●')} measured <b>{format_number(measurement.measured)}</b>, {escape(runs)}",
        f"{_mark('rival', '◆')} a rival theory says {format_number(measurement.rival)}",
        verdict,
    ]
    items = "".join(f"<li>{part}</li>" for part in parts)
    return f'<p class="groundup-quantity">{escape(claim.quantity[:1].upper() + claim.quantity[1:])}:</p><ul class="groundup-words">{items}</ul>'


def _mark(kind: str, sign: str) -> str:
    return f'<span class="groundup-{kind}" style="color: {MARKS[kind]}" aria-hidden="true">{sign}</span>'


def _strip(measurement: Measurement) -> str:
    """A line with the band that the prediction allows, the rival's mark, and the measured interval.

    It has no words of its own: they stand under it. It is as wide as the page, and its marks keep their shapes.
    """
    relation, p, delta = measurement.claim.relation, measurement.predicted, measurement.delta
    low, high = (end if math.isfinite(end) else measurement.measured for end in measurement.corrected)
    left, right = min(p - delta, low), max(p + delta, high)
    span = (right - left) or abs(p) or 1.0
    rival = measurement.rival
    if left - FAR * span <= rival <= right + FAR * span:
        left, right = min(left, rival), max(right, rival)
    margin = 0.08 * ((right - left) or span)
    left, right = left - margin, right + margin

    def at(value: float) -> float:
        return 1000 * min(max((value - left) / (right - left), 0.0), 1.0)

    band = (at(p - delta) if relation != "≤" else 0.0, at(p + delta) if relation != "≥" else 1000.0)
    parts = [
        _line(0, 1000, 20, 20, "currentColor", 1, "opacity: 0.35"),
        f'<rect x="{band[0]:.1f}" y="6" width="{max(band[1] - band[0], 3):.1f}" height="28" fill="{MARKS["band"]}" fill-opacity="0.35"/>',
        _line(at(p), at(p), 4, 36, MARKS["band"], 2.5),
        _line(at(low), at(high), 20, 20, MARKS["measured"], 3),
        _line(at(measurement.measured), at(measurement.measured), 20, 20, MARKS["measured"], 11),
    ]
    x, half = min(max(at(rival), 7.0), 993.0), 7
    parts.insert(2, f'<path d="M{x:.1f} 11l{half} 9l-{half} 9l-{half} -9z" fill="{MARKS["rival"]}"/>')
    if not left <= rival <= right:  # beyond the edge
        parts.append(
            _line(x - 18, x - 12, 20, 20, MARKS["rival"], 2)
            if rival > right
            else _line(x + 12, x + 18, 20, 20, MARKS["rival"], 2)
        )
    return (
        '<svg class="groundup-strip" viewBox="0 0 1000 40" preserveAspectRatio="none" width="100%" height="28" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )


def _line(x1: float, x2: float, y1: float, y2: float, color: str, width: float, style: str = "") -> str:
    """A line whose width does not stretch with the strip; one of no length is a dot."""
    extra = f' style="{style}"' if style else ""
    return (
        f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1}" y2="{y2}" stroke="{color}" stroke-width="{width}" '
        f'stroke-linecap="round" vector-effect="non-scaling-stroke"{extra}/>'
    )


# --- swept claims ------------------------------------------------------------------------------------------------


def sweep_html(claim: Claim) -> str:
    """A swept claim as a table, with its points as data for the site's script, which makes a slider of them.

    A point is [value, predicted or null, measured, low, high].
    """
    from shared.failure_mode import measure_sweep

    assert claim.sweep is not None
    points = measure_sweep(claim)
    label = plain_label(claim.sweep.label)
    data = {
        "label": label,
        "quantity": claim.quantity,
        "logarithmic": claim.sweep.logarithmic,
        "at": _number_of(claim.parameters[claim.sweep.parameter]),
        "points": [
            [p.value, None if math.isnan(p.predicted) else p.predicted, p.measured, *p.interval]
            for p in points
        ],
    }
    rows = [
        (
            format_number(point.value),
            "outside the formula" if math.isnan(point.predicted) else format_number(point.predicted),
            format_number(point.measured),
            f"[{format_number(point.interval[0])}, {format_number(point.interval[1])}]",
        )
        for point in points
    ]
    table = table_html((escape(label), "predicted", "measured", "95 % interval"), rows)
    return (
        f'<div class="groundup-sweep" id="sweep-{escape(claim.id.replace("/", "-"))}" data-sweep="{escape(json.dumps(data))}">'
        f"<details><summary>{escape(claim.quantity[:1].upper() + claim.quantity[1:])}, at {len(points)} values of {escape(label)}</summary>"
        f"{table}</details></div>"
    )


def _number_of(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def plain_label(label: str) -> str:
    """An axis label without the marks of mathematics: "spacing $D$" is "spacing D"."""
    for name, letter in zip(LETTERS.split(), "αβγδεηθκλμρστ", strict=True):
        label = re.sub(rf"\\{name}(?![a-z])", letter, label)
    return re.sub(r"[${}\\]", "", label)


# --- agreements --------------------------------------------------------------------------------------------------


def agreements_html(agreements: Sequence[Agreement]) -> str:
    """The agreements as HTML tables, one for each reference and dataset; a long one is folded under its summary."""
    tables = []
    for (reference, version, dataset), members in groupby(
        agreements, key=lambda a: (a.reference, a.reference_version, a.dataset)
    ):
        group = list(members)
        rows = [
            (
                escape(agreement.quantity),
                verdict_mark("yes" if agreement.agrees else "no", "holds" if agreement.agrees else "refuted"),
                f"{agreement.error:.1e}",
                f"{agreement.tolerance:.0e}",
                escape(digest(agreement.ours)),
                escape(digest(agreement.theirs)),
                f"{agreement.seconds_ours:.2g}",
                f"{agreement.seconds_reference:.2g}",
            )
            for agreement in group
        ]
        columns = ("quantity", "agrees", "error", "allowed", "ours", "reference", "seconds", "theirs")
        agreeing = sum(agreement.agrees for agreement in group)
        opened = " open" if len(group) <= FOLDED or agreeing < len(group) else ""
        tables.append(
            f'<details class="groundup-agreements"{opened}><summary>against <b>{escape(reference)}</b> {escape(version)} '
            f"on {escape(dataset)}: {agreeing} of {len(group)} agree</summary>{table_html(columns, rows)}</details>"
        )
    agreeing = sum(agreement.agrees for agreement in agreements)
    tables.append(f"<p>{agreeing} of {len(agreements)} quantities agree with the reference.</p>")
    return "\n".join(tables)


def digest(value: object) -> str:
    """A value in a table: six significant digits of a number, a summary as it says itself."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# --- pieces ------------------------------------------------------------------------------------------------------


def table_html(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of HTML cells that scrolls in itself where the page is narrow."""
    kinds = ["groundup-text" if column == "quantity" else "groundup-figure" for column in columns]
    head = "".join(f'<th class="{kind}">{column}</th>' for kind, column in zip(kinds, columns, strict=True))
    body = ""
    for row in rows:
        cells = [f'<td class="{kind}">{cell}</td>' for kind, cell in zip(kinds, row, strict=True)]
        body += f"<tr>{''.join(cells)}</tr>"
    return (
        '<div class="groundup-wide" style="overflow-x: auto"><table class="groundup-table">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def verdict_mark(text: str, verdict: str) -> str:
    """A word in the color of its verdict."""
    return f'<b class="groundup-{verdict}">{text}</b>'
