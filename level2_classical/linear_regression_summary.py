"""The table of text that `LinearRegression.summary()` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from level2_classical.linear_regression import LinearRegression

__all__ = ["summary_table"]


def summary_table(model: LinearRegression, level: float = 0.95) -> str:
    """Fit, coefficients and intervals of a fitted regression with one target, as text of equal-width lines.

    Raises:
        ValueError: the model was fitted to several targets.
    """
    errors = model.standard_errors_
    if errors.ndim == 2:
        raise ValueError(f"summary needs one target, got {len(errors)}: fit one column of y at a time.")
    robust_normal = model._reference_df(None) is None
    head = ("", "coef", "std err", "z" if robust_normal else "t", "P>|z|" if robust_normal else "P>|t|")
    tail = (f"[{(1 - level) / 2:.4g}", f"{(1 + level) / 2:.4g}]")
    names = getattr(model, "feature_names_in_", [f"x{j + 1}" for j in range(model.n_features_in_)])
    names = (["intercept"] if model.fit_intercept else []) + [str(name) for name in names]
    estimate = np.append(model.intercept_, model.coef_) if model.fit_intercept else np.ravel(model.coef_)
    columns = zip(
        names, estimate, errors, model.t_values_, model.p_values_, model.conf_int(level), strict=True
    )
    rows = [
        (name, f"{b:.5g}", f"{se:.4g}", f"{t:.3f}", _p_value(p), f"{low:.5g}", f"{high:.5g}")
        for name, b, se, t, p, (low, high) in columns
    ]
    widths = [max(len(row[j]) for row in (*rows, (*head, *tail))) for j in range(7)]
    width = max(sum(widths) + 2 * 6, 64)
    widths[0] += width - sum(widths) - 2 * 6
    lines = ["Linear regression".center(width), "=" * width]
    lines += [_pair(*pair, width) for pair in _overview(model)]
    lines += ["-" * width, _row((*head, *tail), widths), "-" * width]
    lines += [_row(row, widths) for row in rows]
    return "\n".join([*lines, "=" * width])


def _overview(model: LinearRegression) -> list[tuple[str, str, str, str]]:
    basis = model._basis()
    test = model.f_test()
    weighted = model._data[2] is not None
    return [
        (
            "Method",
            "weighted least squares" if weighted else "least squares",
            "R²",
            f"{model.r_squared_:.4f}",
        ),
        ("Covariance", model.cov_type, "Adjusted R²", f"{model.adjusted_r_squared_:.4f}"),
        ("Observations", f"{len(basis.Q)}", f"F({test.df_num}, {basis.df:g})", f"{test.statistic:.4g}"),
        ("Residual df", f"{basis.df:g}", "P(F)", _p_value(test.p_value)),
        (
            "Residual std err",
            f"{np.sqrt(model.residual_variance_):.5g}",
            "Log-likelihood",
            f"{model.log_likelihood_:.2f}",
        ),
        ("Rank of X", f"{model.rank_}", "AIC, BIC", f"{model.aic_:.1f}, {model.bic_:.1f}"),
    ]


def _p_value(p: float) -> str:
    return f"{p:.3f}" if not p < 0.001 else f"{p:.1e}"


def _pair(left: str, left_value: str, right: str, right_value: str, width: int) -> str:
    half = width // 2 - 1
    first = f"{left}:{left_value:>{half - len(left) - 1}}"
    return f"{first}  {right}:{right_value:>{width - half - 2 - len(right) - 1}}"


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(
        [f"{cells[0]:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(cells[1:], widths[1:], strict=True))]
    )
