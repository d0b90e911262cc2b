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
# # What a fitted regression tells beside its standard errors
#
# Part of the topic [linear regression](../../linear_regression.py): intervals, F tests, the condition of the design,
# residuals, $R^2$, information criteria, and the summary. All of it stands on the sandwich and the basis of the page.

# %%
from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np

from level2_classical.parts.linear_regression.blocks import centered_blocks, column_means, triangle
from level2_classical.parts.linear_regression.inference import (
    FTest,
    gaussian_log_likelihood,
    orthonormal_restrictions,
    studentized_deleted_residuals,
    two_sided_p_value,
    two_sided_quantile,
    wald_f,
)
from level2_classical.parts.linear_regression.rank import (
    column_lengths,
    null_directions,
    unit_length,
    variance_decomposition,
)
from level2_classical.parts.linear_regression.summary import summary_table
from shared import linalg
from shared.arrays import validate_choice, validate_matrix, validate_number, validate_sample_weight
from shared.estimator import Estimator, RegressorMixin
from shared.numerics import power_of_two

__all__ = ["COVARIANCES", "Basis", "FurtherStatistics"]

COVARIANCES = ("nonrobust", "HC0", "HC1", "HC2", "HC3")


# %%
class Basis(NamedTuple):
    """What the statistics need of the rows with positive weight.

    Q (n, q), B (p, q), weighted residuals (n, k), leverages (n,), targets (n, k), weights (n,), which rows of the
    training data these are, n − q, or NaN if nothing is left, and the unit (k,) that the residuals are multiplied by.
    """

    Q: np.ndarray
    B: np.ndarray
    residuals: np.ndarray
    leverage: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    present: np.ndarray
    df: float
    unit: np.ndarray


