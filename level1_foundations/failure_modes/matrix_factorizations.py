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
# # How matrix factorizations break
#
# A well-conditioned problem can be lost by its method: numbers grow on the way, columns that were to be orthogonal are not, and a harmless result overflows before it is
# there. Each is broken here once, with the number that theory predicts.

# %%
from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from level1_foundations.matrix_factorizations import lu, qr, slogdet, solve, solve_triangular
from level1_foundations.parts.matrix_factorizations.nasty import wilkinson, with_singular_values
from level1_foundations.parts.matrix_factorizations.single_steps import bare_step
from shared.datasets import load_longley
from shared.failure_mode import Claim, FailureMode
from shared.special import digamma

U = float(np.finfo(float).eps) / 2


def slope(x: Any, y: Any) -> float:
    """Of the least-squares line through (x, y)."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    return float(np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2))


def random_orthogonal(rng: np.random.Generator, n: int) -> np.ndarray:
    """The Q of a matrix of normals, (n, n)."""
    return qr(rng.standard_normal((n, n)))[0]


# %% [markdown]
# ## Without row exchanges, a small pivot
#
# An orthogonal matrix has $\kappa=1$: its systems are as easy as they come. Give it a first entry $\eta$, small, and eliminate without exchanges. The multipliers are $1/\eta$, the rows that remain are
# $a_{ij}-a_{i1}a_{1j}/\eta$, and of $a_{ij}$ the digits below $u/\eta$ are rounded away. The error of the solution is proportional to $u/\eta$: on logarithmic axes a line of slope −1 in $\eta$. The nearest wrong theory looks at $\kappa u$, slope
# 0. With exchanges the slope is 0, too, on the same matrices.

# %%
PIVOTS = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
SIZE, SYSTEMS = 20, 3


def with_first_entry(rng: np.random.Generator, pivot: float, n: int = SIZE) -> np.ndarray:
    """A random orthogonal matrix whose first row begins with the pivot: a reflection takes its first row there."""
    Q = random_orthogonal(rng, n)
    row = rng.standard_normal(n)
    row[0] = 0
    row *= math.sqrt(1 - pivot**2) / math.sqrt(row @ row)
    row[0] = pivot
    v = Q[0] - row
    return Q - np.outer(Q @ v, 2 / (v @ v) * v)


def eliminated_without_exchanges(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The solution of A x = b with the pivots as they come."""
    W = np.column_stack([A, b])
    for k in range(len(A) - 1):
        bare_step(W, k)
    return solve_triangular(W[:, :-1], W[:, -1])


def slope_in_pivot(rng: np.random.Generator, *, exchanges: bool) -> float:
    """Slope of the logarithm of the error in that of the pivot, each error the root mean square over SYSTEMS systems."""
    errors = []
    for pivot in PIVOTS:
        squares = []
        for _ in range(SYSTEMS):
            A, x = with_first_entry(rng, pivot), rng.standard_normal(SIZE)
            found = solve(A, A @ x) if exchanges else eliminated_without_exchanges(A, A @ x)
            squares.append(float(np.sum((found - x) ** 2) / np.sum(x**2)))
        errors.append(0.5 * math.log10(np.mean(squares)))
    return slope(np.log10(PIVOTS), errors)


def slope_by_formula(*, exchanges: bool) -> float:
    """−1 for u/η, 0 for κu."""
    return 0.0 if exchanges else -1.0


def draw_no_exchanges() -> Any:
    """Relative error of the solution of orthogonal systems over the first pivot: u/η without exchanges, u with them."""
    from shared.figures import COLORS, subplots

    figure, axes = subplots(width=7.0, height=4.0)
    pivots = 10.0 ** np.arange(-12, 0)
    for exchanges, label, color in (
        (False, "pivots as they come", COLORS["broken"]),
        (True, "row exchanges", COLORS["mended"]),
    ):
        rng, errors = np.random.default_rng(0), []
        for pivot in pivots:
            A, x = with_first_entry(rng, pivot), np.ones(SIZE)
            found = solve(A, A @ x) if exchanges else eliminated_without_exchanges(A, A @ x)
            errors.append(float(np.abs(found - x).max()))
        axes.loglog(pivots, errors, "o", color=color, label=label)
    axes.loglog(pivots, U / pivots, "--", color="gray", label="u/η")
    axes.set(title="Systems with condition number 1", xlabel="first pivot η", ylabel="error of x")
    axes.legend()
    return figure


