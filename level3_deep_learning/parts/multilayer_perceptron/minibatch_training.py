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
# # Training in minibatches
#
# What a classifier's `fit` needs besides a network: targets from labels, the loss of a batch, an epoch, a rule for
# stopping. [The multilayer perceptron](../../multilayer_perceptron.py) joins these pieces; nothing here knows how its
# network is made.

# %%
from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from level1_foundations import automatic_differentiation as ad
from level1_foundations.automatic_differentiation import Tensor
from level3_deep_learning.modules import DataLoader, Linear, Module
from shared.arrays import validate_choice, validate_labels, validate_matrix, validate_number

# %% [markdown]
# ## Losses and epochs
#
# Several classes get one logit each and cross-entropy. Two classes get a single logit $z$ with
# $P(y=1) = \sigma(z)$, whose negative log-likelihood is $\log(1 + e^z) - yz$; so does each label of a
# multilabel problem, and their losses are added. Sample weights $w_i$ turn means into
# $\sum w_i \ell_i / \sum w_i$.


# %%
def network_loss(logits: Tensor, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Mean loss of a batch: cross-entropy of codes (n,), or logistic loss of 0/1 targets (n, k) summed over k."""
    if targets.ndim == 1:
        if sample_weight is None:
            return ad.cross_entropy(logits, targets)
        losses = ad.cross_entropy(logits, targets, reduction="none")  # (n,)
    else:
        losses = ad.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)  # (n,)
    if sample_weight is None:
        return losses.mean()
    return (losses * sample_weight).sum() / float(sample_weight.array.sum())


def penalty(network: Module, alpha: float) -> float:
    """α/2 times the sum of all squared weights of linear layers, biases left out."""
    weights = [layer.weight.array for layer in network.modules() if isinstance(layer, Linear)]
    return 0.5 * alpha * float(sum(np.vdot(W, W) for W in weights))


def train_one_epoch(network: Module, optimizer: Any, loader: DataLoader, alpha: float = 0.0) -> float:
    """One pass over the data, one optimizer step a batch; returns the mean loss, each batch before its step.

    `loader` yields `(X, targets)` or `(X, targets, sample_weight)`. The first parameter group of `optimizer` holds
    the weights, whose decay is α over the batch's total weight.
    """
    total, seen = 0.0, 0
    for X, targets, *sample_weight in loader:
        n = len(targets)
        mass = float(sample_weight[0].array.sum()) if sample_weight else n
        if mass == 0:
            continue  # all weights zero: nothing to learn from
        optimizer.param_groups[0]["weight_decay"] = alpha / mass
        loss = network_loss(network(X), targets, *sample_weight)
        optimizer.zero_grad()
        loss.backward()
        total += (loss.item() + (penalty(network, alpha) / mass if alpha else 0.0)) * n
        optimizer.step()
        seen += n
    return total / max(seen, 1)


# %% [markdown]
# scikit-learn keeps the *velocity* $v \leftarrow \mu v - \eta g$, torch (and Level 1) the sum of gradients
# $u \leftarrow \mu u + g$ with step $-\eta u$. They agree as long as $v = -\eta u$, so when the rate changes
# from $\eta$ to $\eta'$, $u$ must be scaled by $\eta/\eta'$.


# %%
def set_learning_rate(optimizer: Any, learning_rate: float) -> None:
    """Change the rate and leave the velocity of SGD with momentum as it is."""
    for group in optimizer.param_groups:
        factor = group["lr"] / learning_rate
        group["lr"] = learning_rate
        for parameter in group["params"]:
            momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
            if momentum is not None:
                momentum *= factor


def stratified_split(
    y: np.ndarray | None, n: int, fraction: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers for training and for validation, ⌈n·fraction⌉ of them; each class (if `y`) in its proportion.

    Sort by class, at random within each, and take every (1/fraction)-th row.
    """
    n_validation = math.ceil(n * fraction)
    if n_validation < 2 or n_validation >= n:
        raise ValueError(
            f"The validation set is too small or too large: validation_fraction={fraction} of {n} samples are "
            f"{n_validation}. Change validation_fraction, or use more samples."
        )
    shuffled = rng.random(n)
    order = np.argsort(shuffled) if y is None else np.lexsort((shuffled, y))
    picked = ((np.arange(n_validation) + 0.5) * n / n_validation).astype(int)
    return np.delete(order, picked), order[picked]


# %% [markdown]
# ## When to stop
#
# Training stops when the loss (or, with early stopping, the score on held-out samples) has not improved by `tol` for
# a number of epochs. Prechelt (1998) compares such rules.


# %%
class Patience:
    """Counts epochs without progress: a value must beat the best one by `tol` (lower loss or higher score)."""

    def __init__(self, tol: float, larger_is_better: bool) -> None:
        self.tol, self.sign, self.best, self.count = tol, 1.0 if larger_is_better else -1.0, -np.inf, 0

    def update(self, value: float) -> bool:
        """Take in the value of one more epoch; returns whether it is the best so far."""
        gain = self.sign * value
        # scikit-learn counts a loss that gains exactly `tol` as progress, and a score that does as well
        self.count = self.count + 1 if gain < self.best + self.tol else 0
        improved = gain > self.best
        self.best = max(self.best, gain)
        return improved


# %% [markdown]
# A learning rate that is too large shows in the losses: they rise past their start, and end above what a network
# without any input reaches. With class shares $\pi_c$ that is the entropy $-\sum_c \pi_c\log\pi_c$, the loss
# of predicting these shares for everybody. A loss above it that never rose past its start is not a divergence: there
# the epochs ran out, or the rate is too small.


# %%
def prior_loss(targets: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
    """Mean loss of predicting the class shares: of codes (n,), or of 0/1 targets (n, k) summed over k."""
    if sample_weight is not None and not sample_weight.any():
        return math.inf  # nothing to predict
    onehot = targets[:, None] == np.arange(targets.max() + 1) if targets.ndim == 1 else targets
    shares = np.average(onehot, axis=0, weights=sample_weight).astype(float)
    if targets.ndim == 2:
        shares = np.stack([shares, 1 - shares])
    return float(-np.sum(shares * np.log(np.maximum(shares, 1e-300))))  # 0 log 0 = 0


def has_diverged(losses: list[float], prior: float) -> bool:
    """Whether the losses (before training, then one an epoch) rose past their start and end too high.

    That is: a tenth above the start and above the prior's; or half as high again as the prior's, after a peak a
    fifth above the start; or no better than the prior's, after a peak twice as high as the start.
    """
    first, peak, last = losses[0], max(losses), losses[-1]
    return (
        last > max(prior, 1.1 * first)
        or (peak > 1.2 * first and last > 1.5 * prior)
        or (peak > 2 * first and last > 0.98 * prior)
    )


# %% [markdown]
# ## From labels to targets and back


# %%
def encode_targets(
    y: Any, n: int, dtype: Any, classes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return `(classes, targets, multilabel)` for labels (n,), or for a 0/1 matrix (n, k) of k labels.

    Targets are codes (n,) for three or more classes, else 0/1 of shape (n, 1), or (n, k) for a multilabel problem.
    `classes` fixes the classes, so that a batch may lack some of them.

    Raises:
        ValueError: not class labels, a single class, or a label that is not among `classes`.
    """
    shape = np.asarray(y).shape  # y itself goes on: a list must keep a missing label among texts
    if len(shape) == 2 and shape[1] > 1:
        matrix = validate_matrix(y, "y", dtype=dtype)
        if len(matrix) != n or not np.isin(matrix, (0, 1)).all():
            raise ValueError(
                f"A y with several columns must be a multilabel indicator of zeros and ones with {n} rows, "
                f"got shape {matrix.shape} with values up to {matrix.max():g}."
            )
        return np.arange(matrix.shape[1]), matrix, True
    present, codes = validate_labels(y, length=n)
    classes = present if classes is None else np.asarray(classes)
    if not np.isin(present, classes).all():
        raise ValueError(
            f"y has classes not in classes_: {np.setdiff1d(present, classes)}; classes_ has {classes}."
        )
    if len(classes) < 2:
        raise ValueError(f"y must hold at least 2 classes, got 1 class: {classes[0]!r}.")
    codes = np.searchsorted(classes, present)[codes]
    return classes, codes if len(classes) > 2 else codes.astype(dtype)[:, None], False


def decode(logits: np.ndarray, classes: np.ndarray, multilabel: bool) -> np.ndarray:
    """The most probable labels: argmax of several classes; probability above one half, that is a logit above 0, else."""
    if multilabel:
        return (logits > 0).astype(int)
    return classes[np.argmax(logits, axis=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).astype(int)]


# %% [markdown]
# ## Parameters


# %%
def batch_size(requested: int | str, n: int) -> int:
    """The batch size for n samples: "auto" is min(200, n), a larger one than n is cut with a warning."""
    if requested == "auto":
        return min(200, n)
    if requested > n:
        warnings.warn(
            f"batch_size={requested} is larger than the {n} samples; it is cut to {n}.", stacklevel=4
        )
    return min(requested, n)


def check_parameters(estimator: Any, activations: Collection[str]) -> None:
    """Raise for the first of a classifier's parameters that is of the wrong kind or out of range, naming it."""
    sizes = estimator.hidden_layer_sizes
    if isinstance(sizes, str) or not isinstance(sizes, numbers.Number | Iterable):
        raise ValueError(f"hidden_layer_sizes must be an integer or a sequence of integers, got {sizes!r}.")
    for size in [sizes] if isinstance(sizes, numbers.Number) else sizes:
        validate_number(size, "hidden_layer_sizes", minimum=1, integer=True)
    validate_choice(estimator.activation, "activation", tuple(activations))
    validate_choice(estimator.solver, "solver", ("adam", "sgd"))
    validate_choice(estimator.learning_rate, "learning_rate", ("constant", "invscaling", "adaptive"))
    if estimator.batch_size != "auto":
        validate_number(estimator.batch_size, "batch_size", minimum=1, integer=True)
    if estimator.n_iter_no_change != np.inf:
        validate_number(estimator.n_iter_no_change, "n_iter_no_change", minimum=1, integer=True)
    validate_number(estimator.max_iter, "max_iter", minimum=1, integer=True)
    for name in ("alpha", "power_t", "tol"):
        validate_number(getattr(estimator, name), name, minimum=0)
    for name in ("learning_rate_init", "epsilon"):
        validate_number(getattr(estimator, name), name, minimum=0, exclusive=True)
    for name in ("beta_1", "beta_2", "validation_fraction"):
        value = validate_number(getattr(estimator, name), name, minimum=0, maximum=1)
        if value == 1:
            raise ValueError(f"{name} must be less than 1, got {value!r}.")
    validate_number(estimator.momentum, "momentum", minimum=0, maximum=1)
    for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping"):
        if not isinstance(getattr(estimator, name), bool | np.bool_):
            raise TypeError(f"{name} must be True or False, got {getattr(estimator, name)!r}.")
