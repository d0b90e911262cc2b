"""Failure modes: break, explain, fix; each with the number that theory predicts and the number measured.

A `Claim` is one falsifiable sentence: an experiment (a function of a random generator and parameters), the
quantity it measures, and what a formula predicts for it. A `FailureMode` pairs the claim about what breaks
with the claim about what mends it. `measure` repeats both over seeds and gives the verdict.

**The verdict.** Over many true claims, 95 % intervals would fail some in every run. Each verdict therefore
uses an interval at level 1 − 0.05/`CLAIMS`, where `CLAIMS` bounds the number of claims in the whole
curriculum (Bonferroni): the chance that any true claim is refuted stays below 5 %, and a verdict does not
change when a topic is added. With the interval [l, u] and the prediction p ± δ:

- p ≈ : *holds* if [l, u] lies inside [p − δ, p + δ], *refuted* if wholly outside, else *inconclusive*;
- p ≥ : *holds* if l ≥ p − δ, *refuted* if u < p − δ; and p ≤ mirrored. A bound also reports its slack.

Means use Student's t. Yes-or-no outcomes, and a `Share` of independent trials in each replicate, use the exact
binomial interval (Clopper and Pearson 1934), so that 20 successes in 20 runs do not count as certainty. Where all
replicates are equal, Student's interval would have no width; that is no evidence of certainty either, and the
verdict is inconclusive, unless the claim says `every_seed`: an identity that each replicate must meet by itself.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import numpy as np

from shared.special import betaincinv, stdtrit

__all__ = [
    "CLAIMS",
    "Claim",
    "FailureMode",
    "Measurement",
    "Outcome",
    "SchedulerUnavailable",
    "Share",
    "judge",
    "measure",
    "reach_scheduler",
    "replicate",
]

CLAIMS = 500
"""At most this many claims in the whole curriculum: 80 topics, three modes each, two claims a mode."""

Relation = str  # "≈", "≥" or "≤"


class Share(NamedTuple):
    """How many of a replicate's independent trials came out so. The trials of all replicates are counted together."""

    successes: int
    trials: int

    def __float__(self) -> float:
        return self.successes / self.trials if self.trials else math.nan


@dataclass(frozen=True)
class Claim:
    """A falsifiable sentence with the experiment that can refute it.

    Attributes:
        statement: the sentence.
        quantity: what is measured, with its unit.
        experiment: `experiment(rng, **parameters)`, one replicate: a float, a bool for yes or no, or a `Share`.
        predicted: `predicted(**parameters)`, from a formula, never from a run.
        relation: measured ≈, ≥ or ≤ predicted.
        tolerance: δ, the finite-size or first-order error of the formula; times |predicted| if `relative`.
        reason: why that δ.
        parameters: keyword arguments of both functions.
        deterministic: the experiment ignores its generator and is run once.
        resolution: what the measuring instrument itself cannot tell apart, in units of the quantity: an interpreter
            adds its own objects to a peak of memory. The interval of a deterministic claim is this much to each side.
        every_seed: an identity: the formula holds for each replicate, and a single one outside refutes it. The
            interval is then the range of the replicates.
    """

    statement: str
    quantity: str
    experiment: Callable[..., float | Share]
    predicted: Callable[..., float]
    relation: Relation
    tolerance: float
    reason: str
    relative: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    deterministic: bool = False
    resolution: float = 0.0
    every_seed: bool = False

    def __post_init__(self) -> None:
        if self.relation not in ("≈", "≥", "≤"):
            raise ValueError(f"relation must be '≈', '≥' or '≤', got {self.relation!r}.")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance must be a number that is at least 0, got {self.tolerance!r}.")
        if not (self.statement and self.quantity and self.reason):
            raise ValueError("a claim needs a statement, a quantity and a reason for its tolerance.")


@dataclass(frozen=True)
class FailureMode:
    """How a topic breaks and what mends it.

    Attributes:
        name: an identifier, unique within the topic. title: the heading.
        breaks, remedy: the two claims. figure: draws both against the prediction.
        seeds: how many replicates decide both claims in about a second.
    """

    name: str
    title: str
    breaks: Claim
    remedy: Claim
    figure: Callable[[], Any]
    seeds: int = 20

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"name must be an identifier such as 'unlucky_start', got {self.name!r}.")
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds!r}.")


