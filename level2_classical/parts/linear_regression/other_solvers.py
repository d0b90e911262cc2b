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
# # Two other ways to the minimum
#
# Part of the topic [linear regression](../../linear_regression.py), whose derivation names them: the normal equations, and
# gradient descent on them.

# %%
from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from level1_foundations.gradient_descent import gradient_descent
from level2_classical.parts.linear_regression.rank import Solution
from shared import linalg
from shared.numerics import power_of_two

__all__ = [
    "are_ordinary",
    "largest_entries",
    "normal_equations",
    "solve_by_descent",
    "solve_normal_equations",
    "unit_columns",
]

# %% [markdown]
# ### The normal equations
# $A^\top[A\ b]=[G\ c]$, summed over the blocks.


# %%
def normal_equations(
    blocks: Iterable[Float[np.ndarray, "_ m"]], d: int
) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, "d k"]]:
    """$G=A^\\top A$ and $c=A^\\top b$. O(nd(d + k)): half of QR's work, and all of it in matrix products."""
    total = sum(block[:, :d].T @ block for block in blocks)
    return total[:, :d], total[:, d:]


def largest_entries(blocks: Iterable[Float[np.ndarray, "_ m"]]) -> Float[np.ndarray, " m"]:
    """The largest absolute entry of each column of [A b]. O(n(d + k))."""
    return np.max([np.abs(block).max(axis=0) for block in blocks], axis=0)


def are_ordinary(G: Float[np.ndarray, "d d"]) -> bool:
    """Whether the squares on the diagonal stayed within the range of the numbers, with room on both sides."""
    square = np.diag(G)
    return bool(np.all((square == 0) | ((square > 1e-200) & (square < 1e200))) and np.isfinite(G).all())


# %% [markdown]
# With columns of unit length, $G_{jl}\leftarrow G_{jl}/(\ell_j\ell_l)$, $c_j\leftarrow c_j/\ell_j$ and
# $\beta_j=\theta_j/\ell_j$.


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
# ### Gradient descent
# $\theta_{t+1}=\theta_t-\tfrac1L(G\theta_t-c)$ in unit columns. A step costs $O(d^2k)$, whatever $n$ is, because $G$ and $c$
# hold all that the data have to say. It stops when the gradient has shrunk to `tol` times its length at the start,
# $\lVert c\rVert$.


# %%
def solve_by_descent(
    G: Float[np.ndarray, "d d"], c: Float[np.ndarray, "d k"], *, max_iter: int, tol: float
) -> tuple[Float[np.ndarray, "d k"], int, bool]:
    """Coefficients (d, k) by Level 1's gradient descent from zero, its steps, and whether it converged."""
    G, c, length = unit_columns(G, c)
    unit = power_of_two(float(np.abs(c).max(initial=0.0)))
    size = float(linalg.norm(c * unit)) / unit or 1.0
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
