"""The manual: each chapter is clean, asks and answers, and runs as a batch with other parameters than its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from atb.engine import codes, records
from atb.experiments import published, read_parameters
from atb.experiments.verdict import verdict
from atb.reports.theme import GREEN, LOSS, PROFIT, RED
from atb.reports.trades import SYMBOLS
from tests.notebooks.conftest import FOLDER, NOTEBOOKS, PARAMETERS
from tests.notebooks.saved import IGNORED, LARGEST, SANITISED, SAVED
from tests.page_layout import complaints
from tests.timeouts import PATIENCE_S

MOST_CELLS = 32
LONGEST_CELL = 24  # lines: more belongs into the package
DRAWN = ".js-plotly-plot .main-svg:first-of-type"
PLOT = "application/vnd.plotly.v1+json"
# The parts of a report of a backtest, in reading order.
PARTS = ("header .worth", "header .headline", "header .plot", "header .figures", "header .findings", "main .trades",
         "footer .facts:not(.whole)", "footer .facts.whole", "footer .command")  # fmt: skip
DRAWN_BY = {"header .plot": "equity_figure(", "main .trades": "TradeList("}  # in the chapters that call them
TOPS = "parts => parts.map(part => document.querySelector(part)?.getBoundingClientRect().top ?? null)"
# A model, its backtest and its promotion, which read one another's traces; the tour runs in the Lab (`test_in_browser.py`).
QUICK = {"02_train.ipynb", "03_backtest.ipynb", "05_promote.ipynb"}
REPRESENTATIVE = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NOTEBOOKS]


def cells(name: str, kind: str) -> list[nbformat.NotebookNode]:
    node = nbformat.read(FOLDER / name, as_version=4)
    return [cell for cell in node.cells if cell.cell_type == kind]


def outputs(path: Path) -> list[nbformat.NotebookNode]:
    node = nbformat.read(path, as_version=4)
    return [output for cell in node.cells if cell.cell_type == "code" for output in cell.outputs]


def texts(path: Path) -> str:
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs(path))


def test_every_chapter_is_tested():
    assert set(PARAMETERS) == set(NOTEBOOKS)
    assert [name[:2] for name in NOTEBOOKS] == [f"{number:02d}" for number in range(len(NOTEBOOKS))]


@pytest.mark.parametrize("name", NOTEBOOKS)
class TestEachChapter:
    def test_is_valid_and_on_the_plain_kernel_and_has_no_outputs_unless_it_is_one_of_those_compared(self, name):
        node = json.loads((FOLDER / name).read_text(encoding="utf-8"))
        nbformat.validate(node)
        assert node["metadata"]["kernelspec"]["name"] == "python3"
        assert set(node["metadata"]) <= {"kernelspec", "language_info"}
        code = [cell for cell in node["cells"] if cell["cell_type"] == "code"]
        if name in SAVED:
            assert [cell["execution_count"] for cell in code] == [
                *range(1, len(code) + 1)
            ]  # else nbval compares nothing
            assert all(not cell["outputs"] for cell in code if IGNORED in cell["metadata"].get("tags", ()))
            assert any(cell["outputs"] for cell in code)
            assert (FOLDER / name).stat().st_size < LARGEST
        else:
            assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
        assert all(set(cell["metadata"]) <= {"tags"} for cell in node["cells"])

    def test_has_cell_ids_that_stay(self, name):
        ids = [cell.id for kind in ("code", "markdown") for cell in cells(name, kind)]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[a-z]+-\d{2}", identity) for identity in ids)

    def test_is_short(self, name):
        assert len(cells(name, "code")) + len(cells(name, "markdown")) <= MOST_CELLS
        assert all(len(cell.source.splitlines()) <= LONGEST_CELL for cell in cells(name, "code"))

    def test_holds_no_logic_that_belongs_into_the_package(self, name):
        source = "\n".join(cell.source for cell in cells(name, "code"))
        assert re.findall(r"^\s*(?:def|class|try|while|async|global)\b.*|^%.*|^!.*", source, re.MULTILINE) == []

    def test_asks_a_question_and_comes_to_a_verdict(self, name):
        prose = [cell.source for cell in cells(name, "markdown")]
        assert prose[0].startswith("# ")
        assert "**Question:**" in prose[0]
        assert any(re.search(r"^##.*verdict", text, re.IGNORECASE | re.MULTILINE) for text in prose)

    def test_explains_every_parameter(self, name):
        parameters = read_parameters(FOLDER / name)
        assert parameters
        assert [parameter.name for parameter in parameters if len(parameter.help) < 10] == []

    def test_names_no_place_of_one_machine(self, name):
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert re.findall(r"[\"'\s(]/(?:home|Users|root|work|opt|mnt|tmp)/", text) == []


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_runs_with_other_parameters(name, executed):
    run = executed(name)
    assert (run.status, run.error) == ("succeeded", None)
    problems = [output.text for output in outputs(Path(run.path) / name) if output.get("name") == "stderr"]
    assert problems == []
    assert run.metrics
    assert published(Path(run.path))["metrics"] == run.metrics


@pytest.mark.slow
def test_the_tour_ends_with_what_speaks_against_it(executed):
    run = executed("00_tour.ipynb")
    assert "SYNTHETIC: the result says nothing about any market" in texts(Path(run.path) / run.notebook)


def test_a_backtest_publishes_its_proofs_and_files(executed):
    run = executed("03_backtest.ipynb")
    folder = Path(run.path)
    evidence = published(folder)["evidence"]
    assert (evidence["parity"], evidence["lookahead_clean"], evidence["synthetic"]) == (True, True, True)
    assert evidence["model"][0]["out_of_sample"] is True
    assert evidence["parity_report"]["bars"] == 60 * 24
    assert {"orders.csv", "trades.csv", "equity.csv"} <= {file.name for file in folder.iterdir()}
    assert published(folder)["result"]["stats"]["bars"] == 60 * 24


def test_a_backtest_draws_its_figures_and_each_names_synthetic_data(executed):
    run = executed("03_backtest.ipynb")
    figures = [output.data[PLOT] for output in outputs(Path(run.path) / run.notebook) if PLOT in output.get("data", {})]
    assert len(figures) == 12
    assert all("SYNTHETIC data" in figure["layout"]["title"]["text"] for figure in figures)


def test_a_promotion_writes_a_manifest_only_when_told_to(executed, world):
    run = executed("05_promote.ipynb")
    assert run.metrics["judged_run"] == executed("03_backtest.ipynb").run_id
    assert run.metrics["paper_allowed"]
    assert run.metrics["reasons_against_live"] > 0
    (manifest,) = (world / "promoted").glob("*.json")
    assert json.loads(manifest.read_text(encoding="utf-8"))["run_id"] == run.metrics["judged_run"]
    assert str(manifest) in texts(Path(run.path) / run.notebook)


@pytest.mark.slow
def test_the_monitor_trades_the_manifest_on_paper_and_finds_it_equal_to_its_backtest(executed, world):
    run = executed("07_monitor.ipynb")
    assert (run.metrics["equal"], run.metrics["unknown"]) == (True, 0)
    assert run.metrics["decisions"] == 10 * 24
    assert run.metrics["findings"] == 1
    said = texts(Path(run.path) / run.notebook)
    assert "- it was never rehearsed" in said
    found = [output.data[PLOT] for output in outputs(Path(run.path) / run.notebook) if PLOT in output.get("data", {})]
    assert len(found) == 3
    assert all("SYNTHETIC data" in figure["layout"]["title"]["text"] for figure in found)


@pytest.mark.slow
def test_a_sweep_says_beside_its_table_how_many_trials_its_bars_have_seen_and_what_luck_would_reach(executed):
    run = executed("11_sweep.ipynb")
    said = texts(Path(run.path) / run.notebook)
    assert run.metrics["trials"] >= run.metrics["combinations"] == 6
    assert f"luck alone would reach a Sharpe ratio of {run.metrics['lucky_sharpe']:.2f}" in said


def test_the_tour_names_the_marks_and_colours_that_are_drawn():
    (text,) = [cell.source for cell in cells("00_tour.ipynb", "markdown") if cell.id == "tour-11"]
    marks = {
        records.SIGNAL_EXIT: ("square", "a square for an exit signal"),
        records.STOP_LOSS: ("x", "a cross for a stop"),
    }
    for reason, (symbol, words) in marks.items():
        assert SYMBOLS[codes.REASONS[reason]] == symbol
        assert words in text
    assert (PROFIT, LOSS) == (GREEN, RED)  # the palette's red is a vermilion, which people call orange
    assert "green if the trade made money after costs, orange if it lost" in text
    assert "dot" not in text


def test_no_chapter_can_arm_real_money():
    source = "\n".join(cell.source for name in NOTEBOOKS for cell in cells(name, "code"))
    assert re.findall(r"--live\b|--ack\b|acknowledge|\barm\(|mode=.live", source) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs_on_real_candles(name, executed_on_real_candles):
    run = executed_on_real_candles(name)
    assert (run.status, run.error) == ("succeeded", None)
    assert "SYNTHETIC" not in texts(Path(run.path) / name)


def nbval(root: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run notebooks by nbval over the data in a folder."""
    environment = {**os.environ, "ATB__DATA__ROOT": str(root), "PLOTLY_RENDERER": "plotly_mimetype"}
    options = ["-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--nbval-cell-timeout=1200", *options, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=FOLDER,
        check=False,
    )


