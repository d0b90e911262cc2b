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
# The arithmetic of least squares never fails. What fails is the reading of its answers: a coefficient that the data
# cannot pin down, one that stands for a feature left out, an interval that assumes what is not so, a line drawn past
# the data, and a point so far out that it hides its own error.

# %%
from __future__ import annotations

from math import exp, sinh
from typing import Any

import numpy as np

from level2_classical.linear_regression import LinearRegression, two_sided_quantile
from shared.failure_mode import Claim, FailureMode, Share
from shared.special import gammaln, ndtr

# %% [markdown]
# ## Collinearity: the variance inflation factor
#
# Two features with mean 0, mean square 1 and correlation $\rho$. In the directions $(1,1)/\sqrt2$ and $(1,-1)/\sqrt2$ the matrix
# $X^\top X$ is diagonal, with $n(1+\rho)$ and $n(1-\rho)$; each coefficient is made of both halves:
#
# $$\operatorname{Var}\hat\beta_1=\frac{\sigma^2}2\Big(\frac1{n(1+\rho)}+\frac1{n(1-\rho)}\Big)=\frac{\sigma^2}n\cdot\frac1{1-\rho^2}.$$
#
# The factor $1/(1-\rho^2)$ over uncorrelated features is exact for a given design. Predictions along the cloud
# hardly suffer; it is the separate coefficients that do.
#
# **Remedy.** No formula brings information that is not there: dropping one feature or shrinking trades the variance for a
# bias. What helps is data along the thin direction. Move $m$ of the $n$ rows to $(a,-a)$ and $(-a,a)$ in equal parts: with
# $(n-m)$ rows left, the two eigenvalues become $(n-m)(1+\rho)$ and $(n-m)(1-\rho)+2ma^2$, and the inflation is
#
# $$\frac n2\Big(\frac1{(n-m)(1+\rho)}+\frac1{(n-m)(1-\rho)+2ma^2}\Big).$$

# %%
COLLINEAR = {"rho": 0.95, "n": 100, "reach": 2.0}


def two_features(rng: np.random.Generator, *, rho: float, n: int, moved: int, reach: float) -> np.ndarray:
    """A design (n, 2) with sample correlation exactly rho, but for `moved` rows at (±reach, ∓reach)."""
    raw = rng.standard_normal((n - moved, 2))
    raw -= raw.mean(axis=0)
    raw[:, 1] -= raw[:, 0] * (raw[:, 0] @ raw[:, 1]) / (raw[:, 0] @ raw[:, 0])
    raw /= np.sqrt(np.mean(raw**2, axis=0))
    raw[:, 1] = rho * raw[:, 0] + np.sqrt(1 - rho**2) * raw[:, 1]
    side = np.where(np.arange(moved) % 2 == 0, reach, -reach)
    return np.vstack([raw, np.column_stack([side, -side])])


def slope_variance(
    rng: np.random.Generator, *, rho: float, n: int, moved: int, reach: float, samples: int = 4000
) -> float:
    """Variance of the first coefficient over many targets, in units of σ²/n."""
    X = two_features(rng, rho=rho, n=n, moved=moved, reach=reach)
    Y = rng.standard_normal((n, samples))  # both true coefficients zero: the errors are all there is
    slopes = LinearRegression().fit(X, Y).coef_[:, 0]
    return float(n * np.mean(slopes**2))


def inflation_by_formula(*, rho: float, n: int, moved: int, reach: float) -> float:
    """Half the sum of both directions' inverse information, in units of σ²/n; 1/(1 − ρ²) for moved = 0."""
    wide, thin = (n - moved) * (1 + rho), (n - moved) * (1 - rho) + 2 * moved * reach**2
    return n / 2 * (1 / wide + 1 / thin)


