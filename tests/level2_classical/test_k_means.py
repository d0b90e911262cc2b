"""k-means: the exercises in the order of the topic's functions, then the estimator, the reference, the failures."""

import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.cluster import KMeans as Reference
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from level2_classical import k_means
from level2_classical.failure_modes.k_means import (
    FAILURE_MODES,
    UNEQUAL,
    UNLUCKY_START,
    misplaced_by_formula,
    share_misplaced,
    stuck_probability,
)
from level2_classical.k_means import KMeans, MiniBatchKMeans, silhouette_score
from level2_classical.parts.k_means import elkan, one_pass

X = np.array([[0.0, 0.0], [0.0, 2.0], [10.0, 0.0], [10.0, 2.0], [10.0, 4.0]])
CENTERS = np.array([[0.0, 1.0], [9.0, 1.0]])
LABELS = np.array([0, 0, 1, 1, 1])


@pytest.fixture
def blobs():
    """600 points around six centers in eight dimensions, with weights."""
    rng = np.random.default_rng(7)
    points = rng.normal(0, 4, (6, 8))[rng.integers(6, size=600)] + rng.standard_normal((600, 8))
    return points, rng.uniform(0.2, 3.0, 600)


# In one breath.


def test_plain_lloyd_ends_at_the_mean_of_each_group():
    centers, labels = k_means.plain_lloyd(X, CENTERS)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_allclose(centers, [[0, 1], [10, 2]])


