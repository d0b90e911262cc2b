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
# # Have the chains converged, and how much do they know?
#
# A Markov chain's draws are neither independent nor, at first, from the right distribution. Two numbers
# tell how bad it is: $\hat R$ compares chains with each other, the effective sample size counts how many
# independent draws would know as much. `markov_chain_monte_carlo` re-exports both.
#
# Mirrors ArviZ (`az.rhat`, `az.ess`, `az.mcse`). Sources: Gelman and Rubin (1992); Geyer (1992); Vehtari,
# Gelman, Simpson, Carpenter and Bürkner (2021), whose rank-normalized forms these are.
#
# ## The two tools that both numbers need
#
# **Split.** Each chain is cut into a first and a second half, so that a drifting chain disagrees with itself.
# With an odd number of draws the middle one is left out.
#
# **Rank-normalize.** Each draw is replaced by the normal quantile of its rank $r$ among all $S$ draws,
# with tied draws sharing their mean rank (Blom's offsets):
#
# $$z = \Phi^{-1}\!\left(\frac{r - 3/8}{S + 1/4}\right).$$
#
# Ranks exist also where moments do not, so the diagnostics work on a Cauchy posterior, too.

# %%
from __future__ import annotations

import math
import warnings

import numpy as np
from jaxtyping import Bool, Float

from shared.agreement import Comparison
from shared.arrays import validate_choice
from shared.special import ndtri

__all__ = [
    "agree_with_arviz", "e_bfmi", "effective_sample_size", "monte_carlo_standard_error", "rhat", "standstill",
]  # fmt: skip


