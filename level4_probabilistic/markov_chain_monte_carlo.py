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
# # Markov chain Monte Carlo
#
# ## 1. Select
#
# **The question.** A posterior is known up to a constant, $p(x) \propto e^{\ell(x)}$. How do we get its
# means, spreads and quantiles, when the integrals have no closed form and the dimension is too high for a
# grid?
#
# **In one line.** Walk so that each place is visited in proportion to its probability, and average over the way.
#
# **How.** Build a Markov chain whose stationary distribution is $p$; its long-run averages are
# the integrals. Four ways to walk, one idea each: Metropolis proposes blindly and refuses what is too improbable; Gibbs draws
# part by part from conditionals that are known; Hamiltonian Monte Carlo (HMC) follows the gradient over a long
# way; and the no-U-turn sampler (NUTS), which PyMC and Stan run by default, finds out how long a way.
#
# **Builds on** [automatic differentiation](../level1_foundations/automatic_differentiation.py) for gradients, and on averages and
# the normal distribution. What outgrows this page: [trajectories](parts/markov_chain_monte_carlo/trajectories.py) (leapfrog and
# doubling), [Gibbs](parts/markov_chain_monte_carlo/gibbs.py), the [warm-up](parts/markov_chain_monte_carlo/sampler_adaptation.py),
# the [diagnostics](parts/markov_chain_monte_carlo/chain_diagnostics.py), the table of `result.summary()`, the check of your
# gradient, and the [two posteriors](parts/markov_chain_monte_carlo/regression_and_schools.py) that everything is tried on.
#
# **Mirrors** PyMC's NUTS and ArviZ's `rhat` and `ess`.
#
# **Sources.** Metropolis et al. (1953); Hastings (1970); Geman and Geman (1984); Duane et al. (1987); Neal (2011); Hoffman
# and Gelman (2014); Betancourt (2017); Vehtari et al. (2021).

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | in the code | shape |
# |---|---|---|---|
# | $x$ | a point of $d$ coordinates | `position` | (chains, dim) |
# | $p(x)\propto e^{\ell(x)}$, $\ell$ | the posterior and its log density, up to a constant | `log_density` | (chains,) |
# | $\nabla\ell$ | its gradient | `gradient` | (chains, dim) |
# | $q(x' \mid x)$, $\alpha$ | density of a proposal, probability that it is accepted | `acceptance` | (chains,) |
# | $r$ | momentum, in units of $1/s$ | `momentum` | (chains, dim) |
# | $s$ | scale of each coordinate | `scale` | (dim,) |
# | $\sigma$ | step of a random walk | `step_size` | |
# | $\varepsilon$ | step of the integrator | `step_size` | |
# | $H$ | energy, $-\ell(x)+\frac12\lVert r\rVert^2$ in these units | `energy` | (chains,) |
# | $R$ | sum of momenta over a stretch | `momentum_sum` | (chains, dim) |
# | $w$ | sum of $e^{-H}$ over a stretch | `log_weight` | (chains,) |
#
# **Stationarity by balance.** Let $T(x \to x')$ be the transition. If
# $p(x)\,T(x \to x') = p(x')\,T(x' \to x)$ for every pair (*detailed balance*; the chain is *reversible*), then integrating over
# $x$ gives $\int p(x)\,T(x \to x')\,dx = p(x')$: the chain leaves $p$ as it is. If it can also reach
# everywhere, its averages converge to those of $p$. Transitions that leave $p$ as it is may follow one another: so does their
# composition.
#
# **One ratio for all** (Hastings 1970). Propose $x'$ from any density $q(x' \mid x)$. Two flows face each other,
# $p(x)\,q(x' \mid x)$ and $p(x')\,q(x \mid x')$; let through what the smaller one has. That is to accept with probability
#
# $$\alpha(x, x') = \min\left(1,\; \frac{p(x')\,q(x \mid x')}{p(x)\,q(x' \mid x)}\right),$$
#
# for then $p(x)\,q(x' \mid x)\,\alpha(x, x') = \min\big(p(x)\,q(x' \mid x),\; p(x')\,q(x \mid x')\big)$, which is the same from
# either end: balance holds. The unknown constant of $p$ cancels.
#
# *Metropolis.* A symmetric $q(x' \mid x) = q(x \mid x')$ cancels, too: $\alpha = \min(1, p(x')/p(x))$.
#
# *Gibbs.* Draw block $b$ from its conditional given the other coordinates, which stay: $q(x' \mid x) = p(x'_b \mid x_{-b})$. With
# $p(x) = p(x_b \mid x_{-b})\,p(x_{-b})$ the ratio is
# $\frac{p(x'_b \mid x_{-b})\,p(x_{-b})\;p(x_b \mid x_{-b})}{p(x_b \mid x_{-b})\,p(x_{-b})\;p(x'_b \mid x_{-b})} = 1$, so nothing is refused. A sweep through the
# blocks in a fixed order leaves $p$ as it is, as each part does; but it is not reversible: backwards the order is another.
#
# **Where the mass is.** In $d$ dimensions the volume between the distances $u$ and $u + du$ from the mode grows as $u^{d-1}$,
# while a normal density falls as $e^{-u^2/2}$. Their product peaks at $u = \sqrt{d-1}$ and has a width of about $1/\sqrt2$ in any
# dimension: nearly all draws lie in this thin shell, the *typical set*, far from the mode. A blind step of length
# $\sigma\sqrt d$ is nearly at a right angle to the radius and so leads outwards, to $u^2 + \sigma^2 d$. It is accepted only if $\sigma^2 d$ is of
# the order of 1, so $\sigma \propto 1/\sqrt d$; and a walk in steps of $\sigma$ needs of the order of $1/\sigma^2 = d$ of them to cross a distance of 1. To
# go far one has to move along the shell.
#
# **Hamiltonian Monte Carlo.** Stop walking at random: roll. Give the point a momentum $r$ and draw from $e^{-H}$ on all pairs
# $(x, r)$, for the energy $H = -\ell(x) + \frac12\lVert r\rVert^2$; forgetting $r$ leaves $p$. First a fresh $r \sim N(0, I)$ (a Gibbs
# step), then a long move by Hamilton's equations,
#
# $$\dot x = r, \qquad \dot r = \nabla\ell(x).$$
#
# Three facts make the end of the way a proposal with $\alpha = 1$, however long it is:
#
# - *$H$ is kept*: $\dot H = -\nabla\ell\cdot\dot x + r\cdot\dot r = -\nabla\ell\cdot r + r\cdot\nabla\ell = 0$.
# - *Volume is kept*: the divergence of the motion is $\partial_x\cdot r + \partial_r\cdot\nabla\ell(x) = 0$.
# - *It is reversible*: with $t \to -t$ and $r \to -r$ the equations are the same. So with the sign of $r$ turned at the end the
#   move is its own inverse, and both flows of Hastings' ratio are $e^{-H}$. The sign itself does not matter, as $r$ is
#   drawn afresh.
#
# A computer makes steps. The *leapfrog* takes half a kick, a drift, half a kick, in units $s$ of each coordinate (the square root
# of the inverse metric; momenta are in $1/s$):
#
# $$r \leftarrow r + \tfrac{\varepsilon}{2}\, s\,\nabla\ell(x), \qquad
# x \leftarrow x + \varepsilon\, s\, r, \qquad
# r \leftarrow r + \tfrac{\varepsilon}{2}\, s\,\nabla\ell(x).$$
#
# Each of the three is a *shear*: it adds to one half of the coordinates a function of the other half, and so its Jacobian is triangular with
# ones on the diagonal: volume is kept to the last digit. Read from right to left, with $r$ turned, it is the same three lines: it is
# reversible. Only $H$ is missed, by $O(\varepsilon^2)$, and Hastings' ratio is what is left of it: $\alpha = \min(1, e^{H - H'})$.
#
# How long to roll? For a Gaussian in its own units, $x$ after time $t$ is $x_0\cos t + r_0 \sin t$: too
# short is a random walk, $t = 2\pi$ is back where it began. With $t$ uniform on $(0, \pi)$ the correlation
# of neighboring draws of $x$ averages to $\frac1\pi\int_0^\pi \cos t\,dt = 0$; that is our `hmc`. Of $x^2$ it is
# $\frac1\pi\int_0^\pi \cos^2 t\,dt = \frac12$, so that variances get $(1-\frac12)/(1+\frac12)$, a third of the draws: look at the effective
# sample size of the quantity that you want.
#
# **No U-turn.** NUTS asks the trajectory itself. It doubles it, forwards or backwards by a fair coin, until
# it turns around, and moves to one of its points by a rule that leaves the distribution $\propto e^{-H}$ on them as it is. Three facts
# make this leave $p$ as it is: (1) from each point of a finished trajectory the same trajectory would have
# been built with the same probability ($2^{-\text{depth}}$), provided no sub-tree from which the doubling could have started had turned
# already, which is why every sub-tree is checked; (2) the new half's point, drawn from its half $\propto e^{-H}$, replaces the
# old one with probability $\min(1, w_{\text{new}}/w_{\text{old}})$, which is Hastings' ratio between the two halves. This is no draw from the
# whole (that would take the new half with probability $w_{\text{new}}/(w_{\text{old}} + w_{\text{new}})$): it favors the far half and keeps the
# distribution (*biased progressive sampling*); (3) a trajectory whose new half turned inside is left as it was before the doubling.
#
# *When has it turned?* With $R = \sum r$ over the points of a stretch (in our units, the way from end to
# end), the stretch still grows at both ends as long as $r_{\text{first}}\cdot R > 0$ and
# $r_{\text{last}}\cdot R > 0$ (Betancourt 2017). Two half-turns of equal halves can hide from this, so
# the same is asked of the left half plus the first point of the right one, and of the right half plus the
# last point of the left one (Stan's extra checks).
#
# **What it assumes.** The chain reaches every region that has mass within the run, the starts are spread over them, and the
# density is smooth on the scale of a step. What happens otherwise is in `failure_modes/markov_chain_monte_carlo.py`.
#
# **Cost.** Each leapfrog step costs one gradient, $O(d)$ memory; in $d$ dimensions of equal scale,
# Metropolis needs $O(d)$ evaluations an effective draw, HMC $O(d^{1/4})$ (Beskos et al. 2013). A doubling
# of depth $j$ keeps its $2^j$ points: NUTS needs memory for $4 \cdot 2^j d$ numbers a chain.

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import time
from functools import partial
from types import SimpleNamespace