def test_plain_lloyd_goes_on_until_nothing_moves():
    line = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [20.0]])
    centers, _ = k_means.plain_lloyd(line, np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(centers, [[2], [20]], err_msg="one step is not enough here")


def test_plain_start_takes_points_of_every_far_group():
    far = np.array([[0.0], [0.001], [100.0], [100.001], [200.0]])
    for seed in range(20):
        centers = k_means.plain_start(far, 3, np.random.default_rng(seed))
        assert set(np.round(centers[:, 0] / 100)) == {0, 1, 2}, "one center for each far group"


def test_plain_start_draws_in_proportion_to_squared_distance():
    line = np.array([[0.0], [1.0], [3.0]])
    rng = np.random.default_rng(0)
    second = [tuple(k_means.plain_start(line, 2, rng)[:, 0]) for _ in range(6000)]
    share = second.count((0, 3)) / sum(first == 0 for first, _ in second)
    assert share == pytest.approx(0.9, abs=0.03), "from 0, the point 3 is nine times as likely as the point 1"


@pytest.mark.parametrize("rung", ["plain_lloyd", "lloyd", "one pass", "elkan"])
def test_all_rungs_end_in_the_same_place(blobs, rung):
    points, _ = blobs
    start = points[:6]
    passes = {
        "one pass": one_pass.OnePass(points, None, 6),
        "elkan": elkan.ElkanPass(points, None, start),
    }
    expected = k_means.plain_lloyd(points, start)
    run = (
        expected if rung == "plain_lloyd" else k_means.lloyd(points, None, start, passes=passes.get(rung))[:2]
    )
    np.testing.assert_array_equal(run[1], expected[1])
    np.testing.assert_allclose(run[0], expected[0], atol=1e-12)


# The functions, one by one.


def test_nearest_center_labels_each_point():
    np.testing.assert_array_equal(k_means.nearest_center(X, CENTERS), LABELS)


def test_nearest_center_labels_the_last_of_many_points():
    """More points than are worked on at a time: copies of a set have its labels."""
    often = 1 + 2 * one_pass.CHUNK // len(X)
    np.testing.assert_array_equal(
        k_means.nearest_center(np.tile(X, (often, 1)), CENTERS), np.tile(LABELS, often)
    )


def test_nearest_center_gives_a_tie_to_the_lower_index():
    middle = np.array([[0.0, 0.0]])
    np.testing.assert_array_equal(k_means.nearest_center(middle, np.array([[1.0, 0.0], [-1.0, 0.0]])), [0])


def test_sums_by_label_adds_weighted_points():
    weight = np.array([1.0, 2.0, 1.0, 1.0, 3.0])
    sums, mass = k_means.sums_by_label(X, weight, LABELS, 3)
    np.testing.assert_allclose(sums, [[0, 4], [50, 14], [0, 0]])
    np.testing.assert_allclose(mass, [3, 5, 0])


def test_sums_by_label_without_weights_counts_points():
    sums, mass = k_means.sums_by_label(X, None, LABELS, 2)
    np.testing.assert_allclose(sums, [[0, 2], [30, 6]])
    np.testing.assert_allclose(mass, [2, 3])


def test_sums_keep_the_precision():
    sums, mass = k_means.sums_by_label(X.astype(np.float32), None, LABELS, 2)
    assert sums.dtype == np.float32
    assert mass.dtype == np.float32


def test_assign_and_sum_counts_a_tied_point_once():
    labels, _, mass = k_means.assign_and_sum(np.zeros((1, 1)), None, np.array([[1.0], [-1.0]]))
    assert (labels[0], mass.sum()) == (0, 1), "a point between two centers belongs to the first, once"


def test_inertia_is_the_weighted_sum_of_squared_distances():
    assert k_means.inertia_of(X, None, CENTERS, LABELS) == pytest.approx(1 + 1 + 2 + 2 + 10)
    weight = np.array([1.0, 1.0, 1.0, 1.0, 0.5])
    assert k_means.inertia_of(X, weight, CENTERS, LABELS) == pytest.approx(1 + 1 + 2 + 2 + 5)


def test_update_centers_takes_weighted_means():
    sums, mass = np.array([[0.0, 4.0], [50.0, 14.0]]), np.array([3.0, 5.0])
    moved = k_means.update_centers(X, None, CENTERS, LABELS, sums, mass)
    np.testing.assert_allclose(moved, [[0, 4 / 3], [10, 2.8]])


def test_update_centers_restarts_an_empty_cluster_at_the_farthest_point():
    centers = np.array([[5.0, 1.0], [99.0, 99.0]])
    labels = np.zeros(5, dtype=int)
    moved = k_means.update_centers(
        X, None, centers, labels, np.array([[30.0, 8.0], [0.0, 0.0]]), np.array([5.0, 0.0])
    )
    np.testing.assert_allclose(moved[1], [10, 4], err_msg="the farthest point is (10, 4)")
    np.testing.assert_allclose(moved[0], [5, 1], err_msg="the point was taken away from its old cluster")


def test_a_restarted_cluster_takes_the_points_weight_with_it():
    centers, labels = np.array([[5.0, 1.0], [99.0, 99.0]]), np.zeros(5, dtype=int)
    weight = np.array([1.0, 2.0, 1.0, 1.0, 3.0])
    sums, mass = np.array([weight @ X, [0.0, 0.0]]), np.array([weight.sum(), 0.0])
    moved = k_means.update_centers(X, weight, centers, labels, sums, mass)
    far = np.argmax(((X - centers[0]) ** 2).sum(axis=1))
    left = np.arange(5) != far
    np.testing.assert_allclose(moved[0], np.average(X[left], axis=0, weights=weight[left]))
    np.testing.assert_allclose(moved[1], X[far])


def test_an_empty_cluster_stays_where_no_point_is_away_from_its_center():
    same, centers = np.full((3, 2), 4.0), np.array([[4.0, 4.0], [7.0, 7.0]])
    sums, mass = np.array([[12.0, 12.0], [0.0, 0.0]]), np.array([3.0, 0.0])
    moved = k_means.update_centers(same, None, centers, np.zeros(3, dtype=int), sums, mass)
    np.testing.assert_array_equal(moved, centers)


def test_the_tolerance_is_for_the_sum_of_all_squared_moves(blobs):
    points, weight = blobs
    start = points[:6]
    once = k_means.lloyd(points, weight, start, max_iter=1, tol=0.0)
    moved = np.sum((once.centers - start) ** 2)
    above, below = (k_means.lloyd(points, weight, start, tol=moved * factor) for factor in (1.001, 0.999))
    assert above.n_iter == 1 and below.n_iter > 1, (above.n_iter, below.n_iter)


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
def test_iterations_end_at_a_fixed_point(blobs, algorithm):
    points, weight = blobs
    run = getattr(k_means, algorithm)(points, weight, points[:6])
    assert run.converged
    labels, sums, mass = k_means.assign_and_sum(points, weight, run.centers)
    np.testing.assert_array_equal(labels, run.labels)
    np.testing.assert_allclose(sums / mass[:, None], run.centers, atol=1e-9)


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
def test_iterations_that_are_cut_short_say_so(blobs, algorithm):
    assert not getattr(k_means, algorithm)(blobs[0], None, blobs[0][:6], max_iter=1).converged


def test_lloyd_never_raises_the_inertia(blobs):
    points, weight = blobs
    inertia = [k_means.lloyd(points, weight, points[:6], max_iter=m).inertia for m in range(1, 12)]
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in itertools.pairwise(inertia))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_lloyd_and_elkan_walk_the_same_path_even_through_ties(seed, k):
    rng = np.random.default_rng(seed)
    grid = rng.integers(0, 4, (60, 2)).astype(float)  # a grid is full of points between two centers
    start = grid[rng.choice(60, k, replace=False)]
    a = k_means.lloyd(grid, None, start, passes=one_pass.OnePass(grid, None, k))
    b = k_means.elkan(grid, None, start)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert a.n_iter == b.n_iter


def test_k_means_plus_plus_chooses_far_points():
    far = np.array([[0.0], [0.1], [100.0], [100.1], [200.0]])
    for seed in range(20):
        centers = k_means.k_means_plus_plus(far, None, 3, np.random.default_rng(seed))
        assert set(np.round(centers[:, 0] / 100)) == {0, 1, 2}, "one center for each far group"


def test_k_means_plus_plus_has_an_answer_where_every_point_lies_on_a_center():
    same = np.full((4, 2), 3.0)
    np.testing.assert_array_equal(
        k_means.k_means_plus_plus(same, None, 3, np.random.default_rng(0)), same[:3]
    )


