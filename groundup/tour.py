"""`groundup tour`: one pass over the six levels in about a minute.

One topic a level: ours beside the library, one failure broken and mended, one picture. At the end the tower
is walked from the ground to the roof: Level 1's automatic differentiation trains Level 3's network, which
Level 6 exports, serves and answers from. The report is one HTML file that opens without a network.
"""

from __future__ import annotations

import base64
import html
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup import catalogue
from groundup.catalogue import Topic

if TYPE_CHECKING:
    from rich.console import Console

    from shared.agreement import Agreement
    from shared.failure_mode import Outcome

__all__ = ["STOPS", "tour"]

# One topic a level, and the failure mode that the tour breaks there.
STOPS = (
    ("automatic_differentiation", None),
    ("k_means", "unlucky_start"),
    ("multilayer_perceptron", None),
    ("markov_chain_monte_carlo", None),
    ("tabular_reinforcement_learning", None),
    ("model_serving", None),
)


@dataclass
class Stop:
    """What the tour saw of one topic."""

    topic: Topic
    agreements: list[Agreement] = field(default_factory=list)
    outcome: Outcome | None = None
    pictures: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    seconds: float = 0.0
    problem: str = ""

    @property
    def in_order(self) -> bool:
        """Everything agrees, breaks as predicted and is mended."""
        outcome = self.outcome
        return (
            not self.problem
            and bool(self.agreements)
            and all(agreement.agrees for agreement in self.agreements)
            and outcome is not None
            and outcome.breaks.holds
            and outcome.remedy.holds
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
    console.print(f"\n{seconds:.0f} seconds. The report, with pictures: [bold]{report}[/bold]")
    if shutil.which("groundup") is None:
        console.print(f"To have the command at hand: source {_activation()}")
    console.print("Next: groundup list, groundup show k_means, groundup break linear_regression.")
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
    """Validate a topic, break and mend one of its failure modes, draw both pictures in both themes."""
    from groundup.reports import _is_reference, missing_reference
    from shared.failure_mode import measure

    stop = Stop(topic)
    start = time.perf_counter()
    try:
        module = topic.load()
        stop.agreements = module.validate()
        modes = {entry.name: entry for entry in topic.load_failure_modes().FAILURE_MODES}
        chosen = modes[mode] if mode else next(iter(modes.values()))
        stop.outcome = measure(chosen)
        for draw in (module.example, chosen.figure):
            stop.pictures[_caption(draw)] = _both_themes(draw)
    except ModuleNotFoundError as error:
        if not _is_reference(error):
            raise
        stop.problem = missing_reference(topic, error)
    stop.seconds = time.perf_counter() - start
    return stop


@dataclass
class Walk:
    """The tower from the ground to the roof, as sentences, and whether each step did what it should."""

    lines: list[str] = field(default_factory=list)
    in_order: bool = True

    def step(self, sentence: str, right: bool = True) -> None:
        self.lines.append(f"{'✓' if right else '✗'} {sentence}")
        self.in_order &= right


def walk_the_tower() -> Walk:
    """Train Level 3's network on Level 1's engine, export it, serve it, ask it over a socket, stop it."""
    from groundup.reports import _is_reference, missing_reference

    walk = Walk()
    try:
        _walk(walk)
    except ModuleNotFoundError as error:
        if not _is_reference(error):
            raise
        walk.step(missing_reference(catalogue.get("model_serving"), error), right=False)
    except (OSError, TimeoutError) as error:
        walk.step(f"the service could not be reached: {error or type(error).__name__}", right=False)
    return walk


def _walk(walk: Walk) -> None:
    import tempfile

    import numpy as np

    from level3_deep_learning.multilayer_perceptron import MLPClassifier
    from level6_systems import client
    from level6_systems.model_serving import ServiceConfig, export_onnx, running_service
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
        with running_service(path, ServiceConfig(port=0)) as url:
            ready = client.fetch(f"{url}/ready")
            walk.step(f"served at {url}, /ready answers {ready.status}", ready.status == 200)
            batch = test[:64]
            answer = client.fetch(f"{url}/predict", {"instances": digits.X[batch].tolist()})
            labels = [item["label"] for item in answer.json()["predictions"]]
            same = labels == network.predict(digits.X[batch] / 16).tolist()
            walk.step("asked for 64 digits: the answers are the network's own", answer.status == 200 and same)
            refusal = client.fetch(f"{url}/predict", {"instance": [0.0] * 63})
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


def _caption(draw: Callable[[], Any]) -> str:
    """What a figure shows, as its function says."""
    return (draw.__doc__ or draw.__name__).strip().splitlines()[0].replace("`", "")


def _both_themes(draw: Callable[[], Any]) -> tuple[bytes, bytes]:
    """The same picture as PNG for a light and for a dark page."""
    from shared import figures

    return figures.to_png(figures.draw(draw, "light")), figures.to_png(figures.draw(draw, "dark"))


def _print_stop(console: Console, stop: Stop) -> None:
    from shared.presentation import format_number

    mark = "[green]✓[/green]" if stop.in_order else "[red]✗[/red]"
    console.print(f"{mark} [bold]Level {stop.topic.level} · {stop.topic.title}[/bold] ({stop.seconds:.1f} s)")
    if stop.problem:
        console.print(f"    {stop.problem}")
        return
    agreeing = sum(agreement.agrees for agreement in stop.agreements)
    references = sorted({a.reference.split(".")[0] for a in stop.agreements})
    console.print(
        f"    trace  {agreeing} of {len(stop.agreements)} quantities agree with {', '.join(references)}"
    )
    assert stop.outcome is not None
    for label, claim in (("break", stop.outcome.breaks), ("fix  ", stop.outcome.remedy)):
        console.print(
            f"    {label}  {claim.claim.quantity}\n           predicted {claim.claim.relation} "
            f"{format_number(claim.predicted)} ± {claim.delta:.2g}, measured {format_number(claim.measured)}: "
            f"{claim.verdict}"
        )
    console.print()


# --- the report ------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2328; --line: #d8dee4; --soft: #f6f8fa; --good: #00795a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181e; --ink: #e6edf3; --line: #3a424d; --soft: #1c222a; --good: #3fbf95; --bad: #ff8a75; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; max-width: 60rem;
  margin: 0 auto; padding: 2rem 1rem 5rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1.5rem; }
