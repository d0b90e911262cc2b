"""Cut exercises out of a topic's source, by line positions: nothing is ever printed from a syntax tree.

What the topic teaches is the body of every function and method, except of those that

- are named `validate`, `mechanism`, `example` or `benchmarks`, or are `__repr__` or `__str__`;
- carry `# practice: keep` on their `def` line (or anywhere in the signature), or stand in a class that does;
- have nothing to write: a docstring alone, `pass`, `...`, a `raise NotImplementedError`, or a constructor
  that only stores its parameters.

`# practice: core` marks the five to eight functions that teach a topic; a learner is asked for these, or for all.

A body is replaced by a `raise` that names the function. Its docstring stays, and so do its comments, in their
order; one at the end of an assignment keeps the name that was assigned.
"""

from __future__ import annotations

import ast
import re
import tokenize
from dataclasses import dataclass, replace

__all__ = [
    "MARK", "Function", "asked", "core", "functions", "instrument", "is_blank", "stub", "taught", "with_note",
]  # fmt: skip

MARK = "yours to write"
PROBE = "__desk_called__"
NOT_TAUGHT = {"validate", "mechanism", "example", "benchmarks"}  # at the top level of the file
PLUMBING = {"__repr__", "__str__"}
KEEP = re.compile(r"#\s*practice:\s*keep\b")
CORE = re.compile(r"#\s*practice:\s*core\b")
HEADER = re.compile(r"\A# ---\r?\n(?:#.*\r?\n)*?# ---\r?\n")
NOTE = re.compile(r"^# groundup practice \S+(?P<everything> --all)?: .*\r?\n", re.MULTILINE)
DIRECTIVE = re.compile(r"#\s*(noqa|type:|fmt:|pragma|pylint|mypy|ruff|practice:)")

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """One function or method of a file; lines count from 1, columns are characters from 0."""

    name: str  # "scores", "KMeans.fit", "Tensor.data.setter"
    first_line: int  # of its first decorator, else of its `def`
    line: int  # of its `def`
    last_line: int
    kept: bool  # not taught: it stays as it is
    body: tuple[int, int, int, int] | None  # from (line, column) to (line, column), without the docstring
    node: Definition
    core: bool = False  # among the few that teach the topic

    @property
    def blank(self) -> bool:
        """Whether the body is still the raise that the desk put there."""
        return is_blank(self.node)


def functions(source: str) -> list[Function]:
    """Every top-level function and method, in the order of the file.

    Raises:
        SyntaxError: the source is not Python.
    """
    tree = ast.parse(source)
    lines = split_lines(source)
    comments = _comments(source)
    found: list[Function] = []
    taken: set[str] = set()

    def visit(statements: list[ast.stmt], prefix: str, kept: bool) -> None:
        for node in statements:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.", kept or _marked(node, comments, KEEP))
            elif isinstance(node, Definition):
                name = prefix + node.name + _accessor(node)
                count = 2
                while name in taken:
                    name, count = f"{prefix}{node.name} ({count})", count + 1
                taken.add(name)
                stays = (
                    kept
                    or node.name in PLUMBING
                    or (not prefix and node.name in NOT_TAUGHT)
                    or _marked(node, comments, KEEP)
                    or not _work(node)
                )
                central = not stays and _marked(node, comments, CORE)
                found.append(replace(_function(node, name, stays, lines), core=central))
            elif isinstance(node, ast.If) and not _is_main(node):
                visit(node.body, prefix, kept)
                visit(node.orelse, prefix, kept)
            elif isinstance(node, ast.Try):
                for part in (node.body, *(h.body for h in node.handlers), node.orelse, node.finalbody):
                    visit(part, prefix, kept)
            elif isinstance(node, ast.With):
                visit(node.body, prefix, kept)

    visit(tree.body, "", False)
    return found


def taught(source: str) -> list[Function]:
    """The functions whose bodies the learner writes, in the order of the file."""
    return [function for function in functions(source) if not function.kept]


def core(source: str) -> list[str]:
    """The names of the functions marked `# practice: core`; of all taught ones where none is marked."""
    known = taught(source)
    return [function.name for function in known if function.core] or [function.name for function in known]


