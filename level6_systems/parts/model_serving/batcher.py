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
# # The micro-batcher, whole
#
# Part of the topic [model serving](../../model_serving.py), which exports these names and shows it in one breath.

# %%
from __future__ import annotations

import asyncio
import collections
import logging
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from level6_systems.parts.model_serving.requests import ServiceConfig

__all__ = ["BatchRecord", "MicroBatcher", "Overloaded", "WaitingRequest", "take_batch"]


# %%
class Overloaded(RuntimeError):
    """The service cannot take the request now; worth another try after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(f"{message}; try again in {retry_after} s.")
        self.retry_after = retry_after


# %% [markdown]
# ### The micro-batcher
#
# One coroutine forms batches, one worker thread runs the model (onnxruntime leaves the interpreter lock while it computes,
# so the event loop goes on reading requests). Everything else runs in the event loop, so it needs no locks. The contract:
#
# - `submit` either accepts, and then the future *will* be answered, be it with an error, or raises `Overloaded` at once;
# - requests are served in order of arrival and never split;
# - a request whose client has given up (its future is cancelled) is dropped before it costs the model
# anything.


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


def fail(requests: Iterable[WaitingRequest], error: Exception) -> None:
    """Answer requests with an error, those excepted that have an answer or were given up."""
    for request in requests:
        if not request.future.done():
            request.future.set_exception(error)
            request.future.exception()  # a client may have left: no complaint that nobody looked at it


# %%
class MicroBatcher:
    """Collects requests into batches for a model, with a bounded queue.

    Args:
        predict: maps rows (n, d) to outputs (n, k); runs in a worker thread, one batch at a time.
        config: `maximum_batch`, `batch_window_ms` and `queue_limit` are used here.

    Attributes:
        draining: set to `True` to refuse new requests; `drain()` waits for the accepted ones.
        failed: whether `run` has ended with an error: whoever waits has been told, and nobody is accepted any more.
        observers: called with a `BatchRecord` after each batch.
    """

    def __init__(self, predict: Callable[[np.ndarray], np.ndarray], config: ServiceConfig) -> None:
        self.predict, self.config = predict, config
        self.draining = self.failed = False
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
            ValueError: no row, or more than one batch can hold.
        """
        if not 1 <= len(rows) <= self.config.maximum_batch:
            raise ValueError(f"rows must be 1 to {self.config.maximum_batch}, got {len(rows)}.")
        if self.draining:
            raise Overloaded("the service is shutting down", self.retry_after())
        if self.rows_waiting + len(rows) > self.config.queue_limit:
            raise Overloaded("the service is overloaded", self.retry_after())
        if (
            len(self.waiting) > self.config.queue_limit
        ):  # so many only if clients have left while the model was busy
            self.waiting = collections.deque(r for r in self.waiting if not r.future.done())
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
        while not self.waiting or self.waiting[0].future.done():
            if self.waiting:
                self.waiting.popleft()  # the window of one who has left does not count
            else:
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
            loop = asyncio.get_running_loop()
            outputs = np.asarray(await loop.run_in_executor(self.worker, self.predict, rows))
            if outputs.ndim == 0 or len(outputs) != len(rows):
                raise RuntimeError(
                    f"the model gave {outputs.shape[0] if outputs.ndim else 0} rows for {len(rows)}."
                )
        except Exception as error:
            fail(batch, error)
            return
        except asyncio.CancelledError:
            fail(batch, Overloaded("the service has stopped", self.retry_after()))
            raise
        finished = time.monotonic()
        ends = np.cumsum([len(request.rows) for request in batch])
        for request, part in zip(batch, np.split(outputs, ends[:-1]), strict=True):
            if not request.future.done():
                request.future.set_result(part)
        self.seconds_per_row += 0.2 * ((finished - started) / len(rows) - self.seconds_per_row)
        record = BatchRecord(tuple(request.arrived for request in batch), len(rows), started, finished)
        for observe in self.observers:
            try:
                observe(record)
            except Exception:  # who only watches must not stop the service
                logging.getLogger(__name__).exception("an observer failed")

    async def run(self) -> None:
        """Serve batch after batch until cancelled; however it ends, nobody is left without an answer."""
        try:
            while True:
                if batch := await self.next_batch():
                    await self.answer(batch)
        except Exception:
            self.failed = True
            raise
        finally:
            self.draining = True  # nobody forms batches any more: refuse what would not be answered
            fail(self.waiting, Overloaded("the service has stopped", self.retry_after()))

    async def drain(self) -> None:
        """Refuse new requests, and return when every accepted one has been answered."""
        self.draining = True
        self.changed.set()  # a batch that waits for companions need not wait any longer
        while self.unanswered:
            await self.wait_for_change()
