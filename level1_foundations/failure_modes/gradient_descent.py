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
# Seven ways to fail, each with the number that a short calculation predicts; the formulas as code stand in
# [predictions](../parts/gradient_descent/predictions.py). All run the code of [gradient descent](../gradient_descent.py).

# %%
from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from level1_foundations.automatic_differentiation import Tensor
from level1_foundations.gradient_descent import SGD, Adam, AdamW, gradient_descent
from level1_foundations.parts.gradient_descent import pictures
from level1_foundations.parts.gradient_descent import predictions as theory
from shared.failure_mode import Claim, FailureMode, Sweep
from shared.figures import COLORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure


# %% [markdown]
# The quadratics below have known curvatures and axes that point anywhere: $H = Q\,\mathrm{diag}(h)\,Q$ with a random
# reflection $Q = I - 2vv^\top$. The minimum is at zero, so the distance to it is $\|x\|$.
#
# ## One percent past 2/L
#
# Along a direction of curvature $h$ each step multiplies the error by $1 - \eta h$. After enough steps only the largest
# factor is left, so the distance multiplies in every step by
#
# $$\max\left(|1 - \eta\mu|,\ |1 - \eta L|\right).$$
#
# With $\eta = 1.01\cdot 2/L$ that is $1.02$: the walk ends in moving away by two percent a step, from any start but a set of
# measure zero. (The loss may fall at first, while other directions shrink.) With $\eta = 0.99\cdot 2/L$ it is $0.98$. The formula
# is exact for quadratics once the other factors have died out; for other functions it holds near the minimum.
#
# **Remedy.** A step below $2/L$. Here $L$ is known; elsewhere a few power iterations on gradient differences estimate it,
# and $1/L$ is the step with the best guarantee.

# %%
MODERATE = {"smallest": 0.1, "largest": 1.0, "dimension": 20}


def distance_factor(
    rng: np.random.Generator, *, share: float, smallest: float, largest: float, dimension: int
) -> float:
    """Measured factor per step of gradient descent with η = share · 2/L."""
    gradient = theory.quadratic_gradient(rng, np.linspace(smallest, largest, dimension))
    start = rng.standard_normal(dimension)
    path = gradient_descent(gradient, start, step_size=share * 2 / largest, n_steps=400).path
    return theory.factor_per_step(path, 200, 400)


def draw_two_over_L() -> Figure:
    """The factor by which the distance multiplies in a step, over the step size; both sides of 2/L are marked."""
    figure, axes = pictures.sweeps(
        "The walk turns around at 2/L", "factor per step", (STEP_PAST_TWO_OVER_L.breaks, "ours"), level=1
    )
    for share, role in ((1.01, "broken"), (0.99, "mended")):
        factor = distance_factor(np.random.default_rng(1), share=share, **MODERATE)
        pictures.mark(axes, share, factor, role, f"step {2 * share:g}/L, {role}")
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
        predicted=theory.predicted_distance_factor,
        relation="≈",
        tolerance=1e-7,
        rival=1.0,  # the walk neither comes nor goes
        reason="the other directions hold a share of some (0.93/1.02)^200 = 1e-8 of the distance after 200 steps",
        parameters={"share": 1.01, **MODERATE},
        every_seed=True,
        sweep=Sweep("share", (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1), "step size times L / 2"),
    ),
    remedy=Claim(
        statement="A step one percent below 2/L makes it shrink by 2 % a step.",
        quantity="factor of the distance per step",
        experiment=distance_factor,
        predicted=theory.predicted_distance_factor,
        relation="≈",
        tolerance=1e-7,
        rival=theory.predicted_distance_factor(share=1.01, **MODERATE),
        reason="the other directions hold a share of some (0.89/0.98)^200 = 1e-8 of the distance after 200 steps",
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
    return theory.quadratic_gradient(rng, curvatures), rng.standard_normal(20)


def steps_a_digit_plain(rng: np.random.Generator, *, condition: float, first: int, last: int) -> float:
    """Measured steps per decimal digit of gradient descent with its best step."""
    gradient, start = valley(rng, condition)
    path = gradient_descent(gradient, start, step_size=2 / (1 + 1 / condition), n_steps=last).path
    return -math.log(10) / math.log(theory.factor_per_step(path, first, last))


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
    return -math.log(10) / math.log(theory.factor_per_step(np.array(path), first, last))


def draw_valley() -> Figure:
    """Steps for one more digit over the condition number: gradient descent with its best step, and Nesterov's momentum."""
    claims = (SLOW_VALLEY.breaks, "broken", "gradient descent"), (SLOW_VALLEY.remedy, "mended", "Nesterov")
    return pictures.sweeps("Steps for one more digit", "steps per decimal digit", *claims, yscale="log")[0]


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
        predicted=theory.predicted_steps_a_digit_plain,
        relation="≈",
        tolerance=1e-3,
        relative=True,
        rival=theory.steps_a_digit_of_step_one_over_L,
        reason="the other directions are down to rounding; the flattest and steepest decay at this rate",
        parameters=VALLEY,
        every_seed=True,
        sweep=Sweep("condition", (10.0, 30.0, 100.0, 300.0), "condition number", logarithmic=True),
    ),
    remedy=Claim(
        statement="Nesterov's momentum multiplies the error by 1 − 1/√κ: a fifth of the steps a digit.",
        quantity="steps per decimal digit",
        experiment=steps_a_digit_nesterov,
        predicted=theory.predicted_steps_a_digit_nesterov,
        relation="≈",
        tolerance=1e-3,
        relative=True,
        rival=theory.predicted_steps_a_digit_plain,
        reason="the other directions decay at 0.86 a step against 0.9: 1e-5 of them is left at step 250",
        parameters=VALLEY,
        every_seed=True,
        sweep=Sweep("condition", (10.0, 30.0, 100.0, 300.0), "condition number", logarithmic=True),
    ),
    figure=draw_valley,
    seeds=10,
)

