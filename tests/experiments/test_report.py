"""The report: figures show without a network, and nothing that an output brought along runs."""

import html.parser
import json
import os
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from PIL import Image

from atb.experiments.report import html_report
from atb.reports import theme
from tests.page_layout import complaints

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ANSI = "\x1b[31mred\x1b[0m \x1b[32mgreen\x1b[0m \x1b[36mcyan\x1b[0m \x1b[33myellow\x1b[0m \x1b[35mmagenta\x1b[0m"
RUN = {
    "run_id": "20240131-120000-a-ffffff",
    "notebook": "<b>a</b>.ipynb",
    "status": "failed",
    "error": "cell 2: <script>alert(1)</script>",
    "parameters": {"symbol": "BTC/USDT", "note": "</td><script>alert(2)</script>"},
    "metrics": {"sharpe": 1.25, "sortino": None},
    "data": [{"symbol": "BTC/USDT", "timeframe": "1h", "venue": "x", "fingerprint": "f" * 64, "first": "a", "last": "b",
              "bars": 9}],
    "started_at": "2024-01-31T12:00:00+00:00",
    "seconds": 1.5,
}  # fmt: skip
EVIL = (
    '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
    '<img src="https://example.invalid/spy.png"><iframe src="https://example.invalid/"></iframe>'
    '<a href="javascript:document.title=1">x</a><table><tr><td>42</td></tr></table>'
    '<p style="background:url(https://example.invalid/p)">styled</p><svg onload="document.title=2"></svg>'
)


def figure(title: str) -> dict:
    made = go.Figure(go.Scatter(x=np.arange(5), y=np.arange(5.0) ** 2), layout={"title": title})
    return json.loads(made.to_json())


def output(**data) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("display_data", {name.replace("__", "/"): value for name, value in data.items()})


def executed(*outputs: nbformat.NotebookNode) -> nbformat.NotebookNode:
    node = nbformat.v4.new_notebook(metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}}})
    node.cells.append(nbformat.v4.new_markdown_cell(f"# Title\n{EVIL}"))
    node.cells.append(nbformat.v4.new_code_cell("secret_of_success = 1", outputs=list(outputs), execution_count=1))
    return node


def plotly_output(title: str, **more) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("display_data", {"application/vnd.plotly.v1+json": figure(title), **more})


EVERYTHING = executed(
    plotly_output("first </script><script>document.title='owned'</script>"),
    output(text__html=EVIL, text__plain="x"),
    nbformat.v4.new_output("display_data", {"application/javascript": "document.title='owned'", "text/plain": "js"}),
    nbformat.v4.new_output(
        "display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "slider"}
    ),
    nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg onload='document.title=1'></svg>"}),
    nbformat.v4.new_output("stream", text="printed <b>figure-0.</b>"),
    nbformat.v4.new_output("error", ename="E", evalue="<i>v</i>", traceback=["\x1b[31mred\x1b[0m <script>1</script>"]),
    plotly_output("second", **{"text/html": "<div>plotly's own html</div>"}),
)


PLOT = "application/vnd.plotly.v1+json"


