"""Tests of `level3_deep_learning/multilayer_perceptron.py`, in the order of the file; also its exercises."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from level1_foundations import automatic_differentiation as ad
from level1_foundations.automatic_differentiation import Tensor, no_grad
from level1_foundations.gradient_descent import SGD, Adam
from level3_deep_learning import multilayer_perceptron
from level3_deep_learning.failure_modes import multilayer_perceptron as failures
from level3_deep_learning.modules import DataLoader, Dropout, Sequential
from level3_deep_learning.multilayer_perceptron import MLP, MLPClassifier
from level3_deep_learning.parts.multilayer_perceptron import minibatch_training
from level3_deep_learning.parts.multilayer_perceptron.minibatch_training import Patience
from shared.datasets import load_digits

FAILURE_MODES = failures.FAILURE_MODES

ACTIVATIONS = ("relu", "tanh", "logistic", "gelu", "identity")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def blobs():
    """Three overlapping Gaussian classes, 90 samples, with string labels."""
    rng = np.random.default_rng(1)
    centers = np.array([[0, 0, 0, 0], [2, 2, 0, 0], [0, 2, 2, 0]])
    codes = np.arange(90) % 3
    return centers[codes] + rng.normal(size=(90, 4)), np.array(["ash", "elm", "oak"])[codes]


def quick(**options):
    """A classifier that learns the blobs in a blink."""
    return MLPClassifier(
        **{"hidden_layer_sizes": 16, "max_iter": 60, "learning_rate_init": 0.01, "random_state": 0, **options}
    )


def fit_quietly(model, *data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(*data)


# In one breath


def test_plain_training_steps_by_hand():
    # one layer, two classes, both logits 0: P is ½, the error ±½; a step of 1 moves W by −Δ x
    W, b, losses = multilayer_perceptron.plain_training(
        np.array([[2.0]]), np.array([1]), [np.zeros((2, 1))], [np.zeros(2)], 1.0, 1
    )
    np.testing.assert_allclose(losses, [np.log(2)])
    np.testing.assert_allclose(W[0], [[-1.0], [1.0]])
    np.testing.assert_allclose(b[0], [-0.5, 0.5])


def test_plain_training_leaves_the_first_weights_as_they_were(rng):
    W, b = multilayer_perceptron.plain_weights([3, 4, 2], rng)
    before = [w.copy() for w in W]
    multilayer_perceptron.plain_training(rng.normal(size=(5, 3)), np.array([0, 1, 0, 1, 1]), W, b, 0.5, 2)
    assert all(map(np.array_equal, W, before))


def test_plain_training_equals_backpropagation_and_the_engine(rng):
    X, y = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)
    network = MLP([4, 6, 5, 3], "relu", "he", dtype=np.float64, rng=1)
    first = [p.array.copy() for p in network.parameters()]
    W, b, losses = multilayer_perceptron.plain_training(X, y, first[::2], first[1::2], 0.2, 20)

    by_hand = [array.copy() for array in first]
    for expected in losses:
        loss, *gradients = multilayer_perceptron.backpropagation(X, y, by_hand[::2], by_hand[1::2])
        assert loss == pytest.approx(expected, rel=1e-12)
        for layer, (dW, db) in enumerate(zip(*gradients, strict=True)):
            by_hand[2 * layer] -= 0.2 * dW
            by_hand[2 * layer + 1] -= 0.2 * db
    batches = [(Tensor(X), Tensor(y))] * 20
    by_engine = multilayer_perceptron.train_by_ours(network, batches, SGD(network.parameters(), lr=0.2))
    np.testing.assert_allclose(by_engine, losses, rtol=1e-12)
    for layer, (w, c) in enumerate(zip(W, b, strict=True)):
        np.testing.assert_allclose(w, by_hand[2 * layer], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(w, network[2 * layer].weight.array, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(c, network[2 * layer].bias.array, rtol=1e-10, atol=1e-13)


# Backpropagation by hand


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("relu", [0, 0, 2]),
        ("tanh", np.tanh([-1, 0, 2])),
        ("logistic", [1 / (1 + np.e), 0.5, 1 / (1 + np.exp(-2))]),
        ("gelu", [-0.158655253931457, 0, 1.954499736103642]),
        ("identity", [-1, 0, 2]),
    ],
)
def test_activate(activation, expected):
    Z = np.array([[-1.0, 0.0, 2.0]])
    np.testing.assert_allclose(multilayer_perceptron.activate(Z, activation)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_derivative_is_the_slope(activation):
    Z = np.array([[-3.0, -1.1, -0.2, 0.3, 2.5]])
    up, down = (multilayer_perceptron.activate(Z + h, activation) for h in (1e-6, -1e-6))
    slope = multilayer_perceptron.activation_derivative(Z, activation)
    np.testing.assert_allclose(slope, (up - down) / 2e-6, atol=1e-9)


def test_relu_has_slope_zero_at_its_kink():
    assert multilayer_perceptron.activation_derivative(np.zeros((1, 1)), "relu") == 0


def test_forward_pass_of_two_layers(rng):
    X, W1, b1, W2, b2 = (rng.normal(size=shape) for shape in ((5, 3), (4, 3), (4,), (2, 4), (2,)))
    pre_activations, inputs = multilayer_perceptron.forward_pass(X, [W1, W2], [b1, b2], "tanh")
    np.testing.assert_allclose(pre_activations[0], X @ W1.T + b1)
    np.testing.assert_allclose(pre_activations[1], np.tanh(X @ W1.T + b1) @ W2.T + b2)
    assert len(inputs) == 2 and inputs[0] is X
    np.testing.assert_allclose(inputs[1], np.tanh(X @ W1.T + b1))


def test_softmax_cross_entropy_by_definition(rng):
    logits, y = rng.normal(size=(4, 3)), np.array([0, 2, 1, 1])
    loss, delta = multilayer_perceptron.softmax_cross_entropy(logits, y)
    P = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert loss == pytest.approx(-np.log(P[np.arange(4), y]).mean())
    np.testing.assert_allclose(delta, (P - np.eye(3)[y]) / 4, atol=1e-15)
    loss, delta = multilayer_perceptron.softmax_cross_entropy(np.array([[1e4, 0.0]]), np.array([1]))
    assert loss == 1e4 and np.isfinite(delta).all(), "large logits must not overflow"


def test_backward_pass_of_one_layer(rng):
    X, delta = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    weights, biases = multilayer_perceptron.backward_pass(delta, [np.zeros((5, 2))], [X], [np.zeros((2, 3))])
    np.testing.assert_allclose(weights[0], sum(np.outer(delta[i], X[i]) for i in range(5)))
    np.testing.assert_allclose(biases[0], delta.sum(0))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_backpropagation_against_finite_differences(activation, rng):
    X, y = rng.normal(size=(6, 3)), np.array([0, 1, 1, 0, 1, 0])
    weights = [rng.normal(size=shape) for shape in ((4, 3), (5, 4), (2, 5))]
    biases = [rng.normal(size=shape) for shape in (4, 5, 2)]
    _, *gradients = multilayer_perceptron.backpropagation(X, y, weights, biases, activation)
    for arrays, slopes in zip((weights, biases), gradients, strict=True):
        for array, slope in zip(arrays, slopes, strict=True):
            for place in np.ndindex(array.shape):
                losses = []
                for step in (1e-5, -2e-5):
                    array[place] += step
                    losses.append(multilayer_perceptron.backpropagation(X, y, weights, biases, activation)[0])
                array[place] += 1e-5
                assert slope[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-8), place


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(1, 7), st.sampled_from(ACTIVATIONS))
@settings(max_examples=30, deadline=None)
def test_by_hand_equals_the_engine_for_any_shape(sizes, n, activation):
    rng = np.random.default_rng(len(sizes) * n)
    network = MLP(sizes, activation, "glorot", dtype=np.float64, rng=rng)
    X, y = rng.normal(size=(n, sizes[0])), rng.integers(0, sizes[-1], n)
    parameters = list(network.parameters())
    arrays = [parameter.array for parameter in parameters]
    loss, weights, biases = multilayer_perceptron.backpropagation(X, y, arrays[::2], arrays[1::2], activation)
    engine = ad.cross_entropy(network(Tensor(X)), Tensor(y))
    engine.backward()
    assert loss == pytest.approx(engine.item(), rel=1e-12, abs=1e-15)
    for parameter, slope in zip(
        parameters, (g for pair in zip(weights, biases, strict=True) for g in pair), strict=True
    ):
        np.testing.assert_allclose(parameter.grad.array, slope, rtol=1e-10, atol=1e-14)


# First weights


@pytest.mark.parametrize(
    ("rule", "variance", "bias_variance"),
    [
        ("default_initialization", 1 / (3 * 300), 1 / (3 * 300)),
        ("he_initialization", 2 / 300, 0),
        ("glorot_initialization", 2 / (300 + 200), 0),
        ("zero_initialization", 0, 0),
        ("uniform_initialization", 2 / (300 + 200), 2 / (300 + 200)),
    ],
)
def test_initializations_have_their_variance(rule, variance, bias_variance):
    weight, bias = getattr(multilayer_perceptron, rule)(300, 200, np.random.default_rng(0))
    assert weight.shape == (200, 300) and bias.shape == (200,)
    # relative standard error of a variance: at most √(2/60000); five of them
    assert weight.var() == pytest.approx(variance, rel=0.03)
    assert bias.var() == pytest.approx(bias_variance, rel=0.5)


def test_uniform_initialization_for_logistic_units_is_narrower():
    draw = multilayer_perceptron.uniform_initialization
    wide, narrow = (draw(30, 20, np.random.default_rng(0), factor=factor)[0] for factor in (6.0, 2.0))
    np.testing.assert_allclose(wide, narrow * 3**0.5)


# The module


def test_mlp_is_a_sequential_of_linear_layers_and_activations():
    network = MLP([4, 8, 3], "tanh", rng=0)
    assert isinstance(network, Sequential) and network.sizes == (4, 8, 3)
    assert list(network.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert repr(network) == (
        "MLP(\n  (0): Linear(in_features=4, out_features=8, bias=True)\n  (1): Tanh()\n"
        "  (2): Linear(in_features=8, out_features=3, bias=True)\n)"
    )
    assert [layer.out_features for layer in network.linear_layers()] == [8, 3]
    assert network(Tensor(np.ones((2, 4), np.float32))).dtype == np.float32


def test_initialize_takes_names_and_functions(rng):
    network = MLP([3, 4, 2], initialization="zeros", rng=0)
    assert not any(parameter.array.any() for parameter in network.parameters())
    multilayer_perceptron.initialize(network, lambda i, o, rng: (np.full((o, i), 2.0), np.full(o, 3.0)), rng)
    assert {parameter.array.flat[0] for parameter in network.parameters()} == {2.0, 3.0}
    assert np.abs(MLP([3, 4, 2], rng=1)[0].weight.array).max() <= 1 / 3**0.5
    np.testing.assert_array_equal(MLP([3, 2], rng=5)[0].weight.array, MLP([3, 2], rng=5)[0].weight.array)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([4],), "sizes must name at least an input and an output width"),
        ((4,), "sizes must name at least"),
        (([4, 0],), "sizes must be an integer in"),
        (([4, 2], "softplus"), "activation must be one of 'relu', 'tanh'"),
        (([4, 2], "relu", "huge"), "initialization must be one of 'default', 'he'"),
    ],
)
def test_mlp_names_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLP(*arguments)


# Training


def test_network_loss_of_classes_and_of_labels(rng):
    logits = Tensor(rng.normal(size=(4, 3)))
    codes, labels = np.array([0, 2, 1, 1]), rng.integers(0, 2, (4, 3)).astype(float)
    logP = logits.array - np.log(np.exp(logits.array).sum(1, keepdims=True))
    each = -logP[np.arange(4), codes]
    P = 1 / (1 + np.exp(-logits.array))
    each_label = -(labels * np.log(P) + (1 - labels) * np.log(1 - P)).sum(1)
    w = np.array([1.0, 0.0, 2.0, 3.0])
    loss = minibatch_training.network_loss
    for targets, losses in ((codes, each), (labels, each_label)):
        assert loss(logits, Tensor(targets)).item() == pytest.approx(losses.mean())
        assert loss(logits, Tensor(targets), Tensor(w)).item() == pytest.approx(w @ losses / w.sum())
    extreme = loss(Tensor(np.array([[-800.0], [800.0]])), Tensor(np.array([[1.0], [1.0]]))).item()
    assert extreme == pytest.approx(400.0)


def test_penalty_leaves_biases_out():
    network = MLP([2, 1], initialization=lambda i, o, rng: (np.full((o, i), 3.0), np.full(o, 100.0)))
    assert minibatch_training.penalty(network, 0.5) == pytest.approx(0.25 * 18)


def test_train_one_epoch_takes_one_step_a_batch(rng):
    X, y = rng.normal(size=(5, 3)), np.array([0, 1, 0, 1, 1])
    network = MLP([3, 2], dtype=np.float64, rng=0)
    twin = MLP([3, 2], dtype=np.float64, rng=0)
    groups = [{"params": [network[0].weight]}, {"params": [network[0].bias]}]
    loss = minibatch_training.train_one_epoch(network, SGD(groups, lr=0.1), DataLoader((X, y), 3), alpha=0.6)
    total, (weight, bias) = 0.0, (parameter.array for parameter in twin.parameters())
    for rows in (slice(0, 3), slice(3, 5)):  # by hand: the penalty is α/(2 n_B) ‖W‖²
        n = len(y[rows])
        value, (g,), (h,) = multilayer_perceptron.backpropagation(X[rows], y[rows], [weight], [bias])
        total += value * n + 0.3 * np.sum(weight**2)
        weight -= 0.1 * (g + 0.6 / n * weight)
        bias -= 0.1 * h
    assert loss == pytest.approx(total / 5, rel=1e-12)
    np.testing.assert_allclose(network[0].weight.array, weight, rtol=1e-12)
    np.testing.assert_allclose(network[0].bias.array, bias, rtol=1e-12)


def test_train_one_epoch_skips_batches_without_weight(rng):
    network = MLP([2, 3], dtype=np.float64, rng=0)
    before = network[0].weight.array.copy()
    data = (rng.normal(size=(4, 2)), np.array([0, 1, 2, 0]), np.zeros(4))
    assert minibatch_training.train_one_epoch(network, Adam(network.parameters()), DataLoader(data, 2)) == 0
    np.testing.assert_array_equal(network[0].weight.array, before)


def test_set_learning_rate_keeps_the_velocity():
    weight = Tensor(np.zeros(1), requires_grad=True)
    optimizer = SGD([weight], lr=0.1, momentum=1.0)
    weight.grad = Tensor(np.ones(1))
    optimizer.step()
    optimizer.step()  # velocity 0.1 + 0.1
    minibatch_training.set_learning_rate(optimizer, 0.01)
    assert optimizer.param_groups[0]["lr"] == 0.01
    before = weight.array.copy()
    weight.grad = Tensor(np.zeros(1))
    optimizer.step()
    np.testing.assert_allclose(before - weight.array, 0.2)


@given(st.integers(20, 80), st.floats(0.1, 0.6), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_stratified_split_keeps_proportions(n, fraction, seed):
    y = np.sort(np.random.default_rng(seed).integers(0, 3, n))
    train, validation = minibatch_training.stratified_split(y, n, fraction, np.random.default_rng(seed))
    assert sorted([*train, *validation]) == list(range(n))
    assert len(validation) == int(np.ceil(n * fraction))
    for label in range(3):
        assert abs(np.sum(y[validation] == label) - np.sum(y == label) * len(validation) / n) <= 1


def test_stratified_split_is_random_and_refuses_tiny_parts():
    splits = [minibatch_training.stratified_split(None, 50, 0.2, np.random.default_rng(s))[1] for s in (0, 1)]
    assert set(splits[0]) != set(splits[1])
    for fraction in (0.0, 0.01, 0.999):
        with pytest.raises(ValueError, match=f"validation_fraction={fraction} of 50 samples"):
            minibatch_training.stratified_split(None, 50, fraction, np.random.default_rng(0))


def test_patience_counts_epochs_without_progress():
    patience = Patience(0.1, larger_is_better=False)
    assert [patience.update(loss) for loss in (1.0, 0.95, 0.85, 0.8)] == [True, True, True, True]
    assert patience.count == 1, "0.85 is 0.1 below 0.95, the best until then; 0.8 only 0.05 below 0.85"
    assert not patience.update(0.9) and patience.count == 2
    score = Patience(0.0, larger_is_better=True)
    assert [score.update(value) for value in (0.5, 0.7, 0.6)] == [True, True, False] and score.count == 1


@pytest.mark.parametrize(
    ("y", "shape"), [(["b", "a", "c"], (3,)), ([5, 3, 5], (3, 1)), ([[0, 1], [1, 1], [0, 0]], (3, 2))]
)
def test_encode_targets_chooses_the_form(y, shape):
    classes, targets, multilabel = minibatch_training.encode_targets(y, 3, np.float64)
    assert targets.shape == shape and multilabel == (np.ndim(y) == 2)
    assert len(classes) == (2 if len(shape) == 2 else 3)
    if np.ndim(y) == 1:
        np.testing.assert_array_equal(classes[targets.ravel().astype(int)], y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1, 1, 1], "at least 2 classes, got 1 class"),
        ([[0, 1], [1, 2], [0, 0]], "multilabel indicator of zeros and ones"),
        ([0.5, 1.0, 2.0], "Unknown label type: continuous"),
        ([0, 1], "inconsistent numbers of samples"),
        (None, "target y is None"),
    ],
)
def test_encode_targets_names_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        minibatch_training.encode_targets(y, 3, np.float64)


def test_encode_targets_holds_batches_against_known_classes():
    _, targets, _ = minibatch_training.encode_targets([3, 1], 2, np.float64, np.array([1, 2, 3]))
    np.testing.assert_array_equal(targets, [2, 0])
    with pytest.raises(ValueError, match=r"classes not in classes_: \[4\]"):
        minibatch_training.encode_targets([3, 4], 2, np.float64, np.array([1, 2, 3]))


def test_decode_picks_the_most_probable():
    classes = np.array(["a", "b", "c"])
    assert list(minibatch_training.decode(np.array([[0, 3, 1], [2, 0, 1]]), classes, False)) == ["b", "a"]
    assert list(minibatch_training.decode(np.array([[-1.0], [0.1]]), classes[:2], False)) == ["a", "b"]
    np.testing.assert_array_equal(
        minibatch_training.decode(np.array([[-0.1, 0.2]]), np.arange(2), True), [[0, 1]]
    )


# The classifier


def test_classifier_learns_and_its_attributes_fit_together(blobs):
    X, y = blobs
    model = fit_quietly(quick(), X, y)
    assert model.score(X, y) > 0.85 and list(model.classes_) == ["ash", "elm", "oak"]
    assert model.n_iter_ == len(model.loss_curve_) == 60 and model.loss_ == model.loss_curve_[-1]
    assert model.best_loss_ == min(model.loss_curve_) < model.loss_curve_[0] and model.t_ == 60 * 90
    assert [w.shape for w in model.coefs_] == [(4, 16), (16, 3)] and [b.shape for b in model.intercepts_] == [
        (16,),
        (3,),
    ]
    assert (model.n_layers_, model.n_outputs_, model.out_activation_, model.n_features_in_) == (
        3,
        3,
        "softmax",
        4,
    )
    A = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0)
    logits = A @ model.coefs_[1] + model.intercepts_[1]
    P = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), P, rtol=1e-10)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(P), rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.classes_[P.argmax(1)])
    with no_grad():
        np.testing.assert_allclose(model.network_(Tensor(X)).array, logits, rtol=1e-10, atol=1e-12)
    assert all(parameter.grad is None for parameter in model.network_.parameters())


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_two_classes_and_multilabel(blobs, solver):
    X, y = blobs
    model = fit_quietly(quick(solver=solver, learning_rate_init=0.05), X, y == "elm")
    P = model.predict_proba(X)
    assert model.out_activation_ == "logistic" and model.coefs_[-1].shape == (16, 1) and P.shape == (90, 2)
    np.testing.assert_allclose(P.sum(1), 1, rtol=1e-14)
    np.testing.assert_array_equal(model.predict(X), P[:, 1] > 0.5)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), P, rtol=1e-10)
    labels = np.column_stack([y == "elm", y != "oak"]).astype(int)
    model = fit_quietly(quick(solver=solver, learning_rate_init=0.05), X, labels)
    assert model.predict(X).shape == (90, 2) and model.score(X, labels) > 0.7
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-10)


def test_log_probabilities_do_not_round_to_minus_infinity(blobs):
    X, y = blobs
    model = fit_quietly(quick(), X, y)
    assert np.isfinite(model.predict_log_proba(X * 1e4)).all()


def test_random_state_repeats_a_fit_and_float32_stays(blobs):
    X, y = blobs
    first, second, other = (fit_quietly(quick(max_iter=3, random_state=s), X, y) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.coefs_[0], second.coefs_[0])
    assert not np.array_equal(first.coefs_[0], other.coefs_[0])
    single = fit_quietly(quick(max_iter=3), X.astype(np.float32), y)
    assert single.coefs_[0].dtype == np.float32
    assert single.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_shuffle_changes_the_order_of_the_batches(blobs):
    X, y = blobs
    curves = [
        fit_quietly(quick(max_iter=2, batch_size=10, shuffle=shuffle), X, y).loss_curve_
        for shuffle in (True, False)
    ]
    assert curves[0] != curves[1]


def test_stops_when_nothing_improves_and_warns_when_the_epochs_run_out(blobs):
    X, y = blobs
    with pytest.warns(UserWarning, match=r"Maximum iterations \(4\) reached"):
        assert quick(max_iter=4, tol=0.0).fit(X, y).n_iter_ == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = quick(max_iter=500, tol=0.5, n_iter_no_change=3).fit(X, y)
    assert model.n_iter_ == 1 + 4, "the first epoch is progress; four without it exceed n_iter_no_change = 3"
    forever = fit_quietly(quick(max_iter=30, tol=0.5, n_iter_no_change=np.inf), X, y)
    assert forever.n_iter_ == 30


def test_the_prior_loss_is_that_of_the_class_shares():
    codes = np.array([0, 1, 1, 2, 2, 2, 2, 2])
    shares = np.array([1, 2, 5]) / 8
    assert minibatch_training.prior_loss(codes) == pytest.approx(-np.sum(shares * np.log(shares)))
    weighted = minibatch_training.prior_loss(codes[:3], np.array([2.0, 1.0, 1.0]))
    assert weighted == pytest.approx(np.log(2))
    labels = np.array([[1.0, 0], [0, 0], [0, 0], [0, 1]])
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert minibatch_training.prior_loss(labels) == pytest.approx(2 * entropy)
    assert minibatch_training.prior_loss(labels[:, :1] * 0) == 0
    assert minibatch_training.prior_loss(codes, np.zeros(8)) == np.inf


@pytest.mark.parametrize(
    ("losses", "diverged"),
    [
        ([2.3, 1.0, 0.5], False),
        ([2.3, 2.29, 2.3], False),  # nothing learnt: another matter
        ([136.0, 60.0, 20.0], False),  # falls from a bad start; the epochs ran out
        ([2.3, 9e9, 1.0], False),  # it recovered
        ([0.01, 0.02, 0.05], False),  # goes on from a good network
        ([136.0, 9.3e9, 2304.0], True),
        ([136.0, 20.0, 60.0, 4.0], False),  # an unsteady fall from a bad start
        ([2.0, 2.5, 2.6], True),
        ([2.4, 168.0, 2.35], True),  # thrown far off, and no better than the class shares
        ([2.4, 4.0, 2.2], False),
    ],
)
def test_divergence_is_a_loss_that_rose_and_stayed_above_the_prior(losses, diverged):
    assert minibatch_training.has_diverged(losses, prior=2.3) == diverged


@pytest.mark.parametrize("options", [{}, {"solver": "sgd"}, {"early_stopping": True}, {"max_iter": 3}])
def test_a_learning_rate_that_is_too_large_is_named(blobs, options):
    X, y = blobs
    rate = 1e3 if options.get("solver") != "sgd" else 10.0
    with pytest.warns(UserWarning, match="diverged: .* Lower learning_rate_init") as caught:
        model = quick(learning_rate_init=rate, **options).fit(10 * X, y)
    assert len(caught) == 1 and f"is {model.loss_:.3g} in the end" in str(caught[0].message)
    assert f"frequencies alone has {np.log(3):.3g}" in str(caught[0].message)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 100.0},
        {"alpha": 10.0, "batch_size": 7},
        {"solver": "sgd"},
        {"activation": "logistic"},
        {"max_iter": 1},
        {"learning_rate_init": 1e-6},
        {"early_stopping": True},
    ],
)
@pytest.mark.parametrize("scale", [1, 100])
def test_a_sane_training_has_not_diverged(blobs, options, scale):
    X, y = blobs
    rate = 0.01 / scale**2 if options.get("solver") == "sgd" else 0.01
    for labels in (y, y == "elm"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            quick(**{"learning_rate_init": rate, "max_iter": 20, **options}).fit(
                scale * X, labels, np.linspace(0, 2, len(y))
            )
        assert not any("diverged" in str(warning.message) for warning in caught)


def test_early_stopping_returns_to_the_best_weights(blobs):
    X, y = blobs
    model = fit_quietly(quick(max_iter=100, early_stopping=True, validation_fraction=0.3), X, y)
    assert len(model.validation_scores_) == model.n_iter_ and model.best_loss_ is None
    assert model.best_validation_score_ == max(model.validation_scores_)
    codes = np.searchsorted(model.classes_, y)
    rng = np.random.default_rng(0)
    MLP([4, 16, 3], rng=rng)  # the weights are drawn first, then the split
    rows = minibatch_training.stratified_split(codes, 90, 0.3, _after_drawing(4, 16, 3))[1]
    assert model.score(X[rows], y[rows]) == pytest.approx(model.best_validation_score_)
    with pytest.raises(ValueError, match="validation set is too small"):
        quick(early_stopping=True, validation_fraction=0.0).fit(X, y)


def _after_drawing(*sizes):
    """The generator as the classifier leaves it when its weights are drawn."""
    rng = np.random.default_rng(0)
    for fan_in, fan_out in itertools.pairwise(sizes):
        multilayer_perceptron.uniform_initialization(fan_in, fan_out, rng)
    return rng


def test_warm_start_goes_on(blobs):
    X, y = blobs
    model = quick(max_iter=5, warm_start=True)
    first = fit_quietly(model, X, y).loss_
    assert len(fit_quietly(model, X, y).loss_curve_) == 10 and model.loss_ < first
    with pytest.raises(ValueError, match="warm_start needs the classes of the previous fit"):
        model.fit(X[y != "oak"], y[y != "oak"])
    assert len(fit_quietly(model.set_params(warm_start=False), X, y).loss_curve_) == 5


def test_partial_fit_trains_an_epoch_at_a_time(blobs):
    X, y = blobs
    model = quick()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
    model.partial_fit(X[:2], y[:2], classes=["ash", "elm", "oak"])
    losses = [model.partial_fit(X, y).loss_ for _ in range(40)]
    assert losses[-1] < losses[0] / 2 and model.n_iter_ == 1 and len(model.loss_curve_) == 41
    with pytest.raises(ValueError, match="not the same as on last call"):
        model.partial_fit(X, y, classes=["ash", "elm"])
    with pytest.raises(ValueError, match="early_stopping"):
        quick(early_stopping=True).partial_fit(X, y, classes=["ash", "elm", "oak"])


def test_a_sample_of_weight_two_counts_as_two_samples(blobs):
    X, y = blobs
    options = {"solver": "sgd", "shuffle": False, "max_iter": 5, "alpha": 0.0, "batch_size": 180}
    weighted = fit_quietly(quick(**options), X, y, np.full(90, 2.0))
    doubled = fit_quietly(quick(**options), np.repeat(X, 2, axis=0), np.repeat(y, 2))
    np.testing.assert_allclose(weighted.coefs_[0], doubled.coefs_[0], rtol=1e-10)
    ignored = np.where(y == "oak", 0.0, 1.0)
    assert "oak" not in set(fit_quietly(quick(), X, y, ignored).predict(X[y != "oak"]))


def test_alpha_shrinks_the_weights(blobs):
    X, y = blobs
    sizes = [np.linalg.norm(fit_quietly(quick(alpha=alpha), X, y).coefs_[0]) for alpha in (0.0, 10.0, 100.0)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_batch_size():
    assert minibatch_training.batch_size("auto", 150) == 150
    assert minibatch_training.batch_size("auto", 5000) == 200
    assert minibatch_training.batch_size(32, 5000) == 32
    with pytest.warns(UserWarning, match="batch_size=50 is larger than the 20 samples"):
        assert minibatch_training.batch_size(50, 20) == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes must be an integer in"),
        (
            {"hidden_layer_sizes": None},
            "hidden_layer_sizes must be an integer or a sequence of integers, got None",
        ),
        (
            {"hidden_layer_sizes": "10"},
            "hidden_layer_sizes must be an integer or a sequence of integers, got '10'",
        ),
        ({"hidden_layer_sizes": -1}, "hidden_layer_sizes must be an integer in"),
        ({"activation": "sine"}, "activation must be one of 'relu'"),
        ({"solver": "lbfgs"}, "solver must be one of 'adam', 'sgd'; got 'lbfgs'"),
        ({"learning_rate": "fast"}, "learning_rate must be one of"),
        ({"batch_size": 0}, "batch_size must be an integer in"),
        ({"max_iter": 0}, "max_iter must be an integer in"),
        ({"n_iter_no_change": 0}, "n_iter_no_change must be an integer in"),
        ({"alpha": -1}, "alpha must be a number in"),
        ({"tol": -1e-3}, "tol must be a number in"),
        ({"power_t": -1}, "power_t must be a number in"),
        ({"learning_rate_init": 0}, "learning_rate_init must be a number in"),
        ({"epsilon": 0}, "epsilon must be a number in"),
        ({"beta_1": 1.0}, "beta_1 must be less than 1"),
        ({"beta_2": 1.5}, "beta_2 must be a number in"),
        ({"validation_fraction": 1.0}, "validation_fraction must be less than 1"),
        ({"momentum": 1.1}, "momentum must be a number in"),
    ],
)
def test_bad_parameters_are_named(options, message, blobs):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**options).fit(*blobs)


def test_check_parameters_wants_flags_and_integers():
    for options, message in (
        ({"shuffle": "yes"}, "shuffle must be True or False"),
        ({"max_iter": 2.5}, "max_iter"),
    ):
        with pytest.raises(TypeError, match=message):
            minibatch_training.check_parameters(MLPClassifier(**options), multilayer_perceptron.ACTIVATIONS)
    fine = MLPClassifier(hidden_layer_sizes=(), batch_size=5, n_iter_no_change=np.inf)
    minibatch_training.check_parameters(fine, multilayer_perceptron.ACTIVATIONS)


def test_bad_data_is_named(blobs):
    X, y = blobs
    with pytest.raises(ValueError, match="X contains NaN"):
        quick().fit(np.where(X > 2, np.nan, X), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        quick().fit(X, y[:-1])
    model = fit_quietly(quick(max_iter=2), X, y)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        model.predict(X[:, :3])
    with pytest.raises(AttributeError, match="not fitted"):
        _ = MLPClassifier().coefs_
    with pytest.raises(ValueError, match="non-finite parameter weights"), np.errstate(all="ignore"):
        fit_quietly(quick(solver="sgd", learning_rate_init=1e200, activation="identity"), X * 1e150, y)


def test_bad_frames_and_labels_are_told_by_column_row_and_index(blobs):
    pandas = pytest.importorskip("pandas")
    X, y = blobs
    frame = pandas.DataFrame(X, columns=list("abcd"))
    frame["when"] = pandas.date_range("2020-01-30", periods=len(X))
    with pytest.raises(
        TypeError, match="X must hold numbers, got dates: '2020-01-30.* in column 'when', row 0"
    ):
        quick().fit(frame[["when"]], y)
    frame.loc[3, "b"] = np.nan
    with pytest.raises(ValueError, match="X contains NaN in column 'b', row 3"):
        quick().fit(frame[["a", "b"]], y)
    words = ["yes" if label else "no" for label in y]
    for missing in (None, np.nan):
        for container in (list, pandas.Series):
            with pytest.raises(ValueError, match="y holds a missing label at index 0"):
                quick().fit(X, container([missing, *words[1:]]))


def test_pickle_keeps_the_predictions(blobs):
    X, y = blobs
    model = fit_quietly(quick(max_iter=5), X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), model.predict_proba(X))


def test_passes_scikit_learns_own_checks():
    from sklearn.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            MLPClassifier(10, max_iter=20, learning_rate_init=0.05), on_fail=None, on_skip=None
        )
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert not failed, failed


def test_works_in_a_pipeline_and_a_grid_search(blobs):
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = blobs
    pipeline = make_pipeline(StandardScaler(), clone(quick(max_iter=20)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1e3]}, cv=2).fit(X, y)
    assert search.best_params_ == {"mlpclassifier__alpha": 1e-4}


def test_reads_digits():
    X, y, X_test, y_test = multilayer_perceptron.digits_split()
    model = fit_quietly(
        MLPClassifier(64, max_iter=20, batch_size=128, learning_rate_init=0.01, random_state=0), X, y
    )
    assert model.score(X_test, y_test) >= 0.96


def test_train_by_ours_is_the_loop_that_everybody_writes(rng):
    X, y = rng.normal(size=(6, 3)), np.array([0, 1, 0, 1, 1, 0])
    network, twin = (MLP([3, 4, 2], dtype=np.float64, rng=0) for _ in range(2))
    batches = list(DataLoader((X, y), 3)) * 2
    losses = multilayer_perceptron.train_by_ours(network, batches, SGD(network.parameters(), lr=0.5))
    expected, step = [], SGD(twin.parameters(), lr=0.5)
    for rows, labels in batches:
        arrays = [parameter.array for parameter in twin.parameters()]
        loss, weights, biases = multilayer_perceptron.backpropagation(
            rows.array, labels.array, arrays[::2], arrays[1::2]
        )
        for parameter, g in zip(
            twin.parameters(), (g for pair in zip(weights, biases, strict=True) for g in pair), strict=True
        ):
            parameter.grad = Tensor(g)
        step.step()
        expected.append(loss)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)


def test_a_validation_score_counts_each_row_with_its_weight():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 2))
    y, weight = (X[:, 0] > 0).astype(int), np.where(np.arange(200) % 2, 1.0, 1e-6)
    y[::2] = 1 - y[::2]  # every other label is wrong, and weighs next to nothing
    model = MLPClassifier(
        (8,),
        early_stopping=True,
        validation_fraction=0.5,
        random_state=0,
        max_iter=60,
        learning_rate_init=0.01,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y, sample_weight=weight)
    assert model.best_validation_score_ > 0.9, "unweighted, half of the labels could not be right"


@pytest.mark.parametrize("options", [{"solver": "adam"}, {"solver": "sgd", "momentum": 0.9}], ids=str)
def test_partial_fit_goes_on_with_its_moments(options):
    """Two calls with the whole data are two epochs: what the optimizer remembers lives on between them."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    y = (X[:, 0] > 0).astype(int)
    parts = MLPClassifier((4,), random_state=0, batch_size=40, shuffle=False, **options)
    for _ in range(5):
        parts.partial_fit(X, y, classes=[0, 1])
    whole = MLPClassifier((4,), random_state=0, batch_size=40, shuffle=False, max_iter=5, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole.fit(X, y)
    for ours, theirs in zip(parts.coefs_, whole.coefs_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_a_new_weight_is_written_into_the_network_or_refused():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    model = MLPClassifier(random_state=0, max_iter=2, hidden_layer_sizes=(4,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, (X[:, 0] > 0).astype(int))
    before = model.predict_proba(X)
    with pytest.raises(TypeError):
        model.coefs_[0] = np.zeros((3, 4))
    model.coefs_[0][:] = 0
    model.intercepts_[0][:] = 0
    assert np.abs(model.predict_proba(X) - before).max() > 0.01, "the views are the network's own weights"


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


# How it breaks


def different_units(p, n_steps=60):
    """How many of 16 logistic units that start at zero differ after training with dropout of probability p."""
    data = load_digits()
    X, y = Tensor(data.X[:200] / 16), Tensor(data.y[:200])
    layers = MLP([64, 16, 10], "logistic", "zeros", dtype=np.float64)
    network = Sequential(layers[0], layers[1], Dropout(p, rng=0), layers[2])
    optimizer = Adam(network.parameters(), lr=0.03)
    for _ in range(n_steps):
        loss = ad.cross_entropy(network(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    units = np.column_stack([network[0].weight.array, network[0].bias.array, network[3].weight.array.T])
    gaps = np.abs(units[:, None] - units[None]).max(axis=2)  # (16, 16)
    return sum(np.all(gaps[i, :i] > 1e-9) for i in range(16))


@pytest.mark.parametrize(("p", "count"), [(0.0, 1), (0.5, 16)])
def test_noise_tells_units_apart_that_start_alike(p, count):
    assert different_units(p) == count


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_zero_weights_stay_where_the_activation_of_zero_is_zero(activation, rng):
    X, y = rng.normal(size=(30, 4)), np.arange(30) % 3
    network = MLP([4, 5, 5, 3], activation, "zeros", dtype=np.float64)
    multilayer_perceptron.train_by_ours(network, [(Tensor(X), Tensor(y))] * 5, Adam(network.parameters()))
    *others, _ = network.parameters()
    assert not any(parameter.array.any() for parameter in others), "only the output bias gets a gradient"


def test_zero_weights_of_logistic_units_do_learn():
    losses = failures.loss_curve(np.random.default_rng(0), "zeros", "logistic", 4, 60)
    entropy = failures.entropy_of_shares("zeros", "relu", 4, 60)
    assert losses[-1] < entropy - 0.1
    with pytest.raises(ValueError, match="only zero weights with φ"):
        failures.entropy_of_shares("zeros", "logistic", 4, 60)


def test_nearest_means_by_hand():
    # two points at ±1: logits ±c, so the loss tends to 0 as c grows; with labels crossed no scale beats log 2
    X = np.array([[1.0], [-1.0]])
    assert failures.loss_of_nearest_means(X, np.array([0, 1])) < 1e-9
    # means at 1 and 3 halve the line at 2, the place of two samples of either class
    X = np.array([[0.9], [2.0], [0.1], [3.9], [2.0], [3.1]])
    assert failures.loss_of_nearest_means(X, np.array([0, 0, 0, 1, 1, 1])) == pytest.approx(
        np.log(2) / 3, abs=1e-9
    )
    X = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    assert failures.loss_of_nearest_means(X, np.array([0, 0, 1, 1])) == pytest.approx(np.log(2))


@pytest.mark.parametrize(("scale", "finite"), [(1.04, True), (1.1, False)])  # the limit is at 1/√0.9 = 1.054
def test_features_ten_percent_too_large_are_past_the_limit(scale, finite):
    steps = failures.predicted_finite_steps(scale, 0.9, 500)
    assert (steps == 500) == finite
    assert failures.steps_with_a_finite_loss(np.random.default_rng(0), scale, 0.9, 500) == pytest.approx(
        steps, abs=1
    )


def test_the_limit_itself_is_refused():
    with pytest.raises(ValueError, match="scale must be off the limit"):
        failures.predicted_finite_steps(1.0, 1.0, 100)


def test_centered_targets_allow_the_step_that_kills():
    """The step that kills a sixth of the units where targets have mean 1,000; on centered ones a unit in a hundred at most."""
    rng, width = np.random.default_rng(0), 2000
    X, y = Tensor(rng.normal(size=(500, 5))), Tensor(rng.normal(size=(500, 1)))
    network = MLP([5, width, 1], "relu", "he", dtype=np.float64, rng=rng)
    optimizer = SGD(network.parameters(), lr=np.sqrt(width) / 1000)
    ad.mse_loss(network(X), y).backward()
    optimizer.step()
    assert np.mean(np.all(network[0](X).array <= 0, axis=0)) <= 0.01


def test_a_step_that_kills_is_longest_near_one():
    share = [failures.predicted_dead_share(k, 500, 5, 2000, 1000.0) for k in (0.01, 0.5, 1.5, 5.0)]
    assert share[0] < share[1] < share[2] > share[3], "a still longer step turns the weights around"
    for arguments in ((1.0, 400, 5, 2000, 1000.0), (1.0, 500, 5, 2000, 10.0)):
        with pytest.raises(ValueError, match="n must be at least 100 d and mean at least 100"):
            failures.predicted_dead_share(*arguments)


def test_no_distribution_beats_the_floor_of_a_second_softmax(rng):
    P = rng.dirichlet(np.full(10, 0.1), 500)
    best = ad.cross_entropy(Tensor(P), Tensor(P.argmax(axis=1)), reduction="none").array
    floor = failures.predicted_floor(True, 150)
    assert best.min() >= floor == pytest.approx(1.461, abs=5e-4)
    one_hot = ad.cross_entropy(Tensor(np.eye(10)), Tensor(np.roll(np.arange(10), 1)), reduction="none").array
    np.testing.assert_allclose(one_hot, floor + 1, rtol=1e-12, err_msg="certain and wrong costs 1 more")


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy
