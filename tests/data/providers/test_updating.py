"""Updating: the last stored bars are asked for again, all of them and no others."""

import pytest

from atb.data.catalogue.series import all_series
from atb.data.catalogue.writing import save_bars
from atb.data.providers.candle_source import HeldCandles
from atb.data.providers.updating import recheck
from tests.bars import bars_of, random_walk

MARKET = random_walk(60, 3)


@pytest.mark.parametrize(("asked", "compared"), [(4, 4), (25, 25), (50, 30)])
def test_as_many_bars_as_are_stored_are_compared_in_as_many_pages_as_it_takes(tmp_path, asked, compared):
    save_bars(bars_of(MARKET.iloc[20:50], venue="elsewhere"), root=tmp_path, source="before")
    (series,) = all_series(tmp_path)
    source = HeldCandles([bars_of(MARKET, venue="elsewhere")], origin="a test")
    source.page = 7
    found = recheck(series, source, root=tmp_path, bars=asked)
    assert (found.added, found.unchanged, found.replaced) == (0, compared, 0)
