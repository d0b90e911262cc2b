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
# # Elementwise operations and their derivatives
#
# Each function computes its value and states, on the line below, the rule that carries a gradient
# $\bar y = \partial L / \partial y$ back: for $y = f(x)$ applied to each element, $\bar x = \bar y \, f'(x)$.
# The rules are tensor operations again, so that they can be differentiated in turn. Names, arguments and the
# values chosen where no derivative exists follow torch. The graph, the walk and the first operations are in
# [automatic differentiation](../../automatic_differentiation.py).

# %%
from __future__ import annotations

import math

import numpy as np

from level1_foundations.parts.automatic_differentiation.tensor import (
    Tensor,
    as_tensor,
    floating,
    mode,
    new_tensor,
    operands,
    record,
)

__all__ = [
    "abs", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "clamp", "clip", "cos", "div", "divide", "eq", "erf", "expm1", "floor", "ge", "gelu", "gt",
    "isnan", "le", "leaky_relu", "log", "log1p", "logical_and", "logical_not", "logical_or",
    "logical_xor", "lt", "masked_fill", "maximum", "minimum", "ne", "neg", "negative", "pow",
    "reciprocal", "rsqrt", "sigmoid", "sign", "silu", "sin", "softplus", "sqrt", "square", "sub",
    "subtract", "true_divide", "where",
]  # fmt: skip

# %% [markdown]
# ## Arithmetic


# %%
def to(input, dtype):
    """`input` in another type. The walk casts every gradient to its tensor's own type, so the rule is the
    identity.
    """
    dtype = np.dtype(dtype)
    if input.array.dtype == dtype:
        return input
    inputs = (input,) if dtype.kind == "f" else ()
    return record(input.array.astype(dtype), inputs, (lambda g: g,))


def subtract(input, other):
    """$y = a - b$: $\\bar a = \\bar y$, $\\bar b = -\\bar y$."""
    a, b = operands(input, other)
    return record(a.array - b.array, (a, b), (lambda g: g, lambda g: -g))


def negative(input):
    """$y = -x$: $\\bar x = -\\bar y$."""
    x = as_tensor(input)
    return record(-x.array, (x,), (lambda g: -g,))


def divide(input, other):
    """$y = a / b$: $\\bar a = \\bar y / b$, $\\bar b = -\\bar y\\, y / b$. Integers give float32."""
    a, b = operands(input, other)
    if a.array.dtype.kind != "f":
        a, b = floating(a), floating(b)
    return record(
        a.array / b.array,
        (a, b),
        (lambda g, b, y: g / b, lambda g, b, y: -g * y / b),
        (b,),
        saves_output=True,
    )


def pow(input, exponent):
    """$y = a^b$: $\\bar a = \\bar y\\, b\\, a^{b-1}$, $\\bar b = \\bar y\\, y \\ln a$, both 0 where
    torch's are.
    """
    if isinstance(exponent, (int, float)):
        return pow_number(as_tensor(input), exponent)
    a, b = operands(input, exponent)
    return record(
        np.power(a.array, b.array),
        (a, b),
        (
            # d/da a^0 = 0, also at a = 0 where the formula would be 0 * inf
            lambda g, a, b, y: gate(g * b * pow(a, b - 1), b != 0),
            # d/db 0^b = 0 for b >= 0, where ln 0 is infinite
            lambda g, a, b, y: g * where((a == 0) & (b >= 0), 0.0, y * log(where(a == 0, 1.0, a))),
        ),
        (a, b),
        saves_output=True,
    )


def pow_number(x, exponent):
    """$y = x^p$ for a number $p$: $\\bar x = \\bar y\\, p\\, x^{p-1}$. Small powers by multiplication: far
    faster.
    """
    if isinstance(exponent, float) and x.array.dtype.kind != "f":
        x = floating(x)
    a = x.array
    if exponent in (2, 3, 4) and a.dtype.kind == "f":
        square = a * a
        y = square if exponent == 2 else square * a if exponent == 3 else square * square
    else:
        y = np.power(a, exponent) if a.dtype.kind != "f" else np.power(a, a.dtype.type(exponent))
    if exponent == 0:
        return record(y, (x,), (zero_gradient,))
    return record(y, (x,), (lambda g, x: g * (pow_number(x, exponent - 1) * exponent),), (x,))


