"""The real runner, started on something that changed after the promotion: exit code 2, one sentence, nothing traded."""

import shutil

import pytest

from atb.promotion import provenance
from tests.live.desk import first_open, warm_result


@pytest.fixture
def promoted(sqlite_desk):
    result = warm_result(sqlite_desk.stock(60, 1))
    return sqlite_desk.promote(result), first_open(result)


def outcome(process):
    _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.mark.parametrize("name", ["strategies/sma_cross.py", "features/indicators.py", "engine/kernel.py"])
def test_a_runner_over_a_changed_package_refuses_and_names_the_file(sqlite_desk, promoted, tmp_path, name):
    package = shutil.copytree(
        provenance.PACKAGE, tmp_path / "copied" / "atb", ignore=shutil.ignore_patterns("__pycache__")
    )
    source = package / name
    source.write_bytes(source.read_bytes() + b"#")
    path, since = promoted
    code, err = outcome(sqlite_desk.start(path, "--from", since, env={"PYTHONPATH": str(package.parent)}))
    assert code == 2
    assert err.strip().startswith("Error: A source file changed since the promotion")
    assert f"atb/{name}" in err
    assert "Traceback" not in err
    assert not (sqlite_desk.root / "atb.db").exists()


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
    assert not (sqlite_desk.root / "atb.db").exists()
