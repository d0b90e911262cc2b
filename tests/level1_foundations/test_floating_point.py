"""Floating-point arithmetic: the exercises in the order of the topic's functions, then the reference, the failures."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from level1_foundations import floating_point
from level1_foundations.failure_modes.floating_point import (
    FAILURE_MODES,
    negative_by_formula,
    predicted_excess,
    record,
    root_error_by_formula,
    square_error_by_formula,
    textbook_variance,
)
from level1_foundations.floating_point import RunningMoments
from level1_foundations.parts.floating_point.agreements import numacc

TYPES = (np.float16, np.float32, np.float64)
ORDINARY = st.floats(-1e100, 1e100, allow_subnormal=False)
CANCELING = np.array([1.0, 1e16, 1.0, -1e16, 3.0])  # sums to 5; one by one 3 are left


# In one breath


def test_plain_sum_keeps_what_an_addition_lost():
    tenths = [0.1] * 1000
    assert plain_error(tenths) <= math.ulp(100) / 2 < abs(sum_one_by_one(tenths) - 100)


def plain_error(values):
    return abs(Fraction(floating_point.plain_sum(values)) - sum(map(Fraction, values)))


def sum_one_by_one(values):
    return float(np.add.accumulate(values)[-1])


def test_plain_sum_of_numbers_of_both_signs():
    x = np.random.default_rng(1).standard_normal(10_000)
    assert floating_point.plain_sum(x) == pytest.approx(math.fsum(x), abs=4e-16 * np.abs(x).sum())


def test_plain_moments_of_three_numbers():
    mean, variance = floating_point.plain_moments([1.0, 2.0, 6.0])
    assert mean == pytest.approx(3) and variance == pytest.approx(14 / 3)


def test_plain_moments_far_from_zero():
    mean, variance = floating_point.plain_moments([1e9 + 1, 1e9 + 2, 1e9 + 3])
    assert mean == 1e9 + 2 and variance == pytest.approx(2 / 3)


def test_the_rungs_agree():
    x = np.random.default_rng(0).random(5000)
    total, (mean, variance) = floating_point.plain_sum(x), floating_point.plain_moments(x)
    assert (
        total
        == pytest.approx(floating_point.kahan_sum(x), rel=3e-16)
        == pytest.approx(floating_point.exact_sum(x), rel=3e-16)
    )
    whole = RunningMoments(x)
    assert mean == pytest.approx(whole.mean, rel=1e-13) and variance == pytest.approx(
        whole.variance, rel=1e-12
    )


# What the machine has


@pytest.mark.parametrize("number", TYPES)
def test_machine_epsilon(number):
    assert floating_point.machine_epsilon(number) == np.finfo(number).eps
    assert type(floating_point.machine_epsilon(number)) is number


def test_machine_epsilon_of_integers_is_refused():
    with pytest.raises(TypeError, match="floating type such as numpy.float32, got int64"):
        floating_point.machine_epsilon(np.int64)


@given(st.floats(allow_nan=False))
def test_spacing_is_that_of_the_standard_library(x):
    assert floating_point.ulp(x) == math.ulp(x)


@pytest.mark.parametrize("number", TYPES)
def test_spacing_keeps_the_type_and_meets_the_ends(number):
    x = np.array([0, 1, 0.1, -2, np.inf, np.nan], number)
    spacing = floating_point.ulp(x)
    assert spacing.dtype == number
    np.testing.assert_array_equal(spacing[:4], np.spacing(np.abs(x[:4])))
    assert spacing[4] == np.inf and np.isnan(spacing[5])


@pytest.mark.parametrize("number", TYPES)
def test_steps_are_counted(number):
    x = number(0.7)
    for steps in range(5):
        assert (
            floating_point.ulp_distance(number(0.7), x)
            == floating_point.ulp_distance(x, number(0.7))
            == steps
        )
        x = np.nextafter(x, number(2))


def test_steps_across_zero_and_to_infinity():
    least = 5e-324
    assert floating_point.ulp_distance(-least, least) == 2
    assert floating_point.ulp_distance(0.0, -0.0) == 0
    assert floating_point.ulp_distance(np.finfo(float).max, math.inf) == 1
    assert floating_point.ulp_distance(-math.inf, math.inf) == 2 * 0x7FF0000000000000, "more than int64 holds"


def test_steps_between_arrays():
    x = np.array([1.0, 2.0], np.float32)
    np.testing.assert_array_equal(floating_point.ulp_distance(x, x + np.finfo(np.float32).eps), [1, 0])
    assert floating_point.ulp_distance(np.float32(1), 1.0) == 0, "a Python number takes the other's type"


def test_steps_that_make_no_sense():
    with pytest.raises(ValueError, match="NaN"):
        floating_point.ulp_distance(1.0, math.nan)
    with pytest.raises(TypeError, match="one type, got float32 beside float64"):
        floating_point.ulp_distance(np.float32(1), np.float64(1))


# Additions


@given(ORDINARY, ORDINARY)
def test_two_sum_finds_the_error_to_the_last_bit(a, b):
    total, error = floating_point.two_sum(a, b)
    assert total == a + b and Fraction(total) + Fraction(error) == Fraction(a) + Fraction(b)


@pytest.mark.parametrize("number", TYPES)
def test_pairwise_sum_of_any_length(number):
    for n in (0, 1, 2, 3, 5, 8, 13):
        assert floating_point.pairwise_sum(np.arange(n, dtype=number)) == n * (n - 1) / 2, n


@given(st.lists(ORDINARY, max_size=300))
def test_pairwise_sum_errs_less_than_its_bound(values):
    error = abs(Fraction(floating_point.pairwise_sum(values)) - sum(map(Fraction, values)))
    depth = math.ceil(math.log2(max(len(values), 2)))
    assert error <= Fraction(depth * 1.2e-16) * sum(map(abs, map(Fraction, values)))


def test_naive_sum_is_one_by_one():
    x = np.random.default_rng(0).random(200_000).astype(np.float32)
    total = np.float32(0)
    for value in x[:70_000]:
        total = total + value
    assert floating_point.naive_sum(x[:70_000]) == total
    assert floating_point.naive_sum(x) == np.add.accumulate(x)[-1]


@pytest.mark.parametrize("n", [3, 64, 65, 2049, 5000, 300_000])
def test_compensated_sum_is_the_exact_one_rounded(n):
    x = np.random.default_rng(n).random(n)
    assert floating_point.ulp_distance(floating_point.kahan_sum(x), math.fsum(x)) <= 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::13])
def test_compensated_sum_does_not_mind_a_summand_larger_than_the_total(order):
    assert floating_point.kahan_sum(CANCELING[list(order)]) == 5


@pytest.mark.parametrize("name", ["naive_sum", "pairwise_sum", "kahan_sum"])
def test_sums_keep_axis_type_and_shape(name):
    function, table = getattr(floating_point, name), np.arange(24.0).reshape(2, 3, 4)
    for axis in (None, 0, 1, -1):
        np.testing.assert_allclose(function(table, axis=axis), table.sum(axis=axis))
        assert np.shape(function(table, axis=axis)) == np.shape(table.sum(axis=axis))
    assert function(table.astype(np.float32)).dtype == np.float32
    assert function(np.array([200, 200], np.uint8)) == 400, "counts do not wrap"
    assert function([]) == 0 and function(np.empty((0, 3)), axis=0).tolist() == [0, 0, 0]
    assert function([1.0, math.inf]) == math.inf
    with pytest.raises(ValueError, match="one of the 3 axes of x, got 3"):
        function(table, axis=3)
    with pytest.raises(TypeError, match="x must hold real numbers, got"):
        function(["a"])


@given(st.lists(st.floats(-1e300, 1e300), max_size=60))
def test_the_exact_sum_is_that_of_the_standard_library(values):
    assert floating_point.exact_sum(values) == math.fsum(values)


@pytest.mark.parametrize(
    ("values", "total"),
    [([1e100, 1.0, -1e100], 1.0), ([1.0, 2**-53, 2**-106], 1 + 2**-52), ([1.0, 2**-53], 1.0), ([1 + 2**-52, 2**-53, -(2**-106)], 1 + 2**-52)],
    ids=["cancels", "beyond the half", "ties go to even", "short of the half"],
)  # fmt: skip
def test_the_exact_sum_is_rounded_once(values, total):
    assert floating_point.exact_sum(values) == math.fsum(values) == total


def test_the_exact_sum_at_the_ends():
    assert floating_point.exact_sum([1.0, math.inf]) == math.inf and math.isnan(
        floating_point.exact_sum([math.nan])
    )
    with pytest.raises(ValueError, match="no sum"):
        floating_point.exact_sum([math.inf, -math.inf])
    with pytest.raises(OverflowError, match="scale x down"):
        floating_point.exact_sum([1e308, 1e308])


# Moments


def test_merging_two_samples():
    merged = floating_point.merge_moments(
        (2.0, np.array([1.0]), np.array([2.0])), (1.0, np.array([7.0]), np.array([0.0]))
    )
    assert merged[0] == 3 and merged[1] == pytest.approx(3) and merged[2] == pytest.approx(26), (
        "of 0, 2 and 7"
    )


@pytest.mark.parametrize("shape", [(50,), (50, 3)])
@pytest.mark.parametrize("far", [0.0, 1e6])
def test_in_any_pieces_the_moments_are_those_of_the_whole(shape, far):
    x = np.random.default_rng(0).standard_normal(shape) + far
    pieces = RunningMoments(x[:7])
    pieces.update(x[7:8]).merge(RunningMoments(x[8:30])).merge(RunningMoments()).update(x[30:])
    assert pieces.count == 50 and pieces.weight == 50
    np.testing.assert_allclose(pieces.mean, x.mean(axis=0), rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(pieces.variance, x.var(axis=0), rtol=1e-9 if far else 1e-13)


def test_numbers_one_at_a_time():
    moments = RunningMoments(ddof=1)
    for value in (1, 2, 6):
        moments.update(value)
    assert moments.mean == pytest.approx(3) and moments.variance == pytest.approx(7)


def test_weights_are_counts():
    x, weight = np.array([1.0, 5.0, 9.0]), np.array([3, 1, 2])
    weighted, repeated = RunningMoments(x, weight, ddof=1), np.repeat(x, weight)
    assert weighted.mean == pytest.approx(repeated.mean()) and weighted.variance == pytest.approx(
        repeated.var(ddof=1)
    )


def test_rows_of_weight_zero_count_for_nothing():
    moments = RunningMoments([math.nan, 1.0, 3.0, 1e300], [0, 1, 1, 0])
    assert (moments.count, moments.mean, moments.variance) == (2, 2, 1)


def test_single_precision_is_kept_wider():
    days = record().astype(np.float32)[:200]
    assert RunningMoments(days).variance == pytest.approx(days.astype(float).var(), rel=1e-12)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_certified_sets(number):
    x = numacc(number)
    moments = RunningMoments(x, ddof=1)
    certified = 1.0 if number == 1 else 0.1
    digits = {1: 15, 2: 14, 3: 9, 4: 8}[number]  # decimal fractions are stored with so many
    assert math.sqrt(moments.variance) == pytest.approx(certified, rel=10.0**-digits)


def test_nothing_seen_is_not_a_number():
    assert math.isnan(RunningMoments().mean) and math.isnan(RunningMoments().variance)
    assert math.isnan(RunningMoments([1.0], ddof=1).variance)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (([1.0, math.nan],), r"x must be finite, got nan at index \(1,\)"),
        (([1.0, 2.0], [1.0]), r"shapes \(2,\) and \(1,\)"),
        (([1.0, 2.0], [1.0, -1.0]), "at least 0, got -1.0"),
        ((np.zeros((2, 2, 2)),), r"x must be \(n,\) or \(n, d\)"),
    ],
)
def test_bad_observations_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        RunningMoments(*arguments)


def test_rows_of_another_shape_are_named():
    moments = RunningMoments(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"shape \(3,\) as before, got \(2,\)"):
        moments.update(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"shape \(3,\), got \(\)"):
        moments.merge(RunningMoments([1.0]))


# The reference and the failures


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy


def test_in_the_order_of_the_calendar_more_variances_are_negative():
    """The formula takes roundings for independent; ties among whole days all go one way."""
    days = record().astype(np.float32)
    negative = np.mean(
        [textbook_variance(days[start : start + 200]) < 0 for start in range(0, len(days) - 200, 50)]
    )
    assert negative > 2 * negative_by_formula(welford=False)


@pytest.mark.parametrize(
    ("formula", "told"),
    [
        (lambda: predicted_excess(n=10), "at least 1000, got 10"),
        (lambda: square_error_by_formula(contiguous=True, n=10), "at least 1000"),
        (lambda: root_error_by_formula(rearranged=False, exponent=30), "5 to 25"),
    ],
)
def test_the_formulas_say_where_they_end(formula, told):
    with pytest.raises(ValueError, match=told):
        formula()
