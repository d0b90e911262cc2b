"""What a page's run rests on, as a short digest: outputs that are kept under it are used again only if nothing changed."""

from __future__ import annotations

import ast
import hashlib
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from groundup import catalogue
from groundup.catalogue import ROOT, Topic

__all__ = ["closure", "fingerprint", "imports"]


def fingerprint(path: Path, topic: Topic) -> str:
    """A digest of every file of the repository that the page's code imports, of what lies beside the topic's parts, of the
    code that runs pages, and of the libraries that the page meets.

    A change in a module below runs the page again.
    """
    digest = hashlib.sha256()
    beside = {file for file in topic.parts_path.glob("*") if file.is_file() and file.suffix != ".py"}
    for file in sorted(closure(path) | beside):
        digest.update(file.relative_to(ROOT).as_posix().encode())
        digest.update(file.read_bytes())
    digest.update(Path(__file__).with_name("page_runs.py").read_bytes())
    digest.update(sys.version.encode())
    for name in ("numpy", "matplotlib", *topic.mirrors):
        digest.update(f"{name} {_version(name)}".encode())
    return digest.hexdigest()[:16]


def closure(path: Path) -> set[Path]:
    """The file, and every file of the repository that it imports, at any remove."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += [_module_path(name) for name in imports(current) if _module_path(name) is not None]
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, at the top or inside a function; `from a import b` may mean the module a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def _module_path(name: str) -> Any:
    if name.split(".")[0] not in {"shared", *(level.package for level in catalogue.levels())}:
        return None
    path = ROOT / f"{name.replace('.', '/')}.py"
    return path if path.is_file() else None


@cache
def _version(name: str) -> str:
    """Version of an installed library by the name under which it is imported."""
    try:
        return metadata.version({"sklearn": "scikit-learn"}.get(name, name))
    except metadata.PackageNotFoundError:
        return "missing"
