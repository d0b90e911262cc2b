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
# # Matrix factorizations
#
# ## 1. Select
#
# **Question.** How does a machine solve a system of equations, and which of the ways to do it keep the digits?
#
# **In one line.** Write the matrix as a product of triangular and orthogonal ones, because systems with those are solved by substitution or by transposing; exchange rows, or
# reflect, so that no intermediate number grows.
#
# **Builds on** [floating-point arithmetic](floating_point.py). **Mirrors** `scipy.linalg.lu`, `cholesky`, `qr`, `solve`, `solve_triangular`, and `numpy.linalg.slogdet`.
#
# **Sources.** Wilkinson (1961) and Higham (2002), errors; Golub and Van Loan (2013), algorithms; Toledo (1997), elimination by halves; Schreiber and Van Loan (1989) and
# Elmroth and Gustavson (2000), blocks of reflections.

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | in the code | shape |
# |---|---|---|---|
# | $A$ | the matrix; $a_{ij}$, an entry | `a`, `A` | (m, n) |
# | $P$ | exchanges of rows | `order` | (m, m) |
# | $L,U$ | lower triangle with ones on its diagonal, upper triangle | `L`, `U` | (m, k), (k, n), $k=\min(m,n)$ |
# | $C$ | lower Cholesky factor, $A=CC^\top$ | `C` | (n, n) |
# | $Q,R$ | orthonormal columns, upper triangle | `Q`, `R` | (m, k), (k, n) |
# | $v,\tau$ | reflection $I-\tau vv^\top$ | `v`, `tau` | (m,), () |
# | $V,T$ | $k$ reflections as one, $I-V^\top TV$ | `V`, `T` | (k, m), (k, k) |
# | $x,b$ | solution and right-hand side of $Ax=b$ | `x`, `b` | (n,) or (n, r) |
# | $\kappa$ | condition number $\lVert A\rVert\lVert A^{-1}\rVert$ | – | () |
# | $u$ | largest relative error of a rounding | – | () |
# | $g$ | growth: largest entry of the elimination over the largest of $A$ | – | () |
#
# **Triangles.** $Lx=b$ is solved from the top, $x_i=(b_i-\sum_{j<i}l_{ij}x_j)/l_{ii}$: $n^2$ operations. By halves,
#
# $$\begin{bmatrix}L_1&0\\M&L_2\end{bmatrix}\begin{bmatrix}x_1\\x_2\end{bmatrix}=\begin{bmatrix}b_1\\b_2\end{bmatrix}\quad\Rightarrow\quad L_1x_1=b_1,\quad L_2x_2=b_2-Mx_1,\tag{1}$$
#
# where nearly all of the work is the product with $M$. Cutting each factorization like this turns it into products of matrices, which run at the machine's full speed.
#
# **Elimination.** For two unknowns: take $l=a_{21}/a_{11}$ times the first row from the second; what is left of $a_{22}$ is $a_{22}-l\,a_{12}$. In general, with the columns in two halves $[A_1\ A_2]$ and the left one factored,
# $PA_1=\begin{bmatrix}L_1\\M\end{bmatrix}U_1$,
#
# $$U_{12}=L_1^{-1}(PA_2)_{\text{top}},\qquad S=(PA_2)_{\text{bottom}}-MU_{12},\tag{2}$$
#
# and the *Schur complement* $S$ is factored in the same way. The multipliers are bounded by 1 if each pivot is the largest entry of its column (*partial pivoting*). The computed factors belong exactly to a matrix
# $A+E$ with $|E|\le n u\,|L||U|$ to first order, hence $\lVert E\rVert\lesssim n^2u\,g\,\lVert A\rVert$: backward stable as long as the growth $g$ is small. A pivot $\eta$ makes multipliers of $1/\eta$ and $g\approx1/\eta$; with exchanges
# $g\le2^{n-1}$, which some matrices reach, though hardly any that occur.
#
# **Cholesky.** If $x^\top Ax>0$ for all $x\ne0$, every Schur complement has the same property, so that no exchanges are needed, and the two factors are one: from $A=CC^\top$, $C_{11}=\operatorname{chol}(A_{11})$, $C_{21}=A_{21}C_{11}^{-\top}$, then the
# complement $A_{22}-C_{21}C_{21}^\top$. Row $i$ of $C$ has $\sum_jc_{ij}^2=a_{ii}$: nothing can grow.
#
# **Reflections.** The reflection that swaps $a$ and $\beta e_1$, $|\beta|=\lVert a\rVert$, is $I-\tau vv^\top$ with $v\propto a-\beta e_1$. With $v_1=1$:
#
# $$\beta=-\operatorname{sign}(a_1)\lVert a\rVert,\qquad v=\frac{a-\beta e_1}{a_1-\beta},\qquad\tau=\frac{\beta-a_1}\beta.\tag{3}$$
#
# The sign makes $a_1-\beta$ a sum of two numbers of one sign, so that nothing cancels. Applied to one column after the other, reflections bring $A$ to triangular form; being orthogonal they keep lengths, so
# $g$ is about 1 and $A+E=QR$ with $\lVert E\rVert\lesssim nu\lVert A\rVert$, and $Q$, a product of reflections, is orthogonal to $nu$ whatever $\kappa$. Two blocks of reflections are one,
#
# $$(I-V_1^\top T_1V_1)(I-V_2^\top T_2V_2)=I-V^\top TV,\quad V=\begin{bmatrix}V_1\\V_2\end{bmatrix},\quad T=\begin{bmatrix}T_1&-T_1V_1V_2^\top T_2\\0&T_2\end{bmatrix},\tag{4}$$
#
# as multiplying out shows. So a panel is factored by halves, and applied to the rest by three products of matrices.
#
# **Solutions.** $A+E$ in the place of $A$ moves $x$ by $\lVert\delta x\rVert/\lVert x\rVert\lesssim\kappa\,\lVert E\rVert/\lVert A\rVert$. A stable method loses the digits that $\kappa$ says, and an unstable one those of $g$ besides.
#
# **What it assumes.** Real dense matrices; for Cholesky, positive definite ones. What happens otherwise is in `failure_modes/matrix_factorizations.py`.
#
# **Cost** for $n\times n$: LU $\tfrac23n^3$, Cholesky $\tfrac13n^3$, QR $\tfrac43n^3$ and as much again for $Q$; a solution $2n^2$ more. Memory $n^2$.

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from level1_foundations.parts.matrix_factorizations.agreements import compare_branches
from level1_foundations.parts.matrix_factorizations.column_exchanges import joined, pivoted_reflections
from level1_foundations.parts.matrix_factorizations.condition import (
    IllConditionedWarning,
    warn_if_ill_conditioned,
)
from level1_foundations.parts.matrix_factorizations.matrices import (
    SlogdetResult,
    as_matrix,
    as_right_side,
    cycles,
    scaled,
    to_middle,
)
from level1_foundations.parts.matrix_factorizations.single_steps import (
    bare_step,
    pivoted_step,
    reflected_step,
)
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import LinAlgError, validate_choice

