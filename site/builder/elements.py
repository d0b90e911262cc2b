"""What Sphinx has no word for: a picture in both themes, and folded code whose name is said."""

from __future__ import annotations

import struct
from html import escape
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.util.docutils import SphinxDirective

__all__ = ["Picture", "setup"]


class Picture(SphinxDirective):
    """A figure in both themes: `groundup-picture LIGHT`, with `:dark:`, and its caption as content, which is its alternative text,
    unless `:alt:` is another.

    The picture of the theme that is not worn is not loaded.
    """

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = {"dark": directives.uri, "alt": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        caption = " ".join(" ".join(self.content).split())
        alt = self.options.get("alt", caption.replace("`", ""))
        figure = nodes.figure(classes=["groundup-picture"])
        themes = {"light": self.arguments[0], "dark": self.options.get("dark")}
        for theme, uri in themes.items():
            if uri:
                only = [f"only-{theme}"] if all(themes.values()) else []  # words of the theme
                image = nodes.image(uri=uri, alt=alt, classes=[*only, "no-scaled-link"], loading="lazy")
                image["width"], image["height"] = map(
                    str, self._size(uri)
                )  # so that nothing moves when it arrives
                figure += image
        if caption:
            figure += _with_code(nodes.caption(), caption)
        self.set_source_info(figure)
        return [figure]

    def _size(self, uri: str) -> tuple[int, int]:
        """Width and height of a PNG, which stand at the same place in each."""
        _, path = self.env.relfn2path(uri)
        with open(path, "rb") as file:
            return struct.unpack(">II", file.read(24)[16:])


def _with_code(node: nodes.TextElement, text: str) -> nodes.TextElement:
    for index, part in enumerate(text.split("`")):
        if part:
            node += nodes.literal(part, part) if index % 2 else nodes.Text(part)
    return node


def _open_fold(self: Any, node: nodes.Element) -> None:
    """Code under a summary that says what it is; myst-nb's own is named "Toggle hidden content" for those who listen."""
    self.body.append(f'<details class="groundup-fold"><summary>{escape(node["prompt_show"])}</summary>')


def _close_fold(self: Any, node: nodes.Element) -> None:
    self.body.append("</details>")


def setup(app: Any) -> None:
    """Teach Sphinx both."""
    app.add_directive("groundup-picture", Picture)
    app.add_node(HideCodeCellNode, override=True, html=(_open_fold, _close_fold))