def test_k_means_plus_plus_never_chooses_a_point_without_weight(blobs):
    points, weight = blobs
    weight = weight * (np.arange(len(points)) < 50)
    chosen = k_means.k_means_plus_plus(points, weight, 8, np.random.default_rng(0))
    assert all((points[:50] == center).all(axis=1).any() for center in chosen)


def test_k_means_plus_plus_is_as_good_a_start_as_the_references(blobs):
    from sklearn.cluster import kmeans_plusplus

    points, _ = blobs
    ours, theirs = np.empty(60), np.empty(60)
    for seed in range(60):
        start = k_means.k_means_plus_plus(points, None, 6, np.random.default_rng(seed))
        other, _ = kmeans_plusplus(points, 6, random_state=seed)
        ours[seed] = k_means.inertia_of(points, None, start, k_means.nearest_center(points, start))
        theirs[seed] = k_means.inertia_of(points, None, other, k_means.nearest_center(points, other))
    error = np.hypot(ours.std(), theirs.std()) / np.sqrt(60)
    assert abs(ours.mean() - theirs.mean()) < 4 * error, (
        "mean inertia of the starts, within 4 standard errors"
    )


def test_initial_centers_understands_every_form(blobs):
    points, weight = blobs
    rng = np.random.default_rng(0)
    for init in ("k-means++", "random", points[:4], lambda X, k, random_state: X[:k]):
        centers = k_means.initial_centers(init, points, weight, 4, rng)
        assert centers.shape == (4, 8)
        assert all(np.isclose(points, c).all(axis=1).any() for c in centers), f"init={init!r} left the data"


def test_mini_batch_step_keeps_each_center_at_the_mean_of_its_past(blobs):
    points, weight = blobs
    centers, mass = points[:3].copy(), np.zeros(3)
    total, past = np.zeros((3, 8)), np.zeros(3)
    for rows in (slice(0, 200), slice(200, 400)):
        labels = k_means.nearest_center(points[rows], centers)
        before = k_means.inertia_of(points[rows], weight[rows], centers, labels)
        assert k_means.mini_batch_step(points[rows], weight[rows], centers, mass) == pytest.approx(before)
        sums, batch = k_means.sums_by_label(points[rows], weight[rows], labels, 3)
        total, past = total + sums, past + batch
    np.testing.assert_allclose(centers, total / past[:, None])
    np.testing.assert_allclose(mass, past)


def test_reassign_small_moves_only_starved_centers(blobs):
    points, _ = blobs
    centers, mass = np.zeros((3, 8)), np.array([100.0, 0.1, 50.0])
    k_means.reassign_small(points, centers, mass, 0.01, np.random.default_rng(0))
    assert (points == centers[1]).all(axis=1).any(), "the starved center must restart on a point"
    assert not centers[0].any() and not centers[2].any(), "the others stay"
    np.testing.assert_allclose(mass, [100, 50, 50])


# What makes it fast.


def test_points_as_columns_appends_a_one_to_each_point():
    np.testing.assert_array_equal(one_pass.points_as_columns(X), np.column_stack([X, np.ones(5)]).T)


def test_points_as_columns_keeps_the_precision():
    assert one_pass.points_as_columns(X.astype(np.float32)).dtype == np.float32


def test_score_rows_give_squared_distances_less_the_points_own_square():
    expected = ((X[None] - CENTERS[:, None]) ** 2).sum(axis=2) - (X**2).sum(axis=1)
    np.testing.assert_allclose(
        one_pass.score_rows(CENTERS) @ np.column_stack([X, np.ones(5)]).T, expected, atol=1e-12
    )


def test_mark_nearest_marks_the_smallest_score_once():
    score = np.array([[1.0, 5.0, 2.0], [3.0, 4.0, 2.0]])
    one_hot = one_pass.mark_nearest(score)
    np.testing.assert_array_equal(one_hot, [[1, 0, 1], [0, 1, 0]], "a tie goes to the lower index")


@pytest.mark.parametrize("k", [2, one_pass.ONE_HOT_LIMIT + 5])
def test_the_fast_search_finds_the_plain_ones_labels(blobs, k):
    centers = blobs[0][:k] + 0.1
    np.testing.assert_array_equal(
        one_pass.nearest(blobs[0], centers), k_means.nearest_center(blobs[0], centers)
    )


def test_sorted_sums_are_the_plain_ones(blobs):
    points, weight = blobs
    labels = k_means.nearest_center(points, points[:7])
    for fast, plain in zip(
        one_pass.sorted_sums(points, weight, labels, 9),
        k_means.sums_by_label(points, weight, labels, 9),
        strict=True,
    ):
        np.testing.assert_allclose(fast, plain, atol=1e-10)


