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
# # Gradient descent and its descendants
#
# ## 1. Select
#
# **The question.** We can compute the slope of a function at any point. How do we walk to its lowest point, how long does it
# take, and what makes the walk fail?
#
# **Builds on** `automatic_differentiation`: an optimizer moves its Tensors. **Mirrors** `torch.optim` and
# `torch.optim.lr_scheduler`: the same names, the same arguments, the same trajectories.
#
# **Sources.** Cauchy (1847); Robbins and Monro (1951), noisy gradients; Polyak (1964), the heavy ball; Nesterov (1983,
# 2018); Duchi, Hazan and Singer (2011), Adagrad; Tieleman and Hinton (2012), RMSprop; Sutskever et al. (2013), Nesterov's
# momentum as it is used today; Kingma and Ba (2015), Adam; Dozat (2016), NAdam; Reddi, Kale and Kumar (2018), AMSGrad;
# Loshchilov and Hutter (2017, 2019), cosine annealing and AdamW; Smith and Topin (2019), one cycle; and the survey of
# Bottou, Curtis and Nocedal (2018).

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | in the code | shape |
# |---|---|---|---|
# | $x_k$, $\theta_t$ | point after $k$ steps, parameters after $t$ | `x`, `theta` | any, one for all |
# | $g_t$ | gradient of the loss $f$ at $\theta_{t-1}$ | `g` | as $\theta$ |
# | $\eta$ | step size, also called learning rate | `step_size`, `lr` | () |
# | $L$, $\mu$, $\kappa = L/\mu$ | largest and smallest curvature, condition number | | () |
# | $\beta$, $\beta_1$, $\beta_2$ | share of the old direction, mean, mean square that is kept | `momentum`, `beta1`, `beta2` | () |
# | $\lambda$ | pull of the parameters towards zero | `weight_decay` | () |
# | $b_t$, $m_t$, $v_t$ | moving sum of $g$; running means of $g$ and of $g^2$ | `b`, `m`, `v` | as $\theta$ |
#
# ### How far may one step go?
#
# Let the gradient of $f$ change no faster than $L$ times the distance, $\|\nabla f(x) - \nabla f(y)\| \le L\|x-y\|$.
# Integrate the gradient along the step from $x$ to $x - \eta g$, with $g = \nabla f(x)$:
#
# $$f(x - \eta g) \le f(x) - \eta\|g\|^2 + \tfrac{L}{2}\eta^2\|g\|^2
# = f(x) - \eta\left(1 - \tfrac{\eta L}{2}\right)\|g\|^2 .$$
#
# The loss falls in every step as long as $0 < \eta < 2/L$, and the guaranteed fall is largest at $\eta = 1/L$.
#
# The bound is sharp. On a quadratic $f(x) = \tfrac12 (x - x^*)^\top H (x - x^*)$ the error $e_k = x_k - x^*$ obeys
# $e_{k+1} = (I - \eta H)\,e_k$. Along the eigenvector with curvature $h$ each step multiplies the error by $1 - \eta h$. If all
# $h > 0$, these factors are below one in size exactly when $0 < \eta < 2/L$; past it, the steepest direction grows without end.
#
# ### How fast can it be?
#
# The slowest factor is $\max(|1 - \eta\mu|, |1 - \eta L|)$. It is smallest where both are equal, at $\eta = 2/(L + \mu)$:
#
# $$\rho_{\text{gradient descent}} = \frac{\kappa - 1}{\kappa + 1} \approx 1 - \frac{2}{\kappa} .$$
#
# So one more digit takes about $\kappa \ln(10)/2$ steps. Long valleys are slow: a step that the steep walls allow is tiny
# along the floor.
#
# ### Momentum: remember the direction
#
# Let the step be a moving sum of gradients, $b_{t} = \beta b_{t-1} + g_t$, $\theta_t = \theta_{t-1} - \eta b_t$ (Polyak's
# heavy ball). Along the walls successive gradients cancel, along the floor they add up. Nesterov takes the gradient at the
# point to which the momentum is about to carry us. Written for that look-ahead point, which is what torch stores, the rule
# is
#
# $$b_t = \beta b_{t-1} + g_t, \qquad \theta_t = \theta_{t-1} - \eta\,(g_t + \beta b_t).$$
#
# On a direction of curvature $h$ the error then follows $e_{t+1} = (1 - \eta h)\left[(1 + \beta)e_t - \beta e_{t-1}\right]$,
# whose characteristic polynomial is $z^2 - (1 + \beta)(1 - \eta h) z + \beta(1 - \eta h)$. With $\eta = 1/L$ and
# $\beta = (\sqrt\kappa - 1)/(\sqrt\kappa + 1)$ its discriminant vanishes at $h = \mu$, where both roots are
#
# $$\rho_{\text{Nesterov}} = \tfrac12(1 + \beta)\left(1 - \tfrac1\kappa\right) = 1 - \frac{1}{\sqrt\kappa},$$
#
# and for $h > \mu$ the roots are complex, of smaller modulus $\sqrt{\beta(1 - \eta h)}$. A condition number of 10,000 counts like
# 100. Momentum moves the limit of the step: at $z = -1$ the polynomial vanishes for $\eta h = 2(1 + \beta)/(1 + 2\beta)$, 1.357 at
# $\beta = 0.9$; the heavy ball's, $z^2 - (1 + \beta - \eta h)z + \beta$, for $2(1 + \beta)$. The rule $2/L$ is that of plain descent.
#
# ### Noise: the price of a cheap gradient
#
# A minibatch gives $g_t$ plus noise of variance $\sigma^2$. On a curvature $h$ the error becomes
# $e_{t} = (1 - \eta h) e_{t-1} - \eta\sigma\xi_t$; its variance settles where $s = (1 - \eta h)^2 s + \eta^2\sigma^2$, so
#
# $$s = \frac{\eta\,\sigma^2}{h\,(2 - \eta h)} .$$
#
# A constant step ends in a cloud whose variance is proportional to the step. To reach the minimum, the step must go to zero,
# but not too fast: $\sum\eta_t = \infty$, $\sum\eta_t^2 < \infty$ (Robbins and Monro). That is what schedules are for.
#
# ### One step size for each coordinate
#
# If coordinates live on different scales, divide each by a running size of its own gradient. Adagrad sums the squares,
# RMSprop forgets old ones, Adam adds momentum and corrects both means for their start at zero: with $v_0 = 0$ and steady
# gradients,
#
# $$\mathbb{E}[v_t] = (1 - \beta_2)\sum_{i=1}^{t}\beta_2^{t-i}\,\mathbb{E}[g_i^2]
# = (1 - \beta_2^t)\,\mathbb{E}[g^2],$$
#
# hence $\hat v_t = v_t / (1 - \beta_2^t)$ is unbiased, and likewise $\hat m_t = m_t/(1 - \beta_1^t)$.
#
# **Weight decay** is not the same as a penalty here. The gradient of $\tfrac\lambda2\|\theta\|^2$ is $\lambda\theta$; added
# to $g$ it is divided by $\sqrt{\hat v}$, too: of gradients of size $s$, $\lambda/s$ is left. AdamW shrinks the parameters directly.
#
# **Assumptions.** $f$ is differentiable with an $L$-Lipschitz gradient (that is what bounds the step), and $\mu$-strongly
# convex for the rates; without convexity all that is promised is a small gradient, not a minimum.
#
# **Cost.** One gradient a step, and $O(d)$ time and memory for $d$ parameters: no copy is kept by SGD, one by momentum,
# Adagrad and RMSprop, two by Adam, AdamW and NAdam, three by AMSGrad.

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from level1_foundations.parts.gradient_descent import rules
from level1_foundations.parts.gradient_descent.agreements import REASON, compare_branches, torch_path
from level1_foundations.parts.gradient_descent.descent import (
    DescentResult,
    check_step_size,
    euclidean_norm,
    explain_lost_walk,
    explain_slow_walk,
    gradient_at,
    start_point,
)
from level1_foundations.parts.gradient_descent.learning_rate_schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    StepLR,
)
from level1_foundations.parts.gradient_descent.more_optimizers import Adagrad, NAdam, RMSprop
from level1_foundations.parts.gradient_descent.optimizer import Optimizer, pick, require_at_least_zero
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import validate_number

