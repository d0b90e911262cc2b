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
# # Gradient descent and its descendants
#
# ## 1. Select
#
# **The question.** We can compute the slope of a function at any point. How do we walk to its lowest point,
# how long does it take, and what makes the walk fail?
#
# Nearly every model in the levels above is trained by one of the rules on this page: take a step against the
# gradient, remember something of the gradients before, and let the two decide the next step.
#
# **Builds on** `automatic_differentiation`: an optimizer moves its Tensors. **Mirrors** `torch.optim` and
# `torch.optim.lr_scheduler`: the same names, the same arguments, the same trajectories.
#
# **Sources.** Cauchy (1847); Robbins and Monro (1951), noisy gradients; Polyak (1964), the heavy ball;
# Nesterov (1983, 2018); Duchi, Hazan and Singer (2011), Adagrad; Tieleman and Hinton (2012), RMSprop;
# Sutskever et al. (2013), Nesterov's momentum as it is used today; Kingma and Ba (2015), Adam; Dozat (2016),
# NAdam; Reddi, Kale and Kumar (2018), AMSGrad; Loshchilov and Hutter (2017, 2019), cosine annealing and
# AdamW; Smith and Topin (2019), one cycle; and the survey of Bottou, Curtis and Nocedal (2018).
#
# | Symbol | In the code | Meaning |
# |---|---|---|
# | $\theta_t$ | `theta` | parameters after $t$ steps, any shape |
# | $g_t$ | `g` | gradient of the loss $f$ at $\theta_{t-1}$, same shape |
# | $\eta$ | `lr`, `step_size` | step size, also called learning rate |
# | $L$, $\mu$, $\kappa = L/\mu$ | | largest and smallest curvature, condition number |
# | $\beta$ | `momentum`, `beta1` | share of the old direction that is kept |
# | $\lambda$ | `weight_decay` | pull of the parameters towards zero |
# | $m_t$, $v_t$ | `m`, `v` | running means of $g$ and of $g^2$ |

# %% [markdown]
# ## 2. Derive
#
# ### How far may one step go?
#
# Let the gradient of $f$ change no faster than $L$ times the distance, $\|\nabla f(x) - \nabla f(y)\| \le
# L\|x-y\|$. Integrate the gradient along the step from $x$ to $x - \eta g$, with $g = \nabla f(x)$:
#
# $$f(x - \eta g) \le f(x) - \eta\|g\|^2 + \tfrac{L}{2}\eta^2\|g\|^2
# = f(x) - \eta\left(1 - \tfrac{\eta L}{2}\right)\|g\|^2 .$$
#
# The loss falls in every step as long as $0 < \eta < 2/L$, and the guaranteed fall is largest at $\eta =
# 1/L$.
#
# The bound is sharp. On a quadratic $f(x) = \tfrac12 (x - x^*)^\top H (x - x^*)$ the error $e_k = x_k - x^*$
# obeys $e_{k+1} = (I - \eta H)\,e_k$. Along the eigenvector with curvature $h$ each step multiplies the error
# by $1 - \eta h$. All these factors are below one in absolute value exactly when $\eta < 2/L$; past it, the
# steepest direction grows without end.
#
# ### How fast can it be?
#
# The slowest factor is $\max(|1 - \eta\mu|, |1 - \eta L|)$. It is smallest where both are equal, at $\eta =
# 2/(L + \mu)$:
#
# $$\rho_{\text{gradient descent}} = \frac{\kappa - 1}{\kappa + 1} \approx 1 - \frac{2}{\kappa} .$$
#
# So one more digit takes about $\kappa \ln(10)/2$ steps. Long valleys are slow: a step that the steep walls
# allow is tiny along the floor.
#
# ### Momentum: remember the direction
#
# Let the step be a moving sum of gradients, $b_{t} = \beta b_{t-1} + g_t$, $\theta_t = \theta_{t-1} - \eta
# b_t$ (Polyak's heavy ball). Along the walls successive gradients cancel, along the floor they add up.
# Nesterov takes the gradient at the point to which the momentum is about to carry us. Written for that
# look-ahead point, which is what torch stores, the rule is
#
# $$b_t = \beta b_{t-1} + g_t, \qquad \theta_t = \theta_{t-1} - \eta\,(g_t + \beta b_t).$$
#
# On a direction of curvature $h$ the error then follows $e_{t+1} = (1 - \eta h)\left[(1 + \beta)e_t - \beta
# e_{t-1}\right]$, whose characteristic polynomial is $z^2 - (1 + \beta)(1 - \eta h) z + \beta(1 - \eta h)$.
# With $\eta = 1/L$ and $\beta = (\sqrt\kappa - 1)/(\sqrt\kappa + 1)$ its discriminant vanishes at $h = \mu$,
# where both roots are
#
# $$\rho_{\text{Nesterov}} = \tfrac12(1 + \beta)\left(1 - \tfrac1\kappa\right) = 1 - \frac{1}{\sqrt\kappa},$$
#
# and for $h > \mu$ the roots are complex, of smaller modulus $\sqrt{\beta(1 - \eta h)}$. A condition number
# of 10,000 counts only like 100.
#
# ### Noise: the price of a cheap gradient
#
# A minibatch gives $g_t$ plus noise of variance $\sigma^2$. On a curvature $h$ the error becomes
# $e_{t} = (1 - \eta h) e_{t-1} - \eta\sigma\xi_t$; its variance settles where $s = (1 - \eta h)^2 s + \eta^2\sigma^2$, so
#
# $$s = \frac{\eta\,\sigma^2}{h\,(2 - \eta h)} .$$
#
# A constant step ends in a cloud whose variance is proportional to the step. To reach the minimum, the step
# must go to zero, but not too fast: $\sum\eta_t = \infty$, $\sum\eta_t^2 < \infty$ (Robbins and Monro). That
# is what schedules are for.
#
# ### One step size for each coordinate
#
# If coordinates live on different scales, divide each by a running size of its own gradient. Adagrad sums the
# squares, RMSprop forgets old ones, Adam adds momentum and corrects both means for their start at zero: with
# $v_0 = 0$ and steady gradients,
#
# $$\mathbb{E}[v_t] = (1 - \beta_2)\sum_{i=1}^{t}\beta_2^{t-i}\,\mathbb{E}[g_i^2]
# = (1 - \beta_2^t)\,\mathbb{E}[g^2],$$
#
# hence $\hat v_t = v_t / (1 - \beta_2^t)$ is unbiased, and likewise $\hat m_t = m_t/(1 - \beta_1^t)$.
#
# **Weight decay** is not the same as a penalty here. The gradient of $\tfrac\lambda2\|\theta\|^2$ is
# $\lambda\theta$; added to $g$ it would be divided by $\sqrt{\hat v}$ too, so that coordinates with large
# gradients are hardly decayed. AdamW shrinks the parameters directly.
#
# **Assumptions.** $f$ is differentiable with an $L$-Lipschitz gradient (that is what bounds the step), and
# $\mu$-strongly convex for the rates; without convexity all that is promised is a small gradient, not a
# minimum.
#
# **Cost.** One gradient a step, and $O(d)$ time and memory for $d$ parameters: no copy is kept by SGD, one by
# momentum, Adagrad and RMSprop, two by Adam, AdamW and NAdam, three by AMSGrad.

