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
# # Where to measure from, and in which unit
#
# Part of the topic [k-means](../../k_means.py). Scores of the form $\lVert\mu\rVert^2-2x\cdot\mu$ lose digits when the points lie far from 0,
# and their squares leave the range of floating-point numbers in extreme units (the mass of an atom in kilograms, in single
# precision). So the data are first moved to the mean; or, where a few rows lie so far out that nothing is near the mean, to
# a median. And where squares could overflow or vanish, they are counted in a power of two, which costs no digit.

# %%
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["Frame", "frame_of"]

SAMPLE = 256  # rows whose median is looked at
FAR = 1e3  # spreads between mean and median from which on the median is taken


# %%
class Frame(NamedTuple):
    """Where the data are measured from, (d,), and the power of two that they are multiplied by."""

    shift: np.ndarray
    unit: float

    def into(self, X: Any) -> np.ndarray:
        """Rows of the data, in the frame."""
        moved = X - self.shift
        return moved if self.unit == 1 else moved * moved.dtype.type(self.unit)

    def back(self, centers: Any) -> np.ndarray:
        """Points of the frame as data."""
        return (centers if self.unit == 1 else centers / centers.dtype.type(self.unit)) + self.shift

    def squared(self, total: float) -> float:
        """A sum of squares of the frame in the data's own unit; inf or 0 where that is out of range."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.float64(total) / self.unit / self.unit)


def frame_of(X: Float[np.ndarray, "n d"]) -> Frame:
    """The frame in which the rows of X are near 0, and their squares are ordinary numbers. O(nd)."""
    with np.errstate(over="ignore"):
        shift = X.mean(axis=0)
    if not np.isfinite(shift).all():  # the sum overflowed
        shift = (X / len(X)).sum(axis=0)
    rows = X[:: max(1, len(X) // SAMPLE)]
    middle = np.median(rows, axis=0)
    spread = np.median(np.abs(rows - middle), axis=0)
    if (np.abs(shift - middle) > FAR * spread)[spread > 0].any():
        shift = middle.astype(X.dtype)
    info = np.finfo(X.dtype)
    _, exponent = np.frexp(np.abs(X - shift).max())
    safe = info.maxexp // 4  # squares, summed, are then far from both ends
    unit = (
        1.0 if abs(int(exponent)) < safe else 2.0 ** -int(np.clip(exponent, 4 - info.maxexp, info.maxexp - 4))
    )
    return Frame(shift, unit)
