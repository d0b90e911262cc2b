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
# # Around the walk: its result, its arguments, and how it gets lost
#
# Part of the topic [gradient descent](../../gradient_descent.py). No mathematics: what `gradient_descent` accepts, what it
# returns, and what it says when a step leaves the finite numbers.

# %%
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.arrays import check_unchanged, validate_number
from shared.estimator import warn_not_converged

__all__ = [
    "DescentResult",
    "check_step_size",
    "euclidean_norm",
    "explain_lost_walk",
    "explain_slow_walk",
    "gradient_at",
    "start_point",
]


# %%
@dataclass(frozen=True, repr=False)
class DescentResult:
    """Where a walk went. Prints as one line.

    Attributes:
        x: the last point. path: all points from x0 on, stacked, shape (steps taken + 1, *shape of x0).
        converged: whether the Euclidean norm of the gradient at `x` is at most `tol`.
    """

    x: np.ndarray
    path: np.ndarray
    converged: bool

    def __repr__(self) -> str:
        steps = len(self.path) - 1
        return (
            f"DescentResult(x {point_text(self.x)}, {steps} step{'' if steps == 1 else 's'}, "
            f"{'converged' if self.converged else 'not converged'}; see x, path)"
        )


def point_text(x: np.ndarray) -> str:
    """A point in a message: its numbers if there are few, else its shape."""
    return f"= {np.array2string(x, precision=4)}" if x.ndim < 2 and x.size <= 4 else f"of shape {x.shape}"


# %%
def euclidean_norm(g: np.ndarray) -> float:
    """‖g‖ over all entries."""
    return math.sqrt(np.vdot(g, g))


def start_point(x0: Any) -> np.ndarray:
    """x0 as an array of floats, checked."""
    x = np.array(x0)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"x0 must hold real numbers, got dtype {x.dtype}.")
    if x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"x0 must hold at least one number, all of them finite, got {x0!r}.")
    return x if x.dtype == np.float32 else x.astype(np.float64)


def check_step_size(step_size: Any) -> Callable[[int], float]:
    """The step size as a function of the step, whose every value is checked."""
    schedule = step_size if callable(step_size) else None
    if schedule is None:
        constant = validate_number(step_size, "step_size", minimum=0, exclusive=True)

    def at(step: int) -> float:
        value = constant if schedule is None else float(schedule(step))
        if not 0 <= value < math.inf:
            raise ValueError(
                f"step_size must be a finite number that is at least 0, got {value!r} at step {step}."
            )
        return value

    return at


def gradient_at(gradient: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:
    """∇f(x) as an array of the type of x, its shape checked.

    Raises:
        ValueError: it has another shape, or `gradient` wrote into its argument.
    """
    given = x.copy()
    g = np.asarray(gradient(given), dtype=x.dtype)
    check_unchanged(x, given, "gradient")
    if g.shape != x.shape:
        raise ValueError(f"gradient must return an array of the shape of x, {x.shape}, got {g.shape}.")
    return g


def explain_lost_walk(path: np.ndarray, g: np.ndarray) -> None:
    """Warn that the walk left the finite numbers, and say whether the gradient or the step is to blame.

    `g` is the gradient at the last point of `path`. It overflows, too, once the steps have grown; so it is blamed
    only where the last step was less than ten times as long as the first.
    """
    step, place = len(path), point_text(path[-1])
    grew = step > 2 and euclidean_norm(path[-1] - path[-2]) >= 10 * euclidean_norm(path[1] - path[0])
    if grew or np.isfinite(g).all():
        message = (
            f"gradient_descent left the finite numbers at step {step} and stopped before it, at x {place}: "
            "its steps grew, so step_size is too large for this function; it must stay below 2/L, L the largest "
            "curvature."
        )
    else:
        message = (
            f"gradient_descent stopped before step {step}: gradient is not finite at x {place}, "
            + (
                "the start"
                if step == 1
                else f"which is {euclidean_norm(path[-1] - path[0]):.3g} away from x0"
            )
            + ". Look at gradient there: a division by 0, the logarithm or root of a negative number, an overflow?"
            + (" Lower step_size only if no step should have led there." if step > 1 else "")
        )
    warn_not_converged(message, stacklevel=4)


def explain_slow_walk(taken: int, norm: float, tol: float) -> None:
    """Warn that the gradient is still larger than was asked for."""
    warn_not_converged(
        f"gradient_descent did not converge: after {taken} steps the norm of the gradient is {norm:.3g}, above tol={tol:.3g}. "
        "Increase n_steps, scale the variables, or use a method with momentum.",
        stacklevel=4,
    )