import numpy as np

from level4_probabilistic.parts.markov_chain_monte_carlo.agreements import compare_samplers, draw_parameters
from level4_probabilistic.parts.markov_chain_monte_carlo.chain_diagnostics import (
    effective_sample_size,
    monte_carlo_standard_error,
    rhat,
)
from level4_probabilistic.parts.markov_chain_monte_carlo.gibbs import gibbs, gibbs_sweep
from level4_probabilistic.parts.markov_chain_monte_carlo.regression_and_schools import (
    EIGHT_SCHOOLS,
    EightSchools,
    race_nuts,
)
from level4_probabilistic.parts.markov_chain_monte_carlo.sampler_adaptation import run
from level4_probabilistic.parts.markov_chain_monte_carlo.sampler_targets import (
    SamplerResult,
    State,
    Target,
    choose,
    make_result,
    prepare,
    proposal_step,
)
from level4_probabilistic.parts.markov_chain_monte_carlo.trajectories import (
    DIVERGENCE,
    grow_subtree,
    is_turning,
    join_is_turning,
    leapfrog,
)
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import validate_number

__all__ = [
    "BREATH", "DIVERGENCE", "SamplerResult", "effective_sample_size", "gibbs", "gibbs_sweep",
    "grow_subtree", "hmc", "hmc_step", "is_turning", "join_is_turning", "leapfrog", "metropolis",
    "metropolis_step", "monte_carlo_standard_error", "nuts", "nuts_step", "plain_hmc", "plain_metropolis",
    "rhat", "trial_acceptance",
]  # fmt: skip

