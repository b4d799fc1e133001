"""What a cell can do to its kernel, its machine and its run: each ends as what it was, in words, and leaves nothing running."""

import re
import time
from pathlib import Path

import pytest

from atb.config.settings import NotebookSettings
from atb.db import open_database
from atb.experiments.ceiling import machine_memory
from atb.experiments.execution import execute
from tests.experiments.notebooks import notebook, settings_in
from tests.timeouts import PATIENCE_S

PRINTS = "print('kept so far')"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder, settings and an open database, shared by the runs of this module."""
    folder = tmp_path_factory.mktemp("world")
    settings = settings_in(folder)
    database = open_database(settings.database.url)
    yield folder, settings, database
    database.close()


@pytest.fixture
def run_of(world, monkeypatch):
    """Return a function that runs cells, with a ceiling in GiB if any, and returns the row and the executed notebook's text."""
    folder, settings, database = world
    monkeypatch.setattr("atb.experiments.ceiling.LEAST", 0)

    def run(*cells, gib=0.0, timeout=120.0):
        share = NotebookSettings(memory_share=gib * (1 << 30) / machine_memory())
        given = settings.model_copy(update={"notebooks": share})
        row = execute(notebook(folder / "tries.ipynb", *cells), {}, settings=given, database=database, timeout=timeout)
        path = Path(row.path) / row.notebook
        assert (Path(row.path) / "run.json").exists()
        assert not (Path(row.path) / ".scratch").exists()
        return row, path.read_text() if path.exists() else ""

    return run


def gone(pid: str) -> bool:
    """Tell whether a process has ended, within patience; one that nobody has waited for yet has."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


SLOW = pytest.mark.slow
STUBBORN = "try:\n    while True: pass\nfinally:\n    while True: pass"


@pytest.mark.parametrize(
    "takes",
    [
        "grown = []\nwhile True: grown.append(list(range(1_000)))",
        pytest.param("x = 'a' * 10**11", marks=SLOW),
        pytest.param("import numpy as np; x = np.ones(10**11)", marks=SLOW),
        pytest.param("def deeper(x):\n    return deeper([x] * 100_000 + x)\ny = deeper([1])", marks=SLOW),
        pytest.param("import io; text = io.StringIO()\nwhile True: text.write('x' * 1_000)", marks=SLOW),
        pytest.param("every = {}\nwhile True: every[len(every)] = str(len(every))", marks=SLOW),
    ],
)
def test_a_cell_cannot_take_all_memory_and_says_what_to_do(run_of, takes):
    row, text = run_of(f"{PRINTS}\nimport os; print('pid', os.getpid())", takes, "print('never')", gib=0.75)
    assert (row.status, row.failed_cell) == ("failed", 4)
    assert "MemoryError" in row.error
    assert "the kernel may take 0.75 GiB: use less data, or raise the setting notebooks.memory_share" in row.error
    assert "kept so far" in text
    assert "never\\n" not in text
    assert gone(re.search(r"pid (\d+)", text)[1])


LEAVES = """
import os, subprocess
children = [subprocess.Popen(["sleep", "3600"]).pid]
if not (child := os.fork()):
    import time; time.sleep(3_600)
