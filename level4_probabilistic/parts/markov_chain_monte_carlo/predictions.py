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
# # How Markov chain Monte Carlo breaks: the formulas
#
# What theory predicts for each failure mode of `markov_chain_monte_carlo`, from formulas and sums over a grid and never from a run, and
# what the nearest wrong theory would say. The derivations stand on the page of the failure modes, which imports these functions.

# %%
from __future__ import annotations

import numpy as np

from shared import linalg
from shared.datasets import load_diabetes
from shared.special import ndtr

__all__ = [
    "N_ARMS",
    "N_NAIVE",
    "autocorrelation_time",
    "coverage_by_all_draws",
    "energy_of_two_modes",
    "funnel_gradient",
    "funnel_log_density",
    "memoryless_error_of_the_mass",
    "one_sided_coverage",
    "one_sided_efficiency",
    "predicted_coverage",
    "predicted_crossing_probability",
    "predicted_error_of_the_mass",
    "predicted_hamiltonian_efficiency",
    "predicted_random_walk_efficiency",
    "predicted_rhat_of_two_modes",
    "predicted_share_in_the_neck",
    "right_half",
    "two_slopes",
    "unfolded_gradient",
    "unfolded_log_density",
]

# %% [markdown]
# ## The standard error that counts every draw

# %%
N_NAIVE = 1000
"""Draws of a chain."""


def two_slopes():
    """Mean (2,) and covariance (2, 2) of the slopes of progression on body mass and blood pressure, all standardized."""
    data = load_diabetes()
    columns = [list(data.feature_names).index(name) for name in ("bmi", "bp")]
    X, y = data.X[:, columns], data.y
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    mean = linalg.solve(X.T @ X, X.T @ y)
    residual = y - X @ mean
    return mean, residual @ residual / (len(y) - 2) * linalg.inv(X.T @ X)


def autocorrelation_time(step_size: float) -> float:
    """τ of the first slope; only for steps in the formula's regime."""
    _, covariance = two_slopes()
    narrowest = linalg.eigvalsh(covariance)[0]
    if step_size**2 >= narrowest:
        raise ValueError(
            f"a step of {step_size:g} is refused too often for this formula; it is for less than {narrowest**0.5:.3g}."
        )
    tau = 4 / step_size**2 * (covariance @ covariance)[0, 0] / covariance[0, 0] - 1
    if 20 * tau > N_NAIVE:
        raise ValueError(
            f"at a step of {step_size:g} the autocorrelation time is {tau:.0f}, too long for {N_NAIVE} draws; the formula "
            "needs twenty times as many draws."
        )
    return float(tau)


def predicted_coverage(step_size: float, effective: bool) -> float:
    """2Φ(1.96/√τ) − 1 if every draw counts, 0.95 if effective draws count."""
    tau = autocorrelation_time(step_size)
    return 0.95 if effective else float(2 * ndtr(1.96 / np.sqrt(tau)) - 1)


def coverage_by_all_draws(step_size: float, effective: bool) -> float:
    """What the broken interval covers, whichever is asked for: the rival of the remedy."""
    return predicted_coverage(step_size, effective=False)


def one_sided_coverage(step_size: float, effective: bool) -> float:
    """The nearest wrong theory: the autocorrelations are summed on one side only, 1 + Σρ."""
    tau = (1 + autocorrelation_time(step_size)) / 2
    return float(2 * ndtr(1.96 / np.sqrt(tau)) - 1)


# %% [markdown]
# ## A random walk, and rolling


# %%
def predicted_random_walk_efficiency(dimension: int, scale: float, n_steps: int) -> float:
    """h(ℓ)/4 for long runs, with the correction for a finite one."""
    speed = 2 * scale**2 * ndtr(-scale / 2)
    rho = np.exp(-speed / (2 * dimension))
    tau = (1 + rho) / (1 - rho) - 2 * rho * (1 - rho**n_steps) / (n_steps * (1 - rho) ** 2)
    return float(dimension / tau)


def one_sided_efficiency(dimension: int, scale: float, n_steps: int) -> float:
    """The nearest wrong theory: the autocorrelations are summed on one side only, which doubles the effective draws."""
    return 2 * predicted_random_walk_efficiency(dimension, scale, n_steps)


