"""Every registered figure of a result on a report page: legible and whole on a telephone and a screen, light and dark."""

import json

import nbformat
import numpy as np
import pytest

from atb.backtest import Result, run
from atb.engine.policy import RiskPolicy
from atb.experiments.report import PLOTLY, html_report
from atb.reports import REPORTS
from tests.bars import random_walk
from tests.notebooks.conftest import browser  # noqa: F401 - a fixture
from tests.page_layout import complaints
from tests.scenarios import scripted_slot


def ends(days: int, ending: str) -> Result:
    """Return a result over a market that rises to three times its price: traded, never traded, or ruined by a short."""
    bars = 24 * days
    sides = {"traded": np.arange(bars) // 30 % 2 == 0, "never traded": np.zeros(bars), "ruined": np.full(bars, -1.0)}[
        ending
    ]
    frame = random_walk(bars, 3).mul(1.0)
    prices = ["open", "high", "low", "close"]
    frame[prices] = frame[prices].mul(np.exp(np.linspace(0.0, 1.1, bars)), axis=0)
    policy = RiskPolicy(fraction=0.9, stop_loss=None if ending == "ruined" else 0.05, allow_short=ending == "ruined")
    return run(scripted_slot(frame, tuple(np.asarray(sides, float).tolist()), policy))


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("days", "ending"), [(60, "traded"), (730, "traded"), (90, "never traded"), (150, "ruined")])
def test_no_figure_is_cut_off_pale_or_written_over_itself(days, ending, browser, tmp_path):  # noqa: F811
    result = ends(days, ending)
    assert bool(result.ruin) == (ending == "ruined")
    outputs = [
        nbformat.v4.new_output("display_data", {PLOTLY: json.loads(draw(result).to_json())})
        for draw in REPORTS.values()
    ]
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=outputs, execution_count=1)])
    page_text = html_report(node, {"run_id": "a", "notebook": "x.ipynb", "status": "succeeded"})
    assert len(page_text.encode()) < 6_000_000
    (tmp_path / "report.html").write_text(page_text, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_function(
        f"document.querySelectorAll('.js-plotly-plot .main-svg:first-of-type').length === {len(REPORTS)}"
    )
    found = {
        (width, scheme): complaints(page, width=width, scheme=scheme)
        for width in (390, 1280)
        for scheme in ("light", "dark")
    }
    page.close()
    assert {view: problems for view, problems in found.items() if problems} == {}
