"""Pages after their run: failure modes turned over, pictures first, code folded under a name."""

import base64
import re

import nbformat
import pytest
from builder.arranging import arranged
from docutils.nodes import make_id
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from groundup import catalogue, modes
from shared.figures import DARK_PNG

FAILURES = "level2_classical/failure_modes/k_means.html"
TOPIC = "level2_classical/k_means.html"
DECLARED = """def trial(rng): ...
def formula(): ...
STUCK = FailureMode(name="stuck", title="Stuck at a point", breaks=Claim(experiment=trial, predicted=formula))
"""


def picture(part, **place):
    data = {"image/png": base64.b64encode(b"light").decode(), DARK_PNG: base64.b64encode(b"dark").decode()}
    return new_output(
        "display_data", data, metadata={"groundup": {"part": part, "caption": "A `path`.", **place}}
    )


def html(part, **place):
    metadata = {"groundup": {"part": part, **place}}
    return new_output("display_data", {"text/html": f"<p>{part}</p>"}, metadata=metadata)


def arrange(kind, *cells):
    """What stands on the page, a line a cell: Markdown, folded code by its summary, or the outputs that are shown."""
    page = new_notebook(cells=list(cells))
    page.metadata["groundup"] = kind
    lines = []
    for cell in arranged(page, lambda png: f"/{png.decode()}.png").cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            lines.append(cell.source)
        elif "hide-input" in tags:
            lines.append(cell.metadata["mystnb"]["code_prompt_show"])
        elif "remove-input" not in tags:
            lines.append("code")
        lines += [output.get("text") or output.data["text/html"] for output in cell.get("outputs", [])]
    nbformat.validate(page)
    return lines


LIGHT_AND_DARK = "```{groundup-picture} /light.png\n:dark: /dark.png\n\nA `path`.\n```"


def failure_page(title="## Stuck at a point", *shown):
    run = new_code_cell(
        "if __name__ == '__main__':\n    present_failure_modes(FAILURE_MODES)", outputs=list(shown)
    )
    return arrange(
        "failure_modes",
        new_markdown_cell(f"# How it breaks\n\nWords.\n\n{title}\nBecause $x$."),
        new_code_cell(DECLARED),
        new_code_cell("FAILURE_MODES = (STUCK,)"),
        run,
    )


def test_a_failure_mode_shows_what_one_sees_first_then_why_then_the_code():
    shown = [picture("figure", mode="stuck"), html("sweep", mode="stuck"), html("claims", mode="stuck")]
    assert failure_page("## Stuck at a point", *shown) == [
        "# How it breaks\n\nWords.",
        "## Stuck at a point",
        "<p>claims</p>",
        LIGHT_AND_DARK,
        "<p>sweep</p>",
        "```{rubric} Why\n:heading-level: 3\n```\n\nBecause $x$.",
        "The experiment: trial, formula",
    ]


def test_a_section_of_another_name_gets_the_anchor_of_its_mode():
    lines = failure_page("## Another name", html("claims", mode="stuck"))
    assert lines[1:4] == ['<span id="stuck-at-a-point"></span>', "## Another name", "<p>claims</p>"]


def test_what_has_no_place_is_not_lost():
    warning = new_output("stream", name="stderr", text="a warning")
    lines = failure_page("## Stuck at a point", warning, html("claims", mode="unknown"))
    assert lines[-3:] == ["The experiment: trial, formula", "a warning", "<p>claims</p>"]


def test_a_topic_shows_its_mechanism_first_and_folds_what_draws_and_compares():
    run = new_code_cell(
        "if __name__ == '__main__':\n    present_topic(validate, example, mechanism)",
        outputs=[picture("mechanism"), html("agreements"), picture("example")],
    )
    lines = arrange(
        "topic",
        new_markdown_cell(
            "# Topic\n\n:::{container} groundup-card\n- card\n:::\n\n## 1. Select\nA question."
        ),
        new_code_cell("import numpy as np"),
        new_code_cell("def rule(x):\n    return x"),
        new_code_cell("def validate(): ..."),
        new_markdown_cell("## 5. Document"),
        new_code_cell("def mechanism(): ...\n\ndef example(): ..."),
        run,
    )
    assert lines == [
        "# Topic\n\n:::{container} groundup-card\n- card\n:::",
        LIGHT_AND_DARK,
        "## 1. Select\nA question.",
        "What this page imports",
        "code",
        "How it is compared: validate",
        "<p>agreements</p>",
        "## 5. Document",
        LIGHT_AND_DARK,
        "How the pictures are drawn: mechanism, example",
    ]


def test_a_comment_in_a_code_block_is_no_heading():
    text = "# Title\n\n```\n## not a heading\n```"
    assert arrange("part", new_markdown_cell(text)) == [text]


def test_long_docstrings_and_comments_go_on_under_their_words():
    words = "word " * 30
    long = f'def rule(x):\n    """Args:\n        alpha: {words}\n    """\n    # {words}\n    y = "{words}"  # {words}\n    return x'
    short = arranged_source(long).splitlines()
    assert max(map(len, short[:-2])) <= 110
    assert short[2].startswith("        alpha: word") and short[3].startswith("            word")
    assert [line[:6] for line in short if line.startswith("    # ")] == ["    # "] * 2
    assert short[-2:] == long.splitlines()[-2:]  # code stays as it is
    assert "".join(arranged_source(long).split()).replace("#", "") == "".join(long.split()).replace("#", "")
    assert arranged_source("x = 1\n\n\ny = 2") == "x = 1\n\n\ny = 2"


def arranged_source(code):
    page = new_notebook(cells=[new_code_cell(code)])
    page.metadata["groundup"] = "part"
    return arranged(page, str).cells[0].source


