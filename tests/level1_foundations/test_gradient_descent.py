"""Gradient descent and its descendants: each rule alone, then the optimizers, then the schedules."""

import copy
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from level1_foundations import gradient_descent as topic
from level1_foundations.automatic_differentiation import Tensor, no_grad
from level1_foundations.failure_modes import gradient_descent as broken
from level1_foundations.failure_modes.gradient_descent import FAILURE_MODES
from level1_foundations.parts.gradient_descent import more_optimizers, rules
from level1_foundations.parts.gradient_descent import predictions as theory
from level1_foundations.parts.gradient_descent.learning_rate_schedules import (
    anneal,
    cosine_rule,
    linear_rule,
    step_rule,
)
from level1_foundations.parts.gradient_descent.optimizer import BLOCK

OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "Adagrad": {"lr": 0.1},
    "RMSprop": {"lr": 0.1, "momentum": 0.5, "centered": True},
    "Adam": {"lr": 0.1, "amsgrad": True},
    "AdamW": {"lr": 0.1},
    "NAdam": {"lr": 0.1},
}


def parameter(value, dtype=float):
    return Tensor(np.array(value, dtype), requires_grad=True)


def take_steps(optimizer, n=1, gradient=lambda theta: theta):
    """n steps on ½‖θ‖², whose gradient is θ itself, unless another gradient is given."""
    for _ in range(n):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = Tensor(np.array(gradient(p.array), p.array.dtype))
        optimizer.step()


def scratch(theta):
    return np.full_like(theta, np.nan)


# in one breath


def bowl(x):
    """Gradient of a bowl with curvatures 1 and 3."""
    return np.array([1.0, 3.0]) * x


def test_plain_descent_goes_against_the_gradient():
    np.testing.assert_allclose(
        topic.plain_descent(lambda x: 2 * x, np.array([1.0, -4.0]), 0.25, 3), [0.125, -0.5]
    )


def test_plain_momentum_keeps_a_share_of_the_last_direction():
    # b: 1, then 0.9 + 1; x: 0 − 0.1 − 0.19
    np.testing.assert_allclose(topic.plain_momentum(lambda x: np.ones(1), np.zeros(1), 0.1, 2), [-0.29])


def test_plain_adam_first_step_is_as_long_as_the_step_size():
    moved = topic.plain_adam(lambda x: np.array([1e-3, -5.0]), np.zeros(2), 0.1, 1)
    np.testing.assert_allclose(moved, [-0.1, 0.1], rtol=1e-4)


def test_plain_descent_equals_gradient_descent():
    start = np.array([2.0, -1.0])
    whole = topic.gradient_descent(bowl, start, step_size=0.3, n_steps=25)
    np.testing.assert_array_equal(topic.plain_descent(bowl, start, 0.3, 25), whole.x)


@pytest.mark.parametrize(
    ("plain", "optimizer"),
    [
        (lambda x: topic.plain_momentum(bowl, x, 0.1, 25), lambda p: topic.SGD([p], lr=0.1, momentum=0.9)),
        (lambda x: topic.plain_adam(bowl, x, 0.1, 25), lambda p: topic.Adam([p], lr=0.1)),
    ],
    ids=["momentum", "Adam"],
)
def test_the_breath_equals_the_optimizer_in_place(plain, optimizer):
    p = parameter([2.0, -1.0])
    take_steps(optimizer(p), 25, bowl)
    np.testing.assert_allclose(plain(np.array([2.0, -1.0])), p.array, rtol=1e-12)


# gradient_descent


def test_each_step_goes_against_the_gradient():
    walk = topic.gradient_descent(lambda x: 2 * x, [1.0, -4.0], step_size=0.25, n_steps=3)
    np.testing.assert_allclose(walk.path, [[1, -4], [0.5, -2], [0.25, -1], [0.125, -0.5]])
    np.testing.assert_array_equal(walk.x, walk.path[-1])


def test_the_step_size_may_change_with_the_step():
    walk = topic.gradient_descent(lambda x: np.ones(1), [0.0], step_size=lambda k: 1 / (k + 1), n_steps=3)
    np.testing.assert_allclose(walk.path[:, 0], [0, -1, -1.5, -1.5 - 1 / 3])


def test_it_stops_at_the_first_point_whose_gradient_is_small_enough():
    walk = topic.gradient_descent(lambda x: x, [1.0], step_size=0.5, n_steps=100, tol=0.1)
    np.testing.assert_allclose(walk.path[:, 0], [1, 0.5, 0.25, 0.125, 0.0625])
    assert walk.converged


def test_the_last_step_counts_as_converged_too():
    walk = topic.gradient_descent(lambda x: x, [1.0], step_size=0.5, n_steps=4, tol=0.1)
    assert walk.converged and len(walk.path) == 5


def test_without_a_tolerance_all_steps_are_made():
    walk = topic.gradient_descent(lambda x: x, [1.0], step_size=1.0, n_steps=7)
    assert len(walk.path) == 8 and walk.converged


def test_it_warns_when_the_tolerance_is_not_reached():
    with pytest.warns(UserWarning, match=r"did not converge: after 3 steps .* above tol=0\.1"):
        walk = topic.gradient_descent(lambda x: x, [1.0], step_size=0.1, n_steps=3, tol=0.1)
    assert not walk.converged


