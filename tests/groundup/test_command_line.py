"""The command line as a user meets it: right answers, one clear line on a mistake, the promised exit status."""

import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import termios
import time

import pytest

from groundup import catalogue, modes
from groundup.__main__ import SECTIONS
from groundup.catalogue import ROOT
from groundup.pages import cells
from shared.agreement import Benchmark, Comparison
from shared.failure_mode import Claim, FailureMode


def groundup(*arguments, cwd=None, timeout=600):
    command = [sys.executable, "-m", "groundup", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=timeout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("elsewhere")


def test_list_answers_at_once(folder):
    groundup("list", cwd=folder)  # warm
    best = min(_processor_seconds(lambda: groundup("list", cwd=folder)) for _ in range(5))
    library = [sys.executable, "-c", "import typer, typer._adapters"]
    alone = min(_processor_seconds(lambda: subprocess.run(library, check=True)) for _ in range(5))
    bound = max(
        0.3, 2 * alone
    )  # on a slow machine: at most as much again as the library of the command line takes
    assert best < bound, f"list took {best:.2f} s of processor time"


def _processor_seconds(call):
    """Time that child processes worked, which a busy machine does not stretch as it does the clock's."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_list_imports_nothing_heavy():
    code = (
        "import sys\nfrom groundup.__main__ import main\n"
        "try: main(['list'])\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'matplotlib', 'rich.console', 'joblib') if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.strip() == "[]"


def test_list_as_json():
    rows = json.loads(groundup("list", "--json").stdout)
    assert {row["level"] for row in rows} == {1, 2, 3, 4, 5, 6}
    assert [row["name"] for row in json.loads(groundup("list", "--level", "2", "--json").stdout)] == [
        "linear_regression",
        "k_means",
    ]


def test_path_as_json():
    names = [row["name"] for row in json.loads(groundup("path", "model_serving", "--json").stdout)]
    assert names[-1] == "model_serving" and "automatic_differentiation" in names


def test_path_ends_with_what_to_type_next():
    assert (
        groundup("path", "model_serving")
        .stdout.splitlines()[-1]
        .endswith("groundup show automatic_differentiation")
    )


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_help_stands_on_stdout_with_whole_summaries(arguments):
    result = groundup(*arguments)
    assert result.returncode == 0 and result.stderr == ""
    assert "..." not in result.stdout.partition("Read:")[2]


@pytest.mark.parametrize("command", [name for names in SECTIONS.values() for name in names])
def test_a_summary_fits_into_one_line(command):
    (line,) = [line for line in groundup().stdout.splitlines() if line.startswith(f"  {command} ")]
    assert line.endswith(".") and len(line) <= 80


def test_show_holds_every_line_of_code():
    shown = groundup("show", "k_means").stdout.splitlines()
    code = [
        line
        for kind, text in cells(ROOT / "level2_classical" / "k_means.py")
        if kind == "code"
        for line in text.splitlines()
    ]
    assert len(code) > 400 and not set(code) - set(shown)


def test_show_sets_formulas_in_unicode():
    text = groundup("show", "k_means").stdout
    assert "We minimize the inertia" in text
    assert "\n    J(z,μ) = ∑ᵢ₌₁ⁿ wᵢ ‖xᵢ-μ_{zᵢ}‖²." in text


@pytest.mark.parametrize("name", catalogue.topics())
def test_show_cuts_no_table(name):
    assert "…\n" not in re.sub(r" +\n", "\n", groundup("show", name).stdout)


@pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed")
def test_the_pager_shows_colors_and_no_codes():
    text = in_terminal("show", "k_means", PAGER="less")
    assert "k-means clustering" in text and "\x1b[" in text and "ESC[" not in text


def in_terminal(*arguments, columns=80, rows=24, **variables):
    """What a command writes to a terminal of that size; a pager is left with q."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("LESS", "PAGER", "COLUMNS")
    }
    child, terminal = pty.fork()
    if child == 0:
        command = [sys.executable, "-m", "groundup", *arguments]
        os.execve(sys.executable, command, {**environment, "TERM": "xterm-256color", **variables})
    termios.tcsetwinsize(terminal, (rows, columns))
    written, patience = b"", time.monotonic() + 600
    while time.monotonic() < patience:
        ready, _, _ = select.select([terminal], [], [], 1.0)
        try:
            if not ready:
                if written.rstrip().endswith((b":", b"\x1b[K")):
                    os.write(terminal, b"q")
                continue
            if not (part := os.read(terminal, 65536)):
                break
            written += part
        except OSError:  # the other side is closed
            break
    else:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return written.decode()


