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
# **The question.** Given a program that computes a number from a million numbers, how do we get all million derivatives,
# exact to rounding, for the price of a few runs of the program?
#
# **Builds on** the chain rule, and on NumPy. **Carries** every network of Levels 3 to 6.
#
# **Mirrors** `torch`: `Tensor`, its methods, `torch.*` and `torch.nn.functional.*` by name, and of JAX the transformations
# `grad`, `vjp`, `jvp`.
#
# **Sources.** R. E. Wengert, *A simple automatic derivative evaluation program* (1964), for the forward mode; S. Linnainmaa,
# *Taylor expansion of the accumulated rounding error* (1976), for the reverse mode; A. Griewank and A. Walther, *Evaluating
# Derivatives* (2nd ed. 2008), chapters 3 and 12, for cost and checkpoints; W. Baur and V. Strassen, *The complexity of partial
# derivatives* (1983); B. Pearlmutter, *Fast exact multiplication by the Hessian* (1994).

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | in the code | shape |
# |---|---|---|---|
# | $z_0$, $z_k$ | the $d$ inputs of the program; the value after operation $k$ of $n$ | | any |
# | $L = z_n$ | the number at the end | `loss` | () |
# | $J_k$, $J$ | Jacobian of operation $k$; of a whole function | | (outputs, inputs) |
# | $x$, $y$ | input and output of one operation | `input`, `y` | any |
# | $\bar y = \partial L / \partial y$ | the gradient that arrives at $y$ | `g` | as $y$ |
# | $\dot x$ | a direction in which $x$ moves | `tangent` | as $x$ |
#
# **A program is a chain of operations.** Running it computes $z_k = f_k(z_{k-1})$ for $k = 1, \dots, n$, from the inputs to
# the number $L$. By the chain rule the derivative is a product of Jacobians,
#
# $$ \frac{\partial L}{\partial z_0} = J_n\, J_{n-1} \cdots J_1,
# \qquad J_k = \frac{\partial f_k}{\partial z_{k-1}} . $$
#
# **The order of multiplication is the whole difference.** From the right, $\dot z_k = J_k\, \dot z_{k-1}$ carries one
# direction $\dot z_0$ forward, along with the values: one run tells how $L$ moves when the inputs move along it. For all $d$
# directions it takes $d$ runs. From the left,
#
# $$ \bar z_{k-1} = J_k^\top\, \bar z_k , \qquad \bar z_n = 1, $$
#
# carries the one row $\partial L / \partial z_k$ backward, and ends with all $d$ derivatives after one run. No Jacobian is
# ever formed: each operation brings a *rule* that applies $J^\top$ to a vector. For an elementwise $y = f(x)$, $J$ is
# diagonal and the rule is $\bar x = f'(x) \odot \bar y$. For $Y = A B$, let $A$ move by $dA$: then
#
# $$ dL = \langle \bar Y, dA\, B \rangle = \operatorname{tr}(\bar Y^\top dA\, B)
# = \operatorname{tr}(B \bar Y^\top dA) = \langle \bar Y B^\top, dA \rangle
# \quad\Longrightarrow\quad \bar A = \bar Y B^\top, \quad \bar B = A^\top \bar Y . $$
#
# **Copies and sums are each other's transpose.** If a value is used twice, $L$ moves through both uses, so the gradients
# *add*. Broadcasting is a copy along an axis; its transpose is the sum over that axis. The transpose of a sum is a copy.
#
# **From chains to graphs.** Programs branch, so operations form a directed graph without cycles. The gradient of a value is
# complete once *all* operations that used it have sent theirs. Number the operations in the order in which they ran: users
# have higher numbers than what they use. Hence this walk is right: take the pending operation with the highest number, apply
# its rules, add the results to the gradients of its inputs, repeat. It needs a priority queue and no recursion, however deep
# the graph.
#
# **Cost.** Count the additions, subtractions, multiplications and divisions of a program of $n$ such operations, each with two
# arguments; signs and traffic of memory are free. The rules take at most $2n$ products and quotients, one for each argument. A
# gradient that arrives first is stored, and later ones are added: at most $2n$ arrive, and at least $n$ of them first (at the $n - 1$
# values on the way and at an input), which leaves $n$ additions. With the run itself that is $4n$ operations at most, whatever $d$
# is: the *cheap gradient principle* (Baur and Strassen 1983). For a matrix product it is three products, or two if one factor needs no gradient. The price
# is memory: rules need values of the forward run ($B$ above), so memory grows with $n$, where the forward mode needs none. A
# *checkpoint* keeps only the input of a segment and runs it again when its gradients are due. With $\sqrt n$ segments,
# $2 \sqrt n$ values are alive instead of $n$, for one more forward run.
#
# **Derivatives of derivatives.** If the rules are themselves made of recorded operations, the backward walk leaves a graph
# too, and can be differentiated. Two uses:
#
# - *Hessian times vector.* $H v = \nabla \langle \nabla L, v \rangle$: two walks, no Hessian.
# - *The forward mode's result from the reverse mode.* $u \mapsto J^\top u$ is linear in $u$, and its transpose, found by
#   walking backward once more, is $\dot x \mapsto J \dot x$. That takes more than the reverse mode's memory and time.
#
# **Assumptions.** Each operation is differentiable where it is evaluated; at its corners we take torch's subgradient. A composite
# need not get one: relu(x) - relu(-x) is x, and at 0 we give 0. You get the derivative of the branch that ran, without rounding.

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import builtins
import functools
import itertools
import math
import sys

