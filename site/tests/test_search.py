"""Search by symptom: what one sees leads to the failure mode that causes it."""

import pytest
from builder.symptoms import address

from groundup import modes

SEEN = [(mode, symptom) for mode in modes.known() for symptom in mode.symptoms]
RESULTS = "return Search._performSearch(...Search._parseQuery(arguments[0])).reverse().map(hit => [hit[0] + '.html' + hit[2], hit[6]])"


@pytest.fixture(scope="module")
def search(driver, address):
    """A function that returns the hits of a query, best first, each its address and its kind; the page is loaded once."""
    driver.get(f"{address}/search.html")
    return lambda query: driver.execute_script(RESULTS, query)


@pytest.mark.parametrize(("mode", "symptom"), SEEN, ids=[symptom for _, symptom in SEEN])
def test_a_symptom_finds_its_failure_mode_first(search, mode, symptom):
    assert search(symptom)[0][0] == address(mode)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("loss becomes nan", "multilayer_perceptron/loss_becomes_nan"),
        ("divergent transitions", "markov_chain_monte_carlo/funnel"),
        ("predictions differ in production", "model_serving/train_serve_skew"),
        ("duplicated rows", "linear_regression/same_rows_again"),
        ("Q values too high", "tabular_reinforcement_learning/maximization_bias"),
        ("q values overestimated", "tabular_reinforcement_learning/maximization_bias"),
        ("loss diverges", "gradient_descent/step_past_two_over_L"),
        ("different segments each night", "k_means/another_answer_every_night"),
    ],
)
def test_so_do_other_words_for_it(search, query, first):
    assert search(query)[0][0] == address(modes.get(first))


def test_words_are_read_as_the_command_reads_them(driver, address):
    """The script's stems and meanings are those of `groundup why`."""
    from groundup import why

    driver.get(f"{address}/search.html")
    text = (
        "R-hat isn't 1.01: divergences, ratings, stopped; p-values TOO small, q's running losses never fell"
    )
    script = driver.execute_script("return fetch('_static/search.js').then(r => r.text())")
    inner = script.partition("{  //")[2].partition("\n")[2].partition("  // Sphinx shows")[0]
    asked = [text, *(symptom for _, symptom in SEEN)]
    told = driver.execute_script(
        f"{inner}; return arguments[0].map(t => {{ const r = read(t); return [r.words, [...r.all]] }})", asked
    )
    for words, (stems, meanings) in zip(asked, told, strict=True):
        terms = why._terms(words)
        assert stems == why._stems(words)
        assert {f"~{meaning}" for meaning in meanings} == {term for term in terms if term.startswith("~")}


def test_a_word_is_found_as_a_word_and_not_inside_of_another(search):
    """ "nan" is in "discriminant"."""
    first = search("nan")[0]
    told = [mode for mode in modes.known() if address(mode) == first[0]]
    assert any("nan" in symptom.lower().split() for symptom in told[0].symptoms)


@pytest.mark.parametrize("query", ["k-means", "Elkan", "leverage", "Hamiltonian"])
def test_a_name_is_no_symptom(search, query):
    assert search(query)[0][1] != "symptom"


def test_the_page_shows_what_was_found_and_no_raw_mathematics(reader):
    reader.open("search.html?q=loss+is+nan", width=390, height=844)
    mode = modes.get("multilayer_perceptron/loss_becomes_nan")
    first = reader.wait(
        "const hit = document.querySelector('#search-results li'); return hit && [hit.querySelector('a').getAttribute('href'), hit.textContent]"
    )
    assert first[0] == address(mode)
    assert "loss is nan" in first[1]
    reader.wait("return document.querySelectorAll('#search-results li p.context').length > 3")
    snippets = reader.ask(
        "return [...document.querySelectorAll('#search-results li p')].map(p => p.textContent).join(' ')"
    )
    assert "\\(" not in snippets and "\\frac" not in snippets
    assert reader.ask("return document.documentElement.scrollWidth") <= 390


def test_the_field_shows_what_was_asked(reader):
    """Its icon stands before the words, not on them."""
    reader.open("search.html?q=loss+is+nan")
    field, icon, inner = reader.ask(
        "const form = [...document.querySelectorAll('form.bd-search')].find(f => f.offsetWidth);"
        "const field = form.querySelector('input');"
        "return [field.getBoundingClientRect().left, form.querySelector('i').getBoundingClientRect().right, parseFloat(getComputedStyle(field).paddingLeft)]"
    )
    assert icon <= field + inner


@pytest.mark.parametrize("query", ["sampler_gradient_check", "maximization_bias", "loss"])
def test_long_names_do_not_widen_a_phone(reader, query):
    """Neither in a title nor in the snippets, which arrive one after the other."""
    reader.open(f"search.html?q={query}", width=390, height=844)
    reader.wait(
        "const hits = document.querySelectorAll('#search-results li').length;"
        "return document.querySelector('#search-results p.search-summary')?.textContent.includes('found')"
        " && hits > 2 && document.querySelectorAll('#search-results li p.context').length >= hits / 2"
    )
    assert reader.ask("return document.documentElement.scrollWidth") <= 390
