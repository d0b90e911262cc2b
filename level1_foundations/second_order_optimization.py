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
# # Second-order optimization
#
# ## 1. Select
#
# **Question.** A step down the gradient knows the slope and not how it changes. What does the curvature tell, how can it be had without
# computing it, and what keeps a step that trusts it from going astray?
#
# **In one line.** Minimize the quadratic that fits the function here, $p=-B^{-1}\nabla f$, and take of that step what decreases the function enough.
#
# **Builds on** [gradient descent](gradient_descent.py) and [matrix factorizations](matrix_factorizations.py). **Mirrors** `scipy.optimize.minimize`
# (BFGS, L-BFGS-B, Newton), `scipy.optimize.line_search`, `scipy.optimize.least_squares`.
#
# **Sources.** Nocedal and Wright (2006), the methods; Wolfe (1969) and Hager and Zhang (2005), step lengths; Broyden, Fletcher, Goldfarb and Shanno (1970)
# in Dennis and Schnabel (1996); Liu and Nocedal (1989), limited memory; Levenberg (1944), Marquardt (1963) and Moré (1978), least squares.

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | in the code | shape |
# |---|---|---|---|
# | $x$ | where we are; $x^\star$, the minimum | `x` | (n,) |
# | $f,\nabla f$ | the function, its gradient $g$ | `f`, `gradient` | (), (n,) |
# | $H$ | Hessian of $f$ at $x$ | `hessian` | (n, n) |
# | $B$ | what stands for the Hessian; $G=B^{-1}$ | `inverse` | (n, n) |
# | $p$ | direction of the step; $t$, its length in units of $p$ | `direction`, `step` | (n,), () |
# | $s,y$ | the last step $x_+-x$, the change of the gradient $g_+-g$ | `s`, `y` | (n,) |
# | $\rho$ | $1/y^\top s$ | `rho` | () |
# | $c_1,c_2$ | shares of decrease and of slope in the Wolfe conditions | `c1`, `c2` | () |
# | $\tau$ | what is added to the diagonal of an indefinite $H$ | `shift` | () |
#
# **One variable.** $f$ near $x$ is about $f+gp+\tfrac12hp^2$, least at $p=-g/h$ if $h>0$. With $e=x-x^\star$, Taylor's formula for $f'$ gives
#
# $$e_+=e-\frac{f'(x)}{f''(x)}=\frac{f'''(x^\star)}{2f''(x^\star)}\,e^2+O(e^3):$$
#
# near the minimum the number of correct digits doubles. Far from it nothing is promised: where $h$ is small the step is large, and where $h<0$ it leads up.
#
# **$n$ variables.** $p=-H^{-1}g$, by a Cholesky factor of $H$. Two repairs make it safe.
#
# - *A direction that leads down.* $g^\top p=-g^\top B^{-1}g<0$ for every positive definite $B$. Where the Cholesky factorization of $H$ breaks down, $H$ is
#   not positive definite, and $B=H+\tau I$ with $\tau$ doubled until it is.
# - *A length that is safe.* Start at $t=1$ and halve until $f(x+tp)\le f(x)+c_1t\,g^\top p$ (*backtracking*; $c_1<\tfrac12$, or else the full step is refused on every
#   quadratic, whose decrease is just $\tfrac12|g^\top p|$). Near $x^\star$ the full step passes, and the digits double again.
#
# **Without the Hessian.** The gradients at two points tell the curvature between them: the mean Hessian along $s$ maps $s$ to $y$. Of all symmetric
# $G$ with $Gy=s$ (the *secant equation*) take the one nearest to the old one, in a norm that makes the result independent of the units:
#
# $$G_+=(I-\rho sy^\top)\,G\,(I-\rho ys^\top)+\rho ss^\top,\qquad\rho=\frac1{y^\top s}.\tag{1}$$
#
# That is **BFGS**. $G_+y=s$ is checked by inserting; and for $v\ne0$, with $w=v-\rho(s^\top v)y$, $v^\top G_+v=w^\top Gw+\rho(s^\top v)^2>0$ as long as $y^\top s>0$. The second Wolfe
# condition, $|g_+^\top p|\le c_2|g^\top p|$, ensures it: $y^\top s=t(g_+-g)^\top p\ge t(1-c_2)|g^\top p|>0$. (With $c_2$ it is a condition on the line search, so the line search is part of BFGS.)
#
# **Without a matrix.** (1) applied to $g$ needs $g$ and the pairs $(s_i,y_i)$. Keep the last $m$ of them and start from $\gamma I$ with $\gamma=s^\top y/y^\top y$, the inverse of a
# curvature between the least and the largest: **L-BFGS**. Multiplying out (1) from the right, then from the left:
#
# $$q\leftarrow g;\quad\text{newest to oldest: }\alpha_i=\rho_is_i^\top q,\ q\leftarrow q-\alpha_iy_i;\qquad
# q\leftarrow\gamma q;\quad\text{oldest to newest: }q\leftarrow q+(\alpha_i-\rho_iy_i^\top q)\,s_i;\qquad p=-q.\tag{2}$$
#
# **Sums of squares** have a Hessian of which the first derivatives give the larger part; see the [part on least squares](parts/second_order_optimization/nonlinear_least_squares.py).
#
# **What it assumes.** $f$ twice differentiable; a gradient right to more digits than the decrease that is asked for; a minimum: all of these stop at points
# where the gradient vanishes. What happens otherwise is in `failure_modes/second_order_optimization.py`.
#
# **Cost** of a step beyond the evaluations: Newton $n^3/3$, BFGS $O(n^2)$, L-BFGS $4mn$. Memory $n^2$, $n^2$, $2mn$.

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import math
from typing import Any

