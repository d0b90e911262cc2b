"""What the commands print: tables for people, JSON for programs.

A topic whose reference library is missing is named together with the command that installs it, counts as
not in order (exit status 1), and does not keep the other topics from being run.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from groundup import catalogue
from groundup.catalogue import ROOT, Topic

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from shared.agreement import Agreement
    from shared.failure_mode import Outcome

__all__ = ["bench", "break_topics", "check_ledger", "list_topics", "run", "show_page", "show_path"]

# --- the map ---------------------------------------------------------------------------------------------


def list_topics(*, level: int | None, as_json: bool) -> None:
    """Print the levels and topics, or those of one level."""
    chosen = [entry for entry in catalogue.levels() if level in (None, entry.number)]
    if as_json:
        _print_json([_topic_row(topic) for entry in chosen for topic in entry.topics])
        return
    for entry in chosen:
        print(f"Level {entry.number} · {entry.title}\n  {entry.question}")
        for topic in entry.topics:
            print(f"    {topic.name:<33} {topic.summary}")
        print()
    print("groundup show TOPIC reads one, groundup run TOPIC proves it, groundup break TOPIC breaks it.")


def show_path(name: str, *, as_json: bool) -> None:
    """Print what to study before a topic, the topic itself last."""
    steps = catalogue.study_path(name)
    if as_json:
        _print_json([_topic_row(topic) for topic in steps])
        return
    for number, topic in enumerate(steps, start=1):
        print(f"{number:>3}. {topic.name:<33} Level {topic.level} · {topic.summary}")
    print(f"\nBegin with: groundup show {steps[0].name}")


def show_page(name: str, *, failures: bool = False, pager: bool = True) -> None:
    """Print a page's prose and code, cell by cell; where the output is no terminal, the code to the letter.

    Args:
        name: a topic, another part of one, or `failure_modes/TOPIC`.
        failures: the failure modes of the topic.
        pager: through a pager where the output is a terminal.
    """
    from rich.console import Console
    from rich.syntax import Syntax

    path, topic = catalogue.get_page(name, failures=failures)
    console = Console()
    # Colors and letters beyond ASCII, as git asks of the pager; a setting of the user's own stays.
    os.environ.setdefault("LESS", "FRX")
    os.environ.setdefault("LESSCHARSET", "utf-8")
    with console.pager(styles=True) if console.is_terminal and pager else _no_pager():
        for kind, text in cells(path):
            if kind == "markdown":
                for block in _prose(text):
                    console.print(block)
            elif console.is_terminal:
                console.print(Syntax(text, "python", theme="ansi_dark", word_wrap=True))
            else:
                print(text)
            console.print()
        for label, where in _read_on(path, topic):
            console.print(f"{label + ':':<14} {where}", soft_wrap=True)


def _read_on(path: Path, topic: Topic | None) -> Iterator[tuple[str, str]]:
    """Where to go from a page: the failure modes or what they break, and the level's note."""
    if topic is not None and path == topic.path:
        place = catalogue.shown(topic.failure_modes_path)
        yield "How it breaks", f"groundup show {topic.name} --failures   ({place})"
    elif topic is not None:
        yield "What it breaks", f"groundup show {topic.name}   ({catalogue.shown(topic.path)})"
    level = next(level.package for level in catalogue.levels() if path.is_relative_to(ROOT / level.package))
    yield "In the note", catalogue.shown(ROOT / level / "RESEARCH_NOTE.md")


def _prose(text: str) -> Iterator[RenderableType]:
    """Markdown with its formulas in Unicode; those of their own are lines of their own."""
    from itertools import groupby

    from rich.markdown import Markdown, TableElement
    from rich.padding import Padding
    from rich.text import Text

    from groundup import formulas

    class Table(TableElement):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for table in super().__rich_console__(console, options):
                for column in table.columns:  # type: ignore[union-attr]
                    column.overflow = "fold"  # a long word goes on in the next line; by default it is cut
                yield table

    class Page(Markdown):
        elements: ClassVar = {**Markdown.elements, "table_open": Table}

    for own, parts in groupby(formulas.spans(text), key=lambda part: part[0] == "display"):
        if own:
            for _, formula in parts:
                yield Padding(Text("\n".join(formulas.display(formula))), (1, 0, 1, 4))
        else:
            plain = (part if kind == "text" else _literally(formulas.inline(part)) for kind, part in parts)
            if (page := "".join(plain)).strip():
                yield Page(page)


