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
#
# ## 1. Select
#
# **The question.** Given a program that computes a number from a million numbers, how do we get all million
# derivatives, exact to rounding, for the price of a few runs of the program?
#
# **Builds on** the chain rule, and on NumPy. **Carries** every network of Levels 3 to 6.
#
# **Mirrors** `torch`: `Tensor`, its methods, `torch.*` and `torch.nn.functional.*` by name, and of JAX the
# transformations `grad`, `vjp`, `jvp`.
#
# **Sources.** R. E. Wengert, *A simple automatic derivative evaluation program* (1964), for the forward mode;
# S. Linnainmaa, *Taylor expansion of the accumulated rounding error* (1976), for the reverse mode; A.
# Griewank and A. Walther, *Evaluating Derivatives* (2nd ed. 2008), chapters 3 and 12, for cost and
# checkpoints; B. Pearlmutter, *Fast exact multiplication by the Hessian* (1994).
#
# | symbol | meaning | shape |
# |---|---|---|
# | $L$ | the number at the end | `()` |
# | $x, y$ | input and output of one operation | any |
# | $\bar y = \partial L / \partial y$ | the gradient that arrives at $y$; `g` in the code | as $y$ |
# | $\dot x$ | a direction in which $x$ moves; `tangent` | as $x$ |
#
# The code is in five files. This one has the walk, the first operations, and what is built of them. Beside it
# stand the tape ([tensor](tensor.py)) and more operations of the same form:
# [elementwise](tensor_elementwise.py), [reductions and products](tensor_reductions.py),
# [shapes and indices](tensor_indexing.py), [layers and losses](tensor_networks.py).

# %% [markdown]
# ## 2. Derive
#
# **A program is a chain of operations.** Running it computes $y_k = f_k(y_{k-1})$ for $k = 1, \dots, n$, from
# $y_0 = x$ to the number $L = y_n$. By the chain rule the derivative is a product of Jacobians,
#
# $$ \frac{\partial L}{\partial x} = J_n\, J_{n-1} \cdots J_1,
# \qquad J_k = \frac{\partial f_k}{\partial y_{k-1}} . $$
#
# **The order of multiplication is the whole difference.** From the right, $\dot y_k = J_k\, \dot y_{k-1}$
# carries one direction $\dot x$ forward, along with the values: one run tells how $L$ moves when $x$ moves
# along $\dot x$. For all $d$ directions it takes $d$ runs. From the left,
#
# $$ \bar y_{k-1} = J_k^\top\, \bar y_k , \qquad \bar y_n = 1, $$
#
# carries the one row $\partial L / \partial y_k$ backward, and ends with all $d$ derivatives after one run.
# No Jacobian is ever formed: each operation brings a *rule* that applies $J^\top$ to a vector. For an
# elementwise $y = f(x)$, $J$ is diagonal and the rule is $\bar x = f'(x) \odot \bar y$. For $Y = A B$, let
# $A$ move by $dA$: then
#
# $$ dL = \langle \bar Y, dA\, B \rangle = \operatorname{tr}(\bar Y^\top dA\, B)
# = \operatorname{tr}(B \bar Y^\top dA) = \langle \bar Y B^\top, dA \rangle
# \quad\Longrightarrow\quad \bar A = \bar Y B^\top, \quad \bar B = A^\top \bar Y . $$
#
# **Copies and sums are each other's transpose.** If a value is used twice, $L$ moves through both uses, so
# the gradients *add*. Broadcasting is a copy along an axis; its transpose is the sum over that axis. The
# transpose of a sum is a copy.
#
# **From chains to graphs.** Programs branch, so operations form a directed graph without cycles. The gradient
# of a value is complete once *all* operations that used it have sent theirs. Number the operations in the
# order in which they ran: users have higher numbers than what they use. Hence this walk is right: take the
# pending operation with the highest number, apply its rules, add the results to the gradients of its inputs,
# repeat. It needs a priority queue and no recursion, however deep the graph.
#
# **Cost.** A rule costs about as much as its operation for each input, so $\nabla L$ costs a small multiple
# of $L$ (two to three runs for matrix products), whatever $d$ is: the *cheap gradient principle*. The price
# is memory: rules need values of the forward run ($B$ above), so memory grows with the number of operations,
# where the forward mode needs none. A *checkpoint* keeps only the input of a segment and runs it again when
# its gradients are due. With $\sqrt n$ segments, $2 \sqrt n$ values are alive instead of $n$, for one more
# forward run.
#
# **Derivatives of derivatives.** If the rules are themselves made of recorded operations, the backward walk
# leaves a graph too, and can be differentiated. Two uses:
#
# - *Hessian times vector.* $H v = \nabla_x \langle \nabla L(x), v \rangle$: two walks, no Hessian.
# - *The forward mode from the reverse mode.* $u \mapsto J^\top u$ is linear in $u$, and the transposed rule
#   of that linear map, again a walk backward, is $J \dot x$.
#
# **Assumptions.** Every operation is differentiable where it is evaluated; at corners ($|x|$ at 0) a
# subgradient is chosen, torch's. The derivative is that of the program as it ran: of the branch taken, of the
# rounding-free formula.

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import builtins
import contextlib
import functools
import heapq
import math
from typing import no_type_check

import numpy as np

