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
# # How gradient descent breaks, and what mends it
#
# Five ways to fail, each with the number that a short calculation predicts. All run the code of [gradient
# descent](../gradient_descent.py).

# %%
from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from level1_foundations.automatic_differentiation import Tensor
from level1_foundations.gradient_descent import SGD, Adam, gradient_descent
from shared.failure_mode import Claim, FailureMode, Sweep
from shared.figures import COLORS, plot_sweep, subplots

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure


# %% [markdown]
# The quadratics below have known curvatures and axes that point anywhere: $H = Q\,\mathrm{diag}(h)\,Q$ with a random
# reflection $Q = I - 2vv^\top$. The minimum is at zero, so the distance to it is $\|x\|$.


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


# %% [markdown]
# ## One percent past 2/L
#
# Along a direction of curvature $h$ each step multiplies the error by $1 - \eta h$. After enough steps only the largest
# factor is left, so the distance multiplies in every step by
#
# $$\max\left(|1 - \eta\mu|,\ |1 - \eta L|\right).$$
#
# With $\eta = 1.01\cdot 2/L$ that is $1.02$: the walk moves away by two percent a step, forever, from any start but a set of
# measure zero. With $\eta = 0.99\cdot 2/L$ it is $0.98$. At $2/L$ itself the steepest direction neither grows nor shrinks.
# The formula is exact for quadratics once the other factors have died out; for other functions it holds near the minimum.
#
# **Remedy.** A step below $2/L$. Here $L$ is known; elsewhere a few power iterations on gradient differences estimate it,
# and $1/L$ is the step with the best guarantee.

# %%
MODERATE = {"smallest": 0.1, "largest": 1.0, "dimension": 20}


def distance_factor(
    rng: np.random.Generator, *, share: float, smallest: float, largest: float, dimension: int
) -> float:
    """Measured factor per step of gradient descent with η = share · 2/L."""
    gradient = quadratic_gradient(rng, np.linspace(smallest, largest, dimension))
    start = rng.standard_normal(dimension)
    path = gradient_descent(gradient, start, step_size=share * 2 / largest, n_steps=400).path
    return factor_per_step(path, 200, 400)


def predicted_distance_factor(*, share: float, smallest: float, largest: float, dimension: int) -> float:
    """max |1 − ηh| at the two ends of the spectrum."""
    step = share * 2 / largest
    return max(abs(1 - step * smallest), abs(1 - step * largest))


def draw_two_over_L() -> Figure:
    """The factor by which the distance multiplies in a step, over the step size; both sides of 2/L are marked."""
    figure, axes = subplots(width=7, height=4)
    axes.axhline(1, color=COLORS["muted"], lw=1)
    plot_sweep(axes, STEP_PAST_TWO_OVER_L.breaks, color=COLORS["ours"])
    for share, role in ((1.01, "broken"), (0.99, "mended")):
        factor = distance_factor(np.random.default_rng(1), share=share, **MODERATE)
        axes.plot(share, factor, "o", ms=9, color=COLORS[role], label=f"step {2 * share:g}/L, {role}")
    axes.set(title="The walk turns around at 2/L", ylabel="factor per step")
    axes.legend()
    return figure


STEP_PAST_TWO_OVER_L = FailureMode(
    name="step_past_two_over_L",
    title="One percent past 2/L",
    symptoms=(
        "loss grows from step to step until it overflows",
        "training diverges",
        "loss explodes after a few steps",
    ),
    breaks=Claim(
        statement="A step one percent above 2/L makes the distance to the minimum grow by 2 % a step.",
        quantity="factor of the distance per step",
        experiment=distance_factor,
        predicted=predicted_distance_factor,
        relation="≈",
        tolerance=1e-4,
        rival=1.0,  # the walk neither comes nor goes
        reason="the other directions still hold a share of at most (0.93/1.02)^200 of the distance",
        parameters={"share": 1.01, **MODERATE},
        every_seed=True,
        sweep=Sweep("share", (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1), "step size times L / 2"),
    ),
    remedy=Claim(
        statement="A step one percent below 2/L makes it shrink by 2 % a step.",
        quantity="factor of the distance per step",
        experiment=distance_factor,
        predicted=predicted_distance_factor,
        relation="≈",
        tolerance=1e-4,
        rival=predicted_distance_factor(share=1.01, **MODERATE),
        reason="the other directions still hold a share of at most (0.89/0.98)^200 of the distance",
        parameters={"share": 0.99, **MODERATE},
        every_seed=True,
    ),
    figure=draw_two_over_L,
    seeds=10,
)