def draw_collinearity() -> Any:
    """Estimated pairs of coefficients from both designs."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(0)
    figure, (left, right) = subplots(1, 2, width=9.0, height=4.0)
    for moved, color, label in ((0, COLORS["broken"], "as found"), (10, COLORS["mended"], "10 of 100 moved")):
        X = two_features(rng, moved=moved, **COLLINEAR)
        slopes = LinearRegression().fit(X, rng.standard_normal((100, 500))).coef_
        left.scatter(*X.T, s=13, color=color, label=label, alpha=0.7, linewidths=0)
        right.scatter(*slopes.T, s=9, color=color, alpha=0.5, linewidths=0)
        radius = np.sqrt(inflation_by_formula(moved=moved, **COLLINEAR) / 100)
        for side in (-2 * radius, 2 * radius):
            right.axvline(side, color=color, linestyle="--", linewidth=1)
    left.set(title="Two features, ρ = 0.95", xlabel="feature 1", ylabel="feature 2")
    left.legend()
    right.set(title="500 estimates; dashed: ±2 predicted sd", xlabel="coefficient 1", ylabel="coefficient 2")
    return figure


# %% [markdown]
# ## A feature left out
#
# Truth: $y=\beta_1x_1+\beta_2x_2+\varepsilon$. Leave out $x_2$, and the coefficient of $x_1$ answers for both: inserting the truth into
# $\hat\beta_1=\widehat{\operatorname{cov}}(x_1,y)/\widehat{\operatorname{var}}(x_1)$,
#
# $$E\,\hat\beta_1=\beta_1+\beta_2\,\delta,\qquad\delta=\frac{\operatorname{cov}(x_1,x_2)}{\operatorname{var}(x_1)},$$
#
# the slope of $x_2$ on $x_1$. If $x_2$ is linear in $x_1$ up to noise, this is exact for every $n$. More data only make the wrong
# answer more certain. Here $\beta_1=1$, $\beta_2=-2$, $\delta=0.8$: a helpful feature looks harmful, $1-1.6=-0.6$.
#
# **Remedy.** Measure $x_2$ and put it in: the bias is zero. (Where it cannot be measured, no regression on $x_1$ helps.)

# %%
OMITTED = {"beta": (1.0, -2.0), "delta": 0.8, "n": 200}


def mean_slope(
    rng: np.random.Generator,
    *,
    beta: tuple[float, float],
    delta: float,
    n: int,
    included: bool,
    samples: int = 100,
) -> float:
    """Mean over samples of the coefficient of the first feature."""
    x1 = rng.standard_normal(n)
    x2 = delta * x1[:, None] + rng.standard_normal((n, samples))
    Y = beta[0] * x1[:, None] + beta[1] * x2 + rng.standard_normal((n, samples))
    if not included:
        return float(LinearRegression().fit(x1[:, None], Y).coef_[:, 0].mean())
    fits = [LinearRegression().fit(np.column_stack([x1, x2[:, j]]), Y[:, j]).coef_[0] for j in range(samples)]
    return float(np.mean(fits))


def slope_by_formula(*, beta: tuple[float, float], delta: float, n: int, included: bool) -> float:
    """β₁ + β₂δ with the second feature left out, β₁ with it."""
    return beta[0] if included else beta[0] + beta[1] * delta


def draw_omitted() -> Any:
    """Estimates as n grows, with the feature left out and put in."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(0)
    figure, axes = subplots(width=7.0, height=3.8)
    beta, delta = OMITTED["beta"], OMITTED["delta"]
    sizes = np.unique(np.logspace(1, 4, 25).astype(int))
    x1 = rng.standard_normal(sizes[-1])
    x2 = delta * x1 + rng.standard_normal(sizes[-1])
    y = beta[0] * x1 + beta[1] * x2 + rng.standard_normal(sizes[-1])
    for X, color, label in (
        (x1[:, None], COLORS["broken"], "x₂ left out"),
        (np.column_stack([x1, x2]), COLORS["mended"], "x₂ put in"),
    ):
        fits = [LinearRegression().fit(X[:n], y[:n]) for n in sizes]
        low, high = np.array([fit.conf_int()[1] for fit in fits]).T
        axes.plot(sizes, [fit.coef_[0] for fit in fits], color=color, label=label)
        axes.fill_between(sizes, low, high, color=color, alpha=0.2, linewidth=0)
    for included in (False, True):
        predicted = slope_by_formula(included=included, **OMITTED)
        axes.axhline(predicted, color=COLORS["theory"], linestyle="--", linewidth=1)
    axes.set(
        xscale="log",
        title="More data make the wrong answer more certain",
        xlabel="n",
        ylabel="coefficient of x₁",
    )
    axes.legend()
    return figure


