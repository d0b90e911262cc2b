"""What the desk prints: for people with rich, for programs as JSON."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from groundup import catalogue
from groundup.catalogue import Topic

if TYPE_CHECKING:
    from rich.console import Console

    from groundup.desk.checking import Report
    from groundup.desk.progress import Standing
    from groundup.desk.solution import Difference

__all__ = ["print_check", "print_differences", "print_json", "print_next", "print_progress", "working"]

WORDS = {
    "right": ("right", "green"),
    "mend": ("next to mend", "bold red"),
    "blank": ("yours to write", "dim"),
    "written": ("not judged yet", "dim"),
    "missing": ("missing", "red"),
}


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


@contextmanager
def working() -> Iterator[Callable[[dict[str, Any]], None]]:
    """A progress bar on stderr, fed by the events of a run; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda event: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)
        what = ""

        def on_event(event: dict[str, Any]) -> None:
            nonlocal what
            kind = event["event"]
            if kind == "recording":
                what = "once for this topic: which test asks which function"
            elif kind == "checking":
                what = "checking"
                progress.reset(task, total=None)
            elif kind == "collected":
                progress.update(task, total=len(event["tests"]))
            elif kind == "end":
                progress.advance(task)
            elif kind == "start":
                progress.update(task, description=f"{what}: {_sentence(event['test'])[:50]}")
            if kind in ("recording", "checking"):
                progress.update(task, description=what)

        yield on_event


def print_check(report: Report, topic: Topic, *, verbose: bool = False, everything: bool = False) -> None:
    """Print what one check found."""
    console = _console()
    console.print(f"[bold]{topic.title}[/bold]  {_plain(report.answer)}")
    for finding in report.findings:
        console.print(
            f"[bold red]does not count:[/bold red] line {finding['line']}, {_plain(finding['message'])}"
        )
    if report.problem is not None:
        console.print(f"[bold red]cannot be checked:[/bold red] {_plain(report.problem)}")
        if verbose and report.failures:
            console.print(report.failures[0].get("traceback", ""), markup=False)
        return
    _print_functions(console, report)
    total = len(report.asked)
    if report.passes:
        console.print(
            f"[bold green]Passed.[/bold green] {total} of {total} functions are right, and all "
            f"{report.tests['passed']} tests pass: agreement with the reference and the failure modes, too."
        )
        return
    but = ", but none counts while such an import stands" if report.findings else ""
    open_ones = report.messages if not report.failures and report.next is None else []
    messages = f"; still open: {_messages(len(open_ones))} for bad input" if open_ones else ""
    console.print(f"{report.right} of {total} functions are right{but}{messages}.")
    for failure in report.failures[: None if everything else 1]:
        _print_failure(console, failure, report, topic, verbose)
    for failure in open_ones:
        _print_message(console, failure, verbose)
    if open_ones:
        console.print()
        console.print(f"What is refused, and in which words, comes last{_validators(topic)}.", style="dim")
    blank = next((f for f in report.functions if f.name == report.next and f.status == "blank"), None)
    if blank is not None:
        console.print(f"[bold]Next: write {_plain(blank.name)}[/bold], {_plain(report.answer)}:{blank.line}")
    elif report.failures:
        hint = f" --function {report.next}" if report.next else " --all"
        more = "" if verbose else "-v shows the traceback; "
        console.print(
            f"({more}groundup solution {topic.name}{hint} shows the difference to ours.)", style="dim"
        )
    elif report.tests["not_run"] == 0 and report.next:
        console.print(f"[bold]Next: write {_plain(report.next)}[/bold]")


def _print_functions(console: Console, report: Report) -> None:
    """One line for each function; what comes behind the one to write or mend is only counted."""
    width = max((len(function.name) for function in report.asked), default=0)
    behind = {"blank": 0, "written": 0}
    passed_by = report.next is None
    for function in report.asked:
        word, style = WORDS[function.status]
        if passed_by and function.status in behind and not report.passes:
            behind[function.status] += 1
            continue
        if function.name == report.next:
            passed_by = True
            if function.status == "blank":
                word, style = "next to write", "bold yellow"
        note = f" ({function.note})" if function.note else ""
        console.print(f"  {_plain(function.name):<{width}}  [{style}]{word}[/{style}]{_plain(note)}")
    for status, count in behind.items():
        if count:
            console.print(
                f"  and {count} more {'to write' if status == 'blank' else 'not judged yet'}", style="dim"
            )


