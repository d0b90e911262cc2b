r"""Formulas for a terminal: TeX between dollar signs becomes Unicode on one line, $\bar y_{k-1}$ becomes ȳₖ₋₁.

It knows the TeX that the topics use; a command that it does not know stays as it is written. Indices and powers
that Unicode lacks keep their mark and braces: `p_{first}`, and then so do all words of that formula. A fraction becomes a quotient, with parentheses wherever
the line would otherwise mean something else. A matrix is written row after row: [1  2; 3  4].
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["display", "inline", "spans"]

SYMBOLS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε", "zeta": "ζ",
    "eta": "η", "theta": "θ", "vartheta": "ϑ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "ϕ", "varphi": "φ",
    "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ",
    "Pi": "Π", "Sigma": "Σ", "Upsilon": "Υ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
    "partial": "∂", "nabla": "∇", "infty": "∞", "ell": "ℓ", "top": "⊤", "emptyset": "∅", "forall": "∀",
    "exists": "∃", "dots": "…", "ldots": "…", "cdots": "⋯", "prime": "′", "circ": "∘", "star": "⋆", "ast": "*",
    "|": "‖", "Vert": "‖", "%": "%", "#": "#", "&": "&", "_": "_", "$": "$",
}  # fmt: skip
LARGE = {"sum": "∑", "prod": "∏", "int": "∫", "bigcup": "⋃", "bigcap": "⋂"}
RELATIONS = {
    "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "equiv": "≡", "sim": "∼",
    "propto": "∝", "in": "∈", "notin": "∉", "subset": "⊂", "subseteq": "⊆", "ll": "≪", "gg": "≫", "mid": "|",
    "to": "→", "rightarrow": "→", "leftarrow": "←", "mapsto": "↦", "Rightarrow": "⇒", "Longrightarrow": "⟹",
    "iff": "⟺", "coloneqq": "≔",
}  # fmt: skip
OPERATIONS = {"cdot": "·", "times": "×", "odot": "⊙", "otimes": "⊗", "oplus": "⊕", "pm": "±", "mp": "∓",
              "cup": "∪", "cap": "∩", "setminus": "∖"}  # fmt: skip
OPENING = {"lVert": "‖", "lvert": "|", "langle": "⟨", "lfloor": "⌊", "lceil": "⌈", "{": "{"}
CLOSING = {"rVert": "‖", "rvert": "|", "rangle": "⟩", "rfloor": "⌋", "rceil": "⌉", "}": "}"}
FUNCTIONS = {
    "arg", "cos", "cosh", "cov", "det", "diag", "dim", "exp", "inf", "lim", "ln", "log", "max", "min", "sin", "sinh",
    "sup", "tan", "tanh", "tr",
}  # fmt: skip
ACCENTS = {
    "bar": "\u0304",
    "hat": "\u0302",
    "dot": "\u0307",
    "ddot": "\u0308",
    "tilde": "\u0303",
    "vec": "\u20d7",
}
ACCENTS |= {"widehat": ACCENTS["hat"], "widetilde": ACCENTS["tilde"], "overline": "\u0305"}
ALPHABETS = {"mathbb": "DOUBLE-STRUCK", "mathcal": "SCRIPT", "mathbf": "BOLD"}
WORDS = {"text", "mathrm", "textbf", "textit", "mathit", "mathsf"}
WIDE = "    "
SPACES = {",": " ", ";": " ", ":": " ", " ": " ", "\n": " ", "!": "", "quad": WIDE, "qquad": WIDE}
SIZES = {"left", "right", "middle"} | {
    size + side for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r")
}
BRACKETS = {"bmatrix": "[]", "pmatrix": "()", "vmatrix": "||", "matrix": "[]", "cases": "{}"}
VULGAR = {"1/2": "½", "1/3": "⅓", "2/3": "⅔", "1/4": "¼", "3/4": "¾"}
SUBSCRIPTS = dict(
    zip("0123456789+-=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True)
)
SUPERSCRIPTS = dict(  # no T: ᵀ is the transpose, and not the power of a horizon T
    zip("0123456789+-=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRUVWβγδφχ⊤′",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵁⱽᵂᵝᵞᵟᵠᵡᵀ′", strict=True)
)  # fmt: skip

TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|=:|:=|\s+|.", re.DOTALL)
CHARACTERS = (
    dict.fromkeys("([", "open") | dict.fromkeys(")]", "close") | dict.fromkeys(",.;:", "punctuation")
    | dict.fromkeys("+-/", "operation") | dict.fromkeys(("=", "<", ">", "=:", ":="), "relation")
)  # fmt: skip
COMMANDS = {
    "atom": SYMBOLS, "large": LARGE, "relation": RELATIONS, "operation": OPERATIONS, "open": OPENING,
    "close": CLOSING, "space": SPACES,
}  # fmt: skip
ARGUMENTS = dict.fromkeys((*WORDS, *ACCENTS, *ALPHABETS, "operatorname", "sqrt", "tag"), 1)
ARGUMENTS |= dict.fromkeys(("frac", "tfrac", "dfrac", "binom"), 2)
SPELLED = "\ue000"  # for private use: at the end of a word that is to be written out
WORD_BELOW = re.compile(
    rf"(?P<mark>[_^])(?P<brace>\{{?)\\(?:{'|'.join(sorted(WORDS))})\{{(?P<word>[A-Za-z]{{2,}})\}}"
)
TERMS = {"atom", "close", "fraction", "large"}
SPAN = re.compile(
    r"(?P<fence>^(?P<ticks>```+|~~~+).*?^(?P=ticks))"  # code stays code
    r"|(?P<code>(?<!`)(?P<tick>`+)(?!`).+?(?<!`)(?P=tick)(?!`))"
    r"|(?P<escaped>\\[$`])"
    r"|\$\$(?P<display>.+?)\$\$"
    r"|\$(?=[^\s$])(?P<inline>(?:\\.|[^$\\])*?(?:\\.|[^\s$\\]))\$(?!\d)",
    re.DOTALL | re.MULTILINE,
)


def spans(text: str) -> Iterator[tuple[str, str]]:
    """Cut Markdown into ("text" | "inline" | "display", part), formulas without their dollar signs."""
    end = 0
    for found in SPAN.finditer(text):
        kind = "display" if found["display"] else "inline"
        formula = found[kind]
        if formula is None or (kind == "inline" and "\n\n" in formula):  # code, or two prices
            continue
        if found.start() > end:
            yield "text", text[end : found.start()]
        yield kind, formula
        end = found.end()
    if end < len(text):
        yield "text", text[end:]


def inline(tex: str) -> str:
    """A formula within a sentence."""
    return re.sub(r"\s{3,}", "  ", _line(tex)).strip()


def display(tex: str, width: int = 72) -> list[str]:
    """A formula of its own, in one line, or in one for each of its parts if it is wider than that."""
    whole = re.sub(r"\s{3,}", WIDE, _line(tex).strip())
    whole = re.sub(rf"([⟹⇒⟺]){WIDE}", r"\1 ", whole)
    return [whole] if len(whole) <= width else whole.split(WIDE)


def _line(tex: str) -> str:
    """The formula in one line; the words among its indices are all set small, or none is."""
    words = [(found["mark"], found["word"]) for found in WORD_BELOW.finditer(tex)]
    if all(set(word) <= set(SUBSCRIPTS if mark == "_" else SUPERSCRIPTS) for mark, word in words):
        return _join(_parse(tex))
    spelled = WORD_BELOW.sub(
        lambda found: f"{found['mark']}{found['brace']}\\text{{{found['word']}{SPELLED}}}", tex
    )
    return _join(_parse(spelled)).replace(SPELLED, "")


@dataclass(frozen=True)
class _Piece:
    """What a piece is decides about the space and the parentheses around it."""

    kind: str  # atom, open, close, relation, operation, function, large, fraction, punctuation, space or gap
    text: str


def _parse(tex: str) -> list[_Piece]:
    tokens = TOKEN.findall(tex)
    pieces: list[_Piece] = []
    while tokens:
        pieces += _next(tokens, pieces)
    return pieces


def _next(tokens: list[str], before: list[_Piece]) -> list[_Piece]:
    """Take the next thing from the tokens."""
    token = tokens.pop(0)
    if token in ("_", "^"):
        return _script(token, tokens, before)
    if token.startswith("\\") and len(token) > 1:
        return _command(token[1:], tokens)
    if token == "{":
        tokens.insert(0, token)
        return _parse(_argument(tokens))
    if token.isspace() or token == "~":
        return [_Piece("space", " ")]
    return [_Piece(CHARACTERS.get(token, "atom"), "′" if token == "'" else token)]


def _command(name: str, tokens: list[str]) -> list[_Piece]:
    ended = bool(name[0].isalpha() and tokens and tokens[0].isspace() and "dots" not in name)
    if ended:
        tokens.pop(0)  # this space only ends the command's name
    for kind, table in COMMANDS.items():
        if name in table:
            text = table[name]
            return [_Piece("gap" if text == WIDE else kind, text)]
    if name in FUNCTIONS:
        return [_Piece("function", name)]
    if name in SIZES:
        if tokens and tokens[0] == ".":  # \left. is no delimiter at all
            tokens.pop(0)
        return []
    if name == "begin":
        return [_matrix(_argument(tokens), tokens)]
    if name not in ARGUMENTS:
        return [_Piece("atom", f"\\{name}{' ' if ended else ''}")]
    if name == "operatorname" and tokens and tokens[0] == "*":  # limits below it: of no matter in one line
        tokens.pop(0)
    first = _argument(tokens)
    if name in WORDS:
        return [_Piece("atom", first)]
    if name == "operatorname":
        return [_Piece("function", first)]
    if name == "tag":
        return [_Piece("atom", f" ({first})")]
    if name == "sqrt":
        return [_Piece("atom", "√" + _enclosed(_parse(first)))]
    if name in ACCENTS:
        return [_accented(name, _parse(first))]
    if name in ALPHABETS:
        return [_Piece("atom", "".join(_styled(ALPHABETS[name], letter) for letter in first))]
    if name == "binom":
        return [_Piece("atom", f"C({_join(_parse(first))}, {_join(_parse(_argument(tokens)))})")]
    return [_fraction(_parse(first), _parse(_argument(tokens)), small=name == "tfrac")]


def _argument(tokens: list[str]) -> str:
    """Take what stands in braces, or one token, with what it needs if it is a command."""
    while tokens and tokens[0].isspace():
        tokens.pop(0)
    first = tokens.pop(0) if tokens else ""
    if first != "{":
        return first + "".join(f"{{{_argument(tokens)}}}" for _ in range(ARGUMENTS.get(first[1:], 0)))
    depth, inside = 1, ""
    while tokens:
        token = tokens.pop(0)
        depth += (token == "{") - (token == "}")
        if depth == 0:
            break
        inside += token
    return inside


def _script(mark: str, tokens: list[str], before: list[_Piece]) -> list[_Piece]:
    """An index or a power, which belongs to the piece before it."""
    content = _join(_parse(_argument(tokens)), tight=True).strip()
    table = SUBSCRIPTS if mark == "_" else SUPERSCRIPTS
    letters = content.replace(" ", "")
    if letters and all(letter in table for letter in letters):
        text = "".join(table[letter] for letter in letters)
    else:
        text = mark + (content if len(content) == 1 else f"{{{content}}}")
    if before and before[-1].kind not in ("space", "gap"):
        last = before.pop()
        return [_Piece(last.kind, last.text + text)]
    return [_Piece("atom", text)]


def _fraction(above: list[_Piece], below: list[_Piece], small: bool) -> _Piece:
    top, bottom = _join(above).strip(), _join(below).strip()
    if small and f"{top}/{bottom}" in VULGAR:
        return _Piece("atom", VULGAR[f"{top}/{bottom}"])
    depth = 0
    for piece in above:
        depth += (piece.kind == "open") - (piece.kind == "close")
        if depth == 0 and piece.kind in ("operation", "relation", "fraction", "large"):
            top = f"({_join(above).strip()})"
    return _Piece("fraction", f"{top}/{_enclosed(below)}")


def _enclosed(pieces: list[_Piece]) -> str:
    """The pieces in parentheses, unless they are one thing: a symbol, a number, or d and a symbol."""
    text = _join(pieces).strip()
    solid = [piece for piece in pieces if piece.kind != "space"]
    number = all(piece.text.isdigit() for piece in solid)
    differential = len(solid) == 2 and solid[0].text in ("∂", "d") and solid[1].kind == "atom"
    norm = len(solid) > 2 and text[0] == text[-1] == "‖" and text.count("‖") == 2
    one = len(solid) == 1 and solid[0].kind == "atom"
    return text if number or differential or norm or one else f"({text})"


def _accented(name: str, pieces: list[_Piece]) -> _Piece:
    """A letter with its accent; over more than one letter the accent becomes a word."""
    text = _join(pieces).strip()
    base = text.rstrip("".join((*SUBSCRIPTS.values(), *SUPERSCRIPTS.values())))
    if len(base) != 1:
        return _Piece("function", f"{name.removeprefix('wide')}({text})")
    return _Piece("atom", unicodedata.normalize("NFC", base + ACCENTS[name]) + text[1:])


def _styled(alphabet: str, letter: str) -> str:
    """A letter of the double-struck, script or bold alphabet."""
    if not (letter.isascii() and letter.isalnum()):
        return letter
    name = unicodedata.name(letter).removeprefix("LATIN ").replace(" LETTER", "")
    for candidate in (f"{alphabet} {name}", f"MATHEMATICAL {alphabet} {name}"):
        try:
            return unicodedata.lookup(candidate)
        except KeyError:
            continue
    return letter


def _matrix(kind: str, tokens: list[str]) -> _Piece:
    """An environment, up to its end, row after row."""
    inside = ""
    while tokens:
        token = tokens.pop(0)
        if token == "\\end":
            _argument(tokens)
            break
        inside += token
    rows = [[_join(_parse(cell)).strip() for cell in row.split("&")] for row in inside.split("\\\\")]
    brackets = BRACKETS.get(kind, "[]")
    return _Piece("atom", brackets[0] + "; ".join("  ".join(row) for row in rows) + brackets[1])


def _join(pieces: list[_Piece], tight: bool = False) -> str:
    """The pieces in a line: space around relations (but not in an index) and beside the names of functions."""
    solid = [place for place, piece in enumerate(pieces) if piece.kind != "space"]
    line = ""
    for place, piece in enumerate(pieces):
        left = next((pieces[other] for other in reversed(solid) if other < place), None)
        right = next((pieces[other] for other in solid if other > place), None)
        text = piece.text
        if piece.kind == "space":
            if left is not None and left.kind != "open" and not line.endswith(" "):
                line += text
            continue
        if piece.kind in ("close", "punctuation") and not line.endswith(WIDE):
            line = line.rstrip(" ")
        if piece.kind == "relation" and not tight:
            text = (" " if line and not line.endswith(" ") else "") + text + (" " if right else "")
        elif piece.kind == "operation" and left is not None and left.kind in TERMS:
            spaced = line.endswith(" ") or (place + 1 < len(pieces) and pieces[place + 1].kind == "space")
            if spaced:
                text = f"{text} " if line.endswith(" ") else f" {text} "
        elif piece.kind == "fraction" and (
            (right is not None and right.kind in TERMS - {"close"} | {"open", "function"})
            or (left is not None and (left.kind == "function" or left.text == "/"))
        ):
            text = f"({text})"  # a/b c would be a/(b c)
        if place and left is pieces[place - 1] and not line.endswith(" ") and _apart(left, piece, text):
            line += " "
        line += text
    return line


def _apart(left: _Piece, right: _Piece, text: str) -> bool:
    """Whether two neighbors would run together: `n log`, `log p`, `L_q s`."""
    if right.kind in ("function", "large"):
        return left.kind in TERMS | {"function"} and left.text not in ("|", "‖")
    if left.kind == "function":
        return right.kind in TERMS | {"open"} and text[:1] not in "()[]{}"
    if left.kind == "large" and len(left.text) > 1:
        return right.kind in TERMS | {"open"}
    if right.kind in ("open", "close"):
        return left.kind == "fraction" and right.kind == "open"
    word = len(left.text) > 1 and left.text.isalpha() and left.text.isascii()
    index = len(left.text) > 2 and left.text[-2] in "_^"
    return right.kind in TERMS and (left.kind == "fraction" or ((word or index) and text[:1].isalnum()))
