"""The practice desk, on a topic of three functions: substitution, checks, bounds, honesty, progress, commands."""

import dataclasses
import json
import re
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from groundup import catalogue
from groundup.catalogue import ROOT
from groundup.desk import checking, commands, cutter, exercises, honesty, progress, runner, solution
from groundup.desk.proof import problems
from groundup.desk.runner import DeskError
from groundup.desk.substitute import environment

TINY = Path(__file__).parent / "tiny"  # the fixture `desk` is this topic
SOURCE = (TINY / "tiny.py").read_text(encoding="utf-8")

TESTS = (TINY / "tiny_tests.py").read_text(encoding="utf-8")


@pytest.fixture
def known(desk, monkeypatch):
    """The tiny topic's exercises as recorded, so that a check need not record them again."""
    found = exercises.Exercises(
        functions=["double", "quadruple", "Counter.add"],
        tests=[
            "test_double_of_three",
            "test_double_of_an_array",
            "test_bad_input_is_named",
            "test_quadruple",
            "test_counter",
            "test_other",
        ],
        calls={
            "test_double_of_three": ["double"],
            "test_double_of_an_array": ["double"],
            "test_bad_input_is_named": ["quadruple"],
            "test_quadruple": ["double", "quadruple"],
            "test_counter": ["Counter.add", "double"],
            "test_other": [],
        },
        seconds={},
        raising=["test_bad_input_is_named"],
        failing=[],
        imported=[],
    )
    monkeypatch.setattr(checking, "exercises_of", lambda topic, on_event=None: found)
    return found


@pytest.fixture
def answer(desk):
    """Function that writes an answer: the real source with some parts replaced; returns its path."""

    def write(*replacements, blank=(), source=SOURCE):
        for old, new in replacements:
            assert old in source
            source = source.replace(old, new)
        path = exercises.practice_file(desk)
        path.write_text(cutter.stub(source, set(blank)) if blank else source)
        return path

    return write


def states(report):
    return {function.name: function.status for function in report.functions}


# Which test asks which function.


def test_the_recording_knows_which_test_asks_which_function(desk, known):
    found, _ = exercises.record(desk)
    assert found.functions == known.functions and found.tests == known.tests
    assert found.calls == known.calls and found.raising == known.raising
    assert found.failing == [] and found.imported == [] and found.untested() == []


def test_the_recording_is_kept_until_source_or_tests_change(desk, monkeypatch):
    count = []
    record = exercises.record
    monkeypatch.setattr(exercises, "record", lambda *a, **k: count.append(1) or record(*a, **k))
    first = exercises.exercises_of(desk)
    assert exercises.exercises_of(desk) == first and len(count) == 1
    desk.test_path.write_text(TESTS + "\ndef test_more():\n    assert tiny.double(0) == 0\n")
    assert "test_more" in exercises.exercises_of(desk).calls and len(count) == 2


def test_tests_are_asked_by_the_last_function_that_they_need(known):
    assert known.order() == [
        "test_double_of_three",
        "test_double_of_an_array",
        "test_quadruple",
        "test_counter",
        "test_other",
        "test_bad_input_is_named",
    ]
    assert known.step("test_bad_input_is_named") == 3, "behind all three functions"


def test_a_function_that_refuses_and_does_nothing_else_is_asked_in_its_turn(known):
    only = dataclasses.replace(
        known, calls={**known.calls, "test_quadruple": ["double"]}, raising=known.raising
    )
    assert only.messages == frozenset() and known.messages == {"test_bad_input_is_named"}
    assert only.order().index("test_bad_input_is_named") < only.order().index("test_counter")


def test_a_function_that_no_test_calls_is_reported(desk):
    desk.test_path.write_text(TESTS.replace("counter.add(2)", "14"))
    found, _ = exercises.record(desk)
    assert found.untested() == ["Counter.add"]


# Checks.


def test_the_real_source_passes(desk, known, answer):
    report = checking.check(desk, answer())
    assert report.passes and report.next is None and not report.failures
    assert set(states(report).values()) == {"right"}
    assert report.tests == {"passed": 7, "failed": 0, "skipped": 0, "not_run": 0, "left_out": 0}


def test_the_untouched_stub_fails_because_it_is_unsolved(desk, known, answer):
    report = checking.check(desk, answer(blank=known.functions))
    assert not report.passes and report.problem is None
    assert report.failures[0]["kind"] == "NotImplementedError" and report.failures[0]["unwritten"] == "double"
    assert report.next == "double" and set(states(report).values()) == {"blank"}


