"""Automatic differentiation: every operation against torch, the walk, the transformations, misuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from level1_foundations import automatic_differentiation as ad
from level1_foundations.failure_modes import automatic_differentiation as modes
from level1_foundations.failure_modes.automatic_differentiation import FAILURE_MODES
from level1_foundations.parts.automatic_differentiation import predictions as theory

pytestmark = pytest.mark.level1


class Torch:
    """`torch` and `torch.nn.functional` behind one dot, so that one formula serves both sides."""

    def __getattr__(self, name):
        import torch

        layers = ("gelu", "softplus", "pad", "binary_cross_entropy_with_logits", "layer_norm", "embedding")
        return getattr(torch.nn.functional if name in layers or not hasattr(torch, name) else torch, name)

    def constant(self, data):
        import torch

        return torch.tensor(np.asarray(data))


class Ours:
    def __getattr__(self, name):
        return getattr(ad, name)

    def constant(self, data):
        return ad.tensor(np.asarray(data))


# In one breath


def plain_loss(x, w, b):
    """A formula that uses a value twice, in the plain class or with tensors."""
    hidden = (x @ w).tanh()
    return (hidden * b + hidden).sum()


def test_plain_product_sends_each_factor_the_other():
    a, b = ad.Value([2.0, 3.0]), ad.Value([5.0, 7.0])
    ad.plain_backward((a * b).sum())
    np.testing.assert_array_equal(a.grad, b.array)
    np.testing.assert_array_equal(b.grad, a.array)


def test_plain_matrix_product():
    a, b = ad.Value([[1.0, 2.0]]), ad.Value([[3.0], [4.0]])
    ad.plain_backward((a @ b).sum())
    np.testing.assert_array_equal(a.grad, [[3.0, 4.0]])
    np.testing.assert_array_equal(b.grad, [[1.0], [2.0]])


def test_plain_gradients_of_two_uses_add():
    x = ad.Value(3.0)
    ad.plain_backward((x * x + x).sum())
    assert x.grad == 7.0


def test_plain_backward_waits_until_a_gradient_is_complete():
    x = ad.Value(0.5)
    y = x.tanh()
    ad.plain_backward((y * (y * y) + y).sum())
    slope = 1 - np.tanh(0.5) ** 2
    np.testing.assert_allclose(x.grad, (3 * np.tanh(0.5) ** 2 + 1) * slope)


def test_the_breath_equals_the_whole():
    inputs = arrays((3, 4), (4, 2), (3, 2))
    plain = [ad.Value(array) for array in inputs]
    ad.plain_backward(plain_loss(*plain))
    whole = [ad.tensor(array, requires_grad=True) for array in inputs]
    for mine, theirs in zip(plain, ad.gradients(plain_loss(*whole), whole), strict=True):
        np.testing.assert_allclose(mine.grad, theirs.array, rtol=1e-13)


def arrays(*shapes, positive=False, seed=0):
    """Normal numbers, or positive ones."""
    rng = np.random.default_rng(seed)
    draw = (lambda shape: rng.uniform(0.3, 2.0, shape)) if positive else rng.standard_normal
    return [np.asarray(draw(shape)) for shape in shapes]


def differentiate(module, formula, inputs):
    """Value, gradients for a fixed cotangent, and the gradients of <gradients, direction>."""
    ours = isinstance(module, Ours)
    x = [module.constant(a).requires_grad_() for a in inputs]
    y = formula(module, *x)
    cotangent = np.cos(np.arange(np.prod(tuple(y.shape), dtype=int))).reshape(tuple(y.shape))
    if ours:
        g = ad.gradients(y, x, ad.tensor(cotangent), create_graph=True)
    else:
        import torch

        g = torch.autograd.grad(
            y, x, torch.tensor(cotangent), create_graph=True, allow_unused=True, materialize_grads=True
        )
    z = sum(
        (gi * module.constant(np.sin(1 + np.arange(gi.detach().numpy().size)).reshape(tuple(gi.shape)))).sum()
        for gi in g
    )
    second = [np.zeros(a.shape) for a in inputs]
    if z.requires_grad:
        if ours:
            second = ad.gradients(z, x)
        else:
            second = torch.autograd.grad(z, x, allow_unused=True, materialize_grads=True)
        second = [s.numpy() if ours else s.numpy(force=True) for s in second]
    return y.detach().numpy(), [gi.detach().numpy() for gi in g], second


def assert_close(ours, theirs, what, tolerance=1e-10):
    assert ours.shape == theirs.shape, f"{what}: shape {ours.shape}, torch has {theirs.shape}"
    assert np.array_equal(np.isnan(ours), np.isnan(theirs)), f"{what}: NaN in other places than torch"
    scale = np.max(np.abs(theirs[np.isfinite(theirs)]), initial=1e-300)
    with np.errstate(invalid="ignore"):
        difference = np.where(ours == theirs, 0, np.abs(ours - theirs))
    error = np.nanmax(difference, initial=0) / max(scale, 1e-3)
    assert error <= tolerance, f"{what}: off by {error:.1e}\nours\n{ours}\ntorch\n{theirs}"


def assert_as_torch(formula, inputs, twice=True):
    """Value, gradients and (if `twice`) second derivatives equal torch's, also by the plain walk."""
    with np.errstate(all="ignore"):
        value, first, second = differentiate(Ours(), formula, inputs)
        value_torch, first_torch, second_torch = differentiate(Torch(), formula, inputs)
        x = [ad.tensor(a, requires_grad=True) for a in inputs]
        y = formula(Ours(), *x)
        y.backward(np.cos(np.arange(y.numel())).reshape(y.shape))
    assert_close(value, value_torch, "value")
    for i, (ours, theirs, plain) in enumerate(zip(first, first_torch, x, strict=True)):
        assert_close(ours, theirs, f"gradient of input {i}, create_graph=True")
        if plain.grad is not None:
            assert_close(plain.grad.numpy(), theirs, f"gradient of input {i}")
        else:
            assert not theirs.any(), f"input {i} got no gradient"
    for i, (ours, theirs) in enumerate(zip(second, second_torch, strict=True) if twice else ()):
        assert_close(ours, theirs, f"second derivative, input {i}")


# --- one function at a time


def leaf(data):
    return ad.Tensor(np.array(data), requires_grad=True)


def send_back(y, g):
    """What the rules of `y` make of the gradient `g`, one array for each input."""
    with ad.no_grad():
        saved = y.grad_fn.saved
        return [rule(ad.Tensor(np.array(g)), *saved).array for rule in y.grad_fn.rules]


def test_add_sends_its_gradient_to_both():
    y = ad.add(leaf([1.0, 2.0]), leaf([10.0, 20.0]))
    np.testing.assert_array_equal(y.array, [11, 22])
    np.testing.assert_array_equal(send_back(y, [3.0, 4.0]), [[3, 4], [3, 4]])


def test_multiply_sends_the_other_factor_times_its_gradient():
    y = ad.multiply(leaf([1.0, 2.0]), leaf([10.0, 20.0]))
    np.testing.assert_array_equal(y.array, [10, 40])
    np.testing.assert_array_equal(send_back(y, [3.0, 4.0]), [[30, 80], [3, 8]])


@pytest.mark.beyond_plain
def test_multiply_keeps_only_what_a_rule_needs():
    constant = ad.Tensor(np.ones(2))
    kept = ad.multiply(leaf([1.0, 2.0]), constant).grad_fn.saved
    assert [x is constant for x in kept] == [False, True] and kept[0] is None


def test_a_product_of_constants_has_no_history():
    constant = ad.Tensor(np.ones(2))
    assert ad.multiply(constant, constant).grad_fn is None


