"""What a notebook displays: figures in both themes, claims with their intervals, swept claims, agreements."""

import base64
import html
import json
import re

import numpy as np
import pytest

from shared import figures, presentation
from shared.agreement import Comparison
from shared.failure_mode import Claim, FailureMode, Sweep, measure, measure_sweep
from shared.notebook import agreements_html, claims_html, plain_label, sweep_html


def claim(statement="The mean of n draws is μ.", *, sweep=None, relation="≈", rival=2.0):
    return Claim(
        statement=statement,
        quantity="mean of the draws",
        experiment=lambda rng, mean: float(rng.normal(mean, 0.01)),
        predicted=lambda mean: mean,
        relation=relation,
        tolerance=0.1,
        reason="sampling",
        rival=rival,
        parameters={"mean": 1.0},
        sweep=sweep,
    )


def everything():
    """Lines, filled regions, bars, points, texts, an arrow and a legend."""
    figure, axes = figures.subplots(1, 2)
    left, right = axes
    left.plot([0, 1, 2], marker="o", markeredgecolor=left.get_facecolor(), label="line")
    left.fill_between([0, 1, 2], [0, 1, 2], alpha=0.3)
    left.axhline(1, color=figures.COLORS["muted"], linestyle="--")
    left.annotate(
        "here", (1, 1), (0.2, 1.5), arrowprops={"arrowstyle": "->", "color": left.title.get_color()}
    )
    left.legend()
    right.bar([0, 1], [1, 2], alpha=0.6)
    right.scatter([0, 1], [1, 2], c=[0.1, 0.9])
    right.scatter([0, 1], [2, 1], facecolors="none", edgecolors=right.title.get_color())
    right.set(title="title", xlabel="x")
    return figure


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


@pytest.fixture(autouse=True)
def canvas(monkeypatch):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Drawn(Figure):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            FigureCanvasAgg(self)

    monkeypatch.setattr("matplotlib.figure.Figure", Drawn)


def test_a_figure_dressed_for_the_dark_is_the_figure_drawn_in_the_dark():
    light = figures.draw(everything)
    figures.to_png(light)
    dark = figures.draw(everything, "dark")
    assert not np.array_equal(pixels(light), pixels(dark))
    assert np.array_equal(pixels(figures.dress(light, "dark")), pixels(dark))


def test_dressing_there_and_back_changes_nothing():
    figure = figures.draw(everything)
    pixels(figure)  # lays it out
    figure.set_layout_engine("none")
    before = pixels(figure).copy()
    figures.dress(figures.dress(figure, "dark"), "light")
    assert np.array_equal(pixels(figure), before)


def test_an_unknown_theme_is_refused():
    with pytest.raises(ValueError, match="theme must be 'light' or 'dark', got 'sepia'"):
        figures.dress(figures.draw(everything), "sepia")


def test_a_caption_is_the_first_paragraph_of_the_docstring():
    def draw():
        """What one sees,
        in one sentence.

        And more.
        """

    assert figures.caption_of(draw) == "What one sees, in one sentence."
    assert figures.caption_of(lambda: None) == ""


@pytest.fixture
def displayed(monkeypatch):
    """Outputs as a notebook would keep them."""
    outputs = []

    def display(shown, raw=False, metadata=None):
        outputs.append((shown if raw else {"text/html": shown.data}, metadata))

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(figures, "in_notebook", lambda: True)
    return outputs


def test_a_notebook_gets_the_figure_for_light_pages_and_for_dark_ones(displayed):
    figures.show(figures.draw(everything), "mode_a", caption="Two panels.", mode="a")
    ((data, metadata),) = displayed
    light, dark = (base64.b64decode(data[kind]) for kind in ("image/png", figures.DARK_PNG))
    assert light.startswith(b"\x89PNG") and dark.startswith(b"\x89PNG") and light != dark
    assert metadata["groundup"] == {"name": "mode_a", "caption": "Two panels.", "mode": "a"}
    assert metadata["image/png"]["alt"] == "Two panels."