def test_after_the_first_function_the_learner_hears_that_it_is_right(desk, known, answer):
    report = checking.check(desk, answer(blank=["quadruple", "Counter.add"]))
    assert states(report) == {"double": "right", "quadruple": "blank", "Counter.add": "blank"}
    assert report.next == "quadruple"
    assert report.tests["passed"] == 2 and report.tests["not_run"] == 4, "it must end at the first one"


@pytest.mark.parametrize("blank", ["double", "quadruple", "Counter.add"])
def test_each_function_alone_left_blank_fails(desk, known, answer, blank):
    report = checking.check(desk, answer(blank=[blank]), slow=False)
    assert not report.passes and report.next == blank


def test_what_was_called_what_came_and_what_was_expected(desk, known, answer):
    report = checking.check(desk, answer(("return 2 * x", "print('x is', x)\n    return 3 * x")))
    (failure,) = report.failures
    assert report.next == "double" and states(report)["double"] == "mend"
    assert failure["called"] == "assert tiny.double(x) == 6"
    assert failure["values"] == {"x": "3"}
    assert (failure["came"], failure["expected"]) == ("9", "6")
    assert failure["printed"].strip() == "x is 3"
    assert "test_tiny.py" in failure["traceback"]


def test_what_a_parameter_of_the_test_calls_is_told(desk, known, answer):
    """Two lambdas on one line, and a function by another name."""
    asked = """
@pytest.mark.parametrize("call", [lambda x: tiny.double(x), lambda x: tiny.double(x + 1) - 2, tiny.double])
def test_double_of_three(call):
    x = 3
    assert call(x) == 6
"""
    desk.test_path.write_text("import pytest\nfrom tinylevel import tiny\n" + asked)
    report = checking.check(desk, answer(("2 * x", "3 * x")), everything=True)
    assert [failure["values"]["call"] for failure in report.failures] == ["lambda x: tiny.double(x)"]
    told = checking.run_tests(desk, answer(("2 * x", "3 * x")), known.functions, stop=False).results.values()
    assert [one.failure["values"]["call"] for one in told] == [
        "lambda x: tiny.double(x)", "lambda x: tiny.double(x + 1) - 2", "double",
    ]  # fmt: skip


def test_an_error_that_the_test_names_by_variables_is_told(desk, answer):
    """What is called raises another error inside the test's own lambda."""
    desk.test_path.write_text(
        "import pytest\nfrom tinylevel import tiny\n"
        "@pytest.mark.parametrize('call, error, text', [(lambda x: tiny.quadruple(x), ValueError, r'a \\(number\\)')])\n"
        "def test_bad(call, error, text):\n"
        "    x = 'one'\n"
        "    with pytest.raises(error, match=text):\n"
        "        call(x)\n"
    )
    path = answer(("if x is None", "x / 2\n    if x is None"))
    told = (
        checking.run_tests(desk, path, ["quadruple"])
        .results["test_bad[<lambda>-ValueError-a \\\\(number\\\\)]"]
        .failure
    )
    assert told["called"] == "call(x)" and told["values"] == {
        "call": "lambda x: tiny.quadruple(x)",
        "x": "'one'",
    }
    assert told["expected"] == "ValueError that says a (number)" and told["came"].startswith("TypeError")


def test_a_test_that_asks_more_than_a_plain_answer_is_no_exercise(desk, answer):
    desk.test_path.write_text(
        "import pytest\nfrom tinylevel import tiny\n"
        "def test_value():\n    assert tiny.double(3) == 6\n"
        "@pytest.mark.beyond_plain\ndef test_speed():\n    assert tiny.double(0.5) == 2\n"
    )
    assert list(checking.run_tests(desk, answer(), ["double"], stop=False).results) == ["test_value"]


def test_arrays_are_told_apart(desk, known, answer):
    report = checking.check(desk, answer(("return 2 * x", "return 2 * x if isinstance(x, int) else x")))
    (failure,) = report.failures
    assert "0., 1., 2." in failure["came"] and "0, 2, 4" in failure["expected"]


def test_an_error_in_the_answer_names_its_line(desk, known, answer):
    report = checking.check(desk, answer(("return double(double(x))", "return double(x) + missing")))
    (failure,) = report.failures
    assert failure["came"].startswith("NameError: name 'missing'")
    assert failure["source"] == "return double(x) + missing"
    assert failure["inside"][-1]["function"] == "quadruple" and report.next == "quadruple"


def test_only_its_errors_right_is_not_right(desk, known, answer):
    broken = answer(("return double(double(x))", "raise ValueError('x must be a number')"))
    report = checking.check(desk, broken)
    assert states(report)["quadruple"] == "mend"


