"""Special functions of probability, from scratch in whole-array NumPy.

The names, the order of the arguments and the values at the edges are those of `scipy.special`. Every function
broadcasts its arguments, works in float64, gives float32 back when all arguments are float32, returns a
scalar for scalars, and answers a value outside its domain with NaN, as scipy does.

| function | computes |
|---|---|
| `erf(x)`, `erfc(x)` | $\\frac{2}{\\sqrt\\pi}\\int_0^x e^{-t^2}dt$ and one minus it |
| `ndtr(x)`, `log_ndtr(x)`, `ndtri(p)` | standard normal distribution function, its logarithm, its quantile |
| `gamma(x)`, `gammaln(x)`, `digamma(x)` | $\\Gamma$, $\\log|\\Gamma|$, $\\Gamma'/\\Gamma$ |
| `gammainc(a, x)`, `gammaincc(a, x)` | regularized lower and upper incomplete gamma function |
| `betaln(a, b)` | $\\log B(a, b)$ |
| `betainc(a, b, x)`, `betaincc(a, b, x)` | regularized incomplete beta function and one minus it |
| `betaincinv(a, b, p)` | the $x$ with `betainc(a, b, x)` = p |
| `stdtr(df, t)`, `stdtrit(df, p)` | Student's t distribution function and quantile |
| `fdtr(dfn, dfd, x)`, `fdtrc(dfn, dfd, x)` | F distribution function and upper tail |
| `chdtr(v, x)`, `chdtrc(v, x)` | chi-squared distribution function and upper tail |

One rule runs through all of them: *a small probability is computed as itself, never as one minus a large
one.* So tails of 1e-300 keep their relative accuracy. The second rule: where a result is the exponential of a
large number, that number is put together from terms which do not cancel (`_log1pmx`, Stirling's correction),
since an absolute error in an exponent is a relative error in the result.

One departure: the quantile `stdtrit` is minus infinity at p = 0, where scipy's function of that name says plus
infinity.

Sources: W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969); M. J.
Wichura, Algorithm AS 241, Applied Statistics 37 (1988); N. M. Temme, The asymptotic expansion of the
incomplete gamma functions, SIAM J. Math. Anal. 10 (1979); A. R. DiDonato and A. H. Morris, Computation of the
incomplete gamma function ratios and their inverse, ACM TOMS 12 (1986); W. J. Lentz, Applied Optics 15 (1976),
as modified by Thompson and Barnett (1986); NIST Digital Library of Mathematical Functions, chapters 5, 7 and
8 (equation numbers below).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

__all__ = [
    "betainc",
    "betaincc",
    "betaincinv",
    "betaln",
    "chdtr",
    "chdtrc",
    "digamma",
    "erf",
    "erfc",
    "fdtr",
    "fdtrc",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "log_ndtr",
    "ndtr",
    "ndtri",
    "stdtr",
    "stdtrit",
]

_EPSILON = float(np.finfo(np.float64).eps)
_TINY = 1e-300  # stands in for a zero denominator in Lentz's method
_LOG_2PI = math.log(2 * math.pi)
_EULER_GAMMA = 0.57721566490153286061


def _elementwise(function: Callable) -> Callable:
    """Broadcast the arguments, hand them over as flat float64 arrays, and give shape and precision back."""

    @functools.wraps(function)
    def door(*arguments):
        arrays = [np.asarray(argument) for argument in arguments]
        for array in arrays:
            if array.dtype.kind not in "biuf":
                raise TypeError(f"{function.__name__} needs real numbers, got dtype {array.dtype}")
        # float32 stays float32, and a Python number does not widen it; all else becomes float64
        scalars = [isinstance(argument, (bool, int, float)) for argument in arguments]
        common = np.result_type(*(x if s else a for x, a, s in zip(arguments, arrays, scalars, strict=True)))
        precision = np.float32 if common.kind == "f" and common.itemsize <= 4 else np.float64
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        flat = [np.broadcast_to(array, shape).astype(np.float64).ravel() for array in arrays]
        with np.errstate(all="ignore"):
            result = function(*flat)
        return result.astype(precision, copy=False).reshape(shape)[()]

    return door


def _horner(coefficients, x: np.ndarray) -> np.ndarray:
    """The polynomial with these coefficients, highest power first."""
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result *= x
        result += coefficient
    return result


# ------------------------------------------------------------------------------------------------------------
# The error function and the normal distribution
# ------------------------------------------------------------------------------------------------------------
# Cody's rational approximations (1969, tables II and III), highest power first:
#   erf(x)  = x P(x^2)/Q(x^2)                                       |x| <= 0.46875
#   erfc(x) = e^{-x^2} P(x)/Q(x)                                    0.46875 <= x <= 4
#   erfc(x) = e^{-x^2}/x (1/sqrt(pi) - x^{-2} P(x^-2)/Q(x^-2))      4 <= x
_ERF_P = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_ERF_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_ERFC_P = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_ERFC_Q = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)
_ERFC_FAR_P = (
    1.63153871373020978e-2,
    3.05326634961232344e-1,
    3.60344899949804439e-1,
    1.25781726111229246e-1,
    1.60837851487422766e-2,
    6.58749161529837803e-4,
)
_ERFC_FAR_Q = (
    1.0,
    2.56852019228982242e0,
    1.87295284992346725e0,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)


def _erf_center(x: np.ndarray) -> np.ndarray:
    """erf for |x| <= 0.46875."""
    square = x * x
    return x * _horner(_ERF_P, square) / _horner(_ERF_Q, square)


def _erfcx(x: np.ndarray) -> np.ndarray:
    """e^{x^2} erfc(x) for x >= 0.46875."""
    result = np.empty_like(x)
    near = x <= 4
    u = x[near]
    result[near] = _horner(_ERFC_P, u) / _horner(_ERFC_Q, u)
    u = x[~near]
    inverse_square = 1 / (u * u)
    tail = inverse_square * _horner(_ERFC_FAR_P, inverse_square) / _horner(_ERFC_FAR_Q, inverse_square)
    result[~near] = (1 / math.sqrt(math.pi) - tail) / u
    return result


def _exp_minus_square(x: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """e^{-scale x^2}, scale a power of two, with a small relative error for large x too.

    x^2 rounded has an absolute error of x^2 epsilon / 2, which the exponential turns into a relative one. So
    x is split into a head of sixteenths, whose square is exact, and the rest: x^2 = head^2 + (x - head)(x +
    head).
    """
    head = np.trunc(16 * x) / 16
    return np.exp(-scale * head * head) * np.exp(-scale * (x - head) * (x + head))


def _erfc_tail(x: np.ndarray) -> np.ndarray:
    """erfc for x >= 0.46875."""
    x = np.minimum(x, 30.0)  # erfc(30) is zero in double precision; infinity would give inf - inf
    return _exp_minus_square(x) * _erfcx(x)


@_elementwise
def erf(x):
    """The error function, 2/sqrt(pi) times the integral of e^{-t^2} from 0 to x (Cody 1969)."""
    size = np.abs(x)
    center = size <= 0.46875
    result = np.empty_like(x)
    result[center] = _erf_center(x[center])
    result[~center] = np.copysign(1 - _erfc_tail(size[~center]), x[~center])
    return result


@_elementwise
def erfc(x):
    """1 - erf(x) without the cancellation: the far right tail keeps its relative accuracy."""
    return _erfc(x)


def _erfc(x: np.ndarray) -> np.ndarray:
    size = np.abs(x)
    center = size <= 0.46875
    result = np.empty_like(x)
    result[center] = 1 - _erf_center(x[center])
    tail = _erfc_tail(size[~center])
    result[~center] = np.where(x[~center] > 0, tail, 2 - tail)
    return result


@_elementwise
def ndtr(x):
    """The standard normal distribution function, P(Z <= x)."""
    return _ndtr(x)


def _ndtr(x: np.ndarray) -> np.ndarray:
    # erfc(|x|/sqrt 2)/2, but e^{-x^2/2} is taken from x itself: rounding x/sqrt 2 first would cost x^2
    # epsilon
    size = np.minimum(np.abs(x), 40.0)
    u = size / math.sqrt(2)
    center = u <= 0.46875
    result = np.empty_like(x)
    result[center] = 0.5 + 0.5 * _erf_center(x[center] / math.sqrt(2))
    tail = 0.5 * _exp_minus_square(size[~center], 0.5) * _erfcx(u[~center])
    result[~center] = np.where(x[~center] < 0, tail, 1 - tail)
    return np.where(np.isnan(x), np.nan, result)


@_elementwise
def log_ndtr(x):
    """log P(Z <= x), accurate where the probability itself underflows."""
    result = np.empty_like(x)
    left = x < -1
    u = -x[left]
    result[left] = np.log(0.5 * _erfcx(u / math.sqrt(2))) - 0.5 * u * u
    result[~left] = np.log1p(-_ndtr(-x[~left]))
    return np.where(x == -np.inf, -np.inf, result)


# Wichura's three rational approximations to the normal quantile (AS 241, PPND16), highest power first.
_QUANTILE_CENTER_P = (
    2.5090809287301226727e3,
    3.3430575583588128105e4,
    6.7265770927008700853e4,
    4.5921953931549871457e4,
    1.3731693765509461125e4,
    1.9715909503065514427e3,
    1.3314166789178437745e2,
    3.3871328727963666080e0,
)
_QUANTILE_CENTER_Q = (
    5.2264952788528545610e3,
    2.8729085735721942674e4,
    3.9307895800092710610e4,
    2.1213794301586595867e4,
    5.3941960214247511077e3,
    6.8718700749205790830e2,
    4.2313330701600911252e1,
    1.0,
)
_QUANTILE_MIDDLE_P = (
    7.74545014278341407640e-4,
    2.27238449892691845833e-2,
    2.41780725177450611770e-1,
    1.27045825245236838258e0,
    3.64784832476320460504e0,
    5.76949722146069140550e0,
    4.63033784615654529590e0,
    1.42343711074968357734e0,
)
_QUANTILE_MIDDLE_Q = (
    1.05075007164441684324e-9,
    5.47593808499534494600e-4,
    1.51986665636164571966e-2,
    1.48103976427480074590e-1,
    6.89767334985100004550e-1,
    1.67638483018380384940e0,
    2.05319162663775882187e0,
    1.0,
)
_QUANTILE_FAR_P = (
    2.01033439929228813265e-7,
    2.71155556874348757815e-5,
    1.24266094738807843860e-3,
    2.65321895265761230930e-2,
    2.96560571828504891230e-1,
    1.78482653991729133580e0,
    5.46378491116411436990e0,
    6.65790464350110377720e0,
)
_QUANTILE_FAR_Q = (
    2.04426310338993978564e-15,
    1.42151175831644588870e-7,
    1.84631831751005468180e-5,
    7.86869131145613259100e-4,
    1.48753612908506148525e-2,
    1.36929880922735805310e-1,
    5.99832206555887937690e-1,
    1.0,
)


@_elementwise
def ndtri(p):
    """The standard normal quantile: the x with ndtr(x) = p. NaN outside [0, 1] (Wichura's AS 241)."""
    return _ndtri(p)


def _ndtri(p: np.ndarray) -> np.ndarray:
    q = p - 0.5
    center = np.abs(q) <= 0.425
    result = np.empty_like(p)
    r = 0.180625 - q[center] * q[center]
    result[center] = q[center] * _horner(_QUANTILE_CENTER_P, r) / _horner(_QUANTILE_CENTER_Q, r)
    outer = np.flatnonzero(~center)
    u = p[outer]
    r = np.sqrt(-np.log(np.where(u < 0.5, u, 1 - u)))  # NaN outside [0, 1], infinity at 0 and 1
    middle = r <= 5
    size = np.empty_like(r)
    s = r[middle] - 1.6
    size[middle] = _horner(_QUANTILE_MIDDLE_P, s) / _horner(_QUANTILE_MIDDLE_Q, s)
    s = r[~middle] - 5
    size[~middle] = _horner(_QUANTILE_FAR_P, s) / _horner(_QUANTILE_FAR_Q, s)
    size[np.isinf(r)] = np.inf
    result[outer] = np.copysign(size, q[outer])
    return result


# ------------------------------------------------------------------------------------------------------------
# The gamma function and its logarithm
# ------------------------------------------------------------------------------------------------------------
def _bernoulli_numbers(count: int) -> list[Fraction]:
    """B_0 ... B_{count-1}, exact, from sum_j C(m+1, j) B_j = 0."""
    numbers = [Fraction(1)]
    for m in range(1, count):
        total = sum((math.comb(m + 1, j) * numbers[j] for j in range(m)), Fraction(0))
        numbers.append(-total / (m + 1))
    return numbers


_BERNOULLI = _bernoulli_numbers(22)
# log Gamma(x) = (x - 1/2) log x - x + log(2 pi)/2 + c(x), c(x) = sum_k B_2k / (2k (2k-1) x^{2k-1})
_STIRLING = [float(_BERNOULLI[2 * k] / (2 * k * (2 * k - 1))) for k in range(10, 0, -1)]
# digamma(x) = log x - 1/(2x) - sum_k B_2k / (2k x^{2k})  DLMF 5.11.2
_DIGAMMA_SERIES = [float(_BERNOULLI[2 * k] / (2 * k)) for k in range(10, 0, -1)]


def _hurwitz_zeta(s: int, q: float) -> float:
    """sum over n >= 0 of (n + q)^{-s}, s >= 2: twelve terms, then Euler-Maclaurin (DLMF 25.11.28)."""
    terms = [(n + q) ** -s for n in range(12)]
    x = q + 12
    terms += [x ** (1 - s) / (s - 1), x**-s / 2]
    rising, factorial = float(s), 2.0  # s (s+1) ... (s+2k-2) and (2k)!
    for k in range(1, 10):
        terms.append(float(_BERNOULLI[2 * k]) * rising / factorial * x ** (-s - 2 * k + 1))
        rising *= (s + 2 * k - 1) * (s + 2 * k)
        factorial *= (2 * k + 1) * (2 * k + 2)
    return math.fsum(terms)


# log Gamma(2 + z) = (1 - gamma) z + sum_{k>=2} (-1)^k (zeta(k) - 1) z^k / k,  |z| <= 1/2   (DLMF 5.7.3)
_LOG_GAMMA_AT_TWO = [(-1) ** k * _hurwitz_zeta(k, 2.0) / k for k in range(28, 1, -1)] + [
    1 - _EULER_GAMMA,
    0.0,
]
# The zero of digamma as head + tail, and its Taylor series there: psi^{(n)}(x)/n! = (-1)^{n+1} zeta(n+1, x)
_DIGAMMA_ZERO, _DIGAMMA_ZERO_TAIL = 1.4616321449683622, 9.5499954299656977e-17
_DIGAMMA_AT_ZERO = [(-1) ** (n + 1) * _hurwitz_zeta(n + 1, _DIGAMMA_ZERO) for n in range(36, 0, -1)] + [0.0]


def _stirling_correction(x: np.ndarray) -> np.ndarray:
    """c(x) = log Gamma(x) minus Stirling's leading terms, for x >= 10 (DLMF 5.11.1)."""
    return _horner(_STIRLING, 1 / (x * x)) / x


def _log_gamma_positive(x: np.ndarray) -> np.ndarray:
    """log Gamma(x) for x > 0, relatively accurate at the zeros x = 1 and x = 2 as well."""
    result = np.empty_like(x)
    large = x >= 10
    u = x[large]
    result[large] = (u - 0.5) * (np.log(u) - 1) + 0.5 * (_LOG_2PI - 1) + _stirling_correction(u)
    result[np.isposinf(x)] = np.inf

    u = x[~large]
    # Bring the argument to 2 + z with |z| <= 1/2 by Gamma(x) = (x-1) ... (x-m) Gamma(x-m), or by Gamma(x) =
    # Gamma(x+1)/x once or twice. The zeros at one and two stay relatively accurate: no term there is larger
    # than the result.
    steps = np.maximum(np.ceil(u - 2.5), 0)
    product = np.ones_like(u)
    for step in range(1, 9):
        product *= np.where(step <= steps, u - step, 1.0)
    z = np.select([u < 0.5, u < 1.5], [u, u - 1], u - steps - 2)
    shift = np.select([u < 0.5, u < 1.5], [-np.log(u) - np.log1p(u), -np.log1p(u - 1)], np.log(product))
    result[~large] = _horner(_LOG_GAMMA_AT_TWO, z) + shift
    return result


@_elementwise
def gammaln(x):
    """log|Gamma(x)|. Infinity at zero and the negative integers."""
    return _gammaln(x)


def _gammaln(x: np.ndarray) -> np.ndarray:
    result = np.full_like(x, np.nan)
    positive = x > 0
    result[positive] = _log_gamma_positive(x[positive])
    negative = x <= 0
    u = x[negative]
    # Reflection (DLMF 5.5.3): |Gamma(x) Gamma(-x)| = pi / |x sin(pi x)|. The sine is taken of the distance to
    # the nearest integer, which is exact.
    sine = np.abs(np.sin(np.pi * (u - np.round(u))))
    reflected = np.log(np.pi / np.abs(u * sine)) - _log_gamma_positive(np.where(u == 0, 1.0, -u))
    result[negative] = np.where(sine == 0, np.inf, reflected)
    result[np.isneginf(x)] = -np.inf  # as scipy has it
    return result


@_elementwise
def gamma(x):
    """Gamma(x): infinity past 171.6, NaN at the negative integers, signed infinity at signed zero."""
    result = np.full_like(x, np.nan)
    right = x >= 0.5
    result[right] = _gamma_right(x[right])
    left = x < 0.5
    u = x[left]
    nearest = np.round(u)
    sine = np.where(nearest % 2 == 0, 1.0, -1.0) * np.sin(np.pi * (u - nearest))
    reflected = np.pi / (sine * _gamma_right(1 - u))
    reflected = np.where((u == nearest) & (u < 0) | np.isinf(u), np.nan, reflected)
    result[left] = np.where(u == 0, np.copysign(np.inf, u), reflected)
    return result


def _gamma_right(x: np.ndarray) -> np.ndarray:
    """Gamma(x) for x >= 0.5, as a product and never as exp(log Gamma), which would lose two digits."""
    shifted = np.where(x < 10, x + 10, x)
    half_power = shifted ** (0.5 * shifted - 0.25)  # the power in two halves, which do not overflow
    stirling = math.sqrt(2 * math.pi) * np.exp(_stirling_correction(shifted))
    result = half_power * np.exp(-shifted) * half_power * stirling
    result = np.where(shifted > 180, np.inf, result)
    product = np.ones_like(x)
    for step in range(10):
        product *= x + step
    return np.where(x < 10, result / product, result)


@_elementwise
def digamma(x):
    """The derivative of log Gamma. NaN at the negative integers; relatively accurate at its positive zero."""
    result = np.full_like(x, np.nan)
    right = x > 0
    result[right] = _digamma_positive(x[right])
    left = x < 0
    u = x[left]
    # Reflection (DLMF 5.5.4): psi(1 - x) - psi(x) = pi / tan(pi x)
    fraction = u - np.round(u)
    reflected = _digamma_positive(1 - u) - np.pi / np.tan(np.pi * fraction)
    result[left] = np.where((fraction == 0) | np.isinf(u), np.nan, reflected)
    zero = x == 0
    result[zero] = np.copysign(np.inf, -x[zero])
    return result


def _digamma_positive(x: np.ndarray) -> np.ndarray:
    result = np.empty_like(x)
    near = np.abs(x - _DIGAMMA_ZERO) < 0.5
    result[near] = _horner(_DIGAMMA_AT_ZERO, (x[near] - _DIGAMMA_ZERO) - _DIGAMMA_ZERO_TAIL)
    u = x[~near].copy()
    value = np.zeros_like(u)
    for _ in range(10):  # psi(x) = psi(x + 1) - 1/x
        small = u < 10
        value -= np.where(small, 1 / u, 0.0)
        u += small
    value += np.log(u) - 0.5 / u - _horner(_DIGAMMA_SERIES, 1 / (u * u)) / (u * u)
    result[~near] = value
    return result


# ------------------------------------------------------------------------------------------------------------
# The incomplete gamma function
# ------------------------------------------------------------------------------------------------------------
def _log1pmx(u: np.ndarray) -> np.ndarray:
    """log(1 + u) - u without cancellation at small u.

    With r = u/(2 + u): log(1 + u) = 2 artanh r = 2 (r + r^3/3 + r^5/5 + ...), and 2r - u = -r u.
    """
    small = np.abs(u) < 0.5
    r = np.where(small, u / (2 + u), 0.0)
    square = r * r
    series = 2 * r * square * _horner([1 / (2 * k + 1) for k in range(18, 0, -1)], square) - r * u
    return np.where(small, series, np.log1p(u) - u)


def _log_gamma_kernel(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """log(x^a e^{-x} / Gamma(a)).

    For large a the three terms a log x, x, log Gamma(a) are huge and cancel. With mu = (x - a)/a and
    Stirling's formula, the same is a (log(1 + mu) - mu) + log(a / 2 pi)/2 - c(a), and nothing cancels.
    """
    result = np.empty_like(a)
    large = a >= 10
    s, t = a[large], x[large]
    mu = (t - s) / s
    exponent = s * np.where(mu > -0.5, _log1pmx(mu), np.log(t / s) - mu)  # 1 + mu loses a tiny x/a
    result[large] = exponent + 0.5 * (np.log(s) - _LOG_2PI) - _stirling_correction(s)
    s, t = a[~large], x[~large]
    result[~large] = s * np.log(t) - t - _gammaln(s)
    return result


@functools.lru_cache(maxsize=1)
def _temme_coefficients(orders: int = 20, powers: int = 22) -> np.ndarray:
    """d[k, n] in C_k(eta) = sum_n d[k, n] eta^n, the terms of Temme's expansion (DLMF 8.12.7).

    With x/a = 1 + mu, eta is defined by eta^2/2 = mu - log(1 + mu), sign(eta) = sign(mu). Differentiating,
    mu mu' = eta (1 + mu): a recurrence for the coefficients of mu = sum_n alpha_n eta^n. So (DLMF 8.12.9-10)

        C_0 = 1/mu - 1/eta,      C_k = (1/eta) C_{k-1}'(eta) + g_k / mu,

    where g_k are the coefficients of Stirling's series for the reciprocal, with signs that make C_k regular
    at eta = 0. All of it is done in rational numbers, once, on first use.
    """
    length = powers + 2 * orders + 4
    alpha = [Fraction(0), Fraction(1)]  # mu = eta + eta^2/3 + eta^3/36 - ...
    for n in range(2, length + 1):
        inner = sum(((n + 1 - j) * alpha[j] * alpha[n + 1 - j] for j in range(2, n)), Fraction(0))
        alpha.append((alpha[n - 1] - inner) / (n + 1))
    # 1/mu = (1/eta) / (1 + alpha_2 eta + ...) = (1/eta) sum_n beta_n eta^n
    beta = [Fraction(1)]
    for n in range(1, length):
        beta.append(-sum((alpha[j + 1] * beta[n - j] for j in range(1, n + 1)), Fraction(0)))
    rows = [beta[1:]]
    for _ in range(1, orders):
        previous = rows[-1]
        # (1/eta) C' = d_1/eta + 2 d_2 + 3 d_3 eta + ...; its pole is cancelled by g/mu, so g = -d_1.
        pole = previous[1]
        length_next = len(previous) - 2
        rows.append([(n + 2) * previous[n + 2] - pole * beta[n + 1] for n in range(length_next)])
    return np.array([[float(value) for value in row[:powers]] for row in rows])


def _gamma_temme(a: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, Q) for a >= 20 and |x - a| <= 0.3 a: Q = erfc(u)/2 + R and P = erfc(-u)/2 - R, u^2 = a eta^2/2."""
    mu = (x - a) / a
    half_square = -_log1pmx(mu)  # eta^2 / 2
    eta = np.copysign(np.sqrt(2 * half_square), mu)
    coefficients = _temme_coefficients()
    total = np.zeros_like(a)
    for row in coefficients[::-1]:
        total = total / a + _horner(row[::-1], eta)
    # e^{-a eta^2/2} is the common factor of both parts
    factor = np.exp(-a * half_square)
    remainder = factor * total / np.sqrt(2 * np.pi * a)
    u = np.abs(eta) * np.sqrt(a / 2)
    tail = np.empty_like(a)
    center = u <= 0.46875
    tail[center] = 0.5 * (1 - _erf_center(u[center]))
    tail[~center] = 0.5 * factor[~center] * _erfcx(u[~center])
    right = eta >= 0
    small = np.where(right, tail + remainder, tail - remainder)  # the tail on x's own side of a
    return np.where(right, 1 - small, small), np.where(right, small, 1 - small)


def _gamma_series(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """P(a, x) = x^a e^{-x} / Gamma(a + 1) sum_n x^n / ((a+1) ... (a+n)), for x < a + 1 (DLMF 8.11.4)."""
    term = np.ones_like(a)
    total = np.ones_like(a)
    for n in range(1, 2000):
        term *= x / (a + n)
        total += term
        if not np.any(term > _EPSILON / 4 * total):
            break
    return np.exp(_log_gamma_kernel(a, x)) / a * total


def _continued_fraction(terms: Callable, *parameters: np.ndarray) -> np.ndarray:
    """1 / (b_0 + a_1/(b_1 + a_2/(b_2 + ...))) with terms(n, *parameters) -> (a_n, b_n), by Lentz's modified
    method.

    Elements that have converged are dropped whenever they are half of what is left.
    """
    result = np.empty_like(parameters[0])
    index = np.arange(result.size)
    d = terms(0, *parameters)[1]
    d = 1 / np.where(d == 0, _TINY, d)
    c = np.full_like(d, 1 / _TINY)
    fraction = d.copy()
    for n in range(1, 20_000):
        numerator, denominator = terms(n, *parameters)
        d = numerator * d + denominator
        d = 1 / np.where(d == 0, _TINY, d)
        c = denominator + numerator / c
        c = np.where(c == 0, _TINY, c)
        change = c * d
        fraction *= change
        active = np.abs(change - 1) > _EPSILON  # False for NaN: what is lost is not waited for
        left = np.count_nonzero(active)
        if 2 * left <= index.size:
            result[index] = fraction
            index, d, c, fraction = index[active], d[active], c[active], fraction[active]
            parameters = tuple(parameter[active] for parameter in parameters)
            if left == 0:
                break
    result[index] = fraction
    return result


def _gamma_fraction_terms(n: int, a: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return -n * (n - a), x - a + (2 * n + 1)


def _gamma_fraction(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Q(a, x) by Legendre's continued fraction, for x above a (DLMF 8.9.2, its even part)."""
    return np.exp(_log_gamma_kernel(a, x)) * _continued_fraction(_gamma_fraction_terms, a, x)


def _log_gamma_rise(b: np.ndarray, a: np.ndarray) -> np.ndarray:
    """log Gamma(b + a) - log Gamma(b): by Taylor where a is so small that b + a would round it away.

    a psi(b) + sum_{k>=2} (-a)^k zeta(k, b) / k (DLMF 5.15.1), which converges for a below b.
    """
    result = _gammaln(b + a) - _gammaln(b)
    near = a < 0.01 * np.minimum(b, 1)
    s, t = b[near], a[near]
    series = t * _digamma_positive(s)
    for k in range(2, 9):
        series += (-t) ** k / k * np.array([_hurwitz_zeta(k, value) for value in s])
    result[near] = series
    return result


def _beta_upper_small(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """1 - I_x(a, b) for a far below one and b x of order one, where one minus the lower tail would cancel.

    I = x^a Gamma(a + b) / (Gamma(b) Gamma(1 + a)) (1 + a sum_{n>=1} (1-b)_n x^n / (n! (a + n))) (DLMF 8.17.7), and its
    logarithm is of the order of a.
    """
    total = np.zeros_like(a)
    power = np.ones_like(a)
    for n in range(1, 200):
        power *= (n - b) * x / n
        total += power / (a + n)
    log_lower = (
        a * np.log(x) + _log_gamma_rise(b, a) - _log_gamma_rise(np.ones_like(a), a) + np.log1p(a * total)
    )
    return -np.expm1(log_lower)


def _gamma_upper_small(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Q(a, x) for x below about one, where 1 - P would cancel when a is small.

    P = x^a / Gamma(1 + a) (1 + a sum_{n>=1} (-x)^n / (n! (a + n))) (DLMF 8.7.1), so with
    h = a log x - log Gamma(1 + a), which is small when a is:  Q = -expm1(h) - e^h a sum_n ...
    """
    h = a * np.log(x) - _log_gamma_rise(np.ones_like(a), a)
    total = np.zeros_like(a)
    power = np.ones_like(a)
    for n in range(1, 40):
        power *= -x / n
        total += power / (a + n)
    return -np.expm1(h) - np.exp(h) * a * total


def _incomplete_gamma(a: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, Q): the smaller of the two is computed, the other is one minus it."""
    lower = np.full_like(a, np.nan)
    upper = np.full_like(a, np.nan)
    valid = (a >= 0) & (x >= 0)

    def fill(where, values_lower, values_upper):
        lower[where] = values_lower
        upper[where] = values_upper

    fill(valid & (a == 0) & (x > 0), 1.0, 0.0)
    fill(valid & (a > 0) & (x == 0), 0.0, 1.0)
    fill(valid & np.isposinf(x) & np.isfinite(a) & (a > 0), 1.0, 0.0)
    fill(valid & np.isposinf(a) & np.isfinite(x), 0.0, 1.0)
    regular = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)

    temme = regular & (a >= 20) & (np.abs(x - a) <= 0.3 * a)
    series = regular & ~temme & (x <= np.maximum(a, 1.0))
    small = series & (x <= 1.0) & (a < 1.0)
    series &= ~small
    fraction = regular & ~temme & ~series & ~small
    if temme.any():
        fill(temme, *_gamma_temme(a[temme], x[temme]))
    if series.any():
        p = _gamma_series(a[series], x[series])
        fill(series, p, 1 - p)
    if small.any():
        q = _gamma_upper_small(a[small], x[small])
        fill(small, np.where(q < 0.5, 1 - q, _gamma_series(a[small], x[small])), q)
    if fraction.any():
        q = _gamma_fraction(a[fraction], x[fraction])
        fill(fraction, 1 - q, q)
    return lower, upper


@_elementwise
def gammainc(a, x):
    """P(a, x), the regularized lower incomplete gamma function; a >= 0, x >= 0, NaN elsewhere.

    Temme's uniform expansion near x = a for a >= 20, the power series to the left, the continued fraction to
    the right.
    """
    return _incomplete_gamma(a, x)[0]


@_elementwise
def gammaincc(a, x):
    """Q(a, x) = 1 - P(a, x), the upper tail with its own relative accuracy."""
    return _incomplete_gamma(a, x)[1]


@_elementwise
def chdtr(v, x):
    """P(chi^2_v <= x)."""
    return _incomplete_gamma(v / 2, x / 2)[0]


@_elementwise
def chdtrc(v, x):
    """P(chi^2_v > x), the survival function."""
    return _incomplete_gamma(v / 2, x / 2)[1]


# ------------------------------------------------------------------------------------------------------------
# The incomplete beta function
# ------------------------------------------------------------------------------------------------------------
@_elementwise
def betaln(a, b):
    """log|B(a, b)| = log|Gamma(a) Gamma(b) / Gamma(a + b)|."""
    positive = (a > 0) & (b > 0)
    result = _gammaln(a) + _gammaln(b) - _gammaln(a + b)
    result[positive] = _betaln_positive(a[positive], b[positive])
    return result


def _betaln_positive(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """log B(a, b) for positive arguments; Stirling's leading terms cancel on paper, not in the machine."""
    a, b = np.maximum(a, b), np.minimum(a, b)
    result = np.empty_like(a)

    both = b >= 10
    s, t = a[both], b[both]
    correction = _stirling_correction(s) + _stirling_correction(t) - _stirling_correction(s + t)
    logs = -(s - 0.5) * np.log1p(t / s) - t * np.log1p(s / t) - 0.5 * np.log(t)
    result[both] = logs + 0.5 * _LOG_2PI + correction

    one = (a >= 10) & (b < 10)
    s, t = a[one], b[one]
    # log Gamma(a) - log Gamma(a + b) from Stirling's formula
    difference = -(s - 0.5) * np.log1p(t / s) - t * np.log(s + t) + t
    difference += _stirling_correction(s) - _stirling_correction(s + t)
    result[one] = _gammaln(t) + difference

    none = a < 10
    s, t = a[none], b[none]
    result[none] = _gammaln(s) + (_gammaln(t) - _gammaln(s + t))
    result[np.isinf(a)] = -np.inf
    return result


def _log_beta_kernel(a, b, x, y, log_x, log_y) -> np.ndarray:
    """log(x^a y^b / B(a, b)).

    For large a and b the terms cancel. With m = a/(a+b), u = (x - m)/m and v = (y - (1 - m))/(1 - m),
    a u + b v = 0, so that the exponent is a (log1p(u) - u) + b (log1p(v) - v): two negative numbers.
    """
    result = a * log_x + b * log_y - _betaln_positive(a, b)
    difference = x * b - y * a  # (a + b)(x - m), from the two small parts
    u, v = difference / a, -difference / b
    large = (np.minimum(a, b) >= 10) & (u > -0.9) & (v > -0.9)
    s, t = a[large], b[large]
    correction = _stirling_correction(s + t) - _stirling_correction(s) - _stirling_correction(t)
    exponent = s * _log1pmx(u[large]) + t * _log1pmx(v[large])
    result[large] = exponent + 0.5 * (np.log(s) + np.log(t / (s + t)) - _LOG_2PI) + correction
    return result


def _beta_fraction_terms(n: int, a, b, x, y, excess) -> tuple[np.ndarray, np.ndarray]:
    if n == 0:
        return x, a / (a + 1) * (excess + 1)  # a_0 is not used
    middle = a + (2 * n - 1)
    ratio = n * (b - n) * x / middle
    numerator = (a + (n - 1)) * (a + b + (n - 1)) * x / middle * ratio
    return numerator, n + ratio + (a + n) / (middle + 2) * (excess + 1 + n * (1 + y))


def _beta_fraction(a: np.ndarray, b: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """F with I_x(a, b) = x^a y^b / B(a, b) F, for x below about the mean a/(a + b).

    DiDonato and Morris's continued fraction (ACM TOMS 18, 1992, equation 9), the even part of DLMF 8.17.22:
    half the steps, and
    x enters through a - (a + b) x = a y - b x, which stays accurate when x or y is tiny and b or a is huge.
    """
    return _continued_fraction(_beta_fraction_terms, a, b, x, y, a * y - b * x)


@functools.lru_cache(maxsize=1)
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of 40-point Gauss-Legendre quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    return (nodes + 1) / 2, weights / 2


def _beta_quadrature(a: np.ndarray, b: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same F for large a and b, x <= a/(a + b), at a cost that does not grow with them.

    F is the integral of t^{a-1} (1-t)^{b-1} over t <= x, divided by x^a y^b. With t = x - s the integrand is,
    up to the factor 1/(x y), exp(-k s + (a-1) L(-s/x) + (b-1) L(s/y)) with L(u) = log(1+u) - u <= 0 and k =
    (a-1)/x - (b-1)/y: a smooth fall from one, negligible after the length where k s + q s^2/2 reaches 45.
    """
    nodes, weights = _gauss_legendre()
    k = ((a - 1) * y - (b - 1) * x) / (x * y)
    q = (a - 1) / (x * x) + (b - 1) / (y * y)
    length = np.minimum(90 / (k + np.sqrt(k * k + 90 * q)), x)
    total = np.zeros_like(a)
    for node, weight in zip(nodes, weights, strict=True):
        s = length * node
        total += weight * np.exp(-k * s + (a - 1) * _log1pmx(-s / x) + (b - 1) * _log1pmx(s / y))
    return total * length / (x * y)


def _beta_parts(a, b, x, y, log_x, log_y) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(kernel, F, left): the smaller-side probability is exp(kernel) F, of t <= x where left, else of t >= x.

    All arguments positive and finite; x + y = 1, both handed over with their logarithms.
    """
    kernel = _log_beta_kernel(a, b, x, y, log_x, log_y)
    left = x * (a + b + 2) <= a + 1
    first, second = np.where(left, a, b), np.where(left, b, a)
    near, far = np.where(left, x, y), np.where(left, y, x)
    factor = np.empty_like(a)
    large = (np.minimum(a, b) > 1000) & (near > 1e-100)  # its square must not underflow
    for where, method in ((large, _beta_quadrature), (~large, _beta_fraction)):
        if where.any():
            factor[where] = method(first[where], second[where], near[where], far[where])
    return kernel, factor, left


def _incomplete_beta(a, b, x, y, log_x, log_y) -> tuple[np.ndarray, np.ndarray]:
    """(I_x(a, b), 1 - I_x(a, b)) for positive finite a, b and 0 < x < 1."""
    kernel, factor, left = _beta_parts(a, b, x, y, log_x, log_y)
    small = np.exp(kernel) * factor
    lower, upper = np.where(left, small, 1 - small), np.where(left, 1 - small, small)
    for tail, other, s, t, z in ((upper, lower, a, b, x), (lower, upper, b, a, y)):  # the second: mirrored
        tiny = (s < 0.01 * np.minimum(t, 1)) & (z * (s + t + 2) <= s + 1)
        tail[tiny] = _beta_upper_small(s[tiny], t[tiny], z[tiny])
        other[tiny] = np.minimum(1 - tail[tiny], 1)
    return lower, upper


def _betainc_both(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lower = np.full_like(x, np.nan)
    valid = (a >= 0) & (b >= 0) & (x >= 0) & (x <= 1) & ~((a == 0) & (b == 0)) & ~(np.isinf(a) & np.isinf(b))
    lower[valid & (x == 0)] = 0.0
    lower[valid & (x == 1)] = 1.0
    inside = valid & (x > 0) & (x < 1)
    lower[inside & ((a == 0) | np.isinf(b))] = 1.0
    lower[inside & ((b == 0) | np.isinf(a))] = 0.0
    upper = 1 - lower
    regular = inside & (a > 0) & (b > 0) & np.isfinite(a) & np.isfinite(b)
    s, t, p = a[regular], b[regular], x[regular]
    lower[regular], upper[regular] = _incomplete_beta(s, t, p, 1 - p, np.log(p), np.log1p(-p))
    return lower, upper


@_elementwise
def betainc(a, b, x):
    """I_x(a, b), the regularized incomplete beta function: P(X <= x) for X ~ Beta(a, b).

    Lentz's continued fraction on the smaller side; Gauss-Legendre quadrature when both parameters pass 1000.
    NaN outside
    a >= 0, b >= 0, 0 <= x <= 1.
    """
    return _betainc_both(a, b, x)[0]


@_elementwise
def betaincc(a, b, x):
    """1 - I_x(a, b), the upper tail with its own relative accuracy."""
    return _betainc_both(a, b, x)[1]


def _beta_logit_quantile(a: np.ndarray, b: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """log(x / (1 - x)) for the x with I_x(a, b) = p = 1 - q; a, b positive and finite, 0 < p < 1.

    For X ~ Beta(a, b) the density of z = logit X is proportional to e^{az}/(1 + e^z)^{a+b}: log-concave for
    every a and b. So the logarithm of its distribution function is concave (Prekopa), and Newton's method on
    log I = log p needs no safeguard: from anywhere it lands left of the root and climbs to it. For p > 1/2
    the mirror image, with log(1 - I).
    """
    scale = np.sqrt(1 / a + 1 / b)
    z = np.log(a) - np.log(b) + scale * np.where(p < 0.5, _ndtri(p), -_ndtri(q))
    lower = p <= 0.5
    target = np.where(lower, np.log(p), np.log(q))
    active = np.arange(a.size)
    for _ in range(100):
        s, t, u = a[active], b[active], z[active]
        x, y = 1 / (1 + np.exp(-u)), 1 / (1 + np.exp(u))
        log_x, log_y = -np.logaddexp(0, -u), -np.logaddexp(0, u)
        kernel, factor, left = _beta_parts(s, t, x, y, log_x, log_y)
        log_small = kernel + np.log(factor)
        log_tail = np.where(left == lower[active], log_small, np.log1p(-np.exp(log_small)))
        slope = np.exp(kernel - log_tail) * np.where(lower[active], 1.0, -1.0)  # d log_tail / dz
        step = (target[active] - log_tail) / slope
        step = np.where(np.isfinite(step), step, 0.0)
        z[active] = u + step
        active = active[np.abs(step) > 1e-9 * scale[active]]  # Newton: the next error is its square
        if active.size == 0:
            break
    return z


@_elementwise
def betaincinv(a, b, p):
    """The quantile of Beta(a, b): the x with betainc(a, b, x) = p. NaN unless a > 0, b > 0, 0 <= p <= 1."""
    result = np.full_like(p, np.nan)
    valid = (a > 0) & (b > 0) & np.isfinite(a) & np.isfinite(b)
    result[valid & (p == 0)] = 0.0
    result[valid & (p == 1)] = 1.0
    inside = valid & (p > 0) & (p < 1)
    z = _beta_logit_quantile(a[inside], b[inside], p[inside], 1 - p[inside])
    result[inside] = 1 / (1 + np.exp(-z))
    return result


# ------------------------------------------------------------------------------------------------------------
# Student's t and F, as incomplete beta functions
# ------------------------------------------------------------------------------------------------------------
def _beta_of_ratio(a, b, ratio, log_ratio) -> tuple[np.ndarray, np.ndarray]:
    """(I_x(a, b), 1 - I_x(a, b)) at x = 1/(1 + ratio); log(ratio) serves where the ratio overflowed."""
    huge = ratio > 1e300
    x = np.where(huge, np.exp(-log_ratio), 1 / (1 + ratio))
    y = np.where(huge, 1.0, ratio / (1 + ratio))
    log_x = np.where(huge, -log_ratio, -np.log1p(ratio))
    log_y = np.where(ratio < 1, log_ratio - np.log1p(ratio), -np.log1p(1 / ratio))
    return _incomplete_beta(a, b, x, y, log_x, log_y)


@_elementwise
def stdtr(df, t):
    """P(T <= t) for Student's t with df > 0 degrees of freedom; its upper tail is stdtr(df, -t).

    P(|T| > t) = I_x(df/2, 1/2) at x = df/(df + t^2): Abramowitz and Stegun 26.7.1.
    """
    result = np.full_like(t, np.nan)
    valid = (df > 0) & ~np.isnan(t)
    normal = valid & np.isinf(df)
    result[normal] = _ndtr(t[normal])
    result[valid & np.isinf(t)] = np.where(t[valid & np.isinf(t)] > 0, 1.0, 0.0)
    result[valid & (t == 0)] = 0.5
    regular = valid & np.isfinite(df) & np.isfinite(t) & (t != 0)
    s, u = df[regular], t[regular]
    outside, inside = _beta_of_ratio(
        s / 2, np.full_like(s, 0.5), u * u / s, 2 * np.log(np.abs(u)) - np.log(s)
    )
    # P(T <= t) for t < 0 is half the outside; near zero 1/2 minus half the inside says the same with fewer
    # roundings
    tail = np.where(outside < 0.5, 0.5 * outside, 0.5 - 0.5 * inside)
    result[regular] = np.where(u < 0, tail, 1 - tail)
    return result


@_elementwise
def stdtrit(df, p):
    """Student's t quantile: the t with stdtr(df, t) = p; df > 0, 0 <= p <= 1, NaN elsewhere."""
    result = np.full_like(p, np.nan)
    valid = (df > 0) & (p >= 0) & (p <= 1)
    normal = valid & np.isinf(df)
    result[normal] = _ndtri(p[normal])
    finite = valid & ~np.isinf(df)
    result[finite & (p == 0)] = -np.inf
    result[finite & (p == 1)] = np.inf
    result[finite & (p == 0.5)] = 0.0
    regular = finite & (p > 0) & (p < 1) & (p != 0.5)
    s, u = df[regular], p[regular]
    tail = np.minimum(
        u, 1 - u
    )  # P(|T| > t) = 2 tail = I_x(df/2, 1/2) and t = sqrt(df (1-x)/x) = sqrt(df) e^{-z/2}
    z = _beta_logit_quantile(s / 2, np.full_like(s, 0.5), 2 * tail, 1 - 2 * tail)
    result[regular] = np.copysign(np.sqrt(s) * np.exp(-z / 2), u - 0.5)
    return result


def _f_both(dfn: np.ndarray, dfd: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P(F <= x), P(F > x)): the upper tail is I_w(dfd/2, dfn/2) at w = dfd/(dfd + dfn x)."""
    upper = np.full_like(x, np.nan)
    valid = (dfn > 0) & (dfd > 0) & (x >= 0)
    upper[valid & (x == 0)] = 1.0
    upper[valid & np.isinf(x)] = 0.0
    lower = 1 - upper
    regular = valid & (x > 0) & np.isfinite(x) & np.isfinite(dfn) & np.isfinite(dfd)
    m, n, u = dfn[regular], dfd[regular], x[regular]
    upper[regular], lower[regular] = _beta_of_ratio(
        n / 2, m / 2, m * u / n, np.log(m) + np.log(u) - np.log(n)
    )
    return lower, upper


@_elementwise
def fdtr(dfn, dfd, x):
    """P(F <= x) for the F distribution with dfn and dfd degrees of freedom; x >= 0, NaN elsewhere."""
    return _f_both(dfn, dfd, x)[0]


@_elementwise
def fdtrc(dfn, dfd, x):
    """P(F > x), the survival function of the F distribution."""
    return _f_both(dfn, dfd, x)[1]
