"""Contract of every provider in the register: closed bars in order, each once, in UTC; the same again; resumed where it stopped."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from atb.data import list_series, load_bars, verify
from atb.data.providers import PROVIDERS, open_provider
from atb.data.providers.download import download_bars
from atb.domain import Timeframe
from atb.errors import InputError
from tests.contracts.providers import HOUR_MS, STAGES

HOUR = Timeframe.parse("1h")
of_each = pytest.mark.parametrize("name", sorted(STAGES))


@pytest.fixture
def stage(name, tmp_path):
    """The provider on its stage; `tmp_path / "bars"` is free for a catalogue."""
    with STAGES[name](tmp_path) as stage:
        yield stage


def fetch(stage, root, start=None, end=None, *, symbol=None, timeframe="1h"):
    return download_bars(symbol or str(stage.symbol), timeframe, start, end, root=root, source=stage.make())


def stored(stage, root):
    return load_bars(str(stage.symbol), "1h", root=root, venue=stage.make().venue)


def test_every_provider_is_tried_here_and_a_mistyped_one_is_recognised():
    assert {name.split()[0] for name in STAGES} == set(PROVIDERS)
    with pytest.raises(InputError, match=r"Unknown provider; found 'smaple'\. Did you mean 'sample'\?"):
        open_provider("smaple")


@of_each
def test_a_page_begins_where_asked_and_is_in_order_each_candle_once(stage):
    source = stage.make()
    for row in (0, 1, len(stage.bars) // 2, len(stage.bars) - 3):
        since = int(stage.bars.opened_ms[row])
        page = source.candles(stage.symbol, HOUR, since)
        opened = [candle[0] for candle in page]
        assert 0 < len(page) <= source.page
        assert opened[0] == since
        assert all(before < after for before, after in pairwise(opened))
        known = min(len(page), len(stage.bars) - row)
        assert opened[:known] == stage.bars.opened_ms[row : row + known].tolist()
        assert [candle[1:] for candle in page[:known]] == stage.bars.frame.iloc[row : row + known].to_numpy().tolist()


@of_each
def test_a_page_between_two_opens_begins_at_the_next_and_beyond_the_present_there_is_none(stage):
    source = stage.make()
    assert source.candles(stage.symbol, HOUR, int(stage.bars.opened_ms[5]) + 1)[0][0] == stage.bars.opened_ms[6]
    assert all(
        candle[0] <= source.now_ms() for candle in source.candles(stage.symbol, HOUR, int(stage.bars.opened_ms[-2]))
    )
    assert source.candles(stage.symbol, HOUR, source.now_ms() + HOUR_MS) == []


@of_each
def test_a_symbol_or_timeframe_that_it_lacks_is_refused_in_one_sentence(stage, tmp_path):
    for symbol, timeframe in (("BTCC/USDT", "1h"), (str(stage.symbol), "7m")):
        with pytest.raises(InputError) as refused:
            fetch(stage, tmp_path / "bars", "2024-01-01", symbol=symbol, timeframe=timeframe)
        assert "\n" not in str(refused.value)
        assert not list((tmp_path / "bars").rglob("*"))


@of_each
def test_trading_rules_are_of_the_symbol_or_not_known(stage):
    rules = stage.make().instrument(stage.symbol, HOUR)
    assert rules is None or (rules.symbol == stage.symbol and rules.tick > 0)


@of_each
def test_what_is_stored_is_every_closed_bar_in_utc_and_says_where_it_comes_from(stage, tmp_path):
    report = fetch(stage, tmp_path / "bars", stage.bars.frame.index[0])
    found = stored(stage, tmp_path / "bars")
    pd.testing.assert_frame_equal(found.frame, stage.bars.frame, check_exact=True, check_freq=False)
    assert str(found.frame.index.tz) == "UTC"
    assert np.all(np.diff(found.opened_ms) > 0)
    assert found.closed_ms[-1] <= stage.make().now_ms()
    assert (report.added, report.gaps, report.venue) == (len(stage.bars), (), found.venue)
    assert "; ".join(list_series(tmp_path / "bars")[0].sources) == stage.make().origin
    assert not any(verdict.problems for verdict in verify(tmp_path / "bars"))


@of_each
def test_the_same_is_given_again_byte_for_byte(stage, tmp_path):
    start = stage.bars.frame.index[100]
    for root in ("one", "two"):
        fetch(stage, tmp_path / root, start)
    files = [sorted((tmp_path / root).rglob("*.parquet")) for root in ("one", "two")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert len(files[0]) > 0


@of_each
def test_a_part_goes_on_where_it_stopped_backwards_too_and_adds_nothing_twice(stage, tmp_path):
    root, index = tmp_path / "bars", stage.bars.frame.index
    step = min(100, len(index) // 15)
    assert fetch(stage, root, index[5 * step], index[9 * step]).added == 4 * step
    assert fetch(stage, root, end=index[13 * step]).added == 4 * step
    assert fetch(stage, root, index[0], index[13 * step]).added == 5 * step
    assert fetch(stage, root, index[0]).added == len(stage.bars) - 13 * step
    assert fetch(stage, root).added == 0
    assert stored(stage, root).fingerprint == fingerprint_of(stage)


def fingerprint_of(stage):
    """Return the fingerprint of all closed bars, under the name that they are stored by."""
    return type(stage.bars)(stage.symbol, HOUR, stage.bars.frame, stage.make().venue).fingerprint


SENSELESS = (
    ("2024-02-01", "2024-02-01", "start must be before end"),
    ("2024-02-02", "2024-02-01", "start must be before end"),
    (None, None, "Nothing of BTC/USDT(:USDT)? is stored yet"),
    ("someday", None, "Not a moment"),
)


@of_each
def test_a_range_that_makes_no_sense_is_refused_in_one_sentence_and_nothing_is_stored(stage, tmp_path):
    for start, end, message in SENSELESS:
        with pytest.raises(InputError, match=message) as refused:
            fetch(stage, tmp_path / "bars", start, end)
        assert "\n" not in str(refused.value)
        assert not list((tmp_path / "bars").rglob("*.parquet"))
