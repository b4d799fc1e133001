"""Files of the usual sources: each gives the very bars that were written, or is refused in one sentence."""

import pandas as pd
import pytest

from atb.data import ImportRules, import_file
from atb.errors import DataError
from tests.bars import random_walk
from tests.data.providers.sources import SOURCES, ZONELESS

# Prices of four digits and more, across the European clock change of spring 2024.
FRAME = random_walk(72, 5, price=42_000.0)
FRAME = FRAME.set_axis(pd.date_range("2024-03-30", periods=72, freq="1h", tz="UTC", name="timestamp"))


@pytest.mark.parametrize("source", SOURCES)
def test_the_usual_sources_give_the_bars_that_were_written(tmp_path, source):
    path = SOURCES[source](tmp_path, FRAME)
    report = import_file(path, root=tmp_path / "bars", symbol="BTC/USDT", timeframe="1h")
    pd.testing.assert_frame_equal(report.bars.frame, FRAME, check_freq=False)
    assert report.bars.gaps == ()


@pytest.mark.parametrize("source", ZONELESS)
def test_a_source_that_does_not_say_its_zone_is_asked_for_it(tmp_path, source):
    path = ZONELESS[source](tmp_path, FRAME)
    with pytest.raises(DataError, match=r"no time zone; found '.*2024.*--utc.*--tz") as caught:
        import_file(path, root=tmp_path / "bars", symbol="BTC/USDT", timeframe="1h")
    assert (source != "metatrader 5") or "columns '<DATE>' and '<TIME>'" in str(caught.value)
    report = import_file(
        path, root=tmp_path / "bars", symbol="BTC/USDT", timeframe="1h", rules=ImportRules(assume_utc=True)
    )
    pd.testing.assert_frame_equal(report.bars.frame, FRAME, check_freq=False)
