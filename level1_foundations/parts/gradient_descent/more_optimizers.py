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
# # Adagrad, RMSprop and NAdam
#
# Part of the topic [gradient descent](../../gradient_descent.py), which exports these names: Adam's two ancestors and one
# descendant. Adagrad is Duchi, Hazan and Singer (2011), RMSprop Tieleman and Hinton (2012), NAdam Dozat (2016).

# %%
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from level1_foundations.parts.gradient_descent.optimizer import Optimizer, pick, require_at_least_zero
from level1_foundations.parts.gradient_descent.rules import (
    Array,
    betas,
    check_adam_group,
    coupled_penalty,
    decoupled_decay,
    effective_gradient,
    running_mean,
    running_mean_of_square,
    shrink,
)

__all__ = [
    "Adagrad",
    "NAdam",
    "RMSprop",
    "adagrad_update",
    "nadam_momentum",
    "nadam_update",
    "rmsprop_update",
]


# %% [markdown]
# ### Adagrad
#
# Sum the squares of all gradients of a coordinate, and divide by the root:
#
# $$s_t = s_{t-1} + g_t^2, \qquad
# \theta_t = \theta_{t-1} - \frac{\eta}{1 + (t - 1)\,\delta}\;\frac{g_t}{\sqrt{s_t} + \varepsilon}$$
#
# Rare features keep large steps. As $s_t$ only grows, the steps shrink like $1/\sqrt t$, wanted or not.


# %%
def adagrad_update(
    theta: Array, g: Array, s: Array, work: Array, *, t: int, lr: float, lr_decay: float, eps: float
) -> None:
    """Step t = 1, 2, … of Adagrad in place; `s` is the sum of squares."""
    # s ← s + g²
    s += np.multiply(g, g, out=work)
    # θ ← θ − η_t g / (√s + ε)
    np.sqrt(s, out=work)
    work += eps
    np.divide(g, work, out=work)
    work *= lr / (1 + (t - 1) * lr_decay)
    theta -= work


# %%
class Adagrad(Optimizer):
    """Adaptive gradients: each coordinate's step shrinks by the root of its summed squared gradients.

    Args:
        params: Tensors, or parameter groups. lr: η. lr_decay: δ. weight_decay: λ, a quadratic penalty.
        initial_accumulator_value: where the sum of squares starts. eps: ε.
        maximize: climb instead of descending.

    Raises:
        ValueError: a value outside its range. State: "step", "sum".
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "eps": eps, "maximize": maximize,
        })  # fmt: skip

    def _check(self, group: dict) -> None:
        require_at_least_zero(group["lr"], "learning rate")
        require_at_least_zero(group["eps"], "epsilon value")
        for name in ("lr_decay", "weight_decay", "initial_accumulator_value"):
            require_at_least_zero(group[name], f"{name} value")

    def _update(self, theta: np.ndarray, gradient: np.ndarray, state: dict, group: dict) -> None:
        if not state:
            state.update(step=0, sum=np.full_like(theta, group["initial_accumulator_value"]))
        state["step"] += 1
        for part, g, s, work, spare in self._blocks(theta, gradient, state["sum"]):
            g = effective_gradient(part, g, spare, **pick(group, "maximize", "weight_decay"))
            adagrad_update(part, g, s, work, t=state["step"], **pick(group, "lr", "lr_decay", "eps"))


# %% [markdown]
# ### RMSprop
#
# Forget old squares at rate $1 - \alpha$, so that the steps do not die:
#
# $$v_t = \alpha\,v_{t-1} + (1 - \alpha)\,g_t^2, \qquad d_t = \frac{g_t}{\sqrt{v_t} + \varepsilon}, \qquad
# b_t = \beta\,b_{t-1} + d_t, \qquad \theta_t = \theta_{t-1} - \eta\,b_t .$$
#
# *Centered*, it divides by the standard deviation of the gradient: $\sqrt{v_t - a_t^2}$ with the mean
# $a_t = \alpha\,a_{t-1} + (1 - \alpha)\,g_t$.


# %%
def rmsprop_update(
    theta: Array,
    g: Array,
    v: Array,
    a: Array | None,
    b: Array | None,
    work: Array,
    *,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
) -> None:
    """One step of RMSprop in place; `a` is the mean gradient if centered, `b` the momentum buffer if any."""
    running_mean_of_square(v, g, alpha, work)
    if a is None:
        np.sqrt(v, out=work)
    else:
        running_mean(a, g, alpha, work)
        # √(v − a²); rounding may push a variance of nearly zero below zero
        np.multiply(a, a, out=work)
        np.subtract(v, work, out=work)
        np.sqrt(np.maximum(work, 0, out=work), out=work)
    work += eps
    np.divide(g, work, out=work)
    if b is not None:
        # b ← β b + d
        b *= momentum
        b += work
        np.copyto(work, b)
    # θ ← θ − η b
    work *= lr
    theta -= work


# %%
class RMSprop(Optimizer):
    """Gradients divided by the running root mean square of each coordinate.

    Args:
        params: Tensors, or parameter groups. lr: η. alpha: α, how much of the old squares is kept. eps: ε.
        weight_decay: λ, a quadratic penalty. momentum: β, of the divided gradients.
        centered: divide by the standard deviation instead. maximize: climb instead of descending.

    Raises:
        ValueError: a value outside its range. State: "step", "square_avg", "grad_avg", "momentum_buffer".
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {
            "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
            "centered": centered, "maximize": maximize,
        })  # fmt: skip

    def _check(self, group: dict) -> None:
        require_at_least_zero(group["lr"], "learning rate")
        require_at_least_zero(group["eps"], "epsilon value")
        for name in ("momentum", "weight_decay", "alpha"):
            require_at_least_zero(group[name], f"{name} value")

    def _update(self, theta: np.ndarray, gradient: np.ndarray, state: dict, group: dict) -> None:
        wanted = {"square_avg": True, "grad_avg": group["centered"], "momentum_buffer": group["momentum"] > 0}
        for name in (name for name, needed in wanted.items() if needed and name not in state):
            state[name] = np.zeros_like(theta)
        state["step"] = state.get("step", 0) + 1
        arrays = [state[name] if needed else None for name, needed in wanted.items()]
        for part, g, v, a, b, work, spare in self._blocks(theta, gradient, *arrays):
            g = effective_gradient(part, g, spare, **pick(group, "maximize", "weight_decay"))
            rmsprop_update(part, g, v, a, b, work, **pick(group, "lr", "alpha", "eps", "momentum"))