def test_show_without_a_pager_prints_all_at_once():
    assert "In the note:" in in_terminal("show", "failure_modes/k_means", "--no-pager", PAGER="false")


def test_show_reads_one_failure_mode():
    text = groundup("show", "k_means/Unlucky-Start").stdout
    assert "What happens. On three pairs" in text and "def share_of_stuck_starts" in text
    assert "What mends it." in text and "groundup break k_means/unlucky_start" in text
    assert "def nights_that_differ" not in text and "FAILURE_MODES" not in text
    assert groundup("show", "unlucky_start").stdout == text


def test_show_reads_failure_modes_and_other_parts():
    failures = groundup("show", "k_means", "--failures").stdout
    assert "FAILURE_MODES" in failures and "What it breaks: groundup show k_means" in failures
    part = groundup("show", "learning_rate_schedules").stdout
    assert "class OneCycleLR" in part and "Part of:        groundup show gradient_descent" in part


def test_show_prints_prose_and_code():
    text = groundup("show", "k_means").stdout
    assert "k-means clustering" in text and "def nearest_center" in text
    assert (
        f"groundup note k_means   ({catalogue.note_of(catalogue.get('k_means')).relative_to(ROOT)})" in text
    )
    assert "groundup show k_means/unlucky_start" in text


def test_run_as_json(folder):
    result = groundup("run", "k_means", "--json", cwd=folder)
    rows = json.loads(result.stdout)
    assert result.returncode == 0 and all(row["agrees"] for row in rows)
    promised = (
        "level topic quantity reference reference_version dataset ours theirs error tolerance agrees "
        "seconds_ours seconds_reference"
    )
    assert set(promised.split()) <= set(rows[0])
    assert (folder / "output" / "figures" / "k_means.png").exists()


def test_break_as_json(folder):
    result = groundup("break", "k_means", "--json", cwd=folder)
    rows = json.loads(result.stdout)
    assert result.returncode == 0 and all(row["holds"] and row["remedied"] for row in rows)
    promised = "topic failure_mode claim quantity predicted measured interval relation holds remedied"
    added = "title symptoms rival corrected"
    assert set(promised.split()) | set(added.split()) <= set(rows[0])
    assert {"rival", "corrected"} <= set(rows[0]["remedy"])
    assert len(list((folder / "output" / "figures").glob("k_means_*.png"))) == len(rows)


def test_one_seed_is_inconclusive_and_says_how_many_it_needs(folder):
    result = groundup("break", "k_means", "--seeds", "1", "--no-figures", cwd=folder)
    assert result.returncode == 1 and "inconclusive (try about" in result.stdout


def test_break_says_where_to_read_on():
    text = groundup("break", "k_means/unlucky_start", "--no-figures", cwd=ROOT).stdout
    assert "k_means/failure/unlucky_start" in text and "level2_classical/failure_modes/k_means.py" in text
    assert "groundup show k_means/unlucky_start" in text
    assert f"In the note: {catalogue.note_of(catalogue.get('k_means')).relative_to(ROOT)}" in text


@pytest.mark.parametrize("name", ["k_means/unlucky_start", "K-Means/failure/Unlucky start", "unlucky_start"])
def test_break_measures_one_mode_alone(name):
    rows = json.loads(groundup("break", name, "--no-figures", "--seeds", "5", "--json").stdout)
    assert [(row["topic"], row["failure_mode"]) for row in rows] == [("k_means", "unlucky_start")]


def test_modes_and_topics_mix_in_reading_order():
    topics, only = modes.select(["k_means/loud_feature", "gradient-descent", "k_means/unlucky_start"])
    assert [topic.name for topic in topics] == ["gradient_descent", "k_means"]
    assert only == {"k_means": {"loud_feature", "unlucky_start"}}


def test_a_topic_named_as_a_whole_comes_whole():
    assert modes.select(["k_means/loud_feature", "k_means"]) == ([catalogue.get("k_means")], {})