def test_bad_input_makes_no_function_wrong_and_does_not_pass(desk, known, answer):
    report = checking.check(desk, answer(('raise ValueError("x must be a number")', "x = 0")))
    assert set(states(report).values()) == {"right"} and not report.failures and report.next is None
    (message,) = report.messages
    assert (message["called"], message["came"], message["expected"]) == (
        "tiny.quadruple(None)", "no error", "ValueError that says must be a number",
    )  # fmt: skip
    assert not report.passes and report.tests["not_run"] == 0


def test_bad_input_is_not_asked_before_everything_is_written(desk, known, answer):
    report = checking.check(
        desk, answer(('raise ValueError("x must be a number")', "x = 0"), blank=[]), everything=True
    )
    assert len(report.messages) == 1
    unfinished = SOURCE.replace('raise ValueError("x must be a number")', "x = 0")
    report = checking.check(desk, answer(blank=["Counter.add"], source=unfinished))
    assert report.next == "Counter.add" and not report.messages and not report.failures


def test_each_message_is_asked_although_one_failed(desk, known, answer):
    more = "\ndef test_none_is_refused():\n    with pytest.raises(TypeError):\n        tiny.double(None)\n"
    desk.test_path.write_text(TESTS + more)
    known.tests.append("test_none_is_refused")
    known.calls["test_none_is_refused"] = ["double"]
    known.raising.append("test_none_is_refused")
    wrong = answer(
        ('raise ValueError("x must be a number")', "x = 0"),
        ("return 2 * x", 'if x is None:\n        raise KeyError("x")\n    return 2 * x'),
    )
    report = checking.check(desk, wrong)
    assert [message["test"] for message in report.messages] == [
        "test_bad_input_is_named",
        "test_none_is_refused",
    ]
    assert report.messages[1]["came"] == "KeyError: 'x'" and report.messages[1]["expected"] == "TypeError"


def test_where_only_bad_input_is_left_the_learner_hears_it(command, desk, answer):
    desk.path.write_text(
        SOURCE.replace("import math\n", "import math\nfrom shared.arrays import validate_number\n")
    )
    answer(('raise ValueError("x must be a number")', "x = 0"))
    shown = command("check", "tiny").output
    assert "3 of 3 functions are right; still open: 1 message for bad input." in shown
    assert re.search(r"called +tiny.quadruple\(None\)\n +came +no error\n +expected +ValueError", shown)
    assert "next to mend" not in shown and "imported for that: validate_number" in shown
    answer(('raise ValueError("x must be a number")', "x = 0"), ("double(double(x))", "double(x)"))
    wrong = command("check", "tiny").output
    assert "four times three" in wrong and "bad input" not in wrong


def test_a_message_of_the_test_is_told_once_and_without_noise(command, desk, answer):
    long = "the values are right; the memory order is not"
    desk.test_path.write_text(TESTS.replace(
        "    assert tiny.double(x) == 6", f"    y = np.ones((2, x)).T\n    assert y.flags.c_contiguous, '{long}'"
    ))  # fmt: skip
    answer()
    shown = command("check", "tiny").output
    assert shown.count(long) == 1 and "C_CONTIGUOUS" not in shown and "where" not in shown
    assert "called    assert y.flags.c_contiguous\n" in shown


def test_without_a_message_the_values_tell(command, desk, answer):
    desk.test_path.write_text(TESTS.replace("tiny.double(x) == 6", "np.isnan(x)"))
    answer()
    shown = command("check", "tiny").output
    assert "x = 3\n    came      " in shown and "where" not in shown


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"f": lambda x: x, "n": 3}, "{'f': a lambda, 'n': 3}"),
        ([exercises.practice_file], "[practice_file]"),
        ([[].append, "a".join], "[append, join]"),
        (object(), "object"),
        ("<class 'numpy.float32'>", "float32"),
        (
            "assert False\n  C_CONTIGUOUS : False\n  OWNDATA : True\n.c_contiguous",
            "assert False\n.c_contiguous",
        ),
        ("x < 3 and y > 2", "x < 3 and y > 2"),
    ],
)
def test_addresses_and_flags_are_left_out(value, plain):
    from groundup.desk.describe import plainly

    assert plainly(value if isinstance(value, str) else repr(value)) == plain


def test_all_runs_everything_and_judges_each_function(desk, known, answer):
    wrong = answer(("double(double(x))", "double(x)"), ("self.start += double(x)", "self.start -= double(x)"))
    report = checking.check(desk, wrong, everything=True)
    assert states(report) == {"double": "right", "quadruple": "mend", "Counter.add": "mend"}
    assert [failure["function"] for failure in report.failures][:2] == ["quadruple", "Counter.add"]
    assert report.tests["not_run"] == 0


def test_the_whole_can_fail_where_every_function_is_right(desk, known, answer):
    report = checking.check(desk, answer(("quadruple(i) - 4 * i", "quadruple(i) - 5 * i")))
    assert set(states(report).values()) == {"right"} and not report.passes
    assert report.failures[0]["function"] is None


def test_the_module_is_substituted_before_anything_imports_it(desk, known, answer):
    (desk.folder / "tinylevel" / "user.py").write_text("from tinylevel.tiny import Counter\n")
    desk.test_path.write_text("from tinylevel.user import Counter\n" + TESTS)
    report = checking.check(desk, answer(("self.start += double(x)", "self.start = 'mine'")))
    assert report.next == "Counter.add" and report.failures[0]["came"] == "'mine'"


def test_a_saved_change_counts_at_once(desk, known, answer):
    """Two saves of one size within a second: Python alone would take the first one's compiled form."""
    assert checking.check(desk, answer(), slow=False).right == 3
    assert checking.check(desk, answer(("return 2 * x", "return 3 * x")), slow=False).right == 0


# Answers that cannot be run.


def test_an_endless_loop_is_ended_and_named(desk, known, answer, monkeypatch):
    monkeypatch.setattr(checking, "WORK_BOUND", 0.5)
    loop = answer(("return double(double(x))", "while x:\n        double(1)\n    return x"))
    report = checking.check(desk, loop)
    (failure,) = report.failures
    assert failure["outcome"] == "endless" and failure["test"] == "test_quadruple"
    assert report.next == "quadruple" and states(report)["double"] == "right"
    assert {place["function"] for place in failure["inside"]} <= {"quadruple", "double"}


def test_all_goes_on_behind_an_endless_loop(desk, known, answer, monkeypatch):
    monkeypatch.setattr(checking, "WORK_BOUND", 0.5)
    report = checking.check(
        desk, answer(("return 4", "return 4"), ("return double(double(x))", "while True: pass"), source=SOURCE + "\n# return 4\n"),
        everything=True, slow=False,
    )  # fmt: skip
    assert states(report) == {"double": "right", "quadruple": "mend", "Counter.add": "right"}


def test_an_endless_loop_is_ended_by_the_processor_time_that_it_took(desk, known, answer, monkeypatch):
    monkeypatch.setattr(checking, "WORK_BOUND", 2.0)
    known.seconds["test_double_of_three"] = 0.1
    report = checking.check(desk, answer(("return 2 * x", "while True: pass")))
    assert report.next == "double" and report.failures[0]["message"] == "no end within 4.1 seconds"
    assert report.failures[0]["inside"] == [{"line": 9, "function": "double"}]


def test_time_in_which_the_processor_works_for_others_does_not_count(desk, known, answer, monkeypatch):
    monkeypatch.setattr(checking, "WORK_BOUND", 0.5)
    idle = answer(("return 2 * x", "import time; time.sleep(0.8); return 2 * x"))
    assert checking.check(desk, idle, slow=False).passes


def test_a_loop_that_catches_everything_is_ended_too(desk, known, answer, monkeypatch):
    monkeypatch.setattr(checking, "WORK_BOUND", 0.5)
    stubborn = (
        "while True:\n        try:\n            x += 1\n        except BaseException:\n            pass"
    )
    report = checking.check(desk, answer(("return 2 * x", stubborn)))
    assert report.failures[0]["inside"][0]["function"] == "double" and report.next == "double"


def test_an_endless_import_is_ended(desk, known, answer, monkeypatch):
    monkeypatch.setattr(runner, "IMPORT_BOUND", 1.5)
    report = checking.check(desk, answer(source=SOURCE + "\nwhile True:\n    pass\n"))
    assert "does not end" in report.problem and not report.passes


def test_a_crash_is_told(desk, known, answer):
    report = checking.check(desk, answer(("return 2 * x", "import os; os._exit(3)")))
    assert report.failures[0]["kind"] == "Crash" and report.next == "double"


def test_a_syntax_error_names_its_line(desk, known, answer):
    report = checking.check(desk, answer(("return 2 * x", "return 2 *")))
    assert report.problem.startswith("line 9: invalid syntax") and not report.passes


def test_an_import_that_fails_is_told_with_its_line(desk, known, answer):
    report = checking.check(desk, answer(("import math\n", "import math, no_such_module\n")))
    assert report.problem.startswith("line 3: the file cannot be imported: ModuleNotFoundError")


def test_a_missing_function_is_told(desk, known, answer):
    report = checking.check(desk, answer(("def quadruple(x)", "def fourfold(x)")))
    assert states(report)["quadruple"] == "missing" and report.next == "quadruple" and not report.passes


def test_a_missing_file_names_the_command(desk):
    with pytest.raises(DeskError, match="'groundup practice tiny' writes it"):
        checking.check(desk, exercises.practice_file(desk))


