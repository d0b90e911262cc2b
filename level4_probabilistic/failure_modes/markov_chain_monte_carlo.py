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
# # How Markov chain Monte Carlo breaks
#
# A chain that can reach everything is right in the long run. The question is how long that is, and whether you would notice.
# Five ways to be fooled by a run: its draws are counted as if they were independent; a random walk pays for every dimension;
# two modes with a barrier between them hardly mix; when all chains begin in one of them, $\hat R$ sees nothing; and a funnel's
# neck is narrower than the integrator's step. Each number below is predicted by a formula, then met by a run; the first one on
# real data.

# %%
from __future__ import annotations

import warnings

import numpy as np

from level4_probabilistic.markov_chain_monte_carlo import hmc, metropolis, monte_carlo_standard_error, rhat
from level4_probabilistic.parts.markov_chain_monte_carlo import phase_plane
from level4_probabilistic.parts.markov_chain_monte_carlo import predictions as theory
from shared import linalg
from shared.failure_mode import Claim, FailureMode, Share, Sweep
from shared.figures import COLORS, plot_sweep, subplots
from shared.special import ndtr

# %% [markdown]
# ## The standard error that counts every draw
#
# The mean of $n$ independent draws misses by $\sigma/\sqrt n$. The mean of a chain misses by $\sigma\sqrt{\tau/n}$, with $\tau
# = 1 + 2\sum_{t\ge1}\rho_t$ the sum of all its autocorrelations. An interval $\bar x \pm 1.96\,s/\sqrt n$ is too short by
# $\sqrt\tau$, and covers with probability
#
# $$2\,\Phi(1.96/\sqrt\tau) - 1 \qquad\text{instead of } 0.95.$$
#
# For autocorrelations $\rho^t$, $\tau = (1+\rho)/(1-\rho)$: at $\rho = 0.9$ it is 19, and 35 % of such intervals are right.
#
# A real posterior: how does diabetes progress (442 patients) with body mass and blood pressure, at a fixed noise variance $v$?
# The two slopes have the normal posterior with precision $X^\top X/v$ and covariance $C = v\,(X^\top X)^{-1}$. The sampler is
# HMC with trajectories of a single leapfrog step, the *Langevin* algorithm: $x \leftarrow x - \frac{\varepsilon^2}2 C^{-1}x +
# \varepsilon r$ (counted from the mean, rejections left aside). Along an eigenvector of $C$ with variance $\lambda$ that has
# autocorrelations $(1 - \varepsilon^2/2\lambda)^t$, hence $\tau = 4\lambda/\varepsilon^2 - 1$. A slope is a mixture of
# eigenvectors, each with its share of the variance, so
#
# $$\tau_j = \frac4{\varepsilon^2}\,\frac{(C^2)_{jj}}{C_{jj}} - 1.$$
#
# **The regime.** $\varepsilon^2 < \lambda_{\min}$, where the integrator is far from its edge of stability ($4\lambda_{\min}$)
# and few steps are refused; and $n \ge 20\,\tau$. To first order a refusal in fifty makes $\tau$ a fiftieth longer, and $s^2$,
# taken around the chain's own mean, is too small by $\tau/n$: together some 0.01 of coverage.
#
# **The remedy**: $\bar x \pm 1.96\,s/\sqrt{\mathrm{ESS}}$, the Monte Carlo standard error. What it promises to cover is 95 %,
# and that is what we measure.


# %%
def langevin_chains(rng, step_size: float, n_chains: int, n_draws: int = theory.N_NAIVE):
    """Draws of the first slope, (chains, draws), counted from its true mean; all chains start in equilibrium."""
    _, covariance = theory.two_slopes()
    precision = linalg.inv(covariance)
    return hmc(
        lambda x: -np.vecdot(x, x @ precision) / 2,
        lambda x: -(x @ precision),
        rng.standard_normal((n_chains, 2)) @ linalg.cholesky(covariance).T,
        n_draws,
        step_size=step_size,
        path_length=step_size,  # one leapfrog step a draw
        n_warmup=0,
        n_chains=n_chains,
        rng=rng,
        vectorized=True,
    ).draws[:, :, 0]