# %% [markdown]
# ## The slow valley
#
# With the best fixed step, $2/(L + \mu)$, gradient descent multiplies the error by $(\kappa - 1)/(\kappa + 1)$, so a decimal
# digit takes $\ln 10 \,/ \ln\frac{\kappa + 1}{\kappa - 1} \approx 1.15\,\kappa$ steps.
#
# **Remedy.** Nesterov's momentum with $\eta = 1/L$, $\beta = (\sqrt\kappa - 1)/(\sqrt\kappa + 1)$. On the slowest direction
# the characteristic polynomial has the double root $\rho = 1 - 1/\sqrt\kappa$, and a double root brings a linear factor:
# $e_k = (1 + ak)\rho^k e_0$. The first step is $e_1 = (1 - (1 + \beta)/\kappa)\,e_0$; put in $\beta$ and compare with
# $(1 + a)\rho$ to get $a = 1/(\sqrt\kappa + 1)$. Between the steps $k_1$ and $k_2$ a digit therefore takes
#
# $$\frac{(k_2 - k_1)\ln 10}{(k_2 - k_1)\ln(1/\rho) - \ln\frac{1 + ak_2}{1 + ak_1}}
# \quad\text{steps, close to } 2.3\sqrt\kappa .$$
#
# The formula wants the slowest direction alone: here $\mu$ stands apart from the other curvatures, which lie in $[L/10, L]$.

# %%
VALLEY = {"condition": 100.0, "first": 250, "last": 450}


