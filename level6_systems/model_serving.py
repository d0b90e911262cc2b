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
# **Question.** How does a trained network answer strangers: correctly, in time, and without falling over
# when more of them come than it can serve?
#
# **Answer in three parts.**
# 1. *Export.* The network leaves Python as a graph of standard operations (ONNX), the preprocessing of its
#    inputs included, and onnxruntime computes what we computed.
# 2. *Serve.* Requests are checked, collected into small batches, run, and answered over HTTP.
# 3. *Stay up.* Waiting time obeys queueing theory: it explodes as the load nears one. So the queue is
#    bounded and what does not fit is refused at once (back-pressure).
#
# **Builds on** `level3_deep_learning.modules` and `multilayer_perceptron` (the network),
# `level1_foundations.automatic_differentiation` (the operations that the tracer records). **Mirrors** ONNX
# and onnxruntime for the graph; FastAPI, uvicorn and prometheus-client carry the service. They are libraries
# around the topic, not the topic: what is written here is the export, the checks, the batcher and the theory
# of its queue.
#
# **Where the code is.** This file: validation, batcher, queues. `onnx_export.py`: the tracer and the ONNX
# operations. `application.py`: HTTP routes, limits, metrics. `service.py`: running and draining it.
# `serve.py`: the command line. `client.py`: a load generator. `measurements.py`: what `validate` and `example`
# measure with.
#
# **Sources.** Lindley (1952), *The theory of queues with a single server*; Kleinrock (1975), *Queueing
# systems*, volume 1, chapters 3 and 5; Little (1961), *A proof for the queuing formula L = λW*; Sculley et
# al. (2015), *Hidden technical debt in machine learning systems*; Crankshaw et al. (2017), *Clipper: a
# low-latency online prediction serving system*.

# %%
from __future__ import annotations

import asyncio
import collections
import json
import math
import tempfile
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from level6_systems import client, measurements
from level6_systems.onnx_export import UnsupportedOperation, export_onnx
from level6_systems.service import (
    LiveService,
    OnnxPredictor,
    ServiceUnavailable,
    create_app,
    running_service,
    serve,
    service_in_thread,
)
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import validate_number

__all__ = [
    "InvalidInput",
    "LiveService",
    "MicroBatcher",
    "OnnxPredictor",
    "Overloaded",
    "ServiceConfig",
    "ServiceUnavailable",
    "UnsupportedOperation",
    "accepted_waiting_time",
    "benchmarks",
    "blocking_probability",
    "create_app",
    "example",
    "export_onnx",
    "lindley_waiting_times",
    "mean_waiting_time",
    "operations_between",
    "parse_instances",
    "parse_json",
    "running_service",
    "serve",
    "service_in_thread",
    "simulate_finite_queue",
    "take_batch",
    "validate",
]

