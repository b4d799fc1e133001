"""The real runner, started on something that changed after the promotion: exit code 2, one sentence, nothing traded."""

import shutil
import time

import pytest

from atb.db import open_database
from atb.live.journal.overview import sessions
from tests.database import untouched
from tests.live.desk import first_open, warm_result
from tests.promotion.checkout import copied_checkout, plant
from tests.timeouts import PATIENCE_S

RUNNER = "runners/live.py"
EVIL = "raise SystemExit('planted code ran')"
PLAIN = {"NUMBA_DISABLE_JIT": "1"}  # a copied package has no compiled kernel yet


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return copied_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def promoted(sqlite_desk):
    result = warm_result(sqlite_desk.stock(60, 1))
    return sqlite_desk.promote(result), first_open(result)


def outcome(process):
    _, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, err


@pytest.mark.parametrize("name", ["strategies/sma_cross.py", "venues/broker/binance.py"])
def test_a_runner_over_a_changed_package_refuses_and_names_the_file(sqlite_desk, promoted, package, name):
    source = package / name
    before = source.read_bytes()
    source.write_bytes(before + b"#")
    try:
        path, since = promoted
        code, err = outcome(sqlite_desk.start(path, "--from", since, runner=package.parent / RUNNER))
    finally:
        source.write_bytes(before)
    assert code == 2
    assert err.strip().startswith("Error: A source file changed since the promotion")
    assert f"atb/{name}" in err
    assert "Traceback" not in err
    assert untouched(sqlite_desk.root / "atb.db")


def test_a_runner_runs_no_code_that_was_put_beside_its_own(sqlite_desk, promoted, package, tmp_path):
    """Byte code with the source's time and size, modules in the runner's folder and the working directory, and on PYTHONPATH."""
    path, since = promoted
    planted = [
        plant(package / name, EVIL)
        for name in ("__init__.py", "sources.py", "strategies/sma_cross.py", "features/indicators/averages.py")
    ]
    for folder in (package.parent / "runners", sqlite_desk.root, tmp_path / "elsewhere"):
        folder.mkdir(exist_ok=True)
        for name in ("argparse", "numpy", "ccxt", "tomllib"):
            planted.append(folder / f"{name}.py")
            planted[-1].write_text(EVIL)
    try:
        started = sqlite_desk.start(
            path,
            "--from",
            since,
            runner=package.parent / RUNNER,
            env={**PLAIN, "PYTHONPATH": str(tmp_path / "elsewhere")},
        )
        out, err = started.communicate(timeout=PATIENCE_S)
    finally:
        for file in planted:
            file.unlink()
    assert (started.returncode, "finished: 53 bars" in out, "planted" in out + err) == (0, True, False), err


def test_a_package_that_shadows_the_promoted_strategy_is_refused(sqlite_desk, promoted, package):
    path, since = promoted
    shadow = package / "strategies" / "sma_cross"
    shadow.mkdir()
    (shadow / "__init__.py").write_bytes((package / "strategies" / "sma_cross.py").read_bytes())
    try:
        code, err = outcome(sqlite_desk.start(path, "--from", since, runner=package.parent / RUNNER))
    finally:
        shutil.rmtree(shadow)
    assert (code, "pins less than the runner loads: atb/strategies/sma_cross/__init__.py" in err) == (2, True), err


def test_a_byte_that_changes_under_a_running_runner_pauses_its_entries(sqlite_desk, promoted, package):
    path, since = promoted
    source = package / "venues" / "broker" / "binance.py"
    before = source.read_bytes()
    started = sqlite_desk.start(
        path,
        "--from",
        since,
        "--speed",
        "3600",
        runner=package.parent / RUNNER,
        env={**PLAIN, "ATB__LIVE__RECHECK_INTERVAL": "0.2"},
    )
    try:
        eventually(lambda: standing(sqlite_desk).get("state") == "running", started)
        source.write_bytes(before + b"#")
        eventually(lambda: standing(sqlite_desk)["halt"] == "pause", started)
    finally:
        source.write_bytes(before)
        started.terminate()
        _, err = started.communicate(timeout=PATIENCE_S)
    assert started.returncode == 0, err
    assert "atb/venues/broker/binance.py" in standing(sqlite_desk)["halt_reason"]
    assert "what is promoted is not what is pinned: no new entries" in err


def standing(desk):
    """Return the one session as `atb status` has it; empty before there is one."""
    if not (desk.root / "atb.db").exists():
        return {}
    database = open_database(desk.url)
    try:
        return next(iter(sessions(database)), {})
    finally:
        database.close()


def eventually(happened, process, seconds=PATIENCE_S):
    until = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes().replace(b'"fast": 3', b'"fast": 4')), "content hash"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "no JSON"),
        (lambda path: path.unlink(), "cannot be read"),
    ],
)
def test_a_runner_refuses_a_broken_manifest(sqlite_desk, promoted, break_it, message):
    path, since = promoted
    break_it(path)
    code, err = outcome(sqlite_desk.start(path, "--from", since))
    assert (code, message in err, "Traceback" in err) == (2, True, False), err
    assert untouched(sqlite_desk.root / "atb.db")
