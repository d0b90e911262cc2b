"""The ledger: no number in a note without a run behind it.

`research_notes/ledger.json` holds one entry for each agreement and each failure mode of every topic. For
readers there are an index, `ledger.md`, and a page a topic, `ledger/TOPIC.md`; and the notes carry marks between which
its numbers are written (`groundup.quoting`), so that a note reads well as plain Markdown. A page or a number that
differs from the ledger fails the check.

An entry says how closely it must reproduce. The same seeds give the same replicates, but another processor
or BLAS may round differently, and a chaotic trajectory may amplify that; a mean over seeds must come back
within half of its own 95 % interval, a deterministic number within one part in 10⁶ (or the resolution of what
measures it, as for memory), a point of a sweep within its own 95 % interval, and a rounding error within its tolerance and
two orders of magnitude. Times and pictures are not checked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundup import catalogue, ledger_pages, notes, quoting
from groundup.catalogue import ROOT
from groundup.evidence import Evidence, gather
from groundup.rows import agreement_row, outcome_row
from shared.failure_mode import Measurement, SweepPoint

__all__ = ["LEDGER", "differences", "entries", "gather", "read", "stale_blocks", "write"]

LEDGER = ROOT / "research_notes" / "ledger.json"
INDEX = ROOT / "research_notes" / "ledger.md"
PAGES = ROOT / "research_notes" / "ledger"
FIGURES = ROOT / "research_notes" / "figures"
OLD_BLOCK = re.compile(r"(<!-- ledger: (?P<topic>\w+) -->\n).*?(<!-- /ledger -->)", re.DOTALL)
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
        for claim, measurement in ((row, outcome.breaks), (row["remedy"], outcome.remedy)):
            claim["reproduces_within"] = _allowance(claim)
            if measurement.claim.sweep is not None:
                claim["sweep"] = _sweep(measurement, evidence.sweeps[measurement.claim.id])
        rerun = f"groundup break {topic}/{outcome.failure_mode.name}"
        rows.append({"id": key, "kind": "failure_mode", **row, "rerun": rerun})
    return [_rounded(row) for row in _with_unique_ids(rows)]


def _sweep(measurement: Measurement, points: list[SweepPoint]) -> dict[str, Any]:
    sweep = measurement.claim.sweep
    assert sweep is not None
    return {
        "parameter": sweep.parameter,
        "label": sweep.label,
        "seeds": 1 if measurement.claim.deterministic else sweep.seeds,
        "points": [[p.value, p.predicted, p.measured, *p.interval] for p in points],
    }


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
    """Merge the evidence into the ledger, write its pages, the notes' numbers and these topics' figures; returns what
    was written."""
    kept = [entry for entry in read()["entries"] if entry["topic"] not in evidence]
    for topic, found in evidence.items():
        kept += entries(topic, found)
    order = {name: index for index, name in enumerate(catalogue.topics())}
    kept = [entry for entry in kept if entry["topic"] in order]
    kept.sort(key=lambda entry: order[entry["topic"]])  # stable: within a topic the order of the file
    texts = {LEDGER: _dumps(kept), **_pages(kept)}
    texts |= {note: fill_blocks(note.read_text(encoding="utf-8"), kept, note) for note in notes.files()}
    written = []
    for path, text in texts.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    for path in set(PAGES.glob("*.md")) - texts.keys():
        path.unlink()
    for topic, found in evidence.items():
        written += _write_figures(topic, found)
    return written


def _write_figures(topic: str, evidence: Evidence) -> list[Path]:
    """Draw a topic's pictures and those of its failure modes; those of modes that are gone go, too."""
    from shared import figures

    module = catalogue.get(topic).load()
    drawn = {f"{topic}.png": module.example}
    if hasattr(module, "mechanism"):
        drawn[f"{topic}_mechanism.png"] = module.mechanism
    for outcome in evidence.outcomes:
        drawn[f"{topic}_{outcome.failure_mode.name}.png"] = outcome.failure_mode.figure
    longer = tuple(f"{name}_" for name in catalogue.topics() if name.startswith(f"{topic}_"))
    for path in FIGURES.glob(f"{topic}_*.png"):
        if path.name not in drawn and not f"{path.stem}_".startswith(longer):
            path.unlink()
    return [figures.save(figures.draw(function), FIGURES / name, dpi=100) for name, function in drawn.items()]


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
    """Notes and pages whose numbers differ from the committed ledger, or ask for what it does not have; empty is good."""
    committed = read()["entries"]
    found = []
    for note in notes.files():
        text = note.read_text(encoding="utf-8")
        name = note.relative_to(ROOT)
        found += [f"{name}: {complaint}" for complaint in quoting.complaints(text, committed)]
        if fill_blocks(text, committed, note) != text:
            found.append(f"{name}: the text differs from the ledger; run 'groundup ledger --write'.")
    wanted = _pages(committed)
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            found.append(f"{path.relative_to(ROOT)}: differs from the ledger; run 'groundup ledger --write'.")
    gone = set(PAGES.glob("*.md")) - wanted.keys()
    return found + [f"{path.relative_to(ROOT)}: its topic is not in the ledger." for path in sorted(gone)]