@pytest.mark.parametrize("k", [5, one_pass.ONE_HOT_LIMIT + 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_pass_moves_only_what_changed(blobs, k, weighted):
    points, weight = blobs
    w = weight if weighted else None
    passes = one_pass.OnePass(points, w, k)
    first, second = points[:k], points[k : 2 * k]
    for centers in (first, second, second + 0.1, first + 1e3 * np.eye(k, 8)):
        labels, sums, mass = passes(centers)
        fresh_labels, fresh_sums, fresh_mass = k_means.assign_and_sum(points, w, centers)
        np.testing.assert_array_equal(labels, fresh_labels)
        np.testing.assert_allclose(sums, fresh_sums, atol=1e-9)
        np.testing.assert_allclose(mass, fresh_mass, atol=1e-10)
        assert np.array_equal(mass == 0, fresh_mass == 0), "an emptied cluster must be seen to be empty"


def test_one_pass_counts_a_tied_point_once():
    labels, _, mass = one_pass.OnePass(np.zeros((1, 1)), None, 2)(np.array([[1.0], [-1.0]]))
    assert (labels[0], mass.sum()) == (0, 1), "a point between two centers belongs to the first, once"


def test_elkan_labels_bring_stale_labels_up_to_date(blobs):
    points, _ = blobs
    centers = points[:6]
    labels = np.zeros(len(points), dtype=np.int32)
    upper, lower = np.full(len(points), np.inf), np.zeros((len(points), 6))
    elkan.elkan_labels(points, centers, labels, upper, lower)
    distance = np.sqrt(((points[:, None] - centers) ** 2).sum(axis=2))
    np.testing.assert_array_equal(labels, distance.argmin(axis=1))
    np.testing.assert_allclose(upper, distance.min(axis=1), atol=1e-12)
    assert np.all(lower <= distance + 1e-12), "a lower bound must not exceed the distance"


# The estimators.


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
def test_same_start_gives_scikit_learns_answer(blobs, algorithm):
    points, weight = blobs
    options = {"init": points[:5], "n_init": 1, "algorithm": algorithm}
    ours = KMeans(5, **options).fit(points, sample_weight=weight)
    theirs = Reference(5, **options).fit(points, sample_weight=weight)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-9, atol=1e-12)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-9)
    assert ours.score(points) == pytest.approx(theirs.score(points), rel=1e-9)
    np.testing.assert_allclose(ours.transform(points), theirs.transform(points), rtol=1e-7)


@pytest.mark.filterwarnings("ignore:k-means stopped")
@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
@pytest.mark.parametrize(
    "options", [{"tol": 0.05}, {"max_iter": 1}, {"max_iter": 2}, {"max_iter": 3}], ids=str
)
def test_what_is_returned_belongs_to_the_last_centers(blobs, algorithm, options):
    model = KMeans(6, init=blobs[0][:6], algorithm=algorithm, **{"tol": 0, **options}).fit(blobs[0])
    np.testing.assert_array_equal(model.predict(blobs[0]), model.labels_, "stopped early, labels_ are stale")
    assert model.inertia_ == pytest.approx(-model.score(blobs[0]), rel=1e-9), (
        "stopped early, inertia_ is stale"
    )


@pytest.mark.parametrize("rung", ["lloyd", "elkan"])
@pytest.mark.parametrize("options", [{"tol": 0.5}, {"max_iter": 1}, {"max_iter": 3}], ids=str)
def test_an_iteration_that_stops_early_labels_its_last_centers(blobs, rung, options):
    run = getattr(k_means, rung)(blobs[0], None, blobs[0][:6], **options)
    expected = k_means.nearest_center(blobs[0], run.centers)
    np.testing.assert_array_equal(
        run.labels, expected, "the labels belong to the centers before the last move"
    )


FRAME_METHODS = ["fit_predict", "fit_transform", "predict", "transform", "score"]


def small_frame(points):
    return pd.DataFrame(points[:120], columns=list("abcdefgh"), index=np.arange(120)[::-1])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("estimator", "method"),
    [
        *itertools.product((KMeans, MiniBatchKMeans), (*FRAME_METHODS, "fit_twice")),
        (MiniBatchKMeans, "partial_fit"),
    ],
)
def test_data_frames_raise_no_warning(blobs, estimator, method):
    frame, weight = small_frame(blobs[0]), pd.Series(blobs[1][:120])
    model, plain = (estimator(3, random_state=0, tol=0.1) for _ in range(2))
    if method == "partial_fit":
        for _ in range(12):
            model.partial_fit(frame, sample_weight=weight)
            plain.partial_fit(frame.to_numpy(), sample_weight=weight.to_numpy())
    else:
        model.fit(frame, sample_weight=weight)
        plain.fit(frame.to_numpy(), sample_weight=weight.to_numpy())
    np.testing.assert_array_equal(model.labels_, plain.labels_)
    if method in FRAME_METHODS:
        np.testing.assert_array_equal(getattr(model, method)(frame), getattr(plain, method)(frame.to_numpy()))
    elif method == "fit_twice":
        assert not hasattr(model.fit(frame.to_numpy()), "feature_names_in_")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans])
def test_data_frames_raise_no_warning_in_company(blobs, estimator):
    frame = small_frame(blobs[0])
    pipeline = make_pipeline(StandardScaler(), estimator(3, random_state=0, tol=0.1))
    for output in ("default", "pandas"):
        pipeline.set_output(transform=output).fit(frame)
        assert pipeline.predict(frame).shape == (120,) and np.isfinite(pipeline.score(frame))
        assert isinstance(pipeline.transform(frame), pd.DataFrame) == (output == "pandas")
    search = GridSearchCV(estimator(random_state=0, tol=0.1), {"n_clusters": [2, 3]}, cv=2).fit(frame)
    assert search.transform(frame).shape == (120, search.best_params_["n_clusters"])