@pytest.mark.parametrize(("function", "value", "slope"), [
    (lambda x: ad.exp(x), np.exp, np.exp),
    (lambda x: ad.tanh(x), np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    (lambda x: ad.relu(x), lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
], ids=["exp", "tanh", "relu"])  # fmt: skip
def test_elementwise_functions_send_their_slope_times_the_gradient(function, value, slope):
    x, g = np.array([-1.5, 0.0, 0.5]), np.array([1.0, 2.0, -3.0])
    y = function(leaf(x))
    np.testing.assert_allclose(y.array, value(x))
    np.testing.assert_allclose(send_back(y, g)[0], slope(x) * g, atol=1e-15)


def test_reshape_is_undone_by_its_rule():
    y = ad.reshape(leaf(np.arange(6.0)), 2, -1)
    assert y.shape == (2, 3)
    np.testing.assert_array_equal(send_back(y, [[0.0, 1, 2], [3, 4, 5]])[0], np.arange(6))


def test_a_reshaped_tensor_counts_changes_together_with_the_first():
    x = leaf(np.arange(6.0))
    assert ad.reshape(x, 2, 3).version is x.version, "they share their memory: `record_view` says so"


def test_broadcast_to_leaves_the_sum_to_the_walk():
    y = ad.broadcast_to(leaf([[1.0], [2.0]]), 2, 3)
    np.testing.assert_array_equal(y.array, [[1, 1, 1], [2, 2, 2]])
    assert ad.broadcast_to(leaf([[1.0], [2.0]]), (4, -1, 3)).shape == (4, 2, 3)
    np.testing.assert_array_equal(send_back(y, np.ones((2, 3)))[0], np.ones((2, 3)))


def test_sum_sends_a_copy_to_every_term():
    x = leaf(np.arange(6.0).reshape(2, 3))
    assert ad.sum(x).array == 15
    np.testing.assert_array_equal(send_back(ad.sum(x), 2.0)[0], np.full((2, 3), 2))
    np.testing.assert_array_equal(send_back(ad.sum(x, 0), [1.0, 2, 3])[0], [[1, 2, 3], [1, 2, 3]])
    assert ad.sum(x, (0, 1), keepdim=True).shape == (1, 1)


def test_matmul_multiplies_by_the_other_transposed():
    a, b, g = arrays((2, 3), (3, 4), (2, 4))
    y = ad.matmul(leaf(a), leaf(b))
    np.testing.assert_allclose(y.array, a @ b)
    by_a, by_b = send_back(y, g)
    np.testing.assert_allclose(by_a, g @ b.T)
    np.testing.assert_allclose(by_b, a.T @ g)


def test_unbroadcast_sums_over_what_was_repeated():
    g = ad.tensor(np.arange(24.0).reshape(2, 3, 4))
    np.testing.assert_array_equal(ad.unbroadcast(g, (3, 1)).array, g.array.sum((0, 2))[:, None])
    np.testing.assert_array_equal(ad.unbroadcast(g, ()).array, g.array.sum())
    assert ad.unbroadcast(g, (2, 3, 4)).shape == (2, 3, 4)


def doubled(x):
    """An operation made by hand: y = 2 x, which saves x."""
    return ad.record(2 * x.array, (x,), (lambda g, x: ad.Tensor(2 * g.array),), (x,))


def test_the_seed_is_one_for_a_number_and_must_be_given_otherwise():
    x = leaf([1.0, 1.0, 1.0])
    assert ad.seed_gradient(leaf(3.0)).array == 1.0
    np.testing.assert_array_equal(ad.seed_gradient(x, [1, 2, 3]).array, [1, 2, 3])
    assert ad.seed_gradient(x, [1, 2, 3]).dtype == np.float64
    with pytest.raises(RuntimeError, match="implicitly created only for scalar outputs"):
        ad.seed_gradient(x)
    with pytest.raises(
        RuntimeError, match=r"gradient has a shape of \(2,\) and output has a shape of \(3,\)"
    ):
        ad.seed_gradient(x, np.ones(2))
    with pytest.raises(RuntimeError, match="does not require grad"):
        ad.seed_gradient(ad.Tensor(np.array(1.0)))


def test_unpack_hands_out_what_was_saved_unless_it_was_freed_or_changed():
    x = leaf([1.0, 2.0])
    node = doubled(x).grad_fn
    assert ad.unpack(node, create_graph=False)[0] is x
    with ad.no_grad():
        x += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        ad.unpack(node, create_graph=False)
    node.rules = None
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        ad.unpack(node, create_graph=False)


def test_a_saved_result_gets_its_history_back_only_for_a_recorded_walk():
    y = ad.record(np.ones(2), (leaf([0.0, 0.0]),), (lambda g, y: g,), saves_output=True)
    assert ad.unpack(y.grad_fn, create_graph=True)[-1].grad_fn is y.grad_fn
    assert ad.unpack(y.grad_fn, create_graph=False)[-1].grad_fn is None


def test_add_gradient_adds_and_changes_no_buffer_that_is_not_its_own():
    x, g = leaf([0.0, 0.0]), ad.Tensor(np.array([1.0, 2.0]))
    pending, owned = {}, set()
    with ad.no_grad():
        ad.add_gradient(pending, owned, x, g, g)
        assert pending[x] is g and not owned
        for times in (2, 3):
            ad.add_gradient(pending, owned, x, g, g)
            np.testing.assert_array_equal(pending[x].array, [times, 2 * times])
    np.testing.assert_array_equal(g.array, [1, 2])
    assert owned == {x}


def test_the_walk_returns_the_gradient_of_every_leaf():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = ad.record(a.array + b.array, (doubled(doubled(a)), b), (lambda g: g, lambda g: g))
    found, _ = ad.walk(y, ad.Tensor(np.ones(2)))
    np.testing.assert_array_equal(found[a].array, [4, 4])
    np.testing.assert_array_equal(found[b].array, [1, 1])


def test_leading_to_finds_the_nodes_on_the_way():
    a, b = leaf([1.0]), leaf([2.0])
    on_the_way, aside = doubled(a), doubled(b)
    y = ad.record(np.ones(1), (on_the_way, aside), (lambda g: g, lambda g: g))
    assert ad.leading_to(y.grad_fn, {a}) == {a, on_the_way.grad_fn, y.grad_fn}


def test_backward_fills_grad_and_accumulate_adds_to_it():
    x = leaf([1.0, 2.0])
    ad.accumulate(x, ad.Tensor(np.array([5.0, 5.0])), owned=False, create_graph=False)
    doubled(x).backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad.array, [7, 25])


# --- every operation against torch

TIES = np.array([[1.0, 2.0, 2.0], [0.0, 0.0, -1.0], [3.0, 3.0, 3.0]])
WITH_ZEROS = np.array([[0.0, 2.0, -3.0], [0.0, 0.0, 1.0], [1.5, 2.0, -1.0]])
ROWS, REPEATED = np.array([2, 0, 2, 2]), np.array([[0, 1, 0], [2, 2, 2]])

ELEMENTWISE = {
    "exp": lambda m, x: m.exp(x),
    "tanh": lambda m, x: m.tanh(x),
    "relu": lambda m, x: m.relu(x),
    "expm1": lambda m, x: m.expm1(x),
    "sigmoid": lambda m, x: m.sigmoid(x),
    "gelu": lambda m, x: m.gelu(x),
    "gelu, tanh": lambda m, x: m.gelu(x, approximate="tanh"),
    "silu": lambda m, x: m.silu(x),
    "softplus": lambda m, x: m.softplus(x),
    "softplus, beta and threshold": lambda m, x: m.softplus(x, 2.0, 1.5),
    "leaky_relu": lambda m, x: m.leaky_relu(x, 0.2),
    "erf": lambda m, x: m.erf(x),
    "sin": lambda m, x: m.sin(x),
    "cos": lambda m, x: m.cos(x),
    "abs": lambda m, x: abs(m.abs(x) - 0.3),
    "sign": lambda m, x: m.sign(x) * x,
    "floor": lambda m, x: m.floor(x) * x,
    "square": lambda m, x: m.square(x),
    "negative": lambda m, x: -x,
    "clip": lambda m, x: m.clip(x, -0.5, 0.8) * x,
    "clip, one bound": lambda m, x: m.clamp(x, min=0.1) + x.clamp(max=-0.1),
    "power 3": lambda m, x: x**3,
    "power 2": lambda m, x: x**2,
    "power 4": lambda m, x: x**4,
    "power 0": lambda m, x: x**0 * x,
    "power 1": lambda m, x: x**1.0,
    "power -2": lambda m, x: x**-2,
    "base 2": lambda m, x: 2.0**x,
    "scalars": lambda m, x: (3 - x) * 2 / (1 + x * x) - 1 / (x * x + 2),
}
POSITIVE = {
    "log": lambda m, x: m.log(x),
    "log1p": lambda m, x: m.log1p(x),
    "sqrt": lambda m, x: m.sqrt(x),
    "rsqrt": lambda m, x: m.rsqrt(x),
    "reciprocal": lambda m, x: m.reciprocal(x),
    "power 2.5": lambda m, x: x**2.5,
    "power 0.5": lambda m, x: x**0.5,
}
BINARY = {
    "add": lambda m, a, b: a + b,
    "subtract": lambda m, a, b: m.subtract(a, b),
    "multiply": lambda m, a, b: a * b,
    "divide": lambda m, a, b: a / b,
    "power": lambda m, a, b: m.pow(m.abs(a), b),
    "maximum": lambda m, a, b: m.maximum(a, b),
    "minimum": lambda m, a, b: m.minimum(a, b),
    "where": lambda m, a, b: m.where(a > b, a * a, b * b),
    "masked_fill": lambda m, a, b: (a * b).masked_fill(a + b > 0, 2.0),
}
SHAPES = {"matrix": [(3, 4)], "0-d": [()], "empty": [(0, 3)]}
BROADCAST = {
    "equal": [(3, 4), (3, 4)],
    "row": [(3, 4), (4,)],
    "column": [(3, 1), (3, 4)],
    "outer": [(3, 1), (1, 4)],
    "0-d": [(), (2, 3)],
    "both 0-d": [(), ()],
    "empty": [(0, 3), (1, 3)],
    "empty by broadcasting": [(2, 1, 3), (0, 3)],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name, shape):
    assert_as_torch(ELEMENTWISE[name], arrays(*SHAPES[shape], seed=1))


@pytest.mark.parametrize("name", POSITIVE)
def test_elementwise_of_positive_numbers(name):
    assert_as_torch(POSITIVE[name], arrays((3, 4), positive=True))


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", BROADCAST)
def test_binary(name, shapes):
    assert_as_torch(BINARY[name], arrays(*BROADCAST[shapes], seed=2))


AXES = {
    "all": lambda f: lambda m, x: f(m, x),
    "0": lambda f: lambda m, x: f(m, x, dim=0),
    "-1, kept": lambda f: lambda m, x: f(m, x, dim=-1, keepdim=True),
    "two": lambda f: lambda m, x: f(m, x, dim=(0, 2)),
    "two, kept": lambda f: lambda m, x: f(m, x, dim=(-1, 0), keepdim=True),
}
REDUCTIONS = {
    "sum": lambda m, x, **dim: m.sum(x * x, **dim),
    "mean": lambda m, x, **dim: m.mean(x * x, **dim),
    "var": lambda m, x, **dim: m.var(x, **dim),
    "var, correction 0": lambda m, x, **dim: m.var(x, correction=0, **dim),
    "std": lambda m, x, **dim: m.std(x, **dim),
    "amax": lambda m, x, **dim: m.amax(x, **({"dim": (0, 1, 2)} | dim)),
    "amin": lambda m, x, **dim: x.amin(**({"dim": (0, 1, 2)} | dim)),
    "logsumexp": lambda m, x, **dim: m.logsumexp(x, **({"dim": (0, 1, 2)} | dim)),
    "norm": lambda m, x, **dim: m.norm(x, **dim),
    "norm, 1": lambda m, x, **dim: m.norm(x, p=1, **dim),
    "norm, 3": lambda m, x, **dim: m.norm(x, p=3, **dim),
    "norm, 1.5": lambda m, x, **dim: m.norm(x, p=1.5, **dim),
    "norm, inf": lambda m, x, **dim: m.norm(x, p=float("inf"), **dim),
    "norm, -inf": lambda m, x, **dim: m.norm(x, p=-float("inf"), **dim),
    "norm, 0": lambda m, x, **dim: m.norm(x, p=0, **dim) + x.sum(**dim),
}


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, axes):
    assert_as_torch(AXES[axes](REDUCTIONS[name]), arrays((3, 2, 4)))


OF_MATRIX = {
    "max of all": lambda m, x: m.max(x),
    "min of all": lambda m, x: x.min(),
    "max along an axis": lambda m, x: m.max(x, dim=1)[0],
    "min along an axis": lambda m, x: x.min(dim=0, keepdim=True)[0],
    "max of two": lambda m, x: m.max(x, x.T),
    "min of two": lambda m, x: m.min(x, x.T),
    "amax": lambda m, x: m.amax(x, 1),
    "maximum": lambda m, x: m.maximum(x, x.T * 1.0),
    "clip at its bounds": lambda m, x: m.clip(x, 0.0, 2.0),
    "relu": lambda m, x: m.relu(x),
    "abs": lambda m, x: m.abs(x),
    "norm 3": lambda m, x: m.norm(x, 3, dim=1),
    "norm inf": lambda m, x: m.norm(x, float("inf"), dim=1),
    "prod": lambda m, x: m.prod(x),
    "prod along an axis": lambda m, x: m.prod(x, 1),
    "prod along an axis, kept": lambda m, x: x.prod(0, keepdim=True),
    "cumsum": lambda m, x: m.cumsum(x * x, 0),
    "cumsum, last": lambda m, x: x.cumsum(-1) ** 2,
    "softmax": lambda m, x: m.softmax(x, 1),
    "softmax, first axis": lambda m, x: x.softmax(0),
    "log_softmax": lambda m, x: m.log_softmax(x, -1),
    "var": lambda m, x: m.var(x, 1),
    "sort": lambda m, x: m.sort(x, stable=True, dim=0)[0] if isinstance(m, Torch) else m.sort(x, dim=0)[0],
    "flip": lambda m, x: m.flip(x, (0, 1)) * x,
    "tril": lambda m, x: m.tril(x, -1) + m.triu(x, 1),
    "triu": lambda m, x: m.triu(x) * x,
    "transpose": lambda m, x: x.transpose(0, 1) @ x,
    "swapaxes": lambda m, x: m.swapaxes(x, 0, 1) * x,
    "T": lambda m, x: x.T @ x.mT,
    "power 0 at 0": lambda m, x: m.pow(x, m.constant(np.zeros((3, 3)))) * x,
}


@pytest.mark.parametrize("data", [TIES, WITH_ZEROS, *arrays((3, 3))], ids=["ties", "zeros", "normal"])
@pytest.mark.parametrize("name", OF_MATRIX)
def test_corners_and_ties(name, data):
    assert_as_torch(OF_MATRIX[name], [data])