def test_it_stays_silent_when_no_tolerance_was_asked_for():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not topic.gradient_descent(lambda x: x, [1.0], step_size=0.1, n_steps=3).converged


def test_it_stops_with_a_warning_before_the_numbers_end():
    with pytest.warns(UserWarning, match="left the finite numbers at step"):
        walk = topic.gradient_descent(lambda x: x**3, [10.0], step_size=1.0, n_steps=100)
    assert np.isfinite(walk.path).all() and 1 < len(walk.path) < 20 and not walk.converged


GROWN = "left the finite numbers at step .*its steps grew, so step_size is too large"
LOST = {
    "nan at the start": (lambda x: x * np.nan, 1.0, 1e-3, "before step 1: gradient is not finite at x = .1.., the start"),
    "beyond a border": (lambda x: np.sqrt(x - 0.5), 1.0, 0.5, r"before step 3: gradient is not finite .* Look at gradient"),
    "at the last point": (lambda x: np.where(x > 0.7, 1.0, np.nan), 1.0, 0.1, "before step 5: gradient is not finite"),
    "cubes": (lambda x: x**3, 10.0, 1.0, GROWN),
    "a factor of 3 a step": (lambda x: 4 * x, 1.0, 1e9, GROWN),
    "one step too far": (lambda x: 1e300 * x, 1.0, 1e300, GROWN),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("name", LOST)
def test_it_tells_a_lost_gradient_from_steps_that_grew(name):
    gradient, x0, step_size, message = LOST[name]
    n_steps = 4 if name == "at the last point" else 100
    for tol in (0.0, 1e-9):
        with pytest.warns(UserWarning, match=message) as caught:
            walk = topic.gradient_descent(gradient, [x0], step_size=step_size, n_steps=n_steps, tol=tol)
        assert len(caught) == 1
        assert np.isfinite(walk.path).all() and not walk.converged


def test_a_walk_prints_in_one_line():
    walk = topic.gradient_descent(lambda x: x, [4.0, -2.0], step_size=0.5, n_steps=1)
    assert repr(walk) == "DescentResult(x = [ 2. -1.], 1 step, not converged; see x, path)"
    walk = topic.gradient_descent(lambda x: x, np.ones((50, 4)), step_size=1.0, n_steps=200)
    assert repr(walk) == "DescentResult(x of shape (50, 4), 200 steps, converged; see x, path)"


def test_float32_stays_float32_and_any_shape_is_welcome():
    start = np.ones((2, 3), np.float32)
    walk = topic.gradient_descent(lambda x: x.astype(float), start, step_size=0.5, n_steps=2)
    assert walk.path.dtype == np.float32 and walk.path.shape == (3, 2, 3)
    assert (start == 1).all(), "the start must not be changed"


def test_integers_become_floats():
    assert topic.gradient_descent(lambda x: x, [4], step_size=0.25, n_steps=1).x[0] == 3


@given(st.floats(0.02, 1.98), st.lists(st.floats(-5, 5), min_size=3, max_size=3))
@settings(max_examples=25, deadline=None)
def test_the_loss_never_rises_below_two_over_L(share, start):
    curvatures = np.array([0.3, 1.0, 4.0])
    step = share / 4.0
    path = topic.gradient_descent(lambda x: curvatures * x, start, step_size=step, n_steps=20).path
    losses = 0.5 * (path**2 @ curvatures)
    assert (np.diff(losses) <= 1e-12 * losses[0]).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"step_size": 0.0}, ValueError, "step_size"),
        ({"step_size": math.nan}, ValueError, "step_size"),
        ({"step_size": math.inf}, ValueError, "step_size"),
        ({"step_size": lambda k: -1.0}, ValueError, "step_size .* at step 0"),
        ({"n_steps": -1}, ValueError, "n_steps"),
        ({"n_steps": 1.5}, TypeError, "n_steps"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"x0": [math.nan]}, ValueError, "x0"),
        ({"x0": []}, ValueError, "x0"),
        ({"x0": ["a"]}, TypeError, "x0"),
        ({"gradient": lambda x: np.ones(2)}, ValueError, r"shape of x, \(1,\), got \(2,\)"),
    ],
)
def test_bad_input_is_named(change, error, message):
    good = {"gradient": lambda x: x, "x0": [1.0], "step_size": 0.1, "n_steps": 3}
    with pytest.raises(error, match=message):
        topic.gradient_descent(**{**good, **change})


def test_euclidean_norm():
    assert topic.euclidean_norm(np.array([[3.0], [4.0]])) == 5.0


# The rules, each alone


@pytest.mark.parametrize(
    ("maximize", "weight_decay", "expected"),
    [(False, 0.0, [3, -1]), (True, 0.0, [-3, 1]), (False, 0.5, [4, 1]), (True, 0.5, [-2, 3])],
)
def test_effective_gradient_turns_around_and_adds_the_penalty(maximize, weight_decay, expected):
    theta, g = np.array([2.0, 4.0]), np.array([3.0, -1.0])
    out = rules.effective_gradient(theta, g, scratch(g), maximize=maximize, weight_decay=weight_decay)
    np.testing.assert_allclose(out, expected)
    np.testing.assert_array_equal(g, [3, -1], err_msg="the gradient must not be changed")


def sgd(theta, g, b, **change):
    rule = {"lr": 0.1, "momentum": 0.5, "dampening": 0.0, "nesterov": False, "first": False}
    topic.sgd_update(theta, g, b, scratch(theta), **{**rule, **change})