# Honesty.


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("from tinylevel.tiny import double as real", "in double: tinylevel.tiny is the real implementation"),
        ("from tinylevel import tiny", "tinylevel.tiny is the real implementation"),
        ("import tinylevel.tiny as t", "is the real implementation"),
        ("from . import tiny", "is the real implementation"),
        ("import importlib; importlib.import_module('tinylevel.tiny')", "is the real implementation"),
        ("import importlib; importlib.import_module('tiny' + 'level')", "a name that is computed"),
        ("from importlib import import_module as get; get('scipy.stats')", "scipy is a reference library"),
        ("__import__('tinylevel.tiny')", "is the real implementation"),
        ("import scipy.stats", "scipy is a reference library; its place is in validate"),
        ("from sklearn import cluster", "sklearn is a reference library"),
        ("import runpy; runpy.run_path('x')", r"run_path\(\) runs code"),
        ("exec(open('tinylevel/tiny.py').read())", r"exec\(\) runs code"),
        ("open('../tinylevel/tiny.py')", "names the real implementation"),
    ],
)
def test_what_does_not_count_is_told(desk, statement, message):
    found = honesty.findings(
        desk, SOURCE.replace("    return 2 * x", f"    {statement}\n    return 2 * x"), SOURCE
    )
    assert any(re.search(message, finding.message) for finding in found), found
    assert found[0].line == 9


def test_an_answer_that_imports_a_reference_does_not_pass(desk, known, answer):
    report = checking.check(desk, answer(("import math\n", "import math\nimport scipy\n")))
    assert "at the top of the file" in report.findings[0]["message"] and not report.passes


def test_a_finding_does_not_hide_which_functions_are_right(desk, known, answer):
    report = checking.check(desk, answer(("return double(double(x))", "import scipy\n    return 4 * x")))
    assert states(report) == {"double": "right", "quadruple": "mend", "Counter.add": "right"}
    assert report.next == "quadruple"


def test_references_in_validate_and_where_the_real_one_uses_them_count(desk):
    original = SOURCE.replace("return math.floor(x)", "import onnx\n    return onnx")
    in_validate = original.replace("from math import fsum", "import scipy.stats, sklearn")
    assert honesty.findings(desk, in_validate, original) == []
    elsewhere = original.replace("return 2 * x", "import onnx\n    return 2 * x")
    assert [finding.function for finding in honesty.findings(desk, elsewhere, original)] == ["double"]


def test_harmless_names_count(desk):
    source = SOURCE.replace(
        "return 2 * x", 'import re; re.compile("x"); self = x; """See tiny.py"""\n    return 2 * x'
    )
    assert honesty.findings(desk, source, SOURCE) == []


@pytest.mark.parametrize("topic", catalogue.topics().values(), ids=lambda topic: topic.name)
def test_the_real_sources_are_honest(topic):
    source = topic.path.read_text()
    assert honesty.findings(topic, source, source) == []
    assert honesty.findings(topic, cutter.stub(source), source) == []


# Substitution, on a real topic.