def test_slopes_where_there_is_no_second_derivative():
    zeros = np.zeros((3, 3))
    assert_as_torch(lambda m, x: m.norm(x, dim=0), [zeros], twice=False)
    assert_as_torch(lambda m, x: m.std(x, 1), [TIES], twice=False)
    assert_as_torch(lambda m, x: m.pow(m.constant(zeros), m.abs(x)), [TIES], twice=False)
    assert_as_torch(lambda m, x: m.sqrt(m.relu(x)), [TIES], twice=False)


OF_NUMBER = {
    "sum": lambda m, x: m.sum(x * x, dim=0) + x.sum(dim=-1, keepdim=True),
    "mean": lambda m, x: m.mean(x * x, dim=0),
    "amax": lambda m, x: m.amax(x, dim=0) * m.max(x, dim=0)[0] * x.min(dim=-1)[0],
    "logsumexp": lambda m, x: m.logsumexp(x * x, dim=0),
    "softmax": lambda m, x: m.softmax(x, dim=0) * m.log_softmax(x, dim=-1),
    "norm": lambda m, x: m.norm(x * x, dim=0),
    "prod": lambda m, x: m.prod(x * x, dim=0) * m.prod(x),
    "cumsum": lambda m, x: m.cumsum(x * x, dim=0),
    "sort": lambda m, x: m.sort(x * x, dim=0)[0],
    "flip": lambda m, x: m.flip(x, ()) * x.squeeze(0) * x.unsqueeze(0)[0],
}


@pytest.mark.parametrize("name", OF_NUMBER)
def test_a_number_has_an_axis_too(name):
    assert_as_torch(OF_NUMBER[name], [np.array(0.7)])


def test_infinite_logits():
    data = np.array([[0.0, -np.inf, 1.0], [2.0, 0.5, -np.inf]])
    for formula in (
        lambda m, x: m.softmax(x, 1),
        lambda m, x: m.logsumexp(x, 1),
        lambda m, x: m.log_softmax(x, 1),
    ):
        assert_as_torch(formula, [data], twice=False)


MATMUL = [
    [(3, 4), (4, 2)],
    [(4,), (4,)],
    [(4,), (4, 2)],
    [(3, 4), (4,)],
    [(5, 3, 4), (4, 2)],
    [(5, 3, 4), (4,)],
    [(4,), (5, 4, 2)],
    [(3, 4), (5, 4, 2)],
    [(5, 3, 4), (5, 4, 2)],
    [(2, 1, 3, 4), (5, 4, 2)],
    [(0, 4), (4, 2)],
    [(3, 0), (0, 2)],
    [(2, 0, 4), (4, 3)],
]


@pytest.mark.parametrize("shapes", MATMUL, ids=str)
def test_matmul(shapes):
    assert_as_torch(lambda m, a, b: m.matmul(a, b), arrays(*shapes))


EINSUM = [
    ("ij,jk->ik", [(3, 4), (4, 2)]),
    ("ij,jk", [(3, 4), (4, 2)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 2)]),
    ("ij->ji", [(3, 4)]),
    ("ij->", [(3, 4)]),
    ("ii->i", [(3, 3)]),
    ("ii", [(3, 3)]),
    ("iij,j->i", [(3, 3, 4), (4,)]),
    ("i,j->ij", [(3,), (4,)]),
    ("i,i->", [(3,), (3,)]),
    ("ij,k->i", [(3, 4), (2,)]),
    ("...ij,...jk->...ik", [(2, 3, 4), (4, 2)]),
    ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]),
    ("i...,i->...", [(3, 2, 4), (3,)]),
    ("ij,ij->ij", [(3, 4), (1, 4)]),
    ("a,ab,abc->c", [(2,), (2, 3), (2, 3, 4)]),
    ("ij,jk->ik", [(0, 3), (3, 2)]),
    ("kj,ji", [(3, 4), (4, 2)]),  # without an arrow the letters come in alphabetical order
    ("ba", [(2, 3)]),
    ("...b,ba", [(2, 4), (4, 3)]),
]


@pytest.mark.parametrize(("equation", "shapes"), EINSUM, ids=str)
def test_einsum(equation, shapes):
    assert_as_torch(lambda m, *x: m.einsum(equation, *x), arrays(*shapes))


OF_BLOCK = {  # of an array of shape (4, 3, 2)
    "reshape": lambda m, x: x.reshape(2, -1) ** 2,
    "view": lambda m, x: x.view((6, 4)) ** 2,
    "flatten": lambda m, x: m.flatten(x, 1) * 2,
    "permute": lambda m, x: m.permute(x, (2, 0, 1)) ** 2,
    "permute, negative": lambda m, x: x.permute(-1, 0, 1) ** 2,
    "unsqueeze": lambda m, x: m.unsqueeze(x, 1) * m.unsqueeze(x, -1)[..., 0].unsqueeze(1),
    "squeeze": lambda m, x: m.squeeze(x[:1, :, :1]) ** 2,
    "squeeze one": lambda m, x: x[:1].squeeze(0).squeeze(-1) ** 2,
    "broadcast_to": lambda m, x: m.broadcast_to(x[:1], (4, 3, 2)) * x,
    "expand": lambda m, x: x[:, :1].expand(-1, 3, -1) * x,
    "cat": lambda m, x: m.cat([x, x[:1] * 2, x], 0) ** 2,
    "concatenate": lambda m, x: m.concatenate([x, x * x], dim=-1) ** 2,
    "stack": lambda m, x: m.stack([x, x * x], 1) ** 2,
    "split": lambda m, x: m.split(x, 3)[1] * m.split(x, [2, 1], dim=1)[1][:1] ** 2,
    "unbind": lambda m, x: m.unbind(x, 1)[2] * x.unbind(1)[0],
    "pad": lambda m, x: m.pad(x, (1, 2, 0, 1), value=3.0) ** 2,
    "pad, cropping": lambda m, x: m.pad(x, (-1, 2, 1, -2)) ** 2,
    "integer": lambda m, x: x[1] * x[-1],
    "integers": lambda m, x: x[1, 2, 0] * x,
    "slice": lambda m, x: x[1:3] ** 2,
    "step": lambda m, x: x[::2, :, 1] ** 2,
    "ellipsis and None": lambda m, x: x[..., None, 1] ** 2,
    "empty slice": lambda m, x: x[2:2] ** 2,
    "repeated rows": lambda m, x: x[ROWS] ** 2,
    "rows twice": lambda m, x: x[ROWS].sum(0) * x[[0, 0, 3]].sum(0),
    "list of rows": lambda m, x: x[[0, 0, 3]] ** 2,
    "negative rows": lambda m, x: x[np.array([-1, 3, -1])] ** 2,
    "no rows": lambda m, x: x[[]] ** 2,
    "pairs": lambda m, x: x[ROWS, [0, 1, 1, 0]] ** 2,
    "outer": lambda m, x: x[ROWS[:, None], [0, 1]] ** 2,
    "slices and rows": lambda m, x: x[:, [0, 0, 2]] ** 2,
    "rows apart": lambda m, x: x[[0, 0, 1], :, [1, 1, 0]] ** 2,
    "integer and rows": lambda m, x: x[0, :, [1, 1, 0]] ** 2,
    "rows and integer": lambda m, x: x[[1, 1, 0], :, 0] ** 2,
    "slices, integer and rows": lambda m, x: x[1:3, 0, [1, 1]] ** 2 + x[1:, None, 1, [0, 1]][:2, 0] ** 2,
    "new axis and rows": lambda m, x: x[:, None, [0, 2, 2]] ** 2,
    "rows in an ellipsis": lambda m, x: x[1, ..., [0, 0, 1]] ** 2,
    "mask": lambda m, x: x[x > 0] ** 2,
    "mask of two axes": lambda m, x: x[x[..., 0] > 0] ** 2,
    "mask and integer": lambda m, x: x[:, [True, False, True], 1] ** 2,
    "index tensor": lambda m, x: x[m.constant(REPEATED)] ** 2,
    "index_select": lambda m, x: m.index_select(x, 1, m.constant([0, 0, 2])) ** 2,
    "unfold": lambda m, x: x.unfold(0, 2, 1) ** 2,
    "unfold with step": lambda m, x: x.unfold(0, 3, 2) ** 2,
    "unfold, another axis": lambda m, x: x.unfold(1, 2, 1).unfold(0, 2, 2) ** 2,
    "clone": lambda m, x: x.clone() * x,
    "many slices": lambda m, x: sum([x[i] * (i + 1.0) for i in range(4)]) * x[0] + x[:, 1:2].sum(),
    "used in many ways": lambda m, x: x[0] * x.sum() + x[ROWS].sum(0) + x.exp()[1],
}


@pytest.mark.parametrize("name", OF_BLOCK)
def test_shapes_and_indices(name):
    assert_as_torch(OF_BLOCK[name], arrays((4, 3, 2)))


@pytest.mark.parametrize(("shape", "dim", "index"), [
    ((3, 3), 0, REPEATED),
    ((3, 3), 1, REPEATED),
    ((3, 3), -1, np.array([[2, 2, 2, 0]])),
    ((3, 3), 0, np.zeros((0, 3), int)),
    ((4, 3, 2), 1, np.array([[[0, 1]], [[2, 2]]])),
    ((), 0, np.array(0)),
])  # fmt: skip
def test_gather_and_scatter_add(shape, dim, index):
    (x,) = arrays(shape)
    assert_as_torch(lambda m, x: m.gather(x, dim, m.constant(index)) ** 2, [x])
    if shape:
        (source,) = arrays(index.shape, seed=1)
        assert_as_torch(lambda m, x, s: m.scatter_add(x, dim, m.constant(index), s) ** 2, [x, source])


LINEAR = [(5, 3), (2, 5, 3), (3,), (0, 3)]


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid", "gelu", "silu", "softplus"])
@pytest.mark.parametrize("shape", LINEAR, ids=str)
def test_linear(shape, activation):
    def formula(m, x, w, b):
        if isinstance(m, Ours):
            return m.linear(x, w, b, activation=activation)
        return (lambda y: y if activation is None else getattr(m, activation)(y))(m.linear(x, w, b))

    assert_as_torch(formula, arrays(shape, (4, 3), (4,)))
    assert_as_torch(lambda m, x, w: m.linear(x, w), arrays(shape, (4, 3)))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses(reduction):
    a, b = arrays((4, 3), (4, 3))
    positive = np.abs(b) / (1 + np.abs(b))
    assert_as_torch(lambda m, a, b: m.mse_loss(a, b, reduction=reduction), [a, b])
    formula = lambda m, a: m.binary_cross_entropy_with_logits(
        10 * a, m.constant(positive), reduction=reduction
    )
    assert_as_torch(formula, [a])
    weight = np.array([1.0, 2.0, 0.5])
    assert_as_torch(lambda m, a: m.binary_cross_entropy_with_logits(
        a, m.constant(positive), reduction=reduction, pos_weight=m.constant(weight)), [a])  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [
    {}, {"label_smoothing": 0.2}, {"weight": np.array([1.0, 2.0, 0.5])}, {"ignore_index": 2},
    {"weight": np.array([1.0, 2.0, 0.5]), "label_smoothing": 0.3, "ignore_index": 0},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("shape", [(4, 3), (3,), (4, 3, 2)], ids=str)
def test_cross_entropy(shape, options, reduction):
    classes = np.array([[0, 1], [2, 2], [1, 0], [1, 2]])
    classes = {1: classes[1, 0], 2: classes[:, 0], 3: classes}[len(shape)]
    if len(shape) == 1 and options.get("ignore_index") == 2:
        classes = np.array(1)

    def formula(m, z):
        constants = {k: m.constant(v) if k == "weight" else v for k, v in options.items()}
        return m.cross_entropy(z, m.constant(classes), reduction=reduction, **constants)

    assert_as_torch(formula, arrays(shape))


@pytest.mark.parametrize("shape", [(4, 3), (3,), (4, 3, 2)], ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.2}, {"weight": np.array([1.0, 2.0, 0.5])}], ids=str
)
def test_cross_entropy_with_probabilities(shape, options):
    def formula(m, z, t):
        constants = {k: m.constant(v) if k == "weight" else v for k, v in options.items()}
        return m.cross_entropy(z, t, **constants)

    assert_as_torch(formula, [*arrays(shape), *arrays(shape, positive=True)])


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3)], ids=str)
def test_layer_norm(shape):
    assert_as_torch(lambda m, x: m.layer_norm(x, (3,)), arrays(shape))
    assert_as_torch(lambda m, x, w, b: m.layer_norm(x, (3,), w, b, eps=0.1), arrays(shape, (3,), (3,)))
    assert_as_torch(lambda m, x, w: m.layer_norm(x, shape[-2:], w), arrays(shape, shape[-2:]))


