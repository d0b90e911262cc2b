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

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor
from level6_systems.parts.model_serving.onnx_graph import Graph, Step, onnx_type
from level6_systems.parts.model_serving.onnx_operations import EMITTERS
from level6_systems.parts.model_serving.tracing import (
    Operation,
    UnsupportedOperation,
    operations_between,
    trace,
)

if TYPE_CHECKING:
    import onnx

    from level3_deep_learning.modules import Module

__all__ = ["EMITTERS", "IR_VERSION", "OPSET", "Operation", "UnsupportedOperation", "export_onnx", "trace"]

# onnx stamps its newest format on what it writes, which released runtimes refuse: 1.23 writes IR version 14
# and operator set 28, onnxruntime 1.31 loads up to 13 and 26. Operator set 18 (in which reductions take their
# axes as an input) with IR version 8, the pair of onnx 1.13, holds all that is needed here and loads in
# every onnxruntime since 1.14.
OPSET, IR_VERSION = 18, 8


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
        ValueError: a bad shape, a scale that is zero in the graph's type, constants that overflow it, classes that do not
            match the output, a range that is not one.
        TypeError: no Module, or classes that JSON cannot hold.

    Cost: two runs of the module on a few rows, and one copy of the weights.
    """
    import onnx
    from onnx import helper

    _check_module(module)
    shape = _row_shape(input_shape)
    floats = [p.dtype for p in module.parameters() if p.dtype.kind == "f"]
    own = np.result_type(*floats) if floats else np.dtype(np.float32)
    try:
        kind = np.dtype(own if dtype is None else dtype)
    except TypeError:
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}.") from None
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {kind}.")
    dtype = kind
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
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            type(module).__name__,
            [helper.make_tensor_value_info("input", onnx_type(dtype), ["n", *shape])],
            [helper.make_tensor_value_info("output", onnx_type(graph.type(result.dtype)), output_shape)],
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
        notes["input_range"] = _range(input_range, shape, dtype)
    if notes:
        helper.set_model_props(model, notes)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UnsupportedOperation(f"the module makes no valid ONNX graph: {error}") from None
    if path is not None:
        Path(path).write_bytes(model.SerializeToString())
    return model


def _row_shape(input_shape: int | Sequence[int]) -> tuple[int, ...]:
    whole = lambda n: isinstance(n, (int, np.integer)) and not isinstance(n, bool)
    many = isinstance(input_shape, (Sequence, np.ndarray)) and not isinstance(input_shape, str)
    shape = tuple(input_shape) if many else (input_shape,)
    if not shape or any(not whole(n) or n < 1 for n in shape):
        raise ValueError(f"input_shape must be one or more positive integers, got {input_shape!r}.")
    return tuple(int(n) for n in shape)


def _check_module(module: Any) -> None:
    from level3_deep_learning.modules import Module

    if isinstance(module, Module):
        return
    name = type(module).__name__
    holds = [key for key, value in getattr(module, "__dict__", {}).items() if isinstance(value, Module)]
    hint = (
        f": pass its {holds[0]}"
        if holds
        else ": fit it first, then pass its network_" * hasattr(module, "fit")
    )
    raise TypeError(f"module must be a Module of level3_deep_learning.modules, got {name}{hint}.")


def _labels(classes: Any, output_shape: list) -> str:
    if len(output_shape) != 2 or not isinstance(output_shape[1], int):
        raise ValueError(
            f"classes name the columns of an output (n, k), got an output of shape {tuple(output_shape)}."
        )
    columns = output_shape[1]
    labels = classes.tolist() if hasattr(classes, "tolist") else classes
    if isinstance(labels, str) or not isinstance(labels, Sequence) or len(labels) != max(columns, 2):
        needed = (
            "the two classes that one logit tells apart"
            if columns == 1
            else f"the {columns} columns of the output"
        )
        many = isinstance(labels, Sequence) and not isinstance(labels, str)
        raise ValueError(
            f"classes must name {needed}, got {f'{len(labels)} labels' if many else repr(labels)}."
        )
    labels = [label.item() if isinstance(label, np.generic) else label for label in labels]
    for label in labels:
        if not isinstance(label, (str, bool, int, float)):
            raise TypeError(f"classes must be strings, numbers or booleans, got {label!r}.")
    try:
        return json.dumps(labels, allow_nan=False)  # what JSON cannot hold could not be answered either
    except ValueError:
        raise ValueError(f"classes must be finite, got {labels!r}.") from None


def _range(input_range: Any, shape: tuple[int, ...], graph_type: np.dtype) -> str:
    """The bounds, and the floating type that tells the values apart: that of the data or of the graph, if coarser.

    0.1 in float32 is a little more than 0.1 in float64; a row of the training data must not lie outside of its range.
    """
    try:
        low, high = (np.asarray(bound) for bound in input_range)
        kinds = [kind.dtype for kind in (low, high) if kind.dtype.kind == "f"]
        low, high = (np.broadcast_to(bound.astype(float), shape).ravel() for bound in (low, high))
    except (TypeError, ValueError):
        raise ValueError(
            f"input_range must be a least and a greatest value, numbers or arrays of shape {shape}, "
            f"got {input_range!r}."
        ) from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise ValueError(f"input_range must be finite, the least value first, got {input_range!r}.")
    coarsest = min([*kinds, graph_type], key=lambda kind: kind.itemsize)
    return json.dumps({"least": low.tolist(), "greatest": high.tolist(), "dtype": coarsest.name})


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
            if id(tensor) in constants and not _same_array(tensor.array, tensor_other.array):
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
        return _same_array(np.asarray(a), np.asarray(b))
    return a == b


def _same_array(a: np.ndarray, b: np.ndarray) -> bool:
    """A NaN is a constant like any other."""
    return np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")


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
        with np.errstate(over="ignore"):
            array = np.asarray(argument)
            array = (
                array.astype(graph.dtype)
                if array.dtype.kind in "fiub"
                else np.full_like(array, np.nan, float)
            )
        try:
            fits = np.broadcast_shapes(array.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits or not np.isfinite(array).all() or (name == "scale" and (array == 0).any()):
            raise ValueError(
                f"{name} must be finite numbers{', none zero,' * (name == 'scale')} in {graph.dtype} that broadcast "
                f"against a row of shape {shape}, got {f'shape {array.shape}' if array.ndim else repr(argument)}."
            )
        value = graph.node(kind, value, graph.constant(array, name))
    return value
