"""Nothing is tried without the ledger, equal trials count once, and neither a kill nor a full disk loses what was recorded."""

import fcntl
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from atb import trial_folder
from atb.backtest import run, screen, sweep
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy, grid
from atb.engine.slot import Slot
from atb.strategies import grid as strategy_grid
from atb.strategies import make_strategy
from atb.trials import recording_as, writing
from atb.trials.days import DayGrid
from atb.trials.reading import read_ledger
from atb.trials.recording import kept_series
from atb.trials.seen import is_same_period, seen, seen_by_market, seen_of
from atb.trials.writing import KEPT, WRITER, TrialsNotRecordedWarning
from tests.bars import bars_of, frame_of, random_walk
from tests.conftest import REPOSITORY
from tests.timeouts import PATIENCE_S

FRAME = random_walk(1_500, 5)


def slot(frame: pd.DataFrame = FRAME, *, fast: int = 3, **policy: object) -> Slot:
    return Slot(make_strategy("sma_cross", fast=fast, slow=20), bars_of(frame), RiskPolicy(**policy))


def test_a_backtest_is_recorded_with_its_own_sharpe_ratio_and_day_returns():
    result = run(slot(stop_loss=0.02), account=AccountPolicy(cash=5_000.0))
    (found,) = read_ledger().frames
    assert (found.kind, len(found)) == ("run", 1)
    assert found.sharpe[0] == result.stats["sharpe"]
    grid_ = DayGrid.of(result.inputs.closes)
    daily = result.equity.to_numpy()[grid_.rows]
    expected = daily / np.concatenate([[5_000.0], daily[:-1]]) - 1
    np.testing.assert_allclose(found.returns()[0], expected, atol=np.abs(expected).max() / 60_000)
    what = found.what(0)
    assert what["strategy"] == {"strategy": "sma_cross", "fast": 3, "slow": 20} | what["strategy"]
    assert what["policy"]["stop_loss"] == 0.02
    assert what["account"]["cash"] == 5_000.0
    assert found.frame.header["markets"][0]["fingerprint"] == slot().bars.fingerprint


def test_each_combination_of_a_sweep_is_a_trial_with_the_figures_of_its_row():
    made = sweep(
        slot(), strategies=strategy_grid("sma_cross", fast=[3, 5], slow=[20, 30]), policies=grid(stop_loss=[0.01, 0.02])
    )
    (found,) = read_ledger().frames
    assert (found.kind, len(found), len(set(found.keys))) == ("sweep", 8, 8)
    np.testing.assert_array_equal(found.sharpe, made.table["sharpe"].to_numpy())
    for row in made.table.index:
        assert found.what(row)["strategy"]["fast"] == made.table.loc[row, "fast"]
        assert found.what(row)["policy"]["stop_loss"] == made.table.loc[row, "stop_loss"]
    alone = made.run(5)
    again = read_ledger().frames[1]
    assert again.keys == [found.keys[5]]
    np.testing.assert_array_equal(again.returns()[0], found.returns()[5])
    assert made.seen.trials == alone.seen.trials == 8


def test_a_large_sweep_keeps_the_returns_of_a_sample_and_a_row_for_each():
    made = sweep(
        slot(),
        policies=grid(stop_loss=list(np.linspace(0.01, 0.05, 20)), take_profit=list(np.linspace(0.01, 0.09, 10))),
    )
    (found,) = read_ledger().frames
    assert len(found) == len(made) == 200
    assert list(found.kept) == list(kept_series(200))
    for place, row in enumerate(found.kept[:4]):
        want = made.run(int(row)).equity.to_numpy()[DayGrid.of(made.slots[0].bars.closed_ms).rows]
        expected = want / np.concatenate([[10_000.0], want[:-1]]) - 1
        np.testing.assert_allclose(found.returns()[place], expected, atol=np.abs(expected).max() / 60_000)


def test_a_sweep_of_bars_with_holes_and_of_several_symbols_is_recorded_too():
    holes = bars_of(FRAME.drop(FRAME.index[200:260]))
    sweep(Slot(make_strategy("sma_cross", fast=3, slow=20), holes), policies=grid(stop_loss=[0.01, 0.02]))
    two = [slot(), Slot(make_strategy("sma_cross", fast=3, slow=20), bars_of(random_walk(1_500, 6), "ETH/USDT"))]
    made = sweep(
        two, strategies=strategy_grid("sma_cross", fast=[3, 5], slow=[20]), policies=[RiskPolicy(fraction=0.4)]
    )
    first, second = read_ledger().frames
    assert (len(first), len(second)) == (2, 2)
    assert second.markets == {("BTC/USDT", "1h", False), ("ETH/USDT", "1h", False)}
    for row in (0, 1):
        want = made.run(row).equity.to_numpy()[DayGrid.of(made.run(row).inputs.closes).rows]
        np.testing.assert_allclose(np.cumprod(1 + second.returns()[row]) * 10_000, want, rtol=1e-3)
    assert read_ledger().frames[2].keys[0] in second.keys