def zero_gradient(g):
    """The rule of functions that are constant almost everywhere."""
    return new_tensor(np.zeros_like(g.array))


def square(input):
    """$y = x^2$: $\\bar x = 2 x \\bar y$."""
    return pow(input, 2)


def reciprocal(input):
    """$y = 1/x$: $\\bar x = -\\bar y\\, y^2$."""
    x = floating(input)
    return record(1 / x.array, (x,), (lambda g, y: -g * y * y,), saves_output=True)


def sqrt(input):
    """$y = \\sqrt x$: $\\bar x = \\bar y / 2y$, infinite at 0."""
    x = floating(input)
    return record(np.sqrt(x.array), (x,), (lambda g, y: g / (y * 2.0),), saves_output=True)


def rsqrt(input):
    """$y = x^{-1/2}$: $\\bar x = -\\bar y\\, y^3 / 2$."""
    x = floating(input)
    return record(1 / np.sqrt(x.array), (x,), (lambda g, y: g * (y * y * y) * -0.5,), saves_output=True)


# %% [markdown]
# ## Exponentials, logarithms, circles


# %%
def log(input):
    """$y = \\ln x$: $\\bar x = \\bar y / x$."""
    x = floating(input)
    return record(np.log(x.array), (x,), (lambda g, x: g / x,), (x,))


def log1p(input):
    """$y = \\ln(1 + x)$, exact near 0: $\\bar x = \\bar y / (1 + x)$."""
    x = floating(input)
    return record(np.log1p(x.array), (x,), (lambda g, x: g / (x + 1.0),), (x,))


def expm1(input):
    """$y = e^x - 1$, exact near 0: $\\bar x = \\bar y\\,(y + 1)$."""
    x = floating(input)
    return record(np.expm1(x.array), (x,), (lambda g, y: g * (y + 1.0),), saves_output=True)


def sin(input):
    """$y = \\sin x$: $\\bar x = \\bar y \\cos x$."""
    x = floating(input)
    return record(np.sin(x.array), (x,), (lambda g, x: g * cos(x),), (x,))


def cos(input):
    """$y = \\cos x$: $\\bar x = -\\bar y \\sin x$."""
    x = floating(input)
    return record(np.cos(x.array), (x,), (lambda g, x: -g * sin(x),), (x,))


def erf(input):
    """The error function: $\\bar x = \\bar y\\, \\frac{2}{\\sqrt\\pi} e^{-x^2}$."""
    from shared import special

    x = floating(input)
    y = np.asarray(special.erf(x.array), dtype=x.array.dtype)
    return record(y, (x,), (lambda g, x: g * ((x * x).neg().exp() * (2 / math.sqrt(math.pi))),), (x,))


# %% [markdown]
# ## Activations


# %%
def sigmoid(input):
    """$y = 1 / (1 + e^{-x})$, without overflow: $\\bar x = \\bar y\\, y (1 - y)$."""
    x = floating(input)
    e = np.exp(-np.abs(x.array))  # at most 1
    y = np.where(x.array >= 0, 1, e) / (1 + e)
    return record(y, (x,), (lambda g, y: g * (y * (1.0 - y)),), saves_output=True)


def softplus(input, beta=1.0, threshold=20.0):
    """$y = \\ln(1 + e^{\\beta x}) / \\beta$; above `beta * x > threshold` the line $y = x$.
    $\\bar x = \\bar y\\,\\sigma(\\beta x)$.
    """
    x = floating(input)
    scaled = x.array * x.array.dtype.type(beta)
    y = np.where(scaled > threshold, x.array, np.logaddexp(0, scaled) / x.array.dtype.type(beta))
    return record(y, (x,), (lambda g, x: g * where(x * beta > threshold, 1.0, sigmoid(x * beta)),), (x,))


def silu(input):
    """$y = x\\,\\sigma(x)$: $\\bar x = \\bar y\\,\\sigma (1 + x (1 - \\sigma))$."""
    x = floating(input)

    def rule(g, x):
        s = sigmoid(x)
        return g * (s * ((1.0 - s) * x + 1.0))

    return record(x.array * sigmoid(x).array, (x,), (rule,), (x,))


