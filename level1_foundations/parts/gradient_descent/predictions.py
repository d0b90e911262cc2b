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
# # What theory predicts for each failure
#
# Part of the topic [gradient descent](../../gradient_descent.py). The formulas that [how it breaks](../../failure_modes/gradient_descent.py)
# derives, one function each. None of them runs an optimizer. Where a formula stops being true, it raises.

# %%
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

# %% [markdown]
# ## Quadratics of known curvature
#
# $H = Q\,\mathrm{diag}(h)\,Q$ with a random reflection $Q = I - 2vv^\top$.


# %%
def quadratic_gradient(
    rng: np.random.Generator, curvatures: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """x → Hx for a random reflection of the diagonal matrix of these curvatures."""
    v = rng.standard_normal(len(curvatures))
    v /= math.sqrt(v @ v)

    def reflect(x: np.ndarray) -> np.ndarray:
        return x - 2 * (v @ x) * v

    return lambda x: reflect(curvatures * reflect(x))


def factor_per_step(path: np.ndarray, first: int, last: int) -> float:
    """By how much the distance to zero multiplies in a step, between two steps of a path."""
    before, after = (math.sqrt(path[k] @ path[k]) for k in (first, last))
    return (after / before) ** (1 / (last - first))


def predicted_distance_factor(*, share: float, smallest: float, largest: float, dimension: int) -> float:
    """max |1 − ηh| at the two ends of the spectrum."""
    step = share * 2 / largest
    return max(abs(1 - step * smallest), abs(1 - step * largest))


# %% [markdown]
# ## The slow valley


# %%
def predicted_steps_a_digit_plain(*, condition: float, first: int, last: int) -> float:
    """log 10 / log((κ + 1) / (κ − 1))."""
    if condition < 10:
        raise ValueError(
            f"condition must be at least 10, where μ is the smallest curvature, got {condition}."
        )
    return math.log(10) / math.log((condition + 1) / (condition - 1))


def steps_a_digit_of_step_one_over_L(*, condition: float, first: int, last: int) -> float:
    """With the step 1/L, the best without knowledge of μ, the slowest factor is 1 − 1/κ: twice the steps."""
    return -math.log(10) / math.log(1 - 1 / condition)


def predicted_steps_a_digit_nesterov(*, condition: float, first: int, last: int) -> float:
    """The double root 1 − 1/√κ, with the linear factor that a double root brings."""
    if condition < 10:
        raise ValueError(
            f"condition must be at least 10, where μ is the smallest curvature, got {condition}."
        )
    root = math.sqrt(condition)
    rate, growth = 1 - 1 / root, 1 / (root + 1)
    log_gain = -(last - first) * math.log(rate) - math.log((1 + growth * last) / (1 + growth * first))
    return (last - first) * math.log(10) / log_gain


# %% [markdown]
# ## Momentum on real data
#
# Least squares on the standardized breast-cancer data has the Hessian $H = X^\top X/n$. Power iteration finds its largest
# curvature $L$ and that direction.


# %%
def steepest_curvature(n_iterations: int = 200) -> tuple[np.ndarray, float, np.ndarray]:
    """H of least squares on breast cancer, its largest eigenvalue L and the unit eigenvector, by power iteration."""
    from shared.datasets import load_breast_cancer

    data = load_breast_cancer()
    X = (data.X - data.X.mean(axis=0)) / data.X.std(axis=0)
    hessian = X.T @ X / len(X)
    direction = np.ones(len(hessian))
    for _ in range(n_iterations):
        direction = hessian @ direction
        direction /= math.sqrt(direction @ direction)
    return hessian, float(direction @ hessian @ direction), direction


def step_limit(beta: float, *, nesterov: bool) -> float:
    """The largest stable step in units of 1/L: 2(1 + β) of the heavy ball, 2(1 + β)/(1 + 2β) of Nesterov's momentum."""
    return 2 * (1 + beta) / (1 + 2 * beta) if nesterov else 2 * (1 + beta)


def predicted_momentum_factor(*, step: float, beta: float, nesterov: bool) -> float:
    """Largest root of the recursion along the steepest direction, at the step `step`/L; its roots must be real, else it spirals."""
    half = (1 + beta) * (1 - step) / 2 if nesterov else (1 + beta - step) / 2
    product = beta * (1 - step) if nesterov else beta
    if half * half < product:
        raise ValueError(
            f"at a step of {step:g}/L the roots are complex: the error turns, and has no factor per step."
        )
    return abs(half) + math.sqrt(half * half - product)


def plain_factor(*, step: float, beta: float, nesterov: bool) -> float:
    """The nearest wrong theory: the rule 2/L of plain descent, as if momentum did not change it."""
    return abs(1 - step)


# %% [markdown]
# ## Noise


# %%
def predicted_floor(*, step: float, curvature: float, sigma: float, n_steps: int) -> float:
    """Half the curvature times the stationary variance ησ²/(h(2 − ηh))."""
    if not 0 < step * curvature < 2 or (1 - step * curvature) ** (2 * n_steps) > 0.01:
        raise ValueError(f"after {n_steps} steps of {step} the start is not forgotten, or the walk diverges.")
    return step * sigma**2 / (2 * (2 - step * curvature))


def predicted_falling(*, step: float, curvature: float, sigma: float, n_steps: int) -> float:
    """The loss of a running mean of n noisy points: σ²/(2hn)."""
    return sigma**2 / (2 * curvature * n_steps)


# %% [markdown]
# ## The limit cycle of Adam


# %%
def cycle_of_v(C: float) -> tuple[float, float, float]:
    """v after the large gradient and after each of the small ones, once the cycle repeats itself."""
    q = 1 / (1 + C**2)
    v1 = (1 - q) * (C**2 + q + q**2) / (1 - q**3)
    v2 = q * v1 + 1 - q
    return v1, v2, q * v2 + 1 - q


def predicted_regret_of_adam(*, C: float, lr: float, **_: bool) -> float:
    """Regret a step at the wrong end of the interval, within the limit cycle of v."""
    v1, v2, v3 = cycle_of_v(C)
    if not (C > 2 and 1 / math.sqrt(v2) + 1 / math.sqrt(v3) > C / math.sqrt(v1)):
        raise ValueError(f"C must be above 2 and the cycle must drift to the right, got C = {C}.")
    return (2 * (C - 2) + lr * (2 * C / math.sqrt(v1) - 1 / math.sqrt(v2))) / 3


def predicted_regret_of_amsgrad(*, C: float, lr: float, **_: bool) -> float:
    """Regret a step at the right end, with the largest v of the cycle in the denominator."""
    largest = math.sqrt(cycle_of_v(C)[0])
    if 2 * largest > 10 * (C - 2):  # 10/lr cycles, each lr (C − 2)/√v₁ to the left
        raise ValueError(
            f"C must be so far above 2 that the drift crosses the interval in time, got C = {C}."
        )
    return lr / largest * (2 * C - 1) / 3


# %% [markdown]
# ## Weight decay


# %%
def predicted_decoupled(*, lr: float, decay: float, n_steps: int, **_: float) -> float:
    """(1 − ηλ)ⁿ of the weight is left, whatever the size of the gradients."""
    return (1 - lr * decay) ** n_steps


def predicted_coupled(*, lr: float, decay: float, size: float, n_steps: int, **_: float) -> float:
    """(1 − ηλ/s)ⁿ is left where the gradients have size s: the pull is divided by their root mean square."""
    if decay > 0.1 * size:
        raise ValueError(
            f"decay must be small against the gradients' size {size:g}, a tenth at most, got {decay:g}."
        )
    return (1 - lr * decay / size) ** n_steps


# %% [markdown]
# ## The saddle


# %%
def predicted_wait(*, offset: float, curvature: float, step: float, radius: float, n_starts: int) -> float:
    """log(distance / offset) / log(1 + η|λ|)."""
    if offset > radius / 4 or radius**2 > 0.05 * curvature:
        raise ValueError("offset must be far inside radius, and radius where the quadratic part rules.")
    mean_log_normal = -0.5 * (np.euler_gamma + math.log(2))
    return (math.log(radius / offset) - mean_log_normal) / math.log(1 + step * curvature) + 0.5


def wait_of_the_typical_offset(
    *, offset: float, curvature: float, step: float, radius: float, n_starts: int
) -> float:
    """As if each start stood ε from the ridge: it forgets that the logarithm of a normal variable has a mean of its own."""
    return math.log(radius / offset) / math.log(1 + step * curvature) + 0.5
