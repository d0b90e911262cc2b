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
# # Does the gradient belong to the density?
#
# A Hamiltonian sampler with a wrong gradient does not fail. Its proposals are rejected more often, or it
# crawls, and the draws look plausible. So before HMC and NUTS begin, they hold the gradient that they were
# given against differences of the log density, along two random directions. That costs some forty
# evaluations, draws from a generator of its own, and changes no draw.
#
# **How long is a step?** A density may be a millionth wide, or a million. So along the direction $v$ we first
# look for the *stretch* $t$, the largest power of 4 for which $f(x \pm tv)$ differs from $f(x)$ by at most
# $\Delta = \max(1, 10^7\epsilon|f|)$. In units of $t$ all derivatives of a smooth $f$ are of the order of
# $\Delta$ or less, and $\Delta$ is ten million rounding errors.
#
# **Where?** At $y = x + \frac t2 v$. At the start itself every slope may be zero, if it is the mode, and a
# gradient with the wrong sign would pass; or there may be a kink, as of $|x|$ at 0.
#
# **How exact are the differences?** With $D(h) = \frac{f(y + hv) - f(y - hv)}{2h}$,
#
# $$D(h) = v\cdot\nabla f + \frac{h^2}{6} f''' + O(h^4), \qquad
# \hat D = \frac{4D(h/2) - D(h)}3, \qquad
# |\text{truncation}| \lesssim \frac{|D(h) - D(h/2)|}3,$$
#
# which is the error of $D(h/2)$, and generous for $\hat D$. Rounding adds
#
# $$\frac{\epsilon\,\big(1 + |f| + \sum_j |g_j y_j|\big)}h,$$
#
# where the sum is what rounding $y$ does to $f$. A step $h$ tolerates ten times the two together, and
# $10^{-3}$ of the slopes: an error so small does no harm to a sampler, and gradients by differences have it.
#
# **Innocent until proven guilty.** The bounds hold for a smooth $f$ that is computed to rounding in double
# precision. For one that ripples, has kinks, is computed in single precision, or is the small difference of
# large numbers, they may be too small at one step, but hardly at all of them. So if the first steps do not
# agree with the gradient, we go on from $t/8$ down to $t/2^{21}$. What jitters at the small steps is noise, and
# no $f$ is finer than the smallest difference of two of its values; the larger of the two takes the place of
# $\epsilon|f|$ where it is larger still. The gradient is wrong if the step with the least tolerance contradicts
# it, a second step agrees with the first and contradicts it, too, and no step that can tell the two slopes
# apart sides with the gradient. Where differences decide nothing, nothing is said.

# %%
from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np

from level4_probabilistic.parts.markov_chain_monte_carlo.sampler_targets import State, Target

__all__ = ["Slopes", "compare_slopes", "require_gradient"]

STEPS = 8.0 ** -np.arange(1, 8)
"""h, in units of the stretch."""
SAFETY = 10.0
"""By how much a mismatch must exceed the estimated error of the differences."""
RELATIVE = 1e-3
"""Relative error that a gradient is allowed."""
SEED = 0
MOST_COORDINATES = 100
"""With more coordinates than this the message does not go through them one by one."""


class Slopes(NamedTuple):
    """Both slopes along one direction."""

    claimed: float  # v·g
    measured: float  # by differences, at the step that knows it best
    wrong: bool


# %%
@no_type_check
def find_stretch(value, x, direction, change) -> float | None:
    """Largest t = 4ᵏ up to 1e12 at which f(x ± tv) differs from f(x) by at most `change`; None below 1e-18."""
    here = value(x)

    def is_near(t):  # false, too, where f is NaN or infinite
        return all(abs(value(x + side * direction) - here) <= change for side in (t, -t))

    t = 1.0
    if is_near(t):
        while t < 1e12 and is_near(4 * t):
            t *= 4
        return t
    while not is_near(t):
        t /= 4
        if t < 1e-18:
            return None
    return t