def test_a_sweep_that_is_interrupted_records_what_was_done(monkeypatch):
    def stop(done: int, _: int) -> None:
        if done >= 256:
            raise KeyboardInterrupt

    made = sweep(slot(), policies=grid(stop_loss=list(np.linspace(0.01, 0.05, 1_000))), workers=1, progress=stop)
    assert not made.complete
    assert sum(len(found) for found in read_ledger().frames) == len(made)


def test_each_column_of_a_screen_is_a_trial_and_a_strategy_is_the_one_that_a_sweep_tries():
    found = strategy_grid("sma_cross", fast=[3, 5, 8], slow=[20])
    ranked = screen(found, slot().bars, policy=RiskPolicy(stop_loss=0.02)).ranking
    (recorded,) = read_ledger().frames
    assert (recorded.kind, len(recorded)) == ("screen", 3)
    assert sorted(recorded.sharpe) == pytest.approx(sorted(ranked["sharpe"]))
    assert [recorded.what(k)["strategy"]["fast"] for k in range(3)] == [3, 5, 8]
    sides = pd.DataFrame({"a": np.tile([1.0, 0.0, 0.0], 500), "b": 1.0}, index=FRAME.index)
    screen(sides, slot().bars)
    assert [read_ledger().frames[1].what(k)["strategy"]["label"] for k in range(2)] == ["a", "b"]


def test_equal_trials_count_once_and_any_difference_counts():
    account = AccountPolicy(cash=20_000.0)
    for _ in range(3):
        run(slot(stop_loss=0.02))
    assert (run(slot(stop_loss=0.02)).seen.trials, read_ledger().frames[-1].kind) == (1, "run")
    others = [slot(stop_loss=0.03), slot(fast=4, stop_loss=0.02), Slot(slot().strategy, slot().bars, RiskPolicy(stop_loss=0.02),
              ExecutionModel(fee=0.002))]  # fmt: skip
    for other in others:
        run(other)
    result = run(slot(stop_loss=0.02), account=account)
    assert (result.seen.rows, result.seen.trials) == (8, 5)


def test_a_strategy_whose_code_changed_is_another_trial_under_its_old_name():
    def made(factor: int) -> object:
        space: dict[str, object] = {}
        code = (
            "from dataclasses import dataclass\nfrom typing import ClassVar\nimport numpy as np\n"
            "from atb.domain import Signals\n"
            "@dataclass(frozen=True)\nclass Mine:\n"
            "    name: ClassVar[str] = 'mine'\n    predicts: ClassVar[bool] = False\n    n: int = 3\n"
            "    warmup = 0\n"
            "    def features(self, bars): return bars[[]]\n"
            f"    def signals(self, frame): return Signals((frame['close'].to_numpy() * {factor} % 2 < 1).astype(float))\n"
        )
        exec(code, space)  # as a notebook's cell defines a class
        return space["Mine"]()

    for factor in (3, 5, 3):
        run(Slot(made(factor), slot().bars))
    assert run(slot()).seen.trials == 3


def test_some_bars_more_are_the_same_data_and_a_period_held_out_is_not():
    for count in (900, 905, 1_000):
        run(slot(FRAME.iloc[:count], stop_loss=0.02))
    run(slot(FRAME.iloc[:1_000], stop_loss=0.03))
    assert run(slot(FRAME.iloc[:1_000], stop_loss=0.03)).seen.trials == 2
    assert run(slot(FRAME.iloc[1_000:], stop_loss=0.03)).seen.trials == 1
    assert is_same_period((0, 100), (50, 200))
    assert not is_same_period((0, 100), (51, 200))
    assert not is_same_period((0, 100), (100, 200))


def test_a_market_has_a_row_for_each_period_and_it_says_what_a_backtest_there_is_told():
    half, later = FRAME.iloc[:700], FRAME.iloc[700:]
    for frame, count in ((half, 4), (later, 2)):
        for k in range(count):
            told = run(slot(frame, stop_loss=0.01 + k / 100)).seen
        rows = [row for row, _ in seen_by_market() if row.trials == told.trials]
        assert [(row.trials, row.best, row.lucky) for row in rows] == [(told.trials, told.best, told.lucky)]
    assert [row.trials for row, _ in seen_by_market()] == [4, 2]
    whole = run(slot(fast=7))  # looked at both
    assert whole.seen.trials == 5
    assert [row.trials for row, _ in seen_by_market()] == [5, 3]


