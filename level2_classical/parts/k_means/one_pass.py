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
# # What makes k-means fast: one pass over the data
#
# The whole rung scores every point against every center, and then adds every point to its sum. Both are matrix products,
# and both are done again from the start in each iteration. Four steps take most of that time away; `groundup bench k_means`
# prints what is left beside scikit-learn, and beside the breath.
#
# | step | why it pays |
# |---|---|
# | a 1 below every point, so that one product gives $\lVert\mu_j\rVert^2-2x_i\cdot\mu_j$ | no pass over the scores to add the norms |
# | scores as rows, one center each, in chunks that stay in the cache | the smallest of $k$ numbers is found along contiguous memory, while they are still near |
# | the sums as the product of a one-hot matrix with the points; for many centers by sorting the labels | BLAS adds faster than indexing does; past some forty centers the one-hot matrix costs more than a radix sort of 16-bit labels |
# | only points that changed their cluster move their share of the sums | after a few iterations these are few |

# %%
from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

CHUNK = 2048  # rows at a time, where a chunk costs memory of its own size
LOST = 1e-9  # of its largest size that a moved sum has shrunk to before it is added afresh
ONE_HOT_LIMIT = 40  # up to this k, one-hot products beat sorting the labels


def chunk_length(k: int, d: int) -> int:
    """Points at a time: few enough that their scores against k centers stay in the processor's cache, and that the
    product is a small one to BLAS (below 10⁶ multiplications OpenBLAS skips the copies it makes for large ones)."""
    return max(512, min(50_000 // k, 900_000 // (k * (d + 1))))


# %% [markdown]
# ## Labels
# The scores are the rows $(-2\mu_j,\lVert\mu_j\rVert^2)$ times the columns $(x_i,1)$.


# %%
def points_as_columns(X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "e n"]:
    """The columns (x_i, 1), (d + 1, n), in the precision of X (`X.dtype`)."""
    columns = np.ones((X.shape[1] + 1, len(X)), X.dtype)
    columns[:-1] = X.T
    return columns


def score_rows(centers: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k e"]:
    """The rows (-2 center, its squared norm), (k, d + 1): times (x, 1) they give the squared distance less that of x to 0."""
    return np.column_stack([-2 * centers, np.einsum("kd,kd->k", centers, centers)])


def mark_nearest(score: Float[np.ndarray, "k b"]) -> Bool[np.ndarray, "k b"]:
    """The one-hot matrix H of the smallest score in each column; the lower index wins a tie."""
    one_hot = score == score.min(axis=0)
    if np.count_nonzero(one_hot) != one_hot.shape[1]:
        one_hot = np.arange(len(score))[:, None] == score.argmin(axis=0)
    return one_hot


def nearest(X: Float[np.ndarray, "n d"], centers: Float[np.ndarray, "k d"]) -> Int[np.ndarray, " n"]:
    """Index of the nearest center for each row, (n,); the lower index wins a tie. O(nkd)."""
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


# %% [markdown]
# ## Sums
# With the one-hot matrix $H_{ji}=[z_i=j]$ the sums are $s=H\,\mathrm{diag}(w)\,X$ and the masses $m=Hw$. From one pass to the
# next only the columns of $H$ change whose point changes its label, so the product runs over these alone.


# %%
def sorted_sums(
    X: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"], labels: Int[np.ndarray, " n"], k: int
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Weighted sum of the rows with each label, (k, d), and total weight, (k,). O(nd + n log n)."""
    # A stable sort of 16-bit integers is a radix sort: linear, and several times faster than of 64-bit ones.
    order = np.argsort(labels.astype(np.uint16) if k < 2**16 else labels, kind="stable")
    present, first = np.unique(labels[order], return_index=True)
    sums, mass = np.zeros((k, X.shape[1]), X.dtype), np.zeros(k, X.dtype)
    sums[present] = np.add.reduceat((X * weight[:, None])[order], first)
    mass[present] = np.add.reduceat(weight[order], first)
    return sums, mass


class OnePass:
    """Labels, sums and masses for centers that move a little from call to call: what `lloyd` asks of `passes`.

    Args:
        X: points (n, d). weight: (n,), or None for ones. k: how many centers there will be.

    Memory: O(n(d + k)) up to `ONE_HOT_LIMIT` centers, else O(n).
    """

    def __init__(self, X: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"] | None, k: int) -> None:
        n, d = X.shape
        m = n if k <= ONE_HOT_LIMIT else 0
        self.X, self.weight, self.k = X, weight, k
        self.columns = np.ascontiguousarray(
            points_as_columns(X[:m])
        )  # each coordinate of all points in one stretch
        self.score = np.empty((k, min(m, chunk_length(k, d))), X.dtype)  # memory for the scores of a chunk
        self.one_hot = np.zeros((k, m), bool)  # H: no point has a cluster yet
        self.labels = np.full(n, k, np.int32)
        self.sums = np.zeros((k, d))  # in double precision, since they are moved and not added afresh
        self.mass = np.zeros(k)
        self.peak = np.zeros(k)  # the largest that each sum has been

    def __call__(
        self, centers: Float[np.ndarray, "k d"]
    ) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
        """Labels (n,), sums (k, d) and masses (k,) of these centers. O(nkd)."""
        if self.k <= ONE_HOT_LIMIT:
            self._move_one_hot(centers)
        else:
            self._move_by_label(centers)
        if self.weight is not None:  # what is left of an emptied cluster is rounding
            empty = np.bincount(self.labels, minlength=self.k) == 0
            self.sums[empty], self.mass[empty] = 0, 0
        size = np.abs(self.sums).max(axis=1)
        np.maximum(self.peak, size, out=self.peak)
        if (self.peak * LOST > size).any():  # a point far out has left: its digits went with it
            weight = np.ones(len(self.X), self.X.dtype) if self.weight is None else self.weight
            sums, mass = sorted_sums(self.X, weight, self.labels, self.k)
            self.sums[...], self.mass[...], self.peak = sums, mass, np.abs(sums).max(axis=1)
        return self.labels.copy(), self.sums.astype(self.X.dtype), self.mass.astype(self.X.dtype)

    def _move_one_hot(self, centers: np.ndarray) -> None:
        """Few centers: the changed columns of H, times their points."""
        k, d = centers.shape
        rows, chunk = score_rows(centers), chunk_length(k, d)
        for start in range(0, len(self.X), chunk):
            here = slice(start, start + chunk)
            columns, old, labels = self.columns[:, here], self.one_hot[:, here], self.labels[here]
            new = mark_nearest(np.matmul(rows, columns, out=self.score[:, : len(labels)]))
            changed = np.flatnonzero((new != old).any(axis=0))
            if len(changed) == 0:
                continue
            if 3 * len(changed) > len(labels):
                changed = slice(None)  # a view of all costs less than a copy of many
            arrived = new[:, changed].astype(self.X.dtype)
            labels[changed] = np.arange(k, dtype=self.X.dtype) @ arrived
            move = arrived - old[:, changed]  # +1 where a point arrives, −1 where it leaves, (k, changed)
            if self.weight is not None:
                move *= self.weight[here][changed]
            self.sums += move @ self.X[here][changed]
            self.mass += move.sum(axis=1)
            old[...] = new

    def _move_by_label(self, centers: np.ndarray) -> None:
        """Many centers: the points that moved, sorted by where they went and by where they came from."""
        labels = nearest(self.X, centers)
        changed = np.flatnonzero(labels != self.labels)
        points = self.X[changed]
        w = np.ones(len(points), self.X.dtype) if self.weight is None else self.weight[changed]
        for sign, moved in ((1, labels), (-1, self.labels)):
            sums, mass = sorted_sums(points, w, moved[changed], self.k + 1)
            self.sums += sign * sums[:-1]
            self.mass += sign * mass[:-1]
        self.labels = labels


# %% [markdown]
# ## Inertia
# From the differences themselves: $\lVert x\rVert^2-2x\cdot\mu+\lVert\mu\rVert^2$ would lose the digits that the three terms share.


# %%
def inertia_of(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    centers: Float[np.ndarray, "k d"],
    labels: Int[np.ndarray, " n"],
) -> float:
    """The weighted sum of squared distances of the points to the centers of their labels. O(nd)."""
    total = 0.0
    for start in range(0, len(X), CHUNK):
        rows = slice(start, start + CHUNK)
        difference = X[rows] - centers.take(labels[rows], axis=0)
        if weight is None:
            total += float(np.vdot(difference, difference))
        else:
            total += float(np.einsum("n,nd,nd->", weight[rows], difference, difference))
    return total
