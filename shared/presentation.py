"""What a topic or failure-mode file shows: as text when it is a script, as tables of the page in a notebook."""

from __future__ import annotations

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
    "outcome_lines",
    "present_failure_modes",
    "present_topic",
]


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
        for table in agreement_tables(agreements):
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
            console = _console()
            console.print(f"[bold]{failure_mode.title}[/bold]")
            for label, measurement in (("breaks", outcome.breaks), ("mended", outcome.remedy)):
                for line in outcome_lines(label, measurement):
                    console.print(line)
        name = f"{_own_name(failure_mode.breaks.experiment)}_{failure_mode.name}"
        figures.show(figures.draw(failure_mode.figure), name)


def agreement_tables(agreements: Sequence[Agreement]) -> list[Table]:
    """The agreements as tables for the terminal, one for each reference and dataset."""
    from itertools import groupby

    from rich.table import Table

    tables = []
    for (reference, version, dataset), group in groupby(
        agreements, key=lambda a: (a.reference, a.reference_version, a.dataset)
    ):
        title = f"against [bold]{reference}[/bold] {version} on {dataset}"
        table = Table(title=title, title_justify="left", title_style="", header_style="bold", box=None)
        table.add_column("quantity", min_width=34)
        for column in ("ours", "reference", "error", "allowed", "seconds", "theirs"):
            table.add_column(column, justify="right")
        table.add_column("agrees")
        for agreement in group:
            table.add_row(
                agreement.quantity,
                _digest(agreement.ours),
                _digest(agreement.theirs),
                f"{agreement.error:.1e}",
                f"{agreement.tolerance:.0e}",
                f"{agreement.seconds_ours:.2g}",
                f"{agreement.seconds_reference:.2g}",
                "[green]yes[/green]" if agreement.agrees else "[red]NO[/red]",
            )
        tables.append(table)
    return tables


def outcome_lines(label: str, measurement: Measurement) -> list[str]:
    """Two lines on one claim: the sentence, then predicted, measured, interval and verdict."""
    color = {"holds": "green", "refuted": "red", "inconclusive": "yellow"}[measurement.verdict]
    claim = measurement.claim
    low, high = (format_number(end) for end in measurement.interval)
    verdict = f"[{color}]{measurement.verdict}[/{color}]"
    if measurement.verdict == "inconclusive":
        verdict += f" (try about {measurement.seeds_needed} seeds)"
    runs = "exact" if claim.deterministic else f"95 % \\[{low}, {high}], {measurement.seeds} seeds"
    return [
        f"  {label}: {claim.statement}",
        f"    {claim.quantity}: measured {format_number(measurement.measured)} ({runs}) {claim.relation} predicted "
        f"{format_number(measurement.predicted)} within {format_number(measurement.delta)}: {verdict}",
    ]


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
        low, high = (format_number(end) for end in measurement.interval)
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
                "exact" if claim.deterministic else f"[{low}, {high}]",
                f"{measurement.seeds}",
            )
        )
    columns = ("", "quantity", "predicted", "within δ", "measured", "95 % interval", "seeds")
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