h3 { margin-bottom: .3rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
@media (max-width: 40rem) { /* on a phone a row of claims is a block, each number with its name */
  .claims thead { display: none; } .claims tr, .claims td { display: block; border: 0; padding: .1rem 0; }
  .claims tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  .claims td.n { text-align: left; white-space: normal; } .claims td[data-name]::before { content: attr(data-name) ": "; opacity: .7; } }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
code, pre { background: var(--soft); border-radius: 4px; padding: .1rem .3rem; } pre { padding: .8rem; overflow-x: auto; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; opacity: .8; } nav a { margin-right: 1rem; white-space: nowrap; }
details { margin: .8rem 0; } summary { cursor: pointer; }
"""


def write_report(folder: Path, stops: list[Stop], walk: Walk, seconds: float) -> Path:
    """Write `index.html`, self-contained, and the light pictures beside it; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for stop in stops:
        for number, (light, _) in enumerate(stop.pictures.values()):
            kind = "example" if number == 0 else "failure"
            (folder / f"level{stop.topic.level}_{stop.topic.name}_{kind}.png").write_bytes(light)
    links = " ".join(
        f'<a href="#{s.topic.name}">{s.topic.level} · {html.escape(s.topic.title)}</a>' for s in stops
    )
    steps = "".join(f"<li>{html.escape(line)}</li>" for line in walk.lines)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ground Up: the tour</title><style>{STYLE}</style></head><body>
<h1>Ground Up: the tour</h1>
<p>Six levels, one topic each, in {seconds:.0f} seconds on this machine. Every number on this page was measured
just now; every prediction comes from a formula that the topic derives. A claim holds if the whole of an interval, wider than
the 95 % shown because many claims are judged, lies within the prediction ± its stated error; how to judge one is said in
research_notes/README.md.</p>
<nav>{links} <a href="#tower">the whole tower</a></nav>
{"".join(_section(stop) for stop in stops)}
<h2 id="tower">The whole tower</h2>
<p>Level 1's automatic differentiation trains Level 3's network, which Level 6 exports and serves.</p>
<ul>{steps}</ul>
</body></html>
"""
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _section(stop: Stop) -> str:
    topic = stop.topic
    head = (
        f'<h2 id="{topic.name}">Level {topic.level} · {html.escape(topic.title)}</h2>'
        f"<p>{html.escape(topic.summary)} <code>groundup show {topic.name}</code></p>"
    )
    if stop.problem or stop.outcome is None:
        return f'{head}<p class="bad">{html.escape(stop.problem)}</p>'
    rows = "".join(
        f"<tr><td>{html.escape(a.quantity)}</td><td>{html.escape(a.reference)} {a.reference_version}</td>"
        f'<td>{html.escape(a.dataset)}</td><td class="n">{a.error:.1e}</td><td class="n">{a.tolerance:.0e}</td>'
        f"<td>{_mark(a.agrees, 'agrees', 'disagrees')}</td></tr>"
        for a in stop.agreements
    )
    agreeing = sum(a.agrees for a in stop.agreements)
    pictures = list(stop.pictures.items())
    return f"""{head}
{_picture(*pictures[0])}
<h3>Trace it</h3>
<p>{agreeing} of {len(stop.agreements)} quantities agree with the reference.</p>
<details><summary>All of them</summary><div class="scroll"><table><thead><tr><th>quantity</th><th>reference</th><th>data</th>
<th>error</th><th>allowed</th><th></th></tr></thead><tbody>{rows}</tbody></table></div></details>
<h3>Break it, fix it: {html.escape(stop.outcome.failure_mode.title)}</h3>
<div class="scroll"><table class="claims"><thead><tr><th></th><th>claim</th><th>predicted</th><th>measured</th><th>interval</th><th></th></tr></thead>
<tbody>{_claim_row("breaks", stop.outcome.breaks)}{_claim_row("mended", stop.outcome.remedy)}</tbody></table></div>
{_picture(*pictures[1])}
"""


def _claim_row(label: str, measurement: Any) -> str:
    from shared.presentation import interval_text

    interval = interval_text(measurement.interval, measurement.interval_kind)
    claim = measurement.claim
    return (
        f"<tr><td>{label}</td><td>{html.escape(claim.statement)}<br>"
        f"<small>{html.escape(claim.quantity)}</small></td>"
        f'<td class="n" data-name="predicted">{claim.relation} {measurement.predicted:.4g} ± {measurement.delta:.2g}</td>'
        f'<td class="n" data-name="measured">{measurement.measured:.4g}</td><td class="n" data-name="interval">{interval}</td>'
        f"<td>{_mark(measurement.holds, 'holds', measurement.verdict)}</td></tr>"
    )


def _mark(right: bool, yes: str, no: str) -> str:
    return f'<span class="good">{yes}</span>' if right else f'<span class="bad">{no}</span>'


def _picture(caption: str, themes: tuple[bytes, bytes]) -> str:
    light, dark = (f"data:image/png;base64,{base64.b64encode(png).decode()}" for png in themes)
    text = html.escape(caption)
    return (
        f'<figure><picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        f'<img src="{light}" alt="{text}"></picture><figcaption>{text}</figcaption></figure>'
    )
