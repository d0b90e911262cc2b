"""Agreement: one quantity computed by ours and by the reference, on identical data, side by side.

A topic's `validate()` makes a `Comparison`, runs both sides, and compares quantity by quantity:

    comparison = Comparison(reference="sklearn.cluster.KMeans", dataset="iris")
    ours, theirs = comparison.run(lambda: KMeans(3).fit(X), lambda: Reference(3).fit(X))
    comparison.compare("centers", ours.cluster_centers_, theirs.cluster_centers_, tolerance=1e-9, reason="…")
    return comparison.agreements

`Benchmark` describes a race over growing sizes and `race` runs it: in turn, warm, medians, one thread each.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

__all__ = ["Agreement", "Benchmark", "Comparison", "Race", "Summary", "growth_exponent", "one_thread", "race"]

Measure = str  # "scaled", "elementwise" or "absolute"


@dataclass(frozen=True)
class Summary:
    """What is reported of a value: a scalar as it is, an array by shape, norm and largest entry."""

    shape: tuple[int, ...]
    norm: float
    largest: float

    def __str__(self) -> str:
        if self.shape == ():
            return f"{self.norm:.6g}"
        return f"‖{self.norm:.6g}‖ ({'×'.join(map(str, self.shape))})"


@dataclass(frozen=True)
class Agreement:
    """One quantity, both values, their distance and what was allowed.

    Attributes:
        quantity: what was computed, with the option branch, for example "centers, Elkan".
        reference, reference_version, dataset: against what, on what.
        ours, theirs: digests of both values; scalars carry their signed value.
        error: their distance by `measure`. tolerance: the most that it may be. reason: why that much.
        agrees: error ≤ tolerance.
        seconds_ours, seconds_reference: wall time of the two runs behind the values (NaN: not timed).
    """

    quantity: str
    reference: str
    reference_version: str
    dataset: str
    ours: float | Summary
    theirs: float | Summary
    error: float
    measure: Measure
    tolerance: float
    reason: str
    agrees: bool
    seconds_ours: float
    seconds_reference: float


class Comparison:
    """Runs ours and the reference on the same data and collects the agreements.

    Args:
        reference: dotted name of what we compare with, such as "sklearn.cluster.KMeans"; the version is
            read from the distribution that its first part belongs to.
        dataset: the data that both sides get.
    """

    def __init__(self, reference: str, dataset: str, agreements: list[Agreement] | None = None) -> None:
        self.reference = reference
        self.dataset = dataset
        self.agreements: list[Agreement] = [] if agreements is None else agreements
        self._seconds = (math.nan, math.nan)

    def on(self, *, reference: str | None = None, dataset: str | None = None) -> Comparison:
        """The same list of agreements, continued with another reference or other data."""
        return Comparison(reference or self.reference, dataset or self.dataset, self.agreements)

    def run(self, ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[Any, Any]:
        """Call both, remember their wall times for the comparisons that follow, return both results."""
        start = time.perf_counter()
        result_ours = ours()
        middle = time.perf_counter()
        result_theirs = theirs()
        self._seconds = (middle - start, time.perf_counter() - middle)
        return result_ours, result_theirs

    def compare(
        self,
        quantity: str,
        ours: Any,
        theirs: Any,
        *,
        tolerance: float,
        reason: str,
        measure: Measure = "scaled",
    ) -> Agreement:
        """Append and return the agreement of two values.

        Args:
            measure: "scaled" is max|a−b| / max|b|; "elementwise" is max(|a−b| / |b|), 0/0 counting as 0;
                "absolute" is max|a−b|. Integers, booleans and strings compare exactly: the error is the
                share of entries that differ.

        Raises:
            ValueError: an empty quantity or reason, a negative tolerance, an unknown measure.
        """
        if not quantity or not reason:
            raise ValueError("compare needs a quantity and a reason for its tolerance, got an empty one.")
        if not tolerance >= 0:
            raise ValueError(f"tolerance must be a number that is at least 0, got {tolerance!r}.")
        error = deviation(ours, theirs, measure)
        agreement = Agreement(
            quantity=quantity,
            reference=self.reference,
            reference_version=reference_version(self.reference),
            dataset=self.dataset,
            ours=summarize(ours),
            theirs=summarize(theirs),
            error=error,
            measure=measure,
            tolerance=float(tolerance),
            reason=reason,
            agrees=bool(error <= tolerance),
            seconds_ours=self._seconds[0],
            seconds_reference=self._seconds[1],
        )
        self.agreements.append(agreement)
        return agreement


def deviation(ours: Any, theirs: Any, measure: Measure = "scaled") -> float:
    """Distance of two values by `measure`; infinite where shapes, NaNs or infinities do not match."""
    if measure not in ("scaled", "elementwise", "absolute"):
        raise ValueError(f"measure must be 'scaled', 'elementwise' or 'absolute', got {measure!r}.")
    a, b = np.asarray(ours), np.asarray(theirs)
    if a.shape != b.shape:
        return math.inf
    if a.size == 0:
        return 0.0
    if a.dtype.kind not in "fc" and b.dtype.kind not in "fc":
        return float(np.mean(a != b))
    kind = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
    a, b = a.astype(kind), b.astype(kind)
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(a[finite]).all():
        return math.inf
    a, b = a[finite], b[finite]
    if a.size == 0:
        return 0.0
    difference, size = np.abs(a - b), np.abs(b)
    if measure == "absolute":
        return float(difference.max())
    if measure == "scaled":
        difference, size = difference.max(), size.max()
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(difference == 0, 0.0, difference / size)))


def summarize(value: Any) -> float | Summary:
    """A scalar as a float; an array as its shape, Frobenius norm and largest absolute entry."""
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        _, array = np.unique(array, return_inverse=True)
    if array.ndim == 0 and array.dtype.kind != "c":
        return float(array)
    size = np.abs(array.astype(complex if array.dtype.kind == "c" else float))
    finite = size[np.isfinite(size)]
    largest = float(finite.max()) if finite.size else 0.0
    return Summary(array.shape, float(np.sqrt(np.sum(finite**2))), largest)


@cache
def reference_version(reference: str) -> str:
    """Version of the distribution behind a dotted name; "" for a formula or a published table."""
    from importlib import metadata

    module = reference.split(".")[0].split(" ")[0]
    distributions = {"sklearn": "scikit-learn", "numpy": "numpy"}
    for candidate in (distributions.get(module), module):
        if candidate:
            try:
                return metadata.version(candidate)
            except metadata.PackageNotFoundError:
                continue
    return ""


@dataclass(frozen=True)
class Benchmark:
    """A race of ours, and of the same in one breath, against the reference over growing sizes.

    Attributes:
        name: what is timed. reference: dotted name of the other side.
        sizes: the sizes, ascending; at least two, so that growth can be fitted.
        setup: `setup(size) -> (ours, theirs)` or `(ours, theirs, breath)`, callables of no argument on identical data;
            breath is the plain rung, or None at a size where it would take too long.
        expected_exponent: p in seconds ∝ sizeᵖ, from the derivation.
        repeats: how many times each side runs at each size; the median is taken.
        work: result → amount of work done; seconds are then per unit of work.
        unit: what `size` counts.
    """

    name: str
    sizes: Sequence[int]
    setup: Callable[[int], tuple[Callable[[], Any] | None, ...]]
    expected_exponent: float
    reference: str
    repeats: int = 5
    work: Callable[[Any], float] | None = None
    unit: str = "samples"


@dataclass(frozen=True)
class Race:
    """One size of a benchmark, measured."""

    name: str
    reference: str
    reference_version: str
    size: int
    unit: str
    seconds_ours: float
    seconds_reference: float
    seconds_breath: float = math.nan  # NaN: not timed

    @property
    def ratio(self) -> float:
        """Ours over the reference: below 1 is faster than the library."""
        return self.seconds_ours / self.seconds_reference


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS, OpenMP and (where it is loaded) torch to one thread, so that a ratio compares algorithms."""
    import sys

    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        if torch:
            torch.set_num_threads(before)