BREATH = "plain_hmc"

# %% [markdown]
# ### In one breath
# A random walk that is pulled back, and a roll that is rarely refused: one chain each.


# %%
def plain_metropolis(logp, x, n_draws, sigma, rng):  # practice: core
    """Draws of a random walk with steps of spread sigma, (n_draws, dim)."""
    draws = []
    for _ in range(n_draws):
        new = x + sigma * rng.standard_normal(x.shape)
        if np.log(rng.random()) < logp(new) - logp(x):
            x = new
        draws.append(x)
    return np.array(draws)


def plain_hmc(logp, grad, x, n_draws, step, rng):  # practice: core
    """Draws of trajectories that roll for a random time up to half a turn, (n_draws, dim)."""
    draws = []
    for _ in range(n_draws):
        start = rng.standard_normal(x.shape)
        new, r = x, start + step / 2 * grad(x)  # half a kick
        for _ in range(rng.integers(1, int(np.pi / step) + 1)):
            new = new + step * r  # drift
            r = r + step * grad(new)  # kick
        r = r - step / 2 * grad(new)  # the last kick was half too much
        if np.log(rng.random()) < (logp(new) - r @ r / 2) - (logp(x) - start @ start / 2):
            x = new
        draws.append(x)
    return np.array(draws)


# %% [markdown]
# **What is wrong with it.** One chain cannot tell whether it has mixed, somebody has to choose the step, and one step serves all
# coordinates alike. The rest of the page moves all chains in step, as rows of one array, so that NumPy's price for a call is
# paid once for all of them; a warm-up finds the step and the scales, and NUTS finds the time to roll.
# `groundup bench markov_chain_monte_carlo` prints the price of an effective draw.
#
# ### Metropolis: $x' = x + \sigma\,\xi$, accepted with probability $\min(1, p(x')/p(x))$
# `State` holds the positions of all chains with their log densities and gradients, `Target` calls your functions for all of
# them (`target.log_density(positions)`), and `choose(accept, new, old)` picks one or the other chain by chain.