import numpy as np

from level1_foundations.matrix_factorizations import LinAlgError, cholesky, solve, solve_triangular
from level1_foundations.parts.second_order_optimization.agreements import compare_branches
from level1_foundations.parts.second_order_optimization.line_search import (
    LineSearch,
    search,
    wolfe_line_search,
)
from level1_foundations.parts.second_order_optimization.nonlinear_least_squares import (
    gauss_newton,
    levenberg_marquardt,
)
from level1_foundations.parts.second_order_optimization.objective import (
    Objective,
    OptimizationResult,
    finished,
    validate_stopping,
)
from level1_foundations.parts.second_order_optimization.problems import PROBLEMS, LogisticLoss
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import validate_number

__all__ = [
    "BREATH", "LineSearch", "OptimizationResult", "bfgs", "gauss_newton", "lbfgs", "levenberg_marquardt", "newton",
    "plain_bfgs", "plain_newton", "wolfe_line_search",
]  # fmt: skip

BREATH = "plain_newton"

# %% [markdown]
# ### In one breath
# Newton's method with backtracking, and BFGS with the same backtracking.


# %%
def plain_newton(f, gradient, hessian, x, n_steps=50):  # practice: core
    """The step to the minimum of the quadratic that fits here, halved until f decreases enough."""
    for _ in range(n_steps):
        g = gradient(x)
        p = solve(hessian(x), -g)
        x = x + halved(f, x, p, g) * p
    return x


def plain_bfgs(f, gradient, x, n_steps=200):  # practice: core
    """The same with an inverse Hessian that is learnt from the gradients, (1)."""
    g, G = gradient(x), np.eye(len(x))
    for _ in range(n_steps):
        s = -halved(f, x, -G @ g, g) * (G @ g)
        y = gradient(x + s) - g
        x, g = x + s, g + y
        if y @ s > 0:
            A = np.eye(len(x)) - np.outer(s, y) / (y @ s)
            G = A @ G @ A.T + np.outer(s, s) / (y @ s)
    return x


def halved(f, x, p, g, step=1.0):  # practice: core
    """The first of 1, ½, ¼, … with enough decrease; 0 if there is none."""
    while step > 1e-16 and not f(x + step * p) <= f(x) + 1e-4 * step * (g @ p):
        step /= 2
    return step if step > 1e-16 else 0.0


