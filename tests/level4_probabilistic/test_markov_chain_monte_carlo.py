"""Markov chain Monte Carlo: each function alone, then the samplers, their diagnostics, and what they refuse."""

import dataclasses
import doctest
import inspect
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from level4_probabilistic import markov_chain_monte_carlo
from level4_probabilistic.failure_modes.markov_chain_monte_carlo import FAILURE_MODES
from level4_probabilistic.markov_chain_monte_carlo import (
    effective_sample_size,
    gibbs,
    hmc,
    metropolis,
    nuts,
    rhat,
)
from level4_probabilistic.parts.markov_chain_monte_carlo import (
    chain_diagnostics,
    phase_plane,
    predictions,
    sampler_adaptation,
    sampler_gradient_check,
)
from level4_probabilistic.parts.markov_chain_monte_carlo.predictions import (
    funnel_gradient,
    funnel_log_density,
)
from level4_probabilistic.parts.markov_chain_monte_carlo.regression_and_schools import (
    EightSchools,
    RegressionPosterior,
)
from level4_probabilistic.parts.markov_chain_monte_carlo.sampler_targets import (
    SamplerResult,
    State,
    Target,
    make_result,
)

N_CHAINS = 20_000


def normal_log_density(x):
    """Independent standard normals, for one point or many."""
    return -np.vecdot(x, x) / 2


def normal_gradient(x):
    return -x


def logistic_log_density(x):
    """Independent standard logistic variables: heavier tails, variance π²/3."""
    return -np.sum(np.abs(x) + 2 * np.log1p(np.exp(-np.abs(x))), axis=-1)


def logistic_gradient(x):
    return -np.tanh(x / 2)


def a_target(logpdf=normal_log_density, gradient=normal_gradient):
    return Target(logpdf, gradient, vectorized=True)


def state_at(position, logpdf=normal_log_density, gradient=normal_gradient):
    return State(position, logpdf(position), gradient(position))


def assert_logistic_moments(position):
    """E x² = π²/3 and E |x| = 2 log 2, within five standard errors."""
    for values, exact in ((position**2, np.pi**2 / 3), (np.abs(position), 2 * np.log(2))):
        error = values.std() / np.sqrt(values.size)
        assert abs(values.mean() - exact) < 5 * error, (values.mean(), exact)


# In one breath


def moments(draws):
    return draws.mean(axis=0), draws.std(axis=0)


def test_plain_metropolis_stays_where_a_proposal_is_refused():
    """Steps so long that nearly all are refused: the same point again is a draw, too."""
    draws = markov_chain_monte_carlo.plain_metropolis(
        normal_log_density, np.zeros(1), 400, 100.0, np.random.default_rng(0)
    )
    assert draws.shape == (400, 1)
    assert np.mean(draws[1:] == draws[:-1]) > 0.9, "a refused proposal must repeat the point"
    assert len(np.unique(draws)) > 1, "some proposals are accepted"


def test_plain_metropolis_accepts_what_is_more_probable():
    uphill = markov_chain_monte_carlo.plain_metropolis(
        lambda x: float(x[0]) * 1e6, np.zeros(1), 50, 1.0, np.random.default_rng(0)
    )
    assert np.all(np.diff(uphill[:, 0]) >= 0), "a lower density, a million times less likely, was accepted"


def test_plain_metropolis_meets_a_normal():
    draws = markov_chain_monte_carlo.plain_metropolis(
        normal_log_density, np.zeros(1), 6000, 2.4, np.random.default_rng(1)
    )
    mean, spread = moments(draws)
    assert abs(mean[0]) < 0.15 and abs(spread[0] - 1) < 0.1


def test_plain_hmc_meets_a_slanted_normal():
    precision = np.array([[2.0, -1.6], [-1.6, 2.0]])
    draws = markov_chain_monte_carlo.plain_hmc(
        lambda x: -x @ precision @ x / 2,
        lambda x: -precision @ x,
        np.zeros(2),
        2500,
        0.3,
        np.random.default_rng(2),
    )
    np.testing.assert_allclose(np.cov(draws.T), np.linalg.inv(precision), rtol=0.2)
    assert np.abs(draws.mean(axis=0)).max() < 0.2


def test_plain_hmc_steps_as_the_leapfrog_does():
    """One long leapfrog step for each draw, kept or refused by its error in the energy; the generator repeats its momenta."""
    target, step = Target(normal_log_density, normal_gradient, True), 1.7  # π / 1.7 leaves one step
    state = target.start(np.ones((1, 2)), needs_gradient=True)
    kept = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        (draw,) = markov_chain_monte_carlo.plain_hmc(
            normal_log_density, normal_gradient, np.ones(2), 1, step, rng
        )
        again = np.random.default_rng(seed)
        momentum = again.standard_normal(2)
        new, end = markov_chain_monte_carlo.leapfrog(target, state, momentum[None], step / 2, step)
        again.integers(1, 2)
        log_ratio = (new.log_density - end[0] @ end[0] / 2) - (state.log_density - momentum @ momentum / 2)
        kept.append(np.log(again.random()) < log_ratio[0])
        np.testing.assert_allclose(draw, new.position[0] if kept[-1] else np.ones(2), rtol=1e-12)
    assert 0 < sum(kept) < 30, "some are refused"


@pytest.mark.parametrize("rung", ["plain_metropolis", "metropolis", "plain_hmc", "hmc", "nuts"])
def test_all_rungs_draw_from_the_same_posterior(rung):
    """Mean and spread of a skewed density, exact by a sum over a grid, within five Monte Carlo errors."""
    grid = np.linspace(-12, 12, 4001)
    density = np.exp(-np.exp(grid) + 2 * grid)  # the logarithm of a gamma variable of shape 2
    exact = np.average(grid, weights=density)
    logp, grad = lambda x: float(2 * x[0] - np.exp(x[0])), lambda x: 2 - np.exp(x)
    rng = np.random.default_rng(4)
    if rung == "plain_metropolis":
        draws = markov_chain_monte_carlo.plain_metropolis(logp, np.zeros(1), 4000, 1.6, rng)[None]
    elif rung == "plain_hmc":
        draws = markov_chain_monte_carlo.plain_hmc(logp, grad, np.zeros(1), 1500, 0.4, rng)[None]
    elif rung == "metropolis":
        draws = metropolis(logp, np.zeros(1), 1000, step_size=1.6, n_warmup=50, rng=rng).draws
    else:
        sampler = {"hmc": hmc, "nuts": nuts}[rung]
        draws = sampler(logp, grad, np.zeros(1), 250, n_warmup=80, rng=rng).draws
    error = chain_diagnostics.monte_carlo_standard_error(draws)
    assert abs(draws.mean() - exact) < 5 * float(np.squeeze(error))


# Metropolis


def test_a_metropolis_step_accepts_with_the_ratio_of_densities():
    state = state_at(np.full((5000, 1), 2.0))
    rng, same_rng = np.random.default_rng(1), np.random.default_rng(1)
    new, probability = markov_chain_monte_carlo.metropolis_step(a_target(), state, 1.5, rng)
    proposal = 2.0 + 1.5 * same_rng.standard_normal((5000, 1))
    expected = np.minimum(1, np.exp((4.0 - proposal[:, 0] ** 2) / 2))
    np.testing.assert_allclose(probability, expected, rtol=1e-12)
    moved = new.position[:, 0] != 2.0
    np.testing.assert_array_equal(new.position[moved], proposal[moved])
    np.testing.assert_allclose(new.log_density, normal_log_density(new.position))
    assert abs(moved.mean() - expected.mean()) < 5 * 0.5 / np.sqrt(5000)


def test_a_metropolis_step_leaves_the_target_as_it_is():
    rng = np.random.default_rng(2)
    state = state_at(rng.logistic(size=(N_CHAINS, 1)), logistic_log_density, logistic_gradient)
    target = a_target(logistic_log_density, logistic_gradient)
    for _ in range(4):
        state, _ = markov_chain_monte_carlo.metropolis_step(target, state, 3.0, rng)
    assert_logistic_moments(state.position)


def test_metropolis_never_leaves_the_support():
    def logpdf(x):
        return 0.0 if 0 < x[0] < 1 else (-np.inf if x[0] <= 0 else np.nan)

    result = metropolis(logpdf, [0.5], 500, step_size=0.5, n_warmup=0, rng=0)
    assert result.draws.min() > 0 and result.draws.max() < 1
    assert 0 < result.acceptance < 1


