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
# # What the draws say, and whether to believe them
#
# The table behind `SamplerResult.summary()`: for each coordinate the mean, the standard deviation, the
# Monte Carlo standard error of the mean, the 5 % and 95 % quantiles, $\hat R$, and the effective sample sizes
# of bulk and tail; below it what the draws cost, and, in words, what is wrong and what to try. The numbers come from
# `chain_diagnostics` and equal those of `arviz.summary`. The limits, $\hat R \le 1.01$ and 400 effective
# draws, are those of Vehtari et al. (2021), that of E-BFMI, 0.3, is Stan's.

# %%
from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from level4_probabilistic.parts.markov_chain_monte_carlo.chain_diagnostics import (
    e_bfmi,
    effective_sample_size,
    monte_carlo_standard_error,
    rhat,
    standstill,
)
from shared import linalg

__all__ = ["SamplerSummary", "summarize"]

MOST_RHAT, LEAST_ESS, LEAST_E_BFMI = 1.01, 400, 0.3
MOST_ROWS = 20
"""The printed table shows no more coordinates than these; the attributes hold all."""
MOST_TIMES = 10
"""More than so many times the draws is no advice: something else is wrong."""
STRONG_CORRELATION, LARGE_CONDITION = 0.9, 100
"""A pair of coordinates, or all of them together, from which on the advice says how to decorrelate them."""


# %%
@dataclass(frozen=True, repr=False)
class SamplerSummary:
    """What the draws say of each coordinate, and whether they are to be trusted. Prints as a table.

    Attributes:
        names: of the coordinates.
        mean, sd, mcse_mean, q5, q95, r_hat, ess_bulk, ess_tail: (dim,).
        e_bfmi: (chains,), the energy's fraction of missing information (HMC and NUTS; NaN elsewhere).
        sampling: how the sampling went, in one line.
        problems: what is wrong and what to try, one sentence or two each; empty if nothing was found.
        advice: what would make the sampling cheaper; it says nothing against the draws.
        n_evaluations: what the draws cost, warm-up included: gradients, densities or conditionals.
        ess_per_1000_evaluations: the least effective sample size, of bulk or tail, for each 1,000 of them.
        seconds: that the sampling took.
    """

    names: tuple[str, ...]
    mean: Float[np.ndarray, " dim"]
    sd: Float[np.ndarray, " dim"]
    mcse_mean: Float[np.ndarray, " dim"]
    q5: Float[np.ndarray, " dim"]
    q95: Float[np.ndarray, " dim"]
    r_hat: Float[np.ndarray, " dim"]
    ess_bulk: Float[np.ndarray, " dim"]
    ess_tail: Float[np.ndarray, " dim"]
    e_bfmi: Float[np.ndarray, " chains"]
    sampling: str
    problems: tuple[str, ...]
    advice: tuple[str, ...]
    n_evaluations: int
    ess_per_1000_evaluations: float
    seconds: float = field(compare=False)

    def __str__(self) -> str:
        return _table(self)

    __repr__ = __str__