import numpy as np

from level1_foundations.parts.automatic_differentiation import (
    agreements,
    checkpoints,
    dual_numbers,
    elementwise,
    indexing,
    networks,
    reductions,
)
from level1_foundations.parts.automatic_differentiation.checkpoints import *  # noqa: F403
from level1_foundations.parts.automatic_differentiation.dual_numbers import *  # noqa: F403
from level1_foundations.parts.automatic_differentiation.elementwise import *  # noqa: F403
from level1_foundations.parts.automatic_differentiation.elementwise import gate
from level1_foundations.parts.automatic_differentiation.indexing import *  # noqa: F403
from level1_foundations.parts.automatic_differentiation.indexing import ones_like, zeros_like
from level1_foundations.parts.automatic_differentiation.networks import *  # noqa: F403
from level1_foundations.parts.automatic_differentiation.networks import linear
from level1_foundations.parts.automatic_differentiation.reductions import *  # noqa: F403
from level1_foundations.parts.automatic_differentiation.reductions import amax, argmax
from level1_foundations.parts.automatic_differentiation.tensor import (
    Node,
    Tensor,
    as_tensor,
    axes_of,
    enable_grad,
    floating,
    is_grad_enabled,
    no_grad,
    operands,
    record,
    record_view,
    set_grad_enabled,
    sum_type,
    tensor,
)
from level1_foundations.parts.automatic_differentiation.walk import (
    accumulate,
    add_gradient,
    backward,
    connected,
    gradients,
    leading_to,
    result_of,
    seed_gradient,
    transforming,
    unbroadcast,
    unpack,
    walk,
)

__all__ = [
    "BREATH", "Node", "Tensor", "Value", "accumulate", "add", "add_gradient", "as_tensor", "backward", "broadcast_to", "enable_grad",
    "exp", "grad", "gradients", "hessian_vector_product", "is_grad_enabled", "jvp", "leading_to", "matmul", "mul", "multiply",
    "no_grad", "plain_backward", "record", "relu", "reshape", "seed_gradient", "set_grad_enabled", "sum", "tanh", "tensor",
    "unbroadcast", "unpack", "vjp", "walk",
    *checkpoints.__all__, *dual_numbers.__all__, *elementwise.__all__, *indexing.__all__, *networks.__all__, *reductions.__all__,
]  # fmt: skip

BREATH = "plain_backward"
count = itertools.count()

# %% [markdown]
# ### In one breath


