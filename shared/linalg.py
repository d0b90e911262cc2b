"""Dense linear algebra for Level 2 and above.

By default these functions are LAPACK through NumPy. Level 1 makes each of them from elementary NumPy and
proves it equal; `GROUNDUP_LINALG=scratch` asks for Level 1's own in their place. A function whose
from-scratch counterpart does not stand yet says so instead of quietly using LAPACK.

Conventions are NumPy's: `eigh` returns ascending eigenvalues, `svd` returns `(U, s, Vt)` with the thin
factors unless `full_matrices=True`, `qr` returns the reduced `(Q, R)`.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

__all__ = [
    "backend",
    "cholesky",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
]


def backend() -> str:
    """The linear algebra in use: "lapack" or "scratch", from the variable GROUNDUP_LINALG.

    Raises:
        ValueError: any other value of the variable.
    """
    chosen = os.environ.get("GROUNDUP_LINALG", "lapack")
    if chosen not in ("lapack", "scratch"):
        raise ValueError(f"GROUNDUP_LINALG must be 'lapack' or 'scratch', got {chosen!r}.")
    return chosen


def _lapack(name: str) -> Any:
    """NumPy's function; where LAPACK is switched off, an error that says what Level 1 does not have yet."""
    if backend() == "scratch":
        raise NotImplementedError(
            f"shared.linalg.{name}: Level 1 does not have its own {name} yet, so GROUNDUP_LINALG=scratch "
            "cannot be served. Unset the variable to use LAPACK."
        )
    return getattr(np.linalg, name)


def _scratch(name: str) -> Any:
    """Level 1's own function. By name: nothing here imports a level unless the variable asks for it."""
    return getattr(importlib.import_module("level1_foundations.matrix_factorizations"), name)


def solve(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solve A x = b for square A, (n, n), by LU with partial pivoting. O(n³).

    Raises:
        numpy.linalg.LinAlgError: A is exactly singular.
    """
    return _scratch("solve")(A, b) if backend() == "scratch" else np.linalg.solve(A, b)


def solve_triangular(A: np.ndarray, b: np.ndarray, *, lower: bool = False, trans: bool = False) -> np.ndarray:
    """Solve A x = b (or Aᵀ x = b with `trans`) for a triangular A, by blocked substitution. O(n² k).

    Only the named triangle is read, as in `scipy.linalg.solve_triangular`. NumPy offers no triangular
    solver; a block of 64 rows is solved with LAPACK's general one, and the rest is matrix products.

    Raises:
        numpy.linalg.LinAlgError: a zero on the diagonal.
    """
    if backend() == "scratch":
        return _scratch("solve_triangular")(A, b, trans=int(trans), lower=lower)
    A = np.tril(A) if lower else np.triu(A)
    if trans:
        A, lower = A.T, not lower
    n, width = len(A), 64
    x = np.array(b, dtype=np.result_type(A, b), copy=True)
    starts = range(0, n, width) if lower else range((max(n, 1) - 1) // width * width, -1, -width)
    for start in starts:
        stop = min(start + width, n)
        x[start:stop] = np.linalg.solve(A[start:stop, start:stop], x[start:stop])
        if lower:
            x[stop:] -= A[stop:, start:stop] @ x[start:stop]
        else:
            x[:start] -= A[:start, start:stop] @ x[start:stop]
    return x


def lstsq(A: np.ndarray, b: np.ndarray, rcond: float | None = None) -> tuple[Any, Any, int, np.ndarray]:
    """Minimum-norm least squares by the singular value decomposition.

    Returns `(x, residuals, rank, singular_values)` as `numpy.linalg.lstsq`. O(n d²).
    """
    x, residuals, rank, singular_values = _lapack("lstsq")(A, b, rcond)
    return x, residuals, int(rank), singular_values


def qr(A: np.ndarray, mode: str = "reduced") -> Any:
    """QR by Householder reflections, O(n d²).

    `(Q, R)` with Q (n, d) of orthonormal columns and R (d, d) upper; with `mode="r"` only R, at half the work.
    """
    if backend() == "scratch":
        if mode == "r":
            return _scratch("qr")(A, mode="r")[0][: min(np.shape(A))]
        return _scratch("qr")(A, mode="economic")
    return np.linalg.qr(A, mode="r") if mode == "r" else tuple(np.linalg.qr(A))


def cholesky(A: np.ndarray) -> np.ndarray:
    """The lower factor L with L Lᵀ = A for symmetric positive definite A. O(n³/3).

    Raises:
        numpy.linalg.LinAlgError: A is not positive definite.
    """
    return _scratch("cholesky")(A, lower=True) if backend() == "scratch" else np.linalg.cholesky(A)


def eigh(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (ascending) and orthonormal eigenvectors (columns) of a symmetric matrix. O(n³)."""
    return tuple(_lapack("eigh")(A))


def eigvalsh(A: np.ndarray) -> np.ndarray:
    """Eigenvalues of a symmetric matrix, ascending. O(n³)."""
    return _lapack("eigvalsh")(A)


def svd(A: np.ndarray, full_matrices: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular value decomposition A = U diag(s) Vt with s descending; thin factors by default. O(n d²)."""
    return tuple(_lapack("svd")(A, full_matrices=full_matrices))


def inv(A: np.ndarray) -> np.ndarray:
    """Inverse of a square matrix. Factor and solve instead wherever the inverse itself is not the answer."""
    return _scratch("solve")(A, np.eye(len(A))) if backend() == "scratch" else np.linalg.inv(A)


def pinv(A: np.ndarray, rcond: float | None = None) -> np.ndarray:
    """Moore–Penrose inverse; singular values below `rcond`·σ₁ count as zero (default ε·max(n, d))."""
    rcond = np.finfo(np.result_type(A, np.float32)).eps * max(A.shape) if rcond is None else rcond
    return _lapack("pinv")(A, rcond=rcond)


def slogdet(A: np.ndarray) -> tuple[float, float]:
    """Sign and log|det A|, which does not overflow where the determinant would."""
    sign, logarithm = _scratch("slogdet")(A) if backend() == "scratch" else np.linalg.slogdet(A)
    return sign, logarithm


def norm(x: np.ndarray, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Vector or matrix norm with NumPy's arguments."""
    if backend() == "scratch" and ord is None:
        return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))
    return _lapack("norm")(x, ord=ord, axis=axis, keepdims=keepdims)
