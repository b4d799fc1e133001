"""`atb demo` as a user starts it: every step holds, and its last word is honest."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from atb.data.providers.sample import sample_bars
from tests.timeouts import PATIENCE_S

HOMES = ("data", "models", "runners/promoted")


def _files() -> set[str]:
    """Return what lies in the folders that the default root would write to."""
    repository = Path(__file__).parents[2]
    return {str(path) for home in HOMES for path in (repository / home).rglob("*")}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Run the demo once, in a process of its own, on an empty root, where the system lets others write what is made."""
    root, before = tmp_path_factory.mktemp("demo"), _files()
    command = [sys.executable, "-m", "atb", "--root", str(root), "demo", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, umask=0)
    assert done.returncode == 0, done.stderr
    return root, json.loads(done.stdout), _files() - before


def test_every_step_ends_well(shown):
    _, facts, _ = shown
    outcomes = {step["title"]: step["outcome"] for step in facts["steps"]}
    assert len(outcomes) == 9
    assert "equal bit by bit" in outcomes["Prove parity three ways"]
    assert "equal to the last digit" in outcomes["Runner against backtest"]
    assert outcomes["Runner against backtest"][0] != "0"


def test_it_ends_in_a_picture_and_a_report(shown):
    root, facts, _ = shown
    assert Path(facts["picture"]).read_bytes().startswith(b"\x89PNG")
    assert "plotly" in Path(facts["report"]).read_text(encoding="utf-8").lower()
    assert str(root) in facts["manifest"]


def test_a_toy_model_on_made_up_bars_is_refused_for_live(shown):
    verdict = shown[1]["verdict"]
    assert verdict["passed"]
    assert not verdict["live"]["passed"]
    reasons = " ".join(verdict["live"]["reasons"])
    assert "SYNTHETIC" in reasons
    assert "not proven" not in reasons


def test_the_key_figures_stand_beside_the_baselines(shown):
    facts = shown[1]
    assert set(facts["baselines"]) == {"hold", "cash"}
    assert facts["stats"]["n_trades"] > 10


def test_figures_are_reproduced_from_the_exported_orders(shown):
    """Cash and final equity rebuilt from orders.csv and the last close, without the kernel."""
    folder = Path(shown[1]["report"]).parent
    with (folder / "orders.csv").open(encoding="utf-8") as file:
        orders = list(csv.DictReader(file))
    cash, held = 10_000.0, 0.0
    for order in orders:
        sign = 1 if order["side"] == "buy" else -1
        held += sign * float(order["quantity"])
        cash -= sign * float(order["quantity"]) * float(order["price"]) + float(order["fee"])
    *_, last = (folder / "equity.csv").read_text(encoding="utf-8").splitlines()
    (close,) = (bars.frame["close"] for bars in sample_bars() if str(bars.symbol) == "BTC/USDT")
    stats = json.loads((folder / "result.json").read_text(encoding="utf-8"))["result"]["stats"]
    assert cash + held * close[pd.Timestamp(last.partition(",")[0])] == pytest.approx(stats["final_equity"], rel=1e-9)
    assert sum(float(order["fee"]) for order in orders) == pytest.approx(stats["fees_paid"], rel=1e-9)
    assert len(orders) > 20


def test_others_can_write_nothing_of_it_and_cannot_read_what_is_private(shown):
    root, facts, _ = shown
    made = {str(path.relative_to(root)): path.lstat().st_mode & 0o777 for path in root.rglob("*")}
    assert {name for name, mode in made.items() if mode & 0o022} == set()
    assert len(made) > 40
    report = Path(facts["report"]).relative_to(root)
    private = {name for name in made if name.startswith((f"{report.parts[0]}/", "keys", "trust", "atb.db"))}
    assert {name for name in private if made[name] & 0o077 and not name.endswith(".pub")} == set()
    assert str(report) in private
    assert "atb.db" in private
    assert any(name.endswith(".pem") for name in private) or any(name.startswith("keys/") for name in private)


def test_nothing_is_written_outside_the_root(shown):
    root, facts, elsewhere = shown
    assert elsewhere == set()
    assert Path(facts["picture"]).is_relative_to(root)
