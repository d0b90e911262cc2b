"""Matrix factorizations: the exercises in the order of the topic's functions, then the reference, the failures."""

import importlib
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from level1_foundations import matrix_factorizations as page
from level1_foundations.failure_modes.matrix_factorizations import (
    FAILURE_MODES,
    gram_schmidt,
    loss,
    mean_logarithm,
    overflow_by_formula,
)
from level1_foundations.matrix_factorizations import IllConditionedWarning, LinAlgError
from level1_foundations.parts.matrix_factorizations.condition import inverse_norm
from level1_foundations.parts.matrix_factorizations.nasty import NASTY, backward_errors, wilkinson
from shared import linalg

RNG = np.random.default_rng(0)
A = np.array([[2.0, 1.0, 1.0], [4.0, 3.0, 3.0], [8.0, 7.0, 9.0]])
SIZES = [1, 2, 15, 16, 17, 33, 50, 100]


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def definite(n):
    B = normals(n, n)
    return B @ B.T + np.eye(n)


# In one breath


def test_plain_elimination_solves_three_equations():
    assert page.plain_elimination(A, [4.0, 10.0, 24.0]) == pytest.approx([1, 1, 1])


def test_plain_elimination_exchanges_rows():
    assert page.plain_elimination([[0.0, 1.0], [1.0, 0.0]], [2.0, 3.0]) == pytest.approx([3, 2])
    x = page.plain_elimination([[1e-20, 1.0], [1.0, 1.0]], [1.0, 2.0])
    assert x == pytest.approx([1, 1]), "the small pivot must not be divided by"
    x = page.plain_elimination([[1e-20, 1.0], [-1.0, 1.0]], [1.0, 0.0])
    assert x == pytest.approx([1, 1]), "the largest pivot may be negative"


def test_plain_elimination_leaves_its_arguments():
    B, b = A.copy(), np.ones(3)
    page.plain_elimination(B, b)
    assert (B == A).all() and (b == 1).all()


@pytest.mark.parametrize("n", [1, 5, 40])
def test_breath_and_whole_agree(n):
    B, b = normals(n, n), normals(n, seed=1)
    assert page.plain_elimination(B, b) == pytest.approx(page.solve(B, b), rel=1e-9)


# Triangles


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("unit", [False, True])
def test_substitution_undoes_a_lower_triangle(n, unit):
    L = np.tril(normals(n, n)) / n + 2 * np.eye(n)
    X = normals(n, 2, seed=1)
    B = (np.tril(L, -1) + (np.eye(n) if unit else np.diag(np.diag(L)))) @ X
    page.substitute(L, B, unit=unit)
    assert pytest.approx(X, abs=1e-9) == B


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
def test_only_the_named_triangle_is_read(lower, trans):
    full = normals(20, 20) / 20 + np.eye(20)
    T = np.tril(full) if lower else np.triu(full)
    b = normals(20, seed=1)
    x = page.solve_triangular(full, b, trans, lower)
    assert (T if trans in (0, "N") else T.T) @ x == pytest.approx(b)
    assert x.shape == (20,), "one right-hand side stays one"


def test_the_arguments_of_a_triangular_system_stay():
    T, b = np.triu(normals(20, 20)), np.ones(20)
    page.solve_triangular(T, b)
    assert (b == 1).all()


def test_a_zero_on_the_diagonal_is_told():
    with pytest.raises(LinAlgError, match="no zero on its diagonal, got one at 1"):
        page.solve_triangular(np.diag([1.0, 0.0, 2.0]), np.ones(3))
    assert page.solve_triangular(np.diag([1.0, 0.0, 2.0]), np.ones(3), unit_diagonal=True).tolist() == [
        1,
        1,
        1,
    ]


# Elimination


@pytest.mark.parametrize(
    "shape", [(n, n) for n in SIZES] + [(60, 20), (20, 60), (40, 17), (17, 40), (1, 5), (5, 1)]
)
def test_three_factors_give_the_matrix_back(shape):
    B = normals(*shape)
    P, L, U = page.lu(B)
    assert pytest.approx(B, abs=1e-12) == P @ L @ U
    k = min(shape)
    assert L.shape == (shape[0], k) and U.shape == (k, shape[1])
    assert np.all(np.triu(L[:k], 1) == 0) and np.all(np.diag(L) == 1) and np.all(np.tril(U[:, :k], -1) == 0)


def test_the_largest_entry_becomes_the_pivot():
    _, L, _ = page.lu(normals(70, 70))
    assert np.abs(L).max() <= 1


def test_eliminate_returns_the_order_of_the_rows():
    B = normals(40, 40)
    F = B.copy()
    order = page.eliminate(F)
    assert (np.tril(F, -1) + np.eye(40)) @ np.triu(F) == pytest.approx(B[order])


def test_a_singular_matrix_has_factors():
    P, L, U = page.lu(np.ones((40, 40)))
    assert pytest.approx(np.ones((40, 40))) == P @ L @ U and np.sum(np.abs(U[1:])) == 0


def test_rows_as_indices():
    B = normals(30, 30)
    place, L, U = page.lu(B, p_indices=True)
    assert L[place] @ U == pytest.approx(B)
    permuted, U = page.lu(B, True)
    assert permuted @ U == pytest.approx(B)


# Solutions


@pytest.mark.parametrize("unit", [1e-300, 1e-150, 1.0, 1e150, 1e300])
@pytest.mark.parametrize("kind", ["gen", "pos"])
def test_the_unit_of_the_equations_does_not_matter(unit, kind):
    S, x = definite(30), np.ones(30)
    assert page.solve(S * unit, S @ x, assume_a=kind) * unit == pytest.approx(x)


def test_a_singular_system_is_told():
    with pytest.raises(LinAlgError, match="a must not be singular, its pivot 1 is 0"):
        page.solve(np.ones((2, 2)), np.ones(2))


def test_an_ill_conditioned_system_is_told():
    i, j = np.indices((14, 14))
    with pytest.warns(IllConditionedWarning, match="condition number of about .*may have no right digit"):
        page.solve(1.0 / (i + j + 1), np.ones(14))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page.solve(normals(50, 50), np.ones(50))


@pytest.mark.parametrize("n", [1, 3, 40])
def test_the_estimate_of_the_inverse_is_a_lower_bound_and_near(n):
    B = normals(n, n)
    inverse = page.solve(B, np.eye(n))
    true = np.abs(inverse).sum(axis=0).max()
    estimate = inverse_norm(n, lambda x: inverse @ x, lambda x: inverse.T @ x)
    assert true / 3 <= estimate <= true * (1 + 1e-9)


def test_several_right_hand_sides_and_none():
    B = normals(20, 20)
    assert B @ page.solve(B, np.eye(20)) == pytest.approx(np.eye(20), abs=1e-11)
    assert page.solve(B, np.ones((20, 0))).shape == (20, 0)
    assert page.solve(np.zeros((0, 0)), np.zeros(0)).shape == (0,)


# Determinant


@pytest.mark.parametrize(("matrix", "sign"), [(A, 1), (A[[1, 0, 2]], -1), (A[[1, 2, 0]], 1), (np.eye(40)[::-1], 1), (np.eye(38)[::-1], -1)])  # fmt: skip
def test_each_exchange_turns_the_sign(matrix, sign):
    found = page.slogdet(matrix)
    assert found.sign == sign
    assert found.logabsdet == pytest.approx(math.log(4) if len(matrix) == 3 else 0, abs=1e-12)


def test_a_singular_matrix_has_the_logarithm_minus_infinity():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert page.slogdet(np.ones((3, 3))) == (0.0, -math.inf)


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_a_determinant_beyond_all_numbers(unit):
    assert page.slogdet(unit * A).logabsdet == pytest.approx(math.log(4) + 3 * math.log(unit))


# Cholesky


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("lower", [False, True])
def test_the_factor_times_its_transpose_is_the_matrix(n, lower):
    S = definite(n)
    C = page.cholesky(S, lower)
    assert (C @ C.T if lower else C.T @ C) == pytest.approx(S)
    assert np.all((np.triu(C, 1) if lower else np.tril(C, -1)) == 0) and np.all(np.diag(C) > 0)


@pytest.mark.parametrize("lower", [False, True])
def test_cholesky_reads_one_triangle(lower):
    S = definite(30)
    half = np.tril(S) if lower else np.triu(S)
    assert page.cholesky(half, lower) == pytest.approx(page.cholesky(S, lower))


@pytest.mark.parametrize("order", [1, 5, 17, 30, 40])
def test_the_first_minor_that_is_not_positive_is_named(order):
    S = np.eye(40)
    S[order - 1, order - 1] = -1
    with pytest.raises(LinAlgError, match=f"leading minor of order {order} is not positive"):
        page.cholesky(S)


def test_a_semidefinite_matrix_is_not_definite():
    with pytest.raises(LinAlgError, match="positive definite"):
        page.cholesky(np.zeros((3, 3)))


# Reflections


def test_a_reflection_takes_a_vector_to_the_axis():
    x = np.array([3.0, 0.0, 4.0])
    v, tau, beta = page.reflector(x)
    assert beta == -5, "the sign is opposite to that of the first entry"
    assert x - tau * v * (v @ x) == pytest.approx([beta, 0, 0], abs=1e-15) and v[0] == 1


def test_a_vector_on_the_axis_stays():
    v, tau, beta = page.reflector(np.array([-2.0, 0.0]))
    assert tau == 0 and beta == -2 and v.tolist() == [1, 0]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(0, 1000))
def test_a_panel_of_reflections_is_one_block(k, seed):
    W = normals(k, k + 5, seed=seed)
    before = W.copy()
    V, T = page.reflect(W)
    H = np.eye(k + 5) - V.T @ T @ V
    assert pytest.approx(np.eye(k + 5), abs=1e-12) == H @ H.T
    assert before @ H == pytest.approx(W, abs=1e-11), "rows are Aᵀ, so that Rᵀ = Aᵀ Q"


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 5), (60, 60), (100, 49), (49, 100), (97, 96)])
@pytest.mark.parametrize("mode", ["full", "economic"])
@pytest.mark.parametrize("pivoting", [False, True])
def test_q_times_r_is_the_matrix(shape, mode, pivoting):
    B = normals(*shape)
    Q, R, *order = page.qr(B, mode, pivoting)
    k = min(shape) if mode == "economic" else shape[0]
    assert Q.shape == (shape[0], k) and R.shape == (k, shape[1])
    assert pytest.approx(B[:, order[0]] if pivoting else B, abs=1e-12) == Q @ R
    assert pytest.approx(np.eye(k), abs=1e-13) == Q.T @ Q and np.all(np.tril(R, -1) == 0)
    if pivoting:
        diagonal = np.abs(np.diag(R))
        assert np.all(np.diff(diagonal) <= 1e-12 * diagonal[0]), "the diagonal falls"


def test_r_alone():
    B = normals(30, 7)
    (R,) = page.qr(B, "r")
    assert R.shape == (30, 7) and R[:7] == pytest.approx(page.qr(B, "economic")[1])


@pytest.mark.parametrize("name", NASTY)
def test_backward_errors_meet_lapacks_bound(name):
    for factorization, value in backward_errors(NASTY[name], vars(page)).items():
        assert value < 30, factorization


@pytest.mark.parametrize("function", [page.lu, page.qr, page.cholesky, page.slogdet])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, int, bool])
def test_types(function, dtype):
    matrix = np.eye(4).astype(dtype)
    result = function(matrix)
    first = result if isinstance(result, np.ndarray) else result[0]
    assert first.dtype == (np.float32 if dtype is np.float32 else np.float64)


def test_arguments_stay_as_they_are():
    S = definite(60)
    before = S.copy()
    for function in (page.lu, page.qr, page.cholesky, page.slogdet, lambda S: page.qr(S, pivoting=True)):
        function(S)
        assert (before == S).all()


@pytest.mark.parametrize("function", [page.lu, page.qr, page.cholesky])
def test_empty_matrices(function):
    result = function(np.zeros((0, 0)))
    assert (result if isinstance(result, np.ndarray) else result[0]).shape == (0, 0)


# Bad input


