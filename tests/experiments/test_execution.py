"""Executing notebooks for real: what is recorded and kept when they succeed, fail, hang, die or are stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import nbformat
import pytest

from atb.db import open_database
from atb.errors import InputError
from atb.experiments.execution import execute
from atb.experiments.lineage import file_sha256
from atb.experiments.registry import get_run, list_runs, run_json
from tests.experiments.notebooks import notebook, settings_in
from tests.timeouts import PATIENCE_S

SECRET = 'sécret"key\\42'
QUOTES = 'BTC"; raise SystemExit(1) #\n\\'
TALKATIVE = [
    "import os, sys, json, pathlib",
    "assert symbol == json.loads(os.environ['EXPECTED']) and window == 5 and type(window) is int, (symbol, window)",
    "print(pathlib.Path.cwd()); print(os.environ['ATB_RUN_ID'], os.environ['ATB__DATA__ROOT'], os.environ['PLOTLY_RENDERER'])",
    "print('withheld', os.environ.get('ATB__EXCHANGE__API_SECRET')); print(os.environ['LEAK'], [os.environ['LEAK']])",
    "from atb.experiments import publish\npublish(metrics={'sharpe': 1.5, 'bad': float('nan'), 'leak': os.environ['LEAK']})",
    "assert not {'sqlalchemy', 'papermill', 'nbconvert'} & set(sys.modules)",
    "import atb.strategies\nassert atb.sources.unexplained() == [], 'the kernel runs what is no source of atb'",
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder, settings with a secret and an open database, shared by the runs of this module."""
    folder = tmp_path_factory.mktemp("world")
    settings = settings_in(folder, api_secret=SECRET, declared=("LEAK", "EXPECTED"))
    database = open_database(settings.database.url)
    yield folder, settings, database
    database.close()


