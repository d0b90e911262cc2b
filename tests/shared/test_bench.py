"""Estimator base, datasets, figures and presentation."""

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from rich.console import Console

from shared import datasets, figures
from shared.agreement import Comparison
from shared.estimator import Estimator, RegressorMixin
from shared.failure_mode import Claim, FailureMode, measure
from shared.presentation import agreement_tables, outcome_lines, present_topic, print_outcome


class Mean(RegressorMixin, Estimator):
    """Predicts the mean of the targets, plus an offset."""

    def __init__(self, offset=0.0, *, inner=None):
        self.offset = offset
        self.inner = inner

    def fit(self, X, y):
        self._fit_matrix(X)
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(self._predict_matrix(X)), self.mean_ + self.offset)


def test_parameters_go_in_and_out():
    model = Mean(inner=Mean(2.0))
    assert model.get_params(deep=False) == {"offset": 0.0, "inner": model.inner}
    assert model.get_params()["inner__offset"] == 2.0
    model.set_params(offset=1.0, inner__offset=3.0)
    assert (model.offset, model.inner.offset) == (1.0, 3.0)


def test_parameters_two_levels_deep_go_in_and_out():
    model = Mean(inner=Mean(2.0, inner=Mean(4.0)))
    assert model.get_params()["inner__inner__offset"] == 4.0
    model.set_params(inner__inner__offset=5.0)
    assert model.inner.inner.offset == 5.0


def test_an_unknown_parameter_is_named():
    with pytest.raises(ValueError, match="Invalid parameter 'slope' for estimator Mean.*offset"):
        Mean().set_params(slope=1)


def test_the_representation_shows_what_differs():
    assert repr(Mean()) == "Mean()"
    assert repr(Mean(1.5)) == "Mean(offset=1.5)"


def test_predicting_before_fitting_says_so():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match="This Mean instance is not fitted yet"):
        Mean().predict([[1.0]])


