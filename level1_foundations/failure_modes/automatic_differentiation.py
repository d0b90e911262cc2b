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
# # How automatic differentiation breaks, and what mends it
#
# Three ways to lose a gradient: to approximate it by differences, to run out of memory on the way back, and to multiply zero
# by infinity. The topic: [automatic differentiation](../automatic_differentiation.py).

# %%
from __future__ import annotations

import math
import tracemalloc

import numpy as np

from level1_foundations.automatic_differentiation import checkpoint, reciprocal, sqrt, tanh, tensor, where
from shared.failure_mode import Claim, FailureMode, Share, Sweep
from shared.figures import COLORS, subplots
from shared.special import ndtr

EPSILON = float(np.finfo(np.float64).eps)

# %% [markdown]
# ## Finite differences: a smaller step is not a better one
#
# The forward difference has two errors that pull the step $h$ in opposite directions:
#
# $$ \frac{f(x + h) - f(x)}{h} - f'(x) = \underbrace{\frac{h}{2} f''(x)}_{\text{truncation}} +
# \underbrace{\frac{\delta_1 - \delta_2}{h}}_{\text{rounding}} + O(h^2), $$
#
# with $\delta_1, \delta_2$ the rounding errors of the two values. For a prediction with its constant take a function whose
# rounding errors are known exactly: $f(x) = 1/x$ on $1 \le x < 2$. IEEE division rounds correctly, and $f$ lies in
# $(1/2, 1]$, where neighboring numbers are $\varepsilon / 2$ apart. So each $\delta$ is uniform on $\pm \varepsilon/4$, with
# variance $\varepsilon^2 / 48$, and $\delta_1 - \delta_2$ has variance $\varepsilon^2 / 24$. Divide by $f' = -x^{-2}$, use
# $f'' = 2 x^{-3}$, square, and average over $x$ uniform on $[1, 2]$, where $E[x^{-2}] = 1/2$ and $E[x^4] = 31/5$:
#
# $$ e^2(h) = \frac{h^2}{2} + \frac{31}{120} \frac{\varepsilon^2}{h^2} . $$
#
# Minimal at $h^4 = \frac{31}{60} \varepsilon^2$: the best step is $h = 0.85 \sqrt\varepsilon$ and the relative error there
# is also $0.85 \sqrt\varepsilon$. Half of the digits are gone, whatever the step.
#
# The central difference $(f(x+h) - f(x-h)) / 2h$ has the truncation error $h^2 f'''/6 = -h^2 x^{-4}$ and half the rounding
# error. With $E[x^{-4}] = 7/24$:
#
# $$ e^2(h) = \frac{7}{24} h^4 + \frac{31}{480} \frac{\varepsilon^2}{h^2},
# \qquad h^6 = \frac{31}{280} \varepsilon^2 , $$
#
# so the best step is $0.69\, \varepsilon^{1/3}$, about three hundred times larger, and the error there is of order
# $\varepsilon^{2/3}$: a third of the digits is gone.
#
# **Where the formulas hold:** $h$ small enough that the next Taylor term is negligible (relative size $h$), and large enough
# that the two roundings are independent ($h \gg \varepsilon$). Errors are root mean squares over many points: at a single
# point the rounding error may vanish by luck.
#
# **The remedy** is a higher order, and in the end no difference at all: the rule of the reciprocal, $-\bar y\, y^2$,
# contains the rounding error of $y$ (half a unit in the last place, $\varepsilon/2$ at most) twice and that of one product,
# hence an error of at most $\tfrac32 \varepsilon$.


# %%
def difference_errors(rng, steps, n_points, order):
    """Root mean square relative error of the differences of 1/x at random points, for each step."""
    x = rng.uniform(1.0, 2.0, (n_points, 1))
    right = x + steps  # (points, steps)
    left = x if order == 1 else x - steps
    slope = (1 / right - 1 / left) / (right - left)
    return np.sqrt(np.mean((slope * -(x * x) - 1) ** 2, axis=0))


def predicted_error(steps, order):
    """The formulas for $e(h)$ above."""
    h = np.asarray(steps)
    if order == 1:
        return np.sqrt(h**2 / 2 + 31 / 120 * EPSILON**2 / h**2)
    return np.sqrt(7 / 24 * h**4 + 31 / 480 * EPSILON**2 / h**2)


