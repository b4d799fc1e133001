"""The ceiling of a kernel's memory: what the machine has, what a process may take, and that there is always enough to say so."""

import subprocess
import sys

from atb.experiments import ceiling
from atb.experiments.ceiling import kernel_memory, machine_memory

TAKES = """
from atb.experiments.ceiling import limit_memory
limit_memory(600 << 20)
import resource
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
print(resource.getrlimit(resource.RLIMIT_DATA))
done = shell.run_cell("every = []\\nwhile True: every.append('x' * 100)")
print(type(done.error_in_exec).__name__, resource.getrlimit(resource.RLIMIT_DATA))
"""


def test_a_process_takes_no_more_than_its_ceiling_and_tells_the_error_with_what_was_kept_back():
    done = subprocess.run([sys.executable, "-c", TAKES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *shown, last = done.stdout.splitlines()
    assert first == f"({525 << 20}, {600 << 20})"
    assert last == f"MemoryError ({600 << 20}, {600 << 20})"
    assert any("every.append" in line for line in shown)


def test_the_ceiling_is_a_share_of_the_machine_but_leaves_room_for_the_chapters(monkeypatch):
    monkeypatch.setattr(ceiling, "machine_memory", lambda: 24 << 30)
    assert [kernel_memory(share) for share in (0.5, 0.01, 0)] == [12 << 30, ceiling.LEAST, 0]
    monkeypatch.setattr(ceiling, "machine_memory", lambda: 0)
    assert kernel_memory(0.5) == 0


def test_a_container_has_what_it_is_given(monkeypatch, tmp_path):
    whole = machine_memory()
    assert whole > 1 << 28
    for text, found in (("1073741824\n", 1 << 30), ("max\n", whole), ("9223372036854771712\n", whole)):
        (tmp_path / "memory.max").write_text(text, encoding="ascii")
        monkeypatch.setattr(ceiling, "_CGROUP", (str(tmp_path / "memory.max"), str(tmp_path / "none")))
        assert machine_memory() == found