def test_the_ledger_shows_the_entry_that_break_names():
    result = groundup("ledger", "k_means/failure/unlucky_start")
    assert result.returncode == 0 and result.stdout.startswith("k_means/failure/unlucky_start\n    measured")
    assert "breaks: " in result.stdout and "mended: " in result.stdout and "/agreement/" not in result.stdout
    (row,) = json.loads(groundup("ledger", "k_means/failure/unlucky_start", "--json").stdout)
    assert row["failure_mode"] == "unlucky_start"


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_figures_are_saved_in_the_clone_or_here(where, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    from groundup import terminal

    clone = tmp_path / "clone"
    (clone / "deep").mkdir(parents=True)
    monkeypatch.setattr(terminal, "ROOT", clone)
    monkeypatch.chdir(clone / "deep" if where == "inside" else tmp_path)
    saved = terminal.save("a.png", Figure)
    assert saved == (clone if where == "inside" else tmp_path) / "output" / "figures" / "a.png"
    assert saved.is_file() and terminal.to_open(saved) == str(saved)


def test_the_figures_line_stands_alone_on_a_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = in_terminal("run", "k_means", columns=200).replace("\r\n", "\n").split("\n")
    assert f"figure saved: {tmp_path / 'output' / 'figures' / 'k_means.png'}" in lines


def verdicts(capsys, *failure_modes):
    from groundup import reports

    reports.break_topics(
        [Stub(modes=failure_modes)], {}, seeds=None, scheduler=None, as_json=False, save_figures=False
    )
    return capsys.readouterr().out.splitlines()


def test_verdicts_are_counted_apart(capsys):
    lines = verdicts(capsys, mode("a", 7.0), mode("b", 8.0), mode("c", 7.0995))
    assert "1 of 3 failure modes broke as predicted and were mended as predicted." in lines
    assert "1 refuted, 1 inconclusive." in lines


def test_an_inconclusive_mode_names_the_command_that_decides(capsys):
    lines = verdicts(capsys, mode("c", 7.0995))
    assert any(re.fullmatch(r"To decide: groundup break stub/c --seeds \d+", line) for line in lines)


def test_doctor_names_the_place_of_progress():
    assert "progress.sqlite3" in groundup("doctor").stdout.splitlines()[-1]


def test_doctor():
    result = groundup("doctor", "--json")
    rows = {row["library"]: row for row in json.loads(result.stdout)}
    assert rows["numpy"]["installed"] and rows["torch"]["extra"] == "level1"
    assert result.returncode == 0


def test_bench_as_json(folder):
    rows = json.loads(groundup("bench", "k_means", "--repeats", "1", "--json", cwd=folder).stdout)
    promised = "topic size seconds_ours seconds_reference ratio exponent expected_exponent"
    assert set(promised.split()) | {"seconds_breath"} <= set(rows[0])
    for row in rows:
        assert row["ratio"] == pytest.approx(row["seconds_ours"] / row["seconds_reference"])


def test_bench_prints_the_breath_beside_the_others(capsys):
    from groundup import reports

    def setup(size):
        def quick():
            return sum(range(size))

        return quick, quick, (quick if size < 3000 else None)

    benchmark = Benchmark("sum", (1000, 2000, 4000), setup, 1.0, "numpy")
    assert reports.bench([Stub(benchmarks=lambda: [benchmark])], repeats=1, as_json=False) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["samples", "breath", "ours", "theirs", "ours/theirs", "breath/ours"] in lines
    assert [line[1] for line in lines if line and line[0] == "4,000"] == ["–"]
    reports.bench([Stub(benchmarks=lambda: [benchmark])], repeats=1, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [row["seconds_breath"] is None for row in rows] == [False, False, True]


def test_a_long_map_is_folded(capsys, monkeypatch):
    from groundup import reports

    monkeypatch.setattr(reports, "UNFOLDED", 8)
    reports.list_topics(level=None, as_json=False)
    folded = capsys.readouterr().out
    assert (
        f"    {len(catalogue.levels()[0].topics)} topics: groundup list --level 1" in folded
        and "k_means" not in folded
    )
    reports.list_topics(level=2, as_json=False)
    assert "k_means" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("exponent", "remark"),
    [
        (0.6, "below 1: at these sizes part of the time grows more slowly"),
        (1.1, ""),
        (1.4, "above 1: over these sizes"),
    ],
)
def test_an_unexpected_exponent_gets_a_sentence(exponent, remark):
    from groundup.reports import _growth_remark

    assert _growth_remark(exponent, 1.0).startswith(remark) and bool(_growth_remark(exponent, 1.0)) == bool(
        remark
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["break", "k_means", "--seed", "3"], 2, "No such option: --seed, did you mean --seeds?"),
        (["run", "k_means", "--fast"], 2, "No such option: --fast ('groundup run --help'"),
        (["run", "kmeans"], 2, "no topic is called 'kmeans': did you mean k_means?"),
        (["show", "nothing-like-it"], 2, "'groundup list' shows what there is"),
        (["run"], 2, "name a topic, or --level N, or --all"),
        (["run", "--level", "9"], 2, "--level"),
        (["break", "k_means", "--seeds", "0"], 2, "equal to 1, got '0'"),
        (["break", "k_means", "--seeds", "many"], 2, "got 'many'"),
        (["show", "modules", "--failures", "--raw"], 2, "No such option: --raw"),
        (["show", "tensor", "--failures"], 2, "has no page of failure modes of its own"),
        (["ledger", "k_means/failure/unlucky_star"], 2, "did you mean k_means/failure/unlucky_start"),
        (["break", "k_means/unlucky_star"], 2, "did you mean k_means/unlucky_start?"),
        (["break", "kmeans/unlucky_start"], 2, "did you mean k_means?"),
        (
            ["break", "unlucky_star"],
            2,
            "no topic is called 'unlucky_star': did you mean k_means/unlucky_start?",
        ),
        (
            ["break", "queue of orders is slow"],
            2,
            "'groundup why queue of orders is slow' looks up what you see.",
        ),
        (["show", "k_means/unlucky_star"], 2, "did you mean k_means/unlucky_start?"),
        (
            ["show", "queue of orders is slow"],
            2,
            "'groundup why queue of orders is slow' looks up what you see.",
        ),
        (["fly"], 2, "No such command 'fly'"),
        (["ledger", "--write", "--check"], 2, "exclude each other"),
        (
            ["break", "k_means", "--scheduler", "tcp://127.0.0.1:9"],
            1,
            "no Dask scheduler answers at tcp://127.0.0.1:9",
        ),
        (["break", "k_means", "--scheduler", "nonsense"], 1, "no Dask scheduler answers at nonsense"),
    ],
)
def test_a_mistake_gets_one_clear_line(arguments, status, message, folder):
    result = groundup(*arguments, cwd=folder)
    assert result.returncode == status
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("groundup: ") and message in lines[0], result.stderr


