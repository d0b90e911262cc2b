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
# # What makes NUTS fast: a doubling of all chains in step
#
# | step | why it pays |
# |---|---|
# | a doubling of $2^j$ leaves is one loop of leapfrog steps, not a recursion | each step moves all chains as rows of one array |
# | running sums of the momenta | the sum over any block is one difference |
# | blocks of 2, 4, 8, … leaves are checked as soon as their last leaf stands | a chain that turned stops, and costs nothing more |
# | Gumbel noise on the log weights, and the largest wins | a draw from the softmax without normalizing, for all chains at once |
#
# ## The leapfrog
#
# `kick` is $\frac\varepsilon2 s$ and `drift` is $\varepsilon s$; a negative $\varepsilon$ runs backwards in
# time. One step is
#
# $$r\leftarrow r+\tfrac\varepsilon2 s\,\nabla\ell(x),\qquad x\leftarrow x+\varepsilon s\,r,\qquad r\leftarrow r+\tfrac\varepsilon2 s\,\nabla\ell(x).$$

# %%
from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np

from level4_probabilistic.parts.markov_chain_monte_carlo.sampler_targets import State, Target
from shared.numerics import logsumexp

DIVERGENCE = 1000.0
"""An energy error above this means that the integrator has lost the trajectory (Stan's threshold)."""


# %%
@no_type_check  # called at every step: the test run's shape checks would cost more than the step
def leapfrog(target: Target, state: State, momentum, kick, drift, rows=None):
    """One step of the integrator; the state (with log densities) and the momentum after it."""
    momentum = momentum + kick * state.gradient
    position = state.position + drift * momentum
    gradient = target.gradient(position, rows)
    momentum = momentum + kick * gradient
    return State(position, target.log_density(position, rows), gradient), momentum


# %% [markdown]
# ## Has a stretch turned?
#
# For a stretch made of a left and a right part, with momentum sums $R_L$ and $R_R$:
#
# $$r_{\text{first}}\cdot R \le 0 \;\text{ or }\; r_{\text{last}}\cdot R \le 0, \qquad
# R = R_L + R_R,$$
#
# and the same for (left part, first point of the right) and for (last point of the left, right part). The
# order of the two ends does not matter, so both directions of time are served.


# %%
@no_type_check
def is_turning(first, last, way):
    """Which chains have r_first·R ≤ 0 or r_last·R ≤ 0, (k,) bool; all arguments (k, dim)."""
    return np.minimum(np.vecdot(first, way), np.vecdot(last, way)) <= 0


@no_type_check
def join_is_turning(first, last_of_left, first_of_right, last, left_sum, right_sum):
    """Which chains' two neighboring stretches turn when joined, (k,) bool; all arguments (k, dim)."""
    turning = is_turning(first, last, left_sum + right_sum)
    turning |= is_turning(first, first_of_right, left_sum + first_of_right)
    turning |= is_turning(last_of_left, last, right_sum + last_of_left)
    return turning


# %% [markdown]
# ## One doubling
#
# A sub-tree of $2^j$ leaves is a row of leapfrog steps. Its sub-trees are its aligned blocks of 2, 4, 8, …
# leaves; each is checked as soon as its last leaf stands, so that a chain that turned stops early. The sums
# $R$ of all blocks are differences of running sums. At the end one leaf is drawn with probability
# proportional to its weight $e^{H_0 - H}$: add Gumbel noise to the log weights and take the largest, which
# draws from $\mathrm{softmax}$ without normalizing.


# %%
class SubTree(NamedTuple):
    """The new half of a trajectory, one row a chain."""

    proposal: State  # the leaf that was drawn
    last: State  # the outermost leaf
    first_momentum: np.ndarray
    last_momentum: np.ndarray
    momentum_sum: np.ndarray
    log_weight: np.ndarray  # log Σ exp(H₀ − H)
    usable: np.ndarray  # neither turned nor diverged
    diverging: np.ndarray
    acceptance_sum: np.ndarray  # Σ min(1, exp(H₀ − H)) over the leaves made
    n_leaves: np.ndarray


def grow_subtree(target: Target, state: State, momentum, energy, kick, drift, n_leaves: int, rng) -> SubTree:
    """Take up to `n_leaves` = 2ʲ leapfrog steps with every chain; `energy` (chains,) is H₀."""
    chains, dim = state.position.shape
    leaves = State(*(np.empty((n_leaves, *part.shape)) for part in state))
    momenta = np.empty((n_leaves, chains, dim))
    sums = np.zeros((n_leaves + 1, chains, dim))  # sums[k]: of the first k momenta
    log_weights = np.full((n_leaves, chains), -np.inf)
    made = np.zeros((n_leaves, chains), bool)
    diverging = np.zeros(chains, bool)
    usable = np.ones(chains, bool)
    for leaf in range(n_leaves):
        left = np.count_nonzero(usable)
        if left == 0:
            break
        rows = None if left == chains else np.flatnonzero(usable)
        state, momentum = leapfrog(target, state, momentum, kick, drift, rows)
        for store, part in zip(leaves, state, strict=True):
            store[leaf] = part
        momenta[leaf] = momentum
        np.add(sums[leaf], momentum, out=sums[leaf + 1])
        made[leaf] = usable
        # log weight H₀ − H; NaN (a lost trajectory) fails the comparison, too
        log_weight = energy + state.log_density - np.vecdot(momentum, momentum) / 2
        sane = log_weight > -DIVERGENCE
        if rows is not None or not sane.all():
            diverging |= usable & ~sane
            usable &= sane
            log_weight = np.where(usable, log_weight, -np.inf)
        log_weights[leaf] = log_weight
        if leaf % 2:  # a block of two leaves ends here: its inner ends are its ends
            usable &= ~is_turning(momenta[leaf - 1], momentum, sums[leaf + 1] - sums[leaf - 1])
        size = 4
        while (leaf + 1) % size == 0:  # and perhaps blocks of 4, 8, … leaves
            start, middle = leaf + 1 - size, leaf + 1 - size // 2
            usable &= ~join_is_turning(
                momenta[start],
                momenta[middle - 1],
                momenta[middle],
                momentum,
                sums[middle] - sums[start],
                sums[leaf + 1] - sums[middle],
            )
            size *= 2
    drawn = np.argmax(log_weights + rng.gumbel(size=log_weights.shape), axis=0)
    return SubTree(
        proposal=State(*(store[drawn, np.arange(chains)] for store in leaves)),
        last=state,
        first_momentum=momenta[0],
        last_momentum=momentum,
        momentum_sum=sums[-1],
        log_weight=logsumexp(log_weights, axis=0),
        usable=usable,
        diverging=diverging,
        acceptance_sum=np.where(made, np.exp(np.minimum(log_weights, 0.0)), 0.0).sum(axis=0),
        n_leaves=made.sum(axis=0),
    )