def test_embedding():
    assert_as_torch(lambda m, w: m.embedding(m.constant(REPEATED), w) ** 2, arrays((3, 4)))


# --- the walk


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_broadcasting_sends_back_the_sum_over_its_copies(data):
    full = tuple(data.draw(st.lists(st.integers(0, 3), max_size=4)))
    shapes = []
    for _ in range(2):
        dropped = data.draw(st.integers(0, len(full)))
        shapes.append(tuple(n if data.draw(st.booleans()) else 1 for n in full[dropped:]))
    a, b = (ad.tensor(x, requires_grad=True) for x in arrays(*shapes))
    y = a * b
    g = np.random.default_rng(3).standard_normal(y.shape)
    y.backward(g)
    for x, other in ((a, b), (b, a)):
        whole = g * np.broadcast_to(other.detach().numpy(), y.shape)
        axes = tuple(range(y.ndim - x.ndim))
        summed = whole.sum(axes)
        summed = summed.sum(
            tuple(i for i, n in enumerate(x.shape) if n == 1 and summed.shape[i] != 1), keepdims=True
        )
        np.testing.assert_allclose(x.grad.numpy(), summed, atol=1e-12)


def test_gradients_of_several_uses_add_up():
    x = ad.tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = x * x + x + x.exp() * x
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.array + 1 + np.exp(x.array) * (1 + x.array))


def test_gradients_accumulate_over_walks_and_a_kept_graph_doubles_them():
    x = ad.tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    once = x.grad.numpy().copy()
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once)


def test_a_second_walk_raises_as_torch_does():
    import torch

    x, x_torch = ad.tensor(np.ones(2), requires_grad=True), torch.ones(2, requires_grad=True)
    y, y_torch = (x * x).sum(), (x_torch * x_torch).sum()
    y.backward()
    y_torch.backward()
    with pytest.raises(RuntimeError) as ours:
        y.backward()
    with pytest.raises(RuntimeError) as theirs:
        y_torch.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        ad.gradients(y, [x])
    beginning = "Trying to backward through the graph a second time"
    assert str(ours.value).startswith(beginning)
    assert str(theirs.value).startswith(beginning)


@pytest.mark.parametrize("formula", [
    lambda x: x * 2, lambda x: x + 2, lambda x: x / 2, lambda x: -x, lambda x: x.reshape(2, 1), lambda x: x.exp(),
    lambda x: x.mean(),
])  # fmt: skip
def test_what_saves_nothing_may_be_walked_twice_as_in_torch(formula):
    import torch

    def allowed(x):
        y = formula(x).sum()
        y.backward()
        try:
            y.backward()
        except RuntimeError:
            return False
        return True

    assert allowed(leaf([1.0, 2.0])) == allowed(torch.ones(2, requires_grad=True))


def test_gradients_never_share_memory():
    a, b = (ad.tensor(np.ones(3), requires_grad=True) for _ in range(2))
    seed = np.ones(3)
    (a + b).backward(seed)
    a.grad.array[:] = 5
    np.testing.assert_array_equal(b.grad.numpy(), 1)
    np.testing.assert_array_equal(seed, 1)
    (a + b.reshape(3)).backward(seed)
    np.testing.assert_array_equal(b.grad.numpy(), 2)
    np.testing.assert_array_equal(seed, 1)


def test_backward_says_what_is_wrong_with_its_seed():
    x = ad.tensor(np.ones(3), requires_grad=True)
    with pytest.raises(RuntimeError, match="implicitly created only for scalar outputs"):
        (x * 1).backward()
    with pytest.raises(RuntimeError, match="does not require grad"):
        ad.tensor(1.0).backward()


def test_a_walk_of_parts_leaves_other_gradients_alone():
    x, w = (ad.tensor(np.arange(3.0), requires_grad=True) for _ in range(2))
    h = x * w
    y = (h[0] * h[1:].sum() + h[0]) * h.sum()
    ours = ad.gradients(y, [h, w], retain_graph=True)
    assert x.grad is None and w.grad is None
    by_hand = ad.gradients(h, [w], ours[0])[0]
    np.testing.assert_allclose(ours[1].numpy(), by_hand.numpy())
    assert ad.gradients(x.sum(), [w])[0].tolist() == [0.0, 0.0, 0.0]


def test_the_wanted_itself_is_neither_walked_nor_freed():
    x = leaf(np.array([0.0, 2.0]))
    h = x * x
    (g,) = ad.gradients((h * h).sum(), [h])
    np.testing.assert_array_equal(g.numpy(), 2 * h.array)
    h.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.array)


def test_only_what_leads_to_the_wanted_is_computed():
    calls = []
    x, w = (ad.tensor(np.ones(2), requires_grad=True) for _ in range(2))

    def spy(g):
        calls.append(1)
        return g

    side = ad.record(w.array * 1, (w,), (spy,))
    ad.gradients((x * x + side).sum(), [x])
    assert not calls
    frozen = ad.record(np.ones(2), (ad.tensor(np.ones(2)), w), (spy, lambda g: g))
    frozen.sum().backward()
    assert not calls, "a rule ran for an input that needs no gradient"


@pytest.mark.parametrize("walked", [True, False])
@pytest.mark.parametrize("operation", [lambda y: y * 1.0001, lambda y: y + 1e-9], ids=["multiply", "add"])
def test_thousands_of_operations_do_not_recurse(operation, walked):
    x = ad.tensor(np.float64(1e-9), requires_grad=True)
    y = x
    for _ in range(3_000):  # Python recurses a thousand deep
        y = operation(y)
    if walked:
        y.backward()
        assert 0.9 < x.grad.item() < 3
    del y  # also freeing the graph must not recurse


def test_the_search_for_what_leads_to_the_wanted_does_not_recurse():
    x, other = (ad.tensor(1.0, requires_grad=True) for _ in range(2))
    y = x
    for _ in range(3000):
        y = -y
    (slope, zero) = ad.gradients(y, [x, other])
    assert (slope.item(), zero.item()) == (1.0, 0.0)


def test_the_walk_frees_what_the_graph_saved():
    import weakref

    x = ad.tensor(np.ones(3), requires_grad=True)
    h = x.exp()
    y = (h * h).sum()
    reference = weakref.ref(h)
    del h
    assert reference() is not None
    y.backward()
    assert reference() is None


def test_a_graph_without_a_walk_is_freed_by_reference_count():
    import gc
    import weakref

    x = ad.tensor(np.ones(3), requires_grad=True)
    gc.disable()
    try:
        y = ad.softmax(x.exp().tanh(), 0)
        node = weakref.ref(y)
        del y
        assert node() is None, "the graph holds itself alive"
    finally:
        gc.enable()


def test_retain_grad_fills_a_computed_tensor():
    x = ad.tensor(np.array([1.0, 2.0]), requires_grad=True)
    h = x * x
    h.retain_grad()
    (h * 3).sum().backward()
    np.testing.assert_array_equal(h.grad.numpy(), [3, 3])
    assert not h.is_leaf and x.is_leaf


def test_hessian_of_a_two_layer_network_equals_torch():
    import torch

    rng = np.random.default_rng(0)
    X, y, w = rng.standard_normal((5, 3)), np.array([0, 1, 1, 0, 1]), rng.standard_normal(20)

    def formula(m, w):
        hidden = m.tanh(m.constant(X) @ w[:12].reshape(3, 4))
        return m.cross_entropy(hidden @ w[12:].reshape(4, 2), m.constant(y))

    theirs = torch.autograd.functional.hessian(lambda w: formula(Torch(), w), torch.tensor(w)).numpy()
    by_products = [ad.hessian_vector_product(lambda w: formula(Ours(), w), w, e).numpy() for e in np.eye(20)]
    assert_close(np.array(by_products), theirs, "Hessian")
    leaf = ad.tensor(w, requires_grad=True)
    formula(Ours(), leaf).backward(create_graph=True)
    (row,) = ad.gradients(leaf.grad[3], [leaf])
    assert_close(row.numpy(), theirs[3], "row of the Hessian, create_graph=True")


# --- transformations


def test_grad_nests_to_any_order():
    x = np.float64(0.7)
    f = ad.tanh
    derivatives = []
    for _ in range(4):
        derivatives.append(f(ad.tensor(x)).item())
        f = ad.grad(f)
    t = np.tanh(x)
    expected = [t, 1 - t**2, -2 * t * (1 - t**2), (1 - t**2) * (6 * t**2 - 2)]
    np.testing.assert_allclose(derivatives, expected, rtol=1e-12)


def test_grad_of_chosen_arguments_sees_the_outside():
    f = lambda a, b: (a * b * b).sum()
    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_allclose(ad.grad(f)(a, b).numpy(), b * b)
    by_a, by_b = ad.grad(f, argnums=(0, 1))(a, b)
    np.testing.assert_allclose(by_b.numpy(), 2 * a * b)
    np.testing.assert_allclose(by_a.numpy(), b * b)
    inner = lambda b: ad.grad(lambda a: f(a, b))(ad.tensor(a)).sum()
    np.testing.assert_allclose(ad.grad(inner)(b).numpy(), 2 * b)
    leaf = ad.tensor(b, requires_grad=True)
    ad.grad(f, argnums=1)(a, leaf).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), 2 * a)
    assert not ad.grad(f)(a, b).requires_grad
    with pytest.raises(TypeError, match=r"single number as output, got shape \(2,\)"):
        ad.grad(lambda a: a * 2)(a)
    with pytest.raises(TypeError, match="input 0 is int64"):
        ad.grad(lambda a: a.sum())(np.array([1, 2]))


def test_vjp_and_jvp_multiply_with_the_jacobian():
    rng = np.random.default_rng(0)
    A, x, t, u = rng.standard_normal((4, 3)), *arrays((3,), (3,), (4,))
    f = lambda x: ad.tanh(ad.tensor(A) @ x)
    jacobian = (1 - np.tanh(A @ x) ** 2)[:, None] * A
    value, pullback = ad.vjp(f, x)
    np.testing.assert_allclose(value.numpy(), np.tanh(A @ x))
    np.testing.assert_allclose(pullback(u)[0].numpy(), u @ jacobian)
    np.testing.assert_allclose(pullback(2 * u)[0].numpy(), 2 * u @ jacobian)
    value, tangent = ad.jvp(f, (x,), (t,))
    np.testing.assert_allclose(value.numpy(), np.tanh(A @ x))
    np.testing.assert_allclose(tangent.numpy(), jacobian @ t)
    _, tangent = ad.jvp(lambda a, b: a * b, (x, t), (t, x))
    np.testing.assert_allclose(tangent.numpy(), t * t + x * x)
    _, constant = ad.jvp(lambda x: ad.tensor(A), (x,), (t,))
    assert not constant.numpy().any()
    with pytest.raises(ValueError, match="tangents must have the shapes of the primals"):
        ad.jvp(f, (x,), (u,))