def test_sgd_without_momentum_steps_against_the_gradient():
    theta = np.array([1.0, 2.0])
    sgd(theta, np.array([10.0, -10.0]), None)
    np.testing.assert_allclose(theta, [0, 3])


def test_sgd_starts_its_momentum_with_the_first_gradient_undampened():
    theta, b = np.array([1.0]), np.array([math.nan])
    sgd(theta, np.array([4.0]), b, first=True, dampening=0.25)
    np.testing.assert_allclose([theta[0], b[0]], [0.6, 4.0])


def test_sgd_dampens_later_gradients():
    theta, b = np.array([1.0]), np.array([6.0])
    sgd(theta, np.array([4.0]), b, dampening=0.25)
    np.testing.assert_allclose([theta[0], b[0]], [1 - 0.1 * (0.5 * 6 + 0.75 * 4), 6.0])


def test_nesterov_looks_ahead():
    theta, b = np.array([1.0]), np.array([2.0])
    sgd(theta, np.array([4.0]), b, nesterov=True)
    np.testing.assert_allclose([theta[0], b[0]], [1 - 0.1 * (4 + 0.5 * 5), 5.0])


def test_adagrad_divides_by_the_root_of_all_squares():
    theta, s, g = np.array([1.0]), np.array([7.0]), np.array([3.0])
    more_optimizers.adagrad_update(theta, g, s, scratch(g), t=3, lr=0.4, lr_decay=0.5, eps=1.0)
    np.testing.assert_allclose([theta[0], s[0]], [1 - 0.4 / 2 * 3 / (4 + 1), 16])


def test_running_mean():
    m = np.array([1.0])
    rules.running_mean(m, np.array([5.0]), 0.75, scratch(m))
    assert m[0] == 2


def test_running_mean_of_square():
    v = np.array([4.0])
    rules.running_mean_of_square(v, np.array([4.0]), 0.75, scratch(v))
    assert v[0] == 7


def rmsprop(g, v, a=None, b=None, **change):
    theta, rule = np.array([1.0]), {"lr": 0.1, "alpha": 0.75, "eps": 0.5, "momentum": 0.5, **change}
    more_optimizers.rmsprop_update(theta, np.array([g]), v, a, b, scratch(theta), **rule)
    return theta[0]


def test_rmsprop_divides_by_the_root_mean_square():
    v = np.array([4.0])
    assert rmsprop(4.0, v) == pytest.approx(1 - 0.1 * 4 / (math.sqrt(7) + 0.5))


def test_centered_rmsprop_divides_by_the_standard_deviation():
    v, a = np.array([4.0]), np.array([1.0])
    assert rmsprop(4.0, v, a) == pytest.approx(1 - 0.1 * 4 / (math.sqrt(7 - 1.75**2) + 0.5))
    assert a[0] == 1.75


def test_centered_rmsprop_survives_a_variance_that_rounds_below_zero():
    v, a = np.array([1.0]), np.array([1.0 + 1e-12])
    assert rmsprop(1.0, v, a) == pytest.approx(1 - 0.1 / 0.5)


def test_rmsprop_momentum_adds_up_the_divided_gradients():
    b = np.array([2.0])
    moved = rmsprop(4.0, np.array([4.0]), b=b)
    assert b[0] == pytest.approx(1 + 4 / (math.sqrt(7) + 0.5))
    assert moved == pytest.approx(1 - 0.1 * b[0])