def asked(answer: str, source: str) -> list[str]:
    """What a learner's file asks for: the core, or everything, as the note at its head says."""
    note = NOTE.search(answer)
    if note is None or note["everything"]:
        return [function.name for function in taught(source)]
    return core(source)


def with_note(stub: str, topic: str, count: int, *, everything: bool) -> str:
    """The stub with a line under its notebook header that says what is asked; as it is where it has no such header."""
    header = HEADER.match(stub)
    if header is None:
        return stub
    command = f"groundup practice {topic}{' --all' if everything else ''}"
    return (
        f"{header[0]}# {command}: {count} functions are yours. A plain version is right here; `groundup bench {topic}` tells "
        f"what speed costs.\n{stub[header.end() :]}"
    )


def stub(source: str, only: set[str] | None = None) -> str:
    """The source with the taught bodies taken out; `only` names the functions to empty, by default all."""
    lines = split_lines(source)
    comments = _comments(source)
    for function in reversed(taught(source)):
        if only is not None and function.name not in only:
            continue
        assert function.body is not None
        first, start, last, end = function.body
        yours = f'raise NotImplementedError("{function.name}: {MARK}")'
        before, after = lines[first - 1][:start], lines[last - 1][end:]
        if before.strip():  # the body begins behind the colon, on the line of the signature
            lines[first - 1 : last] = [before + yours + after.removeprefix(";")]
            continue
        scaffold = _scaffold(function.node, lines, comments, before)
        ending = lines[last - 1][len(lines[last - 1].rstrip("\r\n")) :]
        lines[first - 1 : last] = [*scaffold, before + yours + ending]
    return "".join(lines)


def instrument(source: str) -> str:
    """The source with a probe at the head of each taught body, which tells the desk that it was called."""
    lines = split_lines(source)
    for function in reversed(taught(source)):
        assert function.body is not None
        first, start, _, _ = function.body
        before, after = lines[first - 1][:start], lines[first - 1][start:]
        probe = f'{PROBE}("{function.name}")'
        if before.strip():
            lines[first - 1] = f"{before}{probe}; {after}"
        else:
            lines.insert(first - 1, f"{before}{probe}\n")
    return "".join(lines)


def is_blank(node: Definition) -> bool:
    """Whether the body holds the desk's own raise at its top level, whatever else was written around it."""
    return any(
        isinstance(statement, ast.Raise)
        and any(
            isinstance(part, ast.Constant)
            and isinstance(part.value, str)
            and part.value.endswith(f": {MARK}")
            for part in ast.walk(statement)
        )
        for statement in node.body
    )


def split_lines(source: str) -> list[str]:
    """Lines with their endings, split where Python splits them (not at form feeds or Unicode separators)."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", source)


def _function(node: Definition, name: str, kept: bool, lines: list[str]) -> Function:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    end = node.end_lineno or node.lineno
    work = _work(node)
    if not work:
        return Function(name, first, node.lineno, end, True, None, node)
    head, tail = work[0], work[-1]
    line = min([head.lineno, *(d.lineno for d in getattr(head, "decorator_list", []))])
    if line < head.lineno:  # a decorated function comes first: begin at its @
        column = len(lines[line - 1]) - len(lines[line - 1].lstrip(" \t\f"))
    else:
        column = _characters(lines[line - 1], head.col_offset)
    last = tail.end_lineno or tail.lineno
    body = (line, column, last, _characters(lines[last - 1], tail.end_col_offset or 0))
    return Function(name, first, node.lineno, end, kept, body, node)


def _work(node: Definition) -> list[ast.stmt]:
    """The statements that a learner would have to write: none in an empty or abstract function."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    empty = all(
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in body
    )
    if empty or any(_last_name(decorator) == "overload" for decorator in node.decorator_list):
        return []
    if node.name == "__init__" and all(_stores(statement) for statement in body):
        return []
    if len(body) == 1 and isinstance(body[0], ast.Raise) and body[0].exc is not None and not is_blank(node):
        raised = body[0].exc.func if isinstance(body[0].exc, ast.Call) else body[0].exc
        if _last_name(raised) == "NotImplementedError":
            return []
    return body