from level1_foundations import tensor_elementwise, tensor_indexing, tensor_networks, tensor_reductions
from level1_foundations.tensor import (
    Node,
    PartialGradient,
    Tensor,
    as_tensor,
    axes_of,
    enable_grad,
    floating,
    is_grad_enabled,
    mode,
    new_tensor,
    no_grad,
    operands,
    record,
    record_view,
    set_grad_enabled,
    tensor,
)
from level1_foundations.tensor_elementwise import *  # noqa: F403
from level1_foundations.tensor_elementwise import gate, to
from level1_foundations.tensor_indexing import *  # noqa: F403
from level1_foundations.tensor_indexing import clone, ones_like, zeros_like
from level1_foundations.tensor_networks import *  # noqa: F403
from level1_foundations.tensor_networks import cross_entropy, linear
from level1_foundations.tensor_reductions import *  # noqa: F403
from level1_foundations.tensor_reductions import amax, argmax, softmax

__all__ = [
    "Dual", "Node", "Promise", "Tensor", "add", "as_tensor", "backward", "broadcast_to", "checkpoint",
    "enable_grad", "exp", "grad", "gradients", "hessian_vector_product", "is_grad_enabled", "jvp",
    "matmul", "mul", "multiply", "no_grad", "record", "relu", "reshape", "set_grad_enabled", "sum",
    "tanh", "tensor", "vjp",
    *tensor_elementwise.__all__, *tensor_indexing.__all__, *tensor_networks.__all__, *tensor_reductions.__all__,
]  # fmt: skip

# %% [markdown]
# ### An operation and its rule
#
# Every operation has the same form: compute the value with NumPy, then tell `record` the inputs, one rule for
# each, and what the rules need. A rule gets $\bar y$ (as `g`) and the saved tensors, and returns $\bar x$.
# Rules are written in tensor operations, so that the walk itself can be recorded.
#
# $$ y = a + b: \quad \bar a = \bar y, \ \bar b = \bar y
# \qquad\qquad y = a \odot b: \quad \bar a = \bar y \odot b, \ \bar b = \bar y \odot a $$
#
# (Where $a$ was broadcast, the walk sums $\bar a$ back to the shape of $a$.)


# %%
def add(input, other):
    """$y = a + b$, elementwise with broadcasting."""
    a, b = operands(input, other)
    return record(a.array + b.array, (a, b), (lambda g: g, lambda g: g))


def multiply(input, other):
    """$y = a \\odot b$, elementwise with broadcasting."""
    a, b = operands(input, other)
    saved = (a if b.requires_grad else None, b if a.requires_grad else None)  # what no rule needs is not kept
    return record(a.array * b.array, (a, b), (lambda g, a, b: g * b, lambda g, a, b: g * a), saved)


# %% [markdown]
# Elementwise functions whose derivative is a function of the *result* save the result alone:
#
# $$ y = e^x: \ \bar x = \bar y \odot y \qquad y = \tanh x: \ \bar x = \bar y \odot (1 - y^2)
# \qquad y = \max(x, 0): \ \bar x = \bar y \ \text{where}\ y > 0 $$


# %%
def exp(input):
    """$y = e^x$."""
    x = floating(input)
    return record(np.exp(x.array), (x,), (lambda g, y: g * y,), saves_output=True)


def tanh(input):
    """$y = \\tanh x$."""
    x = floating(input)
    return record(np.tanh(x.array), (x,), (lambda g, y: g * (1.0 - y * y),), saves_output=True)


def relu(input):
    """$y = \\max(x, 0)$; the slope at 0 is 0."""
    x = as_tensor(input)
    return record(np.maximum(x.array, 0), (x,), (lambda g, y: gate(g, y > 0),), saves_output=True)


# %% [markdown]
# A reshape, undone by a reshape; copies and sums, each the other's transpose:


# %%
def reshape(input, *shape):
    """The same elements, in the same order, in another shape."""
    x = as_tensor(input)
    shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    before = x.array.shape
    return record_view(x.array.reshape(shape), x, lambda g: reshape(g, before))


def broadcast_to(input, *shape):
    """$x$ copied along axes of length one, or new leading axes, to `shape`; the walk sums the copies'
    gradients.
    """
    x = as_tensor(input)
    shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    added = len(shape) - x.ndim
    shape = tuple([x.shape[i - added] if n == -1 and i >= added else n for i, n in enumerate(shape)])
    return record_view(np.broadcast_to(x.array, shape), x, lambda g: g)


def sum(input, dim=None, keepdim=False):
    """$y = \\sum_i x_i$ over the axes `dim` (all if `None`): every $\\bar x_i = \\bar y$."""
    x = as_tensor(input)
    axes = axes_of(x, dim)
    y = x.array.sum(axis=axes, keepdims=keepdim)
    shape = x.array.shape
    axes = range(len(shape)) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    axes = {axis % len(shape) for axis in axes} if shape else ()
    kept = tuple([1 if i in axes else n for i, n in enumerate(shape)])
    return record(y, (x,), (lambda g: broadcast_to(reshape(g, kept), shape),))


# %% [markdown]
# The matrix product, with the rule derived above: $\bar A = \bar Y B^\top$, $\bar B = A^\top \bar Y$. Stacks
# of matrices broadcast over their leading axes; a stack times one matrix is a single product of all rows.


