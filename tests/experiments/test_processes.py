"""Runs as real processes: several at once in one folder, and ones that are killed without a chance to say so."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import event

from atb.db import open_database
from atb.experiments.execution import execute
from atb.experiments.registry import get_run, list_runs
from tests.experiments.notebooks import notebook, settings_in
from tests.timeouts import PATIENCE_S

SCRIPT = """
import sys
from pathlib import Path
from atb.db import open_database
from atb.experiments import execute
from tests.experiments.notebooks import settings_in
settings = settings_in(Path(sys.argv[1]))
database = open_database(settings.database.url)
run = execute(Path(sys.argv[2]), {}, settings=settings, database=database, timeout=600)
print(run.status, run.run_id, run.error)
"""
# Says that it runs and waits until as many runs say so; the kernel answers only its own run, or one of them fails.
MEETS = """
import os, pathlib, time
place = pathlib.Path("met")
place.mkdir(exist_ok=True)
(place / os.environ["ATB_RUN_ID"]).touch()
deadline = time.monotonic() + 600
while len(list(place.iterdir())) < 2:
    assert time.monotonic() < deadline, "the other run did not come"
    time.sleep(0.05)
"""
SLEEPS = "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(3_600)"
WORDLESS = "its process ended without writing an end"


def start(folder: Path, path: Path, repository: Path, scratch: Path) -> subprocess.Popen:
    """Start an executor whose temporary files lie in `scratch`, in the notebook's folder as `atb` is used."""
    scratch.mkdir(exist_ok=True)
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONPATH": str(repository)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(path)],
        cwd=path.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def sockets_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if stat.S_ISSOCK(path.stat().st_mode)]


