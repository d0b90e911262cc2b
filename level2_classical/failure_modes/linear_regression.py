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
# Least squares by QR can be trusted as far as the condition of the data allows, and the normal equations half as far, in digits: that is
# derived in the topic. What fails here is the reading of the answers: rows that were counted several times, a
# coefficient that the data cannot pin down, one that stands for a feature left out, an interval that assumes what is not so, and a point
# so far out that it hides its own error.

# %%
from __future__ import annotations

from typing import Any

import numpy as np

from level2_classical.linear_regression import LinearRegression
from level2_classical.parts.linear_regression.inference import two_sided_quantile
from shared.failure_mode import Claim, FailureMode, Share, Sweep
from shared.special import gammaln, ndtr, stdtr, stdtrit

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
    p = LinearRegression().fit(x[:, None], Y).p_values_[:, 1]
    return Share(int(np.sum(p < 0.05)), samples)


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


def rejections_with_copies(*, dropped: bool, **table: Any) -> float:
    """The rival of the remedy."""
    return rejections_by_formula(dropped=False, **table)


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
        sweep=Sweep("m", (1, 2, 3, 4, 6, 8, 10), "times that each row stands in the table", seeds=3),
    ),
    remedy=Claim(
        statement="With the copies dropped it rejects one in twenty.",
        quantity="share of samples in which a true null hypothesis is rejected",
        experiment=rejections,
        predicted=rejections_by_formula,
        rival=rejections_with_copies,
        relation="≈",
        tolerance=0.008,
        reason="exact for normal errors; δ is the width of the verdict's interval at 20 × 5,000 samples, rounded up",
        parameters={"dropped": True, **COPIES},
    ),
    figure=draw_same_rows,
)

# %% [markdown]
# ## Collinearity: the variance inflation factor
#
# Two features with mean 0, mean square 1 and correlation $\rho$. In the directions $(1,1)/\sqrt2$ and $(1,-1)/\sqrt2$ the
# matrix $X^\top X$ is diagonal, with $n(1+\rho)$ and $n(1-\rho)$; each coefficient is made of both halves:
#
# $$\operatorname{Var}\hat\beta_1=\frac{\sigma^2}2\Big(\frac1{n(1+\rho)}+\frac1{n(1-\rho)}\Big)=\frac{\sigma^2}n\cdot\frac1{1-\rho^2}.$$
#
# The factor $1/(1-\rho^2)$ over uncorrelated features is exact for a given design. Predictions along the cloud hardly
# suffer; it is the separate coefficients that do.
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
    if not abs(rho) < 1 or moved % 2 or moved > n - 3:
        raise ValueError(
            f"rho must be inside (−1, 1) and moved an even number below n − 2, got {rho}, {moved}."
        )
    wide, thin = (n - moved) * (1 + rho), (n - moved) * (1 - rho) + 2 * moved * reach**2
    return n / 2 * (1 / wide + 1 / thin)


def inflation_without_the_square(*, rho: float, **_: Any) -> float:
    """The nearest wrong theory: 1/(1 − ρ)."""
    return 1 / (1 - rho)


def inflation_as_found(*, moved: int, **design: Any) -> float:
    """The rival of the remedy: no row moved."""
    return inflation_by_formula(moved=0, **design)


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


COLLINEARITY = FailureMode(
    name="collinearity",
    title="Collinearity: the variance inflation factor",
    symptoms=(
        "coefficients jump from sample to sample",
        "huge standard errors although the fit is good",
        "two features get large weights of opposite sign",
    ),
    breaks=Claim(
        statement="With a correlation of 0.95 between two features, the variance of each coefficient is "
        "1/(1 − ρ²) times what it would be without correlation.",
        quantity="variance of a coefficient, in units of σ²/n",
        experiment=slope_variance,
        predicted=inflation_by_formula,
        rival=inflation_without_the_square,
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="the formula is exact; δ is twice the Monte Carlo error √(2/4000) of a variance in one replicate",
        parameters={"moved": 0, **COLLINEAR},
        sweep=Sweep("rho", (0.0, 0.5, 0.8, 0.9, 0.95, 0.98), "correlation of the features", seeds=3),
    ),
    remedy=Claim(
        statement="Moving ten of a hundred rows along the thin direction takes nearly all of the inflation away.",
        quantity="variance of a coefficient, in units of σ²/n",
        experiment=slope_variance,
        predicted=inflation_by_formula,
        rival=inflation_as_found,
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="the formula is exact; δ is twice the Monte Carlo error √(2/4000) of a variance in one replicate",
        parameters={"moved": 10, **COLLINEAR},
    ),
    figure=draw_collinearity,
)

