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
# # Linear regression
#
# ## 1. Select
#
# **Question.** Which weighted sum of the features comes closest to the target, how sure are we of each weight,
# and of what is predicted with them?
#
# **Builds on** Level 1's `gradient_descent` (one of the three solvers), and on `shared.linalg` (QR, Cholesky)
# and `shared.special` (Student's t, F), which Level 1 earns. **Mirrors** `sklearn.linear_model.LinearRegression`
# for the fit and `statsmodels` (`OLS`, `WLS`) for the inference.
#
# **Sources.** Golub (1965), least squares by Householder's reflections; Demmel, Grigori, Hoemmen and Langou (2012),
# QR by blocks of rows; Higham (2002), what rounding does to each solver; White (1980) and MacKinnon and White
# (1985), errors of unequal spread; Long and Ervin (2000), why HC3; Belsley, Kuh and Welsch (1980), which columns hang
# together; Seber and Lee (2003), the theory in one book.

# %% [markdown]
# ## 2. Derive
#
# | symbol | in the code | shape |
# |---|---|---|
# | $x_i$, rows of $X$ | `X` | (n, d) |
# | $y_i$ | `y` | (n,), or (n, k) for $k$ targets |
# | $w_i\ge0$, $W=\sum_iw_i$ | `weight`, `weight.sum()` | (n,), number |
# | $\beta$, $\beta_0$ | `coef`, `intercept` | (d, k), (k,) |
# | $p=d+1$, or $d$ without intercept | | |
#
# **The model.** $y_i=\beta_0+x_i\cdot\beta+\varepsilon_i$. The weight $w_i$ says how precise a row is:
# $\operatorname{Var}\varepsilon_i=\sigma^2/w_i$. Least squares minimizes $\sum_iw_i(y_i-\beta_0-x_i\cdot\beta)^2$.
#
# **The intercept goes first.** Setting the derivative by $\beta_0$ to zero gives $\beta_0=\bar y-\bar x\cdot\beta$ with the
# weighted means $\bar x,\bar y$. What remains is least squares without an intercept, on
#
# $$A_i=\sqrt{w_i}\,(x_i-\bar x),\qquad b_i=\sqrt{w_i}\,(y_i-\bar y),\qquad \min_\beta\lVert A\beta-b\rVert^2 .$$
#
# This is more than tidiness. A column of years around 1950 is nearly a multiple of the column of ones, so the raw
# design $[1\ X]$ is nearly singular, and centering is the orthogonalization against that first column, where it
# costs next to nothing. On Longley's data it takes the condition number $\kappa$ (of unit columns) from
# about 40,000 to about 100. Scaling the columns does not have this effect: Householder's QR
# treats every column by itself, so that a change of units changes neither its digits nor Cholesky's
# (Higham 2002, §19.3 and §10.1). We center, and use unit columns only to *judge* the condition.
#
# **Three ways to the minimum.**
#
# 1. `"qr"`. Write $[A\ b]=Q\begin{bmatrix}R&z\\0&\rho\end{bmatrix}$ with orthonormal $Q$ and upper triangular $R$. Lengths do not
#    change under $Q^\top$, so $\lVert A\beta-b\rVert^2=\lVert R\beta-z\rVert^2+\rho^2$: solve $R\beta=z$ from below. There is no need to form $Q$. The error
#    grows like $\kappa\varepsilon$ as long as the residual is small. Since a QR of stacked rows is the QR of their stacked triangles,
#    $\begin{bmatrix}A_1\\A_2\end{bmatrix}=\begin{bmatrix}Q_1R_1\\Q_2R_2\end{bmatrix}$, the rows can be taken in blocks that fit the cache.
# 2. `"normal"`. The gradient $2A^\top(A\beta-b)$ vanishes where $A^\top A\beta=A^\top b$, the normal equations. $G=A^\top A$ is symmetric and
#    positive definite, $G=R^\top R$ by Cholesky, and $R$ is the same triangle as above. Half the work and one matrix product,
#    but $\kappa(G)=\kappa^2$: twice as many digits are lost. Where more than half of all digits would go, we say so and use QR.
# 3. `"gradient_descent"`. $\beta\leftarrow\beta-\eta(G\beta-A^\top b)$ with $\eta=1/L$, $L$ the largest eigenvalue of $G$. The error shrinks
#    by $1-1/\kappa^2$ a step. To have $\kappa$ small, the columns get unit length first (here scaling does help).
#
# **Not enough information.** If the columns of $A$ depend on each other, many $\beta$ reach the minimum. Then we take the
# shortest, $\beta=V_rS_r^{-1}U_r^\top z$ from the singular value decomposition $R=USV^\top$ cut at its rank $r$, as scikit-learn does.
# Predictions on rows like those seen do not depend on the choice. A single coefficient does if some $v$ with $Av=0$ has $v_j\ne0$
# (and the intercept if $\bar x\cdot v\ne0$), for $\beta+v$ fits as well: such a coefficient is not **identified**, and statistics on it warn.
#
# **Hardly enough.** Let $\tilde A$ be $A$ with columns of unit length, and $\tilde A=USV^\top$. Where all errors have one variance, that of
# $\hat\beta_j$, in units of what it would be if column $j$ stood at right angles to all others, is the **variance inflation factor**
#
# $$\mathrm{VIF}_j=\big[(\tilde A^\top\tilde A)^{-1}\big]_{jj}=\sum_k\frac{v_{jk}^2}{s_k^2}=\frac1{1-R_j^2},$$
#
# $R_j^2$ being that of column $j$ on the others. The term $k$ is what the direction $v_k$ of the columns contributes; large terms come from
# a large **condition index** $s_1/s_k$, the largest of which is $\kappa$. Columns with more than half of their variance in
# terms of index 30 or more hang together. Why 30: $\sum_j\mathrm{VIF}_j\ge1/s_d^2=\kappa^2/s_1^2\ge\kappa^2/d$, because $s_1^2\le\lVert\tilde A\rVert_F^2=d$, so that some
# factor is at least $900/d^2$; and Belsley, Kuh and Welsch (1980) found in experiments that from about 30 on a dependence does harm. They keep the column of ones
# in; we take it out, because centering is what we do to compute: a feature whose mean is far from zero is no dependence.
#
# **How sure?** Let $F$ be a factor with $(A^\top A)^+=FF^\top$: $F=R^{-1}$, or $V_rS_r^{-1}$. Then $AF$ has orthonormal columns, and so has
#
# $$Q=\big[\sqrt{w/W}\ \ AF\big]\quad(n\times p),\qquad
# \begin{bmatrix}\hat\beta_0\\\hat\beta\end{bmatrix}=\begin{bmatrix}\beta_0\\\beta\end{bmatrix}+BQ^\top u,\qquad
# B=\begin{bmatrix}1/\sqrt W&-\bar x^\top F\\0&F\end{bmatrix},$$
#
# with $u_i=\sqrt{w_i}\,\varepsilon_i$. So with independent errors the covariance of the estimate is, exactly, the **sandwich**
#
# $$\operatorname{Cov}=B\,\big(Q^\top\operatorname{diag}(\operatorname{Var}u_i)\,Q\big)\,B^\top .$$
#
# Everything below is a choice for the filling. The residuals are $e=(I-H)u$ with $H=QQ^\top$; the **leverage** $h_i=H_{ii}\in[0,1]$ is the
# share of its own target that enters a row's fitted value, and $\sum_ih_i=p$.
#
# | `cov_type` | filling $\widehat{\operatorname{Var}u_i}$ | because |
# |---|---|---|
# | `nonrobust` | $s^2=\sum_je_j^2/(n-p)$ | $E[e^\top e]=\sigma^2\operatorname{tr}(I-H)=\sigma^2(n-p)$ if all variances are $\sigma^2$ |
# | `HC0` | $e_i^2$ | White: consistent whatever the variances |
# | `HC1` | $e_i^2\,n/(n-p)$ | the average degree of freedom given back |
# | `HC2` | $e_i^2/(1-h_i)$ | $E[e_i^2]=\sigma^2(1-h_i)$: unbiased under equal variances |
# | `HC3` | $e_i^2/(1-h_i)^2$ | $e_i/(1-h_i)$ is the residual of a fit without row $i$: a little cautious |
#
# With normal errors of equal spread, $t_j=\hat\beta_j/\mathrm{se}_j$ follows Student's t with $n-p$ degrees of freedom where $\beta_j=0$. For
# the robust kinds the normal distribution is used, as in statsmodels (`use_t=True` asks for t). A set of $q$ restrictions $C\beta=0$ is
# tested by $F=(C\hat\beta)^\top(C\operatorname{Cov}C^\top)^{-1}C\hat\beta/q$. With nearly dependent columns the matrix in the middle has the condition $\kappa^2$.
# But $F$ is the same in any coordinates of the restrictions. In orthonormal ones, $(CB)^\top=PT$ by QR, $g=Q^\top\sqrt w\,y$ and $M$ the sandwich's
# middle, $F=(P^\top g)^\top(P^\top MP)^{-1}P^\top g/q$, whose matrix knows nothing of $\kappa$. For all slopes, $P^\top g$ is $g$ without its first entry.
# A *new* observation at $x$ adds its own error: its interval has the variance
# $x^\top\operatorname{Cov}x+s^2$.
#
# **Assumptions, and who needs them.** Unbiased: the mean is linear in the features and no relevant one is missing.
# Intervals: errors independent, for `nonrobust` of equal spread, and normal or $n$ large. What happens otherwise:
# `failure_modes/linear_regression.py`.
#
# **Cost.** $O(nd^2)$ time; memory $O(d^2)$ beside the data (the statistics form $Q$, $O(nd)$, on first use).

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from level1_foundations.gradient_descent import gradient_descent
from level2_classical.linear_regression_summary import caller_level, rank_reason, summary_table
from shared import linalg
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import (
    validate_choice,
    validate_matrix,
    validate_number,
    validate_sample_weight,
    validate_vector,
)
from shared.estimator import Estimator, RegressorMixin, warn_not_converged
from shared.special import fdtrc, ndtr, ndtri, stdtr, stdtrit

