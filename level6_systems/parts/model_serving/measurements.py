"""What `model_serving.validate` and `example` measure with: a trained network, stationary states of queues by
linear algebra, and a load test of the live service. The tests use it too."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from level6_systems.parts.model_serving import client

PATIENCE = 600.0  # seconds: a busy machine makes a measurement long, and no fault


@functools.cache
def digits_classifier() -> Any:
    """Level 3's classifier, trained on the digits scaled to [0, 1], all but the last 360 of them."""
    from level3_deep_learning.multilayer_perceptron import MLPClassifier
    from shared.datasets import load_digits

    digits = load_digits()
    classifier = MLPClassifier((64,), learning_rate_init=0.01, tol=5e-3, n_iter_no_change=3, random_state=0)
    return classifier.fit(digits.X[:-360] / 16.0, digits.y[:-360])


def network_logits(network: Any, X: np.ndarray) -> np.ndarray:
    """Logits of a Level-3 network on plain arrays, in its own floating type."""
    from level1_foundations.automatic_differentiation import Tensor, no_grad

    own = next(network.parameters()).dtype
    with no_grad():
        return network(Tensor(np.asarray(X, dtype=own))).array


def stationary_occupancy(load: float, capacity: int) -> np.ndarray:
    """Null vector of the M/M/1/K queue's matrix of rates."""
    from scipy.linalg import null_space

    rates = np.diag(np.full(capacity, load), 1) + np.diag(np.ones(capacity), -1)
    generator = rates - np.diag(rates.sum(1))
    p = null_space(generator.T)[:, 0]
    return p / p.sum()


def embedded_chain_wait(load: float, squared_variation: float, states: int = 200) -> float:
    """Mean wait from the Markov chain of the number that each departure leaves behind, and Little's law."""
    from scipy.linalg import solve
    from scipy.stats import geom, poisson

    k = np.arange(states)  # arrivals during one service
    arrivals = poisson.pmf(k, load) if squared_variation == 0 else geom.pmf(k + 1, 1 / (1 + load))
    P = np.zeros((states, states))
    for i in range(states):
        first = max(i - 1, 0)
        P[i, first:] = arrivals[: states - first]
    A = P.T - np.eye(states)
    A[-1] = 1.0  # one balance equation follows from the others; the probabilities sum to 1 instead
    pi = solve(A, np.eye(states)[-1])
    return float(k @ pi) / load - 1.0


def mixture_quantile(level: float, load: float, capacity: int | None) -> float:
    """Quantile of the wait of accepted requests: n services with the probability of finding n in the system."""
    from scipy.optimize import brentq
    from scipy.stats import gamma

    if capacity is None:
        n = np.arange(900)
        found = (1 - load) * load**n
    else:
        found = stationary_occupancy(load, capacity)[:-1]
        n, found = np.arange(capacity), found / found.sum()
    late = lambda t: found[1:] @ gamma.sf(t, n[1:]) - (1 - level)
    return float(brentq(late, 0, 1000, xtol=1e-12))


def simulated_waiting_time(
    load: float, squared_variation: float, n: int, rng: np.random.Generator, waiting_times: Callable
) -> float:
    """Mean wait of `n` requests in one long run, in mean service times; `waiting_times` is Lindley's recursion."""
    service = rng.standard_exponential(n) if squared_variation == 1 else np.ones(n)
    return float(waiting_times(rng.standard_exponential(n) / load, service).mean())


def live_waiting_times(
    payloads: Sequence[Any],
    load: float,
    service_time: float,
    predictor: Any,
    rng: np.random.Generator,
    waiting_times: Callable,
) -> tuple[np.ndarray, np.ndarray]:
    """Measured waits of a live service with one request a batch, and Lindley's for its arrivals and services.

    The service takes `service_time` seconds for each request, by sleeping for what the model leaves of it;
    the payloads arrive at random, at the rate that makes the load `load`.
    """
    from level6_systems.parts.model_serving.requests import ServiceConfig
    from level6_systems.parts.model_serving.service import service_in_thread

    def paced(rows: np.ndarray) -> np.ndarray:
        until = time.monotonic() + service_time
        outputs = predictor(rows)
        time.sleep(max(0.0, until - time.monotonic()))
        return outputs

    paced.n_features, paced.classes = predictor.n_features, predictor.classes
    records: list[Any] = []
    config = ServiceConfig(
        maximum_batch=1, batch_window_ms=0.0, queue_limit=10_000, drain_seconds=0.0, port=0, timeout=PATIENCE
    )
    times = np.cumsum(rng.standard_exponential(len(payloads)) * service_time / load)
    with service_in_thread(paced, config) as service:
        service.batcher.observers.append(records.append)
        client.open_loop(f"{service.url}/predict", payloads, times, patience=PATIENCE)
    arrived = np.array([record.arrivals[0] for record in records])
    started = np.array([record.started for record in records])
    served = np.array([record.finished for record in records]) - started
    return started - arrived, waiting_times(np.diff(arrived, prepend=arrived[0]), served)
