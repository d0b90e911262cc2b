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
# # Two posteriors on real data
#
# What the samplers are tried on: a Bayesian linear regression, whose posterior is also known in closed
# form, and the eight schools, the smallest hierarchical model that is hard for a sampler. Each gives a log
# density and its gradient over **unconstrained** parameters (a scale enters as its logarithm, with the
# Jacobian of that change), for one point of shape (dim,) or for many of shape (..., dim).

# %%
from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from itertools import count
from typing import no_type_check

import numpy as np

from shared import linalg
from shared.arrays import check_same_length, validate_matrix, validate_number, validate_vector

__all__ = [
    "EIGHT_SCHOOLS",
    "EightSchools",
    "RegressionPosterior",
    "pymc_draws",
    "pymc_model",
    "quiet",
    "standardized_diabetes",
]


# %% [markdown]
# ## Regression with a conjugate prior
#
# $y \mid \beta, \sigma^2 \sim N(X\beta, \sigma^2 I)$,
# $\beta \mid \sigma^2 \sim N(0, \sigma^2\lambda^{-1} I)$, $\sigma^2 \sim \text{Inverse-Gamma}(a, b)$. With
# $A = X^\top X + \lambda I$, $\mu = A^{-1}X^\top y$ and
# $Q(\beta) = y^\top y - 2\beta^\top X^\top y + \beta^\top A\beta$, and in $s = \log\sigma^2$, whose
# Jacobian is $\sigma^2$,
#
# $$\log p(\beta, s \mid y) =
# -\Big(\frac{n + d}2 + a\Big)s - \Big(b + \tfrac12 Q(\beta)\Big)e^{-s} + \text{const}.$$
#
# The data enter through $A$, $X^\top y$ and $y^\top y$ only, so a gradient costs $O(d^2)$, however many
# rows there are. The posterior is known: $\sigma^2 \sim \text{Inverse-Gamma}(a_n, b_n)$ with
# $a_n = a + n/2$, $b_n = b + \frac12 Q(\mu)$, and $\beta$ is multivariate Student $t$ with $2a_n$ degrees
# of freedom, location $\mu$ and covariance $\frac{b_n}{a_n - 1}A^{-1}$ (Gelman et al., *Bayesian Data
# Analysis*, chapter 14).


