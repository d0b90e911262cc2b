"""The ledger: committed numbers reproduce, blocks match, and a changed number is caught."""

import copy
import json

import pytest

from groundup import catalogue, ledger


@pytest.mark.parametrize("name", list(catalogue.topics()))
def test_every_committed_number_reproduces(evidence, name):
    assert ledger.differences(name, evidence(name)) == []


def test_no_block_differs_from_the_ledger():
    assert ledger.stale_blocks() == []


def test_every_topic_is_in_the_ledger():
    assert {entry["topic"] for entry in ledger.read()["entries"]} == set(catalogue.topics())


def test_every_failure_mode_has_its_figure():
    for entry in ledger.read()["entries"]:
        if entry["kind"] == "failure_mode":
            path = ledger.FIGURES / f"{entry['topic']}_{entry['failure_mode']}.png"
            assert path.exists(), f"{path.name} is missing; run 'groundup ledger --write'"


@pytest.fixture
def book(evidence, monkeypatch, tmp_path):
    """A ledger of k_means alone, in a folder of its own; returns a function that stores changed entries."""
    monkeypatch.setattr(ledger, "LEDGER", tmp_path / "ledger.json")
    rows = ledger.entries("k_means", evidence("k_means"))

    def store(change=lambda rows: None):
        changed = copy.deepcopy(rows)
        change(changed)
        ledger.LEDGER.write_text(json.dumps({"entries": changed}), encoding="utf-8")
        return ledger.differences("k_means", evidence("k_means"))

    return store


def test_an_untouched_ledger_reproduces(book):
    assert book() == []


def _first(rows, kind):
    return next(row for row in rows if row["kind"] == kind)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: _first(rows, "failure_mode").update(measured=0.5), "measured"),
        (lambda rows: _first(rows, "failure_mode").update(predicted=0.25), "predicts"),
        (
            lambda rows: _first(rows, "failure_mode").update(verdict="refuted"),
            "holds, the ledger says refuted",
        ),
        (lambda rows: _first(rows, "failure_mode")["remedy"].update(measured=0.5), "remedy: measured"),
        (lambda rows: rows.pop(), "measured now, not in the ledger"),
        (lambda rows: rows.append({**rows[-1], "id": "k_means/failure/gone"}), "not measured any more"),
        (lambda rows: _first(rows, "agreement").update(error=1e3, tolerance=1e-9), "the ledger says"),
    ],
)
def test_a_changed_number_is_caught(book, change, message):
    differences = book(change)
    assert len(differences) >= 1 and message in " ".join(differences)


def test_a_rounding_error_may_move_by_orders_below_its_tolerance():
    assert ledger._same_size(1e-16, 3e-15, 1e-9)
    assert not ledger._same_size(1e-9, 1e-5, 1e-6)


def test_a_block_is_rendered_in_place_and_once(evidence):
    rows = ledger.entries("k_means", evidence("k_means"))
    note = catalogue.ROOT / "level2_classical" / "RESEARCH_NOTE.md"
    text = "before\n<!-- ledger: k_means -->\nstale text\n<!-- /ledger -->\nafter\n"
    filled = ledger.fill_blocks(text, rows, note)
    assert filled.startswith("before\n<!-- ledger: k_means -->\n") and filled.endswith(
        "<!-- /ledger -->\nafter\n"
    )
    assert filled.count("**An unlucky start") == 1
    assert "stale text" not in filled and ledger.fill_blocks(filled, rows, note) == filled
    assert "../research_notes/figures/k_means_unlucky_start.png" in filled
