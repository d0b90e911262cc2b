"""Replicates of an experiment over seeds: here, over processes, or on a Dask cluster; the same numbers everywhere."""

from __future__ import annotations

import importlib
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

SCHEDULER_BOUND = 6.0
"""Seconds for a scheduler to answer, and half as many for a worker."""

__all__ = ["SchedulerUnavailable", "reach_scheduler", "replicates"]

Experiment = Callable[..., Any]


class SchedulerUnavailable(RuntimeError):
    """The Dask scheduler did not answer, has no workers, or lost them all."""


def replicates(
    experiment: Experiment,
    parameters: Mapping[str, Any],
    key: tuple[int, ...],
    seeds: int,
    *,
    scheduler: str | None = None,
) -> list[Any]:
    """Run `experiment(rng, **parameters)` for seeds 0 … seeds − 1; the same numbers wherever and in whatever order they run.

    A seed's generator depends on the seed and on `key` alone, so more seeds extend a run and do not replace it. On
    this machine the first replicates are timed, and only a run that would take long is spread over processes, whose
    start costs about a second.

    Args:
        key: integers that tell this experiment's generators from those of others.
        scheduler: address of a Dask scheduler, such as "tcp://127.0.0.1:8786"; by default this machine.

    Raises:
        SchedulerUnavailable: no answer from the scheduler within its bound.
    """
    if scheduler is not None:
        return _replicate_on_cluster(experiment, parameters, key, seeds, scheduler)
    values: list[Any] = []
    start = time.perf_counter()
    while len(values) < seeds:
        values.append(_one_replicate(experiment, parameters, key, len(values)))
        elapsed = time.perf_counter() - start
        remaining = elapsed / len(values) * (seeds - len(values))
        if remaining > 6.0 and (os.cpu_count() or 1) > 1 and not _in_worker():
            from concurrent.futures.process import BrokenProcessPool

            from joblib import Parallel, delayed

            rest = range(len(values), seeds)
            try:
                values += Parallel(n_jobs=-1)(
                    delayed(_one_replicate)(experiment, parameters, key, seed) for seed in rest
                )
            except BrokenProcessPool:  # a cached function of a notebook cannot be sent to another process
                values += [_one_replicate(experiment, parameters, key, seed) for seed in rest]
    return values


def _one_replicate(
    experiment: Experiment, parameters: Mapping[str, Any], key: tuple[int, ...], seed: int
) -> Any:
    return experiment(np.random.default_rng([seed, *key]), **parameters)


def _in_worker() -> bool:
    """Under pytest-xdist every core is at work already."""
    return "PYTEST_XDIST_WORKER" in os.environ


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """A client of the scheduler, once it and at least one worker have answered, within `SCHEDULER_BOUND` seconds."""
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise SchedulerUnavailable(
            "a scheduler was named, but Dask is not installed: pip install -e '.[cluster]' (in the repository)."
        ) from None
    if not re.fullmatch(r"inproc://\S+|[a-z]+://[^/\s]+:\d+/?", address):
        raise SchedulerUnavailable(
            f"no Dask scheduler answers at {address}: an address looks like tcp://127.0.0.1:8786."
        )
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is raised
    try:
        client = Client(address, timeout=SCHEDULER_BOUND, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SchedulerUnavailable(f"no Dask scheduler answers at {address}: {reason}") from None
    try:
        try:
            client.wait_for_workers(1, timeout=SCHEDULER_BOUND / 2)
        except TimeoutError:
            raise SchedulerUnavailable(
                f"the Dask scheduler at {address} has no workers: start one with 'dask worker {address}'."
            ) from None
        with client.as_current():
            yield client
    finally:
        client.close(timeout=5)


def reach_scheduler(address: str) -> int:
    """Number of workers of the Dask scheduler at this address.

    Raises:
        SchedulerUnavailable: nothing answers there, or it has no workers.
    """
    with _cluster(address) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


def _replicate_on_cluster(
    experiment: Experiment,
    parameters: Mapping[str, Any],
    key: tuple[int, ...],
    seeds: int,
    address: str,
    *,
    idle_timeout: float = 120.0,
) -> list[Any]:
    """Run the replicates on a Dask cluster; a lost worker's share is run again by the others.

    Raises:
        SchedulerUnavailable: nothing answers at the address, no worker is connected, or no replicate came
            back for `idle_timeout` seconds.
    """
    module, qualified_name = experiment.__module__, experiment.__qualname__
    if module == "__main__":
        raise ValueError("an experiment defined in a script cannot be sent to a cluster; import its module.")
    with _cluster(address) as client:
        from distributed import wait

        # About 16 shares a worker: small enough to lose one cheaply, large enough to hide the latency.
        workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        share = max(1, math.ceil(seeds / (16 * workers)))
        futures = {
            client.submit(
                _replicates_by_name, module, qualified_name, dict(parameters), key, first,
                min(first + share, seeds), pure=False, retries=3,
            ): first
            for first in range(0, seeds, share)
        }  # fmt: skip
        collected: dict[int, list[Any]] = {}
        pending = set(futures)
        while pending:
            try:
                done, pending = wait(pending, timeout=idle_timeout, return_when="FIRST_COMPLETED")
            except TimeoutError:
                raise SchedulerUnavailable(
                    f"the Dask scheduler at {address} sent no result for {idle_timeout:g} seconds."
                ) from None
            for future in done:
                collected[futures[future]] = _gather(future, address, 10.0)
        return [value for first in sorted(collected) for value in collected[first]]


def _gather(future: Any, address: str, timeout: float) -> list[Any]:
    try:
        return future.result(timeout=timeout)
    except Exception as error:
        kind = type(error).__name__
        if kind in (
            "KilledWorker",
            "CancelledError",
            "FutureCancelledError",
            "TimeoutError",
            "CommClosedError",
        ):
            raise SchedulerUnavailable(f"the workers of {address} were lost: {kind}.") from None
        if isinstance(error, ModuleNotFoundError):
            raise SchedulerUnavailable(
                f"a worker of {address} cannot import {error.name}: install ground-up where the workers run."
            ) from None
        raise


def _replicates_by_name(
    module: str, qualified_name: str, parameters: dict[str, Any], key: tuple[int, ...], first: int, stop: int
) -> list[Any]:
    """One share of the replicates on a worker, which imports the experiment by name."""
    experiment = importlib.import_module(module)
    for part in qualified_name.split("."):
        experiment = getattr(experiment, part)
    return [
        _one_replicate(experiment, parameters, key, seed)  # type: ignore[arg-type]
        for seed in range(first, stop)
    ]
