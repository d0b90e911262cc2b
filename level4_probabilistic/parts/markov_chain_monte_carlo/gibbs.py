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
# # Gibbs sampling: $x_b \sim p(x_b \mid x_{-b})$, block by block
#
# Draw each block of coordinates from its conditional distribution given the others. It is a Metropolis step whose proposal
# is in balance by itself, and so is always accepted; the price is that the conditionals must be known.

# %%
from __future__ import annotations

import time

import numpy as np
from jaxtyping import Float

from level4_probabilistic.parts.markov_chain_monte_carlo.sampler_targets import (
    SamplerResult,
    make_result,
    prepare,
)


# %%
def gibbs(
    conditionals,
    x0,
    n_draws,
    *,
    n_warmup=1000,
    n_chains=4,
    rng=None,
    blocks=None,
) -> SamplerResult:
    """Gibbs sampling with a systematic scan (Geman and Geman 1984).

    Args:
        conditionals: functions `f(x, rng)`; the b-th draws block b from its conditional distribution, given
            the other coordinates of the point `x` (dim,), and returns the new values of the block.
        x0: (dim,) or (n_chains, dim). n_warmup: sweeps thrown away first, 1,000 by
            default. rng: a generator or a seed.
        blocks: the coordinates that each conditional draws, as indices or lists of indices; by default the
            b-th draws coordinate b. Together they must cover every coordinate.

    Raises:
        TypeError, ValueError: arguments of the wrong kind or range, blocks that leave a coordinate out.

    A draw is one sweep through all blocks.
    """
    position, n_draws, n_warmup, rng = prepare(x0, n_draws, n_warmup, n_chains, rng)
    dim = position.shape[1]
    if callable(conditionals) or not all(map(callable, conditionals)):
        raise TypeError(
            f"conditionals must be a list of functions f(x, rng), one a block, got {conditionals!r}."
        )
    blocks = [np.atleast_1d(block) for block in (range(len(conditionals)) if blocks is None else blocks)]
    if len(blocks) != len(conditionals) or not np.array_equal(
        np.unique(np.concatenate(blocks)), np.arange(dim)
    ):
        raise ValueError(
            f"conditionals and blocks must match and cover the coordinates 0 to {dim - 1}; got "
            f"{len(conditionals)} conditionals for blocks {[block.tolist() for block in blocks]}."
        )
    draws, began = np.empty((n_draws, *position.shape)), time.perf_counter()
    for iteration in range(-n_warmup, n_draws):
        for x in position:
            gibbs_sweep(conditionals, blocks, x, rng)
        if iteration >= 0:
            draws[iteration] = position
    sweeps = (n_warmup + n_draws) * n_chains
    seconds = time.perf_counter() - began
    return make_result(draws, 1.0, float("nan"), sweeps * len(conditionals), seconds=seconds)


def gibbs_sweep(conditionals, blocks, x: Float[np.ndarray, " dim"], rng) -> None:
    """Draw every block of `x` once, in order and in place."""
    for conditional, block in zip(conditionals, blocks, strict=True):
        x[block] = conditional(x.copy(), rng)  # it may write into its argument
