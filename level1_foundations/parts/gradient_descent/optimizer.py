"""What all optimizers share: bookkeeping, no mathematics.

`gradient_descent.py` holds the rules that the topic teaches; here stands the machinery around them, which
follows `torch.optim.Optimizer`: parameter groups, the state kept for each parameter, saving and loading it,
and cutting large arrays into pieces that fit the processor's cache.
"""

from __future__ import annotations

import copy
import math
import numbers
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor, enable_grad

__all__ = ["Optimizer", "pick", "require_at_least_zero", "require_fraction"]

BLOCK = 32_768
"""Numbers updated at a time. Adam touches five arrays; 5 · 32,768 float32 numbers are 640 KB: they stay in
the second-level cache through all thirteen passes over them."""


class Optimizer:
    """Base of the optimizers: parameter groups, state, and a loop that calls the rule of the subclass.

    A subclass hands its hyperparameters to `__init__` as `defaults`, checks them in `_check(group)` and moves
    one parameter in `_update(theta, gradient, state, group)`.

    Args:
        params: an iterable of Tensors, or of dicts `{"params": [...], "lr": ..., ...}`: parameter groups,
            whose entries override the defaults.
        defaults: the hyperparameters of every group that does not set its own.

    Attributes:
        param_groups: list of dicts; change an entry (`group["lr"] = 0.1`) and the next step uses it.
        state: what is remembered for each parameter, a dict by Tensor.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got a "
                "single Tensor; write [tensor]."
            )
        self.defaults = defaults
        self._check(defaults)
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._step_called = False
        self._scratch: dict[np.dtype, tuple[np.ndarray, np.ndarray]] = {}
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list.")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])

    def _check(self, group: dict[str, Any]) -> None:
        """Raise a ValueError for hyperparameters outside their range."""
        raise NotImplementedError

    def _update(
        self, theta: np.ndarray, gradient: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """Move `theta` in place."""
        raise NotImplementedError

    def add_param_group(self, param_group: Any) -> None:
        """Add parameters with hyperparameters of their own, for example layers that thaw later.

        Args:
            param_group: `{"params": Tensor or iterable of Tensors, ...}`; what it does not name is taken from
                the defaults.

        Raises:
            TypeError: not a dict; parameters in a set (it has no order); something that is not a Tensor.
            ValueError: a Tensor that is not a leaf, one that stands in another group, a bad hyperparameter.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group).__name__}.")
        if "params" not in param_group:
            raise KeyError("param_group must name its Tensors under the key 'params'.")
        params = param_group["params"]
        if isinstance(params, set | frozenset):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the order of Tensors "
                "in a set changes between runs; use a list."
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        for parameter in params:
            if not isinstance(parameter, Tensor):
                kind = type(parameter).__name__
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {kind}.")
            if not parameter.is_leaf:
                raise ValueError(
                    "can't optimize a non-leaf Tensor: its value is computed from others; give the Tensors "
                    "that it is computed from."
                )
        identities = {id(parameter) for parameter in params}
        if len(identities) != len(params):
            warnings.warn("optimizer contains a parameter group with duplicate parameters.", stacklevel=3)
        if any(id(parameter) in identities for group in self.param_groups for parameter in group["params"]):
            raise ValueError("some parameters appear in more than one parameter group.")
        group = {**self.defaults, **param_group, "params": params}
        self._check(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none=False` set them to zero.

        A parameter whose gradient is None is skipped by `step`; one whose gradient is zero still moves by its
        momentum and its weight decay.
        """
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad = None if set_to_none else Tensor(np.zeros_like(parameter.array))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient, in place.

        Args:
            closure: re-evaluates the loss, calls `backward()` and returns the loss; called once, before the
                move, with gradients enabled.

        Returns:
            What the closure returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._step_called = True
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                theta, gradient = parameter.array, parameter.grad.array
                if gradient.shape != theta.shape:
                    raise ValueError(
                        f"a gradient needs the shape of its parameter, {theta.shape}, got {gradient.shape}."
                    )
                self._update(theta, gradient, self.state[parameter], group)
                # A graph that still holds the old value must not be walked with the new one.
                parameter.version[0] += 1
        return loss

    def _blocks(
        self, theta: np.ndarray, gradient: np.ndarray, *states: np.ndarray | None
    ) -> Iterator[tuple[Any, ...]]:
        """Cut arrays of one shape into aligned flat pieces: θ, g, states…, and two scratch arrays.

        The pieces are views, so a rule that works in place changes the whole. A state that is None stays
        None. Arrays whose memory is not one run (a transposed parameter) come as they are, in one piece.
        """
        if not all(array is None or array.flags.c_contiguous for array in (theta, *states)):
            yield (theta, gradient, *states, np.empty_like(theta), np.empty_like(theta))
            return
        if theta.dtype not in self._scratch:
            self._scratch[theta.dtype] = np.empty(BLOCK, theta.dtype), np.empty(BLOCK, theta.dtype)
        work, spare = self._scratch[theta.dtype]
        flat = [None if array is None else array.reshape(-1) for array in (theta, gradient, *states)]
        for start in range(0, theta.size, BLOCK):
            piece = slice(start, start + BLOCK)
            size = min(BLOCK, theta.size - start)
            yield (*[None if array is None else array[piece] for array in flat], work[:size], spare[:size])

    def state_dict(self) -> dict[str, Any]:
        """A snapshot: `{"state": {index: {...}}, "param_groups": [{..., "params": [index, ...]}]}`.

        Parameters are numbered in the order of the groups. The arrays are copies: later steps do not change
        them.
        """
        index: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                index.setdefault(id(parameter), len(index))
            packed = {name: copy.deepcopy(value) for name, value in group.items() if name != "params"}
            groups.append({**packed, "params": [index[id(parameter)] for parameter in group["params"]]})
        state = {index[id(p)]: copy.deepcopy(entry) for p, entry in self.state.items() if entry}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a snapshot: its hyperparameters and state replace ours, in the order of the parameters.

        Arrays are copied and take the dtype of their parameter. A hyperparameter that an older snapshot does not name
        keeps its default.

        Raises:
            ValueError: another number of groups, or of parameters in a group; an array of another shape than
                its parameter; a hyperparameter outside its range. The optimizer is then as it was before.
        """
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: {len(saved)} where the "
                f"optimizer has {len(self.param_groups)}."
            )
        parameters: dict[int, Tensor] = {}
        for number, (ours, theirs) in enumerate(zip(self.param_groups, saved, strict=True)):
            if len(ours["params"]) != len(theirs["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's "
                    f"group: {len(theirs['params'])} parameters in group {number} where the optimizer has "
                    f"{len(ours['params'])}."
                )
            self._check({**self.defaults, **theirs})
            parameters.update(zip(theirs["params"], ours["params"], strict=True))
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for index, entry in state_dict["state"].items():
            for name, value in entry.items():
                state[parameters[index]][name] = self._copy_for(parameters[index], name, value)
        self.state = state
        self.param_groups = [
            {**self.defaults, **copy.deepcopy({name: value for name, value in theirs.items() if name != "params"}),
             "params": ours["params"]}
            for ours, theirs in zip(self.param_groups, saved, strict=True)
        ]  # fmt: skip

    @staticmethod
    def _copy_for(parameter: Tensor, name: str, value: Any) -> Any:
        """A copy of a saved state entry that fits the parameter."""
        if not isinstance(value, np.ndarray):
            return copy.deepcopy(value)
        if value.shape != parameter.array.shape:
            raise ValueError(
                f"loaded state {name!r} has shape {value.shape}, its parameter has {parameter.array.shape}."
            )
        return value.astype(parameter.array.dtype, order="C", copy=True)


def pick(group: dict[str, Any], *names: str) -> dict[str, float]:
    """These hyperparameters, as Python floats: a NumPy scalar would turn float32 arithmetic into float64."""
    return {name: group[name] if isinstance(group[name], bool) else float(group[name]) for name in names}


def require_at_least_zero(value: Any, label: str) -> None:
    """Raise a ValueError, which begins with torch's words, unless `value` is a finite number ≥ 0."""
    if not _is_number(value) or not value >= 0:
        raise ValueError(f"Invalid {label}: {value!r}; it must be a finite number that is at least 0.")


def require_fraction(value: Any, label: str) -> None:
    """Raise a ValueError unless 0 ≤ `value` < 1."""
    if not _is_number(value) or not 0 <= value < 1:
        raise ValueError(f"Invalid {label}: {value!r}; it must be a number in [0, 1).")


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)
