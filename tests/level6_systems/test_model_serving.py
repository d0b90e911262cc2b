"""Model serving: the topic's functions in order, then export, service, process, reference, failures."""

import asyncio
import collections
import functools
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from level1_foundations import automatic_differentiation as ad
from level1_foundations.automatic_differentiation import Tensor, no_grad
from level3_deep_learning import modules
from level3_deep_learning.multilayer_perceptron import MLP, MLPClassifier
from level6_systems import model_serving
from level6_systems.failure_modes import model_serving as failure_modes
from level6_systems.failure_modes.model_serving import FAILURE_MODES
from level6_systems.model_serving import (
    InvalidInput,
    MicroBatcher,
    OnnxPredictor,
    Overloaded,
    ServiceConfig,
    ServiceUnavailable,
    UnsupportedOperation,
    export_onnx,
    running_service,
    service_in_thread,
)
from level6_systems.parts.model_serving import application, client, measurements, missing_values, onnx_export
from level6_systems.parts.model_serving import service as service_module

# Seconds after which a wait for what takes milliseconds has failed: so many that a busy machine is no fault.
PATIENCE = 60.0
fetch = functools.partial(client.fetch, patience=PATIENCE)
open_loop = functools.partial(client.open_loop, patience=PATIENCE)


# In one breath


def ask(batcher, rows):
    """The answers of a plain batcher to rows that come together."""

    async def all_of_them():
        server = asyncio.ensure_future(batcher.run())
        answers = await asyncio.wait_for(asyncio.gather(*map(batcher.submit, rows)), PATIENCE)
        server.cancel()
        return answers

    return asyncio.run(all_of_them())


def test_plain_batcher_hands_everyone_the_answer_to_their_row():
    calls = []

    def double(rows):
        calls.append(len(rows))
        return 2 * rows

    answers = ask(model_serving.PlainBatcher(double, maximum_batch=3), np.arange(7.0))
    np.testing.assert_array_equal(answers, 2 * np.arange(7.0))
    assert calls == [3, 3, 1], (
        "rows that wait together go to the model together, at most maximum_batch of them"
    )


def test_plain_batcher_refuses_what_does_not_fit():
    async def one_too_many():
        batcher = model_serving.PlainBatcher(lambda rows: rows, queue_limit=1)
        first = asyncio.ensure_future(batcher.submit(0.0))
        await asyncio.sleep(0)
        with pytest.raises(asyncio.QueueFull):
            await batcher.submit(1.0)
        first.cancel()

    asyncio.run(one_too_many())


def test_plain_batcher_equals_the_micro_batcher():
    rows = np.random.default_rng(0).standard_normal((9, 3))
    model = lambda rows: rows @ np.arange(6.0).reshape(3, 2)

    async def whole():
        batcher = MicroBatcher(model, ServiceConfig(maximum_batch=4, batch_window_ms=1.0))
        server = asyncio.ensure_future(batcher.run())
        answers = await asyncio.wait_for(
            asyncio.gather(*(batcher.submit(row[None]) for row in rows)), PATIENCE
        )
        server.cancel()
        return np.concatenate(answers)

    np.testing.assert_allclose(
        ask(model_serving.PlainBatcher(model, maximum_batch=4), rows), asyncio.run(whole())
    )


def test_plain_waits_by_hand():
    np.testing.assert_allclose(
        model_serving.plain_waits([9.0, 1.0, 1.0, 5.0], [3.0, 2.0, 2.0, 1.0]), [0, 2, 3, 0]
    )


def test_plain_waits_equal_the_cumulative_sums():
    gaps, services = np.random.default_rng(0).exponential([[1.0], [0.9]], (2, 500))
    np.testing.assert_allclose(
        model_serving.plain_waits(gaps, services),
        model_serving.lindley_waiting_times(gaps, services),
        atol=1e-10,
    )


def test_lindley_accepts_lists():
    np.testing.assert_allclose(model_serving.lindley_waiting_times([1, 1], [1, 0.5]), [0, 0])


def test_the_bounded_queue_accepts_lists():
    waits, accepted = model_serving.simulate_finite_queue([[1, 1, 1]], [[3, 3, 3]], 2)
    np.testing.assert_array_equal(waits, [[0, 2, np.nan]])
    np.testing.assert_array_equal(accepted, [[True, True, False]])


# The functions, one by one: export.


def operation(output, *inputs):
    return SimpleNamespace(inputs=inputs, output=output)


def test_operations_between_keeps_what_leads_from_source_to_target():
    steps = [
        operation("w2", "w"),
        operation("a", "x", "w2"),
        operation("side", "x"),
        operation("y", "a", "b"),
    ]
    kept, constants = model_serving.operations_between(steps, "x", "y")
    assert [step.output for step in kept] == ["a", "y"], (
        "keep what depends on x and is needed for y, in order"
    )
    assert constants == {"w2", "b"}, (
        "constants are used but not computed on the way; w2 depends on weights alone"
    )


def test_operations_between_gives_nothing_if_the_target_does_not_depend_on_the_source():
    assert model_serving.operations_between([operation("y", "w")], "x", "y") == ([], {"y"})


# Configuration and validation.


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"maximum_batch": 0}, "maximum_batch"),
        ({"queue_limit": 2.5}, "queue_limit"),
        ({"queue_limit": 10}, "at least maximum_batch"),
        ({"body_limit": -1}, "body_limit"),
        ({"batch_window_ms": -1.0}, "batch_window_ms"),
        ({"timeout": 0.0}, "timeout"),
        ({"drain_seconds": float("nan")}, "drain_seconds"),
        ({"port": 70_000}, "port"),
        ({"host": ""}, "host"),
        *[({name: np.inf}, name) for name in ("batch_window_ms", "timeout", "drain_seconds")],
        *[({name: True}, name) for name in ("maximum_batch", "timeout", "drain_seconds", "port")],
        *[({name: "2"}, name) for name in ("queue_limit", "batch_window_ms", "timeout")],
        ({"maximum_batch": np.inf}, "maximum_batch"),
        ({"body_limit": 1e6}, "body_limit"),
        ({"port": -1}, "port"),
        ({"drain_seconds": -0.1}, "drain_seconds"),
    ],
)
def test_a_configuration_out_of_range_is_refused_by_name(setting, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ServiceConfig(**setting)


def test_a_setting_may_equal_its_limit():
    config = ServiceConfig(maximum_batch=8, queue_limit=8, port=65535, batch_window_ms=0, drain_seconds=0)
    assert config.queue_limit == 8, "one full request fits: no reason to refuse"
    assert ServiceConfig(maximum_batch=1, queue_limit=1, body_limit=1, port=0, timeout=5e-324).timeout > 0


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[NaN]", b"[-Infinity]", b"\xff\xfe[\x00", b"[" * 100_000, b"1" * 5_000, b"{'a': 1}"]
)
def test_what_is_not_json_is_refused_with_status_400(body):
    with pytest.raises(InvalidInput) as caught:
        model_serving.parse_json(body)
    assert caught.value.status == 400


def test_parse_json_decodes():
    assert model_serving.parse_json('{"a": [1, 2.5e3, "é"]}'.encode()) == {"a": [1, 2500.0, "é"]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("123", "row must be a list of 3 numbers, got a string"),
        ([1, 2], "row must hold 3 numbers, got 2"),
        ([1, 2, "3"], r"row\[2\] must be a number, got a string"),
        ([True, 2, 3], r"row\[0\] must be a number, got a boolean"),
        ([1, None, 3], r"row\[1\] must be a number, got null"),
        ([1, 2, [3]], r"row\[2\] must be a number, got a list"),
        ([1, float("nan"), 3], r"row\[1\] must be a finite number"),
        ([1, 2, 1e999], r"row\[2\] must be a finite number"),
        ([1e39, 2, 3], r"row\[0\] must be a finite number that fits into float32"),
        ([1, 2, -(10**400)], r"row\[2\] must be a finite number"),
    ],
)
def test_check_row_names_the_first_wrong_value(row, message):
    with pytest.raises(InvalidInput, match=message):
        model_serving.check_row(row, "row", 3)


def test_check_row_accepts_finite_numbers():
    largest = float(np.finfo(np.float32).max)
    model_serving.check_row([1, -2.5, largest, -largest], "row", 4)
    with pytest.raises(InvalidInput, match=r"row\[0\] must be a finite number"):
        model_serving.check_row([np.nextafter(largest, np.inf).item()], "row", 1)


def test_parse_instances_reads_one_row_and_many():
    rows, single = model_serving.parse_instances({"instance": [1, 2]}, 2, 4)
    np.testing.assert_array_equal(rows, [[1.0, 2.0]])
    assert single and rows.dtype == np.float64
    rows, single = model_serving.parse_instances({"instances": [[1, 2], [3, 4]]}, 2, 4)
    np.testing.assert_array_equal(rows, [[1.0, 2.0], [3.0, 4.0]])
    assert not single


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ([[1, 2]], "an object with one key.*got a list"),
        ({}, "one key"),
        ({"rows": [[1, 2]]}, "got keys"),
        ({"instance": [1, 2], "instances": [[1, 2]]}, "one key"),
        ({"instances": []}, "1 to 4 rows, got 0 rows"),
        ({"instances": [[1, 2]] * 5}, "1 to 4 rows, got 5 rows"),
        ({"instances": {"0": [1, 2]}}, "got an object"),
        ({"instances": [[1, 2], [1]]}, r"instances\[1\] must hold 2 numbers, got 1"),
    ],
)
def test_parse_instances_says_what_came_and_what_is_needed(payload, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        model_serving.parse_instances(payload, 2, 4)
    assert caught.value.status == 422


@pytest.mark.parametrize("input_range", [(0, 16), ([0, 0], [16, 16]), (np.zeros(2), 16)])
def test_parse_instances_refuses_what_lies_outside_of_the_range(input_range):
    rows, _ = model_serving.parse_instances({"instance": [0, 16]}, 2, 4, input_range)
    np.testing.assert_array_equal(rows, [[0, 16]], "both ends are inside")
    with pytest.raises(InvalidInput, match=r"instances\[1\]\[0\] is 255, outside of 0 to 16") as caught:
        model_serving.parse_instances({"instances": [[1, 2], [255, 2]]}, 2, 4, input_range)
    assert caught.value.status == 422


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_training_row_lies_in_the_range_of_the_training_data_whatever_its_type(kind):
    X = np.array([[0.1, -0.3], [0.7, 0.9]], kind)
    for row in (
        [0.1, -0.3],
        [0.7, 0.9],
        *X.tolist(),
    ):  # as they are written, and as the type has rounded them
        model_serving.parse_instances({"instance": row}, 2, 1, (X.min(0), X.max(0)))
    beyond = float(np.nextafter(X[1, 0], kind(np.inf)))
    with pytest.raises(InvalidInput, match=r"instance\[0\] is 0\.7\d+, outside of 0\.1 to 0\.7,"):
        model_serving.parse_instances({"instance": [beyond, 0.9]}, 2, 1, (X.min(0), X.max(0)))


def test_a_value_too_large_for_the_type_of_the_range_is_outside_of_it():
    with pytest.raises(InvalidInput, match="is inf, outside of 0 to 1"):
        model_serving.parse_instances({"instance": [1e6]}, 1, 1, (np.float16([0]), np.float16([1])))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["instance", "instances", "x"]), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(json_values)