COVARIANCES = ("nonrobust", "HC0", "HC1", "HC2", "HC3")
NIST_LONGLEY = (  # certified by NIST, Statistical Reference Datasets, Linear Regression, "Longley" (public domain)
    -3482258.63459582, 15.0618722713733, -0.0358191792925910, -2.02022980381683,
    -1.03322686717359, -0.0511041056535807, 1829.15146461355,
)  # fmt: skip
ROWS = 1024  # rows at a time: a block stays in the processor's cache
LARGE = 30.0  # a condition index of unit columns from which on a dependence does harm

# %% [markdown]
# ### Centering
# $\bar x=x_1+\frac1W\sum_iw_i(x_i-x_1)$. Subtracting the first row before summing makes the mean of a constant column exact, so
# that centering turns it into zeros and not into rounding errors, and saves digits when the mean is large.


# %%
def column_means(
    X: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"] | None
) -> Float[np.ndarray, " d"]:
    """Weighted mean of each column, exact for constant columns; `weight=None` means ones. O(nd)."""
    first = X[0]
    total = np.zeros_like(first)
    for start in range(0, len(X), ROWS):
        rows = slice(start, start + ROWS)
        difference = X[rows] - first
        total += difference.sum(axis=0) if weight is None else weight[rows] @ difference
    return first + total / (len(X) if weight is None else weight.sum())


# %% [markdown]
# $[A\ b]_i=\sqrt{w_i}\,[x_i-\bar x\quad y_i-\bar y]$, one block of rows after the other: the whole is never stored.


# %%
def centered_blocks(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "n k"],
    weight: Float[np.ndarray, " n"] | None,
    x_mean: Float[np.ndarray, " d"],
    y_mean: Float[np.ndarray, " k"],
) -> Iterator[Float[np.ndarray, "b m"]]:
    """Blocks of [A b], each of at most `ROWS` rows and d + k columns. O(n(d + k))."""
    d = X.shape[1]
    for start in range(0, len(X), ROWS):
        rows = slice(start, start + ROWS)
        block = np.empty((len(X[rows]), d + y.shape[1]), X.dtype)
        np.subtract(X[rows], x_mean, out=block[:, :d])
        np.subtract(y[rows], y_mean, out=block[:, d:])
        if weight is not None:
            block *= np.sqrt(weight[rows])[:, None]
        yield block


# %% [markdown]
# ### Solver 1: QR
# The rows $[R\ z]$ of a block are all that is kept of it: what stands below them in the triangle of $[A\ b]$ is zero under $A$, and only
# adds to $\rho$. Many targets would make that triangle wide; then $Q$ is formed after all, and $z=Q^\top b$.


# %%
def compress(block: Float[np.ndarray, "b m"], d: int) -> Float[np.ndarray, "r m"]:
    """[R z] of one block [A b] with d columns in A, r = min(b, d) rows. O(bd(d + k))."""
    if block.shape[1] <= 2 * d:
        return linalg.qr(block, mode="r")[:d]
    Q, R = linalg.qr(block[:, :d])
    return np.hstack([R, Q.T @ block[:, d:]])


def triangle(blocks: Iterable[Float[np.ndarray, "_ m"]], d: int) -> Float[np.ndarray, "r m"]:
    """[R z] of all blocks stacked: the blocks' own, stacked and compressed once more. O(nd(d + k))."""
    return compress(np.vstack([compress(block, d) for block in blocks]), d)


# %% [markdown]
# $R\beta=z$ by back substitution, and $F=R^{-1}$. Whether $R$ can be trusted is judged with columns of unit length: if
# $\lVert R\rVert_F\lVert R^{-1}\rVert_F\ge\kappa$ stays below $1/(\varepsilon\max(n,d))$, the rank is full. If not, the singular values decide.


# %%
class Solution(NamedTuple):
    """Coefficients (d, k), a factor F (d, rank) with $(A^\\top A)^+=FF^\\top$, and the rank of A."""

    coef: np.ndarray
    factor: np.ndarray
    rank: int


def solve_triangle(R: Float[np.ndarray, "r d"], z: Float[np.ndarray, "r k"], n: int) -> Solution:
    """The least squares solution from the triangle of n rows; of minimum norm if the rank is not full. O(d³)."""
    d = R.shape[1]
    tolerance = float(np.finfo(R.dtype).eps) * max(n, d)
    length = np.sqrt(np.einsum("rd,rd->d", R, R))  # of A's columns too, since Q does not change lengths
    unit = R / np.where(length > 0, length, 1)
    if d <= len(R) and np.diag(R).all():
        inverse = linalg.solve_triangular(unit, np.eye(d, dtype=R.dtype), lower=False)
        if np.sqrt(d) * np.sqrt(np.vdot(inverse, inverse)) * tolerance < 1:
            coef = linalg.solve_triangular(R, z, lower=False)
            return Solution(coef, inverse / length[:, None], d)
    s = linalg.svd(unit)[1]
    rank = int(np.sum(s > tolerance * s[0]))
    return minimum_norm(R, z, rank)


# %% [markdown]
# The $v$ with $Rv=0$ are the right singular vectors beyond the rank, found in unit columns. Rounding leaves something near
# $s_{r+1}/s_r$ in the columns that a direction does not involve; it is set to zero, so that zero can be asked for. Of all solutions
# the shortest is the one without any part along the null directions: solve in unit columns, where the rank is judged, then take
# those parts away. (In the units of the data, the directions of a large column would drown a small one.)


