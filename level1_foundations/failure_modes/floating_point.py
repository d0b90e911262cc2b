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
# # How floating-point arithmetic breaks
#
# Each operation is right to half a unit in the last place. What breaks is a chain of them: roundings that all go one way, differences of large
# numbers that agree, an order of additions that nobody chose. Each is broken here once, with the number that theory predicts.

# %%
from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from level1_foundations.floating_point import kahan_sum, naive_sum, plain_moments, ulp
from shared.datasets import load_co2
from shared.failure_mode import Claim, FailureMode, Share, Sweep

# %% [markdown]
# ## A tenth, a million times
#
# Add one number $x$ again and again. While the sum lies in a binade with spacing $q$, it is a multiple of $q$, and $\operatorname{fl}(s+x)=s+r$ with
# $r$ the multiple of $q$ next to $x$: every step makes the *same* error $r-x$. A binade from $2^E$ to $2^{E+1}$ takes some $2^E/r$ steps, so that
#
# $$s_n-nx=\sum_{\text{binades}}\text{steps}\cdot(r-x).$$
#
# The last binades dominate, because they are the longest and the coarsest. Where $q>2x$, $r$ is 0 and the sum stands still. (In one binade $x$ lies
# midway between two multiples of $q$: ties go to even, up and down in turn, and nothing is lost on the average.) The nearest wrong theory takes the errors for independent: a
# random walk of $\sqrt{\sum_i\operatorname{ulp}(s_i)^2/12}$.

# %%
TENTH, MILLION = 0.1, 1_000_000


def excess(rng: np.random.Generator, *, n: int, single: bool = False) -> float:
    """The sum of n tenths one by one, minus n times that number exactly."""
    x = np.full(n, TENTH, np.float32 if single else np.float64)
    return float(Fraction(float(naive_sum(x))) - n * Fraction(float(x[0])))


def predicted_excess(*, n: int, single: bool = False) -> float:
    """Binade by binade; raises where so few are added that the single steps between binades count."""
    if n < 1000:
        raise ValueError(f"n must be at least 1000, got {n}.")
    p = 24 if single else 53
    x = float(np.float32(TENTH)) if single else TENTH
    total, left, error = x, n - 1, 0.0
    while left:
        _, exponent = math.frexp(total)
        spacing, top = 2.0 ** (exponent - p), 2.0**exponent
        halves = 2 * x / spacing
        step = x if halves % 2 == 1 else round(x / spacing) * spacing  # ties to even: up and down in turn
        steps = min(left, math.ceil((top - total) / step)) if step else left
        total, error, left = total + steps * step, error + steps * (step - x), left - steps
    return error


def random_walk(*, n: int, single: bool = False) -> float:
    """The rival: independent errors, uniform within half a spacing."""
    sums = np.arange(1, n + 1) * TENTH
    spacings = ulp(sums.astype(np.float32) if single else sums).astype(float)
    return math.sqrt(np.sum(spacings**2) / 12)


def compensated_excess(rng: np.random.Generator, *, n: int) -> float:
    """The same for the compensated sum, without its sign."""
    x = np.full(n, TENTH)
    return abs(float(Fraction(float(kahan_sum(x))) - n * Fraction(TENTH)))


def half_a_spacing(*, n: int) -> float:
    """The exact sum, rounded once."""
    return float(ulp(n * TENTH)) / 2


