"""Second-order optimization: the exercises in the order of the topic's functions, then the reference, the failures."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from level1_foundations import second_order_optimization as page
from level1_foundations.failure_modes.second_order_optimization import (
    FAILURE_MODES,
    cycle,
    difference_error_by_formula,
    diverging_by_formula,
    double_well,
    growth_by_formula,
    margins_on_the_way,
    newton_step,
    well_curvature,
)
from level1_foundations.parts.second_order_optimization.agreements import (
    ADSORPTION,
    OXYGEN,
    saturation,
    tumors,
)
from level1_foundations.parts.second_order_optimization.line_search import cubic_minimum, wolfe_line_search
from level1_foundations.parts.second_order_optimization.nonlinear_least_squares import (
    damped_step,
    trusted_step,
)
from level1_foundations.parts.second_order_optimization.objective import forward_differences
from level1_foundations.parts.second_order_optimization.problems import PROBLEMS, LogisticLoss
from shared.estimator import ConvergenceWarning
from shared.gradients import check_gradient

H = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])
MINIMUM = np.array([1.0, -2.0, 0.5])


def quadratic(x):
    return 0.5 * (x - MINIMUM) @ H @ (x - MINIMUM)


def quadratic_gradient(x):
    return H @ (x - MINIMUM)


ROSENBROCK = PROBLEMS["Rosenbrock"]
START = np.array(ROSENBROCK.start)

# In one breath


def test_plain_newton_solves_a_quadratic_in_one_step():
    x = page.plain_newton(quadratic, quadratic_gradient, lambda x: H, np.zeros(3), n_steps=1)
    assert x == pytest.approx(MINIMUM, abs=1e-14), "the quadratic that fits a quadratic is the quadratic"


def test_plain_newton_reaches_the_valleys_end():
    x = page.plain_newton(ROSENBROCK.value, ROSENBROCK.gradient, ROSENBROCK.hessian, START, 30)
    assert x == pytest.approx([1, 1], abs=1e-8)


def test_plain_bfgs_reaches_the_valleys_end():
    x = page.plain_bfgs(ROSENBROCK.value, ROSENBROCK.gradient, START, 60)
    assert x == pytest.approx([1, 1], abs=1e-5)


def test_the_breath_halves_until_f_decreases_enough():
    step = page.halved(lambda x: float(x @ x), np.array([1.0]), np.array([-8.0]), np.array([2.0]))
    assert step == 0.125, "1 - 8/4 = -1 is as high as the start, 1 - 8/8 = 0 is the minimum"
    assert page.halved(lambda x: float(x @ x), np.array([1.0]), np.array([1.0]), np.array([2.0])) < 1e-12


def test_breath_and_whole_agree():
    loss, start = tumors()
    plain = page.plain_newton(loss.value, loss.gradient, loss.hessian, start, 12)
    whole = page.newton(loss.value, start, gradient=loss.gradient, hessian=loss.hessian, tol=1e-12).x
    assert plain == pytest.approx(whole, abs=1e-9)
    learnt = page.plain_bfgs(loss.value, loss.gradient, start, 60)
    assert learnt == pytest.approx(page.bfgs(loss.value, start, gradient=loss.gradient, tol=1e-7).x, abs=1e-3)


# Newton


def test_a_positive_definite_matrix_is_not_shifted():
    L, shift = page.positive_definite_factor(H)
    assert shift == 0
    assert pytest.approx(H) == L @ L.T and np.all(np.triu(L, 1) == 0), "the lower factor is asked for"


@pytest.mark.parametrize(
    "matrix", [np.diag([1.0, -2.0]), np.array([[0.0, 1.0], [1.0, 0.0]]), np.zeros((2, 2))]
)
def test_an_indefinite_matrix_is_shifted_until_it_is_definite(matrix):
    L, shift = page.positive_definite_factor(matrix)
    assert shift > 0 and pytest.approx(matrix + shift * np.eye(2)) == L @ L.T


def test_the_shift_has_the_unit_of_the_matrix():
    L, shift = page.positive_definite_factor(1e-150 * np.diag([1.0, -2.0]))
    assert 2e-150 < shift < 1e-149 and np.isfinite(L).all()


def test_newton_doubles_its_digits():
    errors = []
    loss, start = tumors()
    best = page.newton(loss.value, start, gradient=loss.gradient, hessian=loss.hessian, tol=1e-13).x
    for steps in (4, 5, 6):
        with pytest.warns(ConvergenceWarning):
            x = page.newton(
                loss.value, start, gradient=loss.gradient, hessian=loss.hessian, tol=1e-14, max_iter=steps
            ).x
        errors.append(np.max(np.abs(x - best)))
    assert math.log(errors[2]) / math.log(errors[1]) > 1.5 < math.log(errors[1]) / math.log(errors[0]), errors


def test_whole_steps_take_the_hessian_as_it_is():
    more = {"gradient": True, "hessian": well_curvature}
    up = page.newton(double_well, [0.3, 1.0], line_search=False, **more)
    assert up.converged and up.x == pytest.approx([0, 0], abs=1e-8), "0 is the saddle"
    down = page.newton(double_well, [0.3, 1.0], **more)
    assert down.converged and abs(down.x[0]) == pytest.approx(1) and down.x[1] == pytest.approx(0, abs=1e-8)


def test_a_hessian_of_another_shape_is_named():
    with pytest.raises(ValueError, match="hessian must return a finite 3 by 3 matrix"):
        page.newton(quadratic, np.zeros(3), gradient=quadratic_gradient, hessian=lambda x: np.eye(2))


# Step lengths


def test_the_minimum_of_a_cubic():
    # v = t³ − 3t: least at t = 1
    assert cubic_minimum(0.0, 0.0, -3.0, 3.0, 18.0, 24.0) == pytest.approx(1.0)
    assert cubic_minimum(3.0, 18.0, 24.0, 0.0, 0.0, -3.0) == pytest.approx(1.0), (
        "the order of the ends is free"
    )


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(-3, 3), st.sampled_from([0.9, 0.1]))
def test_both_of_wolfes_conditions_hold(step, bend, c2):
    def f(t):
        return float(np.log(np.cosh(t[0] - 2)) + bend * np.sin(t[0]) / 10)

    def slope(t):
        return np.tanh(t - 2) + bend * np.cos(t) / 10

    direction = -np.sign(slope(np.zeros(1)))
    found = wolfe_line_search(f, [0.0], direction, gradient=slope, step=step, c2=c2)
    at, first = found.step * direction, float(slope(np.zeros(1)) @ direction)
    assert found.converged
    assert f(at) <= f([0.0]) + 1e-4 * found.step * first + 1e-15
    assert abs(float(slope(at) @ direction)) <= c2 * abs(first)
    assert found.fun == f(at), "what is returned belongs to the step"


def test_a_step_is_no_longer_than_allowed():
    found = wolfe_line_search(lambda x: -x[0], [0.0], [1.0], gradient=lambda x: -np.ones(1), max_step=5.0)
    assert found.step == 5.0 and not found.converged, (
        "a line without a minimum has no step with a small slope"
    )


def test_uphill_is_refused():
    with pytest.raises(ValueError, match="direction must point downhill"):
        wolfe_line_search(
            quadratic, np.zeros(3), quadratic_gradient(np.zeros(3)), gradient=quadratic_gradient
        )


def test_values_that_are_not_finite_are_stepped_back_from():
    result = page.bfgs(
        lambda x: float(x[0] - np.log(x[0])) if x[0] > 0 else math.inf, [5.0], gradient=lambda x: 1 - 1 / x
    )
    assert result.converged and result.x == pytest.approx([1], abs=1e-5)


# BFGS


def test_the_update_meets_the_secant_equation():
    rng = np.random.default_rng(0)
    s, y = rng.standard_normal(3), None
    y = H @ s
    updated = page.updated_inverse(np.eye(3), s, y)
    assert updated @ y == pytest.approx(s), "G y = s"
    assert updated == pytest.approx(updated.T) and np.linalg.eigvalsh(updated).min() > 0


def test_the_update_is_equation_one():
    rng = np.random.default_rng(1)
    s, G = rng.standard_normal(3), np.linalg.inv(H)
    y = s + 0.1 * rng.standard_normal(3)
    A = np.eye(3) - np.outer(s, y) / (y @ s)
    assert page.updated_inverse(G, s, y) == pytest.approx(A @ G @ A.T + np.outer(s, s) / (y @ s))


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("method", ["bfgs", "lbfgs", "newton"])
def test_the_usual_functions_are_minimized(name, method):
    problem = PROBLEMS[name]
    more = {"hessian": problem.hessian} if method == "newton" else {}
    result = getattr(page, method)(problem.value, problem.start, gradient=problem.gradient, tol=1e-7, **more)
    assert result.converged and result.message == "the gradient is below tol"
    tolerance = (
        0.01 if name == "Powell's singular" else 1e-5
    )  # quartic there: x to the cube root of the gradient
    assert result.x == pytest.approx(problem.minimum, abs=tolerance)
    assert np.max(np.abs(result.gradient)) <= 1e-7 and result.fun == problem.value(result.x)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_gradients_of_the_problems_are_right(name):
    problem = PROBLEMS[name]
    check_gradient(
        problem.value, np.array(problem.start) + 0.1, problem.gradient(np.array(problem.start) + 0.1)
    )


@pytest.mark.parametrize("method", ["bfgs", "lbfgs"])
def test_quasi_newton_needs_no_more_evaluations_than_one_and_a_half_of_scipys(method):
    from scipy.optimize import minimize

    for problem in PROBLEMS.values():
        ours = getattr(page, method)(problem.value, problem.start, gradient=problem.gradient, tol=1e-6)
        options = {"gtol": 1e-6} if method == "bfgs" else {"gtol": 1e-6, "ftol": 0.0}
        theirs = minimize(problem.value, problem.start, jac=problem.gradient, method={"bfgs": "BFGS", "lbfgs": "L-BFGS-B"}[method], options=options)  # fmt: skip
        assert ours.n_evaluations <= 1.5 * theirs.nfev, (ours.n_evaluations, theirs.nfev)


def test_evaluations_are_counted():
    calls = []

    def f(x):
        calls.append(1)
        return quadratic(x), quadratic_gradient(x)

    assert page.bfgs(f, np.zeros(3), gradient=True).n_evaluations == len(calls)
    calls.clear()
    assert page.lbfgs(lambda x: f(x)[0], np.zeros(3), tol=1e-4).n_evaluations == len(calls), (
        "those for differences, too"
    )


@pytest.mark.parametrize("method", ["bfgs", "lbfgs"])
def test_a_second_run_is_the_first(method):
    first, second = (
        getattr(page, method)(quadratic, np.zeros(3), gradient=quadratic_gradient) for _ in range(2)
    )
    assert first.x.tolist() == second.x.tolist() and first.n_iter == second.n_iter


@pytest.mark.parametrize("unit", [1e-100, 1.0, 1e100])
def test_the_answer_does_not_depend_on_the_unit_of_f(unit):
    result = page.bfgs(lambda x: unit * quadratic(x), np.zeros(3), gradient=lambda x: unit * quadratic_gradient(x), tol=1e-6 * unit)  # fmt: skip
    assert result.converged and result.x == pytest.approx(MINIMUM, abs=1e-5)


def test_integers_and_lists_are_numbers():
    assert page.bfgs(quadratic, [0, 0, 0], gradient=quadratic_gradient).x == pytest.approx(MINIMUM, abs=1e-5)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("newton", {"gradient": ROSENBROCK.gradient, "hessian": ROSENBROCK.hessian}),
        ("bfgs", {"gradient": ROSENBROCK.gradient}),
        ("lbfgs", {"gradient": ROSENBROCK.gradient}),
    ],
)
def test_too_few_steps_are_told(method, arguments):
    with pytest.warns(ConvergenceWarning, match=rf"{method} took max_iter=3 steps.*raise max_iter or tol"):
        result = getattr(page, method)(ROSENBROCK.value, START, max_iter=3, **arguments)
    assert not result.converged and result.n_iter == 3


@pytest.mark.parametrize("constant", [1e6, 1e9, 1e14])
def test_a_large_constant_without_a_gradient_is_told(constant):
    with pytest.warns(ConvergenceWarning, match="take constants off f, supply the gradient"):
        result = page.bfgs(lambda x: quadratic(x) + constant, np.zeros(3))
    assert not result.converged
    assert page.bfgs(
        lambda x: quadratic(x) + 1e9, np.zeros(3), gradient=quadratic_gradient
    ).x == pytest.approx(MINIMUM, abs=1e-4)


# Limited memory


def test_two_loops_are_the_matrix_of_the_pairs():
    rng = np.random.default_rng(2)
    pairs = [(s, H @ s, 1 / float(s @ H @ s)) for s in rng.standard_normal((4, 3))]
    s, y, _ = pairs[-1]
    G = (s @ y) / (y @ y) * np.eye(3)
    for s, y, _ in pairs:
        G = page.updated_inverse(G, s, y)
    g = rng.standard_normal(3)
    assert page.two_loops(g, pairs) == pytest.approx(G @ g)
    assert page.two_loops(g, []) == pytest.approx(g), "without pairs, the gradient"


def test_the_memory_is_a_limit():
    loss, start = tumors()
    steps = [page.lbfgs(loss.both, start, gradient=True, memory=m, tol=1e-7).n_iter for m in (2, 30)]
    assert steps[0] > steps[1], "more pairs, fewer steps"


# Least squares


def test_the_damped_step_solves_the_stacked_problem():
    rng = np.random.default_rng(3)
    J, r, scale = rng.standard_normal((6, 3)), rng.standard_normal(6), np.array([1.0, 2.0, 3.0])
    Q, R = np.linalg.qr(J)
    p, _ = damped_step(R, Q.T @ r, scale, 0.7)
    stacked = np.linalg.lstsq(
        np.vstack([J, math.sqrt(0.7) * np.diag(scale)]), np.append(-r, np.zeros(3)), rcond=None
    )[0]
    assert p == pytest.approx(stacked)


@pytest.mark.parametrize("radius", [1e-3, 0.1, 1e3])
def test_the_trusted_step_keeps_to_its_region(radius):
    rng = np.random.default_rng(4)
    R, c, scale = (
        np.triu(rng.standard_normal((3, 3))) + 2 * np.eye(3),
        rng.standard_normal(3),
        np.array([1.0, 10.0, 0.1]),
    )
    p, damping = trusted_step(R, c, scale, radius)
    size = np.linalg.norm(scale * p)
    assert size <= 1.1 * radius and (damping == 0 or size >= 0.9 * radius)


@pytest.mark.parametrize("data", [ADSORPTION, OXYGEN], ids=["Misra1a", "BoxBOD"])
def test_certified_estimates_are_met(data):
    t, y, start, certified = data
    residual, _ = saturation(t, y)
    result = page.levenberg_marquardt(residual, start)
    assert result.converged
    assert np.max(np.abs(result.x / certified - 1)) < 1e-7
    assert result.fun == pytest.approx(0.5 * float(np.sum(residual(result.x) ** 2))), (
        "fun is half the sum of squares"
    )


def test_the_unit_of_a_parameter_does_not_matter():
    t, y, start, certified = ADSORPTION
    residual, _ = saturation(t, y)
    unit = np.array([1e-6, 1e9])
    result = page.levenberg_marquardt(lambda b: residual(b / unit), np.array(start) * unit)
    assert result.x / unit == pytest.approx(certified, rel=1e-7)


def test_gauss_newton_refuses_dependent_columns_and_levenberg_marquardt_goes_on():
    def residual(b):
        return np.array([b[0] + b[1] - 1, 2 * (b[0] + b[1]) - 2, 0.0])

    with pytest.raises(ValueError, match="independent columns.*use levenberg_marquardt"):
        page.gauss_newton(residual, [3.0, 4.0])
    assert page.levenberg_marquardt(residual, [3.0, 4.0]).x.sum() == pytest.approx(1)


def test_halving_saves_gauss_newton_where_it_overshoots():
    def residual(b):
        return np.append(np.arctan(b), 0.0)

    safe = page.gauss_newton(residual, [3.0], jacobian=lambda b: np.array([[1 / (1 + b[0] ** 2)], [0.0]]))
    assert safe.converged and safe.x == pytest.approx([0], abs=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wild = page.gauss_newton(residual, [3.0], jacobian=lambda b: np.array([[1 / (1 + b[0] ** 2)], [0.0]]), line_search=False, max_iter=6)  # fmt: skip
    assert not wild.converged


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda: page.bfgs(3.0, [0.0]), TypeError, "f must be a function"),
        (lambda: page.bfgs(quadratic, [0.0, math.nan, 0.0]), ValueError, "x0"),
        (lambda: page.bfgs(lambda x: math.inf, [0.0]), ValueError, "f must be finite at x0, got inf"),
        (lambda: page.bfgs(lambda x: x, [0.0, 1.0]), ValueError, r"one number, got the shape \(2,\)"),
        (lambda: page.bfgs(quadratic, np.zeros(3), gradient=lambda x: np.ones(2)), ValueError, r"shape of x, \(3,\), got \(2,\)"),
        (lambda: page.bfgs(quadratic, np.zeros(3), gradient="yes"), TypeError, "gradient must be a function"),
        (lambda: page.lbfgs(quadratic, np.zeros(3), memory=0), ValueError, "memory must be an integer"),
        (lambda: page.bfgs(quadratic, np.zeros(3), tol=-1.0), ValueError, "tol must be a number"),
        (lambda: page.newton(quadratic, np.zeros(3), gradient=quadratic_gradient, hessian=H), TypeError, "hessian must be a function"),
        (lambda: page.levenberg_marquardt(lambda b: b[:1], [1.0, 2.0]), ValueError, "at least as many values as x has, 2, got 1"),
        (lambda: page.levenberg_marquardt(lambda b: b, [1.0], factor=0.0), ValueError, "factor must be positive"),
        (lambda: page.levenberg_marquardt(lambda b: b, [1.0], jacobian=lambda b: np.ones((2, 1))), ValueError, r"jacobian must return the shape \(1, 1\)"),
        (lambda: wolfe_line_search(quadratic, np.zeros(3), np.ones(3), c1=0.9, c2=0.1), ValueError, "c2 must be a number in"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, told):
    with pytest.raises(error, match=told):
        call()


@pytest.mark.parametrize("which", ["f", "gradient"])
def test_a_function_that_writes_into_its_argument_is_told(which):
    def f(x):
        if which == "f":
            x -= 1
        return quadratic(x)

    def gradient(x):
        if which == "gradient":
            x -= 1
        return quadratic_gradient(x)

    with pytest.raises(ValueError, match=f"{which} must not change its argument"):
        page.bfgs(f, np.zeros(3), gradient=gradient)


def test_the_start_stays_as_it_was():
    start = np.zeros(3)
    page.bfgs(quadratic, start, gradient=quadratic_gradient)
    assert start.tolist() == [0, 0, 0]


# The reference and the failures


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy


def test_the_cycle_divides_the_starts():
    low, high = cycle(0.5)
    assert high == pytest.approx(2.1773, abs=1e-4) and low == pytest.approx(-high)
    b = 0.99 * high
    for _ in range(60):
        b = newton_step(b, 0.5)
    assert abs(b) < 1e-12, "within the cycle whole steps converge"
    b = 1.01 * high
    for _ in range(8):
        b = newton_step(b, 0.5) if abs(b) < 30 else math.inf
    assert b == math.inf, "outside they do not"


def test_classes_that_no_plane_separates_have_a_margin_that_stands_still():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((100, 2))
    signs = np.where(Z[:, 0] + rng.standard_normal(100) > 0, 1.0, -1.0)
    margins = margins_on_the_way(LogisticLoss(Z, signs), 20)
    assert abs(margins[-1] - margins[-2]) < 1e-9


def test_a_small_constant_does_no_harm():
    x = np.array([0.05])
    error = forward_differences(
        lambda x: 2 * math.sinh(x[0] / 2) ** 2 + 1e-3, x, 2 * math.sinh(0.025) ** 2 + 1e-3
    )[0] - math.sinh(0.05)
    assert abs(error) < 3e-8


@pytest.mark.parametrize(
    ("formula", "told"),
    [
        (lambda: diverging_by_formula(line_search=False, reach=1.0), "reach must exceed the cycle"),
        (lambda: difference_error_by_formula(constant=1.0), "rounding hides truncation"),
        (lambda: growth_by_formula(penalty=-1.0), "at least 0"),
    ],
)
def test_the_formulas_say_where_they_end(formula, told):
    with pytest.raises(ValueError, match=told):
        formula()
