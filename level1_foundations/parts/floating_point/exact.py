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
# # The exact sum
#
# Part of the topic [floating-point arithmetic](../../floating_point.py). A sum that is rounded once.
#
# Adding one number to another yields a sum and an error, both numbers of the machine, without a loss. So the exact sum of everything
# seen so far can be kept as a few numbers of falling size, the *partials*, none of which overlaps another: a new summand
# is added to the smallest first, the error stays as a partial, and the sum goes on to the next larger one. Numbers between
# $2^{-1074}$ and $2^{1024}$ have room for 39 partials at most; there are seldom more than three.
#
# At the end the partials are added from the largest down, until one leaves an error. The total is then within half a spacing of
# the truth. It lies *on* the half only if that error is half a spacing to the digit; the sign of the next partial then says on which
# side the truth is, and the total moves there. It is what `math.fsum` computes.

# %%
from __future__ import annotations

import math
from typing import Any

import numpy as np

from level1_foundations.parts.floating_point.rows import as_floats

__all__ = ["exact_sum", "grow"]


# %%
def grow(partials: list[float], value: float) -> None:
    """Add a number to the partials, in place, exactly; they are kept from the smallest to the largest."""
    kept = 0
    for partial in partials:
        large, small = (value, partial) if abs(value) >= abs(partial) else (partial, value)
        value = large + small
        error = small - (value - large)
        if error:
            partials[kept] = error
            kept += 1
    partials[kept:] = [value]


def exact_sum(x: Any) -> float:
    """The sum of all numbers, rounded once, as `math.fsum`. O(n) steps of Python, each over the partials.

    Any floating type; the result is a Python float, because that is where it was rounded to.

    Raises:
        TypeError: x is not real numbers. OverflowError: a sum on the way exceeds the largest float. ValueError: inf and −inf together.
    """
    values = as_floats(x, "x").ravel()
    special = values[~np.isfinite(values)]
    if len(special):
        if np.isposinf(special).any() and np.isneginf(special).any() and not np.isnan(special).any():
            raise ValueError("x must not hold inf and -inf together: they have no sum.")
        return float(special.sum())
    partials: list[float] = []
    for value in values.tolist():
        grow(partials, value)
    if any(math.isinf(partial) or math.isnan(partial) for partial in partials):
        raise OverflowError("a sum on the way exceeds the largest float: scale x down first.")
    return round_once(partials)


# %% [markdown]
# Say that the total is $t$ and the first error left is $r$, and that a partial below has the sign of $r$. Were $r$ half a
# spacing, then $t+2r$ would be the next number, so that $\operatorname{fl}(t+2r)-t=2r$ exactly; and rounding to even chose $t$ although the truth lies
# beyond the half.


# %%
def round_once(partials: list[float]) -> float:
    """The sum of partials that do not overlap, smallest first, rounded to nearest, ties to even."""
    rest = [partial for partial in partials if partial]
    total, error = 0.0, 0.0
    while rest and not error:
        before, partial = total, rest.pop()
        total = before + partial
        error = partial - (total - before)
    if rest and error and (error > 0) == (rest[-1] > 0):
        beyond = total + 2 * error
        if beyond - total == 2 * error:
            total = beyond
    return total
