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
# # Modules
#
# ## 1. Select
#
# **Question.** How is a network described, so that an optimizer finds every number in it, a file can hold it,
# and one word switches it from learning to predicting?
#
# **Answer.** As a tree. Each node is a *module*: it owns parameters (numbers that learn), buffers (numbers
# that do not), child modules, and a `forward` that computes with them. Everything else, from `parameters()`
# to `state_dict()`, is a walk over this tree.
#
# **Builds on** `level1_foundations.automatic_differentiation` (tensors and their gradients). **Mirrors**
# `torch.nn` and `torch.utils.data`: the same names, arguments, orders, messages and printed forms.
#
# **Sources.** Paszke et al. (2019), *PyTorch: an imperative style, high-performance deep learning library*;
# Goodfellow, Bengio and Courville (2016), *Deep Learning*, chapters 6 to 8; He et al. (2015) for the
# initialization; Srivastava et al. (2014) for dropout; Ba, Kiros and Hinton (2016) for layer normalization;
# Hendrycks and Gimpel (2016) for GELU.

# %%
from __future__ import annotations

import math
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from level1_foundations import automatic_differentiation as ad
from level1_foundations.automatic_differentiation import Tensor, cross_entropy, no_grad
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import random_generator, validate_choice, validate_number

# %% [markdown]
# ## 2. Derive
#
# ### Walking the tree
#
# Visit a node before its children, children in the order in which they were assigned, and join names with
# dots. Two places in the tree may hold *one and the same* object (tied weights). Its gradient is then already
# the sum over both places, because the chain rule adds over all paths:
#
# $$\frac{\mathrm d}{\mathrm dw} f(w, w) = \partial_1 f(w, w) + \partial_2 f(w, w).$$
#
# So an optimizer must meet it once: a walk remembers what it has seen and yields it under its first name
# only. `state_dict` lists both names, because a file is read by name.
#
# ### The linear layer and its first weights
#
# $y = x W^{\!\top} + b$ with $W$ of shape (outputs, inputs). Draw $W_{ij} \sim U(-c, c)$, whose variance is
# $c^2/3$. A sum of $n$ = fan-in independent terms has
# $\operatorname{Var}(y) = n\,\tfrac{c^2}{3}\,\mathbb E[x^2]$. He et al. ask for a variance that survives a
# leaky ReLU of negative slope $a$, which keeps the fraction $(1+a^2)/2$ of it:
#
# $$n\,\frac{c^2}{3}\cdot\frac{1+a^2}{2} = 1 \quad\Longrightarrow\quad c = \sqrt{\frac{6}{(1+a^2)\,n}}.$$
#
# torch fixes $a=\sqrt5$ by default, hence $c = 1/\sqrt n$: a historical choice, whose price
# `failure_modes/multilayer_perceptron.py` measures. Biases use the same interval.
#
# ### Cross-entropy
#
# The network gives scores (*logits*) $z$, the model is $p_k = e^{z_k}/\sum_j e^{z_j}$. The negative
# log-likelihood of class $y$ is
#
# $$\ell(z, y) = -\log p_y = \log\sum_j e^{z_j} - z_y, \qquad
#   \frac{\partial \ell}{\partial z_k} = p_k - [k = y].$$
#
# It is computed from $\log\sum\exp$, never as the logarithm of a rounded probability. With class weights $w$,
# label smoothing $\varepsilon$ over $K$ classes and samples marked `ignore_index` left out,
#
# $$\ell_i = -(1-\varepsilon)\, w_{y_i}\log p_{i y_i} - \frac{\varepsilon}{K}\sum_k w_k \log p_{ik},\qquad
#   L = \frac{\sum_i \ell_i}{\sum_i w_{y_i}}.$$
#
# ### Dropout and layer normalization
#
# Dropout multiplies each entry by $m/(1-p)$, $m\sim\text{Bernoulli}(1-p)$: expectation $x$, variance
# $x^2\,p/(1-p)$. Without `eval()` this variance stays in the predictions. Layer normalization subtracts the
# mean of each sample over its last axes and divides by the (biased) standard deviation, then scales and
# shifts by what it learnt:
#
# $$y = \gamma\,\frac{x-\mu}{\sqrt{\sigma^2+\epsilon}} + \beta.$$
#
# **Cost.** Walks are linear in the number of modules. `Linear` costs $2nmk$ operations forward for $n$ rows,
# $m$ inputs, $k$ outputs, and twice that backward. A data loader copies each sample once an epoch.

