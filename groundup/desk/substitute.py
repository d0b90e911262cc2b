"""Load a learner's file in the place of a topic's module, in the whole process and its children.

The environment variable `GROUNDUP_SUBSTITUTE` holds a JSON object, module name -> path. Python's ordinary
path finder is replaced by one that knows it, so every importer that builds on that finder meets the learner's
file: the tests, other topics, failure modes, and jaxtyping's import hook with its type checks. Use it as a
pytest plugin (`-p groundup.desk.substitute`); child processes get it from `startup/sitecustomize.py`.
Standard library only.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections.abc import Callable
from importlib import machinery, util
from pathlib import Path

__all__ = ["PLAN_VARIABLE", "VARIABLE", "environment", "install"]

VARIABLE = "GROUNDUP_SUBSTITUTE"
PLAN_VARIABLE = "GROUNDUP_DESK_PLAN"  # for `groundup.desk.session`


class PathFinder(machinery.PathFinder):
    """The path finder, with some modules elsewhere. (Import hooks look for a class of this very name.)"""

    places: dict[str, str]

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        place = cls.places.get(fullname)
        if place is None:
            return super().find_spec(fullname, path, target)
        return util.spec_from_file_location(fullname, place)


def install(places: dict[str, str] | None = None) -> None:
    """Put the finder in place; `places` is by default what the environment says. A second call does nothing.

    Raises:
        RuntimeError: one of the modules was imported before, so that others may hold the real one.
    """
    if places is None:
        places = json.loads(os.environ.get(VARIABLE, "{}"))
    if not places or any(getattr(finder, "places", None) == places for finder in sys.meta_path):
        return
    early = sorted(set(places) & set(sys.modules))
    if early:
        raise RuntimeError(f"{', '.join(early)} was imported before the desk could substitute it.")
    PathFinder.places = dict(places)
    index = next(i for i, finder in enumerate(sys.meta_path) if finder is machinery.PathFinder)
    sys.meta_path[index] = PathFinder
    ignore: Callable[[str], None] = lambda name: None
    if not hasattr(builtins, "__desk_called__"):
        setattr(builtins, "__desk_called__", ignore)  # noqa: B010  # probes in child processes


def environment(places: dict[str, str], root: Path) -> dict[str, str]:
    """This process's environment with the substitution in it, for a child process started in `root`."""
    startup = str(Path(__file__).parent / "startup")
    before = os.environ.get("PYTHONPATH", "")
    paths = [startup, str(root), *(part for part in before.split(os.pathsep) if part and part != startup)]
    return {**os.environ, VARIABLE: json.dumps(places), "PYTHONPATH": os.pathsep.join(paths)}


install()
