"""A small HTTP client for measurements: many requests at given times, none waiting for another.

Load generators that wait for an answer before they send the next request slow down together with the server
and so hide its queue ("coordinated omission"). This one is *open loop*: every request leaves at its own time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Answer", "fetch", "open_loop"]


@dataclasses.dataclass(frozen=True)
class Answer:
    """Status code, headers (names in lower case) and body of one answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def _send(url: str, body: bytes | None, delay: float, patience: float) -> Answer:
    await asyncio.sleep(delay)
    parts = urlsplit(url)
    async with asyncio.timeout(patience):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            method = "GET" if body is None else "POST"
            head = f"{method} {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
            if body is not None:
                head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"\r\n" + (body or b""))
            raw = await reader.read()  # the server closes the connection after its answer
        finally:
            writer.close()
    top, _, content = raw.partition(b"\r\n\r\n")
    status, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(status.split()[1]), headers, content)


def _run(coroutine: Coroutine) -> Any:
    """Run to the end; in a thread of its own where this one runs an event loop already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def fetch(url: str, payload: Any = None, *, body: bytes | None = None, patience: float = 30.0) -> Answer:
    """GET `url`, or POST `payload` as JSON, or POST `body` as it is.

    Raises:
        OSError: no connection.
        TimeoutError: no answer within `patience` seconds.
    """
    body = json.dumps(payload).encode() if payload is not None else body
    return _run(_send(url, body, 0.0, patience))


def open_loop(
    url: str, payloads: Sequence[Any], times: Iterable[float], *, patience: float = 30.0
) -> list[Answer]:
    """POST each payload at its time (seconds from now), each over its own connection; answers in order.

    Raises:
        OSError: a connection was refused or broken off.
        TimeoutError: an answer took longer than `patience` seconds.
    """
    bodies = [json.dumps(payload).encode() for payload in payloads]

    async def send_all() -> list[Answer]:
        pairs = zip(bodies, times, strict=True)
        return await asyncio.gather(*(_send(url, body, delay, patience) for body, delay in pairs))

    return _run(send_all())
