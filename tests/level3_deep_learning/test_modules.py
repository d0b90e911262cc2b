"""Tests of `level3_deep_learning/modules.py`, in the order of the file; also its exercises."""

import copy
import itertools
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from level1_foundations import automatic_differentiation as ad
from level1_foundations.automatic_differentiation import Tensor
from level3_deep_learning import modules
from level3_deep_learning.failure_modes import modules as failures
from level3_deep_learning.modules import (
    GELU,
    DataLoader,
    Dropout,
    Flatten,
    Identity,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    Parameter,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    TensorDataset,
    cross_entropy,
    mse_loss,
)
from shared.datasets import load_digits

FAILURE_MODES = failures.FAILURE_MODES


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# In one breath


class PlainPair(modules.PlainModule):
    """Two linear layers, one of them below a module of its own."""

    def __init__(self, rng):
        self.first, self.inner = modules.PlainLinear(3, 4, rng), modules.PlainModule()
        self.inner.second = modules.PlainLinear(4, 2, rng)
        self.label = "not a tensor"

    def forward(self, x):
        return self.inner.second(self.first(x))


def test_plain_names_are_the_way_through_the_tree():
    names = [name for name, _ in PlainPair(np.random.default_rng(0)).named_parameters()]
    assert names == ["first.weight", "first.bias", "inner.second.weight", "inner.second.bias"]


def test_plain_state_is_a_copy_and_comes_back():
    network = PlainPair(np.random.default_rng(0))
    state = network.state_dict()
    network.first.weight.array[...] = 0
    assert state["first.weight"].any(), "a saved state does not follow the network"
    network.load_state_dict(state)
    np.testing.assert_array_equal(network.first.weight.array, state["first.weight"])


def test_a_loaded_plain_state_stays_as_it_was_saved():
    network = PlainPair(np.random.default_rng(0))
    state = network.state_dict()
    before = {name: array.copy() for name, array in state.items()}
    network.load_state_dict(state)
    for _, tensor in network.named_parameters():
        tensor.array[...] += 1
    for name, array in state.items():
        np.testing.assert_array_equal(
            array, before[name], err_msg=f"training after loading moved the saved {name}"
        )


def plain_and_whole():
    """The plain pair and a `Sequential` with the same weights."""
    plain = PlainPair(np.random.default_rng(0))
    first, second = Linear(3, 4, rng=0), Linear(4, 2, rng=1)
    whole = Sequential(OrderedDict(first=first, inner=Sequential(OrderedDict(second=second)))).double()
    whole.load_state_dict(plain.state_dict())
    return plain, whole


def test_plain_modules_equal_the_whole():
    plain, whole = plain_and_whole()
    assert [name for name, _ in whole.named_parameters()] == [name for name, _ in plain.named_parameters()]
    X = Tensor(np.random.default_rng(1).normal(size=(5, 3)))
    np.testing.assert_allclose(plain(X).array, whole(X).array, rtol=1e-12)


def test_plain_gradients_equal_the_wholes():
    plain, whole = plain_and_whole()
    X = Tensor(np.random.default_rng(1).normal(size=(5, 3)))
    for network in (plain, whole):
        (network(X) ** 2).sum().backward()
    for (name, ours), (_, theirs) in zip(plain.named_parameters(), whole.named_parameters(), strict=True):
        np.testing.assert_allclose(ours.grad.array, theirs.grad.array, rtol=1e-12, err_msg=name)


def moved_by_one_step(network, tied):
    """How far a step of size 1 along every parameter that is met moves the tied tensor, in units of its gradient."""
    before = tied.array.copy()
    (network(Tensor(np.ones((1, 3)))) ** 2).sum().backward()
    for _, tensor in network.named_parameters():
        tensor.array[...] -= tensor.grad.array
    return (before - tied.array) / tied.grad.array


