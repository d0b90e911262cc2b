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
# # How k-means breaks
#
# k-means finds a *local* minimum of the inertia, and the inertia itself assumes round clusters of one size in one unit.
# Each assumption is broken here once, with the number that theory predicts.

# %%
from __future__ import annotations

from functools import cache
from itertools import combinations
from math import erf, sqrt
from typing import Any

import numpy as np

from level2_classical.k_means import KMeans, k_means_plus_plus, lloyd
from shared.failure_mode import Claim, FailureMode, Share, Sweep

# %% [markdown]
# ## An unlucky start misses the optimum
#
# Six points on a line, three pairs: $\{\mp1\}$, $\{D\mp1\}$, $\{2D\mp1\}$, and $k=3$. The optimum gives each pair a center.
# There are $\binom63=20$ possible starts on the data; by hand, for $D>6$:
#
# - one point of each pair (8 starts): the optimum after one step;
# - both points of an outer pair and one of the middle pair (2 × 2 = 4 starts): the far pair joins the middle center,
#   which moves to $\tfrac32D$; each middle point is nearer to it than to the outer pair ($\tfrac D2+1<D-2$), and
#   nothing moves any more. **Stuck**, with inertia $4(D/2)^2+4$ instead of 6;
# - all other 8 starts: the crowded pair hands over one of its two centers step by step, and the optimum is reached.
#
# So a random start fails with probability exactly $4/20$. k-means++ draws by squared distance, and a second center next to
# the first is then unlikely. For the greedy form we can still enumerate: from a set of centers, candidate $c$ has
# probability $p_c\propto D_c^2$, and of $L$ independent candidates the best survives, so that with candidates sorted by the
# inertia that they leave, $P(c)=\big(\sum_{i\ge c}p_i\big)^L-\big(\sum_{i>c}p_i\big)^L$ (ties share in proportion to $p$).

# %%
SPACING = 10.0


def three_pairs(spacing: float) -> np.ndarray:
    """Six points on a line, (6, 1): a pair at each of 0, D and 2D."""
    return np.array([[center + side] for center in (0.0, spacing, 2 * spacing) for side in (-1.0, 1.0)])


STARTS = list(combinations(range(6), 3))  # the twenty sets of three points


@cache
def ends(spacing: float) -> tuple[tuple[float, ...], ...]:
    """Inertia and centers at the end of Lloyd's algorithm from each of the twenty starts; it is deterministic."""
    X = three_pairs(spacing)
    runs = [lloyd(X, None, X[list(start)]) for start in STARTS]
    return tuple((run.inertia, *np.sort(run.centers[:, 0]).round(9)) for run in runs)


def share_of_stuck_starts(
    rng: np.random.Generator, *, init: str, spacing: float = SPACING, starts: int = 500
) -> Share:
    """From how many starts Lloyd's algorithm ends above the optimum."""
    X = three_pairs(spacing)
    inertia = np.array([end[0] for end in ends(spacing)])
    if init == "random":
        end = inertia[rng.integers(20, size=starts)]
    else:
        chosen = [
            np.searchsorted(X[:, 0], np.sort(k_means_plus_plus(X, None, 3, rng)[:, 0])) for _ in range(starts)
        ]
        end = inertia[[STARTS.index(tuple(c)) for c in chosen]]
    return Share(int(np.sum(end > 6 + 1e-9)), starts)


def stuck_probability(
    *, init: str, spacing: float = SPACING, starts: int = 500, candidates: int = 3
) -> float:
    """4/20 for random starts; for k-means++ the sum over its paths to those four starts; one candidate is not greedy."""
    if spacing <= 6:
        raise ValueError(f"the count of stuck starts holds for a spacing above 6, got {spacing:g}.")
    failing = [{0, 1, 2}, {0, 1, 3}, {4, 5, 2}, {4, 5, 3}]
    if init == "random":
        return len(failing) / len(STARTS)
    x = three_pairs(spacing)[:, 0]

    def next_center(chosen: tuple[int, ...]) -> np.ndarray:
        nearest = np.min([(x - x[c]) ** 2 for c in chosen], axis=0)
        chance = nearest / nearest.sum()
        left = np.array([np.minimum(nearest, (x - x[c]) ** 2).sum() for c in range(6)]).round(9)
        result = np.zeros(6)
        for value in np.unique(left):
            tied = left == value
            at_least, above = chance[left >= value].sum(), chance[left > value].sum()
            if chance[tied].sum() > 0:
                result[tied] = (at_least**candidates - above**candidates) * chance[tied] / chance[tied].sum()
        return result

    total = 0.0
    for first in range(6):
        second = next_center((first,))
        for b in range(6):
            if second[b] > 0:
                third = next_center((first, b))
                total += sum(second[b] * third[c] for c in range(6) if {first, b, c} in failing) / 6
    return total


