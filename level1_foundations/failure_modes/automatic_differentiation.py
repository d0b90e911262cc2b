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
# Five ways to lose a derivative: to approximate it by differences, to take one derivative for another, to differentiate an iteration
# before it has arrived, to run out of memory on the way back, and to evaluate a program at a corner, where its derivative need not be
# that of the function. The topic: [automatic differentiation](../automatic_differentiation.py).

# %%
from __future__ import annotations

import math
import tracemalloc

import numpy as np

from level1_foundations.automatic_differentiation import (
    Dual,
    checkpoint,
    grad,
    hessian_vector_product,
    jvp,
    reciprocal,
    relu,
    sin,
    tanh,
    tensor,
    where,
)
from level1_foundations.parts.automatic_differentiation.predictions import (
    EPSILON,
    best_central_error,
    conjugate_gradients,
    curvatures,
    patients,
    predicted_automatic_error,
    predicted_best_step,
    predicted_difference_error,
    predicted_error,
    predicted_implicit_error,
    predicted_unrolled_error,
    relative_error,
    share_at_the_corner,
    sinc_slope,
    sums,
)
from shared.failure_mode import Claim, FailureMode, Share, Sweep
from shared.figures import COLORS, plot_sweep, subplots


def draw_both(mode, broken, mended, **axis_options):
    """What breaks, over the swept parameter, with its prediction; and what mends it."""
    figure, axis = subplots()
    plot_sweep(axis, mode.breaks, label=broken)
    if mode.remedy.sweep:
        plot_sweep(axis, mode.remedy, color=COLORS["mended"], label=mended)
    else:
        axis.axhline(mode.remedy.predicted(**mode.remedy.parameters), color=COLORS["mended"], label=mended)
    axis.set(**axis_options)
    axis.legend()
    return figure


# %% [markdown]
# ## Finite differences: a smaller step is not a better one
#
# Truncation wants a small step $h$, rounding a large one. For $1/x$ on $[1, 2)$ the roundings are known, and so is the relative error
# of both differences, with its constants ([derivation](../parts/automatic_differentiation/predictions.py)):
#
# $$ e^2(h) = \frac{h^2}{2} + \frac{31}{120} \frac{\varepsilon^2}{h^2} \ \text{(forward)}, \qquad
# e^2(h) = \frac{7}{24} h^4 + \frac{31}{480} \frac{\varepsilon^2}{h^2} \ \text{(central)}. $$
#
# The best steps are $0.85 \sqrt\varepsilon$ and $0.69\, \varepsilon^{1/3}$, the errors there $0.85 \sqrt\varepsilon$ (half of the
# digits) and $0.45\, \varepsilon^{2/3}$ (a third of them).
#
# **The remedy** is no difference at all: automatic differentiation has no step, and is off by $0.491\, \varepsilon$.


# %%
def difference_errors(rng, steps, n_points, order):
    """Root mean square relative error of the differences of 1/x at random points, for each step."""
    x = rng.uniform(1.0, 2.0, (n_points, 1))
    right = x + steps  # (points, steps)
    left = x if order == 1 else x - steps
    slope = (1 / right - 1 / left) / (right - left)
    return np.sqrt(np.mean((slope * -(x * x) - 1) ** 2, axis=0))


def difference_error(rng, exponent, order, n_points):
    """The measured error at the step 10^exponent."""
    return float(difference_errors(rng, np.array([10.0**exponent]), n_points, order)[0])


def automatic_error(rng, n_points):
    """Root mean square relative error of the derivative of 1/x by automatic differentiation."""
    x = tensor(rng.uniform(1.0, 2.0, n_points), requires_grad=True)
    reciprocal(x).sum().backward()
    exact = -1 / np.square(x.array.astype(np.longdouble))
    return float(np.sqrt(np.mean((x.grad.array / exact - 1) ** 2)))


def draw_differences():
    """Error over step: both differences with their formulas, and automatic differentiation below them."""
    rng = np.random.default_rng(0)
    figure, axis = subplots()
    steps = np.geomspace(1e-13, 1e-2, 67)
    for order, color, name in ((1, "broken", "forward difference"), (2, "mended", "central difference")):
        axis.loglog(steps, difference_errors(rng, steps, 1000, order), ".", color=COLORS[color], label=name)
        axis.loglog(steps, predicted_error(steps, order), color=COLORS["theory"], linewidth=1)
        axis.axvline(predicted_best_step(order), color=COLORS[color], linestyle=":", linewidth=1)
    axis.axhline(automatic_error(rng, 1000), color=COLORS["ours"], label="automatic differentiation")
    axis.plot([], [], color=COLORS["theory"], linewidth=1, label="predicted")
    title = "The derivative of 1/x by differences"
    axis.set(xlabel="step h", ylabel="relative error of the derivative", title=title)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 0.12))
    return figure