# %% [markdown]
# ## 3. Implement
#
# ### Parameters and modules


# %%
class Parameter(Tensor):
    """A tensor that a module owns and an optimizer changes: a leaf with `requires_grad=True`.

    Args:
        data: array-like or Tensor; its memory is shared where it is an array of the right dtype.
        requires_grad: `False` freezes it.
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:  # practice: keep
        super().__init__(data.array if isinstance(data, Tensor) else data, requires_grad=requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __reduce__(self) -> tuple:  # practice: keep
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

    def __init__(self) -> None:  # practice: keep
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

    def __getattr__(self, name: str) -> Any:  # practice: keep
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

    def __enter__(self) -> RemovableHandle:  # practice: keep
        return self

    def __exit__(self, *error: Any) -> None:  # practice: keep
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


def as_array(value: Any) -> np.ndarray:  # practice: keep
    """The array under a Tensor, or the array itself."""
    return value.array if isinstance(value, Tensor) else np.asarray(value)


def quoted(names: list[str]) -> str:  # practice: keep
    """Names in quotation marks, separated by commas."""
    return ", ".join(f'"{name}"' for name in names)


def floating_dtype(dtype: Any) -> np.dtype:  # practice: keep
    """float32 or float64; None is float32, as in torch."""
    resolved = np.dtype(np.float32 if dtype is None else dtype)
    if resolved not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype must be float32 or float64, got {resolved}")
    return resolved


# %% [markdown]
# ### Layers
#
# $y = x W^{\!\top} + b$, one fused operation of the engine, so that the gradients of $W$, $b$ and $x$ are
# three products and nothing in between is stored.


# %%
def kaiming_bound(fan_in: int, a: float) -> float:
    r"""$c = \sqrt{6 / ((1 + a^2)\, n)}$: weights from $U(-c, c)$ keep the variance through a leaky ReLU of slope $a$."""
    return math.sqrt(6.0 / ((1.0 + a * a) * fan_in))


class Linear(Module):
    """Affine map of the last axis: `x @ weight.T + bias`, as `torch.nn.Linear`.

    Args:
        in_features, out_features: widths, each at least 1.
        bias: whether to add a bias.
        dtype: float32 (default, as in torch) or float64.
        rng: Generator or seed of the first weights, uniform in ±1/√in_features.

    Attributes:
        weight: Parameter of shape (out_features, in_features).
        bias: Parameter of shape (out_features,), or `None`.
    """

    def __init__(
        self, in_features: Any, out_features: Any, bias: bool = True, *, dtype: Any = None, rng: Any = None
    ) -> None:
        super().__init__()
        self.in_features = validate_number(in_features, "in_features", minimum=1, integer=True)
        self.out_features = validate_number(out_features, "out_features", minimum=1, integer=True)
        self.weight = Parameter(np.empty((out_features, in_features), floating_dtype(dtype)))
        if bias:
            self.bias = Parameter(np.empty(out_features, floating_dtype(dtype)))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters(rng)

    def reset_parameters(self, rng: Any = None) -> None:
        """Draw weights and bias anew: Kaiming's uniform with a = √5, which is U(-1/√n, 1/√n) for both."""
        rng, bound = random_generator(rng), kaiming_bound(self.in_features, math.sqrt(5.0))
        for parameter in self.parameters():
            parameter.array[...] = rng.uniform(-bound, bound, parameter.shape)

    def forward(self, input: Tensor) -> Tensor:
        """(..., in_features) → (..., out_features)."""
        return ad.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:  # practice: keep
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


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

    def extra_repr(self) -> str:  # practice: keep
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

    def extra_repr(self) -> str:  # practice: keep
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