# %%
def split_chains(draws: Float[np.ndarray, "chains n d"]) -> Float[np.ndarray, "twice_chains half d"]:
    """Halves of each chain as chains of their own; the middle of an odd number of draws is left out."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def rank_normalize(draws: Float[np.ndarray, "chains n d"]) -> Float[np.ndarray, "chains n d"]:
    """Normal scores of the ranks over all chains together, column by column. O(S log S)."""
    flat = draws.reshape(-1, draws.shape[2])  # (S, d)
    size = len(flat)
    order = np.argsort(flat, axis=0, kind="stable")
    ascending = np.take_along_axis(flat, order, axis=0)
    # A run of equal draws shares the mean of its first and last position.
    position = np.arange(size)[:, None]
    fresh = np.ones(flat.shape, bool)
    fresh[1:] = ascending[1:] != ascending[:-1]
    ends = np.ones(flat.shape, bool)
    ends[:-1] = fresh[1:]
    first = np.maximum.accumulate(np.where(fresh, position, 0), axis=0)
    last = np.minimum.accumulate(np.where(ends, position, size)[::-1], axis=0)[::-1]
    ranks = np.empty(flat.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=0)
    return ndtri((ranks - 3 / 8) / (size + 1 / 4)).reshape(draws.shape)


# %% [markdown]
# ## $\hat R$: the chains against each other
#
# With $M$ (split) chains of $N$ draws, let $W$ be the mean of the chains' variances and $B/N$ the variance
# of their means. Both estimate something about the posterior variance: $W$ too little, as long as no chain
# has seen all of it; $\hat V = \frac{N-1}{N} W + \frac{B}{N}$ too much, as long as the starts were
# dispersed. Their ratio
#
# $$\hat R = \sqrt{\hat V / W}$$
#
# falls to 1 when the chains have mixed. It is computed on the rank-normalized draws, which sees chains at
# different places, and on their rank-normalized distance from the median, which sees chains of different
# width; the larger counts. Above 1.01, do not use the draws.


# %%
def _rhat_of_chains(chains: Float[np.ndarray, "m n d"]) -> Float[np.ndarray, " d"]:
    n = chains.shape[1]
    within = chains.var(axis=1, ddof=1).mean(axis=0)  # W, (d,)
    within[np.all(chains == chains[:, :1], axis=(0, 1))] = 0.0  # chains that stand still: no rounding dust
    between = chains.mean(axis=1).var(axis=0, ddof=1)  # B/N, (d,)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(between / within + (n - 1) / n)


def rhat(draws) -> float | np.ndarray:
    r"""Rank-normalized split $\hat R$ (Vehtari et al. 2021), equal to `arviz.rhat`.

    Args:
        draws: (chains, draws) for one parameter, (chains, draws, ...) for several.

    Returns:
        A float, or an array of the shape of one draw. NaN, with a warning, for fewer than two chains
        or four draws, where a draw is NaN, or where all draws are equal; infinite where every chain
        stands still at a place of its own. More chains than draws are warned of: the array may be transposed.

    Raises:
        ValueError: no draws. TypeError: draws that are not numbers.

    O(S log S) for S draws in all.
    """
    draws, shape, usable = _prepare(draws, minimum_chains=2)
    if usable.any():
        _warn_of_equal_draws(draws[:, :, usable])
        chains = split_chains(draws[:, :, usable])
        location = _rhat_of_chains(rank_normalize(chains))
        folded = np.abs(chains - np.median(chains, axis=(0, 1)))
        spread = _rhat_of_chains(rank_normalize(folded))
        usable_values = np.where(spread > location, spread, location)
    return _restore(usable_values if usable.any() else np.empty(0), usable, shape)


# %% [markdown]
# ## Effective sample size: how many independent draws would know as much?
#
# The mean of $S = MN$ correlated draws has variance $\sigma^2 \tau / S$ with
# $\tau = 1 + 2\sum_{t\ge1}\rho_t$, so it knows as much as $S/\tau$ independent ones. The autocorrelations
# are estimated from all chains together,
#
# $$\hat\rho_t = 1 - \frac{W - \frac1M\sum_m \hat c_{m,t}}{\hat V},$$
#
# where $\hat c_{m,t}$ is chain $m$'s autocovariance at lag $t$, by FFT: chains that disagree have
# $\hat V > W$, hence a high $\hat\rho_t$, hence few effective draws. Far lags are noise, and summing noise
# diverges. For a reversible chain the sums of neighbors $P_k = \rho_{2k} + \rho_{2k+1}$ are positive and
# falling (Geyer 1992), so the sum stops at the first $P_K \le 0$, and each $P_k$ is replaced by the
# smallest so far:
#
# $$\hat\tau = -1 + 2 \sum_{k<K} \min_{j\le k} P_j + \hat\rho_{2K}^{+} ,$$
#
# where the last term, the first of the pair that was dropped, lowers the bias on chains that alternate.
# $\hat\tau$ is not allowed below $1/\log_{10} S$: luck alone can promise more draws than that. *Bulk* is
# this on the rank-normalized draws, *tail* the smaller of the indicators $x \le q_{5\,\%}$ and
# $x \le q_{95\,\%}$, *mean* on the draws themselves.


# %%
def autocovariance(chains: Float[np.ndarray, "m n d"]) -> Float[np.ndarray, "m n d"]:
    """Each chain's autocovariance at lags 0 … n−1, divided by n, by FFT padded to twice the length."""
    n = chains.shape[1]
    length = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(chains - chains.mean(axis=1, keepdims=True), n=length, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.fft.irfft(power, n=length, axis=1)[:, :n] / n


def _effective_size(chains: Float[np.ndarray, "m n d"]) -> Float[np.ndarray, " d"]:
    m, n, d = chains.shape
    covariance = autocovariance(chains).mean(axis=0)  # (n, d)
    within = covariance[0] * n / (n - 1)
    total = within * (n - 1) / n + (chains.mean(axis=1).var(axis=0, ddof=1) if m > 1 else 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = 1 - (within - covariance) / total
    correlation[0] = 1.0
    # The last lags rest on a handful of products each; pairs that reach them are not looked at.
    n_pairs = max(1, (n - 1) // 2)
    even = correlation[0 : 2 * n_pairs : 2]  # (pairs, d)
    pairs = even + correlation[1 : 2 * n_pairs : 2]
    dropped = pairs <= 0
    dropped[-1] = True
    stop = np.argmax(dropped, axis=0)  # K, (d,)
    kept = np.arange(n_pairs)[:, None] < stop
    columns = np.arange(d)
    last = even[stop, columns]
    last = np.where((last > 0) | (pairs[stop, columns] >= 0), last, 0.0)
    tau = -1 + 2 * np.sum(np.where(kept, np.minimum.accumulate(pairs, axis=0), 0.0), axis=0) + last
    size = m * n / np.maximum(tau, 1 / np.log10(m * n))
    constant = np.ptp(chains, axis=(0, 1)) < np.finfo(float).resolution
    return np.where(constant, float(m * n), np.where(np.isnan(total), np.nan, size))


def _tail_indicators(draws: Float[np.ndarray, "m n d"]) -> list[Float[np.ndarray, "m n d"]]:
    """Whether each draw lies at or below the 5 % and the 95 % quantile (linear interpolation)."""
    ascending = np.sort(draws.reshape(-1, draws.shape[2]), axis=0)
    size = len(ascending)
    indicators = []
    for probability in (0.05, 0.95):
        place = size * probability + (1 - probability)
        k = int(np.clip(np.floor(place), 1, size - 1))
        weight = place - k
        quantile = (1 - weight) * ascending[k - 1] + weight * ascending[k]
        indicators.append((draws <= quantile).astype(float))
    return indicators


def effective_sample_size(draws, kind: str = "bulk") -> float | np.ndarray:
    """Effective sample size, equal to `arviz.ess`.

    Args:
        draws: (chains, draws) for one parameter, (chains, draws, ...) for several.
        kind: "bulk" for location, "tail" for the 5 % and 95 % quantiles, "mean" for the plain mean, as
            its standard error needs it.

    Returns:
        A float, or an array of the shape of one draw. NaN, with a warning, for fewer than four draws or
        where a draw is NaN. Draws that are all equal count each (as in ArviZ): inspect them. More chains than
        draws are warned of: the array may be transposed.

    Raises:
        ValueError: no draws, an unknown kind. TypeError: draws that are not numbers.

    O(S log S) for S draws in all (sorting and FFT).
    """
    validate_choice(kind, "kind", ("bulk", "tail", "mean"))
    draws, shape, usable = _prepare(draws, minimum_chains=1)
    sizes = np.empty(0)
    if usable.any():
        draws = draws[:, :, usable]
        if kind == "bulk":
            sizes = _effective_size(rank_normalize(split_chains(draws)))
        elif kind == "mean":
            sizes = _effective_size(split_chains(draws))
        else:
            sizes = np.min([_effective_size(split_chains(x)) for x in _tail_indicators(draws)], axis=0)
    return _restore(sizes, usable, shape)


# %% [markdown]
# ## Monte Carlo standard error: how far off may the estimate be?
#
# The mean of the draws misses the posterior mean by about $\mathrm{sd}/\sqrt{\mathrm{ESS}}$. The standard
# deviation is the root of a mean, that of $(x-\bar x)^2$; its error follows by the delta method,
# $\mathrm{Var}(\sqrt u) \approx \mathrm{Var}(u)/4u$.


# %%
def monte_carlo_standard_error(draws, kind: str = "mean") -> float | np.ndarray:
    """Standard error of the estimated posterior mean or standard deviation, equal to `arviz.mcse`.

    Args:
        draws: (chains, draws) for one parameter, (chains, draws, ...) for several.
        kind: "mean" or "sd".

    Returns:
        A float, or an array of the shape of one draw; NaN as for `effective_sample_size`.

    Raises:
        ValueError: no draws, an unknown kind. TypeError: draws that are not numbers.
    """
    validate_choice(kind, "kind", ("mean", "sd"))
    draws, shape, usable = _prepare(draws, minimum_chains=1)
    draws = draws[:, :, usable]
    squares = (draws - draws.mean(axis=(0, 1))) ** 2
    if not usable.any():
        return _restore(np.empty(0), usable, shape)
    if kind == "mean":
        variance = squares.sum(axis=(0, 1)) / (squares.shape[0] * squares.shape[1] - 1)
        return _restore(np.sqrt(variance / _effective_size(split_chains(draws))), usable, shape)
    _warn_of_equal_draws(draws)
    second = squares.mean(axis=(0, 1))
    spread = ((squares**2).mean(axis=(0, 1)) - second**2) / _effective_size(split_chains(squares))
    with np.errstate(invalid="ignore", divide="ignore"):
        return _restore(np.sqrt(spread / second / 4), usable, shape)


# %% [markdown]
# ## Did a chain stand still?
#
# A chain that refuses every proposal repeats one point. The acceptance, averaged over chains, hardly shows it, and its
# refusals need not be divergences. So the longest stretch of equal draws is counted chain by chain. It is more than chance if
# $S(1-a)^k$, about how many stretches of $k$ refusals one expects in $S$ draws that move with probability $a$, is below
# $10^{-3}$; for $a$ we take the middle one of the chains, but at least 5 %. Half of a chain at one point is too much in any case.


# %%
def standstill(draws: Float[np.ndarray, "chains n d"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Longest stretch of equal draws of each chain, its first draw, and whether it is a standstill; each (chains,).

    A standstill is a twentieth of the chain or more, at least 20 draws, and more than chance. O(S d).
    """
    chains, n, _ = draws.shape
    moves = np.any(draws[:, 1:] != draws[:, :-1], axis=2)
    at = np.arange(n)
    since = np.zeros((chains, n), int)  # first draw of the stretch that each draw belongs to
    since[:, 1:] = np.maximum.accumulate(np.where(moves, at[1:], 0), axis=1)
    end = np.argmax(at - since, axis=1)
    first = since[np.arange(chains), end]
    longest = end - first + 1
    if n < 20:
        return longest, first, np.zeros(chains, bool)
    stays = min(1 - np.median(moves.mean(axis=1)), 0.95)
    chance = math.log(1e-3 / (chains * n)) / math.log(stays) if stays > 0 else 0.0
    return longest, first, longest >= max(20, n / 20, min(chance, n / 2))


# %% [markdown]
# ## E-BFMI: can the momenta change the energy fast enough?
#
# A trajectory keeps its energy $E$; only fresh momenta change it, by as much as kinetic energies differ. If the energies of
# the target spread far wider than that, the chain wanders from energy to energy as a random walk, and what lies at rare energies
# (tails, the neck and mouth of a funnel) is seen late. The energy's Bayesian fraction of missing information (Betancourt 2016)
#
# $$\text{E-BFMI} = \frac{\sum_n (E_n - E_{n-1})^2}{\sum_n (E_n - \bar E)^2}$$
#
# compares the two. In equilibrium, and as far as the integrator keeps the energy, $E_n-E_{n-1}$ is the fresh kinetic energy less the
# one at the end of the last trajectory: two independent $\frac12\chi^2_d$ of variance $d/2$. So its value is
# $d\,/\,(\frac d2 + \operatorname{Var}\ell)$: 1 for a normal, where $\operatorname{Var}\ell=\frac d2$, and small where the log density
# of the draws spreads much more. Coarse steps add their own error to the numerator. Stan warns below 0.3. The least over the
# chains counts.


# %%
def e_bfmi(energy) -> np.ndarray:
    """Energy Bayesian fraction of missing information of each chain, (chains,), equal to `arviz.bfmi`.

    Args:
        energy: (chains, draws), as in `SamplerResult.energy`.

    Returns:
        NaN for chains of fewer than two draws, or whose energy does not change or is not finite.
    """
    energy = np.atleast_2d(np.asarray(energy, float))
    if energy.shape[1] < 2:
        return np.full(len(energy), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.mean(np.diff(energy, axis=1) ** 2, axis=1) / energy.var(axis=1, ddof=1)


# %%
def _warn_of_equal_draws(draws: Float[np.ndarray, "m n d"]) -> None:
    equal = np.flatnonzero(np.ptp(draws, axis=(0, 1)) == 0)
    if len(equal):
        which = "the draws are" if draws.shape[2] == 1 else f"the draws of parameter {equal[0]} are"
        warnings.warn(
            f"{which} all equal to {draws[0, 0, equal[0]]:g}: the chains never moved, or it is a constant. The result "
            "is NaN.",
            RuntimeWarning,
            stacklevel=3,
        )


def _prepare(
    draws, minimum_chains: int
) -> tuple[Float[np.ndarray, "m n d"], tuple[int, ...], Bool[np.ndarray, " d"]]:
    """Draws as (chains, draws, parameters), the shape of one draw, and which parameters can be judged."""
    draws = np.asarray(draws)
    if draws.dtype.kind not in "biuf":
        raise TypeError(f"draws must be an array of real numbers, got dtype {draws.dtype}.")
    draws = np.atleast_2d(draws).astype(float)
    if draws.size == 0:
        raise ValueError(f"draws must hold at least one draw, got shape {draws.shape}.")
    shape = draws.shape[2:]
    draws = draws.reshape(*draws.shape[:2], -1)
    usable = ~np.isnan(draws).any(axis=(0, 1))
    if not usable.all():
        warnings.warn("draws contain NaN; their diagnostics are NaN.", RuntimeWarning, stacklevel=3)
    if draws.shape[0] < minimum_chains or draws.shape[1] < 4:
        warnings.warn(
            f"draws of shape (chains, draws) = {draws.shape[:2]} are too few to be judged: at least "
            f"{minimum_chains} chain(s) of 4 draws are needed. The result is NaN.",
            RuntimeWarning,
            stacklevel=3,
        )
        usable[:] = False
    elif draws.shape[0] > draws.shape[1]:
        warnings.warn(
            f"draws of shape (chains, draws) = {draws.shape[:2]} are {draws.shape[0]:,} chains of {draws.shape[1]:,} draws: "
            "is the array transposed? Chains come first, draws second.",
            RuntimeWarning,
            stacklevel=3,
        )
    return draws, shape, usable


def _restore(values: np.ndarray, usable: np.ndarray, shape: tuple[int, ...]) -> float | np.ndarray:
    """Values of the usable parameters, NaN for the others, in the shape of one draw."""
    result = np.full(usable.shape, np.nan)
    result[usable] = values
    return result.reshape(shape) if shape else float(result[0])


# %% [markdown]
# ## Against ArviZ


# %%
def agree_with_arviz(comparison: Comparison, draws: np.ndarray) -> None:
    """Compare R̂ and effective sample sizes on draws that are odd in number, tied, and not converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of its coming major version
        import arviz
    energy = (
        np.cumsum(draws[:, :201, 0], axis=1) + draws[:, :201, 1]
    )  # energies that wander, any numbers will do
    a, b = comparison.run(lambda: e_bfmi(energy), lambda: np.asarray(arviz.bfmi(energy)))
    comparison.compare(
        "E-BFMI",
        a,
        b,
        tolerance=1e-9,
        measure="elementwise",
        reason="the same formula in another order of summation: rounding only",
    )
    rough = draws[:, :201, :4].copy()
    rough[..., 1] = np.round(rough[..., 1])  # ties
    rough[::2, :, 2] += 10  # chains that disagree
    rough[..., 3] = np.cumsum(rough[..., 3], axis=1)  # chains that wander
    for label, part in (("", draws), (", odd length, ties, no convergence", rough)):
        columns = range(part.shape[2])
        for name, ours, theirs in (
            ("R-hat", rhat, arviz.rhat),
            ("bulk ESS", effective_sample_size, arviz.ess),
            (
                "tail ESS",
                lambda x: effective_sample_size(x, kind="tail"),
                lambda x: arviz.ess(x, method="tail"),
            ),
        ):
            a, b = comparison.run(
                lambda: ours(part),  # noqa: B023
                lambda: np.array([float(theirs(part[..., j])) for j in columns]),  # noqa: B023
            )
            comparison.compare(
                name + label,
                a,
                b,
                tolerance=1e-9,
                measure="elementwise",
                reason="the same estimator in another order of summation: rounding only",
            )
