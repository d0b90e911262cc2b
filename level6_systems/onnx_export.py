"""From a Module to an ONNX graph: trace what the engine does, cut out what is needed, write it down.

    model = export_onnx(network, 64, "digits.onnx", shift=mean, scale=deviation, classes=[0, ..., 9])

**Tracing.** The network's `forward` is run on an example, and every call into Level 1's engine is noted:
which function, with which arguments, and the tensor that came out. Python itself reports the calls
(`sys.setprofile`, for this thread and this run only), so the engine knows nothing of it and pays nothing. A
call may contain others (`embedding` is an indexing): what ONNX has a word for is taken whole, the rest is
opened until each part has one. What has none stops the export, by name.

**What a trace cannot see** is Python: a number taken out of a tensor, a branch, NumPy on the array
underneath. The network is therefore run twice, on different inputs with different numbers of rows. The two
recordings must be the same but for the length of the leading axis, and all constants must be equal: else
the export is refused.

onnx is imported where it is used.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor, no_grad

if TYPE_CHECKING:
    import onnx

    from level3_deep_learning.modules import Module

__all__ = ["IR_VERSION", "OPSET", "Operation", "UnsupportedOperation", "export_onnx", "trace"]

# onnx stamps its newest format on what it writes, which released runtimes refuse: 1.23 writes IR version 14
# and operator set 28, onnxruntime 1.31 loads up to 13 and 26. Operator set 18 (in which reductions take their
# axes as an input) with IR version 8, the pair of onnx 1.13, holds all that is needed here and loads in
# every onnxruntime since 1.14.
OPSET, IR_VERSION = 18, 8

ENGINE = "level1_foundations."  # functions of modules whose name starts so are the engine's


class UnsupportedOperation(NotImplementedError):
    """The network does something that cannot be written as an ONNX graph; the message names it."""


# ----------------------------------------------------------------------------------------------------
# Tracing
# ----------------------------------------------------------------------------------------------------
@dataclass(eq=False)
class Operation:
    """One recorded call of the engine.

    Attributes:
        name: the engine's function. arguments: its arguments by name.
        tensors: the tensors among the arguments, in order. result: the tensor that came out.
        inputs, output: the identities of these tensors, which name the values of the graph.
        versions: how often each tensor had been changed in place when the operation used it.
    """

    name: str
    arguments: dict[str, Any]
    tensors: list[Tensor]
    result: Tensor

    def __post_init__(self) -> None:
        self.versions = [tensor.version[0] for tensor in (*self.tensors, self.result)]

    @property
    def inputs(self) -> tuple[int, ...]:
        return tuple(id(tensor) for tensor in self.tensors)

    @property
    def output(self) -> int:
        return id(self.result)

    def changed_in_place(self) -> bool:
        """Whether a tensor was overwritten after this operation used or made it."""
        return self.versions != [tensor.version[0] for tensor in (*self.tensors, self.result)]


class _Call:
    """A call of the engine that is under way: its arguments as they came in, and the calls inside it."""

    def __init__(self, frame: Any, code: Any):
        self.code = code
        given = frame.f_locals  # at the moment of the call: its arguments, and what its closure holds
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x04)]
        self.arguments = {name: given[name] for name in names if name in given}
        # comparisons are made from NumPy's by one factory and share its name; the ufunc tells them apart
        self.name = given["ufunc"].__name__ if "ufunc" in code.co_freevars else code.co_name
        self.inner: list[Operation] = []


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in an argument, which may be a sequence of them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)


def _operations_of(call: _Call, result: Any) -> list[Operation]:
    """The finished call as one operation if it can be written in ONNX, else as those inside it."""
    name = call.name
    tensors = [tensor for value in call.arguments.values() for tensor in _tensors(value)]
    if not isinstance(result, Tensor) or any(result is tensor for tensor in tensors):
        return call.inner  # a helper, or a function that returned its argument
    if name in EMITTERS:
        return [Operation(name, call.arguments, tensors, result)]
    known = {operation.output for operation in call.inner if operation.name in EMITTERS}
    if id(result) in known:
        return call.inner
    return [Operation(name, call.arguments, tensors, result)] if tensors else []


@contextlib.contextmanager
def _recording(operations: list[Operation]) -> Iterator[None]:
    """Append every operation of the engine in this thread to `operations`."""
    stack: list[_Call] = []

    def watch(frame: Any, event: str, result: Any) -> None:
        if event not in ("call", "return") or not frame.f_globals.get("__name__", "").startswith(ENGINE):
            return
        if event == "call":
            stack.append(_Call(frame, frame.f_code))
        elif stack and stack[-1].code is frame.f_code:
            found = _operations_of(call := stack.pop(), result)
            (stack[-1].inner if stack else operations).extend(found)
            call.inner = []

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)


def trace(module: Module, x: Tensor) -> tuple[list[Operation], Tensor]:
    """Run `module` on `x` in evaluation mode, without gradients, and return the operations and the output.

    Raises:
        UnsupportedOperation: the output is not one tensor, or a tensor was changed in place on the way.
    """
    operations: list[Operation] = []
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with no_grad(), _recording(operations):
            output = module(x)
    finally:
        for part, training in modes:
            part.training = training
    if not isinstance(output, Tensor):
        raise UnsupportedOperation(
            f"the module must return one Tensor to be exported, got {type(output).__name__}."
        )
    for operation in operations:
        if operation.changed_in_place():
            raise UnsupportedOperation(
                f"a tensor used or made by '{operation.name}' was changed in place afterwards: an ONNX "
                f"graph has no such step."
            )
    return operations, output


# ----------------------------------------------------------------------------------------------------
# Writing the graph
# ----------------------------------------------------------------------------------------------------
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

        array = np.asarray(value)
        array = np.array(array, dtype=self.dtype if array.dtype.kind == "f" else array.dtype, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._stored:
            self._stored[key] = f"{name}_{len(self.initializers)}"
            self.initializers.append(numpy_helper.from_array(array, self._stored[key]))
        return self._stored[key]

    def integers(self, values: int | Sequence[int]) -> str:
        """Store int64, such as a shape or axes."""
        return self.constant(np.array(values, dtype=np.int64), "integers")

    def value(self, argument: Any) -> str:
        """Name of a traced tensor, or of a constant holding a number or an untraced tensor."""
        if isinstance(argument, Tensor):
            if id(argument) not in self.names:
                self.names[id(argument)] = self.constant(argument.array)
            return self.names[id(argument)]
        if isinstance(argument, np.ndarray) and argument.dtype.kind != "f":  # masks and indices
            return self.constant(argument)
        return self.constant(np.asarray(argument, dtype=self.dtype))


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


Emitter = Callable[[Step], str]
EMITTERS: dict[str, Emitter] = {}


def _emits(*names: str) -> Callable[[Emitter], Emitter]:
    def register(emitter: Emitter) -> Emitter:
        EMITTERS.update(dict.fromkeys(names, emitter))
        return emitter

    return register


# One ONNX node with the same inputs. Left the engine's function, right the ONNX operator.
_UNARY = {
    "relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
    "abs": "Abs", "negative": "Neg", "sign": "Sign", "sin": "Sin",
    "cos": "Cos", "floor": "Floor", "reciprocal": "Reciprocal", "clone": "Identity", "detach": "Identity",
    "isnan": "IsNaN", "logical_not": "Not",
}  # fmt: skip
_BINARY = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div",
    "pow": "Pow", "maximum": "Max", "minimum": "Min", "matmul": "MatMul",
    "greater": "Greater", "greater_equal": "GreaterOrEqual", "less": "Less", "less_equal": "LessOrEqual",
    "equal": "Equal", "bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor",
}  # fmt: skip
_REDUCTIONS = {
    "sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "amax": "ReduceMax", "amin": "ReduceMin",
    "max": "ReduceMax", "min": "ReduceMin", "logsumexp": "ReduceLogSumExp",
}  # fmt: skip


@_emits(*_UNARY)
def _unary(step: Step) -> str:
    return step.graph.node(_UNARY[step.operation.name], step[0])


@_emits(*_BINARY)
def _binary(step: Step) -> str:
    return step.graph.node(_BINARY[step.operation.name], step[0], step[1])


@_emits("not_equal")
def _not_equal(step: Step) -> str:
    return step.graph.node("Not", step.graph.node("Equal", step[0], step[1]))


@_emits(*_REDUCTIONS)
def _reduction(step: Step) -> str:
    axes, keep = step.graph.integers(step.axes()), int(bool(step.raw("keepdim")))
    return step.graph.node(_REDUCTIONS[step.operation.name], step[0], axes, keepdims=keep)


@_emits("var", "std")
def _variance(step: Step) -> str:
    """Σ (x − mean)² / (n − correction): ONNX has no word for it."""
    graph, x, dims = step.graph, step[0], step.axes()
    axes = graph.integers(dims)
    count, count_other = (math.prod(shape[d] for d in dims) for shape in step.shapes)
    if count != count_other:
        raise step.unsupported("it counts the rows of the batch")
    centered = graph.node("Sub", x, graph.node("ReduceMean", x, axes, keepdims=1))
    total = graph.node("ReduceSumSquare", centered, axes, keepdims=int(bool(step.raw("keepdim"))))
    variance = graph.node("Div", total, graph.value(count - step.raw("correction", 1)))
    return graph.node("Sqrt", variance) if step.operation.name == "std" else variance


@_emits("norm")
def _norm(step: Step) -> str:
    kind = {1: "ReduceL1", 2: "ReduceL2"}.get(step.raw("p", 2.0))
    if kind is None:
        raise step.unsupported(f"only p=1 and p=2 are, not p={step.raw('p')!r}")
    axes = step.graph.integers(step.axes())
    return step.graph.node(kind, step[0], axes, keepdims=int(bool(step.raw("keepdim"))))


@_emits("cumsum")
def _cumulative(step: Step) -> str:
    (axis,) = step.axes()
    return step.graph.node("CumSum", step[0], step.graph.integers(axis))


@_emits("log1p", "expm1")
def _log1p_expm1(step: Step) -> str:
    if step.operation.name == "log1p":
        return step.graph.node("Log", step.graph.node("Add", step[0], step.graph.value(1.0)))
    return step.graph.node("Sub", step.graph.node("Exp", step[0]), step.graph.value(1.0))


@_emits("masked_fill")
def _masked_fill(step: Step) -> str:
    return step.graph.node("Where", step[1], step[2], step[0])


@_emits("linear")
def _linear(step: Step) -> str:
    graph, x, weight = step.graph, step["input"], step["weight"]
    bias = () if step.raw("bias") is None else (step["bias"],)
    if len(step.shapes[0]) == 2:  # y = x Wᵀ + b in one node
        y = graph.node("Gemm", x, weight, *bias, transB=1)
    else:
        y = graph.node("MatMul", x, graph.node("Transpose", weight, perm=[1, 0]))
        y = graph.node("Add", y, *bias) if bias else y
    activation = step.raw("activation")
    if activation is None:
        return y
    if activation not in _ACTIVATIONS:
        raise step.unsupported(f"activation={activation!r} is unknown")
    return _ACTIVATIONS[activation](graph, y)


def _erf_of(graph: Graph, x: str) -> str:
    """erf(x); in float32 also where the graph computes in float64, for which onnxruntime has no erf."""
    if graph.dtype == np.float32:
        return graph.node("Erf", x)
    narrow = graph.node("Erf", graph.node("Cast", x, to=_onnx_type(np.float32)))
    return graph.node("Cast", narrow, to=_onnx_type(graph.dtype))


def _gelu_of(graph: Graph, x: str) -> str:
    """x/2 (1 + erf(x / √2))"""
    inner = _erf_of(graph, graph.node("Mul", x, graph.value(math.sqrt(0.5))))
    return _half_of_product(graph, x, inner)


def _tanh_gelu_of(graph: Graph, x: str) -> str:
    """x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))"""
    cube = graph.node("Mul", graph.node("Mul", x, x), x)
    total = graph.node("Add", x, graph.node("Mul", cube, graph.value(0.044715)))
    inner = graph.node("Tanh", graph.node("Mul", total, graph.value(math.sqrt(2.0 / math.pi))))
    return _half_of_product(graph, x, inner)


def _half_of_product(graph: Graph, x: str, inner: str) -> str:
    half = graph.node("Mul", x, graph.value(0.5))
    return graph.node("Mul", half, graph.node("Add", inner, graph.value(1.0)))


def _silu_of(graph: Graph, x: str) -> str:
    return graph.node("Mul", x, graph.node("Sigmoid", x))


_ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "relu": lambda graph, x: graph.node("Relu", x),
    "tanh": lambda graph, x: graph.node("Tanh", x),
    "sigmoid": lambda graph, x: graph.node("Sigmoid", x),
    "softplus": lambda graph, x: graph.node("Softplus", x),
    "gelu": _gelu_of,
    "silu": _silu_of,
}


@_emits("erf")
def _erf(step: Step) -> str:
    return _erf_of(step.graph, step[0])


@_emits("gelu")
def _gelu(step: Step) -> str:
    of = {"none": _gelu_of, "tanh": _tanh_gelu_of}[step.raw("approximate", "none")]
    return of(step.graph, step[0])


@_emits("silu")
def _silu(step: Step) -> str:
    return _silu_of(step.graph, step[0])


@_emits("softplus")
def _softplus(step: Step) -> str:
    if (
        step.raw("beta", 1.0) != 1.0 or step.raw("threshold", 20.0) < 20.0
    ):  # from 20 on, softplus(x) = x to 2e-9
        raise step.unsupported("beta other than 1 and thresholds below 20 have no counterpart")
    return step.graph.node("Softplus", step[0])


@_emits("leaky_relu")
def _leaky_relu(step: Step) -> str:
    return step.graph.node("LeakyRelu", step[0], alpha=float(step.raw("negative_slope", 0.01)))


@_emits("square")
def _square(step: Step) -> str:
    return step.graph.node("Mul", step[0], step[0])


@_emits("rsqrt")
def _rsqrt(step: Step) -> str:
    return step.graph.node("Reciprocal", step.graph.node("Sqrt", step[0]))


@_emits("clip")
def _clip(step: Step) -> str:
    value = step[0]
    for kind, bound in (("Max", "min"), ("Min", "max")):
        if step.raw(bound) is not None:
            value = step.graph.node(kind, value, step[bound])
    return value


@_emits("where")
def _where(step: Step) -> str:
    return step.graph.node("Where", step[0], step[1], step[2])


@_emits("softmax", "log_softmax")
def _softmax(step: Step) -> str:
    kind = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[step.operation.name]
    (axis,) = step.axes()
    return step.graph.node(kind, step[0], axis=axis)


@_emits("layer_norm")
def _layer_norm(step: Step) -> str:
    shape = step.raw("normalized_shape")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    weight = step.graph.value(Tensor(np.ones(shape))) if step.raw("weight") is None else step["weight"]
    bias = () if step.raw("bias") is None else (step["bias"],)
    eps = float(step.raw("eps", 1e-5))
    return step.graph.node("LayerNormalization", step[0], weight, *bias, axis=-len(shape), epsilon=eps)


@_emits("reshape", "flatten", "squeeze", "unsqueeze")
def _reshape(step: Step) -> str:
    return step.graph.node("Reshape", step[0], step.graph.integers(step.result_shape()))


@_emits("transpose")
def _transpose(step: Step) -> str:
    rank = len(step.shapes[0])
    first, second = int(step.raw("dim0")) % rank, int(step.raw("dim1")) % rank
    order = list(range(rank))
    order[first], order[second] = second, first
    return step.graph.node("Transpose", step[0], perm=order)


@_emits("permute")
def _permute(step: Step) -> str:
    dims = step.raw("dims")
    dims = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    return step.graph.node("Transpose", step[0], perm=[int(d) % len(dims) for d in dims])


@_emits("broadcast_to")
def _broadcast(step: Step) -> str:
    shape, before = step.result_shape(), step.shapes[0]
    if -1 in shape:
        axis = shape.index(-1) - len(shape)  # from the end, as broadcasting counts
        if -axis > len(before) or before[axis] == 1 != step.operation.result.shape[axis]:
            raise step.unsupported("it repeats a value along the axis whose length is the number of rows")
        shape[axis] = 1  # the axis is there already, and 1 leaves it as it is
    return step.graph.node("Expand", step[0], step.graph.integers(shape))


@_emits("cat")
def _concatenate(step: Step) -> str:
    parts = [step.graph.value(tensor) for tensor in step.raw("tensors")]
    return step.graph.node("Concat", *parts, axis=int(step.raw("dim")))


@_emits("stack")
def _stack(step: Step) -> str:
    axis = int(step.raw("dim")) % step.operation.result.ndim
    axes = step.graph.integers([axis])
    parts = [step.graph.node("Unsqueeze", step.graph.value(tensor), axes) for tensor in step.raw("tensors")]
    return step.graph.node("Concat", *parts, axis=axis)


@_emits("einsum")
def _einsum(step: Step) -> str:
    operands = [step.graph.value(tensor) for tensor in step.raw("operands")]
    return step.graph.node("Einsum", *operands, equation=step.raw("equation"))


@_emits("index")
def _index(step: Step) -> str:
    """One tensor of integers; or integers, slices, None and ...: a slice, then a reshape to drop or add axes."""
    value, key = step["input"], step.raw("key")
    if isinstance(key, Tensor) and key.dtype.kind in "iu":
        return step.graph.node("Gather", value, step.graph.value(key), axis=0)
    key = key if isinstance(key, tuple) else (key,)
    if not all(k is None or k is Ellipsis or isinstance(k, (slice, int, np.integer)) for k in key):
        raise step.unsupported("its key must be integers, slices, None and ..., or one tensor of integers")
    lengths, lengths_other = step.shapes
    if Ellipsis in key:
        place, used = key.index(Ellipsis), sum(k is not None and k is not Ellipsis for k in key)
        key = (*key[:place], *[slice(None)] * (len(lengths) - used), *key[place + 1 :])
    slices = []  # (start, end, axis, step)
    for axis, k in enumerate(k for k in key if k is not None):
        if k == slice(None):
            continue
        length = lengths[axis]
        if length != lengths_other[axis]:
            raise step.unsupported("it picks rows of the batch")
        start, end, stride = k.indices(length) if isinstance(k, slice) else (k % length, k % length + 1, 1)
        slices.append((start, end, axis, stride))  # the engine, like torch, has no negative strides
    if slices:
        value = step.graph.node(
            "Slice", value, *(step.graph.integers(part) for part in zip(*slices, strict=True))
        )
    return step.graph.node("Reshape", value, step.graph.integers(step.result_shape()))


@_emits("to")
def _cast(step: Step) -> str:
    step.raw("dtype")
    if step.operation.result.dtype.kind == "f":  # the whole graph computes in one floating type
        if step.operation.tensors[0].dtype.kind == "f":
            return step.graph.node("Identity", step[0])
        return step.graph.node("Cast", step[0], to=_onnx_type(step.graph.dtype))
    return step.graph.node("Cast", step[0], to=_onnx_type(step.operation.result.dtype))


def _onnx_type(dtype: Any) -> int:
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


# ----------------------------------------------------------------------------------------------------
# Both together
# ----------------------------------------------------------------------------------------------------
def export_onnx(
    module: Module,
    input_shape: int | Sequence[int],
    path: str | os.PathLike | None = None,
    *,
    shift: Any = None,
    scale: Any = None,
    classes: Any = None,
    input_range: tuple[Any, Any] | None = None,
    dtype: Any = None,
) -> onnx.ModelProto:
    """Write a Level-3 module as an ONNX model whose leading axis, the number of rows, is free.

    Args:
        module: maps one Tensor (n, ...) to one Tensor; it is run in evaluation mode.
        input_shape: shape of one row, without the leading axis; an int for a vector.
        path: file to write the model to.
        shift, scale: preprocessing that becomes part of the graph: the network sees (x − shift) / scale.
            Numbers, or arrays that broadcast against a row.
        classes: labels of the output's columns, stored in the file for whoever serves it.
        input_range: least and greatest value of the inputs in training, numbers or one for each entry of a row,
            stored in the file for the service, which refuses what lies outside. None accepts every finite number.
        dtype: floating type of the graph, float32 or float64; by default that of the module's parameters.

    Returns:
        the model, checked by `onnx.checker`; input "input" (n, *input_shape), output "output".

    Raises:
        UnsupportedOperation: the module does something that cannot be written; the message names it.
        ValueError: a bad shape, a zero scale, classes that do not match the output, a range that is not one.
        TypeError: classes that JSON cannot hold.

    Cost: two runs of the module on a few rows, and one copy of the weights.
    """
    import onnx
    from onnx import helper

    shape = _row_shape(input_shape)
    own = next((p.dtype for p in module.parameters() if p.dtype.kind == "f"), np.float32)
    dtype = np.dtype(own if dtype is None else dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {dtype}.")
    graph = Graph(dtype)
    first, second = _two_traces(module, shape, own)
    kept, others = _same_program(first, second)
    graph.names[id(first[0])] = _preprocess(graph, shape, shift, scale)
    for operation, other in zip(kept, others, strict=True):
        graph.names[operation.output] = _emit(Step(graph, operation, other))
    result = first[2]
    if id(result) == id(first[0]):  # the identity: nothing was recorded
        graph.names[id(result)] = graph.node("Identity", graph.names[id(first[0])])
    graph.nodes.append(
        helper.make_node("Identity", [graph.names[id(result)]], ["output"], name="output_node")
    )
    output_shape = ["n" if a != b else a for a, b in zip(result.shape, second[2].shape, strict=True)]
    kind = _onnx_type(dtype)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            type(module).__name__,
            [helper.make_tensor_value_info("input", kind, ["n", *shape])],
            [helper.make_tensor_value_info("output", kind, output_shape)],
            initializer=graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ground-up",
    )
    notes = {}
    if classes is not None:
        notes["classes"] = _labels(classes, output_shape)
    if input_range is not None:
        notes["input_range"] = _range(input_range, shape)
    if notes:
        helper.set_model_props(model, notes)
    onnx.checker.check_model(model, full_check=True)
    if path is not None:
        Path(path).write_bytes(model.SerializeToString())
    return model


def _row_shape(input_shape: int | Sequence[int]) -> tuple[int, ...]:
    shape = (input_shape,) if isinstance(input_shape, (int, np.integer)) else tuple(input_shape)
    if not shape or any(not isinstance(n, (int, np.integer)) or n < 1 for n in shape):
        raise ValueError(f"input_shape must be one or more positive integers, got {input_shape!r}.")
    return tuple(int(n) for n in shape)


def _labels(classes: Any, output_shape: list) -> str:
    labels = np.asarray(classes).tolist()
    columns = output_shape[-1]
    if len(output_shape) != 2 or len(labels) != max(columns, 2):
        raise ValueError(f"classes must name the {columns} columns of the output, got {len(labels)} labels.")
    return json.dumps(labels)


def _range(input_range: Any, shape: tuple[int, ...]) -> str:
    try:
        low, high = (np.broadcast_to(np.asarray(bound, float), shape).ravel() for bound in input_range)
    except (TypeError, ValueError):
        raise ValueError(
            f"input_range must be a least and a greatest value, numbers or arrays of shape {shape}, "
            f"got {input_range!r}."
        ) from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise ValueError(f"input_range must be finite, the least value first, got {input_range!r}.")
    return json.dumps([low.tolist(), high.tolist()])


Recording = tuple[Tensor, list[Operation], Tensor]


def _two_traces(module: Module, shape: tuple[int, ...], own: Any) -> tuple[Recording, Recording]:
    """The module's operations on two inputs that share neither values nor the number of rows."""
    rng = np.random.default_rng(0)
    rows = (3, 7)
    while set(rows) & set(shape):  # so that a length that changes is the number of rows, nothing else
        rows = (rows[0] + 2, rows[1] + 4)
    recordings = []
    for n in rows:
        x = Tensor(rng.standard_normal((n, *shape)).astype(own))
        recordings.append((x, *trace(module, x)))
    return recordings[0], recordings[1]


