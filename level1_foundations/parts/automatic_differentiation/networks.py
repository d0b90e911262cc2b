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
# # Fused operations for networks, with their derivatives
#
# A layer written in small operations walks through memory once for each of them. The functions of this file
# compute a whole layer or loss, and its gradient, in as few passes as possible; names and arguments are
# `torch.nn.functional`'s. Where second derivatives are asked for, a fused rule steps aside: `composed`
# differentiates the same formula in small operations. The graph and the walk are in
# [automatic differentiation](../../automatic_differentiation.py).

# %%
from __future__ import annotations

import math

import numpy as np

from level1_foundations.parts.automatic_differentiation.elementwise import (
    gate,
    gelu,
    sigmoid,
    silu,
    softplus,
    to,
    where,
)
from level1_foundations.parts.automatic_differentiation.indexing import within
from level1_foundations.parts.automatic_differentiation.reductions import log_softmax, softmax
from level1_foundations.parts.automatic_differentiation.tensor import (
    Tensor,
    as_array,
    as_tensor,
    floating,
    mode,
    new_tensor,
    operands,
    record,
    wide_type,
)

__all__ = [
    "binary_cross_entropy_with_logits", "cross_entropy", "embedding", "layer_norm", "linear", "mse_loss",
]  # fmt: skip

# %% [markdown]
# ## The linear layer
#
# $Y = X W^\top + b$, and with $\bar Y$ the gradient of $Y$: $\bar X = \bar Y W$, $\bar W = \bar Y^\top X$,
# $\bar b = \bar Y^\top 1$. The leading axes of $X$ are one long axis of rows, so that each of these is one
# matrix product. An activation whose derivative can be computed from its *result* overwrites $Y$.


# %%
def linear(input, weight, bias=None, activation=None):
    """`input @ weight.T + bias`, then optionally an activation.

    Parameters
    ----------
    input : Tensor (..., in_features)
    weight : Tensor (out_features, in_features)
    bias : Tensor (out_features,) or None
    activation : {None, "relu", "tanh", "sigmoid", "gelu", "silu", "softplus"}
        The first three run in place on the product.
    """
    x, w = operands(input, weight)
    if w.ndim != 2 or x.ndim == 0 or x.shape[-1] != w.shape[1]:
        raise RuntimeError(
            f"linear: input of shape {x.shape} and weight of shape {w.shape} do not fit; "
            "needed are (..., in_features) and (out_features, in_features)"
        )
    y = rows(x.array) @ w.array.T  # (n, out)
    inputs = (x, w)
    if bias is not None:
        b = as_tensor(bias)
        if b.shape != w.shape[:1]:
            raise RuntimeError(f"linear: bias of shape {b.shape} does not fit weight of shape {w.shape}")
        y += b.array.astype(y.dtype, copy=False)
        inputs = (x, w, b)
    y = y.reshape(*x.shape[:-1], w.shape[0])
    saved = (x if w.requires_grad else None, w if x.requires_grad else None)
    output = record(
        y, inputs, (linear_input_rule, linear_weight_rule, linear_bias_rule)[: len(inputs)], saved
    )
    return activate(output, activation)


def rows(a):  # practice: keep
    """An array or tensor with its leading axes flattened into one."""
    return a if a.ndim == 2 else a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def on_arrays(rule):
    """`rule`, written in operators that arrays and tensors share, run on the bare arrays unless the walk
    is recorded.
    """

    def run(g, *saved):
        if mode.enabled:
            return rule(g, *saved)
        return new_tensor(rule(g.array, *[None if x is None else x.array for x in saved]))

    return run


@on_arrays
def linear_input_rule(g, x, w):
    """$\\bar X = \\bar Y W$."""
    return g @ w


@on_arrays
def linear_weight_rule(g, x, w):
    """$\\bar W = \\bar Y^\\top X$, over all rows at once."""
    return rows(g).T @ rows(x)


@on_arrays
def linear_bias_rule(g, x, w):
    """$\\bar b = \\sum_n \\bar Y_n$."""
    return rows(g).sum(0)


IN_PLACE = {
    "relu": (lambda a: np.maximum(a, 0, out=a), lambda g, y: gate(g, ~(y <= 0))),  # NaN keeps its way back
    "tanh": (lambda a: np.tanh(a, out=a), lambda g, y: g * (1.0 - y * y)),
    "sigmoid": (lambda a: np.copyto(a, sigmoid(a).array), lambda g, y: g * (y * (1.0 - y))),
}
ACTIVATIONS = {"gelu": gelu, "silu": silu, "softplus": softplus}


