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
# # How linear regression breaks
#
# Least squares by QR can be trusted as far as the condition of the data allows, and the normal equations half as far, in digits: the
# topic derives it, and its tests measure it. What fails on this page is the reading of the answers: rows that were counted several
# times, the best of many tries reported as if it were the only one, a feature dropped because its twin seemed to say the same, an
# interval for new cases that assumes one spread, and a point so far out that it hides its own error.

# %%
from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from level2_classical.linear_regression import LinearRegression
from level2_classical.parts.linear_regression.inference import (
    inside_noncentral_t,
    two_sided_quantile,
)
from shared import linalg
from shared.failure_mode import Claim, FailureMode, Share, Sweep
from shared.special import ndtr, stdtr, stdtrit


# %%
def as_broken(formula: Callable[..., float], broken: dict[str, Any], /, **parameters: Any) -> float:
    """The rival of a remedy: the same formula for what is broken."""
    return formula(**{**parameters, **broken})


# %% [markdown]
# ## The same rows again
#
# A join went wrong, or each customer was exported once a month: every row stands in the table $m$ times. The coefficients do
# not change. But the program counts $mn$ rows, and believes them independent. The residual sum of squares becomes $m$ times
# itself, and so does $\sum_i(x_i-\bar x)^2$, so that
#
# $$\mathrm{se}^2=\frac{m\,\mathrm{RSS}/(mn-2)}{m\sum_i(x_i-\bar x)^2},\qquad t_m=t\,\sqrt{\frac{mn-2}{n-2}},$$
#
# where $t$, the statistic of the $n$ rows, has Student's distribution with $n-2$ degrees of freedom if the errors are normal
# and the slope is 0. With $q$ the 97.5 % point for the $mn-2$ degrees that the program believes in, a 5 % test rejects with
# probability
#
# $$P\big(|t_{n-2}|>q\,\sqrt{(n-2)/(mn-2)}\big),$$
#
# exactly, for any design. No covariance for unequal spread helps, since the errors are not independent.
#
# **Remedy.** Find the repeated rows and drop them; where they are measurements of one subject and not copies, use an error
# that knows the groups.

# %%
COPIES: dict[str, Any] = {"n": 40, "m": 4}


def rejections(rng: np.random.Generator, *, n: int, m: int, dropped: bool, samples: int = 5000) -> Share:
    """In how many samples with a slope of 0 the 5 % test rejects it, each of n rows standing m times in the table."""
    x, Y = rng.standard_normal(n), rng.standard_normal((n, samples))
    x, Y = np.tile(x, m), np.tile(Y, (m, 1))
    if dropped:
        _, first = np.unique(np.column_stack([x, Y[:, 0]]), axis=0, return_index=True)
        x, Y = x[first], Y[first]
    model = LinearRegression().fit(x[:, None], Y)
    q = two_sided_quantile(0.95, model.df_residual_)  # p < 0.05 says |t| > q
    return Share(int(np.sum(np.abs(model.t_values_[:, 1]) > q)), samples)


def rejections_by_formula(*, n: int, m: int, dropped: bool) -> float:
    """P(|t| > q √((n − 2)/(mn − 2))); 0.05 once the copies are gone."""
    if n < 3 or m < 1:
        raise ValueError(f"n must be at least 3 and m at least 1, got {n} and {m}.")
    rows = n if dropped else m * n
    q = -stdtrit(rows - 2, 0.025)
    return float(2 * stdtr(n - 2, -q * np.sqrt((n - 2) / (rows - 2))))


def rejections_of_the_normal_rule(*, n: int, m: int, dropped: bool) -> float:
    """The nearest wrong theory: 2Φ(−1.96/√m), which takes n for infinite."""
    return float(2 * ndtr(-1.959964 / np.sqrt(m)))