# %% [markdown]
# ### NAdam
#
# Adam with Nesterov's look-ahead: the new gradient counts once more, beside the momentum as it *will* be. Dozat lets the
# momentum warm up, $\beta_{1,t} = \beta_1\left(1 - \tfrac12\,0.96^{t\psi}\right)$; with $\Pi_t = \prod_{i \le t}\beta_{1,i}$,
#
# $$\theta_t = \theta_{t-1} - \eta\;
# \frac{\dfrac{1 - \beta_{1,t}}{1 - \Pi_t}\,g_t + \dfrac{\beta_{1,t+1}}{1 - \Pi_t\,\beta_{1,t+1}}\,m_t}
# {\sqrt{v_t/(1 - \beta_2^t)} + \varepsilon} .$$
#
# It is a rule of thumb: $m$ itself is kept with the constant $\beta_1$, so that $\Pi_t$ is not its exact bias. Torch does the same.


# %%
def nadam_momentum(t: int, beta1: float, momentum_decay: float) -> float:
    """β₁ₜ, the warmed-up momentum of step t = 1, 2, …"""
    return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))


def nadam_update(
    theta: Array,
    g: Array,
    m: Array,
    v: Array,
    work: Array,
    spare: Array,
    *,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    momentum: float,
    next_momentum: float,
    momentum_product: float,
) -> None:
    """Step t = 1, 2, … of NAdam in place; `momentum_product` is Π_t. `g` may live in `spare`."""
    running_mean(m, g, beta1, work)
    running_mean_of_square(v, g, beta2, work)
    # numerator: (1 − β₁ₜ)/(1 − Π_t) g + β₁,ₜ₊₁/(1 − Π_t β₁,ₜ₊₁) m
    np.multiply(g, lr * (1 - momentum) / (1 - momentum_product), out=spare)
    spare += np.multiply(m, lr * next_momentum / (1 - momentum_product * next_momentum), out=work)
    # denominator: √(v/(1 − β₂ᵗ)) + ε
    np.sqrt(v, out=work)
    work *= 1 / math.sqrt(1 - beta2**t)
    work += eps
    theta -= np.divide(spare, work, out=work)


# %%
class NAdam(Optimizer):
    """Adam with Nesterov momentum.

    Args:
        params: Tensors, or parameter groups. lr: η. betas: (β₁, β₂), each in [0, 1). eps: ε. weight_decay: λ.
        momentum_decay: ψ, how slowly the momentum warms up from β₁/2 to β₁.
        decoupled_weight_decay: shrink the parameters directly instead of penalizing them. maximize: climb.

    Raises:
        ValueError: a value outside its range. State: "step", "mu_product", "exp_avg", "exp_avg_sq".
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay,
        })  # fmt: skip

    def _check(self, group: dict) -> None:
        check_adam_group(group)
        require_at_least_zero(group["momentum_decay"], "momentum_decay value")

    def _update(self, theta: np.ndarray, gradient: np.ndarray, state: dict, group: dict) -> None:
        if not state:
            state.update(
                step=0,
                mu_product=np.float32(1),
                exp_avg=np.zeros_like(theta),
                exp_avg_sq=np.zeros_like(theta),
            )
        state["step"] += 1
        rule = pick(group, "lr", "eps") | betas(group) | {"t": state["step"]}
        rule["momentum"], rule["next_momentum"] = (
            nadam_momentum(t, rule["beta1"], group["momentum_decay"]) for t in (rule["t"], rule["t"] + 1)
        )
        # torch keeps this product in single precision; so do we, to stay on its trajectory to the last digits
        state["mu_product"] *= np.float32(rule["momentum"])
        rule["momentum_product"] = float(state["mu_product"])
        for part, g, m, v, work, spare in self._blocks(
            theta, gradient, state["exp_avg"], state["exp_avg_sq"]
        ):
            g = effective_gradient(part, g, spare, **coupled_penalty(group))
            shrink(part, **decoupled_decay(group))
            nadam_update(part, g, m, v, work, spare, **rule)
