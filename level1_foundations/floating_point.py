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
# # Floating-point arithmetic
#
# ## 1. Select
#
# **Question.** What does a computer keep of a real number, what does it lose when it adds, and how can a sum or a variance keep
# its digits?
#
# **In one line.** Every operation is exact, then rounded to the nearest number that the machine has; the rounding error of an
# addition is itself such a number, so it can be carried along.
#
# **Builds on** NumPy alone. **Mirrors** `math.fsum`, `math.ulp`, `numpy.finfo`, `numpy.sum`, `numpy.mean` and `numpy.var`.
#
# **Sources.** Goldberg (1991) and Higham (2002), the model; Kahan (1965), Knuth (1969) and Neumaier (1974), compensated sums;
# Shewchuk (1997), exact sums; Welford (1962), West (1979) and Chan, Golub and LeVeque (1983), moments.

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | in the code | shape |
# |---|---|---|---|
# | $p$ | digits of precision, in base two: 53 in float64, 24 in float32 | – | () |
# | $\varepsilon$ | distance from 1 to the next number, $2^{1-p}$ | `machine_epsilon` | () |
# | $u$ | largest relative error of a rounding, $\varepsilon/2$ | – | () |
# | $\operatorname{ulp}(t)$ | unit in the last place: spacing of the numbers around $t$ | `ulp` | as $t$ |
# | $\operatorname{fl}(t)$ | the number nearest to $t$ | – | as $t$ |
# | $x_i$ | summand or observation $i$ of $n$ | `x`, `rows` | (n,) or (n, d) |
# | $s_i$ | sum of the first $i$ summands, as computed | `total` | (d,) |
# | $e$ | error of one addition; $c$, the sum of those so far | `error`, `carry` | (d,) |
# | $w_i$ | weight of an observation; $W$, the sum of the weights | `weight` | (n,), () |
# | $m$ | weighted mean; $\sigma^2$, the variance | `mean`, `variance` | (d,) |
# | $Q$ | weighted sum of squared deviations from the mean, $W\sigma^2$ | `squares` | (d,) |
#
# **One number.** A floating-point number is $\pm M\cdot2^{E-p+1}$ with an integer $M$ of $p$ binary digits. Between $2^E$ and $2^{E+1}$, a
# *binade*, the numbers are evenly spaced by $\operatorname{ulp}=2^{E-p+1}$, and with each binade the spacing doubles. Rounding to the
# nearest is off by at most half a spacing, so that
#
# $$\operatorname{fl}(t)=t\,(1+\delta),\qquad|\delta|\le u=\tfrac12\varepsilon=2^{-p}.$$
#
# Below the smallest normal number the spacing stays what it is, and relative accuracy fades out.
#
# **One addition.** The machine returns $s=\operatorname{fl}(a+b)$. What it lost is not only small, it *is a number*: if nothing overflows,
#
# $$e=(a+b)-s\quad\text{is a floating-point number, and}\quad b'=\operatorname{fl}(s-a),\quad
# e=\operatorname{fl}\big((a-\operatorname{fl}(s-b'))+(b-b')\big)\tag{1}$$
#
# finds it without a case distinction (Knuth's TwoSum: $b'$ is the part of $b$ that arrived in $s$; the two differences say what is missing of
# $a$ and of $b$; each of these subtractions turns out exact).
#
# **$n$ additions.** One after the other, $s_i=\operatorname{fl}(s_{i-1}+x_i)$ errs by at most $\tfrac12\operatorname{ulp}(s_i)$ a step, hence
#
# $$\Big|s_n-\sum x_i\Big|\le u\sum_{i=2}^n|s_i|\le(n-1)\,u\sum|x_i|\quad\text{to first order}.\tag{2}$$
#
# If the errors are like independent draws, uniform within half a spacing, the mean square is $\sum_i\operatorname{ulp}(s_i)^2/12$. They need not be: the
# same summand again and again is rounded the same way throughout a binade, and its errors add up. Three remedies:
#
# - *Pairwise*: add neighbors, then the sums of neighbors, and so on. No summand goes through more than $\lceil\log_2n\rceil$
#   additions, and the factor $n-1$ in (2) becomes $\lceil\log_2n\rceil$.
# - *Compensated* (Kahan): add up the errors (1), too, in a carry $c$, and return $\operatorname{fl}(s_n+c)$. The error is at most
#   $u\,|\sum x_i|+n^2u^2\sum|x_i|$ to that order: as good as rounding the exact sum once, while $n^2u\,\sum|x_i|$ is small beside $|\sum x_i|$.
# - *Exact* (Shewchuk): keep all errors as separate numbers that do not overlap, and round once at the end.
#
# **Moments.** The textbook's $\sigma^2=\overline{x^2}-\bar x^2$ subtracts two numbers that agree in their leading digits when the mean is large against
# $\sigma$; each carries an error of about $u\,\bar x^2$, so the relative error is about $u\,(\bar x/\sigma)^2$, and the result may be negative. Deviations
# do not cancel so. Two samples with $(W_a,m_a,Q_a)$ and $(W_b,m_b,Q_b)$ have together
#
# $$W=W_a+W_b,\qquad m=m_a+(m_b-m_a)\frac{W_b}W,\qquad Q=Q_a+Q_b+(m_b-m_a)^2\frac{W_aW_b}W,\tag{3}$$
#
# because $\sum w_i(x_i-m)^2=Q_a+W_a(m_a-m)^2$ over the first sample (the cross term is 0), and likewise over the second. With one new
# observation, $W_b=w$, $m_b=x$ and $Q_b=0$, (3) is **Welford's** update, and for $w=1$
# $Q\mathrel{+}=(x-m_{\text{old}})(x-m_{\text{new}})$. All terms are nonnegative: nothing cancels.
#
# **What it assumes.** Rounding to nearest, no overflow, and a compiler that keeps the order of operations; the formulas
# of the errors, that roundings are independent. What happens otherwise is in `failure_modes/floating_point.py`.
#
# **Cost.** $n$ additions for a sum one by one or in pairs, six times that for a compensated one; $O(nd)$ for moments, in one pass.

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from level1_foundations.parts.floating_point.agreements import compare_branches
from level1_foundations.parts.floating_point.exact import exact_sum
from level1_foundations.parts.floating_point.rows import as_floats, floating_type, summed_rows
from shared.agreement import Agreement, Benchmark, Comparison