def test_generated_bars_and_other_timeframes_are_other_data():
    run(slot())
    for bars in (
        bars_of(FRAME, venue="synthetic"),
        bars_of(frame_of(np.linspace(90, 110, 1_500), freq="4h"), timeframe="4h"),
    ):
        assert run(Slot(slot().strategy, bars)).seen.trials == 1
    assert {row.markets[0] for row, _ in seen_by_market()} == {"BTC/USDT 1h", "BTC/USDT 1h SYNTHETIC", "BTC/USDT 4h"}


def test_the_best_of_noise_is_what_luck_was_said_to_reach():
    flat = frame_of(100 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.004, 4_000))))
    sides = np.random.default_rng(5).choice([-1.0, 1.0], (200, 60)).repeat(20, axis=0)
    free, stake = (
        ExecutionModel(fee=0.0, slippage=0.0),
        RiskPolicy(allow_short=True, sizing="fixed_stake", stake=5_000.0),
    )
    screen(pd.DataFrame(sides, index=flat.index), bars_of(flat), policy=stake, execution=free)
    bars = bars_of(flat)
    found = seen_of([bars], (int(bars.opened_ms[0]), int(bars.closed_ms[-1])))
    assert (found.trials, found.kinds) == (60, {"screen": 60})
    assert found.independent == 60
    assert found.best == pytest.approx(found.lucky, rel=0.3)


def test_moves_of_an_explorer_are_recorded_under_that_name():
    with recording_as("explore"):
        run(slot())
    run(slot(fast=4))
    assert [found.kind for found in read_ledger().frames] == ["explore", "run"]


def _append(folder: str, number: int) -> None:
    trial_folder.mount(lambda: __import__("pathlib").Path(folder))
    for k in range(25):
        run(slot(FRAME.iloc[:200], fast=2 + number, stop_loss=0.01 + 0.001 * k))


def test_processes_that_record_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append, args=(str(tmp_path / "trials"), number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE_S)
    ledger = read_ledger(tmp_path / "trials")
    assert (len(ledger.frames), ledger.faults()) == (75, [])
    assert len({key for found in ledger.frames for key in found.keys}) == 75


def test_a_killed_process_leaves_all_that_it_had_shown():
    program = (
        "from atb.backtest import run\nfrom atb.engine.slot import Slot\nfrom atb.strategies.sma_cross import SmaCross\n"
        "from tests.bars import bars_of, random_walk\n"
        "bars = bars_of(random_walk(300, 1))\n"
        "while True:\n    run(Slot(SmaCross(3, 20), bars))\n    print('shown', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": str(REPOSITORY)}) as process:  # fmt: skip
        shown = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGKILL)
        shown += process.stdout.readlines()
    assert len(read_ledger().frames) >= len([line for line in shown if line == "shown\n"]) >= 5