def activate(x, activation):
    """The named activation of a tensor whose array nobody else needs."""
    if activation is None:
        return x
    if activation in IN_PLACE:
        compute, rule = IN_PLACE[activation]
        compute(x.array)
        return record(x.array, (x,), (rule,), saves_output=True)
    if activation in ACTIVATIONS:
        return ACTIVATIONS[activation](x)
    raise ValueError(f"activation must be None or one of {[*IN_PLACE, *ACTIVATIONS]}, got {activation!r}")


def embedding(input, weight):
    """The rows of `weight` (number, dimension) at the integers `input`, 0 to number − 1; repeated rows add up their gradients."""
    w = as_tensor(weight)
    return w[within(as_array(input), w.shape[0])]


# %% [markdown]
# ## Losses


# %%
def reduce_loss(loss, reduction):
    """`"mean"`, `"sum"` or `"none"` of a loss per element."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def alike(input, target):
    """Both, if they have one shape: (n, 1) against (n,) would be n² differences, unnoticed. A single number fits all.

    Raises:
        ValueError: they have not.
    """
    if input.shape != target.shape and target.ndim:
        raise ValueError(f"target must have the shape of input, {input.shape}, got {target.shape}")
    return input, target


def mse_loss(input, target, reduction="mean"):
    """$\\frac1n \\sum_i (a_i - b_i)^2$."""
    a, b = alike(*operands(input, target))
    difference = a - b
    return reduce_loss(difference * difference, reduction)


def binary_cross_entropy_with_logits(input, target, reduction="mean", pos_weight=None):
    """$-[t \\ln\\sigma(z) + (1 - t) \\ln(1 - \\sigma(z))]$ from the logit $z$, without overflow."""
    z, t = alike(*operands(input, target))
    scale = 1.0
    if pos_weight is not None:
        p = as_tensor(pos_weight)
        if np.broadcast_shapes(p.shape, t.shape) != t.shape:
            raise ValueError(f"pos_weight of shape {p.shape} does not fit targets of shape {t.shape}")
        scale = t * (p - 1.0) + 1.0
    # -ln sigma(z) = softplus(-z), and 1 - sigma(z) = sigma(-z)
    return reduce_loss((1.0 - t) * z + softplus(-z, threshold=math.inf) * scale, reduction)


def cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """$-\\sum_c w_c\\, t_c \\ln \\mathrm{softmax}(z)_c$ for each row of logits.

    Parameters
    ----------
    input : Tensor (C,), (n, C) or (n, C, d1, ...)
        Logits, classes on axis 1.
    target : integer classes, `input`'s shape without its class axis; or probabilities of `input`'s shape
    weight : (C,) or None
        A weight for each class.
    ignore_index : int
        Rows with this class count for nothing (classes only).
    reduction : {"mean", "sum", "none"}
        With classes, "mean" divides by the sum of the weights of the classes; with probabilities by the rows.
    label_smoothing : float in [0, 1]
        Mix the target with the uniform distribution.
    """
    z, t = floating(input), as_tensor(target)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be between 0 and 1, got {label_smoothing}")
    if z.ndim == 0:
        raise ValueError("cross_entropy: input must have a class axis, got a 0-d tensor")
    axis = 0 if z.ndim == 1 else 1
    if t.array.dtype.kind == "f":
        if t.shape != z.shape:
            raise ValueError(
                f"cross_entropy: target must be integers, for classes, or probabilities of the input's shape {z.shape}; "
                f"got {t.dtype} of shape {t.shape}"
            )
        return soft_cross_entropy(z, t.to(z.dtype), axis, weight, reduction, label_smoothing)
    if t.shape != z.shape[:axis] + z.shape[axis + 1 :]:
        raise ValueError(
            f"cross_entropy: classes must have shape {z.shape[:axis] + z.shape[axis + 1 :]}, got {t.shape}"
        )
    valid = t.array != ignore_index
    classes = np.where(valid, t.array, 0)
    if classes.size and not (classes.min() >= 0 and classes.max() < z.shape[axis]):
        raise IndexError(f"cross_entropy: target is out of bounds for {z.shape[axis]} classes")
    if z.ndim == 2 and weight is None and label_smoothing == 0 and reduction != "none" and valid.all():
        return hard_cross_entropy(z, classes, reduction)
    w = np.ones(z.shape[axis], z.dtype) if weight is None else as_array(weight).astype(z.dtype, copy=False)
    row_weight = np.where(valid, w[classes], 0).astype(z.dtype)  # w_t, 0 where ignored
    counts = valid if label_smoothing else row_weight != 0
    # A row that counts for nothing is left out, whatever it holds: 0 times NaN would be NaN.
    logp = log_softmax(where(np.expand_dims(counts, axis), z, 0.0), axis)
    picked = logp.gather(axis, np.expand_dims(classes, axis)).squeeze(axis)
    loss = -picked * new_tensor(row_weight)
    if label_smoothing:
        class_weight = new_tensor(w.reshape([-1 if i == axis else 1 for i in range(z.ndim)]))
        smooth = -(logp * class_weight).sum(axis) * new_tensor(valid.astype(z.dtype))
        loss = loss * (1 - label_smoothing) + smooth * (label_smoothing / z.shape[axis])
    if reduction == "mean":
        total = row_weight.sum(dtype=wide_type(z.dtype))
        return to(to(loss, total.dtype).sum() / total.item() if total else loss.sum() * math.nan, z.dtype)
    return reduce_loss(loss, reduction)


def soft_cross_entropy(z, t, axis, weight, reduction, label_smoothing):
    """Cross-entropy against probabilities."""
    n_classes = z.shape[axis]
    if label_smoothing:
        t = t * (1 - label_smoothing) + label_smoothing / n_classes
    logp = where(t == 0, 0.0, log_softmax(z, axis))  # 0 times ln 0 is 0 here
    if weight is not None:
        logp = logp * as_tensor(weight).to(z.dtype).reshape([-1 if i == axis else 1 for i in range(z.ndim)])
    loss = -(t * logp).sum(axis)
    return reduce_loss(loss, reduction)


def hard_cross_entropy(z, classes, reduction):
    """The common case in one pass: $\\bar Z = \\bar L\\,(\\mathrm{softmax}(Z) - T) / n$ with one-hot rows
    $T$.
    """
    n = z.shape[0]
    each = np.arange(n)
    shifted = z.array - z.array.max(axis=1, keepdims=True, initial=-np.inf)  # (n, C)
    picked = shifted[each, classes]
    p = np.exp(shifted, out=shifted)
    total = p.sum(axis=1, keepdims=True, dtype=wide_type(p.dtype))
    loss = (np.log(total[:, 0]) - picked).sum()
    scale = 1 / n if reduction == "mean" and n else math.nan if reduction == "mean" else 1.0
    np.divide(p, total, out=p, casting="same_kind")
    dtype = z.array.dtype

    def rule(g, z, probability):
        if mode.enabled:
            probability = softmax(z, 1)
        one_hot = np.zeros(z.shape, dtype)
        one_hot[each, classes] = 1
        return (probability - new_tensor(one_hot)) * (g * scale)

    return record(np.asarray(loss * scale, dtype), (z,), (rule,), (z, new_tensor(p)))


# %% [markdown]
# ## Layer normalization
#
# $y = \gamma \odot \hat x + \beta$ with $\hat x = (x - \mu) / s$, $s = \sqrt{\sigma^2 + \epsilon}$, over the
# last axes. With $h = \bar y \odot \gamma$, subtracting what moves the mean and what moves the spread leaves
# $\bar x = \frac1s \left( h - \overline{h} - \hat x\, \overline{h \odot \hat x} \right)$, where the bars over
# a product are means over those axes.


# %%
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Mean 0 and variance 1 over the last axes `normalized_shape`, then `* weight + bias`."""
    x = floating(input)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise RuntimeError(f"layer_norm: normalized_shape {shape} does not end the input's shape {x.shape}")
    axes = tuple(range(-len(shape), 0))
    x_hat, spread = standardize(x.array, axes, eps)
    w = None if weight is None else as_tensor(weight).to(x.dtype)
    b = None if bias is None else as_tensor(bias).to(x.dtype)
    for name, value in (("weight", w), ("bias", b)):
        if value is not None and value.shape != shape:
            raise RuntimeError(f"layer_norm: {name} must have shape {shape}, got {value.shape}")
    y = x_hat if w is None else x_hat * w.array
    y = y if b is None else y + b.array
    fixed = new_tensor(x_hat), new_tensor(spread)

    def input_rule(g, x, w, x_hat, spread):
        x_hat, spread = standardize(x, axes, eps) if mode.enabled else (x_hat, spread)
        h = g if w is None else g * w
        return (h - h.mean(axes, True) - x_hat * (h * x_hat).mean(axes, True)) / spread

    def weight_rule(g, x, w, x_hat, spread):
        return g * (standardize(x, axes, eps)[0] if mode.enabled else x_hat)

    inputs, rules = [x], [input_rule]
    if w is not None:
        inputs, rules = [*inputs, w], [*rules, weight_rule]
    if b is not None:
        inputs, rules = [*inputs, b], [*rules, lambda g, *saved: g]
    return record(y, tuple(inputs), tuple(rules), (x, w, *fixed))


def standardize(x, axes, eps):
    """$\\hat x$ and $s$, of an array or of a tensor."""
    centered = x - mean_of(x, axes)
    spread = (mean_of(centered * centered, axes) + eps) ** 0.5
    return centered / spread, spread


def mean_of(x, axes):  # practice: keep
    """The mean over `axes`, which stay with length one."""
    return x.mean(axes, True) if isinstance(x, Tensor) else x.mean(axis=axes, keepdims=True)
