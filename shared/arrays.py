"""Input validation: bad input gets an error that names the argument, what came, and what is needed.

Public methods take what scikit-learn takes (lists, integers, data frames, NumPy arrays) and hand clean
arrays to the functions behind them. Nothing here imports pandas, SciPy or scikit-learn: a data frame is
recognised by what it can do, not by its class.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from typing import Any, NoReturn

import numpy as np

__all__ = [
    "LinAlgError",
    "check_same_length",
    "check_unchanged",
    "feature_names",
    "random_generator",
    "validate_choice",
    "validate_labels",
    "validate_matrix",
    "validate_number",
    "validate_sample_weight",
    "validate_vector",
]

LinAlgError = np.linalg.LinAlgError
"""What NumPy and SciPy raise for a singular or indefinite matrix; Level 1, which has its own linear algebra, raises it, too."""


def validate_matrix(
    X: Any,
    name: str = "X",
    *,
    dtype: Any = None,
    allow_nan: bool = False,
    minimum_rows: int = 1,
    minimum_columns: int = 1,
    copy: bool = False,
) -> np.ndarray:
    """Return `X` as a finite floating-point matrix of shape (n, d).

    Args:
        X: array-like of numbers with two dimensions (list of lists, array, data frame).
        name: what to call the argument in messages.
        dtype: required dtype; by default float32 stays float32 and everything else becomes float64.
        allow_nan: let NaN pass as a missing value (infinities never pass).
        minimum_rows, minimum_columns: the least shape that makes sense to the caller.
        copy: return an array that shares no memory with `X`.

    Raises:
        TypeError: sparse input, dates, or entries that are not numbers and cannot be read as numbers.
        ValueError: wrong number of dimensions, too few rows or columns, text, NaN, infinity, complex numbers. What is
            wrong with a data frame is told by column and row.
    """
    array = _as_numbers(X, name, dtype)
    if array.ndim != 2:
        hint = ""
        if array.ndim == 1:
            hint = (
                " Reshape your data either using array.reshape(-1, 1) if your data has a single feature "
                "or array.reshape(1, -1) if it contains a single sample."
            )
        elif array.ndim == 0:
            hint = " Reshape your data into rows (samples) and columns (features)."
        raise ValueError(
            f"{name} must be a matrix with 2 dimensions (samples, features), "
            f"got {array.ndim} dimension(s) with shape {array.shape}. Expected 2D array, got "
            f"{'scalar' if array.ndim == 0 else f'{array.ndim}D'} array instead.{hint}"
        )
    rows, columns = array.shape
    if rows < minimum_rows:
        raise ValueError(
            f"{name}: found array with {rows} sample(s) (shape={array.shape}) while a minimum of {minimum_rows} is required."
        )
    if columns < minimum_columns:
        raise ValueError(
            f"{name}: found array with {columns} feature(s) (shape={array.shape}) while a minimum of "
            f"{minimum_columns} is required."
        )
    _check_finite(array, name, allow_nan, _columns(X))
    return array.copy() if copy and np.shares_memory(array, np.asarray(X)) else array


def validate_vector(
    y: Any,
    name: str = "y",
    *,
    length: int | None = None,
    dtype: Any = None,
    allow_nan: bool = False,
    allow_matrix: bool = False,
) -> np.ndarray:
    """Return `y` as a finite floating-point vector of shape (n,), or (n, k) with `allow_matrix`.

    A column of shape (n, 1) is flattened with a warning (scikit-learn's `DataConversionWarning` where
    scikit-learn is in use) unless `allow_matrix` says that several columns are welcome.

    Raises:
        TypeError: dates, or other entries that are not numbers.
        ValueError: `None`, wrong dimensions, wrong `length`, text, NaN, infinity, complex numbers.
    """
    if y is None:
        raise ValueError(
            f"{name}: this estimator requires y to be passed, but the target y is None. "
            f"{name} must be a vector of numbers."
        )
    array = _as_numbers(y, name, dtype)
    if array.ndim == 2 and array.shape[1] == 1 and not allow_matrix:
        array = _flatten_column(array, name)
    if array.ndim != 1 and not (allow_matrix and array.ndim == 2):
        wanted = "1 or 2 dimensions" if allow_matrix else "1 dimension"
        raise ValueError(
            f"{name} must have {wanted}, got {array.ndim} dimension(s) with shape {array.shape}."
        )
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one number, got shape {array.shape}.")
    _check_finite(array, name, allow_nan)
    if length is not None:
        check_same_length(length, len(array), "X", name)
    return array


def validate_labels(y: Any, name: str = "y", *, length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return `(classes, codes)`: the sorted distinct labels, and each sample's index among them.

    Labels may be integers, booleans or strings. Numbers with a fractional part are refused: they are
    measurements, not class names.

    Raises:
        TypeError: labels of types that have no common order, such as text and integers.
        ValueError: `None`, wrong dimensions or length, a missing label, continuous values.
    """
    if y is None:
        raise ValueError(
            f"{name}: this estimator requires y to be passed, but the target y is None. "
            f"{name} must be a vector of labels."
        )
    array = np.asarray(y)
    listed = array.dtype.kind == "U" and not isinstance(y, np.ndarray)
    if listed:  # once more as it is: NumPy has read a NaN among texts as the text "nan"
        array = np.asarray(y, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = _flatten_column(array, name)
    if array.ndim != 1:
        raise ValueError(
            f"{name} must have 1 dimension, got {array.ndim} dimension(s) with shape {array.shape}."
        )
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one label, got shape {array.shape}.")
    _check_labels_present(array, name)
    if array.dtype.kind == "f":
        _check_finite(array, name, allow_nan=False)
        if np.any(array != np.floor(array)):
            raise ValueError(
                f"Unknown label type: continuous. {name} must hold class labels, got the number "
                f"{array[array != np.floor(array)][0]!r}."
            )
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}.")
    if length is not None:
        check_same_length(length, len(array), "X", name)
    try:
        classes, codes = np.unique(array, return_inverse=True)
    except TypeError:
        kinds = " and ".join(sorted({type(label).__name__ for label in array}))
        raise TypeError(
            f"{name} must hold labels of one type, got {kinds}, which have no common order. Convert them, for example "
            f"with {name} = {name}.astype(str)."
        ) from None
    return (classes.astype(str) if listed else classes), codes


