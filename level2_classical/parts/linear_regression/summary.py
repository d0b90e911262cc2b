"""What a linear regression says in words: the table of `LinearRegression.summary()`, and the parts of its warnings."""

from __future__ import annotations

import math
import sys
import textwrap
import warnings
from typing import Any

import numpy as np

from level2_classical.parts.linear_regression.inference import two_sided_p_value, two_sided_quantile
from level2_classical.parts.linear_regression.rank import LARGE, nearly_dependent, variance_decomposition

__all__ = ["caller_level", "rank_reason", "summary_table"]

NARROW, WIDE = 64, 80  # the least and the most columns of the table
CELL = 12  # the longest number before it is written with an exponent
NAME = 12  # a name of this length does without a line of its own, at the cost of narrower gaps
NOT_AVAILABLE = "n/a"
NAMED = 5  # at most so many features by name
# Frames that are not the caller's: the topic's own, and the checks of types that the tests put between.
PARTS = __name__.rpartition(".")[0]
INSIDE = (PARTS.replace(".parts", ""), PARTS, "jaxtyping", "beartype")


def caller_level() -> int:
    """The `stacklevel` with which a warning of this topic points at the line that called into it."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and any(
        f"{frame.f_globals.get('__name__')}.".startswith(f"{name}.") for name in INSIDE
    ):
        level, frame = level + 1, frame.f_back
    return level


def listed(names: list[str]) -> str:
    """The names in words: "a", "a and b", "a, b and c"; after `NAMED` of them "and 3 more"."""
    more = len(names) - NAMED
    parts = names if more <= 0 else [*names[:NAMED], f"{more} more"]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def feature_names(model: Any) -> list[str]:
    """What the features are called, in one line each: the data frame's names, or x1, x2, …"""
    names = getattr(model, "feature_names_in_", [f"x{j + 1}" for j in range(model.n_features_in_)])
    return [" ".join(str(name).split()) for name in names]


def rank_reason(model: Any) -> str:
    """Why the rank is not full, as a clause that names the features."""
    X = model._data[0]
    if len(X) < X.shape[1]:
        return f"with {len(X)} rows they must depend on each other"
    involved = model._null_directions()[int(model.fit_intercept) :].any(axis=1)
    empty = ~model._triangle().any(axis=0)  # columns of zeros, once centered
    alone, together = (
        [name for name, chosen in zip(feature_names(model), which, strict=True) if chosen]
        for which in (empty, involved & ~empty)
    )
    word = "constant" if model.fit_intercept else "zero"
    parts = [f"{listed(alone)} {'is' if len(alone) == 1 else 'are'} {word}"] if alone else []
    return "; ".join(parts + [f"{listed(together)} depend on each other"] * bool(together))


def summary_table(model: Any, level: float, cov_type: str) -> str:
    """Fit, coefficients and intervals of a fitted regression with one target, as text of equal-width lines.

    Coefficients get the decimals that their standard errors warrant (four digits of the error). Long names stand in lines
    of their own. What the fit cannot answer is "n/a" or "not identified", and a warning below the table says why.
    """
    errors = model._standard_errors(cov_type)[0]  # warns; what follows would only repeat it
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        rows = _coefficients(model, errors, level, cov_type)
        test = model.f_test(cov_type=cov_type)
        overview = _overview(model, cov_type, test)
        notes = _notes(model, cov_type, test)
    letter = "z" if model._reference_df(cov_type) is None else "t"
    tail = (1 - level) / 2
    head = ["", "coef", "std err", letter, f"P>|{letter}|", f"[{tail:.4g}", f"{1 - tail:.4g}]"]
    whole = [row for row in rows if len(row) == 7]
    widths = [max(len(row[j]) for row in (*(rows if j == 1 else whole), head)) for j in range(1, 7)]
    longest = max(len(row[0]) for row in rows)
    gap = 2 if sum(widths) + 2 * 6 + min(longest, NAME) <= WIDE else 1
    numbers = sum(widths) + gap * 6
    width = min(max(numbers + longest, NARROW), WIDE)
    widths = [width - numbers, *widths]
    lines = ["Linear regression".center(width), "=" * width]
    lines += [_pair(*pair, width) for pair in overview]
    lines += ["-" * width, _row(head, widths, gap), "-" * width]
    for row in rows:
        if len(row[0]) > widths[0]:
            lines += textwrap.wrap(row[0], width)
            row = ["", *row[1:]]
        lines.append(_row(row, widths, gap))
    lines.append("=" * width)
    for note in notes:
        lines += textwrap.wrap(note, width)
    return "\n".join(f"{line:<{width}}" for line in lines)


def _coefficients(model: Any, errors: np.ndarray, level: float, cov_type: str) -> list[list[str]]:
    """A row of cells for each coefficient: seven, or two and "not identified"."""
    df = model._reference_df(cov_type)
    estimate = model._estimate()[0]
    t = estimate / errors
    half = two_sided_quantile(level, df) * errors if df is None or df > 0 else np.full_like(errors, np.nan)
    p = two_sided_p_value(t, df)
    names = (["intercept"] if model.fit_intercept else []) + feature_names(model)
    rows = []
    for j, known in enumerate(model.identified_):
        b, se = float(estimate[j]), float(errors[j])
        if not known:
            rows.append([names[j], _number(b, math.nan), "not identified"])
            continue
        interval = [_number(float(b + sign * half[j]), se) for sign in (-1, 1)]
        rows.append([names[j], _number(b, se), _number(se, se), _statistic(t[j]), _p_value(p[j]), *interval])
    return rows


