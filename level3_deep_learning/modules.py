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
# # Modules
#
# ## 1. Select
#
# **Question.** How is a network described, so that an optimizer finds every number in it, a file can hold it, and one word
# switches it from learning to predicting?
#
# **Answer.** As a tree. Each node is a *module*: it owns parameters (numbers that learn), buffers (numbers that do not),
# child modules, and a `forward` that computes with them. Everything else, from `parameters()` to `state_dict()`, is a walk
# over this tree.
#
# **Builds on** `level1_foundations.automatic_differentiation` (tensors and their gradients). **Mirrors** `torch.nn` and
# `torch.utils.data`: the same names, arguments, orders, messages and printed forms.
#
# **Sources.** Paszke et al. (2019), *PyTorch: an imperative style, high-performance deep learning library*; Goodfellow,
# Bengio and Courville (2016), *Deep Learning*, chapters 6 to 8; He et al. (2015) for the initialization; Srivastava et al.
# (2014) for dropout; Ba, Kiros and Hinton (2016) for layer normalization; Hendrycks and Gimpel (2016) for GELU.

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | in the code | shape |
# |---|---|---|---|
# | $W$, $b$ | weight and bias of a linear layer | `weight`, `bias` | (outputs, inputs), (outputs,) |
# | $n$, $c$, $a$ | fan-in, half-width of the first weights, slope of a leaky ReLU | `fan_in`, `bound`, `a` | () |
# | $z$, $p_k$ | logits, and the probability of class $k$ | `logits` | (rows, classes) |
# | $p$, $m$ | probability of a drop, and whether an entry is kept | `p`, `kept` | (), as the input |
# | $\mu$, $\sigma^2$, $\gamma$, $\beta$ | mean and variance of a sample; learnt scale and shift | | normalized shape |
#
# ### Walking the tree
#
# Visit a node before its children, children in the order in which they were assigned, and join names with dots. Two places
# in the tree may hold *one and the same* object (tied weights). Its gradient is then already the sum over both places,
# because the chain rule adds over all paths:
#
# $$\frac{\mathrm d}{\mathrm dw} f(w, w) = \partial_1 f(w, w) + \partial_2 f(w, w).$$
#
# So an optimizer must meet it once: a walk remembers what it has seen and yields it under its first name only. `state_dict`
# lists both names, because a file is read by name.
#
# ### The linear layer and its first weights
#
# $y = x W^{\!\top} + b$ with $W$ of shape (outputs, inputs). Draw $W_{ij} \sim U(-c, c)$, whose variance is $c^2/3$, independent
# of $x$. A sum of $n$ = fan-in such terms has mean 0 and $\operatorname{Var}(y) = n\,\tfrac{c^2}{3}\,\mathbb E[x^2]$ (without the
# bias): it is the second moment $\mathbb E[x^2]$ of the inputs that counts, not their variance; after a ReLU their mean is not 0.
# Since $y$ has a symmetric distribution, a leaky ReLU of negative slope $a$ keeps the fraction $(1+a^2)/2$ of its second moment.
# He et al. ask for second moments that survive both steps:
#
# $$n\,\frac{c^2}{3}\cdot\frac{1+a^2}{2} = 1 \quad\Longrightarrow\quad c = \sqrt{\frac{6}{(1+a^2)\,n}}.$$
#
# torch fixes $a=\sqrt5$ by default, hence $c = 1/\sqrt n$: a historical choice, whose price
# `failure_modes/multilayer_perceptron.py` measures. Biases use the same interval.
#
# ### Cross-entropy
#
# The network gives scores (*logits*) $z$, the model is $p_k = e^{z_k}/\sum_j e^{z_j}$. The negative log-likelihood of class
# $y$ is
#
# $$\ell(z, y) = -\log p_y = \log\sum_j e^{z_j} - z_y, \qquad
#   \frac{\partial \ell}{\partial z_k} = p_k - [k = y].$$
#
# It is computed from $\log\sum\exp$, never as the logarithm of a rounded probability. With class weights $w$, label
# smoothing $\varepsilon$ over $K$ classes and samples marked `ignore_index` left out,
#
# $$\ell_i = -(1-\varepsilon)\, w_{y_i}\log p_{i y_i} - \frac{\varepsilon}{K}\sum_k w_k \log p_{ik},\qquad
#   L = \frac{\sum_i \ell_i}{\sum_i w_{y_i}}.$$
#
# ### Dropout and layer normalization
#
# Dropout multiplies each entry by $m/(1-p)$, $m\sim\text{Bernoulli}(1-p)$: expectation $x$, variance $x^2\,p/(1-p)$. Without
# `eval()` this variance stays in the predictions. Layer normalization subtracts the mean of each sample over its last axes
# and divides by the (biased) standard deviation, then scales and shifts by what it learnt:
#
# $$y = \gamma\,\frac{x-\mu}{\sqrt{\sigma^2+\epsilon}} + \beta.$$
#
# **Cost.** Walks are linear in the number of modules. `Linear` costs $2nmk$ operations forward for $n$ rows, $m$ inputs, $k$
# outputs, and twice that backward. A data loader copies each sample once an epoch.

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from level1_foundations import automatic_differentiation as ad
from level1_foundations.automatic_differentiation import Tensor, cross_entropy, no_grad
from level3_deep_learning.parts.modules.agreements import (
    compare_layers,
    compare_loaders,
    compare_losses,
    compare_machinery,
)
from level3_deep_learning.parts.modules.layers import (
    GELU,
    Flatten,
    Identity,
    LayerNorm,
    ModuleList,
    ReLU,
    Sigmoid,
    Tanh,
)
from level3_deep_learning.parts.modules.module import (
    IncompatibleKeys,
    Module,
    Parameter,
    RemovableHandle,
    call_with_hooks,
    floating_dtype,
    load_state_dict,
    state_dict,
    walk,
    walk_members,
)
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import random_generator, validate_number

