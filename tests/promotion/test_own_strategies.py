"""A strategy of one's own folder is pinned, verified before it runs, traded by the real runner, and rechecked while it trades."""

import hashlib

import pandas as pd
import pytest

from atb.backtest import run
from atb.config import load_settings
from atb.engine.policy import RiskPolicy
from atb.engine.slot import Slot
from atb.errors import PromotionError
from atb.live.plan import make_plan
from atb.promotion.drafting import RunIdentity, draft_manifest
from atb.promotion.manifest import load_manifest, verify
from atb.promotion.provenance import changed_sources, source_hashes
from atb.strategies import make_strategy
from atb.workbench.scaffold import write_cell
from tests.bars import bars_of, random_walk
from tests.database import untouched
from tests.live.desk import EVIDENCE, RUNNER, VERDICT, first_open, warm_result
from tests.promotion.test_tampering import eventually, outcome, standing
from tests.strategies.own_files import FADE, write_strategy
from tests.timeouts import PATIENCE_S

SHARED = "from atb.strategies.own._shared import DEPTH\n"
MESSAGE = "Error: A source file changed since the promotion: own/fade.py"


@pytest.fixture
def folder(sqlite_desk):
    """The folder of own strategies, with one that takes a number from shared code, outside the data root."""
    text = FADE.replace("import numpy as np\n", f"import numpy as np\n\n{SHARED}").replace("0.02", "DEPTH")
    write_strategy("_shared", '"""Shared."""\n\nDEPTH = 0.01\n')
    return write_strategy("fade", text).parent


@pytest.fixture
def promoted(sqlite_desk, folder):
    result = warm_result(sqlite_desk.stock(120, 1), strategy=make_strategy("fade", window=6), policy=RiskPolicy())
    assert len(result.trades) > 2
    return sqlite_desk.promote(result), first_open(result), result