def predicted_best_step(order):
    """Where $e(h)$ is smallest."""
    return (31 / 60 * EPSILON**2) ** (1 / 4) if order == 1 else (31 / 280 * EPSILON**2) ** (1 / 6)


def best_step(rng, order, n_points):
    """The decimal logarithm of the step with the smallest measured error, among 33 over two decades."""
    steps = np.geomspace(0.1, 10, 33) * EPSILON ** (1 / (order + 1))
    return float(np.log10(steps[np.argmin(difference_errors(rng, steps, n_points, order))]))


def predicted_log_step(order, n_points):
    """The decimal logarithm of the best step."""
    if n_points < 1000:
        raise ValueError(
            f"n_points must be at least 1,000, for the valley to show its bottom, got {n_points}."
        )
    return math.log10(predicted_best_step(order))


def best_forward_step(order, n_points):
    """The rival of the remedy: the forward difference's best step."""
    return predicted_log_step(1, n_points)


def error_at_best_step(rng, order, n_points):
    """The measured error at the predicted best step."""
    return float(difference_errors(rng, np.array([predicted_best_step(order)]), n_points, order)[0])


def predicted_smallest_error(order, n_points):
    """$e(h)$ at its minimum."""
    if order not in (1, 2):
        raise ValueError(f"order must be 1 (forward) or 2 (central), got {order}.")
    return float(predicted_error(predicted_best_step(order), order))


def forward_error(order, n_points):
    """The rival of the central difference: what the forward one is off by."""
    return predicted_smallest_error(1, n_points)


def central_error(n_points):
    """The rival of automatic differentiation: what the central difference is off by."""
    return predicted_smallest_error(2, n_points)


def automatic_error(rng, n_points):
    """Largest relative error of the derivative of 1/x by automatic differentiation."""
    x = tensor(rng.uniform(1.0, 2.0, n_points), requires_grad=True)
    reciprocal(x).sum().backward()
    exact = -1 / np.square(x.array.astype(np.longdouble))
    return float(np.max(np.abs(x.grad.array / exact - 1)))


def automatic_error_bound(n_points):
    """Three roundings of at most half a unit each."""
    return 1.5 * EPSILON


def draw_differences():
    """Error over step: both differences with their formulas, and automatic differentiation below them."""
    rng = np.random.default_rng(0)
    figure, axis = subplots()
    steps = np.geomspace(1e-13, 1e-2, 67)
    for order, color, name in ((1, "broken", "forward difference"), (2, "mended", "central difference")):
        axis.loglog(steps, difference_errors(rng, steps, 1000, order), ".", color=COLORS[color], label=name)
        axis.loglog(steps, predicted_error(steps, order), color=COLORS["theory"], linewidth=1)
        axis.axvline(predicted_best_step(order), color=COLORS[color], linestyle=":", linewidth=1)
    axis.axhline(
        automatic_error(rng, 1000), color=COLORS["ours"], label="automatic differentiation (largest error)"
    )
    axis.plot([], [], color=COLORS["theory"], linewidth=1, label="predicted")
    axis.set(
        xlabel="step h",
        ylabel="relative error of the derivative",
        title="The derivative of 1/x by differences",
    )
    axis.legend(loc="lower left", bbox_to_anchor=(0, 0.12))
    return figure


DIFFERENCE_STEP = FailureMode(
    name="difference_step",
    title="Finite differences: a smaller step is not a better one",
    symptoms=(
        "gradient check fails at a tiny step",
        "numerical gradient is noise",
        "gradient check passes at 1e-4 only",
    ),
    breaks=Claim(
        statement=(
            "The forward difference of 1/x has its smallest error at the step 0.85 √ε, a larger one "
            "at every other step."
        ),
        quantity="decimal logarithm of the best forward step",
        experiment=best_step,
        predicted=predicted_log_step,
        rival=math.log10(EPSILON),  # as if the smallest step were the best
        relation="≈",
        tolerance=0.1,
        reason=(
            "the valley is flat: a step 0.1 decades away costs 5 % more error, so sampling noise moves "
            "the measured bottom by about that much"
        ),
        parameters={"order": 1, "n_points": 4000},
    ),
    remedy=Claim(
        statement=(
            "The central difference has its smallest error at 0.69 ε^(1/3), a step about 300 times larger."
        ),
        quantity="decimal logarithm of the best central step",
        experiment=best_step,
        predicted=predicted_log_step,
        rival=best_forward_step,
        relation="≈",
        tolerance=0.1,
        reason="the valley is flat, as for the forward difference",
        parameters={"order": 2, "n_points": 4000},
    ),
    figure=draw_differences,
)

