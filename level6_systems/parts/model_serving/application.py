"""The web application: routes, limits on what comes in, errors as JSON, metrics, a page of documentation.

This module imports FastAPI, Starlette and prometheus-client at its top, because FastAPI reads the
annotations of the routes; so it is imported by `service.create_app` when a service is made, and by nothing
else.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.exceptions import HTTPException
from starlette.requests import Request

from level6_systems.parts.model_serving.batcher import MicroBatcher, Overloaded
from level6_systems.parts.model_serving.requests import (
    InvalidInput,
    ServiceConfig,
    parse_instances,
    parse_json,
)
from shared.numerics import softmax

LINGERING_BYTES = 256 * 1024 * 1024  # how much of a refused body is read and thrown away before answering


# ----------------------------------------------------------------------------------------------------
# Requests
# ----------------------------------------------------------------------------------------------------
class RequestRefused(Exception):
    """A request that is answered with an error before it reaches the model."""

    def __init__(self, status: int, message: str, reason: str, **headers: str):
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


async def read_body(request: Any, config: ServiceConfig) -> bytes:
    """The body of a request, never holding more than `config.body_limit` bytes of it.

    A declared length is checked before anything is read; a chunked body, which declares none, is counted
    as it streams in. What exceeds the limit is read on and thrown away, up to `LINGERING_BYTES` and
    `config.timeout` seconds: a server that hangs up on a client that is still sending destroys its own
    answer on the way (the reset overtakes it), and the client never learns why. A client that asked first
    (`Expect: 100-continue`) is answered at once and sends nothing.

    Raises:
        RequestRefused: 413 (too large), 408 (too slow), 400 (the client hung up).
    """
    too_large = RequestRefused(
        413,
        f"the body must be at most {config.body_limit:,} bytes long.",
        "body_too_large",
        Connection="close",
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > config.body_limit and "expect" in request.headers:
        raise too_large
    pieces, received = [], 0
    try:
        async with asyncio.timeout(config.timeout):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise RequestRefused(400, "the client hung up.", "disconnected")
                received += len(message.get("body", b""))
                if received <= config.body_limit:
                    pieces.append(message.get("body", b""))
                else:
                    pieces.clear()
                if not message.get("more_body", False) or received > LINGERING_BYTES:
                    break
    except TimeoutError:
        if received > config.body_limit:
            raise too_large from None
        raise RequestRefused(
            408, f"the body did not arrive within {config.timeout:g} s.", "body_too_slow", Connection="close"
        ) from None
    if received > config.body_limit:
        raise too_large
    return b"".join(pieces)


def _describe(logits: np.ndarray, classes: Sequence) -> list[dict]:
    """What a client is told about each row: label, probabilities, and the logits they come from."""
    if logits.shape[1] == 1:  # one logit for two classes is the second against 0
        scores = np.hstack([np.zeros_like(logits), logits])
    else:
        scores = logits
    probabilities = softmax(scores.astype(np.float64), axis=1)
    return [
        {"label": classes[best], "probabilities": p, "logits": z}
        for best, p, z in zip(scores.argmax(1), probabilities.tolist(), logits.tolist(), strict=True)
    ]


# ----------------------------------------------------------------------------------------------------
# Metrics
# ----------------------------------------------------------------------------------------------------
class ServiceMetrics:
    """What an operator watches. A registry of its own, so that two services in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        seconds = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
        rows = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
        own = {"registry": self.registry, "namespace": "groundup"}
        self.requests = Counter("requests_total", "Answered requests.", ("path", "status"), **own)
        self.latency = Histogram(
            "request_seconds",
            "From the request's first byte to its answer.",
            ("path",),
            buckets=seconds,
            **own,
        )
        self.refused = Counter("refused_total", "Refused predictions, by reason.", ("reason",), **own)
        self.waiting = Histogram("waiting_seconds", "Time in the queue.", buckets=seconds, **own)
        self.batch_seconds = Histogram("batch_seconds", "The model's time per batch.", buckets=seconds, **own)
        self.batch_rows = Histogram("batch_rows", "Rows per batch.", buckets=rows, **own)
        self.rows_waiting = Gauge("rows_waiting", "Rows in the queue now.", **own)
        self.ready = Gauge("ready", "1 while new requests are welcome, 0 while draining.", **own)

    def observe(self, batch: Any) -> None:
        """Called by the batcher after every batch."""
        self.batch_seconds.observe(batch.finished - batch.started)
        self.batch_rows.observe(batch.rows)
        for arrived in batch.arrivals:
            self.waiting.observe(batch.started - arrived)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Measured:
    """ASGI middleware: counts and times the answers of the known paths; all else is `other`, so that a
    scanner cannot grow the metrics without bound."""

    def __init__(self, app: Any, metrics: ServiceMetrics, paths: frozenset[str]):
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"] if scope["path"] in self.paths else "other"
        started, status = time.perf_counter(), "500"

        async def watch(message: dict) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            self.metrics.requests.labels(path, status).inc()
            self.metrics.latency.labels(path).observe(time.perf_counter() - started)


