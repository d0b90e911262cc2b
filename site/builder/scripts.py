"""Which page loads which script; the others load none of them."""

from __future__ import annotations

from typing import Any

from builder.symptoms import search_data
from groundup import modes

__all__ = ["add_scripts"]


def add_scripts(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Add to a page the scripts that it needs, as Sphinx writes it (event `html-page-context`)."""
    if pagename == "search":
        app.add_js_file(None, body=search_data(modes.known()))
    for name in _scripts(pagename):
        app.add_js_file(name, loading_method="defer")


def _scripts(page: str) -> list[str]:
    if "/failure_modes/" in page:
        return ["sliders.js"]
    if page.startswith("ledger/"):
        return ["ledger.js"]
    own = {
        "index": ["tower.js"],
        "symptoms": ["filter.js"],
        "ledger": ["filter.js", "ledger.js"],
        "search": ["search.js"],
    }
    return own.get(page, [])