# %% [markdown]
# **What is wrong with it.** Where the Hessian is not positive definite the step leads up, and halving cannot help; a fixed number of steps says nothing
# about whether it arrived; halving alone lets $y^\top s\le0$ pass, so that BFGS stops learning; and both keep a matrix. The rest of the page
# shifts the Hessian, searches for a step that meets both of Wolfe's conditions, stops by a rule, and keeps ten pairs in the place of a matrix.
#
# ### Newton
# Factor, shift if the factorization breaks down, solve twice. The first shift is a thousandth of the Hessian's size.


# %%
def positive_definite_factor(H: np.ndarray) -> tuple[np.ndarray, float]:  # practice: core
    """The lower factor of H + τI (n, n) and τ: 0 where H is positive definite, and otherwise doubled until it is."""
    size = float(np.max(np.abs(H))) or 1.0
    least = float(np.min(np.diag(H)))
    shift = 0.0 if least > 0 else -least + 1e-3 * size
    while True:
        try:
            return cholesky(H + shift * np.eye(len(H)), lower=True), shift
        except LinAlgError:
            shift = max(2 * shift, 1e-3 * size)


def newton(
    f: Any,
    x0: Any,
    *,
    gradient: Any,
    hessian: Any,
    line_search: bool = True,
    tol: float = 1e-8,
    max_iter: int = 100,
) -> OptimizationResult:  # practice: core
    """Newton's method; by default with a shifted Hessian where it is not positive definite, and backtracking.

    Args:
        f: (n,) → number. x0: (n,). gradient: (n,) → (n,), or True where f returns both. hessian: (n,) → (n, n), symmetric.
        line_search: False takes the whole step with the Hessian as it is: fast where it converges, which may be at a maximum.
        tol: stop where no entry of the gradient exceeds this, in units of f per unit of x. max_iter: steps.

    Returns:
        An `OptimizationResult`. A ConvergenceWarning tells where it did not converge.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or shape, or not finite at x0. LinAlgError: a singular Hessian, without line search.
    """
    tol, max_iter = validate_stopping(tol, max_iter)
    objective = Objective(f, x0, gradient)
    if not callable(hessian):
        raise TypeError(f"hessian must be a function, got {type(hessian).__name__}.")
    x, fun, g = objective.start, objective.fun, objective.slope
    for n_iter in range(max_iter + 1):
        if np.max(np.abs(g)) <= tol:
            return finished(
                x, fun, g, n_iter, objective.n_evaluations, "the gradient is below tol", converged=True
            )
        if n_iter == max_iter:
            break
        H = np.array(hessian(x.copy()), dtype=np.float64)
        if H.shape != (len(x), len(x)) or not np.isfinite(H).all():
            raise ValueError(f"hessian must return a finite {len(x)} by {len(x)} matrix, got {H} at x = {x}.")
        if not line_search:
            direction, step = solve(H, -g), 1.0
        else:
            L, _ = positive_definite_factor(H)
            direction = -solve_triangular(L, solve_triangular(L, g, lower=True), lower=True, trans=1)
            step = backtracked(objective, x, direction, fun, float(g @ direction))
            if step == 0:
                return finished(x, fun, g, n_iter, objective.n_evaluations, STALLED, converged=False)
        x = x + step * direction
        fun, g = objective(x)
        if not (math.isfinite(fun) and np.isfinite(g).all()):
            return finished(x, fun, g, n_iter + 1, objective.n_evaluations, f"f or its gradient is not finite at x = {x}; set line_search=True, or begin nearer", converged=False)  # fmt: skip
    return finished(x, fun, g, max_iter, objective.n_evaluations, f"newton took max_iter={max_iter} steps, the largest entry of the gradient is {np.max(np.abs(g)):.2g}; raise max_iter or tol", converged=False)  # fmt: skip


STALLED = "no step decreases f beyond its rounding: take constants off f, supply the gradient, check it (shared.gradients), or raise tol"

