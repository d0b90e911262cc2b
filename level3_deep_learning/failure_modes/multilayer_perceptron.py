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
# Three ways in which the first weights decide whether a network can learn at all: alike units stay alike, gradients shrink
# by a factor per layer, and a ReLU that is silent on every sample stays silent. And two ways to a loss that is NaN: a step
# beyond the limit, and the logarithm of a probability that was rounded to 0.

# %%
from __future__ import annotations

import math
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor
from level1_foundations.gradient_descent import SGD, Adam
from level3_deep_learning.modules import cross_entropy, mse_loss
from level3_deep_learning.multilayer_perceptron import MLP
from shared.datasets import load_digits
from shared.failure_mode import Claim, FailureMode, Share, Sweep
from shared.special import ndtr

# %% [markdown]
# ## Units that start alike stay alike
#
# Let two hidden units $j$ and $k$ have equal incoming weights, equal biases and equal outgoing weights. Then
# $A_{\cdot j} = A_{\cdot k}$ for all samples, hence by (2) their outgoing weights get equal gradients; and
# $(\Delta W)_{\cdot j} = (\Delta W)_{\cdot k}$, hence by (4), (2) and (3) their incoming weights and biases do. Any
# optimizer that treats entries alike (gradient descent, momentum, Adam) keeps them equal. The number of *different* hidden
# units does not grow:
#
# $$\#\text{different units after training} = \#\text{different units before} = 1 \text{ for zero weights.}$$
#
# A layer of any width then computes what one unit can. (With ReLU or tanh it is worse:
# $A = 0$ and $W = 0$ make both gradients 0, so only the output bias learns. The experiment uses logistic units, which do
# learn, all the same thing.)
#
# **Remedy**: random weights from a continuous distribution are all different with probability 1, and stay so. Two units
# count as equal when no weight differs by more than $10^{-9}$: rounding may depend on a unit's place in a matrix product.


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
    if initialization not in ("zeros", "glorot"):
        raise ValueError(f"initialization must be 'zeros' or 'glorot', got {initialization!r}.")
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


SYMMETRY: dict[str, Any] = {"width": 16, "n_steps": 60}
ZERO_INITIALIZATION = FailureMode(
    name="zero_initialization",
    title="Units that start alike stay alike",
    symptoms=(
        "loss does not decrease",
        "loss does not move from the first step",
        "all hidden units have the same weights",
        "network is stuck at chance level",
    ),
    breaks=Claim(
        statement="Hidden units that start with zero weights are all alike after training: one distinct unit.",
        quantity="distinct hidden units of 16 after 60 steps of Adam",
        experiment=different_units,
        predicted=predicted_different_units,
        rival=16.0,  # the optimizer tells them apart
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
        rival=1.0,  # they stay alike
        relation="≈",
        tolerance=0.0,
        reason="draws of a continuous distribution are different with probability 1",
        parameters={**SYMMETRY, "initialization": "glorot"},
        every_seed=True,
    ),
    figure=draw_symmetry,
    seeds=5,  # the weights are drawn, but the count is the same for all
)

# %% [markdown]
# ## Gradients shrink by a fixed factor per layer
#
# By (4), $\Delta_{l-1} = (\Delta_l W_l)\odot\varphi'(Z_{l-1})$. Let the weights be independent with mean 0, and, as is usual
# in this calculation, independent of $\Delta_l$. An entry of $\Delta_l W_l$ is a sum of $d_l$ terms, so
#
# $$\mathbb E[\Delta_{l-1}^2] = d_l \operatorname{Var}(W_l)\; \mathbb E[\varphi'^2]\;\mathbb E[\Delta_l^2].$$
#
# A ReLU's $\varphi'$ is 1 or 0, each with probability ½ by the symmetry of $Z$. So the root mean square of the error changes
# from layer to layer by the factor
#
# $$\rho = \sqrt{d\,\operatorname{Var}(W)/2}.$$
#
# torch's default has $\operatorname{Var}(W) = 1/(3d)$: $\rho = 1/\sqrt 6 = 0.408$, so over 14 layers the error shrinks by
# the factor $6^7 = 279{,}936$. **Remedy**: He's $\operatorname{Var}(W) = 2/d$ makes $\rho = 1$. **Regime**: wide layers of
# equal width, ReLU, at the start of training; corrections are of the order $1/d$ per layer.


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
    if depth > width / 10:
        raise ValueError(f"depth must be small beside width, got {depth} layers of {width} units.")
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


