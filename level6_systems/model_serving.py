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
# # Model serving
#
# ## 1. Select
#
# **Question.** How does a trained network answer strangers: correctly, in time, and without falling over when more of them
# come than it can serve?
#
# **Answer in three parts.**
# 1. *Export.* The network leaves Python as a graph of standard operations (ONNX), the preprocessing of its
# inputs included, and onnxruntime computes what we computed.
# 2. *Serve.* Requests are checked, collected into small batches, run, and answered over HTTP.
# 3. *Stay up.* Waiting time obeys queueing theory: it explodes as the load nears one. So the queue is
# bounded and what does not fit is refused at once (back-pressure).
#
# **Builds on** `level3_deep_learning.modules` and `multilayer_perceptron` (the network),
# `level1_foundations.automatic_differentiation` (the operations that the tracer records). **Mirrors** ONNX and onnxruntime
# for the graph; FastAPI, uvicorn and prometheus-client carry the service. They are libraries around the topic, not the
# topic: what is written here is the export, the checks, the batcher and the theory of its queue.
#
# **Sources.** Lindley (1952), *The theory of queues with a single server*; Kleinrock (1975), *Queueing systems*, volume 1,
# chapters 3 and 5; Little (1961), *A proof for the queuing formula L = λW*; Beneš (1957), *On queues with Poisson
# arrivals*; Sculley et al. (2015), *Hidden technical debt in machine learning systems*; Crankshaw et al. (2017), *Clipper: a
# low-latency online prediction serving system*; Schroeder, Wierman and Harchol-Balter (2006), *Open versus closed*.

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | in the code | shape |
# |---|---|---|---|
# | $w_n$, $s_n$, $a_n$ | wait and service of request $n$; time since the one before it | `waits`, `service`, `interarrival` | (n,) |
# | $S_n$ | sum of the differences $s_{i-1}-a_i$ up to $n$ | `walk` | (n,) |
# | $\lambda$, $\bar s$, $\rho=\lambda\bar s$ | rate of arrivals, mean service, load | `load`, `service_time` | () |
# | $c^2$ | squared coefficient of variation of the service | `squared_variation` | () |
# | $t_q$ | the wait that the share $q$ of requests does not exceed | `waiting_time_quantile` | () |
# | $K$, $p_n$ | most requests in the system, probability of $n$ of them | `capacity`, `occupancy` | (), (K + 1,) |
# | $T$ | how long a client waits for an answer | `timeout` | () |
# | $b$, $c_0$, $c_1$ | rows in a batch, cost of a call, and of a row in it | | () |
#
# ### From a program to a graph
#
# A module's `forward` is a Python program. To run it elsewhere we need the mathematics without the program: a list of
# operations $v_j = f_j(v_{a}, v_{b}, \dots)$ on numbered values. *Tracing* finds it: run the program once on an example and
# write down each operation that the engine carries out. Two walks then cut out what is needed:
#
# - *forward* from the input: a value depends on the input if one of the values it is made of does. All other
# values (weights, and whatever is computed from weights alone) are the same for every input: they are stored as constants;
# - *backward* from the output: a value is needed if it is the output or goes into a needed value. The rest
# is dropped.
#
# What a trace cannot see is Python: a loop is recorded unrolled, an `if` by the branch taken, a number read out of a tensor
# as a constant. The tracer therefore runs the program on two different inputs with different numbers of rows, and refuses if
# anything but the leading axis differs.
#
# ### Why batches
#
# A call of the model costs a fixed $c_0$ (Python, dispatch, reading the weights into the cache) and $c_1$ for each row. In
# batches of $b$ the server completes
#
# $$\mu(b) = \frac{b}{c_0 + c_1 b} \quad\text{rows per second},$$
#
# which rises from $1/(c_0+c_1)$ to $1/c_1$. A *micro-batcher* waits for companions, but at most for a short *window* from
# the first arrival; and while the model is busy, the next batch gathers by itself. So the batch grows with the load: under
# light traffic nobody waits for long, under heavy traffic the capacity is used.
#
# ### One queue, in order: Lindley's recursion
#
# Let request $n$ need service for $s_n$ and arrive $a_n$ after its predecessor. It waits for as long as its predecessor
# waited and was served, less the time that has passed, and never less than nothing:
#
# $$w_n = \max(0,\; w_{n-1} + s_{n-1} - a_n), \qquad w_0 = 0.$$
#
# With $x_n = s_{n-1} - a_n$ and $S_n = x_1 + \dots + x_n$, $S_0 = 0$, unrolling the maximum gives
#
# $$w_n = \max_{0\le k\le n} (S_n - S_k) = S_n - \min_{0\le k\le n} S_k ,$$
#
# a cumulative sum and a running minimum: no loop.
#
# ### The mean wait: Pollaczek and Khinchine
#
# Arrivals form a Poisson process of rate $\lambda$ (many independent clients); service takes $s$ with mean $\bar s$ and
# squared coefficient of variation $c^2 = \operatorname{Var}(s)/\bar s^2$; the load is $\rho = \lambda\bar s < 1$. Poisson
# arrivals see time averages. An arrival waits for those in the queue, $L_q$ of them with $\bar s$ each, and for what is left
# of the service under way. Someone is in service with probability $\rho$, and a service met at a random moment is met in
# proportion to its length, so it has $\mathbb E[s^2]/2\bar s = \bar s(1+c^2)/2$ to go:
#
# $$W = L_q\bar s + \rho\,\bar s\,\frac{1+c^2}{2},\qquad L_q = \lambda W \;(\text{Little})
#   \quad\Longrightarrow\quad W = \frac{\rho}{1-\rho}\cdot\frac{1+c^2}{2}\,\bar s .$$
#
# $c^2=1$ (exponential service) is the M/M/1 queue, $c^2=0$ (constant) M/D/1 with half its wait. Both have the factor
# $1/(1-\rho)$: the last percents of load cost the most.
#
# ### The tail of the wait
#
# Users feel the slowest answers. In the M/M/1 queue an arrival finds $n$ requests with probability $(1-\rho)\rho^n$ (below,
# with $K=\infty$) and waits for $n$ exponential services, the one under way included. Their ends are the points of a Poisson
# process of rate $1/\bar s$, and after each of them the wait is over with probability $1-\rho$, since $n$ is geometric. So
# who waits at all waits for an exponential time of rate $(1-\rho)/\bar s$:
#
# $$P(W>t)=\rho\,e^{-(1-\rho)t/\bar s},\qquad t_q=\frac{\bar s}{1-\rho}\,\ln\frac{\rho}{1-q}\quad(q>1-\rho).$$
#
# At $\rho=0.9$ the mean is 9 services and one request in a hundred waits for more than $10\ln 90=45$. For any law of
# service the number is geometric, too, and each of its members lasts as long as what is left of a service that is met at a
# random moment (Beneš 1957); then the series has to be summed or its transform inverted.
#
# ### A bounded queue
#
# Let at most $K$ requests be in the system, the one in service included; who finds it full is refused. With exponential
# service of rate $\mu = 1/\bar s$ (M/M/1/K) the flow up from state $n$ balances the flow down from $n+1$, that is
# $\lambda p_n = \mu p_{n+1}$. Hence $p_n \propto \rho^n$, and an arrival is refused with probability
#
# $$p_K = \frac{(1-\rho)\rho^K}{1-\rho^{K+1}} \qquad \Bigl(\tfrac1{K+1} \text{ at } \rho=1\Bigr).$$
#
# An accepted arrival finds $n<K$ with probability $p_n/(1-p_K)$ and waits for $n$ services of mean $\bar s$ each (the one
# under way forgets its age):
#
# $$W_K = \bar s\,\frac{\sum_{n<K} n\,p_n}{1-p_K} \;\le\; (K-1)\,\bar s ,$$
#
# for every load, also beyond one. The same sum over Erlang's distributions, whose tail is
# $e^{-t/\bar s}\sum_{j<n}(t/\bar s)^j/j!$ for $n$ services, gives $t_q$.
# That is the bargain of back-pressure: a share $p_K$ hears "later" at once, so that the others are answered soon. If service
# is constant, "soon" is a bound: an answer comes after the wait *and* the request's own service, $K\bar s$ at the most. So
# for clients who wait for $T$ the rule is $K\bar s\le T$.
#
# **Assumptions.** Poisson arrivals, independent service times, one server, first come first served. Batching breaks the
# second: the formulas describe the service with `maximum_batch=1`. Lindley's recursion alone needs neither of the first two.
#
# **Cost.** Lindley: $O(n)$ in time and memory. Finite queue: $O(n)$ steps, vectorized over replicates, $O(K)$ memory for
# each.