NO_EXCHANGES = FailureMode(
    name="no_exchanges",
    title="Without row exchanges, a small pivot",
    symptoms=(
        "condition number 1, yet the solution has four digits",
        "my own gaussian elimination loses digits",
        "lu without pivoting gives a wrong solution",
    ),
    breaks=Claim(
        statement="Orthogonal systems, eliminated without exchanges, lose as many digits as the first pivot is small.",
        quantity="slope of the logarithm of the error in that of the pivot",
        experiment=slope_in_pivot,
        predicted=slope_by_formula,
        rival=0.0,
        relation="≈",
        tolerance=0.05,
        reason="first order in u/η; at 1e-4 the other pivots still add to the error",
        parameters={"exchanges": False},
    ),
    remedy=Claim(
        statement="With row exchanges the error does not depend on that entry.",
        quantity="slope of the logarithm of the error in that of the pivot",
        experiment=slope_in_pivot,
        predicted=slope_by_formula,
        rival=-1.0,
        relation="≈",
        tolerance=0.05,
        reason="the error is κu with κ = 1 at each pivot",
        parameters={"exchanges": True},
    ),
    figure=draw_no_exchanges,
)

# %% [markdown]
# ## One bit lost with each row
#
# With exchanges the multipliers are at most 1, and the largest entry may double with each step: $g\le2^{n-1}$. Wilkinson's matrix does it: ones on the diagonal and in the last column, −1 below. The last column becomes $1,2,4,\dots$, the
# pivots stay 1, no exchange is called for. Its condition number grows like $n$. So the error grows like $2^nu$, a bit for each row. Reflections keep the lengths of columns, and the error grows with $\kappa$ alone. The
# nearest wrong theory is that one.

# %%
SIZES = (16, 24, 32, 40, 48)


def bits_per_row(rng: np.random.Generator, *, method: str) -> float:
    """Slope of log₂ of the root mean square error in n, on right-hand sides of random normals."""
    errors = []
    for n in SIZES:
        A = wilkinson(n)
        X = rng.standard_normal((n, 8))
        B = A @ X
        if method == "elimination":
            found = solve(A, B)
        else:
            Q, R = qr(A)
            found = solve_triangular(R, Q.T @ B)
        errors.append(0.5 * math.log2(np.mean((found - X) ** 2)))
    return slope(SIZES, errors)


def bits_by_formula(*, method: str) -> float:
    """1 for the growth 2ⁿ; for reflections the slope of log₂ κ over these sizes, κ being proportional to n."""
    if method == "elimination":
        return 1.0
    return slope(SIZES, np.log2(SIZES))


def draw_growth() -> Any:
    """Left: the upper factor of Wilkinson's matrix, whose last column doubles. Right: error of the solution over n, by elimination with exchanges and by reflections."""
    from shared.figures import COLORS, subplots

    figure, (left, right) = subplots(1, 2, width=10.0, height=4.0)
    left.imshow(np.log2(np.abs(lu(wilkinson(16))[2]) + 1e-3), cmap="viridis")
    left.set(title="log₂ of the upper factor, n = 16", xticks=[], yticks=[])
    left.grid(False)
    sizes = np.arange(8, 61, 4)
    for method, label, color in (
        ("elimination", "elimination with exchanges", COLORS["broken"]),
        ("reflections", "reflections", COLORS["mended"]),
    ):
        errors = []
        for n in sizes:
            A, x = wilkinson(int(n)), np.random.default_rng(0).standard_normal(int(n))
            Q, R = qr(A)
            found = solve(A, A @ x) if method == "elimination" else solve_triangular(R, Q.T @ (A @ x))
            errors.append(float(np.abs(found - x).max()))
        right.semilogy(sizes, errors, "o", color=color, label=label)
    right.semilogy(sizes, U * 2.0**sizes, "--", color="gray", label="2ⁿ u")
    right.set(title="Error of the solution", xlabel="n", ylim=(1e-17, 10))
    right.legend()
    return figure