# %% [markdown]
# ## 2. Derive
#
# ### From a program to a graph
#
# A module's `forward` is a Python program. To run it elsewhere we need the mathematics without the program:
# a list of operations $v_j = f_j(v_{a}, v_{b}, \dots)$ on numbered values. *Tracing* finds it: run the
# program once on an example and write down each operation that the engine carries out. Two walks then cut
# out what is needed:
#
# - *forward* from the input: a value depends on the input if one of the values it is made of does. All other
#   values (weights, and whatever is computed from weights alone) are the same for every input: they are
#   stored as constants;
# - *backward* from the output: a value is needed if it is the output or goes into a needed value. The rest
#   is dropped.
#
# What a trace cannot see is Python: a loop is recorded unrolled, an `if` by the branch taken, a number read
# out of a tensor as a constant. The tracer therefore runs the program on two different inputs with different
# numbers of rows, and refuses if anything but the leading axis differs.
#
# ### Why batches
#
# A call of the model costs a fixed $c_0$ (Python, dispatch, reading the weights into the cache) and $c_1$
# for each row. In batches of $b$ the server completes
#
# $$\mu(b) = \frac{b}{c_0 + c_1 b} \quad\text{rows per second},$$
#
# which rises from $1/(c_0+c_1)$ to $1/c_1$. A *micro-batcher* waits for companions, but at most for a short
# *window* from the first arrival; and while the model is busy, the next batch gathers by itself. So the
# batch grows with the load: under light traffic nobody waits for long, under heavy traffic the capacity is
# used.
#
# ### One queue, in order: Lindley's recursion
#
# Let request $n$ need service for $s_n$ and arrive $a_n$ after its predecessor. It waits for as long as its
# predecessor waited and was served, less the time that has passed, and never less than nothing:
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
# Arrivals form a Poisson process of rate $\lambda$ (many independent clients); service takes $s$ with mean
# $\bar s$ and squared coefficient of variation $c^2 = \operatorname{Var}(s)/\bar s^2$; the load is
# $\rho = \lambda\bar s < 1$. Poisson arrivals see time averages. An arrival waits for those in the queue,
# $L_q$ of them with $\bar s$ each, and for what is left of the service under way. Someone is in service with
# probability $\rho$, and a service met at a random moment is met in proportion to its length, so it has
# $\mathbb E[s^2]/2\bar s = \bar s(1+c^2)/2$ to go:
#
# $$W = L_q\bar s + \rho\,\bar s\,\frac{1+c^2}{2},\qquad L_q = \lambda W \;(\text{Little})
#   \quad\Longrightarrow\quad W = \frac{\rho}{1-\rho}\cdot\frac{1+c^2}{2}\,\bar s .$$
#
# $c^2=1$ (exponential service) is the M/M/1 queue, $c^2=0$ (constant) M/D/1 with half its wait. Both have
# the factor $1/(1-\rho)$: the last percents of load cost the most.
#
# ### A bounded queue
#
# Let at most $K$ requests be in the system, the one in service included; who finds it full is refused. With
# exponential service of rate $\mu = 1/\bar s$ (M/M/1/K) the flow up from state $n$ balances the flow down
# from $n+1$, that is $\lambda p_n = \mu p_{n+1}$. Hence $p_n \propto \rho^n$, and an arrival is refused with
# probability
#
# $$p_K = \frac{(1-\rho)\rho^K}{1-\rho^{K+1}} \qquad \Bigl(\tfrac1{K+1} \text{ at } \rho=1\Bigr).$$
#
# An accepted arrival finds $n<K$ with probability $p_n/(1-p_K)$ and waits for $n$ services of mean $\bar s$
# each (the one under way forgets its age):
#
# $$W_K = \bar s\,\frac{\sum_{n<K} n\,p_n}{1-p_K} \;\le\; (K-1)\,\bar s ,$$
#
# for every load, also beyond one. That is the bargain of back-pressure: a share $p_K$ hears "later" at once,
# so that the others are answered in bounded time.
#
# **Assumptions.** Poisson arrivals, independent service times, one server, first come first served. Batching
# breaks the second: the formulas describe the service with `maximum_batch=1`. Lindley's recursion alone needs
# neither of the first two.
#
# **Cost.** Lindley: $O(n)$ in time and memory. Finite queue: $O(n)$ steps, vectorized over replicates,
# $O(K)$ memory for each.

# %% [markdown]
# ## 3. Implement
#
# ### Export: what lies between input and output


# %%
def operations_between(
    operations: Sequence[Any], source: Hashable, target: Hashable
) -> tuple[list[Any], set[Hashable]]:
    """Cut the computation of `target` from `source` out of a recorded list of operations.

    Args:
        operations: in the order in which they ran; each has `inputs` (keys of values) and `output` (a key).
        source, target: keys of the input and of the output.

    Returns:
        the operations that depend on the source *and* are needed for the target, in order; and the keys of
        the values that they use but do not compute (the constants), the source excluded.
    """
    depends = {source}
    for operation in operations:  # forward: what the input flows into
        if depends.intersection(operation.inputs):
            depends.add(operation.output)
    needed = {target}
    kept = []
    for operation in reversed(operations):  # backward: what flows into the output
        if operation.output in needed and operation.output in depends:
            kept.append(operation)
            needed.update(operation.inputs)
    computed = {operation.output for operation in kept}
    return kept[::-1], needed - computed - {source}


# %% [markdown]
# ### Configuration


# %%
def _setting(default: Any, explanation: str) -> Any:  # practice: keep
    return field(default=default, metadata={"help": explanation})


