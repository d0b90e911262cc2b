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
# # Shapes and indices, with their derivatives
#
# Operations that move elements without changing them are linear maps with one 1 in every row. Their
# derivative is the transposed map: what an element was copied to, it hears back from, and an element that was
# copied twice hears the sum. The graph and the walk are in
# [automatic differentiation](../../automatic_differentiation.py).

# %%
from __future__ import annotations

import math

import numpy as np

from level1_foundations.parts.automatic_differentiation.elementwise import where
from level1_foundations.parts.automatic_differentiation.tensor import (
    PartialGradient,
    Tensor,
    as_array,
    as_tensor,
    mode,
    new_tensor,
    plain_key,
    record,
    record_view,
    result_type,
)

__all__ = [
    "arange", "cat", "clone", "concatenate", "eye", "flatten", "flip", "full", "gather", "index",
    "index_select", "ones", "ones_like", "pad", "permute", "scatter_add", "split", "squeeze", "stack",
    "swapaxes", "transpose", "tril", "triu", "unbind", "unfold", "unsqueeze", "zeros", "zeros_like",
]  # fmt: skip

# %% [markdown]
# ## Axes: the transpose of a permutation is its inverse


# %%
def permute(input, *dims):
    """The axes in the order `dims`."""
    x = as_tensor(input)
    dims = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    if sorted(d % max(x.ndim, 1) for d in dims) != list(range(x.ndim)):
        raise ValueError(f"permute: dims must name each of the {x.ndim} axes once, got {tuple(dims)}")
    inverse = sorted(range(x.ndim), key=lambda i: dims[i] % x.ndim)
    return record_view(x.array.transpose(dims), x, lambda g: permute(g, inverse))


def transpose(input, dim0, dim1):
    """Axes `dim0` and `dim1` exchanged; doing it again undoes it."""
    x = as_tensor(input)
    if x.ndim == 0:
        return x.clone()
    return record_view(x.array.swapaxes(dim0, dim1), x, lambda g: transpose(g, dim0, dim1))


swapaxes = transpose


