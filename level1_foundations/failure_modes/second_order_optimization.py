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
# # How second-order optimization breaks
#
# The quadratic that fits here is trusted everywhere. It may be too flat and send the step too far; its minimum may run away for ever; it may have no minimum at
# all; and a curvature that is learnt from differences is only as good as their digits. Each is broken here once, with the number that theory predicts.

# %%
from __future__ import annotations

import math
import warnings
from functools import cache
from typing import Any

import numpy as np

from level1_foundations.matrix_factorizations import LinAlgError
from level1_foundations.parts.second_order_optimization.objective import forward_differences
from level1_foundations.parts.second_order_optimization.problems import LogisticLoss
from level1_foundations.second_order_optimization import OptimizationResult, newton
from shared.datasets import load_breast_cancer, load_digits
from shared.failure_mode import Claim, FailureMode, Sweep

# %% [markdown]
# ## Newton's method diverges on a convex loss
#
# The intercept $b$ of a logistic regression with the share $\pi$ of positive labels minimizes $\log(1+e^b)-\pi b$, which is convex. A Newton step is
#
# $$N(b)=b-\frac{\sigma(b)-\pi}{\sigma(b)(1-\sigma(b))},\qquad\sigma(b)=\frac1{1+e^{-b}}.$$
#
# The denominator falls like $e^{-|b|}$, so that a step from far out overshoots by $e^{|b|}$, and the next one by more. Between the starts that converge and those that diverge lies
# a cycle of two, $N(b_1)=b_2$ and $N(b_2)=b_1$. For $\pi=\tfrac12$ it is $b_2=-b_1$ with $\sinh b=2b$, $b=2.1773$. From a uniform start in $(-a,a)$ the share
# $1-(b_2-b_1)/2a$ diverges, as long as $-a<b_1$ and $b_2<a$. Backtracking mends it: a step that does not decrease the loss is halved.

# %%
STARTS, REACH = 50, 5.0


@cache
def share_of_benign() -> float:
    """Of the tumors in the breast-cancer data, (): the labels' mean."""
    return float(np.mean(load_breast_cancer().y))


def intercept_run(start: float, positive: float, *, line_search: bool) -> OptimizationResult | None:
    """Newton from one start; None where the curvature has underflowed to 0."""

    def f(b: np.ndarray) -> tuple[float, np.ndarray]:
        chance = 1 / (1 + math.exp(-b[0])) if b[0] > -700 else 0.0
        return float(np.logaddexp(0, b[0]) - positive * b[0]), np.array([chance - positive])

    def curvature(b: np.ndarray) -> np.ndarray:
        chance = 1 / (1 + math.exp(-b[0])) if b[0] > -700 else 0.0
        return np.array([[chance * (1 - chance)]])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return newton(f, [start], gradient=True, hessian=curvature, line_search=line_search, max_iter=60)
        except LinAlgError:
            return None


def grid(rng: np.random.Generator, reach: float, starts: int) -> np.ndarray:
    """Equally spaced starts in (−reach, reach), all moved by one random share of their distance."""
    return -reach + 2 * reach * (np.arange(starts) + rng.random()) / starts


def share_diverging(
    rng: np.random.Generator, *, line_search: bool, reach: float = REACH, starts: int = STARTS
) -> float:
    """Of the starts, how many did not end at the minimum."""
    positive = share_of_benign()
    minimum = math.log(positive / (1 - positive))
    failed = 0
    for start in grid(rng, reach, starts):
        result = intercept_run(float(start), positive, line_search=line_search)
        failed += result is None or not abs(result.x[0] - minimum) < 1e-6
    return failed / starts


def newton_step(b: float, positive: float) -> float:
    """N(b)."""
    chance = 1 / (1 + math.exp(-b))
    return b - (chance - positive) / (chance * (1 - chance))


@cache
def cycle(positive: float) -> tuple[float, float]:
    """b₁ < b₂ with N(b₁) = b₂ and N(b₂) = b₁: above the minimum N(N(b)) − b changes its sign once, from − to +."""
    low = math.log(positive / (1 - positive)) + 1e-3
    high = low + 8.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        first = newton_step(middle, positive)
        if abs(first) > 30 or newton_step(first, positive) > middle:
            high = middle
        else:
            low = middle
    return newton_step(low, positive), low