def test_the_manifest_pins_the_file_and_its_shared_code(promoted, folder):
    manifest = load_manifest(promoted[0])
    own = {name: sha256 for name, sha256 in manifest.sources.items() if name.startswith("own/")}
    files = {"own/fade.py": folder / "fade.py", "own/_shared.py": folder / "_shared.py"}
    assert own == {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    assert manifest.strategy == {
        "name": "fade",
        "module": "atb.strategies.own.fade",
        "parameters": {"window": 6, "depth": 0.01},
    }
    assert {"atb/strategies/own.py", "atb/config/own.py", "atb/strategy_folder.py"} <= set(manifest.sources)


def test_the_real_runner_trades_it_as_the_backtest_did(sqlite_desk, promoted, folder):
    path, since, result = promoted
    env = {"ATB__STRATEGIES__FOLDER": str(folder)}
    process = sqlite_desk.start(path, "--from", since, env=env)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert f"{len(result.equity)} bars" in out
    [row] = [standing(sqlite_desk)]
    assert row["trades"] == (result.trades["status"] == "closed").sum()
    assert float(row["equity"]) == pytest.approx(float(result.equity.iloc[-1]), rel=1e-12)


@pytest.mark.parametrize("name", ["_shared.py", pytest.param("fade.py", marks=pytest.mark.slow)])
def test_the_runner_refuses_a_changed_file_before_a_line_of_it_runs(sqlite_desk, promoted, folder, name):
    path, since, _ = promoted
    source = folder / name
    source.write_text(source.read_text() + "\nraise SystemExit('changed code ran')\n")
    code, err = outcome(sqlite_desk.start(path, "--from", since, env={"ATB__STRATEGIES__FOLDER": str(folder)}))
    assert (code, len(err.splitlines())) == (2, 1), err
    assert err.startswith(MESSAGE.replace("fade.py", name))
    assert untouched(sqlite_desk.root / "atb.db")


@pytest.mark.slow
def test_a_runner_that_looks_into_another_folder_says_which_file_is_missing(sqlite_desk, promoted, tmp_path):
    path, since, _ = promoted
    code, err = outcome(sqlite_desk.start(path, "--from", since, env={"ATB__STRATEGIES__FOLDER": str(tmp_path / "x")}))
    assert (code, "own/_shared.py, own/fade.py" in err, len(err.splitlines())) == (2, True, 1), err


@pytest.mark.slow
def test_a_file_that_changes_while_it_trades_pauses_its_entries(sqlite_desk, promoted, folder):
    path, since, _ = promoted
    env = {"ATB__STRATEGIES__FOLDER": str(folder), "ATB__LIVE__RECHECK_INTERVAL": "0.2"}
    process = sqlite_desk.start(path, "--from", since, "--speed", "3600", env=env)
    try:
        eventually(lambda: standing(sqlite_desk).get("state") == "running", process)
        (folder / "fade.py").write_text(FADE)
        eventually(lambda: standing(sqlite_desk)["halt"] == "pause", process)
    finally:
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "own/fade.py" in standing(sqlite_desk)["halt_reason"]


def test_verification_names_the_changed_file_and_a_plan_is_made_of_the_verified_one(sqlite_desk, promoted, folder):
    manifest = load_manifest(promoted[0])
    roots = {"models_root": sqlite_desk.models_root, "keys_root": sqlite_desk.keys_root}
    assert verify(manifest, **roots) == []
    assert type(make_plan(manifest, sqlite_desk.models_root).strategy).__module__ == "atb.strategies.own.fade"
    (folder / "fade.py").write_text(FADE)
    assert changed_sources(manifest.sources) == ["own/fade.py"]
    with pytest.raises(PromotionError, match=r"changed since the promotion: own/fade\.py"):
        verify(manifest, **roots)


def draft(result):
    return draft_manifest(
        result.to_json(), name="x", run=RunIdentity("a-run", None, None), model_folder=None, models_root=RUNNER.parent,
        verdict=VERDICT, evidence=EVIDENCE,
    )  # fmt: skip


def test_a_run_of_an_older_text_is_not_promoted(sqlite_desk, folder):
    result = warm_result(sqlite_desk.stock(120, 1), strategy=make_strategy("fade", window=6))
    assert draft(result).strategy["name"] == "fade"
    (folder / "fade.py").write_text(FADE)
    with pytest.raises(PromotionError, match=r"its file changed since.*Backtest again"):
        draft(result)


@pytest.mark.parametrize("name", ["mine", "sma_cross", "fade"])
def test_a_class_that_is_in_no_file_is_not_promoted_whatever_its_name(sqlite_desk, folder, name):
    """Neither under a name of its own nor under one of a strategy that has a file, which would trade in its place."""
    scope = {"__name__": "__main__"}
    exec(FADE.replace('"fade"', f'"{name}"'), scope)
    slot = Slot(scope["Fade"](), sqlite_desk.stock(120, 1), RiskPolicy())
    result = warm_result(slot.bars, strategy=slot.strategy)
    with pytest.raises(PromotionError, match=f"Only a strategy in a file can be promoted: {name}.*%%strategy {name}"):
        draft(result)


def test_imports_that_no_promotion_pins_are_refused(folder):
    (folder / "fade.py").write_text("import json\nimport scipy.stats\nimport sklearn\n" + FADE)
    with pytest.raises(PromotionError, match=r"imports what no promotion pins: scipy, sklearn"):
        source_hashes("atb.strategies.own.fade")


def test_a_class_of_a_cell_trades_as_the_file_that_it_is_written_to(sqlite_desk):
    bars, scope = sqlite_desk.stock(120, 1), {"__name__": "__main__"}
    exec(FADE, scope)
    of_the_cell = warm_result(bars, strategy=scope["Fade"](window=6), policy=RiskPolicy())
    write_cell("fade", FADE, load_settings(), known={})
    of_the_file = warm_result(bars, strategy=make_strategy("fade", window=6), policy=RiskPolicy())
    assert len(of_the_cell.orders) > 4
    pd.testing.assert_frame_equal(of_the_cell.orders, of_the_file.orders, check_exact=True)
    assert draft(of_the_file).strategy["module"] == "atb.strategies.own.fade"


def test_a_run_of_a_text_that_was_replaced_since_does_not_vouch_for_the_new_one():
    bars = bars_of(random_walk(60))
    write_strategy("fade", FADE)
    ran = run(Slot(make_strategy("fade"), bars))
    assert ran.to_json()["slots"][0]["source"]["sha256"] == hashlib.sha256(FADE.encode()).hexdigest()
    write_strategy("fade", FADE.replace("fall > self.depth", "fall > 2 * self.depth"))
    make_strategy("fade")
    assert ran.to_json()["slots"][0]["source"]["sha256"] is None