def validate_sample_weight(weight: Any, length: int, dtype: Any = np.float64) -> np.ndarray:
    """Return one finite, non-negative weight a sample, shape (length,); `None` means ones.

    Raises:
        ValueError: wrong shape or length, NaN, a negative weight, or all weights zero.
    """
    if weight is None:
        return np.ones(length, dtype=dtype)
    if isinstance(weight, numbers.Real):
        weight = np.full(length, float(weight))
    array = np.asarray(weight)
    if array.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {array.ndim}D array.")
    array = validate_vector(array, "sample_weight", dtype=dtype)
    if array.shape != (length,):
        raise ValueError(f"sample_weight.shape == {array.shape}, expected {(length,)}!")
    if np.any(array < 0):
        raise ValueError(f"sample_weight must not be negative, got {array.min()!r}.")
    if not np.any(array > 0):
        raise ValueError("sample_weight must hold at least one positive weight, all are zero.")
    return array


def check_same_length(n: int, m: int, first: str, second: str) -> None:
    """Raise `ValueError` unless the two arguments hold the same number of samples."""
    if n != m:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {first} has {n}, {second} has {m}."
        )


def validate_number(
    value: Any,
    name: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    integer: bool = False,
    exclusive: bool = False,
) -> Any:
    """Return `value` as a float (or an int with `integer`) within its range.

    `exclusive` leaves the end points out.

    Raises:
        TypeError: not a real number (a bool is none), or not a whole one with `integer`.
        ValueError: NaN, or outside the range.
    """
    kind = "an integer" if integer else "a number"
    expected = numbers.Integral if integer else numbers.Real
    if isinstance(value, bool | np.bool_) or not isinstance(value, expected):
        raise TypeError(f"{name} must be {kind}, got {value!r} of type {type(value).__name__}.")
    number: float = int(value) if integer else float(value)  # type: ignore[call-overload]
    low_ok = minimum is None or (number > minimum if exclusive else number >= minimum)
    high_ok = maximum is None or (number < maximum if exclusive else number <= maximum)
    if math.isnan(number) or not (low_ok and high_ok):
        low = "-inf" if minimum is None else f"{minimum:g}"
        high = "inf" if maximum is None else f"{maximum:g}"
        brackets = "()" if exclusive else "[]"
        raise ValueError(f"{name} must be {kind} in {brackets[0]}{low}, {high}{brackets[1]}, got {value!r}.")
    return number


