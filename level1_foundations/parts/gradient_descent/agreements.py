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
# # Every option of every optimizer beside torch's
#
# Part of the topic [gradient descent](../../gradient_descent.py), whose `validate()` calls it. Each optimizer and each schedule
# walks 200 steps, and the whole walk is compared.

# %%
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shared.agreement import Agreement, Comparison

__all__ = ["REASON", "compare_branches", "torch_path", "walk"]

REASON = "the same formulas: rounding, carried through 200 steps"

# %%
OPTIMIZER_BRANCHES = (
    ("SGD", "plain", {"lr": 0.1}),
    ("SGD", "momentum", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", "dampening, weight decay", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", "Nesterov, weight decay", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", "Nesterov, maximize", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("SGD", "weight decay, maximize", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("Adagrad", "defaults", {}),
    ("Adagrad", "decaying rate, weight decay", {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.1}),
    ("Adagrad", "initial value, maximize", {"initial_accumulator_value": 0.1, "eps": 1e-6, "maximize": True}),
    ("RMSprop", "defaults", {}),
    ("RMSprop", "momentum, weight decay", {"momentum": 0.9, "weight_decay": 0.1, "alpha": 0.9, "eps": 1e-6}),
    ("RMSprop", "centered, momentum", {"centered": True, "momentum": 0.5}),
    ("RMSprop", "centered, maximize", {"centered": True, "maximize": True}),
    ("Adam", "defaults", {}),
    ("Adam", "weight decay, maximize", {"lr": 0.01, "weight_decay": 0.1, "maximize": True}),
    ("Adam", "AMSGrad", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1, "betas": (0.8, 0.9)}),
    ("Adam", "decoupled decay", {"lr": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("AdamW", "defaults", {}),
    ("AdamW", "AMSGrad, maximize", {"lr": 0.01, "amsgrad": True, "maximize": True}),
    ("NAdam", "defaults", {}),
    ("NAdam", "weight decay, maximize", {"lr": 0.01, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", "decoupled decay", {"decoupled_weight_decay": True, "weight_decay": 0.1, "momentum_decay": 1}),
)  # fmt: skip
SCHEDULE_BRANCHES = (
    ("StepLR", "SGD", "SGD", {"step_size": 30, "gamma": 0.5}),
    ("ExponentialLR", "Adam", "Adam", {"gamma": 0.98}),
    ("LinearLR", "SGD", "SGD", {}),
    ("LinearLR", "SGD", "SGD, down to zero", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 150}),
    ("CosineAnnealingLR", "SGD", "SGD, two waves", {"T_max": 45, "eta_min": 1e-3}),
    ("OneCycleLR", "SGD", "SGD, two peaks, momentum", {"max_lr": [0.2, 0.1], "total_steps": 200}),
    ("OneCycleLR", "NAdam", "NAdam, three phases, linear, beta1", {
        "max_lr": 0.05, "epochs": 10, "steps_per_epoch": 20, "three_phase": True, "anneal_strategy": "linear",
        "pct_start": 0.25}),
    ("OneCycleLR", "RMSprop", "RMSprop, fixed momentum", {
        "max_lr": 0.05, "total_steps": 300, "cycle_momentum": False}),
)  # fmt: skip


# %%
def walk(
    batches: list, make: Callable, wrap: Callable, optimizer: type, options: dict, schedule: Any, dtype: Any
) -> tuple[np.ndarray, np.ndarray]:
    """All parameters after each step, and each group's learning rate and momentum, of one optimizer."""
    params = [make(np.full(batches[0][0].shape[1], 0.1, dtype)), make(np.array(0.2, dtype))]
    w, b = (p.detach().numpy() for p in params)
    other = {"lr": 0.5 * options.get("lr", 0.01), "weight_decay": 0.02}
    optimizer = optimizer([{"params": params[0]}, {"params": params[1:], **other}], **options)
    scheduler = schedule(optimizer) if schedule else None
    sign, path, rates = (-1 if options.get("maximize") else 1), [], []
    for X, y in batches:
        residual = 1 / (1 + np.exp(-(X @ w + b))) - y
        for p, g in zip(params, (X.T @ residual / len(y), residual.mean()), strict=True):
            p.grad = wrap(np.asarray(sign * g, dtype))
        optimizer.step()
        path.append(np.append(w, b))
        if scheduler:
            scheduler.step()
        rates.append([[g["lr"], g.get("momentum", g.get("betas", [0])[0])] for g in optimizer.param_groups])
    return np.array(path), np.array(rates)


def torch_path(
    gradient: Callable[[np.ndarray], np.ndarray], x0: np.ndarray, lr: float, n_steps: int
) -> np.ndarray:
    """All points of torch's SGD from x0, on a gradient given as a function."""
    import torch

    x, path = torch.from_numpy(x0.copy()), [x0.copy()]
    optimizer = torch.optim.SGD([x], lr=lr)
    for _ in range(n_steps):
        x.grad = torch.from_numpy(gradient(x.numpy()))
        optimizer.step()
        path.append(x.numpy().copy())
    return np.array(path)


def compare_branches(
    agreements: list[Agreement], X: np.ndarray, y: np.ndarray, names: dict[str, Any]
) -> None:
    """Append the comparison of every branch; `names` holds our optimizers and schedules by their torch names."""
    import torch

    from level1_foundations.automatic_differentiation import Tensor

    schedules = torch.optim.lr_scheduler
    batches = [(X[rows], y[rows]) for rows in np.arange(200 * 64).reshape(200, 64) % len(y)]

    def both(
        reference: str, name: str, options: dict, schedule: str = "", dtype: Any = np.float64, **kw: Any
    ):
        comparison = Comparison(
            reference, "breast cancer, logistic loss, batches of 64, two groups", agreements
        )
        ours = (lambda o: names[schedule](o, **kw)) if schedule else None
        theirs = (lambda o: getattr(schedules, schedule)(o, **kw)) if schedule else None
        return comparison, comparison.run(
            lambda: walk(batches, lambda a: Tensor(a, requires_grad=True), Tensor,
                         names[name], options, ours, dtype),
            lambda: walk(batches, lambda a: torch.tensor(a, requires_grad=True), torch.from_numpy,
                         getattr(torch.optim, name), options, theirs, dtype),
        )  # fmt: skip

    for name, label, options in OPTIMIZER_BRANCHES:
        comparison, (ours, theirs) = both(f"torch.optim.{name}", name, options)
        comparison.compare(f"200 steps, {label}", ours[0], theirs[0], tolerance=1e-10, reason=REASON)
    comparison, (ours, theirs) = both("torch.optim.Adam", "Adam", {"lr": 0.01}, dtype=np.float32)
    comparison.compare("200 steps, single precision", ours[0], theirs[0], tolerance=1e-5, reason=REASON)
    for schedule, name, label, kw in SCHEDULE_BRANCHES:
        comparison, (ours, theirs) = both(
            f"torch.optim.lr_scheduler.{schedule}", name, {"lr": 0.05}, schedule, **kw
        )
        comparison.compare(f"200 steps, {label}", ours[0], theirs[0], tolerance=1e-10, reason=REASON)
        comparison.compare(
            f"rate and momentum, {label}",
            ours[1],
            theirs[1],
            tolerance=1e-12,
            reason="the same recursion: rounding",
        )