@no_type_check
def compare_slopes(target: Target, position, row: int, direction) -> Slopes | None:
    """The slope that the gradient claims along `direction` (dim,), near chain `row` of `position` (chains, dim).

    None where the two cannot be compared: the log density jumps, or the gradient is not finite.
    """

    seen = []

    def value(point):
        try:
            seen.append(float(target.probe("logpdf", position, row, point)))
        except (ArithmeticError, ValueError):  # outside of what the function can compute
            seen.append(np.nan)
        return seen[-1]

    x = position[row]
    change = max(1.0, 1e7 * np.finfo(float).eps * abs(value(x)))
    stretch = find_stretch(value, x, direction, change)
    if stretch is None:
        return None
    # by how much it really changes: less than allowed, where the support ends
    change = max(abs(value(x + side * direction) - seen[0]) for side in (stretch, -stretch))
    y = x + stretch / 2 * direction
    try:
        gradient = np.asarray(target.probe("gradient", position, row, y), float)
    except (ArithmeticError, ValueError):
        return None
    claimed = float(gradient @ direction)
    if not np.isfinite(claimed):
        return None
    parts = gradient * direction
    length = np.sqrt(parts @ parts)
    rounding = np.finfo(float).eps * (np.abs(gradient) @ np.abs(y))
    steps, values = [], []
    for h in STEPS * stretch:
        four = [value(y + part * h * direction) for part in (-1, -0.5, 0.5, 1)]
        if not np.isfinite(four).all():
            continue
        steps.append(h)
        values.append(four)
        slope, error = _differences(np.array([h]), np.array([four]), rounding)
        allowed = RELATIVE * max(abs(claimed), abs(slope[0]), length, change / stretch)
        if abs(slope[0] - claimed) <= allowed + error[0] and error[0] <= allowed:
            return Slopes(claimed, float(slope[0]), False)
    if len(steps) < 2:
        return None
    size = max(length, change / stretch)
    return _judge(claimed, np.array(steps), np.array(values), np.array(seen), rounding, size)


@no_type_check
def _differences(h, values, noise):
    """Slopes (k,) and their tolerated errors (k,) from values (k, 4) at −h, −h/2, h/2 and h."""
    wide, narrow = (values[:, 3] - values[:, 0]) / (2 * h), (values[:, 2] - values[:, 1]) / h  # D(h), D(h/2)
    noise = noise + np.finfo(float).eps * (1 + np.abs(values).max(axis=1))
    return (4 * narrow - wide) / 3, SAFETY * (np.abs(wide - narrow) / 3 + noise / h)


@no_type_check
def _judge(claimed, h, values, seen, rounding, size) -> Slopes:
    """The verdict over all steps (k,) with their values (k, 4), and all values seen: see above."""
    gaps = np.diff(np.sort(seen[np.isfinite(seen)]))
    finest = gaps[gaps > 0].min(initial=np.inf)
    # h |D(h) − D(h/2)|: for a smooth f of the order of h³, next to nothing from t/64 on
    jitter = np.abs((values[:, 3] - values[:, 0]) / 2 - (values[:, 2] - values[:, 1]))
    noise = max(rounding, jitter[h < 0.2 * h[0]].max(initial=0.0), finest if np.isfinite(finest) else 0.0)
    slopes, error = _differences(h, values, noise)
    allowed = RELATIVE * np.maximum(np.maximum(abs(claimed), np.abs(slopes)), size)
    best = int(np.argmin(allowed + error))
    mismatch, change = np.abs(slopes - claimed), np.abs(slopes - slopes[best])
    wrong = mismatch[best] > (allowed + error)[best]
    wrong &= ((mismatch > allowed + error) & (change <= allowed + error)).sum() >= 2
    # In its defense the noise need not count: a ripple that the small steps resolve looks like it.
    for tolerance in (allowed + error, allowed + _differences(h, values, rounding)[1]):
        wrong &= not ((mismatch <= tolerance) & (change > tolerance)).any()
    return Slopes(claimed, float(slopes[best]), bool(wrong))