def test_failure_modes_and_type_checks_meet_the_substituted_module(tmp_path):
    real = catalogue.get("k_means").path.read_text()
    mine = tmp_path / "k_means.py"
    mine.write_text(real + "\nMINE = True\n")
    code = """
        import sys
        from jaxtyping import install_import_hook
        install_import_hook(["level2_classical"], "beartype.beartype")
        from level2_classical.failure_modes import k_means as failures
        from level2_classical import k_means
        import numpy as np
        assert k_means.MINE and failures.KMeans is k_means.KMeans
        try:
            k_means.nearest_center(np.ones(3), np.ones((2, 1)))
        except Exception as error:
            assert type(error).__name__ == "TypeCheckError", error
        else:
            raise AssertionError("the shapes were not checked")
        print(k_means.__file__)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=tmp_path,
        env=environment({"level2_classical.k_means": str(mine)}, ROOT), timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(mine)


def test_another_sitecustomize_still_runs(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.other_was_here = True\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", "print(other_was_here)"], capture_output=True, text=True,
        env=environment({"no.such": "thing.py"}, ROOT), timeout=600,
    )  # fmt: skip
    assert done.stdout.strip() == "True", done.stderr


# Solutions.


def test_solution_shows_function_by_function_what_differs(desk):
    mine = SOURCE.replace("return 2 * x", "return x + x").replace(
        "import math\n", "import math\nimport sys\n"
    )
    found = solution.differences(mine, SOURCE, "mine", "real")
    assert [difference.name for difference in found] == ["double", solution.ELSEWHERE]
    assert "-    return x + x" in found[0].lines and "+    return 2 * x" in found[0].lines
    assert "@@ -7,4 +6,4 @@" in found[0].lines
    assert "-import sys" in found[1].lines


def test_solution_of_one_function(desk):
    stub = cutter.stub(SOURCE)
    (found,) = solution.differences(stub, SOURCE, "mine", "real", "add")
    assert found.name == "Counter.add"
    with pytest.raises(DeskError, match=r"did you mean double\?"):
        solution.differences(stub, SOURCE, "mine", "real", "doubel")
    assert solution.differences(SOURCE.replace("\n", "\r\n"), SOURCE, "mine", "real") == []


# Progress.


def attempt(topic, right, passes, answer_hash="a", next_function=None, functions="fgh"):
    progress.remember(
        topic,
        answer_hash=answer_hash,
        right=functions[:right],
        functions=functions,
        passes=passes,
        next_function=next_function,
    )


def test_progress_keeps_attempts_and_passes(desk):
    assert not progress.standings()["tiny"].started
    attempt("tiny", 1, False, next_function="quadruple")
    standing = progress.standings()["tiny"]
    assert (standing.attempts, standing.passed, standing.functions_right) == (1, False, 1)
    assert standing.next_function == "quadruple"
    attempt("tiny", 3, True, "first pass")
    attempt("tiny", 0, False, "broken again")
    standing = progress.standings()["tiny"]
    assert (standing.attempts, standing.passed, standing.answer_hash) == (3, True, "first pass")
    assert (desk.folder / "home" / "progress.sqlite3").is_file()


def test_each_clone_has_its_own_progress(desk, monkeypatch):
    attempt("tiny", 3, True)
    monkeypatch.setattr(progress, "ROOT", desk.folder / "another clone")
    assert not progress.standings()["tiny"].started


@pytest.fixture
def older(desk):
    """A file of progress as it was before clones were told apart, with one passed topic."""
    progress.database().parent.mkdir(parents=True)
    with sqlite3.connect(progress.database()) as connection:
        connection.execute(
            "CREATE TABLE attempts (number INTEGER PRIMARY KEY, topic TEXT NOT NULL, at TEXT NOT NULL, answer_hash "
            "TEXT NOT NULL, functions_right INTEGER NOT NULL, functions_total INTEGER NOT NULL, passes INTEGER NOT "
            "NULL, next TEXT)"
        )
        connection.execute("INSERT INTO attempts VALUES (1, 'tiny', '2026-01-01', 'a', 3, 3, 1, NULL)")


def test_older_progress_counts_where_the_answer_lies(older, answer):
    answer()
    assert progress.standings()["tiny"].passed


def test_older_progress_does_not_tick_off_a_fresh_clone(older):
    assert not progress.standings()["tiny"].started


def test_an_older_file_takes_new_attempts(older):
    attempt("tiny", 2, False)
    assert progress.standings()["tiny"].functions_right == 2


def test_a_function_added_to_the_topic_is_still_to_be_written(desk):
    attempt("tiny", 3, True)
    attempt("tiny", 3, False, functions="fghi")
    standing = progress.standings()["tiny"]
    assert (standing.functions_right, standing.functions_total, standing.passed) == (3, 4, False)


def test_a_function_taken_out_of_the_topic_is_not_counted(desk):
    attempt("tiny", 3, False, functions="fghi")
    attempt("tiny", 0, False, functions="ghi")
    standing = progress.standings()["tiny"]
    assert (standing.functions_right, standing.functions_total) == (2, 3)


def test_next_follows_the_graph(desk):
    assert [topic.name for topic in progress.following()] == ["tiny"]
    attempt("tiny", 3, True)
    assert [topic.name for topic in progress.following()] == ["after"]
    attempt("after", 3, True)
    assert progress.following() == []


def test_a_spoilt_database_is_one_plain_line(desk):
    progress.database().parent.mkdir(parents=True)
    progress.database().write_text("this is not a database, but it is long enough to look like one" * 20)
    with pytest.raises(DeskError, match=r"could not be read from .*progress\.sqlite3"):
        progress.standings()


# The commands.


@pytest.fixture
def command(desk, known):
    """Function that runs one of the desk's commands in this process."""
    app = typer.Typer()
    commands.register(app)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_practice_never_overwrites(command, desk, monkeypatch):
    monkeypatch.setattr(exercises, "exercises_of", lambda *a: None)
    done = command("practice", "tiny")
    path = exercises.practice_file(desk)
    assert done.exit_code == 0 and path.read_text() == cutter.stub(SOURCE)
    assert "3 functions to write" in done.output and "double, in line 6" in done.output
    path.write_text("my work")
    again = command("practice", "tiny")
    assert again.exit_code == 1 and path.read_text() == "my work"
    assert "--fresh" in again.stderr and len(again.stderr.splitlines()) == 1
    for number in (1, 2):
        assert command("practice", "tiny", "--fresh").exit_code == 0
        assert path.with_name(f"tiny.py.bak-{number}").is_file()
    assert path.with_name("tiny.py.bak-1").read_text() == "my work"