@settings(max_examples=40, deadline=None)
def test_any_json_is_either_a_finite_matrix_or_invalid_input(value):
    try:
        rows, _ = model_serving.parse_instances(model_serving.parse_json(json.dumps(value).encode()), 2, 3)
    except InvalidInput:
        return
    assert rows.shape[1] == 2 and np.isfinite(rows.astype(np.float32)).all()


# The micro-batcher, without a network.


class Doubling:
    """A model that remembers its batches; with `hold`, it waits in each until `release` is set."""

    n_features, classes = 2, ("a", "b")

    def __init__(self, hold=False):
        self.batches = []
        self.entered, self.release = threading.Event(), threading.Event()
        if not hold:
            self.release.set()

    def __call__(self, rows):
        self.batches.append(rows.copy())
        self.entered.set()
        assert self.release.wait(PATIENCE)
        return 2.0 * rows


def rows_of(*values):
    return np.array([[value, -value] for value in values], dtype=float)


def with_batcher(model, scenario, **settings):
    """Run `await scenario(batcher)` beside a batcher at work."""

    async def main():
        batcher = MicroBatcher(model, ServiceConfig(**{"batch_window_ms": 0.0, **settings}))
        worker = asyncio.create_task(batcher.run())
        try:
            async with asyncio.timeout(PATIENCE):
                return await scenario(batcher)
        finally:
            if isinstance(model, Doubling):
                model.release.set()
            worker.cancel()
            batcher.worker.shutdown()

    return asyncio.run(main())


async def turns(count):
    """Let everything that is ready run, so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition):
    """Let the event loop run until the condition holds."""
    while not condition():
        await asyncio.sleep(0)


def test_take_batch_takes_whole_requests_in_order_and_drops_the_cancelled():
    async def scenario():
        loop = asyncio.get_running_loop()
        sizes = [2, 1, 3, 1]
        requests = [model_serving.WaitingRequest(np.zeros((n, 2)), 0.0, loop.create_future()) for n in sizes]
        requests[1].future.cancel()
        queue = collections.deque(requests)
        assert model_serving.take_batch(queue, 4) == [requests[0]], "3 rows more do not fit; order is kept"
        assert model_serving.take_batch(queue, 4) == [requests[2], requests[3]], "filled to the brim"
        assert model_serving.take_batch(queue, 4) == []

    asyncio.run(scenario())


def test_each_request_gets_its_own_rows_back():
    async def scenario(batcher):
        return await asyncio.gather(*(batcher.submit(rows_of(*range(n, n + n % 3 + 1))) for n in range(12)))

    for n, output in enumerate(with_batcher(Doubling(), scenario, maximum_batch=5)):
        np.testing.assert_array_equal(output, 2.0 * rows_of(*range(n, n + n % 3 + 1)))


def test_while_the_model_is_busy_the_next_batch_gathers():
    model = Doubling(hold=True)

    async def scenario(batcher):
        first = batcher.submit(rows_of(0))
        await until(model.entered.is_set)
        others = [batcher.submit(rows_of(i)) for i in range(1, 6)]
        assert batcher.rows_waiting == 5
        model.release.set()
        await asyncio.gather(first, *others)

    with_batcher(model, scenario, maximum_batch=4, queue_limit=8)
    assert [len(batch) for batch in model.batches] == [1, 4, 1]


def test_a_full_batch_does_not_wait_for_its_window():
    async def scenario(batcher):
        await asyncio.gather(batcher.submit(rows_of(1)), batcher.submit(rows_of(2)))

    model = Doubling()
    with_batcher(model, scenario, maximum_batch=2, batch_window_ms=1e6)
    assert [len(batch) for batch in model.batches] == [2]


def test_a_lone_request_waits_for_its_window_only():
    async def scenario(batcher):
        await batcher.submit(rows_of(1))
        return batcher

    records = []

    async def observed(batcher):
        batcher.observers.append(records.append)
        await scenario(batcher)

    with_batcher(Doubling(), observed, batch_window_ms=30.0)
    (record,) = records
    assert record.rows == 1 and record.started - record.arrivals[0] >= 0.030
    assert record.finished >= record.started


def test_the_window_opens_with_the_first_arrival_not_with_the_look_at_the_queue():
    async def scenario():
        batcher = MicroBatcher(Doubling(), ServiceConfig(batch_window_ms=2 * PATIENCE * 1000))
        batcher.submit(rows_of(1))
        batcher.waiting[0].arrived -= 3 * PATIENCE  # it has waited for longer than its window already
        looking = asyncio.ensure_future(batcher.next_batch())
        await turns(5)
        assert looking.done(), "the window has passed: there is nothing to wait for"
        return len(looking.result())

    assert asyncio.run(scenario()) == 1


def test_the_window_of_a_request_that_was_given_up_does_not_count():
    async def scenario():
        batcher = MicroBatcher(Doubling(), ServiceConfig(batch_window_ms=2 * PATIENCE * 1000))
        batcher.submit(rows_of(1)).cancel()
        batcher.waiting[0].arrived -= 3 * PATIENCE
        batcher.submit(rows_of(2))
        waiting = asyncio.ensure_future(batcher.next_batch())
        await turns(5)
        assert not waiting.done(), "the window of the second request has only begun"
        batcher.draining = True
        batcher.changed.set()
        return [request.rows[0, 0] for request in await waiting]

    assert asyncio.run(scenario()) == [2.0]


def test_requests_given_up_while_the_model_is_busy_do_not_pile_up():
    model = Doubling(hold=True)

    async def scenario(batcher):
        first = batcher.submit(rows_of(0))
        await until(model.entered.is_set)
        for i in range(100):
            batcher.submit(rows_of(i)).cancel()
            await asyncio.sleep(0)
        assert len(batcher.waiting) <= batcher.config.queue_limit + 1
        last = batcher.submit(rows_of(7))
        model.release.set()
        return await asyncio.gather(first, last)

    _, last = with_batcher(model, scenario, maximum_batch=2, queue_limit=3)
    np.testing.assert_array_equal(last, 2.0 * rows_of(7))


@pytest.mark.parametrize("rows", [np.empty((0, 2)), np.ones((3, 2))])
def test_a_request_has_at_least_one_row_and_fits_into_a_batch(rows):
    async def scenario(batcher):
        with pytest.raises(ValueError, match=rf"rows must be 1 to 2, got {len(rows)}"):
            batcher.submit(rows)
        await batcher.submit(rows_of(1, 2))  # as many as fit

    with_batcher(Doubling(), scenario, maximum_batch=2)


def test_a_full_queue_refuses_and_a_request_larger_than_a_batch_is_an_error():
    model = Doubling(hold=True)

    async def scenario(batcher):
        accepted = [batcher.submit(rows_of(0))]
        await until(model.entered.is_set)
        accepted += [batcher.submit(rows_of(1, 2)), batcher.submit(rows_of(3))]
        with pytest.raises(Overloaded, match="overloaded; try again in 1 s"):
            batcher.submit(rows_of(4))
        with pytest.raises(ValueError, match="1 to 2, got 3"):
            batcher.submit(rows_of(4, 5, 6))
        model.release.set()
        return await asyncio.gather(*accepted)

    answers = with_batcher(model, scenario, maximum_batch=2, queue_limit=3)
    assert [len(answer) for answer in answers] == [1, 2, 1], "every accepted request is answered"


def test_retry_after_is_the_time_that_the_queue_will_take():
    async def scenario():
        batcher = MicroBatcher(Doubling(), ServiceConfig())
        assert batcher.retry_after() == 1
        for _ in range(10):
            batcher.submit(rows_of(1))
        batcher.seconds_per_row = 0.45
        assert batcher.retry_after() == 5
        batcher.seconds_per_row = 100.0
        assert batcher.retry_after() == 60

    asyncio.run(scenario())


def test_the_time_of_a_batch_is_that_of_all_its_rows():
    """Retry-After counts rows; the running average takes a fifth of each batch's seconds per row."""
    records = []

    async def scenario(batcher):
        batcher.observers.append(records.append)
        await asyncio.gather(batcher.submit(rows_of(1, 2, 3)), batcher.submit(rows_of(4)))
        return batcher.seconds_per_row

    seconds_per_row = with_batcher(Doubling(), scenario, maximum_batch=4, batch_window_ms=1e6)
    (record,) = records
    assert record.rows == 4 and len(record.arrivals) == 2
    assert seconds_per_row == pytest.approx(0.2 * (record.finished - record.started) / 4)


def test_a_request_that_was_given_up_costs_the_model_nothing():
    model = Doubling(hold=True)

    async def scenario(batcher):
        first = batcher.submit(rows_of(0))
        await until(model.entered.is_set)
        given_up, other = batcher.submit(rows_of(1)), batcher.submit(rows_of(2))
        given_up.cancel()
        assert batcher.rows_waiting == 1
        model.release.set()
        await asyncio.gather(first, other)

    with_batcher(model, scenario, maximum_batch=8)
    assert [batch[:, 0].tolist() for batch in model.batches] == [[0.0], [2.0]]


def test_an_error_of_the_model_reaches_its_batch_and_no_other():
    def model(rows):
        if rows[0, 0] == 13:
            raise ZeroDivisionError("unlucky")
        return rows if rows[0, 0] != 14 else rows[:0]

    async def scenario(batcher):
        results = []
        for value in (13, 14, 15):
            results += await asyncio.gather(batcher.submit(rows_of(value)), return_exceptions=True)
        assert batcher.unanswered == 0
        return results

    unlucky, short, good = with_batcher(model, scenario)
    assert isinstance(unlucky, ZeroDivisionError)
    assert isinstance(short, RuntimeError) and "gave 0 rows for 1" in str(short)
    np.testing.assert_array_equal(good, rows_of(15))


def test_drain_answers_what_was_accepted_and_refuses_the_rest():
    model = Doubling(hold=True)

    async def scenario(batcher):
        accepted = [batcher.submit(rows_of(i)) for i in range(3)]
        drained = asyncio.create_task(batcher.drain())
        await until(model.entered.is_set)
        with pytest.raises(Overloaded, match="shutting down"):
            batcher.submit(rows_of(9))
        assert not drained.done(), "drain must not return before the last answer"
        model.release.set()
        await drained
        assert all(future.done() for future in accepted)
        return await asyncio.gather(*accepted)

    # a window of a quarter of an hour: draining must not sit it out
    assert len(with_batcher(model, scenario, maximum_batch=8, batch_window_ms=1e6)) == 3


def test_drain_waits_for_the_batch_in_the_models_hands():
    model = Doubling(hold=True)

    async def scenario(batcher):
        accepted = batcher.submit(rows_of(1))
        await until(model.entered.is_set)
        assert not batcher.waiting, "the queue is empty, and yet somebody waits"
        drained = asyncio.create_task(batcher.drain())
        await turns(10)
        assert not drained.done() and not accepted.done()
        model.release.set()
        await drained
        return accepted.done()

    assert with_batcher(model, scenario)


def test_drain_of_an_idle_batcher_returns():
    async def scenario(batcher):
        await batcher.drain()
        return batcher.draining

    assert with_batcher(Doubling(), scenario)