__all__ = [
    "BREATH", "GELU", "DataLoader", "Dropout", "Flatten", "Identity", "IncompatibleKeys", "LayerNorm", "Linear", "Module",
    "ModuleList", "Parameter", "PlainModule", "ReLU", "RemovableHandle", "Sequential", "Sigmoid", "Tanh", "TensorDataset",
    "batch_slices", "call_with_hooks", "cross_entropy", "dropout_mask", "epoch_means", "kaiming_bound", "load_state_dict", "mse_loss", "no_grad",
    "state_dict", "walk", "walk_members",
]  # fmt: skip

BREATH = "PlainModule"

# %% [markdown]
# ### In one breath


# %%
class PlainModule:
    """A tree: tensors are its leaves, modules its branches; everything else is a walk."""

    def __call__(self, x):  # practice: keep
        return self.forward(x)

    def named_parameters(self, prefix=""):  # practice: core
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                yield prefix + name, value
            if isinstance(value, PlainModule):
                yield from value.named_parameters(f"{prefix}{name}.")

    def state_dict(self):  # practice: core
        return {name: tensor.array.copy() for name, tensor in self.named_parameters()}

    def load_state_dict(self, state):  # practice: core
        for name, tensor in self.named_parameters():
            tensor.array[...] = state[name]


class PlainLinear(PlainModule):
    """An affine map: a branch with two leaves."""

    def __init__(self, n_in, n_out, rng):  # practice: keep
        bound = 1 / np.sqrt(n_in)
        self.weight = Tensor(rng.uniform(-bound, bound, (n_out, n_in)), requires_grad=True)
        self.bias = Tensor(rng.uniform(-bound, bound, n_out), requires_grad=True)

    def forward(self, x):  # practice: core
        return x @ self.weight.T + self.bias


# %% [markdown]
# **What is wrong with it.** A tensor that stands in two places is met twice by the walk, so that a plain step moves it twice, and a plain list of modules is not
# found; there are no buffers, no modes, no hooks, and a file that does not fit breaks the network half-way. [The
# module](parts/modules/module.py) does what torch's does, in the same words; below stand the layers that have a thought of
# their own, and the batches.
#
# ### Layers
#
# $y = x W^{\!\top} + b$, one fused operation of the engine, so that the gradients of $W$, $b$ and $x$ are three products and
# nothing in between is stored.


