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
# # Our network beside onnxruntime, and queueing formulas beside linear algebra
#
# Part of the topic [model serving](../../model_serving.py), whose `validate()` calls it.

# %%
from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from level6_systems.parts.model_serving import client, measurements
from level6_systems.parts.model_serving.onnx_export import export_onnx
from level6_systems.parts.model_serving.requests import ServiceConfig
from level6_systems.parts.model_serving.service import OnnxPredictor, running_service
from shared.agreement import Comparison

__all__ = ["compare_architectures", "compare_queues", "compare_service"]


def compare_architectures(comparison: Comparison, X: np.ndarray) -> None:
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
) -> None:
    """One network, fed with X / scale, against its exported graph, fed with X."""
    predictor = OnnxPredictor(export_onnx(network, X.shape[1], scale=scale).SerializeToString())
    ours, theirs = comparison.run(
        lambda: measurements.network_logits(network, X / scale), lambda: predictor(X)
    )
    comparison.compare(quantity, ours, theirs, tolerance=tolerance, reason=reason)


def compare_service(comparison: Comparison, X: np.ndarray) -> None:
    """Answers of a service in a process of its own, in batches and one by one, against the network itself."""
    classifier = measurements.digits_classifier()
    served = comparison.on(reference="onnxruntime behind HTTP")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.onnx"
        export_onnx(classifier.network_, 64, path, scale=16.0, classes=classifier.classes_)
        patience = measurements.PATIENCE
        config = ServiceConfig(port=0, drain_seconds=0.0, timeout=patience)
        with running_service(path, config, patience=patience) as url:
            ours, answers = served.run(
                lambda: measurements.network_logits(classifier.network_, X / 16.0),
                lambda: [
                    client.fetch(f"{url}/predict", {"instances": rows.tolist()}, patience=patience).json()[
                        "predictions"
                    ]
                    for rows in np.split(X, range(64, len(X), 64))
                ],
            )
            row = {"instance": X[0].tolist()}
            single = client.fetch(f"{url}/predict", row, patience=patience).json()["prediction"]
    answers = [answer for batch in answers for answer in batch]
    allowed = {"tolerance": 1e-11, "reason": "both compute in float64, and JSON carries every digit"}
    served.compare("logits, batches", ours, [answer["logits"] for answer in answers], **allowed)
    served.compare("logits, single", ours[0], single["logits"], **allowed)
    probabilities = [answer["probabilities"] for answer in answers]
    served.compare("probabilities", classifier.predict_proba(X / 16.0), probabilities, **allowed)
    reason = "no two logits of a digit are as close as rounding"
    labels = np.array([answer["label"] for answer in answers])
    served.compare("labels", classifier.predict(X / 16.0), labels, tolerance=0.0, reason=reason)


def compare_queues(comparison: Comparison, topic: dict[str, Any]) -> None:
    """The formulas against stationary states found by linear algebra, without any formula for them."""
    for load in (0.5, 1.0, 1.8):
        compare_bounded_queue(comparison, load, 12, topic)
    for squared_variation, law in ((0.0, "M/D/1"), (1.0, "M/M/1")):
        compare_mean_wait(comparison, 0.7, squared_variation, law, topic)
    for load, capacity in ((0.9, None), (0.9, 8), (1.5, 8)):
        compare_quantile(comparison, load, capacity, topic)


def compare_quantile(
    comparison: Comparison, load: float, capacity: int | None, topic: dict[str, Any]
) -> None:
    """The 99th percentile of the wait, against a mixture of Erlang's distributions."""
    law = "M/M/1" if capacity is None else f"M/M/1/{capacity}"
    mixture = comparison.on(reference="scipy.stats.gamma, scipy.optimize.brentq", dataset=f"{law} queue")
    ours, theirs = mixture.run(
        lambda: topic["waiting_time_quantile"](0.99, load, 1.0, capacity),
        lambda: measurements.mixture_quantile(0.99, load, capacity),
    )
    reason = "brentq's own tolerance; without a bound the mixture is cut at 900 requests, which have probability 0.9^900"
    mixture.compare(f"99th percentile at load {load:g}, {law}", ours, theirs, tolerance=1e-9, reason=reason)


def compare_mean_wait(
    comparison: Comparison, load: float, squared_variation: float, law: str, topic: dict[str, Any]
) -> None:
    """Mean wait of one M/G/1 queue."""
    chain = comparison.on(reference="scipy.linalg.solve", dataset=f"{law} queue")
    ours, theirs = chain.run(
        lambda: topic["mean_waiting_time"](load, 1.0, squared_variation),
        lambda: measurements.embedded_chain_wait(load, squared_variation),
    )
    reason = "the chain of departures is cut at 200 requests, which have probability below 0.7^200"
    chain.compare(f"mean wait at load {load:g}, {law}", ours, theirs, tolerance=1e-9, reason=reason)


def compare_bounded_queue(comparison: Comparison, load: float, capacity: int, topic: dict[str, Any]) -> None:
    """Occupancy, refused share and wait of one M/M/1/K queue."""
    finite = comparison.on(reference="scipy.linalg.null_space", dataset=f"M/M/1/{capacity} queue")
    ours, p = finite.run(
        lambda: topic["occupancy"](load, capacity), lambda: measurements.stationary_occupancy(load, capacity)
    )
    # Little's law: mean queue length = accepted rate × mean wait
    wait = (np.arange(1, capacity + 1) - 1) @ p[1:] / (load * (1 - p[-1]))
    allowed = {"tolerance": 1e-10, "reason": "both solve the same balance: rounding only"}
    finite.compare(f"occupancy at load {load:g}", ours, p, **allowed)
    finite.compare(
        f"refused at load {load:g}", topic["blocking_probability"](load, capacity), p[-1], **allowed
    )
    finite.compare(
        f"accepted wait at load {load:g}", topic["accepted_waiting_time"](load, capacity), wait, **allowed
    )
