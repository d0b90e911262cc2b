"""`groundup doctor`: what is installed, which references are missing, and how to get them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from typing import Any

from groundup import catalogue
from groundup.catalogue import ROOT

__all__ = ["examine"]

# Distribution, module, and the extra that brings it.
LIBRARIES = (
    ("numpy", "numpy", "core"),
    ("matplotlib", "matplotlib", "core"),
    ("jaxtyping", "jaxtyping", "core"),
    ("joblib", "joblib", "core"),
    ("threadpoolctl", "threadpoolctl", "core"),
    ("scipy", "scipy", "level1"),
    ("torch", "torch", "level1"),
    ("scikit-learn", "sklearn", "level2"),
    ("statsmodels", "statsmodels", "level2"),
    ("pandas", "pandas", "level2"),
    ("pymc", "pymc", "level4"),
    ("arviz", "arviz", "level4"),
    ("gymnasium", "gymnasium", "level5"),
    ("onnx", "onnx", "level6"),
    ("onnxruntime", "onnxruntime", "level6"),
    ("fastapi", "fastapi", "level6"),
    ("uvicorn", "uvicorn", "level6"),
    ("prometheus-client", "prometheus_client", "level6"),
    ("distributed", "distributed", "cluster"),
    ("pytest", "pytest", "practice"),
    ("hypothesis", "hypothesis", "practice"),
    ("beartype", "beartype", "practice"),
    ("watchfiles", "watchfiles", "practice"),
    ("sphinx", "sphinx", "site"),
    ("myst-nb", "myst_nb", "site"),
)


def examine(*, as_json: bool) -> int:
    """Print what is there; 0 if nothing that a topic needs is missing, else 1. Imports no library."""
    from groundup.terminal import print_json

    pinned = _pins()
    rows: list[dict[str, Any]] = []
    for distribution, module, extra in LIBRARIES:
        present = importlib.util.find_spec(module) is not None
        installed = importlib.metadata.version(distribution) if present else None
        rows.append(
            {
                "library": distribution,
                "extra": extra,
                "installed": installed,
                "proved": pinned.get(distribution),
                "needed_by": [t.name for t in catalogue.topics().values() if module in t.mirrors],
                "install": None if present else _command(extra),
            }
        )
    missing = [row for row in rows if row["installed"] is None]
    needed = [row for row in missing if row["extra"] == "core" or row["extra"].startswith("level")]
    if as_json:
        print_json(rows)
        return 1 if needed else 0
    print(
        f"Python {platform.python_version()} ({sys.executable}), {platform.system()} {platform.machine()}\n"
    )
    for row in rows:
        version = row["installed"] or "missing"
        note = "" if row["proved"] in (None, row["installed"]) else f"  (proved with {row['proved']})"
        print(f"  {row['library']:<20} {version:<14} {row['extra']:<10}{note if row['installed'] else ''}")
    for extra in dict.fromkeys(row["extra"] for row in missing):
        names = ", ".join(row["library"] for row in missing if row["extra"] == extra)
        print(f"\n{names} missing: {_command(extra)}")
    print("\nNothing is missing." if not missing else "")
    from groundup.desk.progress import database

    print(f"Your progress with the exercises of this clone is kept in {database()}")
    return 1 if needed else 0


def _command(extra: str) -> str:
    target = "." if extra == "core" else f"'.[{extra}]'"
    return f"pip install -c constraints.txt -e {target}"


def _pins() -> dict[str, str]:
    """Versions that `constraints.txt` pins, by distribution."""
    path = ROOT / "constraints.txt"
    if not path.exists():
        return {}
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.split("==", 1) for line in lines if "==" in line)
