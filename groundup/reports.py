"""What the commands print: tables for people, JSON for programs.

A topic whose reference library is missing is named together with the command that installs it, counts as
not in order (exit status 1), and does not keep the other topics from being run.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup import catalogue
from groundup.catalogue import ROOT, Topic
from groundup.rows import agreement_row, outcome_row
from groundup.terminal import each, make_console, print_json, save, to_open

if TYPE_CHECKING:
    from rich.console import Console

    from shared.agreement import Agreement, Race
    from shared.failure_mode import Outcome

__all__ = [
    "bench",
    "break_topics",
    "check_ledger",
    "list_topics",
    "run",
    "show_ledger",
    "show_path",
    "write_ledger",
]

UNFOLDED = 24  # so many topics are listed one by one

# --- the map ---------------------------------------------------------------------------------------------


def list_topics(*, level: int | None, as_json: bool) -> None:
    """Print the levels and topics, or those of one level; a long map is folded to a few lines a level."""
    chosen = [entry for entry in catalogue.levels() if level in (None, entry.number)]
    if as_json:
        print_json([_topic_row(topic) for entry in chosen for topic in entry.topics])
        return
    folded = level is None and len(catalogue.topics()) > UNFOLDED
    for entry in chosen:
        print(f"Level {entry.number} · {entry.title}\n  {entry.question}")
        if folded:
            count = len(entry.topics)
            print(f"    {count} topic{'s' if count != 1 else ''}: groundup list --level {entry.number}")
        for topic in () if folded else entry.topics:
            print(f"    {topic.name:<33} {topic.summary}")
        print()
    print("groundup show TOPIC reads one, groundup run TOPIC proves it, groundup break TOPIC breaks it;")
    print("groundup why WORDS looks up what you see.")


def show_path(name: str, *, as_json: bool) -> None:
    """Print what to study before a topic, the topic itself last."""
    steps = catalogue.study_path(name)
    if as_json:
        print_json([_topic_row(topic) for topic in steps])
        return
    for number, topic in enumerate(steps, start=1):
        print(f"{number:>3}. {topic.name:<33} Level {topic.level} · {topic.summary}")
    print(f"\nBegin with: groundup show {steps[0].name}")


def _topic_row(topic: Topic) -> dict[str, Any]:
    row = asdict(topic)
    return {
        **row,
        "needs": list(topic.needs),
        "mirrors": list(topic.mirrors),
        "also": list(topic.also),
        "path": str(topic.path.relative_to(ROOT)),
        "failure_modes": str(topic.failure_modes_path.relative_to(ROOT)),
        "note": str(topic.note_path.relative_to(ROOT)),
    }


# --- run -------------------------------------------------------------------------------------------------


def run(topics: Sequence[Topic], *, as_json: bool, save_figures: bool) -> int:
    """Validate topics; 0 if every quantity agrees."""
    rows: list[dict[str, Any]] = []
    in_order = True
    console = make_console()

    def work(topic: Topic) -> tuple[list[Agreement], Path | None]:
        agreements = topic.load().validate()
        return agreements, save(f"{topic.name}.png", topic.load().example) if save_figures else None

    for topic, found in each(topics, work, "validating"):
        if found is None:
            in_order = False
            continue
        agreements, saved = found
        in_order &= bool(agreements) and all(agreement.agrees for agreement in agreements)
        rows += [agreement_row(topic, agreement) for agreement in agreements]
        if not as_json:
            _print_agreements(console, topic, agreements)
        if saved is not None and not as_json:
            console.print(f"figure saved: {to_open(saved)}\n", soft_wrap=True)
    if as_json:
        print_json(rows)
    else:
        agreeing = sum(row["agrees"] for row in rows)
        console.print(f"{agreeing} of {len(rows)} quantities agree with their reference.")
        _tell_what_is_left_out(console)
    return 0 if in_order else 1


def _print_agreements(console: Console, topic: Topic, agreements: list[Agreement]) -> None:
    from shared.presentation import agreement_tables

    console.rule(f"[bold]{topic.title}[/bold] · {topic.name}", align="left")
    for table in agreement_tables(agreements, width=console.width):
        console.print(table, "")


def _tell_what_is_left_out(console: Console) -> None:
    from shared.presentation import WIDE

    if console.width < WIDE:
        console.print(f"(Both values themselves: in {WIDE} columns, or with --json.)", style="dim")


# --- break -----------------------------------------------------------------------------------------------


def break_topics(
    topics: Sequence[Topic],
    only: Mapping[str, Collection[str]],
    *,
    seeds: int | None,
    scheduler: str | None,
    as_json: bool,
    save_figures: bool,
) -> int:
    """Measure failure modes; 0 if every claim holds and every remedy mends.

    Args:
        only: for a topic of which not all modes are wanted, the names of those that are.
    """
    from groundup.errors import CommandError
    from shared.failure_mode import SchedulerUnavailable, measure, reach_scheduler

    if scheduler is not None:
        try:
            reach_scheduler(scheduler)
        except SchedulerUnavailable as error:
            raise CommandError(str(error), 1) from None

    def outcomes_of(topic: Topic) -> list[tuple[Outcome, Path | None]]:
        found = []
        for mode in topic.load_failure_modes().FAILURE_MODES:
            if mode.name not in only.get(topic.name, [mode.name]):
                continue
            outcome = measure(mode, seeds=seeds, scheduler=scheduler)
            saved = save(f"{topic.name}_{mode.name}.png", mode.figure) if save_figures else None
            found.append((outcome, saved))
        return found

    rows: list[dict[str, Any]] = []
    in_order = True
    console = make_console()
    try:
        for topic, outcomes in each(topics, outcomes_of, "breaking"):
            if outcomes is None:
                in_order = False
                continue
            if not as_json:
                console.rule(f"[bold]{topic.title}[/bold] · {topic.name}", align="left")
            for outcome, saved in outcomes:
                rows.append(outcome_row(topic, outcome))
                in_order &= outcome.breaks.holds and outcome.remedy.holds
                if not as_json:
                    _print_outcome(console, topic, outcome)
                    if saved is not None:
                        console.print(f"  figure:  {to_open(saved)}", soft_wrap=True)
                    console.print()
            if not as_json:
                note = catalogue.shown(catalogue.note_of(topic))
                console.print(f"In the note: {note}\n", soft_wrap=True)
    except SchedulerUnavailable as error:
        raise CommandError(str(error), 1) from None
    if as_json:
        print_json(rows)
    else:
        for line in _verdict_lines(rows):
            console.print(line, soft_wrap=True)
        how = catalogue.shown(ROOT / "research_notes" / "README.md")
        console.print(
            f"(The intervals decide; they are wide enough for all claims of the curriculum together: {how}.)",
            style="dim",
            soft_wrap=True,
        )
    return 0 if in_order else 1


def _print_outcome(console: Console, topic: Topic, outcome: Outcome) -> None:
    from shared.presentation import print_outcome

    print_outcome(console, outcome)
    read_on = {
        "read on": f"groundup show {topic.name}/{outcome.failure_mode.name}   "
        f"({catalogue.shown(topic.failure_modes_path)})",
        "ledger": f"{topic.name}/failure/{outcome.failure_mode.name}",
    }
    for label, place in read_on.items():
        console.print(f"  {label + ':':<8} {place}", soft_wrap=True)


def _verdict_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """How many failure modes hold, are refuted, are inconclusive, and what would decide the last ones."""
    verdicts = {"holds": 0, "refuted": 0, "inconclusive": 0}
    needed: dict[str, int] = {}
    for row in rows:
        both = (row["verdict"], row["remedy"]["verdict"])
        verdicts[next(v for v in ("refuted", "inconclusive", "holds") if v in both)] += 1
        for claim in (row, row["remedy"]):
            if claim["verdict"] == "inconclusive":
                mode = f"{row['topic']}/{row['failure_mode']}"
                needed[mode] = max(needed.get(mode, 0), claim["seeds_needed"])
    yield f"{verdicts['holds']} of {len(rows)} failure modes broke as predicted and were mended as predicted."
    if verdicts["refuted"] or verdicts["inconclusive"]:
        yield f"{verdicts['refuted']} refuted, {verdicts['inconclusive']} inconclusive."
    for mode, seeds in needed.items():
        if seeds <= 100_000:
            yield f"To decide: groundup break {mode} --seeds {seeds}"
        else:
            yield f"{mode} is measured at the very edge of what is allowed: more seeds would hardly decide."


# --- bench -----------------------------------------------------------------------------------------------


def bench(topics: Sequence[Topic], *, repeats: int | None, as_json: bool) -> int:
    """Race ours, and the same in one breath, against the references over growing sizes; 0 if every race could be run."""
    from shared.agreement import race

    def races_of(topic: Topic) -> list[dict[str, Any]]:
        rows = []
        for benchmark in topic.load().benchmarks():
            races = [race(benchmark, size, repeats=repeats) for size in benchmark.sizes]
            exponents = {
                "exponent": _exponent(races, "seconds_ours"),
                "exponent_reference": _exponent(races, "seconds_reference"),
                "exponent_breath": _exponent(races, "seconds_breath"),
                "expected_exponent": benchmark.expected_exponent,
            }
            rows += [
                {
                    "level": topic.level,
                    "topic": topic.name,
                    "benchmark": benchmark.name,
                    "reference": r.reference,
                    "reference_version": r.reference_version,
                    "size": r.size,
                    "unit": r.unit,
                    "seconds_ours": r.seconds_ours,
                    "seconds_reference": r.seconds_reference,
                    "seconds_breath": r.seconds_breath,
                    "ratio": r.ratio,
                    **exponents,
                }
                for r in races
            ]
        return rows

    rows: list[dict[str, Any]] = []
    in_order = True
    console = make_console()
    for topic, found in each(topics, races_of, "racing"):
        if found is None:
            in_order = False
            continue
        rows += found
        if not as_json:
            _print_races(console, topic, found)
    if as_json:
        print_json(rows)
    return 0 if in_order else 1


def _exponent(races: Sequence[Race], side: str) -> float:
    """The growth exponent of one side over the sizes at which it was timed."""
    from shared.agreement import growth_exponent

    timed = [race for race in races if math.isfinite(getattr(race, side))]
    return growth_exponent([race.size for race in timed], [getattr(race, side) for race in timed])


def _print_races(console: Console, topic: Topic, rows: list[dict[str, Any]]) -> None:
    from itertools import groupby

    from rich.table import Table

    console.rule(f"[bold]{topic.title}[/bold] · {topic.name}", align="left")
    for name, group in groupby(rows, key=lambda row: row["benchmark"]):
        races = list(group)
        first = races[0]
        console.print(f"{name}, against [bold]{first['reference']}[/bold] {first['reference_version']}")
        table = Table(box=None, header_style="bold")
        for column in (first["unit"], "breath", "ours", "theirs", "ours/theirs", "breath/ours"):
            table.add_column(column, justify="right")
        for row in races:
            breath, ours, theirs = (row[f"seconds_{side}"] for side in ("breath", "ours", "reference"))
            table.add_row(
                f"{row['size']:,}", _timed(breath, ".3g"), f"{ours:.3g}", f"{theirs:.3g}", f"{row['ratio']:.2f}", _timed(breath / ours, ".1f")
            )  # fmt: skip
        table.add_row(
            "size^",
            *(_timed(first[key], ".2f") for key in ("exponent_breath", "exponent", "exponent_reference")),
        )
        console.print(table)
        console.print(f"seconds; the derivation expects time to grow as size^{first['expected_exponent']:g}")
        console.print(_growth_remark(first["exponent"], first["expected_exponent"]))


def _timed(value: float, form: str) -> str:
    """A number, or a dash where the breath was not timed: it has no such rung, or would take too long."""
    return format(value, form) if math.isfinite(value) else "–"


def _growth_remark(exponent: float, expected: float) -> str:
    """What is certainly true where time does not grow as derived."""
    if exponent < expected - 0.25:
        return f"below {expected:g}: at these sizes part of the time grows more slowly, or not at all\n"
    if exponent > expected + 0.25:
        return f"above {expected:g}: over these sizes the time for the same amount of work grew\n"
    return ""


# --- ledger ----------------------------------------------------------------------------------------------


def write_ledger(names: Sequence[str]) -> int:
    """Run topics (all by default), then write the ledger, the notes' blocks and the figures."""
    from groundup import ledger

    chosen = catalogue.select(names, everything=not names)
    evidence = {}
    for topic, found in each(chosen, lambda topic: ledger.gather(topic.name), "measuring"):
        if found is None:
            print("groundup: the ledger was not written: it must rest on every topic named.", file=sys.stderr)
            return 1
        evidence[topic.name] = found
    for path in ledger.write(evidence):
        print(f"written: {path.relative_to(ROOT)}")
    return 0