# %% [markdown]
# ## Which directions?
#
# The first is the same in all coordinates. If their scales differ, the narrowest one drowns the others. So the
# second gives each coordinate a part in the slope, $v_j \propto u_j / |g_j|$, and a coordinate that the
# gradient calls flat the largest. The first looks at the first chain, the second at the last.


# %%
@no_type_check
def require_gradient(target: Target, state: State) -> None:
    """Compare gradient and log density near the starts of two chains, by two random directions.

    Raises:
        ValueError: the gradient is not that of the log density; the message has both slopes, the coordinates
            that are off, and a likely remedy.

    Some forty log densities and two gradients, which are not counted; if the gradient is wrong, as many for
    each coordinate.
    """
    rng = np.random.default_rng(SEED)  # its own: the draws stay what they are
    chains, dim = state.position.shape
    slope = np.abs(state.gradient[-1])
    balanced = 1 / np.maximum(slope, 1e-12 * slope.max()) if slope.any() else np.ones(dim)
    with np.errstate(all="ignore"):  # a step may leave the support
        for row, scale in ((0, np.ones(dim)), (chains - 1, balanced)):
            direction = scale * rng.choice([-1.0, 1.0], dim) * rng.uniform(0.5, 1.5, dim)  # leaves none out
            slopes = compare_slopes(target, state.position, row, direction)
            if slopes is not None and slopes.wrong:
                length = np.sqrt(direction @ direction)
                raise ValueError(_complaint(target, state.position, row, slopes, length))


@no_type_check
def _complaint(target, position, row, slopes, length) -> str:
    """The message: both slopes, where they differ, and what to try."""
    claimed, measured = slopes.claimed, slopes.measured
    text = (
        f"gradient is not the gradient of logpdf: near the start of chain {row}, along a random direction, "
        f"gradient says that the slope is {claimed / length:.6g}, central differences of logpdf say "
        f"{measured / length:.6g}. "
    )
    dim = position.shape[1]
    wrong = {}
    if 1 < dim <= MOST_COORDINATES:
        for j, axis in enumerate(np.eye(dim)):
            along = compare_slopes(target, position, row, axis)
            if along is not None and along.wrong:
                wrong[j] = along
    if 0 < len(wrong) < dim:
        some = ", ".join(f"{j} ({s.claimed:.4g} for {s.measured:.4g})" for j, s in list(wrong.items())[:4])
        text += f"It is off in {len(wrong)} of {dim} coordinates: {some}{', …' if len(wrong) > 4 else ''}. "
    pairs = np.array([(s.claimed, s.measured) for s in wrong.values()] or [(claimed, measured)])
    factor = pairs[0, 0] / pairs[0, 1] if pairs[0, 1] else np.nan
    if (
        abs(factor) < 1e-3
        or abs(factor - 1) < 0.02
        or not np.allclose(pairs[:, 0], factor * pairs[:, 1], rtol=1e-3, atol=0)
    ):
        factor = np.nan  # not one factor for all of them
    if len(pairs) < 2 and not np.isclose(np.abs(factor), (1, 2, 0.5), rtol=1e-3).any():
        factor = np.nan  # along a single direction any error is some factor
    if abs(factor + 1) < 1e-3:
        text += "Its sign is turned: return the gradient of the log density, not of the negative one. "
    elif np.isfinite(factor):
        text += f"It is {factor:.4g} times what it should be: look for a lost or doubled factor. "
    else:
        text += (
            "A term may be missing from one of the two (a prior, the Jacobian of a transformation), or have a "
            "wrong sign or index. "
        )
    return (
        text
        + "shared.gradients.check_gradient compares all coordinates; check_gradient=False goes on anyway."
    )
