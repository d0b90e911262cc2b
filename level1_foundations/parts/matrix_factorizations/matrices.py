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
# # Matrices in, and their size
#
# Part of the topic [matrix factorizations](../../matrix_factorizations.py). What may be factored, in which type; and how entries near the ends of
# the number range are kept away from them.

# %%
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["SlogdetResult", "as_matrix", "as_right_side", "cycles", "scaled", "to_middle"]


# %%
def as_matrix(a: Any, name: str = "a", *, check_finite: bool = True, square: bool = False) -> np.ndarray:
    """A real matrix in float32 or float64: float16 becomes float32, integers and booleans float64; not copied if it is one.

    Raises:
        TypeError: entries that are not real numbers of at most double precision, or a sparse matrix. ValueError: not two
            dimensions, not square where that is asked for, NaN or infinity.
    """
    if hasattr(a, "tocsr"):
        raise TypeError(f"{name} must be a dense matrix, got a sparse one: use its .toarray().")
    matrix = as_reals(a, name)
    if matrix.ndim != 2:
        hint = " Factor the matrices of a stack one by one." if matrix.ndim > 2 else ""
        raise ValueError(f"{name} must be a matrix of shape (m, n), got shape {matrix.shape}.{hint}")
    if square and matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be square, got shape {matrix.shape}.")
    if check_finite:
        refuse_not_finite(matrix, name)
    return matrix


def as_right_side(b: Any, n: int, *, check_finite: bool = True) -> np.ndarray:
    """A right-hand side (n,) or (n, k), as `as_matrix`.

    Raises:
        TypeError: entries that are not real numbers. ValueError: another shape, NaN or infinity.
    """
    right = as_reals(b, "b")
    if right.ndim not in (1, 2) or len(right) != n:
        raise ValueError(f"b must have shape ({n},) or ({n}, k), as a has {n} rows, got shape {right.shape}.")
    if check_finite:
        refuse_not_finite(right, "b")
    return right


def as_reals(a: Any, name: str) -> np.ndarray:
    """An array in float32 or float64."""
    array = np.asarray(a)
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{name} must hold real numbers, got {array.dtype}.") from None
    if array.dtype.kind not in "fiub" or array.dtype == np.longdouble:
        hint = (
            " Complex matrices are not treated here: write A + iB as the real matrix [[A, -B], [B, A]]."
            if array.dtype.kind == "c"
            else ""
        )
        raise TypeError(f"{name} must hold real numbers, in float64 at most, got {array.dtype}.{hint}")
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def refuse_not_finite(array: np.ndarray, name: str) -> None:
    """Name the first entry that is NaN or infinite."""
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(map(int, np.argwhere(~finite)[0]))
        raise ValueError(f"{name} must be finite, got {array[place]} at index {place}.")


# %% [markdown]
# Squares overflow above $10^{154}$ and vanish below $10^{-162}$, and an elimination that is harmless at 1 may overflow at $10^{308}$. A matrix whose largest
# entry lies out there is multiplied by a power of two that brings it to 1, which rounds nothing (but what then lies below the least number, and that is less
# than $10^{-300}$ of the largest). The factor is undone at the end.


# %%
def to_middle(A: np.ndarray, *, even: bool = False) -> tuple[np.ndarray, int]:
    """A copy of A, times 2⁻ᵉ, and e: 0 where the largest entry is of ordinary size. `even` asks for an even e, whose root is one, too."""
    largest = np.abs(A).max(initial=0.0)
    bound = np.finfo(A.dtype).maxexp * 2 // 5
    exponent = int(np.frexp(largest)[1])
    if largest == 0 or not np.isfinite(largest) or abs(exponent) <= bound:
        return A.copy(), 0
    exponent += exponent % 2 if even else 0
    return np.ldexp(A, -exponent), exponent


def scaled(A: np.ndarray, exponent: int) -> np.ndarray:
    """A times 2ᵉ; A itself where e is 0."""
    return np.ldexp(A, exponent) if exponent else A


def cycles(order: np.ndarray) -> int:
    """The number of cycles of a permutation; n minus it has the parity of its exchanges."""
    seen = np.zeros(len(order), bool)
    count = 0
    for start in range(len(order)):
        place = start
        count += not seen[start]
        while not seen[place]:
            seen[place] = True
            place = order[place]
    return count


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the absolute value of a determinant."""

    sign: Any
    logabsdet: Any