def test_an_observer_that_fails_stops_nobody(caplog):
    def observe(record):
        raise ZeroDivisionError("a full disk, say")

    async def scenario(batcher):
        batcher.observers.append(observe)
        return [await batcher.submit(rows_of(i)) for i in range(2)]

    assert len(with_batcher(Doubling(), scenario)) == 2
    assert "an observer failed" in caplog.text


def test_a_batcher_that_fails_answers_whom_it_accepted_and_accepts_nobody_any_more(monkeypatch):
    async def scenario():
        batcher = MicroBatcher(Doubling(), ServiceConfig())
        accepted = batcher.submit(rows_of(1))
        monkeypatch.setattr(batcher, "next_batch", lambda: 1 / 0)
        worker = asyncio.ensure_future(batcher.run())
        with pytest.raises(ZeroDivisionError):
            await worker
        assert accepted.done(), "nobody may be left without an answer"
        assert isinstance(accepted.exception(), Overloaded) and "has stopped" in str(accepted.exception())
        with pytest.raises(Overloaded, match="shutting down"):
            batcher.submit(rows_of(2))
        assert batcher.failed
        await asyncio.wait_for(batcher.drain(), PATIENCE)

    asyncio.run(scenario())


def test_a_batcher_that_is_cancelled_answers_the_batch_in_the_models_hands():
    model = Doubling(hold=True)

    async def scenario():
        batcher = MicroBatcher(model, ServiceConfig(batch_window_ms=0.0, maximum_batch=1))
        worker = asyncio.ensure_future(batcher.run())
        accepted = [batcher.submit(rows_of(1)), batcher.submit(rows_of(2))]
        await until(model.entered.is_set)
        worker.cancel()
        answers = await asyncio.wait_for(asyncio.gather(*accepted, return_exceptions=True), PATIENCE)
        model.release.set()
        assert not batcher.failed, "to be cancelled is an orderly end"
        return answers

    assert [type(answer) for answer in asyncio.run(scenario())] == [Overloaded, Overloaded]


@pytest.mark.parametrize("outputs", [[[1.0]], np.ones((1, 3), np.float16), [[True]]])
def test_a_model_may_give_lists_and_any_type(outputs):
    async def scenario(batcher):
        return await batcher.submit(rows_of(1))

    np.testing.assert_array_equal(with_batcher(lambda rows: outputs, scenario), outputs)


def test_a_model_that_gives_a_single_number_is_an_error():
    async def scenario(batcher):
        with pytest.raises(RuntimeError, match="gave 0 rows for 1"):
            await batcher.submit(rows_of(1))

    with_batcher(lambda rows: 3.0, scenario)


# The queue in theory.


def queue_by_hand(interarrival, service, capacity=10**9):
    """One request at a time: who is in the system, who waits for how long."""
    now, departures, waits = 0.0, [], []
    for a, s in zip(interarrival, service, strict=True):
        now += a
        present = [departure for departure in departures if departure > now]
        if len(present) >= capacity:
            waits.append(np.nan)
            continue
        start = max([now, *present])
        waits.append(start - now)
        departures.append(start + s)
    return np.array(waits)


def random_queue(seed, shape, load=1.2):
    rng = np.random.default_rng(seed)
    return rng.standard_exponential(shape) / load, rng.gamma(2.0, 0.5, shape)


def test_lindley_gives_the_waits_of_a_queue_followed_by_hand():
    interarrival, service = random_queue(0, (3, 80))
    waits = model_serving.lindley_waiting_times(interarrival, service)
    for i in range(3):
        np.testing.assert_allclose(waits[i], queue_by_hand(interarrival[i], service[i]), atol=1e-12)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=2, max_size=20))
@settings(max_examples=30, deadline=None)
def test_waits_are_not_negative_and_grow_with_every_service_time(pairs):
    interarrival, service = np.array(pairs).T
    waits = model_serving.lindley_waiting_times(interarrival, service)
    slower = service.copy()
    slower[0] += 1.0
    assert waits[0] == 0 and (waits >= 0).all()
    assert (model_serving.lindley_waiting_times(interarrival, slower) >= waits - 1e-9).all()


def test_mean_wait_has_its_textbook_values():
    assert model_serving.mean_waiting_time(0.5) == pytest.approx(1.0)  # M/M/1: ρ / (1 − ρ)
    assert model_serving.mean_waiting_time(0.9, 0.2) == pytest.approx(1.8)
    assert model_serving.mean_waiting_time(0.9, 0.2, 0.0) == pytest.approx(0.9)  # M/D/1: half
    assert model_serving.mean_waiting_time(0.0) == 0.0


def test_the_quantile_of_the_wait_has_its_textbook_values():
    quantile = model_serving.waiting_time_quantile
    assert quantile(0.99, 0.9) == pytest.approx(10 * np.log(90))  # where the mean is 9
    assert quantile(0.5, 0.9, 0.2) == pytest.approx(0.2 * 10 * np.log(1.8))
    assert quantile(0.5, 0.4) == 0.0, "more than half find nobody"
    assert quantile(0.6, 0.4) == pytest.approx(0.0, abs=1e-12)
    assert quantile(0.99, 0.0) == 0.0


def test_the_quantile_of_the_accepted_waits():
    quantile = model_serving.waiting_time_quantile
    assert quantile(0.99, 0.9, capacity=1) == 0.0, "who is accepted finds an idle server"
    # K = 2: the accepted find 0 or 1 with probabilities 1/(1 + ρ) and ρ/(1 + ρ); then one exponential service
    assert quantile(0.9, 0.5, 3.0, capacity=2) == pytest.approx(3.0 * np.log(1 / 3 / 0.1))
    assert quantile(0.99, 0.7, capacity=300) == pytest.approx(quantile(0.99, 0.7))
    assert quantile(0.99, 50.0, capacity=2_000) == pytest.approx(1_999 + 2.326 * np.sqrt(1_999), rel=2e-3)
    waits, accepted = model_serving.simulate_finite_queue(
        *np.random.default_rng(0).standard_exponential((2, 300, 600)) * [[[1 / 1.5]], [[1.0]]], 8
    )
    late = np.mean(waits[accepted] > quantile(0.9, 1.5, capacity=8))
    assert late == pytest.approx(0.1, abs=0.01)


def test_occupancy_balances_the_flows_between_neighbors():
    for load in (0.4, 1.0, 2.5):
        p = model_serving.occupancy(load, 6)
        assert p.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(load * p[:-1], p[1:])
    assert np.isfinite(model_serving.occupancy(10.0, 1000)).all()


def test_blocking_probability_has_its_textbook_values():
    assert model_serving.blocking_probability(1.0, 4) == pytest.approx(1 / 5)
    assert model_serving.blocking_probability(2.0, 1) == pytest.approx(2 / 3)  # Erlang's formula for one line
    assert model_serving.blocking_probability(0.5, 3) == pytest.approx(0.5 * 0.5**3 / (1 - 0.5**4))
    assert model_serving.blocking_probability(3.0, 50) == pytest.approx(2 / 3)  # 1 − 1/ρ when always full


def test_accepted_wait_is_bounded_by_the_capacity_and_tends_to_the_unbounded_wait():
    assert model_serving.accepted_waiting_time(0.7, 1) == 0.0  # who is accepted finds an idle server
    assert model_serving.accepted_waiting_time(1.0, 5, 2.0) == pytest.approx(
        2.0 * 2.0
    )  # 0 … 4 equally likely
    assert model_serving.accepted_waiting_time(50.0, 9) == pytest.approx(8.0, abs=0.03)
    unbounded = model_serving.mean_waiting_time(0.6)
    assert model_serving.accepted_waiting_time(0.6, 200) == pytest.approx(unbounded)


@pytest.mark.parametrize(
    "call",
    [
        lambda: model_serving.mean_waiting_time(1.0),
        lambda: model_serving.mean_waiting_time(-0.1),
        lambda: model_serving.mean_waiting_time(0.5, -1.0),
        lambda: model_serving.mean_waiting_time(0.5, 1.0, -1.0),
        lambda: model_serving.occupancy(-1.0, 3),
        lambda: model_serving.occupancy(0.5, 0),
        lambda: model_serving.blocking_probability(0.5, 0),
        lambda: model_serving.accepted_waiting_time(0.5, 3, -1.0),
        lambda: model_serving.waiting_time_quantile(1.0, 0.5),
        lambda: model_serving.waiting_time_quantile(-0.1, 0.5),
        lambda: model_serving.waiting_time_quantile(0.9, 1.0),
        lambda: model_serving.waiting_time_quantile(0.9, 0.5, -1.0),
        lambda: model_serving.waiting_time_quantile(0.9, 0.5, capacity=0),
        lambda: model_serving.lindley_waiting_times(3.0, 4.0),
        lambda: model_serving.simulate_finite_queue(np.ones(3), np.ones(3), 2),
        lambda: model_serving.lindley_waiting_times(np.ones(3), np.ones(4)),
        lambda: model_serving.simulate_finite_queue(np.ones((1, 3)), np.ones((1, 4)), 2),
        lambda: model_serving.simulate_finite_queue(np.ones((1, 3)), np.ones((1, 3)), 0),
    ],
)
def test_queues_refuse_what_makes_no_sense(call):
    with pytest.raises(ValueError, match="must (be|have)"):
        call()


@pytest.mark.parametrize("capacity", [1, 2, 5, 1000])
def test_the_bounded_queue_is_the_one_followed_by_hand(capacity):
    interarrival, service = random_queue(1, (4, 120), load=1.5)
    waits, accepted = model_serving.simulate_finite_queue(interarrival, service, capacity)
    for i in range(4):
        expected = queue_by_hand(interarrival[i], service[i], capacity)
        np.testing.assert_allclose(waits[i], expected, atol=1e-12)
        np.testing.assert_array_equal(accepted[i], ~np.isnan(expected))


def test_who_comes_as_another_leaves_finds_the_place_free():
    waits, accepted = model_serving.simulate_finite_queue(np.ones((1, 5)), np.ones((1, 5)), 1)
    assert accepted.all() and (waits == 0).all()


# Export: what the tracer sees, and what it refuses.


