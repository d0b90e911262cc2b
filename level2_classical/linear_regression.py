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
# **Question.** Which weighted sum of the features comes closest to the target, how sure are we of each weight, and of what
# is predicted with them?
#
# **In one line.** Center, factor the features into an orthonormal basis and a triangle, solve the triangle; what is left
# over tells how sure we are.
#
# **Builds on** Level 1's `gradient_descent` (one of the three solvers), and on `shared.linalg` (QR, Cholesky) and
# `shared.special` (Student's t, F), which Level 1 earns. **Mirrors** `sklearn.linear_model.LinearRegression` for the fit and
# `statsmodels` (`OLS`, `WLS`) for the inference.
#
# **Sources.** Golub (1965), least squares by Householder's reflections; Demmel, Grigori, Hoemmen and Langou (2012), QR by
# blocks of rows; Higham (2002), what rounding does to each solver; White (1980) and MacKinnon and White (1985), errors of
# unequal spread; Long and Ervin (2000), why HC3; Belsley, Kuh and Welsch (1980), which columns depend on each other; Seber and Lee
# (2003), the theory in one book.

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
# ### One feature
# $y_i=\beta_0+x_i\beta+\varepsilon_i$. Take the $n$ targets as one arrow $y$ in $n$ dimensions. All values that a line can give,
# $\beta_0\mathbf 1+\beta x$, make up the plane of $\mathbf 1$ and $x$, and the nearest point to $y$ in it is the foot $\hat y$ of the perpendicular.
# So the residuals $e=y-\hat y$ stand at right angles to $\mathbf 1$ and to $x$, $\sum_ie_i=0$ and $\sum_ix_ie_i=0$. With
# $D=\sum_i(x_i-\bar x)^2$ these two say
#
# $$\hat\beta=\frac1D\sum_i(x_i-\bar x)\,y_i,\qquad\hat\beta_0=\bar y-\bar x\hat\beta .$$
#
# By Pythagoras $\lVert y-\bar y\rVert^2=\lVert\hat y-\bar y\rVert^2+\lVert e\rVert^2$, and $R^2$, the first part's share, is the square of the cosine
# of the angle at $\bar y$ (the picture in step 5).
#
# *How sure?* Choose orthonormal axes: $c_1=\mathbf 1/\sqrt n$, $c_2=(x-\bar x)/\sqrt D$, and $n-2$ more at right angles to the plane. If the
# errors are independent and normal with variance $\sigma^2$, so are their coordinates $g_k=c_k\cdot\varepsilon$ on any orthonormal axes, because
# the density depends on $\lVert\varepsilon\rVert$ alone. Now $\hat\beta=\beta+g_2/\sqrt D$, and $e$ is what lies outside the plane,
# $\lVert e\rVert^2=g_3^2+\dots+g_n^2$. Different coordinates, so **$\hat\beta$ and $s^2=\lVert e\rVert^2/(n-2)$ are independent**, $E\,s^2=\sigma^2$, and
#
# $$\frac{\hat\beta-\beta}{s/\sqrt D}=\frac{g_2/\sigma}{\sqrt{(g_3^2+\dots+g_n^2)/(n-2)\sigma^2}}$$
#
# is a standard normal over the root of an independent $\chi^2_{n-2}/(n-2)$: Student's t. With $p$ coefficients the plane has $p$
# dimensions, and $n-p$ are left.
#
# ### Many features: solvers and their condition
# $y_i=\beta_0+x_i\cdot\beta+\varepsilon_i$ with $\operatorname{Var}\varepsilon_i=\sigma^2/w_i$. Least squares minimizes
# $\sum_iw_i(y_i-\beta_0-x_i\cdot\beta)^2$. Setting the derivative by $\beta_0$ to zero gives $\beta_0=\bar y-\bar x\cdot\beta$ with the weighted
# means $\bar x,\bar y$, and the intercept is gone:
#
# $$A_i=\sqrt{w_i}\,(x_i-\bar x),\qquad b_i=\sqrt{w_i}\,(y_i-\bar y),\qquad \min_\beta\lVert A\beta-b\rVert^2 .$$
#
# A column of years around 1950 is nearly a multiple of the column of ones, so the raw design $[1\ X]$ is nearly singular. Centering is
# the orthogonalization against that first column, where it costs next to nothing: on Longley's data it takes the condition number $\kappa$ (of
# unit columns) from about 40,000 to about 100. Scaling does not have this effect: a change of units changes neither the digits of
# Householder's QR nor Cholesky's (Higham 2002, §19.3 and §10.1). We use unit columns only to *judge* the condition.
#
# 1. `"qr"`. Write $[A\ b]=Q\begin{bmatrix}R&z\\0&\rho\end{bmatrix}$ with orthonormal $Q$ and upper triangular $R$. Lengths do not
# change under $Q^\top$, so $\lVert A\beta-b\rVert^2=\lVert R\beta-z\rVert^2+\rho^2$: solve $R\beta=z$ from below, without forming $Q$.
# The error grows like $\kappa\varepsilon$ as long as the residual is small. A QR of stacked rows is the QR of their stacked triangles, so the
# rows can be taken in blocks that fit the cache.
# 2. `"normal"`. The gradient $2A^\top(A\beta-b)$ vanishes where $A^\top A\beta=A^\top b$. $G=A^\top A$ is symmetric and
# positive definite, $G=R^\top R$ by Cholesky, and $R$ is the same triangle as above. Half the work and one matrix product,
# but $\kappa(G)=\kappa^2$: twice as many digits are lost. Where more than half of all digits would go, we say so and use QR.
# 3. `"gradient_descent"`. $\beta\leftarrow\beta-\eta(G\beta-A^\top b)$ with $\eta=1/L$, $L$ the largest eigenvalue of $G$. The error shrinks
# by $1-1/\kappa^2$ a step. To have $\kappa$ small, the columns get unit length first (here scaling does help).
#
# ### The meat of the sandwich
# Let $F$ be a factor with $(A^\top A)^+=FF^\top$: $F=R^{-1}$, or $V_rS_r^{-1}$. Then $AF$ has orthonormal columns, and so has
#
# $$Q=\big[\sqrt{w/W}\ \ AF\big]\quad(n\times p),\qquad
# \begin{bmatrix}\hat\beta_0\\\hat\beta\end{bmatrix}=\begin{bmatrix}\beta_0\\\beta\end{bmatrix}+BQ^\top u,\qquad
# B=\begin{bmatrix}1/\sqrt W&-\bar x^\top F\\0&F\end{bmatrix},$$
#
# with $u_i=\sqrt{w_i}\,\varepsilon_i$: the axes $c_1,c_2$ of one feature, now $p$ of them. With independent errors the covariance is exactly the
# **sandwich**
#
# $$\operatorname{Cov}=B\,\big(Q^\top\operatorname{diag}(\operatorname{Var}u_i)\,Q\big)\,B^\top .$$
#
# The estimators differ in the matrix in the middle, the *meat*. The residuals are $e=(I-H)u$ with $H=QQ^\top$; the **leverage**
# $h_i=H_{ii}\in[0,1]$ is the share of its own target that enters a row's fitted value, and $\sum_ih_i=p$.
#
# | `cov_type` | meat: $\widehat{\operatorname{Var}u_i}$ | because |
# |---|---|---|
# | `nonrobust` | $s^2=\sum_je_j^2/(n-p)$ | $E[e^\top e]=\sigma^2\operatorname{tr}(I-H)=\sigma^2(n-p)$ if all variances are $\sigma^2$ |
# | `HC0` | $e_i^2$ | White: consistent whatever the variances |
# | `HC1` | $e_i^2\,n/(n-p)$ | the average degree of freedom given back |
# | `HC2` | $e_i^2/(1-h_i)$ | $E[e_i^2]=\sigma^2(1-h_i)$: unbiased under equal variances |
# | `HC3` | $e_i^2/(1-h_i)^2$ | $e_i/(1-h_i)$ is the residual of a fit without row $i$: a little cautious |
#
# HC3's price: where the spread is equal its intervals are longer than they need be, and tests find less; and like all five it takes the rows
# for independent. For the robust kinds the normal distribution is used, as in statsmodels (`use_t=True` asks for t). A set of
# $q$ restrictions $C\beta=0$ is tested by $F=(C\hat\beta)^\top(C\operatorname{Cov}C^\top)^{-1}C\hat\beta/q$. A *new*
# observation at $x$ of weight $w$ adds its own error: its interval has the variance $x^\top\operatorname{Cov}x+s^2/w$.
#
# ### Columns that depend on each other
# If they do exactly, many $\beta$ reach the minimum. Then we take the shortest, as scikit-learn does. A coefficient depends on that
# choice if some $v$ with $Av=0$ has $v_j\ne0$: it is not **identified**, and statistics on it warn. If they do nearly, the
# variance of a coefficient grows by $\mathrm{VIF}_j=1/(1-R_j^2)$, $R_j^2$ being that of column $j$ on the others.
# [Rank](parts/linear_regression/rank.py) derives both, and which columns are to blame.
#
# **Assumptions, and who needs them.** Unbiased: the mean is linear in the features and no relevant one is missing.
# Intervals: errors independent, for `nonrobust` of equal spread, and normal or $n$ large. A new observation: normal errors
# of equal spread, or of known weights, whatever $n$ and `cov_type`. What happens otherwise: `failure_modes/linear_regression.py`.
#
# **Cost.** $O(nd^2)$ time; memory $O(d^2)$ beside the data (the statistics form $Q$, $O(nd)$, on first use).

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from level2_classical.parts.linear_regression.agreements import compare_coefficients, compare_statistics
from level2_classical.parts.linear_regression.blocks import centered_blocks, column_means, triangle
from level2_classical.parts.linear_regression.other_solvers import (
    are_ordinary,
    largest_entries,
    normal_equations,
    solve_by_descent,
    solve_normal_equations,
)
from level2_classical.parts.linear_regression.rank import Solution, column_lengths, minimum_norm
from level2_classical.parts.linear_regression.statistics import COVARIANCES, Basis, FurtherStatistics
from level2_classical.parts.linear_regression.summary import caller_level, rank_reason
from shared import linalg
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import validate_choice, validate_sample_weight, validate_vector
from shared.estimator import warn_not_converged
from shared.numerics import power_of_two

