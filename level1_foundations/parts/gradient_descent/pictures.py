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
# # The pictures of the failure modes
#
# Part of the topic [gradient descent](../../gradient_descent.py): how [its failures](../../failure_modes/gradient_descent.py) are drawn.
# The experiments are handed in.

# %%
from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from level1_foundations.parts.gradient_descent.predictions import cycle_of_v, predicted_floor
from shared.figures import COLORS, plot_sweep, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from shared.failure_mode import Claim


# %%
def sweeps(
    title: str, ylabel: str, *claims: tuple, level: float | None = None, yscale: str = "linear"
) -> tuple[Figure, Any]:
    """One panel with the sweep of each claim (claim, role of its color, label), and a line at `level`."""
    figure, axes = subplots(width=7, height=4)
    if level is not None:
        axes.axhline(level, color=COLORS["muted"], lw=1)
    for claim, role, *label in claims:
        plot_sweep(axes, claim, color=COLORS[role], label=label[0] if label else "measured, 95 %")
    axes.set(title=title, ylabel=ylabel, yscale=yscale)
    axes.legend()
    return figure, axes


def mark(axes: Any, x: float, y: float, role: str, label: str) -> None:
    """One larger point."""
    axes.plot(x, y, "o", ms=9, color=COLORS[role], label=label)
    axes.legend()


# %%
def noise_floor(
    constant: Callable[..., float], falling: Callable[..., float], claim: Claim, settings: dict[str, Any]
) -> Figure:
    """Loss over the steps for constant and falling ones; the floor over the constant step."""
    figure, (axes, right) = subplots(1, 2, width=9.5, height=4)
    counts = np.unique(np.geomspace(1, 300, 14).astype(int))
    for step, role in ((0.4, "muted"), (0.2, "broken")):
        own = {**settings, "step": step}
        losses = [constant(np.random.default_rng(0), **{**own, "n_steps": k}) for k in counts[:12]]
        axes.loglog(counts[:12], losses, "o-", ms=4, color=COLORS[role], label=f"constant step {step:g}")
        axes.axhline(predicted_floor(**own), color=COLORS["theory"], lw=1, zorder=1)
    losses = [falling(np.random.default_rng(0), **{**settings, "n_steps": k}) for k in counts]
    axes.loglog(counts, losses, "o-", ms=4, color=COLORS["mended"], label="step 1/(hk)")
    axes.loglog(counts, 0.5 / counts, color=COLORS["theory"], lw=1, label="theory")
    axes.set(title="A constant step ends in a cloud", xlabel="step", ylabel="loss above the minimum")
    axes.legend()
    plot_sweep(right, claim)
    right.set(title="the floor over the step", yscale="log")
    right.legend()
    return figure


# %%
def reddi(path_of: Callable[..., np.ndarray], claim: Claim, *, C: float, lr: float) -> Figure:
    """Where Adam and AMSGrad go; Adam's regret over the large gradient."""
    figure, (axes, right) = subplots(1, 2, width=9.5, height=4, width_ratios=[3, 2])
    for amsgrad, label, role in ((False, "Adam", "broken"), (True, "AMSGrad", "mended")):
        axes.plot(path_of(C=C, lr=lr, amsgrad=amsgrad, n_steps=900)[:, ::2], color=COLORS[role], lw=1)
        axes.plot([], [], color=COLORS[role], label=label)
    v1, v2, v3 = cycle_of_v(C)
    drift = lr * (-C / math.sqrt(v1) + 1 / math.sqrt(v2) + 1 / math.sqrt(v3)) / 3
    line = -1 + drift * np.arange(round(2 / drift))
    axes.plot(line, "--", color=COLORS["theory"], label="predicted drift of Adam")
    axes.axhline(-1, color=COLORS["muted"], lw=1)
    axes.set(title="The best point is −1; Adam goes to +1", xlabel="step", ylabel="x")
    axes.legend(loc="center right")
    plot_sweep(right, claim)
    right.set_title("regret a step")
    right.legend()
    return figure
