# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---
# %% [markdown]
# # What the failures of automatic differentiation are predicted to measure
#
# Part of the topic [automatic differentiation](../../automatic_differentiation.py): the formulas behind its [failure
# modes](../../failure_modes/automatic_differentiation.py), and the data that they speak of.

# %%
from __future__ import annotations

import math
from functools import cache

import numpy as np

from shared.datasets import load_diabetes, load_digits

EPSILON = float(np.finfo(np.float64).eps)

# %% [markdown]
# ## Differences of 1/x
#
# The forward difference has two errors that pull the step $h$ in opposite directions:
#
# $$ \frac{f(x + h) - f(x)}{h} - f'(x) = \underbrace{\frac{h}{2} f''(x)}_{\text{truncation}} +
# \underbrace{\frac{\delta_1 - \delta_2}{h}}_{\text{rounding}} + O(h^2), $$
#
# with $\delta_1, \delta_2$ the rounding errors of the two values. For a prediction with its constant take a function whose
# rounding errors are known: $f(x) = 1/x$ on $1 \le x < 2$. IEEE division rounds correctly, and $f$ lies in
# $(1/2, 1]$, where neighboring numbers are $\varepsilon / 2$ apart. So each $\delta$ is uniform on $\pm \varepsilon/4$, with
# variance $\varepsilon^2 / 48$, and $\delta_1 - \delta_2$ has variance $\varepsilon^2 / 24$. Divide by $f' = -x^{-2}$, use
# $f'' = 2 x^{-3}$, square, and average over $x$ uniform on $[1, 2]$, where $E[x^{-2}] = 1/2$ and $E[x^4] = 31/5$:
#
# $$ e^2(h) = \frac{h^2}{2} + \frac{31}{120} \frac{\varepsilon^2}{h^2} . $$
#
# Minimal at $h^4 = \frac{31}{60} \varepsilon^2$: the best step is $h = 0.85 \sqrt\varepsilon$ and the relative error there
# is also $0.85 \sqrt\varepsilon$. Half of the digits are gone, whatever the step.
#
# The central difference $(f(x+h) - f(x-h)) / 2h$ has the truncation error $h^2 f^{(3)}/6 = -h^2 x^{-4}$ and half the rounding
# error. With $E[x^{-4}] = 7/24$:
#
# $$ e^2(h) = \frac{7}{24} h^4 + \frac{31}{480} \frac{\varepsilon^2}{h^2},
# \qquad h^6 = \frac{31}{280} \varepsilon^2 , $$
#
# so the best step is $0.69\, \varepsilon^{1/3}$, about three hundred times larger, and the error there is
# $0.45\, \varepsilon^{2/3}$: a third of the digits is gone.
#
# **Where the formulas hold:** $h$ small enough that the next Taylor term is negligible (relative size $h$), and large enough
# that the two roundings are independent ($h \gg \varepsilon$). Errors are root mean squares over many points: at a single
# point the rounding error may vanish by luck.
#
# **The remedy** is no difference at all. The rule of the reciprocal, $-\bar y\, y^2$, contains the rounding of $y$ twice and that of
# one product. The first is uniform on $\pm\varepsilon/4$, relative to $1/x$; the product lies in $(1/2, 1]$ for $x < \sqrt 2$ and
# below, where numbers are half as far apart, for larger $x$. With $E[x^2] = 7/3$,
#
# $$ e^2 = \frac{\varepsilon^2}{48}\Big(4 \cdot \frac73 + \int_1^{\sqrt2} x^4 dx + \frac14 \int_{\sqrt2}^2 x^4 dx\Big)
# = (0.491\, \varepsilon)^2 . $$


# %%
def predicted_error(steps, order):
    """The formulas for $e(h)$ above."""
    h = np.asarray(steps)
    if order == 1:
        return np.sqrt(h**2 / 2 + 31 / 120 * EPSILON**2 / h**2)
    return np.sqrt(7 / 24 * h**4 + 31 / 480 * EPSILON**2 / h**2)


def predicted_best_step(order):
    """Where $e(h)$ is smallest: order 1 is the forward, 2 the central difference."""
    if order not in (1, 2):
        raise ValueError(f"order must be 1 (forward) or 2 (central), got {order}.")
    return (31 / 60 * EPSILON**2) ** (1 / 4) if order == 1 else (31 / 280 * EPSILON**2) ** (1 / 6)


def predicted_difference_error(exponent, order, n_points):
    """$e(h)$ at $h = 10^{exponent}$."""
    if not -13 <= exponent <= -2:
        raise ValueError(
            f"exponent must lie between -13 and -2, where both errors are known, got {exponent}."
        )
    return float(predicted_error(10.0**exponent, order))


