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
# # Least squares that are not linear
#
# Part of the topic [second-order optimization](../../second_order_optimization.py). With residuals $r(x)$, $m$ of them, and their Jacobian $J$,
# $f=\tfrac12\lVert r\rVert^2$ has the gradient $J^\top r$ and the Hessian $J^\top J+\sum_kr_k\nabla^2r_k$. **Gauss and Newton** drop the sum: the step is the linear
# least-squares problem
#
# $$\min_p\lVert Jp+r\rVert,\qquad J=QR,\qquad p=-R^{-1}Q^\top r.$$
#
# **Levenberg and Marquardt** keep the step within a region where the linear model is trusted, $\lVert Dp\rVert\le\Delta$ with
# $D$ the lengths of the columns of $J$ (the largest so far), so that the step does not depend on the units of the parameters. Its solution is
#
# $$p(\lambda)=\arg\min_p\Big\lVert\begin{bmatrix}J\\\sqrt\lambda D\end{bmatrix}p+\begin{bmatrix}r\\0\end{bmatrix}\Big\rVert,$$
#
# with $\lambda=0$ if that step is short enough, and otherwise the $\lambda>0$ at which $\lVert Dp(\lambda)\rVert=\Delta$: a root of one variable, found by Newton's method
# on $1/\lVert Dp\rVert$, which is nearly a line (Hebden 1973, Moré 1978). $J$ is reduced to $R$ once; each further $\lambda$ costs a QR of $2n$ rows.

# %%
from __future__ import annotations

import math
from typing import Any

import numpy as np

from level1_foundations.matrix_factorizations import qr, solve_triangular
from level1_foundations.parts.second_order_optimization.objective import (
    OptimizationResult,
    Residuals,
    finished,
    validate_stopping,
)

__all__ = ["damped_step", "gauss_newton", "levenberg_marquardt", "trusted_step"]

SMALLEST = 4 * float(np.finfo(float).eps)

# %% [markdown]
# ## The step


