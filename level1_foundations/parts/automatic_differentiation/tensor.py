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
# # The tensor and the tape
#
# What [automatic differentiation](../../automatic_differentiation.py) writes on: an array that remembers the
# operation it came from. Nothing is differentiated in this file. It holds the container (`Tensor`), the rules
# by which types meet, and `record`, which notes an operation on the tape. The walk back over the tape, and
# the derivative rules, are the topic itself.

# %%
from __future__ import annotations

import functools
import itertools
import threading
import weakref
from typing import no_type_check

import numpy as np

# %% [markdown]
# ## Recording on and off
#
# A thread records what it computes unless it is inside `no_grad`. The switch is kept per thread, so that a
# server which predicts in one thread does not turn off the recording of a training run in another.


# %%
class RecordingMode(threading.local):
    """Per thread: whether operations are recorded, the checkpoint that is open, how many transforms are
    nested.
    """

    enabled = True
    frame = None
    depth = 0


mode = RecordingMode()


class set_grad_enabled:
    """`with set_grad_enabled(flag):` or `@set_grad_enabled(flag)`: record operations or not."""

    @no_type_check
    def __init__(self, enabled):  # practice: keep
        self.enabled = bool(enabled)
        self.previous = []

    @no_type_check
    def __enter__(self):  # practice: keep
        self.previous.append(mode.enabled)
        mode.enabled = self.enabled

    @no_type_check
    def __exit__(self, *error):  # practice: keep
        mode.enabled = self.previous.pop()

    def __call__(self, function):  # practice: keep
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with set_grad_enabled(self.enabled):
                return function(*args, **kwargs)

        return wrapped


class no_grad(set_grad_enabled):
    """`with no_grad():` or `@no_grad()`: nothing inside is recorded, and no memory is kept for a backward
    pass.
    """

    def __init__(self):  # practice: keep
        super().__init__(False)


class enable_grad(set_grad_enabled):
    """`with enable_grad():` or `@enable_grad()`: operations inside are recorded, also within `no_grad`."""

    def __init__(self):  # practice: keep
        super().__init__(True)


def is_grad_enabled():  # practice: keep
    """Whether operations are recorded in this thread now."""
    return mode.enabled


# %% [markdown]
# ## The tape
#
# A `Node` is one recorded operation $y = f(x_1, \dots, x_k)$. It knows
#
# - `edges`: where the gradient of each input goes: the node that made the input, the input itself if it is a
#   leaf, or nowhere;
# - `rules`: for each input the function $\bar y \mapsto \bar x_i$; it is called as `rule(g, *saved)`;
# - `saved`: the tensors that the rules need, with their version numbers, so that an array changed in place
#   since is noticed;
# - `number`: its place in the order of creation. Inputs exist before outputs, so walking by falling number
#   meets every operation after all operations that use its result.
#
# It does *not* hold its output, nor inputs that no rule needs: what nobody saves is freed at once.
#
# (`no_type_check` marks what runs at every operation, so that the checker of the test run, which wraps every
# function, leaves it alone. It changes nothing else.)

# %%
creation_numbers = itertools.count()


class Node:
    """One recorded operation: where gradients go, by which rules, and what the rules need."""

    __slots__ = ("dtype", "edges", "number", "output", "rules", "saved", "saves_output", "shape", "versions")

    @no_type_check
    def __init__(self, array, inputs, rules, saved, saves_output):  # practice: keep
        self.number = next(creation_numbers)
        self.edges = [(x.grad_fn or x) if x.requires_grad else None for x in inputs]
        self.rules = rules
        self.saved = saved
        self.versions = [0 if x is None else x.version[0] for x in saved]
        self.saves_output = saves_output
        self.shape, self.dtype = array.shape, array.dtype
        self.output = None  # a weak reference, set by retain_grad

    def __repr__(self):
        rules = self.rules if isinstance(self.rules, tuple) else (self.rules,)
        return f"<{rules[0].__qualname__.split('.')[0]}>" if self.rules else "<freed>"


