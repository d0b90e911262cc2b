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
# Seven ways in which a service fails while every test of the model passes. It is fed other numbers than the model was trained
# on. It is so heavily loaded that every wait is long; its mean hides its slowest answers; a page asks so many servers that one
# is slow. It works hard on answers that nobody waits for any more, because its queue has no bound, or a bound that is one too
# large, or because those who gave up ask again. A formula tells each damage in advance. All times are in mean service times.

# %%
from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np

from level6_systems.model_serving import (
    accepted_waiting_time,
    blocking_probability,
    lindley_waiting_times,
    mean_waiting_time,
    simulate_finite_queue,
    waiting_time_quantile,
)
from level6_systems.parts.model_serving import missing_values, outage
from shared.failure_mode import Claim, FailureMode, Share, Sweep

# %% [markdown]
# ## Missing values: the mean in training, zero in production
#
# **What breaks.** A measurement is missing now and then. The notebook fills in the mean of the feature before it trains; the
# service, written by somebody else, fills in 0. Every request is answered, nothing raises, and the answers are wrong. (The
# grossest form of it is to train on standardized features and to serve raw ones.)
#
# **By how much.** Take a linear rule on standardized features, the sign of $z = w_0 + \sum_j w_j (x_j - m_j)/d_j$. Where
# feature $j$ is missing and $v$ is filled in, the rule computes the sign of
#
# $$z' = z + w_j\,\frac{v - x_j}{d_j},$$
#
# which moves $z$ by $w_j\,(0 - m_j)/d_j$ more than the mean would have done: that many standard deviations, for a feature that is far
# from zero. If the rule is right for the share $A$ of the rows with $z$ and for $A'$ with $z'$, and the value is missing with
# probability $q$ whatever the row is, then the accuracy is $(1-q)A + qA'$. That is exact for any data. Here they are real: four
# measurements of 569 tumors, of which the first, the mean radius, is missing in three requests out of ten.
#
# **What mends it.** The preprocessing belongs to the model: the module that is exported replaces what is not a number by the
# mean, and `export_onnx(..., shift=m, scale=d)` makes the standardization the first two nodes of the graph. There is no second
# copy of either that could differ. The mean knows nothing of the row, so some accuracy stays lost: $A'$ is then that of $v=m_j$.


# %%
def figure_skew() -> Any:
    """Accuracy while more and more values are missing: zero in their place, or the mean."""
    return two_sweeps(TRAIN_SERVE_SKEW, "zero in the service", "mean in the graph", "accuracy")


