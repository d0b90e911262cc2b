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
# # Not enough information, or hardly enough
#
# Part of the topic [linear regression](../../linear_regression.py): what its triangle tells about columns that depend on
# each other, exactly or nearly.
#
# **Not enough information.** If the columns of $A$ depend on each other, many $\beta$ reach the minimum. Then we take the
# shortest, $\beta=V_rS_r^{-1}U_r^\top z$ from the singular value decomposition $R=USV^\top$ cut at its rank $r$, as
# scikit-learn does. Predictions on rows like those seen do not depend on the choice. A single coefficient does if some $v$
# with $Av=0$ has $v_j\ne0$ (and the intercept if $\bar x\cdot v\ne0$), for $\beta+v$ fits as well: such a coefficient is not
# **identified**, and statistics on it warn.
#
# **Hardly enough.** Let $\tilde A$ be $A$ with columns of unit length, and $\tilde A=USV^\top$. Where all errors have one
# variance, that of $\hat\beta_j$, in units of what it would be if column $j$ stood at right angles to all others, is the
# **variance inflation factor**
#
# $$\mathrm{VIF}_j=\big[(\tilde A^\top\tilde A)^{-1}\big]_{jj}=\sum_k\frac{v_{jk}^2}{s_k^2}=\frac1{1-R_j^2},$$
#
# $R_j^2$ being that of column $j$ on the others. The term $k$ is what the direction $v_k$ of the columns contributes; large
# terms come from a large **condition index** $s_1/s_k$, the largest of which is $\kappa$. Columns with more than half of
# their variance in terms of index 30 or more hang together. Why 30:
# $\sum_j\mathrm{VIF}_j\ge1/s_d^2=\kappa^2/s_1^2\ge\kappa^2/d$, because $s_1^2\le\lVert\tilde A\rVert_F^2=d$, so that some
# factor is at least $900/d^2$; and Belsley, Kuh and Welsch (1980) found in experiments that from about 30 on a dependence
# does harm. They keep the column of ones in; we take it out, because centering is what we do to compute: a feature whose
# mean is far from zero is no dependence.

# %%
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from shared import linalg
from shared.numerics import power_of_two

__all__ = [
    "LARGE", "Solution", "VarianceDecomposition", "column_lengths", "minimum_norm", "nearly_dependent", "null_directions", "unit_length",
    "variance_decomposition",
]  # fmt: skip

LARGE = 30.0  # a condition index of unit columns from which on a dependence does harm


# %%
class Solution(NamedTuple):
    """Coefficients (d, k), a factor F (d, rank) with $(A^\\top A)^+=FF^\\top$, and the rank of A."""

    coef: np.ndarray
    factor: np.ndarray
    rank: int


# %% [markdown]
# The $v$ with $Rv=0$ are the right singular vectors beyond the rank, found in unit columns. Rounding leaves something near
# $s_{r+1}/s_r$ in the columns that a direction does not involve; it is set to zero, so that zero can be asked for. Of all
# solutions the shortest is the one without any part along the null directions: solve in unit columns, where the rank is
# judged, then take those parts away. (In the units of the data, the directions of a large column would drown a small one.)


# %%
def unit_length(R: Float[np.ndarray, "r d"]) -> Float[np.ndarray, " d"]:
    """The lengths of the columns, 1 for a column of zeros: what to divide by."""
    length = column_lengths(R)
    return np.where(length > 0, length, 1).astype(R.dtype)


def column_lengths(R: Float[np.ndarray, "r d"]) -> Float[np.ndarray, " d"]:
    """The lengths of the columns, in any unit: their squares neither overflow nor vanish. O(rd)."""
    unit = power_of_two(np.abs(R).max(axis=0, initial=0.0))
    scaled = R * unit
    return np.sqrt(np.einsum("rd,rd->d", scaled, scaled)) / unit


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
# Two dependences of about the same index share their directions in any mixture, so their proportions are added. Where no two
# columns exceed one half, the two largest are named: one column alone depends on nothing.


# %%
def nearly_dependent(parts: VarianceDecomposition) -> list[int]:
    """Positions, in order, of the columns that a condition index of `LARGE` or more involves; none without one."""
    large = parts.indices >= LARGE
    if not large.any():
        return []
    share = parts.proportions[large].sum(axis=0)
    return sorted(np.argsort(-share, kind="stable")[: max(int(np.sum(share > 0.5)), 2)].tolist())