@no_type_check
def record(array, inputs, rules, saved=(), saves_output=False):  # practice: keep
    """The tensor around `array`, with a node on the tape if recording is on and an input needs gradients.

    `rules` is a tuple with one function `rule(g, *saved) -> Tensor` for each of `inputs`, or one function that
    returns all gradients at once (`None` where an input needs none). Rules are written in tensor operations, so
    that their own derivative can be recorded. A rule may return the shape of the output where an input was
    broadcast: the walk sums it back, and casts it to the input's type. It must not return a `saved` tensor
    itself nor one array for two inputs, and keeps arrays in `saved`, never in a closure: only what is saved can be freed, checked, and
    computed again by a checkpoint. With `saves_output` the rules receive the output as the last of `saved`.
    """
    output = new_tensor(array)
    if mode.enabled:
        for x in inputs:
            if x.requires_grad:
                break
        else:
            return output
        if saves_output:  # an alias without the node, else the node would hold itself alive
            alias = new_tensor(output.array)
            alias.version = output.version
            saved = (*saved, alias)
        node = Node(output.array, inputs, rules, saved, saves_output)
        if mode.frame is not None and saved:
            node.saved = mode.frame.keep(node.saved)
        output.requires_grad = True
        output.grad_fn = node
    return output


@no_type_check
def record_view(array, input, rule):  # practice: keep
    """As `record` for one input whose memory the output may share: a change in place then counts for both."""
    output = record(array, (input,), (rule,))
    if np.may_share_memory(output.array, input.array):  # NumPy copied where no view has that shape
        output.version = input.version
    return output


class PartialGradient:
    """A gradient that is zero outside `key`: the walk adds it into the whole, so that T slices cost O(n),
    not O(T n).
    """

    __slots__ = ("key", "part", "repeats")

    def __init__(self, part, key, repeats):  # practice: keep
        self.part, self.key, self.repeats = part, key, repeats

    def add_to(self, whole):  # practice: keep
        """Add the part to the array `whole`, in place."""
        if self.repeats:
            add_at(whole, self.key, self.part)
        else:
            whole[self.key] += self.part


def add_at(whole, key, part):  # practice: keep
    """`whole[key] += part` where indices may repeat; whole rows are sorted and summed in blocks."""
    if isinstance(key, np.ndarray) and whole.ndim > 1 and key.size:
        rows = key.ravel() % whole.shape[0]
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        first = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
        sums = np.add.reduceat(part.reshape(key.size, *whole.shape[1:])[order], first, axis=0)
        whole[rows[first]] += sums
    else:
        np.add.at(whole, key, part)


# %% [markdown]
# ## The container


# %%
# what `array ∘ tensor` asks the tensor on its right
# functions here, as in NumPy; no methods of a Tensor, or other ones
OWN_FUNCTIONS = ("concatenate", "einsum", "pad", "stack", "where", "zeros_like")
REFLECTED = {
    "add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__", "divide": "__rtruediv__", "power": "__rpow__",
    "matmul": "__rmatmul__", "less": "__gt__", "less_equal": "__ge__", "greater": "__lt__", "greater_equal": "__le__",
    "equal": "__eq__", "not_equal": "__ne__",
}  # fmt: skip


