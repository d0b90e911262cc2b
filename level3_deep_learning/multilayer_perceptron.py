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
# **Question.** How can a function with thousands of adjustable numbers be fitted to examples, when no formula
# gives the best numbers?
#
# **Answer.** Stack linear maps with a bent function between them, and follow the gradient of the loss
# downhill. The gradient with respect to *all* numbers costs no more than about twice the prediction itself:
# backpropagation.
#
# **Builds on** `modules` (layers, batches), `level1_foundations.automatic_differentiation`,
# `level1_foundations.gradient_descent` (SGD, Adam). **Mirrors** a `torch.nn.Sequential` of `Linear` layers,
# and `sklearn.neural_network.MLPClassifier`.
#
# **Sources.** Rumelhart, Hinton and Williams (1986) for backpropagation; Goodfellow, Bengio and Courville
# (2016), *Deep Learning*, section 6.5; Glorot and Bengio (2010) and He et al. (2015) for initialization;
# Kingma and Ba (2015) for Adam; Prechelt (1998) for early stopping.

# %%
from __future__ import annotations

import itertools
import math
import numbers
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from level1_foundations import automatic_differentiation as ad
from level1_foundations.automatic_differentiation import Tensor, no_grad
from level1_foundations.gradient_descent import SGD, Adam
from level3_deep_learning import modules
from level3_deep_learning.minibatch_training import (
    Patience,
    batch_size,
    check_parameters,
    decode,
    encode_targets,
    has_diverged,
    network_loss,
    penalty,
    prior_loss,
    set_learning_rate,
    stratified_split,
    train_one_epoch,
)
from level3_deep_learning.modules import GELU, DataLoader, Identity, Linear, ReLU, Sequential, Sigmoid, Tanh
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import (
    random_generator,
    validate_choice,
    validate_number,
    validate_sample_weight,
)
from shared.estimator import ClassifierMixin, Estimator, warn_not_converged
from shared.numerics import logsumexp, sigmoid, softmax, softplus
from shared.special import erf

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
# **Forward.** $Z_l = A_{l-1} W_l^{\!\top} + \mathbf 1 b_l^{\!\top}$. The last $Z_L$ are the logits, and the
# loss is the mean cross-entropy
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
# Equations (1) to (4), applied from the top down, are backpropagation. **Cost.** Forward, layer $l$ takes one
# product of $2 n d_l d_{l-1}$ operations; backward it takes two of that size, (2) and (4), and the first
# layer needs no (4). Memory: all $A_l$ are kept for the way back, $n\sum_l d_l$ numbers.
#
# **Assumptions.** $\varphi$ is differentiable where it is used (at its kink, ReLU's derivative is taken as
# 0). Nothing promises a global minimum: the loss is not convex, already because permuting hidden units leaves
# it unchanged.
#
# **Regularization.** `MLPClassifier` adds $\frac{\alpha}{2 n_B}\sum_l\|W_l\|^2$ to the loss of a batch of
# $n_B$ samples (weights, not biases), whose gradient is weight decay: $\frac{\alpha}{n_B} W_l$.

# %% [markdown]
# ## 3. Implement
#
# ### Backpropagation by hand
#
# First on plain arrays, with nothing but the equations above. Each activation stands beside its derivative.


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


def activation_derivative(Z: Float[np.ndarray, "n d"], activation: str) -> Float[np.ndarray, "n d"]:
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
def forward_pass(
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
def softmax_cross_entropy(
    logits: Float[np.ndarray, "n k"], y: Int[np.ndarray, " n"]
) -> tuple[float, Float[np.ndarray, "n k"]]:
    """Return the mean cross-entropy of class codes `y` and its gradient with respect to the logits."""
    rows = np.arange(len(y))
    loss = np.mean(logsumexp(logits, axis=1) - logits[rows, y])
    delta = softmax(logits, axis=1)
    delta[rows, y] -= 1
    return float(loss), delta / len(y)


# %% [markdown]
# Backward: (2) $\partial_{W_l} = \Delta_l^{\!\top} A_{l-1}$, (3)
# $\partial_{b_l} = \Delta_l^{\!\top}\mathbf 1$, then one layer down by (4)
# $\Delta_{l-1} = (\Delta_l W_l)\odot\varphi'(Z_{l-1})$.


# %%
def backward_pass(
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


def backpropagation(
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
# The engine knows the rules (2) to (4) for each of its operations, so a network is only its forward pass.
#
# **First weights.** If the entries of $W_l$ are independent with mean 0, then
# $\operatorname{Var}(Z_l) = d_{l-1} \operatorname{Var}(W_l)\,\mathbb E[A_{l-1}^2]$, and ReLU passes half of
# the second moment on: $\mathbb E[A^2] = \tfrac12\operatorname{Var}(Z)$. The scale of the signals stays
# constant over the layers if
#
# - He: $\operatorname{Var}(W) = 2/d_{l-1}$, made for ReLU;
# - Glorot: $\operatorname{Var}(W) = 2/(d_{l-1}+d_l)$, a compromise of both directions for
#   $\varphi'\approx 1$; the uniform distribution on $\pm c$ has variance $c^2/3$, hence
#   $c = \sqrt{6/(d_{l-1}+d_l)}$;
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


# %% [markdown]
# ### The classifier
#
# The estimator only joins pieces: validate, draw a network, run epochs until nothing improves. The pieces that know
# nothing of networks' shapes (targets, batch losses, epochs, patience) stand in
# [minibatch_training.py](minibatch_training.py).


# %%
class MLPClassifier(ClassifierMixin, Estimator):
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

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
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
    def coefs_(self) -> list[np.ndarray]:
        """Weights from input to output, each (fan_in, fan_out): views of the network's."""
        return [layer.weight.array.T for layer in self._fitted_layers()]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases from input to output, each (fan_out,): views of the network's."""
        return [layer.bias.array for layer in self._fitted_layers()]

    def _fitted_layers(self) -> list[Linear]:  # practice: keep
        if "network_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted yet, so it has no weights.")
        return self.network_.linear_layers()

    def _logits(self, X: Any) -> np.ndarray:  # practice: keep
        X = self._predict_matrix(X)
        with no_grad():
            return self.network_(Tensor(X)).array

    def _prepare(
        self, X: Any, y: Any, sample_weight: Any, fresh: bool, classes: Any = None
    ) -> tuple:  # practice: keep
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

    def _start(self, X: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> None:  # practice: keep
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

    def _make_optimizer(self) -> Any:  # practice: keep
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

    def _loss(self, X: np.ndarray, targets: np.ndarray, sample_weight: Any) -> float:  # practice: keep
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
    ) -> None:  # practice: keep # fmt: skip
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

    def _validation_score(
        self, X: np.ndarray, targets: np.ndarray, sample_weight: Any = None
    ) -> float:  # practice: keep
        """Accuracy on held-out rows (all labels of a row right, for multilabel)."""
        with no_grad():
            logits = self.network_(Tensor(X)).array
        guesses = np.argmax(logits, axis=1) if targets.ndim == 1 else logits > 0
        right = guesses == targets
        score = float(np.average(right if right.ndim == 1 else right.all(axis=1), weights=sample_weight))
        self.validation_scores_.append(score)
        return score

    def _adjust_learning_rate(self) -> bool:  # practice: keep
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

    def __sklearn_tags__(self) -> Any:  # practice: keep
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


# %% [markdown]
# ## 4. Validate
#
# Three comparisons: our gradients, by hand and by the engine, with torch's; the loss of every batch of five
# epochs, from the same weights in the same order, with torch's; and the classifier with scikit-learn's, where
# scikit-learn is handed our first weights, because the two draw random numbers in different ways.
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
def train_by_torch(  # practice: keep
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


def train_by_ours(network: MLP, batches: Sequence, optimizer: Any) -> np.ndarray:
    """The loss before each step on the given batches; the plainest training loop."""
    losses = []
    for X, y in batches:
        loss = ad.cross_entropy(network(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def digits_split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # practice: keep
    """Digits with pixels in [0, 1]: 1,347 training and 450 test images, at random."""
    from shared.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.y))
    X, y = digits.X[order] / 16.0, digits.y[order].astype(np.int64)
    return X[:1347], y[:1347], X[1347:], y[1347:]


# %%
def validate() -> list[Agreement]:
    """Gradients and loss curves against torch, the classifier against scikit-learn."""
    import sklearn.neural_network
    import torch

    comparison = Comparison(reference="torch.autograd", dataset="digits")
    compare_gradients(comparison, torch)
    compare_training(comparison.on(reference="torch.nn.Sequential"), torch)
    compare_classifiers(comparison, sklearn)
    return comparison.agreements


def compare_gradients(comparison: Comparison, torch: Any) -> None:  # practice: keep
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


def compare_training(comparison: Comparison, torch: Any) -> None:  # practice: keep
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


def compare_classifiers(comparison: Comparison, sklearn: Any) -> None:  # practice: keep
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


def flat(arrays: Sequence[np.ndarray]) -> np.ndarray:  # practice: keep
    """Several arrays as one vector."""
    return np.concatenate([array.ravel() for array in arrays])


# %%
def benchmarks() -> list[Benchmark]:
    """A training epoch of 784-256-10 in float32 with Adam against torch."""

    def setup(n: int) -> tuple[Callable, Callable]:
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

        return ours, theirs

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
# **Use it** for tables and small images where a linear model or a single tree falls short and there are
# thousands of samples; standardize the features first. **Do not use it** where a few dozen samples, an
# explanation per coefficient, or the best accuracy on a plain table is wanted: linear models and boosted
# trees (Level 2) serve better. Images and texts have structure (neighborhoods, order) that a perceptron must
# learn from nothing; the networks that follow in this level build it in.
#
# **How it breaks**, with numbers:
# [failure_modes/multilayer_perceptron.py](failure_modes/multilayer_perceptron.py).
#
# The example trains on 8 × 8 digits, with enough weight decay that weights which carry nothing stay near 0. Drawn as
# images, the first layer's weights show what each hidden unit looks for: ink here (blue), paper there (red).
# On the right stand the test images that it misread; judge for yourself how hard they are.


# %%
def example():
    """Digits: the loss curve, the weights of sixteen hidden units, and misread test images."""
    from shared.figures import COLORS, subplots

    X, y, X_test, y_test = digits_split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # forty epochs are enough for the picture
        model = MLPClassifier(
            64, alpha=1.0, max_iter=40, batch_size=128, learning_rate_init=0.01, random_state=0
        ).fit(X, y)
    guesses = model.predict(X_test)
    strongest = np.argsort(-np.linalg.norm(model.coefs_[0], axis=0))[:16]
    wrong = np.flatnonzero(guesses != y_test)[:16]

    figure, (curve, units, misread) = subplots(1, 3, width=10.0, height=3.6)
    curve.semilogy(range(1, model.n_iter_ + 1), model.loss_curve_, color=COLORS["ours"])
    curve.set(xlabel="epoch", ylabel="training loss and penalty", title="Learning to read digits")
    tiles = mosaic(model.coefs_[0].T[strongest])
    limit = np.nanmax(np.abs(tiles))
    units.imshow(tiles, cmap="RdBu", vmin=-limit, vmax=limit)
    units.set_title("What hidden units look for")
    misread.imshow(mosaic(X_test[wrong], gap=4), cmap="gray_r")
    ink = misread.title.get_color()
    misread.set_title(f"Misread: {np.sum(guesses != y_test)} of {len(y_test)}")
    for i, row in enumerate(wrong):
        place = (12 * (i % 4) + 3.5, 12 * (i // 4) + 10)
        misread.text(*place, f"{y_test[row]} as {guesses[row]}", ha="center", fontsize=8, color=ink)
    for axis in (units, misread):
        axis.set_axis_off()
    return figure


def mosaic(images: np.ndarray, gap: int = 1) -> np.ndarray:  # practice: keep
    """Up to sixteen 8 × 8 images in four rows, with empty lines between them."""
    side = 8 + gap
    tiles = np.full((16, side, side), np.nan)
    tiles[: len(images), :8, :8] = images.reshape(-1, 8, 8)
    return tiles.reshape(4, 4, side, side).swapaxes(1, 2).reshape(4 * side, 4 * side)


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example)
