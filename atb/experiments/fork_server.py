"""A fork server: a process that has imported what notebooks import, and becomes a kernel for one notebook at a time by forking.

A new kernel takes a second or three, nearly all of it imports; a fork of a process that has done them takes some hundredths. Each
kernel runs one notebook and ends; none is used again, so no notebook sees what another one left.

A small notebook takes a quarter of a second (`atb bench --case notebooks`). About 0.1 s of it is the start of IPython's shell in
the fork: it has threads and sockets, so it cannot be made before. The rest is cells, report, rows, and the kernel's end.

A process with more than one thread must not be forked: a lock that another thread holds would never be released in the child. So
imports happen with the libraries' thread pools held to one thread, no event loop or socket is opened before the fork, and the
server counts its own threads before each one. With more than one, or on a system where that cannot be counted, `ForkServer.start`
returns None, and kernels are started anew.

What differs between a forked kernel and a new one is set right in the child: environment, working folder, process group, memory
limit, random numbers (Python seeds its own anew, NumPy's here). Modules that look at the running kernel while they are imported
(`atb.workbench`, ipywidgets, matplotlib) are left to the notebook. Only string hashes are shared by all forks of a server, where
new processes draw theirs; set PYTHONHASHSEED to fix both.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from atb.files import open_private_log

START_SECONDS = 120  # imports on a busy machine
CONTROL_SECONDS = 5.0  # to end a kernel's control thread
TASKS = Path("/proc/self/task")
PRELOADED = (
    "numpy", "pandas", "pyarrow.pandas_compat", "pyarrow.parquet", "talib", "lark", "llvmlite.binding", "sqlalchemy.orm",
    "plotly.graph_objects", "plotly.io", "sqlite3", "tornado.platform.asyncio", "IPython", "IPython.core.interactiveshell",
    "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger", "IPython.core.oinspect",
    "IPython.extensions.storemagic", "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.debugger", "ipykernel.zmqshell",
    "atb.config", "atb.data.catalogue", "atb.backtest", "atb.backtest.running", "atb.backtest.result", "atb.backtest.sweeping",
    "atb.engine.native", "atb.strategies", "atb.reports", "atb.reports.equity", "atb.reports.trades", "atb.reports.market",
    "atb.experiments.publication", "atb.experiments.findings", "atb.experiments.evidence", "atb.workbench.slots",
    "atb.workbench.market", "atb.workbench.rules", "atb.workbench.backtesting",
)  # fmt: skip
# Modules that change the running kernel, or read its environment, as they are imported: dropped again, to be imported anew.
FORGOTTEN = ("atb.workbench", "ipykernel.kernelapp")
# Libraries that would start threads as they are imported: BLAS gets its usual number back in the child.
ONE_THREAD = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"),
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
_FROM_SOURCES = """
import sys
sys.modules["rfc3987_syntax"] = None  # as in `atb.cli.main`: it would build a grammar for two seconds, unasked
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
class FromSource(SourceFileLoader):
    def get_code(self, fullname):
        return self.source_to_code(self.get_data(self.path), self.path)
loader = FromSource("atb.sources", {file!r})
module = sys.modules["atb.sources"] = module_from_spec(spec_from_loader("atb.sources", loader))
loader.exec_module(module)
module.begin()
"""
_BEGIN = """
from atb.experiments.fork_server import become_kernel, serve
wanted = serve()
if wanted is not None:
    become_kernel(wanted)
"""


@dataclass(frozen=True)
class Wanted:
    """A kernel as the server is asked for it: arguments of its program, folder, environment, log and memory limit (bytes)."""

    arguments: list[str]
    cwd: str
    environment: dict[str, str]
    log: str
    memory: int


def from_sources(then: str) -> str:
    """Return the text of a program that loads the package from its sources, its loader too (`atb.sources`), and then does more."""
    from atb import sources

    return _FROM_SOURCES.format(file=sources.__file__) + then


class ForkServer:
    """The server's process, as its owner sees it: one question, one answer, each a line of JSON."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @classmethod
    def start(cls, environment: Mapping[str, str]) -> Self | None:
        """Start a server whose kernels get this environment, imports done; None where kernels cannot be forked safely.

        `environment` is the one every kernel gets, but for what differs from run to run.
        """
        from atb.experiments.surroundings import ALWAYS

        process = subprocess.Popen(  # noqa: S603 - this interpreter, no shell
            [sys.executable, "-c", from_sources(_BEGIN)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**environment, **ALWAYS, **ONE_THREAD},
        )  # fmt: skip
        server = cls(process)
        if server._answer() == {"threads": 1}:
            return server
        server.close()
        return None

    def fork(self, wanted: Wanted) -> "ForkedProcess":
        """Return a new kernel's process.

        Raises
        ------
        OSError
            If the server has ended, or cannot fork.
        """
        found = self._ask({"fork": wanted.__dict__})
        if "pid" not in found:
            raise OSError(found.get("error", "the fork server ended"))
        return ForkedProcess(self, int(found["pid"]))

    def status(self, pid: int) -> int | None:
        """Return the exit code of a kernel, negative for a signal; None while it runs."""
        found = self._ask({"poll": pid})
        code: int | None = found.get("code", -signal.SIGKILL)  # kernels end with their server
        return code

    def close(self) -> None:
        """End the server; kernels that still run end with it."""
        with suppress(OSError):
            _pipe(self._process.stdin).close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        _pipe(self._process.stdout).close()

    def __deepcopy__(self, memo: object) -> Self:
        """Return this server: traitlets copies what it configures."""
        return self

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        try:
            _pipe(self._process.stdin).write(json.dumps(question).encode() + b"\n")
            _pipe(self._process.stdin).flush()
        except (OSError, ValueError):  # it ended, or was closed
            return {}
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = _pipe(self._process.stdout).readline()
        return dict(json.loads(line)) if line else {}


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


