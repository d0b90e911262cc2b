"""The ledger: no number in a note without a run behind it.

`research_notes/ledger.json` holds one entry for each agreement and each failure mode of every topic. The
notes carry blocks between `<!-- ledger: TOPIC -->` and `<!-- /ledger -->` that are rendered from it, so a note
reads well as plain Markdown, and a block that differs from the ledger fails the check.

An entry says how closely it must reproduce. The same seeds give the same replicates, but another processor
or BLAS may round differently, and a chaotic trajectory may amplify that; a mean over seeds must come back
within half of its own 95 % interval, a deterministic number within one part in 10⁶ (or the resolution of what
measures it, as for memory), and a rounding error within its tolerance and two orders of magnitude. Times and pictures are not checked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundup import catalogue
from groundup.catalogue import ROOT
from groundup.evidence import Evidence, gather
from groundup.reports import agreement_row, outcome_row
from shared.presentation import interval_text

__all__ = ["LEDGER", "differences", "entries", "gather", "read", "render", "stale_blocks", "write"]

LEDGER = ROOT / "research_notes" / "ledger.json"
FIGURES = ROOT / "research_notes" / "figures"
BLOCK = re.compile(r"(<!-- ledger: (?P<topic>\w+) -->\n).*?(<!-- /ledger -->)", re.DOTALL)
CLAIM = re.compile(r"(<!-- claim: (?P<entry>[\w/-]+)(?P<part> remedy)? -->).*?(<!-- /claim -->)", re.DOTALL)
PAGE = ROOT / "research_notes" / "ledger.md"
DIGITS = 6  # significant digits that the ledger keeps


def read() -> dict[str, Any]:
    """The committed ledger; empty where none was written yet."""
    if not LEDGER.exists():
        return {"entries": []}
    return json.loads(LEDGER.read_text(encoding="utf-8"))


def entries(topic: str, evidence: Evidence) -> list[dict[str, Any]]:
    """Ledger entries of one topic, with ids such as `k_means/agreement/labels-lloyd`."""
    entry = catalogue.get(topic)
    rows = []
    for agreement in evidence.agreements:
        row = agreement_row(entry, agreement)
        for name in ("seconds_ours", "seconds_reference", "reference_version"):
            row.pop(name)
        key = f"{topic}/agreement/{_slug(agreement.quantity)}"
        rows.append({"id": key, "kind": "agreement", **row, "rerun": f"groundup run {topic}"})
    for outcome in evidence.outcomes:
        row = outcome_row(entry, outcome)
        row.pop("seconds")
        key = f"{topic}/failure/{outcome.failure_mode.name}"
        row["title"] = outcome.failure_mode.title
        row["reproduces_within"] = _allowance(row)
        row["remedy"]["reproduces_within"] = _allowance(row["remedy"])
        rows.append({"id": key, "kind": "failure_mode", **row, "rerun": f"groundup break {topic}"})
    return [_rounded(row) for row in _with_unique_ids(rows)]


def _with_unique_ids(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where one quantity is compared several times, its reference and then its data become part of the id."""
    for name in ("reference", "dataset"):
        ids = [row["id"] for row in rows]
        for row in rows:
            if ids.count(row["id"]) > 1:
                row["id"] += f"-{_slug(row[name].rpartition('.')[2])}"
    repeated = sorted({row["id"] for row in rows if sum(row["id"] == other["id"] for other in rows) > 1})
    if repeated:
        raise ValueError(
            f"two quantities cannot be told apart, name them differently: {', '.join(repeated)}."
        )
    return rows