def validate_choice(value: Any, name: str, choices: Collection[Any]) -> Any:
    """Return `value` if it is one of `choices`, also as a NumPy scalar; otherwise a `ValueError` that lists them."""
    value = value.item() if isinstance(value, np.generic) else value
    if not any(value is choice or (type(value) is type(choice) and value == choice) for choice in choices):
        raise ValueError(
            f"{name} must be one of {', '.join(repr(choice) for choice in choices)}; got {value!r}."
        )
    return value


def check_unchanged(before: np.ndarray, after: np.ndarray, name: str) -> None:
    """Raise a ValueError if the user's function `name` wrote into its argument: `before` is what it got, `after` what is left."""
    if not np.array_equal(before, after, equal_nan=True):
        raise ValueError(
            f"{name} must not change its argument in place: it got {before!r} and left {after!r}. Write x = x - 1, say, "
            "instead of x -= 1, or begin with x = x.copy()."
        )


def random_generator(random_state: Any = None) -> np.random.Generator:
    """Return a `numpy.random.Generator` made from `random_state`; global state is never touched.

    `None` seeds from the operating system, an int seeds reproducibly, a `Generator` is passed through and
    advanced, a legacy `RandomState` lends its bit generator.

    Raises:
        TypeError: anything else. ValueError: a negative seed.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.Generator(random_state._bit_generator)
    if random_state is None:
        return np.random.default_rng()
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        if random_state < 0:
            raise ValueError(f"random_state must be a non-negative integer, got {random_state}.")
        return np.random.default_rng(int(random_state))
    raise TypeError(
        "random_state must be None, a non-negative integer, a numpy.random.Generator or RandomState, "
        f"got {random_state!r} of type {type(random_state).__name__}."
    )


def feature_names(X: Any) -> np.ndarray | None:
    """Return the column names of a data frame as an object array, or `None` where there are none.

    Raises:
        TypeError: names that mix strings with other types.
    """
    columns = getattr(X, "columns", None)
    if columns is None or callable(columns) or not hasattr(columns, "__len__"):
        return None
    names = np.asarray(columns, dtype=object)
    are_strings = [isinstance(name, str) for name in names]
    if all(are_strings) and len(names):
        return names
    if any(are_strings):
        kinds = sorted({type(name).__name__ for name in names})
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your input has "
            f"{kinds} as feature name / column name types. If you want feature names to be stored and "
            "validated, you must convert them all to strings, by using X.columns = X.columns.astype(str)."
        )
    return None


def _as_numbers(values: Any, name: str, dtype: Any) -> np.ndarray:
    """Read `values` as floating-point numbers; keep float32 unless a dtype is asked for."""
    if hasattr(values, "tocsr") or hasattr(values, "tocoo"):
        raise TypeError(
            f"Sparse data was passed for {name}, but dense data is required. Use '.toarray()' to convert."
        )
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}.")
    if array.dtype.kind in "mM" and array.size:  # NumPy would count them in a unit that nobody chose
        _refuse_entry(array, (0,) * array.ndim, name, _columns(values), TypeError)
    if dtype is None:
        dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.float64
    if array.dtype == dtype:
        return array
    try:
        return array.astype(dtype)
    except (TypeError, ValueError) as error:
        _refuse_entry(array, _first_unreadable(array, dtype), name, _columns(values), type(error))


def _first_unreadable(array: np.ndarray, dtype: Any) -> tuple[int, ...]:
    """Index of the first entry that is no number, column by column; one column alone is looked through entry by entry."""

    def readable(part: Any) -> bool:
        try:
            np.asarray(part).astype(dtype)
        except (TypeError, ValueError):
            return False
        return True

    columns = range(array.shape[1]) if array.ndim == 2 else ()
    column = next((j for j in columns if not readable(array[:, j])), None)
    if column is None:
        return next(index for index in np.ndindex(array.shape) if not readable(array[index]))
    return next(i for i in range(len(array)) if not readable(array[i, column])), column


def _columns(values: Any) -> Any:
    """The columns of a data frame, or None where there are none."""
    columns = getattr(values, "columns", None)
    return None if columns is None or callable(columns) or not hasattr(columns, "__len__") else columns


def _place(index: tuple[int, ...], columns: Any) -> str:
    """Where an entry stands: by column and row in a data frame, by index elsewhere. Rows count from 0."""
    if columns is not None and len(index) == 2:
        return f"in column {columns[index[1]]!r}, row {index[0]}"
    return f"at index {index[0] if len(index) == 1 else index}"


def _is_missing(entry: Any) -> bool:
    """None, NaN, NaT, or pandas' NA, which refuses to be compared."""
    try:
        return entry is None or bool(entry != entry)
    except TypeError:
        return True


