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
# # How a Hamiltonian sampler tunes itself
#
# A Hamiltonian sampler has two dials: the step size $\varepsilon$ of its integrator, and the metric, which
# is the unit in which it measures each coordinate. Both are set during warm-up, whose draws are thrown
# away, and then left alone: a chain that keeps adapting does not keep its target.
# `markov_chain_monte_carlo` uses these pieces.
#
# Sources: Hoffman and Gelman (2014) for the step size; the Stan reference manual (Carpenter et al. 2017)
# for the schedule of windows and the shrinkage. One thing differs from Stan: our chains move in step, so
# they **adapt together**. There is one step size and one metric, learnt from the draws of all chains; four
# chains then learn a metric in a quarter of the time. The price is that a mean over chains can hide one of them:
# see *No chain is left behind*.

# %%
from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from level4_probabilistic.parts.markov_chain_monte_carlo.sampler_gradient_check import require_gradient
from level4_probabilistic.parts.markov_chain_monte_carlo.sampler_targets import (
    SamplerResult,
    State,
    Target,
    make_result,
    warn_of_trouble,
)
from shared.arrays import validate_number

__all__ = [
    "DualAveraging", "Laggard", "adaptation_windows", "reasonable_step_size", "run", "shrunken_variance",
]  # fmt: skip


# %% [markdown]
# ## The step size, by dual averaging
#
# Too large a step is rejected, too small a step wastes gradients. We want the mean acceptance probability
# $\delta$ (0.8 by default). With $h_t = \delta - \alpha_t$, where $\alpha_t$ is the acceptance of step $t$,
# Nesterov's dual averaging moves
#
# $$\log\varepsilon_{t+1} = \mu - \frac{\sqrt t}{\gamma}\,\bar h_t, \qquad
# \bar h_t = \Big(1 - \frac1{t+t_0}\Big)\bar h_{t-1} + \frac{h_t}{t+t_0},$$
#
# and what is used after warm-up is the average of the iterates, late ones counting most:
#
# $$\log\bar\varepsilon_t = t^{-\kappa}\log\varepsilon_t + (1 - t^{-\kappa})\log\bar\varepsilon_{t-1}.$$
#
# $\mu = \log 10\varepsilon_0$ leans to large steps, which are the cheap ones to try; $\gamma = 0.05$,
# $t_0 = 10$, $\kappa = 0.75$.


# %%
class DualAveraging:
    """Search for the step size whose acceptance is `target` (Hoffman and Gelman 2014, section 3.2)."""

    def __init__(
        self, step_size: float, target: float, *, gamma: float = 0.05, t0: float = 10.0, kappa: float = 0.75
    ):
        self.target, self.gamma, self.t0, self.kappa = target, gamma, t0, kappa
        self.restart(step_size)

    def restart(self, step_size: float) -> None:
        """Forget the past, as the metric has changed, and begin again around `step_size`."""
        self.mu = math.log(10 * step_size)
        self.count = 0
        self.mean_error = 0.0
        self.log_average = math.log(step_size)

    def update(self, acceptance: float) -> float:
        """Take in one acceptance probability and return the step size to try next."""
        self.count += 1
        weight = 1 / (self.count + self.t0)
        self.mean_error += weight * (self.target - acceptance - self.mean_error)
        log_step = self.mu - math.sqrt(self.count) / self.gamma * self.mean_error
        weight = self.count**-self.kappa
        self.log_average += weight * (log_step - self.log_average)
        return math.exp(log_step)

    @property
    def average(self) -> float:
        """The step size to keep."""
        return math.exp(self.log_average)


# %% [markdown]
# ## No chain is left behind
#
# With $M$ chains the mean acceptance stays at the target although one chain refuses everything, as soon as
# $(M-1)/M \ge \delta$: from five chains on at $\delta=0.8$. Nothing would then rescue a chain that began where the density
# bends more sharply than elsewhere. So each chain keeps a running mean of its own acceptance,
#
# $$a_m \leftarrow a_m + \tfrac1{10}(\alpha_m - a_m),$$
#
# and as long as the least of them is below $\delta/4$, the step size listens to that chain alone: it shrinks until the chain moves,
# and grows again when the chain has caught up. An accepted chain with $\alpha\approx\delta$ comes down to $\delta/4$ by some
# fourteen refusals in a row ($0.9^{14}<\frac14$), so that chains that mix are served by their mean, as before.


# %%
class Laggard:
    """The acceptance that the step size is to learn from: the mean over chains, or that of a chain left behind."""

    def __init__(self, chains: int, target: float, *, memory: float = 10.0, share: float = 0.25):
        self.running, self.least, self.memory = np.full(chains, target), share * target, memory

    def heed(self, acceptance: Float[np.ndarray, " chains"]) -> float:
        """Take in one acceptance probability a chain, and return the one to adapt to."""
        self.running += (acceptance - self.running) / self.memory
        worst = int(np.argmin(self.running))
        return float(acceptance[worst] if self.running[worst] < self.least else acceptance.mean())


# %% [markdown]
# ## The metric, in windows
#
# The best diagonal metric makes every coordinate's posterior standard deviation 1, so it is estimated by
# the draws' variance. Early draws mislead: the chains are still walking in, in steps of the wrong shape. So
# warm-up is cut into a first stretch (75 draws, step size only), windows of 25, 50, 100, … draws, each of
# which starts its estimate from nothing and ends by setting the metric, and a last stretch (50 draws, step
# size only). A window that would leave less than its double behind takes the rest. With fewer than 150
# draws of warm-up the three stretches are 15, 75 and 10 per cent; with fewer than 20 only the step size is
# adapted.