# %%
def metropolis_step(  # practice: core
    target: Target, state: State, step, rng
) -> tuple[State, np.ndarray]:
    """One proposal for every chain: the new state, and the acceptance probabilities (chains,)."""
    proposal = state.position + step * rng.standard_normal(state.position.shape)
    density = target.log_density(proposal)
    # α = min(1, p(x')/p(x)); where the density is NaN the point counts as outside the support
    log_ratio = np.minimum(0.0, density - state.log_density)
    log_ratio[np.isnan(log_ratio)] = -np.inf
    accept = -rng.standard_exponential(len(density)) < log_ratio
    return choose(accept, State(proposal, density, state.gradient), state), np.exp(log_ratio)


def metropolis(
    logpdf,
    x0,
    n_draws,
    *,
    step_size,
    n_warmup=1000,
    n_chains=4,
    rng=None,
    vectorized=False,
) -> SamplerResult:
    """Random-walk Metropolis with a Gaussian proposal (Metropolis et al. 1953).

    Args:
        logpdf: *logarithm* of the density up to a constant, at one point (dim,) → a number; −∞ outside the support.
            The density itself would be sampled as exp(density), which is nearly flat: the walk drifts away, and
            where it has, a warning says so.
        x0: (dim,), where every chain starts, or (n_chains, dim). Disperse the starts, or `rhat` has little
            to see.
        step_size: standard deviation σ of the proposal, one number or one a coordinate; it is not adapted.
            About 2.38/√dim posterior standard deviations is best (acceptance 0.23 in many dimensions).
        n_warmup: draws thrown away first; 1,000 by default, as PyMC's `tune`.
        rng: a generator or a seed.
        vectorized: `logpdf` takes (k, dim) → (k,).

    Raises:
        TypeError, ValueError: arguments of the wrong kind or range, a density that is not finite at the
            start.

    One evaluation a draw and chain.
    """
    position, n_draws, n_warmup, rng = prepare(x0, n_draws, n_warmup, n_chains, rng)
    step = proposal_step(step_size, position.shape[1])
    began, target = time.perf_counter(), Target(logpdf, None, vectorized)
    state = target.start(position, needs_gradient=False)
    draws, densities = np.empty((n_draws, *position.shape)), np.empty((n_draws, n_chains))
    accepted = np.zeros(n_chains)
    for iteration in range(-n_warmup, n_draws):
        state, probability = metropolis_step(target, state, step, rng)
        if iteration >= 0:
            draws[iteration], densities[iteration] = state.position, state.log_density
            accepted += probability
    seconds, accepted = time.perf_counter() - began, accepted / n_draws
    return make_result(
        draws, accepted, step[()], target.n_densities, log_density=densities.T, seconds=seconds
    )


