"""Sphinx configuration of the site; `groundup site` and `make site` run it.

Loading it writes the pages (`builder.pages`) into `_pages`. Nothing here or there is fetched from a network: the
mathematics, the fonts and the search come from installed packages.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from builder.elements import setup as teach_elements
from builder.head import add_head, teach_templates
from builder.icons import trim_theme, write_icons
from builder.links import check_site
from builder.pages import BrokenLinks, write_pages
from builder.scripts import add_scripts
from sphinx.errors import ConfigError, ExtensionError

from groundup import catalogue, page_runs


def on_page(page: Path, seconds: float) -> None:
    """Say that a page was run; `groundup site` moves its bar by it."""
    print(f"ran {page.relative_to(ROOT).as_posix()} in {seconds:.1f} s", flush=True)


try:
    outputs = page_runs.outputs(catalogue.topics().values(), on_page=on_page)
    write_pages(HERE / "_pages", outputs=outputs)
except (BrokenLinks, page_runs.PageError) as error:
    raise ConfigError(str(error)) from None

write_icons(HERE / "_build" / "static")

# --- project ---------------------------------------------------------------------------------------------------

project = "Ground Up"
html_title = "Ground Up"
copyright = "the authors of Ground Up, MIT licence"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.mathjax",
    "sphinxcontrib.bibtex",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",  # its module's name has hyphens
]

# --- pages: Markdown and the notebooks that builder.pages made; nothing else is a page ---------------------------

source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["**.ipynb_checkpoints", "jupyter_execute"]
nitpicky = True

myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
myst_dmath_allow_labels = False
myst_links_external_new_tab = False

# --- outputs: the pages were run before (groundup.page_runs); an error there fails the build ---------------------

nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}

# --- references --------------------------------------------------------------------------------------------------

bibtex_bibfiles = ["../research_notes/references.bib"]  # as seen from this file
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

# --- looks -------------------------------------------------------------------------------------------------------

html_theme = "sphinx_book_theme"
html_static_path = [str(HERE / "_static"), str(HERE / "_build" / "static")]
templates_path = [str(HERE / "_templates")]
html_css_files = ["icons.css", "groundup.css", "front.css"]
html_js_files = [("tables.js", {"defer": "defer"})]
copybutton_prompt_text = "$ "
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {
    "show_navbar_depth": 1,
    "collapse_navbar": True,  # else every page carries the whole tree
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "search_bar_text": "Search",
    "back_to_top_button": False,
    "footer_content_items": ["copyright"],
    "navbar_persistent": [],  # the search stands in the sidebar and above the article
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "github-dark",
}


def fail_on_broken_links(app, exception):
    """Every link inside the built site leads to a page and an anchor, and nothing is loaded from elsewhere."""
    if exception is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):  # pages of an earlier build whose source is gone
            name = path.relative_to(app.outdir).with_suffix("").as_posix()
            if not name.startswith("_static/") and name not in app.env.all_docs | {
                "genindex": 0,
                "search": 0,
            }:
                path.unlink()
        found = check_site(Path(app.outdir))
        if found:
            raise ExtensionError("the built site is not in order:\n" + "\n".join(found))


def setup(app):
    teach_elements(app)
    # After sphinx-mathjax-offline has copied its files.
    app.connect("build-finished", fail_on_broken_links, priority=900)
    app.connect("build-finished", trim_theme)
    app.connect("html-page-context", add_scripts)
    app.connect("html-page-context", add_head, priority=900)  # the theme has added its functions
    app.connect("builder-inited", teach_templates)
