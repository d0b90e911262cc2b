"""The ledger: committed numbers reproduce, blocks match, and a changed number is caught."""

import copy
import json

import pytest

from groundup import catalogue, ledger, ledger_pages, quoting


@pytest.mark.parametrize("name", list(catalogue.topics()))
def test_every_committed_number_reproduces(evidence, name):
    assert ledger.differences(name, evidence(name)) == []


def test_no_block_differs_from_the_ledger():
    assert ledger.stale_blocks() == []


def test_every_topic_is_in_the_ledger():
    assert {entry["topic"] for entry in ledger.read()["entries"]} == set(catalogue.topics())
    assert {path.stem for path in ledger.PAGES.glob("*.md")} == set(catalogue.topics())


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


def _scale(row, name, factor):
    row[name] *= factor


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
        (lambda rows: _first(rows, "failure_mode").update(claim="Another sentence."), "its claim is"),
        (lambda rows: _first(rows, "failure_mode").update(rival=1.0), "the ledger says 1"),
        (lambda rows: _first(rows, "failure_mode")["remedy"].update(measured=0.5), "remedy: measured"),
        (
            lambda rows: _first(rows, "failure_mode")["remedy"].update(verdict="refuted"),
            "remedy: holds, the ledger says refuted",
        ),
        (lambda rows: _scale(_first(rows, "failure_mode"), "predicted", 1.001), "predicts 0.2,"),
        (lambda rows: _scale(_first(rows, "failure_mode")["remedy"], "predicted", 0.999), "remedy: predicts"),
        (lambda rows: _scale(_first(rows, "failure_mode"), "tolerance", 1.01), "allows"),
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


# --- what readers see --------------------------------------------------------------------------------------

CLAIM = {
    "quantity": "share", "measured": 0.20712, "predicted": 0.2, "relation": "≈", "interval": [0.2, 0.21],
    "corrected": [0.19921, 0.21523], "interval_kind": "confidence", "verdict": "holds", "tolerance": 0.04,
    "rival": 0.5, "seeds": 20, "claim": "One in five.", "reason": "finite size",
}  # fmt: skip
ENTRY = {
    "id": "k_means/failure/unlucky_start", "kind": "failure_mode", "topic": "k_means", "failure_mode": "unlucky_start",
    "title": "An unlucky start", "symptoms": ["stuck"], "rerun": "groundup break k_means/unlucky_start", **CLAIM,
    "remedy": {**CLAIM, "measured": 0.0, "predicted": 2e-5, "corrected": [0.0, 0.00106]},
}  # fmt: skip
AGREEMENTS = [
    {"id": f"k_means/agreement/{name}", "kind": "agreement", "topic": "k_means", "quantity": name, "reference": "sklearn",
     "dataset": "iris", "error": error, "tolerance": 1e-8, "agrees": True, "reason": "rounding", "rerun": "groundup run k_means"}
    for name, error in (("labels", 0.0), ("centers", 2e-9), ("inertia", 3e-15))
]  # fmt: skip
HERE = "../research_notes/ledger/k_means.md"
THERE = f"{HERE}#k-means-failure-unlucky-start"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "0.207 [0.199, 0.215], predicted 0.2"),
        ({"relation": "≤"}, "0.207 [0.199, 0.215], predicted at most 0.2"),
        ({"relation": "≥"}, "0.207 [0.199, 0.215], predicted at least 0.2"),
        ({"verdict": "refuted"}, "0.207 [0.199, 0.215], predicted 0.2, refuted"),
        ({"measured": 518.76, "predicted": 518.7, "corrected": [518.4, 519.1]}, "518.8 [518.4, 519.1], predicted 518.7"),
        ({"measured": 14408, "predicted": 15000, "corrected": [14000, 14800]}, "14,408 [14,000, 14,800], predicted 15,000"),
        ({"measured": 0.0, "predicted": 2e-5, "corrected": [0.0, 0.00106]}, "0 [0, 0.0011], predicted 2·10⁻⁵"),
        ({"measured": -0.6, "predicted": -0.6, "corrected": [-0.62, -0.58]}, "−0.60 [−0.62, −0.58], predicted −0.6"),
        ({"corrected": [None, None], "verdict": "inconclusive"}, "0.2071, predicted 0.2, inconclusive"),
        ({"interval_kind": "exact", "measured": 1.02, "predicted": 1.02}, "1.02"),
        ({"interval_kind": "exact", "measured": 1.02, "predicted": 1.0}, "1.02, predicted 1"),
        ({"interval_kind": "range", "measured": 0.0, "predicted": 0.0, "corrected": [0.0, 0.0], "relation": "≤"}, "0"),
        ({"interval_kind": "exact", "measured": 0.5, "predicted": 0.7, "relation": "≤"}, "0.5, predicted at most 0.7"),
    ],
)  # fmt: skip
def test_a_claim_in_a_sentence_is_short(change, said):
    text = quoting.quote({**ENTRY, **change}, remedy=False, up="../")
    assert text.replace(f"]({THERE})", "", 1).replace("[", "", 1) == said


