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
# # How model serving breaks
#
# Three ways in which a service fails while every test of the model passes: it is fed other numbers than the model was
# trained on; it is loaded so well that nobody waits for a short time; and it works hard on answers that nobody waits for any
# more. In each case a formula tells the damage in advance.

# %%
from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from level6_systems.model_serving import (
    OnnxPredictor,
    accepted_waiting_time,
    blocking_probability,
    export_onnx,
    lindley_waiting_times,
    mean_waiting_time,
    simulate_finite_queue,
)
from shared.failure_mode import Claim, FailureMode, Sweep
from shared.special import ndtr

# %% [markdown]
# ## Trained on standardized features, served raw ones
#
# **What breaks.** Training standardizes the features, $z = (x - m)/s$, in a notebook. The exported model knows nothing of
# it, and the serving code, written by somebody else, feeds it $x$. Every request is answered, nothing raises, and the
# answers are wrong.
#
# **By how much.** Take a problem that is solved exactly: two equally frequent classes,
# $z \mid y=\pm1 \sim N(\pm\tfrac\Delta2 u, I)$ with a unit vector $u$. The best rule is linear discriminant analysis, the
# sign of $u^\top z$, with accuracy $\Phi(\Delta/2)$. Fed with $x = m + s \odot z$, the same rule computes the sign of
# $u^\top x$, which within a class is Gaussian:
#
# $$u^\top x \mid y=\pm1 \;\sim\; N\bigl(u^\top m \pm \tfrac\Delta2\, u^\top S u,\; u^\top S^2 u\bigr),\qquad
# S=\operatorname{diag}(s),$$
#
# $$\text{accuracy} = \tfrac12\,\Phi\!\left(\frac{\tfrac\Delta2 u^\top S u + u^\top m}{\sqrt{u^\top S^2
# u}}\right)
#   + \tfrac12\,\Phi\!\left(\frac{\tfrac\Delta2 u^\top S u - u^\top m}{\sqrt{u^\top S^2 u}}\right).$$
#
# The regime: exact for Gaussian classes and this rule, at any $m$ and $s$. With $u^\top m$ large, one class gets every
# answer and the accuracy is one half.
#
# **What mends it.** The preprocessing belongs to the model: `export_onnx(..., shift=m, scale=s)` makes it the first two
# nodes of the graph. Then there is no second copy of it that could differ, and the accuracy is $\Phi(\Delta/2)$ again.

# %%
MEAN = (0.6, 1.5, -0.4, 2.0)
SCALE = (0.5, 2.0, 1.0, 3.0)


def direction(d: int) -> Float[np.ndarray, " d"]:
    """The unit vector u along which the classes differ: every feature tells equally much."""
    return np.full(d, 1.0 / np.sqrt(d))


def raw_sample(
    distance: float, mean: tuple[float, ...], scale: tuple[float, ...], n: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]]:
    """Features in raw units, and labels 0 or 1."""
    y = rng.integers(0, 2, n)
    z = rng.standard_normal((n, len(mean))) + np.outer(y - 0.5, distance * direction(len(mean)))
    return np.array(mean) + np.array(scale) * z, y


def discriminant_network(distance: float, d: int) -> Any:
    """The optimal rule for standardized features as a Level-3 module: logits ∓Δ uᵀz / 2."""
    from level3_deep_learning.modules import Linear

    network = Linear(d, 2, rng=0)
    network.weight.array[...] = 0.5 * distance * np.outer([-1.0, 1.0], direction(d))
    network.bias.array[...] = 0.0
    return network


def served_accuracy(
    rng: np.random.Generator,
    distance: float,
    mean: tuple[float, ...],
    scale: tuple[float, ...],
    n: int,
    preprocess: bool,
) -> float:
    """Accuracy of the exported model on raw features, with or without preprocessing in its graph."""
    network = discriminant_network(distance, len(mean))
    inside = {"shift": mean, "scale": scale} if preprocess else {}
    predictor = OnnxPredictor(export_onnx(network, len(mean), **inside).SerializeToString())
    X, y = raw_sample(distance, mean, scale, n, rng)
    return float(np.mean(predictor(X).argmax(1) == y))