def valley(
    rng: np.random.Generator, condition: float
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """Gradient of a valley with L = 1 and μ = 1/condition, and a random start."""
    curvatures = np.append(1 / condition, np.linspace(0.1, 1, 19))
    return quadratic_gradient(rng, curvatures), rng.standard_normal(20)


def steps_a_digit_plain(rng: np.random.Generator, *, condition: float, first: int, last: int) -> float:
    """Measured steps per decimal digit of gradient descent with its best step."""
    gradient, start = valley(rng, condition)
    path = gradient_descent(gradient, start, step_size=2 / (1 + 1 / condition), n_steps=last).path
    return -math.log(10) / math.log(factor_per_step(path, first, last))


def predicted_steps_a_digit_plain(*, condition: float, first: int, last: int) -> float:
    """log 10 / log((κ + 1) / (κ − 1))."""
    if condition < 10:
        raise ValueError(
            f"condition must be at least 10, where μ is the smallest curvature, got {condition}."
        )
    return math.log(10) / math.log((condition + 1) / (condition - 1))


def steps_a_digit_nesterov(rng: np.random.Generator, *, condition: float, first: int, last: int) -> float:
    """Measured steps per decimal digit of Nesterov's method on the same valley."""
    gradient, start = valley(rng, condition)
    x, root = Tensor(start, requires_grad=True), math.sqrt(condition)
    optimizer = SGD([x], lr=1.0, momentum=(root - 1) / (root + 1), nesterov=True)
    path = [start.copy()]
    for _ in range(last):
        x.grad = Tensor(gradient(x.array))
        optimizer.step()
        path.append(x.array.copy())
    return -math.log(10) / math.log(factor_per_step(np.array(path), first, last))


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


def draw_valley() -> Figure:
    """Steps for one more digit over the condition number: gradient descent with its best step, and Nesterov's momentum."""
    figure, axes = subplots(width=7, height=4)
    plot_sweep(axes, SLOW_VALLEY.breaks, label="gradient descent")
    plot_sweep(axes, SLOW_VALLEY.remedy, color=COLORS["mended"], label="Nesterov")
    axes.set(title="Steps for one more digit", ylabel="steps per decimal digit", yscale="log")
    axes.legend()
    return figure


def steps_a_digit_of_step_one_over_L(*, condition: float, first: int, last: int) -> float:
    """With the step 1/L, the best without knowledge of μ, the slowest factor is 1 − 1/κ: twice the steps."""
    return -math.log(10) / math.log(1 - 1 / condition)


SLOW_VALLEY = FailureMode(
    name="slow_valley",
    title="The slow valley",
    symptoms=(
        "zig-zag, slower each week",
        "training gets slower and slower",
        "gradient descent does not converge in thousands of steps",
    ),
    breaks=Claim(
        statement="At condition number 100 gradient descent with its best step needs 115 steps a digit.",
        quantity="steps per decimal digit",
        experiment=steps_a_digit_plain,
        predicted=predicted_steps_a_digit_plain,
        relation="≈",
        tolerance=1e-3,
        relative=True,
        rival=steps_a_digit_of_step_one_over_L,
        reason="the other directions are down to rounding; the flattest and steepest decay at this rate",
        parameters=VALLEY,
        every_seed=True,
        sweep=Sweep("condition", (10.0, 30.0, 100.0, 300.0), "condition number", logarithmic=True),
    ),
    remedy=Claim(
        statement="Nesterov's momentum multiplies the error by 1 − 1/√κ: a fifth of the steps a digit.",
        quantity="steps per decimal digit",
        experiment=steps_a_digit_nesterov,
        predicted=predicted_steps_a_digit_nesterov,
        relation="≈",
        tolerance=1e-3,
        relative=True,
        rival=predicted_steps_a_digit_plain,
        reason="the other directions decay at 0.86 a step against 0.9: 1e-5 of them is left at step 250",
        parameters=VALLEY,
        every_seed=True,
        sweep=Sweep("condition", (10.0, 30.0, 100.0, 300.0), "condition number", logarithmic=True),
    ),
    figure=draw_valley,
    seeds=10,
)

# %% [markdown]
# ## The noise floor of a constant step
#
# Let each gradient carry independent noise of variance $\sigma^2$. On $f(x) = \tfrac12 h x^2$ the variance of $x$ settles at
# $s = \eta\sigma^2/\left(h(2 - \eta h)\right)$, and the loss with it at
#
# $$\mathbb{E} f = \tfrac12 h s = \frac{\eta\,\sigma^2}{2(2 - \eta h)} ,$$
#
# exactly, for Gaussian or any other noise, once the start is forgotten ($|1 - \eta h|^{2k}$ is small). Halving the step
# halves the floor; more steps do not lower it.
#
# **Remedy.** Let the step fall as $\eta_k = 1/(h k)$. Multiply $x_k = (1 - \tfrac1k)x_{k-1} - \tfrac{\sigma}{hk}\xi_k$ by
# $k$: the product is a sum of independent terms, so $x_k = -\tfrac{\sigma}{h}\,\overline{\xi}_k$, the mean of all noise so
# far, and
#
# $$\mathbb{E} f = \frac{\sigma^2}{2 h k},$$
#
# which goes to zero. (Averaging the iterates of a larger step does as well without knowing $h$: Polyak and Juditsky, 1992.)

# %%
NOISE = {"step": 0.2, "curvature": 1.0, "sigma": 1.0, "n_steps": 100}
COORDINATES = 5_000


def loss_at_constant_step(
    rng: np.random.Generator, *, step: float, curvature: float, sigma: float, n_steps: int
) -> float:
    """Mean loss a coordinate of SGD after n_steps noisy gradients, over many independent coordinates."""
    x = Tensor(np.ones(COORDINATES), requires_grad=True)
    optimizer = SGD([x], lr=step)
    for _ in range(n_steps):
        x.grad = Tensor(curvature * x.array + sigma * rng.standard_normal(COORDINATES))
        optimizer.step()
    return 0.5 * curvature * float(x.array @ x.array) / COORDINATES


def predicted_floor(*, step: float, curvature: float, sigma: float, n_steps: int) -> float:
    """Half the curvature times the stationary variance ησ²/(h(2 − ηh))."""
    if not 0 < step * curvature < 2 or (1 - step * curvature) ** (2 * n_steps) > 0.01:
        raise ValueError(f"after {n_steps} steps of {step} the start is not forgotten, or the walk diverges.")
    return step * sigma**2 / (2 * (2 - step * curvature))


def loss_at_falling_step(
    rng: np.random.Generator, *, step: float, curvature: float, sigma: float, n_steps: int
) -> float:
    """The same with the step 1/(hk)."""
    path = gradient_descent(
        lambda x: curvature * x + sigma * rng.standard_normal(COORDINATES),
        np.ones(COORDINATES),
        step_size=lambda k: 1 / (curvature * (k + 1)),
        n_steps=n_steps,
    ).path
    return 0.5 * curvature * float(path[-1] @ path[-1]) / COORDINATES


def predicted_falling(*, step: float, curvature: float, sigma: float, n_steps: int) -> float:
    """The loss of a running mean of n noisy points: σ²/(2hn)."""
    return sigma**2 / (2 * curvature * n_steps)


def draw_noise_floor() -> Figure:
    """Left: the loss over the steps, for constant and for falling ones. Right: the floor over the constant step; it has
    a pole at 2/h."""
    figure, (axes, right) = subplots(1, 2, width=9.5, height=4)
    counts = np.unique(np.geomspace(1, 300, 14).astype(int))
    for step, role in ((0.4, "muted"), (0.2, "broken")):
        settings = {**NOISE, "step": step}
        losses = [
            loss_at_constant_step(np.random.default_rng(0), **{**settings, "n_steps": k}) for k in counts[:12]
        ]
        axes.loglog(counts[:12], losses, "o-", ms=4, color=COLORS[role], label=f"constant step {step:g}")
        axes.axhline(predicted_floor(**settings), color=COLORS["theory"], lw=1, zorder=1)
    falling = [loss_at_falling_step(np.random.default_rng(0), **{**NOISE, "n_steps": k}) for k in counts]
    axes.loglog(counts, falling, "o-", ms=4, color=COLORS["mended"], label="step 1/(hk)")
    axes.loglog(counts, 0.5 / counts, color=COLORS["theory"], lw=1, label="theory")
    axes.set(title="A constant step ends in a cloud", xlabel="step", ylabel="loss above the minimum")
    axes.legend()
    plot_sweep(right, NOISE_FLOOR.breaks)
    right.set(title="the floor over the step", yscale="log")
    right.legend()
    return figure


NOISE_FLOOR = FailureMode(
    name="noise_floor",
    title="The noise floor of a constant step",
    symptoms=("loss falls, then hovers", "loss is noisy and stops falling", "training plateaus at a floor"),
    breaks=Claim(
        statement="With noisy gradients and a constant step the loss stops falling at ησ²/(2(2 − ηh)).",
        quantity="loss above the minimum",
        experiment=loss_at_constant_step,
        predicted=predicted_floor,
        relation="≈",
        tolerance=0.04,
        relative=True,
        rival=NOISE["step"] * NOISE["sigma"] ** 2 / 4,  # first order in the step
        reason="exact in expectation; 5,000 coordinates leave 2 % of sampling error a replicate",
        parameters=NOISE,
        sweep=Sweep("step", (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 1.9), "step size times curvature"),
    ),
    remedy=Claim(
        statement="With the step 1/(hk) the loss keeps falling, as σ²/(2hk).",
        quantity="loss above the minimum",
        experiment=loss_at_falling_step,
        predicted=predicted_falling,
        relation="≈",
        tolerance=0.04,
        relative=True,
        rival=predicted_floor,
        reason="exact in expectation; 5,000 coordinates leave 2 % of sampling error a replicate",
        parameters=NOISE,
    ),
    figure=draw_noise_floor,
)

# %% [markdown]
# ## Adam walks to the worst point
#
# Reddi, Kale and Kumar (2018) let the loss on $[-1, 1]$ alternate: $f_t(x) = Cx$ at every third step and $-x$ at the two
# others, with $C > 2$. Three steps sum to $(C - 2)x$, so the best point is $x = -1$. Take $\beta_1 = 0$,
# $\beta_2 = 1/(1 + C^2)$. The large gradient comes once and is divided by its own large $\sqrt v$; by the time of the small
# ones, $v$ has forgotten it.
#
# In the cycle $v$ repeats itself: with $q = \beta_2$,
#
# $$v_1 = q v_3 + (1 - q)C^2, \qquad v_2 = q v_1 + 1 - q, \qquad v_3 = q v_2 + 1 - q,$$
#
# which is solved by $v_1 = \dfrac{(1 - q)(C^2 + q + q^2)}{1 - q^3}$. A cycle moves $x$ by
# $\eta\left(-C/\sqrt{v_1} + 1/\sqrt{v_2} + 1/\sqrt{v_3}\right)$. For $C = 3$ that is $+0.68\,\eta$: to the right, away from
# the minimum, until $x$ stays at the wall $x = 1$. There the cycle visits $1$, $1 - \eta s_1$ and $1 - \eta s_1 + \eta s_2$
# (with $s_1 = C/\sqrt{v_1}$, $s_2 = 1/\sqrt{v_2}$), so the regret a step against $x = -1$ is
#
# $$\frac{2C - (2 - \eta s_1) - (2 - \eta s_1 + \eta s_2)}{3} = \frac{2(C - 2) + \eta(2s_1 - s_2)}{3} .$$
#
# It does not vanish with the step: $\tfrac23(C - 2)$ is left.
#
# **Remedy.** AMSGrad divides by the largest $v$, which is $v_1$, at every step. All gradients count by their size again, the
# cycle drifts to the left, and with $a = \eta/\sqrt{v_1}$ it visits $-1 + 2a$, $-1$, $-1 + a$ (the wall cuts the large
# step). The regret is $a(2C - 1)/3$, proportional to the step. Both hold once the drift has carried $x$ across the interval,
# after at most $20/\eta$ steps.

# %%
REDDI = {"C": 3.0, "lr": 0.02}


def alternating_gradient(t: int, C: float) -> float:
    """C at steps 1, 4, 7, …, else −1."""
    return C if t % 3 == 1 else -1.0


def reddi_path(*, C: float, lr: float, amsgrad: bool, n_steps: int, starts: int = 9) -> np.ndarray:
    """Where Adam stands before each step, from several starts in [−1, 1], projected back to the interval."""
    x = Tensor(np.linspace(-1, 1, starts), requires_grad=True)
    optimizer = Adam([x], lr=lr, betas=(0.0, 1 / (1 + C**2)), amsgrad=amsgrad)
    path = np.empty((n_steps, starts))
    for t in range(1, n_steps + 1):
        path[t - 1] = x.array
        x.grad = Tensor(np.full(starts, alternating_gradient(t, C)))
        optimizer.step()
        np.clip(x.array, -1, 1, out=x.array)
    return path


def regret_a_step(*, C: float, lr: float, amsgrad: bool) -> float:
    """Mean loss above that of x = −1 in the last 300 steps, the worst of all starts."""
    n_steps = 3 * math.ceil(10 / lr) + 300
    path = reddi_path(C=C, lr=lr, amsgrad=amsgrad, n_steps=n_steps)[-300:]
    gradients = np.array([alternating_gradient(t, C) for t in range(n_steps - 299, n_steps + 1)])
    return float((gradients[:, None] * (path + 1)).mean(axis=0).max())


def regret_of_adam(rng: np.random.Generator, *, C: float, lr: float) -> float:
    """Regret a step of Adam on the problem of Reddi et al."""
    return regret_a_step(C=C, lr=lr, amsgrad=False)


def regret_of_amsgrad(rng: np.random.Generator, *, C: float, lr: float) -> float:
    """Regret a step of AMSGrad on the same problem."""
    return regret_a_step(C=C, lr=lr, amsgrad=True)


def cycle_of_v(C: float) -> tuple[float, float, float]:
    """v after the large gradient and after each of the small ones, once the cycle repeats itself."""
    q = 1 / (1 + C**2)
    v1 = (1 - q) * (C**2 + q + q**2) / (1 - q**3)
    v2 = q * v1 + 1 - q
    return v1, v2, q * v2 + 1 - q


def predicted_regret_of_adam(*, C: float, lr: float) -> float:
    """Regret a step at the wrong end of the interval, within the limit cycle of v."""
    v1, v2, v3 = cycle_of_v(C)
    if not (C > 2 and 1 / math.sqrt(v2) + 1 / math.sqrt(v3) > C / math.sqrt(v1)):
        raise ValueError(f"C must be above 2 and the cycle must drift to the right, got C = {C}.")
    return (2 * (C - 2) + lr * (2 * C / math.sqrt(v1) - 1 / math.sqrt(v2))) / 3


def predicted_regret_of_amsgrad(*, C: float, lr: float) -> float:
    """Regret a step at the right end, with the largest v of the cycle in the denominator."""
    largest = math.sqrt(cycle_of_v(C)[0])
    if 2 * largest > 10 * (C - 2):  # 10/lr cycles, each lr (C − 2)/√v₁ to the left
        raise ValueError(
            f"C must be so far above 2 that the drift crosses the interval in time, got C = {C}."
        )
    return lr / largest * (2 * C - 1) / 3


def draw_reddi() -> Figure:
    """Left: where Adam and AMSGrad go from five starts. Right: Adam's regret a step over the size of the large gradient."""
    figure, (axes, right) = subplots(1, 2, width=9.5, height=4, width_ratios=[3, 2])
    for amsgrad, label, role in ((False, "Adam", "broken"), (True, "AMSGrad", "mended")):
        path = reddi_path(**REDDI, amsgrad=amsgrad, n_steps=900)
        axes.plot(path[:, ::2], color=COLORS[role], lw=1)
        axes.plot([], [], color=COLORS[role], label=label)
    v1, v2, v3 = cycle_of_v(REDDI["C"])
    drift = REDDI["lr"] * (-REDDI["C"] / math.sqrt(v1) + 1 / math.sqrt(v2) + 1 / math.sqrt(v3)) / 3
    line = -1 + drift * np.arange(round(2 / drift))
    axes.plot(line, "--", color=COLORS["theory"], label="predicted drift of Adam")
    axes.axhline(-1, color=COLORS["muted"], lw=1)
    axes.set(title="The best point is −1; Adam goes to +1", xlabel="step", ylabel="x")
    axes.legend(loc="center right")
    plot_sweep(right, ADAM_DOES_NOT_CONVERGE.breaks)
    right.set_title("regret a step")
    right.legend()
    return figure


ADAM_DOES_NOT_CONVERGE = FailureMode(
    name="adam_does_not_converge",
    title="Adam walks to the worst point",
    symptoms=("adam ends at a bad point, sgd does not", "adam does not converge"),
    breaks=Claim(
        statement="On the problem of Reddi, Kale and Kumar, Adam ends at the worst point from any start.",
        quantity="regret per step",
        experiment=regret_of_adam,
        predicted=predicted_regret_of_adam,
        relation="≈",
        tolerance=1e-6,
        rival=0.0,  # the regret of a method that converges
        reason="the limit cycle is exact; what remains is ε = 1e-8 in the denominator and rounding",
        parameters=REDDI,
        deterministic=True,
        sweep=Sweep("C", (2.2, 2.5, 3.0, 4.0, 5.0), "large gradient C"),
    ),
    remedy=Claim(
        statement="AMSGrad ends at the best point, up to a cycle as wide as its step.",
        quantity="regret per step",
        experiment=regret_of_amsgrad,
        predicted=predicted_regret_of_amsgrad,
        relation="≈",
        tolerance=1e-6,
        rival=predicted_regret_of_adam,
        reason="the limit cycle is exact; what remains is ε = 1e-8 in the denominator and rounding",
        parameters=REDDI,
        deterministic=True,
    ),
    figure=draw_reddi,
)

# %% [markdown]
# ## Waiting at a saddle
#
# $f(x, y) = \tfrac12 x^2 - \tfrac12\lambda y^2 + \tfrac14 y^4$ has minima at $y = \pm\sqrt\lambda$ and a saddle between
# them. On the ridge $y = 0$ gradient descent runs straight into the saddle and *converges* there: the gradient is zero.
# Started at a distance $\varepsilon$ from the ridge, it leaves by the factor $1 + \eta\lambda$ a step, so it passes
# $|y| = r$ after
#
# $$\frac{\ln(r/|y_0|)}{\ln(1 + \eta\lambda)}$$
#
# steps. For $y_0 = \varepsilon\xi$ with a standard normal $\xi$, $\mathbb{E}\ln|\xi| = -\tfrac12(\gamma + \ln 2) = -0.635$
# ($\gamma$ is Euler's constant), and counting whole steps adds a half on average:
#
# $$\mathbb{E}\,[\text{steps}] = \frac{\ln(r/\varepsilon) + 0.635}{\ln(1 + \eta\lambda)} + \frac12 .$$
#
# An $\varepsilon$ the size of rounding waits for hundreds of steps. The formula is that of the quadratic part; inside
# $|y| < r$ the quartic slows the walk by at most the factor $1 - r^2/\lambda$ in the exponent, less than half a step in all.
#
# **Remedy.** When the gradient is small, add noise of a visible size (Jin et al., 2017): the same formula with a larger
# $\varepsilon$. The noise of minibatches can do the same.

# %%
SADDLE = {"curvature": 0.1, "step": 0.5, "radius": 0.05, "n_starts": 1000}


def saddle_gradient(points: np.ndarray, curvature: float) -> np.ndarray:
    """∇f at each row (x, y)."""
    x, y = points[:, 0], points[:, 1]
    return np.stack([x, y * (y * y - curvature)], axis=1)


def wait_at_saddle(
    rng: np.random.Generator, *, offset: float, curvature: float, step: float, radius: float, n_starts: int
) -> float:
    """Mean steps until |y| ≥ radius, after noise of size `offset` is added where descent converged."""

    def gradient(points: np.ndarray) -> np.ndarray:
        return saddle_gradient(points, curvature)

    stuck = gradient_descent(gradient, [[1.0, 0.0]], step_size=step, n_steps=1000, tol=1e-9)
    assert stuck.converged
    starts = stuck.x + offset * rng.standard_normal((n_starts, 2))
    n_steps = math.ceil((math.log(radius / offset) + 12) / math.log(1 + step * curvature))
    path = gradient_descent(gradient, starts, step_size=step, n_steps=n_steps).path[:, :, 1]
    escaped = np.abs(path) >= radius
    return float(np.where(escaped.any(axis=0), escaped.argmax(axis=0), n_steps).mean())


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


def draw_saddle() -> Figure:
    """Mean steps until the saddle is left, over the distance from its ridge; the broken and the mended one are marked."""
    figure, axes = subplots(width=7, height=4)
    plot_sweep(axes, WAITING_AT_A_SADDLE.breaks, color=COLORS["ours"])
    for offset, role in ((1e-12, "broken"), (1e-3, "mended")):
        waited = wait_at_saddle(np.random.default_rng(1), offset=offset, **SADDLE)
        axes.plot(offset, waited, "o", ms=9, color=COLORS[role], label=f"{role}, offset {offset:g}")
    axes.set(title="Leaving a saddle", ylabel="steps until it is left")
    axes.legend()
    return figure


WAITING_AT_A_SADDLE = FailureMode(
    name="waiting_at_a_saddle",
    title="Waiting at a saddle",
    symptoms=(
        "loss flat for hundreds of steps, then falls",
        "stuck on a plateau at the start",
        "gradient is almost zero but the loss is high",
    ),
    breaks=Claim(
        statement="An offset of 1e-12 from the ridge holds gradient descent at the saddle for 500 steps.",
        quantity="mean number of steps until the saddle is left",
        experiment=wait_at_saddle,
        predicted=predicted_wait,
        relation="≈",
        tolerance=1.5,
        rival=wait_of_the_typical_offset,
        reason="the quartic term costs less than half a step, 20 × 1,000 starts leave less than one",
        parameters={"offset": 1e-12, **SADDLE},
        sweep=Sweep("offset", (1e-12, 1e-9, 1e-6, 1e-3, 1e-2), "distance from the ridge", logarithmic=True),
    ),
    remedy=Claim(
        statement="A perturbation of 1e-3 is out in fewer than 100.",
        quantity="mean number of steps until the saddle is left",
        experiment=wait_at_saddle,
        predicted=predicted_wait,
        relation="≈",
        tolerance=1.5,
        rival=predicted_wait(offset=1e-12, **SADDLE),
        reason="the quartic term costs less than half a step, 20 × 1,000 starts leave less than one",
        parameters={"offset": 1e-3, **SADDLE},
    ),
    figure=draw_saddle,
)

# %%
FAILURE_MODES = (STEP_PAST_TWO_OVER_L, SLOW_VALLEY, NOISE_FLOOR, ADAM_DOES_NOT_CONVERGE, WAITING_AT_A_SADDLE)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
