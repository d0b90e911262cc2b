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
# # The function that is minimized, and what comes back
#
# Part of the topic [second-order optimization](../../second_order_optimization.py): counts evaluations, guards the argument, supplies
# difference quotients where no derivative is given, and holds the result.

# %%
from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.arrays import check_unchanged, validate_number, validate_vector
from shared.estimator import ConvergenceWarning
from shared.gradients import numerical_gradient

__all__ = ["Objective", "OptimizationResult", "Residuals", "finished", "forward_differences"]


@dataclass(frozen=True)
class OptimizationResult:
    """Where a minimizer ended.

    Attributes:
        x: (n,). fun: the objective there; for least squares half the sum of squares. gradient: (n,). n_iter: steps taken.
        n_evaluations: calls of the function, those for difference quotients included. converged: whether a stopping rule was met.
        message: which one, or why not.
    """

    x: np.ndarray
    fun: float
    gradient: np.ndarray
    n_iter: int
    n_evaluations: int
    converged: bool
    message: str


def finished(x: np.ndarray, fun: float, gradient: np.ndarray, n_iter: int, n_evaluations: int, message: str, *, converged: bool) -> OptimizationResult:  # fmt: skip
    """The result; with a ConvergenceWarning where no stopping rule was met."""
    if not converged:
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    return OptimizationResult(x, float(fun), gradient, n_iter, n_evaluations, converged, message)


# %% [markdown]
# ## Difference quotients
# $\partial_if\approx(f(x+h_ie_i)-f(x))/h_i$ with $h_i=\sqrt\varepsilon\max(1,|x_i|)$: truncation $hf''/2$ and rounding of about $\operatorname{ulp}(f)/h$ are then
# of one size if $f$ and $f''$ are near 1, and not if $f$ is large ([how that fails](../../failure_modes/second_order_optimization.py)).

# %%
ROOT_EPSILON = float(np.sqrt(np.finfo(float).eps))


def forward_differences(f: Callable[[np.ndarray], float], x: np.ndarray, value: float) -> np.ndarray:
    """The gradient of f at x, (n,), from f(x) and n further values."""
    gradient = np.empty(len(x))
    for i in range(len(x)):
        moved = x.copy()
        moved[i] += ROOT_EPSILON * max(1.0, abs(x[i]))
        gradient[i] = (f(moved) - value) / (moved[i] - x[i])  # the distance really gone
    return gradient


# %%
class Objective:
    """f and its gradient at a point, each counted.

    Args:
        f: (n,) → number, or (number, gradient) where `gradient` is True. gradient: (n,) → (n,), or True, or None for forward differences.
        x0: the start, checked here.

    Raises:
        TypeError: f or gradient cannot be called. ValueError: x0, or f or its gradient there, is not finite or of the wrong shape.
    """

    def __init__(self, f: Any, x0: Any, gradient: Any) -> None:
        if not callable(f):
            raise TypeError(f"f must be a function of a vector, got {type(f).__name__}.")
        if not (callable(gradient) or gradient is None or gradient is True):
            raise TypeError(f"gradient must be a function, True (f returns both) or None, got {gradient!r}.")
        self.start = validate_vector(x0, "x0", dtype=np.float64).copy()
        self._f, self._gradient, self.n_evaluations = f, gradient, 0
        value, slope = self(self.start)
        if not np.isfinite(value):
            raise ValueError(f"f must be finite at x0, got {value}.")
        if not np.isfinite(slope).all():
            raise ValueError(f"gradient must be finite at x0, got {slope}.")
        self.fun, self.slope = value, slope

    def _call(self, x: np.ndarray) -> Any:
        self.n_evaluations += 1
        given = x.copy()
        result = self._f(given)
        check_unchanged(x, given, "f")
        return result

    def value(self, x: np.ndarray) -> float:
        """f(x) alone."""
        result = self._call(x)
        return _number(result[0] if self._gradient is True else result)

    def resolution(self, x: np.ndarray, value: float) -> float:
        """What the rounding of f alone gives a difference quotient: ulp(f)/(√6 h), the least of all coordinates; 0 with a gradient."""
        if self._gradient is not None:
            return 0.0
        return float(
            np.spacing(abs(value)) / (np.sqrt(6) * ROOT_EPSILON * max(1.0, float(np.max(np.abs(x)))))
        )

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """f(x) and its gradient there."""
        result = self._call(x)
        value = _number(result[0] if self._gradient is True else result)
        if not np.isfinite(value):
            return value, np.full(len(x), np.nan)
        if self._gradient is None:
            return value, forward_differences(lambda point: _number(self._call(point)), x, value)
        given = x.copy()
        slope = result[1] if self._gradient is True else self._gradient(given)
        check_unchanged(x, given, "gradient")
        slope = np.array(slope, dtype=np.float64)
        if slope.shape != x.shape:
            raise ValueError(f"gradient must return the shape of x, {x.shape}, got {slope.shape}.")
        return value, slope


def _number(value: Any) -> float:
    array = np.asarray(value, dtype=np.float64)
    if array.size != 1:
        raise ValueError(f"f must return one number, got the shape {array.shape}.")
    return float(array.reshape(()))


# %%
class Residuals:
    """The residuals r(x) of a least-squares problem and their Jacobian, each counted; central differences where none is given.

    Raises:
        TypeError: residual or jacobian cannot be called. ValueError: x0, or what the functions return there, is not finite or does not
            fit, or there are fewer residuals than parameters.
    """

    def __init__(self, residual: Any, x0: Any, jacobian: Any) -> None:
        if not callable(residual):
            raise TypeError(f"residual must be a function of a vector, got {type(residual).__name__}.")
        if not (callable(jacobian) or jacobian is None):
            raise TypeError(f"jacobian must be a function or None, got {jacobian!r}.")
        self.start = validate_vector(x0, "x0", dtype=np.float64).copy()
        self._residual, self._jacobian, self.n_evaluations = residual, jacobian, 0
        self.first = self(self.start)
        if not np.isfinite(self.first).all():
            raise ValueError(f"residual must be finite at x0, got {self.first}.")
        if len(self.first) < len(self.start):
            raise ValueError(
                f"residual must return at least as many values as x has, {len(self.start)}, got {len(self.first)}."
            )

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """r(x), (m,)."""
        self.n_evaluations += 1
        given = x.copy()
        values = np.array(self._residual(given), dtype=np.float64)
        check_unchanged(x, given, "residual")
        if values.ndim != 1:
            raise ValueError(f"residual must return a vector, got the shape {values.shape}.")
        return values

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Derivatives of r at x, (m, n)."""
        if self._jacobian is None:
            size = np.where(x == 0, 1.0, np.abs(x))  # parameters of 1e-7 stand beside some of 1e3
            return numerical_gradient(lambda share: self(share * size), x / size) / size
        given = x.copy()
        J = np.array(self._jacobian(given), dtype=np.float64)
        check_unchanged(x, given, "jacobian")
        if J.shape != (len(self.first), len(x)):
            raise ValueError(f"jacobian must return the shape {(len(self.first), len(x))}, got {J.shape}.")
        if not np.isfinite(J).all():
            raise ValueError(f"jacobian must be finite, got {J} at x = {x}.")
        return J


def validate_stopping(tol: Any, max_iter: Any) -> tuple[float, int]:
    """The stopping rule's numbers, checked."""
    tol = validate_number(tol, "tol", minimum=0.0)
    max_iter = validate_number(max_iter, "max_iter", minimum=1, integer=True)
    return float(tol), int(max_iter)
