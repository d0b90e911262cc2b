"""The web service around a model: routes, limits, metrics, and an orderly end.

The ideas (input validation, micro-batching, back-pressure) are in `model_serving.py`; here they meet HTTP.
FastAPI, uvicorn, onnxruntime and prometheus-client are imported where they are used, so that importing
this module costs nothing.

    with running_service("digits.onnx") as url:        # a process of its own, as in production
        requests.post(url + "/predict", json={"instance": [...]})
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.arrays import validate_number

if TYPE_CHECKING:
    from level6_systems.parts.model_serving.batcher import MicroBatcher
    from level6_systems.parts.model_serving.requests import ServiceConfig

__all__ = [
    "LiveService",
    "OnnxPredictor",
    "ServiceUnavailable",
    "create_app",
    "running_service",
    "serve",
    "service_in_thread",
]


class ServiceUnavailable(ConnectionError):
    """A service did not start, or did not stop as it should; the message holds what it wrote."""


class OnnxPredictor:
    """A classifier in an ONNX file, run by onnxruntime on the CPU.

    Args:
        model: path of the file, or the serialized model itself.
        threads: threads inside one call of the model. One, because the service runs one batch at a time
            and leaves the other cores to the network code.

    Attributes:
        n_features: length of one input row.
        classes: the label of each output column: the labels stored in the file by `export_onnx`, else
            0, 1, 2, ...; a single column is the logit of the second of two classes.
        input_range: least and greatest value of each feature in training, (d,) each, if the file tells; else None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the graph does not map one float matrix (n, d), of any n, to one float matrix (n, k).
    """

    def __init__(self, model: str | os.PathLike | bytes, *, threads: int = 1):
        import onnxruntime

        validate_number(threads, "threads", minimum=1, integer=True)
        if not isinstance(model, bytes):
            model = Path(model).read_bytes()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 2 or not isinstance(inputs[0].shape[1], int):
            raise ValueError(
                "model must take one input of shape (n, d) with a fixed d, "
                f"got {[(tensor.name, tensor.shape) for tensor in inputs]}."
            )
        if len(outputs) != 1 or len(outputs[0].shape) != 2:
            raise ValueError(
                f"model must give one output of shape (n, k), got {[(t.name, t.shape) for t in outputs]}."
            )
        if isinstance(inputs[0].shape[0], int):
            raise ValueError(f"model must take any number of rows, got a graph for {inputs[0].shape[0]}.")
        for tensor, verb in ((inputs[0], "take"), (outputs[0], "give")):
            if tensor.type not in ("tensor(float)", "tensor(double)"):
                raise ValueError(f"model must {verb} float32 or float64 numbers, got {tensor.type}.")
        self.dtype = np.dtype(np.float32 if inputs[0].type == "tensor(float)" else np.float64)
        self.input_name = inputs[0].name
        self.n_features: int = inputs[0].shape[1]
        logits = self(np.zeros((1, self.n_features)))  # this first run also warms the session up
        notes = self.session.get_modelmeta().custom_metadata_map
        self.classes: list = json.loads(notes.get("classes", "null")) or list(range(max(logits.shape[1], 2)))
        if len(self.classes) != max(logits.shape[1], 2):
            raise ValueError(
                f"model names {len(self.classes)} classes for {logits.shape[1]} columns of output."
            )
        stored = json.loads(notes.get("input_range", "null"))
        bounds = None if stored is None else (stored["least"], stored["greatest"])
        self.input_range = (
            None if bounds is None else tuple(np.array(b, dtype=stored["dtype"]) for b in bounds)
        )

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Logits (n, k) of the rows (n, d)."""
        return self.session.run(None, {self.input_name: np.ascontiguousarray(rows, self.dtype)})[0]


# ----------------------------------------------------------------------------------------------------
# Running it
# ----------------------------------------------------------------------------------------------------
def create_app(predictor: Callable[[np.ndarray], np.ndarray], config: ServiceConfig) -> Any:
    """A FastAPI application that serves `predictor`; see `application.create_app`, which this one calls."""
    from level6_systems.parts.model_serving import application

    return application.create_app(predictor, config)


def _listen(config: ServiceConfig) -> tuple[socket.socket, str]:
    """A bound socket (port 0: the operating system picks a free one) and the address it answers at."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.create_server((config.host, config.port), family=family, backlog=2048)
    host = f"[{config.host}]" if family == socket.AF_INET6 else config.host
    return listener, f"http://{host}:{listener.getsockname()[1]}"


def _server(
    app: Any, config: ServiceConfig, started: Callable[[], None], draining: Callable[[], None] | None = None
) -> Any:
    """A uvicorn server that drains on SIGTERM and SIGINT, and then exits with status 0."""
    import uvicorn

    class DrainingServer(uvicorn.Server):
        draining = None

        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            started()

        def handle_exit(self, sig: int, frame: Any) -> None:  # runs inside the signal handler
            if not self.started or self.draining:
                self.should_exit = self.force_exit = True  # before it began, or the second signal: at once
            else:
                app.state.loop.call_soon_threadsafe(self.begin_drain)

        def begin_drain(self) -> None:
            """/ready says 503 and new predictions are refused, while accepted ones are being answered."""
            app.state.batcher.draining = True
            if self.draining is None:
                if draining is not None:
                    draining()
                self.draining = asyncio.ensure_future(self.finish_drain())

        async def finish_drain(self) -> None:
            until = time.monotonic() + config.drain_seconds
            await app.state.batcher.drain()
            await asyncio.sleep(max(0.0, until - time.monotonic()))
            self.should_exit = True  # uvicorn finishes writing the answers, then leaves

    return DrainingServer(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=int(np.ceil(config.timeout)),
        )
    )


def serve(
    predictor: Callable[[np.ndarray], np.ndarray],
    config: ServiceConfig,
    *,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, drain, and return.

    Draining: `/ready` turns 503, new predictions are refused with 503 and `Retry-After`, every accepted one
    is answered; then, but not before `config.drain_seconds` have passed, the port closes.

    Args:
        predictor, config: see `create_app`.
        announce: called once with the address when the service answers; by default the address, the start of the
            draining and the end are printed.

    Raises:
        OSError: the address cannot be bound.
    """
    app = create_app(predictor, config)
    listener, url = _listen(config)
    if announce is not None:
        with listener:
            _server(app, config, lambda: announce(url)).run(sockets=[listener])
        return
    with listener:
        _server(
            app,
            config,
            lambda: print(
                f"serving at {url} (POST /predict, GET /docs); Ctrl-C drains and stops", flush=True
            ),
            lambda: print("draining: accepted requests are answered, new ones refused", flush=True),
        ).run(sockets=[listener])
    print("stopped.", flush=True)