# %%
def reduced(J: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R (n, n) and Qᵀr (n,) of J = QR."""
    Q, R = qr(J, mode="economic")
    return R, Q.T @ r


def damped_step(
    R: np.ndarray, c: np.ndarray, scale: np.ndarray, damping: float
) -> tuple[np.ndarray, np.ndarray]:  # practice: core
    """p(λ) (n,) and the triangle of the damped system, from R and c = Qᵀr; λ is `damping`, D is `scale`. O(n³)."""
    if damping == 0:
        return solve_triangular(R, -c), R
    n = len(c)
    system = np.concatenate([R, np.diag(math.sqrt(damping) * scale)])
    Q, triangle = qr(system, mode="economic")
    return solve_triangular(triangle, -(Q[:n].T @ c)), triangle


def is_singular(R: np.ndarray) -> bool:
    """Whether a diagonal entry of R is 0 to rounding."""
    diagonal = np.abs(np.diag(R))
    return bool(diagonal.min() <= len(R) * np.finfo(float).eps * diagonal.max())


# %% [markdown]
# With $q=Dp$ and the damped triangle $T$, $\frac{d}{d\lambda}\lVert q\rVert=-\lVert T^{-\top}Dq\rVert^2/\lVert q\rVert$. Newton on $1/\lVert q\rVert-1/\Delta$ then moves $\lambda$ by
# $\frac{\lVert q\rVert-\Delta}\Delta\cdot\frac{\lVert q\rVert^2}{\lVert T^{-\top}Dq\rVert^2}$. A tenth more or less than $\Delta$ is near enough.


# %%
def trusted_step(
    R: np.ndarray, c: np.ndarray, scale: np.ndarray, radius: float
) -> tuple[np.ndarray, float]:  # practice: core
    """The step with ‖D p‖ at most (about) the radius, and its damping λ. O(n³) a trial."""
    low, damping = 0.0, 0.0
    high = euclidean(R.T @ c / scale) / radius
    if is_singular(R):
        damping = 1e-3 * high
    for _ in range(20):
        p, triangle = damped_step(R, c, scale, damping)
        q = scale * p
        length = math.sqrt(float(q @ q))
        if not math.isfinite(length):
            low, damping = damping, max(2 * damping, 1e-3 * high)
            continue
        if (damping == 0 and length <= 1.1 * radius) or abs(length - radius) <= 0.1 * radius:
            break
        low, high = (damping, high) if length > radius else (low, damping)
        back = solve_triangular(triangle, scale * q, trans=1)
        damping += (length - radius) / radius * length**2 / float(back @ back)
        if not low < damping < high:
            damping = max(0.001 * high, math.sqrt(low * high))
    return p, damping


# %% [markdown]
# ## Gauss and Newton, with backtracking
# $p$ points downhill, because $p^\top J^\top r=-\lVert Q^\top r\rVert^2$. Halving the step until $f$ decreases enough makes the method safe where it would overshoot; it
# does not make it quadratic where residuals stay large.


# %%
def gauss_newton(
    residual: Any,
    x0: Any,
    *,
    jacobian: Any = None,
    line_search: bool = True,
    tol: float = 1e-10,
    max_iter: int = 200,
) -> OptimizationResult:  # practice: core
    """Minimize ½‖residual(x)‖² by linear least squares again and again.

    Args:
        residual: (n,) → (m,), m ≥ n. x0: (n,). jacobian: (n,) → (m, n); by default central differences, 2n evaluations each.
        line_search: halve the step until the sum of squares decreases enough; without, the whole step is taken.
        tol: stop at a step below tol·(‖x‖ + tol), or where r is orthogonal to the columns of J within tol. max_iter: steps.

    Returns:
        An `OptimizationResult`, `fun` half the sum of squares. A ConvergenceWarning tells where it did not converge.

    Raises:
        ValueError: see `Residuals`; or the columns of the Jacobian are dependent, where `levenberg_marquardt` goes on.
    """
    tol, max_iter = validate_stopping(tol, max_iter)
    problem = Residuals(residual, x0, jacobian)
    x, r = problem.start, problem.first
    for n_iter in range(max_iter + 1):
        J = problem.jacobian(x)
        gradient, fun = J.T @ r, 0.5 * float(r @ r)
        if is_orthogonal(J, r, tol):
            return finished(x, fun, gradient, n_iter, problem.n_evaluations, "the residuals are orthogonal to the Jacobian", converged=True)  # fmt: skip
        if n_iter == max_iter:
            break
        R, c = reduced(J, r)
        if is_singular(R):
            raise ValueError(
                f"jacobian must have independent columns, at x = {x} it has not; use levenberg_marquardt."
            )
        p, _ = damped_step(R, c, np.ones(len(x)), 0.0)
        step, slope = 1.0, -float(c @ c)
        new = problem(x + p)
        while line_search and not 0.5 * float(new @ new) <= fun + 1e-4 * step * slope and step > 1e-12:
            step /= 2
            new = problem(x + step * p)
        if not np.isfinite(new).all():
            return finished(x, fun, gradient, n_iter, problem.n_evaluations, f"residual is not finite at x = {x + step * p}; set line_search=True, or begin nearer", converged=False)  # fmt: skip
        x, r = x + step * p, new
        if step * euclidean(p) <= tol * (euclidean(x) + tol):
            return finished(x, 0.5 * float(r @ r), J.T @ r, n_iter + 1, problem.n_evaluations, "the step is below tol", converged=True)  # fmt: skip
    return finished(x, fun, gradient, max_iter, problem.n_evaluations, f"gauss_newton took max_iter={max_iter} steps; large residuals make it slow: raise max_iter, or use newton or bfgs", converged=False)  # fmt: skip


def euclidean(x: np.ndarray) -> float:
    """The Euclidean norm, of any size."""
    largest = float(np.max(np.abs(x), initial=0.0))
    return largest * math.sqrt(float(np.sum((x / largest) ** 2))) if largest else 0.0


def is_orthogonal(J: np.ndarray, r: np.ndarray, tol: float) -> bool:
    """Whether the cosine between r and each column of J is at most tol; true where r is 0."""
    lengths = np.sqrt(np.sum(J * J, axis=0)) * euclidean(r)
    return bool(np.all(np.abs(J.T @ r) <= tol * lengths))


# %% [markdown]
# ## Levenberg and Marquardt
# What the model promises, $\tfrac12\lVert Jp\rVert^2+\lambda\lVert Dp\rVert^2$, is compared with what came. A quarter or less: the region shrinks; three quarters or
# more: it grows to twice the step.


# %%
def levenberg_marquardt(
    residual: Any,
    x0: Any,
    *,
    jacobian: Any = None,
    tol: float = 1e-10,
    max_iter: int = 1000,
    factor: float = 100.0,
) -> OptimizationResult:  # practice: core
    """Minimize ½‖residual(x)‖² by linear least squares within a region of trust, as MINPACK and `scipy.optimize.least_squares(method="lm")`.

    Args:
        residual: (n,) → (m,), m ≥ n. x0: (n,). jacobian: (n,) → (m, n); by default central differences, 2n evaluations each.
        tol: stop where the sum of squares falls by less than the share tol², the region is smaller than the share tol of x, or r is
            orthogonal to the columns of J within tol. max_iter: trial steps. factor: first radius of the region, in units of ‖D x0‖ (or of 1, if that is 0).

    Returns:
        An `OptimizationResult`, `fun` half the sum of squares. A ConvergenceWarning tells where it did not converge. O(m n²) a step.

    Raises:
        TypeError, ValueError: see `Residuals`; tol, max_iter or factor out of range.
    """
    tol, max_iter = validate_stopping(tol, max_iter)
    factor = float(factor)
    if not (factor > 0 and math.isfinite(factor)):
        raise ValueError(f"factor must be positive, got {factor!r}.")
    problem = Residuals(residual, x0, jacobian)
    x, r = problem.start, problem.first
    scale, radius, J = np.zeros(len(x)), 0.0, None
    for n_iter in range(max_iter):
        if J is None:
            J = problem.jacobian(x)
            if is_orthogonal(J, r, tol):
                return finished(x, 0.5 * float(r @ r), J.T @ r, n_iter, problem.n_evaluations, "the residuals are orthogonal to the Jacobian", converged=True)  # fmt: skip
            R, c = reduced(J, r)
            scale = np.maximum(scale, np.sqrt(np.sum(J * J, axis=0)))
            scale[scale == 0] = 1.0
            radius = radius or factor * (euclidean(scale * x) or 1.0)
        p, damping = trusted_step(R, c, scale, radius)
        new = problem(x + p)
        size, norm = euclidean(scale * p), euclidean(r)
        promised = (euclidean(R @ p) / norm) ** 2 + 2 * damping * (size / norm) ** 2
        came = 1 - (euclidean(new) / norm) ** 2 if np.isfinite(new).all() else -1.0
        quality = came / promised if promised else 0.0
        if quality <= 0.25:
            radius = (0.5 if came >= 0 else 0.1) * min(radius, size / 0.1)
        elif damping == 0 or quality >= 0.75:
            radius = 2 * size
        if quality > 1e-4:
            x, r, J = x + p, new, None
        least = max(tol * tol, SMALLEST)  # a sum of squares is flat: its share of tol² is x's of tol
        small = abs(came) <= least and promised <= least and quality <= 2
        if small or radius <= tol * euclidean(scale * x):
            last = problem.jacobian(x) if J is None else J
            told = (
                "the sum of squares falls by less than tol²" if small else "the region of trust is below tol"
            )
            return finished(x, 0.5 * float(r @ r), last.T @ r, n_iter + 1, problem.n_evaluations, told, converged=True)  # fmt: skip
        if radius < np.finfo(float).tiny:
            break
    last = problem.jacobian(x) if J is None else J
    return finished(x, 0.5 * float(r @ r), last.T @ r, max_iter, problem.n_evaluations, f"levenberg_marquardt took max_iter={max_iter} trial steps; raise max_iter, or begin nearer", converged=False)  # fmt: skip
