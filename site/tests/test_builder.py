"""How the repository's Markdown and notebooks become pages; no browser is needed."""

import json
import os
import subprocess
import sys

import jupytext
import pytest
from builder import pages
from builder.ledger import index_page
from builder.links import check_site
from builder.rewriting import Rewriter, citation

from groundup import catalogue, fingerprints, page_runs
from groundup.catalogue import ROOT

FILES = {
    "README.md": "index.md",
    "level2_classical/README.md": "level2_classical/index.md",
    "level2_classical/k_means.py": "level2_classical/k_means.ipynb",
}
ENTRY = "k_means/failure/unlucky_start"


@pytest.fixture
def rewriter():
    names = {ENTRY: ENTRY, "k-means-failure-unlucky-start": ENTRY}
    return Rewriter(FILES.get, {"research_notes/figures/k_means.png"}.__contains__, names)


def rewritten(rewriter, text):
    return rewriter.rewrite(text, "level2_classical/RESEARCH_NOTE.md", "level2_classical/research_note.md")


@pytest.mark.parametrize(
    ("cited", "role"),
    [
        ("@lloyd1982", "{cite:p}`lloyd1982`"),
        ("@a; @b", "{cite:p}`a,b`"),
        ("@sutton2018, section\n5", "{cite:p}`sutton2018{section 5}`"),
        ("see @a, ch. 3; @b", "{cite:p}`{see}a{ch. 3},b`"),
    ],
)
def test_citations(cited, role):
    assert citation(cited) == role


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[k](k_means.py)", "[k](k_means.ipynb)"),
        ("[`k`](k_means.py#cost)", "[`k`](k_means.ipynb#cost)"),
        ("[home](../README.md)", "[home](../index.md)"),
        ("[out](https://example.org/k_means.py)", "[out](https://example.org/k_means.py)"),
        ("[here](#limits)", "[here](#limits)"),
        ("![alt](../research_notes/figures/k_means.png)", "![alt](../research_notes/figures/k_means.png)"),
        ("so [@a] and\n[@b; @c]", "so {cite:p}`a` and\n{cite:p}`b,c`"),
    ],
)
def test_links_and_citations_are_rewritten(rewriter, text, expected):
    assert rewritten(rewriter, text) == expected
    assert not rewriter.broken


@pytest.mark.parametrize(
    "text",
    [
        "`[k](nowhere.py)` and `[@key]`",
        "```python\n[k](nowhere.py)\n[@key]\n```\n",
        "$f[i](x)$, $\\lVert x\nf[i](x)\\rVert$ and $$f[i](x)$$",
        r"\$5 and [no link]",
    ],
)
def test_code_and_mathematics_are_left_alone(rewriter, text):
    assert rewritten(rewriter, text) == text
    assert not rewriter.broken


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            "```\ngroundup why nan    # words\nmake test\n```",
            "```console\n$ groundup why nan    # words\n$ make test\n```",
        ),
        ("```\n# first\npip install x\n```", "```console\n# first\n$ pip install x\n```"),
        ("```\n   mean  sd\n```", "```text\n   mean  sd\n```"),
        ("```python\nmake = 1\n```", "```python\nmake = 1\n```"),
    ],
)
def test_commands_are_marked_as_commands(rewriter, block, expected):
    assert rewritten(rewriter, f"Before.\n\n{block}\n\nAfter.") == f"Before.\n\n{expected}\n\nAfter."


def test_a_picture_that_was_drawn_in_both_themes_is_shown_in_both(rewriter):
    rewriter.in_both_themes = {"research_notes/figures/k_means.png": ("/light.png", "/dark.png")}.get
    image = "![what it\nshows](../research_notes/figures/k_means.png)"
    shown = "```{groundup-picture} /light.png\n:dark: /dark.png\n:alt: what it shows\n```"
    assert rewritten(rewriter, f"Before.\n\n{image}\n\nAfter.") == f"Before.\n\n{shown}\n\nAfter."
    assert rewritten(rewriter, f"in a line {image}").startswith("in a line ![")


def test_pictures_are_noted_for_copying(rewriter):
    rewritten(rewriter, "![alt](../research_notes/figures/k_means.png)")
    assert rewriter.copied == {"research_notes/figures/k_means.png"}


@pytest.mark.parametrize(
    "target", ["nowhere.py", "../level9/README.md", "../research_notes/ledger.md#no-entry"]
)
def test_a_broken_link_is_named(rewriter, target):
    rewritten(rewriter, f"[text]({target})")
    assert len(rewriter.broken) == 1
    assert target in rewriter.broken[0] and "level2_classical/RESEARCH_NOTE.md" in rewriter.broken[0]


def test_a_missing_picture_is_named(rewriter):
    rewritten(rewriter, "![alt](../research_notes/figures/nothing.png)")
    assert len(rewriter.broken) == 1


@pytest.mark.parametrize(
    "text",
    [
        f"`{ENTRY}`",
        "[entry](../research_notes/ledger.md#k-means-failure-unlucky-start)",
        f"[entry](../research_notes/ledger.json#{ENTRY})",
    ],
)
def test_every_way_to_name_a_ledger_entry_leads_to_its_anchor(rewriter, text):
    assert f'href="../ledger/k_means.html#{ENTRY}"' in rewritten(rewriter, text)


def test_the_ledgers_marks_do_not_hide_the_text_after_them(rewriter):
    text = f"<!-- claim: {ENTRY} -->predicted ≈ 0.2<!-- /claim -->. More."
    assert rewritten(rewriter, text) == "predicted ≈ 0.2. More."