__all__ = [
    "BREATH", "RunningMoments", "exact_sum", "kahan_sum", "machine_epsilon", "merge_moments", "moments_of", "naive_sum",
    "pairwise_sum", "plain_moments", "plain_sum", "two_sum", "ulp", "ulp_distance",
]  # fmt: skip

BREATH = "plain_sum"

# %% [markdown]
# ### In one breath
# A sum that carries its own rounding error, and the mean and variance of numbers that are seen once each.


# %%
def plain_sum(x):  # practice: core
    """Kahan's sum: what an addition lost goes into the next one."""
    total, lost = 0.0, 0.0
    for value in x:
        value = value - lost
        new = total + value
        lost = (new - total) - value  # what arrived, minus what should have
        total = new
    return total


def plain_moments(x):  # practice: core
    """Welford's mean and variance, one number at a time."""
    mean, squares = 0.0, 0.0
    for count, value in enumerate(x, 1):
        before = value - mean
        mean += before / count
        squares += before * (value - mean)
    return mean, squares / count


# %% [markdown]
# **What is wrong with it.** A summand larger than the total so far takes the carry with it, so that `[1, 1e100, 1, -1e100]` sums to 0
# and not to 2; it is one Python step a number; and a sample cannot be split over machines. The rest of the page takes the
# error of *each* addition exactly, adds in lanes, and merges moments.
#
# ### What the machine has
# $\varepsilon$ is found by halving, the spacing by the exponent: $t=f\cdot2^k$ with $\tfrac12\le|f|<1$ lies in the binade from $2^{k-1}$, whose spacing
# is $2^{k-p}$.


