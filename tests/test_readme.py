"""The README's first hour: short enough, its terms explained, its links whole, every command and example works in order."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.bars import random_walk
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
FIRST_HOUR = README[: README.index("## What else there is")]
MOST_WORDS = 1_000
GUIDES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "runners/README.md", "tests/README.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Tried by tests of their own: the set-up, the demo, and what asks the network.
ELSEWHERE = ("make ", "source ", "atb doctor")
TERMS = ("kernel", "bar", "policy", "slot", "warm-up", "promoting", "manifest")


def test_the_first_hour_is_at_most_a_thousand_words():
    assert len(FIRST_HOUR.split()) <= MOST_WORDS


def test_each_term_is_explained_where_it_first_stands():
    prose = BLOCK.sub(lambda block: block[0] if "Warm-up:" in block[2] or "# a slot" in block[2] else "", FIRST_HOUR)
    explained = {
        "kernel": r"\*kernel\*, turns candles and an account into orders",
        "bar": r"a \*bar\* \(one candle\)",
        "policy": r"are the \*policy\*: sizing, entry, exits, limits",
        "slot": r"# a slot: one strategy on one symbol",
        "warm-up": r"Warm-up: bars that must come before the first decision",
        "promoting": r"\*Promoting\* a run turns it into",
        "manifest": r"a \*manifest\*: one signed file",
    }
    assert tuple(explained) == TERMS
    assert [term for term, words in explained.items() if not re.search(words, " ".join(prose.split()))] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(guide):
    text, here = (REPOSITORY / guide).read_text(encoding="utf-8"), (REPOSITORY / guide).parent
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    broken = []
    for link in links:
        name, _, heading = link.partition("#")
        target = here / name if name else REPOSITORY / guide
        if not target.exists() or (heading and heading not in headings(target)):
            broken.append(link)
    assert links
    assert broken == []


def headings(path: Path) -> set[str]:
    """Return the anchors that a Markdown page has on a forge."""
    lines = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_the_files_to_read_first_are_there_and_say_what_they_are_for():
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`([^`]+)`\]\(([^)]+)\) \| .*\?", text, re.MULTILINE)
    assert len(rows) == 6
    assert [name for name, link in rows if name != link or not (REPOSITORY / name).is_file()] == []


def test_every_module_that_only_helps_tests_stands_on_their_page_with_what_it_gives():
    folder = REPOSITORY / "tests"
    text = (folder / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[`([^`]+)`\]\(\1\) \| \S.+ \|$", text, re.MULTILINE)
    there = [file.relative_to(folder).as_posix() for file in folder.rglob("*.py")]
    helpers = [name for name in there if not name.rpartition("/")[2].startswith(("test_", "__init__"))]
    assert sorted(listed) == sorted(helpers)


def test_the_runner_s_manual_has_every_exit_code_of_the_runner():
    source = (REPOSITORY / "runners/live.py").read_text(encoding="utf-8")
    section = source[source.index("Exit codes:") : source.index("SIGUSR1 pauses")]
    codes = set(re.findall(r"(?:codes: |\. )(\d) ", " ".join(section.split())))
    manual = (REPOSITORY / "runners/README.md").read_text(encoding="utf-8")
    assert codes == set(re.findall(r"^\| (\d) \|", manual, re.MULTILINE)) >= set("0123456")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout of its own, in which the README's files may be written, with candles of one's own."""
    folder = tmp_path_factory.mktemp("readme") / "checkout"
    for name in ("atb", "notebooks", "runners", "tests"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("promoted", ".hypothesis"))
    for path in (REPOSITORY / "pyproject.toml", *REPOSITORY.glob("requirements*.lock")):
        shutil.copy(path, folder)
    candles = random_walk(120 * 24, 11, sigma=0.01)
    candles.to_csv(folder / "btc_1h.csv", index_label="timestamp")
    yield folder
    shutil.rmtree(folder)


def ran(project: Path, command: list[str]) -> str:
    """Run a command as a user of the checkout does, and return what it printed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("ATB")}
    environment = {**own, "PYTHONPATH": str(project), "NO_COLOR": "1", "COLUMNS": "120"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def program(line: str) -> list[str]:
    """Return a line of a shell block as this interpreter's command."""
    words = shlex.split(line, comments=True)
    if words[0] == "pytest":
        return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words[1:]]
    return [sys.executable, *(["-m", "atb"] if words[0] == "atb" else []), *words[1:]]


NOTEBOOK = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in json.loads(sys.argv[1]):
    shell.run_cell(cell).raise_error()
"""


def notebook(project: Path, cells: list[str]) -> str:
    """Run cells one after another as a notebook does, and return what they printed."""
    return ran(project, [sys.executable, "-c", NOTEBOOK, json.dumps(["%load_ext atb", *cells])])


def closed_trades(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str, float, float]]:
    """Return when each closed trade began and ended, and at which prices."""
    times = [(row, *(str(pd.Timestamp(row[name])) for name in ("entry_time", "exit_time"))) for row in rows]
    return sorted((since, until, float(row["entry_price"]), float(row["exit_price"])) for row, since, until in times)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_everything_in_the_first_hour_works_in_order_on_candles_of_one_s_own(project):
    """An RSI strategy goes from a cell to its file, a run and a manifest, and trades on paper as it was backtested."""
    said: dict[str, str] = {}
    cells: list[str] = []
    for block in BLOCK.finditer(FIRST_HOUR):
        kind, text = block[1], block[2]
        if kind == "python":
            cells.append(text)
        elif not kind:
            if cells:
                said["cells"], cells = notebook(project, cells), []
            for line in text.splitlines():
                if line.strip() and not line.startswith(ELSEWHERE):
                    run_id = re.search(r"\d{8}-\d{6}-03-backtest-[0-9a-f]{6}", said.get("backtest", ""))
                    given = line.replace("RUN_ID", run_id[0] if run_id else "RUN_ID")
                    said[line.split()[1]] = ran(project, program(given))
    assert "rsi · BTC/USDT 1h" in said["cells"]
    assert "15 of 15 checks hold" in said["test-strategy"]
    assert "rsi" in said["backtest"]
    assert "rsi" in said["runners/live.py"]
    assert "BTC/USDT" in said["status"]
    check_paper_equals_backtest(project)
    assert dirty(project) == []


def check_paper_equals_backtest(project: Path) -> None:
    """Trade the promoted run over its own period, and compare its closed trades with those of the backtest."""
    (manifest,) = (project / "runners" / "promoted").glob("*.json")
    values = json.loads(manifest.read_text(encoding="utf-8"))
    assert {name for name in values["sources"] if name.startswith("own/")} == {"own/rsi.py"}
    runner = [
        sys.executable,
        "runners/live.py",
        str(manifest),
        "--account",
        "again",
        "--from",
        values["evidence"]["start"],
    ]
    ran(project, runner)
    traded = json.loads(ran(project, program("atb trades --account again --limit 1000 --json")))
    with (project / "data" / "runs" / values["run_id"] / "trades.csv").open(encoding="utf-8") as file:
        tested = [row for row in csv.DictReader(file) if row["status"] == "closed"]
    assert len(tested) > 5
    assert closed_trades(traded) == closed_trades(tested)


def dirty(project: Path) -> list[str]:
    """Return what a user's strategy leaves in the checkout outside the folders that git ignores."""
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    mine = {name for name in files if "rsi" in name and not name.startswith(("data/", "runners/promoted/"))}
    return sorted(name for name in mine if not (REPOSITORY / name).exists() and "__pycache__" not in name)
