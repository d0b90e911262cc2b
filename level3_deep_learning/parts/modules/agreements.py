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
# # Layers, losses, saved states and loaders beside torch's
#
# Part of the topic [modules](../../modules.py), whose `validate()` calls it with itself.

# %%
from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor
from shared.agreement import Comparison

__all__ = ["compare_layers", "compare_loaders", "compare_losses", "compare_machinery"]


def compare_layers(comparison: Comparison, torch: Any, topic: Any) -> None:
    """Outputs, and gradients of the input and of all parameters, for one random output gradient."""
    rng = np.random.default_rng(0)
    X, layers = rng.normal(size=(6, 5)), torch.nn
    pairs = (
        ("Linear", topic.Linear(5, 3, rng=1), layers.Linear(5, 3)),
        ("Linear, no bias", topic.Linear(5, 3, bias=False, rng=1), layers.Linear(5, 3, bias=False)),
        ("ReLU", topic.ReLU(), layers.ReLU()),
        ("Tanh", topic.Tanh(), layers.Tanh()),
        ("Sigmoid", topic.Sigmoid(), layers.Sigmoid()),
        ("GELU", topic.GELU(), layers.GELU()),
        ("GELU, tanh", topic.GELU("tanh"), layers.GELU("tanh")),
        ("LayerNorm", topic.LayerNorm(5), layers.LayerNorm(5)),
        ("LayerNorm, both axes", topic.LayerNorm((6, 5), eps=0.1), layers.LayerNorm((6, 5), eps=0.1)),
        ("LayerNorm, no bias", topic.LayerNorm(5, bias=False), layers.LayerNorm(5, bias=False)),
        ("LayerNorm, not affine", topic.LayerNorm(5, elementwise_affine=False), layers.LayerNorm(5, elementwise_affine=False)),
        ("Flatten", topic.Flatten(0), layers.Flatten(0)),
        ("Dropout in evaluation", topic.Dropout(0.7).eval(), layers.Dropout(0.7).eval()),
        ("Dropout, p=1", topic.Dropout(1.0), layers.Dropout(1.0)),
        ("Sequential", topic.Sequential(topic.Linear(5, 4, rng=1), topic.Tanh(), topic.Linear(4, 2, rng=2)),
         layers.Sequential(layers.Linear(5, 4), layers.Tanh(), layers.Linear(4, 2))),
    )  # fmt: skip
    for name, ours, theirs in pairs:
        ours.double()
        for parameter in ours.parameters():
            parameter.array[...] += 0.1 * rng.normal(size=parameter.shape)
        theirs.double().load_state_dict({key: torch.tensor(t.array) for key, t in ours.state_dict().items()})
        x, their_x = Tensor(X.copy(), requires_grad=True), torch.tensor(X, requires_grad=True)
        y, their_y = comparison.run(lambda f=ours, x=x: f(x), lambda f=theirs, x=their_x: f(x))
        upstream = rng.normal(size=y.shape)
        y.backward(Tensor(upstream))
        their_y.backward(torch.tensor(upstream))
        gradients = [x.grad.array, *[parameter.grad.array for parameter in ours.parameters()]]
        their_gradients = [
            their_x.grad.numpy(),
            *[parameter.grad.numpy() for parameter in theirs.parameters()],
        ]
        reason = "a closed form: rounding only"
        comparison.compare(
            f"output, {name}", y.array, their_y.detach().numpy(), tolerance=1e-13, reason=reason
        )
        comparison.compare(
            f"gradients, {name}", np.concatenate([g.ravel() for g in gradients]),
            np.concatenate([g.ravel() for g in their_gradients]), tolerance=1e-12, reason=reason,
        )  # fmt: skip
        comparison.compare(f"printed, {name}", repr(ours), repr(theirs), tolerance=0, reason="the same text")


