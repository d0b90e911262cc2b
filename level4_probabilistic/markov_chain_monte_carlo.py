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
# **The answer.** Walk. Build a Markov chain whose stationary distribution is $p$; its long-run averages are
# the integrals. Four ways to walk, each of which mends the one before: Metropolis, Gibbs, Hamiltonian Monte
# Carlo (HMC), and the no-U-turn sampler (NUTS), which is what PyMC and Stan run when you press the button.
#
# **Builds on** Monte Carlo and probability distributions (Level 1). The diagnostics stand in
# `chain_diagnostics`, the table of `result.summary()` in `sampler_summary`, the warm-up in
# `sampler_adaptation`, the comparison of your gradient with your density in `sampler_gradient_check`, the two
# posteriors that we try everything on in `regression_and_schools`.
#
# **Mirrors** PyMC's NUTS and ArviZ's `rhat` and `ess`.
#
# **Sources.** Metropolis et al. (1953); Geman and Geman (1984); Duane et al. (1987); Neal (2011); Hoffman
# and Gelman (2014); Betancourt (2017); Vehtari et al. (2021).

# %% [markdown]
# ## 2. Derive
#
# **Stationarity by balance.** Let $T(x \to x')$ be the transition. If
# $p(x)\,T(x \to x') = p(x')\,T(x' \to x)$ for every pair (*detailed balance*), then integrating over $x$
# gives $\int p(x)\,T(x \to x')\,dx = p(x')$: the chain leaves $p$ as it is. If it can also reach
# everywhere, its averages converge to those of $p$.
#
# **Metropolis.** Propose $x'$ from a symmetric $q(x' \mid x) = q(x \mid x')$ and accept with probability
#
# $$\alpha(x, x') = \min\big(1,\; p(x')/p(x)\big).$$
#
# Then $p(x)\,q\,\alpha = q \min(p(x), p(x'))$, which is symmetric in $x$ and $x'$: balance holds. The
# unknown constant cancels. A random walk of step $\sigma$ in $d$ dimensions needs
# $\sigma \propto 1/\sqrt d$ to be accepted at all, so crossing a distance of 1 takes of the order of $d$
# steps.
#
# **Gibbs.** Draw each block of coordinates from its conditional distribution given the others. It is a
# Metropolis step that is always accepted; it needs the conditionals.
#
# **Hamiltonian Monte Carlo.** Stop walking at random: roll. Give the point a momentum $p \sim N(0, M)$ and
# let both move by Hamilton's equations for the energy $H = -\ell(x) + \frac12 p^\top M^{-1} p$,
#
# $$\dot x = M^{-1}p, \qquad \dot p = \nabla\ell(x).$$
#
# The flow keeps $H$, keeps volume, and runs backwards when $p$ is reversed; so a proposal as far away as we
# like would be accepted for sure. A computer makes steps. The *leapfrog* keeps volume and reverses exactly,
# and misses $H$ by only $O(\varepsilon^2)$; the acceptance probability $\min(1, e^{H - H'})$ pays for the
# miss.
#
# We measure coordinates in units $s_i$ (the square root of the inverse metric,
# $M^{-1} = \mathrm{diag}(s^2)$) and momenta in $1/s_i$. Then $p \sim N(0, I)$ and
#
# $$p \leftarrow p + \tfrac{\varepsilon}{2}\, s\,\nabla\ell(x), \qquad
# x \leftarrow x + \varepsilon\, s\, p, \qquad
# p \leftarrow p + \tfrac{\varepsilon}{2}\, s\,\nabla\ell(x).$$
#
# How long to roll? For a Gaussian in its own units, $x$ after time $t$ is $x_0\cos t + p_0 \sin t$: too
# short is a random walk, $t = 2\pi$ is back where it began. With $t$ uniform on $(0, \pi)$ the correlation
# of neighboring draws averages to $\frac1\pi\int_0^\pi \cos t\,dt = 0$; that is our `hmc`.
#
# **No U-turn.** NUTS asks the trajectory itself. It doubles it, forwards or backwards by a fair coin, until
# it turns around, and then picks one of its points with probability proportional to $e^{-H}$. Three facts
# make this leave $p$ as it is: (1) from each point of a finished trajectory the same trajectory would have
# been built with the same probability ($2^{-\text{depth}}$), provided no part that the doubling could have
# begun from had turned already, which is why every sub-tree is checked; (2) the new half's point replaces
# the old one with probability $\min(1, w_{\text{new}}/w_{\text{old}})$, $w = \sum e^{-H}$, which keeps the
# weighted choice and favors the far half; (3) a trajectory whose new half turned inside is left as it was
# before the doubling.
#
# *When has it turned?* With $\rho = \sum p$ over the points of a stretch (in our units, the way from end to
# end), the stretch still grows at both ends as long as $p_{\text{first}}\cdot\rho > 0$ and
# $p_{\text{last}}\cdot\rho > 0$ (Betancourt 2017). Two half-turns of equal halves can hide from this, so
# the same is asked of the left half plus the first point of the right one, and of the right half plus the
# last point of the left one (Stan's extra checks).
#
# **Cost.** Each leapfrog step costs one gradient, $O(d)$ memory; in $d$ dimensions of equal scale,
# Metropolis needs $O(d)$ evaluations an effective draw, HMC $O(d^{1/4})$ (Beskos et al. 2013). A doubling
# of depth $j$ keeps its $2^j$ points: NUTS needs memory for $4 \cdot 2^j d$ numbers a chain.