GROWTH = FailureMode(
    name="growth",
    title="One bit lost with each row",
    symptoms=(
        "solve is wrong in the third digit though the condition number is 21",
        "partial pivoting gives garbage on one particular matrix",
        "residual is large after solve, and no warning",
    ),
    breaks=Claim(
        statement="On Wilkinson's matrix elimination with partial pivoting loses a bit with each row, whatever the condition number.",
        quantity="slope of log₂ of the error in n",
        experiment=bits_per_row,
        predicted=bits_by_formula,
        rival=bits_by_formula(method="reflections"),
        relation="≈",
        tolerance=0.06,
        reason="the mean over right-hand sides has a factor that falls slowly with n; over 32 rows a factor of two is 0.03",
        parameters={"method": "elimination"},
    ),
    remedy=Claim(
        statement="By reflections the error grows as the condition number does, in proportion to n.",
        quantity="slope of log₂ of the error in n",
        experiment=bits_per_row,
        predicted=bits_by_formula,
        rival=1.0,
        relation="≈",
        tolerance=0.06,
        reason="roundings add like a random walk, so that a power of n between ½ and 3/2 may come: 0.024 either way",
        parameters={"method": "reflections"},
    ),
    figure=draw_growth,
)

# %% [markdown]
# ## Columns that are not orthogonal
#
# Gram and Schmidt take from each column its parts along the earlier ones. When what is left is small against the column, its rounding is large against it: the loss $\lVert I-Q^\top Q\rVert$ is proportional to $u\kappa^2$ if all parts are taken from the original
# column (*classical*), and to $u\kappa$ if each is taken from what the others left (*modified*, Björck 1967). Reflections lose $nu$ whatever $\kappa$ is. So on logarithmic axes the slopes in $\kappa$ are 2, 1 and 0. The classical form is what one writes with whole arrays,
# $a-Q(Q^\top a)$; the nearest wrong theory takes both forms for one algorithm, because in exact arithmetic they are.
#
# (The bound in $\kappa^2$ is for the classical form with this order of operations; where $u\kappa^2>1$ nothing is left to lose.)

# %%
CONDITIONS = (1e2, 1e3, 1e4, 1e5, 1e6)


def gram_schmidt(A: np.ndarray, *, modified: bool) -> np.ndarray:
    """Q (m, n) by Gram–Schmidt."""
    Q = A.copy()
    for k in range(A.shape[1]):
        if not modified:
            Q[:, k] = A[:, k] - Q[:, :k] @ (Q[:, :k].T @ A[:, k])
        Q[:, k] /= math.sqrt(Q[:, k] @ Q[:, k])
        if modified:
            Q[:, k + 1 :] -= np.outer(Q[:, k], Q[:, k] @ Q[:, k + 1 :])
    return Q


def loss(Q: np.ndarray) -> float:
    """‖I − QᵀQ‖, Frobenius."""
    return math.sqrt(float(np.sum((np.eye(Q.shape[1]) - Q.T @ Q) ** 2)))


def slope_in_condition(rng: np.random.Generator, *, method: str, matrices: int = 4) -> float:
    """Slope of the logarithm of the loss in that of κ; at each κ the mean over matrices of 100 × 20 with geometric singular values."""
    losses = []
    for condition in CONDITIONS:
        logarithms = []
        for _ in range(matrices):
            left, right = qr(rng.standard_normal((100, 20)), mode="economic")[0], random_orthogonal(rng, 20)
            A = left * np.geomspace(1, 1 / condition, 20) @ right
            Q = (
                qr(A, mode="economic")[0]
                if method == "reflections"
                else gram_schmidt(A, modified=method == "modified")
            )
            logarithms.append(math.log10(loss(Q)))
        losses.append(np.mean(logarithms))
    return slope(np.log10(CONDITIONS), losses)