# %% [markdown]
# ## A feature left out lends its effect to those that stay
#
# Truth: $y=\beta_1x_1+\beta_2x_2+\varepsilon$. Leave out $x_2$, and the coefficient of $x_1$ answers for both: inserting the
# truth into $\hat\beta_1=\widehat{\operatorname{cov}}(x_1,y)/\widehat{\operatorname{var}}(x_1)$,
#
# $$E\,\hat\beta_1=\beta_1+\beta_2\,\delta,\qquad\delta=\frac{\operatorname{cov}(x_1,x_2)}{\operatorname{var}(x_1)},$$
#
# the slope of $x_2$ on $x_1$. If $x_2$ is linear in $x_1$ up to noise, this is exact for every $n$. More data only make the
# wrong answer more certain. Here $\beta_1=1$, $\beta_2=-2$, $\delta=0.8$: a helpful feature looks harmful, $1-1.6=-0.6$.
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
    if n < 3:
        raise ValueError(f"n must be at least 3, got {n}.")
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


OMITTED_VARIABLE = FailureMode(
    name="omitted_variable",
    title="A feature left out lends its effect to those that stay",
    symptoms=(
        "coefficient changes sign when a feature is added",
        "effect has the wrong sign",
        "more data make the estimate surer and no better",
    ),
    breaks=Claim(
        statement="Leaving out a correlated feature turns the coefficient 1 of the other into β₁ + β₂δ = −0.6.",
        quantity="mean of the estimated coefficient",
        experiment=mean_slope,
        predicted=slope_by_formula,
        rival=1.0,  # as if the other feature did not matter
        relation="≈",
        tolerance=0.05,
        reason="the formula is exact in the mean; δ is three Monte Carlo errors √5/√(200·100) of one replicate",
        parameters={"included": False, **OMITTED},
        sweep=Sweep("delta", (-1.0, -0.5, 0.0, 0.4, 0.8, 1.2), "slope δ of the feature left out", seeds=4),
    ),
    remedy=Claim(
        statement="With the feature put in, the coefficient is unbiased.",
        quantity="mean of the estimated coefficient",
        experiment=mean_slope,
        predicted=slope_by_formula,
        rival=-0.6,  # what it is without the feature
        relation="≈",
        tolerance=0.05,
        reason="the formula is exact in the mean; the same δ as for what it mends",
        parameters={"included": True, **OMITTED},
    ),
    figure=draw_omitted,
)

# %% [markdown]
# ## Errors of unequal spread: intervals that do not cover
#
# Let $\operatorname{sd}\varepsilon_i=|x_i|$: the error grows with the distance from the middle, where the leverage grows
# too. The slope is $\hat\beta=\beta+\sum_ia_i\varepsilon_i$ with $a_i=(x_i-\bar x)/\sum_j(x_j-\bar x)^2$. Its true variance
# and what the classical formula expects are
#
# $$V=\sum_ia_i^2\,x_i^2,\qquad V_0=E[s^2]\sum_ia_i^2,\qquad E[s^2]=\frac1{n-2}\sum_i(1-h_i)\,x_i^2 .$$
#
# The 95 % interval $\hat\beta\pm q\sqrt{V_0}$ then covers with probability
#
# $$g(r)=2\,\Phi\big(z\sqrt r\big)-1,\qquad z=q\sqrt{V_0/V},\qquad r=s^2/E[s^2],$$
#
# averaged over $r$, whose mean is 1 and whose variance is $\tau\approx2\sum_ix_i^4/(\sum_ix_i^2)^2$. Taking $s^2$ for independent of
# $\hat\beta$, which neglects a term of the order $1/n$, to second order
#
# $$E\,g(r)\approx g(1)+\tfrac\tau2\,g''(1)=2\,\Phi(z)-1-\tfrac\tau4\,\varphi(z)\,(z+z^3).$$
#
# On a uniform grid $V/V_0\to9/5$: a little less than 86 % are covered, and at $n=200$ the second order takes this to 85.5 %.
#
# **Remedy.** HC3 estimates $V$ itself and covers 95 %, again up to $O(1/n)$: here $n=200$.

# %%
FAN = {"n": 200, "level": 0.95}


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
    if n < 30:
        raise ValueError(f"n must be at least 30, for errors of O(1/n) to be small, got {n}.")
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


def coverage_of_classical_intervals(*, cov_type: str, **settings: Any) -> float:
    """The rival of the remedy."""
    return coverage_by_formula(cov_type="nonrobust", **settings)


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


