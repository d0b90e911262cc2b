"""Measured numbers as the notes show them: in a sentence, in one line, in a table; and the marks that ask for them.

A note asks for a number where it stands, in a pair of comments that Markdown does not show:

    <!-- claim: k_means/failure/unlucky_start --><!-- /claim -->           what breaks: 0.207 [0.199, 0.215], predicted 0.2
    <!-- claim: k_means/failure/unlucky_start remedy --><!-- /claim -->    what mends it
    <!-- agreements: k_means --><!-- /agreements -->                       one line on all agreements of a topic
    <!-- claims: level2_classical --><!-- /claims -->                      a table of all claims of a level
    <!-- modes --><!-- /modes -->                                          a table of all failure modes
    <!-- map --><!-- /map -->                                              a table of levels and topics

`fill` writes between the marks what the ledger says; `complaints` names marks that ask for what is not there. The
interval is the corrected one, which decides the verdict; the verdict itself stands there only where it is not "holds".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from groundup import catalogue

__all__ = [
    "agreement_line",
    "allowed",
    "anchor",
    "complaints",
    "fill",
    "magnitude",
    "numbers",
    "quote",
    "significant",
]

Entry = dict[str, Any]

MARK = re.compile(
    r"(?P<open><!-- (?P<kind>claim|agreements|claims|modes|map|ledger)(?:: (?P<key>[\w/-]+))?(?P<part> remedy)? -->)"
    r"(?P<inside>(?:(?!<!--).)*)"
    r"(?P<close><!-- /(?P=kind) -->)",
    re.DOTALL,
)
OPENING = re.compile(r"<!-- /?(?:claim|agreement|mode|map|ledger)[^>]*-->")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUS = "−"
BOUNDS = {"≈": "", "≤": "at most ", "≥": "at least "}


def fill(text: str, book: Sequence[Entry], up: str) -> str:
    """The note's text with everything between marks written anew.

    Args:
        book: the entries of the ledger.
        up: the way from the note's folder to the repository, such as "../".
    """
    by_id = {entry["id"]: entry for entry in book}

    def replace(match: re.Match[str]) -> str:
        kind, key = match["kind"], match["key"]
        if kind == "claim" and key in by_id:
            fresh = quote(by_id[key], remedy=bool(match["part"]), up=up)
        elif kind == "agreements" and any(_agreements(book, key)):
            fresh = agreement_line(key, book, up=up)
        elif kind == "claims" and (level := _level(key)) is not None:
            fresh = f"\n{_claims_table(level, book, up)}\n"
        elif kind == "modes":
            fresh = f"\n{_modes_table(book, up)}\n"
        elif kind == "map":
            fresh = f"\n{_map(up)}\n"
        else:
            return match[0]
        return f"{match['open']}{fresh}{match['close']}"

    return MARK.sub(replace, text)


def complaints(text: str, book: Sequence[Entry]) -> Iterator[str]:
    """Marks that name what the ledger does not have, and marks without their other half."""
    known = {entry["id"] for entry in book}
    topics = {entry["topic"] for entry in book if entry["kind"] == "agreement"}
    whole = 0
    for match in MARK.finditer(text):
        whole += 2
        kind, key = match["kind"], match["key"]
        right = {
            "claim": key in known,
            "agreements": key in topics,
            "claims": _level(key) is not None,
            "modes": key is None,
            "map": key is None,
            "ledger": key in catalogue.topics(),
        }[kind]
        if not right:
            yield f"{match['open']} asks for what the ledger does not have."
    marks = OPENING.findall(text)
    if len(marks) != whole:
        paired = [mark for match in MARK.finditer(text) for mark in (match["open"], match["close"])]
        alone = next((mark for mark in marks if marks.count(mark) > paired.count(mark)), marks[0])
        yield f"{alone} is misspelt, or lacks its other half."


# --- one claim in a sentence -------------------------------------------------------------------------------


def quote(entry: Entry, *, remedy: bool, up: str) -> str:
    """One claim or agreement inside a sentence: "[0.207](its entry) [0.199, 0.215], predicted 0.2"."""
    where = f"{up}research_notes/ledger/{entry['topic']}.md#{anchor(entry['id'])}"
    if entry["kind"] == "agreement":
        return f"[{magnitude(entry['error'])}]({where}), allowed {allowed(entry['tolerance'])}"
    claim = numbers(entry["remedy"] if remedy else entry)
    return f"[{claim.measured}]({where}){claim.after()}"


class Numbers(NamedTuple):
    """A claim's numbers, written. `interval` is empty where there is none; `met` if theory's number is the very same."""

    measured: str
    interval: str
    predicted: str
    verdict: str
    met: bool

    def after(self) -> str:
        """What a sentence says after the measured number: interval, prediction, and the verdict unless it holds."""
        predicted = "" if self.met else f", predicted {self.predicted}"
        return f"{self.interval}{predicted}{self.verdict}"


def numbers(claim: Entry) -> Numbers:
    """A claim's numbers to the digits that its interval resolves."""
    measured, predicted, relation = claim["measured"], claim["predicted"], claim["relation"]
    low, high = claim.get("corrected") or claim["interval"]
    verdict = "" if claim["verdict"] == "holds" else f", {claim['verdict']}"
    # Without an interval: equal replicates, of which Student's has no width and decides nothing; or exact numbers.
    unbounded = low is None or high is None or not math.isfinite(high - low)
    if unbounded or low == high or claim["interval_kind"] in ("exact", "instrument"):
        shown, expected = significant(measured), significant(predicted)
        return Numbers(shown, "", BOUNDS[relation] + expected, verdict, met=shown == expected)
    write = _writer(high - low, max(abs(low), abs(high), abs(measured)))
    expected = _trimmed(write(predicted))
    if expected == "0" and predicted != 0:
        expected = significant(predicted, 2)
    interval = f" [{write(low)}, {write(high)}]"
    return Numbers(write(measured), interval, BOUNDS[relation] + expected, verdict, met=False)


