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
# A chain that can reach everything is right in the long run. The question is how long that is, and whether you would
# notice. Four ways in which the run is too short: a random walk pays for every dimension; two modes with a barrier between
# them do not mix; when all chains begin in one of them, $\hat R$ sees nothing; and a funnel's neck is narrower than the
# integrator's step. Each number below is predicted by a formula, then met by a run.

# %%
from __future__ import annotations

import warnings

import numpy as np

from level4_probabilistic.markov_chain_monte_carlo import hmc, metropolis, rhat
from shared.failure_mode import Claim, FailureMode, Sweep
from shared.figures import COLORS, plot_sweep, subplots
from shared.special import ndtr

# %% [markdown]
# ## A random walk pays for every dimension
#
# Take $d$ independent standard normals, and Metropolis with proposal step $\sigma = \ell/\sqrt d$. For
# large $d$ the acceptance tends to $a(\ell) = 2\Phi(-\ell/2)$, and each coordinate, watched every $d$
# steps, becomes a diffusion of speed
#
# $$h(\ell) = \ell^2 a(\ell) = 2\ell^2\,\Phi(-\ell/2)$$
#
# (Roberts, Gelman and Gilks 1997). Its autocorrelation after $t$ steps is $e^{-ht/2d}$, so the sum over
# lags is about $2d/h$ on either side, and
#
# $$\text{effective draws per step} = \frac{h(\ell)}{4d},$$
#
# which is largest at $\ell = 2.38$, where 23 % are accepted: $0.331/d$: a thousand dimensions cost
# three thousand steps a draw.
#
# **The regime.** $d \to \infty$; the next term is of order $1/d$, a few per cent at $d = 30$. We measure
# the spread of the chain's own mean, started in equilibrium: over $T$ steps it is $1/\mathrm{ESS}$. For a
# geometric autocorrelation $\rho^t$ it is known at finite $T$, too:
#
# $$\frac1{\mathrm{ESS}} = \frac1T\left[\frac{1+\rho}{1-\rho} -
# \frac{2\rho\,(1-\rho^T)}{T(1-\rho)^2}\right].$$
#
# **The remedy** is to roll, not to walk. Leapfrog steps of size $\varepsilon$ turn a standard normal by the
# angle $\theta$ with $\cos\theta = 1 - \varepsilon^2/2$, and after $L$ steps the energy error of $d$
# coordinates is about normal with variance $\frac{d}{16}\varepsilon^4\sin^2 L\theta$ and half of that as
# its mean (to first order in $\varepsilon^2$), so the acceptance is
#
# $$a_L = 2\,\Phi\!\left(-\tfrac18\sqrt d\,\varepsilon^2\,|\sin L\theta|\right), \qquad
# \rho = \operatorname{mean}_L\big[1 - a_L + a_L\cos L\theta\big], \qquad
# \frac{\mathrm{ESS}}{\text{draw}} = \frac{1-\rho}{1+\rho}$$
#
# for $L$ uniform on $1 \dots \lceil\pi/\varepsilon\rceil$, at a price of $L$ gradients and one density. The
# step may shrink as slowly as $d^{-1/4}$.


# %%
def _normal_log_density(x):
    return -np.vecdot(x, x) / 2


def _normal_gradient(x):
    return -x


def random_walk_efficiency(rng, dimension: int, scale: float, n_steps: int, n_chains: int = 40) -> float:
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


def predicted_random_walk_efficiency(dimension: int, scale: float, n_steps: int) -> float:
    """h(ℓ)/4 for long runs, with the correction for a finite one."""
    speed = 2 * scale**2 * ndtr(-scale / 2)
    rho = np.exp(-speed / (2 * dimension))
    tau = (1 + rho) / (1 - rho) - 2 * rho * (1 - rho**n_steps) / (n_steps * (1 - rho) ** 2)
    return float(dimension / tau)


def one_sided_efficiency(dimension: int, scale: float, n_steps: int) -> float:
    """The nearest wrong theory: the autocorrelations are summed on one side only, which doubles the effective draws."""
    return 2 * predicted_random_walk_efficiency(dimension, scale, n_steps)


def hamiltonian_efficiency(rng, dimension: int, step_size: float, n_draws: int, n_chains: int = 20) -> float:
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