def draw_same_rows() -> Any:
    """Share of true null hypotheses that a 5 % test rejects, over the number of times that each row stands in the table."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, axes = subplots(width=7.0, height=3.6)
    plot_sweep(axes, SAME_ROWS_AGAIN.breaks)
    axes.axhline(0.05, color=COLORS["mended"], label="copies dropped: 5 %")
    axes.set(title="p-values that are too good", ylabel="share of true nulls rejected", ylim=(0, 0.6))
    axes.legend()
    return figure


SAME_ROWS_AGAIN = FailureMode(
    name="same_rows_again",
    title="The same rows again",
    symptoms=(
        "p-values too good",
        "p-values too small, all of them",
        "everything is significant",
        "duplicate rows after a join",
    ),
    breaks=Claim(
        statement="With each of 40 rows standing in the table four times, a 5 % test rejects a third of all true null hypotheses.",
        quantity="share of samples in which a true null hypothesis is rejected",
        experiment=rejections,
        predicted=rejections_by_formula,
        rival=rejections_of_the_normal_rule,
        relation="≈",
        tolerance=0.008,
        reason="exact for normal errors; δ is the width of the verdict's interval at 20 × 5,000 samples, rounded up",
        parameters={"dropped": False, **COPIES},
        sweep=Sweep("m", (1, 2, 4, 7, 10), "times that each row stands in the table", seeds=1),
    ),
    remedy=Claim(
        statement="With the copies dropped it rejects one in twenty.",
        quantity="share of samples in which a true null hypothesis is rejected",
        experiment=rejections,
        predicted=rejections_by_formula,
        rival=partial(as_broken, rejections_by_formula, {"dropped": False}),
        relation="≈",
        tolerance=0.008,
        reason="exact for normal errors; δ is the width of the verdict's interval at 20 × 5,000 samples, rounded up",
        parameters={"dropped": True, **COPIES},
    ),
    figure=draw_same_rows,
)

# %% [markdown]
# ## The best of many tries
#
# A regression table has ten features, and the one with the smallest p-value is reported, with that p-value. If none of them has
# anything to do with the target, each test rejects with probability $\alpha$; $k$ independent tests all stay silent with probability
# $(1-\alpha)^k$, so that a search reports something with probability
#
# $$1-(1-\alpha)^k,$$
#
# 0.40 for ten features at 5 %. (Features that go together test nearly the same thing twice, and a search over them reports less often:
# $1-(1-\alpha)^k$ is then an upper bound, by Šidák's inequality of 1967 for normal statistics.)
#
# **On real data.** The diabetes data: 442 patients, ten measurements, the progression of their illness. We take the ten principal
# components, which are orthogonal so that their coefficients are uncorrelated, and shuffle the progressions among the patients. What is left has their distribution and no
# relation to any feature.
#
# **Remedy.** Search in one half of the patients and test what was found in the other: the second half has not been searched, whatever
# the search was. (With the number of tries known, comparing the smallest p-value with $1-(1-\alpha)^{1/k}$ holds the level, too, and
# uses all rows. Nobody counts the tries of an informal search.)

# %%
SEARCH: dict[str, Any] = {"k": 10}


@cache
def diabetes_components() -> tuple[np.ndarray, np.ndarray]:
    """Ten orthogonal columns (442, 10), the principal components of the standardized measurements, and the outcomes (442,)."""
    from shared.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    standardized = (data.X - data.X.mean(axis=0)) / data.X.std(axis=0)
    return linalg.svd(standardized)[0][:, :10], data.y


def rejections_after_a_search(rng: np.random.Generator, *, k: int, split: bool, samples: int = 1500) -> Share:
    """How often the best of k coefficients is significant at 5 % for a shuffled target: where it was found, or in the other half."""
    X, y = diabetes_components()
    n, Y = len(y), rng.permuted(np.tile(y[:, None], samples), axis=0)
    rows = rng.permutation(n)
    searched, tested = (rows[: n // 2], rows[n // 2 :]) if split else (slice(None), slice(None))

    def t_values(part: Any) -> np.ndarray:
        return LinearRegression().fit(X[part, :k], Y[part]).t_values_[:, 1:]  # (samples, k)

    found = t_values(searched)
    reported = (t_values(tested) if split else found)[np.arange(samples), np.abs(found).argmax(axis=1)]
    q = two_sided_quantile(0.95, len(X[tested]) - k - 1)  # p < 0.05 says |t| > q
    return Share(int(np.sum(np.abs(reported) > q)), samples)


def search_by_formula(*, k: int, split: bool) -> float:
    """1 − 0.95ᵏ; 0.05 in rows that were not searched."""
    if not 1 <= k <= 10:
        raise ValueError(f"k must be from 1 to 10, the number of components, got {k}.")
    return 0.05 if split else 1 - 0.95**k


def search_by_the_sum(*, k: int, split: bool) -> float:
    """The nearest wrong theory: the chances of k tries added up."""
    return 0.05 * k


def draw_after_a_search() -> Any:
    """Left: one search, the p-values of ten features for a shuffled target. Right: how often a search finds something."""
    from shared.figures import COLORS, plot_sweep, subplots

    X, y = diabetes_components()
    shuffled = np.random.default_rng(1).permutation(y)
    p = LinearRegression().fit(X, shuffled).p_values_[1:]
    figure, (left, right) = subplots(1, 2, width=9.5, height=3.8)
    left.plot(np.arange(1, 11), p, "o", color=COLORS["muted"])
    left.plot(p.argmin() + 1, p.min(), "o", color=COLORS["broken"], label="the reported one")
    left.axhline(0.05, color=COLORS["theory"], linestyle="--", label="5 %")
    left.set(title="Ten features, one shuffled target", xlabel="feature", ylabel="p-value", ylim=(0, 1))
    left.legend()
    plot_sweep(right, AFTER_A_SEARCH.breaks)
    right.axhline(0.05, color=COLORS["mended"], label="tested in the other half: 5 %")
    right.set(title="A search that finds something in nothing", ylabel="share of searches", ylim=(0, 0.5))
    right.legend()
    return figure


AFTER_A_SEARCH = FailureMode(
    name="after_a_search",
    title="The best of many tries",
    symptoms=(
        "p-values too good since I chose the features",
        "significant feature does not replicate",
        "p-value of the best of many models",
    ),
    breaks=Claim(
        statement="The best of ten features is significant at 5 % for two in five targets that have nothing to do with any of them.",
        quantity="share of searches that report a significant feature where there is none",
        experiment=rejections_after_a_search,
        predicted=search_by_formula,
        rival=search_by_the_sum,
        relation="≈",
        tolerance=10 / 442,
        reason="the tests share one s² and the shuffled outcomes are not normal, which moves the share by the order of k/n = 10/442",
        parameters={"split": False, **SEARCH},
        sweep=Sweep("k", (1, 2, 3, 5, 7, 10), "features that were tried", seeds=1),
    ),
    remedy=Claim(
        statement="Searched for in one half of the patients and tested in the other, it is significant for one target in twenty.",
        quantity="share of searches that report a significant feature where there is none",
        experiment=rejections_after_a_search,
        predicted=search_by_formula,
        rival=partial(as_broken, search_by_formula, {"split": False}),
        relation="≈",
        tolerance=0.01,
        reason="one test in 221 rows, whose outcomes are not normal: an error of the order 1/221, and twice that is admitted",
        parameters={"split": True, **SEARCH},
    ),
    figure=draw_after_a_search,
)

# %% [markdown]
# ## Collinearity: the twin that was dropped
#
# Two features have the correlation $\rho$. With both in the model the variance of each coefficient is $1/(1-\rho^2)$ times what it would
# be with one at right angles to the other ([rank](../parts/linear_regression/rank.py)): 5.3 at $\rho=0.9$. The coefficients jump from
# sample to sample, neither is significant, and so one feature is dropped. But then
# the coefficient of $x_1$ answers for both. With $x_2=\rho x_1+\sqrt{1-\rho^2}\,z$,
#
# $$y=\beta_1x_1+\beta_2x_2+\varepsilon=(\beta_1+\beta_2\rho)\,x_1+\big(\beta_2\sqrt{1-\rho^2}\,z+\varepsilon\big).$$
#
# This is a sound regression with another coefficient. Its interval is narrow, and round the wrong number: with $\sum_ix_{1i}^2=n$, the
# error of the estimate over its standard error is noncentral t with $n-2$ degrees of freedom and the shift
#
# $$b=\frac{\beta_2\,\rho\,\sqrt n}{\sqrt{\sigma^2+\beta_2^2(1-\rho^2)}},$$
#
# and the interval covers $\beta_1$ with probability $P(|T_{n-2}(b)|\le q)$. More rows make $b$ larger: the interval is surer and no
# better. A feature that was never measured does the same; where $\beta_2\rho$ exceeds $\beta_1$ with the other sign, the coefficient
# even changes its sign.
#
# **Remedy.** Keep both, and read the width of the interval as what it is: what these rows can tell about $\beta_1$ alone. What makes it
# narrower is rows in which the two features differ. Predictions along the cloud hardly suffer from either choice.

# %%
TWINS: dict[str, Any] = {"rho": 0.9, "beta": (1.0, 0.5), "n": 50}


def coverage_of_the_twin(
    rng: np.random.Generator,
    *,
    rho: float,
    beta: tuple[float, float],
    n: int,
    kept: bool,
    samples: int = 2000,
) -> Share:
    """In how many samples the 95 % interval holds the coefficient of the first feature, with its twin dropped or kept."""
    x = rng.standard_normal(n)
    x = (x - x.mean()) / x.std()
    twin = rho * x[:, None] + np.sqrt(1 - rho**2) * rng.standard_normal((n, 1 if kept else samples))
    Y = beta[0] * x[:, None] + beta[1] * twin + rng.standard_normal((n, samples))
    X = np.column_stack([x, twin]) if kept else x[:, None]
    low, high = LinearRegression().fit(X, Y).conf_int()[:, 1].T
    return Share(int(np.sum((low <= beta[0]) & (beta[0] <= high))), samples)


def twin_by_formula(*, rho: float, beta: tuple[float, float], n: int, kept: bool) -> float:
    """P(|T| ≤ q) with T noncentral t, shifted by b; 0.95 with both features."""
    if not abs(rho) < 1 or n < 4:
        raise ValueError(f"rho must be inside (−1, 1) and n at least 4, got {rho}, {n}.")
    if kept:
        return 0.95
    shift = beta[1] * rho * np.sqrt(n) / np.sqrt(1 + beta[1] ** 2 * (1 - rho**2))
    return inside_noncentral_t(two_sided_quantile(0.95, n - 2), n - 2, shift)


def twin_by_the_normal_rule(*, rho: float, beta: tuple[float, float], n: int, kept: bool) -> float:
    """The nearest wrong theory: a normal statistic, shifted by the bias over 1/√n."""
    shift = beta[1] * rho * np.sqrt(n)
    return float(ndtr(1.959964 - shift) - ndtr(-1.959964 - shift))


def draw_collinearity() -> Any:
    """Left: the two features. Right: 500 estimates of the first coefficient with its twin kept and dropped."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(0)
    (rho, beta, n), samples = TWINS.values(), 500
    x = rng.standard_normal(n)
    x = (x - x.mean()) / x.std()
    twin = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(n)
    Y = (beta[0] * x + beta[1] * twin)[:, None] + rng.standard_normal((n, samples))
    figure, (left, right) = subplots(1, 2, width=9.5, height=3.9)
    left.plot(x, twin, "o", color=COLORS["muted"], markersize=4)
    left.set(title="Two features, ρ = 0.9", xlabel="x₁", ylabel="x₂")
    for X, color, label in (
        (np.column_stack([x, twin]), COLORS["mended"], "both kept"),
        (x[:, None], COLORS["broken"], "x₂ dropped"),
    ):
        right.hist(LinearRegression().fit(X, Y).coef_[:, 0], bins=30, color=color, alpha=0.6, label=label)
    right.axvline(beta[0], color=COLORS["theory"], linestyle="--", label="truth")
    right.axvline(beta[0] + beta[1] * rho, color=COLORS["broken"], linestyle="--", label="β₁ + β₂ρ")
    right.set(title="500 estimates: wide and right, narrow and wrong", xlabel="coefficient of x₁", yticks=[])
    right.legend()
    return figure