def _same_program(first: Recording, second: Recording) -> tuple[list[Operation], list[Operation]]:
    """The needed operations of both recordings, after a check that they are the same computation."""
    from level6_systems.model_serving import operations_between

    (x, operations, y), (x_other, operations_other, y_other) = first, second
    kept, constants = operations_between(operations, id(x), id(y))
    others, _ = operations_between(operations_other, id(x_other), id(y_other))
    if id(y) != id(x) and id(y) not in {operation.output for operation in kept}:
        raise UnsupportedOperation(
            "the output does not depend on the input through recorded operations: does forward compute with "
            "NumPy on the arrays underneath, or return a constant?"
        )
    if [operation.name for operation in kept] != [operation.name for operation in others]:
        raise UnsupportedOperation(
            "two inputs took different ways through the module (an `if` or a loop that depends on the "
            "values or on the number of rows): a graph has only one."
        )
    for operation, other in zip(kept, others, strict=True):
        for tensor, tensor_other in zip(operation.tensors, other.tensors, strict=True):
            if id(tensor) in constants and not np.array_equal(tensor.array, tensor_other.array):
                raise UnsupportedOperation(
                    f"operation '{operation.name}' uses a value that changes with the input but that no "
                    f"recorded "
                    "operation has computed: it would be frozen in the graph."
                )
        for name, value in operation.arguments.items():
            if name != "shape" and not _same_value(value, other.arguments.get(name)):
                raise UnsupportedOperation(
                    f"the argument {name} of operation '{operation.name}' changes with the input: it "
                    f"would be "
                    "frozen in the graph."
                )
    return kept, others


