"""The scores that several topics share, by scikit-learn's names and conventions."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.arrays import check_same_length, validate_sample_weight, validate_vector
from shared.numerics import power_of_two

__all__ = ["accuracy_score", "mean_squared_error", "r2_score"]


def r2_score(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Coefficient of determination, 1 − Σw(y − ŷ)² / Σw(y − ȳ)², averaged over the outputs.

    A constant target has no variance to explain: a perfect prediction then scores 1 and any other 0, as
    in scikit-learn. O(n). Raises ValueError on mismatched shapes; warns with fewer than two samples,
    where it returns NaN.
    """
    y_true = validate_vector(y_true, "y_true", allow_matrix=True)
    y_pred = validate_vector(y_pred, "y_pred", allow_matrix=True)
    check_same_length(len(y_true), len(y_pred), "y_true", "y_pred")
    if len(y_true) < 2:
        import warnings

        warnings.warn("R^2 score is not well-defined with less than two samples.", stacklevel=2)
        return float("nan")
    weight = validate_sample_weight(sample_weight, len(y_true))[:, None]
    y_true, y_pred = y_true.reshape(len(y_true), -1), y_pred.reshape(len(y_pred), -1)
    if y_true.shape != y_pred.shape:
        raise ValueError(f"y_true has shape {y_true.shape} but y_pred has shape {y_pred.shape}.")
    counted = weight[:, 0] > 0  # what weighs nothing is left out, whatever it holds
    y_true, y_pred, weight = (
        array[counted].astype(np.float64, copy=False) for array in (y_true, y_pred, weight)
    )
    moved = y_true - y_true[0]  # so that a constant target has no variance, not one of rounding
    centered = moved - np.average(moved, axis=0, weights=weight[:, 0])
    unit = power_of_two(np.maximum(np.abs(centered).max(axis=0), np.abs(y_true - y_pred).max(axis=0)))
    residual = (weight * ((y_true - y_pred) * unit) ** 2).sum(axis=0)
    total = (weight * (centered * unit) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(total > 0, 1 - residual / total, np.where(residual > 0, 0.0, 1.0))
    return float(scores.mean())


def mean_squared_error(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Weighted mean of (y − ŷ)², averaged over the outputs. O(n)."""
    y_true = validate_vector(y_true, "y_true", allow_matrix=True)
    y_pred = validate_vector(y_pred, "y_pred", allow_matrix=True)
    if y_true.shape != y_pred.shape:
        raise ValueError(f"y_true has shape {y_true.shape} but y_pred has shape {y_pred.shape}.")
    weight = validate_sample_weight(sample_weight, len(y_true))
    return float(np.average((y_true - y_pred) ** 2, axis=0, weights=weight).mean())


def accuracy_score(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Weighted share of predictions equal to the label; with (n, k) labels, of rows equal in all k. O(nk)."""
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    for name, labels in (("y_true", y_true), ("y_pred", y_pred)):
        if labels.size == 0:
            raise ValueError(f"{name} must hold at least one label, got an empty array.")
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            raise ValueError(
                f"{name} must not hold {'NaN' if np.isnan(labels).any() else 'inf'}, which is no label."
            )
    if y_true.ndim not in (1, 2) or y_true.ndim != y_pred.ndim:
        raise ValueError(
            f"y_true and y_pred must both have 1 or 2 dimensions, got shapes {y_true.shape} and {y_pred.shape}."
        )
    check_same_length(len(y_true), len(y_pred), "y_true", "y_pred")
    weight = validate_sample_weight(sample_weight, len(y_true))
    right = y_true == y_pred if y_true.ndim == 1 else np.all(y_true == y_pred, axis=1)
    return float(np.average(right, weights=weight))