def check_ledger(names: Sequence[str], *, as_json: bool) -> int:
    """Run topics (all by default) and compare with the committed ledger and notes; 0 if all reproduces."""
    from groundup import ledger

    chosen = catalogue.select(names, everything=not names)
    differences = ledger.stale_blocks() if not names else []
    in_order = True
    for topic, found in each(chosen, lambda topic: ledger.gather(topic.name), "checking"):
        if found is None:
            in_order = False
        else:
            differences += ledger.differences(topic.name, found)
    if as_json:
        print_json([{"difference": difference} for difference in differences])
    else:
        for difference in differences:
            print(difference)
        print(
            "the ledger reproduces." if not differences else f"{len(differences)} entries do not reproduce."
        )
    return 0 if in_order and not differences else 1


def show_ledger(book: dict[str, Any], names: Sequence[str], *, as_json: bool) -> int:
    """Print the committed ledger, or the part of some topics, or single entries by their id."""
    wanted = {name for name in names if "/" in name}
    _require_entries(wanted, [entry["id"] for entry in book["entries"]])
    chosen = {topic.name for topic in catalogue.select(set(names) - wanted, everything=not names)}
    entries = [entry for entry in book["entries"] if entry["topic"] in chosen or entry["id"] in wanted]
    if as_json:
        print_json(entries)
        return 0
    for entry in entries:
        if entry["kind"] == "agreement":
            lines = [f"error {entry['error']:.1e} ≤ {entry['tolerance']:.0e} against {entry['reference']}"]
        else:
            lines = [_claim_line(entry)]
        if entry["id"] in wanted:
            lines += _whole_entry(entry)
        print("\n    ".join([entry["id"], *lines]))
    return 0


def _require_entries(wanted: set[str], known: list[str]) -> None:
    from difflib import get_close_matches

    from groundup.errors import CommandError

    for name in sorted(wanted - set(known)):
        near = get_close_matches(name, known, n=2, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else "'groundup ledger' lists them."
        raise CommandError(f"the ledger has no entry {name!r}: {hint}", 2)


def _claim_line(claim: dict[str, Any]) -> str:
    return f"measured {claim['measured']:.4g} {claim['relation']} predicted {claim['predicted']:.4g}: {claim['verdict']}"


def _whole_entry(entry: dict[str, Any]) -> Iterator[str]:
    """What else the ledger says of one entry."""
    if entry["kind"] == "agreement":
        yield f"{entry['quantity']}, on {entry['dataset']}"
    else:
        yield f"breaks: {entry['claim']}"
        yield f"    {entry['quantity']}, within {entry['tolerance']:.4g}: {entry['reason']}"
        remedy = entry["remedy"]
        yield f"mended: {remedy['claim']}"
        yield f"    {remedy['quantity']}, within {remedy['tolerance']:.4g}: {remedy['reason']}"
        yield f"    {_claim_line(remedy)}"
    yield f"again: {entry['rerun']}"
