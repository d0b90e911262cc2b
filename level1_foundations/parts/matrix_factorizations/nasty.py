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
# # Matrices that are hard, and how an error is measured
#
# Part of the topic [matrix factorizations](../../matrix_factorizations.py). The matrices are those on which algorithms of linear algebra are tried, and the measure is that of LAPACK's own
# tests: the backward error in units of $n\varepsilon\lVert A\rVert$, which a stable method keeps below 30.

# %%
from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["NASTY", "backward_errors", "ratio", "wilkinson"]


def ratio(difference: np.ndarray, size: float, n: int) -> float:
    """‖difference‖₁ / (size · n · ε); in units that neither overflow nor vanish."""
    largest = float(np.abs(difference).max(initial=0.0))
    if largest == 0:
        return 0.0
    return float(
        np.abs(difference / largest).sum(axis=0).max()
        * (largest / size)
        / (n * np.finfo(difference.dtype).eps)
    )


def one_norm(A: np.ndarray) -> float:
    """The largest sum of a column."""
    return float(np.abs(A).sum(axis=0).max(initial=0.0)) or 1.0


# %%
def wilkinson(n: int) -> np.ndarray:
    """Ones on the diagonal and in the last column, −1 below: elimination doubles the last column n − 1 times."""
    A = np.tril(-np.ones((n, n)), -1) + np.eye(n)
    A[:, -1] = 1
    return A


def kahan(n: int, angle: float = 1.2) -> np.ndarray:
    """Upper triangle of slowly falling rows, whose last diagonal entry hides how near to singular it is."""
    c, s = np.cos(angle), np.sin(angle)
    return s ** np.arange(n)[:, None] * (np.triu(-c * np.ones((n, n)), 1) + np.eye(n))


def frank(n: int) -> np.ndarray:
    """Frank's upper Hessenberg matrix of determinant 1."""
    i, j = np.indices((n, n))
    return np.where(j >= i - 1, n - np.maximum(i, j), 0.0).astype(float)


def lauchli(n: int, small: float = 1e-9) -> np.ndarray:
    """A row of ones over a small multiple of the identity, (n + 1, n)."""
    return np.vstack([np.ones(n), small * np.eye(n)])


def with_singular_values(values: np.ndarray, m: int, seed: int) -> np.ndarray:
    """(m, n) with given singular values, between two random reflections."""
    rng = np.random.default_rng(seed)
    v, w = rng.standard_normal(m), rng.standard_normal(len(values))
    A = np.zeros((m, len(values)))
    A[np.arange(len(values)), np.arange(len(values))] = values
    A -= np.outer(v, 2 / (v @ v) * (v @ A))
    return A - np.outer(A @ w, 2 / (w @ w) * w)


def nasty() -> dict[str, np.ndarray]:
    """The matrices by name."""
    rng = np.random.default_rng(7)
    i, j = np.indices((20, 20))
    normal = rng.standard_normal((40, 40))
    return {
        "Hilbert": 1.0 / (i + j + 1),
        "Vandermonde": np.linspace(-1, 1, 30)[:, None] ** np.arange(30),
        "Kahan": kahan(60),
        "Wilkinson": wilkinson(25),
        "Frank": frank(30),
        "Läuchli": lauchli(12),
        "clustered": with_singular_values(np.repeat([1.0, 1e-8], 15), 30, 1),
        "rank-deficient": with_singular_values(np.repeat([1.0, 0.0], [5, 25]), 30, 2),
        "graded": 10.0 ** -np.arange(30)[:, None] * rng.standard_normal((30, 30)),
        "tall": rng.standard_normal((120, 7)),
        "wide": rng.standard_normal((7, 120)),
        "one row": rng.standard_normal((1, 5)),
        "1 × 1": np.array([[-3.0]]),
        "zero": np.zeros((5, 5)),
        "near overflow": normal * 1e307,
        "near underflow": normal * 1e-305,
    }


NASTY = nasty()


# %%
def backward_errors(A: np.ndarray, ours: dict[str, Any]) -> dict[str, float]:
    """LAPACK's test ratios of LU, QR, QR with exchanges, and of Cholesky on AᵀA + I where that is finite."""
    m, n = A.shape
    exponent = int(np.frexp(np.abs(A).max(initial=0.0))[1])
    B, size = np.ldexp(A, -exponent), one_norm(np.ldexp(A, -exponent))
    P, L, U = ours["lu"](A)
    found = {"LU": ratio(P @ L @ np.ldexp(U, -exponent) - B, size, max(m, n))}
    for name, order, (Q, R) in (
        ("QR", np.arange(n), ours["qr"](A)),
        ("pivoted QR", *(lambda Q, R, order: (order, (Q, R)))(*ours["qr"](A, pivoting=True))),
    ):
        found[name] = ratio(Q @ np.ldexp(R, -exponent) - B[:, order], size, max(m, n))
        found[f"{name}: QᵀQ"] = ratio(Q.T @ Q - np.eye(m), 1.0, m)
    if np.abs(A).max(initial=0.0) < 1e150:
        S = A.T @ A + np.eye(n)
        C = ours["cholesky"](S, lower=True)
        found["Cholesky"] = ratio(C @ C.T - S, one_norm(S), n)
    return found