def test_a_learner_fails_mends_and_passes(command, answer):
    wrong = command("check", "tiny") if answer(("return 2 * x", "return 3 * x")) else None
    assert wrong.exit_code == 1 and "double is next to mend" in wrong.output
    assert "Traceback" not in wrong.output and "test_tiny.py:" not in wrong.output
    assert "test_tiny.py:" in command("check", "tiny", "-v").output
    answer()
    right = command("check", "tiny")
    assert right.exit_code == 0 and "Passed." in right.output
    shown = command("progress")
    assert "1 of 2 topics passed" in shown.output
    assert "Next: after" in command("next").output
    standing = json.loads(command("progress", "--json").output)
    assert standing[0]["passed"] and standing[0]["attempts"] == 3
    assert json.loads(command("next", "--json").output)[0]["topic"] == "after"


def test_check_as_json(command, answer, known):
    answer(blank=["quadruple"])
    done = command("check", "tiny", "--json")
    found = json.loads(done.output)
    assert done.exit_code == 1 and found["next"] == "quadruple" and not found["passes"]
    assert [function["status"] for function in found["functions"]] == ["right", "blank", "right"]


def test_cheating_is_told_once_above_the_functions(command, answer):
    answer(("    return 2 * x", "    import scipy\n    return 2 * x"))
    done = command("check", "tiny")
    assert done.exit_code == 1 and done.output.count("does not count") == 1
    assert re.search(r"does not count: line 9, in double: scipy is .*\n +double +next to mend", done.output)


def test_functions_that_do_not_count_are_not_remembered(command, answer):
    answer(("import math\n", "import math\nimport scipy\n"))
    command("check", "tiny")
    assert progress.standings()["tiny"].functions_right == 0


def test_a_hanging_test_names_its_function_and_points_to_watch(command, answer):
    answer(("return double(double(x))", "import signal; signal.pause()"))  # waits, and does not work
    shown = command("check", "tiny", "--timeout", "3").output
    assert "the test of quadruple came to no end within 3 seconds, in quadruple, line 16" in shown
    assert "groundup check tiny --watch" in shown


def test_progress_names_the_place_where_it_is_kept(command, desk):
    assert f"Kept for this clone in {desk.folder / 'home' / 'progress.sqlite3'}" in command("progress").output


def test_the_path_of_the_answer_can_be_typed_from_here(command, desk, monkeypatch):
    monkeypatch.setattr(exercises, "exercises_of", lambda *a: None)
    monkeypatch.chdir(ROOT)
    assert command("practice", "tiny").output.startswith(f"{desk.folder / 'practice' / 'tiny.py'} is yours")
    monkeypatch.chdir(desk.folder)
    assert (
        command("practice", "tiny", "--fresh").output.splitlines()[1].startswith("practice/tiny.py is yours")
    )


@pytest.mark.parametrize("name", ["practice", "check", "solution"])
def test_an_unknown_topic_is_a_usage_error(command, name):
    done = command(name, "tinny")
    assert done.exit_code == 2 and done.stderr.strip().count("\n") == 0 and "did you mean tiny" in done.stderr


@pytest.mark.parametrize("arguments", [["check", "tiny"], ["solution", "tiny", "--all"]])
def test_nothing_practiced_yet_is_a_usage_error(command, arguments):
    done = command(*arguments)
    assert done.exit_code == 2 and "'groundup practice tiny' writes it" in done.stderr


@pytest.mark.parametrize("options", [[], ["--function", "double", "--all"]])
def test_all_answers_at_once_must_be_asked_for(command, answer, options):
    answer(blank=["double"])
    done = command("solution", "tiny", *options)
    assert done.exit_code == 2 and "return 2 * x" not in done.output
    line, names = done.stderr.splitlines()
    assert "--function NAME or --all is needed" in line and names == "  double, quadruple, Counter.add"


def test_all_answers_are_shown_when_asked_for(command, answer):
    answer(blank=["double", "Counter.add"])
    done = command("solution", "tiny", "--all")
    assert (
        done.exit_code == 0
        and "+    return 2 * x" in done.output
        and "+        return self.start" in done.output
    )


def test_solution_is_shown(command, answer):
    answer(blank=["double"])
    done = command("solution", "tiny", "--function", "double")
    assert done.exit_code == 0 and "+    return 2 * x" in done.output