class Tensor:
    """A NumPy array that remembers the operation it came from. Follows `torch.Tensor`.

    Parameters
    ----------
    data : array-like or Tensor
        Wrapped without a copy if it is an array; see `tensor` for the copying constructor.
    requires_grad : bool, default False
        Record operations on this tensor, so that `backward` can compute its gradient.

    Attributes
    ----------
    array : ndarray
        The plain array underneath. Writing to it bypasses every check: this is what optimizers update.
    grad : Tensor or None
        The gradient that `backward` accumulated.
    grad_fn : Node or None
        The recorded operation; `None` for a leaf.
    """

    __slots__ = ("__weakref__", "array", "grad", "grad_fn", "requires_grad", "version")

    def __init__(self, data, requires_grad=False):  # practice: keep
        self.array = data if type(data) is np.ndarray else as_array(data)
        self.grad = self.grad_fn = None
        self.requires_grad = False
        self.version = [0]
        if requires_grad:
            self.requires_grad_()

    # -- what it is
    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)
    is_leaf = property(lambda self: self.grad_fn is None)

    def size(self, dim=None):  # practice: keep
        """The shape, or one entry of it."""
        return self.array.shape if dim is None else self.array.shape[dim]

    def dim(self):  # practice: keep
        """The number of axes."""
        return self.array.ndim

    def numel(self):  # practice: keep
        """The number of elements."""
        return self.array.size

    def __len__(self):  # practice: keep
        if self.array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.array.shape[0]

    def __iter__(self):  # practice: keep
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        text = np.array2string(self.array, precision=4, separator=", ", prefix="tensor(")
        dtype = "" if self.array.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.array.dtype}"
        origin = f", grad_fn={self.grad_fn}" if self.grad_fn else ", requires_grad=True" * self.requires_grad
        return f"tensor({text}{dtype}{origin})"

    # -- out of the graph
    def item(self):  # practice: keep
        """The one element, as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(f"a Tensor with {self.array.size} elements cannot be converted to Scalar")
        return self.array.item()

    def tolist(self):  # practice: keep
        """The elements as nested lists."""
        return self.array.tolist()

    def detach(self):  # practice: keep
        """The same memory, without the history."""
        result = new_tensor(self.array)
        result.version = self.version
        return result

    def numpy(self):  # practice: keep
        """The array underneath (shared, not copied); refused while the tensor requires gradients."""
        if self.requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        return self.array

    def __array_ufunc__(self, ufunc, method, *inputs, **options):  # practice: keep
        """`array * tensor` asks the tensor. Other functions of NumPy's would lose the graph, and are refused."""
        name = ufunc.__name__
        if method == "__call__" and name in REFLECTED and not isinstance(inputs[0], Tensor):
            if options:
                raise TypeError(f"numpy.{name} cannot write a Tensor into an array: give the result a name.")
            return getattr(inputs[1], REFLECTED[name])(inputs[0])
        own = f"x.{name}({'' if ufunc.nin == 1 else 'other'})"
        instead = own if hasattr(Tensor, name) else f"numpy.{name} of x.detach().numpy(), without a gradient"
        raise TypeError(f"numpy.{name} does not record the graph of a Tensor x: write {instead}.")

    def __array_function__(self, function, types, args, kwargs):  # practice: keep
        """`numpy.sum(tensor)` and the like would lose the graph, too."""
        name = function.__name__
        if name in OWN_FUNCTIONS:
            instead = f"automatic_differentiation.{name}(...)"
        elif hasattr(Tensor, name):
            instead = f"x.{name}(...)"
        else:
            instead = f"numpy.{name} of x.detach().numpy(), without a gradient"
        raise TypeError(f"numpy.{name} does not record the graph of a Tensor x: write {instead}.")

    def __array__(self, dtype=None, copy=None):  # practice: keep
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __float__(self):  # practice: keep
        return float(self.item())

    def __int__(self):  # practice: keep
        return int(self.item())

    def __index__(self):  # practice: keep
        if self.array.size != 1 or self.array.dtype.kind not in "iu":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.array.item())

    def __bool__(self):  # practice: keep
        if self.array.size != 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self.array.item())

    # -- gradients
    def requires_grad_(self, requires_grad=True):  # practice: keep
        """Turn the recording of operations on this leaf on or off; returns the tensor."""
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError(
                f"only Tensors of floating point dtype can require gradients; this one is {self.array.dtype}"
            )
        if self.grad_fn is not None and not requires_grad:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf tensors; to use a computed one without its "
                "history, write tensor.detach()"
            )
        self.requires_grad = bool(requires_grad)
        return self

    def retain_grad(self):  # practice: keep
        """Ask `backward` to fill `.grad` of this computed tensor too."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self.grad_fn is not None:
            self.grad_fn.output = weakref.ref(self)

    # -- in place
    @property
    def data(self):  # practice: keep
        """A detached tensor on the same memory; changes through it are not noticed. Assignable."""
        return new_tensor(self.array)

    @data.setter
    def data(self, value):  # practice: keep
        self.array = as_array(value)
        self.version[0] += 1

    def change(self, write, *others):  # practice: keep
        """Let `write(array)` change the array in place, after the checks; returns the tensor."""
        if mode.enabled:
            if self.requires_grad:
                raise RuntimeError(
                    f"a {'leaf tensor' if self.is_leaf else 'tensor'} that requires grad is being used in an "
                    "in-place operation; write a new tensor (x = x + y), or change it inside no_grad()"
                )
            for other in others:
                if isinstance(other, Tensor) and other.requires_grad:
                    raise RuntimeError(
                        "in-place arithmetic records no derivative of its operand; write a new tensor "
                        "(x = x + y)"
                    )
        write(self.array)
        self.version[0] += 1
        return self

    def copy_(self, other):  # practice: keep
        """Copy the values of `other` into this tensor, in place."""
        return self.change(lambda a: np.copyto(a, as_array(other), casting="same_kind"), other)

    def fill_(self, value):  # practice: keep
        """Set every element, in place."""
        return self.change(lambda a: a.fill(value))

    def zero_(self):  # practice: keep
        """Set every element to zero, in place."""
        return self.change(lambda a: a.fill(0))

    def __setitem__(self, key, value):  # practice: keep
        self.change(lambda a: a.__setitem__(plain_key(key), as_array(value)), value)


def in_place(ufunc):  # practice: keep
    """The in-place operator of a NumPy ufunc."""

    def operator(self, other):
        return self.change(
            lambda a: ufunc(
                a, other.array if isinstance(other, Tensor) else other, out=a, casting="same_kind"
            ),
            other,
        )

    return operator


Tensor.__iadd__ = Tensor.add_ = in_place(np.add)
Tensor.__isub__ = Tensor.sub_ = in_place(np.subtract)
Tensor.__imul__ = Tensor.mul_ = in_place(np.multiply)
Tensor.__itruediv__ = Tensor.div_ = in_place(np.true_divide)


@no_type_check
def new_tensor(array, allocate=object.__new__):  # practice: keep
    """A tensor around `array`, unchecked: what every operation uses."""
    result = allocate(Tensor)
    result.array = array if type(array) is np.ndarray else np.asarray(array)
    result.grad = result.grad_fn = None
    result.requires_grad = False
    result.version = [0]
    return result


def plain_key(key):  # practice: keep
    """An index without tensors in it."""
    if isinstance(key, tuple):
        return tuple([plain_key(k) for k in key])
    return key.array if isinstance(key, Tensor) else key


# %% [markdown]
# ## Types
#
# As in torch: Python floats make float32, NumPy arrays and scalars keep their type. When two types meet, the
# wider *kind* wins (boolean, integer, float); within one kind a Python number or a 0-d tensor never widens a
# tensor with axes. So float32 stays float32.


# %%
def tensor(data, dtype=None, requires_grad=False):  # practice: keep
    """A tensor holding a copy of `data`.

    Python floats become float32 and integers int64; NumPy arrays and scalars (also in lists) keep their type.
    Raises `TypeError` unless the data are real numbers or booleans.
    """
    data = data.array if isinstance(data, Tensor) else data
    if hasattr(data, "detach") and hasattr(data, "numpy"):  # another library's tensor
        data = data.detach().numpy()
    array = np.array(data)
    if array.dtype == object and isinstance(data, (list, tuple)):
        array = np.array([as_array(x) for x in data])
    if array.dtype.kind not in "fiub":
        remedy = "; if it holds numbers, make them so first: data.astype(float)" * (array.dtype == object)
        raise TypeError(f"data must be real numbers or booleans, got {array.dtype}{remedy}")
    if dtype is None and array.dtype == np.float64 and not comes_from_numpy(data):
        dtype = np.float32
    result = new_tensor(array if dtype is None else array.astype(dtype, copy=False))
    return result.requires_grad_() if requires_grad else result


def comes_from_numpy(data):  # practice: keep
    """Whether any scalar inside nested lists is NumPy's (or a tensor's) rather than Python's."""
    if isinstance(data, (list, tuple)):
        return any(map(comes_from_numpy, data))
    return not isinstance(data, (bool, int, float)) or isinstance(data, np.generic)