def _writer(width: float, largest: float) -> Callable[[float], str]:
    """Writes numbers to the digit that an interval of this width resolves: two of the width's digits if it begins with
    1, 2 or 3, else one."""
    if not 1e-4 <= largest < 1e7:
        return lambda value: significant(value, 3)
    exponent = math.floor(math.log10(width))
    digits = max(0, -exponent + (width < 3.55 * 10.0**exponent))

    def write(value: float) -> str:
        text = f"{value:,.{digits}f}"
        return "0" if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)

    return write


def significant(value: float, digits: int = 4) -> str:
    """A number to so many significant digits without needless zeros: 12,346 or 0.05556 or 2·10⁻⁵."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 7:
        return _trimmed(f"{value:,.{max(0, digits - 1 - exponent)}f}").replace("-", MINUS)
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    mantissa = _trimmed(mantissa).replace("-", MINUS)
    power = str(int(power)).translate(SUPERSCRIPTS)
    return f"10{power}" if mantissa == "1" else f"{mantissa}·10{power}"


def _trimmed(text: str) -> str:
    """A decimal number without zeros at its end."""
    if "." not in text or "·" in text:
        return text
    return text.rstrip("0").rstrip(".")


def magnitude(error: float | None) -> str:
    """A rounding error's order of magnitude, all of it that other processors share; larger ones to two digits."""
    if not error:
        return "–" if error is None else "0"
    return f"{error:.2g}" if error >= 0.01 else f"1e{math.floor(math.log10(error) + 1e-9)}"


def allowed(tolerance: float) -> str:
    """A tolerance as one writes it: 1e-8, 0.05, 4.5."""
    if tolerance >= 0.01 or tolerance == 0:
        return f"{tolerance:.2g}"
    mantissa, _, power = f"{tolerance:.1e}".partition("e")
    return f"{_trimmed(mantissa)}e{int(power)}"


