"""atb data: what is printed, what is JSON, which exit code; with the real command line in this process."""

import json

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.config import load_settings
from atb.data import load_bars, rules_of
from atb.venues.simulator.server import running_server
from tests.bars import bars_of, random_walk
from tests.data.providers.files.sources import binance_zip

BARS = bars_of(random_walk(300, 4), venue="binance")
NOW = int(BARS.opened_ms[200]) + 1


def atb(*arguments):
    """Run `atb data ...` and return its result."""
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


def parsed(*arguments):
    """Run `atb data ... --json` and return its value."""
    result = atb(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def file(tmp_path):
    """A file of 300 hourly bars with a telling name."""
    path = tmp_path / "binance_BTCUSDT_1h.parquet"
    BARS.frame.reset_index().to_parquet(path)
    return path


def test_import_shows_what_was_guessed_and_stored(file):
    shown = atb("import", file)
    assert shown.exit_code == 0
    for part in ("BTC/USDT 1h · binance", "timestamp, open, high", "300 added", BARS.fingerprint[:12]):
        assert part in shown.stdout
    assert "nothing new" in atb("import", file).stdout
    assert parsed("import", file)["unchanged"] == 300


def test_import_refuses_a_file_with_a_hole_until_it_is_accepted(file):
    BARS.frame.drop(BARS.frame.index[5:8]).reset_index().to_parquet(file)
    refused = atb("import", file)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Error: The file has 1 gap: 4 h between 2024-01-01 04:00 and 2024-01-01 08:00")
    assert "1 gap, recorded and not filled" in atb("import", file, "--accept-gaps").stdout


def test_import_takes_options_over_the_name(file, tmp_path):
    report = parsed("import", file, "--symbol", "ETHUSDT", "--venue", "kraken", "--timeframe", "1h")
    assert (report["symbol"], report["venue"]) == ("ETH/USDT", "kraken")
    missing = atb("import", tmp_path / "none.csv")
    assert missing.exit_code == 2
    assert "No such file" in missing.stderr


def test_import_takes_several_files_and_says_in_both_forms_what_it_did_with_them(tmp_path):
    folder = tmp_path / "archives"
    folder.mkdir()
    for month, part in (("01", BARS.frame[:200]), ("02", BARS.frame[200:])):
        binance_zip(folder, part, month=f"2024-{month}")
    report = parsed("import", *sorted(folder.glob("*")), "--venue", "binance")
    assert (report["bars"], report["fingerprint"]) == (300, BARS.fingerprint)
    assert report["files"] == ["BTCUSDT-1h-2024-01.csv", "BTCUSDT-1h-2024-02.csv"]
    assert "2 files agree with the CHECKSUM file beside" in report["notes"]
    shown = " ".join(atb("import", folder, "--symbol", "BTCUSDT").stdout.split())  # a narrow terminal wraps
    assert "epoch in ms" in shown
    assert "300 added" in shown


def test_import_takes_local_times_with_their_zone(tmp_path):
    local = BARS.frame.set_axis(BARS.frame.index.tz_convert("Asia/Tokyo").tz_localize(None))
    local.to_csv(tmp_path / "x.csv")
    options = ("import", tmp_path / "x.csv", "--symbol", "BTC/USDT")
    refused = atb(*options)
    assert refused.exit_code == 2
    assert "--tz" in refused.stderr
    assert parsed(*options, "--tz", "Asia/Tokyo", "--venue", "binance")["fingerprint"] == BARS.fingerprint
    assert atb(*options, "--tz", "Asia/Tokyo", "--utc").exit_code == 2


def test_the_advice_for_a_damaged_file_leads_out_of_it(file, tmp_path):
    atb("import", file)
    path = tmp_path / "bars/binance/BTC-USDT/1h/2024.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    assert "Import or download the series again" in atb("verify").stdout
    (note,) = [note for note in parsed("import", file)["notes"] if "damaged" in note]
    assert note.endswith(f"kept as {path}.damaged")
    assert atb("verify").exit_code == 0
    assert parsed("list")[0]["fingerprint"] == BARS.fingerprint


def test_list_and_verify_show_every_series(file, tmp_path):
    assert "No bars are stored" in atb("list").stdout
    assert atb("verify").exit_code == 2
    atb("import", file)
    (series,) = parsed("list")
    assert (series["bars"], series["fingerprint"]) == (300, BARS.fingerprint)
    assert BARS.fingerprint[:12] in atb("list").stdout
    assert [row["ok"] for row in parsed("verify")] == [True]
    mistyped = atb("verify", "BTCUSDC", "--timeframe", "1h")
    assert mistyped.exit_code == 2
    assert "found 'BTCUSDC 1h'" in mistyped.stderr
    assert "Did you mean 'BTC/USDT 1h binance'?" in mistyped.stderr
    path = tmp_path / "bars/binance/BTC-USDT/1h/2024.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    damaged = atb("verify", "BTCUSDT")
    assert damaged.exit_code == 1
    assert "damaged  BTC/USDT 1h binance" in damaged.stdout
    assert "2024.parquet" in damaged.stdout
    assert "DAMAGED" in atb("list").stdout


def test_sample_says_that_it_is_synthetic_everywhere():
    shown = atb("sample")
    assert shown.exit_code == 0
    assert "SYNTHETIC data" in shown.stdout
    assert "SYNTHETIC" in atb("list").stdout
    assert [row["synthetic"] for row in parsed("list")] == [True, True]
    assert [row["added"] for row in parsed("sample")] == [0, 0]
    assert atb("sample", "--seed", "8").exit_code == 2
    assert [row["replaced"] for row in parsed("sample", "--seed", "8", "--replace")] == [26_304, 26_304]


def test_download_stores_closed_bars_from_the_configured_exchange(monkeypatch):
    with running_server(BARS, now_ms=NOW) as url:
        monkeypatch.setenv("ATB__EXCHANGE__BASE_URL", url)
        shown = atb("download", "BTCUSDT", "--start", "2024-01-01")
        assert shown.exit_code == 0, shown.output
        assert "200 bars" in shown.stdout
        again = parsed("download", "BTC/USDT")
        assert (again["added"], again["gaps"], again["interrupted"]) == (0, [], False)
        unknown = atb("download", "BTC/USDC", "--start", "2024-01-01")
        assert unknown.exit_code == 2
        assert "Did you mean 'BTC/USDT'?" in unknown.stderr
        assert atb("download", "ETH/USDT").exit_code == 2


def test_download_without_a_network_exits_with_2_and_one_clear_line(monkeypatch):
    with running_server(BARS, now_ms=NOW) as url:
        monkeypatch.setenv("ATB__EXCHANGE__BASE_URL", url)
    monkeypatch.setattr("atb.data.providers.ccxt_client.RETRY_WAITS_S", (0.0, 0.0))
    failed = atb("download", "BTC/USDT", "--start", "2024-01-01")
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert failed.stderr.startswith("Error: binance cannot be reached")
    assert failed.stderr.count("\n") == 1


def test_ctrl_c_in_a_download_exits_like_an_interrupted_program(monkeypatch):
    def press(*_arguments, **_options):
        raise KeyboardInterrupt

    with running_server(BARS, now_ms=NOW) as url:
        monkeypatch.setenv("ATB__EXCHANGE__BASE_URL", url)
        monkeypatch.setattr("atb.data.providers.ccxt_candles.CcxtCandles.candles", press)
        stopped = atb("download", "BTC/USDT", "--start", "2024-01-01")
    assert stopped.exit_code == 130
    assert "goes on from there" in stopped.stderr


@pytest.mark.parametrize("command", ["import", "download", "list", "verify", "sample"])
def test_every_command_has_help_with_examples(command):
    shown = atb(command, "--help")
    assert shown.exit_code == 0
    assert "Examples:" in shown.stdout
    assert "--json" in shown.stdout


def test_rules_are_fetched_kept_and_used_from_then_on(monkeypatch):
    with running_server(BARS, now_ms=NOW) as url:
        monkeypatch.setenv("ATB__EXCHANGE__BASE_URL", url)
        shown = atb("rules", "BTCUSDT")
        (kept,) = parsed("rules", "BTC/USDT")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("Trading rules of BTC/USDT (published by binance, 20")
    assert kept["tick"] == "0.01"
    root = load_settings().bars_root
    assert rules_of(BARS, root=root).source == kept["source"]
    assert atb("rules").exit_code == 2


def test_rules_without_a_network_say_which_rules_hold(monkeypatch):
    monkeypatch.setenv("ATB__EXCHANGE__BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("atb.data.providers.ccxt_client.RETRY_WAITS_S", ())
    refused = atb("rules", "BTCUSDT", "AAA/USDT")
    assert refused.exit_code == 2
    answer = " ".join(str(refused.exception or refused.stderr).split()) + " ".join(refused.stderr.split())
    assert "Nothing was stored; backtests of BTC/USDT use the rules published by binance, 20" in answer
    assert "backtests of AAA/USDT use the rules read off its bars" in answer
    assert "goes on where it stopped" not in answer


def test_a_venue_is_one_venue_in_any_case(tmp_path):
    path = tmp_path / "Binance_BTCUSDT_1h.csv"
    BARS.frame.reset_index().to_csv(path, index=False)
    assert parsed("import", path)["venue"] == "binance"
    assert parsed("import", path, "--venue", "BINANCE")["unchanged"] == 300
    assert atb("verify", "--venue", "Binance").exit_code == 0
    assert load_bars("BTC/USDT", "1h", root=load_settings().bars_root, venue="Binance").venue == "binance"


def test_import_tells_the_rules_that_backtests_will_use(tmp_path):
    path = tmp_path / "doge.csv"
    (BARS.frame / 1_000).round(5).reset_index().to_csv(path, index=False)
    assert "price step 0.00001" in " ".join(atb("import", path, "--symbol", "DOGE/USDT").stdout.split())
    assert parsed("import", path, "--symbol", "DOGE/USDT")["rules"]["source"].startswith("from the data")