@no_type_check
def as_tensor(data):  # practice: keep
    """`data` itself if it is a tensor, else a tensor around it (arrays are not copied)."""
    return data if isinstance(data, Tensor) else Tensor(data)


def as_array(data):  # practice: keep
    """The array in a tensor, an array itself, or a new one by the rule of `tensor`."""
    if isinstance(data, Tensor):
        return data.array
    if type(data) is np.ndarray and data.dtype.kind in "fiub":
        return data
    return tensor(data).array


KIND_RANK = {"b": 0, "i": 1, "u": 1, "f": 2}
DEFAULT_DTYPE = {"b": np.dtype(bool), "i": np.dtype(np.int64), "f": np.dtype(np.float32)}


@no_type_check
def operands(a, b):  # practice: keep
    """Two operands as tensors of one type."""
    if not isinstance(a, Tensor):
        a = as_operand(a, b)
    if not isinstance(b, Tensor):
        b = as_operand(b, a)
    first, second = a.array.dtype, b.array.dtype
    if first is second or first == second:
        return a, b
    dtype = result_type(a, b)
    return a.to(dtype), b.to(dtype)


@no_type_check
def as_operand(value, other):  # practice: keep
    """A Python number takes the type of `other` unless its kind is wider."""
    if isinstance(value, (bool, int, float)) and isinstance(other, Tensor):
        kind = "b" if isinstance(value, bool) else "i" if isinstance(value, int) else "f"
        dtype = other.array.dtype
        return new_tensor(
            np.array(value, dtype if KIND_RANK[kind] <= KIND_RANK[dtype.kind] else DEFAULT_DTYPE[kind])
        )
    return as_tensor(value)