def test_only_percent_files_are_notebooks():
    assert pages.is_percent(ROOT / "level2_classical" / "k_means.py")
    assert not pages.is_percent(ROOT / "site" / "conf.py")
    assert not pages.is_percent(ROOT / "groundup" / "catalogue.py")


def test_a_run_rests_on_every_module_below_it():
    names = {
        path.relative_to(ROOT).as_posix()
        for path in fingerprints.closure(ROOT / "level2_classical/failure_modes/k_means.py")
    }
    assert {"level2_classical/k_means.py", "shared/failure_mode.py", "shared/numerics.py"} <= names
    assert "level3_deep_learning/modules.py" not in names


def test_the_fingerprint_changes_with_the_code_below(tmp_path, monkeypatch):
    package = tmp_path / "shared"
    package.mkdir()
    (package / "bench.py").write_text("x = 1\n")
    (tmp_path / "topic.py").write_text("from shared.bench import x\n")
    monkeypatch.setattr(fingerprints, "ROOT", tmp_path)
    topic = catalogue.get("k_means")
    before = fingerprints.fingerprint(tmp_path / "topic.py", topic)
    assert fingerprints.fingerprint(tmp_path / "topic.py", topic) == before
    (package / "bench.py").write_text("x = 2\n")
    assert fingerprints.fingerprint(tmp_path / "topic.py", topic) != before


def test_a_page_shows_in_jupyter_what_it_shows_on_the_site(tmp_path):
    """The site's pages run without a kernel; a reader opens them in one."""
    topic = catalogue.get("k_means")
    notebook = jupytext.read(topic.path)
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    path = tmp_path / "page.ipynb"
    jupytext.write(notebook, path)
    command = [sys.executable, "-c", "from nbclient.cli import main; main()", "--inplace", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr

    def kinds(outputs):
        return [(output["output_type"], sorted(output.get("data", ()))) for output in outputs]

    in_jupyter = [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    on_the_site = page_runs.outputs([topic])[topic.path]
    assert [kinds(cell.outputs) for cell in in_jupyter] == [kinds(cell["outputs"]) for cell in on_the_site]
    assert any(cell.outputs for cell in in_jupyter)


def test_writing_the_pages_again_touches_none(tmp_path):
    pages.write_pages(tmp_path)
    (tmp_path / "gone.md").write_text("# no page any more")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.name != "gone.md"}
    pages.write_pages(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


def test_an_empty_ledger_says_so():
    assert "has not been written yet" in index_page([])


def test_the_check_of_links_finds_what_is_wrong(tmp_path):
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="https://example.org/a.css"><script src="//example.org/a.js"></script>'
        '<img src="missing.png"><a href="other.html">x</a><a href="#nowhere">x</a><a href="#here" id="here">x</a>'
        '<a href="https://example.org">fine</a><link rel="canonical" href="https://example.org">'
    )
    (tmp_path / "style.css").write_text(
        "@import url('https://example.org/b.css'); a { background: url(data:x) }"
    )
    found = check_site(tmp_path)
    assert len(found) == 6, found
    for part in ("a.css", "a.js", "missing.png", "other.html", "#nowhere", "b.css"):
        assert any(part in sentence for sentence in found), part


# --- the built site ----------------------------------------------------------------------------------------


def test_the_built_site_is_in_order_and_loads_nothing_from_elsewhere(site):
    assert check_site(site) == []


def test_every_ledger_entry_has_its_anchor_and_its_command(site):
    ledger = ROOT / "research_notes" / "ledger.json"
    index = (site / "ledger.html").read_text(encoding="utf-8")
    if not ledger.exists():
        assert "has not been written yet" in index
        return
    for entry in json.loads(ledger.read_text(encoding="utf-8"))["entries"]:
        text = (site / "ledger" / f"{entry['topic']}.html").read_text(encoding="utf-8")
        assert f'id="{entry["id"]}"' in text
        assert entry["rerun"] in text
        assert (f'id="{entry["id"]}"' in index) == (entry["kind"] == "failure_mode")


@pytest.mark.parametrize("name", list(catalogue.topics()))
def test_topic_pages_show_their_run_and_lead_on(site, name):
    topic = catalogue.get(name)
    page = (site / topic.package / f"{name}.html").read_text(encoding="utf-8")
    assert f'href="failure_modes/{name}.html"' in page
    for need in topic.needs:
        other = catalogue.get(need)
        assert f"{other.name}.html" in page
    assert "quantities agree with the reference" in page
    assert 'class="groundup-table"' in page
    failures = (site / topic.package / "failure_modes" / f"{name}.html").read_text(encoding="utf-8")
    assert f'href="../{name}.html"' in failures


def test_no_page_speaks_of_the_machine_that_built_it(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert str(ROOT) not in text, page
        assert "/tmp/" not in text or "ipykernel_" not in text, page


@pytest.mark.parametrize("level", catalogue.levels(), ids=lambda level: level.package)
def test_the_row_of_a_topic_leads_to_all_its_rooms(site, level):
    page = (site / level.package / "index.html").read_text(encoding="utf-8")
    for topic in level.topics:
        rows = [row for row in page.split("<tr")[1:] if f'href="{topic.name}.html"' in row]
        assert any(
            f'href="failure_modes/{topic.name}.html"' in row and f'href="notes/{topic.name}.html"' in row
            for row in rows
        ), topic.name
