"""`groundup tour`: one pass over the six levels in about a minute.

One topic a level: ours beside the library, one failure broken and mended, one picture. At the end the tower
is walked from the ground to the roof: Level 1's automatic differentiation trains Level 3's network, which
Level 6 exports, serves and answers from. What was seen is written as a report (`groundup.tour_report`).
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup import catalogue
from groundup.catalogue import Topic
from groundup.tour_report import NEXT, Stop, Walk, verdicts, write_report

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["STOPS", "tour"]

PATIENCE = 300.0  # seconds for an answer of the service: a busy machine is no fault

# One topic a level, and the failure mode that the tour breaks there.
STOPS = (
    ("automatic_differentiation", None),
    ("k_means", "unlucky_start"),
    ("multilayer_perceptron", None),
    ("markov_chain_monte_carlo", None),
    ("tabular_reinforcement_learning", None),
    ("model_serving", None),
)


def tour(output: str, *, open_report: bool = False) -> int:
    """Visit the six levels, print what was seen, write the report; 0 if everything was in order."""
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    start = time.perf_counter()
    console.print("[bold]Ground Up[/bold]: trace it, break it, fix it. Six levels, about a minute.\n")
    stops = []
    for name, mode in STOPS:
        topic = catalogue.get(name)
        with console.status(f"Level {topic.level} · {topic.title}"):
            stop = visit(topic, mode)
        stops.append(stop)
        _print_stop(console, stop)
    with console.status("The whole tower: train, export, serve, ask, stop"):
        walk = walk_the_tower()
    for line in walk.lines:
        console.print(f"  {line}")
    seconds = time.perf_counter() - start
    report = write_report(Path(output), stops, walk, seconds)
    in_order = all(stop.in_order for stop in stops) and walk.in_order
    console.print()
    for line, right in verdicts(stops, walk):
        console.print(f"{'[green]✓[/green]' if right else '[red]✗[/red]'} {line}")
    console.print(f"\n{seconds:.0f} seconds. The report, with pictures: [bold]{report}[/bold]")
    if shutil.which("groundup") is None:
        console.print(f"To have the command at hand: source {_activation()}")
    console.print(f"Next: {', '.join(command for _, command, _ in NEXT[:3])}.")
    if not in_order:
        console.print("[red]Not everything was in order; see above.[/red]")
    if open_report:
        import webbrowser

        webbrowser.open(report.resolve().as_uri())
    return 0 if in_order else 1


def _activation() -> str:
    """The script that puts this environment's commands on the path, as one types it here."""
    folder = "Scripts" if sys.platform == "win32" else "bin"
    return catalogue.shown(Path(sys.prefix) / folder / "activate")


def visit(topic: Topic, mode: str | None) -> Stop:
    """Validate a topic, break and mend one of its failure modes, draw its mechanism and the failure in both themes."""
    from groundup.terminal import is_reference, missing_reference
    from shared.failure_mode import measure
    from shared.figures import caption_of

    stop = Stop(topic)
    start = time.perf_counter()
    try:
        module = topic.load()
        stop.agreements = module.validate()
        modes = {entry.name: entry for entry in topic.load_failure_modes().FAILURE_MODES}
        chosen = modes[mode] if mode else next(iter(modes.values()))
        stop.outcome = measure(chosen)
        for draw in (getattr(module, "mechanism", module.example), chosen.figure):
            stop.pictures[caption_of(draw)] = _both_themes(draw)
    except ModuleNotFoundError as error:
        if not is_reference(error):
            raise
        stop.problem = missing_reference(topic, error)
    stop.seconds = time.perf_counter() - start
    return stop


def walk_the_tower() -> Walk:
    """Train Level 3's network on Level 1's engine, export it, serve it, ask it over a socket, stop it."""
    from groundup.terminal import is_reference, missing_reference

    walk = Walk()
    try:
        _walk(walk)
    except ModuleNotFoundError as error:
        if not is_reference(error):
            raise
        walk.step(missing_reference(catalogue.get("model_serving"), error), right=False)
    except (OSError, TimeoutError) as error:
        walk.step(f"the service could not be reached: {error or type(error).__name__}", right=False)
    return walk


