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
# Five ways in which a network does not learn: zero first weights, gradients that shrink by a factor a layer, a step that
# silences ReLUs for good, raw features that turn the loss into NaN, and a softmax too many, which puts a floor under it.

# %%
from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor, softmax
from level1_foundations.gradient_descent import SGD, Adam
from level3_deep_learning.modules import cross_entropy, mse_loss
from level3_deep_learning.multilayer_perceptron import MLP
from shared.datasets import load_breast_cancer, load_digits
from shared.failure_mode import Claim, FailureMode, Sweep
from shared.numerics import logsumexp
from shared.special import ndtr

# %% [markdown]
# ## With zero first weights only the output bias learns
#
# Let all weights and biases start at 0, in a network with an activation for which $\varphi(0) = 0$ (ReLU, tanh, GELU). Then
# all $A_l = 0$, so by (2) $\partial\mathcal L/\partial W_L = \Delta_L^{\!\top}A_{L-1} = 0$, and since $W_L = 0$, (4) gives
# $\Delta_{L-1} = 0$. After any number of steps this is still so: the last bias alone gets a gradient. The best that a bias can do
# is to predict the shares $\pi_k$ of the classes, and the loss ends at their entropy, whatever the features say:
#
# $$-\sum_k \pi_k\log\pi_k .$$
#
# With logistic units, where $\varphi(0) = \tfrac12$, the weights do learn, but all hidden units the same: equal incoming and
# outgoing weights get equal gradients, and any optimizer that treats entries alike keeps them equal. A layer of any width is
# worth one unit. Both hold for a deterministic network: noise that differs by unit, such as dropout, tells units apart, too.
#
# **Remedy**: random first weights. A network contains every linear rule, among them the one that assigns each sample to the
# nearest class mean, with the best scale for its logits; that descent finds as good a one is the claim.


# %%
def scaled_breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    """569 standardized samples, (569, 30), and their classes."""
    data = load_breast_cancer()
    return (data.X - data.X.mean(axis=0)) / data.X.std(axis=0), data.y