def predicted_hamiltonian_efficiency(dimension: int, step_size: float, n_draws: int) -> float:
    """d · (1−ρ)/(1+ρ) / (mean L + 1)."""
    n_steps = np.arange(1, np.ceil(np.pi / step_size) + 1)
    angle = n_steps * np.arccos(1 - step_size**2 / 2)
    acceptance = 2 * ndtr(-np.sqrt(dimension) * step_size**2 * np.abs(np.sin(angle)) / 8)
    rho = np.mean(1 - acceptance + acceptance * np.cos(angle))
    return float(dimension * (1 - rho) / (1 + rho) / (n_steps.mean() + 1))


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
    theory = [d / predicted_hamiltonian_efficiency(d, step * d**-0.25, 100) for d in fine]
    axes.loglog(fine, theory, "--", color=COLORS["theory"], label="predicted")
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
            "dimensions."
        ),
        quantity="effective draws per evaluation × dimension",
        experiment=random_walk_efficiency,
        predicted=predicted_random_walk_efficiency,
        rival=one_sided_efficiency,
        relation="≈",
        tolerance=0.12,
        relative=True,
        reason="the diffusion limit is met up to terms of order 1/d, a few times 1/30",
        parameters={"dimension": 30, "scale": 2.38, "n_steps": 1000},
        sweep=Sweep("scale", (0.6, 1.2, 1.8, 2.4, 3.2, 4.5), "step ℓ, in units of 1/√d", seeds=4),
    ),
    remedy=Claim(
        statement=(
            "Hamiltonian Monte Carlo gets more than ten times as many, as rotation and energy error predict."
        ),
        quantity="effective draws per evaluation × dimension",
        experiment=hamiltonian_efficiency,
        predicted=predicted_hamiltonian_efficiency,
        rival=predicted_random_walk_efficiency(30, 2.38, 1000),
        relation="≈",
        tolerance=0.2,
        relative=True,
        reason=(
            "the energy error's variance is of first order in ε² = 0.25, and acceptance depends on the state"
        ),
        parameters={"dimension": 30, "step_size": 0.5, "n_draws": 400},
    ),
    figure=draw_random_walk_cost,
)

# %% [markdown]
# ## Two modes do not mix
#
# Two unit normals, half a mass each, at $-m$ and $m$: the potential energy $U = -\log p$ has a barrier of
# height $U(0) - U(m) \approx m^2/2 - \log 2$ between them. A Hamiltonian trajectory keeps its energy. It
# gets across only if it starts with more of it than the barrier has; and if it has, and rolls for long, it
# is as likely to stop on one side as on the other. So a draw changes sides with probability
#
# $$\tfrac12\,P\big(U(x) + \tfrac12p^2 > U(0)\big)
# = \int p(x)\; \Phi\!\left(-\sqrt{2\,(U(0) - U(x))}\right) dx \;\approx\; e^{-m^2/2}:$$
#
# one in a hundred at $m = 3$, where we can still count it, one in seventy million at $m = 6$. A trajectory of NUTS keeps its
# energy, too, and meets the same barrier.
#
# **The regime.** The travel time is long against one orbit (period about 10, travel time up to 30): the
# share of the other side then misses ½ by at most (period)/(16 · travel time), some 2 %. The integrator's
# own error, $O(\varepsilon^2)$, adds a little.
#
# **The remedy**: flatten the target. $p^\beta$ with an inverse temperature $\beta < 1$ has its barrier
# multiplied by $\beta$; the same formula with $\beta U$ in place of $U$ predicts how often it is crossed.
# Its draws are weighted with $p^{1-\beta}$ to speak for $p$ again. In one dimension that costs half of them
# ($\sqrt{\beta(2-\beta)}$ for a Gaussian well); in $d$ dimensions the $d$-th power of this, and one climbs
# a ladder of temperatures instead (parallel tempering).


# %%
def energy_of_two_modes(x, half_distance: float):
    """U(x) for two unit normals at ± half_distance, up to a constant."""
    return (x * x + half_distance**2) / 2 - np.logaddexp(half_distance * x, -half_distance * x)


def _grid_of_two_modes(half_distance: float, inverse_temperature: float):
    """Grid, probabilities of p^β on it, and βU."""
    edge = half_distance + 9 / np.sqrt(inverse_temperature)
    x = np.linspace(-edge, edge, 8001)
    energy = inverse_temperature * energy_of_two_modes(x, half_distance)
    probability = np.exp(energy.min() - energy)
    return x, probability / probability.sum(), energy


