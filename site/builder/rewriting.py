"""Markdown as the repository has it, rewritten for its place in the site.

Links to files of the repository lead to their pages, pandoc's citations `[@key; @other, section 5]` become the `cite`
role, ids of ledger entries in code spans become links to their entries, and comments are dropped. Commands get a prompt, and
the name of their language. Code and mathematics are left as they are.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

__all__ = ["Rewriter", "citation"]

LEDGER_FILES = ("research_notes/ledger.json", "research_notes/ledger.md")
LEDGER_FOLDER = "research_notes/ledger/"
LEDGER_PAGE = "ledger"

TOKEN = re.compile(
    r"""
      (?P<fence>^(?P<mark>[`]{3,}|~{3,})(?P<language>[^\n]*)\n(?P<lines>.*?)^(?P=mark)[ ]*$)
    | (?P<comment><!--.*?-->)
    | (?P<display>\$\$.+?\$\$)
    | (?P<link>(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)(?P<title>\s+"[^"]*")?\))
    | (?P<code>(?P<ticks>`+)(?P<inside>.+?)(?<!`)(?P=ticks)(?!`))
    | (?P<escaped>\\.)
    | (?P<math>\$(?:[^$\n\\]|\\.|\n(?!\s*\n))+?\$)
    | (?P<citation>\[(?P<cited>[^\[\]@]*@[\w:.+-]*\w[^\[\]]*)\](?![(\[]))
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
EXTERNAL = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
CITED = re.compile(r"^(?P<before>[^@]*?)\s*@(?P<key>[\w:.+-]*\w)\s*(?P<after>.*)$", re.DOTALL)


@dataclass
class Rewriter:
    """Rewrites the text of repository files.

    `document_of` is called with a repository path and returns the site's document for it, with its suffix
    (`level2_classical/k_means.ipynb`), or None if there is no such file. `copied` collects pictures to be
    copied to the same path, `broken` the links that lead nowhere. `entries` maps each name under which the notes
    point to an entry of the ledger to the entry's id. `in_both_themes` knows of a picture by its path where the same one,
    for light and dark pages, stands among the site's sources.
    """

    document_of: Callable[[str], str | None]
    exists: Callable[[str], bool]
    entries: Mapping[str, str] = field(default_factory=dict)
    in_both_themes: Callable[[str], tuple[str, str] | None] = lambda path: None
    copied: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)

    def rewrite(self, text: str, source: str, document: str) -> str:
        """The text of the repository file `source`, as it stands in the site's `document`."""

        def replace(match: re.Match[str]) -> str:
            if match["fence"] and not match["language"].strip():
                return plain_fence(match["mark"], match["lines"])
            if match["comment"]:
                return ""  # marks for the ledger; at the start of a line they would hide the rest of it
            if match["link"]:
                return self._link(match, source, document)
            if match["citation"]:
                return citation(match["cited"])
            if match["code"] and match["inside"] in self.entries:
                code = f"<code>{html.escape(match['inside'])}</code>"
                return self._entry_link(code, self.entries[match["inside"]], document)
            return match[0]

        return TOKEN.sub(replace, text)

    def _link(self, match: re.Match[str], source: str, document: str) -> str:
        target, text = match["target"], match["text"]
        if EXTERNAL.match(target) or target.startswith("#"):
            return match[0]
        path, _, fragment = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        here = posixpath.dirname(document)
        title = match["title"] or ""
        if match["image"]:
            if not self.exists(path):
                return self._broken(match[0], target, source)
            both = self.in_both_themes(path)
            if both and _alone(match):
                alt = " ".join(text.split())
                return f"```{{groundup-picture}} {both[0]}\n:dark: {both[1]}\n:alt: {alt}\n```"
            self.copied.add(path)
            return f"![{text}]({posixpath.relpath(path, here or '.')}{title})"
        if path in LEDGER_FILES or path.startswith(LEDGER_FOLDER):
            if fragment not in ("", "agreement") and fragment not in self.entries:
                return self._broken(match[0], target, source)
            inside = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
            if path.startswith(LEDGER_FOLDER) and fragment not in self.entries:
                return self._ledger_link(
                    inside, f"{LEDGER_PAGE}/{PurePosixPath(path).stem}.html", fragment, document
                )
            return self._entry_link(inside, self.entries.get(fragment, ""), document)
        text = self.rewrite(text, source, document)
        found = self.document_of(path)
        if found is None:
            return self._broken(match[0], target, source)
        anchor = f"#{fragment}" if fragment else ""
        return f"[{text}]({posixpath.relpath(found, here or '.')}{anchor}{title})"

    def _entry_link(self, inside: str, entry: str, document: str) -> str:
        page = f"{LEDGER_PAGE}/{entry.partition('/')[0]}.html" if entry else f"{LEDGER_PAGE}.html"
        return self._ledger_link(inside, page, entry, document)

    def _ledger_link(self, inside: str, page: str, fragment: str, document: str) -> str:
        page = posixpath.relpath(page, posixpath.dirname(document) or ".")
        anchor = f"#{html.escape(fragment)}" if fragment else ""
        return f'<a class="reference internal" href="{page}{anchor}">{inside}</a>'

    def _broken(self, original: str, target: str, source: str) -> str:
        self.broken.append(f"{source}: the link to {target} leads to no file of the repository")
        return original


def _alone(match: re.Match[str]) -> bool:
    """Whether what was found has its line for itself."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    return (not before or before.endswith("\n")) and (not after.strip(" ") or after.startswith("\n"))


COMMAND = re.compile(r"(?:groundup|make|pytest|python3?|pip|uv|curl|source|docker|git|jupytext)\b")


def plain_fence(mark: str, lines: str) -> str:
    """A block of code without a language: commands get their prompt, which is not copied with them; the rest is text."""
    commands = [line for line in lines.splitlines() if line.strip() and not line.startswith("#")]
    if commands and all(map(COMMAND.match, commands)):
        prompted = [f"$ {line}" if COMMAND.match(line) else line for line in lines.splitlines()]
        return "\n".join([f"{mark}console", *prompted, mark])
    return f"{mark}text\n{lines}{mark}"


def citation(cited: str) -> str:
    """Pandoc's `see @key, section 5; @other` as sphinxcontrib-bibtex's parenthetical role.

    >>> citation("@key; @other, section 5")
    '{cite:p}`key,other{section 5}`'
    """
    targets = []
    for part in " ".join(cited.split()).split(";"):
        match = CITED.match(part.strip())
        if match is None:
            raise ValueError(f"not a citation in pandoc's form: [{cited}]")
        before = f"{{{match['before']}}}" if match["before"] else ""
        after = match["after"].lstrip(", ")
        targets.append(f"{before}{match['key']}{f'{{{after}}}' if after else ''}")
    return f"{{cite:p}}`{','.join(targets)}`"