class Function(modules.Module):
    """A module around a function of a tensor, with one weight matrix (4, 4)."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = modules.Parameter(np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32))

    def forward(self, x):
        return self.function(x, self.weight)


def outputs(module, X, **options):
    """The module's output on `X`, and that of its exported graph."""
    predictor_model = export_onnx(module, X.shape[1:], **options)
    import onnxruntime

    session = onnxruntime.InferenceSession(
        predictor_model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    module.eval()
    with no_grad():
        ours = module(Tensor(X)).array
    return ours, session.run(None, {"input": X.astype(options.get("dtype", X.dtype))})[0]


EXPORTABLE = {
    "arithmetic": lambda x, w: (2.0 - x) / (x * x + 1.0) - x**3 + -x,
    "elementwise": lambda x, w: (
        ad.exp(-ad.abs(x)) + ad.log(x * x + 1) + ad.sqrt(x * x) + ad.sign(x) + ad.floor(x)
    ),
    "more elementwise": lambda x, w: ad.sin(x) + ad.cos(x) + ad.reciprocal(x * x + 1) + ad.rsqrt(x * x + 1),
    "small logarithms": lambda x, w: ad.log1p(x * x) + ad.expm1(0.1 * x) + ad.square(x),
    "activations": lambda x, w: (
        ad.relu(x) + ad.tanh(x) + ad.sigmoid(x) + ad.erf(x) + ad.softplus(x) + ad.silu(x)
    ),
    "gelu": lambda x, w: ad.gelu(x) + ad.gelu(x, approximate="tanh") + ad.leaky_relu(x, 0.2),
    "fused linear": lambda x, w: ad.linear(ad.linear(x, w, activation="relu"), w, activation="gelu"),
    "matmul with a transposed weight": lambda x, w: x @ w.T @ (w @ w),
    "softmax": lambda x, w: ad.softmax(x, -1) + ad.log_softmax(x, 1),
    "reductions": lambda x, w: (
        x.sum(1, keepdim=True) + x.mean(-1, keepdim=True) + ad.prod(x, 1, keepdim=True)
    ),
    "extremes": lambda x, w: x - ad.amax(x, 1, keepdim=True) + ad.amin(x, 1, keepdim=True),
    "logsumexp": lambda x, w: ad.logsumexp(x, 1),
    "variance": lambda x, w: ad.var(x, 1) + ad.std(x, 1, correction=0) + ad.norm(x, dim=1),
    "cumsum": lambda x, w: ad.cumsum(x, 1),
    "clip and where": lambda x, w: (
        ad.clip(x, -0.5, 0.5)
        + ad.where((x > 0) & (x != 1), x, 2.0 * x)
        + ad.masked_fill(x, np.array([True, False, False, True]), 0.5)
    ),
    "two extremes": lambda x, w: ad.maximum(x, 0.1) + ad.minimum(x, x @ w),
    "shapes": lambda x, w: x.reshape(-1, 2, 2).transpose(1, 2).flatten(1).unsqueeze(1).squeeze(1),
    "batched matmul": lambda x, w: (x.reshape(-1, 2, 2) @ x.reshape(-1, 2, 2).permute(0, 2, 1)).reshape(
        -1, 4
    ),
    "joining": lambda x, w: ad.cat([x, x @ w], 1) + ad.stack([x, 2.0 * x], 1).reshape(-1, 8),
    "slices": lambda x, w: x[:, 1:3] + x[..., :2] + x[:, ::2] + x[:, 3, None],
    "norms": lambda x, w: ad.norm(x, 1, dim=1) + 10 * ad.norm(x, 2, dim=-1),
    "stacks": lambda x, w: ad.stack([x, 2 * x], -1).flatten(1) + ad.stack([x, x @ w], 1).flatten(-2),
    "cumulative sums of three axes": lambda x, w: (
        ad.cumsum(x.reshape(-1, 2, 2), 1) + ad.cumsum(x.reshape(-1, 2, 2), -1)
    ),
    "columns joined and turned": lambda x, w: ad.cat(
        [x.reshape(-1, 2, 2), x.reshape(-1, 2, 2).permute(0, -1, -2), x.reshape(-1, 2, 2).transpose(-1, 1)],
        -2,
    ),
    "layer norm of two axes": lambda x, w: ad.layer_norm(x.reshape(-1, 2, 2), (2, 2)),
    "bounds in the wrong order": lambda x, w: (
        ad.clip(x, 0.5, -0.5) + ad.clip(x, max=0.3) + ad.clip(x, min=0.1)
    ),
    "counted from the end": lambda x, w: (
        x[..., -1] + x[:, -4] + x[:, -2, None].squeeze(1) + x[..., -3:-1].sum(1) + x[:, -1:].squeeze(-1)
    ),
    "masks are numbers": lambda x, w: x * (x > 0) + (x > 0).sum(1, keepdim=True) + 2 * (x < 1),
    "integers meet floats": lambda x, w: (
        x.to(np.int64) * 0.5 + x + (x.to(np.int32) + 1) / 2 + x.to(np.int64) ** 2 + Tensor(np.arange(4))
    ),
    "functions of integers": lambda x, w: ad.sqrt(ad.abs(x.to(np.int64))) + ad.clip(x.to(np.int64), -1, 1),
    "choice of integers": lambda x, w: ad.where(x > 0, 1, 0) + ad.maximum(x.to(np.int64), 0) + x,
    "mixed columns": lambda x, w: ad.cat([x, x.to(np.int64), x > 0], -1),
    "truth values": lambda x, w: ((x > 0) & (x < 1) | ~(x > -1)) ^ ((x > 0) == (x > 1)),
    "order of truth values": lambda x, w: ((x > 0) >= (x > 1)) != (x > 2),
    "integers as they are": lambda x, w: x.to(np.int64) * 3,
    "missing values": lambda x, w: ad.where(ad.isnan(x / x * x), 0.0, x),
    "powers of a number": lambda x, w: 2**x + 0.5**x,
    "not a number": lambda x, w: ad.where(x > 0, x, Tensor(np.float32([np.nan, 0, np.inf, 1]))),
    "float64 inside": lambda x, w: x.to(np.float64) * Tensor(np.arange(4.0)),
    "embedding": lambda x, w: ad.embedding((x[:, 0] > 0).to(np.int64), w),
    "embedding of many": lambda x, w: ad.embedding((x > 0).to(np.int64), w).sum(1),
    "rows by a computed index": lambda x, w: w[(x > 0).to(np.int64)].mean(-1),
    "einsum": lambda x, w: ad.einsum("ni,ij->nj", x, w),
    "linear on more axes": lambda x, w: ad.linear(x.reshape(-1, 1, 4), w, w[0]),
    "broadcast": lambda x, w: x.reshape(-1, 1, 4).broadcast_to(x.shape[0], 3, 4) * w[:3],
    "layer norm": lambda x, w: ad.layer_norm(x, (4,), w[0], w[1], eps=1e-3) + ad.layer_norm(x, 4),
    "standardized by hand": lambda x, w: (
        (x - x.mean(1, keepdim=True)) / (ad.var(x, 1, keepdim=True) + 1e-5) ** 0.5
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXPORTABLE)
def test_a_graph_computes_what_the_module_computes(name, dtype):
    X = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)
    for n in (6, 1):
        ours, theirs = outputs(Function(EXPORTABLE[name]), X[:n], dtype=dtype)
        assert ours.shape == theirs.shape and ours.dtype.kind == theirs.dtype.kind
        np.testing.assert_allclose(theirs, ours, rtol=2e-5, atol=2e-5)


@given(st.data())
@settings(max_examples=15)
def test_any_basic_index_is_exported_or_refused_by_name(data):
    piece = st.integers(-4, 3) | st.builds(
        slice, st.none() | st.integers(-5, 5), st.none() | st.integers(-5, 5), st.none() | st.integers(1, 3)
    )
    first = data.draw(st.sampled_from([(slice(None),), (...,), (slice(None), None)]))
    key = (*first, data.draw(piece), *data.draw(st.sampled_from([(), (None,)])))
    X = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    try:
        ours, theirs = outputs(Function(lambda x, w: x[key]), X)
    except UnsupportedOperation:
        assert X[key].size == 0, "what is not empty can be written"
        return
    np.testing.assert_array_equal(theirs, ours, err_msg=f"x[{key}]")


HARD = np.array(
    [[1e-10, -1e-6, 1e-4, -1e-2], [0.5, -0.5, 0.49, -0.51], [-5, 10, -20, 30], [-80, 80, 0, 1e-30]],
    np.float64,
)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    "name", ["log1p", "expm1", "sigmoid", "silu", "softplus", "tanh", "leaky_relu", "log_softmax"]
)
def test_a_graph_keeps_the_digits_of_small_results(name, kind):
    """Relative to each result: nothing cancels near 0, no tail is cut off, nothing overflows."""
    X = HARD.astype(kind)
    X = np.abs(X) if name == "log1p" else X
    function = {"log_softmax": lambda x, w: ad.log_softmax(x, 1)}.get(name, lambda x, w: getattr(ad, name)(x))
    ours, theirs = outputs(Function(function), X, dtype=kind)
    np.testing.assert_allclose(theirs, ours, rtol=3e-6 if kind is np.float32 else 1e-13, atol=0)


def test_log1p_and_expm1_keep_their_ends():
    X = np.array([[-1.0, np.inf, 0.0, -0.75]], np.float32)
    with np.errstate(divide="ignore"):
        ours, theirs = outputs(Function(lambda x, w: ad.log1p(x)), X)
    np.testing.assert_allclose(theirs, ours, rtol=1e-6)
    X = np.array([[-np.inf, np.inf, 89.0, -0.75]], np.float32)
    with np.errstate(over="ignore"):
        ours, theirs = outputs(Function(lambda x, w: ad.expm1(x)), X)
    np.testing.assert_allclose(theirs, ours, rtol=1e-6)


@pytest.mark.parametrize("name", ["softplus", "sigmoid", "silu"])
def test_a_fused_activation_is_the_function_of_that_name(name):
    X = HARD.copy()
    layer = modules.Linear(4, 4, bias=False, dtype=np.float64, rng=0)
    layer.weight.array[...] = np.eye(4)
    fused, theirs = outputs(Fused(layer, name), X)
    np.testing.assert_allclose(theirs, fused, rtol=1e-13, atol=0)


class Fused(modules.Module):
    """A linear layer and its activation in one operation of the engine."""

    def __init__(self, layer, activation):
        super().__init__()
        self.layer, self.activation = layer, activation

    def forward(self, x):
        return ad.linear(x, self.layer.weight, activation=self.activation)


def test_a_narrow_parameter_does_not_narrow_the_whole_graph():
    network = modules.Sequential(modules.Linear(4, 4, rng=0), modules.Linear(4, 2, dtype=np.float64, rng=1))
    X = np.random.default_rng(3).standard_normal((5, 4))
    ours, theirs = outputs(network, X)
    assert theirs.dtype == np.float64
    np.testing.assert_allclose(theirs, ours, rtol=1e-12)


def test_images_pass_through_as_well():
    network = modules.Sequential(modules.Flatten(), modules.Linear(12, 5, rng=0), modules.Identity())
    X = np.random.default_rng(2).standard_normal((3, 3, 4)).astype(np.float32)
    ours, theirs = outputs(network, X)
    np.testing.assert_allclose(theirs, ours, atol=1e-6)


def test_float64_networks_keep_their_digits_and_can_be_narrowed():
    network = MLP([4, 8, 3], "tanh", dtype=np.float64, rng=0)
    X = np.random.default_rng(3).standard_normal((5, 4))
    ours, theirs = outputs(network, X)
    np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-13)
    assert OnnxPredictor(export_onnx(network, 4, dtype=np.float32).SerializeToString())(X).dtype == np.float32
    linear = modules.Linear(4, 8, dtype=np.float64, rng=0)
    gelu, theirs = outputs(modules.Sequential(linear, modules.GELU("tanh")), 3.0 * X)
    np.testing.assert_allclose(theirs, gelu, rtol=1e-12, atol=1e-13)
    gelu, theirs = outputs(MLP([4, 8, 3], "gelu", dtype=np.float64, rng=0), X)
    np.testing.assert_allclose(theirs, gelu, atol=1e-6)