# %%
def matmul(input, other):
    """$Y = A B$ over the last two axes, as `numpy.matmul`: vectors are rows on the left, columns on the
    right.
    """
    a, b = operands(input, other)
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(f"both arguments to matmul need at least one axis, got {a.ndim} and {b.ndim}")
    if a.ndim == 1:
        y = matmul(reshape(a, 1, a.shape[0]), b)  # (..., 1, m) or (1,)
        return reshape(y, y.shape[:-2] + y.shape[-1:]) if b.ndim > 1 else reshape(y, ())
    if b.ndim == 1:
        y = matmul(a, reshape(b, b.shape[0], 1))
        return reshape(y, y.shape[:-1])
    if a.ndim > 2 and b.ndim == 2:
        y = matmul(reshape(a, math.prod(a.shape[:-1]), a.shape[-1]), b)
        return reshape(y, *a.shape[:-1], b.shape[-1])
    saved = (a if b.requires_grad else None, b if a.requires_grad else None)
    try:
        y = a.array @ b.array  # (..., n, k) @ (..., k, m) -> (..., n, m)
    except ValueError:
        raise ValueError(misfit(a.shape, b.shape)) from None
    return record(
        y,
        (a, b),
        (lambda g, a, b: g @ b.transpose(-1, -2), lambda g, a, b: a.transpose(-1, -2) @ g),
        saved,
    )


def misfit(first, second):  # practice: keep
    """Why matrices of these shapes cannot be multiplied; the first words are torch's."""
    shapes = " and ".join("x".join(map(str, shape)) for shape in (first, second))
    text = f"mat1 and mat2 shapes cannot be multiplied ({shapes}): "
    if first[-1] != second[-2]:
        return text + f"mat1 has {first[-1]} columns, mat2 {second[-2]} rows"
    return text + f"the axes before the last two, {first[:-2]} and {second[:-2]}, do not broadcast"


# %%
Tensor.__add__ = Tensor.__radd__ = Tensor.add = add
Tensor.__mul__ = Tensor.__rmul__ = Tensor.mul = multiply
Tensor.__matmul__ = Tensor.matmul = matmul
Tensor.__rmatmul__ = lambda self, other: matmul(other, self)
Tensor.exp, Tensor.tanh, Tensor.relu, Tensor.sum = exp, tanh, relu, sum
Tensor.broadcast_to = Tensor.expand = broadcast_to
Tensor.reshape = Tensor.view = reshape
mul = multiply

# %% [markdown]
# ### The walk
#
# The transpose of broadcasting comes first: sum over the axes that were added or repeated.


# %%
def unbroadcast(g, shape):
    """`g` summed to `shape`, from which it had been broadcast."""
    added = g.ndim - len(shape)
    repeated = tuple([i for i, n in enumerate(g.shape) if i < added or (shape[i - added] == 1 and n != 1)])
    return reshape(sum(g, repeated), shape) if repeated else reshape(g, shape)


# %% [markdown]
# The gradient at the end of the walk is $\bar y_n = 1$ for a number; a tensor needs to be told its
# $\bar y_n$.


# %%
def seed_gradient(root, gradient=None):
    """The gradient that the walk begins with, checked against `root`."""
    if not root.requires_grad:
        raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
    if gradient is None:
        if root.array.size != 1:
            raise RuntimeError(
                f"grad can be implicitly created only for scalar outputs; this one has shape {root.shape}"
            )
        return new_tensor(np.ones_like(root.array))
    gradient = as_tensor(gradient)
    if gradient.shape != root.shape:
        raise RuntimeError(
            f"Mismatch in shape: gradient has a shape of {gradient.shape} "
            f"and output has a shape of {root.shape}."
        )
    return to(gradient, root.dtype)


# %% [markdown]
# An operation's rules may run if what they saved is still there, and still what it was.


# %%
@no_type_check
def unpack(node, create_graph):
    """What the rules of `node` saved. Raises if it was freed, or changed in place."""
    if node.rules is None:
        raise RuntimeError(
            "Trying to backward through the graph a second time (or directly access saved tensors after they "
            "have already been freed). Saved intermediate values of the graph are freed when you call "
            ".backward() or gradients(). Specify retain_graph=True if you need to backward through the graph "
            "a second time."
        )
    saved, versions = node.saved, node.versions
    if type(saved) is Promise:
        saved, versions = saved.fulfil(), [None] * len(versions)
    for x, version in zip(saved, versions, strict=True):
        if x is not None and version is not None and x.version[0] != version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace "
                f"operation: a tensor of shape {x.shape} is at version {x.version[0]}; expected version "
                f"{version} instead."
            )
    if node.saves_output and create_graph:  # give the saved result its history back
        output = new_tensor(saved[-1].array)
        output.requires_grad, output.grad_fn, output.version = True, node, saved[-1].version
        saved = (*saved[:-1], output)
    return saved


# %% [markdown]
# Gradients that reach the same place add up. The first to arrive is kept as it is, and only a buffer that
# nobody else can see (`owned`) is added to in place.


# %%
@no_type_check
def add_gradient(pending, owned, target, contribution, g):
    """Add what a rule made of `g` to the gradient that `target` has so far."""
    held = pending.get(target)
    if type(contribution) is PartialGradient:  # from an index: most of it is zero
        if held is None:
            held = new_tensor(np.zeros(target.shape, target.dtype))
        elif target not in owned:
            held = new_tensor(held.array.copy())
        contribution.add_to(held.array)
        pending[target] = held
        owned.add(target)
        return
    if contribution.array.shape != target.shape:
        contribution = unbroadcast(contribution, target.shape)
    if contribution.array.dtype is not target.dtype:
        contribution = to(contribution, target.dtype)
    if held is None:
        pending[target] = contribution
        if contribution.array is not g.array and contribution.array.base is None:
            owned.add(target)
    elif mode.enabled:
        pending[target] = held + contribution
    elif target in owned:
        np.add(held.array, contribution.array, out=held.array)
    else:
        pending[target] = new_tensor(held.array + contribution.array)
        owned.add(target)


# %% [markdown]
# And the walk: always the pending operation with the highest number, until only leaves are left.