def predicted_automatic_error(n_points):
    """Two roundings of y, which are one and the same, and one of a product."""
    product = (2**2.5 - 1) / 5 + (32 - 2**2.5) / 20
    return EPSILON * math.sqrt((4 * 7 / 3 + product) / 48)


def best_central_error(n_points):
    """The rival of automatic differentiation: the better of the differences, at its best step."""
    return float(predicted_error(predicted_best_step(2), 2))


# %% [markdown]
# ## An iteration that stopped early
#
# The slowest rate of gradient descent on the diabetes data needs the extreme eigenvalues of $A = X^\top X / n$. Squaring a matrix
# again and again leaves the projection on its top eigenvector; the bottom of $A$ is the top of $a_{\max} I - A$.


# %%
@cache
def patients():
    """The diabetes data, columns and target of mean 0 and variance 1: (442, 10) and (442,)."""
    data = load_diabetes()
    X, y = (np.asarray(part, float) for part in (data.X, data.y))
    return (X - X.mean(0)) / X.std(0), (y - y.mean()) / y.std()


def top_of(matrix):
    """Largest eigenvalue and its eigenvector of a positive semidefinite matrix, by squaring it again and again."""
    power = matrix
    for _ in range(40):
        power = power @ power
        power = power / np.trace(power)
    v = power[:, np.argmax(np.diag(power))]
    return float(v @ matrix @ v / (v @ v)), v / math.sqrt(v @ v)


@cache
def curvatures():
    """The smallest, second smallest and largest eigenvalue of XᵀX/n."""
    X, _ = patients()
    A = X.T @ X / len(X)
    largest = top_of(A)[0]
    turned = largest * np.eye(len(A)) - A
    gap, v = top_of(turned)
    second = top_of(turned - gap * np.outer(v, v))[0]
    return largest - gap, largest - second, largest


def conjugate_gradients(apply, b, n_steps=60):
    """The solution of apply(v) = b for a symmetric positive definite linear `apply`."""
    v, r = np.zeros_like(b), b
    p, rr = r, r @ r
    for _ in range(n_steps):
        if rr <= 1e-28 * (b @ b):
            break
        Hp = apply(p)
        step = rr / (p @ Hp)
        v, r = v + step * p, r - step * Hp
        rr, before = r @ r, rr
        p = r + rr / before * p
    return v


def slowest_rate(penalty):
    """ρ of the slowest direction; raises where that direction does not dominate the derivative."""
    smallest, second, largest = curvatures()
    if (smallest + penalty) ** 2 > 0.06 * (second + penalty) ** 2:
        raise ValueError(
            f"penalty must be small, for one direction to dominate the derivative, got {penalty}."
        )
    return 1 - (smallest + penalty) / (largest + penalty)


def predicted_unrolled_error(n_steps, penalty):
    """$\\rho^k (1 + k (1-\\rho)/\\rho)$."""
    rate = slowest_rate(penalty)
    return rate**n_steps * (1 + n_steps * (1 - rate) / rate)


def predicted_implicit_error(n_steps, penalty):
    """$\\rho^k$: what the iterate itself is off by, along the slowest direction."""
    return slowest_rate(penalty) ** n_steps


def relative_error(derivative, penalty):
    """Against dw/dλ of the exact solution."""
    X, y = patients()
    apply = lambda v: X.T @ (X @ v) / len(X) + penalty * v
    exact = conjugate_gradients(apply, -conjugate_gradients(apply, X.T @ y / len(X)))
    error = derivative - exact
    return math.sqrt(error @ error / (exact @ exact))


# %% [markdown]
# ## Sums that are exactly zero


# %%
@cache
def inks(levels):
    """The digits with their ink as whole numbers from 0 to `levels`: (1797, 64)."""
    return np.round(load_digits().X * (levels / 16)).astype(np.float32)


def share_at_the_corner(levels, n_draws):
    """The local limit theorem, averaged over the images."""
    if levels < 1:
        raise ValueError(f"levels must be at least 1, for a lattice of span 1, got {levels}.")
    X = inks(levels).astype(np.float64)
    second, fourth = (X**2).sum(1), (X**4).sum(1)
    return float(np.mean((1 - 3 / 16 * fourth / second**2) / np.sqrt(2 * np.pi * 2 / 3 * second)))


def sums(rng, levels, n_draws):
    """z = Σ w x for every digit, with n_draws sets of random weights -1, 0, 1 each."""
    X = inks(levels)
    w = rng.integers(-1, 2, (len(X), n_draws, X.shape[1]), dtype=np.int8).astype(np.float32)
    return (w @ X[:, :, None]).ravel().astype(np.float64)  # whole numbers, without rounding


def sinc_slope(z):
    """(z cos z − sin z) / z², and 0 at 0."""
    harmless = np.where(z == 0, 1.0, z)
    return np.where(z == 0, 0.0, (harmless * np.cos(harmless) - np.sin(harmless)) / harmless**2)
