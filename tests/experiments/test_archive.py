"""A run as one file: read back equal on another machine, and nothing else is."""

import json
import zipfile
from pathlib import Path

import pytest

from atb.db import open_database
from atb.db.tables import RunRow
from atb.errors import InputError
from atb.experiments.archive import CONTENTS, export_run, import_run
from atb.experiments.registry import add_run, get_run, run_json
from tests.experiments.notebooks import settings_in
from tests.experiments.test_registry import row


@pytest.fixture
def run(tmp_path) -> RunRow:
    """A finished run with a folder."""
    folder = tmp_path / "here" / "run"
    (folder / "tables").mkdir(parents=True)
    made = row(
        "20240131-120000-small-abcdef", status="succeeded", path=str(folder), metrics={"sharpe": 1.5}, seconds=2.5
    )
    (folder / "run.json").write_text(json.dumps(run_json(made)))
    (folder / "tables" / "trades.csv").write_text("entry,exit\n")
    (folder / "small.ipynb").write_bytes(b"{}")
    return made


@pytest.fixture
def there(tmp_path):
    """Settings and registry of another machine."""
    settings = settings_in(tmp_path / "there")
    database = open_database(settings.database.url)
    yield settings, database
    database.close()


def test_an_exported_run_is_read_back_as_the_same_run(run, there, tmp_path):
    settings, database = there
    path = export_run(run, tmp_path)
    assert path.name == "20240131-120000-small-abcdef.zip"
    import_run(path, settings=settings, database=database)
    found = get_run(database, run.run_id)
    folder = settings.runs_root.resolve() / run.run_id
    assert found.path == str(folder)
    assert {**run_json(found), "path": ""} == {**run_json(run), "path": ""}
    assert (folder / "tables" / "trades.csv").read_text() == "entry,exit\n"
    assert export_run(found, tmp_path / "again.zip").read_bytes() != b""
    with pytest.raises(InputError, match="here already"):
        import_run(path, settings=settings, database=database)


def test_two_exports_of_a_run_are_the_same_bytes_and_a_file_is_not_overwritten(run, tmp_path):
    first, second = export_run(run, tmp_path / "a.zip"), export_run(run, tmp_path / "b.zip")
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(InputError, match="such a file already"):
        export_run(run, tmp_path / "a.zip")


@pytest.mark.parametrize(
    "case", ["changed", "added", "removed", "outside", "absolute", "no zip", "cut", "no list", "running"]
)
def test_what_is_not_as_it_was_exported_is_refused_and_nothing_is_written(run, there, tmp_path, case):
    settings, database = there
    path = export_run(run, tmp_path / "a.zip")
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    forged = {
        "changed": {**files, "small.ipynb": b"[]"},
        "added": {**files, "more.txt": b"x"},
        "removed": {name: content for name, content in files.items() if name != "small.ipynb"},
        "outside": {**files, "../x": b"x"},
        "absolute": {**files, "/etc/x": b"x"},
        "no list": {name: content for name, content in files.items() if name != CONTENTS},
        "running": files,
    }  # fmt: skip
    target = tmp_path / "forged.zip"
    if case in forged:
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in forged[case].items():
                archive.writestr(name, content)
    else:
        target.write_bytes(b"no zip" if case == "no zip" else path.read_bytes()[:-40])
    if case == "running":
        run.status = "running"
        with pytest.raises(InputError, match="at work"):
            export_run(run, tmp_path / "c.zip")
        return
    with pytest.raises(InputError):
        import_run(target, settings=settings, database=database)
    assert not settings.runs_root.exists() or list(settings.runs_root.iterdir()) == []
    assert not (tmp_path / "x").exists()


def test_a_run_that_is_listed_here_is_not_imported_over(run, there, tmp_path):
    settings, database = there
    add_run(database, row(run.run_id, status="failed"))
    with pytest.raises(InputError, match="here already"):
        import_run(export_run(run, tmp_path), settings=settings, database=database)
    assert not Path(settings.runs_root / run.run_id).exists()
