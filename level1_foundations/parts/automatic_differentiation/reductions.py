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
# # Reductions and products, with their derivatives
#
# Sums, extremes, norms, softmax and Einstein sums over the axes of a tensor. As in torch, `dim` is an axis,
# several, or `None` for all, and `keepdim=True` keeps reduced axes with length one. Each rule stands beside
# its function; the graph and the walk are in [automatic differentiation](../../automatic_differentiation.py).

# %%
from __future__ import annotations

import builtins
import math

import numpy as np

from level1_foundations.parts.automatic_differentiation.elementwise import maximum, minimum, to, where
from level1_foundations.parts.automatic_differentiation.tensor import (
    Tensor,
    as_tensor,
    axes_of,
    floating,
    new_tensor,
    record,
    sum_type,
    wide_type,
)

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "cumsum", "einsum", "log_softmax", "logsumexp",
    "max", "mean", "min", "norm", "prod", "softmax", "sort", "std", "var",
]  # fmt: skip

# %% [markdown]
# ## Axes


# %%
def kept_shape(shape, dim):  # practice: keep
    """The shape after a reduction that keeps its axes with length one."""
    axes = range(len(shape)) if dim is None else (dim,) if isinstance(dim, int) else dim
    axes = {axis % len(shape) for axis in axes} if shape else ()
    return tuple([1 if i in axes else n for i, n in enumerate(shape)])


def reduced_count(shape, dim):  # practice: keep
    """How many elements each result of the reduction is made of."""
    return math.prod(n for n, kept in zip(shape, kept_shape(shape, dim), strict=True) if kept == 1)


# %% [markdown]
# ## Means and variances


# %%
def mean(input, dim=None, keepdim=False):
    """$y = \\frac1n \\sum_i x_i$: every $\\bar x_i = \\bar y / n$."""
    x = fractional(as_tensor(input), "mean")
    axes = axes_of(x, dim)
    shape = x.shape
    kept, count = kept_shape(shape, axes), reduced_count(shape, axes)
    wide = wide_type(x.dtype)
    with np.errstate(invalid="ignore"):  # the mean of nothing is NaN
        y = x.array.sum(axis=axes, keepdims=keepdim, dtype=wide) / wide.type(count)

    def rule(g):
        share = (
            g / count if g.dtype == wide else to(to(g, wide) / count, g.dtype)
        )  # the count may exceed float16
        return share.reshape(kept).broadcast_to(shape)

    return record(np.asarray(y, x.dtype), (x,), (rule,))


def fractional(x, name):
    """x, if it holds floating-point numbers: the result for integers would be cut to an integer.

    Raises:
        RuntimeError: it does not.
    """
    if x.array.dtype.kind != "f":
        raise RuntimeError(
            f"{name}(): the input must be a floating point tensor, got {x.array.dtype}; write x.float().{name}()"
        )
    return x


def var(input, dim=None, correction=1, keepdim=False):
    """$y = \\frac{1}{n-c} \\sum_i (x_i - \\bar x)^2$: the gradient of $x_i$ is
    $\\bar y\\, \\frac{2}{n-c} (x_i - \\bar x)$. As in torch, `correction=None` is 1, and a boolean in the place of `dim` says
    whether to correct.
    """
    x = fractional(as_tensor(input), "var")
    if isinstance(dim, bool):
        dim, correction = None, int(dim)
    axes = axes_of(x, dim)
    shape = x.shape
    kept, freedom = (
        kept_shape(shape, axes),
        reduced_count(shape, axes) - (1 if correction is None else correction),
    )
    values = x.array.astype(wide_type(x.dtype), copy=False)
    centered = values - values.mean(axis=axes, keepdims=True) if values.size else values
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.asarray((centered * centered).sum(axis=axes, keepdims=keepdim)) / builtins.max(freedom, 0)

    def rule(g, x):
        return g.reshape(kept) * ((x - mean(x, axes, True)) * (2 / freedom if freedom > 0 else math.nan))

    return record(y.astype(x.array.dtype, copy=False), (x,), (rule,), (x,))