# %% [markdown]
# ## Momentum moves the limit
#
# "Stay below $2/L$" is the rule of plain descent. Along curvature $h = L$, with the step $\eta = s/L$, the error follows
#
# $$\text{heavy ball: } z^2 - (1 + \beta - s)z + \beta = 0, \qquad
# \text{Nesterov: } z^2 - (1 + \beta)(1 - s)z + \beta(1 - s) = 0 .$$
#
# Both leave the unit circle at $z = -1$, that is at $s = 2(1 + \beta)$ and at $s = 2(1 + \beta)/(1 + 2\beta)$. At $\beta = 0.9$ that is $3.8/L$ for the heavy ball and $1.357/L$ for `nesterov=True`: the one widens the range, the other narrows it.
# A step of $1.5/L$, fit for plain descent, multiplies the steepest error by 1.297 a step. The data are real: least squares on
# breast cancer, $L$ by power iteration. What is measured is the gradient along the steepest direction, $L$ times the error there.
#
# **Remedy.** Stay below the limit of the rule that is used; here by one percent.

# %%
MOMENTUM = {"beta": 0.9, "nesterov": True}


def steepest_factor(rng: np.random.Generator, *, step: float, beta: float, nesterov: bool) -> float:
    """Measured factor per step of the gradient along the steepest direction, between steps 50 and 150."""
    hessian, L, direction = theory.steepest_curvature()
    x = Tensor(rng.standard_normal(len(hessian)), requires_grad=True)
    optimizer, sizes = SGD([x], lr=step / L, momentum=beta, nesterov=nesterov), []
    for _ in range(151):
        gradient = hessian @ x.array
        sizes.append(abs(direction @ gradient))
        x.grad = Tensor(gradient)
        optimizer.step()
    return float((sizes[150] / sizes[50]) ** 0.01)


def draw_momentum_limit() -> Figure:
    """The factor per step along the steepest direction over the step: Nesterov's momentum leaves 1 long before 2/L."""
    claim, steps = (MOMENTUM_LIMIT.breaks, "broken", "Nesterov, β = 0.9"), np.array([1.3, 1.9])
    figure, axes = pictures.sweeps("The limit depends on the rule", "factor per step", claim, level=1)
    axes.plot(steps, abs(1 - steps), "--", color=COLORS["muted"], label="plain descent")
    axes.legend()
    return figure