def intervals(draws, effective: bool):
    """Means and standard errors of the chains, each (chains,): by the effective draws, or by all of them."""
    if effective:
        return draws.mean(axis=1), monte_carlo_standard_error(draws.T[None])  # each chain for itself
    return draws.mean(axis=1), draws.std(axis=1, ddof=1) / np.sqrt(draws.shape[1])


def coverage(rng, step_size: float, effective: bool, n_chains: int = 250) -> Share:
    """How many chains' 95 % intervals hold the posterior mean."""
    means, errors = intervals(langevin_chains(rng, step_size, n_chains), effective)
    return Share(int(np.sum(np.abs(means) < 1.96 * errors)), n_chains)


def draw_naive_standard_error():
    """Left: one chain, which wanders. Middle: intervals of 25 such chains, by all draws and by the effective ones; those that miss
    the truth are marked. Right: how many hold it, over the step."""
    figure, (walk, bars, right) = subplots(1, 3, width=11.0, height=3.8)
    draws = langevin_chains(np.random.default_rng(0), 0.02, 25)
    walk.plot(draws[0, :300], color=COLORS["broken"], linewidth=0.9)
    walk.axhline(0, color=COLORS["theory"], linestyle="--")
    walk.set(title="A chain", xlabel="draw", ylabel="slope on body mass, less its mean")
    for effective, shift, color in ((False, -0.2, "broken"), (True, 0.2, "mended")):
        means, errors = intervals(draws, effective)
        place = np.arange(len(means)) + shift
        bars.errorbar(place, means, 1.96 * errors, fmt="none", color=COLORS[color], linewidth=1.4)
        missed = np.abs(means) > 1.96 * errors
        bars.plot(place[missed], means[missed], "x", color=COLORS[color], markersize=5)
    bars.axhline(0, color=COLORS["theory"], linestyle="--")
    bars.set(title="Intervals of 25 chains", xlabel="chain")
    plot_sweep(right, NAIVE_STANDARD_ERROR.breaks, label="all draws count, 95 %")
    right.axhline(0.95, color=COLORS["muted"], linestyle=":", label="what they promise")
    right.set(title="How many hold the truth", ylim=(0, 1))
    right.legend(fontsize=8, loc="lower right")
    return figure


NAIVE_STANDARD_ERROR = FailureMode(
    name="naive_standard_error",
    title="The standard error that counts every draw",
    symptoms=(
        "two runs disagree by many standard errors",
        "error bars of an MCMC mean are too small",
        "the standard error is sd over the root of n but the draws are correlated",
    ),
    breaks=Claim(
        statement=(
            "An interval that counts every draw of a chain covers with probability 2Φ(1.96/√τ) − 1, a third of the time at a step "
            "of half a posterior standard deviation."
        ),
        quantity="share of 95 % intervals that hold the posterior mean",
        experiment=coverage,
        predicted=theory.predicted_coverage,
        rival=theory.one_sided_coverage,
        relation="≈",
        tolerance=0.05,
        reason=(
            "to first order in 1/50: refusals lengthen τ, and s² falls short by τ/n, in all about 0.01; 2,500 chains tell 0.039 apart"
        ),
        parameters={"step_size": 0.02, "effective": False},
        sweep=Sweep("step_size", (0.0175, 0.02, 0.025, 0.03), "step ε", seeds=1),
    ),
    remedy=Claim(
        statement="With the effective sample size in place of the number of draws the interval covers what it promises.",
        quantity="share of 95 % intervals that hold the posterior mean",
        experiment=coverage,
        predicted=theory.predicted_coverage,
        rival=theory.coverage_by_all_draws,
        relation="≈",
        tolerance=0.05,
        reason=(
            "the effective sample size is itself estimated, from lags up to about 2τ to either side, so with some n/4τ = 14 degrees of freedom; "
            "for a Student's t with 14 a normal interval covers 0.930, and 2,500 chains tell 0.02 apart"
        ),
        parameters={"step_size": 0.02, "effective": True},
    ),
    figure=draw_naive_standard_error,
    seeds=10,
)