# %%
class Value:
    """An array that remembers how it was made: its parents, and for each the rule that carries a gradient to it."""

    def __init__(self, array, parents=(), rules=()):  # practice: keep
        self.array, self.parents, self.rules = np.asarray(array, float), parents, rules
        self.number, self.grad = next(count), 0.0

    def __add__(self, other):  # practice: keep
        return Value(self.array + other.array, (self, other), (lambda g: g, lambda g: g))

    def __mul__(self, other):  # practice: core
        return Value(
            self.array * other.array, (self, other), (lambda g: g * other.array, lambda g: g * self.array)
        )

    def __matmul__(self, other):  # practice: core
        rules = (lambda g: g @ other.array.T, lambda g: self.array.T @ g)
        return Value(self.array @ other.array, (self, other), rules)

    def tanh(self):  # practice: keep
        y = np.tanh(self.array)
        return Value(y, (self,), (lambda g: g * (1 - y * y),))

    def sum(self):  # practice: keep
        return Value(self.array.sum(), (self,), (lambda g: np.full(self.array.shape, g),))


def plain_backward(loss):  # practice: core
    """Leave the gradient of a number at every value that it was made of, in `.grad`."""
    loss.grad, todo = 1.0, {loss.number: loss}
    while todo:
        value = todo.pop(builtins.max(todo))  # users have higher numbers, so its gradient is complete
        for parent, rule in zip(value.parents, value.rules, strict=True):
            parent.grad = parent.grad + rule(value.grad)
            todo[parent.number] = parent


# %% [markdown]
# **What is wrong with it.** Shapes must fit, since nothing is broadcast; every array is float64; everything is kept until
# the end, and nothing notices when a value is changed in place; and its rules work on bare arrays, so that a derivative has
# no derivative. The rest of the page writes operations whose rules are operations themselves. Its parts hold the tape
# ([tensor](parts/automatic_differentiation/tensor.py)), the [walk](parts/automatic_differentiation/walk.py) with what spares
# time and memory, [checkpoints](parts/automatic_differentiation/checkpoints.py), the forward mode ([dual
# numbers](parts/automatic_differentiation/dual_numbers.py)), and more operations of the same form:
# [elementwise](parts/automatic_differentiation/elementwise.py), [reductions](parts/automatic_differentiation/reductions.py),
# [shapes and indices](parts/automatic_differentiation/indexing.py), [layers and
# losses](parts/automatic_differentiation/networks.py).

# %% [markdown]
# ### An operation and its rule
#
# Every operation has the same form: compute the value with NumPy, then tell `record` the inputs, one rule for each, and what
# the rules need. A rule gets $\bar y$ (as `g`) and the saved tensors, and returns $\bar x$. Rules are written in tensor
# operations, so that the walk itself can be recorded.
#
# $$ y = a + b: \quad \bar a = \bar y, \ \bar b = \bar y
# \qquad\qquad y = a \odot b: \quad \bar a = \bar y \odot b, \ \bar b = \bar y \odot a $$
#
# (Where $a$ was broadcast, the walk sums $\bar a$ back to the shape of $a$.) The helpers, one line each:
#
# - `as_tensor(x)`: x as a Tensor, of its own number type; for one input whose type stays.
# - `operands(a, b)`: both as Tensors of the type that torch would choose; for two inputs.
# - `floating(x)`: as `as_tensor`, but integers become float32; for functions such as exp.
# - `record(array, inputs, rules, saved)`: the result as a Tensor that remembers its inputs, a rule for each, and what they save.
# - `record_view(array, input, rule)`: the same for a result that shares the input's memory.
# - `axes_of(x, dim)`: the axes that `dim` names, checked.


# %%
def add(input, other):
    """$y = a + b$, elementwise with broadcasting."""
    a, b = operands(input, other)
    return record(a.array + b.array, (a, b), (lambda g: g, lambda g: g))


def multiply(input, other):  # practice: core
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


def tanh(input):  # practice: core
    """$y = \\tanh x$."""
    x = floating(input)
    return record(np.tanh(x.array), (x,), (lambda g, y: g * (1.0 - y * y),), saves_output=True)


def relu(input):
    """$y = \\max(x, 0)$; the slope at 0 is 0."""
    x = as_tensor(input)
    return record(
        np.maximum(x.array, 0), (x,), (lambda g, y: gate(g, ~(y <= 0)),), saves_output=True
    )  # NaN passes


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