def test_every_output_of_a_failure_mode_says_what_it_is(displayed):
    sweep = Sweep("mean", (0.5, 1.0, 1.5), "mean $\\mu$")
    mode = FailureMode(
        "wrong_mean", "The mean is wrong", symptoms=("mean is off",), breaks=claim(sweep=sweep), remedy=claim("Mended."),
        figure=everything, seeds=5,
    )  # fmt: skip
    presentation.present_failure_modes([mode])
    assert [metadata["groundup"]["part"] for _, metadata in displayed] == ["claims", "sweep", "figure"]
    assert {metadata["groundup"]["mode"] for _, metadata in displayed} == {"wrong_mean"}
    assert displayed[0][1]["groundup"]["title"] == "The mean is wrong"


def test_a_claim_is_shown_with_symptom_sentence_numbers_and_verdict():
    mode = FailureMode(
        "wrong_mean", "The mean is wrong", symptoms=("mean is <off>",), breaks=claim(), remedy=claim("Mended so."), figure=everything,
    )  # fmt: skip
    outcome = measure(mode)
    text = html.unescape(re.sub(r"<[^>]+>", " ", claims_html(outcome)))
    for part in ("mean is <off>", "The mean of n draws is μ.", "Mended so.", "predicted ≈", "measured", "a rival theory says 2", "holds"):  # fmt: skip
        assert part in " ".join(text.split()), part
    assert f"{outcome.breaks.measured:.4g}" in text


def strip_of(relation, rival):
    """Where the band begins and ends and where the rival stands, of a thousand."""
    outcome = measure(
        FailureMode(
            "a",
            "A",
            breaks=claim(relation=relation, rival=rival),
            remedy=claim(),
            figure=everything,
            symptoms=("a",),
        )
    )
    strip = claims_html(outcome).partition("<svg")[2].partition("</svg>")[0]
    left, width = map(float, re.search(r'<rect x="([\d.]+)" y="6" width="([\d.]+)"', strip).groups())
    return left, left + width, float(re.search(r'd="M([\d.]+) 11l', strip)[1])


def test_the_strip_shows_what_the_claim_allows_and_where_the_rival_stands():
    left, right, rival = strip_of("≈", 1.3)
    assert 0 < left < right < rival < 1000
    left, right, rival = strip_of("≥", 0.7)
    assert rival < left and right == 1000
    left, right, rival = strip_of("≤", 1.3)
    assert left == 0 and right < rival
    assert strip_of("≈", 1e6)[2] > 990, "a rival that is far off stands at the edge"


def test_a_swept_claim_carries_its_points_as_data_and_as_a_table():
    swept = claim(sweep=Sweep("mean", (0.5, 1.0, 1.5), "mean $\\mu$"))
    page = sweep_html(swept)
    data = json.loads(html.unescape(re.search(r'data-sweep="([^"]*)"', page)[1]))
    points = measure_sweep(swept)
    assert [row[:3] for row in data["points"]] == [[p.value, p.predicted, p.measured] for p in points]
    assert data["label"] == "mean μ" and data["at"] == 1.0
    for point in points:
        assert f'<td class="groundup-figure">{point.measured:.4g}</td>' in page


@pytest.mark.parametrize(
    ("label", "plain"), [("spacing $D$", "spacing D"), (r"load $\rho$", "load ρ"), ("n", "n")]
)
def test_labels_lose_their_marks_of_mathematics(label, plain):
    assert plain_label(label) == plain


def test_a_long_table_of_agreements_is_folded_unless_something_disagrees():
    def table(n, wrong):
        comparison = Comparison(reference="numpy", dataset="numbers")
        for index in range(n):
            comparison.compare(f"number {index}", 1.0, 1.0 + (index < wrong), tolerance=0, reason="r")
        return agreements_html(comparison.agreements)

    assert '<details class="groundup-agreements" open>' in table(3, 0)
    assert '<details class="groundup-agreements">' in table(30, 0)
    assert '<details class="groundup-agreements" open>' in table(30, 1)
    assert "29 of 30 quantities agree with the reference." in table(30, 1)
