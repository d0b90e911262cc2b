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
# # The forward mode
#
# Part of the topic [automatic differentiation](../../automatic_differentiation.py): derivatives along one direction, carried
# beside the values.

# %%
from __future__ import annotations

import numpy as np

__all__ = ["TANGENT_RULES", "WITHOUT_TANGENT", "Dual", "tangent_of"]

# %% [markdown]
# A dual number carries a value and how it moves: $x + \dot x\, \varepsilon$ with $\varepsilon^2 = 0$. So
# $f(x + \dot x \varepsilon) = f(x) + f'(x)\, \dot x\, \varepsilon$, and every NumPy function needs one more rule: what it
# makes of each argument's tangent $t$. NumPy asks `__array_ufunc__` when it meets a `Dual`, so that formulas written with
# NumPy run as they are. Duals of duals give second derivatives.

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

    def __init__(self, value, tangent=0.0):
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

    def __getattr__(self, name):
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