def diverging_by_formula(*, line_search: bool, reach: float = REACH, starts: int = STARTS) -> float:
    """1 − (b₂ − b₁)/2a, and 0 with backtracking; raises where the cycle lies outside of the starts."""
    if line_search:
        return 0.0
    low, high = cycle(share_of_benign())
    if not (-reach < low and high < reach):
        raise ValueError(f"reach must exceed the cycle from {low:.3f} to {high:.3f}, got {reach}.")
    return 1 - (high - low) / (2 * reach)


def diverging_without_it(*, line_search: bool) -> float:
    """The rival of the remedy: what whole steps give."""
    return diverging_by_formula(line_search=not line_search)


def draw_newton_cycle() -> Any:
    """Left: where one whole step leads, N(b), and the cycle of two that divides the starts. Right: the share of diverging starts over their range, as predicted and measured."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, (left, right) = subplots(1, 2, width=10.0, height=4.0)
    positive = share_of_benign()
    b = np.linspace(-4, 4.5, 300)
    low, high = cycle(positive)
    left.plot(b, [newton_step(value, positive) for value in b], color=COLORS["ours"], label="N(b)")
    left.plot(b, b, color="gray", linewidth=1, label="b")
    left.plot(
        [low, high, high, low, low], [high, high, low, low, high], color=COLORS["broken"], label="the cycle"
    )
    left.set(title="One whole step", xlabel="b", ylim=(-8, 8))
    left.legend(loc="upper right")
    plot_sweep(right, NEWTON_CYCLE.breaks, label="whole steps")
    right.set(title="Starts that diverge")
    return figure


NEWTON_CYCLE = FailureMode(
    name="newton_cycle",
    title="Newton's method diverges on a convex loss",
    symptoms=(
        "newton overflows although the loss is convex",
        "logistic regression explodes from another starting value",
        "Logit.fit with start_params gives overflow in exp",
    ),
    breaks=Claim(
        statement="From uniform starts in (−5, 5), whole Newton steps on the intercept of the breast-cancer labels diverge as often as the start lies outside of a cycle of two.",
        quantity="share of starts that do not end at the minimum",
        experiment=share_diverging,
        predicted=diverging_by_formula,
        rival=0.0,
        relation="≈",
        tolerance=0.02,
        reason="the cycle is exact; fifty equally spaced starts count its length to one in fifty",
        parameters={"line_search": False, "reach": REACH},
        sweep=Sweep("reach", (3.0, 4.0, 5.0, 8.0), "largest start $a$"),
    ),
    remedy=Claim(
        statement="With backtracking each of those starts ends at the minimum.",
        quantity="share of starts that do not end at the minimum",
        experiment=share_diverging,
        predicted=diverging_by_formula,
        rival=diverging_without_it,
        relation="≤",
        tolerance=0.0,
        reason="a strictly convex function, whose level sets are bounded: damped Newton steps converge from anywhere",
        parameters={"line_search": True},
        every_seed=True,
    ),
    figure=draw_newton_cycle,
)

# %% [markdown]
# ## Separated classes: every step adds one to the margin
#
# Where a plane separates the classes, the logistic loss has no minimum: along the plane's normal it falls for ever. Once all margins $s_iz_i^\top x$ are large, the loss is
# about $\sum_ie^{-s_iz_i^\top x}$, whose gradient and Hessian are $-\sum_i w_is_iz_i$ and $\sum_i w_iz_iz_i^\top$ with the same weights $w_i=e^{-s_iz_i^\top x}$. A Newton step $p$
# solves $\sum_iw_iz_i(z_i^\top p-s_i)=0$: a weighted regression of the signs on the rows. The rows with the least margins carry the weight, and for them it fits: $s_iz_i^\top p=1$.
# So each step adds 1 to the least margin and divides the loss by $e$, and the coefficients grow as long as steps are taken. The next term is of the relative size of
# the weights of the other rows. A penalty $\tfrac\alpha2\lVert x\rVert^2$ gives the loss a minimum, where the margin stands still.

# %%
REGIME, PATIENCE, STEPS = 4.0, 24, 4


@cache
def rows_and_signs() -> tuple[np.ndarray, np.ndarray]:
    """Digits 0 and 1: a column of ones and the mean ink left, in the middle and right, (360, 4); signs (360,)."""
    data = load_digits()
    keep = data.y < 2
    images = data.X[keep].reshape(-1, 8, 8)
    ink = [images[:, :, :3], images[:, 2:6, 3:5], images[:, :, 5:]]
    Z = np.column_stack([np.ones(keep.sum()), *(part.mean(axis=(1, 2)) for part in ink)])
    return Z, np.where(data.y[keep] == 1, 1.0, -1.0)


def margins_on_the_way(loss: LogisticLoss, steps: int) -> np.ndarray:
    """The least margin before each of that many whole Newton steps from 0, (steps,)."""
    margins = []

    def hessian(x: np.ndarray) -> np.ndarray:  # called once a step, where the step begins
        margins.append(float(np.min(loss.signed @ x)))
        return loss.hessian(x)

    start = np.zeros(loss.signed.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        newton(loss.both, start, gradient=True, hessian=hessian, line_search=False, tol=0.0, max_iter=steps)
    return np.array(margins)


def growth(rng: np.random.Generator, *, penalty: float) -> float:
    """Mean growth of the least margin over STEPS whole Newton steps, once it exceeds REGIME or after PATIENCE steps, on resampled rows."""
    Z, signs = rows_and_signs()
    rows = rng.integers(len(Z), size=len(Z))
    margins = margins_on_the_way(LogisticLoss(Z[rows], signs[rows], penalty), PATIENCE + STEPS + 1)
    large = np.flatnonzero(margins > REGIME)
    first = min(int(large[0]) if len(large) else PATIENCE, PATIENCE)
    return float(margins[first + STEPS] - margins[first]) / STEPS


def growth_by_formula(*, penalty: float) -> float:
    """1 a step without a penalty; 0 with one, for which the loss has a minimum."""
    if penalty < 0:
        raise ValueError(f"penalty must be at least 0, got {penalty}.")
    return 1.0 if penalty == 0 else 0.0


def draw_separation() -> Any:
    """Left: two kinds of digits by their ink; a plane separates them. Right: least margin over Newton steps, without a penalty a line of slope one, with one it stands still."""
    from shared.figures import COLORS, subplots

    figure, (left, right) = subplots(1, 2, width=10.0, height=4.0)
    Z, signs = rows_and_signs()
    for sign, label, color in ((-1.0, "0", COLORS["theory"]), (1.0, "1", COLORS["ours"])):
        left.plot(Z[signs == sign, 2], Z[signs == sign, 1], ".", color=color, label=f"digit {label}")
    left.set(
        title="The classes are separated", xlabel="mean ink in the middle", ylabel="mean ink on the left"
    )
    left.legend()
    for penalty, label, color in (
        (0.0, "no penalty", COLORS["broken"]),
        (0.01, "penalty 0.01", COLORS["mended"]),
    ):
        margins = margins_on_the_way(LogisticLoss(Z, signs, penalty), PATIENCE)
        right.plot(range(PATIENCE), margins, ".-", color=color, label=label)
    right.plot([PATIENCE - 9, PATIENCE - 1], [0, 8], "--", color="gray", label="slope 1")
    right.set(title="Least margin", xlabel="Newton steps")
    right.legend()
    return figure


SEPARATION = FailureMode(
    name="separation",
    title="Separated classes: every step adds one to the margin",
    symptoms=(
        "PerfectSeparationWarning, and coefficients grow with maxiter",
        "logistic regression coefficients become huge",
        "maximum likelihood does not exist, standard errors are enormous",
    ),
    breaks=Claim(
        statement="On digits 0 and 1, which a plane separates, each whole Newton step on the logistic loss adds 1 to the least margin once that exceeds 4.",
        quantity="growth of the least margin in a step",
        experiment=growth,
        predicted=growth_by_formula,
        rival=0.0,
        relation="≈",
        tolerance=0.06,
        reason="first order: rows whose margins exceed the least one by m have the weight e to the minus m, and are fitted in part",
        parameters={"penalty": 0.0},
    ),
    remedy=Claim(
        statement="With an L2 penalty of 0.01 the loss has a minimum, and the margin stands still.",
        quantity="growth of the least margin in a step",
        experiment=growth,
        predicted=growth_by_formula,
        rival=1.0,
        relation="≈",
        tolerance=1e-6,
        reason="after 24 steps at the end of which the digits double nothing is left but rounding",
        parameters={"penalty": 0.01},
    ),
    figure=draw_separation,
)

# %% [markdown]
# ## Differences drown in a large objective
#
# Without a gradient, quasi-Newton methods take $(f(x+h)-f(x))/h$. Both values are rounded to a multiple of $\operatorname{ulp}(f)$, each with an error that is about uniform within half a
# unit, of variance $\operatorname{ulp}^2/12$. A constant $C$ in the objective, such as a sum over a million rows in the place of their mean, or a forgotten normalizing term, leaves the gradient as it is,
# and gives the quotient the error
#
# $$\frac{\sqrt{2/12}\,\operatorname{ulp}(C)}h=\frac{\operatorname{ulp}(C)}{\sqrt6\,h},\qquad h=\sqrt\varepsilon=1.5\cdot10^{-8}.$$
#
# Once it exceeds the tolerance of the gradient, no step can be called the last, and the line search fails. With the constant taken off, what remains is truncation, $hf''/2$. The nearest wrong theory
# is that one, whatever $C$.

# %%
CONSTANT, POINTS = 1e6, 200


def difference_error(rng: np.random.Generator, *, constant: float, points: int = POINTS) -> float:
    """Root mean square error of the quotient for f(x) = 2 sinh²(x/2) + C at random x within (−0.1, 0.1), where f'' is near 1."""

    def f(x: np.ndarray) -> float:
        return 2 * math.sinh(x[0] / 2) ** 2 + constant

    errors = []
    for x in rng.uniform(-0.1, 0.1, points):
        at = np.array([x])
        errors.append(float(forward_differences(f, at, f(at))[0]) - math.sinh(x))
    return float(np.sqrt(np.mean(np.square(errors))))


def difference_error_by_formula(*, constant: float, points: int = POINTS) -> float:
    """ulp(C)/(√6 h); without a constant h/2. Raises for a constant that is no match for truncation."""
    h = math.sqrt(np.finfo(float).eps)
    if constant == 0:
        return h / 2
    rounding = math.ulp(constant) / (math.sqrt(6) * h)
    if rounding < 20 * h:
        raise ValueError(f"constant must be so large that rounding hides truncation, got {constant}.")
    return rounding


def draw_precision_loss() -> Any:
    """Left: what a quotient sees of a parabola on top of a million, steps of one unit in the last place. Right: error of the quotient over the constant, as predicted and measured."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, (left, right) = subplots(1, 2, width=10.0, height=4.0)
    x = np.linspace(-4e-5, 4e-5, 1500)
    parabola = 2 * np.sinh(x / 2) ** 2
    left.plot(x, parabola, color=COLORS["mended"], label="f")
    left.plot(x, (parabola + CONSTANT) - CONSTANT, color=COLORS["broken"], label="(f + C) − C", linewidth=1)
    left.set(title="A parabola under a million", xlabel="x")
    left.legend()
    plot_sweep(right, PRECISION_LOSS.breaks, label="forward difference")
    right.set(title="Error of the gradient", yscale="log")
    return figure