def _pages(book: list[dict[str, Any]]) -> dict[Path, str]:
    """The index and each topic's page, by where they lie."""
    there = {entry["topic"] for entry in book}
    pages = {INDEX: ledger_pages.index_page(book)}
    for name, topic in catalogue.topics().items():
        if name in there:
            pages[PAGES / f"{name}.md"] = ledger_pages.topic_page(topic, book)
    return pages


def fill_blocks(text: str, book: list[dict[str, Any]], note: Path) -> str:
    """The note's text with everything between its marks written anew."""
    up = notes.to_root(note)
    text = OLD_BLOCK.sub(lambda match: f"{match[1]}{_old_block(match['topic'], book, up)}{match[3]}", text)
    return quoting.fill(text, book, up)


def _old_block(topic: str, book: list[dict[str, Any]], up: str) -> str:
    """All of a topic's claims, for a note that does not quote them one by one yet."""
    lines: list[str] = []
    for entry in book:
        if entry["topic"] == topic and entry["kind"] == "failure_mode":
            breaks = quoting.quote(entry, remedy=False, up=up)
            remedy = quoting.quote(entry, remedy=True, up=up)
            lines += [
                f"**{entry['title']}.** {entry['claim']} {_first_upper(entry['quantity'])}: {breaks}. Mended: {entry['remedy']['claim']} "
                f"{_first_upper(entry['remedy']['quantity'])}: {remedy}.",
                "",
                f"![{entry['title']}]({up}research_notes/figures/{topic}_{entry['failure_mode']}.png)",
                "",
            ]
    return (
        "\n".join([*lines, f"**Agreement.** {quoting.agreement_line(topic, book, up=up)}.", ""])
        if lines
        else ""
    )


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


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
        for name in ("reference", "dataset", "reason", "tolerance"):
            if committed[name] != fresh[name]:
                yield f"its {name} is {fresh[name]!r}, the ledger says {committed[name]!r}."
        return
    for part, old, new in (("", committed, fresh), ("remedy: ", committed["remedy"], fresh["remedy"])):
        for name in ("title", "symptoms", "claim", "quantity", "relation", "reason"):
            if old.get(name) != new.get(name):
                yield f"{part}its {name} is {new.get(name)!r}, the ledger says {old.get(name)!r}."
        for name, verb in (("predicted", "predicts"), ("rival", "has the rival"), ("tolerance", "allows")):
            if not _near(old.get(name), new.get(name), 1e-5):
                yield f"{part}{verb} {_number(new.get(name))}, the ledger says {_number(old.get(name))}."
        if abs(old["measured"] - new["measured"]) > old["reproduces_within"]:
            yield (
                f"{part}measured {new['measured']:.6g}, the ledger says {old['measured']:.6g} "
                f"(within {old['reproduces_within']:.2g})."
            )
        if new["verdict"] != old["verdict"]:
            yield f"{part}{new['verdict']}, the ledger says {old['verdict']}."
        yield from (f"{part}{sentence}" for sentence in _compare_sweeps(old.get("sweep"), new.get("sweep")))


def _compare_sweeps(old: dict[str, Any] | None, new: dict[str, Any] | None) -> Iterator[str]:
    """A point of a sweep draws a picture and decides nothing: it must come back within its own interval."""
    if old is None or new is None:
        if old != new:
            yield f"sweeps {'nothing' if new is None else new['parameter']}, the ledger says otherwise."
        return
    if [point[0] for point in old["points"]] != [point[0] for point in new["points"]]:
        yield f"sweeps {new['parameter']} over other values than the ledger says."
        return
    for (value, *before), (_, *now) in zip(old["points"], new["points"], strict=True):
        where = f"at {old['parameter']} = {value:.6g} "
        if not _near(before[0], now[0], 1e-5):
            yield f"{where}predicts {_number(now[0])}, the ledger says {_number(before[0])}."
        low, high = before[2:]
        if not low <= now[1] <= high and not _near(before[1], now[1], 1e-6):
            yield f"{where}measured {now[1]:.6g}, the ledger says {before[1]:.6g}, [{low:.6g}, {high:.6g}]."


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _near(old: float | None, new: float | None, share: float) -> bool:
    if old is None or new is None:
        return old == new
    return abs(old - new) <= max(share * max(abs(old), abs(new)), 1e-12)


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