__all__ = [
    "BREATH", "SGD", "Adagrad", "Adam", "AdamW", "CosineAnnealingLR", "DescentResult", "ExponentialLR", "LRScheduler",
    "LinearLR", "NAdam", "OneCycleLR", "Optimizer", "RMSprop", "StepLR", "adam_update", "gradient_descent", "sgd_update",
]  # fmt: skip

BREATH = "plain_descent"

# %% [markdown]
# ### In one breath


# %%
def plain_descent(gradient, x, step, n_steps):  # practice: core
    """The point after n_steps against the gradient."""
    for _ in range(n_steps):
        x = x - step * gradient(x)
    return x


def plain_momentum(gradient, x, step, n_steps, beta=0.9):  # practice: core
    """The same along a moving sum of gradients."""
    b = 0 * x
    for _ in range(n_steps):
        b = beta * b + gradient(x)
        x = x - step * b
    return x


def plain_adam(gradient, x, step, n_steps, beta1=0.9, beta2=0.999, eps=1e-8):  # practice: core
    """The same along their running mean, divided by their root mean square."""
    m, v = 0 * x, 0 * x
    for t in range(1, n_steps + 1):
        g = gradient(x)
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        x = x - step * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return x


# %% [markdown]
# **What is wrong with it.** It does not say whether it arrived: past $2/L$ it walks to infinity and returns NaN. The step
# cannot change on the way, all parameters are one array, and each line of `plain_adam` makes new arrays as large as the
# parameters. The rest of the page says when to stop and why a walk was lost, and steps many parameters in place, in pieces
# that fit the cache.