# %% [markdown]
# ## Errors of unequal spread: intervals that do not cover
#
# Let $\operatorname{sd}\varepsilon_i=|x_i|$: the error grows with the distance from the middle, where the leverage grows too. The slope is
# $\hat\beta=\beta+\sum_ia_i\varepsilon_i$ with $a_i=(x_i-\bar x)/\sum_j(x_j-\bar x)^2$. Its true variance and what the classical formula expects are
#
# $$V=\sum_ia_i^2\,x_i^2,\qquad V_0=E[s^2]\sum_ia_i^2,\qquad E[s^2]=\frac1{n-2}\sum_i(1-h_i)\,x_i^2 .$$
#
# The 95 % interval $\hat\beta\pm q\sqrt{V_0}$ then covers with probability
#
# $$g(r)=2\,\Phi\big(z\sqrt r\big)-1,\qquad z=q\sqrt{V_0/V},\qquad r=s^2/E[s^2],$$
#
# averaged over $r$, whose mean is 1 and whose variance is $\tau\approx2\sum_ix_i^4/(\sum_ix_i^2)^2$. To second order
#
# $$E\,g(r)\approx g(1)+\tfrac\tau2\,g''(1)=2\,\Phi(z)-1-\tfrac\tau4\,\varphi(z)\,(z+z^3).$$
#
# On a uniform grid $V/V_0\to9/5$: a little less than 86 % are covered, and at $n=200$ the second order takes this to 85.5 %.
#
# **Remedy.** HC3 estimates $V$ itself and covers 95 %, again up to $O(1/n)$: here $n=200$.

# %%
UNEQUAL_SPREAD = {"n": 200, "level": 0.95}


def interval_coverage(
    rng: np.random.Generator, *, n: int, level: float, cov_type: str, samples: int = 1500
) -> Share:
    """In how many samples the interval for the slope contains the true slope, zero."""
    x = np.linspace(-1, 1, n)
    Y = np.abs(x)[:, None] * rng.standard_normal((n, samples))
    low, high = LinearRegression(cov_type=cov_type, use_t=True).fit(x[:, None], Y).conf_int(level)[:, 1].T
    return Share(int(np.sum((low <= 0) & (high >= 0))), samples)


def coverage_by_formula(*, n: int, level: float, cov_type: str) -> float:
    """2Φ(z) − 1 − τ/4 φ(z)(z + z³) for the classical interval; the level itself for a consistent covariance."""
    if cov_type != "nonrobust":
        return level
    x = np.linspace(-1, 1, n)
    a, leverage = x / np.sum(x**2), 1 / n + x**2 / np.sum(x**2)
    true = np.sum(a**2 * x**2)
    classical = np.sum((1 - leverage) * x**2) / (n - 2) * np.sum(a**2)
    z = two_sided_quantile(level, n - 2) * np.sqrt(classical / true)
    tau = 2 * np.sum(x**4) / np.sum(x**2) ** 2
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return float(2 * ndtr(z) - 1 - tau / 4 * density * (z + z**3))