PRECISION_LOSS = FailureMode(
    name="precision_loss",
    title="Differences drown in a large objective",
    symptoms=(
        "desired error not necessarily achieved due to precision loss",
        "the optimizer stops at once when the loss is a sum over a million rows",
        "BFGS fails in the line search without a gradient",
    ),
    breaks=Claim(
        statement="On top of a million the forward difference errs by the rounding of a million over the step, not by truncation.",
        quantity="root mean square error of the derivative",
        experiment=difference_error,
        predicted=difference_error_by_formula,
        rival=math.sqrt(np.finfo(float).eps) / 2,
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="the two roundings are taken for independent and uniform; truncation is two millionths of them",
        parameters={"constant": CONSTANT},
        sweep=Sweep("constant", (1e3, 1e4, 1e5, 1e6, 1e7), "constant $C$", logarithmic=True),
    ),
    remedy=Claim(
        statement="With the constant taken off, the error is that of truncation, half of the step.",
        quantity="root mean square error of the derivative",
        experiment=difference_error,
        predicted=difference_error_by_formula,
        rival=difference_error_by_formula(constant=CONSTANT),
        relation="≈",
        tolerance=0.01,
        relative=True,
        reason="the second derivative is cosh x, within half a percent of 1; rounding is a third of a percent of the step",
        parameters={"constant": 0.0},
    ),
    figure=draw_precision_loss,
)