# %% [markdown]
# ### Plain gradient descent, whole
#
# $$x_{k+1} = x_k - \eta_k\,\nabla f(x_k)$$


# %%
def gradient_descent(  # practice: core
    gradient: Callable[[np.ndarray], Any],
    x0: Any,
    *,
    step_size: float | Callable[[int], float],
    n_steps: int,
    tol: float = 0.0,
) -> DescentResult:
    """Walk against the gradient, `n_steps` times or until the gradient is small.

    Args:
        gradient: x → ∇f(x), an array of the shape of x.
        x0: the start, array-like of any shape; float32 stays float32, everything else becomes float64.
        step_size: η > 0, or a function of the step k = 0, 1, … that returns η_k.
        n_steps: the most steps to take.
        tol: stop once ‖∇f(x)‖ ≤ tol. 0 asks for nothing: all the steps are made, even where the gradient is 0.

    Returns:
        `.x`, `.path`, `.converged`. The path costs n_steps + 1 copies of x.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or outside its range; a gradient of another shape
            than x.

    Warns:
        ConvergenceWarning: `tol` was asked for and not reached; or a step left the finite numbers: the walk
            then ends at the last finite point, and the message says whether the gradient was not finite there
            or the steps grew.
    """
    x = start_point(x0)
    step_size = check_step_size(step_size)
    n_steps = validate_number(n_steps, "n_steps", minimum=0, integer=True)
    tol = validate_number(tol, "tol", minimum=0)
    path = np.empty((n_steps + 1, *x.shape), x.dtype)
    path[0] = x
    with np.errstate(over="ignore", invalid="ignore"):  # overflow is reported below
        g, taken, finite = gradient_at(gradient, x), 0, True
        while taken < n_steps and not (tol > 0 and euclidean_norm(g) <= tol):
            moved = x - step_size(taken) * g
            if not np.isfinite(moved).all():
                finite = False
                break
            x, taken = moved, taken + 1
            path[taken] = x
            g = gradient_at(gradient, x)
        norm = euclidean_norm(g)
        path = path[: taken + 1]
        if not (finite and np.isfinite(g).all()):
            explain_lost_walk(path, g)
        elif tol > 0 and norm > tol:
            explain_slow_walk(taken, norm, tol)
    return DescentResult(x, path, norm <= tol)