def summarize(result: Any, names=None) -> SamplerSummary:
    """Summary of a `SamplerResult`; see `SamplerResult.summary`. O(S log S) a coordinate for S draws in all.

    Raises:
        ValueError: not one name a coordinate.
    """
    draws = result.draws
    dim = draws.shape[2]
    names = tuple(f"x{j}" for j in range(dim)) if names is None else tuple(str(name) for name in names)
    if len(names) != dim:
        raise ValueError(f"names must hold one name for each of the {dim} coordinates, got {len(names)}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # too few draws, NaN: the problems say so
        numbers = {
            "mean": draws.mean(axis=(0, 1)),
            "sd": draws.std(axis=(0, 1), ddof=1)
            if draws.shape[0] * draws.shape[1] > 1
            else np.full(dim, np.nan),
            "mcse_mean": monte_carlo_standard_error(draws),
            "q5": np.quantile(draws, 0.05, axis=(0, 1)),
            "q95": np.quantile(draws, 0.95, axis=(0, 1)),
            "r_hat": rhat(draws),
            "ess_bulk": effective_sample_size(draws),
            "ess_tail": effective_sample_size(draws, kind="tail"),
        }
    least = np.fmin(numbers["ess_bulk"], numbers["ess_tail"]).min()  # NaN if one of them is
    advice = _correlation_advice(result, names, numbers["ess_bulk"])
    problems = _problems(
        result, names, numbers["r_hat"], numbers["ess_bulk"], numbers["ess_tail"], bool(advice)
    )
    return SamplerSummary(
        names=names,
        **numbers,
        e_bfmi=e_bfmi(result.energy),
        sampling=_sampling(result),
        problems=problems,
        advice=advice,
        n_evaluations=result.n_evaluations,
        ess_per_1000_evaluations=float(1000 * least / result.n_evaluations)
        if result.n_evaluations
        else math.nan,
        seconds=result.seconds,
    )


# %% [markdown]
# ## In words
#
# The effective sample size grows in proportion to the draws, so how many more are needed is known. That is
# not so for $\hat R$: chains may need longer to mix, or never mix at all. A chain that stood still comes before both, since it
# explains them, and wants another remedy. A gradient that is off by a factor or
# a sign keeps the target, as acceptance sees the true density, but hardly moves; so where it was not checked,
# that comes first, and no number of draws is advised. Nor is one above ten times as many.


# %%
def _problems(result, names, r_hat, bulk, tail, correlated=False) -> tuple[str, ...]:
    """What is wrong, worst coordinate first named, and what to try; an unchecked gradient before all else."""
    problems = []
    unchecked = result.gradient_checked is False
    unknown = np.isnan(r_hat)
    frozen = _standing_still(result)
    problems += frozen
    if unknown.any():
        stuck = np.ptp(result.draws, axis=(0, 1)) == 0
        if result.draws.shape[0] < 2 or result.draws.shape[1] < 4:
            why = "it takes two chains and four draws: raise n_chains, n_draws"
        elif stuck.any():
            why = f"{names[int(np.argmax(stuck))]} never moved: look at acceptance and step_size"
        else:
            why = f"{names[int(np.argmax(unknown))]} has draws that are not finite: look at logpdf"
        problems.append(f"R-hat cannot be computed: {why}.")
    if (r_hat > MOST_RHAT).any():
        worst = int(np.nanargmax(r_hat))
        problems.append(
            f"R-hat is {r_hat[worst]:.4g} for {names[worst]}, above {MOST_RHAT}: the chains do not agree. "
            + (
                "First mend the standstill."
                if frozen
                else "Raise n_warmup and n_draws; if it stays, look for several modes, and scale or reparameterize the "
                "coordinates."
            )
        )
    smaller = np.fmin(bulk, tail)
    if (smaller < LEAST_ESS).any():
        worst = int(np.nanargmin(smaller))
        kind = "bulk" if bulk[worst] <= tail[worst] else "tail"
        problems.append(
            f"The {kind} ESS is {smaller[worst]:.0f} for {names[worst]}, below {LEAST_ESS}: too few effective "
            f"draws. "
            + (
                "First mend the standstill."
                if frozen
                else _more_draws(result.draws.shape, smaller[worst], unchecked, correlated)
            )
        )
    if result.n_divergences:
        problems.append(
            f"{result.n_divergences} of {result.diverging.size} draws diverged{_mostly_in(result)}: they leave a region out. Raise "
            "target_accept (to 0.95 or 0.99), or reparameterize (a hierarchical scale wants the non-centered "
            "form)."
        )
    information = e_bfmi(result.energy)
    if (information < LEAST_E_BFMI).any():
        chain = int(np.nanargmin(information))
        problems.append(
            f"E-BFMI is {information[chain]:.2g} in chain {chain}, below {LEAST_E_BFMI}: fresh momenta hardly change the "
            "energy, so that tails and necks are seen late. Reparameterize (a hierarchical scale wants the non-centered "
            "form, heavy tails a transformation); a smaller step does not mend it."
        )
    if problems and unchecked:
        first = (
            "The gradient was not compared with logpdf (check_gradient=False). First run with check_gradient=True: "
            "a wrong factor or sign looks just like this, and more draws do not mend it."
        )
        return (first, *problems)
    return tuple(problems)


def _standing_still(result) -> list[str]:
    """A sentence on chains that repeat one point; for Gibbs, whose coordinates may be discrete, none."""
    if not np.isfinite(result.step_size).all():
        return []
    longest, first, frozen = standstill(result.draws)
    if not frozen.any():
        return []
    n, chain = result.draws.shape[1], int(np.argmax(longest))
    hamiltonian = result.gradient_checked is not None
    remedy = (
        "Let the step size adapt (n_warmup above 0, as by default), raise target_accept (to 0.95 or 0.99), "
        "start the chains nearer to each other, or reparameterize (a hierarchical scale wants the non-centered form)."
        if hamiltonian
        else "Make step_size smaller (about 2.38/√dim posterior standard deviations, one for each coordinate), or start the "
        "chains nearer to the bulk."
    )
    return [
        f"{count(int(frozen.sum()), 'chain')} of {len(frozen)} stood still: chain {chain} for {longest[chain]:,} of its {n:,} draws, "
        f"from draw {first[chain]}. Every proposal was refused: the step is too long where it is, and more draws are of no use. {remedy}"
    ]


def _mostly_in(result) -> str:
    """Which chain holds most of the divergences, if one does."""
    each = result.diverging.sum(axis=1)
    chain = int(np.argmax(each))
    return (
        f" ({each[chain]:,} of them in chain {chain})"
        if len(each) > 2 and 2 * each[chain] > each.sum()
        else ""
    )


def _more_draws(shape, ess: float, unchecked: bool, correlated: bool) -> str:
    """What to try against few effective draws, `ess` of draws of this shape."""
    times = math.ceil(LEAST_ESS / ess)
    decorrelate = "decorrelate the coordinates" + (" as said below" if correlated else "")
    if unchecked:
        return f"Once the gradient is known to be right, raise n_draws, or {decorrelate}."
    if times <= MOST_TIMES:
        return f"Raise n_draws (about {times} times), or {decorrelate}."
    if ess > shape[0] * shape[1] / MOST_TIMES:  # they mix; there are just few of them
        return f"There are {shape[0] * shape[1]} draws in all: raise n_draws."
    return (
        "More draws alone are no remedy. Find out why the chains move so slowly or apart: scales that differ "
        "(let n_warmup be long enough to learn them; metropolis takes a step_size for each coordinate), several "
        f"modes (look at each chain's mean), heavy tails or a funnel (reparameterize), correlation ({decorrelate})."
    )


# %% [markdown]
# **Correlation.** HMC and NUTS measure each coordinate in its own unit, which undoes differences of scale but no
# correlation. With correlation matrix $C$ the step must fit the narrowest direction and the trajectory cross the
# widest, so the steps a draw grow as the root of the condition number, $\sqrt{\lambda_{\max}/\lambda_{\min}}$;
# for two coordinates that is $\sqrt{(1 + |\rho|)/(1 - |\rho|)}$, 14 at $\rho = 0.99$. With $x = m + Lz$, $LL^\top$
# the covariance of the draws, the coordinates $z$ have none; their gradient is $L^\top\nabla\ell(x)$.
#
# Slow chains correlate by chance. $\tanh^{-1} r$ has a standard error of about $1/\sqrt{n - 3}$ for $n$
# effective draws; a pair is named if it is four of them away from 0, the condition number if there are four
# effective draws for each coordinate. Draws are centered chain by chain, so that chains apart do not count.


# %%
def _correlation_advice(result, names, ess) -> tuple[str, ...]:
    """Strong correlations with their numbers and what helps; nothing where there are none to be sure of."""
    draws, dim = result.draws, result.draws.shape[2]
    centered = (draws - draws.mean(axis=1, keepdims=True)).reshape(-1, dim)
    spread = centered.std(axis=0)
    if dim == 1 or not (np.isfinite(spread).all() and (spread > 0).all() and np.isfinite(ess).all()):
        return ()
    correlation = (centered / spread).T @ (centered / spread) / len(centered)
    strength = np.abs(correlation - np.diag(np.diag(correlation)))
    i, j = sorted(int(k) for k in np.unravel_index(np.argmax(strength), strength.shape))
    rho = min(float(strength[i, j]), 1 - 1e-12)
    sure = math.atanh(rho) * math.sqrt(max(min(ess[i], ess[j]) - 3, 0)) > 4
    eigenvalues = linalg.eigvalsh(correlation)
    condition = float(eigenvalues[-1] / max(eigenvalues[0], 1e-12))
    judged = ess.min() >= 4 * dim
    if not (sure and rho >= STRONG_CORRELATION) and not (judged and condition >= LARGE_CONDITION):
        return ()
    text = f"The draws of {names[i]} and {names[j]} correlate by {correlation[i, j]:.3g}"
    if judged or dim == 2:
        text += f"; the condition number of all correlations is {condition:.3g}"
    if not np.isfinite(result.step_size).all():  # Gibbs
        return (f"{text}. Draw such coordinates together, in one block.",)
    rotation = f"x = L @ z with L = np.linalg.cholesky(np.cov(result.draws.reshape(-1, {dim}).T))"
    if result.gradient_checked is not None:  # HMC, NUTS
        text += (
            ". nuts and hmc adapt a diagonal metric, which cannot undo that (a dense one they do not offer)"
        )
        if judged or dim == 2:
            text += f": the trajectories take about {math.sqrt(condition):.0f} times the steps"
        rotation += ", whose gradient is L.T @ gradient(x)"
    return (f"{text}. Sample z instead: {rotation}; in a regression, replace the design by the Q of its QR.",)


def count(number: int, noun: str) -> str:
    """1 chain, 2 chains, 3,000 chains."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _sampling(result) -> str:
    """Counts, acceptance, step size, tree depth, divergences; what the sampler does not have is left out."""
    chains, n_draws, _ = result.draws.shape
    parts = [f"{count(chains, 'chain')} of {count(n_draws, 'draw')}", f"acceptance {result.acceptance:.2f}"]
    worst = int(np.argmin(result.chain_acceptance))
    if result.chain_acceptance[worst] < result.acceptance / 2:  # which the mean over the chains hides
        parts[-1] += f" ({result.chain_acceptance[worst]:.2f} in chain {worst})"
    step = np.atleast_1d(result.step_size)
    if np.isfinite(step).all():
        parts.append(f"step size {step[0]:.3g}" + (f" to {step[-1]:.3g}" if len(step) > 1 else ""))
    if result.tree_depth.any():
        parts.append(f"tree depth {result.tree_depth.mean():.1f}, at most {result.tree_depth.max()}")
    if result.gradient_checked is False:
        parts.append("gradient not checked")
    return ", ".join([*parts, count(result.n_divergences, "divergence")])


def _cost(summary: SamplerSummary) -> str:
    """What the draws cost, warm-up included, and how many effective ones that bought."""
    parts = [count(summary.n_evaluations, "evaluation") + " with warm-up"]
    if math.isfinite(summary.seconds):
        parts[0] += f" in {summary.seconds:.2g} s"
    if math.isfinite(summary.ess_per_1000_evaluations):
        worst = int(np.argmin(np.fmin(summary.ess_bulk, summary.ess_tail)))
        parts.append(
            f"{summary.ess_per_1000_evaluations:.3g} effective draws of {summary.names[worst]} (the fewest) for "
            "each 1,000 of them"
        )
    return ", ".join(parts)


# %% [markdown]
# ## The table


# %%
def _table(summary: SamplerSummary) -> str:
    """Lines of equal-width columns; of many coordinates those with the fewest effective draws."""
    dim = len(summary.names)
    shown = np.arange(dim)
    if dim > MOST_ROWS:
        order = np.argsort(np.fmin(summary.ess_bulk, summary.ess_tail), kind="stable")
        shown = np.sort(order[:MOST_ROWS])
    rows = [("", "mean", "sd", "mcse", "5 %", "95 %", "R-hat", "bulk ESS", "tail ESS")]
    for j in shown:
        values = (summary.mean, summary.sd, summary.mcse_mean, summary.q5, summary.q95)
        sizes = (summary.ess_bulk, summary.ess_tail)
        rows.append(
            (
                summary.names[j],
                *(f"{value[j]:.4g}" for value in values),
                f"{summary.r_hat[j]:.3f}",
                *(f"{size[j]:.0f}" for size in sizes),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    if dim > MOST_ROWS:
        lines.append(f"({MOST_ROWS} of {dim} coordinates: those with the fewest effective draws)")
    lines += ["", summary.sampling, _cost(summary)]
    if summary.problems:
        lines += ["Do not trust these draws yet:", *(f"- {problem}" for problem in summary.problems)]
    else:
        lines.append(
            f"R-hat ≤ {MOST_RHAT}, ESS ≥ {LEAST_ESS} and no divergences: nothing speaks against them."
        )
    if summary.advice:
        lines += ["To make them cheaper:", *(f"- {advice}" for advice in summary.advice)]
    return "\n".join(lines)
