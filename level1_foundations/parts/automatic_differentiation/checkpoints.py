# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---
# %% [markdown]
# # Checkpoints
#
# Part of the topic [automatic differentiation](../../automatic_differentiation.py): memory for time.

# %%
from __future__ import annotations

import contextlib

from level1_foundations.parts.automatic_differentiation.tensor import Tensor, enable_grad, mode

__all__ = ["CheckpointFrame", "Promise", "Replay", "checkpoint", "open_frame", "replay"]

# %% [markdown]
# Within a checkpoint, an operation saves no tensors but a *promise* of them. The first promise called in runs the segment
# again, and the recorded operations of that second run bring what the first did not keep, in the same order. Nothing else
# changes: the graph is the same, and so are second derivatives.


# %%
class Promise:
    """In place of saved tensors: the checkpoint that can compute them again, and their position in it."""

    __slots__ = ("checkpoint", "position")

    def __init__(self, checkpoint, position):
        self.checkpoint, self.position = checkpoint, position

    def fulfil(self):
        """The saved tensors, from a new run of the segment if there is none at hand."""
        if self.position not in self.checkpoint.replayed:
            replay(self.checkpoint)
        return self.checkpoint.replayed.pop(self.position)


class CheckpointFrame:
    """One checkpointed call: its function and arguments, and, while they are needed, the replayed tensors."""

    def __init__(self, function, args):
        self.function, self.args = function, args
        self.versions = [x.version[0] if isinstance(x, Tensor) else None for x in args]
        self.count, self.replayed = 0, {}

    def keep(self, saved):
        """Keep nothing of `saved`, and promise it."""
        self.count += 1
        return Promise(self, self.count - 1)


class Replay:
    """The second run: collects what every operation saves."""

    def __init__(self):
        self.collected = []

    def keep(self, saved):
        """Collect `saved`."""
        self.collected.append(saved)
        return saved


@contextlib.contextmanager
def open_frame(frame):
    """Operations recorded inside hand what they save to `frame`."""
    before, mode.frame = mode.frame, frame
    try:
        yield
    finally:
        mode.frame = before


def replay(frame):
    """Run the segment of `frame` again, and keep what its operations save."""
    for x, version in zip(frame.args, frame.versions, strict=True):
        if version is not None and x.version[0] != version:
            raise RuntimeError(
                "an argument of a checkpoint has been modified by an inplace operation before the backward "
                "pass"
            )
    second = Replay()
    with open_frame(second), enable_grad():
        frame.function(*frame.args)
    if len(second.collected) != frame.count:
        raise RuntimeError(
            f"checkpoint: the function saved tensors {frame.count} times at first and "
            f"{len(second.collected)} times when run again; it must be deterministic (draw random numbers "
            "outside, and pass them in)"
        )
    frame.replayed = dict(enumerate(second.collected))


def checkpoint(function, *args):
    """`function(*args)`, whose inside is computed again in the backward pass instead of being kept.

    `function` must be deterministic. A checkpoint within a checkpoint is part of the outer one.
    """
    if not mode.enabled or mode.frame is not None:
        return function(*args)
    with open_frame(CheckpointFrame(function, args)):
        return function(*args)
