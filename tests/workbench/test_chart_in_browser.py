"""The chart in a real browser: a million bars are drawn, zoomed and clicked, and only what is visible travels."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atb.backtest import run
from atb.domain import Bars
from atb.engine.policy import RiskPolicy
from atb.workbench import chart
from tests.bars import bars_of, random_walk
from tests.notebooks.conftest import browser  # noqa: F401 - a fixture
from tests.scenarios import scripted_slot

MILLION = 1_000_000
# The page has the widget's own module, and a model that hands messages to the kernel's side and back.
PAGE = """<!DOCTYPE html><html><body data-jp-theme-light="true"><div id="here"></div><script type="module">
const bytes = text => { const raw = Uint8Array.from(atob(text), char => char.charCodeAt(0)); return new DataView(raw.buffer); };
const listeners = [];
window.model = {
  get: name => window.state[name],
  on: (_, listener) => listeners.push(listener),
  off: () => {},
  send: async message => { for (const [content, buffers] of await window.kernel(JSON.stringify(message)))
    listeners.forEach(listener => listener(content, buffers.map(bytes))); },
};
window.push = (content, buffers) => listeners.forEach(listener => listener(content, buffers.map(bytes)));
window.start = async () => {
  const module = await import(URL.createObjectURL(new Blob([window.esm], {type: "text/javascript"})));
  window.began = performance.now();
  module.default.render({model: window.model, el: document.getElementById("here")});
};
window.ready = true;
</script></body></html>"""


class Wire:
    """Carries messages between a chart and a page, and counts what travels."""

    def __init__(self, made: Any) -> None:
        self.chart, self.sent, self.bytes, self.candles = made, [], 0, []
        made.send = self._keep

    def _keep(self, content: dict[str, Any], buffers: Any = ()) -> None:
        parts = [bytes(buffer) for buffer in buffers]
        self.bytes += sum(map(len, parts))
        if content["kind"] == "window":
            self.candles.append(len(parts[0]) // 48)
        self.sent.append((content, [base64.b64encode(part).decode() for part in parts]))

    def answer(self, message: str) -> list[Any]:
        """Return what the chart answers to a message of the page."""
        self.sent.clear()
        self.chart._handle_custom_msg(json.loads(message), [])
        return list(self.sent)


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Any]:  # noqa: F811 - the fixture above
    """A page that can reach no network."""
    (tmp_path / "chart.html").write_text(PAGE, encoding="utf-8")
    opened = browser.new_page(viewport={"width": 1000, "height": 700})
    opened.route("http*://**", lambda route: route.abort())
    opened.goto((tmp_path / "chart.html").as_uri())
    opened.wait_for_function("window.ready")
    yield opened
    opened.close()


def start(page: Any, made: Any) -> Wire:
    """Show a chart on the page, and return the wire between them."""
    wire = Wire(made)
    page.expose_function("kernel", wire.answer)
    page.evaluate("text => { window.esm = text }", made._esm)
    page.add_style_tag(content=made._css)
    page.evaluate(
        "state => { window.state = state }", {name: getattr(made, name) for name in ("label", "height", "digits")}
    )
    page.evaluate("window.start()")
    page.wait_for_selector(".atb-chart[data-candles]")
    return wire


def minutes(count: int) -> Bars:
    frame = random_walk(count, 3, sigma=0.0005)
    frame.index = np.datetime64("2022-01-01") + np.arange(count) * np.timedelta64(60, "s")
    return bars_of(frame.tz_localize("UTC").rename_axis("timestamp"), timeframe="1m")


@pytest.mark.slow
@pytest.mark.browser
def test_a_million_bars_are_drawn_and_zoomed_and_only_the_visible_window_travels(page):
    bars = minutes(MILLION)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    wire = start(page, chart(bars.rows(0, MILLION - 50)))
    first = page.evaluate("performance.now() - window.began")
    print(f"first draw of {MILLION:,} bars: {first:.0f} ms, {wire.bytes:,} bytes")  # noqa: T201 - shown, never asserted
    width = page.evaluate("document.querySelector('.atb-chart-plot').clientWidth")
    assert width // 2 <= wire.candles[0] <= width  # a candle for each pixel or two
    assert wire.bytes < 100_000
    box = page.locator(".atb-chart-plot").bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + 150)
    for _ in range(200):  # each brings what is below the pointer a tenth nearer
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(80)
        if page.locator(".atb-chart").get_attribute("data-span") == "1":
            break
    assert page.locator(".atb-chart").get_attribute("data-span") == "1"
    assert len(wire.candles) > 3
    assert max(wire.candles) <= 1_802
    assert wire.bytes < 3_000_000  # of 48 million
    page.mouse.down()
    page.mouse.move(box["x"] + 900, box["y"] + 150, steps=10)
    page.mouse.up()
    page.wait_for_timeout(400)
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_function("document.querySelector('.atb-chart').dataset.theme === 'dark'")
    assert errors == []


@pytest.mark.slow
@pytest.mark.browser
def test_new_bars_are_drawn_as_they_come(page):
    bars = minutes(20_000)
    wire = start(page, chart(bars.rows(0, 19_900)))
    before = wire.bytes
    for row in range(19_900, 20_000):
        wire.sent.clear()
        wire.chart.append(bars.rows(row, row + 1))
        (content, buffers), *_ = wire.sent
        took = page.evaluate("([content, buffers]) => { const began = performance.now(); window.push(content, buffers); "
                             "return performance.now() - began }", [content, buffers])  # fmt: skip
    print(f"the last appended bar took the page {took:.1f} ms")  # noqa: T201 - shown, never asserted
    assert wire.bytes - before == 100 * 48
    last = float(page.locator(".atb-chart").get_attribute("data-last"))
    span = int(page.locator(".atb-chart").get_attribute("data-span"))
    newest = bars.opened_ms[-1] / 1_000
    assert newest - span * 60 < last <= newest


@pytest.mark.slow
@pytest.mark.browser
def test_a_click_on_a_trade_shows_what_led_to_it(page):
    sides = tuple(np.where(np.arange(300) // 24 % 2 == 0, 1.0, 0.0))
    result = run(scripted_slot(random_walk(300, 3), sides, RiskPolicy(fraction=0.5, stop_loss=0.04)))
    start(page, chart(result))
    box = page.locator(".atb-chart-plot").bounding_box()
    page.mouse.click(box["x"] + 300, box["y"] + 200)
    for x in range(40, 900, 12):
        page.mouse.click(box["x"] + x, box["y"] + 200)
        page.wait_for_timeout(60)
        if "Decision, order and fill" in page.locator(".atb-chart-detail").inner_text():
            break
    assert "Decision, order and fill" in page.locator(".atb-chart-detail").inner_text()
    link = page.locator(".atb-chart-foot a")
    assert (link.get_attribute("href"), link.get_attribute("rel")) == (
        "https://www.tradingview.com/",
        "noreferrer noopener",
    )
