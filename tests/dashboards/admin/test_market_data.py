"""Market data by hand: the forms do what the commands do, and refuse what they refuse."""

import io

import pytest

from atb.data import load_bars
from atb.data.catalogue.instruments import load_instrument
from atb.data.catalogue.sentiment import load_sentiment
from atb.data.catalogue.universes import load_universe
from atb.errors import DataError
from tests.dashboards.test_doors import trail

RULES = {"symbol": "BTCUSDT", "venue": "binance", "tick": "0.01", "lot": "0.00001", "min_quantity": "0", "min_notional": "5",
         "reason": "the venue's page"}  # fmt: skip
BARS = "timestamp,open,high,low,close,volume\n" + "".join(
    f"2024-01-01T0{hour}:00:00Z,1,2,0.5,1.5,10\n" for hour in (0, 1, 4)
)


def send(admin, form, **fields):
    done = admin.post(f"/admin/market-data/{form}", page="/admin/market-data/", **fields)
    assert done.status_code == 303
    return admin.get("/admin/market-data/").text


def bars_file(text=BARS):
    return (io.BytesIO(text.encode()), "binance_BTCUSDT_1h.csv")


def test_rules_that_were_typed_are_used_and_say_so(admin, settings):
    assert "Trading rules of BTC/USDT" in send(admin, "rules", **RULES)
    found = load_instrument("BTC/USDT", root=settings.bars_root, venue="binance")
    assert (str(found.tick), str(found.min_notional)) == ("0.01", "5")
    assert found.source == "typed in by admin: the venue's page"
    ((_, _, detail),) = trail(settings, "data_changed")
    assert (detail["form"], detail["by"]) == ("rules", "admin at the admin pages")


def test_a_file_with_a_gap_is_refused_until_its_gaps_are_accepted(admin, settings):
    assert "gap" in send(admin, "bars", file=bars_file())
    with pytest.raises(DataError):
        load_bars("BTC/USDT", "1h", root=settings.bars_root)
    page = send(admin, "bars", file=bars_file(), accept_gaps="yes")
    assert "3 added" in page
    assert "1 gap recorded, never filled" in page
    assert len(load_bars("BTC/USDT", "1h", root=settings.bars_root)) == 3
    assert len(trail(settings, "data_changed")) == 1


def test_a_sentiment_value_is_added_as_from_a_file(admin, settings):
    send(admin, "sentiment", name="my_index", time="2024-01-31", value="42.5")
    found = load_sentiment("my_index", root=settings.bars_root)
    assert found["value"].tolist() == [42.5]


def test_a_universe_is_stored_from_its_rows(admin, settings):
    send(admin, "symbols", name="mine", rows="symbol,listed,ended,delisted\nBTC/USDT,2020-01-01,,no\n")
    assert [str(one.symbol) for one in load_universe("mine", root=settings.bars_root).listings] == ["BTC/USDT"]


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("rules", RULES | {"tick": "0"}),
        ("rules", RULES | {"tick": "nan"}),
        ("rules", RULES | {"tick": "1e"}),
        ("rules", RULES | {"symbol": "nothing at all"}),
        ("rules", RULES | {"reason": ""}),
        ("rules", RULES | {"venue": "../../etc"}),
        ("symbols", {"name": "../x", "rows": "symbol,listed\nBTC/USDT,2020-01-01\n"}),
        ("symbols", {"name": "x", "rows": "nothing"}),
        ("sentiment", {"name": "x", "time": "soon", "value": "1"}),
        ("sentiment", {"name": "../x", "time": "2024-01-01", "value": "1"}),
        ("sentiment", {"name": "x", "time": "2024-01-01", "value": "high"}),
        ("bars", {}),
        ("bars", {"file": (io.BytesIO(b"PK\x03\x04"), "../../x.zip")}),
        ("nothing", {}),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_written(admin, settings, form, fields):
    page = send(admin, form, **fields)
    assert "alert" in page
    assert trail(settings, "data_changed") == []
    assert not [
        path
        for path in settings.bars_root.rglob("*")
        if path.is_file() and path.suffix in {".parquet", ".json", ".csv"}
    ]
