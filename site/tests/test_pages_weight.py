"""What a page weighs and says of itself: no script that it does not use, a description, names, commands to copy."""

import re

import pytest
from selenium.webdriver.common.action_chains import ActionChains

TOPIC = "level2_classical/k_means.html"
PAGES = ["index.html", TOPIC, "level2_classical/index.html", "ledger/k_means.html", "symptoms.html"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_neither_the_search_nor_all_icons_there_are(reader, page):
    reader.open(page)
    loaded = reader.ask("return performance.getEntriesByType('resource').map(e => e.name.split('/').pop())")
    for unused in ("searchindex", "searchtools", "language_data", "fontawesome", "fa-solid"):
        assert [name for name in loaded if name.startswith(unused)] == []


def test_a_topic_weighs_at_most_its_budget(reader):
    """Raw kilobytes, mathematics and pictures included."""
    reader.open(TOPIC)
    weight = reader.ask(
        "return performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))"
        ".reduce((sum, e) => sum + e.decodedBodySize, 0) / 1024"
    )
    assert weight < 2200


@pytest.mark.parametrize("page", [*PAGES, "search.html"])
def test_every_icon_has_its_picture(reader, page):
    reader.open(page)
    icons = reader.ask(
        "return [...document.querySelectorAll('.fa-solid, a.download')].map(e => [e.className, getComputedStyle(e, '::before').maskImage])"
    )
    assert icons
    assert [name for name, picture in icons if not picture.startswith('url("data:image/svg+xml')] == []


def test_every_page_says_what_it_is_about(site):
    for path in site.rglob("*.html"):
        name = path.relative_to(site).as_posix()
        if name.startswith("_static/") or name in ("genindex.html", "search.html"):
            continue
        head = path.read_text(encoding="utf-8").partition("</head>")[0]
        about = re.findall(r'<meta name="description" content="([^"]+)"', head)
        assert len(about) == 1 and 20 < len(about[0]) < 300, name
        assert f'<meta property="og:description" content="{about[0]}"' in head
        assert re.search(r'<meta property="og:title" content="[^"]+"', head)
        assert "\\(" not in about[0] and "$" not in about[0], name


@pytest.mark.parametrize("page", PAGES)
def test_every_summary_and_every_column_has_a_name(reader, page):
    reader.open(page)
    assert (
        reader.ask(
            "return [...document.querySelectorAll('summary')].filter(s => !(s.getAttribute('aria-label') || s.textContent).trim()).map(s => s.outerHTML)"
        )
        == []
    )
    nameless = reader.ask(  # but for the corner above the names of rows
        "return [...document.querySelectorAll('thead th:not(:first-child)')].filter(h => !h.textContent.trim()).length"
    )
    assert nameless == 0


def test_commands_are_copied_without_their_prompt(reader):
    reader.open("level2_classical/index.html")
    code = reader.ask("return document.querySelector('.highlight-console pre').textContent")
    assert code.startswith("$ groundup run")
    reader.ask(
        "document.addEventListener('copy', () => { window.copied = getSelection().toString() || document.activeElement.value })"
    )
    button = reader.wait("return document.querySelector('.highlight-console button.copybtn')")
    ActionChains(reader.driver).move_to_element(button).click().perform()
    copied = reader.wait("return window.copied")
    assert copied.startswith("groundup run") and "$" not in copied


def test_a_phone_reads_wide_tables_as_cards(reader):
    """No table of these pages has to be scrolled sideways, and each value says which column it is of."""
    for page in (
        "level2_classical/research_note.html",
        "level2_classical/notes/k_means.html",
        "level2_classical/index.html",
        "index.html",
    ):
        reader.open(page, width=390, height=844)
        wide = reader.ask(
            "return [...document.querySelectorAll('article table')].filter(t => t.getBoundingClientRect().right > 391).map(t => t.textContent.slice(0, 60))"
        )
        assert wide == [], page
    reader.open("level2_classical/index.html", width=390, height=844)
    label = reader.ask("return document.querySelector('article table td:nth-child(3)').dataset.label")
    assert label == "What it answers"
