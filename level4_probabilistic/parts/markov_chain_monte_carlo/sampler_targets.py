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
# # What every sampler needs besides its algorithm
#
# A target that is evaluated at many points at once, starting points that are fit to start from, a result
# that tells how the sampling went, and warnings that name the remedy. `markov_chain_monte_carlo` holds the
# algorithms.

# %%
from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int

from level4_probabilistic.parts.markov_chain_monte_carlo.chain_diagnostics import standstill
from level4_probabilistic.parts.markov_chain_monte_carlo.sampler_summary import (
    SamplerSummary,
    count,
    summarize,
)
from shared.arrays import check_unchanged, random_generator, validate_number

__all__ = [
    "SamplerResult",
    "State",
    "Target",
    "choose",
    "make_result",
    "prepare",
    "proposal_step",
    "warn_of_trouble",
]


@dataclass(frozen=True, repr=False)
class SamplerResult:
    """Draws of all chains, and how the sampling went. Warm-up is counted in `n_evaluations` only.

    >>> from level4_probabilistic.markov_chain_monte_carlo import nuts
    >>> start = [[-1.0, 2.0], [1.0, -2.0], [-2.0, -1.0], [2.0, 1.0]]  # one point a chain
    >>> result = nuts(lambda x: -x @ x / 2, lambda x: -x, start, 300, n_warmup=100, rng=0)
    >>> print(result.summary())
          mean  sd  mcse  5 %  95 %  R-hat  bulk ESS  tail ESS
    x0 ...

    Attributes:
        draws: (chains, draws, dim).
        acceptance: mean acceptance probability (1 for Gibbs; for NUTS over all points of the trajectories).
        chain_acceptance: (chains,), the same for each chain: a mean over chains can hide one that refuses all.
        n_divergences: draws whose trajectory was lost (HMC and NUTS).
        step_size: of the proposal or of the integrator, after warm-up; NaN for Gibbs.
        inverse_metric: (dim,), the squares of the units that HMC and NUTS measured the coordinates in.
        diverging: (chains, draws), which draws those were.
        tree_depth: (chains, draws), how often NUTS doubled; zeros elsewhere.
        n_evaluations: gradients (HMC, NUTS), densities (Metropolis) or conditionals (Gibbs), over all chains.
        log_density: (chains, draws), of each draw, up to the constant of `logpdf`; NaN for Gibbs.
        energy: (chains, draws), H at the start of each trajectory (HMC and NUTS); NaN elsewhere. See `e_bfmi`.
        gradient_checked: whether HMC and NUTS compared the gradient with the density; None where there is none.
        seconds: that the sampling took, warm-up included; two results may be equal without it.
    """

    draws: Float[np.ndarray, "chains draws dim"]
    acceptance: float
    n_divergences: int
    step_size: float | np.ndarray
    inverse_metric: Float[np.ndarray, " dim"]
    diverging: Bool[np.ndarray, "chains draws"]
    tree_depth: Int[np.ndarray, "chains draws"]
    chain_acceptance: Float[np.ndarray, " chains"]
    log_density: Float[np.ndarray, "chains draws"]
    energy: Float[np.ndarray, "chains draws"]
    n_evaluations: int = 0
    gradient_checked: bool | None = None
    seconds: float = field(default=float("nan"), compare=False)

    def __repr__(self) -> str:
        chains, n_draws, dim = self.draws.shape
        return (
            f"SamplerResult({count(chains, 'chain')} of {count(n_draws, 'draw')} in {count(dim, 'dimension')}, "
            f"acceptance {self.acceptance:.2f}, {count(self.n_divergences, 'divergence')}, "
            f"{count(self.n_evaluations, 'evaluation')}; see draws, summary())"
        )

    def summary(self, names=None) -> SamplerSummary:
        """Table of what the draws say of each coordinate, and in words whether to trust them.

        Mean, standard deviation, Monte Carlo standard error of the mean, 5 % and 95 % quantiles, R-hat, bulk and
        tail effective sample size, as `arviz.summary` has them; what the sampling cost. Says what to try where
        R-hat exceeds 1.01, an effective sample size is below 400, draws diverged, a chain stood still, E-BFMI is
        below 0.3, or coordinates are strongly correlated.

        Args:
            names: of the coordinates; x0, x1, … by default.

        Raises:
            ValueError: not one name a coordinate.
        """
        return summarize(self, names)


class State(NamedTuple):
    """Where the chains are, with what was already computed there."""

    position: np.ndarray  # (chains, dim)
    log_density: np.ndarray  # (chains,)
    gradient: np.ndarray  # (chains, dim)


