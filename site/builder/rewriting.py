"""Markdown as the repository has it, rewritten for its place in the site.

Links to files of the repository lead to their pages, pandoc's citations `[@key; @other, section 5]` become the `cite`
role, ids of ledger entries in code spans become links to their entries, and comments are dropped. Code and
mathematics are left as they are.
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
      (?P<fence>^(?P<mark>[`]{3,}|~{3,})[^\n]*\n.*?^(?P=mark)[ ]*$)
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
    point to an entry of the ledger to the entry's id.
    """

    document_of: Callable[[str], str | None]
    exists: Callable[[str], bool]
    entries: Mapping[str, str] = field(default_factory=dict)
    copied: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)

    def rewrite(self, text: str, source: str, document: str) -> str:
        """The text of the repository file `source`, as it stands in the site's `document`."""

        def replace(match: re.Match[str]) -> str:
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
