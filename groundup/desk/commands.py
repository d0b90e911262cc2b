"""The desk's commands: practice, check, solution, progress and next. Nothing heavy is imported until one runs.

Exit status: 0 when the answer passes (or the command did its work), 1 when it does not pass, 2 for usage.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from groundup.catalogue import Topic

__all__ = ["register"]

Name = Annotated[str, typer.Argument(metavar="TOPIC", help="A topic by name.")]
Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the desk's commands to the application."""
    app.command()(practice)
    app.command()(check)
    app.command()(solution)
    app.command()(progress)
    app.command("next")(next_command)


def practice(
    topic: Name,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over; what is there is kept as TOPIC.py.bak-N.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every function of the page, not the five to eight that teach it.")
    ] = False,
) -> None:
    """Write practice/TOPIC.py: the topic with its core taken out."""
    with _plain_errors():
        from groundup.desk import cutter, exercises, report
        from groundup.desk.checking import relative
        from groundup.desk.runner import DeskError

        chosen = _topic(topic)
        source = exercises.read_source(chosen)
        path = exercises.practice_file(chosen)
        backup = None
        if path.exists():
            if not fresh:
                raise DeskError(
                    f"{relative(path)} is there already and was left as it is; 'groundup check {chosen.name}' "
                    f"checks it, 'groundup practice {chosen.name} --fresh' starts over and keeps a backup."
                )
            backup = _back_up(path)
        wanted = cutter.core(source)
        total = len(cutter.taught(source))
        everything = everything or len(wanted) == total
        count = total if everything else len(wanted)
        stub = cutter.stub(source, None if everything else set(wanted))
        stub = cutter.with_note(stub, chosen.name, count, everything=everything)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stub.encode("utf-8"))
        blank = [function for function in cutter.functions(stub) if function.blank]
        if backup is not None:
            print(f"Your last answer is kept as {relative(backup)}.")
        print(f"{relative(path)} is yours: {len(blank)} functions to write, in the order of the file.")
        if blank:
            print(
                f"The first is {blank[0].name}, in line {blank[0].line}: replace its last line by your code."
            )
        print(f"Then: groundup check {chosen.name}   (or --watch, which checks whenever you save)")
        rest = "" if everything else f"; 'groundup practice {chosen.name} --all' asks for all {total}"
        print(f"Plain answers pass, speed is not asked for{rest}.")
        try:
            with report.working() as on_event:
                on_event({"event": "recording"})
                exercises.exercises_of(chosen, on_event)
        except DeskError as error:
            print(f"groundup: {error}", file=sys.stderr)


