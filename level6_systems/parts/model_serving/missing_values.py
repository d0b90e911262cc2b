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
# # A rule that fills in what is missing, served
#
# Part of the topic [model serving](../../model_serving.py): the experiment behind its first failure mode.

# %%
from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from level6_systems.parts.model_serving.onnx_export import export_onnx
from level6_systems.parts.model_serving.service import OnnxPredictor

__all__ = ["accuracy_as_trained", "accuracy_by_formula", "accuracy_of_the_zero", "served_accuracy"]


# %%
@cache
def tumors() -> tuple[Any, ...]:
    """Measurements (569, 4), whether benign, means, deviations, and the least-squares rule on standardized features."""
    from level2_classical.linear_regression import LinearRegression
    from shared.datasets import load_breast_cancer

    data = load_breast_cancer()
    X = data.X[:, [0, 1, 4, 6]]  # means of radius, texture, smoothness, concavity
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    rule = LinearRegression().fit((X - mean) / deviation, 2.0 * data.y - 1.0)
    return X, data.y == 1, mean, deviation, np.asarray(rule.coef_), float(rule.intercept_)


@cache
def served_rule() -> OnnxPredictor:
    """The rule as it is deployed: what is not a number becomes the mean, inside the graph."""
    from level1_foundations import automatic_differentiation as ad
    from level3_deep_learning.modules import Linear, Module

    _, _, mean, deviation, weight, intercept = tumors()

    class Filling(Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = Linear(len(weight), 1, rng=0)
            self.linear.weight.array[...], self.linear.bias.array[...] = weight, intercept

        def forward(self, z: Any) -> Any:
            return self.linear(ad.where(ad.isnan(z), 0.0, z))  # 0 is the mean of a standardized feature

    model = export_onnx(Filling(), len(weight), shift=mean, scale=deviation)
    return OnnxPredictor(model.SerializeToString())


def served_accuracy(rng: np.random.Generator, missing: float, filled_with_zero: bool, patterns: int) -> float:
    """Accuracy of the exported rule, over `patterns` draws of which rows lack their first value."""
    X, benign, *_ = tumors()
    requests = np.tile(X, (patterns, 1))
    requests[rng.random(len(requests)) < missing, 0] = np.nan
    if filled_with_zero:
        requests = np.nan_to_num(requests)
    return float(np.mean((served_rule()(requests)[:, 0] > 0) == np.tile(benign, patterns)))


def accuracy_by_formula(missing: float, filled_with_zero: bool, patterns: int = 0) -> float:
    """(1 − q) A + q A′."""
    if not 0 <= missing <= 1:
        raise ValueError(f"missing must be a probability, got {missing}.")
    X, benign, mean, deviation, weight, intercept = tumors()
    z = intercept + (X - mean) / deviation @ weight
    filled = 0.0 if filled_with_zero else mean[0]
    moved = z + weight[0] * (filled - X[:, 0]) / deviation[0]
    right, still = np.mean((z > 0) == benign), np.mean((moved > 0) == benign)
    return float((1 - missing) * right + missing * still)


def accuracy_as_trained(missing: float, **settings: Any) -> float:
    """The nearest wrong theory: a missing value costs what it cost in training."""
    return accuracy_by_formula(missing, filled_with_zero=False)


def accuracy_of_the_zero(missing: float, **settings: Any) -> float:
    """The rival of the remedy."""
    return accuracy_by_formula(missing, filled_with_zero=True)