__all__ = [
    "BREATH", "COVARIANCES", "LinearRegression", "error_variances", "orthonormal_basis", "plain_least_squares", "sandwich",
    "solve_triangle",
]  # fmt: skip

BREATH = "plain_least_squares"
NIST_LONGLEY = (  # certified by NIST, Statistical Reference Datasets, Linear Regression, "Longley" (public domain)
    -3482258.63459582, 15.0618722713733, -0.0358191792925910, -2.02022980381683,
    -1.03322686717359, -0.0511041056535807, 1829.15146461355,
)  # fmt: skip

# %% [markdown]
# ### In one breath


# %%
def plain_least_squares(X, y):  # practice: core
    """Intercept, coefficients, and the standard errors of the coefficients if all errors have one variance."""
    n, d = X.shape
    x_mean, y_mean = X.mean(axis=0), y.mean()
    Q, R = np.linalg.qr(X - x_mean)  # the intercept goes first: A = QR
    coef = np.linalg.solve(R, Q.T @ (y - y_mean))  # R β = Qᵀb
    intercept = y_mean - x_mean @ coef  # β₀ = ȳ − x̄·β
    residuals = y - intercept - X @ coef
    variance = residuals @ residuals / (n - d - 1)  # s²
    F = np.linalg.inv(R)  # (AᵀA)⁻¹ = F Fᵀ
    errors = np.sqrt(variance * (F * F).sum(axis=1))
    return intercept, coef, errors


