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
# Three habits that every training script needs, and what goes wrong without each: `zero_grad()`, `eval()`, and averaging over
# samples instead of over batches. And two traps of losses written by hand: shapes that broadcast, and the logarithm of a rounded
# probability. The first four raise no error and leave a number that a formula predicts; the last leaves inf.

# %%
from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor, no_grad
from level1_foundations.gradient_descent import SGD
from level3_deep_learning.modules import DataLoader, Dropout, Linear, Sequential, cross_entropy, mse_loss
from shared.datasets import load_diabetes, load_digits
from shared.failure_mode import Claim, FailureMode, Share, Sweep
from shared.linalg import qr, solve
from shared.special import ndtr

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
# ## Without eval(), dropout changes the answers
#
# A network that ends in `Dropout(p)`, `Linear` predicts, in training mode, $\hat y = b + \sum_i w_i x_i\, m_i/(1-p)$ with
# independent $m_i \sim \text{Bernoulli}(1-p)$. Each factor $m_i/(1-p)$ has variance $p(1-p)/(1-p)^2 = p/(1-p)$, so
#
# $$\operatorname{Var}(\hat y) = \frac{p}{1-p}\sum_i w_i^2 x_i^2 =: v(x).$$
#
# A sum of many such terms is nearly normal. Where the sign of $\hat y$ is the answer, here "3" or "8", the answer in training
# mode therefore differs from the one in evaluation mode with probability about $\Phi(-\lvert\mu(x)\rvert/\sqrt{v(x)})$, where
# $\mu(x) = b + w^{\!\top}x$; and the share of changed answers is the mean of this over the digits.
#
# The weights are those that training with dropout and squared error ends at. The expected loss is
# $\frac1n\lVert Xw - y\rVert^2 + \frac{p}{1-p}\sum_i w_i^2\,\overline{x_i^2}$ (noise of variance $v$ adds $v$ to a squared
# error), a ridge regression whose penalty weighs each weight by its feature's second moment; its normal equations are solved
# directly. **Regime**: one dropout layer before the last linear one, several pixels that
# count.
# **Remedy**: `network.eval()`; no answer changes.


# %%
@cache
def threes_and_eights(p: float) -> tuple[np.ndarray, np.ndarray, float]:
    """The 357 digits "3" and "8", without blank pixels, and the weights and bias at which dropout training ends."""
    digits = load_digits()
    chosen = np.isin(digits.y, (3, 8))
    X, y = digits.X[chosen] / 16, np.where(digits.y[chosen] == 8, 1.0, -1.0)
    X = X[:, X.std(axis=0) > 0]
    n, spread = len(X), p / (1 - p) * np.mean(X**2, axis=0)
    centered = X - X.mean(axis=0)
    w = solve(centered.T @ centered / n + np.diag(spread), centered.T @ (y - y.mean()) / n)
    return X, w, float(y.mean() - X.mean(axis=0) @ w)


def changed_answers(rng: np.random.Generator, p: float, evaluation: bool, copies: int) -> float:
    """Share of digits whose answer is not the one of evaluation mode, over `copies` questions each."""
    X, w, b = threes_and_eights(max(p, 1e-9))
    network = Sequential(Dropout(p, rng=rng), Linear(len(w), 1, dtype=np.float64, rng=0))
    network[1].weight.array[...], network[1].bias.array[...] = w, b
    network.train(not evaluation)
    with no_grad():
        answers = network(Tensor(np.tile(X, (copies, 1)))).array.reshape(copies, -1)
    return float(np.mean((answers > 0) != (X @ w + b > 0)))


def predicted_changed_answers(p: float, evaluation: bool, copies: int, scaled: bool = True) -> float:
    """Mean of Φ(−|μ|/√v) over the digits in training mode, 0 after eval()."""
    if not 0 < p < 1:
        raise ValueError(f"p must be in (0, 1): at 1 nothing is left, got {p}.")
    X, w, b = threes_and_eights(p)
    variance = (p / (1 - p) if scaled else p * (1 - p)) * (X**2 @ w**2)
    return 0.0 if evaluation else float(np.mean(ndtr(-np.abs(X @ w + b) / np.sqrt(variance))))


def changed_without_scaling(**settings: Any) -> float:
    """The nearest wrong theory: it forgets that what is kept is divided by 1 − p."""
    return predicted_changed_answers(**settings, scaled=False)


def changed_in_training_mode(evaluation: bool, **settings: Any) -> float:
    """The rival of the remedy."""
    return predicted_changed_answers(evaluation=False, **settings)


