"""What a topic or failure-mode file shows when it is run as a script or as a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import figures
from shared.agreement import Agreement
from shared.failure_mode import FailureMode, Measurement, measure

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
    console = _console()
    agreements = validate()
    for table in agreement_tables(agreements):
        console.print(table, "")
    agreeing = sum(agreement.agrees for agreement in agreements)
    console.print(f"{agreeing} of {len(agreements)} quantities agree with the reference.")
    figures.show(example(), _own_name(validate))


def present_failure_modes(failure_modes: Sequence[FailureMode]) -> None:
    """Measure each failure mode at its default seeds, print predicted beside measured, show its figure."""
    console = _console()
    for failure_mode in failure_modes:
        outcome = measure(failure_mode)
        console.print(f"[bold]{failure_mode.title}[/bold]")
        for label, measurement in (("breaks", outcome.breaks), ("mended", outcome.remedy)):
            for line in outcome_lines(label, measurement):
                console.print(line)
        name = f"{_own_name(failure_mode.breaks.experiment)}_{failure_mode.name}"
        figures.show(failure_mode.figure(), name)


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

    width = 120 if "ipykernel" in sys.modules or not sys.stdout.isatty() else None
    return Console(width=width, highlight=False)