UNEQUAL_SPREAD = FailureMode(
    name="unequal_spread",
    title="Errors of unequal spread: intervals that do not cover",
    symptoms=(
        "confidence intervals miss too often",
        "residuals fan out",
        "spread of the residuals grows with x",
    ),
    breaks=Claim(
        statement="If the errors grow as |x|, the classical 95 % interval of the slope covers only about 85 %, by the sandwich.",
        quantity="coverage of the 95 % interval",
        experiment=interval_coverage,
        predicted=coverage_by_formula,
        rival=0.95,  # what the interval promises
        relation="≈",
        tolerance=0.015,
        reason="errors of O(1/n) that two orders leave out, and one and a half Monte Carlo errors of a replicate",
        parameters={"cov_type": "nonrobust", **FAN},
    ),
    remedy=Claim(
        statement="The HC3 interval covers 95 %.",
        quantity="coverage of the 95 % interval",
        experiment=interval_coverage,
        predicted=coverage_by_formula,
        rival=coverage_of_classical_intervals,
        relation="≈",
        tolerance=0.015,
        reason="HC3's own bias and spread are O(1/n), a few times 1/200",
        parameters={"cov_type": "HC3", **FAN},
    ),
    figure=draw_unequal_spread,
)

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
# **Remedy.** Judge each residual against a fit without its own row: the studentized deleted residual $e/(s_{(i)}\sqrt{1-h})$
# is Student's t with $\nu=n-2$ degrees of freedom, shifted by $\Delta\sqrt{1-h}/\sigma$. Its mean is known,
#
# $$\frac\Delta\sigma\sqrt{1-h}\;\sqrt{\frac\nu2}\,\frac{\Gamma(\frac{\nu-1}2)}{\Gamma(\frac\nu2)},$$
#
# and stands, in the mean, more than three deviations out.

# %%
FAR = {"h": 0.9, "delta": 10.0, "n": 30}


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
    if not 0 < h < 1 or n < 4:
        raise ValueError(f"h must be inside (0, 1) and n at least 4, got {h}, {n}.")
    if not studentized:
        return (1 - h) * delta
    nu = n - 2
    bias = np.sqrt(nu / 2) * np.exp(gammaln((nu - 1) / 2) - gammaln(nu / 2))
    return float(delta * np.sqrt(1 - h) * bias)


def residual_by_standard_deviation(*, h: float, delta: float, **_: Any) -> float:
    """The nearest wrong theory: the residual shrinks as its standard deviation does, by √(1 − h)."""
    return float(np.sqrt(1 - h) * delta)


def residual_left_by_the_broken_fit(*, studentized: bool, **settings: Any) -> float:
    """The rival of the remedy."""
    return residual_by_formula(studentized=False, **settings)


def draw_leverage() -> Any:
    """The bent line, and all residuals of one sample in both forms."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(2)
    n, h = FAR["n"], FAR["h"]
    X = far_point(h=h, n=n)
    y = rng.standard_normal(n)
    y[-1] += FAR["delta"]
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
    Y[-1] += FAR["delta"]
    model = LinearRegression(fit_intercept=False).fit(X, Y)
    for values, color, label, studentized in (
        (model.residuals_[-1], COLORS["broken"], "residual", False),
        (model.studentized_residuals_[-1], COLORS["mended"], "studentized, row left out", True),
    ):
        right.hist(values, bins=60, color=color, alpha=0.6, label=label)
        right.axvline(
            residual_by_formula(studentized=studentized, **FAR), color=COLORS["theory"], linestyle="--"
        )
    right.set(
        title="The bad row in 4,000 samples (dashed: predicted)", xlabel="in standard deviations", yticks=[]
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
        statement="An error of ten standard deviations at a point of leverage 0.9 leaves a residual of one.",
        quantity="mean residual of the bad row, in standard deviations of the noise",
        experiment=residual_of_the_bad_row,
        predicted=residual_by_formula,
        rival=residual_by_standard_deviation,
        relation="≈",
        tolerance=0.03,
        reason="the formula is exact; δ is four Monte Carlo errors √(1−h)/√2000 of one replicate",
        parameters={"studentized": False, **FAR},
        sweep=Sweep("h", (0.1, 0.3, 0.5, 0.7, 0.9, 0.97), "leverage of the bad row", seeds=4),
    ),
    remedy=Claim(
        statement="Judged by a fit without its own row, the same error stands more than three deviations out.",
        quantity="mean studentized deleted residual of the bad row",
        experiment=residual_of_the_bad_row,
        predicted=residual_by_formula,
        rival=residual_left_by_the_broken_fit,
        relation="≈",
        tolerance=0.1,
        reason="the formula is exact; δ is four Monte Carlo errors 1.1/√2000 of one replicate",
        parameters={"studentized": True, **FAR},
    ),
    figure=draw_leverage,
)

# %%
FAILURE_MODES = (SAME_ROWS_AGAIN, COLLINEARITY, OMITTED_VARIABLE, UNEQUAL_SPREAD, LEVERAGE)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