COLLINEARITY = FailureMode(
    name="collinearity",
    title="Collinearity: the twin that was dropped",
    symptoms=(
        "coefficients jump from sample to sample",
        "huge standard errors although the fit is good",
        "coefficient changes sign when a feature is added",
        "effect has the wrong sign",
        "large VIF, so I dropped a feature",
        "more data make the estimate surer and no better",
    ),
    breaks=Claim(
        statement="With the twin dropped, the 95 % interval holds the coefficient of the feature that stayed in about one sample of seven.",
        quantity="coverage of the 95 % interval of a coefficient",
        experiment=coverage_of_the_twin,
        predicted=twin_by_formula,
        rival=twin_by_the_normal_rule,
        relation="≈",
        tolerance=0.01,
        reason="exact for normal errors; δ is the width of the verdict's interval at 20 × 2,000 samples, rounded up",
        parameters={"kept": False, **TWINS},
        sweep=Sweep("rho", (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.98), "correlation of the features", seeds=2),
    ),
    remedy=Claim(
        statement="With both kept it holds it in 95 of 100.",
        quantity="coverage of the 95 % interval of a coefficient",
        experiment=coverage_of_the_twin,
        predicted=twin_by_formula,
        rival=partial(as_broken, twin_by_formula, {"kept": False}),
        relation="≈",
        tolerance=0.01,
        reason="exact for normal errors; δ is the width of the verdict's interval at 20 × 2,000 samples, rounded up",
        parameters={"kept": True, **TWINS},
    ),
    figure=draw_collinearity,
)

