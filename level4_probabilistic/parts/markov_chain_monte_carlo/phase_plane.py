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
# # Four ways to walk, drawn
#
# The picture of the mechanism on the page of `markov_chain_monte_carlo`. In the *phase plane* of one coordinate the exact motion of
# a normal is a circle of constant energy. The leapfrog's points stay near it however long it runs (their energy oscillates and does not
# drift), and the way has turned as soon as the last momentum points against the sum of all, half a turn after the start if that was at
# rest. A fresh momentum is a jump along the vertical, to another circle.

# %%
from __future__ import annotations

import numpy as np

from level4_probabilistic.parts.markov_chain_monte_carlo.sampler_targets import Target
from level4_probabilistic.parts.markov_chain_monte_carlo.trajectories import is_turning, leapfrog

__all__ = ["draw_barrier", "draw_phase_plane", "draw_rolls", "draw_tree", "draw_walk", "roll"]

PRECISION = np.array([[2.0, -1.6], [-1.6, 2.0]])
"""Of the slanted normal density that the walks are drawn on."""


def roll(target: Target, x, momentum, step: float, n_steps: int):
    """Points (n_steps + 1, dim) and momenta (n_steps + 1, dim) of a leapfrog trajectory from x and momentum (dim,)."""
    state, momentum = target.start(np.array([x], float), needs_gradient=True), np.array([momentum], float)
    points, momenta = [state.position[0]], [momentum[0]]
    for _ in range(n_steps):
        state, momentum = leapfrog(target, state, momentum, step / 2, step)
        points.append(state.position[0])
        momenta.append(momentum[0])
    return np.array(points), np.array(momenta)


def slanted_normal() -> Target:
    """The density of the pictures of walks."""
    return Target(lambda x: -np.vecdot(x, x @ PRECISION) / 2, lambda x: -x @ PRECISION, vectorized=True)


def draw_contours(axes, color: str) -> None:
    """One, two and three standard deviations of the slanted normal."""
    grid = np.stack(np.meshgrid(*[np.linspace(-3.2, 3.2, 80)] * 2), axis=-1)
    energy = np.vecdot(grid, grid @ PRECISION) / 2
    axes.contour(*np.moveaxis(grid, -1, 0), energy, levels=[0.5, 2, 4.5], colors=color, linewidths=0.8)


# %%
def draw_phase_plane(axes, colors, step: float = 0.45) -> None:
    """The orbit, the leapfrog's points up to the U-turn, and the jump to the next orbit by a fresh momentum."""
    normal = Target(lambda x: -np.vecdot(x, x) / 2, lambda x: -x, vectorized=True)
    start, momentum = -1.7, 0.5
    x, r = (part[:, 0] for part in roll(normal, [start], [momentum], step, 40))
    turned = next(k for k in range(1, 41) if is_turning(r[:1], r[k : k + 1], r[: k + 1].sum()[None]))
    angle = np.linspace(0, 2 * np.pi, 200)
    radius = np.hypot(start, momentum)
    axes.plot(
        radius * np.cos(angle), radius * np.sin(angle), color=colors["theory"], linestyle="--", linewidth=1,
        label="energy kept exactly",
    )  # fmt: skip
    axes.plot(
        x[turned:15], r[turned:15], "o", color=colors["muted"], markersize=3.5, label="leapfrog, further on"
    )
    axes.plot(
        x[: turned + 1], r[: turned + 1], "o-", color=colors["ours"], markersize=4.5, linewidth=0.9,
        label="leapfrog, up to the U-turn",
    )  # fmt: skip
    axes.annotate("start", (x[0], r[0]), textcoords="offset points", xytext=(8, -3))
    axes.annotate("U-turn", (x[turned], r[turned]), textcoords="offset points", xytext=(-10, -16))
    end = turned // 2
    axes.annotate(
        "", (x[end], -1.1), (x[end], r[end]),
        arrowprops={"arrowstyle": "->", "color": colors["broken"], "linewidth": 1.5},
    )  # fmt: skip
    axes.annotate(
        "next draw:\nfresh momentum", (x[end], 0.1), textcoords="offset points", xytext=(5, 0), fontsize=8
    )
    second = np.hypot(x[end], 1.1)
    axes.plot(
        second * np.cos(angle), second * np.sin(angle), color=colors["broken"], linestyle=":", linewidth=1
    )
    axes.set(xlabel="x", ylabel="momentum r", title="Phase plane: one orbit", ylim=(-2.1, 3.2))
    axes.set_aspect("equal")
    axes.legend(fontsize=7.5, loc="upper center")


