"""The sliders of swept claims show the numbers of the ledger."""

import json
import re

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from groundup import catalogue
from groundup.catalogue import ROOT

PAGE = "level2_classical/failure_modes/k_means.html"


def swept(topic):
    """The sweeps of a topic's claims as the ledger has them, by the id of their place on the page."""
    entries = json.loads((ROOT / "research_notes" / "ledger.json").read_text(encoding="utf-8"))["entries"]
    return {
        f"sweep-{entry['failure_mode']}-{part}": claim["sweep"]
        for entry in entries
        if entry["topic"] == topic and entry["kind"] == "failure_mode"
        for part, claim in (("breaks", entry), ("remedy", entry["remedy"]))
        if "sweep" in claim
    }


@pytest.mark.parametrize("name", list(catalogue.topics()))
def test_every_swept_claim_has_its_place(site, name):
    page = site / catalogue.get(name).package / "failure_modes" / f"{name}.html"
    found = re.findall(r'class="groundup-sweep" id="([^"]+)"', page.read_text(encoding="utf-8"))
    assert set(found) == set(swept(name))


def test_moving_a_slider_shows_the_ledgers_numbers(reader):
    reader.open(PAGE)
    name, sweep = next(iter(swept("k_means").items()))
    slider = reader.driver.find_element(By.CSS_SELECTOR, f"#{name} input[type=range]")
    slider.send_keys(Keys.HOME)
    for index, (value, predicted, measured, low, high) in enumerate(sweep["points"]):
        if index:
            slider.send_keys(Keys.ARROW_RIGHT)
        told = reader.ask(f"return document.querySelector('#{name} output').textContent")
        if predicted is None:
            assert "predicted outside the formula" in told
        numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?", told)]
        expected = [value, *([] if predicted is None else [predicted]), measured, low, high]
        assert numbers == pytest.approx(expected, rel=1e-3), told
        marker = reader.ask(
            f"return [...document.querySelectorAll('#{name} .point')][{index}].getAttribute('cx') === "
            f"document.querySelector('#{name} .measured').getAttribute('cx')"
        )
        assert marker


@pytest.mark.parametrize("name", list(catalogue.topics()))
def test_every_slider_draws_its_curve_inside_of_its_picture(reader, name):
    reader.open(f"{catalogue.get(name).package}/failure_modes/{name}.html", width=390, height=844)
    drawn = reader.ask(
        "return [...document.querySelectorAll('.groundup-sweep')].map(e => [e.id, e.querySelectorAll('.point').length,"
        "[...e.querySelectorAll('svg circle, svg path')].some(p => /NaN|Infinity/.test(p.outerHTML))])"
    )
    expected = [[key, len(sweep["points"]), False] for key, sweep in swept(name).items()]
    assert sorted(drawn) == sorted(expected)
    assert reader.ask("return document.documentElement.scrollWidth") <= 390