def test_a_tied_tensor_moves_twice_in_a_plain_step_and_once_in_the_whole():
    plain = PlainPair(np.random.default_rng(0))
    plain.inner.second = plain.first = modules.PlainLinear(3, 3, np.random.default_rng(2))
    np.testing.assert_allclose(moved_by_one_step(plain, plain.first.weight), 2.0)
    layer = Linear(3, 3, rng=2).double()
    np.testing.assert_allclose(moved_by_one_step(Sequential(layer, layer), layer.weight), 1.0)


class Node(Module):
    """A module with one parameter, one buffer and the children it is given."""

    def __init__(self, **children):
        super().__init__()
        self.value = Parameter(np.ones(2))
        self.register_buffer("count", Tensor(np.zeros(1)))
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, x):
        return x * 2.0


def names(pairs):
    return [name for name, _ in pairs]


# Walks


def test_walk_visits_parents_before_children_with_dotted_names():
    tree = Node(a=Node(b=Node()), c=Node())
    assert names(modules.walk(tree)) == ["", "a", "a.b", "c"]
    assert names(modules.walk(tree, "net")) == ["net", "net.a", "net.a.b", "net.c"]


def test_walk_yields_a_shared_module_once_unless_asked():
    shared = Node()
    tree = Node(a=shared, b=shared)
    assert names(modules.walk(tree)) == ["", "a"]
    assert names(modules.walk(tree, remove_duplicate=False)) == ["", "a", "b"]


def test_walk_members_yields_a_tied_parameter_once_unless_asked():
    tree = Node(a=Node(), b=Node())
    tree.b.value = tree.a.value
    assert names(modules.walk_members(tree, "_parameters")) == ["value", "a.value"]
    assert names(modules.walk_members(tree, "_parameters", remove_duplicate=False)) == [
        "value",
        "a.value",
        "b.value",
    ]
    assert names(modules.walk_members(tree, "_buffers", recurse=False)) == ["count"]


def test_walk_members_skips_places_reserved_with_none():
    assert names(modules.walk_members(Linear(2, 3, bias=False), "_parameters")) == ["weight"]


# Module


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        Module()(1)


def test_calling_runs_forward():
    assert Node()(3.0) == 6.0


def test_assignment_sorts_by_kind():
    node = Node(child=Node())
    node.plain = 3
    assert set(node._parameters) == {"value"} and set(node._buffers) == {"count"}
    assert set(node._modules) == {"child"} and node.__dict__["plain"] == 3


def test_assignment_before_init_is_refused():
    class Forgetful(Module):
        def __init__(self, value):
            self.value = value

    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module.__init__\(\) call"):
        Forgetful(Parameter(np.ones(1)))
    with pytest.raises(AttributeError, match=r"cannot assign child modules before Module.__init__"):
        Forgetful(ReLU())


def test_a_parameter_is_not_overwritten_by_something_else():
    node = Node(child=Node())
    for name, word in (("value", "parameter"), ("child", "child module"), ("count", "buffer")):
        with pytest.raises(TypeError, match=f"cannot assign 'int' as {word} '{name}'"):
            setattr(node, name, 3)
        setattr(node, name, None)
        assert getattr(node, name) is None


def test_a_new_kind_under_an_old_name_leaves_one_owner():
    node = Node(child=Node())
    node.child = Parameter(np.ones(1))
    assert not node._modules and names(node.named_parameters()) == ["value", "child"]
    node.value = Parameter(np.zeros(1))
    assert names(node.named_parameters()) == ["value", "child"], "a replaced parameter keeps its place"
    del node.value, node.child
    node.plain = 1
    node.plain = Parameter(np.ones(1))
    assert "plain" not in node.__dict__ and names(node.named_parameters()) == ["plain"]


def test_unknown_attributes_are_named():
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wieght'"):
        _ = Linear(2, 2).wieght


def test_deleting_forgets():
    node = Node(child=Node())
    node.plain = 1
    for name in ("value", "count", "child", "plain"):
        delattr(node, name)
        assert not hasattr(node, name)