def draw_tenth_a_million_times() -> Any:
    """The error of adding 0.1 n times in double precision, over n: theory binade by binade, and runs. The compensated sum stays below half a spacing."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, axes = subplots(width=7.5, height=4.0)
    plot_sweep(axes, TENTH_A_MILLION_TIMES.breaks, label="one by one")
    plot_sweep(axes, TENTH_A_MILLION_TIMES.remedy, color=COLORS["mended"], label="compensated")
    axes.set_yscale("symlog", linthresh=1e-13)
    axes.set(title="A tenth, added n times", ylabel="sum − n·x")
    axes.legend(loc="upper left")
    return figure


TENTH_A_MILLION_TIMES = FailureMode(
    name="tenth_a_million_times",
    title="A tenth, a million times",
    symptoms=(
        "0.1 added a million times gives 100000.00000133",
        "the clock that counts in steps drifts",
        "a long total in float32 is off by a percent",
    ),
    breaks=Claim(
        statement="A tenth added a million times, one by one, misses its sum by the same rounding again and again, not by a random walk.",
        quantity="sum minus the exact sum of the same numbers",
        experiment=excess,
        predicted=predicted_excess,
        rival=random_walk,
        relation="≈",
        tolerance=0.001,
        relative=True,
        reason="the step into each binade is counted with its own spacing: one step of some 80,000 in the longest binades",
        parameters={"n": MILLION},
        deterministic=True,
        sweep=Sweep(
            "n", (1_000, 10_000, 100_000, 300_000, 1_000_000, 3_000_000), "additions $n$", logarithmic=True
        ),
    ),
    remedy=Claim(
        statement="Compensated, the sum is the exact one, rounded once.",
        quantity="distance of the sum from the exact sum of the same numbers",
        experiment=compensated_excess,
        predicted=half_a_spacing,
        rival=predicted_excess,
        relation="≤",
        tolerance=0.0,
        reason="half a spacing is what a single rounding costs",
        parameters={"n": MILLION},
        deterministic=True,
        sweep=Sweep(
            "n", (1_000, 10_000, 100_000, 300_000, 1_000_000, 3_000_000), "additions $n$", logarithmic=True
        ),
    ),
    figure=draw_tenth_a_million_times,
)

# %% [markdown]
# ## A variance below zero
#
# $\overline{x^2}-\bar x^2$ over $n$ numbers around $\mu$, one by one, in a format with spacing function ulp. To first order the error of the result is a sum of
# independent roundings, each uniform within half a spacing:
#
# $$s^2=\frac1{12}\Big[\frac1{n^2}\sum_k\operatorname{ulp}(k\mu^2)^2+\frac{\operatorname{ulp}(\mu^2)^2}n+2\operatorname{ulp}(\mu^2)^2
# +4\mu^2\Big(\frac1{n^2}\sum_k\operatorname{ulp}(k\mu)^2+\operatorname{ulp}(\mu)^2\Big)\Big]$$
#
# (sums of squares; the squares; the division and the square of the mean; the mean itself). There are many of them, so that the error is about normal,
# and the variance comes out negative with probability $\Phi(-\sigma^2/s)$. The data are the days on which a record was kept: some 715,000 since the
# year 1, in single precision, 200 weeks at a time, their rows in random order. (In the order of the calendar the days are whole numbers that
# differ by 7, many lie midway between two multiples of the spacing, and their roundings go one way: the roundings are not independent, and most
# windows come out below zero. The left picture shows it.)

# %%
WINDOW = 200


@cache
def record() -> np.ndarray:
    """The days of the carbon dioxide record, (n,)."""
    return load_co2().X[:, 0]


def textbook_variance(x: np.ndarray) -> Any:
    """Mean of squares minus square of the mean, in the type of x."""
    n = x.dtype.type(len(x))
    return naive_sum(x * x) / n - (naive_sum(x) / n) ** 2


def welford_variance(x: np.ndarray) -> Any:
    """The page's breath, in the type of x."""
    return plain_moments(x)[1]


def share_of_negative(
    rng: np.random.Generator, *, welford: bool, window: int = WINDOW, samples: int = 100
) -> Share:
    """Of that many windows, begun at random weeks, their rows in random order, how many have a negative variance."""
    variance = welford_variance if welford else textbook_variance
    days = record().astype(np.float32)
    negative = 0
    for start in rng.integers(len(days) - window + 1, size=samples):
        negative += int(variance(rng.permutation(days[start : start + window])) < 0)
    return Share(negative, samples)


def rounding_variance(mean: float, window: int) -> float:
    """s² for n numbers around a mean, in single precision."""
    k = np.arange(1, window + 1)

    def spacing(t: Any) -> Any:
        return ulp(np.float32(t)).astype(float)

    sums = np.sum(spacing(k * mean**2) ** 2) / window**2
    sums_of_x = np.sum(spacing(k * mean) ** 2) / window**2
    squares = spacing(mean**2) ** 2 * (1 / window + 2)
    return float(sums + squares + 4 * mean**2 * (sums_of_x + spacing(mean) ** 2)) / 12