def power_of_condition(*, method: str) -> float:
    """2, 1 and 0."""
    return {"classical": 2.0, "modified": 1.0, "reflections": 0.0}[method]


def draw_lost_orthogonality() -> Any:
    """Left: QᵀQ by classical Gram–Schmidt at κ = 10⁷, off the diagonal far from 0. Right: loss of orthogonality over the condition number for the three methods."""
    from shared.figures import COLORS, subplots

    figure, (left, right) = subplots(1, 2, width=10.0, height=4.0)
    Q = gram_schmidt(with_singular_values(np.geomspace(1, 1e-7, 20), 100, 0), modified=False)
    left.imshow(np.abs(Q.T @ Q), cmap="viridis", vmin=0, vmax=1)
    left.set(title="|QᵀQ|, classical, κ = 10⁷", xticks=[], yticks=[])
    left.grid(False)
    conditions = 10.0 ** np.arange(1, 13)
    for method, color in (
        ("classical", COLORS["broken"]),
        ("modified", COLORS["theory"]),
        ("reflections", COLORS["mended"]),
    ):
        losses = []
        for condition in conditions:
            A = with_singular_values(np.geomspace(1, 1 / condition, 20), 100, 1)
            losses.append(
                loss(
                    qr(A, mode="economic")[0]
                    if method == "reflections"
                    else gram_schmidt(A, modified=method == "modified")
                )
            )
        right.loglog(conditions, losses, "o", color=color, label=method)
        if method != "reflections":
            right.loglog(
                conditions,
                np.minimum(U * conditions ** power_of_condition(method=method), 10),
                "--",
                color=color,
                linewidth=1,
            )
    right.set(title="Loss of orthogonality (dashed: uκ², uκ)", xlabel="condition number κ")
    right.legend()
    return figure


LOST_ORTHOGONALITY = FailureMode(
    name="lost_orthogonality",
    title="Columns that are not orthogonal",
    symptoms=(
        "Q from Gram-Schmidt fails the check that Q.T @ Q is the identity",
        "my vectors lose orthogonality",
        "basis vectors repeat themselves after some columns",
    ),
    breaks=Claim(
        statement="Classical Gram–Schmidt loses orthogonality in proportion to the square of the condition number.",
        quantity="slope of the logarithm of the loss in that of the condition number",
        experiment=slope_in_condition,
        predicted=power_of_condition,
        rival=1.0,
        relation="≈",
        tolerance=0.3,
        reason="the power is that of a bound, and the constant beside it may change by a factor of ten over the four decades",
        parameters={"method": "classical"},
    ),
    remedy=Claim(
        statement="Reflections lose no more at a large condition number than at a small one.",
        quantity="slope of the logarithm of the loss in that of the condition number",
        experiment=slope_in_condition,
        predicted=power_of_condition,
        rival=2.0,
        relation="≈",
        tolerance=0.05,
        reason="nu at every condition number; a factor of one and a half over four decades is 0.04",
        parameters={"method": "reflections"},
    ),
    figure=draw_lost_orthogonality,
)

# %% [markdown]
# ## In which unit?
#
# Longley's table of the economy of sixteen years has columns as different as a deflator near 100 and a national product near 500,000. Its condition number is $5\cdot10^9$ with an intercept, and 43,275 if columns are first brought to the same length. Which of the two does the loss
# of orthogonality of modified Gram–Schmidt follow? The algorithm does not see the lengths: a column multiplied by a power of two gives the same $q$ and digits. So the loss is at most of the size $u\kappa_s$ with the *scaled* condition number, whatever the units are. The nearest wrong theory takes the raw one, which in random units is larger by
# five orders of magnitude and more. Reflections lose some $nu$, as ever.

# %%
# Of Longley's columns with an intercept: as they are (in most random units it is larger), and each of length 1 (Belsley, Kuh and Welsch 1980)
RAW_CONDITION, SCALED_CONDITION = 4.86e9, 43_275.0


@cache
def longley() -> np.ndarray:
    """An intercept and the six columns, (16, 7)."""
    data = load_longley()
    return np.column_stack([np.ones(len(data.X)), data.X])