BLURRED = "the difference quotients are below tol, but f is so large that rounding alone exceeds it: take constants off f, supply the gradient, or raise tol"

# %% [markdown]
# Below a relative decrease of some units of rounding, values cannot tell; there a full step is taken on the word of the gradient.


# %%
def backtracked(
    objective: Objective, x: np.ndarray, direction: np.ndarray, fun: float, slope: float
) -> float:
    """The first of 1, ½, ¼, … with f(x + tp) ≤ f(x) + c₁ t gᵀp; 0 if there is none."""
    rounding = 4 * np.finfo(float).eps * abs(fun)
    step = 1.0
    while step > 1e-14:
        value = objective.value(x + step * direction)
        if value <= fun + 1e-4 * step * slope or (-slope <= rounding and abs(value - fun) <= rounding):
            return step
        step /= 2
    return 0.0


# %% [markdown]
# ### BFGS
# (1) multiplied out costs $O(n^2)$: $G_+=G-\rho\,(s\,(Gy)^\top+Gy\,s^\top)+\rho\,(1+\rho\,y^\top Gy)\,ss^\top$. Before the first update $G$ gets the size that the first
# pair shows, $\gamma=s^\top y/y^\top y$.


# %%
def updated_inverse(inverse: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:  # practice: core
    """G₊ of (1), (n, n), for yᵀs > 0. O(n²)."""
    rho = 1 / (y @ s)
    Gy = inverse @ y
    cross = np.outer(s, Gy)
    return inverse - rho * (cross + cross.T) + rho * (1 + rho * (y @ Gy)) * np.outer(s, s)


def bfgs(
    f: Any, x0: Any, *, gradient: Any = None, tol: float = 1e-5, max_iter: int | None = None
) -> OptimizationResult:
    """Quasi-Newton descent with the BFGS update, as `scipy.optimize.minimize(method="BFGS")`.

    Args:
        f: (n,) → number. x0: (n,). gradient: (n,) → (n,); True where f returns both; by default forward differences, n evaluations each.
        tol: stop where no entry of the gradient exceeds this, in units of f per unit of x. max_iter: steps, by default 200 n.

    Returns:
        An `OptimizationResult`. A ConvergenceWarning tells where it did not converge. O(n²) a step beside the evaluations.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or shape, or not finite at x0.
    """
    inverse: np.ndarray | None = None

    def direction(g: np.ndarray) -> np.ndarray:
        return -g if inverse is None else -(inverse @ g)

    def learn(s: np.ndarray, y: np.ndarray) -> None:
        nonlocal inverse
        inverse = updated_inverse((s @ y) / (y @ y) * np.eye(len(s)) if inverse is None else inverse, s, y)

    return descend("bfgs", f, x0, gradient, direction, learn, tol=tol, max_iter=max_iter)


# %% [markdown]
# The loop is the same for both quasi-Newton methods. The first step has no curvature to go by: its first trial has the length 1.


# %%
def descend(name: str, f: Any, x0: Any, gradient: Any, direction: Any, learn: Any, *, tol: float, max_iter: int | None) -> OptimizationResult:  # fmt: skip
    """Search along `direction(g)`, then `learn(s, y)`, until the gradient is small."""
    objective = Objective(f, x0, gradient)
    tol, limit = validate_stopping(tol, 200 * len(objective.start) if max_iter is None else max_iter)
    x, fun, g = objective.start, objective.fun, objective.slope
    for n_iter in range(limit + 1):
        if np.max(np.abs(g)) <= tol:
            blurred = objective.resolution(x, fun) > tol
            told = BLURRED if blurred else "the gradient is below tol"
            return finished(x, fun, g, n_iter, objective.n_evaluations, told, converged=not blurred)
        if n_iter == limit:
            break
        p = direction(g)
        first = 1 / math.sqrt(float(g @ g)) if n_iter == 0 else 1.0
        found = search(objective, x, p, fun, g, step=first)
        if found.step == 0:
            return finished(x, fun, g, n_iter, objective.n_evaluations, STALLED, converged=False)
        s, y = found.step * p, found.gradient - g
        x, fun, g = x + s, found.fun, found.gradient
        if s @ y > np.finfo(float).eps * math.sqrt(s @ s) * math.sqrt(
            y @ y
        ):  # holds where the search converged
            learn(s, y)
    return finished(x, fun, g, limit, objective.n_evaluations, f"{name} took max_iter={limit} steps, the largest entry of the gradient is {np.max(np.abs(g)):.2g}; raise max_iter or tol", converged=False)  # fmt: skip


# %% [markdown]
# ### Limited memory
# (2), line by line. **What makes it fast**: pairs lie in a ring of rows, so that nothing is copied when the oldest is dropped, and each line is one product of vectors.


# %%
def two_loops(
    g: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray, float]]
) -> np.ndarray:  # practice: core
    """Gg for the G that the pairs (s, y, 1/yᵀs), oldest first, make of γI: recursion (2). O(mn)."""
    q, shares = g.copy(), []
    for s, y, rho in reversed(pairs):
        shares.append(rho * (s @ q))
        q -= shares[-1] * y
    if pairs:
        s, y, _ = pairs[-1]
        q *= (s @ y) / (y @ y)
    for (s, y, rho), share in zip(pairs, reversed(shares), strict=True):
        q += (share - rho * (y @ q)) * s
    return q


