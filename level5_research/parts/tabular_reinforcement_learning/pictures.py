"""Pictures of worlds: a lake with its values and greedy actions."""

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