def test_registering_checks_names_and_kinds():
    node = Node()
    node.register_parameter("empty", None)
    assert node.empty is None
    for register, thing in (
        (node.register_parameter, Parameter(np.ones(1))),
        (node.register_buffer, Tensor(np.ones(1))),
    ):
        with pytest.raises(KeyError, match="already exists"):
            register("forward", thing)
        with pytest.raises(KeyError, match=r"contain \"\.\", got: a\.b"):
            register("a.b", thing)
        with pytest.raises(KeyError, match="empty string"):
            register("", thing)
        with pytest.raises(TypeError, match="should be a string"):
            register(3, thing)
    with pytest.raises(TypeError, match="Parameter or None required"):
        node.register_parameter("other", Tensor(np.ones(1)))
    with pytest.raises(TypeError, match="Tensor or None required"):
        node.register_buffer("other", np.ones(1))
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        node.add_module("other", 3)


def test_add_module_takes_numbers_as_names():
    node = Node()
    node.add_module("0", ReLU())
    assert names(node.named_children()) == ["0"]


def test_modules_children_parameters_and_buffers():
    child = Node()
    tree = Node(a=child, b=child)
    assert list(tree.modules()) == [tree, child]
    assert list(tree.children()) == [child] and names(tree.named_children()) == ["a"]
    assert names(tree.named_modules()) == ["", "a"]
    assert names(tree.named_parameters(prefix="net")) == ["net.value", "net.a.value"]
    assert [id(p) for p in tree.parameters(recurse=False)] == [id(tree.value)]
    assert names(tree.named_buffers()) == ["count", "a.count"] and len(list(tree.buffers())) == 2


def test_get_submodule_follows_a_path():
    tree = Node(a=Node(b=Node()))
    assert tree.get_submodule("a.b") is tree.a.b and tree.get_submodule("") is tree
    with pytest.raises(AttributeError, match="Node has no module `c`"):
        tree.get_submodule("a.c")


def test_apply_visits_children_first():
    tree, seen = Node(a=Node(b=Node())), []
    assert tree.apply(seen.append) is tree
    assert seen == [tree.a.b, tree.a, tree]


def test_train_and_eval_reach_every_module():
    tree = Node(a=Node(b=Node()))
    assert tree.eval() is tree
    assert not any(module.training for module in tree.modules())
    tree.train()
    assert all(module.training for module in tree.modules())
    with pytest.raises(ValueError, match="boolean"):
        tree.train("yes")


def test_requires_grad_freezes():
    layer = Linear(2, 1, rng=0).requires_grad_(False)
    assert not layer(Tensor(np.ones((1, 2)))).requires_grad
    assert all(parameter.requires_grad for parameter in layer.requires_grad_().parameters())


def test_zero_grad_forgets_or_fills_with_zeros():
    layer = Linear(2, 1, rng=0)
    for set_to_none in (False, True):
        layer(Tensor(np.ones((1, 2), np.float32))).sum().backward()
        layer.zero_grad(set_to_none)
        grads = [parameter.grad for parameter in layer.parameters()]
        assert all(g is None if set_to_none else not g.array.any() for g in grads)


def test_casting_keeps_the_parameters_and_changes_their_dtype():
    layer = Linear(2, 1, rng=0)
    before, values = list(layer.parameters()), layer.weight.array.copy()
    assert layer.weight.dtype == np.float32
    assert layer.double() is layer and layer.weight.dtype == np.float64
    assert all(a is b for a, b in zip(before, layer.parameters(), strict=True))
    np.testing.assert_array_equal(layer.float().weight.array, values)
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        layer.to(np.int64)


def test_float32_stays_float32():
    network = Sequential(Linear(4, 3, rng=0), LayerNorm(3), GELU(), Dropout(0.5, rng=0), Linear(3, 2, rng=1))
    loss = cross_entropy(network(Tensor(np.ones((5, 4), np.float32))), Tensor(np.zeros(5, np.int64)))
    loss.backward()
    assert loss.dtype == np.float32
    assert {parameter.grad.dtype for parameter in network.parameters()} == {np.dtype(np.float32)}