# %%
def unit_length(R: Float[np.ndarray, "r d"]) -> Float[np.ndarray, " d"]:  # practice: keep
    """The lengths of the columns, 1 for a column of zeros: what to divide by."""
    length = np.sqrt(np.einsum("rd,rd->d", R, R))
    return np.where(length > 0, length, 1).astype(R.dtype)


def null_directions(R: Float[np.ndarray, "r d"], rank: int) -> Float[np.ndarray, "d m"]:
    """A basis of all v with Rv = 0, as columns, (d, d - rank); exactly zero for columns not involved. O(d³)."""
    d = R.shape[1]
    length = unit_length(R)
    square = np.vstack([R / length, np.zeros((max(d - len(R), 0), d), R.dtype)])  # for all d vectors, not r
    _, s, Vt = linalg.svd(square)
    v = Vt[rank:].T
    left = max(s[rank], d * np.finfo(R.dtype).eps * s[0]) / s[rank - 1] if 0 < rank < d else 0.0
    return np.where(np.abs(v) > 10 * left, v, 0).astype(R.dtype) / length[:, None]


def minimum_norm(R: Float[np.ndarray, "r d"], z: Float[np.ndarray, "r k"], rank: int) -> Solution:
    """The shortest of all solutions: $\\beta=V_rS_r^{-1}U_r^\\top z$ less its part along the null directions. O(d³)."""
    if len(R) < R.shape[1]:  # few rows: in the data's units, O(r²d), without all the null directions
        U, s, Vt = linalg.svd(R)
        factor = Vt[:rank].T / s[:rank]  # F = V_r S_r⁻¹
        return Solution(factor @ (U[:, :rank].T @ z), factor, rank)
    length = unit_length(R)
    U, s, Vt = linalg.svd(R / length)
    factor = Vt[:rank].T / s[:rank] / length[:, None]
    N = linalg.qr(null_directions(R, rank))[0]
    for _ in range(2):  # once more, because the first time leaves rounding of large parts
        factor = factor - N @ (N.T @ factor)
    return Solution(factor @ (U[:, :rank].T @ z), factor, rank)


# %% [markdown]
# ### Which columns hang together?
# Since lengths do not change under $Q^\top$, the singular values and $V$ of $\tilde A$ are those of $R$ in unit columns:
# indices $s_1/s_k$, factors $\sum_kv_{jk}^2/s_k^2$, and each term's proportion of its factor.


# %%
class VarianceDecomposition(NamedTuple):
    """Condition indices (r,), rising; inflation factors (d,); each index's proportion of each factor (r, d)."""

    indices: np.ndarray
    inflation: np.ndarray
    proportions: np.ndarray


def variance_decomposition(R: Float[np.ndarray, "r d"], rank: int) -> VarianceDecomposition:
    """Where the variances of the coefficients come from, exact dependences (beyond the rank) left out. O(d³)."""
    _, s, Vt = linalg.svd(R / unit_length(R))
    terms = (Vt[:rank] / s[:rank, None]) ** 2  # v_jk²/s_k²
    inflation = terms.sum(axis=0)
    return VarianceDecomposition(s[0] / s[:rank], inflation, terms / np.where(inflation > 0, inflation, 1))


# %% [markdown]
# Two dependences of about the same index share their directions in any mixture, so their proportions are added. Where
# no two columns exceed one half, the two largest are named: one column alone depends on nothing.


# %%
def nearly_dependent(parts: VarianceDecomposition) -> list[int]:
    """Positions, in order, of the columns that a condition index of `LARGE` or more involves; none without one."""
    large = parts.indices >= LARGE
    if not large.any():
        return []
    share = parts.proportions[large].sum(axis=0)
    return sorted(np.argsort(-share, kind="stable")[: max(int(np.sum(share > 0.5)), 2)].tolist())


# %% [markdown]
# ### Solver 2: the normal equations
# $A^\top[A\ b]=[G\ c]$, summed over the blocks.


# %%
def normal_equations(
    blocks: Iterable[Float[np.ndarray, "_ m"]], d: int
) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, "d k"]]:
    """$G=A^\\top A$ and $c=A^\\top b$. O(nd(d + k)): half of QR's work, and all of it in matrix products."""
    total = sum(block[:, :d].T @ block for block in blocks)
    return total[:, :d], total[:, d:]


# %% [markdown]
# With columns of unit length, $G_{jl}\leftarrow G_{jl}/(\ell_j\ell_l)$, $c_j\leftarrow c_j/\ell_j$ and $\beta_j=\theta_j/\ell_j$.


# %%
def unit_columns(
    G: Float[np.ndarray, "d d"], c: Float[np.ndarray, "d k"]
) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, "d k"], Float[np.ndarray, "d 1"]]:
    """G and c for the columns divided by their lengths, and the lengths (1 for a column of zeros). O(d(d + k))."""
    length = np.sqrt(np.diag(G))[:, None]
    length = np.where(length > 0, length, 1).astype(G.dtype)
    return G / length / length.T, c / length, length


# %% [markdown]
# $G=LL^\top$, $L(L^\top\beta)=c$, $F=L^{-\top}$. In unit columns the smallest eigenvalue tells what is lost:
# $\lambda_{\min}/\lambda_{\max}=1/\kappa^2$, and below $\sqrt\varepsilon$ more than half of all digits go.


# %%
def solve_normal_equations(G: Float[np.ndarray, "d d"], c: Float[np.ndarray, "d k"]) -> Solution | None:
    """Cholesky's answer, or None where it would lose more than half of the digits. O(d³)."""
    G, c, length = unit_columns(G, c)
    eigenvalues = linalg.eigvalsh(G)
    if not eigenvalues[0] > np.sqrt(np.finfo(G.dtype).eps) * eigenvalues[-1]:
        return None
    L = linalg.cholesky(G)
    half = linalg.solve_triangular(L, c, lower=True)
    coef = linalg.solve_triangular(L, half, lower=True, trans=True)
    factor = linalg.solve_triangular(L, np.eye(len(G), dtype=G.dtype), lower=True).T  # F = L⁻ᵀ
    return Solution(coef / length, factor / length, len(G))


# %% [markdown]
# ### Solver 3: gradient descent
# $\theta_{t+1}=\theta_t-\tfrac1L(G\theta_t-c)$ in unit columns. A step costs $O(d^2k)$, whatever $n$ is, because $G$ and $c$ hold all
# that the data have to say. It stops when the gradient has shrunk to `tol` times its length at the start, $\lVert c\rVert$.


# %%
def solve_by_descent(
    G: Float[np.ndarray, "d d"], c: Float[np.ndarray, "d k"], *, max_iter: int, tol: float
) -> tuple[Float[np.ndarray, "d k"], int, bool]:
    """Coefficients (d, k) by Level 1's gradient descent from zero, its steps, and whether it converged."""
    G, c, length = unit_columns(G, c)
    size = float(linalg.norm(c)) or 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the estimator warns, with a remedy that fits it
        result = gradient_descent(
            lambda theta: G @ theta - c / size,
            np.zeros_like(c),
            step_size=1 / float(linalg.eigvalsh(G)[-1]),  # 1/L, L the largest curvature
            n_steps=max_iter,
            tol=tol,
        )
    return result.x * size / length, len(result.path) - 1, result.converged


# %% [markdown]
# ### The sandwich
# $Q=[\sqrt{w/W}\ \ AF]$ and $B=\begin{bmatrix}1/\sqrt W&-\bar x^\top F\\0&F\end{bmatrix}$; without an intercept the first column of each and the
# first row of $B$ fall away.


