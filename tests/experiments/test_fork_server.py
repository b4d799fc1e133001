"""A fork server: one thread, kernels that are told apart from new ones by nothing, and the end of all of them with it."""

import os
import signal
import time
from pathlib import Path

import pytest

from atb.experiments import fork_server
from atb.experiments.fork_server import ForkServer
from tests.experiments.batch.conftest import PUBLISHES
from tests.timeouts import PATIENCE_S

LOOKS = """
import json, os, sys
import numpy as np
from threadpoolctl import threadpool_info
seen = {"cwd": os.getcwd(), "mine": os.environ.get("MINE"), "leftover": os.environ.get("JE_ARROW_MALLOC_CONF"),
        "blas": [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"],
        "group": os.getpgrp() == os.getpid(), "argv": len(sys.argv), "random": float(np.random.random())}
open(os.environ["ATB_RUN_DIR"] + "/seen.json", "w").write(json.dumps(seen))
"""


@pytest.mark.slow
def test_a_forked_kernel_has_the_environment_folder_threads_and_group_of_a_new_one(world):
    import json

    from atb.environment import variables
    from atb.experiments.execution import RunContext, execute
    from atb.experiments.surroundings import kernel_environment

    path = world.notebook(LOOKS, PUBLISHES)
    server = ForkServer.start(kernel_environment(variables()))
    assert server is not None, "a fork server has more than one thread, or threads cannot be counted here"
    found = []
    for kernels in (server, server, None):
        run = execute(
            path, {"window": 5}, settings=world.settings, database=world.database, context=RunContext(kernels=kernels)
        )
        assert (run.status, run.error) == ("succeeded", None)
        found.append(json.loads(Path(run.path, "seen.json").read_text()))
    server.close()
    draws = [each.pop("random") for each in found]
    assert found[0] == found[1] == found[2]
    assert len(set(draws)) == 3


LEAVES = """
import atexit, os, pathlib, sys, threading, time, weakref
folder = pathlib.Path(os.environ["ATB_RUN_DIR"])
left_open = open(folder / "text", "w")
_ = left_open.write("written")
held = {"raw": open(folder / "bytes", "wb", buffering=1 << 20)}
_ = held["raw"].write(b"written")
_ = atexit.register(lambda: (folder / "atexit").write_text("ran"))
class Closes:
    def __del__(self, folder=folder):
        (folder / "del").write_text("ran")
closes = Closes()
def later():
    time.sleep(0.2)
    (folder / "thread").write_text("ran")
threading.Thread(target=later).start()
from ipykernel.kernelapp import IPKernelApp
app = IPKernelApp.instance()
def stop(app=app, folder=folder, stop=app.iopub_thread.stop):
    (folder / "control").write_text("alive" if app.control_thread.is_alive() else "ended")
    stop()
app.iopub_thread.stop = stop
def flush(flush=sys.stdout.flush):
    if threading.current_thread() is app.control_thread:
        time.sleep(0.3)  # the thread that ends the kernel is slow to flush, as on a busy machine
    flush()
sys.stdout.flush = flush
"""


@pytest.mark.slow
def test_what_a_notebook_leaves_open_is_written_when_a_forked_kernel_ends_as_when_a_new_one_does(world):
    from atb.environment import variables
    from atb.experiments.execution import RunContext, execute
    from atb.experiments.surroundings import kernel_environment

    path = world.notebook(LEAVES, PUBLISHES)
    server = ForkServer.start(kernel_environment(variables()))
    assert server is not None
    for kernels in (server, None):
        context = RunContext(kernels=kernels)
        run = execute(path, {"window": 5}, settings=world.settings, database=world.database, context=context)
        assert (run.status, run.error) == ("succeeded", None)
        left = {name: Path(run.path, name) for name in ("text", "bytes", "atexit", "del", "thread", "control")}
        found = {name: place.read_text() for name, place in left.items() if place.exists()}
        written = {"text": "written", "bytes": "written", "atexit": "ran", "del": "ran", "thread": "ran"}
        written["control"] = "ended"  # while alive, it may wait for the output thread for ever
        assert found == written, "forked" if kernels else "new"
    server.close()


@pytest.mark.slow
def test_exit_codes_come_from_the_forked_kernel_and_it_ends_with_its_server(world, monkeypatch):
    from atb.experiments.fork_server import Wanted

    server = ForkServer.start(dict(os.environ))
    assert server is not None
    log = world.folder / "log"
    process = server.fork(
        Wanted(["-f", str(world.folder / "none.json"), "--bogus"], str(world.folder), dict(os.environ), str(log), 0)
    )
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=PATIENCE_S) == -signal.SIGKILL
    second = server.fork(Wanted(["-f", str(world.folder / "k.json")], str(world.folder), dict(os.environ), str(log), 0))
    server.close()
    deadline = time.monotonic() + min(60.0, PATIENCE_S)
    while not gone(second.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert gone(second.pid)
    assert second.poll() == -signal.SIGKILL


def gone(pid: int) -> bool:
    """Tell whether a process has ended, waited for or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_process_with_two_threads_is_never_forked(monkeypatch):
    import io
    import json

    answers = io.BytesIO()
    monkeypatch.setattr(fork_server, "_preload", lambda: None)
    monkeypatch.setattr(fork_server, "_threads", lambda: 2)
    monkeypatch.setattr(fork_server, "_standard_pipes", lambda: (io.BytesIO(b'{"fork": {}}\n'), answers))
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("it was forked"))
    assert fork_server.serve() is None
    assert [json.loads(line) for line in answers.getvalue().splitlines()] == [
        {"threads": 2},
        {"error": "the fork server has more than one thread"},
    ]
