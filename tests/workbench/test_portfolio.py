"""Slots of several symbols: one account, one start; and those of a universe, traded from their listing on and to their end."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from atb.config import load_settings
from atb.data import derive_universe, save_universe
from atb.data.catalogue.writing import save_bars
from atb.domain import Symbol, Timeframe
from atb.domain.universe import Listing, Universe
from atb.errors import DataError, InputError
from atb.times import at_ms
from atb.validation.windows import check_windows
from atb.workbench import (
    Period,
    evidence,
    make_rules,
    make_strategy,
    prepare_slot,
    prepare_slots,
    run,
    traded_part,
    traded_parts,
)
from tests.bars import bars_of, random_walk

CROSS = make_strategy("sma_cross", fast=10, slow=40)
QUICK = make_strategy("sma_cross", fast=2, slow=5)


def test_several_symbols_share_the_fraction_and_begin_together(stocked):
    slots, start = prepare_slots(CROSS, ["BTCUSDT", "ETH/USDT"], "1h", period=Period(days=30))
    assert [str(slot.bars.symbol) for slot in slots] == ["BTC/USDT", "ETH/USDT"]
    assert {slot.policy.fraction for slot in slots} == {0.95 / 2}
    result = run(slots, start=start)
    assert len(result.index) == 30 * 24
    assert {*result.trades["symbol"]} == {"BTC/USDT", "ETH/USDT"}
    part = traded_parts(slots, start, Period(days=30))
    assert [line.split(":")[0] for line in part.splitlines()] == ["BTC/USDT", "ETH/USDT"]


def test_one_symbol_of_a_list_is_what_it_is_alone(stocked):
    (slot,), start = prepare_slots(CROSS, ["BTC/USDT"], "1h", period=Period(days=30))
    alone, same = prepare_slot(CROSS, "BTC/USDT", "1h", period=Period(days=30))
    assert (slot.policy, slot.bars.fingerprint, start) == (alone.policy, alone.bars.fingerprint, same)
    assert traded_parts((slot,), start, Period(days=30)) == traded_part(alone, same, Period(days=30))


@pytest.mark.parametrize("symbols", [[], ["BTC/USDT", "btcusdt"]])
def test_no_symbol_and_one_given_twice_are_refused(stocked, symbols):
    with pytest.raises(InputError, match="each once"):
        prepare_slots(CROSS, symbols, "1h")


def test_symbols_that_were_never_traded_at_one_time_are_refused(stocked, tmp_path):
    dead = random_walk(300)
    dead.index -= pd.Timedelta(days=4 * 365)
    save_bars(bars_of(dead, "LUNA/USDT", "1h", "synthetic"), root=load_settings().bars_root, source="a test")
    with pytest.raises(InputError, match=r"LUNA/USDT has no bar from 20"):
        prepare_slots(CROSS, ["BTC/USDT", "LUNA/USDT"], "1h", period=Period(days=5))


# --- universes ---


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A catalogue of four daily symbols: one from the start, one listed later, one delisted, one that leaves for a while."""
    monkeypatch.setenv("ATB__DATA__ROOT", str(tmp_path))
    root = load_settings().bars_root
    for number, (name, first, last) in enumerate(
        (("AAA", 0, 400), ("BBB", 150, 400), ("CCC", 0, 250), ("DDD", 0, 400))
    ):
        frame = random_walk(400, number)
        frame.index = frame.index[0] + (frame.index - frame.index[0]) * 24
        save_bars(bars_of(frame.iloc[first:last], f"{name}/USDT", "1d", "file"), root=root, source="a test")
    derived = derive_universe("small", root=root, venue="file", timeframe=Timeframe.parse("1d"))
    ddd = derived.of(derived.symbols[3])[0]
    day = 86_400_000
    first = Listing(ddd.symbol, ddd.listed_ms, ddd.listed_ms + 200 * day)
    apart = (first, Listing(ddd.symbol, ddd.listed_ms + 300 * day))
    made = Universe("small", tuple(one for one in derived.listings if one.symbol != ddd.symbol) + apart)
    save_universe(made, root=root)
    return made


def held(result, symbol):
    slot = next(number for number, one in enumerate(result.slots) if str(one.bars.symbol) == symbol)
    orders = result.orders[result.orders["symbol"] == symbol]
    return orders, result.positions.iloc[:, slot]


