"""The theme's icons as a few lines of CSS.

The theme ships a script of 1.5 MB that replaces `<i class="fa-solid fa-bars">` by a picture, for all of Font Awesome. The pages
use a dozen icons: their outlines are read from that script once, and the script is left out of the pages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pydata_sphinx_theme

__all__ = ["ICONS", "trim_theme", "write_icons"]

ICONS = (
    "angle-left", "angle-right", "arrow-up", "bars", "chevron-down", "circle-half-stroke", "download", "list", "magnifying-glass",
    "moon", "sun", "xmark",
)  # fmt: skip
SCRIPT = "theme/pydata_sphinx_theme/static/scripts/fontawesome.js"

STYLE = """/* Written by builder/icons.py from the outlines of Font Awesome Free (CC BY 4.0). */
.fa-solid:not(svg) { font-family: inherit; }
.fa-solid:not(svg)::before,
.bd-main .bd-content .bd-article a.reference.download::before {
  background: currentColor;
  content: "" !important;
  display: inline-block;
  font-family: inherit;
  height: 1em;
  mask: var(--groundup-icon) center / contain no-repeat;
  vertical-align: -0.125em;
  width: 1.25em;
}
"""


def write_icons(folder: Path) -> None:
    """Write `icons.css` into a folder of static files.

    Raises:
        LookupError: the theme's script has no such icon any more.
    """
    script = (Path(pydata_sphinx_theme.__file__).parent / SCRIPT).read_text(encoding="utf-8")
    rules = [
        f'.fa-{name}, a.{name}::before {{ --groundup-icon: url("{_picture(name, script)}"); }}'
        for name in ICONS
    ]
    text = STYLE + "\n".join(rules) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "icons.css"
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def trim_theme(app: Any, exception: Exception | None) -> None:
    """Take the names of all the other icons, a fifth of it, out of the theme's built style sheet (event `build-finished`)."""
    sheet = Path(app.outdir) / "_static" / "styles" / "pydata-sphinx-theme.css"
    if exception is None and sheet.exists():
        text = sheet.read_text(encoding="utf-8")
        trimmed = re.sub(r'(?:\.fa-[\w-]+,)*\.fa-[\w-]+\{--fa:"[^"]*"\}', "", text)
        if trimmed != text:
            sheet.write_text(trimmed, encoding="utf-8")


def _picture(name: str, script: str) -> str:
    """An icon as a data URI; of several faces the last is the solid one."""
    found = re.findall(rf'(?:"{name}"|\b{name}):\[(\d+),(\d+),\[[^\]]*\],"\w+","([^"]+)"\]', script)
    if not found:
        raise LookupError(f"the theme has no icon {name!r} any more: see {SCRIPT}.")
    width, height, path = found[-1]
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><path d="{path}"/></svg>'
    )
    return "data:image/svg+xml," + quote(picture, safe=" =:/")
