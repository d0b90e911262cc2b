"""The cutter: what stays of a topic's source, what is taken out, and that the rest is untouched to the byte."""

import ast

import pytest

from groundup import catalogue
from groundup.desk import cutter


def names(source):
    return [function.name for function in cutter.taught(source)]


def run(source):
    space = {}
    exec(compile(source, "stub", "exec"), space)
    return space


def test_a_body_becomes_a_raise_that_names_the_function():
    stub = cutter.stub("def double(x):\n    y = x\n    return 2 * y\n")
    assert stub == 'def double(x):\n    raise NotImplementedError("double: yours to write")\n'
    with pytest.raises(NotImplementedError, match=r"^double: yours to write$"):
        run(stub)["double"](1)


def test_docstring_signature_and_everything_outside_bodies_stay_to_the_byte():
    source = (
        "# %% [markdown]\n# $x^2$\n\n# %%\nimport math\nLIMIT  =  3   # odd spacing\n\n\n"
        'def f(\n    x: "Float[d]",  # the input\n    *,\n    y=LIMIT,\n) -> float:\n    """Says\n\n    what.\n    """\n'
        "    return x\n\n\nafter = 1\n"
    )
    raised = '    raise NotImplementedError("f: yours to write")\n'
    assert cutter.stub(source) == source.replace("    return x\n", raised)


def test_comments_stay_as_scaffold():
    source = (
        "def f(x):\n"
        "    # first the square\n"
        "    square = x * x  # (n,)\n"
        "    for i in range(3):  # three times\n"
        "        # $x_{i+1} = x_i$\n"
        "        square = (\n"
        "            square  # a\n"
        "            + 1\n"
        "        )  # b\n"
        "    a, b = 1, '# no comment'  # noqa: E501\n"
        "    return square  # the end\n"
        "    # after the end\n"
        "\n"
        "# outside\n"
    )
    assert cutter.stub(source).splitlines() == [
        "def f(x):",
        "    # first the square",
        "    # square = ...  # (n,)",
        "    # three times",
        "    # $x_{i+1} = x_i$",
        "    # a",
        "    # square = ...  # b",
        "    # return ...  # the end",
        '    raise NotImplementedError("f: yours to write")',
        "    # after the end",
        "",
        "# outside",
    ]


def test_what_is_marked_or_not_taught_stays():
    source = """
def helper(x):  # practice: keep
    return x

def long_signature(
    x,
    y,
):  # practice: keep
    return x + y

@staticmethod  # practice: keep
def decorated(x):
    return x

def validate():
    return []

def example():
    return 1

def benchmarks():
    return []

class Kept:  # practice: keep
    def method(self):
        return 1

class Thing:
    def __repr__(self):
        return "thing"

    def __str__(self):
        return "thing"

    def validate(self):
        return "a method of that name is taught"

    def empty(self):
        \"\"\"Nothing to write.\"\"\"

    def abstract(self):
        raise NotImplementedError

    def also_abstract(self):
        \"\"\"Says why.\"\"\"
        raise NotImplementedError("subclasses say how")

    def work(self):
        text = "# practice: keep"
        return text

if __name__ == "__main__":
    def shown():
        return 1
"""
    assert names(source) == ["Thing.validate", "Thing.work"]


def test_a_constructor_that_only_stores_its_parameters_is_not_taught():
    source = """
class A:
    def __init__(self, a, b=1):
        super().__init__(b)
        self.a = a
        del self.c

class B:
    def __init__(self, a):
        self.a = a
        self.table = list(range(a))
"""
    assert names(source) == ["B.__init__"]


def test_decorators_defaults_and_class_bodies_run_at_import():
    source = """
import contextlib, functools
from dataclasses import dataclass
from typing import NamedTuple

def registered(function):  # practice: keep
    return function

@registered
@functools.cache
def f(x=len("abc")):
    return x

@contextlib.contextmanager
def opened():
    yield 1

@dataclass(frozen=True)
class Point:
    x: int = 1

    @property
    def twice(self) -> int:
        return 2 * self.x

    @classmethod
    def origin(cls):
        return cls(0)

    @staticmethod
    def three():
        return 3

class Pair(NamedTuple):
    a: int
"""
    assert names(source) == ["f", "opened", "Point.twice", "Point.origin", "Point.three"]
    space = run(cutter.stub(source))
    assert space["Pair"](1).a == 1
    with pytest.raises(NotImplementedError, match=r"Point\.twice"):
        _ = space["Point"](2).twice


def test_getter_and_setter_are_told_apart():
    source = (
        "class A:\n    @property\n    def x(self):\n        return self._x\n\n"
        "    @x.setter\n    def x(self, value):\n        self._x = value\n"
    )
    assert names(source) == ["A.x", "A.x.setter"]
    assert "A.x.setter: yours to write" in cutter.stub(source)


