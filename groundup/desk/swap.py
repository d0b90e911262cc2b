"""Put other code into the functions of a module that is loaded: no file is written, nothing is imported again.

Every function object that was made from a definition gets the other one's code, wherever it is held: in a
class, behind a decorator or a type check, in a table of a test. Standard library only.
"""

from __future__ import annotations

import ast
import gc
import inspect
import types
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from groundup.desk import cutter

__all__ = ["codes", "exchangeable", "loaded", "search", "swapped"]


def codes(source: str, filename: str) -> dict[str, types.CodeType]:
    """The compiled body of each function of a source, by the names that `cutter.functions` gives.

    Raises:
        SyntaxError: the source is not Python.
    """
    found: list[types.CodeType] = []

    def visit(code: types.CodeType) -> None:
        for part in code.co_consts:
            if isinstance(part, types.CodeType):
                found.append(part)
                if not part.co_flags & inspect.CO_NEWLOCALS:  # the body of a class
                    visit(part)

    visit(compile(source, filename, "exec", dont_inherit=True))
    return {
        function.name: code for function in cutter.functions(source) for code in found if _is(code, function)
    }


def loaded(source: str, filename: str) -> dict[str, list[types.FunctionType]]:
    """The function objects that this process made from a file with that source, by name."""
    objects = [
        one
        for one in gc.get_objects()
        if type(one) is types.FunctionType  # isinstance would ask a weak proxy for its class
        and one.__code__.co_filename == filename
        and "<locals>" not in one.__qualname__
    ]
    return {
        function.name: [one for one in objects if _is(one.__code__, function)]
        for function in cutter.functions(source)
    }


def exchangeable(source: str, other: str, names: Collection[str]) -> bool:
    """Whether the definitions differ in their bodies alone: exchanging the code then exchanges all of it."""
    mine, theirs = ({f.name: f for f in cutter.functions(text)} for text in (source, other))
    ours, others = codes(source, ""), codes(other, "")
    return all(
        _head(mine[name]) == _head(theirs[name]) and ours[name].co_freevars == others[name].co_freevars
        for name in names
    )


@contextmanager
def swapped(
    functions: dict[str, list[types.FunctionType]], others: dict[str, types.CodeType]
) -> Iterator[None]:
    """Within this block the named functions run the other code, which must be `exchangeable`."""
    before = [(function, function.__code__) for name in others for function in functions[name]]
    try:
        for name, code in others.items():
            for function in functions[name]:
                function.__code__ = code
        yield
    finally:
        for function, code in before:
            function.__code__ = code


def search(suspects: Sequence[str], mends: Callable[[Collection[str]], bool]) -> tuple[str | None, bool]:
    """A suspect without whose replacement it is not mended, and whether its replacement alone mends; None if all do not.

    Sought is the shortest beginning of the list that mends: its last one is guilty, because those before it do not
    mend without it. The first, the likeliest, is tried alone; then the length is halved, so that there are about
    log₂ as many trials as suspects. Of several guilty ones it is the last of the list.
    """
    if not suspects:
        return None, False
    if mends(suspects[:1]):
        return suspects[0], True
    low, high = 1, len(suspects)  # the first `low` do not mend
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if mends(suspects[:middle]) else (middle, high)
    if high == len(suspects) and (high == low or not mends(suspects)):
        return None, False
    guilty = suspects[high - 1]
    return guilty, mends([guilty])


def _head(function: cutter.Function) -> str:
    """Kind, decorators, arguments and defaults of a definition."""
    node = function.node
    return " ".join([type(node).__name__, *map(ast.unparse, node.decorator_list), ast.unparse(node.args)])


def _is(code: types.CodeType, function: cutter.Function) -> bool:
    """Whether the code was compiled from that definition."""
    lines = [line for _, _, line in code.co_lines() if line]
    last = max(lines, default=0)
    return code.co_name == function.node.name and function.line <= last <= function.last_line