# %%
def walk(root, seed, *, retain_graph=None, create_graph=False, wanted=None):
    """Carry `seed` from `root` back through the graph.

    Returns the gradients, by leaf, and the set of leaves whose gradient is a buffer of its own. With `wanted`
    (leaves and nodes) only what leads there is computed, and the gradients of those nodes are returned too.
    """
    retain_graph = create_graph if retain_graph is None else retain_graph
    start = root.grad_fn or root
    pending, owned, found = {start: seed}, set(), {}
    heap = [(-start.number, start)] if type(start) is Node else []
    needed = None if wanted is None else leading_to(start, wanted)
    with set_grad_enabled(create_graph):
        while heap:
            node = heapq.heappop(heap)[1]
            g = pending.pop(node)
            if wanted is not None and node in wanted:
                found[node] = g
            targets = [t if needed is None or t in needed else None for t in node.edges]
            if builtins.all(target is None for target in targets):
                continue
            if node.output is not None and node.output() is not None:  # retain_grad was asked for
                accumulate(node.output(), g, False, create_graph)
            saved = unpack(node, create_graph)
            joint = None if type(node.rules) is tuple else node.rules(g, *saved)
            for i, target in enumerate(targets):
                if target is None:
                    continue
                contribution = node.rules[i](g, *saved) if joint is None else joint[i]
                if type(target) is Node and target not in pending:
                    heapq.heappush(heap, (-target.number, target))
                add_gradient(pending, owned, target, contribution, g)
            if not retain_graph and node.saved:
                node.rules = node.saved = None
    return {**found, **pending}, owned


def leading_to(start, wanted):
    """The nodes between `start` and anything `wanted`, and the wanted themselves."""
    seen = {start} if type(start) is Node else set()
    stack = list(seen)
    while stack:
        for target in stack.pop().edges:
            if type(target) is Node and target not in seen:
                seen.add(target)
                stack.append(target)
    needed = set(wanted)
    for node in sorted(seen, key=lambda node: node.number):  # inputs before their users
        if not needed.isdisjoint(node.edges):
            needed.add(node)
    return needed


# %% [markdown]
# `backward` adds the gradients of the leaves to their `.grad`.


# %%
def backward(self, gradient=None, retain_graph=None, create_graph=False):
    """Add the gradient of this tensor to `.grad` of every leaf that requires it.

    Parameters
    ----------
    gradient : array-like or None
        $\\bar y$ of this tensor; may be left out for a single number.
    retain_graph : bool, default `create_graph`
        Keep what the graph saved, so that it can be walked again.
    create_graph : bool, default False
        Record the walk, so that the gradients can be differentiated.
    """
    seed = seed_gradient(self, gradient)
    gradients_by_leaf, owned = walk(self, seed, retain_graph=retain_graph, create_graph=create_graph)
    for leaf, g in gradients_by_leaf.items():
        accumulate(leaf, g, leaf in owned, create_graph)


@no_type_check
def accumulate(leaf, g, owned, create_graph):
    """Add `g` to `leaf.grad`, in place where there is one, never sharing memory with another gradient."""
    with set_grad_enabled(create_graph):
        if leaf.grad is None:
            leaf.grad = g if owned else clone(g)
        elif create_graph or leaf.grad.requires_grad:
            leaf.grad = leaf.grad + g
        else:
            leaf.grad += g


Tensor.backward = backward


def gradients(output, inputs, gradient=None, *, retain_graph=None, create_graph=False):
    """The gradients of `output` with respect to `inputs` (leaves or computed), as a list.

    No `.grad` is touched. An input that `output` does not depend on gets zeros.
    """
    keys = [x.grad_fn or x for x in inputs]
    found = {}
    if output.requires_grad:
        seed = seed_gradient(output, gradient)
        found, _ = walk(output, seed, retain_graph=retain_graph, create_graph=create_graph, wanted=set(keys))
    return [found[key] if key in found else zeros_like(x) for key, x in zip(keys, inputs, strict=True)]


# %% [markdown]
# ### Transformations
#
# Functions in, functions out, as in JAX. $f$ takes and returns tensors. Inside another transformation the
# result stays connected to the graph, so that transformations nest.


# %%
@contextlib.contextmanager
def transforming(primals):  # practice: keep
    """Fresh inputs for a function under transformation, and whether somebody outside differentiates
    through it.
    """
    tensors = [as_tensor(x) for x in primals]
    outside = mode.enabled and (mode.depth > 0 or sum([x.requires_grad for x in tensors]) > 0)
    for i, x in enumerate(tensors):
        if x.array.dtype.kind != "f":
            raise TypeError(f"differentiation needs floating-point inputs; input {i} is {x.array.dtype}")
    inputs = [
        record(x.array, (x,), (lambda g: g,))
        if outside and x.requires_grad
        else new_tensor(x.array).requires_grad_()
        for x in tensors
    ]
    mode.depth += 1
    try:
        with enable_grad():
            yield inputs, outside
    finally:
        mode.depth -= 1


def connected(x, outside):  # practice: keep
    """A result: with its history if somebody outside needs it."""
    return x if outside else x.detach()


def vjp(f, *primals):
    """`(value, pullback)`: $f(x)$, and the function $\\bar y \\mapsto (J^\\top \\bar y, \\dots)$, one
    entry for each primal.
    """
    with transforming(primals) as (inputs, outside):
        value = f(*inputs)

    def pullback(cotangent):
        found = gradients(value, inputs, cotangent, retain_graph=True, create_graph=outside)
        return tuple([connected(g, outside) for g in found])

    return connected(value, outside), pullback