def std(input, dim=None, correction=1, keepdim=False):
    """The square root of the variance; where it is 0, the gradient is 0."""
    v = var(input, dim, correction, keepdim)
    zero = v == 0
    return where(zero, 0.0, where(zero, 1.0, v).sqrt())  # a second where: the root's slope at 0 is infinite


# %% [markdown]
# ## Extremes
#
# `amax` shares the gradient evenly among ties; `max(dim)` returns the values and the first index of each, and
# sends the gradient there.


# %%
def extreme(x, reduce, dim, keepdim):
    """`amax` or `amin`: with $t$ elements equal to the extreme, each gets $\\bar y / t$."""
    axes = axes_of(x, dim)
    kept = kept_shape(x.shape, axes)

    def rule(g, x, y):
        ties = x.array == y.array.reshape(kept)
        share = ties / ties.sum(axis=axes, keepdims=True)  # the count may exceed what x's type can hold
        return g.reshape(kept) * new_tensor(share.astype(x.array.dtype, copy=False))

    return record(reduce(x.array, axis=axes, keepdims=keepdim), (x,), (rule,), (x,), saves_output=True)


def amax(input, dim=None, keepdim=False):
    """The largest element; ties share the gradient."""
    return extreme(as_tensor(input), np.max, dim, keepdim)


def amin(input, dim=None, keepdim=False):
    """The smallest element; ties share the gradient."""
    return extreme(as_tensor(input), np.min, dim, keepdim)


def max(input, dim=None, keepdim=False):
    """All axes: `amax`. One axis: `(values, indices)`. Another tensor in place of `dim`: `maximum`."""
    if dim is None:
        return amax(input)
    if isinstance(dim, (Tensor, np.ndarray)):
        return maximum(input, dim)
    return pick(input, argmax(input, dim, keepdim=True), dim, keepdim)


def min(input, dim=None, keepdim=False):
    """All axes: `amin`. One axis: `(values, indices)`. Another tensor in place of `dim`: `minimum`."""
    if dim is None:
        return amin(input)
    if isinstance(dim, (Tensor, np.ndarray)):
        return minimum(input, dim)
    return pick(input, argmin(input, dim, keepdim=True), dim, keepdim)


def pick(input, indices, dim, keepdim):
    """The elements at `indices` along `dim`, and the indices."""
    values = as_tensor(input).gather(dim, indices)
    return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))


def argmax(input, dim=None, keepdim=False):
    """Where the (first) largest element is."""
    x = as_tensor(input)
    return new_tensor(np.argmax(x.array, axis=axes_of(x, dim), keepdims=keepdim))


def argmin(input, dim=None, keepdim=False):
    """Where the (first) smallest element is."""
    x = as_tensor(input)
    return new_tensor(np.argmin(x.array, axis=axes_of(x, dim), keepdims=keepdim))


def sort(input, dim=-1, descending=False):
    """`(values, indices)` in rising (falling) order along `dim`; equal elements keep their order, NaN counts as largest."""
    x = as_tensor(input)
    if axes_of(x, dim) is None:  # a single number
        return x.clone(), new_tensor(np.zeros((), np.int64))
    if descending:  # sort from the other end, read from the other end: negating would wrap, and move NaN
        backward = np.argsort(np.flip(x.array, dim), axis=dim, kind="stable")
        indices = x.shape[dim] - 1 - np.flip(backward, dim)
    else:
        indices = np.argsort(x.array, axis=dim, kind="stable")
    return pick(x, new_tensor(indices), dim, True)


def all(input, dim=None, keepdim=False):
    """Whether all elements hold."""
    x = as_tensor(input)
    return new_tensor(np.all(x.array, axis=axes_of(x, dim), keepdims=keepdim))


