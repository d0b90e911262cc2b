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
# # One step each
#
# Part of the topic [matrix factorizations](../../matrix_factorizations.py): single steps on a whole matrix, for the pictures and the failure modes. They change W in place.

# %%
from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["bare_step", "pivoted_step", "reflected_step"]


# %%
def bare_step(W: np.ndarray, k: int) -> None:
    """Step k of elimination, whatever the pivot."""
    W[k + 1 :, k:] -= np.outer(W[k + 1 :, k] / W[k, k], W[k, k:])
    W[k + 1 :, k] = 0


def pivoted_step(W: np.ndarray, k: int) -> None:
    """Step k with the largest pivot of the column."""
    p = k + int(np.abs(W[k:, k]).argmax())
    W[[k, p]] = W[[p, k]]
    bare_step(W, k)


def reflected_step(
    reflector: Callable[[np.ndarray], tuple[np.ndarray, float, float]], W: np.ndarray, k: int
) -> None:
    """Reflection k."""
    v, tau, _ = reflector(W[k:, k])
    W[k:] -= tau * np.outer(v, v @ W[k:])
    W[k + 1 :, k] = 0