# %% [markdown]
# In training, dropout keeps an entry with probability $1-p$ and divides it by $1-p$, so that the expectation
# stays $x$. In evaluation it does nothing.


# %%
def dropout_mask(shape: tuple[int, ...], p: float, dtype: Any, rng: np.random.Generator) -> np.ndarray:
    """Entries $m/(1-p)$ with $m \\sim$ Bernoulli(1 − p); all zero for p = 1. float32 draws decide either dtype."""
    kept = rng.random(shape, dtype=np.float32) >= p
    return kept * dtype.type(0.0 if p == 1.0 else 1.0 / (1.0 - p))


class Dropout(Module):
    """Zero each entry with probability `p` while training, scaling the rest by 1/(1 − p).

    Args:
        p: probability in [0, 1].
        rng: Generator or seed of the masks.
    """

    def __init__(self, p: Any = 0.5, *, rng: Any = None) -> None:
        super().__init__()
        self.p = validate_number(p, "p", minimum=0.0, maximum=1.0)
        self.rng = random_generator(rng)

    def forward(self, input: Tensor) -> Tensor:
        """Same shape as the input."""
        if not self.training or self.p == 0.0:
            return input
        return input * Tensor(dropout_mask(input.shape, self.p, input.dtype, self.rng))

    def extra_repr(self) -> str:  # practice: keep
        return f"p={self.p}, inplace=False"


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

    def extra_repr(self) -> str:  # practice: keep
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


# %% [markdown]
# ### Containers
#
# `Sequential` feeds each module's output to the next; `ModuleList` only holds modules, so that they are
# found.


# %%
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
    def _of(cls, modules: list[Module]) -> ModuleList:  # practice: keep
        return cls(modules)


class Sequential(ModuleList):
    """Modules applied one after the other, as `torch.nn.Sequential`.

    Args:
        *modules: modules, named "0", "1", …; or one `OrderedDict` (any dict) of named modules.
    """

    def __init__(self, *modules: Any) -> None:
        Module.__init__(self)
        named = modules[0] if len(modules) == 1 and isinstance(modules[0], Mapping) else enumerate(modules)
        for name, module in named.items() if isinstance(named, Mapping) else named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        """Feed the input through all modules in order."""
        for module in self._modules.values():
            input = module(input)
        return input

    @classmethod
    def _of(cls, modules: list[Module]) -> Sequential:  # practice: keep
        return Sequential(*modules)


# %% [markdown]
# ### Losses
#
# `cross_entropy` is Level 1's fused operation, with all of torch's options: its forward pass is the
# $\log\sum\exp$ above and its backward pass $(p - [k = y])/n$.


