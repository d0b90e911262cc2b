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
# # Gradients, training and the classifier beside torch and scikit-learn
#
# Part of the topic [multilayer perceptron](../../multilayer_perceptron.py), whose `validate()` calls it; with the digits that its
# pictures show.

# %%
from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from level1_foundations import automatic_differentiation as ad
from level1_foundations.automatic_differentiation import Tensor, no_grad
from level1_foundations.gradient_descent import SGD, Adam
from level3_deep_learning.modules import DataLoader
from level3_deep_learning.parts.multilayer_perceptron.network import MLP, uniform_initialization
from shared.agreement import Comparison

__all__ = ["compare_classifiers", "compare_gradients", "compare_training", "digits_split", "mosaic"]


# %%
def train_by_torch(
    torch: Any, state: dict, sizes: Sequence[int], batches: Sequence, optimizer: str, **options: Any
) -> tuple:
    """The loss before each step on the given batches, and the trained torch model."""
    layers = [torch.nn.Linear(*pair, dtype=torch.float64) for pair in itertools.pairwise(sizes)]
    model = torch.nn.Sequential(*[part for layer in layers for part in (layer, torch.nn.ReLU())][:-1])
    model.load_state_dict({name: torch.tensor(tensor.array) for name, tensor in state.items()})
    steps, losses = getattr(torch.optim, optimizer)(model.parameters(), **options), []
    for X, y in batches:
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(X.array)), torch.from_numpy(y.array))
        steps.zero_grad()
        loss.backward()
        steps.step()
        losses.append(loss.item())
    return np.array(losses), model