def grad(f, argnums=0):
    """The function that computes the gradient of the scalar function `f` with respect to argument(s)
    `argnums`.
    """
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def gradient(*args):
        def f_of_chosen(*chosen):
            replaced = dict(zip(positions, chosen, strict=True))
            return f(*[replaced.get(i, x) for i, x in enumerate(args)])

        value, pullback = vjp(f_of_chosen, *[args[i] for i in positions])
        if value.array.size != 1:
            raise TypeError(f"grad needs a function with a single number as output, got shape {value.shape}")
        found = pullback(ones_like(value))
        return found[0] if isinstance(argnums, int) else found

    return gradient


def jvp(f, primals, tangents):
    """`(value, tangent)`: $f(x)$ and $J \\dot x$, by walking backward twice.

    $u \\mapsto J^\\top u$ is linear, and the gradient of $\\langle J^\\top u, \\dot x \\rangle$ in $u$ is
    $J \\dot x$.
    """
    primals, tangents = tuple(primals), [as_tensor(t) for t in tangents]
    if [as_tensor(x).shape for x in primals] != [t.shape for t in tangents]:
        raise ValueError(
            f"jvp: tangents must have the shapes of the primals, {[as_tensor(x).shape for x in primals]}, "
            f"got {[t.shape for t in tangents]}"
        )
    with transforming(primals) as (inputs, outside):
        value = f(*inputs)
        u = zeros_like(value).requires_grad_()
        pulled = gradients(value, inputs, u, create_graph=True)
        product = functools.reduce(add, [sum(p * t) for p, t in zip(pulled, tangents, strict=True)])
        (tangent,) = gradients(product, [u], create_graph=outside)
    return connected(value, outside), connected(tangent, outside)


def hessian_vector_product(f, x, v):
    """$H v$ for the Hessian $H$ of the scalar function `f` at `x`: the gradient of
    $\\langle \\nabla f(x), v \\rangle$.
    """
    v = as_tensor(v)
    with transforming((x,)) as (inputs, outside):
        if v.shape != inputs[0].shape:
            raise ValueError(
                f"hessian_vector_product: v must have the shape of x, {inputs[0].shape}, got {v.shape}"
            )
        (slope,) = gradients(f(*inputs), inputs, create_graph=True)
        (product,) = gradients(slope, inputs, v, create_graph=outside)
    return connected(product, outside)


# %% [markdown]
# ### Checkpoints
#
# Within a checkpoint, an operation saves no tensors but a *promise* of them. The first promise called in runs
# the segment again, and the recorded operations of that second run bring what the first did not keep, in the
# same order. Nothing else changes: the graph is the same, and so are second derivatives.


# %%
class Promise:
    """In place of saved tensors: the checkpoint that can compute them again, and their position in it."""

    __slots__ = ("checkpoint", "position")

    def __init__(self, checkpoint, position):  # practice: keep
        self.checkpoint, self.position = checkpoint, position

    def fulfil(self):
        """The saved tensors, from a new run of the segment if there is none at hand."""
        if self.position not in self.checkpoint.replayed:
            replay(self.checkpoint)
        return self.checkpoint.replayed.pop(self.position)


class CheckpointFrame:
    """One checkpointed call: its function and arguments, and, while they are needed, the replayed tensors."""

    def __init__(self, function, args):  # practice: keep
        self.function, self.args = function, args
        self.versions = [x.version[0] if isinstance(x, Tensor) else None for x in args]
        self.count, self.replayed = 0, {}

    def keep(self, saved):
        """Keep nothing of `saved`, and promise it."""
        self.count += 1
        return Promise(self, self.count - 1)


class Replay:
    """The second run: collects what every operation saves."""

    def __init__(self):  # practice: keep
        self.collected = []

    def keep(self, saved):
        """Collect `saved`."""
        self.collected.append(saved)
        return saved


@contextlib.contextmanager
def open_frame(frame):  # practice: keep
    """Operations recorded inside hand what they save to `frame`."""
    before, mode.frame = mode.frame, frame
    try:
        yield
    finally:
        mode.frame = before


def replay(frame):
    """Run the segment of `frame` again, and keep what its operations save."""
    for x, version in zip(frame.args, frame.versions, strict=True):
        if version is not None and x.version[0] != version:
            raise RuntimeError(
                "an argument of a checkpoint has been modified by an inplace operation before the backward "
                "pass"
            )
    second = Replay()
    with open_frame(second), enable_grad():
        frame.function(*frame.args)
    if len(second.collected) != frame.count:
        raise RuntimeError(
            f"checkpoint: the function saved tensors {frame.count} times at first and "
            f"{len(second.collected)} times when run again; it must be deterministic (draw random numbers "
            "outside, and pass them in)"
        )
    frame.replayed = dict(enumerate(second.collected))


def checkpoint(function, *args):
    """`function(*args)`, whose inside is computed again in the backward pass instead of being kept.

    `function` must be deterministic. A checkpoint within a checkpoint is part of the outer one.
    """
    if not mode.enabled or mode.frame is not None:
        return function(*args)
    with open_frame(CheckpointFrame(function, args)):
        return function(*args)


# %% [markdown]
# ### The forward mode
#
# A dual number carries a value and how it moves: $x + \dot x\, \varepsilon$ with $\varepsilon^2 = 0$. So
# $f(x + \dot x \varepsilon) = f(x) + f'(x)\, \dot x\, \varepsilon$, and every NumPy function needs one more
# rule: what it makes of each argument's tangent $t$. NumPy asks `__array_ufunc__` when it meets a `Dual`, so
# that formulas written with NumPy run as they are. Duals of duals give second derivatives.

