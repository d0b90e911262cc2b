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
# # Automatic differentiation

# %%
from __future__ import annotations

import functools
import heapq
import itertools
import sys
import threading

import numpy as np

# The operations in the files beside this one import this module by its full name, also while it runs as a script.
sys.modules.setdefault("level1_foundations.automatic_differentiation", sys.modules[__name__])


# %% [markdown]
# ### The graph

# %%
class GradientMode(threading.local):
    """Whether operations are recorded, per thread; `frame` collects what a checkpoint must not keep."""

    enabled = True
    frame = None


mode = GradientMode()
creation_numbers = itertools.count()
SECOND_BACKWARD = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already been freed). Saved values of the graph are freed when you call .backward(). Specify "
    "retain_graph=True if you need to backward through the graph a second time."
)


class set_grad_enabled:
    """Record operations (`True`) or not (`False`); a context manager, and a decorator through its children."""

    def __init__(self, enabled):  # practice: keep
        self.enabled = enabled

    def __enter__(self):  # practice: keep
        self.previous, mode.enabled = mode.enabled, self.enabled

    def __exit__(self, *error):  # practice: keep
        mode.enabled = self.previous

    def __call__(self, function):  # practice: keep
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with set_grad_enabled(self.enabled):
                return function(*args, **kwargs)

        return wrapped


class no_grad(set_grad_enabled):
    """Inside `with no_grad():`, or in a function decorated with `@no_grad()`, nothing is recorded."""

    def __init__(self):  # practice: keep
        super().__init__(False)


class enable_grad(set_grad_enabled):
    """Inside `with enable_grad():`, also within `no_grad`, operations are recorded."""

    def __init__(self):  # practice: keep
        super().__init__(True)


def is_grad_enabled():  # practice: keep
    """Whether operations are recorded in this thread now."""
    return mode.enabled


# %%
class Node:
    """One recorded operation: to whom its gradient goes, by which rules, and what the rules need."""

    __slots__ = (
        "number", "edges", "rules", "saved", "versions", "shape", "dtype", "retained", "__weakref__"
    )  # fmt: skip

    def __init__(self, output, inputs, rules, saved):  # practice: keep
        self.number = next(creation_numbers)
        self.edges = tuple([(x.grad_fn or x) if x.requires_grad else None for x in inputs])
        self.rules = rules
        self.saved = saved
        self.versions = [x.version[0] if x is not None else 0 for x in saved]
        self.shape, self.dtype = output.array.shape, output.array.dtype
        self.retained = None

    def __repr__(self):
        return f"<{self.rules[0].__qualname__.split('.')[0] if self.rules else 'freed'} backward>"


def record(array, inputs, rules, saved=(), save_output=False):  # practice: keep
    """The result of an operation, as a tensor that remembers how to send gradients back to `inputs`."""
    output = new_tensor(array)
    if mode.enabled:
        for x in inputs:
            if x.requires_grad:
                break
        else:
            return output
        if save_output:
            alias = new_tensor(output.array)  # a tensor without the node: no reference cycle
            alias.version = output.version
            saved = (*saved, alias)
        output.requires_grad = True
        output.grad_fn = Node(output, inputs, rules, saved)
        if save_output:
            alias.grad_fn = None
    return output