def _overview(model: Any, cov_type: str, test: Any) -> list[tuple[str, str, str, str]]:
    """Pairs of name and value, two in a line."""
    basis = model._basis()
    saturated = np.isnan(basis.df)
    df = len(basis.Q) - basis.Q.shape[1]
    full = model.rank_ == model.n_features_in_  # otherwise some feature is not identified
    weighted = model._data[2] is not None
    r_squared, adjusted, variance, likelihood, aic, bic = (
        float(np.ravel(value)[0])
        for value in (
            model.r_squared_, model.adjusted_r_squared_, model.residual_variance_, model.log_likelihood_,
            model.aic_, model.bic_,
        )
    )  # fmt: skip
    statistic, p_value = float(np.ravel(test.statistic)[0]), float(np.ravel(test.p_value)[0])
    # a residual sum of squares that is nothing but rounding has no likelihood to speak of
    criteria = NOT_AVAILABLE if saturated or not math.isfinite(aic) else f"{aic:.1f}, {bic:.1f}"
    return [
        (
            "Method",
            "weighted least squares" if weighted else "least squares",
            "R²" if model.fit_intercept else "R² about zero",
            _value(r_squared, ".4f"),
        ),
        ("Covariance", cov_type, "Adjusted R²", _value(adjusted, ".4f")),
        ("Observations", f"{len(basis.Q)}", f"F({test.df_num}, {df})", _value(statistic, ".4g")),
        ("Residual df", f"{df}", "P(F)", _p_value(p_value)),
        (
            "Residual std err",
            _value(math.sqrt(variance), ".5g"),
            "Log-likelihood",
            NOT_AVAILABLE if saturated else _value(likelihood, ".2f"),
        ),
        ("Rank of X", f"{model.rank_} of {model.n_features_in_}", "AIC, BIC", criteria),
        (
            "Condition number",
            _size(model.condition_number_),
            "Largest VIF",
            _size(float(model.variance_inflation_factors_.max()) if full else math.inf),
        ),
    ]


def _notes(model: Any, cov_type: str, test: Any) -> list[str]:
    """What the reader must know before believing the table."""
    basis, notes = model._basis(), []
    if model.rank_ < model.n_features_in_:
        notes.append(
            f"Warning: X has rank {model.rank_} but {model.n_features_in_} columns: {rank_reason(model)}. Coefficients that "
            "are not identified are those of the shortest of many equally good solutions; the F test is over the rank. "
            f"Drop features that others determine, {model.n_features_in_ - model.rank_} in all."
        )
    parts = variance_decomposition(model._triangle(), model.rank_)
    near = nearly_dependent(parts)
    if near:
        names = feature_names(model)
        notes.append(
            f"Warning: a condition index of {parts.indices[-1]:.3g} ({LARGE:.0f} is large): "
            f"{listed([names[j] for j in near])} nearly depend on each other, and the data hardly tell their "
            "coefficients apart. Drop or combine some of them, or use ridge regression; predictions on rows like "
            "these do not suffer."
        )
    if np.isnan(basis.df):
        notes.append(
            f"Warning: {len(basis.Q)} observations and {basis.Q.shape[1]} independent columns"
            f"{', the intercept counted' * model.fit_intercept}. The fit passes through every point and leaves nothing to "
            "estimate the noise from."
        )
    elif cov_type in ("HC2", "HC3") and np.isnan(model._error_variances(cov_type)).any():
        notes.append(
            f"Warning: a row of leverage 1 is fitted exactly whatever its error is: {cov_type} is not defined."
        )
    elif model.rank_ and np.isnan(test.statistic):
        notes.append(
            "Warning: too few residuals differ from zero to measure the coefficients by: F is not defined."
        )
    return notes


def _number(value: float, error: float) -> str:
    """`value` with four digits of its `error`, or with five digits of its own if there is none.

    Written out where this takes at most `CELL` characters, otherwise with an exponent.
    """
    if not math.isfinite(value):
        return NOT_AVAILABLE
    size = math.floor(math.log10(abs(value))) if value else 0
    known = math.isfinite(error) and error > 0
    place = 3 - math.floor(math.log10(error)) if known else 4 - size
    decimals = min(max(place, 0), CELL - 1 - len(f"{value:.0f}"))
    meant = size + 1 + place  # digits of the value that its error leaves
    if decimals == 0 or size + 1 + decimals >= min(meant, 5):
        text = f"{value:.{max(decimals, 0)}f}"
        if len(text) <= CELL:
            return text
    return f"{value:.{min(max(meant - 1, 1), 5)}e}"


def _statistic(t: float) -> str:
    return NOT_AVAILABLE if np.isnan(t) else f"{t:.3f}" if abs(t) < 1e5 else f"{t:.3g}"


def _p_value(p: float) -> str:
    if np.isnan(p):
        return NOT_AVAILABLE
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}" if p >= 1e-16 else "<1e-16"


def _value(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else NOT_AVAILABLE


def _size(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "∞"


def _pair(left: str, left_value: str, right: str, right_value: str, width: int) -> str:
    half = width // 2 - 1
    first = f"{left}:{left_value:>{half - len(left) - 1}}"
    return f"{first}  {right}:{right_value:>{width - half - 2 - len(right) - 1}}"


def _row(cells: list[str], widths: list[int], gap: int) -> str:
    """Cells right-aligned after the name; a last cell that stands for the rest takes their room."""
    room = [*widths[1 : len(cells) - 1], sum(widths[len(cells) - 1 :]) + gap * (7 - len(cells))]
    return (" " * gap).join(
        [f"{cells[0]:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(cells[1:], room, strict=True))]
    )
