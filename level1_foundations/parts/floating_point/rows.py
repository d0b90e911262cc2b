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
# # Numbers in, rows out
#
# Part of the topic [floating-point arithmetic](../../floating_point.py). What may be summed, in which type, and along which axis.

# %%
from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["as_floats", "floating_type", "summed_rows"]


# %%
def floating_type(dtype: Any) -> Any:
    """The scalar type of a floating dtype, such as `numpy.float32`.

    Raises:
        TypeError: another kind of type.
    """
    kind = np.dtype(dtype)
    if kind.kind != "f":
        raise TypeError(f"dtype must be a floating type such as numpy.float32, got {kind}.")
    return kind.type


def as_floats(x: Any, name: str, dtype: Any = None) -> np.ndarray:
    """An array of floating numbers: floats keep their type, integers and booleans become float64.

    Args:
        dtype: the type that it must have; Python's own numbers take it.

    Raises:
        TypeError: x holds something else than real numbers, or has another type than asked for.
    """
    array = np.asarray(x)
    if array.size == 0 and array.dtype != np.longdouble and array.dtype.kind != "f":
        array = array.astype(np.float64)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got {array.dtype}.")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if dtype is None:
        return array
    if np.dtype(dtype) not in (np.float16, np.float32, np.float64):
        raise TypeError(f"{name} must be float16, float32 or float64, got {np.dtype(dtype)}.")
    if hasattr(x, "dtype") and array.dtype != dtype:
        raise TypeError(f"a and b must have one type, got {array.dtype} beside {np.dtype(dtype)}.")
    return array.astype(dtype)


# %% [markdown]
# A sum over everything runs through the entries in the order of their indices, as `numpy.ravel` does. A sum along an axis is many sums
# side by side: that axis first, all others as columns.


# %%
def summed_rows(x: Any, axis: int | None) -> tuple[np.ndarray, tuple[int, ...]]:
    """The numbers as rows (n, d) to be summed over n, and the shape of the result, of d entries.

    Raises:
        TypeError: x is not real numbers. ValueError: x has no such axis.
    """
    x = as_floats(x, "x")
    if axis is None:
        return x.reshape(-1, 1), ()
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis must be one of the {x.ndim} axes of x, got {axis}.")
    x = np.moveaxis(x, axis, 0)
    return x.reshape(len(x), int(np.prod(x.shape[1:]))), x.shape[1:]