def result_type(a, b):  # practice: keep
    """The type in which two tensors meet."""
    ranks = KIND_RANK[a.dtype.kind], KIND_RANK[b.dtype.kind]
    if ranks[0] != ranks[1]:
        return a.dtype if ranks[0] > ranks[1] else b.dtype
    if (a.ndim == 0) != (b.ndim == 0):
        return b.dtype if a.ndim == 0 else a.dtype
    return np.promote_types(a.dtype, b.dtype)


def axes_of(x, dim):  # practice: keep
    """`dim` as NumPy's axis. As in torch an empty tuple means all axes, and a 0-d tensor has an axis 0 too."""
    if isinstance(dim, (tuple, list)):
        dim = tuple(dim) or None
    if x.array.ndim == 0 and dim is not None:
        for axis in dim if isinstance(dim, tuple) else (dim,):
            if axis not in (0, -1):
                raise IndexError(f"Dimension out of range (expected to be -1 or 0, but got {axis})")
        return None
    return dim


def sum_type(array):  # practice: keep
    """The type in which an array is summed: integers and booleans as int64, floats as they are (None)."""
    return None if array.dtype.kind == "f" else np.int64


def wide_type(dtype):  # practice: keep
    """The type in which counts, squares and sums on the way are kept: at least float32."""
    return np.result_type(dtype, np.float32)


@no_type_check
def floating(x):  # practice: keep
    """`x` as a tensor of floating-point type: integers become float32, as in torch."""
    x = x if isinstance(x, Tensor) else as_tensor(x)
    return x if x.array.dtype.kind == "f" else x.to(np.float32)