__all__ = [
    "BREATH", "IllConditionedWarning", "LinAlgError", "SlogdetResult", "cholesky", "lu", "plain_elimination", "qr", "slogdet", "solve",
    "solve_triangular",
]  # fmt: skip

BREATH = "plain_elimination"

# %% [markdown]
# ### In one breath
# Elimination with row exchanges, then substitution.


# %%
def plain_elimination(A, b):  # practice: core
    """Solve A x = b for square A (n, n) and b (n,): subtract multiples of rows, then substitute from the last one."""
    U, x = np.array(A, float), np.array(b, float)
    n = len(x)
    for k in range(n):
        p = k + np.argmax(abs(U[k:, k]))  # the largest entry left in the column
        U[[k, p]], x[[k, p]] = U[[p, k]], x[[p, k]]
        for i in range(k + 1, n):
            multiplier = U[i, k] / U[k, k]
            U[i] -= multiplier * U[k]
            x[i] -= multiplier * x[k]
    for k in reversed(range(n)):
        x[k] = (x[k] - U[k, k + 1 :] @ x[k + 1 :]) / U[k, k]
    return x


# %% [markdown]
# **What is wrong with it.** It forgets the multipliers, so that a second right-hand side costs as much as the first; it moves $n^2/2$ rows one by one; and it has no word for a matrix that is singular, or nearly.
# The rest of the page keeps the factors, cuts the matrix in halves, and estimates $\kappa$.
#
# ### Triangular systems
# (1), down to 16 rows, which are substituted one by one.


