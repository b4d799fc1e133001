"""What could have been known at a time: nothing that came later, and values as they stood then."""

import pandas as pd
import pytest

from atb.data.catalogue.atomic import write_files
from atb.data.catalogue.events import funding_at, save_events, sentiment_at
from atb.data.catalogue.revisions import Revision, with_revisions
from atb.data.catalogue.series import all_series
from atb.data.catalogue.universes import save_universe
from atb.data.catalogue.writing import save_bars
from atb.data.known import known_at
from atb.domain import Symbol
from atb.domain.universe import Listing, Universe
from atb.errors import InputError
from atb.times import in_ms
from tests.bars import bars_of, random_walk

LATE = pd.Timestamp("2024-03-01", tz="UTC")


def stock(root, hours: int = 96) -> None:
    """Store four days of hourly bars, payments, a mood per day seen while new, and a universe."""
    frame = random_walk(96).iloc[:hours]
    save_bars(bars_of(frame, "BTC/USDT", "1h", "file"), root=root, source="a test")
    paid = pd.DataFrame({"funding_rate": range(hours // 8)}, frame.index[::8]).astype(float) / 1e4
    save_events(
        funding_at(root, symbol=Symbol.parse("BTC/USDT:USDT"), venue="file"), paid, source="a test", fetched=LATE
    )
    mood = pd.DataFrame({"value": range(10, 10 + hours // 24)}, frame.index[::24]).astype(float)
    save_events(sentiment_at(root, "mood"), mood, source="a test", fetched=LATE)
    first = in_ms(frame.index[0])
    listings = (
        Listing(Symbol.parse("BTC/USDT"), first),
        Listing(Symbol.parse("XYZ/USDT"), first, first + 86_400_000, delisted=True),
    )
    save_universe(Universe("all", listings), root=root)


def rows(root, time, **options):
    return {row["kind"]: row for row in known_at(time, root=root, **options).to_dict("records")}


def test_the_newest_closed_bar_the_last_payment_and_the_published_mood_are_found(tmp_path):
    stock(tmp_path)
    start = random_walk(1).index[0]
    found = rows(tmp_path, start + pd.Timedelta(hours=30, minutes=59))
    assert found["bars"]["stated"] == start + pd.Timedelta(hours=29)
    assert found["bars"]["known"] == start + pd.Timedelta(hours=30)
    assert found["bars"]["values"]["close"] == random_walk(96)["close"].iloc[29]
    assert found["funding"]["stated"] == start + pd.Timedelta(hours=24)
    assert found["funding"]["values"] == {"funding_rate": 3e-4}
    assert found["sentiment"]["stated"] == start  # the value of the second day is published at its end
    assert found["sentiment"]["values"] == {"value": 10.0}
    assert "reconstructed" in found["sentiment"]["note"]
    assert found["universe"]["values"] == {"symbols": 1.0}


def test_what_comes_later_changes_no_answer(tmp_path):
    stock(tmp_path / "short", hours=48)
    stock(tmp_path / "long", hours=96)
    start = random_walk(1).index[0]
    for hours in (1, 8, 23, 24, 25, 40):
        ours, theirs = (known_at(start + pd.Timedelta(hours=hours), root=tmp_path / name) for name in ("short", "long"))
        pd.testing.assert_frame_equal(ours, theirs)


def test_a_value_that_was_revised_later_is_shown_as_it_stood(tmp_path):
    stock(tmp_path)
    frame = random_walk(96)
    (series,) = all_series(tmp_path)
    stored = float(frame["volume"].iloc[29])
    seen, values = frame.index[60], ({"volume": 1.5}, {"volume": stored})
    revision = Revision(frame.index[29], seen, *values, kept="later", source="a correction")
    write_files(with_revisions(series.folder, [revision]))
    before, after = (rows(tmp_path, frame.index[30]), rows(tmp_path, LATE))
    assert before["bars"]["values"]["volume"] == 1.5
    assert "after this" in before["bars"]["note"]
    assert after["bars"]["values"]["volume"] == frame["volume"].iloc[-1]
    assert after["bars"]["note"] == ""


def test_one_symbol_alone_may_be_asked_for(tmp_path):
    stock(tmp_path)
    start = random_walk(1).index[0]
    found = rows(tmp_path, start + pd.Timedelta(hours=30), symbol="XYZ/USDT")
    assert set(found) == {"sentiment", "universe"}
    assert found["universe"]["values"] == {"XYZ/USDT": 0.0}


def test_before_everything_nothing_was_known(tmp_path):
    stock(tmp_path)
    assert known_at("2001-01-01", root=tmp_path).empty


@pytest.mark.parametrize("time", [None, "now", "soon"])
def test_a_time_is_needed(tmp_path, time):
    with pytest.raises(InputError):
        known_at(time, root=tmp_path)