def squeeze(input, dim=None):
    """Axes of length one taken out: all, or those in `dim` that have it."""
    x = as_tensor(input)
    axes = range(x.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    for axis in axes if x.ndim else ():
        if not -x.ndim <= axis < x.ndim:
            raise IndexError(f"squeeze: dim {axis} is out of range for a tensor with {x.ndim} axes")
    axes = {axis % x.ndim for axis in axes} if x.ndim else ()
    return x.reshape(tuple([n for i, n in enumerate(x.shape) if not (i in axes and n == 1)]))


def unsqueeze(input, dim):
    """A new axis of length one before `dim`."""
    x = as_tensor(input)
    if not -x.ndim - 1 <= dim <= x.ndim:
        raise IndexError(f"unsqueeze: dim {dim} is out of range for a tensor with {x.ndim} axes")
    at = dim % (x.ndim + 1)
    return x.reshape((*x.shape[:at], 1, *x.shape[at:]))


def flatten(input, start_dim=0, end_dim=-1):
    """The axes from `start_dim` to `end_dim` as one."""
    x = as_tensor(input)
    if x.ndim == 0:
        return x.reshape(1)
    first, last = start_dim % x.ndim, end_dim % x.ndim
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    return x.reshape((*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def flip(input, dims):
    """The axes in `dims` (or one axis) read from the other end."""
    x = as_tensor(input)
    return record(np.flip(x.array, dims).copy(), (x,), (lambda g: flip(g, dims),))


def clone(input):
    """A copy that the graph knows."""
    x = as_tensor(input)
    return record(x.array.copy(), (x,), (lambda g: g,))


# %% [markdown]
# ## Joining and parting


# %%
def cat(tensors, dim=0):
    """The tensors one after another along `dim`; each gets back its slice of the gradient."""
    parts = [as_tensor(x) for x in tensors]
    if not parts:
        raise ValueError("cat expects a non-empty list of tensors")
    dtype = parts[0].dtype
    for x in parts[1:]:
        if x.dtype != dtype:
            dtype = result_type(new_tensor(np.empty(1, dtype)), new_tensor(np.empty(1, x.dtype)))
    parts = [x.to(dtype) for x in parts]
    y = np.concatenate([x.array for x in parts], axis=dim)
    axis, start, rules = dim % y.ndim, 0, []
    for x in parts:
        key = (slice(None),) * axis + (slice(start, start + x.shape[axis]),)
        start += x.shape[axis]
        rules.append(lambda g, key=key: index(g, key))
    return record(y, tuple(parts), tuple(rules))


concatenate = cat


def stack(tensors, dim=0):
    """The tensors along a new axis."""
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def split(tensor, split_size_or_sections, dim=0):
    """Consecutive slices along `dim`: of one size (the last may be shorter), or of the sizes listed."""
    x = as_tensor(tensor)
    if x.ndim == 0:
        raise RuntimeError("split needs a tensor with at least one axis, got a single number")
    total, sizes = x.shape[dim], split_size_or_sections
    if isinstance(sizes, int):
        if sizes <= 0:
            raise RuntimeError(f"split expects a positive split_size, got {sizes}")
        sizes = [min(sizes, total - start) for start in range(0, total, sizes)] or [0]
    if sum(sizes) != total:
        raise RuntimeError(
            f"split: the sections {list(sizes)} sum to {sum(sizes)}, but dim {dim} has size {total}"
        )
    stops = np.cumsum(sizes).tolist()
    before = (slice(None),) * (dim % x.ndim)
    return tuple([index(x, (*before, slice(stop - n, stop))) for n, stop in zip(sizes, stops, strict=True)])


def unbind(input, dim=0):
    """The slices along `dim`, without that axis."""
    x = as_tensor(input)
    if x.ndim == 0:
        raise RuntimeError("unbind needs a tensor with at least one axis, got a single number")
    before = (slice(None),) * (dim % x.ndim)
    return tuple([index(x, (*before, i)) for i in range(x.shape[dim])])


def pad(input, pad, mode="constant", value=0.0):
    """`torch.nn.functional.pad`: pairs (before, after) from the last axis backwards; negative numbers
    crop.
    """
    x = as_tensor(input)
    if mode != "constant":
        raise ValueError(f"mode must be 'constant', got {mode!r}")
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ValueError(f"pad must hold a pair for each of at most {x.ndim} axes, got {len(pad)} numbers")
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + [tuple(pad[i : i + 2]) for i in range(len(pad) - 2, -1, -2)]
    for n, (before, after) in zip(x.shape, pairs, strict=True):
        if n + before + after < 0:
            raise RuntimeError(f"pad: {before} and {after} leave an axis of size {n} with a negative size")
    return pad_pairs(x, pairs, value)


def pad_pairs(x, pairs, value):
    """Add (before, after) elements to every axis; the transpose crops them, and fills with 0 what was cropped."""
    cropped = tuple([slice(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(x.shape, pairs, strict=True)])
    y = np.pad(x.array[cropped], [(max(0, b), max(0, a)) for b, a in pairs], constant_values=value)
    back = [(-b, -a) for b, a in pairs]
    return record(y, (x,), (lambda g: pad_pairs(g, back, 0.0),))


# %% [markdown]
# ## Indexing
#
# The transpose of "read these places" is "add to these places": a place read twice gets both gradients. As in
# torch, integers in an index select before arrays do, and a negative step is refused.


# %%
def index(input, key):
    """`input[key]`: integers, slices, `None`, `...`, boolean masks, integer arrays."""
    x = as_tensor(input)
    key = plain_key(key)
    if isinstance(key, (int, slice)):
        basic, arrays = (key,), False
    else:
        basic = tuple([as_index(k) for k in (key if isinstance(key, tuple) else (key,))])
        arrays = sum([isinstance(k, np.ndarray) for k in basic]) > 0
    for k in basic:
        if isinstance(k, slice) and k.step is not None and k.step <= 0:
            raise ValueError("step must be greater than zero")
    if not arrays:
        return record_view(x.array[basic], x, spread_rule(basic, x.shape, False))
    if sum([isinstance(k, int) for k in basic]):
        selected = index(x, expand_masks(basic))
        whole = [
            slice(None) if k is None or isinstance(k, slice) else k for k in basic if not isinstance(k, int)
        ]
        return index(selected, tuple(whole))
    key = basic[0] if len(basic) == 1 else basic
    repeats = any(isinstance(k, np.ndarray) and k.dtype != bool for k in basic)
    return record(x.array[key], (x,), (spread_rule(key, x.shape, repeats),))


def as_index(key):  # practice: keep
    """One entry of an index, as an integer, slice, `None`, `...` or array."""
    if key is None or key is Ellipsis or isinstance(key, slice) or type(key) is int:
        return key
    key = np.asarray(key)
    if key.size == 0 and key.dtype.kind == "f":
        key = key.astype(np.int64)
    if key.dtype.kind not in "iub":
        raise IndexError(f"tensors used as indices must be integer or boolean, got {key.dtype}")
    return int(key) if key.ndim == 0 and key.dtype.kind != "b" else key


def expand_masks(basic):  # practice: keep
    """The index without its arrays: `:` for each axis that they take, which are k for a mask of k axes."""
    result = []
    for k in basic:
        if isinstance(k, np.ndarray):
            result.extend([slice(None)] * (k.ndim if k.dtype == bool else 1))
        else:
            result.append(k)
    return tuple(result)


def spread_rule(key, shape, repeats):
    """The rule of `x[key]`: zeros, with the gradient added at `key`."""

    def rule(g):
        if not mode.enabled:
            return PartialGradient(g.array, key, repeats)
        return spread(g, key, shape, repeats)

    return rule


def spread(g, key, shape, repeats):
    """Zeros of `shape` with `g` added at `key`; its derivative reads the places again."""
    y = np.zeros(shape, g.array.dtype)
    PartialGradient(g.array, key, repeats).add_to(y)
    return record(y, (g,), (lambda h: index_plain(h, key, shape, repeats),))


def index_plain(x, key, shape, repeats):
    """`x[key]` with a key already in NumPy's form."""
    return record(x.array[key], (x,), (spread_rule(key, shape, repeats),))


def index_select(input, dim, index):
    """The slices along `dim` at the positions in the vector `index`, in that order."""
    x, index = as_tensor(input), as_array(index)
    if x.ndim == 0:
        return index_select(x.reshape(1), dim, index).reshape(())
    return x[(slice(None),) * (dim % x.ndim) + (within(index, x.shape[dim]),)]


def within(index, n):
    """An array of positions, each from 0 to n − 1: a negative one is a mistake here, as in torch.

    Raises:
        TypeError: not integers. IndexError: a position outside.
    """
    if index.dtype.kind not in "iu":
        raise TypeError(f"index must hold integers, got {index.dtype}")
    if index.size and not (index.min() >= 0 and index.max() < n):
        wrong = index[(index < 0) | (index >= n)].flat[0]
        raise IndexError(f"index must lie between 0 and {n - 1}, got {wrong}")
    return index


def places(index, dim, shape):
    """The index arrays that pair every entry of `index` with its own position on the other axes."""
    if index.ndim != len(shape):
        raise RuntimeError(f"index must have as many axes as the tensor, {len(shape)}, got {index.ndim}")
    if index.dtype.kind not in "iu":
        raise RuntimeError(f"index must be an integer tensor, got {index.dtype}")
    if index.size and not (index.min() >= 0 and index.max() < shape[dim]):
        raise IndexError(f"index must lie between 0 and {shape[dim] - 1} along dim {dim}")
    grids = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grids[dim] = index
    return tuple(grids)


def gather(input, dim, index):
    """$y_{i j} = x_{\\mathrm{index}_{ij}\\, j}$ (for `dim` 0): the gradient is added back to where it came
    from.
    """
    x, index = as_tensor(input), as_array(index)
    if x.ndim == 0:
        return gather(x.reshape(1), 0, index.reshape(-1)).reshape(index.shape)
    key = places(index, dim, x.shape)
    return record(x.array[key], (x,), (spread_rule(key, x.shape, True),))


def scatter_add(input, dim, index, src):
    """`input` with $\\mathrm{src}_{ij}$ added at $(\\mathrm{index}_{ij}, j)$ (for `dim` 0). Its gradient
    is a `gather`.
    """
    x, src, index = as_tensor(input), as_tensor(src), as_array(index)
    if x.ndim == 0:
        return scatter_add(x.reshape(1), dim, index.reshape(-1), src.reshape(-1)).reshape(())
    if src.dtype != x.dtype:
        raise RuntimeError(f"scatter_add: expected src of type {x.dtype}, got {src.dtype}")
    used = tuple([slice(n) for n in index.shape])
    key = places(index, dim, x.shape)
    y = x.array.copy()
    np.add.at(y, key, src.array[used])

    def source_rule(g):
        return spread(gather(g, dim, index), used, src.shape, False)

    return record(y, (x, src), (lambda g: g, source_rule))


def matrices(input, name):
    """A tensor with at least two axes."""
    x = as_tensor(input)
    if x.ndim < 2:
        raise RuntimeError(f"{name}: the input must have at least 2 axes, got {x.ndim}")
    return x


def tril(input, diagonal=0):
    """Zero above the given diagonal of the last two axes."""
    x = matrices(input, "tril")
    return where(np.tri(*x.shape[-2:], k=diagonal, dtype=bool), x, 0)


def triu(input, diagonal=0):
    """Zero below the given diagonal of the last two axes."""
    x = matrices(input, "triu")
    return where(~np.tri(*x.shape[-2:], k=diagonal - 1, dtype=bool), x, 0)


# %% [markdown]
# ## Sliding windows
#
# `unfold` looks at windows of `size` elements, `step` apart, without copying:
# $y_{\dots w \dots k} = x_{\dots\, w\, s + k\, \dots}$. Its transpose adds every window back; done for one
# $k$ at a time it is `size` slice additions, none of which repeats an element.


# %%
def unfold(input, dimension, size, step):
    """Windows along `dimension`, as a new last axis of length `size` (`torch.Tensor.unfold`)."""
    x = as_tensor(input)
    if step <= 0:
        raise RuntimeError(f"unfold: step is {step} but must be > 0")
    if x.ndim == 0:
        raise RuntimeError("unfold needs a tensor with at least one axis")
    if not 0 <= size <= x.shape[dimension]:
        raise RuntimeError(
            f"unfold: size must be between 0 and {x.shape[dimension]} along that axis, got {size}"
        )
    axis = dimension % x.ndim
    starts = (slice(None),) * axis + (slice(None, None, step),)
    windows = np.lib.stride_tricks.sliding_window_view(x.array, size, axis=axis) if size else None
    y = windows[starts] if size else np.empty((*x.shape, 0), x.array.dtype)[starts]
    if not size and (x.shape[axis] % step == 0):  # one more empty window fits after the last element
        y = np.empty((*x.shape[:axis], x.shape[axis] // step + 1, *x.shape[axis + 1 :], 0), x.array.dtype)
    shape = x.shape
    return record_view(y, x, lambda g: add_windows(g, axis, shape, step))


def add_windows(g, axis, shape, step):
    """The transpose of `unfold`: overlapping windows are added up."""
    y = np.zeros(shape, g.array.dtype)
    n_windows, size = g.shape[axis], g.shape[-1]
    before = (slice(None),) * axis
    for k in range(size):
        y[(*before, slice(k, k + (n_windows - 1) * step + 1, step))] += g.array[..., k]
    return record(y, (g,), (lambda h: unfold(h, axis, size, step),))


# %% [markdown]
# ## New tensors


# %%
def as_shape(size):  # practice: keep
    """A shape given as numbers or as one tuple."""
    return tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size


def zeros(*size, dtype=np.float32, requires_grad=False):
    """Zeros; float32 unless told otherwise."""
    return Tensor(np.zeros(as_shape(size), dtype), requires_grad)


def ones(*size, dtype=np.float32, requires_grad=False):
    """Ones; float32 unless told otherwise."""
    return Tensor(np.ones(as_shape(size), dtype), requires_grad)


def full(size, fill_value, dtype=None, requires_grad=False):
    """One value everywhere."""
    value = as_array(fill_value)
    return Tensor(np.full(size, value, dtype or value.dtype), requires_grad)


def arange(start, end=None, step=1, dtype=None):
    """`start, start + step, ...` below `end`; integers unless a float is among the arguments."""
    start, end = (0, start) if end is None else (start, end)
    floats = any(isinstance(k, float) for k in (start, end, step))
    return Tensor(np.arange(start, end, step, dtype or (np.float32 if floats else np.int64)))


def eye(n, m=None, dtype=np.float32):
    """The identity matrix."""
    return Tensor(np.eye(n, m, dtype=dtype))


def zeros_like(input):
    """Zeros of the same shape and type."""
    return new_tensor(np.zeros_like(as_array(input)))


def ones_like(input):
    """Ones of the same shape and type."""
    return new_tensor(np.ones_like(as_array(input)))


# %%
for _function in (
    permute, transpose, squeeze, unsqueeze, flatten, flip, clone, split, unbind, index_select, gather,
    scatter_add, tril, triu, unfold,
):  # fmt: skip
    setattr(Tensor, _function.__name__, _function)
Tensor.swapaxes = transpose
Tensor.__getitem__ = index
Tensor.T = property(lambda self: permute(self, tuple(range(self.ndim))[::-1]))
Tensor.mT = property(lambda self: transpose(self, -1, -2))
