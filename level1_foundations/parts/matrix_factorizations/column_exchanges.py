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
# # Reflections with column exchanges
#
# Part of the topic [matrix factorizations](../../matrix_factorizations.py). `qr(a, pivoting=True)` brings the longest remaining column to the front at each step, so that
# the diagonal of $R$ falls, and its last entries tell of a rank that is not full (Businger and Golub 1965).
#
# **Lengths.** A reflection keeps a column's length, and the next step leaves its first entry behind:
# $\|a\|^2\leftarrow\|a\|^2-r^2$. Subtracted again and again this cancels; once a length has fallen below $\sqrt\varepsilon$ of what it was when last
# computed, it is computed afresh (Drmač and Bujanović 2008).
#
# **Blocks.** The choice needs the lengths of all columns, and so row $k$ of the updated matrix, but no more of it. Within a panel the reflections
# so far are kept as $A_0-VF$ (Quintana-Ortí, Sun and Bischof 1998), $A_0$ the matrix at the panel's start: column $k$ and row $k$ are brought up to date when they are needed, the rest
# at the panel's end by one matrix product. One product of a matrix by a vector remains for each column: it is half of all the work.
# A panel ends early where a length must be computed afresh.

# %%
from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["joined", "pivoted_reflections"]

Reflector = Callable[[np.ndarray], tuple[np.ndarray, float, float]]


# %%
def pivoted_reflections(
    W: np.ndarray, reflector: Reflector, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reflections of Aᵀ (n, m) in place, its rows exchanged; returns V (k, m), τ (k,) and the order (n,) of A's columns. O(mnk).

    Args:
        reflector: x → v, τ, β with (I − τvvᵀ)x = βe₁. width: of a panel.
    """
    n, m = W.shape
    steps = min(m, n)
    V, taus, order = np.zeros((steps, m), W.dtype), np.zeros(steps, W.dtype), np.arange(n)
    lengths = column_lengths(W)
    start = 0
    while start < steps:
        start = panel(W, V, taus, order, lengths, start, min(width, steps - start), reflector)
    return V, taus, order


def column_lengths(W: np.ndarray) -> np.ndarray:
    """Length of each row of W, and the same once more: as last computed. Of the largest entry's size, so that no square vanishes. (2, n)."""
    largest = np.abs(W).max(axis=1, initial=0.0)
    exponent = np.frexp(largest)[1]
    shorter = np.ldexp(W, -exponent[:, None])
    length = np.ldexp(np.sqrt(np.einsum("nm,nm->n", shorter, shorter)), exponent)
    return np.array([length, length])


def panel(W, V, taus, order, lengths, start, width, reflector):
    """Up to `width` steps from `start`; returns where the next panel begins."""
    n, m = W.shape
    F = np.zeros((width, n), W.dtype)
    stale = np.zeros(n, bool)
    done = 0
    while done < width and not stale.any():
        k = start + done
        p = k + int(lengths[0, k:].argmax())
        if p != k:
            for rows in (W, F.T, order, lengths.T):
                rows[[k, p]] = rows[[p, k]]
        W[k, k:] -= F[:done, k] @ V[start:k, k:]
        v, taus[k], W[k, k] = reflector(W[k, k:])
        V[k, k:] = v
        # f = τ(A₀ − VF)ᵀv, the row by which the panel's reflections so far have changed A's columns
        F[done, k + 1 :] = taus[k] * (W[k + 1 :, k:] @ v - F[:done, k + 1 :].T @ (V[start:k, k:] @ v))
        done += 1
        W[k + 1 :, k] -= F[:done, k + 1 :].T @ V[start : k + 1, k]
        stale[k + 1 :] = shorten(lengths[:, k + 1 :], W[k + 1 :, k])
    end = start + done
    W[end:, end:] -= F[:done, end:].T @ V[start:end, end:]
    if stale.any():
        lengths[:, stale] = column_lengths(W[stale, end:])
    return end


def shorten(lengths: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Take the entries left behind off the lengths (2, n), in place; True where that cancels too much to be trusted."""
    length, computed = lengths
    share = np.divide(left, length, out=np.zeros_like(length), where=length > 0)
    kept = np.maximum(1 - share * share, 0)
    fall = np.divide(length, computed, out=np.zeros_like(length), where=computed > 0)
    length *= np.sqrt(kept)
    return (kept * fall**2 <= np.sqrt(np.finfo(lengths.dtype).eps)) & (computed > 0)


# %% [markdown]
# Their product is one block reflection $I-V^\top TV$, whose $T$ grows by one column with each.


# %%
def joined(V: np.ndarray, taus: np.ndarray) -> np.ndarray:
    """T (k, k) of reflections V (k, m), τ (k,)."""
    k = len(taus)
    T, products = np.zeros((k, k), V.dtype), V @ V.T
    for j in range(k):
        T[:j, j] = -taus[j] * (T[:j, :j] @ products[:j, j])
        T[j, j] = taus[j]
    return T
