"""The desk names the function that is wrong: real code takes the place of the learner's until the test passes."""

import os
from pathlib import Path

import pytest

from groundup.desk import culprit, exercises, swap
from groundup.desk.mistakes import Mistake, read_mistakes
from groundup.desk.proof import problems

TINY = Path(__file__).parent / "tiny"  # the fixture `desk` is this topic
SOURCE = (TINY / "tiny.py").read_text(encoding="utf-8")
OWN_WORDS = (
    SOURCE.replace("return 2 * x", "return x + x")
    .replace("return double(double(x))", "y = double(x)\n    return double(y)")
    .replace("self.start += double(x)", "self.start = self.start + double(x)")
)
KNOWN = exercises.Exercises(
    functions=["double", "quadruple", "Counter.add"],
    tests=["test_double_of_three", "test_quadruple", "test_counter"],
    calls={
        "test_double_of_three": ["double"],
        "test_quadruple": ["double", "quadruple"],
        "test_counter": ["Counter.add", "double"],
    },
    seconds={},
    raising=[],
    failing=[],
    imported=[],
)
MISTAKES = [
    ("return x + x", "return x + x + 1", "test_quadruple", "double"),
    ("return double(y)", "return y", "test_quadruple", "quadruple"),
    ("self.start + double(x)", "double(x)", "test_counter", "Counter.add"),
    ("return x + x", "while True: pass", "test_counter", "double"),
    ("return x + x", "import os; os.abort()", "test_counter", "double"),
]


def named(topic, before, after, test, suspects=None):
    assert OWN_WORDS.count(before) == 1
    answer = OWN_WORDS.replace(before, after)
    return culprit.culprit(topic, answer, SOURCE, KNOWN, test, suspects or KNOWN.calls[test])[0]


@pytest.mark.parametrize("before, after, test, guilty", MISTAKES)
def test_the_guilty_function_is_named(desk, monkeypatch, before, after, test, guilty):
    monkeypatch.setattr(culprit, "WORK_BOUND", 0.5)
    assert named(desk, before, after, test) == guilty


@pytest.mark.parametrize("reason", ["no forks", "another signature"])
def test_it_is_named_too_where_code_cannot_be_exchanged(desk, monkeypatch, reason):
    if reason == "no forks":
        monkeypatch.delattr(os, "fork", raising=False)
        assert named(desk, "return double(y)", "return y", "test_quadruple") == "quadruple"
    else:
        wrong_default = ("def double(x):", "def double(x, by=3):\n    return by * x\n\ndef unused(x):")
        assert named(desk, *wrong_default, "test_quadruple") == "double"


def test_of_two_that_are_wrong_one_is_named_and_that_there_is_another(desk):
    answer = OWN_WORDS.replace("return x + x", "return x").replace("return double(y)", "return y")
    found = culprit.culprit(desk, answer, SOURCE, KNOWN, "test_quadruple", ["quadruple", "double"])
    assert found == ("double", False)


def test_none_is_named_where_the_fault_is_outside_the_functions(desk):
    answer = OWN_WORDS + "\ndouble = abs\n"
    found = culprit.culprit(desk, answer, SOURCE, KNOWN, "test_quadruple", ["quadruple", "double"])
    assert found == (None, False)


def test_a_validation_that_fails_names_a_function_too(desk):
    careless = desk.test_path.read_text().replace("tiny.quadruple(3) == 12", "tiny.quadruple(3) > 0")
    desk.test_path.write_text(careless)
    assert named(desk, "return double(y)", "return y", "test_agrees", ["double", "quadruple"]) == "quadruple"


def test_what_stands_as_in_the_real_file_is_no_candidate():
    source = "def a(x):\n    return x\n\n\ndef b(x):\n    return 2 * x\n"
    assert culprit.candidates(source.replace("2 *", "3 *"), source, ["b", "a", "b"]) == ["b"]


def test_one_function_is_replaced_and_no_other():
    source = "def a(x):\n    return x\n\n\ndef b(x):\n    y = 2\n    return y * x\n"
    mine = "def a(x):\n    return 5 * x\n\n\ndef b(x):\n    return x + x + x\n"
    assert culprit.replaced(mine, source, ["b"]) == mine.replace(
        "    return x + x + x\n", "    y = 2\n    return y * x\n"
    )


@pytest.mark.parametrize("guilty", "abcdefgh")
def test_the_search_halves(guilty):
    trials = []

    def mends(chosen):
        trials.append(chosen)
        return guilty in chosen

    assert swap.search("abcdefgh", mends) == (guilty, True)
    assert len(trials) <= 6, "the likeliest; three halvings; all; the guilty one alone"


def test_the_search_ends_at_the_last_of_several():
    assert swap.search("abcdefgh", lambda chosen: {"b", "e"} <= set(chosen)) == ("e", False)
    assert swap.search("abc", lambda chosen: False) == (None, False)


def test_code_is_exchanged_wherever_the_function_is_held(tmp_path):
    text = "import functools\n\n\n@functools.cache\ndef a(x):\n    return x\n\n\nclass B:\n    @property\n    def b(self):\n        return 1\n"
    space = {}
    exec(compile(text, "mine.py", "exec"), space)
    held, other = (
        [space["a"]],
        swap.codes(text.replace("return x", "return -x").replace("return 1", "return 2"), "real.py"),
    )
    with swap.swapped(swap.loaded(text, "mine.py"), {name: other[name] for name in ("a", "B.b")}):
        assert (held[0](5), space["B"]().b) == (-5, 2)
    assert (held[0](6), space["B"]().b) == (6, 1)


# Planted mistakes.

OFF_BY_ONE = Mistake("quadruple", "off by one step", "double(double(x))", "double(x)")


def test_a_planted_mistake_is_caught_and_named(desk):
    assert problems(desk, mistakes=[OFF_BY_ONE]) == []


def test_a_mistake_that_no_test_notices_is_told(desk):
    careless = desk.test_path.read_text().replace("tiny.quadruple(3) == 12", "tiny.quadruple(3) > 0")
    desk.test_path.write_text(careless)
    assert problems(desk, mistakes=[OFF_BY_ONE]) == [
        "quadruple, off by one step: no test of its values fails"
    ]


@pytest.mark.parametrize(
    "mistake, told",
    [
        (Mistake("quadruple", "", "triple(x)", "x"), "stands in it 0 times"),
        (Mistake("quadruple", "", "double", "triple"), "stands in it 2 times"),
        (Mistake("quadruple", "", "double(double(x))", "("), "no Python"),
        (Mistake("triple", "", "x", "y"), "no function has this name"),
        (Mistake("other", "", "floor", "ceil"), "not taught"),
    ],
)
def test_a_mistake_that_does_not_fit_the_source_is_told(desk, mistake, told):
    (found,) = problems(desk, mistakes=[mistake])
    assert told in found and mistake.function in found


def test_a_file_of_mistakes_with_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text('[[mistake]]\nfunction = "double"\nnow = "x"\n')
    with pytest.raises(ValueError, match=r"tiny\.toml.*now"):
        read_mistakes(path)