# %% [markdown]
# ## 3. Implement
#
# | symbol | name | shape |
# |---|---|---|
# | $x$ | `position` | (chains, dim) |
# | $\ell(x)$ | `log_density` | (chains,) |
# | $\nabla\ell$ | `gradient` | (chains, dim) |
# | $p$ | `momentum`, in units of $1/s$ | (chains, dim) |
# | $s$ | `scale` | (dim,) |
#
# All chains move in step, as rows of one array, so that the NumPy overhead is paid once for all of them.

# %%
from __future__ import annotations

import time
from itertools import count
from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float

from level4_probabilistic.chain_diagnostics import (
    agree_with_arviz,
    effective_sample_size,
    monte_carlo_standard_error,
    rhat,
)
from level4_probabilistic.regression_and_schools import (
    EIGHT_SCHOOLS,
    EightSchools,
    pymc_draws,
    pymc_model,
    quiet,
    standardized_diabetes,
)
from level4_probabilistic.sampler_adaptation import run
from level4_probabilistic.sampler_targets import (
    SamplerResult,
    State,
    Target,
    choose,
    make_result,
    prepare,
)
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import validate_number
from shared.numerics import logsumexp

__all__ = [
    "SamplerResult",
    "effective_sample_size",
    "gibbs",
    "hmc",
    "metropolis",
    "monte_carlo_standard_error",
    "nuts",
    "rhat",
]

DIVERGENCE = 1000.0
"""An energy error above this means that the integrator has lost the trajectory (Stan's threshold)."""


# %% [markdown]
# ### Metropolis: $x' = x + \sigma\,\xi$, accepted with probability $\min(1, p(x')/p(x))$


# %%
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
        logpdf: log density up to a constant, at one point (dim,) → a number; −∞ outside the support.
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
    try:
        step = np.asarray(step_size, float)
    except (TypeError, ValueError):
        raise TypeError(
            f"step_size must be a positive number or one a coordinate, got {step_size!r}."
        ) from None
    if step.shape not in ((), position.shape[1:]) or not (np.isfinite(step).all() and (step > 0).all()):
        raise ValueError(
            f"step_size must be positive: a number or {position.shape[1]} of them, got {step_size}."
        )
    began, target = time.perf_counter(), Target(logpdf, None, vectorized)
    state = target.start(position, needs_gradient=False)
    draws = np.empty((n_draws, *position.shape))
    accepted = 0.0
    for iteration in range(-n_warmup, n_draws):
        state, probability = metropolis_step(target, state, step, rng)
        if iteration >= 0:
            draws[iteration] = state.position
            accepted += probability.mean()
    seconds = time.perf_counter() - began
    return make_result(draws, accepted / n_draws, step[()], target.n_densities, seconds=seconds)


