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
# # Silhouettes: how well does each point sit in its cluster?
#
# With $a_i$ its mean distance to the others of its own cluster and $b_i$
# the smallest mean distance to another cluster, $s_i=(b_i-a_i)/\max(a_i,b_i)\in[-1,1]$; alone in a cluster, $s_i=0$.


# %%
from __future__ import annotations

from typing import Any

import numpy as np

from level2_classical.parts.k_means.one_pass import CHUNK
from shared.arrays import random_generator, validate_choice, validate_labels, validate_matrix, validate_number
from shared.numerics import squared_distances


# %%
def silhouette_score(
    X: Any,
    labels: Any,
    *,
    metric: str = "euclidean",
    sample_size: int | None = None,
    random_state: Any = None,
) -> float:
    """Mean silhouette of all points; near 1 is well separated, near 0 overlapping, negative misplaced.

    Args:
        X: data (n, d), or the distances (n, n) themselves with metric="precomputed".
        labels: cluster of each point, with 2 to n − 1 distinct values.
        metric: "euclidean" or "precomputed".
        sample_size, random_state: use a random sample of that many points.

    O(n²d) time; memory grows with n, not n². Source: Rousseeuw (1987).
    """
    validate_choice(metric, "metric", ("euclidean", "precomputed"))
    X = validate_matrix(X)
    if metric == "precomputed" and X.shape[0] != X.shape[1]:
        raise ValueError(f"X must be square with metric='precomputed', got shape {X.shape}.")
    _, codes = validate_labels(labels, "labels", length=len(X))
    if sample_size is not None:
        validate_number(sample_size, "sample_size", minimum=2, maximum=len(X), integer=True)
        rows = random_generator(random_state).permutation(len(X))[:sample_size]
        X = X[np.ix_(rows, rows)] if metric == "precomputed" else X[rows]
        _, codes = np.unique(codes[rows], return_inverse=True)
    k, n = int(codes.max()) + 1, len(X)
    if not 2 <= k <= n - 1:
        raise ValueError(f"labels must have 2 to n_samples - 1 = {n - 1} distinct values, got {k}.")
    one_hot = np.eye(k)[codes]  # (n, k)
    size = one_hot.sum(axis=0)  # (k,)
    total = 0.0
    for start in range(0, n, CHUNK):
        mine = codes[start : start + CHUNK]
        part = X[start : start + CHUNK]
        distance = part if metric == "precomputed" else np.sqrt(squared_distances(part, X))
        summed = distance @ one_hot  # (chunk, k): summed distance to each cluster
        own = np.arange(len(part)), mine
        inside = summed[own] / np.maximum(size[mine] - 1, 1)  # a
        mean = summed / size
        mean[own] = np.inf
        outside = mean.min(axis=1)  # b
        scale = np.maximum(inside, outside)
        score = np.divide(outside - inside, scale, out=np.zeros_like(scale), where=scale > 0)
        total += float(np.sum(np.where(size[mine] > 1, score, 0.0)))
    return total / n