def skewed_accuracy(
    distance: float,
    mean: tuple[float, ...],
    scale: tuple[float, ...],
    n: int = 0,
    preprocess: bool = False,
) -> float:
    """Accuracy of the rule sign(uᵀx) on x = m + s z, by the formula; Φ(Δ/2) with preprocessing."""
    if distance < 0 or min(scale) <= 0:
        raise ValueError(f"distance must be at least 0 and scale positive, got {distance} and {scale}.")
    if preprocess:
        return float(ndtr(0.5 * distance))
    u, m, s = direction(len(mean)), np.array(mean), np.array(scale)
    gap, spread = 0.5 * distance * (s * u @ u), np.sqrt(s * s * u @ u)
    return float(0.5 * ndtr((gap + u @ m) / spread) + 0.5 * ndtr((gap - u @ m) / spread))


def accuracy_as_trained(distance: float, **_: Any) -> float:
    """The nearest wrong theory: the served model is as good as it was in training, Φ(Δ/2)."""
    return float(ndtr(0.5 * distance))


def accuracy_of_the_skewed_model(preprocess: bool, **settings: Any) -> float:
    """The rival of the remedy."""
    return skewed_accuracy(**settings)


def figure_skew() -> Any:
    """Accuracy while more and more of the standardization is forgotten."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(0)
    figure, axis = subplots()
    part = np.linspace(0.0, 1.8, 61)  # 0: standardized features; 1: the raw ones of the claim
    served = lambda t: (tuple(t * np.array(MEAN)), tuple(1.0 + t * (np.array(SCALE) - 1.0)))
    axis.plot(
        part, [skewed_accuracy(3.0, *served(t)) for t in part], color=COLORS["theory"], label="predicted"
    )
    dots = np.linspace(0.0, 1.8, 10)
    for preprocess, color, label in (
        (False, "broken", "served as it came"),
        (True, "mended", "preprocessing in the graph"),
    ):
        accuracy = [served_accuracy(rng, 3.0, *served(t), n=10_000, preprocess=preprocess) for t in dots]
        axis.plot(dots, accuracy, "o", color=COLORS[color], label=label)
    axis.set(
        title="A model fed with other units", ylabel="accuracy", ylim=(0.45, 1.0),
        xlabel="distance of the raw units from the standardized ones (1: as in the claim)",
    )  # fmt: skip
    axis.legend()
    return figure


TRAIN_SERVE_SKEW = FailureMode(
    name="train_serve_skew",
    title="Trained on standardized features, served raw ones",
    symptoms=(
        "different in production",
        "right offline, wrong online",
        "accuracy drops in production",
        "predictions differ between training and serving",
    ),
    breaks=Claim(
        statement="A linear classifier trained on standardized features and served raw ones falls "
        "from Φ(Δ/2) to "
        "the accuracy of the same rule on the raw features.",
        quantity="accuracy of the exported model on raw features",
        experiment=served_accuracy,
        predicted=skewed_accuracy,
        rival=accuracy_as_trained,
        relation="≈",
        tolerance=0.01,
        reason="the formula is exact; one hundredth is what a user would notice, and three times what 20 "
        "samples of 20,000 leave undecided",
        parameters={"distance": 3.0, "mean": MEAN, "scale": SCALE, "n": 20_000, "preprocess": False},
        sweep=Sweep("distance", (1.0, 2.0, 3.0, 4.0, 5.0), "distance Δ of the classes", seeds=3),
    ),
    remedy=Claim(
        statement="With the standardization inside the exported graph, raw features are classified "
        "with the optimal "
        "accuracy Φ(Δ/2).",
        quantity="accuracy of the exported model on raw features",
        experiment=served_accuracy,
        predicted=skewed_accuracy,
        rival=accuracy_of_the_skewed_model,
        relation="≈",
        tolerance=0.01,
        reason="as above",
        parameters={"distance": 3.0, "mean": MEAN, "scale": SCALE, "n": 20_000, "preprocess": True},
    ),
    figure=figure_skew,
)

# %% [markdown]
# ## The last percents of load cost the most
#
# **What breaks.** A machine that is 90 % busy looks well used. But requests come at random, and a queue that forms in a busy
# spell is worked off with the 10 % that are left. For Poisson arrivals and exponential service of mean $\bar s$ (M/M/1),
# Pollaczek and Khinchine give, with $c^2 = 1$,
#
# $$W = \frac{\rho}{1-\rho}\,\bar s,$$
#
# at $\rho=0.9$ nine service times, at 0.95 nineteen. The regime: the steady state. A run from an empty queue reaches it
# after some $2/(1-\rho)^2$ requests, so runs must be much longer than that (here they are a thousand times).
#
# **What mends it.** A bounded queue. With at most $K$ requests in the system the accepted ones wait for
#
# $$W_K = \bar s\,\frac{\sum_{n<K} n\rho^n}{\sum_{n<K}\rho^n},$$
#
# at the price of refusing the share $p_K = \rho^K(1-\rho)/(1-\rho^{K+1})$: with $K=8$ a third of the wait for a refusal of 7
# %.

# %%


def mean_wait(rng: np.random.Generator, load: float, n: int) -> float:
    """Mean wait in one run of an M/M/1 queue, in mean service times."""
    service = rng.standard_exponential(n)
    interarrival = rng.standard_exponential(n) / load
    return float(lindley_waiting_times(interarrival, service).mean())


def predicted_wait(load: float, n: int = 0) -> float:
    """Pollaczek–Khinchine."""
    if n * (1 - load) ** 2 < 200:  # the steady state takes some 2/(1 − ρ)² requests
        raise ValueError(
            f"n must be a hundred times the way to the steady state, got {n} at a load of {load}."
        )
    return mean_waiting_time(load)


def time_in_the_system(load: float, n: int) -> float:
    """The nearest wrong theory: it counts the request's own service, 1/(1 − ρ)."""
    return 1 / (1 - load)