# %%
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared error, as `torch.nn.functional.mse_loss`.

    Args:
        input, target: tensors of one shape.
        reduction: "mean" and "sum" over all entries, or "none".

    Raises:
        ValueError: different shapes (which would broadcast unnoticed), or an unknown reduction.
    """
    input, target = ad.as_tensor(input), ad.as_tensor(target)
    if input.shape != target.shape:
        raise ValueError(
            f"mse_loss needs two tensors of one shape, got input {input.shape} and target {target.shape}"
        )
    return ad.mse_loss(input, target, reduction)


# %% [markdown]
# ### Batches
#
# An epoch is one pass over the data in a fresh random order, cut into batches. The gradient of a batch is
# then an unbiased estimate of the gradient of all. The last batch is shorter where the batch size does not
# divide $n$: the mean of the batch means is *not* the mean (see the failure modes).


# %%
def batch_slices(n: int, batch_size: int, drop_last: bool = False) -> list[slice]:
    """Cut range(n) into consecutive slices of `batch_size`; the last may be shorter, or is dropped."""
    end = n - n % batch_size if drop_last else n
    return [slice(start, min(start + batch_size, n)) for start in range(0, end, batch_size)]


class TensorDataset:
    """Tensors or arrays of equal length, side by side; `dataset[i]` is the tuple of their i-th entries."""

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(ad.as_tensor(tensor) for tensor in tensors)
        lengths = [tensor.shape[0] if tensor.ndim else 0 for tensor in self.tensors]
        if not lengths or len(set(lengths)) != 1:
            raise ValueError(f"TensorDataset needs tensors of one length, got lengths {lengths}")

    def __len__(self) -> int:
        """How many samples."""
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """The same sample (or samples) of each tensor."""
        return tuple(tensor[index] for tensor in self.tensors)


class DataLoader:
    """Batches of a data set, in a fresh order each epoch, as `torch.utils.data.DataLoader`.

    Args:
        dataset: a `TensorDataset`, a tuple or list of arrays or tensors of equal length, or a single one.
        batch_size: at least 1; default 1.
        shuffle: whether each epoch draws a new order.
        drop_last: whether a last, shorter batch is left out.
        rng: Generator or seed of the orders; each epoch advances it.

    Iterating yields tuples of tensors (a single tensor where `dataset` is a single one). Without `shuffle` they are
    views of the data, otherwise copies. Batches are cut one by one, so an epoch needs the memory of one batch.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: Any = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        rng: Any = None,
    ) -> None:
        self.batch_size = validate_number(batch_size, "batch_size", minimum=1, integer=True)
        self.shuffle, self.drop_last, self.dataset = shuffle, drop_last, dataset
        self.rng = random_generator(rng)
        self._single = isinstance(dataset, Tensor | np.ndarray)
        if self._single:
            dataset = (dataset,)
        elif isinstance(dataset, TensorDataset):
            dataset = dataset.tensors
        elif not isinstance(dataset, tuple | list):
            raise TypeError(
                f"dataset must be a TensorDataset, or arrays or tensors of one length, got {type(dataset).__name__}"
            )
        self._arrays = [tensor.array for tensor in TensorDataset(*dataset).tensors]

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return len(batch_slices(len(self._arrays[0]), self.batch_size, self.drop_last))

    def __iter__(self) -> Iterator[Any]:
        """One epoch."""
        n = len(self._arrays[0])
        order = self.rng.permutation(n) if self.shuffle else None
        for rows in batch_slices(n, self.batch_size, self.drop_last):
            chosen = rows if order is None else order[rows]
            batch = tuple(Tensor(array[chosen]) for array in self._arrays)
            yield batch[0] if self._single else batch


# %% [markdown]
# ## 4. Validate
#
# | | ours | torch |
# |---|---|---|
# | randomness | `rng=` of each layer and loader | one global generator |
# | `load_state_dict` that fails | changes nothing | copies what fits, then raises |
# | default dtype | float32 | float32 |
# | array of another dtype as input | promoted, as in NumPy | refused |
# | `DataLoader` | yields tuples, copies only when shuffled; one process | yields lists, collates sample by sample |
# | `register_forward_hook` | `prepend` | also `with_kwargs`, `always_call` |
# | backward hooks, devices, `inplace` | left out | offered |


# %%
def validate() -> list[Agreement]:
    """Compare layers, losses, hooks and saved states with torch's."""
    import torch

    comparison = Comparison(reference="torch.nn", dataset="standard normal, 6 × 5")
    compare_layers(comparison, torch)
    compare_losses(comparison.on(reference="torch.nn.functional"), torch)
    compare_machinery(comparison.on(dataset="a nested network"), torch)
    compare_loaders(comparison.on(reference="torch.utils.data.DataLoader", dataset="digits"), torch)
    return comparison.agreements