# %%
class FurtherStatistics(RegressorMixin, Estimator):
    """Statistics of a fitted regression that build on its `_basis`, `_sandwich` and `_estimate`; the checks of its parameters."""

    def _shaped(self, values: Any) -> Any:
        """One entry for each target; a vector target has no such axis."""
        return values if self._data[1].ndim == 2 else values[0]

    def _estimate(self) -> np.ndarray:
        """All coefficients, (k, p), the intercept first."""
        if not self.fit_intercept:
            return self._coef
        return np.column_stack([self._y_mean - self._coef @ self._x_mean, self._coef])

    def _reference_df(self, cov_type: Any) -> float | None:
        """Degrees of freedom of the t distribution that p-values and intervals use, None for the normal."""
        robust = (self.cov_type if cov_type is None else cov_type) != "nonrobust"
        use_t = not robust if self.use_t is None else self.use_t
        return self._basis().df if use_t else None

    def covariance(self, cov_type: Any = None) -> np.ndarray:
        """Covariance of the coefficients, intercept first, (p, p) or (k, p, p); `None` means the estimator's kind."""
        return self._shaped(
            self._sandwich(self._basis().B, cov_type) / self._basis().unit[:, None, None] ** 2
        )

    @property
    def standard_errors_(self) -> np.ndarray:
        """Standard deviation of each estimated coefficient, intercept first, (p,) or (k, p)."""
        return self._shaped(self._standard_errors(None))

    @property
    def t_values_(self) -> np.ndarray:
        """Coefficient over standard error (with normal reference often called z), (p,) or (k, p)."""
        with np.errstate(invalid="ignore"):  # a constant column: zero over zero is NaN, and was warned of
            return self._shaped(self._estimate() / self._standard_errors(None))

    @property
    def p_values_(self) -> np.ndarray:
        """Two-sided p-value of the hypothesis that a coefficient is zero, (p,) or (k, p)."""
        return two_sided_p_value(self.t_values_, self._reference_df(None))

    def conf_int(self, level: Any = 0.95, *, cov_type: Any = None) -> np.ndarray:
        """Confidence interval of each coefficient, intercept first, (p, 2) or (k, p, 2)."""
        level = validate_number(level, "level", minimum=0, maximum=1, exclusive=True)
        half = two_sided_quantile(level, self._reference_df(cov_type)) * self._standard_errors(cov_type)
        estimate = self._estimate()
        return self._shaped(np.stack([estimate - half, estimate + half], axis=-1))

    def prediction_interval(
        self,
        X: Any,
        level: Any = 0.95,
        *,
        of: Any = "observation",
        cov_type: Any = None,
        sample_weight: Any = None,
    ) -> np.ndarray:
        """Interval for a new observation at each row of X, or `of="mean"` for the plane there.

        `sample_weight` (m,) are the weights of the new observations, in the unit of those in `fit`; by default 1. An
        observation of weight w has the variance s²/w, whatever `cov_type` says of the coefficients.

        Returns (m, 2), lower and upper; (m, k, 2) for a matrix of targets. O(mp²k).

        Raises:
            ValueError: a weight that is zero or negative, or weights with `of="mean"`, which does not use them.
        """
        validate_choice(of, "of", ("observation", "mean"))
        level = validate_number(level, "level", minimum=0, maximum=1, exclusive=True)
        X = self._predict_matrix(X, dtype=self._dtype())
        if sample_weight is not None and of == "mean":
            raise ValueError(
                "sample_weight is of no use with of='mean': the plane has no error of its own. Leave it out."
            )
        weight = validate_sample_weight(sample_weight, len(X))
        if not np.all(weight > 0):
            raise ValueError(
                f"sample_weight must be positive, got {weight.min()!r}: its interval would have no end."
            )
        center = (X - self._x_mean) @ self._coef.T + self._y_mean  # (m, k)
        basis = self._basis()
        rows = (X - self._x_mean) @ self._factor  # [1 x]B, without the cancellation in its product
        if self.fit_intercept:
            rows = np.column_stack([np.full(len(X), basis.B[0, 0]), rows])  # 1/√W
        middle = self._sandwich(np.eye(basis.Q.shape[1]), cov_type)
        variance = np.einsum("mp,kpq,mq->mk", rows, middle, rows, optimize=True)
        if of == "observation":
            variance = variance + np.sum(basis.residuals**2, axis=0) / basis.df / weight[:, None]
        half = two_sided_quantile(level, self._reference_df(cov_type)) * np.sqrt(variance) / basis.unit
        interval = np.stack([center - half, center + half], axis=-1)
        return interval if self._data[1].ndim == 2 else interval[:, 0]

    def _triangle(self) -> np.ndarray:
        """R of the centered, weighted design, (min(n, d), d). O(nd²)."""
        X, _, weight = self._data
        nothing = np.empty((len(X), 0), X.dtype)
        return triangle(centered_blocks(X, nothing, weight, self._x_mean, np.empty(0)), X.shape[1])

    @property
    def condition_number_(self) -> float:
        """Largest over smallest singular value of the centered, weighted design in unit columns; inf below full rank."""
        self._check_is_fitted()
        if self.rank_ < self.n_features_in_:
            return float("inf")
        return float(variance_decomposition(self._triangle(), self.rank_).indices[-1])

    @property
    def variance_inflation_factors_(self) -> np.ndarray:
        """$1/(1-R_j^2)$ of each feature on the others, (d,); inf where the data do not determine the coefficient."""
        known = self.identified_[int(self.fit_intercept) :]
        return np.where(known, variance_decomposition(self._triangle(), self.rank_).inflation, np.inf)

    def _null_directions(self) -> np.ndarray:
        """All changes of (intercept, *coef) that change no fitted value, as columns, (p, d - rank). O(nd² + d³)."""
        X = self._data[0]
        if self.rank_ == X.shape[1]:
            return np.empty((X.shape[1] + int(self.fit_intercept), 0), X.dtype)
        null = null_directions(self._triangle(), self.rank_)
        if not self.fit_intercept:
            return null
        first = -self._x_mean @ null  # β₀ = ȳ − x̄·β moves along
        rounding = np.sqrt(np.finfo(np.float64).eps) * (np.abs(self._x_mean) @ np.abs(null))
        return np.vstack([np.where(np.abs(first) > rounding, first, 0), null])

    @property
    def identified_(self) -> np.ndarray:
        """Which coefficients the data determine, (p,), intercept first: all, unless columns depend on each other."""
        self._check_is_fitted()
        return ~self._null_directions().any(axis=1)

    def f_test(self, restrictions: Any = None, *, cov_type: Any = None) -> FTest:
        """Test that `restrictions @ (intercept, *coef)` is zero, (q, p); by default that all slopes are.

        If columns depend on each other, the default tests that X explains nothing: as many restrictions as its rank.
        NaN without residual degrees of freedom, without a slope to test (rank 0), or with residuals of zero.

        Raises:
            ValueError: restrictions of another width, or ones that depend on each other or on coefficients not identified.
        """
        estimate = self._estimate()
        p, basis = estimate.shape[1], self._basis()
        if restrictions is None:  # g without the part of the constant; as many as the rank
            P = self._slopes()
            weighted = np.sqrt(basis.weight)[:, None] * (basis.y - self._y_mean) * basis.unit
            theta = weighted.T @ basis.Q @ P
        else:
            C = validate_matrix(restrictions, "restrictions")
            if C.shape[1] != p:
                raise ValueError(
                    f"restrictions must have {p} columns (intercept first), got shape {C.shape}."
                )
            self._check_restrictions(C)
            unit = power_of_two(np.abs(basis.B).max(axis=1))  # of each coefficient; a restriction has none
            theta, P = orthonormal_restrictions(
                estimate * unit * basis.unit[:, None], basis.B * unit[:, None], C / unit
            )
        q = P.shape[1]
        spread = self._sandwich(P.T, cov_type)
        nothing = np.full(len(estimate), np.nan)
        test = FTest(nothing, nothing, q, basis.df)
        if q and np.all(np.diagonal(spread, axis1=1, axis2=2) > 0):  # false for NaN too
            with contextlib.suppress(np.linalg.LinAlgError):  # too few residuals that are not zero
                test = wald_f(theta, spread, np.eye(q), basis.df)
        return test._replace(statistic=self._shaped(test.statistic), p_value=self._shaped(test.p_value))

    def _slopes(self) -> np.ndarray:
        """Orthonormal directions of all slopes among the coordinates of Q, (q, m): those that a constant has no part in."""
        basis = self._basis()
        q = basis.Q.shape[1]
        if self.fit_intercept or not self._has_constant():
            return np.eye(q)[:, int(self.fit_intercept) :]
        constant = basis.Q.T @ np.sqrt(basis.weight)
        return linalg.qr(np.column_stack([constant, np.eye(q)]))[0][:, 1:q]

    def _has_constant(self) -> bool:
        """Whether there is an intercept, or the columns of X hold one: a constant column, or dummies that sum to it."""
        if self.fit_intercept:
            return True
        basis = self._basis()
        ones = np.sqrt(basis.weight)
        rest = ones - basis.Q @ (basis.Q.T @ ones)
        return bool(linalg.norm(rest) <= 1e-8 * linalg.norm(ones))

    def _check_restrictions(self, C: np.ndarray) -> None:
        """Raise unless C (q, p) has independent rows that no null direction touches."""
        # In units of each coefficient's own standard deviation: one on a feature in small units is none the less one.
        scaled = C * column_lengths(self._basis().B.T)
        scaled /= unit_length(scaled.T)[:, None]
        independent = np.sum(linalg.svd(scaled)[1] > 1e-12 * linalg.norm(scaled)) == len(C)
        if independent and self.rank_ < len(np.ravel(self._x_mean)):
            null = self._null_directions()
            independent = np.all(np.abs(C @ null) <= 1e-8 * (np.abs(C) @ np.abs(null)))
        if not independent:
            raise ValueError(
                "restrictions must be independent of each other and estimable from X; one of them is not."
            )

    @property
    def df_residual_(self) -> float:
        """n − p: samples of positive weight less the rank of the design."""
        return self._basis().df

    @property
    def residuals_(self) -> np.ndarray:
        """$y-\\hat y$ of the training data, (n,) or (n, k), for all rows."""
        self._check_is_fitted()
        X, y = self._rows
        return y - (X @ self.coef_.T + self.intercept_)

    @property
    def leverage_(self) -> np.ndarray:
        """$h_i$, the share of its own target in each fitted value, (n,); zero for rows of weight zero."""
        basis = self._basis()
        leverage = np.zeros(len(basis.present), basis.Q.dtype)
        leverage[basis.present] = basis.leverage
        return leverage

    @property
    def residual_variance_(self) -> Any:
        """$s^2$, unbiased estimate of the error variance of a row of weight 1; a float or (k,)."""
        basis = self._basis()
        return self._shaped(np.sum(basis.residuals**2, axis=0) / basis.df / basis.unit / basis.unit)

    @property
    def studentized_residuals_(self) -> np.ndarray:
        """Each residual over its standard error from a fit without its row, (n,) or (n, k): t with n − p − 1 degrees.

        $r_i=e_i/(s_{(i)}\\sqrt{1-h_i})$ with $(n-p-1)s_{(i)}^2=\\sum_je_j^2-e_i^2/(1-h_i)$, no refit needed. NaN for rows of weight zero.
        """
        basis = self._basis()
        deleted = studentized_deleted_residuals(basis.residuals, basis.leverage, basis.df)
        result = np.full((len(basis.present), deleted.shape[1]), np.nan, deleted.dtype)
        result[basis.present] = deleted
        return result if self._data[1].ndim == 2 else result[:, 0]

    def _sums_of_squares(self) -> tuple[np.ndarray, np.ndarray]:
        """Residual and total weighted sum of squares of each target, in the basis's unit; total about the mean if there is a constant."""
        basis = self._basis()
        centered = (
            basis.y - column_means(basis.y, basis.weight) if self._has_constant() else basis.y
        ) * basis.unit
        return np.sum(basis.residuals**2, axis=0), np.einsum("n,nk,nk->k", basis.weight, centered, centered)

    @property
    def r_squared_(self) -> Any:
        """1 − residual over total sum of squares (about zero without a constant, as in statsmodels)."""
        rss, total = self._sums_of_squares()
        with np.errstate(divide="ignore", invalid="ignore"):  # a constant target: 0/0 is NaN
            return self._shaped(1 - rss / total)

    @property
    def adjusted_r_squared_(self) -> Any:
        """The same with both sums divided by their degrees of freedom, so that an idle feature does not raise it."""
        rss, total = self._sums_of_squares()
        basis = self._basis()
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._shaped(1 - (rss / basis.df) / (total / (len(basis.Q) - int(self._has_constant()))))

    @property
    def log_likelihood_(self) -> Any:
        """Gaussian log-likelihood at the estimate and the maximum likelihood variance."""
        basis = self._basis()
        rss = np.sum(basis.residuals**2, axis=0)
        return self._shaped(
            gaussian_log_likelihood(rss, basis.weight) + len(basis.weight) * np.log(basis.unit)
        )

    @property
    def aic_(self) -> Any:
        """Akaike's criterion, $2p-2\\log L$ (the variance is not counted, as in statsmodels)."""
        return 2 * self._basis().Q.shape[1] - 2 * self.log_likelihood_

    @property
    def bic_(self) -> Any:
        """Schwarz's criterion, $p\\log n-2\\log L$."""
        n, p = self._basis().Q.shape
        return p * np.log(n) - 2 * self.log_likelihood_

    def summary(self, level: Any = 0.95, *, cov_type: Any = None) -> str:
        """The whole fit as a table of text, for one target, at most 80 columns wide.

        Standard errors, p-values, intervals and the F test are of the kind `cov_type`, by default the estimator's, with t
        or z as its `use_t` says. Coefficients that are not identified are marked, and what cannot be estimated is "n/a".

        Raises:
            ValueError: y was a matrix with several targets; level outside (0, 1); an unknown cov_type.
        """
        self._check_is_fitted()
        k = len(np.atleast_2d(self.coef_))
        if k > 1:
            raise ValueError(f"summary needs one target, got {k}: fit one column of y at a time.")
        level = validate_number(level, "level", minimum=0, maximum=1, exclusive=True)
        cov_type = self.cov_type if cov_type is None else validate_choice(cov_type, "cov_type", COVARIANCES)
        return summary_table(self, level, cov_type)

    def _validate_parameters(self) -> None:
        validate_choice(self.fit_intercept, "fit_intercept", (True, False))
        validate_choice(self.solver, "solver", ("qr", "normal", "gradient_descent"))
        validate_choice(self.cov_type, "cov_type", COVARIANCES)
        validate_choice(self.use_t, "use_t", (None, True, False))
        validate_number(self.max_iter, "max_iter", minimum=1, integer=True)
        validate_number(self.tol, "tol", minimum=0)

    def _dtype(self) -> Any:
        self._check_is_fitted()
        return self.coef_.dtype

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