def loss_curve(
    rng: np.random.Generator, initialization: str, activation: str, width: int, n_steps: int
) -> list[float]:
    """The loss of a network on breast cancer before each full-batch step of gradient descent."""
    X, y = (Tensor(array) for array in scaled_breast_cancer())
    network = MLP([30, width, 2], activation, initialization, dtype=np.float64, rng=rng)
    optimizer, losses = SGD(network.parameters(), lr=0.5), []
    for _ in range(n_steps):
        loss = cross_entropy(network(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def last_loss(rng: np.random.Generator, **settings: Any) -> float:
    """The loss before the last step."""
    return loss_curve(rng, **settings)[-1]


def entropy_of_shares(initialization: str, activation: str, width: int, n_steps: int) -> float:
    """−Σ π log π of the class shares: all that a bias can reach."""
    if initialization != "zeros" or activation not in ("relu", "tanh", "gelu"):
        raise ValueError(f"only zero weights with φ(0) = 0 hold, got {initialization!r}, {activation!r}.")
    shares = np.bincount(scaled_breast_cancer()[1]) / 569
    return float(-np.sum(shares * np.log(shares)))


def loss_of_nearest_means(X: np.ndarray, y: np.ndarray) -> float:
    """Cross-entropy of the logits c(x·m_k − ‖m_k‖²/2), m_k the class means, at the best scale c of a fine grid."""
    means = np.stack([X[y == k].mean(axis=0) for k in np.unique(y)])
    scores = X @ means.T - np.sum(means**2, axis=1) / 2  # (n, classes)
    return min(
        float(np.mean(logsumexp(c * scores, axis=1) - c * scores[np.arange(len(y)), y]))
        for c in np.geomspace(1e-3, 1e3, 121)
    )


def predicted_with_random_weights(**_: Any) -> float:
    """What the rule of the nearest class mean reaches on breast cancer."""
    return loss_of_nearest_means(*scaled_breast_cancer())


def entropy_from_zero_weights(**_: Any) -> float:
    """The rival of the remedy."""
    return entropy_of_shares(**BIAS_ALONE)


def draw_symmetry():
    """Loss curves on breast cancer: from zero weights the loss ends at the entropy of the class shares, from random ones far below."""
    from shared.figures import COLORS, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    for initialization, activation, color, label in (
        ("zeros", "relu", "broken", "zero weights, ReLU: the bias alone"),
        ("zeros", "logistic", "muted", "zero weights, logistic: one unit, sixteen times"),
        ("glorot", "relu", "mended", "random weights, ReLU"),
    ):
        losses = loss_curve(np.random.default_rng(0), initialization, activation, 16, 100)
        axis.plot(losses, color=COLORS[color], label=label)
    axis.axhline(
        entropy_of_shares(**BIAS_ALONE), color=COLORS["theory"], ls="--", label="entropy of the shares"
    )
    axis.set(xlabel="step", ylabel="cross-entropy", title="Zero first weights", ylim=(0, 0.75))
    axis.legend(fontsize=8)
    return figure


NETWORK: dict[str, Any] = {"activation": "relu", "width": 16, "n_steps": 100}
BIAS_ALONE: dict[str, Any] = {**NETWORK, "initialization": "zeros"}
ZERO_INITIALIZATION = FailureMode(
    name="zero_initialization",
    title="With zero first weights only the output bias learns",
    symptoms=(
        "loss does not decrease",
        "loss does not move from the first step",
        "all hidden units have the same weights",
        "network predicts the class frequencies whatever the input",
    ),
    breaks=Claim(
        statement="From zero weights a deterministic ReLU network ends at the entropy of the class shares.",
        quantity="cross-entropy on breast cancer after 100 steps",
        experiment=last_loss,
        predicted=entropy_of_shares,
        rival=math.log(2),  # nothing learns, the bias neither
        relation="≈",
        tolerance=1e-12,
        reason="the bias of two classes contracts by at least a half a step, so that rounding is what is left",
        parameters=BIAS_ALONE,
        every_seed=True,
    ),
    remedy=Claim(
        statement="From random weights the loss falls below that of the nearest class mean.",
        quantity="cross-entropy on breast cancer after 100 steps",
        experiment=last_loss,
        predicted=predicted_with_random_weights,
        rival=entropy_from_zero_weights,
        relation="≤",
        tolerance=0.0,
        reason="a bound: a network contains this rule",
        parameters={**NETWORK, "initialization": "glorot"},
        every_seed=True,
    ),
    figure=draw_symmetry,
    seeds=3,
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
# equal width, ReLU, at the start of training. The
# formula is that of the mean of squares; in one network $\log\lVert\Delta\rVert^2$ fluctuates by about $5/d$ a layer (Hanin 2018), and the
# factor of a typical network lies below the mean's by up to $5/(4d)$.


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
        axis.semilogy(layers, rho ** (15.0 - layers), color=COLORS["theory"], label=f"{rho:.3g} per layer")
    axis.set(
        xlabel="hidden layer",
        ylabel="size of the error / last layer's",
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
    ),
    breaks=Claim(
        statement="With torch's default initialization the errors of a deep ReLU network shrink by 1/√6 per layer.",
        quantity="factor per layer of the errors' root mean square, geometric mean over 15 layers",
        experiment=error_factor,
        predicted=predicted_error_factor,
        rival=1 / math.sqrt(3),  # forgets that a ReLU passes half of the errors
        relation="≈",
        tolerance=0.011,
        relative=True,
        reason="fluctuations of one network lower the geometric mean by up to 5/(4·width) = 0.4 %; the verdict's interval adds 0.7 %",
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
        tolerance=0.011,
        relative=True,
        reason="fluctuations of one network lower the geometric mean by up to 5/(4·width) = 0.4 %; the verdict's interval adds 0.7 %",
        parameters={**DEEP, "initialization": "he"},
    ),
    figure=draw_vanishing,
    seeds=32,
)

# %% [markdown]
# ## One step that is too long silences ReLUs for good
#
# A ReLU whose pre-activation is negative on all $n$ samples gives 0 everywhere, and $\varphi' = 0$ everywhere. By (4) its
# error is 0, by (2) and (3) its weights and bias get no gradient: it is dead, and in the first layer, whose inputs never
# change, it stays dead. What kills it is one long step. Let a network $\hat y = c + \sum_j v_j\,\varphi(w_j^{\!\top}x)$ start
# from He's weights and learn targets of mean $M$, large against all first predictions: prices in dollars, not in millions.
# Then $\partial\mathcal L/\partial\hat y \approx -2M/n$ for every sample, and for $x\sim N(0, I_d)$, where
# $\mathbb E[x\,1_{w^{\!\top}x>0}] = w/(\lVert w\rVert\sqrt{2\pi})$, the first step of length $\eta$ makes
#
# $$b_j \leftarrow \eta M v_j,\qquad w_j \leftarrow w_j + \sqrt{2/\pi}\;\eta M v_j\, w_j/\lVert w_j\rVert .$$
#
# The mean over $n$ samples is not quite its expectation: across $w_j$ it leaves noise of variance $\tfrac1{2n}$ in each of $d-1$
# directions, which lengthens the weights. Units with $v_j < 0$ sink. With $u = \eta M\lvert v_j\rvert/\lVert w_j\rVert$ the
# pre-activation of a sample is now $\lVert w_j\rVert\,(s\,N(0,1) - u)$ with
#
# $$s^2 = \big(1-\sqrt{2/\pi}\,u\big)^2 + \frac{2(d-1)}n\,u^2,$$
#
# negative with probability $\Phi(u/s)$. He's weights give $v_j\sim N(0, 2/H)$ and $\lVert w_j\rVert^2\sim 2\chi^2_d/d$, so
# $u = \kappa\,\lvert T\rvert$ with Student's $T$ of $d$ degrees of freedom and $\kappa = \eta M/\sqrt H$. The share of dead
# units is
#
# $$\int_0^\infty f_d(t)\;\Phi\Big(\frac{\kappa t}{s(\kappa t)}\Big)^{n}dt .$$
#
# It is largest somewhat above $\kappa = 1$: a still longer step turns the weights around, and they fire again. **Regime**: $n\gg d$,
# $M$ large, full batch, plain descent. **Remedy**: a step a hundred times shorter. Targets of mean 0 allow the long one.


# %%
def dead_share(rng: np.random.Generator, kappa: float, n: int, d: int, width: int, mean: float) -> float:
    """Share of hidden units that the second step leaves untouched to the last bit; steps of length κ√H/M."""
    X = Tensor(rng.normal(size=(n, d)).astype(np.float32))
    y = Tensor((mean + rng.normal(size=(n, 1))).astype(np.float32))
    network = MLP([d, width, 1], "relu", "he", dtype=np.float32, rng=rng)
    optimizer = SGD(network.parameters(), lr=kappa * math.sqrt(width) / mean)
    for _ in range(2):
        before = [parameter.array.copy() for parameter in network[0].parameters()]
        optimizer.zero_grad()
        mse_loss(network(X), y).backward()
        optimizer.step()
    weight, bias = network[0].parameters()
    return float(np.mean(np.all(weight.array == before[0], axis=1) & (bias.array == before[1])))


def predicted_dead_share(kappa: float, n: int, d: int, width: int, mean: float, noise: bool = True) -> float:
    """The integral over Student's density, by the midpoint rule in the angle of t = √d tan θ."""
    if n < 100 * d or mean < 100:
        raise ValueError(
            f"n must be at least 100 d and mean at least 100, got n = {n}, d = {d}, mean = {mean}."
        )
    theta = (np.arange(20_000) + 0.5) / 20_000 * math.pi / 2
    constant = math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2)) / math.sqrt(math.pi)
    density = constant * np.cos(theta) ** (d - 1)  # f(t) dt = constant · cos^(d−1) θ dθ
    u = kappa * math.sqrt(d) * np.tan(theta)
    variance = (1 - math.sqrt(2 / math.pi) * u) ** 2 + (2 * (d - 1) / n * u**2 if noise else 0.0)
    return float(np.mean(density * ndtr(u / np.sqrt(variance)) ** n) * math.pi / 2)