# %% [markdown]
# ## Forward differences lose half of the digits
#
# The same formula at its minimum: the forward difference is off by $0.85\sqrt\varepsilon$, and the central difference, at
# its own best step, by a multiple of $\varepsilon^{2/3}$.


# %%
FORWARD_DIFFERENCE_ERROR = FailureMode(
    name="forward_difference_error",
    title="Forward differences lose half of the digits",
    symptoms=(
        "numerical gradient agrees to seven digits and no more",
        "gradient check tolerance cannot be made smaller",
    ),
    breaks=Claim(
        statement=("At its best step the forward difference of 1/x is off by 0.85 √ε, root mean square."),
        quantity="relative error of the derivative",
        experiment=error_at_best_step,
        predicted=predicted_smallest_error,
        rival=math.sqrt(EPSILON),  # the order without its constant
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason=(
            "roundings are taken as independent and uniform; the next Taylor term is of relative size "
            "h; 4,000 points"
        ),
        parameters={"order": 1, "n_points": 4000},
    ),
    remedy=Claim(
        statement=(
            "At its best step the central difference is off by a multiple of ε^(2/3): a third of the "
            "digits, not a half."
        ),
        quantity="relative error of the derivative",
        experiment=error_at_best_step,
        predicted=predicted_smallest_error,
        rival=forward_error,
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason=(
            "roundings are taken as independent and uniform; the next Taylor term is of relative size "
            "h²; 4,000 points"
        ),
        parameters={"order": 2, "n_points": 4000},
    ),
    figure=draw_differences,
)

# %% [markdown]
# ## Every finite difference loses digits, automatic differentiation none
#
# A bound from below: the central difference at its best step. Its remedy is no difference at all.


# %%
CENTRAL_DIFFERENCE_ERROR = FailureMode(
    name="central_difference_error",
    title="Every finite difference loses digits, automatic differentiation none",
    symptoms=(
        "central difference still differs from the exact derivative",
        "finite differences are not accurate enough for a second derivative",
    ),
    breaks=Claim(
        statement="No step of the central difference reaches an error below a multiple of ε^(2/3).",
        quantity="relative error of the derivative",
        experiment=error_at_best_step,
        predicted=predicted_smallest_error,
        rival=1.5 * EPSILON,  # as if a difference could be as good as a rule
        relation="≥",
        tolerance=0.05,
        relative=True,
        reason="roundings are taken as independent and uniform; 4,000 points",
        parameters={"order": 2, "n_points": 4000},
    ),
    remedy=Claim(
        statement="Automatic differentiation of 1/x is off by at most 1.5 ε, at every point.",
        quantity="largest relative error of the derivative",
        experiment=automatic_error,
        predicted=automatic_error_bound,
        rival=central_error,
        relation="≤",
        tolerance=0.01,
        relative=True,
        reason="three roundings of at most ε/2 each; products of roundings are of order ε²",
        parameters={"n_points": 4000},
    ),
    figure=draw_differences,
)

# %% [markdown]
# ## Reverse mode remembers every layer
#
# Reverse mode needs the values of the forward run in reverse order, so a chain of $n$ operations that save their results
# (here tanh) holds $n$ arrays when the walk begins. A checkpoint at every $\sqrt n$-th operation holds the $\sqrt n$ inputs
# of the segments, plus what one segment saves while it is walked, again $\sqrt n$: together $2\sqrt n$. It costs one more
# forward run.
#
# Measured is the peak of allocated memory (Python's `tracemalloc`) over forward and backward run, in units of one array. A
# rule needs a handful of temporary arrays itself, so the count may exceed the formula by a few, independently of $n$.