# Hooks


def test_call_with_hooks_lets_hooks_replace_inputs_and_output():
    node = Node()
    node.register_forward_pre_hook(lambda module, inputs: inputs[0] + 1)
    node.register_forward_hook(lambda module, inputs, output: output + inputs[0])
    assert modules.call_with_hooks(node, (3.0,), {}) == 12.0  # (3 + 1) · 2 + 4
    assert node(3.0) == 12.0


def test_hooks_run_in_order_and_can_be_removed():
    node, seen = Node(), []
    first = node.register_forward_hook(lambda *_: seen.append("first"))
    node.register_forward_hook(lambda *_: seen.append("zeroth"), prepend=True)
    node(1.0)
    first.remove()
    first.remove()
    node(1.0)
    assert seen == ["zeroth", "first", "zeroth"]
    with node.register_forward_pre_hook(lambda *_: seen.append("inside")):
        node(1.0)
    node(1.0)
    assert seen.count("inside") == 1


# State


def test_state_dict_names_everything_persistent_and_shares_memory():
    tree = Node(a=Node(), b=Node())
    tree.b.value = tree.a.value
    tree.a.register_buffer("count", Tensor(np.zeros(1)), persistent=False)
    state = modules.state_dict(tree)
    assert list(state) == ["value", "count", "a.value", "b.value", "b.count"]
    assert next(iter(tree.state_dict(prefix="net."))) == "net.value"
    assert not state["value"].requires_grad
    state["value"].array[0] = 7
    assert tree.value.array[0] == 7


def test_load_state_dict_copies_values_and_keeps_objects():
    source, target = (
        Sequential(Linear(3, 2, rng=0), Linear(2, 1, rng=1)),
        Sequential(Linear(3, 2), Linear(2, 1)),
    )
    weight = target[0].weight
    outcome = target.load_state_dict(source.state_dict())
    assert repr(outcome) == "<All keys matched successfully>" and outcome == ([], [])
    assert target[0].weight is weight
    for ours, theirs in zip(target.parameters(), source.parameters(), strict=True):
        np.testing.assert_array_equal(ours.array, theirs.array)
        assert not np.shares_memory(ours.array, theirs.array)


def test_load_state_dict_tells_all_that_does_not_fit_and_changes_nothing():
    layer = Linear(4, 3, rng=0)
    before = layer.weight.array.copy()
    with pytest.raises(RuntimeError) as error:
        modules.load_state_dict(layer, {"weight": np.ones((3, 4)), "bias": np.ones(2), "x": 1})
    assert str(error.value) == (
        'Error(s) in loading state_dict for Linear:\n\tUnexpected key(s) in state_dict: "x". \n\t'
        "size mismatch for bias: copying a param with shape (2,) from checkpoint, "
        "the shape in current model is (3,)."
    )
    np.testing.assert_array_equal(layer.weight.array, before)
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "weight", "bias"'):
        layer.load_state_dict({})
    with pytest.raises(TypeError, match="dict-like"):
        layer.load_state_dict([1])


def test_load_state_dict_not_strict_reports_instead():
    layer = Linear(2, 1, rng=0)
    missing, unexpected = layer.load_state_dict({"weight": np.ones((1, 2)), "x": np.ones(1)}, strict=False)
    assert (missing, unexpected) == (["bias"], ["x"])
    np.testing.assert_array_equal(layer.weight.array, [[1, 1]])
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        layer.load_state_dict({"weight": np.ones((2, 2))}, strict=False)


def test_a_network_survives_copying_and_pickling():
    network = Sequential(Linear(3, 3, rng=0), ReLU(), Linear(3, 3, rng=1))
    network[2].weight = network[0].weight
    x = Tensor(np.ones((2, 3), np.float32))
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        np.testing.assert_array_equal(twin(x).array, network(x).array)
        assert twin[2].weight is twin[0].weight and twin[0].weight is not network[0].weight
        assert len(list(twin.parameters())) == 3 and isinstance(twin[0].weight, Parameter)