DEEP: dict[str, Any] = {"depth": 16, "width": 300}
VANISHING_GRADIENTS = FailureMode(
    name="vanishing_gradients",
    title="Gradients shrink by a fixed factor per layer",
    symptoms=(
        "deep network does not learn",
        "lowest layers do not change",
        "gradients vanish",
        "gradients are almost zero in the first layers",
    ),
    breaks=Claim(
        statement="With torch's default initialization the errors of a deep ReLU network shrink by 1/√6 per layer.",
        quantity="factor per layer of the errors' root mean square, geometric mean over 15 layers",
        experiment=error_factor,
        predicted=predicted_error_factor,
        rival=1 / math.sqrt(3),  # forgets that a ReLU passes half of the errors
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="corrections of order 1/width per layer, and five standard errors at 20 seeds",
        parameters={**DEEP, "initialization": "default"},
        sweep=Sweep("depth", (3, 6, 9, 12, 16, 20), "layers", seeds=4),
    ),
    remedy=Claim(
        statement="With He's initialization the errors of a deep ReLU network keep their size.",
        quantity="factor per layer of the errors' root mean square, geometric mean over 15 layers",
        experiment=error_factor,
        predicted=predicted_error_factor,
        rival=predicted_error_factor("default", **DEEP),
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="corrections of order 1/width per layer, and five standard errors at 20 seeds",
        parameters={**DEEP, "initialization": "he"},
    ),
    figure=draw_vanishing,
)

# %% [markdown]
# ## A ReLU that is silent on every sample never moves again
#
# A ReLU whose pre-activation is negative on all $n$ samples gives 0 everywhere, and $\varphi' = 0$ everywhere. By (4) its
# error is 0, by (2) and (3) its weights and bias get no gradient: it is dead, and in the first layer, whose inputs never
# change, it stays dead. One step that is too large can do that, by pushing a bias far down.
#
# For Gaussian inputs $x \sim N(0, I)$ and a unit with weights $w$ and bias $b = -c\,\|w\|$, the pre-activation is
# $N(b, \|w\|^2)$, negative with probability $\Phi(c)$, independently for each sample. So the share of dead units is
#
# $$\Phi(c)^n .$$
#
# The experiment trains the network and counts first-layer units whose weights and bias are, to the last bit, where they
# began. **Regime**: Gaussian inputs, full batches, no weight decay (which would move even a dead unit's weights).
# **Remedy**: start biases at 0; the share is $2^{-n}$. An activation with a slope everywhere (GELU, leaky ReLU) also helps.


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
    if n_steps < 1:
        raise ValueError("n_steps must be at least 1: before the first step every unit is untouched.")
    return float(ndtr(c)) ** n


def share_dead_on_average(c: float, n: int, width: int, n_steps: int) -> float:
    """The nearest wrong theory: a unit dies as often as it is off on one sample, Φ(c)."""
    return float(ndtr(c))


