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
# # How a multilayer perceptron breaks
#
# Three ways in which the first weights decide whether a network can learn at all: alike units stay alike,
# gradients shrink by a factor per layer, and a ReLU that is silent on every sample stays silent.

# %%
from __future__ import annotations

import math
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor
from level1_foundations.gradient_descent import SGD, Adam
from level3_deep_learning.modules import cross_entropy
from level3_deep_learning.multilayer_perceptron import MLP
from shared.datasets import load_digits
from shared.failure_mode import Claim, FailureMode
from shared.special import ndtr

# %% [markdown]
# ## 1. Zero initialization never breaks the symmetry
#
# Let two hidden units $j$ and $k$ have equal incoming weights, equal biases and equal outgoing weights. Then
# $A_{\cdot j} = A_{\cdot k}$ for all samples, hence by (2) their outgoing weights get equal gradients; and
# $(\Delta W)_{\cdot j} = (\Delta W)_{\cdot k}$, hence by (4), (2) and (3) their incoming weights and biases
# do. Any optimizer that treats entries alike (gradient descent, momentum, Adam) keeps them equal for ever.
# The number of *different* hidden units can never grow:
#
# $$\#\text{different units after training} = \#\text{different units before} = 1 \text{ for zero weights.}$$
#
# A layer of any width then computes what one unit can (with steps as many times as long). (With ReLU or tanh it is worse: $A = 0$ and $W = 0$ make both
# gradients 0, so only the output bias learns. The experiment uses logistic units, which do learn, all the
# same thing.)
#
# **Remedy**: random weights from a continuous distribution are all different with probability 1, and stay so.
# Two units count as equal when no weight differs by more than $10^{-9}$: rounding may depend on a unit's
# place in a matrix product.


