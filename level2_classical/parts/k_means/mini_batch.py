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
# # Mini-batches: k-means for data that do not fit a pass
#
# With a step size $1/m_j$, where $m_j$ counts all weight that center $j$ has ever seen, the update
# $\mu_j\leftarrow\mu_j+\tfrac{1}{m_j}\sum_{i\in\text{batch},z_i=j}w_i(x_i-\mu_j)$ keeps each center at the mean of its past
# points [@sculley2010]. Centers that are hardly visited start again in the batch.

# %%
from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from level2_classical.parts.k_means.frame import frame_of
from level2_classical.parts.k_means.one_pass import inertia_of, nearest, sorted_sums
from shared.arrays import random_generator, validate_number, validate_sample_weight


# %%
def mini_batch_step(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"],
    centers: Float[np.ndarray, "k d"],
    mass: Float[np.ndarray, " k"],
) -> float:
    """Move centers and masses m_j by one batch, in place; returns the batch's inertia before the move. O(nkd)."""
    labels = nearest(X, centers)
    sums, batch_mass = sorted_sums(X, weight, labels, len(centers))
    inertia = inertia_of(X, weight, centers, labels)
    seen = batch_mass > 0
    total = mass[seen] + batch_mass[seen]
    centers[seen] = (centers[seen] * mass[seen, None] + sums[seen]) / total[:, None]
    mass[seen] = total
    return inertia


def reassign_small(
    X: Float[np.ndarray, "n d"],
    centers: Float[np.ndarray, "k d"],
    mass: Float[np.ndarray, " k"],
    ratio: float,
    rng: np.random.Generator,
) -> None:
    """Move centers whose mass is below ratio × the largest to random rows of the batch, in place.

    At most half as many centers as the batch has rows are moved, the lightest first; they get the smallest
    mass among the rest, so that they are not moved again at once.
    """
    small = np.flatnonzero(mass < ratio * mass.max())
    small = small[np.argsort(mass[small], kind="stable")][: len(X) // 2]
    if len(small):
        centers[small] = X[rng.choice(len(X), size=len(small), replace=False)]
        kept = np.setdiff1d(np.arange(len(mass)), small)
        mass[small] = mass[kept].min()


class MiniBatches:
    """`fit` and `partial_fit` by mini-batches, for an estimator with centers and a way to start (`_start`)."""

    def __init__(
        self,
        n_clusters=8,
        *,
        init="k-means++",
        max_iter=100,
        batch_size=1024,
        random_state=None,
        tol=0.0,
        max_no_improvement=10,
        init_size=None,
        n_init="auto",
        reassignment_ratio=0.01,
    ):
        super().__init__(
            n_clusters, init=init, n_init=n_init, max_iter=max_iter, tol=tol, random_state=random_state
        )
        self.batch_size = batch_size
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.reassignment_ratio = reassignment_ratio
        del self.algorithm  # mini-batches have no Elkan form

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Cluster the rows of X by random batches; `y` is ignored. Returns self."""
        X = self._fit_matrix(X)
        k, n_init = self._validate_parameters(X)
        everything, (X, weight) = X, self._weighted_rows(X, sample_weight, k)
        weight = np.ones(len(X), X.dtype) if weight is None else weight
        rng = random_generator(self.random_state)
        n, batch = len(X), min(int(self.batch_size), len(X))
        frame = frame_of(X)
        centers = frame.into(self._best_start(X, weight, k, n_init, rng))
        X = frame.into(X)
        mass = np.zeros(k, X.dtype)
        limit = float(self.tol * X.var(axis=0).mean())  # of the frame, as the moves
        smooth = min(1.0, 2.0 * batch / (n + 1))  # weight of the newest batch in the moving averages
        average_inertia = average_move = lowest = math.inf
        stale = 0
        for step in range(1, max(1, int(self.max_iter) * n // batch) + 1):
            rows = rng.integers(n, size=batch)
            before = centers.copy()
            value = mini_batch_step(X[rows], weight[rows], centers, mass) / batch
            if self.reassignment_ratio > 0 and step % (10 + int(mass.min())) == 0:
                reassign_small(X[rows], centers, mass, self.reassignment_ratio, rng)
            if step == 1:
                continue  # the first batch's inertia is that of the start
            move = float(np.sum((centers - before) ** 2))
            average_inertia = _moving_average(average_inertia, value, smooth)
            average_move = _moving_average(average_move, move, smooth)
            stale = 0 if average_inertia < lowest else stale + 1
            lowest = min(lowest, average_inertia)
            patience = self.max_no_improvement
            if (limit > 0 and average_move <= limit) or (patience is not None and stale >= patience):
                break
        self.cluster_centers_, self.n_steps_, self._mass, self._frame = frame.back(centers), step, mass, frame
        self.n_iter_, self._rng = math.ceil(step * batch / n), rng
        self.labels_ = self._nearest(everything)
        self.inertia_ = self._inertia(
            everything, validate_sample_weight(sample_weight, len(everything), X.dtype)
        )
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Update the centers by one batch X; the first call chooses the start in it. Returns self."""
        fresh = not hasattr(self, "cluster_centers_")
        X = self._fit_matrix(X) if fresh else self._predict_matrix(X, dtype=self.cluster_centers_.dtype)
        weight = validate_sample_weight(sample_weight, len(X), X.dtype)
        if fresh:
            k, n_init = self._validate_parameters(X)
            self._rng = random_generator(self.random_state)
            counted, positive = self._weighted_rows(X, weight, k)
            self.cluster_centers_ = self._best_start(counted, positive, k, n_init, self._rng)
            self._mass, self.n_steps_, self._frame = np.zeros(k, X.dtype), 0, frame_of(counted)
        points, centers = self._frame.into(X[weight > 0]), self._frame.into(self.cluster_centers_)
        if len(points):
            mini_batch_step(points, weight[weight > 0], centers, self._mass)
        self.n_steps_ += 1
        if len(points) and self.reassignment_ratio > 0 and self.n_steps_ % (10 + int(self._mass.min())) == 0:
            reassign_small(points, centers, self._mass, self.reassignment_ratio, self._rng)
        self.cluster_centers_ = self._frame.back(centers)
        self.labels_ = self._nearest(X)
        self.inertia_ = self._inertia(X, weight)
        return self

    def _best_start(
        self, X: np.ndarray, weight: np.ndarray, k: int, n_init: int, rng: np.random.Generator
    ) -> np.ndarray:
        """The start with the lowest inertia on a random part of the data."""
        size = self.init_size or max(3 * int(self.batch_size), 3 * k)
        rows = rng.choice(len(X), size=max(k, min(size, len(X))), replace=False)
        starts = [self._start(X[rows], weight[rows], k, rng) for _ in range(n_init)]
        if n_init == 1:
            return starts[0]
        frame = frame_of(X[rows])
        points, inside = frame.into(X[rows]), [frame.into(start) for start in starts]
        inertia = [inertia_of(points, weight[rows], c, nearest(points, c)) for c in inside]
        return starts[int(np.argmin(inertia))]

    def _validate_parameters(self, X: np.ndarray) -> tuple[int, int]:
        self.algorithm = "lloyd"
        try:
            k, n_init = super()._validate_parameters(X)
        finally:
            del self.algorithm
        validate_number(self.batch_size, "batch_size", minimum=1, integer=True)
        validate_number(self.reassignment_ratio, "reassignment_ratio", minimum=0)
        for name in ("max_no_improvement", "init_size"):
            if getattr(self, name) is not None:
                validate_number(getattr(self, name), name, minimum=1, integer=True)
        return k, 3 if self.n_init == "auto" and isinstance(
            self.init, str
        ) and self.init == "random" else n_init


def _moving_average(average: float, value: float, smooth: float) -> float:
    return value if math.isinf(average) else (1 - smooth) * average + smooth * value