@cache
def negative_by_formula(*, welford: bool, window: int = WINDOW, samples: int = 100) -> float:
    """Φ(−σ²/s), averaged over where a window may begin; 0 for Welford, whose terms are nonnegative."""
    if welford:
        return 0.0
    chances = []
    for start in range(0, len(record()) - window + 1, 7):
        days = record()[start : start + window]
        ratio = days.var() / math.sqrt(rounding_variance(days.mean(), window))
        chances.append(0.5 * math.erfc(ratio / math.sqrt(2)))
    return float(np.mean(chances))


def share_of_the_textbook(**parameters: Any) -> float:
    """The rival of the remedy: what the textbook's formula gives."""
    return negative_by_formula(welford=False)


def draw_variance_below_zero() -> Any:
    """Left: variances of 200 weeks of days in the order of the calendar, in single precision: the textbook's lie mostly below zero, Welford's on the truth. Right: the share below zero with rows in random order, over the length of the window."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, (axes, right) = subplots(1, 2, width=9.5, height=3.8, width_ratios=[3, 2])
    starts = np.arange(0, len(record()) - WINDOW + 1, 10)
    days = record().astype(np.float32)
    for label, variance, color in (
        ("textbook", textbook_variance, "broken"),
        ("Welford", welford_variance, "mended"),
    ):
        axes.plot(
            starts,
            [variance(days[s : s + WINDOW]) for s in starts],
            ".",
            markersize=4,
            color=COLORS[color],
            label=label,
        )
    axes.axhline(0, color=COLORS["muted"], linewidth=1)
    axes.set(title="Variance of 200 weeks, float32", xlabel="first week", ylabel="days²")
    axes.legend(loc="upper right")
    plot_sweep(right, VARIANCE_BELOW_ZERO.breaks)
    right.set(title="Share below zero", ylabel="share")
    right.legend(loc="upper right")
    return figure


VARIANCE_BELOW_ZERO = FailureMode(
    name="variance_below_zero",
    title="A variance below zero",
    symptoms=(
        "the variance is negative",
        "the standard deviation of my dates is NaN about one time in four",
        "E[x²] − E[x]² returns −3 where the variance is 1",
    ),
    breaks=Claim(
        statement="The mean of squares minus the square of the mean, over 200 weeks of dates in single precision, is negative in about a quarter of the windows.",
        quantity="share of windows whose variance is negative",
        experiment=share_of_negative,
        predicted=negative_by_formula,
        rival=0.0,  # a variance is never negative
        relation="≈",
        tolerance=0.06,
        reason="first order: roundings of whole numbers take few values, and ties among them are not uniform; 2,000 windows resolve 0.04",
        parameters={"welford": False, "window": WINDOW},
        sweep=Sweep("window", (50, 100, 200, 300, 450), "weeks in a window"),
    ),
    remedy=Claim(
        statement="Welford's update, in the same precision, has no negative variance.",
        quantity="share of windows whose variance is negative",
        experiment=share_of_negative,
        predicted=negative_by_formula,
        rival=share_of_the_textbook,
        relation="≤",
        tolerance=0.01,
        reason="each term is a product of two numbers of one sign; δ is what the windows of all seeds together resolve",
        parameters={"welford": True},
    ),
    figure=draw_variance_below_zero,
)

# %% [markdown]
# ## The same sum along the other axis
#
# `numpy.sum` adds in pairs along contiguous memory. Along the first axis of a table it adds row to row, so that each column is summed one by one. With
# summands of mean $\mu$ the mean square error of a column is
#
# $$\frac1{12}\sum_{k\le n}\operatorname{ulp}(k\mu)^2\ \text{one by one},\qquad
# \text{at most}\quad\frac14\sum_{j\ge0}2^j\operatorname{ulp}(n\mu/2^j)^2\ \text{in pairs},$$
#
# because there are $2^j$ sums of $n/2^j$ summands, down to the blocks of 128 with which `numpy.sum` begins. (Two halves that are multiples of half a
# spacing leave an error of none or of exactly half a spacing: not uniform, so that we take the most.) A spacing is proportional to its number, so that the first grows as $n^3$ and the second as $n^2$.

# %%
ROWS, COLUMNS = 50_000, 64


def square_error_of_columns(rng: np.random.Generator, *, contiguous: bool, n: int = ROWS) -> float:
    """Mean square error of the sums of the columns of a uniform table in single precision."""
    table = rng.random((n, COLUMNS), dtype=np.float32)
    exact = table.sum(axis=0, dtype=np.float64)
    sums = np.ascontiguousarray(table.T).sum(axis=1) if contiguous else table.sum(axis=0)
    return float(np.mean((sums - exact) ** 2))


def square_error_by_formula(*, contiguous: bool, n: int = ROWS) -> float:
    """The sums above; raises for a table that is too short to have a rounding error of its own."""
    if n < 1000:
        raise ValueError(f"n must be at least 1000: below, the summands' own digits count, got {n}.")
    if contiguous:
        parts = 2.0 ** np.arange(math.ceil(math.log2(n / 128)))
        return float(np.sum(parts * ulp((n / 2 / parts).astype(np.float32)).astype(float) ** 2) / 4)
    return float(np.sum(ulp((np.arange(1, int(n) + 1) / 2).astype(np.float32)).astype(float) ** 2) / 12)


def other_axis(*, contiguous: bool, n: int = ROWS) -> float:
    """The rival: the order of the other axis."""
    return square_error_by_formula(contiguous=not contiguous, n=n)


def draw_other_axis() -> Any:
    """The mean square error of column sums in single precision over the number of rows: along the first axis, and after a transposition."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, axes = subplots(width=7.5, height=4.0)
    plot_sweep(axes, OTHER_AXIS.breaks, label="sum(axis=0)")
    plot_sweep(axes, OTHER_AXIS.remedy, color=COLORS["mended"], label="contiguous rows")
    axes.set_yscale("log")
    axes.set(title="One table, two orders of addition", ylabel="mean square error")
    axes.legend(loc="upper left")
    return figure