# %%
def machine_epsilon(dtype: Any = np.float64) -> Any:  # practice: core
    """Distance from 1 to the next number of a floating type, as `numpy.finfo(dtype).eps`, in that type.

    Raises:
        TypeError: a type that is not floating.
    """
    number = floating_type(dtype)
    epsilon = number(1)
    while number(1) + epsilon / number(2) > number(1):
        epsilon = epsilon / number(2)
    return epsilon


def ulp(x: Any) -> Any:
    """Spacing of the numbers around x, in x's type, as `math.ulp`: that of the binade in which |x| lies.

    Shape as x. At 0 and among the subnormal numbers it is the least positive number; for inf it is inf, for NaN NaN.

    Raises:
        TypeError: x is no number.
    """
    x = as_floats(x, "x")
    info = np.finfo(x.dtype)
    _, exponent = np.frexp(np.where(x == 0, info.smallest_subnormal, x))
    spacing = np.ldexp(np.ones_like(x), np.maximum(exponent - info.nmant - 1, info.minexp - info.nmant))
    return np.where(np.isfinite(x), spacing, np.abs(x))[()]


# %% [markdown]
# The bits of nonnegative numbers, read as an integer, count the numbers from 0 upward; negative ones count downward. So the
# number of steps between two of them is a subtraction.


# %%
def ulp_distance(a: Any, b: Any) -> Any:  # practice: core
    """How many steps from one floating-point number to the next lead from a to b; 0 where they are equal.

    Both signs of zero are one number; inf follows the largest finite number. Shapes broadcast. Both in the type of a, or of b
    where a is a Python number. An int, or an array of uint64: float64 has more numbers than int64.

    Raises:
        TypeError: other types than float16, float32 and float64, or two different ones. ValueError: NaN, which lies nowhere.
    """
    dtype = np.result_type(*(v.dtype if hasattr(v, "dtype") else float(v) for v in (a, b)))
    a, b = as_floats(a, "a", dtype), as_floats(b, "b", dtype)
    if np.isnan(a).any() or np.isnan(b).any():
        raise ValueError("a and b must not hold NaN, which lies at no distance from a number.")

    def position(x: np.ndarray) -> np.ndarray:
        bits = x.view(f"i{x.dtype.itemsize}").astype(np.int64)
        least = -(2 ** (8 * x.dtype.itemsize - 1))  # the bits of -0
        return np.where(bits < 0, least - bits, bits)

    low, high = np.sort(np.broadcast_arrays(position(a), position(b)), axis=0)
    steps = high.astype(np.uint64) - low.astype(np.uint64)  # modulo 2⁶⁴, in which it fits
    return int(steps) if steps.ndim == 0 else steps


# %% [markdown]
# ### One addition
# Equation (1), line by line; for arrays entry by entry.


# %%
def two_sum(a: Any, b: Any) -> tuple[Any, Any]:  # practice: core
    """fl(a + b) and the error (a + b) − fl(a + b), exactly, where nothing overflows."""
    total = a + b
    arrived = total - a  # of b
    error = (a - (total - arrived)) + (b - arrived)
    return total, error


# %% [markdown]
# ### Sums
# Each sums like `numpy.sum`, over everything or along an axis, in the type of its argument; `summed_rows` puts that axis first.
# One by one, $s_i=\operatorname{fl}(s_{i-1}+x_i)$:


# %%
def naive_sum(x: Any, *, axis: int | None = None) -> Any:
    """Sum from the first to the last, one by one, in the type of x; integers as float64. O(n), error as (2).

    Raises:
        TypeError: x is not real numbers. ValueError: no such axis.
    """
    rows, shape = summed_rows(x, axis)
    total = np.zeros(rows.shape[1], rows.dtype)
    for start in range(0, len(rows), CHUNK):
        chunk = np.concatenate([total[None], rows[start : start + CHUNK]])
        total = np.add.accumulate(chunk)[-1]  # runs through the rows in order
    return total.reshape(shape)[()]