def lbfgs(
    f: Any, x0: Any, *, gradient: Any = None, memory: int = 10, tol: float = 1e-5, max_iter: int | None = None
) -> OptimizationResult:
    """BFGS that keeps the last pairs and no matrix, as `scipy.optimize.minimize(method="L-BFGS-B")` without bounds.

    Args:
        f: (n,) → number. x0: (n,). gradient: (n,) → (n,); True where f returns both; by default forward differences, n evaluations each.
        memory: pairs kept, m. tol: stop where no entry of the gradient exceeds this, in units of f per unit of x. max_iter: steps, by default 200 n.

    Returns:
        An `OptimizationResult`. A ConvergenceWarning tells where it did not converge. O(mn) a step beside the evaluations.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or shape, or not finite at x0.
    """
    memory = validate_number(memory, "memory", minimum=1, integer=True)
    pairs: list[tuple[np.ndarray, np.ndarray, float]] = []

    def learn(s: np.ndarray, y: np.ndarray) -> None:
        pairs.append((s, y, 1 / float(y @ s)))
        del pairs[:-memory]

    return descend(
        "lbfgs", f, x0, gradient, lambda g: -two_loops(g, pairs), learn, tol=tol, max_iter=max_iter
    )


# %% [markdown]
# ## 4. Validate
#
# | | ours | `scipy.optimize` | why |
# |---|---|---|---|
# | names | `tol`, `max_iter`, `n_iter`, `n_evaluations` | `gtol`, `maxiter`, `nit`, `nfev` | one vocabulary in this curriculum |
# | value and gradient | counted as one evaluation | `nfev` and `njev` | they are computed together |
# | stop | the gradient | L-BFGS-B also where f changes by 2·10⁻⁹ of itself | a slow step is not an arrival |
# | least squares: `fun` | half the sum of squares | the residuals; `cost` is the half sum | the same field for all minimizers |
# | least squares: differences | central, relative to each parameter | forward by default | two more digits of the estimate |