OTHER_AXIS = FailureMode(
    name="other_axis",
    title="The same sum along the other axis",
    symptoms=(
        "column sums differ in the fifth digit when the array is transposed",
        "sum(axis=0) in float32 is less accurate than sum()",
        "the mean of a float32 column is wrong",
    ),
    breaks=Claim(
        statement="Summed along the first axis, a column of uniform numbers in single precision errs as if it were added one by one.",
        quantity="mean square error of the column sums",
        experiment=square_error_of_columns,
        predicted=square_error_by_formula,
        rival=other_axis,
        relation="≈",
        tolerance=0.25,
        relative=True,
        reason="the spacing is taken at the mean of each sum; 1,280 columns resolve a sixth of the mean square",
        parameters={"contiguous": False, "n": ROWS},
        sweep=Sweep("n", (5_000, 15_000, 50_000, 100_000), "rows $n$", logarithmic=True),
    ),
    remedy=Claim(
        statement="With the column contiguous in memory the same call adds in pairs, and errs at most as theory allows.",
        quantity="mean square error of the column sums",
        experiment=square_error_of_columns,
        predicted=square_error_by_formula,
        rival=other_axis,
        relation="≤",
        tolerance=0.02,
        relative=True,
        reason="the blocks of 128, which are not counted, add a hundredth",
        parameters={"contiguous": True, "n": ROWS},
        sweep=Sweep("n", (5_000, 15_000, 50_000, 100_000), "rows $n$", logarithmic=True),
    ),
    figure=draw_other_axis,
)

# %% [markdown]
# ## The small root of a quadratic
#
# $x^2+bx+c=0$ with $b\gg\sqrt c$ has the roots $\tfrac12(-b\pm\sqrt{b^2-4c})$, one near $-b$ and one near $-c/b$. For the small one, $-b$ and the square root cancel. The
# subtraction is exact; what it leaves are the roundings before it: of $b^2$ and of $b^2-4c$, divided by $2b$ on their way through the root, and of the root itself.
#
# $$\text{relative error, root mean square}=\sqrt{\operatorname E\Big[\frac1{12}\Big(\operatorname{ulp}(b)^2+\frac{\operatorname{ulp}(b^2)^2}{2b^2}\Big)\frac{b^2}{4c^2}\Big]}.$$
#
# The remedy is algebra: multiply both sides by the other root, and the small one is $2c/(-b-\sqrt{b^2-4c})$, in which nothing cancels.