# %%
def chain(x, n):
    """n times tanh."""
    for _ in range(n):
        x = tanh(x)
    return x


def checkpointed_chain(x, n):
    """The same in about √n segments, each within a checkpoint."""
    length = math.isqrt(n)
    for start in range(0, n, length):
        x = checkpoint(chain, x, min(length, n - start))
    return x


def peak_arrays(run, depth, size):
    """Peak memory of the forward and backward run, in arrays of `size` numbers."""
    x = tensor(np.linspace(-1.0, 1.0, size), requires_grad=True)
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    run(x, depth).sum().backward()
    peak = tracemalloc.get_traced_memory()[1] - before
    if started:
        tracemalloc.stop()
    return peak / x.array.nbytes


def plain_memory(rng, depth, size):
    """Peak arrays without checkpoints."""
    return peak_arrays(chain, depth, size)


def checkpointed_memory(rng, depth, size):
    """Peak arrays with checkpoints."""
    return peak_arrays(checkpointed_chain, depth, size)


def predicted_plain_memory(depth, size):
    """One array for each operation."""
    if size < 8192:
        raise ValueError(
            f"size must be at least 8,192, for arrays to outweigh the graph's own objects, got {size}."
        )
    return float(depth)


def value_and_gradient_each(depth, size):
    """The nearest wrong theory: it counts a gradient beside every value; but a gradient is freed as soon as it was passed on."""
    return 2.0 * depth


def predicted_checkpointed_memory(depth, size):
    """The inputs of √n segments, and the inside of one."""
    return 2 * math.sqrt(depth)


def draw_memory():
    """Peak memory of the backward pass over depth: everything kept, and with checkpoints."""
    from shared.figures import plot_sweep

    figure, axis = subplots()
    plot_sweep(axis, MEMORY_OF_DEPTH.breaks, label="everything kept")
    plot_sweep(axis, MEMORY_OF_DEPTH.remedy, color=COLORS["mended"], label="with checkpoints")
    axis.set(ylabel="peak memory in arrays", title="Memory of the backward pass")
    axis.legend()
    return figure


MEMORY_OF_DEPTH = FailureMode(
    name="memory_of_depth",
    title="Reverse mode remembers every layer",
    symptoms=(
        "memory grows with depth",
        "out of memory in the backward pass",
        "training runs out of memory, prediction does not",
    ),
    breaks=Claim(
        statement="A chain of 144 operations needs the memory of 144 arrays in the backward pass.",
        quantity="peak memory, in arrays",
        experiment=plain_memory,
        predicted=predicted_plain_memory,
        rival=value_and_gradient_each,
        relation="≈",
        tolerance=4.0,
        reason=(
            "the rule at work holds a handful of temporary arrays, whatever the depth; nodes of the "
            "graph take a few percent of one array each"
        ),
        sweep=Sweep("depth", (4, 16, 36, 64, 100, 144), "depth n", seeds=1),
        parameters={"depth": 144, "size": 32768},
        deterministic=True,
        resolution=0.25,  # objects of the interpreter: tens of KiB, beside arrays of 256
    ),
    remedy=Claim(
        statement="With a checkpoint at every 12th operation it needs 24.",
        quantity="peak memory, in arrays",
        experiment=checkpointed_memory,
        predicted=predicted_checkpointed_memory,
        rival=predicted_plain_memory,
        relation="≈",
        tolerance=4.0,
        reason="the same temporary arrays",
        parameters={"depth": 144, "size": 32768},
        deterministic=True,
        resolution=0.25,  # objects of the interpreter: tens of KiB, beside arrays of 256
        sweep=Sweep("depth", (4, 16, 36, 64, 100, 144), "depth n", seeds=1),
    ),
    figure=draw_memory,
)

