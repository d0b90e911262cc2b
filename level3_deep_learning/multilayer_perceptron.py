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
# # Multilayer perceptron
#
# ## 1. Select
#
# **Question.** How can a function with thousands of adjustable numbers be fitted to examples, when no formula gives the best
# numbers?
#
# **Answer.** Stack linear maps with a bent function between them, and follow the gradient of the loss downhill. The gradient
# with respect to *all* numbers costs as much as two predictions, and with the loss three: backpropagation.
#
# **Builds on** `modules` (layers, batches), `level1_foundations.automatic_differentiation`,
# `level1_foundations.gradient_descent` (SGD, Adam). **Mirrors** a `torch.nn.Sequential` of `Linear` layers, and
# `sklearn.neural_network.MLPClassifier`.
#
# **Sources.** Rumelhart, Hinton and Williams (1986) for backpropagation; Goodfellow, Bengio and Courville (2016), *Deep
# Learning*, section 6.5; Glorot and Bengio (2010) and He et al. (2015) for initialization; Kingma and Ba (2015) for Adam;
# Prechelt (1998) for early stopping.

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | shape |
# |---|---|---|
# | $X = A_0$ | a batch of $n$ inputs, one per row | $(n, d_0)$ |
# | $W_l, b_l$ | weights and bias of layer $l = 1,\dots,L$ | $(d_l, d_{l-1})$, $(d_l,)$ |
# | $Z_l$ | pre-activations | $(n, d_l)$ |
# | $A_l = \varphi(Z_l)$ | activations, $l < L$ | $(n, d_l)$ |
# | $\Delta_l = \partial\mathcal L/\partial Z_l$ | errors | $(n, d_l)$ |
#
# **Forward.** $Z_l = A_{l-1} W_l^{\!\top} + \mathbf 1 b_l^{\!\top}$. The last $Z_L$ are the logits, and the loss is the mean
# cross-entropy
#
# $$\mathcal L = \frac1n \sum_{i=1}^n \Big(\log \sum_k e^{Z_{L,ik}} - Z_{L,i y_i}\Big).$$
#
# **Backward.** A small change $dZ_l$ changes the loss by $d\mathcal L = \langle \Delta_l, dZ_l\rangle$, where
# $\langle U, V\rangle = \operatorname{tr}(U^{\!\top} V)$. Start at the top, where the derivative is known:
#
# $$\Delta_L = \frac1n\,(P - Y), \qquad P = \operatorname{softmax}(Z_L),\quad Y = \text{one-hot labels}. \tag{1}$$
#
# Now $dZ_l = dA_{l-1} W_l^{\!\top} + A_{l-1}\, dW_l^{\!\top} + \mathbf 1\, db_l^{\!\top}$. Put it into
# $\langle\Delta_l, dZ_l\rangle$ and move each factor across the trace:
#
# $$\langle\Delta_l, A_{l-1}\, dW_l^{\!\top}\rangle = \langle \Delta_l^{\!\top} A_{l-1},\, dW_l\rangle
#   \;\Rightarrow\; \frac{\partial\mathcal L}{\partial W_l} = \Delta_l^{\!\top} A_{l-1}, \tag{2}$$
#
# $$\langle\Delta_l, \mathbf 1\, db_l^{\!\top}\rangle = \langle \Delta_l^{\!\top}\mathbf 1,\, db_l\rangle
#   \;\Rightarrow\; \frac{\partial\mathcal L}{\partial b_l} = \Delta_l^{\!\top}\mathbf 1, \tag{3}$$
#
# $$\langle\Delta_l, dA_{l-1} W_l^{\!\top}\rangle = \langle \Delta_l W_l,\, dA_{l-1}\rangle,\quad
#   dA_{l-1} = \varphi'(Z_{l-1})\odot dZ_{l-1}
#   \;\Rightarrow\; \Delta_{l-1} = (\Delta_l W_l)\odot\varphi'(Z_{l-1}). \tag{4}$$
#
# Equations (1) to (4), applied from the top down, are backpropagation. **Cost.** Forward, layer $l$ takes one product of
# $2 n d_l d_{l-1}$ operations; backward it takes two of that size, (2) and (4), and the first layer needs no (4). So the way
# back costs two forward passes, loss and gradient together three. Memory: all $A_l$ are kept for the way back, $n\sum_l d_l$ numbers.
#
# **Assumptions.** $\varphi$ is differentiable where it is used (at its kink, ReLU's derivative is taken as 0). Nothing
# promises a global minimum: the loss is not convex. Exchanging two hidden units turns one minimum into another, and halfway
# between them the two units are one unit twice; where the minimum needs both, the loss there is higher.
#
# **Regularization.** `MLPClassifier` adds $\frac{\alpha}{2 n_B}\sum_l\|W_l\|^2$ to the loss of a batch of $n_B$ samples
# (weights, not biases), whose gradient is weight decay: $\frac{\alpha}{n_B} W_l$.

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from level1_foundations import automatic_differentiation as ad
from level1_foundations.gradient_descent import Adam
from level3_deep_learning.modules import DataLoader
from level3_deep_learning.parts.multilayer_perceptron.agreements import (
    compare_classifiers,
    compare_gradients,
    compare_training,
    digits_split,
    mosaic,
)
from level3_deep_learning.parts.multilayer_perceptron.classifier_training import TrainedInMinibatches
from level3_deep_learning.parts.multilayer_perceptron.minibatch_training import (
    decode,
    has_diverged,
    prior_loss,
    stratified_split,
    train_one_epoch,
)
from level3_deep_learning.parts.multilayer_perceptron.network import (
    ACTIVATIONS,
    INITIALIZATIONS,
    MLP,
    default_initialization,
    glorot_initialization,
    he_initialization,
    initialize,
    uniform_initialization,
    zero_initialization,
)
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import random_generator
from shared.estimator import warn_not_converged
from shared.numerics import logsumexp, sigmoid, softmax, softplus
from shared.special import erf