# %%
@no_type_check  # called at every step: the test run's shape checks would cost more than the step
class RegressionPosterior:
    """Posterior of (β, log σ²) for a linear regression without intercept (center X and y first).

    Args:
        X: (n, d). y: (n,). precision: λ > 0. shape: a > 0. rate: b > 0.
    """

    def __init__(self, X, y, *, precision: float = 1.0, shape: float = 2.0, rate: float = 1.0):
        X = validate_matrix(X, "X", dtype=np.float64)
        y = validate_vector(y, "y", dtype=np.float64)
        check_same_length(len(X), len(y), "X", "y")
        for name, value in (("precision", precision), ("shape", shape), ("rate", rate)):
            validate_number(value, name, minimum=0, exclusive=True)
        self.n, self.d = X.shape
        self.dim = self.d + 1
        self.X, self.y, self.precision = X, y, precision
        self.A = X.T @ X + precision * np.eye(self.d)
        self.Xy, self.yy = X.T @ y, y @ y
        self.shape, self.rate = shape, rate

    def logpdf(self, theta: np.ndarray) -> np.ndarray:
        """Log density up to a constant at (..., d + 1) → (...)."""
        beta, s = theta[..., :-1], theta[..., -1]
        slope = self.Xy - beta @ self.A
        quadratic = self.yy - np.vecdot(beta, slope + self.Xy)
        return -((self.n + self.d) / 2 + self.shape) * s - (self.rate + quadratic / 2) * np.exp(-s)

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Gradient of `logpdf`, (..., d + 1)."""
        beta, s = theta[..., :-1], theta[..., -1]
        slope = self.Xy - beta @ self.A
        quadratic = self.yy - np.vecdot(beta, slope + self.Xy)
        precision = np.exp(-s)
        result = np.empty_like(theta)
        result[..., :-1] = precision[..., None] * slope
        result[..., -1] = (self.rate + quadratic / 2) * precision - ((self.n + self.d) / 2 + self.shape)
        return result

    def parameters(self, draws: np.ndarray) -> np.ndarray:
        """(β, σ²) from unconstrained draws, (..., d + 1)."""
        return np.concatenate([draws[..., :-1], np.exp(draws[..., -1:])], axis=-1)

    def conditionals(self) -> tuple[list, list]:
        """For Gibbs: β given σ² is N(μ, σ²A⁻¹), σ² given β is inverse gamma; and the two blocks."""
        root = linalg.inv(linalg.cholesky(self.A)).T  # A = L Lᵀ, and L⁻ᵀξ has covariance A⁻¹
        mean = linalg.solve(self.A, self.Xy)
        shape = self.shape + (self.n + self.d) / 2

        def draw_beta(x, rng):
            return mean + np.sqrt(x[-1]) * (root @ rng.standard_normal(self.d))

        def draw_variance(x, rng):
            quadratic = self.yy + x[:-1] @ (self.A @ x[:-1] - 2 * self.Xy)
            return (self.rate + quadratic / 2) / rng.standard_gamma(shape)

        return [draw_beta, draw_variance], [np.arange(self.d), self.d]

    def exact(self) -> tuple[np.ndarray, np.ndarray]:
        """Posterior means and standard deviations of (β, σ²), in closed form."""
        mean = linalg.solve(self.A, self.Xy)
        shape = self.shape + self.n / 2
        rate = self.rate + (self.yy - mean @ self.Xy) / 2
        variance = rate / (shape - 1)
        deviations = np.sqrt(variance * np.diag(linalg.inv(self.A)))
        return np.append(mean, variance), np.append(deviations, variance / np.sqrt(shape - 2))


def standardized_diabetes(n_rows: int = 442) -> RegressionPosterior:
    """Disease progression on ten variables, all standardized (Efron et al. 2004)."""
    from shared.datasets import load_diabetes

    data = load_diabetes()
    X, y = data.X[:n_rows], data.y[:n_rows]
    return RegressionPosterior((X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std())


# %% [markdown]
# ## Eight schools
#
# Eight schools tried a coaching program for the SAT; each reports its estimated effect $y_j$ and standard
# error $\sigma_j$ (Rubin 1981). The effects are related but not equal: $y_j \sim N(\theta_j, \sigma_j^2)$,
# $\theta_j \sim N(\mu, \tau^2)$, $\mu \sim N(0, 5^2)$, $\tau \sim \text{half-Cauchy}(5)$. In the
# *non-centered* form $\theta_j = \mu + \tau z_j$ with $z_j \sim N(0, 1)$ the parameters are
# $(\mu, \log\tau, z_1, \dots, z_8)$:
#
# $$\log p = -\frac{\mu^2}{50} - \log\Big(1 + \frac{\tau^2}{25}\Big) + \log\tau -
# \frac12\sum_j z_j^2 - \frac12\sum_j \frac{(y_j - \mu - \tau z_j)^2}{\sigma_j^2} + \text{const}.$$

# %%
EIGHT_SCHOOLS = {
    "effect": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
    "standard_error": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
}
"""Estimated coaching effects in points of the SAT, and their standard errors; Rubin (1981), table 1."""


@no_type_check
class EightSchools:
    """Posterior of (μ, log τ, z₁ … z₈) in the non-centered form."""

    dim = 10
    names = ("mu", "tau", *(f"theta_{school}" for school in "ABCDEFGH"))

    def __init__(self):
        self.y = EIGHT_SCHOOLS["effect"]
        self.precision = EIGHT_SCHOOLS["standard_error"] ** -2.0

    def logpdf(self, theta: np.ndarray) -> np.ndarray:
        """Log density up to a constant at (..., 10) → (...)."""
        mu, log_tau, z = theta[..., 0], theta[..., 1], theta[..., 2:]
        tau = np.exp(log_tau)
        residual = self.y - mu[..., None] - tau[..., None] * z
        prior = log_tau - mu * mu / 50 - np.logaddexp(0, 2 * log_tau - np.log(25)) - np.vecdot(z, z) / 2
        return prior - np.vecdot(residual, residual * self.precision) / 2

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Gradient of `logpdf`, (..., 10)."""
        mu, log_tau, z = theta[..., 0], theta[..., 1], theta[..., 2:]
        tau = np.exp(log_tau)
        score = (self.y - mu[..., None] - tau[..., None] * z) * self.precision
        result = np.empty_like(theta)
        result[..., 0] = score.sum(axis=-1) - mu / 25
        result[..., 1] = 1 + tau * np.vecdot(score, z) - 2 / (1 + 25 / (tau * tau))
        result[..., 2:] = tau[..., None] * score - z
        return result

    def parameters(self, draws: np.ndarray) -> np.ndarray:
        """(μ, τ, θ₁ … θ₈) from unconstrained draws, (..., 10)."""
        mu, tau = draws[..., :1], np.exp(draws[..., 1:2])
        return np.concatenate([mu, tau, mu + tau * draws[..., 2:]], axis=-1)