def test_the_remedy_is_quoted_by_its_own_mark():
    text = "so <!-- claim: k_means/failure/unlucky_start remedy -->stale<!-- /claim -->."
    filled = quoting.fill(text, [ENTRY], "../")
    assert f"-->[0]({THERE}) [0, 0.0011], predicted 2·10⁻⁵<!-- /claim -->." in filled
    assert quoting.fill(filled, [ENTRY], "../") == filled


def test_one_line_on_agreements_names_the_one_nearest_to_its_limit():
    filled = quoting.fill("<!-- agreements: k_means --><!-- /agreements -->", AGREEMENTS, "../")
    assert f"[3 of 3]({HERE}#agreement) quantities agree" in filled
    assert "nearest to its limit is centers on iris, at 1e-9 of 1e-8 allowed" in filled


@pytest.mark.parametrize(
    ("error", "tolerance", "said"),
    [(3e-10, 1e-8, "1e-10 of 1e-8"), (1.2e-3, 5e-3, "1e-3 of 5e-3"), (2.97, 4.5, "3 of 4.5"), (1e-15, 0.0, "1e-15 of 0")],
)  # fmt: skip
def test_an_error_is_an_order_of_magnitude_and_a_tolerance_is_what_was_written(error, tolerance, said):
    (line,) = (
        quoting.agreement_line("k_means", [{**AGREEMENTS[0], "error": error, "tolerance": tolerance}], up=""),
    )
    assert line.endswith(f"at {said} allowed")


def test_a_table_of_a_levels_claims_and_one_of_all_modes():
    rows = quoting.fill("<!-- claims: level2 -->\n<!-- /claims -->", [ENTRY], "../").splitlines()
    assert rows[-2] == (
        f"| [An unlucky start]({THERE}) | share | 0.2 | 0.207 [0.199, 0.215] | 0 [0, 0.0011], predicted 2·10⁻⁵ |"
    )
    rows = quoting.fill("<!-- modes --><!-- /modes -->", [ENTRY], "").splitlines()
    assert rows[3].startswith("| stuck | [An unlucky start](research_notes/ledger/k_means.md#")


@pytest.mark.parametrize(
    "text",
    [
        "<!-- claim: k_means/failure/gone --><!-- /claim -->",
        "<!-- claims: level9 --><!-- /claims -->",
        "<!-- agreements: gone --><!-- /agreements -->",
        "<!-- claim: k_means/failure/unlucky_start -->",
        "<!-- claim: k_means/failure/unlucky_start --> and no end <!-- modes --><!-- /modes -->",
        "<!-- claim: k_means/failure/unlucky_start remedied --><!-- /claim -->",
    ],
)
def test_a_mark_that_asks_in_vain_is_told(text):
    assert len(list(quoting.complaints(text, [ENTRY]))) == 1


def test_marks_in_order_are_not_complained_of():
    text = "<!-- claim: k_means/failure/unlucky_start remedy -->x<!-- /claim --><!-- agreements: k_means --><!-- /agreements -->"
    assert not list(quoting.complaints(text, [ENTRY, *AGREEMENTS]))


def test_the_topics_page_gives_each_claim_in_full():
    swept = {"parameter": "spacing", "label": "spacing", "seeds": 6, "points": [[1.0, None, 0.5, 0.4, 0.6]]}
    page = ledger_pages.topic_page(catalogue.get("k_means"), [{**ENTRY, "sweep": swept}, *AGREEMENTS])
    for part in (
        "**What one sees:** stuck.", "0.2 ± 0.04 | 0.5 | 0.2071 | [0.1992, 0.2152] | [0.2, 0.21] | 20 | holds",
        "groundup break k_means/unlucky_start", "| 1 | outside its regime | 0.5 | [0.4, 0.6] |",
    ):  # fmt: skip
        assert part in page
    assert page.count("rounding.") == 1, "a reason stands once for all quantities that share it"


def test_the_index_has_a_line_for_each_failure_mode():
    page = ledger_pages.index_page([ENTRY, *AGREEMENTS])
    assert (
        "- [An unlucky start](ledger/k_means.md#k-means-failure-unlucky-start): 0.207 [0.199, 0.215]" in page
    )


def test_a_sweep_must_come_back_within_its_own_intervals():
    old = {"parameter": "n", "label": "n", "seeds": 6, "points": [[1.0, 0.5, 0.5, 0.4, 0.6]]}
    assert not list(ledger._compare_sweeps(old, {**old, "points": [[1.0, 0.5, 0.59, 0.5, 0.7]]}))
    for point in ([1.0, 0.5, 0.7, 0.6, 0.8], [1.0, 0.6, 0.5, 0.4, 0.6], [2.0, 0.5, 0.5, 0.4, 0.6]):
        assert list(ledger._compare_sweeps(old, {**old, "points": [point]}))
    assert list(ledger._compare_sweeps(old, None))


def test_the_figure_of_a_mode_that_is_gone_goes_too(evidence, monkeypatch, tmp_path):
    monkeypatch.setattr(ledger, "FIGURES", tmp_path)
    found = evidence("k_means")
    for name in ("k_means_gone.png", "modules_kept.png"):
        (tmp_path / name).touch()
    ledger._write_figures("k_means", type(found)("k_means", found.agreements, found.outcomes[:1]))
    assert {path.name for path in tmp_path.iterdir()} >= {"k_means.png", "modules_kept.png"}
    assert not (tmp_path / "k_means_gone.png").exists()