# %% [markdown]
# ## Errors of unequal spread: intervals for new cases that do not cover
#
# Let $\operatorname{sd}\varepsilon_i=|x_i|$: the error grows with the distance from the middle. Two intervals break, and only one of them
# is mended by a robust covariance.
#
# *The slope.* On a uniform grid its true variance is $9/5$ of what the classical formula expects, because leverage and spread grow
# together, and the classical 95 % interval covers 86 %. HC3 estimates the true variance, and covers 95 % (both are among the tests).
#
# *A new case at $x_0$.* Its interval is $\hat y_0\pm q\sqrt{s^2+x_0^\top\operatorname{Cov}x_0}$. Whatever `Cov` is, $s^2$ is one number for
# all cases: the average of all spreads, $E\,s^2=\frac1{n-2}\sum_i(1-h_i)x_i^2\to\frac13$. But the error of the new case has the variance $x_0^2$,
# and that of the plane there is $V_0=\sum_i\big(\frac1n+\frac{x_0x_i}{\sum_jx_j^2}\big)^2x_i^2$. With $m=E\,s^2+V_0$ the interval covers
#
# $$g(r)=2\,\Phi(z\sqrt r)-1,\qquad z=q\sqrt{\frac m{x_0^2+V_0}},$$
#
# averaged over $r=(s^2+\hat V_0)/m$, whose mean is 1 and whose variance is $\tau\approx2\sum_ix_i^4/(n^2m^2)$; to second order
#
# $$E\,g(r)\approx g(1)+\tfrac\tau2\,g''(1)=2\,\Phi(z)-1-\tfrac\tau4\,\varphi(z)\,(z+z^3).$$
#
# At the edge, where the errors are largest, that is 75 %; at $x_0=\frac12$ it is 97 %, in the middle all. Averaged over the
# places it is 93 %, which is why the fault is seen late.
#
# **Remedy.** Weights, where the spread is known up to a factor: $w_i=1/x_i^2$ in the fit, and the new case's own weight in its interval,
# $\hat y_0\pm q\sqrt{s^2/w_0+x_0^\top\operatorname{Cov}x_0}$. That is the model's own assumption, and exact.

