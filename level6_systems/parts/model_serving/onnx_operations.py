"""What each operation of the engine is in ONNX: one function an operation, registered by name in `EMITTERS`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from level1_foundations.automatic_differentiation import Tensor
from level6_systems.parts.model_serving.onnx_graph import Graph, Step, onnx_type
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
    "relu": "Relu", "tanh": "Tanh", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
    "abs": "Abs", "negative": "Neg", "sign": "Sign", "sin": "Sin",
    "cos": "Cos", "floor": "Floor", "reciprocal": "Reciprocal", "clone": "Identity", "detach": "Identity",
}  # fmt: skip
_BINARY = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div",
    "pow": "Pow", "maximum": "Max", "minimum": "Min", "matmul": "MatMul",
}  # fmt: skip
_COMPARISONS = {
    "greater": "Greater", "greater_equal": "GreaterOrEqual", "less": "Less", "less_equal": "LessOrEqual",
    "equal": "Equal", "not_equal": "Equal",
}  # fmt: skip
_LOGICAL = {"and": "And", "or": "Or", "xor": "Xor"}
_REDUCTIONS = {
    "sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "amax": "ReduceMax", "amin": "ReduceMin",
    "max": "ReduceMax", "min": "ReduceMin", "logsumexp": "ReduceLogSumExp",
}  # fmt: skip


@_emits(*_UNARY)
def _unary(step: Step) -> str:
    kind = _UNARY[step.operation.name]
    if kind == "Floor" and step.type.kind != "f":  # integers are their own floor
        kind = "Identity"
    return step.graph.node(kind, step.cast(0))


@_emits(*_BINARY)
def _binary(step: Step) -> str:
    return step.graph.node(_BINARY[step.operation.name], step.cast(0), step.cast(1))


@_emits("as_base")
def _as_base(step: Step) -> str:
    """The base of `2 ** x`: the engine makes a tensor of the number."""
    ours, other = step.operation.result.array, step.other.result.array
    if isinstance(step.raw(0), Tensor) or not np.array_equal(ours, other):
        raise step.unsupported("the base changes with the input without a recorded operation")
    step.read.update(step.operation.arguments)
    return step.graph.constant(ours)


@_emits(*_COMPARISONS)
def _comparison(step: Step) -> str:
    kind, common = _COMPARISONS[step.operation.name], step.common_type(0, 1)
    if common.kind == "b" and kind != "Equal":  # ONNX orders numbers alone
        common = np.dtype(np.int32)
    node = step.graph.node(kind, step.cast(0, common), step.cast(1, common))
    return step.graph.node("Not", node) if step.operation.name == "not_equal" else node


@_emits(*(f"{family}_{name}" for family in ("bitwise", "logical") for name in _LOGICAL))
def _and_or_xor(step: Step) -> str:
    """Of truth values; `bitwise` of integers is ONNX's operator of that name."""
    family, _, name = step.operation.name.partition("_")
    if step.type.kind == "b":
        return step.graph.node(_LOGICAL[name], step.cast(0, bool), step.cast(1, bool))
    if family == "logical":
        raise step.unsupported("its result is no truth value")
    return step.graph.node(f"Bitwise{_LOGICAL[name]}", step.cast(0), step.cast(1))


@_emits("logical_not", "invert", "bitwise_not")
def _not(step: Step) -> str:
    if step.type.kind == "b":
        return step.graph.node("Not", step.cast(0, bool))
    return step.graph.node("BitwiseNot", step.cast(0))


@_emits("isnan")
def _isnan(step: Step) -> str:
    return step.graph.node("IsNaN", step.cast(0, step.graph.dtype))


@_emits(*_REDUCTIONS)
def _reduction(step: Step) -> str:
    axes, keep = step.graph.integers(step.axes()), int(bool(step.raw("keepdim")))
    return step.graph.node(_REDUCTIONS[step.operation.name], step.cast(0), axes, keepdims=keep)


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
    return step.graph.node("CumSum", step.cast(0), step.graph.integers(axis))


@_emits("log1p", "expm1")
def _log1p_expm1(step: Step) -> str:
    return {"log1p": _log1p_of, "expm1": _expm1_of}[step.operation.name](step.graph, step.cast(0))


def _near_zero(graph: Graph, x: str, one_plus: str, small: str, large: str) -> str:
    """x itself where 1 + x rounds to 1, `small` up to 1/2 from zero, and `large` beyond, where nothing cancels."""
    one, half = graph.value(1.0), graph.value(0.5)
    small = graph.node("Where", graph.node("Equal", one_plus, one), x, small)
    return graph.node("Where", graph.node("Less", graph.node("Abs", x), half), small, large)


def _log1p_of(graph: Graph, x: str) -> str:
    """log u · x/(u − 1) with u = 1 + x, rounded: what rounding has taken from x is put back (Kahan)."""
    u = graph.node("Add", x, graph.value(1.0))
    logarithm = graph.node("Log", u)
    ratio = graph.node("Div", x, graph.node("Sub", u, graph.value(1.0)))
    return _near_zero(graph, x, u, graph.node("Mul", logarithm, ratio), logarithm)


