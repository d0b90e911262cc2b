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
# # How modules break
#
# Three habits that every training script needs, and what exactly goes wrong without each: `zero_grad()`, `eval()`, and
# averaging over samples instead of over batches. None of the three raises an error. Each leaves a number that a formula
# predicts.

# %%
from __future__ import annotations

import math
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor, no_grad
from level1_foundations.gradient_descent import SGD
from level3_deep_learning.modules import DataLoader, Dropout, Linear, Sequential, cross_entropy, mse_loss
from shared.datasets import load_digits
from shared.failure_mode import Claim, FailureMode, Sweep
from shared.linalg import qr

# %% [markdown]
# ## Without zero_grad(), gradient descent is an undamped spring
#
# `backward()` adds to `.grad`. Without `zero_grad()`, step $t$ moves against the sum of all gradients so far:
#
# $$w_{t+1} = w_t - \eta \sum_{s \le t} \nabla f(w_s).$$
#
# On a quadratic with curvature $\lambda$ and minimum at 0, subtract two consecutive steps, with $h = \eta\lambda$:
#
# $$w_{t+1} - 2 w_t + w_{t-1} = -h\, w_t \quad\Longrightarrow\quad r^2 - (2 - h)\, r + 1 = 0.$$
#
# The product of the two roots is 1. For $0 < h < 4$ they are complex, so both have modulus *exactly* 1: the distance to the
# minimum neither grows nor shrinks, whatever the step size. It is an undamped spring. From $w_1 = (1-h)\,w_0$ the solution
# is $w_t = A\,w_0\cos(\theta t + \phi)$ with $\cos\theta = 1 - h/2$ and $A^2 = 1/(1 - h/4)$, so the squared distance stays,
# on average, at
#
# $$\frac{A^2}{2} = \frac{1}{2\,(1 - h/4)}$$
#
# of where it began. **Regime**: a quadratic with one curvature (here least squares with orthonormal columns), $0<h<4$. The
# average over $T$ steps differs from this by at most $A^2/(2T\sin\theta)$, the sum of a cosine.
#
# **Remedy**: one call. Then $w_t = (1-h)^t w_0$, and the same average is the geometric sum $\frac1T\sum_{t=1}^T (1-h)^{2t}$.


# %%
def average_distance(rng: np.random.Generator, h: float, n_steps: int, zero_grad: bool) -> float:
    """Squared distance to the minimum, averaged over the steps, as a share of the first."""
    X = qr(rng.normal(size=(64, 8)))[0] * math.sqrt(64)  # XᵀX / n = I: the mean squared error has curvature 2
    best = rng.normal(size=(1, 8))
    network = Linear(8, 1, bias=False, dtype=np.float64, rng=rng)
    optimizer = SGD(network.parameters(), lr=h / 2)
    inputs, targets = Tensor(X), Tensor(X @ best.T)
    distances = [np.sum((network.weight.array - best) ** 2)]
    for _ in range(n_steps):
        if zero_grad:
            optimizer.zero_grad()
        mse_loss(network(inputs), targets).backward()
        optimizer.step()
        distances.append(np.sum((network.weight.array - best) ** 2))
    return float(np.mean(distances[1:]) / distances[0])


def predicted_average_distance(h: float, n_steps: int, zero_grad: bool) -> float:
    """Mean squared distance of the undamped spring, or of plain descent, over the steps."""
    if not 0 < h < (2 if zero_grad else 4) or n_steps * math.sqrt(h) < 40:
        raise ValueError(
            f"h must be below the limit of stability and n_steps many periods, got {h} and {n_steps}."
        )
    if zero_grad:
        q = (1 - h) ** 2
        return q * (1 - q**n_steps) / (1 - q) / n_steps
    return 1 / (2 * (1 - h / 4))


def average_of_the_spring(zero_grad: bool, **settings: Any) -> float:
    """The rival of the remedy."""
    return predicted_average_distance(zero_grad=False, **settings)