def draw_dead():
    """Share of units that never move, over the shift of their biases; a hundred samples."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    plot_sweep(axis, DEAD_RELU.breaks)
    axis.plot([0], [0], "o", ms=9, color=COLORS["mended"], label="bias 0, mended")
    axis.set(ylabel="share of units that never move", title="Dead ReLUs, 100 samples")
    axis.legend()
    return figure


DEAD: dict[str, Any] = {"n": 100, "width": 1000, "n_steps": 5}
DEAD_RELU = FailureMode(
    name="dead_relu",
    title="A ReLU that is silent on every sample never moves again",
    symptoms=(
        "dead neurons",
        "many activations are exactly 0 for every sample",
        "relu outputs only zeros",
        "units never update",
    ),
    breaks=Claim(
        statement="With biases pushed down by c‖w‖ a share Φ(c)ⁿ of the ReLUs gets no gradient and never moves.",
        quantity="share of first-layer units untouched by training, n = 100, c = 2.5",
        experiment=unmoved_share,
        predicted=predicted_unmoved_share,
        rival=share_dead_on_average,
        relation="≈",
        tolerance=0.03,
        reason="exact for Gaussian inputs; 0.03 leaves room for the sampling error of 40 networks",
        parameters={**DEAD, "c": 2.5},
        sweep=Sweep("c", (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0), "shift c of the biases", seeds=4),
    ),
    remedy=Claim(
        statement="With biases that start at 0 every ReLU moves.",
        quantity="share of first-layer units untouched by training, n = 100, c = 0",
        experiment=unmoved_share,
        predicted=predicted_unmoved_share,
        rival=predicted_unmoved_share(c=2.5, **DEAD),
        relation="≈",
        tolerance=1e-12,
        reason="a share of 2⁻¹⁰⁰ is less than one unit in any run that can be made",
        parameters={**DEAD, "c": 0.0},
        every_seed=True,
    ),
    figure=draw_dead,
    seeds=40,
)

# %% [markdown]
# ## The loss becomes NaN
#
# Training a layer on top of fixed features by squared error is descent on a quadratic. Let the rows of $F$ be the features
# with a 1 behind them, $\lambda_i$ the eigenvalues of $F^{\!\top}F/n$ and $v_i$ its eigenvectors. The loss is the mean over
# $n$ samples and ten outputs, so its curvatures are $h_i = 2\lambda_i/10$, and the distance $E$ of the weights to their
# optimum obeys $v_i^{\!\top}E_t = (1-\eta h_i)^t\,v_i^{\!\top}E_0$. Beyond $\eta = 2/h_1$ the sum of the squared residuals
# is soon
#
# $$S_t = n\sum_{\eta h_i > 2}\lambda_i\,\lVert v_i^{\!\top}E_0\rVert^2\,(1-\eta h_i)^{2t},$$
#
# and the loss is inf at the first $t$ with $S_t > 3.4\cdot10^{38}$, the largest number of float32. In the next step inf
# times 0 or inf minus inf makes the weights NaN. For the start,
# $v_i^{\!\top}E_0 = v_i^{\!\top}W_0 - v_i^{\!\top}F^{\!\top}Y/(n\lambda_i)$ needs no fit.
#
# What makes this insidious is the wait: twenty percent past the limit the log looks bad, not broken, for a hundred steps.
# **Remedy**: a step below $2/h_1$, which a few power iterations find. **Regime**: fixed features. Where all layers train,
# their curvature moves with them, and the limit with it.


# %%
def fixed_features() -> tuple[MLP, np.ndarray, np.ndarray]:
    """A network with He's first weights, the outputs of its 100 hidden ReLUs on 500 digits, and one-hot targets."""
    digits = load_digits()
    network = MLP([64, 100, 10], "relu", "he", dtype=np.float32, rng=0)
    X = Tensor((digits.X[:500] / 16).astype(np.float32))
    return network, network[1](network[0](X)).array, np.eye(10, dtype=np.float32)[digits.y[:500]]