def draw_eval():
    """One digit asked two thousand times: its predictions and the normal curve. Right: the share of changed answers over p."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, (left, right) = subplots(1, 2, width=9.5, height=3.6)
    X, w, b = threes_and_eights(0.5)
    mean = X @ w + b
    x = X[np.argsort(np.abs(mean))[len(X) // 4]]
    kept = np.random.default_rng(0).random((2000, len(w))) >= 0.5
    left.hist(
        b + 2 * kept @ (w * x), 50, density=True, color=COLORS["broken"], alpha=0.6, label="training mode"
    )
    center, spread = b + w @ x, math.sqrt(w**2 @ x**2)
    grid = center + spread * np.linspace(-4, 4, 200)
    curve = np.exp(-(((grid - center) / spread) ** 2) / 2) / (spread * math.sqrt(2 * math.pi))
    left.plot(grid, curve, color=COLORS["theory"], label="predicted")
    left.axvline(center, color=COLORS["mended"], label="after eval()")
    left.axvline(0, color=COLORS["muted"], linestyle="--", linewidth=1)
    left.set(xlabel="prediction: 3 below 0, 8 above", title="One digit, asked again and again")
    left.legend(fontsize=8)
    plot_sweep(right, FORGOTTEN_EVAL.breaks)
    right.axhline(0, color=COLORS["mended"], label="after eval()")
    right.set(ylabel="share of changed answers", title="357 digits")
    right.legend()
    return figure


DROPOUT: dict[str, Any] = {"p": 0.5, "copies": 100}
FORGOTTEN_EVAL = FailureMode(
    name="forgotten_eval",
    title="Without eval(), dropout changes the answers",
    symptoms=(
        "prediction changes when asked twice",
        "same input gives different outputs",
        "validation accuracy worse than it should be with dropout",
    ),
    breaks=Claim(
        statement="In training mode a share Φ(−|μ|/√v) of the answers differs from those of evaluation mode.",
        quantity="share of changed answers, 357 digits 3 and 8, p = 0.5",
        experiment=changed_answers,
        predicted=predicted_changed_answers,
        rival=changed_without_scaling,
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="a weighted sum of coins, here some six that count, is not quite normal: Edgeworth's next term is 2.4 %, doubled",
        parameters={**DROPOUT, "evaluation": False},
        sweep=Sweep("p", (0.1, 0.2, 0.3, 0.5, 0.7), "probability p of a drop", seeds=3),
    ),
    remedy=Claim(
        statement="After eval() no answer changes.",
        quantity="share of changed answers, 357 digits 3 and 8, p = 0.5",
        experiment=changed_answers,
        predicted=predicted_changed_answers,
        rival=changed_in_training_mode,
        relation="≈",
        tolerance=0.0,
        reason="equal inputs, equal operations; no prediction is so near 0 that rounding turns its sign",
        parameters={"p": 0.5, "copies": 2, "evaluation": True},
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


RAGGED: dict[str, Any] = {"batch_size": 256, "epochs": 300}
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
        reason="exact in expectation; 12 % leaves room for five standard errors of a variance of 20 × 300 shuffles",
        parameters={**RAGGED, "weighted": False},
        sweep=Sweep("batch_size", (64, 128, 224, 256, 384), "batch size", seeds=2),
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
        parameters={**RAGGED, "epochs": 40, "weighted": True},
        every_seed=True,
    ),
    figure=draw_ragged,
)

# %% [markdown]
# ## Targets of shape (n,) beside outputs of shape (n, 1) train to the mean
#
# Outputs of a network have shape $(n, 1)$; targets often come as $(n,)$. Subtracted, they broadcast to all $n^2$ pairs, and the
# mean of the squares is the loss
#
# $$\frac1{n^2}\sum_{i,j}(\hat y_i - y_j)^2 = \frac1n\sum_i(\hat y_i - \bar y)^2 + \operatorname{Var}(y).$$
#
# The targets enter through their mean and variance alone: no prediction belongs to its own target any more. The minimum is
# $\hat y_i = \bar y$ for every $i$, the loss there is $\operatorname{Var}(y)$, and so is the true squared error. It looks like
# features that say nothing. **Remedy**: one shape. `mse_loss` refuses any other (torch's warns); training then ends at the
# error of least squares, $1 - R^2$ of the variance. **Regime**: a linear layer with a bias, trained to its minimum.


# %%
def error_after_training(rng: np.random.Generator, column: bool, n_steps: int) -> float:
    """Mean squared error of a linear layer on diabetes, in units of Var y, after descent on either loss."""
    data = load_diabetes()
    X = qr(data.X - data.X.mean(axis=0))[0] * math.sqrt(len(data.y))  # one curvature, so that descent arrives
    network = Linear(X.shape[1], 1, dtype=np.float64, rng=rng)
    optimizer = SGD(network.parameters(), lr=0.25)
    inputs, targets = Tensor(X), Tensor(data.y[:, None] if column else data.y)
    for _ in range(n_steps):
        outputs = network(inputs)  # (n, 1)
        loss = (
            mse_loss(outputs, targets) if column else ((outputs - targets) ** 2).mean()
        )  # (n, n), unnoticed
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(np.mean((outputs.array[:, 0] - data.y) ** 2) / data.y.var())


def predicted_error(column: bool, n_steps: int) -> float:
    """1: the variance itself; with targets of the outputs' shape, 1 − R² of least squares."""
    if n_steps < 40:
        raise ValueError(
            f"n_steps must be at least 40: each halves the distance to the minimum, got {n_steps}."
        )
    if not column:
        return 1.0
    data = load_diabetes()
    Q = qr(data.X - data.X.mean(axis=0))[0]
    residuals = data.y - data.y.mean()
    return float(1 - np.sum((Q.T @ residuals) ** 2) / np.sum(residuals**2))