# %%
FAN: dict[str, Any] = {"n": 200, "at": 1.0}


def coverage_of_new_cases(
    rng: np.random.Generator, *, n: int, at: float, weighted: bool, samples: int = 3000
) -> Share:
    """In how many samples the 95 % interval at `at` holds a new case, with HC3, or with weights 1/x²."""
    x = np.linspace(-1, 1, n)
    Y = np.abs(x)[:, None] * rng.standard_normal((n, samples))
    if weighted:
        model = LinearRegression().fit(x[:, None], Y, sample_weight=x**-2.0)
        interval = model.prediction_interval([[at]], sample_weight=[at**-2.0])[0]
    else:
        interval = LinearRegression(cov_type="HC3").fit(x[:, None], Y).prediction_interval([[at]])[0]
    new = abs(at) * rng.standard_normal(samples)
    return Share(int(np.sum((interval[:, 0] <= new) & (new <= interval[:, 1]))), samples)


def new_cases_by_formula(*, n: int, at: float, weighted: bool) -> float:
    """2Φ(z) − 1 − τ/4 φ(z)(z + z³) with one spread for all; 0.95 with weights."""
    if n < 30 or n % 2 or (weighted and at == 0):
        raise ValueError(f"n must be even, at least 30, and at not 0 where it has a weight, got {n}, {at}.")
    if weighted:
        return 0.95
    x = np.linspace(-1, 1, n)
    squares, leverage = np.sum(x**2), 1 / n + x**2 / np.sum(x**2)
    plane = np.sum((1 / n + at * x / squares) ** 2 * x**2)
    assumed = np.sum((1 - leverage) * x**2) / (n - 2) + plane
    z = two_sided_quantile(0.95, None) * np.sqrt(assumed / (at**2 + plane))
    tau = 2 * np.sum(x**4) / (n * assumed) ** 2
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return float(2 * ndtr(z) - 1 - tau / 4 * density * (z + z**3))