DIFFERENCE_STEP = FailureMode(
    name="difference_step",
    title="Finite differences: a smaller step is not a better one",
    symptoms=(
        "gradient check fails at a tiny step",
        "gradient check passes at 1e-4 only",
        "numerical gradient is noise",
        "numerical gradient agrees to seven digits and no more",
        "central difference still differs from the exact derivative",
    ),
    breaks=Claim(
        statement="At its best step, 0.85 √ε, the forward difference of 1/x is still off by 0.85 √ε: half of the digits.",
        quantity="relative error of the derivative, root mean square",
        experiment=difference_error,
        predicted=predicted_difference_error,
        rival=math.sqrt(EPSILON),  # the order without its constant
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason=(
            "roundings are taken as independent and uniform, and the next Taylor term is of relative size h; "
            "4,000 points a seed show the error to a percent"
        ),
        parameters={"exponent": math.log10(predicted_best_step(1)), "order": 1, "n_points": 4000},
        sweep=Sweep(
            "exponent", (-12.0, -11.0, -10.0, -9.0, -8.0, -7.0, -6.0, -5.0), "log₁₀ of the step", seeds=1
        ),
    ),
    remedy=Claim(
        statement="Automatic differentiation of 1/x is off by 0.491 ε.",
        quantity="relative error of the derivative, root mean square",
        experiment=automatic_error,
        predicted=predicted_automatic_error,
        rival=best_central_error,
        relation="≈",
        tolerance=0.02,
        relative=True,
        reason="the two roundings are taken as independent and uniform; 4,000 points a seed show the error to a percent",
        parameters={"n_points": 4000},
    ),
    figure=draw_differences,
)

# %% [markdown]
# ## One derivative inside another: perturbation confusion
#
# A forward-mode number $a + \dot a\,\varepsilon$ carries how it moves. A derivative taken inside another one needs an $\varepsilon$ of
# its own. With one $\varepsilon$ for both, the inner derivative cannot tell its own variable from the outer one: in
#
# $$ \frac{d}{dx}\Big[x\, \frac{d}{dy}\, x y\Big] = \frac{d}{dx}\, x^2 = 2x , $$
#
# the inner product is $(x + \varepsilon)(y + \varepsilon)$, whose tangent is $x + y$, where $x$ was asked for; and since the inner
# result has lost its own dependence on $x$, the outer derivative returns $x + y$ in place of $2x$. The error is $y - x$. It is zero
# where $y = x$: a test at one such point sees nothing.
#
# **The remedy** is a tag for each derivative, by which the inner one takes what belongs to the outer one for a constant (Siskind and
# Pearlmutter 2005): `Dual` has it, and `jvp`, which keeps a graph, needs none.


# %%
class PlainDual:
    """The dual number of most first courses: one $\\varepsilon$ for every derivative."""

    def __init__(self, value, tangent=0.0):
        self.value, self.tangent = value, tangent

    def __mul__(self, other):
        other = other if isinstance(other, PlainDual) else PlainDual(other)
        return PlainDual(self.value * other.value, self.tangent * other.value + self.value * other.tangent)


def nested_derivative(kind, x, y):
    """d/dx (x · d/dy (x y)) with this kind of dual number."""

    def outer(x):
        return x * (x * kind(y, 1.0)).tangent

    return outer(kind(x, 1.0)).tangent


def confused(rng, x, y):
    """Error of the nested derivative without tags."""
    return nested_derivative(PlainDual, x, y) - 2 * x


def tagged(rng, x, y):
    """Error of the nested derivative with the page's Dual."""
    return nested_derivative(Dual, x, y) - 2 * x


def predicted_confusion(x, y):
    """$(x + y) - 2x$."""
    return y - x


def no_confusion(x, y):
    """None."""
    return 0.0