def gelu(input, approximate="none"):
    """$y = x\\,\\Phi(x)$: $\\bar x = \\bar y\\,(\\Phi(x) + x\\,\\varphi(x))$; `approximate="tanh"`
    replaces $\\Phi$ by a tanh.
    """
    x = floating(input)
    if approximate == "none":
        phi = new_tensor(normal_cdf_of(x.array))
        return record(x.array * phi.array, (x,), (gelu_rule,), (x, phi))
    if approximate != "tanh":
        raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    a = x.array
    t = np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * (a * a * a)))
    return record(0.5 * a * (1 + t), (x,), (gelu_tanh_rule,), (x,))


def normal_cdf(x):
    """$\\Phi(x) = (1 + \\mathrm{erf}(x / \\sqrt 2)) / 2$."""
    return (erf(x * math.sqrt(0.5)) + 1.0) * 0.5


def gelu_rule(g, x, phi):
    """$\\bar x = \\bar y\\,(\\Phi + x \\varphi)$ with the normal density $\\varphi$."""
    if mode.enabled:  # a second derivative is wanted: Phi must be a function of x again
        density = (x * x * -0.5).exp() * (1 / math.sqrt(2 * math.pi))
        return g * (normal_cdf(x) + x * density)
    slope = np.multiply(x.array, x.array, out=np.empty_like(x.array))
    slope *= -0.5
    np.exp(slope, out=slope)
    slope *= x.array
    slope *= 1 / math.sqrt(2 * math.pi)
    slope += phi.array
    return new_tensor(np.multiply(slope, g.array, out=slope))


def normal_cdf_of(a):
    """$\\Phi$ of an array; in single precision by a polynomial that is as exact as single precision can show."""
    from shared import special

    if a.dtype != np.float32:
        return np.asarray(special.erf(a * math.sqrt(0.5)) + 1.0, a.dtype) * 0.5
    phi = np.empty(a.shape, np.float32)
    source, target = np.ascontiguousarray(a).reshape(-1), phi.reshape(-1)
    for start in range(0, source.size, 16384):  # pieces that stay in the cache
        single_precision_cdf(source[start : start + 16384], target[start : start + 16384])
    return phi


# Abramowitz and Stegun (1964), 7.1.26: erfc(u) = t (a1 + t (a2 + ...)) exp(-u^2), t = 1 / (1 + p u), for u >= 0,
# with an error of at most 1.5e-7; here u = |x| / sqrt 2, and half of erfc(u) is the tail of Phi beyond |x|.
TAIL_P = 0.3275911 * math.sqrt(0.5)
TAIL = [0.5 * c for c in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)]


def single_precision_cdf(x, out):
    """Write $\\Phi(x)$ of a flat float32 array into `out`, within 1e-7."""
    t = np.abs(x)
    t *= TAIL_P
    t += 1
    np.reciprocal(t, out=t)
    np.multiply(t, TAIL[0], out=out)
    for coefficient in TAIL[1:]:
        out += coefficient
        out *= t
    np.multiply(x, x, out=t)
    t *= -0.5
    out *= np.exp(t, out=t)  # the tail beyond |x|
    np.subtract(1, out, out=out, where=x > 0)


def gelu_tanh_rule(g, x):
    """With $u = \\sqrt{2/\\pi}\\,(x + c x^3)$:
    $\\bar x = \\tfrac12 \\bar y\\,(1 + \\tanh u + x (1 - \\tanh^2 u)\\, u')$.
    """
    scale, c = math.sqrt(2 / math.pi), 0.044715
    square = x * x
    t = (x * (square * c + 1.0) * scale).tanh()
    slope = (square * (3 * c) + 1.0) * scale
    return g * ((t + 1.0 + x * (1.0 - t * t) * slope) * 0.5)


def leaky_relu(input, negative_slope=0.01):
    """$y = x$ for $x > 0$, else `negative_slope` times $x$."""
    x = floating(input)
    return where(x > 0, x, x * negative_slope)