def compare_layers(comparison: Comparison, torch: Any) -> None:  # practice: keep
    """Outputs, and gradients of the input and of all parameters, for one random output gradient."""
    rng = np.random.default_rng(0)
    X, layers = rng.normal(size=(6, 5)), torch.nn
    pairs = (
        ("Linear", Linear(5, 3, rng=1), layers.Linear(5, 3)),
        ("Linear, no bias", Linear(5, 3, bias=False, rng=1), layers.Linear(5, 3, bias=False)),
        ("ReLU", ReLU(), layers.ReLU()),
        ("Tanh", Tanh(), layers.Tanh()),
        ("Sigmoid", Sigmoid(), layers.Sigmoid()),
        ("GELU", GELU(), layers.GELU()),
        ("GELU, tanh", GELU("tanh"), layers.GELU("tanh")),
        ("LayerNorm", LayerNorm(5), layers.LayerNorm(5)),
        ("LayerNorm, both axes", LayerNorm((6, 5), eps=0.1), layers.LayerNorm((6, 5), eps=0.1)),
        ("LayerNorm, no bias", LayerNorm(5, bias=False), layers.LayerNorm(5, bias=False)),
        ("LayerNorm, not affine", LayerNorm(5, elementwise_affine=False), layers.LayerNorm(5, elementwise_affine=False)),
        ("Flatten", Flatten(0), layers.Flatten(0)),
        ("Dropout in evaluation", Dropout(0.7).eval(), layers.Dropout(0.7).eval()),
        ("Dropout, p=1", Dropout(1.0), layers.Dropout(1.0)),
        ("Sequential", Sequential(Linear(5, 4, rng=1), Tanh(), Linear(4, 2, rng=2)),
         layers.Sequential(layers.Linear(5, 4), layers.Tanh(), layers.Linear(4, 2))),
    )  # fmt: skip
    for name, ours, theirs in pairs:
        ours.double()
        for parameter in ours.parameters():
            parameter.array[...] += 0.1 * rng.normal(size=parameter.shape)
        theirs.double().load_state_dict({key: torch.tensor(t.array) for key, t in ours.state_dict().items()})
        x, their_x = Tensor(X.copy(), requires_grad=True), torch.tensor(X, requires_grad=True)
        y, their_y = comparison.run(lambda f=ours, x=x: f(x), lambda f=theirs, x=their_x: f(x))
        upstream = rng.normal(size=y.shape)
        y.backward(Tensor(upstream))
        their_y.backward(torch.tensor(upstream))
        gradients = [x.grad.array, *[parameter.grad.array for parameter in ours.parameters()]]
        their_gradients = [
            their_x.grad.numpy(),
            *[parameter.grad.numpy() for parameter in theirs.parameters()],
        ]
        reason = "a closed form: rounding only"
        comparison.compare(
            f"output, {name}", y.array, their_y.detach().numpy(), tolerance=1e-13, reason=reason
        )
        comparison.compare(
            f"gradients, {name}", np.concatenate([g.ravel() for g in gradients]),
            np.concatenate([g.ravel() for g in their_gradients]), tolerance=1e-12, reason=reason,
        )  # fmt: skip
        comparison.compare(f"printed, {name}", repr(ours), repr(theirs), tolerance=0, reason="the same text")


def compare_losses(comparison: Comparison, torch: Any) -> None:  # practice: keep
    """Values and gradients of the losses over all their options."""
    rng = np.random.default_rng(2)
    logits, y = 3 * rng.normal(size=(6, 5)), np.array([0, 3, 4, -100, 1, 3])
    target, weight = rng.normal(size=(6, 5)), rng.uniform(0.5, 2, 5)
    options: list[tuple] = [
        ("mse_loss", target, {"reduction": reduction}) for reduction in ("mean", "sum", "none")
    ]
    for reduction in ("mean", "sum", "none"):
        for extra in (
            {},
            {"label_smoothing": 0.1},
            {"weight": weight},
            {"weight": weight, "label_smoothing": 0.3},
        ):
            options.append(("cross_entropy", y, {"reduction": reduction, **extra}))
    options.append(("cross_entropy", np.abs(target), {}))
    options.append(("cross_entropy", y, {"ignore_index": 3}))
    for name, goal, chosen in options:
        if chosen.get("ignore_index") == 3:
            goal = np.where(goal == -100, 0, goal)
        x, their_x = Tensor(logits.copy(), requires_grad=True), torch.tensor(logits, requires_grad=True)
        as_ours = {key: Tensor(value) if key == "weight" else value for key, value in chosen.items()}
        as_theirs = {key: torch.tensor(value) if key == "weight" else value for key, value in chosen.items()}
        loss, their_loss = comparison.run(
            lambda n=name, x=x, g=goal, o=as_ours: globals()[n](x, Tensor(g), **o),
            lambda n=name, x=their_x, g=goal, o=as_theirs: getattr(torch.nn.functional, n)(
                x, torch.tensor(g), **o
            ),
        )
        loss.sum().backward()
        their_loss.sum().backward()
        said = [f"{key}={value}" if key != "weight" else "class weights" for key, value in chosen.items()]
        soft = ["soft targets"] if name == "cross_entropy" and goal.ndim == 2 else []
        label = ", ".join([name, *soft, *said])
        reason = "a closed form: rounding only"
        value = np.asarray(their_loss.detach().numpy())
        comparison.compare(f"value, {label}", loss.array, value, tolerance=1e-13, reason=reason)
        comparison.compare(
            f"gradient, {label}", x.grad.array, their_x.grad.numpy(), tolerance=1e-12, reason=reason
        )