# %% [markdown]
# ## The same two in PyMC
#
# PyMC is imported inside these functions, as only `validate()` and `benchmarks()` need it.


# %%
def pymc_model(posterior):
    """The same posterior written in PyMC, and the names of its parameters in our order."""
    import pymc as pm

    with pm.Model() as model:
        if isinstance(posterior, EightSchools):
            mu, tau = pm.Normal("mu", 0, 5), pm.HalfCauchy("tau", 5)
            theta = pm.Deterministic("theta", mu + tau * pm.Normal("z", 0, 1, shape=8))
            pm.Normal("y", theta, EIGHT_SCHOOLS["standard_error"], observed=EIGHT_SCHOOLS["effect"])
            return model, ("mu", "tau", "theta")
        variance = pm.InverseGamma("variance", posterior.shape, posterior.rate)
        scale = pm.math.sqrt(variance)
        beta = pm.Normal("beta", 0, scale / np.sqrt(posterior.precision), shape=posterior.d)
        pm.Normal("y", pm.math.dot(posterior.X, beta), scale, observed=posterior.y)
        return model, ("beta", "variance")


@contextmanager
def quiet():
    """No log lines and no warnings about the installation from PyMC while it compiles and samples."""
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def pymc_draws(model, names, n_draws, n_tune, chains, seed, step=None):
    """Draws of PyMC's NUTS, (chains, draws, parameters), one chain after the other on one core."""
    import pymc as pm
    import pytensor

    # Without a C compiler PyTensor would fall back to plain Python, ten times slower than Numba.
    options = {} if pytensor.config.cxx else {"compile_kwargs": {"mode": "NUMBA"}}
    if step is not None:
        options = {"step": step}
    with quiet(), model:
        trace = pm.sample(
            n_draws,
            tune=n_tune,
            chains=chains,
            cores=1,
            random_seed=seed,
            progressbar=False,
            compute_convergence_checks=False,
            return_inferencedata=False,
            **options,
        )
    parts = [np.stack(trace.get_values(name, combine=False, squeeze=False)) for name in names]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)


def race_nuts(nuts, breath, n_rows: int):
    """Ours, PyMC's NUTS and the breath on the regression with `n_rows` rows, each a function that returns parameters."""
    import pymc as pm

    posterior = standardized_diabetes(n_rows)
    with quiet():
        model, names = pymc_model(posterior)
        with model:
            _, step = pm.init_nuts(chains=4, progressbar=False, random_seed=0)
    seeds = count()

    def starts():
        rng = np.random.default_rng(next(seeds))
        return rng, rng.uniform(-1, 1, size=(4, posterior.dim))

    def ours():
        rng, start = starts()
        result = nuts(
            posterior.logpdf, posterior.gradient, start, 400, n_warmup=400, rng=rng, vectorized=True
        )
        return posterior.parameters(result.draws)

    def plain():
        rng, start = starts()
        logp, grad = (lambda x, f=f: f(x[None])[0] for f in (posterior.logpdf, posterior.gradient))
        draws = np.stack([breath(logp, grad, x, 800, 0.06, rng)[400:] for x in start])
        return posterior.parameters(draws)

    return ours, lambda: pymc_draws(model, names, 400, 400, 4, next(seeds), step), plain
