"""What a failed test says to a learner: what was called and with what, what came, what was expected."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

__all__ = ["clip", "describe", "plainly"]

CLIP = 400  # characters of one value in a report


def describe(
    excinfo: Any, answer: str, comparison: tuple[str, Any, Any] | None, item: pytest.Item | None
) -> dict[str, Any]:
    """What a learner wants to know of a failure: what was called, what came, what was expected.

    Args:
        answer: the path of the learner's file.
        comparison: operator and both sides of the assertion that failed, where pytest told them.
        item: the test; None while the tests are imported.
    """
    error = excinfo.value
    traceback = list(excinfo.traceback)
    if isinstance(error, pytest.Collector.CollectError) and error.__cause__ is not None:
        error = error.__cause__
        traceback = list(pytest.ExceptionInfo.from_exception(error).traceback)
    message = str(error)
    details: dict[str, Any] = {"kind": type(error).__name__, "message": clip(message, 2000)}
    if isinstance(error, ModuleNotFoundError):
        details["module"] = error.name
    # pytest.raises(NotImplementedError, match=...) meets the desk's own error and says so in another one
    unwritten = re.search(r"(?:^|Actual message: ['\"])(\S+): yours to write['\"]?\s*$", message)
    if unwritten:
        details["unwritten"] = unwritten[1]
    own = [entry for entry in traceback if str(entry.path) == answer]
    details["inside"] = [{"line": entry.lineno + 1, "function": entry.name} for entry in own]
    if own:
        details["source"] = str(own[-1].statement).strip()
    raised_inside = bool(own) and not isinstance(error, AssertionError)
    if item is None:
        return details
    details["doc"] = inspect.getdoc(getattr(item, "obj", None)) or ""
    # a lambda of the test file is what the test calls; the statement that calls it tells what was asked
    asking = [entry for entry in traceback if entry.path == item.path and entry.name != "<lambda>"]
    frame = None
    if asking:
        frame = asking[-1].frame
        details["test_line"] = asking[-1].lineno + 1
        statement, names, details["raises"] = statement_at(item.path, asking[-1].lineno + 1, frame)
        details["called"] = statement
        details["values"] = values_of(names, frame)
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith("Falsifying example")]
    if notes:
        details["example"] = clip(notes[0], 1000)
    details.update(
        came_and_expected(error, message, comparison, frame, raised_inside, bool(details.get("values")))
    )
    if details.get("raises"):
        details["expected"] = details["raises"]
    return details


def came_and_expected(
    error: BaseException,
    message: str,
    comparison: tuple[str, Any, Any] | None,
    frame: Any,
    raised_inside: bool,
    told: bool = False,
) -> dict[str, str]:
    """The two values that a failed test compared, as far as its kind of failure tells them apart.

    `told`: the values that the test's statement reads are shown already.
    """
    arrays = re.search(r"\n ACTUAL: (.*?)\n DESIRED: (.*)", message, re.DOTALL)
    if isinstance(error, AssertionError) and arrays:
        head = [line for line in message[: arrays.start()].splitlines() if line.strip()]
        return {"came": clip(arrays[1]), "expected": clip(arrays[2]), "note": "\n".join(head)}
    if (found := re.search(r"DID NOT RAISE (?:<class ')?([\w.]+)", message)) is not None:
        return {"came": "no error", "expected": found[1]}
    if (
        found := re.search(r"Expected regex: (.*?)\n\s*Actual message: (.*)", message, re.DOTALL)
    ) is not None:
        return {"came": f"the message {clip(found[2])}", "expected": f"one that matches {clip(found[1])}"}
    if message.startswith("DID NOT WARN"):
        wanted = ", ".join(re.findall(r"<class '([\w.]+)'>", message.partition(" Emitted")[0]))
        pattern = re.search(r"Regex: (.*)", message)
        emitted = message.partition("Emitted warnings: ")[2].strip(" .")
        return {
            "came": "no such warning" + (f", but {clip(emitted)}" if emitted.strip("[]") else ""),
            "expected": wanted + (f" that matches {pattern[1]}" if pattern else ""),
        }
    if type(error).__name__ == "TypeCheckError":
        return {"came": "\n".join(line for line in message.splitlines()[:3])}
    measured = _first_failing(frame)
    if measured is not None:
        return measured
    if isinstance(error, AssertionError):
        note = "" if message.startswith("assert ") else message.partition("\nassert ")[0]
        if comparison is not None:
            op, left, right = comparison
            relation = "" if op == "==" else f"{op} "
            return {"came": show(left), "expected": relation + show(right), "note": clip(note, 1000)}
        if note:  # in words: what pytest makes of the expression is noise beside it
            return {"came": "", "note": clip(note, 1000)}
        first, *origin = plainly(message).splitlines() or [""]
        shown = first.removeprefix("assert ")
        if origin and not told:  # "where False = …" says again what the values say, if these are shown
            shown = "\n".join([shown, *origin[:7]])
        return {"came": clip(shown), "note": ""}
    where = "" if raised_inside else "outside your file: "
    return {"came": clip(f"{where}{type(error).__name__}: {message}", 1000)}


def _first_failing(frame: Any) -> dict[str, str] | None:
    """The first agreement that disagrees, or measurement that does not hold, in the frame of a slow test."""
    for value in dict(frame.f_locals if frame else {}).values():
        first: Any = value[0] if isinstance(value, list) and value else None
        if hasattr(first, "quantity") and hasattr(first, "tolerance") and hasattr(first, "theirs"):
            return {
                "came": f"{first.quantity} on {first.dataset}: {show(first.ours)}",
                "expected": f"{show(first.theirs)} ({first.reference}), error at most {first.tolerance:.0e}, "
                f"is {first.error:.1e}",
            }
    return None


def statement_at(path: Path, line: int, frame: Any = None) -> tuple[str, list[str], str]:
    """The innermost statement that covers a line of a file, the names that it reads, and the error that is asked for.

    Of an assertion without its message, which is told by itself. `frame`: where the error is asked for by variables.
    """
    source, statements = _parsed(path)
    around = [node for node in statements if node.lineno <= line <= (node.end_lineno or node.lineno)]
    if not around:
        return "", [], ""
    asking = next(
        (call for with_ in around if isinstance(with_, ast.With) if (call := _asks(with_)) is not None), None
    )
    node = min(around, key=lambda node: (node.end_lineno or node.lineno) - node.lineno)
    first, last = node.lineno, node.end_lineno or node.lineno
    if isinstance(node, ast.With) and asking is not None:  # no error came: show what should have raised it
        first, last = node.body[0].lineno, node.body[-1].end_lineno or last
    lines = source.splitlines()[first - 1 : last]
    margin = len(lines[0]) - len(lines[0].lstrip())
    text = "\n".join(line[margin:] for line in lines[:8])
    asked: ast.AST = node
    if isinstance(node, ast.Assert) and node.msg is not None:
        asked = node.test
        condition = textwrap.dedent(
            " " * node.test.col_offset + (ast.get_source_segment(source, node.test) or "")
        )
        text = f"assert {condition}"
    reading: list[ast.AST] = [*node.body] if isinstance(node, ast.With) and asking is not None else [asked]
    names = [
        part.id
        for statement in reading
        for part in ast.walk(statement)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
    ]
    return text, list(dict.fromkeys(names)), _error(asking, frame) if asking is not None else ""


@functools.cache
def _parsed(path: Path) -> tuple[str, list[ast.stmt]]:
    """A test file and its statements; it does not change while its tests run."""
    source = path.read_text(encoding="utf-8")
    return source, [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]


def _asks(node: ast.With) -> ast.Call | None:
    """The call of `pytest.raises` in a with-statement, if there is one."""
    for item in node.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and call.args and ast.unparse(call.func) == "pytest.raises":
            return call
    return None


def _error(call: ast.Call, frame: Any) -> str:
    """Class and text of the error that `pytest.raises` asks for, the text without the marks of a pattern."""
    variables = {**frame.f_globals, **frame.f_locals} if frame is not None else {}

    def told(node: ast.expr) -> str:
        value = node.value if isinstance(node, ast.Constant) else variables.get(ast.unparse(node))
        if value is None:
            return ast.unparse(node)
        return (
            re.sub(r"\\(\W)", r"\1", value) if isinstance(value, str) else _held(value) or ast.unparse(node)
        )

    pattern = next((keyword.value for keyword in call.keywords if keyword.arg == "match"), None)
    return told(call.args[0]) + ("" if pattern is None else f" that says {told(pattern)}")


def values_of(names: list[str], frame: Any) -> dict[str, str]:
    """Short forms of the variables that a statement reads, and what is called where a variable holds it.

    Functions, classes and modules that go by their own name tell nothing.
    """
    values = {}
    for name in names:
        for space in (frame.f_locals, frame.f_globals):
            if name in space:
                value = space[name]
                if not (callable(value) or inspect.ismodule(value)):
                    values[name] = show(value)
                elif space is frame.f_locals and (held := _held(value)) not in (name, ""):
                    values[name] = held
                break
    return values


def _held(value: Any) -> str:
    """A function's name, or the text of a lambda."""
    if getattr(value, "__name__", "") != "<lambda>":
        return getattr(value, "__name__", "")
    code = value.__code__
    path = Path(code.co_filename)
    if not path.is_file():
        return ""
    begin = next(
        (
            (line, column)
            for line, _, column, _ in code.co_positions()
            if line and column is not None and column
        ),
        None,
    )
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and begin is not None:
            first = (node.body.lineno, node.body.col_offset)
            last = (node.body.end_lineno or 0, node.body.end_col_offset or 0)
            if first <= begin < last:
                return clip(ast.unparse(node))
    return ""