# %% [markdown]
# ## 3. Implement
#
# ### Plain gradient descent

# %%
from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from level1_foundations.learning_rate_schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    StepLR,
)
from level1_foundations.optimizer import Optimizer, pick, require_at_least_zero, require_fraction
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import validate_number
from shared.estimator import warn_not_converged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "CosineAnnealingLR", "DescentResult", "ExponentialLR",
    "LRScheduler", "LinearLR", "NAdam", "OneCycleLR", "Optimizer", "RMSprop", "StepLR", "gradient_descent",
]  # fmt: skip

Array = Float[np.ndarray, "*shape"]
"""All arrays of one rule have one shape: parameter, gradient, and what is remembered."""


@dataclass(frozen=True, repr=False)
class DescentResult:
    """Where a walk went. Prints as one line.

    Attributes:
        x: the last point. path: all points from x0 on, stacked, shape (steps taken + 1, *shape of x0).
        converged: whether the Euclidean norm of the gradient at `x` is at most `tol`.
    """

    x: np.ndarray
    path: np.ndarray
    converged: bool

    def __repr__(self) -> str:  # practice: keep
        steps = len(self.path) - 1
        return (
            f"DescentResult(x {point_text(self.x)}, {steps} step{'' if steps == 1 else 's'}, "
            f"{'converged' if self.converged else 'not converged'}; see x, path)"
        )


def point_text(x: np.ndarray) -> str:  # practice: keep
    """A point in a message: its numbers if there are few, else its shape."""
    return f"= {np.array2string(x, precision=4)}" if x.ndim < 2 and x.size <= 4 else f"of shape {x.shape}"


# %% [markdown]
# $$x_{k+1} = x_k - \eta_k\,\nabla f(x_k)$$


# %%
def euclidean_norm(g: np.ndarray) -> float:
    """‖g‖ over all entries."""
    return math.sqrt(np.vdot(g, g))


def gradient_descent(
    gradient: Callable[[np.ndarray], Any],
    x0: Any,
    *,
    step_size: float | Callable[[int], float],
    n_steps: int,
    tol: float = 0.0,
) -> DescentResult:
    """Walk against the gradient, `n_steps` times or until the gradient is small.

    Args:
        gradient: x → ∇f(x), an array of the shape of x.
        x0: the start, array-like of any shape; float32 stays float32, everything else becomes float64.
        step_size: η > 0, or a function of the step k = 0, 1, … that returns η_k.
        n_steps: the most steps to take.
        tol: stop once ‖∇f(x)‖ ≤ tol. 0 asks for nothing: all the steps are made, even where the gradient is 0.

    Returns:
        `.x`, `.path`, `.converged`. The path costs n_steps + 1 copies of x.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or outside its range; a gradient of another shape
            than x.

    Warns:
        ConvergenceWarning: `tol` was asked for and not reached; or a step left the finite numbers: the walk
            then ends at the last finite point, and the message says whether the gradient was not finite there
            or the steps grew.
    """
    x = start_point(x0)
    step_size = check_step_size(step_size)
    n_steps = validate_number(n_steps, "n_steps", minimum=0, integer=True)
    tol = validate_number(tol, "tol", minimum=0)
    path = np.empty((n_steps + 1, *x.shape), x.dtype)
    path[0] = x
    with np.errstate(over="ignore", invalid="ignore"):  # overflow is reported below
        g, taken, finite = gradient_at(gradient, x), 0, True
        while taken < n_steps and not (tol > 0 and euclidean_norm(g) <= tol):
            moved = x - step_size(taken) * g
            if not np.isfinite(moved).all():
                finite = False
                break
            x, taken = moved, taken + 1
            path[taken] = x
            g = gradient_at(gradient, x)
        norm = euclidean_norm(g)
        path = path[: taken + 1]
        if not (finite and np.isfinite(g).all()):
            explain_lost_walk(path, g)
        elif tol > 0 and norm > tol:
            warn_not_converged(
                f"gradient_descent did not converge: after {taken} steps the norm of the gradient is {norm:.3g}, "
                f"above tol={tol:.3g}. Increase n_steps, scale the variables, or use a method with momentum."
            )
    return DescentResult(x, path, norm <= tol)


def start_point(x0: Any) -> np.ndarray:  # practice: keep
    """x0 as an array of floats, checked."""
    x = np.array(x0)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"x0 must hold real numbers, got dtype {x.dtype}.")
    if x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"x0 must hold at least one number, all of them finite, got {x0!r}.")
    return x if x.dtype == np.float32 else x.astype(np.float64)