@pytest.mark.slow
def test_every_chapter_runs_alone_with_its_defaults(tmp_path):
    done = nbval(tmp_path / "data", "--nbval-lax", FOLDER)
    assert done.returncode == 0, done.stdout[-4_000:]
    code = sum(len(cells(name, "code")) for name in NOTEBOOKS)
    assert f"{code} passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", SAVED)
def test_a_saved_notebook_gives_its_outputs_again(name, tmp_path):
    done = nbval(tmp_path / "data", "--nbval", f"--nbval-sanitize-with={SANITISED}", FOLDER / name)
    assert done.returncode == 0, done.stdout[-4_000:]
    assert f"{len(cells(name, 'code'))} passed" in done.stdout


@pytest.mark.slow
def test_an_output_that_differs_from_the_saved_one_fails(tmp_path):
    node = nbformat.read(FOLDER / SAVED[0], as_version=4)
    changed = [cell for cell in node.cells if cell.cell_type == "code"][:2]
    assert "bars" in json.dumps(changed[1].outputs)
    changed[1].outputs = json.loads(
        json.dumps(changed[1].outputs).replace("26,304", "26,305"), object_hook=nbformat.from_dict
    )
    nbformat.write(nbformat.v4.new_notebook(cells=changed, metadata=node.metadata), tmp_path / "changed.ipynb")
    done = nbval(tmp_path / "data", "--nbval", f"--nbval-sanitize-with={SANITISED}", tmp_path / "changed.ipynb")
    assert "1 failed, 1 passed" in done.stdout


