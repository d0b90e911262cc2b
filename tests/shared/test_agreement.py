"""The bench itself: a comparison that could not fail would prove nothing."""

import math

import numpy as np
import pytest

from shared.agreement import Benchmark, Comparison, deviation, growth_exponent, race, summarize


@pytest.fixture
def comparison():
    return Comparison(reference="numpy.linalg.solve", dataset="two numbers")


def test_agreement_records_both_sides(comparison):
    ours, theirs = comparison.run(lambda: 1.0, lambda: 1.0 + 1e-12)
    agreement = comparison.compare("number", ours, theirs, tolerance=1e-10, reason="rounding")
    assert agreement.agrees and agreement.error == pytest.approx(1e-12, rel=1e-3)
    assert agreement.reference_version == np.__version__
    assert agreement.seconds_ours >= 0 and agreement.seconds_reference >= 0
    assert comparison.agreements == [agreement]


def test_a_difference_beyond_the_tolerance_disagrees(comparison):
    assert not comparison.compare("number", 1.0, 1.1, tolerance=0.05, reason="r").agrees


def test_another_reference_continues_the_same_list(comparison):
    comparison.compare("a", 1.0, 1.0, tolerance=0, reason="r")
    comparison.on(reference="a published table").compare("b", 1.0, 1.0, tolerance=0, reason="r")
    assert [a.reference for a in comparison.agreements] == ["numpy.linalg.solve", "a published table"]
    assert comparison.agreements[1].reference_version == ""


@pytest.mark.parametrize(
    ("measure", "expected"), [("scaled", 0.1 / 10), ("elementwise", 0.1 / 1), ("absolute", 0.1)]
)
def test_measures(measure, expected):
    assert deviation([1.1, 10.0], [1.0, 10.0], measure) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([1.0, 2.0], [1.0]),
        ([1.0, math.nan], [1.0, 2.0]),
        ([1.0, 2.0], [1.0, math.nan]),
        ([math.inf], [-math.inf]),
        ([1.0], [0.0]),
    ],
)
def test_what_cannot_agree_is_infinitely_far(ours, theirs):
    assert deviation(ours, theirs) == math.inf


def test_matching_nans_and_infinities_agree():
    assert deviation([math.nan, math.inf, 1.0], [math.nan, math.inf, 1.0]) == 0


def test_labels_compare_exactly():
    assert deviation(np.array(["a", "b", "c"]), np.array(["a", "b", "d"])) == pytest.approx(1 / 3)
    assert deviation([1, 2], [1, 3]) == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": -1.0, "reason": "r"}, "tolerance must be"),
        ({"tolerance": math.nan, "reason": "r"}, "tolerance must be"),
        ({"tolerance": 1.0, "reason": ""}, "a reason"),
        ({"tolerance": 1.0, "reason": "r", "measure": "near"}, "measure must be"),
    ],
)
def test_a_careless_comparison_is_refused(comparison, options, message):
    with pytest.raises(ValueError, match=message):
        comparison.compare("number", 1.0, 1.0, **options)


def test_summaries():
    assert summarize(2) == 2.0
    summary = summarize([[3.0, 0.0], [0.0, -4.0]])
    assert (summary.shape, summary.norm, summary.largest) == ((2, 2), 5.0, 4.0)


def test_growth_exponent_is_the_slope():
    assert growth_exponent([10, 100, 1000], [1e-3, 1e-1, 1e1]) == pytest.approx(2)


def test_race_divides_by_the_work_done():
    calls = []

    def setup(size):
        return lambda: calls.append("ours") or size, lambda: calls.append("theirs") or size

    plain = Benchmark("b", (10, 20), setup, 1.0, "numpy", repeats=3)
    result = race(plain, 10)
    assert result.seconds_ours > 0 and result.ratio > 0
    assert calls[:2] == ["ours", "theirs"], "each side runs once to warm up"
    assert calls[2:] == ["ours", "theirs"] * 3, "then both run in turn"


@pytest.mark.parametrize(("ours", "theirs"), [([1, 2], [1.0, 2.0000000001]), ([1.0, 2.0000000001], [1, 2])])
def test_integers_beside_floats_compare_by_distance(ours, theirs):
    """A count beside a float is off by its distance, not by whether both are equal."""
    assert deviation(np.array(ours), np.array(theirs)) == pytest.approx(5e-11, rel=1e-3)
    assert deviation(np.array([1, 3]), np.array([1, 2])) == 0.5, (
        "integers beside integers: the share that differs"
    )