# %%
def orthonormal_basis(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"],
    x_mean: Float[np.ndarray, " d"],
    factor: Float[np.ndarray, "d r"],
    fit_intercept: bool,
) -> tuple[Float[np.ndarray, "n q"], Float[np.ndarray, "p q"]]:
    """Q with orthonormal columns that span the weighted design, and B with estimate = B Qᵀ(√w y). O(ndr)."""
    root = np.sqrt(weight)[:, None]
    Q = (root * (X - x_mean)) @ factor
    if not fit_intercept:
        return Q, factor
    size = np.sqrt(weight.sum())
    first = np.concatenate([[1 / size], -x_mean @ factor])
    return np.hstack([root / size, Q]), np.vstack([first, np.pad(factor, ((0, 0), (1, 0)))])


# %%
class Basis(NamedTuple):
    """What the statistics need of the rows with positive weight.

    Q (n, q), B (p, q), weighted residuals (n, k), leverages (n,), targets (n, k), weights (n,), which rows of the
    training data these are, and n − q, or NaN if nothing is left.
    """

    Q: np.ndarray
    B: np.ndarray
    residuals: np.ndarray
    leverage: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    present: np.ndarray
    df: float


# %% [markdown]
# The filling of the sandwich, for each target: $s^2$ times one, or squared residuals corrected by the leverages.


# %%
def error_variances(
    residuals: Float[np.ndarray, "n k"], leverage: Float[np.ndarray, " n"], df: float, cov_type: str
) -> Float[np.ndarray, "n k"]:
    """Estimated variance of each weighted error $u_i$, (n, k), by one of `COVARIANCES`. O(nk)."""
    n = len(residuals)
    square = residuals * residuals
    with np.errstate(divide="ignore", invalid="ignore"):
        if cov_type == "nonrobust":
            return np.broadcast_to(square.sum(axis=0) / df, square.shape)
        if cov_type == "HC1":
            return square * (n / df)
        if cov_type == "HC2":
            return square / (1 - leverage)[:, None]
        if cov_type == "HC3":
            return square / (1 - leverage)[:, None] ** 2
    return square


# %% [markdown]
# $\operatorname{Cov}=B\,(Q^\top\operatorname{diag}(v)\,Q)\,B^\top$.


# %%
def sandwich(
    Q: Float[np.ndarray, "n q"], B: Float[np.ndarray, "p q"], variances: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, "k p p"]:
    """Covariance of the estimate for each target. O(nq²k)."""
    filling = np.einsum("np,nk,nq->kpq", Q, variances, Q, optimize=True)
    return B @ filling @ B.T


# %% [markdown]
# ### Student's t, or the normal distribution for `df=None`
# $p=2\,P(T\le-|t|)$ from the lower tail, where small probabilities keep their digits, and $q$ with $P(|T|\le q)=$ `level`.


# %%
def two_sided_p_value(t: Float[np.ndarray, "*shape"], df: float | None) -> Float[np.ndarray, "*shape"]:
    """Probability of a statistic at least as far from zero, were the coefficient zero."""
    return 2 * (ndtr(-np.abs(t)) if df is None else stdtr(df, -np.abs(t)))


def two_sided_quantile(level: float, df: float | None) -> float:
    """The half-width, in standard errors, of an interval with this confidence level."""
    tail = (1 - level) / 2
    return -float(ndtri(tail) if df is None else stdtrit(df, tail))


# %% [markdown]
# ### A residual without its own pull
# A row drags the plane toward itself. Without it, its residual would be $e_i/(1-h_i)$ and the residual sum of squares
# $\sum_je_j^2-e_i^2/(1-h_i)$, so that the studentized residual needs no refit.


