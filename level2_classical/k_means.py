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
# # k-means clustering
#
# ## 1. Select
#
# **Question.** Given $n$ points and a number $k$, which $k$ centers represent the points best, and which
# points belong to which center?
#
# **Builds on** nothing but sums and squares. **Mirrors** `sklearn.cluster.KMeans`, `MiniBatchKMeans` and
# `sklearn.metrics.silhouette_score`.
#
# **Sources.** Lloyd (1982), the two-step iteration; Elkan (2003), the triangle inequality; Arthur and
# Vassilvitskii (2007), k-means++; Sculley (2010), mini-batches; Rousseeuw (1987), silhouettes.

# %% [markdown]
# ## 2. Derive
#
# Let $x_1,\dots,x_n\in\mathbb R^d$ carry weights $w_i>0$ (ones, unless told otherwise), let $\mu_1,\dots,\mu_k$
# be centers and $z_i\in\{1,\dots,k\}$ labels. We minimize the **inertia**
#
# $$J(z,\mu)=\sum_{i=1}^n w_i\,\lVert x_i-\mu_{z_i}\rVert^2 .$$
#
# Finding the global minimum is NP-hard, but each half of the problem is easy.
#
# **Labels, with the centers fixed.** Each term depends on its own $z_i$ alone, so
#
# $$z_i=\arg\min_j\lVert x_i-\mu_j\rVert^2=\arg\min_j\big(\lVert\mu_j\rVert^2-2\,x_i\cdot\mu_j\big),$$
#
# where $\lVert x_i\rVert^2$ was dropped because it is the same for every $j$. All scores come from one matrix
# product.
#
# **Centers, with the labels fixed.** Setting $\partial J/\partial\mu_j=-2\sum_{i:z_i=j}w_i(x_i-\mu_j)$ to zero gives
# the weighted mean
#
# $$\mu_j=\frac{\sum_{i:z_i=j}w_i x_i}{\sum_{i:z_i=j}w_i}.$$
#
# Neither half can raise $J$, and there are finitely many labelings, so alternating them (**Lloyd's algorithm**)
# ends after finitely many steps, in a *local* minimum. The start decides in which one.
#
# **A good start (k-means++).** Take the first center at random, and each next one with probability proportional
# to $w_i D_i^2$, where $D_i$ is the distance from $x_i$ to the nearest center so far. The expected inertia is
# then within a factor $8(\ln k+2)$ of the optimum, before a single Lloyd step. The *greedy* form draws
# $2+\lfloor\ln k\rfloor$ candidates and keeps the one that lowers the inertia most.
#
# **Fewer distances (Elkan).** If $\lVert x-\mu_a\rVert\le\tfrac12\lVert\mu_a-\mu_b\rVert$, then $\mu_b$ cannot be
# nearer to $x$ than $\mu_a$: by the triangle inequality
# $\lVert x-\mu_b\rVert\ge\lVert\mu_a-\mu_b\rVert-\lVert x-\mu_a\rVert\ge\lVert x-\mu_a\rVert$. Bounds that survive a
# move of the centers (grown or shrunk by the length of the move) let most distances go uncomputed, and the labels
# stay exactly Lloyd's.
#
# **What it assumes.** Squared Euclidean distance is the right loss: clusters are round, of one width, about
# equally full, and the features share a unit. What happens otherwise is in `failure_modes/k_means.py`.
#
# **Cost.** $O(nkd)$ time an iteration and $O(nd)$ memory; Elkan keeps $O(nk)$ bounds.
#
# | symbol | in the code | shape |
# |---|---|---|
# | $x_i$ | `X` | (n, d) |
# | $\mu_j$ | `centers` | (k, d) |
# | $z_i$ | `labels` | (n,) |
# | $w_i$ | `weight` | (n,) |

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import (
    random_generator,
    validate_choice,
    validate_labels,
    validate_matrix,
    validate_number,
    validate_sample_weight,
)
from shared.estimator import ClusterMixin, Estimator, TransformerMixin, warn_not_converged
from shared.numerics import squared_distances

CHUNK = 2048  # rows at a time, where a chunk costs memory of its own size
ONE_HOT_LIMIT = 40  # up to this k, one-hot products beat sorting the labels
TIE = 1e-9  # distances closer than this, relatively, may be ordered either way by rounding


