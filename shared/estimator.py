"""The little base that lets our estimators work wherever scikit-learn's do.

scikit-learn asks four things of an estimator: constructor arguments kept under their own names
(`get_params`, `set_params`, `clone`), a mark of being fitted, the memory of what it was fitted on
(`n_features_in_`, `feature_names_in_`), and tags that describe it. None of this needs scikit-learn, so
nothing here imports it until scikit-learn itself calls `__sklearn_tags__`.

Interface: scikit-learn developers, "Developing scikit-learn estimators".
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from typing import Any

import numpy as np

from shared.arrays import feature_names, validate_choice, validate_matrix

__all__ = [
    "ClassifierMixin",
    "ClusterMixin",
    "ConvergenceWarning",
    "Estimator",
    "RegressorMixin",
    "TransformerMixin",
    "warn_not_converged",
]


class ConvergenceWarning(UserWarning):
    """An iteration stopped before it met its tolerance."""


def warn_not_converged(message: str, *, stacklevel: int = 3) -> None:
    """Warn that an iteration stopped early; as scikit-learn's own category where it is in use."""
    exceptions = sys.modules.get("sklearn.exceptions")
    category = exceptions.ConvergenceWarning if exceptions else ConvergenceWarning
    warnings.warn(message, category, stacklevel=stacklevel)