# %% [markdown]
# **What is wrong with it.** Where one column depends on others it stops with a singular matrix, or gives digits that mean
# nothing; all rows count alike; the errors are right for one spread alone; and it holds three copies of the data. The rest
# of the page judges the rank, takes weights, fills the sandwich, and leads to the parts that take the rows in blocks and
# test what was found.
#
# ### Solver 1: QR
#
# [Blocks](parts/linear_regression/blocks.py) centers the rows block by block and keeps of them the triangle $[R\ z]$. What
# is left is small.
#
# $R\beta=z$ by back substitution, and $F=R^{-1}$. Whether $R$ can be trusted is judged with columns of unit length: if
# $\lVert R\rVert_F\lVert R^{-1}\rVert_F\ge\kappa$ stays below $1/(\varepsilon\max(n,d))$, the rank is full. If not, the
# singular values decide. `minimum_norm(R, z, rank)` is then the shortest solution; both are a `Solution(coef, factor, rank)`
# with $F$ as its factor.


# %%
def solve_triangle(  # practice: core
    R: Float[np.ndarray, "r d"], z: Float[np.ndarray, "r k"], n: int, rounding: float = 0.0
) -> Solution:
    """Least squares from the triangle of n rows of data that carry `rounding`; of minimum norm below full rank. O(d³)."""
    d = R.shape[1]
    tolerance = max(float(np.finfo(R.dtype).eps) * max(n, d), rounding * d)
    length = column_lengths(R)  # of A's columns too, since Q does not change lengths
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
# ### The sandwich
# $Q=[\sqrt{w/W}\ \ AF]$ and $B=\begin{bmatrix}1/\sqrt W&-\bar x^\top F\\0&F\end{bmatrix}$; without an intercept the first
# column of each and the first row of $B$ fall away.


