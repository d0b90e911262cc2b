"""What a topic or failure-mode file shows: as text when it is a script, as tables of the page in a notebook."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import figures
from shared.agreement import Agreement
from shared.failure_mode import FailureMode, Measurement, Outcome, measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "agreement_tables",
    "format_number",
    "interval_text",
    "outcome_lines",
    "present_failure_modes",
    "present_topic",
    "print_outcome",
]

NO_INTERVAL = "no interval from one seed"
WIDE = 110  # columns in which both values of an agreement have room, too


def present_topic(validate: Callable[[], list[Agreement]], example: Callable[[], Figure]) -> None:
    """Print ours beside the reference, then show the example's figure.

    The name of the saved figure is the file's own, such as `output/figures/k_means.png`.
    """
    agreements = validate()
    agreeing = sum(agreement.agrees for agreement in agreements)
    summary = f"{agreeing} of {len(agreements)} quantities agree with the reference."
    if figures.in_notebook():
        _display_html(f"{_agreements_html(agreements)}<p>{summary}</p>")
    else:
        console = _console()
        for table in agreement_tables(agreements, width=console.width):
            console.print(table, "")
        console.print(summary)
    figures.show(figures.draw(example), _own_name(validate))


def present_failure_modes(failure_modes: Sequence[FailureMode]) -> None:
    """Measure each failure mode at its default seeds, print predicted beside measured, show its figure."""
    for failure_mode in failure_modes:
        outcome = measure(failure_mode)
        if figures.in_notebook():
            _display_html(_outcome_html(outcome))
        else:
            print_outcome(_console(), outcome)
        name = f"{_own_name(failure_mode.breaks.experiment)}_{failure_mode.name}"
        figures.show(figures.draw(failure_mode.figure), name)


def agreement_tables(agreements: Sequence[Agreement], *, width: int = WIDE) -> list[Table]:
    """The agreements as tables for a terminal of that width, one for each reference and dataset.

    Both values stand in them only where there is room for them; nothing is cut.
    """
    from itertools import groupby

    from rich.table import Table

    tables = []
    for (reference, version, dataset), group in groupby(
        agreements, key=lambda a: (a.reference, a.reference_version, a.dataset)
    ):
        title = f"against [bold]{reference}[/bold] {version} on {dataset}"
        table = Table(title=title, title_justify="left", title_style="", header_style="bold", box=None)
        table.add_column("quantity", min_width=34, overflow="fold")
        values = ("ours", "reference") if width >= WIDE else ()
        for column in (*values, "error", "allowed", "seconds", "theirs", "agrees"):
            table.add_column(column, justify="left" if column == "agrees" else "right", no_wrap=True)
        for agreement in group:
            table.add_row(
                agreement.quantity,
                *((_digest(agreement.ours), _digest(agreement.theirs)) if values else ()),
                f"{agreement.error:.1e}",
                f"{agreement.tolerance:.0e}",
                f"{agreement.seconds_ours:.2g}",
                f"{agreement.seconds_reference:.2g}",
                "[green]yes[/green]" if agreement.agrees else "[red]NO[/red]",
            )
        tables.append(table)
    return tables


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print a failure mode, measured; a line that does not fit goes on indented."""
    from rich.text import Text

    console.print(f"[bold]{outcome.failure_mode.title}[/bold]", soft_wrap=True)
    for label, measurement in (("breaks", outcome.breaks), ("mended", outcome.remedy)):
        for line in outcome_lines(label, measurement):
            margin = " " * (len(line) - len(line.lstrip()))
            parts = Text.from_markup(line.lstrip()).wrap(console, console.width - len(margin) - 4)
            for number, part in enumerate(parts):
                part.rstrip()
                console.print(Text(margin + ("    " if number else "")) + part, soft_wrap=True)


