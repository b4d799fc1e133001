"""`atb lab`: loopback, a token that is no argument, no news; and that it really starts."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.cli.lab import TOUR, _pipe_with, lab_arguments, lab_environment, lab_token
from atb.errors import InputError
from atb.workbench.lab_workspace import FILE
from tests.timeouts import PATIENCE_S


def test_the_token_is_neither_an_argument_nor_a_variable():
    given = {"HOME": "/h", "JUPYTER_TOKEN": "canary", "JUPYTER_TOKEN_FILE": "/h/canary"}
    environment = lab_environment(given, ("JUPYTER_TOKEN",))
    assert environment == {"HOME": "/h", "DO_NOT_TRACK": "1"}
    assert "canary" not in " ".join(lab_arguments("python", Path("n"), workspaces=Path("w"), port=1, browser=False))


def test_a_given_token_is_kept_and_another_one_is_long_and_new():
    assert lab_token({"JUPYTER_TOKEN": "mine"}) == "mine"
    assert len(lab_token({})) >= 32
    assert lab_token({}) != lab_token({})


def test_a_token_longer_than_a_pipe_is_refused():
    with pytest.raises(InputError, match="longer than 1,000 characters"):
        _pipe_with("x" * 70_000)


def test_the_server_and_its_kernels_get_a_list_of_variables():
    given = {
        "PATH": "/bin",
        "DISPLAY": ":0",
        "MINE": "1",
        "OTHER": "2",
        "ATB__EXCHANGE__API_KEY": "kNrY",
        "A_TOKEN": "kNrY",
    }
    kept = lab_environment(given, ("MINE", "ATB__EXCHANGE__API_KEY"))
    assert kept.keys() == {"PATH", "DISPLAY", "MINE", "DO_NOT_TRACK"}


def test_it_listens_on_this_machine_only():
    assert "--ServerApp.ip=127.0.0.1" in lab_arguments("python", Path("n"), workspaces=Path("w"), port=1, browser=True)


def test_the_folder_of_your_own_strategies_is_opened_and_made_if_it_is_not_there(monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(os, "execve", lambda *given: started.append(given))
    done = CliRunner().invoke(main, ["lab", "--strategies", "--no-browser"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "strategies").is_dir()
    assert f"--ServerApp.root_dir={tmp_path / 'strategies'}" in started[0][1]


def test_it_opens_on_the_tour_where_there_is_one(tmp_path):
    assert not any(
        "--LabApp.default_url" in text
        for text in lab_arguments("python", tmp_path, workspaces=tmp_path / "w", port=1, browser=True)
    )
    (tmp_path / TOUR).touch()
    assert f"--LabApp.default_url=/lab/tree/{TOUR}" in lab_arguments(
        "python", tmp_path, workspaces=tmp_path / "w", port=1, browser=True
    )


def test_the_first_start_leaves_a_workspace_with_the_tour_and_a_later_one_leaves_it_as_the_user_did(
    monkeypatch, tmp_path
):
    notebooks, root = tmp_path / "notebooks", tmp_path / "data"
    notebooks.mkdir()
    (notebooks / TOUR).touch()
    monkeypatch.setattr("atb.config.part_of", lambda *_: notebooks)
    monkeypatch.setenv("ATB__DATA__ROOT", str(root))
    started = []
    monkeypatch.setattr(os, "execve", lambda *given: started.append(given))
    assert CliRunner().invoke(main, ["lab", "--no-browser"]).exit_code == 0
    folder = root / "lab" / "notebooks"
    assert f"--LabApp.workspaces_dir={folder}" in started[0][1]
    kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
    assert kept["data"][f"notebook:{TOUR}"]["data"]["path"] == TOUR
    (folder / FILE).write_text("mine", encoding="utf-8")
    assert CliRunner().invoke(main, ["lab", "--no-browser"]).exit_code == 0
    assert (folder / FILE).read_text(encoding="utf-8") == "mine"


def test_a_data_folder_that_cannot_be_written_is_one_message(monkeypatch, tmp_path):
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (notebooks / TOUR).touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lab").touch()  # a file where the folder would be
    monkeypatch.setattr("atb.config.part_of", lambda *_: notebooks)
    monkeypatch.setenv("ATB__DATA__ROOT", str(tmp_path / "data"))
    done = CliRunner().invoke(main, ["lab", "--no-browser"])
    assert done.exit_code == 2
    assert "workspace of JupyterLab cannot be written" in done.stderr


def test_it_refuses_to_start_where_there_are_no_notebooks(monkeypatch, tmp_path):
    monkeypatch.setattr("atb.config.part_of", lambda *_: tmp_path / "notebooks")
    done = CliRunner().invoke(main, ["lab"])
    assert done.exit_code == 2
    assert "There is no folder of notebooks" in done.stderr


@pytest.mark.slow
def test_the_server_starts_on_the_notebooks_and_wants_its_token(tmp_path):
    (tmp_path / "atb.toml").write_text("", encoding="utf-8")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / TOUR).write_text("{}", encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("atb"), "lab", "--no-browser", "--port", str(port)]
    environment = os.environ | {"JUPYTER_TOKEN": "canary", "HOME": str(tmp_path)}
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            root = f"http://127.0.0.1:{port}"
            contents = json.loads(patiently(f"{root}/api/contents", "canary"))
            assert [item["name"] for item in contents["content"]] == [TOUR]
            starting, link = (tmp_path / "log").read_text().splitlines()
            assert starting == f"Starting JupyterLab in {tmp_path / 'notebooks'}; Ctrl-C ends it"
            assert link == f"JupyterLab: {root}/lab/tree/{TOUR}?token=canary"
            with urllib.request.urlopen(link.partition(" ")[2], timeout=PATIENCE_S) as page:
                assert page.status == 200
            assert '"news": {"disabled": true}' in patiently(f"{root}/lab", "canary")
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"{root}/api/contents", timeout=PATIENCE_S)
            workspace = json.loads(patiently(f"{root}/lab/api/workspaces/default", "canary"))
            assert f"notebook:{TOUR}" in workspace["data"]
            kernel = json.loads(patiently(f"{root}/api/kernels", "canary", b'{"name": "python3"}'))
            family = [server.pid, *children_of(server.pid)]
            assert kernel["id"]
            assert len(family) > 1
            for member in family:
                readable = [Path(f"/proc/{member}/{name}").read_bytes() for name in ("cmdline", "environ")]
                assert b"canary" not in b"".join(readable), readable
        finally:
            server.terminate()


def children_of(pid):
    """Return the processes that a process started; on Linux alone."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def patiently(url, token, body=None):
    """Read a page of a server that is still starting."""
    request = urllib.request.Request(url, body, headers={"Authorization": f"token {token}"})
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.read().decode()
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
