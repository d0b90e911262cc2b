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
# # What the service asks of its settings and of its callers
#
# Part of the topic [model serving](../../model_serving.py), which exports these names.

# %%
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from shared.arrays import validate_number

__all__ = ["InvalidInput", "ServiceConfig", "check_row", "parse_instances", "parse_json"]

# %% [markdown]
# ### Configuration


# %%
def _setting(default: Any, explanation: str) -> Any:
    return field(default=default, metadata={"help": explanation})


@dataclass(frozen=True)
class ServiceConfig:
    """Sizes and limits of the service; each is also a flag of `python -m level6_systems.parts.model_serving.serve`.

    Raises:
        TypeError, ValueError: a value of the wrong type, not finite, or out of range.
    """

    maximum_batch: int = _setting(64, "most rows in one call of the model, and in one request")
    batch_window_ms: float = _setting(2.0, "how long the first row of a batch waits for others, in ms")
    queue_limit: int = _setting(256, "most rows that wait; a request beyond is refused with 503")
    body_limit: int = _setting(1_048_576, "most bytes in the body of a request")
    timeout: float = _setting(10.0, "seconds for a body to arrive, and for an answer to be computed")
    drain_seconds: float = _setting(0.5, "least time between SIGTERM and closing the port, in s")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8000, "port to listen on; 0 takes a free one")

    def __post_init__(self) -> None:
        for name in ("maximum_batch", "queue_limit", "body_limit"):
            validate_number(getattr(self, name), name, minimum=1, integer=True)
        longest = float(np.finfo(np.float64).max)  # finite: an event loop cannot wait for an infinite time
        validate_number(self.batch_window_ms, "batch_window_ms", minimum=0, maximum=longest)
        validate_number(self.drain_seconds, "drain_seconds", minimum=0, maximum=longest)
        if validate_number(self.timeout, "timeout", minimum=0, maximum=longest) == 0:
            raise ValueError("timeout must be above 0: no request is answered in no time; got 0.")
        validate_number(self.port, "port", minimum=0, maximum=65535, integer=True)
        if not isinstance(self.host, str) or not self.host:
            raise TypeError(f"host must be an address such as '127.0.0.1', got {self.host!r}.")
        if self.queue_limit < self.maximum_batch:
            raise ValueError(
                f"queue_limit must be at least maximum_batch ({self.maximum_batch}), or a full request could "
                f"never enter the queue; got {self.queue_limit}."
            )


# %% [markdown]
# ### Input validation
#
# Whatever arrives is untrusted: it is named precisely and refused, or it is a finite matrix. JSON has traps: Python's parser
# accepts `NaN` and `Infinity`, reads `1e999` as infinity, refuses integers of more than 4,300 digits with an error of its
# own, and recurses on nesting; `true` is a number in Python, where `True + 1` is 2, but not in a row of pixels. And a number
# of the right type may still be one that the model never saw: pixels up to 255 for a network trained on 0 to 16 get an
# answer, a confident and wrong one. So the exported file can carry the range of the training data, and what lies outside is
# refused.


# %%
class InvalidInput(ValueError):
    """The request cannot be understood; `status` is the HTTP status to answer with."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


def parse_json(body: bytes) -> Any:
    """Decode a JSON text in UTF-8 that keeps to the standard: no NaN, no infinities.

    Raises:
        InvalidInput: with status 400 and the place where it stops being JSON.
    """

    def not_json(constant: str) -> None:
        raise InvalidInput(f"the body is not JSON: {constant} is not a JSON number.", 400)

    try:
        return json.loads(body.decode("utf-8"), parse_constant=not_json)
    except InvalidInput:
        raise
    except RecursionError:
        raise InvalidInput("the body is nested too deeply.", 400) from None
    except ValueError as error:  # malformed text, bytes that are not UTF-8, integers with thousands of digits
        raise InvalidInput(f"the body is not JSON: {error}.", 400) from None


def parse_instances(
    payload: Any, n_features: int, maximum_rows: int, input_range: tuple[Any, Any] | None = None
) -> tuple[Float[np.ndarray, "n d"], bool]:
    """Read `{"instance": row}` or `{"instances": [row, ...]}` into a matrix.

    Args:
        payload: decoded JSON.
        n_features: length that each row must have.
        maximum_rows: most rows that one request may hold.
        input_range: least and greatest value that a feature may have, numbers or (d,); None accepts all. Values are
            compared in the floating type of the bounds: 0.1 is the float32 that it is rounded to, and no less.

    Returns:
        the rows as float64, and whether a single one was sent.

    Raises:
        InvalidInput: naming the first value, row or key that is wrong.
    """
    if not isinstance(payload, dict) or len(payload) != 1 or not payload.keys() <= {"instance", "instances"}:
        got = f"keys {sorted(payload)[:5]}" if isinstance(payload, dict) else _json_type(payload)
        raise InvalidInput(
            'the body must be an object with one key, "instance" (a row) or "instances" (a list of rows), '
            f"got {got}."
        )
    single = "instance" in payload
    rows = [payload["instance"]] if single else payload["instances"]
    if not isinstance(rows, list) or not 1 <= len(rows) <= maximum_rows:
        got = f"{len(rows)} rows" if isinstance(rows, list) else _json_type(rows)
        raise InvalidInput(f"instances must be a list of 1 to {maximum_rows} rows, got {got}.")
    for i, row in enumerate(rows):
        name = "instance" if single else f"instances[{i}]"
        check_row(row, name, n_features)
    matrix = np.array(rows, dtype=np.float64)
    if input_range is not None:
        low, high = (np.broadcast_to(bound, n_features) for bound in input_range)
        kinds = [bound.dtype for bound in (low, high) if bound.dtype.kind == "f"]
        coarsest = min(kinds, key=lambda kind: kind.itemsize, default=np.dtype(np.float64))
        low, high = low.astype(coarsest), high.astype(coarsest)
        with np.errstate(over="ignore"):  # what is too large for the type is outside of the range as well
            seen = matrix.astype(coarsest)
        for i, j in np.argwhere((seen < low) | (seen > high))[:1]:
            name = "instance" if single else f"instances[{i}]"
            raise InvalidInput(
                f"{name}[{j}] is {_digits(seen[i, j])}, outside of {_digits(low[j])} to {_digits(high[j])}, "
                f"the range in training."
            )
    return matrix, single


def _digits(number: Any) -> str:
    """The fewest digits that tell a number from its neighbors of the same type."""
    return str(number).removesuffix(".0")


def check_row(row: Any, name: str, n_features: int) -> None:
    """Raise `InvalidInput` unless `row` is a list of `n_features` finite numbers that fit into float32."""
    if not isinstance(row, list):
        raise InvalidInput(f"{name} must be a list of {n_features} numbers, got {_json_type(row)}.")
    if len(row) != n_features:
        raise InvalidInput(f"{name} must hold {n_features} numbers, got {len(row)}.")
    largest = float(np.finfo(np.float32).max)
    for j, value in enumerate(row):
        if type(value) not in (float, int):  # not isinstance: True is an int in Python, but not a measurement
            raise InvalidInput(f"{name}[{j}] must be a number, got {_json_type(value)}.")
        if not -largest <= value <= largest:  # compares without converting, so that 10**400 does not overflow
            raise InvalidInput(f"{name}[{j}] must be a finite number that fits into float32.")


def _json_type(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