# %% [markdown]
# ## A random walk pays for every dimension
#
# Take $d$ independent standard normals, and Metropolis with proposal step $\sigma = \ell/\sqrt d$. For large $d$ the acceptance
# tends to $a(\ell) = 2\Phi(-\ell/2)$, and each coordinate, watched every $d$ steps, becomes a diffusion of speed
#
# $$h(\ell) = \ell^2 a(\ell) = 2\ell^2\,\Phi(-\ell/2)$$
#
# (Roberts, Gelman and Gilks 1997). Its autocorrelation after $t$ steps is $e^{-ht/2d}$, so the sum over lags is about $2d/h$ on
# either side, and
#
# $$\text{effective draws per step} = \frac{h(\ell)}{4d},$$
#
# which is largest at $\ell = 2.38$, where 23 % are accepted: $0.331/d$: a thousand dimensions cost three thousand steps a draw.
#
# **The regime.** $d \to \infty$; the next term is of order $1/d$, a few per cent at $d = 30$. We measure the spread of the
# chain's own mean, started in equilibrium: over $T$ steps it is $1/\mathrm{ESS}$. For a geometric autocorrelation $\rho^t$ it
# is known at finite $T$, too:
#
# $$\frac1{\mathrm{ESS}} = \frac1T\left[\frac{1+\rho}{1-\rho} -
# \frac{2\rho\,(1-\rho^T)}{T(1-\rho)^2}\right].$$
#
# **The remedy** is to roll, not to walk. Leapfrog steps of size $\varepsilon$ turn a standard normal by the angle $\theta$ with
# $\cos\theta = 1 - \varepsilon^2/2$, and after $L$ steps the energy error of $d$ coordinates is about normal with variance
# $\frac{d}{16}\varepsilon^4\sin^2 L\theta$ and half of that as its mean (to first order in $\varepsilon^2$), so the acceptance
# is
#
# $$a_L = 2\,\Phi\!\left(-\tfrac18\sqrt d\,\varepsilon^2\,|\sin L\theta|\right), \qquad
# \rho = \operatorname{mean}_L\big[1 - a_L + a_L\cos L\theta\big], \qquad
# \frac{\mathrm{ESS}}{\text{draw}} = \frac{1-\rho}{1+\rho}$$
#
# for $L$ uniform on $1 \dots \lceil\pi/\varepsilon\rceil$, at a price of $L$ gradients and one density. The step may shrink as
# slowly as $d^{-1/4}$.


# %%
def _normal_log_density(x):
    return -np.vecdot(x, x) / 2


def _normal_gradient(x):
    return -x


def random_walk_efficiency(rng, dimension: int, scale: float, n_steps: int, n_chains: int = 100) -> float:
    """Effective draws per evaluation, times the dimension, of Metropolis with step scale/√dimension."""
    start = rng.standard_normal((n_chains, dimension))
    step_size = scale / np.sqrt(dimension)
    result = metropolis(
        _normal_log_density,
        start,
        n_steps,
        step_size=step_size,
        n_warmup=0,
        n_chains=n_chains,
        rng=rng,
        vectorized=True,
    )
    return dimension / (n_steps * np.mean(result.draws.mean(axis=1) ** 2))


def hamiltonian_efficiency(rng, dimension: int, step_size: float, n_draws: int, n_chains: int = 50) -> float:
    """The same for Hamiltonian Monte Carlo; a gradient and a density count as one evaluation each."""
    start = rng.standard_normal((n_chains, dimension))
    result = hmc(
        _normal_log_density,
        _normal_gradient,
        start,
        n_draws,
        step_size=step_size,
        n_warmup=0,
        n_chains=n_chains,
        rng=rng,
        vectorized=True,
    )
    evaluations = result.n_evaluations / n_chains + n_draws
    return dimension / (evaluations * np.mean(result.draws.mean(axis=1) ** 2))


