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
# # Activations, shapes, normalization and lists
#
# Part of the topic [modules](../../modules.py), which exports these names.

# %%
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from level1_foundations import automatic_differentiation as ad
from level1_foundations.automatic_differentiation import Tensor
from level3_deep_learning.parts.modules.module import Module, Parameter, floating_dtype
from shared.arrays import validate_choice

__all__ = ["GELU", "Flatten", "Identity", "LayerNorm", "ModuleList", "ReLU", "Sigmoid", "Tanh"]


# %%
class ReLU(Module):
    """max(x, 0), entry by entry."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape as the input."""
        return ad.relu(input)


class Tanh(Module):
    """Hyperbolic tangent, entry by entry."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape as the input."""
        return ad.tanh(input)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), entry by entry."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape as the input."""
        return ad.sigmoid(input)


class GELU(Module):
    """x Φ(x) with the normal distribution function Φ, entry by entry.

    Args:
        approximate: `"none"` for Φ by erf, `"tanh"` for its tanh approximation.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = validate_choice(approximate, "approximate", ("none", "tanh"))

    def forward(self, input: Tensor) -> Tensor:
        """Same shape as the input."""
        return ad.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Identity(Module):
    """Its input, unchanged."""

    def forward(self, input: Tensor) -> Tensor:
        """The input itself."""
        return input


class Flatten(Module):
    """Join the axes `start_dim` to `end_dim` (inclusive) into one; by default all but the first."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """(n, a, b, …) → (n, a·b·…) with the defaults."""
        first, last = self.start_dim % input.ndim, self.end_dim % input.ndim
        if first > last:
            raise ValueError(f"start_dim ({first}) must not come after end_dim ({last})")
        joined = math.prod(input.shape[first : last + 1])
        return ad.reshape(input, (*input.shape[:first], joined, *input.shape[last + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class LayerNorm(Module):
    r"""Standardize each sample over its last axes, then $\gamma \cdot + \beta$, as `torch.nn.LayerNorm`.

    Args:
        normalized_shape: sizes of the last axes that are averaged over; an int for the last one.
        eps: added to the (biased) variance.
        elementwise_affine: whether to learn γ (`weight`, starts at 1) and β (`bias`, starts at 0).
        bias: whether there is a β.
        dtype: float32 (default) or float64.
    """

    def __init__(
        self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, *, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalized_shape = tuple(np.atleast_1d(normalized_shape).tolist())
        self.eps, self.elementwise_affine = eps, elementwise_affine
        for name, start, wanted in (
            ("weight", 1.0, elementwise_affine),
            ("bias", 0.0, elementwise_affine and bias),
        ):
            values = np.full(self.normalized_shape, start, floating_dtype(dtype))
            self.register_parameter(name, Parameter(values) if wanted else None)

    def forward(self, input: Tensor) -> Tensor:
        """Same shape as the input."""
        return ad.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class ModuleList(Module):
    """A list of modules whose parameters are found; it has no `forward`."""

    def __init__(self, modules: Any = ()) -> None:
        super().__init__()
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """Add a module at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Any) -> ModuleList:
        """Add modules at the end; returns self."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self) -> int:
        """How many modules it holds."""
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        """The modules in order."""
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Module:
        """One module, or for a slice a container of the same kind that shares them."""
        chosen = list(self._modules.values())[index]
        return type(self)._of(chosen) if isinstance(index, slice) else chosen

    def __setitem__(self, index: int, module: Module) -> None:
        """Replace one module."""
        setattr(self, list(self._modules)[index], module)

    @classmethod
    def _of(cls, modules: list[Module]) -> ModuleList:
        return cls(modules)