def adam(theta, g, m, v, v_max=None, **change):
    rule = {"t": 1, "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
    topic.adam_update(theta, g, m, v, v_max, scratch(theta), **{**rule, **change})


def test_the_first_step_of_adam_is_the_learning_rate_whatever_the_scale():
    theta, g = np.zeros(3), np.array([1e-3, -1.0, 1e3])
    adam(theta, g, np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(theta, [-0.1, 0.1, -0.1], rtol=2e-5)


def test_adam_corrects_both_means_for_their_start_at_zero():
    theta, m, v = np.array([1.0]), np.array([0.2]), np.array([0.03])
    adam(theta, np.array([2.0]), m, v, t=3, eps=0.5)
    m_hat, v_hat = (0.18 + 0.2) / (1 - 0.9**3), (0.0297 + 0.04) / (1 - 0.99**3)
    np.testing.assert_allclose([m[0], v[0]], [0.38, 0.0697])
    assert theta[0] == pytest.approx(1 - 0.1 * m_hat / (math.sqrt(v_hat) + 0.5))


def test_amsgrad_divides_by_the_largest_mean_square_so_far():
    theta, v, v_max = np.array([1.0]), np.array([1.0]), np.array([9.0])
    adam(theta, np.array([1.0]), np.array([1.0]), v, v_max, t=1000)
    assert theta[0] == pytest.approx(1 - 0.1 / 3, rel=1e-4)
    assert (v[0], v_max[0]) == (1.0, 9.0)
    adam(theta, np.array([100.0]), np.array([1.0]), v, v_max, t=1000)
    assert v[0] == v_max[0] > 9, "a new largest value is remembered; v itself goes on as in Adam"


def test_the_step_of_amsgrad_grows_while_the_bias_correction_dies_out():
    """The maximum is taken before the correction, as in torch: one large gradient is forgiven for some 1/(1 - β₂) steps."""
    x = parameter([0.0])
    optimizer, moved = topic.Adam([x], lr=1.0, betas=(0.0, 0.999), amsgrad=True), []
    for t in range(10):
        x.grad, before = Tensor(np.array([1.0 if t else 100.0])), x.array[0]
        optimizer.step()
        moved.append((before - x.array[0]) / (1.0 if t else 100.0))
    expected = np.sqrt(1 - 0.999 ** np.arange(1, 11)) / (100 * np.sqrt(0.001))
    np.testing.assert_allclose(moved, expected, rtol=1e-6)


def test_shrink_multiplies_by_one_minus_rate_times_decay():
    theta = np.array([2.0])
    rules.shrink(theta, lr=0.1, weight_decay=0.5)
    assert theta[0] == pytest.approx(1.9)


@pytest.mark.parametrize("decoupled", [False, True])
def test_weight_decay_goes_one_way_or_the_other(decoupled):
    group = {"decoupled_weight_decay": decoupled, "weight_decay": 0.3, "lr": 0.1, "maximize": True}
    assert rules.coupled_penalty(group) == {"maximize": True, "weight_decay": 0.0 if decoupled else 0.3}
    assert rules.decoupled_decay(group) == {"lr": 0.1, "weight_decay": 0.3 if decoupled else 0.0}


def test_the_momentum_of_nadam_warms_up_from_half():
    assert more_optimizers.nadam_momentum(0, 0.9, 0.004) == pytest.approx(0.45)
    assert more_optimizers.nadam_momentum(250, 0.9, 0.004) == pytest.approx(0.9 * (1 - 0.5 * 0.96))
    assert more_optimizers.nadam_momentum(10**6, 0.9, 0.004) == pytest.approx(0.9)


def test_nadam_counts_the_new_gradient_once_more():
    theta, m, v, g = np.array([1.0]), np.array([0.2]), np.array([0.03]), np.array([2.0])
    more_optimizers.nadam_update(
        theta, g, m, v, scratch(g), scratch(g), t=3, lr=0.1, beta1=0.9, beta2=0.99, eps=0.5,
        momentum=0.6, next_momentum=0.7, momentum_product=0.2,
    )  # fmt: skip
    numerator = (1 - 0.6) / (1 - 0.2) * 2 + 0.7 / (1 - 0.2 * 0.7) * 0.38
    expected = 1 - 0.1 * numerator / (math.sqrt(0.0697 / (1 - 0.99**3)) + 0.5)
    assert theta[0] == pytest.approx(expected)


# The optimizers


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS.items())
def test_every_optimizer_finds_the_minimum_of_a_bowl(name, options):
    x = parameter([3.0, -2.0])
    start = x.array.copy()
    take_steps(getattr(topic, name)([x], **options), 150)
    assert (np.abs(x.array) < 0.8 * np.abs(start)).all(), f"{name} did not come nearer"


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS.items())
def test_maximize_is_descent_on_the_negative(name, options):
    up, down = parameter([3.0, -2.0]), parameter([3.0, -2.0])
    # without decay, which pulls to zero in both directions
    options = {**options, "weight_decay": 0}
    take_steps(getattr(topic, name)([up], maximize=True, **options), 5, gradient=lambda theta: -np.sin(theta))
    take_steps(getattr(topic, name)([down], **options), 5, gradient=np.sin)
    np.testing.assert_allclose(up.array, down.array, rtol=1e-14)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS.items())
def test_float32_stays_float32(name, options):
    x = parameter([3.0, -2.0], np.float32)
    optimizer = getattr(topic, name)([x], weight_decay=0.1, **{**options, "lr": np.float64(0.1)})
    take_steps(optimizer, 3)
    arrays = [value for value in optimizer.state[x].values() if isinstance(value, np.ndarray)]
    assert x.array.dtype == np.float32 and {a.dtype for a in arrays} == {np.dtype(np.float32)}


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS.items())
def test_a_large_parameter_moves_as_its_parts_would(name, options):
    values = np.random.default_rng(0).standard_normal(2 * BLOCK + 5)
    whole, head, tail = parameter(values), parameter(values[:3]), parameter(values[-3:])
    wide = parameter(values[:35].reshape(5, 7).T)
    assert not wide.array.flags.c_contiguous
    take_steps(getattr(topic, name)([whole, head, tail, wide], weight_decay=0.1, **options), 3)
    np.testing.assert_allclose(whole.array[:3], head.array, rtol=1e-13)
    np.testing.assert_allclose(whole.array[-3:], tail.array, rtol=1e-13)
    np.testing.assert_allclose(whole.array[:35].reshape(5, 7).T, wide.array, rtol=1e-13)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS.items())
def test_a_snapshot_goes_on_where_it_was_taken(name, options):
    x = parameter([3.0, -2.0])
    optimizer = getattr(topic, name)([x], weight_decay=0.1, **options)
    take_steps(optimizer, 4)
    snapshot, y = optimizer.state_dict(), parameter(x.array)
    frozen = copy.deepcopy(snapshot)
    take_steps(optimizer, 4)
    np.testing.assert_equal(snapshot, frozen, err_msg="later steps must not change the snapshot")
    resumed = getattr(topic, name)([y], lr=5.0)
    resumed.load_state_dict(snapshot)
    take_steps(resumed, 4)
    np.testing.assert_array_equal(x.array, y.array)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS.items())