@pytest.mark.parametrize(
    ("name", "method"),
    [
        *itertools.product(("KMeans", "MiniBatchKMeans"), ("predict", "transform", "score")),
        ("MiniBatchKMeans", "partial_fit"),
    ],
)
def test_other_columns_are_met_as_scikit_learn_meets_them(blobs, name, method):
    import sklearn.cluster

    frame = small_frame(blobs[0])
    ours, theirs = (
        getattr(module, name)(3, random_state=0, n_init=1, tol=0.1).fit(frame)
        for module in (k_means, sklearn.cluster)
    )
    for other in (frame[list("bacdefgh")], frame[list("abc")], frame.rename(columns={"a": "z"})):
        with pytest.raises(ValueError, match="feature names should match") as expected:
            getattr(theirs, method)(other)
        with pytest.raises(ValueError, match="feature names should match") as raised:
            getattr(ours, method)(other)
        assert str(raised.value) == str(expected.value)
    for model in (ours, theirs):
        with pytest.warns(
            UserWarning, match=f"X does not have valid feature names, but {name} was fitted with"
        ):
            getattr(model, method)(frame.to_numpy())
        with pytest.warns(UserWarning, match=f"X has feature names, but {name} was fitted without"):
            getattr(model.fit(frame.to_numpy()), method)(frame)


def test_partial_fit_goes_on_after_fit(blobs):
    model = MiniBatchKMeans(6, random_state=0, reassignment_ratio=0.5).fit(blobs[0])
    for _ in range(40):  # long enough that starved centers are moved, which takes random numbers
        model._mass[:] = np.arange(1.0, 7)
        model.partial_fit(blobs[0][:50])
    assert np.isfinite(model.cluster_centers_).all()


# Data frames out.


@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans])
def test_set_output_gives_the_frames_of_scikit_learn(blobs, estimator):
    import sklearn.cluster

    frame = small_frame(blobs[0])
    ours, theirs = (
        cls(3, init=blobs[0][:3], n_init=1).set_output(transform="pandas").fit(frame)
        for cls in (estimator, getattr(sklearn.cluster, estimator.__name__))
    )
    theirs.cluster_centers_ = ours.cluster_centers_
    pd.testing.assert_frame_equal(ours.transform(frame), theirs.transform(frame), rtol=1e-9)
    np.testing.assert_array_equal(ours.get_feature_names_out(), theirs.get_feature_names_out())
    assert list(ours.fit_transform(frame).columns) == list(theirs.get_feature_names_out())
    assert isinstance(ours.predict(frame), np.ndarray)
    assert isinstance(clone(ours).fit(frame).transform(frame), pd.DataFrame)
    assert isinstance(pickle.loads(pickle.dumps(ours)).transform(frame), pd.DataFrame)
    assert isinstance(ours.set_output(transform="default").transform(frame), np.ndarray)


def test_set_output_in_a_pipeline(blobs):
    frame = small_frame(blobs[0])
    pipeline = (
        make_pipeline(StandardScaler(), KMeans(3, random_state=0)).set_output(transform="pandas").fit(frame)
    )
    assert list(pipeline.transform(frame).columns) == ["kmeans0", "kmeans1", "kmeans2"]
    assert pipeline.transform(frame).index.equals(frame.index)
    np.testing.assert_array_equal(pipeline.get_feature_names_out(), ["kmeans0", "kmeans1", "kmeans2"])


@pytest.mark.parametrize(
    "check",
    [
        "check_set_output_transform", "check_set_output_transform_pandas", "check_global_output_transform_pandas",
        "check_transformer_get_feature_names_out", "check_transformer_get_feature_names_out_pandas",
    ],
)  # fmt: skip
@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learns_checks_of_output(estimator, check):
    from sklearn.utils import estimator_checks  # not among those that check_estimator runs

    getattr(estimator_checks, check)(estimator.__name__, estimator(3))


def test_more_starts_never_end_worse(blobs):
    one, many = (KMeans(6, init="random", n_init=n, random_state=3).fit(blobs[0]).inertia_ for n in (1, 8))
    assert many <= one


def test_doubled_weight_is_a_doubled_point(blobs):
    points, _ = blobs
    weight = 1.0 + (np.arange(len(points)) % 3 == 0)
    doubled = np.vstack([points, points[weight == 2]])
    a = KMeans(4, init=points[:4]).fit(points, sample_weight=weight)
    b = KMeans(4, init=points[:4]).fit(doubled)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, atol=1e-4)


def test_float32_stays_float32(blobs):
    model = KMeans(3, random_state=0).fit(blobs[0].astype(np.float32))
    assert model.cluster_centers_.dtype == np.float32 and model.transform(blobs[0]).dtype == np.float32