def test_symbols_join_and_leave_as_of_their_days_and_a_dead_one_is_sold_at_its_last_open(small):
    period = Period("2024-03-01", "2025-01-20")
    slots, start = prepare_slots(QUICK, [], "1d", period=period, universe="small")
    assert [str(slot.bars.symbol) for slot in slots] == ["AAA/USDT", "BBB/USDT", "CCC/USDT", "DDD/USDT"]
    result = run(slots, start=start)
    orders, position = held(result, "BBB/USDT")
    assert orders["bar"].min() >= at_ms(small.of(slots[1].bars.symbol)[0].listed_ms) + pd.Timedelta(
        days=4
    )  # its own warm-up
    orders, position = held(result, "CCC/USDT")
    assert len(orders)
    assert position.iloc[-1] == 0.0
    assert orders["bar"].max() <= slots[2].bars.frame.index[-1]
    orders, position = held(result, "DDD/USDT")
    first, second = small.of(slots[3].bars.symbol)
    left, back = at_ms(first.ended_ms), at_ms(second.listed_ms)
    assert not ((orders["bar"] > left) & (orders["bar"] < back)).any()
    assert (orders["bar"] >= back).any()
    assert (position[left + pd.Timedelta(days=1) : back - pd.Timedelta(days=2)] == 0.0).all()


def test_nothing_is_carried_over_a_hole_and_what_comes_back_is_traded_once_it_is_warm(tmp_path, monkeypatch):
    monkeypatch.setenv("ATB__DATA__ROOT", str(tmp_path))
    root = load_settings().bars_root
    for number, name in enumerate(("AAA", "LUNA")):
        frame = random_walk(200, number)
        frame.index = frame.index[0] + (frame.index - frame.index[0]) * 24
        if name == "LUNA":  # another coin under the same name, worth a hundred thousand times as much
            frame.iloc[100:, :4] *= 1e5
            frame = frame.drop(frame.index[90:100])
        save_bars(bars_of(frame, f"{name}/USDT", "1d", "file"), root=root, source="a test", accept_gaps=True)
    save_universe(derive_universe("both", root=root, venue="file", timeframe=Timeframe.parse("1d")), root=root)
    holding = make_strategy("sma_cross", fast=1, slow=20)
    slots, start = prepare_slots(holding, [], "1d", period=Period("2024-02-01", "2024-07-18"), universe="both")
    orders, position = held(run(slots, start=start), "LUNA/USDT")
    ((_, back),) = slots[1].bars.gaps
    last = slots[1].bars.frame.index[slots[1].bars.frame.index < back][-1]
    assert position[:last].any()
    assert position[last] == 0.0
    assert (orders["bar"] > back).any()
    assert orders["bar"][orders["bar"] >= back].min() > back + pd.Timedelta(days=holding.warmup)


@pytest.mark.slow
def test_a_runner_that_knows_the_listings_decides_every_bar_alike(small):
    slots, start = prepare_slots(QUICK, [], "1d", period=Period("2024-06-01", "2024-10-01"), universe="small")
    result = run(slots, start=start)
    assert all(one.report.equal for one in check_windows(result.inputs))
    assert evidence(result).parity.equal


def test_the_end_of_a_symbol_changes_nothing_before_it(small):
    period = Period("2024-03-01", "2024-08-01")
    slots, start = prepare_slots(QUICK, [], "1d", period=period, universe="small")
    open_ended = tuple(
        replace(one, listings=tuple(Listing(each.symbol, each.listed_ms) for each in one.listings[:1])) for one in slots
    )
    ours, theirs = run(slots, start=start), run(open_ended, start=start)
    ends = min(each.ended_ms for slot in slots for each in slot.listings if each.ended_ms)
    until = at_ms(ends) - pd.Timedelta(days=2)
    assert np.array_equal(ours.equity[:until], theirs.equity[:until])


def test_the_fraction_is_shared_by_what_can_be_held_at_once(small):
    period = Period("2024-03-01", "2025-01-20")
    slots, _ = prepare_slots(QUICK, [], "1d", period=period, universe="small")
    assert {slot.policy.fraction for slot in slots} == {0.95 / 4}
    slots, _ = prepare_slots(QUICK, [], "1d", period=period, universe="small", rules=make_rules(max_positions=2))
    assert {slot.policy.fraction for slot in slots} == {0.95 / 2}


def test_a_universe_without_its_dead_symbols_is_refused(small):
    root = load_settings().bars_root
    ghost = Listing(Symbol("GHOST", "USDT"), small.listings[0].listed_ms)
    save_universe(Universe("more", (*small.listings, ghost)), root=root)
    with pytest.raises(DataError, match="1 symbol of more"):
        prepare_slots(QUICK, [], "1d", universe="more")


def test_a_universe_of_symbols_that_several_venues_have_wants_the_venue_named(small):
    root = load_settings().bars_root
    frame = random_walk(400, 0)
    frame.index = frame.index[0] + (frame.index - frame.index[0]) * 24
    save_bars(bars_of(frame, "AAA/USDT", "1d", "other"), root=root, source="a test")
    with pytest.raises(DataError, match=r"Several venues have AAA/USDT 1d.*--venue"):
        prepare_slots(QUICK, [], "1d", universe="small")
    slots, _ = prepare_slots(QUICK, [], "1d", universe="small", venue="file")
    assert {slot.bars.venue for slot in slots} == {"file"}


def test_an_unknown_universe_is_answered_with_the_nearest(small):
    with pytest.raises(InputError, match="Did you mean 'small'"):
        prepare_slots(QUICK, [], "1d", universe="smal")
