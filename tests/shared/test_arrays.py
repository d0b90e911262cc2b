"""Bad input is told apart and named; good input comes through unchanged."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from shared import arrays
from shared.arrays import (
    feature_names,
    random_generator,
    validate_choice,
    validate_labels,
    validate_matrix,
    validate_number,
    validate_sample_weight,
    validate_vector,
)


@pytest.mark.parametrize(
    "X", [[[1, 2], [3, 4]], np.array([[1, 2], [3, 4]]), pd.DataFrame({"a": [1, 3], "b": [2, 4]})]
)
def test_lists_integers_and_frames_become_float64(X):
    matrix = validate_matrix(X)
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, [[1, 2], [3, 4]])


def test_float32_stays_float32_and_is_not_copied():
    X = np.ones((2, 2), np.float32)
    assert validate_matrix(X) is X
    assert not np.shares_memory(validate_matrix(X, copy=True), X)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"X must be a matrix.*shape \(2,\).*Reshape your data"),
        (3.0, ValueError, "got 0 dimension"),
        (np.ones((1, 1, 1)), ValueError, "got 3 dimension"),
        (np.empty((0, 2)), ValueError, r"0 sample\(s\)"),
        (np.empty((3, 0)), ValueError, r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1 is required"),
        ([[1.0, np.nan]], ValueError, r"contains NaN at index \(0, 1\)"),
        ([[np.inf, 1.0]], ValueError, r"contains infinity at index \(0, 0\)"),
        ([[1e308, 1e308], [1e308, np.nan]], ValueError, "contains NaN"),
        ([[1j, 1.0]], ValueError, "Complex data not supported"),
        ([["a", "b"]], ValueError, "cannot be read as numbers"),
        ([[{}, 1]], TypeError, "cannot be read as numbers"),
        (sparse.eye(2), TypeError, "Sparse data was passed for X"),
    ],
)
def test_bad_matrices_are_named(X, error, message):
    with pytest.raises(error, match=message):
        validate_matrix(X)


def test_large_finite_numbers_are_not_mistaken_for_infinity():
    assert validate_matrix([[1e308, 1e308]]).shape == (1, 2)


def test_missing_values_may_pass_but_infinities_never():
    assert np.isnan(validate_matrix([[np.nan]], allow_nan=True)).all()
    with pytest.raises(ValueError, match="infinity"):
        validate_matrix([[np.inf]], allow_nan=True)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (None, {}, "requires y to be passed, but the target y is None"),
        ([], {}, "at least one number"),
        ([[1.0, 2.0]], {}, "y must have 1 dimension"),
        ([1.0], {"length": 2}, "inconsistent numbers of samples: X has 2, y has 1"),
        ([np.nan], {}, "NaN"),
    ],
)
def test_bad_vectors_are_named(y, options, message):
    with pytest.raises(ValueError, match=message):
        validate_vector(y, **options)


def test_a_column_is_flattened_with_a_warning():
    with pytest.warns(Warning, match="A column-vector y was passed"):
        assert validate_vector([[1.0], [2.0]]).shape == (2,)
    assert validate_vector([[1.0], [2.0]], allow_matrix=True).shape == (2, 1)


def test_labels_are_sorted_and_coded():
    classes, codes = validate_labels(["b", "a", "b"])
    assert classes.tolist() == ["a", "b"] and codes.tolist() == [1, 0, 1]


def test_measurements_are_no_labels():
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        validate_labels([0.5, 1.0])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0], r"sample_weight.shape == \(1,\)"),
        ([[1.0], [2.0]], "1D array"),
        ([-1.0, 1], "negative"),
        ([0, 0], "all are zero"),
    ],
)
def test_bad_weights_are_named(weight, message):
    with pytest.raises(ValueError, match=message):
        validate_sample_weight(weight, 2)


def test_no_weights_are_ones():
    np.testing.assert_array_equal(validate_sample_weight(None, 3), np.ones(3))


@pytest.mark.parametrize(
    ("value", "options", "error", "message"),
    [
        (True, {}, TypeError, "must be a number, got True"),
        ("1", {}, TypeError, "of type str"),
        (1.5, {"integer": True}, TypeError, "must be an integer"),
        (0, {"minimum": 1}, ValueError, r"in \[1, inf\], got 0"),
        (1, {"minimum": 0, "maximum": 1, "exclusive": True}, ValueError, r"in \(0, 1\), got 1"),
        (float("nan"), {}, ValueError, "got nan"),
    ],
)
def test_bad_numbers_are_named(value, options, error, message):
    with pytest.raises(error, match=message):
        validate_number(value, "alpha", **options)


def test_numpy_numbers_are_numbers():
    assert validate_number(np.int64(3), "k", integer=True) == 3
    assert validate_number(np.float32(0.5), "alpha") == 0.5


def test_choices_are_listed():
    with pytest.raises(ValueError, match="solver must be one of 'qr', 'normal'; got 'lu'"):
        validate_choice("lu", "solver", ("qr", "normal"))
    assert validate_choice(None, "x", (None, "a")) is None
    with pytest.raises(ValueError, match="got 1"):
        validate_choice(1, "x", (True,))


def test_generators():
    rng = np.random.default_rng(0)
    assert random_generator(rng) is rng
    assert random_generator(3).random() == np.random.default_rng(3).random()
    assert isinstance(random_generator(np.random.RandomState(0)), np.random.Generator)
    assert random_generator(None).random() != random_generator(None).random()
    for bad, error in ((-1, ValueError), (0.5, TypeError), ("a", TypeError)):
        with pytest.raises(error, match="random_state must be"):
            random_generator(bad)


def test_feature_names_of_frames():
    assert feature_names(pd.DataFrame({"a": [1], "b": [2]})).tolist() == ["a", "b"]
    assert feature_names(pd.DataFrame([[1, 2]])) is None
    assert feature_names(np.ones((1, 2))) is None
    with pytest.raises(TypeError, match="all input features have string names"):
        feature_names(pd.DataFrame({"a": [1], 2: [2]}))


def test_everything_offered_exists():
    assert all(hasattr(arrays, name) for name in arrays.__all__)