# %%
def validate() -> list[Agreement]:
    """Minima of five functions and the step lengths, beside SciPy; then every branch."""
    from scipy.optimize import minimize

    comparison = Comparison(
        reference="scipy.optimize.minimize", dataset="five functions from their usual starts"
    )
    for name, problem in PROBLEMS.items():
        flat = name == "Powell's singular"  # quartic at the minimum: x to the cube root of the gradient
        tolerance, measure = (0.02, "absolute") if flat else (1e-4, "scaled")
        reason = (
            "gradient 1e-6 at a quartic minimum: (1e-6)^⅓"
            if flat
            else "gradient 1e-6, least curvature above 0.05"
        )
        start, common = np.array(problem.start), {"gradient": problem.gradient, "tol": 1e-6}
        for method, ours in (
            ("BFGS", lambda: bfgs(problem.value, start, **common)),  # noqa: B023
            ("L-BFGS-B", lambda: lbfgs(problem.value, start, **common)),  # noqa: B023
        ):
            options = {"gtol": 1e-6, **({"ftol": 0.0} if method != "BFGS" else {})}
            got, expected = comparison.run(ours, lambda: minimize(problem.value, start, jac=problem.gradient, method=method, options=options))  # noqa: B023  # fmt: skip
            comparison.compare(f"{name}, {method}: x", got.x, expected.x, tolerance=tolerance, measure=measure, reason=reason)  # fmt: skip
    parts = {
        "newton": newton,
        "bfgs": bfgs,
        "lbfgs": lbfgs,
        "positive_definite_factor": positive_definite_factor,
    }
    compare_branches(comparison, parts)
    return comparison.agreements


def benchmarks() -> list[Benchmark]:
    """A logistic loss with 50 to 800 columns: time to a gradient of 1e-6, and BFGS on Rosenbrock's chain."""
    from scipy.optimize import minimize

    def logistic(n: int) -> tuple[Any, ...]:
        rng = np.random.default_rng(0)
        Z = rng.standard_normal((4 * n, n))
        signs = np.where(Z @ rng.standard_normal(n) + rng.standard_normal(4 * n) > 0, 1.0, -1.0)
        loss, start = LogisticLoss(Z, signs, 0.01), np.zeros(n)
        return (
            lambda: lbfgs(loss.both, start, gradient=True, tol=1e-6),
            lambda: minimize(
                loss.both, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-6, "ftol": 0.0}
            ),
            lambda: plain_bfgs(loss.value, loss.gradient, start, 30) if n <= 200 else None,
        )

    return [
        Benchmark("logistic loss, L-BFGS", (50, 200, 800), logistic, 2.0, "scipy L-BFGS-B", unit="columns")
    ]


# %% [markdown]
# ## 5. Document
#
# **Use it** Newton where the Hessian is cheap and $n$ is at most some thousands: maximum likelihood, generalized linear models. BFGS for up to a thousand parameters with a
# gradient. L-BFGS beyond that, for smooth functions without noise. Levenberg and Marquardt for curves fitted to data. **Do not use it** where each
# evaluation is noisy, as with mini-batches: a difference of two noisy gradients says little of the curvature; use
# [gradient descent](gradient_descent.py) and its descendants.
#
# **In plain words.** The method builds a small map of the landscape around it, walks to the lowest point of the map, and draws a new one. Near the
# goal the map is so good that a handful of steps gives all digits. Far from the goal it can be quite wrong, so each step is checked and shortened if it
# did not help. When it fails, ask three things: did someone check the gradient, is there one lowest point at all, and how large are the numbers that are being compared?
#
# **How it breaks**: `groundup break second_order_optimization`, and `failure_modes/second_order_optimization.py`.
#
# **The pictures.** The mechanism: four paths through a bent valley, and what one step sees. The result: tumors told apart by a logistic loss, and how fast four
# minimizers get there.