def any(input, dim=None, keepdim=False):
    """Whether any element holds."""
    x = as_tensor(input)
    return new_tensor(np.any(x.array, axis=axes_of(x, dim), keepdims=keepdim))


# %% [markdown]
# ## Products and running sums


# %%
def prod(input, dim=None, keepdim=False):
    """$y = \\prod_i x_i$: $\\bar x_i = \\bar y \\prod_{j \\ne i} x_j$, by division unless some $x$ is
    zero.
    """
    x = as_tensor(input)
    if dim is None:
        y = prod(x.reshape(x.numel()), 0)
        return y.reshape((1,) * x.ndim) if keepdim else y
    if x.ndim == 0:
        return x.clone()
    kept = kept_shape(x.shape, dim)

    def rule(g, x, y):
        if np.all(x.array != 0):
            return g.reshape(kept) * (y.reshape(kept) / x)
        return g.reshape(kept) * product_of_others(x, dim)

    y = np.prod(x.array, axis=dim, keepdims=keepdim, dtype=sum_type(x.array))
    return record(y, (x,), (rule,), (x,), saves_output=True)


def product_of_others(x, dim):
    """$\\prod_{j \\ne i} x_j$ along `dim` without division: an n by n table with ones on its diagonal."""
    rows = x.swapaxes(dim, -1).unsqueeze(-2)  # (..., 1, n)
    table = where(np.eye(x.shape[dim], dtype=np.bool_), 1.0, rows)  # (..., n, n)
    return prod(table, -1).swapaxes(dim, -1)


def cumsum(input, dim):
    """$y_i = \\sum_{j \\le i} x_j$: $\\bar x_j = \\sum_{i \\ge j} \\bar y_i$, the running sum from the
    other end.
    """
    x = as_tensor(input)
    if x.ndim == 0:
        return x.clone()
    return record(
        np.cumsum(x.array, axis=dim, dtype=sum_type(x.array)),
        (x,),
        (lambda g: cumsum(g.flip(dim), dim).flip(dim),),
    )


# %% [markdown]
# ## Softmax and its relatives
#
# All subtract the largest element first, so that nothing overflows.


# %%
def stable_softmax(a, dim):
    """$e^{a_i - m} / \\sum_j e^{a_j - m}$ of an array, with the maximum $m$."""
    e = np.exp(a - a.max(axis=dim, keepdims=True, initial=-np.inf))
    np.divide(e, e.sum(axis=dim, keepdims=True, dtype=wide_type(a.dtype)), out=e, casting="same_kind")
    return e


def softmax(input, dim):
    """$y_i = e^{x_i} / \\sum_j e^{x_j}$: $\\bar x = y \\odot (\\bar y - \\langle \\bar y, y \\rangle)$."""
    x = floating(input)
    if x.ndim == 0:
        return softmax(x.reshape(1), dim).reshape(())

    def rule(g, y):
        gy = g * y
        return gy - y * gy.sum(dim, True)

    return record(stable_softmax(x.array, dim), (x,), (rule,), saves_output=True)


def log_softmax(input, dim):
    """$y_i = x_i - \\ln\\sum_j e^{x_j}$: $\\bar x = \\bar y - e^{y} \\sum_j \\bar y_j$."""
    x = floating(input)
    if x.ndim == 0:
        return log_softmax(x.reshape(1), dim).reshape(())
    shifted = x.array - x.array.max(axis=dim, keepdims=True, initial=-np.inf)
    total = np.exp(shifted).sum(axis=dim, keepdims=True, dtype=wide_type(x.dtype))
    y = np.asarray(shifted - np.log(total), x.dtype)
    return record(y, (x,), (lambda g, y: g - y.exp() * g.sum(dim, True),), saves_output=True)