def draw_random_walk_cost():
    """Left: effective draws of Metropolis over its step; the best keeps a quarter of the proposals. Right: evaluations for an
    effective draw over the dimension, for Metropolis at its best and for Hamiltonian Monte Carlo."""
    figure, (left, axes) = subplots(1, 2, width=9.5, height=3.9)
    plot_sweep(left, RANDOM_WALK_COST.breaks)
    left.set(title="30 dimensions", ylabel="effective draws per evaluation × dimension")
    left.legend()
    rng = np.random.default_rng(0)
    dimensions, fine = np.array([5, 10, 20, 40]), np.geomspace(4, 1000, 60)
    scale, step = 2.38, 0.8
    walk = [d / random_walk_efficiency(rng, d, scale, 40 * d) for d in dimensions]
    roll = [d / hamiltonian_efficiency(rng, d, step * d**-0.25, 100) for d in dimensions]
    axes.loglog(fine, 4 * fine / (2 * scale**2 * ndtr(-scale / 2)), "--", color=COLORS["theory"])
    curve = [d / theory.predicted_hamiltonian_efficiency(d, step * d**-0.25, 100) for d in fine]
    axes.loglog(fine, curve, "--", color=COLORS["theory"], label="predicted")
    axes.loglog(dimensions, walk, "o", color=COLORS["broken"], label="Metropolis, best step")
    axes.loglog(dimensions, roll, "s", color=COLORS["mended"], label="Hamiltonian Monte Carlo")
    axes.set(xlabel="dimension", title="evaluations per effective draw")
    axes.legend()
    return figure


RANDOM_WALK_COST = FailureMode(
    name="random_walk_cost",
    title="A random walk pays for every dimension",
    symptoms=(
        "effective sample size is tiny in many dimensions",
        "thousands of draws and an ESS of ten",
        "Metropolis is slow although 23 percent are accepted",
    ),
    breaks=Claim(
        statement=(
            "At its best step size Metropolis gets a third of 1/d effective draws from an evaluation in d "
            "dimensions, and a little more in a short run."
        ),
        quantity="effective draws per evaluation × dimension",
        experiment=random_walk_efficiency,
        predicted=theory.predicted_random_walk_efficiency,
        rival=theory.one_sided_efficiency,
        relation="≈",
        tolerance=0.12,
        relative=True,
        reason="the diffusion limit is met up to terms of order 1/d, a few times 1/30",
        parameters={"dimension": 30, "scale": 2.38, "n_steps": 400},
        sweep=Sweep("scale", (0.6, 1.2, 1.8, 2.4, 3.2), "step ℓ, in units of 1/√d", seeds=2),
    ),
    remedy=Claim(
        statement=(
            "Hamiltonian Monte Carlo gets more than ten times as many, as rotation and energy error predict."
        ),
        quantity="effective draws per evaluation × dimension",
        experiment=hamiltonian_efficiency,
        predicted=theory.predicted_hamiltonian_efficiency,
        rival=theory.predicted_random_walk_efficiency(30, 2.38, 400),
        relation="≈",
        tolerance=0.2,
        relative=True,
        reason=(
            "the energy error's variance is of first order in ε² = 0.25, and acceptance depends on the state"
        ),
        parameters={"dimension": 30, "step_size": 0.5, "n_draws": 200},
    ),
    figure=draw_random_walk_cost,
    seeds=16,
)

