"""Pictures: a lake with its values and greedy actions, and how steps forget a start."""

from __future__ import annotations

from typing import Any

import numpy as np


def draw_lake(axes: Any, letters: np.ndarray, q: np.ndarray, top: float, title: str) -> Any:
    """Draw a FrozenLake map (rows of bytes) with the values and greedy actions of q, (S, A); returns the image."""
    size, values = len(letters), q.max(axis=1)
    image = axes.imshow(values.reshape(size, size), cmap="viridis", vmin=0, vmax=top)
    for cell, action in enumerate(q.argmax(axis=1)):
        row, column = divmod(cell, size)
        letter = letters[row, column].decode()
        text = letter if letter in "HG" else "←↓→↑"[action] if values[cell] > 0 else ""
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            color="white" if values[cell] < 0.55 * top else "black",
        )
    axes.set(title=title, xticks=[], yticks=[])
    axes.grid(False)
    return image


def draw_lakes(letters: np.ndarray, stages: list[tuple[np.ndarray, str]], top: float) -> Any:
    """One lake for each (q, title), on a common scale."""
    from shared.figures import subplots

    figure, panels = subplots(1, len(stages), width=10.5, height=3.8)
    for panel, (q, title) in zip(panels, stages, strict=True):
        image = draw_lake(panel, letters, q, top, title)
    figure.colorbar(image, ax=panels, shrink=0.8, label="value")
    return figure


def draw_forgetting(counts: list[int], curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> Any:
    """Share of the first error, measured at `counts` and in theory after 1, 2, … updates, for each kind of step."""
    from shared.figures import COLORS, subplots

    figure, axes = subplots(width=7.5, height=4.2)
    colors = (COLORS["broken"], COLORS["theory"], COLORS["ours"], COLORS["mended"])
    for (label, (measured, expected)), color in zip(curves.items(), colors, strict=True):
        axes.plot(np.arange(1, len(expected) + 1), expected, color=color, linewidth=1.2)
        axes.plot(counts, measured, "o", color=color, label=label)
    axes.set(
        title="What is left of a wrong start, γ = 0.99", xlabel="updates n", ylabel="share of the first error"
    )
    axes.set(xscale="log", ylim=(0, 1.02))
    axes.legend(title="step size", loc="lower left")
    return figure