def test_mini_batches_come_close_to_full_batches(blobs):
    full = KMeans(6, n_init=5, random_state=0).fit(blobs[0]).inertia_
    mini = MiniBatchKMeans(6, batch_size=100, n_init=5, random_state=0).fit(blobs[0])
    assert full <= mini.inertia_ < 1.15 * full
    assert mini.n_steps_ >= 2


def test_partial_fit_continues(blobs):
    model = MiniBatchKMeans(6, random_state=0)
    model.partial_fit(blobs[0][:100])
    first = model.cluster_centers_.copy()
    model.partial_fit(blobs[0][100:])
    assert model.n_steps_ == 2 and not np.array_equal(first, model.cluster_centers_)


@pytest.mark.parametrize("metric", ["euclidean", "precomputed"])
def test_silhouette_equals_scikit_learns(blobs, metric):
    from sklearn.metrics import pairwise_distances
    from sklearn.metrics import silhouette_score as reference

    points, _ = blobs
    labels = KMeans(5, random_state=0).fit(points).labels_.astype(str)
    labels[0] = "alone"
    data = pairwise_distances(points) if metric == "precomputed" else points
    assert silhouette_score(data, labels, metric=metric) == pytest.approx(
        reference(data, labels, metric=metric), abs=1e-8
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_clusters": 0}, "n_clusters must be an integer in"),
        ({"n_clusters": 6}, "n_samples=5 should be >= n_clusters=6"),
        ({"n_clusters": 2, "init": "best"}, "init must be one of 'k-means\\+\\+', 'random'; got 'best'"),
        (
            {"n_clusters": 2, "init": np.zeros((3, 2))},
            r"init must have one row for each cluster.*got \(3, 2\)",
        ),
        ({"n_clusters": 2, "algorithm": "hamerly"}, "algorithm must be one of 'lloyd', 'elkan'"),
        ({"n_clusters": 2, "tol": -1}, "tol must be a number in"),
        ({"n_clusters": 2, "n_init": "some"}, "n_init must be one of 'auto'"),
        ({"n_clusters": 2, "max_iter": 0}, "max_iter must be an integer in"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        KMeans(**parameters).fit(X)


@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans])
def test_bad_frames_are_told_by_column_and_row(estimator):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "a": range(5),
            "b": [1, 2, 3, np.nan, 5],
            "when": pandas.date_range("2020-01-30", periods=5),
            "d": list("12x45"),
        }
    )
    for columns, error, message in (
        (["when"], TypeError, "X must hold numbers, got dates: '2020-01-30.* in column 'when', row 0"),
        (["a", "d"], ValueError, "X must hold numbers, got text: 'x' in column 'd', row 2"),
        (["a", "b"], ValueError, "X contains NaN in column 'b', row 3"),
    ):
        with pytest.raises(error, match=message):
            estimator(2).fit(frame[columns])


def test_bad_silhouette_labels_are_named():
    with pytest.raises(ValueError, match="2 to n_samples - 1 = 4 distinct values, got 1"):
        silhouette_score(X, [0] * 5)


def test_stopping_early_warns_and_names_the_remedy(blobs):
    with pytest.warns(UserWarning, match="raise max_iter or tol"):
        KMeans(6, max_iter=1, tol=0, random_state=0).fit(blobs[0])


def test_duplicate_points_warn():
    with pytest.warns(UserWarning, match="distinct clusters .1. found smaller than n_clusters .2."):
        KMeans(2, random_state=0).fit(np.ones((5, 2)))


@pytest.mark.parametrize(
    ("estimator", "mirrored"),
    [(KMeans(), Reference()), (MiniBatchKMeans(), Reference())],
    ids=["KMeans", "MiniBatchKMeans"],
)
def test_passes_every_check_that_the_mirrored_class_passes(failed_checks, estimator, mirrored):
    failed, excused = failed_checks(estimator), failed_checks(mirrored)
    assert not {name: message for name, message in failed.items() if name not in excused}


def test_works_in_pipeline_clone_and_grid_search(blobs):
    pipeline = make_pipeline(StandardScaler(), KMeans(random_state=0))
    search = GridSearchCV(clone(pipeline), {"kmeans__n_clusters": [2, 6]}, cv=3).fit(blobs[0])
    assert search.best_params_ == {"kmeans__n_clusters": 6}


# What is returned belongs together, in any unit, whatever rows count for nothing


def belongs_together(model, X, sample_weight=None):
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    assert model.inertia_ == pytest.approx(-model.score(X, sample_weight=sample_weight), rel=1e-9)


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
@pytest.mark.parametrize(
    "stop", [{"max_iter": 1}, {"max_iter": 2}, {"max_iter": 3}, {"tol": 1e-2}, {"tol": 0}], ids=str
)
def test_labels_belong_to_the_centers_that_are_returned(blobs, algorithm, stop):
    points, weight = blobs
    for seed in range(5):
        model = KMeans(6, init="random", n_init=1, random_state=seed, algorithm=algorithm, **stop)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(points, sample_weight=weight)
        belongs_together(model, points, weight)


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
def test_a_center_that_has_just_restarted_is_not_the_end(algorithm):
    line = np.array([0, 0, 0, 10, 10, 20, 21.0])[:, None]
    start = np.array([1, 14, 100, 20.5])[:, None]
    belongs_together(KMeans(4, init=start, n_init=1, tol=0, algorithm=algorithm).fit(line), line)