# Last, since no event loop can start while the browser is open: their chapters have run by then.


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest, executed) -> dict[str, Path]:
    """The reports of the chapters that were selected, and of the backtest."""
    selected = [item for item in request.session.items if "reports" in getattr(item, "fixturenames", ())]
    names = {item.callspec.params["name"] for item in selected if hasattr(item, "callspec")} | {"03_backtest.ipynb"}
    return {name: Path(executed(name).path) / "report.html" for name in sorted(names)}


@pytest.mark.browser
@pytest.mark.timeout(1_200)  # run alone, the first of them executes the chapters
@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_a_report_can_be_read_on_a_telephone_and_a_screen_in_light_and_in_dark(name, reports, browser):
    page = browser.new_page(viewport={"width": 390, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(reports[name].as_uri())
    page.check("#show-code")
    found = {
        (width, scheme): complaints(page, width=width, scheme=scheme)
        for width in (390, 1280)
        for scheme in ("light", "dark")
    }
    page.close()
    assert {view: problems for view, problems in found.items() if problems} == {}
    assert errors == []


@pytest.mark.browser
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("name", [one for one in REPRESENTATIVE if one.values[0][:2] in {"00", "03", "04"}])
def test_a_report_begins_with_the_verdict_and_ends_with_the_parameters_as_used_and_the_run(name, reports, browser):
    kept = published(reports[name].parent)
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(reports[name].as_uri())
    worth, headline = page.locator("header .verdict").inner_text().split("\n", 1)
    below = page.locator("header .verdict").bounding_box()
    columns = page.locator("header .figures > table thead th").all_text_contents()
    findings = page.locator("header .findings").inner_text()
    tables = page.locator("footer .facts section").all_inner_texts()
    last = page.locator("footer").inner_text().strip().splitlines()[-1]
    parts = [part for part in PARTS if DRAWN_BY.get(part, "") in (FOLDER / name).read_text(encoding="utf-8")]
    tops = page.evaluate(TOPS, parts)
    page.close()
    assert None not in tops
    assert tops == sorted(tops), parts
    assert worth == verdict(kept)
    assert headline.strip() == kept["headline"]
    assert below["y"] + below["height"] < 900, "on the first screen of a telephone"
    assert columns == ["", "strategy", "hold", "random entry"]
    assert [finding for finding in kept["findings"] if finding not in findings] == []
    assert last.startswith(f"atb run notebooks/{name}")
    (slot,) = kept["result"]["slots"]
    (strategy,) = [table for table in tables if table.startswith(f"Strategy: {slot['strategy']['name']}")]
    assert slot["strategy"]["parameters"]
    for parameter, value in slot["strategy"]["parameters"].items():
        assert f"{parameter}\t{value:g}" in strategy
    assert "{}" not in "".join(tables)
    assert "null" not in "".join(tables)


@pytest.mark.browser
def test_every_figure_of_a_report_is_drawn_without_a_network(reports, browser):
    report = reports["03_backtest.ipynb"]
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(report.as_uri())
    wanted = len(
        [output for output in outputs(report.with_name("03_backtest.ipynb")) if PLOT in output.get("data", {})]
    )
    page.wait_for_function(f"document.querySelectorAll('{DRAWN}').length >= {wanted}", timeout=PATIENCE_S * 1_000)
    labels = page.locator(".figure-label").all_text_contents()
    page.close()
    assert wanted == len(labels) == 12
    assert all("SYNTHETIC data" in label for label in labels)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert errors == []