# %%
def adaptation_windows(n_warmup: int) -> tuple[int, list[int]]:
    """First draw that the metric learns from, and the draws (counted from 1) after which it is set anew."""
    if n_warmup < 20:
        return n_warmup, []
    start, final, width = 75, 50, 25
    if n_warmup < start + width + final:
        start, final = int(0.15 * n_warmup), int(0.1 * n_warmup)
        width = n_warmup - start - final
    ends, position = [], start
    while position < n_warmup - final:
        end = position + width
        width *= 2
        if end + width > n_warmup - final:
            end = n_warmup - final
        ends.append(end)
        position = end
    return start, ends


# %% [markdown]
# A window of $n$ draws in all knows the variance to a relative error of about $\sqrt{2/n}$ at best; it is
# shrunk a little, to $\frac{n+0.005}{n+5}\hat\sigma^2$. Stan adds $\frac{5}{n+5}10^{-3}$ in place of a multiple of $\hat\sigma^2$, which is
# the same for a coordinate of width 1, but takes over for one that is a millionth wide; ours is the same in any unit. A coordinate
# that did not move keeps the unit that it had. The variance is taken within each chain and then averaged: chains
# that sit in different modes must not stretch the metric across the gap between them.


# %%
def shrunken_variance(
    window: Float[np.ndarray, "n chains dim"], before: Float[np.ndarray, " dim"] | float = 1.0
) -> Float[np.ndarray, " dim"]:
    """Mean over chains of the within-chain variances of one window, shrunk; `before` where nothing moved."""
    count = window.shape[0] * window.shape[1]
    variance = window.var(axis=0, ddof=1).mean(axis=0)
    return np.where(variance > 0, (count + 5e-3) / (count + 5) * variance, before)


# %% [markdown]
# ## Where to begin, and the whole run
#
# The first step size is a guess: double or halve until one leapfrog step is accepted about as often as it
# should be (Hoffman and Gelman 2014, algorithm 4). It is asked again after each new metric.


# %%
def reasonable_step_size(acceptance: Callable[[float], float], step_size: float = 1.0) -> float:
    """Double or halve `step_size` until `acceptance`, the mean acceptance of one leapfrog step, crosses 0.8.

    Raises:
        ValueError: no crossing between 1e-12 and 1e12.
    """
    growing = acceptance(step_size) > 0.8
    while (acceptance(step_size) > 0.8) == growing:
        step_size *= 2.0 if growing else 0.5
        if not 1e-12 < step_size < 1e12:
            why = (
                "still accepted, so logpdf is flat and the posterior improper."
                if growing
                else "still rejected; does gradient belong to logpdf? shared.gradients.check_gradient tells."
            )
            raise ValueError(f"no step size works at x0: {step_size:.0e} is {why}")
    return step_size


def run(
    step: Callable,
    trial: Callable,
    target: Target,
    x0: Float[np.ndarray, "chains dim"],
    n_draws: int,
    n_warmup: int,
    target_accept: float,
    step_size: float | None,
    check_gradient: bool = True,
) -> SamplerResult:
    """Warm up, then draw.

    Args:
        step: `step(state, step_size, scale)` → state, acceptance, diverging, tree depth, saturated, energy: one
            transition of every chain. trial: `trial(state, step_size, scale)` → mean acceptance of one
            leapfrog step.
        step_size: where to begin, or None.
        check_gradient: first compare the gradient with differences of the log density.
    """
    validate_number(target_accept, "target_accept", minimum=0, maximum=1, exclusive=True)
    if step_size is not None:
        step_size = validate_number(step_size, "step_size", minimum=0, exclusive=True)
    began = time.perf_counter()
    state, scale = target.start(x0, needs_gradient=True), np.ones(x0.shape[1])
    if check_gradient:
        require_gradient(target, state)
    if step_size is None:
        step_size = reasonable_step_size(lambda size: trial(state, size, scale))
    state, step_size, scale = _warm_up(step, trial, state, step_size, scale, n_warmup, target_accept)
    draws, densities, records = np.empty((n_draws, *x0.shape)), np.empty((n_draws, len(x0))), []
    for iteration in range(n_draws):
        state, *record = step(state, step_size, scale)
        draws[iteration], densities[iteration] = state.position, state.log_density
        records.append(record)
    acceptance, diverging, depth, saturated, energy = (
        np.stack(part, axis=1) for part in zip(*records, strict=True)
    )
    warn_of_trouble(int(diverging.sum()), int(saturated.sum()), diverging.size, target_accept)
    return make_result(
        draws,
        acceptance.mean(axis=1),
        step_size,
        target.n_gradients,
        inverse_metric=scale**2,
        diverging=diverging,
        tree_depth=depth,
        log_density=densities.T,
        energy=energy,
        gradient_checked=bool(check_gradient),
        seconds=time.perf_counter() - began,
    )


def _warm_up(step, trial, state: State, step_size: float, scale, n_warmup: int, target_accept: float):
    """The state, step size and scale after `n_warmup` draws that are thrown away."""
    averaging, laggard = DualAveraging(step_size, target_accept), Laggard(len(state.position), target_accept)
    first, ends = adaptation_windows(n_warmup)
    window: list[np.ndarray] = []
    for iteration in range(n_warmup):
        state, acceptance, *_ = step(state, step_size, scale)
        step_size = averaging.update(laggard.heed(acceptance))
        if ends and first <= iteration < ends[-1]:
            window.append(state.position)
        if iteration + 1 in ends:
            scale, window = np.sqrt(shrunken_variance(np.stack(window), scale**2)), []
            now = (state, scale)
            step_size = reasonable_step_size(lambda size: trial(now[0], size, now[1]), step_size)  # noqa: B023
            averaging.restart(step_size)
    return state, averaging.average if n_warmup else step_size, scale