# %%
class Tensor:
    """A NumPy array that remembers the operation it came from."""

    __slots__ = ("array", "grad", "requires_grad", "grad_fn", "version", "__weakref__")
    __array_ufunc__ = None

    def __init__(self, data, requires_grad=False):  # practice: keep
        self.array = as_array(data)
        self.grad = None
        self.grad_fn = None
        self.requires_grad = False
        self.version = [0]
        if requires_grad:
            self.requires_grad_()

    @property
    def shape(self):  # practice: keep
        return self.array.shape

    @property
    def dtype(self):  # practice: keep
        return self.array.dtype

    @property
    def ndim(self):  # practice: keep
        return self.array.ndim

    @property
    def is_leaf(self):  # practice: keep
        return self.grad_fn is None

    @property
    def data(self):  # practice: keep
        return new_tensor(self.array)

    @data.setter
    def data(self, value):  # practice: keep
        self.array = as_array(value)
        self.version[0] += 1

    def size(self, dim=None):  # practice: keep
        return self.array.shape if dim is None else self.array.shape[dim]

    def numel(self):  # practice: keep
        return self.array.size

    def __len__(self):  # practice: keep
        if self.array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self.array)

    def item(self):  # practice: keep
        if self.array.size != 1:
            raise RuntimeError(f"a Tensor with {self.array.size} elements cannot be converted to Scalar")
        return self.array.item()

    def tolist(self):  # practice: keep
        return self.array.tolist()

    def detach(self):  # practice: keep
        result = new_tensor(self.array)
        result.version = self.version
        return result

    def numpy(self):  # practice: keep
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self.array

    def requires_grad_(self, requires_grad=True):  # practice: keep
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError(f"only tensors of floating point dtype can require gradients, got {self.array.dtype}")
        if self.grad_fn is not None and not requires_grad:
            raise RuntimeError("you can only change requires_grad flags of leaf variables; use .detach()")
        self.requires_grad = requires_grad
        return self

    def retain_grad(self):  # practice: keep
        import weakref

        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self.grad_fn is not None:
            self.grad_fn.retained = weakref.ref(self)

    def backward(self, gradient=None, retain_graph=None, create_graph=False):  # practice: keep
        backward(self, gradient, retain_graph, create_graph)

    def __float__(self):  # practice: keep
        return float(self.item())

    def __int__(self):  # practice: keep
        return int(self.item())

    def __bool__(self):  # practice: keep
        if self.array.size != 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self.array)

    def __repr__(self):
        text = np.array2string(self.array, precision=4, separator=", ", prefix="tensor(")
        dtype = "" if self.array.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.array.dtype}"
        origin = f", grad_fn={self.grad_fn}" if self.grad_fn else ", requires_grad=True" * self.requires_grad
        return f"tensor({text}{dtype}{origin})"


def as_array(data):  # practice: keep
    if isinstance(data, Tensor):
        return data.array
    return data if isinstance(data, np.ndarray) else tensor(data).array


def new_tensor(array, allocate=object.__new__):  # practice: keep
    """A tensor around `array`, unchecked: the fast way in, used by every operation."""
    result = allocate(Tensor)
    result.array = array if type(array) is np.ndarray else np.asarray(array)
    result.grad = result.grad_fn = None
    result.requires_grad = False
    result.version = [0]
    return result


def tensor(data, dtype=None, requires_grad=False):  # practice: keep
    """A tensor with a copy of `data`: Python floats become float32, arrays keep their type."""
    if isinstance(data, Tensor):
        data = data.array
    array = np.array(data)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"data must be real numbers, got {array.dtype}")
    if dtype is None and array.dtype == np.float64 and not holds_numpy(data):
        dtype = np.float32
    result = new_tensor(array.astype(dtype, copy=False) if dtype is not None else array)
    return result.requires_grad_() if requires_grad else result


def holds_numpy(data):  # practice: keep
    while isinstance(data, (list, tuple)) and len(data):
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic, Tensor))


def as_tensor(data):  # practice: keep
    """`data` itself if it is a tensor, else a tensor around it (arrays are not copied)."""
    return data if isinstance(data, Tensor) else Tensor(data)


CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2}


def operands(a, b):  # practice: keep
    """Two operands as tensors of one type, by torch's promotion: a Python number or a 0-d tensor never widens."""
    if isinstance(a, Tensor):
        if not isinstance(b, Tensor):
            b = as_operand(b, a)
    elif isinstance(b, Tensor):
        a = as_operand(a, b)
    else:
        a, b = as_tensor(a), as_tensor(b)
    first, second = a.array.dtype, b.array.dtype
    if first is second or first == second:
        return a, b
    dtype = result_type(a.array, b.array)
    return to(a, dtype), to(b, dtype)


def as_operand(value, other):  # practice: keep
    if isinstance(value, (bool, int, float, np.generic)):
        kind = np.asarray(value).dtype.kind
        dtype = other.array.dtype
        if CATEGORY[kind] > CATEGORY[dtype.kind]:
            dtype = np.dtype(np.float32) if kind == "f" else np.dtype(np.int64)
        return new_tensor(np.asarray(value, dtype=dtype))
    return as_tensor(value)


def result_type(a, b):  # practice: keep
    first, second = CATEGORY[a.dtype.kind], CATEGORY[b.dtype.kind]
    if first != second:
        return a.dtype if first > second else b.dtype
    if (a.ndim == 0) != (b.ndim == 0):
        return b.dtype if a.ndim == 0 else a.dtype
    return np.promote_types(a.dtype, b.dtype)


