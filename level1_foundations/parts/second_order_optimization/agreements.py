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
# # All branches beside the library
#
# Part of the topic [second-order optimization](../../second_order_optimization.py): the long tail of its comparison.

# %%
from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from level1_foundations.parts.second_order_optimization.line_search import wolfe_line_search
from level1_foundations.parts.second_order_optimization.nonlinear_least_squares import (
    gauss_newton,
    levenberg_marquardt,
)
from level1_foundations.parts.second_order_optimization.problems import PROBLEMS, LogisticLoss
from shared.agreement import Comparison
from shared.datasets import load_breast_cancer

__all__ = ["ADSORPTION", "OXYGEN", "compare_branches"]

# %% [markdown]
# Two of NIST's nonlinear sets, with their certified estimates: Misra1a (monomolecular adsorption) and BoxBOD (oxygen demand; from the nearer of
# its two starts). Both fit $b_0(1-e^{-b_1t})$.

# %%
ADSORPTION = (
    np.array(
        [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0]
    ),
    np.array(
        [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.4, 75.47, 81.78]
    ),
    (500.0, 0.0001),
    np.array([2.3894212918e02, 5.5015643181e-04]),
)
OXYGEN = (
    np.array([1.0, 2.0, 3.0, 5.0, 7.0, 10.0]),
    np.array([109.0, 149.0, 149.0, 191.0, 213.0, 224.0]),
    (100.0, 0.75),
    np.array([2.1380940889e02, 5.4723748542e-01]),
)


def saturation(t: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    """Residuals and Jacobian of b₀(1 − exp(−b₁t)) − y."""

    def residual(b: np.ndarray) -> np.ndarray:
        return -b[0] * np.expm1(-b[1] * t) - y

    def jacobian(b: np.ndarray) -> np.ndarray:
        return np.stack([-np.expm1(-b[1] * t), b[0] * t * np.exp(-b[1] * t)], axis=1)

    return residual, jacobian


# %%
def compare_branches(comparison: Comparison, ours: dict[str, Any]) -> None:
    """Newton, ways to give the gradient, memories, least squares, step lengths; `ours` are the page's functions by name."""
    compare_newton(comparison, ours)
    compare_gradients(comparison, ours)
    compare_least_squares(comparison)
    compare_line_search(comparison)


def tumors(penalty: float = 0.01) -> tuple[LogisticLoss, np.ndarray]:
    """A logistic loss on 569 tumors, and its start."""
    data = load_breast_cancer()
    Z = np.column_stack([np.ones(len(data.X)), (data.X - data.X.mean(0)) / data.X.std(0)])
    return LogisticLoss(Z, np.where(data.y == 1, 1.0, -1.0), penalty), np.zeros(Z.shape[1])


def compare_newton(comparison: Comparison, ours: dict[str, Any]) -> None:
    """With and without line search, beside SciPy's trust region with the same Hessian."""
    from scipy.optimize import minimize

    loss, start = tumors()
    on = comparison.on(reference="scipy.optimize.minimize", dataset="logistic loss on 569 tumors")
    for name, line_search in (("backtracking", True), ("whole steps", False)):
        got, expected = on.run(
            lambda: ours["newton"](
                loss.value, start, gradient=loss.gradient, hessian=loss.hessian, line_search=line_search, tol=1e-10  # noqa: B023
            ),
            lambda: minimize(loss.value, start, jac=loss.gradient, hess=loss.hessian, method="trust-exact", options={"gtol": 1e-10}),
        )  # fmt: skip
        on.compare(
            f"newton, {name}: x",
            got.x,
            expected.x,
            tolerance=1e-7,
            reason="gradient 1e-10, least curvature 0.01",
        )
        on.compare(
            f"newton, {name}: f", got.fun, expected.fun, tolerance=1e-13, reason="f is flat at the minimum"
        )
    H = np.diag([3.0, -1.0, 0.5])
    L, shift = ours["positive_definite_factor"](H)
    on = comparison.on(reference="numpy.linalg.cholesky", dataset="an indefinite matrix")
    on.compare(
        "shifted factor",
        L,
        np.linalg.cholesky(H + shift * np.eye(3)),
        tolerance=1e-15,
        reason="the same matrix is factored",
    )


def compare_gradients(comparison: Comparison, ours: dict[str, Any]) -> None:
    """The gradient as a function, with f, and by differences; memories of 3 and 20 pairs."""
    from scipy.optimize import approx_fprime, minimize

    loss, start = tumors()
    on = comparison.on(reference="scipy.optimize.minimize", dataset="logistic loss on 569 tumors")
    close = "gradient 1e-8, least curvature 0.01"
    _, expected = on.run(lambda: None, lambda: minimize(loss.both, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-8, "ftol": 0.0, "maxiter": 10_000}))  # fmt: skip
    for name, method, arguments in (
        ("bfgs, f returns both", "bfgs", {"f": loss.both, "gradient": True}),
        ("bfgs, a function", "bfgs", {"f": loss.value, "gradient": loss.gradient}),
        ("lbfgs, f returns both", "lbfgs", {"f": loss.both, "gradient": True}),
        ("lbfgs, memory 3", "lbfgs", {"f": loss.both, "gradient": True, "memory": 3}),
        ("lbfgs, memory 20", "lbfgs", {"f": loss.both, "gradient": True, "memory": 20}),
    ):
        got = ours[method](x0=start, tol=1e-8, **arguments)
        on.compare(f"{name}: x", got.x, expected.x, tolerance=1e-5, reason=close)
    for method in ("bfgs", "lbfgs"):
        got = ours[method](loss.value, start, tol=1e-5)
        on.compare(
            f"{method}, differences: x",
            got.x,
            expected.x,
            tolerance=3e-3,
            reason="gradient 1e-5, least curvature 0.01",
        )
    from level1_foundations.parts.second_order_optimization.objective import forward_differences

    point = np.linspace(-1, 1, len(start))
    on = comparison.on(reference="scipy.optimize.approx_fprime")
    got = forward_differences(loss.value, point, loss.value(point))
    on.compare(
        "forward differences",
        got,
        approx_fprime(point, loss.value),
        tolerance=1e-6,
        reason="steps of √ε on both sides, rounding of f over the step",
    )