def test_metropolis_accepts_as_often_as_theory_says():
    """On a normal with a normal proposal of width σ: (2/π) arctan(2/σ)."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal((500, 1))
    result = metropolis(
        normal_log_density, start, 200, step_size=2.0, n_warmup=0, n_chains=500, rng=rng, vectorized=True
    )
    assert result.acceptance == pytest.approx(2 / np.pi * np.arctan(1.0), abs=0.01)
    assert result.draws.shape == (500, 200, 1)
    assert (result.step_size, result.n_divergences, result.n_evaluations) == (2.0, 0, 500 * 201)


def test_metropolis_takes_a_step_for_each_coordinate():
    result = metropolis(lambda x: 0.0, [0.0, 0.0], 50, step_size=[1.0, 100.0], n_warmup=0, rng=0)
    steps = np.diff(result.draws, axis=1).std(axis=(0, 1))
    assert steps[1] / steps[0] == pytest.approx(100, rel=0.3)


# Gibbs


def test_a_gibbs_sweep_updates_in_order_and_in_place():
    x = np.array([1.0, 2.0, 3.0])
    conditionals = [lambda x, rng: x[1] + x[2], lambda x, rng: [10 * x[0], 20 * x[0]]]
    markov_chain_monte_carlo.gibbs_sweep(conditionals, [np.array([0]), np.array([2, 1])], x, None)
    np.testing.assert_array_equal(x, [5.0, 100.0, 50.0])


def test_gibbs_on_two_correlated_normals():
    """The mean is 0, and neighboring draws of one coordinate correlate by ρ²."""
    rho = 0.8
    width = np.sqrt(1 - rho**2)
    conditionals = [
        lambda x, rng: rho * x[1] + width * rng.standard_normal(),
        lambda x, rng: rho * x[0] + width * rng.standard_normal(),
    ]
    result = gibbs(conditionals, [5.0, 5.0], 3000, n_warmup=50, n_chains=2, rng=0)
    draws = result.draws
    assert np.corrcoef(draws.reshape(-1, 2).T)[0, 1] == pytest.approx(rho, abs=0.03)
    assert np.corrcoef(draws[0, :-1, 0], draws[0, 1:, 0])[0, 1] == pytest.approx(rho**2, abs=0.05)
    assert np.all(np.abs(draws.mean(axis=(0, 1))) < 5 * chain_diagnostics.monte_carlo_standard_error(draws))
    assert result.acceptance == 1.0


# Hamiltonian dynamics


def test_leapfrog_on_an_oscillator():
    """From (x, p) = (1, 0.5) with ε = 0.2: half a kick, a drift, half a kick, by hand."""
    state = state_at(np.array([[1.0]]))
    new, momentum = markov_chain_monte_carlo.leapfrog(a_target(), state, np.array([[0.5]]), 0.1, 0.2)
    half = 0.5 - 0.1 * 1.0
    position = 1.0 + 0.2 * half
    np.testing.assert_allclose(new.position, [[position]], rtol=1e-15)
    np.testing.assert_allclose(momentum, [[half - 0.1 * position]], rtol=1e-15)
    np.testing.assert_allclose(new.log_density, [-(position**2) / 2], rtol=1e-15)
    np.testing.assert_allclose(new.gradient, [[-position]], rtol=1e-15)


def test_leapfrog_runs_backwards_and_keeps_energy_to_second_order():
    rng = np.random.default_rng(0)
    target = a_target(logistic_log_density, logistic_gradient)
    start = state_at(rng.standard_normal((50, 3)), logistic_log_density, logistic_gradient)
    momenta = rng.standard_normal((50, 3))
    errors = []
    for step, n_steps in ((0.2, 10), (0.1, 20)):
        state, momentum = start, momenta
        for _ in range(n_steps):
            state, momentum = markov_chain_monte_carlo.leapfrog(target, state, momentum, step / 2, step)
        energy = [np.vecdot(p, p) / 2 - s.log_density for p, s in ((momenta, start), (momentum, state))]
        errors.append(np.abs(energy[1] - energy[0]).mean())
        for _ in range(n_steps):
            state, momentum = markov_chain_monte_carlo.leapfrog(target, state, momentum, -step / 2, -step)
        np.testing.assert_allclose(state.position, start.position, atol=1e-13)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_a_hamiltonian_step_turns_a_normal_by_the_travel_time():
    """x after time t is x₀ cos t + p₀ sin t; with tiny steps every proposal is accepted."""
    start = np.random.default_rng(5).standard_normal((40, 2))
    rng, same_rng = np.random.default_rng(6), np.random.default_rng(6)
    scale = np.ones(2)
    new, acceptance, diverging, _ = markov_chain_monte_carlo.hmc_step(
        a_target(), state_at(start), 0.001, scale, 700, rng
    )
    momentum = same_rng.standard_normal((40, 2))
    np.testing.assert_allclose(new.position, start * np.cos(0.7) + momentum * np.sin(0.7), atol=1e-5)
    np.testing.assert_allclose(acceptance, 1, atol=1e-5)
    assert not diverging.any()


def test_a_hamiltonian_step_leaves_the_target_as_it_is():
    rng = np.random.default_rng(3)
    state = state_at(rng.logistic(size=(N_CHAINS, 1)), logistic_log_density, logistic_gradient)
    target = a_target(logistic_log_density, logistic_gradient)
    for n_steps in (1, 2, 3):
        state, acceptance, *_ = markov_chain_monte_carlo.hmc_step(
            target, state, 2.0, np.array([1.3]), n_steps, rng
        )
    assert acceptance.mean() < 0.98, "steps this coarse must be rejected now and then"
    assert_logistic_moments(state.position)


def test_a_lost_trajectory_is_rejected_and_told():
    start = np.ones((3, 2))
    new, acceptance, diverging, _ = markov_chain_monte_carlo.hmc_step(
        a_target(), state_at(start), 50.0, np.ones(2), 5, np.random.default_rng(0)
    )
    assert diverging.all() and not acceptance.any()
    np.testing.assert_array_equal(new.position, start)


# NUTS


def test_turning_is_moving_against_the_way():
    east, west, north = np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0]]), np.array([[0.0, 1.0]])
    turning = markov_chain_monte_carlo.is_turning
    assert not turning(east, east, 2 * east)[0]
    assert turning(east, west, north)[0], "at a right angle to the way counts as turned"
    assert turning(west, east, east)[0] and turning(east, west, east)[0]


def test_joining_two_stretches_looks_across_the_joint():
    """The ends agree with the whole way, but the right part, with the last point of the left one, has turned."""
    east, back = np.array([[1.0, 0.0]]), np.array([[-1.0, 0.5]])
    left_sum, right_sum = np.array([[3.0, 0.0]]), np.array([[0.5, 0.5]])
    assert not markov_chain_monte_carlo.is_turning(east, east, left_sum + right_sum)[0]
    join = markov_chain_monte_carlo.join_is_turning
    assert join(east, back, east, east, left_sum, right_sum)[0]
    assert join(east, east, back, east, right_sum, left_sum)[0], "and the same backwards"
    assert join(east, east, east, -east, 2 * east, 0.5 * east)[0], "and the whole"
    assert not join(east, east, east, east, 2 * east, 2 * east)[0]


def grow(n_leaves, step, chains=1, start=0.0, momentum=1.0, seed=0):
    state = state_at(np.full((chains, 1), start))
    momenta = np.full((chains, 1), momentum)
    energy = np.vecdot(momenta, momenta) / 2 - state.log_density
    return markov_chain_monte_carlo.grow_subtree(
        a_target(), state, momenta, energy, step / 2, step, n_leaves, np.random.default_rng(seed)
    )


def test_a_subtree_is_a_row_of_leapfrog_steps():
    tree = grow(4, 0.3)
    state, momentum = state_at(np.array([[0.0]])), np.array([[1.0]])
    momenta, weights = [], []
    for _ in range(4):
        state, momentum = markov_chain_monte_carlo.leapfrog(a_target(), state, momentum, 0.15, 0.3)
        momenta.append(momentum)
        weights.append(0.5 + state.log_density - momentum[:, 0] ** 2 / 2)
    np.testing.assert_allclose(tree.last.position, state.position)
    np.testing.assert_allclose(tree.first_momentum, momenta[0])
    np.testing.assert_allclose(tree.last_momentum, momenta[-1])
    np.testing.assert_allclose(tree.momentum_sum, sum(momenta))
    np.testing.assert_allclose(tree.log_weight, np.log(np.exp(weights).sum(axis=0)))
    np.testing.assert_allclose(tree.acceptance_sum, np.minimum(1, np.exp(weights)).sum(axis=0))
    assert tree.usable[0] and not tree.diverging[0] and tree.n_leaves[0] == 4


def test_a_subtree_gives_its_leaves_away_by_their_weight():
    """Of 20,000 chains on the same trajectory each leaf is drawn with probability ∝ exp(H₀ − H)."""
    tree = grow(2, 1.6, chains=N_CHAINS, start=0.4, momentum=1.5)
    state, momentum, weights, leaves = state_at(np.array([[0.4]])), np.array([[1.5]]), [], []
    for _ in range(2):
        state, momentum = markov_chain_monte_carlo.leapfrog(a_target(), state, momentum, 0.8, 1.6)
        weights.append(np.exp(state.log_density[0] - momentum[0, 0] ** 2 / 2))
        leaves.append(state.position[0, 0])
    share = np.mean(np.isclose(tree.proposal.position[:, 0], leaves[0]))
    expected = weights[0] / sum(weights)
    assert abs(expected - 0.5) > 0.05, "the weights must differ, else this tests nothing"
    assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / N_CHAINS)


def test_a_subtree_stops_where_it_turns():
    """From x = 0 the momentum changes its sign after a quarter turn, π/2: between steps 5 and 6, which are a block."""
    tree = grow(64, 0.3)
    assert not tree.usable[0] and not tree.diverging[0]
    assert tree.n_leaves[0] == 6


def first_turned_block(momenta):
    """A slow reading of the rule: after how many leaves an aligned block of 2, 4, 8, … has turned; None if none."""
    join = markov_chain_monte_carlo.join_is_turning
    for end in range(1, len(momenta) + 1):
        size = 2
        while end % size == 0:
            left, right = momenta[end - size : end - size // 2], momenta[end - size // 2 : end]
            if join(left[0], left[-1], right[0], right[-1], np.sum(left, axis=0), np.sum(right, axis=0))[0]:
                return end
            size *= 2
    return None


def test_a_subtree_looks_at_every_block_of_its_leaves():
    rng = np.random.default_rng(8)
    position, momenta = rng.standard_normal((200, 3)), rng.standard_normal((200, 3))
    step = np.array([[0.02, 0.1, 0.3]])
    target, state = a_target(), state_at(position)
    tree = markov_chain_monte_carlo.grow_subtree(
        target, state, momenta, np.zeros(200), step / 2, step, 32, np.random.default_rng(0)
    )
    path, momentum = [], momenta
    for _ in range(32):
        state, momentum = markov_chain_monte_carlo.leapfrog(target, state, momentum, step / 2, step)
        path.append(momentum)
    stops = [first_turned_block([p[chain : chain + 1] for p in path]) for chain in range(200)]
    np.testing.assert_array_equal(tree.n_leaves, [stop or 32 for stop in stops])
    np.testing.assert_array_equal(tree.usable, [stop is None for stop in stops])
    assert 20 < tree.usable.sum() < 180, "some stop, some do not"


def slow_depth(position, step, rng):
    """How often NUTS doubles from `position`, with all momenta kept, and the same random numbers used up."""
    state, momentum = state_at(position), rng.standard_normal(position.shape)
    ends, path = [(state, momentum)] * 2, [momentum]  # path: from the past to the future
    for depth in range(10):
        side = int(rng.integers(0, 2, size=1)[0])
        signed, (state, momentum), new = (2 * side - 1) * step, ends[side], []
        for _ in range(2**depth):
            state, momentum = markov_chain_monte_carlo.leapfrog(
                a_target(), state, momentum, signed / 2, signed
            )
            new.append(momentum)
        ends[side] = (state, momentum)
        rng.gumbel(size=(2**depth, 1)), rng.standard_exponential(1)
        old = path if side else path[::-1]
        sums = np.sum(old, axis=0), np.sum(new, axis=0)
        if first_turned_block(new) or markov_chain_monte_carlo.join_is_turning(
            old[0], old[-1], new[0], new[-1], *sums
        ):
            return depth + 1
        path = path + new if side else new[::-1] + path
    return 10


def test_a_subtree_stops_where_it_is_lost():
    tree = grow(8, 60.0)
    assert tree.diverging[0] and not tree.usable[0] and tree.n_leaves[0] < 4


def test_a_nuts_step_leaves_the_target_as_it_is():
    """Twenty thousand chains start in equilibrium; steps so coarse that every part of the tree matters."""
    rng = np.random.default_rng(4)
    state = state_at(rng.logistic(size=(N_CHAINS, 1)), logistic_log_density, logistic_gradient)
    target = a_target(logistic_log_density, logistic_gradient)
    for step_size in (2.5, 1.5, 0.8):
        state, acceptance, _, depth, saturated, _ = markov_chain_monte_carlo.nuts_step(
            target, state, step_size, np.array([1.2]), 10, rng
        )
        np.testing.assert_allclose(state.log_density, logistic_log_density(state.position))
        np.testing.assert_allclose(state.gradient, logistic_gradient(state.position))
        assert_logistic_moments(state.position)
    assert acceptance.mean() < 0.99 and depth.min() >= 1 and not saturated.any()


def test_a_nuts_step_leaves_a_target_in_several_dimensions_as_it_is():
    rng = np.random.default_rng(9)
    target = a_target(logistic_log_density, logistic_gradient)
    state = state_at(rng.logistic(size=(N_CHAINS, 3)), logistic_log_density, logistic_gradient)
    for _ in range(3):
        state, _, _, depth, *_ = markov_chain_monte_carlo.nuts_step(
            target, state, 0.5, np.array([1.0, 1.5, 2.0]), 10, rng
        )
    assert depth.max() >= 4
    for coordinate in range(3):
        assert_logistic_moments(state.position[:, coordinate])


def test_a_nuts_step_goes_far_and_both_ways():
    """From the middle of a normal a draw lands on either side alike, about a standard deviation away."""
    state = state_at(np.zeros((N_CHAINS, 1)))
    new, *_ = markov_chain_monte_carlo.nuts_step(
        a_target(), state, 0.2, np.ones(1), 10, np.random.default_rng(0)
    )
    assert abs(np.mean(new.position > 0) - 0.5) < 5 * 0.5 / np.sqrt(N_CHAINS)
    assert np.abs(new.position).mean() > 0.5


def test_a_nuts_step_doubles_until_it_turns():
    step, depths = np.array([0.05, 0.1, 0.2]), []
    for seed in range(60):
        position = np.random.default_rng(1000 + seed).standard_normal((1, 3))
        _, _, _, depth, *_ = markov_chain_monte_carlo.nuts_step(
            a_target(), state_at(position), 1.0, step, 10, np.random.default_rng(seed)
        )
        depths.append(depth[0])
        assert depth[0] == slow_depth(position, step, np.random.default_rng(seed))
    assert len(set(depths)) > 2, "different starts turn at different depths"


def test_a_nuts_step_ends_at_the_depth_that_it_is_allowed():
    state = state_at(np.ones((3, 2)))
    _, _, _, depth, saturated, _ = markov_chain_monte_carlo.nuts_step(
        a_target(), state, 1e-4, np.ones(2), 4, np.random.default_rng(0)
    )
    assert (depth == 4).all() and saturated.all()


def test_trial_acceptance_is_that_of_one_leapfrog_step():
    state = state_at(np.full((4, 2), 1.5))
    rng, same_rng = np.random.default_rng(0), np.random.default_rng(0)
    trial = markov_chain_monte_carlo.trial_acceptance(a_target(), state, 1.1, np.ones(2), rng)
    momentum = same_rng.standard_normal((4, 2))
    new, after = markov_chain_monte_carlo.leapfrog(a_target(), state, momentum, 0.55, 1.1)
    change = (
        new.log_density - state.log_density - (np.vecdot(after, after) - np.vecdot(momentum, momentum)) / 2
    )
    assert trial == pytest.approx(np.minimum(1, np.exp(change)).mean(), rel=1e-12)
    assert markov_chain_monte_carlo.trial_acceptance(a_target(), state, 1e200, np.ones(2), rng) == 0


# The Hamiltonian samplers


CORRELATED = np.array([[1.0, 1.8], [1.8, 4.0]])
PRECISION = np.linalg.inv(CORRELATED)


@pytest.mark.parametrize("sampler", [hmc, nuts])
def test_a_correlated_normal_is_met(sampler):
    result = sampler(
        lambda x: -np.vecdot(x - 3, (x - 3) @ PRECISION) / 2,
        lambda x: -(x - 3) @ PRECISION,
        np.random.default_rng(0).normal(size=(16, 2)),
        250,
        n_warmup=150,
        n_chains=16,
        rng=1,
        vectorized=True,
    )
    draws = result.draws - 3
    for values, exact in (
        (draws, [0, 0]),
        (draws**2, np.diag(CORRELATED)),
        (draws[..., :1] * draws[..., 1:], [1.8]),
    ):
        error = chain_diagnostics.monte_carlo_standard_error(values)
        assert np.all(np.abs(values.mean(axis=(0, 1)) - exact) < 5 * error)
    assert rhat(result.draws).max() < 1.02
    assert 0.7 < result.acceptance < 0.99 and result.n_divergences == 0
    np.testing.assert_allclose(result.inverse_metric, [1, 4], rtol=0.5)
    assert result.n_evaluations > 16 * 600


@pytest.mark.parametrize("sampler", [hmc, nuts])
def test_one_point_at_a_time_gives_the_same_draws(sampler):
    def run(vectorized):
        start = np.linspace(-1, 1, 6).reshape(3, 2)
        functions = (logistic_log_density, logistic_gradient)
        return sampler(*functions, start, 20, n_warmup=30, n_chains=3, rng=7, vectorized=vectorized)

    one, many = run(False), run(True)
    np.testing.assert_allclose(one.draws, many.draws, rtol=1e-9)
    assert one.n_evaluations == many.n_evaluations and one.step_size == pytest.approx(many.step_size)


@pytest.mark.parametrize("sampler", [hmc, nuts])
def test_without_warmup_a_given_step_size_is_kept(sampler):
    result = sampler(normal_log_density, normal_gradient, [0.0], 10, n_warmup=0, step_size=0.3, rng=0)
    assert result.step_size == 0.3
    np.testing.assert_array_equal(result.inverse_metric, [1.0])


@pytest.mark.parametrize("sampler", [hmc, nuts])
def test_a_higher_target_takes_smaller_steps(sampler):
    steps = [
        sampler(
            normal_log_density,
            normal_gradient,
            np.zeros(5),
            1,
            n_warmup=60,
            target_accept=target,
            rng=0,
            vectorized=True,
        ).step_size
        for target in (0.6, 0.95)
    ]
    assert steps[0] > 1.3 * steps[1]


def test_hmc_travels_at_most_the_path_length():
    result = hmc(
        normal_log_density,
        normal_gradient,
        [0.0],
        200,
        n_warmup=0,
        step_size=0.1,
        path_length=0.5,
        n_chains=1,
        rng=0,
    )
    assert result.n_evaluations / 200 == pytest.approx(3, abs=0.5), "1 to 5 steps a draw"


def test_nuts_tells_its_tree_depth_and_warns_where_it_is_not_enough():
    with pytest.warns(UserWarning, match="max_tree_depth"):
        result = nuts(
            normal_log_density,
            normal_gradient,
            [0.0],
            5,
            n_warmup=0,
            step_size=0.001,
            max_tree_depth=3,
            rng=0,
        )
    assert (result.tree_depth == 3).all()


@pytest.mark.parametrize("sampler", [hmc, nuts])
def test_divergences_are_counted_and_the_remedy_is_named(sampler):
    def logpdf(x):
        return -(x[0] ** 2) / 2 - (x[1] / 1e-3) ** 2 / 2

    def gradient(x):
        return np.array([-x[0], -x[1] / 1e-6])

    with pytest.warns(UserWarning, match="Raise target_accept.*non-centered"):
        result = sampler(logpdf, gradient, [0.0, 0.0], 10, n_warmup=0, step_size=0.5, rng=0)
    assert result.n_divergences == result.diverging.sum() > 0


@pytest.mark.parametrize("sampler", [hmc, nuts])
def test_the_seed_decides(sampler):
    def draws(rng):
        return sampler(normal_log_density, normal_gradient, [0.0], 5, n_warmup=5, rng=rng).draws

    np.testing.assert_array_equal(draws(3), draws(np.random.default_rng(3)))
    assert not np.array_equal(draws(3), draws(4))


def test_the_start_may_be_a_number_a_point_or_one_point_a_chain():
    for start, shape in ((0.5, (2, 3, 1)), ([0.5, 1], (2, 3, 2)), ([[0.5], [1.0]], (2, 3, 1))):
        result = nuts(
            normal_log_density, normal_gradient, start, 3, n_warmup=0, step_size=0.1, n_chains=2, rng=0
        )
        assert result.draws.shape == shape


SAMPLE = {"n_warmup": 5, "rng": 0}
REFUSED = {
    "n_draws must be": {"n_draws": 0},
    "n_warmup must be": {"n_warmup": -1},
    "n_chains must be": {"n_chains": 0},
    "target_accept must be": {"target_accept": 1.0},
    "step_size must be": {"step_size": -1.0},
    "x0 must have shape": {"x0": np.zeros((3, 2))},
    "x0 must be finite": {"x0": [np.nan, 0.0]},
    "logpdf is not finite at the start of chain 0": {"logpdf": lambda x: np.log(0.0 * x[0])},
    "logpdf must return one number.*vectorized=True": {"logpdf": lambda x: -x},
    r"gradient must return an array of shape \(2,\), got \(\)": {"gradient": lambda x: -x.sum()},
    "gradient is not finite": {"gradient": lambda x: x * np.nan},
    "posterior improper": {"logpdf": lambda x: 0.0, "gradient": lambda x: 0 * x},
    "does gradient belong to logpdf": {
        "logpdf": lambda x: -1e9 * float(np.any(x != 0)),
        "gradient": lambda x: 0 * x,
    },
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("message", REFUSED)
@pytest.mark.parametrize("sampler", [hmc, nuts])
def test_what_the_hamiltonian_samplers_refuse(sampler, message):
    arguments = {"logpdf": normal_log_density, "gradient": normal_gradient, "x0": np.zeros(2), "n_draws": 5}
    with pytest.raises(ValueError, match=message):
        sampler(**{**arguments, **SAMPLE, **REFUSED[message]})


def test_what_else_is_refused():
    with pytest.raises(ValueError, match="path_length"):
        hmc(normal_log_density, normal_gradient, [0.0], 5, n_warmup=0, path_length=0)
    with pytest.raises(ValueError, match="max_tree_depth"):
        nuts(normal_log_density, normal_gradient, [0.0], 5, n_warmup=0, max_tree_depth=0)
    with pytest.raises(TypeError, match="gradient must be a function"):
        nuts(normal_log_density, None, [0.0], 5, n_warmup=0)
    with pytest.raises(TypeError, match="n_draws must be an integer"):
        metropolis(normal_log_density, [0.0], 5.5, step_size=1.0, n_warmup=0)
    with pytest.raises(ValueError, match="step_size must be positive"):
        metropolis(normal_log_density, [0.0], 5, step_size=0.0, n_warmup=0)
    with pytest.raises(ValueError, match="cover the coordinates 0 to 1"):
        gibbs([lambda x, rng: 0.0], [0.0, 0.0], 5, n_warmup=0)


def test_arguments_of_another_kind_are_told_what_is_needed():
    with pytest.raises(TypeError, match="x0 must hold numbers, one point of shape .* got 'a'"):
        nuts(normal_log_density, normal_gradient, "a", 5)
    with pytest.raises(TypeError, match="step_size must be a positive number or one a coordinate, got 'a'"):
        metropolis(normal_log_density, [0.0], 5, step_size="a")
    for conditionals in (lambda x, rng: 0.0, [1.0]):
        with pytest.raises(TypeError, match="conditionals must be a list of functions"):
            gibbs(conditionals, [0.0], 5)


@pytest.mark.parametrize("sampler", [metropolis, gibbs, hmc, nuts])
def test_warm_up_is_as_long_as_in_pymc_by_default(sampler):
    pymc = pytest.importorskip("pymc")
    default = inspect.signature(sampler).parameters["n_warmup"].default
    assert default == inspect.signature(pymc.sample).parameters["tune"].default == 1000


# Warm-up


def test_dual_averaging_finds_the_step_size():
    """Acceptance exp(−ε) is 0.8 at ε = −log 0.8."""
    averaging = sampler_adaptation.DualAveraging(5.0, 0.8)
    step_size = 5.0
    for _ in range(400):
        step_size = averaging.update(np.exp(-step_size))
    assert averaging.average == pytest.approx(-np.log(0.8), rel=0.05)


def test_dual_averaging_leans_to_large_steps():
    """Where every step would do, the first one tried is about ten times the last: mu = log 10 ε (Hoffman and Gelman 2014)."""
    averaging = sampler_adaptation.DualAveraging(0.3, 0.8)
    assert averaging.update(0.8) == pytest.approx(3.0), "on target from the start: the step is exp(mu)"
    assert averaging.update(0.8) == pytest.approx(3.0)
    averaging.restart(0.02)
    assert averaging.update(0.8) == pytest.approx(0.2), "a restart leans again"


def test_dual_averaging_is_the_recursion_on_the_page():
    averaging, mean_error, log_average = sampler_adaptation.DualAveraging(0.5, 0.7), 0.0, math.log(0.5)
    for t, acceptance in enumerate((0.1, 0.9, 0.4, 1.0), start=1):
        mean_error = (1 - 1 / (t + 10)) * mean_error + (0.7 - acceptance) / (t + 10)
        log_step = math.log(5.0) - math.sqrt(t) / 0.05 * mean_error
        log_average = t**-0.75 * log_step + (1 - t**-0.75) * log_average
        assert averaging.update(acceptance) == pytest.approx(math.exp(log_step)), t
        assert averaging.average == pytest.approx(math.exp(log_average)), t


def test_the_step_size_listens_to_a_chain_left_behind():
    laggard = sampler_adaptation.Laggard(8, 0.8)
    acceptance = np.full(8, 0.9)
    acceptance[5] = 0.0
    heard = [laggard.heed(acceptance) for _ in range(30)]
    assert heard[0] == pytest.approx(acceptance.mean()), "a single refusal is nothing"
    assert heard[-1] == 0.0, "after thirty refusals in a row the chain is listened to"
    acceptance[5] = 0.9
    heard = [laggard.heed(acceptance) for _ in range(10)]
    assert heard[-1] == pytest.approx(0.9), "it has caught up"


def test_a_reasonable_step_size_crosses_the_acceptance():
    """The acceptance exp(−ε) crosses 0.8 at 0.22: halved from 1 to below, doubled from 0.01 to above."""
    below = sampler_adaptation.reasonable_step_size(lambda step: math.exp(-step), 1.0)
    above = sampler_adaptation.reasonable_step_size(lambda step: math.exp(-step), 0.01)
    assert (below, above) == (0.125, 0.32)


def quartic_log_density(x):
    return -np.sum(x**4, axis=-1) / 4


@pytest.mark.parametrize("chains", [5, 40])
@pytest.mark.parametrize("sampler", [hmc, nuts])
@pytest.mark.filterwarnings("ignore:.*diverged")
def test_a_chain_that_starts_far_out_is_rescued(sampler, chains):
    """At 10 the density bends three hundred times as sharply as at 1; the other chains must not hide it."""
    start = np.append(np.linspace(-1, 1, chains - 1), 10.0)[:, None]
    result = sampler(
        quartic_log_density,
        lambda x: -(x**3),
        start,
        120,
        n_warmup=250,
        n_chains=chains,
        rng=0,
        vectorized=True,
    )
    distinct = [len(np.unique(chain)) for chain in result.draws]
    assert min(distinct) > 60, f"a chain stands still: {distinct}"
    assert np.abs(result.draws).max() < 5 and rhat(result.draws)[0] < 1.1


def test_windows_double_as_in_stan():
    assert sampler_adaptation.adaptation_windows(1000) == (75, [100, 150, 250, 450, 950])
    assert sampler_adaptation.adaptation_windows(100) == (15, [90])
    assert sampler_adaptation.adaptation_windows(10) == (10, [])


def test_the_variance_is_within_chains():
    window = np.random.default_rng(0).normal(size=(200, 4, 1)) + 100 * np.arange(4)[None, :, None]
    assert sampler_adaptation.shrunken_variance(window)[0] == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_metric_is_the_same_in_any_unit(unit):
    window = np.random.default_rng(0).normal(size=(50, 2, 3))
    variance = sampler_adaptation.shrunken_variance(window)
    np.testing.assert_allclose(
        sampler_adaptation.shrunken_variance(unit * window), unit**2 * variance, rtol=1e-12
    )
    exact = window.var(axis=0, ddof=1).mean(axis=0) * (100 + 0.005) / 105
    np.testing.assert_allclose(variance, exact, rtol=1e-12)
    window[..., 1] = 7.0
    assert sampler_adaptation.shrunken_variance(window, np.array([4.0, 5.0, 6.0]))[1] == 5.0, (
        "it keeps its unit"
    )


# Does the gradient belong to the density?


def regression_log_density(x, prior=1.0):
    """Ten coefficients, thirty observations, a normal prior."""
    residual = x @ DESIGN.T - 1
    return -np.vecdot(residual, residual) / 2 - prior * np.vecdot(x, x) / 2


def regression_gradient(x, prior=1.0):
    return -(x @ DESIGN.T - 1) @ DESIGN - prior * x


DESIGN = np.random.default_rng(7).normal(size=(30, 10))
SCALES = np.logspace(-6, 6, 10)
WRONG = {
    "sign": (lambda x: -regression_gradient(x), "sign is turned"),
    "twice": (lambda x: 2 * regression_gradient(x), "2 times what it should be"),
    "half": (lambda x: regression_gradient(x) / 2, "0.5 times what it should be"),
    "one coordinate of ten": (
        lambda x: regression_gradient(x) * np.where(np.arange(10) == 6, -1, 1),
        r"off in 1 of 10 coordinates: 6 \(",
    ),
    "one coordinate forgotten": (
        lambda x: regression_gradient(x) * (np.arange(10) != 3),
        r"off in 1 of 10 coordinates: 3 \(",
    ),
    "no prior": (lambda x: regression_gradient(x, prior=0.0), "a prior"),
}


@pytest.mark.parametrize("start", ["mode", "apart", "far"])
@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("mistake", WRONG)
@pytest.mark.parametrize("sampler", [hmc, nuts])
def test_a_wrong_gradient_is_refused(sampler, mistake, vectorized, start):
    wrong, remedy = WRONG[mistake]
    mode = np.linalg.solve(DESIGN.T @ DESIGN + np.eye(10), DESIGN.sum(axis=0))
    apart = mode + np.random.default_rng(1).normal(size=(4, 10))
    x0 = {"mode": mode, "apart": apart, "far": 30 * apart}[start]
    with pytest.raises(
        ValueError,
        match=f"^gradient is not the gradient of logpdf.*differences.*{remedy}.*check_gradient=False",
    ):
        sampler(regression_log_density, wrong, x0, 5, **SAMPLE, vectorized=vectorized)


def test_the_two_slopes_are_told():
    """In one dimension the direction is the axis, up to its sign: at y they are −2y and −y."""
    with pytest.raises(ValueError) as error:
        nuts(normal_log_density, lambda x: -2 * x, [3.0], 5, **SAMPLE)
    said = [float(word.strip(".,")) for word in str(error.value).split() if word.strip(".,-")[:1].isdigit()]
    claimed, measured = said[1:3]
    assert claimed == pytest.approx(2 * measured, rel=1e-5) and 2 < abs(measured) < 4


@pytest.mark.parametrize("sampler", [hmc, nuts])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_comparison_can_be_turned_off(sampler):
    gradient = WRONG["twice"][0]
    result = sampler(regression_log_density, gradient, np.zeros(10), 5, **SAMPLE, check_gradient=False)
    assert result.draws.shape == (4, 5, 10)


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("sampler", [hmc, nuts])
def test_the_comparison_changes_no_draw_and_costs_little(sampler, vectorized):
    n_calls = 0

    def logpdf(x):
        nonlocal n_calls
        n_calls += 1
        return regression_log_density(x)

    results, calls, states = [], [], []
    for check in (True, False):
        n_calls, rng = 0, np.random.default_rng(5)
        arguments = {"n_warmup": 30, "rng": rng, "vectorized": vectorized, "check_gradient": check}
        results.append(sampler(logpdf, regression_gradient, np.ones(10), 20, **arguments))
        calls.append(n_calls)
        states.append(rng.bit_generator.state)
    np.testing.assert_array_equal(results[0].draws, results[1].draws)
    assert results[0].step_size == results[1].step_size
    assert results[0].n_evaluations == results[1].n_evaluations, "they are not counted"
    assert states[0] == states[1]
    assert 0 < calls[0] - calls[1] < 60


def _scaled(scale, center=0.0, height=0.0):
    """Normal densities; many digits of the height or of the center may be lost."""
    return (
        lambda x: height - np.sum(((x - center) / scale) ** 2) / 2,
        lambda x: -(x - center) / scale**2,
        scale * np.ones(10),
        center,
    )


def _rounded(digits):
    return lambda x: round(float(normal_log_density(x)), digits)


def _in_single_precision(x):
    return float(np.float32(-1e3 + normal_log_density(x.astype(np.float32))))


HARD = {
    **{f"scale {scale:g}": _scaled(scale) for scale in (1e-6, 1e-3, 1e3, 1e6)},
    **{f"height {height:g}": _scaled(1.0, 0.0, height) for height in (-1e8, 1e8, 1e12, 1e15)},
    "scales from 1e-6 to 1e6": _scaled(SCALES),
    "far from zero": _scaled(1.0, 1e8),
    "far from zero and narrow": _scaled(1e-6, 1e3),
    "small difference of large numbers": (
        lambda x: (1e11 + normal_log_density(x)) - 1e11,
        normal_gradient,
        1.0,
        0.0,
    ),
    "smaller difference of larger numbers": (
        lambda x: (1e13 + normal_log_density(x)) - 1e13,
        normal_gradient,
        1.0,
        0.0,
    ),
    "steep": (lambda x: 1e8 * normal_log_density(x), lambda x: -1e8 * x, 1.0, 0.0),
    "nearly flat": (lambda x: 1e-12 * normal_log_density(x), lambda x: -1e-12 * x, 1.0, 0.0),
    "flat": (lambda x: -3.0, lambda x: 0 * x, 1.0, 0.0),
    "funnel": (funnel_log_density, funnel_gradient, 1.0, 0.0),
    "funnel, far": (funnel_log_density, funnel_gradient, 5.0, 0.0),
    "Cauchy": (lambda x: -np.sum(np.log1p(x * x)), lambda x: -2 * x / (1 + x * x), 1.0, 0.0),
    "Cauchy, far": (lambda x: -np.sum(np.log1p(x * x)), lambda x: -2 * x / (1 + x * x), 1e6, 0.0),
    "Laplace": (lambda x: -np.sum(np.abs(x)), lambda x: np.where(x >= 0, -1.0, 1.0), 1.0, 0.0),
    "hinges": (
        lambda x: -np.sum(np.maximum(DESIGN @ x, 0)) + normal_log_density(x),
        lambda x: -DESIGN.T @ (DESIGN @ x > 0) - x,
        1.0,
        0.0,
    ),
    "ripples": (
        lambda x: normal_log_density(x) + 0.01 * np.sin(1e3 * x).sum(),
        lambda x: -x + 10 * np.cos(1e3 * x),
        1.0,
        0.0,
    ),
    "fine ripples": (
        lambda x: normal_log_density(x) + 1e-6 * np.sin(1e6 * x).sum(),
        lambda x: -x + np.cos(1e6 * x),
        1.0,
        0.0,
    ),
    "at the edge": (lambda x: np.sum(3 * np.log(x) - x), lambda x: 3 / x - 1, 1e-9, 1e-5),
    "an error at the edge": (
        lambda x: math.log(x[0]) + normal_log_density(x),
        lambda x: np.append(1 / x[0], np.zeros(9)) - x,
        1e-3,
        0.01,
    ),
    "one digit": (_rounded(1), normal_gradient, 1.0, 0.0),
    "two digits": (_rounded(2), normal_gradient, 1.0, 0.0),
    "single precision inside": (
        lambda x: _in_single_precision(x) - 0.1 * x[0],
        lambda x: -x - 0.1 * (np.arange(10) == 0),
        1.0,
        0.0,
    ),
    "single precision": (_in_single_precision, normal_gradient, 1.0, 0.0),
    "gradient by differences": (
        logistic_log_density,
        lambda x: (
            (logistic_log_density(x + 1e-6 * np.eye(10)) - logistic_log_density(x - 1e-6 * np.eye(10))) / 2e-6
        ),
        1.0,
        0.0,
    ),
    "regression": (regression_log_density, regression_gradient, 1.0, 0.0),
    "regression, far": (regression_log_density, regression_gradient, 100.0, 0.0),
    "eight schools": (EightSchools().logpdf, EightSchools().gradient, 3.0, 0.0),
}


@pytest.mark.parametrize("name", HARD)
def test_a_right_gradient_passes(name, monkeypatch):
    logpdf, gradient, spread, center = HARD[name]
    target = Target(logpdf, gradient, vectorized=False)
    for seed in range(24):
        monkeypatch.setattr(sampler_gradient_check, "SEED", seed)
        noise = np.random.default_rng(seed).normal(size=(2, 10)) * (
            seed % 4 > 0
        )  # every fourth at the center
        position = center + spread * (np.abs(noise) if "edge" in name else noise)
        with np.errstate(all="ignore"):
            state = State(position, None, np.stack([gradient(x) for x in position]))
        sampler_gradient_check.require_gradient(target, state)


@pytest.mark.parametrize(
    "name",
    [
        "height 1e+08",
        "height 1e+15",
        "funnel",
        "Cauchy, far",
        "scale 1e-06",
        "scale 1e+06",
        "nearly flat",
        "Laplace",
    ],
)
def test_a_turned_sign_is_found_there_too(name):
    logpdf, gradient, spread, center = HARD[name]
    position = center + spread * np.random.default_rng(0).normal(size=(2, 10))
    target = Target(logpdf, lambda x: -gradient(x), vectorized=False)
    with pytest.raises(ValueError, match="gradient is not the gradient of logpdf"):
        sampler_gradient_check.require_gradient(target, State(position, None, -gradient(position)))


def test_the_differences_are_exact():
    """Far better than what is tolerated: what is left after extrapolation is of order h⁴."""
    target = Target(logistic_log_density, logistic_gradient, vectorized=False)
    position = np.random.default_rng(0).normal(size=(1, 10))
    slopes = sampler_gradient_check.compare_slopes(target, position, 0, np.ones(10))
    assert slopes.measured == pytest.approx(slopes.claimed, rel=1e-8) and not slopes.wrong


def test_a_narrow_coordinate_does_not_hide_a_wide_one():
    logpdf, gradient, *_ = _scaled(SCALES)
    for coordinate in range(10):
        wrong = lambda x: gradient(x) * np.where(np.arange(10) == coordinate, 2, 1)  # noqa: B023
        with pytest.raises(ValueError, match=f"1 of 10 coordinates: {coordinate} "):
            nuts(logpdf, wrong, SCALES, 5, n_warmup=0, rng=0)


def test_a_density_may_know_how_many_chains_there_are():
    """As with a temperature for each chain: the comparison keeps all rows."""
    beta = np.array([1.0, 0.1, 0.01])

    def logpdf(x):
        assert x.shape == (3, 2)
        return beta * normal_log_density(x)

    hmc(
        logpdf,
        lambda x: -beta[:, None] * x,
        np.ones((3, 2)),
        5,
        n_warmup=0,
        n_chains=3,
        step_size=0.1,
        rng=0,
        vectorized=True,
    )


# The summary


def result_of(draws):
    """As a sampler without a step size would return them."""
    return make_result(draws.swapaxes(0, 1), 0.5, np.nan, 1)


def some_result(n_draws=300):
    start = np.random.default_rng(0).normal(size=(4, 3))
    return nuts(logistic_log_density, logistic_gradient, start, n_draws, n_warmup=60, rng=1, vectorized=True)


@pytest.fixture(scope="module")
def result():
    """One run of NUTS for all tests of its summary."""
    return some_result()


def test_a_result_prints_in_one_line():
    result = some_result(n_draws=50)
    text = repr(result)
    assert "\n" not in text and len(text) < 150 and f" {result.n_evaluations:,} evaluations;" in text
    assert text.startswith("SamplerResult(4 chains of 50 draws in 3 dimensions, acceptance 0.")
    one = metropolis(lambda x: 0.0, [0.0], 1, step_size=1.0, n_warmup=0, n_chains=1, rng=0)
    assert repr(one).startswith(
        "SamplerResult(1 chain of 1 draw in 1 dimension, acceptance 1.00, 0 divergences"
    )


@pytest.mark.parametrize("kind", ["good", "bad"])
def test_the_summary_equals_arviz(kind, result):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    arviz.Numba.disable_numba()
    if kind == "bad":  # chains that wander
        result = result_of(np.cumsum(result.draws[:, :301], axis=1))
    summary = result.summary(["a", "b", "c"])
    functions = {"q5": lambda x: np.quantile(x, 0.05), "q95": lambda x: np.quantile(x, 0.95)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = arviz.summary(
            arviz.from_dict(posterior={"x": result.draws}), round_to="none", stat_funcs=functions
        )
    for column in ("mean", "sd", "mcse_mean", "q5", "q95", "r_hat", "ess_bulk", "ess_tail"):
        np.testing.assert_allclose(getattr(summary, column), theirs[column], rtol=1e-9, err_msg=column)
    assert (summary.problems == ()) == (kind == "good")


def test_the_summary_is_a_table_with_a_verdict(result):
    lines = str(result.summary(["a", "b", "the third"])).splitlines()
    assert lines[0].split() == [
        "mean",
        "sd",
        "mcse",
        "5",
        "%",
        "95",
        "%",
        "R-hat",
        *("bulk", "ESS", "tail", "ESS"),
    ]
    assert [line[:9].strip() for line in lines[1:4]] == ["a", "b", "the third"]
    assert len({len(line) for line in lines[:4]}) == 1
    assert lines[5].startswith("4 chains of 300 draws, acceptance 0.")
    assert "step size" in lines[5] and "tree depth" in lines[5] and lines[5].endswith("0 divergences")
    assert re.fullmatch(
        r"[\d,]+ evaluations with warm-up in [\d.]+ s, [\d.]+ effective draws of .* for each 1,000 of them",
        lines[6],
    )
    assert "nothing speaks against them" in lines[7] and len(lines) == 8


def test_the_summary_says_what_is_wrong_and_what_to_try(result):
    diverging = result.diverging.copy()
    diverging[0, :7] = True
    apart = dataclasses.replace(
        result, draws=result.draws + 3 * np.arange(4)[:, None, None], diverging=diverging, n_divergences=7
    )
    text = str(apart.summary())
    for words in (
        "Do not trust these draws yet",
        "R-hat is .* above 1.01: the chains do not agree. Raise n_warmup",
        r"ESS is \d+ for x\d, below 400: .* More draws alone are no remedy.* several modes .*reparameterize",
        "7 of 1200 draws diverged .7 of them in chain 0.: .* Raise target_accept .* non-centered",
    ):
        assert re.search(words, text), words
    assert len(apart.summary().problems) == 3
    short = result_of(result.draws[:, :80]).summary()
    assert re.search(r"ESS is 1\d\d for x\d, .* \(about [34] times\)", short.problems[-1])


def a_frozen_run(sampler):
    """No warm-up, and a step that is far too long for the last of eight chains."""
    start = np.append(np.linspace(-1, 1, 7), 30.0)[:, None]
    arguments = {"n_warmup": 0, "n_chains": 8, "rng": 0, "vectorized": True, "step_size": 0.8}
    if sampler is metropolis:  # at 30 the walls are steep on both sides
        return sampler(
            lambda x: np.where(np.abs(x[:, 0]) < 20, -(x[:, 0] ** 2) / 2, -1e6 * np.abs(x[:, 0] - 30.0)),
            start,
            300,
            **arguments,
        )
    return sampler(quartic_log_density, lambda x: -(x**3), start, 300, **arguments)


@pytest.mark.parametrize("sampler", [metropolis, hmc, nuts])
@pytest.mark.filterwarnings("ignore:.*diverged")
def test_a_chain_that_stands_still_is_told_as_what_it_is(sampler):
    with pytest.warns(
        UserWarning, match="1 chain of 8 stood still: chain 7 for 300 of its 300 draws, from draw 0"
    ):
        result = a_frozen_run(sampler)
    assert result.chain_acceptance[7] < 0.01 < 0.5 < result.chain_acceptance[:7].min()
    assert result.acceptance == pytest.approx(result.chain_acceptance.mean())
    summary = result.summary()
    assert "(0.00 in chain 7)" in summary.sampling
    assert summary.problems[0].startswith("1 chain of 8 stood still: chain 7 for 300 of its 300 draws")
    wanted = "step_size smaller" if sampler is metropolis else "Let the step size adapt .*raise target_accept"
    assert re.search(wanted, summary.problems[0])
    assert "the chains do not agree. First mend the standstill." in str(summary)
    assert "Raise n_draws" not in str(summary) and "raise n_draws" not in str(summary), (
        "more draws do not help"
    )
    if sampler is not metropolis:
        assert "of them in chain 7)" in str(summary)


@pytest.mark.parametrize("sampler", [hmc, nuts])
@pytest.mark.filterwarnings("ignore:.*diverged")
def test_what_is_advised_against_a_standstill_helps(sampler):
    """The first advice: let the step size adapt."""
    start = np.append(np.linspace(-1, 1, 7), 30.0)[:, None]
    mended = sampler(
        quartic_log_density, lambda x: -(x**3), start, 200, n_warmup=250, n_chains=8, rng=0, vectorized=True
    )
    assert not any("stood still" in problem for problem in mended.summary().problems)
    assert rhat(mended.draws)[0] < 1.07


def test_a_standstill_is_told_from_chance():
    """Refusals by chance make stretches, too: at 10 % acceptance some fifty in a row among 4,000 draws."""
    rng = np.random.default_rng(0)
    places = np.cumsum(rng.random((4, 1000)) < 0.1, axis=1)
    assert not chain_diagnostics.standstill(places[..., None].astype(float))[2].any()
    moving = rng.normal(size=(4, 400, 2))
    moving[2, 100:160] = moving[2, 100]
    longest, first, frozen = chain_diagnostics.standstill(moving)
    assert (longest[2], first[2], frozen.tolist()) == (60, 100, [False, False, True, False])
    moving[2, 100:160, 1] = np.arange(60)
    assert not chain_diagnostics.standstill(moving)[2].any(), "one coordinate may stay, the chain moves"
    assert chain_diagnostics.standstill(np.zeros((4, 100, 1)))[2].all(), "no chain moves"


def test_gibbs_on_a_discrete_coordinate_is_not_called_a_standstill():
    result = gibbs([lambda x, rng: float(rng.random() < 1e-3)], [0.0], 200, n_warmup=0, rng=0)
    assert not any("stood still" in problem for problem in result.summary().problems)


def test_e_bfmi_compares_the_energy_with_its_changes():
    """In equilibrium d / (d/2 + Var ℓ): 1 for a normal; for a heavy tail (Cauchy) less."""
    rng = np.random.default_rng(0)
    energy = np.array([[0.0, 1.0, 3.0, 2.0]])
    assert chain_diagnostics.e_bfmi(energy)[0] == pytest.approx((1 + 4 + 1) / (4 * 1.25))
    start = rng.normal(size=(4, 3))
    good = nuts(
        normal_log_density, normal_gradient, start, 400, n_warmup=0, step_size=0.4, rng=1, vectorized=True
    )
    np.testing.assert_allclose(good.log_density, normal_log_density(good.draws))
    np.testing.assert_allclose(good.summary().e_bfmi, 1, atol=0.25)  # four standard errors of 400 draws
    potential = -good.log_density[
        :, :-1
    ]  # H of the next trajectory is this and fresh momenta, ½χ² with 3 degrees
    kinetic = good.energy[:, 1:] - potential
    assert kinetic.min() >= -1e-9 and kinetic.mean() == pytest.approx(1.5, abs=0.15)
    heavy = hmc(
        lambda x: -np.log1p(x[:, 0] ** 2), lambda x: -2 * x / (1 + x**2), np.linspace(-3, 3, 4)[:, None], 1000,
        n_warmup=0, step_size=0.5, rng=0, vectorized=True,
    )  # fmt: skip
    formula = 1 / (0.5 + heavy.log_density.var())
    assert heavy.summary().e_bfmi.mean() == pytest.approx(formula, rel=0.35)
    assert any("E-BFMI is 0." in problem for problem in heavy.summary().problems) == (
        heavy.summary().e_bfmi.min() < 0.3
    )
    walk = metropolis(normal_log_density, [0.0], 50, step_size=1.0, n_warmup=0, rng=0)
    assert np.isnan(walk.summary().e_bfmi).all()


def test_a_density_in_place_of_its_logarithm_is_suspected():
    with pytest.warns(UserWarning, match="is it the density instead of its logarithm"):
        metropolis(lambda x: math.exp(-(x @ x) / 2), [0.0], 300, step_size=2.0, rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shift in (0.0, 3.0, 100.0):
            metropolis(lambda x: shift - x @ x / 2, [0.0], 300, step_size=2.0, n_warmup=0, rng=0)  # noqa: B023
        metropolis(lambda x: 0.0 if abs(x[0]) < 1 else -np.inf, [0.0], 300, step_size=1.0, n_warmup=0, rng=0)


@pytest.mark.parametrize("sampler", [hmc, nuts])
def test_single_precision_functions_are_summed_in_double(sampler):
    start = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    logpdf, gradient = (lambda x: normal_log_density(x).astype(np.float32)), (lambda x: -x.astype(np.float32))
    result = sampler(logpdf, gradient, start, 150, n_warmup=50, rng=0, vectorized=True)
    assert result.draws.dtype == result.energy.dtype == result.log_density.dtype == np.float64
    assert result.draws.std() == pytest.approx(1, abs=0.2)


def test_the_summary_counts_what_the_draws_cost(result):
    summary = result.summary()
    fewest = np.minimum(summary.ess_bulk, summary.ess_tail).min()
    assert summary.n_evaluations == result.n_evaluations and 0 < summary.seconds == result.seconds
    assert summary.ess_per_1000_evaluations == pytest.approx(1000 * fewest / result.n_evaluations)
    assert dataclasses.replace(result, seconds=9.0) == result, (
        "the same draws are equal, however long they took"
    )
    for sampled in (
        metropolis(normal_log_density, [0.0], 20, step_size=1.0, n_warmup=0, rng=0),
        gibbs([lambda x, rng: rng.normal()], [0.0], 20, n_warmup=0, rng=0),
    ):
        assert sampled.seconds > 0 and sampled.gradient_checked is None
        assert f"{sampled.n_evaluations} evaluations with warm-up in" in str(sampled.summary())


@pytest.mark.parametrize("factor", [2.0, -1.0])
def test_an_unchecked_gradient_is_suspected_first(factor, result):
    checked, start = result, np.random.default_rng(0).normal(size=(4, 3))
    arguments = (normal_log_density, lambda x: -factor * x, start, 60)
    result = hmc(*arguments, n_warmup=40, rng=0, vectorized=True, check_gradient=False)
    summary = result.summary()
    assert result.gradient_checked is False and "gradient not checked" in summary.sampling
    assert summary.problems[0].startswith("The gradient was not compared with logpdf")
    assert "First run with check_gradient=True" in summary.problems[0]
    assert "Once the gradient is known to be right" in summary.problems[-1]
    assert not re.search(r"about \d+ times", str(summary))
    with pytest.raises(ValueError, match="gradient is not the gradient of logpdf"):
        hmc(*arguments, n_warmup=40, rng=0, vectorized=True)
    assert checked.gradient_checked is True


def test_more_than_ten_times_the_draws_is_no_advice():
    rng = np.random.default_rng(0)
    few = result_of(rng.normal(size=(4, 30, 1))).summary()
    assert re.search(r"Raise n_draws \(about ([4-9]|10) times\)", few.problems[-1])
    fewer = result_of(rng.normal(size=(4, 5, 1))).summary()
    assert fewer.problems[-1].endswith("There are 20 draws in all: raise n_draws.")
    wandering = result_of(np.cumsum(rng.normal(size=(4, 200, 1)), axis=1)).summary()
    assert not re.search(r"\d times", str(wandering)) and "More draws alone are no remedy" in str(wandering)


def correlated_draws(rho, chains=4, n=500):
    draws = np.random.default_rng(0).normal(size=(chains, n, 3))
    draws[..., 2] = rho * draws[..., 0] + np.sqrt(1 - rho**2) * draws[..., 2]
    return dataclasses.replace(result_of(draws * [1, 10, 100]), step_size=0.1, gradient_checked=True)


def test_the_summary_names_strong_correlations_and_what_helps():
    result = correlated_draws(-0.99)
    summary = result.summary(["a", "b", "c"])
    assert summary.problems == () and "To make them cheaper:\n- The draws of a and c" in str(summary)
    (advice,) = summary.advice
    assert re.search(
        r"a and c correlate by -0\.9(89|9|91); the condition number of all .* is (1[89]\d|2[01]\d)", advice
    )
    assert "diagonal metric" in advice and "about 14 times the steps" in advice and "QR" in advice
    L = eval(re.search(r"L = (np\.\S+(\(.*?\))*), whose", advice)[1], {"np": np, "result": result})
    z = np.linalg.solve(L, result.draws.reshape(-1, 3).T)
    np.testing.assert_allclose(np.cov(z), np.eye(3), atol=1e-8)
    gibbs_draws = dataclasses.replace(result, step_size=np.nan, gradient_checked=None)
    assert "in one block" in gibbs_draws.summary().advice[0]
    walk = dataclasses.replace(result, gradient_checked=None)
    assert "metric" not in walk.summary().advice[0] and "Sample z" in walk.summary().advice[0]
    assert "decorrelate the coordinates as said below" in correlated_draws(0.99, n=50).summary().problems[-1]


def test_the_summary_names_no_correlation_that_may_be_chance():
    assert correlated_draws(0.5).summary().advice == ()
    wandering = np.cumsum(np.random.default_rng(0).normal(size=(4, 300, 8)), axis=1)
    assert result_of(wandering).summary().advice == ()
    apart = correlated_draws(0.0)
    apart = dataclasses.replace(apart, draws=apart.draws + 50 * np.arange(4)[:, None, None])
    assert apart.summary().advice == ()
    assert correlated_draws(0.99, n=1).summary().advice == ()


def test_many_mild_correlations_count_together():
    """Thirty coordinates with a common part of variance 0.85: condition number 1 + 30 · 0.85/0.15 = 171."""
    rng = np.random.default_rng(0)
    draws = np.sqrt(0.85) * rng.normal(size=(4, 500, 1)) + np.sqrt(0.15) * rng.normal(size=(4, 500, 30))
    (advice,) = dataclasses.replace(result_of(draws), step_size=1.0).summary().advice
    condition = float(re.search(r"condition number of all correlations is (\d+)", advice)[1])
    assert condition == pytest.approx(171 * ((1 + np.sqrt(30 / 2000)) / 1) ** 2, rel=0.3)


def test_the_summary_looks_at_the_tails_too():
    """Signs are fresh at each draw, so the bulk mixes; sizes stay for 40 draws, so the tails do not."""
    rng = np.random.default_rng(0)
    size = np.repeat(rng.exponential(size=(4, 25, 1)), 40, axis=1)
    summary = result_of(size * rng.choice([-1.0, 1.0], size=(4, 1000, 1))).summary()
    assert summary.ess_bulk[0] > 400 > summary.ess_tail[0]
    assert any("The tail ESS is" in problem for problem in summary.problems)


def test_the_summary_says_what_it_cannot_judge(result):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "two chains" in result_of(result.draws[:1]).summary().problems[0]
        assert "four draws" in result_of(result.draws[:, :1]).summary().problems[0]
        assert "x1 never moved" in result_of(result.draws * [1, 0, 1]).summary().problems[0]
        assert (
            "x1 has draws that are not finite"
            in result_of(result.draws * [1, np.nan, 1]).summary().problems[0]
        )
    with pytest.raises(ValueError, match="one name for each of the 3 coordinates, got 2"):
        result.summary(["a", "b"])


def test_the_summary_of_many_coordinates_shows_the_worst():
    draws = np.random.default_rng(0).normal(size=(4, 300, 50))
    draws[:, :, 33] = np.cumsum(draws[:, :, 33], axis=1)
    lines = str(result_of(draws).summary()).splitlines()
    assert len(lines) < 30 and any(line.startswith("x33 ") for line in lines)
    assert "20 of 50 coordinates" in lines[21]


def test_the_example_in_the_documentation_runs():
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    (example,) = doctest.DocTestFinder(recurse=False).find(SamplerResult, "SamplerResult", globs={})
    assert len(example.examples) == 4
    assert doctest.DocTestRunner(optionflags=options).run(example).failed == 0


def test_the_example_in_the_readme_prints_what_it_says(capsys):
    page = (Path(__file__).parents[2] / "level4_probabilistic" / "README.md").read_text(encoding="utf-8")
    code, printed = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", page, re.DOTALL).groups()
    exec(code, {})
    came = capsys.readouterr().out
    # Another processor may round differently, and a trajectory amplifies that: the words are to be the same, and
    # the means to be as near as their Monte Carlo errors say.
    number = r"-?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?"
    # Which coordinate has the fewest effective draws may change, too.
    texts = [re.sub(r"of .* \(the fewest\)", "of # (the fewest)", text) for text in (came, printed)]
    words = [re.sub(r"\s+", " ", re.sub(number, "#", text)).strip() for text in texts]
    assert words[0] == words[1]
    for ours, theirs in zip(came.splitlines()[1:3], printed.splitlines()[1:3], strict=True):
        (mean, _, error), (expected, _, _) = (
            [float(value) for value in re.findall(number, line)[:3]] for line in (ours, theirs)
        )
        assert abs(mean - expected) < 6 * error


# The posteriors and the diagnostics


@pytest.mark.parametrize(
    "posterior", [RegressionPosterior(np.eye(4)[:, :2] + 0.3, np.arange(4.0)), EightSchools()]
)
def test_gradients_belong_to_their_densities(posterior):
    theta = np.random.default_rng(0).normal(size=posterior.dim)
    step = 1e-5 * np.eye(posterior.dim)
    numerical = (posterior.logpdf(theta + step) - posterior.logpdf(theta - step)) / 2e-5
    np.testing.assert_allclose(posterior.gradient(theta), numerical, rtol=1e-7, atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(
    chains=st.integers(1, 5),
    n_draws=st.integers(2, 60),
    phi=st.sampled_from([-0.9, 0.0, 0.9]),
    kind=st.sampled_from(
        ["plain", "rounded", "one chain stands still", "nan", "infinite", "constant", "apart"]
    ),
    seed=st.integers(0, 1000),
)
def test_diagnostics_equal_arviz(chains, n_draws, phi, kind, seed):
    import logging

    import arviz

    logging.getLogger("arviz").setLevel(logging.CRITICAL)
    arviz.Numba.disable_numba()  # compiling takes longer than computing
    x = np.random.default_rng(seed).normal(size=(chains, n_draws))
    for t in range(1, n_draws):
        x[:, t] += phi * x[:, t - 1]
    if kind == "rounded":
        x = np.round(x)
    elif kind == "apart":
        x += 10 * np.arange(chains)[:, None]
    elif kind != "plain":
        x[0] = {"constant": 0.5, "one chain stands still": 0.5}.get(kind, x[0])
        x = np.full_like(x, 0.5) if kind == "constant" else x
        x[0, 0] = {"nan": np.nan, "infinite": np.inf}.get(kind, x[0, 0])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(rhat(x), float(arviz.rhat(x)), rtol=1e-9)
        for method in ("bulk", "tail", "mean"):
            ours, theirs = effective_sample_size(x, kind=method), float(arviz.ess(x, method=method))
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        ours = chain_diagnostics.monte_carlo_standard_error(x)
        np.testing.assert_allclose(ours, float(arviz.mcse(x)), rtol=1e-9)
        ours = chain_diagnostics.monte_carlo_standard_error(x, "sd")
        np.testing.assert_allclose(ours, float(arviz.mcse(x, method="sd")), rtol=1e-9)


def test_diagnostics_take_one_parameter_or_many():
    draws = np.random.default_rng(0).normal(size=(4, 50, 3))
    assert rhat(draws).shape == effective_sample_size(draws).shape == (3,)
    assert rhat(draws)[1] == rhat(draws[..., 1])
    assert isinstance(effective_sample_size(draws[..., 0], kind="tail"), float)
    deviation = chain_diagnostics.monte_carlo_standard_error(draws, "sd")
    np.testing.assert_allclose(deviation, 1 / np.sqrt(2 * 200), rtol=0.4)


def test_diagnostics_say_what_they_cannot_judge():
    with pytest.warns(RuntimeWarning, match="too few"):
        assert np.isnan(rhat(np.zeros(10)))
    with pytest.warns(RuntimeWarning, match="NaN"):
        assert np.isnan(effective_sample_size(np.full((2, 10), np.nan)))
    with pytest.warns(RuntimeWarning, match="the draws are all equal to 3: the chains never moved"):
        assert np.isnan(rhat(np.full((4, 100), 3.0)))
    moving = np.random.default_rng(0).normal(size=(4, 100, 2)) * [1, 0] + [0, 2]
    with pytest.warns(RuntimeWarning, match="draws of parameter 1 are all equal to 2"):
        assert np.isnan(rhat(moving)).tolist() == [False, True]
    with pytest.warns(RuntimeWarning, match="all equal"):
        assert np.isnan(chain_diagnostics.monte_carlo_standard_error(np.ones((4, 100)), "sd"))
    assert rhat(np.repeat([[1.0], [2.0]], 9, axis=1)) == np.inf, (
        "chains that stand still, each somewhere else"
    )
    with pytest.raises(ValueError, match="kind must be one of"):
        effective_sample_size(np.zeros((2, 10)), kind="middle")
    with pytest.raises(ValueError, match="at least one draw"):
        rhat(np.zeros((2, 0)))
    with pytest.raises(TypeError, match="real numbers"):
        rhat(np.array([["a"]]))


@pytest.mark.parametrize(
    "diagnostic", [rhat, effective_sample_size, chain_diagnostics.monte_carlo_standard_error]
)
def test_transposed_draws_are_suspected(diagnostic):
    draws = np.random.default_rng(0).normal(size=(4, 100)) + 3 * np.arange(4)[:, None]
    with pytest.warns(RuntimeWarning, match="100 chains of 4 draws: is the array transposed"):
        diagnostic(draws.T)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        diagnostic(draws)


# The user's functions and arrays


def in_place(x):
    """A normal around 3 whose author saved an array."""
    x -= 3.0
    return -(x @ x) / 2


def in_place_slope(x):
    x -= 3.0
    return -x


BUFFER = np.empty(1)
normal = lambda x: -((x - 3) @ (x - 3)) / 2
slope = lambda x: np.subtract(3.0, x, out=BUFFER)  # one array, again and again
SAMPLED = {
    "metropolis": lambda x0: markov_chain_monte_carlo.metropolis(normal, x0, 1000, n_warmup=20, step_size=2.0, rng=0),
    "hmc": lambda x0: markov_chain_monte_carlo.hmc(normal, slope, x0, 200, n_warmup=60, rng=0),
    "nuts": lambda x0: markov_chain_monte_carlo.nuts(normal, slope, x0, 200, n_warmup=60, rng=0),
    "gibbs": lambda x0: markov_chain_monte_carlo.gibbs([lambda x, rng: rng.normal(3.0) + 0 * np.multiply(x, 0, out=x)[0]], x0, 200, n_warmup=0, rng=0),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLED)
def test_functions_may_reuse_their_array_and_the_start_stays(name):
    x0 = np.full((4, 1), 2.0)
    draws = SAMPLED[name](x0).draws
    assert draws.mean() == pytest.approx(3, abs=0.3) and draws.std() == pytest.approx(1, abs=0.2)
    np.testing.assert_array_equal(x0, 2.0)


@pytest.mark.parametrize("sampler", [metropolis, hmc, nuts])
def test_functions_of_many_points_may_reuse_their_arrays_too(sampler):
    """The same draws as from functions that return a new array each time."""
    densities, slopes = np.empty(4), np.empty((4, 2))

    def filled(x):
        return np.multiply(-0.5, np.vecdot(x, x), out=densities[: len(x)])

    def drawn(logpdf, gradient):
        rest = {"step_size": 0.7, "n_warmup": 0, "rng": 0, "vectorized": True}
        functions = (logpdf,) if sampler is metropolis else (logpdf, gradient)
        return sampler(*functions, np.ones((4, 2)), 20, **rest)

    reused = drawn(filled, lambda x: np.negative(x, out=slopes[: len(x)]))
    fresh = drawn(normal_log_density, normal_gradient)
    np.testing.assert_array_equal(reused.draws, fresh.draws)
    np.testing.assert_array_equal(reused.log_density, fresh.log_density)


@pytest.mark.parametrize(
    ("sample", "name"),
    [
        (lambda: markov_chain_monte_carlo.metropolis(in_place, [2.0], 10, step_size=1.0, rng=0), "logpdf"),
        (lambda: markov_chain_monte_carlo.hmc(in_place, slope, [2.0], 10, rng=0), "logpdf"),
        (lambda: markov_chain_monte_carlo.nuts(normal, in_place_slope, [2.0], 10, rng=0), "gradient"),
    ],
)
def test_a_function_that_writes_into_its_argument_is_refused(sample, name):
    with pytest.raises(ValueError, match=f"{name} must not change its argument in place"):
        sample()


# The formulas of the failure modes


def test_an_autocorrelation_time_outside_its_regime_is_refused():
    for step, message in ((0.04, "refused too often"), (0.01, "twenty times as many draws")):
        with pytest.raises(ValueError, match=message):
            predictions.autocorrelation_time(step)
    assert predictions.autocorrelation_time(0.02) == pytest.approx(17.8, abs=0.1)


def test_the_autocorrelation_time_is_the_sum_of_all_autocorrelations():
    """For one leapfrog step without refusals: x' = (1 − ε² C⁻¹/2) x + noise, lag by lag."""
    _, C = predictions.two_slopes()
    step = np.eye(2) - 0.02**2 / 2 * np.linalg.inv(C)
    correlations = [(np.linalg.matrix_power(step, t) @ C)[0, 0] / C[0, 0] for t in range(1, 600)]
    assert predictions.autocorrelation_time(0.02) == pytest.approx(1 + 2 * sum(correlations), rel=1e-9)