@dataclass(frozen=True)
class ServiceConfig:
    """Sizes and limits of the service; each is also a flag of `python -m level6_systems.serve`.

    Raises:
        TypeError, ValueError: a value of the wrong type or out of range.
    """

    maximum_batch: int = _setting(64, "most rows in one call of the model, and in one request")
    batch_window_ms: float = _setting(2.0, "how long the first row of a batch waits for others, in ms")
    queue_limit: int = _setting(256, "most rows that wait; a request beyond is refused with 503")
    body_limit: int = _setting(1_048_576, "most bytes in the body of a request")
    timeout: float = _setting(10.0, "seconds for a body to arrive, and for an answer to be computed")
    drain_seconds: float = _setting(0.5, "least time between SIGTERM and closing the port, in s")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8000, "port to listen on; 0 takes a free one")

    def __post_init__(self) -> None:
        for name in ("maximum_batch", "queue_limit", "body_limit"):
            validate_number(getattr(self, name), name, minimum=1, integer=True)
        validate_number(self.batch_window_ms, "batch_window_ms", minimum=0)
        validate_number(self.timeout, "timeout", minimum=0, exclusive=True)
        validate_number(self.drain_seconds, "drain_seconds", minimum=0)
        validate_number(self.port, "port", minimum=0, maximum=65535, integer=True)
        if not isinstance(self.host, str) or not self.host:
            raise TypeError(f"host must be an address such as '127.0.0.1', got {self.host!r}.")
        if self.queue_limit < self.maximum_batch:
            raise ValueError(
                f"queue_limit must be at least maximum_batch ({self.maximum_batch}), or a full request could "
                f"never enter the queue; got {self.queue_limit}."
            )


# %% [markdown]
# ### Input validation
#
# Whatever arrives is untrusted: it is named precisely and refused, or it is a finite matrix. JSON has traps:
# Python's parser accepts `NaN` and `Infinity`, reads `1e999` as infinity, refuses integers of more than
# 4,300 digits with an error of its own, and recurses on nesting; `true` is a number in Python, where
# `True + 1` is 2, but not in a row of pixels. And a number of the right type may still be one that the model
# never saw: pixels up to 255 for a network trained on 0 to 16 get an answer, a confident and wrong one. So the
# exported file can carry the range of the training data, and what lies outside is refused.


# %%
class InvalidInput(ValueError):
    """The request cannot be understood; `status` is the HTTP status to answer with."""

    def __init__(self, message: str, status: int = 422) -> None:  # practice: keep
        super().__init__(message)
        self.status = status