# %%
def studentized_deleted_residuals(
    residuals: Float[np.ndarray, "n k"], leverage: Float[np.ndarray, " n"], df: float
) -> Float[np.ndarray, "n k"]:
    """$e_i/(s_{(i)}\\sqrt{1-h_i})$ for each target: Student's t with df − 1 degrees under normal errors. O(nk)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        standardized = residuals / np.sqrt(1 - leverage)[:, None]
        variance = (np.sum(residuals**2, axis=0) - standardized**2) / (df - 1)
        return standardized / np.sqrt(variance)


# %% [markdown]
# ### A test of several coefficients at once
# $F=\theta^\top(C\operatorname{Cov}C^\top)^{-1}\theta/q$ with $\theta=C\hat\beta$, by solving and not by inverting. Where columns nearly depend on each
# other, it wants its arguments in orthonormal coordinates: $P^\top g$ and $P^\top MP$, found from $(CB)^\top=PT$ and $T^\top P^\top g=C\hat\beta$.


# %%
class FTest(NamedTuple):
    """Statistic and p-value (a float, or one for each target), and both degrees of freedom."""

    statistic: Any
    p_value: Any
    df_num: int
    df_denom: float


def wald_f(
    estimate: Float[np.ndarray, "k p"],
    covariance: Float[np.ndarray, "k p p"],
    restrictions: Float[np.ndarray, "q p"],
    df: float,
) -> FTest:
    """Test that all `restrictions @ estimate` are zero, for each target. O(q³k)."""
    theta = estimate @ restrictions.T  # (k, q)
    spread = restrictions @ covariance @ restrictions.T  # (k, q, q)
    q = len(restrictions)
    statistic = np.array([t @ linalg.solve(V, t) for t, V in zip(theta, spread, strict=True)]) / q
    return FTest(statistic, fdtrc(q, df, statistic), q, df)


# %%
def orthonormal_restrictions(
    estimate: Float[np.ndarray, "k p"], B: Float[np.ndarray, "p m"], restrictions: Float[np.ndarray, "q p"]
) -> tuple[Float[np.ndarray, "k q"], Float[np.ndarray, "m q"]]:
    """$P^\\top g$ for each target, and P, whose columns span the same restrictions on g. O(q²m)."""
    P, T = linalg.qr((restrictions @ B).T)
    return linalg.solve_triangular(T, restrictions @ estimate.T, lower=False, trans=True).T, P


# %% [markdown]
# With $\operatorname{Var}\varepsilon_i=\sigma^2/w_i$ and $\hat\sigma^2=\mathrm{RSS}/n$ the largest log-likelihood is
# $-\tfrac n2\big(\log\tfrac{2\pi\,\mathrm{RSS}}n+1\big)+\tfrac12\sum_i\log w_i$.


# %%
def gaussian_log_likelihood(
    rss: Float[np.ndarray, " k"], weight: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " k"]:
    """The log-likelihood at its maximum, from the weighted residual sum of squares. O(n)."""
    n = len(weight)
    return -n / 2 * (np.log(2 * np.pi * rss / n) + 1) + np.log(weight).sum() / 2


# %% [markdown]
# ### The estimator


# %%
class LinearRegression(RegressorMixin, Estimator):
    """Ordinary and weighted least squares, with scikit-learn's interface and statsmodels' statistics.

    Args:
        fit_intercept: estimate a constant term; otherwise the plane goes through the origin.
        solver: "qr" (Householder, the accurate default), "normal" (Cholesky of the Gram matrix: fastest, loses twice the
            digits, hands over to QR with a warning where more than half would go) or "gradient_descent" (Level 1's).
        cov_type: covariance behind the statistics: "nonrobust", "HC0", "HC1", "HC2" or "HC3".
        use_t: Student's t for p-values and intervals, or the normal distribution; by default t for "nonrobust" and normal
            for the others, as in statsmodels.
        max_iter, tol: for gradient descent: most steps, and how far the norm of the gradient must fall, relatively.

    Attributes:
        coef_: (d,), or (k, d) for a matrix of targets. intercept_: float or (k,). rank_: rank of the centered X. n_iter_: steps of
            gradient descent, 1 for the direct solvers.
        n_features_in_, feature_names_in_: what was fitted on.
        standard_errors_, t_values_, p_values_: (p,), intercept first; (k, p) for a matrix of targets. See also the other
            properties below. They are computed on demand, for which the estimator keeps a *reference* to X, y and weights.

    X without full column rank: the coefficients of minimum norm, as in scikit-learn; statistics on them warn, and
    `identified_` tells which coefficients do not depend on that choice.
    Cost O(nd²). Sources: Golub (1965); MacKinnon and White (1985).
    """

    def __init__(
        self,
        *,
        fit_intercept: Any = True,
        solver: Any = "qr",
        cov_type: Any = "nonrobust",
        use_t: Any = None,
        max_iter: Any = 20_000,
        tol: Any = 1e-12,
    ) -> None:  # practice: keep
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.cov_type = cov_type
        self.use_t = use_t
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LinearRegression:
        """Estimate from X (n, d) and y (n,) or (n, k). Weights are inverse variances up to a factor, as in WLS.

        Raises:
            ValueError, TypeError: bad data, weights or parameters.

        Warns:
            ConvergenceWarning: gradient descent reached max_iter. UserWarning: the normal equations would lose too much.
        """
        self._validate_parameters()
        X = self._fit_matrix(X)
        y = validate_vector(y, "y", length=len(X), allow_matrix=True).astype(X.dtype, copy=False)
        weight = None if sample_weight is None else validate_sample_weight(sample_weight, len(X), X.dtype)
        self._data = X, y, weight
        self._cached_basis = None
        Y = y.reshape(len(X), -1)
        if self.fit_intercept:
            self._x_mean, self._y_mean = column_means(X, weight), column_means(Y, weight)
        else:
            self._x_mean, self._y_mean = np.zeros(X.shape[1], X.dtype), np.zeros(Y.shape[1], X.dtype)
        self.n_iter_ = 1
        solution = self._solve(X, Y, weight)
        intercept = self._y_mean - self._x_mean @ solution.coef  # β₀ = ȳ − x̄·β
        self._factor, self.rank_ = solution.factor, solution.rank
        self.coef_ = solution.coef.T if y.ndim == 2 else solution.coef[:, 0]
        self.intercept_ = (intercept if y.ndim == 2 else intercept[0]) if self.fit_intercept else 0.0
        return self

    def _solve(self, X: Any, Y: Any, weight: Any) -> Solution:
        """Least squares on centered data by the chosen solver."""
        d, blocks = X.shape[1], lambda: centered_blocks(X, Y, weight, self._x_mean, self._y_mean)
        if self.solver != "qr":
            G, c = normal_equations(blocks(), d)
            solution = solve_normal_equations(G, c)
            if solution is not None and self.solver == "gradient_descent":
                coef, steps, converged = solve_by_descent(G, c, max_iter=self.max_iter, tol=self.tol)
                self.n_iter_ = max(steps, 1)
                if not converged:
                    warn_not_converged(
                        f"LinearRegression: gradient descent did not reach tol={self.tol:g} within {self.max_iter} steps. "
                        "Nearly dependent features make it slow: use solver='qr', drop or combine features, or raise "
                        "max_iter.",
                        stacklevel=caller_level() + 1,
                    )
                solution = solution._replace(coef=coef)
            if solution is not None:
                return solution
            warnings.warn(
                f"LinearRegression: X is so close to rank-deficient that solver={self.solver!r} would lose more than half "
                "of all digits; solver='qr' was used instead. Drop or combine features that repeat each other.",
                stacklevel=caller_level(),
            )
        Rz = triangle(blocks(), d)
        return solve_triangle(Rz[:, :d], Rz[:, d:], len(X))

    def _validate_parameters(self) -> None:  # practice: keep
        validate_choice(self.fit_intercept, "fit_intercept", (True, False))
        validate_choice(self.solver, "solver", ("qr", "normal", "gradient_descent"))
        validate_choice(self.cov_type, "cov_type", COVARIANCES)
        validate_choice(self.use_t, "use_t", (None, True, False))
        validate_number(self.max_iter, "max_iter", minimum=1, integer=True)
        validate_number(self.tol, "tol", minimum=0)

    def predict(self, X: Any) -> np.ndarray:
        """$\\hat y=\\beta_0+X\\beta$, (m,) or (m, k). O(md)."""
        X = self._predict_matrix(X, dtype=self._dtype())
        return X @ self.coef_.T + self.intercept_

    def _dtype(self) -> Any:  # practice: keep
        self._check_is_fitted()
        return self.coef_.dtype

    def __sklearn_tags__(self) -> Any:  # practice: keep
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _basis(self) -> Basis:
        """What all statistics stand on, computed once for each fit. O(nd²)."""
        self._check_is_fitted()
        if self._cached_basis is None:
            X, y, weight = self._data
            if self.rank_ < X.shape[1]:
                warnings.warn(
                    f"X has rank {self.rank_} but {X.shape[1]} columns: {rank_reason(self)}. Coefficients that depend on "
                    "this are one of many solutions, and their standard errors describe that choice only. Drop features "
                    f"that others determine, {X.shape[1] - self.rank_} in all.",
                    stacklevel=caller_level(),
                )
            weight = np.ones(len(X), X.dtype) if weight is None else weight
            present = weight > 0  # a row of weight zero is no observation
            X, y, weight = X[present], y.reshape(len(y), -1)[present], weight[present]
            # the same as y − Xβ − β₀, from smaller numbers: fewer digits cancel
            residuals = (y - self._y_mean) - (X - self._x_mean) @ np.atleast_2d(self.coef_).T
            Q, B = orthonormal_basis(X, weight, self._x_mean, self._factor, self.fit_intercept)
            if len(X) <= Q.shape[1]:
                warnings.warn(
                    f"{len(X)} samples for {Q.shape[1]} coefficients leave nothing to estimate the noise from: "
                    "standard errors and what follows from them are NaN.",
                    stacklevel=caller_level(),
                )
            df = len(X) - Q.shape[1] if len(X) > Q.shape[1] else np.nan
            residuals *= np.sqrt(weight)[:, None]
            self._cached_basis = Basis(Q, B, residuals, np.einsum("nq,nq->n", Q, Q), y, weight, present, df)
        return self._cached_basis

    def _shaped(self, values: Any) -> Any:
        """One entry for each target; a vector target has no such axis."""
        return values if self._data[1].ndim == 2 else values[0]

    def _estimate(self) -> np.ndarray:
        """All coefficients, (k, p), the intercept first."""
        coef = np.atleast_2d(self.coef_)
        if not self.fit_intercept:
            return coef
        return np.column_stack([np.atleast_1d(self.intercept_), coef])

    def _error_variances(self, cov_type: Any) -> np.ndarray:
        """The filling of the sandwich, (n, k); NaN where residuals, being nothing but rounding, say nothing."""
        cov_type = self.cov_type if cov_type is None else validate_choice(cov_type, "cov_type", COVARIANCES)
        basis = self._basis()
        if np.isnan(basis.df):
            return np.full_like(basis.residuals, np.nan)
        leverage = basis.leverage
        if cov_type in ("HC2", "HC3") and leverage.max() > 1 - 1e-12:
            row = int(np.flatnonzero(basis.present)[leverage.argmax()])
            warnings.warn(
                f"row {row} has leverage 1: the fit passes through it whatever its error is, and {cov_type} is not "
                "defined (NaN). Drop the feature that only this row has, or use HC1.",
                stacklevel=caller_level(),
            )
            leverage = np.where(leverage > 1 - 1e-12, np.nan, leverage)  # else rounding over rounding
        return error_variances(basis.residuals, leverage, basis.df, cov_type)

    def _covariance(self, cov_type: Any) -> np.ndarray:
        """Covariance of all coefficients by target, (k, p, p)."""
        variances, basis = self._error_variances(cov_type), self._basis()
        return sandwich(basis.Q, basis.B, variances)

    def _standard_errors(self, cov_type: Any) -> np.ndarray:
        """Square roots of the covariances' diagonals, (k, p)."""
        return np.sqrt(np.diagonal(self._covariance(cov_type), axis1=1, axis2=2))

    def _reference_df(self, cov_type: Any) -> float | None:
        """Degrees of freedom of the t distribution that p-values and intervals use, None for the normal."""
        robust = (self.cov_type if cov_type is None else cov_type) != "nonrobust"
        use_t = not robust if self.use_t is None else self.use_t
        return self._basis().df if use_t else None

    def covariance(self, cov_type: Any = None) -> np.ndarray:
        """Covariance of the coefficients, intercept first, (p, p) or (k, p, p); `None` means the estimator's kind."""
        return self._shaped(self._covariance(cov_type))

    @property
    def standard_errors_(self) -> np.ndarray:
        """Standard deviation of each estimated coefficient, intercept first, (p,) or (k, p)."""
        return self._shaped(self._standard_errors(None))

    @property
    def t_values_(self) -> np.ndarray:
        """Coefficient over standard error (with normal reference often called z), (p,) or (k, p)."""
        return self._shaped(self._estimate() / self._standard_errors(None))

    @property
    def p_values_(self) -> np.ndarray:
        """Two-sided p-value of the hypothesis that a coefficient is zero, (p,) or (k, p)."""
        return two_sided_p_value(self.t_values_, self._reference_df(None))

    def conf_int(self, level: Any = 0.95, *, cov_type: Any = None) -> np.ndarray:
        """Confidence interval of each coefficient, intercept first, (p, 2) or (k, p, 2)."""
        level = validate_number(level, "level", minimum=0, maximum=1, exclusive=True)
        half = two_sided_quantile(level, self._reference_df(cov_type)) * self._standard_errors(cov_type)
        estimate = self._estimate()
        return self._shaped(np.stack([estimate - half, estimate + half], axis=-1))

    def prediction_interval(
        self, X: Any, level: Any = 0.95, *, of: Any = "observation", cov_type: Any = None
    ) -> np.ndarray:
        """Interval for a new observation (of weight 1) at each row of X, or `of="mean"` for the plane there.

        Returns (m, 2), lower and upper; (m, k, 2) for a matrix of targets. O(mp²k).
        """
        validate_choice(of, "of", ("observation", "mean"))
        level = validate_number(level, "level", minimum=0, maximum=1, exclusive=True)
        X = self._predict_matrix(X, dtype=self._dtype())
        center = X @ np.atleast_2d(self.coef_).T + self.intercept_  # (m, k)
        filling, basis = self._error_variances(cov_type), self._basis()
        rows = (X - self._x_mean) @ self._factor  # [1 x]B, without the cancellation in its product
        if self.fit_intercept:
            rows = np.column_stack([np.full(len(X), basis.B[0, 0]), rows])  # 1/√W
        middle = sandwich(basis.Q, np.eye(basis.Q.shape[1], dtype=X.dtype), filling)
        variance = np.einsum("mp,kpq,mq->mk", rows, middle, rows, optimize=True)
        if of == "observation":
            variance = variance + np.atleast_1d(self.residual_variance_)
        half = two_sided_quantile(level, self._reference_df(cov_type)) * np.sqrt(variance)
        interval = np.stack([center - half, center + half], axis=-1)
        return interval if self._data[1].ndim == 2 else interval[:, 0]

    def _triangle(self) -> np.ndarray:
        """R of the centered, weighted design, (min(n, d), d). O(nd²)."""
        X, _, weight = self._data
        nothing = np.empty((len(X), 0), X.dtype)
        return triangle(centered_blocks(X, nothing, weight, self._x_mean, nothing[0]), X.shape[1])

    @property
    def condition_number_(self) -> float:
        """Largest over smallest singular value of the centered, weighted design in unit columns; inf below full rank."""
        self._check_is_fitted()
        if self.rank_ < self.n_features_in_:
            return float("inf")
        return float(variance_decomposition(self._triangle(), self.rank_).indices[-1])

    @property
    def variance_inflation_factors_(self) -> np.ndarray:
        """$1/(1-R_j^2)$ of each feature on the others, (d,); inf where the data do not determine the coefficient."""
        known = self.identified_[int(self.fit_intercept) :]
        return np.where(known, variance_decomposition(self._triangle(), self.rank_).inflation, np.inf)

    def _null_directions(self) -> np.ndarray:
        """All changes of (intercept, *coef) that change no fitted value, as columns, (p, d - rank). O(nd² + d³)."""
        X = self._data[0]
        if self.rank_ == X.shape[1]:
            return np.empty((X.shape[1] + int(self.fit_intercept), 0), X.dtype)
        null = null_directions(self._triangle(), self.rank_)
        if not self.fit_intercept:
            return null
        first = -self._x_mean @ null  # β₀ = ȳ − x̄·β moves along
        rounding = np.sqrt(np.finfo(X.dtype).eps) * (np.abs(self._x_mean) @ np.abs(null))
        return np.vstack([np.where(np.abs(first) > rounding, first, 0), null])

    @property
    def identified_(self) -> np.ndarray:
        """Which coefficients the data determine, (p,), intercept first: all, unless columns depend on each other."""
        self._check_is_fitted()
        return ~self._null_directions().any(axis=1)

    def f_test(self, restrictions: Any = None, *, cov_type: Any = None) -> FTest:
        """Test that `restrictions @ (intercept, *coef)` is zero, (q, p); by default that all slopes are.

        If columns depend on each other, the default tests that X explains nothing: as many restrictions as its rank.
        NaN without residual degrees of freedom, without a slope to test (rank 0), or with residuals of zero.

        Raises:
            ValueError: restrictions of another width, or ones that depend on each other or on coefficients not identified.
        """
        estimate = self._estimate()
        p, basis = estimate.shape[1], self._basis()
        if restrictions is None:  # g without its first entry; as many as the rank
            P = np.eye(basis.Q.shape[1])[:, int(self.fit_intercept) :]
            weighted = np.sqrt(basis.weight)[:, None] * (basis.y - self._y_mean)
            theta = weighted.T @ basis.Q @ P
        else:
            C = validate_matrix(restrictions, "restrictions")
            if C.shape[1] != p:
                raise ValueError(
                    f"restrictions must have {p} columns (intercept first), got shape {C.shape}."
                )
            self._check_restrictions(C)
            theta, P = orthonormal_restrictions(estimate, basis.B, C)
        q = P.shape[1]
        spread = sandwich(basis.Q, P.T, self._error_variances(cov_type))
        nothing = np.full(len(estimate), np.nan)
        test = FTest(nothing, nothing, q, basis.df)
        if q and np.all(np.diagonal(spread, axis1=1, axis2=2) > 0):  # false for NaN too
            with contextlib.suppress(np.linalg.LinAlgError):  # too few residuals that are not zero
                test = wald_f(theta, spread, np.eye(q), basis.df)
        return test._replace(statistic=self._shaped(test.statistic), p_value=self._shaped(test.p_value))

    def _check_restrictions(self, C: np.ndarray) -> None:
        """Raise unless C (q, p) has independent rows that no null direction touches."""
        # In units of each coefficient's own standard deviation: one on a feature in small units is none the less one.
        scaled = C * linalg.norm(self._basis().B, axis=1)
        scaled /= unit_length(scaled.T)[:, None]
        independent = np.sum(linalg.svd(scaled)[1] > 1e-12 * linalg.norm(scaled)) == len(C)
        if independent and self.rank_ < len(np.ravel(self._x_mean)):
            null = self._null_directions()
            independent = np.all(np.abs(C @ null) <= 1e-8 * (np.abs(C) @ np.abs(null)))
        if not independent:
            raise ValueError(
                "restrictions must be independent of each other and estimable from X; one of them is not."
            )

    @property
    def df_residual_(self) -> float:
        """n − p: samples of positive weight less the rank of the design."""
        return self._basis().df

    @property
    def residuals_(self) -> np.ndarray:
        """$y-\\hat y$ of the training data, (n,) or (n, k), for all rows."""
        self._check_is_fitted()
        X, y, _ = self._data
        return y - (X @ self.coef_.T + self.intercept_)

    @property
    def leverage_(self) -> np.ndarray:
        """$h_i$, the share of its own target in each fitted value, (n,); zero for rows of weight zero."""
        basis = self._basis()
        leverage = np.zeros(len(basis.present), basis.Q.dtype)
        leverage[basis.present] = basis.leverage
        return leverage

    @property
    def residual_variance_(self) -> Any:
        """$s^2$, unbiased estimate of the error variance of a row of weight 1; a float or (k,)."""
        basis = self._basis()
        return self._shaped(np.sum(basis.residuals**2, axis=0) / basis.df)

    @property
    def studentized_residuals_(self) -> np.ndarray:
        """Each residual over its standard error from a fit without its row, (n,) or (n, k): t with n − p − 1 degrees.

        $r_i=e_i/(s_{(i)}\\sqrt{1-h_i})$ with $(n-p-1)s_{(i)}^2=\\sum_je_j^2-e_i^2/(1-h_i)$, no refit needed. NaN for rows of weight zero.
        """
        basis = self._basis()
        deleted = studentized_deleted_residuals(basis.residuals, basis.leverage, basis.df)
        result = np.full((len(basis.present), deleted.shape[1]), np.nan, deleted.dtype)
        result[basis.present] = deleted
        return result if self._data[1].ndim == 2 else result[:, 0]

    def _sums_of_squares(self) -> tuple[np.ndarray, np.ndarray]:
        """Residual and total weighted sum of squares of each target; total about the mean if there is an intercept."""
        basis = self._basis()
        centered = basis.y - column_means(basis.y, basis.weight) if self.fit_intercept else basis.y
        return np.sum(basis.residuals**2, axis=0), np.einsum("n,nk,nk->k", basis.weight, centered, centered)

    @property
    def r_squared_(self) -> Any:
        """1 − residual over total sum of squares (about zero without an intercept, as in statsmodels)."""
        rss, total = self._sums_of_squares()
        with np.errstate(divide="ignore", invalid="ignore"):  # a constant target: 0/0 is NaN
            return self._shaped(1 - rss / total)

    @property
    def adjusted_r_squared_(self) -> Any:
        """The same with both sums divided by their degrees of freedom, so that an idle feature does not raise it."""
        rss, total = self._sums_of_squares()
        basis = self._basis()
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._shaped(1 - (rss / basis.df) / (total / (len(basis.Q) - int(self.fit_intercept))))

    @property
    def log_likelihood_(self) -> Any:
        """Gaussian log-likelihood at the estimate and the maximum likelihood variance."""
        return self._shaped(gaussian_log_likelihood(self._sums_of_squares()[0], self._basis().weight))

    @property
    def aic_(self) -> Any:
        """Akaike's criterion, $2p-2\\log L$ (the variance is not counted, as in statsmodels)."""
        return 2 * self._basis().Q.shape[1] - 2 * self.log_likelihood_

    @property
    def bic_(self) -> Any:
        """Schwarz's criterion, $p\\log n-2\\log L$."""
        n, p = self._basis().Q.shape
        return p * np.log(n) - 2 * self.log_likelihood_

    def summary(self, level: Any = 0.95, *, cov_type: Any = None) -> str:
        """The whole fit as a table of text, for one target, at most 80 columns wide.

        Standard errors, p-values, intervals and the F test are of the kind `cov_type`, by default the estimator's, with t
        or z as its `use_t` says. Coefficients that are not identified are marked, and what cannot be estimated is "n/a".

        Raises:
            ValueError: y was a matrix with several targets; level outside (0, 1); an unknown cov_type.
        """
        self._check_is_fitted()
        k = len(np.atleast_2d(self.coef_))
        if k > 1:
            raise ValueError(f"summary needs one target, got {k}: fit one column of y at a time.")
        level = validate_number(level, "level", minimum=0, maximum=1, exclusive=True)
        cov_type = self.cov_type if cov_type is None else validate_choice(cov_type, "cov_type", COVARIANCES)
        return summary_table(self, level, cov_type)


# %% [markdown]
# ## 4. Validate
#
# | | ours | the library | why |
# |---|---|---|---|
# | solver | QR of the centered data, in blocks of rows | scikit-learn: SVD of the centered data; statsmodels: pseudo-inverse of `[1, X]` | centering first keeps $\kappa$ small, and $R$ is all that is needed |
# | rank | judged in unit columns | scikit-learn, statsmodels: in the units of the data | a feature in small units is not a missing one |
# | condition number | of the centered design in unit columns; large from 30 on | statsmodels: of `[1, X]` as it is; large from 1000 on | neither units nor a mean far from zero is a dependence |
# | the column of ones | `fit_intercept=True`, reported first | statsmodels: `add_constant(X)` | |
# | several targets | statistics with a leading axis | scikit-learn: no statistics; statsmodels: one target | |
# | rows of weight zero | no observations: $n$ does not count them | statsmodels counts them in $n-p$ | a row that cannot speak should not raise our confidence |
# | dependent columns | coefficients that depend on the choice are marked; F over the rank, the same for every choice | statsmodels: all of the pseudo-inverse's, and robust F of these | a test should not depend on which of many solutions was taken |
# | no intercept | $R^2$ about zero | scikit-learn's `score`: about the mean | `r_squared_` follows statsmodels, `score` scikit-learn |


# %%
def validate() -> list[Agreement]:
    """Coefficients against scikit-learn and NIST, statistics against statsmodels, in every branch."""
    from shared.datasets import load_diabetes, load_longley

    comparison = Comparison(reference="sklearn.linear_model.LinearRegression", dataset="diabetes")
    diabetes = load_diabetes(scaled=False)
    weight = np.random.default_rng(0).uniform(0.2, 3.0, len(diabetes.X))
    _compare_coefficients(comparison, diabetes.X, diabetes.y, weight)
    for label, w in (("OLS", None), ("WLS", weight)):
        statistics = comparison.on(reference=f"statsmodels.regression.linear_model.{label}")
        for fit_intercept in (True, False):
            _compare_statistics(statistics, diabetes.X, diabetes.y, w, fit_intercept, COVARIANCES)
    longley = load_longley()
    statistics = comparison.on(reference="statsmodels.regression.linear_model.OLS", dataset="longley")
    # The robust kinds are left out on these data: statsmodels' own have eight digits there (the tests know better).
    _compare_statistics(statistics, longley.X, longley.y, None, True, ("nonrobust",))
    model = LinearRegression(solver="qr").fit(longley.X, longley.y)
    comparison.on(reference="NIST StRD, certified values", dataset="longley").compare(
        "coefficients, certified values", np.append(model.intercept_, model.coef_), NIST_LONGLEY, tolerance=1e-12, measure="elementwise",
        reason="κ of the centered columns is about 100: two digits of sixteen, and one to spare",
    )  # fmt: skip
    return comparison.agreements


def _compare_coefficients(comparison: Comparison, X: Any, y: Any, weight: Any) -> None:  # practice: keep
    """All solvers, with and without weights and intercept, several targets, and fewer rows than columns."""
    from sklearn.linear_model import LinearRegression as Reference

    several = np.column_stack([y, np.sqrt(y), X[:, 2] - y])
    cases: list[tuple[str, dict[str, Any], Any, Any, Any]] = [
        (f"{solver}{', weighted' * (w is not None)}{', no intercept' * (not intercept)}",
         {"solver": solver, "fit_intercept": intercept}, X, y, w)
        for solver in ("qr", "normal", "gradient_descent")
        for w in (None, weight)
        for intercept in (True, False)
        if intercept or solver != "gradient_descent"  # without an intercept the columns are too dependent for it
    ]  # fmt: skip
    cases.append(("qr, three targets", {}, X, several, weight))
    cases.append(("qr, a repeated column", {}, np.column_stack([X, X[:, 3] + X[:, 4]]), y, weight))
    cases.append(("qr, 8 rows and 10 columns", {}, X[:8], y[:8], None))
    for label, options, data, target, w in cases:
        ours, theirs = comparison.run(
            lambda o=options, a=data, b=target, w=w: LinearRegression(**o).fit(a, b, sample_weight=w),
            lambda o=options, a=data, b=target, w=w: Reference(
                fit_intercept=o.get("fit_intercept", True)
            ).fit(a, b, sample_weight=w),
        )
        descent = options.get("solver") == "gradient_descent"
        tolerance = 1e-8
        reason = (
            "stops at a gradient of 1e-12 of its start, which 1/λ of the smallest eigenvalue, 0.008, amplifies"
            if descent
            else "closed form: rounding times the condition number"
        )
        comparison.compare(
            f"coefficients, {label}",
            ours.coef_,
            theirs.coef_,
            tolerance=tolerance,
            reason=reason,
            measure="elementwise",
        )
        comparison.compare(
            f"intercept, {label}", ours.intercept_, theirs.intercept_, tolerance=tolerance, reason=reason
        )


def _compare_statistics(  # practice: keep
    comparison: Comparison, X: Any, y: Any, weight: Any, fit_intercept: bool, kinds: tuple[str, ...]
) -> None:
    """Every statistic against statsmodels, for the kinds of covariance stacked in one array."""
    from statsmodels.regression.linear_model import OLS, WLS
    from statsmodels.tools import add_constant

    def complete(rows: Any) -> Any:
        return add_constant(rows, has_constant="add") if fit_intercept else rows

    new = 1.1 * X[:7]
    reference = OLS(y, complete(X)) if weight is None else WLS(y, complete(X), weights=weight)
    ours, theirs = comparison.run(
        lambda: [
            LinearRegression(fit_intercept=fit_intercept, cov_type=kind).fit(X, y, sample_weight=weight)
            for kind in kinds
        ],
        lambda: [reference.fit(cov_type=kind) for kind in kinds],
    )
    tests = [model.f_test() for model in ours]
    forecasts = [result.get_prediction(complete(new)) for result in theirs]
    model, result = ours[0], theirs[0]
    quantities: dict[str, tuple[Any, Any]] = {
        "standard errors": ([m.standard_errors_ for m in ours], [r.bse for r in theirs]),
        "t values": ([m.t_values_ for m in ours], [r.tvalues for r in theirs]),
        "p-values": ([m.p_values_ for m in ours], [r.pvalues for r in theirs]),
        "intervals": ([m.conf_int(0.9) for m in ours], [r.conf_int(0.1) for r in theirs]),
        "covariances": ([m.covariance() for m in ours], [r.cov_params() for r in theirs]),
        "F": ([t.statistic for t in tests], [r.fvalue for r in theirs]),
        "p-value of F": ([t.p_value for t in tests], [r.f_pvalue for r in theirs]),
        "intervals, new observation": (
            [m.prediction_interval(new) for m in ours], [f.conf_int(obs=True) for f in forecasts],
        ),
        "intervals, new mean": (
            [m.prediction_interval(new, of="mean") for m in ours], [f.conf_int() for f in forecasts],
        ),
        "residual variance": (model.residual_variance_, result.scale),
        "R²": (model.r_squared_, result.rsquared),
        "adjusted R²": (model.adjusted_r_squared_, result.rsquared_adj),
        "log-likelihood": (model.log_likelihood_, result.llf),
        "AIC and BIC": ([model.aic_, model.bic_], [result.aic, result.bic]),
    }  # fmt: skip
    if weight is None and len(X) < 50:  # statsmodels fits once for each row here
        influence = result.get_influence()
        quantities["leverages"] = (model.leverage_, influence.hat_matrix_diag)
        quantities["studentized residuals"] = (
            model.studentized_residuals_,
            influence.resid_studentized_external,
        )
    for name, (a, b) in quantities.items():
        comparison.compare(
            f"{name}{'' if fit_intercept else ', no intercept'}", np.asarray(a), np.asarray(b),
            tolerance=1e-8, measure="elementwise",
            reason="closed forms: rounding times the condition number of [1, X], which statsmodels' pseudo-inverse meets whole",
        )  # fmt: skip


def benchmarks() -> list[Benchmark]:
    """Fitting with n growing at d = 50: the default solver, and the normal equations."""

    def setup(n: int, solver: str) -> Any:
        from sklearn.linear_model import LinearRegression as Reference

        rng = np.random.default_rng(0)
        X = rng.standard_normal((n, 50)) + 3
        y = X @ rng.standard_normal(50) + rng.standard_normal(n)
        return lambda: LinearRegression(solver=solver).fit(X, y), lambda: Reference().fit(X, y)

    return [
        Benchmark(
            f"solver={solver!r}, d = 50", (5_000, 20_000, 80_000), lambda n, s=solver: setup(n, s), 1.0,
            "sklearn.linear_model.LinearRegression", repeats=7,
        )
        for solver in ("qr", "normal")
    ]  # fmt: skip


# %% [markdown]
# ## 5. Document
#
# **Use it** first, on nearly everything: it is the model whose answers can be read, and the yardstick for any other. With
# `cov_type="HC3"` unless you know the errors to be of one spread. `solver="normal"` when $n$ is large and the features are
# not nearly dependent.
# **Do not use it** to extrapolate, with more features than rows (see `regularized_regression`), for counts or probabilities
# (see `generalized_linear_models`), or with errors that depend on each other (time series, repeated measurements): then
# all five kinds of standard errors are wrong, and too small where both the errors and the features go together in neighboring rows.
# **How it breaks**: `groundup break linear_regression`, and `failure_modes/linear_regression.py`.
#
# The picture: which of ten measurements go with the progression of diabetes, in standard deviations of each feature, with
# 95 % intervals.


# %%
def example() -> Any:
    """Coefficients of the diabetes data with classical and HC3 intervals."""
    from shared.datasets import load_diabetes
    from shared.figures import COLORS, subplots

    diabetes = load_diabetes(scaled=False)
    X = (diabetes.X - diabetes.X.mean(axis=0)) / diabetes.X.std(axis=0)
    model = LinearRegression().fit(X, diabetes.y)
    order = np.argsort(np.abs(model.coef_))
    height = np.arange(len(order))
    figure, axes = subplots(width=7.5, height=4.4)
    for cov_type, color, shift in (("nonrobust", COLORS["ours"], 0.13), ("HC3", COLORS["mended"], -0.13)):
        low, high = model.conf_int(cov_type=cov_type)[1:][order].T
        axes.hlines(height + shift, low, high, color=color, linewidth=2.2, label=f"95 % interval, {cov_type}")
        axes.plot(model.coef_[order], height + shift, "o", color=color, markersize=5)
    axes.axvline(0, color=COLORS["muted"], linewidth=1)
    axes.set_yticks(height, [diabetes.feature_names[j] for j in order])
    axes.set(
        title=f"Diabetes: what goes with progression (R² = {model.r_squared_:.2f})",
        xlabel="change in progression for one standard deviation of the feature",
    )
    axes.legend(loc="lower right")
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example)