def test_a_snapshot_goes_on_in_any_layout_of_memory(name, options):
    """A state loaded in another order of memory must not be updated in a copy and lost."""
    x = parameter(np.arange(6.0).reshape(2, 3))
    optimizer = getattr(topic, name)([x], weight_decay=0.1, **options)
    take_steps(optimizer, 4)
    snapshot, y = optimizer.state_dict(), parameter(x.array)
    for entry in snapshot["state"].values():
        entry.update({k: np.asfortranarray(v) for k, v in entry.items() if isinstance(v, np.ndarray)})
    resumed = getattr(topic, name)([y], lr=5.0)
    resumed.load_state_dict(snapshot)
    take_steps(optimizer, 4)
    take_steps(resumed, 4)
    np.testing.assert_array_equal(x.array, y.array)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS.items())
def test_what_has_no_gradient_stays(name, options):
    x, y = parameter([1.0]), parameter([1.0])
    y.grad = Tensor(np.ones(1))
    getattr(topic, name)([x, y], weight_decay=0.1, **options).step()
    assert x.array[0] == 1 and y.array[0] != 1


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS.items())
def test_groups_keep_their_own_hyperparameters(name, options):
    x, y, z = parameter([3.0]), parameter([3.0]), parameter([3.0])
    optimizer = getattr(topic, name)(
        [{"params": x}, {"params": [y], "lr": 0.0, "weight_decay": 0}], **options
    )
    optimizer.add_param_group({"params": [z], "lr": 0.2})
    take_steps(optimizer)
    assert y.array[0] == 3
    assert 3 - z.array[0] == pytest.approx(2 * (3 - x.array[0]), rel=1e-6)


@given(st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_adam_does_not_feel_the_scale_of_the_loss(scale):
    x, y = parameter([3.0, -2.0]), parameter([3.0, -2.0])
    take_steps(topic.Adam([x], lr=0.1, eps=0.0), 10)
    take_steps(topic.Adam([y], lr=0.1, eps=0.0), 10, gradient=lambda theta: scale * theta)
    np.testing.assert_allclose(x.array, y.array, rtol=1e-10)


def test_adamw_shrinks_all_weights_alike_and_adam_does_not():
    moved = {}
    for name in ("Adam", "AdamW"):
        x = parameter([1.0, 1.0])
        optimizer = getattr(topic, name)([x], lr=0.1, weight_decay=0.5)
        take_steps(optimizer, gradient=lambda theta: np.array([1.0, 100.0]))
        moved[name] = x.array
    np.testing.assert_allclose(moved["AdamW"], 1 * (1 - 0.1 * 0.5) - 0.1)
    np.testing.assert_allclose(moved["Adam"], 1 - 0.1, rtol=1e-6)


def test_adamw_stays_decoupled_when_adam_wrote_the_snapshot():
    x = parameter([1.0])
    source, target = topic.Adam([x], weight_decay=0.1), topic.AdamW([x])
    target.load_state_dict(source.state_dict())
    assert target.param_groups[0]["decoupled_weight_decay"] is True
    assert target.param_groups[0]["weight_decay"] == 0.1


def test_the_closure_is_called_once_with_gradients_on_and_its_loss_returned():
    x, calls = parameter([2.0]), []
    optimizer = topic.SGD([x], lr=0.25)

    def closure():
        calls.append(1)
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    with no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4 and len(calls) == 1 and x.array[0] == 1


def test_zero_grad_forgets_or_sets_to_zero():
    x = parameter([1.0])
    optimizer = topic.SGD([x])
    x.grad = Tensor(np.ones(1))
    optimizer.zero_grad(set_to_none=False)
    assert x.grad.array[0] == 0
    optimizer.zero_grad()
    assert x.grad is None


def test_a_graph_from_before_the_step_is_refused_after_it():
    x = parameter([2.0])
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    topic.SGD([x], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_step_changes_the_array_in_place():
    x = parameter([2.0])
    array = x.array
    take_steps(topic.Adam([x]))
    assert x.array is array


def bad_hyperparameters():
    for name in OPTIMIZERS:
        yield name, {"lr": -1.0}
        yield name, {"weight_decay": -1.0}
    for name in ("Adagrad", "RMSprop", "Adam", "AdamW", "NAdam"):
        yield name, {"eps": -1.0}
    for name in ("Adam", "AdamW", "NAdam"):
        yield name, {"betas": (1.0, 0.9)}
        yield name, {"betas": (0.9, -0.1)}
    yield "SGD", {"momentum": -1.0}
    yield "SGD", {"nesterov": True}
    yield "SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}
    yield "Adagrad", {"lr_decay": -1.0}
    yield "Adagrad", {"initial_accumulator_value": -1.0}
    yield "RMSprop", {"alpha": -1.0}
    yield "RMSprop", {"momentum": -1.0}
    yield "NAdam", {"momentum_decay": -1.0}


@pytest.mark.parametrize(("name", "options"), list(bad_hyperparameters()))
def test_bad_hyperparameters_are_refused_in_the_words_of_torch(name, options):
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError) as theirs:
        getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)], **options)
    with pytest.raises(ValueError) as ours:
        getattr(topic, name)([parameter([0.0])], **options)
    assert str(ours.value).startswith(str(theirs.value).rstrip("."))
    with pytest.raises(ValueError) as in_a_group:
        getattr(topic, name)([{"params": [parameter([0.0])], **options}])
    assert str(in_a_group.value) == str(ours.value)


