"""The ledger in the browser: one index of claims to filter, and a page a topic on which every link lands."""

import json

import pytest

from groundup import catalogue
from groundup.catalogue import ROOT

LEDGER = ROOT / "research_notes" / "ledger.json"
ENTRIES = json.loads(LEDGER.read_text(encoding="utf-8"))["entries"] if LEDGER.exists() else []
FAILURE = "k_means/failure/unlucky_start"
AGREEMENT = next((e["id"] for e in ENTRIES if e["kind"] == "agreement" and e["topic"] == "k_means"), "")

pytestmark = pytest.mark.skipif(not ENTRIES, reason="the ledger has not been written yet")


@pytest.mark.parametrize(
    ("page", "key"),
    [
        ("ledger.html", FAILURE),
        ("ledger/k_means.html", FAILURE),
        ("ledger/k_means.html", AGREEMENT),  # folded until somebody comes for it
        ("ledger.html", AGREEMENT),  # not in the index: it leads on
    ],
)
@pytest.mark.parametrize("width", [1280, 390])
def test_a_link_lands_on_its_entry(reader, page, key, width):
    reader.open(f"{page}#{key}", width=width, height=844)
    assert reader.wait(
        "const entry = document.getElementById(arguments[0]);"
        "const top = entry && entry.offsetHeight && entry.getBoundingClientRect().top;"
        "return entry && scrollY > 0 && top >= 0 && top < innerHeight",
        key,
    )


def test_an_entry_says_all_that_is_behind_it(reader):
    reader.open(f"ledger/k_means.html#{FAILURE}")
    text = reader.ask("return document.getElementById(arguments[0]).textContent", FAILURE)
    for part in ("predicted", "measured", "rival", "corrected", "at 95 %", "breaks", "mended", "holds", "δ:"):
        assert part in text
    assert f"groundup break {FAILURE.replace('/failure', '')}" in text


def test_the_index_has_every_claim_and_filters_them(reader):
    from selenium.webdriver.common.by import By

    shown = "return [...document.querySelectorAll('tr.groundup-line')].filter(e => e.offsetHeight).map(e => e.textContent)"
    reader.open("ledger.html")
    failures = [entry for entry in ENTRIES if entry["kind"] == "failure_mode"]
    assert len(reader.ask(shown)) == 2 * len(failures)
    select = reader.driver.find_element(By.CSS_SELECTOR, "select[data-attribute=level]")
    select.find_element(By.CSS_SELECTOR, "option[value='2']").click()
    assert len(reader.ask(shown)) == 2 * sum(entry["level"] == 2 for entry in failures)
    reader.driver.find_element(By.CSS_SELECTOR, "input[data-filter]").send_keys("unlucky mended")
    rows = reader.ask(shown)
    assert len(rows) == 1
    assert "An unlucky start" in rows[0]


def test_agreements_are_folded_and_their_reason_is_said_once(reader):
    reader.open("ledger/k_means.html")
    mine = [e for e in ENTRIES if e["kind"] == "agreement" and e["topic"] == "k_means"]
    folded = reader.ask(
        "return [...document.querySelectorAll('details')].filter(d => !d.open).map(d => d.textContent)"
    )
    assert sum("agree" in text or "1 quantity" in text for text in folded) == len(
        {(e["reason"], e["tolerance"]) for e in mine}
    )


def test_names_are_not_broken_inside_of_a_word(reader):
    """In a cell, each part of a dotted name stands on one line."""
    reader.open("ledger/k_means.html", width=390, height=844)
    broken = reader.ask(
        """
        document.querySelectorAll('details').forEach(d => d.open = true);
        const found = [];
        for (const code of document.querySelectorAll('td code')) {
          for (const node of code.childNodes) {
            if (node.nodeType !== 3) continue;
            const range = document.createRange();
            range.selectNodeContents(node);
            const tops = new Set([...range.getClientRects()].map(r => Math.round(r.top)));
            if (tops.size > 1) found.push(code.textContent);
          }
        }
        return found;
        """
    )
    assert broken == []
    assert reader.ask("return document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", [topic.name for topic in catalogue.topics().values()])
def test_no_table_of_claims_scrolls_inside_of_itself(reader, name):
    reader.open(f"ledger/{name}.html")
    cut = reader.ask(
        "document.querySelectorAll('details').forEach(d => d.open = true);"
        "return [...document.querySelectorAll('.groundup-wide')].filter(e => e.scrollWidth > e.clientWidth).map(e => [e.scrollWidth - e.clientWidth, e.textContent.slice(0, 60)])"
    )
    assert cut == []