def error_of_least_squares(column: bool, n_steps: int) -> float:
    """The rival: as if each prediction met its own target."""
    return predicted_error(True, n_steps)


def draw_broadcast():
    """Predictions against targets after training: through the broadcast loss the mean for everyone, through mse_loss a line."""
    from shared.figures import COLORS, subplots

    data = load_diabetes()
    Q = qr(data.X - data.X.mean(axis=0))[0]
    figure, axis = subplots(width=7.0, height=3.6)
    fitted = data.y.mean() + Q @ (Q.T @ data.y)
    axis.plot(data.y, fitted, "o", markersize=3, color=COLORS["mended"], label="shape (n, 1): mse_loss")
    mean = np.full(len(data.y), data.y.mean())
    axis.plot(
        data.y, mean, "o", markersize=3, color=COLORS["broken"], label="shape (n,): the mean for everyone"
    )
    axis.plot([25, 346], [25, 346], color=COLORS["theory"], linewidth=1, label="right")
    axis.set(xlabel="target", ylabel="prediction", title="What a broadcast loss is trained to")
    axis.legend(fontsize=8)
    return figure


BROADCAST_TARGETS = FailureMode(
    name="broadcast_targets",
    title="Targets of shape (n,) beside outputs of shape (n, 1) train to the mean",
    symptoms=(
        "regression predicts the mean for everyone",
        "network outputs the same value for every input",
        "loss stays at the variance of the targets",
        "target size different from input size, broadcasting",
    ),
    breaks=Claim(
        statement="Descent on the broadcast squared error ends with an error of Var y: the mean for everyone.",
        quantity="mean squared error on diabetes, in units of Var y",
        experiment=error_after_training,
        predicted=predicted_error,
        rival=error_of_least_squares,
        relation="≈",
        tolerance=1e-9,
        reason="each step halves the distance to the minimum: 2⁻⁶⁰ of it is left, and rounding",
        parameters={"column": False, "n_steps": 60},
        every_seed=True,
    ),
    remedy=Claim(
        statement="With targets of the outputs' shape training ends at the error of least squares.",
        quantity="mean squared error on diabetes, in units of Var y",
        experiment=error_after_training,
        predicted=predicted_error,
        rival=1.0,
        relation="≈",
        tolerance=1e-9,
        reason="each step halves the distance to the minimum: 2⁻⁶⁰ of it is left, and rounding",
        parameters={"column": True, "n_steps": 60},
        every_seed=True,
    ),
    figure=draw_broadcast,
    seeds=5,
)

# %% [markdown]
# ## The logarithm of a rounded probability
#
# A loss that is not finite needs no long step. With two classes the true one has probability
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


def share_of_rounded_probabilities(from_logits: bool, **settings: Any) -> float:
    """The rival of the remedy."""
    return predicted_share_not_finite(from_logits=False, **settings)


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
        rival=share_of_rounded_probabilities,
        relation="≈",
        tolerance=1e-3,
        reason="an identity for finite logits; δ is the width of the verdict's interval, rounded up",
        parameters={"from_logits": True, **LOGITS},
    ),
    figure=draw_log_of_zero,
    seeds=10,
)

# %%
FAILURE_MODES = (FORGOTTEN_ZERO_GRAD, FORGOTTEN_EVAL, RAGGED_LAST_BATCH, BROADCAST_TARGETS, LOGARITHM_OF_ZERO)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
