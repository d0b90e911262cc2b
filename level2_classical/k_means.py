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
# **In one line.** Give each point to its nearest center, move each center to the mean of its points, and repeat until
# no point changes its center.
#
# **Builds on** sums and squares alone. **Mirrors** `sklearn.cluster.KMeans`, `MiniBatchKMeans` and
# `sklearn.metrics.silhouette_score`.
#
# **Sources.** Lloyd (1982), the two-step iteration; Elkan (2003), the triangle inequality; Arthur and
# Vassilvitskii (2007), k-means++; Sculley (2010), mini-batches; Rousseeuw (1987), silhouettes.

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | in the code | shape |
# |---|---|---|---|
# | $x_i$ | point $i$ of $n$, in $d$ dimensions | `X` | (n, d) |
# | $w_i$ | its weight, one unless told otherwise | `weight` | (n,) |
# | $z_i$ | its label: which of the $k$ centers it belongs to | `labels` | (n,) |
# | $\mu_j$ | center $j$ | `centers` | (k, d) |
# | $s_j$ | weighted sum of the points of center $j$ | `sums` | (k, d) |
# | $m_j$ | their total weight | `mass` | (k,) |
# | $D_i$ | distance of point $i$ to its nearest center | `nearest` holds $D_i^2$ | (n,) |
#
# We minimize the **inertia**
#
# $$J(z,\mu)=\sum_{i=1}^n w_i\,\lVert x_i-\mu_{z_i}\rVert^2 .$$
#
# **One center.** With $k=1$ there are no labels to choose, and $\sum_i w_i\lVert x_i-\mu\rVert^2$ is least at the weighted mean: its
# gradient $-2\sum_iw_i(x_i-\mu)$ vanishes there. What is left is the variance.
#
# **Many centers.** Finding the global minimum is NP-hard, but each half of the problem is easy.
# *Labels, with the centers fixed:* each term depends on its own $z_i$ alone, so
#
# $$z_i=\arg\min_j\lVert x_i-\mu_j\rVert^2=\arg\min_j\big(\lVert\mu_j\rVert^2-2\,x_i\cdot\mu_j\big),$$
#
# where $\lVert x_i\rVert^2$ was dropped because it is the same for every $j$. All scores come from one matrix product.
# *Centers, with the labels fixed:* each cluster is the case of one center,
#
# $$\mu_j=\frac{s_j}{m_j},\qquad s_j=\sum_{i:z_i=j}w_i x_i,\qquad m_j=\sum_{i:z_i=j}w_i .$$
#
# Neither half can raise $J$, and there are finitely many labelings, so alternating them (**Lloyd's algorithm**)
# ends after finitely many steps, where neither half can lower it. That is a *local* answer: the start decides which.
#
# **A good start (k-means++).** Take the first center at random, and each next one with probability proportional
# to $w_iD_i^2$. The expected inertia is then within a factor $8(\ln k+2)$ of the optimum, before a single Lloyd step. The
# *greedy* form, which scikit-learn and this page use, draws $2+\lfloor\ln k\rfloor$ candidates and keeps the one that lowers the
# inertia most. It is better in practice; the factor is proved for the plain form, and what is proved for the greedy one is weaker
# (Grunau and others 2023).
#
# **Numerics.** The scores lose digits when the points lie far from 0, and their squares overflow or vanish in extreme units: the
# data are first put into a [frame](parts/k_means/frame.py), near 0 and of ordinary size. The inertia is summed from the
# differences themselves.
#
# **What it assumes.** Squared Euclidean distance is the right loss: clusters are round, of one width, about
# equally full, and the features share a unit. What happens otherwise is in `failure_modes/k_means.py`.
#
# **Cost.** $O(nkd)$ time an iteration and $O(nd)$ memory. The triangle inequality spares distances, for $O(nk)$ bounds
# ([Elkan](parts/k_means/elkan.py)).

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from level2_classical.parts.k_means.agreements import compare_branches
from level2_classical.parts.k_means.elkan import ElkanPass
from level2_classical.parts.k_means.estimator import CenterModel
from level2_classical.parts.k_means.frame import frame_of
from level2_classical.parts.k_means.mini_batch import MiniBatches, mini_batch_step, reassign_small
from level2_classical.parts.k_means.one_pass import CHUNK, OnePass, inertia_of
from level2_classical.parts.k_means.silhouette import silhouette_score
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import (
    random_generator,
    validate_choice,
    validate_matrix,
    validate_sample_weight,
)
from shared.numerics import squared_distances