# Layers


def test_kaiming_bound():
    assert modules.kaiming_bound(6, 0.0) == pytest.approx(1.0)
    assert modules.kaiming_bound(16, 5**0.5) == pytest.approx(0.25)


def test_linear_is_an_affine_map():
    layer = Linear(2, 3, dtype=np.float64, rng=0)
    X = np.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_allclose(
        layer(Tensor(X)).array, X @ layer.weight.array.T + layer.bias.array, rtol=1e-14
    )
    with pytest.raises(RuntimeError, match=r"\(4, 5\)"):
        layer(Tensor(np.ones((4, 5))))


def test_linear_draws_from_its_interval_and_from_its_generator_only():
    state = np.random.get_state()[1].copy()  # noqa: NPY002 (the global state, which must stay as it is)
    layer = Linear(100, 200, rng=3)
    assert np.abs(layer.weight.array).max() <= 0.1 and np.abs(layer.bias.array).max() <= 0.1
    assert layer.weight.array.std() == pytest.approx(0.1 / 3**0.5, rel=0.02)
    np.testing.assert_array_equal(layer.weight.array, Linear(100, 200, rng=3).weight.array)
    assert not np.array_equal(layer.weight.array, Linear(100, 200, rng=4).weight.array)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    layer.reset_parameters(4)
    np.testing.assert_array_equal(layer.weight.array, Linear(100, 200, rng=4).weight.array)


@pytest.mark.parametrize("arguments", [(0, 2), (2, 0), (2, -1)])
def test_linear_refuses_empty_layers(arguments):
    with pytest.raises(ValueError, match="features must be an integer"):
        Linear(*arguments)


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (ReLU, lambda x: np.maximum(x, 0)),
        (Tanh, np.tanh),
        (Sigmoid, lambda x: 1 / (1 + np.exp(-x))),
        (Identity, lambda x: x),
        (
            lambda: GELU("tanh"),
            lambda x: x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x * x * x))),
        ),
    ],
)
def test_activations(layer, function):
    x = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(layer()(Tensor(x)).array, function(x), rtol=1e-12, atol=1e-15)


def test_gelu_weighs_by_the_normal_distribution():
    np.testing.assert_allclose(GELU()(Tensor(np.array([0.0, 1.0]))).array, [0, 0.841344746068543], rtol=1e-12)
    with pytest.raises(ValueError, match="approximate must be one of 'none', 'tanh'"):
        GELU("exact")


def test_flatten_joins_axes():
    x = Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert Flatten()(x).shape == (2, 12) and Flatten(0, 1)(x).shape == (6, 4)
    np.testing.assert_array_equal(Flatten()(x).array[1], np.arange(12.0, 24.0))
    with pytest.raises(ValueError, match="must not come after"):
        Flatten(2, 0)(x)


def test_dropout_mask_keeps_the_expectation():
    mask = modules.dropout_mask((200, 500), 0.2, np.dtype(np.float64), np.random.default_rng(0))
    assert set(np.unique(mask)) == {0.0, 1.25}
    assert mask.mean() == pytest.approx(1.0, abs=5 * (0.25 / 1e5) ** 0.5)


def test_dropout_drops_in_training_only():
    layer, x = Dropout(0.5, rng=0), Tensor(np.ones((10, 10)), requires_grad=True)
    y = layer(x)
    assert 0 < np.sum(y.array == 0) < 100 and set(np.unique(y.array)) == {0.0, 2.0}
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.array, y.array)
    assert not np.array_equal(layer(x).array, y.array), "each pass draws a new mask"
    np.testing.assert_array_equal(layer.eval()(x).array, x.array)
    assert not Dropout(1.0)(x).array.any()
    with pytest.raises(ValueError, match="p must be a number in"):
        Dropout(1.2)