def sum(input, dim=None, keepdim=False):  # practice: core
    """$y = \\sum_i x_i$ over the axes `dim` (all if `None`): every $\\bar x_i = \\bar y$."""
    x = as_tensor(input)
    axes = axes_of(x, dim)
    y = x.array.sum(axis=axes, keepdims=keepdim, dtype=sum_type(x.array))
    shape = x.array.shape
    axes = range(len(shape)) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    axes = {axis % len(shape) for axis in axes} if shape else ()
    kept = tuple([1 if i in axes else n for i, n in enumerate(shape)])
    return record(y, (x,), (lambda g: broadcast_to(reshape(g, kept), shape),))


# %% [markdown]
# The matrix product, with the rule derived above: $\bar A = \bar Y B^\top$, $\bar B = A^\top \bar Y$. Stacks of matrices
# broadcast over their leading axes; a stack times one matrix is a single product of all rows.


# %%
def matmul(input, other):  # practice: core
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
Tensor.backward = backward
mul = multiply

# %% [markdown]
# ### Transformations
#
# Functions in, functions out, as in JAX. $f$ takes and returns tensors. Inside another transformation the result stays
# connected to the graph, so that transformations nest. The helpers:
#
# - `transforming(primals)`: a context with fresh inputs for $f$, and whether another transformation is around this one.
# - `gradients(y, inputs, g, create_graph)`: the walk from `y` (with $\bar y$ = `g`, by default 1): a list, $\bar x$ for each input.
# - `connected(x, outside)`: the result, with its history where something outside may differentiate it again.


# %%
def vjp(f, *primals):
    """`(value, pullback)`: $f(x)$, and the function $\\bar y \\mapsto (J^\\top \\bar y, \\dots)$, one
    entry for each primal.
    """
    with transforming(primals) as (inputs, outside):
        value = result_of(f, inputs)

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
        if not set(positions) <= set(range(len(args))):
            raise ValueError(f"grad: argnums must number the {len(args)} arguments from 0, got {argnums}")

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
        value = result_of(f, inputs)
        u = zeros_like(value).requires_grad_()
        pulled = gradients(value, inputs, u, create_graph=True)
        product = functools.reduce(add, [sum(p * t) for p, t in zip(pulled, tangents, strict=True)])
        (tangent,) = gradients(product, [u], create_graph=outside)
    return connected(value, outside), connected(tangent, outside)


def hessian_vector_product(f, x, v):  # practice: core
    """$H v$ for the Hessian $H$ of the scalar function `f` at `x`: the gradient of
    $\\langle \\nabla f(x), v \\rangle$.
    """
    v = as_tensor(v)
    with transforming((x,)) as (inputs, outside):
        if v.shape != inputs[0].shape:
            raise ValueError(
                f"hessian_vector_product: v must have the shape of x, {inputs[0].shape}, got {v.shape}"
            )
        (slope,) = gradients(result_of(f, inputs), inputs, create_graph=True)
        (product,) = gradients(slope, inputs, v, create_graph=outside)
    return connected(product, outside)


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
# Every operation is compared with torch, value, gradient and second derivative, in the tests of this topic; here is a
# cross-section on real data.


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
    comparison, topic = Comparison(reference="torch.autograd", dataset="digits"), sys.modules[__name__]
    for activation in ("relu", "tanh", "gelu"):
        agreements.compare_network(topic, comparison, torch, X, y, parameters, activation, np.float64, 1e-10)
    agreements.compare_network(topic, comparison, torch, X, y, parameters, "tanh", np.float32, 2e-5)
    hessian = comparison.on(reference="torch.autograd.functional.hessian")
    agreements.compare_hessian(topic, hessian, torch, X[:, 20:24], y)
    products = comparison.on(reference="torch.autograd.functional")
    agreements.compare_products(topic, products, torch, X, y, parameters)
    agreements.compare_repeated_indices(topic, comparison, torch, X, y)
    return comparison.agreements


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
            setup=lambda batch: agreements.race_network(
                sys.modules[__name__], (Value, plain_backward), batch, 256
            ),
            expected_exponent=1.0,
            reference="torch.autograd",
            repeats=15,
        ),
        Benchmark(
            name="network 784-w-10 at batch 128, over the width",
            sizes=(128, 256, 512, 1024),
            setup=lambda width: agreements.race_network(
                sys.modules[__name__], (Value, plain_backward), 128, width
            ),
            expected_exponent=1.0,
            reference="torch.autograd",
            repeats=15,
            unit="hidden units",
        ),
    ]


