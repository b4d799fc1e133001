"""What a person sees in JupyterLab: every figure drawn, no cell in error, and nothing without the token."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from atb.cli.lab import CONFIG, PIPE, _pipe_with, lab_arguments
from tests.notebooks.conftest import FOLDER, NOTEBOOKS
from tests.timeouts import PATIENCE_S

PLOT = "application/vnd.plotly.v1+json"
TOKEN = "only-for-this-test"
TRACKER = "@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
DRAWN = ".js-plotly-plot .main-svg:first-of-type"
PICTURES = Path(__file__).parent / "screenshots"  # ignored by git: to be looked at
MOST_PICTURES = 3  # of a notebook, in each theme
ALL_RUN = """() => {
  const prompts = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputArea-prompt')];
  return prompts.length > 0 && prompts.every(prompt => /\\[\\d+\\]:/.test(prompt.textContent));
}"""


def figures(path: Path) -> int:
    """Return the number of plotly outputs of an executed notebook."""
    node = nbformat.read(path, as_version=4)
    found = [output for cell in node.cells if cell.cell_type == "code" for output in cell.outputs]
    return sum(PLOT in output.get("data", {}) for output in found)


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab on copies of the notebooks."""

    port: int
    folder: Path

    def get(self, path: str) -> object:
        """Return the answer of the server's API."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}", headers={"Authorization": f"token {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, world: Path, browser: object) -> Iterator[Lab]:
    """Start JupyterLab as `atb lab` does, on a free port, in a project of its own."""
    home = tmp_path_factory.mktemp("lab")
    (home / "atb.toml").touch()
    folder = home / "notebooks"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    # Off-screen cells are taken out of the page otherwise, and their figures could not be counted.
    settings = home / "settings" / TRACKER
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}', encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: str(home / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    token = _pipe_with(TOKEN)
    environment = {
        **os.environ,
        **own,
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        PIPE: str(token),
        "JUPYTER_CONFIG_PATH": str(CONFIG),
        "ATB__DATA__ROOT": str(world),
    }
    with (home / "log.txt").open("wb") as log:
        command = [
            *lab_arguments(sys.executable, folder, port=port, browser=False),
            "--LabApp.expose_app_in_browser=True",
        ]
        server = subprocess.Popen(command, env=environment, cwd=folder, pass_fds=(token,), stdout=log, stderr=log)
        os.close(token)
        try:
            running = Lab(port, folder)
            _wait_for(running, server, home / "log.txt")
            yield running
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE_S)


def _wait_for(lab: Lab, server: "subprocess.Popen[bytes]", log: Path) -> None:
    import time

    for _ in range(int(PATIENCE_S) * 4):
        try:
            lab.get("status")
            return
        except OSError:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.25)
    pytest.fail(f"JupyterLab did not answer within {PATIENCE_S:.0f} s: {log.read_text(encoding='utf-8')}")


def test_the_lab_answers_nobody_without_the_token(lab):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"http://127.0.0.1:{lab.port}/api/contents", timeout=PATIENCE_S)


@pytest.mark.slow
def test_the_launcher_has_a_card_for_each_notebook_and_no_dialog_is_in_the_way(lab, browser):
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.goto(f"http://127.0.0.1:{lab.port}/lab/workspaces/launcher?token={TOKEN}")
    page.wait_for_selector(".jp-LauncherCard[title='Open 00_tour.ipynb']", timeout=PATIENCE_S * 1_000)
    page.wait_for_timeout(2_000)  # a dialog of a build would come now
    cards = page.locator(".jp-LauncherCard[title^='Open ']").evaluate_all("cards => cards.map(card => card.title)")
    dialogs = page.locator(".jp-Dialog, .Toastify__toast").count()
    page.screenshot(path=_picture("launcher"))
    page.locator(".jp-LauncherCard[title='Open 11_sweep.ipynb']").click()
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=PATIENCE_S * 1_000)
    page.close()
    assert cards == [f"Open {name}" for name in NOTEBOOKS]
    assert dialogs == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_chapter_runs_in_the_lab_with_its_defaults_and_draws_its_figures(name, lab, browser):
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    outside: list[str] = []
    page.on("request", lambda request: outside.append(request.url))
    # A workspace of its own: the default one opens the chapters of earlier tests again, in hidden tabs.
    page.goto(f"http://127.0.0.1:{lab.port}/lab/workspaces/{Path(name).stem}/tree/{name}?token={TOKEN}")
    # "Run all" before the kernel is bound opens a dialog and runs nothing.
    for _ in range(int(PATIENCE_S) * 4):
        page.wait_for_timeout(250)
        bound = [session for session in lab.get("sessions") if session["path"] == name]
        if bound and bound[0]["kernel"]["execution_state"] == "idle":
            break
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE_S * 1_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
    page.wait_for_function(ALL_RUN, timeout=PATIENCE_S * 1_000)
    drawn = page.locator(DRAWN)
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.locator(".lm-Menu-item[data-command='docmanager:save']").click()
    saved = _saved(page, lab.folder / name)
    _look(page, Path(name).stem)
    shown, in_error = drawn.count(), page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count()
    page.close()
    assert re.findall(r'"output_type": "error"', saved.read_text(encoding="utf-8")) == []
    assert shown == figures(saved)
    assert in_error == 0
    local = (f"http://127.0.0.1:{lab.port}/", f"ws://127.0.0.1:{lab.port}/", "data:", "blob:")
    assert [url for url in outside if not url.startswith(local)] == []


def _look(page: object, name: str) -> None:
    """Keep a picture of each figure's part of the page, on Lab's light and dark theme."""
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        page.wait_for_timeout(1_500)
        for number in range(min(page.locator(DRAWN).count(), MOST_PICTURES)):
            page.locator(DRAWN).nth(number).scroll_into_view_if_needed()
            page.wait_for_timeout(300)
            page.screenshot(path=_picture(f"{name}-{number}-{theme.rpartition(' ')[2].lower()}"))


def _picture(name: str) -> Path:
    PICTURES.mkdir(exist_ok=True)
    return PICTURES / f"{name}.png"


def _saved(page: object, path: Path) -> Path:
    """Wait until the notebook on disk holds what was run."""
    for _ in range(80):
        text = path.read_text(encoding="utf-8")
        if text.rstrip().endswith("}"):  # not while it is being written
            node = nbformat.reads(text, as_version=4)
            if all(cell.execution_count for cell in node.cells if cell.cell_type == "code"):
                return path
        page.wait_for_timeout(250)
    pytest.fail(f"JupyterLab did not save {path.name}")