def draw_unequal_spread() -> Any:
    """Left: one sample with its fan of errors and the bands by both formulas. Right: coverage over the place of the new case."""
    from shared.figures import COLORS, plot_sweep, subplots

    x = np.linspace(-1, 1, 200)
    y = np.abs(x) * np.random.default_rng(1).standard_normal(200)
    figure, (left, right) = subplots(1, 2, width=9.5, height=4.0)
    left.scatter(x, y, s=12, color=COLORS["muted"], linewidths=0)
    robust, weighted = LinearRegression(cov_type="HC3"), LinearRegression()
    for model, weight, color, label in (
        (robust, None, COLORS["broken"], "95 % for new cases, HC3"),
        (weighted, x**-2.0, COLORS["mended"], "95 % with weights 1/x²"),
    ):
        model.fit(x[:, None], y, sample_weight=weight)
        band = model.prediction_interval(x[:, None], sample_weight=weight)
        left.plot(x, band, color=color, label=[label, "_"])
    left.set(title="Spread grows with |x|", xlabel="x", ylabel="y", ylim=(-4, 4))
    left.legend(loc="upper center")
    plot_sweep(right, UNEQUAL_SPREAD.breaks)
    right.axhline(0.95, color=COLORS["mended"], label="with weights: 95 %")
    right.set(title="Too short at the edge, too long in the middle", ylabel="coverage", ylim=(0.7, 1.01))
    right.legend()
    return figure


UNEQUAL_SPREAD = FailureMode(
    name="unequal_spread",
    title="Errors of unequal spread: intervals for new cases that do not cover",
    symptoms=(
        "prediction intervals miss too often",
        "residuals fan out",
        "spread of the residuals grows with x",
        "robust standard errors do not mend prediction intervals",
    ),
    breaks=Claim(
        statement="If the errors grow as |x|, the 95 % interval for a new case at the edge covers about 75 %, with HC3, too.",
        quantity="coverage of the 95 % interval for a new case",
        experiment=coverage_of_new_cases,
        predicted=new_cases_by_formula,
        rival=0.95,  # what the interval promises
        relation="≈",
        tolerance=0.015,
        reason="errors of O(1/n) that two orders leave out (0.005), and the verdict's interval at 20 × 3,000 samples (0.008), rounded up",
        parameters={"weighted": False, **FAN},
        sweep=Sweep("at", (0.05, 0.25, 0.5, 0.6, 0.8, 1.0), "place of the new case", seeds=2),
    ),
    remedy=Claim(
        statement="With the spread told by weights, the interval for the same case covers 95 %.",
        quantity="coverage of the 95 % interval for a new case",
        experiment=coverage_of_new_cases,
        predicted=new_cases_by_formula,
        rival=partial(as_broken, new_cases_by_formula, {"weighted": False}),
        relation="≈",
        tolerance=0.01,
        reason="exact for normal errors of known relative spread; δ is twice the verdict's interval at 20 × 3,000 samples",
        parameters={"weighted": True, **FAN},
    ),
    figure=draw_unequal_spread,
)