def test_the_error_of_a_mass_has_its_two_limits():
    """Far apart no draw crosses, and T draws know what one knows; close together two coins a draw are all that is felt."""
    assert predictions.predicted_error_of_the_mass(8.0, 1.0, 40) == pytest.approx(np.sqrt(40), rel=1e-6)
    assert predictions.predicted_error_of_the_mass(2.5, 1.0, 1) == pytest.approx(1.0, rel=1e-12), "one draw"
    share = 1 / predictions.predicted_error_of_the_mass(2.5, 0.1, 1) ** 2
    x = np.linspace(-40, 40, 200_001)
    energy = predictions.energy_of_two_modes(x, 2.5)
    flat, weight = np.exp(-0.1 * energy), np.exp(-0.9 * energy)
    exact = (flat @ weight) ** 2 / (flat @ weight**2) / flat.sum()
    assert share == pytest.approx(exact, rel=1e-3), "one draw alone pays for the weights alone"


@pytest.mark.parametrize(("half_distance", "beta"), [(2.0, 1.0), (2.5, 1.0), (2.5, 0.1)])
def test_crossings_are_as_frequent_as_the_energy_says(half_distance, beta):
    """½ P(energy > barrier), by drawing position and momentum in equilibrium."""
    rng = np.random.default_rng(0)
    x, probability, _ = predictions.right_half(half_distance, beta)
    place = np.interp(rng.random(200_000), np.cumsum(probability), x)
    energy = (
        beta * predictions.energy_of_two_modes(place, half_distance) + rng.standard_normal(200_000) ** 2 / 2
    )
    above = np.mean(energy > beta * predictions.energy_of_two_modes(np.zeros(1), half_distance)[0])
    expected = predictions.predicted_crossing_probability(half_distance, beta)
    assert above / 2 == pytest.approx(expected, rel=0.04)