class Overloaded(RuntimeError):
    """The service cannot take the request now; worth another try after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int) -> None:  # practice: keep
        super().__init__(f"{message}; try again in {retry_after} s.")
        self.retry_after = retry_after


def parse_json(body: bytes) -> Any:
    """Decode a JSON text in UTF-8 that keeps to the standard: no NaN, no infinities.

    Raises:
        InvalidInput: with status 400 and the place where it stops being JSON.
    """

    def not_json(constant: str) -> None:
        raise InvalidInput(f"the body is not JSON: {constant} is not a JSON number.", 400)

    try:
        return json.loads(body.decode("utf-8"), parse_constant=not_json)
    except InvalidInput:
        raise
    except RecursionError:
        raise InvalidInput("the body is nested too deeply.", 400) from None
    except ValueError as error:  # malformed text, bytes that are not UTF-8, integers with thousands of digits
        raise InvalidInput(f"the body is not JSON: {error}.", 400) from None


def parse_instances(
    payload: Any, n_features: int, maximum_rows: int, input_range: tuple[Any, Any] | None = None
) -> tuple[Float[np.ndarray, "n d"], bool]:
    """Read `{"instance": row}` or `{"instances": [row, ...]}` into a matrix.

    Args:
        payload: decoded JSON.
        n_features: length that each row must have.
        maximum_rows: most rows that one request may hold.
        input_range: least and greatest value that a feature may have, numbers or (d,); None accepts all.

    Returns:
        the rows as float64, and whether a single one was sent.

    Raises:
        InvalidInput: naming the first value, row or key that is wrong.
    """
    if not isinstance(payload, dict) or len(payload) != 1 or not payload.keys() <= {"instance", "instances"}:
        got = f"keys {sorted(payload)[:5]}" if isinstance(payload, dict) else _json_type(payload)
        raise InvalidInput(
            'the body must be an object with one key, "instance" (a row) or "instances" (a list of rows), '
            f"got {got}."
        )
    single = "instance" in payload
    rows = [payload["instance"]] if single else payload["instances"]
    if not isinstance(rows, list) or not 1 <= len(rows) <= maximum_rows:
        got = f"{len(rows)} rows" if isinstance(rows, list) else _json_type(rows)
        raise InvalidInput(f"instances must be a list of 1 to {maximum_rows} rows, got {got}.")
    for i, row in enumerate(rows):
        name = "instance" if single else f"instances[{i}]"
        check_row(row, name, n_features)
    matrix = np.array(rows, dtype=np.float64)
    if input_range is not None:
        low, high = (np.broadcast_to(bound, n_features) for bound in input_range)
        for i, j in np.argwhere((matrix < low) | (matrix > high))[:1]:
            name = "instance" if single else f"instances[{i}]"
            raise InvalidInput(
                f"{name}[{j}] is {matrix[i, j]:g}, outside of {low[j]:g} to {high[j]:g}, the range in training."
            )
    return matrix, single


def check_row(row: Any, name: str, n_features: int) -> None:
    """Raise `InvalidInput` unless `row` is a list of `n_features` finite numbers that fit into float32."""
    if not isinstance(row, list):
        raise InvalidInput(f"{name} must be a list of {n_features} numbers, got {_json_type(row)}.")
    if len(row) != n_features:
        raise InvalidInput(f"{name} must hold {n_features} numbers, got {len(row)}.")
    largest = float(np.finfo(np.float32).max)
    for j, value in enumerate(row):
        if type(value) not in (float, int):  # not isinstance: True is an int in Python, but not a measurement
            raise InvalidInput(f"{name}[{j}] must be a number, got {_json_type(value)}.")
        if not -largest <= value <= largest:  # compares without converting, so that 10**400 does not overflow
            raise InvalidInput(f"{name}[{j}] must be a finite number that fits into float32.")


def _json_type(value: Any) -> str:  # practice: keep
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


# %% [markdown]
# ### The micro-batcher
#
# One coroutine forms batches, one worker thread runs the model (onnxruntime leaves the interpreter lock
# while it computes, so the event loop goes on reading requests). Everything else runs in the event loop, so
# it needs no locks. The contract:
#
# - `submit` either accepts, and then the future *will* be answered, or raises `Overloaded` at once;
# - requests are served in order of arrival and never split;
# - a request whose client has given up (its future is cancelled) is dropped before it costs the model
#   anything.


# %%
@dataclass
class WaitingRequest:
    """A request in the queue: its rows, when it came (by `time.monotonic`), and where its answer goes."""

    rows: Float[np.ndarray, "n d"]
    arrived: float
    future: asyncio.Future


@dataclass(frozen=True)
class BatchRecord:
    """What observers learn of a batch: when its requests arrived, its rows, when the model began and ended."""

    arrivals: tuple[float, ...]
    rows: int
    started: float
    finished: float


def take_batch(waiting: collections.deque[WaitingRequest], maximum_rows: int) -> list[WaitingRequest]:
    """Pop requests from the front of the queue, whole and in order, while they fit into `maximum_rows`.

    Requests that were cancelled meanwhile are dropped. The caller sees to it that no single request is
    larger than a batch.
    """
    batch: list[WaitingRequest] = []
    rows = 0
    while waiting:
        if waiting[0].future.done():
            waiting.popleft()
            continue
        if rows + len(waiting[0].rows) > maximum_rows:
            break
        rows += len(waiting[0].rows)
        batch.append(waiting.popleft())
    return batch


# %%
class MicroBatcher:
    """Collects requests into batches for a model, with a bounded queue.

    Args:
        predict: maps rows (n, d) to outputs (n, k); runs in a worker thread, one batch at a time.
        config: `maximum_batch`, `batch_window_ms` and `queue_limit` are used here.

    Attributes:
        draining: set to `True` to refuse new requests; `drain()` waits for the accepted ones.
        observers: called with a `BatchRecord` after each batch.
    """

    def __init__(self, predict: Callable[[np.ndarray], np.ndarray], config: ServiceConfig) -> None:
        self.predict, self.config = predict, config
        self.draining = False
        self.observers: list[Callable[[BatchRecord], None]] = []
        self.waiting: collections.deque[WaitingRequest] = collections.deque()
        self.unanswered = 0  # accepted requests whose future is not done
        self.seconds_per_row = 0.0  # running average, for Retry-After
        self.changed = asyncio.Event()  # something arrived, was answered, or the drain began
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    @property
    def rows_waiting(self) -> int:
        """Rows in the queue, those in the model's hands not counted."""
        return sum(len(request.rows) for request in self.waiting if not request.future.done())

    def retry_after(self) -> int:
        """Whole seconds, 1 to 60, after which today's queue will have been served."""
        return min(60, max(1, math.ceil(self.rows_waiting * self.seconds_per_row)))

    def submit(self, rows: Float[np.ndarray, "n d"]) -> asyncio.Future:
        """Accept a request; the future returned will hold its outputs (n, k).

        Raises:
            Overloaded: the queue is full, or the service is draining.
            ValueError: more rows than one batch can hold.
        """
        if len(rows) > self.config.maximum_batch:
            raise ValueError(f"rows must be at most {self.config.maximum_batch}, got {len(rows)}.")
        if self.draining:
            raise Overloaded("the service is shutting down", self.retry_after())
        if self.rows_waiting + len(rows) > self.config.queue_limit:
            raise Overloaded("the service is overloaded", self.retry_after())
        future = asyncio.get_running_loop().create_future()
        self.unanswered += 1
        future.add_done_callback(self.settle)
        self.waiting.append(WaitingRequest(rows, time.monotonic(), future))
        self.changed.set()
        return future

    def settle(self, future: asyncio.Future) -> None:
        """Count an accepted request as answered, or as given up by its client."""
        self.unanswered -= 1
        self.changed.set()

    async def next_batch(self) -> list[WaitingRequest]:
        """Wait for a request, then for companions until the batch is full or the window has passed."""
        while not self.waiting:
            await self.wait_for_change()
        closes = self.waiting[0].arrived + self.config.batch_window_ms / 1000.0
        while self.rows_waiting < self.config.maximum_batch and not self.draining:
            remaining = closes - time.monotonic()
            if remaining <= 0 or not await self.wait_for_change(remaining):
                break
        return take_batch(self.waiting, self.config.maximum_batch)

    async def wait_for_change(self, patience: float | None = None) -> bool:
        """Sleep until something happens; `False` if nothing did for `patience` seconds."""
        self.changed.clear()
        try:
            async with asyncio.timeout(patience):  # unlike wait_for, nothing runs between clear and wait
                await self.changed.wait()
        except TimeoutError:
            return False
        return True

    async def answer(self, batch: list[WaitingRequest]) -> None:
        """Run the model on one batch and hand each request its rows of the output, or the error."""
        rows = np.concatenate([request.rows for request in batch])  # (sum of n, d)
        started = time.monotonic()
        try:
            outputs = await asyncio.get_running_loop().run_in_executor(self.worker, self.predict, rows)
            if len(outputs) != len(rows):
                raise RuntimeError(f"the model gave {len(outputs)} rows for {len(rows)}.")
        except Exception as error:
            for request in batch:
                if not request.future.done():
                    request.future.set_exception(error)
            return
        finished = time.monotonic()
        ends = np.cumsum([len(request.rows) for request in batch])
        for request, part in zip(batch, np.split(outputs, ends[:-1]), strict=True):
            if not request.future.done():
                request.future.set_result(part)
        self.seconds_per_row += 0.2 * ((finished - started) / len(rows) - self.seconds_per_row)
        record = BatchRecord(tuple(request.arrived for request in batch), len(rows), started, finished)
        for observe in self.observers:
            observe(record)

    async def run(self) -> None:
        """Serve batch after batch until cancelled."""
        while True:
            if batch := await self.next_batch():
                await self.answer(batch)

    async def drain(self) -> None:
        """Refuse new requests, and return when every accepted one has been answered."""
        self.draining = True
        self.changed.set()  # a batch that waits for companions need not wait any longer
        while self.unanswered:
            await self.wait_for_change()


