"""Automatic differentiation: every operation against torch, the walk, the transformations, misuse."""

import numpy as np
import pytest

from level1_foundations import automatic_differentiation as ad

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
SHAPES = {"vector": [(5,)], "matrix": [(3, 4)], "0-d": [()], "empty": [(0, 3)]}
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


@pytest.mark.parametrize("name", ["add", "multiply"])
@pytest.mark.parametrize("shapes", BROADCAST)
def test_first_operations(name, shapes):
    assert_as_torch(BINARY[name], arrays(*BROADCAST[shapes]))


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
    assert_as_torch(lambda m, x: m.pow(m.constant(zeros), m.abs(x)), [TIES], twice=False)
    assert_as_torch(lambda m, x: m.sqrt(m.relu(x)), [TIES], twice=False)


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
    "list of rows": lambda m, x: x[[0, 0, 3]] ** 2,
    "negative rows": lambda m, x: x[np.array([-1, 3, -1])] ** 2,
    "no rows": lambda m, x: x[[]] ** 2,
    "pairs": lambda m, x: x[ROWS, [0, 1, 1, 0]] ** 2,
    "outer": lambda m, x: x[ROWS[:, None], [0, 1]] ** 2,
    "slices and rows": lambda m, x: x[:, [0, 0, 2]] ** 2,
    "rows apart": lambda m, x: x[[0, 0, 1], :, [1, 1, 0]] ** 2,
    "integer and rows": lambda m, x: x[0, :, [1, 1, 0]] ** 2,
    "rows and integer": lambda m, x: x[[1, 1, 0], :, 0] ** 2,
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
