"""Run a page once, for everybody: its outputs for the site, its evidence for the suite and the ledger.

A page's cells run in a process of their own, in order, as in a notebook. What they display is kept cell by cell; what they
validate and measure is kept, too: the agreements, and of each claim the raw replicates, which a reader judges again with
the claims that it has loaded itself. With a warm process (`groundup.warm`) that process is a fork of it, elsewhere a new
Python.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup import catalogue, warm
from groundup.catalogue import ROOT, Topic
from groundup.evidence import Evidence
from groundup.fingerprints import fingerprint

__all__ = ["KEPT", "PageError", "evidence", "keep", "outputs", "pages_of", "run"]

KEPT = ROOT / "site" / "_build" / "runs"  # outputs by page and fingerprint; the site reads what the suite ran
BOUND = 600.0  # seconds for one page
FEW = 3  # pages; importing all libraries once pays from so many on


class PageError(Exception):
    """A page did not run to its end; the message says which cell failed, and how."""


@dataclass
class Notes:
    """What a page validated and measured while it ran."""

    agreements: list[Any] = field(default_factory=list)
    replicates: dict[str, tuple[list[Any], float]] = field(
        default_factory=dict
    )  # claim's id -> values, seconds
    sweeps: dict[str, list[Any]] = field(default_factory=dict)


def pages_of(topic: Topic) -> list[Path]:
    """The files of a topic that are executed as pages: the topic, and its failure modes."""
    return [path for path in (topic.path, topic.failure_modes_path) if path.exists()]


# --- running a page ----------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """The job: PAGE TARGET. Writes TARGET (outputs of each code cell) and TARGET.evidence.

    What fails says where on stderr, and exits with 1.
    """
    import ipykernel  # noqa: F401  # `shared.figures.in_notebook` asks for it
    import jupytext

    page, target = map(Path, arguments)
    notes = Notes()
    _listen(notes)
    sources = [
        cell.source for cell in jupytext.read(page).cells if cell.cell_type == "code" and cell.source.strip()
    ]
    with tempfile.TemporaryDirectory(prefix="groundup-page-") as folder, chdir(folder):
        cells = _executed(sources, page)
    target.with_suffix(".evidence").write_bytes(pickle.dumps(notes))
    target.write_text(json.dumps(cells), encoding="utf-8")
    return 0


def _executed(sources: Iterable[str], page: Path) -> list[dict[str, Any]]:
    """Each cell's source with its outputs, in nbformat's form.

    Raises:
        SystemExit: a cell failed; its traceback has been printed.
    """
    import warnings

    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    # A warning is for the reader; the place in a temporary process at which it arose is not.
    warnings.formatwarning = lambda message, category, *place: f"{category.__name__}: {message}\n"
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    record = _Recorder(shell)
    cells = []
    real = sys.stdout, sys.stderr
    for count, source in enumerate(sources, 1):
        record.outputs = []
        sys.stdout, sys.stderr = record.stream("stdout"), record.stream("stderr")
        try:
            result = shell.run_cell(source, store_history=True)
        finally:
            sys.stdout, sys.stderr = real
        if not result.success:
            said = "".join(output.get("text", "") for output in record.outputs)
            print(f"{page.name}: code cell {count} failed\n{said}", file=sys.stderr)
            raise SystemExit(1)
        cells.append({"source": source, "outputs": record.outputs})
    return cells


class _Recorder:
    """Takes in order what a shell prints, displays and returns, into `outputs`."""

    def __init__(self, shell: Any) -> None:
        from IPython.core.display_trap import DisplayTrap
        from IPython.core.displayhook import DisplayHook
        from IPython.core.displaypub import DisplayPublisher

        self.outputs: list[dict[str, Any]] = []
        record = self

        class Publisher(DisplayPublisher):
            def publish(self, data: Any, metadata: Any = None, **options: Any) -> None:
                record.add("display_data", data, metadata)

        class Hook(DisplayHook):
            def __call__(self, result: Any = None) -> None:
                if result is not None:
                    record.add(
                        "execute_result", *self.shell.display_formatter.format(result), execution_count=None
                    )

        shell.display_pub = Publisher(shell=shell)
        shell.displayhook = Hook(shell=shell)
        shell.display_trap = DisplayTrap(hook=shell.displayhook)

    def add(self, kind: str, data: dict[str, Any], metadata: Any, **more: Any) -> None:
        plain = {
            name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for name, value in data.items()
        }
        self.outputs.append({"output_type": kind, "data": plain, "metadata": metadata or {}, **more})

    def stream(self, name: str) -> Any:
        record = self

        class Stream:
            encoding = "utf-8"

            def write(self, text: str) -> int:
                last = record.outputs[-1] if record.outputs else {}
                if last.get("name") == name:
                    last["text"] += text
                elif text:
                    record.outputs.append({"output_type": "stream", "name": name, "text": text})
                return len(text)

            def flush(self) -> None: ...

            def isatty(self) -> bool:
                return False

        return Stream()


def _listen(notes: Notes) -> None:
    """Let the bench tell what the page shows."""
    from shared import presentation

    def heard(agreements: Any = None, outcome: Any = None, sweep: Any = None) -> None:
        if agreements is not None:
            notes.agreements += agreements
        if outcome is not None:
            for measurement in (outcome.breaks, outcome.remedy):
                notes.replicates[measurement.claim.id] = list(measurement.replicates), measurement.seconds
        if sweep is not None:
            claim, points = sweep
            notes.sweeps[claim.id] = points

    presentation.listeners.append(heard)


# --- asking for a run --------------------------------------------------------------------------------------------


def run(page: Path, target: Path) -> None:
    """Run a page in a process of its own, a fork of the warm one if there is one.

    Raises:
        PageError: a cell failed, or the page took longer than its bound.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    log = target.with_suffix(".log")
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "PYTHONPATH": paths}
    for library in ("OMP", "OPENBLAS", "MKL"):
        variables.setdefault(f"{library}_NUM_THREADS", "1")
    arguments = [str(page), str(target)]
    process: Any
    if warm.VARIABLE in os.environ:
        process = warm.Job(
            "groundup.page_runs:main",
            arguments,
            environment=variables,
            folder=str(target.parent),
            log=str(log),
        )
    else:
        command = [sys.executable, "-m", "groundup.page_runs", *arguments]
        with open(log, "wb") as file:
            process = subprocess.Popen(
                command, env=variables, cwd=target.parent, stdout=file, stderr=file, stdin=subprocess.DEVNULL
            )
    try:
        status = process.wait(BOUND)
    except subprocess.TimeoutExpired:
        process.kill()
        raise PageError(f"{catalogue.shown(page)} took longer than {BOUND:.0f} seconds.") from None
    if status:
        raise PageError(f"{catalogue.shown(page)} did not run:\n{log.read_text(encoding='utf-8')}")