def share_that_leaves_a_pair_bare(**parameters: Any) -> float:
    """The nearest wrong theory: every start that gives some pair no center is stuck."""
    return 1 - 8 / len(STARTS)


def share_with_one_candidate(**parameters: Any) -> float:
    """The rival of the greedy form: k-means++ that draws each center once."""
    return stuck_probability(candidates=1, **parameters)


def draw_unlucky_start() -> Any:
    """Left: the inertia at the end from each of the twenty starts, named by the points they take; four stay at D² + 4.
    Right: the share that is stuck, over the spacing of the pairs; theory speaks from D = 6 on."""
    from shared.figures import COLORS, plot_sweep, subplots

    final = [end[0] for end in ends(SPACING)]
    figure, (axes, right) = subplots(1, 2, width=9.5, height=3.6, width_ratios=[3, 2])
    colors = [COLORS["broken"] if value > 6 + 1e-9 else COLORS["mended"] for value in final]
    axes.bar(range(20), final, color=colors)
    axes.axhline(SPACING**2 + 4, color=COLORS["theory"], linestyle="--", label="stuck: D² + 4")
    axes.axhline(6, color=COLORS["theory"], linestyle=":", label="optimum: 6")
    axes.set(
        title="All 20 starts: 4 of them are stuck",
        xlabel="start: which three of the points 1 to 6",
        ylabel="final inertia",
    )
    axes.set_xticks(range(20), ["".join(str(c + 1) for c in start) for start in STARTS], rotation=90)
    axes.legend()
    plot_sweep(right, UNLUCKY_START.breaks)
    right.axvline(6, color=COLORS["muted"], linewidth=0.8, linestyle=":")
    right.set(title="random starts that are stuck", ylim=(-0.02, 0.65))
    right.legend()
    return figure


UNLUCKY_START = FailureMode(
    name="unlucky_start",
    title="An unlucky start misses the optimum",
    symptoms=(
        "inertia differs between runs",
        "k-means stops at a bad solution although the clusters are obvious",
        "two centers share one cluster and another cluster has none",
    ),
    breaks=Claim(
        statement="On three pairs of points on a line, one random start in five is stuck above the optimum.",
        quantity="share of random starts that end above the optimal inertia",
        experiment=share_of_stuck_starts,
        predicted=stuck_probability,
        rival=share_that_leaves_a_pair_bare,
        relation="≈",
        tolerance=0.04,
        reason="the share is exact; δ is the width of the verdict's interval at 20 × 500 starts, rounded up",
        parameters={"init": "random", "spacing": SPACING},
        sweep=Sweep("spacing", (3.0, 4.0, 5.0, 5.5, 6.5, 8.0, 10.0, 14.0), "spacing D of the pairs"),
    ),
    remedy=Claim(
        statement="Greedy k-means++ misses this optimum in fewer than two starts of a thousand: along all its paths "
        "the share is 2·10⁻⁵.",
        quantity="share of k-means++ starts that end above the optimal inertia",
        experiment=share_of_stuck_starts,
        predicted=stuck_probability,
        rival=share_with_one_candidate,
        relation="≈",
        tolerance=0.002,
        reason="the share is exact; δ is what 20 × 500 starts resolve, and a fifth of what k-means++ with a single "
        "candidate would give: this run tells greedy from plain, not 2·10⁻⁵ from 0",
        parameters={"init": "k-means++"},
    ),
    figure=draw_unlucky_start,
)