# %%
def orthonormal_basis(  # practice: core
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


# %% [markdown]
# The meat of the sandwich, for each target: $s^2$ times one, or squared residuals corrected by the leverages.


# %%
def error_variances(  # practice: core
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
def sandwich(  # practice: core
    Q: Float[np.ndarray, "n q"], B: Float[np.ndarray, "p q"], variances: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, "k p p"]:
    """Covariance of the estimate for each target. O(nq²k)."""
    meat = np.einsum("np,nk,nq->kpq", Q, variances, Q, optimize=True)
    return B @ meat @ B.T


# %% [markdown]
# ### Solvers 2 and 3, and everything that follows from the sandwich
#
# [Other solvers](parts/linear_regression/other_solvers.py): the normal equations, and gradient descent on them.
# [Inference](parts/linear_regression/inference.py): p-values, quantiles, studentized residuals, F tests, the likelihood. The
# estimator below joins them; intervals, F tests, residuals, $R^2$ and the summary are methods in
# [statistics](parts/linear_regression/statistics.py).

# %% [markdown]
# ### The estimator


# %%
class LinearRegression(FurtherStatistics):
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

    def __init__(  # practice: keep
        self, *, fit_intercept: Any = True, solver: Any = "qr", cov_type: Any = "nonrobust", use_t: Any = None,
        max_iter: Any = 20_000, tol: Any = 1e-12,
    ) -> None:  # fmt: skip
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
        self._rows, self._present = (X, y), np.ones(len(X), bool) if weight is None else weight > 0
        if not self._present.all():  # a row of weight zero is no observation, whatever it holds
            X, y, weight = X[self._present], y[self._present], weight[self._present]
        self._data = X, y, weight
        self._cached_basis = None
        Y = y.reshape(len(X), -1)
        if self.fit_intercept:
            self._x_mean, self._y_mean = column_means(X, weight), column_means(Y, weight)
        else:
            self._x_mean, self._y_mean = np.zeros(X.shape[1]), np.zeros(Y.shape[1])
        self.n_iter_ = 1
        solution = self._solve(X, Y, weight)
        intercept = self._y_mean - self._x_mean @ solution.coef  # β₀ = ȳ − x̄·β
        self._factor, self.rank_ = solution.factor, solution.rank
        self._coef = solution.coef.T  # in double precision, (k, d)
        coef, intercept = self._coef.astype(X.dtype, copy=False), intercept.astype(X.dtype, copy=False)
        self.coef_ = coef if y.ndim == 2 else coef[0]
        self.intercept_ = (intercept if y.ndim == 2 else intercept[0]) if self.fit_intercept else 0.0
        return self

    def _solve(self, X: Any, Y: Any, weight: Any) -> Solution:
        """Least squares on centered data by the chosen solver."""
        d, blocks = X.shape[1], lambda: centered_blocks(X, Y, weight, self._x_mean, self._y_mean)
        if self.solver != "qr":
            unit = np.ones(d + Y.shape[1])
            with np.errstate(over="ignore", invalid="ignore"):
                G, c = normal_equations(blocks(), d)
            if not are_ordinary(G):  # squares that overflowed or vanished: again, in other units
                unit = power_of_two(largest_entries(blocks()))
                G, c = normal_equations((block * unit for block in blocks()), d)
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
                back = unit[:d, None]
                return solution._replace(coef=solution.coef * back / unit[d:], factor=solution.factor * back)
            warnings.warn(
                f"LinearRegression: X is so close to rank-deficient that solver={self.solver!r} would lose more than half "
                "of all digits; solver='qr' was used instead. Drop or combine features that repeat each other.",
                stacklevel=caller_level(),
            )
        Rz = triangle(blocks(), d)
        rounding = float(np.finfo(X.dtype).eps) if X.dtype == np.float32 else 0.0
        return solve_triangle(Rz[:, :d], Rz[:, d:], len(X), rounding)

    def predict(self, X: Any) -> np.ndarray:  # practice: core
        """$\\hat y=\\beta_0+X\\beta$, (m,) or (m, k). O(md)."""
        # self._predict_matrix(X, dtype=self._dtype()) checks X, and gives it the number type of the fit
        X = self._predict_matrix(X, dtype=self._dtype())
        return X @ self.coef_.T + self.intercept_

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
            weight = np.ones(len(X)) if weight is None else weight.astype(np.float64)
            y = y.reshape(len(y), -1)
            # the same as y − Xβ − β₀, from smaller numbers: fewer digits cancel
            centered = y - self._y_mean
            unit = power_of_two(np.abs(centered).max(axis=0))  # (k,), so that squares are ordinary numbers
            residuals = (centered - (X - self._x_mean) @ self._coef.T) * unit
            Q, B = orthonormal_basis(X, weight, self._x_mean, self._factor, self.fit_intercept)
            if len(X) <= Q.shape[1]:
                warnings.warn(
                    f"{len(X)} samples for {Q.shape[1]} coefficients leave nothing to estimate the noise from: "
                    "standard errors and what follows from them are NaN.",
                    stacklevel=caller_level(),
                )
            df = len(X) - Q.shape[1] if len(X) > Q.shape[1] else np.nan
            residuals *= np.sqrt(weight)[:, None]
            self._cached_basis = Basis(
                Q, B, residuals, np.einsum("nq,nq->n", Q, Q), y, weight, self._present, df, unit
            )
        return self._cached_basis

    def _error_variances(self, cov_type: Any) -> np.ndarray:
        """The meat of the sandwich, (n, k); NaN where residuals, being nothing but rounding, say nothing."""
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

    def _sandwich(self, B: np.ndarray, cov_type: Any) -> np.ndarray:
        """Covariance by target of B times the estimate in orthonormal coordinates, (k, p, p)."""
        variances = self._error_variances(cov_type)
        return sandwich(self._basis().Q, B, variances)

    def _standard_errors(self, cov_type: Any) -> np.ndarray:
        """Square roots of the covariances' diagonals, (k, p)."""
        basis = self._basis()
        unit = power_of_two(
            np.abs(basis.B).max(axis=1)
        )  # of each coefficient, so that its square is an ordinary number
        square = np.diagonal(self._sandwich(basis.B * unit[:, None], cov_type), axis1=1, axis2=2)
        return np.sqrt(square) / unit / basis.unit[:, None]


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
# | no intercept | $R^2$ about zero, unless the columns hold a constant | scikit-learn's `score`: about the mean | `r_squared_` follows statsmodels, `score` scikit-learn |


# %%
def validate() -> list[Agreement]:
    """Coefficients against scikit-learn and NIST, statistics against statsmodels, in every branch."""
    from shared.datasets import load_diabetes, load_longley

    comparison = Comparison(reference="sklearn.linear_model.LinearRegression", dataset="diabetes")
    diabetes = load_diabetes(scaled=False)
    weight = np.random.default_rng(0).uniform(0.2, 3.0, len(diabetes.X))
    compare_coefficients(comparison, LinearRegression, diabetes.X, diabetes.y, weight)
    for label, w in (("OLS", None), ("WLS", weight)):
        statistics = comparison.on(reference=f"statsmodels.regression.linear_model.{label}")
        for fit_intercept in (True, False):
            compare_statistics(
                statistics, LinearRegression, diabetes.X, diabetes.y, w, fit_intercept, COVARIANCES
            )
    longley = load_longley()
    statistics = comparison.on(reference="statsmodels.regression.linear_model.OLS", dataset="longley")
    # The robust kinds are left out on these data: statsmodels' own have eight digits there (the tests know better).
    compare_statistics(statistics, LinearRegression, longley.X, longley.y, None, True, ("nonrobust",))
    model = LinearRegression(solver="qr").fit(longley.X, longley.y)
    comparison.on(reference="NIST StRD, certified values", dataset="longley").compare(
        "coefficients, certified values", np.append(model.intercept_, model.coef_), NIST_LONGLEY, tolerance=1e-12, measure="elementwise",
        reason="κ of the centered columns is about 100: two digits of sixteen, and one to spare",
    )  # fmt: skip
    return comparison.agreements


def benchmarks() -> list[Benchmark]:
    """Fitting with n growing at d = 50: the default solver, and the normal equations."""

    def setup(n: int, solver: str) -> Any:
        from sklearn.linear_model import LinearRegression as Reference

        rng = np.random.default_rng(0)
        X = rng.standard_normal((n, 50)) + 3
        y = X @ rng.standard_normal(50) + rng.standard_normal(n)
        return (
            lambda: LinearRegression(solver=solver).fit(X, y),
            lambda: Reference().fit(X, y),
            lambda: plain_least_squares(X, y),
        )

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
# `cov_type="HC3"` unless you know the errors to be of one spread (then it costs power). `solver="normal"` when $n$ is large and the features are
# not nearly dependent. **Do not use it** to extrapolate, with more features than rows (see `regularized_regression`), for
# counts or probabilities (see `generalized_linear_models`), or with errors that depend on each other (time series, repeated
# measurements): then all five kinds of standard errors are wrong, and too small where both the errors and the features go
# together in neighboring rows.
#
# **In plain words.** Linear regression says by how much the outcome changes, on average, when one measurement changes and
# the others stay; and how sure we may be of that, given how much the cases scatter. It takes for granted that effects add
# up, that the cases are independent of each other, and that nothing important was left out. If a number surprises you, ask
# which measurement is missing, whether two of them say the same thing, whether cases were counted twice, and whether the
# question lies inside the range that was seen.
#
# **How it breaks**: `groundup break linear_regression`, and `failure_modes/linear_regression.py`.
#
# **The pictures.** The mechanism: a line on data; the same fit as a projection, a right triangle in the space of the patients; and as a point in the plane of its two coefficients. The
# result: which of ten measurements go with the progression of diabetes, with 95 % intervals.


# %%
def mechanism() -> Any:
    """Left: forty patients and the line with the smallest squared residuals. Middle: the targets less their mean, projected onto the feature.
    Right: the sum of squares over slope and height; its minimum is the fit, the dashed ellipse holds both coefficients with 95 %."""
    from shared.datasets import load_diabetes
    from shared.figures import COLORS, subplots

    diabetes = load_diabetes(scaled=False)
    x, y = diabetes.X[:40, 2] - diabetes.X[:40, 2].mean(), diabetes.y[:40]
    model = LinearRegression().fit(x[:, None], y)
    height, slope = float(model.intercept_), float(model.coef_[0])
    figure, (left, middle, right) = subplots(1, 3, width=13.0, height=4.0)
    along, across = (
        slope * np.sqrt(x @ x),
        np.sqrt(np.sum(model.residuals_**2)),
    )  # |ŷ − ȳ| and |e|: exact lengths
    for start, end, color, label in (
        ((0, 0), (along, across), COLORS["muted"], "targets less their mean"),
        ((0, 0), (along, 0), COLORS["ours"], "fit less the mean"),
        ((along, 0), (along, across), COLORS["broken"], "residuals"),
    ):
        middle.plot(*zip(start, end, strict=True), color=color, linewidth=2, label=label)
    middle.set(
        xlim=(-0.1 * along, 3 * along),
        xlabel="along the centered feature",
        ylabel="at right angles to it",
        aspect="equal",
        title=f"a projection: R² = cos² = {model.r_squared_:.2f}",
    )
    middle.legend(loc="center right")
    left.vlines(x, y, model.predict(x[:, None]), color=COLORS["broken"], linewidth=1, label="residuals")
    left.plot(x, y, "o", color=COLORS["muted"], markersize=4)
    left.plot(np.sort(x), height + slope * np.sort(x), color=COLORS["ours"], label="the fit")
    left.set(
        xlabel="body mass index less its mean",
        ylabel="progression of diabetes",
        title="a line among forty patients",
    )
    left.legend()
    width, tall = 4 * model.standard_errors_[::-1]
    a, b = np.meshgrid(
        np.linspace(slope - width, slope + width, 90), np.linspace(height - tall, height + tall, 90)
    )
    loss = ((y - b[..., None] - a[..., None] * x) ** 2).sum(axis=-1)
    right.contour(a, b, loss, levels=12, colors="gray", alpha=0.5, linewidths=0.7)
    edge = (
        38 * model.residual_variance_ * (0.05 ** (-2 / 38) - 1)
    )  # 2 s² F, its 95 % point with 2 and 38 degrees
    right.contour(a, b, loss, levels=[loss.min() + edge], colors=COLORS["theory"], linestyles="--")
    right.plot(slope, height, marker="+", markersize=12, color=COLORS["ours"])
    right.set(xlabel="slope", ylabel="height in the middle", title="every point is a line")
    return figure


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

    present_topic(validate, example, mechanism)