@dataclass(frozen=True)
class Measurement:
    """A claim, measured.

    Attributes:
        predicted: the formula's number. delta: δ in the units of the quantity. relation: ≈, ≥ or ≤.
        measured: mean over the seeds. interval: its 95 % confidence interval, or what `interval_kind` says.
        corrected: the wider interval that the verdict uses. verdict: holds, refuted or inconclusive.
        slack: for a bound, how far the measured value stays on its side; NaN for ≈.
        seeds: how many replicates. seeds_needed: about how many would decide an inconclusive claim.
        values: the replicates.
    """

    claim: Claim
    predicted: float
    delta: float
    measured: float
    interval: tuple[float, float]
    corrected: tuple[float, float]
    verdict: Literal["holds", "refuted", "inconclusive"]
    slack: float
    seeds: int
    seeds_needed: int
    values: tuple[float, ...] = field(repr=False)
    seconds: float

    @property
    def holds(self) -> bool:
        return self.verdict == "holds"

    @property
    def interval_kind(self) -> Literal["exact", "instrument", "range", "confidence"]:
        """Exact, the instrument's resolution, the range of replicates that must all comply, or 95 % confidence."""
        if self.claim.deterministic:
            return "instrument" if self.claim.resolution else "exact"
        return "range" if self.claim.every_seed else "confidence"


@dataclass(frozen=True)
class Outcome:
    """A failure mode, measured: what breaks, and what mends it."""

    failure_mode: FailureMode
    breaks: Measurement
    remedy: Measurement


class SchedulerUnavailable(RuntimeError):
    """The Dask scheduler did not answer, has no workers, or lost them all."""


def measure(failure_mode: FailureMode, *, seeds: int | None = None, scheduler: str | None = None) -> Outcome:
    """Measure both claims of a failure mode.

    Args:
        seeds: replicates for each claim, at least 1; by default the failure mode's own number.
        scheduler: address of a Dask scheduler, such as "tcp://127.0.0.1:8786"; by default this machine.

    Raises:
        ValueError: seeds below 1. SchedulerUnavailable: no answer from the scheduler within its bound.
    """
    seeds = failure_mode.seeds if seeds is None else seeds
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds!r}.")
    measurements = []
    for claim in (failure_mode.breaks, failure_mode.remedy):
        start = time.perf_counter()
        values = replicate(claim, 1 if claim.deterministic else seeds, scheduler=scheduler)
        measurements.append(judge(claim, values, seconds=time.perf_counter() - start))
    return Outcome(failure_mode, *measurements)


def judge(claim: Claim, values: Sequence[float | Share], *, seconds: float = math.nan) -> Measurement:
    """Compare replicates with the prediction; see the rule at the top of this file."""
    array = np.array([float(value) for value in values])
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)][0]
        raise ValueError(
            f"the experiment for {claim.quantity!r} returned {bad}; it must return a finite number."
        )
    predicted = float(claim.predicted(**claim.parameters))
    delta = claim.tolerance * abs(predicted) if claim.relative else claim.tolerance
    measured = float(array.mean())
    interval_at: Callable[[float], tuple[float, float]] = partial(_mean_interval, array)
    if all(isinstance(value, Share | bool | np.bool_) for value in values):
        shares = [value if isinstance(value, Share) else Share(int(value), 1) for value in values]
        successes, trials = sum(share.successes for share in shares), sum(share.trials for share in shares)
        measured = successes / trials
        interval_at = partial(_binomial_interval, successes, trials)
    if claim.deterministic or claim.every_seed:
        interval = corrected = (float(array.min()) - claim.resolution, float(array.max()) + claim.resolution)
    else:
        interval = interval_at(0.05)
        # A bound is judged on one side only, so its interval spends the whole level there.
        corrected = interval_at((0.05 if claim.relation == "≈" else 0.10) / CLAIMS)
    verdict, gap = _verdict(claim.relation, corrected, measured, predicted, delta)
    if claim.every_seed and verdict == "inconclusive":
        verdict = "refuted"
    slack = {"≈": math.nan, "≥": measured - predicted, "≤": predicted - measured}[claim.relation]
    half_width = max(corrected[1] - measured, measured - corrected[0])
    if verdict != "inconclusive":
        needed = len(array)
    elif not math.isfinite(half_width):
        needed = max(20, 2 * len(array))
    else:  # the half-width shrinks as 1/√seeds
        needed = math.ceil(len(array) * min((half_width / gap) ** 2, 1e6)) if gap > 0 else 10**6
    return Measurement(
        claim, predicted, delta, measured, interval, corrected, verdict, slack,
        len(array), needed, tuple(float(value) for value in array), seconds,
    )  # fmt: skip


def _verdict(
    relation: Relation, corrected: tuple[float, float], measured: float, predicted: float, delta: float
) -> tuple[Literal["holds", "refuted", "inconclusive"], float]:
    """The verdict, and the distance from the measured value to the edge that decides it."""
    low, high = corrected
    # Rounding must not refute a prediction that is met to the last digit.
    delta += 8 * np.finfo(float).eps * abs(predicted)
    if relation == "≈":
        inside = predicted - delta <= low and high <= predicted + delta
        outside = high < predicted - delta or low > predicted + delta
        gap = abs(delta - abs(measured - predicted))
    elif relation == "≥":
        inside, outside = low >= predicted - delta, high < predicted - delta
        gap = abs(measured - (predicted - delta))
    else:
        inside, outside = high <= predicted + delta, low > predicted + delta
        gap = abs(measured - (predicted + delta))
    return ("holds" if inside else "refuted" if outside else "inconclusive"), gap


