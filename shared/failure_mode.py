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

A claim that the nearest wrong theory would pass as well proves nothing. Each names that theory's number, its
`rival`, and is refused unless the rival lies outside p ± δ (below p − δ for ≥, above p + δ for ≤). A verdict
"holds" thus refutes the rival, too: the corrected interval lies on the prediction's side of δ, the rival beyond it.

Means use Student's t. Yes-or-no outcomes, and a `Share` of independent trials in each replicate, use the exact
binomial interval (Clopper and Pearson 1934), so that 20 successes in 20 runs do not count as certainty. Where all
replicates are equal, Student's interval would have no width; that is no evidence of certainty either, and the
verdict is inconclusive, unless the claim says `every_seed`: an identity that each replicate must meet by itself.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import numpy as np

from shared.replicates import SchedulerUnavailable, reach_scheduler, replicates
from shared.special import betaincinv, stdtrit

__all__ = [
    "CLAIMS",
    "Claim",
    "FailureMode",
    "Measurement",
    "Outcome",
    "SchedulerUnavailable",
    "Share",
    "Sweep",
    "SweepPoint",
    "judge",
    "measure",
    "measure_sweep",
    "reach_scheduler",
    "replicate",
]

CLAIMS = 1000
"""At most this many claims in the whole curriculum: 90 topics, five modes each, two claims a mode, and room."""

Relation = str  # "≈", "≥" or "≤"


class Share(NamedTuple):
    """How many of a replicate's independent trials came out so. The trials of all replicates are counted together."""

    successes: int
    trials: int

    def __float__(self) -> float:
        return self.successes / self.trials if self.trials else math.nan


@dataclass(frozen=True)
class Sweep:
    """One parameter of a claim, moved: the figure shows theory's curve with measured points, not one point alone.

    Attributes:
        parameter: its name among the claim's parameters. values: at least three, ascending. label: of the axis.
        seeds: replicates at each value; they draw a picture and decide nothing. logarithmic: of the axis.
    """

    parameter: str
    values: tuple[float, ...]
    label: str
    seeds: int = 6
    logarithmic: bool = False

    def __post_init__(self) -> None:
        if len(self.values) < 3 or list(self.values) != sorted(set(self.values)):
            raise ValueError(f"values must be at least three, ascending, got {self.values!r}.")
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds!r}.")
        if not self.label:
            raise ValueError("a sweep needs a label for its axis, got an empty one.")


@dataclass(frozen=True)
class Claim:
    """A falsifiable sentence with the experiment that can refute it.

    Attributes:
        statement: the sentence.
        quantity: what is measured, with its unit.
        experiment: `experiment(rng, **parameters)`, one replicate: a float, a bool for yes or no, or a `Share`.
        predicted: `predicted(**parameters)`, from a formula, never from a run; raises ValueError outside its regime.
        relation: measured ≈, ≥ or ≤ predicted.
        tolerance: δ, the finite-size or first-order error of the formula; times |predicted| if `relative`.
        reason: why that δ.
        rival: what the nearest wrong theory predicts; for a remedy, what the broken version gives. A number, or a
            formula `rival(**parameters)`.
        parameters: keyword arguments of both functions.
        deterministic: the experiment ignores its generator and is run once.
        resolution: what the measuring instrument itself cannot tell apart, in units of the quantity: an interpreter
            adds its own objects to a peak of memory. The interval of a deterministic claim is this much to each side.
        every_seed: an identity: the formula holds for each replicate, and a single one outside refutes it. The
            interval is then the range of the replicates.
        sweep: one parameter to move for the picture.
        id: "MODE/breaks" or "MODE/remedy", given by the failure mode; the generators depend on it, and not on wording.
    """

    statement: str
    quantity: str
    experiment: Callable[..., float | Share]
    predicted: Callable[..., float]
    relation: Relation
    tolerance: float
    reason: str
    rival: float | Callable[..., float]
    relative: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    deterministic: bool = False
    resolution: float = 0.0
    every_seed: bool = False
    sweep: Sweep | None = None
    id: str = ""

    def __post_init__(self) -> None:
        if self.relation not in ("≈", "≥", "≤"):
            raise ValueError(f"relation must be '≈', '≥' or '≤', got {self.relation!r}.")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance must be a number that is at least 0, got {self.tolerance!r}.")
        if not (self.statement and self.quantity and self.reason):
            raise ValueError("a claim needs a statement, a quantity and a reason for its tolerance.")
        if self.sweep is not None and self.sweep.parameter not in self.parameters:
            raise ValueError(
                f"sweep must move one of the claim's parameters {sorted(self.parameters)}, got {self.sweep.parameter!r}."
            )

    def expect(self) -> tuple[float, float, float]:
        """What theory predicts, δ in its units, and the rival's number.

        Raises:
            ValueError: the rival would pass as well; or `predicted` is asked outside its regime.
        """
        predicted = float(self.predicted(**self.parameters))
        delta = self.tolerance * abs(predicted) if self.relative else self.tolerance
        rival = float(self.rival(**self.parameters) if callable(self.rival) else self.rival)
        apart = {
            "≈": abs(rival - predicted) > delta,
            "≥": rival < predicted - delta,
            "≤": rival > predicted + delta,
        }[self.relation]
        if not apart:
            raise ValueError(
                f"the claim on {self.quantity!r} proves nothing: its rival {rival:g} passes {self.relation} {predicted:g} "
                f"within {delta:g}, too; it needs a smaller δ, or an experiment that tells the two apart."
            )
        return predicted, delta, rival


