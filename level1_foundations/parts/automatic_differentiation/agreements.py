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
# # Networks, Hessians and transformations beside torch's
#
# Part of the topic [automatic differentiation](../../automatic_differentiation.py), whose `validate()` calls it with itself.

# %%
from __future__ import annotations

import numpy as np

__all__ = [
    "compare_hessian", "compare_network", "compare_products", "compare_repeated_indices", "network_loss", "race_network",
]  # fmt: skip


def network_loss(topic, x, y, parameters, activation):
    """Cross-entropy of a two-layer network."""
    w1, b1, w2, b2 = parameters
    return topic.cross_entropy(topic.linear(topic.linear(x, w1, b1, activation=activation), w2, b2), y)


def torch_loss(torch, x, y, parameters, activation):
    """The same with torch."""
    w1, b1, w2, b2 = parameters
    functional = torch.nn.functional
    hidden = getattr(functional, activation)(functional.linear(x, w1, b1))
    return functional.cross_entropy(functional.linear(hidden, w2, b2), y)


def compare_network(topic, comparison, torch, X, y, parameters, activation, dtype, tolerance):
    """Loss and all gradients of a two-layer network."""

    def ours():
        leaves = [topic.tensor(p.astype(dtype), requires_grad=True) for p in parameters]
        loss = network_loss(topic, topic.tensor(X.astype(dtype)), y, leaves, activation)
        loss.backward()
        return loss.item(), np.concatenate([p.grad.array.ravel() for p in leaves])

    def theirs():
        leaves = [torch.tensor(p.astype(dtype), requires_grad=True) for p in parameters]
        loss = torch_loss(torch, torch.tensor(X.astype(dtype)), torch.tensor(y), leaves, activation)
        loss.backward()
        return loss.item(), np.concatenate([p.grad.numpy().ravel() for p in leaves])

    reason = (
        "the same formulas in another order of summation: rounding only"
        if dtype == np.float64
        else "float32 rounding, 6e-8, over sums of 64 terms in two layers"
    )
    (loss, gradient), (loss_torch, gradient_torch) = comparison.run(ours, theirs)
    name = f"{activation}, {np.dtype(dtype)}"
    comparison.compare(f"loss, {name}", loss, loss_torch, tolerance=tolerance, reason=reason)
    comparison.compare(f"gradients, {name}", gradient, gradient_torch, tolerance=tolerance, reason=reason)


def compare_hessian(topic, comparison, torch, X, y):
    """The whole Hessian of a small two-layer network, column by column."""
    rng = np.random.default_rng(1)
    start = rng.standard_normal(3 * 4 + 10 * 3) * 0.5

    def loss(w):
        hidden = topic.tanh(topic.tensor(X) @ w[:12].reshape(4, 3))  # (64, 3)
        return topic.cross_entropy(hidden @ w[12:].reshape(3, 10), y)

    def loss_torch(w):
        hidden = torch.tanh(torch.tensor(X) @ w[:12].reshape(4, 3))
        return torch.nn.functional.cross_entropy(hidden @ w[12:].reshape(3, 10), torch.tensor(y))

    ours, theirs = comparison.run(
        lambda: np.stack([topic.hessian_vector_product(loss, start, e).numpy() for e in np.eye(start.size)]),
        lambda: torch.autograd.functional.hessian(loss_torch, torch.tensor(start)).numpy(),
    )
    comparison.compare(
        "Hessian of a two-layer network", ours, theirs, tolerance=1e-10, reason="closed form: rounding only"
    )


def compare_products(topic, comparison, torch, X, y, parameters):
    """Forward and reverse products with the Jacobian of the network's outputs."""
    rng = np.random.default_rng(2)
    tangent, cotangent = rng.standard_normal(X.shape), rng.standard_normal((len(X), 10))

    def outputs(x):
        return topic.softmax(
            topic.linear(
                topic.tanh(topic.linear(x, parameters[0], parameters[1])), parameters[2], parameters[3]
            ),
            -1,
        )

    def outputs_torch(x):
        w1, b1, w2, b2 = (torch.tensor(p) for p in parameters)
        return torch.softmax(torch.tanh(x @ w1.T + b1) @ w2.T + b2, -1)

    def outputs_dual(x):
        w1, b1, w2, b2 = parameters
        e = np.exp(np.tanh(x @ w1.T + b1) @ w2.T + b2)
        return e / (e @ np.ones((10, 10)))

    x, reason = torch.tensor(X), "closed form: rounding only"
    ours, theirs = comparison.run(
        lambda: topic.jvp(outputs, (X,), (tangent,))[1].numpy(),
        lambda: torch.autograd.functional.jvp(outputs_torch, x, torch.tensor(tangent))[1].numpy(),
    )
    comparison.compare("Jacobian times vector, jvp", ours, theirs, tolerance=1e-10, reason=reason)
    ours, _ = comparison.run(lambda: outputs_dual(topic.Dual(X, tangent)).tangent, lambda: None)
    comparison.compare("Jacobian times vector, dual numbers", ours, theirs, tolerance=1e-10, reason=reason)
    ours, theirs = comparison.run(
        lambda: topic.vjp(outputs, X)[1](cotangent)[0].numpy(),
        lambda: torch.autograd.functional.vjp(outputs_torch, x, torch.tensor(cotangent))[1].numpy(),
    )
    comparison.compare("vector times Jacobian, vjp", ours, theirs, tolerance=1e-10, reason=reason)


def compare_repeated_indices(topic, comparison, torch, X, y):
    """Class means by index: gradients add up over repeated rows."""

    def ours():
        x = topic.tensor(X, requires_grad=True)
        (x[y] * x[y[::-1].copy()]).sum().backward()
        return x.grad.numpy()

    def theirs():
        x, index = torch.tensor(X, requires_grad=True), torch.tensor(y)
        (x[index] * x[index.flip(0)]).sum().backward()
        return x.grad.numpy()

    result, result_torch = comparison.run(ours, theirs)
    comparison.compare(
        "gradient over repeated indices",
        result,
        result_torch,
        tolerance=1e-10,
        reason="sums of a few terms: rounding only",
    )


def race_network(topic, plain, batch, width):
    """Ours, torch's and the breath's: each one forward and backward run."""
    import torch

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((batch, 784), dtype=np.float32), rng.integers(0, 10, batch)
    shapes = [(width, 784), (width,), (10, width), (10,)]
    parameters = [rng.standard_normal(shape, dtype=np.float32) * 0.05 for shape in shapes]
    leaves = [topic.tensor(p, requires_grad=True) for p in parameters]
    leaves_torch = [torch.tensor(p, requires_grad=True) for p in parameters]
    x, x_torch, y_torch = topic.tensor(X), torch.tensor(X), torch.tensor(y)

    def ours():
        for p in leaves:
            p.grad = None
        network_loss(topic, x, y, leaves, "relu").backward()

    def theirs():
        for p in leaves_torch:
            p.grad = None
        torch_loss(torch, x_torch, y_torch, leaves_torch, "relu").backward()

    def breath():  # squares in place of ReLU and cross-entropy: the same products
        value, back = plain
        w1, _, w2, _ = (value(p.astype(float).T) for p in parameters)
        hidden = (value(X) @ w1).tanh()
        out = hidden @ w2
        back((out * out).sum())

    return ours, theirs, breath