def predicted_hamiltonian_efficiency(dimension: int, step_size: float, n_draws: int) -> float:
    """d · (1−ρ)/(1+ρ) / (mean L + 1)."""
    n_steps = np.arange(1, np.ceil(np.pi / step_size) + 1)
    angle = n_steps * np.arccos(1 - step_size**2 / 2)
    acceptance = 2 * ndtr(-np.sqrt(dimension) * step_size**2 * np.abs(np.sin(angle)) / 8)
    rho = np.mean(1 - acceptance + acceptance * np.cos(angle))
    return float(dimension * (1 - rho) / (1 + rho) / (n_steps.mean() + 1))


# %% [markdown]
# ## Two modes


# %%
def energy_of_two_modes(x, half_distance: float):
    """U(x) for two unit normals at ± half_distance, up to a constant."""
    return (x * x + half_distance**2) / 2 - np.logaddexp(half_distance * x, -half_distance * x)


def right_half(half_distance: float, inverse_temperature: float, cells: int = 400):
    """Grid x > 0, probabilities of p^β on it, and the weights p^(1−β), scaled to a mean of 1; each (cells,)."""
    edge = half_distance + 9 / np.sqrt(inverse_temperature)
    x = (np.arange(cells) + 0.5) / cells * edge
    energy = energy_of_two_modes(x, half_distance)
    energy = energy - energy.min()
    probability = np.exp(-inverse_temperature * energy)
    probability /= probability.sum()
    weight = np.exp(-(1 - inverse_temperature) * energy)
    return x, probability, weight / (probability @ weight)


def predicted_error_of_the_mass(half_distance: float, inverse_temperature: float, n_draws: int = 40) -> float:
    """√(c₀ + 2 Σ (1 − t/T) c_t): a side is kept until a trajectory has more energy than the barrier."""
    x, probability, weight = right_half(half_distance, inverse_temperature)
    potential = inverse_temperature * energy_of_two_modes(x, half_distance)
    barrier = inverse_temperature * float(energy_of_two_modes(np.zeros(1), half_distance)[0])
    edges = np.linspace(potential.min(), barrier, 201)
    kinetic = np.maximum(edges - potential[:, None], 0)
    energy_given_x = np.diff(
        2 * ndtr(np.sqrt(2 * kinetic)) - 1, axis=1
    )  # (cells, energies), r standard normal
    together = probability[:, None] * energy_given_x
    x_given_energy = together / np.maximum(together.sum(axis=0), 1e-300)
    kept, correlations = weight, []
    for _ in range(n_draws):
        correlations.append(probability @ (weight * kept))  # c_t
        kept = energy_given_x @ (x_given_energy.T @ kept)
    correlations = np.array(correlations)
    taper = 1 - np.arange(n_draws) / n_draws
    return float(np.sqrt(2 * taper @ correlations - correlations[0]))


def predicted_crossing_probability(half_distance: float, inverse_temperature: float) -> float:
    """½ P(energy > barrier), by summing over a grid."""
    x, probability, _ = right_half(half_distance, inverse_temperature, cells=4000)
    height = energy_of_two_modes(np.zeros(1), half_distance) - energy_of_two_modes(x, half_distance)
    return float(probability @ ndtr(-np.sqrt(2 * inverse_temperature * np.maximum(height, 0))))


def memoryless_error_of_the_mass(
    half_distance: float, inverse_temperature: float, n_draws: int = 40
) -> float:
    """The nearest wrong theory: every draw crosses with the same probability κ, c_t = (1 − 2κ)ᵗ."""
    keep = 1 - 2 * predicted_crossing_probability(half_distance, inverse_temperature)
    t = np.arange(n_draws)
    return float(np.sqrt(2 * (1 - t / n_draws) @ keep**t - 1))


def predicted_rhat_of_two_modes(half_distance: float, n_chains_right: int) -> float:
    """1 for chains in one mode; √(1 + M/(M−1) · s/(1−s)) for halves, with s = 2/π and M = 8 half-chains."""
    if n_chains_right == 0:
        return 1.0
    between = 2 / np.pi
    return float(np.sqrt(1 + 8 / 7 * between / (1 - between)))


# %% [markdown]
# ## The funnel

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


def predicted_share_in_the_neck(step_size: float, centered: bool) -> float:
    """Φ(v*/3) where the sampler is stable; a tenth of it, as a bound, where it is not."""
    if step_size >= 2:
        raise ValueError(
            f"a step of {step_size:g} is unstable in the non-centered form, too; the formula is for less than 2."
        )
    mass = float(ndtr(2 * np.log(step_size / 2) / 3))
    return mass / 10 if centered else mass