# %% [markdown]
# ## Corners
#
# Where a function has a corner, every slope between the two sides is a subgradient, and torch's choice is
# followed: 0 for $|x|$ and relu at 0, one half each for a tie in `maximum`, 1 for `clip` at its bounds.


# %%
def abs(input):
    """$y = |x|$: $\\bar x = \\bar y\\,\\mathrm{sign}(x)$, 0 at 0."""
    x = as_tensor(input)
    return record(np.abs(x.array), (x,), (lambda g, x: g * sign(x),), (x,))


def sign(input):
    """-1, 0 or 1; its derivative is 0."""
    x = as_tensor(input)
    return record(np.sign(x.array), (x,), (zero_gradient,))


def floor(input):
    """The largest integer below; its derivative is 0."""
    x = as_tensor(input)
    return record(np.floor(x.array), (x,), (zero_gradient,))


def maximum(input, other):
    """The larger of two; a tie sends half the gradient to each."""
    a, b = operands(input, other)
    return record(
        np.maximum(a.array, b.array), (a, b), (larger_rule, lambda g, a, b: larger_rule(g, b, a)), (a, b)
    )


def minimum(input, other):
    """The smaller of two; a tie sends half the gradient to each."""
    a, b = operands(input, other)
    return record(
        np.minimum(a.array, b.array), (a, b), (lambda g, a, b: larger_rule(g, b, a), larger_rule), (a, b)
    )


def larger_rule(g, a, b):
    """What `maximum(a, b)` sends to `a`."""
    return gate(where(a == b, g * 0.5, g), ~(a < b))


def clip(input, min=None, max=None):
    """`input` kept within the numbers `min` and `max`; the gradient passes where they are not exceeded."""
    x = as_tensor(input)
    for name, bound in (("min", min), ("max", max)):
        if bound is not None and not isinstance(bound, (int, float)):
            raise TypeError(
                f"{name} must be a number or None, got {type(bound).__name__}; use maximum and minimum"
            )
    if min is None and max is None:
        raise ValueError("clip: at least one of min or max must not be None")
    if isinstance(min, float) or isinstance(max, float):
        x = floating(x)
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    y = x.array if min is None else np.maximum(x.array, min)
    y = y if max is None else np.minimum(y, max)
    return record(y, (x,), (lambda g, x: gate(g, (x >= low) & (x <= high)),), (x,))


BITS = {2: np.int16, 4: np.int32, 8: np.int64}  # longdouble has none


def keep_where(mask, a):
    """The array `a` where `mask` holds, else 0. Branch-free: `numpy.where` waits for each unpredictable
    bit of the mask.
    """
    bits = BITS.get(a.dtype.itemsize)
    if bits is None:
        return np.where(mask, a, np.zeros((), a.dtype))
    selected = np.negative(mask, dtype=bits, casting="unsafe")  # True becomes -1, all bits one
    return np.bitwise_and(selected, a.view(bits)).view(a.dtype)


def gate(g, condition):
    """$y = g$ where the boolean tensor `condition` holds, else 0: the derivative of a choice. Its own is a
    gate again.
    """
    if g.array.dtype.kind != "f":
        return record(np.where(condition.array, g.array, 0), (), ())
    return record(keep_where(condition.array, g.array), (g,), (gate,), (condition,))


def where(condition, input, other):
    """Elements of `input` where `condition` holds, else of `other`; so flow the gradients."""
    condition = condition if isinstance(condition, Tensor) else new_tensor(np.asarray(condition, dtype=bool))
    if condition.array.dtype.kind != "b":
        raise TypeError(f"where expects a boolean condition, got {condition.array.dtype}")
    a, b = operands(input, other)
    return record(
        np.where(condition.array, a.array, b.array),
        (a, b),
        (gate, lambda g, c: gate(g, ~c)),
        (condition,),
    )


def masked_fill(input, mask, value):
    """`input` with `value` where `mask` holds; no gradient passes there."""
    return where(mask, value, input)


# %% [markdown]
# ## Comparisons, without derivatives