def draw_dead():
    """Share of ReLUs that one step kills, over the length of the step."""
    from shared.figures import plot_sweep, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    plot_sweep(axis, DEAD_RELU.breaks)
    axis.set(ylabel="share of dead units", title="ReLUs that one step kills")
    axis.legend()
    return figure


DEAD: dict[str, Any] = {"n": 500, "d": 5, "width": 2000, "mean": 1000.0}
DEAD_RELU = FailureMode(
    name="dead_relu",
    title="One step that is too long silences ReLUs for good",
    symptoms=(
        "dead neurons",
        "many activations are exactly 0 for every sample",
        "relu outputs only zeros",
        "network outputs a constant after one large step",
    ),
    breaks=Claim(
        statement="One step of √H/M on targets of mean M kills about a sixth of the ReLUs: they never move again.",
        quantity="share of hidden units untouched after the first step, κ = 1",
        experiment=dead_share,
        predicted=predicted_dead_share,
        rival=partial(predicted_dead_share, noise=False),  # a mean is its expectation
        relation="≈",
        tolerance=0.065,
        relative=True,
        reason="a sample's own share in the gradient moves u by up to 2d/n = 2 %, the bias's noise by 1/√n = 4.5 %",
        parameters={**DEAD, "kappa": 1.0},
        sweep=Sweep("kappa", (0.01, 0.3, 0.6, 1.0, 1.5, 3.0), "step κ = ηM/√H", seeds=3),
    ),
    remedy=Claim(
        statement="A step a hundred times shorter kills none.",
        quantity="share of hidden units untouched after the first step, κ = 0.01",
        experiment=dead_share,
        predicted=predicted_dead_share,
        rival=predicted_dead_share(kappa=1.0, **DEAD),
        relation="≈",
        tolerance=1e-3,
        reason="less than half a unit of a network of 400: the least that one run can tell",
        parameters={**DEAD, "width": 400, "kappa": 0.01},
        every_seed=True,
    ),
    figure=draw_dead,
    seeds=50,
)