def _hmc_on_two_modes(
    rng, start, n_draws: int, half_distance: float, inverse_temperature: float, travel: float
):
    """HMC on p^β; steps and travel time in units of the flattened wells."""
    width = 1 / np.sqrt(inverse_temperature)
    return hmc(
        lambda x: -inverse_temperature * energy_of_two_modes(x[:, 0], half_distance),
        lambda x: inverse_temperature * (half_distance * np.tanh(half_distance * x) - x),
        start,
        n_draws,
        step_size=0.3 * width,
        path_length=travel * width,
        n_warmup=0,
        n_chains=len(start),
        rng=rng,
        vectorized=True,
    )


def crossing_probability(
    rng, half_distance: float, inverse_temperature: float, n_draws: int = 40, n_chains: int = 1000
) -> float:
    """Share of draws on another side than the draw before, started in equilibrium."""
    x, probability, _ = _grid_of_two_modes(half_distance, inverse_temperature)
    start = np.interp(rng.random(n_chains), np.cumsum(probability), x)[:, None]
    result = _hmc_on_two_modes(rng, start, n_draws, half_distance, inverse_temperature, travel=30.0)
    right = np.concatenate([start[:, None], result.draws], axis=1)[:, :, 0] > 0
    return float(np.mean(right[:, 1:] != right[:, :-1]))


