# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---
# %% [markdown]
# # All branches beside the library
#
# Part of the topic [floating-point arithmetic](../../floating_point.py): the long tail of its comparison.

# %%
from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from shared.agreement import Comparison

__all__ = ["compare_branches", "numacc"]

# %% [markdown]
# The NumAcc sets of the Statistical Reference Datasets are made to be hard: $n$ numbers around a large mean, every other one above and below it.
# Their certified standard deviation is 1 for the first and 0.1 for the others, with $n-1$ in the denominator. Decimal fractions have no exact
# form in base two: what can be asked for is the answer for the numbers as stored, which exact integer arithmetic gives.


# %%
def numacc(number: int) -> np.ndarray:
    """The set NumAcc1, 2, 3 or 4."""
    if number == 1:
        return np.array([10_000_001.0, 10_000_003.0, 10_000_002.0])
    middle = {2: 1.2, 3: 1_000_000.2, 4: 10_000_000.2}[number]
    low, high = {2: (1.1, 1.3), 3: (1_000_000.1, 1_000_000.3), 4: (10_000_000.1, 10_000_000.3)}[number]
    return np.array([middle, *[low, high] * 500])


def exact_moments(x: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation (n − 1) of the stored numbers, in exact fractions."""
    from fractions import Fraction

    values = [Fraction(value) for value in x.tolist()]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return float(mean), math.sqrt(variance)


# %%
def compare_branches(comparison: Comparison, ours: dict[str, Any]) -> None:
    """Spacings, distances, axes and types, weights, pieces, certified data; `ours` are the page's functions by name."""
    rng = np.random.default_rng(1)
    spread = rng.standard_normal(500) * 2.0 ** rng.integers(-1060, 1000, 500)
    spread[0] = 0.0
    spacing = comparison.on(reference="math.ulp", dataset="500 numbers over all binades, subnormal ones too")
    theirs = [math.ulp(value) for value in spread]
    spacing.compare(
        "spacing, float64, as its power of two",
        np.log2(ours["ulp"](spread)),
        np.log2(theirs),
        tolerance=0,
        reason="a power of two",
        measure="elementwise",
    )
    narrow = np.array([1.0, 0.1, -3e4, 6e-8, 0.0], np.float16)
    numpys = spacing.on(reference="numpy.spacing", dataset="five half-precision numbers")
    theirs = np.spacing(np.abs(narrow)).astype(float)
    numpys.compare(
        "spacing, float16", ours["ulp"](narrow).astype(float), theirs, tolerance=0, reason="a power of two"
    )

    steps = comparison.on(reference="numpy.nextafter", dataset="from 300 numbers, 1 to 40 steps up")
    for number in (np.float16, np.float32, np.float64):
        start = rng.standard_normal(300).astype(number)
        count = rng.integers(1, 41, 300)
        end = start.copy()
        for step in range(40):
            end = np.where(step < count, np.nextafter(end, number(np.inf)), end)
        found = ours["ulp_distance"](start, end).astype(int)
        steps.compare(f"steps, {number.__name__}", found, count, tolerance=0, reason="integers")

    from fractions import Fraction

    a, b = rng.standard_normal((2, 300)) * 10.0 ** rng.integers(-20, 20, (2, 300))
    total, error = ours["two_sum"](a, b)
    exact = comparison.on(reference="fractions.Fraction", dataset="300 pairs over 40 decades")
    lost = [float(Fraction(x) + Fraction(y) - Fraction(s)) for x, y, s in zip(a, b, total, strict=True)]
    exact.compare(
        "error of an addition", error, lost, tolerance=0, reason="the error is a number of the machine"
    )

    one_by_one = comparison.on(reference="functools.reduce", dataset="70,000 numbers in single precision")
    x = rng.random(70_000).astype(np.float32)
    theirs = reduce(add, x)
    one_by_one.compare(
        "sum, one by one",
        float(ours["naive_sum"](x)),
        float(theirs),
        tolerance=0,
        reason="the same additions",
    )

    table = rng.standard_normal((3_000, 4, 2)) + 10
    for axis, where in ((None, "over everything"), (0, "first axis"), (1, "middle axis"), (-1, "last axis")):
        for name in ("naive_sum", "pairwise_sum", "kahan_sum"):
            with_axis = comparison.on(reference="numpy.sum", dataset="a table of 3,000 × 4 × 2")
            with_axis.compare(
                f"{name}, {where}", ours[name](table, axis=axis), np.sum(table, axis=axis), tolerance=2e-14 if name == "naive_sum" else 1e-14,
                reason="both orders of summation round at random: some √n of 1.1e-16",
            )  # fmt: skip

    Running = ours["RunningMoments"]
    sample, weight = rng.standard_normal((400, 3)) * [1, 1e-3, 1e3] + 7, rng.integers(0, 4, 400).astype(float)
    rounding = "rounding of 400 terms around a mean of 7"
    moments = comparison.on(reference="numpy.var", dataset="400 rows of three features")
    moments.compare(
        "mean",
        Running(sample).mean,
        sample.mean(axis=0),
        tolerance=1e-13,
        reason=rounding,
        measure="elementwise",
    )
    for ddof in (0, 1):
        theirs = sample.var(axis=0, ddof=ddof)
        moments.compare(
            f"variance, ddof {ddof}",
            Running(sample, ddof=ddof).variance,
            theirs,
            tolerance=1e-12,
            reason=rounding,
            measure="elementwise",
        )
    repeated = np.repeat(sample, weight.astype(int), axis=0)
    weighted = Running(sample, weight, ddof=1)
    moments.compare(
        "mean, weighted",
        weighted.mean,
        np.average(sample, axis=0, weights=weight),
        tolerance=1e-13,
        reason=rounding,
    )
    moments.compare(
        "variance, weights as counts",
        weighted.variance,
        repeated.var(axis=0, ddof=1),
        tolerance=1e-12,
        reason=rounding,
        measure="elementwise",
    )
    one_by_one_moments, pieces = Running(), Running()
    for row in sample:
        one_by_one_moments.update(row[None])
    for piece in np.array_split(sample, 7):
        pieces.merge(Running(piece))
    for name, found in (("one by one", one_by_one_moments), ("in seven pieces", pieces)):
        moments.compare(
            f"variance, {name}",
            found.variance,
            sample.var(axis=0),
            tolerance=1e-12,
            reason=rounding,
            measure="elementwise",
        )

    for number in range(1, 5):
        certified = comparison.on(reference="exact fractions", dataset=f"NumAcc{number}")
        x = numacc(number)
        mean, deviation = exact_moments(x)
        found = Running(x, ddof=1)
        certified.compare(
            "mean",
            float(found.mean),
            mean,
            tolerance=2.3e-16,
            reason="one rounding of the mean, and one of a division",
        )
        certified.compare(
            "standard deviation",
            math.sqrt(found.variance),
            deviation,
            tolerance=1e-15,
            reason="sums of squared deviations that are exact or nearly so",
        )
