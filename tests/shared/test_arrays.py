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
        ([["a", "b"]], ValueError, "cannot be read as a number"),
        ([[{}, 1]], TypeError, "cannot be read as a number"),
        (sparse.eye(2), TypeError, "Sparse data was passed for X"),
    ],
)
def test_bad_matrices_are_named(X, error, message):
    with pytest.raises(error, match=message):
        validate_matrix(X)


FRAME = pd.DataFrame(
    {"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 2.0, 3.0, np.nan], "when": pd.date_range("2020-01-30", periods=4)}
)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (FRAME[["a", "b"]], ValueError, "X contains NaN in column 'b', row 3. Impute or drop"),
        (FRAME[["a"]] / 0, ValueError, "X contains infinity in column 'a', row 0"),
        (FRAME[["when"]], TypeError, "got dates: '2020-01-30.* in column 'when', row 0 .*np.timedelta64"),
        (FRAME[["a", "when"]], TypeError, "got dates: '2020-01-30.* in column 'when', row 0"),
        (FRAME[["when"]] - FRAME["when"][0], TypeError, "got time spans: .* in column 'when', row 0"),
        (
            pd.DataFrame({"a": [1, 2], "d": ["1.5", "x"]}),
            ValueError,
            "got text: 'x' in column 'd', row 1 .*get_dummies",
        ),
        (pd.DataFrame({"d": pd.Categorical(["x"])}), ValueError, "got text: 'x' in column 'd', row 0"),
        (
            pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
            ValueError,
            "NaN in column 'a', row 1",
        ),
        (
            pd.DataFrame({"d": ["1"], "a": pd.array([None], "Int64")}),
            ValueError,
            "missing value in column 'a', row 0",
        ),
        (pd.DataFrame([[1, "x"]]), ValueError, "got text: 'x' in column 1, row 0"),
        ([[np.datetime64("2020-01-30")]], TypeError, r"got dates: '2020-01-30' at index \(0, 0\)"),
    ],
)
def test_what_is_wrong_with_a_frame_is_told_by_column_and_row(X, error, message):
    with pytest.raises(error, match=message):
        validate_matrix(X)


def test_numbers_written_as_text_and_missing_values_that_may_pass_are_read():
    np.testing.assert_array_equal(validate_matrix(pd.DataFrame({"a": ["1.5", "2"]})), [[1.5], [2.0]])
    assert np.isnan(validate_matrix(FRAME[["b"]], allow_nan=True)[3, 0])


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
        ([1.0, np.nan], {}, "y contains NaN at index 1"),
        (["1", "x"], {}, "y must hold numbers, got text: 'x' at index 1"),
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


@pytest.mark.parametrize(
    ("y", "index"),
    [
        (pd.Series([None, "a", "b"]), 0),
        (["a", "b", float("nan")], 2),
        ([1.0, np.nan], 1),
        (pd.Series([1, 2, None], dtype="Int64"), 2),
        (pd.Series(["a", None, "b"], dtype="string"), 1),
        (np.array(["2020-01-30", "NaT"], "M8[D]"), 1),
    ],
)
def test_a_missing_label_is_named(y, index):
    with pytest.raises(ValueError, match=f"y holds a missing label at index {index}"):
        validate_labels(y)


def test_labels_of_two_types_have_no_order():
    with pytest.raises(TypeError, match="got int and str, which have no common order"):
        validate_labels([1, "a"])


def test_classes_keep_their_type():
    assert validate_labels(["b", "a"])[0].dtype.kind == "U"
    assert validate_labels(pd.Series(["b", "a"], dtype=object))[0].dtype == object
    assert validate_labels([2, 1])[0].dtype == int


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