MOMENTUM_LIMIT = FailureMode(
    name="momentum_limit",
    title="Momentum moves the limit",
    symptoms=(
        "nesterov=True makes a learning rate blow up that was fine before",
        "sgd with momentum explodes at a learning rate that worked without",
        "momentum 0.9 makes the loss oscillate and overflow",
    ),
    breaks=Claim(
        statement="On breast cancer the step 1.5/L, below 2/L, diverges with Nesterov's momentum 0.9: by 1.297 a step.",
        quantity="factor per step of the gradient along the steepest direction",
        experiment=steepest_factor,
        predicted=theory.predicted_momentum_factor,
        relation="≈",
        tolerance=1e-7,
        rival=theory.plain_factor,
        reason="exact on least squares once the second root has died out, by step 50; rounding is left",
        parameters={"step": 1.5, **MOMENTUM},
        every_seed=True,
        sweep=Sweep("step", (1.3, 1.35, 1.4, 1.5, 1.6, 1.75, 1.9), "step size times L"),
    ),
    remedy=Claim(
        statement="One percent below 2(1 + β)/(1 + 2β)/L the same walk comes in by 3 % a step.",
        quantity="factor per step of the gradient along the steepest direction",
        experiment=steepest_factor,
        predicted=theory.predicted_momentum_factor,
        relation="≈",
        tolerance=1e-7,
        rival=theory.predicted_momentum_factor(step=1.5, **MOMENTUM),
        reason="exact on least squares once the second root has died out, by step 50; rounding is left",
        parameters={"step": 0.99 * theory.step_limit(0.9, nesterov=True), **MOMENTUM},
        every_seed=True,
    ),
    figure=draw_momentum_limit,
    seeds=5,
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


def draw_noise_floor() -> Figure:
    """Left: the loss over the steps, for constant and for falling ones. Right: the floor over the constant step; it has
    a pole at 2/h."""
    return pictures.noise_floor(loss_at_constant_step, loss_at_falling_step, NOISE_FLOOR.breaks, NOISE)


NOISE_FLOOR = FailureMode(
    name="noise_floor",
    title="The noise floor of a constant step",
    symptoms=("loss falls, then hovers", "loss is noisy and stops falling", "training plateaus at a floor"),
    breaks=Claim(
        statement="With noisy gradients and a constant step the loss stops falling at ησ²/(2(2 − ηh)).",
        quantity="loss above the minimum",
        experiment=loss_at_constant_step,
        predicted=theory.predicted_floor,
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
        predicted=theory.predicted_falling,
        relation="≈",
        tolerance=0.04,
        relative=True,
        rival=theory.predicted_floor,
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


def regret_a_step(rng: np.random.Generator, *, C: float, lr: float, amsgrad: bool) -> float:
    """Mean loss above that of x = −1 in the last 300 steps, the worst of all starts."""
    n_steps = 3 * math.ceil(10 / lr) + 300
    path = reddi_path(C=C, lr=lr, amsgrad=amsgrad, n_steps=n_steps)[-300:]
    gradients = np.array([alternating_gradient(t, C) for t in range(n_steps - 299, n_steps + 1)])
    return float((gradients[:, None] * (path + 1)).mean(axis=0).max())


def draw_reddi() -> Figure:
    """Left: where Adam and AMSGrad go from five starts. Right: Adam's regret a step over the size of the large gradient."""
    return pictures.reddi(reddi_path, ADAM_DOES_NOT_CONVERGE.breaks, **REDDI)


ADAM_DOES_NOT_CONVERGE = FailureMode(
    name="adam_does_not_converge",
    title="Adam walks to the worst point",
    symptoms=("adam ends at a bad point, sgd does not", "adam does not converge"),
    breaks=Claim(
        statement="On the problem of Reddi, Kale and Kumar, Adam ends at the worst point from any start.",
        quantity="regret per step",
        experiment=regret_a_step,
        predicted=theory.predicted_regret_of_adam,
        relation="≈",
        tolerance=1e-6,
        rival=0.0,  # the regret of a method that converges
        reason="the limit cycle is exact; what remains is ε = 1e-8 in the denominator and rounding",
        parameters={"amsgrad": False, **REDDI},
        deterministic=True,
        sweep=Sweep("C", (2.2, 2.5, 3.0, 4.0, 5.0), "large gradient C"),
    ),
    remedy=Claim(
        statement="AMSGrad ends at the best point, up to a cycle as wide as its step.",
        quantity="regret per step",
        experiment=regret_a_step,
        predicted=theory.predicted_regret_of_amsgrad,
        relation="≈",
        tolerance=1e-6,
        rival=theory.predicted_regret_of_adam,
        reason="the limit cycle is exact; what remains is ε = 1e-8 in the denominator and rounding",
        parameters={"amsgrad": True, **REDDI},
        deterministic=True,
    ),
    figure=draw_reddi,
)

# %% [markdown]
# ## Weight decay that does not decay
#
# Let the loss say nothing about a weight: its gradients are noise, $\pm s$. With the penalty in the gradient, Adam divides
# $\lambda\theta$ by $\sqrt{\hat v} \approx s$ as well, so a step leaves the share $1 - \eta\lambda/s$ of the weight, not
# $1 - \eta\lambda$. At $s = 10$ the decay is ten times too weak, and where gradients are small it is too strong.
#
# **Remedy.** AdamW: $\theta \leftarrow (1 - \eta\lambda)\theta$ beside the step. Weights come in pairs whose noise has opposite
# signs, so that noise leaves the mean: of AdamW exactly, of Adam up to terms of second order.

# %%
DECAY = {"lr": 0.005, "decay": 0.2, "size": 10.0, "n_steps": 1000}


def weight_left(
    rng: np.random.Generator, *, coupled: bool, lr: float, decay: float, size: float, n_steps: int
) -> float:
    """Mean share of their start that 200 weights keep under gradients of random sign."""
    x = Tensor(np.ones(200), requires_grad=True)
    optimizer = (Adam if coupled else AdamW)([x], lr=lr, weight_decay=decay)
    for _ in range(n_steps):
        signs = rng.integers(2, size=100) * 2.0 - 1
        x.grad = Tensor(size * np.concatenate([signs, -signs]))
        optimizer.step()
    return float(x.array.mean())


def draw_decay() -> Figure:
    """The share of a weight that is left over the size of its gradients: Adam's depends on it, AdamW's does not."""
    claims = (COUPLED_WEIGHT_DECAY.breaks, "broken", "Adam"), (COUPLED_WEIGHT_DECAY.remedy, "mended", "AdamW")
    return pictures.sweeps("What weight decay leaves", "share of the weight", *claims)[0]


COUPLED_WEIGHT_DECAY = FailureMode(
    name="coupled_weight_decay",
    title="Weight decay that does not decay",
    symptoms=(
        "weight decay has no effect with adam",
        "weights keep growing although weight_decay is set",
        "adam and adamw give different results with the same weight_decay",
    ),
    breaks=Claim(
        statement="Where gradients have size 10, Adam with weight_decay decays a weight ten times too slowly.",
        quantity="share of the weight left after 1,000 steps",
        experiment=weight_left,
        predicted=theory.predicted_coupled,
        relation="≈",
        tolerance=0.002,
        rival=theory.predicted_decoupled,
        reason="first order in λ/s, whose square counts 0.0004; the noise that v̂ shares with m̂ leaves ln(1,000)/1,000 of the "
        "decay undone, 0.0007; δ is twice their sum",
        parameters={"coupled": True, **DECAY},
        sweep=Sweep(
            "size", (3.0, 5.0, 10.0, 30.0, 100.0), "size of the gradients", seeds=2, logarithmic=True
        ),
    ),
    remedy=Claim(
        statement="AdamW leaves (1 − ηλ)ⁿ of it, whatever the size of the gradients.",
        quantity="share of the weight left after 1,000 steps",
        experiment=weight_left,
        predicted=theory.predicted_decoupled,
        relation="≈",
        tolerance=1e-9,
        rival=theory.predicted_coupled,
        reason="exact: the noise of each pair cancels; rounding is left",
        parameters={"coupled": False, **DECAY},
        every_seed=True,
        sweep=Sweep(
            "size", (3.0, 5.0, 10.0, 30.0, 100.0), "size of the gradients", seeds=2, logarithmic=True
        ),
    ),
    figure=draw_decay,
    seeds=6,
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


def draw_saddle() -> Figure:
    """Mean steps until the saddle is left, over the distance from its ridge; the broken and the mended one are marked."""
    figure, axes = pictures.sweeps(
        "Leaving a saddle", "steps until it is left", (WAITING_AT_A_SADDLE.breaks, "ours")
    )
    for offset, role in ((1e-12, "broken"), (1e-3, "mended")):
        waited = wait_at_saddle(np.random.default_rng(1), offset=offset, **SADDLE)
        pictures.mark(axes, offset, waited, role, f"{role}, offset {offset:g}")
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
        predicted=theory.predicted_wait,
        relation="≈",
        tolerance=1.5,
        rival=theory.wait_of_the_typical_offset,
        reason="the quartic term costs less than half a step, 20 × 1,000 starts leave less than one",
        parameters={"offset": 1e-12, **SADDLE},
        sweep=Sweep("offset", (1e-12, 1e-9, 1e-6, 1e-3, 1e-2), "distance from the ridge", logarithmic=True),
    ),
    remedy=Claim(
        statement="A perturbation of 1e-3 is out in fewer than 100.",
        quantity="mean number of steps until the saddle is left",
        experiment=wait_at_saddle,
        predicted=theory.predicted_wait,
        relation="≈",
        tolerance=1.5,
        rival=theory.predicted_wait(offset=1e-12, **SADDLE),
        reason="the quartic term costs less than half a step, 20 × 1,000 starts leave less than one",
        parameters={"offset": 1e-3, **SADDLE},
    ),
    figure=draw_saddle,
)

# %%
FAILURE_MODES = (
    STEP_PAST_TWO_OVER_L, SLOW_VALLEY, MOMENTUM_LIMIT, NOISE_FLOOR, ADAM_DOES_NOT_CONVERGE, COUPLED_WEIGHT_DECAY,
    WAITING_AT_A_SADDLE,
)  # fmt: skip

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