# %% [markdown]
# ## 3. Implement

# %%
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from level6_systems.parts.model_serving import measurements
from level6_systems.parts.model_serving.agreements import (
    compare_architectures,
    compare_queues,
    compare_service,
)
from level6_systems.parts.model_serving.batcher import (
    BatchRecord,
    MicroBatcher,
    Overloaded,
    WaitingRequest,
    take_batch,
)
from level6_systems.parts.model_serving.onnx_export import UnsupportedOperation, export_onnx
from level6_systems.parts.model_serving.requests import (
    InvalidInput,
    ServiceConfig,
    check_row,
    parse_instances,
    parse_json,
)
from level6_systems.parts.model_serving.service import (
    LiveService,
    OnnxPredictor,
    ServiceUnavailable,
    create_app,
    running_service,
    serve,
    service_in_thread,
)
from level6_systems.parts.model_serving.tracing import operations_between
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import validate_number

__all__ = [
    "BREATH", "BatchRecord", "InvalidInput", "LiveService", "MicroBatcher", "OnnxPredictor", "Overloaded", "PlainBatcher",
    "ServiceConfig", "ServiceUnavailable", "UnsupportedOperation", "WaitingRequest", "accepted_waiting_time", "benchmarks",
    "blocking_probability", "check_row", "create_app", "example", "export_onnx", "lindley_waiting_times", "mean_waiting_time",
    "operations_between", "parse_instances", "parse_json", "running_service", "serve", "service_in_thread",
    "simulate_finite_queue", "take_batch", "validate", "waiting_time_quantile",
]  # fmt: skip