# %%
def compare(ufunc):  # practice: keep
    """The function that compares two operands and returns a boolean tensor."""

    def comparison(input, other):
        a, b = operands(input, other)
        return new_tensor(ufunc(a.array, b.array))

    comparison.__name__ = comparison.__qualname__ = ufunc.__name__
    comparison.__doc__ = f"`numpy.{ufunc.__name__}` of two tensors, a boolean tensor."
    return comparison


eq, ne, lt, le, gt, ge = map(
    compare, (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)
)
logical_and, logical_or, logical_xor = map(compare, (np.logical_and, np.logical_or, np.logical_xor))


def bitwise(ufunc):  # practice: keep
    """The operator that combines the bits of integers, or truth values."""

    def operation(input, other):
        a, b = operands(input, other)
        return new_tensor(ufunc(without_fractions(a, ufunc).array, b.array))

    operation.__name__ = operation.__qualname__ = ufunc.__name__
    operation.__doc__ = f"`numpy.{ufunc.__name__}` of two tensors of integers or booleans."
    return operation


def without_fractions(x, ufunc):  # practice: keep
    """x, if it holds integers or booleans."""
    if x.array.dtype.kind == "f":
        raise TypeError(
            f"{ufunc.__name__} needs integers or booleans, got {x.array.dtype}; use logical_... for truth values"
        )
    return x


bitwise_and, bitwise_or, bitwise_xor = map(bitwise, (np.bitwise_and, np.bitwise_or, np.bitwise_xor))


def bitwise_not(input):
    """All bits of integers turned round, or the opposite of truth values."""
    return new_tensor(np.invert(without_fractions(as_tensor(input), np.bitwise_not).array))


def logical_not(input):
    """The opposite of each element's truth: 0 is false, everything else true."""
    return new_tensor(np.logical_not(as_tensor(input).array))


def isnan(input):
    """Whether each element is not a number."""
    return new_tensor(np.isnan(as_tensor(input).array))


# %%
for _function in (
    to, pow, square, reciprocal, sqrt, rsqrt, log, log1p, expm1, sin, cos, erf, sigmoid, abs, sign, floor,
    maximum, minimum, clip, masked_fill, eq, ne, lt, le, gt, ge, logical_and, logical_or, logical_xor,
    logical_not, isnan, bitwise_and, bitwise_or, bitwise_xor, bitwise_not,
):  # fmt: skip
    setattr(Tensor, _function.__name__, _function)


def operator_of(comparison):  # practice: keep
    """`x == y`, where `y` may be something that is no number, such as None: then Python decides, by identity."""

    def operator(self, other):
        if other is None or isinstance(other, (str, bytes, dict)):
            return NotImplemented
        return comparison(self, other)

    return operator


for _name, _comparison in {"eq": eq, "ne": ne, "lt": lt, "le": le, "gt": gt, "ge": ge}.items():
    setattr(Tensor, _name, _comparison)
    setattr(Tensor, f"__{_name}__", operator_of(_comparison))
sub, neg, div, true_divide, clamp = subtract, negative, divide, divide, clip
Tensor.__hash__ = object.__hash__  # equal means elementwise equal; as a key a tensor is itself
Tensor.__sub__ = Tensor.sub = subtract
Tensor.__rsub__ = lambda self, other: subtract(other, self)
Tensor.__neg__ = Tensor.neg = negative
Tensor.__truediv__ = Tensor.div = divide
Tensor.__rtruediv__ = lambda self, other: divide(other, self)
Tensor.__pow__ = pow
Tensor.__rpow__ = lambda self, other: pow(as_base(other, self), self)
Tensor.__abs__ = abs
Tensor.__and__, Tensor.__or__, Tensor.__xor__ = bitwise_and, bitwise_or, bitwise_xor
Tensor.__invert__ = bitwise_not
Tensor.clamp = clip
Tensor.where = lambda self, condition, other: where(condition, self, other)
Tensor.float = lambda self: to(self, np.float32)
Tensor.double = lambda self: to(self, np.float64)
Tensor.long = lambda self: to(self, np.int64)
Tensor.bool = lambda self: to(self, bool)


def as_base(value, exponent):  # practice: keep
    """The left side of `value ** exponent` as a tensor of the exponent's type."""
    return operands(value, exponent)[0]