def frozen_statistics(x, w):
    return x - Tensor(x.array.mean(0))


UNSUPPORTED = {
    "flip": lambda x, w: ad.flip(x, (1,)),
    "'argmax'.*no translation for it": lambda x, w: ad.argmax(x, 1),
    "changes with the input": frozen_statistics,
    "argument other": lambda x, w: x * float(x.array.max()),
    "different ways": lambda x, w: x @ w if x.shape[0] > 3 else x,
    "NumPy on the arrays": lambda x, w: Tensor(np.maximum(x.array, 0)),
    "'softplus'.*beta": lambda x, w: ad.softplus(x, beta=2.0),
    "picks rows of the batch": lambda x, w: x[0],
    "'softplus'.*thresholds below 20": lambda x, w: ad.softplus(x, 1.0, 5.0),
    "'norm'.*only p=1 and p=2": lambda x, w: ad.norm(x, 3, dim=1),
    "repeats a value along the axis": lambda x, w: x.sum(0, keepdim=True).broadcast_to(x.shape[0], 4),
    "counts the rows of the batch": lambda x, w: ad.var(x, 0),
    "one Tensor": lambda x, w: (x, x),
    "'squeeze'.*without dim": lambda x, w: x[:, :1].squeeze(),
    "'to'.*float16 rounds": lambda x, w: x.to(np.float16),
    "no valid ONNX graph": lambda x, w: (x > 0) + (x < 1),
    "base changes with the input|changes with the input": lambda x, w: float(x.array.max()) ** x,
}


@pytest.mark.parametrize("message", UNSUPPORTED)
def test_what_cannot_be_exported_is_named(message):
    with pytest.raises(UnsupportedOperation, match=message):
        export_onnx(Function(UNSUPPORTED[message]), 4)


def test_a_change_in_place_is_refused():
    def forward(x, w):
        y = x * 2.0
        y += 1.0
        return y @ w

    with pytest.raises(UnsupportedOperation, match="in place"):
        export_onnx(Function(forward), 4)


def test_an_argument_that_the_translation_ignores_is_refused_not_dropped(monkeypatch):
    ignorant = lambda step: step.graph.node("Softmax", step[0])
    monkeypatch.setitem(onnx_export.EMITTERS, "softmax", ignorant)
    with pytest.raises(UnsupportedOperation, match=r"no translation for its arguments \['dim'\]"):
        export_onnx(Function(lambda x, w: ad.softmax(x, 0)), 4)


def test_export_leaves_the_network_as_it_was_and_traces_evaluation_mode():
    network = modules.Sequential(
        modules.Linear(4, 4, rng=0), modules.Dropout(0.5), modules.Linear(4, 2, rng=1)
    )
    network[0].eval()
    model = export_onnx(network, 4)
    assert [module.training for module in network] == [False, True, True]
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Gemm", "Identity"]
    assert sys.getprofile() is None


def test_export_leaves_a_profiler_and_the_modes_as_they_were_also_where_it_fails():
    events = []

    def mine(frame, event, argument):
        events.append(event)

    network = Function(UNSUPPORTED["flip"])
    sys.setprofile(mine)
    try:
        export_onnx(MLP([4, 2], rng=0), 4)
        assert sys.getprofile() is mine, "it ran before and should run on"
        with pytest.raises(UnsupportedOperation):
            export_onnx(network, 4)
        with pytest.raises(ZeroDivisionError):
            export_onnx(Function(lambda x, w: 1 / 0), 4)
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(None)
    assert events and network.training and ad.is_grad_enabled()


def test_export_may_be_profiled_by_pythons_own_profiler():
    import cProfile
    import pstats

    profiler = cProfile.Profile()
    profiler.enable()
    try:
        export_onnx(MLP([4, 2], rng=0), 4)
        np.linalg.norm(np.ones(3))
    finally:
        profiler.disable()
    assert any(name == "norm" for _, _, name in pstats.Stats(profiler).stats), "it watched what came after"


def test_the_tracer_records_the_engines_calls_with_their_arguments():
    x = Tensor(np.ones((2, 4), dtype=np.float32))
    recorded, output = onnx_export.trace(Function(lambda x, w: ad.softmax(x @ w, dim=1)), x)
    assert [step.name for step in recorded] == ["matmul", "softmax"]
    assert recorded[1].arguments["dim"] == 1 and recorded[1].result is output


def test_equal_constants_are_stored_once_and_unused_results_are_dropped():
    def forward(x, w):
        ad.tanh(x)  # nobody needs it
        return (x * 3.0 + 3.0) @ w @ w

    model = export_onnx(Function(forward), 4)
    assert [node.op_type for node in model.graph.node] == ["Mul", "Add", "MatMul", "MatMul", "Identity"]
    assert len(model.graph.initializer) == 2


def test_constants_of_the_same_bytes_and_another_type_or_shape_are_two():
    zeros = np.zeros(4)
    forward = lambda x, w: (
        x * Tensor(zeros) + x.to(np.int64) * Tensor(zeros.astype(np.int64)) + Tensor(zeros[None])
    )
    model = export_onnx(Function(forward), 4, dtype=np.float64)
    assert len(model.graph.initializer) == 3


def test_the_file_is_valid_and_says_what_it_is(tmp_path):
    import onnx

    path = tmp_path / "network.onnx"
    network = MLP([4, 6, 3], rng=0)
    export_onnx(network, 4, path, classes=["ant", "bee", "cat"])
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == onnx_export.IR_VERSION
    assert [entry.version for entry in model.opset_import] == [onnx_export.OPSET]
    first = model.graph.input[0].type.tensor_type.shape.dim
    assert first[0].dim_param == "n" and first[1].dim_value == 4
    predictor = OnnxPredictor(path)
    assert predictor.n_features == 4 and predictor.classes == ["ant", "bee", "cat"]
    assert OnnxPredictor(export_onnx(network, 4).SerializeToString()).classes == [0, 1, 2]


def test_another_implementation_of_onnx_computes_the_same():
    from onnx.reference import ReferenceEvaluator

    network = modules.Sequential(modules.Linear(4, 6, rng=0), modules.LayerNorm(6), modules.GELU())
    X = np.random.default_rng(4).standard_normal((5, 4)).astype(np.float32)
    (theirs,) = ReferenceEvaluator(export_onnx(network, 4)).run(None, {"input": X})
    np.testing.assert_allclose(theirs, measurements.network_logits(network, X), atol=1e-6)


def test_preprocessing_in_the_graph_is_that_of_training():
    network, rng = MLP([4, 6, 3], rng=0), np.random.default_rng(5)
    X, shift, scale = rng.normal(5, 3, (9, 4)), rng.standard_normal(4), rng.uniform(1, 3, 4)
    predictor = OnnxPredictor(export_onnx(network, 4, shift=shift, scale=scale).SerializeToString())
    expected = measurements.network_logits(network, (X - shift) / scale)
    np.testing.assert_allclose(predictor(X), expected, atol=1e-6)
    # a linear network makes the skew exact: forgetting the shift moves each logit by w · shift
    linear = MLP([4, 3], rng=0)
    right = OnnxPredictor(export_onnx(linear, 4, shift=shift).SerializeToString())(X)
    wrong = OnnxPredictor(export_onnx(linear, 4).SerializeToString())(X)
    moved = linear[0].weight.array @ shift
    np.testing.assert_allclose(wrong - right, np.tile(moved, (9, 1)), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "scale must be finite numbers, none zero"),
        ({"scale": 1e-50}, "scale must be finite numbers, none zero, in float32"),
        ({"shift": 1e300}, "shift must be finite numbers in float32"),
        ({"shift": "a"}, "shift must be finite numbers"),
        ({"scale": [1.0, 2.0]}, r"scale must .* got shape \(2,\)"),
        ({"shift": np.ones((5, 4))}, r"shift must .* got shape \(5, 4\)"),
        ({"shift": np.nan}, "shift must be finite"),
        ({"classes": ["a", "b"]}, "classes must name the 3 columns"),
        ({"classes": 3}, "classes must name the 3 columns of the output, got 3"),
        ({"classes": [0.0, 1.0, np.nan]}, "classes must be finite"),
        ({"input_range": 16}, "input_range must be a least and a greatest value"),
        ({"input_range": (np.zeros(3), 16)}, r"input_range must .* arrays of shape \(4,\)"),
        ({"input_range": (16, 0)}, "input_range must be finite, the least value first"),
        ({"dtype": np.int32}, "dtype must be float32 or float64"),
        *[({"input_shape": shape}, "input_shape must be one or more positive") for shape in (0, (), (4, 0))],
    ],
)
def test_bad_options_of_the_export_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        export_onnx(MLP([4, 3], rng=0), **{"input_shape": 4, **options})


@pytest.mark.parametrize("shape", [2.0, None, True, "4", (2, 2.0)])
def test_a_shape_is_made_of_integers(shape):
    with pytest.raises(ValueError, match="input_shape must be one or more positive integers"):
        onnx_export._row_shape(shape)


def test_a_scale_may_be_small_where_the_type_holds_it():
    network = MLP([2, 2], dtype=np.float64, rng=0)
    predictor = OnnxPredictor(export_onnx(network, 2, scale=1e-50).SerializeToString())
    np.testing.assert_allclose(
        predictor(np.full((1, 2), 1e-50)), measurements.network_logits(network, np.ones((1, 2)))
    )


def test_constants_that_the_graphs_type_cannot_hold_are_refused():
    network = MLP([2, 3], dtype=np.float64, rng=0)
    network[0].weight.array[...] = 1e300
    with pytest.raises(ValueError, match="dtype float32 is too narrow"):
        export_onnx(network, 2, dtype=np.float32)


@pytest.mark.parametrize("classes", [[[1], [2], [3]], [None, 1, 2], [b"a", b"b", b"c"]])
def test_a_label_is_a_string_a_number_or_a_boolean(classes):
    with pytest.raises(TypeError, match="classes must be strings, numbers or booleans, got"):
        export_onnx(MLP([4, 3], rng=0), 4, classes=classes)


def test_labels_keep_their_types():
    network = MLP([4, 3], rng=0)
    for classes in (
        [1, "b", True],
        np.array([7, 8, 9]),
        np.array(["x", "y", "z"]),
        [np.int64(1), np.str_("b"), False],
    ):
        model = OnnxPredictor(export_onnx(network, 4, classes=classes).SerializeToString())
        assert model.classes == list(classes) and {type(c) for c in model.classes} <= {int, str, bool}


def test_a_single_column_needs_the_names_of_two_classes():
    with pytest.raises(ValueError, match="the two classes that one logit tells apart, got 1 labels"):
        export_onnx(MLP([4, 1], rng=0), 4, classes=["yes"])
    with pytest.raises(ValueError, match="columns of an output"):
        export_onnx(Function(lambda x, w: x.sum(1)), 4, classes=["no", "yes"])


