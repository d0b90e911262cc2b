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
# # What the rules share
#
# Part of the topic [gradient descent](../../gradient_descent.py). Every rule works in place, on one block of numbers at a time
# ([optimizer](optimizer.py) cuts the blocks), and writes intermediate results to `work`, an array to scribble on. No new
# array is made in a step.
#
# **What makes it fast.** Written plainly, a step of Adam makes seven new arrays of the size of the parameter, and each goes
# through all of memory. In place and in blocks of 32,768 numbers the same thirteen passes stay in the cache; `groundup bench
# gradient_descent` prints the plain rule beside this one.

# %%
from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from level1_foundations.parts.gradient_descent.optimizer import require_at_least_zero, require_fraction

__all__ = [
    "Array", "betas", "check_adam_group", "coupled_penalty", "decoupled_decay", "effective_gradient", "running_mean",
    "running_mean_of_square", "shrink",
]  # fmt: skip

Array = Float[np.ndarray, "*shape"]
"""All arrays of one rule have one shape: parameter, gradient, and what is remembered."""

# %% [markdown]
# ### The gradient that a rule sees
#
# Maximizing means to follow $-g$. The penalty $\tfrac{\lambda}{2}\|\theta\|^2$ adds $\lambda\theta$, and it pulls to zero in
# both cases:
#
# $$g \leftarrow \pm g + \lambda\theta .$$


# %%
def effective_gradient(theta: Array, g: Array, out: Array, *, maximize: bool, weight_decay: float) -> Array:
    """±g + λθ: `g` itself if there is nothing to change, else written to `out`. `g` is never changed."""
    if weight_decay == 0:
        return np.negative(g, out=out) if maximize else g
    np.multiply(theta, weight_decay, out=out)
    return np.subtract(out, g, out=out) if maximize else np.add(out, g, out=out)


# %% [markdown]
# ### Running means


# %%
def running_mean(m: np.ndarray, g: np.ndarray, beta: float, work: np.ndarray) -> None:
    """m ← β m + (1 − β) g, in place."""
    m *= beta
    m += np.multiply(g, 1 - beta, out=work)


def running_mean_of_square(v: np.ndarray, g: np.ndarray, beta: float, work: np.ndarray) -> None:
    """v ← β v + (1 − β) g², in place."""
    v *= beta
    np.multiply(g, g, out=work)
    work *= 1 - beta
    v += work


# %% [markdown]
# ### Weight decay, coupled and not
#
# **AdamW** decays the weights themselves, beside the gradient step: $\theta \leftarrow (1 - \eta\lambda)\,\theta$. In torch,
# and here, AdamW is Adam with `decoupled_weight_decay=True`.


# %%
def shrink(theta: Array, *, lr: float, weight_decay: float) -> None:
    """θ ← (1 − ηλ) θ, in place."""
    if weight_decay != 0:
        theta *= 1 - lr * weight_decay


def coupled_penalty(group: dict) -> dict[str, Any]:
    """The decay that goes through the gradient: none of it if it is decoupled."""
    decay = 0.0 if group["decoupled_weight_decay"] else float(group["weight_decay"])
    return {"maximize": group["maximize"], "weight_decay": decay}


def decoupled_decay(group: dict) -> dict[str, float]:
    """The decay that bypasses the gradient: none of it unless it is decoupled."""
    decay = float(group["weight_decay"]) if group["decoupled_weight_decay"] else 0.0
    return {"lr": float(group["lr"]), "weight_decay": decay}


def betas(group: dict) -> dict[str, float]:  # practice: keep
    """β₁ and β₂ of a group by the names that the rules use."""
    return {"beta1": float(group["betas"][0]), "beta2": float(group["betas"][1])}


def check_adam_group(group: dict) -> None:
    """What Adam, AdamW and NAdam demand of a group."""
    require_at_least_zero(group["lr"], "learning rate")
    require_at_least_zero(group["eps"], "epsilon value")
    require_at_least_zero(group["weight_decay"], "weight_decay value")
    if not isinstance(group["betas"], tuple | list) or len(group["betas"]) != 2:
        raise ValueError(f"betas must be two numbers (beta1, beta2), got {group['betas']!r}.")
    for index, beta in enumerate(group["betas"]):
        require_fraction(beta, f"beta parameter at index {index}")