# %%
def train_digits(
    rng: np.random.Generator, initialization: str, width: int, n_steps: int
) -> tuple[MLP, list[float]]:
    """A logistic network on 200 digits, full batches, Adam; returns it with its loss curve."""
    digits = load_digits()
    rows = rng.permutation(len(digits.y))[:200]
    X, y = Tensor(digits.X[rows] / 16), Tensor(digits.y[rows])
    network = MLP([64, width, 10], "logistic", initialization, dtype=np.float64, rng=rng)
    optimizer, losses = Adam(network.parameters(), lr=0.03), []
    for _ in range(n_steps):
        loss = cross_entropy(network(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return network, losses


def different_units(rng: np.random.Generator, initialization: str, width: int, n_steps: int) -> float:
    """How many of the hidden units differ from all earlier ones, after training."""
    network, _ = train_digits(rng, initialization, width, n_steps)
    units = np.column_stack([network[0].weight.array, network[0].bias.array, network[2].weight.array.T])
    gaps = np.abs(units[:, None] - units[None]).max(axis=2)  # (width, width)
    return float(sum(np.all(gaps[i, :i] > 1e-9) for i in range(width)))


def predicted_different_units(initialization: str, width: int, n_steps: int) -> float:
    """Equal units stay equal: 1; random ones stay all different: the width."""
    return 1.0 if initialization == "zeros" else float(width)


def draw_symmetry():
    """Loss curves: sixteen equal units are one unit with a longer step, and no match for sixteen different ones."""
    from shared.figures import COLORS, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    for initialization, width, color, label in (
        ("zeros", 16, "broken", "16 units, zero weights: 1 different"),
        ("glorot", 1, "muted", "1 unit, random weights"),
        ("glorot", 16, "mended", "16 units, random weights: 16 different"),
    ):
        losses = train_digits(np.random.default_rng(0), initialization, width, 200)[1]
        axis.plot(losses, color=COLORS[color], label=label)
    axis.axhline(math.log(10), color=COLORS["theory"], linestyle="--", linewidth=1, label="log 10: guessing")
    axis.set(
        xlabel="step of Adam",
        ylabel="cross-entropy",
        title="Units that start alike stay alike",
        ylim=(0, 2.6),
    )
    axis.legend(fontsize=8)
    return figure


# %% [markdown]
# ## 2. Gradients vanish by a fixed factor per layer
#
# By (4), $\Delta_{l-1} = (\Delta_l W_l)\odot\varphi'(Z_{l-1})$. Let the weights be independent with mean 0,
# and, as is usual in this calculation, independent of $\Delta_l$. An entry of $\Delta_l W_l$ is a sum of
# $d_l$ terms, so
#
# $$\mathbb E[\Delta_{l-1}^2] = d_l \operatorname{Var}(W_l)\; \mathbb E[\varphi'^2]\;\mathbb E[\Delta_l^2].$$
#
# A ReLU's $\varphi'$ is 1 or 0, each with probability ½ by the symmetry of $Z$. So the root mean square of
# the error changes from layer to layer by the factor
#
# $$\rho = \sqrt{d\,\operatorname{Var}(W)/2}.$$
#
# torch's default has $\operatorname{Var}(W) = 1/(3d)$: $\rho = 1/\sqrt 6 = 0.408$, so over 14 layers the
# error shrinks by the factor $6^7 = 279{,}936$. **Remedy**: He's $\operatorname{Var}(W) = 2/d$ makes
# $\rho = 1$. **Regime**: wide layers of equal width, ReLU, at the start of training; corrections are of the
# order $1/d$ per layer.


# %%
def error_factor(rng: np.random.Generator, initialization: str, depth: int, width: int) -> float:
    """Factor per layer of the errors' root mean square, a geometric mean over the layers of a ReLU network."""
    sizes = error_sizes(rng, initialization, depth, width)
    return float((sizes[0] / sizes[-1]) ** (1 / (len(sizes) - 1)))


def error_sizes(rng: np.random.Generator, initialization: str, depth: int, width: int) -> np.ndarray:
    """Root mean square of ∂L/∂Z in each hidden layer, first to last, for Gaussian inputs and output errors."""
    network = MLP([width] * (depth + 1), "relu", initialization, dtype=np.float32, rng=rng)
    outputs: list[Tensor] = []

    def keep(module: Any, inputs: tuple, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    for layer in network.linear_layers()[:-1]:
        layer.register_forward_hook(keep)
    logits = network(Tensor(rng.normal(size=(16, width)).astype(np.float32)))
    logits.backward(Tensor(rng.normal(size=logits.shape).astype(np.float32)))
    return np.array(
        [math.sqrt(np.mean(np.square(output.grad.array, dtype=np.float64))) for output in outputs]
    )


def predicted_error_factor(initialization: str, depth: int, width: int) -> float:
    """√(width · variance / 2): what a ReLU layer does to the size of the error on its way down."""
    variance = {"default": 1 / (3 * width), "he": 2 / width}[initialization]
    return math.sqrt(width * variance / 2)


def draw_vanishing():
    """Root mean square of the errors by layer, for torch's default and He's initialization."""
    from shared.figures import COLORS, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    depth, layers = 16, np.arange(1, 16)
    for initialization, color, label in (("default", "broken", "torch's default"), ("he", "mended", "He")):
        sizes = error_sizes(np.random.default_rng(0), initialization, depth, 300)
        axis.semilogy(layers, sizes / sizes[-1], "o", color=COLORS[color], label=label)
        rho = predicted_error_factor(initialization, depth, 300)
        axis.semilogy(layers, rho ** (15.0 - layers), color=COLORS["theory"], linewidth=1)
    axis.plot([], [], color=COLORS["theory"], linewidth=1, label="theory: ρ per layer")
    axis.set(
        xlabel="hidden layer",
        ylabel="size of the error / last layer's",
        title="Vanishing gradients, layer by layer",
    )
    axis.legend()
    return figure


# %% [markdown]
# ## 3. Dead ReLUs
#
# A ReLU whose pre-activation is negative on all $n$ samples gives 0 everywhere, and $\varphi' = 0$
# everywhere. By (4) its error is 0, by (2) and (3) its weights and bias get no gradient: it is dead, and in
# the first layer, whose inputs never change, it stays dead. One step that is too large can do that, by
# pushing a bias far down.
#
# For Gaussian inputs $x \sim N(0, I)$ and a unit with weights $w$ and bias $b = -c\,\|w\|$, the
# pre-activation is $N(b, \|w\|^2)$, negative with probability $\Phi(c)$, independently for each sample. So
# the share of dead units is
#
# $$\Phi(c)^n .$$
#
# The experiment trains the network and counts first-layer units whose weights and bias are, to the last bit,
# where they began. **Regime**: Gaussian inputs, full batches, no weight decay (which would move even a dead
# unit's weights). **Remedy**: start biases at 0; the share is $2^{-n}$. An activation with a slope everywhere
# (GELU, leaky ReLU) also helps.


# %%
def unmoved_share(rng: np.random.Generator, c: float, n: int, width: int, n_steps: int) -> float:
    """Share of first-layer units that training leaves untouched to the last bit."""
    X, y = Tensor(rng.normal(size=(n, 200))), Tensor(rng.integers(0, 3, n))

    def pushed_down(fan_in: int, fan_out: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        weight = rng.normal(0, math.sqrt(2 / fan_in), (fan_out, fan_in))
        return weight, (-c * np.sqrt(np.sum(weight**2, axis=1)) if fan_out == width else np.zeros(fan_out))

    network = MLP([200, width, 3], "relu", pushed_down, dtype=np.float64, rng=rng)
    before = [parameter.array.copy() for parameter in network[0].parameters()]
    optimizer = SGD(network.parameters(), lr=0.1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        cross_entropy(network(X), y).backward()
        optimizer.step()
    weight, bias = network[0].parameters()
    return float(np.mean(np.all(weight.array == before[0], axis=1) & (bias.array == before[1])))


def predicted_unmoved_share(c: float, n: int, width: int, n_steps: int) -> float:
    """Φ(c)ⁿ: the unit is off on every one of n samples."""
    return float(ndtr(c)) ** n


def draw_dead():
    """Share of dead units against the shift of their biases."""
    from shared.figures import COLORS, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    shifts = np.linspace(0, 4, 17)
    measured = [unmoved_share(np.random.default_rng(0), c, 100, 500, 5) for c in shifts]
    axis.plot(shifts[1:], measured[1:], "o", color=COLORS["broken"], label="bias −c‖w‖")
    axis.plot(shifts[:1], measured[:1], "o", color=COLORS["mended"], label="bias 0")
    fine = np.linspace(0, 4, 200)
    axis.plot(
        fine, [predicted_unmoved_share(c, 100, 500, 5) for c in fine], color=COLORS["theory"], label="Φ(c)ⁿ"
    )
    axis.set(xlabel="shift c", ylabel="share of units that never move", title="Dead ReLUs, 100 samples")
    axis.legend()
    return figure


# %%
SYMMETRY: dict[str, Any] = {"width": 16, "n_steps": 60}
DEEP: dict[str, Any] = {"depth": 16, "width": 300}
DEAD: dict[str, Any] = {"n": 100, "width": 1000, "n_steps": 5}

FAILURE_MODES = (
    FailureMode(
        name="zero_initialization",
        title="Units that start alike stay alike",
        breaks=Claim(
            statement="Hidden units that start with zero weights are all alike after training: one distinct unit.",
            quantity="distinct hidden units of 16 after 60 steps of Adam",
            experiment=different_units,
            predicted=predicted_different_units,
            relation="≈",
            tolerance=0.0,
            reason="an identity: equal units get equal gradients",
            parameters={**SYMMETRY, "initialization": "zeros"},
            every_seed=True,
        ),
        remedy=Claim(
            statement="With random first weights all hidden units are different after training.",
            quantity="distinct hidden units of 16 after 60 steps of Adam",
            experiment=different_units,
            predicted=predicted_different_units,
            relation="≈",
            tolerance=0.0,
            reason="draws of a continuous distribution are different with probability 1",
            parameters={**SYMMETRY, "initialization": "glorot"},
            every_seed=True,
        ),
        figure=draw_symmetry,
        seeds=5,  # the weights are drawn, but the count is the same for all
    ),
    FailureMode(
        name="vanishing_gradients",
        title="Gradients shrink by a fixed factor per layer",
        breaks=Claim(
            statement="With torch's default initialization the errors of a deep ReLU network shrink by 1/√6 per layer.",
            quantity="factor per layer of the errors' root mean square, geometric mean over 15 layers",
            experiment=error_factor,
            predicted=predicted_error_factor,
            relation="≈",
            tolerance=0.05,
            relative=True,
            reason="corrections of order 1/width per layer, and five standard errors at 20 seeds",
            parameters={**DEEP, "initialization": "default"},
        ),
        remedy=Claim(
            statement="With He's initialization the errors of a deep ReLU network keep their size.",
            quantity="factor per layer of the errors' root mean square, geometric mean over 15 layers",
            experiment=error_factor,
            predicted=predicted_error_factor,
            relation="≈",
            tolerance=0.05,
            relative=True,
            reason="corrections of order 1/width per layer, and five standard errors at 20 seeds",
            parameters={**DEEP, "initialization": "he"},
        ),
        figure=draw_vanishing,
    ),
    FailureMode(
        name="dead_relu",
        title="A ReLU that is silent on every sample never moves again",
        breaks=Claim(
            statement="With biases pushed down by c‖w‖ a share Φ(c)ⁿ of the ReLUs gets no gradient and never moves.",
            quantity="share of first-layer units untouched by training, n = 100, c = 2.5",
            experiment=unmoved_share,
            predicted=predicted_unmoved_share,
            relation="≈",
            tolerance=0.03,
            reason="exact for Gaussian inputs; 0.03 leaves room for the sampling error of 40 networks",
            parameters={**DEAD, "c": 2.5},
        ),
        remedy=Claim(
            statement="With biases that start at 0 every ReLU moves.",
            quantity="share of first-layer units untouched by training, n = 100, c = 0",
            experiment=unmoved_share,
            predicted=predicted_unmoved_share,
            relation="≈",
            tolerance=1e-12,
            reason="a share of 2⁻¹⁰⁰ is less than one unit in any run that can be made",
            parameters={**DEAD, "c": 0.0},
            every_seed=True,
        ),
        figure=draw_dead,
        seeds=40,
    ),
)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
