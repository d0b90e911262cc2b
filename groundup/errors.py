"""Mistakes that a sentence explains, with the exit status they end in."""

from __future__ import annotations

__all__ = ["CommandError"]


class CommandError(Exception):
    """Something went wrong that a sentence explains: status 2 for usage, 1 for what could not be done."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