# --- the built site ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(catalogue.topics()))
def test_every_mode_has_one_section_with_all_that_was_shown(site, name):
    topic = catalogue.get(name)
    page = (site / topic.package / "failure_modes" / f"{name}.html").read_text(encoding="utf-8")
    sections = re.split(r'<section id="(?=[^"]*">\s*(?:<span[^>]*></span>)*<h2>)', page)[1:]
    known = modes.of(topic)
    assert len([section for section in sections if "groundup-breaks" in section]) == len(known)
    for mode in known:
        (section,) = (s for s in sections if s.startswith(f'{make_id(mode.title)}"'))
        order = [
            section.index(part)
            for part in ("groundup-symptoms", "groundup-strip", "<figure", ">Why<", "<summary>The experiment")
        ]
        assert order == sorted(order)
    contents = page.partition('id="pst-page-toc-nav"')[2].partition("</nav>")[0]
    assert re.findall(r'href="#([\w-]+)"', contents) == re.findall(
        r'<section id="([\w-]+)">\s*(?:<span[^>]*></span>)*<h2>', page
    )


@pytest.mark.parametrize("name", list(catalogue.topics()))
def test_every_picture_says_what_it_shows_in_both_themes(site, name):
    topic = catalogue.get(name)
    for page, count in ((f"{name}.html", 2), (f"failure_modes/{name}.html", len(modes.of(topic)))):
        text = (site / topic.package / page).read_text(encoding="utf-8")
        figures = re.findall(r'<figure class="groundup-picture.*?</figure>', text, re.DOTALL)
        assert len(figures) == count
        for figure in figures:
            light, dark = re.findall(r'<img alt="([^"]+)" class="only-(?:light|dark)[^"]*"', figure)
            assert light == dark and len(light) > 30
            assert "caption-text" in figure


def test_a_topic_begins_with_its_mechanism(reader):
    reader.open(TOPIC)
    places = reader.ask(
        "return ['.groundup-card', '.groundup-picture', 'article h2'].map(s => document.querySelector(s).getBoundingClientRect().top)"
    )
    assert places == sorted(places)
    assert places[1] < 500


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", [TOPIC, FAILURES])
def test_a_picture_wears_the_theme_of_the_page_and_the_other_is_not_loaded(reader, page, dark):
    reader.open(page)
    reader.ask("localStorage.clear()")  # where the theme of the last visit stands
    reader.open(page, dark=dark)
    seen = reader.ask(
        "return [...document.querySelectorAll('.groundup-picture img')].filter(i => getComputedStyle(i).display !== 'none').map(i => i.className)"
    )
    assert len(seen) > 1
    assert {kind.split()[0] for kind in seen} == {"only-dark" if dark else "only-light"}
    assert reader.ask("return [...document.querySelectorAll('figcaption')].every(c => c.offsetHeight > 10)")
    loaded = reader.wait(
        "const names = performance.getEntriesByType('resource').map(e => e.name);"
        "return [...document.querySelectorAll('.groundup-picture img')].map(i => [i.className, names.includes(i.src)])"
    )
    assert not any(there for kind, there in loaded if kind not in seen)
    # What lies behind a picture is the page, not a white plate.
    ground = reader.ask(
        "return getComputedStyle(document.querySelector('.groundup-picture img.only-dark')).backgroundColor"
    )
    assert ground == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("name", list(catalogue.topics()))
def test_no_code_is_cut_at_1280(reader, name):
    topic = catalogue.get(name)
    for page in (f"{name}.html", f"failure_modes/{name}.html"):
        reader.open(f"{topic.package}/{page}")
        cut = reader.ask(
            "document.querySelectorAll('details').forEach(d => d.open = true);"
            "return [...document.querySelectorAll('article pre')].filter(p => p.scrollWidth > p.clientWidth).map(p => p.textContent.slice(0, 40))"
        )
        assert cut == []
        size = reader.ask(
            "return parseFloat(getComputedStyle(document.querySelector('article pre')).fontSize)"
        )
        assert size >= 12


@pytest.mark.parametrize("width", [1280, 390])
def test_a_link_to_a_mode_lands_at_its_section(reader, width):
    from builder.symptoms import address

    for mode in modes.of(catalogue.get("k_means")):
        reader.open(address(mode), width=width, height=844)
        top = reader.wait(
            "const top = document.getElementById(decodeURIComponent(location.hash.slice(1))).querySelector('h2')"
            "?.getBoundingClientRect().top; return scrollY > 0 && top"
        )
        assert -5 <= top < 300


def test_what_is_folded_has_a_name(reader):
    reader.open(FAILURES)
    names = reader.ask(
        "return [...document.querySelectorAll('article summary')].map(s => s.getAttribute('aria-label') || s.textContent.trim())"
    )
    assert all(names)
    assert len([name for name in names if name.startswith("The experiment: ")]) == len(
        modes.of(catalogue.get("k_means"))
    )
    assert "Toggle hidden content" not in names


@pytest.mark.parametrize("page", ["index.html", "level2_classical/notes/k_means.html"])
def test_the_figures_of_a_note_wear_the_theme_of_the_page(reader, page):
    reader.open(page, dark=True)
    shown = reader.ask(
        "return [...document.querySelectorAll('article img')].filter(i => getComputedStyle(i).display !== 'none')"
        ".map(i => [i.className.split(' ')[0], getComputedStyle(i).backgroundColor, i.src.endsWith('.svg')])"
    )
    assert shown
    assert [one for one in shown if not one[2] and one[0] != "only-dark"] == []
    assert {ground for _, ground, _ in shown} == {"rgba(0, 0, 0, 0)"}
