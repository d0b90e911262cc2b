"""The page "What do you see?": every failure mode by its symptoms; and the same symptoms as data for the search."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape

from docutils.nodes import make_id

from groundup import catalogue, why
from groundup.modes import Mode

__all__ = ["address", "place_of", "search_data", "symptoms_page"]

INTRODUCTION = """# What do you see?

Each line is a symptom in the words of a bug report; under it stands the failure mode that causes it. Follow the mode to its
page: why it happens, the number that theory predicts beside the one measured, and what mends it. The command measures it on
your machine. In a terminal, `groundup why "loss is nan"` takes any words.
"""

PLACES = {
    "training": ("In training", "It does not learn, blows up, crawls, or never settles."),
    "evaluation": (
        "In evaluation",
        "It has learnt, and the answer, or what is said of its certainty, is off.",
    ),
    "production": ("In production", "Others call the model, and it answers wrongly, late, or not at all."),
}
"""The three places in the order of the page: what each is called, and what is seen there."""

JUDGED = re.compile(
    r"\b(accuracy|bias|check|clusters?|coefficients?|diagnostics|differences?|draws|effect|effective|errors? bars?|estimates?"
    r"|evaluation|intervals?|labels|outlier|outputs|p-values?|posterior|predictions?|r-hat|reported|residuals?|sampler|score"
    r"|significant|standard errors|validation|variance)\b",
    re.IGNORECASE,
)
"""Words of one who looks at an answer, and not at how it comes about."""

PRODUCTION = 6  # the level of models that other people call


def symptoms_page(known: Sequence[Mode]) -> str:
    """The page, as Markdown with the entries in HTML."""
    lines = [
        INTRODUCTION,
        '<div class="groundup-filter"><label for="groundup-filter">What you see</label>'
        '<input id="groundup-filter" type="search" autocomplete="off" placeholder="nan, p-values, slow …" data-filter=".groundup-mode">'
        '<span role="status"></span></div>',
        "",
    ]
    for place, (title, text) in PLACES.items():
        mine = [mode for mode in known if mode.symptoms and place_of(mode) == place]
        if mine:
            entries = "\n".join(map(_entry, mine))
            lines += [f"## {title}", "", text, "", f'<div class="groundup-modes">\n{entries}\n</div>', ""]
    return "\n".join(lines)


def place_of(mode: Mode) -> str:
    """Where one meets the failure: a key of `PLACES`.

    What the level of deployment teaches is met in production. Elsewhere, a mode is met in evaluation if at least half of
    its symptoms name something that is looked at when learning is over (`JUDGED`), else in training.
    """
    if mode.topic.level == PRODUCTION:
        return "production"
    judged = sum(JUDGED.search(symptom) is not None for symptom in mode.symptoms)
    return "evaluation" if 2 * judged >= len(mode.symptoms) else "training"


def _entry(mode: Mode) -> str:
    seen = "".join(f"<li>{escape(symptom)}</li>" for symptom in mode.symptoms)
    return (
        f'<div class="groundup-mode" id="{escape(mode.id)}"><ul class="groundup-seen">{seen}</ul>'
        f'<p><a class="reference internal" href="{address(mode)}">{escape(mode.title)}</a>'
        f" · {escape(mode.topic.title)}<br><code>groundup break {escape(mode.id)}</code></p></div>"
    )


def address(mode: Mode) -> str:
    """Where the mode's section stands, as seen from the home page."""
    return f"{_document(mode)}.html#{make_id(mode.title)}"


def _document(mode: Mode) -> str:
    return f"{mode.topic.package}/failure_modes/{mode.topic.name}"


def search_data(known: Iterable[Mode]) -> str:
    """A script with what `_static/search.js` looks through: a list of [document, anchor, title, topic, symptoms], and how
    `groundup why` reads words."""
    data = {
        "modes": [
            [
                _document(mode),
                make_id(mode.title),
                mode.title,
                catalogue.get(mode.topic.name).title,
                mode.symptoms,
            ]
            for mode in known
        ],
        "meanings": why.synonyms(),
        "small": sorted(why.SMALL),
        "endings": why.ENDINGS,
    }
    return f"const GROUNDUP_SYMPTOMS = {json.dumps(data)};".replace("</", "<\\/")