def two_sweeps(mode: FailureMode, broken: str, mended: str, label: str) -> Any:
    """What breaks and what mends it, over one parameter."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, axes = subplots(width=7.0, height=3.6)
    plot_sweep(axes, mode.breaks, label=broken)
    plot_sweep(axes, mode.remedy, label=mended, color=COLORS["mended"])
    axes.set(title=mode.title, ylabel=label)
    axes.legend()
    return figure


MISSING = Sweep("missing", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "share q of requests without the value", seeds=3)
TRAIN_SERVE_SKEW = FailureMode(
    name="train_serve_skew",
    title="Missing values: the mean in training, zero in production",
    symptoms=(
        "different in production",
        "right offline, wrong online",
        "accuracy drops in production",
        "predictions differ between training and serving",
        "trained on standardized features, served raw ones",
    ),
    breaks=Claim(
        statement="A rule that was trained with the mean in place of missing values, and is served zero, loses accuracy by "
        "what the shift of its linear part says.",
        quantity="accuracy of the exported rule on 569 tumors, the radius missing in 0.3 of the requests",
        experiment=missing_values.served_accuracy,
        predicted=missing_values.accuracy_by_formula,
        rival=missing_values.accuracy_as_trained,
        relation="≈",
        tolerance=0.006,
        reason="the expectation is exact; δ is half as much again as 20 × 10 patterns of missing values resolve",
        parameters={"missing": 0.3, "filled_with_zero": True, "patterns": 10},
        sweep=MISSING,
    ),
    remedy=Claim(
        statement="With the filling inside the exported graph a missing value costs in production what it cost in training.",
        quantity="accuracy of the exported rule on 569 tumors, the radius missing in 0.3 of the requests",
        experiment=missing_values.served_accuracy,
        predicted=missing_values.accuracy_by_formula,
        rival=missing_values.accuracy_of_the_zero,
        relation="≈",
        tolerance=0.006,
        reason="the expectation is exact; δ is twice what 20 × 10 patterns of missing values resolve",
        parameters={"missing": 0.3, "filled_with_zero": False, "patterns": 10},
        sweep=MISSING,
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
# at $\rho=0.9$ nine service times, at 0.95 nineteen. The regime: the steady state. A run from an empty queue comes nearer to
# it with a relaxation time of $1/(1-\sqrt\rho)^2\approx4/(1-\rho)^2$ requests, 380 of them at 0.9, so runs must be much longer
# than that (here they are two thousand times).
#
# **What mends it.** A bounded queue. With at most $K$ requests in the system the accepted ones wait for
#
# $$W_K = \bar s\,\frac{\sum_{n<K} n\rho^n}{\sum_{n<K}\rho^n},$$
#
# at the price of refusing the share $p_K = \rho^K(1-\rho)/(1-\rho^{K+1})$: with $K=8$ a third of the wait for 7 % refused.


# %%
def settled(load: float, n: int) -> None:
    """Raise ValueError unless n requests are many relaxation times, 1/(1 − √ρ)² requests each."""
    if not (load < 1 and n * (1 - np.sqrt(load)) ** 2 >= 200):
        raise ValueError(
            f"n must be 200 relaxation times of 1/(1 − √ρ)² requests, and the load below 1, got {n} at {load}."
        )


def mean_wait(rng: np.random.Generator, load: float, n: int) -> float:
    """Mean wait in one run of an M/M/1 queue, in mean service times."""
    service = rng.standard_exponential(n)
    interarrival = rng.standard_exponential(n) / load
    return float(lindley_waiting_times(interarrival, service).mean())


def predicted_wait(load: float, n: int = 0) -> float:
    """Pollaczek–Khinchine."""
    settled(load, n)
    return mean_waiting_time(load)


def bounded_wait(rng: np.random.Generator, load: float, capacity: int) -> float:
    """Mean wait of the accepted requests of 400 M/M/1/K queues, 500 requests each, the first 100 left out."""
    gaps, service = rng.standard_exponential((2, 400, 500))
    waiting, _ = simulate_finite_queue(gaps / load, service, capacity)
    return float(np.nanmean(waiting[:, 100:]))


def figure_waiting() -> Any:
    """Mean wait over the load, without bound and with a bounded queue, and what the bound costs."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, (wait, refused) = subplots(1, 2, width=9.0)
    plot_sweep(wait, WAITING_NEAR_FULL_LOAD.breaks, label="unbounded queue")
    plot_sweep(wait, WAITING_NEAR_FULL_LOAD.remedy, label="at most 8 in the system", color=COLORS["mended"])
    loads = np.linspace(0.02, 1.4, 200)
    refused.plot(loads, [blocking_probability(load, 8) for load in loads], color=COLORS["theory"])
    wait.set(title="Waiting near full load", ylabel="mean wait / mean service time")
    refused.set(title="The price of the bound, by formula", xlabel="load ρ", ylabel="share refused")
    wait.legend()
    return figure


NEAR_ONE = Sweep("load", (0.3, 0.5, 0.7, 0.8, 0.9, 0.95), "load ρ", seeds=3)
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
        rival=1 / (1 - 0.9),  # the nearest wrong theory counts the request's own service
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="runs of finite length: waits are correlated over hundreds of requests, which leaves 2 % to a run of this "
        "length; starting empty costs less than 0.1 %",
        parameters={"load": 0.9, "n": 1_000_000},
        sweep=NEAR_ONE,
    ),
    remedy=Claim(
        statement="With at most 8 requests in the system the accepted ones wait for about three, as the formula says.",
        quantity="mean wait of the accepted in an M/M/1/8 queue / mean service time",
        experiment=bounded_wait,
        predicted=accepted_waiting_time,
        rival=0.9 / (1 - 0.9),  # without a bound
        relation="≈",
        tolerance=0.02,
        relative=True,
        reason="the formula is exact in the steady state, which is reached long before the warm-up ends",
        parameters={"load": 0.9, "capacity": 8},
        sweep=NEAR_ONE,
    ),
    figure=figure_waiting,
)

