"""What a topic or failure-mode file shows: as text when it is a script, as tables of the page in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import figures
from shared.agreement import Agreement
from shared.failure_mode import FailureMode, Measurement, Outcome, measure, measure_sweep
from shared.notebook import (
    NO_INTERVAL,
    agreements_html,
    claims_html,
    digest,
    display_html,
    format_number,
    interval_text,
    sweep_html,
)

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

listeners: list[Callable[..., None]] = []
"""Called with what a page validated and measured: `agreements=`, `outcome=` or `sweep=(claim, points)`."""

WIDE = 110  # columns in which both values of an agreement have room, too


def present_topic(
    validate: Callable[[], list[Agreement]],
    example: Callable[[], Figure],
    mechanism: Callable[[], Figure],
) -> None:
    """Show the picture of the mechanism, print ours beside the reference, then show the picture of results.

    The saved figures bear the file's own name, such as `output/figures/k_means.png` and `k_means_mechanism.png`.
    """
    _show(mechanism, f"{_own_name(validate)}_mechanism", part="mechanism")
    agreements = validate()
    _tell(agreements=agreements)
    if figures.in_notebook():
        display_html(agreements_html(agreements), part="agreements")
    else:
        agreeing = sum(agreement.agrees for agreement in agreements)
        console = _console()
        for table in agreement_tables(agreements, width=console.width):
            console.print(table, "")
        console.print(f"{agreeing} of {len(agreements)} quantities agree with the reference.")
    _show(example, _own_name(validate), part="example")


def present_failure_modes(failure_modes: Sequence[FailureMode]) -> None:
    """Measure each failure mode at its default seeds, print predicted beside measured, show its figure.

    A notebook also shows every claim that sweeps a parameter, point by point.
    """
    for failure_mode in failure_modes:
        outcome = measure(failure_mode)
        _tell(outcome=outcome)
        name = failure_mode.name
        if figures.in_notebook():
            display_html(claims_html(outcome), part="claims", mode=name, title=failure_mode.title)
            for claim in (failure_mode.breaks, failure_mode.remedy):
                if claim.sweep is not None:
                    display_html(sweep_html(claim), part="sweep", mode=name)
                    _tell(sweep=(claim, measure_sweep(claim)))
        else:
            print_outcome(_console(), outcome)
        file = f"{_own_name(failure_mode.breaks.experiment)}_{name}"
        _show(failure_mode.figure, file, part="figure", mode=name)


def _tell(**news: Any) -> None:
    for listener in listeners:
        listener(**news)


def _show(function: Callable[[], Figure], name: str, **place: str) -> None:
    figures.show(figures.draw(function), name, caption=figures.caption_of(function), **place)


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
                *((digest(agreement.ours), digest(agreement.theirs)) if values else ()),
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
    interval = interval_text(measurement.corrected, measurement.interval_kind).replace("[", "\\[")
    seeds = "1 seed" if measurement.seeds == 1 else f"{measurement.seeds} seeds"
    runs = interval if claim.deterministic or interval == NO_INTERVAL else f"{interval}, {seeds}"
    return [
        f"  {label}: {claim.statement}",
        f"    {claim.quantity}: measured {format_number(measurement.measured)} ({runs}) {claim.relation} predicted "
        f"{format_number(measurement.predicted)} within {format_number(measurement.delta)}: {verdict} (a rival theory says "
        f"{format_number(measurement.rival)})",
    ]


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