def draw_confusion():
    """Error of d/dx (x · d/dy (x y)) over y at x = 3: without tags it is a line through zero at y = x."""
    return draw_both(
        PERTURBATION_CONFUSION, "one ε for both", "a tag for each",
        ylabel="error of the derivative", title="A derivative inside another, at x = 3",
    )  # fmt: skip


PERTURBATION_CONFUSION = FailureMode(
    name="perturbation_confusion",
    title="One derivative inside another: perturbation confusion",
    symptoms=(
        "nested derivative is wrong in forward mode",
        "derivative of a derivative by dual numbers gives a wrong number",
        "forward mode inside forward mode disagrees with reverse mode",
        "derivative of a function that takes a derivative itself is off",
    ),
    breaks=Claim(
        statement="Dual numbers without tags give d/dx (x · d/dy (x y)) as x + y and not 2x: at x = 3, y = 2 they are off by −1.",
        quantity="error of the nested derivative",
        experiment=confused,
        predicted=predicted_confusion,
        rival=no_confusion,  # as if nesting were free
        relation="≈",
        tolerance=1e-12,
        reason="the arithmetic is that of small integers, and the formula is an identity",
        parameters={"x": 3.0, "y": 2.0},
        deterministic=True,
        sweep=Sweep("y", (0.0, 1.0, 2.0, 3.0, 4.0, 5.0), "y", seeds=1),
    ),
    remedy=Claim(
        statement="With a tag for each derivative, as in Dual, the same program gives 2x.",
        quantity="error of the nested derivative",
        experiment=tagged,
        predicted=no_confusion,
        rival=predicted_confusion,
        relation="≈",
        tolerance=1e-12,
        reason="the arithmetic is that of small integers, and the formula is an identity",
        parameters={"x": 3.0, "y": 2.0},
        deterministic=True,
        sweep=Sweep("y", (0.0, 1.0, 2.0, 3.0, 4.0, 5.0), "y", seeds=1),
    ),
    figure=draw_confusion,
)

# %% [markdown]
# ## An iteration that stopped early: the derivative lags behind
#
# Ridge regression by gradient descent, $w_k = w_{k-1} - \eta\,(A w_{k-1} + \lambda w_{k-1} - b)$ with $A = X^\top X / n$ and
# $b = X^\top y / n$, and the question how the answer moves with the penalty $\lambda$. Along an eigenvector of $A$ with eigenvalue $a$
# it is a number, $w_k = w_*(1 - \rho^k)$ with $w_* = b/(a + \lambda)$ and $\rho = 1 - \eta(a + \lambda)$. Its relative error is
# $\rho^k$. Differentiate by $\lambda$, remembering that $\rho$ depends on it, $d\rho/d\lambda = -\eta$, and divide by
# $w_*' = -w_*/(a + \lambda)$: the relative error of the derivative is
#
# $$ \rho^k + k\,(1 - \rho)\,\rho^{k-1} = \rho^k \Big(1 + k\,\frac{1-\rho}{\rho}\Big) . $$
#
# Stopped where $\rho^k = 1\,\%$, the derivative is off by $1 + \ln 100 \approx 5.6$ times as much. In many directions the slowest
# decides, if it also dominates $w_*'$, which grows as $(a + \lambda)^{-2}$: here it does when the penalty is small.
#
# **The remedy** differentiates the equation that the iteration solves, and not the iteration. At the fixed point the gradient of the
# loss vanishes for every $\lambda$, so $H w' + \partial_\lambda \nabla_w = 0$. With Hessian times vector and conjugate
# gradients no Hessian is formed, and nothing is remembered of the walk. At $w_k$ it is off by $\rho^k$, as $w_k$ itself.


# %%


def ridge_loss(w, penalty):
    """½ mean (Xw − y)² + ½ λ |w|²."""
    X, y = patients()
    residual = X @ w - y
    return 0.5 * (residual * residual).mean() + 0.5 * penalty * (w * w).sum()


def descend(penalty, n_steps):
    """w after n steps of gradient descent from 0; `penalty` may be a Dual, and then so is the result."""
    X, y = patients()
    A, b = X.T @ X / len(X), X.T @ y / len(X)
    value = penalty.value if isinstance(penalty, Dual) else penalty
    step = 1 / (curvatures()[2] + value)  # fixed: it does not move with the penalty
    w = np.zeros(len(b))
    for _ in range(n_steps):
        w = w - step * (A @ w + penalty * w - b)
    return w