BREATH = "PlainBatcher"

# %% [markdown]
# ### In one breath


# %%
class PlainBatcher:
    """Collect rows for a moment, run the model once, hand everyone their row; refuse what does not fit."""

    def __init__(self, predict, maximum_batch=64, window=0.002, queue_limit=256):
        self.predict, self.size, self.window = predict, maximum_batch, window
        self.queue = asyncio.Queue(queue_limit)

    async def submit(self, row):  # practice: core
        answer = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((row, answer))  # asyncio.QueueFull: the client hears "later" at once
        return await answer

    async def run(self):  # practice: core
        while True:
            batch = [await self.queue.get()]
            await asyncio.sleep(self.window)
            while len(batch) < self.size and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            outputs = await asyncio.to_thread(self.predict, np.array([row for row, _ in batch]))
            for (_, answer), output in zip(batch, outputs, strict=True):
                answer.set_result(output)


def plain_waits(gaps, services):  # practice: core
    """Lindley: w = max(0, w + s − a), first come first served from an empty queue."""
    waits = [0.0]
    for gap, service in zip(gaps[1:], services[:-1], strict=True):
        waits.append(max(0.0, waits[-1] + service - gap))
    return np.array(waits)


# %% [markdown]
# **What is wrong with it.** One client who has gone, or one error of the model, ends the loop for everybody; a full batch
# waits for the window all the same; nobody can drain it; and it believes every row. The rest of the page says how long a
# queue makes people wait, and its parts hold what stands between this and a service:
# [requests](parts/model_serving/requests.py) checks what arrives, [the batcher](parts/model_serving/batcher.py) keeps every
# promise that it gave, [tracing](parts/model_serving/tracing.py) and [the export](parts/model_serving/onnx_export.py) write
# the network down as a graph of [operations](parts/model_serving/onnx_operations.py),
# [service](parts/model_serving/service.py) and [application](parts/model_serving/application.py) speak HTTP.
#
# ### The queue in theory