def test_an_estimator_is_told_what_to_pass():
    classifier = MLPClassifier((3,), max_iter=1, random_state=0)
    with pytest.raises(TypeError, match="got MLPClassifier: fit it first, then pass its network_"):
        export_onnx(classifier, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier.fit(np.eye(2), [0, 1])
    with pytest.raises(TypeError, match="got MLPClassifier: pass its network_"):
        export_onnx(classifier, 2)
    with pytest.raises(TypeError, match="got function"):
        export_onnx(lambda x: x, 2)


def test_the_range_of_the_training_data_travels_in_the_file():
    network = MLP([4, 3], rng=0)
    model = export_onnx(network, 4, classes=["a", "b", "c"], input_range=(0, [1, 2, 3, 4]))
    predictor = OnnxPredictor(model.SerializeToString())
    np.testing.assert_array_equal(predictor.input_range, [[0, 0, 0, 0], [1, 2, 3, 4]])
    assert predictor.classes == ["a", "b", "c"]
    assert OnnxPredictor(export_onnx(network, 4).SerializeToString()).input_range is None


def test_the_range_is_kept_in_the_type_that_tells_its_values_apart():
    X = np.array([[0.1, 0.3], [0.7, 0.9]])
    for data, graph, expected in [
        (np.float32, np.float64, np.float32),
        (np.float64, np.float32, np.float32),
        (np.float16, np.float32, np.float16),
        (np.float64, np.float64, np.float64),
        (np.int64, np.float64, np.float64),
    ]:
        bounds = (X.min(0).astype(data), X.max(0).astype(data))
        model = export_onnx(MLP([2, 2], dtype=graph, rng=0), 2, input_range=bounds)
        low, high = OnnxPredictor(model.SerializeToString()).input_range
        assert low.dtype == high.dtype == expected
        for row in bounds:
            model_serving.parse_instances({"instance": row.tolist()}, 2, 1, (low, high))


def test_the_service_refuses_what_the_model_never_saw(network):
    model = export_onnx(network, 5, input_range=(-1, 1))
    with service_in_thread(OnnxPredictor(model.SerializeToString()), ServiceConfig(**QUICK)) as service:
        answer = fetch(f"{service.url}/predict", {"instance": [0, 0, 255, 0, 0]})
        assert fetch(f"{service.url}/predict", {"instance": [0, 0, 1, 0, -1]}).status == 200
    assert answer.status == 422
    assert answer.json()["error"] == "instance[2] is 255, outside of -1 to 1, the range in training."


def fixed_rows(model):
    """The same model for one row only, as other exporters write them."""
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return model


def relabeled(model, classes):
    model.metadata_props[0].value = json.dumps(classes)
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: export_onnx(modules.Flatten(), (2, 2)), "one input of shape"),
        (lambda: export_onnx(Function(lambda x, w: x.sum(1)), 4), "one output of shape"),
        (
            lambda: export_onnx(Function(lambda x, w: x > 0), 4),
            r"give float32 or float64 numbers, got tensor\(bool\)",
        ),
        (lambda: fixed_rows(export_onnx(MLP([2, 2], rng=0), 2)), "any number of rows, got a graph for 1"),
        (
            lambda: relabeled(export_onnx(MLP([2, 2], rng=0), 2, classes=[0, 1]), [7]),
            "names 1 classes for 2 columns",
        ),
    ],
)
def test_a_predictor_refuses_models_that_it_cannot_serve(model, message):
    with pytest.raises(ValueError, match=message):
        OnnxPredictor(model().SerializeToString())


@pytest.mark.parametrize(("threads", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_threads_are_a_positive_integer(threads, error):
    with pytest.raises(error, match="threads"):
        OnnxPredictor(export_onnx(MLP([2, 2], rng=0), 2).SerializeToString(), threads=threads)


def test_a_predictor_needs_its_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        OnnxPredictor(tmp_path / "missing.onnx")


# The service, on a real socket, in a thread of this process.

NETWORK_SIZES = [5, 8, 3]
CLASSES = ["ant", "bee", "cat"]
QUICK = {"port": 0, "drain_seconds": 0.0, "timeout": PATIENCE}


@pytest.fixture(scope="module")
def network():
    return MLP(NETWORK_SIZES, "tanh", rng=0)


@pytest.fixture(scope="module")
def service(network):
    model = export_onnx(network, 5, scale=2.0, classes=CLASSES)
    config = ServiceConfig(**QUICK, maximum_batch=4, queue_limit=8, body_limit=100_000)
    with service_in_thread(OnnxPredictor(model.SerializeToString()), config) as service:
        yield service


def test_one_row_is_answered_as_the_network_would(service, network):
    row = [1.0, -2.0, 0.5, 3, 4]
    answer = fetch(f"{service.url}/predict", {"instance": row})
    assert answer.status == 200
    logits = measurements.network_logits(network, np.array([row]) / 2.0)[0]
    prediction = answer.json()["prediction"]
    np.testing.assert_allclose(prediction["logits"], logits, atol=1e-5)
    np.testing.assert_allclose(prediction["probabilities"], np.exp(logits) / np.exp(logits).sum(), atol=1e-5)
    assert prediction["label"] == CLASSES[logits.argmax()]


def test_many_rows_are_answered_in_order(service, network):
    rows = np.random.default_rng(6).standard_normal((4, 5))
    answer = fetch(f"{service.url}/predict", {"instances": rows.tolist()})
    logits = [prediction["logits"] for prediction in answer.json()["predictions"]]
    np.testing.assert_allclose(logits, measurements.network_logits(network, rows / 2.0), atol=1e-5)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/health", "ok"),
        ("/ready", "ready"),
        ("/metrics", "groundup_rows_waiting"),
        ("/docs", "POST /predict"),
        ("/openapi.json", "instances"),
    ],
)
def test_the_other_routes_answer(service, path, content):
    answer = fetch(service.url + path)
    assert answer.status == 200 and content in answer.body.decode()
    assert "https://" not in answer.body.decode(), "nothing is loaded from elsewhere"


def test_the_client_works_inside_a_running_event_loop_as_in_a_notebook(service):
    async def cell():
        return fetch(f"{service.url}/health").status

    assert asyncio.run(cell()) == 200


def request(service, method, path, body=None):
    """Any method, by Python's own client: status, headers, body."""
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=PATIENCE)
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


READABLE = ["/health", "/ready", "/metrics", "/docs", "/openapi.json"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]


@pytest.mark.parametrize("path", READABLE)
def test_head_is_answered_like_get_without_the_body(service, path):
    status, headers, body = request(service, "HEAD", path)
    got, same, content = request(service, "GET", path)
    assert (status, body) == (got, b"") == (200, b"") and content
    assert headers["Content-Type"] == same["Content-Type"]
    if path != "/metrics":  # whose length changes with every request
        assert headers["Content-Length"] == same["Content-Length"]


@pytest.mark.parametrize("path", [*READABLE, "/predict", "/nowhere"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_on_every_path_gets_its_status(service, method, path):
    allowed = {"/predict": ["POST"], "/nowhere": []}.get(path, ["GET", "HEAD"])
    status, headers, body = request(service, method, path)
    if method in allowed:
        assert status == (400 if path == "/predict" else 200)  # an empty body is not JSON
    elif path == "/nowhere":
        assert status == 404
    else:
        assert status == 405 and headers["Allow"] == ", ".join(allowed)
    if status >= 400 and method != "HEAD":
        assert "error" in json.loads(body)


def test_a_draining_service_says_so_to_head_as_well():
    with service_in_thread(Doubling(), ServiceConfig(**QUICK)) as service:
        service.batcher.draining = True
        assert request(service, "HEAD", "/ready")[0] == request(service, "GET", "/ready")[0] == 503


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "not JSON"),
        (b'{"instance": [1, 2', 400, "not JSON"),
        (b"\x80", 400, "not JSON"),
        (b'{"instance": [1, 2, NaN, 4, 5]}', 400, "NaN is not a JSON number"),
        (b"[" * 50_000, 400, "nested too deeply"),
        (b'{"instance": [1, 2, 1e999, 4, 5]}', 422, "instance[2] must be a finite number"),
        (b'{"instance": [1, 2, "3", 4, 5]}', 422, "got a string"),
        (b'{"instance": [1, 2, 3]}', 422, "5 numbers, got 3"),
        (b'{"instances": [[1, 2, 3, 4, 5], [1]]}', 422, "instances[1]"),
        (json.dumps({"instances": [[0] * 5] * 5}).encode(), 422, "1 to 4 rows"),
        (b" " * 100_001, 413, "100,000 bytes"),
        (b"{}", 422, "one key"),
        (b"null", 422, "got null"),
    ],
)
def test_bad_bodies_are_refused_with_a_message(service, body, status, message):
    answer = fetch(f"{service.url}/predict", body=body)
    assert answer.status == status
    assert message in answer.json()["error"]


def test_a_body_of_20_megabytes_is_refused_and_the_answer_arrives(service):
    answer = fetch(f"{service.url}/predict", body=b"1" * 20_000_000)
    assert answer.status == 413 and "bytes" in answer.json()["error"]


