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
# of bulk and tail; below it, in words, what is wrong and what to try. The numbers come from
# `chain_diagnostics` and equal those of `arviz.summary`. The limits, $\hat R \le 1.01$ and 400 effective
# draws, are those of Vehtari et al. (2021).

# %%
from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from level4_probabilistic.chain_diagnostics import effective_sample_size, monte_carlo_standard_error, rhat

if TYPE_CHECKING:
    from level4_probabilistic.sampler_targets import SamplerResult

__all__ = ["SamplerSummary", "summarize"]

MOST_RHAT, LEAST_ESS = 1.01, 400
MOST_ROWS = 20
"""The printed table shows no more coordinates than these; the attributes hold all."""


# %%
@dataclass(frozen=True, repr=False)
class SamplerSummary:
    """What the draws say of each coordinate, and whether they are to be trusted. Prints as a table.

    Attributes:
        names: of the coordinates.
        mean, sd, mcse_mean, q5, q95, r_hat, ess_bulk, ess_tail: (dim,).
        sampling: how the sampling went, in one line.
        problems: what is wrong and what to try, one sentence or two each; empty if nothing was found.
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
    sampling: str
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return _table(self)

    __repr__ = __str__


def summarize(result: SamplerResult, names=None) -> SamplerSummary:
    """Summary of a sampler's draws; see `SamplerResult.summary`. O(S log S) a coordinate for S draws in all.

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
    problems = _problems(result, names, numbers["r_hat"], numbers["ess_bulk"], numbers["ess_tail"])
    return SamplerSummary(names=names, **numbers, sampling=_sampling(result), problems=problems)


# %% [markdown]
# ## In words
#
# The effective sample size grows in proportion to the draws, so how many more are needed is known. That is
# not so for $\hat R$: chains may need longer to mix, or never mix at all.


# %%
def _problems(result, names, r_hat, bulk, tail) -> tuple[str, ...]:
    """What is wrong, worst coordinate first named, and what to try."""
    problems = []
    unknown = np.isnan(r_hat)
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
            f"R-hat is {r_hat[worst]:.4g} for {names[worst]}, above {MOST_RHAT}: the chains do not agree. Raise "
            "n_warmup and n_draws; if it stays, look for several modes, and scale or reparameterize the "
            "coordinates."
        )
    smaller = np.fmin(bulk, tail)
    if (smaller < LEAST_ESS).any():
        worst = int(np.nanargmin(smaller))
        kind = "bulk" if bulk[worst] <= tail[worst] else "tail"
        times = math.ceil(LEAST_ESS / smaller[worst])
        problems.append(
            f"The {kind} ESS is {smaller[worst]:.0f} for {names[worst]}, below {LEAST_ESS}: too few effective "
            f"draws. Raise n_draws (about {times} times), or decorrelate the coordinates."
        )
    if result.n_divergences:
        problems.append(
            f"{result.n_divergences} of {result.diverging.size} draws diverged: they leave a region out. Raise "
            "target_accept (to 0.95 or 0.99), or reparameterize (a hierarchical scale wants the non-centered "
            "form)."
        )
    return tuple(problems)


def count(number: int, noun: str) -> str:
    """1 chain, 2 chains."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _sampling(result) -> str:
    """Counts, acceptance, step size, tree depth, divergences; what the sampler does not have is left out."""
    chains, n_draws, _ = result.draws.shape
    parts = [f"{count(chains, 'chain')} of {count(n_draws, 'draw')}", f"acceptance {result.acceptance:.2f}"]
    step = np.atleast_1d(result.step_size)
    if np.isfinite(step).all():
        parts.append(f"step size {step[0]:.3g}" + (f" to {step[-1]:.3g}" if len(step) > 1 else ""))
    if result.tree_depth.any():
        parts.append(f"tree depth {result.tree_depth.mean():.1f}, at most {result.tree_depth.max()}")
    return ", ".join([*parts, count(result.n_divergences, "divergence")])


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
    lines += ["", summary.sampling]
    if summary.problems:
        lines += ["Do not trust these draws yet:", *(f"- {problem}" for problem in summary.problems)]
    else:
        lines.append(
            f"R-hat ≤ {MOST_RHAT}, ESS ≥ {LEAST_ESS} and no divergences: nothing speaks against them."
        )
    return "\n".join(lines)
