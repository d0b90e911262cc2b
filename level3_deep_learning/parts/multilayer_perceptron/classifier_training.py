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
# # What the classifier does around its epochs
#
# Part of the topic [multilayer perceptron](../../multilayer_perceptron.py). No mathematics: validation, the first network,
# the optimizer, epochs until patience ends, and the learning rate's schedules, as in scikit-learn.

# %%
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor, no_grad
from level1_foundations.gradient_descent import SGD, Adam
from level3_deep_learning.modules import DataLoader, Linear
from level3_deep_learning.parts.multilayer_perceptron.minibatch_training import (
    Patience,
    batch_size,
    check_parameters,
    encode_targets,
    network_loss,
    penalty,
    set_learning_rate,
    train_one_epoch,
)
from level3_deep_learning.parts.multilayer_perceptron.network import ACTIVATIONS, MLP, uniform_initialization
from shared.arrays import random_generator, validate_sample_weight
from shared.estimator import ClassifierMixin, Estimator

__all__ = ["TrainedInMinibatches"]


# %%
class TrainedInMinibatches(ClassifierMixin, Estimator):
    """Everything of `MLPClassifier` but its parameters, `fit` and what it predicts."""

    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> TrainedInMinibatches:
        """Train one epoch on a part of the data; the first call needs all `classes`. Returns self."""
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        fresh = not hasattr(self, "network_")
        if fresh and classes is None and np.asarray(y).ndim == 1:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if not fresh and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit: {self.classes_!r}"
            )
        X, targets, sample_weight = self._prepare(X, y, sample_weight, fresh, classes)
        rng = random_generator(self.random_state)
        if fresh:
            self._start(X, targets, rng)
        if not hasattr(self, "_optimizer"):
            self._optimizer = self._make_optimizer()
        self._train(X, targets, sample_weight, None, 1, rng)
        return self

    def _fitted_layers(self) -> list[Linear]:
        if "network_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted yet, so it has no weights.")
        return self.network_.linear_layers()

    def _logits(self, X: Any) -> np.ndarray:
        X = self._predict_matrix(X)
        with no_grad():
            return self.network_(Tensor(X)).array

    def _prepare(self, X: Any, y: Any, sample_weight: Any, fresh: bool, classes: Any = None) -> tuple:
        """Validate everything; learn the classes, or hold the data against those known."""
        check_parameters(self, ACTIVATIONS)
        X = self._fit_matrix(X) if fresh else self._predict_matrix(X)
        known = self.classes_ if not fresh else None if classes is None else np.unique(classes)
        known, targets, multilabel = encode_targets(y, len(X), X.dtype, known)
        if not fresh and (multilabel != self._multilabel or len(known) != len(self.classes_)):
            raise ValueError(f"y must have the form of the previous fit, with labels {self.classes_}.")
        self.classes_, self._multilabel = known, multilabel
        if sample_weight is not None:
            sample_weight = validate_sample_weight(sample_weight, len(X), X.dtype)
        return X, targets, sample_weight

    def _start(self, X: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> None:
        """Draw a network and forget all earlier training."""
        hidden = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=int)).tolist()
        self.n_outputs_ = targets.shape[1] if targets.ndim == 2 else len(self.classes_)
        self.out_activation_ = "logistic" if targets.ndim == 2 else "softmax"
        draw = partial(uniform_initialization, factor=2.0 if self.activation == "logistic" else 6.0)
        sizes = (X.shape[1], *hidden, self.n_outputs_)
        self.network_ = MLP(sizes, self.activation, draw, dtype=X.dtype, rng=rng)
        self.n_layers_, self.t_ = len(sizes), 0
        self.loss_curve_: list[float] = []
        self.validation_scores_ = [] if self.early_stopping else None
        self.best_loss_ = self.best_validation_score_ = None
        self._patience = Patience(self.tol, larger_is_better=self.early_stopping)

    def _make_optimizer(self) -> Any:
        layers = self.network_.linear_layers()
        groups = [
            {"params": [layer.weight for layer in layers]},
            {"params": [layer.bias for layer in layers]},
        ]
        if self.solver == "adam":
            return Adam(
                groups, lr=self.learning_rate_init, betas=(self.beta_1, self.beta_2), eps=self.epsilon
            )
        nesterov = bool(
            self.nesterovs_momentum and self.momentum > 0
        )  # without momentum there is nothing ahead
        return SGD(groups, lr=self.learning_rate_init, momentum=self.momentum, nesterov=nesterov)

    def _loss(self, X: np.ndarray, targets: np.ndarray, sample_weight: Any) -> float:
        """Training loss of the network as it is, penalty included, on one or two thousand rows, evenly spaced."""
        rows = slice(None, None, max(1, len(X) // 1000))
        mass = min(200 if self.batch_size == "auto" else self.batch_size, len(X))
        weight = None
        if sample_weight is not None and sample_weight[rows].any():
            weight, mass = Tensor(sample_weight[rows]), mass * float(sample_weight.mean())
        with no_grad():
            loss = network_loss(self.network_(Tensor(X[rows])), Tensor(targets[rows]), weight).item()
        return loss + penalty(self.network_, self.alpha) / mass

    def _train(
        self, X: np.ndarray, targets: np.ndarray, sample_weight: np.ndarray | None, held_out: tuple | None,
        n_epochs: int, rng: np.random.Generator,
    ) -> None:  # fmt: skip
        """Run epochs until patience ends, then keep the best (early stopping) or the last weights."""
        data = (X, targets) if sample_weight is None else (X, targets, sample_weight)
        loader = DataLoader(data, batch_size(self.batch_size, len(X)), self.shuffle, rng=rng)
        best = self.network_.state_dict()
        for epoch in range(1, n_epochs + 1):
            self.loss_ = train_one_epoch(self.network_, self._optimizer, loader, self.alpha)
            self.n_iter_, self.t_ = epoch, self.t_ + len(X)
            self.loss_curve_.append(self.loss_)
            if self.verbose:
                print(f"Iteration {epoch}, loss = {self.loss_:.8f}")
            value = self.loss_ if held_out is None else self._validation_score(*held_out)
            if self._patience.update(value) and held_out is not None:
                best = {name: tensor.array.copy() for name, tensor in self.network_.state_dict().items()}
            if not self._adjust_learning_rate():
                break
        if held_out is None:
            self.best_loss_ = min(self.loss_curve_)
        else:
            self.network_.load_state_dict(best)
            self.best_validation_score_ = max(self.validation_scores_)
        self.network_.zero_grad()
        if not all(np.isfinite(parameter.array).all() for parameter in self.network_.parameters()):
            raise ValueError(
                "Solver produced non-finite parameter weights. Standardize the features, or lower learning_rate_init."
            )

    def _validation_score(self, X: np.ndarray, targets: np.ndarray, sample_weight: Any = None) -> float:
        """Accuracy on held-out rows (all labels of a row right, for multilabel)."""
        with no_grad():
            logits = self.network_(Tensor(X)).array
        guesses = np.argmax(logits, axis=1) if targets.ndim == 1 else logits > 0
        right = guesses == targets
        score = float(np.average(right if right.ndim == 1 else right.all(axis=1), weights=sample_weight))
        self.validation_scores_.append(score)
        return score

    def _adjust_learning_rate(self) -> bool:
        """At the end of an epoch: lower the rate where the schedule says so; `False` ends the training."""
        rate, schedule = (
            self._optimizer.param_groups[0]["lr"],
            self.learning_rate if self.solver == "sgd" else None,
        )
        if schedule == "invscaling":
            set_learning_rate(self._optimizer, self.learning_rate_init / (self.t_ + 1) ** self.power_t)
        if self._patience.count <= self.n_iter_no_change:
            return True
        if schedule != "adaptive" or rate <= 1e-6:
            return False
        set_learning_rate(self._optimizer, rate / 5)
        self._patience.count = 0
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
