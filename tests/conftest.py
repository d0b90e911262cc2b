"""Fixtures for the whole suite, and the marker of each level.

`agreements` and `verdicts` are what `validate()` and the failure modes of a topic say. They are computed
once in a session and shared between its processes, because the ledger's own test needs them again.
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path

# Before NumPy loads: two workers on two cores, each with two BLAS threads, would wait for each other.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import pytest
from filelock import FileLock
from jaxtyping import install_import_hook

LEVELS = {
    "level1_foundations": "level1",
    "level2_classical": "level2",
    "level3_deep_learning": "level3",
    "level4_probabilistic": "level4",
    "level5_research": "level5",
    "level6_systems": "level6",
}

# Every shape and type in a signature is checked while the suite runs; an int is welcome where a float is
# asked for (PEP 484). Only modules that declare shapes are instrumented: the hook costs every call some 50
# microseconds, which the engine's small operations would feel. It must stand before anything of ours is imported.
ROOT = Path(__file__).resolve().parent.parent
install_import_hook(
    [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("shared", *LEVELS)
        for path in sorted((ROOT / package).rglob("*.py"))
        if "from jaxtyping import" in path.read_text(encoding="utf-8")
    ],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)


def pytest_collection_modifyitems(items):
    for item in items:
        for part in Path(item.path).parts:
            if part in LEVELS:
                item.add_marker(getattr(pytest.mark, LEVELS[part]))


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory, worker_id):
    """A folder that all processes of this session share."""
    folder = tmp_path_factory.getbasetemp()
    return folder if worker_id == "master" else folder.parent


@pytest.fixture(scope="session")
def evidence(session_folder):
    """Function of a topic's name: its agreements and measured failure modes, computed once a session.

    They run in a process of their own, where no type checks slow the experiments down.
    """

    def load(topic):
        path = session_folder / f"evidence-{topic}.pickle"
        with FileLock(f"{path}.lock"):
            if not path.exists():
                command = [sys.executable, "-m", "groundup.evidence", topic, str(path)]
                result = subprocess.run(command, capture_output=True, text=True, timeout=300)
                assert result.returncode == 0, result.stderr
        return pickle.loads(path.read_bytes())

    return load


@pytest.fixture(scope="module")
def topic(request):
    """The topic that a test file is named after."""
    return Path(request.path).stem.removeprefix("test_")


@pytest.fixture(scope="module")
def agreements(evidence, topic):
    """What the topic's `validate()` found: ours against the reference."""
    return evidence(topic).agreements


@pytest.fixture(scope="module")
def verdicts(evidence, topic):
    """Each failure mode of the topic by name, measured: `.breaks` and `.remedy`."""
    return {outcome.failure_mode.name: outcome for outcome in evidence(topic).outcomes}


@pytest.fixture(scope="session")
def failed_checks():
    """Function of an estimator: the names and messages of scikit-learn's own checks that it fails.

    A topic's test compares them with those of the class that it mirrors, which does not pass all of them.
    """
    import warnings

    from sklearn.utils.estimator_checks import check_estimator

    def failures(estimator):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "does not inherit from BaseEstimator": meant so
            results = check_estimator(estimator, on_fail=None, on_skip=None)
        return {r["check_name"]: str(r["exception"]) for r in results if r["status"] == "failed"}

    return failures
