"""A process is known by machine, id and start, so that a used id is not taken for life."""

import subprocess
import sys
from pathlib import Path

from atb.monitoring.processes import Holder


def this_process():
    return str(Holder.here())


def is_gone(text):
    return Holder.parse(text).is_dead()


def test_a_process_is_gone_when_it_ended_or_its_number_went_to_another():
    assert not is_gone(this_process())
    host, pid, started = this_process().rsplit(" ", 2)
    assert is_gone(f"{host} {pid} 1{started}")
    assert not is_gone(f"elsewhere {pid} 1{started}")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    text = f"{host} {child.pid} {Path(f'/proc/{child.pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    assert not is_gone(text)
    child.kill()
    child.communicate()
    assert is_gone(text)
