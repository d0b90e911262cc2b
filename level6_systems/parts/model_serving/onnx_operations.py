"""What each operation of the engine is in ONNX: one function an operation, registered by name in `EMITTERS`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor
from level6_systems.parts.model_serving.onnx_graph import Graph, Step
from level6_systems.parts.model_serving.tracing import EMITTERS

__all__ = ["EMITTERS", "onnx_type"]

Emitter = Callable[[Step], str]


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
    narrow = graph.node("Erf", graph.node("Cast", x, to=onnx_type(np.float32)))
    return graph.node("Cast", narrow, to=onnx_type(graph.dtype))


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
        return step.graph.node("Cast", step[0], to=onnx_type(step.graph.dtype))
    return step.graph.node("Cast", step[0], to=onnx_type(step.operation.result.dtype))


def onnx_type(dtype: Any) -> int:
    """ONNX's number for a NumPy type."""
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
