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
# # From estimates and errors to tests
#
# Part of the topic [linear regression](../../linear_regression.py): p-values and intervals, residuals without their own
# pull, tests of several coefficients at once, and the likelihood.

# %%
from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from shared import linalg
from shared.special import fdtrc, gammaln, ndtr, ndtri, stdtr, stdtrit

__all__ = [
    "FTest", "gaussian_log_likelihood", "inside_noncentral_t", "orthonormal_restrictions", "studentized_deleted_residuals", "two_sided_p_value",
    "two_sided_quantile", "wald_f",
]  # fmt: skip

# %% [markdown]
# ### Student's t, or the normal distribution for `df=None`
# $p=2\,P(T\le-|t|)$ from the lower tail, where small probabilities keep their digits, and $q$ with $P(|T|\le q)=$ `level`.


# %%
def two_sided_p_value(t: Float[np.ndarray, "*shape"], df: float | None) -> Float[np.ndarray, "*shape"]:
    """Probability of a statistic at least as far from zero, were the coefficient zero."""
    return 2 * (ndtr(-np.abs(t)) if df is None else stdtr(df, -np.abs(t)))


@lru_cache(maxsize=256)  # an inversion takes milliseconds, and the same one is asked for again and again
def two_sided_quantile(level: float, df: float | None) -> float:
    """The half-width, in standard errors, of an interval with this confidence level."""
    tail = (1 - level) / 2
    return -float(ndtri(tail) if df is None else stdtrit(df, tail))


# %% [markdown]
# ### The same statistic where the coefficient is not zero
# Then $T=(Z+b)/S$, with $Z$ standard normal, $b$ the coefficient in standard errors, and $S=s/\sigma$ independent of $Z$: the noncentral t.
# Given $S=s$ the probability of $|T|\le q$ is $\Phi(qs-b)-\Phi(-qs-b)$, and $S$ has the density
# $2\,(\nu/2)^{\nu/2}\,s^{\nu-1}e^{-\nu s^2/2}/\Gamma(\nu/2)$ with $\nu$ degrees of freedom.


# %%
def inside_noncentral_t(q: float, df: float, shift: float) -> float:
    """P(|T| ≤ q) for Student's T with `df` degrees whose numerator is shifted: one minus the power of a test. 200 points of Gauss."""
    node, weight = np.polynomial.legendre.leggauss(200)
    low, high = (
        max(0.0, 1 - 9 / np.sqrt(2 * df)),
        1 + 9 / np.sqrt(2 * df),
    )  # S lies outside with less than 1e-15
    s = low + (high - low) * (node + 1) / 2
    log_density = (
        np.log(2) + df / 2 * np.log(df / 2) - gammaln(df / 2) + (df - 1) * np.log(s) - df * s * s / 2
    )
    inside = ndtr(q * s - shift) - ndtr(-q * s - shift)
    return float((high - low) / 2 * np.sum(weight * np.exp(log_density) * inside))


# %% [markdown]
# ### A residual without its own pull
# A row drags the plane toward itself. Without it, its residual would be $e_i/(1-h_i)$ and the residual sum of squares
# $\sum_je_j^2-e_i^2/(1-h_i)$, so that the studentized residual needs no refit.


# %%
def studentized_deleted_residuals(
    residuals: Float[np.ndarray, "n k"], leverage: Float[np.ndarray, " n"], df: float
) -> Float[np.ndarray, "n k"]:
    """$e_i/(s_{(i)}\\sqrt{1-h_i})$ for each target: Student's t with df − 1 degrees under normal errors. O(nk)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        standardized = residuals / np.sqrt(1 - leverage)[:, None]
        variance = (np.sum(residuals**2, axis=0) - standardized**2) / (df - 1)
        return standardized / np.sqrt(variance)


# %% [markdown]
# ### A test of several coefficients at once
# With nearly dependent columns the matrix in the middle has the condition $\kappa^2$. But $F$ is the same in any coordinates
# of the restrictions. In orthonormal ones, $(CB)^\top=PT$ by QR, $g=Q^\top\sqrt w\,y$ and $M$ the sandwich's middle,
# $F=(P^\top g)^\top(P^\top MP)^{-1}P^\top g/q$, whose matrix knows nothing of $\kappa$. For all slopes, $P^\top g$ is $g$
# without its first entry.
#
# $F=\theta^\top(C\operatorname{Cov}C^\top)^{-1}\theta/q$ with $\theta=C\hat\beta$, by solving and not by inverting. Where
# columns nearly depend on each other, it wants its arguments in orthonormal coordinates: $P^\top g$ and $P^\top MP$, found
# from $(CB)^\top=PT$ and $T^\top P^\top g=C\hat\beta$.


# %%
class FTest(NamedTuple):
    """Statistic and p-value (a float, or one for each target), and both degrees of freedom."""

    statistic: Any
    p_value: Any
    df_num: int
    df_denom: float


def wald_f(
    estimate: Float[np.ndarray, "k p"],
    covariance: Float[np.ndarray, "k p p"],
    restrictions: Float[np.ndarray, "q p"],
    df: float,
) -> FTest:
    """Test that all `restrictions @ estimate` are zero, for each target. O(q³k)."""
    theta = estimate @ restrictions.T  # (k, q)
    spread = restrictions @ covariance @ restrictions.T  # (k, q, q)
    q = len(restrictions)
    statistic = np.array([t @ linalg.solve(V, t) for t, V in zip(theta, spread, strict=True)]) / q
    return FTest(statistic, fdtrc(q, df, statistic), q, df)


# %%
def orthonormal_restrictions(
    estimate: Float[np.ndarray, "k p"], B: Float[np.ndarray, "p m"], restrictions: Float[np.ndarray, "q p"]
) -> tuple[Float[np.ndarray, "k q"], Float[np.ndarray, "m q"]]:
    """$P^\\top g$ for each target, and P, whose columns span the same restrictions on g. O(q²m)."""
    P, T = linalg.qr((restrictions @ B).T)
    return linalg.solve_triangular(T, restrictions @ estimate.T, lower=False, trans=True).T, P


# %% [markdown]
# With $\operatorname{Var}\varepsilon_i=\sigma^2/w_i$ and $\hat\sigma^2=\mathrm{RSS}/n$ the largest log-likelihood is
# $-\tfrac n2\big(\log\tfrac{2\pi\,\mathrm{RSS}}n+1\big)+\tfrac12\sum_i\log w_i$.


# %%
def gaussian_log_likelihood(
    rss: Float[np.ndarray, " k"], weight: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " k"]:
    """The log-likelihood at its maximum, from the weighted residual sum of squares. O(n)."""
    n = len(weight)
    return -n / 2 * (np.log(2 * np.pi * rss / n) + 1) + np.log(weight).sum() / 2