__all__ = [
    "ACTIVATIONS", "BREATH", "INITIALIZATIONS", "MLP", "MLPClassifier", "activate", "activation_derivative", "backpropagation",
    "backward_pass", "default_initialization", "forward_pass", "glorot_initialization", "he_initialization", "initialize",
    "softmax_cross_entropy", "train_by_ours", "uniform_initialization", "zero_initialization",
]  # fmt: skip

BREATH = "plain_training"

# %% [markdown]
# ### In one breath


# %%
def plain_weights(sizes, rng):
    """He's first weights, and biases of 0."""
    W = [rng.normal(0, np.sqrt(2 / a), (b, a)) for a, b in zip(sizes, sizes[1:])]  # noqa: B905, RUF007
    return W, [np.zeros(len(w)) for w in W]


def plain_training(X, y, W, b, step, n_steps):  # practice: core
    """Weights, biases and the loss before each step of full-batch gradient descent."""
    W, b, losses = list(W), list(b), []
    for _ in range(n_steps):
        A = [X]
        for w, c in zip(W[:-1], b[:-1], strict=True):
            A.append(np.maximum(A[-1] @ w.T + c, 0))  # (n, d_l)
        P = np.exp(A[-1] @ W[-1].T + b[-1])  # the last layer is not bent
        P /= P.sum(axis=1, keepdims=True)
        losses.append(-np.log(P[np.arange(len(y)), y]).mean())
        delta = (P - np.eye(P.shape[1])[y]) / len(y)  # (1)
        for layer in reversed(range(len(W))):
            below = (delta @ W[layer]) * (A[layer] > 0)  # (4)
            W[layer] = W[layer] - step * delta.T @ A[layer]  # (2)
            b[layer] = b[layer] - step * delta.sum(axis=0)  # (3)
            delta = below
    return W, b, losses


# %% [markdown]
# **What is wrong with it.** A logit above 709 overflows and a probability that is rounded to 0 has no logarithm: the loss is
# NaN or inf ([a failure mode of modules](failure_modes/modules.py)). There is one activation, one loss, one
# rule for the step, and every step needs all samples. The rest of the page splits it into functions that can be tested by
# themselves, stays in log space, lets the engine find the gradients, and trains in minibatches.
#
# ### Backpropagation by hand
#
# On plain arrays, with the equations above alone. Each activation stands beside its derivative.


# %%
def activate(Z: Float[np.ndarray, "n d"], activation: str) -> Float[np.ndarray, "n d"]:
    """φ(Z), entry by entry, for one of `ACTIVATIONS`."""
    if activation == "relu":
        return np.maximum(Z, 0)
    if activation == "tanh":
        return np.tanh(Z)
    if activation == "logistic":
        return sigmoid(Z)
    if activation == "gelu":
        return Z * normal_cdf(Z)
    return Z.copy()  # identity


def activation_derivative(
    Z: Float[np.ndarray, "n d"], activation: str
) -> Float[np.ndarray, "n d"]:  # practice: core
    """φ'(Z), entry by entry."""
    if activation == "relu":
        return (Z > 0).astype(Z.dtype)
    if activation == "tanh":
        return 1 - np.tanh(Z) ** 2
    if activation == "logistic":
        return sigmoid(Z) * sigmoid(-Z)  # φ(1 − φ), exact in both tails
    if activation == "gelu":
        return normal_cdf(Z) + Z * np.exp(-Z * Z / 2) / math.sqrt(2 * math.pi)  # (ZΦ)' = Φ + Z·density
    return np.ones_like(Z)  # identity


def normal_cdf(Z: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:  # practice: keep
    """Φ, the distribution function of the standard normal."""
    return (0.5 * (1 + erf(Z / math.sqrt(2)))).astype(Z.dtype)


# %% [markdown]
# Forward: $Z_l = A_{l-1} W_l^{\!\top} + \mathbf 1 b_l^{\!\top}$, $\;A_l = \varphi(Z_l)$.


# %%
def forward_pass(  # practice: core
    X: Float[np.ndarray, "n d"],
    weights: Sequence[Float[np.ndarray, "_ _"]],
    biases: Sequence[Float[np.ndarray, " _"]],
    activation: str = "relu",
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return all pre-activations `[Z_1, …, Z_L]` and all layer inputs `[A_0, …, A_{L-1}]`."""
    inputs, pre_activations = [X], []
    for W, b in zip(weights, biases, strict=True):
        pre_activations.append(inputs[-1] @ W.T + b)  # (n, d_l)
        inputs.append(activate(pre_activations[-1], activation))
    return pre_activations, inputs[:-1]  # the logits are not activated


# %% [markdown]
# The loss, and equation (1): $\Delta_L = (P - Y)/n$.


# %%
def softmax_cross_entropy(  # practice: core
    logits: Float[np.ndarray, "n k"], y: Int[np.ndarray, " n"]
) -> tuple[float, Float[np.ndarray, "n k"]]:
    """Return the mean cross-entropy of class codes `y` and its gradient with respect to the logits."""
    rows = np.arange(len(y))
    loss = np.mean(logsumexp(logits, axis=1) - logits[rows, y])
    delta = softmax(logits, axis=1)
    delta[rows, y] -= 1
    return float(loss), delta / len(y)


# %% [markdown]
# Backward: (2) $\partial_{W_l} = \Delta_l^{\!\top} A_{l-1}$, (3) $\partial_{b_l} = \Delta_l^{\!\top}\mathbf 1$, then one
# layer down by (4) $\Delta_{l-1} = (\Delta_l W_l)\odot\varphi'(Z_{l-1})$.


# %%
def backward_pass(  # practice: core
    delta: Float[np.ndarray, "n k"],
    pre_activations: Sequence[np.ndarray],
    inputs: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    activation: str = "relu",
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the gradients of all weights and of all biases, from the error `delta` of the last layer."""
    weight_gradients, bias_gradients = [], []
    for layer in reversed(range(len(weights))):
        weight_gradients.insert(0, delta.T @ inputs[layer])  # (d_l, d_{l-1})
        bias_gradients.insert(0, delta.sum(axis=0))  # (d_l,)
        if layer > 0:
            slope = activation_derivative(pre_activations[layer - 1], activation)
            delta = (delta @ weights[layer]) * slope  # (n, d_{l-1})
    return weight_gradients, bias_gradients


def backpropagation(  # practice: core
    X: Float[np.ndarray, "n d"],
    y: Int[np.ndarray, " n"],
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activation: str = "relu",
) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
    """Return the mean cross-entropy of a network, and its gradients by weights and by biases.

    Args:
        X: inputs, (n, d_0). y: class codes 0 … d_L − 1, (n,).
        weights: one array (d_l, d_{l-1}) a layer. biases: one array (d_l,) a layer.
        activation: one of `ACTIVATIONS`, between the layers.

    Cost: three products of the size of the forward pass's, $6n\\sum_l d_l d_{l-1}$ operations at most.
    """
    pre_activations, inputs = forward_pass(X, weights, biases, activation)
    loss, delta = softmax_cross_entropy(pre_activations[-1], y)
    return loss, *backward_pass(delta, pre_activations, inputs, weights, activation)


# %% [markdown]
# ### The same network as a module
#
# The engine knows the rules (2) to (4) for each of its operations, so a network is its forward pass alone: `MLP`, in
# [network](parts/multilayer_perceptron/network.py), which also derives the first weights.


# %%
def train_by_ours(network: MLP, batches: Sequence, optimizer: Any) -> np.ndarray:  # practice: core
    """The loss before each step on the given batches; the plainest training loop."""
    losses = []
    for X, y in batches:
        loss = ad.cross_entropy(network(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


# %% [markdown]
# ### The classifier
#
# The estimator joins pieces: validate, draw a network, run epochs until nothing improves. Targets, batch losses, epochs and
# patience are in [minibatch training](parts/multilayer_perceptron/minibatch_training.py), its `partial_fit` and what happens
# around an epoch in [classifier training](parts/multilayer_perceptron/classifier_training.py).


# %%
class MLPClassifier(TrainedInMinibatches):
    """Multilayer perceptron classifier with scikit-learn's interface, trained by minibatch SGD or Adam.

    Args:
        hidden_layer_sizes: widths of the hidden layers, an int for one; `()` is logistic regression.
        activation: "relu", "tanh", "logistic", "gelu" or "identity".
        solver: "adam" or "sgd".
        alpha: L2 penalty α.
        batch_size: samples a step; "auto" is min(200, n).
        learning_rate: for SGD; "constant", "invscaling" (rate_init / (t + 1)^power_t after t samples) or "adaptive"
            (divided by 5 whenever nothing improves).
        learning_rate_init, power_t: first rate, exponent of "invscaling".
        max_iter: at most this many epochs.
        shuffle: a new order each epoch.
        random_state: None, seed, Generator or RandomState, for weights, orders and the validation split.
        tol, n_iter_no_change: stop when more than so many epochs in a row improved by less than `tol`.
        verbose: print the loss of each epoch.
        warm_start: a second `fit` goes on from the first.
        momentum, nesterovs_momentum: of SGD.
        early_stopping: watch the accuracy on a validation split instead of the training loss, and return to its best
            weights. validation_fraction: its share.
        beta_1, beta_2, epsilon: of Adam.

    Attributes:
        network_: the trained `MLP`. coefs_: its weights, (fan_in, fan_out) each. intercepts_: its biases.
        classes_: labels in the order of the columns of `predict_proba`.
        loss_, loss_curve_, best_loss_: training loss (with penalty): last, each epoch, least.
        validation_scores_, best_validation_score_: with early stopping, else None.
        n_iter_: epochs of the last fit. t_: samples seen. n_layers_, n_outputs_, out_activation_: as scikit-learn's.

    Cost: O(n Σ d_l d_{l-1}) an epoch.
    """

    def __init__(  # practice: keep
        self, hidden_layer_sizes=(100,), activation="relu", *, solver="adam", alpha=0.0001, batch_size="auto",
        learning_rate="constant", learning_rate_init=0.001, power_t=0.5, max_iter=200, shuffle=True,
        random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9, nesterovs_momentum=True,
        early_stopping=False, validation_fraction=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8, n_iter_no_change=10,
    ):  # fmt: skip
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPClassifier:
        """Train on X (n, d) and labels y (n,), or 0/1 labels (n, k); returns self.

        Raises:
            ValueError: bad data or parameters (named), or weights that grew beyond all bounds.

        Warns:
            ConvergenceWarning: the loss grew and ended above that of the class frequencies (`has_diverged`), or
                the epochs ran out.
        """
        fresh = not (self.warm_start and hasattr(self, "network_"))
        X, targets, sample_weight = self._prepare(X, y, sample_weight, fresh)
        if not fresh and not self._multilabel and len(np.unique(y)) != len(self.classes_):
            raise ValueError(
                f"warm_start needs the classes of the previous fit, {self.classes_}; got {np.unique(y)}."
            )
        rng = random_generator(self.random_state)
        if fresh:
            self._start(X, targets, rng)
        self._optimizer = self._make_optimizer()
        held_out = None
        if self.early_stopping:
            labels = None if self._multilabel else targets.reshape(len(X))
            rows, held_out_rows = stratified_split(labels, len(X), self.validation_fraction, rng)
            data = (X, targets) if sample_weight is None else (X, targets, sample_weight)
            held_out = tuple(array[held_out_rows] for array in data)
            X, targets, sample_weight = (*(array[rows] for array in data), None)[:3]
        start = self._loss(X, targets, sample_weight)
        self._train(X, targets, sample_weight, held_out, self.max_iter, rng)
        prior, losses = prior_loss(targets, sample_weight), [start, *self.loss_curve_[-self.n_iter_ :]]
        if has_diverged(losses, prior):
            warn_not_converged(
                f"The training diverged: its loss was {start:.3g} at first, {max(losses):.3g} at worst and is "
                f"{self.loss_:.3g} in the end, where predicting the class frequencies alone has {prior:.3g}. Lower "
                f"learning_rate_init (now {self.learning_rate_init:g}) and standardize the features."
            )
        elif self.n_iter_ == self.max_iter:
            warn_not_converged(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet. Increase max_iter, or learning_rate_init, or standardize the features."
            )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Labels (n,), or 0/1 labels (n, k)."""
        return decode(self._logits(X), self.classes_, self._multilabel)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, classes), each row summing to 1; for multilabel (n, k) each label's own."""
        logits = self._logits(X)
        if self.out_activation_ == "softmax":
            return softmax(logits, axis=1)
        probabilities = sigmoid(logits)
        return probabilities if self._multilabel else np.hstack([sigmoid(-logits), probabilities])

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of `predict_proba`, computed from the logits, so that none is −∞ by rounding."""
        logits = self._logits(X)
        if self.out_activation_ == "softmax":
            return logits - logsumexp(logits, axis=1, keepdims=True)
        return -softplus(-logits) if self._multilabel else -softplus(np.hstack([logits, -logits]))

    @property
    def coefs_(self) -> tuple[np.ndarray, ...]:
        """Weights from input to output, each (fan_in, fan_out): views of the network's; write into them, `coefs_[0][:] = W`."""
        return tuple(layer.weight.array.T for layer in self._fitted_layers())

    @property
    def intercepts_(self) -> tuple[np.ndarray, ...]:
        """Biases from input to output, each (fan_out,): views of the network's."""
        return tuple(layer.bias.array for layer in self._fitted_layers())


# %% [markdown]
# ## 4. Validate
#
# Three comparisons: our gradients, by hand and by the engine, with torch's; the loss of every batch of five epochs, from the
# same weights in the same order, with torch's; and the classifier with scikit-learn's, where scikit-learn is handed our
# first weights, because the two draw random numbers in different ways.
#
# | | ours | torch | scikit-learn |
# |---|---|---|---|
# | weight of a layer | (out, in) | (out, in) | `coefs_`, (in, out); ours are transposed views |
# | first weights of `MLP` | ±1/√fan_in, from `rng` | the same, from global state | |
# | first weights of `MLPClassifier` | ±√(6/(in + out)), from a `Generator` | | the same, from a `RandomState` |
# | ε of Adam | added after the bias correction | the same | added before it: a larger ε at first |
# | solver "lbfgs" | not offered | | full batches, by SciPy |
# | log-probabilities | from the logits | from the logits | logarithm of rounded probabilities |
# | sparse input | refused | | accepted |


# %%
def validate() -> list[Agreement]:
    """Gradients and loss curves against torch, the classifier against scikit-learn."""
    import sklearn.neural_network
    import torch

    comparison = Comparison(reference="torch.autograd", dataset="digits")
    compare_gradients(comparison, torch, backpropagation)
    compare_training(comparison.on(reference="torch.nn.Sequential"), torch, train_by_ours)
    compare_classifiers(comparison, sklearn, MLPClassifier)
    return comparison.agreements


# %%
def benchmarks() -> list[Benchmark]:
    """A training epoch of 784-256-10 in float32 with Adam against torch."""

    def setup(n: int) -> tuple[Callable, Callable, Callable]:
        """One epoch on n digits enlarged to 28 × 28, from the same weights, each side shuffling for itself."""
        import torch

        from shared.datasets import load_digits

        digits, rng = load_digits(), np.random.default_rng(0)
        rows, pixels = rng.integers(0, len(digits.y), n), np.arange(28) * 8 // 28
        images = (digits.X[rows] / 16).reshape(n, 8, 8)[:, pixels][:, :, pixels]
        X, y = images.reshape(n, 784).astype(np.float32), digits.y[rows].astype(np.int64)

        network = MLP([784, 256, 10], rng=0)
        optimizer, loader = (
            Adam(network.parameters()),
            DataLoader((X, y), batch_size=128, shuffle=True, rng=0),
        )

        layers = (torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
        model = torch.nn.Sequential(*layers)
        model.load_state_dict(
            {name: torch.tensor(tensor.array) for name, tensor in network.state_dict().items()}
        )
        steps, their_X, their_y = (
            torch.optim.Adam(model.parameters()),
            torch.from_numpy(X),
            torch.from_numpy(y),
        )

        def ours() -> float:
            return train_one_epoch(network, optimizer, loader)

        def theirs() -> float:
            total = 0.0
            for rows in torch.randperm(n).split(128):
                loss = torch.nn.functional.cross_entropy(model(their_X[rows]), their_y[rows])
                steps.zero_grad()
                loss.backward()
                steps.step()
                total += loss.item() * len(rows)
            return total / n

        weights = [array.array.astype(np.float32) for array in network.parameters()]

        def breath() -> Any:  # as many steps, but on one batch and without Adam
            return plain_training(X[:128], y[:128], weights[::2], weights[1::2], 0.01, n // 128)

        return ours, theirs, breath

    return [
        Benchmark(
            name="training epoch, 784-256-10, batch 128, float32, Adam",
            sizes=(1280, 2560, 5120, 10240),
            setup=setup,
            expected_exponent=1.0,
            reference="torch.nn.Sequential",
            repeats=7,
        )
    ]


# %% [markdown]
# ## 5. Document
#
# **Use it** for tables and small images where a linear model or a single tree falls short and there are thousands of
# samples; standardize the features first. **Do not use it** where a few dozen samples, an explanation per coefficient, or
# the best accuracy on a plain table is wanted: linear models and boosted trees (Level 2) serve better. Images and texts have
# structure (neighborhoods, order) that a perceptron must learn from nothing; the networks that follow in this level build it
# in.
#
# **In plain words.** A network turns numbers into numbers by weighted sums with a bend between them, and training turns all
# weights a little, again and again, so that its mistakes cost less. It takes for granted that the new cases are like those
# it was trained on, and that all inputs have about the same scale. If it does not learn, ask whether the first weights let
# it; if its loss explodes, whether the step is too long; and before you believe its accuracy, on which cases it was
# measured.
#
# **How it breaks**: `groundup break multilayer_perceptron`, and `failure_modes/multilayer_perceptron.py`.
#
# **The pictures.** The mechanism: a hidden layer with one input is a sum of ramps; each unit bends the line at one place. The
# result: a network with far more weights than images trains on 200 digits. The training loss goes on falling towards 0, the
# loss on 1,597 other digits soon stands still, and so does the share misread: what is learnt from then on helps nobody. On the
# right stand images that it misread; judge for yourself how hard they are.


# %%
def mechanism() -> Any:
    """What a hidden layer computes. Left: six ReLUs of one input, times their outgoing weights, before training. Middle: after it. Right:
    their sum, a line with a bend where a unit sets in (dotted), beside the points it was fitted to."""
    from shared.figures import COLORS, PALETTE, subplots

    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-2, 2, (120, 1)), axis=0)
    y = np.sin(2.5 * x) + rng.normal(0, 0.1, x.shape)
    network = MLP([1, 6, 1], "relu", "default", dtype=np.float64, rng=6)
    grid = np.linspace(-2, 2, 400)[:, None]
    figure, (before, after, total) = subplots(1, 3, width=10.0, height=3.4)
    optimizer = Adam(network.parameters(), lr=0.03)
    for panel, steps in ((before, 0), (after, 1500)):
        for _ in range(steps):
            optimizer.zero_grad()
            ad.mse_loss(network(ad.Tensor(x)), ad.Tensor(y)).backward()
            optimizer.step()
        W, b, v = network[0].weight.array, network[0].bias.array, network[2].weight.array
        ramps = v * np.maximum(grid @ W.T + b, 0)  # (400, 6)
        for unit in range(6):
            panel.plot(grid, ramps[:, unit], color=PALETTE[unit % len(PALETTE)])
        panel.set(title=f"six units, after {steps} steps", xlabel="x")
    total.plot(x, y, ".", color=COLORS["muted"], label="data")
    total.plot(grid, ramps.sum(axis=1) + network[2].bias.array, color=COLORS["ours"], label="sum and bias")
    for bend in (-b / W[:, 0])[np.abs(b / W[:, 0]) < 2]:
        total.axvline(bend, color=COLORS["theory"], linewidth=0.6, linestyle=":")
    total.set(title="their sum: a line with bends", xlabel="x")
    total.legend(fontsize=8)
    return figure


def example() -> Any:
    """200 digits learnt, 1,597 others: both losses and the accuracy by epoch, and misread images."""
    from shared.figures import COLORS, subplots

    images, labels = (np.concatenate(pair) for pair in (digits_split()[::2], digits_split()[1::2]))
    X, y, X_test, y_test = images[:200], labels[:200], images[200:], labels[200:]
    model = MLPClassifier(256, alpha=0.0, batch_size=50, learning_rate_init=0.003, random_state=0)
    curves = []
    epochs = np.arange(4, 101, 4)
    for epoch in range(1, 101):
        model.partial_fit(X, y, classes=np.arange(10))
        if epoch % 4:
            continue
        losses = [
            -np.mean(model.predict_log_proba(A)[np.arange(len(b)), b]) for A, b in ((X, y), (X_test, y_test))
        ]
        curves.append([*losses, np.mean(model.predict(X_test) != y_test)])
    train, test, misread_share = np.array(curves).T
    guesses = model.predict(X_test)
    wrong = np.flatnonzero(guesses != y_test)[:16]

    figure, (curve, share, misread) = subplots(1, 3, width=10.0, height=3.6)
    curve.semilogy(epochs, train, color=COLORS["ours"], label="200 learnt")
    curve.semilogy(epochs, test, color=COLORS["broken"], label="1,597 others")
    curve.plot(epochs[np.argmin(test)], test.min(), "o", color=COLORS["mended"], label="least on the others")
    curve.set(xlabel="epoch", ylabel="cross-entropy", title="Learnt by heart")
    curve.legend(fontsize=8)
    share.plot(epochs, misread_share, color=COLORS["broken"])
    share.set(
        xlabel="epoch", ylabel="share of the others misread", title="And no better for it", ylim=(0, 0.5)
    )
    misread.imshow(mosaic(X_test[wrong], gap=4), cmap="gray_r")
    ink = misread.title.get_color()
    misread.set_title(f"Misread: {np.sum(guesses != y_test)} of {len(y_test)}")
    for i, row in enumerate(wrong):
        place = (12 * (i % 4) + 3.5, 12 * (i // 4) + 10)
        misread.text(*place, f"{y_test[row]} as {guesses[row]}", ha="center", fontsize=8, color=ink)
    misread.set_axis_off()
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