def _mean_interval(values: np.ndarray, level: float) -> tuple[float, float]:
    """Student's t interval for the mean at confidence 1 − level; unbounded where the values show no spread."""
    n, mean = len(values), float(values.mean())
    if n < 2 or values.min() == values.max():
        return (-math.inf, math.inf)
    half = _t_quantile(n - 1, 1 - level / 2) * float(values.std(ddof=1)) / math.sqrt(n)
    return (mean - half, mean + half)


@cache
def _t_quantile(df: int, p: float) -> float:
    """The same few quantiles serve every claim, and each costs milliseconds."""
    return float(stdtrit(df, p))


def _binomial_interval(k: int, n: int, level: float) -> tuple[float, float]:
    """Exact interval for a proportion, from k of n, at confidence 1 − level (Clopper and Pearson 1934)."""
    low = float(betaincinv(k, n - k + 1, level / 2)) if k > 0 else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - level / 2)) if k < n else 1.0
    return (low, high)


def replicate(claim: Claim, seeds: int, *, scheduler: str | None = None) -> list[float | Share]:
    """Run the experiment for seeds 0 … seeds − 1; the same numbers wherever and in whatever order they run.

    A seed's generator depends on the seed and on the claim's statement alone, so more seeds extend a run
    and do not replace it. On this machine the first replicates are timed, and only a run that would take
    long is spread over processes, whose start costs about a second.
    """
    if scheduler is not None:
        return _replicate_on_cluster(claim, seeds, scheduler)
    values: list[float | Share] = []
    start = time.perf_counter()
    while len(values) < seeds:
        values.append(_one_replicate(claim, len(values)))
        elapsed = time.perf_counter() - start
        remaining = elapsed / len(values) * (seeds - len(values))
        if remaining > 6.0 and (os.cpu_count() or 1) > 1 and not _in_worker():
            from joblib import Parallel, delayed

            rest = range(len(values), seeds)
            values += Parallel(n_jobs=-1)(delayed(_one_replicate)(claim, seed) for seed in rest)
    return values


def _one_replicate(claim: Claim, seed: int) -> float | Share:
    rng = np.random.default_rng([seed, zlib.crc32(claim.statement.encode())])
    return claim.experiment(rng, **claim.parameters)


def _in_worker() -> bool:
    """Under pytest-xdist every core is at work already."""
    return "PYTEST_XDIST_WORKER" in os.environ


@contextmanager
def _cluster(address: str, timeout: float = 6.0) -> Iterator[Any]:
    """A client of the scheduler, once it and at least one worker have answered."""
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
        client = Client(address, timeout=timeout, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SchedulerUnavailable(f"no Dask scheduler answers at {address}: {reason}") from None
    try:
        try:
            client.wait_for_workers(1, timeout=timeout / 2)
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
    claim: Claim, seeds: int, address: str, *, idle_timeout: float = 120.0
) -> list[float | Share]:
    """Run the replicates on a Dask cluster; a lost worker's share is run again by the others.

    Raises:
        SchedulerUnavailable: nothing answers at the address, no worker is connected, or no replicate came
            back for `idle_timeout` seconds.
    """
    module, qualified_name = claim.experiment.__module__, claim.experiment.__qualname__
    if module == "__main__":
        raise ValueError("an experiment defined in a script cannot be sent to a cluster; import its module.")
    with _cluster(address) as client:
        from distributed import wait

        salt = zlib.crc32(claim.statement.encode())
        # About 16 shares a worker: small enough to lose one cheaply, large enough to hide the latency.
        workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        share = max(1, math.ceil(seeds / (16 * workers)))
        futures = {
            client.submit(
                _replicates_by_name, module, qualified_name, dict(claim.parameters), salt, first,
                min(first + share, seeds), pure=False, retries=3,
            ): first
            for first in range(0, seeds, share)
        }  # fmt: skip
        collected: dict[int, list[float | Share]] = {}
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


def _gather(future: Any, address: str, timeout: float) -> list[float | Share]:
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
    module: str, qualified_name: str, parameters: dict[str, Any], salt: int, first: int, stop: int
) -> list[float | Share]:
    """One share of the replicates on a worker, which imports the experiment by name."""
    experiment = importlib.import_module(module)
    for part in qualified_name.split("."):
        experiment = getattr(experiment, part)
    return [
        experiment(np.random.default_rng([seed, salt]), **parameters)  # type: ignore[operator]
        for seed in range(first, stop)
    ]