class ForkedProcess:
    """A forked kernel, with what jupyter_client uses of `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.status(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return the exit code."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("kernel", timeout or 0.0)
            time.sleep(0.01)
        return code

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


# --- in the server's process ------------------------------------------------------------------------------------------


def serve() -> Wanted | None:
    """Import, then answer until the owner is gone; return None then, and in each forked child what it is to become."""
    questions, answers = _standard_pipes()
    _preload()
    _reply(answers, {"threads": _threads()})
    for line in questions:
        question = json.loads(line)
        if "poll" in question:
            _reply(answers, {"code": _code(question["poll"])})
        elif _threads() != 1:
            _reply(answers, {"error": "the fork server has more than one thread"})
        elif pid := os.fork():
            _reply(answers, {"pid": pid})
        else:
            questions.close()
            answers.close()
            return Wanted(**question["fork"])
    return None


def _standard_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Take standard input and output for questions and answers; what a library prints then goes nowhere."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)
    return questions, answers


def _preload() -> None:
    """Import what notebooks import, and freeze it: the collector would copy every page it looks at into each child."""
    import gc
    import importlib

    for name in PRELOADED:
        with suppress(ImportError):  # of a part that is not installed
            importlib.import_module(name)
    for name in FORGOTTEN:
        sys.modules.pop(name, None)
        parent, _, child = name.rpartition(".")
        if hasattr(sys.modules[parent], child):
            delattr(sys.modules[parent], child)
    gc.collect()
    gc.freeze()


def _threads() -> int:
    """Return how many threads this process has, 0 if that cannot be known."""
    try:
        return sum(1 for _ in TASKS.iterdir())
    except OSError:
        return 0


def _code(pid: int) -> int | None:
    """Return the exit code of a child; None while it runs."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return -signal.SIGKILL
    return os.waitstatus_to_exitcode(status) if ended else None


def _reply(answers: IO[bytes], value: Mapping[str, Any]) -> None:
    answers.write(json.dumps(value).encode() + b"\n")
    answers.flush()


def become_kernel(wanted: Wanted) -> None:
    """Turn this forked process into the kernel that is wanted, and run it to its end."""
    import runpy

    os.setsid()
    server = os.getppid()
    os.environ.clear()
    os.environ.update(wanted.environment)
    time.tzset()
    os.chdir(wanted.cwd)
    os.environ["JPY_PARENT_PID"] = str(server)  # a kernel ends when its parent is gone
    with open_private_log(Path(wanted.log)) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # new entropy: the state at import is that of every fork
    _restore_threads()
    from atb.experiments.ceiling import limit_memory

    limit_memory(wanted.memory)
    sys.argv[1:] = wanted.arguments
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
    _leave()


def _leave() -> None:
    """End this process as Python would, but for taking down what the server had imported, which costs more than a small notebook.

    What the notebook itself made is dropped first, so that its finalizers run, and files that it left open are flushed.
    """
    import atexit
    import gc
    import io
    import threading

    from IPython.core.getipython import get_ipython

    end_control_thread()
    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - waits for threads, as at the end of multiprocessing's children
    atexit._run_exitfuncs()  # noqa: SLF001 - as above
    shell: Any = get_ipython()  # type: ignore[no-untyped-call,unused-ignore] # typed in newer IPython
    if shell is not None:
        shell.user_ns.clear()
    gc.collect()
    for found in gc.get_objects():  # without the server's own, which are frozen
        if isinstance(found, io.IOBase) and not found.closed:
            with suppress(OSError, ValueError):
                found.flush()
    os._exit(0)


def end_control_thread() -> None:
    """End a kernel's control thread before its output thread.

    It still flushes what was printed, by the output thread. ipykernel ends that one first; where that is quicker (6 of 79 runs),
    the kernel hangs until it is killed three seconds later, and files that a notebook left open lose what was not written.
    """
    from ipykernel.kernelapp import IPKernelApp

    app: Any = IPKernelApp.instance() if IPKernelApp.initialized() else None
    control = getattr(app, "control_thread", None)
    if control is not None and control.is_alive():
        control.stop()
        control.join(CONTROL_SECONDS)


def _restore_threads() -> None:
    """Give BLAS the threads that it would have started with: their number shows in the last bits of its results."""
    from threadpoolctl import threadpool_limits

    given = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threadpool_limits(int(given) if given.isdigit() and int(given) else cores, user_api="blas")
