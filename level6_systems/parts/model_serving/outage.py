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
# # Clients who ask again after an outage
#
# Part of the topic [model serving](../../model_serving.py): the experiment behind its last failure mode.

# %%
from __future__ import annotations

import heapq
from math import ceil

import numpy as np

__all__ = ["answered_after_the_outage", "recovers"]


# %%
def answered_after_the_outage(
    rng: np.random.Generator,
    load: float,
    retries: int,
    timeout: float,
    capacity: int,
    outage: float,
    horizon: float,
) -> float:
    """Share of clients that get an answer in time, in the second half of `horizon` service times after an outage.

    Clients arrive at random, from −outage on; nothing is served before time 0, and one request each service time after it.
    Who was refused or waits in vain asks again after `timeout`, `retries` times at most; the server does not know that they
    have left.
    """
    born = np.sort(rng.uniform(-outage, horizon, rng.poisson(load * (outage + horizon))))
    attempts = [(time, 0, client) for client, time in enumerate(born.tolist())]  # sorted: a heap already
    answered = np.zeros(len(born), dtype=bool)
    free = 0.0  # when the server will have worked off its queue
    while attempts:
        time, attempt, client = heapq.heappop(attempts)
        begin = max(time, 0.0, free)
        if (
            not capacity or ceil(begin - max(time, 0.0)) < capacity
        ):  # so many are in the system, one ends each unit
            free = begin + 1.0
            answered[client] = free - time <= timeout
        if not answered[client] and attempt < retries:
            heapq.heappush(attempts, (time + timeout, attempt + 1, client))
    return float(answered[(born > horizon / 2) & (born < horizon - (retries + 1) * timeout)].mean())


def recovers(
    load: float, retries: int, timeout: float, capacity: int, outage: float, horizon: float
) -> float:
    """1 if all are answered again, 0 if nobody is."""
    inflated = load * (1 + retries)
    if capacity > timeout or load >= 0.9 or outage < 5 * timeout:
        raise ValueError(
            f"K must be at most T, the load below 0.9 and the outage long, got {capacity}, {load}, {outage}."
        )
    if capacity or (inflated < 1 and outage * inflated / (1 - inflated) < horizon / 3):
        return 1.0
    if (
        inflated - 1
    ) * outage >= timeout:  # the chance to get rid of the backlog all the same is e to minus some 10
        return 0.0
    raise ValueError(
        f"the load with retries, {inflated:g}, is too near to 1 for a verdict within {horizon:g}."
    )