def test_hessian_vector_product():
    A, x, v = *arrays((3, 3)), *arrays((3,), (3,), seed=1)
    f = lambda x: (x @ ad.tensor(A) @ x) + (x**3).sum()
    hessian = A + A.T + np.diag(6 * x)
    np.testing.assert_allclose(ad.hessian_vector_product(f, x, v).numpy(), hessian @ v)
    with pytest.raises(ValueError, match="v must have the shape of x"):
        ad.hessian_vector_product(f, x, v[:2])


# --- checkpoints


def test_a_checkpoint_changes_no_derivative():
    w = ad.tensor(arrays((3, 3))[0], requires_grad=True)
    block = lambda x: ad.relu(ad.softmax((x @ w).tanh() * x, -1) - 0.3)[:, [0, 0, 2]].exp()

    def run(wrap):
        x = ad.tensor(arrays((4, 3), seed=1)[0], requires_grad=True)
        y = (wrap(block, wrap(block, x)) ** 2).sum()
        first = ad.gradients(y, [x, w], create_graph=True)
        second = ad.gradients((first[0] ** 2).sum() + first[1].sum(), [x, w], retain_graph=True)
        again = ad.gradients(y, [x, w])
        return [g.detach().numpy() for g in (*first, *second, *again)]

    for plain, kept in zip(run(lambda f, x: f(x)), run(ad.checkpoint), strict=True):
        np.testing.assert_allclose(kept, plain, rtol=1e-12, atol=1e-14)


def test_a_checkpoint_keeps_nothing_of_its_inside_and_runs_it_twice():
    runs = []

    def block(x):
        runs.append(1)
        return (x.exp() * x.tanh()).sum()

    x = ad.tensor(np.ones(3), requires_grad=True)
    y = ad.checkpoint(block, x)
    assert isinstance(ad.CheckpointFrame(block, (x,)).keep((x,)), ad.Promise)
    assert len(runs) == 1
    y.backward()
    assert len(runs) == 2
    with ad.no_grad():
        ad.checkpoint(block, x)
    nested = ad.checkpoint(lambda x: ad.checkpoint(block, x) * 2, x)
    (g,) = ad.gradients(nested, [x])
    np.testing.assert_allclose(g.numpy(), 2 * x.grad.numpy())


def test_a_checkpoint_notices_a_function_that_is_not_the_same_twice():
    x = ad.tensor(np.ones(3), requires_grad=True)
    steps = iter([1, 2])
    y = ad.checkpoint(lambda x: [x := x.tanh() for _ in range(next(steps))][-1], x)
    with pytest.raises(RuntimeError, match="must be deterministic"):
        y.sum().backward()
    inner = ad.tensor(np.ones(3))
    y = ad.checkpoint(lambda a, b: a * b, x, inner)
    inner += 1
    with pytest.raises(RuntimeError, match="argument of a checkpoint has been modified"):
        y.sum().backward()


# --- the forward mode


DUAL_FORMULAS = {
    "arithmetic": lambda x: (3 - x) * x / (2 + x) - x**3 + 2**x + (-x) + +x - 1 / x,
    "exponentials": lambda x: np.exp(x) + np.expm1(x) * np.log(x) - np.log1p(x) + np.tanh(x),
    "roots": lambda x: np.sqrt(x) + np.square(x) + np.reciprocal(x) + x**0.5,
    "circles": lambda x: np.sin(x) * np.cos(x) + np.tan(x) - np.arctan(x),
    "hyperbolas": lambda x: np.sinh(x) - np.cosh(x) * x,
    "corners": lambda x: np.maximum(x, 0.7) + np.minimum(x, 0.7) * np.absolute(x - 1),
    "power of two": lambda x: x**x,
}  # fmt: skip


@pytest.mark.parametrize("name", DUAL_FORMULAS)
def test_dual_numbers_carry_the_derivative(name):
    from shared.gradients import numerical_gradient

    f, x = DUAL_FORMULAS[name], np.array([0.3, 0.9, 1.7])
    result = f(ad.Dual(x, 1.0))
    np.testing.assert_allclose(result.value, f(x))
    expected = [numerical_gradient(f, xi) for xi in x]
    np.testing.assert_allclose(result.tangent, expected, rtol=1e-7)
    second = f(ad.Dual(ad.Dual(x, 1.0), ad.Dual(1.0, 0.0)))
    expected = [numerical_gradient(lambda z: f(ad.Dual(z, 1.0)).tangent, xi) for xi in x]
    np.testing.assert_allclose(second.tangent.tangent, expected, rtol=1e-6, atol=1e-7)


def test_dual_matrix_products_comparisons_and_ties():
    A, x, t = arrays((3, 3), (3,), (3,))
    np.testing.assert_allclose((A @ ad.Dual(x, t)).tangent, A @ t)
    np.testing.assert_allclose((ad.Dual(x, t) @ A).tangent, t @ A)
    same = ad.Dual(x, t)
    np.testing.assert_allclose((same @ same).tangent, 2 * x @ t)
    np.testing.assert_array_equal(ad.Dual(x, t) > 0, x > 0)
    assert np.maximum(ad.Dual(1.0, 1.0), 1.0).tangent == 0.5
    assert np.minimum(1.0, ad.Dual(1.0, 1.0)).tangent == 0.5
    with pytest.raises(TypeError, match=r"no tangent rule for numpy\.arccos"):
        np.arccos(ad.Dual(0.5, 1.0))
    with pytest.raises(AttributeError, match="no attribute 'shape_of_things'"):
        _ = ad.Dual(0.5, 1.0).shape_of_things


@pytest.mark.parametrize(
    ("f", "x"),
    [(lambda x: x**0, 0.0), (lambda x: x**0, np.array([0.0, 2.0])), (lambda x: 0.0**x, 2.0), (lambda x: x**1, 0.0), (lambda x: x**2, 0.0)],
    ids=["x^0 at 0", "x^0", "0^x", "x^1 at 0", "x^2 at 0"],
)  # fmt: skip
def test_powers_at_zero_have_the_slope_of_the_reverse_mode(f, x):
    x = np.asarray(x, float)
    reverse = ad.grad(lambda z: f(z).sum())(x).numpy()
    np.testing.assert_array_equal(f(ad.Dual(x, np.ones_like(x))).tangent, reverse)


@pytest.mark.parametrize(
    ("inner", "truth"),
    [(lambda x, y: x + y, lambda x, y: 1.0), (lambda x, y: x * y, lambda x, y: 2 * x), (lambda x, y: x * x * y, lambda x, y: 3 * x * x)],
    ids=["x + y", "x y", "x² y"],
)  # fmt: skip
def test_a_derivative_inside_a_derivative_counts_its_own_variable_alone(inner, truth):
    x, y = 3.0, 2.0
    result = (lambda x: x * inner(x, ad.Dual(y, 1.0)).tangent)(ad.Dual(x, 1.0))  # x · d/dy inner(x, y)
    assert result.tangent == truth(x, y)


def test_variables_that_move_together_share_a_derivative():
    x, y = ad.Dual.together((3.0, 2.0), (1.0, 10.0))
    assert (x * y).tangent == 2.0 * 1.0 + 3.0 * 10.0


# --- types, and NumPy beside


def test_types_follow_torch():
    import torch

    assert ad.tensor([1.0]).dtype == np.float32
    assert ad.tensor(2.5).dtype == np.float32
    assert ad.tensor([1, 2]).dtype == np.int64
    assert ad.tensor([True]).dtype == np.bool_
    assert ad.tensor(np.ones(2)).dtype == np.float64
    assert ad.tensor([np.float64(1)]).dtype == np.float64
    assert ad.tensor([]).dtype == np.float32
    assert ad.tensor([[1.0], [2.0]], dtype=np.float64).dtype == np.float64
    kinds = [np.float32, np.float64, np.int64, np.bool_]
    for first in kinds:
        for second in kinds:
            for shapes in (((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())):
                a, b = (np.ones(shape, kind) for shape, kind in zip(shapes, (first, second), strict=True))
                ours = (ad.tensor(a) * ad.tensor(b)).dtype
                theirs = (torch.tensor(a) * torch.tensor(b)).numpy().dtype
                assert ours == theirs, (first, second, shapes)
        for number in (True, 2, 2.5):
            a = np.ones(2, first)
            assert (ad.tensor(a) * number).dtype == (torch.tensor(a) * number).numpy().dtype, (first, number)
    assert (ad.tensor([1, 2]) / 2).dtype == np.float32
    assert ad.exp(ad.tensor([1, 2])).dtype == np.float32
    with pytest.raises(TypeError, match="real numbers or booleans"):
        ad.tensor([1j])
    with pytest.raises(TypeError, match="real numbers or booleans"):
        ad.tensor(["one"])


@pytest.mark.parametrize("name", [*ELEMENTWISE, *POSITIVE])
def test_float32_stays_float32(name):
    formula = {**ELEMENTWISE, **POSITIVE}[name]
    x = ad.tensor(np.array([0.3, 0.9], np.float32), requires_grad=True)
    y = formula(Ours(), x)
    y.sum().backward()
    assert y.dtype == np.float32
    assert x.grad.dtype == np.float32


def test_float32_network_stays_float32_and_mixed_types_meet():
    x, w = (ad.tensor(a.astype(np.float32), requires_grad=True) for a in arrays((4, 3), (3, 3)))
    y = ad.layer_norm(ad.linear(x, w, activation="gelu"), 3).var(0) + ad.norm(x) + ad.logsumexp(w, 0)
    assert y.dtype == np.float32
    (y * ad.tensor(np.ones(3))).sum().backward()
    assert x.grad.dtype == np.float32
    assert w.grad.dtype == np.float32
    ad.cross_entropy(x, np.array([0, 1, 2, 0]), label_smoothing=0.1).backward()
    assert x.grad.dtype == np.float32


def test_numpy_beside_tensors():
    x = ad.tensor(np.array([1.0, 2.0]), requires_grad=True)
    for y in (
        np.float64(2) * x,
        np.array([2.0, 2.0]) * x,
        2 * x,
        np.ones((2, 2)) @ x,
        np.float64(2) - x,
        1 / x,
    ):
        assert isinstance(y, ad.Tensor) and y.requires_grad
    data = np.ones(2)
    assert ad.Tensor(data).numpy() is data
    assert ad.tensor(data).numpy() is not data
    assert np.asarray(ad.tensor(data)).dtype == np.float64
    assert x.detach().numpy() is x.array
    for refused in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(RuntimeError, match="Can't call numpy"):
            refused()
    with pytest.raises(TypeError):
        np.exp(x)
    assert x.tolist() == [1.0, 2.0] and float(x[0]) == 1.0 and int(x[1]) == 2 and len(x) == 2
    assert [v.item() for v in x] == [1.0, 2.0]
    assert x.size() == (2,) and x.size(0) == 2 and x.numel() == 2 and x.dim() == 1
    assert [10, 20][ad.tensor(1)] == 20
    assert "requires_grad=True" in repr(x) and "multiply" in repr(x * 2)
    with pytest.raises(RuntimeError, match="Boolean value of Tensor"):
        bool(x > 0)
    with pytest.raises(RuntimeError, match="2 elements cannot be converted"):
        x.item()
    with pytest.raises(TypeError, match="0-d tensor"):
        len(ad.tensor(1.0))
    with pytest.raises(TypeError, match="only integer tensors"):
        _ = [1, 2][ad.tensor(1.0)]


def test_a_tensor_can_be_copied_and_pickled():
    import copy
    import pickle

    x = ad.tensor(np.ones(2), requires_grad=True)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        twin.array[0] = 5
        assert x.array[0] == 1 and twin.requires_grad and twin.is_leaf


def test_creation():
    assert ad.zeros(2, 3).shape == (2, 3) and ad.ones((2,)).dtype == np.float32
    assert ad.full((2,), 7).tolist() == [7, 7] and ad.eye(2).tolist() == [[1, 0], [0, 1]]
    assert ad.arange(3).dtype == np.int64 and ad.arange(0, 1, 0.5).tolist() == [0, 0.5]
    x = ad.tensor(np.ones((2, 2)))
    assert ad.zeros_like(x).dtype == np.float64 and ad.ones_like(x).sum().item() == 4


def test_comparisons_and_searches():
    a, b = ad.tensor(TIES), ad.tensor(WITH_ZEROS)
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        ours = getattr(ad, name)(a, b)
        operator = getattr(np.ndarray, f"__{name}__")
        np.testing.assert_array_equal(ours.numpy(), operator(TIES, WITH_ZEROS))
    expected = (TIES > 0) & ~(WITH_ZEROS > 0) | (TIES == WITH_ZEROS)
    np.testing.assert_array_equal(((a > 0) & ~(b > 0) | (a == b)).numpy(), expected)
    np.testing.assert_array_equal(ad.logical_xor(a > 0, b > 0).numpy(), (TIES > 0) ^ (WITH_ZEROS > 0))
    np.testing.assert_array_equal(ad.argmax(a, 1).numpy(), [1, 0, 0])
    np.testing.assert_array_equal(a.argmin(1, keepdim=True).numpy(), [[0], [2], [0]])
    np.testing.assert_array_equal(
        ad.sort(a, 1, descending=True)[1].numpy(), [[1, 2, 0], [0, 1, 2], [0, 1, 2]]
    )
    assert (a > -2).all() and not (a > 2).all() and (a > 2).any(1).tolist() == [False, False, True]
    assert ad.isnan(ad.tensor([1.0, float("nan")])).tolist() == [False, True]
    assert ad.max(a, 1)[1].tolist() == [1, 0, 0] and a.min(0)[1].tolist() == [1, 1, 1]


# --- what is refused


def test_only_floats_require_gradients():
    with pytest.raises(RuntimeError, match="floating point dtype can require gradients; this one is int64"):
        ad.tensor([1, 2], requires_grad=True)
    x = ad.tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="only change requires_grad flags of leaf"):
        (x * 2).requires_grad_(False)
    with pytest.raises(RuntimeError, match="can't retain_grad"):
        ad.tensor([1.0]).retain_grad()


