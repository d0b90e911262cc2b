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


def test_names_are_forgiving():
    assert catalogue.get("K-Means").name == "k_means"


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("kmeans", "k_means"), ("regression", "linear_regression"), ("nuts and bolts", None)],
)
def test_an_unknown_name_suggests_the_nearest(wrong, nearest):
    with pytest.raises(
        catalogue.UnknownTopic, match=f"did you mean.*{nearest}" if nearest else "groundup list"
    ):
        catalogue.get(wrong)


def test_selection_is_in_reading_order_and_each_once():
    chosen = catalogue.select(["k_means", "gradient_descent", "k_means"], level=2)
    assert [topic.name for topic in chosen] == ["gradient_descent", "linear_regression", "k_means"]
