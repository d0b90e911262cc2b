"""Fixtures for the whole suite, the marker of each level, and how the suite is spread over processes.

`agreements` and `verdicts` are what `validate()` and the failure modes of a topic say. They are computed
once in a session and shared between its processes, because the ledger's own test needs them again.

With workers (`pytest -n 2 --dist loadgroup`) a warm process stands by from which pages and proofs are forked
(`groundup.warm`), what takes longest begins first, and at the end the dearest topics are named.
"""

import os
import pickle
from collections import Counter
from pathlib import Path

# Before NumPy loads: two workers on two cores, each with two BLAS threads, would wait for each other.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
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


# After the hook: what of these imports a topic meets its type checks.
from groundup import catalogue, page_runs, warm

BUDGET = 15.0  # seconds of processor time for all of a topic: tests, evidence, proof
DEAREST = 3
SPENT = Counter()  # seconds of processor time, by topic or else by file
OF_EACH_TOPIC = ("test_desk_proof", "test_ledger")  # a case a topic
LONG = {
    "test_command_line": 40.0,
    "test_desk": 30.0,
    "test_tour": 15.0,
    "test_desk_culprit": 10.0,
}  # seconds of files


# No test may fail because the machine is busy: hypothesis counts seconds by the clock, in two places.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# --- what the suite costs, topic by topic; which tests go to one worker, and which go first ----------------------


def topic_of(item):
    """The topic whose budget a test spends: its file is named after it, or it is a case of its proof or its ledger."""
    file = Path(item.path).stem
    names = [file.removeprefix("test_")]
    if file in OF_EACH_TOPIC and hasattr(item, "callspec"):
        names += [getattr(case, "name", case) for case in item.callspec.params.values()]
    return next(
        (catalogue.topics()[n] for n in names if isinstance(n, str) and n in catalogue.topics()), None
    )


def group_of(item):
    """Tests that share what is dear to set up go to one worker: a file's, with the topic's ledger; each proof goes alone."""
    topic, file = topic_of(item), Path(item.path).stem
    if topic is None:
        return file
    return f"proof of {topic.name}" if file == "test_desk_proof" else topic.name


def weight_of(item):
    """Expected seconds of the group that the test belongs to."""
    topic = topic_of(item)
    return topic.seconds if topic else LONG.get(Path(item.path).stem, 0.0)


def work():
    """Seconds of processor time of this process, of its children that have ended, and of jobs that it gave away."""
    mine = os.times()
    return mine.user + mine.system + mine.children_user + mine.children_system + warm.Job.spent


def costs():
    """The dearest topics and the dearest files of all other tests, and what each kind took together."""
    topics = Counter({name: seconds for name, seconds in SPENT.items() if name in catalogue.topics()})
    for kind, spent in (("topics", topics), ("other tests", SPENT - topics)):
        dearest = ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.most_common(DEAREST))
        if spent:
            yield f"{spent.total():.0f} core-seconds for {len(spent)} {kind}; the dearest: {dearest}"
    over = sorted(name for name, seconds in topics.items() if seconds > BUDGET)
    if over:
        yield f"over the budget of {BUDGET:.0f} a topic: {', '.join(over)}"


def is_spread(config):
    """Whether workers share the tests."""
    return getattr(config.option, "dist", "no") != "no"


def pytest_configure(config):
    """The process that hands out the tests keeps a warm one for all of its workers."""
    first = is_spread(config) and not hasattr(config, "workerinput")
    if first and warm.can_fork() and warm.VARIABLE not in os.environ:
        warmed = warm.warm_process()
        warmed.__enter__()
        config.add_cleanup(lambda: warmed.__exit__(None, None, None))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        for part in Path(item.path).parts:
            if part in LEVELS:
                item.add_marker(getattr(pytest.mark, LEVELS[part]))
    if is_spread(config):
        for item in items:
            item.add_marker(pytest.mark.xdist_group(group_of(item)))
        items.sort(key=lambda item: -weight_of(item))  # stable: a file's tests keep their order


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    before = work()
    yield
    topic = topic_of(item)
    SPENT[topic.name if topic else Path(item.path).stem] += work() - before


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["costs"] = dict(SPENT)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    SPENT.update(getattr(node, "workeroutput", {}).get("costs", {}))


def pytest_terminal_summary(terminalreporter, config):
    if is_spread(config):
        for line in costs():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory, worker_id):
    """A folder that all processes of this session share."""
    folder = tmp_path_factory.getbasetemp()
    return folder if worker_id == "master" else folder.parent


@pytest.fixture(scope="session")
def evidence(session_folder):
    """Function of a topic's name: its agreements and measured failure modes, computed once a session.

    The topic's two pages run for it, in processes of their own, where no type checks slow the experiments down; the
    site shows what they displayed.
    """

    def load(topic):
        path = session_folder / f"evidence-{topic}.pickle"
        with FileLock(f"{path}.lock"):
            if not path.exists():
                path.write_bytes(pickle.dumps(page_runs.evidence(catalogue.get(topic), session_folder)))
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