# %% [markdown]
# ## The mean is nine, and one request in a hundred waits for 45
#
# **What breaks.** A dashboard shows the mean wait, and users remember the slowest. In the M/M/1 queue who waits at all waits for an
# exponential time of mean $1/(1-\rho)$, and the share $1-\rho$ does not wait, so the 99th percentile is
#
# $$t_{0.99}=\frac{\ln(100\,\rho)}{1-\rho},$$
#
# 45 at $\rho=0.9$, five times the mean. (An exponential wait of the same mean would have $9\ln100=41$: it forgets those who do
# not wait.) The regime: the steady state, as above.
#
# **What mends it.** A bound. Who is accepted finds fewer than $K$ and waits for fewer than $K$ services; the percentile is the root of
# a sum of Erlang's tails (`waiting_time_quantile`), 11.4 for $K=8$.


# %%
def slowest_hundredth(rng: np.random.Generator, load: float, n: int, capacity: int | None = None) -> float:
    """The 99th percentile of the waits of one run, M/M/1, or of the accepted ones of 400 short runs, M/M/1/K."""
    if capacity is None:
        waits = lindley_waiting_times(rng.standard_exponential(n) / load, rng.standard_exponential(n))
        return float(np.quantile(waits[n // 100 :], 0.99))
    shape = (400, n)
    waits, _ = simulate_finite_queue(
        rng.standard_exponential(shape) / load, rng.standard_exponential(shape), capacity
    )
    return float(np.nanquantile(waits[:, n // 5 :], 0.99))


def percentile_by_formula(load: float, n: int, capacity: int | None = None) -> float:
    """`waiting_time_quantile`, in the steady state."""
    if capacity is None:
        settled(load, n)
    return waiting_time_quantile(0.99, load, 1.0, capacity)


def figure_tail() -> Any:
    """The 99th percentile over the load, with and without a bound: the mean would stay below 9."""
    return two_sweeps(SLOW_TAIL, "no bound", "at most 8 in the system", "99th percentile of the wait")


SLOW_TAIL = FailureMode(
    name="slow_tail",
    title="The mean is nine, and one request in a hundred waits for 45",
    symptoms=(
        "p99 latency is five times the mean",
        "average response time is fine but users complain",
        "the slowest requests take far longer than the average",
    ),
    breaks=Claim(
        statement="At a load of 0.9 one request in a hundred waits for more than 45 service times, where the mean is nine.",
        quantity="99th percentile of the wait in an M/M/1 queue / mean service time",
        experiment=slowest_hundredth,
        predicted=percentile_by_formula,
        rival=0.9 / (1 - 0.9) * log(100),  # the nearest wrong theory: an exponential wait of that mean
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="a run of this length leaves 5 % to its percentile, and the verdict over 40 runs 4 %; starting empty costs "
        "nothing after the first hundredth",
        parameters={"load": 0.9, "n": 600_000},
        sweep=NEAR_ONE,
    ),
    remedy=Claim(
        statement="With at most 8 in the system one accepted request in a hundred waits for more than 11.4.",
        quantity="99th percentile of the wait of the accepted in an M/M/1/8 queue / mean service time",
        experiment=slowest_hundredth,
        predicted=percentile_by_formula,
        rival=log(90) / (1 - 0.9),  # without a bound
        relation="≈",
        tolerance=0.02,
        relative=True,
        reason="the formula is exact in the steady state, which is reached long before the warm-up ends; δ is twice what "
        "the runs resolve",
        parameters={"load": 0.9, "n": 400, "capacity": 8},
        sweep=NEAR_ONE,
    ),
    figure=figure_tail,
    seeds=40,
)

# %% [markdown]
# ## A page that asks a hundred servers is slow two times in three
#
# **What breaks.** A page is put together from the answers of a hundred servers, and is ready with the last. Each server is slow, say
# slower than its 99th percentile, in one request of a hundred; the page is slow in $1-0.99^{100}=63\,\%$ of them (Dean and Barroso
# 2013). Here a server is an M/M/1 queue; an answer takes the wait and the service, together exponential of rate $1-\rho$, so
# the percentile is $t=\ln100/(1-\rho)$. The regime: servers whose queues are independent.
#
# **What mends it, if there is room.** Ask two servers for each part and take the faster answer: a part is slow only if both are. But
# neither copy is withdrawn, so the load doubles, and a part is slow with probability $(e^{-(1-2\rho)t})^2$ in place of
# $e^{-(1-\rho)t}$. That is less if and only if $2(1-2\rho)>1-\rho$, that is $\rho<\frac13$. At 0.2 the slow pages fall to 9.5 %; at 0.4
# nearly every page would be slow. (Dean and Barroso ask the second server only after a while, for a few percent of load.)


# %%
def slow_pages(rng: np.random.Generator, load: float, servers: int, copies: int, n: int) -> Share:
    """Pages with a part slower than the 99th percentile without copies; a page every 30 requests, when queues have forgotten."""
    shape = (servers, copies, n)
    service = rng.standard_exponential(shape)
    answer = lindley_waiting_times(rng.standard_exponential(shape) / (copies * load), service) + service
    pages = answer.min(axis=1)[:, 30::30].max(axis=0)  # the fastest copy of each part, the slowest part
    return Share(int(np.sum(pages > log(100) / (1 - load))), pages.size)


def slow_pages_by_formula(load: float, servers: int, copies: int, n: int = 0) -> float:
    """1 − (1 − P)^servers, where P = e^{−copies (1 − copies ρ) t} is the chance that all copies of a part are slow."""
    if not copies * load < 1:
        raise ValueError(f"copies times load must be below 1, got {copies} times {load}.")
    slow = exp(-copies * (1 - copies * load) * log(100) / (1 - load))
    return 1 - (1 - slow) ** servers


def figure_fan_out() -> Any:
    """Slow pages over the load of a server: two copies help below a third, and hurt beyond."""
    return two_sweeps(FAN_OUT, "one server a part", "the faster of two", "share of slow pages")


LIGHT = Sweep("load", (0.1, 0.2, 0.3, 0.35, 0.4), "load ρ of a server without copies", seeds=2)
FAN_OUT = FailureMode(
    name="fan_out",
    title="A page that asks a hundred servers is slow two times in three",
    symptoms=(
        "every server is fast but the page is slow",
        "latency grows with the number of backends",
        "p99 of a service is the median of the page",
    ),
    breaks=Claim(
        statement="Of pages that need a hundred answers, 63 % wait for one that is slower than its 99th percentile.",
        quantity="share of pages slower than the 99th percentile of a server",
        experiment=slow_pages,
        predicted=slow_pages_by_formula,
        rival=0.01,  # the nearest wrong theory: a page is slow as often as a server is
        relation="≈",
        tolerance=0.06,
        reason="the share is exact for independent pages; δ is half as much again as 20 × 99 pages resolve",
        parameters={"load": 0.2, "servers": 100, "copies": 1, "n": 3_000},
        sweep=LIGHT,
    ),
    remedy=Claim(
        statement="At a load of 0.2 the faster of two answers to each part leaves 9.5 % of the pages slow, although it doubles "
        "the load.",
        quantity="share of pages slower than the 99th percentile of a server",
        experiment=slow_pages,
        predicted=slow_pages_by_formula,
        rival=slow_pages_by_formula(0.2, 100, 1),
        relation="≈",
        tolerance=0.04,
        reason="the share is exact for independent pages; δ is half as much again as 20 × 99 pages resolve",
        parameters={"load": 0.2, "servers": 100, "copies": 2, "n": 3_000},
        sweep=LIGHT,
    ),
    figure=figure_fan_out,
)

# %% [markdown]
# ## An overloaded queue without bound answers clients who have left
#
# **What breaks.** More arrives than can be served, $\rho > 1$, and the queue has no bound. First come, first served: each
# request waits longer than the one before, on average by $\mu = 1 - 1/\rho$. Clients give up after a time $T$, but the server does
# not know and serves everybody in turn. An answer comes after the wait and the service, so it is of use if $w_n\le T-1$. After the first
# $n^\ast\approx(T-1)/\mu$ requests nearly *every* answer comes too late: the server is busy all the time and completes next to
# nothing of use. (Networks know this as *receive livelock*: Mogul and Ramakrishnan 1997.)
#
# With constant service the count is known to a fraction of a request. The walk $S_n$ of steps $x=1-a$ spends
# $b/\mu+\mathbb E[x^2]/2\mu^2$ steps below a high level $b$ (renewal theorem), and the waits are that walk above its minimum, which
# lifts it by $M$ on average:
#
# $$n^\ast=\frac{T-1-M}{\mu}+\frac{\mathbb E[x^2]}{2\mu^2},\qquad M=\frac{\sigma}{\rho(1-\sigma)},\quad \sigma=e^{-\rho(1-\sigma)}<1 .$$
#
# ($M$ is the mean wait of the queue with arrivals and services exchanged.) At $\rho=2$, $T=20$ that is 38.7. The regime: $N\gg n^\ast$.
#
# **What mends it.** Refuse what cannot be answered in time. With at most $K$ in the system an answer comes within $K$ services; with
# $K\le T$ none that was promised comes too late. As the server does not idle under overload, it completes one request every
# service time, the share $1/\rho$ of those that arrive, and no order of service can do more. (Of $N$ requests, $K$ more are accepted
# than have left by the end.)


# %%
def timely_share(
    rng: np.random.Generator,
    load: float,
    timeout: float,
    n: int,
    replicates: int,
    capacity: int = 0,
    warm_up: int = 0,
) -> float:
    """Share of the requests, from number `warm_up` on, whose answer comes within `timeout`; `capacity` 0: no bound."""
    service = np.ones((replicates, n))
    interarrival = rng.standard_exponential((replicates, n)) / load
    if capacity:
        waiting, _ = simulate_finite_queue(interarrival, service, capacity)  # NaN where refused
    else:
        waiting = lindley_waiting_times(interarrival, service)
    return float(np.mean((waiting + service <= timeout)[:, warm_up:]))


def extinction(load: float) -> float:
    """The root σ < 1 of σ = e^{−ρ(1 − σ)}: the chance that a family with Poisson(ρ) children each dies out."""
    if not load > 1:
        raise ValueError(f"load must be above 1, got {load}.")
    sigma = 0.0
    for _ in range(10_000):
        sigma = exp(-load * (1 - sigma))
    return sigma


def predicted_timely_share(
    load: float, timeout: float, n: int, replicates: int = 0, capacity: int = 0
) -> float:
    """n*/N without bound; 1/ρ + K/N with a bound K ≤ T."""
    if not (load > 1 and 5 * timeout <= (1 - 1 / load) * n and capacity <= timeout):
        raise ValueError(
            f"load must be above 1, with many more requests than n*, and K at most T; got {load}, {n} and {capacity}."
        )
    if capacity:
        return 1 / load + capacity / n
    drift, sigma = 1 - 1 / load, extinction(load)
    lift, square = sigma / (load * (1 - sigma)), 1 / load**2 + drift**2  # M, E x²
    return ((timeout - 1 - lift) / drift + square / (2 * drift**2)) / n


def figure_stale() -> Any:
    """Of 2,000 requests, those answered within 20 service times, over the load: nothing is lost below one."""
    return two_sweeps(STALE_ANSWERS, "no bound", "at most 20 in the system", "share answered in time")


OVERLOAD = Sweep("load", (0.8, 1.25, 1.5, 2.0, 2.5, 3.0), "load ρ", seeds=2)
STALE_ANSWERS = FailureMode(
    name="stale_answers",
    title="An overloaded queue without bound answers clients who have left",
    symptoms=(
        "busy, all clients time out",
        "every request times out under overload",
        "queue grows without end",
    ),
    breaks=Claim(
        statement="At twice the capacity 38.7 of the first 2,000 requests, on average, are answered before their clients give up, "
        "and hardly any after them.",
        quantity="share of 2,000 requests answered within 20 service times, unbounded queue",
        experiment=timely_share,
        predicted=predicted_timely_share,
        rival=predicted_timely_share(
            2.0, 21.0, 2_000
        ),  # the nearest wrong theory: begun within T is answered within T
        relation="≈",
        tolerance=0.0006,
        reason="the count is exact but for what is exponentially small in T; δ is half as much again as 20 × 100 runs resolve",
        parameters={"load": 2.0, "timeout": 20.0, "n": 2_000, "replicates": 100},
        sweep=OVERLOAD,
    ),
    remedy=Claim(
        statement="With at most 20 in the system the server completes all that it can, the share 1/ρ, each within 20 service "
        "times.",
        quantity="share of 2,000 requests answered within 20 service times, at most 20 in the system",
        experiment=timely_share,
        predicted=predicted_timely_share,
        rival=predicted_timely_share(2.0, 20.0, 2_000),
        relation="≈",
        tolerance=0.005,
        reason="of the K places fewer than two are free on average, 0.001 of 2,000; the rest is what 20 × 40 runs resolve",
        parameters={"load": 2.0, "timeout": 20.0, "n": 2_000, "replicates": 40, "capacity": 20},
        sweep=OVERLOAD,
    ),
    figure=figure_stale,
)

# %% [markdown]
# ## One place too many in the queue, and most answers are late
#
# **What breaks.** "With at most $K$ in the system nobody waits for more than $K-1$ services, so $K=T+1$ will do." The wait keeps the
# promise, and the answer does not: it comes one service later. Who finds $T$ others is late, for they need more than $T-1$,
# and under overload that is nearly everybody who is accepted.
#
# By how much? Let $D$ be the places below $K-1$ that are free when a service begins, and $V$ the arrivals during it, Poisson of mean
# $\rho$. The first $D+1$ of them are accepted, and the $(D+1)$-th is the late one. From service to service $D'=\max(0,D+1-V)$: a
# walk that rises by at most one, whose stationary law is geometric, $P(D\ge k)=\sigma^k$ with the $\sigma$ of above. One request is
# accepted in a service; none of them is late if $V\le D$, which has probability $\sum_k P(V=k)\,\sigma^k=e^{-\rho(1-\sigma)}=\sigma$. In time,
# of all requests, is the share
#
# $$\frac\sigma\rho,$$
#
# at twice the capacity 10 % in place of 50 %. The regime: $\rho>1$, constant service, $K$ many places (the law of $D$ ends at $K-1$:
# an error of order $\sigma^K$).
#
# **What mends it.** One place less: $K=T$, and the share is $1/\rho$.


# %%
def predicted_share_at_the_edge(
    load: float, timeout: float, n: int, replicates: int, capacity: int, warm_up: int
) -> float:
    """σ/ρ for K = T + 1, and 1/ρ for K ≤ T."""
    sigma = extinction(load)
    if capacity > timeout + 1 or timeout != int(timeout) or sigma ** (capacity - 1) > 0.01:
        raise ValueError(
            f"timeout must be whole, K at most T + 1, and the load heavy enough to fill the queue; got {timeout}, "
            f"{capacity} and {load}."
        )
    return (1.0 if capacity <= timeout else sigma) / load


def figure_edge() -> Any:
    """The share answered in time over the load, with 21 and with 20 places, for clients who wait for 20."""
    return two_sweeps(ONE_PLACE_TOO_MANY, "at most 21 in the system", "at most 20", "share answered in time")


FULL = {
    "load": 2.0,
    "timeout": 20.0,
    "n": 400,
    "replicates": 200,
    "warm_up": 150,
}  # 20 places fill in 40 requests
EDGE = Sweep("load", (1.25, 1.5, 2.0, 2.5, 3.0), "load ρ", seeds=2)
ONE_PLACE_TOO_MANY = FailureMode(
    name="one_place_too_many",
    title="One place too many in the queue, and most answers are late",
    symptoms=(
        "bounded queue and still most requests time out",
        "answers arrive just after the deadline",
        "queue limit equals timeout times capacity and clients time out under overload",
    ),
    breaks=Claim(
        statement="At twice the capacity, a queue with one place more than can be served in time answers 10 % in time, not 50 %.",
        quantity="share of requests answered within 20 service times, at most 21 in the system",
        experiment=timely_share,
        predicted=predicted_share_at_the_edge,
        rival=1 / 2.0,  # the nearest wrong theory: K − 1 services of waiting within T are enough
        relation="≈",
        tolerance=0.005,
        reason="the share is exact but for σ^K; δ is what 20 × 200 runs resolve, rounded up",
        parameters={**FULL, "capacity": 21},
        sweep=EDGE,
    ),
    remedy=Claim(
        statement="With one place less the same server answers the share 1/ρ in time.",
        quantity="share of requests answered within 20 service times, at most 20 in the system",
        experiment=timely_share,
        predicted=predicted_share_at_the_edge,
        rival=extinction(2.0) / 2.0,
        relation="≈",
        tolerance=0.005,
        reason="the share is exact but for σ^K; δ is what 20 × 200 runs resolve, rounded up",
        parameters={**FULL, "capacity": 20},
        sweep=EDGE,
    ),
    figure=figure_edge,
)

# %% [markdown]
# ## A short outage, and retries keep the service down
#
# **What breaks.** For a while nothing is served. The clients give up after $T$ and ask again, up to $r$ times, and what they left behind
# stays in the queue. When the server is back, its queue is longer than $T$: every answer is late, every client asks $1+r$ times,
# and the load is
#
# $$\rho\,(1+r)$$
#
# in place of $\rho$. If that is above one, the queue does not shrink, so the answers stay late: at $\rho=0.6$ and $r=3$ a load of 2.4, and
# nobody is answered in time, long after the cause has gone. The same service at the same traffic has two steady states, and a
# push moves it from the good one to the other: a *metastable failure* (Bronson and others 2021; Huang and others 2022). Below one the
# backlog of an outage of length $L$ is gone after $L\rho(1+r)/(1-\rho(1+r))$. The regime: one or the other, by a margin.
#
# **What mends it.** A bound $K\le T$. After the outage at most $K$ wait, so the first answers are in time again, and those who were
# refused come back to a server at load $\rho$. What a client asks in vain costs the server nothing.


# %%
def figure_retries() -> Any:
    """Who is answered after the outage, over the load: with three retries the edge is at a quarter."""
    return two_sweeps(RETRIES, "no bound", "at most 20 in the system", "share answered in time")


AFTER = {"load": 0.6, "retries": 3, "timeout": 20.0, "outage": 200.0, "horizon": 3_000.0}
TRAFFIC = Sweep("load", (0.1, 0.15, 0.2, 0.25, 0.4, 0.6, 0.8), "load ρ without retries", seeds=3)
RETRIES = FailureMode(
    name="retries",
    title="A short outage, and retries keep the service down",
    symptoms=(
        "service does not recover after an outage",
        "retry storm",
        "traffic is back to normal after the incident but the service stays overloaded and requests time out",
    ),
    breaks=Claim(
        statement="At a load of 0.6, with three retries and no bound, nobody is answered in time after an outage, although it is over.",
        quantity="share of clients answered in time, from 1,500 service times after the outage on",
        experiment=outage.answered_after_the_outage,
        predicted=outage.recovers,
        rival=1.0,
        relation="≈",
        tolerance=0.01,
        reason="the backlog grows without end, so the share is 0 in each run; one in a hundred would be another regime",
        parameters={**AFTER, "capacity": 0},
        every_seed=True,
        sweep=TRAFFIC,
    ),
    remedy=Claim(
        statement="With at most 20 in the system all are answered again.",
        quantity="share of clients answered in time, from 1,500 service times after the outage on",
        experiment=outage.answered_after_the_outage,
        predicted=outage.recovers,
        rival=0.0,
        relation="≈",
        tolerance=0.01,
        reason="at this load a full queue is met once in some 10⁸ requests, and four times in a row by nobody",
        parameters={**AFTER, "capacity": 20},
        every_seed=True,
        sweep=TRAFFIC,
    ),
    figure=figure_retries,
)

# %%
FAILURE_MODES = (
    TRAIN_SERVE_SKEW, WAITING_NEAR_FULL_LOAD, SLOW_TAIL, FAN_OUT, STALE_ANSWERS, ONE_PLACE_TOO_MANY, RETRIES
)  # fmt: skip

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
