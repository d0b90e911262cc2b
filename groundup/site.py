"""`groundup site`: build the web site from the repository's own files, and open it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    pass

__all__ = ["build_site", "register"]

# What Sphinx says while it works: a page by name; and before it, what `site/conf.py` says of a page that was run.
STEP = re.compile(r"^(?P<phase>reading sources|writing output)\.\.\. \[ *(?P<percent>\d+)%\] (?P<page>\S+)")
RAN = re.compile(r"^ran (?P<page>[\w/.-]+)\.py in (?P<seconds>[\d.]+) s$")
# What it says besides, when all is well; the rest is worth reading when it is not.
NOISE = re.compile(
    r"^\s*$|^ran \S+ in |\.\.\. *(\[|done|$)"
    r"|^(Running Sphinx|loading|myst|Using|checking|parsing|building|updating|looking|Writing|copying|generating"
    r"|writing|dumping|preparing|build (finished|succeeded)|Configuration error|Versions|Last Messages"
    r"|Loaded Extensions|Traceback|None\.|=+$|\* |The full traceback|/\S*/sphinx-err-|To report this|Please also report)"
)

SPHINX = 15.0  # the bar's share of it, in seconds


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("site")(site)


def site(
    open_site: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the first page in the browser.")
    ] = True,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Build every page anew; notebooks that did not change are not run."),
    ] = False,
) -> None:
    """Build the web site in site/_build/html, and open it."""
    from groundup.catalogue import ROOT
    from groundup.errors import CommandError

    _require()
    folder = ROOT / "site"
    if not (folder / "conf.py").exists():
        raise CommandError(f"the site is built in the repository, and {folder} is not there.", 1)
    status, problems = build_site(folder, fresh=fresh)
    if status:
        print(problems, file=sys.stderr)
        raise CommandError("the site was not built: see above.", 1)
    first = folder / "_build" / "html" / "index.html"
    print(f"the site stands: {first.relative_to(ROOT)}")
    if open_site:
        import webbrowser

        webbrowser.open(first.as_uri())


def build_site(folder: Path, *, fresh: bool = False) -> tuple[int, str]:
    """Run Sphinx on the site's folder with progress on stderr; returns its exit status and what it complained about.

    Outputs of pages are kept in `_build/runs`, so that a second build runs only what changed.
    """
    import shutil

    pages, built = folder / "_pages", folder / "_build"
    if fresh:
        for path in (pages, built / "html", built / "doctrees", built / "jupyter_execute"):
            shutil.rmtree(path, ignore_errors=True)
    pages.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "sphinx", "--builder", "html", "--fail-on-warning", "--keep-going", "--no-color",
        "--conf-dir", str(folder), "--doctree-dir", str(built / "doctrees"), str(pages), str(built / "html"),
    ]  # fmt: skip
    problems: list[str] = []
    with _Progress() as report:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", bufsize=1
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                report(line)
                if not NOISE.search(line):
                    problems.append(line.rstrip())
            status = process.wait()
        except BaseException:
            process.terminate()
            raise
    if status:  # Sphinx would not read again, and so not complain again of, a page that did not change
        shutil.rmtree(built / "doctrees", ignore_errors=True)
    return status, "\n".join(problems)


class _Progress:
    """A bar on a terminal, a line for each page that was run elsewhere; called with each line of Sphinx's.

    A page weighs what running it costs, so that the bar moves with time.
    """

    def __enter__(self) -> Callable[[str], None]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        from groundup import catalogue

        console = Console(stderr=True)
        self.terminal = console.is_terminal
        self.bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
            console=console, transient=True, disable=not self.terminal,
        )  # fmt: skip
        self.topics = catalogue.topics()
        self.total = 2 * sum(topic.seconds for topic in self.topics.values()) + SPHINX
        self.done = 0.0
        self.bar.start()
        self.task = self.bar.add_task("running pages", total=self.total)
        return self._line

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def _line(self, line: str) -> None:
        ran = RAN.match(line)
        if ran:
            page = Path(ran["page"])
            name = f"{page.name}, how it breaks" if page.parent.name == "failure_modes" else page.name
            self.done += self.topics[page.name].seconds
            self.bar.update(self.task, description=f"ran {name}", completed=self.done)
            if not self.terminal:
                print(f"ran {name} in {ran['seconds']} s", file=sys.stderr, flush=True)
            return
        step = STEP.match(line)
        if step is None:
            return
        share = int(step["percent"]) / 200
        if step["phase"] == "writing output":
            self.bar.update(self.task, description="writing", completed=self.total - SPHINX * (0.5 - share))
        else:
            read = self.total - SPHINX * (1 - share)
            self.bar.update(self.task, description=f"reading {step['page']}", completed=read)


def _require() -> None:
    """Say what is missing before anything starts."""
    from importlib.util import find_spec

    from groundup.errors import CommandError

    missing = [
        name
        for name in ("sphinx", "myst_nb", "jupytext", "sphinx_book_theme", "sphinx_copybutton")
        if find_spec(name) is None
    ]
    if missing:
        raise CommandError(
            f"{', '.join(missing)} not installed; get what the site needs with: pip install -e '.[all,site]' (in the repository).",
            1,
        )
