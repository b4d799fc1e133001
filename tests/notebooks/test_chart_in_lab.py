"""Charts and clickable figures in JupyterLab itself, light and dark: drawn, clicked, and followed by the theme."""

from pathlib import Path

import nbformat
import pytest

from tests.notebooks.test_in_browser import ALL_RUN, PICTURES, TOKEN, lab  # noqa: F401 - a fixture
from tests.timeouts import PATIENCE_S

THEMES = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"
CELLS = (
    (
        "from atb.workbench import Period, chart, clickable, ensure_sample, make_rules, make_strategy, prepare_slots, run\n"
        "ensure_sample()\nrules = make_rules({})\n"
        "slots, first = prepare_slots(make_strategy('sma_cross'), ['BTC/USDT'], '1h', period=Period(None, None, 60), rules=rules)\n"
        "result = run(slots, account=rules.account, start=first)"
    ),
    "chart(result)",
    "clickable(result)",
    "from atb.reports import equity_figure, monthly_returns_figure\nequity_figure(result)",
    "monthly_returns_figure(result)",
)
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}  # without it Lab asks
DETAILED = "[...document.querySelectorAll('.widget-html')].some(one => /Decision, order and fill/.test(one.innerText))"
GROUND = "getComputedStyle(document.querySelector('.js-plotly-plot .main-svg')).backgroundColor"


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_a_trade_is_clicked_in_a_chart_and_in_a_figure_and_both_follow_the_theme(theme, lab, browser):  # noqa: F811
    name = f"charts_{theme.split()[-1].lower()}.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    node = nbformat.v4.new_notebook(cells=cells, metadata=KERNEL)
    nbformat.write(node, lab.folder / name)
    settings = lab.folder.parent / "settings" / THEMES
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f'{{"theme": "{theme}"}}', encoding="utf-8")
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    outside: list[str] = []
    page.on("request", lambda request: outside.append(request.url))
    page.goto(f"http://127.0.0.1:{lab.port}/lab/workspaces/{Path(name).stem}/tree/{name}?token={TOKEN}")
    for _ in range(int(PATIENCE_S) * 4):
        page.wait_for_timeout(250)
        bound = [session for session in lab.get("sessions") if session["path"] == name]
        if bound and bound[0]["kernel"]["execution_state"] == "idle":
            break
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE_S * 1_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
    page.wait_for_function(ALL_RUN, timeout=PATIENCE_S * 1_000)
    page.wait_for_selector(".atb-chart[data-candles]", timeout=PATIENCE_S * 1_000)
    _click_until(page, ".atb-chart-plot", lambda: page.locator(".atb-chart-detail").inner_text())
    dark = theme.endswith("Dark")
    assert page.locator(".atb-chart").get_attribute("data-theme") == ("dark" if dark else "light")
    page.wait_for_function(f"{GROUND} === 'rgba(0, 0, 0, 0)'", timeout=PATIENCE_S * 1_000)  # once it is drawn
    mark = page.locator(".js-plotly-plot .scatterlayer .point").first
    mark.scroll_into_view_if_needed()
    mark.hover(force=True)
    page.wait_for_timeout(300)
    mark.click(force=True)
    page.wait_for_function(DETAILED, timeout=PATIENCE_S * 1_000)
    PICTURES.mkdir(exist_ok=True)
    for place, shown in enumerate(page.locator(".jp-Notebook .jp-OutputArea-output").all()):
        shown.scroll_into_view_if_needed()
        page.screenshot(path=PICTURES / f"{Path(name).stem}_{place}.png")
    page.close()
    local = (f"http://127.0.0.1:{lab.port}/", f"ws://127.0.0.1:{lab.port}/", "data:", "blob:")
    assert [url for url in outside if not url.startswith(local)] == []


def _click_until(page, where: str, shown) -> None:
    """Click along the middle of an element until something is shown."""
    page.locator(where).scroll_into_view_if_needed()
    box = page.locator(where).bounding_box()
    for step in range(1, 40):
        page.mouse.click(box["x"] + step * box["width"] / 44, box["y"] + box["height"] / 2)
        page.wait_for_timeout(150)
        if "Decision, order and fill" in shown():
            return
    pytest.fail("no click on the chart showed a trade")