# %% [markdown]
# ## Two modes hardly mix
#
# Two unit normals, half a mass each, at $-m$ and $m$: the potential energy $U = -\log p$ has a barrier of height $U(0) - U(m)
# \approx m^2/2 - \log 2$ between them. A Hamiltonian trajectory keeps its energy. It gets across only if it starts with more of
# it than the barrier has; and if it has, and rolls for long, it is as likely to stop on one side as on the other. So a draw
# changes sides with probability
#
# $$\tfrac12\,P\big(U(x) + \tfrac12r^2 > U(0)\big)
# = \int p(x)\; \Phi\!\left(-\sqrt{2\,(U(0) - U(x))}\right) dx \;\approx\; e^{-m^2/2}:$$
#
# one in twenty-five at $m = 2.5$, where we still can count it, one in seventy million at $m = 6$. A trajectory of NUTS keeps
# its energy, too, and meets the same barrier.
#
# **What that does to the answer.** The mass of the right mode is estimated by the share of draws there; it is ½, and $T$
# independent draws would miss it by $\frac12/\sqrt T$. Let $s_t = \pm1$ be the side of draw $t$. Once a trajectory had more
# energy than the barrier, the side is forgotten; before, it is kept. So $E\,s_0s_t$ is the probability that none of $t$
# trajectories did, and
#
# $$T\,\Big(\frac{\text{error}}{1/2}\Big)^2 = c_0 + 2\sum_{t=1}^{T-1}\Big(1-\frac tT\Big)\,c_t, \qquad c_t = E\,s_0s_t.$$
#
# A coin with the same chance of a crossing at each draw would have $c_t = (1-2\kappa)^t$; but a point that just came over lies
# high and comes over again. The law of $(x, \text{energy})$ is known: given the energy a long trajectory is at $x$ with the
# density $\propto 1/|r|$. So $c_t$ is a product of two small matrices, $P(\text{energy}\mid x)$ below the barrier and
# $P(x\mid\text{energy})$, applied $t$ times; no run is needed.
#
# **The regime.** The travel time (up to 20) is long against one orbit (period about 10), and started in equilibrium. The share
# of the other side then misses ½ by at most (period)/(16 · travel time), some 3 %, of which the root is felt; the integrator's
# own error, $O(\varepsilon^2)$, adds a little.
#
# **The remedy**: flatten the target. $p^\beta$ with an inverse temperature $\beta < 1$ has its barrier multiplied by $\beta$.
# Its draws are weighted with $w = p^{1-\beta}$ to speak for $p$ again: the mass is $\sum w\,[x > 0] / \sum w$, and the same
# formula gives its error with $c_t = E[w_0 s_0 w_t s_t]/(E w)^2$. The first term is the price of the weights, $c_0 =
# 1/\text{share}$, where share $= (E w)^2/E w^2$ of the draws remain effective; the others say how fast the sides mix. In one
# dimension the weights cost half of the draws ($\sqrt{\beta(2-\beta)}$ remain for a Gaussian well); in $d$ dimensions the
# $d$-th power of this remains, and one climbs a ladder of temperatures instead (parallel tempering).


# %%
def _hmc_on_two_modes(
    rng, start, n_draws: int, half_distance: float, inverse_temperature: float, travel: float, step: float
):
    """HMC on p^β; steps and travel time in units of the flattened wells."""
    width = 1 / np.sqrt(inverse_temperature)
    return hmc(
        lambda x: -inverse_temperature * theory.energy_of_two_modes(x[:, 0], half_distance),
        lambda x: inverse_temperature * (half_distance * np.tanh(half_distance * x) - x),
        start,
        n_draws,
        step_size=step * width,
        path_length=travel * width,
        n_warmup=0,
        n_chains=len(start),
        rng=rng,
        vectorized=True,
    )


def error_of_the_mass(
    rng, half_distance: float, inverse_temperature: float, n_draws: int = 40, n_chains: int = 1000
) -> float:
    """Root mean square error of the right mode's mass, in units of that of independent draws; started in equilibrium."""
    x, probability, _ = theory.right_half(half_distance, inverse_temperature)
    start = rng.choice([-1.0, 1.0], n_chains) * np.interp(rng.random(n_chains), np.cumsum(probability), x)
    draws = _hmc_on_two_modes(
        rng, start[:, None], n_draws, half_distance, inverse_temperature, travel=20.0, step=0.5
    ).draws[:, :, 0]
    weight = np.exp((inverse_temperature - 1) * theory.energy_of_two_modes(draws, half_distance))
    mass = np.sum(weight * (draws > 0), axis=1) / np.sum(weight, axis=1)
    return float(np.sqrt(n_draws * np.mean((2 * mass - 1) ** 2)))


def draw_two_modes():
    """Left: the phase plane: levels of the energy; what lies within the dashed line cannot get across. Right: the error of the right
    mode's mass over half the distance: from the target itself, and from the flattened one, weighted."""
    figure, (plane, axes) = subplots(1, 2, width=9.5, height=3.9)
    phase_plane.draw_barrier(plane, lambda x: theory.energy_of_two_modes(x, 2.5), COLORS)
    plot_sweep(axes, TWO_MODES.breaks, label="the target itself, 95 %")
    plot_sweep(axes, TWO_MODES.remedy, color=COLORS["mended"], label="flattened, β = 0.1, and weighted, 95 %")
    axes.set(ylim=(0, None), ylabel="error, in units of independent draws", title="The mass of a mode")
    axes.legend(fontsize=8)
    return figure