def write(evidence: dict[str, Evidence]) -> list[Path]:
    """Merge the evidence into the ledger, render the notes' blocks, save the figures; returns what was written."""
    from shared import figures

    kept = [entry for entry in read()["entries"] if entry["topic"] not in evidence]
    for topic, found in evidence.items():
        kept += entries(topic, found)
    order = {name: index for index, name in enumerate(catalogue.topics())}
    kept = [entry for entry in kept if entry["topic"] in order]
    kept.sort(key=lambda entry: order[entry["topic"]])  # stable: within a topic the order of the file
    LEDGER.parent.mkdir(parents=True, exist_ok=True)
    LEDGER.write_text(_dumps(kept), encoding="utf-8")
    PAGE.write_text(render_page(kept), encoding="utf-8")
    written = [LEDGER, PAGE]
    for note in notes():
        text = note.read_text(encoding="utf-8")
        fresh = fill_blocks(text, kept, note)
        if fresh != text:
            note.write_text(fresh, encoding="utf-8")
            written.append(note)
    for topic, found in evidence.items():
        example = catalogue.get(topic).load().example
        written.append(figures.save(figures.draw(example), FIGURES / f"{topic}.png", dpi=100))
        for outcome in found.outcomes:
            mode = outcome.failure_mode
            written.append(
                figures.save(figures.draw(mode.figure), FIGURES / f"{topic}_{mode.name}.png", dpi=100)
            )
    return written


def differences(topic: str, evidence: Evidence) -> list[str]:
    """How a fresh run differs from the committed entries of a topic, one sentence each; empty is good."""
    committed = {entry["id"]: entry for entry in read()["entries"] if entry["topic"] == topic}
    fresh = {entry["id"]: entry for entry in entries(topic, evidence)}
    found = [f"{key}: measured now, not in the ledger." for key in fresh.keys() - committed.keys()]
    found += [f"{key}: in the ledger, not measured any more." for key in committed.keys() - fresh.keys()]
    for key in committed.keys() & fresh.keys():
        found += [f"{key}: {sentence}" for sentence in _compare(committed[key], fresh[key])]
    return sorted(found)


def stale_blocks() -> list[str]:
    """Blocks of the notes that differ from the committed ledger, or name no topic; empty is good."""
    committed = read()["entries"]
    found = []
    for note in notes():
        text = note.read_text(encoding="utf-8")
        name = note.relative_to(ROOT)
        unknown = {m["topic"] for m in BLOCK.finditer(text)} - set(catalogue.topics())
        unknown |= {m["entry"] for m in CLAIM.finditer(text)} - {entry["id"] for entry in committed}
        found += [f"{name}: {key} is in the text, but not in the ledger." for key in sorted(unknown)]
        if fill_blocks(text, committed, note) != text:
            found.append(f"{name}: the text differs from the ledger; run 'groundup ledger --write'.")
    if committed and (not PAGE.exists() or PAGE.read_text(encoding="utf-8") != render_page(committed)):
        found.append(f"{PAGE.relative_to(ROOT)}: differs from the ledger; run 'groundup ledger --write'.")
    return found


def notes() -> list[Path]:
    """Every Markdown page that may carry a block."""
    pages = [ROOT / "README.md", *sorted((ROOT / "research_notes").glob("*.md"))]
    pages.remove(PAGE) if PAGE in pages else None
    for level in catalogue.levels():
        pages += [ROOT / level.package / "README.md", ROOT / level.package / "RESEARCH_NOTE.md"]
    return [page for page in pages if page.exists()]


def fill_blocks(text: str, book: list[dict[str, Any]], note: Path) -> str:
    """The note's text with every block and every quoted claim rendered from the entries."""
    by_id = {entry["id"]: entry for entry in book}
    up = _to_root(note)

    def claim(match: re.Match[str]) -> str:
        entry = by_id.get(match["entry"])
        if entry is None:
            return match[0]
        return f"{match[1]}{quote(entry, remedy=bool(match['part']), up=up)}{match[4]}"

    text = BLOCK.sub(lambda match: f"{match[1]}{render(match['topic'], book, note)}{match[3]}", text)
    return CLAIM.sub(claim, text)