def draw_unequal_spread() -> Any:
    """One sample with the fan of errors, and intervals from thirty samples by both formulas."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(1)
    x = np.linspace(-1, 1, 200)
    Y = np.abs(x)[:, None] * rng.standard_normal((200, 30))
    figure, (left, right) = subplots(1, 2, width=9.5, height=4.0)
    left.scatter(x, Y[:, 0], s=12, color=COLORS["muted"], linewidths=0)
    left.plot(x, 2 * np.abs(x), color=COLORS["theory"], linestyle="--", linewidth=1)
    left.plot(
        x, -2 * np.abs(x), color=COLORS["theory"], linestyle="--", linewidth=1, label="±2 sd of the error"
    )
    left.set(title="Spread grows with |x|", xlabel="x", ylabel="y")
    left.legend()
    height = np.arange(30)
    for cov_type, color, shift in (("nonrobust", COLORS["broken"], 0.2), ("HC3", COLORS["mended"], -0.2)):
        low, high = LinearRegression(cov_type=cov_type, use_t=True).fit(x[:, None], Y).conf_int()[:, 1].T
        missed = (low > 0) | (high < 0)
        right.hlines(height + shift, low, high, color=color, linewidth=np.where(missed, 3.0, 1.2))
        right.plot([], [], color=color, label=f"{cov_type}: {missed.sum()} of 30 missed")
    right.axvline(0, color=COLORS["theory"], linestyle="--", linewidth=1)
    right.set(title="95 % intervals of the slope (thick: missed)", xlabel="slope", yticks=[], ylim=(-6, 31))
    right.legend(loc="lower center", ncols=2)
    return figure


# %% [markdown]
# ## Extrapolation: a line past the data
#
# Take growth, $y=e^{x+\varepsilon}$ with $\operatorname{sd}\varepsilon=\sigma$, whose mean is $f(x)=e^{x+\sigma^2/2}$, seen on $[-1,1]$. The least squares line of $e^x$ there
# has, by $\int_{-1}^1e^x=2\sinh1$ and $\int_{-1}^1xe^x=2/e$, the intercept $\sinh1$ and the slope $\frac32\cdot\frac2e=3/e$. Inside it is off by at most
# 0.44; at $x_0=3$ by
#
# $$e^{\sigma^2/2}\big(\sinh1+3x_0/e-e^{x_0}\big).$$
#
# The fit on $n$ grid points and its noise change the mean of this only by $O(1/n^2)$, the grid's error. Nothing in the data warns: the
# formula of the interval at $x_0$ believes the line.
#
# **Remedy.** A model whose shape is right outside: growth is linear in $\log y$. Back on the scale of $y$ the prediction is
# $\exp(\hat\alpha+\hat\beta x_0+s^2/2)$, whose mean is $f(x_0)$ times $e^{v/2}\approx1+v/2$ with $v=\sigma^2\big(\tfrac1n+\tfrac{x_0^2}{\sum_ix_i^2}\big)$ (and the spread of $s^2$ adds
# $O(\sigma^4/n)$). If no such shape is known, do not predict there: the leverage of $x_0$, larger than any in the data, tells.

# %%
GROWTH = {"n": 200, "sigma": 0.1, "x0": 3.0}


def extrapolation_error(
    rng: np.random.Generator, *, n: int, sigma: float, x0: float, logarithm: bool, samples: int = 500
) -> float:
    """Mean over samples of prediction less truth at x₀, in units of y."""
    x = (2 * np.arange(n) + 1) / n - 1  # midpoints of n cells of [-1, 1]
    log_y = x[:, None] + sigma * rng.standard_normal((n, samples))
    model = LinearRegression().fit(x[:, None], log_y if logarithm else np.exp(log_y))
    predicted = model.predict(np.array([[x0]]))[0]
    if logarithm:
        predicted = np.exp(predicted + model.residual_variance_ / 2)
    return float(np.mean(predicted) - exp(x0 + sigma**2 / 2))


def extrapolation_error_by_formula(*, n: int, sigma: float, x0: float, logarithm: bool) -> float:
    """The line's error at x₀, or f(x₀)(e^{v/2} − 1) for the line in log y."""
    if not logarithm:
        return exp(sigma**2 / 2) * (sinh(1) + 3 * x0 / exp(1) - exp(x0))
    variance = sigma**2 * (1 / n + x0**2 / (n / 3))
    return exp(x0 + sigma**2 / 2) * (exp(variance / 2) - 1)