# %%
SMALL = 16


def substitute(L: np.ndarray, B: np.ndarray, *, unit: bool) -> None:  # practice: core
    """Turn B (n, r) into L⁻¹B in place, for a lower triangle L; with `unit`, ones stand on its diagonal, whatever is there. O(n² r)."""
    n = len(L)
    if n > SMALL:
        half = n // 2
        substitute(L[:half, :half], B[:half], unit=unit)
        B[half:] -= L[half:, :half] @ B[:half]
        substitute(L[half:, half:], B[half:], unit=unit)
        return
    for i in range(n):
        if i:
            B[i] -= L[i, :i] @ B[:i]
        if not unit:
            B[i] /= L[i, i]


def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    *,
    check_finite: bool = True,
) -> np.ndarray:
    """Solve a x = b, or aᵀ x = b, for a triangular matrix, as `scipy.linalg.solve_triangular`.

    Args:
        a: (n, n); only the triangle that `lower` names is read. b: (n,) or (n, r). trans: 0 or "N" for a, 1, "T", 2 or "C" for its transpose.
        unit_diagonal: ones are taken for the diagonal, whatever is there. check_finite: refuse NaN and infinity.

    Raises:
        LinAlgError: a zero on the diagonal. ValueError: shapes that do not fit, entries that are not finite. TypeError: not real. O(n² r).
    """
    A = as_matrix(a, check_finite=check_finite, square=True)
    B = as_right_side(b, len(A), check_finite=check_finite)
    trans = validate_choice(trans, "trans", (0, 1, 2, "N", "T", "C"))
    if not unit_diagonal and np.any(np.diag(A) == 0):
        raise LinAlgError(
            f"a must have no zero on its diagonal, got one at {int(np.argmin(np.abs(np.diag(A))))}."
        )
    x = np.array(B if B.ndim == 2 else B[:, None], dtype=np.result_type(A, B))
    if trans in (1, 2, "T", "C"):
        A, lower = A.T, not lower
    if lower:
        substitute(A, x, unit=unit_diagonal)
    else:  # turned by half a turn, an upper triangle is a lower one
        substitute(A[::-1, ::-1], x[::-1], unit=unit_diagonal)
    return x.reshape(B.shape)


# %% [markdown]
# ### Elimination
# (2), on columns by halves. What a row is exchanged with is told by its place in `order`.