def _validators(topic: Topic) -> str:
    """Which functions of shared.arrays the topic imports to check its arguments."""
    imports = ast.parse(topic.path.read_text(encoding="utf-8")).body
    names = [
        alias.name
        for node in imports
        if isinstance(node, ast.ImportFrom) and node.module == "shared.arrays"
        for alias in node.names
        if alias.name.startswith("validate_")
    ]
    return f" (imported for that: {', '.join(names)})" if names else ""


def _print_failure(
    console: Console, failure: dict[str, Any], report: Report, topic: Topic, verbose: bool
) -> None:
    blamed = failure.get("function")
    if failure.get("unwritten") and failure["unwritten"] == blamed and not verbose:
        return  # there is nothing to explain: it is not written yet
    about = f"{blamed} is next to mend" if blamed else "No function is to blame"
    line = next((f.line for f in report.functions if f.name == blamed and f.line), None)
    place = f"  {report.answer}:{line}" if line else ""
    console.print()
    console.print(f"[bold red]{_plain(about)}[/bold red]{_plain(place)}")
    if blamed is None:
        console.print(
            "  (with ours in the place of yours it fails, too: look at what stands outside the functions)"
        )
    elif not failure.get("alone", True):
        console.print("  (it is not the only one: another function that is called here is wrong, too)")
    console.print(f"  {_plain(_sentence(failure['test']))}")
    rows = []
    if failure["outcome"] == "endless":
        inside = failure["inside"]
        where = f", in {inside[0]['function']}, line {inside[0]['line']}" if inside else ""
        whose = f"the test of {blamed} came to" if blamed else "the test came to"
        rows.append(("came", f"{whose} {failure['message']}{where}" if failure["kind"] == "Endless"
                     else f"{failure['message']}{where}"))  # fmt: skip
        if failure["kind"] == "Endless":
            rows.append(("perhaps", "a loop that does not end; --timeout SECONDS gives the test more time"))
            rows.append(("then", f"groundup check {report.topic} --watch   (checks again whenever you save)"))
    else:
        rows.append(("called", failure.get("called", "")))
        rows += [("with", f"{name} = {value}") for name, value in failure.get("values", {}).items()]
        rows.append(("example", failure.get("example", "")))
        rows.append(("came", failure.get("came", "")))
        if failure.get("inside"):
            last = failure["inside"][-1]
            rows.append(("at", f"line {last['line']}, in {last['function']}: {failure.get('source', '')}"))
        rows.append(("expected", failure.get("expected", "")))
        rows.append(("note", failure.get("note", "")))
        rows.append(("printed", failure.get("printed", "")))
    _print_rows(console, rows)
    if verbose:
        console.print()
        console.print(failure.get("traceback", ""), markup=False)


def _print_message(console: Console, failure: dict[str, Any], verbose: bool) -> None:
    """One message for bad input: the call, what came, and the class and text that were asked for."""
    console.print()
    console.print(f"  {_plain(_sentence(failure['test']))}")
    rows = [("called", failure.get("called", ""))]
    rows += [("with", f"{name} = {value}") for name, value in failure.get("values", {}).items()]
    rows += [("came", failure.get("came", "")), ("expected", failure.get("expected", ""))]
    _print_rows(console, rows)
    if verbose:
        console.print()
        console.print(failure.get("traceback", ""), markup=False)


