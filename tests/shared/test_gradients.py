"""Numerical gradients: exact where theory says so, off by what theory says elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.gradients import check_gradient, complex_step_gradient, numerical_gradient

A = np.array([[2.0, 1.0], [1.0, 3.0]])


def quadratic(x):
    return x @ A @ x


def quadratic_gradient(x):
    return 2 * A @ x


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=2, max_size=2))
def test_both_find_the_gradient_of_a_quadratic(point):
    x = np.array(point)
    scale = 1 + np.abs(x).max() ** 2
    np.testing.assert_allclose(numerical_gradient(quadratic, x), quadratic_gradient(x), atol=1e-9 * scale)
    np.testing.assert_allclose(complex_step_gradient(quadratic, x), quadratic_gradient(x), atol=1e-14 * scale)


def test_documented_errors_hold_on_a_transcendental_function():
    def f(x):
        return np.sum(np.exp(x) * np.sin(x))

    x = np.linspace(-2, 2, 9)
    exact = np.exp(x) * (np.sin(x) + np.cos(x))
    assert np.abs(numerical_gradient(f, x) - exact).max() < 1e-9
    assert np.abs(complex_step_gradient(f, x) - exact).max() < 1e-14


def test_truncation_error_is_a_sixth_of_the_third_derivative():
    h = 1e-3
    error = numerical_gradient(np.exp, 0.0, step=h) - 1
    assert error == pytest.approx(h**2 / 6, rel=1e-4)


def test_step_grows_with_the_point():
    x = 1e8
    assert numerical_gradient(np.square, x) == pytest.approx(2 * x, rel=1e-9)


@pytest.mark.parametrize("gradient", [numerical_gradient, complex_step_gradient])
def test_a_vector_function_gives_its_jacobian(gradient):
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    jacobian = gradient(lambda x: x.sum(axis=0) ** 2, x)
    assert jacobian.shape == (2, 2, 2)
    expected = 2 * x.sum(axis=0)[:, None, None] * np.eye(2)[:, None, :] * np.ones((1, 2, 1))
    np.testing.assert_allclose(jacobian, expected, rtol=1e-8)


@pytest.mark.parametrize("gradient", [numerical_gradient, complex_step_gradient])
def test_empty_and_zero_dimensional_points(gradient):
    assert gradient(lambda x: x.sum(), np.zeros((0, 3))).shape == (0, 3)
    assert gradient(lambda x: x**2, 3.0).shape == ()


def test_the_function_may_not_change_the_point():
    x = np.array([1.0, 2.0])

    def f(z):
        z *= 2
        return z.sum()

    np.testing.assert_allclose(numerical_gradient(f, x), [2, 2], rtol=1e-8)
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_check_gradient_tells_right_from_wrong():
    x = np.array([0.3, -0.7])
    assert check_gradient(quadratic, quadratic_gradient, x) < 1e-9
    assert check_gradient(quadratic, quadratic_gradient(x), x) < 1e-9
    assert check_gradient(quadratic, lambda x: A @ x, x) == pytest.approx(0.5, rel=1e-6)
    assert check_gradient(quadratic, lambda x: -2 * A @ x, x) > 1
    assert check_gradient(lambda x: 0.0 * x.sum(), np.zeros(2), x) == 0
    assert check_gradient(lambda x: x.sum(), np.zeros(0), np.zeros(0)) == 0


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="x must be finite"):
        numerical_gradient(quadratic, [1.0, np.nan])
    with pytest.raises(ValueError, match="x must be finite"):
        complex_step_gradient(quadratic, [1.0, np.inf])
    with pytest.raises(ValueError, match="step must be a positive number, got 0"):
        numerical_gradient(quadratic, [1.0, 2.0], step=0)
    with pytest.raises(ValueError, match="step must be a positive number, got -1"):
        complex_step_gradient(quadratic, [1.0, 2.0], step=-1)
    with pytest.raises(ValueError, match=r"gradient must have shape \(2,\), got \(3,\)"):
        check_gradient(quadratic, np.zeros(3), [1.0, 2.0])
    with pytest.raises(TypeError, match="must be analytic"):
        complex_step_gradient(lambda x: np.abs(x).sum(), [1.0, 2.0])


def test_a_function_may_reuse_its_array_or_write_into_its_argument():
    buffer = np.empty(2)

    def reusing(x):
        return np.multiply(x, x, out=buffer)

    def writing(x):
        x *= x
        return x.sum()

    np.testing.assert_allclose(numerical_gradient(reusing, [1.0, 3.0]), np.diag([2.0, 6.0]), rtol=1e-9)
    np.testing.assert_allclose(numerical_gradient(writing, [1.0, 3.0]), [2.0, 6.0], rtol=1e-9)
