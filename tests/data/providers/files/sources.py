"""Files as the usual sources write them, made from bars, for the tests that read them."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

Writer = Callable[[Path, pd.DataFrame], Path]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def epoch(frame: pd.DataFrame, unit: str = "ms") -> list[int]:
    """Return the open times as whole numbers of a unit."""
    return [int(value) for value in frame.index.as_unit(unit).asi8]


def stamps(frame: pd.DataFrame, form: str) -> list[str]:
    """Return the open times as text."""
    return list(frame.index.strftime(form))


def csv(table: pd.DataFrame, *, header: bool = True, sep: str = ",", **options: object) -> str:
    """Return a table as CSV without an index."""
    return str(table.to_csv(index=False, header=header, sep=sep, **options))  # type: ignore[call-overload]


def table(frame: pd.DataFrame, times: object, names: str = "timestamp open high low close volume") -> pd.DataFrame:
    """Return bars as a table whose first column holds `times`."""
    plain = frame.reset_index(drop=True)
    plain.insert(0, "t", times)
    return plain.set_axis(names.split(), axis=1)


def dump(frame: pd.DataFrame, unit: str = "ms") -> str:
    """Return the twelve columns of data.binance.vision, without a header."""
    rows = table(frame, epoch(frame, unit))
    closes = [open_time + (epoch(frame, unit)[1] - epoch(frame, unit)[0]) - 1 for open_time in epoch(frame, unit)]
    rows = rows.assign(
        close_time=closes, quote=rows["volume"] * rows["close"], trades=12, taker=1.5, taker_quote=9.5, ignore=0
    )
    return csv(rows, header=False)


def zipped(files: dict[str, str | bytes]) -> bytes:
    """Return a zip archive of files."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def binance_zip(folder: Path, frame: pd.DataFrame, unit: str = "ms", month: str = "2024-01") -> Path:
    name = f"BTCUSDT-1h-{month}"
    path = written(folder, f"{name}.zip", zipped({f"{name}.csv": dump(frame, unit)}))
    written(folder, f"{name}.zip.CHECKSUM", f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}.zip\n")
    return path


def binance_futures(folder: Path, frame: pd.DataFrame) -> Path:
    names = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
    return written(folder, "BTCUSDT-1h-2024-01.csv", f"{names}\n{dump(frame)}")


def cryptodatadownload(folder: Path, frame: pd.DataFrame, unit: str = "ms") -> Path:
    rows = table(frame, epoch(frame, unit), "Unix Open High Low Close BTC")
    rows.insert(1, "Date", stamps(frame, "%Y-%m-%d %H:%M:%S"))
    rows.insert(2, "Symbol", "BTCUSDT")
    rows = rows.rename(columns={"BTC": "Volume BTC"}).assign(**{"Volume USDT": 1.5, "tradecount": 9})
    return written(folder, "Binance_BTCUSDT_1h.csv", "https://www.CryptoDataDownload.com\n" + csv(rows.iloc[::-1]))


def cryptodatadownload_old(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, stamps(frame, "%Y-%m-%d %I-%p"), "Date Open High Low Close V").rename(
        columns={"V": "Volume BTC"}
    )
    rows.insert(1, "Symbol", "BTCUSDT")
    return written(
        folder, "x.csv", "https://www.CryptoDataDownload.com\n" + csv(rows.assign(**{"Volume USDT": 2.0}).iloc[::-1])
    )


def kraken(folder: Path, frame: pd.DataFrame) -> Path:
    return written(folder, "XBTUSDT_60.csv", csv(table(frame, epoch(frame, "s")).assign(trades=55), header=False))


def kraken_answer(folder: Path, frame: pd.DataFrame) -> Path:
    vwap = [(low + high) / 2 for low, high in zip(frame["low"], frame["high"], strict=True)]
    rows = [
        [at, *map(str, (o, h, low, c, mean, v)), 7]
        for at, mean, (o, h, low, c, v) in zip(epoch(frame, "s"), vwap, frame.to_numpy().tolist(), strict=True)
    ]
    return written(folder, "ohlc.json", json.dumps({"error": [], "result": {"XXBTZUSD": rows, "last": rows[-1][0]}}))