def outcome_lines(label: str, measurement: Measurement) -> list[str]:
    """Two lines on one claim: the sentence, then predicted, measured, interval and verdict."""
    color = {"holds": "green", "refuted": "red", "inconclusive": "yellow"}[measurement.verdict]
    claim = measurement.claim
    verdict = f"[{color}]{measurement.verdict}[/{color}]"
    if measurement.verdict == "inconclusive":
        verdict += f" (try about {measurement.seeds_needed} seeds)"
    interval = interval_text(measurement.interval, measurement.interval_kind).replace("[", "\\[")
    seeds = "1 seed" if measurement.seeds == 1 else f"{measurement.seeds} seeds"
    runs = interval if claim.deterministic or interval == NO_INTERVAL else f"{interval}, {seeds}"
    return [
        f"  {label}: {claim.statement}",
        f"    {claim.quantity}: measured {format_number(measurement.measured)} ({runs}) {claim.relation} predicted "
        f"{format_number(measurement.predicted)} within {format_number(measurement.delta)}: {verdict}",
    ]


def interval_text(interval: Sequence[float], kind: str) -> str:
    """An interval in words: exact, one reading, the range over the seeds, "95 % [low, high]", or that there is none."""
    if kind == "confidence" and all(math.isinf(end) for end in interval):
        return NO_INTERVAL
    low, high = (format_number(end) for end in interval)
    if kind == "exact":
        return "exact"
    if kind == "instrument":
        return f"read to ±{format_number((interval[1] - interval[0]) / 2)}"
    if kind == "range":
        return "the same at every seed" if low == high else f"every seed in [{low}, {high}]"
    return f"95 % [{low}, {high}]"


def format_number(value: float) -> str:
    """Four significant digits, without needless zeros."""
    return f"{value:.4g}"


def _digest(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _own_name(function: Any) -> str:
    """File name of a function's module, which is `__main__` when the file is the script."""
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if function.__module__ == "__main__":
        return Path(file).stem if file else "figure"
    return function.__module__.rpartition(".")[2]


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


# In a notebook the same content is shown as tables of the page, which can be read on a narrow screen, in the dark,
# and by a screen reader. The classes are for the site's style sheet; without it the tables look as the notebook's own.


def _display_html(html: str) -> None:
    from IPython.display import HTML, display

    display(HTML(html))


def _agreements_html(agreements: Sequence[Agreement]) -> str:
    """The agreements as HTML tables, one for each reference and dataset."""
    from itertools import groupby

    tables = []
    for (reference, version, dataset), group in groupby(
        agreements, key=lambda a: (a.reference, a.reference_version, a.dataset)
    ):
        rows = [
            (
                escape(agreement.quantity),
                _mark("yes" if agreement.agrees else "no", "holds" if agreement.agrees else "refuted"),
                f"{agreement.error:.1e}",
                f"{agreement.tolerance:.0e}",
                escape(_digest(agreement.ours)),
                escape(_digest(agreement.theirs)),
                f"{agreement.seconds_ours:.2g}",
                f"{agreement.seconds_reference:.2g}",
            )
            for agreement in group
        ]
        columns = ("quantity", "agrees", "error", "allowed", "ours", "reference", "seconds", "theirs")
        tables.append(
            f"<p>against <b>{escape(reference)}</b> {escape(version)} on {escape(dataset)}</p>"
            + _table_html(columns, rows)
        )
    return "\n".join(tables)


def _outcome_html(outcome: Outcome) -> str:
    """A failure mode, measured: what is claimed in a sentence each, the numbers in a table."""
    rows = []
    for label, measurement in (("breaks", outcome.breaks), ("mended", outcome.remedy)):
        claim = measurement.claim
        verdict = _mark(measurement.verdict, measurement.verdict)
        if measurement.verdict == "inconclusive":
            verdict += f" (try about {measurement.seeds_needed} seeds)"
        rows.append(
            (
                f"<b>{label}</b><br>{verdict}",
                escape(claim.quantity),
                f"{claim.relation} {format_number(measurement.predicted)}",
                f"{format_number(measurement.delta)}",
                format_number(measurement.measured),
                interval_text(measurement.interval, measurement.interval_kind),
                f"{measurement.seeds}",
            )
        )
    columns = ("", "quantity", "predicted", "within δ", "measured", "interval", "seeds")
    return (
        f"<p><b>{escape(outcome.failure_mode.title)}.</b> {escape(outcome.breaks.claim.statement)} "
        f"<b>Mended:</b> {escape(outcome.remedy.claim.statement)}</p>" + _table_html(columns, rows)
    )


def _table_html(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
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


def _mark(text: str, verdict: str) -> str:
    return f'<b class="groundup-{verdict}">{text}</b>'