# %%
def mechanism() -> Any:
    """Left: Rosenbrock's valley with the paths of gradient descent, BFGS and Newton; descent has hardly moved along it after 200 steps. Right: one Newton step: the quadratic that fits at x, its minimum, and why the whole step may overshoot."""
    from shared.figures import COLORS, subplots

    problem = PROBLEMS["Rosenbrock"]
    figure, (valley, line) = subplots(1, 2, width=10.0, height=4.2)
    a, b = np.meshgrid(np.linspace(-1.6, 1.4, 200), np.linspace(-0.6, 1.6, 200))
    valley.contour(
        a, b, np.log(0.5 * (100 * (b - a * a) ** 2 + (1 - a) ** 2) + 1e-3), 14, colors="gray", linewidths=0.5
    )
    start = np.array(problem.start)
    descent = [start]
    for _ in range(200):
        descent.append(descent[-1] - 0.001 * problem.gradient(descent[-1]))
    for label, color, path in (
        ("gradient descent, 200 steps", COLORS["broken"], np.array(descent)),
        ("BFGS", COLORS["theory"], trail(lambda k: bfgs(problem.value, start, gradient=problem.gradient, max_iter=k), start)),
        ("Newton", COLORS["mended"], trail(lambda k: newton(problem.value, start, gradient=problem.gradient, hessian=problem.hessian, max_iter=k), start)),
    ):  # fmt: skip
        valley.plot(path[:, 0], path[:, 1], ".-", color=color, label=label, linewidth=1)
    valley.set(title="Three ways through a bent valley", xlabel="$x_1$", ylabel="$x_2$")
    valley.legend(loc="upper center", fontsize=8)
    x = np.linspace(-4, 6, 300)
    f, at = np.logaddexp(0, x) - 0.4 * x, 3.0
    chance = 1 / (1 + math.exp(-at))
    value, slope, curvature = math.log1p(math.exp(at)) - 0.4 * at, chance - 0.4, chance * (1 - chance)
    line.plot(x, f, color=COLORS["ours"], label="f, convex")
    quadratic = value + slope * (x - at) + curvature / 2 * (x - at) ** 2
    line.plot(x, quadratic, "--", color=COLORS["theory"], label="the quadratic at x = 3")
    line.plot([at], [value], "o", color=COLORS["ours"])
    line.annotate(
        f"its minimum is at {at - slope / curvature:.1f}", (-3.9, quadratic[0]), (-3.0, 3.6), fontsize=9
    )
    line.set(title="What one step believes", xlabel="x", ylim=(-1.0, 4.0))
    line.legend(loc="upper right", fontsize=8)
    return figure


def trail(run: Any, start: np.ndarray, steps: int = 40) -> np.ndarray:  # practice: keep
    """The points after 0, 1, 2, … steps, (k, n)."""
    import warnings

    points = [start]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(1, steps + 1):
            result = run(k)
            points.append(result.x)
            if result.converged:
                break
    return np.array(points)


def example() -> Any:
    """Distance of the loss from its minimum after each step, on 569 tumors with 30 standardized features: Newton doubles its digits, the quasi-Newton methods gather speed, gradient descent goes at one rate."""
    from shared.datasets import load_breast_cancer
    from shared.figures import COLORS, subplots

    data = load_breast_cancer()
    Z = np.column_stack([np.ones(len(data.X)), (data.X - data.X.mean(0)) / data.X.std(0)])
    loss, start = LogisticLoss(Z, np.where(data.y == 1, 1.0, -1.0), 0.01), np.zeros(Z.shape[1])
    smallest = newton(loss.value, start, gradient=loss.gradient, hessian=loss.hessian, tol=1e-12).fun
    descent, largest = [start], float(np.sum(Z * Z) / len(Z) / 4) + 0.01
    for _ in range(40):
        descent.append(descent[-1] - loss.gradient(descent[-1]) / largest)
    figure, axes = subplots(width=8.0, height=4.2)
    for label, color, path in (
        ("gradient descent", COLORS["broken"], np.array(descent)),
        ("L-BFGS", COLORS["theory"], trail(lambda k: lbfgs(loss.both, start, gradient=True, max_iter=k, tol=1e-9), start)),
        ("BFGS", COLORS["ours"], trail(lambda k: bfgs(loss.both, start, gradient=True, max_iter=k, tol=1e-9), start)),
        ("Newton", COLORS["mended"], trail(lambda k: newton(loss.value, start, gradient=loss.gradient, hessian=loss.hessian, max_iter=k), start)),
    ):  # fmt: skip
        axes.semilogy(
            [max(loss.value(point) - smallest, 1e-17) for point in path], ".-", color=color, label=label
        )
    axes.set(
        title="Logistic loss on 569 tumors",
        xlabel="steps",
        ylabel="loss above its minimum (0 is drawn at 10⁻¹⁷)",
    )
    axes.legend(loc="upper right")
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
