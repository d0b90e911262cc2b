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
# # The module, whole
#
# Part of the topic [modules](../../modules.py), which shows it in one breath: parameters and modules, the walks over their tree, what is
# assigned and where it is found again, hooks, and state.

# %%
from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from level1_foundations.automatic_differentiation import Tensor

__all__ = [
    "IncompatibleKeys", "Module", "Parameter", "RemovableHandle", "as_array", "assign", "call_with_hooks", "check_new_name",
    "floating_dtype", "forget", "load_state_dict", "quoted", "state_dict", "walk", "walk_members",
]  # fmt: skip

# %% [markdown]
# ### Parameters and walks


# %%
class Parameter(Tensor):
    """A tensor that a module owns and an optimizer changes: a leaf with `requires_grad=True`.

    Args:
        data: array-like or Tensor; its memory is shared where it is an array of the right dtype.
        requires_grad: `False` freezes it.
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data.array if isinstance(data, Tensor) else data, requires_grad=requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __reduce__(self) -> tuple:
        return Parameter, (self.array, self.requires_grad)


# %%
def walk(
    module: Module, prefix: str = "", *, remove_duplicate: bool = True, seen: set[int] | None = None
) -> Iterator[tuple[str, Module]]:
    """Yield `(dotted name, module)` for a module and everything below it, parents first.

    A module that stands in the tree twice is yielded once, under its first name, unless `remove_duplicate` is
    `False`. `seen` holds the identities met so far.
    """
    seen = set() if seen is None else seen
    if id(module) in seen:
        return
    if remove_duplicate:
        seen.add(id(module))
    yield prefix, module
    for name, child in module._modules.items():
        if child is not None:
            path = f"{prefix}.{name}" if prefix else name
            yield from walk(child, path, remove_duplicate=remove_duplicate, seen=seen)


def walk_members(
    module: Module, table: str, prefix: str = "", *, recurse: bool = True, remove_duplicate: bool = True
) -> Iterator[tuple[str, Tensor]]:
    """Yield `(dotted name, tensor)` from each module's own `table`, `"_parameters"` or `"_buffers"`.

    Tied tensors come once, under their first name, unless `remove_duplicate` is `False`; empty places never come.
    """
    seen: set[int] = set()
    places = walk(module, prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, module)]
    for path, owner in places:
        for name, tensor in getattr(owner, table).items():
            if tensor is None or id(tensor) in seen:
                continue
            if remove_duplicate:
                seen.add(id(tensor))
            yield f"{path}.{name}" if path else name, tensor


# %% [markdown]
# A module sorts what is assigned to it: a `Parameter` goes to `_parameters`, a `Module` to `_modules`,
# everything else stays an ordinary attribute. A plain Python list of modules is an ordinary attribute, so its
# parameters are invisible; that is what `Sequential` and `ModuleList` are for.


# %%
class Module:
    """Base class of all networks, as `torch.nn.Module`.

    A subclass calls `super().__init__()`, assigns parameters and child modules as attributes, and defines
    `forward`. Call the module itself, not `forward`: the call also runs the hooks.

    Attributes:
        training: `True` after construction and `train()`, `False` after `eval()`.
    """

    training: bool

    def __init__(self) -> None:
        # object.__setattr__ would be bypassed by our own __setattr__, which needs these tables to exist
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _modules={}, _non_persistent_buffers_set=set(),
            _forward_hooks=OrderedDict(), _forward_pre_hooks=OrderedDict(),
        )  # fmt: skip

    def forward(self, *inputs: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run the forward pre-hooks, `forward`, and the forward hooks."""
        if not (self._forward_hooks or self._forward_pre_hooks):
            return self.forward(*inputs, **options)
        return call_with_hooks(self, inputs, options)

    # What is assigned, and where it is found again ------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        """Sort parameters, buffers and child modules into their tables."""
        assign(self, name, value)

    def __getattr__(self, name: str) -> Any:
        # reached only where ordinary lookup fails
        for table in ("_parameters", "_buffers", "_modules"):
            members = self.__dict__.get(table)
            if members is not None and name in members:
                return members[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        """Forget a parameter, buffer, child module or attribute."""
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def register_parameter(self, name: Any, param: Any) -> None:
        """Add a parameter under `name`; `None` reserves the name (`Linear(bias=False)` has `bias = None`).

        Raises:
            KeyError: an empty name, a name with a dot, or a name already taken.
            TypeError: anything but a `Parameter` or `None`.
        """
        check_new_name(self, name, "parameter", self.__dict__.get("_parameters"))
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' (Parameter or None required)"
            )
        self._parameters[name] = param

    def register_buffer(self, name: Any, tensor: Any, persistent: bool = True) -> None:
        """Add a tensor that belongs to the state but does not learn, such as a running mean.

        Args:
            name: attribute name.
            tensor: a Tensor, or `None` to reserve the name.
            persistent: whether `state_dict` holds it.

        Raises:
            KeyError: an empty name, a name with a dot, or a name already taken.
            TypeError: anything but a `Tensor` or `None`.
        """
        check_new_name(self, name, "buffer", self.__dict__.get("_buffers"))
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: Any, module: Any) -> None:
        """Add a child module under `name`, which may be a number, as in `Sequential`.

        Raises:
            KeyError: an empty name, a name with a dot, or a name already taken.
            TypeError: anything but a `Module` or `None`.
        """
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        check_new_name(self, name, "module", self.__dict__.get("_modules"))
        self._modules[name] = module

    register_module = add_module

    # Walks ----------------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield `(dotted name, module)` for this module (name `""`) and all below it, each once."""
        yield from walk(self, prefix, remove_duplicate=remove_duplicate, seen=memo)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once."""
        yield from (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield `(name, module)` for the immediate children, each once."""
        seen: set[int] = set()
        for name, child in self._modules.items():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """Yield the immediate children, each once."""
        yield from (child for _, child in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield `(dotted name, parameter)`, tied ones once; without `recurse` only the module's own."""
        yield from walk_members(
            self, "_parameters", prefix, recurse=recurse, remove_duplicate=remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield each parameter once: what an optimizer is given."""
        yield from (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield `(dotted name, buffer)`."""
        yield from walk_members(self, "_buffers", prefix, recurse=recurse, remove_duplicate=remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield each buffer once."""
        yield from (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """Return the module at a dotted path such as `"layers.0"`; `""` is the module itself.

        Raises:
            AttributeError: no module stands there.
        """
        module = self
        for name in target.split(".") if target else []:
            if module._modules.get(name) is None:
                raise AttributeError(f"{type(module).__name__} has no module `{name}`")
            module = module._modules[name]
        return module

    # What is done to the whole tree ---------------------------------------------------------------------------

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn(module)` on every module, children before parents; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: Any = True) -> Module:
        """Set training mode on the whole tree (dropout drops); returns self."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Set evaluation mode on the whole tree (dropout passes everything); returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Freeze (`False`) or free all parameters; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            keep = parameter.grad is not None and not set_to_none
            parameter.grad = Tensor(np.zeros_like(parameter.array)) if keep else None

    def to(self, dtype: Any) -> Module:
        """Cast all floating-point parameters and buffers to `dtype` (`np.float32` or `np.float64`); returns self."""
        dtype = floating_dtype(dtype)
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.array.dtype.kind == "f":
                tensor.data = tensor.array.astype(dtype)
                if tensor.grad is not None:
                    tensor.grad = tensor.grad.to(dtype)
        return self

    def float(self) -> Module:
        """Cast to float32; returns self."""
        return self.to(np.float32)

    def double(self) -> Module:
        """Cast to float64; returns self."""
        return self.to(np.float64)

    # State ----------------------------------------------------------------------------------------------------

    def state_dict(self, *, prefix: str = "") -> dict[str, Tensor]:
        """All parameters and persistent buffers by dotted name; see the function `state_dict`."""
        return state_dict(self, prefix)

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> IncompatibleKeys:
        """Copy values into parameters and buffers by name; see the function `load_state_dict`."""
        return load_state_dict(self, state_dict, strict=strict)

    # Hooks ----------------------------------------------------------------------------------------------------

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, inputs, output)` after each forward; what it returns, unless `None`, is the output.

        Returns a handle whose `remove()` takes the hook away. `prepend` puts it before the others.
        """
        return RemovableHandle(self._forward_hooks, hook, prepend)

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, inputs)` before each forward; what it returns, unless `None`, is the input."""
        return RemovableHandle(self._forward_pre_hooks, hook, prepend)

    # Printing -------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the parentheses when the module is printed; subclasses redefine it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._modules.items()]
        if not children:
            return f"{type(self).__name__}({extra})"
        lines = ([extra] if extra else []) + children
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


# %% [markdown]
# ### Assignment, names and hooks


# %%
def assign(module: Module, name: str, value: Any) -> None:
    """Put `value` where `module.name` will find it: among parameters, children, buffers, or plain attributes.

    Raises:
        AttributeError: a subclass assigned before it called `super().__init__()`.
        TypeError: a parameter, child or buffer would be overwritten by something of another kind.
    """
    tables = module.__dict__
    kinds = (("_parameters", Parameter, "parameter"), ("_modules", Module, "child module"),
             ("_buffers", Tensor, "buffer"))  # fmt: skip
    for table, kind, word in kinds:
        if isinstance(value, kind) and table != "_buffers":
            if table not in tables:
                raise AttributeError(f"cannot assign {word}s before Module.__init__() call")
            forget(module, name, table)
            tables[table][name] = value
            return
        if name in tables.get(table, ()):
            if value is not None and not isinstance(value, kind):
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as {word} '{name}' ({kind.__name__} or None expected)"
                )
            tables[table][name] = value
            return
    object.__setattr__(module, name, value)


def forget(module: Module, name: str, owner: str) -> None:
    """Take `name` out of every table but its new `owner`'s, where it keeps its place in the order."""
    for table in ("_parameters", "_buffers", "_modules"):
        if table != owner:
            module.__dict__[table].pop(name, None)
    module._non_persistent_buffers_set.discard(name)
    module.__dict__.pop(name, None)


def check_new_name(module: Module, name: Any, kind: str, table: dict | None) -> None:
    """Refuse names that could not be found again, or that are taken by something else."""
    if table is None:
        raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
    if "." in name:
        raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
    if name == "":
        raise KeyError(f'{kind} name can\'t be empty string ""')
    if hasattr(module, name) and name not in table:
        raise KeyError(f"attribute '{name}' already exists")


def call_with_hooks(module: Module, inputs: tuple, options: dict) -> Any:
    """Run `forward` between its hooks; a hook that returns something replaces the inputs or the output."""
    for hook in list(module._forward_pre_hooks.values()):
        replacement = hook(module, inputs)
        if replacement is not None:
            inputs = replacement if isinstance(replacement, tuple) else (replacement,)
    output = module.forward(*inputs, **options)
    for hook in list(module._forward_hooks.values()):
        replacement = hook(module, inputs, output)
        if replacement is not None:
            output = replacement
    return output


class RemovableHandle:
    """A hook's place in a table; `remove()` (or leaving a `with` block) takes it out, once or more often."""

    def __init__(self, table: OrderedDict, hook: Callable, prepend: bool = False) -> None:
        self.table, self.key = table, object()
        table[self.key] = hook
        if prepend:
            table.move_to_end(self.key, last=False)

    def remove(self) -> None:
        """Take the hook out."""
        self.table.pop(self.key, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()


# %% [markdown]
# ### State
#
# `state_dict` hands out the live arrays, as torch does: copy them if they are to survive the next optimizer
# step. Loading first compares everything and then copies, so that a refused file leaves the network as it
# was.


# %%
class IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict` did not find, and what it found but did not need."""

    __slots__ = ()

    def __repr__(self) -> str:
        return super().__repr__() if any(self) else "<All keys matched successfully>"


def state_dict(module: Module, prefix: str = "") -> dict[str, Tensor]:
    """Return `{dotted name: tensor}` of all parameters and persistent buffers, without gradients.

    The tensors share their memory with the module. Tied parameters appear under each of their names. Order: the
    module's own parameters, its own buffers, then its children's, as in torch.
    """
    entries: dict[str, Tensor] = {}
    for name, tensor in (*module._parameters.items(), *module._buffers.items()):
        if tensor is not None and name not in module._non_persistent_buffers_set:
            entries[prefix + name] = tensor.detach()
    for name, child in module._modules.items():
        if child is not None:
            entries.update(state_dict(child, f"{prefix}{name}."))
    return entries


def load_state_dict(module: Module, state: Any, strict: bool = True) -> IncompatibleKeys:
    """Copy `state` (arrays or tensors by dotted name) into the module, keeping its dtypes.

    Args:
        module: receives the values, in place.
        state: such as `state_dict` returns; a torch `state_dict` works too.
        strict: whether missing or unexpected names are an error. Wrong shapes always are.

    Returns:
        `(missing_keys, unexpected_keys)`.

    Raises:
        TypeError: `state` is not a mapping.
        RuntimeError: everything that does not fit, in one message; then nothing has been changed.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state)}.")
    own = state_dict(module)
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    arrays = {name: as_array(state[name]) for name in own if name in state}
    problems = [
        f"size mismatch for {name}: copying a param with shape {array.shape} from checkpoint, "
        f"the shape in current model is {own[name].array.shape}."
        for name, array in arrays.items()
        if array.shape != own[name].array.shape
    ]
    if strict and unexpected:
        problems.insert(0, f"Unexpected key(s) in state_dict: {quoted(unexpected)}. ")
    if strict and missing:
        problems.insert(0, f"Missing key(s) in state_dict: {quoted(missing)}. ")
    if problems:
        lines = "\n\t".join(problems)
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{lines}")
    for name, array in arrays.items():
        own[name].array[...] = array
        own[name].version[0] += 1  # a graph that saved the old values must notice
    return IncompatibleKeys(missing, unexpected)


def as_array(value: Any) -> np.ndarray:
    """The array under a Tensor, or the array itself."""
    return value.array if isinstance(value, Tensor) else np.asarray(value)


def quoted(names: list[str]) -> str:
    """Names in quotation marks, separated by commas."""
    return ", ".join(f'"{name}"' for name in names)


def floating_dtype(dtype: Any) -> np.dtype:
    """float32 or float64; None is float32, as in torch."""
    resolved = np.dtype(np.float32 if dtype is None else dtype)
    if resolved not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype must be float32 or float64, got {resolved}")
    return resolved