# %%
def eliminate(A: np.ndarray) -> np.ndarray:  # practice: core
    """Turn A (m, n) into its factors in place: U on and above the diagonal, the multipliers below; returns the order (m,) of its rows.

    A pivot of 0 is left where it is: the column below it is 0. O(mn²).
    """
    m, n = A.shape
    if n <= SMALL or m <= SMALL:
        return eliminate_columns(A)
    half = min(n // 2, m)
    left, right = A[:, :half], A[:, half:]
    order = eliminate(left)
    right[:] = right[order]
    substitute(left[:half], right[:half], unit=True)  # U₁₂
    right[half:] -= left[half:] @ right[:half]  # S
    if half < m:
        below = eliminate(right[half:])
        left[half:] = left[half:][below]
        order[half:] = order[half:][below]
    return order


def eliminate_columns(A: np.ndarray) -> np.ndarray:
    """The same, one column after the other; each column and each row is brought up to date when its turn comes."""
    m, n = A.shape
    order = np.arange(m)
    for k in range(min(m, n)):
        A[k:, k] -= A[k:, :k] @ A[:k, k]
        p = k + int(np.abs(A[k:, k]).argmax())
        if p != k:
            A[[k, p]], order[[k, p]] = A[[p, k]], order[[p, k]]
        A[k, k + 1 :] -= A[k, :k] @ A[:k, k + 1 :]
        if A[k, k] != 0:
            A[k + 1 :, k] /= A[k, k]
    return order


def factored(a: Any, check_finite: bool, *, square: bool = False) -> tuple[np.ndarray, np.ndarray, int]:
    """Factors in one array, order of the rows, and the e of A = 2ᵉ × what was factored."""
    A, exponent = to_middle(as_matrix(a, check_finite=check_finite, square=square))
    return A, eliminate(A), exponent


def lu(
    a: Any, permute_l: bool = False, *, p_indices: bool = False, check_finite: bool = True
) -> tuple[np.ndarray, ...]:
    """Factors of A = P L U by elimination with partial pivoting, as `scipy.linalg.lu`.

    Args:
        a: (m, n). permute_l: return (P L, U). p_indices: P as indices, so that A = L[P] U. check_finite: refuse NaN and infinity.

    Returns:
        P (m, m), or (m,) with `p_indices`; L (m, k) with ones on its diagonal; U (k, n); k = min(m, n).

    Raises:
        ValueError: not a matrix, entries that are not finite. TypeError: entries that are not real. O(mnk).
    """
    A, order, exponent = factored(a, check_finite)
    m, n = A.shape
    k = min(m, n)
    L = np.tril(A[:, :k], -1) + np.eye(m, k, dtype=A.dtype)
    U = scaled(np.triu(A[:k]), exponent)
    place = np.argsort(order)
    if permute_l:
        return L[place], U
    return (place, L, U) if p_indices else (np.eye(m, dtype=A.dtype)[place], L, U)


# %% [markdown]
# ### Solutions
# After elimination, $x=U^{-1}L^{-1}Pb$. A pivot of 0 is a singular matrix; one that is nearly so is told by the estimate of $\kappa$ ([how](parts/matrix_factorizations/condition.py)), for $2n^2$ operations a solution of it.


# %%
def solve(a: Any, b: Any, *, assume_a: str = "gen", check_finite: bool = True) -> np.ndarray:
    """Solve a x = b, as `scipy.linalg.solve`.

    Args:
        a: (n, n). b: (n,) or (n, r). assume_a: "gen"; "pos" for symmetric positive definite, of which the upper triangle is read; "lower triangular" or
            "upper triangular". check_finite: refuse NaN and infinity.

    Returns:
        x, as b. An IllConditionedWarning tells where 1/κ is below the rounding.

    Raises:
        LinAlgError: a is singular, or not positive definite where that was promised. ValueError, TypeError: as `lu`; an unknown assume_a. O(n³).
    """
    assume_a = validate_choice(assume_a, "assume_a", ("gen", "pos", "lower triangular", "upper triangular"))
    A = as_matrix(a, check_finite=check_finite, square=True)
    B = as_right_side(b, len(A), check_finite=check_finite)
    if "triangular" in assume_a:
        return solve_triangular(A, B, lower=assume_a == "lower triangular", check_finite=False)
    right = np.array(B if B.ndim == 2 else B[:, None], dtype=np.result_type(A, B))
    if assume_a == "pos":
        upper, exponent = cholesky_factor(A)

        def apply(B: np.ndarray, transposed: bool = False) -> np.ndarray:
            substitute(upper.T, B, unit=False)
            substitute(upper[::-1, ::-1], B[::-1], unit=False)
            return B
    else:
        F, order, exponent = factored(A, False)
        if np.any(np.diag(F) == 0):
            raise LinAlgError(f"a must not be singular, its pivot {int(np.argmin(np.abs(np.diag(F))))} is 0.")

        def apply(B: np.ndarray, transposed: bool = False) -> np.ndarray:
            if transposed:
                substitute(F.T, B, unit=False)
                substitute(F.T[::-1, ::-1], B[::-1], unit=True)
                return B[np.argsort(order)]
            B = B[order]
            substitute(F, B, unit=True)
            substitute(F[::-1, ::-1], B[::-1], unit=False)
            return B

    warn_if_ill_conditioned(scaled(A, -exponent), apply)
    return scaled(apply(right), -exponent).reshape(B.shape)


# %% [markdown]
# ### Determinant
# $\det A=\pm\prod u_{ii}$, by the sum of logarithms, because the product overflows long before the matrix is large.


# %%
def slogdet(a: Any) -> SlogdetResult:  # practice: core
    """Sign (−1, 0 or 1) and ln|det a|, −inf where it is 0, as `numpy.linalg.slogdet`. Of the empty matrix: 1 and 0. O(n³).

    Raises:
        ValueError: not square, entries that are not finite. TypeError: entries that are not real.
    """
    F, order, exponent = factored(a, True, square=True)
    diagonal = np.diag(F)
    swaps = len(order) - cycles(order)
    sign = np.prod(np.sign(diagonal)) * (-1) ** swaps
    with np.errstate(divide="ignore"):
        logarithm = np.sum(np.log(np.abs(diagonal))) + len(F) * exponent * math.log(2)
    return SlogdetResult(F.dtype.type(sign), F.dtype.type(logarithm))


# %% [markdown]
# ### Cholesky
# By halves: factor, substitute, take off.


# %%
def decompose(A: np.ndarray, first: int = 0) -> None:  # practice: core
    """Turn the upper triangle of a symmetric A (n, n) into Cᵀ in place; what stands below is not used. O(n³)."""
    n = len(A)
    if n <= SMALL:
        for k in range(n):
            A[k, k:] -= A[:k, k] @ A[:k, k:]
            if not A[k, k] > 0:
                raise LinAlgError(
                    f"a must be positive definite, but its leading minor of order {first + k + 1} is not positive: check its symmetry, or add to the diagonal."
                )
            A[k, k:] /= math.sqrt(A[k, k])
        return
    half = n // 2
    top, right, rest = A[:half, :half], A[:half, half:], A[half:, half:]
    decompose(top, first)
    substitute(top.T, right, unit=False)  # C₂₁ᵀ = C₁₁⁻¹ A₁₂
    rest -= right.T @ right
    decompose(rest, first + half)


def cholesky_factor(A: np.ndarray) -> tuple[np.ndarray, int]:
    """Cᵀ from the upper triangle of A, and the even e of A = 2ᵉ C Cᵀ."""
    upper, exponent = to_middle(A, even=True)
    decompose(upper)
    return np.triu(upper), exponent


def cholesky(a: Any, lower: bool = False, *, check_finite: bool = True) -> np.ndarray:
    """The factor C with a = C Cᵀ (`lower`), or Cᵀ, of a symmetric positive definite matrix, as `scipy.linalg.cholesky`.

    Args:
        a: (n, n); only the triangle that `lower` names is read. check_finite: refuse NaN and infinity.

    Raises:
        LinAlgError: a is not positive definite. ValueError, TypeError: as `lu`, or not square. O(n³/3).
    """
    A = as_matrix(a, check_finite=check_finite, square=True)
    upper, exponent = cholesky_factor(A.T if lower else A)
    upper = scaled(upper, exponent // 2)
    return upper.T.copy() if lower else upper


# %% [markdown]
# ### Reflections
# The columns of $A$ are the rows of $W=A^\top$, because rows lie contiguously in memory. (3), safe from overflow, since `to_middle` came first.


# %%
def reflector(x: np.ndarray) -> tuple[np.ndarray, float, float]:  # practice: core
    """v (with v₁ = 1), τ and β with (I − τvvᵀ)x = βe₁, by (3); τ = 0 where only x₁ is not 0."""
    rest = x[1:]
    size = float(rest @ rest)
    if size == 0:
        v = np.zeros_like(x)
        v[0] = 1
        return v, 0.0, float(x[0])
    first = float(x[0])
    beta = -math.copysign(math.sqrt(first * first + size), first)
    v = x / (first - beta)
    v[0] = 1
    return v, (beta - first) / beta, beta


def reflect(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # practice: core
    """Reflections of a panel: W (k, m), k ≤ m, becomes Rᵀ in place; returns V (k, m) and T (k, k), by halves and (4). O(mk²)."""
    k, m = W.shape
    if k == 1:
        v, tau, W[0, 0] = reflector(W[0])
        W[0, 1:] = 0
        return v[None], np.array([[tau]], W.dtype)
    half = k // 2
    V1, T1 = reflect(W[:half])
    rest = W[half:]
    rest -= ((rest @ V1.T) @ T1) @ V1
    V2, T2 = reflect(rest[:, half:])
    V = np.zeros((k, m), W.dtype)
    V[:half], V[half:, half:] = V1, V2
    T = np.zeros((k, k), W.dtype)
    T[:half, :half], T[half:, half:] = T1, T2
    T[:half, half:] = -T1 @ (V1[:, half:] @ V2.T) @ T2
    return V, T


# %% [markdown]
# Where columns are exchanged, the [part on them](parts/matrix_factorizations/column_exchanges.py) returns $V$ and the $\tau$ one by one; their $T$ follows from (4) with a last block of one row.


# %%
PANEL = 48
Block = tuple[int, np.ndarray, np.ndarray]  # where the panel begins, V (k, m − start), T (k, k)


def reflected(W: np.ndarray, pivoting: bool) -> tuple[list[Block], np.ndarray]:
    """Turn W = Aᵀ (n, m) into Rᵀ in place; returns the reflections in blocks, and the order of A's columns."""
    n, m = W.shape
    blocks: list[Block] = []
    steps = min(m, n)
    if pivoting:
        V, taus, order = pivoted_reflections(W, reflector, PANEL)
        for start in range(0, steps, PANEL):
            stop = min(start + PANEL, steps)
            part = V[start:stop, start:]
            blocks.append((start, part, joined(part, taus[start:stop])))
        return blocks, order
    for start in range(0, steps, PANEL):
        stop = min(start + PANEL, steps)
        V, T = reflect(W[start:stop, start:])
        rest = W[stop:, start:]
        rest -= ((rest @ V.T) @ T) @ V
        blocks.append((start, V, T))
    return blocks, np.arange(n)


def orthogonal(blocks: list[Block], columns: int, m: int, dtype: Any) -> np.ndarray:
    """The first columns of Q = H₁H₂…, (m, columns), from the last block to the first, each on what the later ones have touched."""
    rows = np.eye(columns, m, dtype=dtype)  # Qᵀ
    for start, V, T in reversed(blocks):
        part = rows[start:, start:]
        part -= ((part @ V.T) @ T.T) @ V
    return rows.T


def qr(a: Any, mode: str = "full", pivoting: bool = False, *, check_finite: bool = True) -> Any:
    """Q with orthonormal columns and R upper triangular with A = Q R, or A[:, P] = Q R, as `scipy.linalg.qr`.

    Args:
        a: (m, n). mode: "full" for Q (m, m) and R (m, n), "economic" for (m, k) and (k, n), k = min(m, n), "r" for R (m, n) alone.
        pivoting: exchange columns, so that the diagonal of R falls in absolute value. check_finite: refuse NaN and infinity.

    Returns:
        (Q, R), or (R,) with mode "r"; the order P (n,) of the columns at the end with `pivoting`.

    Raises:
        ValueError: not a matrix, entries that are not finite, an unknown mode. TypeError: entries that are not real. O(mnk).
    """
    mode = validate_choice(mode, "mode", ("full", "economic", "r"))
    A, exponent = to_middle(as_matrix(a, check_finite=check_finite))
    m, n = A.shape
    W = A.T.copy()
    blocks, order = reflected(W, pivoting)
    k = min(m, n) if mode == "economic" else m
    R = scaled(np.triu(W.T[:k]), exponent)
    result = (R,) if mode == "r" else (orthogonal(blocks, k, m, A.dtype), R)
    return (*result, order) if pivoting else result


# %% [markdown]
# ## 4. Validate
#
# | | ours | SciPy | why |
# |---|---|---|---|
# | complex matrices, stacks of matrices | refused, with a way round | treated | the page keeps to one real matrix |
# | `assume_a` of `solve` | four kinds | eleven | banded and symmetric indefinite solvers are not derived here |
# | ill-conditioned systems | `IllConditionedWarning` | `LinAlgWarning` | no import of SciPy |
# | entries near the ends of the range | scaled by a power of two, for all | for some drivers | nothing is rounded by it |


# %%
def validate() -> list[Agreement]:
    """Each factorization beside SciPy's on a random matrix; then every branch, and the nasty matrices."""
    import scipy.linalg

    A = np.random.default_rng(0).standard_normal((60, 60))
    S = A @ A.T + np.eye(60)
    comparison = Comparison(reference="scipy.linalg.lu", dataset="a 60 × 60 matrix of normals")
    reason = "both are backward stable: κ u of the factors, κ about 300"
    for name, ours, theirs in (
        ("P, L, U", lambda: lu(A), lambda: scipy.linalg.lu(A)),
        ("Q, R", lambda: qr(A), lambda: scipy.linalg.qr(A)),
        ("Cholesky factor", lambda: (cholesky(S),), lambda: (scipy.linalg.cholesky(S),)),
    ):
        got, expected = comparison.run(ours, theirs)
        for letter, one, other in zip(name.split(", "), got, expected, strict=True):
            comparison.compare(letter, one, other, tolerance=1e-11, reason=reason)
    compare_branches(comparison, {"lu": lu, "cholesky": cholesky, "qr": qr, "solve": solve, "solve_triangular": solve_triangular, "slogdet": slogdet})  # fmt: skip
    return comparison.agreements


def benchmarks() -> list[Benchmark]:
    """The four factorizations up to n = 1,000 beside LAPACK; elimination in one breath beside the solution."""
    import scipy.linalg

    def of(ours: Any, theirs: Any, breath: Any = None, definite: bool = False) -> Any:
        def sides(n: int) -> tuple[Any, ...]:
            A = np.random.default_rng(0).standard_normal((n, n))
            A = A @ A.T + n * np.eye(n) if definite else A
            return lambda: ours(A), lambda: theirs(A), (lambda: breath(A)) if breath and n <= 300 else None

        return sides

    sizes = (100, 300, 1000)
    solutions = of(
        lambda A: solve(A, A[0]), lambda A: scipy.linalg.solve(A, A[0]), lambda A: plain_elimination(A, A[0])
    )
    return [
        Benchmark("LU", sizes, of(lu, scipy.linalg.lu), 3.0, "scipy lu", unit="rows"),
        Benchmark(
            "Cholesky",
            sizes,
            of(cholesky, scipy.linalg.cholesky, definite=True),
            3.0,
            "scipy cholesky",
            unit="rows",
        ),
        Benchmark("QR, with Q", sizes, of(qr, scipy.linalg.qr), 3.0, "scipy qr", unit="rows"),
        Benchmark("solution", sizes, solutions, 3.0, "scipy solve", unit="rows"),
    ]


# %% [markdown]
# ## 5. Document
#
# **Use it** LU for a system of equations, Cholesky where the matrix is a covariance or a Hessian, QR for least squares. Keep the factors: a second right-hand side then costs $n^2$. **Do not use it** to invert:
# $A^{-1}b$ by way of $A^{-1}$ costs three times as much, and loses digits. For eigenvalues, or for a rank in doubt, take `eigenvalues_and_singular_values`; for large sparse systems an iterative method.
#
# **In plain words.** A system of a thousand equations is solved by taking multiples of one equation from the others until the last one has a single unknown. Which equation comes first matters: the wrong order blows up
# intermediate numbers until the answer drowns in their rounding. A good order costs next to nothing, and mirror images in the place of multiples never blow anything up. When an answer looks wrong, ask two things: how strongly does the
# answer depend on the data at all, and did the method lose more than that?
#
# **How it breaks**: `groundup break matrix_factorizations`, and `failure_modes/matrix_factorizations.py`.
#
# **The pictures.** The mechanism: what is left of a matrix after each step of elimination, with and without exchanges, and of reflections. The result: a polynomial of growing degree through the carbon dioxide record, solved in two ways.


# %%
def mechanism() -> Any:
    """What is left of a 12 × 12 matrix after 0, 4 and 8 steps, by the size of its entries: elimination with a small pivot fills it with huge numbers, with exchanges it stays small, and reflections keep every column's length."""
    from shared.figures import subplots

    steps = {
        "no exchanges": bare_step,
        "exchanges": pivoted_step,
        "reflections": partial(reflected_step, reflector),
    }
    figure, axes = subplots(3, 3, width=8.0, height=7.4)
    for row, (name, step) in zip(axes, steps.items(), strict=True):
        W = np.random.default_rng(3).standard_normal((12, 12))
        W[0, 0] = 1e-8
        for k in range(9):
            if k % 4 == 0:
                with np.errstate(divide="ignore"):
                    picture = row[k // 4].imshow(np.log10(np.abs(W)), vmin=-3, vmax=9, cmap="viridis")
                row[k // 4].set(title=f"{name}, {k} steps", xticks=[], yticks=[])
                row[k // 4].grid(False)
            step(W, k)
    figure.colorbar(picture, ax=axes, shrink=0.6, label="log₁₀ of the size")
    return figure


def example() -> Any:
    """Largest error of a polynomial through the carbon dioxide record over its degree, in powers of the year: the normal equations by Cholesky break down where κ² exceeds the digits, QR goes on."""
    from shared.datasets import load_co2
    from shared.figures import COLORS, subplots

    data = load_co2()
    t = (data.X[:, 0] - data.X[:, 0].min()) / np.ptp(data.X[:, 0])
    figure, axes = subplots(width=8.0, height=4.2)
    errors: dict[str, list[float]] = {"QR": [], "Cholesky of the normal equations": []}
    for degree in range(1, 25):
        powers = np.arange(degree + 1)
        A, well = t[:, None] ** powers, np.cos(powers * np.arccos(2 * t - 1)[:, None])
        by_qr, by_cholesky, best = fitted(A, data.y), normal_fit(A, data.y), fitted(well, data.y)
        errors["QR"].append(float(np.abs(by_qr - best).max()))
        errors["Cholesky of the normal equations"].append(float(np.abs(by_cholesky - best).max()))
    for (label, values), color in zip(errors.items(), (COLORS["mended"], COLORS["broken"]), strict=True):
        axes.semilogy(range(1, 25), values, ".-", color=color, label=label)
    axes.set(
        title="A polynomial through 44 years of carbon dioxide",
        xlabel="degree",
        ylabel="largest error in parts per million",
    )
    axes.legend(loc="upper left")
    return figure


def fitted(A: np.ndarray, y: np.ndarray) -> np.ndarray:  # practice: keep
    """The least-squares fit by reflections, (m,)."""
    Q, R = qr(A, mode="economic")
    return A @ solve_triangular(R, Q.T @ y)


def normal_fit(A: np.ndarray, y: np.ndarray) -> np.ndarray:  # practice: keep
    """The fit from AᵀA, (m,); NaN where it is not positive definite in this arithmetic."""
    try:
        upper = cholesky(A.T @ A)
    except LinAlgError:
        return np.full(len(y), math.nan)
    return A @ solve_triangular(upper, solve_triangular(upper, A.T @ y, trans=1))


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
