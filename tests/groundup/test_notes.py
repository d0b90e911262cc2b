"""Notes: found by name, read without marks, counted in the words that a reader reads."""

import json
import re

import pytest

from groundup import catalogue, notes
from groundup.catalogue import ROOT, UnknownTopic
from groundup.pages import show_note

ESSAY = ROOT / "level2_classical" / "RESEARCH_NOTE.md"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("k_means", ROOT / "level2_classical" / "notes" / "k_means.md"),
        ("k-means", ROOT / "level2_classical" / "notes" / "k_means.md"),
        ("level2_classical/notes/k_means.md", ROOT / "level2_classical" / "notes" / "k_means.md"),
        ("level2", ESSAY),
        ("2", ESSAY),
        ("level2_classical", ESSAY),
        ("convergence", ROOT / "research_notes" / "convergence.md"),
    ],
)
def test_a_note_is_found_by_what_one_would_call_it(name, path):
    assert notes.find_note(name) == path


@pytest.mark.parametrize(
    ("name", "hint"), [("k_meens", "did you mean k_means"), ("xyz", "each topic and level")]
)
def test_a_note_that_is_not_there_is_told_with_what_is(name, hint):
    with pytest.raises(UnknownTopic, match=hint):
        notes.find_note(name)


def test_every_topic_and_level_has_a_note():
    for name in (*catalogue.topics(), *(level.package for level in catalogue.levels())):
        assert notes.find_note(name).exists()


NOTE = """# Title
One <!-- claim: k_means/failure/unlucky_start -->[0.207](../a/b.md#c) [0.199, 0.215], predicted 0.2<!-- /claim --> more.
<!-- claims: level2 -->
| a table | of many words |
<!-- /claims -->
![a picture of it](x.png) End.
"""


def test_the_words_of_a_note_are_those_that_a_reader_reads(tmp_path):
    path = tmp_path / "note.md"
    path.write_text(NOTE, encoding="utf-8")
    assert notes.words(path) == 10  # # Title One [0.207] [0.199, 0.215], predicted 0.2 more. End.


def test_a_note_is_printed_without_marks_and_names_its_pictures(capsys):
    show_note("k_means", pager=False)
    printed = capsys.readouterr().out
    assert "<!--" not in printed and "Picture (" in printed
    assert "groundup break k_means" in printed


def test_the_readme_lists_every_topic():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for topic in catalogue.topics().values():
        assert f"]({topic.package}/{topic.name}.py)" in readme, "run 'groundup ledger --write'"


def test_the_dev_container_makes_the_environment_that_the_readme_names():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == "make install"
    assert "\ninstall: " in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_a_citation_reads_as_author_and_year():
    text = "exact [@clopper1934], as @lloyd1982 says [@baur1983; @griewank2008, chapter 3]"
    assert notes.cited(text) == (
        "exact (Clopper and Pearson 1934), as Lloyd 1982 says (Baur and Strassen 1983; Griewank and Walther 2008, chapter 3)"
    )


def test_every_work_has_a_name_and_a_year_without_tex():
    names = notes._authors_and_years()
    bibliography = (ROOT / "research_notes" / "references.bib").read_text(encoding="utf-8")
    assert len(names) == len(re.findall(r"^@", bibliography, re.MULTILINE))
    assert [name for name in names.values() if re.search(r"[\\{}]", name)] == []


def test_an_address_is_no_citation():
    assert notes.cited("someone@example2024.org") == "someone@example2024.org"
