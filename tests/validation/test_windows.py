"""Columns as a runner computes them: an honest strategy passes at every bar, and each way to know more than a runner is found."""

import importlib
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from atb.backtest.simulation import simulate
from atb.domain import Signals, Symbol
from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy, RiskPolicy
from atb.engine.prepare import signals_of
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.strategies.from_signals import GivenSides
from atb.validation import processes
from atb.validation.parity import prove_inputs
from atb.validation.windows import LOOKS_AHEAD, NOT_REPEATABLE, SHORT_WARMUP, all_of, check_windows
from tests.bars import bars_of, random_walk
from tests.validation import biased_strategies

ROOT = Path(__file__).parents[2]
BARS = bars_of(random_walk(260, 1, sigma=0.01))


def checked(strategy, bars=BARS, policy=None, most=None, **options):
    slot = Slot(strategy, bars, policy or RiskPolicy(), **options)
    start = bars.frame.index[min(slot.warmup, len(bars) - 1)]
    (checked_slot,) = check_windows(prepare((slot,), AccountPolicy(), start), most=most)
    return checked_slot


def test_an_honest_strategy_says_the_same_at_every_bar():
    report = checked(biased_strategies.Plain()).report
    assert (report.equal, report.everywhere, report.lookahead_clean) == (True, True, True)
    assert (report.checked, report.bars, report.cold, report.differing) == (240, 240, 0, 0)
    assert "240 bars computed again from the 20 bars before each, as a runner does: equal" in str(report)