def metropolis_step(target: Target, state: State, step, rng) -> tuple[State, np.ndarray]:
    """One proposal for every chain: the new state, and the acceptance probabilities (chains,)."""
    proposal = state.position + step * rng.standard_normal(state.position.shape)
    density = target.log_density(proposal)
    # α = min(1, p(x')/p(x)); where the density is NaN the point counts as outside the support
    log_ratio = np.minimum(0.0, density - state.log_density)
    log_ratio[np.isnan(log_ratio)] = -np.inf
    accept = -rng.standard_exponential(len(density)) < log_ratio
    return choose(accept, State(proposal, density, state.gradient), state), np.exp(log_ratio)


# %% [markdown]
# ### Gibbs: $x_b \sim p(x_b \mid x_{-b})$, block by block


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
        x[block] = conditional(x, rng)


# %% [markdown]
# ### Hamiltonian dynamics: the leapfrog
#
# `kick` is $\frac\varepsilon2 s$ and `drift` is $\varepsilon s$; a negative $\varepsilon$ runs backwards in
# time.


# %%
@no_type_check  # called at every step: the test run's shape checks would cost more than the step
def leapfrog(target: Target, state: State, momentum, kick, drift, rows=None):
    """One step of the integrator; the state (with log densities) and the momentum after it."""
    momentum = momentum + kick * state.gradient
    position = state.position + drift * momentum
    gradient = target.gradient(position, rows)
    momentum = momentum + kick * gradient
    return State(position, target.log_density(position, rows), gradient), momentum


def hmc_step(target: Target, state: State, step_size: float, scale, n_steps: int, rng):
    """Draw momenta, take `n_steps` leapfrog steps, accept or stay; (state, acceptance, diverging)."""
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
    return new, np.exp(np.minimum(log_ratio, 0.0)), log_ratio < -DIVERGENCE


# %% [markdown]
# ### NUTS: has a stretch turned?
#
# For a stretch made of a left and a right part, with momentum sums $\rho_L$ and $\rho_R$:
#
# $$p_{\text{first}}\cdot\rho \le 0 \;\text{ or }\; p_{\text{last}}\cdot\rho \le 0, \qquad
# \rho = \rho_L + \rho_R,$$
#
# and the same for (left part, first point of the right) and for (last point of the left, right part). The
# order of the two ends does not matter, so both directions of time are served.


# %%
@no_type_check
def is_turning(first, last, way):
    """Which chains have p_first·ρ ≤ 0 or p_last·ρ ≤ 0, (k,) bool; all arguments (k, dim)."""
    return np.minimum(np.vecdot(first, way), np.vecdot(last, way)) <= 0


@no_type_check
def join_is_turning(first, last_of_left, first_of_right, last, left_sum, right_sum):
    """Which chains' two neighboring stretches turn when joined, (k,) bool; all arguments (k, dim)."""
    turning = is_turning(first, last, left_sum + right_sum)
    turning |= is_turning(first, first_of_right, left_sum + first_of_right)
    turning |= is_turning(last_of_left, last, right_sum + last_of_left)
    return turning


# %% [markdown]
# ### NUTS: one doubling
#
# A sub-tree of $2^j$ leaves is a row of leapfrog steps. Its sub-trees are its aligned blocks of 2, 4, 8, …
# leaves; each is checked as soon as its last leaf stands, so that a chain that turned stops early. The sums
# $\rho$ of all blocks are differences of running sums. At the end one leaf is drawn with probability
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


# %% [markdown]
# ### NUTS: one draw
#
# The trajectory is known by its two ends (side 0 in the past, side 1 in the future), its momentum sum
# $\rho$, its weight $w$, and the point that it would give away. Each doubling:
#
# 1. a coin chooses the side to grow from;
# 2. the new half is grown;
# 3. unless it turned inside or was lost, its point replaces ours with probability
#    $\min(1, w_{\text{new}}/w_{\text{old}})$;
# 4. the ends are joined, and the chain goes on unless the whole has turned.