def test_several_empty_clusters_take_the_farthest_points_in_order():
    line = np.array([[0.0], [1.0], [10.0], [30.0]])
    centers, labels = np.array([[0.0], [90.0], [91.0]]), np.zeros(4, int)
    sums, mass = k_means.sums_by_label(line, None, labels, 3)
    moved = k_means.update_centers(line, None, centers, labels, sums, mass)
    np.testing.assert_allclose(
        moved[1:, 0], [30, 10], err_msg="the farthest point goes to the first empty cluster"
    )
    assert moved[0, 0] == 0.5, "and both are taken from the cluster that they came from"


def test_an_empty_cluster_takes_its_point_with_its_weight():
    line, weight = np.array([[0.0], [2.0], [30.0]]), np.array([1.0, 1.0, 5.0])
    labels = np.zeros(3, int)
    sums, mass = k_means.sums_by_label(line, weight, labels, 2)
    moved = k_means.update_centers(line, weight, np.array([[0.0], [90.0]]), labels, sums, mass)
    np.testing.assert_allclose(moved[:, 0], [1, 30])


def test_where_every_point_lies_on_its_center_an_empty_cluster_stays():
    twins, labels = np.array([[1.0], [1.0], [5.0]]), np.array([0, 0, 1])
    centers = np.array([[1.0], [5.0], [9.0]])
    sums, mass = k_means.sums_by_label(twins, None, labels, 3)
    np.testing.assert_array_equal(k_means.update_centers(twins, None, centers, labels, sums, mass), centers)


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
@pytest.mark.parametrize("scale", [1e-170, 1e-30, 1e25, 1e155, 1e180], ids=str)
def test_two_clusters_are_two_clusters_in_every_unit(scale, algorithm):
    rng = np.random.default_rng(0)
    two = np.r_[rng.normal(0, 1, (20, 2)), rng.normal(10, 1, (20, 2))]
    for dtype in (np.float64, np.float32):
        if dtype is np.float32 and not 1e-31 < scale < 1e26:
            continue
        X = (two * scale).astype(dtype)
        model = KMeans(2, random_state=0, algorithm=algorithm).fit(X)
        assert sorted(np.bincount(model.labels_)) == [20, 20]
        np.testing.assert_array_equal(model.predict(X), model.labels_)
        np.testing.assert_allclose(
            model.transform(X).min(axis=1) / scale,
            KMeans(2, random_state=0).fit(two).transform(two).min(axis=1),
            rtol=1e-3,
        )
        batches = MiniBatchKMeans(2, random_state=0, batch_size=16).fit(X)
        assert sorted(np.bincount(batches.labels_)) == [20, 20]


@pytest.mark.parametrize("make", [KMeans, MiniBatchKMeans])
@pytest.mark.parametrize("fill", [1e20, -1e300, 7.0])
def test_rows_of_weight_zero_take_no_part(make, fill):
    rng = np.random.default_rng(1)
    two = np.r_[rng.normal(0, 1, (20, 2)), rng.normal(10, 1, (20, 2))]
    X, weight = np.r_[[[fill, fill]], two, [[fill, -fill]]], np.r_[0.0, np.ones(40), 0.0]
    model = make(2, random_state=0).fit(X, sample_weight=weight)
    alone = make(2, random_state=0).fit(two)
    np.testing.assert_allclose(model.cluster_centers_, alone.cluster_centers_)
    np.testing.assert_array_equal(model.labels_[1:-1], alone.labels_)
    assert model.inertia_ == pytest.approx(alone.inertia_)


def test_too_few_rows_with_a_weight_are_named():
    with pytest.raises(ValueError, match="positive for at least n_clusters=3 rows, got 2"):
        KMeans(3).fit(X, sample_weight=[1, 1, 0, 0, 0])


@pytest.mark.parametrize("far", [1e10, 1e17])
def test_a_point_far_out_does_not_blur_the_others(far):
    line = np.array([far, 1, 2, 10, 11])[:, None]
    for algorithm in ("lloyd", "elkan"):
        model = KMeans(3, init=np.array([[far], [1], [10.0]]), n_init=1, algorithm=algorithm).fit(line)
        np.testing.assert_allclose(model.cluster_centers_[1:, 0], [1.5, 10.5])
        np.testing.assert_allclose(model.transform(line)[1:, 1:], np.abs(line[1:] - [[1.5, 10.5]]))


def test_a_point_far_out_that_changes_its_cluster_takes_no_digits_along():
    points = np.r_[np.array([1e12]), np.linspace(0, 1, 9), np.linspace(10, 11, 9)][:, None]
    start = np.array(
        [[0.5], [10.5], [11.0]]
    )  # the point belongs to the third at first, which then leaves the others
    model = KMeans(3, init=start, n_init=1, tol=0).fit(points)
    exact = [points[model.labels_ == j].mean() for j in range(3)]
    np.testing.assert_allclose(model.cluster_centers_[:, 0], exact, rtol=1e-12)