# %%
def lindley_waiting_times(  # practice: core
    interarrival: Any, service: Any
) -> Float[np.ndarray, " ..."]:
    """Waiting time of each request in a first-come-first-served queue that starts empty.

    Args:
        interarrival: array-like, time between request i and the one before it; the first entry has no effect.
        service: service times, of the same shape and unit.

    Returns:
        time from arrival to start of service. O(n) time and memory, vectorized over leading axes.

    Raises:
        ValueError: the shapes differ.

    Source: Lindley (1952).
    """
    interarrival, service = np.asarray(interarrival, float), np.asarray(service, float)
    if interarrival.shape != service.shape or service.ndim == 0:
        raise ValueError(
            f"interarrival and service must have the same shape (..., n), got {interarrival.shape} and "
            f"{service.shape}."
        )
    # x_n = s_{n-1} - a_n, and x_0 = 0: the first request waits for nobody
    walk = np.zeros(service.shape)
    np.subtract(service[..., :-1], interarrival[..., 1:], out=walk[..., 1:])
    np.cumsum(walk, axis=-1, out=walk)  # S_n
    return walk - np.minimum.accumulate(walk, axis=-1)  # w_n = S_n - min_{k <= n} S_k


def mean_waiting_time(
    load: float, service_time: float = 1.0, squared_variation: float = 1.0
) -> float:  # practice: core
    """Mean wait in the M/G/1 queue (Pollaczek–Khinchine), in the unit of `service_time`.

    Args:
        load: ρ = arrival rate times mean service time, in [0, 1).
        service_time: mean service time.
        squared_variation: squared coefficient of variation of the service time: 1 for exponential service
            (M/M/1), 0 for constant service (M/D/1).

    Raises:
        ValueError: load outside [0, 1) (at 1 and beyond there is no steady state), or a negative argument.

    Source: Kleinrock (1975), section 5.7.
    """
    validate_number(service_time, "service_time", minimum=0)
    validate_number(squared_variation, "squared_variation", minimum=0)
    if not 0 <= load < 1:
        raise ValueError(f"load must be in [0, 1): beyond it the queue grows without end; got {load!r}.")
    # W = rho / (1 - rho) * (1 + c^2) / 2 * s
    return load / (1.0 - load) * (1.0 + squared_variation) / 2.0 * service_time


def occupancy(load: float, capacity: int) -> Float[np.ndarray, " states"]:  # practice: core
    """Stationary probabilities p_0, ..., p_K of the number of requests in an M/M/1/K queue.

    Raises:
        ValueError: a negative load, or a capacity below 1.
    """
    validate_number(load, "load", minimum=0)
    validate_number(capacity, "capacity", minimum=1, integer=True)
    # p_n ∝ rho^n; counted from the fuller end where rho > 1, so that nothing overflows
    n = np.arange(capacity + 1)
    weights = load**n if load <= 1 else (1.0 / load) ** (capacity - n)
    return weights / weights.sum()


def blocking_probability(load: float, capacity: int) -> float:
    """Share of arrivals that an M/M/1/K queue refuses.

    Args:
        load: ρ = arrival rate times mean service time; may exceed 1.
        capacity: K, the most requests in the system, the one in service included.

    Raises:
        ValueError: a negative load, or a capacity below 1.

    Source: Kleinrock (1975), section 3.6.
    """
    return float(occupancy(load, capacity)[-1])  # p_K: Poisson arrivals see the stationary state