# %% [markdown]
# The target, as the samplers see it: rows in, rows out. A density that takes one point is called row by
# row; with `vectorized=True` it takes all rows at once. The user's functions see copies of our arrays, and what they return is
# copied, as they may fill one array again and again; a copy that is made anyway, by an index or an assignment, is not made twice.


# %%
@no_type_check  # called at every step: the test run's shape checks would cost more than the step
class Target:
    """Log density and gradient of many points at once; counts the evaluations."""

    def __init__(self, logpdf: Callable, gradient: Callable | None, vectorized: bool):
        self._logpdf, self._gradient, self.vectorized = logpdf, gradient, vectorized
        self._given = {"logpdf": logpdf, "gradient": gradient}
        self.n_densities = self.n_gradients = 0

    def log_density(self, position, rows=None):
        """(k,) log densities. Rows left out are not evaluated and get −∞."""
        self.n_densities += len(position) if rows is None else len(rows)
        if self.vectorized and rows is None:
            return np.array(self._logpdf(position.copy()), float)
        values = np.full(len(position), -np.inf)
        if self.vectorized:
            values[rows] = self._logpdf(position[rows])
        else:
            for row in range(len(position)) if rows is None else rows:
                values[row] = self._logpdf(position[row].copy())
        return values

    def gradient(self, position, rows=None):
        """(k, dim) gradients; rows left out get zeros."""
        self.n_gradients += len(position) if rows is None else len(rows)
        if self.vectorized and rows is None:
            return np.array(self._gradient(position.copy()), float)
        values = np.zeros(position.shape)
        if self.vectorized:
            values[rows] = self._gradient(position[rows])
        else:
            for row in range(len(position)) if rows is None else rows:
                values[row] = self._gradient(position[row].copy())
        return values

    def probe(self, name, position, row, point):
        """`logpdf` or `gradient` of chain `row` at `point` (dim,), the other chains at `position`; not counted."""
        function = self._logpdf if name == "logpdf" else self._gradient
        if not self.vectorized:
            return np.array(function(point.copy()))
        moved = position.copy()  # all rows: the function may know how many chains there are
        moved[row] = point
        return np.array(function(moved)[row])

    def start(self, position, needs_gradient):
        """The state at the starting points, after asking whether the functions keep their contract there."""
        for name, function in (("logpdf", self._logpdf), ("gradient", self._gradient)):
            if not callable(function) and (name == "logpdf" or needs_gradient):
                raise TypeError(f"{name} must be a function of a point, got {type(function).__name__}.")
        for name, function in self._given.items():
            if name == "logpdf" or needs_gradient:
                given = (position if self.vectorized else position[0]).copy()
                function(given)
                check_unchanged(position if self.vectorized else position[0], given, name)
        chains, dim = position.shape
        how = "" if self.vectorized else " (for functions of many points say vectorized=True)"
        values = np.asarray(self._logpdf((position if self.vectorized else position[0]).copy()))
        wanted = (chains,) if self.vectorized else ()
        if values.shape != wanted or values.dtype.kind not in "biuf":
            raise ValueError(
                f"logpdf must return {'an array of shape ' + str(wanted) if wanted else 'one number'}, got "
                f"{values.dtype} of shape {values.shape}{how}."
            )
        density = self.log_density(position)
        if not np.isfinite(density).all():
            row = int(np.flatnonzero(~np.isfinite(density))[0])
            raise ValueError(
                f"logpdf is not finite at the start of chain {row}: it is {density[row]} at "
                f"x0 = {position[row]}. Start where the density is positive."
            )
        if not needs_gradient:
            return State(position, density, np.zeros((chains, 0)))
        slope = np.asarray(self._gradient((position if self.vectorized else position[0]).copy()), float)
        wanted = (chains, dim) if self.vectorized else (dim,)
        if slope.shape != wanted:
            raise ValueError(f"gradient must return an array of shape {wanted}, got {slope.shape}{how}.")
        slope = self.gradient(position)
        if not np.isfinite(slope).all():
            raise ValueError(f"gradient is not finite at x0 = {position[~np.isfinite(slope).all(1)][0]}.")
        return State(position, density, slope)


