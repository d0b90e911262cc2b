"""A topic of three functions."""

import math


def double(x):
    """Twice x."""
    # 2 x
    return 2 * x


def quadruple(x):
    """Four times x."""
    if x is None:
        raise ValueError("x must be a number")
    return double(double(x))


class Counter:
    """Counts in doubles."""

    def __init__(self, start=0):
        self.start = start

    def add(self, x):
        """Adds twice x and tells the sum."""
        self.start += double(x)
        return self.start


def validate():
    """Against the reference."""
    return [quadruple(i) - 4 * i for i in range(3)]


def other(x):  # practice: keep
    return math.floor(x)