def compare_losses(comparison: Comparison, torch: Any, topic: Any) -> None:
    """Values and gradients of the losses over all their options."""
    rng = np.random.default_rng(2)
    logits, y = 3 * rng.normal(size=(6, 5)), np.array([0, 3, 4, -100, 1, 3])
    target, weight = rng.normal(size=(6, 5)), rng.uniform(0.5, 2, 5)
    options: list[tuple] = [
        ("mse_loss", target, {"reduction": reduction}) for reduction in ("mean", "sum", "none")
    ]
    for reduction in ("mean", "sum", "none"):
        for extra in (
            {},
            {"label_smoothing": 0.1},
            {"weight": weight},
            {"weight": weight, "label_smoothing": 0.3},
        ):
            options.append(("cross_entropy", y, {"reduction": reduction, **extra}))
    options.append(("cross_entropy", np.abs(target), {}))
    options.append(("cross_entropy", y, {"ignore_index": 3}))
    for name, goal, chosen in options:
        if chosen.get("ignore_index") == 3:
            goal = np.where(goal == -100, 0, goal)
        x, their_x = Tensor(logits.copy(), requires_grad=True), torch.tensor(logits, requires_grad=True)
        as_ours = {key: Tensor(value) if key == "weight" else value for key, value in chosen.items()}
        as_theirs = {key: torch.tensor(value) if key == "weight" else value for key, value in chosen.items()}
        loss, their_loss = comparison.run(
            lambda n=name, x=x, g=goal, o=as_ours: getattr(topic, n)(x, Tensor(g), **o),
            lambda n=name, x=their_x, g=goal, o=as_theirs: getattr(torch.nn.functional, n)(
                x, torch.tensor(g), **o
            ),
        )
        loss.sum().backward()
        their_loss.sum().backward()
        said = [f"{key}={value}" if key != "weight" else "class weights" for key, value in chosen.items()]
        soft = ["soft targets"] if name == "cross_entropy" and goal.ndim == 2 else []
        label = ", ".join([name, *soft, *said])
        reason = "a closed form: rounding only"
        value = np.asarray(their_loss.detach().numpy())
        comparison.compare(f"value, {label}", loss.array, value, tolerance=1e-13, reason=reason)
        comparison.compare(
            f"gradient, {label}", x.grad.array, their_x.grad.numpy(), tolerance=1e-12, reason=reason
        )


def compare_machinery(comparison: Comparison, torch: Any, topic: Any) -> None:
    """Names, order and printed form of a nested network with tied weights; messages; the spread of first weights."""

    def nested(layers, **options):
        inner = layers.Sequential(layers.Linear(4, 4), layers.ReLU(), layers.LayerNorm(4))
        network = layers.Sequential(
            OrderedDict(encoder=inner, drop=layers.Dropout(0.1), head=layers.Linear(4, 4))
        )
        network.head.weight = network.encoder[0].weight
        return network

    ours, theirs = comparison.run(lambda: nested(topic), lambda: nested(torch.nn))
    for label, names in (
        ("parameters, tied once", lambda network: [name for name, _ in network.named_parameters()]),
        (
            "parameters, all places",
            lambda network: [n for n, _ in network.named_parameters(remove_duplicate=False)],
        ),
        ("modules", lambda network: [name for name, _ in network.named_modules()]),
        ("children", lambda network: [name for name, _ in network.named_children()]),
        ("state", lambda network: list(network.state_dict())),
        ("printed", repr),
    ):
        comparison.compare(
            f"names: {label}",
            np.array(names(ours)),
            np.array(names(theirs)),
            tolerance=0,
            reason="the same text",
        )

    def message(network, tensor):
        try:
            network.load_state_dict({"weight": tensor, "extra": tensor})
        except RuntimeError as error:
            return str(error).replace("torch.Size([2, 2])", "(2, 2)").replace("torch.Size([3, 4])", "(3, 4)")
        return ""

    comparison.compare(
        "message of a state that does not fit", message(topic.Linear(4, 3), np.ones((2, 2))),
        message(torch.nn.Linear(4, 3), torch.ones(2, 2)), tolerance=0, reason="the same text",
    )  # fmt: skip
    n = 400
    drawn = topic.Linear(n, n, rng=0).weight.array, torch.nn.Linear(n, n).weight.detach().numpy()
    # the standard deviation of n² uniform draws has relative standard error √(0.2 / n²), 0.45 / n; two of them, at 5 σ
    comparison.compare(
        "standard deviation of first weights", *[array.std() for array in drawn],
        tolerance=5 * math.sqrt(2) * 0.45 / n, reason="five Monte Carlo standard errors of their difference",
    )  # fmt: skip


def compare_loaders(comparison: Comparison, torch: Any, topic: Any) -> None:
    """The batches of one epoch in order, with and without the last, shorter one."""
    from shared.datasets import load_digits

    digits = load_digits()
    X, y = digits.X[:100], digits.y[:100]
    theirs_data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(y))
    for drop_last in (False, True):
        loader = topic.DataLoader((X, y), batch_size=30, drop_last=drop_last)
        theirs_loader = torch.utils.data.DataLoader(theirs_data, batch_size=30, drop_last=drop_last)
        ours, theirs = comparison.run(lambda a=loader: list(a), lambda a=theirs_loader: list(a))
        reason = "the same rows"
        for i, name in enumerate(("inputs", "labels")):
            comparison.compare(
                f"{name}, drop_last={drop_last}", np.concatenate([batch[i].array for batch in ours]),
                np.concatenate([batch[i].numpy() for batch in theirs]), tolerance=0, reason=reason,
            )  # fmt: skip
        comparison.compare(
            f"batch lengths, drop_last={drop_last}", np.array([len(batch[1]) for batch in ours]),
            np.array([len(batch[1]) for batch in theirs]), tolerance=0, reason=reason,
        )  # fmt: skip
