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