def test_learning_rates_must_be_numbers():
    with pytest.raises(ValueError, match="Invalid learning rate: nan"):
        topic.SGD([parameter([0.0])], lr=math.nan)


@pytest.mark.parametrize("switch", ["foreach", "fused", "capturable", "differentiable"])
def test_switches_between_kernels_are_not_offered(switch):
    with pytest.raises(TypeError, match=switch):
        topic.Adam([parameter([0.0])], **{switch: True})


def test_bad_parameters_are_refused():
    x = parameter([1.0])
    with pytest.raises(TypeError, match="iterable of Tensors or dicts"):
        topic.SGD(x)
    with pytest.raises(ValueError, match="empty parameter list"):
        topic.SGD([])
    with pytest.raises(TypeError, match="can only optimize Tensors, but one of the params is ndarray"):
        topic.SGD([np.ones(1)])
    with pytest.raises(ValueError, match="non-leaf"):
        topic.SGD([x * 2.0])
    with pytest.raises(TypeError, match="set"):
        topic.SGD([{"params": {x}}])
    with pytest.raises(ValueError, match="more than one parameter group"):
        topic.SGD([{"params": [x]}, {"params": [x]}])
    with pytest.raises(KeyError, match="params"):
        topic.SGD([{"lr": 0.1}])
    with pytest.raises(TypeError, match="must be a dict"):
        topic.SGD([x]).add_param_group([x])
    with pytest.warns(UserWarning, match="duplicate"):
        topic.SGD([x, x])


def test_a_gradient_of_another_shape_is_refused():
    x = parameter([1.0, 2.0])
    x.grad = Tensor(np.ones(1))
    with pytest.raises(ValueError, match=r"\(2,\), got \(1,\)"):
        topic.SGD([x]).step()


def test_snapshots_that_do_not_fit_are_refused():
    x, y = parameter([1.0]), parameter([1.0, 2.0])
    optimizer = topic.Adam([x])
    take_steps(optimizer)
    snapshot = optimizer.state_dict()
    with pytest.raises(ValueError, match="different number of parameter groups"):
        topic.Adam([{"params": [x]}, {"params": [y]}]).load_state_dict(snapshot)
    with pytest.raises(ValueError, match="doesn't match the size"):
        topic.Adam([x, y]).load_state_dict(snapshot)
    with pytest.raises(ValueError, match=r"'exp_avg' has shape \(1,\), its parameter has \(2,\)"):
        topic.Adam([y]).load_state_dict(snapshot)


# The schedules


def rates(schedule, n, **options):
    """The learning rates of n + 1 epochs, from 1 on."""
    optimizer = topic.SGD([parameter([0.0])], lr=1.0)
    scheduler = getattr(topic, schedule)(optimizer, **options)
    seen = [scheduler.get_last_lr()[0]]
    for _ in range(n):
        optimizer.step()
        scheduler.step()
        seen.append(scheduler.get_last_lr()[0])
    assert optimizer.param_groups[0]["lr"] == seen[-1]
    return np.array(seen)


def test_step_rule_falls_at_multiples_only():
    falls = [step_rule(1.0, epoch, step_size=3, gamma=0.5) for epoch in range(7)]
    assert falls == [1, 1, 1, 0.5, 1, 1, 0.5]


def test_linear_rule_is_the_ratio_of_two_points_on_the_line():
    line = {"start_factor": 0.2, "end_factor": 1.0, "total_iters": 4}
    assert linear_rule(0.4, 2, **line) == pytest.approx(0.6)
    assert linear_rule(0.7, 5, **line) == 0.7


def test_cosine_rule_goes_down_and_up_again():
    wave = {"base_lr": 1.0, "T_max": 2, "eta_min": 0.0}
    assert cosine_rule(1.0, 1, **wave) == pytest.approx(0.5)
    assert cosine_rule(0.5, 2, **wave) == pytest.approx(0.0, abs=1e-15)
    assert cosine_rule(0.0, 3, **wave) == pytest.approx(0.5)


def test_anneal_runs_from_start_to_end():
    for strategy, middle in (("cos", 0.5 + math.sqrt(0.125)), ("linear", 0.75)):
        ends = [anneal(1.0, 0.0, fraction, strategy) for fraction in (0.0, 0.25, 1.0)]
        np.testing.assert_allclose(ends, [1, middle, 0], atol=1e-15)