def accepted_waiting_time(load: float, capacity: int, service_time: float = 1.0) -> float:  # practice: core
    """Mean wait of the requests that an M/M/1/K queue accepts, in the unit of `service_time`.

    Arguments and errors as `blocking_probability`.
    """
    validate_number(service_time, "service_time", minimum=0)
    p = occupancy(load, capacity)
    # W = s * sum_{n<K} n p_n / (1 - p_K): who finds n in the system waits for n services
    return float(service_time * (np.arange(capacity) @ p[:-1]) / p[:-1].sum())


# %%
def waiting_time_quantile(
    level: float, load: float, service_time: float = 1.0, capacity: int | None = None
) -> float:
    """The wait that the share `level` of the requests does not exceed, in the unit of `service_time`.

    Args:
        level: q, in [0, 1): 0.99 for the 99th percentile.
        load: ρ; below 1 without a capacity.
        service_time: mean of the exponential service time.
        capacity: K, of an M/M/1/K queue, whose accepted requests are meant; None for M/M/1.

    Raises:
        ValueError: an argument out of range.
    """
    validate_number(service_time, "service_time", minimum=0)
    if not 0 <= level < 1:
        raise ValueError(f"level must be in [0, 1), got {level!r}.")
    if capacity is None:
        mean_waiting_time(load)  # refuses a load of 1 and more
        # t_q = s / (1 - rho) * log(rho / (1 - q)), and 0 for the share 1 - rho that finds nobody
        return service_time / (1.0 - load) * max(0.0, float(np.log(max(load, 1.0 - level) / (1.0 - level))))
    p = occupancy(load, capacity)
    found = p[:-1] / p[:-1].sum()  # probability that an accepted request finds n in the system
    more = 1.0 - np.cumsum(found)  # that it finds more than j
    low, high = 0.0, 2.0 * capacity + 40.0 / (1.0 - level) ** 0.25
    for _ in range(100):  # P(W > t) = sum_j e^{-t} t^j / j! * P(n > j) falls in t: halve the interval
        t = 0.5 * (low + high)
        terms = np.exp(
            np.cumsum(np.r_[-t, np.log(t / np.arange(1, capacity))])
        )  # by logarithms: e^{-t} is tiny
        low, high = (t, high) if terms @ more > 1.0 - level else (low, t)
    return service_time * low


# %% [markdown]
# The simulation keeps, for each replicate, the departure times of the last $K$ accepted requests. The system is full exactly
# if the oldest of them has not left yet.


# %%
def simulate_finite_queue(  # practice: core
    interarrival: Any, service: Any, capacity: int
) -> tuple[Float[np.ndarray, "replicates n"], Bool[np.ndarray, "replicates n"]]:
    """First-come-first-served queues that refuse arrivals while `capacity` requests are in the system.

    Args:
        interarrival, service: as in `lindley_waiting_times`, of shape (replicates, n); any distribution.
        capacity: K, the one in service included.

    Returns:
        waiting times (NaN where refused) and whether each request was accepted. n steps, each
        vectorized over the replicates.

    Raises:
        ValueError: the shapes differ or are not (replicates, n), or a capacity below 1.
    """
    interarrival, service = np.asarray(interarrival, float), np.asarray(service, float)
    if interarrival.shape != service.shape or service.ndim != 2:
        raise ValueError(
            f"interarrival and service must have the same shape (replicates, n), got {interarrival.shape} and "
            f"{service.shape}."
        )
    validate_number(capacity, "capacity", minimum=1, integer=True)
    replicates, n = service.shape
    arrivals = np.cumsum(interarrival, axis=1).T.copy()  # (n, replicates): one step is one contiguous row
    service = service.T.copy()
    departures = np.full((replicates, capacity), -np.inf)  # a ring: the last K accepted
    oldest = np.zeros(replicates, dtype=np.intp)
    last = np.full(replicates, -np.inf)
    rows = np.arange(replicates)
    waiting = np.empty((n, replicates))
    for i in range(n):
        accepted = departures[rows, oldest] <= arrivals[i]
        start = np.maximum(arrivals[i], last)
        waiting[i] = np.where(accepted, start - arrivals[i], np.nan)
        last = np.where(accepted, start + service[i], last)
        departures[rows, oldest] = np.where(accepted, last, departures[rows, oldest])
        oldest = (oldest + accepted) % capacity
    waiting = waiting.T
    return waiting, ~np.isnan(waiting)


