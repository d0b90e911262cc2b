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
# # What makes k-means fast: distances that need not be computed
#
# For each point keep an upper bound $u_i\ge\lVert x_i-\mu_{z_i}\rVert$ and lower bounds $l_{ij}\le\lVert x_i-\mu_j\rVert$. Center $j$
# can win point $i$ if $u_i>l_{ij}$ and $u_i>\tfrac12\lVert\mu_{z_i}-\mu_j\rVert$, and not otherwise. After a move of length $\delta_j$,
# $l_{ij}\leftarrow\max(l_{ij}-\delta_j,0)$ and $u_i\leftarrow u_i+\delta_{z_i}$ are bounds again. [@elkan2003]
#
# Data on a grid have points midway between two centers, and then the last digit decides. Such contested points are
# settled by Lloyd's own scores, so that both algorithms walk the same path. The price is $O(nk)$ memory for the bounds; the
# gain grows with $k$ and with the cost of a distance, and is small where [one pass](one_pass.py) is one matrix product.

# %%
from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from level2_classical.parts.k_means.one_pass import chunk_length, nearest, sorted_sums
from shared.numerics import squared_distances

TIE = 1e-9  # distances closer than this, relatively, may be ordered either way by rounding


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
    upper[open_rows] = distance(X[open_rows], centers[labels[open_rows]])
    lower[open_rows, labels[open_rows]] = upper[open_rows]
    contested = np.zeros(len(X), dtype=bool)
    for j in range(len(centers)):
        mine, bound = labels[open_rows], upper[open_rows] * slack
        candidates = open_rows[(mine != j) & (bound >= lower[open_rows, j]) & (bound >= between[mine, j])]
        found = distance(X[candidates], centers[j])
        lower[candidates, j] = found
        best = upper[candidates]
        contested[candidates] |= np.abs(found - best) <= TIE * best
        nearer = found < best
        labels[candidates[nearer]] = j
        upper[candidates[nearer]] = found[nearer]
    chunk = chunk_length(*centers.shape)
    for start in np.unique(np.flatnonzero(contested) // chunk) * chunk:
        rows = slice(start, start + chunk)
        tied = np.flatnonzero(contested[rows])
        labels[start + tied] = nearest(X[rows], centers)[tied]
        upper[start + tied] = distance(X[start + tied], centers[labels[start + tied]])


def distance(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Distances between the rows of X and those of Y, or the one point Y. O(nd)."""
    difference = X - Y
    return np.sqrt(np.einsum("nd,nd->n", difference, difference))


class ElkanPass:
    """Labels, sums and masses with the distances pruned by bounds: the same as `OnePass`, fewer distances.

    Args:
        X: points (n, d). weight: (n,), or None for ones. centers: where the iteration starts, (k, d).
    """

    def __init__(
        self,
        X: Float[np.ndarray, "n d"],
        weight: Float[np.ndarray, " n"] | None,
        centers: Float[np.ndarray, "k d"],
    ) -> None:
        self.X, self.centers = X, centers
        self.weight = np.ones(len(X), X.dtype) if weight is None else weight
        self.lower = np.sqrt(squared_distances(X, centers))  # l, (n, k)
        self.labels = self.lower.argmin(axis=1).astype(np.int32)
        self.upper = self.lower[np.arange(len(X)), self.labels]  # u, (n,)

    def __call__(
        self, centers: Float[np.ndarray, "k d"]
    ) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
        """Labels (n,), sums (k, d) and masses (k,) of these centers."""
        move = distance(centers, self.centers)  # δ, (k,)
        self.upper += move[self.labels]
        np.maximum(self.lower - move, 0, out=self.lower)
        elkan_labels(self.X, centers, self.labels, self.upper, self.lower)
        self.centers = centers
        sums, mass = sorted_sums(self.X, self.weight, self.labels, len(centers))
        return self.labels.copy(), sums, mass