# %% [markdown]
# ## Another answer every night
#
# A job that fits the same data every night, with random starts and no `random_state`, can report other clusters although
# nothing has changed. On the three pairs each run ends in the optimum, or stuck on the left or on the right, with
# probabilities $1-q$, $q/2$ and $q/2$, where $q=\frac15$. Two nights differ unless they end alike:
#
# $$P(\text{differ})=1-(1-q)^2-2\big(\tfrac q2\big)^2=2q-\tfrac32q^2=0.34 .$$
#
# **Remedy.** Keep the best of $m$ starts (`n_init=m`). All of them are stuck with probability $q^m$, which takes the place
# of $q$: for $m=3$ nights differ once in 63. A fixed `random_state` makes every night the same, but the same unlucky start
# would then be repeated every night.
#
# Three things that this does not mend. The *numbering* of the clusters is arbitrary even where the clusters are the same: match
# them by their centers before comparing two fits. k-means++, the default, fails rarely on well separated clusters, and often where
# they touch: on digits with $k=10$ single starts end all over (the picture of the topic). There, too,
# raise `n_init` until `inertia_` hardly falls; the very same labels may still never come. And where many partitions are about equally good, none of them is a finding: ask for fewer clusters.

# %%
NIGHTS = {"spacing": SPACING, "nights": 2000}


def nights_that_differ(rng: np.random.Generator, *, n_init: int, spacing: float, nights: int) -> Share:
    """In how many pairs of nights the best of `n_init` random starts leads to different clusters."""
    end = ends(spacing)
    inertia = np.array([run[0] for run in end]).round(9)
    _, clusters = np.unique(
        [run[1:] for run in end], axis=0, return_inverse=True
    )  # however they are numbered
    starts = rng.integers(20, size=(nights, 2, n_init))
    best = np.take_along_axis(starts, inertia[starts].argmin(axis=2)[..., None], axis=2)[
        ..., 0
    ]  # (nights, 2)
    first, second = clusters[best].T
    return Share(int(np.sum(first != second)), nights)


def difference_by_formula(*, n_init: int, spacing: float, nights: int) -> float:
    """2q − 3q²/2, where all of m starts are stuck with probability q = 5⁻ᵐ."""
    q = stuck_probability(init="random", spacing=spacing) ** n_init
    return 2 * q - 1.5 * q**2


def difference_of_two_ends(*, n_init: int, spacing: float, nights: int) -> float:
    """The nearest wrong theory: nights differ if one is stuck and the other is not; it forgets that there are two ways
    to be stuck."""
    q = stuck_probability(init="random", spacing=spacing) ** n_init
    return 2 * q * (1 - q)


def draw_nights() -> Any:
    """How often two nights differ, over the number of starts of which the best is kept."""
    from shared.figures import plot_sweep, subplots

    figure, axes = subplots(width=7.0, height=3.4)
    plot_sweep(axes, ANOTHER_ANSWER_EVERY_NIGHT.breaks)
    axes.set(
        title="Two nights, the same data, other clusters",
        ylabel="share of pairs that differ",
        xticks=[1, 2, 3, 4, 5],
    )
    axes.legend()
    return figure


ANOTHER_ANSWER_EVERY_NIGHT = FailureMode(
    name="another_answer_every_night",
    title="Another answer every night",
    symptoms=(
        "other clusters every night",
        "k-means gives different clusters each run on the same data",
        "labels change although the data did not",
    ),
    breaks=Claim(
        statement="Two nights with one random start each end in different clusters of the same three pairs with "
        "probability 2q − 3q²/2 = 0.34, q = 1/5.",
        quantity="share of pairs of nights whose clusters differ",
        experiment=nights_that_differ,
        predicted=difference_by_formula,
        rival=difference_of_two_ends,
        relation="≈",
        tolerance=0.015,
        reason="the share is exact; δ is one and a half times the half-width of the verdict's interval at 20 × 2,000 pairs",
        parameters={"n_init": 1, **NIGHTS},
        sweep=Sweep("n_init", (1, 2, 3, 4, 5), "n_init: the best of so many random starts", seeds=4),
    ),
    remedy=Claim(
        statement="With n_init=3 the best of three starts is kept, and they differ once in 63: q becomes q³.",
        quantity="share of pairs of nights whose clusters differ",
        experiment=nights_that_differ,
        predicted=difference_by_formula,
        rival=difference_by_formula(n_init=1, **NIGHTS),
        relation="≈",
        tolerance=0.008,
        reason="the share is exact; δ is what 20 × 2,000 pairs resolve, and more: two starts would give 0.078, four 0.003",
        parameters={"n_init": 3, **NIGHTS},
    ),
    figure=draw_nights,
)