# %%
def kaiming_bound(fan_in: int, a: float) -> float:  # practice: core
    r"""$c = \sqrt{6 / ((1 + a^2)\, n)}$: weights from $U(-c, c)$ keep the second moment through a leaky ReLU of slope $a$."""
    return math.sqrt(6.0 / ((1.0 + a * a) * fan_in))


class Linear(Module):
    """Affine map of the last axis: `x @ weight.T + bias`, as `torch.nn.Linear`.

    Args:
        in_features, out_features: widths, each at least 1.
        bias: whether to add a bias.
        dtype: float32 (default, as in torch) or float64.
        rng: Generator or seed of the first weights, uniform in ±1/√in_features.

    Attributes:
        weight: Parameter of shape (out_features, in_features).
        bias: Parameter of shape (out_features,), or `None`.
    """

    def __init__(
        self, in_features: Any, out_features: Any, bias: bool = True, *, dtype: Any = None, rng: Any = None
    ) -> None:
        super().__init__()
        self.in_features = validate_number(in_features, "in_features", minimum=1, integer=True)
        self.out_features = validate_number(out_features, "out_features", minimum=1, integer=True)
        self.weight = Parameter(np.empty((out_features, in_features), floating_dtype(dtype)))
        if bias:
            self.bias = Parameter(np.empty(out_features, floating_dtype(dtype)))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters(rng)

    def reset_parameters(self, rng: Any = None) -> None:
        """Draw weights and bias anew: Kaiming's uniform with a = √5, which is U(-1/√n, 1/√n) for both."""
        rng, bound = random_generator(rng), kaiming_bound(self.in_features, math.sqrt(5.0))
        for parameter in self.parameters():
            parameter.array[...] = rng.uniform(-bound, bound, parameter.shape)

    def forward(self, input: Tensor) -> Tensor:
        """(..., in_features) → (..., out_features)."""
        return ad.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:  # practice: keep
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


# %% [markdown]
# In training, dropout keeps an entry with probability $1-p$ and divides it by $1-p$, so that the expectation stays $x$. In
# evaluation it does nothing.


# %%
def dropout_mask(  # practice: core
    shape: tuple[int, ...], p: float, dtype: Any, rng: np.random.Generator
) -> np.ndarray:
    """Entries $m/(1-p)$ with $m \\sim$ Bernoulli(1 − p); all zero for p = 1. float32 draws decide either dtype."""
    kept = rng.random(shape, dtype=np.float32) >= p
    return kept * dtype.type(0.0 if p == 1.0 else 1.0 / (1.0 - p))


class Dropout(Module):
    """Zero each entry with probability `p` while training, scaling the rest by 1/(1 − p).

    Args:
        p: probability in [0, 1].
        rng: Generator or seed of the masks.
    """

    def __init__(self, p: Any = 0.5, *, rng: Any = None) -> None:
        super().__init__()
        self.p = validate_number(p, "p", minimum=0.0, maximum=1.0)
        self.rng = random_generator(rng)

    def forward(self, input: Tensor) -> Tensor:
        """Same shape as the input."""
        if not self.training or self.p == 0.0:
            return input
        return input * Tensor(dropout_mask(input.shape, self.p, input.dtype, self.rng))

    def extra_repr(self) -> str:  # practice: keep
        return f"p={self.p}, inplace=False"


# %% [markdown]
# ### Containers
#
# `Sequential` feeds each module's output to the next; `ModuleList`, in [layers](parts/modules/layers.py) with the
# activations, `Flatten` and `LayerNorm`, holds modules so that they are found.


# %%
class Sequential(ModuleList):
    """Modules applied one after the other, as `torch.nn.Sequential`.

    Args:
        *modules: modules, named "0", "1", …; or one `OrderedDict` (any dict) of named modules.
    """

    def __init__(self, *modules: Any) -> None:
        Module.__init__(self)
        named = modules[0] if len(modules) == 1 and isinstance(modules[0], Mapping) else enumerate(modules)
        for name, module in named.items() if isinstance(named, Mapping) else named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        """Feed the input through all modules in order."""
        for module in self._modules.values():
            input = module(input)
        return input

    @classmethod
    def _of(cls, modules: list[Module]) -> Sequential:  # practice: keep
        return Sequential(*modules)