_OF_LONG_TRAVEL = (
    "travel is finite: the other side's share misses ½ by up to 3 %, and the integrator's energy error adds O(ε²); the root halves both, "
    "and 16 runs of 1,000 chains tell 4 % apart"
)

TWO_MODES = FailureMode(
    name="two_modes",
    title="Two modes hardly mix",
    symptoms=(
        "r-hat 1.3",
        "R-hat is far above 1.01 and more draws do not help",
        "chains sit in different modes",
        "the sampler stays in one mode",
        "the weight of a mode changes from run to run",
    ),
    breaks=Claim(
        statement=(
            "A draw forgets its mode only if its energy exceeds the barrier: the mass of a mode, from 40 draws, misses by more than "
            "four times what independent draws would."
        ),
        quantity="error of the right mode's mass, in units of independent draws",
        experiment=error_of_the_mass,
        predicted=theory.predicted_error_of_the_mass,
        rival=theory.memoryless_error_of_the_mass,
        relation="≈",
        tolerance=0.06,
        relative=True,
        reason=_OF_LONG_TRAVEL,
        parameters={"half_distance": 2.5, "inverse_temperature": 1.0},
        sweep=Sweep("half_distance", (1.5, 2.0, 2.5, 3.0), "half the distance of the modes", seeds=3),
    ),
    remedy=Claim(
        statement=(
            "Flattened to the power 0.1 and weighted, the same number of draws misses the same mass half as far, and by what the "
            "weights and the crossings predict."
        ),
        quantity="error of the right mode's mass, in units of independent draws",
        experiment=error_of_the_mass,
        predicted=theory.predicted_error_of_the_mass,
        rival=theory.predicted_error_of_the_mass(2.5, 1.0),
        relation="≈",
        tolerance=0.06,
        relative=True,
        reason=_OF_LONG_TRAVEL,
        parameters={"half_distance": 2.5, "inverse_temperature": 0.1},
        sweep=Sweep("half_distance", (1.5, 2.0, 2.5, 3.0), "half the distance of the modes", seeds=3),
    ),
    figure=draw_two_modes,
    seeds=16,
)

# %% [markdown]
# ## Chains started together agree on the wrong answer
#
# At $m = 6$ one draw in seventy million crosses. Start four chains together on the left: each explores the left mode, they
# agree with each other, and $\hat R \approx 1$. Half of the mass is missing, and $\hat R$ is green.
#
# $\hat R$ can only see what the starts have seen. **The remedy** is to disperse them. With two chains left and two right, the
# ranks of the left chains fill the lower half of all ranks, and those of the right chains the upper half. Their normal scores
# are half-normal: mean $\mp\sqrt{2/\pi}$, variance $1 - 2/\pi$. With $M = 8$ half-chains, $B/N = \frac{M}{M-1}\frac2\pi$, and
#
# $$\hat R = \sqrt{1 + \frac{M}{M-1}\cdot\frac{2/\pi}{1 - 2/\pi}} = 1.733,$$
#
# however far apart the modes are and however long the run: far above 1.01, and this very number is the fingerprint of chains
# that sit two by two.
#
# **The regime.** Separated modes; the finite number of draws moves both by about (autocorrelation time)/(draws).


# %%
def rhat_of_two_modes(rng, half_distance: float, n_chains_right: int, n_draws: int = 800) -> float:
    """R̂ of four chains, of which `n_chains_right` start in the right mode and the others in the left."""
    start = np.full((4, 1), -half_distance)
    start[:n_chains_right] = half_distance
    return rhat(
        _hmc_on_two_modes(rng, start, n_draws, half_distance, 1.0, travel=np.pi, step=0.8).draws[:, :, 0]
    )