def bounded_run(
    rng: np.random.Generator, load: float, capacity: int, replicates: int, n: int
) -> tuple[float, float]:
    """Mean wait of the accepted requests and share of the refused ones, M/M/1/K, after a warm-up of n/5."""
    service = rng.standard_exponential((replicates, n))
    interarrival = rng.standard_exponential((replicates, n)) / load
    waiting, accepted = simulate_finite_queue(interarrival, service, capacity)
    return float(np.nanmean(waiting[:, n // 5 :])), float(1.0 - accepted[:, n // 5 :].mean())


def bounded_wait(rng: np.random.Generator, load: float, capacity: int, replicates: int, n: int) -> float:
    """Mean wait of the accepted requests of an M/M/1/K queue, in mean service times."""
    return bounded_run(rng, load, capacity, replicates, n)[0]


def predicted_bounded_wait(load: float, capacity: int, replicates: int = 0, n: int = 0) -> float:
    """The formula for W_K."""
    return accepted_waiting_time(load, capacity)


def predicted_unbounded_wait(load: float, **_: Any) -> float:
    """The rival of the remedy: the queue without bound."""
    return mean_waiting_time(load)


def figure_waiting() -> Any:
    """Mean wait over the load, without bound and with a bounded queue, and what the bound costs."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(0)
    figure, (wait, refused) = subplots(1, 2, width=9.0)
    loads = np.linspace(0.02, 1.4, 200)
    below = loads[loads < 0.965]
    wait.plot(below, [mean_waiting_time(load) for load in below], color=COLORS["theory"], label="predicted")
    wait.plot(loads, [accepted_waiting_time(load, 8) for load in loads], color=COLORS["theory"])
    refused.plot(
        loads, [blocking_probability(load, 8) for load in loads], color=COLORS["theory"], label="predicted"
    )
    dots = np.array([0.3, 0.5, 0.7, 0.8, 0.9, 0.95])
    wait.plot(
        dots,
        [mean_wait(rng, load, 100_000) for load in dots],
        "o",
        color=COLORS["broken"],
        label="unbounded queue",
    )
    dots = np.array([0.3, 0.6, 0.9, 1.1, 1.35])
    runs = np.array([bounded_run(rng, load, 8, 200, 400) for load in dots])
    wait.plot(dots, runs[:, 0], "o", color=COLORS["mended"], label="at most 8 in the system")
    refused.plot(dots, runs[:, 1], "o", color=COLORS["mended"], label="at most 8 in the system")
    wait.set(title="Waiting near full load", xlabel="load ρ", ylabel="mean wait / mean service time")
    refused.set(title="The price of the bound", xlabel="load ρ", ylabel="share of requests refused")
    wait.legend()
    refused.legend()
    return figure


WAITING_NEAR_FULL_LOAD = FailureMode(
    name="waiting_near_full_load",
    title="The last percents of load cost the most",
    symptoms=(
        "latency doubles from 80 % to 90 % load",
        "service is slow although it is not fully busy",
        "response times explode near full load",
    ),
    breaks=Claim(
        statement="At a load of 0.9, requests wait for nine mean service times on average.",
        quantity="mean wait in an M/M/1 queue / mean service time",
        experiment=mean_wait,
        predicted=predicted_wait,
        rival=time_in_the_system,
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="runs of finite length: waits are correlated over hundreds of requests, which leaves "
        "2 % to a run of "
        "this length; starting empty costs less than 0.1 %",
        parameters={"load": 0.9, "n": 1_000_000},
        sweep=Sweep("load", (0.3, 0.5, 0.7, 0.8, 0.9, 0.95), "load ρ", seeds=4),
    ),
    remedy=Claim(
        statement="With at most 8 requests in the system the accepted ones wait for about three, as "
        "the formula says.",
        quantity="mean wait of the accepted in an M/M/1/8 queue / mean service time",
        experiment=bounded_wait,
        predicted=predicted_bounded_wait,
        rival=predicted_unbounded_wait,
        relation="≈",
        tolerance=0.02,
        relative=True,
        reason="the formula is exact in the steady state, which is reached long before the warm-up ends",
        parameters={"load": 0.9, "capacity": 8, "replicates": 400, "n": 500},
    ),
    figure=figure_waiting,
)

# %% [markdown]
# ## An overloaded queue without bound answers clients who have left
#
# **What breaks.** More arrives than can be served, $\rho > 1$, and the queue has no bound. First come, first served: each
# request waits longer than the one before, on average by $\bar s - \bar a = \bar s\,(1 - 1/\rho)$. Clients give up after a
# time $T$, but the server does not know and serves everybody in turn. After the first
#
# $$n^\ast = \frac{T}{\bar s\,(1 - 1/\rho)}$$
#
# requests *every* answer comes too late: the server is fully busy and completes nothing of use. Of $N$ requests the share
# $n^\ast/N$ is answered in time, which goes to zero. (Networks know this as *receive livelock*: Mogul and Ramakrishnan
# 1997.)
#
# The regime: constant service, $T \gg \bar s$ and $N \gg n^\ast$. The formula is the fluid limit; by the renewal theorem a
# random walk with steps $x$ of mean $\mu$ spends $\mathbb E[x^2]/2\mu^2$ more steps below $T$, here one request in forty,
# and reflection at zero takes back a quarter of it.
#
# **What mends it.** Refuse what cannot be answered in time. Who is accepted with at most $K-1$ others in the system waits at
# most for $(K-1)\bar s$; with $(K-1)\bar s \le T$ no answer comes too late. As the server never idles under overload, it
# completes one request every $\bar s$: the share
#
# $$\frac{1}{\rho},$$
#
# which is all that any server of this speed can do. (At most $K$ more are accepted by the end than have been served: $K/N$.)

# %%


def timely_share(
    rng: np.random.Generator, load: float, timeout: float, n: int, replicates: int, capacity: int = 0
) -> float:
    """Share of the first `n` requests that start within `timeout` service times; `capacity` 0: no bound."""
    service = np.ones((replicates, n))
    interarrival = rng.standard_exponential((replicates, n)) / load
    if capacity:
        waiting, _ = simulate_finite_queue(interarrival, service, capacity)  # NaN where refused
    else:
        waiting = lindley_waiting_times(interarrival, service)
    return float(np.mean(waiting <= timeout))


def predicted_timely_share(
    load: float, timeout: float, n: int, replicates: int = 0, capacity: int = 0
) -> float:
    """The fluid limit: n*/N without bound, 1/ρ with a bound K ≤ T + 1."""
    if not (load > 1 and 5 * timeout <= (1 - 1 / load) * n and capacity <= timeout + 1):
        raise ValueError(
            f"load must be above 1, with many more requests than n*, and K at most T + 1; got {load}."
        )
    return 1.0 / load if capacity else timeout / (1.0 - 1.0 / load) / n


def share_that_the_server_can_do(load: float, **_: Any) -> float:
    """The nearest wrong theory: the server is busy all the time, so it answers the share 1/ρ."""
    return 1.0 / load


def timely_share_without_bound(capacity: int, **settings: Any) -> float:
    """The rival of the remedy."""
    return predicted_timely_share(**settings)


def figure_stale() -> Any:
    """Share of timely answers over the load."""
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(0)
    figure, axis = subplots()
    n, timeout = 2_000, 20.0
    loads = np.linspace(1.02, 2.5, 100)
    unbounded = [min(1.0, timeout / (1 - 1 / load) / n) for load in loads]
    axis.plot(loads, unbounded, color=COLORS["theory"], label="predicted")
    axis.plot(loads, 1.0 / loads, color=COLORS["theory"])
    dots = np.linspace(0.6, 2.5, 12)
    for capacity, color, label in (
        (0, "broken", "unbounded queue"),
        (20, "mended", "at most 20 in the system"),
    ):
        share = [timely_share(rng, load, timeout, n, 20, capacity) for load in dots]
        axis.plot(dots, share, "o", color=COLORS[color], label=label)
    axis.set(
        title=f"Of {n:,} requests, those answered within 20 service times", xlabel="load ρ",
        ylabel="share answered in time", ylim=(0, 1.05),
    )  # fmt: skip
    axis.legend()
    return figure


STALE_ANSWERS = FailureMode(
    name="stale_answers",
    title="An overloaded queue without bound answers clients who have left",
    symptoms=(
        "busy, all clients time out",
        "every request times out under overload",
        "queue grows without end",
    ),
    breaks=Claim(
        statement="At twice the capacity, only the first T/(s(1−1/ρ)) requests are answered before "
        "their clients give "
        "up: 2 % of 2,000.",
        quantity="share of requests answered within 20 service times, unbounded queue",
        experiment=timely_share,
        predicted=predicted_timely_share,
        rival=share_that_the_server_can_do,
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="fluid limit: the next term of the renewal theorem is one request in forty, less the "
        "reflection",
        parameters={"load": 2.0, "timeout": 20.0, "n": 2_000, "replicates": 100},
        sweep=Sweep("load", (1.25, 1.5, 2.0, 2.5, 3.0), "load ρ", seeds=2),
    ),
    remedy=Claim(
        statement="With at most 20 requests in the system the server completes all that it can, the "
        "share 1/ρ, and "
        "every answer is in time.",
        quantity="share of requests answered within 20 service times, at most 20 in the system",
        experiment=timely_share,
        predicted=predicted_timely_share,
        rival=timely_share_without_bound,
        relation="≈",
        tolerance=0.015,
        reason="up to K = 20 of 2,000 requests are accepted but not yet served at the end: 0.01",
        parameters={"load": 2.0, "timeout": 20.0, "n": 2_000, "replicates": 40, "capacity": 20},
    ),
    figure=figure_stale,
)

# %%
FAILURE_MODES = (TRAIN_SERVE_SKEW, WAITING_NEAR_FULL_LOAD, STALE_ANSWERS)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