CHUNK = 65_536

# %% [markdown]
# In pairs: the first half plus the second half, until one row is left. Whichever rows meet, each goes through
# $\lceil\log_2n\rceil$ additions at most.


# %%
def pairwise_sum(x: Any, *, axis: int | None = None) -> Any:  # practice: core
    """Sum by halves, in the type of x; integers as float64. O(n), with log₂ n in the place of n − 1 in the error (2).

    Raises:
        TypeError: x is not real numbers. ValueError: no such axis.
    """
    rows, shape = summed_rows(x, axis)
    while len(rows) > 1:
        half = len(rows) // 2
        rows, left = rows[:half] + rows[half : 2 * half], rows[2 * half :]
        if len(left):
            rows = np.concatenate([rows, left])
    total = rows[0] if len(rows) else np.zeros(rows.shape[1], rows.dtype)
    return total.reshape(shape)[()]


# %% [markdown]
# Compensated: $s,e=\text{TwoSum}(s,x_i)$, $c\mathrel{+}=e$. **What makes it fast**: a long column is folded into many of `HEIGHT` rows that are
# summed side by side, one array operation for all; their totals are summed in the same way, and the carries of all join.


# %%
HEIGHT = 32


def compensated(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Total and carry of each column of (n, d)."""
    n, d = rows.shape
    if n > 2 * HEIGHT:
        lanes = n // HEIGHT
        totals, carries = compensated(rows[: lanes * HEIGHT].reshape(HEIGHT, lanes * d))
        rest = np.concatenate([totals.reshape(lanes, d), rows[lanes * HEIGHT :]])
        total, carry = compensated(rest)
        return total, carry + pairwise_sum(carries.reshape(lanes, d), axis=0)
    total, carry = np.zeros(d, rows.dtype), np.zeros(d, rows.dtype)
    for row in rows:
        total, error = two_sum(total, row)
        carry = carry + error
    return total, carry


def kahan_sum(x: Any, *, axis: int | None = None) -> Any:  # practice: core
    """Compensated sum, in the type of x; integers as float64. O(n), six operations a summand.

    The error of each addition is taken exactly (Neumaier 1974), so that a summand larger than the total loses nothing. As
    accurate as rounding the exact sum once, unless the summands cancel to some n²u of their size.

    Raises:
        TypeError: x is not real numbers. ValueError: no such axis.
    """
    rows, shape = summed_rows(x, axis)
    with np.errstate(invalid="ignore"):  # inf − inf: the errors are lost, the total is what it must be
        total, carry = compensated(rows)
    return np.where(np.isfinite(total), total + carry, total).reshape(shape)[()]


# %% [markdown]
# ### Moments
# A batch of observations has its moments from deviations, in two passes; the second corrects the mean by what the
# first one lost. Batches, and what machines elsewhere have seen, are joined by (3).


# %%
Moments = tuple[Any, Any, Any]  # W, m and Q


def moments_of(x: np.ndarray, weight: np.ndarray) -> Moments:
    """Total weight (), weighted mean (d,) and weighted squared deviations (d,) of the rows of x (n, d). O(nd)."""
    total = pairwise_sum(weight)
    mean = pairwise_sum(weight[:, None] * x, axis=0) / total
    apart = x - mean
    weighted = weight[:, None] * apart
    rest = pairwise_sum(weighted, axis=0) / total  # 0 but for rounding
    return total, mean + rest, pairwise_sum(weighted * apart, axis=0) - total * rest**2


def merge_moments(a: Moments, b: Moments) -> Moments:  # practice: core
    """The moments of two samples together, by (3); each is total weight, mean and squared deviations. O(d)."""
    weight = a[0] + b[0]
    share = b[0] / weight
    apart = b[1] - a[1]
    return weight, a[1] + apart * share, a[2] + b[2] + apart**2 * (a[0] * share)


class RunningMoments:
    """Mean and variance of observations that come in batches and are not kept.

    Args:
        x, weight: a first batch, as for `update`; by default none.
        ddof: the variance divides by the total weight minus this, as `numpy.var`: 0 by default, 1 for the unbiased estimate from
            unit weights (or counts).

    Attributes:
        count: observations of positive weight. weight: their total weight. mean: () or (d,). variance: as mean.
    """

    def __init__(self, x: Any = None, weight: Any = None, *, ddof: float = 0.0) -> None:
        self.ddof, self.count = ddof, 0
        self._moments: Moments = (0.0, np.zeros(()), np.zeros(()))
        if x is not None:
            self.update(x, weight)

    def update(self, x: Any, weight: Any = None) -> RunningMoments:
        """Take in one number, n of them, or n rows of d, each of weight one or as given; returns self. O(nd).

        Rows of weight 0 count for nothing, whatever they hold.

        Raises:
            TypeError: x is not real numbers. ValueError: x or a weight is not finite, a weight is negative, or shapes do not fit.
        """
        x = np.atleast_1d(as_floats(x, "x").astype(np.float64))
        weight = np.ones(len(x)) if weight is None else as_floats(weight, "weight").astype(np.float64)
        weight = np.atleast_1d(weight)
        if x.ndim > 2 or weight.shape != x.shape[:1]:
            raise ValueError(
                f"x must be (n,) or (n, d) and weight (n,), got the shapes {x.shape} and {weight.shape}."
            )
        if not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise ValueError(f"weight must hold finite numbers, at least 0, got {weight.min()} as the least.")
        x, weight = x[weight > 0], weight[weight > 0]
        if not np.isfinite(x).all():
            place = tuple(map(int, np.argwhere(~np.isfinite(x))[0]))
            raise ValueError(
                f"x must be finite, got {x[place]} at index {place}; leave it out, or give it weight 0."
            )
        if self.count and x.shape[1:] != self.mean.shape:
            raise ValueError(f"x must have rows of shape {self.mean.shape} as before, got {x.shape[1:]}.")
        if len(x):
            total, mean, squares = moments_of(x.reshape(len(x), -1), weight)
            self._join(len(x), (total, mean.reshape(x.shape[1:]), squares.reshape(x.shape[1:])))
        return self

    def merge(self, other: RunningMoments) -> RunningMoments:
        """Take in what another one has seen, which stays as it is; returns self. O(d).

        Raises:
            ValueError: it saw rows of another shape.
        """
        if self.count and other.count and self.mean.shape != other.mean.shape:
            raise ValueError(f"other must have seen rows of shape {self.mean.shape}, got {other.mean.shape}.")
        if other.count:
            self._join(other.count, other._moments)
        return self

    def _join(self, count: int, moments: Moments) -> None:
        self._moments = merge_moments(self._moments, moments) if self.count else moments
        self.count += count

    @property
    def weight(self) -> float:
        return float(self._moments[0])

    @property
    def mean(self) -> Any:
        """Weighted mean; NaN before the first observation."""
        return self._moments[1][()] if self.count else np.float64(np.nan)

    @property
    def variance(self) -> Any:
        """Weighted squared deviations over total weight minus ddof; NaN where that is not positive."""
        freedom = self.weight - self.ddof
        return self._moments[2][()] / freedom if self.count and freedom > 0 else self.mean * np.nan


# %% [markdown]
# ## 4. Validate
#
# | | ours | the library | why |
# |---|---|---|---|
# | integers and booleans | summed as float64 | `numpy.sum` as integers, which wrap | a sum of counts must not wrap |
# | `kahan_sum` with inf | inf, or NaN where signs differ | `math.fsum` raises for both signs | as `numpy.sum` |
# | the sum of nothing | 0.0 | the same | |
# | `variance` of no observation | NaN, without a warning | `numpy.var` warns | it is a question one may ask |
#
# Below, each against the library on the same numbers: nearest numbers and spacings, sums of numbers that cancel, moments with weights
# and in pieces, and the certified NumAcc sets of the US National Institute of Standards and Technology.


# %%
def validate() -> list[Agreement]:
    """Types, spacings, sums and moments against Python's math and NumPy; on numbers that cancel, and on certified data."""
    import math

    comparison = Comparison(reference="numpy.finfo", dataset="float16, float32, float64")
    for number in (np.float16, np.float32, np.float64):
        ours, theirs = machine_epsilon(number), np.finfo(number).eps
        comparison.compare(
            f"epsilon, {number.__name__}", float(ours), float(theirs), tolerance=0, reason="a power of two"
        )
    rng = np.random.default_rng(0)
    x = rng.standard_normal(20_000) * 10.0 ** rng.integers(-8, 9, 20_000)
    sums = comparison.on(reference="math.fsum", dataset="20,000 numbers over 17 decades")
    once = "rounded once: half a spacing of the sum, 1.1e-16 of it"
    for name, function, tolerance, reason in (
        ("exact", exact_sum, 0, "both round the exact sum once"),
        ("compensated", kahan_sum, 2.3e-16, f"{once}, and again where that rounds up a tie"),
        (
            "pairwise",
            pairwise_sum,
            15 * 1.2e-16 * np.abs(x).sum() / abs(math.fsum(x)),
            "log₂ n roundings, equation (2)",
        ),
    ):
        ours, theirs = sums.run(partial(function, x), partial(math.fsum, x))
        sums.compare(f"sum, {name}", float(ours), theirs, tolerance=float(tolerance), reason=reason)
    compare_branches(comparison, machine_parts())
    return comparison.agreements


def machine_parts() -> dict[str, Any]:  # practice: keep
    """What the comparison of all branches needs of this page."""
    return {
        "ulp": ulp, "ulp_distance": ulp_distance, "two_sum": two_sum, "naive_sum": naive_sum,
        "pairwise_sum": pairwise_sum, "kahan_sum": kahan_sum, "RunningMoments": RunningMoments,
    }  # fmt: skip


def benchmarks() -> list[Benchmark]:
    """The compensated sum against `math.fsum`, and moments against NumPy's two calls."""
    import math

    def sums(n: int) -> tuple[Any, ...]:
        x = np.random.default_rng(0).random(n)
        values = x.tolist()
        breath = (lambda: plain_sum(values)) if n <= 200_000 else None
        return lambda: kahan_sum(x), lambda: math.fsum(x), breath

    def moments(n: int) -> tuple[Any, ...]:
        x = np.random.default_rng(0).random(n)
        values = x.tolist()
        breath = (lambda: plain_moments(values)) if n <= 200_000 else None
        return lambda: RunningMoments(x).variance, lambda: (np.mean(x), np.var(x)), breath

    return [
        Benchmark("compensated sum", (10_000, 100_000, 1_000_000), sums, 1.0, "math.fsum", unit="numbers"),
        Benchmark(
            "mean and variance", (10_000, 100_000, 1_000_000), moments, 1.0, "numpy.var", unit="numbers"
        ),
    ]


# %% [markdown]
# ## 5. Document
#
# **Use it** compensated sums where many numbers are added and the digits count: losses over millions of rows, clocks, balances,
# gradients in float32; running moments where data stream by or lie on several machines. `numpy.sum` is pairwise along contiguous memory, which
# suffices for most sums. **Do not use it** to mend a formula that cancels, as the small root of a quadratic: no sum can bring back digits that
# an earlier rounding took. Rearrange the formula.
#
# **In plain words.** A computer keeps about sixteen digits of a number, or seven in the small format that is common in machine learning. Each
# operation rounds the last one. That is harmless, until millions of roundings go the same way, or until two large numbers that nearly agree are
# subtracted and only the rounded digits remain. When a result looks noisy, ask how large the numbers were on the way to it, not how
# large it is.
#
# **How it breaks**: `groundup break floating_point`, and `failure_modes/floating_point.py`.
#
# **The pictures.** The mechanism: all numbers of a small format, and what the repeated addition of a tenth does in each binade. The result: the errors of three
# sums over a real record, beside their bounds.


# %%
def mechanism() -> Any:
    """Above: every number with three binary digits from 1/2 to 8; their spacing doubles with each binade. Below: adding 0.1 in
    float32 goes wrong at a slope of its own in each binade, and the carry of a compensated sum holds just that error."""
    from shared.figures import COLORS, subplots

    figure, (line, axes) = subplots(2, 1, width=9.0, height=5.2, height_ratios=[1, 3])
    for exponent in range(-1, 3):
        numbers = 2.0**exponent * (1 + np.arange(4) / 4)
        line.vlines(numbers, 0, 1, color=COLORS["ours"], linewidth=2)
        line.annotate(f"ulp {2.0 ** (exponent - 2):g}", (2.0**exponent * 1.45, 1.15), ha="center", fontsize=9)
    line.set(
        title="All numbers with p = 3 from ½ to 8",
        ylim=(0, 1.6),
        yticks=[],
        xlim=(0.3, 8.2),
        xticks=[0.5, 1, 2, 4, 8],
    )
    line.grid(False)
    x = np.full(300_000, 0.1, np.float32)
    totals = np.add.accumulate(x)
    steps = np.arange(1, len(x) + 1)
    error = totals.astype(float) - steps * float(x[0])
    _, lost = two_sum(np.concatenate([[np.float32(0)], totals[:-1]]), x)
    axes.plot(steps, error, color=COLORS["broken"], label="error of the sum so far")
    axes.plot(
        steps[::15_000],
        -np.cumsum(lost, dtype=float)[::15_000],
        "o",
        color=COLORS["mended"],
        label="the carry, turned round",
    )
    for number in 2.0 ** np.arange(10, 16):
        axes.axvline(number / 0.1, color=COLORS["theory"], linestyle=":", linewidth=1)
    axes.set(
        title="0.1 again and again in float32; dotted: where the sum enters a binade",
        xlabel="additions",
        ylabel="error",
        xlim=(0, 3e5),
    )
    axes.legend(loc="upper left")
    return figure


def example() -> Any:
    """Relative error of three sums over the first n weeks of the carbon dioxide record of Mauna Loa, in float32, and what theory allows."""
    from shared.datasets import load_co2
    from shared.figures import COLORS, subplots

    parts_per_million = load_co2().y.astype(np.float32)
    sizes = np.unique(np.geomspace(4, len(parts_per_million), 60).astype(int))
    figure, axes = subplots(width=8.0, height=4.2)
    u = float(np.finfo(np.float32).eps) / 2
    for label, function, color, bound in (
        ("one by one", naive_sum, COLORS["broken"], (sizes - 1) * u),
        ("pairwise", pairwise_sum, COLORS["theory"], np.ceil(np.log2(sizes)) * u),
        ("compensated", kahan_sum, COLORS["mended"], np.full(len(sizes), u)),
    ):
        exact = np.array([exact_sum(parts_per_million[:n]) for n in sizes])
        error = np.abs([float(function(parts_per_million[:n])) for n in sizes] - exact) / exact
        axes.loglog(sizes, np.maximum(error, 1e-10), ".", color=color, label=label)
        axes.loglog(sizes, bound, color=color, linestyle="--", linewidth=1)
    axes.set(
        title="Sums of a real record in float32 (dashed: at most)",
        xlabel="weeks",
        ylabel="relative error (0 is drawn at 10⁻¹⁰)",
    )
    axes.legend(loc="upper left")
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