# %% [markdown]
# ## 4. Validate
#
# | | ours | the library's | why |
# |---|---|---|---|
# | operator set | 18, IR version 8 | the newest | released runtimes lag behind |
# | floating type | the network's, unless `dtype` says otherwise | the same | |
# | erf in float64 | computed in float32 | onnxruntime has none in float64 | error 1e-7 in GELU |
# | GELU | five nodes | one node since operator set 20 | see the first row |
# | sigmoid, log1p, expm1 | several nodes | one node (0 below −18); none | digits of small results |
# | types | cast by the export | no promotion: a mask times a float is refused | NumPy's rules hold |
# | overload | 503 with `Retry-After` | FastAPI, uvicorn: no bound | 429 would blame one client |
# | invalid input | 422 naming the value, 400 if not JSON | 422 repeating the value | NaN is not JSON: 500 |
# | HEAD | as GET, without the body | FastAPI: 405 | RFC 9110; probes use it |


# %%
def validate() -> list[Agreement]:
    """Our network beside onnxruntime and beside the answers over HTTP; queueing formulas beside SciPy."""
    from shared.datasets import load_digits

    X = load_digits().X
    comparison = Comparison(reference="onnxruntime", dataset="digits")
    compare_architectures(comparison, X)
    compare_service(comparison, X)
    compare_queues(comparison, globals())
    return comparison.agreements


# %%
def benchmarks() -> list[Benchmark]:
    """Inference: our network in NumPy against the exported graph in onnxruntime, over the number of rows."""

    def setup(size: int) -> tuple[Callable, Callable, None]:
        from level3_deep_learning.multilayer_perceptron import MLP

        network = MLP([64, 128, 10], rng=0)
        X = np.random.default_rng(0).random((size, 64), dtype=np.float32)
        predictor = OnnxPredictor(export_onnx(network, 64).SerializeToString())
        return lambda: measurements.network_logits(network, X), lambda: predictor(X), None

    name = "inference, MLP 64-128-10, float32"
    return [Benchmark(name, (2_000, 8_000, 32_000), setup, 1.0, "onnxruntime", repeats=9, unit="rows")]


# %% [markdown]
# ## 5. Document
#
# **When to use it.** A model that answers many small independent requests, on one machine, within tens of milliseconds.
# Start with `maximum_batch` near the batch size where throughput stops growing (`benchmarks()` shows it), a window well
# below the latency you promise, and a queue that, with the batch in the model's hands, holds no more than can be served
# within the patience of a client: `queue_limit` + `maximum_batch` ≤ timeout × capacity. One place too many turns the remedy
# into the failure: see below.
#
# **How to measure it.** In an *open* loop: requests leave at their own times, as those of strangers do. A closed loop, in which
# each client waits for its answer before it asks again, slows down together with the server and hides its queue
# ([client](parts/model_serving/client.py) is open). And for longer than the queue takes to settle, some $1/(1-\sqrt\rho)^2$
# requests.
#
# **When not.** Offline scoring (call the model on whole arrays); several models or machines behind one address (a dedicated
# server such as Triton or KServe, and a load balancer); requests that depend on each other; models that need seconds per
# request (a job queue). Neither authentication nor encryption stands here: a proxy in front does both.
#
# **Choosing what to refuse.** A bounded queue of the right size refuses the newest, keeps the promises already given, and costs the
# share $p_K$ that the formula tells in advance.
#
# **In plain words.** A service takes questions from many people, lets a model answer several at once, and keeps those
# waiting in line. It takes for granted that questions come at random, that they look like those the model was trained on,
# and that there are fewer of them than it can answer. If answers are wrong, ask whether the inputs are prepared as in
# training; if they are late, how full the machine is, since the last percents of load cost the most; if nobody is served at
# all, whether it still answers people who have left.
#
# **How it breaks**: `groundup break model_serving`, and `failure_modes/model_serving.py`.
#
# **The pictures.** The mechanism: forty requests on their way through the batcher. The result: what theory says about the
# mean wait, with a simulation, and every single request of the live service, its measured wait over the one that Lindley's
# recursion computes from the same arrivals and service times.