@pytest.mark.parametrize(
    ("cheat", "kind", "column"),
    [
        (biased_strategies.RareLeak, LOOKS_AHEAD, "side"),
        pytest.param(biased_strategies.Normalises, LOOKS_AHEAD, "side", marks=pytest.mark.slow),
        pytest.param(biased_strategies.LastRow, LOOKS_AHEAD, "side", marks=pytest.mark.slow),
        pytest.param(biased_strategies.LeaksInStop, LOOKS_AHEAD, "stop", marks=pytest.mark.slow),
        pytest.param(biased_strategies.LeaksInConfidence, LOOKS_AHEAD, "confidence", marks=pytest.mark.slow),
        (biased_strategies.LeaksInPrice, LOOKS_AHEAD, "price"),
        (biased_strategies.Rsi, SHORT_WARMUP, "side"),
        pytest.param(biased_strategies.Counts, SHORT_WARMUP, "side", marks=pytest.mark.slow),
        pytest.param(biased_strategies.Resamples, SHORT_WARMUP, "side", marks=pytest.mark.slow),
        pytest.param(biased_strategies.Accumulates, SHORT_WARMUP, "side", marks=pytest.mark.slow),
        pytest.param(biased_strategies.Expands, SHORT_WARMUP, "side", marks=pytest.mark.slow),
        pytest.param(biased_strategies.AllTimeHigh, SHORT_WARMUP, "side", marks=pytest.mark.slow),
        (biased_strategies.Remembers, LOOKS_AHEAD, "side"),
        pytest.param(biased_strategies.RemembersInItsModule, LOOKS_AHEAD, "side", marks=pytest.mark.slow),
        pytest.param(biased_strategies.RemembersInAFile, NOT_REPEATABLE, "side", marks=pytest.mark.slow),
        (biased_strategies.Chance, NOT_REPEATABLE, "side"),
        pytest.param(biased_strategies.Clock, NOT_REPEATABLE, "side", marks=pytest.mark.slow),
        pytest.param(biased_strategies.OtherClocks, NOT_REPEATABLE, "side", marks=pytest.mark.slow),
        pytest.param(biased_strategies.Fails, SHORT_WARMUP, "side", marks=pytest.mark.slow),
        pytest.param(biased_strategies.Peeks, LOOKS_AHEAD, "side", marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_knows_more_than_a_runner_is_found_and_named(cheat, kind, column, tmp_path):
    given = {"path": str(tmp_path / "memory")} if cheat is biased_strategies.RemembersInAFile else {}
    report = checked(cheat(**given)).report
    assert (report.equal, report.everywhere) == (False, False)
    assert kind in report.kinds, report.kinds
    assert report.first_difference["column"] == column
    assert report.first_difference["opened"].startswith("2024-01")
    assert report.lookahead_clean is not True or kind == SHORT_WARMUP
    assert "NOT what a runner computes" in str(report)


def test_bars_that_a_strategy_writes_into_are_its_own():
    before = BARS.fingerprint
    checked_slot = signals_of(Slot(biased_strategies.Overwrites(), BARS))[0]
    assert replace(BARS).fingerprint == before
    assert checked_slot.side.tobytes() == signals_of(Slot(biased_strategies.Plain(), BARS))[0].side.tobytes()


def test_orders_follow_from_columns_that_are_apart_by_their_last_bits():
    """An average range forgets its start to the last bits: stops and sizes are apart by as much, and the orders are the same."""
    slot = Slot(
        biased_strategies.Plain(),
        bars_of(random_walk(700, 3)),
        RiskPolicy(stop_atr=2.0, trailing_atr=3.0, sizing="risk"),
    )
    problem = prepare((slot,), AccountPolicy(), slot.bars.frame.index[slot.warmup])
    report = prove_inputs(problem, checked=check_windows(problem))
    assert report.equal, report.first_difference
    assert report.ways == {"vectorbt": True, "stepwise": True, "columns": True}
    assert report.orders > 10


def test_a_strategy_that_trades_otherwise_fails_parity_by_name():
    slot = Slot(biased_strategies.Rsi(), BARS)
    problem = prepare((slot,), AccountPolicy(), BARS.frame.index[14])
    assert len(simulate(problem).orders)
    report = prove_inputs(problem, checked=check_windows(problem))
    assert (report.equal, report.ways["stepwise"], report.ways["columns"]) == (False, True, False)
    assert report.first_difference["table"] == "columns"
    assert report.first_difference["kind"] == SHORT_WARMUP
    assert report.to_json()["columns"][0]["differing"] > 0


def test_a_sample_says_so_and_proves_nothing_about_the_rest():
    checked_slot = checked(biased_strategies.Plain(), most=25)
    assert (checked_slot.report.checked, checked_slot.report.bars, checked_slot.report.everywhere) == (25, 240, None)
    assert (np.diff(checked_slot.rows) > 0).all()
    assert "25 of 240 bars" in str(checked_slot.report)


def test_bars_without_their_warm_up_are_checked_with_what_there_is_and_counted():
    slot = Slot(biased_strategies.Plain(), BARS)
    (checked_slot,) = check_windows(prepare((slot,), AccountPolicy()))
    assert (checked_slot.report.cold, checked_slot.report.checked, checked_slot.report.equal) == (20, 260, True)


def slots_of(*strategies):
    return tuple(
        Slot(strategy, replace(BARS.last(80), symbol=Symbol.parse(f"A{number}/USDT")), RiskPolicy(fraction=0.1))
        for number, strategy in enumerate(strategies)
    )


@pytest.fixture
def started(monkeypatch):
    """The processes that were started, none of which waits since a test before."""
    monkeypatch.setattr(processes, "_IDLE", idle := processes._Idle(2))
    found, popen = [], subprocess.Popen

    def start(*given, **options):
        found.append(popen(*given, **options))
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    yield found
    idle.end()
    assert all(process.poll() is not None for process in found)


def test_a_hundred_slots_share_the_start_of_a_process(started):
    problem = prepare(slots_of(*[biased_strategies.Plain()] * 12), AccountPolicy())
    reports = [slot.report for slot in check_windows(problem, most=5)]
    assert len(started) == 1
    assert [(report.symbol, report.equal, report.checked) for report in reports] == [
        (f"A{number}/USDT", True, 5) for number in range(12)
    ]


def test_a_process_serves_the_next_check_too_unless_it_would_be_started_otherwise(started, monkeypatch, tmp_path):
    plain, remembers = biased_strategies.Plain(), biased_strategies.RemembersInItsModule()
    assert checked(plain, most=5).report.equal
    assert not checked(remembers, most=60).report.equal
    assert checked(plain, most=5).report.equal
    assert len(started) == 1
    started[0].kill()
    started[0].wait()
    assert checked(plain, most=5).report.equal
    assert len(started) == 2
    monkeypatch.syspath_prepend(str(tmp_path))
    assert checked(plain, most=5).report.equal
    assert len(started) == 3
    assert started[1].poll() is not None


def test_a_process_that_could_not_load_a_strategy_serves_no_other(started, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "broken_since.py"
    file.write_text("from tests.validation.biased_strategies import Plain\nclass Late(Plain):\n    pass\n")
    late = importlib.import_module("broken_since").Late()
    file.write_text("1 / 0\n")
    with pytest.raises(InputError, match="process of its own; found 'ZeroDivisionError"):
        checked(late, most=5)
    assert checked(biased_strategies.Plain(), most=5).report.equal
    assert len(started) == 2
    assert started[0].poll() is not None


def test_a_strategy_knows_nothing_of_the_slot_before_in_the_same_process():
    remembers, plain = biased_strategies.RemembersInItsModule(), biased_strategies.Plain()
    problem = prepare(slots_of(plain, remembers, plain, remembers, remembers), AccountPolicy())
    together = [slot.report for slot in check_windows(problem)]
    assert [report.equal for report in together] == [True, False, True, False, False]
    assert together[1].differing == together[3].differing == together[4].differing


def test_a_slot_that_cannot_be_taken_along_is_refused_among_others():
    slots = slots_of(*[biased_strategies.Plain()] * 3)
    problem = prepare((slots[0], replace(slots[1], predictor=Unpicklable()), slots[2]), AccountPolicy())
    with pytest.raises(InputError, match="Put it into a module"):
        check_windows(problem, most=5)


def test_given_sides_have_no_source_and_are_not_checked():
    sides = GivenSides(BARS.frame["close"] * 0.0)
    report = checked(sides).report
    assert (report.equal, report.checked, report.lookahead_clean, report.everywhere) == (None, 0, None, None)


def test_a_strategy_of_a_cell_goes_along_by_value():
    @dataclass(frozen=True)
    class OfACell(biased_strategies.Plain):
        level: float = 100.0

        def signals(self, frame):
            return Signals((frame["close"] > self.level).to_numpy().astype(float))

    assert checked(OfACell(), BARS.last(40)).report.equal


def test_what_cannot_be_taken_along_is_refused_with_a_way_out():
    with pytest.raises(InputError, match="Put it into a module"):
        checked(biased_strategies.Plain(), BARS.last(40), predictor=Unpicklable())


class Unpicklable(biased_strategies.Plain):
    """Holds what cannot leave its process."""

    warmup = 1
    fingerprint = ""

    def __reduce__(self):
        raise TypeError("not this one")

    def predict(self, bars):
        return np.zeros(len(bars))


def test_a_strategy_whose_module_has_no_name_is_loaded_from_its_file(tmp_path):
    source = Path(biased_strategies.__file__).read_text()
    (tmp_path / "elsewhere.py").write_text(source)
    program = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("elsewhere", {str(tmp_path / "elsewhere.py")!r})
module = importlib.util.module_from_spec(spec)
import sys
sys.modules["elsewhere"] = module
spec.loader.exec_module(module)
from tests.validation.test_windows import checked, BARS
print(checked(module.Plain(), BARS.last(60)).report.equal, checked(module.RareLeak()).report.equal)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300, cwd=ROOT
    )
    assert done.stdout.split() == ["True", "False"]


EARLY = """import numpy as np
import pandas as pd
from dataclasses import dataclass
from atb.domain import Signals, Symbol
from tests.validation import biased_strategies

def known():
    return pd.{read}({path!r})

KNOWN = {in_module}

@dataclass(frozen=True)
class ReadsEarly(biased_strategies.Plain):
    def __post_init__(self):
        type(self).made = {when_made}

    def signals(self, frame):
        table = KNOWN if KNOWN is not None else self.made if self.made is not None else known()
        rises = (table["close"].shift(-1) > table["close"]).to_numpy()
        times = pd.to_datetime(table["timestamp"]).tolist()
        return Signals(rises[[times.index(one) for one in frame.index]].astype(float))
"""


@pytest.mark.parametrize(
    ("read", "in_module", "when_made"),
    [
        ("read_csv", "known()", "None"),
        pytest.param("read_parquet", "known()", "None", marks=pytest.mark.slow),
        pytest.param("read_parquet", "None", "known()", marks=pytest.mark.slow),
        ("read_parquet", "None", "None"),
    ],
    ids=["text, as its module is loaded", "parquet, then", "parquet, as it is made", "parquet, as it is asked"],
)
def test_a_strategy_has_no_file_at_any_time_and_in_no_way(read, in_module, when_made, tmp_path, monkeypatch):
    """Parquet is read by a library that is no Python: what Python is told of files does not know of it."""
    path, closes = tmp_path / "closes", BARS.frame["close"].rename_axis("timestamp").reset_index()
    closes.to_csv(path, index=False) if read == "read_csv" else closes.to_parquet(path)
    source = EARLY.format(read=read, path=str(path), in_module=in_module, when_made=when_made)
    (tmp_path / "reads_early.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    report = checked(importlib.import_module("reads_early").ReadsEarly()).report
    del sys.modules["reads_early"]
    assert (report.equal, report.lookahead_clean) == (False, None)
    assert "PermissionError: a strategy has no business with" in report.first_difference["runner"]
    assert (f"{tmp_path}/reads_early.py:8" in str(report)) == (in_module != when_made)


COMPILED = """import zoneinfo
from dataclasses import dataclass
import numpy as np
from numba import njit
from atb.domain import Signals, Symbol
from tests.validation import biased_strategies

@njit(cache=True)
def rises(close):
    side = np.zeros(len(close))
    for row in range(1, len(close)):
        side[row] = close[row] > close[row - 1]
    return side

@dataclass(frozen=True)
class Compiled(biased_strategies.Plain):
    def signals(self, frame):
        import scipy.stats
        ranks = scipy.stats.rankdata(frame.index.tz_convert(zoneinfo.ZoneInfo("Europe/Berlin")).hour)
        return Signals(np.where(ranks > 0, rises(frame["close"].to_numpy().copy()), 0.0))
"""


@pytest.mark.slow
def test_libraries_compiled_code_and_time_zones_are_no_files_of_a_strategy(tmp_path, monkeypatch):
    (tmp_path / "compiled_rises.py").write_text(COMPILED)
    monkeypatch.syspath_prepend(tmp_path)
    report = checked(importlib.import_module("compiled_rises").Compiled()).report
    del sys.modules["compiled_rises"]
    assert report.equal, str(report)


def test_a_difference_by_rounding_is_let_pass_and_a_larger_one_is_not():
    slot = Slot(biased_strategies.Plain(), BARS.last(60))
    problem = prepare((slot,), AccountPolicy(), slot.bars.frame.index[20])
    for factor, equal in ((1 + 1e-10, True), (1 + 1e-8, False)):
        signals = problem.signals.copy()
        signals["stop"] *= factor
        (checked_slot,) = check_windows(problem.with_signals(signals))
        assert checked_slot.report.equal is equal
        assert (checked_slot.report.largest > 0) is equal


def test_answers_are_all_true_only_if_each_is():
    assert [all_of(answers) for answers in ([True, True], [True, None], [None, False], [])] == [True, None, False, None]