# %% [markdown]
# ## NaN gradients through the branch not taken
#
# $f(x) = \sqrt x$ for $x > 0$, else 0. The value of `where(x > 0, sqrt(x), 0)` is right everywhere. Its gradient is not:
# `where` sends $\bar y = 0$ to the branch that was not taken, and the rule of the root multiplies it by $1 / (2 \sqrt x)$,
# which is infinite at 0 and not a number below, and $0 \cdot \infty$ and $0 \cdot \mathrm{NaN}$ are not numbers. For normal
# $x$ with mean $\mu$ and variance 1 that spoils the share $P(x \le 0) = \Phi(-\mu)$ of all gradients, whatever happens later
# to the loss.
#
# **The remedy** is a second `where`, *inside*: give the root a harmless argument, `where(x > 0, sqrt(where(x > 0, x, 1)),
# 0)`. Now the branch not taken has a finite slope, and zero times it is zero.


# %%
def root_naive(x):
    """√x for positive x, else 0: right values, NaN gradients."""
    return where(x > 0, sqrt(x), 0.0)


def root_safe(x):
    """The same with a harmless argument where the root is not used."""
    positive = x > 0
    return where(positive, sqrt(where(positive, x, 1.0)), 0.0)


def wrong_gradients(root, rng, mean, n_points):
    """How many gradients differ from 1/(2√x) for positive x, else 0."""
    x = tensor(rng.normal(mean, 1.0, n_points), requires_grad=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        root(x).sum().backward()
        exact = np.where(x.array > 0, 0.5 / np.sqrt(np.abs(x.array)), 0.0)
    wrong = ~np.isclose(x.grad.array, exact, rtol=1e-12, atol=0)
    return Share(int(wrong.sum()), n_points)


def wrong_naive(rng, mean, n_points):
    """Wrong gradients with one `where`."""
    return wrong_gradients(root_naive, rng, mean, n_points)


def wrong_safe(rng, mean, n_points):
    """Wrong gradients with two."""
    return wrong_gradients(root_safe, rng, mean, n_points)


def share_not_positive(mean, n_points):
    """$\\Phi(-\\mu)$."""
    return float(ndtr(-mean))


def no_wrong_gradient(mean, n_points):
    """None."""
    return 0.0


def draw_where():
    """Share of wrong gradients of where(x > 0, sqrt(x), 0), over the mean of x; with a second where, none."""
    from shared.figures import plot_sweep

    figure, axis = subplots()
    plot_sweep(axis, NAN_THROUGH_WHERE.breaks, label="one where")
    axis.axhline(0, color=COLORS["mended"], label="two")
    axis.set(ylabel="share of wrong gradients", title="Gradients of where(x > 0, sqrt(x), 0)")
    axis.legend()
    return figure


NAN_THROUGH_WHERE = FailureMode(
    name="nan_through_where",
    title="NaN gradients through the branch not taken",
    symptoms=(
        "gradient is nan but the values are fine",
        "nan gradients through where",
        "nan in the backward pass after sqrt or log at 0",
    ),
    breaks=Claim(
        statement=(
            "where(x > 0, sqrt(x), 0) has right values everywhere and a wrong gradient wherever x is "
            "not positive."
        ),
        sweep=Sweep("mean", (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0), "mean μ of x", seeds=2),
        quantity="share of wrong gradients",
        experiment=wrong_naive,
        predicted=share_not_positive,
        rival=0.0,  # as if the slope were bad at 0 alone
        relation="≈",
        tolerance=0.01,
        reason="the share is exact; δ is twice the width of the verdict's interval at 20 × 4,000 points",
        parameters={"mean": 1.0, "n_points": 4000},
    ),
    remedy=Claim(
        statement="With a second where around the argument of the root no gradient is wrong.",
        quantity="share of wrong gradients",
        experiment=wrong_safe,
        predicted=no_wrong_gradient,
        rival=share_not_positive,
        relation="≈",
        tolerance=1e-9,
        reason="exact: the unused branch has a finite slope, and zero times it is zero",
        parameters={"mean": 1.0, "n_points": 4000},
        every_seed=True,
    ),
    figure=draw_where,
)

# %%
FAILURE_MODES = (
    DIFFERENCE_STEP,
    FORWARD_DIFFERENCE_ERROR,
    CENTRAL_DIFFERENCE_ERROR,
    MEMORY_OF_DEPTH,
    NAN_THROUGH_WHERE,
)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
