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
# # The network as a module, and its first weights
#
# Part of the topic [multilayer perceptron](../../multilayer_perceptron.py).

# %%
from __future__ import annotations

import itertools
import math
import numbers
from typing import Any

import numpy as np

from level3_deep_learning import modules
from level3_deep_learning.modules import GELU, Identity, Linear, ReLU, Sequential, Sigmoid, Tanh
from shared.arrays import random_generator, validate_choice, validate_number

__all__ = [
    "ACTIVATIONS", "INITIALIZATIONS", "MLP", "default_initialization", "glorot_initialization", "he_initialization", "initialize",
    "uniform_initialization", "zero_initialization",
]  # fmt: skip

# %% [markdown]
# **First weights.** If the entries of $W_l$ are independent with mean 0, then
# $\operatorname{Var}(Z_l) = d_{l-1} \operatorname{Var}(W_l)\,\mathbb E[A_{l-1}^2]$, and ReLU passes half of the second
# moment on: $\mathbb E[A^2] = \tfrac12\operatorname{Var}(Z)$. The scale of the signals stays constant over the layers if
#
# - He: $\operatorname{Var}(W) = 2/d_{l-1}$, made for ReLU;
# - Glorot: $\operatorname{Var}(W) = 2/(d_{l-1}+d_l)$, a compromise of both directions for
# $\varphi'\approx 1$; the uniform distribution on $\pm c$ has variance $c^2/3$, hence $c = \sqrt{6/(d_{l-1}+d_l)}$;
# - torch's default has $\operatorname{Var}(W) = 1/(3d_{l-1})$, which keeps neither (see the failure modes).


# %%
def default_initialization(
    fan_in: int, fan_out: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """torch's: weights and bias uniform in ±1/√fan_in."""
    bound = modules.kaiming_bound(fan_in, math.sqrt(5.0))
    return rng.uniform(-bound, bound, (fan_out, fan_in)), rng.uniform(-bound, bound, fan_out)


def he_initialization(fan_in: int, fan_out: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Normal weights of variance 2/fan_in, zero bias."""
    return rng.normal(0.0, math.sqrt(2.0 / fan_in), (fan_out, fan_in)), np.zeros(fan_out)


def glorot_initialization(
    fan_in: int, fan_out: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Weights uniform in ±√(6/(fan_in + fan_out)), zero bias."""
    bound = math.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, (fan_out, fan_in)), np.zeros(fan_out)


def zero_initialization(fan_in: int, fan_out: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All zeros: what not to do."""
    return np.zeros((fan_out, fan_in)), np.zeros(fan_out)


def uniform_initialization(
    fan_in: int, fan_out: int, rng: np.random.Generator, *, factor: float = 6.0
) -> tuple:
    """scikit-learn's: weights and bias uniform in ±√(factor/(fan_in + fan_out)), factor 2 for logistic units."""
    bound = math.sqrt(factor / (fan_in + fan_out))
    return rng.uniform(-bound, bound, (fan_out, fan_in)), rng.uniform(-bound, bound, fan_out)


ACTIVATIONS = {"relu": ReLU, "tanh": Tanh, "logistic": Sigmoid, "gelu": GELU, "identity": Identity}
INITIALIZATIONS = {
    "default": default_initialization,
    "he": he_initialization,
    "glorot": glorot_initialization,
    "zeros": zero_initialization,
}


class MLP(Sequential):
    """Linear layers with an activation between them: `Linear, φ, Linear, φ, …, Linear`.

    Args:
        sizes: widths from input to output, at least two, such as `[64, 32, 10]`.
        activation: "relu", "tanh", "logistic", "gelu" or "identity".
        initialization: "default" (torch's), "he", "glorot", "zeros", or a function
            `(fan_in, fan_out, rng) -> (weight of shape (fan_out, fan_in), bias of shape (fan_out,))`.
        dtype: float32 (default, as in torch) or float64.
        rng: Generator or seed of the first weights.

    The names in `state_dict` ("0.weight", "0.bias", "2.weight", …) are those of the torch model
    `Sequential(Linear(…), ReLU(), Linear(…))`, so either loads the other's.
    """

    def __init__(
        self,
        sizes: Any,
        activation: Any = "relu",
        initialization: Any = "default",
        *,
        dtype: Any = None,
        rng: Any = None,
    ) -> None:
        if isinstance(sizes, numbers.Number) or len(sizes) < 2:
            raise ValueError(f"sizes must name at least an input and an output width, got {sizes!r}")
        sizes = tuple(validate_number(size, "sizes", minimum=1, integer=True) for size in sizes)
        validate_choice(activation, "activation", ACTIVATIONS)
        rng = random_generator(rng)
        layers = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            layers += [Linear(fan_in, fan_out, dtype=dtype, rng=0), ACTIVATIONS[activation]()]
        super().__init__(*layers[:-1])
        self.sizes = sizes
        initialize(self, initialization, rng)  # replaces what the layers drew for themselves

    def linear_layers(self) -> list[Linear]:
        """The linear layers, from input to output."""
        return [layer for layer in self if isinstance(layer, Linear)]


def initialize(network: MLP, initialization: Any, rng: np.random.Generator) -> None:
    """Draw all weights and biases of a network anew, by the name of a rule or by a function."""
    if not callable(initialization):
        validate_choice(initialization, "initialization", INITIALIZATIONS)
        initialization = INITIALIZATIONS[initialization]
    for layer in network.linear_layers():
        layer.weight.array[...], layer.bias.array[...] = initialization(
            layer.in_features, layer.out_features, rng
        )