def wait_for(condition, seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def short(tmp_path_factory) -> Path:
    """A folder with a name short enough for sockets in it."""
    return tmp_path_factory.mktemp("s")


@pytest.mark.slow
def test_two_runs_at_once_in_one_folder_both_succeed_and_leave_no_sockets(tmp_path, short, repository):
    path = notebook(tmp_path / "meets.ipynb", MEETS, *["print(window)"] * 5)
    open_database(settings_in(tmp_path).database.url).close()
    both = [start(tmp_path, path, repository, short) for _ in range(2)]
    said = [process.communicate(timeout=PATIENCE_S) for process in both]
    assert [out.split()[0] for out, _ in said] == ["succeeded", "succeeded"], said
    assert [err for _, err in said] == ["", ""]
    assert sockets_below(tmp_path) == []
    assert {each.name for each in tmp_path.iterdir()} == {"meets.ipynb", "met", "data", "atb.toml"}
    assert [each.name for each in short.iterdir() if each.name.startswith("atb-")] == []
    assert not list((tmp_path / "data" / "runs").glob("*/.scratch"))


@pytest.mark.slow
def test_what_a_kernel_says_while_it_ends_does_not_reach_the_terminal(tmp_path, short, repository):
    says = "import atexit, os\natexit.register(os.system, 'echo torn; echo torn >&2')"
    open_database(settings_in(tmp_path).database.url).close()
    process = start(tmp_path, notebook(tmp_path / "says.ipynb", says), repository, short)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (out.split()[0], out.count("torn"), err) == ("succeeded", 0, "")


@pytest.mark.parametrize(
    "cell", ["1 / 0", pytest.param("import time; time.sleep(60)", marks=pytest.mark.slow), "import os; os._exit(3)"]
)
def test_a_run_that_fails_leaves_nothing_in_the_notebook_s_folder_or_the_scratch(tmp_path, short, monkeypatch, cell):
    monkeypatch.setattr("tempfile.tempdir", str(short))
    settings = settings_in(tmp_path)
    database = open_database(settings.database.url)
    path = notebook(tmp_path / "fails.ipynb", cell)
    run = execute(path, {}, settings=settings, database=database, timeout=5)
    database.close()
    assert run.status == "failed"
    assert {each.name for each in tmp_path.iterdir()} == {"fails.ipynb", "data", "atb.toml"}
    assert [each.name for each in short.iterdir() if each.name.startswith("atb-")] == []
    assert not (Path(run.path) / ".scratch").exists()


@pytest.mark.parametrize(("length", "transport"), [(10, "ipc"), (120, "tcp")])
def test_a_run_works_where_the_temporary_folder_s_name_is_too_long_for_sockets(
    tmp_path, short, monkeypatch, length, transport
):
    folder = short / ("x" * length)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    settings = settings_in(tmp_path)
    database = open_database(settings.database.url)
    look = "import json, ipykernel\nprint(json.load(open(ipykernel.get_connection_file()))['transport'])"
    run = execute(notebook(tmp_path / "looks.ipynb", look), {}, settings=settings, database=database)
    database.close()
    assert run.status == "succeeded", run.error
    assert f'"{transport}\\n"' in (Path(run.path) / run.notebook).read_text()
    folder.rmdir()  # empty, or this fails


def test_an_answer_that_cannot_be_read_is_a_failed_run(tmp_path):
    settings = settings_in(tmp_path)
    database = open_database(settings.database.url)
    forges = "from ipykernel.kernelapp import IPKernelApp\nIPKernelApp.instance().session.key = b'another'\nprint('x')"
    run = execute(notebook(tmp_path / "forges.ipynb", forges), {}, settings=settings, database=database, timeout=30)
    database.close()
    assert run.status == "failed"
    assert re.fullmatch(r"cell \d+: the kernel's answer could not be read: Invalid Signature: \S+", run.error)


@pytest.fixture
def killed(tmp_path, short, repository):
    """A database with one run whose executor was killed, the run's folder, and what lay there unmasked meanwhile."""
    path = notebook(tmp_path / "sleeps.ipynb", SLEEPS)
    process = start(tmp_path, path, repository, short)
    pid = tmp_path / "pid"
    wait_for(lambda: (pid.exists() and pid.read_text()) or process.poll() is not None)
    database = open_database(settings_in(tmp_path).database.url)
    (run,) = list_runs(database)
    assert (run.status, process.poll()) == ("running", None)
    assert str(process.pid) in run.holder.split()
    scratch = Path(run.path) / ".scratch"
    assert (scratch / "source.ipynb").exists()
    assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
    assert not list(short.rglob("*.ipynb"))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    yield database, Path(run.path)
    database.close()
    if Path(f"/proc/{pid.read_text()}").exists():
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_killed_run_is_listed_as_interrupted_and_its_scratch_removed(killed):
    database, folder = killed
    assert list_runs(database, status="running") == []
    (run,) = list_runs(database, status="interrupted")
    assert (run.status, run.error, run.holder) == ("interrupted", WORDLESS, None)
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["error"]) == ("interrupted", WORDLESS)
    assert not (folder / ".scratch").exists()


@pytest.mark.slow
def test_atb_runs_says_that_a_killed_run_was_interrupted(killed, tmp_path, repository):
    _, folder = killed
    database = f"sqlite:///{tmp_path}/data/atb.db"
    shown = subprocess.run(
        [sys.executable, "-m", "atb", "runs", "show", folder.name, "--json"],
        cwd=repository, env=os.environ | {"ATB__DATABASE__URL": database, "ATB__DATA__ROOT": f"{tmp_path}/data"},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["status"] == "interrupted"


def test_the_next_run_marks_a_killed_one(killed, tmp_path):
    database, folder = killed
    execute(notebook(tmp_path / "next.ipynb", "1"), {}, settings=settings_in(tmp_path), database=database)
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
def test_a_killed_run_in_a_database_that_cannot_be_written_is_reported_all_the_same(killed):
    database, folder = killed
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
    database.close()  # the next connection is read-only
    assert [run.status for run in list_runs(database)] == ["interrupted"]
    assert list_runs(database, status="running") == []
    assert get_run(database, folder.name).error == WORDLESS
    assert json.loads((folder / "run.json").read_text())["status"] == "running"