def check_step_size(step_size: Any) -> Callable[[int], float]:  # practice: keep
    """The step size as a function of the step, whose every value is checked."""
    schedule = step_size if callable(step_size) else None
    if schedule is None:
        constant = validate_number(step_size, "step_size", minimum=0, exclusive=True)

    def at(step: int) -> float:
        value = constant if schedule is None else float(schedule(step))
        if not 0 <= value < math.inf:
            raise ValueError(
                f"step_size must be a finite number that is at least 0, got {value!r} at step {step}."
            )
        return value

    return at


def gradient_at(gradient: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:  # practice: keep
    """∇f(x) as an array of the type of x, its shape checked."""
    g = np.asarray(gradient(x), dtype=x.dtype)
    if g.shape != x.shape:
        raise ValueError(f"gradient must return an array of the shape of x, {x.shape}, got {g.shape}.")
    return g


def explain_lost_walk(path: np.ndarray, g: np.ndarray) -> None:  # practice: keep
    """Warn that the walk left the finite numbers, and say whether the gradient or the step is to blame.

    `g` is the gradient at the last point of `path`. It overflows, too, once the steps have grown; so it is blamed
    only where the last step was less than ten times as long as the first.
    """
    step, place = len(path), point_text(path[-1])
    grew = step > 2 and euclidean_norm(path[-1] - path[-2]) >= 10 * euclidean_norm(path[1] - path[0])
    if grew or np.isfinite(g).all():
        message = (
            f"gradient_descent left the finite numbers at step {step} and stopped before it, at x {place}: "
            "its steps grew, so step_size is too large for this function; it must stay below 2/L, L the largest "
            "curvature."
        )
    else:
        message = (
            f"gradient_descent stopped before step {step}: gradient is not finite at x {place}, "
            + (
                "the start"
                if step == 1
                else f"which is {euclidean_norm(path[-1] - path[0]):.3g} away from x0"
            )
            + ". Look at gradient there: a division by 0, the logarithm or root of a negative number, an overflow?"
            + (" Lower step_size only if no step should have led there." if step > 1 else "")
        )
    warn_not_converged(message, stacklevel=4)


# %% [markdown]
# ### What the optimizers share
#
# An optimizer reads `p.grad` of each of its Tensors and changes `p.array` in place. Its rule stands in a
# function on plain arrays below, and every rule works without new arrays: it gets `work`, an array to
# scribble on. The class around the rule (`Optimizer`, in `optimizer.py`) keeps the state and hands over large
# parameters in pieces that fit the cache, which is worth a factor of two.
#
# Maximizing means to follow $-g$. The penalty $\tfrac{\lambda}{2}\|\theta\|^2$ adds $\lambda\theta$, and it
# pulls to zero in both cases:
#
# $$g \leftarrow \pm g + \lambda\theta .$$


# %%
def effective_gradient(theta: Array, g: Array, out: Array, *, maximize: bool, weight_decay: float) -> Array:
    """±g + λθ: `g` itself if there is nothing to change, else written to `out`. `g` is never changed."""
    if weight_decay == 0:
        return np.negative(g, out=out) if maximize else g
    np.multiply(theta, weight_decay, out=out)
    return np.subtract(out, g, out=out) if maximize else np.add(out, g, out=out)


# %% [markdown]
# ### Stochastic gradient descent
#
# $$b_1 = g_1, \qquad b_t = \mu\,b_{t-1} + (1 - \tau)\,g_t$$
#
# $$\theta_t = \theta_{t-1} - \eta \begin{cases} g_t & \text{no momentum} \\ b_t & \text{momentum } \mu \\
# g_t + \mu\,b_t & \text{Nesterov's}\end{cases}$$
#
# The dampening $\tau$ does not touch the first step.


# %%
def sgd_update(
    theta: Array,
    g: Array,
    b: Array | None,
    work: Array,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    first: bool,
) -> None:
    """One step of SGD in place; `b` is the momentum buffer, None without momentum."""
    direction = g
    if b is not None:
        # b ← μ b + (1 − τ) g
        if first:
            np.copyto(b, g)
        else:
            b *= momentum
            b += np.multiply(g, 1 - dampening, out=work) if dampening else g
        # look ahead: g + μ b
        direction = np.add(np.multiply(b, momentum, out=work), g, out=work) if nesterov else b
    # θ ← θ − η d
    theta -= np.multiply(direction, lr, out=work)


# %%
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    Args:
        params: Tensors, or parameter groups. lr: step size η. momentum: μ.
        dampening: τ, keeps 1 − τ of each new gradient. weight_decay: λ, a quadratic penalty.
        nesterov: look ahead; needs a momentum and no dampening. maximize: climb instead of descending.

    Raises:
        ValueError: a value outside its range. State: "momentum_buffer".
    """

    def __init__(  # practice: keep
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        })  # fmt: skip

    def _check(self, group: dict) -> None:
        require_at_least_zero(group["lr"], "learning rate")
        require_at_least_zero(group["momentum"], "momentum value")
        require_at_least_zero(group["weight_decay"], "weight_decay value")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening.")

    def _update(self, theta: np.ndarray, gradient: np.ndarray, state: dict, group: dict) -> None:
        first = "momentum_buffer" not in state
        if group["momentum"] != 0 and first:
            state["momentum_buffer"] = np.empty_like(theta)
        buffer = state["momentum_buffer"] if group["momentum"] != 0 else None
        rule = pick(group, "lr", "momentum", "dampening", "nesterov")
        for part, g, b, work, spare in self._blocks(theta, gradient, buffer):
            g = effective_gradient(part, g, spare, **pick(group, "maximize", "weight_decay"))
            sgd_update(part, g, b, work, first=first, **rule)


# %% [markdown]
# ### Adagrad
#
# Sum the squares of all gradients of a coordinate, and divide by the root:
#
# $$s_t = s_{t-1} + g_t^2, \qquad
# \theta_t = \theta_{t-1} - \frac{\eta}{1 + (t - 1)\,\delta}\;\frac{g_t}{\sqrt{s_t} + \varepsilon}$$
#
# Rare features keep large steps. As $s_t$ only grows, the steps shrink like $1/\sqrt t$, wanted or not.


# %%
def adagrad_update(
    theta: Array, g: Array, s: Array, work: Array, *, t: int, lr: float, lr_decay: float, eps: float
) -> None:
    """Step t = 1, 2, … of Adagrad in place; `s` is the sum of squares."""
    # s ← s + g²
    s += np.multiply(g, g, out=work)
    # θ ← θ − η_t g / (√s + ε)
    np.sqrt(s, out=work)
    work += eps
    np.divide(g, work, out=work)
    work *= lr / (1 + (t - 1) * lr_decay)
    theta -= work


# %%
class Adagrad(Optimizer):
    """Adaptive gradients: each coordinate's step shrinks by the root of its summed squared gradients.

    Args:
        params: Tensors, or parameter groups. lr: η. lr_decay: δ. weight_decay: λ, a quadratic penalty.
        initial_accumulator_value: where the sum of squares starts. eps: ε.
        maximize: climb instead of descending.

    Raises:
        ValueError: a value outside its range. State: "step", "sum".
    """

    def __init__(  # practice: keep
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "eps": eps, "maximize": maximize,
        })  # fmt: skip

    def _check(self, group: dict) -> None:
        require_at_least_zero(group["lr"], "learning rate")
        require_at_least_zero(group["eps"], "epsilon value")
        for name in ("lr_decay", "weight_decay", "initial_accumulator_value"):
            require_at_least_zero(group[name], f"{name} value")

    def _update(self, theta: np.ndarray, gradient: np.ndarray, state: dict, group: dict) -> None:
        if not state:
            state.update(step=0, sum=np.full_like(theta, group["initial_accumulator_value"]))
        state["step"] += 1
        for part, g, s, work, spare in self._blocks(theta, gradient, state["sum"]):
            g = effective_gradient(part, g, spare, **pick(group, "maximize", "weight_decay"))
            adagrad_update(part, g, s, work, t=state["step"], **pick(group, "lr", "lr_decay", "eps"))


# %% [markdown]
# ### RMSprop
#
# Forget old squares at rate $1 - \alpha$, so that the steps do not die:
#
# $$v_t = \alpha\,v_{t-1} + (1 - \alpha)\,g_t^2, \qquad d_t = \frac{g_t}{\sqrt{v_t} + \varepsilon}, \qquad
# b_t = \mu\,b_{t-1} + d_t, \qquad \theta_t = \theta_{t-1} - \eta\,b_t .$$
#
# *Centered*, it divides by the standard deviation of the gradient: $\sqrt{v_t - a_t^2}$ with the mean $a_t =
# \alpha\,a_{t-1} + (1 - \alpha)\,g_t$.


# %%
def rmsprop_update(
    theta: Array,
    g: Array,
    v: Array,
    a: Array | None,
    b: Array | None,
    work: Array,
    *,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
) -> None:
    """One step of RMSprop in place; `a` is the mean gradient if centered, `b` the momentum buffer if any."""
    running_mean_of_square(v, g, alpha, work)
    if a is None:
        np.sqrt(v, out=work)
    else:
        running_mean(a, g, alpha, work)
        # √(v − a²); rounding may push a variance of nearly zero below zero
        np.multiply(a, a, out=work)
        np.subtract(v, work, out=work)
        np.sqrt(np.maximum(work, 0, out=work), out=work)
    work += eps
    np.divide(g, work, out=work)
    if b is not None:
        # b ← μ b + d
        b *= momentum
        b += work
        np.copyto(work, b)
    # θ ← θ − η b
    work *= lr
    theta -= work


def running_mean(m: np.ndarray, g: np.ndarray, beta: float, work: np.ndarray) -> None:
    """m ← β m + (1 − β) g, in place."""
    m *= beta
    m += np.multiply(g, 1 - beta, out=work)


def running_mean_of_square(v: np.ndarray, g: np.ndarray, beta: float, work: np.ndarray) -> None:
    """v ← β v + (1 − β) g², in place."""
    v *= beta
    np.multiply(g, g, out=work)
    work *= 1 - beta
    v += work


# %%
class RMSprop(Optimizer):
    """Gradients divided by the running root mean square of each coordinate.

    Args:
        params: Tensors, or parameter groups. lr: η. alpha: α, how much of the old squares is kept. eps: ε.
        weight_decay: λ, a quadratic penalty. momentum: μ, of the divided gradients.
        centered: divide by the standard deviation instead. maximize: climb instead of descending.

    Raises:
        ValueError: a value outside its range. State: "step", "square_avg", "grad_avg", "momentum_buffer".
    """

    def __init__(  # practice: keep
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {
            "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
            "centered": centered, "maximize": maximize,
        })  # fmt: skip

    def _check(self, group: dict) -> None:
        require_at_least_zero(group["lr"], "learning rate")
        require_at_least_zero(group["eps"], "epsilon value")
        for name in ("momentum", "weight_decay", "alpha"):
            require_at_least_zero(group[name], f"{name} value")

    def _update(self, theta: np.ndarray, gradient: np.ndarray, state: dict, group: dict) -> None:
        wanted = {"square_avg": True, "grad_avg": group["centered"], "momentum_buffer": group["momentum"] > 0}
        for name in (name for name, needed in wanted.items() if needed and name not in state):
            state[name] = np.zeros_like(theta)
        state["step"] = state.get("step", 0) + 1
        arrays = [state[name] if needed else None for name, needed in wanted.items()]
        for part, g, v, a, b, work, spare in self._blocks(theta, gradient, *arrays):
            g = effective_gradient(part, g, spare, **pick(group, "maximize", "weight_decay"))
            rmsprop_update(part, g, v, a, b, work, **pick(group, "lr", "alpha", "eps", "momentum"))


# %% [markdown]
# ### Adam
#
# Momentum over root mean square, both corrected for their start at zero:
#
# $$m_t = \beta_1 m_{t-1} + (1 - \beta_1)\,g_t, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2)\,g_t^2, \qquad
# \theta_t = \theta_{t-1} - \eta\,\frac{m_t/(1 - \beta_1^t)}{\sqrt{v_t/(1 - \beta_2^t)} + \varepsilon} .$$
#
# **AMSGrad** divides by the largest $v$ so far, $v_t^{\max} = \max(v_{t-1}^{\max}, v_t)$, so that a
# coordinate's step size can never grow again.
#
# With $r = \sqrt{1 - \beta_2^t}$, multiply numerator and denominator by $r$: the array operations shrink to
# $\theta \leftarrow \theta - \dfrac{\eta\,r}{1 - \beta_1^t}\,\dfrac{m}{\sqrt v + \varepsilon r}$, one pass
# over memory less.


# %%
def adam_update(
    theta: Array,
    g: Array,
    m: Array,
    v: Array,
    v_max: Array | None,
    work: Array,
    *,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """Step t = 1, 2, … of Adam in place; with `v_max`, of AMSGrad."""
    running_mean(m, g, beta1, work)
    running_mean_of_square(v, g, beta2, work)
    if v_max is not None:
        v = np.maximum(v_max, v, out=v_max)
    # θ ← θ − (η r / (1 − β₁ᵗ)) m / (√v + ε r)
    r = math.sqrt(1 - beta2**t)
    np.sqrt(v, out=work)
    work += eps * r
    np.divide(m, work, out=work)
    work *= lr * r / (1 - beta1**t)
    theta -= work


# %% [markdown]
# **AdamW** decays the weights themselves, beside the gradient step: $\theta \leftarrow (1 -
# \eta\lambda)\,\theta$. In torch, and here, AdamW is Adam with `decoupled_weight_decay=True`.


# %%
def shrink(theta: Array, *, lr: float, weight_decay: float) -> None:
    """θ ← (1 − ηλ) θ, in place."""
    if weight_decay != 0:
        theta *= 1 - lr * weight_decay


def coupled_penalty(group: dict) -> dict[str, Any]:
    """The decay that goes through the gradient: none of it if it is decoupled."""
    decay = 0.0 if group["decoupled_weight_decay"] else float(group["weight_decay"])
    return {"maximize": group["maximize"], "weight_decay": decay}


def decoupled_decay(group: dict) -> dict[str, float]:
    """The decay that bypasses the gradient: none of it unless it is decoupled."""
    decay = float(group["weight_decay"]) if group["decoupled_weight_decay"] else 0.0
    return {"lr": float(group["lr"]), "weight_decay": decay}


def betas(group: dict) -> dict[str, float]:  # practice: keep
    """β₁ and β₂ of a group by the names that the rules use."""
    return {"beta1": float(group["betas"][0]), "beta2": float(group["betas"][1])}


# %%
class Adam(Optimizer):
    """Adaptive moments: the running mean of the gradient over the root of the running mean of its square.

    Args:
        params: Tensors, or parameter groups. lr: η. betas: (β₁, β₂), each in [0, 1). eps: ε. weight_decay: λ.
        amsgrad: divide by the largest mean square so far. maximize: climb instead of descending.
        decoupled_weight_decay: shrink the parameters directly (AdamW) instead of penalizing them.

    Raises:
        ValueError: a value outside its range. State: "step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq".
    """

    def __init__(  # practice: keep
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay,
        })  # fmt: skip

    def _check(self, group: dict) -> None:
        check_adam_group(group)

    def _update(self, theta: np.ndarray, gradient: np.ndarray, state: dict, group: dict) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(theta), exp_avg_sq=np.zeros_like(theta))
        if group["amsgrad"] and "max_exp_avg_sq" not in state:
            state["max_exp_avg_sq"] = np.zeros_like(theta)
        state["step"] += 1
        largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
        rule = pick(group, "lr", "eps") | betas(group) | {"t": state["step"]}
        for part, g, m, v, v_max, work, spare in self._blocks(
            theta, gradient, state["exp_avg"], state["exp_avg_sq"], largest
        ):
            g = effective_gradient(part, g, spare, **coupled_penalty(group))
            shrink(part, **decoupled_decay(group))
            adam_update(part, g, m, v, v_max, work, **rule)


def check_adam_group(group: dict) -> None:  # practice: keep
    """What Adam, AdamW and NAdam demand of a group."""
    require_at_least_zero(group["lr"], "learning rate")
    require_at_least_zero(group["eps"], "epsilon value")
    require_at_least_zero(group["weight_decay"], "weight_decay value")
    if not isinstance(group["betas"], tuple | list) or len(group["betas"]) != 2:
        raise ValueError(f"betas must be two numbers (beta1, beta2), got {group['betas']!r}.")
    for index, beta in enumerate(group["betas"]):
        require_fraction(beta, f"beta parameter at index {index}")


# %%
class AdamW(Adam):
    """Adam with decoupled weight decay; arguments as Adam's, `weight_decay` is 0.01 by default."""

    def __init__(  # practice: keep
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As Adam's; the decay stays decoupled, also when Adam wrote the snapshot."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


# %% [markdown]
# ### NAdam
#
# Adam with Nesterov's look-ahead: the new gradient counts once more, beside the momentum as it *will* be.
# Dozat lets the momentum warm up, $\mu_t = \beta_1\left(1 - \tfrac12\,0.96^{t\psi}\right)$; with $\Pi_t =
# \prod_{i \le t}\mu_i$ for the bias,
#
# $$\theta_t = \theta_{t-1} - \eta\;
# \frac{\dfrac{1 - \mu_t}{1 - \Pi_t}\,g_t + \dfrac{\mu_{t+1}}{1 - \Pi_t\,\mu_{t+1}}\,m_t}
# {\sqrt{v_t/(1 - \beta_2^t)} + \varepsilon} .$$


# %%
def nadam_momentum(t: int, beta1: float, momentum_decay: float) -> float:
    """μ_t, the warmed-up momentum of step t = 1, 2, …"""
    return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))