@pytest.fixture(scope="module")
def succeeded(world):
    """One successful run of a notebook that looks at its surroundings and prints a secret."""
    folder, settings, database = world
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATB__EXCHANGE__API_SECRET", SECRET)
        patch.setenv("LEAK", SECRET)
        patch.setenv("EXPECTED", json.dumps(QUOTES))
        before = (dict(os.environ), Path.cwd())
        path = notebook(folder / "good {name}.ipynb", *TALKATIVE)
        run = execute(
            path,
            {"symbol": QUOTES, "window": "5"},
            settings=settings,
            database=database,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert (dict(os.environ), Path.cwd()) == before
    return run, path, seen


def text_of(run) -> str:
    return (Path(run.path) / run.notebook).read_text()


def test_a_run_leaves_a_notebook_a_record_a_report_and_its_result(succeeded, world):
    run, path, _ = succeeded
    assert (run.status, run.error, run.failed_cell) == ("succeeded", None, None)
    assert {file.name for file in Path(run.path).iterdir()} == {path.name, "run.json", "report.html", "result.json"}
    assert Path(run.path) == world[1].runs_root / run.run_id
    assert get_run(world[2], run.run_id).status == "succeeded"


def test_the_row_says_what_was_run(succeeded):
    run, path, _ = succeeded
    assert run.notebook_sha256 == file_sha256(path)
    assert run.parameters == {"symbol": QUOTES, "window": 5}
    assert run.metrics == {"sharpe": 1.5, "bad": None, "leak": "***"}
    assert len(run.kernel_hash) == 64
    assert 0 < run.seconds < 120
    assert run.versions["papermill"]
    record = json.loads((Path(run.path) / "run.json").read_text())
    assert (record["status"], record["metrics"], record["parameters"]) == ("succeeded", run.metrics, run.parameters)


def test_the_kernel_stands_in_the_notebook_s_folder_and_knows_its_run(succeeded, world):
    run, path, _ = succeeded
    text = text_of(run)
    assert str(path.parent) in text
    assert f"{run.run_id} {world[1].data.root} plotly_mimetype" in text


def test_no_file_of_the_run_holds_the_secret(succeeded):
    run, _, _ = succeeded
    assert "withheld None" in text_of(run)
    for file in Path(run.path).iterdir():
        assert "cret" not in file.read_text().replace("secret", "").replace("SECRET", ""), file.name
    assert "***" in text_of(run)


def test_no_metadata_names_a_temporary_folder(succeeded):
    run, path, _ = succeeded
    found = nbformat.read(Path(run.path) / run.notebook, as_version=4).metadata
    assert found["papermill"]["output_path"] == path.name
    assert "widgets" not in found


def test_progress_counts_the_cells_of_the_notebook(succeeded):
    _, path, seen = succeeded
    total = len(nbformat.read(path, as_version=4).cells)
    assert seen[0] == (0, total)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_failing_cell_is_named_and_its_notebook_is_kept(world, capfd):
    folder, settings, database = world
    path = notebook(folder / "bad.ipynb", "x = 1", "def deep():\n    return 1 / 0\n\ny = deep()", "print('never')")
    run = execute(path, {"window": 7}, settings=settings, database=database)
    assert run.status == "failed"
    assert run.error == "cell 4, line 2 `return 1 / 0`: ZeroDivisionError: division by zero"
    assert run.failed_cell == 4
    assert capfd.readouterr() == ("", "")  # neither the kernel (listening on TCP) nor papermill had anything to say
    assert get_run(database, run.run_id).error == run.error
    assert "ZeroDivisionError" in text_of(run)
    assert "ZeroDivisionError" in (Path(run.path) / "report.html").read_text()


def test_a_run_that_takes_too_long_is_failed_and_keeps_what_it_published(world, monkeypatch):
    """Its last second begins with its last cell, however long the kernel took to start."""
    folder, settings, database = world
    publishes = "from atb.experiments import publish; publish(metrics={'half': 1})"
    path = notebook(folder / "slow.ipynb", publishes, "import time; time.sleep(3_600)")
    left = iter([600.0, 600.0, 1.0])
    monkeypatch.setattr("atb.experiments.running.CellProgress.remaining", lambda _cells, _cell: next(left))
    run = execute(path, {}, settings=settings, database=database, timeout=600)
    assert next(left, None) is None
    assert (run.status, run.failed_cell) == ("failed", 4)
    assert run.error == "cell 4: the run took longer than 600 s"
    assert run.metrics == {"half": 1}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\nexit()", "cell 3, line 2 `exit()`: the cell asked its kernel to end (exit)"),
        pytest.param(
            "quit()", "cell 3, line 1 `quit()`: the cell asked its kernel to end (exit)", marks=pytest.mark.slow
        ),
        ("import sys\nsys.exit(0)", "cell 3, line 2 `sys.exit(0)`: the cell asked its kernel to end (SystemExit)"),
        pytest.param(
            "raise SystemExit",
            "cell 3, line 1 `raise SystemExit`: the cell asked its kernel to end (SystemExit)",
            marks=pytest.mark.slow,
        ),
        (
            "import os; os._exit(3)",
            "cell 3, line 1 `import os; os._exit(3)`: the cell ended its kernel's process with exit code 3",
        ),
        ("import os, signal\nos.kill(os.getpid(), 9)", "`: the kernel died (out of memory, or killed), by signal 9"),
    ],
)
def test_a_cell_that_ends_its_kernel_is_named_and_the_run_has_failed(world, source, said):
    folder, settings, database = world
    run = execute(notebook(folder / "ends.ipynb", source, "print('never')"), {}, settings=settings, database=database)
    assert (run.status, run.failed_cell) == ("failed", 3)
    assert said in run.error
    assert {"ends.ipynb", "report.html", "run.json"} <= {file.name for file in Path(run.path).iterdir()}


FLOOD = """
import sys
print("first line")
for _ in range(40):
    print("x" * 1_000_000)
from IPython.display import HTML, display
display(HTML("<b>" + "y" * 17_000_000 + "</b>"))
"z" * 3_000_000
"""


