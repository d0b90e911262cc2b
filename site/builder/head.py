"""What stands in a page's head and in the names of its parts: a description, no script that is not used, named summaries."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes

from groundup import catalogue, modes

__all__ = ["add_head", "description", "teach_templates", "without_scripts"]

LONGEST = 200  # characters of a description


def add_head(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Describe the page to those who link to it, and name what the theme leaves nameless (event `html-page-context`)."""
    title = re.sub(r"<[^>]*>", "", context.get("title") or "")
    about = description(pagename, doctree)
    tags = {"og:site_name": app.config.project, "og:type": "article", "og:title": title or app.config.project}
    if pagename == "index":
        tags |= {"og:type": "website", "og:title": app.config.project}
    lines = [f'<meta property="{name}" content="{escape(text)}" />' for name, text in tags.items()]
    if about:
        lines.append(f'<meta property="og:description" content="{escape(about)}" />')
        lines.append(f'<meta name="description" content="{escape(about)}" />')
    context["metatags"] = context.get("metatags", "") + "\n".join(["", *lines, ""])
    tree = context.get("generate_toctree_html")
    if tree is not None:
        context["generate_toctree_html"] = lambda *args, **options: _named(tree(*args, **options))


def description(page: str, doctree: nodes.document | None) -> str:
    """A page in a sentence or two: of the catalogue for a topic, by its modes for how it breaks, else its first paragraph."""
    for topic in catalogue.topics().values():
        if page == f"{topic.package}/{topic.name}":
            return _short(f"{topic.title}. {topic.summary}")
        if page == f"{topic.package}/failure_modes/{topic.name}":
            titles = "; ".join(mode.title for mode in modes.of(topic))
            return _short(f"How {topic.title} breaks, predicted and measured: {titles}")
    for paragraph in doctree.findall(nodes.paragraph) if doctree is not None else ():
        if not _inside_card(paragraph) and len(text := _plain(paragraph)) > 40:
            return _short(text)
    if page.startswith("source/"):
        return f"The file {page.removeprefix('source/').removesuffix('.md')} of the repository, as it is."
    return ""


def _inside_card(node: nodes.Node) -> bool:
    while node is not None:
        if isinstance(node, nodes.Element) and "groundup-card" in node.get("classes", ()):
            return True
        node = node.parent
    return False


def _plain(paragraph: nodes.paragraph) -> str:
    """Its text, without mathematics that nobody sets in a description."""
    copy = paragraph.deepcopy()
    for formula in list(copy.findall(nodes.math)):
        formula.replace_self(nodes.Text("…"))
    for raw in list(copy.findall(nodes.raw)):
        raw.replace_self(nodes.Text(""))
    return " ".join(copy.astext().split())


def _short(text: str) -> str:
    text = text.rstrip(".") + "."
    return text if len(text) <= LONGEST else text[: LONGEST - 2].rpartition(" ")[0].rstrip(",;:") + " …"


def _named(tree: Any) -> Any:
    """The sidebar's tree; what folds a branch says which."""
    if hasattr(tree, "select"):
        for summary in tree.select("summary"):
            link = summary.find_parent("li").find("a")
            summary["aria-label"] = f"Pages below {link.get_text(strip=True)}" if link else "Pages below"
    return tree


def without_scripts(html: str, names: str) -> str:
    """HTML without the scripts whose files are called so (a pattern)."""
    return re.sub(rf'\s*<script[^>]*src="(?:[^"]*/)?(?:{names})\.js[^"]*"[^>]*></script>', "", html)


def teach_templates(app: Any) -> None:
    """The filter for `_templates/layout.html`."""
    app.builder.templates.environment.filters["without_scripts"] = without_scripts