# %% [markdown]
# ## Unequal clusters: the boundary runs through the larger one
#
# Two uniform segments on a line: $[0,W]$ holds a share $p$ of the points, $[W+g,W+g+w]$ the rest. k-means cuts midway
# between its two means. For a cut $t<W$ the left mean is $t/2$, so the right mean must be $c_2=\tfrac32t$. Computing $c_2$
# from the masses, with $M$ the mean of all points, gives the quadratic
#
# $$\frac pW\,t^2-\tfrac32\,t+M=0,\qquad M=\frac{pW}2+(1-p)\Big(W+g+\frac w2\Big),$$
#
# whose smaller root is the cut. (Where the point midway between the means of the two segments lies in the gap, the right cut
# is a fixed point, too, with less inertia, and a few starts find it: that is so for $W\le2g+w$, and the formula is for wider ones.) The share $p(1-t/W)$ of all points lands in the wrong cluster although the gap is in
# plain sight. The formula is for infinitely many points; with $n=2{,}000$ the cut moves by $O(1/\sqrt n)$.
#
# **Remedy.** Ask for more centers than clusters, then join cells across all gaps but the widest. That needs cells that are short
# against the gap: one that bridges it is a fixed point, too, and with few cells, which are long, it survives. We predict that nothing is
# misplaced where the mean length of a cell, $(W+w)/k$, is at most twice the gap; the picture shows both sides of that.

# %%
UNEQUAL = {"width": 10.0, "gap": 1.0, "small": 1.0, "share": 0.9, "n": 2000}


def two_segments(
    rng: np.random.Generator, *, width: float, gap: float, small: float, share: float, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points on a line, (n, 1), and whether each belongs to the small segment, (n,)."""
    n_large = round(share * n)
    large = rng.uniform(0, width, n_large)
    little = rng.uniform(width + gap, width + gap + small, n - n_large)
    return np.concatenate([large, little])[:, None], np.arange(n) >= n_large


def share_misplaced(rng: np.random.Generator, *, cells: int, **segments: Any) -> float:
    """Share of points in the wrong cluster; more than two cells are joined across all gaps but the widest."""
    X, truth = two_segments(rng, **segments)
    model = KMeans(cells, n_init=5, random_state=rng).fit(X)
    order = np.argsort(model.cluster_centers_[:, 0])
    low = np.array([X[model.labels_ == j].min() for j in order])
    high = np.array([X[model.labels_ == j].max() for j in order])
    first_right = 1 + int(np.argmax(low[1:] - high[:-1]))
    found = np.isin(model.labels_, order[first_right:])
    return float(np.mean(found != truth))


def misplaced_by_formula(
    *, cells: int, width: float, gap: float, small: float, share: float, n: int
) -> float:
    """p(1 − t/W) from the quadratic for the cut t; nothing with cells short enough. Raises for cells in between."""
    if cells > 2:
        length = (width + small) / cells
        if length > 2 * gap:
            raise ValueError(
                f"cells of length {length:.3g} may bridge a gap of {gap:g}; at most twice the gap is covered."
            )
        return 0.0
    if (width + gap + (width + small) / 2) / 2 >= width:  # midway between the means of the two segments
        raise ValueError(
            f"a large segment of width {width:g} leaves the cut in the gap; the quadratic holds for wider ones."
        )
    a = share / width
    mean = share * width / 2 + (1 - share) * (width + gap + small / 2)
    cut = (1.5 - sqrt(2.25 - 4 * a * mean)) / (2 * a)
    if cut >= width:
        raise ValueError(
            f"the quadratic holds for a cut inside the large segment, got {cut:.3g} of {width:g}."
        )
    return share * (1 - cut / width)


def misplaced_between_true_means(
    *, width: float, gap: float, small: float, share: float, **others: Any
) -> float:
    """The nearest wrong theory: the cut lies midway between the means of the true clusters."""
    cut = (width / 2 + width + gap + small / 2) / 2
    return share * max(0.0, 1 - cut / width)


def draw_unequal() -> Any:
    """Left: the points with the cut of two centers, and the gap that eight cells find. Middle: the share of misplaced points
    over the width of the large segment. Right: the share that more cells misplace, which theory covers once they are short."""
    from shared.figures import COLORS, plot_sweep, subplots

    rng = np.random.default_rng(0)
    X, _ = two_segments(rng, **UNEQUAL)
    figure, (axes, middle, right) = subplots(1, 3, width=11.0, height=3.8, width_ratios=[3, 2, 2])
    plot_sweep(middle, UNEQUAL_CLUSTERS.breaks)
    middle.set_title("share misplaced by two centers")
    middle.legend()
    plot_sweep(right, UNEQUAL_CLUSTERS.remedy, color=COLORS["mended"])
    right.set_title("and by more cells, joined")
    right.legend()
    counts, edges = np.histogram(X[:, 0], bins=60)
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=COLORS["muted"], alpha=0.6)
    centers = np.sort(KMeans(2, n_init=5, random_state=0).fit(X).cluster_centers_[:, 0])
    predicted = UNEQUAL["width"] * (1 - misplaced_by_formula(cells=2, **UNEQUAL) / UNEQUAL["share"])
    axes.axvline(centers.mean(), color=COLORS["broken"], label="cut of two centers, measured")
    axes.axvline(predicted, color=COLORS["theory"], linestyle="--", label="cut, predicted")
    axes.axvline(
        UNEQUAL["width"] + UNEQUAL["gap"] / 2, color=COLORS["mended"], label="widest gap between 8 cells"
    )
    axes.set(title="k-means halves the large cluster", xlabel="x", ylabel="points")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=1)
    return figure


UNEQUAL_CLUSTERS = FailureMode(
    name="unequal_clusters",
    title="Unequal clusters: the boundary runs through the larger one",
    symptoms=(
        "clusters cut the big group in two",
        "k-means splits a large cluster and merges part of it with a small one",
    ),
    breaks=Claim(
        statement="Two centers cut a segment ten times as wide as its neighbor, and misplace the share that the "
        "fixed point of the two means gives.",
        quantity="share of points in the wrong cluster",
        experiment=share_misplaced,
        predicted=misplaced_by_formula,
        rival=misplaced_between_true_means,
        relation="≈",
        tolerance=0.02,
        reason="finite n: the cut's standard error is of order W/√n = 0.2, a share of 0.02",
        parameters={"cells": 2, **UNEQUAL},
        sweep=Sweep(
            "width", (1.0, 2.0, 2.8, 3.4, 4.0, 6.0, 10.0, 14.0), "width W of the large segment", seeds=4
        ),
    ),
    remedy=Claim(
        statement="Eight cells joined everywhere but at the widest gap misplace no point.",
        quantity="share of points in the wrong cluster",
        experiment=share_misplaced,
        predicted=misplaced_by_formula,
        rival=misplaced_by_formula(cells=2, **UNEQUAL),
        relation="≤",
        tolerance=0.0,
        reason="a count that is 0 or not; the next wider spacing between points is wider than the gap with probability "
        "below n exp(−np g/W) < 10⁻⁷⁰",
        parameters={"cells": 8, **UNEQUAL},
        every_seed=True,
        sweep=Sweep("cells", (3, 4, 5, 6, 8, 12), "cells", seeds=8),
    ),
    figure=draw_unequal,
)

# %% [markdown]
# ## Scale: the loudest feature decides
#
# Two classes at $\pm\mu$ in feature 1 with unit noise, and a feature 2 that is pure noise with standard deviation $s$. Two
# centers split one direction, and lower the inertia by the squared distance of the half means from the middle: by
# $(E|x_1|)^2$ along feature 1, by $\tfrac2\pi s^2$ along feature 2. For $s\sqrt{2/\pi}>E|x_1|$ the noise wins, and the clusters
# agree with the classes as well as coin flips do: on the share $\tfrac12$. (The better of the two namings is counted, which
# adds $E|\hat p-\tfrac12|=1/\sqrt{2\pi n}$.)
#
# **Remedy.** Standardize. The split is then along feature 1, at 0 by symmetry, and a point is right with probability
# $\Phi(\mu)$. (Standardizing helps here because the noise is loud, not because equal variances were always right.)

# %%
SCALE = {"mu": 2.0, "noise": 10.0, "n": 2000}


def agreement_with_classes(
    rng: np.random.Generator, *, standardize: bool, mu: float, noise: float, n: int
) -> float:
    """Share of points whose cluster is their class, under the better of the two namings."""
    truth = np.arange(n) % 2
    X = np.column_stack([(2 * truth - 1) * mu + rng.standard_normal(n), noise * rng.standard_normal(n)])
    if standardize:
        X = (X - X.mean(axis=0)) / X.std(axis=0)
    share = float(np.mean(KMeans(2, n_init=3, random_state=rng).fit(X).labels_ == truth))
    return max(share, 1 - share)


def agreement_by_formula(*, standardize: bool, mu: float, noise: float, n: int) -> float:
    """Φ(μ) when the split is along the class direction; ½ + 1/√(2πn) when it is along the noise."""
    loud = noise * sqrt(2 / np.pi)
    half_mean = mu * erf(mu / sqrt(2)) + sqrt(2 / np.pi) * np.exp(-(mu**2) / 2)  # E|x₁|
    if not standardize and loud < half_mean:
        raise ValueError(f"the noise decides once s√(2/π) exceeds E|x₁| = {half_mean:.3g}, got {loud:.3g}.")
    return 0.5 * (1 + erf(mu / sqrt(2))) if standardize else 0.5 + 1 / sqrt(2 * np.pi * n)


def draw_scale() -> Any:
    """The same points clustered before and after standardizing; and the share in the right cluster over the noise, where theory
    speaks once the noise is louder than the classes."""
    from shared.figures import PALETTE, plot_sweep, subplots

    rng = np.random.default_rng(0)
    n, mu, noise = 600, SCALE["mu"], SCALE["noise"]
    truth = np.arange(n) % 2
    X = np.column_stack([(2 * truth - 1) * mu + rng.standard_normal(n), noise * rng.standard_normal(n)])
    figure, panels = subplots(1, 3, width=11.0, height=3.6)
    for panel, data, title in (
        (panels[0], X, "as measured: split along the noise"),
        (panels[1], X / X.std(axis=0), "standardized: split along the classes"),
    ):
        labels = KMeans(2, n_init=3, random_state=0).fit(data).labels_
        for j in range(2):
            for kind, marker in ((0, "o"), (1, "^")):
                rows = (labels == j) & (truth == kind)
                panel.scatter(*X[rows].T, s=13, color=PALETTE[j], marker=marker, alpha=0.7, linewidths=0)
        panel.set(title=title, xlabel="feature 1 (classes: ● and ▲)")
    panels[0].set_ylabel("feature 2 (noise)")
    plot_sweep(panels[2], LOUD_FEATURE.breaks)
    panels[2].set(title="share in the right cluster", ylim=(0.45, 1.02))
    panels[2].legend()
    return figure


LOUD_FEATURE = FailureMode(
    name="loud_feature",
    title="Scale: the loudest feature decides",
    symptoms=(
        "clusters follow one feature",
        "clusters changed after I changed the unit of a column",
        "k-means finds no structure although classes are obvious",
    ),
    breaks=Claim(
        statement="With a noise feature ten times as loud, the clusters agree with the classes no better than chance.",
        quantity="share of points in the cluster of their class",
        experiment=agreement_with_classes,
        predicted=agreement_by_formula,
        rival=agreement_by_formula(standardize=True, **SCALE),
        relation="≈",
        tolerance=0.02,
        reason="the cut tilts by O(1/√n) toward the class direction, which adds a share of the same order",
        parameters={"standardize": False, **SCALE},
        sweep=Sweep(
            "noise", (0.5, 1.0, 2.0, 2.4, 3.0, 4.0, 6.0, 10.0), "standard deviation s of the noise", seeds=4
        ),
    ),
    remedy=Claim(
        statement="After standardizing, the share of points in the cluster of their class is Φ(μ).",
        quantity="share of points in the cluster of their class",
        experiment=agreement_with_classes,
        predicted=agreement_by_formula,
        rival=agreement_by_formula(standardize=False, **SCALE),
        relation="≈",
        tolerance=0.01,
        reason="the cut's tilt and shift of O(1/√n) cost a share of O(1/n); sampling error is 0.003 a seed",
        parameters={"standardize": True, **SCALE},
    ),
    figure=draw_scale,
)

# %%
FAILURE_MODES = (UNLUCKY_START, ANOTHER_ANSWER_EVERY_NIGHT, UNEQUAL_CLUSTERS, LOUD_FEATURE)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