# %%
# ufunc: for each argument, (its tangent t, the result y, all arguments) -> its part of the result's tangent
TANGENT_RULES = {
    np.add: (lambda t, y, a, b: t, lambda t, y, a, b: t),
    np.subtract: (lambda t, y, a, b: t, lambda t, y, a, b: -t),
    np.multiply: (lambda t, y, a, b: t * b, lambda t, y, a, b: a * t),
    np.divide: (lambda t, y, a, b: t / b, lambda t, y, a, b: -t * y / b),
    np.matmul: (lambda t, y, a, b: t @ b, lambda t, y, a, b: a @ t),
    np.power: (lambda t, y, a, b: t * b * a ** (b - 1), lambda t, y, a, b: t * y * np.log(a)),
    np.negative: (lambda t, y, a: -t,),
    np.positive: (lambda t, y, a: t,),
    np.absolute: (lambda t, y, a: t * np.sign(a),),
    np.exp: (lambda t, y, a: t * y,),
    np.expm1: (lambda t, y, a: t * (y + 1),),
    np.log: (lambda t, y, a: t / a,),
    np.log1p: (lambda t, y, a: t / (1 + a),),
    np.sqrt: (lambda t, y, a: t / (2 * y),),
    np.square: (lambda t, y, a: t * 2 * a,),
    np.reciprocal: (lambda t, y, a: -t * y * y,),
    np.sin: (lambda t, y, a: t * np.cos(a),),
    np.cos: (lambda t, y, a: -t * np.sin(a),),
    np.tan: (lambda t, y, a: t * (1 + y * y),),
    np.arctan: (lambda t, y, a: t / (1 + a * a),),
    np.sinh: (lambda t, y, a: t * np.cosh(a),),
    np.cosh: (lambda t, y, a: t * np.sinh(a),),
    np.tanh: (lambda t, y, a: t * (1 - y * y),),
    np.maximum: (
        lambda t, y, a, b: t * (np.greater(a, b) + 0.5 * np.equal(a, b)),
        lambda t, y, a, b: t * (np.less(a, b) + 0.5 * np.equal(a, b)),
    ),
    np.minimum: (
        lambda t, y, a, b: t * (np.less(a, b) + 0.5 * np.equal(a, b)),
        lambda t, y, a, b: t * (np.greater(a, b) + 0.5 * np.equal(a, b)),
    ),
}
WITHOUT_TANGENT = {
    np.greater,
    np.less,
    np.greater_equal,
    np.less_equal,
    np.equal,
    np.not_equal,
    np.sign,
    np.isnan,
}


class Dual(np.lib.mixins.NDArrayOperatorsMixin):
    """A value and its tangent: `f(Dual(x, t)).tangent` is the derivative of `f` at `x` along `t`.

    Works for functions written with operators and NumPy's elementary functions (`TANGENT_RULES` lists them).
    """

    def __init__(self, value, tangent=0.0):  # practice: keep
        self.value = value
        self.tangent = tangent

    def __repr__(self):
        return f"Dual({self.value}, {self.tangent})"

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        values = [x.value if isinstance(x, Dual) else x for x in inputs]
        if method != "__call__" or kwargs:
            return NotImplemented
        if ufunc in WITHOUT_TANGENT:
            return ufunc(*values)
        if ufunc not in TANGENT_RULES:
            raise TypeError(f"Dual has no tangent rule for numpy.{ufunc.__name__}")
        y = ufunc(*values)
        return Dual(y, tangent_of(TANGENT_RULES[ufunc], inputs, y, values))

    def __getattr__(self, name):  # practice: keep
        ufunc = getattr(np, name, None)
        if ufunc not in TANGENT_RULES:
            raise AttributeError(f"Dual has no attribute {name!r}")
        return lambda: ufunc(self)


def tangent_of(rules, inputs, y, values):
    """The tangent of a result: the sum of what the rules make of the tangents of the inputs."""
    tangent = 0.0
    for rule, x in zip(rules, inputs, strict=True):
        if isinstance(x, Dual):
            tangent = tangent + rule(x.tangent, y, *values)
    return tangent


# %% [markdown]
# ## 4. Validate
#
# | | here | torch |
# |---|---|---|
# | `tensor([1.0])` | float32; NumPy arrays and scalars keep their type | the same |
# | float32 array and 0-d float64 | float32 | float32 (NumPy alone: float64) |
# | NumPy array as operand | taken as a tensor: the levels above mix both | mostly refused |
# | `x += y`, `x[i] = y` while recording | refused where gradients are needed | recorded if computed |
# | the same in `no_grad` | allowed, and noticed by the walk | the same |
# | writing through `.array`, `.data` | not noticed: how optimizers update | the same |
# | `grad`, `vjp`, `jvp` | of functions, as in JAX | `torch.func` |
# | `gradients(y, [x])` | a list | `torch.autograd.grad` |
# | `clip` | bounds are numbers | also tensors |
# | `pad` | `mode="constant"` | three more |
# | `linear(…, activation=…)` | fused: one pass over memory less | separate |
# | checkpoint in a checkpoint | part of the outer one | nested |
# | complex and sparse tensors, hooks | none: nothing above needs them | yes |
#
# Every operation is compared with torch, value, gradient and second derivative, in the tests of this topic;
# here is a cross-section on real data.