def curvatures(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F with its column of ones, and the eigenvalues and eigenvectors of FᵀF/n, largest last."""
    F = np.column_stack([features, np.ones(len(features))]).astype(np.float64)
    return F, *np.linalg.eigh(F.T @ F / len(F))


def steps_with_a_finite_loss(rng: np.random.Generator, share: float, n_steps: int) -> float:
    """How many steps gradient descent on the last layer makes until its loss is not finite; η = share · 2/h₁."""
    network, features, targets = fixed_features()
    inputs, outputs, head = Tensor(features), Tensor(targets), network[2]
    optimizer = SGD(head.parameters(), lr=share * 10 / curvatures(features)[1][-1])
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(n_steps):
            loss = mse_loss(head(inputs), outputs)
            if not math.isfinite(loss.item()):
                return float(step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return float(n_steps)


def predicted_finite_steps(share: float, n_steps: int) -> float:
    """The first t at which S_t exceeds the largest float32; all steps where no direction is beyond its limit."""
    if 0.999 < share < 1.001:
        raise ValueError(f"share must be off the limit itself, where rounding decides, got {share}.")
    network, features, targets = fixed_features()
    F, eigenvalues, vectors = curvatures(features)
    factors = np.abs(1 - 2 * share * eigenvalues / eigenvalues[-1])
    growing = factors > 1
    if not growing.any():
        return float(n_steps)
    eigenvalues, vectors = eigenvalues[growing], vectors[:, growing]
    start = np.column_stack([network[2].weight.array, network[2].bias.array]).T  # (101, 10)
    distance = vectors.T @ start - vectors.T @ (F.T @ targets) / (len(F) * eigenvalues[:, None])
    first = np.log(len(F) * eigenvalues * np.sum(distance**2, axis=1))
    steps = np.arange(n_steps)[:, None]
    size = np.logaddexp.reduce(first + 2 * steps * np.log(factors[growing]), axis=1)
    beyond = np.flatnonzero(size > math.log(np.finfo(np.float32).max))
    return float(beyond[0] if len(beyond) else n_steps)


def steps_until_the_weights_overflow(share: float, n_steps: int) -> float:
    """The nearest wrong theory: it waits for the weights to overflow, and forgets that the loss squares them."""
    return 2 * predicted_finite_steps(share, n_steps)


def finite_steps_of_the_broken_run(share: float, n_steps: int) -> float:
    """The rival of the remedy: what a step a fifth beyond the limit gives."""
    return predicted_finite_steps(1.2, n_steps)


def draw_nan():
    """Left: the loss of the last layer over the steps, for four step sizes; it ends where the loss is inf. Right: how many steps that
    takes, over the step size."""
    from shared.figures import COLORS, PALETTE, plot_sweep, subplots

    figure, (left, right) = subplots(1, 2, width=9.5, height=3.8)
    network, features, targets = fixed_features()
    F, eigenvalues, _ = curvatures(features)
    for share, color in zip((1.5, 1.2, 1.1, 0.9), PALETTE, strict=False):
        W, losses = np.column_stack([network[2].weight.array, network[2].bias.array]).T.astype(float), []
        for _ in range(int(min(predicted_finite_steps(share, 250), 250))):
            residuals = F @ W - targets
            losses.append(np.mean(residuals**2))
            W -= share * 10 / eigenvalues[-1] * 2 * F.T @ residuals / residuals.size
        left.semilogy(losses, color=color, label=f"{share:g} · 2/h₁")
    left.axhline(float(np.finfo(np.float32).max), color=COLORS["muted"], linewidth=1, linestyle="--")
    left.set(xlabel="step", ylabel="mean squared error", title="the largest float32, and the way to it")
    left.legend()
    plot_sweep(right, LOSS_BECOMES_NAN.breaks)
    right.set(title="steps with a finite loss", yscale="log")
    right.legend()
    return figure


STEPS: dict[str, Any] = {"n_steps": 600}
LOSS_BECOMES_NAN = FailureMode(
    name="loss_becomes_nan",
    title="The loss becomes NaN",
    symptoms=(
        "loss is nan",
        "weights are nan",
        "network output is nan",
    ),
    breaks=Claim(
        statement="A step a fifth beyond the limit gives a loss that is not finite after 121 steps.",
        quantity="steps with a finite loss, of 600, learning rate 1.2 times the limit",
        experiment=steps_with_a_finite_loss,
        predicted=predicted_finite_steps,
        rival=steps_until_the_weights_overflow,
        relation="≈",
        tolerance=1.0,
        reason="the first step beyond the largest float32 is exact for the growing directions; rounding may shift it by one",
        parameters={"share": 1.2, **STEPS},
        deterministic=True,
        sweep=Sweep(
            "share", (0.6, 0.9, 1.1, 1.2, 1.5, 2.0, 3.0), "learning rate, in units of the limit", seeds=1
        ),
    ),
    remedy=Claim(
        statement="A step a tenth below the limit keeps the loss finite to the last of 600 steps.",
        quantity="steps with a finite loss, of 600, learning rate 0.9 times the limit",
        experiment=steps_with_a_finite_loss,
        predicted=predicted_finite_steps,
        rival=finite_steps_of_the_broken_run,
        relation="≈",
        tolerance=0.0,
        reason="no direction grows",
        parameters={"share": 0.9, **STEPS},
        deterministic=True,
    ),
    figure=draw_nan,
)

# %% [markdown]
# ## The logarithm of a rounded probability
#
# The other way to a loss that is not finite needs no step at all. With two classes the true one has probability
# $p = 1/(1 + e^{g})$, where $g$ is the gap by which the wrong logit leads. In float32, $e^{-g}$ is rounded to 0 beyond
# $g_0 = 150\ln 2 = 103.97$, half of the smallest number $2^{-149}$. Whoever computes $p$ first and then its logarithm gets
# inf for such a sample, and NaN in the next gradient. For logits that are independent $N(0, s^2)$ the gap is $N(0, 2s^2)$,
# so the share of such samples is
#
# $$\Phi\!\left(-\frac{150\ln 2}{\sqrt2\,s}\right).$$
#
# Large logits come from features that were not scaled, or from a step that was too long. **Remedy**: stay in log space,
# $\log\sum_k e^{z_k} - z_y$, which is what every library's cross-entropy *from logits* does: the loss is then $g$, a large
# finite number with a gradient that mends it.


# %%
def share_not_finite(rng: np.random.Generator, from_logits: bool, scale: float, n: int) -> Share:
    """On how many of n samples with two random logits the float32 cross-entropy is not finite."""
    logits = rng.normal(0, scale, (n, 2)).astype(np.float32)
    y = rng.integers(0, 2, n)
    if from_logits:
        losses = cross_entropy(Tensor(logits), Tensor(y), reduction="none").array
    else:
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            losses = -np.log(p[np.arange(n), y])
    return Share(int(np.sum(~np.isfinite(losses))), n)


def predicted_share_not_finite(from_logits: bool, scale: float, n: int) -> float:
    """Φ(−150 ln 2 / (√2 s)) for the logarithm of a probability, 0 in log space."""
    if scale <= 0:
        raise ValueError(f"scale must be positive, got {scale}.")
    return 0.0 if from_logits else float(ndtr(-150 * math.log(2) / (math.sqrt(2) * scale)))


def share_below_the_smallest_normal_number(from_logits: bool, scale: float, n: int) -> float:
    """The nearest wrong theory: it takes float32's smallest *normal* number, 2⁻¹²⁶, for its smallest one."""
    return float(ndtr(-126 * math.log(2) / (math.sqrt(2) * scale)))


def draw_log_of_zero():
    """Share of samples whose loss is not finite, over the size of the logits; in log space none."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    plot_sweep(axis, LOGARITHM_OF_ZERO.breaks, label="log of softmax, 95 %")
    axis.axhline(0, color=COLORS["mended"], label="from logits")
    axis.set(ylabel="share with a loss of inf", title="The logarithm of a probability that was rounded to 0")
    axis.legend()
    return figure


LOGITS: dict[str, Any] = {"scale": 60.0, "n": 20_000}
LOGARITHM_OF_ZERO = FailureMode(
    name="logarithm_of_zero",
    title="The logarithm of a rounded probability",
    symptoms=(
        "loss is inf after a confident mistake",
        "log of zero in the cross-entropy",
        "nan from log softmax",
    ),
    breaks=Claim(
        statement="With logits of size 60 the logarithm of a float32 softmax is −∞ for one sample in nine.",
        quantity="share of samples with a cross-entropy that is not finite",
        experiment=share_not_finite,
        predicted=predicted_share_not_finite,
        rival=share_below_the_smallest_normal_number,
        relation="≈",
        tolerance=0.005,
        reason="exact up to the sum in the denominator, which is 1 to a part in 10⁴⁵; δ is the width of the verdict's interval, "
        "rounded up",
        parameters={"from_logits": False, **LOGITS},
        sweep=Sweep("scale", (20.0, 30.0, 45.0, 60.0, 90.0, 130.0), "standard deviation of the logits"),
    ),
    remedy=Claim(
        statement="From logits, in log space, the loss of every sample is finite.",
        quantity="share of samples with a cross-entropy that is not finite",
        experiment=share_not_finite,
        predicted=predicted_share_not_finite,
        rival=predicted_share_not_finite(from_logits=False, **LOGITS),
        relation="≈",
        tolerance=1e-3,
        reason="an identity for finite logits; δ is the width of the verdict's interval, rounded up",
        parameters={"from_logits": True, **LOGITS},
    ),
    figure=draw_log_of_zero,
    seeds=10,
)

# %%
FAILURE_MODES = (ZERO_INITIALIZATION, VANISHING_GRADIENTS, DEAD_RELU, LOSS_BECOMES_NAN, LOGARITHM_OF_ZERO)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