def implicit_derivative(loss, w, penalty):
    """dw/dλ where ∇loss(w, λ) = 0: solve H w' = −∂∇/∂λ, with products of H alone."""
    slope = lambda penalty: grad(loss)(w, penalty)
    _, moved = jvp(slope, (np.array(penalty),), (np.array(1.0),))
    product = lambda v: hessian_vector_product(lambda w: loss(w, penalty), w, v).numpy()
    return conjugate_gradients(product, -moved.numpy())


def unrolled_error(rng, n_steps, penalty):
    """Relative error of dw/dλ through the steps of the iteration."""
    return relative_error(descend(Dual(penalty, 1.0), n_steps).tangent, penalty)


def implicit_error(rng, n_steps, penalty):
    """Relative error of dw/dλ by the implicit function theorem, at the same unfinished w."""
    return relative_error(implicit_derivative(ridge_loss, descend(penalty, n_steps), penalty), penalty)


def draw_unrolled():
    """Relative error of the derivative over the steps: through the iteration, and through the equation it solves."""
    return draw_both(
        UNROLLED_ITERATION, "through the steps", "through the equation",
        yscale="log", ylabel="relative error of dw/dλ", title="Ridge regression on diabetes, stopped early",
    )  # fmt: skip


UNROLLED_ITERATION = FailureMode(
    name="unrolled_iteration",
    title="An iteration that stopped early: the derivative lags behind",
    symptoms=(
        "gradient through an unrolled optimizer is wrong though the loss has converged",
        "hypergradient is off: derivative with respect to the penalty",
        "derivative through a solver is far less accurate than its solution",
        "more inner iterations change the gradient but not the result",
    ),
    breaks=Claim(
        statement=(
            "Ridge coefficients after 1,000 steps are within a percent along the slowest direction; their derivative by the "
            "penalty, through the steps, is off by 1 + k(1−ρ)/ρ times as much."
        ),
        quantity="relative error of dw/dλ",
        experiment=unrolled_error,
        predicted=predicted_unrolled_error,
        rival=predicted_implicit_error,  # as if the derivative were as far as the value
        relation="≈",
        tolerance=0.002,
        relative=True,
        reason=(
            "the formula leaves out every direction but the slowest, which holds all of the derivative's length but a share of "
            "about 0.1 %; there is no noise"
        ),
        parameters={"n_steps": 1000, "penalty": 0.01},
        deterministic=True,
        sweep=Sweep("n_steps", (125, 250, 500, 1000, 2000), "steps k", seeds=1),
    ),
    remedy=Claim(
        statement="Differentiating the equation instead, at the same unfinished coefficients, is off by ρᵏ.",
        quantity="relative error of dw/dλ",
        experiment=implicit_error,
        predicted=predicted_implicit_error,
        rival=predicted_unrolled_error,
        relation="≈",
        tolerance=0.002,
        relative=True,
        reason="the formula leaves out every direction but the slowest, as above; there is no noise",
        parameters={"n_steps": 1000, "penalty": 0.01},
        deterministic=True,
        sweep=Sweep("n_steps", (125, 250, 500, 1000, 2000), "steps k", seeds=1),
    ),
    figure=draw_unrolled,
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
    return draw_both(
        MEMORY_OF_DEPTH, "everything kept", "with checkpoints",
        ylabel="peak memory in arrays", title="Memory of the backward pass",
    )  # fmt: skip


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
# ## NaN through where, and zero at a corner
#
# Two programs, right at every value. The first is $\sin z / z$, continued by 1 at 0; its derivative there is 0:
#
# - `where(z != 0, sin(z) / z, 1)` has the gradient NaN at 0: `where` sends $\bar y = 0$ to the branch that was not taken, whose slope
#   is infinite, and $0 \cdot \infty$ is not a number;
# - `relu(z) - relu(-z)` is $z$, with derivative 1, and has the gradient 0 at 0: each part takes its slope at the corner to be 0.
#
# Torch gives the same. The usual comfort is that a corner is a single point, which is hit with probability zero. That is true of
# densities. Data are often whole numbers, and so are the weights of quantized networks; then $z = \sum_i w_i x_i$ lies on a lattice. With each $w_i$ one of
# $-1, 0, 1$ at random, $z$ has variance $s^2 = \frac23 \sum_i x_i^2$ and the fourth cumulant $-\frac23 \sum_i x_i^4$, and the local
# limit theorem for lattices of span 1, with its first correction, says
#
# $$ P(z = 0) \approx \frac{1}{s \sqrt{2\pi}} \Big(1 - \frac{3}{16} \frac{\sum_i x_i^4}{(\sum_i x_i^2)^2}\Big) . $$
#
# On the digits with their ink rounded to $q$ levels of gray this is about $1/q$ of a constant: a coarser grid hits the corner more often.
#
# **The remedy** is a second `where`, *inside*: give the unused branch a harmless argument. The pair of relus is mended by
# `maximum`, which gives each side of a tie half of the slope: the halves add up to 1. Neither is a rule for all corners: the reader of the program has to know the function.


# %%


def sinc_naive(z):
    """sin z / z, and 1 at 0: right values, a NaN gradient at 0."""
    return where(z != 0, sin(z) / z, 1.0)


def sinc_safe(z):
    """The same with a harmless argument where the quotient is not used."""
    used = z != 0
    harmless = where(used, z, 1.0)
    return where(used, sin(harmless) / harmless, 1.0)


def relu_pair(z):
    """z, in two halves: right values, the gradient 0 at 0."""
    return relu(z) - relu(-z)


def slope_of(program, z):
    """The gradient of the program at each z."""
    z = tensor(z, requires_grad=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        program(z).sum().backward()
    return z.grad.array


def wrong_slopes(program, exact, z):
    """How many gradients differ from the function's derivative."""
    wrong = ~np.isclose(slope_of(program, z), exact(z), rtol=1e-9, atol=1e-12)
    return Share(int(wrong.sum()), len(z))


def wrong_naive(rng, levels, n_draws):
    """Wrong gradients with one `where`."""
    return wrong_slopes(sinc_naive, sinc_slope, sums(rng, levels, n_draws))


def wrong_safe(rng, levels, n_draws):
    """Wrong gradients with two."""
    return wrong_slopes(sinc_safe, sinc_slope, sums(rng, levels, n_draws))


def no_wrong_gradient(levels, n_draws):
    """None."""
    return 0.0


def draw_where():
    """Share of wrong gradients over the levels of gray; with a second where, none."""
    return draw_both(
        NAN_THROUGH_WHERE, "one where", "two",
        ylabel="share of wrong gradients", title="Weighted sums of digits that are exactly 0",
    )  # fmt: skip


NAN_THROUGH_WHERE = FailureMode(
    name="nan_through_where",
    title="NaN through where, and zero at a corner",
    symptoms=(
        "gradient is nan but the values are fine",
        "nan gradients through where",
        "nan in the backward pass after sqrt, log or division at 0",
        "gradient is zero at exactly zero though the function is a straight line",
        "gradient check fails at a kink of relu",
    ),
    breaks=Claim(
        statement=(
            "where(z != 0, sin(z)/z, 1) has right values and a NaN gradient at z = 0, which sums of whole numbers hit as often as "
            "the local limit theorem says, and not with probability zero."
        ),
        quantity="share of wrong gradients",
        experiment=wrong_naive,
        predicted=share_at_the_corner,
        rival=0.0,  # a corner has measure zero
        relation="≈",
        tolerance=0.03,
        relative=True,
        reason=(
            "the next term of the expansion is of the order of the square of the correction, below 1 %; the verdict's "
            "interval at 20 × 36,000 sums takes 2 % more"
        ),
        parameters={"levels": 1, "n_draws": 20},
        sweep=Sweep("levels", (1, 2, 4, 8, 16), "levels of gray", seeds=1, logarithmic=True),
    ),
    remedy=Claim(
        statement="With a second where around the argument of the quotient no gradient is wrong.",
        quantity="share of wrong gradients",
        experiment=wrong_safe,
        predicted=no_wrong_gradient,
        rival=share_at_the_corner,
        relation="≈",
        tolerance=1e-9,
        reason="the unused branch has a finite slope, and zero times it is zero",
        parameters={"levels": 1, "n_draws": 20},
        every_seed=True,
    ),
    figure=draw_where,
)

# %%
FAILURE_MODES = (
    DIFFERENCE_STEP,
    PERTURBATION_CONFUSION,
    UNROLLED_ITERATION,
    MEMORY_OF_DEPTH,
    NAN_THROUGH_WHERE,
)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