def nadam_update(
    theta: Array,
    g: Array,
    m: Array,
    v: Array,
    work: Array,
    spare: Array,
    *,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    momentum: float,
    next_momentum: float,
    momentum_product: float,
) -> None:
    """Step t = 1, 2, … of NAdam in place; `momentum_product` is Π_t. `g` may live in `spare`."""
    running_mean(m, g, beta1, work)
    running_mean_of_square(v, g, beta2, work)
    # numerator: (1 − μ_t)/(1 − Π_t) g + μ_{t+1}/(1 − Π_t μ_{t+1}) m
    np.multiply(g, lr * (1 - momentum) / (1 - momentum_product), out=spare)
    spare += np.multiply(m, lr * next_momentum / (1 - momentum_product * next_momentum), out=work)
    # denominator: √(v/(1 − β₂ᵗ)) + ε
    np.sqrt(v, out=work)
    work *= 1 / math.sqrt(1 - beta2**t)
    work += eps
    theta -= np.divide(spare, work, out=work)


# %%
class NAdam(Optimizer):
    """Adam with Nesterov momentum.

    Args:
        params: Tensors, or parameter groups. lr: η. betas: (β₁, β₂), each in [0, 1). eps: ε. weight_decay: λ.
        momentum_decay: ψ, how slowly the momentum warms up from β₁/2 to β₁.
        decoupled_weight_decay: shrink the parameters directly instead of penalizing them. maximize: climb.

    Raises:
        ValueError: a value outside its range. State: "step", "mu_product", "exp_avg", "exp_avg_sq".
    """

    def __init__(  # practice: keep
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay,
        })  # fmt: skip

    def _check(self, group: dict) -> None:
        check_adam_group(group)
        require_at_least_zero(group["momentum_decay"], "momentum_decay value")

    def _update(self, theta: np.ndarray, gradient: np.ndarray, state: dict, group: dict) -> None:
        if not state:
            state.update(
                step=0,
                mu_product=np.float32(1),
                exp_avg=np.zeros_like(theta),
                exp_avg_sq=np.zeros_like(theta),
            )
        state["step"] += 1
        rule = pick(group, "lr", "eps") | betas(group) | {"t": state["step"]}
        rule["momentum"], rule["next_momentum"] = (
            nadam_momentum(t, rule["beta1"], group["momentum_decay"]) for t in (rule["t"], rule["t"] + 1)
        )
        # torch keeps this product in single precision; so do we, to stay on its trajectory to the last digits
        state["mu_product"] *= np.float32(rule["momentum"])
        rule["momentum_product"] = float(state["mu_product"])
        for part, g, m, v, work, spare in self._blocks(
            theta, gradient, state["exp_avg"], state["exp_avg_sq"]
        ):
            g = effective_gradient(part, g, spare, **coupled_penalty(group))
            shrink(part, **decoupled_decay(group))
            nadam_update(part, g, m, v, work, spare, **rule)