# %% [markdown]
# ### The queue in theory


# %%
def lindley_waiting_times(
    interarrival: Float[np.ndarray, " ..."], service: Float[np.ndarray, " ..."]
) -> Float[np.ndarray, " ..."]:
    """Waiting time of each request in a first-come-first-served queue that starts empty.

    Args:
        interarrival: time between request i and the one before it; the first entry has no effect.
        service: service times, in the same unit.

    Returns:
        time from arrival to start of service. O(n) time and memory, vectorized over leading axes.

    Raises:
        ValueError: the shapes differ.

    Source: Lindley (1952).
    """
    if interarrival.shape != service.shape:
        raise ValueError(
            f"interarrival and service must have the same shape, got {interarrival.shape} and "
            f"{service.shape}."
        )
    # x_n = s_{n-1} - a_n, and x_0 = 0: the first request waits for nobody
    walk = np.zeros(service.shape)
    np.subtract(service[..., :-1], interarrival[..., 1:], out=walk[..., 1:])
    np.cumsum(walk, axis=-1, out=walk)  # S_n
    return walk - np.minimum.accumulate(walk, axis=-1)  # w_n = S_n - min_{k <= n} S_k


def mean_waiting_time(load: float, service_time: float = 1.0, squared_variation: float = 1.0) -> float:
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