# %% [markdown]
# ## Leverage: a gross error that hides itself
#
# Add an error $\Delta$ to one target of leverage $h$. Its fitted value follows by $h\Delta$, so that only $(1-h)\Delta$ shows in its
# residual, in the mean. With $h=0.9$ an error of ten standard deviations leaves a residual of one, while the slope is bent. Worse, the
# error enters $s$, too. Whatever the row's error is, $\sum_je_j^2\ge e_i^2/(1-h)$ (the rest is the sum of squares of a fit without it), so that
# with $p$ coefficients
#
# $$\frac{|e_i|}s\le\sqrt{(n-p)(1-h)}.$$
#
# Here, with $n-1$ points at $\pm1$, one at $z$, and no intercept, $p=1$, $h=z^2/(z^2+n-1)$, and for $n=30$ the bound is 1.70: a rule
# that looks at residuals beyond $2s$ finds 5 % of all good rows and never this one. On the other side of $(n-1)(1-h)=4$, where
# it can, $|e|>2s$ says $|t^*|>2\sqrt{(n-2)/((n-1)(1-h)-4)}$ for the $t^*$ below.
#
# **Remedy.** Judge each residual against a fit without its own row. The studentized deleted residual $t^*=e/(s_{(i)}\sqrt{1-h})$ is
# noncentral t with $n-2$ degrees of freedom and the shift $\Delta\sqrt{1-h}/\sigma$, here 3.16. Since every row is looked at, the level
# is divided by their number (Bonferroni): $|t^*|>q$ with $P(|T|>q)=0.05/n$, 3.48 for 30 rows. So the row is found with probability
# $P(|T(3.16)|>3.48)=0.40$. That is a remedy, and no guarantee: a leverage of 0.9 is by itself a reason to look at the row.
#
# Two such rows in one place mask each other: each holds the line where the other has bent it, and with $h=0.45$ for each the residual is
# $(1-2h)\Delta$, whichever of them is left out. Then rows must be left out in groups, or the fit must be a robust one.

# %%
FAR: dict[str, Any] = {"h": 0.9, "delta": 10.0, "n": 30}


def far_point(*, h: float, n: int, rows: int = 1) -> np.ndarray:
    """A design (n, 1) through the origin whose last `rows` rows stand in one place, with leverage h together."""
    x = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    x[-rows:] = np.sqrt((n - rows) * h / (1 - h) / rows)
    return x[:, None]


def bad_row_found(
    rng: np.random.Generator,
    *,
    h: float,
    delta: float,
    n: int,
    deleted: bool,
    rows: int = 1,
    samples: int = 2000,
) -> Share:
    """In how many samples the last bad row is flagged: its residual beyond 2s, or by the test of deleted residuals."""
    Y = rng.standard_normal((n, samples))
    Y[-rows:] += delta
    model = LinearRegression(fit_intercept=False).fit(far_point(h=h, n=n, rows=rows), Y)
    if deleted:
        flagged = np.abs(model.studentized_residuals_[-1]) > two_sided_quantile(1 - 0.05 / n, n - 2)
    else:
        flagged = np.abs(model.residuals_[-1]) > 2 * np.sqrt(model.residual_variance_)
    return Share(int(flagged.sum()), samples)