def _expm1_of(graph: Graph, x: str) -> str:
    """(u − 1) · x/log u with u = exp x, rounded: the same the other way round."""
    u = graph.node("Exp", x)
    difference = graph.node("Sub", u, graph.value(1.0))
    ratio = graph.node("Div", x, graph.node("Log", u))
    return _near_zero(graph, x, u, graph.node("Mul", difference, ratio), difference)


@_emits("masked_fill")
def _masked_fill(step: Step) -> str:
    return step.graph.node("Where", step[1], step.cast(2), step.cast(0))


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


def _one_plus_exp_minus(graph: Graph, x: str) -> str:
    return graph.node("Add", graph.node("Exp", graph.node("Neg", x)), graph.value(1.0))


def _sigmoid_of(graph: Graph, x: str) -> str:
    """1/(1 + exp(−x)): onnxruntime's own Sigmoid is 0 from −18 down, where the logistic function is 1e-8."""
    return graph.node("Reciprocal", _one_plus_exp_minus(graph, x))


def _silu_of(graph: Graph, x: str) -> str:
    return graph.node("Div", x, _one_plus_exp_minus(graph, x))


def _softplus_of(graph: Graph, x: str) -> str:
    """max(x, 0) + log1p(exp(−|x|)); in float64 onnxruntime's own overflows from 710 on and loses the lower tail."""
    if graph.dtype == np.float32:
        return graph.node("Softplus", x)
    tail = _log1p_of(graph, graph.node("Exp", graph.node("Neg", graph.node("Abs", x))))
    return graph.node("Add", graph.node("Max", x, graph.value(0.0)), tail)


_ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "relu": lambda graph, x: graph.node("Relu", x),
    "tanh": lambda graph, x: graph.node("Tanh", x),
    "sigmoid": _sigmoid_of,
    "softplus": _softplus_of,
    "gelu": _gelu_of,
    "silu": _silu_of,
}


@_emits("erf")
def _erf(step: Step) -> str:
    return _erf_of(step.graph, step.cast(0))


@_emits("sigmoid")
def _sigmoid(step: Step) -> str:
    return _sigmoid_of(step.graph, step.cast(0))


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
    return _softplus_of(step.graph, step.cast(0))


@_emits("leaky_relu")
def _leaky_relu(step: Step) -> str:
    x, slope = step.cast(0), float(step.raw("negative_slope", 0.01))
    if step.graph.dtype == np.float32:
        return step.graph.node("LeakyRelu", x, alpha=slope)
    positive = step.graph.node("Greater", x, step.graph.value(0.0))  # ONNX keeps the slope in float32
    return step.graph.node("Where", positive, x, step.graph.node("Mul", x, step.graph.value(slope)))


@_emits("square")
def _square(step: Step) -> str:
    return step.graph.node("Mul", step.cast(0), step.cast(0))


@_emits("rsqrt")
def _rsqrt(step: Step) -> str:
    return step.graph.node("Reciprocal", step.graph.node("Sqrt", step.cast(0)))


@_emits("clip")
def _clip(step: Step) -> str:
    value = step.cast(0)
    for kind, bound in (("Max", "min"), ("Min", "max")):
        if step.raw(bound) is not None:
            value = step.graph.node(kind, value, step.cast(bound))
    return value


@_emits("where")
def _where(step: Step) -> str:
    return step.graph.node("Where", step.cast(0, bool), step.cast(1), step.cast(2))


@_emits("softmax", "log_softmax")
def _softmax(step: Step) -> str:
    kind = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[step.operation.name]
    (axis,) = step.axes()
    return step.graph.node(kind, step.cast(0), axis=axis)


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
    before, before_other = step.shapes
    if step.operation.name == "squeeze" and step.raw("dim") is None and before != before_other:
        raise step.unsupported("without dim it would drop the axis of the rows, too, where there is one row")
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
    parts = [step.graph.value(tensor, step.type) for tensor in step.raw("tensors")]
    return step.graph.node("Concat", *parts, axis=int(step.raw("dim")))


@_emits("stack")
def _stack(step: Step) -> str:
    axis = int(step.raw("dim")) % step.operation.result.ndim
    axes = step.graph.integers([axis])
    tensors = [step.graph.value(tensor, step.type) for tensor in step.raw("tensors")]
    parts = [step.graph.node("Unsqueeze", tensor, axes) for tensor in tensors]
    return step.graph.node("Concat", *parts, axis=axis)


@_emits("einsum")
def _einsum(step: Step) -> str:
    operands = [step.graph.value(tensor, step.type) for tensor in step.raw("operands")]
    return step.graph.node("Einsum", *operands, equation=step.raw("equation"))


@_emits("embedding")
def _embedding(step: Step) -> str:
    """Rows of the weight at integers, which may have been computed from the input."""
    index = step.raw("input")
    if not isinstance(index, Tensor):
        index = np.asarray(index)
    return step.graph.node("Gather", step["weight"], step.graph.value(index, np.int64), axis=0)


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
    if step.operation.result.dtype == np.float16:
        raise step.unsupported(f"float16 rounds, and the graph computes in {step.graph.dtype}")
    if step.graph.type(step.operation.tensors[0].dtype) == step.type:  # one floating type for the whole graph
        return step.graph.node("Identity", step[0])
    return step.cast(0)
