"""What a person sees in JupyterLab: every figure and widget drawn, no cell in error, and nothing without the token."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.notebooks.conftest import NOTEBOOKS
from tests.notebooks.lab import (
    DRAWN,
    IN_ERROR,
    PLOT,
    TOKEN,
    WIDGET,
    WIDGETS,
    errors,
    outputs,
    picture,
    run_all,
    saved,
    take_pictures,
)
from tests.timeouts import PATIENCE_S


def test_the_lab_answers_nobody_without_the_token(lab):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"http://127.0.0.1:{lab.port}/api/contents", timeout=PATIENCE_S)


@pytest.mark.slow
def test_the_launcher_has_a_card_for_each_notebook_and_no_dialog_is_in_the_way(lab, browser):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"http://127.0.0.1:{lab.port}/lab/workspaces/launcher?token={TOKEN}")
    page.wait_for_selector(".jp-LauncherCard[title='Open 00_tour.ipynb']", timeout=PATIENCE_S * 1_000)
    page.wait_for_timeout(2_000)  # a dialog of a build would come now
    cards = page.locator(".jp-LauncherCard[title^='Open ']").evaluate_all("cards => cards.map(card => card.title)")
    dialogs = page.locator(".jp-Dialog, .Toastify__toast").count()
    page.screenshot(path=picture("launcher"))
    page.locator(".jp-LauncherCard[title='Open 11_sweep.ipynb']").click()
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=PATIENCE_S * 1_000)
    page.close()
    assert cards == [f"Open {name}" for name in NOTEBOOKS]
    assert dialogs == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_in_the_lab_with_its_defaults_and_shows_its_figures_and_widgets(name, lab, browser):
    page = lab.open(browser, name)
    run_all(page)
    node = saved(page, lab.folder / name)
    take_pictures(page, Path(name).stem)
    figures, widgets, in_error = (page.locator(one).count() for one in (DRAWN, WIDGETS, IN_ERROR))
    page.close()
    assert errors(node) == []
    assert (lab.folder / name).stat().st_size < 2_000_000
    assert in_error == 0
    assert figures == outputs(node, PLOT)
    assert widgets == outputs(node, WIDGET)
    assert page.asked_outside == []