def loss_in_random_units(rng: np.random.Generator, *, method: str, tables: int = 8) -> float:
    """Mean decimal logarithm of loss over u, each column in a unit of ten to a random power within four, the years in random order."""
    logarithms = []
    for _ in range(tables):
        A = longley()[rng.permutation(16)] * 10.0 ** rng.uniform(-4, 4, 7)
        Q = gram_schmidt(A, modified=True) if method == "modified" else qr(A, mode="economic")[0]
        logarithms.append(math.log10(loss(Q) / U))
    return float(np.mean(logarithms))


def logarithm_of_loss(*, method: str) -> float:
    """log₁₀ of the scaled condition number; for reflections of mn = 112 roundings."""
    return math.log10(112.0 if method == "reflections" else SCALED_CONDITION)


def draw_units() -> Any:
    """Loss of orthogonality over u on Longley's table in many random units, over the raw condition number: it stays below the scaled one."""
    from shared.figures import COLORS, subplots

    figure, axes = subplots(width=7.5, height=4.0)
    for method, label, color in (
        ("modified", "modified Gram–Schmidt", COLORS["broken"]),
        ("reflections", "reflections", COLORS["mended"]),
    ):
        points = []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            order, powers = rng.permutation(16), rng.uniform(-4, 4, 7)
            A = longley()[order] * 10.0**powers
            Q = gram_schmidt(A, modified=True) if method == "modified" else qr(A, mode="economic")[0]
            lengths = np.sqrt(np.sum(A * A, axis=0))
            points.append((lengths.max() / lengths.min(), loss(Q) / U))
        axes.loglog(*np.array(points).T, ".", color=color, label=label)
    axes.axhline(SCALED_CONDITION, color="gray", linestyle="--", label="scaled condition number")
    axes.set(
        title="Longley's table in random units",
        xlabel="longest over shortest column",
        ylabel="loss of orthogonality over u",
    )
    axes.legend()
    return figure


UNITS = FailureMode(
    name="units",
    title="In which unit?",
    symptoms=(
        "should I rescale columns before QR",
        "regression on raw national accounts is numerically bad",
        "orthogonality depends on collinearity but not on the units",
    ),
    breaks=Claim(
        statement="On Longley's table in random units the loss of modified Gram–Schmidt follows the condition number of its scaled columns, not that of the table.",
        quantity="log₁₀ of the loss of orthogonality over u",
        experiment=loss_in_random_units,
        predicted=logarithm_of_loss,
        rival=math.log10(RAW_CONDITION),
        relation="≈",
        tolerance=1.1,
        reason="a bound with a constant of order one: the share of it that roundings reach is between a tenth and all",
        parameters={"method": "modified"},
    ),
    remedy=Claim(
        statement="Reflections lose no more than a rounding for each entry.",
        quantity="log₁₀ of the loss of orthogonality over u",
        experiment=loss_in_random_units,
        predicted=logarithm_of_loss,
        rival=math.log10(SCALED_CONDITION),
        relation="≤",
        tolerance=0.0,
        reason="sixteen rows and seven columns have 112 entries",
        parameters={"method": "reflections"},
    ),
    figure=draw_units,
)

# %% [markdown]
# ## The determinant is infinite
#
# The determinant of a matrix of $n$ standard normals is, in absolute value, a product of independent lengths: column $k$'s distance from the span of the others has the square $\chi^2_k$. So
#
# $$E\ln|\det|=\tfrac12\sum_{k=1}^n E\ln\chi_k^2=\tfrac12\sum_{k=1}^n\big(\psi(k/2)+\ln2\big),$$
#
# with the digamma function $\psi$. It reaches $\ln(1.8\cdot10^{308})=709.78$ at $n=302$: from there on the product of the pivots overflows, though no entry is larger than 5. The sum of logarithms has no such end. The nearest wrong theory expects a product of pivots of the size of
# the entries to be of that size.

# %%
LARGEST = math.log(np.finfo(float).max)