# %%
def prepare(x0, n_draws, n_warmup, n_chains, rng):
    """Validated starting points (chains, dim), counts and generator."""
    n_draws = validate_number(n_draws, "n_draws", minimum=1, integer=True)
    n_warmup = validate_number(n_warmup, "n_warmup", minimum=0, integer=True)
    n_chains = validate_number(n_chains, "n_chains", minimum=1, integer=True)
    try:
        position = np.array(x0, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(
            f"x0 must hold numbers, one point of shape (dim,) or one a chain, got {x0!r}."
        ) from None
    if position.ndim == 0:
        position = position[None]
    if position.ndim == 1:
        position = np.tile(position, (n_chains, 1))
    if position.ndim != 2 or len(position) != n_chains or position.shape[1] == 0:
        raise ValueError(
            f"x0 must have shape (dim,) or (n_chains, dim) with n_chains = {n_chains}, got {np.shape(x0)}."
        )
    if not np.isfinite(position).all():
        raise ValueError(f"x0 must be finite, got {np.asarray(x0)}.")
    return position, n_draws, n_warmup, random_generator(rng)


def choose(accept, new: State, old: State) -> State:
    """The new state where accepted, the old one elsewhere."""
    return State(
        np.where(accept[:, None], new.position, old.position),
        np.where(accept, new.log_density, old.log_density),
        np.where(accept[:, None], new.gradient, old.gradient),
    )


def make_result(draws, acceptance, step_size, n_evaluations, **details) -> SamplerResult:
    """Draws as (chains, draws, dim); what the sampler does not have keeps its neutral value."""
    shape, dim = (draws.shape[1], draws.shape[0]), draws.shape[2]
    details.setdefault("inverse_metric", np.ones(dim))
    details.setdefault("diverging", np.zeros(shape, bool))
    details.setdefault("tree_depth", np.zeros(shape, int))
    details.setdefault("log_density", np.full(shape, np.nan))
    details.setdefault("energy", np.full(shape, np.nan))
    by_chain = np.broadcast_to(np.asarray(acceptance, float), shape[0]).copy()
    draws = np.ascontiguousarray(draws.swapaxes(0, 1))
    if np.isfinite(step_size).all():  # not Gibbs, whose coordinates may be discrete
        _warn_of_standstill(draws)
        _warn_of_a_density(details["log_density"])
    return SamplerResult(
        draws=draws,
        acceptance=float(by_chain.mean()),
        chain_acceptance=by_chain,
        n_divergences=int(details["diverging"].sum()),
        step_size=step_size,
        n_evaluations=n_evaluations,
        **details,
    )


def warn_of_trouble(n_divergences, n_saturated, n_draws, target_accept):
    """Say what went wrong, and what helps."""
    if n_divergences:
        warnings.warn(
            f"{n_divergences} of {n_draws} draws diverged: the integrator lost the trajectory where the density "
            "bends sharply, and the draws leave that region out. Raise target_accept (now "
            f"{target_accept}), or reparameterize (a hierarchical scale wants the non-centered form).",
            UserWarning,
            stacklevel=4,
        )
    if n_saturated:
        warnings.warn(
            f"{n_saturated} of {n_draws} draws reached max_tree_depth before the trajectory turned: each took as many "
            "gradients as max_tree_depth allows, and moved less far than it should. Check the gradient and rhat, "
            "rescale or decorrelate the parameters, or raise max_tree_depth.",
            UserWarning,
            stacklevel=4,
        )


def _warn_of_standstill(draws):
    """A chain that refuses every proposal is not seen in means over chains, nor among divergences if it is none."""
    longest, first, frozen = standstill(draws)
    if frozen.any():
        chain = int(np.argmax(longest))
        warnings.warn(
            f"{count(int(frozen.sum()), 'chain')} of {len(draws)} stood still: chain {chain} for {longest[chain]:,} of its "
            f"{draws.shape[1]:,} draws, from draw {first[chain]}, as the step is too long where it is. Its draws are one "
            "draw, and more of them do not help; print summary() for what does.",
            UserWarning,
            stacklevel=5,
        )


def _warn_of_a_density(log_density):
    """Draws of p lie where log p is high. Values that are never negative and mostly next to 0 look like p itself."""
    most = log_density.max()
    if log_density.min() >= 0 and most > 0 and np.median(log_density) < 0.05 * most:
        warnings.warn(
            f"logpdf returned no negative value at any draw, and mostly less than a twentieth of its largest, {most:.3g}: "
            "is it the density instead of its logarithm? Return log p(x), up to a constant.",
            UserWarning,
            stacklevel=5,
        )


def proposal_step(step_size, dim: int) -> np.ndarray:
    """The step of a random walk, checked: a positive number, or one a coordinate."""
    try:
        step = np.asarray(step_size, float)
    except (TypeError, ValueError):
        raise TypeError(
            f"step_size must be a positive number or one a coordinate, got {step_size!r}."
        ) from None
    if step.shape not in ((), (dim,)) or not (np.isfinite(step).all() and (step > 0).all()):
        raise ValueError(f"step_size must be positive: a number or {dim} of them, got {step_size}.")
    return step