# %% [markdown]
# ### Losses
#
# `cross_entropy` is Level 1's fused operation, with all of torch's options: its forward pass is the $\log\sum\exp$ above and
# its backward pass $(p - [k = y])/n$.


# %%
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared error, as `torch.nn.functional.mse_loss`.

    Args:
        input, target: tensors of one shape.
        reduction: "mean" and "sum" over all entries, or "none".

    Raises:
        ValueError: different shapes (which would broadcast unnoticed), or an unknown reduction.
    """
    input, target = ad.as_tensor(input), ad.as_tensor(target)
    if input.shape != target.shape:
        raise ValueError(
            f"mse_loss needs two tensors of one shape, got input {input.shape} and target {target.shape}"
        )
    return ad.mse_loss(input, target, reduction)


# %% [markdown]
# ### Batches
#
# An epoch is one pass over the data in a fresh random order, cut into batches. The gradient of a batch is then an unbiased
# estimate of the gradient of all. The last batch is shorter where the batch size does not divide $n$: the mean of the batch
# means is *not* the mean (see the failure modes).


# %%
def batch_slices(n: int, batch_size: int, drop_last: bool = False) -> list[slice]:  # practice: core
    """Cut range(n) into consecutive slices of `batch_size`; the last may be shorter, or is dropped."""
    end = n - n % batch_size if drop_last else n
    return [slice(start, min(start + batch_size, n)) for start in range(0, end, batch_size)]


def epoch_means(losses: Any, lengths: Any, n_epochs: int) -> np.ndarray:
    """Mean loss of each epoch, (n_epochs,), from the mean losses and the lengths of all batches in order."""
    shape = (n_epochs, -1)
    return np.average(np.reshape(losses, shape), axis=1, weights=np.reshape(lengths, shape))


class TensorDataset:
    """Tensors or arrays of equal length, side by side; `dataset[i]` is the tuple of their i-th entries."""

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(ad.as_tensor(tensor) for tensor in tensors)
        lengths = [tensor.shape[0] if tensor.ndim else 0 for tensor in self.tensors]
        if not lengths or len(set(lengths)) != 1:
            raise ValueError(f"TensorDataset needs tensors of one length, got lengths {lengths}")

    def __len__(self) -> int:
        """How many samples."""
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """The same sample (or samples) of each tensor."""
        return tuple(tensor[index] for tensor in self.tensors)


class DataLoader:
    """Batches of a data set, in a fresh order each epoch, as `torch.utils.data.DataLoader`.

    Args:
        dataset: a `TensorDataset`, a tuple or list of arrays or tensors of equal length, or a single one.
        batch_size: at least 1; default 1.
        shuffle: whether each epoch draws a new order.
        drop_last: whether a last, shorter batch is left out.
        rng: Generator or seed of the orders; each epoch advances it.

    Iterating yields tuples of tensors (a single tensor where `dataset` is a single one). Without `shuffle` they are
    views of the data, otherwise copies. Batches are cut one by one, so an epoch needs the memory of one batch.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: Any = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        rng: Any = None,
    ) -> None:
        self.batch_size = validate_number(batch_size, "batch_size", minimum=1, integer=True)
        self.shuffle, self.drop_last, self.dataset = shuffle, drop_last, dataset
        self.rng = random_generator(rng)
        self._single = isinstance(dataset, Tensor | np.ndarray)
        if self._single:
            dataset = (dataset,)
        elif isinstance(dataset, TensorDataset):
            dataset = dataset.tensors
        elif not isinstance(dataset, tuple | list):
            raise TypeError(
                f"dataset must be a TensorDataset, or arrays or tensors of one length, got {type(dataset).__name__}"
            )
        self._arrays = [tensor.array for tensor in TensorDataset(*dataset).tensors]

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return len(batch_slices(len(self._arrays[0]), self.batch_size, self.drop_last))

    def __iter__(self) -> Iterator[Any]:
        """One epoch."""
        n = len(self._arrays[0])
        order = self.rng.permutation(n) if self.shuffle else None
        for rows in batch_slices(n, self.batch_size, self.drop_last):
            chosen = rows if order is None else order[rows]
            batch = tuple(Tensor(array[chosen]) for array in self._arrays)
            yield batch[0] if self._single else batch