def draw_zero_grad():
    """Distance to the minimum at each step, with and without `zero_grad()`."""
    from shared.figures import COLORS, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    h, steps = 0.5, np.arange(61)
    for zero_grad, color, label in (
        (False, "broken", "without zero_grad()"),
        (True, "mended", "with zero_grad()"),
    ):
        averages = [1.0] + [
            average_distance(np.random.default_rng(0), h, t, zero_grad) * t for t in range(1, 61)
        ]
        squares = np.array([averages[0], averages[1], *np.diff(averages[1:])])
        axis.plot(steps, squares, "o", markersize=3, color=COLORS[color], label=label)
    theta, amplitude = math.acos(1 - h / 2), 1 / math.sqrt(1 - h / 4)
    phase = math.acos(1 / amplitude)
    fine = np.linspace(0, 60, 600)
    axis.plot(
        fine,
        (amplitude * np.cos(theta * fine + phase)) ** 2,
        color=COLORS["theory"],
        linewidth=1,
        label="theory",
    )
    axis.axhline(amplitude**2 / 2, color=COLORS["theory"], linestyle="--", linewidth=1)
    axis.set(
        xlabel="step", ylabel="squared distance / first", title="Accumulated gradients: an undamped spring"
    )
    axis.set_ylim(-0.05, 1.5)
    axis.legend(loc="upper right", ncols=3)
    return figure


SPRING: dict[str, Any] = {"h": 0.5, "n_steps": 200}
FORGOTTEN_ZERO_GRAD = FailureMode(
    name="forgotten_zero_grad",
    title="Without zero_grad(), gradient descent is an undamped spring",
    symptoms=(
        "loss oscillates for ever, at any step size",
        "training does not settle",
        "gradients add up from step to step",
    ),
    breaks=Claim(
        statement="Without zero_grad() the squared distance to a quadratic's minimum stays, on average over the "
        "steps, at 1/(2(1 − h/4)) of its first value, h being step size times curvature.",
        quantity="squared distance to the minimum, mean of 200 steps, as a share of the first",
        experiment=average_distance,
        predicted=predicted_average_distance,
        rival=0.5,  # a spring whose steps are infinitely short
        relation="≈",
        tolerance=0.0044,
        reason="a finite average of a squared cosine: A²/(2T sin θ) = 0.0043 for h = 0.5, T = 200",
        parameters={**SPRING, "zero_grad": False},
        every_seed=True,
        sweep=Sweep("h", (0.05, 0.25, 0.5, 1.0, 1.5, 2.0), "step size times curvature", seeds=2),
    ),
    remedy=Claim(
        statement="With zero_grad() the same average is the geometric sum of (1 − h)^2t.",
        quantity="squared distance to the minimum, mean of 200 steps, as a share of the first",
        experiment=average_distance,
        predicted=predicted_average_distance,
        rival=average_of_the_spring,
        relation="≈",
        tolerance=1e-9,
        reason="exact for one curvature; rounding only",
        parameters={**SPRING, "zero_grad": True},
        every_seed=True,
    ),
    figure=draw_zero_grad,
    seeds=5,  # the data are drawn, but the answer is the same for all
)

# %% [markdown]
# ## Without eval(), dropout keeps shaking the predictions
#
# A network that ends in `Dropout(p)`, `Linear` predicts, in training mode, $\hat y = \sum_i w_i x_i\, m_i/(1-p)$ with
# independent $m_i \sim \text{Bernoulli}(1-p)$. Each factor $m_i/(1-p)$ has variance $p(1-p)/(1-p)^2 = p/(1-p)$, so
#
# $$\operatorname{Var}(\hat y) = \frac{p}{1-p}\sum_i w_i^2 x_i^2 .$$
#
# We measure the variance over 10,000 predictions of one and the same digit, in units of $\sum_i w_i^2x_i^2$. The formula is
# exact for one dropout layer before the last linear one. **Remedy**: `network.eval()`; the variance is 0.


# %%
def prediction_variance(rng: np.random.Generator, p: float, evaluation: bool, copies: int) -> float:
    """Variance of the prediction for one digit, in units of Σ wᵢ²xᵢ²."""
    digits = load_digits()
    x = digits.X[rng.integers(len(digits.X))] / 16
    network = Sequential(Dropout(p, rng=rng), Linear(64, 1, dtype=np.float64, rng=rng))
    network.train(not evaluation)
    with no_grad():
        predictions = network(Tensor(np.tile(x, (copies, 1)))).array
    return float(np.var(predictions) / np.sum(network[1].weight.array ** 2 * x**2))