def test_the_recursions_equal_their_closed_forms():
    k = np.arange(13)
    np.testing.assert_allclose(rates("StepLR", 12, step_size=4, gamma=0.5), 0.5 ** (k // 4))
    np.testing.assert_allclose(rates("ExponentialLR", 12, gamma=0.9), 0.9**k)
    np.testing.assert_allclose(
        rates("LinearLR", 12, start_factor=0.5, end_factor=0.1, total_iters=8), 0.5 - 0.05 * np.minimum(k, 8)
    )
    wave = 0.1 + 0.45 * (1 + np.cos(np.pi * k / 5))
    np.testing.assert_allclose(rates("CosineAnnealingLR", 12, T_max=5, eta_min=0.1), wave)


def test_one_cycle_climbs_and_falls_while_the_momentum_does_the_opposite():
    optimizer = topic.Adam([parameter([0.0])])
    scheduler = topic.OneCycleLR(optimizer, max_lr=1.0, total_steps=11, pct_start=0.5)
    group, seen = optimizer.param_groups[0], []
    for _ in range(10):
        seen.append((group["lr"], group["betas"][0]))
        optimizer.step()
        scheduler.step()
    seen.append((group["lr"], group["betas"][0]))
    lrs, betas = np.array(seen).T
    np.testing.assert_allclose([lrs[0], lrs[-1]], [1 / 25, 1 / 250_000])
    np.testing.assert_allclose([betas[0], betas.min(), betas[-1]], [0.95, 0.85, 0.95], atol=1e-2)
    peak = int(lrs.argmax())
    assert (np.diff(lrs[: peak + 1]) > 0).all() and (np.diff(lrs[peak:]) < 0).all()
    assert group["betas"][1] == 0.999


def test_one_cycle_ends():
    optimizer = topic.SGD([parameter([0.0])])
    scheduler = topic.OneCycleLR(optimizer, max_lr=1.0, total_steps=4)
    optimizer.step()
    with pytest.raises(ValueError, match="Tried to step 5 times"):
        for _ in range(5):
            scheduler.step()


def test_schedules_can_be_chained():
    optimizer = topic.SGD([parameter([0.0])], lr=1.0)
    chain = [topic.ExponentialLR(optimizer, 0.5), topic.LinearLR(optimizer, 0.5, total_iters=1)]
    optimizer.step()
    for scheduler in chain:
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        ("StepLR", {"step_size": 3}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("LinearLR", {"total_iters": 9}),
        ("CosineAnnealingLR", {"T_max": 4}),
        ("OneCycleLR", {"max_lr": 0.3, "total_steps": 20}),
    ],
)
def test_a_schedule_resumes_from_its_snapshot(schedule, options):
    expected = rates(schedule, 12, **options)
    optimizer = topic.SGD([parameter([0.0])], lr=1.0)
    scheduler = getattr(topic, schedule)(optimizer, **options)
    optimizer.step()
    for _ in range(5):
        scheduler.step()
    resumed = topic.SGD([parameter([0.0])], lr=1.0)
    again = getattr(topic, schedule)(resumed, **options)
    resumed.load_state_dict(optimizer.state_dict())
    again.load_state_dict(scheduler.state_dict())
    resumed.step()
    for epoch in range(6, 13):
        again.step()
        assert resumed.param_groups[0]["lr"] == pytest.approx(expected[epoch], rel=1e-12)


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        ("StepLR", {"step_size": 4}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("LinearLR", {}),
        ("CosineAnnealingLR", {"T_max": 4}),
        ("OneCycleLR", {"max_lr": 0.3, "total_steps": 20}),
    ],
)
def test_resuming_at_an_epoch_follows_torch(schedule, options):
    torch = pytest.importorskip("torch")
    seen = []
    for library, schedules, p in (
        (topic, topic, parameter([0.0])),
        (torch.optim, torch.optim.lr_scheduler, torch.zeros(1, requires_grad=True)),
    ):
        group = {"params": [p], "lr": 0.05, "initial_lr": 0.1, "max_lr": 0.3, "min_lr": 1e-6}
        optimizer = library.SGD([{**group, "max_momentum": 0.95, "base_momentum": 0.85}], momentum=0.9)
        scheduler = getattr(schedules, schedule)(optimizer, **options, last_epoch=2)
        lrs = [optimizer.param_groups[0]["lr"]]
        optimizer.step()
        for _ in range(3):
            scheduler.step()
            lrs.append(scheduler.get_last_lr()[0])
        seen.append(lrs)
    np.testing.assert_allclose(*seen, rtol=1e-12)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS.items())
def test_an_older_snapshot_lacks_an_option_and_takes_its_default(name, options):
    optimizer = getattr(topic, name)([parameter([1.0])], **options)
    take_steps(optimizer, 2)
    snapshot = optimizer.state_dict()
    del snapshot["param_groups"][0]["maximize"]
    resumed = getattr(topic, name)([parameter([1.0])], **options)
    resumed.load_state_dict(snapshot)
    take_steps(resumed)
    assert resumed.param_groups[0]["maximize"] is False


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_snapshot_with_a_bad_hyperparameter_is_refused_and_changes_nothing(name):
    optimizer = getattr(topic, name)([parameter([1.0])], lr=0.1)
    snapshot = optimizer.state_dict()
    snapshot["param_groups"][0]["lr"] = -1.0
    with pytest.raises(ValueError, match="Invalid learning rate: -1.0"):
        optimizer.load_state_dict(snapshot)
    assert optimizer.param_groups[0]["lr"] == 0.1


RESUMABLE = {
    "StepLR": {"step_size": 3},
    "ExponentialLR": {"gamma": 0.9},
    "LinearLR": {"total_iters": 5},
    "CosineAnnealingLR": {"T_max": 4},
    "OneCycleLR": {"max_lr": 0.3, "total_steps": 20},
}


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 6])
@pytest.mark.parametrize(("schedule", "options"), RESUMABLE.items())
def test_resuming_from_the_optimizer_alone_changes_no_rate(schedule, options, epochs):
    """After k calls of `step` one resumes at last_epoch = k - 1, also where the rate has just been multiplied."""
    optimizer = topic.SGD([parameter([0.0])], lr=0.1, momentum=0.9)
    scheduler = getattr(topic, schedule)(optimizer, **options)
    take_schedule(optimizer, scheduler, epochs)
    resumed = topic.SGD([parameter([0.0])], lr=0.1, momentum=0.9)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    again = getattr(topic, schedule)(resumed, **options, last_epoch=epochs - 1)
    for _ in range(3):
        assert resumed.param_groups[0]["lr"] == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        take_schedule(optimizer, scheduler, 1)
        take_schedule(resumed, again, 1)