def show(value: Any) -> str:
    """A value in little room: small arrays in full, larger ones by shape and type."""
    import numpy as np

    if isinstance(value, np.ndarray) and value.size > 40:
        return f"{value.dtype} array of shape {value.shape}"
    if isinstance(value, np.dtype):
        return str(value)
    if isinstance(value, tuple | list) and any(isinstance(part, np.ndarray) for part in value):
        return f"{type(value).__name__} of " + ", ".join(show(part) for part in value[:6])
    try:
        with np.printoptions(precision=6, suppress=True):
            return clip(str(value) if isinstance(value, np.ndarray | np.generic) else plainly(repr(value)))
    except Exception as error:  # a learner's half-written __repr__ must not end the session
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def plainly(text: str) -> str:
    """Text of Python's or pytest's own making without what a reader cannot use: addresses, closures, flags."""
    text = re.sub(r"^.*\b[A-Z_]+ : (?:True|False)\b.*\n?", "", text, flags=re.MULTILINE)  # numpy's flags
    text = re.sub(r"<class '([\w.<>]+)'>", _last_name, text)
    text = re.sub(r"<function ([\w.<>]+) at 0x[0-9a-f]+>", _last_name, text)
    text = re.sub(r"<(?:bound |built-in )?method ([\w.<>]+) of <.*? at 0x[0-9a-f]+>>", _last_name, text)
    text = re.sub(r"<(?:bound |built-in )?method ([\w.<>]+) of .*? object at 0x[0-9a-f]+>", _last_name, text)
    return re.sub(r"<([\w.<>]+) object at 0x[0-9a-f]+>", _last_name, text)


def _last_name(found: re.Match[str]) -> str:
    name = found[1].rpartition(".")[2]
    return "a lambda" if name == "<lambda>" else name


def clip(text: str, limit: int = CLIP) -> str:
    """The text, cut after `limit` characters."""
    return text if len(text) <= limit else text[: limit - 4].rstrip() + " ..."
