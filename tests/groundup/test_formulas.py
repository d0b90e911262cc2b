"""Formulas in the terminal: what becomes of each kind of TeX, and that nothing is lost from any topic's page."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup import catalogue, formulas
from groundup.pages import cells

PAGES = [page for topic in catalogue.topics().values() for page in (topic.path, topic.failure_modes_path)]
TRANSLATED = (
    formulas.COMMANDS["atom"] | formulas.LARGE | formulas.RELATIONS | formulas.OPERATIONS | formulas.OPENING
    | formulas.CLOSING | formulas.ARGUMENTS | formulas.SPACES
)  # fmt: skip


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"\bar y_{k-1} = J_k^\top\, \bar y_k", "ȳₖ₋₁ = Jₖᵀ ȳₖ"),
        (r"x_1,\dots,x_n\in\mathbb R^d", "x₁,…,xₙ ∈ ℝᵈ"),
        (r"\{1,\dots,k\}", "{1,…,k}"),
        (r"z_i=\arg\min_j\lVert x_i-\mu_j\rVert^2", "zᵢ = arg minⱼ ‖xᵢ-μⱼ‖²"),
        (r"\sum_{i=1}^n w_i", "∑ᵢ₌₁ⁿ wᵢ"),
        (r"n\log p_y", "n log p_y"),
        (r"L_q\bar s", "L_q s̄"),
        (r"\operatorname{Var}\varepsilon_i", "Var εᵢ"),
        (r"\operatorname*{argmax} x \log\text{}", "argmax x log"),
        (r"\sqrt n + \sqrt{1 - \rho^2}", "√n + √(1 - ρ²)"),
        (r"\widehat{\operatorname{Var}u}", "hat(Var u)"),
        (r"p_{\text{first}} \cdot \rho", "p_{first} · ρ"),
        (r"p_{\text{first}} \cdot \rho = p_{\text{last}}", "p_{first} · ρ = p_{last}"),
        (r"p_{\text{last}} \cdot \rho_{ij}", "pₗₐₛₜ · ρᵢⱼ"),
        (r"P_{s a s'}\, v_\pi(s')", "P_{s a s′} v_π(s′)"),
        (r"-2 \le \pm c", "-2 ≤ ±c"),
        (r"A^\top (1 + \alpha)^T", "Aᵀ (1 + α)^T"),
        (r"\mathcal L + \mathbf 1", "ℒ + 𝟏"),
        (r"\begin{bmatrix}R&z\\0&\rho\end{bmatrix}", "[R  z; 0  ρ]"),
        (r"\big[ a \big] \left( b \right.", "[a] (b"),
    ],
)
def test_a_formula_in_unicode(tex, shown):
    assert formulas.inline(tex) == shown


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"\tfrac12 x", "½ x"),
        (r"\frac{a+b}{c}", "(a+b)/c"),
        (r"\frac{a}{b c}", "a/(b c)"),
        (r"\frac{\partial L}{\partial x_k}", "∂L/∂xₖ"),
        (r"\frac{(1-\rho)\rho^K}{2}", "(1-ρ)ρᴷ/2"),
        (r"\frac{\alpha}{n} W", "(α/n) W"),
        (r"n\,\frac{c^2}{3} = 1", "n c²/3 = 1"),
        (r"\log\frac ab + 1", "log(a/b) + 1"),
        (r"\frac{\frac ab}{c}", "(a/b)/c"),
        (r"\frac1{\sqrt n}", "1/√n"),
    ],
)
def test_a_fraction_means_the_same_in_one_line(tex, shown):
    assert formulas.inline(tex) == shown


def test_an_unknown_command_stays():
    assert formulas.inline(r"\unheard x") == r"\unheard x"


def test_a_wide_formula_stands_in_its_parts():
    assert formulas.display(r"a = b, \qquad c = d", width=40) == ["a = b,    c = d"]
    assert formulas.display(r"a = b, \qquad c = d", width=10) == ["a = b,", "c = d"]


def test_code_and_prices_are_no_formulas():
    text = "`$x$` costs \\$3 or $4, or $5:\n```\n$y$\n```\n"
    assert list(formulas.spans(text)) == [("text", text)]


@given(st.text(alphabet=st.characters(exclude_characters="$")))
def test_text_without_formulas_is_untouched(text):
    assert "".join(part for _, part in formulas.spans(text)) == text


@given(
    st.lists(
        st.sampled_from(["\\frac", "\\bar", "\\text", "\\operatorname*", "\\begin", "\\left", *"{}_^ax2+. &"])
    )
)
def test_half_a_formula_is_no_error(tokens):
    formulas.display(" ".join(tokens))
    formulas.inline("".join(tokens))


@given(st.lists(st.sampled_from(["a_b*c", "\\,", "`$z$`", " \n", "$x_1$", "$$\\{y\\}$$", "|"])))
def test_text_around_formulas_is_untouched(parts):
    whole = " ".join(parts)
    back = {"text": "{}", "inline": "${}$", "display": "$${}$$"}
    assert "".join(back[kind].format(part) for kind, part in formulas.spans(whole)) == whole


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_no_page_loses_a_letter_or_keeps_a_command(page):
    for kind, text in cells(page):
        for part, tex in formulas.spans(text) if kind == "markdown" else ():
            if part == "text":
                continue
            shown = "\n".join(formulas.display(tex)) if part == "display" else formulas.inline(tex)
            left = set(re.findall(r"\\([A-Za-z]+|.)", shown)) & set(TRANSLATED)
            assert not left, f"{tex!r} is shown as {shown!r}"
            assert shown.count("{") == shown.count("}"), f"{tex!r} is shown as {shown!r}"
            assert letters_of(shown) == expected_letters(tex), f"{tex!r} is shown as {shown!r}"


def expected_letters(tex):
    """The ASCII letters and digits that a formula shows: those of its names, not those of its commands."""
    tex = re.sub(r"\\(?:begin|end)\{\w+\}", "", tex).replace(r"\binom", "C ")  # C(n, k)
    names = formulas.FUNCTIONS
    tex = re.sub(
        r"\\([A-Za-z]+)", lambda m: m[1] if m[1] in names or m[1] not in TRANSLATED | KNOWN else "", tex
    )
    return sorted(re.findall(r"[A-Za-z0-9]", tex))


KNOWN = dict.fromkeys(formulas.SIZES)


def letters_of(shown):
    """The ASCII letters and digits in Unicode's indices, powers, accents and alphabets."""
    accents = "|".join(
        name.removeprefix("wide") for name in formulas.ACCENTS
    )  # over a word an accent is a word
    shown = re.sub(rf"[ᵀℓ]|\b(?:{accents})(?=\()", "", shown)
    return sorted(re.findall(r"[A-Za-z0-9]", unicodedata.normalize("NFKD", shown)))