@dataclasses.dataclass(frozen=True)
class LiveService:
    """A service running in a thread of this process: its address, its batcher, and a way to drain it."""

    url: str
    batcher: MicroBatcher
    begin_drain: Callable[[], None]


@contextlib.contextmanager
def service_in_thread(
    predictor: Callable[[np.ndarray], np.ndarray], config: ServiceConfig, *, patience: float = 30.0
) -> Iterator[LiveService]:
    """The same service on a real socket, in a thread of this process: for measurements and tests.

    Raises:
        ServiceUnavailable: it did not start, or did not stop, within `patience` seconds, or ended with an error.
    """
    _check_patience(patience)
    app = create_app(predictor, config)
    listener, url = _listen(config)
    decided = threading.Event()  # it answers, or it has ended
    server = _server(app, config, decided.set)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            server.run(sockets=[listener])
        except BaseException as error:
            errors.append(error)
        finally:
            decided.set()

    thread = threading.Thread(target=run, name="service", daemon=True)
    with listener:
        thread.start()
        try:
            if not decided.wait(patience):
                raise ServiceUnavailable(f"the service did not start within {patience:g} s.")
            if not server.started:
                raise ServiceUnavailable(
                    f"the service ended before it was ready. {errors[0] if errors else ''}".strip()
                )
            begin_drain = lambda: app.state.loop.call_soon_threadsafe(server.begin_drain)
            yield LiveService(url, app.state.batcher, begin_drain)
        finally:
            server.should_exit = True
            thread.join(patience)
    if thread.is_alive():
        raise ServiceUnavailable(f"the service did not stop within {patience:g} s.")
    if errors:
        raise ServiceUnavailable(f"the service ended with an error: {errors[0]!r}") from errors[0]


def _check_patience(patience: float) -> None:
    validate_number(patience, "patience", minimum=0, maximum=threading.TIMEOUT_MAX)


def _command(model_path: str | os.PathLike, config: ServiceConfig) -> list[str]:
    """The command line that starts this service, one flag for each field of the configuration."""
    flags = [
        part
        for field in dataclasses.fields(config)
        for part in (f"--{field.name.replace('_', '-')}", str(getattr(config, field.name)))
    ]
    return [
        sys.executable,
        "-m",
        "level6_systems.parts.model_serving.serve",
        "--model",
        os.fspath(model_path),
        *flags,
    ]


@contextlib.contextmanager
def running_service(
    model_path: str | os.PathLike, config: ServiceConfig | None = None, *, patience: float = 60.0
) -> Iterator[str]:
    """Serve an ONNX file from a process of its own; yields its address, and stops it by SIGTERM.

    Args:
        model_path: file written by `export_onnx`.
        config: by default `ServiceConfig(port=0)`: a free port, picked by the operating system.
        patience: seconds to wait for the start, and again for the end.

    Raises:
        ServiceUnavailable: the process ended before it served, was not ready in time, or did not exit with
            status 0 within `patience` seconds of SIGTERM (it is killed then).
    """
    from level6_systems.parts.model_serving.requests import ServiceConfig

    _check_patience(patience)
    config = config or ServiceConfig(port=0)
    root = str(Path(__file__).resolve().parents[3])  # where level6_systems lies
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            _command(model_path, config), stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )

        def complaint(what: str) -> ServiceUnavailable:
            errors.seek(0)
            return ServiceUnavailable(f"the service {what}. {errors.read()[-2000:].strip()}".strip())

        lines: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            yield _announced_address(lines, patience, complaint)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                status = process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                status = None
            reader.join(patience)
            process.stdout.close()
        if status != 0:
            raise complaint(
                f"did not stop within {patience:g} s" if status is None else f"ended with status {status}"
            )


def _read_lines(stream: Any, lines: queue.Queue) -> None:
    """Hand over each line as it comes, and "" at the end; a pipe that nobody reads would stop its writer."""
    for line in stream:
        lines.put(line)
    lines.put("")


def _announced_address(lines: queue.Queue, patience: float, complaint: Callable[[str], Exception]) -> str:
    """Wait for the line in which the process says where it serves."""
    until = time.monotonic() + patience
    while True:
        try:
            line = lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise complaint(f"was not ready within {patience:g} s") from None
        if line == "":
            raise complaint("ended before it was ready")
        if found := re.search(r"http://\S+", line):
            return found.group()