# %% [markdown]
# ### The walk

# %%
def unbroadcast(g, shape):
    """The adjoint of broadcasting: sum over the axes that were repeated."""
    added = g.ndim - len(shape)
    repeated = tuple(i for i, n in enumerate(g.shape) if i < added or (shape[i - added] == 1 and n != 1))
    return reshape(sum(g, repeated), shape) if repeated else reshape(g, shape)


def backward(root, gradient=None, retain_graph=None, create_graph=False):
    """Add the derivative of `root` to the `.grad` of every leaf that it depends on."""
    if not root.requires_grad:
        raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
    propagate(root, seed_gradient(root, gradient), retain_graph=retain_graph, create_graph=create_graph)


def seed_gradient(root, gradient):
    if gradient is None:
        if root.array.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        return new_tensor(np.ones_like(root.array))
    gradient = as_tensor(gradient)
    if gradient.shape != root.shape:
        raise RuntimeError(
            f"Mismatch in shape: gradient has a shape of {gradient.shape} and output has a shape of {root.shape}."
        )
    return gradient


def unpack(node, create_graph):
    if node.rules is None:
        raise RuntimeError(SECOND_BACKWARD)
    for x, version in zip(node.saved, node.versions, strict=True):
        if x is not None and x.version[0] != version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"a tensor of shape {x.shape} is at version {x.version[0]}; expected version {version} instead"
            )
    return node.saved


def propagate(root, seed, *, retain_graph=None, create_graph=False):
    """Walk the graph from `root` in reverse order of creation."""
    if retain_graph is None:
        retain_graph = create_graph
    start = root.grad_fn or root
    pending, heap = {start: seed}, []
    if root.grad_fn is None:
        return accumulate(root, seed, create_graph)
    heap = [(-start.number, start)]
    with set_grad_enabled(create_graph):
        while heap:
            node = heapq.heappop(heap)[1]
            g = pending.pop(node)
            if node.retained is not None and node.retained() is not None:
                accumulate(node.retained(), g, create_graph)
            saved = unpack(node, create_graph)
            for target, rule in zip(node.edges, node.rules, strict=True):
                if target is None:
                    continue
                contribution = rule(g, *saved)
                if contribution.array.shape != target.shape:
                    contribution = unbroadcast(contribution, target.shape)
                if contribution.array.dtype is not target.dtype:
                    contribution = to(contribution, target.dtype)
                if type(target) is not Node:
                    accumulate(target, contribution, create_graph)
                elif target in pending:
                    pending[target] = pending[target] + contribution
                else:
                    pending[target] = contribution
                    heapq.heappush(heap, (-target.number, target))
            if not retain_graph:
                node.rules = node.saved = None


def accumulate(leaf, g, create_graph):
    if leaf.grad is not None:
        leaf.grad = leaf.grad + g
    else:
        leaf.grad = g if create_graph else new_tensor(g.array.copy())


# %% [markdown]
# ### The operations, each with its derivative

# %%
def to(input, dtype):
    dtype = np.dtype(dtype)
    if input.array.dtype == dtype:
        return input
    return record(input.array.astype(dtype), (input,), (lambda g: g,)) if dtype.kind == "f" else new_tensor(
        input.array.astype(dtype)
    )


def add(input, other):
    a, b = operands(input, other)
    return record(a.array + b.array, (a, b), (lambda g: g, lambda g: g))


def subtract(input, other):
    a, b = operands(input, other)
    return record(a.array - b.array, (a, b), (lambda g: g, lambda g: -g))


def negative(input):
    return record(-input.array, (input,), (lambda g: -g,))


def multiply(input, other):
    a, b = operands(input, other)
    return record(a.array * b.array, (a, b), (lambda g, a, b: g * b, lambda g, a, b: g * a), (a, b))


def divide(input, other):
    a, b = operands(input, other)
    return record(
        a.array / b.array, (a, b), (lambda g, a, b: g / b, lambda g, a, b: -g * a / (b * b)), (a, b)
    )


def pow(input, exponent):
    a, b = operands(input, exponent)
    if not b.requires_grad and b.ndim == 0 and b.item() == 2:
        return record(a.array * a.array, (a,), (lambda g, a: g * (2.0 * a),), (a,))
    return record(
        a.array**b.array,
        (a, b),
        (lambda g, a, b: g * b * a ** (b - 1), lambda g, a, b: g * a**b * log(a)),
        (a, b),
    )