def digits_split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Digits with pixels in [0, 1]: 1,347 training and 450 test images, at random."""
    from shared.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.y))
    X, y = digits.X[order] / 16.0, digits.y[order].astype(np.int64)
    return X[:1347], y[:1347], X[1347:], y[1347:]


def mosaic(images: np.ndarray, gap: int = 1) -> np.ndarray:
    """Up to sixteen 8 × 8 images in four rows, with empty lines between them."""
    side = 8 + gap
    tiles = np.full((16, side, side), np.nan)
    tiles[: len(images), :8, :8] = images.reshape(-1, 8, 8)
    return tiles.reshape(4, 4, side, side).swapaxes(1, 2).reshape(4 * side, 4 * side)


def compare_gradients(comparison: Comparison, torch: Any, backpropagation: Callable) -> None:
    """All gradients of a three-layer network, by hand and by the engine, for each activation."""
    X, y, _, _ = digits_split()
    X, y = X[:200], y[:200]
    functions = {"relu": torch.relu, "tanh": torch.tanh, "logistic": torch.sigmoid,
                 "gelu": torch.nn.functional.gelu, "identity": lambda z: z}  # fmt: skip
    for activation, function in functions.items():
        network = MLP([64, 32, 16, 10], activation, "he", dtype=np.float64, rng=1)
        parameters = [parameter.array for parameter in network.parameters()]

        def by_hand(activation=activation, parameters=parameters):
            loss, *gradients = backpropagation(X, y, parameters[::2], parameters[1::2], activation)
            return loss, [gradient for pair in zip(*gradients, strict=True) for gradient in pair]

        def by_engine(network=network):
            network.zero_grad()
            loss = ad.cross_entropy(network(Tensor(X)), Tensor(y))
            loss.backward()
            return loss.item(), [parameter.grad.array for parameter in network.parameters()]

        def by_torch(function=function, parameters=parameters):
            leaves = [torch.tensor(array, requires_grad=True) for array in parameters]
            a = torch.from_numpy(X)
            for i in range(0, len(leaves), 2):
                a = torch.nn.functional.linear(function(a) if i else a, leaves[i], leaves[i + 1])
            loss = torch.nn.functional.cross_entropy(a, torch.from_numpy(y))
            loss.backward()
            return loss.item(), [leaf.grad.numpy() for leaf in leaves]

        for way, ours in (("by hand", by_hand), ("by the engine", by_engine)):
            (loss, gradients), (their_loss, their_gradients) = comparison.run(ours, by_torch)
            together, theirs = (
                np.concatenate([g.ravel() for g in side]) for side in (gradients, their_gradients)
            )
            reason = "a closed form: rounding only"
            comparison.compare(f"loss {way}, {activation}", loss, their_loss, tolerance=1e-12, reason=reason)
            comparison.compare(
                f"gradients {way}, {activation}", together, theirs, tolerance=1e-12, reason=reason
            )


def compare_training(comparison: Comparison, torch: Any, train_by_ours: Callable) -> None:
    """Five epochs from the same weights through the same batches."""
    X, y, X_test, _ = digits_split()
    torch.optim.SGD(
        [torch.zeros(1, requires_grad=True)], lr=1.0
    ).step()  # the first use imports much of torch
    sizes = (64, 64, 10)
    rules = (("Adam", Adam, {"lr": 1e-3}), ("SGD", SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}))
    for name, rule, options in rules:
        network = MLP(sizes, dtype=np.float64, rng=0)
        state = {key: Tensor(tensor.array.copy()) for key, tensor in network.state_dict().items()}
        loader = DataLoader((X, y), batch_size=64, shuffle=True, rng=0)
        batches = [batch for _ in range(5) for batch in loader]
        optimizer = rule(network.parameters(), **options)
        losses, (their_losses, model) = comparison.run(
            lambda network=network, batches=batches, optimizer=optimizer: train_by_ours(
                network, batches, optimizer
            ),
            lambda state=state, batches=batches, name=name, options=options: train_by_torch(
                torch, state, sizes, batches, name, **options
            ),
        )
        comparison.compare(
            f"loss of each batch, 5 epochs, {name}", losses, their_losses, tolerance=1e-9, measure="elementwise",
            reason="the same steps in another order of rounding; 110 steps amplify it a little",
        )  # fmt: skip
        with no_grad(), torch.no_grad():
            logits = network(Tensor(X_test)).array
            their_logits = model(torch.from_numpy(X_test)).numpy()
        comparison.compare(
            f"test logits after 5 epochs, {name}", logits, their_logits, tolerance=1e-9,
            reason="the same weights up to the rounding above",
        )  # fmt: skip
        comparison.compare(
            f"predicted classes after 5 epochs, {name}", logits.argmax(1), their_logits.argmax(1), tolerance=0,
            reason="the same logits; no two classes tie",
        )  # fmt: skip


def compare_classifiers(comparison: Comparison, sklearn: Any, MLPClassifier: Any) -> None:
    """scikit-learn's classifier, handed our first weights, over all option branches."""
    from shared.datasets import load_breast_cancer, load_iris

    class Reference(sklearn.neural_network.MLPClassifier):
        def _init_coef(self, fan_in, fan_out, dtype):
            if not hasattr(self, "_draws"):
                self._draws = np.random.default_rng(self.random_state)
            factor = 2.0 if self.activation == "logistic" else 6.0
            weight, bias = uniform_initialization(fan_in, fan_out, self._draws, factor=factor)
            return weight.T.astype(dtype), bias.astype(dtype)

    iris, cancer = load_iris(), load_breast_cancer()
    multilabel = np.column_stack([iris.y == 0, iris.y >= 1, iris.X[:, 0] > 6]).astype(int)
    weight = np.random.default_rng(5).integers(0, 4, len(iris.y)).astype(float)
    # Without shuffling both see the same batches; with ε = 1e-30 its two places in Adam give the same step.
    common = {
        "shuffle": False,
        "random_state": 3,
        "max_iter": 8,
        "learning_rate_init": 0.02,
        "batch_size": 40,
        "epsilon": 1e-30,
    }
    sgd = {"solver": "sgd", "learning_rate_init": 0.05}
    branches = (
        ("Adam, relu, alpha=0.01", iris, iris.y, None, {"alpha": 0.01, "hidden_layer_sizes": (8, 5)}),
        ("Adam, logistic", iris, iris.y, None, {"activation": "logistic"}),
        ("SGD with Nesterov, tanh, alpha=1", iris, iris.y, None, dict(activation="tanh", alpha=1.0, **sgd)),
        ("SGD with momentum 0.5, identity", iris, iris.y, None,
         dict(activation="identity", momentum=0.5, nesterovs_momentum=False, **sgd)),
        ("SGD without momentum, no hidden layer", iris, iris.y, None, dict(momentum=0.0, hidden_layer_sizes=(), **sgd)),
        ("SGD, invscaling", iris, iris.y, None, dict(learning_rate="invscaling", power_t=0.2, **sgd)),
        ("SGD, adaptive", iris, iris.y, None,
         dict(learning_rate="adaptive", n_iter_no_change=2, tol=0.05, **{**sgd, "max_iter": 12})),
        ("stopped by tol", iris, iris.y, None, {"n_iter_no_change": 3, "tol": 0.05, "max_iter": 60}),
        ("sample weights", iris, iris.y, weight, {"alpha": 0.1}),
        ("two classes", cancer, cancer.y, None, {"hidden_layer_sizes": (10,)}),
        ("multilabel", iris, multilabel, None, {"hidden_layer_sizes": 12}),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the epochs end before convergence, on purpose
        for branch, data, y, sample_weight, options in branches:
            X = (data.X - data.X.mean(0)) / data.X.std(0)
            options = {**common, **options}
            against = comparison.on(reference="sklearn.neural_network.MLPClassifier", dataset=data.name)
            ours, theirs = against.run(
                lambda X=X, y=y, w=sample_weight, options=options: MLPClassifier(**options).fit(X, y, w),
                lambda X=X, y=y, w=sample_weight, options=options: Reference(**options).fit(X, y, w),
            )
            reason = "the same steps; rounding, amplified over the epochs"
            for name, value, their_value in (
                ("loss curve", ours.loss_curve_, theirs.loss_curve_),
                ("coefficients", flat(ours.coefs_), flat(theirs.coefs_)),
                ("intercepts", flat(ours.intercepts_), flat(theirs.intercepts_)),
                ("probabilities", ours.predict_proba(X), theirs.predict_proba(X)),
            ):
                against.compare(f"{name}, {branch}", value, their_value, tolerance=1e-10, reason=reason)
            against.compare(
                f"labels, {branch}",
                ours.predict(X),
                theirs.predict(X),
                tolerance=0,
                reason="the same probabilities",
            )


def flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Several arrays as one vector."""
    return np.concatenate([array.ravel() for array in arrays])