# %%
def relative_error_of_root(
    rng: np.random.Generator, *, rearranged: bool, exponent: int = 20, samples: int = 400
) -> float:
    """Root mean square relative error of the small root, b between 2^exponent and twice that, c between 1 and 2."""
    b = 2.0**exponent * rng.uniform(1, 2, samples)
    c = rng.uniform(1, 2, samples)
    root = np.sqrt(b * b - 4 * c)
    found = 2 * c / (-b - root) if rearranged else (-b + root) / 2
    with localcontext() as context:
        context.prec = 60
        exact = [
            -2 * Decimal(q) / (Decimal(p) + (Decimal(p) ** 2 - 4 * Decimal(q)).sqrt())
            for p, q in zip(b, c, strict=True)
        ]
        error = [float(Decimal(value) / truth - 1) for value, truth in zip(found, exact, strict=True)]
    return math.sqrt(np.mean(np.square(error)))


def root_error_by_formula(*, rearranged: bool, exponent: int = 20, samples: int = 400) -> float:
    """The formula above over b and c; 2ε where nothing cancels. Raises where b is not large, or the root vanishes altogether."""
    if rearranged:
        return 2 * float(np.finfo(float).eps)
    if not 5 <= exponent <= 25:
        raise ValueError(
            f"exponent must be 5 to 25: beyond, 4c is lost beside b² or does not cancel, got {exponent}."
        )
    b = 2.0**exponent * (1 + (np.arange(4000) + 0.5) / 4000)
    rounding = (ulp(b) ** 2 + ulp(b * b) ** 2 / (2 * b * b)) / 12
    return math.sqrt(np.mean(rounding * b * b / 4) * 0.5)  # E 1/c² = 1/2


def unit_roundoff(**parameters: Any) -> float:
    """The rival: every operation is right to u, so the result is."""
    return float(np.finfo(float).eps) / 2


def cancelled(**parameters: Any) -> float:
    """The rival of the remedy: what the textbook's formula leaves."""
    return root_error_by_formula(rearranged=False)


def draw_small_root() -> Any:
    """Relative error of the small root over the size of b: the textbook's formula loses two bits for each bit of b, the rearranged one none."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, axes = subplots(width=7.5, height=4.0)
    plot_sweep(axes, SMALL_ROOT.breaks, label="textbook")
    plot_sweep(axes, SMALL_ROOT.remedy, color=COLORS["mended"], label="rearranged")
    axes.set_yscale("log")
    axes.set(title="The small root of x² + bx + c", ylabel="relative error, rms")
    axes.legend(loc="center left")
    return figure


SMALL_ROOT = FailureMode(
    name="small_root",
    title="The small root of a quadratic",
    symptoms=(
        "a root of my quadratic has four good digits",
        "the quadratic formula returns 0 for a root that is not 0",
        "subtracting two nearly equal numbers gives noise",
    ),
    breaks=Claim(
        statement="The textbook's formula for the small root, with b about a million, keeps four digits of sixteen.",
        quantity="root mean square relative error of the small root",
        experiment=relative_error_of_root,
        predicted=root_error_by_formula,
        rival=unit_roundoff,
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="first order; the mean of a replicate's 400 squares under the root is low by a thousandth, and 20 seeds resolve four hundredths",
        parameters={"rearranged": False, "exponent": 20},
        sweep=Sweep("exponent", (6, 10, 15, 20, 24), "$\\log_2 b$"),
    ),
    remedy=Claim(
        statement="Rearranged so that nothing cancels, the same root is right to two spacings.",
        quantity="root mean square relative error of the small root",
        experiment=relative_error_of_root,
        predicted=root_error_by_formula,
        rival=cancelled,
        relation="≤",
        tolerance=0.0,
        reason="five roundings of at most ε/2, of which those of the square and of the difference are halved by the root",
        parameters={"rearranged": True, "exponent": 20},
        sweep=Sweep("exponent", (6, 10, 15, 20, 24), "$\\log_2 b$"),
    ),
    figure=draw_small_root,
)

# %%
FAILURE_MODES = (TENTH_A_MILLION_TIMES, VARIANCE_BELOW_ZERO, OTHER_AXIS, SMALL_ROOT)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
