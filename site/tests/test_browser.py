"""The site as a reader sees it: in Chromium, with no network but this machine's own."""

import io

import numpy as np
import pytest

TOPIC = "level2_classical/k_means.html"
PAGES = [
    "index.html",
    TOPIC,
    "level2_classical/failure_modes/k_means.html",
    "level2_classical/research_note.html",
    "level2_classical/index.html",
    "ledger.html",
    "ledger/k_means.html",
    "references.html",
    "research_notes/index.html",
    "contributing.html",
]
WITH_MATHEMATICS = [
    TOPIC,
    "level1_foundations/gradient_descent.html",
    "level3_deep_learning/multilayer_perceptron.html",
    "level4_probabilistic/markov_chain_monte_carlo.html",
    "level5_research/tabular_reinforcement_learning.html",
    "level6_systems/model_serving.html",
    "level1_foundations/notes/gradient_descent.html",
]


def luminance(color):
    """Relative luminance (WCAG 2) of a CSS color such as `rgb(18, 18, 18)`."""
    channels = [
        float(part) / 255 for part in color[color.index("(") + 1 : -1].replace("/", ",").split(",")[:3]
    ]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(first, second):
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("page", WITH_MATHEMATICS)
def test_mathematics_is_set(reader, page):
    reader.open(page)
    sizes = reader.ask(
        "return [...document.querySelectorAll('article mjx-container')].map(e => [e.offsetWidth, e.offsetHeight])"
    )
    assert len(sizes) > 5
    assert min(map(min, sizes)) > 0
    assert reader.ask("return document.querySelectorAll('mjx-merror, merror, .mjx-error').length") == 0
    prose = reader.ask(
        "const copy = document.querySelector('article').cloneNode(true);"
        "copy.querySelectorAll('pre, code, mjx-container, script, table').forEach(e => e.remove());"
        "return copy.textContent"
    )
    assert "$" not in prose
    assert "\\(" not in prose and "\\[" not in prose


def test_mathematics_is_there_in_the_picture(reader):
    """Glyphs whose font did not load leave boxes of the right size with nothing in them."""
    from PIL import Image
    from selenium.webdriver.common.by import By

    reader.open(TOPIC)
    formula = reader.driver.find_element(By.CSS_SELECTOR, "mjx-container[display='true']")
    reader.ask("arguments[0].scrollIntoView({block: 'center'})", formula)
    ink = np.asarray(Image.open(io.BytesIO(formula.screenshot_as_png)).convert("L")) < 128
    assert 0.005 < ink.mean() < 0.3
    columns = np.flatnonzero(ink.any(axis=0))
    assert len(columns) > 60  # many separate strokes, not one line
    loaded = reader.ask(
        "return [...document.fonts].filter(f => f.family.includes('MJX') && f.status == 'loaded').length"
    )
    assert loaded >= 2


