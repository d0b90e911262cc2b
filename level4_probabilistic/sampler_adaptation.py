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
# chains then learn a metric in a quarter of the time.

# %%
from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

__all__ = ["DualAveraging", "adaptation_windows", "shrunken_variance"]


# %% [markdown]
# ## The step size, by dual averaging
#
# Too large a step is rejected, too small a step wastes gradients. We want the mean acceptance probability
# $\delta$ (0.8 by default). With $h_t = \delta - \alpha_t$, where $\alpha_t$ is the acceptance of step $t$,
# Nesterov's dual averaging moves
#
# $$\log\varepsilon_{t+1} = \mu - \frac{\sqrt t}{\gamma}\,\bar h_t, \qquad \bar h_t = \Big(1 - \frac1{t+t_0}\Big)\bar h_{t-1} + \frac{h_t}{t+t_0},$$
#
# and what is used after warm-up is the average of the iterates, late ones counting most:
#
# $$\log\bar\varepsilon_t = t^{-\kappa}\log\varepsilon_t + (1 - t^{-\kappa})\log\bar\varepsilon_{t-1}.$$
#
# $\mu = \log 10\varepsilon_0$ leans to large steps, which are the cheap ones to try; $\gamma = 0.05$, $t_0
# = 10$, $\kappa = 0.75$.


# %%
class DualAveraging:
    """Stochastic search for the step size whose acceptance is `target` (Hoffman and Gelman 2014, section 3.2)."""

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
# shrunk a little towards a small number, $\frac{n}{n+5}\hat\sigma^2 + \frac{5}{n+5}10^{-3}$, so that no
# coordinate is ever given no unit at all. The variance is taken within each chain and then averaged: chains
# that sit in different modes must not stretch the metric across the gap between them.


# %%
def shrunken_variance(window: Float[np.ndarray, "n chains dim"]) -> Float[np.ndarray, " dim"]:
    """Mean over chains of the within-chain variances of one window, shrunk as Stan does."""
    count = window.shape[0] * window.shape[1]
    variance = window.var(axis=0, ddof=1).mean(axis=0)
    return count / (count + 5) * variance + 5 / (count + 5) * 1e-3