def test_of_a_body_that_is_too_large_no_more_than_the_limit_is_ever_held():
    import tracemalloc

    pieces = iter(range(59, -1, -1))

    async def receive():
        return {"type": "http.request", "body": b"1" * 500_000, "more_body": next(pieces) > 0}

    request = SimpleNamespace(headers={}, receive=receive)
    tracemalloc.start()
    try:
        with pytest.raises(application.RequestRefused, match="2,000,000 bytes"):
            asyncio.run(application.read_body(request, ServiceConfig(body_limit=2_000_000)))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def exchange(url, *pieces):
    """Send bytes over a plain socket and return all that comes back."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_chunked_body_without_a_declared_length_is_limited_too(service):
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n" % (50_000, b"1" * 50_000)
    raw = exchange(service.url, head, chunk, chunk, chunk, b"0\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 413") and b"100,000 bytes" in raw


def test_who_asks_first_is_told_before_sending(service):
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100000000\r\n\r\n"
    raw = exchange(service.url, head)
    assert raw.startswith(b"HTTP/1.1 413")


def test_an_input_that_overflows_the_network_is_invalid_not_a_failure():
    network = MLP([2, 3, 3], "identity", rng=0)  # tanh would hide the overflow
    for layer in network.linear_layers():
        layer.weight.array[...] = 100.0
    predictor = OnnxPredictor(export_onnx(network, 2).SerializeToString())
    with service_in_thread(predictor, ServiceConfig(**QUICK)) as service:
        answer = fetch(f"{service.url}/predict", {"instances": [[1, 1], [3e38, 3e38]]})
        assert answer.status == 422 and "row 1" in answer.json()["error"]


def counter(service, name):
    text = fetch(f"{service.url}/metrics").body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_metrics_count_what_happened(service):
    names = (
        'groundup_requests_total{path="/predict",status="200"}',
        'groundup_refused_total{reason="invalid_input"}',
        "groundup_batch_rows_sum",
        "groundup_waiting_seconds_count",
    )
    before = [counter(service, name) for name in names]
    fetch(f"{service.url}/predict", {"instances": [[0] * 5] * 3})
    fetch(f"{service.url}/predict", {"instances": []})
    after = [counter(service, name) for name in names]
    assert np.subtract(after, before).tolist() == [1, 1, 3, 1]


def test_metrics_tell_waiting_from_working():
    metrics = application.ServiceMetrics()
    metrics.observe(model_serving.BatchRecord((10.0, 12.0), 7, started=13.0, finished=20.0))
    value = lambda name: metrics.registry.get_sample_value(f"groundup_{name}")
    assert value("waiting_seconds_count") == 2 and value("waiting_seconds_sum") == 3.0 + 1.0
    assert value("batch_seconds_count") == 1 and value("batch_seconds_sum") == 7.0
    assert value("batch_rows_sum") == 7


def test_a_scanner_cannot_grow_the_metrics(service):
    def scan():
        for i in range(20):
            request(service, ("GET", f"M{i}")[i % 2], f"/{i}?x={i}")
            request(service, "GET", f"/predict/{i}")
            request(service, "POST", f"/predict?{i}", b"{")
        fetch(f"{service.url}/metrics")

    scan()
    before = fetch(f"{service.url}/metrics").body.decode().count("\n")
    scan()
    after = fetch(f"{service.url}/metrics").body.decode()
    assert after.count("\n") == before, "one line for all unknown paths together"
    assert 'path="other"' in after


def test_a_batcher_that_has_died_is_told_to_clients_and_probes(capsys):
    with service_in_thread(Doubling(), ServiceConfig(**QUICK)) as service:
        assert fetch(f"{service.url}/predict", {"instance": [1, 2]}).status == 200
        service.batcher.next_batch = lambda: 1 / 0  # from its next batch on
        fetch(f"{service.url}/predict", {"instance": [1, 2]})
        answer = fetch(f"{service.url}/predict", {"instance": [1, 2]})
        assert answer.status == 503 and "retry-after" in answer.headers
        assert fetch(f"{service.url}/ready").status == 503
        assert fetch(f"{service.url}/health").status == 503, "so that somebody starts it anew"
        assert counter(service, "groundup_ready") == 0
    assert "the batcher stopped" in capsys.readouterr().err


def test_labels_and_outputs_of_numpy_are_answered_as_json():
    model = lambda rows: np.array([[0, 3]] * len(rows))
    model.n_features, model.classes = 2, np.array([7, 9])
    with service_in_thread(model, ServiceConfig(**QUICK)) as service:
        answer = fetch(f"{service.url}/predict", {"instance": [1, 0]})
    assert answer.status == 200 and answer.json()["prediction"]["label"] == 9


def test_a_failing_model_is_a_500_and_the_service_goes_on(caplog):
    def model(rows):
        if rows[0, 0] == 13:
            raise ZeroDivisionError
        return rows

    model.n_features, model.classes = 2, [0, 1]
    with service_in_thread(model, ServiceConfig(**QUICK)) as service:
        failed = fetch(f"{service.url}/predict", {"instance": [13, 0]})
        assert failed.status == 500 and "the model failed" in failed.json()["error"]
        assert counter(service, 'groundup_requests_total{path="/predict",status="500"}') == 1
        assert fetch(f"{service.url}/predict", {"instance": [1, 0]}).status == 200


@pytest.mark.parametrize("classes", [None, ["no", "yes"]])
def test_two_classes_may_share_one_logit(classes):
    predictor = OnnxPredictor(export_onnx(MLP([2, 1], rng=0), 2, classes=classes).SerializeToString())
    no, yes = classes or (0, 1)
    with service_in_thread(predictor, ServiceConfig(**QUICK)) as service:
        body = fetch(f"{service.url}/predict", {"instances": [[9, 9], [-9, 9], [9, -9], [-9, -9]]}).json()
    answers = body["predictions"]
    assert {answer["label"] for answer in answers} == {no, yes}, "these rows meet both"
    for answer in answers:
        logit = answer["logits"][0]
        np.testing.assert_allclose(
            answer["probabilities"], [1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))]
        )
        assert answer["label"] == (yes if logit > 0 else no)


def in_background(function, *args):
    """Start a call in a thread; returns a function that waits for its result."""
    box = []
    thread = threading.Thread(target=lambda: box.append(function(*args)), daemon=True)
    thread.start()

    def result():
        thread.join(PATIENCE)
        assert box, "no answer came"
        return box[0]

    return result


def wait_until(condition):
    """Poll a condition that costs a little, with a bound."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


def test_overload_refuses_at_once_with_retry_after_and_loses_no_accepted_request():
    model = Doubling(hold=True)
    limits = {"maximum_batch": 2, "queue_limit": 4, "batch_window_ms": 0.0}
    with service_in_thread(model, ServiceConfig(**{**QUICK, **limits})) as service:
        url = f"{service.url}/predict"
        first = in_background(fetch, url, {"instance": [-1, 1]})
        assert model.entered.wait(PATIENCE)  # the model is busy: of what comes now, four rows may wait
        payloads = [{"instance": [i, -i]} for i in range(11)]
        answers = in_background(open_loop, url, payloads, [0.0] * 11)
        wait_until(lambda: counter(service, "groundup_refused_total{") == 7)
        assert counter(service, "groundup_rows_waiting") == 4
        model.release.set()
        answers = answers()
    assert first().status == 200
    assert collections.Counter(answer.status for answer in answers) == {200: 4, 503: 7}
    for i, answer in enumerate(answers):
        if answer.status == 200:
            assert answer.json()["prediction"]["logits"] == [2.0 * i, -2.0 * i]
        else:
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert "overloaded" in answer.json()["error"]


def never():
    """A request of which nothing more arrives."""
    return SimpleNamespace(headers={}, receive=lambda: asyncio.get_running_loop().create_future())


def test_an_answer_that_takes_too_long_is_overload_and_given_up():
    async def scenario(batcher):
        answer = batcher.submit(rows_of(1))
        with pytest.raises(Overloaded, match=r"no answer within 0\.01 s"):
            await application._answer(answer, never(), batcher.config, batcher)
        return answer.cancelled()

    assert with_batcher(Doubling(hold=True), scenario, timeout=0.01), "it must not cost the model anything"


def test_a_body_that_takes_too_long_is_refused_with_408():
    with pytest.raises(application.RequestRefused, match=r"did not arrive within 0\.01 s") as caught:
        asyncio.run(application.read_body(never(), ServiceConfig(timeout=0.01)))
    assert caught.value.status == 408


def test_a_body_may_be_as_long_as_its_limit():
    async def receive():
        return {"type": "http.request", "body": b"1" * 10}

    request = SimpleNamespace(headers={"content-length": "10", "expect": "100-continue"}, receive=receive)
    assert len(asyncio.run(application.read_body(request, ServiceConfig(body_limit=10)))) == 10
    with pytest.raises(application.RequestRefused, match="at most 9 bytes"):
        asyncio.run(application.read_body(request, ServiceConfig(body_limit=9)))


def test_a_client_that_hangs_up_is_taken_out_of_the_queue():
    model = Doubling(hold=True)
    limits = {"batch_window_ms": 0.0}
    with service_in_thread(model, ServiceConfig(**{**QUICK, **limits})) as service:
        first = in_background(fetch, f"{service.url}/predict", {"instance": [1, 2]})
        assert model.entered.wait(PATIENCE)
        host, port = service.url.removeprefix("http://").split(":")
        body = b'{"instance": [7, 7]}'
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(head + body)
            wait_until(lambda: counter(service, "groundup_rows_waiting") == 1)
        wait_until(lambda: counter(service, "groundup_rows_waiting") == 0)
        model.release.set()
        assert first().status == 200
    assert [batch.tolist() for batch in model.batches] == [[[1.0, 2.0]]]


def test_draining_is_announced_and_answers_what_was_accepted():
    model = Doubling(hold=True)
    with service_in_thread(model, ServiceConfig(**{**QUICK, "timeout": PATIENCE})) as service:
        accepted = in_background(fetch, f"{service.url}/predict", {"instance": [3, 4]})
        assert model.entered.wait(PATIENCE)
        service.begin_drain()
        wait_until(lambda: fetch(f"{service.url}/ready").status == 503)
        assert 1 <= int(fetch(f"{service.url}/ready").headers["retry-after"]) <= 60
        refused = fetch(f"{service.url}/predict", {"instance": [1, 2]})
        assert refused.status == 503 and "shutting down" in refused.json()["error"]
        assert "retry-after" in refused.headers
        assert counter(service, 'groundup_refused_total{reason="draining"}') == 1
        assert fetch(f"{service.url}/health").status == 200
        model.release.set()
        assert accepted().json()["prediction"]["logits"] == [6.0, 8.0]


def test_the_end_of_the_application_answers_what_was_accepted():
    async def life():
        app = model_serving.create_app(Doubling(), ServiceConfig(batch_window_ms=1e6))
        async with app.router.lifespan_context(app):
            accepted = app.state.batcher.submit(
                rows_of(3)
            )  # waits for companions: only the drain sends it on
        return accepted.done() and accepted.result()

    np.testing.assert_array_equal(asyncio.run(life()), 2.0 * rows_of(3))


def closed(url):
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except OSError:
        return True
    return False


def test_a_service_that_stops_waits_for_the_answer_that_it_owes():
    model = Doubling(hold=True)

    def release_when_the_port_is_closed():
        wait_until(lambda: closed(service.url))
        model.release.set()
        return True

    with service_in_thread(model, ServiceConfig(**QUICK)) as service:
        answer = in_background(fetch, f"{service.url}/predict", {"instance": [1, 2]})
        assert model.entered.wait(PATIENCE)
        released = in_background(release_when_the_port_is_closed)
    assert released() and answer().status == 200


def test_the_live_service_waits_as_lindley_computes():
    model = Doubling()
    payloads = [{"instance": [1, 2]}] * 60
    measured, computed = measurements.live_waiting_times(
        payloads, 0.8, 0.003, model, np.random.default_rng(0), model_serving.lindley_waiting_times
    )
    # No request can start before its predecessor has left: this bound holds on any machine, however busy. What lies
    # above it is what the event loop and the machine add, and no test can say how much that may be.
    assert (measured >= computed - 1e-9).all()
    assert measured.size == 60 and computed.max() > 0