def take_schedule(optimizer, scheduler, epochs):
    for _ in range(epochs):
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(("schedule", "options"), list(RESUMABLE.items())[:4])
def test_a_group_that_joins_later_follows_the_schedule(schedule, options):
    import torch

    rates = []
    for library, schedules, make in (
        (topic, topic, lambda: parameter([0.0])),
        (torch.optim, torch.optim.lr_scheduler, lambda: torch.zeros(1, requires_grad=True)),
    ):
        optimizer = library.SGD([make()], lr=0.1)
        scheduler = getattr(schedules, schedule)(optimizer, **options)
        optimizer.add_param_group({"params": [make()], "lr": 1.0})
        take_schedule(optimizer, scheduler, 4)
        rates.append([group["lr"] for group in optimizer.param_groups])
    np.testing.assert_allclose(*rates, rtol=1e-12)


def test_a_group_that_joins_one_cycle_must_bring_its_rates():
    optimizer = topic.SGD([parameter([0.0])], lr=0.1, momentum=0.9)
    scheduler = topic.OneCycleLR(optimizer, max_lr=0.3, total_steps=20)
    optimizer.add_param_group({"params": [parameter([0.0])]})
    optimizer.step()
    with pytest.raises(KeyError, match="joins during OneCycleLR must bring .*max_lr, min_lr, max_momentum"):
        scheduler.step()


def test_a_gradient_that_writes_into_its_argument_is_refused():
    def written_in_place(x):
        x -= 3.0
        return x

    with pytest.raises(ValueError, match="gradient must not change its argument in place"):
        topic.gradient_descent(written_in_place, [10.0], step_size=0.1, n_steps=200)


def test_a_gradient_may_reuse_its_array():
    buffer = np.empty(1)
    result = topic.gradient_descent(
        lambda x: np.subtract(x, 3.0, out=buffer), [10.0], step_size=0.1, n_steps=200
    )
    assert result.x[0] == pytest.approx(3, abs=1e-6)


def test_schedules_refuse_what_makes_no_sense():
    optimizer = topic.SGD([parameter([0.0])], lr=1.0)
    for name, options, message in (
        ("StepLR", {"step_size": 0}, "step_size"),
        ("CosineAnnealingLR", {"T_max": 0}, "T_max"),
        ("LinearLR", {"start_factor": 0.0}, "Starting multiplicative factor"),
        ("LinearLR", {"end_factor": 1.5}, "Ending multiplicative factor"),
        ("LinearLR", {"total_iters": 0}, "total_iters"),
        ("OneCycleLR", {"max_lr": 1.0}, "total_steps OR"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 0}, "positive integer total_steps"),
        ("OneCycleLR", {"max_lr": 1.0, "epochs": -1, "steps_per_epoch": 2}, "positive integer epochs"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "pct_start": 1.5}, "between 0 and 1 pct_start"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 10, "pct_start": 0.1}, "without length"),
        ("OneCycleLR", {"max_lr": [1.0, 2.0], "total_steps": 9}, "same length as optimizer.param_groups"),
    ):
        with pytest.raises(ValueError, match=message):
            getattr(topic, name)(optimizer, **options)
    with pytest.raises(TypeError):
        topic.StepLR("SGD", 3)
    with pytest.raises(ValueError, match="must support momentum"):
        topic.OneCycleLR(topic.Adagrad([parameter([0.0])]), max_lr=1.0, total_steps=9)
    with pytest.raises(KeyError, match="initial_lr"):
        topic.ExponentialLR(topic.SGD([parameter([0.0])]), 0.9, last_epoch=3)


def test_a_schedule_before_the_optimizer_warns_once():
    scheduler = topic.ExponentialLR(topic.SGD([parameter([0.0])]), 0.9)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()


# Against torch, and where it breaks


def test_the_limits_of_momentum_are_where_the_larger_root_passes_minus_one():
    for nesterov in (True, False):
        limit = theory.step_limit(0.9, nesterov=nesterov)
        assert theory.predicted_momentum_factor(step=limit, beta=0.9, nesterov=nesterov) == pytest.approx(1)
        above = theory.predicted_momentum_factor(step=1.01 * limit, beta=0.9, nesterov=nesterov)
        assert above > 1
        measured = broken.steepest_factor(
            np.random.default_rng(0), step=1.01 * limit, beta=0.9, nesterov=nesterov
        )
        assert measured == pytest.approx(above, rel=1e-6)
    with pytest.raises(ValueError, match="roots are complex"):
        theory.predicted_momentum_factor(step=1.5, beta=0.9, nesterov=False)


def test_the_steepest_curvature_is_that_of_the_reference():
    hessian, largest, direction = theory.steepest_curvature()
    assert largest == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-12)
    np.testing.assert_allclose(hessian @ direction, largest * direction, atol=1e-10)


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy
