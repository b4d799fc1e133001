"""Charts and clickable figures in JupyterLab itself, light and dark: drawn, clicked, and followed by the theme."""

from pathlib import Path

import pytest

from tests.notebooks.lab import THEMES, picture, run_all

SETTING = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"
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
DETAILED = "[...document.querySelectorAll('.widget-html')].some(one => /Decision, order and fill/.test(one.innerText))"
GROUND = "getComputedStyle(document.querySelector('.js-plotly-plot .main-svg')).backgroundColor"

INK = "getComputedStyle(document.querySelector('.js-plotly-plot .gtitle')).fill"
ITS_THEME = (
    "(() => { const one = document.body.appendChild(document.createElement('i')); one.style.color = 'var(--jp-ui-font-color1)';"
    " const found = getComputedStyle(one).color; one.remove(); return found; })()"
)


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
def test_a_trade_is_clicked_in_a_chart_and_in_a_figure_and_both_follow_the_theme(theme, lab, browser):
    name = f"charts_{theme.split()[-1].lower()}.ipynb"
    lab.write(name, *CELLS)
    settings = lab.folder.parent / "settings" / SETTING
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f'{{"theme": "{theme}"}}', encoding="utf-8")
    page = lab.open(browser, name)
    run_all(page)
    page.wait_for_selector(".atb-chart[data-candles]")
    _click_until(page, ".atb-chart-plot", lambda: page.locator(".atb-chart-detail").inner_text())
    dark = theme.endswith("Dark")
    assert page.locator(".atb-chart").get_attribute("data-theme") == ("dark" if dark else "light")
    page.wait_for_function(f"{GROUND} === 'rgba(0, 0, 0, 0)'")  # once it is drawn
    assert page.evaluate(INK) == page.evaluate(ITS_THEME)
    mark = page.locator(".js-plotly-plot .scatterlayer .point").first
    mark.scroll_into_view_if_needed()
    mark.hover(force=True)
    page.wait_for_timeout(300)
    mark.click(force=True)
    page.wait_for_function(DETAILED)
    for place, shown in enumerate(page.locator(".jp-Notebook .jp-OutputArea-output").all()):
        shown.scroll_into_view_if_needed()
        page.screenshot(path=picture(f"{Path(name).stem}_{place}"))
    page.close()
    assert page.asked_outside == []


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
