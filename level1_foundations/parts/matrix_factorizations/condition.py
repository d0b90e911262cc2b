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
# # How near to singular?
#
# Part of the topic [matrix factorizations](../../matrix_factorizations.py). The condition number $\kappa_1=\|A\|_1\|A^{-1}\|_1$ bounds how much a relative change
# of $A$ may change $x$; but $A^{-1}$ costs three times the factorization. Hager's estimate climbs instead: $\|A^{-1}x\|_1$ is a convex function of $x$, whose maximum
# over $\|x\|_1\le1$ lies at some unit vector $e_j$. From $x=(1/n,\dots,1/n)$ the gradient is $A^{-\top}\operatorname{sign}(A^{-1}x)$; its largest entry names
# the next $e_j$, until none is larger. Each step is a solution with $A$ and one with $A^\top$, and it seldom takes more than two. The result is a lower bound.
# Higham added a vector of alternating signs, which catches matrices for which the climb stops at once.

# %%
from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["IllConditionedWarning", "inverse_norm", "warn_if_ill_conditioned"]


# %%
def inverse_norm(
    n: int, solve: Callable[[np.ndarray], np.ndarray], solve_transposed: Callable[[np.ndarray], np.ndarray]
) -> float:
    """A lower bound of ‖A⁻¹‖₁, seldom below a third of it, from solutions with A and Aᵀ. O(n²).

    Args:
        n: at least 1. solve, solve_transposed: A⁻¹x and A⁻ᵀx of a vector (n,), both as new arrays.
    """
    x = np.full(n, 1 / n)
    best, last = 0.0, -1
    for _ in range(5):
        y = solve(x)
        size = float(np.abs(y).sum())
        if size <= best:
            break
        best = size
        slope = solve_transposed(np.where(y < 0, -1.0, 1.0))
        steepest = int(np.abs(slope).argmax())
        if steepest == last or abs(slope[steepest]) <= slope @ x:
            break
        x, last = np.zeros(n), steepest
        x[steepest] = 1.0
    alternating = np.where(np.arange(n) % 2, -1.0, 1.0) * (1 + np.arange(n) / max(n - 1, 1))
    return max(best, 2 * float(np.abs(solve(alternating)).sum()) / (3 * n))


# %%
class IllConditionedWarning(RuntimeWarning):
    """The matrix is so near to a singular one that the solution may have no right digit."""


def warn_if_ill_conditioned(A: np.ndarray, apply: Callable[..., Any]) -> None:
    """Estimate κ₁ of A (n, n) from solutions `apply(B, transposed)` and warn where 1/κ₁ is below the rounding of its type. O(n²)."""
    if not len(A):
        return
    norm = float(np.abs(A).sum(axis=0).max())

    def solution(x: np.ndarray, transposed: bool = False) -> np.ndarray:
        return np.asarray(apply(x[:, None].copy(), transposed)[:, 0])

    with np.errstate(over="ignore", invalid="ignore"):
        condition = norm * inverse_norm(len(A), solution, lambda x: solution(x, transposed=True))
    if not condition < 1 / np.finfo(A.dtype).eps:
        warnings.warn(
            f"a has a condition number of about {condition:.1e}: the solution may have no right digit. Rescale the columns, "
            "or drop dependent ones.",
            IllConditionedWarning,
            stacklevel=3,
        )