def compare_machinery(comparison: Comparison, torch: Any) -> None:  # practice: keep
    """Names, order and printed form of a nested network with tied weights; messages; the spread of first weights."""

    def nested(layers, **options):
        inner = layers.Sequential(layers.Linear(4, 4), layers.ReLU(), layers.LayerNorm(4))
        network = layers.Sequential(
            OrderedDict(encoder=inner, drop=layers.Dropout(0.1), head=layers.Linear(4, 4))
        )
        network.head.weight = network.encoder[0].weight
        return network

    class Ours:
        Sequential, Linear, ReLU, LayerNorm, Dropout = Sequential, Linear, ReLU, LayerNorm, Dropout

    ours, theirs = comparison.run(lambda: nested(Ours), lambda: nested(torch.nn))
    for label, names in (
        ("parameters, tied once", lambda network: [name for name, _ in network.named_parameters()]),
        (
            "parameters, all places",
            lambda network: [n for n, _ in network.named_parameters(remove_duplicate=False)],
        ),
        ("modules", lambda network: [name for name, _ in network.named_modules()]),
        ("children", lambda network: [name for name, _ in network.named_children()]),
        ("state", lambda network: list(network.state_dict())),
        ("printed", repr),
    ):
        comparison.compare(
            f"names: {label}",
            np.array(names(ours)),
            np.array(names(theirs)),
            tolerance=0,
            reason="the same text",
        )

    def message(network, tensor):
        try:
            network.load_state_dict({"weight": tensor, "extra": tensor})
        except RuntimeError as error:
            return str(error).replace("torch.Size([2, 2])", "(2, 2)").replace("torch.Size([3, 4])", "(3, 4)")
        return ""

    comparison.compare(
        "message of a state that does not fit", message(Linear(4, 3), np.ones((2, 2))),
        message(torch.nn.Linear(4, 3), torch.ones(2, 2)), tolerance=0, reason="the same text",
    )  # fmt: skip
    n = 400
    drawn = Linear(n, n, rng=0).weight.array, torch.nn.Linear(n, n).weight.detach().numpy()
    # the standard deviation of n² uniform draws has relative standard error √(0.2 / n²), 0.45 / n; two of them, at 5 σ
    comparison.compare(
        "standard deviation of first weights", *[array.std() for array in drawn],
        tolerance=5 * math.sqrt(2) * 0.45 / n, reason="five Monte Carlo standard errors of their difference",
    )  # fmt: skip


def compare_loaders(comparison: Comparison, torch: Any) -> None:  # practice: keep
    """The batches of one epoch in order, with and without the last, shorter one."""
    from shared.datasets import load_digits

    digits = load_digits()
    X, y = digits.X[:100], digits.y[:100]
    theirs_data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(y))
    for drop_last in (False, True):
        loader = DataLoader((X, y), batch_size=30, drop_last=drop_last)
        theirs_loader = torch.utils.data.DataLoader(theirs_data, batch_size=30, drop_last=drop_last)
        ours, theirs = comparison.run(lambda a=loader: list(a), lambda a=theirs_loader: list(a))
        reason = "the same rows"
        for i, name in enumerate(("inputs", "labels")):
            comparison.compare(
                f"{name}, drop_last={drop_last}", np.concatenate([batch[i].array for batch in ours]),
                np.concatenate([batch[i].numpy() for batch in theirs]), tolerance=0, reason=reason,
            )  # fmt: skip
        comparison.compare(
            f"batch lengths, drop_last={drop_last}", np.array([len(batch[1]) for batch in ours]),
            np.array([len(batch[1]) for batch in theirs]), tolerance=0, reason=reason,
        )  # fmt: skip