def test_the_funnel_formula_ends_where_the_other_form_is_unstable_too():
    assert predictions.predicted_share_in_the_neck(0.5, False) == pytest.approx(0.178, abs=1e-3)
    assert predictions.predicted_share_in_the_neck(0.5, True) == pytest.approx(0.0178, abs=1e-4)
    with pytest.raises(ValueError, match="less than 2"):
        predictions.predicted_share_in_the_neck(2.0, False)


def test_squares_are_half_as_quick_to_forget():
    """Rolled for a uniform time on (0, π): of x the next draw remembers nothing, of x² one half."""
    rng = np.random.default_rng(3)
    start = rng.standard_normal((N_CHAINS, 1))
    correlations = np.zeros(2)
    for n_steps in range(1, 32):  # ε = 0.1
        new, *_ = markov_chain_monte_carlo.hmc_step(
            a_target(), state_at(start[:4000]), 0.1, np.ones(1), n_steps, rng
        )
        for power in (1, 2):
            correlations[power - 1] += (
                np.corrcoef(start[:4000, 0] ** power, new.position[:, 0] ** power)[0, 1] / 31
            )
    np.testing.assert_allclose(correlations, [0, 0.5], atol=0.05)


def test_a_sweep_of_gibbs_is_not_reversible_and_leaves_the_target():
    """On a table of nine states: each part balances; their product keeps p, but flows in a circle."""
    p = np.random.default_rng(0).random((3, 3))
    p /= p.sum()
    parts = [np.zeros((9, 9)), np.zeros((9, 9))]
    for i, j in np.ndindex(3, 3):
        parts[0][3 * i + j, [j, 3 + j, 6 + j]] = p[:, j] / p[:, j].sum()
        parts[1][3 * i + j, 3 * i : 3 * i + 3] = p[i] / p[i].sum()
    flow = [p.ravel()[:, None] * T for T in (*parts, parts[0] @ parts[1])]
    for part in flow[:2]:
        np.testing.assert_allclose(part, part.T, atol=1e-15)
    np.testing.assert_allclose(flow[2].sum(axis=0), p.ravel(), atol=1e-15)
    assert np.abs(flow[2] - flow[2].T).max() > 1e-3


def test_a_roll_begins_where_it_should_and_keeps_its_energy():
    points, momenta = phase_plane.roll(a_target(), [1.0, 0.0], [0.0, 1.0], 0.1, 63)
    np.testing.assert_array_equal((points[0], momenta[0]), ([1.0, 0.0], [0.0, 1.0]))
    energy = (np.vecdot(points, points) + np.vecdot(momenta, momenta)) / 2
    np.testing.assert_allclose(energy, 1, atol=0.1**2 / 4)
    np.testing.assert_allclose(points[-1], points[0], atol=0.03), "once around"


# All together


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy
