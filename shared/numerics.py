"""Small functions that are easy to write and easy to write wrongly: stable exponentials and distances."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

Numbers = float | np.floating | np.ndarray  # a number, or an array of any shape

__all__ = ["log1mexp", "logsumexp", "power_of_two", "sigmoid", "softmax", "softplus", "squared_distances"]


def fractions(x: Numbers) -> np.ndarray:
    """An array of floating numbers: integers and booleans, whose negatives and differences may wrap, become float64."""
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def logsumexp(a: np.ndarray, axis: int | None = None, keepdims: bool = False) -> Numbers:
    r"""$\log\sum_i e^{a_i}$ along `axis`, without overflow.

    Subtracting the maximum $m$ leaves every exponent at most 0: $m + \log\sum_i e^{a_i - m}$. All entries
    −∞ give −∞; a +∞ gives +∞. Same convention as `scipy.special.logsumexp`. O(size).
    """
    a = fractions(a)
    largest = np.max(a, axis=axis, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(largest), largest, 0.0).astype(a.dtype)
    with np.errstate(divide="ignore"):
        result = np.log(np.sum(np.exp(a - shift), axis=axis, keepdims=True)) + shift
    return result if keepdims else np.squeeze(result, axis=axis)


def softmax(a: np.ndarray, axis: int = -1) -> np.ndarray:
    r"""$e^{a_i} / \sum_j e^{a_j}$ along `axis`, without overflow: the maximum is subtracted first."""
    a = fractions(a)
    exponentials = np.exp(a - np.max(a, axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def sigmoid(x: Numbers) -> Numbers:
    r"""$1/(1+e^{-x})$, exact in both tails.

    $e^{-|x|}$ never overflows; the branch $e^{x}/(1+e^{x})$ serves negative $x$, so that tiny
    probabilities keep their relative accuracy.
    """
    x = fractions(x)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def softplus(x: Numbers) -> Numbers:
    r"""$\log(1+e^{x}) = \max(x, 0) + \log(1 + e^{-|x|})$, which neither overflows nor rounds to 0."""
    x = fractions(x)
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log1mexp(x: Numbers) -> Numbers:
    r"""$\log(1 - e^{x})$ for $x < 0$.

    Near 0 `expm1` keeps the digits, far from 0 `log1p` does; the switch is at $-\log 2$ (Mächler 2012).
    """
    x = fractions(x)
    with np.errstate(divide="ignore"):
        return np.where(x > -np.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def power_of_two(size: Numbers) -> Numbers:
    """1/size rounded to a power of two, and 1 for 0: what to multiply by so that squares are ordinary numbers, at no digit's cost."""
    _, exponent = np.frexp(np.where(np.isfinite(size), size, 1.0))
    return np.ldexp(1.0, -np.where(np.asarray(size) == 0, 0, np.clip(exponent, -1000, 1000)))


PAIRS = 65_536  # whose differences are taken at a time


def squared_distances(X: Float[np.ndarray, "n d"], Y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    r"""$\|x_i - y_j\|^2$ for all pairs by one matrix product, $\|x\|^2 + \|y\|^2 - 2x\cdot y$. O(nmd).

    The formula cancels: the absolute error is about $\varepsilon(\|x\|^2 + \|y\|^2)$, so data far from the
    origin are shifted to the mean of `Y` first; and pairs so near each other that half of the digits would be lost are taken
    from their differences.
    """
    center = Y.mean(axis=0, keepdims=True)
    points, others = X, Y
    X, Y = X - center, Y - center
    products = X @ Y.T
    products *= -2
    x_square, y_square = np.einsum("nd,nd->n", X, X), np.einsum("md,md->m", Y, Y)
    products += x_square[:, None]
    products += y_square
    if products.size:
        loss = math.sqrt(np.finfo(products.dtype).eps)
        rows, columns = np.nonzero(products <= loss * (x_square.max() + y_square.max()))
        near = products[rows, columns] <= loss * (x_square[rows] + y_square[columns])
        rows, columns = rows[near], columns[near]
        for start in range(0, len(rows), PAIRS):
            i, j = rows[start : start + PAIRS], columns[start : start + PAIRS]
            difference = points[i] - others[j]
            products[i, j] = np.einsum("pd,pd->p", difference, difference)
    return products