# %% [markdown]
# ### What the optimizers share
#
# An optimizer reads `p.grad` of each of its Tensors and changes `p.array` in place. Its rule is a function on plain arrays
# below, with an array `work` to scribble on. [Rules](parts/gradient_descent/rules.py) holds what they share:
# `running_mean(m, g, beta, work)` is $m \leftarrow \beta m + (1 - \beta)g$, `running_mean_of_square(v, g, beta, work)` the same of
# $g^2$, `effective_gradient` is $\pm g + \lambda\theta$, for maximizing and for the penalty $\tfrac\lambda2\|\theta\|^2$. The
# class [Optimizer](parts/gradient_descent/optimizer.py) keeps the state and cuts large parameters into blocks.
#
# ### Stochastic gradient descent
#
# $$b_1 = g_1, \qquad b_t = \beta\,b_{t-1} + (1 - \tau)\,g_t$$
#
# $$\theta_t = \theta_{t-1} - \eta \begin{cases} g_t & \text{no momentum} \\ b_t & \text{momentum } \beta \\
# g_t + \beta\,b_t & \text{Nesterov's}\end{cases}$$
#
# The dampening $\tau$ does not touch the first step.


# %%
def sgd_update(  # practice: core
    theta: rules.Array,
    g: rules.Array,
    b: rules.Array | None,
    work: rules.Array,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    first: bool,
) -> None:
    """One step of SGD in place; `b` is the momentum buffer, None without momentum."""
    direction = g
    if b is not None:
        # b ← β b + (1 − τ) g
        if first:
            np.copyto(b, g)
        else:
            b *= momentum
            b += np.multiply(g, 1 - dampening, out=work) if dampening else g
        # look ahead: g + β b
        direction = np.add(np.multiply(b, momentum, out=work), g, out=work) if nesterov else b
    # θ ← θ − η d
    theta -= np.multiply(direction, lr, out=work)