def draw_one_start():
    """The first 150 draws of four chains, started together in one mode, and dispersed two by two, with the R-hat of each run (and as
    predicted)."""
    figure, axes = subplots(1, 2, width=9.0, height=3.6, sharey=True)
    for panel, n_right, color in ((axes[0], 0, "broken"), (axes[1], 2, "mended")):
        start = np.full((4, 1), -6.0)
        start[:n_right] = 6.0
        draws = _hmc_on_two_modes(np.random.default_rng(0), start, 800, 6.0, 1.0, np.pi, 0.8).draws[:, :, 0]
        panel.plot(draws[:, :150].T, color=COLORS[color], alpha=0.5, linewidth=0.8)
        panel.axhline(6, color=COLORS["theory"], linestyle="--")
        panel.axhline(-6, color=COLORS["theory"], linestyle="--")
        label = "Dispersed" if n_right else "Started together"
        predicted = theory.predicted_rhat_of_two_modes(6.0, n_right)
        panel.set(title=f"{label}: R̂ {rhat(draws):.3f} ({predicted:.3f})", xlabel="draw")
    axes[0].set(ylabel="x, half of the mass at each dashed line")
    return figure


ONE_START = FailureMode(
    name="one_start",
    title="Chains started together agree on the wrong answer",
    symptoms=(
        "R-hat is 1.00 and the answer is wrong",
        "all diagnostics are green but half of the posterior is missing",
        "another start gives another posterior",
    ),
    breaks=Claim(
        statement=(
            "Four chains started in one of two far modes have R̂ = 1 while half of the mass is missing."
        ),
        quantity="rank-normalized split R̂",
        experiment=rhat_of_two_modes,
        predicted=theory.predicted_rhat_of_two_modes,
        rival=theory.predicted_rhat_of_two_modes(6.0, 2),
        relation="≈",
        tolerance=0.01,
        reason="R̂ exceeds 1 by about (autocorrelation time)/(2 draws), some 0.003 at 800 draws",
        parameters={"half_distance": 6.0, "n_chains_right": 0},
    ),
    remedy=Claim(
        statement=("Dispersed two by two, the same chains have R̂ = 1.733, the value for half-normal scores."),
        quantity="rank-normalized split R̂",
        experiment=rhat_of_two_modes,
        predicted=theory.predicted_rhat_of_two_modes,
        rival=theory.predicted_rhat_of_two_modes(6.0, 0),
        relation="≈",
        tolerance=0.01,
        reason=(
            "normal scores of 3,200 ranks stand for the normal distribution, and each chain's mean is off by a little"
        ),
        parameters={"half_distance": 6.0, "n_chains_right": 2},
    ),
    figure=draw_one_start,
    seeds=8,
)

# %% [markdown]
# ## The funnel's neck is narrower than the step
#
# Neal's funnel (2003), the shape of every hierarchical posterior with little data: $v \sim N(0, 3^2)$, and nine $x_k \mid v
# \sim N(0, e^v)$. In the $x$ directions it is a Gaussian of width $e^{v/2}$, and the leapfrog on a Gaussian of width $w$ is
# stable only for $\varepsilon < 2w$: its step is the matrix with trace $2 - \varepsilon^2/w^2$ and determinant 1, whose
# eigenvalues leave the unit circle when the trace passes $-2$. So a given $\varepsilon$ is stable for
#
# $$v > v^\ast = 2\log(\varepsilon/2)$$
#
# only. Below, a trajectory explodes and is rejected; and what cannot leave cannot be entered either, by balance. The chain that
# started at $v = 0$ hardly enters the neck, although a share $\Phi(v^\ast/3)$ of the mass lies there: for $\varepsilon = 0.5$,
# $v^\ast = -2.77$, 17.8 %. To first order it visits **none** of it. (Divergences are the sampler's cry for help here; a smaller
# step only moves $v^\ast$ down, by $2\log 2$ for twice the work.)
#
# **The regime.** The edge is sharp for trajectories of many steps; but an explosion needs a few steps to show, and a trajectory
# may end just past the edge. A tenth of the mass below it lies within $u = 0.2$ of it; there a step multiplies a deviation by
# $e^{2\operatorname{arcosh} e^{u/2}} = 2.5$ already, and ten steps, the mean, by nearly ten thousand. What lies deeper is lost;
# so the claim is a bound: at most a tenth of the mass.
#
# **The remedy** is a change of variables, not of the sampler: $x_k = e^{v/2} z_k$ with $z_k \sim N(0, 1)$, the *non-centered*
# form. In $(v, z)$ the funnel is a plain Gaussian, the same step is stable everywhere, and the share is met.