def coinbase(folder: Path, frame: pd.DataFrame, *, header: bool = True) -> Path:
    rows = table(frame, epoch(frame, "s"), "time open high low close volume")
    rows = rows[["time", "low", "high", "open", "close", "volume"]]
    return written(folder, "coinbase.csv", csv(rows.iloc[::-1], header=header))


def coinbase_json(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, epoch(frame, "s"))[["timestamp", "low", "high", "open", "close", "volume"]]
    return written(folder, "candles.json", json.dumps(rows.iloc[::-1].to_numpy().tolist()))


def bitfinex_json(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, epoch(frame))[["timestamp", "open", "close", "high", "low", "volume"]]
    return written(folder, "candles.json", json.dumps(rows.to_numpy().tolist()))


def bitstamp(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, epoch(frame, "s"), "unix open high low close volume")
    rows.insert(1, "date", stamps(frame, "%Y-%m-%d %H:%M:%S"))
    rows.insert(2, "symbol", "BTC/USDT")
    rows = rows.drop(columns="volume").assign(**{"Volume BTC": rows["volume"], "Volume USDT": 3.5})
    return written(folder, "x.csv", "https://www.CryptoDataDownload.com\n" + csv(rows))


def yahoo(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, stamps(frame, "%Y-%m-%d %H:%M:%S+00:00"), "Datetime Open High Low Close Volume")
    rows.insert(5, "Adj Close", rows["Close"])
    return written(folder, "BTC-USD.csv", csv(rows))


def yfinance_levels(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, stamps(frame, "%Y-%m-%d %H:%M:%S+00:00"), "Datetime Open High Low Close Volume")
    rows = rows[["Datetime", "Close", "High", "Low", "Open", "Volume"]]
    head = "Price,Close,High,Low,Open,Volume\nTicker" + ",BTC-USD" * 5 + "\nDatetime,,,,,\n"
    return written(folder, "x.csv", head + csv(rows, header=False))


def yfinance_parquet(folder: Path, frame: pd.DataFrame) -> Path:
    pairs = [(name.capitalize(), "BTC-USDT") for name in frame.columns]
    both = frame.set_axis(pd.MultiIndex.from_tuples(pairs, names=["Price", "Ticker"]), axis=1).rename_axis("Datetime")
    both.to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


def grouped_levels(folder: Path, frame: pd.DataFrame) -> Path:
    """Grouped by ticker and written as CSV, the index without a name."""
    grouped = pd.concat({"BTC-USD": frame.rename(columns=str.capitalize)}, axis=1)
    return written(folder, "x.csv", grouped.rename_axis(None).to_csv())


def alpha_vantage(folder: Path, frame: pd.DataFrame) -> Path:
    """One object for each time, newest first, numbers as text, names numbered."""
    names = [f"{at}. {name}" for at, name in enumerate(frame.columns, 1)]
    rows = [dict(zip(names, map(str, row), strict=True)) for row in frame.to_numpy().tolist()]
    keyed = dict(zip(stamps(frame, "%Y-%m-%dT%H:%M:%SZ"), rows, strict=True))
    answer = {"Meta Data": {"6. Interval": "60min"}, "Time Series Crypto (60min)": dict(reversed(keyed.items()))}
    return written(folder, "x.json", json.dumps(answer))


def json_by_index(folder: Path, frame: pd.DataFrame) -> Path:
    rows = frame.set_axis(epoch(frame), axis=0)
    return written(folder, "x.json", rows.to_json(orient="index", double_precision=15))


def parquet_texts(folder: Path, frame: pd.DataFrame) -> Path:
    """Every cell as text, as a database of exact decimals gives it."""
    table(frame, epoch(frame)).astype(str).to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


def unnamed_index(folder: Path, frame: pd.DataFrame) -> Path:
    return written(folder, "x.csv", frame.rename_axis(None).to_csv())