# %%
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    Args:
        params: Tensors, or parameter groups. lr: step size η. momentum: β.
        dampening: τ, keeps 1 − τ of each new gradient. weight_decay: λ, a quadratic penalty.
        nesterov: look ahead; needs a momentum and no dampening. maximize: climb instead of descending.

    Raises:
        ValueError: a value outside its range. State: "momentum_buffer".
    """

    def __init__(  # practice: keep
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        })  # fmt: skip

    def _check(self, group: dict) -> None:
        require_at_least_zero(group["lr"], "learning rate")
        require_at_least_zero(group["momentum"], "momentum value")
        require_at_least_zero(group["weight_decay"], "weight_decay value")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening.")

    def _update(self, theta: np.ndarray, gradient: np.ndarray, state: dict, group: dict) -> None:
        first = "momentum_buffer" not in state
        if group["momentum"] != 0 and first:
            state["momentum_buffer"] = np.empty_like(theta)
        buffer = state["momentum_buffer"] if group["momentum"] != 0 else None
        rule = pick(group, "lr", "momentum", "dampening", "nesterov")
        for part, g, b, work, spare in self._blocks(theta, gradient, buffer):
            g = rules.effective_gradient(part, g, spare, **pick(group, "maximize", "weight_decay"))
            sgd_update(part, g, b, work, first=first, **rule)


# %% [markdown]
# ### Adam
#
# Momentum over root mean square, both corrected for their start at zero:
#
# $$m_t = \beta_1 m_{t-1} + (1 - \beta_1)\,g_t, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2)\,g_t^2, \qquad
# \theta_t = \theta_{t-1} - \eta\,\frac{m_t/(1 - \beta_1^t)}{\sqrt{v_t/(1 - \beta_2^t)} + \varepsilon} .$$
#
# **AMSGrad** divides by the largest $v$ so far, $v_t^{\max} = \max(v_{t-1}^{\max}, v_t)$, so that a coordinate's step size does
# not grow again once the bias correction, applied after the maximum, has died out: after some $1/(1 - \beta_2)$ steps.
#
# With $r = \sqrt{1 - \beta_2^t}$, multiply numerator and denominator by $r$: the array operations shrink to
# $\theta \leftarrow \theta - \dfrac{\eta\,r}{1 - \beta_1^t}\,\dfrac{m}{\sqrt v + \varepsilon r}$, one pass over memory less.


# %%
def adam_update(  # practice: core
    theta: rules.Array,
    g: rules.Array,
    m: rules.Array,
    v: rules.Array,
    v_max: rules.Array | None,
    work: rules.Array,
    *,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """Step t = 1, 2, … of Adam in place; with `v_max`, of AMSGrad."""
    rules.running_mean(m, g, beta1, work)
    rules.running_mean_of_square(v, g, beta2, work)
    if v_max is not None:
        v = np.maximum(v_max, v, out=v_max)
    # θ ← θ − (η r / (1 − β₁ᵗ)) m / (√v + ε r)
    r = math.sqrt(1 - beta2**t)
    np.sqrt(v, out=work)
    work += eps * r
    np.divide(m, work, out=work)
    work *= lr * r / (1 - beta1**t)
    theta -= work


# %%
class Adam(Optimizer):
    """Adaptive moments: the running mean of the gradient over the root of the running mean of its square.

    Args:
        params: Tensors, or parameter groups. lr: η. betas: (β₁, β₂), each in [0, 1). eps: ε. weight_decay: λ.
        amsgrad: divide by the largest mean square so far. maximize: climb instead of descending.
        decoupled_weight_decay: shrink the parameters directly (AdamW) instead of penalizing them.

    Raises:
        ValueError: a value outside its range. State: "step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq".
    """

    def __init__(  # practice: keep
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay,
        })  # fmt: skip

    def _check(self, group: dict) -> None:
        rules.check_adam_group(group)

    def _update(self, theta: np.ndarray, gradient: np.ndarray, state: dict, group: dict) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(theta), exp_avg_sq=np.zeros_like(theta))
        if group["amsgrad"] and "max_exp_avg_sq" not in state:
            state["max_exp_avg_sq"] = np.zeros_like(theta)
        state["step"] += 1
        largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
        rule = pick(group, "lr", "eps") | rules.betas(group) | {"t": state["step"]}
        for part, g, m, v, v_max, work, spare in self._blocks(
            theta, gradient, state["exp_avg"], state["exp_avg_sq"], largest
        ):
            g = rules.effective_gradient(part, g, spare, **rules.coupled_penalty(group))
            rules.shrink(part, **rules.decoupled_decay(group))
            adam_update(part, g, m, v, v_max, work, **rule)


# %% [markdown]
# **AdamW** decays the weights themselves: $\theta \leftarrow (1 - \eta\lambda)\,\theta$ (`shrink`). It is Adam with `decoupled_weight_decay=True`.


# %%
class AdamW(Adam):
    """Adam with decoupled weight decay; arguments as Adam's, `weight_decay` is 0.01 by default."""

    def __init__(  # practice: keep
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As Adam's; the decay stays decoupled, also when Adam wrote the snapshot."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


# %% [markdown]
# ### Other rules, and schedules
#
# [More optimizers](parts/gradient_descent/more_optimizers.py): `Adagrad`, `RMSprop`, `NAdam`, each with its rule.
# [Schedules](parts/gradient_descent/learning_rate_schedules.py) change the learning rate between steps: `StepLR`,
# `ExponentialLR`, `LinearLR`, `CosineAnnealingLR`, `OneCycleLR`. Both are exported from here.

# %% [markdown]
# ## 4. Validate
#
# Each optimizer and each schedule walks 200 steps beside torch's own, and the whole walk is compared. The loss is that of
# logistic regression on standardized breast-cancer data in batches of 64; the weights and the intercept are two parameter
# groups, the second with a learning rate and a weight decay of its own.
#
# | Convention | torch | here |
# |---|---|---|
# | `foreach`, `fused`, `capturable`, `differentiable` | how a step is run | not offered: a `TypeError` |
# | learning rate, betas | number or Tensor | number |
# | momentum buffer of SGD | starts as the first gradient, undampened | the same |
# | Nesterov | stores the look-ahead point | the same |
# | AMSGrad | maximum before the bias correction; Reddi et al. have none | the same |
# | `mu_product` of NAdam | kept in the default dtype, single precision | single precision |
# | centered RMSprop, variance below zero by rounding | NaN | zero |
# | `initial_accumulator_value` set in a group | ignored | used |
# | hyperparameters set in a group | unchecked | checked as in the constructor |
# | `state_dict()` | refers to the live state | a copy |
# | `scheduler.step(epoch)` | deprecated | not offered |


# %%
def validate() -> list[Agreement]:
    """Plain descent beside torch's SGD here; 200 steps of every optimizer and schedule in `parts/gradient_descent/agreements.py`."""
    from shared.datasets import load_breast_cancer

    data = load_breast_cancer()
    X, y = (data.X - data.X.mean(0)) / data.X.std(0), data.y
    agreements: list[Agreement] = []

    def full_gradient(w: np.ndarray) -> np.ndarray:
        return X.T @ (1 / (1 + np.exp(-X @ w)) - y) / len(y)

    comparison = Comparison("torch.optim.SGD", "breast cancer, logistic loss, all rows", agreements)
    ours, theirs = comparison.run(
        lambda: gradient_descent(full_gradient, np.zeros(30), step_size=0.3, n_steps=200).path,
        lambda: torch_path(full_gradient, np.zeros(30), 0.3, 200),
    )
    comparison.compare("path of gradient_descent", ours, theirs, tolerance=1e-10, reason=REASON)
    compare_branches(agreements, X, y, globals())
    return agreements


# %%
def benchmarks() -> list[Benchmark]:
    """One step of Adam, SGD and NAdam in single precision, against torch's default and its fused kernel."""

    def race(size: int, *, name: str, options: dict, **theirs: Any) -> tuple[Any, Any, Any]:
        import torch

        from level1_foundations.automatic_differentiation import Tensor

        rng = np.random.default_rng(0)
        theta, gradient = rng.standard_normal((2, size), dtype=np.float32)
        ours, reference = Tensor(theta.copy(), requires_grad=True), torch.tensor(theta, requires_grad=True)
        ours.grad, reference.grad = Tensor(gradient.copy()), torch.tensor(gradient)
        plain = {"Adam": plain_adam, "SGD": plain_momentum}.get(name)
        return (
            globals()[name]([ours], **options).step,
            getattr(torch.optim, name)([reference], **options, **theirs).step,
            partial(plain, lambda x: gradient, theta, 1e-3, 1) if plain else None,
        )

    return [
        Benchmark(label, (30_000, 300_000, 3_000_000), partial(race, name=name, options=options, **theirs), 1.0,
                  f"torch.optim.{name}", repeats=9, unit="parameters")
        for label, name, options, theirs in (
            ("Adam step", "Adam", {}, {}),
            ("Adam step, against the fused kernel", "Adam", {}, {"fused": True}),
            ("SGD step, momentum", "SGD", {"momentum": 0.9}, {}),
            ("NAdam step", "NAdam", {}, {}),
        )
    ]  # fmt: skip


# %% [markdown]
# ## 5. Document
#
# **When to use which.** `gradient_descent` shows what happens on a smooth problem that fits in memory. For minibatches, SGD with
# Nesterov momentum and a schedule where the scales of the parameters are alike; Adam or AdamW where they are not (embeddings,
# attention), and whenever there is no time to tune. `OneCycleLR` needs the number of steps in advance.
#
# **When not.** Badly conditioned small problems want second-order methods; constraints and kinks want projections.
#
# **Speed.** A step of Adam makes thirteen passes over a block that stays in the cache, torch's fused kernel one over memory.
# `groundup bench gradient_descent` prints the plain rule, ours and both of theirs.
#
# **In plain words.** A model is trained by small corrections: look in which direction the error falls, and take a step. The
# method takes for granted that the slope near here says something about the way ahead, and that the step suits the steepest
# direction. If training explodes, the step is too long; if it crawls, the directions have very different scales, or the start
# is on a plateau; if it hovers, the samples are noisy and the step should shrink. Ask which of the three it is.
#
# **How it breaks, and what mends it**: `groundup break gradient_descent`, and `failure_modes/gradient_descent.py`.
#
# **The pictures.** The mechanism: four rules in one long valley. The result: logistic regression on real data in minibatches.


# %%
def mechanism() -> Any:
    """Forty steps of four rules from one start, in a valley twenty times as steep across as along."""
    from shared.figures import PALETTE, subplots

    curvature, start, steps = np.array([1.0, 20.0]), np.array([-9.0, 2.2]), range(41)
    rules = (
        ("plain, step 1.9/L", lambda n: plain_descent(lambda x: curvature * x, start, 1.9 / 20, n)),
        ("plain, step 1/L", lambda n: plain_descent(lambda x: curvature * x, start, 1 / 20, n)),
        ("momentum 0.8, step 1/L", lambda n: plain_momentum(lambda x: curvature * x, start, 1 / 20, n, 0.8)),
        ("Adam, step 0.4", lambda n: plain_adam(lambda x: curvature * x, start, 0.4, n)),
    )
    figure, panels = subplots(2, 2, width=10.0, height=5.0, sharex=True, sharey=True)
    along, across = np.meshgrid(np.linspace(-10, 3, 120), np.linspace(-3, 3, 120))
    for panel, color, (title, rule) in zip(panels.flat, PALETTE, rules, strict=False):
        loss = curvature[0] * along**2 / 2 + curvature[1] * across**2 / 2
        panel.contour(
            along, across, loss, levels=np.geomspace(0.1, 130, 9), colors="gray", alpha=0.45, linewidths=0.7
        )
        path = np.array([rule(n) for n in steps])
        panel.plot(*path.T, color=color, marker=".", linewidth=1.2)
        panel.plot(0, 0, marker="+", markersize=11, color="gray")
        panel.set(title=f"{title}: {euclidean_norm(path[-1]):.2g} from the minimum", ylim=(-3, 3))
    return figure


def example() -> Any:
    """Loss on all rows of the breast-cancer data, with a small penalty, above its minimum: batches of 64, four optimizers, one start."""
    from level1_foundations.automatic_differentiation import Tensor, softplus
    from shared.datasets import load_breast_cancer
    from shared.figures import PALETTE, subplots
    from shared.numerics import softplus as softplus_of_array

    data, n_steps, penalty = load_breast_cancer(), 180, 0.01
    X, sign = (data.X - data.X.mean(0)) / data.X.std(0), 2.0 * data.y - 1

    def loss(w: np.ndarray) -> float:
        return float(softplus_of_array(-sign * (X @ w)).mean() + penalty / 2 * w @ w)

    def gradient(w: np.ndarray) -> np.ndarray:
        return penalty * w - X.T @ (sign / (1 + np.exp(sign * (X @ w)))) / len(sign)

    lowest = loss(plain_momentum(gradient, np.zeros(30), 0.2, 2000))
    runs: dict[str, Callable[[list], Optimizer]] = {
        "SGD": partial(SGD, lr=0.1, weight_decay=penalty),
        "SGD, Nesterov 0.9": partial(SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=penalty),
        "Adam": partial(Adam, lr=0.03, weight_decay=penalty),
        "Adam, one cycle": partial(Adam, lr=0.03, weight_decay=penalty),
    }
    figure, axes = subplots(width=7.5, height=4)
    for color, (label, make) in zip(PALETTE, runs.items(), strict=False):
        rng, w = np.random.default_rng(0), Tensor(np.zeros(30), requires_grad=True)
        optimizer, losses = make([w]), []
        scheduler = OneCycleLR(optimizer, max_lr=0.1, total_steps=n_steps) if "cycle" in label else None
        for _ in range(n_steps):
            losses.append(loss(w.array) - lowest)
            rows = rng.integers(0, len(sign), 64)
            optimizer.zero_grad()
            softplus(Tensor(-sign[rows, None] * X[rows]) @ w).mean().backward()
            optimizer.step()
            if scheduler:
                scheduler.step()
        axes.plot(losses, color=color, label=label)
    axes.set(xlabel="step", ylabel="loss above the minimum", yscale="log")
    axes.legend()
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