# %% [markdown]
# ## 5. Document
#
# The gradient need not be of the loss with respect to the weights. Below a small network learns the digits by plain gradient
# descent, then is asked the reverse question: which *pixels* would change its answer? The derivative of the winning score
# with respect to the image is one backward walk.


# %%
def train_small_network(X, y, n_steps=150, step_size=0.5):  # practice: keep
    """Plain gradient descent on a 64-32-10 network; returns its parameters."""
    rng = np.random.default_rng(0)
    shapes = [(32, 64), (32,), (10, 32), (10,)]
    parameters = [tensor(rng.standard_normal(s) / math.sqrt(s[-1]), requires_grad=True) for s in shapes]
    for _ in range(n_steps):
        loss = agreements.network_loss(sys.modules[__name__], X, y, parameters, "tanh")
        for p, g in zip(parameters, gradients(loss, parameters), strict=True):
            p.array -= step_size * g.array
    return parameters


def mechanism():
    """The graph of L, the sum of tanh(Wx) · b + tanh(Wx), at x = 1: below each value its number, above it the gradient that
    arrived. The tanh is used twice, and its two gradients add."""
    from shared.figures import COLORS, subplots

    x, w, b = Value(1.0), Value(0.5), Value(3.0)
    first = w * x
    hidden = first.tanh()
    product = hidden * b
    total = product + hidden
    loss = total.sum()
    plain_backward(loss)
    places = {
        "x": (x, 0, 1), "W": (w, 0, -1), "Wx": (first, 1.4, 0), "tanh": (hidden, 2.8, 0), "b": (b, 2.8, -1.6),
        "· b": (product, 4.2, -0.9), "+": (total, 5.6, 0), "L": (loss, 7.0, 0),
    }  # fmt: skip
    spot = {value.number: (across, up) for value, across, up in places.values()}
    figure, axis = subplots(width=10.0, height=3.8)
    for name, (value, across, up) in places.items():
        for parent in value.parents:
            arrow = {"arrowstyle": "->", "color": COLORS["muted"], "shrinkA": 14, "shrinkB": 14}
            axis.annotate("", (across, up), spot[parent.number], arrowprops=arrow)
        color = COLORS["ours"] if value.parents else COLORS["mended"]
        axis.plot(across, up, "o", markersize=24, color=color, alpha=0.25)
        text = {"ha": "center", "fontsize": 9}
        axis.text(across, up, name, va="center", **text)
        axis.text(across, up - 0.55, f"{float(value.array):.3g}", **text)
        axis.text(across, up + 0.4, f"gradient {float(value.grad):.3g}", color=COLORS["broken"], **text)
    axis.set(xlim=(-0.8, 7.8), ylim=(-2.4, 1.8), title="values forward, gradients backward")
    axis.set_axis_off()
    return figure


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
# **When to use it.** Whenever a program computes a number and you need its gradient: reverse mode (`backward`, `grad`) for
# few outputs and many inputs, forward mode (`Dual`) for few inputs, `hessian_vector_product` for curvature. `jvp` runs where `Dual` has
# no rule, for more memory and time than the reverse mode: two walks over a graph that is kept. Differences (`shared.gradients`) *check* a gradient, because they know nothing of its formulas.
#
# **When not.** Through integers, sorting order, or branches the derivative is that of the branch taken, often zero. Through
# long iterations that converge, differentiate the fixed point instead (implicit differentiation). Where a closed-form
# gradient is simple, write it.
#
# **In plain words.** A program that computes a number is a long list of small steps, and for each step one knows how its
# result moves when its input moves. Automatic differentiation multiplies these small answers, from the end to the start, and
# so tells how the final number depends on every input, for the price of a few runs. It takes for granted that the steps were
# recorded, and that the answer for the way the program went is the answer wanted. If a gradient is wrong, ask where the
# program left the record; if it is NaN, which branch was not taken; if memory runs out, how deep the program is.
#
# **How it breaks**: `groundup break automatic_differentiation`, and `failure_modes/automatic_differentiation.py`.

# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