def test_distances_within_a_far_cluster_keep_their_digits():
    rng = np.random.default_rng(0)
    far = np.r_[rng.normal(0, 0.01, (50, 2)), rng.normal(1000, 0.01, (50, 2))].astype(np.float32)
    model = KMeans(2, random_state=0).fit(far)
    true = np.linalg.norm(far.astype(float)[:, None] - model.cluster_centers_.astype(float), axis=2).min(
        axis=1
    )
    np.testing.assert_allclose(
        model.transform(far).min(axis=1), true, atol=1e-3 * 1000 * np.finfo(np.float32).eps * 1000
    )
    np.testing.assert_array_equal(np.diag(model.transform(model.cluster_centers_)), 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_prediction_far_from_zero_keeps_its_digits(dtype):
    rng = np.random.default_rng(0)
    near = np.r_[rng.normal(0, 1, (50, 2)), rng.normal(8, 1, (50, 2))]
    X = (near + (1e9 if dtype is np.float64 else 1e4)).astype(dtype)
    model = KMeans(2, random_state=0).fit(X)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    assert sorted(np.bincount(model.predict(X))) == [50, 50]


# The start and the batches


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_a_start_prefers_heavy_points(init):
    line = np.arange(20.0)[:, None]
    weight = np.where(np.arange(20) < 2, 1e6, 1e-6)
    for seed in range(20):
        centers = k_means.initial_centers(init, line, weight, 2, np.random.default_rng(seed))
        assert set(centers[:, 0]) == {0, 1}, "all other points together weigh next to nothing"


class Dice(np.random.Generator):
    """A generator whose draws are known: the first point, then the points 1 and 2 as candidates."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def choice(self, n, p):
        return 0

    def random(self, size):
        return np.array([0.1, 0.99])


def test_of_the_candidates_the_best_by_weight_stays():
    line, weight = np.array([[0.0], [10.0], [-11.0]]), np.array([1.0, 5.0, 1.0])
    centers = k_means.k_means_plus_plus(line, weight, 2, Dice())
    assert centers[:, 0].tolist() == [0, 10], "10 leaves 1 · 11² = 121, while -11 would leave 5 · 10² = 500"


def test_init_size_is_how_many_rows_the_start_sees():
    seen = []

    def start(X, k, random_state):
        seen.append(len(X))
        return X[:k]

    for size in (10, 25):
        MiniBatchKMeans(3, init=start, init_size=size, random_state=0).fit(
            np.random.default_rng(0).normal(size=(100, 2))
        )
    assert seen == [10, 25]


@pytest.mark.parametrize("patience", [1, 3, 10])
def test_batches_end_after_as_many_without_a_better_inertia(patience):
    model = MiniBatchKMeans(
        1, init=np.array([[2.0]]), n_init=1, max_no_improvement=patience, batch_size=5, max_iter=1000
    )
    model.fit(np.full((50, 1), 2.0))
    assert model.n_steps_ == 2 + patience, "the first batch is not counted, the second one sets the mark"


def test_a_sample_of_given_distances_is_the_sample_of_the_points(blobs):
    points, _ = blobs
    labels = KMeans(6, random_state=0).fit_predict(points)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    options = {"sample_size": 100, "random_state": 3}
    by_points = silhouette_score(points, labels, **options)
    assert silhouette_score(distances, labels, metric="precomputed", **options) == pytest.approx(by_points)


# The reference and the failures


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy


def test_the_share_of_greedy_starts_is_far_below_that_of_plain_ones():
    plain = stuck_probability(init="k-means++", candidates=1)
    greedy = stuck_probability(init="k-means++")
    assert plain == pytest.approx(0.00989, rel=1e-3) and greedy < plain / 400
    assert plain - greedy > 4 * UNLUCKY_START.remedy.tolerance, (
        "a greedy start that is not greedy must be refuted"
    )


@pytest.mark.parametrize(
    ("gap", "cells", "covered"), [(1.0, 4, False), (1.0, 6, True), (0.5, 6, False), (0.5, 11, True)]
)
def test_cells_that_are_long_against_the_gap_are_not_covered_and_may_bridge_it(gap, cells, covered):
    segments = {**UNEQUAL, "gap": gap}
    wrong = max(share_misplaced(np.random.default_rng(seed), cells=cells, **segments) for seed in range(10))
    if covered:
        assert misplaced_by_formula(cells=cells, **segments) == wrong == 0
    else:
        assert wrong > 0.1
        with pytest.raises(ValueError, match="may bridge a gap"):
            misplaced_by_formula(cells=cells, **segments)


def test_the_formulas_say_where_they_end():
    with pytest.raises(ValueError, match="spacing above 6, got 5"):
        stuck_probability(init="random", spacing=5.0)
    with pytest.raises(ValueError, match="leaves the cut in the gap"):
        misplaced_by_formula(cells=2, width=3.0, gap=1.0, small=1.0, share=0.9, n=2000)
