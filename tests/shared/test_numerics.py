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


@pytest.mark.parametrize("value", [0.1, 1 / 3, 123.456])
@pytest.mark.parametrize("n", [3, 7, 10, 100])
def test_r2_of_a_constant_target_is_zero_whatever_its_rounding(value, n):
    y = np.full(n, value)
    wrong = y.copy()
    wrong[0] += 0.5
    assert metrics.r2_score(y, wrong) == 0 and metrics.r2_score(y, y) == 1


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_r2_in_any_unit(scale):
    y, guess = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])
    assert metrics.r2_score(y * scale, guess * scale) == pytest.approx(metrics.r2_score(y, guess))
    weighted = metrics.r2_score(np.r_[1e250, y], np.r_[0.0, guess], sample_weight=[0, 1, 1, 1])
    assert weighted == pytest.approx(metrics.r2_score(y, guess)), "a row of weight zero counts for nothing"


def test_squares_of_a_power_of_two_are_ordinary():
    sizes = np.array([1e-310, 1e-160, 3.0, 1e160, 1e308, 0.0])
    scaled = sizes * numerics.power_of_two(sizes)
    assert np.all((scaled[:-1] > 1e-10) & (scaled[:-1] < 1e8)) and numerics.power_of_two(0.0) == 1


def test_distances_of_near_points_far_from_the_others_keep_their_digits():
    rng = np.random.default_rng(0)
    for dtype, spread, rtol in ((np.float64, 1e-6, 1e-6), (np.float32, 1e-2, 2e-3)):
        X = np.r_[rng.normal(0, spread, (5, 3)), rng.normal(1000, spread, (5, 3))].astype(dtype)
        exact = ((X.astype(np.longdouble)[:, None] - X.astype(np.longdouble)) ** 2).sum(axis=2).astype(float)
        np.testing.assert_allclose(numerics.squared_distances(X, X), exact, rtol=rtol)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, bool])
def test_integers_do_not_wrap(dtype):
    limits = (
        (0, 1)
        if dtype is bool
        else (np.iinfo(dtype).min if dtype is np.int8 else 0, 127 if dtype is np.int8 else 200)
    )
    x = np.array(limits, dtype)
    real = x.astype(float)
    for f in (numerics.logsumexp, numerics.softmax, numerics.sigmoid, numerics.softplus):
        np.testing.assert_allclose(f(x), f(real), err_msg=f.__name__)
    assert numerics.logsumexp(np.array([1, 2, 3])) == pytest.approx(3.4076, abs=1e-4)


@pytest.mark.parametrize(("guess", "told"), [([0.0, np.nan], "NaN"), ([0.0, np.inf], "inf")])
def test_accuracy_refuses_what_is_no_label(guess, told):
    with pytest.raises(ValueError, match=f"y_pred must not hold {told}"):
        metrics.accuracy_score([0, 1], guess)


def test_accuracy_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one label"):
        metrics.accuracy_score([], [])


def test_the_pseudo_inverse_of_single_precision_cuts_where_single_precision_ends():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(6, 3)).astype(np.float32)
    A[:, 2] = A[:, 0] + A[:, 1] * np.float32(1 / 3)  # dependent, but for the rounding of single precision
    inverse = linalg.pinv(A)
    assert inverse.dtype == np.float32 and np.abs(inverse).max() < 10
    np.testing.assert_allclose(A @ inverse @ A, A, atol=1e-5)