# %%
def mechanism() -> Any:
    """Forty requests from left to right: gray while they wait, colored while the model works on their batch. Light traffic left,
    heavy traffic right, where the batches grow by themselves."""
    from shared.figures import COLORS, PALETTE, subplots

    rng = np.random.default_rng(1)
    figure, panels = subplots(1, 2, width=10.0, height=4.2, sharey=True)
    window, fixed, each = 2.0, 6.0, 0.4  # milliseconds: of the window, of a call, and of a row in it
    for panel, gap, title in ((panels[0], 8.0, "light traffic"), (panels[1], 1.2, "heavy traffic")):
        arrivals = np.cumsum(rng.exponential(gap, 40))
        first, free, sizes = 0, 0.0, []
        while first < len(arrivals):
            start = max(free, arrivals[first] + window)
            last = int(np.searchsorted(arrivals, start, side="right"))
            free = start + fixed + each * (last - first)
            rows = np.arange(first, last)
            panel.hlines(rows, arrivals[rows], start, color=COLORS["muted"], linewidth=1.4)
            panel.hlines(rows, start, free, color=PALETTE[len(sizes) % 4], linewidth=3.2)
            sizes.append(last - first)
            first = last
        panel.set(title=f"{title}: {np.mean(sizes):.1f} requests a call", xlabel="time / ms")
    panels[0].set_ylabel("request")
    return figure


# %%
def example() -> Any:
    """Waiting time over load, and each request of the live service: above the line by what handing it over costs."""
    from shared.datasets import load_digits
    from shared.figures import COLORS, subplots

    rng = np.random.default_rng(0)
    figure, (theory, live) = subplots(1, 2, width=10.0, height=4.2)
    loads, simulated = np.linspace(0.02, 0.95, 200), np.array([0.2, 0.4, 0.6, 0.75, 0.9])
    for c2, law, color in ((1.0, "exponential (M/M/1)", "broken"), (0.0, "constant (M/D/1)", "ours")):
        waits = [mean_waiting_time(load, 1.0, c2) for load in loads]
        theory.plot(loads, waits, color=COLORS[color], label=law)
        dots = [
            measurements.simulated_waiting_time(load, c2, 300_000, rng, lindley_waiting_times)
            for load in simulated
        ]
        theory.plot(simulated, dots, "o", color=COLORS[color], markersize=5)
    theory.set_title("The last percents of load cost the most")
    theory.set(xlabel="load ρ", ylabel="mean wait / mean service time")
    theory.legend(title="service time: formula (line), simulation (dots)")

    classifier = measurements.digits_classifier()
    predictor = OnnxPredictor(export_onnx(classifier.network_, 64, scale=16.0).SerializeToString())
    payloads = [{"instance": row.tolist()} for row in load_digits().X[-120:]]
    measured, computed = measurements.live_waiting_times(
        payloads, 0.8, 0.004, predictor, rng, lindley_waiting_times
    )
    dots = {"color": COLORS["ours"], "markersize": 4, "alpha": 0.7, "label": "one request"}
    live.plot(1e3 * computed, 1e3 * measured, "o", **dots)
    end = 1e3 * max(measured.max(), computed.max())
    live.plot([0, end], [0, end], color=COLORS["theory"], label="as Lindley's recursion computes")
    live.set_title("Each request of the live service")
    live.set(xlabel="wait by Lindley's recursion / ms", ylabel="measured wait / ms")
    live.legend()
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
