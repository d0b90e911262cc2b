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
# # Learning-rate schedules
#
# Part of the topic [gradient descent](../../gradient_descent.py), which exports these names: how the step size
# changes while an optimizer runs. Mirrors `torch.optim.lr_scheduler`.

# %%
from __future__ import annotations

import copy
import math
import warnings
from typing import Any, Literal

import numpy as np

from level1_foundations.parts.gradient_descent.optimizer import Optimizer
from shared.arrays import validate_choice, validate_number

__all__ = ["CosineAnnealingLR", "ExponentialLR", "LRScheduler", "LinearLR", "OneCycleLR", "StepLR"]


# %%
class LRScheduler:
    """Base of the schedules: after each `step()` every group's learning rate is what `get_lr()` says.

    Args:
        optimizer: whose `param_groups` to change. Each group's learning rate at this moment is remembered as
            its "initial_lr".
        last_epoch: −1 starts a schedule. Another number resumes one, k − 1 after `step` was called k times: the groups must
            already carry "initial_lr" and the rate that stood there; resuming changes no rate.

    Attributes:
        last_epoch: how many times `step` was called. base_lrs: the initial learning rates; a group that joins later
            brings the rate that it has then.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer.")
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{number}] when resuming a schedule "
                    f"at last_epoch={last_epoch}; load the optimizer's state first, or start with -1."
                )
        self.last_epoch = last_epoch + 1
        self._is_initial = True
        self._apply()
        self._is_initial = False
        self._warned = False

    def get_lr(self) -> list[float]:
        """The learning rates at `last_epoch`, one a group, from those that stand in the groups now."""
        raise NotImplementedError

    @property
    def base_lrs(self) -> list[float]:
        return [group.setdefault("initial_lr", group["lr"]) for group in self.optimizer.param_groups]

    def _apply(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Go one epoch (or batch, whatever one counts) further. Call it after `optimizer.step()`."""
        if not self.optimizer._step_called and not self._warned:
            self._warned = True
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first learning rate "
                "of the schedule is never used. Call them in the other order.",
                stacklevel=2,
            )
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The learning rates that the last `step` set, one a group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; save the optimizer's `state_dict` beside it."""
        return {name: copy.deepcopy(value) for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a snapshot of `state_dict`. The learning rate itself is in the optimizer's."""
        self.__dict__.update(copy.deepcopy(state_dict))


# %% [markdown]
# ## Derive
#
# A schedule changes the learning rate between steps. With $\eta_0$ at the start and epoch $k = 0, 1, \dots$:
#
# | | closed form |
# |---|---|
# | `StepLR` | $\eta_k = \eta_0\,\gamma^{\lfloor k/s\rfloor}$ |
# | `ExponentialLR` | $\eta_k = \eta_0\,\gamma^k$ |
# | `LinearLR` | $\eta_k = \eta_0\left[a + (b - a)\min(k, T)/T\right]$ |
# | `CosineAnnealingLR` | $\eta_k = \eta_{\min} + \tfrac12(\eta_0 - \eta_{\min})(1 + \cos(\pi k/T))$ |
# | `OneCycleLR` | from $\eta_{\max}/25$ up to $\eta_{\max}$ and down to nearly zero; momentum down and up |
#
# As in torch, the first four are *recursive*: each computes $\eta_{k}$ from the learning rate that stands in
# the group now. So several of them can be chained, and a change made by hand is kept. The recursion is the
# ratio of the closed form at $k$ and $k - 1$. For the line, with $a$ the start and $b$ the end factor,
#
# $$\frac{\eta_k}{\eta_{k-1}} = \frac{aT + (b - a)k}{aT + (b - a)(k - 1)}
# = 1 + \frac{b - a}{aT + (k - 1)(b - a)},$$
#
# and for the cosine $\eta_k - \eta_{\min} = (\eta_{k-1} - \eta_{\min})\,\dfrac{1 + \cos(\pi k/T)}{1 +
# \cos(\pi(k-1)/T)}$. At $k = T + 1, 3T + 1, \dots$ that is $0/0$: the rate stood at its minimum, and rises by
# the first increment of the next half wave, $\tfrac12(\eta_0 - \eta_{\min})(1 - \cos(\pi/T))$.

# %% [markdown]
# ## Implement


# %%
def step_rule(lr: float, epoch: int, *, step_size: int, gamma: float) -> float:
    """γη at every multiple of `step_size` but the zeroth, else η."""
    return lr * gamma if epoch > 0 and epoch % step_size == 0 else lr


def linear_rule(lr: float, epoch: int, *, start_factor: float, end_factor: float, total_iters: int) -> float:
    """The next rate on the line from `start_factor` to `end_factor`; unchanged after `total_iters`."""
    if epoch > total_iters:
        return lr
    slope = end_factor - start_factor
    return lr * (1 + slope / (total_iters * start_factor + (epoch - 1) * slope))


def cosine_rule(lr: float, epoch: int, *, base_lr: float, T_max: int, eta_min: float) -> float:
    """The next rate on the half wave from `base_lr` down to `eta_min` in `T_max` steps, and up again."""
    if (epoch - 1 - T_max) % (2 * T_max) == 0:
        return lr + (base_lr - eta_min) * (1 - math.cos(math.pi / T_max)) / 2
    now, before = (1 + math.cos(math.pi * k / T_max) for k in (epoch, epoch - 1))
    return eta_min + (lr - eta_min) * now / before


def anneal(start: float, end: float, fraction: float, strategy: str) -> float:
    """From `start` to `end` as `fraction` goes from 0 to 1, along half a cosine wave or a line."""
    if strategy == "cos":
        return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
    return start + (end - start) * fraction


# %%
class StepLR(LRScheduler):
    """Multiply the learning rate by `gamma` every `step_size` epochs."""

    def __init__(  # practice: keep
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = validate_number(step_size, "step_size", minimum=1, integer=True)
        self.gamma = validate_number(gamma, "gamma")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial:  # the rate that stands there has been multiplied already
            return [group["lr"] for group in self.optimizer.param_groups]
        return [
            step_rule(group["lr"], self.last_epoch, step_size=self.step_size, gamma=self.gamma)
            for group in self.optimizer.param_groups
        ]


class ExponentialLR(LRScheduler):
    """Multiply the learning rate by `gamma` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:  # practice: keep
        self.gamma = validate_number(gamma, "gamma")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        factor = 1.0 if self._is_initial else self.gamma
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class LinearLR(LRScheduler):
    """Multiply the first rate by a factor on a line from `start_factor` to `end_factor`, over `total_iters`.

    Raises:
        ValueError: start_factor outside (0, 1], end_factor outside [0, 1], total_iters below 1.
    """

    def __init__(  # practice: keep
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(
                "Starting multiplicative factor expected to be greater than 0 and less or equal to 1, "
                f"got start_factor={start_factor!r}."
            )
        if not 0 <= end_factor <= 1:
            raise ValueError(
                f"Ending multiplicative factor expected to be between 0 and 1, got end_factor={end_factor!r}."
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = validate_number(total_iters, "total_iters", minimum=1, integer=True)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self._is_initial:
            return [lr * self.start_factor for lr in rates] if self.last_epoch == 0 else rates
        line = {
            "start_factor": self.start_factor,
            "end_factor": self.end_factor,
            "total_iters": self.total_iters,
        }
        return [linear_rule(lr, self.last_epoch, **line) for lr in rates]


class CosineAnnealingLR(LRScheduler):
    """Lower the rate to `eta_min` along half a cosine wave of `T_max` epochs, then raise it again."""

    def __init__(  # practice: keep
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = validate_number(T_max, "T_max", minimum=1, integer=True)
        self.eta_min = validate_number(eta_min, "eta_min", minimum=0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self._is_initial:
            return rates
        return [
            cosine_rule(lr, self.last_epoch, base_lr=base_lr, T_max=self.T_max, eta_min=self.eta_min)
            for lr, base_lr in zip(rates, self.base_lrs, strict=True)
        ]


# %% [markdown]
# `OneCycleLR` knows its length. In two phases the rate climbs from $\eta_{\max}/\texttt{div\_factor}$ to
# $\eta_{\max}$ during the first `pct_start` of the steps and falls to
# $\eta_{\max}/(\texttt{div\_factor}\cdot\texttt{final\_div\_factor})$ in the rest; with `three_phase` it
# returns to its start in as many steps as it climbed, and only then falls. The momentum (for the Adams,
# $\beta_1$) moves the other way.


# %%
class OneCycleLR(LRScheduler):
    """One climb and one descent of the learning rate, over a number of steps known beforehand.

    Args:
        max_lr: highest rate, one for all groups or a list.
        total_steps: length; or give epochs and steps_per_epoch.
        pct_start: share of the steps spent climbing. anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momentum between max_momentum and base_momentum, against the rate.
        div_factor: the first rate is max_lr / div_factor.
        final_div_factor: the last rate is the first / final_div_factor.
        three_phase: descend to the first rate symmetrically before the last descent.

    Raises:
        ValueError: no length, one that is not positive, pct_start outside [0, 1], a climb of exactly one
            step (it has no slope), a list of another length than the groups, an optimizer without momentum to
            cycle; and by `step`, after total_steps steps.
    """

    def __init__(  # practice: keep
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer.")
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch).")
            total_steps = positive_integer(epochs, "epochs") * positive_integer(
                steps_per_epoch, "steps_per_epoch"
            )
        self.total_steps = positive_integer(total_steps, "total_steps")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start!r}.")
        self.anneal_strategy = validate_choice(anneal_strategy, "anneal_strategy", ("cos", "linear"))
        self.cycle_momentum = cycle_momentum
        self.phases = one_cycle_phases(self.total_steps, float(pct_start), three_phase)
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled.")
        peaks = one_for_each_group(max_lr, "max_lr", optimizer)
        highs = one_for_each_group(max_momentum, "max_momentum", optimizer)
        lows = one_for_each_group(base_momentum, "base_momentum", optimizer)
        for group, peak, high, low in zip(optimizer.param_groups, peaks, highs, lows, strict=True):
            if last_epoch == -1:
                first = peak / div_factor
                group.update(initial_lr=first, max_lr=peak, min_lr=first / final_div_factor)
                if cycle_momentum:
                    group.update(max_momentum=high, base_momentum=low)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [self._interpolate(group, "lr") for group in self.optimizer.param_groups]

    def _join(self, group: dict[str, Any]) -> None:
        """Say what a group that joined later lacks."""
        missing = [name for name in ("initial_lr", "max_lr", "min_lr") if name not in group]
        if self.cycle_momentum:
            missing += [name for name in ("max_momentum", "base_momentum") if name not in group]
        if missing:
            raise KeyError(
                f"a group that joins during OneCycleLR must bring {', '.join(missing)}: its rates depend on them."
            )

    def _interpolate(self, group: dict[str, Any], what: Literal["lr", "momentum"]) -> float:
        """The learning rate or the momentum at `last_epoch`."""
        self._join(group)
        phase = next((p for p in self.phases if self.last_epoch <= p["end"]), self.phases[-1])
        fraction = (self.last_epoch - phase["start"]) / (phase["end"] - phase["start"])
        start, end = (group[name] for name in phase[what])
        return anneal(start, end, fraction, self.anneal_strategy)

    def _apply(self) -> None:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. "
                f"The specified number of total steps is {self.total_steps}."
            )
        super()._apply()
        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            momentum = self._interpolate(group, "momentum")
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


def one_cycle_phases(total_steps: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """Each phase: where it starts and ends, in steps, and between which entries of a group it moves."""
    peak = pct_start * total_steps - 1
    up = {
        "start": 0.0,
        "end": peak,
        "lr": ("initial_lr", "max_lr"),
        "momentum": ("max_momentum", "base_momentum"),
    }
    down = {
        "start": peak,
        "end": total_steps - 1,
        "lr": ("max_lr", "min_lr"),
        "momentum": ("base_momentum", "max_momentum"),
    }
    phases = [up, down]
    if three_phase:
        middle = 2 * peak
        last = {
            "start": middle,
            "end": total_steps - 1,
            "lr": ("initial_lr", "min_lr"),
            "momentum": ("max_momentum",) * 2,
        }
        phases = [up, {**down, "end": middle, "lr": ("max_lr", "initial_lr")}, last]
    if any(phase["end"] == phase["start"] for phase in phases):
        raise ValueError(
            f"pct_start={pct_start!r} of total_steps={total_steps} leaves a phase of the cycle without "
            "length; use more steps or another pct_start."
        )
    return phases


def positive_integer(value: Any, name: str) -> int:  # practice: keep
    """`value` if it is a positive integer, else a ValueError that names it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value!r}.")
    return int(value)


def one_for_each_group(value: Any, name: str, optimizer: Optimizer) -> list[float]:  # practice: keep
    """A number for each parameter group: one number serves all, a list must fit."""
    n_groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * n_groups
    if len(value) != n_groups:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups: it has {len(value)} values for "
            f"{n_groups} groups."
        )
    return list(value)