# %%
def nuts_step(target: Target, state: State, step_size: float, scale, max_tree_depth: int, rng):
    """One NUTS transition of every chain; (state, acceptance, diverging, depth, saturated)."""
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
    return chosen, acceptance / n_leaves, diverging, depth, growing


# %% [markdown]
# ### The two samplers
#
# `run`, in `sampler_adaptation`, warms up and draws with the transition that it is given. To find a first
# step size it asks how often a single leapfrog step would be accepted.


# %%
def trial_acceptance(target: Target, state: State, step_size: float, scale, rng) -> float:
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
        return *hmc_step(target, state, step_size, scale, n_steps, rng), none, none

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
        logpdf: log density up to a constant, at one point (dim,) → a number. gradient: its gradient, (dim,).
        x0: (dim,), where every chain starts, or (n_chains, dim). Disperse the starts, or `rhat` has little
            to see.
        n_warmup: draws that adapt the step size and the diagonal metric, and are thrown away; 1,000 by default,
            as PyMC's `tune`.
        target_accept: the mean acceptance probability that the step size is adapted to; raise it against
            divergences.
        rng: a generator or a seed.
        step_size: where to begin; None looks for one. With `n_warmup=0` it is kept, in the units of x.
        max_tree_depth: at most this many doublings a draw.
        vectorized: both functions take (k, dim) and return (k,) and (k, dim). Several times faster for NumPy
            code.
        check_gradient: compare `gradient` with differences of `logpdf` near the start, along two random
            directions, and refuse it if they contradict it (see `sampler_gradient_check`). Some forty densities;
            the draws do not depend on it. False goes on with any gradient.

    Returns:
        The draws, and how the sampling went; print its `summary()` first (`SamplerResult` has an example).

    Raises:
        TypeError, ValueError: arguments of the wrong kind or range, a density or gradient that is not finite
            at the start or has the wrong shape, a gradient that is not `logpdf`'s, no workable step size.

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
def _draw(sampler, posterior, n_draws, seed, n_chains=16):  # practice: keep
    """Parameters drawn by a Hamiltonian sampler from dispersed starts, (chains, draws, parameters)."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(-1, 1, size=(n_chains, posterior.dim))
    result = sampler(
        posterior.logpdf,
        posterior.gradient,
        start,
        n_draws,
        n_warmup=250,
        n_chains=n_chains,
        target_accept=0.95,
        rng=rng,
        vectorized=True,
    )
    return posterior.parameters(result.draws)


def _moments(draws):  # practice: keep
    """Posterior means and standard deviations, and their standard errors, each (2·parameters,)."""
    values = np.concatenate([draws.mean(axis=(0, 1)), draws.std(axis=(0, 1), ddof=1)])
    errors = [monte_carlo_standard_error(draws, kind) for kind in ("mean", "sd")]
    return values, np.concatenate(errors)


# %%
def validate() -> list[Agreement]:
    """NUTS against PyMC, three samplers against the closed form, the diagnostics against ArviZ. About 15 s."""
    regression, schools = standardized_diabetes(), EightSchools()
    comparison = Comparison(reference="pymc", dataset="diabetes, standardized")
    draws = _compare_with_pymc(comparison, regression, n_draws=(400, 600))
    _compare_with_exact(comparison, regression, draws)
    draws = _compare_with_pymc(comparison.on(dataset="eight schools"), schools, n_draws=(400, 1000))
    agree_with_arviz(comparison.on(reference="arviz", dataset="draws of eight schools"), draws)
    return comparison.agreements


def _compare_with_pymc(comparison, posterior, n_draws):  # practice: keep
    """Means and standard deviations in units of the combined standard error; our draws are returned."""
    with quiet():
        model, names = pymc_model(posterior)
    for attempt, times in enumerate((1, 4)):
        ours, theirs = comparison.run(
            lambda: _draw(nuts, posterior, times * n_draws[0], seed=attempt),  # noqa: B023
            lambda: pymc_draws(model, names, times * n_draws[1], 400, 2, seed=attempt),  # noqa: B023
        )
        (a, error_a), (b, error_b) = _moments(ours), _moments(theirs)
        unit = np.sqrt(error_a**2 + error_b**2)
        if (np.abs(a - b) / unit).max() <= 3:
            break
    k = len(a) // 2
    for quantity, part in (("means", slice(k)), ("standard deviations", slice(k, None))):
        comparison.compare(
            f"posterior {quantity} in Monte Carlo standard errors, NUTS",
            a[part] / unit[part],
            b[part] / unit[part],
            tolerance=3,
            measure="absolute",
            reason=(
                "3 combined Monte Carlo standard errors, the largest of all parameters; see section 4 on "
                "multiplicity"
            ),
        )
    return ours


def _compare_with_exact(comparison, posterior, nuts_draws):  # practice: keep
    """The conjugate regression has a closed form; three samplers are held against it."""
    exact = np.concatenate(posterior.exact())
    comparison = comparison.on(reference="closed form (normal inverse gamma)")
    functions, blocks = posterior.conditionals()
    for name, sample in (
        ("NUTS", lambda: nuts_draws),
        ("HMC", lambda: _draw(hmc, posterior, 1000, seed=0)),
        (
            "Gibbs",
            lambda: gibbs(functions, np.ones(posterior.dim), 2000, n_warmup=20, rng=0, blocks=blocks).draws,
        ),
    ):
        ours, truth = comparison.run(sample, lambda: exact)
        values, errors = _moments(ours)
        comparison.compare(
            f"posterior means and standard deviations in Monte Carlo standard errors, {name}",
            values / errors,
            truth / errors,
            tolerance=4.5,
            measure="absolute",
            reason=(
                "the largest of 22 normal deviates; of 66 one exceeds 4.5 in one honest run in two thousand"
            ),
        )


def benchmarks() -> list[Benchmark]:
    """Seconds per effective draw (the smallest over the parameters), warm-up included, compilation not."""

    def setup(n_rows):
        import pymc as pm

        posterior = standardized_diabetes(n_rows)
        with quiet():
            model, names = pymc_model(posterior)
            with model:
                _, step = pm.init_nuts(chains=4, progressbar=False, random_seed=0)
        seeds = count()

        def ours():
            rng = np.random.default_rng(next(seeds))
            start = rng.uniform(-1, 1, size=(4, posterior.dim))
            result = nuts(
                posterior.logpdf, posterior.gradient, start, 400, n_warmup=400, rng=rng, vectorized=True
            )
            return posterior.parameters(result.draws)

        return ours, lambda: pymc_draws(model, names, 400, 400, 4, next(seeds), step)

    return [
        Benchmark(
            name="NUTS, regression, per effective draw",
            sizes=(111, 442),
            setup=setup,
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
# sizes (above 400) and divergences (none), and only then at the answer. NUTS first; Gibbs where the conditionals are known
# and the blocks not too correlated; Metropolis for a handful of parameters without a gradient.
#
# **Do not use it** where a closed form exists (the regression above has one), for discrete parameters (sum
# them out), or where only a rough answer to a huge model is needed (variational inference).
#
# **How it breaks**: [a random walk pays for every dimension; two modes do not mix; one start hides the
# other mode; the funnel's neck](failure_modes/markov_chain_monte_carlo.py).
#
# The example: eight schools report what a coaching program did for their pupils (Rubin 1981). Taken one by
# one, school A gained 28 points and school C lost 3. Taken together, the model learns how much schools
# differ at all ($\tau$), and draws each estimate towards the common mean, those with the largest errors the
# most.


# %%
def example():
    """Eight schools: the reported effects, what the model makes of them, and how much schools differ."""
    from shared.figures import COLORS, subplots

    schools = EightSchools()
    draws = _draw(nuts, schools, 300, seed=0).reshape(-1, schools.dim)
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

    present_topic(validate, example)