def _print_rows(console: Console, rows: list[tuple[str, str]]) -> None:
    """Labels in a column of their own, beside what may take several lines."""
    for label, text in rows:
        lines = str(text).strip("\n").splitlines()
        for i, one in enumerate(lines):
            console.print(f"    {label if i == 0 else '':<9} {_plain(one)}")


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def print_differences(found: list[Difference], topic: Topic) -> None:
    """Print diffs in color."""
    console = _console()
    if not found:
        console.print("No difference to the real one.")
        return
    for difference in found:
        console.print(f"[bold]{_plain(difference.name)}[/bold]")
        for line in difference.lines:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            console.print(line, style="dim" if line[:3] in ("+++", "---") else style, markup=False)
        console.print()


def print_progress(standings: dict[str, Standing]) -> None:
    """Bars for levels and topics."""
    console = _console()
    passed = sum(one.passed for one in standings.values())
    console.print(f"{_bar(passed, len(standings))}  {passed} of {len(standings)} topics passed")
    for level in catalogue.levels():
        done = sum(standings[topic.name].passed for topic in level.topics)
        console.print()
        console.print(
            f"{_bar(done, len(level.topics))}  [bold]Level {level.number}[/bold] {_plain(level.title)}: "
            f"{done} of {len(level.topics)}"
        )
        for topic in level.topics:
            one = standings[topic.name]
            if one.passed:
                word = f"[green]passed[/green] {str(one.passed_at)[:10]}, {_standing(one, topic)}"
            elif one.started:
                word = f"{_standing(one, topic)} right"
                word += f", next: {_plain(one.next_function)}" if one.next_function else ""
            else:
                word = "[dim]not begun[/dim]"
            bar = _bar(1, 1) if one.passed else _bar(one.functions_right, one.functions_total)
            console.print(f"  {bar}  {topic.name:<30} {word}")


def _standing(one: Standing, topic: Topic) -> str:
    """ "core 6 of 6, all 6 of 26"; "3 of 5" where a topic asks for everything."""
    from groundup.desk import cutter

    source = topic.path.read_text(encoding="utf-8") if topic.path.is_file() else ""
    wanted, everything = cutter.core(source), cutter.taught(source)
    if len(wanted) == len(everything):
        return f"{one.functions_right} of {one.functions_total}"
    central = len(set(one.right) & set(wanted))
    return f"core {central} of {len(wanted)}, all {len(one.right)} of {len(everything)}"


def print_next(chosen: list[Topic], standings: dict[str, Standing]) -> None:
    """Print what to study next, and why."""
    console = _console()
    if not chosen:
        console.print(
            "Every topic is passed. The research notes list open questions: groundup ledger, research_notes/."
        )
        return
    topic = chosen[0]
    console.print(f"Next: [bold]{topic.name}[/bold], level {topic.level}. {_plain(topic.summary)}")
    console.print(f"  {reason(topic, standings)}.")
    opens = [other.name for other in catalogue.topics().values() if topic.name in other.needs]
    if opens:
        console.print(f"  It opens {', '.join(opens)}.")
    verb = "check" if standings[topic.name].started else "practice"
    console.print(f"  groundup show {topic.name} reads it, groundup {verb} {topic.name} goes on.")
    if len(chosen) > 1:
        console.print(f"Also open: {', '.join(other.name for other in chosen[1:])}")


def reason(topic: Topic, standings: dict[str, Standing]) -> str:
    """Why a topic may come next."""
    one = standings[topic.name]
    if one.started:
        where = f", and {one.next_function} comes next" if one.next_function else ""
        return f"you began it: {one.functions_right} of {one.functions_total} functions are right{where}"
    if not topic.needs:
        return "it builds on nothing else"
    return f"you passed what it builds on: {', '.join(topic.needs)}"


def _bar(part: int, whole: int, width: int = 12) -> str:
    filled = width * part // whole if whole else 0
    return f"[green]{'█' * filled}[/green][dim]{'░' * (width - filled)}[/dim]"


def _sentence(test: str) -> str:
    """`test_a_tie_counts_once[3]` as words."""
    name, bracket, parameters = test.rpartition("::")[2].partition("[")
    return name.removeprefix("test_").replace("_", " ") + (f" [{parameters}" if bracket else "")


def _plain(text: object) -> str:
    """Text in which rich sees no markup."""
    return str(text).replace("[", "\\[")


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, soft_wrap=True)
