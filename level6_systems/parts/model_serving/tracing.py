"""What the engine does while a network runs: each of its calls, recorded in order, and cut to what is needed.

Part of the export to ONNX; see `onnx_export.py` for what a trace can see and what it cannot.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor, no_grad

if TYPE_CHECKING:
    from level3_deep_learning.modules import Module

__all__ = ["EMITTERS", "Operation", "UnsupportedOperation", "operations_between", "trace"]

EMITTERS: dict[str, Callable[[Any], str]] = {}
"""What ONNX has a word for, by the engine's name: its translation, filled in by `onnx_operations`."""

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
        if callable(before) or before is None:
            sys.setprofile(before)
        else:  # cProfile shows itself here, and is switched on again by its own method
            sys.setprofile(None)
            before.enable()


def trace(module: Module, x: Tensor) -> tuple[list[Operation], Tensor]:
    """Run `module` on `x` in evaluation mode, without gradients, and return the operations and the output.

    Raises:
        UnsupportedOperation: the output is not one tensor, or a tensor was changed in place on the way.
    """
    operations: list[Operation] = []
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        # The example's values mean nothing: a logarithm of some of them may be NaN without anybody's fault.
        with no_grad(), np.errstate(all="ignore"), _recording(operations):
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


def operations_between(
    operations: Sequence[Any], source: Hashable, target: Hashable
) -> tuple[list[Any], set[Hashable]]:
    """Cut the computation of `target` from `source` out of a recorded list of operations.

    Args:
        operations: in the order in which they ran; each has `inputs` (keys of values) and `output` (a key).
        source, target: keys of the input and of the output.

    Returns:
        the operations that depend on the source *and* are needed for the target, in order; and the keys of
        the values that they use but do not compute (the constants), the source excluded.
    """
    depends = {source}
    for operation in operations:  # forward: what the input flows into
        if depends.intersection(operation.inputs):
            depends.add(operation.output)
    needed = {target}
    kept = []
    for operation in reversed(operations):  # backward: what flows into the output
        if operation.output in needed and operation.output in depends:
            kept.append(operation)
            needed.update(operation.inputs)
    computed = {operation.output for operation in kept}
    return kept[::-1], needed - computed - {source}
