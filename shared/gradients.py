"""Gradients by differences: slow, approximate, and independent of everything they are used to check.

| function | error at its default step | evaluations for d inputs | needs |
|---|---|---|---|
| `numerical_gradient` | about 1e-10, relative to f and its derivatives | 2 d | f in real arithmetic |
| `complex_step_gradient` | rounding, 1e-16 | d | f analytic, and able to take complex numbers |
| `check_gradient` | that of `numerical_gradient` | 2 d | f and the gradient to be checked |

Where the errors come from, with the constants, is derived in
`level1_foundations/failure_modes/automatic_differentiation.py`.

Sources: W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions, SIAM
Review 40 (1998); P. E. Gill, W. Murray and M. H. Wright, Practical Optimization (1981), section 4.6.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["check_gradient", "complex_step_gradient", "numerical_gradient"]

CENTRAL_STEP = float(np.finfo(np.float64).eps ** (1 / 3))  # 6.06e-6
COMPLEX_STEP = 1e-100


def numerical_gradient(
    f: Callable[[np.ndarray], ArrayLike], x: ArrayLike, *, step: float | None = None
) -> np.ndarray:
    """Central differences $(f(x + h e_i) - f(x - h e_i)) / 2h$ for every entry of `x`, in float64.

    Args:
        f: takes an array of the shape of `x`, returns a number or an array.
        x: where. Any shape.
        step: $h$, times max(1, |x_i|). By default $\\varepsilon^{1/3}$ = 6.1e-6, which balances truncation,
            $h^2 f''' / 6$, against rounding, $\\varepsilon f / 2h$; both are then of the order
            of $\\varepsilon^{2/3}$ = 4e-11 times the size of $f'''$ and $f$.

    Returns:
        An array of shape `f(x).shape + x.shape`: the gradient of a scalar function, the Jacobian of another.

    Raises:
        ValueError: `x` is not finite, or `step` is not positive.
    """
    point = _point(x)
    h = CENTRAL_STEP if step is None else float(step)
    if not (h > 0 and np.isfinite(h)):
        raise ValueError(f"step must be a positive number, got {step!r}.")
    flat = point.ravel()
    columns = []
    for i in range(flat.size):
        values = []
        ends = flat[i] + h * max(1.0, abs(flat[i])), flat[i] - h * max(1.0, abs(flat[i]))
        for end in ends:
            moved = flat.copy()
            moved[i] = end
            values.append(np.array(f(moved.reshape(point.shape)), dtype=np.float64))  # f may reuse its array
        columns.append(np.asarray((values[0] - values[1]) / (ends[0] - ends[1])))  # the distance really gone
    return _assemble(columns, f, point)


def complex_step_gradient(
    f: Callable[[np.ndarray], ArrayLike], x: ArrayLike, *, step: float = COMPLEX_STEP
) -> np.ndarray:
    """$\\mathrm{Im} f(x + i h e_i) / h$ for every entry of `x`: no difference, hence nothing cancels.

    By Taylor, $f(x + ih) = f(x) + ih f'(x) - h^2 f''(x)/2 - \\dots$, so the error is $h^2 f'''/6$, below
    rounding for the default $h = 10^{-100}$. `f` must be analytic and must not break the complex plane: no
    `abs`, `max`, comparisons or conjugate transposes. Where it does, the answer can be wrong without a
    warning; check against `numerical_gradient`.

    Args:
        f: takes a complex array of the shape of `x`, returns a number or an array.
        x: where (real). Any shape.
        step: $h$.

    Returns:
        An array of shape `f(x).shape + x.shape`.

    Raises:
        ValueError: `x` is not finite, or `step` is not positive.
        TypeError: `f` returned real numbers, so that it dropped the imaginary part.
    """
    point = _point(x)
    if not step > 0:
        raise ValueError(f"step must be a positive number, got {step!r}.")
    flat = point.ravel()
    columns = []
    for i in range(flat.size):
        moved = flat.astype(np.complex128)
        moved[i] += 1j * step
        value = np.asarray(f(moved.reshape(point.shape)))
        if value.dtype.kind != "c":
            raise TypeError(
                "complex_step_gradient: f returned real numbers for complex input; it must be analytic."
            )
        columns.append(np.asarray(value.imag / step))
    return _assemble(columns, f, point)


def check_gradient(
    f: Callable[[np.ndarray], ArrayLike],
    gradient: Callable[[np.ndarray], ArrayLike] | ArrayLike,
    x: ArrayLike,
    *,
    step: float | None = None,
) -> float:
    """The largest deviation of `gradient` at `x` from central differences, relative to their largest entry.

    About 1e-9 or less for a right gradient of a well-scaled function (see `numerical_gradient`), of order 1
    for a wrong one.

    Args:
        f: takes an array of the shape of `x`, returns a number or an array.
        gradient: the function that is checked, or its value at `x`.
        x: where.
        step: as in `numerical_gradient`.

    Raises:
        ValueError: the gradient has another shape than the differences.
    """
    numerical = numerical_gradient(f, x, step=step)
    analytic = np.asarray(gradient(_point(x)) if callable(gradient) else gradient, dtype=np.float64)
    if analytic.shape != numerical.shape:
        raise ValueError(f"gradient must have shape {numerical.shape}, got {analytic.shape}.")
    if analytic.size == 0:
        return 0.0
    scale = max(np.abs(numerical).max(), np.abs(analytic).max())
    return float(np.abs(analytic - numerical).max() / scale) if scale > 0 else 0.0


def _point(x: ArrayLike) -> np.ndarray:
    point = np.array(x, dtype=np.float64)
    if not np.isfinite(point).all():
        raise ValueError("x must be finite, got NaN or infinity in it.")
    return point


def _assemble(
    columns: list[np.ndarray], f: Callable[[np.ndarray], ArrayLike], point: np.ndarray
) -> np.ndarray:
    """The derivatives by entry of x, as one array of shape f(x).shape + x.shape."""
    if not columns:
        return np.zeros(np.asarray(f(point)).shape + point.shape)
    stacked = np.stack(columns, axis=-1)
    return stacked.reshape(stacked.shape[:-1] + point.shape)
