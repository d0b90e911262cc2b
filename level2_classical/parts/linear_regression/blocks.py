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
# # What makes the fit fast: centered blocks of rows, and their triangles
#
# Part of the topic [linear regression](../../linear_regression.py).
#
# - *The whole centered matrix is never stored*: one block of 1,024 rows at a time stays in the processor's cache, which spares
# a copy of the data and its way through memory.
# - *No $Q$*: the triangle $[R\ z]$ of a block is all that least squares needs of it, and a QR without $Q$ costs half.
# - *Triangles are stacked and compressed once more*, since the QR of stacked rows is the QR of their stacked triangles.
#
# `groundup bench linear_regression` prints the plain fit, this one, and the library's.

# %%
from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float

from shared import linalg

__all__ = ["ROWS", "centered_blocks", "column_means", "compress", "triangle"]

ROWS = 1024  # rows at a time: a block stays in the processor's cache

# %% [markdown]
# ### Centering
# $\bar x=x_1+\frac1W\sum_iw_i(x_i-x_1)$. Subtracting the first row before summing makes the mean of a constant column exact,
# so that centering turns it into zeros and not into rounding errors, and saves digits when the mean is large.


# %%
def column_means(
    X: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"] | None
) -> Float[np.ndarray, " d"]:
    """Weighted mean of each column in double precision, exact for constant columns; `weight=None` means ones. O(nd)."""
    first = X[0].astype(np.float64)
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
    """Blocks of [A b] in double precision, each of at most `ROWS` rows and d + k columns. O(n(d + k))."""
    d = X.shape[1]
    for start in range(0, len(X), ROWS):
        rows = slice(start, start + ROWS)
        block = np.empty((len(X[rows]), d + y.shape[1]))
        np.subtract(X[rows], x_mean, out=block[:, :d])
        np.subtract(y[rows], y_mean, out=block[:, d:])
        if weight is not None:
            block *= np.sqrt(weight[rows])[:, None]
        yield block


# %% [markdown]
# ### QR by blocks
# The rows $[R\ z]$ of a block are all that is kept of it: what stands below them in the triangle of $[A\ b]$ is zero under
# $A$, and only adds to $\rho$. Many targets would make that triangle wide; then $Q$ is formed after all, and $z=Q^\top b$.


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