def evidence(topic: Topic, folder: Path) -> Evidence:
    """What the topic's two pages validate and measure; they run, and what they displayed is kept for the site.

    Raises:
        PageError: see `run`.
    """
    from shared.failure_mode import Outcome, judge

    notes = []
    for page in pages_of(topic):
        target = folder / f"{page.relative_to(ROOT).as_posix().replace('/', '-')}.json"
        run(page, target)
        keep(page, topic, target)
        notes.append(pickle.loads(target.with_suffix(".evidence").read_bytes()))
    found = Evidence(topic.name, [a for note in notes for a in note.agreements], [])
    replicates = {claim: values for note in notes for claim, values in note.replicates.items()}
    for mode in topic.load_failure_modes().FAILURE_MODES:
        measured = []
        for claim in (mode.breaks, mode.remedy):
            values, seconds = replicates.pop(claim.id)
            measured.append(judge(claim, values, seconds=seconds))
        found.outcomes.append(Outcome(mode, *measured))
    assert not replicates, (
        f"the page of {topic.name} shows what FAILURE_MODES does not have: {sorted(replicates)}"
    )
    for note in notes:
        found.sweeps.update(note.sweeps)
    return found


# --- what is kept for the site -----------------------------------------------------------------------------------


def keep(page: Path, topic: Topic, outcome: Path) -> None:
    """Keep a page's outputs under the fingerprint of everything that it rests on."""
    place = _place(page, topic)
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_suffix(f".{os.getpid()}")
    new.write_bytes(outcome.read_bytes())
    new.replace(place)
    for old in place.parent.glob(f"{place.stem.rpartition('.')[0]}.*.json"):
        if old != place:
            with suppress(FileNotFoundError):
                old.unlink()


def _place(page: Path, topic: Topic) -> Path:
    name = page.relative_to(ROOT).with_suffix("").as_posix().replace("/", "-")
    return KEPT / f"{name}.{fingerprint(page, topic)}.json"


def outputs(
    topics: Iterable[Topic], *, on_page: Callable[[Path, float], None] = lambda page, seconds: None
) -> dict[Path, list[dict[str, Any]]]:
    """The outputs of each topic's pages, cell by cell; what is not kept already runs now, on all processors.

    Args:
        on_page: called with each page that ran, and its seconds.

    Raises:
        PageError: one of them failed.
    """
    pages = [(page, topic) for topic in topics for page in pages_of(topic)]
    missing = [(page, topic) for page, topic in pages if not _place(page, topic).exists()]
    missing.sort(key=lambda pair: -pair[1].seconds)  # the longest first
    warmed = len(missing) >= FEW and warm.can_fork() and warm.VARIABLE not in os.environ

    def fresh(pair: tuple[Path, Topic]) -> None:
        page, topic = pair
        with tempfile.TemporaryDirectory(prefix="groundup-run-") as folder:
            began = time.perf_counter()
            target = Path(folder, "page.json")
            run(page, target)
            keep(page, topic, target)
            on_page(page, time.perf_counter() - began)

    if missing:
        with warm.warm_process() if warmed else nullcontext(), ThreadPoolExecutor(os.cpu_count()) as workers:
            list(workers.map(fresh, missing))
    return {page: json.loads(_place(page, topic).read_text(encoding="utf-8")) for page, topic in pages}


if __name__ == "__main__":
    from groundup import page_runs  # so that the pickle names this module, and not __main__

    sys.exit(page_runs.main(sys.argv[1:]))