class Page(html.parser.HTMLParser):
    """Collects what a browser would run or load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[dict] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "script":
            self.scripts.append(attributes)
        self.handlers += [name for name in attributes if name.startswith("on")]
        self.handlers += [value for value in attributes.values() if value and value.startswith("javascript:")]
        names = ("src",) if tag == "a" else ("src", "href", "data", "srcset", "poster")
        self.loads += [
            attributes[name] for name in names if name in attributes and not attributes[name].startswith("data:")
        ]
        assert tag not in {"iframe", "link", "object", "embed", "base"}


@pytest.fixture(scope="module")
def text() -> str:
    return html_report(EVERYTHING, RUN)


def test_nothing_is_loaded_from_anywhere_and_no_output_brings_a_script(text):
    page = Page(text)
    assert page.loads == []
    assert page.handlers == []
    data = [script for script in page.scripts if script.get("type") == "application/json"]
    code = [script for script in page.scripts if script.get("type") != "application/json"]
    assert len([script for script in data if script.get("class") == "figure-data"]) == 2
    assert len(code) == 2  # plotly, once, and the lines that call it
    assert {bool(script.get("nonce")) for script in code} == {True}
    assert text.count("plotly.js v") == 1


def test_the_policy_forbids_the_network_and_foreign_scripts(text):
    policy = text.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "script-src 'nonce-" in policy
    assert "unsafe-eval" not in policy


def test_harmless_outputs_stay_and_the_head_says_how_the_run_went(text):
    shown = text.split("<main>")[0] + text.split("<main>")[1].split("</footer>")[0]
    for wanted in (
        "<td>42</td>",
        "20240131-120000-a-ffffff",
        "1.25",
        "9 bars",
        "slider",
        "secret_of_success",
        "styled",
    ):
        assert wanted in shown, wanted
    assert "&lt;b&gt;a&lt;/b&gt;.ipynb" in shown
    assert "plotly&#39;s own" not in shown


def test_the_picture_is_on_the_first_screen_and_what_head_and_foot_say_is_left_out_below():
    picture = theme.on_first_screen(theme.style(go.Figure(go.Scatter(x=[1, 2], y=[3, 4])), "Equity", label="data"))
    node = executed(
        plotly_output("another"),
        nbformat.v4.new_output("display_data", {PLOT: json.loads(picture.to_json())}),
    )
    node.cells.append(nbformat.v4.new_markdown_cell("said above", metadata={"tags": ["remove-cell"]}))
    printed = nbformat.v4.new_output("stream", text="printed above")
    node.cells.append(
        nbformat.v4.new_code_cell(
            "kept = 1", metadata={"tags": ["remove-output"]}, outputs=[printed], execution_count=2
        )
    )
    result = {"slots": [], "stats": {"total_return_pct": 1.0, "n_trades": 3.0}}
    page = html_report(node, RUN, {"headline": "x", "findings": ["it fell"], "result": result})
    head = ["Not enough to judge", 'id="figure-1"', "Total return (%)", "it fell"]
    order = [*head, "<main>", 'id="figure-0"', "</main>", "<footer>", "20240131-120000-a-ffffff", "atb run "]
    places = [page.find(part) for part in order]
    assert dict(zip(order, places, strict=True)) == dict(zip(order, sorted(places), strict=True))
    assert min(places) >= 0
    assert page.count('id="figure-1"') == 1
    assert "said above" not in page
    assert "printed above" not in page
    assert "kept" in page
    unpublished = html_report(node, RUN)
    assert unpublished.index("<main>") < unpublished.index('id="figure-1"')


def test_the_notebook_is_left_as_it_is():
    before = json.dumps(EVERYTHING)
    html_report(EVERYTHING, RUN)
    assert json.dumps(EVERYTHING) == before


def test_a_page_without_figures_carries_no_plotly():
    text = html_report(executed(output(text__plain="only text")), RUN)
    assert len(text) < 100_000
    assert "<script" not in text


def stranger(**layout) -> dict:
    """Return a figure that somebody made without the house style."""
    made = go.Figure(
        [
            go.Scatter(x=[1, 2], y=[3, 4], name=name)
            for name in ("a long name of a line", "another long name", "a third")
        ]
    )
    return json.loads(made.update_layout(**layout).to_json())


def strange() -> nbformat.NotebookNode:
    """Return a notebook of all that makes a page wide or dark text on dark: tables, code, colours, pictures, warnings, figures."""
    wide = pd.DataFrame(np.random.default_rng(7).random((3, 30))).add_prefix("column of numbers ")
    coloured = '<div style="color: #000080">navy</div><div style="background-color: #ffff99">on yellow</div>'
    figures = (
        stranger(
            title="A title that is much longer than a telephone is wide, and goes on",
            width=900,
            template="plotly_white",
        ),
        stranger(template="none", paper_bgcolor="white", font={"color": "black"}),
        stranger(template="plotly_dark", title="dark"),
        stranger(template="ggplot2", legend={"x": 1.2}),
        stranger(meta={"__proto__": {"polluted": 1}, "atb": "no house"}),
    )
    node = nbformat.v4.new_notebook()
    node.cells = [
        nbformat.v4.new_markdown_cell(f"# {'Unbroken' * 20}\n\n| a | b |\n|---|---|\n| {'word ' * 60}| x |\n\n`{'c' * 200}`"),
        nbformat.v4.new_code_cell(
            "# a comment\ntext = 'string'\nif text is not None:\n    print(f'{1.5:,.2f}', True, open)  # " + "x" * 200,
            execution_count=1,
            outputs=[
                output(text__html=wide.to_html(), text__plain="x"),
                output(text__html=coloured, text__plain="x"),
                output(image__png=PIXEL, text__plain="x"),
                nbformat.v4.new_output("stream", name="stderr", text="a warning " * 30),
                nbformat.v4.new_output("stream", text="/a/very/long/path" * 30),
                nbformat.v4.new_output("error", ename="E", evalue="v", traceback=[ANSI]),
                *(nbformat.v4.new_output("display_data", {"application/vnd.plotly.v1+json": figure}) for figure in figures),
            ],
        ),
    ]  # fmt: skip
    return node


CHROMIUM = (
    os.environ.get("ATB_TEST_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
def test_a_browser_without_a_network_draws_every_figure_and_runs_nothing_else(text, tmp_path: Path):
    from playwright.sync_api import sync_playwright

    (tmp_path / "report.html").write_text(text)
    wanted: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda problem: errors.append(str(problem)))
        page.on("request", lambda request: wanted.append(request.url))
        page.route("http*://**", lambda route: route.abort())
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_function(
            "document.querySelectorAll('.js-plotly-plot .main-svg .trace').length >= 2", timeout=60_000
        )
        drawn = page.eval_on_selector_all(
            ".js-plotly-plot", "plots => plots.filter(plot => plot.querySelector('svg')).length"
        )
        titles = page.locator(".figure-title").all_text_contents()
        hidden = page.locator("text=secret_of_success").is_visible()
        page.check("#show-code")
        shown = page.locator("text=secret_of_success").is_visible()
        title = page.title()
        browser.close()
    assert drawn == 2
    assert titles == ["first </script><script>document.title='owned'</script>", "second"]
    assert (hidden, shown) == (False, True)
    assert title == "atb run"
    assert errors == []
    assert [url for url in wanted if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
def test_what_no_house_style_knows_fits_a_telephone_and_is_legible_in_light_and_dark(tmp_path: Path):
    from playwright.sync_api import sync_playwright

    (tmp_path / "report.html").write_text(html_report(strange(), RUN))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda problem: errors.append(str(problem)))
        page.goto((tmp_path / "report.html").as_uri())
        page.check("#show-code")
        found = {
            (width, scheme): complaints(page, width=width, scheme=scheme)
            for width in (390, 1280)
            for scheme in ("light", "dark")
        }
        scrolled = page.eval_on_selector_all(
            ".output_subarea", "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).length"
        )
        polluted = page.evaluate("({}).polluted")
        browser.close()
    assert {view: problems for view, problems in found.items() if problems} == {}
    assert scrolled >= 1  # the wide table, in its own box
    assert polluted is None
    assert errors == []


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
def test_a_picture_that_leaves_the_page_and_a_print_are_light_and_keep_title_and_caption(tmp_path: Path):
    from playwright.sync_api import sync_playwright

    titled = theme.style(
        go.Figure(go.Scatter(x=[1, 2], y=[3, 4])), "What", label="SYNTHETIC data", caption="How it was made"
    )
    node = executed(nbformat.v4.new_output("display_data", {PLOT: json.loads(titled.to_json())}))
    (tmp_path / "report.html").write_text(html_report(node, RUN))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(color_scheme="dark", viewport={"width": 1280, "height": 900})
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_selector(".main-svg .trace")
        ground = "getComputedStyle(document.querySelector('.main-svg')).backgroundColor"
        dark = page.evaluate(ground)
        captions = page.locator("figcaption").all_text_contents()
        page.hover(".plot")
        with page.expect_download() as waiting:
            page.locator(".modebar-btn[data-title='Save as PNG']").click()
        saved = Image.open(waiting.value.path())
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.wait_for_timeout(300)
        light, width = page.evaluate(ground), page.evaluate("document.querySelector('.main-svg').clientWidth")
        browser.close()
    assert captions == ["How it was made"]
    assert (dark, light) == ("rgb(20, 24, 29)", "rgb(255, 255, 255)")
    assert width <= 700  # of a sheet
    assert saved.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    assert saved.height == 2 * titled.layout.height


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
def test_a_click_on_a_trade_opens_its_row_and_long_times_are_drawn_where_they_were(tmp_path: Path):
    from playwright.sync_api import sync_playwright

    times = pd.date_range("2024-01-01", periods=150, freq="h").to_numpy().astype("datetime64[s]")
    marks = go.Scatter(x=times[70:71], y=[5.0], mode="markers", marker={"size": 30}, meta={"trade_ids": [7]})
    drawn = theme.style(go.Figure([marks, go.Scatter(x=times, y=np.arange(150.0))]), "Trades", label="data")
    drawn.update_xaxes(theme.time_axis())
    rows = "".join(
        f"<details class='trade trade-{n}'><summary>row {n}</summary><div>why {n}</div></details>" for n in (6, 7)
    )
    node = executed(
        nbformat.v4.new_output("display_data", {PLOT: json.loads(drawn.to_json())}),
        nbformat.v4.new_output("display_data", {"text/html": rows, "text/plain": "x"}),
    )
    page_text = html_report(node, RUN)
    assert '"bdata"' in page_text.split('data-for="figure-0">')[1].split("</script>")[0]
    (tmp_path / "report.html").write_text(page_text)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_selector(".main-svg .trace .point")
        box = page.locator(".main-svg .trace .point").first.bounding_box()
        page.mouse.move(box["x"] + 3, box["y"] + 3)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
        page.wait_for_timeout(300)
        page.mouse.down()
        page.mouse.up()
        page.wait_for_selector("details.trade-7[open]")
        ticks = page.locator(".xtick text").all_text_contents()
        shown = [page.locator(f"text=why {n}").is_visible() for n in (6, 7)]
        browser.close()
    assert shown == [False, True]
    assert any("Jan" in tick for tick in ticks)