def anchor(identifier: str) -> str:
    """The id of an entry's heading on its topic's page of the ledger."""
    return identifier.replace("/", "-").replace("_", "-")


# --- lines and tables ----------------------------------------------------------------------------------------


def agreement_line(topic: str, book: Sequence[Entry], *, up: str) -> str:
    """One line on a topic's agreements: how many, and which comes nearest to what it is allowed."""
    mine = list(_agreements(book, topic))
    where = f"{up}research_notes/ledger/{topic}.md#agreement"
    line = f"[{sum(entry['agrees'] for entry in mine)} of {len(mine)}]({where}) quantities agree within their tolerances"
    worst = max(mine, key=_share_of_tolerance)
    if not worst["error"]:
        return f"{line}, all of them to the last digit"
    return (
        f"{line}; the nearest to its limit is {worst['quantity']} on {worst['dataset']}, at {magnitude(worst['error'])} of "
        f"{allowed(worst['tolerance'])} allowed"
    )


def _share_of_tolerance(entry: Entry) -> float:
    error, tolerance = entry["error"], entry["tolerance"]
    if error is None:
        return math.inf
    return error / tolerance if tolerance else 0.0 if error == 0 else math.inf


def _agreements(book: Sequence[Entry], topic: str | None) -> Iterator[Entry]:
    return (entry for entry in book if entry["kind"] == "agreement" and entry["topic"] == topic)


def _level(key: str | None) -> catalogue.Level | None:
    """The level of that package, or of that name in short: level2_classical, level2."""
    return next(
        (level for level in catalogue.levels() if key in (level.package, f"level{level.number}")), None
    )


def _claims_table(level: catalogue.Level, book: Sequence[Entry], up: str) -> str:
    """Every claim of a level: what breaks, by how much, and how much of it is left when it is mended."""
    lines = ["| failure mode | quantity | predicted | measured | mended |", "|---|---|---|---|---|"]
    for topic in level.topics:
        mine = [entry for entry in book if entry["topic"] == topic.name and entry["kind"] == "failure_mode"]
        if mine and len(level.topics) > 1:
            lines.append(f"| **{topic.title}** | | | | |")
        for entry in mine:
            claim, remedy = numbers(entry), numbers(entry["remedy"])
            mended = remedy.measured + remedy.after()
            if entry["remedy"]["quantity"] != entry["quantity"]:
                mended += f" ({entry['remedy']['quantity']})"
            measured = claim.measured + claim.interval + claim.verdict
            lines.append(_row(_link(entry, up), entry["quantity"], claim.predicted, measured, mended))
    return "\n".join(lines)


def _modes_table(book: Sequence[Entry], up: str) -> str:
    """Every failure mode of the curriculum: what one sees, what theory predicts, what was measured."""
    lines = ["| what one sees | failure mode | quantity | predicted | measured |", "|---|---|---|---|---|"]
    for entry in book:
        if entry["kind"] == "failure_mode":
            seen = next(iter(entry.get("symptoms", ())), "–")
            claim = numbers(entry)
            measured = claim.measured + claim.interval + claim.verdict
            lines.append(_row(seen, _link(entry, up), entry["quantity"], claim.predicted, measured))
    return "\n".join(lines)


def _map(up: str) -> str:
    """The curriculum as it stands: each level, its topics in reading order, and the libraries that they mirror."""
    lines = ["| Level | Topics | Mirrors |", "|---|---|---|"]
    for level in catalogue.levels():
        topics = ", ".join(f"[{topic.title}]({up}{topic.package}/{topic.name}.py)" for topic in level.topics)
        mirrored = dict.fromkeys(name for topic in level.topics for name in topic.mirrors)
        title = f"{level.number} · [{level.title}]({up}{level.package}/README.md)"
        lines.append(_row(title, topics, ", ".join(f"`{name}`" for name in mirrored)))
    return "\n".join(lines)


def _link(entry: Entry, up: str) -> str:
    return f"[{entry['title']}]({up}research_notes/ledger/{entry['topic']}.md#{anchor(entry['id'])})"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
