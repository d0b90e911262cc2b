"""The warm process, and the pages that run in its forks."""

import os
import signal

import pytest

from groundup import catalogue, page_runs, warm

pytestmark = pytest.mark.skipif(not warm.can_fork(), reason="no fork here: every job is a process of its own")

JOBS = """
import os, signal, sys

def tell(arguments):
    print(*arguments, os.environ.get("COLOR"), os.getcwd())
    return len(arguments)

def modules(arguments):
    print(*sorted(name for name in sys.modules if name.partition(".")[0] in arguments))

def crash(arguments):
    os.kill(os.getpid(), signal.SIGSEGV)

def fail(arguments):
    raise ValueError("seven")

def wait(arguments):
    signal.pause()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "jobs.py").write_text(JOBS, encoding="utf-8")
    with warm.warm_process(libraries=("json.tool",)):
        yield folder


def start(folder, job, *arguments, **variables):
    environment = {**os.environ, "PYTHONPATH": str(folder), **variables}
    return warm.Job(
        f"jobs:{job}", list(arguments), environment=environment, folder=str(folder), log=f"{folder}/log"
    )


def printed(folder):
    return (folder / "log").read_text(encoding="utf-8")


def test_a_job_has_its_own_arguments_environment_folder_and_log(folder):
    assert start(folder, "tell", "one", "two", COLOR="blue").wait(600) == 2
    assert printed(folder) == f"one two blue {folder}\n"


def test_a_job_begins_with_the_libraries_and_with_nothing_of_ours(folder):
    ours = [level.package for level in catalogue.levels()]
    assert start(folder, "modules", "json", "shared", "groundup", *ours).wait(600) == 0
    names = printed(folder).split()
    assert "json.tool" in names
    assert [name for name in names if name.partition(".")[0] != "json"] == ["groundup"], (
        "a module of ours that is imported before the fork cannot be substituted or type-checked after it"
    )


def test_a_crash_is_told_as_a_signal(folder):
    assert start(folder, "crash").wait(600) == -signal.SIGSEGV


def test_an_error_is_told_with_its_traceback(folder):
    assert start(folder, "fail").wait(600) == 1
    assert "ValueError: seven" in printed(folder)


def test_a_job_that_is_killed_ends(folder):
    job = start(folder, "wait")
    assert job.poll() is None
    job.kill()
    assert job.wait(600) == -signal.SIGKILL


def test_the_processor_time_of_a_job_is_known(folder):
    before = warm.Job.spent
    job = start(folder, "tell")
    job.wait(600)
    assert job.cpu > 0
    assert warm.Job.spent == before + job.cpu


def test_a_page_runs_the_same_in_a_fork_and_in_a_process_of_its_own(folder, tmp_path, monkeypatch):
    page = tmp_path / "page.py"
    page.write_text(
        "# %%\nimport warnings\nx = 2\n# %% [markdown]\n# Text.\n# %%\nprint(x)\nwarnings.warn('careful')\nx + 1\n"
    )
    page_runs.run(page, tmp_path / "fork" / "page.json")
    monkeypatch.delenv(warm.VARIABLE)
    page_runs.run(page, tmp_path / "own" / "page.json")
    text = (tmp_path / "fork" / "page.json").read_text()
    assert text == (tmp_path / "own" / "page.json").read_text()
    for part in ('"2\\n"', "UserWarning: careful", '"text/plain": "3"'):
        assert part in text


def test_a_page_that_fails_says_in_which_cell_and_why(folder, tmp_path):
    page = tmp_path / "page.py"
    page.write_text("# %%\nx = 1\n# %%\nx / 0\n")
    with pytest.raises(page_runs.PageError, match=r"code cell 2 failed[\s\S]*ZeroDivisionError"):
        page_runs.run(page, tmp_path / "page.json")


def test_a_page_that_never_ends_is_ended(folder, tmp_path, monkeypatch):
    page = tmp_path / "page.py"
    page.write_text("# %%\nimport signal\nsignal.pause()\n")
    monkeypatch.setattr(page_runs, "BOUND", 0.5)
    with pytest.raises(page_runs.PageError, match="took longer than"):
        page_runs.run(page, tmp_path / "page.json")


def test_nobody_listening_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv(warm.VARIABLE, str(tmp_path / "gone" / "socket"))
    with pytest.raises(RuntimeError, match="no warm process listens"):
        warm.Job("jobs:tell", [], environment={}, folder=str(tmp_path), log=str(tmp_path / "log"))