def logsumexp(input, dim, keepdim=False):
    """$y = \\ln\\sum_i e^{x_i}$: $\\bar x_i = \\bar y\\, e^{x_i - y}$."""
    x = floating(input)
    axes = axes_of(x, dim)
    kept = kept_shape(x.shape, axes)
    largest = x.array.max(axis=axes, keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0)
    with np.errstate(divide="ignore"):
        total = np.exp(x.array - largest).sum(axis=axes, keepdims=True, dtype=wide_type(x.dtype))
        y = np.asarray(np.log(total) + largest, x.dtype)
    y = y if keepdim else y.reshape(np.sum(x.array, axis=axes).shape)
    return record(
        y, (x,), (lambda g, x, y: g.reshape(kept) * (x - y.reshape(kept)).exp(),), (x,), saves_output=True
    )


# %% [markdown]
# ## Norms


# %%
def norm(input, p=2.0, dim=None, keepdim=False):
    """$y = (\\sum_i |x_i|^p)^{1/p}$, also $p = 0$ (non-zeros counted) and $\\pm\\infty$.

    $\\bar x_i = \\bar y\\, \\mathrm{sign}(x_i)\\, (|x_i| / y)^{p-1}$, for $p = 2$ simply
    $\\bar y\\, x_i / y$; the gradient is 0 where $y = 0$.

    Raises:
        ValueError: p is neither "fro" nor a number. RuntimeError: x holds integers.
    """
    x = fractional(as_tensor(input), "norm")
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"p must be 'fro' or a number, got {p!r}")
    p = 2.0 if p == "fro" else float(p)
    axes = axes_of(x, dim)
    kept = kept_shape(x.shape, axes)
    if math.isinf(p):
        return extreme(x.abs(), np.max if p > 0 else np.min, axes, keepdim)
    if p in (0.0, 1.0):
        return (
            x.abs().sum(axes, keepdim)
            if p
            else (x != 0).to(x.dtype).sum(axes, keepdim) + x.sum(axes, keepdim) * 0.0
        )
    size = np.abs(x.array).astype(wide_type(x.dtype), copy=False)
    if p == 2:
        y = np.sqrt(np.square(size).sum(axis=axes, keepdims=keepdim))
    else:
        y = np.power((size**p).sum(axis=axes, keepdims=keepdim), 1 / p)

    def rule(g, x, y):
        y = y.reshape(kept)
        ratio = x / where(y == 0, 1.0, y)
        if p == 2:
            return g.reshape(kept) * ratio
        size = where(ratio == 0, 1.0, ratio.abs())  # 0 to a negative power would be infinite
        return g.reshape(kept) * (ratio.sign() * where(ratio == 0, 0.0, size ** (p - 1)))

    return record(np.asarray(y, dtype=x.array.dtype), (x,), (rule,), (x,), saves_output=True)


# %% [markdown]
# ## Einstein sums
#
# Two operands at a time, every Einstein sum is one batched matrix product: sort the letters into those of
# both operands and the rest of the expression (batch), those summed (inner), and those of one operand alone
# (left, right). It is then made of operations that already have derivatives, and needs no rule of its own.


# %%
def einsum(equation, *operands):
    """The Einstein sum of `torch.einsum`: `"bij,bjk->bik"`; `...`, repeated letters (diagonals) and no
    `->` allowed.
    """
    tensors = [as_tensor(x) for x in operands]
    terms, output = parse_equation(equation, [x.ndim for x in tensors])
    tensors, terms = map(
        list, zip(*[take_diagonals(x, term) for x, term in zip(tensors, terms, strict=True)], strict=True)
    )
    x, term = tensors[0], terms[0]
    for i in range(1, len(tensors)):
        needed = set(output).union(*terms[i + 1 :])
        x, term = contract(x, term, tensors[i], terms[i], needed)
    extra = tuple(i for i, letter in enumerate(term) if letter not in output)
    x = x.sum(extra) if extra else x
    term = [letter for letter in term if letter in output]
    return x.permute([term.index(letter) for letter in output])