class Stub:
    """A topic that is not in the catalogue, to see what the commands make of bad news."""

    name, title, level, extra = "stub", "Stub", 1, "level1"

    def __init__(self, validate=None, modes=(), benchmarks=None):
        self.validate, self.FAILURE_MODES, self.benchmarks = validate, modes, benchmarks

    path = failure_modes_path = note_path = ROOT / "stub.py"

    def load(self):
        return self

    load_failure_modes = load


def test_a_disagreement_ends_in_status_one(capsys):
    from groundup import reports

    def validate():
        comparison = Comparison(reference="numpy", dataset="d")
        comparison.compare("q", 1.0, 2.0, tolerance=0.1, reason="r")
        return comparison.agreements

    assert reports.run([Stub(validate)], as_json=True, save_figures=False) == 1
    assert json.loads(capsys.readouterr().out)[0]["agrees"] is False


def test_a_missing_reference_is_named_with_its_command(capsys):
    from groundup import reports

    def validate():
        import no_such_library  # noqa: F401

    assert reports.run([Stub(validate)], as_json=True, save_figures=False) == 1
    captured = capsys.readouterr()
    assert "no_such_library is not installed; get it with: pip install -e '.[level1]'" in captured.err
    assert json.loads(captured.out) == []


def _seven(rng):
    return 7.0 + 1e-3 * rng.standard_normal()


def mode(name, predicted):
    """It is seven, within 0.1; a prediction of 7.0995 is inconclusive at 20 seeds."""
    claim = Claim("It is seven.", "q", _seven, lambda: predicted, "≈", 0.1, "r", rival=0.0)
    return FailureMode(name, name, claim, claim, print, symptoms=("seven",))


@pytest.mark.parametrize(("predicted", "status"), [(7.0, 0), (8.0, 1)])
def test_a_refuted_claim_ends_in_status_one(capsys, predicted, status):
    from groundup import reports

    assert (
        reports.break_topics(
            [Stub(modes=(mode("seven", predicted),))],
            {},
            seeds=None,
            scheduler=None,
            as_json=True,
            save_figures=False,
        )
        == status
    )
    row = json.loads(capsys.readouterr().out)[0]
    assert row["holds"] is (status == 0) and row["verdict"] == ("holds" if status == 0 else "refuted")


def test_a_topic_runs_as_a_script(tmp_path):
    script = ROOT / "level2_classical" / "k_means.py"
    result = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, timeout=600
    )
    assert result.returncode == 0 and "quantities agree with the reference" in result.stdout
    assert (tmp_path / "output" / "figures" / "k_means.png").exists()