def test_layer_norm_standardizes_each_row():
    X = np.random.default_rng(0).normal(3, 5, (4, 50))
    y = LayerNorm(50, eps=0.0).double()(Tensor(X)).array
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(1), 1, rtol=1e-12)
    layer = LayerNorm((2, 3), bias=False)
    assert layer.weight.shape == (2, 3) and layer.bias is None
    assert list(LayerNorm(3, elementwise_affine=False).parameters()) == []


# Containers


def test_sequential_feeds_through_in_order():
    network = Sequential(OrderedDict(first=Linear(2, 3, rng=0), second=Tanh()))
    x = Tensor(np.ones((1, 2), np.float32))
    np.testing.assert_array_equal(network(x).array, np.tanh(network.first(x).array))
    assert names(network.named_parameters()) == ["first.weight", "first.bias"]


def test_containers_behave_as_lists():
    layers = [Linear(2, 2, rng=0), ReLU(), Linear(2, 1, rng=1)]
    for container in (Sequential(*layers), ModuleList(layers)):
        assert len(container) == 3 and list(container) == layers and container[-1] is layers[2]
        assert type(container[:2]) is type(container) and list(container[:2]) == layers[:2]
        container[1] = Tanh()
        assert isinstance(container[1], Tanh) and container.append(ReLU()) is container
        assert names(container.named_children()) == ["0", "1", "2", "3"]
        assert len(container.extend([ReLU(), ReLU()])) == 6
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        Sequential(ReLU(), 3)
    with pytest.raises(IndexError):
        _ = Sequential()[0]


def test_printed_forms_nest():
    network = Sequential(Linear(2, 3), Sequential(ReLU(), Dropout(0.2)))
    assert repr(network) == (
        "Sequential(\n  (0): Linear(in_features=2, out_features=3, bias=True)\n  (1): Sequential(\n"
        "    (0): ReLU()\n    (1): Dropout(p=0.2, inplace=False)\n  )\n)"
    )
    assert repr(Module()) == "Module()" and repr(Parameter(np.ones(1))).startswith(
        "Parameter containing:\ntensor("
    )


# Losses


def test_mse_loss_and_its_reductions():
    a, b = Tensor(np.array([1.0, 2.0]), requires_grad=True), Tensor(np.array([3.0, 5.0]))
    assert mse_loss(a, b).item() == 6.5 and mse_loss(a, b, reduction="sum").item() == 13.0
    np.testing.assert_array_equal(mse_loss(a, b, reduction="none").array, [4, 9])
    mse_loss(a, b).backward()
    np.testing.assert_allclose(a.grad.array, [-2, -3])
    with pytest.raises(ValueError, match=r"one shape, got input \(2,\) and target \(2, 1\)"):
        mse_loss(a, Tensor(np.ones((2, 1))))
    with pytest.raises(ValueError, match="reduction must be"):
        mse_loss(a, b, reduction="median")


def test_cross_entropy_of_extreme_logits_is_finite():
    logits = Tensor(np.array([[1e4, 0.0], [-1e4, 0.0]]), requires_grad=True)
    loss = cross_entropy(logits, Tensor(np.array([0, 0])))
    assert loss.item() == pytest.approx(5e3)
    loss.backward()
    np.testing.assert_allclose(logits.grad.array, [[0, 0], [-0.5, 0.5]], atol=1e-15)


# Batches


@given(st.integers(1, 60), st.integers(1, 70), st.booleans())
@settings(max_examples=40, deadline=None)
def test_batch_slices_cover_each_sample_once(n, batch_size, drop_last):
    slices = modules.batch_slices(n, batch_size, drop_last)
    covered = [i for rows in slices for i in range(n)[rows]]
    expected = n - n % batch_size if drop_last else n
    assert covered == list(range(expected))
    assert all(rows.stop - rows.start == batch_size for rows in slices[:-1])
    assert all(rows.stop <= n for rows in slices)


def test_tensor_dataset_pairs_samples():
    data = TensorDataset(np.arange(6.0).reshape(3, 2), np.array([5, 6, 7]))
    assert len(data) == 3 and data[1][1].item() == 6 and data[np.array([0, 2])][0].shape == (2, 2)
    with pytest.raises(ValueError, match=r"one length, got lengths \[3, 2\]"):
        TensorDataset(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="one length"):
        TensorDataset()