# %%
def validate():
    """Gradients, Hessians and transformations against torch on the digits, in float64 and float32."""
    import torch

    from shared.agreement import Comparison
    from shared.datasets import load_digits

    digits = load_digits()
    X, y = digits.X[:64] / 16.0, digits.y[:64]  # (64, 64), (64,)
    rng = np.random.default_rng(0)
    shapes = [(32, 64), (32,), (10, 32), (10,)]
    parameters = [rng.standard_normal(shape) * 0.2 for shape in shapes]
    comparison = Comparison(reference="torch.autograd", dataset="digits")
    for activation in ("relu", "tanh", "gelu"):
        compare_network(comparison, torch, X, y, parameters, activation, np.float64, 1e-10)
    compare_network(comparison, torch, X, y, parameters, "tanh", np.float32, 2e-5)
    compare_hessian(comparison.on(reference="torch.autograd.functional.hessian"), torch, X[:, 20:24], y)
    compare_products(comparison.on(reference="torch.autograd.functional"), torch, X, y, parameters)
    compare_repeated_indices(comparison, torch, X, y)
    return comparison.agreements


def network_loss(x, y, parameters, activation):  # practice: keep
    """Cross-entropy of a two-layer network."""
    w1, b1, w2, b2 = parameters
    return cross_entropy(linear(linear(x, w1, b1, activation=activation), w2, b2), y)


def torch_loss(torch, x, y, parameters, activation):  # practice: keep
    """The same with torch."""
    w1, b1, w2, b2 = parameters
    functional = torch.nn.functional
    hidden = getattr(functional, activation)(functional.linear(x, w1, b1))
    return functional.cross_entropy(functional.linear(hidden, w2, b2), y)


def compare_network(comparison, torch, X, y, parameters, activation, dtype, tolerance):  # practice: keep
    """Loss and all gradients of a two-layer network."""

    def ours():
        leaves = [tensor(p.astype(dtype), requires_grad=True) for p in parameters]
        loss = network_loss(tensor(X.astype(dtype)), y, leaves, activation)
        loss.backward()
        return loss.item(), np.concatenate([p.grad.array.ravel() for p in leaves])

    def theirs():
        leaves = [torch.tensor(p.astype(dtype), requires_grad=True) for p in parameters]
        loss = torch_loss(torch, torch.tensor(X.astype(dtype)), torch.tensor(y), leaves, activation)
        loss.backward()
        return loss.item(), np.concatenate([p.grad.numpy().ravel() for p in leaves])

    reason = (
        "the same formulas in another order of summation: rounding only"
        if dtype == np.float64
        else "float32 rounding, 6e-8, over sums of 64 terms in two layers"
    )
    (loss, gradient), (loss_torch, gradient_torch) = comparison.run(ours, theirs)
    name = f"{activation}, {np.dtype(dtype)}"
    comparison.compare(f"loss, {name}", loss, loss_torch, tolerance=tolerance, reason=reason)
    comparison.compare(f"gradients, {name}", gradient, gradient_torch, tolerance=tolerance, reason=reason)


def compare_hessian(comparison, torch, X, y):  # practice: keep
    """The whole Hessian of a small two-layer network, column by column."""
    rng = np.random.default_rng(1)
    start = rng.standard_normal(3 * 4 + 10 * 3) * 0.5

    def loss(w):
        hidden = tanh(tensor(X) @ w[:12].reshape(4, 3))  # (64, 3)
        return cross_entropy(hidden @ w[12:].reshape(3, 10), y)

    def loss_torch(w):
        hidden = torch.tanh(torch.tensor(X) @ w[:12].reshape(4, 3))
        return torch.nn.functional.cross_entropy(hidden @ w[12:].reshape(3, 10), torch.tensor(y))

    ours, theirs = comparison.run(
        lambda: np.stack([hessian_vector_product(loss, start, e).numpy() for e in np.eye(start.size)]),
        lambda: torch.autograd.functional.hessian(loss_torch, torch.tensor(start)).numpy(),
    )
    comparison.compare(
        "Hessian of a two-layer network", ours, theirs, tolerance=1e-10, reason="closed form: rounding only"
    )


def compare_products(comparison, torch, X, y, parameters):  # practice: keep
    """Forward and reverse products with the Jacobian of the network's outputs."""
    rng = np.random.default_rng(2)
    tangent, cotangent = rng.standard_normal(X.shape), rng.standard_normal((len(X), 10))

    def outputs(x):
        return softmax(
            linear(tanh(linear(x, parameters[0], parameters[1])), parameters[2], parameters[3]), -1
        )

    def outputs_torch(x):
        w1, b1, w2, b2 = (torch.tensor(p) for p in parameters)
        return torch.softmax(torch.tanh(x @ w1.T + b1) @ w2.T + b2, -1)

    def outputs_dual(x):
        w1, b1, w2, b2 = parameters
        e = np.exp(np.tanh(x @ w1.T + b1) @ w2.T + b2)
        return e / (e @ np.ones((10, 10)))

    x, reason = torch.tensor(X), "closed form: rounding only"
    ours, theirs = comparison.run(
        lambda: jvp(outputs, (X,), (tangent,))[1].numpy(),
        lambda: torch.autograd.functional.jvp(outputs_torch, x, torch.tensor(tangent))[1].numpy(),
    )
    comparison.compare("Jacobian times vector, jvp", ours, theirs, tolerance=1e-10, reason=reason)
    ours, _ = comparison.run(lambda: outputs_dual(Dual(X, tangent)).tangent, lambda: None)
    comparison.compare("Jacobian times vector, dual numbers", ours, theirs, tolerance=1e-10, reason=reason)
    ours, theirs = comparison.run(
        lambda: vjp(outputs, X)[1](cotangent)[0].numpy(),
        lambda: torch.autograd.functional.vjp(outputs_torch, x, torch.tensor(cotangent))[1].numpy(),
    )
    comparison.compare("vector times Jacobian, vjp", ours, theirs, tolerance=1e-10, reason=reason)