# %% [markdown]
# [Gibbs](parts/markov_chain_monte_carlo/gibbs.py) draws block by block from the conditionals, where these are known.
#
# ### Hamiltonian Monte Carlo: one draw
# `n_steps` leapfrog steps with the same $\varepsilon$, then $\min(1,e^{H-H'})$ pays for what the integrator missed. The steps are
# written out here, since the log density is needed at the end alone; NUTS below needs it at each point and calls `leapfrog`.


# %%
def hmc_step(target: Target, state: State, step_size: float, scale, n_steps: int, rng):  # practice: core
    """Draw momenta, take `n_steps` leapfrog steps, accept or stay; (state, acceptance, diverging, H at the start)."""
    momentum = rng.standard_normal(state.position.shape)
    energy = np.vecdot(momentum, momentum) / 2 - state.log_density
    position, gradient = state.position, state.gradient
    kick, drift = step_size / 2 * scale, step_size * scale
    with np.errstate(all="ignore"):  # a lost trajectory overflows; its energy then says so
        for _ in range(n_steps):  # the log density is needed at the end only
            momentum = momentum + kick * gradient
            position = position + drift * momentum
            gradient = target.gradient(position)
            momentum = momentum + kick * gradient
        density = target.log_density(position)
        log_ratio = energy - np.vecdot(momentum, momentum) / 2 + density
    log_ratio = np.where(np.isnan(log_ratio), -np.inf, log_ratio)
    accept = -rng.standard_exponential(len(density)) < log_ratio
    new = choose(accept, State(position, density, gradient), state)
    return new, np.exp(np.minimum(log_ratio, 0.0)), log_ratio < -DIVERGENCE, energy


# %% [markdown]
# ### NUTS: one draw
#
# The trajectory is known by its two ends (side 0 in the past, side 1 in the future), its momentum sum
# $R$, its weight $w$, and the point that it would give away. Each doubling:
#
# 1. a coin chooses the side to grow from;
# 2. the new half is grown;
# 3. unless it turned inside or was lost, its point replaces ours with probability
#    $\min(1, w_{\text{new}}/w_{\text{old}})$;
# 4. the ends are joined, and the chain goes on unless the whole has turned.
#
# Two helpers in [trajectories](parts/markov_chain_monte_carlo/trajectories.py) do the work: `grow_subtree` takes $2^j$ leapfrog
# steps, checks every sub-tree and draws one leaf; `join_is_turning` says which chains turn when two stretches are joined.


# %%
def nuts_step(
    target: Target, state: State, step_size: float, scale, max_tree_depth: int, rng
):  # practice: core
    """One NUTS transition of every chain; (state, acceptance, diverging, depth, saturated, H at the start)."""
    chains = len(state.position)
    momentum = rng.standard_normal(state.position.shape)
    energy = np.vecdot(momentum, momentum) / 2 - state.log_density  # H₀
    ends = State(*(np.stack([part, part]) for part in state))  # (2, chains, …)
    end_momenta = np.stack([momentum, momentum])
    momentum_sum, log_weight = momentum.copy(), np.zeros(chains)
    chosen = State(*(part.copy() for part in state))
    growing, diverging = np.ones(chains, bool), np.zeros(chains, bool)
    acceptance, n_leaves, depth = np.zeros(chains), np.zeros(chains), np.zeros(chains, int)
    for doubling in range(max_tree_depth):
        who = np.flatnonzero(growing)
        if len(who) == 0:
            break
        side = rng.integers(0, 2, size=len(who))
        near, far = (side, who), (1 - side, who)
        step = (2 * side - 1)[:, None] * step_size * scale  # signed: into the past or the future
        start = State(*(part[near] for part in ends))
        new = grow_subtree(target, start, end_momenta[near], energy[who], step / 2, step, 2**doubling, rng)
        depth[who] += 1
        acceptance[who] += new.acceptance_sum
        n_leaves[who] += new.n_leaves
        diverging[who] |= new.diverging
        take = new.usable & (-rng.standard_exponential(len(who)) < new.log_weight - log_weight[who])
        for part, proposal in zip(chosen, new.proposal, strict=True):
            part[who[take]] = proposal[take]
        turned = join_is_turning(
            end_momenta[far],
            end_momenta[near],
            new.first_momentum,
            new.last_momentum,
            momentum_sum[who],
            new.momentum_sum,
        )
        for part, last in zip(ends, new.last, strict=True):
            part[near] = last
        end_momenta[near] = new.last_momentum
        momentum_sum[who] += new.momentum_sum
        log_weight[who] = np.logaddexp(log_weight[who], new.log_weight)
        growing[who] = new.usable & ~turned
    return chosen, acceptance / n_leaves, diverging, depth, growing, energy