print("children", *children, child, os.getpid())
"""


def test_a_cell_that_leaves_children_and_its_folder_leaves_nothing_running(run_of):
    closes = "import os, sys\nos.chdir('/')\nsys.stdin.close()\nsys.stdout.flush()\nos.close(1)"
    row, text = run_of(LEAVES, closes, "'still here'")
    assert (row.status, row.error) == ("succeeded", None)
    assert "still here" in text
    assert all(gone(pid) for pid in re.search(r"children ([\d ]+)", text)[1].split())


def test_a_kernel_that_dies_takes_its_children_with_it(run_of):
    row, text = run_of(LEAVES, "import os; os._exit(0)")
    assert row.error == "cell 4, line 1 `import os; os._exit(0)`: the cell ended its kernel's process with exit code 0"
    assert all(gone(pid) for pid in re.search(r"children ([\d ]+)", text)[1].split())


DIES = """
import os
shell = get_ipython()
shell.kernel.shell_handlers["kernel_info_request"] = lambda *_: os._exit(0)
"""


def test_a_kernel_that_is_gone_after_its_last_cell_has_not_succeeded(run_of):
    row, _ = run_of(PRINTS, DIES)
    assert (row.status, row.failed_cell) == ("failed", 4)
    assert row.error == ("cell 4: the cell ended its kernel's process with exit code 0, after its last cell had ended")


def test_a_kernel_that_dies_while_it_is_told_to_end_has_succeeded(run_of):
    row, text = run_of(f"{PRINTS}\nimport atexit, os; atexit.register(os._exit, 3)")
    assert (row.status, row.error) == ("succeeded", None)
    assert "kept so far" in text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("%quit", "cell 3: UsageError: Line magic function `%quit` not found."),
        pytest.param("%exit", "cell 3: UsageError: Line magic function `%exit` not found.", marks=SLOW),
        pytest.param("input('?')", "cell 3, line 1 `input('?')`: StdinNotImplementedError: ", marks=SLOW),
        pytest.param(
            "get_ipython().ask_exit()",
            "cell 3, line 1 `get_ipython().ask_exit()`: the cell asked its kernel to end (exit)",
            marks=SLOW,
        ),
        pytest.param("import sys\nsys.stdout.close()\nprint(1)", "cell 3, line 3 `print(1)`: ValueError", marks=SLOW),
        pytest.param(
            "get_ipython().showtraceback = lambda *_, **__: None\n1 / 0", "cell 3: ZeroDivisionError", marks=SLOW
        ),
    ],
)
def test_a_cell_that_cannot_go_on_is_told_in_words_and_its_error_is_kept(run_of, source, said):
    row, text = run_of(source, "print('never')")
    assert (row.status, row.failed_cell) == ("failed", 3)
    assert row.error.startswith(said)
    assert "Error" not in said or said.rpartition(": ")[2] in text


@pytest.mark.parametrize("cell", ["while True: pass", pytest.param(STUBBORN, marks=SLOW)])
def test_a_cell_that_never_ends_is_ended_by_the_time_limit(run_of, monkeypatch, cell):
    left = iter([600.0, 600.0, 1.0])
    monkeypatch.setattr("atb.experiments.running.CellProgress.remaining", lambda _cells, _cell: next(left))
    row, text = run_of("import os; print('pid', os.getpid())", cell)
    assert row.error == "cell 4: the run took longer than 120 s"
    assert gone(re.search(r"pid (\d+)", text)[1])


@pytest.mark.parametrize(
    "shows",
    [
        "print('x' * 10_000)",
        pytest.param("print('x', end='', flush=True)", marks=SLOW),
        pytest.param("display('x')", marks=SLOW),
    ],
)
def test_a_cell_that_shows_without_end_is_ended_and_what_it_showed_first_is_kept(run_of, monkeypatch, shows):
    monkeypatch.setattr("atb.experiments.outputs.HOPELESS", 1_000_000)
    row, text = run_of(f"{PRINTS}\nwhile True: {shows}")
    assert (row.status, row.failed_cell) == ("failed", 3)
    assert row.error == "cell 3: it was stopped after 1,000,000,000 characters beyond what is kept; show less"
    assert "kept so far" in text
    assert len(text) < 5_000_000


def test_a_cell_that_deletes_the_folder_of_its_run_has_failed_and_the_run_is_kept(run_of):
    row, _ = run_of("import os, shutil; shutil.rmtree(os.environ['ATB_RUN_DIR'])")
    assert (row.status, row.failed_cell) == ("failed", 3)
    assert row.error == "cell 3: the folder of the run is gone; a cell must have deleted it"


def test_no_process_gets_parameters_as_arguments(run_of, world):
    folder, settings, database = world
    looks = """
import os, pathlib
def family(pid):
    every = [int(one) for task in pathlib.Path(f'/proc/{pid}/task').iterdir() for one in (task / 'children').read_text().split()]
    return [pid, *(child for one in every for child in family(one))]
found = [pathlib.Path(f'/proc/{pid}/cmdline').read_bytes() for pid in family(os.getppid())]
assert len(found) > 1 and not any(symbol.encode() in one for one in found)
"""
    row = execute(notebook(folder / "args.ipynb", looks), {"symbol": "kNrY0q7"}, settings=settings, database=database)
    assert row.error is None