def two_tickers(folder: Path, frame: pd.DataFrame) -> Path:
    """Grouped by ticker, as `yf.download([...], group_by="ticker")` does."""
    other = frame * 2
    both = pd.concat({"ETH-USDT": other, "BTC-USDT": frame}, axis=1).rename_axis("Date")
    both.to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


def tradingview(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, epoch(frame, "s"), "time open high low close Volume").assign(Plot=1.0, **{"Volume MA": 2.0})
    return written(
        folder, "BINANCE_BTCUSDT, 60.csv", csv(rows).replace("Plot", "Plot,Plot").replace(",1.0,", ",1.0,1.0,")
    )


def tradingview_iso(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, stamps(frame, "%Y-%m-%dT%H:%M:%SZ"), "time open high low close Volume")
    return written(folder, "x.csv", csv(rows))


def udf(folder: Path, frame: pd.DataFrame) -> Path:
    columns = {letter: frame[name].tolist() for letter, name in zip("ohlcv", frame.columns, strict=True)}
    return written(folder, "history.json", json.dumps({"s": "ok", "t": epoch(frame, "s"), **columns}))


def metatrader5(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, stamps(frame, "%Y.%m.%d"), "<DATE> <OPEN> <HIGH> <LOW> <CLOSE> <VOL>")
    rows.insert(1, "<TIME>", stamps(frame, "%H:%M:%S"))
    rows.insert(6, "<TICKVOL>", 77)
    return written(folder, "BTCUSD_H1.csv", csv(rows.assign(**{"<SPREAD>": 3}), sep="\t").encode("utf-16"))


def metatrader4(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, stamps(frame, "%Y.%m.%d"))
    rows.insert(1, "clock", stamps(frame, "%H:%M"))
    return written(folder, "BTCUSD60.csv", csv(rows, header=False))


def histdata(folder: Path, frame: pd.DataFrame) -> Path:
    return written(folder, "x.csv", csv(table(frame, stamps(frame, "%Y%m%d %H%M%S")), header=False, sep=";"))


def stooq(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, stamps(frame, "%Y%m%d"), "<DATE> <OPEN> <HIGH> <LOW> <CLOSE> <VOL>")
    rows.insert(1, "<TIME>", stamps(frame, "%H%M%S"))
    return written(folder, "x.txt", csv(rows))


def dukascopy(folder: Path, frame: pd.DataFrame) -> Path:
    return written(
        folder,
        "x.csv",
        csv(table(frame, stamps(frame, "%d.%m.%Y %H:%M:%S.000"), "Gmt_time Open High Low Close Volume")),
    )


def freqtrade_feather(folder: Path, frame: pd.DataFrame) -> Path:
    frame.rename_axis("date").reset_index().to_feather(folder / "BTC_USDT-1h.feather", compression="lz4")
    return folder / "BTC_USDT-1h.feather"


def freqtrade_json(folder: Path, frame: pd.DataFrame) -> Path:
    return written(folder, "BTC_USDT-1h.json", json.dumps(table(frame, epoch(frame)).to_numpy().tolist()))


def freqtrade_gz(folder: Path, frame: pd.DataFrame) -> Path:
    plain = json.dumps(table(frame, epoch(frame)).to_numpy().tolist()).encode()
    return written(folder, "BTC_USDT-1h.json.gz", gzip.compress(plain))


def objects_json(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, epoch(frame, "s"), "time open high low close volumefrom").assign(volumeto=5.5)
    return written(folder, "x.json", json.dumps({"Data": {"TimeTo": 1, "Data": rows.to_dict("records")}}))


def json_lines(folder: Path, frame: pd.DataFrame) -> Path:
    return written(folder, "x.json", table(frame, epoch(frame)).to_json(orient="records", lines=True))


def pandas_json(folder: Path, frame: pd.DataFrame) -> Path:
    return written(folder, "x.json", table(frame, epoch(frame)).to_json())


def binance_answer(folder: Path, frame: pd.DataFrame) -> Path:
    rows = [line.split(",") for line in dump(frame).splitlines()]
    return written(folder, "klines.json", json.dumps([[int(row[0]), *row[1:6], int(row[6]), *row[7:]] for row in rows]))