def draw_extrapolation() -> Any:
    """The line and the line in log y, inside and outside of the data, with intervals."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(0)
    n, sigma = GROWTH["n"], GROWTH["sigma"]
    x = (2 * np.arange(n) + 1) / n - 1
    log_y = x + sigma * rng.standard_normal(n)
    grid = np.linspace(-1, 3.2, 200)
    figure, axes = subplots(width=7.0, height=4.0)
    axes.scatter(x, np.exp(log_y), s=9, color=COLORS["muted"], linewidths=0, label="data")
    axes.plot(grid, np.exp(grid + sigma**2 / 2), color=COLORS["theory"], linestyle="--", label="truth")
    for target, back, color, label in (
        (np.exp(log_y), lambda v: v, COLORS["broken"], "line in y"),
        (log_y, np.exp, COLORS["mended"], "line in log y"),
    ):
        model = LinearRegression().fit(x[:, None], target)
        low, high = back(model.prediction_interval(grid[:, None])).T
        axes.plot(grid, back(model.predict(grid[:, None])), color=color, label=label)
        axes.fill_between(grid, low, high, color=color, alpha=0.2, linewidth=0)
    axes.axvspan(-1, 1, color=COLORS["muted"], alpha=0.12, linewidth=0)
    axes.set(title="Close inside, worlds apart outside (bands: 95 %)", xlabel="x", ylabel="y")
    axes.legend()
    return figure


# %% [markdown]
# ## Leverage: a gross error that hides itself
#
# Add an error $\Delta$ to one target of leverage $h$. Its fitted value follows by $h\Delta$, so that only
#
# $$(1-h)\,\Delta$$
#
# shows in its residual (exactly, in the mean). With $h=0.9$ an error of ten standard deviations leaves a residual of one,
# like any good row, while the slope is bent.
#
# We place $n-1$ points at $\pm1$ and one at $z$. With the intercept left out, $h=z^2/(z^2+n-1)$, so $z=\sqrt{(n-1)h/(1-h)}$.
#
# **Remedy.** Judge each residual against a fit without its own row: the studentized deleted residual
# $e/(s_{(i)}\sqrt{1-h})$ is Student's t with $\nu=n-2$ degrees of freedom, shifted by $\Delta\sqrt{1-h}/\sigma$. Its mean is known,
#
# $$\frac\Delta\sigma\sqrt{1-h}\;\sqrt{\frac\nu2}\,\frac{\Gamma(\frac{\nu-1}2)}{\Gamma(\frac\nu2)},$$
#
# and stands more than three deviations out.

# %%
LEVERAGE = {"h": 0.9, "delta": 10.0, "n": 30}


def far_point(*, h: float, n: int) -> np.ndarray:
    """A design (n, 1) through the origin whose last row has leverage h."""
    x = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    x[-1] = np.sqrt((n - 1) * h / (1 - h))
    return x[:, None]


def residual_of_the_bad_row(
    rng: np.random.Generator, *, h: float, delta: float, n: int, studentized: bool, samples: int = 2000
) -> float:
    """Mean residual of the row with the gross error: as it is (σ = 1), or studentized without that row."""
    Y = rng.standard_normal((n, samples))
    Y[-1] += delta
    model = LinearRegression(fit_intercept=False).fit(far_point(h=h, n=n), Y)
    residuals = model.studentized_residuals_ if studentized else model.residuals_
    return float(residuals[-1].mean())


def residual_by_formula(*, h: float, delta: float, n: int, studentized: bool) -> float:
    """(1 − h)Δ, or the mean of the noncentral t."""
    if not studentized:
        return (1 - h) * delta
    nu = n - 2
    bias = np.sqrt(nu / 2) * np.exp(gammaln((nu - 1) / 2) - gammaln(nu / 2))
    return float(delta * np.sqrt(1 - h) * bias)


def draw_leverage() -> Any:
    """The bent line, and all residuals of one sample in both forms."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(2)
    n, h = LEVERAGE["n"], LEVERAGE["h"]
    X = far_point(h=h, n=n)
    y = rng.standard_normal(n)
    y[-1] += LEVERAGE["delta"]
    model = LinearRegression(fit_intercept=False).fit(X, y)
    figure, (left, right) = subplots(1, 2, width=9.5, height=3.8)
    grid = np.array([[-3.0], [X[-1, 0] + 1]])
    left.scatter(X[:-1, 0], y[:-1], s=14, color=COLORS["muted"], linewidths=0)
    left.scatter(X[-1], y[-1:], s=60, color=COLORS["broken"], marker="X", label="an error of 10 σ, h = 0.9")
    left.plot(grid[:, 0], model.predict(grid), color=COLORS["broken"], label="the fit follows it")
    left.axhline(0, color=COLORS["theory"], linestyle="--", linewidth=1, label="truth")
    left.set(title="One far point bends the line", xlabel="x", ylabel="y")
    left.legend()
    Y = rng.standard_normal((n, 4000))
    Y[-1] += LEVERAGE["delta"]
    model = LinearRegression(fit_intercept=False).fit(X, Y)
    for values, color, label, studentized in (
        (model.residuals_[-1], COLORS["broken"], "residual", False),
        (model.studentized_residuals_[-1], COLORS["mended"], "studentized, row left out", True),
    ):
        right.hist(values, bins=60, color=color, alpha=0.6, label=label)
        right.axvline(
            residual_by_formula(studentized=studentized, **LEVERAGE), color=COLORS["theory"], linestyle="--"
        )
    right.set(
        title="The bad row in 4,000 samples (dashed: predicted)", xlabel="in standard deviations", yticks=[]
    )
    right.legend()
    return figure


