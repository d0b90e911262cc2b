"""The tour: what it prints and reports is what it saw, and a stop out of order is not passed over."""

import dataclasses
import re

import pytest

from groundup import catalogue
from groundup import tour as tours
from groundup.tour import Stop, Walk, walk_the_tower, write_report

PICTURE = (b"light", b"dark")


@pytest.fixture
def stop(evidence):
    """The tour's stop at k-means, with stand-ins for the pictures."""
    found = evidence("k_means")
    pictures = {"What the topic shows": PICTURE, "What the failure shows": PICTURE}
    return Stop(catalogue.get("k_means"), found.agreements, found.outcomes[0], pictures)


def test_a_stop_where_all_agrees_and_holds_is_in_order(stop):
    assert stop.in_order


def test_a_stop_without_agreements_is_not_in_order(stop):
    stop.agreements = []
    assert not stop.in_order, "nothing compared is nothing shown"


def test_the_report_needs_no_network_and_its_links_lead_to_files(stop, tmp_path):
    page = write_report(tmp_path, [stop], Walk(), 12.0).read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    files = [source for source in sources if not source.startswith(("data:", "#"))]
    assert len(files) < len(sources) and files
    for source in files:
        assert (tmp_path / source).resolve().is_relative_to(catalogue.ROOT) and (tmp_path / source).exists()


def test_the_report_says_what_was_measured(stop, tmp_path):
    page = write_report(tmp_path, [stop], Walk(), 12.0).read_text(encoding="utf-8")
    assert f"{stop.outcome.breaks.measured:.4g}" in page
    assert f"{len(stop.agreements)} of {len(stop.agreements)} quantities agree" in page
    assert "What the topic shows" in page and "What the failure shows" in page


def test_the_report_opens_with_its_verdicts_and_ends_with_a_next_step(stop, tmp_path):
    page = write_report(tmp_path, [stop], Walk(["✓ all of it"]), 12.0).read_text(encoding="utf-8")
    parts = [
        "<main>",
        "1 of 1 algorithms broke",
        "1 of 1 were mended",
        "<caption>",
        "<h2",
        'id="tower"',
        'id="next"',
        "</main>",
    ]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert '<span class="bad">' not in page


def test_what_is_not_in_order_is_told_at_the_top(stop, tmp_path):
    broken = dataclasses.replace(stop.outcome.remedy, verdict="refuted")
    stop.outcome = dataclasses.replace(stop.outcome, remedy=broken)
    page = write_report(tmp_path, [stop], Walk(), 12.0).read_text(encoding="utf-8")
    top = page[: page.index("<h2")]
    assert (
        '<span class="bad">✗</span> 0 of 1 were mended' in top and '<span class="bad">refuted</span>' in top
    )
    assert "groundup doctor" in page


def test_a_missing_reference_is_named_in_the_report(tmp_path):
    stop = Stop(catalogue.get("k_means"), problem="sklearn is not installed; get it with: …")
    assert not stop.in_order
    assert stop.problem in write_report(tmp_path, [stop], Walk(), 1.0).read_text(encoding="utf-8")


def test_the_whole_tower_stands():
    walk = walk_the_tower()
    assert walk.in_order, walk.lines
    assert len(walk.lines) == 6


@pytest.mark.parametrize(("in_order", "status"), [(True, 0), (False, 1)])
def test_the_status_tells_whether_all_was_in_order(stop, tmp_path, monkeypatch, capsys, in_order, status):
    stop.problem = "" if in_order else "a planted problem"
    monkeypatch.setattr(tours, "STOPS", (("k_means", "unlucky_start"),))
    monkeypatch.setattr(tours, "visit", lambda topic, mode: stop)
    monkeypatch.setattr(tours, "walk_the_tower", lambda: Walk(["✓ all of it"]))
    assert tours.tour(str(tmp_path)) == status
    printed = capsys.readouterr().out
    assert "all of it" in printed and "index.html" in printed
    assert ("a planted problem" in printed) != in_order