def kaggle_empty_rows(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, epoch(frame, "s"), "Timestamp Open High Low Close V").rename(columns={"V": "Volume_(BTC)"})
    lines = csv(rows.assign(**{"Volume_(Currency)": 1.0, "Weighted_Price": 1.0})).splitlines()
    before = epoch(frame, "s")[0] - 3_600
    return written(
        folder, "x.csv", "\n".join([lines[0], f"{before},NaN,NaN,NaN,NaN,NaN,NaN,NaN", *lines[1:], ",,,,,,,", ""])
    )


def kucoin(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, epoch(frame, "s"))[["timestamp", "open", "close", "high", "low", "volume"]].assign(turnover=4.5)
    return written(folder, "x.csv", csv(rows.iloc[::-1], header=False))


def german(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, stamps(frame, "%d.%m.%Y %H:%M"), "Datum_UTC Open High Low Close Volume")
    return written(
        folder, "x.csv", "\ufeff" + csv(rows.rename(columns={"Datum_UTC": "Date (UTC)"}), sep=";", decimal=",")
    )


def quoted_thousands(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, stamps(frame, "%Y-%m-%dT%H:%M:%SZ"), "Date Open High Low Close Volume")
    for name in ("Open", "High", "Low", "Close"):
        rows[name] = rows[name].map(lambda price: f"{price:,.2f}")
    return written(folder, "x.csv", csv(rows))


def latin(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, epoch(frame), "timestamp open high low close volume").assign(Börse="Zürich")
    return written(folder, "x.csv", csv(rows).encode("latin-1"))


def old_mac(folder: Path, frame: pd.DataFrame) -> Path:
    return written(folder, "x.csv", csv(table(frame, epoch(frame))).replace("\n", "\r"))


def blank_lines(folder: Path, frame: pd.DataFrame) -> Path:
    return written(folder, "x.csv", "# exported\n\n" + csv(table(frame, epoch(frame))).replace("\n", "\n\n"))


def packed_csv(pack: Callable[[bytes], bytes], name: str) -> Writer:
    """Return a writer of a compressed CSV."""
    return lambda folder, frame: written(folder, name, pack(csv(table(frame, epoch(frame))).encode()))


def named_parquet(folder: Path, frame: pd.DataFrame) -> Path:
    table(frame, frame.index, "Open_Time Open High Low Close Volume").to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


def zoned_parquet(folder: Path, frame: pd.DataFrame) -> Path:
    frame.tz_convert("America/New_York").to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


def single_precision(folder: Path, frame: pd.DataFrame) -> Path:
    frame.astype("float32").to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


def dukascopy_offset(folder: Path, frame: pd.DataFrame) -> Path:
    local = frame.index.tz_convert("Etc/GMT-1").strftime("%d.%m.%Y %H:%M:%S.000 GMT+0100")
    return written(folder, "x.csv", csv(table(frame, list(local), "Local_time Open High Low Close Volume")))


def nanoseconds(folder: Path, frame: pd.DataFrame) -> Path:
    return written(folder, "x.csv", csv(table(frame, stamps(frame, "%Y-%m-%dT%H:%M:%S.000000000Z"))))


def coinmarketcap(folder: Path, frame: pd.DataFrame) -> Path:
    """Day bars in spirit: each time is the last millisecond of its bar."""
    ends = (frame.index + pd.Timedelta(3_599_999, "ms")).strftime("%Y-%m-%dT%H:%M:%S.999Z")
    return written(
        folder, "x.csv", csv(table(frame, list(ends), "timestamp open high low close volume").iloc[::-1], sep=";")
    )


def trailing_separator(folder: Path, frame: pd.DataFrame) -> Path:
    head, _, rest = csv(table(frame, epoch(frame))).partition("\n")
    return written(folder, "x.csv", head + "\n" + rest.replace("\n", ",\n"))


def closes(folder: Path, frame: pd.DataFrame) -> Path:
    """The bars' closes, as Binance writes them, and nothing of their opens."""
    rows = table(frame, [at + 3_600_000 - 1 for at in epoch(frame)], "close_time open high low close volume")
    return written(folder, "x.csv", csv(rows))