def test_nested_functions_go_with_their_body_and_async_stays_async():
    source = (
        "async def fetch(x):\n    @wrap\n    def inner(y):\n        # inside\n        return y\n\n"
        "    return inner(x)\n"
    )
    stub = cutter.stub(source)
    assert names(source) == ["fetch"]
    assert stub == (
        'async def fetch(x):\n    # inside\n    raise NotImplementedError("fetch: yours to write")\n'
    )


@pytest.mark.parametrize(
    ("source", "stub"),
    [
        ("def f(x): return x\n", 'def f(x): raise NotImplementedError("f: yours to write")\n'),
        (
            "def f(x): return x  # short\n",
            'def f(x): raise NotImplementedError("f: yours to write")  # short\n',
        ),
        ("def f(x): a = x; return a\n", 'def f(x): raise NotImplementedError("f: yours to write")\n'),
        (
            'def f(é="ü"): "doc"; return é\n',
            'def f(é="ü"): "doc"; raise NotImplementedError("f: yours to write")\n',
        ),
        ("def f(x):\n    return x", 'def f(x):\n    raise NotImplementedError("f: yours to write")'),
        ("def f(x):\n\treturn x\n", 'def f(x):\n\traise NotImplementedError("f: yours to write")\n'),
    ],
    ids=["one line", "with comment", "two statements", "not ASCII", "no last newline", "tabs"],
)
def test_odd_layouts(source, stub):
    assert cutter.stub(source) == stub
    assert names(cutter.stub(source)) == ["f"]


def test_line_endings_stay():
    source = 'def f(x):\r\n    """Doc."""\r\n    # why\r\n    return (\r\n        x\r\n    )\r\n\r\ny = 1\r\n'
    stub = cutter.stub(source)
    assert stub == source.replace(
        "    return (\r\n        x\r\n    )\r\n", '    raise NotImplementedError("f: yours to write")\r\n'
    )


def test_form_feeds_and_unicode_separators_are_no_line_ends():
    source = 'text = "a\u2028b"\n\x0cdef f(x):\n    return x\n\n\ndef g(x):\n    return x\n'
    assert cutter.stub(source).startswith('text = "a\u2028b"\n\x0cdef f(x):\n    raise')
    assert names(source) == ["f", "g"]


def test_a_single_function_can_be_emptied():
    source = "def f():\n    return 1\n\n\ndef g():\n    return 2\n"
    stub = cutter.stub(source, {"g"})
    assert [function.blank for function in cutter.taught(stub)] == [False, True]
    assert "return 1" in stub and "return 2" not in stub


def test_a_written_function_is_not_blank():
    source = 'def f():\n    raise ValueError("f: yours to write it is not")\n'
    assert not cutter.taught(source)[0].blank


def test_probes_are_called_and_change_nothing_else():
    source = "def f(x): return x\n\n\ndef g(x):\n    'Doc.'\n    for _ in x:\n        return f(2)\n"
    calls = []
    space = {"__desk_called__": calls.append}
    exec(compile(cutter.instrument(source), "probed", "exec"), space)
    assert space["g"]("a") == 2 and space["g"].__doc__ == "Doc."
    assert calls == ["g", "f"]


@pytest.mark.parametrize("topic", catalogue.topics().values(), ids=lambda topic: topic.name)
def test_every_topic_can_be_cut(topic):
    source = topic.path.read_bytes().decode()
    stub = cutter.stub(source)
    blank = [function.name for function in cutter.functions(stub) if function.blank]
    assert blank == names(source) and len(blank) >= 3
    ast.parse(cutter.instrument(source))
    original = {line.strip() for line in source.splitlines()}
    kept = (line.rpartition(" ...  ")[2].strip() for line in stub.splitlines() if cutter.MARK not in line)
    foreign = [line for line in kept if line not in original and not any(line in o for o in original)]
    assert not foreign, "a stub holds lines of the source only"


# What is asked: the core, or everything.


MARKED = """# ---
# jupyter:
#   jupytext:
# ---
def plain(x):  # practice: core
    return x


def long(
    x,  # practice: core
):
    return 2 * x


def chore(x):
    return 3 * x
"""


def test_the_core_is_what_is_marked():
    assert cutter.core(MARKED) == ["plain", "long"]
    assert [function.name for function in cutter.taught(MARKED)] == ["plain", "long", "chore"]


def test_without_marks_everything_is_the_core():
    assert cutter.core(MARKED.replace("core", "")) == ["plain", "long", "chore"]


@pytest.mark.parametrize(
    ("everything", "expected"), [(False, ["plain", "long"]), (True, ["plain", "long", "chore"])]
)
def test_the_note_says_what_is_asked(everything, expected):
    answer = cutter.with_note(cutter.stub(MARKED), "topic", 2, everything=everything)
    assert cutter.asked(answer, MARKED) == expected
    assert answer.startswith("# ---\n") and "A plain version is right here" in answer.splitlines()[4]


def test_a_file_without_a_note_is_asked_for_everything():
    assert cutter.asked(cutter.stub(MARKED), MARKED) == ["plain", "long", "chore"]