def test_data_loader_in_order():
    X, y = np.arange(10.0).reshape(5, 2), np.arange(5)
    loader = DataLoader((X, y), batch_size=2)
    batches = list(loader)
    assert len(loader) == 3 and [len(labels) for _, labels in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([rows.array for rows, _ in batches]), X)
    assert len(DataLoader((X, y), batch_size=2, drop_last=True)) == 2
    assert len(list(DataLoader((X, y), batch_size=2, drop_last=True))) == 2


@given(st.integers(1, 40), st.integers(1, 45), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_shuffled_epochs_keep_pairs_and_lose_nothing(n, batch_size, seed):
    X, y = np.arange(n, dtype=float)[:, None] * 10, np.arange(n)
    loader = DataLoader((X, y), batch_size, shuffle=True, rng=seed)
    for _ in range(2):
        batches = list(loader)
        labels = np.concatenate([batch[1].array for batch in batches])
        assert sorted(labels) == list(range(n))
        np.testing.assert_array_equal(
            np.concatenate([batch[0].array for batch in batches])[:, 0], labels * 10.0
        )


def test_each_epoch_has_its_own_order_and_a_seed_repeats_them():
    data = np.arange(50)
    orders = [
        np.concatenate([b.array for b in epoch]) for epoch in _epochs(DataLoader(data, 7, True, rng=1), 2)
    ]
    again = [
        np.concatenate([b.array for b in epoch]) for epoch in _epochs(DataLoader(data, 7, True, rng=1), 2)
    ]
    np.testing.assert_array_equal(orders, again)
    assert not np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0], data)


def _epochs(loader, count):
    return [list(loader) for _ in range(count)]


def test_data_loader_accepts_tensors_and_datasets_and_refuses_the_rest():
    data = TensorDataset(np.ones((3, 2)), np.zeros(3))
    assert len(next(iter(DataLoader(data, 2)))) == 2
    assert isinstance(next(iter(DataLoader(Tensor(np.ones(4)), 2))), Tensor)
    with pytest.raises(
        TypeError, match="dataset must be a TensorDataset, or arrays or tensors of one length, got dict"
    ):
        DataLoader({})
    with pytest.raises(ValueError, match="batch_size must be an integer in"):
        DataLoader(np.ones(3), batch_size=0)
    with pytest.raises(TypeError, match="batch_size must be an integer"):
        DataLoader(np.ones(3), batch_size=2.5)


# All together


def test_gradients_of_a_network_against_finite_differences():
    network = Sequential(Linear(3, 4, rng=0), LayerNorm(4), GELU(), Linear(4, 2, rng=1), Tanh()).double()
    rng = np.random.default_rng(2)
    X, target = Tensor(rng.normal(size=(5, 3))), Tensor(rng.normal(size=(5, 2)))
    mse_loss(network(X), target).backward()
    for parameter in network.parameters():
        slope = np.zeros_like(parameter.array)
        for place in np.ndindex(parameter.shape):
            values = []
            for sign in (1, -1):
                parameter.array[place] += sign * 1e-5
                with ad.no_grad():
                    values.append(mse_loss(network(X), target).item())
                parameter.array[place] -= sign * 1e-5
            slope[place] = (values[0] - values[1]) / 2e-5
        np.testing.assert_allclose(parameter.grad.array, slope, atol=1e-9)


def test_a_tied_weight_gets_the_sum_of_both_gradients():
    def gradient(tied):
        network = Sequential(
            Linear(3, 3, bias=False, rng=0), Tanh(), Linear(3, 3, bias=False, rng=0)
        ).double()
        if tied:
            network[2].weight = network[0].weight
        network(Tensor(np.ones((2, 3)))).sum().backward()
        return [parameter.grad.array for parameter in network.parameters()]

    (together,), apart = gradient(True), gradient(False)
    np.testing.assert_allclose(together, apart[0] + apart[1], rtol=1e-12)