# %% [markdown]
# ## The claims

# %%
FAILURE_MODES = (
    FailureMode(
        name="collinearity",
        title="Collinearity: the variance inflation factor",
        breaks=Claim(
            statement="With a correlation of 0.95 between two features, the variance of each coefficient is "
            "1/(1 − ρ²) times what it would be without correlation.",
            quantity="variance of a coefficient, in units of σ²/n",
            experiment=slope_variance,
            predicted=inflation_by_formula,
            relation="≈",
            tolerance=0.05,
            relative=True,
            reason="the formula is exact; δ is twice the Monte Carlo error √(2/4000) of a variance in one replicate",
            parameters={"moved": 0, **COLLINEAR},
        ),
        remedy=Claim(
            statement="Moving ten of a hundred rows along the thin direction takes nearly all of the inflation away.",
            quantity="variance of a coefficient, in units of σ²/n",
            experiment=slope_variance,
            predicted=inflation_by_formula,
            relation="≈",
            tolerance=0.05,
            relative=True,
            reason="the formula is exact; δ is twice the Monte Carlo error √(2/4000) of a variance in one replicate",
            parameters={"moved": 10, **COLLINEAR},
        ),
        figure=draw_collinearity,
    ),
    FailureMode(
        name="omitted_variable",
        title="A feature left out lends its effect to those that stay",
        breaks=Claim(
            statement="Leaving out a correlated feature turns the coefficient 1 of the other into β₁ + β₂δ = −0.6.",
            quantity="mean of the estimated coefficient",
            experiment=mean_slope,
            predicted=slope_by_formula,
            relation="≈",
            tolerance=0.05,
            reason="the formula is exact in the mean; δ is three Monte Carlo errors √5/√(200·100) of one replicate",
            parameters={"included": False, **OMITTED},
        ),
        remedy=Claim(
            statement="With the feature put in, the coefficient is unbiased.",
            quantity="mean of the estimated coefficient",
            experiment=mean_slope,
            predicted=slope_by_formula,
            relation="≈",
            tolerance=0.05,
            reason="the formula is exact in the mean; the same δ as for what it mends",
            parameters={"included": True, **OMITTED},
        ),
        figure=draw_omitted,
    ),
    FailureMode(
        name="unequal_spread",
        title="Errors of unequal spread: intervals that do not cover",
        breaks=Claim(
            statement="If the errors grow as |x|, the classical 95 % interval of the slope covers only about 85 %, by the sandwich.",
            quantity="coverage of the 95 % interval",
            experiment=interval_coverage,
            predicted=coverage_by_formula,
            relation="≈",
            tolerance=0.015,
            reason="errors of O(1/n) that two orders leave out, and one and a half Monte Carlo errors of a replicate",
            parameters={"cov_type": "nonrobust", **UNEQUAL_SPREAD},
        ),
        remedy=Claim(
            statement="The HC3 interval covers 95 %.",
            quantity="coverage of the 95 % interval",
            experiment=interval_coverage,
            predicted=coverage_by_formula,
            relation="≈",
            tolerance=0.015,
            reason="HC3's own bias and spread are O(1/n), a few times 1/200",
            parameters={"cov_type": "HC3", **UNEQUAL_SPREAD},
        ),
        figure=draw_unequal_spread,
    ),
    FailureMode(
        name="extrapolation",
        title="Extrapolation: a line past the data",
        breaks=Claim(
            statement="A line fitted to exponential growth on [−1, 1] with noise in log y misses the mean at 3 by "
            "e^(σ²/2) (sinh 1 + 9/e − e³).",
            quantity="mean of prediction less truth at x₀ = 3",
            experiment=extrapolation_error,
            predicted=extrapolation_error_by_formula,
            relation="≈",
            tolerance=0.01,
            reason="the grid's error is O(1/n²); δ is three Monte Carlo errors 0.07/√500 of one replicate",
            parameters={"logarithm": False, **GROWTH},
        ),
        remedy=Claim(
            statement="A line in log y predicts the value at 3 up to the factor e^{v/2}.",
            quantity="mean of prediction less truth at x₀ = 3",
            experiment=extrapolation_error,
            predicted=extrapolation_error_by_formula,
            relation="≈",
            tolerance=0.1,
            reason="the spread of s² adds O(σ⁴/n); δ is three Monte Carlo errors 20·√v/√500 of one replicate",
            parameters={"logarithm": True, **GROWTH},
        ),
        figure=draw_extrapolation,
    ),
    FailureMode(
        name="leverage",
        title="Leverage: a gross error that hides itself",
        breaks=Claim(
            statement="An error of ten standard deviations at a point of leverage 0.9 leaves a residual of one.",
            quantity="mean residual of the bad row, in standard deviations of the noise",
            experiment=residual_of_the_bad_row,
            predicted=residual_by_formula,
            relation="≈",
            tolerance=0.03,
            reason="the formula is exact; δ is four Monte Carlo errors √(1−h)/√2000 of one replicate",
            parameters={"studentized": False, **LEVERAGE},
        ),
        remedy=Claim(
            statement="Judged by a fit without its own row, the same error stands more than three deviations out.",
            quantity="mean studentized deleted residual of the bad row",
            experiment=residual_of_the_bad_row,
            predicted=residual_by_formula,
            relation="≈",
            tolerance=0.1,
            reason="the formula is exact; δ is four Monte Carlo errors 1.1/√2000 of one replicate",
            parameters={"studentized": True, **LEVERAGE},
        ),
        figure=draw_leverage,
    ),
)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
