"""Samplers and diagnostics against PyMC, ArviZ and the closed form."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from level4_probabilistic.parts.markov_chain_monte_carlo.chain_diagnostics import (
    agree_with_arviz,
    monte_carlo_standard_error,
)
from level4_probabilistic.parts.markov_chain_monte_carlo.regression_and_schools import (
    EightSchools,
    pymc_draws,
    pymc_model,
    quiet,
    standardized_diabetes,
)
from shared.agreement import Comparison


def compare_samplers(comparison: Comparison, ours: SimpleNamespace) -> None:
    """Append all agreements: NUTS against PyMC, three samplers against the closed form, diagnostics against ArviZ.

    Args:
        ours: the topic's `nuts`, `hmc` and `gibbs`.
    """
    regression, schools = standardized_diabetes(), EightSchools()
    draws = _compare_with_pymc(comparison, ours, regression, n_draws=(150, 400))
    _compare_with_exact(comparison, ours, regression, draws)
    draws = _compare_with_pymc(comparison.on(dataset="eight schools"), ours, schools, n_draws=(250, 500))
    agree_with_arviz(comparison.on(reference="arviz", dataset="draws of eight schools"), draws)


def draw_parameters(sampler, posterior, n_draws, seed, n_chains=16):
    """Parameters drawn by a Hamiltonian sampler from dispersed starts, (chains, draws, parameters)."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(-1, 1, size=(n_chains, posterior.dim))
    result = sampler(
        posterior.logpdf,
        posterior.gradient,
        start,
        n_draws,
        n_warmup=150,
        n_chains=n_chains,
        target_accept=0.95
        if isinstance(posterior, EightSchools)
        else 0.9,  # where τ is small it bends sharply
        rng=rng,
        vectorized=True,
    )
    return posterior.parameters(result.draws)


def _moments(draws):
    """Posterior means and standard deviations, and their standard errors, each (2·parameters,)."""
    values = np.concatenate([draws.mean(axis=(0, 1)), draws.std(axis=(0, 1), ddof=1)])
    errors = [monte_carlo_standard_error(draws, kind) for kind in ("mean", "sd")]
    return values, np.concatenate(errors)


def _compare_with_pymc(comparison, ours, posterior, n_draws):
    """Means and standard deviations in units of the combined standard error; our draws are returned."""
    with quiet():
        model, names = pymc_model(posterior)
    for attempt, times in enumerate((1, 4)):
        draws, theirs = comparison.run(
            lambda: draw_parameters(ours.nuts, posterior, times * n_draws[0], seed=attempt),  # noqa: B023
            lambda: pymc_draws(model, names, times * n_draws[1], 200, 1, seed=attempt),  # noqa: B023
        )
        (a, error_a), (b, error_b) = _moments(draws), _moments(theirs)
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
    return draws


def _compare_with_exact(comparison, ours, posterior, nuts_draws):
    """The conjugate regression has a closed form; three samplers are held against it."""
    exact = np.concatenate(posterior.exact())
    comparison = comparison.on(reference="closed form (normal inverse gamma)")
    functions, blocks = posterior.conditionals()
    for name, sample in (
        ("NUTS", lambda: nuts_draws),
        ("HMC", lambda: draw_parameters(ours.hmc, posterior, 300, seed=0)),
        (
            "Gibbs",
            lambda: (
                ours.gibbs(functions, np.ones(posterior.dim), 600, n_warmup=20, rng=0, blocks=blocks).draws
            ),
        ),
    ):
        draws, truth = comparison.run(sample, lambda: exact)
        values, errors = _moments(draws)
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
