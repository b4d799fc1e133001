"""JupyterLab as a person sees it: a notebook is opened, run by Run All, and kept as a picture on the light and the dark theme."""

import json
import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.timeouts import PATIENCE_S

TOKEN = "only-for-this-test"
PATIENCE_MS = PATIENCE_S * 1_000
PLOT = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
DRAWN = ".js-plotly-plot .main-svg:first-of-type"
WIDGETS = ".jp-Notebook .jp-OutputArea-output > .jupyter-widgets"
IN_ERROR = "[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type='application/vnd.jupyter.error']"
THEMES = ("JupyterLab Light", "JupyterLab Dark")
PICTURES = Path(__file__).parent / "screenshots"  # ignored by git: to be looked at
WIDTH, HEIGHT = 1_400, 1_000
TALLEST = 16_000  # pixels; a browser draws nothing larger
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}  # without it Lab asks
ALL_RUN = """() => {
  const prompts = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputArea-prompt')];
  return prompts.length > 0 && prompts.every(prompt => /\\[\\d+\\]:/.test(prompt.textContent));
}"""
BOTTOM = """() => {
  const panel = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer');
  panel.scrollTop = 0;
  return [...panel.querySelectorAll('.jp-Cell')].at(-1).getBoundingClientRect().bottom;
}"""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab on copies of the notebooks."""

    port: int
    folder: Path

    def get(self, path: str) -> Any:
        """Return the answer of the server's API."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}", headers={"Authorization": f"token {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def write(self, name: str, *sources: str) -> None:
        """Write a notebook of these code cells."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), self.folder / name)

    def open(self, browser: Any, name: str) -> Any:
        """Return the page of a notebook whose kernel is ready; what it asks of other hosts is in `asked_outside`."""
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(PATIENCE_MS)
        page.asked_outside = []
        page.on("request", lambda request: self._note(request.url, page.asked_outside))
        # A workspace of its own: the default one opens the notebooks of earlier tests again, in hidden tabs.
        page.goto(f"http://127.0.0.1:{self.port}/lab/workspaces/{Path(name).stem}/tree/{name}?token={TOKEN}")
        # "Run all" before the kernel is bound opens a dialog and runs nothing.
        for _ in range(int(PATIENCE_S) * 4):
            page.wait_for_timeout(250)
            bound = [session for session in self.get("sessions") if session["path"] == name]
            if bound and bound[0]["kernel"]["execution_state"] == "idle":
                break
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        return page

    def _note(self, url: str, outside: list[str]) -> None:
        if not url.startswith((f"http://127.0.0.1:{self.port}/", f"ws://127.0.0.1:{self.port}/", "data:", "blob:")):
            outside.append(url)


def menu(page: Any, name: str, command: str) -> None:
    """Choose an entry of Lab's menu."""
    page.get_by_role("menuitem", name=name, exact=True).click()
    page.locator(f".lm-Menu-item[data-command='{command}']").click()


def run_all(page: Any) -> None:
    """Run every cell, and wait until each has run; saved outputs are cleared first, their numbers would say that it has."""
    menu(page, "Edit", "editmenu:clear-all")
    menu(page, "Run", "runmenu:run-all")
    page.wait_for_function(ALL_RUN)


def saved(page: Any, path: Path) -> nbformat.NotebookNode:
    """Save the notebook, and return it as it is on disk."""
    before = path.stat().st_mtime_ns
    menu(page, "File", "docmanager:save")
    for _ in range(int(PATIENCE_S) * 4):
        text = path.read_text(encoding="utf-8")
        if path.stat().st_mtime_ns != before and text.rstrip().endswith("}"):  # not while it is being written
            node = nbformat.reads(text, as_version=4)
            if all(cell.execution_count for cell in node.cells if cell.cell_type == "code"):
                return node
        page.wait_for_timeout(250)
    pytest.fail(f"JupyterLab did not save {path.name}")


def errors(node: nbformat.NotebookNode) -> list[str]:
    """Return the errors of an executed notebook."""
    found = [output for cell in node.cells if cell.cell_type == "code" for output in cell.outputs]
    return [f"{output.ename}: {output.evalue}" for output in found if output.output_type == "error"]


def outputs(node: nbformat.NotebookNode, mime: str) -> int:
    """Return how many outputs of an executed notebook are of a media type."""
    found = [output for cell in node.cells if cell.cell_type == "code" for output in cell.outputs]
    return sum(mime in output.get("data", {}) for output in found)


def take_pictures(page: Any, name: str) -> None:
    """Keep the whole notebook as one picture for each theme."""
    for theme in THEMES:
        page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        page.wait_for_timeout(1_500)
        page.set_viewport_size({"width": WIDTH, "height": min(TALLEST, int(page.evaluate(BOTTOM)) + 60)})
        page.wait_for_timeout(1_500)
        page.evaluate(BOTTOM)
        page.screenshot(path=picture(f"{name}_{theme.rpartition(' ')[2].lower()}"))


def picture(name: str) -> Path:
    """Return where a picture is kept."""
    PICTURES.mkdir(exist_ok=True)
    return PICTURES / f"{re.sub(r'[^a-z0-9_]+', '-', name.lower())}.png"
