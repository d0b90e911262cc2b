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
# # A step length that both conditions accept
#
# Part of the topic [second-order optimization](../../second_order_optimization.py). Along a direction $p$ let
# $\varphi(t)=f(x+tp)$, with $\varphi'(0)<0$. The strong Wolfe conditions ask for enough decrease and for a slope that is nearly gone:
#
# $$\varphi(t)\le\varphi(0)+c_1t\,\varphi'(0),\qquad|\varphi'(t)|\le c_2\,|\varphi'(0)|,\qquad 0<c_1<c_2<1.$$
#
# If $f$ is bounded below along $p$, such steps exist. The search keeps `low`, the best point with enough decrease so far, and `high`, so
# that an acceptable step lies between them; until there is a `high`, it goes further out. A trial with too large a value becomes `high`. Any
# other becomes `low`, and the old `low` becomes `high` if the slope at the trial points back to it. The next trial is the minimum of the
# cubic through both values and slopes, kept away from the ends.
#
# Near a minimum the decrease asked for is smaller than the rounding of $f$. There a test of the slope alone decides, which on a quadratic
# says the same as the first condition (Hager and Zhang 2005): $(2c_1-1)\varphi'(0)\ge\varphi'(t)$.

# %%
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from level1_foundations.parts.second_order_optimization.objective import Objective
from shared.arrays import validate_number, validate_vector

__all__ = ["LineSearch", "cubic_minimum", "search", "wolfe_line_search"]

EXPANSION, MARGIN, ROUNDING = 4.0, 0.1, 4 * float(np.finfo(float).eps)


@dataclass(frozen=True)
class LineSearch:
    """What a line search found: the step, f and its gradient there, evaluations, and whether both conditions hold."""

    step: float
    fun: float
    gradient: np.ndarray
    n_evaluations: int
    converged: bool


@dataclass(frozen=True)
class Trial:
    """A point of the line: step, value φ, slope φ', gradient."""

    step: float
    value: float
    slope: float
    gradient: np.ndarray


# %% [markdown]
# The cubic with values $v_a,v_b$ and slopes $s_a,s_b$ at $a$ and $b$ has its minimum where its slope, a quadratic, changes sign upward.


# %%
def cubic_minimum(
    a: float, value_a: float, slope_a: float, b: float, value_b: float, slope_b: float
) -> float:  # practice: core
    """Where the cubic through two values and slopes is least; NaN where it has no minimum."""
    d1 = slope_a + slope_b - 3 * (value_a - value_b) / (a - b)
    square = d1 * d1 - slope_a * slope_b
    if not square >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), b - a)
    below = slope_b - slope_a + 2 * d2
    return b - (b - a) * (slope_b + d2 - d1) / below if below else math.nan


def next_step(low: Trial, high: Trial | None, step: float, limit: float) -> float:
    """Further out while there is no `high`; then inside of the bracket."""
    if high is None:
        return min(EXPANSION * step, limit)
    if math.isfinite(high.value):
        found = cubic_minimum(low.step, low.value, low.slope, high.step, high.value, high.slope)
        near, far = sorted((low.step, high.step))
        margin = MARGIN * (far - near)
        if math.isfinite(found):
            return min(max(found, near + margin), far - margin)
    return (low.step + high.step) / 2


def search(
    f: Callable[[np.ndarray], tuple[float, np.ndarray]],
    x: np.ndarray,
    direction: np.ndarray,
    value: float,
    gradient: np.ndarray,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    step: float = 1.0,
    max_step: float = math.inf,
    max_iter: int = 30,
) -> LineSearch:
    """A step along `direction` that meets the strong Wolfe conditions; without one, the best found, `converged` False."""
    slope0 = float(gradient @ direction)
    low, high = Trial(0.0, value, slope0, gradient), None
    rounding = ROUNDING * abs(value)
    step = min(step, max_step)
    used = 0
    for _ in range(max_iter):
        fun, slopes = f(x + step * direction)
        used += 1
        slope = float(slopes @ direction) if math.isfinite(fun) else math.nan
        if not math.isfinite(slope):
            fun = math.inf
        trial = Trial(step, fun, slope, slopes)
        flat = abs(slope) <= -c2 * slope0
        enough = fun <= value + c1 * step * slope0
        lost_in_rounding = abs(fun - value) <= rounding and slope <= (2 * c1 - 1) * slope0
        if flat and (enough or lost_in_rounding):
            return LineSearch(step, fun, slopes, used, converged=True)
        if not enough or fun >= low.value:
            high = trial
        else:
            if slope * ((math.inf if high is None else high.step) - low.step) >= 0:
                high = low
            low = trial
            if high is None and step >= max_step:
                break
        following = next_step(low, high, step, max_step)
        if following == step:
            break
        step = following
    return LineSearch(low.step, low.value, low.gradient, used, converged=False)


def wolfe_line_search(
    f: Any,
    x: Any,
    direction: Any,
    *,
    gradient: Any = None,
    c1: float = 1e-4,
    c2: float = 0.9,
    step: float = 1.0,
    max_step: float = math.inf,
    max_iter: int = 30,
) -> LineSearch:
    """A step t along `direction` with f(x + t·direction) low enough and nearly flat: the strong Wolfe conditions.

    Args:
        f: (n,) → number, or (number, gradient) with `gradient=True`. x, direction: (n,). gradient: a function; by default differences.
        c1, c2: the shares of decrease and of slope, 0 < c1 < c2 < 1. step: the first trial. max_step: no step is longer. max_iter: trials.

    Returns:
        A `LineSearch`; `converged` is False where no step was found in time, and `step` is then the best with enough decrease, or 0.

    Raises:
        ValueError: f does not decrease along the direction at x, or a number is out of its range.
    """
    c1 = validate_number(c1, "c1", minimum=0.0, maximum=1.0, exclusive=True)
    c2 = validate_number(c2, "c2", minimum=c1, maximum=1.0, exclusive=True)
    step = validate_number(step, "step", minimum=0.0, exclusive=True)
    max_step = (
        math.inf
        if max_step == math.inf
        else validate_number(max_step, "max_step", minimum=0.0, exclusive=True)
    )
    max_iter = validate_number(max_iter, "max_iter", minimum=1, integer=True)
    objective = Objective(f, x, gradient)
    direction = validate_vector(direction, "direction", length=len(objective.start), dtype=np.float64)
    slope = float(objective.slope @ direction)
    if not slope < 0:
        raise ValueError(f"direction must point downhill at x, where f has the slope {slope:.3g} along it.")
    found = search(
        objective, objective.start, direction, objective.fun, objective.slope,
        c1=c1, c2=c2, step=step, max_step=max_step, max_iter=max_iter,
    )  # fmt: skip
    return LineSearch(found.step, found.fun, found.gradient, objective.n_evaluations, found.converged)