def test_without_scikit_learn_the_error_is_our_own_and_nothing_is_imported():
    code = (
        "import sys, numpy as np\n"
        "from shared.estimator import Estimator\n"
        "try: Estimator()._check_is_fitted()\n"
        "except (ValueError, AttributeError) as error: print(type(error).__name__, 'sklearn' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["NotFittedError", "False"]


def test_width_and_names_are_remembered():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    model = Mean().fit(frame, [1.0, 2.0])
    assert model.feature_names_in_.tolist() == ["a", "b"] and model.n_features_in_ == 2
    with pytest.raises(ValueError, match="X has 1 features, but Mean is expecting 2 features"):
        Mean().fit(frame.to_numpy(), [1.0, 2.0]).predict([[1.0]])
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- c\n"):
        model.predict(frame.rename(columns={"b": "c"}))
    with pytest.raises(ValueError, match="same order"):
        model.predict(frame[["b", "a"]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(frame.to_numpy())


def test_score_is_r2():
    assert Mean().fit([[1.0], [2.0]], [1.0, 3.0]).score([[1.0], [2.0]], [1.0, 3.0]) == 0.0


@pytest.mark.parametrize(
    ("load", "shape", "classes"),
    [
        (datasets.load_iris, (150, 4), 3),
        (datasets.load_digits, (1797, 64), 10),
        (datasets.load_wine, (178, 13), 3),
        (datasets.load_breast_cancer, (569, 30), 2),
        (datasets.load_diabetes, (442, 10), None),
        (datasets.load_longley, (16, 6), None),
    ],
)
def test_datasets(load, shape, classes):
    data = load()
    assert data.X.shape == shape and data.y.shape == (shape[0],) and len(data.feature_names) == shape[1]
    assert data.X.dtype == np.float64 and np.isfinite(data.X).all()
    assert classes is None or (len(np.unique(data.y)) == classes == len(data.target_names))


def test_the_reference_text_is_long_and_about_python():
    text = datasets.python_reference_text()
    assert len(text) > 100_000 and "iterator" in text


def test_a_missing_library_names_the_command():
    with pytest.raises(
        ModuleNotFoundError, match=r"no_such_library is not installed; get it with: pip install .*level2"
    ):
        datasets.require("no_such_library", "level2")


def _titled():
    figure, axes = figures.subplots()
    axes.plot([0, 1], label="line")
    axes.set_title("title")
    axes.legend()
    return figure


def test_figures_wear_their_theme_down_to_the_legend():
    dark, light = figures.draw(_titled, "dark"), figures.draw(_titled, "light")
    assert dark.get_facecolor() != light.get_facecolor()
    for figure in (dark, light):
        (axes,) = figure.axes
        paper = sum(figure.get_facecolor()[:3])
        for text in (axes.title, axes.get_legend().get_texts()[0], axes.xaxis.get_ticklabels()[0]):
            ink = sum(to_rgb(text.get_color()))
            assert abs(ink - paper) > 1.5, f"{text.get_text()!r} cannot be read on its ground"
    assert figures.to_png(dark).startswith(b"\x89PNG")


def test_saving_twice_gives_the_same_file(tmp_path):
    figure, axes = figures.subplots(1, 2)
    axes[0].plot([0, 1])
    first = figures.save(figure, tmp_path / "new folder" / "a.png").read_bytes()
    assert figures.save(figure, tmp_path / "b.png").read_bytes() == first


def test_presenting_a_topic_prints_and_saves(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def validate():
        comparison = Comparison(reference="numpy", dataset="one number")
        comparison.compare("right", 1.0, 1.0, tolerance=0, reason="r")
        comparison.compare("wrong", 1.0, 2.0, tolerance=0, reason="r")
        return comparison.agreements

    present_topic(validate, lambda: figures.subplots()[0], lambda: figures.subplots()[0])
    printed = capsys.readouterr().out
    assert "1 of 2 quantities agree" in printed and "NO" in printed
    for name in ("test_bench.png", "test_bench_mechanism.png"):
        assert (tmp_path / "output" / "figures" / name).exists()


@pytest.fixture
def wide_agreements():
    comparison = Comparison(reference="numpy", dataset="a")
    name = "a quantity of a long name, with a word_that_is_longer_than_any_column_can_be"
    comparison.compare(name, np.ones((500, 40)) / 3, np.ones((500, 40)) / 3, tolerance=0, reason="r")
    return comparison.agreements


@pytest.mark.parametrize("width", [80, 120])
def test_tables_cut_no_text(wide_agreements, width):
    console = Console(width=width, record=True, file=io.StringIO())
    for table in agreement_tables(wide_agreements, width=width):
        console.print(table)
    text = console.export_text()
    assert "…" not in text and ("‖47.1405‖" in text) == (width == 120)


def test_a_claim_that_does_not_fit_goes_on_indented():
    claim = Claim("One is one, as anyone knows. " * 4, "q", lambda rng: 1.0, lambda: 1.0, "≈", 0.1, "r", 2.0)
    outcome = measure(FailureMode("one", "One", claim, claim, print, symptoms=("one",)), seeds=2)
    console = Console(width=60, record=True, file=io.StringIO())
    print_outcome(console, outcome)
    title, first, second, *_ = console.export_text().splitlines()
    assert first.startswith("  breaks: One") and second.startswith("      ") and len(first) <= 60


def test_agreements_are_grouped_by_reference_and_data():
    comparison = Comparison(reference="numpy", dataset="a")
    comparison.compare("x", 1.0, 1.0, tolerance=0, reason="r")
    comparison.on(dataset="b").compare("y", 1.0, 1.0, tolerance=0, reason="r")
    assert len(agreement_tables(comparison.agreements)) == 2


@pytest.mark.parametrize(
    ("seeds", "told", "hidden"),
    [(1, "(no interval from one seed)", "inf"), (3, ", 3 seeds)", "no interval")],
)
def test_one_seed_has_no_interval(seeds, told, hidden):
    claim = Claim(
        "It is seven.", "q", lambda rng: 7.0 + 0.01 * rng.standard_normal(), lambda: 7.0, "≈", 0.1, "r", 0.0
    )
    outcome = measure(
        FailureMode("seven", "Seven", claim, claim, figures.subplots, symptoms=("seven",)), seeds=seeds
    )
    _, line = outcome_lines("breaks", outcome.breaks)
    assert told in line and hidden not in line
