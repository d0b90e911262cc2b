"""A warm process that forks: jobs begin with the libraries imported, and with none of our own modules.

`python -m groundup.warm SOCKET LIBRARIES…` imports these, then forks once for each request. A
request is one line of JSON (`job`, `arguments`, `environment`, `folder`, `log`); the answers are a line with `pid` and, at
the end, one with `status` and `cpu`. Nothing of this repository but this module is imported before the fork, so that a
substituted topic, an import hook or a type check is met by each job as in a process of its own. Where there is no fork
(`can_fork`), whoever asks starts such a process instead.

What this cannot notice: a module that uses a library without importing it. The suite keeps one topic's proof cold.
"""

from __future__ import annotations

import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["VARIABLE", "Job", "can_fork", "run_pytest", "warm_process"]

VARIABLE = "GROUNDUP_WARM"  # the socket's address, for this process and those that it starts
START_BOUND = 120.0  # seconds until the warm process must listen
LIBRARIES = (
    "numpy", "numpy.testing", "scipy.stats", "scipy.optimize", "scipy.special", "scipy.linalg", "scipy.sparse.linalg",
    "matplotlib.figure", "matplotlib.backends.backend_agg", "pandas", "sklearn", "sklearn.datasets", "sklearn.cluster",
    "sklearn.linear_model", "sklearn.neural_network", "sklearn.pipeline", "sklearn.preprocessing", "sklearn.metrics",
    "sklearn.model_selection", "sklearn.utils.estimator_checks", "statsmodels.api", "torch", "torch.nn.functional",
    "torch.utils.data", "pymc", "arviz", "gymnasium", "onnx", "onnxruntime", "fastapi", "fastapi.testclient", "uvicorn",
    "pytest", "_pytest.assertion.rewrite", "xdist", "hypothesis", "hypothesis.strategies", "hypothesis.extra.numpy",
    "beartype", "jaxtyping", "rich.console", "rich.table", "joblib", "psutil", "filelock", "httpx", "prometheus_client",
    "IPython.core.interactiveshell", "IPython.display", "nbformat", "jupytext",
)  # fmt: skip


def can_fork() -> bool:
    """Whether this system can fork a process that has threads and libraries in it, and has sockets in the file system."""
    return sys.platform.startswith("linux") and hasattr(socket, "AF_UNIX")


# --- the process that waits --------------------------------------------------------------------------------------


def serve(address: str, libraries: Sequence[str]) -> None:
    """Import, listen, fork, and tell each caller how its job ended; ends with the process that started this one."""
    import gc

    owner = os.getppid()
    for name in libraries:
        with suppress(ImportError):
            importlib.import_module(name)

    gc.collect()
    gc.freeze()  # a collection in a child would copy every page that it looks at
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{address}.new")
    server.listen(64)
    server.setblocking(False)
    os.rename(f"{address}.new", address)
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ)
    selector.register(wake_read, selectors.EVENT_READ)
    callers: dict[int, socket.socket] = {}
    while os.getppid() == owner:
        for key, _ in selector.select(1.0):
            if key.fileobj is not server:
                os.read(wake_read, 4096)
                continue
            caller, _ = server.accept()
            caller.setblocking(True)
            with caller.makefile("r", encoding="utf-8") as lines:
                line = lines.readline()
            if not line:  # whoever asked has gone
                caller.close()
                continue
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                selector.close()
                for other in (server, caller, *callers.values()):
                    other.close()
                for end in (wake_read, wake_write):
                    os.close(end)
                _become(json.loads(line))
            callers[pid] = caller
            with suppress(OSError):
                caller.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        while callers:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                break
            ended = callers.pop(pid, None)
            if ended is not None:
                answer = {
                    "status": os.waitstatus_to_exitcode(status),
                    "cpu": usage.ru_utime + usage.ru_stime,
                }
                with suppress(OSError):
                    ended.sendall(json.dumps(answer).encode() + b"\n")
                ended.close()


def _become(request: dict[str, Any]) -> NoReturn:
    """Turn this fork into the job: its session, log, folder, environment and paths."""
    status = 1
    try:
        os.setsid()
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for number, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
            os.dup2(source, number)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        sys.path[:] = [*paths, *(path for path in sys.path if path not in paths)]
        importlib.invalidate_caches()
        sys.argv = [request["job"], *request["arguments"]]
        module, _, function = request["job"].partition(":")
        status = int(getattr(importlib.import_module(module), function)(request["arguments"]) or 0)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def run_pytest(arguments: list[str]) -> int:
    """The job that is pytest, as `python -m pytest` would run it."""
    import pytest

    sys.path.insert(0, os.getcwd())
    return int(pytest.main(arguments))


# --- whoever asks ------------------------------------------------------------------------------------------------


class Job:
    """A job in a fork of the warm process, with the part of `subprocess.Popen`'s interface that is used here.

    Args:
        job: "package.module:function", called with the list of arguments; it returns its exit status, or None for 0.
        environment: all of its variables. folder: where it runs. log: the file that takes what it prints.

    Attributes:
        cpu: seconds of processor time, its own and its children's, once it has ended.
    """

    spent = 0.0  # seconds of processor time of all jobs that this process has seen end

    def __init__(
        self, job: str, arguments: list[str], *, environment: dict[str, str], folder: str, log: str
    ) -> None:
        self.connection = _connect(os.environ[VARIABLE])
        self.lines = self.connection.makefile("r", encoding="utf-8")
        request = {
            "job": job,
            "arguments": arguments,
            "environment": environment,
            "folder": folder,
            "log": log,
        }
        self.connection.sendall(json.dumps(request).encode() + b"\n")
        line = self.lines.readline()
        if not line:
            raise RuntimeError("the warm process has ended.")
        self.pid: int = json.loads(line)["pid"]
        self.returncode: int | None = None
        self.cpu = 0.0

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while the job runs."""
        return self._take(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status.

        Raises:
            subprocess.TimeoutExpired: it runs on after so many seconds.
        """
        status = self._take(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("a job of the warm process", timeout or 0.0)
        return status

    def kill(self) -> None:
        """End the job at once."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _take(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self.connection, selectors.EVENT_READ)
                if not selector.select(timeout):
                    return None
            gone = json.dumps(
                {"status": -signal.SIGKILL, "cpu": 0.0}
            )  # the warm process died, and its jobs with it
            answer = json.loads(self.lines.readline() or gone)
            self.returncode, self.cpu = answer["status"], answer["cpu"]
            Job.spent += self.cpu
            self.lines.close()
            self.connection.close()
        return self.returncode


def _connect(address: str) -> socket.socket:
    """A connection to the warm process, which may still be importing."""
    until = time.monotonic() + START_BOUND
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address)
            return connection
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > until or not Path(address).parent.exists():
                raise RuntimeError(f"no warm process listens at {address}.") from None
            time.sleep(0.02)


@contextmanager
def warm_process(libraries: Sequence[str] = LIBRARIES) -> Iterator[None]:
    """Start a warm process and name it in the environment; it ends with this block, or with this process."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="groundup-warm-") as folder:
        address = f"{folder}/socket"
        root = str(Path(__file__).resolve().parent.parent)
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "groundup.warm", address, *libraries]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = address
        try:
            yield
        finally:
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before
            process.terminate()
            process.wait()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