def test_watch_checks_again_on_save_until_it_passes(command, answer, monkeypatch):
    path = answer(blank=["double"])
    seen = []

    def check_once(topic, path, *options):
        seen.append(path.read_text() == SOURCE)
        return 0 if seen[-1] else 1

    def save():
        while len(seen) < 1:
            time.sleep(0.02)
        while len(seen) < 2:
            path.write_text(SOURCE)
            time.sleep(0.3)

    monkeypatch.setattr(commands, "_check_once", check_once)
    saver = threading.Thread(target=save, daemon=True)
    saver.start()
    done = command("check", "tiny", "--watch")
    assert done.exit_code == 0 and seen == [False, True]


def test_watch_without_watchfiles_names_the_command(command, answer, monkeypatch):
    answer()
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    done = command("check", "tiny", "--watch")
    assert done.exit_code == 1 and "pip install watchfiles" in done.stderr


def test_the_commands_import_nothing_heavy():
    code = (
        "import sys, groundup.desk.commands; "
        "print(sorted({'rich', 'numpy', 'pytest', 'watchfiles', 'sqlite3', 'platformdirs'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.stdout.strip() == "[]", done.stderr


# The proof.


def test_the_proof_finds_what_is_wrong_with_exercises(desk):
    assert problems(desk, whole=True) == []
    desk.test_path.write_text(TESTS.replace("counter.add(2) == 14", "counter.add"))
    (hole,) = problems(desk)
    assert hole.startswith("Counter.add: no test calls it")
    desk.test_path.write_text(TESTS.replace("counter.add(2) == 14", "counter.add(2) or True"))
    assert problems(desk) == []


def test_the_proof_finds_a_test_that_overlooks_a_blank_function(desk):
    careless = "try:\n        counter.add(2)\n    except NotImplementedError:\n        pass"
    desk.test_path.write_text(TESTS.replace("assert counter.add(2) == 14", careless))
    (hole,) = problems(desk)
    assert hole == "Counter.add: left blank, it passes the tests that call it (test_counter)"


def test_the_proof_finds_taught_code_that_runs_at_import(desk):
    desk.test_path.write_text(TESTS + "\nFOUR = tiny.double(2)\n")
    (hole,) = problems(desk)
    assert hole.startswith("double is called by the import") and "practice: keep" in hole


def test_the_proof_finds_a_real_source_that_fails(desk):
    desk.test_path.write_text(TESTS.replace("== 12", "== 13"))
    assert "the real source fails test_quadruple" in problems(desk)


# The core alone.

CORE = "# ---\n# jupyter:\n# ---\n" + SOURCE.replace(
    "def quadruple(x):", "def quadruple(x):  # practice: core"
)


def test_practice_asks_for_the_core(command, desk, monkeypatch):
    monkeypatch.setattr(exercises, "exercises_of", lambda *a: None)
    desk.path.write_text(CORE)
    done = command("practice", "tiny")
    text = exercises.practice_file(desk).read_text()
    assert "1 functions to write" in done.output and "--all' asks for all 3" in done.output
    assert [function.name for function in cutter.functions(text) if function.blank] == ["quadruple"]
    assert "A plain version is right here" in text
    assert command("practice", "tiny", "--fresh", "--all").exit_code == 0
    text = exercises.practice_file(desk).read_text()
    assert [function.name for function in cutter.functions(text) if function.blank] == [
        "double",
        "quadruple",
        "Counter.add",
    ]


def test_a_learner_of_the_core_is_asked_for_no_more(command, desk, known, monkeypatch):
    monkeypatch.setattr(exercises, "exercises_of", lambda *a: known)
    desk.path.write_text(CORE)
    command("practice", "tiny")
    path = exercises.practice_file(desk)
    first = command("check", "tiny")
    assert first.exit_code == 1 and "0 of 1 functions are right" in first.output
    assert "double" not in first.output, "what is given is not listed"
    path.write_text(
        path.read_text().replace('raise NotImplementedError("quadruple: yours to write")', "return 4 * x")
    )
    mended = command("check", "tiny")
    assert "1 of 1" in mended.output or "quadruple is next to mend" in mended.output
    assert "core" in command("progress").output


def test_a_given_function_that_was_changed_counts_again(command, desk, known):
    desk.path.write_text(CORE)
    stub = cutter.with_note(CORE, "tiny", 1, everything=False)
    exercises.practice_file(desk).write_text(stub.replace("return 2 * x", "return 3 * x"))
    found = json.loads(command("check", "tiny", "--json").output)
    (double,) = [function for function in found["functions"] if function["name"] == "double"]
    assert not double["given"] and double["status"] == "mend"
