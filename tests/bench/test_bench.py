"""The benchmark measures what it says: equal work, checked agreement, honest notes."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from atb.bench import engines
from atb.bench.agreement import compare, equal_prices
from atb.bench.bare import BareLoop
from atb.bench.cases import ATB, BARE, CASES, Options, Row, jobs_of, measurable, rows_of, run_cases
from atb.bench.engines import EngineResult, FillRules, make_engine, missing_engines
from atb.bench.launch import launch
from atb.bench.measure import MEGABYTE, PeakMemory, busy, timed
from atb.bench.process import TASKS, BenchJob
from atb.bench.targets import check_targets
from atb.bench.workload import CALM, SEED, TICK, BenchParameters, generate, policy_grid, strategy_grid

SMALL = Options(bars=2_000, combos=4, repeat=1)
KEYS = {"case", "engine", "bars", "combos", "cpu_s", "ratio_to_atb", "peak_mb", "agrees"}
HERE = [name for name in ("atb", "bare loop", "vectorbt rust", "backtesting.py") if name not in missing_engines()]


def silent(*_):
    pass


def in_this_process(job: BenchJob):
    return TASKS[job.task](job)


# --- the workload -----------------------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_bars_and_others_do_not():
    assert np.array_equal(generate(900, 3).prices, generate(900, 3).prices)
    assert not np.array_equal(generate(900, 3).prices, generate(900, 4).prices)


def test_bars_are_possible_bars_on_a_grid_that_sums_exactly():
    opened, high, low, close = prices = generate(5_000, 1, sigma=0.01).prices
    assert (high >= np.maximum(opened, close)).all()
    assert (low <= np.minimum(opened, close)).all()
    assert np.array_equal(prices, np.round(prices / TICK) * TICK)
    assert np.array_equal(opened[1:], close[:-1])
    assert (generate(5_000, 1, gap=0.01).prices[0, 1:] != close[:-1]).mean() > 0.9


def test_no_engine_has_a_signal_before_all_are_warm():
    sides = make_engine(ATB).single(make_engine(ATB).load(generate(2_000, SEED)))[0].outcome.orders
    assert sides[0]["row"] > CALM


@pytest.mark.parametrize("count", [2, 4, 7, 100, 1_000])
def test_a_grid_has_as_many_different_combinations_as_were_asked_for(count):
    assert len(set(policy_grid(count))) == len(set(strategy_grid(count))) == count
    assert all(parameters.fast < parameters.slow for parameters in strategy_grid(count))


def test_no_distance_of_a_grid_puts_a_stop_on_a_price_of_the_market():
    for parameters in [*policy_grid(1_000), *strategy_grid(4)]:
        assert {math.gcd(round(distance * 1e6), 10) for distance in (parameters.stop, parameters.target)} == {1}


def test_with_the_usual_bars_the_fill_rules_of_all_engines_lead_to_the_same_trades():
    market = generate(100_000, SEED)
    own, other = (
        BareLoop(rules).result(BareLoop(rules).single(market)) for rules in (FillRules(), FillRules(False, False))
    )
    assert len(own.trades) == 930
    assert own == other


# --- agreement --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_the_bare_loop_trades_as_atb_to_the_last_bit_on_wild_bars_with_gaps(seed):
    market = generate(4_000, seed, sigma=0.012, gap=0.004)
    atb, bare = make_engine(ATB), BareLoop()
    mine, theirs = atb.result(atb.single(atb.load(market))), bare.result(bare.single(market))
    assert len(mine.trades) > 20
    assert compare(mine, theirs).agrees, compare(mine, theirs).text
    assert (mine.trades, mine.final_equity) == (theirs.trades, theirs.final_equity)


def test_every_rule_that_engines_differ_in_changes_trades_on_wild_bars():
    market = generate(20_000, 1, sigma=0.01)
    plain, *others = (
        BareLoop(rules).result(BareLoop(rules).single(market))
        for rules in (FillRules(), FillRules(False, True), FillRules(True, False))
    )
    for other in others:
        assert not compare(plain, other, tolerance=1e-6).agrees
        assert 0 < equal_prices(plain, other, tolerance=1e-6) < len(plain.trades)


@pytest.fixture
def found():
    trades = [[10.0, 12.0, 100.0, 104.0, 5.0], [20.0, 25.0, 100.0, 98.0, 5.0]]
    return EngineResult([1_010.0], [2], [0.02], trades)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 2), (1, 3), (0, 4)])
def test_one_broken_number_of_one_trade_is_a_disagreement(found, row, column):
    broken = [list(trade) for trade in found.trades]
    broken[row][column] += 0.001 if column > 1 else 1
    verdict = compare(found, replace(found, trades=broken), tolerance=1e-6)
    assert not verdict.agrees
    assert "1 of 2 trades" in verdict.text


@pytest.mark.parametrize(
    "change",
    [
        {"final_equity": [1_010.01]},
        {"max_drawdown": [0.0201]},
        {"trades_closed": [3]},
        {"trades": []},
        {"final_equity": []},
    ],
)
def test_other_figures_are_a_disagreement(found, change):
    assert not compare(found, replace(found, **change), tolerance=1e-6).agrees


def test_a_last_bit_is_a_disagreement_only_where_bits_are_promised(found):
    other = replace(found, final_equity=[math.nextafter(1_010.0, 2_000.0)])
    assert not compare(found, other).agrees
    assert compare(found, other, sums=1e-12).agrees
    assert compare(found, found).text == "2 trades equal"


def test_a_sweep_is_compared_as_far_as_it_went(found):
    whole = EngineResult([1.0, 2.0, 3.0], [1, 1, 1], [0.1, 0.1, 0.1])
    assert compare(whole, EngineResult([1.0, 2.0], [1, 1], [0.1, 0.1])).text == "2 combinations equal"
    assert not compare(whole, EngineResult([1.0, 2.5], [1, 1], [0.1, 0.1])).agrees


# --- the cases, in processes of their own -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def facts():
    """Single runs of every engine here on wild bars, each in its own process.

    In these bars vectorbt stops a position out where its exit was due, and the signal is back at that bar's close.
    """
    jobs = jobs_of("fills", replace(SMALL, bars=8_000, seed=38), HERE)
    return jobs, [launch(job) for job in jobs]


@pytest.mark.slow
def test_every_row_has_its_keys_and_every_engine_agrees(facts):
    rows = rows_of("fills", *facts)
    assert [row.engine for row in rows] == HERE
    for row in rows:
        shown = row.to_json()
        assert shown.keys() >= KEYS
        assert row.agrees is True, shown
        assert row.cpu_s > 0
        assert row.wall_s > 0
        assert row.peak_mb >= 0
    assert rows[0].ratio_to_atb == 1.0


@pytest.mark.slow
def test_a_price_that_an_engine_got_wrong_is_seen(facts):
    jobs, honest = facts
    broken = [dict(fact) for fact in honest]
    trades = [list(trade) for trade in honest[-1]["found"]["trades"]]
    trades[3][2] *= 1.001
    broken[-1]["found"] = honest[-1]["found"] | {"trades": trades}
    rows = rows_of("fills", jobs, broken)
    assert [row.agrees for row in rows] == [*[True] * (len(HERE) - 1), False]
    assert any("trades are equal" in note for note in rows[-1].notes)


@pytest.mark.slow
@pytest.mark.skipif("vectorbt rust" not in HERE, reason="needs vectorbt and vectorbt-rust")
def test_vectorbt_is_held_to_its_own_rules_and_the_difference_is_counted(facts):
    row = next(row for row in rows_of("fills", *facts) if row.engine == "vectorbt rust")
    assert row.notes[0].startswith("under its own fill rules")
    same, total = (int(number) for number in re.findall(r"\d+", row.notes[1]))
    assert 0 < same < total
    assert "in the entry bar" in row.notes[1]


@pytest.mark.parametrize("case", ["single", "tables", "multi", "sweep", "grid"])
def test_atb_agrees_with_the_bare_loop_in_every_case(case):
    rows = list(run_cases([case], SMALL, [ATB, BARE], runner=in_this_process, progress=silent))
    assert [row.agrees for row in rows] == [True, True], [row.notes for row in rows]
    assert {row.combos for row in rows} == {4 if case in {"sweep", "grid"} else 1}


@pytest.mark.slow
def test_cores_and_memory_are_rows_of_atb():
    cores = list(run_cases(["cores"], SMALL, [ATB, BARE], runner=in_this_process, progress=silent))
    assert [(row.engine, row.workers) for row in cores] == [(ATB, 1), (ATB, 2)]
    assert "the speed of one worker" in cores[1].notes[0]
    memory = list(run_cases(["memory"], SMALL, [ATB, BARE], runner=in_this_process, progress=silent))
    assert [row.combos for row in memory] == [2, 4, 40]


def test_the_start_is_timed_from_outside_the_process():
    (row,) = run_cases(["start"], SMALL, [ATB], runner=launch, progress=silent)
    assert row.wall_s > row.cpu_s / 4 > 0
    assert row.ratio_to_atb == 1.0


@pytest.mark.slow
def test_a_cold_compile_leaves_the_compiled_kernel_of_this_installation_alone():
    from atb.engine.cache import cache_folder, is_compiled

    before = sorted(path.name for path in cache_folder().iterdir())
    (row,) = run_cases(["cold"], SMALL, [ATB], runner=launch, progress=silent)
    assert row.cpu_s > 1.0, row.notes
    assert sorted(path.name for path in cache_folder().iterdir()) == before
    assert is_compiled()


@pytest.mark.slow
def test_progress_counts_all_jobs_of_all_cases():
    seen = []
    list(
        run_cases(
            ["single", "memory"], SMALL, [ATB, BARE], runner=in_this_process, progress=lambda *at: seen.append(at[:2])
        )
    )
    assert seen == [(k, 5) for k in range(1, 6)]


@pytest.mark.slow
def test_what_the_budget_did_not_allow_is_scaled_and_said(monkeypatch):
    monkeypatch.setattr(BareLoop, "chunk", 2)
    whole, part = (
        in_this_process(BenchJob(BARE, "sweep", bars=2_000, combos=8, repeat=1, budget=budget))
        for budget in (60.0, 0.0)
    )
    assert (whole["measured"], part["measured"]) == (8, 2)
    assert part["found"]["final_equity"] == whole["found"]["final_equity"][:2]
    (row,) = rows_of("memory", [BenchJob(BARE, "sweep", combos=8)], [part])
    assert row.notes == ["2 of 8 combinations measured, the time is scaled up"]


def test_an_engine_that_fails_is_a_row_with_its_last_words():
    facts = launch(BenchJob(ATB, "nonsense"))
    assert facts == {"error": "KeyError: 'nonsense'"}
    (row,) = rows_of("cold", [BenchJob(ATB, "cold")], [facts])
    assert (row.cpu_s, row.agrees) == (None, None)
    assert row.notes == ["failed: KeyError: 'nonsense'"]


def test_a_peer_that_is_not_installed_is_named_and_left_out(monkeypatch):
    absent = engines.EngineEntry("nowhere:Nothing", ("no_such_package",))
    monkeypatch.setitem(engines.ENGINES, "backtesting.py", absent)
    assert "backtesting.py" in missing_engines()
    assert "backtesting.py" not in measurable(missing_engines())
    assert measurable(missing_engines())[:2] == [ATB, BARE]


# --- time and memory --------------------------------------------------------------------------------------------------


def test_the_peak_is_seen_after_the_memory_was_given_back():
    memory = PeakMemory()
    np.ones(60 * MEGABYTE // 8).sum()
    assert 50 < memory.megabytes() < 200


def test_a_busy_machine_is_said_and_a_quiet_one_is_not(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("os.getloadavg", lambda: (1.9, 9.0, 9.0))
    assert busy() is None
    monkeypatch.setattr("os.getloadavg", lambda: (2.1, 0.0, 0.0))
    assert "load 2.1 on 4 cores" in busy()


def test_a_call_is_timed_with_what_it_returns():
    value, timing = timed(lambda: sum(range(300_000)))
    assert value == 299_999 * 150_000
    assert 0 < timing.cpu < 10
    assert timing.wall > 0


# --- promises ---------------------------------------------------------------------------------------------------------


def row_of(case, engine=ATB, **values):
    usual = {"bars": 100_000, "combos": 1_000, "cpu_s": 1.0, "ratio_to_atb": 1.0, "peak_mb": 50.0, "agrees": True}
    return Row(case, engine, **(usual | values))


KEPT = [
    row_of("single", combos=1),
    row_of("single", "vectorbt numba", combos=1, ratio_to_atb=12.0),
    row_of("single", "vectorbt rust", combos=1, ratio_to_atb=11.0),
    row_of("sweep", "vectorbt numba", ratio_to_atb=25.0),
    row_of("memory", combos=100),
    row_of("memory", combos=10_000, peak_mb=150.0),
    row_of("memory", "vectorbt numba", peak_mb=2_000.0),
    row_of("cores", wall_s=2.0),
    row_of("cores", wall_s=1.0, workers=2, ratio_to_atb=0.5),
    row_of("start", wall_s=0.8),
    row_of("start", "vectorbt numba", wall_s=8.0),
    row_of("cold", wall_s=12.0),
]


def test_kept_promises_are_met_with_their_figures():
    verdicts = check_targets(KEPT)
    assert [verdict.met for verdict in verdicts] == [True] * 6
    assert str(verdicts[0]) == "met: one backtest of 100,000 bars at least 10x vectorbt: 11.0x (vectorbt rust)"
    assert [verdict.figure for verdict in verdicts[2:]] == [
        "50 MB for 100, 150 MB for 10,000",
        "2.00x",
        "0.80 s",
        "12.00 s",
    ]


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (2, {"ratio_to_atb": 9.9}),
        (1, {"agrees": False}),
        (3, {"ratio_to_atb": 19.0}),
        (5, {"peak_mb": 201.0}),
        (8, {"ratio_to_atb": 0.6}),
        (9, {"wall_s": 1.01}),
        (11, {"wall_s": 15.1}),
    ],
)
def test_each_promise_can_be_missed(place, change):
    rows = [replace(row, **change) if k == place else row for k, row in enumerate(KEPT)]
    missed = [verdict for verdict in check_targets(rows) if not verdict.met]
    assert len(missed) == 1
    assert str(missed[0]).startswith("MISSED: ")


def test_a_promise_that_was_not_measured_is_not_judged_and_other_sizes_are_said():
    assert check_targets([row_of("grid")]) == []
    (verdict,) = check_targets([row_of("sweep", "vectorbt rust", ratio_to_atb=30.0, bars=2_000, combos=4)])
    assert "2,000 bars x 4 combinations" in verdict.figure


# --- the project ------------------------------------------------------------------------------------------------------


def test_every_engine_is_got_by_a_target_of_make_that_there_is(repository):
    text = (repository / "Makefile").read_text(encoding="utf-8")
    assert {listed.target for listed in engines.ENGINES.values()} == {"setup", "bench-setup"}
    assert all(f"\n{listed.target}: " in text for listed in engines.ENGINES.values())
    assert engines.ENGINES["backtesting.py"].target == "bench-setup"


def test_the_plain_rule_is_the_one_that_is_promised():
    assert BenchParameters() == BenchParameters(fast=20, slow=50, stop=0.02, target=0.04)
    assert list(CASES) == [*dict.fromkeys(CASES)]
