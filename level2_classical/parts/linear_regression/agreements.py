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
# # Every option and every statistic beside the libraries'
#
# Part of the topic [linear regression](../../linear_regression.py), whose `validate()` calls it with its class.

# %%
from __future__ import annotations

from typing import Any

import numpy as np

from shared.agreement import Comparison

__all__ = ["compare_coefficients", "compare_statistics"]


def compare_coefficients(comparison: Comparison, LinearRegression: Any, X: Any, y: Any, weight: Any) -> None:
    """All solvers, with and without weights and intercept, several targets, and fewer rows than columns."""
    from sklearn.linear_model import LinearRegression as Reference

    several = np.column_stack([y, np.sqrt(y), X[:, 2] - y])
    cases: list[tuple[str, dict[str, Any], Any, Any, Any]] = [
        (f"{solver}{', weighted' * (w is not None)}{', no intercept' * (not intercept)}",
         {"solver": solver, "fit_intercept": intercept}, X, y, w)
        for solver in ("qr", "normal", "gradient_descent")
        for w in (None, weight)
        for intercept in (True, False)
        if intercept or solver != "gradient_descent"  # without an intercept the columns are too dependent for it
    ]  # fmt: skip
    cases.append(("qr, three targets", {}, X, several, weight))
    cases.append(("qr, a repeated column", {}, np.column_stack([X, X[:, 3] + X[:, 4]]), y, weight))
    cases.append(("qr, 8 rows and 10 columns", {}, X[:8], y[:8], None))
    for label, options, data, target, w in cases:
        ours, theirs = comparison.run(
            lambda o=options, a=data, b=target, w=w: LinearRegression(**o).fit(a, b, sample_weight=w),
            lambda o=options, a=data, b=target, w=w: Reference(
                fit_intercept=o.get("fit_intercept", True)
            ).fit(a, b, sample_weight=w),
        )
        descent = options.get("solver") == "gradient_descent"
        tolerance = 1e-8
        reason = (
            "stops at a gradient of 1e-12 of its start, which 1/λ of the smallest eigenvalue, 0.008, amplifies"
            if descent
            else "closed form: rounding times the condition number"
        )
        comparison.compare(
            f"coefficients, {label}",
            ours.coef_,
            theirs.coef_,
            tolerance=tolerance,
            reason=reason,
            measure="elementwise",
        )
        comparison.compare(
            f"intercept, {label}", ours.intercept_, theirs.intercept_, tolerance=tolerance, reason=reason
        )


def compare_statistics(
    comparison: Comparison,
    LinearRegression: Any,
    X: Any,
    y: Any,
    weight: Any,
    fit_intercept: bool,
    kinds: tuple[str, ...],
) -> None:
    """Every statistic against statsmodels, for the kinds of covariance stacked in one array."""
    from statsmodels.regression.linear_model import OLS, WLS
    from statsmodels.tools import add_constant

    def complete(rows: Any) -> Any:
        return add_constant(rows, has_constant="add") if fit_intercept else rows

    new, own = (
        1.1 * X[:5],
        np.linspace(0.25, 4.0, 5),
    )  # statsmodels refuses as many weights as there are columns
    reference = OLS(y, complete(X)) if weight is None else WLS(y, complete(X), weights=weight)
    ours, theirs = comparison.run(
        lambda: [
            LinearRegression(fit_intercept=fit_intercept, cov_type=kind).fit(X, y, sample_weight=weight)
            for kind in kinds
        ],
        lambda: [reference.fit(cov_type=kind) for kind in kinds],
    )
    tests = [model.f_test() for model in ours]
    forecasts = [result.get_prediction(complete(new)) for result in theirs]
    model, result = ours[0], theirs[0]
    quantities: dict[str, tuple[Any, Any]] = {
        "standard errors": ([m.standard_errors_ for m in ours], [r.bse for r in theirs]),
        "t values": ([m.t_values_ for m in ours], [r.tvalues for r in theirs]),
        "p-values": ([m.p_values_ for m in ours], [r.pvalues for r in theirs]),
        "intervals": ([m.conf_int(0.9) for m in ours], [r.conf_int(0.1) for r in theirs]),
        "covariances": ([m.covariance() for m in ours], [r.cov_params() for r in theirs]),
        "F": ([t.statistic for t in tests], [r.fvalue for r in theirs]),
        "p-value of F": ([t.p_value for t in tests], [r.f_pvalue for r in theirs]),
        "intervals, new observation": (
            [m.prediction_interval(new) for m in ours], [f.conf_int(obs=True) for f in forecasts],
        ),
        "intervals, new observation of its own weight": (
            [m.prediction_interval(new, sample_weight=own) for m in ours],
            [r.get_prediction(complete(new), weights=own).conf_int(obs=True) for r in theirs],
        ),
        "intervals, new mean": (
            [m.prediction_interval(new, of="mean") for m in ours], [f.conf_int() for f in forecasts],
        ),
        "residual variance": (model.residual_variance_, result.scale),
        "R²": (model.r_squared_, result.rsquared),
        "adjusted R²": (model.adjusted_r_squared_, result.rsquared_adj),
        "log-likelihood": (model.log_likelihood_, result.llf),
        "AIC and BIC": ([model.aic_, model.bic_], [result.aic, result.bic]),
    }  # fmt: skip
    if weight is None and len(X) < 50:  # statsmodels fits once for each row here
        influence = result.get_influence()
        quantities["leverages"] = (model.leverage_, influence.hat_matrix_diag)
        quantities["studentized residuals"] = (
            model.studentized_residuals_,
            influence.resid_studentized_external,
        )
    for name, (a, b) in quantities.items():
        comparison.compare(
            f"{name}{'' if fit_intercept else ', no intercept'}", np.asarray(a), np.asarray(b),
            tolerance=1e-8, measure="elementwise",
            reason="closed forms: rounding times the condition number of [1, X], which statsmodels' pseudo-inverse meets whole",
        )  # fmt: skip