def test_an_output_of_tens_of_megabytes_is_kept_in_part_with_a_note(world):
    folder, settings, database = world
    path = notebook(folder / "flood.ipynb", FLOOD, "raise ValueError('w' * 5_000_000)")
    run = execute(path, {}, settings=settings, database=database)
    assert (run.status, run.failed_cell) == ("failed", 4)
    assert len(run.error) <= 2_100
    for name in (path.name, "report.html"):
        file = Path(run.path) / name
        text = file.read_text()
        assert file.stat().st_size < 8_000_000, name
        assert "first line" in text
        assert "The output was cut here: 39,0" in text, name
        assert "An output of type text/html and 17,0" in text, name


def test_a_kernel_sees_a_list_of_variables_and_nothing_else(world, monkeypatch):
    folder, settings, database = world
    secret = "kNrY0000000000"
    for name in ("MY_DATA_KEY", "AWS_SECRET_ACCESS_KEY", "SOMETHING", "ATB__EXCHANGE__API_KEY", "JUPYTER_TOKEN"):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("ATB__DATABASE__URL", f"postgresql://me:{secret}@db.example/atb")
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{secret}@proxy.example:3128")
    monkeypatch.setenv("ATB__LOG__LEVEL", "ERROR")
    shows = (
        "import os; print(os.environ['ATB__DATABASE__URL'], os.environ['ATB__LOG__LEVEL'], sorted(os.environ.items()))"
    )
    run = execute(notebook(folder / "looks.ipynb", shows), {}, settings=settings, database=database)
    text = (Path(run.path) / "looks.ipynb").read_text()
    assert run.status == "succeeded"
    assert "postgresql://me@db.example/atb ERROR" in text
    assert secret not in text
    assert "***" not in text, "it was not there to be masked"
    assert "SOMETHING" not in text


CANARY = "kNrY0q7Xw2Lm9%\"'é"


HOLDING = {
    "symbol": f"postgresql://me:{CANARY}1@db.example/atb",
    "options": {
        "hook": f"https://hooks.example/services?key={quote(CANARY + '2', safe='')}",
        "json": json.dumps({"api_key": CANARY + "3"}),
        "deep": [{"password": CANARY + "4"}],
        "address": f"me:{CANARY}5@db.example:5432/atb",
        "header": "Bearer kNrY0q7Xw2Lm9QQ6",
    },
}


def test_a_secret_that_a_parameter_holds_is_in_no_file_under_the_root(tmp_path):
    settings = settings_in(tmp_path)
    prints = "print(symbol, [symbol], options)\nimport os, pathlib\nfile = pathlib.Path(os.environ['ATB_RUN_DIR'], 'more.csv')"
    writes = "file.write_text(repr(options) + symbol)"
    publishes = "from atb.experiments import publish; publish(metrics={'seen': symbol, 'in': str(options)})\nraise OSError(symbol)"
    spec = 'symbol: str = "BTC/USDT"\noptions: dict = {}'
    path = notebook(tmp_path / "holds.ipynb", prints, writes, publishes, parameters=spec)
    database = open_database(settings.database.url)
    run = execute(path, HOLDING, settings=settings, database=database)
    listed = json.dumps([run_json(row) for row in list_runs(database)])
    database.close()
    assert run.error.endswith("OSError: postgresql://me:***@db.example/atb")
    assert run.parameters["symbol"] == "postgresql://me:***@db.example/atb"
    files = [file for file in settings.data.root.rglob("*") if file.is_file()]
    assert {"holds.ipynb", "run.json", "report.html", "more.csv", "result.json", "atb.db"} <= {
        file.name for file in files
    }
    assert [file.name for file in files if b"kNrY0" in file.read_bytes()] == []
    assert "kNrY0" not in listed


SMALL_DISK = """
import resource, sys
from pathlib import Path
from atb.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
main(sys.argv[1:])
"""
DRAWS = "import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=[1, 2]))"  # whose page has plotly's 4 MB in it
PRINTS = "for _ in range(3):\n    print('x' * 900_000)"
WRITES = "import os; open(os.environ['ATB_RUN_DIR'] + '/orders.csv', 'w').write('x' * 3_000_000)"