def quote(entry: dict[str, Any], *, remedy: bool, up: str) -> str:
    """One claim or agreement inside a sentence, with a link to its entry."""
    link = f"[entry]({up}research_notes/ledger.md#{anchor(entry['id'])})"
    if entry["kind"] == "agreement":
        return f"error {_order_of_magnitude(entry['error'])}, allowed {entry['tolerance']:.0e} ({link})"
    claim = entry["remedy"] if remedy else entry
    return (
        f"predicted {claim['relation']} {claim['predicted']:.4g} ± {claim['tolerance']:.2g}, measured "
        f"{claim['measured']:.4g}, {interval_text(claim['interval'], claim['interval_kind'])}: {claim['verdict']} ({link})"
    )


def anchor(identifier: str) -> str:
    """The id of an entry's heading on the ledger's page."""
    return identifier.replace("/", "-").replace("_", "-")


def render_page(book: list[dict[str, Any]]) -> str:
    """The whole ledger for readers: one section a topic, one anchor an entry, and the command that reruns it."""
    lines = [
        "# The ledger of measured claims",
        "",
        "Written by `groundup ledger --write` from [ledger.json](ledger.json); do not edit. Every number in the notes comes from here. "
        "`groundup ledger --check` measures all of it again.",
        "",
    ]
    for level in catalogue.levels():
        for topic in level.topics:
            mine = [entry for entry in book if entry["topic"] == topic.name]
            if not mine:
                continue
            lines += [f"## Level {level.number} · {topic.title}", ""]
            lines += [
                f"[The topic](../{topic.package}/{topic.name}.py), [how it breaks](../{topic.package}/failure_modes/{topic.name}.py)",
                "",
            ]
            for entry in (entry for entry in mine if entry["kind"] == "failure_mode"):
                lines += [
                    f'<a id="{anchor(entry["id"])}"></a>',
                    "",
                    f"### {entry['title']}",
                    "",
                    f"`{entry['id']}`, rerun with `{entry['rerun']}`. {entry['claim']}",
                    "",
                    "| | quantity | predicted | measured | interval | seeds | verdict |",
                    "|---|---|---|---|---|---|---|",
                    f"| breaks | {_claim_row(entry)} |",
                    f"| mended | {_claim_row(entry['remedy'])} |",
                    "",
                    f"δ: {_sentence(entry['reason'])}",
                    "",
                    f"Remedy: {entry['remedy']['claim']} δ: {_sentence(entry['remedy']['reason'])}",
                    "",
                ]
            lines += [
                f"### {topic.title}: agreement",
                "",
                f"Rerun with `groundup run {topic.name}`.",
                "",
                "| quantity | reference | data | error | allowed | why that much |",
                "|---|---|---|---|---|---|",
            ]
            lines += [
                f'| <a id="{anchor(e["id"])}"></a>{_cell(e["quantity"])} | {_cell(e["reference"])} | {_cell(e["dataset"])} | '
                f"{_order_of_magnitude(e['error'])} | {e['tolerance']:.0e} | {_cell(e['reason'])} |"
                for e in mine
                if e["kind"] == "agreement"
            ]
            lines.append("")
    return "\n".join(lines)


def _to_root(note: Path) -> str:
    return "../" * (len(note.relative_to(ROOT).parts) - 1)