def parse_equation(equation, dims):
    """The letters of every operand and of the output, with `...` spelled out."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(dims):
        raise ValueError(f"einsum: {equation!r} names {len(terms)} operands, got {len(dims)}")
    named = [len(term.replace("...", "")) for term in terms]
    rest = builtins.max([n - k for n, k, t in zip(dims, named, terms, strict=True) if "..." in t], default=0)
    dots = [f"<{i}>" for i in range(rest)]

    def spell(term, n_dots):
        before, ellipsis, after = term.partition("...")
        return [*before, *(dots[rest - n_dots :] if ellipsis else []), *after]

    spelled = [spell(t, n - k) for t, n, k in zip(terms, dims, named, strict=True)]
    for term, letters, n in zip(terms, spelled, dims, strict=True):
        if len(letters) != n:
            raise ValueError(f"einsum: the operand {term!r} of {equation!r} has {n} axes")
    if arrow:
        output = spell(right, rest)
        known = {letter for term in spelled for letter in term}
        if len(set(output)) < len(output) or not known.issuperset(output):
            raise ValueError(
                f"einsum: the output of {equation!r} must name letters of the operands, each once"
            )
        return spelled, output
    letters = [letter for term in spelled for letter in term if letter not in dots]
    return spelled, dots + sorted(letter for letter in set(letters) if letters.count(letter) == 1)


def take_diagonals(x, term):
    """Axes that share a letter become one: `"ii"` is the diagonal."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            i, j = [k for k, other in enumerate(term) if other == letter][:2]
            if x.shape[i] != x.shape[j]:
                raise ValueError(f"einsum: {letter!r} has sizes {x.shape[i]} and {x.shape[j]} in one operand")
            x = x.permute([*[k for k in range(x.ndim) if k not in (i, j)], i, j])
            steps = np.arange(x.shape[-1])
            x = x[..., steps, steps]
            term = [other for k, other in enumerate(term) if k not in (i, j)] + [letter]
    return x, term


def contract(a, a_term, b, b_term, needed):
    """One batched matrix product of two operands; letters that nobody needs any more are summed."""
    for_both = set(a_term) & set(b_term)
    a, a_term = sum_out(a, a_term, needed | for_both)
    b, b_term = sum_out(b, b_term, needed | for_both)
    for letter in for_both:
        n, m = a.shape[a_term.index(letter)], b.shape[b_term.index(letter)]
        if n != m and 1 not in (n, m):
            raise ValueError(f"einsum: {letter!r} has sizes {n} and {m} in two operands")
    sizes = {
        letter: n
        for x, term in ((a, a_term), (b, b_term))
        for letter, n in zip(term, x.shape, strict=True)
        if n != 1
    }
    batch = [letter for letter in a_term if letter in for_both and letter in needed]
    inner = [letter for letter in a_term if letter in for_both and letter not in needed]
    left = [letter for letter in a_term if letter not in for_both]
    right = [letter for letter in b_term if letter not in for_both]

    def arrange(x, term, *groups):
        order = [letter for group in groups for letter in group]
        x = x.permute([term.index(letter) for letter in order])
        full = [sizes.get(letter, 1) for letter in order]
        x = x if list(x.shape) == full else x.broadcast_to(full)
        return x.reshape([sizes.get(letter, 1) for letter in groups[0]] + [length(g) for g in groups[1:]])

    def length(group):
        return math.prod(sizes.get(letter, 1) for letter in group)

    product = arrange(a, a_term, batch, left, inner) @ arrange(b, b_term, batch, inner, right)
    term = batch + left + right
    return product.reshape([sizes.get(letter, 1) for letter in term]), term


def sum_out(x, term, keep):
    """Sum over the letters that are not to be kept."""
    extra = tuple(i for i, letter in enumerate(term) if letter not in keep)
    return (x.sum(extra), [letter for letter in term if letter in keep]) if extra else (x, term)


# %%
for _function in (
    mean, var, std, amax, amin, max, min, argmax, argmin, sort, all, any, prod, cumsum, softmax, log_softmax,
    logsumexp, norm,
):  # fmt: skip
    setattr(Tensor, _function.__name__, _function)