class Estimator:
    """Parameters, representation, tags and the fitted check; fit and predict are the subclass's work.

    A subclass's `__init__` stores each argument under its own name and does nothing else; fitted
    attributes end in an underscore and appear in `fit`.
    """

    _estimator_type: str | None = None

    @classmethod
    def _parameter_names(cls) -> list[str]:
        signature = inspect.signature(cls.__init__)
        return sorted(
            name
            for name, parameter in signature.parameters.items()
            if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
        )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name; with `deep` also those of nested estimators, as `outer__inner`."""
        parameters: dict[str, Any] = {}
        for name in self._parameter_names():
            value = getattr(self, name)
            parameters[name] = value
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                parameters.update({f"{name}__{key}": item for key, item in value.get_params().items()})
        return parameters

    def set_params(self, **parameters: Any) -> Estimator:
        """Set constructor arguments by name and return self.

        Raises:
            ValueError: a name that the constructor does not have.
        """
        valid = self._parameter_names()
        nested: dict[str, dict[str, Any]] = {}
        for key, value in parameters.items():
            name, delimiter, inner = key.partition("__")
            if name not in valid:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {valid}."
                )
            if delimiter:
                nested.setdefault(name, {})[inner] = value
            else:
                setattr(self, name, value)
        for name, inner_parameters in nested.items():
            getattr(self, name).set_params(**inner_parameters)
        return self

    def __repr__(self) -> str:
        """Only what differs from the defaults, as scikit-learn prints it."""
        defaults = inspect.signature(type(self).__init__).parameters
        changed = []
        for name in self._parameter_names():
            value, default = getattr(self, name, None), defaults[name].default
            if value is not default and repr(value) != repr(default):
                changed.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        """Describe the estimator to scikit-learn (which is the only caller, so the import is free)."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags, TransformerTags

        kind = self._estimator_type
        return Tags(
            estimator_type=kind,
            target_tags=TargetTags(required=kind in ("classifier", "regressor")),
            transformer_tags=TransformerTags() if hasattr(self, "transform") else None,
            classifier_tags=ClassifierTags() if kind == "classifier" else None,
            regressor_tags=RegressorTags() if kind == "regressor" else None,
            input_tags=InputTags(),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def _check_is_fitted(self) -> None:
        if self.__sklearn_is_fitted__():
            return
        exceptions = sys.modules.get("sklearn.exceptions")
        error = exceptions.NotFittedError if exceptions else NotFittedError
        raise error(
            f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments "
            "before using this estimator."
        )

    def _fit_matrix(self, X: Any, **options: Any) -> np.ndarray:
        """Validate training data and remember its width and column names."""
        names = feature_names(X)
        matrix = validate_matrix(X, **options)
        self.n_features_in_ = matrix.shape[1]
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return matrix

    def _predict_matrix(self, X: Any, **options: Any) -> np.ndarray:
        """Validate new data against what the estimator was fitted on."""
        self._check_is_fitted()
        self._compare_feature_names(feature_names(X))
        matrix = validate_matrix(X, **options)
        if matrix.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {matrix.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return matrix

    def _compare_feature_names(self, names: np.ndarray | None) -> None:
        fitted = getattr(self, "feature_names_in_", None)
        if fitted is None and names is None:
            return
        estimator = type(self).__name__
        if fitted is None:
            warnings.warn(
                f"X has feature names, but {estimator} was fitted without feature names", stacklevel=4
            )
            return
        if names is None:
            warnings.warn(
                f"X does not have valid feature names, but {estimator} was fitted with feature names",
                stacklevel=4,
            )
            return
        if len(names) == len(fitted) and np.all(names == fitted):
            return
        unexpected, missing = sorted(set(names) - set(fitted)), sorted(set(fitted) - set(names))
        message = "The feature names should match those that were passed during fit.\n"
        if unexpected:
            message += "Feature names unseen at fit time:\n" + _name_list(unexpected)
        if missing:
            message += "Feature names seen at fit time, yet now missing:\n" + _name_list(missing)
        if not unexpected and not missing:
            message += "Feature names must be in the same order as they were in fit.\n"
        raise ValueError(message)


class NotFittedError(ValueError, AttributeError):
    """Raised by prediction before `fit`, where scikit-learn's own class is not loaded."""


def _name_list(names: list[str], at_most: int = 5) -> str:
    shown = "".join(f"- {name}\n" for name in names[:at_most])
    return shown + ("- ...\n" if len(names) > at_most else "")


class RegressorMixin:
    """Adds `score`: the coefficient of determination R²."""

    _estimator_type = "regressor"

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² of `predict(X)` against `y`: 1 is perfect, 0 is as good as the mean."""
        from shared.metrics import r2_score

        return r2_score(y, self.predict(X), sample_weight=sample_weight)  # type: ignore[attr-defined]


class ClassifierMixin:
    """Adds `score`: the share of right answers."""

    _estimator_type = "classifier"

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of `predict(X)` against the labels `y`."""
        from shared.metrics import accuracy_score

        return accuracy_score(y, self.predict(X), sample_weight=sample_weight)  # type: ignore[attr-defined]


class ClusterMixin:
    """Adds `fit_predict`: the labels of the training data."""

    _estimator_type = "clusterer"

    def fit_predict(self, X: Any, y: Any = None, **options: Any) -> np.ndarray:
        """Fit, then return `labels_`; `y` is ignored and exists for `Pipeline`."""
        return self.fit(X, **options).labels_  # type: ignore[attr-defined]


OUTPUTS = ("default", "pandas")


class TransformerMixin:
    """Adds `fit_transform`, `get_feature_names_out` and `set_output`.

    A subclass writes `transform` for arrays, which is wrapped where it is defined, and says in `_n_features_out` how
    many columns it returns once fitted.
    """

    _n_features_out: Any

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "transform" in vars(cls):  # an inherited one is wrapped already
            cls.transform = _in_chosen_container(cls.transform)  # type: ignore[attr-defined]

    def fit_transform(self, X: Any, y: Any = None, **options: Any) -> Any:
        """Fit to `X`, then transform it."""
        return self.fit(X, y, **options).transform(X)  # type: ignore[attr-defined]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that `transform` returns: the class in lower case, and a number from 0.

        Raises:
            ValueError: not fitted, or `input_features` are not those of `fit`.
        """
        self._check_is_fitted()  # type: ignore[attr-defined]
        if input_features is not None:
            given, d = np.asarray(input_features, dtype=object), self.n_features_in_  # type: ignore[attr-defined]
            fitted = getattr(self, "feature_names_in_", None)
            if fitted is not None and not np.array_equal(fitted, given):
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(given) != d:
                raise ValueError(
                    f"input_features should have length equal to number of features ({d}), got {len(given)}"
                )
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{j}" for j in range(self._n_features_out)], dtype=object)

    def set_output(self, *, transform: Any = None) -> Any:
        """Choose what `transform` and `fit_transform` return, and return self.

        "pandas" is a data frame with the index of its input and the columns of `get_feature_names_out`, "default" an
        array; None changes nothing. Without a choice, scikit-learn's `set_config(transform_output=…)` decides.

        Raises:
            ValueError: another container.
        """
        if transform is not None:
            # scikit-learn's own name, which its `clone` copies
            self._sklearn_output_config = {"transform": validate_choice(transform, "transform", OUTPUTS)}
        return self


def _in_chosen_container(transform: Any) -> Any:
    """`transform` with its array put where `set_output` says."""

    @functools.wraps(transform)
    def wrapped(self: Any, X: Any, *arguments: Any, **options: Any) -> Any:
        array = transform(self, X, *arguments, **options)
        chosen = getattr(self, "_sklearn_output_config", {}).get("transform")
        if chosen is None:
            sklearn = sys.modules.get("sklearn")
            chosen = sklearn.get_config()["transform_output"] if sklearn else "default"
        if validate_choice(chosen, "transform_output", OUTPUTS) == "default":
            return array
        try:
            import pandas
        except ImportError:
            raise ImportError("set_output(transform='pandas') needs pandas: pip install pandas") from None
        index = X.index if isinstance(X, pandas.DataFrame | pandas.Series) else None
        return pandas.DataFrame(array, index=index, columns=self.get_feature_names_out(), copy=False)

    return wrapped