def first_overflow(rng: np.random.Generator, *, start: int = 280, stop: int = 330) -> float:
    """About where the product of the pivots of the leading n × n block becomes infinite, by halving the interval."""
    A = rng.standard_normal((stop, stop))
    while stop - start > 1:
        n = (start + stop) // 2
        with np.errstate(over="ignore"):
            infinite = not np.isfinite(np.prod(np.diag(lu(A[:n, :n])[2])))
        start, stop = (start, n) if infinite else (n, stop)
    return (start + stop) / 2


@cache
def mean_logarithm(n: int) -> float:
    """½ Σ (ψ(k/2) + ln 2)."""
    k = np.arange(1, n + 1)
    return 0.5 * float(np.sum(digamma(k / 2) + math.log(2)))


def overflow_by_formula(*, start: int = 280, stop: int = 330) -> float:
    """Where the mean of the logarithm reaches that of the largest number, between two whole n."""
    for n in range(start, stop):
        low, high = mean_logarithm(n), mean_logarithm(n + 1)
        if low <= LARGEST < high:
            return n + (LARGEST - low) / (high - low)
    raise ValueError(f"the overflow must lie between start and stop, got {start} and {stop}.")


def logarithm(rng: np.random.Generator, *, n: int) -> float:
    """ln|det| of n × n normals."""
    return float(slogdet(rng.standard_normal((n, n))).logabsdet)


def logarithm_by_formula(*, n: int) -> float:
    """Its mean."""
    return mean_logarithm(n)


def draw_infinite_determinant() -> Any:
    """Partial products of pivots of a 400 × 400 matrix of normals in log₁₀, as predicted and as they come; past 308 there is no such number."""
    from shared.figures import COLORS, subplots

    figure, axes = subplots(width=7.5, height=4.0)
    pivots = np.abs(np.diag(lu(np.random.default_rng(0).standard_normal((400, 400)))[2]))
    axes.plot(np.cumsum(np.log10(pivots)), color=COLORS["mended"], label="sum of logarithms")
    with np.errstate(over="ignore"):
        product = np.log10(np.cumprod(pivots))
    axes.plot(product, color=COLORS["broken"], linewidth=3, alpha=0.5, label="product")
    axes.plot([400], [mean_logarithm(400) / math.log(10)], "o", color=COLORS["theory"], label="predicted")
    axes.axhline(308.25, color="gray", linestyle="--")
    axes.set(title="Pivots of a matrix of normals", xlabel="pivots multiplied", ylabel="log₁₀ of the product")
    axes.legend(loc="upper left")
    return figure


INFINITE_DETERMINANT = FailureMode(
    name="infinite_determinant",
    title="The determinant is infinite",
    symptoms=(
        "det is inf for a 310 by 310 matrix of normals",
        "log of the determinant is nan or inf",
        "gaussian log likelihood overflows in high dimension",
    ),
    breaks=Claim(
        statement="The determinant of n × n standard normals overflows at about n = 302, where the mean of its logarithm reaches that of the largest number.",
        quantity="least n whose determinant is infinite",
        experiment=first_overflow,
        predicted=overflow_by_formula,
        rival=330.0,
        relation="≈",
        tolerance=2.5,
        reason="the mean is exact; from matrix to matrix the logarithm varies by 1.7, and a row adds 2.9 to it, so that n varies by 0.6; half a row is lost by halving, and blocks may go in and out",
        parameters={},
    ),
    remedy=Claim(
        statement="The sum of logarithms at n = 403 is what the formula says, half as far again as the largest number.",
        quantity="ln|det| at n = 403",
        experiment=logarithm,
        predicted=logarithm_by_formula,
        rival=LARGEST,
        relation="≈",
        tolerance=4.0,
        reason="the mean is exact, and the standard deviation of one determinant's logarithm is √(½ ln n) = 1.7",
        parameters={"n": 403},
    ),
    figure=draw_infinite_determinant,
)

# %%
FAILURE_MODES = (NO_EXCHANGES, GROWTH, LOST_ORTHOGONALITY, UNITS, INFINITE_DETERMINANT)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