def _literally(text: str) -> str:
    """Text in which Markdown sees no mark of its own."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def cells(path: Path) -> list[tuple[str, str]]:
    """The cells of a percent notebook as ("markdown" or "code", text), without the header."""
    found: list[tuple[str, list[str]]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# %%"):
            found.append(("markdown" if "[markdown]" in line else "code", []))
        elif found:
            kind, lines = found[-1]
            lines.append(line.removeprefix("#").removeprefix(" ") if kind == "markdown" else line)
    return [(kind, "\n".join(lines).strip("\n")) for kind, lines in found if "".join(lines).strip()]


def _topic_row(topic: Topic) -> dict[str, Any]:
    row = asdict(topic)
    return {
        **row,
        "needs": list(topic.needs),
        "mirrors": list(topic.mirrors),
        "also": list(topic.also),
        "path": str(topic.path.relative_to(ROOT)),
        "failure_modes": str(topic.failure_modes_path.relative_to(ROOT)),
        "note": str((topic.path.parent / "RESEARCH_NOTE.md").relative_to(ROOT)),
    }


# --- run -------------------------------------------------------------------------------------------------


def run(topics: Sequence[Topic], *, as_json: bool, save_figures: bool) -> int:
    """Validate topics; 0 if every quantity agrees."""
    rows: list[dict[str, Any]] = []
    in_order = True
    console = _console()

    def work(topic: Topic) -> tuple[list[Agreement], Path | None]:
        agreements = topic.load().validate()
        return agreements, _save(f"{topic.name}.png", topic.load().example) if save_figures else None

    for topic, found in _each(topics, work, "validating"):
        if found is None:
            in_order = False
            continue
        agreements, saved = found
        in_order &= bool(agreements) and all(agreement.agrees for agreement in agreements)
        rows += [agreement_row(topic, agreement) for agreement in agreements]
        if not as_json:
            _print_agreements(console, topic, agreements)
        if saved is not None and not as_json:
            console.print(f"figure saved: {_to_open(saved)}\n", soft_wrap=True)
    if as_json:
        _print_json(rows)
    else:
        agreeing = sum(row["agrees"] for row in rows)
        console.print(f"{agreeing} of {len(rows)} quantities agree with their reference.")
        _tell_what_is_left_out(console)
    return 0 if in_order else 1


def agreement_row(topic: Topic, agreement: Agreement) -> dict[str, Any]:
    """One quantity as `run --json` reports it."""

    def value(side: Any) -> Any:
        return side if isinstance(side, float) else asdict(side)

    return {
        "level": topic.level,
        "topic": topic.name,
        "quantity": agreement.quantity,
        "reference": agreement.reference,
        "reference_version": agreement.reference_version,
        "dataset": agreement.dataset,
        "ours": value(agreement.ours),
        "theirs": value(agreement.theirs),
        "error": agreement.error,
        "measure": agreement.measure,
        "tolerance": agreement.tolerance,
        "reason": agreement.reason,
        "agrees": agreement.agrees,
        "seconds_ours": agreement.seconds_ours,
        "seconds_reference": agreement.seconds_reference,
    }


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
    topics: Sequence[Topic], *, seeds: int | None, scheduler: str | None, as_json: bool, save_figures: bool
) -> int:
    """Measure failure modes; 0 if every claim holds and every remedy mends."""
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
            outcome = measure(mode, seeds=seeds, scheduler=scheduler)
            saved = _save(f"{topic.name}_{mode.name}.png", mode.figure) if save_figures else None
            found.append((outcome, saved))
        return found

    rows: list[dict[str, Any]] = []
    in_order = True
    console = _console()
    try:
        for topic, outcomes in _each(topics, outcomes_of, "breaking"):
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
                        console.print(f"  figure:  {_to_open(saved)}", soft_wrap=True)
                    console.print()
            if not as_json:
                note = topic.path.parent / "RESEARCH_NOTE.md"
                console.print(f"In the note: {catalogue.shown(note)}\n", soft_wrap=True)
    except SchedulerUnavailable as error:
        raise CommandError(str(error), 1) from None
    if as_json:
        _print_json(rows)
    else:
        for line in _verdict_lines(rows):
            console.print(line, soft_wrap=True)
        how = catalogue.shown(ROOT / "research_notes" / "README.md")
        console.print(
            f"(A verdict asks more than the 95 % interval shown: {how}.)", style="dim", soft_wrap=True
        )
    return 0 if in_order else 1


def outcome_row(topic: Topic, outcome: Outcome) -> dict[str, Any]:
    """One failure mode as `break --json` reports it."""
    breaks, remedy = outcome.breaks, outcome.remedy
    return {
        "level": topic.level,
        "topic": topic.name,
        "failure_mode": outcome.failure_mode.name,
        "claim": breaks.claim.statement,
        "quantity": breaks.claim.quantity,
        "predicted": breaks.predicted,
        "measured": breaks.measured,
        "interval": list(breaks.interval),
        "interval_kind": breaks.interval_kind,
        "relation": breaks.claim.relation,
        "tolerance": breaks.delta,
        "reason": breaks.claim.reason,
        "verdict": breaks.verdict,
        "holds": breaks.holds,
        "slack": breaks.slack,
        "seeds": breaks.seeds,
        "seeds_needed": breaks.seeds_needed,
        "remedied": remedy.holds,
        "remedy": {
            "claim": remedy.claim.statement,
            "quantity": remedy.claim.quantity,
            "predicted": remedy.predicted,
            "measured": remedy.measured,
            "interval": list(remedy.interval),
            "interval_kind": remedy.interval_kind,
            "relation": remedy.claim.relation,
            "tolerance": remedy.delta,
            "reason": remedy.claim.reason,
            "verdict": remedy.verdict,
            "slack": remedy.slack,
            "seeds": remedy.seeds,
            "seeds_needed": remedy.seeds_needed,
        },
        "seconds": breaks.seconds + remedy.seconds,
    }


def _print_outcome(console: Console, topic: Topic, outcome: Outcome) -> None:
    from shared.presentation import print_outcome

    print_outcome(console, outcome)
    read_on = {
        "read on": f"groundup show {topic.name} --failures   ({catalogue.shown(topic.failure_modes_path)})",
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
                needed[row["topic"]] = max(needed.get(row["topic"], 0), claim["seeds_needed"])
    yield f"{verdicts['holds']} of {len(rows)} failure modes broke as predicted and were mended as predicted."
    if verdicts["refuted"] or verdicts["inconclusive"]:
        yield f"{verdicts['refuted']} refuted, {verdicts['inconclusive']} inconclusive."
    for topic, seeds in needed.items():
        if seeds <= 100_000:
            yield f"To decide: groundup break {topic} --seeds {seeds}"
        else:
            yield f"{topic} is measured at the very edge of what is allowed: more seeds would hardly decide."


# --- bench -----------------------------------------------------------------------------------------------


def bench(topics: Sequence[Topic], *, repeats: int | None, as_json: bool) -> int:
    """Race ours against the references over growing sizes; 0 when every race could be run."""
    from shared.agreement import growth_exponent, race

    def races_of(topic: Topic) -> list[dict[str, Any]]:
        rows = []
        for benchmark in topic.load().benchmarks():
            races = [race(benchmark, size, repeats=repeats) for size in benchmark.sizes]
            exponent = growth_exponent([r.size for r in races], [r.seconds_ours for r in races])
            theirs = growth_exponent([r.size for r in races], [r.seconds_reference for r in races])
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
                    "ratio": r.ratio,
                    "exponent": exponent,
                    "exponent_reference": theirs,
                    "expected_exponent": benchmark.expected_exponent,
                }
                for r in races
            ]
        return rows

    rows: list[dict[str, Any]] = []
    in_order = True
    console = _console()
    for topic, found in _each(topics, races_of, "racing"):
        if found is None:
            in_order = False
            continue
        rows += found
        if not as_json:
            _print_races(console, topic, found)
    if as_json:
        _print_json(rows)
    return 0 if in_order else 1


def _print_races(console: Console, topic: Topic, rows: list[dict[str, Any]]) -> None:
    from itertools import groupby

    from rich.table import Table

    console.rule(f"[bold]{topic.title}[/bold] · {topic.name}", align="left")
    for name, group in groupby(rows, key=lambda row: row["benchmark"]):
        races = list(group)
        first = races[0]
        console.print(f"{name}, against [bold]{first['reference']}[/bold] {first['reference_version']}")
        table = Table(box=None, header_style="bold")
        for column in (first["unit"], "seconds", "theirs", "ratio"):
            table.add_column(column, justify="right")
        for row in races:
            table.add_row(
                f"{row['size']:,}", f"{row['seconds_ours']:.3g}", f"{row['seconds_reference']:.3g}", f"{row['ratio']:.2f}"
            )  # fmt: skip
        console.print(table)
        console.print(
            f"time grows as size^{first['exponent']:.2f} (theirs {first['exponent_reference']:.2f}), "
            f"the derivation expects {first['expected_exponent']:g}"
        )
        console.print(_growth_remark(first["exponent"], first["expected_exponent"]))


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
    for topic, found in _each(chosen, lambda topic: ledger.gather(topic.name), "measuring"):
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
    for topic, found in _each(chosen, lambda topic: ledger.gather(topic.name), "checking"):
        if found is None:
            in_order = False
        else:
            differences += ledger.differences(topic.name, found)
    if as_json:
        _print_json([{"difference": difference} for difference in differences])
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
        _print_json(entries)
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


# --- shared by all ---------------------------------------------------------------------------------------


def _each(topics: Sequence[Topic], work: Callable[[Topic], Any], doing: str) -> Iterator[tuple[Topic, Any]]:
    """Do the work for each topic with progress on stderr; None where a reference is missing."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    stderr = Console(stderr=True)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=stderr, transient=True, disable=not stderr.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(doing, total=len(topics))
        for topic in topics:
            progress.update(task, description=f"{doing} {topic.name}")
            if not stderr.is_terminal and len(topics) > 1:
                print(f"{doing} {topic.name} …", file=sys.stderr, flush=True)
            try:
                result = work(topic)
            except ModuleNotFoundError as error:
                if not _is_reference(error):
                    raise
                print(f"groundup: {topic.name}: {missing_reference(topic, error)}", file=sys.stderr)
                result = None
            progress.advance(task)
            progress.stop()  # what is printed now goes to stdout itself, and not into the line of the bar
            yield topic, result
            if topic is not topics[-1]:
                progress.start()


