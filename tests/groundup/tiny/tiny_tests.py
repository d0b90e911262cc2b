import numpy as np
import pytest
from tinylevel import tiny


@pytest.fixture(scope="module")
def agreements():
    return tiny.validate()


@pytest.fixture(scope="module")
def counter():
    return tiny.Counter(10)


def test_double_of_three():
    x = 3
    assert tiny.double(x) == 6


def test_double_of_an_array():
    np.testing.assert_allclose(tiny.double(np.arange(3.0)), [0, 2, 4])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="must be a number"):
        tiny.quadruple(None)


def test_quadruple():
    assert tiny.quadruple(3) == 12, "four times three"


def test_counter(counter):
    assert counter.add(2) == 14


def test_other():
    assert tiny.other(1.5) == 1


def test_agrees(agreements):
    assert agreements == [0, 0, 0]