def exp(input):
    return record(np.exp(input.array), (input,), (lambda g, x: g * exp(x),), (input,))


def log(input):
    return record(np.log(input.array), (input,), (lambda g, x: g / x,), (input,))


def sqrt(input):
    return record(np.sqrt(input.array), (input,), (lambda g, x: g * 0.5 / sqrt(x),), (input,))


def tanh(input):
    def rule(g, x):
        y = tanh(x)
        return g * (1.0 - y * y)

    return record(np.tanh(input.array), (input,), (rule,), (input,))


def relu(input):
    return record(
        np.maximum(input.array, 0), (input,), (lambda g, x: g * new_tensor((x.array > 0).astype(x.dtype)),), (input,)
    )


def sum(input, dim=None, keepdim=False):
    if isinstance(dim, list):
        dim = tuple(dim)
    shape = input.shape
    kept = np.sum(input.array, axis=dim, keepdims=True)
    output = kept if keepdim else np.sum(input.array, axis=dim)
    return record(output, (input,), (lambda g: broadcast_to(reshape(g, kept.shape), shape),))


def mean(input, dim=None, keepdim=False):
    total = sum(input, dim, keepdim)
    return total * (max(total.array.size, 1) / max(input.array.size, 1))


def broadcast_to(input, shape):
    return record(np.broadcast_to(input.array, shape), (input,), (lambda g: g,))


def reshape(input, *shape):
    shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    old = input.shape
    return record(input.array.reshape(shape), (input,), (lambda g: reshape(g, old),))


def transpose(input, dim0, dim1):
    return record(np.swapaxes(input.array, dim0, dim1), (input,), (lambda g: transpose(g, dim0, dim1),))


def permute(input, dims):
    inverse = tuple(np.argsort(dims))
    return record(np.transpose(input.array, dims), (input,), (lambda g: permute(g, inverse),))


def matmul(input, other):
    a, b = operands(input, other)
    if a.ndim == 1 and b.ndim == 1:
        return sum(a * b)
    if a.ndim == 1:
        y = matmul(reshape(a, (1, -1)), b)
        return reshape(y, y.shape[:-2] + y.shape[-1:])
    if b.ndim == 1:
        y = matmul(a, reshape(b, (-1, 1)))
        return reshape(y, y.shape[:-1])
    return record(
        a.array @ b.array,
        (a, b),
        (lambda g, a, b: matmul(g, transpose(b, -1, -2)), lambda g, a, b: matmul(transpose(a, -1, -2), g)),
        (a, b),
    )


def index(input, key):
    key = tuple(k.array if isinstance(k, Tensor) else k for k in key) if isinstance(key, tuple) else key
    if isinstance(key, Tensor):
        key = key.array
    shape = input.shape
    return record(input.array[key], (input,), (lambda g: index_add(g, key, shape),))


def index_add(input, key, shape):
    output = np.zeros(shape, input.dtype)
    np.add.at(output, key, input.array)
    return record(output, (input,), (lambda g: index(g, key),))


def clone(input):
    return record(input.array.copy(), (input,), (lambda g: g,))


Tensor.__add__ = Tensor.__radd__ = Tensor.add = add
Tensor.__sub__ = Tensor.sub = subtract
Tensor.__rsub__ = lambda self, other: subtract(other, self)
Tensor.__mul__ = Tensor.__rmul__ = Tensor.mul = multiply
Tensor.__truediv__ = Tensor.div = divide
Tensor.__rtruediv__ = lambda self, other: divide(other, self)
Tensor.__pow__ = Tensor.pow = pow
Tensor.__neg__ = Tensor.neg = negative
Tensor.__matmul__ = Tensor.matmul = matmul
Tensor.__rmatmul__ = lambda self, other: matmul(other, self)
Tensor.__getitem__ = index
for _f in (exp, log, sqrt, tanh, relu, sum, mean, reshape, transpose, permute, broadcast_to, to, clone):
    setattr(Tensor, _f.__name__, _f)
Tensor.float = lambda self: to(self, np.float32)
Tensor.double = lambda self: to(self, np.float64)
Tensor.T = property(lambda self: permute(self, tuple(range(self.ndim))[::-1]))
Tensor.mT = property(lambda self: transpose(self, -1, -2))