def predicted_variance(p: float, evaluation: bool, copies: int) -> float:
    """p / (1 − p) in training mode, 0 after eval()."""
    if not 0 <= p < 1:
        raise ValueError(f"p must be in [0, 1): at 1 nothing is left, got {p}.")
    return 0.0 if evaluation else p / (1 - p)


def variance_without_scaling(p: float, **_: Any) -> float:
    """The nearest wrong theory: it forgets that what is kept is divided by 1 − p."""
    return p * (1 - p)


def variance_in_training_mode(evaluation: bool, **settings: Any) -> float:
    """The rival of the remedy."""
    return predicted_variance(evaluation=False, **settings)


def draw_eval():
    """Variance of the prediction against p, measured and predicted."""
    from shared.figures import COLORS, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    rates = np.linspace(0.05, 0.8, 16)
    for evaluation, color, label in ((False, "broken", "training mode"), (True, "mended", "after eval()")):
        measured = [prediction_variance(np.random.default_rng(1), p, evaluation, 4000) for p in rates]
        axis.plot(rates, measured, "o", color=COLORS[color], label=label)
    axis.plot(rates, rates / (1 - rates), color=COLORS["theory"], label="p / (1 − p)")
    axis.set(
        xlabel="dropout probability p",
        ylabel="variance / Σ w²x²",
        title="Predictions that change when asked again",
    )
    axis.legend()
    return figure


DROPOUT: dict[str, Any] = {"p": 0.2, "copies": 10_000}
FORGOTTEN_EVAL = FailureMode(
    name="forgotten_eval",
    title="Without eval(), dropout keeps shaking the predictions",
    symptoms=(
        "prediction changes when asked twice",
        "same input gives different outputs",
        "validation accuracy worse than it should be with dropout",
    ),
    breaks=Claim(
        statement="In training mode, dropout before a linear layer gives a prediction the variance "
        "p/(1 − p) · Σ w²x².",
        quantity="variance of the prediction for one digit, in units of Σ w²x²",
        experiment=prediction_variance,
        predicted=predicted_variance,
        rival=variance_without_scaling,
        relation="≈",
        tolerance=0.03,
        relative=True,
        reason="exact in expectation; 3 % leaves room for five standard errors of 20 × 10,000 predictions",
        parameters={**DROPOUT, "evaluation": False},
        sweep=Sweep("p", (0.05, 0.1, 0.2, 0.35, 0.5, 0.7), "probability p of a drop", seeds=3),
    ),
    remedy=Claim(
        statement="After eval() the prediction does not vary.",
        quantity="variance of the prediction for one digit, in units of Σ w²x²",
        experiment=prediction_variance,
        predicted=predicted_variance,
        rival=variance_in_training_mode,
        relation="≈",
        tolerance=1e-24,
        reason="equal inputs, equal operations; a matrix product may round its rows differently, by ε² at most",
        parameters={**DROPOUT, "evaluation": True},
        every_seed=True,
    ),
    figure=draw_eval,
)

# %% [markdown]
# ## The mean of batch means depends on the shuffle
#
# $n = kB + r$ samples make $k$ batches of $B$ and a last one of $r < B$. Averaging the $k+1$ batch means gives each sample
# of the last batch $B/r$ times the weight of the others. With $\bar\ell$ the true mean and $\bar\ell_r$ the mean of the last
# batch, the first $kB$ samples have mean $(n\bar\ell - r\bar\ell_r)/(kB)$, so the reported number is
#
# $$\frac{1}{k+1}\Big(k\,\frac{n\bar\ell - r\bar\ell_r}{kB} + \bar\ell_r\Big)
#   = \text{const} + \frac{1 - r/B}{k+1}\,\bar\ell_r .$$
#
# Under a random order $\bar\ell_r$ is the mean of $r$ draws without replacement, of variance $\frac{S^2}{r}(1-\frac rn)$
# with $S^2$ the sample variance of the losses. So the reported loss of a *fixed* network on *fixed* data changes with each
# shuffle, by the variance
#
# $$\Big(\frac{1 - r/B}{k+1}\Big)^2 \frac{S^2}{r}\Big(1 - \frac rn\Big).$$
#
# Exact for any losses; here those of an untrained network on the 1,797 digits, $B = 256$, hence $k = 7$, $r = 5$. (Without
# shuffling it is worse: a bias that does not average out.) **Remedy**: weight each batch mean by its length; the variance is
# 0 up to rounding.


# %%
def reported_variance(rng: np.random.Generator, batch_size: int, weighted: bool, epochs: int) -> float:
    """Mean squared deviation of the reported loss from the true mean, over shuffles, in units of S²."""
    digits = load_digits()
    network = Linear(64, 10, dtype=np.float64, rng=rng)
    with no_grad():
        losses = cross_entropy(network(Tensor(digits.X / 16)), Tensor(digits.y), reduction="none").array
    loader = DataLoader(losses, batch_size, shuffle=True, rng=rng)
    reported = []
    for _ in range(epochs):
        batches = [batch.array for batch in loader]
        lengths = [len(batch) for batch in batches] if weighted else None
        reported.append(np.average([batch.mean() for batch in batches], weights=lengths))
    return float(np.mean((np.array(reported) - losses.mean()) ** 2) / losses.var(ddof=1))


def predicted_reported_variance(batch_size: int, weighted: bool, epochs: int, n: int = 1797) -> float:
    """Variance that a short last batch of r samples adds to the mean of batch means."""
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size must be 1 to {n}, got {batch_size}.")
    k, r = divmod(n, batch_size)
    if weighted or r == 0:
        return 0.0
    return ((1 - r / batch_size) / (k + 1)) ** 2 / r * (1 - r / n)


def variance_of_the_plain_mean(weighted: bool, **settings: Any) -> float:
    """The rival of the remedy."""
    return predicted_reported_variance(weighted=False, **settings)


def draw_ragged():
    """Wobble of the reported loss against the batch size: the last batch's length decides."""
    from shared.figures import COLORS, subplots

    figure, axis = subplots(width=7.0, height=3.6)
    sizes = np.array([16, 32, 48, 64, 96, 128, 150, 192, 224, 256, 299, 320, 384, 448, 512])
    grid = np.arange(16, 513)
    theory = [math.sqrt(predicted_reported_variance(int(size), False, 1)) for size in grid]
    axis.plot(grid, theory, color=COLORS["theory"], linewidth=0.7, label="theory")
    for weighted, color, label in (
        (False, "broken", "mean of batch means"),
        (True, "mended", "weighted by length"),
    ):
        measured = [
            math.sqrt(reported_variance(np.random.default_rng(2), int(size), weighted, 60)) for size in sizes
        ]
        axis.plot(sizes, measured, "o", color=COLORS[color], label=label)
    axis.set(
        xlabel="batch size",
        ylabel="spread of the reported loss / S",
        title="One network, one data set, many losses",
    )
    axis.legend()
    return figure


RAGGED: dict[str, Any] = {"batch_size": 256, "epochs": 400}
RAGGED_LAST_BATCH = FailureMode(
    name="ragged_last_batch",
    title="The mean of batch means depends on the shuffle",
    symptoms=("epoch loss depends on the shuffle", "reported loss differs between runs of the same network"),
    breaks=Claim(
        statement="Averaging batch means with a shorter last batch makes the reported loss of a fixed network vary "
        "over shuffles by ((1 − r/B)/(k + 1))² (1 − r/n) S²/r.",
        quantity="mean squared deviation of the reported loss from the true mean, in units of S²",
        experiment=reported_variance,
        predicted=predicted_reported_variance,
        rival=0.0,  # as if the mean of means were the mean
        relation="≈",
        tolerance=0.12,
        relative=True,
        reason="exact in expectation; 12 % leaves room for five standard errors of a variance of 20 × 400 shuffles",
        parameters={**RAGGED, "weighted": False},
        sweep=Sweep("batch_size", (64, 128, 192, 224, 256, 299, 384), "batch size", seeds=2),
    ),
    remedy=Claim(
        statement="Weighting each batch mean by its length gives the true mean for every shuffle.",
        quantity="mean squared deviation of the reported loss from the true mean, in units of S²",
        experiment=reported_variance,
        predicted=predicted_reported_variance,
        rival=variance_of_the_plain_mean,
        relation="≈",
        tolerance=1e-24,
        reason="an identity; rounding enters squared",
        parameters={**RAGGED, "weighted": True},
        every_seed=True,
    ),
    figure=draw_ragged,
)

# %%
FAILURE_MODES = (FORGOTTEN_ZERO_GRAD, FORGOTTEN_EVAL, RAGGED_LAST_BATCH)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
