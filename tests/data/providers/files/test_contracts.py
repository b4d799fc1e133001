"""Spot pair or perpetual: as names, folders, venue, rows and columns say; where nothing does, it is said what was assumed."""

from pathlib import Path

import pytest

from atb.data import ImportRules
from atb.data.providers.archives import ArchiveCandles
from atb.data.providers.files.importing import import_file, import_symbols
from atb.domain import Symbol, Timeframe
from atb.errors import InputError
from tests.bars import random_walk

FRAME = random_walk(48, 3)
PERPETUAL, SPOT = "BTC/USDT:USDT", "BTC/USDT"


def written(folder: Path, name: str, **columns: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    FRAME.assign(**columns).to_csv(path)
    return path


def imported(folder: Path, path: Path, **given: object):
    return import_file(path, root=folder / "bars", rules=ImportRules(), **given)


@pytest.mark.parametrize(
    "name",
    ["binance_BTCUSDT_PERP_1h.csv", "binance_BTCUSDT-PERP_1h.csv", "okx_BTC-USDT-SWAP_1h.csv", "BTCUSDT_PERP-1h.csv",
     "BTC_USDT_USDT-1h-futures.csv", "BTC_USDT-1h-futures.csv", "binance_BTCUSDT_1h_perp.csv", "binance_BTCUSDT_1h_um.csv",
     "binanceusdm_BTCUSDT_1h.csv", "kucoinfutures_BTC-USDT_1h.csv", "futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.csv",
     "um/BTCUSDT-1h-2024-01.csv", "binance-perp/binance_BTCUSDT_1h.csv", "swap/BTCUSDT/binance_BTCUSDT_1h.csv"],
)  # fmt: skip
def test_a_perpetual_s_file_is_taken_for_one_and_the_output_says_why_or_which(tmp_path, monkeypatch, name):
    written(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    report = imported(tmp_path, Path(name))
    assert str(report.bars.symbol) == PERPETUAL
    assert any(f"taken for the perpetual {PERPETUAL}" in note for note in report.notes)


@pytest.mark.parametrize(
    "name", ["binance_BTCUSDT_1h.csv", "BTCUSDT-1h-2024-01.csv", "spot/monthly/BTCUSDT/BTCUSDT-1h-2024-01.csv"]
)
def test_where_nothing_says_perpetual_the_output_names_the_spot_pair_and_how_to_say_otherwise(
    tmp_path, monkeypatch, name
):
    written(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    report = imported(tmp_path, Path(name))
    assert str(report.bars.symbol) == SPOT
    (note,) = [note for note in report.notes if "taken for" in note]
    assert note.startswith("taken for the spot pair BTC/USDT")
    assert note.endswith("--symbol BTC/USDT:USDT")


@pytest.mark.parametrize(
    "columns",
    [
        {"symbol": "BTC/USDT:USDT"},
        {"symbol": "BTCUSDT-PERP"},
        {"funding_rate": 0.0001},
        {"openInterest": 5.0},
        {"Mark Price": 1.0},
    ],
)
def test_rows_and_columns_say_it_as_well(tmp_path, columns):
    report = imported(tmp_path, written(tmp_path, "binance_BTCUSDT_1h.csv", **columns))
    assert str(report.bars.symbol) == PERPETUAL


@pytest.mark.parametrize(
    ("name", "symbol"), [("binance_SWAP-USDT_1h.csv", "SWAP/USDT"), ("PERP-USDT/binance_PERPUSDT_1h.csv", "PERP/USDT")]
)
def test_a_coin_that_is_called_as_a_contract_stays_a_spot_pair(tmp_path, monkeypatch, name, symbol):
    written(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    assert str(imported(tmp_path, Path(name)).bars.symbol) == symbol


@pytest.mark.parametrize(
    ("name", "message"),
    [("ftx_BTC-PERP_1m.csv", "of a perpetual, and does not say what it is quoted"),
     ("binance_BTCUSD_PERP_1h.csv", "of a perpetual, and does not say"),
     ("binancecoinm_BTCUSD_1h.csv", "what it is settled in is not known.*BTC/USD:BTC"),
     ("cm/kraken_BTCUSD_1h.csv", "what it is settled in is not known")],
)  # fmt: skip
def test_what_it_is_settled_in_is_asked_where_no_one_says_it(tmp_path, monkeypatch, name, message):
    written(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        imported(tmp_path, Path(name))
    assert not (tmp_path / "bars").exists()


def test_the_user_s_word_counts_and_a_doubt_is_said(tmp_path):
    path = written(tmp_path, "binanceusdm_BTCUSDT_1h.csv")
    report = imported(tmp_path, path, symbol="BTC/USDT")
    assert str(report.bars.symbol) == SPOT
    assert (
        "taken for the spot pair BTC/USDT as asked, but of a perpetual, as the venue binanceusdm says (usdm)"
        in report.notes
    )
    assert not any("taken for" in note for note in imported(tmp_path / "b", path, symbol=PERPETUAL).notes)


def test_each_symbol_of_a_perpetuals_file_is_a_perpetual(tmp_path):
    path = written(tmp_path, "binanceusdm_PANEL_1h.csv", symbol="BTCUSDT")
    (report,) = import_symbols(path, root=tmp_path / "bars")
    assert str(report.bars.symbol) == PERPETUAL


@pytest.mark.parametrize(
    ("venue", "symbol", "right"),
    [
        ("binance", "BTC/USDT:USDT", "BTC/USDT"),
        ("binanceusdm", "BTC/USDT", "BTC/USDT:USDT"),
        ("binancecoinm", "BTC/USD", "BTC/USD:BTC"),
    ],
)
def test_an_archive_refuses_a_symbol_of_another_market_before_it_asks(venue, symbol, right):
    with pytest.raises(InputError, match=f"Name it {right}"):
        ArchiveCandles(venue).instrument(Symbol.parse(symbol), Timeframe.parse("1h"))