# %%
def _funnel_draws(rng, step_size: float, centered: bool, n_draws: int = 60, n_chains: int = 100):
    """Draws of v, (chains, draws), all chains from v = 0."""
    start = rng.standard_normal((n_chains, 1 + theory.N_ARMS))
    start[:, 0] = 0.0  # there x and z are the same
    functions = (
        (theory.funnel_log_density, theory.funnel_gradient)
        if centered
        else (theory.unfolded_log_density, theory.unfolded_gradient)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it diverges: that is the point
        result = hmc(
            *functions,
            start,
            n_draws,
            step_size=step_size,
            path_length=10.0,
            n_warmup=0,
            n_chains=n_chains,
            rng=rng,
            vectorized=True,
        )
    return result.draws[:, n_draws // 4 :, 0]


def share_in_the_neck(rng, step_size: float, centered: bool) -> float:
    """Share of draws with v < 2 log(ε/2), the first quarter of the run left out."""
    return float(np.mean(_funnel_draws(rng, step_size, centered) < 2 * np.log(step_size / 2)))


def draw_funnel():
    """Left: where v was visited by HMC in both forms, beside the truth. Right: the share of draws beyond the edge of stability
    over the step."""
    figure, (axes, right) = subplots(1, 2, width=9.5, height=3.9, width_ratios=[3, 2])
    bins, v = np.linspace(-10, 10, 61), np.linspace(-10, 10, 400)
    for centered, color, label in ((True, "broken", "centered"), (False, "mended", "non-centered")):
        draws = _funnel_draws(np.random.default_rng(0), 0.5, centered).ravel()
        axes.hist(
            draws, bins=bins, density=True, histtype="step", linewidth=1.8, color=COLORS[color], label=label
        )
    axes.plot(v, np.exp(-v * v / 18) / np.sqrt(18 * np.pi), color=COLORS["muted"], label="the truth, N(0, 9)")
    axes.axvline(2 * np.log(0.25), color=COLORS["theory"], linestyle="--", label="2 log(ε/2), ε = 0.5")
    axes.set(xlabel="v, log of the funnel's variance", ylabel="density", title="The neck is hardly visited")
    axes.legend(loc="upper left", fontsize=8)
    plot_sweep(right, FUNNEL.breaks, label="centered, 95 %")
    plot_sweep(right, FUNNEL.remedy, color=COLORS["mended"], label="non-centered, 95 %")
    right.set_title("share of draws below 2 log(ε/2)")
    right.legend()
    return figure


FUNNEL = FailureMode(
    name="funnel",
    title="The funnel's neck is narrower than the step",
    symptoms=(
        "divergent transitions",
        "there were divergences after tuning",
        "the group variance is never small",
        "hierarchical model does not converge",
    ),
    breaks=Claim(
        statement=(
            "With step ε, HMC gives v < 2 log(ε/2), where the leapfrog is unstable, less than a tenth of the mass that is there."
        ),
        quantity="share of draws with v below 2 log(ε/2)",
        experiment=share_in_the_neck,
        predicted=theory.predicted_share_in_the_neck,
        rival=theory.predicted_share_in_the_neck(0.5, False),
        relation="≤",
        tolerance=0.0,
        reason="the prediction is a bound, and room for trajectories that end just past the edge is in it",
        parameters={"step_size": 0.5, "centered": True},
        sweep=Sweep("step_size", (0.25, 0.5, 1.0, 1.5), "step ε", seeds=2),
    ),
    remedy=Claim(
        statement="In the non-centered form the same sampler visits the mass that is there.",
        quantity="share of draws with v below 2 log(ε/2)",
        experiment=share_in_the_neck,
        predicted=theory.predicted_share_in_the_neck,
        rival=theory.predicted_share_in_the_neck(0.5, True),
        relation="≈",
        tolerance=0.02,
        reason=(
            "the chain is exact; the first quarter, left out, forgets the common start up to a few per cent"
        ),
        parameters={"step_size": 0.5, "centered": False},
        sweep=Sweep("step_size", (0.25, 0.5, 1.0, 1.5), "step ε", seeds=2),
    ),
    figure=draw_funnel,
    seeds=16,
)

# %%
FAILURE_MODES = (NAIVE_STANDARD_ERROR, RANDOM_WALK_COST, TWO_MODES, ONE_START, FUNNEL)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
