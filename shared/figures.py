"""One style for all pictures: colour-blind safe, light and dark, no global state.

`subplots` makes a styled figure. Which of the two themes it wears is a context (`theme("dark")`) around the
drawing code, which reaches legends and titles too, so the same code serves a light page and a dark one. The colours are the Okabe–Ito set (Okabe and Ito 2008),
which people with any of the common colour deficiencies can tell apart.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLORS", "PALETTE", "in_notebook", "save", "show", "subplots", "theme", "to_png"]

COLORS = {
    "ours": "#0072B2",
    "reference": "#E69F00",
    "broken": "#D55E00",
    "mended": "#009E73",
    "theory": "#CC79A7",
    "muted": "#8C8C8C",
}
"""Colours by role, the same in every picture."""

PALETTE = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#8C8C8C"]
"""Colours for categories."""

Theme = Literal["light", "dark"]
_THEME: ContextVar[Theme] = ContextVar("theme", default="light")
_GROUND = {"light": ("#FFFFFF", "#1F2328", "#D8DEE4"), "dark": ("#14181E", "#E6EDF3", "#3A424D")}


@contextmanager
def theme(name: Theme) -> Iterator[None]:
    """Figures made inside wear this theme, "light" or "dark"."""
    if name not in _GROUND:
        raise ValueError(f"theme must be 'light' or 'dark', got {name!r}.")
    import matplotlib

    token = _THEME.set(name)
    try:
        with matplotlib.rc_context(_style(name)):  # type: ignore[arg-type]
            yield
    finally:
        _THEME.reset(token)


def subplots(
    n_rows: int = 1, n_columns: int = 1, *, width: float = 7.0, height: float = 4.0, **options: Any
) -> tuple[Figure, Any]:
    """A styled figure of `width` × `height` inches and its axes, as `matplotlib.pyplot.subplots` returns them.

    One panel gives one `Axes`, several give an array of them; `options` go to `Figure.subplots`
    (`sharex`, `sharey`, `width_ratios` …). The figure is not registered with pyplot, so nothing has to be
    closed.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_style(_THEME.get())):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(n_rows, n_columns, **options)
    return figure, axes


def _style(name: Theme) -> dict[str, Any]:
    from cycler import cycler

    paper, ink, line = _GROUND[name]
    return {
        "figure.facecolor": paper,
        "figure.edgecolor": paper,
        "axes.facecolor": paper,
        "axes.edgecolor": line,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.labelsize": 10,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=PALETTE),
        "grid.color": line,
        "grid.linewidth": 0.6,
        "grid.alpha": 0.7,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.facecolor": paper,  # a curve that runs behind the legend must not cross its words
        "legend.edgecolor": "none",
        "legend.framealpha": 0.85,
        "legend.fontsize": 9,
        "legend.labelcolor": ink,
        "lines.linewidth": 1.8,
        "font.size": 10,
        "savefig.facecolor": paper,
    }


def draw(function: Callable[[], Figure], name: Theme = "light") -> Figure:
    """The figure that `function` makes, wearing a theme from its axes to its legend."""
    with theme(name):
        return function()


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 144) -> Path:
    """Write the figure as a picture (by its suffix: .png, .svg, .pdf), making folders as needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # No date or software version inside, so that an unchanged picture is an unchanged file.
    metadata: dict[str, Any] = {"Software": None} if path.suffix == ".png" else {}
    figure.savefig(path, dpi=dpi, facecolor=figure.get_facecolor(), metadata=metadata)
    return path


def to_png(figure: Figure, *, dpi: int = 110) -> bytes:
    """The figure as PNG bytes, for a report that must stand alone."""
    import io

    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", dpi=dpi, facecolor=figure.get_facecolor(), metadata={"Software": None}
    )
    return buffer.getvalue()


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process."""
    return "ipykernel" in sys.modules


def show(figure: Figure, name: str) -> None:
    """Display the figure in a notebook; elsewhere save it as `output/figures/<name>.png` and say where."""
    if in_notebook():
        from IPython.display import Image, display

        display(Image(to_png(figure, dpi=144)))
        return
    path = save(figure, Path("output") / "figures" / f"{name}.png")
    print(f"figure saved: {path}")