def compare_repeated_indices(comparison, torch, X, y):  # practice: keep
    """Class means by index: gradients add up over repeated rows."""

    def ours():
        x = tensor(X, requires_grad=True)
        (x[y] * x[y[::-1].copy()]).sum().backward()
        return x.grad.numpy()

    def theirs():
        x, index = torch.tensor(X, requires_grad=True), torch.tensor(y)
        (x[index] * x[index.flip(0)]).sum().backward()
        return x.grad.numpy()

    result, result_torch = comparison.run(ours, theirs)
    comparison.compare(
        "gradient over repeated indices",
        result,
        result_torch,
        tolerance=1e-10,
        reason="sums of a few terms: rounding only",
    )


# %% [markdown]
# Speed: forward and backward run of the network 784-256-10 in float32, over the batch and over the width.


# %%
def benchmarks():
    """Forward and backward run of a two-layer network against torch."""
    from shared.agreement import Benchmark

    return [
        Benchmark(
            name="network 784-256-10, over the batch",
            sizes=(64, 128, 256, 512),
            setup=functools.partial(race_network, width=256),
            expected_exponent=1.0,
            reference="torch.autograd",
            repeats=15,
        ),
        Benchmark(
            name="network 784-w-10 at batch 128, over the width",
            sizes=(128, 256, 512, 1024),
            setup=lambda width: race_network(128, width),
            expected_exponent=1.0,
            reference="torch.autograd",
            repeats=15,
            unit="hidden units",
        ),
    ]


def race_network(batch, width):  # practice: keep
    """Two callables, ours and torch's, each one forward and backward run."""
    import torch

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((batch, 784), dtype=np.float32), rng.integers(0, 10, batch)
    shapes = [(width, 784), (width,), (10, width), (10,)]
    parameters = [rng.standard_normal(shape, dtype=np.float32) * 0.05 for shape in shapes]
    leaves = [tensor(p, requires_grad=True) for p in parameters]
    leaves_torch = [torch.tensor(p, requires_grad=True) for p in parameters]
    x, x_torch, y_torch = tensor(X), torch.tensor(X), torch.tensor(y)

    def ours():
        for p in leaves:
            p.grad = None
        network_loss(x, y, leaves, "relu").backward()

    def theirs():
        for p in leaves_torch:
            p.grad = None
        torch_loss(torch, x_torch, y_torch, leaves_torch, "relu").backward()

    return ours, theirs


# %% [markdown]
# ## 5. Document
#
# The gradient need not be of the loss with respect to the weights. Below a small network learns the digits by
# plain gradient descent, then is asked the reverse question: which *pixels* would change its answer? The
# derivative of the winning score with respect to the image is one backward walk.


# %%
def train_small_network(X, y, n_steps=150, step_size=0.5):  # practice: keep
    """Plain gradient descent on a 64-32-10 network; returns its parameters."""
    rng = np.random.default_rng(0)
    shapes = [(32, 64), (32,), (10, 32), (10,)]
    parameters = [tensor(rng.standard_normal(s) / math.sqrt(s[-1]), requires_grad=True) for s in shapes]
    for _ in range(n_steps):
        loss = network_loss(X, y, parameters, "tanh")
        for p, g in zip(parameters, gradients(loss, parameters), strict=True):
            p.array -= step_size * g.array
    return parameters


def example():
    """Digits, and the derivative of the network's winning score with respect to each pixel."""
    from shared.datasets import load_digits
    from shared.figures import subplots

    digits = load_digits()
    X = digits.X / 16.0
    w1, b1, w2, b2 = train_small_network(X[:1000], digits.y[:1000])
    images = tensor(X[1000:1006], requires_grad=True)
    scores = linear(linear(images, w1, b1, activation="tanh"), w2, b2)  # (6, 10)
    winners = argmax(scores, 1).numpy()
    amax(scores, 1).sum().backward()
    slopes = images.grad.numpy().reshape(-1, 8, 8)
    figure, axes = subplots(2, 6, width=8.0, height=3.2)
    for i in range(6):
        axes[0, i].imshow(X[1000 + i].reshape(8, 8), cmap="gray_r")
        axes[0, i].set_title(f"looks like {winners[i]}")
        axes[1, i].imshow(slopes[i], cmap="RdBu", vmin=-np.abs(slopes).max(), vmax=np.abs(slopes).max())
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
    figure.suptitle("More ink raises the score where blue, lowers it where red")
    axes[0, 0].set_ylabel("image")
    axes[1, 0].set_ylabel("d score / d pixel")
    return figure


# %% [markdown]
# **When to use it.** Whenever a program computes a number and you need its gradient: reverse mode
# (`backward`, `grad`) for few outputs and many inputs, forward mode (`Dual`, `jvp`) for few inputs,
# `hessian_vector_product` for curvature. Finite differences (`shared.gradients`) remain the tool to *check* a
# gradient, because they know nothing of its formulas.
#
# **When not.** Through integers, sorting order, or branches the derivative is that of the branch taken, often
# zero. Through long iterations that converge, differentiate the fixed point instead (implicit
# differentiation). Where a closed-form gradient is simple, write it.
#
# **How it breaks**: differences lose digits, depth costs memory, `where` makes NaN; see the
# [failure modes](failure_modes/automatic_differentiation.py).
#
# **Try it.** Change `exp`'s rule to return `g` and run the tests. Give `tanh` the rule `g / cosh(x)^2`: what
# does it save, and what happens at $x = 1000$?

# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example)
