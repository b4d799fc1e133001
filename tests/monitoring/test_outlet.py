"""A log whose reader stands still costs lines, and keeps nobody waiting."""

import io
import os
import subprocess
import sys

import pytest

from atb.monitoring import configure_logging, get_logger
from atb.monitoring.logs import lost_lines
from atb.monitoring.outlet import Outlet, unhurried
from tests.timeouts import PATIENCE_S, wait_until


@pytest.fixture
def pipe():
    """A pipe that is full: whoever writes to it waits until somebody reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    size = 0
    try:
        while True:
            size += os.write(writing, b"." * 1_024)
    except BlockingIOError:
        os.set_blocking(writing, True)
    yield reading, writing, size
    for end in (reading, writing):
        os.close(end)


def test_lines_arrive_in_order_and_the_end_of_a_block_waits_for_them():
    kept = io.StringIO()
    with unhurried(kept) as stream:
        for number in range(500):
            stream.write(f"{number}\n")
    assert kept.getvalue().split() == [str(number) for number in range(500)]


def test_a_pipe_that_nobody_reads_keeps_nobody_waiting_and_is_written_when_somebody_reads(pipe):
    reading, writing, size = pipe
    with os.fdopen(os.dup(writing), "w") as stream:
        outlet = Outlet(stream, most=3)
        configure_logging("INFO", json_lines=True, stream=outlet)
        for number in range(6):  # one on its way at most, three wait
            get_logger("x").info("filled", n=number)
        assert not outlet.drain(0.01)
        assert lost_lines() in {2, 3}
        lost = lost_lines()
        while size > 0:
            size -= len(os.read(reading, size))
        assert outlet.drain(PATIENCE_S)
        assert os.read(reading, 65_536).count(b"filled") == 6 - lost
        configure_logging("WARNING")


def test_a_reader_that_is_gone_costs_lines():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        outlet = Outlet(stream)
        outlet.write("gone\n")
        wait_until(lambda: outlet.lost == 1)


def test_a_process_ends_though_its_log_stands_still(pipe):
    code = (
        "import sys\nfrom atb.monitoring import outlet\noutlet._PARTING_S = 0.1\n"
        "outlet.Outlet.drain.__defaults__ = (0.1,)\n"
        "with outlet.unhurried(sys.stderr) as stream:\n    stream.write('a line')\nprint('ended')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=pipe[1], check=False, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stdout) == (0, b"ended\n")