def _same_value(a: Any, b: Any) -> bool:
    """Whether an argument is the same in both runs; tensors are compared as constants, not here."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return True
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(_same_value, a, b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return a == b


def _emit(step: Step) -> str:
    emitter = EMITTERS.get(step.operation.name)
    if emitter is None:
        raise step.unsupported("there is no translation for it")
    name = emitter(step)
    if step.unread():  # rather refuse than drop an argument in silence
        raise step.unsupported(f"there is no translation for its arguments {sorted(step.unread())}")
    return name


def _preprocess(graph: Graph, shape: tuple[int, ...], shift: Any, scale: Any) -> str:
    """(x − shift) / scale as the first nodes of the graph; returns the name of the result."""
    value = "input"
    for kind, name, argument in (("Sub", "shift", shift), ("Div", "scale", scale)):
        if argument is None:
            continue
        array = np.asarray(argument, dtype=np.float64)
        try:
            fits = np.broadcast_shapes(array.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits or not np.isfinite(array).all() or (name == "scale" and (array == 0).any()):
            raise ValueError(
                f"{name} must be finite numbers{', none zero,' * (name == 'scale')} that broadcast "
                f"against a row of shape "
                f"{shape}, got shape {array.shape}."
            )
        value = graph.node(kind, value, graph.constant(array, name))
    return value