def found_by_formula(*, h: float, delta: float, n: int, deleted: bool) -> float:
    """Power of the outlier test, a noncentral t; for the residual zero where (n − 1)(1 − h) ≤ 4, and a noncentral t beyond."""
    if not 0 < h < 1 or n < 4:
        raise ValueError(f"h must be inside (0, 1) and n at least 4, got {h}, {n}.")
    room = (n - 1) * (1 - h) - 4
    if not deleted and room <= 0:
        return 0.0
    q = two_sided_quantile(1 - 0.05 / n, n - 2) if deleted else 2 * np.sqrt((n - 2) / room)
    return 1 - inside_noncentral_t(q, n - 2, delta * np.sqrt(1 - h))


def draw_leverage() -> Any:
    """The bent line, and the bad row in many samples, in both forms."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(2)
    n, h = FAR["n"], FAR["h"]
    X = far_point(h=h, n=n)
    Y = rng.standard_normal((n, 4000))
    Y[-1] += FAR["delta"]
    model = LinearRegression(fit_intercept=False).fit(X, Y)
    figure, (left, right) = subplots(1, 2, width=9.5, height=3.8)
    grid = np.array([[-3.0], [X[-1, 0] + 1]])
    left.scatter(X[:-1, 0], Y[:-1, 0], s=14, color=COLORS["muted"], linewidths=0)
    left.scatter(
        X[-1], Y[-1:, 0], s=60, color=COLORS["broken"], marker="X", label="an error of 10 σ, h = 0.9"
    )
    left.plot(grid[:, 0], model.predict(grid)[:, 0], color=COLORS["broken"], label="the fit follows it")
    left.axhline(0, color=COLORS["theory"], linestyle="--", linewidth=1, label="truth")
    left.set(title="One far point bends the line", xlabel="x", ylabel="y")
    left.legend()
    for values, limit, color, label in (
        (model.residuals_[-1] / np.sqrt(model.residual_variance_), 2.0, COLORS["broken"], "residual / s"),
        (
            model.studentized_residuals_[-1],
            two_sided_quantile(1 - 0.05 / n, n - 2),
            COLORS["mended"],
            "deleted, studentized",
        ),
    ):
        right.hist(values, bins=60, color=color, alpha=0.6, label=label)
        right.axvline(limit, color=color, linestyle="--")
    right.set(
        title="The bad row in 4,000 samples (dashed: limits)",
        xlabel="in standard deviations",
        yticks=[],
    )
    right.legend()
    return figure


LEVERAGE = FailureMode(
    name="leverage",
    title="Leverage: a gross error that hides itself",
    symptoms=(
        "bad row with a small residual",
        "one point decides the slope",
        "outlier is not seen in the residual plot",
    ),
    breaks=Claim(
        statement="An error of ten standard deviations at a point of leverage 0.9 is not seen among the residuals: none lies beyond 2s.",
        quantity="share of samples in which the bad row is found",
        experiment=bad_row_found,
        predicted=found_by_formula,
        rival=0.05,  # as often as a good row
        relation="≈",
        tolerance=0.0,
        reason="the bound |e| ≤ s√((n − p)(1 − h)) holds in each sample, so nothing is admitted",
        every_seed=True,
        parameters={"deleted": False, **FAR},
        sweep=Sweep("h", (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9), "leverage of the bad row", seeds=2),
    ),
    remedy=Claim(
        statement="Judged by fits without their own row, at 5 % for all rows together, it is found in 40 of 100 samples.",
        quantity="share of samples in which the bad row is found",
        experiment=bad_row_found,
        predicted=found_by_formula,
        rival=partial(as_broken, found_by_formula, {"deleted": False}),
        relation="≈",
        tolerance=0.015,
        reason="the formula is exact; δ is one and a half times the verdict's interval at 20 × 2,000 samples (0.010)",
        parameters={"deleted": True, **FAR},
        sweep=Sweep("delta", (0.0, 5.0, 8.0, 10.0, 12.0, 15.0, 20.0), "size of the error, in σ", seeds=2),
    ),
    figure=draw_leverage,
)

# %%
FAILURE_MODES = (SAME_ROWS_AGAIN, AFTER_A_SEARCH, COLLINEARITY, UNEQUAL_SPREAD, LEVERAGE)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