# %% [markdown]
# ## Raw features make the loss NaN
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
# Features in other units, $s$ times as large, have curvatures $s^2$ times as large, so the longest stable step is $s^2$ times
# shorter. Digits come as 0 to 16. A learning rate that is nine tenths of the limit for pixels between 0 and 1 is then 230
# times the limit, and seven steps suffice. What makes it insidious is a smaller excess: ten percent in units, twenty in
# curvature, look bad, not broken, for 269 steps. **Remedy**: scale the features. **Regime**: fixed features (with He's
# weights and zero biases the hidden ReLUs scale as their inputs do). Where all layers train, their curvature moves with them,
# and the limit with it.


# %%
def fixed_features(scale: float = 1.0) -> tuple[MLP, np.ndarray, np.ndarray]:
    """A network with He's first weights, its 100 hidden ReLUs on 500 digits of ink 0 to `scale`, and one-hot targets."""
    digits = load_digits()
    network = MLP([64, 100, 10], "relu", "he", dtype=np.float32, rng=0)
    X = Tensor((digits.X[:500] / 16 * scale).astype(np.float32))
    return network, network[1](network[0](X)).array, np.eye(10, dtype=np.float32)[digits.y[:500]]


def curvatures(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F with its column of ones, and the eigenvalues and eigenvectors of FᵀF/n, largest last."""
    F = np.column_stack([features, np.ones(len(features))]).astype(np.float64)
    return F, *np.linalg.eigh(F.T @ F / len(F))


def steps_with_a_finite_loss(rng: np.random.Generator, scale: float, share: float, n_steps: int) -> float:
    """Steps of descent on the last layer until its loss is not finite; η = share · 2/h₁, h₁ that of ink from 0 to 1."""
    network, features, targets = fixed_features(scale)
    inputs, outputs, head = Tensor(features), Tensor(targets), network[2]
    optimizer = SGD(head.parameters(), lr=share * 10 / curvatures(fixed_features()[1])[1][-1])
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(n_steps):
            loss = mse_loss(head(inputs), outputs)
            if not math.isfinite(loss.item()):
                return float(step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return float(n_steps)


def predicted_finite_steps(scale: float, share: float, n_steps: int, power: int = 2) -> float:
    """The first t at which S_t exceeds the largest float32, or n_steps; curvatures grow as scale ** power."""
    network, features, targets = fixed_features(scale)
    F, eigenvalues, vectors = curvatures(features)
    unit = curvatures(fixed_features()[1])[1][-1]
    excess = share * eigenvalues / unit * scale ** (power - 2)  # η h / 2
    if 0.999 < excess[-1] < 1.001:
        raise ValueError(f"scale must be off the limit itself, where rounding decides, got {scale}.")
    factors, growing = np.abs(1 - 2 * excess), excess > 1
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


def finite_steps_of_raw_ink(**_: Any) -> float:
    """The rival of the remedy."""
    return predicted_finite_steps(16.0, **STEPS)


def draw_nan():
    """Left: the loss of the last layer over the steps, for four units of one and the same ink; it ends where the loss is inf. Right:
    how many steps that takes, over the scale of the features."""
    from shared.figures import COLORS, PALETTE, plot_sweep, subplots

    figure, (left, right) = subplots(1, 2, width=9.5, height=3.8)
    unit = curvatures(fixed_features()[1])[1][-1]
    for scale, color in zip((16.0, 2.0, 1.2, 1.0), PALETTE, strict=False):
        network, features, targets = fixed_features(scale)
        F = curvatures(features)[0]
        W, losses = np.column_stack([network[2].weight.array, network[2].bias.array]).T.astype(float), []
        for _ in range(int(min(predicted_finite_steps(scale, 0.9, 150), 150))):
            residuals = F @ W - targets
            losses.append(np.mean(residuals**2))
            W -= 0.9 * 10 / unit * 2 * F.T @ residuals / residuals.size
        left.semilogy(losses, color=color, label=f"ink 0 to {scale:g}")
    left.axhline(float(np.finfo(np.float32).max), color=COLORS["muted"], linestyle="--")
    left.set(xlabel="step", ylabel="mean squared error", title="the largest float32, and the way to it")
    left.legend()
    plot_sweep(right, LOSS_BECOMES_NAN.breaks)
    right.set(title="steps with a finite loss", yscale="log")
    right.legend()
    return figure


STEPS: dict[str, Any] = {"share": 0.9, "n_steps": 300}
LOSS_BECOMES_NAN = FailureMode(
    name="loss_becomes_nan",
    title="Raw features make the loss NaN",
    symptoms=(
        "loss is nan",
        "network output is nan",
        "network diverges on features that are not scaled",
        "training works only after standardization",
        "neural network on unscaled features",
    ),
    breaks=Claim(
        statement="At a learning rate that suits ink from 0 to 1, ink from 0 to 16 gives an infinite loss after a few steps.",
        quantity="steps with a finite loss, of 300, at one learning rate, ink 0 to 16",
        experiment=steps_with_a_finite_loss,
        predicted=predicted_finite_steps,
        rival=partial(predicted_finite_steps, power=1),  # curvature would grow as s
        relation="≈",
        tolerance=1.0,
        reason="the first step beyond the largest float32 is exact for the growing directions; rounding may shift it by one",
        parameters={"scale": 16.0, **STEPS},
        deterministic=True,
        sweep=Sweep(
            "scale", (1.0, 1.1, 1.2, 1.5, 2.0, 4.0, 8.0, 16.0), "scale of the ink", seeds=1, logarithmic=True
        ),
    ),
    remedy=Claim(
        statement="With ink scaled to 0 to 1 the loss stays finite to the last of 300 steps.",
        quantity="steps with a finite loss, of 300, at one learning rate, ink 0 to 1",
        experiment=steps_with_a_finite_loss,
        predicted=predicted_finite_steps,
        rival=finite_steps_of_raw_ink,
        relation="≈",
        tolerance=0.0,
        reason="no direction grows",
        parameters={"scale": 1.0, **STEPS},
        deterministic=True,
    ),
    figure=draw_nan,
)

# %% [markdown]
# ## A softmax too many puts a floor under the loss
#
# A library's cross-entropy takes logits and applies the softmax itself. Who ends the network in a softmax, as older tutorials
# do, hands it probabilities, and nothing complains: they are numbers like others. But a probability cannot lead by more than 1,
# where a logit may lead by any distance. With $K$ classes, certain and right, $p$ is one-hot, and the loss is
#
# $$\log(e + K - 1) - 1 = \log\big(1 + (K-1)/e\big),$$
#
# 1.461 for ten classes. No training goes below it: $\log\sum_k e^{p_k} - p_y$ falls when mass moves to $p_y$. A sample
# that is certain and wrong costs exactly 1 more. So the log of a trained network reads 1.461 plus the share of samples it gets
# wrong, and looks like a network that does not learn, while it may read every digit. **Remedy**: hand over the logits; the loss
# must fall below that of the nearest class mean, a linear rule. **Regime**: trained until outputs are near 0 or 1.


# %%
def reported_loss(rng: np.random.Generator, extra_softmax: bool, n_steps: int) -> tuple[np.ndarray, float]:
    """The loss before each step of Adam on 300 digits, and the share of them that are read wrong in the end."""
    digits = load_digits()
    rows = rng.permutation(len(digits.y))[:300]
    X, y = Tensor((digits.X[rows] / 16).astype(np.float32)), Tensor(digits.y[rows])
    network = MLP([64, 50, 10], "relu", "he", rng=rng)
    optimizer, losses = Adam(network.parameters(), lr=0.01), []
    for _ in range(n_steps):
        logits = network(X)
        loss = cross_entropy(softmax(logits, 1) if extra_softmax else logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), float(np.mean(logits.array.argmax(axis=1) != y.array))


def loss_less_misread(rng: np.random.Generator, extra_softmax: bool, n_steps: int) -> float:
    """The last loss, less the share of misread digits."""
    losses, misread = reported_loss(rng, extra_softmax, n_steps)
    return float(losses[-1] - misread)


def predicted_floor(extra_softmax: bool, n_steps: int) -> float:
    """log(1 + 9/e) through a softmax; from logits, what the nearest class mean reaches."""
    if n_steps < 100:
        raise ValueError(f"n_steps must be at least 100: the outputs are not yet certain, got {n_steps}.")
    if extra_softmax:
        return math.log(1 + 9 / math.e)
    digits = load_digits()
    return loss_of_nearest_means(digits.X / 16, digits.y)


def draw_floor():
    """The reported loss over the steps, with a softmax too many and from logits; four networks each."""
    from shared.figures import COLORS, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    for extra, color, label in (
        (True, "broken", "softmax, then cross-entropy"),
        (False, "mended", "from logits"),
    ):
        for seed in range(4):
            losses = reported_loss(np.random.default_rng(seed), extra, 200)[0]
            axis.plot(losses, color=COLORS[color], linewidth=1, label=label if seed == 0 else None)
    axis.axhline(predicted_floor(True, 200), color=COLORS["theory"], linestyle="--", label="log(1 + 9/e)")
    axis.set(xlabel="step of Adam", ylabel="reported loss", title="A floor under the loss")
    axis.legend()
    return figure


SOFTMAX_BEFORE_CROSS_ENTROPY = FailureMode(
    name="softmax_before_cross_entropy",
    title="A softmax too many puts a floor under the loss",
    symptoms=(
        "cross-entropy stuck at 1.46 with ten classes",
        "loss has a floor although accuracy is high",
        "softmax applied twice before the cross-entropy",
    ),
    breaks=Claim(
        statement="Through a softmax too many the loss ends at log(1 + 9/e) plus the share of misread digits.",
        quantity="reported loss on 300 digits after 150 steps, less the share misread",
        experiment=loss_less_misread,
        predicted=predicted_floor,
        rival=math.log(10) - 1,  # forgets that the other nine shrink when one grows: log Σe⁰ − 1
        relation="≈",
        tolerance=0.02,
        reason="right digits short of certainty by ε cost about ε more, misread ones on which the network hesitates less than 1 "
        "more; a hundredth of the mass for either",
        parameters={"extra_softmax": True, "n_steps": 150},
        every_seed=True,
    ),
    remedy=Claim(
        statement="From logits the loss falls below that of the nearest class mean.",
        quantity="reported loss on 300 digits after 150 steps, less the share misread",
        experiment=loss_less_misread,
        predicted=predicted_floor,
        rival=math.log(1 + 9 / math.e),
        relation="≤",
        tolerance=0.0,
        reason="a bound: a network contains this rule",
        parameters={"extra_softmax": False, "n_steps": 150},
        every_seed=True,
    ),
    figure=draw_floor,
    seeds=4,
)

# %%
FAILURE_MODES = (
    ZERO_INITIALIZATION,
    VANISHING_GRADIENTS,
    DEAD_RELU,
    LOSS_BECOMES_NAN,
    SOFTMAX_BEFORE_CROSS_ENTROPY,
)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
