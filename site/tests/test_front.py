"""The front door: the tower and its three doors, and "What do you see?"."""

import re

import pytest
from builder.symptoms import PLACES, address, place_of
from builder.tower import home, tower, wrapped

from groundup import catalogue, modes
from groundup.catalogue import Level, Topic


def test_every_level_and_topic_is_a_room_with_a_link():
    html = tower(catalogue.levels())
    picture = html.partition("</svg>")[0]
    for level in catalogue.levels():
        assert f'href="{level.package}/index.html"' in picture
        for topic in level.topics:
            assert f'id="room-{topic.name}" href="{topic.package}/{topic.name}.html"' in picture
            assert (
                html.count(f'href="{topic.package}/{topic.name}.html"') == 2
            )  # the picture's, and the list's
    assert "\n\n" not in html  # Markdown would end the block there


def test_ninety_topics_have_rooms_that_do_not_overlap():
    names = "Bias, variance and double descent|Attention|Kernel density estimation|The expectation–maximization algorithm|PCA"
    levels = [
        Level(
            n,
            f"level{n}",
            "A level with a rather long title",
            "Why?",
            tuple(
                Topic(f"t{n}_{i}", names.split("|")[i % 5], "…", n, f"level{n}", "", (), (), 1.0)
                for i in range(15)
            ),
        )
        for n in range(1, 7)
    ]
    html = tower(levels)
    room = re.compile(
        r'class="groundup-room".*?<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"'
    )
    rooms = [tuple(map(float, found)) for found in room.findall(html)]
    assert len(rooms) == 90
    assert max(x + width for x, _, width, _ in rooms) <= 800
    for i, (x, y, width, height) in enumerate(rooms):
        for u, v, other, _ in rooms[i + 1 :]:
            assert x + width <= u or u + other <= x or y + height <= v or v + height <= y


def test_the_doors_stand_above_the_tower_however_high_it_grows():
    page = home("# Name\n\nWords.\n\n## First\n", catalogue.levels(), ways_out={"broke": "b", "review": "r"})
    order = [page.index(part) for part in ("Words.", "groundup-doors", "groundup-tower", "## First")]
    assert order == sorted(order)


def test_labels_are_broken_between_words():
    assert wrapped("Gradient descent and its descendants", 150, 13) == [
        "Gradient descent",
        "and its descendants",
    ]
    assert wrapped("Modules", 150, 13) == ["Modules"]
    assert wrapped("Overparameterization", 50, 13) == ["Overparameterization"]
    assert len(wrapped("The expectation–maximization algorithm", 150, 13)) == 2  # a room is two lines high


def test_labels_fit_into_their_rooms(reader):
    reader.open("index.html")
    rooms = reader.ask(
        "return [...document.querySelectorAll('.groundup-tower svg a')].map(a => {"
        "  const rect = (a.querySelector('rect') || a.parentElement.querySelector('.groundup-room rect')).getBoundingClientRect();"
        "  const text = [...a.querySelectorAll('text')].pop().getBoundingClientRect();"
        "  return [a.textContent, a.querySelector('rect') ? text.left - rect.left : 9, a.querySelector('rect') ? rect.right - text.right : rect.left - text.right]})"
    )
    assert len(rooms) == len(catalogue.topics()) + len(catalogue.levels())
    assert [room for room in rooms if min(room[1:]) < 2] == []


def test_the_focus_on_a_room_lights_what_it_stands_on(reader):
    reader.open("index.html")
    name = "model_serving"
    reader.ask(f"document.getElementById('room-{name}').focus()")
    below = reader.ask(
        "return [...document.querySelectorAll('.groundup-below')].map(room => room.id.slice(5))"
    )
    assert set(below) == {topic.name for topic in catalogue.study_path(name)} - {name}
    arrows = reader.ask("return document.querySelectorAll('.groundup-needs path').length")
    assert arrows == len(catalogue.get(name).needs)
    reader.ask("document.activeElement.blur()")
    assert reader.ask("return document.querySelectorAll('.groundup-below, .groundup-needs path').length") == 0


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_first_screen_has_the_tower_and_the_ways_in(reader, width, height):
    reader.open("index.html", width=width, height=height)
    seen = reader.ask(
        "return [...document.querySelectorAll('.groundup-tower a, .groundup-doors a')]"
        ".filter(a => a.getBoundingClientRect().height && a.getBoundingClientRect().bottom <= innerHeight + 2 * scrollY).length"
    )
    doors = reader.ask(
        "return [...document.querySelectorAll('.groundup-doors a')].map(a => a.getAttribute('href'))"
    )
    first = next(iter(catalogue.topics().values()))
    assert doors == [f"{first.package}/{first.name}.html", "symptoms.html", "research_notes/index.html"]
    everything = len(catalogue.topics()) + len(catalogue.levels()) + len(doors)
    assert seen == everything if width > 600 else seen > 5
    lowest = reader.ask(
        "return Math.max(...[...document.querySelectorAll('.groundup-doors a')].map(a => a.getBoundingClientRect().bottom + scrollY))"
    )
    assert lowest < height


def test_every_symptom_stands_on_its_page_and_leads_to_its_section(site):
    text = (site / "symptoms.html").read_text(encoding="utf-8")
    for mode in modes.known():
        page, _, anchor = address(mode).partition("#")
        assert f'href="{address(mode)}"' in text
        assert f'id="{anchor}"' in (site / page).read_text(encoding="utf-8")
        assert f"groundup break {mode.id}" in text
    assert (
        'href="symptoms.html"' in (site / "index.html").read_text(encoding="utf-8").partition("<article")[0]
    )


@pytest.mark.parametrize(
    ("mode", "place"),
    [
        ("multilayer_perceptron/loss_becomes_nan", "training"),
        ("automatic_differentiation/memory_of_depth", "training"),
        ("linear_regression/same_rows_again", "evaluation"),
        ("modules/forgotten_eval", "evaluation"),
        ("model_serving/train_serve_skew", "production"),
    ],
)
def test_the_place_of_a_failure(mode, place):
    assert place_of(modes.get(mode)) == place


def test_each_place_has_failures():
    assert {place_of(mode) for mode in modes.known()} == set(PLACES)


def test_typing_filters_the_symptoms(reader):
    from selenium.webdriver.common.by import By

    reader.open("symptoms.html")
    field = reader.driver.find_element(By.CSS_SELECTOR, "input[data-filter]")
    field.send_keys("production OFFline")
    shown = reader.ask(
        "return [...document.querySelectorAll('.groundup-mode')].filter(e => e.offsetHeight).map(e => e.id)"
    )
    assert shown == ["model_serving/train_serve_skew"]
    headings = reader.ask(
        "return [...document.querySelectorAll('article h2')].filter(e => e.offsetHeight).map(e => e.firstChild.textContent)"
    )
    assert headings == [PLACES["production"][0]]
    assert reader.ask("return document.querySelector('.groundup-filter [role=status]').textContent") == (
        f"1 of {len(modes.known())}"
    )


@pytest.mark.parametrize("page", ["symptoms.html", "search.html?q=loss", "ledger.html"])
def test_a_phone_needs_no_sideways_scrolling(reader, page):
    reader.open(page, width=390, height=844)
    assert reader.ask("return document.documentElement.scrollWidth") <= 390
