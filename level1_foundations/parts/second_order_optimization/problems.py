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
# # Functions that minimizers are tried on
#
# Part of the topic [second-order optimization](../../second_order_optimization.py). All but the logistic loss are sums of squares $f=\tfrac12\lVert r\rVert^2$, so
# that one residual and one Jacobian give value, gradient, and the least-squares problem.

# %%
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.numerics import sigmoid, softplus

__all__ = ["PROBLEMS", "LogisticLoss", "Problem"]


@dataclass(frozen=True)
class Problem:
    """Residuals and Jacobian, the start that the literature uses, and where the minimum is."""

    residual: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray], np.ndarray]
    start: tuple[float, ...]
    minimum: tuple[float, ...]

    def value(self, x: np.ndarray) -> float:
        """½‖r‖²."""
        r = self.residual(x)
        return 0.5 * float(r @ r)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Jᵀr."""
        return self.jacobian(x).T @ self.residual(x)

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """Central differences of the gradient, made symmetric."""
        columns = []
        for i in range(len(x)):
            h = np.zeros(len(x))
            h[i] = 6e-6 * max(1.0, abs(x[i]))
            columns.append((self.gradient(x + h) - self.gradient(x - h)) / (2 * h[i]))
        H = np.array(columns)
        return (H + H.T) / 2


# %%
ROOT = np.sqrt
POWERS = np.arange(1, 4)

PROBLEMS = {
    "Rosenbrock": Problem(
        lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]),
        lambda x: np.array([[-20 * x[0], 10.0], [-1.0, 0.0]]),
        (-1.2, 1.0),
        (1.0, 1.0),
    ),
    "Beale": Problem(
        lambda x: np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** POWERS),
        lambda x: np.stack([x[1] ** POWERS - 1, x[0] * POWERS * x[1] ** (POWERS - 1)], axis=1),
        (1.0, 1.0),
        (3.0, 0.5),
    ),
    "Powell's singular": Problem(
        lambda x: np.array([x[0] + 10 * x[1], ROOT(5) * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, ROOT(10) * (x[0] - x[3]) ** 2]),
        lambda x: np.array([
            [1.0, 10.0, 0.0, 0.0],
            [0.0, 0.0, ROOT(5), -ROOT(5)],
            [0.0, 2 * (x[1] - 2 * x[2]), -4 * (x[1] - 2 * x[2]), 0.0],
            [2 * ROOT(10) * (x[0] - x[3]), 0.0, 0.0, -2 * ROOT(10) * (x[0] - x[3])],
        ]),
        (3.0, -1.0, 0.0, 1.0),
        (0.0, 0.0, 0.0, 0.0),
    ),
    "Wood": Problem(
        lambda x: np.array([
            10 * (x[1] - x[0] ** 2), 1 - x[0], ROOT(90) * (x[3] - x[2] ** 2), 1 - x[2],
            ROOT(10) * (x[1] + x[3] - 2), (x[1] - x[3]) / ROOT(10),
        ]),
        lambda x: np.array([
            [-20 * x[0], 10.0, 0.0, 0.0],
            [-1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, -2 * ROOT(90) * x[2], ROOT(90)],
            [0.0, 0.0, -1.0, 0.0],
            [0.0, ROOT(10), 0.0, ROOT(10)],
            [0.0, 1 / ROOT(10), 0.0, -1 / ROOT(10)],
        ]),
        (-3.0, -1.0, -3.0, -1.0),
        (1.0, 1.0, 1.0, 1.0),
    ),
    "Himmelblau": Problem(
        lambda x: np.array([x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7]),
        lambda x: np.array([[2 * x[0], 1.0], [1.0, 2 * x[1]]]),
        (1.0, 1.0),
        (3.0, 2.0),
    ),
}  # fmt: skip


# %% [markdown]
# The mean logistic loss $\frac1n\sum_i\log(1+e^{-s_i z_i^\top x})+\frac\alpha2\lVert x\rVert^2$, $s_i=\pm1$: convex, and with $\alpha>0$ strictly. Its Hessian is
# $\frac1nZ^\top\operatorname{diag}(\pi_i(1-\pi_i))Z+\alpha I$.


# %%
class LogisticLoss:
    """Value, gradient and Hessian of the mean logistic loss of rows Z (n, d) with signs (n,), and an L2 penalty."""

    def __init__(self, Z: np.ndarray, signs: np.ndarray, penalty: float = 0.0) -> None:
        self.signed, self.penalty = signs[:, None] * Z, penalty

    def value(self, x: np.ndarray) -> float:
        """f(x)."""
        return float(np.mean(softplus(-(self.signed @ x))) + 0.5 * self.penalty * (x @ x))

    def both(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """f(x) and its gradient, from one product with the rows."""
        margins = self.signed @ x
        value = float(np.mean(softplus(-margins)) + 0.5 * self.penalty * (x @ x))
        return value, self.penalty * x - sigmoid(-margins) @ self.signed / len(margins)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """(d,)."""
        return self.both(x)[1]

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """(d, d)."""
        share = sigmoid(self.signed @ x)
        weighted = (share * (1 - share))[:, None] * self.signed
        return self.signed.T @ weighted / len(share) + self.penalty * np.eye(len(x))
