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

import itertools

import numpy as np

__all__ = ["TANGENT_RULES", "WITHOUT_TANGENT", "Dual"]

# %% [markdown]
# A dual number carries a value and how it moves: $x + \dot x\, \varepsilon$ with $\varepsilon^2 = 0$. So
# $f(x + \dot x \varepsilon) = f(x) + f'(x)\, \dot x\, \varepsilon$, and every NumPy function needs one more rule: what it
# makes of each argument's tangent $t$. NumPy asks `__array_ufunc__` when it meets a `Dual`, so that formulas written with
# NumPy run as they are.
#
# A derivative inside another one needs an $\varepsilon$ of its own. With one for both,
# $\frac{d}{dx}\big[x\,\frac{d}{dy}(x+y)\big]$ comes out as 2: the inner derivative counts how $x$ moves, too, and it should be 1. This
# is *perturbation confusion* (Siskind and Pearlmutter 2005). So each `Dual` carries a *tag*: of numbers with two tags, the older is a constant
# for the younger derivative. Variables that move together in one derivative share a tag (`Dual.together`).

# %%
# ufunc: for each argument, (its tangent t, the result y, all arguments) -> its part of the result's tangent
TANGENT_RULES = {
    np.add: (lambda t, y, a, b: t, lambda t, y, a, b: t),
    np.subtract: (lambda t, y, a, b: t, lambda t, y, a, b: -t),
    np.multiply: (lambda t, y, a, b: t * b, lambda t, y, a, b: a * t),
    np.divide: (lambda t, y, a, b: t / b, lambda t, y, a, b: -t * y / b),
    np.matmul: (lambda t, y, a, b: t @ b, lambda t, y, a, b: a @ t),
    # a⁰ is constant, and so is 0ᵇ: there the exponent and the logarithm are made harmless before they are infinite
    np.power: (
        lambda t, y, a, b: t * b * a ** (b - 1 + np.equal(b, 0)),
        lambda t, y, a, b: t * y * np.log(a + np.equal(a, 0)),
    ),
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


tags = itertools.count()


class Dual(np.lib.mixins.NDArrayOperatorsMixin):
    """A value and its tangent: `f(Dual(x, t)).tangent` is the derivative of `f` at `x` along `t`.

    Works for functions written with operators and NumPy's elementary functions (`TANGENT_RULES` lists them). A dual made inside of a
    function that is being differentiated begins a derivative of its own. `Dual(Dual(x, 1.0), Dual(1.0, 0.0))` carries a second derivative.
    """

    def __init__(self, value, tangent=0.0, *, tag=None):
        if tag is None:
            tag = next(tags)
            if isinstance(value, Dual) and isinstance(
                tangent, Dual
            ):  # value and tangent move in one derivative
                tangent = Dual(tangent.value, tangent.tangent, tag=value.tag)
        self.value, self.tangent, self.tag = value, tangent, tag

    @classmethod
    def together(cls, values, tangents):
        """A dual for each value, all moving in one derivative: `f(*Dual.together((x, y), (s, t)))` is along (s, t)."""
        tag = next(tags)
        return [cls(value, tangent, tag=tag) for value, tangent in zip(values, tangents, strict=True)]

    def __repr__(self):
        return f"Dual({self.value}, {self.tangent})"

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or kwargs:
            return NotImplemented
        tag = max(x.tag for x in inputs if isinstance(x, Dual))
        values = [x.value if isinstance(x, Dual) and x.tag == tag else x for x in inputs]
        if ufunc in WITHOUT_TANGENT:
            return ufunc(*values)
        if ufunc not in TANGENT_RULES:
            raise TypeError(f"Dual has no tangent rule for numpy.{ufunc.__name__}")
        y = ufunc(*values)
        tangent = 0.0
        for rule, x in zip(TANGENT_RULES[ufunc], inputs, strict=True):
            if isinstance(x, Dual) and x.tag == tag:
                tangent = tangent + rule(x.tangent, y, *values)
        return Dual(y, tangent, tag=tag)

    def __getattr__(self, name):
        ufunc = getattr(np, name, None)
        if ufunc not in TANGENT_RULES:
            raise AttributeError(f"Dual has no attribute {name!r}")
        return lambda: ufunc(self)