@pytest.mark.parametrize(
    "source", [WRITES, *(pytest.param(source, marks=pytest.mark.slow) for source in (DRAWS, PRINTS + "\n" + PRINTS))]
)
def test_a_run_whose_files_do_not_fit_on_the_disk_has_not_succeeded(tmp_path, source):
    path = notebook(tmp_path / "big.ipynb", source, "'xy' * 600_000" if source.startswith(PRINTS) else "1")
    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, "run", str(path)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode in {1, 2}
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    database = open_database(f"sqlite:///{tmp_path}/atb.db")
    (run,) = list_runs(database)
    database.close()
    assert run.status == "failed"
    assert "File too large" in run.error
    assert json.loads((Path(run.path) / "run.json").read_text())["status"] == "failed"
    assert [file.name for file in Path(run.path).iterdir() if file.name.startswith(".")] == []


def test_what_a_run_keeps_is_closed_to_other_users_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        settings = settings_in(tmp_path)
        database = open_database(settings.database.url)
        path = notebook(tmp_path / "a.ipynb", TALKATIVE[4].replace("os.environ['LEAK']", "1"))
        run = execute(path, {}, settings=settings, database=database)
        database.close()
    finally:
        os.umask(before)
    assert run.status == "succeeded"
    assert [path for path in (settings.data.root, *settings.data.root.rglob("*")) if path.stat().st_mode & 0o077] == []


SCRIPT = """
import sys
from pathlib import Path
from atb.db import open_database
from atb.experiments import RunInterrupted, execute
from tests.experiments.notebooks import settings_in
settings = settings_in(Path(sys.argv[1]))
database = open_database(settings.database.url)
try:
    execute(Path(sys.argv[2]), {}, settings=settings, database=database)
except RunInterrupted as stopped:
    print(stopped.run.status, stopped.run.run_id)
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_and_a_polite_kill_are_recorded_and_leave_no_kernel_behind(world, repository, stop):
    folder, _, database = world
    flag = folder / f"{stop.name}.pid"
    waits = f"import os, time\nopen({str(flag)!r}, 'w').write(str(os.getpid()))\ntime.sleep(3_600)"
    path = notebook(folder / f"stopped_{stop.name}.ipynb", waits)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(path)], cwd=repository, stdout=subprocess.PIPE, text=True
    )
    wait_for(lambda: flag.exists() and flag.read_text())
    process.send_signal(stop)
    shown, _ = process.communicate(timeout=PATIENCE_S)
    assert shown.startswith("interrupted ")
    run = get_run(database, shown.split()[1])
    assert (run.status, run.error) == ("interrupted", "cell 3: interrupted")
    assert (Path(run.path) / run.notebook).exists()
    wait_for(lambda: not Path(f"/proc/{flag.read_text()}").exists())


def wait_for(condition, seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("given", "reason"),
    [({"windw": 5}, "Did you mean 'window'"), ({"window": "abc"}, "declared int"), ({"api_key": "x"}, "secret")],
)
def test_a_wrong_parameter_runs_and_writes_nothing(world, tmp_path, given, reason):
    _, _, database = world
    settings, runs = settings_in(tmp_path), len(list_runs(database, 100))
    with pytest.raises(InputError, match=reason):
        execute(notebook(tmp_path / "a.ipynb"), given, settings=settings, database=database)
    assert len(list_runs(database, 100)) == runs
    assert not settings.runs_root.exists()


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_time_limit_is_above_zero(world, tmp_path, timeout):
    _, _, database = world
    with pytest.raises(InputError, match="time limit"):
        execute(notebook(tmp_path / "a.ipynb"), {}, settings=settings_in(tmp_path), database=database, timeout=timeout)


def test_an_error_outside_the_notebook_still_ends_the_row(world, monkeypatch):
    folder, settings, database = world

    def breaks(*_):
        raise OSError("disk full")

    monkeypatch.setattr("atb.experiments.execution.run_notebook", breaks)
    with pytest.raises(OSError, match="disk full"):
        execute(notebook(folder / "unlucky.ipynb"), {}, settings=settings, database=database)
    newest = list_runs(database, 1, notebook="unlucky")[0]
    assert (newest.status, newest.error) == ("failed", "OSError: disk full")
    assert json.loads((Path(newest.path) / "run.json").read_text())["status"] == "failed"
