"""atb data update, funding, sentiment, gaps, revisions: what is new, missing or corrected; the real commands in this process."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.config import load_settings
from atb.data import load_bars, load_funding, load_sentiment, save_bars
from atb.data.catalogue.revisions import load_revisions
from atb.data.catalogue.series import all_series
from atb.errors import DataError
from atb.venues.simulator.market import VirtualClock
from atb.venues.simulator.server import running_server
from tests.bars import bars_of, random_walk
from tests.data.providers.web import ArchiveFiles, fear_greed_pages, mark_price_pages, served

HOUR = 3_600_000
BARS = bars_of(random_walk(1_500, 4, sigma=0.001), venue="binance")
OTHER = bars_of(random_walk(1_500, 8, sigma=0.001), symbol="ETH/USDT", venue="binance")


def atb(*arguments):
    """Run `atb data ...` and return its result."""
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


def parsed(*arguments):
    result = atb(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def exchange(monkeypatch):
    """A simulated exchange with two markets, and its clock, at which the commands are pointed."""
    clock = VirtualClock(int(BARS.opened_ms[1_000]) + HOUR // 2)
    with running_server((BARS, OTHER), now_ms=clock) as url:
        monkeypatch.setenv("ATB__EXCHANGE__BASE_URL", url)
        yield clock


def part(bars, rows):
    return bars_of(bars.frame.iloc[:rows], symbol=str(bars.symbol), venue="binance")


def store(*series):
    for bars in series:
        save_bars(bars, root=load_settings().bars_root, source="before")


def test_update_fetches_what_is_new_of_every_series_of_an_exchange_at_the_same_time(exchange):
    store(part(BARS, 900), part(OTHER, 700), bars_of(BARS.frame.iloc[:50], symbol="LTC/USDT", venue="file"))
    rows = parsed("update", "--jobs", 2)
    assert [(row["series"], row["added"], row["revised"]) for row in rows] == [
        ("BTC/USDT 1h (binance)", 100, 0),
        ("ETH/USDT 1h (binance)", 300, 0),
    ]
    exchange.advance(2 * HOUR)
    assert [row["added"] for row in parsed("update", "ETH/USDT")] == [2]
    assert [row["added"] for row in parsed("update")] == [2, 0]
    root = load_settings().bars_root
    assert load_bars("ETH/USDT", "1h", root=root).frame.equals(
        OTHER.frame.iloc[:1_002].set_axis(load_bars("ETH/USDT", "1h", root=root).frame.index)
    )
    assert "Nothing to update" in atb("update", "--max-age", "20000d").stdout


def test_a_corrected_bar_stays_as_it_was_seen_first_and_both_are_in_the_ledger(exchange):
    wrong = part(BARS, 1_000).frame.copy()
    wrong.iloc[-3, 3] = wrong.iloc[-3, 3] - 0.0 if wrong.iloc[-3, 3] == wrong.iloc[-3, 2] else wrong.iloc[-3, 2]
    wrong.iloc[-3, 4] += 1.5
    store(bars_of(wrong, venue="binance"))
    assert [row["revised"] for row in parsed("update")] == [1]
    assert [row["revised"] for row in parsed("update")] == [1]
    (series,) = all_series(load_settings().bars_root)
    assert len(load_revisions(series.folder)) == 1
    (row,) = parsed("revisions", "BTC/USDT")
    assert (row["kept"], row["first"]["volume"]) == ("first", wrong.iloc[-3, 4])
    assert row["later"]["volume"] == BARS.frame.iloc[997, 4]
    assert load_bars("BTC/USDT", "1h", root=load_settings().bars_root).frame.iloc[997, 4] == wrong.iloc[-3, 4]
    parsed("update", "--replace")
    assert load_bars("BTC/USDT", "1h", root=load_settings().bars_root).frame.iloc[997, 4] == BARS.frame.iloc[997, 4]
    assert [row["kept"] for row in parsed("revisions")] == ["first", "later"]


def test_one_that_fails_does_not_keep_the_others_and_the_exit_code_says_so(exchange):
    gone = bars_of(BARS.frame.iloc[:900], symbol="GONE/USDT", venue="binance")
    store(part(BARS, 900), gone)
    result = atb("update", "--json", "--recheck", 0)
    assert result.exit_code == 2
    rows = {row["series"]: row for row in json.loads(result.stdout)}
    assert rows["BTC/USDT 1h (binance)"]["added"] == 100
    assert "has no such symbol" in rows["GONE/USDT 1h (binance)"]["problem"]


def test_offline_nothing_is_fetched_and_one_line_says_why(exchange, monkeypatch):
    store(part(BARS, 900))
    monkeypatch.setenv("ATB__DATA__OFFLINE", "true")
    for command in (
        ["update"],
        ["sentiment"],
        ["funding", "BTC/USDT:USDT"],
        ["download", "BTC/USDT"],
        ["rules", "BTC/USDT"],
    ):
        result = atb(*command)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "needs the network, and data.offline is set" in result.stderr
    assert parsed("list")[0]["bars"] == 900


def test_an_archive_is_downloaded_gone_on_with_and_its_corrected_files_are_read_again(tmp_path, monkeypatch):
    files, old = ArchiveFiles(), bars_of(random_walk(24 * 60, 6), venue="binance")
    files.put_bars(old, "2024-01")
    with served(files.pages) as url:
        monkeypatch.setenv("ATB__DATA__ARCHIVE_URL", url)
        start = ("download", "BTC/USDT", "--source", "archive", "--start", "2024-01-01", "--end", "2024-01-20")
        assert parsed(*start)["added"] == 19 * 24
        changed = old.frame.copy()
        changed.iloc[30, 4] += 7.0
        files.put_bars(bars_of(changed, venue="binance"), "2024-01")
        files.put_bars(old, "2024-02")
        (row,) = parsed("update", "--recheck", 0)
    assert (row["added"], row["revised"]) == (24 * (60 - 19), 1)
    assert [one["first"]["volume"] for one in parsed("revisions")] == [old.frame.iloc[30, 4]]


def test_mark_prices_are_downloaded_gone_on_with_and_stored_beside_the_traded_ones(monkeypatch):
    frame = random_walk(3_000, 6).assign(volume=0.0)
    marks = bars_of(frame, symbol="BTC/USDT:USDT", venue="binanceusdm")
    monkeypatch.setenv("ATB__EXCHANGE__ID", "binanceusdm")
    command = ("download", "BTCUSDT-PERP", "--mark")
    for seen, closed in ((1_400, 1_400), (2_900, 1_500), (2_900, 0)):
        with served(mark_price_pages(marks, int(marks.opened_ms[seen]) + HOUR // 2)) as url:
            monkeypatch.setenv("ATB__EXCHANGE__BASE_URL", url)
            assert parsed(*command, *(("--start", "2024-01-01") if seen == closed else ()))["added"] == closed
    with served(mark_price_pages(marks, int(marks.opened_ms[2_950]))) as url:
        monkeypatch.setenv("ATB__EXCHANGE__BASE_URL", url)
        (row,) = parsed("update")
    assert (row["series"], row["added"]) == ("BTC/USDT:USDT 1h (binanceusdm-mark)", 50)
    stored = load_bars("BTC/USDT:USDT", "1h", root=load_settings().bars_root, venue="binanceusdm-mark")
    assert (
        stored.fingerprint == bars_of(frame.iloc[:2_950], symbol="BTC/USDT:USDT", venue="binanceusdm-mark").fingerprint
    )
    with pytest.raises(DataError, match="binanceusdm-mark"):  # never taken for traded prices unasked
        load_bars("BTC/USDT:USDT", "1h", root=load_settings().bars_root)


def test_a_file_of_the_archive_that_is_not_what_its_checksum_says_is_refused(monkeypatch):
    files = ArchiveFiles()
    files.put_bars(bars_of(random_walk(24 * 31, 6), venue="binance"), "2024-01")
    path = next(path for path in files.files if path.endswith(".zip"))
    files.files[path] = files.files[path][:-5] + b"xxxxx"
    with served(files.pages) as url:
        monkeypatch.setenv("ATB__DATA__ARCHIVE_URL", url)
        result = atb("download", "BTC/USDT", "--source", "archive", "--start", "2024-01-01", "--end", "2024-01-20")
    assert result.exit_code == 2
    assert "not what its CHECKSUM file says" in result.stderr
    assert not all_series(load_settings().bars_root)


def test_sentiment_is_downloaded_with_when_it_came_and_imported_from_any_dated_file(tmp_path, monkeypatch):
    index = pd.date_range("2024-01-01", periods=30, freq="D", tz="UTC")
    with served(fear_greed_pages(pd.Series(range(30, 60), index=index))) as url:
        monkeypatch.setenv("ATB__DATA__SENTIMENT_URL", url)
        assert parsed("sentiment")["added"] == 30
        assert [row["added"] for row in parsed("update")] == [0]
    found = load_sentiment("fear_greed", root=load_settings().bars_root)
    assert found["value"].tolist() == [float(value) for value in range(30, 60)]
    assert found["reconstructed"].all()
    file = tmp_path / "mine.csv"
    file.write_text("Day;Mood;Out\n2024-01-01 00:00;1.5;2024-01-01 09:00\n2024-01-02 00:00;-2;2024-01-02 10:00\n")
    refused = atb("sentiment", "mine", "--file", file, "--utc")
    assert refused.exit_code == 2
    assert "Name it: --column value=NAME" in refused.stderr
    mistyped = atb("sentiment", "mine", "--file", file, "--utc", "--column", "value=mood", "--column", "publishd=Out")
    assert (mistyped.exit_code, "No column of sentiment has this name" in mistyped.stderr) == (2, True)
    given = ("--column", "value=mood", "--column", "published=Out")
    assert parsed("sentiment", "mine", "--file", file, "--utc", *given)["added"] == 2
    mine = load_sentiment("mine", root=load_settings().bars_root)
    assert mine["published"].dt.hour.tolist() == [9, 10]
    assert "Only fear_greed can be downloaded" in atb("sentiment", "mine").stderr


def test_funding_is_imported_and_its_holes_are_listed_beside_those_of_bars(tmp_path):
    store(part(BARS, 100))
    moments = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta([0, 8, 16, 32, 40, 44, 48], unit="h")
    file = tmp_path / "funding.csv"
    rates = [0.0001, 0.0002, -0.0001, 0.0001, 0.0001, 0.0, 0.0001]
    file.write_text(
        "fundingTime,fundingRate\n"
        + "".join(f"{int(at.timestamp() * 1_000) + 4},{rate}\n" for at, rate in zip(moments, rates, strict=True))
    )
    report = parsed("funding", "BTC/USDT:USDT", "--venue", "binanceusdm", "--file", file)
    assert (report["added"], report["first"]) == (7, "2024-01-01T00:00:00+00:00")
    assert load_funding("BTC/USDT:USDT", root=load_settings().bars_root)["funding_rate"].tolist() == rates
    (hole,) = parsed("gaps")
    assert (hole["series"], hole["start"], hole["missing"]) == (
        "funding of BTC/USDT:USDT (binanceusdm)", "2024-01-01T16:00:00+00:00", 1,
    )  # fmt: skip
    assert "Only perpetuals" in atb("funding", "BTC/USDT", "--file", file).stderr


def test_two_payments_far_apart_are_a_hole_by_the_longest_usual_interval(tmp_path):
    file = tmp_path / "funding.csv"
    file.write_text("time,rate\n2024-01-01T00:00Z,0.1\n2024-01-02T00:00Z,0.2\n")
    parsed("funding", "BTC/USDT:USDT", "--venue", "binanceusdm", "--file", file)
    assert [row["missing"] for row in parsed("gaps")] == [2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("deep.json", b"[" * 100_000, "cannot be read as a table"),
        ("ragged.csv", b"date,value\n2024-01-01,1,4,5\n2024-01-02,2\n", "more cells than headings"),
    ],
)
def test_a_file_that_is_no_table_of_events_is_one_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    refused = atb("sentiment", "mine", "--file", tmp_path / name, "--utc")
    assert (refused.exit_code, message in refused.stderr) == (2, True)


def test_the_index_of_a_frame_is_a_column_of_its_parquet_file(tmp_path):
    index = pd.date_range("2024-01-01", periods=3, freq="D", tz="UTC", name="date")
    pd.DataFrame({"value": [1.0, 2.0, 3.0]}, index=index).to_parquet(tmp_path / "mood.parquet")
    assert parsed("sentiment", "mood", "--file", tmp_path / "mood.parquet")["added"] == 3


@pytest.mark.parametrize("command", ["gaps", "revisions"])
def test_a_report_on_what_is_not_stored_is_refused_and_a_venue_is_found_in_any_case(command):
    store(part(BARS, 100))
    assert parsed(command, "BTCUSDT", "--venue", "Binance") == []
    for wanted in (["ETH/USDT"], ["BTC/USDT", "--venue", "kraken"]):
        refused = atb(command, *wanted)
        assert (refused.exit_code, "No stored series matches" in refused.stderr) == (2, True)


def test_update_finds_a_venue_in_any_case_and_refuses_one_of_which_nothing_is_stored(exchange):
    store(part(BARS, 900))
    assert [row["added"] for row in parsed("update", "--venue", "Binance")] == [100]
    assert atb("update", "--venue", "kraken").exit_code == 2


def test_a_perpetual_of_which_only_funding_is_stored_is_updated(tmp_path):
    file = tmp_path / "funding.csv"
    file.write_text("time,rate\n2024-01-01T00:00Z,0.1\n")
    parsed("funding", "BTC/USDT:USDT", "--venue", "binanceusdm", "--file", file)
    assert parsed("update", "BTC/USDT:USDT", "--max-age", "20000d") == []


def test_a_damaged_series_is_not_young_and_does_not_keep_the_others(exchange):
    store(part(BARS, 900), part(OTHER, 900))
    path = next(load_settings().bars_root.glob("binance/ETH-USDT/1h/*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    result = atb("update", "--max-age", "1m", "--json")
    rows = {row["series"]: row for row in json.loads(result.stdout)}
    assert (result.exit_code, rows["BTC/USDT 1h (binance)"]["added"]) == (2, 100)
    assert "atalogue" in rows["ETH/USDT 1h (binance)"]["problem"]


def test_a_length_of_time_that_is_none_is_refused_though_nothing_is_stored():
    assert "Not a duration" in atb("update", "--max-age", "soon").stderr