# %% [markdown]
# ## Newton runs to the saddle
#
# $f(x,y)=\tfrac14(x^2-1)^2+\tfrac12y^2$ has minima at $x=\pm1$ and a saddle at 0. A whole Newton step solves $\nabla f=0$ and does not ask which zero it finds:
# $N(x)=x-\frac{x^3-x}{3x^2-1}=\frac{2x^3}{3x^2-1}$. It has a cycle of two where $N(x)=-x$, $5x^2=1$. Within $|x|<1/\sqrt5$ each step comes nearer to 0; between that and $1/\sqrt3$, where the
# curvature changes sign, each leads further out and ends beyond; and $|x|>1/\sqrt3$ gives $|N(x)|\ge1$ on the same side. So the saddle takes the share $1/\sqrt5$ of uniform starts in $(-1,1)$. The nearest wrong
# theory takes all starts at which the curvature is negative, $1/\sqrt3$. With a shifted Hessian every step goes down, and the saddle is left.

# %%
SADDLE_STARTS = 40


def double_well(x: np.ndarray) -> tuple[float, np.ndarray]:
    """f and its gradient."""
    return 0.25 * (x[0] ** 2 - 1) ** 2 + 0.5 * x[1] ** 2, np.array([x[0] ** 3 - x[0], x[1]])