# State that a second use must meet


def test_a_graph_notices_that_a_state_was_loaded():
    layer = modules.Linear(2, 1)
    loss = (layer(ad.tensor([[1.0, 2.0]], requires_grad=True)) ** 2).sum()
    layer.load_state_dict({name: value * 2 for name, value in layer.state_dict().items()})
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        loss.backward()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_cast_takes_the_gradients_along(dtype):
    layer = modules.Linear(2, 1)
    layer(ad.tensor([[1.0, 2.0]])).sum().backward()
    layer.to(dtype)
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    "shapes", [((3,), (1,)), ((1,), (3,)), ((3, 1), (3,)), ((3, 2), (1, 2)), ((2, 3), ())]
)
def test_a_squared_error_never_broadcasts(shapes):
    first, second = (ad.tensor(np.zeros(shape)) for shape in shapes)
    with pytest.raises(ValueError, match="one shape"):
        modules.mse_loss(first, second)


def test_a_hook_before_the_forward_pass_runs_without_one_behind_it():
    layer, seen = modules.Linear(2, 1), []
    handle = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    layer(ad.tensor(np.zeros((4, 2))))
    handle.remove()
    layer(ad.tensor(np.zeros((4, 2))))
    assert seen == [(4, 2)]


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


# How they break


def test_a_broadcast_squared_error_is_the_mean_and_the_variance(rng):
    outputs, targets = rng.normal(size=(7, 1)), rng.normal(size=7)
    broadcast = ((Tensor(outputs) - Tensor(targets)) ** 2).mean().item()
    assert broadcast == pytest.approx(np.mean((outputs - targets.mean()) ** 2) + targets.var(), rel=1e-12)


@pytest.mark.parametrize(
    ("outputs", "targets"), [((4, 1), (4,)), ((4,), (1,)), ((4, 2), (4, 1)), ((1, 3), (4, 3))]
)
def test_shapes_that_would_broadcast_are_refused(outputs, targets):
    with pytest.raises(ValueError, match="needs two tensors of one shape"):
        mse_loss(Tensor(np.ones(outputs)), Tensor(np.ones(targets)))


def test_few_steps_are_refused_where_training_must_have_arrived():
    with pytest.raises(ValueError, match="n_steps must be at least 40"):
        failures.predicted_error(True, 39)


def test_dropout_trains_squared_error_to_a_ridge(rng):
    """The expected loss under dropout, by its formula and as a mean over every mask of six features."""
    X, y, w, b, p = rng.normal(size=(5, 6)), rng.normal(size=5), rng.normal(size=6), 0.3, 0.4
    masks = np.array(list(itertools.product([0, 1], repeat=6)))
    chance = np.prod(np.where(masks == 1, 1 - p, p), axis=1)
    losses = [np.mean((X * mask / (1 - p) @ w + b - y) ** 2) for mask in masks]
    ridge = np.mean((X @ w + b - y) ** 2) + p / (1 - p) * np.sum(w**2 * np.mean(X**2, axis=0))
    assert chance @ losses == pytest.approx(ridge, rel=1e-12)


def test_the_weights_of_threes_and_eights_are_where_that_ridge_is_flat():
    X, w, b = failures.threes_and_eights(0.5)
    y = np.sign(load_digits().y[np.isin(load_digits().y, (3, 8))] - 5.0)
    residuals = X @ w + b - y
    np.testing.assert_allclose(X.T @ residuals / len(X) + np.mean(X**2, axis=0) * w, 0, atol=1e-12)
    assert np.mean(residuals) == pytest.approx(0, abs=1e-12)


def test_an_epoch_mean_weighs_batches_by_their_length():
    losses, lengths = np.array([1.0, 2.0, 9.0, 2.0, 4.0, 10.0]), np.array([4, 4, 1, 4, 4, 1])
    np.testing.assert_allclose(modules.epoch_means(losses, lengths, 2), [21 / 9, 34 / 9])


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy
