"""The verdict: right on claims whose truth is known, and never certain without reason."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from shared import replicates
from shared.failure_mode import (
    CLAIMS,
    Claim,
    FailureMode,
    SchedulerUnavailable,
    Share,
    Sweep,
    judge,
    measure,
    measure_sweep,
    replicate,
)


def normal_draw(rng, mean=1.0):
    return rng.normal(mean, 1.0)


def coin(rng, p=0.5):
    return bool(rng.random() < p)


def the_mean(mean=1.0):
    return mean


def one_in_ten():
    return 0.1


def nothing():
    return 0.0


@pytest.fixture
def claim():
    return Claim(
        statement="The mean of a standard normal shifted by one is one.",
        quantity="mean",
        experiment=normal_draw,
        predicted=the_mean,
        relation="≈",
        tolerance=0.5,
        reason="chosen for the test",
        rival=far_below,
    )


def far_below(**parameters):
    return -1e3


def far_above(**parameters):
    return 1e3


def with_values(claim, values, **changes):
    return judge(dataclasses.replace(claim, **changes), values)


def test_the_interval_is_students(claim):
    values = list(np.random.default_rng(0).normal(1, 1, 30))
    result = with_values(claim, values)
    expected = stats.t.interval(0.95, 29, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(result.interval, expected, rtol=1e-10)
    corrected = stats.t.interval(1 - 0.05 / CLAIMS, 29, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(result.corrected, corrected, rtol=1e-8)


def test_a_bound_spends_its_level_on_one_side(claim):
    values = list(np.random.default_rng(0).normal(1, 1, 30))
    result = with_values(claim, values, relation="≤", rival=far_above)
    upper = np.mean(values) + stats.t.ppf(1 - 0.05 / CLAIMS, 29) * stats.sem(values)
    assert result.corrected[1] == pytest.approx(upper, rel=1e-8)


@pytest.mark.parametrize(
    ("relation", "mean", "verdict"),
    [
        ("≈", 1.0, "holds"), ("≈", 1.6, "refuted"), ("≈", 1.5, "inconclusive"),
        ("≥", 1.0, "holds"), ("≥", 5.0, "holds"), ("≥", 0.3, "refuted"), ("≥", 0.5, "inconclusive"),
        ("≤", 1.0, "holds"), ("≤", -5.0, "holds"), ("≤", 1.7, "refuted"), ("≤", 1.5, "inconclusive"),
    ],
)  # fmt: skip
def test_verdicts(claim, relation, mean, verdict):
    values = [mean + 0.01 * side for side in (-1, 1)] * 10
    rival = far_above if relation == "≤" else far_below
    result = with_values(claim, values, relation=relation, rival=rival)
    assert result.verdict == verdict
    assert result.holds == (verdict == "holds")


def test_bounds_report_their_slack(claim):
    assert with_values(claim, [3.0, 3.0], relation="≥").slack == 2.0
    assert with_values(claim, [0.25, 0.25], relation="≤", rival=far_above).slack == 0.75
    assert math.isnan(with_values(claim, [1.0, 1.0]).slack)


def test_an_inconclusive_verdict_names_enough_seeds(claim):
    values = list(np.random.default_rng(1).normal(1.2, 1, 40))
    result = with_values(claim, values)
    assert result.verdict == "inconclusive" and result.seeds_needed > 40
    more = list(np.random.default_rng(1).normal(1.2, 1, 4 * result.seeds_needed))
    assert with_values(claim, more).verdict == "holds"


def test_one_seed_decides_nothing(claim):
    assert with_values(claim, [1.0]).verdict == "inconclusive"


def test_a_deterministic_claim_needs_one_run(claim):
    result = with_values(claim, [1.2], deterministic=True)
    assert (result.verdict, result.interval) == ("holds", (1.2, 1.2))


def test_an_instrument_is_believed_to_its_resolution(claim):
    result = with_values(claim, [1.2], deterministic=True, resolution=0.25)
    np.testing.assert_allclose(result.interval, (0.95, 1.45))
    assert (result.interval_kind, result.verdict) == ("instrument", "holds")
    assert with_values(claim, [1.4], deterministic=True, resolution=0.25).verdict == "inconclusive"


def test_twenty_of_twenty_is_not_certainty(claim):
    result = with_values(claim, [True] * 20, tolerance=0.1)
    assert result.interval[0] == pytest.approx(stats.binomtest(20, 20).proportion_ci().low, rel=1e-9)
    assert result.verdict == "inconclusive"


def test_shares_are_counted_together(claim):
    result = with_values(claim, [Share(3, 100), Share(21, 300)], predicted=one_in_ten, tolerance=0.1)
    expected = stats.binomtest(24, 400).proportion_ci()
    np.testing.assert_allclose(result.interval, (expected.low, expected.high), rtol=1e-9)
    assert (result.measured, result.verdict) == (0.06, "holds"), "24 of 400, and not the mean of both shares"


def test_no_success_in_many_trials_is_not_certainty(claim):
    result = with_values(
        claim, [Share(0, 500)] * 20, relation="≤", rival=far_above, predicted=nothing, tolerance=1e-4
    )
    assert result.interval[1] > 1e-4, "0 of 10,000 leaves room for a share of 3.7e-4"
    assert result.verdict == "inconclusive"


def test_equal_values_show_no_spread_and_decide_nothing(claim):
    result = with_values(claim, [1.0] * 20)
    assert result.interval == (-math.inf, math.inf)
    assert result.verdict == "inconclusive"


def test_an_identity_holds_if_every_seed_meets_it(claim):
    result = with_values(claim, [0.9, 1.0, 1.1], every_seed=True)
    assert (result.interval, result.interval_kind, result.verdict) == ((0.9, 1.1), "range", "holds")


def test_one_seed_outside_refutes_an_identity(claim):
    assert with_values(claim, [1.0] * 19 + [1.6], every_seed=True).verdict == "refuted"


def test_a_relative_tolerance_scales_with_the_prediction(claim):
    result = with_values(claim, [8.9, 9.1] * 10, tolerance=0.2, relative=True, parameters={"mean": 10.0})
    assert (result.delta, result.verdict) == (2.0, "holds")


def test_a_true_claim_is_hardly_ever_refuted(claim):
    tight = dataclasses.replace(claim, tolerance=0.0)
    rng = np.random.default_rng(0)
    verdicts = [judge(tight, list(rng.normal(1, 1, 15))).verdict for _ in range(200)]
    assert "refuted" not in verdicts


def test_more_seeds_extend_a_run(claim):
    assert replicate(claim, 10)[:4] == replicate(claim, 4)


def test_proportions_stay_booleans(claim):
    values = replicate(dataclasses.replace(claim, experiment=coin), 5)
    assert all(isinstance(value, bool) for value in values)


def test_measure_runs_both_claims(claim):
    mode = FailureMode("shift", "A shift", claim, claim, print, seeds=60, symptoms=("the mean moved",))
    outcome = measure(mode)
    assert (outcome.breaks.seeds, outcome.remedy.seeds) == (60, 60)
    assert outcome.breaks.values != outcome.remedy.values, "two claims draw different numbers"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"relation": "<"}, "relation"), ({"tolerance": -1}, "tolerance"), ({"reason": ""}, "reason")],
)
def test_a_careless_claim_is_refused(claim, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(claim, **change)


@pytest.mark.parametrize(
    ("relation", "passing", "failing"),
    [("≈", 1.4, 1.6), ("≥", 0.6, 0.4), ("≥", 9.0, 0.4), ("≤", 1.4, 1.6), ("≤", -9.0, 1.6)],
)
def test_a_claim_that_its_rival_passes_is_refused(claim, relation, passing, failing):
    with pytest.raises(ValueError, match="proves nothing: its rival"):
        with_values(claim, [1.0, 1.01], relation=relation, rival=passing)
    assert with_values(claim, [1.0, 1.01], relation=relation, rival=failing).rival == failing


def test_a_rival_may_be_a_formula_of_the_parameters(claim):
    result = with_values(claim, [1.0, 1.01], rival=lambda mean: 3 * mean, parameters={"mean": 1.0})
    assert result.rival == 3.0


def test_the_draws_depend_on_the_claims_id_and_not_on_its_wording(claim):
    reworded = dataclasses.replace(claim, statement="Said otherwise.")
    assert replicate(claim, 3) == replicate(reworded, 3)
    mode = FailureMode("shift", "A shift", claim, reworded, print, symptoms=("the mean moved",))
    assert (mode.breaks.id, mode.remedy.id) == ("shift/breaks", "shift/remedy")
    assert replicate(mode.breaks, 3) != replicate(mode.remedy, 3)


@pytest.mark.parametrize("symptoms", ["the mean moved", ("",)])
def test_symptoms_are_sentences(claim, symptoms):
    with pytest.raises(ValueError, match="symptoms must be a tuple of sentences"):
        FailureMode("shift", "A shift", claim, claim, print, symptoms=symptoms)


def within_its_regime(mean):
    if mean > 2:
        raise ValueError("the formula holds up to 2")
    return mean


def test_a_sweep_measures_each_value_and_ends_where_theory_does(claim):
    swept = dataclasses.replace(
        claim,
        predicted=within_its_regime,
        parameters={"mean": 1.0},
        sweep=Sweep("mean", (0.0, 1.0, 5.0), "mean", seeds=50),
    )
    points = measure_sweep(swept)
    assert [point.value for point in points] == [0.0, 1.0, 5.0]
    assert points[1].predicted == 1.0 and math.isnan(points[2].predicted)
    assert all(abs(point.measured - point.value) < 1 for point in points)
    assert all(point.interval[0] < point.measured < point.interval[1] for point in points)
    assert measure_sweep(swept) is points, "asked again, the points are not measured again"


@pytest.mark.parametrize(
    ("values", "parameter", "message"),
    [
        ((1.0, 2.0), "mean", "at least three"),
        ((3.0, 2.0, 1.0), "mean", "ascending"),
        ((1.0, 2.0, 3.0), "sigma", "sweep must"),
    ],
)
def test_a_careless_sweep_is_refused(claim, values, parameter, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(claim, parameters={"mean": 1.0}, sweep=Sweep(parameter, values, "mean"))


def test_an_experiment_must_return_a_finite_number(claim):
    with pytest.raises(ValueError, match="finite"):
        judge(claim, [1.0, math.nan])


def test_seeds_below_one_are_refused(claim):
    with pytest.raises(ValueError, match="at least 1"):
        measure(FailureMode("shift", "A shift", claim, claim, print, symptoms=("the mean moved",)), seeds=0)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as local:
        yield local.scheduler_address


def test_a_cluster_gives_the_same_replicates(claim, cluster, monkeypatch):
    monkeypatch.setattr(replicates, "SCHEDULER_BOUND", 600.0)  # a busy machine is no fault
    module = pytest.importorskip("level2_classical.failure_modes.k_means")
    small = {"standardize": False, "mu": 2.0, "noise": 10.0, "n": 50}
    mode = next(mode for mode in module.FAILURE_MODES if mode.name == "loud_feature")
    remote = dataclasses.replace(mode.breaks, parameters=small)
    assert replicate(remote, 40, scheduler=cluster) == replicate(remote, 40)


def test_an_unreachable_scheduler_says_so_in_time(claim, monkeypatch):
    monkeypatch.setattr(replicates, "SCHEDULER_BOUND", 1.0)
    with pytest.raises(SchedulerUnavailable, match="no Dask scheduler answers at tcp://127.0.0.1:9"):
        with replicates._cluster("tcp://127.0.0.1:9"):
            pass