# %%
def benchmarks() -> list[Benchmark]:
    """A forward and backward pass of modules against torch's."""

    def setup(n: int) -> tuple[Callable, Callable]:
        import torch
        from torch import nn

        X = np.random.default_rng(0).normal(size=(n, 128)).astype(np.float32)
        ours = Sequential(Linear(128, 256, rng=0), LayerNorm(256), GELU(), Linear(256, 10, rng=1))
        theirs = nn.Sequential(nn.Linear(128, 256), nn.LayerNorm(256), nn.GELU(), nn.Linear(256, 10))
        theirs.load_state_dict(
            {name: torch.tensor(tensor.array) for name, tensor in ours.state_dict().items()}
        )

        def run(network: Any, x: Any) -> None:
            network.zero_grad()
            network(x).sum().backward()

        return lambda: run(ours, Tensor(X)), lambda: run(theirs, torch.from_numpy(X))

    return [
        Benchmark(
            name="forward and backward, Linear-LayerNorm-GELU-Linear, 128-256-10, float32",
            sizes=(64, 256, 1024),
            setup=setup,
            expected_exponent=1.0,
            reference="torch.nn",
        )
    ]


# %% [markdown]
# ## 5. Document
#
# **Use it** as the ground of every network from here on: subclass `Module`, assign layers in `__init__`,
# compute in `forward`. **Do not** keep layers in a plain list (they would not be found: `ModuleList`), call
# `forward` yourself (hooks would not run), or keep a `state_dict` across optimizer steps without copying its
# arrays.
#
# **How it breaks**, with numbers: [failure_modes/modules.py](failure_modes/modules.py).
#
# The example trains a network of modules on digits and watches it through forward hooks: the first layer's
# pre-activations spread while the network learns.


# %%
def example():
    """Digits: the loss of each batch and its epoch mean, and what hooks see inside before and after training."""
    from level1_foundations.gradient_descent import Adam
    from shared.datasets import load_digits
    from shared.figures import COLORS, subplots

    digits = load_digits()
    X, y = (digits.X / 16).astype(np.float32), digits.y
    network = Sequential(Linear(64, 64, rng=0), ReLU(), Dropout(0.2, rng=1), Linear(64, 10, rng=2))
    seen: list[np.ndarray] = []

    def look() -> None:
        with network[0].register_forward_hook(
            lambda module, inputs, output: seen.append(output.array.ravel())
        ):
            with no_grad():
                network.eval()(Tensor(X))
        network.train()

    look()
    loader = DataLoader((X, y), batch_size=64, shuffle=True, rng=3)
    optimizer, losses = Adam(network.parameters(), lr=2e-3), []
    for _ in range(12):
        for X_batch, y_batch in loader:
            loss = cross_entropy(network(X_batch), y_batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    look()
    figure, (left, right) = subplots(1, 2, width=9.0, height=3.6)
    steps, means = np.arange(1, len(losses) + 1) / len(loader), np.reshape(losses, (12, -1)).mean(1)
    left.plot(steps, losses, color=COLORS["muted"], linewidth=0.8, label="each batch")
    left.plot(np.arange(12) + 0.5, means, color=COLORS["ours"], label="mean of an epoch")
    left.set(xlabel="epoch", ylabel="cross-entropy", title="A network of modules learns digits", yscale="log")
    left.legend()
    bins = np.linspace(-2.5, 4, 80)
    right.hist(seen[0], bins, color=COLORS["muted"], alpha=0.7, density=True, label="before training")
    right.hist(seen[1], bins, color=COLORS["ours"], alpha=0.7, density=True, label="after training")
    right.set(xlabel="pre-activation of the first layer", ylabel="density", title="What a forward hook sees")
    right.legend()
    return figure


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example)
