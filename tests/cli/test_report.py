"""`atb report`: the page of a recorded run, made anew, as one file that is written and opened."""

import json
import webbrowser
from pathlib import Path

import pytest
from click.testing import CliRunner

from atb.cli import main
from tests.cli.test_run import real_backtest


def atb(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with one backtest, and the JSON of its run."""
    folder = tmp_path_factory.mktemp("report")
    real_backtest(folder)
    (folder / "atb.toml").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ATB__DATA__ROOT", str(folder))
        done = atb("backtest", "sma_cross", "--days", "30", "--json")
    assert done.exit_code == 0, done.output
    return folder, json.loads(done.stdout)


@pytest.fixture
def kept(project, monkeypatch):
    """The project as the working directory, and its run."""
    monkeypatch.chdir(project[0])
    monkeypatch.setenv("ATB__DATA__ROOT", str(project[0]))
    return project


@pytest.fixture
def opened(monkeypatch):
    """The addresses that a browser was asked to open."""
    found: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: found.append(address) or True)
    return found


def test_the_page_is_written_anew_beside_the_run_and_opened_only_when_asked(kept, opened):
    _, run = kept
    path = Path(run["path"]) / "report.html"
    path.unlink()
    done = atb("report", run["run_id"][:24])
    assert (done.exit_code, done.output.strip()) == (0, str(path))
    page = path.read_text(encoding="utf-8")
    assert "SYNTHETIC data, so this says nothing about any market." in page
    assert "atb run notebooks/03_backtest.ipynb" in page
    assert opened == []
    assert atb("report", run["run_id"], "--open").exit_code == 0
    assert opened == [path.as_uri()]


def test_it_can_be_written_elsewhere_and_says_where(kept, opened, tmp_path):
    _, run = kept
    target = tmp_path / "sheet.html"
    done = atb("report", run["run_id"], "-o", target, "--json")
    said = json.loads(done.stdout)
    assert (said["run_id"], said["report"], said["bytes"]) == (run["run_id"], str(target), target.stat().st_size)
    assert opened == []


def test_what_is_not_there_is_one_sentence(kept, tmp_path):
    _, run = kept
    for arguments, reason in (
        (("report", "20200101"), "There is no such run"),
        (("report", run["run_id"], "-o", tmp_path / "none" / "x.html"), "no such folder to write into"),
    ):
        done = atb(*arguments)
        assert done.exit_code == 2
        assert reason in done.output
        assert "Traceback" not in done.output


def test_a_run_without_its_notebook_is_refused(kept, tmp_path):
    _, run = kept
    notebook = Path(run["path"]) / run["notebook"]
    notebook.rename(tmp_path / "away.ipynb")
    try:
        done = atb("report", run["run_id"])
        assert (done.exit_code, "There is no such notebook" in done.output) == (2, True)
    finally:
        (tmp_path / "away.ipynb").rename(notebook)