def missing_reference(topic: Topic, error: ModuleNotFoundError) -> str:
    """One line that names the missing library and the command that installs it."""
    return (
        f"{error.name} is not installed; get it with: pip install -e '.[{topic.extra}]' (in the repository)."
    )


def _is_reference(error: ModuleNotFoundError) -> bool:
    """Whether a library is missing, and not a module of our own (which would be a defect)."""
    own = ("shared", "groundup", *(level.package for level in catalogue.levels()))
    return error.name is not None and error.name.split(".")[0] not in own


def _save(name: str, draw: Callable[[], Any]) -> Path:
    """Save a figure in output/figures: of the clone if this folder lies in it, else of this folder."""
    from shared import figures

    base = ROOT if Path.cwd().is_relative_to(ROOT) else Path.cwd()
    return figures.save(figures.draw(draw), base / "output" / "figures" / name)


def _to_open(path: Path) -> str:
    """A path that can be opened from here, and from elsewhere where it lies outside the clone."""
    return catalogue.shown(path) if path.is_relative_to(ROOT) else str(path)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def _print_json(rows: Sequence[dict[str, Any]]) -> None:
    """An array with one object a line; what is not a finite number is null, as JSON wants it."""
    lines = ",\n".join(json.dumps(_finite(row), ensure_ascii=False) for row in rows)
    print(f"[\n{lines}\n]" if rows else "[]")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def _no_pager() -> Iterator[None]:
    yield


def version() -> str:
    """Version of this distribution."""
    return importlib.metadata.version("ground-up")