@dataclass(frozen=True)
class FailureMode:
    """How a topic breaks and what mends it.

    Attributes:
        name: an identifier, unique within the topic. title: the heading.
        symptoms: what a practitioner sees, in the words of a bug report: "loss is nan".
        breaks, remedy: the two claims. figure: draws both against the prediction.
        seeds: how many replicates decide both claims in about a second.
    """

    name: str
    title: str
    symptoms: tuple[str, ...] = field(kw_only=True)
    breaks: Claim
    remedy: Claim
    figure: Callable[[], Any]
    seeds: int = 20

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"name must be an identifier such as 'unlucky_start', got {self.name!r}.")
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds!r}.")
        symptoms = self.symptoms
        if isinstance(symptoms, str) or not symptoms or not all(isinstance(s, str) and s for s in symptoms):
            raise ValueError(f"symptoms must be a tuple of sentences, at least one, got {symptoms!r}.")
        for part in ("breaks", "remedy"):
            object.__setattr__(self, part, replace(getattr(self, part), id=f"{self.name}/{part}"))


@dataclass(frozen=True)
class Measurement:
    """A claim, measured.

    Attributes:
        predicted: the formula's number. delta: δ in the units of the quantity. rival: the nearest wrong theory's number.
        measured: mean over the seeds. interval: its 95 % confidence interval, or what `interval_kind` says.
        corrected: the wider interval that the verdict uses. verdict: holds, refuted or inconclusive.
        slack: for a bound, how far the measured value stays on its side; NaN for ≈.
        seeds: how many replicates. seeds_needed: about how many would decide an inconclusive claim.
        replicates: what the experiment returned for each seed; values: the same as floats.
    """

    claim: Claim
    predicted: float
    delta: float
    rival: float
    measured: float
    interval: tuple[float, float]
    corrected: tuple[float, float]
    verdict: Literal["holds", "refuted", "inconclusive"]
    slack: float
    seeds: int
    seeds_needed: int
    replicates: tuple[float | Share, ...] = field(repr=False)
    seconds: float

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(float(value) for value in self.replicates)

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


def measure(failure_mode: FailureMode, *, seeds: int | None = None, scheduler: str | None = None) -> Outcome:
    """Measure both claims of a failure mode.

    Args:
        seeds: replicates for each claim, at least 1; by default the failure mode's own number.
        scheduler: address of a Dask scheduler, such as "tcp://127.0.0.1:8786"; by default this machine.

    Raises:
        ValueError: seeds below 1, or a claim that its rival would pass. SchedulerUnavailable: no answer from the scheduler within its bound.
    """
    seeds = failure_mode.seeds if seeds is None else seeds
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds!r}.")
    measurements = []
    for claim in (failure_mode.breaks, failure_mode.remedy):
        claim.expect()
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
    predicted, delta, rival = claim.expect()
    measured, interval_at = _center(values)
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
        claim, predicted, delta, rival, measured, interval, corrected, verdict, slack,
        len(array), needed, tuple(values), seconds,
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


def _center(values: Sequence[float | Share]) -> tuple[float, Callable[[float], tuple[float, float]]]:
    """The mean of replicates, or the share of all their trials; and its interval as a function of the level."""
    if all(isinstance(value, Share | bool | np.bool_) for value in values):
        shares = [value if isinstance(value, Share) else Share(int(value), 1) for value in values]
        successes, trials = sum(share.successes for share in shares), sum(share.trials for share in shares)
        return successes / trials, partial(_binomial_interval, successes, trials)
    array = np.array([float(value) for value in values])
    return float(array.mean()), partial(_mean_interval, array)


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
    """Run the claim's experiment for seeds 0 … seeds − 1; the same numbers wherever they run.

    A seed's generator depends on the seed and on the claim's id alone, so more seeds extend a run and do not replace
    it, and a better wording changes no number.
    """
    return replicates(claim.experiment, claim.parameters, (_key(claim),), seeds, scheduler=scheduler)


def _key(claim: Claim) -> int:
    return zlib.crc32(claim.id.encode())


class SweepPoint(NamedTuple):
    """A claim at one value of its swept parameter: predicted is NaN outside the formula's regime."""

    value: float
    predicted: float
    measured: float
    interval: tuple[float, float]


_swept: list[tuple[Claim, list[SweepPoint]]] = []


def measure_sweep(claim: Claim) -> list[SweepPoint]:
    """Measure the claim at each value of its sweep, at 95 %; once in a process, for whoever asks again.

    Raises:
        ValueError: the claim sweeps no parameter.
    """
    sweep = claim.sweep
    if sweep is None:
        raise ValueError(f"the claim on {claim.quantity!r} sweeps no parameter.")
    for known, points in _swept:
        if known is claim:
            return points
    points = []
    for index, value in enumerate(sweep.values):
        parameters = {**claim.parameters, sweep.parameter: value}
        try:
            predicted = float(claim.predicted(**parameters))
        except ValueError:
            predicted = math.nan
        seeds = 1 if claim.deterministic else sweep.seeds
        values = replicates(claim.experiment, parameters, (_key(claim), index + 1), seeds)
        measured, interval_at = _center(values)
        low, high = interval_at(0.05)
        if not math.isfinite(low):  # one run, as exact as what measures it
            low, high = measured - claim.resolution, measured + claim.resolution
        points.append(SweepPoint(float(value), predicted, measured, (low, high)))
    _swept.append((claim, points))
    return points