# %% [markdown]
# ## 4. Validate
#
# | | ours | torch |
# |---|---|---|
# | randomness | `rng=` of each layer and loader | one global generator |
# | `load_state_dict` that fails | changes nothing | copies what fits, then raises |
# | default dtype | float32 | float32 |
# | array of another dtype as input | promoted, as in NumPy | refused |
# | `DataLoader` | yields tuples, copies only when shuffled; one process | yields lists, collates sample by sample |
# | `register_forward_hook` | `prepend` | also `with_kwargs`, `always_call` |
# | backward hooks, devices, `inplace` | left out | offered |


# %%
def validate() -> list[Agreement]:
    """Compare layers, losses, hooks and saved states with torch's."""
    import torch

    comparison = Comparison(reference="torch.nn", dataset="standard normal, 6 × 5")
    topic = sys.modules[__name__]
    compare_layers(comparison, torch, topic)
    compare_losses(comparison.on(reference="torch.nn.functional"), torch, topic)
    compare_machinery(comparison.on(dataset="a nested network"), torch, topic)
    compare_loaders(comparison.on(reference="torch.utils.data.DataLoader", dataset="digits"), torch, topic)
    return comparison.agreements


# %%
def benchmarks() -> list[Benchmark]:
    """A forward and backward pass of modules against torch's."""

    def setup(n: int) -> tuple[Callable, Callable, None]:
        import torch
        from torch import nn

        X = np.random.default_rng(0).normal(size=(n, 128)).astype(np.float32)
        ours = Sequential(Linear(128, 256, rng=0), LayerNorm(256), GELU(), Linear(256, 10, rng=1))
        theirs = nn.Sequential(nn.Linear(128, 256), nn.LayerNorm(256), nn.GELU(), nn.Linear(256, 10))
        theirs.load_state_dict(
            {name: torch.tensor(tensor.array) for name, tensor in ours.state_dict().items()}
        )

        def run(network: Any, x: Any) -> None:
            network.zero_grad()
            network(x).sum().backward()

        return lambda: run(ours, Tensor(X)), lambda: run(theirs, torch.from_numpy(X)), None

    return [
        Benchmark(
            name="forward and backward, Linear-LayerNorm-GELU-Linear, 128-256-10, float32",
            sizes=(64, 256, 1024),
            setup=setup,
            expected_exponent=1.0,
            reference="torch.nn",
        )
    ]


# %% [markdown]
# ## 5. Document
#
# **Use it** as the ground of every network from here on: subclass `Module`, assign layers in `__init__`, compute in
# `forward`. **Do not** keep layers in a plain list (they would not be found: `ModuleList`), call `forward` yourself (hooks
# would not run), or keep a `state_dict` across optimizer steps without copying its arrays.
#
# **In plain words.** A network is built of parts that know their own numbers, like a machine with a parts list. That list is
# what training turns, what a file stores, and what another program loads. It takes for granted that every part is on the
# list, that the list and the machine match, and that everybody says whether the machine is learning or working. If a network
# does not learn, ask whether its parts are found; if its answers change when asked twice, whether it still believes that it
# is learning.
#
# **How it breaks**: `groundup break modules`, and `failure_modes/modules.py`.
#
# **The pictures.** The mechanism: the tree of a small network, with the names under which a file holds it. The result: a
# network of modules learns digits and is watched through forward hooks; the first layer's pre-activations spread.


