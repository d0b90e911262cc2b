"""An ONNX graph that is being written, and an operation as the translations see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor
from level6_systems.parts.model_serving.tracing import Operation, UnsupportedOperation

__all__ = ["Graph", "Step", "onnx_type"]


def onnx_type(dtype: Any) -> int:
    """ONNX's number for a NumPy type."""
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


class Graph:
    """Nodes and constants of an ONNX graph that is being written, and the names of its values."""

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype
        self.nodes: list = []
        self.initializers: list = []
        self.names: dict[int, str] = {}  # id of a traced tensor -> name of its value
        self._stored: dict[tuple, str] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        from onnx import helper

        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=f"{output}_node", **attributes))
        return output

    def constant(self, value: Any, name: str = "constant") -> str:
        """Store an array (floats in the graph's type) and return its name; equal arrays are stored once."""
        from onnx import numpy_helper

        given = np.asarray(value)
        with np.errstate(over="ignore"):
            array = np.array(given, dtype=self.dtype if given.dtype.kind == "f" else given.dtype, order="C")
        if given.dtype.kind == "f" and (np.isinf(array) & ~np.isinf(given)).any():
            raise ValueError(
                f"dtype {self.dtype} is too narrow: a constant of the network, up to {np.abs(given).max():g}, overflows."
            )
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._stored:
            self._stored[key] = f"{name}_{len(self.initializers)}"
            self.initializers.append(numpy_helper.from_array(array, self._stored[key]))
        return self._stored[key]

    def integers(self, values: int | Sequence[int]) -> str:
        """Store int64, such as a shape or axes."""
        return self.constant(np.array(values, dtype=np.int64), "integers")

    def type(self, dtype: Any) -> np.dtype:
        """What stands in the graph for a type of the engine: one floating type for all of them, others as they are."""
        dtype = np.dtype(dtype)
        return self.dtype if dtype.kind == "f" else dtype

    def value(self, argument: Any, dtype: Any = None) -> str:
        """Name of a traced tensor, or of a constant holding a number or an untraced tensor.

        Args:
            dtype: the type in which an operation needs it; by default a tensor's own, a number in the floating type.
        """
        if isinstance(argument, Tensor) and id(argument) in self.names:
            name = self.names[id(argument)]
            own = self.type(argument.dtype)
            same = dtype is None or np.dtype(dtype) == own  # NumPy holds float64 for equal to None
            return name if same else self.node("Cast", name, to=onnx_type(dtype))
        if isinstance(argument, Tensor):
            argument = argument.array
        if dtype is None:
            dtype = self.type(argument.dtype) if isinstance(argument, np.ndarray) else self.dtype
        argument = np.asarray(argument)
        if (
            argument.dtype.kind == np.dtype(dtype).kind == "f"
        ):  # `constant` sees to the width, and that it is enough
            return self.constant(argument)
        return self.constant(argument.astype(dtype))


@dataclass(frozen=True)
class Step:
    """An operation as the emitters see it: the graph to write to, and both recordings of the operation."""

    graph: Graph
    operation: Operation
    other: Operation  # the same operation in the run with another number of rows
    read: set[str] = field(default_factory=set)  # arguments that the emitter has taken into account

    def __getitem__(self, index: int | str) -> str:
        """Name of the value of an argument, by its place or by its name."""
        return self.graph.value(self.raw(index))

    def raw(self, index: int | str, default: Any = None) -> Any:
        """An argument as it was passed; `index` is a name or a place."""
        arguments = self.operation.arguments
        name = list(arguments)[index] if isinstance(index, int) else index
        self.read.add(name)
        return arguments.get(name, default)

    @property
    def type(self) -> np.dtype:
        """The type of the result, in the graph."""
        return self.graph.type(self.operation.result.dtype)

    def cast(self, index: int | str, dtype: Any = None) -> str:
        """Name of the value of an argument in the type of the result, or in `dtype`: ONNX promotes nothing by itself."""
        return self.graph.value(self.raw(index), self.type if dtype is None else np.dtype(dtype))

    def common_type(self, *indices: int) -> np.dtype:
        """The type in which the engine compares these arguments; a plain number takes the type of its partner."""
        kinds: list[Any] = []
        for index in indices:
            value = self.raw(index)
            plain = isinstance(value, (bool, int, float))
            kinds.append(
                value if plain else self.graph.type(np.asarray(getattr(value, "array", value)).dtype)
            )
        if any(
            isinstance(kind, float) or (isinstance(kind, np.dtype) and kind.kind == "f") for kind in kinds
        ):
            return self.graph.dtype
        return np.result_type(*kinds)

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the first tensor in both runs."""
        return self.operation.tensors[0].shape, self.other.tensors[0].shape

    def axes(self) -> list[int]:
        """The argument `dim` as a list of axes, all of them if it is None."""
        rank, dim = len(self.shapes[0]), self.raw("dim")
        dims = range(rank) if dim is None else [dim] if isinstance(dim, (int, np.integer)) else dim
        return [int(d) % max(rank, 1) for d in dims]

    def result_shape(self) -> list[int]:
        """Shape of the result, with -1 on the one axis whose length depends on the number of rows.

        The arguments that led to this shape need not be looked at.
        """
        self.read.update(self.operation.arguments)
        pairs = zip(self.operation.result.shape, self.other.result.shape, strict=True)
        shape = [a if a == b else -1 for a, b in pairs]
        if shape.count(-1) > 1:
            raise self.unsupported("several axes of its result depend on the number of rows")
        return shape

    def unread(self) -> dict[str, Any]:
        """Arguments that have a value and that the emitter has not looked at."""
        return {k: v for k, v in self.operation.arguments.items() if k not in self.read and v is not None}

    def unsupported(self, why: str) -> UnsupportedOperation:
        return UnsupportedOperation(f"operation '{self.operation.name}' cannot be exported to ONNX: {why}.")
