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
# # The walk, whole
#
# Part of the topic [automatic differentiation](../../automatic_differentiation.py), which shows it in one breath. Three
# things are added here: gradients are summed in place where nobody else sees the buffer, what the rules saved is checked and
# freed, and only what leads to the wanted inputs is computed.

# %%
from __future__ import annotations

import contextlib
import heapq
from typing import no_type_check

import numpy as np

from level1_foundations.parts.automatic_differentiation.checkpoints import Promise
from level1_foundations.parts.automatic_differentiation.elementwise import to
from level1_foundations.parts.automatic_differentiation.indexing import clone, zeros_like
from level1_foundations.parts.automatic_differentiation.tensor import (
    Node,
    PartialGradient,
    Tensor,
    as_tensor,
    enable_grad,
    mode,
    new_tensor,
    record,
    set_grad_enabled,
)

__all__ = [
    "accumulate", "add_gradient", "backward", "connected", "gradients", "leading_to", "result_of", "seed_gradient", "transforming", "unbroadcast", "unpack", "walk",
]  # fmt: skip

# %% [markdown]
# The transpose of broadcasting comes first: sum over the axes that were added or repeated.


# %%
def unbroadcast(g, shape):
    """`g` summed to `shape`, from which it had been broadcast."""
    added = g.ndim - len(shape)
    repeated = tuple([i for i, n in enumerate(g.shape) if i < added or (shape[i - added] == 1 and n != 1)])
    return g.sum(repeated).reshape(shape) if repeated else g.reshape(shape)


# %% [markdown]
# The gradient at the end of the walk is $\bar y_n = 1$ for a number; a tensor needs to be told its $\bar y_n$.


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
# Gradients that reach the same place add up. The first to arrive is kept as it is, and only a buffer that nobody else can
# see (`owned`) is added to in place.


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
            if all(target is None for target in targets):
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
# Functions under transformation get fresh inputs; their results stay connected where somebody outside differentiates, too.


# %%
@contextlib.contextmanager
def transforming(primals):
    """Fresh inputs for a function under transformation, and whether somebody outside differentiates
    through it.
    """
    tensors = [as_tensor(x) for x in primals]
    outside = mode.enabled and (mode.depth > 0 or any(x.requires_grad for x in tensors))
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


def result_of(f, inputs):
    """What `f` returns for these inputs, if it is a tensor.

    Raises:
        TypeError: it returned something else.
    """
    value = f(*inputs)
    if type(value) is not Tensor:
        raise TypeError(
            f"the function must return a Tensor made of its arguments, got {type(value).__name__}"
        )
    return value


def connected(x, outside):
    """A result: with its history if somebody outside needs it."""
    return x if outside else x.detach()
