"""The explorer in a real kernel and in JupyterLab: widgets are moved, buttons clicked, and the kept run is that of a batch."""

import json
import os
import shutil

import pytest
from jupyter_client.manager import start_new_kernel

from atb.config import load_settings
from atb.db import open_database
from atb.experiments import execute, list_runs, published
from tests.notebooks.conftest import FOLDER
from tests.notebooks.lab import picture, run_all
from tests.timeouts import PATIENCE_S

HANDLE = ".widget-slider:has-text('fast') .noUi-handle"


@pytest.fixture
def kernel(world, tmp_path):
    """Runs code in a kernel over the synthetic market, and returns what it printed."""
    shutil.copytree(world / "bars", tmp_path / "bars")
    manager, client = start_new_kernel(
        kernel_name="python3", startup_timeout=120, env={**os.environ, "ATB__DATA__ROOT": str(tmp_path)}
    )

    def run(code: str) -> str:
        said: list[str] = []

        def heard(message: dict[str, object]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                said.append(content["text"])
            assert message["msg_type"] != "error", content

        client.execute_interactive(code, timeout=PATIENCE_S, output_hook=heard)
        return "".join(said)

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.slow
def test_what_is_kept_is_the_batch_run_of_the_same_values_and_is_promoted_through_the_gate(kernel, tmp_path):
    kernel("from atb.workbench import explore\nx = explore('sma_cross', days=60)")
    kernel("x.widgets['fast'].value = 8\nx.widgets['stop_loss'].value = 0.03\nx.buttons['keep'].click()")
    said = json.loads(kernel("import json; print(json.dumps([x.message, x.values, x.result.stats['sharpe']]))"))
    assert said[0].startswith("Kept as run "), said[0]
    settings = load_settings(data={"root": tmp_path}, database={"url": f"sqlite:///{tmp_path}/atb.db"})
    database = open_database(settings.database.url)
    try:
        (kept,) = list_runs(database)
        batch = execute(FOLDER / "03_backtest.ipynb", said[1], settings=settings, database=database, timeout=PATIENCE_S)
        assert (kept.status, batch.status) == ("succeeded", "succeeded")
        assert kept.metrics == batch.metrics
        assert kept.metrics["sharpe"] == said[2]
        assert kept.parameters == batch.parameters
        assert published(settings.runs_root / kept.run_id)["trials"]["trials"] >= 2
        assert kernel("x.buttons['promote'].click()\nprint(x.message)").startswith("Promoted to paper: ")
        assert len(list(settings.promoted_root.glob("*.json"))) == 1
        assert len(list_runs(database)) == 2  # it was kept already
    finally:
        database.close()


@pytest.mark.slow
def test_a_slider_that_is_dragged_in_the_lab_moves_the_figures_and_a_click_keeps_the_run(lab, browser, world):
    lab.write("explored.ipynb", "from atb.workbench import explore\nexplore('sma_cross', days=60)")
    page = lab.open(browser, "explored.ipynb")
    run_all(page)
    page.wait_for_selector(".js-plotly-plot .main-svg")
    figures = page.locator(".widget-html:has-text('Total return')").first
    before = figures.inner_text()
    handle = page.locator(HANDLE).first
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + box["height"] / 2, steps=6)
    page.mouse.up()
    for _ in range(int(PATIENCE_S) * 4):
        if figures.inner_text() != before:
            break
        page.wait_for_timeout(250)
    assert figures.inner_text() != before
    page.screenshot(path=picture("explorer_moved"))
    page.get_by_role("button", name="Keep").click()
    page.wait_for_selector("text=Kept as run")
    page.screenshot(path=picture("explorer_kept"))
    page.close()
    database = open_database(f"sqlite:///{world}/atb.db")
    try:
        newest = list_runs(database, 1)[0]
        assert (newest.status, newest.parameters["strategy"]) == ("succeeded", "sma_cross")
        assert newest.parameters["params"]["fast"] != 20
    finally:
        database.close()