def compare_least_squares(comparison: Comparison) -> None:
    """Estimates of NIST's sets beside the certified digits, and five functions beside MINPACK."""
    from scipy.optimize import least_squares

    for name, (t, y, start, certified) in (("NIST Misra1a", ADSORPTION), ("NIST BoxBOD", OXYGEN)):
        residual, jacobian = saturation(t, y)
        on = comparison.on(reference="scipy.optimize.least_squares", dataset=name)
        for branch, derivative, tolerance in (("Jacobian", jacobian, 3e-8), ("differences", None, 1e-7)):
            got, expected = on.run(
                lambda: levenberg_marquardt(residual, start, jacobian=derivative),  # noqa: B023
                lambda: least_squares(residual, start, jac=jacobian, method="lm", x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14),  # noqa: B023
            )  # fmt: skip
            reason = "the sum of squares is flat: 4ε of it are 3e-8 of x"
            on.compare(
                f"levenberg_marquardt, {branch}",
                got.x,
                expected.x,
                tolerance=tolerance,
                measure="elementwise",
                reason=reason,
            )
            on.compare(
                f"levenberg_marquardt, {branch}, certified",
                got.x,
                certified,
                tolerance=tolerance,
                measure="elementwise",
                reason=reason,
            )
    for name, problem in PROBLEMS.items():
        on = comparison.on(reference="scipy.optimize.least_squares", dataset=name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got, expected = on.run(
                lambda: levenberg_marquardt(problem.residual, problem.start, jacobian=problem.jacobian),  # noqa: B023
                lambda: least_squares(problem.residual, problem.start, jac=problem.jacobian, method="lm", x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12),  # noqa: B023
            )  # fmt: skip
        on.compare("levenberg_marquardt: x", got.x, expected.x, tolerance=1e-4, measure="absolute", reason="the minimum is 0; at Powell's the Jacobian is singular")  # fmt: skip
    t, y, _, certified = OXYGEN
    residual, jacobian = saturation(t, y)
    on = comparison.on(reference="scipy.optimize.least_squares", dataset="NIST BoxBOD")
    for line_search in (True, False):
        got = gauss_newton(residual, (200.0, 0.5), jacobian=jacobian, line_search=line_search, max_iter=500)
        on.compare(f"gauss_newton, line_search={line_search}", got.x, certified, tolerance=1e-7, measure="elementwise", reason="linear convergence to tol 1e-10")  # fmt: skip


def compare_line_search(comparison: Comparison) -> None:
    """Both Wolfe conditions hold where SciPy's step meets them, for several c₁ and c₂."""
    from scipy.optimize import line_search

    on = comparison.on(reference="scipy.optimize.line_search", dataset="Rosenbrock, down the gradient")
    problem = PROBLEMS["Rosenbrock"]
    x = np.array(problem.start)
    p = -problem.gradient(x)
    for c1, c2 in ((1e-4, 0.9), (1e-4, 0.1), (0.1, 0.4)):
        found = wolfe_line_search(problem.value, x, p, gradient=problem.gradient, c1=c1, c2=c2)
        step = line_search(problem.value, problem.gradient, x, p, c1=c1, c2=c2)[0]
        on.compare(f"conditions hold, c1={c1}, c2={c2}", wolfe(problem, x, p, found.step, c1, c2), wolfe(problem, x, p, step, c1, c2), tolerance=0, reason="both conditions, yes or no")  # fmt: skip


def wolfe(problem: Any, x: np.ndarray, p: np.ndarray, step: float, c1: float, c2: float) -> np.ndarray:
    """Whether each of the two conditions holds."""
    slope = problem.gradient(x) @ p
    enough = problem.value(x + step * p) <= problem.value(x) + c1 * step * slope
    return np.array([enough, abs(problem.gradient(x + step * p) @ p) <= -c2 * slope])