def _stores(statement: ast.stmt) -> bool:
    """Whether this is `self.x = x`, `del self.x` or `super().__init__(...)`."""
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name):
        target = statement.targets[0]
        return isinstance(target, ast.Attribute) and target.attr == statement.value.id
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value.func
        owner = call.value if isinstance(call, ast.Attribute) else None
        return isinstance(owner, ast.Call) and _last_name(owner.func) == "super"
    return isinstance(statement, ast.Delete)


def _scaffold(
    node: Definition, lines: list[str], comments: dict[int, tuple[int, str]], indent: str
) -> list[str]:
    """The comments between the docstring and the last statement, each on a line of its own."""
    work = _work(node)
    first = min([work[0].lineno, *(d.lineno for d in getattr(work[0], "decorator_list", []))])
    last = work[-1].end_lineno or work[-1].lineno
    statements = [s for s in ast.walk(node) if isinstance(s, ast.stmt) and s is not node]
    scaffold = []
    for number in range(first, last + 1):
        column, text = comments.get(number, (0, ""))
        if not text or DIRECTIVE.match(text):
            continue
        line = lines[number - 1]
        ending = line[len(line.rstrip("\r\n")) :] or "\n"
        name = ""
        if line[:column].strip():
            around = [s for s in statements if s.lineno <= number <= (s.end_lineno or s.lineno)]
            size = lambda s: ((s.end_lineno or s.lineno) - s.lineno, -s.col_offset)
            name = _assigned(min(around, key=size, default=None), number, lines)
        scaffold.append(f"{indent}{name}{text}{ending}")
    return scaffold


def _assigned(statement: ast.stmt | None, number: int, lines: list[str]) -> str:
    """`# name = ...  ` for a comment that ends an assignment, `# return ...  ` for a return, else nothing."""
    if statement is None or number != statement.end_lineno:
        return ""
    if isinstance(statement, ast.Return):
        return "# return ...  "
    if isinstance(statement, ast.Assign):
        targets = [_text(target, lines) for target in statement.targets]
        return f"# {' = '.join(targets)} = ...  "
    if isinstance(statement, ast.AnnAssign):
        return f"# {_text(statement.target, lines)} = ...  "
    return ""


def _text(node: ast.expr, lines: list[str]) -> str:
    """The source of an expression that stands on one line."""
    line = lines[node.lineno - 1]
    end = _characters(line, node.end_col_offset or 0) if node.end_lineno == node.lineno else None
    return line[_characters(line, node.col_offset) : end].strip()


def _comments(source: str) -> dict[int, tuple[int, str]]:
    """Line -> (column, text) of every comment."""
    found = {}
    # tokenize wants one kind of line ending; columns and line numbers are the same in all of them.
    lines = iter(re.sub(r"(\r\n|\r|\n)$", "\n", line) for line in split_lines(source))
    try:
        for token in tokenize.generate_tokens(lambda: next(lines, "")):
            if token.type == tokenize.COMMENT:
                found[token.start[0]] = (token.start[1], token.string)
    except (tokenize.TokenError, IndentationError) as error:
        raise SyntaxError(str(error)) from None
    return found


def _marked(
    node: Definition | ast.ClassDef, comments: dict[int, tuple[int, str]], mark: re.Pattern[str]
) -> bool:
    """Whether a mark stands in the header, which ends where the first statement begins."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    head = node.body[0]
    begin = min([head.lineno, *(d.lineno for d in getattr(head, "decorator_list", []))])
    stop = max(node.lineno + 1, begin)
    return any(mark.search(comments[line][1]) for line in range(first, stop) if line in comments)


def _accessor(node: Definition) -> str:
    """`.setter` or `.deleter` for the later parts of a property."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Attribute) and decorator.attr in ("setter", "deleter"):
            return f".{decorator.attr}"
    return ""


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_main(node: ast.If) -> bool:
    """Whether this is `if __name__ == "__main__":`."""
    return any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))


def _characters(line: str, offset: int) -> int:
    """Characters in the first `offset` bytes of the line's UTF-8 form, which is how ast counts columns."""
    return len(line.encode("utf-8")[:offset].decode("utf-8", errors="ignore"))