def race(benchmark: Benchmark, size: int, *, repeats: int | None = None) -> Race:
    """Time the sides at one size: each once to warm up, then in turn, medians, one thread each; the breath once or, where
    it is quick, as often as the others."""
    ours, theirs, *rest = benchmark.setup(size)
    breath = rest[0] if rest else None
    sides = [side for side in (ours, theirs, breath) if side is not None]
    repeats = max(1, benchmark.repeats if repeats is None else repeats)
    seconds: list[list[float]] = [[] for _ in sides]
    with one_thread():
        for side, record in zip(sides, seconds, strict=True):
            took = _timed(side, benchmark.work)
            if side is breath and took > 1.0:
                record.append(took)
        for _ in range(repeats):
            for side, record in zip(sides, seconds, strict=True):
                if not (side is breath and record and record[0] > 1.0):
                    record.append(_timed(side, benchmark.work))
    return Race(
        benchmark.name,
        benchmark.reference,
        reference_version(benchmark.reference),
        size,
        benchmark.unit,
        *(statistics.median(record) for record in seconds),
    )


def _timed(side: Callable[[], Any], work: Callable[[Any], float] | None) -> float:
    start = time.perf_counter()
    result = side()
    elapsed = time.perf_counter() - start
    return elapsed / (work(result) if work else 1.0)


def growth_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log seconds over log size by least squares: p in seconds ∝ sizeᵖ. NaN below two sizes."""
    if len(sizes) < 2:
        return math.nan
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(seconds, float))
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))
