"""What the tour saw, and its report: one HTML file that opens without a network, with its verdicts first.

Links lead to the files of the clone, and to their pages where the web site has been built.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from groundup import catalogue, quoting
from groundup.catalogue import ROOT, Topic
from groundup.rows import outcome_row

if TYPE_CHECKING:
    from shared.agreement import Agreement
    from shared.failure_mode import Outcome

__all__ = ["NEXT", "Stop", "Walk", "verdicts", "write_report"]

NEXT = (
    ("Look up what you see", 'groundup why "loss is nan"', "from a symptom to its cause, its test and what mends it"),
    ("Write one yourself", "groundup practice k_means", "the page with its bodies taken out; its own tests grade you"),
    ("Read what is known", "groundup note k_means", "theory, failures measured, limits, open questions"),
    ("Build the site", "groundup site", "all of it as pages that can be searched"),
)  # fmt: skip
"""Where to go from the tour: what for, the command, what it does."""


@dataclass
class Stop:
    """What the tour saw of one topic: its pictures are by caption, each as PNG for a light and for a dark page."""

    topic: Topic
    agreements: list[Agreement] = field(default_factory=list)
    outcome: Outcome | None = None
    pictures: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    seconds: float = 0.0
    problem: str = ""

    @property
    def agreeing(self) -> int:
        """How many quantities agree with their reference."""
        return sum(agreement.agrees for agreement in self.agreements)

    @property
    def in_order(self) -> bool:
        """Everything agrees, breaks as predicted and is mended."""
        outcome = self.outcome
        return (
            not self.problem
            and bool(self.agreements)
            and self.agreeing == len(self.agreements)
            and outcome is not None
            and outcome.breaks.holds
            and outcome.remedy.holds
        )


@dataclass
class Walk:
    """The tower from the ground to the roof, as sentences, and whether each step did what it should."""

    lines: list[str] = field(default_factory=list)
    in_order: bool = True

    def step(self, sentence: str, right: bool = True) -> None:
        """Add a sentence, with its mark."""
        self.lines.append(f"{'✓' if right else '✗'} {sentence}")
        self.in_order &= right


def verdicts(stops: Sequence[Stop], walk: Walk) -> Iterator[tuple[str, bool]]:
    """The tour in four lines, each with whether it is as it should be."""
    quantities = sum(len(stop.agreements) for stop in stops)
    agreeing = sum(stop.agreeing for stop in stops)
    outcomes = [stop.outcome for stop in stops if stop.outcome is not None]
    broke = sum(outcome.breaks.holds for outcome in outcomes)
    mended = sum(outcome.remedy.holds for outcome in outcomes)
    steps = sum(line.startswith("✓") for line in walk.lines)
    yield f"{agreeing} of {quantities} quantities agree with the libraries", 0 < quantities == agreeing
    yield f"{broke} of {len(stops)} algorithms broke where theory says", broke == len(stops)
    yield f"{mended} of {len(stops)} were mended as predicted", mended == len(stops)
    yield f"{steps} of {len(walk.lines)} steps from training to a stopped service went right", walk.in_order


STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2328; --line: #d8dee4; --soft: #f6f8fa; --good: #00795a; --bad: #b3261e;
  --link: #0060a0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181e; --ink: #e6edf3; --line: #3a424d; --soft: #1c222a; --good: #3fbf95; --bad: #ff8a75; --link: #79b8f3; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; max-width: 60rem;
  margin: 0 auto; padding: 2rem 1rem 5rem; overflow-wrap: break-word; }
a { color: var(--link); }
h1 { margin-bottom: 0; } h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1.5rem; }
h3 { margin-bottom: .3rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; width: 100%; }
caption { text-align: left; padding-bottom: .4rem; opacity: .8; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (max-width: 40rem) { /* on a phone a row is a block, each number with its name */
  .verdicts thead { display: none; } .verdicts tr, .verdicts th, .verdicts td { display: block; border: 0; padding: .1rem 0; }
  .verdicts tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  .verdicts td[data-name]::before { content: attr(data-name) ": "; opacity: .75; } }
img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
.good, .groundup-holds { color: var(--good); font-weight: 600; }
.bad, .groundup-refuted, .groundup-inconclusive { color: var(--bad); font-weight: 600; }
.summary { list-style: none; padding: 0; font-size: 1.1rem; } .summary li { margin: .2rem 0; }
.groundup-symptoms ul { margin-top: .2rem; } .groundup-claim { border-left: 3px solid var(--line); padding-left: .9rem; margin: 1rem 0; }
.groundup-claim p { margin: .3rem 0; } .groundup-words { list-style: none; padding: 0; margin: .3rem 0; }
.groundup-words li { display: inline-block; margin-right: 1.2rem; }
code { background: var(--soft); border-radius: 4px; padding: .1rem .3rem; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; opacity: .8; }
details { margin: .8rem 0; } summary { cursor: pointer; }
"""


