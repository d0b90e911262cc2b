"""The command line: `groundup list`, `groundup run k_means`, `groundup break k_means` …

Every command reads the catalogue and imports what it needs when it needs it, so that `groundup list`
answers at once. Exit status: 0 when everything agrees or holds; 1 when something disagrees, is refuted or
inconclusive, or could not be run or reached; 2 when the command was not understood.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from groundup.desk.commands import register
from groundup.errors import CommandError
from groundup.site import register as register_site

if TYPE_CHECKING:
    from groundup.catalogue import Topic

SECTIONS = {
    "Read": ("list", "show", "note", "why", "path"),
    "Prove and break": ("tour", "run", "break", "bench", "ledger"),
    "Practice": ("next", "practice", "check", "solution", "progress"),
}


class Sections(typer.core.TyperGroup):
    """The commands as the help lists them: in sections, each with its whole first line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        listed = {name for names in SECTIONS.values() for name in names}
        rest = tuple(name for name in self.commands if name not in listed)
        for title, names in {**SECTIONS, "Build and look after": rest}.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, (self.commands[name].help or "").partition("\n")[0]) for name in names]
                )


app = typer.Typer(
    name="groundup",
    cls=Sections,
    help="Machine learning from first principles. Trace it. Break it. Fix it.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Topics = Annotated[list[str] | None, typer.Argument(metavar="[TOPIC]...", help="Topics by name.")]
Level = Annotated[int | None, typer.Option("--level", min=1, max=6, help="Every topic of this level.")]
Everything = Annotated[bool, typer.Option("--all", help="Every topic.")]
Json = Annotated[bool, typer.Option("--json", help="Report as JSON, one object a line in one array.")]


@app.callback()
def overview(ctx: typer.Context) -> None:
    """Machine learning from first principles. Trace it. Break it. Fix it."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def _select(names: list[str] | None, level: int | None, everything: bool) -> list[Topic]:
    from groundup import catalogue

    return _at_least_one(catalogue.select(names or [], level=level, everything=everything))


def _at_least_one(chosen: list[Topic]) -> list[Topic]:
    if not chosen:
        raise CommandError("name a topic, or --level N, or --all; 'groundup list' shows what there is.", 2)
    return chosen


@app.command("list")
def list_command(level: Level = None, as_json: Json = False) -> None:
    """The map: levels and topics in reading order."""
    from groundup import reports

    reports.list_topics(level=level, as_json=as_json)


@app.command()
def show(
    page: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC",
            help="A topic; TOPIC/PART, a part of it; or TOPIC/MODE, one of its failure modes.",
        ),
    ],
    failures: Annotated[
        bool, typer.Option("--failures", "--failure-modes", help="The topic's failure modes.")
    ] = False,
    pager: Annotated[bool, typer.Option("--pager/--no-pager", help="Page by page on a terminal.")] = True,
) -> None:
    """A topic's page in the terminal: prose, mathematics and code."""
    from groundup.pages import show_page

    show_page(page, failures=failures, pager=pager)


@app.command()
def note(
    name: Annotated[
        str, typer.Argument(metavar="TOPIC|LEVEL", help="A topic, a level as 'level2', or 'convergence'.")
    ],
    pager: Annotated[bool, typer.Option("--pager/--no-pager", help="Page by page on a terminal.")] = True,
) -> None:
    """The research note of a topic or of a level."""
    from groundup.pages import show_note

    show_note(name, pager=pager)


@app.command()
def why(
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="What you see, in your own words.")],
    as_json: Json = False,
) -> None:
    """From what you see ("loss is nan") to the failure modes that cause it."""
    from groundup.why import explain

    raise typer.Exit(explain(" ".join(words), as_json=as_json))


@app.command()
def path(topic: Annotated[str, typer.Argument(help="A topic by name.")], as_json: Json = False) -> None:
    """What to study before a topic, in order, the topic itself last."""
    from groundup import reports

    reports.show_path(topic, as_json=as_json)


@app.command()
def run(
    topics: Topics = None,
    level: Level = None,
    everything: Everything = False,
    as_json: Json = False,
    figures: Annotated[bool, typer.Option(help="Save each topic's figure in output/figures.")] = True,
) -> None:
    """Ours against the library: errors and times side by side."""
    from groundup import reports

    raise typer.Exit(reports.run(_select(topics, level, everything), as_json=as_json, save_figures=figures))


@app.command("break")
def break_command(
    topics: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TOPIC[/MODE]]...", help="Topics, or single failure modes, by name."),
    ] = None,
    level: Level = None,
    everything: Everything = False,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Replicates of each experiment; by default each mode's own number."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="URL", help="Run on a Dask cluster, such as tcp://127.0.0.1:8786.")
    ] = None,
    as_json: Json = False,
    figures: Annotated[bool, typer.Option(help="Save each figure in output/figures.")] = True,
) -> None:
    """The failure modes: predicted, measured, mended."""
    from groundup import modes, reports

    chosen, only = modes.select(topics or [], level=level, everything=everything)
    raise typer.Exit(
        reports.break_topics(
            _at_least_one(chosen),
            only,
            seeds=seeds,
            scheduler=scheduler,
            as_json=as_json,
            save_figures=figures,
        )
    )


@app.command()
def ledger(
    topics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC]...", help="Topics by name, or to show: entries by id, TOPIC/KIND/NAME."
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Run everything and write ledger and notes.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Run everything and compare with what is committed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The measured claims behind the notes: show, write, or check them."""
    from groundup import ledger as book
    from groundup import reports

    if write and check:
        raise CommandError("--write and --check exclude each other: one makes the ledger, one tests it.", 2)
    if write:
        raise typer.Exit(reports.write_ledger(topics or []))
    if check:
        raise typer.Exit(reports.check_ledger(topics or [], as_json=as_json))
    raise typer.Exit(reports.show_ledger(book.read(), topics or [], as_json=as_json))


@app.command()
def bench(
    topics: Topics = None,
    level: Level = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Timed runs of each side; the median counts.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Speed over growing sizes: in one breath, ours, the library's.

    One thread each, in seconds, with the growth exponents measured beside the one that the derivation expects.
    """
    from groundup import reports

    chosen = _select(topics, level, everything=not topics and level is None)
    raise typer.Exit(reports.bench(chosen, repeats=repeats, as_json=as_json))


@app.command()
def tour(
    output: Annotated[str, typer.Option(help="Folder for the report.")] = "output/tour",
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """One pass over the six levels in about a minute, with a report."""
    from groundup.tour import tour as take_the_tour

    raise typer.Exit(take_the_tour(output, open_report=open_report))


@app.command()
def new(
    topic: Annotated[str, typer.Argument(help="Its name, in lower case with underscores.")],
    level: Annotated[int, typer.Option("--level", min=1, max=6, help="The level it stands on.")],
    title: Annotated[str | None, typer.Option(help="Its heading; by default the name in words.")] = None,
    needs: Annotated[
        list[str] | None, typer.Option("--needs", help="A topic on which it builds; may be repeated.")
    ] = None,
) -> None:
    """Lay all rooms of a new topic, with their headings and its entry on the map."""
    from groundup.new import new as lay_topic

    raise typer.Exit(lay_topic(topic, level, title=title, needs=needs or ()))


@app.command()
def doctor(as_json: Json = False) -> None:
    """What is installed, what is missing, and how to get it."""
    from groundup.doctor import examine

    raise typer.Exit(examine(as_json=as_json))


register(app)
register_site(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every mistake ends in one clear line and an exit status, not a traceback."""
    # The matrices here are small: several threads would spend their time waiting for each other.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    usage_error: Any = typer.BadParameter.__bases__[0]
    try:
        status = app(args=arguments, standalone_mode=False)
    except CommandError as error:
        _fail(str(error), error.status)
    except usage_error as error:
        _fail(_usage(error), 2)
    except LookupError as error:
        from groundup.catalogue import UnknownTopic

        if not isinstance(error, UnknownTopic):
            raise
        _fail(str(error), 2)
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped.", 130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    else:
        sys.exit(status if isinstance(status, int) else 0)


def _usage(error: Any) -> str:
    """What was wrong with the command line, the nearest names if there are any, and which help to ask."""
    import difflib

    message = error.format_message()
    if (typed := _typed(error)) is not None and repr(typed) not in message:
        message += f", got {typed!r}"
    if getattr(error, "possibilities", None):  # of options; typer names distant ones, too
        whole = [name for name in error.possibilities if name.startswith(error.option_name)]
        near = whole or difflib.get_close_matches(error.option_name, error.possibilities, cutoff=0.75)
        message = error.message + (f", did you mean {' or '.join(near)}?" if near else ".")
    asked = error.ctx.info_name if error.ctx is not None and error.ctx.parent is not None else None
    if asked is None:
        return f"{message} ('groundup --help' shows the commands.)"
    return f"{message} ('groundup {asked} --help' shows what it takes.)"


def _typed(error: Any) -> Any:
    """The value that did not pass typer's check, where it says which."""
    details = getattr(error.__cause__, "errors", None)
    found = details() if callable(details) else []
    return found[0].get("input") if found and isinstance(found[0], dict) else None


def _fail(message: str, status: int) -> None:
    print(f"groundup: {message}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