# %% [markdown]
# ### Schedules
#
# `StepLR`, `ExponentialLR`, `LinearLR`, `CosineAnnealingLR` and `OneCycleLR` change the learning rate between
# steps. They stand in [learning_rate_schedules.py](learning_rate_schedules.py), with their derivation, and
# are exported from here.

# %% [markdown]
# ## 4. Validate
#
# Each optimizer and each schedule walks 200 steps beside torch's own, and the whole walk is compared. The
# loss is that of logistic regression on standardized breast-cancer data in batches of 64; the weights and the
# intercept are two parameter groups, the second with a learning rate and a weight decay of its own.
#
# | Convention | torch | here |
# |---|---|---|
# | `foreach`, `fused`, `capturable`, `differentiable` | how a step is run | not offered: a `TypeError` |
# | learning rate, betas | number or Tensor | number |
# | momentum buffer of SGD | starts as the first gradient, undampened | the same |
# | Nesterov | stores the look-ahead point | the same |
# | `mu_product` of NAdam | kept in the default dtype, single precision | single precision |
# | centered RMSprop, variance below zero by rounding | NaN | zero |
# | `initial_accumulator_value` set in a group | ignored | used |
# | hyperparameters set in a group | unchecked | checked as in the constructor |
# | `state_dict()` | refers to the live state | a copy |
# | `scheduler.step(epoch)` | deprecated | not offered |


