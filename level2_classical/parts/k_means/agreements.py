"""k-means against scikit-learn: the option branches that the page does not show."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.agreement import Comparison


def compare_branches(
    comparison: Comparison,
    X: np.ndarray,
    start: np.ndarray,
    rng: np.random.Generator,
    KMeans: Any,
    MiniBatchKMeans: Any,
    silhouette_score: Any,
) -> None:
    """Append the agreements of both algorithms with and without weights, empty clusters, mini-batches and silhouettes.

    Args:
        X, start: data (n, d) and first centers (k, d) of the comparison that the page shows. rng: draws the weights.
        KMeans, MiniBatchKMeans, silhouette_score: ours.
    """
    from sklearn.cluster import KMeans as Reference
    from sklearn.cluster import MiniBatchKMeans as MiniBatchReference
    from sklearn.metrics import silhouette_score as reference_silhouette

    from shared.datasets import load_iris

    weight = rng.uniform(0.1, 2.0, len(X))
    same = "same start, same sequence of labels: only rounding of means over at most n rows differs"
    for algorithm, label, w in (
        ("lloyd", ", weighted", weight),
        ("elkan", "", None),
        ("elkan", ", weighted", weight),
    ):
        options: dict[str, Any] = {"init": start, "n_init": 1, "algorithm": algorithm}
        ours, theirs = comparison.run(
            lambda o=options, w=w: KMeans(10, **o).fit(X, sample_weight=w),
            lambda o=options, w=w: Reference(10, **o).fit(X, sample_weight=w),
        )
        for quantity, attribute, tolerance in (
            ("labels", "labels_", 0.0), ("centers", "cluster_centers_", 1e-9),
            ("inertia", "inertia_", 1e-9), ("iterations", "n_iter_", 0.0),
        ):  # fmt: skip
            comparison.compare(
                f"{quantity}, {algorithm}{label}",
                getattr(ours, attribute), getattr(theirs, attribute), tolerance=tolerance, reason=same,
            )  # fmt: skip
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