def check(
    topic: Name,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the traceback.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Run every test, instead of ending at the first function to mend.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Check again whenever you save, until it passes.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Seconds that one test may take; by default 5 more than 20 times what it takes on the real source.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check your practice/TOPIC.py with the topic's own tests."""
    with _plain_errors(verbose):
        from groundup.desk import exercises

        chosen = _topic(topic)
        path = exercises.practice_file(chosen)
        if not watch:
            raise typer.Exit(_check_once(chosen, path, verbose, everything, timeout, as_json))
        _watch(chosen, path, verbose, everything, timeout, as_json)


def solution(
    topic: Name,
    function: Annotated[
        str | None, typer.Option(metavar="NAME", help="One function, such as KMeans.fit.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every function: all answers at once.")] = False,
) -> None:
    """Show how your practice/TOPIC.py differs from the real one."""
    with _plain_errors():
        from groundup.desk import cutter, exercises, report
        from groundup.desk.checking import relative
        from groundup.desk.runner import DeskError
        from groundup.desk.solution import differences

        chosen = _topic(topic)
        path = exercises.practice_file(chosen)
        original = exercises.read_source(chosen)
        if (function is None) != everything:
            names = ", ".join(taught.name for taught in cutter.taught(original))
            came = "both were given" if everything else "neither was given"
            wrapped = textwrap.fill(names, 96, initial_indent="  ", subsequent_indent="  ")
            raise DeskError(
                f"--function NAME or --all is needed, and {came}; the functions are\n{wrapped}", 2
            )
        if not path.is_file():
            raise DeskError(
                f"{relative(path)} does not exist: 'groundup practice {chosen.name}' writes it.", 2
            )
        source = path.read_bytes().decode("utf-8", errors="replace")
        try:
            found = differences(source, original, str(relative(path)), str(relative(chosen.path)), function)
        except SyntaxError as error:
            raise DeskError(f"{relative(path)}, line {error.lineno}: {error.msg}; mend that first.") from None
        report.print_differences(found, chosen)


def progress(as_json: Json = False) -> None:
    """What you have passed, level by level."""
    with _plain_errors():
        from dataclasses import asdict

        from groundup.desk import progress as book
        from groundup.desk import report

        standings = book.standings()
        if as_json:
            report.print_json([asdict(standing) for standing in standings.values()])
        else:
            report.print_progress(standings)
            print(f"\nKept for this clone in {book.database()}")


def next_command(as_json: Json = False) -> None:
    """What to study next: what you began, then what is open to you."""
    with _plain_errors():
        from groundup.desk import progress as book
        from groundup.desk import report

        standings = book.standings()
        chosen = book.following(standings)
        if not as_json:
            report.print_next(chosen, standings)
            return
        report.print_json(
            [
                {
                    "topic": topic.name,
                    "level": topic.level,
                    "title": topic.title,
                    "needs": list(topic.needs),
                    "reason": report.reason(topic, standings),
                }
                for topic in chosen
            ]
        )


def _topic(name: str) -> Topic:
    from groundup import catalogue

    return catalogue.get(name)


def _check_once(
    topic: Topic, path: Path, verbose: bool, everything: bool, timeout: float | None, as_json: bool
) -> int:
    """Check, print, remember; returns the exit status."""
    from groundup.desk import checking, report
    from groundup.desk import progress as book
    from groundup.desk.runner import DeskError

    with report.working() as on_event:
        found = checking.check(topic, path, everything=everything, bound=timeout, on_event=on_event)
    if as_json:
        report.print_json(found.as_json())
    else:
        report.print_check(found, topic, verbose=verbose, everything=everything)
    try:
        book.remember(
            topic.name,
            answer_hash=found.answer_hash,
            right=[] if found.findings else [f.name for f in found.asked if f.status == "right"],
            functions=[function.name for function in found.asked],
            passes=found.passes,
            next_function=found.next,
        )
    except DeskError as error:  # the check itself was done
        print(f"groundup: {error}", file=sys.stderr)
    return 0 if found.passes else 1


def _watch(
    topic: Topic, path: Path, verbose: bool, everything: bool, timeout: float | None, as_json: bool
) -> None:
    """Check now and after every save, until the answer passes or Ctrl-C."""
    import time

    from groundup.desk.runner import DeskError

    try:
        from watchfiles import watch
    except ModuleNotFoundError:
        raise DeskError("--watch needs watchfiles: pip install watchfiles") from None
    status = _check_once(topic, path, verbose, everything, timeout, as_json)
    before = path.read_bytes()
    mine: Any = lambda change, name: name == str(path)
    if status:
        print("Watching; save the file to check again, Ctrl-C ends.", file=sys.stderr, flush=True)
        for _ in watch(path.parent, watch_filter=mine, recursive=False, debounce=200, step=50):
            content = path.read_bytes() if path.is_file() else before
            if content == before:
                continue
            before = content
            print(f"\n--- {time.strftime('%H:%M:%S')} ---", file=sys.stderr, flush=True)
            status = _check_once(topic, path, verbose, everything, timeout, as_json)
            sys.stdout.flush()
            if status == 0:
                break
    raise typer.Exit(status)


def _back_up(path: Path) -> Path:
    """Move a file to the first free name TOPIC.py.bak-N."""
    number = 1
    while (backup := path.with_name(f"{path.name}.bak-{number}")).exists():
        number += 1
    path.rename(backup)
    return backup


@contextmanager
def _plain_errors(verbose: bool = False) -> Iterator[None]:
    """One plain line on stderr and an exit status, in the place of a traceback."""
    from groundup.catalogue import UnknownTopic
    from groundup.desk.runner import DeskError

    try:
        yield
    except UnknownTopic as error:
        _fail(str(error.args[0] if error.args else error), 2)
    except DeskError as error:
        if verbose:
            raise
        _fail(str(error), error.status)
    except OSError as error:
        if verbose:
            raise
        _fail(f"{error.filename or ''}: {error.strerror or error}".strip(": "), 1)


def _fail(message: str, status: int) -> None:
    print(f"groundup: {message}", file=sys.stderr)
    raise typer.Exit(status)