def test_a_bare_script_records_where_the_settings_say(tmp_path):
    program = (
        "import numpy as np\nfrom tests.bars import bars_of, random_walk\nfrom atb.backtest import run\n"
        "from atb.engine.slot import Slot\nfrom atb.strategies.sma_cross import SmaCross\n"
        "run(Slot(SmaCross(3, 20), bars_of(random_walk(300, 1))))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    assert len(read_ledger(tmp_path / "trials").frames) == 1


class TestADiskThatRefuses:
    @pytest.fixture(autouse=True)
    def fresh(self, monkeypatch):
        WRITER.__init__()
        yield
        WRITER.__init__()

    def test_warns_once_lets_every_backtest_through_and_is_seen_afterwards(self, tmp_path):
        (tmp_path / "trials").write_text("in the way of a folder", encoding="utf-8")
        with pytest.warns(TrialsNotRecordedWarning, match="Trials cannot be recorded"):
            first = run(slot(stop_loss=0.02))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            second = run(slot(stop_loss=0.03))
        assert first.stats["n_trades"] > 0 < second.stats["n_trades"]
        assert "2 trials could not be recorded" in str(second.seen)
        (tmp_path / "trials").unlink()
        third = run(slot(stop_loss=0.04))
        assert (third.seen.trials, third.seen.faults) == (3, ())

    def test_that_is_full_leaves_the_file_as_it_was(self, monkeypatch):
        run(slot(stop_loss=0.02))
        size = {path: path.stat().st_size for path in trial_folder.mounted().rglob("*.trials")}
        real = os.fstat

        class Full:
            def __init__(self, file):
                self._file = file

            def __getattr__(self, name):
                return getattr(self._file, name)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self._file.close()

            def write(self, data):
                if not self._file.tell() > max(size.values()):
                    return self._file.write(data[:20])
                raise OSError(28, "No space left on device")

        import builtins

        opened = builtins.open
        monkeypatch.setattr("atb.trials.writing.open", lambda *a, **k: Full(opened(*a, **k)), raising=False)
        with pytest.warns(TrialsNotRecordedWarning, match="No space left on device"):
            run(slot(stop_loss=0.03))
        assert {path: real(os.open(path, os.O_RDONLY)).st_size for path in size} == size
        monkeypatch.undo()
        assert WRITER.unwritten == 1

    def test_warns_again_when_it_refuses_again(self, tmp_path):
        for _ in range(2):
            (tmp_path / "trials").write_text("in the way", encoding="utf-8")
            with pytest.warns(TrialsNotRecordedWarning):
                run(slot(stop_loss=0.02))
            (tmp_path / "trials").unlink()
            run(slot(stop_loss=0.03))
            shutil.rmtree(tmp_path / "trials")

    def test_because_a_stopped_process_keeps_it_locked_is_passed_by_at_once_in_a_file_of_its_own(self, monkeypatch):
        run(slot(stop_loss=0.02))
        (shared,) = trial_folder.mounted().rglob("*.trials")
        refused, real = [], writing.lock

        def counted(*arguments):
            try:
                real(*arguments)
            except BlockingIOError:
                refused.append(arguments)
                raise

        monkeypatch.setattr(writing, "PATIENCE_S", 0.0)
        monkeypatch.setattr(writing, "lock", counted)
        monkeypatch.setattr("atb.trials.reading.lock", counted)
        with shared.open("rb") as stopped:
            fcntl.flock(stopped, fcntl.LOCK_EX)
            results = [run(slot(stop_loss=0.03 + k / 100)) for k in range(3)]
            assert len(refused) == 1
            assert len(read_ledger().frames) == 4
            seen_so_far = [result.seen for result in results]
            assert len(refused) == 2  # once to write, once to read
        assert [len(each.faults) for each in seen_so_far] == [0, 0, 0]
        assert WRITER.unwritten == 0
        assert len({*trial_folder.mounted().rglob("*.trials")} - {shared}) == 1

    def test_for_long_costs_no_more_than_a_bounded_memory(self, tmp_path, monkeypatch):
        (tmp_path / "trials").write_text("in the way", encoding="utf-8")
        monkeypatch.setattr("atb.trials.writing.KEPT", 4_000)
        with pytest.warns(TrialsNotRecordedWarning):
            run(slot(stop_loss=0.009))
        for k in range(12):
            run(slot(stop_loss=0.01 + k / 1_000))
        assert WRITER.lost > 0
        (tmp_path / "trials").unlink()
        lost = WRITER.lost
        run(slot(stop_loss=0.5))
        assert read_ledger().lost == lost
        assert f"{lost:,} trials could not be recorded when they were made" in read_ledger().faults()


def test_the_bound_of_memory_is_megabytes():
    assert KEPT == 16 << 20


def test_a_damaged_file_is_read_past_the_damage_which_is_counted():
    for k in range(3):
        run(slot(stop_loss=0.01 + k / 100))
    (path,) = trial_folder.mounted().rglob("*.trials")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content) + b"torn")
    folder = path.parents[1].with_name("copy")
    (folder / "m").mkdir(parents=True)
    (folder / "m" / path.name).write_bytes(path.read_bytes())
    ledger = read_ledger(folder)
    assert len(ledger.frames) == 2
    assert ledger.faults() == ["2 unfinished or changed rows were passed over"]


def test_folders_of_two_machines_side_by_side_are_one_ledger_and_equal_trials_count_once():
    result = run(slot(stop_loss=0.02))
    (path,) = trial_folder.mounted().rglob("*.trials")
    other = path.parents[1] / "other-machine"
    other.mkdir()
    (other / path.name).write_bytes(path.read_bytes())
    assert (seen(result.inputs).rows, seen(result.inputs).trials) == (2, 1)


def test_a_result_that_luck_alone_would_reach_has_that_found_against_it():
    from atb.experiments.findings import findings

    alone = run(slot(stop_loss=0.02))
    assert [text for text in findings(alone) if "luck alone" in text] == []
    falling = frame_of(100 * np.exp(np.cumsum(np.random.default_rng(4).normal(-0.003, 0.01, 1_500))))
    tried = [run(slot(falling, fast=3 + k)) for k in range(6)]
    worst = min(tried, key=lambda each: each.stats["sharpe"])
    (found,) = [text for text in findings(worst) if "luck alone" in text]
    assert found.startswith(f"This data has seen {worst.seen.trials} trials")
    assert "which is not below its own of " in found
    still = run(slot(frame_of(np.full(1_500, 100.0))))
    assert np.isnan(still.stats["sharpe"])
    assert [text for text in findings(still) if "luck alone" in text] == []  # of no ratio nothing is said