# %% [markdown]
# ### The two samplers
#
# `run`, in `sampler_adaptation`, warms up and draws with the transition that it is given. To find a first
# step size it asks how often a single leapfrog step would be accepted.


# %%
def trial_acceptance(  # practice: core
    target: Target, state: State, step_size: float, scale, rng
) -> float:
    """Mean over the chains of min(1, exp(H₀ − H)) after one leapfrog step with fresh momenta."""
    momentum = rng.standard_normal(state.position.shape)
    energy = np.vecdot(momentum, momentum) / 2 - state.log_density
    with np.errstate(all="ignore"):
        new, momentum = leapfrog(target, state, momentum, step_size / 2 * scale, step_size * scale)
        log_ratio = energy - np.vecdot(momentum, momentum) / 2 + new.log_density
        return float(np.nan_to_num(np.exp(np.minimum(log_ratio, 0.0))).mean())


def hmc(
    logpdf,
    gradient,
    x0,
    n_draws,
    *,
    n_warmup=1000,
    n_chains=4,
    target_accept=0.8,
    rng=None,
    step_size=None,
    path_length=np.pi,
    vectorized=False,
    check_gradient=True,
) -> SamplerResult:
    """Hamiltonian Monte Carlo with a random travel time (Duane et al. 1987, Neal 2011).

    Args:
        logpdf: log density up to a constant, at one point (dim,) → a number. gradient: its gradient, (dim,).
        x0: (dim,), where every chain starts, or (n_chains, dim). Disperse the starts, or `rhat` has little
            to see.
        n_warmup: draws that adapt the step size and the diagonal metric, and are thrown away; 1,000 by default,
            as PyMC's `tune`.
        target_accept: the mean acceptance probability that the step size is adapted to.
        rng: a generator or a seed.
        step_size: where to begin; None looks for one. With `n_warmup=0` it is kept, in the units of x.
        path_length: longest travel time. The number of leapfrog steps of a draw, shared by the chains, is
            uniform on 1 … ⌈path_length / step_size⌉ (1,024 at most). π suits posteriors near a Gaussian; see
            the derivation.
        vectorized: both functions take (k, dim) and return (k,) and (k, dim).
        check_gradient: compare `gradient` with differences of `logpdf` near the start, along two random
            directions, and refuse it if they contradict it (see `sampler_gradient_check`). Some forty densities;
            the draws do not depend on it. False goes on with any gradient.

    Returns:
        The draws, and how the sampling went; print its `summary()` first (`SamplerResult` has an example).

    Raises:
        TypeError, ValueError: arguments of the wrong kind or range, a density or gradient that is not finite
            at the start or has the wrong shape, a gradient that is not `logpdf`'s, no workable step size.

    Warns with the remedy where trajectories diverge. About path_length/(2 step_size) gradients a draw.
    """
    position, n_draws, n_warmup, rng = prepare(x0, n_draws, n_warmup, n_chains, rng)
    validate_number(path_length, "path_length", minimum=0, exclusive=True)
    target = Target(logpdf, gradient, vectorized)
    none = np.zeros(n_chains, int)

    def step(state, step_size, scale):
        most = min(1024, max(1, int(np.ceil(path_length / step_size))))
        n_steps = int(rng.integers(1, most + 1))
        *drawn, energy = hmc_step(target, state, step_size, scale, n_steps, rng)
        return *drawn, none, none, energy

    def trial(state, step_size, scale):
        return trial_acceptance(target, state, step_size, scale, rng)

    return run(step, trial, target, position, n_draws, n_warmup, target_accept, step_size, check_gradient)


