"""Real data, and where it comes from. Nothing is downloaded: it ships with libraries that are installed.

Each loader returns a frozen `Dataset`; the library that carries the data is imported inside, so that
importing this module costs nothing. A missing library is named together with the command that installs it.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

__all__ = [
    "Dataset",
    "load_breast_cancer",
    "load_co2",
    "load_diabetes",
    "load_digits",
    "load_iris",
    "load_longley",
    "load_wine",
    "python_reference_text",
    "require",
]


@dataclass(frozen=True)
class Dataset:
    """A table of samples.

    Attributes:
        name: short name for reports. X: features, (n, d). y: targets or class codes, (n,).
        feature_names: d names. target_names: class names, or the name of the target. source: who made it.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    source: str


def require(module: str, extra: str) -> Any:
    """Import `module`, or raise a `ModuleNotFoundError` that says how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and not module.startswith(error.name):
            raise
        raise ModuleNotFoundError(
            f"{module} is not installed; get it with: pip install 'ground-up[{extra}]'", name=module
        ) from None


def load_iris() -> Dataset:
    """150 flowers of three species, four measurements in cm (Anderson 1936, Fisher 1936)."""
    return _from_sklearn("iris", "Anderson (1936), Fisher (1936); UCI")


def load_digits() -> Dataset:
    """1,797 handwritten digits as 8 × 8 images with values 0 to 16 (Alpaydin and Kaynak 1998)."""
    return _from_sklearn("digits", "Alpaydin and Kaynak (1998); UCI")


def load_wine() -> Dataset:
    """178 wines of three growers, 13 chemical measurements (Forina et al. 1988)."""
    return _from_sklearn("wine", "Forina et al. (1988); UCI")


def load_breast_cancer() -> Dataset:
    """569 tumors, malignant or benign, 30 features of cell nuclei (Street, Wolberg, Mangasarian 1993)."""
    return _from_sklearn("breast_cancer", "Street, Wolberg and Mangasarian (1993); UCI")


def load_diabetes(*, scaled: bool = True) -> Dataset:
    """442 patients, ten baseline variables, disease progression after a year (Efron et al. 2004).

    With `scaled` each column is centered and has sum of squares 1; otherwise the original units.
    """
    return _from_sklearn("diabetes", "Efron, Hastie, Johnstone and Tibshirani (2004)", scaled=scaled)


def load_longley() -> Dataset:
    """16 years of US macroeconomic data, nearly collinear (Longley 1967), from statsmodels."""
    longley = require("statsmodels.datasets.longley", "level2")
    data = longley.load_pandas()
    return Dataset(
        "longley",
        data.exog.to_numpy(dtype=float),
        data.endog.to_numpy(dtype=float),
        tuple(data.exog.columns),
        (str(data.endog.name),),
        "Longley (1967)",
    )


def load_co2() -> Dataset:
    """2,225 weeks of carbon dioxide above Mauna Loa, 1958 to 2001, in parts per million, from statsmodels.

    X is the day of each week, counted from the year 1 as `datetime.date.toordinal` does; weeks without a measurement are left out.
    """
    co2 = require("statsmodels.datasets.co2", "level2")
    data = co2.load_pandas().data.dropna()
    days = np.array([[float(day.toordinal())] for day in data.index])
    source = "Keeling and Whorf (2004), Scripps Institution of Oceanography"
    return Dataset("co2", days, data["co2"].to_numpy(dtype=float), ("day",), ("parts per million",), source)


@cache
def python_reference_text() -> str:
    """The Python language reference as plain text, from the standard library's `pydoc_data.topics`."""
    topics = importlib.import_module("pydoc_data.topics").topics
    return "\n\n".join(topics[name] for name in sorted(topics))


def _from_sklearn(name: str, source: str, **options: Any) -> Dataset:
    datasets = require("sklearn.datasets", "level2")
    bunch = getattr(datasets, f"load_{name}")(**options)
    targets = getattr(bunch, "target_names", ("target",))
    return Dataset(
        name,
        np.asarray(bunch.data, dtype=float),
        np.asarray(bunch.target),
        tuple(str(feature) for feature in bunch.feature_names),
        tuple(str(target) for target in targets),
        source,
    )