def _refuse_entry(
    array: np.ndarray, index: tuple[int, ...], name: str, columns: Any, kind: type[Exception]
) -> NoReturn:
    """Raise for an entry that is no number: where it stands, what it is, and what to do with its like."""
    entry, place = array[index], _place(index, columns)
    if _is_missing(entry):
        raise ValueError(
            f"Input {name} contains NaN or another missing value {place}. Impute or drop missing values first."
        )
    if isinstance(entry, str | bytes):
        what, remedy = (
            "text",
            "Encode categories as numbers, for example with pandas.get_dummies, or leave them out",
        )
    elif isinstance(entry, np.timedelta64) or hasattr(entry, "total_seconds"):
        what, remedy = (
            "time spans",
            "Count them in a unit of your choice, t / np.timedelta64(1, 'D') for days",
        )
    elif isinstance(entry, np.datetime64) or hasattr(entry, "isoformat"):
        what, remedy = (
            "dates",
            "Count them in a unit of your choice, (t - t.min()) / np.timedelta64(1, 'D') for days",
        )
    else:
        what, remedy = f"entries of type {type(entry).__name__}", "Convert them to numbers, or leave them out"
    raise kind(
        f"{name} must hold numbers, got {what}: {str(entry)!r} {place} cannot be read as a number (argument must be a "
        f"string or a number). {remedy}."
    )


def _check_labels_present(array: np.ndarray, name: str) -> None:
    """Raise at the first missing label."""
    if array.dtype.kind in "fmM":
        missing = np.flatnonzero(np.isnan(array))
    elif array.dtype == object:
        missing = np.array([i for i, label in enumerate(array) if _is_missing(label)], dtype=int)
    else:
        return
    if len(missing):
        raise ValueError(
            f"Input {name} contains NaN or another missing value: {name} holds a missing label at index {missing[0]}. "
            "Drop those rows, or give them a class of their own."
        )


def _check_finite(array: np.ndarray, name: str, allow_nan: bool, columns: Any = None) -> None:
    """One sum tells whether all is well; only then is it asked where not."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):
            return
    if np.isinf(array).any():
        place = _place(tuple(int(i) for i in np.argwhere(np.isinf(array))[0]), columns)
        raise ValueError(f"Input {name} contains infinity {place}. {name} must be finite.")
    if not allow_nan and np.isnan(array).any():
        place = _place(tuple(int(i) for i in np.argwhere(np.isnan(array))[0]), columns)
        raise ValueError(f"Input {name} contains NaN {place}. Impute or drop missing values first.")


def _flatten_column(array: np.ndarray, name: str) -> np.ndarray:
    import sys
    import warnings

    exceptions = sys.modules.get("sklearn.exceptions")
    category = exceptions.DataConversionWarning if exceptions else UserWarning
    warnings.warn(
        f"A column-vector y was passed when a 1d array was expected: {name} has shape {array.shape}. "
        "Please change the shape to (n_samples,), for example using ravel().",
        category,
        stacklevel=4,
    )
    return array.ravel()