def render(topic: str, book: list[dict[str, Any]], note: Path) -> str:
    """A topic's measured numbers as Markdown: the failure modes one by one, then the agreements in a table."""
    mine = [entry for entry in book if entry["topic"] == topic]
    if not mine:
        return ""
    lines: list[str] = []
    up = _to_root(note)
    if any(entry["kind"] == "failure_mode" for entry in mine):
        lines += [
            "The interval is at 95 %; the verdict asks whether a wider one, corrected for the number of claims, lies within the "
            f"prediction ± δ ([how to judge a claim]({up}research_notes/README.md#how-to-judge-a-claim)).",
            "",
        ]
    for entry in (entry for entry in mine if entry["kind"] == "failure_mode"):
        remedy = entry["remedy"]
        lines += [
            f"**{entry['title']}.** {entry['claim']}",
            "",
            "| | quantity | predicted | measured | interval | seeds | verdict |",
            "|---|---|---|---|---|---|---|",
            f"| breaks | {_claim_row(entry)} |",
            f"| mended | {_claim_row(remedy)} |",
            "",
            f"Remedy: {remedy['claim']} δ: {_sentence(entry['reason'])} Remedy's δ: {_sentence(remedy['reason'])} "
            f"[Entry]({up}research_notes/ledger.md#{anchor(entry['id'])}) `{entry['id']}`; rerun with `{entry['rerun']}`.",
            "",
            f"![{entry['title']}]({up}research_notes/figures/{topic}_{entry['failure_mode']}.png)",
            "",
        ]
    agreements = [entry for entry in mine if entry["kind"] == "agreement"]
    if agreements:
        lines += [
            f"**Agreement.** {sum(e['agrees'] for e in agreements)} of {len(agreements)} quantities agree with their "
            f"reference (rerun with `groundup run {topic}`).",
            "",
            "<details><summary>All of them</summary>",
            "",
            "| quantity | reference | data | error | allowed |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {_cell(e['quantity'])} | {_cell(e['reference'])} | {_cell(e['dataset'])} | "
            f"{_order_of_magnitude(e['error'])} | {e['tolerance']:.0e} |"
            for e in agreements
        ]
        lines += ["", "</details>", ""]
    return "\n".join(lines)


def _claim_row(claim: dict[str, Any]) -> str:
    interval = interval_text(claim["interval"], claim["interval_kind"])
    return (
        f"{_cell(claim['quantity'])} | {claim['relation']} {claim['predicted']:.4g} ± {claim['tolerance']:.2g} | "
        f"{claim['measured']:.4g} | {interval} | {claim['seeds']} | {claim['verdict']}"
    )


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _order_of_magnitude(error: float) -> str:
    return "0" if error == 0 else f"about 1e{math.floor(math.log10(error)):+03d}"


def _allowance(claim: dict[str, Any]) -> float:
    """How closely the measured mean must come back: half its 95 % half-width, the resolution of its instrument, at
    least 1e-6 of itself."""
    low, high = claim["interval"]
    width = (high - low) / (2 if claim["interval_kind"] == "instrument" else 4)
    width = width if math.isfinite(width) else 0.0
    return max(width, 1e-6 * abs(claim["measured"]), 1e-12)


def _compare(committed: dict[str, Any], fresh: dict[str, Any]) -> Iterator[str]:
    if committed["kind"] == "agreement":
        if not fresh["agrees"]:
            yield f"disagrees: error {fresh['error']:.2e}, allowed {fresh['tolerance']:.0e}."
        elif not _same_size(committed["error"], fresh["error"], committed["tolerance"]):
            yield f"error {fresh['error']:.1e}, the ledger says {committed['error']:.1e}."
        return
    for part, old, new in (("", committed, fresh), ("remedy: ", committed["remedy"], fresh["remedy"])):
        if old["predicted"] != new["predicted"]:
            scale = max(abs(old["predicted"]), abs(new["predicted"]))
            if abs(old["predicted"] - new["predicted"]) > 1e-5 * scale:
                yield f"{part}predicts {new['predicted']:.6g}, the ledger says {old['predicted']:.6g}."
        if abs(old["measured"] - new["measured"]) > old["reproduces_within"]:
            yield (
                f"{part}measured {new['measured']:.6g}, the ledger says {old['measured']:.6g} "
                f"(within {old['reproduces_within']:.2g})."
            )
        if new["verdict"] != old["verdict"]:
            yield f"{part}{new['verdict']}, the ledger says {old['verdict']}."


def _same_size(old: float, new: float, tolerance: float) -> bool:
    """Rounding errors reproduce to two orders of magnitude; below 1e-3 of the tolerance they are all alike.

    A tolerance of 0.1 or more counts standard errors: such an error is random, and has no magnitude to keep.
    """
    if tolerance >= 0.1:
        return True
    floor = max(1e-3 * tolerance, 1e-15)
    return max(old, new) <= floor or abs(math.log10(max(old, floor) / max(new, floor))) <= 2


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def _dumps(rows: list[dict[str, Any]]) -> str:
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f'{{"entries": [\n{lines}\n]}}\n'
