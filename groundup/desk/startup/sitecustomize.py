"""Python runs this at its start, in every process that a check starts: substitute the learner's file."""

import os
import sys

here = os.path.dirname(os.path.abspath(__file__))

if os.environ.get("GROUNDUP_SUBSTITUTE"):
    root = os.path.dirname(os.path.dirname(os.path.dirname(here)))
    if root not in sys.path:
        sys.path.insert(1, root)
    import groundup.desk.substitute  # noqa: F401

# Another sitecustomize, which this one hides, still has its turn.
import importlib.machinery
import importlib.util

others = [path for path in sys.path if os.path.abspath(path or os.curdir) != here]
found = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
if found is not None and found.loader is not None:
    found.loader.exec_module(importlib.util.module_from_spec(found))