@pytest.fixture
def slept(monkeypatch):
    """What a server asks `asyncio.sleep` for while it drains, without waiting for it."""
    asked = []

    async def sleep(seconds):
        asked.append(seconds)

    monkeypatch.setattr(service_module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    return asked


def test_the_port_stays_open_for_drain_seconds(slept):
    config = ServiceConfig(**{**QUICK, "drain_seconds": 2 * PATIENCE})
    with service_in_thread(Doubling(), config) as service:
        service.begin_drain()
        wait_until(lambda: slept)
    assert PATIENCE < slept[0] <= 2 * PATIENCE, "what the drain itself has left of them"


def test_a_second_wish_to_drain_changes_nothing(slept):
    model = Doubling(hold=True)
    with service_in_thread(model, ServiceConfig(**QUICK)) as service:
        accepted = in_background(fetch, f"{service.url}/predict", {"instance": [1, 2]})
        assert model.entered.wait(PATIENCE)
        service.begin_drain()
        service.begin_drain()
        wait_until(lambda: service.batcher.draining)
        model.release.set()
        assert accepted().status == 200
    assert len(slept) == 1


@pytest.mark.parametrize("patience", [np.inf, -1.0, np.nan])
def test_patience_is_a_time_that_can_be_waited(patience):
    with (
        pytest.raises(ValueError, match="patience"),
        service_in_thread(Doubling(), ServiceConfig(**QUICK), patience=patience),
    ):
        pass
    with pytest.raises(ValueError, match="patience"), running_service("x.onnx", patience=patience):
        pass


def test_a_thread_that_ends_before_it_serves_is_reported_at_once(monkeypatch):
    import uvicorn

    def run(self, sockets=None):
        raise ZeroDivisionError("no loop")

    monkeypatch.setattr(uvicorn.Server, "run", run)
    with pytest.raises(ServiceUnavailable, match="ended before it was ready. no loop"):
        with service_in_thread(Doubling(), ServiceConfig(**QUICK), patience=PATIENCE):
            pass


def test_a_thread_that_ends_with_an_error_is_reported(monkeypatch):
    import uvicorn

    real = uvicorn.Server.run

    def run(self, sockets=None):
        real(self, sockets)
        raise ZeroDivisionError("at the end")

    monkeypatch.setattr(uvicorn.Server, "run", run)
    with pytest.raises(ServiceUnavailable, match="ended with an error: ZeroDivisionError"):
        with service_in_thread(Doubling(), ServiceConfig(**QUICK)):
            pass


# The process.


class FakeProcess:
    """A process that says `lines`, and ends with `status` when it is asked to, or not at all if that is None."""

    def __init__(self, lines, status):
        self.stdout, self.status, self.calls = io.StringIO("".join(lines)), status, []

    def __call__(self, command, *, env, **options):
        self.command, self.environment = command, env
        options["stderr"].write("what it wrote")
        return self

    def poll(self):
        return None

    def send_signal(self, number):
        self.calls.append(number)

    def wait(self, patience=None):
        if self.status is None and "kill" not in self.calls:
            raise subprocess.TimeoutExpired("service", patience)
        return self.status

    def kill(self):
        self.calls.append("kill")


HERE = ["warming up\n", "serving at http://127.0.0.1:4 (POST /predict)\n"]


@pytest.mark.parametrize(
    ("lines", "status", "told", "calls"),
    [
        (HERE, 0, None, [signal.SIGTERM]),
        (HERE, 3, "ended with status 3. what it wrote", [signal.SIGTERM]),
        (HERE, -9, "ended with status -9", [signal.SIGTERM]),
        (HERE, None, "did not stop within 7 s. what it wrote", [signal.SIGTERM, "kill"]),
        (["warming up\n"], 1, "ended before it was ready. what it wrote", [signal.SIGTERM]),
    ],
)
def test_however_a_process_ends_it_is_reported(monkeypatch, lines, status, told, calls):
    process = FakeProcess(lines, status)
    monkeypatch.setattr(subprocess, "Popen", process)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")

    def serve():
        with running_service("model.onnx", patience=7.0) as url:
            assert url == "http://127.0.0.1:4"

    if told is None:
        serve()
    else:
        with pytest.raises(ServiceUnavailable, match=f"the service {told}"):
            serve()
    assert process.calls == calls
    root, *others = process.environment["PYTHONPATH"].split(":")
    assert (Path(root) / "level6_systems").is_dir() and others == ["/elsewhere"]
    assert process.command[-4:] == ["--host", "127.0.0.1", "--port", "0"]


def test_an_error_inside_the_block_is_not_hidden_by_the_end_of_the_process(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", FakeProcess(HERE, 3))
    with pytest.raises(KeyError, match="mine"), running_service("model.onnx", patience=7.0):
        raise KeyError("mine")


def test_a_process_serves_answers_what_it_accepted_on_sigterm_and_exits(tmp_path, network):
    path = tmp_path / "network.onnx"
    export_onnx(network, 5, path)
    # one request waits for a companion that never comes: only the drain can send it on its way
    config = ServiceConfig(port=0, maximum_batch=2, batch_window_ms=1e6, timeout=PATIENCE, drain_seconds=0.0)
    with running_service(path, config, patience=PATIENCE) as url:
        assert fetch(f"{url}/ready").json() == {"status": "ready"}
        pair = fetch(f"{url}/predict", {"instances": [[0] * 5, [1] * 5]})
        assert len(pair.json()["predictions"]) == 2
        waiting = in_background(fetch, f"{url}/predict", {"instance": [1] * 5})
        service = SimpleNamespace(url=url)
        wait_until(lambda: counter(service, "groundup_rows_waiting") == 1)
    answer = waiting()  # the context has sent SIGTERM and seen exit status 0
    assert answer.status == 200
    np.testing.assert_allclose(
        answer.json()["prediction"]["logits"], pair.json()["predictions"][1]["logits"], atol=1e-6
    )
    with pytest.raises(ConnectionRefusedError):
        fetch(f"{url}/health")


def test_a_process_that_cannot_serve_says_why(tmp_path):
    with (
        pytest.raises(ServiceUnavailable, match=r"missing\.onnx"),
        running_service(tmp_path / "missing.onnx"),
    ):
        pass


def test_the_command_line_refuses_bad_settings(capsys):
    from level6_systems.parts.model_serving.serve import main

    with pytest.raises(SystemExit) as caught:
        main(["--model", "x.onnx", "--queue-limit", "3"])
    assert caught.value.code == 2 and "queue_limit must be at least maximum_batch" in capsys.readouterr().err
    assert main(["--model", "/nowhere/x.onnx"]) == 1


def test_serve_announces_its_address_and_refuses_a_taken_one(network):
    predictor = OnnxPredictor(export_onnx(network, 5).SerializeToString())
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        model_serving.serve(predictor, ServiceConfig(port=taken.getsockname()[1]))


def test_importing_the_topic_is_light():
    heavy = {"onnx", "onnxruntime", "fastapi", "uvicorn", "prometheus_client", "scipy", "sklearn", "torch"}
    code = "import sys, level6_systems.model_serving; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not heavy & set(done.stdout.split())


def test_example_and_benchmarks_run(monkeypatch):
    untrained = SimpleNamespace(network_=MLP([64, 16, 10], rng=0))  # training is not what is tested here
    monkeypatch.setattr(measurements, "digits_classifier", lambda: untrained)
    assert len(model_serving.example().axes) == 2
    for benchmark in model_serving.benchmarks():
        ours, theirs, _ = benchmark.setup(32)
        np.testing.assert_allclose(ours(), theirs(), atol=1e-5)


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy


# How it breaks: each side of each condition.

MODES = {mode.name: mode for mode in FAILURE_MODES}


def replicate(name, part="breaks", seed=0, **changed):
    """One replicate of a claim, and its prediction, with some parameters changed."""
    claim = getattr(MODES[name], part)
    parameters = {**claim.parameters, **changed}
    return float(claim.experiment(np.random.default_rng(seed), **parameters)), claim.predicted(**parameters)


def test_an_answer_in_time_is_one_whose_service_has_ended():
    for capacity in (20, 21):
        rng = np.random.default_rng(0)
        share = failure_modes.timely_share(rng, 2.0, 20.0, 500, 4, capacity)
        rng = np.random.default_rng(0)
        gaps = rng.standard_exponential((4, 500)) / 2.0
        by_hand = np.array([queue_by_hand(gap, np.ones(500), capacity) for gap in gaps])
        assert share == np.mean(by_hand + 1.0 <= 20.0)


@pytest.mark.parametrize(("capacity", "expected"), [(19, 0.5), (20, 0.5), (21, 0.1016)])
def test_the_rule_k_services_within_the_timeout_on_both_of_its_sides(capacity, expected):
    measured, predicted = replicate("one_place_too_many", capacity=capacity)
    assert predicted == pytest.approx(expected, abs=1e-4)
    assert measured == pytest.approx(predicted, abs=0.02)


def test_no_accepted_answer_is_late_up_to_k_services_and_some_are_beyond():
    """The bound itself, for constant service: K services at the most, and nearly as much where the queue is full."""
    gaps, services = np.random.default_rng(0).standard_exponential((1, 3000)) / 3.0, np.ones((1, 3000))
    for capacity in (1, 2, 5, 20):
        waits, accepted = model_serving.simulate_finite_queue(gaps, services, capacity)
        answers = (waits + services)[accepted]
        assert capacity - 1 < answers.max() <= capacity + 1e-9


@pytest.mark.parametrize(
    ("name", "part", "changed"),
    [
        ("train_serve_skew", "breaks", {"missing": 1.5}),
        ("waiting_near_full_load", "breaks", {"n": 10_000}),
        ("waiting_near_full_load", "breaks", {"load": 1.0}),
        ("slow_tail", "breaks", {"n": 10_000}),
        ("slow_tail", "breaks", {"load": 1.0}),
        ("fan_out", "remedy", {"load": 0.5}),
        ("stale_answers", "breaks", {"load": 1.0}),
        ("stale_answers", "breaks", {"n": 100}),
        ("stale_answers", "remedy", {"capacity": 21}),
        ("one_place_too_many", "breaks", {"capacity": 22}),
        ("one_place_too_many", "breaks", {"load": 1.01}),
        ("one_place_too_many", "breaks", {"timeout": 20.5}),
        ("retries", "breaks", {"load": 0.25}),
        ("retries", "breaks", {"outage": 20.0}),
        ("retries", "remedy", {"capacity": 21}),
    ],
)
def test_a_prediction_is_refused_outside_of_its_regime(name, part, changed):
    claim = getattr(MODES[name], part)
    with pytest.raises(ValueError, match="must|at most|too near"):
        claim.predicted(**{**claim.parameters, **changed})


@pytest.mark.parametrize(("load", "copies_help"), [(0.2, True), (0.3, True), (0.37, False), (0.45, False)])
def test_copies_help_below_a_load_of_a_third_and_hurt_beyond(load, copies_help):
    measured = [replicate("fan_out", load=load, copies=copies, n=7_000) for copies in (1, 2)]
    (one, one_predicted), (two, two_predicted) = measured
    assert (two < one) == (two_predicted < one_predicted) == copies_help
    assert one == pytest.approx(one_predicted, abs=0.13) and two == pytest.approx(two_predicted, abs=0.13)


@pytest.mark.parametrize(
    ("load", "retries", "recovered"), [(0.6, 3, 0), (0.6, 0, 1), (0.2, 3, 1), (0.3, 3, 0), (0.3, 1, 1)]
)
def test_retries_keep_a_service_down_if_they_lift_the_load_above_one(load, retries, recovered):
    measured, predicted = replicate("retries", load=load, retries=retries)
    assert measured == predicted == recovered


def test_the_extinction_probability_solves_its_equation():
    for load in (1.05, 1.5, 2.0, 5.0):
        sigma = failure_modes.extinction(load)
        assert 0 < sigma < 1 and sigma == pytest.approx(np.exp(-load * (1 - sigma)))
    with pytest.raises(ValueError, match="load must be above 1"):
        failure_modes.extinction(1.0)


def test_the_filling_inside_the_graph_is_that_of_training():
    X, _, mean, deviation, weight, intercept = missing_values.tumors()
    rows = X[:5].copy()
    rows[:, 0] = np.nan
    filled = np.where(np.isnan(rows), mean, rows)
    expected = (filled - mean) / deviation @ weight + intercept
    np.testing.assert_allclose(missing_values.served_rule()(rows)[:, 0], expected, atol=1e-5)
