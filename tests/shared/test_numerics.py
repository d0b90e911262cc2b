"""Stable functions against SciPy, where the naive form fails."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from shared import linalg, metrics, numerics

GRID = np.array([-1e4, -800.0, -40.0, -1.0, -1e-12, 0.0, 1e-12, 1.0, 40.0, 800.0, 1e4])


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_logsumexp(axis):
    a = GRID[:, None] + np.arange(3.0)
    np.testing.assert_allclose(
        numerics.logsumexp(a, axis=axis), scipy.special.logsumexp(a, axis=axis), rtol=1e-14
    )
    kept = numerics.logsumexp(a, axis=axis, keepdims=True)
    assert kept.shape == scipy.special.logsumexp(a, axis=axis, keepdims=True).shape


def test_logsumexp_of_infinities():
    assert numerics.logsumexp(np.array([-np.inf, -np.inf])) == -np.inf
    assert numerics.logsumexp(np.array([np.inf, 0.0])) == np.inf


def test_softmax_sums_to_one_without_overflow():
    a = GRID[None] + np.arange(4.0)[:, None]
    np.testing.assert_allclose(numerics.softmax(a, axis=1), scipy.special.softmax(a, axis=1), rtol=1e-13)


def test_sigmoid_keeps_tiny_probabilities():
    np.testing.assert_allclose(numerics.sigmoid(GRID), scipy.special.expit(GRID), rtol=1e-15)
    assert numerics.sigmoid(np.float64(-700.0)) == pytest.approx(np.exp(-700.0), rel=1e-12)


def test_softplus_neither_overflows_nor_vanishes():
    np.testing.assert_allclose(numerics.softplus(GRID), np.logaddexp(0, GRID), rtol=1e-15)


def test_log1mexp_on_both_sides_of_its_switch():
    import mpmath

    for x in (-1e-15, -1e-3, -0.6, -0.7, -5.0, -50.0, -700.0):
        with mpmath.workdps(50):
            exact = float(mpmath.log(1 - mpmath.exp(mpmath.mpf(x))))
        assert float(numerics.log1mexp(np.float64(x))) == pytest.approx(exact, rel=1e-14)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 1e3, 1e6]))
def test_squared_distances_far_from_the_origin(seed, shift):
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((7, 3)) + shift, rng.standard_normal((4, 3)) + shift
    np.testing.assert_allclose(
        numerics.squared_distances(X, Y), cdist(X, Y, "sqeuclidean"), atol=1e-12 * max(1, shift) ** 0.5
    )


def test_a_points_distance_to_itself_is_never_negative():
    X = np.random.default_rng(0).standard_normal((50, 8)) * 1e4
    assert numerics.squared_distances(X, X).min() >= 0


@pytest.mark.parametrize("n", [1, 5, 64, 150])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [False, True])
def test_solve_triangular_reads_one_triangle(n, lower, trans):
    rng = np.random.default_rng(n)
    A = rng.standard_normal((n, n)) / n + np.eye(n) * 3
    b = rng.standard_normal((n, 2))
    expected = scipy.linalg.solve_triangular(A, b, lower=lower, trans=int(trans))
    np.testing.assert_allclose(
        linalg.solve_triangular(A, b, lower=lower, trans=trans), expected, rtol=1e-9, atol=1e-12
    )


def test_linear_algebra_is_numpys():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((5, 3))
    S = A.T @ A + np.eye(3)
    np.testing.assert_allclose(linalg.cholesky(S) @ linalg.cholesky(S).T, S)
    Q, R = linalg.qr(A)
    np.testing.assert_allclose(Q @ R, A, atol=1e-12)
    values, vectors = linalg.eigh(S)
    np.testing.assert_allclose(S @ vectors, vectors * values, atol=1e-12)
    np.testing.assert_allclose(linalg.eigvalsh(S), values)
    U, s, Vt = linalg.svd(A)
    np.testing.assert_allclose((U * s) @ Vt, A, atol=1e-12)
    np.testing.assert_allclose(linalg.pinv(A) @ A, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(linalg.inv(S) @ S, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(linalg.solve(S, S[:, 0]), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(linalg.lstsq(A, A[:, 0])[0], [1, 0, 0], atol=1e-12)
    sign, logarithm = linalg.slogdet(S)
    assert sign * np.exp(logarithm) == pytest.approx(np.prod(values))
    assert linalg.norm(s) == pytest.approx(np.sqrt(np.sum(A**2)))


def test_the_scratch_switch_says_what_does_not_stand_yet(monkeypatch):
    monkeypatch.setenv("GROUNDUP_LINALG", "scratch")
    with pytest.raises(NotImplementedError, match="does not have its own eigh yet"):
        linalg.eigh(np.eye(2))
    monkeypatch.setenv("GROUNDUP_LINALG", "fast")
    with pytest.raises(ValueError, match="must be 'lapack' or 'scratch', got 'fast'"):
        linalg.backend()


def test_scores_equal_scikit_learns():
    from sklearn import metrics as reference

    rng = np.random.default_rng(0)
    y, guess, weight = rng.standard_normal(40), rng.standard_normal(40), rng.uniform(0, 2, 40)
    assert metrics.r2_score(y, guess, sample_weight=weight) == pytest.approx(
        reference.r2_score(y, guess, sample_weight=weight), rel=1e-12
    )
    assert metrics.mean_squared_error(y, guess, sample_weight=weight) == pytest.approx(
        reference.mean_squared_error(y, guess, sample_weight=weight), rel=1e-12
    )
    labels, other = rng.integers(0, 3, 40), rng.integers(0, 3, 40)
    assert metrics.accuracy_score(labels, other, sample_weight=weight) == pytest.approx(
        reference.accuracy_score(labels, other, sample_weight=weight), rel=1e-12
    )
    both, either = np.column_stack([labels > 0, other > 0]), np.column_stack([other > 0, other > 0])
    assert metrics.accuracy_score(both, either) == pytest.approx(
        reference.accuracy_score(both, either), rel=1e-12
    )
    two = np.column_stack([y, 2 * y]), np.column_stack([guess, y])
    assert metrics.r2_score(*two) == pytest.approx(reference.r2_score(*two), rel=1e-12)


@pytest.mark.parametrize(("guess", "expected"), [([1.0, 1.0], 1.0), ([1.0, 2.0], 0.0)])
def test_r2_of_a_constant_target(guess, expected):
    assert metrics.r2_score([1.0, 1.0], guess) == expected


def test_scores_refuse_mismatched_lengths():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        metrics.r2_score([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        metrics.accuracy_score([1, 2], [1, 2, 3])