def write_report(folder: Path, stops: Sequence[Stop], walk: Walk, seconds: float) -> Path:
    """Write `index.html`, self-contained, and the light pictures beside it; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for stop in stops:
        for number, (light, _) in enumerate(stop.pictures.values()):
            kind = "mechanism" if number == 0 else "failure"
            (folder / f"level{stop.topic.level}_{stop.topic.name}_{kind}.png").write_bytes(light)
    lines = "".join(
        f"<li>{_mark(right, '✓', '✗')} {escape(line)}</li>" for line, right in verdicts(stops, walk)
    )
    steps = "".join(f"<li>{escape(line)}</li>" for line in walk.lines)
    how = _link(folder, ROOT / "research_notes" / "README.md", "how to judge a claim")
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Six levels of machine learning from first principles: what agreed, what broke as predicted, what mended it.">
<title>Ground Up: the tour</title><style>{STYLE}</style></head><body><main>
<h1>Ground Up: the tour</h1>
<p>Six levels, one topic each, in {seconds:.0f} seconds on this machine.</p>
<ul class="summary">{lines}</ul>
{_table(stops)}
<p>Every number on this page was measured just now; every prediction comes from a formula that the topic derives. A claim
holds if the whole of an interval that is corrected for the number of claims lies within the prediction ± its stated error,
and the rival, the nearest wrong theory, outside: {how}.</p>
{"".join(_section(stop, folder) for stop in stops)}
<h2 id="tower">The whole tower</h2>
<p>Level 1's automatic differentiation trains Level 3's network, which Level 6 exports and serves.</p>
<ul class="summary">{steps}</ul>
{_next(all(stop.in_order for stop in stops) and walk.in_order)}
</main></body></html>
"""
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _table(stops: Sequence[Stop]) -> str:
    """The verdicts topic by topic."""
    rows = "".join(_verdict_row(stop) for stop in stops)
    return (
        '<table class="verdicts"><caption>What was traced, broken and mended, level by level</caption><thead><tr><th>topic</th>'
        f"<th>traced</th><th>broken</th><th>mended</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _verdict_row(stop: Stop) -> str:
    topic = stop.topic
    head = f'<th scope="row"><a href="#{topic.name}">{topic.level} · {escape(topic.title)}</a></th>'
    if stop.problem or stop.outcome is None:
        return f'<tr>{head}<td colspan="3" class="bad">{escape(stop.problem)}</td></tr>'
    row = outcome_row(topic, stop.outcome)
    agree = _mark(stop.agreeing == len(stop.agreements), f"{stop.agreeing} of {len(stop.agreements)} agree")
    return (
        f'<tr>{head}<td>{agree}</td><td data-name="broken">{escape(stop.outcome.failure_mode.title)}: '
        f'{_in_short(row)}</td><td data-name="mended">{_in_short(row["remedy"])}</td></tr>'
    )


def _in_short(row: dict[str, Any]) -> str:
    """A claim as the notes quote it, and its verdict."""
    claim = quoting.numbers(row)
    verdict = row["verdict"]
    said = f"{claim.measured}{claim.interval}{'' if claim.met else f', predicted {claim.predicted}'}"
    return f'{escape(said)}: <span class="{"good" if verdict == "holds" else "bad"}">{verdict}</span>'


def _section(stop: Stop, folder: Path) -> str:
    from shared.notebook import claims_html

    topic = stop.topic
    head = (
        f'<h2 id="{topic.name}">Level {topic.level} · {escape(topic.title)}</h2><p>{escape(topic.summary)}</p>'
        f"<p>{' · '.join(_ways(topic, folder))}</p>"
    )
    if stop.problem or stop.outcome is None:
        return f'{head}<p class="bad">{escape(stop.problem)}</p>'
    rows = "".join(
        f"<tr><td>{escape(a.quantity)}</td><td>{escape(a.reference)} {a.reference_version}</td><td>{escape(a.dataset)}</td>"
        f'<td class="n">{a.error:.1e}</td><td class="n">{a.tolerance:.0e}</td><td>{_mark(a.agrees, "agrees", "disagrees")}</td></tr>'
        for a in stop.agreements
    )
    pictures = list(stop.pictures.items())
    again = f"groundup break {topic.name}/{stop.outcome.failure_mode.name}"
    return f"""{head}
{_picture(*pictures[0])}
<h3>Trace it</h3>
<p>{stop.agreeing} of {len(stop.agreements)} quantities agree with the reference. Again: <code>groundup run {topic.name}</code></p>
<details><summary>All of them</summary><div class="scroll"><table><caption>Ours and the library on identical data</caption><thead><tr>
<th>quantity</th><th>reference</th><th>data</th><th>error</th><th>allowed</th><th>verdict</th></tr></thead><tbody>{rows}</tbody></table></div></details>
<h3>Break it, fix it: {escape(stop.outcome.failure_mode.title)}</h3>
{claims_html(stop.outcome)}
{_picture(*pictures[1])}
<p>Again: <code>{again}</code></p>
"""


def _ways(topic: Topic, folder: Path) -> Iterator[str]:
    """Links to what the section shows: the topic's files, and its pages where the site stands."""
    page = ROOT / "site" / "_build" / "html" / topic.package / f"{topic.name}.html"
    if page.exists():
        yield _link(folder, page, "on the site")
    yield _link(folder, topic.path, "the topic")
    yield _link(folder, topic.failure_modes_path, "how it breaks")
    yield _link(folder, catalogue.note_of(topic), "its note")
    yield _link(folder, ROOT / "research_notes" / "ledger" / f"{topic.name}.md", "its ledger")


def _link(folder: Path, target: Path, text: str) -> str:
    """A link from the report to a file of the clone."""
    way = os.path.relpath(target, folder.resolve())
    return f'<a href="{quote(Path(way).as_posix())}">{escape(text)}</a>'


def _next(in_order: bool) -> str:
    steps = "".join(
        f"<li><b>{escape(purpose)}:</b> <code>{escape(command)}</code>, {escape(what)}.</li>"
        for purpose, command, what in NEXT
    )
    first = (
        ""
        if in_order
        else '<li class="bad">Not everything was in order: <code>groundup doctor</code> says what is missing.</li>'
    )
    return f'<h2 id="next">Where to go next</h2><ul>{first}{steps}</ul>'


def _mark(right: bool, yes: str, no: str | None = None) -> str:
    return (
        f'<span class="good">{yes}</span>'
        if right
        else f'<span class="bad">{yes if no is None else no}</span>'
    )


def _picture(caption: str, themes: tuple[bytes, bytes]) -> str:
    light, dark = (f"data:image/png;base64,{base64.b64encode(png).decode()}" for png in themes)
    text = escape(caption)
    return (
        f'<figure><picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        f'<img src="{light}" alt="{text}"></picture><figcaption>{text}</figcaption></figure>'
    )