def _walk(walk: Walk) -> None:
    import tempfile

    import numpy as np

    from level3_deep_learning.multilayer_perceptron import MLPClassifier
    from level6_systems.model_serving import ServiceConfig, export_onnx, running_service
    from level6_systems.parts.model_serving import client
    from shared.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.X))
    train, test = order[:-360], order[-360:]
    start = time.perf_counter()
    network = MLPClassifier((64,), learning_rate_init=0.01, tol=1e-3, random_state=0).fit(
        digits.X[train] / 16, digits.y[train]
    )
    accuracy = network.score(digits.X[test] / 16, digits.y[test])
    walk.step(
        f"trained on {len(train)} digits in {time.perf_counter() - start:.1f} s: {accuracy:.1%} of {len(test)} "
        "unseen ones are read rightly",
        accuracy > 0.9,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.onnx"
        export_onnx(network.network_, 64, path, scale=16.0, classes=network.classes_)
        walk.step(
            f"exported, with the scaling of the pixels inside: {path.stat().st_size / 1024:.0f} KiB of ONNX"
        )
        with running_service(path, ServiceConfig(port=0, timeout=PATIENCE), patience=PATIENCE) as url:
            ready = client.fetch(f"{url}/ready", patience=PATIENCE)
            walk.step(f"served at {url}, /ready answers {ready.status}", ready.status == 200)
            batch = test[:64]
            answer = client.fetch(
                f"{url}/predict", {"instances": digits.X[batch].tolist()}, patience=PATIENCE
            )
            labels = [item["label"] for item in answer.json()["predictions"]]
            same = labels == network.predict(digits.X[batch] / 16).tolist()
            walk.step("asked for 64 digits: the answers are the network's own", answer.status == 200 and same)
            refusal = client.fetch(f"{url}/predict", {"instance": [0.0] * 63}, patience=PATIENCE)
            walk.step(
                f"asked with 63 pixels instead of 64: refused with status {refusal.status} and a reason",
                400 <= refusal.status < 500,
            )
        try:
            client.fetch(f"{url}/ready", patience=2.0)
            stopped = False
        except (OSError, TimeoutError, ValueError):
            stopped = True
        walk.step("stopped: the port is closed", stopped)


def _both_themes(draw: Callable[[], Any]) -> tuple[bytes, bytes]:
    """The same picture as PNG for a light and for a dark page; it is drawn once."""
    from shared import figures

    figure = figures.draw(draw, "light")
    light = figures.to_png(figure)
    figure.set_layout_engine("none")  # every part stays where it is
    return light, figures.to_png(figures.dress(figure, "dark"))


def _print_stop(console: Console, stop: Stop) -> None:
    from shared.presentation import format_number

    mark = "[green]✓[/green]" if stop.in_order else "[red]✗[/red]"
    console.print(f"{mark} [bold]Level {stop.topic.level} · {stop.topic.title}[/bold] ({stop.seconds:.1f} s)")
    if stop.problem:
        console.print(f"    {stop.problem}")
        return
    references = sorted({a.reference.split(".")[0] for a in stop.agreements})
    console.print(
        f"    trace  {stop.agreeing} of {len(stop.agreements)} quantities agree with {', '.join(references)}"
    )
    assert stop.outcome is not None
    for label, claim in (("break", stop.outcome.breaks), ("fix  ", stop.outcome.remedy)):
        console.print(
            f"    {label}  {claim.claim.quantity}\n           predicted {claim.claim.relation} "
            f"{format_number(claim.predicted)} ± {claim.delta:.2g}, measured {format_number(claim.measured)}: "
            f"{claim.verdict}"
        )
    console.print()