def nuts(
    logpdf,
    gradient,
    x0,
    n_draws,
    *,
    n_warmup=1000,
    n_chains=4,
    target_accept=0.8,
    rng=None,
    step_size=None,
    max_tree_depth=10,
    vectorized=False,
    check_gradient=True,
) -> SamplerResult:
    """The no-U-turn sampler: multinomial, with the generalized criterion (Betancourt 2017).

    Args:
        target_accept: the mean acceptance probability that the step size is adapted to; raise it against
            divergences.
        max_tree_depth: at most this many doublings a draw.
        The others, what is returned and what is raised: as in `hmc`. `vectorized` is several times faster for NumPy code.

    Warns with the remedy where trajectories diverge or reach `max_tree_depth`. Up to 2^max_tree_depth
    gradients a draw and chain; memory for as many points.
    """
    position, n_draws, n_warmup, rng = prepare(x0, n_draws, n_warmup, n_chains, rng)
    validate_number(max_tree_depth, "max_tree_depth", minimum=1, maximum=20, integer=True)
    target = Target(logpdf, gradient, vectorized)

    def step(state, step_size, scale):
        with np.errstate(all="ignore"):  # a lost trajectory overflows; its weight then says so
            return nuts_step(target, state, step_size, scale, max_tree_depth, rng)

    def trial(state, step_size, scale):
        return trial_acceptance(target, state, step_size, scale, rng)

    return run(step, trial, target, position, n_draws, n_warmup, target_accept, step_size, check_gradient)


# %% [markdown]
# ## 4. Validate
#
# A posterior mean estimated from draws carries a Monte Carlo standard error (MCSE), so two correct samplers
# differ. They agree when they differ by no more than 3 times the combined error,
# $\sqrt{\mathrm{MCSE}_1^2 + \mathrm{MCSE}_2^2}$. The seeds are fixed, not chosen. Of 42 such comparisons
# one in ten honest runs would still have one above 3 ($1 - 0.9973^{42} = 11\,\%$), so the rule, fixed in
# advance, is: where one exceeds 3, both sides draw afresh, four times as much, once. A true difference
# doubles; chance does not repeat itself.
#
# The regression's posterior is also known in closed form, so HMC, Gibbs and NUTS are held against the
# truth, too, at 4.5 standard errors (66 comparisons; one honest run in two thousand fails).
#
# | | ours | PyMC 5 |
# |---|---|---|
# | tree | iterative, all chains in step | recursive, one chain after the other |
# | choice and criterion | multinomial, with Stan's extra checks | the same |
# | metric and step size | one for all chains, Stan's windows | one a chain, windows of 101 draws |
# | constraints | you write the density of log τ, with its Jacobian | transforms by itself |
# | start | where you say | jittered by U(−1, 1) |
# | `rhat`, `effective_sample_size` | one parameter or many, as arrays | ArviZ: the same numbers |


# %%
def validate() -> list[Agreement]:
    """NUTS against PyMC, three samplers against the closed form, the diagnostics against ArviZ. About 15 s."""
    comparison = Comparison(reference="pymc", dataset="diabetes, standardized")
    compare_samplers(comparison, SimpleNamespace(nuts=nuts, hmc=hmc, gibbs=gibbs))
    return comparison.agreements


def benchmarks() -> list[Benchmark]:
    """Seconds per effective draw (the smallest over the parameters), warm-up included, compilation not."""
    return [
        Benchmark(
            name="NUTS, regression, per effective draw",
            sizes=(111, 442),
            setup=partial(race_nuts, nuts, plain_hmc),
            expected_exponent=0.0,  # the data enter through sufficient statistics
            reference="pymc",
            repeats=3,
            work=lambda draws: float(np.min(effective_sample_size(draws))),
            unit="rows",
        )
    ]