def offsets(folder: Path, frame: pd.DataFrame) -> Path:
    local = [stamp.isoformat() for stamp in frame.index.tz_convert("Europe/Berlin")]
    return written(folder, "x.csv", csv(table(frame, local)))


def mixed_units(folder: Path, frame: pd.DataFrame) -> Path:
    times = [*epoch(frame, "s")[:10], *epoch(frame)[10:20], *epoch(frame, "us")[20:30], *epoch(frame, "ns")[30:]]
    return written(folder, "x.csv", csv(table(frame, times)))


def mixed_floats(folder: Path, frame: pd.DataFrame) -> Path:
    times = [float(at) for at in (*epoch(frame, "s")[:10], *epoch(frame)[10:20], *epoch(frame, "us")[20:])]
    return written(folder, "x.csv", csv(table(frame, times)))


def repeated(folder: Path, frame: pd.DataFrame) -> Path:
    rows = table(frame, epoch(frame))
    return written(folder, "x.csv", csv(pd.concat([rows.iloc[:9], rows.iloc[7:9], rows.iloc[9:]])))


SOURCES: dict[str, Writer] = {
    "binance": binance_zip,
    "binance in microseconds": lambda folder, frame: binance_zip(folder, frame, "us"),
    "binance futures": binance_futures,
    "binance's answer": binance_answer,
    "cryptodatadownload": cryptodatadownload,
    "cryptodatadownload in seconds": lambda folder, frame: cryptodatadownload(folder, frame, "s"),
    "kraken": kraken,
    "kraken's answer": kraken_answer,
    "coinbase": coinbase,
    "coinbase without header": lambda folder, frame: coinbase(folder, frame, header=False),
    "coinbase's answer": coinbase_json,
    "bitfinex's answer": bitfinex_json,
    "kucoin": kucoin,
    "bitstamp": bitstamp,
    "yahoo": yahoo,
    "yfinance, three header lines": yfinance_levels,
    "yfinance, two levels": yfinance_parquet,
    "yfinance, two tickers": two_tickers,
    "yfinance, grouped": grouped_levels,
    "alpha vantage": alpha_vantage,
    "pandas json by index": json_by_index,
    "parquet of texts": parquet_texts,
    "pandas, index without a name": unnamed_index,
    "tradingview": tradingview,
    "tradingview, iso": tradingview_iso,
    "tradingview's feed": udf,
    "dukascopy": dukascopy,
    "freqtrade feather": freqtrade_feather,
    "freqtrade json": freqtrade_json,
    "freqtrade json.gz": freqtrade_gz,
    "cryptocompare": objects_json,
    "json lines": json_lines,
    "pandas json": pandas_json,
    "kaggle": kaggle_empty_rows,
    "german": german,
    "thousands": quoted_thousands,
    "latin-1": latin,
    "old mac": old_mac,
    "blank lines": blank_lines,
    "gz": packed_csv(gzip.compress, "x.csv.gz"),
    "gz without a name": packed_csv(gzip.compress, "x.csv"),
    "xz": packed_csv(lzma.compress, "x.csv.xz"),
    "bz2": packed_csv(bz2.compress, "x.csv.bz2"),
    "parquet, named times": named_parquet,
    "parquet, another zone": zoned_parquet,
    "parquet, single precision": single_precision,
    "dukascopy, local": dukascopy_offset,
    "nanoseconds": nanoseconds,
    "coinmarketcap": coinmarketcap,
    "trailing separator": trailing_separator,
    "closes": closes,
    "offsets": offsets,
    "mixed units": mixed_units,
    "mixed units as floats": mixed_floats,
    "repeated rows": repeated,
}
"""Files that say everything: each is imported without a further word."""

ZONELESS: dict[str, Writer] = {
    "metatrader 5": metatrader5,
    "metatrader 4": metatrader4,
    "histdata": histdata,
    "stooq": stooq,
    "cryptodatadownload, old": cryptodatadownload_old,
}
"""Files that do not say their time zone."""