def occupancy(load: float, capacity: int) -> Float[np.ndarray, " states"]:
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


def accepted_waiting_time(load: float, capacity: int, service_time: float = 1.0) -> float:
    """Mean wait of the requests that an M/M/1/K queue accepts, in the unit of `service_time`.

    Arguments and errors as `blocking_probability`.
    """
    validate_number(service_time, "service_time", minimum=0)
    p = occupancy(load, capacity)
    # W = s * sum_{n<K} n p_n / (1 - p_K): who finds n in the system waits for n services
    return float(service_time * (np.arange(capacity) @ p[:-1]) / p[:-1].sum())


# %% [markdown]
# The simulation keeps, for each replicate, the departure times of the last $K$ accepted requests. The system
# is full exactly if the oldest of them has not left yet.


# %%
def simulate_finite_queue(
    interarrival: Float[np.ndarray, "_ _"], service: Float[np.ndarray, "_ _"], capacity: int
) -> tuple[Float[np.ndarray, "replicates n"], Bool[np.ndarray, "replicates n"]]:
    """First-come-first-served queues that refuse arrivals while `capacity` requests are in the system.

    Args:
        interarrival, service: as in `lindley_waiting_times`; any distribution.
        capacity: K, the one in service included.

    Returns:
        waiting times (NaN where refused) and whether each request was accepted. n steps, each
        vectorized over the replicates.

    Raises:
        ValueError: the shapes differ, or a capacity below 1.
    """
    if interarrival.shape != service.shape:
        raise ValueError(
            f"interarrival and service must have the same shape, got {interarrival.shape} and "
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
# | overload | 503 with `Retry-After` | FastAPI, uvicorn: no bound | 429 would blame one client |
# | invalid input | 422 naming the value, 400 if not JSON | 422 repeating the value | NaN is not JSON: 500 |


# %%
def validate() -> list[Agreement]:
    """Our network beside onnxruntime and beside the answers over HTTP; queueing formulas beside SciPy."""
    from shared.datasets import load_digits

    X = load_digits().X
    comparison = Comparison(reference="onnxruntime", dataset="digits")
    compare_architectures(comparison, X)
    compare_service(comparison, X)
    compare_queues(comparison)
    return comparison.agreements


def compare_architectures(comparison: Comparison, X: np.ndarray) -> None:  # practice: keep
    """Logits of every kind of network that Level 3 builds, ours against onnxruntime's."""
    from level3_deep_learning import modules
    from level3_deep_learning.multilayer_perceptron import ACTIVATIONS, MLP

    networks = {f"MLP, {name}": MLP([64, 48, 32, 10], name, rng=0) for name in ACTIVATIONS}
    networks["layer norm, dropout, tanh GELU"] = modules.Sequential(
        modules.Linear(64, 32, rng=0), modules.LayerNorm(32), modules.GELU("tanh"), modules.Dropout(0.5),
        modules.Linear(32, 10, bias=False, rng=1),
    )  # fmt: skip
    for name, network in networks.items():
        reason = "both compute in float32: a few roundings of 6e-8 for each layer"
        compare_logits(comparison, f"logits, {name}", network.eval(), X, tolerance=1e-5, reason=reason)
    trained = measurements.digits_classifier().network_
    reason = "both compute in float64, the scaling included: rounding only"
    compare_logits(comparison, "logits, trained", trained, X, scale=16.0, tolerance=1e-11, reason=reason)


def compare_logits(
    comparison: Comparison,
    quantity: str,
    network: Any,
    X: np.ndarray,
    *,
    scale: float = 1.0,
    tolerance: float,
    reason: str,
) -> None:  # practice: keep
    """One network, fed with X / scale, against its exported graph, fed with X."""
    predictor = OnnxPredictor(export_onnx(network, X.shape[1], scale=scale).SerializeToString())
    ours, theirs = comparison.run(
        lambda: measurements.network_logits(network, X / scale), lambda: predictor(X)
    )
    comparison.compare(quantity, ours, theirs, tolerance=tolerance, reason=reason)


def compare_service(comparison: Comparison, X: np.ndarray) -> None:  # practice: keep
    """Answers of a service in a process of its own, in batches and one by one, against the network itself."""
    classifier = measurements.digits_classifier()
    served = comparison.on(reference="onnxruntime behind HTTP")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.onnx"
        export_onnx(classifier.network_, 64, path, scale=16.0, classes=classifier.classes_)
        with running_service(path, ServiceConfig(port=0, drain_seconds=0.0)) as url:
            ours, answers = served.run(
                lambda: measurements.network_logits(classifier.network_, X / 16.0),
                lambda: [
                    client.fetch(f"{url}/predict", {"instances": rows.tolist()}).json()["predictions"]
                    for rows in np.split(X, range(64, len(X), 64))
                ],
            )
            single = client.fetch(f"{url}/predict", {"instance": X[0].tolist()}).json()["prediction"]
    answers = [answer for batch in answers for answer in batch]
    allowed = {"tolerance": 1e-11, "reason": "both compute in float64, and JSON carries every digit"}
    served.compare("logits, batches", ours, [answer["logits"] for answer in answers], **allowed)
    served.compare("logits, single", ours[0], single["logits"], **allowed)
    probabilities = [answer["probabilities"] for answer in answers]
    served.compare("probabilities", classifier.predict_proba(X / 16.0), probabilities, **allowed)
    reason = "no two logits of a digit are as close as rounding"
    labels = np.array([answer["label"] for answer in answers])
    served.compare("labels", classifier.predict(X / 16.0), labels, tolerance=0.0, reason=reason)


def compare_queues(comparison: Comparison) -> None:  # practice: keep
    """The formulas against stationary states found by linear algebra, without any formula for them."""
    for load in (0.5, 1.0, 1.8):
        compare_bounded_queue(comparison, load, capacity=12)
    for squared_variation, law in ((0.0, "M/D/1"), (1.0, "M/M/1")):
        compare_mean_wait(comparison, 0.7, squared_variation, law)


def compare_mean_wait(  # practice: keep
    comparison: Comparison, load: float, squared_variation: float, law: str
) -> None:
    """Mean wait of one M/G/1 queue."""
    chain = comparison.on(reference="scipy.linalg.solve", dataset=f"{law} queue")
    ours, theirs = chain.run(
        lambda: mean_waiting_time(load, 1.0, squared_variation),
        lambda: measurements.embedded_chain_wait(load, squared_variation),
    )
    reason = "the chain of departures is cut at 200 requests, which have probability below 0.7^200"
    chain.compare(f"mean wait at load {load:g}, {law}", ours, theirs, tolerance=1e-9, reason=reason)


def compare_bounded_queue(comparison: Comparison, load: float, capacity: int) -> None:  # practice: keep
    """Occupancy, refused share and wait of one M/M/1/K queue."""
    finite = comparison.on(reference="scipy.linalg.null_space", dataset=f"M/M/1/{capacity} queue")
    ours, p = finite.run(
        lambda: occupancy(load, capacity), lambda: measurements.stationary_occupancy(load, capacity)
    )
    # Little's law: mean queue length = accepted rate × mean wait
    wait = (np.arange(1, capacity + 1) - 1) @ p[1:] / (load * (1 - p[-1]))
    allowed = {"tolerance": 1e-10, "reason": "both solve the same balance: rounding only"}
    finite.compare(f"occupancy at load {load:g}", ours, p, **allowed)
    finite.compare(f"refused at load {load:g}", blocking_probability(load, capacity), p[-1], **allowed)
    finite.compare(f"accepted wait at load {load:g}", accepted_waiting_time(load, capacity), wait, **allowed)


# %%
def benchmarks() -> list[Benchmark]:
    """Inference: our network in NumPy against the exported graph in onnxruntime, over the number of rows."""

    def setup(size: int) -> tuple[Callable, Callable]:
        from level3_deep_learning.multilayer_perceptron import MLP

        network = MLP([64, 128, 10], rng=0)
        X = np.random.default_rng(0).random((size, 64), dtype=np.float32)
        predictor = OnnxPredictor(export_onnx(network, 64).SerializeToString())
        return lambda: measurements.network_logits(network, X), lambda: predictor(X)

    name = "inference, MLP 64-128-10, float32"
    return [Benchmark(name, (2_000, 8_000, 32_000), setup, 1.0, "onnxruntime", repeats=9, unit="rows")]


# %% [markdown]
# ## 5. Document
#
# `example()` serves the trained network and lets digits arrive at random times. Left: what theory says about
# the mean wait, and a simulation. Right: every single request of the live service, its measured wait over
# the wait that Lindley's recursion computes from the same arrivals and service times. No point can lie below
# the line; how far they lie above it is what the event loop and the operating system add.


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
        dots = [measurements.simulated_waiting_time(load, c2, 300_000, rng) for load in simulated]
        theory.plot(simulated, dots, "o", color=COLORS[color], markersize=5)
    theory.set_title("The last percents of load cost the most")
    theory.set(xlabel="load ρ", ylabel="mean wait / mean service time")
    theory.legend(title="service time: formula (line), simulation (dots)")

    classifier = measurements.digits_classifier()
    predictor = OnnxPredictor(export_onnx(classifier.network_, 64, scale=16.0).SerializeToString())
    payloads = [{"instance": row.tolist()} for row in load_digits().X[-120:]]
    measured, computed = measurements.live_waiting_times(payloads, 0.8, 0.004, predictor, rng)
    dots = {"color": COLORS["ours"], "markersize": 4, "alpha": 0.7, "label": "one request"}
    live.plot(1e3 * computed, 1e3 * measured, "o", **dots)
    end = 1e3 * max(measured.max(), computed.max())
    live.plot([0, end], [0, end], color=COLORS["theory"], label="as Lindley's recursion computes")
    live.set_title("Each request of the live service")
    live.set(xlabel="wait by Lindley's recursion / ms", ylabel="measured wait / ms")
    live.legend()
    return figure


# %% [markdown]
# **When to use it.** A model that answers many small independent requests, on one machine, within tens of
# milliseconds. Start with `maximum_batch` near the batch size where throughput stops growing (`benchmarks()`
# shows it), a window well below the latency you promise, and a queue that holds what can be served within
# the patience of a client: `queue_limit` ≈ timeout × capacity.
#
# **When not.** Offline scoring (call the model on whole arrays); several models or machines behind one
# address (a dedicated server such as Triton or KServe, and a load balancer); requests that depend on each
# other; models that need seconds per request (a job queue). Neither authentication nor encryption stands
# here: a proxy in front does both.
#
# **Choosing what to refuse.** A bounded queue refuses the newest. That keeps every promise already given,
# and costs the share $p_K$ that the formula tells in advance.
#
# **How it breaks**: [`failure_modes/model_serving.py`](failure_modes/model_serving.py): inputs scaled
# differently in training and in serving; waiting near full load; a queue without bound that works only for
# clients who have left.

# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example)
