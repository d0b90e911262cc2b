"""shared.special against scipy.special: wide grids, far tails, the edges of every domain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import special

REAL_LINE = np.concatenate(
    [np.linspace(-37, 37, 4001), np.logspace(-300, 1.4, 500), -np.logspace(-300, 1.4, 500)]
)
POSITIVE = np.concatenate([np.logspace(-300, 300, 1000), np.linspace(0.01, 30, 3000)])
PROBABILITIES = np.concatenate(
    [np.logspace(-300, -1, 1000), np.linspace(0.01, 0.99, 500), 1 - np.logspace(-15, -1, 50)]
)


def largest_error(ours: np.ndarray, theirs: np.ndarray, *, floor: float = 1e-300) -> float:
    """The largest relative error; results below `floor` are measured against it, since scipy flushes some."""
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        error = np.abs(ours - theirs) / np.maximum(np.abs(theirs), floor)
    return float(np.max(np.where((ours == theirs) | np.isnan(theirs), 0.0, error)))


# The tolerances are scipy's own errors: with 60 digits, its far tails are off by 2e-13, ours by 2e-16.
@pytest.mark.parametrize(
    ("name", "x", "tolerance"),
    [
        ("erf", REAL_LINE, 1e-15),
        ("erfc", np.clip(REAL_LINE, -30, 26), 1e-13),
        ("ndtr", np.clip(REAL_LINE, -36, 36), 3e-13),
        ("log_ndtr", np.concatenate([np.clip(REAL_LINE, -36, 36), -np.logspace(1, 8, 200)]), 3e-13),
        ("ndtri", PROBABILITIES, 2e-15),
        ("gamma", np.concatenate([np.linspace(0.01, 171.5, 3000), np.linspace(-20.3, -0.01, 997)]), 2e-14),
        ("gammaln", POSITIVE, 1e-12),  # scipy itself loses digits beside the zeros at one and two: see below
        ("gammaln", np.linspace(-20.3, -0.01, 997), 1e-13),
        ("digamma", POSITIVE, 1e-14),
        ("digamma", np.linspace(-20.3, -0.01, 997), 1e-12),
    ],
)
def test_functions_of_one_argument(name, x, tolerance):
    assert largest_error(getattr(special, name)(x), getattr(scipy.special, name)(x)) < tolerance


def test_digits_where_scipy_has_fewer():
    # Computed with 60 decimal digits (mpmath): log-gamma beside its zeros, gammainc at a large a, a lopsided
    # betaln.
    assert special.gammaln(1.9999200000000004) == pytest.approx(-3.3820682984224326251e-5, rel=1e-15)
    assert special.gammaln(0.999) == pytest.approx(5.7803853289138023817e-4, rel=1e-15)
    assert special.digamma(1.4616321449683622) == pytest.approx(-9.2412655217294275e-17, rel=1e-12)
    assert special.gammainc(998280.5277257784, 993630.8378313907) == pytest.approx(
        1.5764165131109012813e-6, rel=1e-13
    )
    assert special.gammaincc(4508.42636007797, 7093.782423260541) == pytest.approx(
        5.0791542665398287584e-238, rel=1e-13
    )
    assert special.betaln(95519.40620852112, 0.15583735510072366) == pytest.approx(
        5.9127828826829488828e-4, rel=1e-12
    )


def test_the_gamma_function_is_the_factorial():
    n = np.arange(1, 20)
    factorial = np.cumprod(n).astype(float)
    np.testing.assert_allclose(special.gamma(n + 1.0), factorial, rtol=1e-14)
    np.testing.assert_allclose(special.gammaln(n + 1.0), np.log(factorial), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
def test_incomplete_gamma(name):
    rng = np.random.default_rng(0)
    a = 10 ** rng.uniform(-3, 4, 4000)
    x = np.concatenate(
        [
            a[:2000] * 10 ** rng.uniform(-1, 1, 2000),
            np.abs(a[2000:] + np.sqrt(a[2000:]) * rng.normal(size=2000) * 5),
        ]
    )
    ours, theirs = getattr(special, name)(a, x), getattr(scipy.special, name)(a, x)
    keep = theirs > 1e-50  # scipy's own far tails carry errors of 1e-11
    assert largest_error(ours[keep], theirs[keep]) < 2e-12


def test_betaln():
    rng = np.random.default_rng(1)
    a, b = 10 ** rng.uniform(-2, 3, (2, 4000))
    ours, theirs = special.betaln(a, b), scipy.special.betaln(a, b)
    assert (
        np.max(np.abs(ours - theirs)) < 5e-12
    )  # absolute: the logarithm passes zero, and scipy cancels there


def beta_arguments(seed: int, largest: float):
    """Parameters over many orders of magnitude, points within twelve deviations of the mean (logit scale)."""
    rng = np.random.default_rng(seed)
    a, b = 10 ** rng.uniform(-2, largest, (2, 4000))
    z = np.log(a / b) + np.sqrt(1 / a + 1 / b) * rng.uniform(-12, 12, 4000)
    return a, b, 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("name", ["betainc", "betaincc"])
@pytest.mark.parametrize(("largest", "tolerance"), [(3, 5e-13), (6, 3e-12)])
def test_incomplete_beta(name, largest, tolerance):
    arguments = beta_arguments(2, largest)
    assert (
        largest_error(
            getattr(special, name)(*arguments), getattr(scipy.special, name)(*arguments), floor=1e-200
        )
        < tolerance
    )


def test_incomplete_beta_keeps_both_tails():
    assert special.betaincc(0.04102402453562348, 800930.5279941693, 4.0009133854171585e-06) == pytest.approx(
        4.4724502825919633169e-4, rel=1e-13
    )


def test_incomplete_beta_inverse():
    rng = np.random.default_rng(3)
    a, b = 10 ** rng.uniform(-1, 5, (2, 3000))
    p = np.concatenate([10 ** rng.uniform(-50, 0, 1500), rng.uniform(0, 1, 1500)])
    assert largest_error(special.betaincinv(a, b, p), scipy.special.betaincinv(a, b, p), floor=1e-290) < 1e-11
    x = special.betaincinv(a, b, p)
    usable = (x > 1e-290) & (x < 0.5)  # near one the rounding of x itself moves the probability
    assert largest_error(special.betainc(a, b, x)[usable], p[usable]) < 1e-9


@pytest.mark.parametrize(
    ("df", "t"),
    [
        (10 ** np.linspace(-1, 8, 50)[:, None], np.linspace(-37, 9, 93)),
        (10 ** np.linspace(-1, 2, 50)[:, None], -(10 ** np.linspace(-12, 90, 103))),
        (np.array([1.0, 2.0, 3.0, 10.0])[:, None], np.linspace(-5, 5, 41)),
    ],
)
def test_student_t(df, t):
    # at 1e-200 the logarithm is −460, and its rounding, 460 ε = 1e-13, is a relative error of each side; two each
    assert largest_error(special.stdtr(df, t), scipy.special.stdtr(df, t), floor=1e-200) < 4e-13


def test_student_t_quantile():
    df = 10 ** np.linspace(0, 8, 40)[:, None]
    p = np.concatenate([10.0 ** np.linspace(-30, -1, 30), np.linspace(0.02, 0.98, 49)])
    assert largest_error(special.stdtrit(df, p), scipy.special.stdtrit(df, p), floor=1e-10) < 2e-12
    far = 10.0 ** -np.arange(1, 200, 7)  # with one degree of freedom, the Cauchy quantile -cot(pi p)
    np.testing.assert_allclose(special.stdtrit(1, far), -1 / np.tan(np.pi * far), rtol=1e-13)


@pytest.mark.parametrize("name", ["fdtr", "fdtrc"])
def test_f_distribution(name):
    dfn, dfd, x = np.meshgrid(*(np.logspace(-1, 4, 21),) * 2, np.logspace(-3, 3, 61))
    ours, theirs = getattr(special, name)(dfn, dfd, x), getattr(scipy.special, name)(dfn, dfd, x)
    assert largest_error(ours, theirs, floor=1e-200) < 2e-12


@pytest.mark.parametrize("name", ["chdtr", "chdtrc"])
def test_chi_squared_distribution(name):
    v, x = 10 ** np.linspace(-1, 2.5, 41)[:, None], 10 ** np.linspace(-3, 3, 61)
    assert (
        largest_error(getattr(special, name)(v, x), getattr(scipy.special, name)(v, x), floor=1e-100) < 2e-12
    )


EDGES = [-np.inf, -1.5, -1.0, -0.0, 0.0, 0.3, 1.0, 2.0, 171.7, 1e10, np.inf, np.nan]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        *((name, 1) for name in ("erf", "erfc", "ndtr", "log_ndtr", "ndtri", "gamma", "gammaln", "digamma")),
        *((name, 2) for name in ("gammainc", "gammaincc", "stdtr", "chdtr", "chdtrc")),
        *((name, 3) for name in ("betainc", "betaincc")),
    ],
)
def test_edges_of_the_domain(name, count):
    arguments = np.array(list(itertools.product(EDGES, repeat=count))).T
    ours = getattr(special, name)(*arguments)
    theirs = getattr(scipy.special, name)(*arguments)
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-300)


def test_edges_of_the_quantiles():
    np.testing.assert_array_equal(special.betaincinv(2.0, 3.0, [0.0, 1.0]), [0.0, 1.0])
    # scipy.special.stdtrit gives +inf at p = 0; the quantile is -inf, as scipy.stats.t.ppf has it
    np.testing.assert_array_equal(special.stdtrit(3.0, [0.0, 0.5, 1.0]), [-np.inf, 0.0, np.inf])
    assert special.stdtrit(np.inf, 0.975) == special.ndtri(0.975)
    for outside in (-0.1, 1.1, np.nan):
        assert np.isnan(special.betaincinv(2.0, 3.0, outside)) and np.isnan(special.stdtrit(3.0, outside))
    assert np.isnan(special.betaincinv(-2.0, 3.0, 0.5)) and np.isnan(special.stdtrit(0.0, 0.5))
    assert np.isnan(special.fdtrc(0.0, 3.0, 1.0)) and np.isnan(special.fdtrc(2.0, 3.0, -1.0))
    assert special.fdtrc(2.0, 3.0, 0.0) == 1.0 and special.fdtrc(2.0, 3.0, np.inf) == 0.0


def test_shapes_and_precision():
    assert isinstance(special.erf(0.5), np.float64) and special.erf(0.5) == scipy.special.erf(0.5)
    assert special.erf(np.float32(0.5)).dtype == np.float32
    assert special.betainc(2, 3, np.float32([0.1, 0.2])).dtype == np.float32
    assert special.gammaln([1, 2, 3]).dtype == np.float64
    assert special.betainc(np.ones((3, 1)), 2.0, np.full(4, 0.5)).shape == (3, 4)
    assert special.gammainc(np.empty((0, 2)), 1.0).shape == (0, 2)
    x = np.linspace(-2, 2, 5)
    special.ndtr(x)
    np.testing.assert_array_equal(x, np.linspace(-2, 2, 5))  # the input is left alone


def test_what_is_not_a_real_number_is_refused():
    with pytest.raises(TypeError, match="erf needs real numbers"):
        special.erf(1j)
    with pytest.raises(TypeError, match="gammaln needs real numbers"):
        special.gammaln("two")


def test_no_nan_inside_the_domain():
    sizes = np.array([1e-3, 0.5, 1.0, 1.5, 30.0, 1001.0, 1e6, 1e12])
    points = np.array([5e-324, 1e-310, 1e-200, 1e-20, 0.3, 0.5, 0.7, 1 - 1e-16])
    a, b, x = np.meshgrid(sizes, sizes, points)
    for name in ("betainc", "betaincc", "betaincinv", "fdtr", "fdtrc"):
        assert not np.isnan(getattr(special, name)(a, b, x)).any(), name
    total = special.betainc(a, b, x) + special.betaincc(a, b, x)
    np.testing.assert_allclose(total, 1, rtol=1e-14)
    far = np.concatenate([points, 1 / points[2:], [1.7e308]])
    a, x = np.meshgrid(sizes, far)
    for name in ("gammainc", "gammaincc", "chdtr", "chdtrc", "stdtr"):
        assert not np.isnan(getattr(special, name)(a, x)).any(), name
    assert not np.isnan(special.stdtrit(a[:8], x[:8])).any()


@settings(max_examples=50, deadline=None)
@given(a=st.floats(0.05, 1e4), b=st.floats(0.05, 1e4), x=st.floats(0, 1))
def test_incomplete_beta_is_symmetric(a, b, x):
    assert (
        special.betainc(a, b, x) == pytest.approx(special.betaincc(b, a, 1 - x), rel=1e-8, abs=1e-300)
        or (1 - (1 - x)) != x
    )
    assert special.betainc(a, b, x) + special.betaincc(a, b, x) == pytest.approx(1, abs=1e-15)


@settings(max_examples=50, deadline=None)
@given(a=st.floats(0.01, 1e5), x=st.floats(0, 1e5))
def test_incomplete_gamma_recurrence(a, x):
    # Q(a + 1, x) = Q(a, x) + x^a e^-x / Gamma(a + 1)
    step = np.exp(a * np.log(x) - x - special.gammaln(a + 1)) if x > 0 else 0.0
    assert special.gammaincc(a + 1, x) == pytest.approx(special.gammaincc(a, x) + step, rel=1e-9, abs=1e-9)


UPPER = [  # by forty digits of mpmath; one minus the lower tail would keep none of them
    ("gammaincc", (1e-16, 0.5), 5.597735947761608e-17),
    ("gammaincc", (1e-8, 0.5), 5.597735977099587e-09),
    ("gammaincc", (1e-300, 1e-300), 6.901983122333121e-298),
    ("betaincc", (1e-18, 2, 0.02), 2.9320230054281463e-18),
    ("betaincc", (1e-8, 3.3, 0.1), 9.131224451913469e-09),
    ("betaincc", (1e-5, 50, 0.01), 5.62815284136360e-06),
    ("betainc", (2, 1e-18, 0.98), 2.932023005428146e-18),
]


@pytest.mark.parametrize(("function", "arguments", "expected"), UPPER, ids=str)
def test_a_small_tail_beside_a_tiny_parameter_keeps_its_digits(function, arguments, expected):
    assert getattr(special, function)(*arguments) == pytest.approx(expected, rel=1e-13)


def test_no_probability_exceeds_one():
    tiny = np.geomspace(1e-300, 1e-2, 200)
    for function in (special.gammainc, special.gammaincc):
        assert np.all(function(tiny, tiny) <= 1)
    assert np.all(special.betainc(tiny, 0.5, 0.01) <= 1) and np.all(special.betaincc(0.5, tiny, 0.99) <= 1)
