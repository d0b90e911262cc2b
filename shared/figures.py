"""One style for all pictures: colour-blind safe, light and dark, no global state.

`subplots` makes a styled figure. Which of the two themes it wears is a context (`theme("dark")`) around the
drawing code, which reaches legends and titles too, so the same code serves a light page and a dark one; `dress` changes
the theme of a figure that is drawn already. The colours are the Okabe–Ito set (Okabe and Ito 2008), which people with any
of the common colour deficiencies can tell apart.
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

    from shared.failure_mode import Claim

__all__ = [
    "COLORS", "PALETTE", "caption_of", "draw", "dress", "in_notebook", "plot_sweep", "save", "show", "subplots", "theme",
    "to_png",
]  # fmt: skip

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


def plot_sweep(
    axes: Any, claim: Claim, *, color: str = COLORS["broken"], label: str = "measured, 95 %"
) -> None:
    """Theory's curve over the claim's swept parameter, and what was measured at each value.

    Where theory makes no prediction the curve ends, and the points go on.
    """
    import numpy as np

    from shared.failure_mode import measure_sweep

    assert claim.sweep is not None
    points = measure_sweep(claim)
    x = np.array([point.value for point in points])
    measured = np.array([point.measured for point in points])
    reach = np.abs(np.array([point.interval for point in points]).T - measured)  # (2, points)
    named = "predicted" in axes.get_legend_handles_labels()[1]  # two sweeps in one picture share an entry
    predicted = [point.predicted for point in points]
    axes.plot(x, predicted, color=COLORS["theory"], label=None if named else "predicted")
    axes.errorbar(
        x, measured, yerr=reach, fmt="o", markersize=4, capsize=3, linewidth=1.2, color=color, label=label
    )
    if claim.sweep.logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel(claim.sweep.label)


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


def dress(figure: Figure, name: Theme) -> Figure:
    """Change the paper, ink and lines of a drawn figure to those of a theme, in place, and return it.

    The figure then looks as if it had been drawn in that theme, without running the experiment behind it again.
    """
    from matplotlib.artist import getp
    from matplotlib.colors import same_color, to_rgba, to_rgba_array
    from matplotlib.text import Annotation

    if name not in _GROUND:
        raise ValueError(f"theme must be 'light' or 'dark', got {name!r}.")
    (other,) = set(_GROUND) - {name}
    swap = list(zip(_GROUND[other], _GROUND[name], strict=True))

    def changed(color: Any) -> Any:
        """The theme's own colour in place of the other's, as transparent as it was; any other colour as it is."""
        red, green, blue, alpha = to_rgba(color)
        same = (new for old, new in swap if same_color((red, green, blue), old))
        return next(((*to_rgba(new)[:3], alpha) for new in same), (red, green, blue, alpha))

    artists = list(figure.findobj())
    artists += [a.arrow_patch for a in artists if isinstance(a, Annotation) and a.arrow_patch]
    for artist in artists:
        if getattr(artist, "get_array", lambda: None)() is not None:
            continue  # colours that stand for values
        for part in ("facecolor", "edgecolor", "color", "markerfacecolor", "markeredgecolor"):
            if not (hasattr(artist, f"get_{part}") and hasattr(artist, f"set_{part}")):
                continue
            old = getp(artist, part)
            if isinstance(old, str) and old in ("none", "auto", "inherit"):
                continue
            rows = [tuple(row) for row in to_rgba_array(old)]
            new = [changed(row) for row in rows]
            if rows != new:
                getattr(artist, f"set_{part}")(new if len(new) > 1 else new[0])
    return figure


def caption_of(function: Callable[..., Any]) -> str:
    """What the picture of a drawing function shows, for people who see it and for people who do not: the first paragraph of its docstring."""
    import inspect

    return " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process."""
    return "ipykernel" in sys.modules


DARK_PNG = "application/vnd.groundup.dark+png"
"""Under this type a figure's output in a notebook carries the same picture for a dark page."""


def show(figure: Figure, name: str, *, caption: str = "", **place: str) -> None:
    """Display the figure in a notebook, for light pages and for dark ones; elsewhere save it as `output/figures/<name>.png` and say where.

    The caption is the alternative text, too. `place` (such as `mode="unlucky_start"`) goes into the output's metadata
    with the name, so that the site can put the picture where it belongs.
    """
    if not in_notebook():
        path = save(figure, Path("output") / "figures" / f"{name}.png")
        print(f"figure saved: {path}")
        return
    import base64

    from IPython.display import display

    light = to_png(figure, dpi=144)
    figure.set_layout_engine("none")  # every part stays where it is
    data = {
        "image/png": base64.b64encode(light).decode(),
        DARK_PNG: base64.b64encode(to_png(dress(figure, "dark"), dpi=144)).decode(),
        "text/plain": caption or name,
    }
    metadata = {"groundup": {"name": name, "caption": caption, **place}, "image/png": {"alt": caption}}
    display(data, raw=True, metadata=metadata)