@pytest.mark.parametrize("page", PAGES)
def test_nothing_comes_from_another_place(reader, page):
    reader.open(page)
    loaded = reader.ask("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [url for url in loaded if not url.startswith((reader.address, "data:"))] == []
    broken = reader.ask(
        "document.querySelectorAll('img').forEach(i => i.loading = 'eager');"
        "return [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    )
    assert broken == []


def test_turning_pages(reader):
    from selenium.webdriver.common.by import By

    reader.open(TOPIC)
    reader.driver.find_element(By.CSS_SELECTOR, "a.right-next").click()
    reader.wait("return location.pathname.endsWith('/level2_classical/failure_modes/k_means.html')")
    back = reader.driver.find_element(By.CSS_SELECTOR, "a.left-prev")
    assert back.get_attribute("href").endswith("/" + TOPIC)
    back.click()
    reader.wait("return location.pathname.endsWith('/level2_classical/k_means.html')")


def test_levels_stand_in_order_in_the_sidebar_and_the_readers_own_is_unfolded(reader):
    """A sidebar with the whole tree on every page would make the site grow with the square of its topics."""
    from groundup import catalogue

    links = "return [...document.querySelectorAll('.bd-sidebar-primary .toctree-l%d > a')].map(a => [a.textContent.trim(), a.pathname])"
    for page, mine in (("index.html", 0), (TOPIC, 2), ("level4_probabilistic/index.html", 4)):
        reader.open(page)
        levels = [name for name, _ in reader.ask(links % 1) if name[0].isdigit()]
        assert [name[0] for name in levels] == ["1", "2", "3", "4", "5", "6"]
        found = [path.rpartition("/")[2].removesuffix(".html") for _, path in reader.ask(links % 2)]
        known = [topic.name for level in catalogue.levels() for topic in level.topics if level.number == mine]
        assert [name for name in found if name in catalogue.topics()] == known


def test_search_finds_a_page_by_its_text(reader):
    reader.open("search.html?q=Elkan")
    hits = reader.wait(
        "const hits = [...document.querySelectorAll('#search-results li a')].map(a => a.getAttribute('href'));"
        "return document.querySelector('#search-results p.search-summary')?.textContent.includes('found') && hits"
    )
    assert any("level2_classical/k_means.html" in hit for hit in hits)


def test_search_opens_from_any_page(reader):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    reader.open(TOPIC)
    reader.wait(
        "const button = document.querySelector('.bd-sidebar-primary .search-button__button');"
        "button.click(); return document.querySelector('#pst-search-dialog[open] input[type=search]') !== null"
    )
    field = reader.driver.find_element(By.CSS_SELECTOR, "#pst-search-dialog input[type=search]")
    field.send_keys("leverage", Keys.ENTER)
    hits = reader.wait(
        "const hits = [...document.querySelectorAll('#search-results li a')].map(a => a.getAttribute('href'));"
        "return hits.length && hits"
    )
    assert any("linear_regression" in hit for hit in hits)


@pytest.mark.parametrize("page", [*PAGES, *WITH_MATHEMATICS[1:]])
def test_a_phone_shows_the_page_without_sideways_scrolling(reader, page):
    reader.open(page, width=390, height=844)
    assert reader.ask("return document.documentElement.scrollWidth") <= 390
    wide = reader.ask(
        "return [...document.querySelectorAll('article p, article h1, article h2, article h3, article li')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".filter(e => !e.closest('.groundup-wide, .pst-scrollable-table-container, pre, .cell_output'))"
        ".map(e => e.textContent.slice(0, 60))"
    )
    assert wide == []
    size = reader.ask(
        "return parseFloat(getComputedStyle(document.querySelector('article section p:not(.groundup-card p)')).fontSize)"
    )
    assert size >= 15


LEGIBLE = [
    "index.html",
    TOPIC,
    "level2_classical/failure_modes/k_means.html",
    "level2_classical/notes/k_means.html",
    "level2_classical/index.html",
    "level6_systems/index.html",
    "ledger.html",
    "ledger/k_means.html",
    "symptoms.html",
    "references.html",
    "search.html?q=nan",
    "source/shared/failure_mode.py.html",
]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", LEGIBLE)
def test_text_is_legible_in_the_light_and_in_the_dark(reader, page, dark):
    """Every text of the page has the contrast of WCAG 2 AA; what is folded, too."""
    reader.open(page, dark=dark)
    assert reader.ask("return document.documentElement.dataset.theme") == ("dark" if dark else "light")
    ground = reader.ask("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(ground) < 0.1) == dark
    colors = reader.ask(
        """
        document.querySelectorAll('details').forEach(d => d.open = true);
        document.head.append(Object.assign(document.createElement('style'), {textContent: '* { transition: none !important }'}));
        const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
        const behind = element => {  // what is painted where the element's letters stand, from the page to the element
          const layers = [];
          for (let e = element; e; e = e.parentElement) layers.unshift(getComputedStyle(e).backgroundColor);
          return layers;
        };
        const painted = layers => {
          canvas.clearRect(0, 0, 1, 1);
          for (const color of layers) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
          return 'rgb(' + [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).join(', ') + ')';
        };
        const found = new Map();
        for (const e of document.querySelectorAll('body *')) {
          if (!e.offsetWidth || e.closest('mjx-container, svg, script, .headerlink, .copybtn, [aria-hidden=true]')) continue;
          const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent).join('').trim();
          if (!text) continue;
          const layers = behind(e), ink = getComputedStyle(e).color, key = [ink, ...layers].join();
          if (!found.has(key)) found.set(key, [e.tagName + '.' + e.className + ': ' + text.slice(0, 30), painted([...layers, ink]), painted(layers)]);
        }
        return [...found.values()];
        """
    )
    assert len(colors) > 5
    faint = [
        f"{name}: {ink} on {paper}, {contrast(ink, paper):.2f}"
        for name, ink, paper in colors
        if contrast(ink, paper) < 4.5
    ]
    assert faint == []