def well_curvature(x: np.ndarray) -> np.ndarray:
    """The Hessian, (2, 2)."""
    return np.diag([3 * x[0] ** 2 - 1, 1.0])


def share_at_saddle(rng: np.random.Generator, *, line_search: bool, starts: int = SADDLE_STARTS) -> float:
    """Of the starts in (−1, 1), how many end at x = 0."""
    ended = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for start in grid(rng, 1.0, starts):
            x = newton(
                double_well, [start, 0.5], gradient=True, hessian=well_curvature, line_search=line_search
            ).x
            ended += abs(x[0]) < 0.5
    return ended / starts


def saddle_by_formula(*, line_search: bool, starts: int = SADDLE_STARTS) -> float:
    """1/√5; 0 with a shifted Hessian."""
    return 0.0 if line_search else 1 / math.sqrt(5)


def draw_runs_to_the_saddle() -> Any:
    """Left: the double well with its saddle, and where Newton ends from each start. Right: the map of one step, with the cycle at 1/√5 that bounds the saddle's share."""
    from shared.figures import COLORS, subplots

    figure, (left, right) = subplots(1, 2, width=10.0, height=4.0)
    x = np.linspace(-1.4, 1.4, 300)
    left.plot(x, 0.25 * (x**2 - 1) ** 2, color="gray")
    for start in np.linspace(-0.98, 0.98, 50):
        end = newton(double_well, [start, 0.5], gradient=True, hessian=well_curvature, line_search=False).x[0]
        color = COLORS["broken"] if abs(end) < 0.5 else COLORS["mended"]
        left.plot([start], [0.25 * (start**2 - 1) ** 2], "o", color=color, markersize=4)
    left.set(title="Red starts end at the saddle", xlabel="x")
    inside = np.linspace(-1, 1, 801)
    with np.errstate(divide="ignore"):
        image = 2 * inside**3 / (3 * inside**2 - 1)
    right.plot(inside, np.where(np.abs(image) < 2, image, np.nan), color=COLORS["ours"], label="N(x)")
    right.plot(inside, -inside, color="gray", linewidth=1, label="−x")
    for edge in (-1, 1):
        right.axvline(edge / math.sqrt(5), color=COLORS["broken"], linestyle=":")
    right.set(title="One whole step", xlabel="x", ylim=(-2, 2))
    right.legend()
    return figure


RUNS_TO_THE_SADDLE = FailureMode(
    name="runs_to_the_saddle",
    title="Newton runs to the saddle",
    symptoms=(
        "converged, the gradient is 0, and it is a maximum",
        "newton returns a saddle point and not a minimum",
        "hessian has a negative eigenvalue at the solution",
    ),
    breaks=Claim(
        statement="Of uniform starts in (−1, 1), whole Newton steps take the share 1/√5 to the saddle between the minima.",
        quantity="share of starts that end at the saddle",
        experiment=share_at_saddle,
        predicted=saddle_by_formula,
        rival=1 / math.sqrt(3),
        relation="≈",
        tolerance=0.025,
        reason="the cycle is exact; forty equally spaced starts count its length to one in forty",
        parameters={"line_search": False},
    ),
    remedy=Claim(
        statement="With a shifted Hessian and backtracking no start ends there.",
        quantity="share of starts that end at the saddle",
        experiment=share_at_saddle,
        predicted=saddle_by_formula,
        rival=1 / math.sqrt(5),
        relation="≤",
        tolerance=0.0,
        reason="each step decreases f, and along x the saddle is a maximum",
        parameters={"line_search": True},
        every_seed=True,
    ),
    figure=draw_runs_to_the_saddle,
)

# %%
FAILURE_MODES = (NEWTON_CYCLE, SEPARATION, PRECISION_LOSS, RUNS_TO_THE_SADDLE)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
