"""The ledger for readers: an index of all claims, and a page a topic with everything behind each of its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from groundup import catalogue
from groundup.catalogue import Topic
from groundup.quoting import BOUNDS, allowed, anchor, magnitude, numbers, significant

__all__ = ["index_page", "topic_page"]

Entry = dict[str, Any]

INDEX = """# The ledger of measured claims

Written by `groundup ledger --write` from [ledger.json](ledger.json); do not edit. Every number in the notes comes from here,
and every line leads to its entry: the claim in words, prediction, δ, rival, measurement, and the command that runs it again.
[How to judge a claim](README.md#how-to-judge-a-claim). `groundup ledger --check` measures all of it again.
"""


def index_page(book: Sequence[Entry]) -> str:
    """One line for each failure mode, by level and topic."""
    lines = [INDEX]
    for level in catalogue.levels():
        there = [topic for topic in level.topics if any(entry["topic"] == topic.name for entry in book)]
        if there:
            lines += [f"## Level {level.number} · {level.title}", ""]
        for topic in there:
            mine = [entry for entry in book if entry["topic"] == topic.name]
            modes = [entry for entry in mine if entry["kind"] == "failure_mode"]
            agreements = [entry for entry in mine if entry["kind"] == "agreement"]
            page = f"ledger/{topic.name}.md"
            lines += [f"### [{topic.title}]({page})", ""]
            for entry in modes:
                breaks, remedy = numbers(entry), numbers(entry["remedy"])
                lines.append(
                    f"- [{entry['title']}]({page}#{anchor(entry['id'])}): {breaks.measured}{breaks.after()}; mended "
                    f"{remedy.measured}{remedy.after()}"
                )
            agreeing = sum(entry["agrees"] for entry in agreements)
            lines += [f"- [Agreement]({page}#agreement): {agreeing} of {len(agreements)} quantities", ""]
    return "\n".join(lines)


def topic_page(topic: Topic, book: Sequence[Entry]) -> str:
    """All that the ledger knows of a topic: its claims in full, then its agreements, folded."""
    mine = [entry for entry in book if entry["topic"] == topic.name]
    up = f"../../{topic.package}"
    note = f"{up}/notes/{topic.name}.md" if topic.note_path.exists() else f"{up}/RESEARCH_NOTE.md"
    lines = [
        f"# {topic.title}: the ledger",
        "",
        f"Level {topic.level} · [the topic]({up}/{topic.name}.py) · [how it breaks]({up}/failure_modes/{topic.name}.py) · "
        f"[its note]({note}) · [all claims](../ledger.md)",
        "",
        "Written by `groundup ledger --write`; do not edit. Two intervals are given: the one at 95 %, and the wider one, corrected "
        "for the number of claims in the curriculum, that decides the verdict ([how to judge a claim](../README.md#how-to-judge-a-claim)).",
        "",
    ]
    for entry in mine:
        if entry["kind"] == "failure_mode":
            lines += [*_failure_mode(entry), ""]
    agreements = [entry for entry in mine if entry["kind"] == "agreement"]
    if agreements:
        lines += [*_agreements(agreements), ""]
    return "\n".join(lines)


def _failure_mode(entry: Entry) -> Iterator[str]:
    yield f'<a id="{anchor(entry["id"])}"></a>'
    yield f"\n## {entry['title']}\n"
    if entry.get("symptoms"):
        yield f"**What one sees:** {'; '.join(entry['symptoms'])}.\n"
    yield f"**Breaks.** {_sentence(entry['claim'])}\n\n**Mended.** {_sentence(entry['remedy']['claim'])}\n"
    yield "| | quantity | predicted | rival | measured | corrected | at 95 % | seeds | verdict |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for label, claim in (("breaks", entry), ("mended", entry["remedy"])):
        yield f"| {label} | {_claim(claim)} |"
    yield f"\nδ, breaks: {_sentence(entry['reason'])}\n\nδ, mended: {_sentence(entry['remedy']['reason'])}\n"
    for label, claim in (("breaks", entry), ("mended", entry["remedy"])):
        if claim.get("sweep"):
            yield from _sweep(label, claim)
    yield f"![{entry['title']}](../figures/{entry['topic']}_{entry['failure_mode']}.png)\n"
    yield f"Entry `{entry['id']}`; measure it again with `{entry['rerun']}`."


def _claim(claim: Entry) -> str:
    predicted = (
        f"{BOUNDS[claim['relation']]}{significant(claim['predicted'])} ± {significant(claim['tolerance'], 2)}"
    )
    rival = "–" if claim.get("rival") is None else significant(claim["rival"])
    kind = claim["interval_kind"]
    corrected, plain = (_interval(claim.get(name), kind) for name in ("corrected", "interval"))
    if kind != "confidence":
        plain = "–"
    cells = (claim["quantity"], predicted, rival, significant(claim["measured"]), corrected, plain)
    return " | ".join([*map(_cell, cells), str(claim["seeds"]), claim["verdict"]])


def _interval(interval: Sequence[float | None] | None, kind: str) -> str:
    if interval is None:
        return "–"
    low, high = interval
    if low is None or high is None:
        return "none: equal replicates"
    if kind == "exact":
        return "exact"
    if kind == "instrument":
        return f"read to ±{significant((high - low) / 2, 2)}"
    if kind == "range":
        return (
            "the same at every seed"
            if low == high
            else f"every seed in [{significant(low)}, {significant(high)}]"
        )
    return f"[{significant(low)}, {significant(high)}]"


def _sweep(label: str, claim: Entry) -> Iterator[str]:
    """What was measured where one parameter moves, beside theory's curve."""
    sweep = claim["sweep"]
    yield f"Swept, {label}: {claim['quantity']}, over {sweep['label']}, at {sweep['seeds']} seeds each.\n"
    yield f"| {_cell(sweep['parameter'])} | predicted | measured | at 95 % |"
    yield "|---|---|---|---|"
    for value, predicted, measured, low, high in sweep["points"]:
        expected = "outside its regime" if predicted is None else significant(predicted)
        yield f"| {significant(value)} | {expected} | {significant(measured)} | {_interval((low, high), 'confidence')} |"
    yield ""


def _agreements(entries: Sequence[Entry]) -> Iterator[str]:
    """Every quantity, in groups that share reference, data, tolerance and its reason."""
    agreeing = sum(entry["agrees"] for entry in entries)
    yield "## Agreement\n"
    yield f"{agreeing} of {len(entries)} quantities agree with their reference; compare them again with `{entries[0]['rerun']}`.\n"
    yield "<details><summary>All of them</summary>\n"

    groups: dict[tuple[str, str, float, str], list[Entry]] = {}
    for entry in entries:
        key = (entry["reference"], entry["dataset"], entry["tolerance"], entry["reason"])
        groups.setdefault(key, []).append(entry)
    for (reference, dataset, tolerance, reason), rows in groups.items():
        yield f"Against `{reference}` on {dataset}, allowed {allowed(tolerance)}: {_sentence(reason)}\n"
        yield "| quantity | error |\n|---|---|"
        for entry in rows:
            doubt = "" if entry["agrees"] else ", **disagrees**"
            yield f'| <a id="{anchor(entry["id"])}"></a>{_cell(entry["quantity"])} | {magnitude(entry["error"])}{doubt} |'
        yield ""
    yield "</details>"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