@pytest.mark.parametrize("change", [
    lambda x: x.__iadd__(1), lambda x: x.__isub__(1), lambda x: x.__imul__(2), lambda x: x.__itruediv__(2),
    lambda x: x.__setitem__(0, 1.0), lambda x: x.zero_(), lambda x: x.fill_(1.0), lambda x: x.copy_(np.ones(2)),
])  # fmt: skip
def test_in_place_changes_of_what_needs_gradients_are_refused(change):
    leaf = ad.tensor(np.ones(2), requires_grad=True)
    for x in (leaf, leaf * 2):
        with pytest.raises(RuntimeError, match="requires grad is being used in an in-place operation"):
            change(x)
    with ad.no_grad():
        change(leaf)
    plain = ad.tensor(np.ones(2))
    change(plain)
    with pytest.raises(RuntimeError, match="records no derivative of its operand"):
        plain += leaf


@pytest.mark.parametrize("change", [
    lambda c: c.__iadd__(1), lambda c: c.detach().zero_(), lambda c: c[:1].fill_(3), lambda c: c.T.mul_(2),
    lambda c: c.reshape(4).__setitem__(0, 3), lambda c: setattr(c, "data", np.zeros(4)),
])  # fmt: skip
def test_the_walk_notices_that_a_saved_tensor_was_changed(change):
    x, c = ad.tensor(np.ones(4), requires_grad=True), ad.tensor(np.ones(4))
    y = (x * c).sum()
    change(c)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    z = (x + c).sum()  # addition saves nothing
    change(c)
    z.backward()


def test_results_are_saved_and_guarded_too():
    x = ad.tensor(np.ones(2), requires_grad=True)
    y = x.exp()
    with ad.no_grad():
        y *= 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_no_grad_and_enable_grad():
    x = ad.tensor(np.ones(2), requires_grad=True)

    @ad.no_grad()
    def f():
        assert not ad.is_grad_enabled()
        with ad.enable_grad():
            inside = x * 2
        return x * 2, inside

    outside, inside = f()
    assert not outside.requires_grad and inside.requires_grad and ad.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), ad.no_grad():
        raise ZeroDivisionError
    assert ad.is_grad_enabled()