def chunk_length(k: int, d: int) -> int:  # practice: keep
    """Points at a time: few enough that their scores against k centers stay in the processor's cache, and that the
    product is a small one to BLAS (below 10⁶ multiplications OpenBLAS skips the copies it makes for large ones)."""
    return max(512, min(50_000 // k, 900_000 // (k * (d + 1))))


# %% [markdown]
# ### Labels and sums
# $z_i=\arg\min_j(\lVert\mu_j\rVert^2-2x_i\cdot\mu_j)$, and in the same pass over the data the sums
# $s_j=\sum_{i:z_i=j}w_ix_i$ and $m_j=\sum_{i:z_i=j}w_i$ that the next centers need. Each half is one matrix product. With a
# 1 below every point, the scores are the rows $(-2\mu_j,\lVert\mu_j\rVert^2)$ times the columns $(x_i,1)$; with the one-hot
# matrix $H_{ji}=[z_i=j]$, the sums are $s=H\,\mathrm{diag}(w)\,X$ and the masses $m=Hw$. From one pass to the next only the
# columns of $H$ change whose point changes its label, so the second product runs over these alone.


# %%
def points_as_columns(X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "e n"]:
    """The columns (x_i, 1), (d + 1, n), in the precision of X (`X.dtype`)."""
    columns = np.ones((X.shape[1] + 1, len(X)), X.dtype)
    columns[:-1] = X.T
    return columns


def score_rows(centers: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k e"]:
    """The rows $(-2\\mu_j,\\lVert\\mu_j\\rVert^2)$, (k, d + 1): times (x, 1) they give the squared distance less $\\lVert x\\rVert^2$."""
    return np.column_stack([-2 * centers, np.einsum("kd,kd->k", centers, centers)])


def mark_nearest(score: Float[np.ndarray, "k b"]) -> Bool[np.ndarray, "k b"]:
    """The one-hot matrix H of the smallest score in each column; the lower index wins a tie."""
    one_hot = score == score.min(axis=0)
    if np.count_nonzero(one_hot) != one_hot.shape[1]:
        one_hot = np.arange(len(score))[:, None] == score.argmin(axis=0)
    return one_hot


def nearest_center(X: Float[np.ndarray, "n d"], centers: Float[np.ndarray, "k d"]) -> Int[np.ndarray, " n"]:
    """Index of the nearest center for each row; the lower index wins a tie. O(nkd)."""
    labels, rows, chunk = np.empty(len(X), dtype=np.int32), score_rows(centers), chunk_length(*centers.shape)
    for start in range(0, len(X), chunk):
        here = slice(start, start + chunk)
        if len(centers) > ONE_HOT_LIMIT:
            score = X[here] @ rows[:, :-1].T  # (chunk, k)
            score += rows[:, -1]
        else:  # a search for the smallest entry is fastest along contiguous memory
            score = (rows @ points_as_columns(X[here])).T.copy()
        labels[here] = score.argmin(axis=1)
    return labels


def sums_by_label(
    X: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"], labels: Int[np.ndarray, " n"], k: int
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Weighted sum of the rows with each label, (k, d), and total weight, (k,). O(nd + n log n)."""
    # A stable sort of 16-bit integers is a radix sort: linear, and twelve times faster than of 64-bit ones.
    order = np.argsort(labels.astype(np.uint16) if k < 2**16 else labels, kind="stable")
    present, first = np.unique(labels[order], return_index=True)
    sums, mass = np.zeros((k, X.shape[1]), X.dtype), np.zeros(k, X.dtype)
    sums[present] = np.add.reduceat((X * weight[:, None])[order], first)
    mass[present] = np.add.reduceat(weight[order], first)
    return sums, mass


class Workspace(NamedTuple):
    """What one pass leaves for the next: points, labels and sums."""

    columns: np.ndarray  # (x_i, 1), (d + 1, n)
    score: np.ndarray  # memory for the scores of a chunk, (k, chunk)
    one_hot: np.ndarray  # H, (k, n), all False before the first pass
    labels: np.ndarray  # (n,), all k before the first pass: no cluster yet
    sums: np.ndarray  # s, (k, d), in double precision
    mass: np.ndarray  # m, (k,), in double precision


def workspace(X: np.ndarray, k: int) -> Workspace:  # practice: keep
    """Memory for passes over X with k centers, as before the first of them."""
    n, d = X.shape
    m = n if k <= ONE_HOT_LIMIT else 0
    return Workspace(
        np.ascontiguousarray(points_as_columns(X[:m])),  # each coordinate of all points in one stretch
        np.empty((k, min(m, chunk_length(k, d))), X.dtype),
        np.zeros((k, m), bool),
        np.full(n, k, np.int32),
        np.zeros((k, d)),
        np.zeros(k),
    )


def move_one_hot(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    centers: Float[np.ndarray, "k d"],
    work: Workspace,
) -> None:
    """Bring labels, sums and masses up to date with the centers by one-hot products: for few centers."""
    k, d = centers.shape
    rows, chunk = score_rows(centers), chunk_length(k, d)
    for start in range(0, len(X), chunk):
        here = slice(start, start + chunk)
        columns, old, labels = work.columns[:, here], work.one_hot[:, here], work.labels[here]
        new = mark_nearest(np.matmul(rows, columns, out=work.score[:, : len(labels)]))
        changed = np.flatnonzero((new != old).any(axis=0))
        if len(changed) == 0:
            continue
        if 3 * len(changed) > len(labels):
            changed = slice(None)  # a view of all costs less than a copy of many
        arrived = new[:, changed].astype(X.dtype)
        labels[changed] = np.arange(k, dtype=X.dtype) @ arrived
        move = arrived - old[:, changed]  # +1 where a point arrives, −1 where it leaves, (k, changed)
        if weight is not None:
            move *= weight[here][changed]
        work.sums[...] += move @ X[here][changed]
        work.mass[...] += move.sum(axis=1)
        old[...] = new


def move_by_label(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    centers: Float[np.ndarray, "k d"],
    work: Workspace,
) -> None:
    """The same by sorting the labels of the points that moved: for many centers."""
    labels = nearest_center(X, centers)
    changed = np.flatnonzero(labels != work.labels)
    points = X[changed]
    w = np.ones(len(points), X.dtype) if weight is None else weight[changed]
    for sign, moved in ((1, labels), (-1, work.labels)):
        sums, mass = sums_by_label(points, w, moved[changed], len(centers) + 1)
        work.sums[...] += sign * sums[:-1]
        work.mass[...] += sign * mass[:-1]
    work.labels[...] = labels


def assign_and_sum(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    centers: Float[np.ndarray, "k d"],
    work: Workspace | None = None,
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Labels, sums s_j and masses m_j in one pass; `weight=None` means ones. O(nkd).

    With the workspace of the pass before, only points that change their label move their share of the sums: after a
    few iterations these are few.
    """
    k = len(centers)
    work = workspace(X, k) if work is None else work
    if k <= ONE_HOT_LIMIT:
        move_one_hot(X, weight, centers, work)
    else:
        move_by_label(X, weight, centers, work)
    if weight is not None:  # what is left of an emptied cluster is rounding
        empty = np.bincount(work.labels, minlength=k) == 0
        work.sums[empty], work.mass[empty] = 0, 0
    return work.labels.copy(), work.sums.astype(X.dtype), work.mass.astype(X.dtype)


def inertia_of(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    centers: Float[np.ndarray, "k d"],
    labels: Int[np.ndarray, " n"],
) -> float:
    """$J=\\sum_i w_i\\lVert x_i-\\mu_{z_i}\\rVert^2$, from the differences themselves so that no digits cancel. O(nd)."""
    total = 0.0
    for start in range(0, len(X), CHUNK):
        rows = slice(start, start + CHUNK)
        difference = X[rows] - centers.take(labels[rows], axis=0)
        if weight is None:
            total += float(np.vdot(difference, difference))
        else:
            total += float(np.einsum("n,nd,nd->", weight[rows], difference, difference))
    return total


# %% [markdown]
# ### Centers
# $\mu_j=s_j/m_j$. A center that lost all its points has no mean; like scikit-learn we move it to the point that is
# farthest from its own center, and take that point away from the cluster it came from.


# %%
def update_centers(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    centers: Float[np.ndarray, "k d"],
    labels: Int[np.ndarray, " n"],
    sums: Float[np.ndarray, "k d"],
    mass: Float[np.ndarray, " k"],
) -> Float[np.ndarray, "k d"]:
    """Weighted means; empty clusters restart at the points farthest from their centers. O(kd)."""
    empty = np.flatnonzero(mass == 0)
    if len(empty):
        sums, mass = sums.copy(), mass.copy()
        distance = np.sum((X - centers[labels]) ** 2, axis=1)
        if distance.max() > 0:
            farthest = np.argpartition(distance, -len(empty))[: -len(empty) - 1 : -1]
            for cluster, point in zip(empty, farthest, strict=True):
                w = 1.0 if weight is None else weight[point]
                sums[labels[point]] -= w * X[point]
                mass[labels[point]] -= w
                sums[cluster], mass[cluster] = w * X[point], w
    filled = mass > 0
    return np.where(filled[:, None], sums / np.where(filled, mass, 1)[:, None], centers)


# %% [markdown]
# ### Lloyd's iteration
# Stop when no label changes (a fixed point), or when the squared length of the centers' joint move,
# $\sum_j\lVert\mu_j^{\text{new}}-\mu_j\rVert^2$, falls to the tolerance.


# %%
class Fit(NamedTuple):
    """One run: centers (k, d), labels (n,), inertia, iterations, and whether it met its stopping rule."""

    centers: np.ndarray
    labels: np.ndarray
    inertia: float
    n_iter: int
    converged: bool


def lloyd(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    centers: Float[np.ndarray, "k d"],
    *,
    max_iter: int = 300,
    tol: float = 0.0,
) -> Fit:
    """Alternate labels and means from the given centers until nothing moves. O(nkd) an iteration."""
    labels, work = None, workspace(X, len(centers))
    for iteration in range(1, max_iter + 1):
        previous = labels
        labels, sums, mass = assign_and_sum(X, weight, centers, work)
        moved = update_centers(X, weight, centers, labels, sums, mass)
        shift = float(np.sum((moved - centers) ** 2))
        centers = moved
        if previous is not None and np.array_equal(labels, previous):
            return Fit(centers, labels, inertia_of(X, weight, centers, labels), iteration, True)
        if shift <= tol:
            break
    labels = assign_and_sum(X, weight, centers, work)[
        0
    ]  # the last ones belong to the centers before the last move
    return Fit(centers, labels, inertia_of(X, weight, centers, labels), iteration, shift <= tol)


# %% [markdown]
# ### Elkan's iteration
# For each point an upper bound $u_i\ge\lVert x_i-\mu_{z_i}\rVert$ and lower bounds $l_{ij}\le\lVert x_i-\mu_j\rVert$. Center $j$
# can only win point $i$ if $u_i>l_{ij}$ and $u_i>\tfrac12\lVert\mu_{z_i}-\mu_j\rVert$. After a move of length $\delta_j$,
# $l_{ij}\leftarrow\max(l_{ij}-\delta_j,0)$ and $u_i\leftarrow u_i+\delta_{z_i}$ are bounds again.
#
# Data on a grid have points exactly between two centers, and then the last digit decides. Such contested points are
# settled by Lloyd's own scores, so that both algorithms walk the same path.


# %%
def elkan_labels(
    X: Float[np.ndarray, "n d"],
    centers: Float[np.ndarray, "k d"],
    labels: Int[np.ndarray, " n"],
    upper: Float[np.ndarray, " n"],
    lower: Float[np.ndarray, "n k"],
) -> None:
    """Bring labels and bounds up to date, in place, computing only the distances that the bounds leave open."""
    between = np.sqrt(squared_distances(centers, centers)) / 2  # half the distance between centers, (k, k)
    np.fill_diagonal(between, np.inf)
    slack = 1 + TIE
    open_rows = np.flatnonzero(upper * slack >= between.min(axis=1)[labels])
    upper[open_rows] = _distance(X[open_rows], centers[labels[open_rows]])
    lower[open_rows, labels[open_rows]] = upper[open_rows]
    contested = np.zeros(len(X), dtype=bool)
    for j in range(len(centers)):
        mine, bound = labels[open_rows], upper[open_rows] * slack
        candidates = open_rows[(mine != j) & (bound >= lower[open_rows, j]) & (bound >= between[mine, j])]
        distance = _distance(X[candidates], centers[j])
        lower[candidates, j] = distance
        best = upper[candidates]
        contested[candidates] |= np.abs(distance - best) <= TIE * best
        nearer = distance < best
        labels[candidates[nearer]] = j
        upper[candidates[nearer]] = distance[nearer]
    chunk = chunk_length(*centers.shape)
    for start in np.unique(np.flatnonzero(contested) // chunk) * chunk:
        rows = slice(start, start + chunk)
        tied = np.flatnonzero(contested[rows])
        labels[start + tied] = nearest_center(X[rows], centers)[tied]
        upper[start + tied] = _distance(X[start + tied], centers[labels[start + tied]])


def _distance(X: np.ndarray, Y: np.ndarray) -> np.ndarray:  # practice: keep
    difference = X - Y
    return np.sqrt(np.einsum("nd,nd->n", difference, difference))


def elkan(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    centers: Float[np.ndarray, "k d"],
    *,
    max_iter: int = 300,
    tol: float = 0.0,
) -> Fit:
    """Lloyd's algorithm with the distances pruned by the triangle inequality: the same steps, fewer distances."""
    k = len(centers)
    ones = np.ones(len(X), X.dtype) if weight is None else weight
    lower = np.sqrt(squared_distances(X, centers))  # (n, k)
    labels = lower.argmin(axis=1).astype(np.int32)
    upper = lower[np.arange(len(X)), labels]
    previous = None
    for iteration in range(1, max_iter + 1):
        elkan_labels(X, centers, labels, upper, lower)
        moved = update_centers(X, weight, centers, labels, *sums_by_label(X, ones, labels, k))
        move = _distance(moved, centers)  # δ, (k,)
        upper += move[labels]
        np.maximum(lower - move, 0, out=lower)
        centers = moved
        if previous is not None and np.array_equal(labels, previous):
            return Fit(centers, labels, inertia_of(X, weight, centers, labels), iteration, True)
        if np.sum(move**2) <= tol:
            break
        previous = labels.copy()
    elkan_labels(X, centers, labels, upper, lower)
    return Fit(
        centers, labels, inertia_of(X, weight, centers, labels), iteration, bool(np.sum(move**2) <= tol)
    )


# %% [markdown]
# ### Greedy k-means++
# $P(\text{next}=i)\propto w_iD_i^2$, drawn by inverting the cumulative sum; of $2+\lfloor\ln k\rfloor$ candidates the one with
# the least $\sum_i w_i\min(D_i^2,\lVert x_i-c\rVert^2)$ stays.


# %%
def k_means_plus_plus(
    X: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"] | None, k: int, rng: np.random.Generator
) -> Float[np.ndarray, "k d"]:
    """Choose k rows of X as centers, spread out by greedy D² sampling. O(nkd log k)."""
    weight = np.ones(len(X), X.dtype) if weight is None else weight
    trials = 2 + int(math.log(k))
    chosen = [int(rng.choice(len(X), p=weight / weight.sum()))]
    nearest = squared_distances(X[chosen], X)[0]  # D², (n,)
    for _ in range(1, k):
        cumulative = np.cumsum(weight * nearest)
        draws = rng.random(trials) * cumulative[-1]
        candidates = np.minimum(np.searchsorted(cumulative, draws), len(X) - 1)
        improved = np.minimum(nearest, squared_distances(X[candidates], X))  # (trials, n)
        best = int(np.argmin(improved @ weight))
        chosen.append(int(candidates[best]))
        nearest = improved[best]
    return X[chosen]


# %% [markdown]
# ### The estimator
# Data are centered first: the scores $\lVert\mu\rVert^2-2x\cdot\mu$ lose digits when the mean is large against the spread.


# %%
class KMeans(ClusterMixin, TransformerMixin, Estimator):
    """k-means clustering.

    Args:
        n_clusters: k, at least 1 and at most the number of samples.
        init: "k-means++" (greedy), "random" (k distinct rows), an array of centers (k, d), or a function
            (X, n_clusters, random_state) -> centers.
        n_init: how many starts; the lowest inertia stays. "auto" is 1 for k-means++ and given centers, 10 for random ones.
        max_iter: most iterations of one run.
        tol: stop when the centers' squared move falls to tol times the mean variance of the features.
        random_state: None (other starts, and perhaps other clusters, at every fit), int, or numpy Generator.
        algorithm: "lloyd", or "elkan", which gives the same answer with fewer distances and O(nk) more memory.

    Attributes after fit:
        cluster_centers_ (k, d), labels_ (n,), inertia_ (sum of squared distances), n_iter_, n_features_in_.

    Raises:
        ValueError, TypeError: bad parameters or data, with the name of the argument.
    Warns:
        ConvergenceWarning: max_iter was too small, or the data hold fewer distinct points than k.

    Cost: O(nkd) time an iteration. Source: Lloyd (1982); Elkan (2003); Arthur and Vassilvitskii (2007).
    """

    def __init__(
        self,
        n_clusters=8,
        *,
        init="k-means++",
        n_init="auto",
        max_iter=300,
        tol=1e-4,
        random_state=None,
        algorithm="lloyd",
    ):
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.algorithm = algorithm

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> KMeans:
        """Cluster the rows of X, (n, d); `y` is ignored and exists for `Pipeline`. Returns self."""
        X = self._fit_matrix(X)
        k, n_init = self._validate_parameters(X)
        weight = None if sample_weight is None else validate_sample_weight(sample_weight, len(X), X.dtype)
        rng = random_generator(self.random_state)
        mean = X.mean(axis=0)
        centered = X - mean
        tol = float(self.tol * np.vdot(centered, centered) / X.size)  # mean variance
        iterate = {"lloyd": lloyd, "elkan": elkan}[self.algorithm]
        best: Fit | None = None
        for _ in range(n_init):
            start = initial_centers(self.init, X, weight, k, rng) - mean
            run = iterate(centered, weight, start, max_iter=int(self.max_iter), tol=tol)
            if best is None or run.inertia < best.inertia:
                best = run
        assert best is not None
        self.cluster_centers_, self._shift = best.centers + mean, mean
        self.labels_, self.inertia_, self.n_iter_ = best.labels, best.inertia, best.n_iter
        self._warn(best, k)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Index of the nearest center for each row of X, (n,)."""
        return self._nearest(self._predict_matrix(X, dtype=self._center_dtype()))

    def _nearest(self, X: np.ndarray) -> np.ndarray:
        """Labels of rows that are validated already, (n,)."""
        return nearest_center(X - self._shift, self.cluster_centers_ - self._shift)

    def transform(self, X: Any) -> np.ndarray:
        """Distance of each row of X to each center, (n, k)."""
        X = self._predict_matrix(X, dtype=self._center_dtype())
        return np.sqrt(squared_distances(X, self.cluster_centers_))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the inertia of X, so that larger is better."""
        X = self._predict_matrix(X, dtype=self._center_dtype())
        weight = validate_sample_weight(sample_weight, len(X), X.dtype)
        return -inertia_of(X, weight, self.cluster_centers_, self._nearest(X))

    @property
    def _n_features_out(self) -> int:  # practice: keep
        return len(self.cluster_centers_)

    def _center_dtype(self) -> Any:  # practice: keep
        self._check_is_fitted()
        return self.cluster_centers_.dtype

    def _validate_parameters(self, X: np.ndarray) -> tuple[int, int]:  # practice: keep
        k = validate_number(self.n_clusters, "n_clusters", minimum=1, integer=True)
        validate_number(self.max_iter, "max_iter", minimum=1, integer=True)
        validate_number(self.tol, "tol", minimum=0)
        validate_choice(self.algorithm, "algorithm", ("lloyd", "elkan"))
        if len(X) < k:
            raise ValueError(f"n_samples={len(X)} should be >= n_clusters={k}.")
        if isinstance(self.n_init, str):
            validate_choice(self.n_init, "n_init", ("auto",))
            return k, 10 if isinstance(self.init, str) and self.init == "random" else 1
        n_init = validate_number(self.n_init, "n_init", minimum=1, integer=True)
        return k, 1 if not (isinstance(self.init, str) or callable(self.init)) else n_init

    def _warn(self, run: Fit, k: int) -> None:  # practice: keep
        distinct = np.count_nonzero(np.bincount(run.labels, minlength=k))
        if distinct < k:
            warn_not_converged(
                f"Number of distinct clusters ({distinct}) found smaller than n_clusters ({k}). Possibly due to "
                "duplicate points in X; choose a smaller n_clusters."
            )
        elif not run.converged:
            warn_not_converged(
                f"k-means stopped after max_iter={self.max_iter} steps; raise max_iter or tol."
            )


def initial_centers(
    init: Any, X: np.ndarray, weight: np.ndarray | None, k: int, rng: np.random.Generator
) -> np.ndarray:
    """The start that `init` asks for: "k-means++", "random", an array (k, d), or a function."""
    if isinstance(init, str):
        validate_choice(init, "init", ("k-means++", "random"))
        if init == "random":
            chance = None if weight is None else weight / weight.sum()
            return X[rng.choice(len(X), size=k, replace=False, p=chance)]
        mean = X.mean(axis=0)
        return k_means_plus_plus(X - mean, weight, k, rng) + mean
    centers = init(X, k, random_state=rng) if callable(init) else init
    centers = validate_matrix(centers, "init", dtype=X.dtype)
    if centers.shape != (k, X.shape[1]):
        raise ValueError(
            f"init must have one row for each cluster and one column for each feature, "
            f"shape {(k, X.shape[1])}, got {centers.shape}."
        )
    return centers.copy()


# %% [markdown]
# ### Mini-batches
# With a step size $1/m_j$, where $m_j$ counts all weight that center $j$ has ever seen, the update
# $\mu_j\leftarrow\mu_j+\tfrac{1}{m_j}\sum_{i\in\text{batch},z_i=j}w_i(x_i-\mu_j)$ keeps each center at the mean of its past
# points. Rarely visited centers are reseeded in the batch.


# %%
def mini_batch_step(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"],
    centers: Float[np.ndarray, "k d"],
    mass: Float[np.ndarray, " k"],
) -> float:
    """Move centers and masses m_j by one batch, in place; returns the batch's inertia before the move. O(nkd)."""
    labels, sums, batch_mass = assign_and_sum(X, weight, centers)
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


class MiniBatchKMeans(KMeans):
    """k-means on small random batches: far cheaper than `KMeans` on large data, a little less exact.

    Args (besides those of `KMeans`):
        max_iter: passes over the data. batch_size: rows in a batch.
        tol: stop when the smoothed squared move of the centers falls to tol times the mean variance; 0 turns it off.
        max_no_improvement: stop after this many batches without a better smoothed inertia; None turns it off.
        init_size: rows on which the starts are chosen, by default 3 batches, at least 3 n_clusters.
        reassignment_ratio: see `reassign_small`.

    Attributes after fit: as `KMeans`, and n_steps_, the number of batches. `partial_fit` takes one batch.
    Source: Sculley (2010).
    """

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

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> KMeans:
        """Cluster the rows of X by random batches; `y` is ignored. Returns self."""
        X = self._fit_matrix(X)
        k, n_init = self._validate_parameters(X)
        weight = validate_sample_weight(sample_weight, len(X), X.dtype)
        rng = random_generator(self.random_state)
        n, batch = len(X), min(int(self.batch_size), len(X))
        centers = self._best_start(X, weight, k, n_init, rng)
        mass = np.zeros(k, X.dtype)
        limit = float(self.tol * X.var(axis=0).mean())
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
        self.cluster_centers_, self.n_steps_, self._mass, self._shift = centers, step, mass, X.mean(axis=0)
        self.n_iter_, self._rng = math.ceil(step * batch / n), rng
        self.labels_ = self._nearest(X)
        self.inertia_ = inertia_of(X, weight, centers, self.labels_)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> KMeans:
        """Update the centers by one batch X; the first call chooses the start in it. Returns self."""
        fresh = not hasattr(self, "cluster_centers_")
        X = self._fit_matrix(X) if fresh else self._predict_matrix(X, dtype=self.cluster_centers_.dtype)
        weight = validate_sample_weight(sample_weight, len(X), X.dtype)
        if fresh:
            k, n_init = self._validate_parameters(X)
            self._rng = random_generator(self.random_state)
            self.cluster_centers_ = self._best_start(X, weight, k, n_init, self._rng)
            self._mass, self.n_steps_, self._shift = np.zeros(k, X.dtype), 0, X.mean(axis=0)
        mini_batch_step(X, weight, self.cluster_centers_, self._mass)
        self.n_steps_ += 1
        if self.reassignment_ratio > 0 and self.n_steps_ % (10 + int(self._mass.min())) == 0:
            reassign_small(X, self.cluster_centers_, self._mass, self.reassignment_ratio, self._rng)
        self.labels_ = self._nearest(X)
        self.inertia_ = inertia_of(X, weight, self.cluster_centers_, self.labels_)
        return self

    def _best_start(
        self, X: np.ndarray, weight: np.ndarray, k: int, n_init: int, rng: np.random.Generator
    ) -> np.ndarray:
        """The start with the lowest inertia on a random part of the data."""
        size = self.init_size or max(3 * int(self.batch_size), 3 * k)
        rows = rng.choice(len(X), size=max(k, min(size, len(X))), replace=False)
        starts = [initial_centers(self.init, X[rows], weight[rows], k, rng) for _ in range(n_init)]
        if n_init == 1:
            return starts[0]
        inertia = [inertia_of(X[rows], weight[rows], c, nearest_center(X[rows], c)) for c in starts]
        return starts[int(np.argmin(inertia))]

    def _validate_parameters(self, X: np.ndarray) -> tuple[int, int]:  # practice: keep
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


def _moving_average(average: float, value: float, smooth: float) -> float:  # practice: keep
    return value if math.isinf(average) else (1 - smooth) * average + smooth * value


# %% [markdown]
# ### Silhouettes
# How well does point $i$ sit in its cluster? With $a_i$ its mean distance to the others of its own cluster and $b_i$
# the smallest mean distance to another cluster, $s_i=(b_i-a_i)/\max(a_i,b_i)\in[-1,1]$; alone in a cluster, $s_i=0$.


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


# %% [markdown]
# ## 4. Validate
#
# From the same start the algorithm is deterministic, so ours and scikit-learn's must meet to rounding in every branch.
#
# | | ours | scikit-learn | why |
# |---|---|---|---|
# | random numbers | `numpy.random.Generator` | legacy `RandomState` | an int seed gives another start than theirs; compare from a given `init` |
# | `n_init` with given centers | 1, silently | 1, with a warning | repeating a deterministic run cannot help |
# | a point exactly between two centers | Lloyd's last digit decides, in both algorithms | the last digit decides, in each algorithm by itself | on integer data scikit-learn's Elkan and Lloyd can part ways |
# | float32 input | centers float32, inertia summed in float64 | the same | |
# | reseeding in `MiniBatchKMeans` | every 10 + (lightest mass) batches | a similar count of samples | the rule is a heuristic; with `reassignment_ratio=0` both are equal |


# %%
def validate() -> list[Agreement]:
    """Compare every branch with scikit-learn on real data."""
    from sklearn.cluster import KMeans as Reference
    from sklearn.cluster import MiniBatchKMeans as MiniBatchReference
    from sklearn.metrics import silhouette_score as reference_silhouette

    from shared.datasets import load_digits, load_iris

    comparison = Comparison(reference="sklearn.cluster.KMeans", dataset="digits")
    X = load_digits().X
    rng = np.random.default_rng(0)
    # Pixels are integers: a start on the data would put points exactly between two centers.
    start = X[rng.choice(len(X), 10, replace=False)] + rng.normal(0, 0.3, (10, X.shape[1]))
    weight = rng.uniform(0.1, 2.0, len(X))
    same = "same start, same sequence of labels: only rounding of means over at most n rows differs"
    for algorithm in ("lloyd", "elkan"):
        for label, w in (("", None), (", weighted", weight)):
            options: dict[str, Any] = {"init": start, "n_init": 1, "algorithm": algorithm}
            ours, theirs = comparison.run(
                lambda o=options, w=w: KMeans(10, **o).fit(X, sample_weight=w),
                lambda o=options, w=w: Reference(10, **o).fit(X, sample_weight=w),
            )
            branch = f"{algorithm}{label}"
            for quantity, attribute, tolerance in (
                ("labels", "labels_", 0.0),
                ("centers", "cluster_centers_", 1e-9),
                ("inertia", "inertia_", 1e-9),
                ("iterations", "n_iter_", 0.0),
            ):
                comparison.compare(
                    f"{quantity}, {branch}",
                    getattr(ours, attribute), getattr(theirs, attribute), tolerance=tolerance, reason=same,
                )  # fmt: skip
    comparison.compare("distances", ours.transform(X), theirs.transform(X), tolerance=1e-9, reason=same)
    iris = comparison.on(dataset="iris")
    X = load_iris().X
    start = np.vstack([X[0], X[1], X[0] + 100.0])  # the third center loses all its points at once
    ours, theirs = iris.run(
        lambda: KMeans(3, init=start, n_init=1).fit(X), lambda: Reference(3, init=start, n_init=1).fit(X)
    )
    iris.compare(
        "centers, after an empty cluster",
        ours.cluster_centers_,
        theirs.cluster_centers_,
        tolerance=1e-9,
        reason=same,
    )
    batches = iris.on(reference="sklearn.cluster.MiniBatchKMeans")
    options = {"init": X[[0, 60, 120]], "n_init": 1, "reassignment_ratio": 0.0}

    def feed(estimator: Any) -> Any:
        for rows in (slice(0, 150, 3), slice(1, 150, 3), slice(2, 150, 3)):
            estimator.partial_fit(X[rows])
        return estimator

    ours, theirs = batches.run(
        lambda: feed(MiniBatchKMeans(3, **options)), lambda: feed(MiniBatchReference(3, **options))
    )
    batches.compare(
        "centers after three batches", ours.cluster_centers_, theirs.cluster_centers_,
        tolerance=1e-9, reason="the same running means",
    )  # fmt: skip
    silhouettes = iris.on(reference="sklearn.metrics.silhouette_score")
    labels = ours.predict(X)
    a, b = silhouettes.run(lambda: silhouette_score(X, labels), lambda: reference_silhouette(X, labels))
    silhouettes.compare(
        "silhouette score",
        a,
        b,
        tolerance=1e-8,
        reason="‖x‖² + ‖y‖² − 2x·y leaves an error of √ε in the distance of coinciding points",
    )
    return comparison.agreements


def benchmarks() -> list[Benchmark]:
    """Lloyd's algorithm from the same start, n growing at d = 20, k = 10, and a large-k case."""

    def setup(n: int, k: int, d: int) -> Any:
        from sklearn.cluster import KMeans as Reference

        rng = np.random.default_rng(0)
        X = rng.standard_normal((k, d))[rng.integers(k, size=n)] * 3 + rng.standard_normal((n, d)) * 3
        start = X[rng.choice(n, k, replace=False)]
        # A fixed number of iterations on both sides: the time of an iteration, not the luck of a start.
        options: dict[str, Any] = {"init": start, "n_init": 1, "tol": 0.0, "max_iter": 20}
        import warnings

        def quiet(estimator: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return estimator.fit(X)

        return lambda: quiet(KMeans(k, **options)), lambda: quiet(Reference(k, **options))

    few, many = partial(setup, k=10, d=20), partial(setup, k=100, d=50)
    reference = "sklearn.cluster.KMeans"
    return [
        Benchmark("Lloyd, d = 20, k = 10", (2_500, 10_000, 40_000), few, 1.0, reference, repeats=7),
        Benchmark("Lloyd, d = 50, k = 100", (5_000, 20_000), many, 1.0, reference, repeats=5),
    ]


# %% [markdown]
# ## 5. Document
#
# **Use it** for compressing data into $k$ prototypes (vector quantization), as a start for mixtures, or when round
# groups of similar size are plausible. Scale the features first. Choose $k$ by the purpose, or by where the silhouette
# peaks. One start (the default, with k-means++) is a local minimum: raise `n_init` where clusters touch, and set `random_state`
# if every fit must give the same answer. **Do not use it** when clusters are long, very unequal or nested, when distances mean nothing, or when you need
# probabilities. **How it breaks**: `groundup break k_means`, and `failure_modes/k_means.py`.
#
# The picture: Fisher's irises in two of their four measurements with the path of each center, and the inertia that
# twenty random starts and twenty k-means++ starts end with.


# %%
def example() -> Any:
    """Iris clusters with the centers' paths, and final inertias on digits by kind of start."""
    from shared.datasets import load_digits, load_iris
    from shared.figures import COLORS, PALETTE, subplots

    iris = load_iris()
    X = iris.X[:, 2:]
    centers = X[[10, 11, 70]]
    path = [centers]
    for _ in range(12):
        labels, sums, mass = assign_and_sum(X, None, centers)
        centers = update_centers(X, None, centers, labels, sums, mass)
        path.append(centers)
    figure, (left, right) = subplots(1, 2, width=9.5, height=4.0)
    for j in range(3):
        left.scatter(*X[labels == j].T, s=14, color=PALETTE[j], alpha=0.55, linewidths=0)
        trail = np.array([step[j] for step in path])
        left.plot(*trail.T, color=PALETTE[j], marker=".", linewidth=1.2)
        left.plot(*trail[-1], marker="X", markersize=11, color=PALETTE[j], markeredgecolor="white")
    left.set(
        title="Iris: from start to fixed point", xlabel=iris.feature_names[2], ylabel=iris.feature_names[3]
    )
    digits = load_digits().X
    for row, (init, color) in enumerate((("random", COLORS["broken"]), ("k-means++", COLORS["mended"]))):
        final = [
            KMeans(10, init=init, n_init=1, random_state=seed).fit(digits).inertia_ for seed in range(20)
        ]
        height = row + np.linspace(-0.18, 0.18, len(final))
        right.scatter(np.array(final) / 1e6, height, s=22, color=color, alpha=0.8, linewidths=0)
    right.set(
        title="Digits, k = 10: where 20 starts end", xlabel="inertia / 10⁶", yticks=[0, 1], ylim=(-0.6, 1.6)
    )
    right.set_yticklabels(["random", "k-means++"])
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example)