# %% [markdown]
# ## 5. Document
#
# **Use it** for posteriors with a gradient and up to some thousands of parameters: start four or more
# chains at dispersed points, print `result.summary()`, look at R-hat (below 1.01), both effective sample
# sizes (above 400), divergences (none), E-BFMI (above 0.3) and the tree depth (below its limit), and only then at the answer. NUTS first; Gibbs where the conditionals are known
# and the blocks not too correlated; Metropolis for a handful of parameters without a gradient.
#
# **Do not use it** where a closed form exists (the regression above has one), for discrete parameters (sum
# them out), or where only a rough answer to a huge model is needed (variational inference).
#
# **In plain words.** The method explores all explanations of the data, and spends time on each in proportion to how well it
# fits and how plausible it was before. From that walk one reads how sure one may be. It takes for granted that the walk has
# been everywhere that matters. When an answer is doubted, ask where the walks began, whether they agree, and what share of
# steps the sampler itself reported as lost.
#
# **How it breaks**: [the standard error that counts every draw; a random walk pays for every dimension; two modes hardly mix; one
# start hides the other mode; the funnel's neck](failure_modes/markov_chain_monte_carlo.py).
#
# **The pictures.** The mechanism: an orbit in the phase plane with the leapfrog's points and the U-turn, and the three walks on one
# slanted normal density. The result: eight schools report what a coaching program did for their pupils (Rubin 1981). Taken one by
# one, school A gained 28 points and school C lost 3. Taken together, the model learns how much schools
# differ at all ($\tau$), and draws each estimate towards the common mean, those with the largest errors the
# most.


# %%
def mechanism():
    """The phase plane of one coordinate: an orbit, the leapfrog's points, the U-turn; and on one density a random walk that creeps, HMC
    that rolls from draw to draw, and a NUTS trajectory that doubles, forwards or backwards, until it has turned around."""
    from level4_probabilistic.parts.markov_chain_monte_carlo.phase_plane import (
        draw_phase_plane,
        draw_rolls,
        draw_tree,
        draw_walk,
    )
    from shared.figures import COLORS, PALETTE, subplots

    figure, panels = subplots(2, 2, width=9.5, height=8.6)
    draw_phase_plane(panels[0, 0], COLORS)
    draw_walk(panels[0, 1], plain_metropolis, COLORS)
    draw_rolls(panels[1, 0], COLORS)
    draw_tree(panels[1, 1], PALETTE, COLORS)
    return figure


def example():
    """Eight schools: the reported effects, what the model makes of them, and how much schools differ."""
    from shared.figures import COLORS, subplots

    schools = EightSchools()
    draws = draw_parameters(nuts, schools, 150, seed=0).reshape(-1, schools.dim)
    low, middle, high = np.percentile(draws[:, 2:], [16, 50, 84], axis=0)
    effect, error = EIGHT_SCHOOLS["effect"], EIGHT_SCHOOLS["standard_error"]
    figure, (left, right) = subplots(1, 2, width=10.0, height=4.6, width_ratios=(3, 2))
    places = np.arange(8)
    left.errorbar(
        effect, places + 0.15, xerr=error, fmt="o", color=COLORS["muted"], label="reported ± standard error"
    )
    left.errorbar(
        middle,
        places - 0.15,
        xerr=[middle - low, high - middle],
        fmt="o",
        color=COLORS["ours"],
        label="posterior median, 68 % interval",
    )
    left.axvline(draws[:, 0].mean(), color=COLORS["theory"], linestyle="--", label="common mean μ")
    left.set_yticks(places, list("ABCDEFGH"))
    left.invert_yaxis()
    left.set(
        xlabel="effect of coaching, points of the SAT",
        ylabel="school",
        title="Each estimate leans on the others",
    )
    figure.legend(loc="outside lower left", ncols=3)
    right.hist(draws[:, 1], bins=40, range=(0, 20), density=True, color=COLORS["ours"])
    right.set(xlabel="τ, points", ylabel="posterior density", title="How much do schools differ?")
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