__all__ = [
    "BREATH", "Fit", "KMeans", "MiniBatchKMeans", "assign_and_sum", "elkan", "inertia_of", "k_means_plus_plus", "lloyd",
    "mini_batch_step", "nearest_center", "reassign_small", "silhouette_score", "sums_by_label", "update_centers",
]  # fmt: skip

BREATH = "plain_lloyd"

# %% [markdown]
# ### In one breath
# The nearest center, the mean of its points, until nothing moves; and a start that prefers points far from the centers
# that it has.


# %%
def plain_lloyd(X, centers):  # practice: core
    """Centers (k, d) and labels (n,) at the fixed point that these centers lead to."""
    while True:
        distance = ((X[:, None] - centers) ** 2).sum(axis=2)  # squared, (n, k)
        labels = distance.argmin(axis=1)
        moved = np.array([X[labels == j].mean(axis=0) for j in range(len(centers))])
        if np.array_equal(moved, centers):
            return centers, labels
        centers = moved


def plain_start(X, k, rng):  # practice: core
    """k points of X, each next one drawn in proportion to its squared distance from those before."""
    centers = X[[rng.integers(len(X))]]
    while len(centers) < k:
        distance = ((X[:, None] - centers) ** 2).sum(axis=2).min(axis=1)
        centers = np.vstack([centers, X[rng.choice(len(X), p=distance / distance.sum())]])
    return centers


# %% [markdown]
# **What is wrong with it.** A cluster that loses all its points has no mean (NaN), and the differences take $nkd$ numbers of
# memory that a matrix product does without; `groundup bench k_means` prints the price. The rest of the page gives each step
# its weights, its empty clusters and its stopping rule, and [one pass](parts/k_means/one_pass.py) makes it fast.
#
# ### Labels
# $z_i=\arg\min_j(\lVert\mu_j\rVert^2-2x_i\cdot\mu_j)$, for a chunk of rows at a time.


# %%
def nearest_center(  # practice: core
    X: Float[np.ndarray, "n d"], centers: Float[np.ndarray, "k d"]
) -> Int[np.ndarray, " n"]:
    """Index of the nearest center for each row, (n,); the lower index wins a tie. O(nkd)."""
    labels, square = np.empty(len(X), dtype=np.int32), np.einsum("kd,kd->k", centers, centers)
    for start in range(0, len(X), CHUNK):
        rows = slice(start, start + CHUNK)
        score = square - 2 * X[rows] @ centers.T  # (chunk, k)
        labels[rows] = score.argmin(axis=1)
    return labels


# %% [markdown]
# ### Sums
# $s_j=\sum_{i:z_i=j}w_ix_i$ and $m_j=\sum_{i:z_i=j}w_i$: a matrix of zeros and weights, times the points.


# %%
def sums_by_label(  # practice: core
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    labels: Int[np.ndarray, " n"],
    k: int,
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Weighted sum of the rows with each label, (k, d), and total weight, (k,); `weight=None` means ones.

    Both in the number type of X. O(nkd).
    """
    member = (labels == np.arange(k)[:, None]).astype(X.dtype)  # [z_i = j], (k, n)
    if weight is not None:
        member *= weight
    return member @ X, member.sum(axis=1)


def assign_and_sum(
    X: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"] | None, centers: Float[np.ndarray, "k d"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """One pass: labels (n,), sums (k, d) and masses (k,) for these centers. O(nkd)."""
    labels = nearest_center(X, centers)
    return labels, *sums_by_label(X, weight, labels, len(centers))


# %% [markdown]
# ### Centers
# $\mu_j=s_j/m_j$. A center that lost all its points has no mean; like scikit-learn we move it to the point that is
# farthest from its own center, and take that point away from the cluster it came from. Where no point is away from its
# center, the empty one stays.


# %%
def update_centers(  # practice: core
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
# Stop when no label changes and no center restarted (a fixed point), or when the squared length of the centers' joint move,
# $\sum_j\lVert\mu_j^{\text{new}}-\mu_j\rVert^2$, falls to the tolerance. In the second case the labels belong to the centers before
# the move, so there is one more pass. `passes` is any function from centers to labels, sums and masses: the plain one
# above, [one pass](parts/k_means/one_pass.py) over the data, or [Elkan's](parts/k_means/elkan.py). `inertia_of(X, weight,
# centers, labels)` is $J$.


# %%
class Fit(NamedTuple):
    """One run: centers (k, d), labels (n,), inertia, iterations, and whether it met its stopping rule."""

    centers: np.ndarray
    labels: np.ndarray
    inertia: float
    n_iter: int
    converged: bool


def lloyd(  # practice: core
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    centers: Float[np.ndarray, "k d"],
    *,
    max_iter: int = 300,
    tol: float = 0.0,
    passes: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]] | None = None,
) -> Fit:
    """Alternate labels and means from the given centers until nothing moves. O(nkd) an iteration.

    Args:
        X: points (n, d). weight: (n,), or None for ones. centers: the start, (k, d).
        max_iter, tol: most iterations; squared length of the joint move at which to stop.
        passes: centers -> labels, sums, masses; by default `assign_and_sum`.
    """
    passes = partial(assign_and_sum, X, weight) if passes is None else passes
    labels = None
    for iteration in range(1, max_iter + 1):
        previous = labels
        labels, sums, mass = passes(centers)
        moved = update_centers(X, weight, centers, labels, sums, mass)
        shift = float(np.sum((moved - centers) ** 2))
        centers = moved
        if previous is not None and np.array_equal(labels, previous) and mass.all():
            return Fit(centers, labels, inertia_of(X, weight, centers, labels), iteration, True)
        if shift <= tol:
            break
    labels, _, _ = passes(centers)
    return Fit(centers, labels, inertia_of(X, weight, centers, labels), iteration, shift <= tol)


def elkan(
    X: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"] | None,
    centers: Float[np.ndarray, "k d"],
    *,
    max_iter: int = 300,
    tol: float = 0.0,
) -> Fit:
    """Lloyd's algorithm with the distances pruned by the triangle inequality: the same steps, fewer distances."""
    return lloyd(X, weight, centers, max_iter=max_iter, tol=tol, passes=ElkanPass(X, weight, centers))


# %% [markdown]
# ### Greedy k-means++
# $P(\text{next}=i)\propto w_iD_i^2$, drawn by inverting the cumulative sum; of $2+\lfloor\ln k\rfloor$ candidates the one with
# the least $\sum_i w_i\min(D_i^2,\lVert x_i-c\rVert^2)$ stays. Where every point lies on a center already, any will do.


# %%
def k_means_plus_plus(  # practice: core
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


def initial_centers(
    init: Any, X: np.ndarray, weight: np.ndarray | None, k: int, rng: np.random.Generator
) -> np.ndarray:
    """The start that `init` asks for: "k-means++", "random", an array (k, d), or a function."""
    if isinstance(init, str):
        validate_choice(init, "init", ("k-means++", "random"))
        if init == "random":
            chance = None if weight is None else weight / weight.sum()
            return X[rng.choice(len(X), size=k, replace=False, p=chance)]
        frame = frame_of(X)
        return frame.back(k_means_plus_plus(frame.into(X), weight, k, rng))
    centers = init(X, k, random_state=rng) if callable(init) else init
    centers = validate_matrix(centers, "init", dtype=X.dtype)
    if centers.shape != (k, X.shape[1]):
        raise ValueError(
            f"init must have one row for each cluster and one column for each feature, "
            f"shape {(k, X.shape[1])}, got {centers.shape}."
        )
    return centers.copy()


# %% [markdown]
# ### The estimator
# It works in the frame of its data. Rows of weight 0 take no part, whatever they hold; they are labeled at the end. `predict`,
# `transform`, `score` and the checks of parameters are in [estimator](parts/k_means/estimator.py).


# %%
class KMeans(CenterModel):
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
        everything, (X, weight) = X, self._weighted_rows(X, sample_weight, k)
        rng = random_generator(self.random_state)
        frame = frame_of(X)
        points = frame.into(X)
        tol = float(self.tol * np.vdot(points, points) / X.size)  # mean variance
        best: Fit | None = None
        for _ in range(n_init):
            start = frame.into(self._start(X, weight, k, rng))
            fast = (
                OnePass(points, weight, k) if self.algorithm == "lloyd" else ElkanPass(points, weight, start)
            )
            run = lloyd(points, weight, start, max_iter=int(self.max_iter), tol=tol, passes=fast)
            if best is None or run.inertia < best.inertia:
                best = run
        assert best is not None
        self.cluster_centers_, self._frame = frame.back(best.centers), frame
        self.labels_ = best.labels if X is everything else self._nearest(everything)
        self.inertia_, self.n_iter_ = frame.squared(best.inertia), best.n_iter
        self._warn(best.labels, best.converged, k)
        return self

    def _start(  # practice: keep
        self, X: np.ndarray, weight: np.ndarray | None, k: int, rng: np.random.Generator
    ) -> np.ndarray:
        return initial_centers(self.init, X, weight, k, rng)

    def transform(self, X: Any) -> np.ndarray:
        """Distance of each row of X to each center, (n, k)."""
        X = self._predict_matrix(X, dtype=self._center_dtype())
        frame = self._frame
        return np.sqrt(squared_distances(frame.into(X), frame.into(self.cluster_centers_))) / X.dtype.type(
            frame.unit
        )

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the inertia of X, so that larger is better."""
        X = self._predict_matrix(X, dtype=self._center_dtype())
        weight = validate_sample_weight(sample_weight, len(X), X.dtype)
        return -self._inertia(X, weight)


class MiniBatchKMeans(MiniBatches, KMeans):
    """k-means on small random batches: far cheaper than `KMeans` on large data, a little less exact.

    [Mini-batches](parts/k_means/mini_batch.py) derives the step.

    Args (besides those of `KMeans`):
        max_iter: passes over the data. batch_size: rows in a batch.
        tol: stop when the smoothed squared move of the centers falls to tol times the mean variance; 0 turns it off.
        max_no_improvement: stop after this many batches without a better smoothed inertia; None turns it off.
        init_size: rows on which the starts are chosen, by default 3 batches, at least 3 n_clusters.
        reassignment_ratio: see `reassign_small`.

    Attributes after fit: as `KMeans`, and n_steps_, the number of batches. `partial_fit` takes one batch.
    Source: Sculley (2010).
    """


# %% [markdown]
# How well the clusters separate is a question of its own: [silhouettes](parts/k_means/silhouette.py).
#
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
    """Compare with scikit-learn on real data: the headline here, every other branch in `parts/k_means/agreements.py`."""
    from sklearn.cluster import KMeans as Reference

    from shared.datasets import load_digits

    comparison = Comparison(reference="sklearn.cluster.KMeans", dataset="digits")
    X = load_digits().X
    rng = np.random.default_rng(0)
    # Pixels are integers: a start on the data would put points exactly between two centers.
    start = X[rng.choice(len(X), 10, replace=False)] + rng.normal(0, 0.3, (10, X.shape[1]))
    ours, theirs = comparison.run(
        lambda: KMeans(10, init=start, n_init=1).fit(X), lambda: Reference(10, init=start, n_init=1).fit(X)
    )
    same = "same start, same sequence of labels: only rounding of means over at most n rows differs"
    for quantity, attribute, tolerance in (
        ("labels", "labels_", 0.0), ("centers", "cluster_centers_", 1e-9),
        ("inertia", "inertia_", 1e-9), ("iterations", "n_iter_", 0.0),
    ):  # fmt: skip
        comparison.compare(
            f"{quantity}, lloyd",
            getattr(ours, attribute),
            getattr(theirs, attribute),
            tolerance=tolerance,
            reason=same,
        )
    comparison.compare("distances", ours.transform(X), theirs.transform(X), tolerance=1e-9, reason=same)
    compare_branches(comparison, X, start, rng, KMeans, MiniBatchKMeans, silhouette_score)
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

        def breath() -> Any:
            centers = start
            for _ in range(20):  # `plain_lloyd` knows no limit; its two lines do
                labels = ((X[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
                centers = np.array([X[labels == j].mean(axis=0) for j in range(k)])

        small = n * k * d <= 20_000_000  # its differences are n·k·d numbers
        return (
            lambda: quiet(KMeans(k, **options)),
            lambda: quiet(Reference(k, **options)),
            breath if small else None,
        )

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
# peaks. One start (the default, with k-means++) is a local answer: raise `n_init` where clusters touch, and set `random_state`
# if every fit must give the same one. **Do not use it** when clusters are long, very unequal or nested, when distances mean
# nothing, or when you need probabilities.
#
# **In plain words.** k-means sorts cases into a given number of groups, so that the cases of a group are close to their
# average. It takes for granted that closeness in the measured features is what matters, and that the groups are about equally
# wide and full. It will find as many groups as it is asked for, whether or not there are any. If the groups surprise you, ask
# which feature was loudest, whether another start gives other groups, and who decided on their number.
#
# **How it breaks**: `groundup break k_means`, and `failure_modes/k_means.py`.
#
# **The pictures.** The mechanism: Fisher's irises in two of their four measurements, from a poor start to the fixed point.
# The result: which ten shapes stand for 1,797 handwritten digits, and where twenty random and twenty k-means++ starts end.


# %%
def mechanism() -> Any:
    """Irises, colored by their nearest center: at the start, after one step, and at the fixed point with the centers' paths."""
    from shared.datasets import load_iris
    from shared.figures import PALETTE, subplots

    iris = load_iris()
    X = iris.X[:, 2:]
    path = [X[[10, 11, 70]]]
    while len(path) < 2 or not np.array_equal(path[-1], path[-2]):
        path.append(update_centers(X, None, path[-1], *assign_and_sum(X, None, path[-1])))
    grid = np.stack(np.meshgrid(np.linspace(0.8, 7.2, 200), np.linspace(-0.1, 2.7, 200)), axis=-1)
    figure, panels = subplots(1, 3, width=10.0, height=3.6, sharey=True)
    for panel, step, title in zip(
        panels, (0, 1, len(path) - 1), ("start", "one step", "fixed point"), strict=True
    ):
        centers = path[step]
        cell = nearest_center(grid.reshape(-1, 2), centers).reshape(200, 200)
        panel.contourf(
            *np.moveaxis(grid, -1, 0), cell, levels=[-0.5, 0.5, 1.5, 2.5], colors=PALETTE[:3], alpha=0.13
        )
        labels = nearest_center(X, centers)
        for j in range(3):
            panel.scatter(*X[labels == j].T, s=12, color=PALETTE[j], alpha=0.7, linewidths=0)
            trail = np.array([past[j] for past in path[: step + 1]])
            panel.plot(*trail.T, color=PALETTE[j], marker=".", linewidth=1.2)
            panel.plot(*trail[-1], marker="X", markersize=11, color=PALETTE[j], markeredgecolor="white")
        panel.set(title=title, xlabel=iris.feature_names[2], xlim=(0.8, 7.2), ylim=(-0.1, 2.7))
    panels[0].set_ylabel(iris.feature_names[3])
    return figure


def example() -> Any:
    """The ten centers of the best of forty starts on handwritten digits, and the inertia that each start ends with."""
    from shared.datasets import load_digits
    from shared.figures import COLORS, subplots

    digits = load_digits().X
    figure, axes = subplots(2, 6, width=9.5, height=3.4, gridspec_kw={"width_ratios": [1] * 5 + [5]})
    runs = {
        init: [KMeans(10, init=init, n_init=1, random_state=seed).fit(digits) for seed in range(20)]
        for init in ("random", "k-means++")
    }
    best = min(runs["random"] + runs["k-means++"], key=lambda run: run.inertia_)
    for panel, center in zip(axes[:, :5].flat, best.cluster_centers_, strict=True):
        panel.imshow(center.reshape(8, 8), cmap="gray_r")
        panel.set_axis_off()
    axes[0, 2].set_title("the ten centers of the best start", loc="center")
    grid = axes[0, 5].get_gridspec()
    for panel in axes[:, 5]:
        panel.remove()
    right = figure.add_subplot(grid[:, 5])
    for row, (init, color) in enumerate((("random", COLORS["broken"]), ("k-means++", COLORS["mended"]))):
        final = np.array([run.inertia_ for run in runs[init]])
        right.scatter(
            final / 1e6, row + np.linspace(-0.18, 0.18, 20), s=22, color=color, alpha=0.8, linewidths=0
        )
    right.set(title="where 20 starts end", xlabel="inertia / 10⁶", yticks=[0, 1], ylim=(-0.6, 1.6))
    right.set_yticklabels(["random", "k-means++"])
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