def test_recording_is_switched_per_thread():
    import threading

    seen = []
    with ad.no_grad():
        thread = threading.Thread(target=lambda: seen.append(ad.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


REFUSED = {
    "negative step": (lambda x: x[::-1], ValueError, "step must be greater than zero"),
    "float index": (lambda x: x[ad.tensor([0.5])], IndexError, "integer or boolean"),
    "out of range": (lambda x: x[7], IndexError, "out of bounds"),
    "squeeze": (lambda x: x.squeeze(4), IndexError, "dim 4 is out of range"),
    "unsqueeze": (lambda x: x.unsqueeze(4), IndexError, "dim 4 is out of range"),
    "permute": (lambda x: x.permute(0, 0), ValueError, "each of the 2 axes once"),
    "matmul": (
        lambda x: x @ x[:2],
        ValueError,
        r"mat1 and mat2 shapes cannot be multiplied \(3x3 and 2x3\): mat1 has 3 columns, mat2 2 rows",
    ),
    "matmul of a vector": (lambda x: x[0] @ x[:2], ValueError, r"cannot be multiplied \(1x3 and 2x3\)"),
    "matmul of stacks": (
        lambda x: ad.ones(2, 3, 3) @ ad.ones(4, 3, 3),
        ValueError,
        r"\(2x3x3 and 4x3x3\): the axes before the last two, \(2,\) and \(4,\), do not broadcast",
    ),
    "matmul of a number": (lambda x: x @ ad.tensor(1.0), RuntimeError, "at least one axis"),
    "cat": (lambda x: ad.cat([]), ValueError, "non-empty"),
    "split": (lambda x: ad.split(x, [1, 1]), RuntimeError, "sum to 2, but dim 0 has size 3"),
    "split by zero": (lambda x: ad.split(x, 0), RuntimeError, "positive split_size"),
    "flatten": (lambda x: x.flatten(1, 0), RuntimeError, "start_dim"),
    "pad mode": (lambda x: ad.pad(x, (1, 1), mode="reflect"), ValueError, "mode must be 'constant'"),
    "pad length": (lambda x: ad.pad(x, (1, 1, 1)), ValueError, "a pair for each of at most 2 axes"),
    "pad too small": (lambda x: ad.pad(x, (-2, -2)), RuntimeError, "negative size"),
    "gather axes": (lambda x: x.gather(0, np.zeros(2, int)), RuntimeError, "as many axes"),
    "gather floats": (lambda x: x.gather(0, np.zeros((1, 1))), RuntimeError, "integer tensor"),
    "gather range": (lambda x: x.gather(0, np.full((1, 1), 3)), IndexError, "between 0 and 2 along dim 0"),
    "scatter types": (
        lambda x: x.scatter_add(0, np.zeros((1, 1), int), ad.ones(1, 1)),
        RuntimeError,
        "float64",
    ),
    "unfold size": (lambda x: x.unfold(0, 4, 1), RuntimeError, "between 0 and 3"),
    "unfold step": (lambda x: x.unfold(0, 2, 0), RuntimeError, "must be > 0"),
    "unfold number": (lambda x: x.sum().unfold(0, 1, 1), RuntimeError, "at least one axis"),
    "where": (lambda x: ad.where(x, x, x), TypeError, "boolean condition, got float64"),
    "clip": (lambda x: ad.clip(x), ValueError, "at least one of min or max"),
    "clip by a tensor": (lambda x: ad.clip(x, x), TypeError, "min must be a number"),
    "gelu": (lambda x: ad.gelu(x, "exact"), ValueError, "approximate must be"),
    "mean of integers": (lambda x: ad.tensor([1, 2]).mean(), RuntimeError, "floating point"),
    "einsum operands": (lambda x: ad.einsum("ij,jk->ik", x), ValueError, "names 2 operands, got 1"),
    "einsum axes": (lambda x: ad.einsum("ijk->i", x), ValueError, "has 2 axes"),
    "einsum output": (lambda x: ad.einsum("ij->ik", x), ValueError, "letters of the operands, each once"),
    "einsum sizes": (lambda x: ad.einsum("ij,jk->ik", x, x[:2]), ValueError, "'j' has sizes 3 and 2"),
    "axis of a number": (lambda x: x.sum().sum(1), IndexError, "expected to be -1 or 0, but got 1"),
    "einsum diagonal": (lambda x: ad.einsum("ii->i", x[:2]), ValueError, "sizes 2 and 3"),
    "linear": (lambda x: ad.linear(x, x[:, :2]), RuntimeError, "do not fit"),
    "linear bias": (lambda x: ad.linear(x, x, x[0, :2]), RuntimeError, "bias of shape"),
    "activation": (
        lambda x: ad.linear(x, x, activation="swish"),
        ValueError,
        "activation must be None or one of",
    ),
    "reduction": (lambda x: ad.mse_loss(x, x, reduction="average"), ValueError, "'none', 'mean' or 'sum'"),
    "classes": (
        lambda x: ad.cross_entropy(x, np.array([0, 1, 3])),
        IndexError,
        "out of bounds for 3 classes",
    ),
    "class shape": (lambda x: ad.cross_entropy(x, np.array([0, 1])), ValueError, r"shape \(3,\), got \(2,\)"),
    "probabilities": (
        lambda x: ad.cross_entropy(x, x[0]),
        ValueError,
        "integers, for classes, or probabilities .* got float64",
    ),
    "smoothing": (lambda x: ad.cross_entropy(x, [0, 1, 2], label_smoothing=2), ValueError, "between 0 and 1"),
    "layer_norm": (lambda x: ad.layer_norm(x, (2,)), RuntimeError, "does not end the input's shape"),
    "layer_norm weight": (lambda x: ad.layer_norm(x, 3, x), RuntimeError, r"weight must have shape \(3,\)"),
}


# --- what people report: counts and sums in narrow types, truth values, nothing times infinity, places outside


def test_a_list_with_any_fraction_is_single_precision():
    for data in ([1, 2.5], [[1, 2], [0.5, 3]], [True, 2.5], (0, 0.5)):
        assert ad.tensor(data).dtype == np.float32, data
        assert ad.Tensor(data).dtype == np.float32, data
    assert ad.tensor([1, np.float64(2.5)]).dtype == np.float64, "NumPy's scalars keep their type"


@pytest.mark.parametrize("name", ["norm", "var", "std", "mean"])
def test_integers_are_not_cut(name):
    with pytest.raises(RuntimeError, match=f"{'var' if name == 'std' else name}.*floating point.*int64"):
        getattr(ad.tensor([1, 2, 4]), name)()


MANY = 70_000  # more than float16 can count to


def test_counts_and_squares_of_half_precision_are_kept_wider():
    x = ad.Tensor(np.full(MANY, 0.01, np.float16), requires_grad=True)
    x.mean().backward()
    assert x.mean().item() == pytest.approx(0.01, rel=1e-3)
    assert x.grad.array[0] == pytest.approx(1 / MANY, rel=5e-3)
    assert ad.Tensor(np.linspace(-1, 1, MANY).astype(np.float16)).var().item() == pytest.approx(
        1 / 3, rel=2e-3
    )
    assert ad.Tensor(np.full(2, 300, np.float16)).norm().item() == pytest.approx(424.3, rel=1e-3)
    assert ad.Tensor(np.full(2, 300, np.float16)).norm(3).item() == pytest.approx(378, rel=1e-3)


def test_half_precision_ties_share_the_gradient():
    x = ad.Tensor(np.ones(MANY, np.float16), requires_grad=True)
    ad.amax(x).backward()
    assert x.grad.array[0] == pytest.approx(1 / MANY, rel=5e-3)


@pytest.mark.parametrize(
    "f",
    [lambda x: ad.softmax(x, 0)[0].log(), lambda x: ad.log_softmax(x, 0)[0], lambda x: -ad.logsumexp(x, 0)],
)
def test_half_precision_softmax_over_many_classes(f):
    x = ad.Tensor(np.zeros(MANY, np.float16))
    assert f(x).item() == pytest.approx(-np.log(MANY), abs=0.1)
    assert f(x).dtype == np.float16


@pytest.mark.parametrize("weight", [None, np.ones(3)])
def test_half_precision_losses_over_many_rows(weight):
    x, t = np.zeros((MANY, 3), np.float16), np.zeros(MANY, int)
    loss = ad.cross_entropy(ad.Tensor(x), t, weight=weight).item()
    assert loss == pytest.approx(np.log(3), rel=1e-3)


SORTED = {
    "uint8": (np.array([0, 3, 200], np.uint8), [200, 3, 0], [2, 1, 0]),
    "least int64": (np.array([-(2**63), 5, -1]), [5, -1, -(2**63)], [1, 2, 0]),
    "bool": (np.array([True, False, True]), [True, True, False], [0, 2, 1]),
    "ties": (np.array([1.0, 2.0, 1.0, 2.0]), [2.0, 2.0, 1.0, 1.0], [1, 3, 0, 2]),
}


@pytest.mark.parametrize("name", SORTED)
def test_descending_order_of_any_type(name):
    data, values, places = SORTED[name]
    found, indices = ad.sort(ad.tensor(data), descending=True)
    assert found.tolist() == values and indices.tolist() == places


def test_nan_counts_as_the_largest():
    x = ad.tensor([1.0, np.nan, 3.0])
    np.testing.assert_array_equal(
        ad.sort(x, descending=True)[0].numpy(), np.array([np.nan, 3, 1], np.float32)
    )
    np.testing.assert_array_equal(ad.sort(x)[0].numpy(), np.array([1, 3, np.nan], np.float32))


def test_logical_operations_ask_for_truth():
    a, b = ad.tensor([1, 2, 0]), ad.tensor([2, 0, 0])
    assert ad.logical_and(a, b).tolist() == [True, False, False]
    assert ad.logical_or(a, b).tolist() == [True, True, False]
    assert ad.logical_xor(a, b).tolist() == [False, True, False]
    assert ad.logical_or(ad.tensor([0.0, 2.0]), ad.tensor([0.0, 0.0])).tolist() == [False, True]


def test_operators_combine_bits():
    a, b = ad.tensor([0, 1, 5]), ad.tensor([1, 3, 6])
    assert (~a).tolist() == [-1, -2, -6]
    assert [(a & b).tolist(), (a | b).tolist(), (a ^ b).tolist()] == [[0, 1, 4], [1, 3, 7], [1, 2, 3]]
    assert (~ad.tensor([True, False])).tolist() == [False, True]
    with pytest.raises(TypeError, match="bitwise_and needs integers or booleans, got float32"):
        _ = ad.tensor([1.0]) & ad.tensor([1.0])


def test_small_integers_are_summed_in_int64():
    pixels = ad.tensor(np.array([10, 20], np.uint8))
    assert (pixels.sum() - 300).item() == -270
    assert {
        str(y.dtype) for y in (pixels.sum(), pixels.cumsum(0), pixels.prod(), ad.tensor([True]).sum())
    } == {"int64"}


def test_a_tensor_is_not_none():
    x = ad.tensor([1.0])
    assert (x == None, x != None, x == "a") == (False, True, False)  # noqa: E711


@pytest.mark.parametrize("loss", [ad.mse_loss, ad.binary_cross_entropy_with_logits])
def test_a_loss_refuses_to_broadcast(loss):
    with pytest.raises(ValueError, match=r"target must have the shape of input, \(3, 1\), got \(3,\)"):
        loss(ad.Tensor(np.zeros((3, 1))), np.zeros(3))
    with pytest.raises(ValueError, match=r"target must have the shape of input, \(3,\), got \(3, 1\)"):
        loss(ad.Tensor(np.zeros(3)), np.zeros((3, 1)))


IGNORED = np.array([[np.nan, 0.5, 1.5], [2.0, 0.0, 1.0], [-np.inf, 0.5, 1.5]])


@pytest.mark.parametrize(
    "options",
    [{}, {"reduction": "sum"}, {"label_smoothing": 0.1}, {"weight": np.array([1.0, 2.0, 3.0])}],
    ids=str,
)
def test_an_ignored_row_counts_for_nothing_whatever_it_holds(options):
    x = ad.Tensor(IGNORED, requires_grad=True)
    loss = ad.cross_entropy(x, np.array([-100, 2, -100]), **options)
    assert loss.item() == pytest.approx(
        ad.cross_entropy(ad.Tensor(IGNORED[1:2]), np.array([2]), **options).item()
    )
    loss.backward()
    np.testing.assert_array_equal(x.grad.array[[0, 2]], 0)


def test_a_row_of_a_class_without_weight_counts_for_nothing():
    x = ad.Tensor(IGNORED, requires_grad=True)
    ad.cross_entropy(x, np.array([0, 2, 0]), weight=np.array([0.0, 1.0, 1.0])).backward()
    np.testing.assert_array_equal(x.grad.array[[0, 2]], 0)


def test_where_all_rows_are_ignored_the_loss_is_nan_and_no_gradient_flows():
    x = ad.Tensor(IGNORED[1:2], requires_grad=True)
    loss = ad.cross_entropy(x, np.array([-100]))
    loss.backward()
    assert np.isnan(loss.item()) and x.grad.tolist() == [[0, 0, 0]]


def test_a_certain_answer_that_is_right_costs_nothing():
    assert ad.cross_entropy(ad.Tensor([[0.0, -np.inf]]), ad.Tensor([[1.0, 0.0]])).item() == 0


OUTSIDE = {
    "embedding": lambda w: ad.embedding(np.array([-1]), w),
    "embedding beyond": lambda w: ad.embedding(np.array([3]), w),
    "index_select": lambda w: ad.index_select(w, 0, np.array([-1])),
    "gather": lambda w: ad.gather(w, 0, np.array([[-1, 0]])),
    "scatter_add": lambda w: ad.scatter_add(w, 0, np.array([[-1, 0]]), np.ones((1, 2))),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_place_outside_is_refused(name):
    with pytest.raises(IndexError, match="between 0 and 2"):
        OUTSIDE[name](ad.Tensor(np.arange(6.0).reshape(3, 2)))


def test_an_embedding_needs_integers():
    with pytest.raises(TypeError, match="integers, got bool"):
        ad.embedding(np.array([True, False, True]), ad.Tensor(np.eye(3)))


def test_single_numbers_have_one_place():
    x = ad.tensor(3.0)
    assert ad.index_select(x, 0, np.array([0])).tolist() == 3.0
    assert ad.scatter_add(x, 0, np.array(0), ad.tensor(2.0)).tolist() == 5.0
    assert [part.shape for part in ad.sort(x)] == [(), ()]
    for f in (ad.unbind, lambda x: ad.split(x, 1)):
        with pytest.raises(RuntimeError, match="at least one axis"):
            f(x)


def test_triangles_need_matrices():
    for f in (ad.tril, ad.triu):
        with pytest.raises(RuntimeError, match="at least 2 axes, got 1"):
            f(ad.tensor([1.0, 2.0]))


def test_options_as_torch_reads_them():
    import torch

    x = arrays((3, 4))[0]
    theirs = torch.tensor(x)
    assert ad.var(ad.tensor(x), correction=None).item() == pytest.approx(theirs.var(correction=None).item())
    for unbiased in (True, False):
        assert ad.var(ad.tensor(x), unbiased).item() == pytest.approx(theirs.var(unbiased).item())
        assert ad.std(ad.tensor(x), unbiased).item() == pytest.approx(theirs.std(unbiased).item())
    with pytest.raises(ValueError, match="'fro' or a number, got 'nuc'"):
        ad.norm(ad.tensor(x), "nuc")


def test_changing_a_copy_is_no_change_of_what_it_was_copied_from():
    w, x = ad.Tensor(np.arange(4.0).reshape(2, 2)), ad.Tensor(np.ones((2, 2)), requires_grad=True)
    loss = (w * x).sum()
    w.T.reshape(4).add_(1)  # not contiguous, so this is a copy
    loss.backward()
    np.testing.assert_array_equal(x.grad.array, w.array)


def test_nan_keeps_its_way_back_through_relu():
    import torch

    x = np.array([np.nan, 1.0, -1.0, 0.0])
    theirs = torch.tensor(x, requires_grad=True)
    theirs.relu().sum().backward()
    for f in (
        lambda x: x.relu(),
        lambda x: ad.linear(x.reshape(4, 1), ad.Tensor(np.ones((1, 1))), activation="relu"),
    ):
        ours = ad.Tensor(x, requires_grad=True)
        f(ours).sum().backward()
        np.testing.assert_array_equal(ours.grad.array, theirs.grad.numpy())


@pytest.mark.parametrize(
    ("program", "slope"),
    [
        (lambda lib, x: lib.relu(x) - lib.relu(-x), 0.0),  # the function is x
        (
            lambda lib, x: lib.maximum(x, 0 * x) - lib.maximum(-x, 0 * x),
            1.0,
        ),  # the same, and each tie is halved
        (lambda lib, x: x if x.item() != 0 else x * 0.0, 0.0),  # the function is x, too
        (lambda lib, x: lib.where(x != 0, lib.sin(x) / x, lib.ones_like(x)), np.nan),  # the slope is 0
    ],
    ids=["relu pair", "maximum pair", "branch", "where"],
)
def test_at_a_corner_the_program_has_its_own_derivative_here_and_in_torch(program, slope):
    import torch

    theirs = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    program(torch, theirs).backward()
    with np.errstate(all="ignore"):
        ours = ad.grad(lambda x: program(ad, x))(np.array(0.0)).item()
    np.testing.assert_equal([ours, theirs.grad.item()], [slope, slope])


def test_long_doubles_pass_a_gate():
    x = ad.Tensor(np.array([1.0, -1.0], np.longdouble), requires_grad=True)
    x.relu().sum().backward()
    assert x.grad.tolist() == [1.0, 0.0]


def test_a_gradient_with_a_graph_is_not_changed_by_the_next_one():
    x = ad.Tensor(np.array([2.0]), requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    first = x.grad
    (5 * x).sum().backward()
    assert first.tolist() == [12.0] and x.grad.tolist() == [17.0]
    assert ad.gradients(first.sum(), [x])[0].tolist() == [12.0], "its own derivative is still that of 3x²"


def test_a_hessian_vector_product_can_be_differentiated_again():
    x, v = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    along = lambda z: (ad.hessian_vector_product(lambda w: (w**4).sum(), z, v)).sum()  # Σ 12 z² v
    np.testing.assert_allclose(ad.grad(along)(x).numpy(), 24 * x * v)
    _, tangent = ad.jvp(along, (x,), (v,))
    assert tangent.item() == pytest.approx(24 * (x * v * v).sum())


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: ad.grad(f)(np.ones(2)),
        lambda f: ad.vjp(f, np.ones(2)),
        lambda f: ad.jvp(f, (np.ones(2),), (np.ones(2),)),
        lambda f: ad.hessian_vector_product(f, np.ones(2), np.ones(2)),
    ],
)
def test_a_function_that_returns_no_tensor_is_named(transform):
    with pytest.raises(TypeError, match="must return a Tensor made of its arguments, got float"):
        transform(lambda v: 3.0)


def test_functions_of_numpy_name_what_to_write():
    x = ad.tensor([1.0, 2.0])
    for f, name in ((np.sum, "x.sum"), (np.mean, "x.mean")):
        with pytest.raises(TypeError, match=rf"write {name}\("):
            f(x)
    for f, name in ((np.concatenate, "concatenate"), (np.stack, "stack")):
        with pytest.raises(TypeError, match=rf"write automatic_differentiation\.{name}\("):
            f([x, x])


@pytest.mark.parametrize("argnums", [1, -1, (0, 2)])
def test_argnums_out_of_range_are_named(argnums):
    with pytest.raises(ValueError, match="argnums must number the 1 arguments from 0"):
        ad.grad(lambda x: x.sum(), argnums)(np.ones(2))


def test_functions_of_numpy_without_a_like_say_what_is_lost():
    x = ad.tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"numpy\.median of x\.detach"):
        np.median(x)


def test_objects_that_hold_numbers_are_told_how_to_become_numbers():
    with pytest.raises(TypeError, match=r"got object.*astype\(float\)"):
        ad.tensor(np.array([1.0, 2.0], dtype=object))


def test_another_librarys_tensor_is_taken_without_a_warning(recwarn):
    import torch

    assert ad.tensor(torch.ones(2)).tolist() == [1.0, 1.0]
    assert not recwarn.list


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_named(name):
    call, error, message = REFUSED[name]
    x = ad.tensor(np.arange(9.0).reshape(3, 3), requires_grad=True)
    with pytest.raises(error, match=message):
        call(x)


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy


@pytest.mark.parametrize("order", [1, 2], ids=["forward", "central"])
def test_differences_have_their_best_step_and_error_where_the_formula_says(order):
    steps = theory.predicted_best_step(order) * np.geomspace(0.1, 10, 21)  # the middle one is the best
    errors = modes.difference_errors(np.random.default_rng(0), steps, 20_000, order)
    np.testing.assert_allclose(errors, theory.predicted_error(steps, order), rtol=0.05)
    assert abs(int(np.argmin(errors)) - 10) <= 2, "a step 0.2 decades away costs no more than a fifth"
    assert theory.best_central_error(1) == pytest.approx(0.449 * theory.EPSILON ** (2 / 3), rel=1e-2, abs=0)


def test_confusion_does_not_show_where_both_variables_are_equal():
    assert modes.confused(None, 3.0, 3.0) == 0 != modes.confused(None, 3.0, 2.0)
    inner = lambda x: x * ad.jvp(lambda y: x * y, (np.array(2.0),), (np.array(1.0),))[1]
    assert ad.jvp(inner, (np.array(3.0),), (np.array(1.0),))[1].item() == 6.0, "jvp needs no tags"


def test_the_forward_and_the_reverse_mode_differentiate_the_same_iteration():
    X, y = theory.patients()
    A, b, step = ad.tensor(X.T @ X / len(X)), ad.tensor(X.T @ y / len(X)), 1 / (theory.curvatures()[2] + 0.01)

    def first_coefficient(penalty):
        w = ad.tensor(np.zeros(10))
        for _ in range(20):
            w = w - step * (A @ w + penalty * w - b)
        return w[0]

    forward = modes.descend(ad.Dual(0.01, 1.0), 20).tangent[0]
    assert ad.grad(first_coefficient)(np.array(0.01)).item() == pytest.approx(forward, rel=1e-10)


def test_one_direction_must_dominate_the_derivative_of_the_iteration():
    """On the other side of the condition the one-term formula is off by far more than δ, and refuses to speak."""
    with pytest.raises(ValueError, match="penalty must be small"):
        theory.predicted_unrolled_error(100, 0.1)
    rate = 1 - (theory.curvatures()[0] + 0.1) / (theory.curvatures()[2] + 0.1)
    assert modes.unrolled_error(None, 100, 0.1) < 0.8 * rate**100 * (1 + 100 * (1 - rate) / rate)


@pytest.mark.parametrize("n_steps", [10, 1000])
def test_the_formula_of_the_iteration_holds_within_its_tolerance_up_to_where_it_stops(n_steps):
    delta = modes.UNROLLED_ITERATION.breaks.tolerance
    inside = theory.predicted_unrolled_error(n_steps, 0.014)
    assert modes.unrolled_error(None, n_steps, 0.014) == pytest.approx(inside, rel=delta)
    with pytest.raises(ValueError, match="penalty must be small"):
        theory.predicted_unrolled_error(n_steps, 0.02)
    rate = 1 - (theory.curvatures()[0] + 0.02) / (theory.curvatures()[2] + 0.02)
    outside = rate**n_steps * (1 + n_steps * (1 - rate) / rate)
    assert modes.unrolled_error(None, n_steps, 0.02) != pytest.approx(outside, rel=delta)


def test_the_implicit_derivative_is_exact_at_the_fixed_point():
    X, y = theory.patients()
    w = theory.conjugate_gradients(lambda v: X.T @ (X @ v) / len(X) + 0.1 * v, X.T @ y / len(X))
    assert theory.relative_error(modes.implicit_derivative(modes.ridge_loss, w, 0.1), 0.1) < 1e-10


def test_curvatures_are_the_extreme_eigenvalues():
    X, _ = theory.patients()
    values = np.linalg.eigvalsh(X.T @ X / len(X))
    np.testing.assert_allclose(theory.curvatures(), values[[0, 1, -1]], rtol=1e-10)


def test_both_programs_are_wrong_at_the_same_points_and_the_remedies_at_none():
    z = theory.sums(np.random.default_rng(0), 1, 2)
    one = lambda z: np.ones_like(z)
    halves = lambda z: z.maximum(0 * z) - (-z).maximum(0 * z)
    wrong = [
        modes.wrong_slopes(modes.sinc_naive, theory.sinc_slope, z),
        modes.wrong_slopes(modes.relu_pair, one, z),
    ]
    assert [share.successes for share in wrong] == 2 * [int((z == 0).sum())] and (z == 0).any()
    mended = [modes.wrong_slopes(modes.sinc_safe, theory.sinc_slope, z), modes.wrong_slopes(halves, one, z)]
    assert [share.successes for share in mended] == [0, 0]


def test_the_local_limit_theorem_meets_the_exact_distribution():
    """P(z = 0) by adding one weight at a time."""
    lit = theory.inks(1).astype(int).sum(1)  # with ink 0 or 1 the number of lit pixels decides
    shares, exact = np.array([1.0]), [1.0]
    for _ in range(lit.max()):
        shares = np.convolve(shares, np.ones(3) / 3)
        exact.append(shares[len(shares) // 2])
    assert theory.share_at_the_corner(1, 1) == pytest.approx(np.mean(np.array(exact)[lit]), rel=1e-3)


def test_automatic_differentiation_has_the_error_of_its_two_roundings():
    error = modes.automatic_error(np.random.default_rng(0), 100_000)  # of order 1e-16: no absolute tolerance
    assert error == pytest.approx(theory.predicted_automatic_error(1), rel=0.01, abs=0)


def test_the_derivative_lags_behind_the_iterate_by_the_formula():
    for measured, predicted in (
        (modes.unrolled_error, theory.predicted_unrolled_error),
        (modes.implicit_error, theory.predicted_implicit_error),
    ):
        assert measured(None, 500, 0.01) == pytest.approx(predicted(500, 0.01), rel=2e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.predicted_difference_error(-15, 1, 1), "exponent must lie between"),
        (lambda: theory.predicted_best_step(3), "order must be 1"),
        (lambda: theory.share_at_the_corner(0, 1), "levels must be at least 1"),
    ],
)
def test_predictions_refuse_what_they_do_not_know(call, message):
    with pytest.raises(ValueError, match=message):
        call()


SEEN = [
    ("finite differences are noisy at small steps", "difference_step"),
    ("my numerical gradient agrees to only seven digits", "difference_step"),
    ("gradient check fails when the step is tiny", "difference_step"),
    ("nested forward mode derivative is wrong", "perturbation_confusion"),
    ("dual numbers inside dual numbers give the wrong number", "perturbation_confusion"),
    ("forward over forward disagrees with reverse mode", "perturbation_confusion"),
    ("hypergradient of the penalty is off", "unrolled_iteration"),
    ("gradient through my unrolled inner optimizer is wrong although it has converged", "unrolled_iteration"),
    ("the derivative through a solver is less accurate than the solution", "unrolled_iteration"),
    ("out of memory during backward of a deep network", "memory_of_depth"),
    ("memory use grows with the number of layers", "memory_of_depth"),
    ("training runs out of memory but prediction works", "memory_of_depth"),
    ("torch.where gives nan gradient", "nan_through_where"),
    ("values are fine but gradients are nan", "nan_through_where"),
    ("gradient of relu is zero at exactly zero", "nan_through_where"),
]


@pytest.mark.parametrize(("words", "name"), SEEN, ids=[words for words, _ in SEEN])
def test_what_one_sees_finds_its_mode(words, name):
    from groundup import modes as catalogued
    from groundup import why

    best = why.find(words, list(catalogued.known()))[0].mode
    assert (best.topic.name, best.name) == ("automatic_differentiation", name)


def test_a_function_of_numpy_is_refused_with_the_one_to_write():
    x = ad.tensor(np.ones(3), requires_grad=True)
    with pytest.raises(TypeError, match=r"write x\.exp\(\)"):
        np.exp(x)
    with pytest.raises(TypeError, match=r"write x\.maximum\(other\)"):
        np.maximum(np.zeros(3), x)
    with pytest.raises(TypeError, match="without a gradient"):
        np.cosh(x)


def test_an_array_does_not_take_a_tensor_in_place():
    array = np.ones(3)
    with pytest.raises(TypeError, match="numpy.add cannot write a Tensor into an array"):
        array += ad.tensor(np.ones(3))
