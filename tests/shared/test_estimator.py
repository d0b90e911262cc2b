"""The base of our estimators: what it gives a transformer. The topics' tests run scikit-learn's own checks on it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn

from shared.estimator import Estimator, TransformerMixin


class Doubling(TransformerMixin, Estimator):
    """Returns the first `width` columns twice as large."""

    def __init__(self, width=2):
        self.width = width

    def fit(self, X, y=None):
        self._fit_matrix(X)
        self.fitted_ = True
        return self

    def transform(self, X):
        """Twice."""
        return 2 * self._predict_matrix(X)[:, : self.width]

    @property
    def _n_features_out(self):
        return self.width


class Inheriting(Doubling):
    pass


class Overriding(Doubling):
    def transform(self, X):
        return np.asarray(super().transform(X)) + 1


FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0]}, index=["first", "second"])


@pytest.mark.parametrize("transformer", [Doubling, Inheriting, Overriding])
def test_pandas_output_has_the_index_of_the_input_and_the_names_out(transformer):
    model = transformer().set_output(transform="pandas").fit(FRAME)
    prefix = transformer.__name__.lower()
    expected = 2 * FRAME[["a", "b"]].set_axis([f"{prefix}0", f"{prefix}1"], axis=1)
    expected += transformer is Overriding
    pd.testing.assert_frame_equal(model.transform(FRAME), expected)
    pd.testing.assert_frame_equal(model.fit_transform(FRAME), expected)
    model = transformer().set_output(transform="pandas").fit(FRAME.to_numpy())
    assert list(model.transform(FRAME.to_numpy()).index) == [0, 1], "an array has no index to keep"


def test_default_output_is_an_array():
    model = Doubling().fit(FRAME)
    assert isinstance(model.transform(FRAME), np.ndarray)
    model.set_output(transform="pandas").set_output(transform=None)
    assert isinstance(model.transform(FRAME), pd.DataFrame), "None changes nothing"
    assert isinstance(model.set_output(transform="default").transform(FRAME), np.ndarray)
    assert Doubling.transform.__doc__ == "Twice." and Doubling.transform.__name__ == "transform"


def test_scikit_learns_setting_holds_where_nothing_was_chosen():
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(Doubling().fit_transform(FRAME), pd.DataFrame)
        assert isinstance(Doubling().set_output(transform="default").fit_transform(FRAME), np.ndarray)
    with sklearn.config_context(transform_output="polars"):
        with pytest.raises(
            ValueError, match="transform_output must be one of 'default', 'pandas'; got 'polars'"
        ):
            Doubling().fit_transform(FRAME)


@pytest.mark.parametrize("container", ["polars", "numpy", 3])
def test_other_containers_are_refused_at_once(container):
    with pytest.raises(ValueError, match="transform must be one of 'default', 'pandas'; got"):
        Doubling().set_output(transform=container)


def test_missing_pandas_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    model = Doubling().set_output(transform="pandas").fit([[1.0, 2.0]])
    with pytest.raises(ImportError, match=r"needs pandas: pip install pandas$"):
        model.transform([[1.0, 2.0]])


def test_pandas_and_scikit_learn_are_not_imported_for_arrays():
    code = (
        "import sys, numpy as np; from level2_classical.k_means import KMeans; "
        "KMeans(2).fit_transform(np.eye(4)); assert not {'pandas', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


def test_feature_names_out():
    model = Doubling()
    with pytest.raises(ValueError, match="not fitted"):
        model.get_feature_names_out()
    model.fit(FRAME)
    np.testing.assert_array_equal(model.get_feature_names_out(["a", "b", "c"]), ["doubling0", "doubling1"])
    assert model.get_feature_names_out().dtype == object
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        model.get_feature_names_out(["b", "a", "c"])
    with pytest.raises(
        ValueError, match="input_features should have length equal to number of features .3., got 2"
    ):
        model.fit(FRAME.to_numpy()).get_feature_names_out(["a", "b"])