@pytest.mark.parametrize("function", [page.lu, page.qr, page.cholesky, page.slogdet])
@pytest.mark.parametrize(
    ("argument", "error", "told"),
    [
        (np.ones(3), ValueError, r"a must be a matrix of shape \(m, n\), got shape \(3,\)"),
        (np.ones((2, 3, 3)), ValueError, "Factor the matrices of a stack one by one"),
        ([[1.0, math.nan], [0.0, 1.0]], ValueError, r"a must be finite, got nan at index \(0, 1\)"),
        (np.eye(2) * 1j, TypeError, "Complex matrices are not treated"),
        ([["a", "b"], ["c", "d"]], TypeError, "a must hold real numbers"),
    ],
)
def test_bad_matrices_are_named(function, argument, error, told):
    with pytest.raises(error, match=told):
        function(argument)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: page.cholesky(np.ones((2, 3))), r"a must be square, got shape \(2, 3\)"),
        (lambda: page.solve(np.eye(2), np.ones(3)), r"b must have shape \(2,\) or \(2, k\)"),
        (lambda: page.qr(np.eye(2), "raw"), "mode must be one of"),
        (lambda: page.solve(np.eye(2), np.ones(2), assume_a="banded"), "assume_a must be one of"),
        (lambda: page.solve_triangular(np.eye(2), np.ones(2), trans=3), "trans must be one of"),
    ],
)
def test_bad_options_are_named(call, told):
    with pytest.raises(ValueError, match=told):
        call()


def test_check_finite_can_be_left_out():
    assert not np.isfinite(page.lu([[math.nan, 1.0], [1.0, 1.0]], check_finite=False)[2]).all()


# The core on this page


def test_the_core_runs_on_these_factorizations(monkeypatch):
    B, S, b = normals(30, 30), definite(30), normals(30, 2, seed=1)
    calls = {
        "solve": lambda: linalg.solve(B, b),
        "inv": lambda: linalg.inv(B),
        "cholesky": lambda: linalg.cholesky(S),
        "qr": lambda: np.concatenate(linalg.qr(B[:, :9])),
        "r": lambda: linalg.qr(B[:, :9], mode="r"),
        "triangle": lambda: linalg.solve_triangular(B, b, lower=True, trans=True),
        "slogdet": lambda: np.array(linalg.slogdet(B)),
        "norm": lambda: np.array(linalg.norm(B)),
    }
    expected = {name: call() for name, call in calls.items()}
    monkeypatch.setenv("GROUNDUP_LINALG", "scratch")
    monkeypatch.setattr(np.linalg, "solve", None)  # whoever asks LAPACK now, fails
    monkeypatch.setattr(np.linalg, "qr", None)
    monkeypatch.setattr(np.linalg, "cholesky", None)
    for name, call in calls.items():
        assert call() == pytest.approx(expected[name], rel=1e-8, abs=1e-9), name


def test_level_2_agrees_on_these_factorizations(monkeypatch):
    """Ordinary least squares by QR; what needs eigenvalues waits for their topic."""
    regression = importlib.import_module("level2_classical.linear_regression")
    X, y = normals(80, 4), normals(80, seed=1)
    expected = regression.LinearRegression(solver="qr").fit(X, y)
    monkeypatch.setenv("GROUNDUP_LINALG", "scratch")
    found = regression.LinearRegression(solver="qr").fit(X, y)
    assert found.coef_ == pytest.approx(expected.coef_, rel=1e-10)


# The reference and the failures


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy


def test_growth_needs_the_order_of_the_columns():
    """The other side of the bound 2ⁿ⁻¹: with the columns turned round it grows to 4, at any n."""
    n = 48
    assert np.abs(page.lu(wilkinson(n))[2]).max() == 2.0 ** (n - 1)
    assert np.abs(page.lu(wilkinson(n)[:, ::-1])[2]).max() <= 4


def test_classical_gram_schmidt_twice_is_enough():
    rng = np.random.default_rng(3)
    B = (
        page.qr(rng.standard_normal((100, 20)), "economic")[0]
        * np.geomspace(1, 1e-6, 20)
        @ page.qr(rng.standard_normal((20, 20)))[0]
    )
    once = gram_schmidt(B, modified=False)
    assert loss(gram_schmidt(once, modified=False)) < 1e-14 < 1e-6 < loss(once)


def test_the_mean_logarithm_of_a_determinant():
    assert mean_logarithm(1) == pytest.approx(0.5 * (-0.5772156649 - math.log(2))), (
        "of one normal: ½(ψ(½) + ln 2)"
    )
    with pytest.raises(ValueError, match="between start and stop"):
        overflow_by_formula(start=100, stop=200)
