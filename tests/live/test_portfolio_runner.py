"""Several manifests on one account: what the runner journals is the backtest of all slots at once, bit by bit."""

import pytest

from atb.data.catalogue.writing import save_bars
from atb.errors import InputError
from tests.bars import bars_of, random_walk
from tests.database import mainly_sqlite
from tests.live.desk import Desk, first_open, many_result, promote_each, read_journal
from tests.live.test_runner import assert_equal_to_backtest
from tests.timeouts import PATIENCE_S


def three_markets(desk: Desk):
    """Stock two hourly markets and a four-hourly one; one of the hourly ones has holes, and both end later."""
    frame = random_walk(420, 21)
    holed = bars_of(frame.drop(frame.index[[340, 341, 342, 343, 344, 380]]), "ETH/USDT")
    save_bars(holed, root=desk.bars_root, source="a seeded walk with holes", accept_gaps=True)
    return desk.stock(420, 20), holed, desk.stock(105, 22, symbol="SOL/USDT", timeframe="4h")


def test_three_slots_of_two_timeframes_equal_their_backtest(sqlite_desk):
    result = many_result(three_markets(sqlite_desk))
    summary = sqlite_desk.trade(*promote_each(sqlite_desk, result), since=first_open(result))
    journal = read_journal(sqlite_desk.url)
    assert {fill["slot"] for fill in journal["fill"]} == {0, 1, 2}
    assert len(journal["session"]) == 1
    assert_equal_to_backtest(journal, result)
    assert summary.bars == len(journal["decision"])
    refused = [row["refusal"] for row in (*journal["decision"], *journal["intent"]) if row["refusal"]]
    assert sorted(", ".join(refused).split(", ")) == sorted(result.refused["reason"])


@mainly_sqlite
def test_three_slots_go_on_wherever_they_stopped(desk):
    """On either database; slots of other timeframes stand at other bars each time."""
    result = many_result(three_markets(desk))
    paths, index = promote_each(desk, result), result.index
    for cut in range(9, len(index), 37):
        desk.trade(*paths, since=first_open(result), until=index[cut].isoformat())
    desk.trade(*paths)
    assert_equal_to_backtest(read_journal(desk.url), result)


def test_the_real_process_with_two_manifests_equals_a_backtest_of_two_slots(sqlite_desk):
    markets = [sqlite_desk.stock(200, 20), sqlite_desk.stock(200, 21, symbol="ETH/USDT")]
    result = many_result(markets)
    paths = promote_each(sqlite_desk, result)
    process = sqlite_desk.start(*paths, "--from", first_open(result))
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "slot-0, slot-1 on paper account paper, finished" in out
    journal = read_journal(sqlite_desk.url)
    assert_equal_to_backtest(journal, result)
    ids = [row["client_id"] for row in journal["intent"]]
    assert len(set(ids)) == len(ids)


def test_the_same_manifests_in_another_order_are_another_session(sqlite_desk):
    result = many_result([sqlite_desk.stock(90, 20), sqlite_desk.stock(90, 21, symbol="ETH/USDT")])
    paths = promote_each(sqlite_desk, result)
    for chosen in (paths, paths[::-1]):
        sqlite_desk.trade(*chosen, since=first_open(result))
    assert len(read_journal(sqlite_desk.url)["session"]) == 2


def test_a_manifest_named_twice_is_refused_before_anything_is_written(sqlite_desk):
    result = many_result([sqlite_desk.stock(90, 20)])
    (path,) = promote_each(sqlite_desk, result)
    with pytest.raises(InputError, match="named twice"):
        sqlite_desk.trade(path, path, since=first_open(result))
    assert read_journal(sqlite_desk.url)["session"] == []