def draw_walk(axes, walk, colors) -> None:
    """A random walk on the slanted normal: `walk(logp, x, n_draws, sigma, rng)` gives its draws."""
    draws = walk(lambda x: -x @ PRECISION @ x / 2, np.array([-2.0, -2.0]), 60, 0.5, np.random.default_rng(3))
    draw_contours(axes, colors["muted"])
    axes.plot(*draws.T, "o-", color=colors["broken"], markersize=3, linewidth=0.8)
    axes.set(xlabel="$x_1$", ylabel="$x_2$", title="Metropolis: 60 steps")


def draw_rolls(axes, colors, n_draws: int = 6) -> None:
    """Trajectories of HMC, from draw to draw."""
    draw_contours(axes, colors["muted"])
    rng, x, target = np.random.default_rng(3), np.array([-2.0, -2.0]), slanted_normal()
    for _ in range(n_draws):
        way, _ = roll(target, x, rng.standard_normal(2), 0.2, int(rng.integers(1, 16)))
        axes.plot(*way.T, "-", color=colors["ours"], linewidth=0.9)
        axes.plot(*way[-1], "o", color=colors["ours"], markersize=5)
        x = way[-1]
    axes.set(xlabel="$x_1$", title=f"HMC: {n_draws} draws")


def draw_tree(axes, palette, colors) -> None:
    """One trajectory of NUTS, doubled in turn forwards or backwards until it has turned around."""
    draw_contours(axes, colors["muted"])
    rng, target, momentum = np.random.default_rng(0), slanted_normal(), np.array([0.9, 0.2])
    ends, end_momenta, total = [np.array([-1.0, -1.4])] * 2, [momentum] * 2, momentum  # past and future
    for doubling in range(8):
        side = int(rng.integers(2))
        way, momenta = roll(target, ends[side], end_momenta[side], (2 * side - 1) * 0.25, 2**doubling)
        axes.plot(*way.T, "o-", color=palette[doubling], markersize=4, label=f"doubling {doubling + 1}")
        ends[side], end_momenta[side], total = way[-1], momenta[-1], total + momenta[1:].sum(axis=0)
        if is_turning(*end_momenta, total):
            break
    axes.legend(fontsize=7.5, loc="upper left")
    axes.set(xlabel="$x_1$", title="NUTS: one draw")


# %%
def draw_barrier(axes, energy, colors) -> None:
    """The phase plane of two wells: orbits below the barrier at 0, the barrier's own level, and orbits above; `energy(x)` is −log p."""
    x, r = np.meshgrid(np.linspace(-5.5, 5.5, 121), np.linspace(-3.5, 3.5, 81))
    total, barrier = energy(x) + r * r / 2, float(energy(np.zeros(1))[0])
    floor = total.min()
    below = floor + (barrier - floor) * np.array([0.1, 0.35, 0.7])
    axes.contour(x, r, total, levels=below, colors=colors["broken"], linewidths=1)
    axes.contour(x, r, total, levels=[barrier], colors=colors["theory"], linestyles="--")
    axes.contour(x, r, total, levels=barrier + np.array([0.8, 2.0]), colors=colors["mended"], linewidths=1)
    axes.set(xlabel="x", ylabel="momentum r", title="A trajectory keeps its energy")
