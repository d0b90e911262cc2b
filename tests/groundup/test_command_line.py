"""The command line as a user meets it: right answers, one clear line on a mistake, the promised exit status."""

import json
import resource
import subprocess
import sys
import time

import pytest

from groundup.catalogue import ROOT
from shared.agreement import Comparison
from shared.failure_mode import Claim, FailureMode


def groundup(*arguments, cwd=None, timeout=60):
    command = [sys.executable, "-m", "groundup", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=timeout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("elsewhere")


def test_list_answers_at_once(folder):
    groundup("list", cwd=folder)  # warm
    best = min(_processor_seconds(lambda: groundup("list", cwd=folder)) for _ in range(5))
    assert best < 0.3, f"list took {best:.2f} s of processor time"


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


def test_show_prints_prose_and_code():
    text = groundup("show", "k_means").stdout
    assert "k-means clustering" in text and "def nearest_center" in text and "RESEARCH_NOTE.md" in text


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
    assert set(promised.split()) <= set(rows[0])
    assert len(list((folder / "output" / "figures").glob("k_means_*.png"))) == len(rows)


def test_one_seed_is_inconclusive_and_says_how_many_it_needs(folder):
    result = groundup("break", "k_means", "--seeds", "1", "--no-figures", cwd=folder)
    assert result.returncode == 1 and "inconclusive (try about" in result.stdout


def test_doctor():
    result = groundup("doctor", "--json")
    rows = {row["library"]: row for row in json.loads(result.stdout)}
    assert rows["numpy"]["installed"] and rows["torch"]["extra"] == "level1"
    assert result.returncode == 0


def test_bench_as_json(folder):
    rows = json.loads(groundup("bench", "k_means", "--repeats", "1", "--json", cwd=folder).stdout)
    promised = "topic size seconds_ours seconds_reference ratio exponent expected_exponent"
    assert set(promised.split()) <= set(rows[0])


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run", "kmeans"], 2, "no topic is called 'kmeans': did you mean k_means?"),
        (["show", "nothing-like-it"], 2, "'groundup list' shows what there is"),
        (["run"], 2, "name a topic, or --level N, or --all"),
        (["run", "k_means", "--fast"], 2, "No such option"),
        (["run", "--level", "9"], 2, "--level"),
        (["break", "k_means", "--seeds", "0"], 2, "--seeds"),
        (["break", "k_means", "--seeds", "many"], 2, "--seeds"),
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
    start = time.perf_counter()
    result = groundup(*arguments, cwd=folder)
    assert result.returncode == status
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("groundup: ") and message in lines[0], result.stderr
    assert time.perf_counter() - start < 20


class Stub:
    """A topic that is not in the catalogue, to see what the commands make of bad news."""

    name, title, level, extra = "stub", "Stub", 1, "level1"

    def __init__(self, validate=None, modes=()):
        self.validate, self.FAILURE_MODES = validate, modes

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


@pytest.mark.parametrize(("predicted", "status"), [(7.0, 0), (8.0, 1)])
def test_a_refuted_claim_ends_in_status_one(capsys, predicted, status):
    from groundup import reports

    claim = Claim("It is seven.", "q", _seven, lambda: predicted, "≈", 0.1, "r")
    mode = FailureMode("seven", "Seven", claim, claim, print)
    assert (
        reports.break_topics(
            [Stub(modes=(mode,))], seeds=None, scheduler=None, as_json=True, save_figures=False
        )
        == status
    )
    row = json.loads(capsys.readouterr().out)[0]
    assert row["holds"] is (status == 0) and row["verdict"] == ("holds" if status == 0 else "refuted")


def test_a_topic_runs_as_a_script(tmp_path):
    script = ROOT / "level2_classical" / "k_means.py"
    result = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert result.returncode == 0 and "quantities agree with the reference" in result.stdout
    assert (tmp_path / "output" / "figures" / "k_means.png").exists()