# %%
OPTIMIZER_BRANCHES = (
    ("SGD", "plain", {"lr": 0.1}),
    ("SGD", "momentum", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", "dampening, weight decay", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", "Nesterov, weight decay", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", "Nesterov, maximize", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("SGD", "weight decay, maximize", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("Adagrad", "defaults", {}),
    ("Adagrad", "decaying rate, weight decay", {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.1}),
    ("Adagrad", "initial value, maximize", {"initial_accumulator_value": 0.1, "eps": 1e-6, "maximize": True}),
    ("RMSprop", "defaults", {}),
    ("RMSprop", "momentum, weight decay", {"momentum": 0.9, "weight_decay": 0.1, "alpha": 0.9, "eps": 1e-6}),
    ("RMSprop", "centered, momentum", {"centered": True, "momentum": 0.5}),
    ("RMSprop", "centered, maximize", {"centered": True, "maximize": True}),
    ("Adam", "defaults", {}),
    ("Adam", "weight decay, maximize", {"lr": 0.01, "weight_decay": 0.1, "maximize": True}),
    ("Adam", "AMSGrad", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1, "betas": (0.8, 0.9)}),
    ("Adam", "decoupled decay", {"lr": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("AdamW", "defaults", {}),
    ("AdamW", "AMSGrad, maximize", {"lr": 0.01, "amsgrad": True, "maximize": True}),
    ("NAdam", "defaults", {}),
    ("NAdam", "weight decay, maximize", {"lr": 0.01, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", "decoupled decay", {"decoupled_weight_decay": True, "weight_decay": 0.1, "momentum_decay": 1}),
)  # fmt: skip
SCHEDULE_BRANCHES = (
    ("StepLR", "SGD", "SGD", {"step_size": 30, "gamma": 0.5}),
    ("ExponentialLR", "Adam", "Adam", {"gamma": 0.98}),
    ("LinearLR", "SGD", "SGD", {}),
    ("LinearLR", "SGD", "SGD, down to zero", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 150}),
    ("CosineAnnealingLR", "SGD", "SGD, two waves", {"T_max": 45, "eta_min": 1e-3}),
    ("OneCycleLR", "SGD", "SGD, two peaks, momentum", {"max_lr": [0.2, 0.1], "total_steps": 200}),
    ("OneCycleLR", "NAdam", "NAdam, three phases, linear, beta1", {
        "max_lr": 0.05, "epochs": 10, "steps_per_epoch": 20, "three_phase": True, "anneal_strategy": "linear",
        "pct_start": 0.25}),
    ("OneCycleLR", "RMSprop", "RMSprop, fixed momentum", {
        "max_lr": 0.05, "total_steps": 300, "cycle_momentum": False}),
)  # fmt: skip


# %%
def walk(  # practice: keep
    batches: list, make: Callable, wrap: Callable, optimizer: type, options: dict, schedule: Any, dtype: Any
) -> tuple[np.ndarray, np.ndarray]:
    """All parameters after each step, and each group's learning rate and momentum, of one optimizer."""
    params = [make(np.full(batches[0][0].shape[1], 0.1, dtype)), make(np.array(0.2, dtype))]
    w, b = (p.detach().numpy() for p in params)
    other = {"lr": 0.5 * options.get("lr", 0.01), "weight_decay": 0.02}
    optimizer = optimizer([{"params": params[0]}, {"params": params[1:], **other}], **options)
    scheduler = schedule(optimizer) if schedule else None
    sign, path, rates = (-1 if options.get("maximize") else 1), [], []
    for X, y in batches:
        residual = 1 / (1 + np.exp(-(X @ w + b))) - y
        for p, g in zip(params, (X.T @ residual / len(y), residual.mean()), strict=True):
            p.grad = wrap(np.asarray(sign * g, dtype))
        optimizer.step()
        path.append(np.append(w, b))
        if scheduler:
            scheduler.step()
        rates.append([[g["lr"], g.get("momentum", g.get("betas", [0])[0])] for g in optimizer.param_groups])
    return np.array(path), np.array(rates)


def validate() -> list[Agreement]:
    """200 steps of every optimizer and schedule beside torch's."""
    import torch

    from level1_foundations.automatic_differentiation import Tensor
    from shared.datasets import load_breast_cancer

    data, schedules = load_breast_cancer(), torch.optim.lr_scheduler
    X, y = (data.X - data.X.mean(0)) / data.X.std(0), data.y
    batches = [(X[rows], y[rows]) for rows in np.arange(200 * 64).reshape(200, 64) % len(y)]
    agreements: list[Agreement] = []

    def both(
        reference: str, name: str, options: dict, schedule: str = "", dtype: Any = np.float64, **kw: Any
    ):
        comparison = Comparison(
            reference, "breast cancer, logistic loss, batches of 64, two groups", agreements
        )
        ours = (lambda o: globals()[schedule](o, **kw)) if schedule else None
        theirs = (lambda o: getattr(schedules, schedule)(o, **kw)) if schedule else None
        return comparison, comparison.run(
            lambda: walk(batches, lambda a: Tensor(a, requires_grad=True), Tensor,
                         globals()[name], options, ours, dtype),
            lambda: walk(batches, lambda a: torch.tensor(a, requires_grad=True), torch.from_numpy,
                         getattr(torch.optim, name), options, theirs, dtype),
        )  # fmt: skip

    reason = "the same formulas: rounding, carried through 200 steps"
    for name, label, options in OPTIMIZER_BRANCHES:
        comparison, (ours, theirs) = both(f"torch.optim.{name}", name, options)
        comparison.compare(f"200 steps, {label}", ours[0], theirs[0], tolerance=1e-10, reason=reason)
    comparison, (ours, theirs) = both("torch.optim.Adam", "Adam", {"lr": 0.01}, dtype=np.float32)
    comparison.compare("200 steps, single precision", ours[0], theirs[0], tolerance=1e-5, reason=reason)
    for schedule, name, label, kw in SCHEDULE_BRANCHES:
        comparison, (ours, theirs) = both(
            f"torch.optim.lr_scheduler.{schedule}", name, {"lr": 0.05}, schedule, **kw
        )
        comparison.compare(f"200 steps, {label}", ours[0], theirs[0], tolerance=1e-10, reason=reason)
        comparison.compare(
            f"rate and momentum, {label}",
            ours[1],
            theirs[1],
            tolerance=1e-12,
            reason="the same recursion: rounding",
        )

    def full_gradient(w: np.ndarray) -> np.ndarray:
        return X.T @ (1 / (1 + np.exp(-X @ w)) - y) / len(y)

    def torch_path() -> np.ndarray:
        w, path = torch.zeros(30, dtype=torch.float64), [np.zeros(30)]
        optimizer = torch.optim.SGD([w], lr=0.3)
        for _ in range(200):
            w.grad = torch.from_numpy(full_gradient(w.numpy()))
            optimizer.step()
            path.append(w.numpy().copy())
        return np.array(path)

    comparison = Comparison("torch.optim.SGD", "breast cancer, logistic loss, all rows", agreements)
    ours, theirs = comparison.run(
        lambda: gradient_descent(full_gradient, np.zeros(30), step_size=0.3, n_steps=200).path, torch_path
    )
    comparison.compare("path of gradient_descent", ours, theirs, tolerance=1e-10, reason=reason)
    return agreements


# %% [markdown]
# ## 5. Document
#
# **When to use which.** For a smooth convex problem that fits in memory, `gradient_descent` shows what
# happens; methods that use curvature finish sooner. For minibatches, SGD with Nesterov momentum and a
# schedule is hard to beat where the scales of the parameters are alike; Adam or AdamW where they are not
# (embeddings, attention, mixed layers), and whenever there is no time to tune. `OneCycleLR` needs to know the
# number of steps, and then gets much out of them.
#
# **When not.** A badly conditioned small problem wants second-order methods; constraints and kinks want
# projections and proximal steps; where there are no gradients, none of this helps.
#
# **Speed.** A step of Adam makes thirteen passes over a block of 32,768 numbers that stays in the cache.
# Torch's default makes about half as many passes, over all of memory, and is no faster; its fused kernel
# makes one, and is faster on large parameters. `benchmarks()` runs against both.
#
# **How it breaks, and what mends it:**
# [failure_modes/gradient_descent.py](failure_modes/gradient_descent.py): divergence past $2/L$, the slow
# valley, the noise floor, Adam on the problem of Reddi, Kale and Kumar, and the long wait at a saddle.
#
# The example trains a logistic regression on real data: on the left plain gradient descent on both sides of
# $2/L$, on the right minibatches with four optimizers from the same start.


# %%
def example() -> Figure:
    """Loss against steps on breast-cancer data: three step sizes, then four optimizers."""
    from level1_foundations.automatic_differentiation import Tensor, softplus
    from shared.datasets import load_breast_cancer
    from shared.figures import PALETTE, subplots
    from shared.numerics import softplus as softplus_of_array

    data = load_breast_cancer()
    X, sign = (data.X - data.X.mean(0)) / data.X.std(0), 2.0 * data.y - 1

    def loss(w: np.ndarray) -> float:
        return float(softplus_of_array(-sign * (X @ w)).mean())

    def least_squares_gradient(w: np.ndarray) -> np.ndarray:
        return X.T @ (X @ w - sign) / len(sign)

    # L, the largest eigenvalue of XᵀX/n, by power iteration: gradient differences stand for products with it
    direction, base = np.ones(30), least_squares_gradient(np.zeros(30))
    for _ in range(200):
        image = least_squares_gradient(direction) - base
        L = euclidean_norm(image)
        direction = image / L

    figure, (left, right) = subplots(1, 2, width=10, height=4)
    for color, factor in zip(PALETTE, (1.0, 1.9, 2.02), strict=False):
        path = gradient_descent(least_squares_gradient, np.zeros(30), step_size=factor / L, n_steps=150).path
        left.plot([0.5 * np.mean((X @ w - sign) ** 2) for w in path], color=color, label=f"step {factor:g}/L")
    left.set(title="Least squares: both sides of 2/L", xlabel="step", ylabel="loss", yscale="log")
    left.legend()

    n_steps, batch = 180, 64
    runs: dict[str, Callable[[list], Optimizer]] = {
        "SGD": lambda params: SGD(params, lr=0.1),
        "SGD, Nesterov 0.9": lambda params: SGD(params, lr=0.1, momentum=0.9, nesterov=True),
        "Adam": lambda params: Adam(params, lr=0.03),
        "Adam, one cycle": lambda params: Adam(params, lr=0.03),
    }
    for color, (label, make) in zip(PALETTE, runs.items(), strict=False):
        rng, w = np.random.default_rng(0), Tensor(np.zeros(30), requires_grad=True)
        optimizer, losses = make([w]), [loss(w.array)]
        scheduler = OneCycleLR(optimizer, max_lr=0.1, total_steps=n_steps) if "cycle" in label else None
        for _ in range(n_steps):
            rows = rng.integers(0, len(sign), batch)
            optimizer.zero_grad()
            softplus(Tensor(-sign[rows, None] * X[rows]) @ w).mean().backward()
            optimizer.step()
            if scheduler:
                scheduler.step()
            losses.append(loss(w.array))
        right.plot(losses, color=color, label=label)
    right.set(
        title="Logistic regression: minibatches of 64", xlabel="step", ylabel="loss on all rows", yscale="log"
    )
    right.legend()
    return figure


# %%
def benchmarks() -> list[Benchmark]:
    """One step of Adam, SGD and NAdam in single precision, against torch's default and its fused kernel."""

    def race(name: str, options: dict, theirs: dict) -> Callable[[int], Any]:
        def setup(size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
            import torch

            from level1_foundations.automatic_differentiation import Tensor

            rng = np.random.default_rng(0)
            theta, gradient = rng.standard_normal((2, size), dtype=np.float32)
            ours, reference = (
                Tensor(theta.copy(), requires_grad=True),
                torch.tensor(theta, requires_grad=True),
            )
            ours.grad, reference.grad = Tensor(gradient.copy()), torch.tensor(gradient)
            our_optimizer = globals()[name]([ours], **options)
            return our_optimizer.step, getattr(torch.optim, name)([reference], **options, **theirs).step

        return setup

    sizes = (30_000, 300_000, 3_000_000)
    common = {"sizes": sizes, "expected_exponent": 1.0, "repeats": 9, "unit": "parameters"}
    return [
        Benchmark(name="Adam step", setup=race("Adam", {}, {}), reference="torch.optim.Adam", **common),
        Benchmark(
            name="Adam step, against the fused kernel", setup=race("Adam", {}, {"fused": True}),
            reference="torch.optim.Adam", **common,
        ),
        Benchmark(
            name="SGD step, momentum", setup=race("SGD", {"momentum": 0.9}, {}),
            reference="torch.optim.SGD", **common,
        ),
        Benchmark(name="NAdam step", setup=race("NAdam", {}, {}), reference="torch.optim.NAdam", **common),
    ]  # fmt: skip


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example)