class _Head:
    """ASGI middleware: HEAD is answered like GET, without the body (RFC 9110 asks it of whoever answers GET; probes use
    it)."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self.app(scope, receive, send)

        async def without_body(message: dict) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app({**scope, "method": "GET"}, receive, without_body)


# ----------------------------------------------------------------------------------------------------
# The application
# ----------------------------------------------------------------------------------------------------
_ROW = {"type": "array", "items": {"type": "number"}}
_SCHEMA = {
    "type": "object",
    "properties": {
        "instance": {**_ROW, "description": "one row: the answer holds `prediction`"},
        "instances": {"type": "array", "items": _ROW, "description": "rows: the answer holds `predictions`"},
    },
    "oneOf": [{"required": ["instance"]}, {"required": ["instances"]}],
    "additionalProperties": False,
}
_REQUEST_BODY = {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}


def create_app(predictor: Callable[[np.ndarray], np.ndarray], config: ServiceConfig) -> FastAPI:
    """A FastAPI application that serves `predictor`.

    Routes: `POST /predict`, `GET /health` (it can answer: 503 once the batcher has failed), `GET /ready` (it
    welcomes requests: 503 while it drains), `GET /metrics` (Prometheus text), `GET /docs` (self-contained),
    `GET /openapi.json`; HEAD wherever GET is.
    Every error is JSON: `{"error": "what came and what is needed"}`.

    Args:
        predictor: maps float rows (n, d) to logits (n, k); its attributes `n_features` (d) and `classes`
            (k labels; two if k = 1, for the logit of the second) describe it. It runs in one worker thread, one
            batch at a time.
        config: limits and sizes.

    Returns:
        the application; `app.state.batcher` is its `MicroBatcher`, `app.state.metrics` its metrics.
    """
    metrics = ServiceMetrics()
    batcher = MicroBatcher(predictor, config)
    batcher.observers.append(metrics.observe)
    metrics.rows_waiting.set_function(lambda: batcher.rows_waiting)
    metrics.ready.set_function(lambda: 0.0 if batcher.draining else 1.0)

    def stopped(worker: asyncio.Task) -> None:
        """The batcher itself refuses from now on; somebody should learn why."""
        error = None if worker.cancelled() else worker.exception()
        logging.getLogger("uvicorn.error").error("the batcher stopped", exc_info=error)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.loop = asyncio.get_running_loop()
        worker = asyncio.create_task(batcher.run())
        worker.add_done_callback(stopped)
        yield
        await batcher.drain()
        worker.remove_done_callback(stopped)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        batcher.worker.shutdown(wait=False)

    app = FastAPI(
        title="Ground Up: model serving", version="1", lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.batcher, app.state.metrics = batcher, metrics
    paths = frozenset({"/predict", "/health", "/ready", "/metrics", "/docs", "/openapi.json"})
    app.add_middleware(_Head)
    app.add_middleware(_Measured, metrics=metrics, paths=paths)
    classes = np.asarray(predictor.classes, dtype=object).tolist()  # JSON knows no NumPy numbers
    classes = [label.item() if isinstance(label, np.generic) else label for label in classes]

    # The request is read and checked by hand: FastAPI would hold any body in memory whole, and its own 422
    # repeats the offending value, which for NaN or 1e999 is not JSON and ends in a 500.
    async def predict(request: Request) -> Response:
        rows, single = parse_instances(
            parse_json(await read_body(request, config)),
            predictor.n_features,
            config.maximum_batch,
            getattr(predictor, "input_range", None),
        )
        logits = await _answer(batcher.submit(rows), request, config, batcher)
        infinite = ~np.isfinite(logits).all(axis=1)
        if infinite.any():
            raise InvalidInput(
                f"row {int(infinite.argmax())} holds values so large that the network's output overflows."
            )
        described = _describe(logits, classes)
        return JSONResponse({"prediction": described[0]} if single else {"predictions": described})

    app.add_api_route(
        "/predict",
        predict,
        methods=["POST"],
        summary="Class probabilities of one row or of many.",
        openapi_extra={"requestBody": _REQUEST_BODY},
        responses={
            400: {"description": "not JSON"},
            408: {"description": "the body came too slowly"},
            413: {"description": "the body is too large"},
            422: {"description": "JSON, but not rows of finite numbers of the right length"},
            503: {"description": "overloaded or draining: try again after `Retry-After` seconds"},
        },
    )  # fmt: skip

    @app.get("/health", summary="Does the process live?")
    async def health() -> Response:
        if batcher.failed:
            return JSONResponse({"status": "the batcher stopped"}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.get("/ready", summary="Are new requests welcome?")
    async def ready() -> Response:
        if batcher.draining:
            retry = {"Retry-After": str(batcher.retry_after())}
            return JSONResponse({"status": "draining"}, status_code=503, headers=retry)
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", summary="Prometheus metrics.")
    async def prometheus() -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(_documentation_page(app.openapi(), predictor))

    def refuse(status: int, message: str, reason: str, headers: dict | None = None) -> Response:
        metrics.refused.labels(reason).inc()
        return JSONResponse({"error": message}, status_code=status, headers=headers)

    @app.exception_handler(RequestRefused)
    async def refused(request: Request, error: RequestRefused) -> Response:
        return refuse(error.status, error.message, error.reason, error.headers)

    @app.exception_handler(InvalidInput)
    async def invalid(request: Request, error: InvalidInput) -> Response:
        return refuse(error.status, str(error), "invalid_input")

    @app.exception_handler(Overloaded)
    async def overloaded(request: Request, error: Overloaded) -> Response:
        headers = {"Retry-After": str(error.retry_after)}
        return refuse(503, str(error), "draining" if batcher.draining else "overloaded", headers)

    @app.exception_handler(RequestValidationError)  # for routes added to the application later
    async def unprocessable(request: Request, error: RequestValidationError) -> Response:
        messages = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        return refuse(422, "; ".join(messages), "invalid_input")

    @app.exception_handler(HTTPException)  # no such path, no such method
    async def http_error(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if "GET" in headers.get("Allow", ""):
            headers["Allow"] = "GET, HEAD"
        return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": f"the model failed: {type(error).__name__}"}, status_code=500)

    return app


async def _answer(
    waiting: asyncio.Future, request: Request, config: ServiceConfig, batcher: MicroBatcher
) -> np.ndarray:
    """The logits of an accepted request; it is given up, and taken out of the queue, if its client hangs up.

    Raises:
        Overloaded: no answer within `config.timeout` seconds.
        RequestRefused: the client has gone; nobody will read this.
    """
    hung_up = asyncio.ensure_future(request.receive())  # after the body, nothing comes but the end
    try:
        await asyncio.wait({waiting, hung_up}, timeout=config.timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone = hung_up.done()
        hung_up.cancel()
    if waiting.done():
        return waiting.result()
    waiting.cancel()
    if gone:
        raise RequestRefused(400, "the client hung up.", "disconnected")
    raise Overloaded(f"no answer within {config.timeout:g} s", batcher.retry_after())


def _documentation_page(schema: dict, predictor: Any) -> str:
    """The page behind `/docs`, made from the OpenAPI schema; it loads nothing from elsewhere."""
    rows = "".join(
        f"<tr><td><code>{method.upper()}</code></td><td><code>{html.escape(path)}</code></td>"
        f"<td>{html.escape(operation.get('summary', ''))}</td><td>"
        + "<br>".join(
            f"{code}: {html.escape(answer['description'])}" for code, answer in operation["responses"].items()
        )
        + "</td></tr>"
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    )
    example = json.dumps({"instance": [0.0] * predictor.n_features})
    return f"""<!doctype html><html lang="en"><head><meta
    charset="utf-8"><title>{html.escape(schema["info"]["title"])}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }} td, th {{ border-bottom: 1px solid #ccc; padding: .4rem;
text-align: left; vertical-align: top }}
textarea, pre {{ width: 100%; box-sizing: border-box; font: 14px/1.4 ui-monospace, monospace }} pre {{
white-space: pre-wrap }}
:root {{ color-scheme: light dark }}</style></head><body>
<h1>{html.escape(schema["info"]["title"])}</h1>
<p>One row has {predictor.n_features} numbers; the answer is one of {len(predictor.classes)} labels.
The machine-readable description is <a href="openapi.json">openapi.json</a>.</p>
<table><thead><tr><th></th><th>path</th><th>what it
does</th><th>answers</th></tr></thead><tbody>{rows}</tbody></table>
<h2>Try it</h2><form id="form"><p><label>Body of <code>POST /predict</code><textarea id="body"
rows="6">{html.escape(example)}</textarea></label></p>
<p><button>Send</button></p></form><pre id="answer" aria-live="polite"></pre><script>
document.getElementById("form").addEventListener("submit", async (event) => {{
  event.preventDefault();
  const answer = document.getElementById("answer");
  try {{
    const response = await fetch("predict", {{ method: "POST", body: document.getElementById("body").value
    }});
    answer.textContent = response.status + "\\n" + JSON.stringify(await response.json(), null, 2);
  }} catch (error) {{ answer.textContent = String(error); }}
}});</script></body></html>"""
