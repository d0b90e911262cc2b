"""Find answers that import what they should implement: the real topic, or a reference library.

The real source is the measure: what it imports in a function, an answer may import in the same function, and
`validate`, `example` and `benchmarks` may import what they like. Everything else that names the topic's own
module or file, or a reference library, is a finding; so is importing or running code by a name that is computed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from groundup.catalogue import Topic
from groundup.desk.cutter import NOT_TAUGHT

__all__ = ["REFERENCES", "Finding", "findings"]

REFERENCES = {
    "arviz", "autograd", "cupy", "dask_ml", "fastapi", "gymnasium", "jax", "keras", "lightgbm", "numba", "numpyro",
    "onnx", "onnxruntime", "patsy", "pymc", "pytensor", "pytorch_lightning", "scipy", "sklearn", "starlette",
    "statsmodels", "sympy", "tensorflow", "tinygrad", "torch", "torch_geometric", "torchvision", "transformers",
    "uvicorn", "xgboost",
}  # fmt: skip
IMPORTERS = {"import_module", "__import__", "find_spec", "run_module", "load_module", "reload"}
RUNNERS = {"run_path", "spec_from_file_location", "SourceFileLoader", "source_to_code"}
EVALUATORS = {"exec", "eval", "compile"}


@dataclass(frozen=True)
class Finding:
    """One place of an answer that does not count."""

    line: int
    function: str  # where it stands; empty at the top of the file
    message: str


def findings(topic: Topic, source: str, original: str) -> list[Finding]:
    """The places of an answer that make it not count; `original` is the real source.

    Raises:
        SyntaxError: the answer is not Python.
    """
    allowed = {(use.function, use.name) for use in _uses(topic, original)}
    found = []
    for use in _uses(topic, source):
        if use.function in NOT_TAUGHT or (use.function, use.name) in allowed:
            continue
        where = f"in {use.function}" if use.function else "at the top of the file"
        found.append(Finding(use.line, use.function, f"{where}: {use.message}"))
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Use:
    line: int
    function: str
    name: str
    message: str


def _uses(topic: Topic, source: str) -> Iterator[_Use]:
    """Everything in a source that may be a finding."""
    forbidden = REFERENCES | {name.partition(".")[0] for name in topic.mirrors}
    tree = ast.parse(source)
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }

    aliases = {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }

    def judged(name: str) -> str | None:
        """What is wrong with a module's name."""
        if name == topic.module_name or name.startswith(f"{topic.module_name}."):
            return f"{name} is the real implementation"
        root = name.partition(".")[0]
        return f"{root} is a reference library; its place is in validate()" if root in forbidden else None

    def visit(node: ast.AST, function: str) -> Iterator[_Use]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = function
            if function not in NOT_TAUGHT:
                inner = f"{function}.{node.name}" if function else node.name
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inner)
            return
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base: str = node.module or ""
            if node.level:  # within the topic's own package
                base = f"{topic.package}.{base}".rstrip(".")
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call):
            yield from called(node, function)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            text = node.value.replace("\\", "/")
            own_file = f"{topic.package}/{topic.name}"
            if text == topic.module_name or own_file in text or text.rpartition("/")[2] == f"{topic.name}.py":
                yield _Use(
                    node.lineno,
                    function,
                    f"text {node.value}",
                    f"{node.value!r} names the real implementation",
                )
        for name in names:
            if (message := judged(name)) is not None:
                yield _Use(node.lineno, function, name, message)  # type: ignore[attr-defined]
                break
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    def called(node: ast.Call, function: str) -> Iterator[_Use]:
        target = node.func
        name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        name = aliases.get(name, name)
        owner = target.value if isinstance(target, ast.Attribute) else None
        built_in = owner is None or getattr(owner, "id", "") in ("builtins", "__builtins__")
        if name in RUNNERS or (name in EVALUATORS and built_in):  # re.compile and model.eval are neither
            yield _Use(node.lineno, function, name, f"{name}() runs code that the desk cannot read")
        elif name in IMPORTERS:
            first = (
                node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "name"), None)
            )
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                relative = first.value.startswith(".")
                module = f"{topic.package}{first.value}" if relative else first.value
                if (message := judged(module)) is not None:
                    yield _Use(node.lineno, function, module, message)
            elif isinstance(target, ast.Name) or getattr(owner, "id", "") in ("importlib", "util", "runpy"):
                yield _Use(
                    node.lineno, function, name, f"{name}() imports a module by a name that is computed"
                )

    yield from visit(tree, "")