def predicted_crossing_probability(half_distance: float, inverse_temperature: float) -> float:
    """½ P(energy > barrier), by summing over a grid."""
    x, probability, energy = _grid_of_two_modes(half_distance, inverse_temperature)
    barrier = energy[len(x) // 2]
    return float(probability @ ndtr(-np.sqrt(2 * np.maximum(barrier - energy, 0))))


def boltzmann_crossing_probability(half_distance: float, inverse_temperature: float) -> float:
    """The nearest wrong theory: the barrier's own factor, exp(−height), as for a walk that climbs it step by step."""
    _, _, energy = _grid_of_two_modes(half_distance, inverse_temperature)
    return float(np.exp(energy.min() - energy[len(energy) // 2]))


def draw_two_modes():
    """Probability that a draw changes modes, over half their distance: of the target itself, and of the target flattened to the
    power 0.1."""
    figure, axes = subplots()
    plot_sweep(axes, TWO_MODES.breaks, label="the target itself, 95 %")
    plot_sweep(axes, TWO_MODES.remedy, color=COLORS["mended"], label="flattened, β = 0.1, 95 %")
    axes.set(yscale="log", ylabel="probability of a crossing per draw", title="Two modes do not mix")
    axes.legend()
    return figure


TWO_MODES = FailureMode(
    name="two_modes",
    title="Two modes do not mix",
    symptoms=(
        "r-hat 1.3",
        "R-hat is far above 1.01 and more draws do not help",
        "chains sit in different modes",
        "the sampler stays in one mode",
    ),
    breaks=Claim(
        statement="A Hamiltonian draw changes modes with probability ½ P(energy > barrier), about exp(−m²/2).",
        quantity="probability that a draw changes modes",
        experiment=crossing_probability,
        predicted=predicted_crossing_probability,
        rival=boltzmann_crossing_probability,
        relation="≈",
        tolerance=0.15,
        relative=True,
        reason=(
            "travel is finite: the other side's share misses ½ by about 2 %, the integrator's energy "
            "error adds O(ε²)"
        ),
        parameters={"half_distance": 3.0, "inverse_temperature": 1.0},
        sweep=Sweep("half_distance", (1.5, 2.0, 2.5, 3.0), "half the distance of the modes", seeds=4),
    ),
    remedy=Claim(
        statement=(
            "On the target flattened to the power 0.1 the same formula gives about thirty times as "
            "many crossings."
        ),
        quantity="probability that a draw changes modes",
        experiment=crossing_probability,
        predicted=predicted_crossing_probability,
        rival=predicted_crossing_probability(3.0, 1.0),
        relation="≈",
        tolerance=0.15,
        relative=True,
        reason=(
            "travel is finite: the other side's share misses ½ by about 2 %, the integrator's energy "
            "error adds O(ε²)"
        ),
        parameters={"half_distance": 3.0, "inverse_temperature": 0.1},
        sweep=Sweep("half_distance", (1.5, 2.0, 2.5, 3.0), "half the distance of the modes", seeds=4),
    ),
    figure=draw_two_modes,
    seeds=40,
)

# %% [markdown]
# ## Chains started together agree on the wrong answer
#
# At $m = 6$ one draw in seventy million crosses. Start four chains together on the left: each explores the left
# mode, they agree with each other, and $\hat R \approx 1$. Half of the mass is missing, and $\hat R$ is green.
#
# $\hat R$ can only see what the starts have seen. **The remedy** is to disperse them. With two chains left
# and two right, the ranks of the left chains fill the lower half of all ranks, and those of the right
# chains the upper half. Their normal scores are half-normal: mean $\mp\sqrt{2/\pi}$, variance $1 - 2/\pi$.
# With $M = 8$ half-chains, $B/N = \frac{M}{M-1}\frac2\pi$, and
#
# $$\hat R = \sqrt{1 + \frac{M}{M-1}\cdot\frac{2/\pi}{1 - 2/\pi}} = 1.733,$$
#
# however far apart the modes are and however long the run: far above 1.01, and this very number is the
# fingerprint of chains that sit two by two.
#
# **The regime.** Separated modes; the finite number of draws moves both by about (autocorrelation
# time)/(draws).


# %%
def rhat_of_two_modes(rng, half_distance: float, n_chains_right: int, n_draws: int = 800) -> float:
    """R̂ of four chains, of which `n_chains_right` start in the right mode and the others in the left."""
    start = np.full((4, 1), -half_distance)
    start[:n_chains_right] = half_distance
    return rhat(_hmc_on_two_modes(rng, start, n_draws, half_distance, 1.0, travel=np.pi).draws[:, :, 0])


def predicted_rhat_of_two_modes(half_distance: float, n_chains_right: int) -> float:
    """1 for chains in one mode; √(1 + M/(M−1) · s/(1−s)) for halves, with s = 2/π and M = 8 half-chains."""
    if n_chains_right == 0:
        return 1.0
    between = 2 / np.pi
    return float(np.sqrt(1 + 8 / 7 * between / (1 - between)))


def draw_one_start():
    """The first 150 draws of four chains, started together in one mode, and dispersed two by two, with the R-hat of each run (and as
    predicted)."""
    figure, axes = subplots(1, 2, width=9.0, height=3.6, sharey=True)
    for panel, n_right, color in ((axes[0], 0, "broken"), (axes[1], 2, "mended")):
        start = np.full((4, 1), -6.0)
        start[:n_right] = 6.0
        draws = _hmc_on_two_modes(np.random.default_rng(0), start, 800, 6.0, 1.0, np.pi).draws[:, :, 0]
        panel.plot(draws[:, :150].T, color=COLORS[color], alpha=0.5, linewidth=0.8)
        panel.axhline(6, color=COLORS["theory"], linestyle="--")
        panel.axhline(-6, color=COLORS["theory"], linestyle="--")
        label = "Dispersed" if n_right else "Started together"
        predicted = predicted_rhat_of_two_modes(6.0, n_right)
        panel.set(
            title=f"{label}: R̂ {rhat(draws):.3f} ({predicted:.3f})",
            xlabel="draw",
        )
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
        predicted=predicted_rhat_of_two_modes,
        rival=predicted_rhat_of_two_modes(6.0, 2),
        relation="≈",
        tolerance=0.01,
        reason="R̂ exceeds 1 by about (autocorrelation time)/(2 draws), some 0.003 at 800 draws",
        parameters={"half_distance": 6.0, "n_chains_right": 0},
    ),
    remedy=Claim(
        statement=("Dispersed two by two, the same chains have R̂ = 1.733, the value for half-normal scores."),
        quantity="rank-normalized split R̂",
        experiment=rhat_of_two_modes,
        predicted=predicted_rhat_of_two_modes,
        rival=predicted_rhat_of_two_modes(6.0, 0),
        relation="≈",
        tolerance=0.01,
        reason=(
            "normal scores of 3,200 ranks stand for the normal distribution, and each chain's mean is off by a little"
        ),
        parameters={"half_distance": 6.0, "n_chains_right": 2},
    ),
    figure=draw_one_start,
    seeds=10,
)

# %% [markdown]
# ## The funnel's neck is narrower than the step
#
# Neal's funnel (2003), the shape of every hierarchical posterior with little data: $v \sim N(0, 3^2)$, and
# nine $x_k \mid v \sim N(0, e^v)$. In the $x$ directions it is a Gaussian of width $e^{v/2}$, and the
# leapfrog on a Gaussian of width $w$ is stable only for $\varepsilon < 2w$: its step is the matrix with
# trace $2 - \varepsilon^2/w^2$ and determinant 1, whose eigenvalues leave the unit circle when the trace
# passes $-2$. So a given $\varepsilon$ is stable for
#
# $$v > v^\ast = 2\log(\varepsilon/2)$$
#
# only. Below, a trajectory explodes and is rejected; and what cannot leave cannot be entered either, by
# balance. The chain that started at $v = 0$ hardly enters the neck, although a share $\Phi(v^\ast/3)$ of the
# mass lies there: for $\varepsilon = 0.5$, $v^\ast = -2.77$, 17.8 %. To first order it visits **none** of
# it. (Divergences are the sampler's cry for help here; a smaller step only moves $v^\ast$ down, by
# $2\log 2$ for twice the work.)
#
# **The regime.** The edge is sharp for trajectories of many steps, as an explosion needs a few steps to
# show; a trajectory may end just past it. We allow a fiftieth of the mass.
#
# **The remedy** is a change of variables, not of the sampler: $x_k = e^{v/2} z_k$ with $z_k \sim N(0, 1)$,
# the *non-centered* form. In $(v, z)$ the funnel is a plain Gaussian, the same step is stable everywhere,
# and the share is met.

# %%
N_ARMS = 9


def funnel_log_density(theta):
    """Centered: (…, 10) holding v and nine x."""
    v, x = theta[..., 0], theta[..., 1:]
    return -v * v / 18 - N_ARMS * v / 2 - np.exp(-v) * np.vecdot(x, x) / 2


def funnel_gradient(theta):
    """Gradient of the centered log density, (…, 10)."""
    v, x = theta[..., :1], theta[..., 1:]
    precision = np.exp(-v)
    along_v = -v / 9 - N_ARMS / 2 + precision * np.sum(x * x, axis=-1, keepdims=True) / 2
    return np.concatenate([along_v, -precision * x], axis=-1)


def unfolded_log_density(theta):
    """Non-centered: (…, 10) holding v and nine z."""
    v, z = theta[..., 0], theta[..., 1:]
    return -v * v / 18 - np.vecdot(z, z) / 2


def unfolded_gradient(theta):
    """Gradient of the non-centered log density, (…, 10)."""
    return np.concatenate([-theta[..., :1] / 9, -theta[..., 1:]], axis=-1)


def _funnel_draws(rng, step_size: float, centered: bool, n_draws: int = 100, n_chains: int = 100):
    """Draws of v, (chains, draws), all chains from v = 0."""
    start = rng.standard_normal((n_chains, 1 + N_ARMS))
    start[:, 0] = 0.0  # there x and z are the same
    functions = (
        (funnel_log_density, funnel_gradient) if centered else (unfolded_log_density, unfolded_gradient)
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


def predicted_share_in_the_neck(step_size: float, centered: bool) -> float:
    """Φ(v*/3) where the sampler is stable; 0 where it is not."""
    if step_size >= 2:
        raise ValueError(
            f"a step of {step_size:g} is unstable in the non-centered form, too; the formula is for less than 2."
        )
    return 0.0 if centered else float(ndtr(2 * np.log(step_size / 2) / 3))


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
    axes.set(
        xlabel="v, the logarithm of the funnel's variance",
        ylabel="density",
        title="The neck is hardly visited",
    )
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
            "With step ε, HMC hardly ever enters v < 2 log(ε/2), where the leapfrog is unstable, though 18 "
            "% of the mass is there."
        ),
        quantity="share of draws with v below 2 log(ε/2)",
        experiment=share_in_the_neck,
        predicted=predicted_share_in_the_neck,
        rival=predicted_share_in_the_neck(0.5, False),
        relation="≤",
        tolerance=0.02,
        reason="a trajectory may end just past the edge before its explosion shows",
        parameters={"step_size": 0.5, "centered": True},
        sweep=Sweep("step_size", (0.25, 0.5, 0.75, 1.0, 1.5), "step ε", seeds=4),
    ),
    remedy=Claim(
        statement="In the non-centered form the same sampler visits the mass that is there.",
        quantity="share of draws with v below 2 log(ε/2)",
        experiment=share_in_the_neck,
        predicted=predicted_share_in_the_neck,
        rival=predicted_share_in_the_neck(0.5, True),
        relation="≈",
        tolerance=0.02,
        reason=(
            "the chain is exact; the first quarter, left out, forgets the common start up to a few per cent"
        ),
        parameters={"step_size": 0.5, "centered": False},
        sweep=Sweep("step_size", (0.25, 0.5, 0.75, 1.0, 1.5), "step ε", seeds=4),
    ),
    figure=draw_funnel,
)

# %%
FAILURE_MODES = (RANDOM_WALK_COST, TWO_MODES, ONE_START, FUNNEL)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
