"""The map: what is on it, in which order, and what is said about a name that is not."""

import pytest

from groundup import catalogue


def test_six_levels_lowest_first():
    assert [level.number for level in catalogue.levels()] == [1, 2, 3, 4, 5, 6]


def test_a_path_puts_every_need_first():
    for name in catalogue.topics():
        steps = catalogue.study_path(name)
        assert steps[-1].name == name
        for index, topic in enumerate(steps):
            assert set(topic.needs) <= {earlier.name for earlier in steps[:index]}


def test_a_path_keeps_the_reading_order():
    reading_order = list(catalogue.topics())
    for name in reading_order:
        steps = [topic.name for topic in catalogue.study_path(name)]
        assert steps == sorted(steps, key=reading_order.index)


def test_a_path_is_shown_as_one_types_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert catalogue.shown(tmp_path / "a" / "b.py") == "a/b.py"
    assert catalogue.shown(tmp_path.parent / "b.py") == str(tmp_path.parent / "b.py")


def test_names_are_forgiving():
    assert catalogue.get("K-Means").name == "k_means"


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("kmeans", "k_means"),
        ("regression", "linear_regression"),
        ("clustering", "k_means"),  # in the title
        ("Bellman", "tabular_reinforcement_learning"),  # in the summary
        ("nuts and bolts", None),
        ("HMC", "markov_chain_monte_carlo"),  # called so, too
        ("autodiff", "automatic_differentiation"),
        ("k-means++", "k_means"),
        ("MLP", "multilayer_perceptron"),
        ("ols", "linear_regression"),
        ("onnx", "model_serving"),
        ("rl", "tabular_reinforcement_learning"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(wrong, nearest):
    with pytest.raises(
        catalogue.UnknownTopic, match=f"did you mean.*{nearest}" if nearest else "groundup list"
    ):
        catalogue.get(wrong)


def test_words_that_are_found_keep_distant_names_out():
    with pytest.raises(catalogue.UnknownTopic, match=r"did you mean k_means\?$"):
        catalogue.get("clustering")


def test_selection_is_in_reading_order_and_each_once():
    chosen = catalogue.select(["k_means", "gradient_descent", "k_means"], level=2)
    assert [topic.name for topic in chosen] == ["gradient_descent", "linear_regression", "k_means"]


@pytest.mark.parametrize(
    ("name", "failures", "path", "topic"),
    [
        ("k_means", False, "level2_classical/k_means.py", "k_means"),
        ("K-Means", True, "level2_classical/failure_modes/k_means.py", "k_means"),
        ("failure_modes/k_means", False, "level2_classical/failure_modes/k_means.py", "k_means"),
        (
            "level2_classical/failure_modes/k_means.py",
            False,
            "level2_classical/failure_modes/k_means.py",
            "k_means",
        ),
        (
            "learning-rate schedules",
            False,
            "level1_foundations/parts/gradient_descent/learning_rate_schedules.py",
            None,
        ),
        (
            "sampler_gradient_check.py",
            False,
            "level4_probabilistic/parts/markov_chain_monte_carlo/sampler_gradient_check.py",
            None,
        ),
        ("model-serving/service", False, "level6_systems/parts/model_serving/service.py", None),
        (
            "level6_systems/parts/model_serving/service.py",
            False,
            "level6_systems/parts/model_serving/service.py",
            None,
        ),
    ],
)
def test_every_page_can_be_asked_for(name, failures, path, topic):
    found, of = catalogue.get_page(name, failures=failures)
    assert (found, of and of.name) == (catalogue.ROOT / path, topic)


@pytest.mark.parametrize(
    ("name", "failures", "message"),
    [
        ("learning_rate_schedule", False, "did you mean learning_rate_schedules"),
        ("failure_modes/kmeans", False, r"did you mean k_means\?"),
        ("sampler_gradient_check", True, "has no page of failure modes of its own"),
        ("summary", False, "several .* linear_regression/summary or tabular_reinforcement_learning/summary"),
    ],
)
def test_a_page_that_is_not_there_is_told(name, failures, message):
    with pytest.raises(catalogue.UnknownTopic, match=message):
        catalogue.get_page(name, failures=failures)


def test_a_page_that_is_no_topic_names_the_command_that_reads_it():
    with pytest.raises(
        catalogue.UnknownTopic, match="'groundup show gradient_descent/learning_rate_schedules' reads it"
    ):
        catalogue.get("learning_rate_schedules")