# %%
def mechanism() -> Any:
    """A network as a tree: modules are branches, parameters leaves, dotted names the way to them. Dashed: the output layer uses the
    first one's weight a second time; walks yield it once, a saved state lists it twice."""
    from shared.figures import COLORS, subplots

    network = Sequential(
        {
            "encoder": Sequential({"linear": Linear(4, 4, rng=0), "norm": LayerNorm(4)}),
            "drop": Dropout(0.1),
            "head": Linear(4, 4, rng=1),
        }
    )
    network.head.weight = network.encoder.linear.weight
    figure, axis = subplots(width=10.0, height=4.2)
    place: dict[str, tuple[float, float]] = {}
    leaves = list(state_dict(network))
    for column, name in enumerate(leaves):
        place[name] = (column, -name.count(".") - 1.0)
    for name, _ in sorted(network.named_modules(), key=lambda item: -len(item[0])):
        below = [
            spot
            for leaf, spot in place.items()
            if leaf.startswith(f"{name}." if name else "") and leaf != name
        ]
        across = sum(spot[0] for spot in below) / len(below) if below else 3.6  # dropout owns nothing
        place[name] = (across, -name.count(".") - 1.0 if name else 0.0)
    first = {
        id(tensor): name for name, tensor in reversed(list(network.named_parameters(remove_duplicate=False)))
    }
    for name, (x, y) in place.items():
        parent = name.rpartition(".")[0]
        if name:
            axis.plot(
                [x, place[parent][0]], [y, place[parent][1]], color=COLORS["muted"], linewidth=1, zorder=1
            )
        leaf = name in leaves
        kind = name.rpartition(".")[2] or "network"
        color = COLORS["ours"] if leaf else COLORS["mended"]
        axis.plot(x, y, "o", color=color, markersize=9, zorder=2)
        axis.annotate(
            name if leaf else kind,
            (x, y),
            xytext=(0, -16 if leaf else 9),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    for name, tensor in network.named_parameters(remove_duplicate=False):
        if first[id(tensor)] != name:
            (x, y), (u, v) = place[name], place[first[id(tensor)]]
            axis.plot([x, x, u, u], [y - 0.3, -4, -4, v - 0.3], color=COLORS["broken"], linestyle="--")
    axis.set(
        ylim=(-4.2, 0.5),
        xlim=(-0.7, len(leaves) - 0.3),
        title="the tree of a network, and the names of its numbers",
    )
    axis.set_axis_off()
    return figure


# %%
def example() -> Any:
    """Digits: the loss of each batch and its epoch mean, and what hooks see inside before and after training."""
    from level1_foundations.gradient_descent import Adam
    from shared.datasets import load_digits
    from shared.figures import COLORS, subplots

    digits = load_digits()
    X, y = (digits.X / 16).astype(np.float32), digits.y
    network = Sequential(Linear(64, 64, rng=0), ReLU(), Dropout(0.2, rng=1), Linear(64, 10, rng=2))
    seen: list[np.ndarray] = []

    def look() -> None:
        with network[0].register_forward_hook(
            lambda module, inputs, output: seen.append(output.array.ravel())
        ):
            with no_grad():
                network.eval()(Tensor(X))
        network.train()

    look()
    loader = DataLoader((X, y), batch_size=64, shuffle=True, rng=3)
    optimizer, losses, lengths = Adam(network.parameters(), lr=2e-3), [], []
    for _ in range(12):
        for X_batch, y_batch in loader:
            loss = cross_entropy(network(X_batch), y_batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            lengths.append(len(y_batch))
    look()
    figure, (left, right) = subplots(1, 2, width=9.0, height=3.6)
    steps = np.arange(1, len(losses) + 1) / len(loader)
    means = epoch_means(losses, lengths, 12)
    left.plot(steps, losses, color=COLORS["muted"], linewidth=0.8, label="each batch")
    left.plot(np.arange(12) + 0.5, means, color=COLORS["ours"], label="mean of an epoch")
    left.set(xlabel="epoch", ylabel="cross-entropy", title="A network of modules learns digits", yscale="log")
    left.legend()
    bins = np.linspace(-2.5, 4, 80)
    right.hist(seen[0], bins, color=COLORS["muted"], alpha=0.7, density=True, label="before training")
    right.hist(seen[1], bins, color=COLORS["ours"], alpha=0.7, density=True, label="after training")
    right.set(xlabel="pre-activation of the first layer", ylabel="density", title="What a forward hook sees")
    right.legend()
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
