"""What every estimator with centers has: prediction, distances, score, and the checks of its parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from level2_classical.parts.k_means.frame import Frame
from level2_classical.parts.k_means.one_pass import inertia_of, nearest
from shared.arrays import validate_choice, validate_number, validate_sample_weight
from shared.estimator import ClusterMixin, Estimator, TransformerMixin, warn_not_converged


class CenterModel(ClusterMixin, TransformerMixin, Estimator):
    """An estimator whose fit leaves `cluster_centers_`, (k, d), and the frame of its data, `_frame`."""

    n_clusters: Any
    init: Any
    n_init: Any
    max_iter: Any
    tol: Any
    algorithm: Any
    cluster_centers_: np.ndarray
    _frame: Frame

    def predict(self, X: Any) -> np.ndarray:
        """Index of the nearest center for each row of X, (n,)."""
        return self._nearest(self._predict_matrix(X, dtype=self._center_dtype()))

    def _nearest(self, X: np.ndarray) -> np.ndarray:
        """Labels of rows that are validated already, (n,)."""
        return nearest(self._frame.into(X), self._frame.into(self.cluster_centers_))

    def _inertia(self, X: np.ndarray, weight: np.ndarray) -> float:
        """Weighted squared distances of rows that are validated already to their nearest centers, in the unit of X."""
        X, weight = X[weight > 0], weight[weight > 0]
        points, centers = self._frame.into(X), self._frame.into(self.cluster_centers_)
        return self._frame.squared(inertia_of(points, weight, centers, self._nearest(X)))

    @staticmethod
    def _weighted_rows(X: np.ndarray, sample_weight: Any, k: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows that count, and their weights; None for ones.

        Raises:
            ValueError: fewer than k rows have a positive weight.
        """
        if sample_weight is None:
            return X, None
        weight = validate_sample_weight(sample_weight, len(X), X.dtype)
        if weight.all():
            return X, weight
        counted = np.count_nonzero(weight)
        if counted < k:
            raise ValueError(
                f"sample_weight must be positive for at least n_clusters={k} rows, got {counted}."
            )
        return X[weight > 0], weight[weight > 0]

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def _center_dtype(self) -> Any:
        self._check_is_fitted()
        return self.cluster_centers_.dtype

    def _validate_parameters(self, X: np.ndarray) -> tuple[int, int]:
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

    def _warn(self, labels: np.ndarray, converged: bool, k: int) -> None:
        distinct = np.count_nonzero(np.bincount(labels, minlength=k))
        if distinct < k:
            warn_not_converged(
                f"Number of distinct clusters ({distinct}) found smaller than n_clusters ({k}). Possibly due to "
                "duplicate points in X; choose a smaller n_clusters."
            )
        elif not converged:
            warn_not_converged(
                f"k-means stopped after max_iter={self.max_iter} steps; raise max_iter or tol."
            )
