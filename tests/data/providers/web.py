"""A local web server of files, for providers that read over HTTP: an archive of zips, Fear & Greed, Kraken's public answers."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pandas as pd

from atb.domain import Bars

Answer = bytes | int | tuple[int, dict[str, str]]
Pages = Callable[[str, dict[str, str]], Answer]


@contextmanager
def served(pages: Pages, seen: list[str] | None = None) -> Iterator[str]:
    """Serve what `pages(path, query)` returns, a status for none, and yield the address; paths asked for go into `seen`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            parts = urlsplit(self.path)
            if seen is not None:
                seen.append(parts.path)
            answer = pages(parts.path, dict(parse_qsl(parts.query)))
            status, headers, body = 200, {}, b""
            if isinstance(answer, bytes):
                body = answer
            elif isinstance(answer, int):
                status = answer
            else:
                status, headers = answer
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class ArchiveFiles:
    """The files of an archive in memory, each with its checksum; `pages` serves them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, path: str, text: str) -> None:
        """Put a zip with one file of this text at a path, and its checksum beside it."""
        name = path.rsplit("/", 1)[-1].removesuffix(".zip")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(f"{name}.csv", (2024, 1, 1, 0, 0, 0)), text)
        self.files[path] = packed.getvalue()
        digest = hashlib.sha256(self.files[path]).hexdigest()
        self.files[f"{path}.CHECKSUM"] = f"{digest}  {name}.zip\n".encode()

    def put_bars(self, bars: Bars, day: str, *, market: str = "spot", unit: int = 1, kind: str = "klines") -> None:
        """Put the bars of a month (2024-01) or a day (2024-01-31): `unit` is how many parts a millisecond has."""
        part = bars.frame[bars.frame.index.strftime("%Y-%m-%d").str.startswith(day)]
        length = bars.timeframe.seconds * 1_000
        lines = [
            f"{at * unit},{row.open},{row.high},{row.low},{row.close},{row.volume},{(at + length) * unit - 1},0,1,0,0,0"
            for at, row in zip(part.index.as_unit("ms").asi8, part.itertuples(), strict=True)
        ]
        period, name = ("daily" if day.count("-") == 2 else "monthly"), bars.symbol.joined
        path = f"/data/{market}/{period}/{kind}/{name}/{bars.timeframe}/{name}-{bars.timeframe}-{day}.zip"
        self.put(path, "\n".join(lines) + "\n")

    def put_funding(self, frame: pd.DataFrame, month: str, *, name: str = "BTCUSDT") -> None:
        """Put a month of funding, as the archive has it: with a header and the interval."""
        part = frame[frame.index.strftime("%Y-%m") == month]
        lines = ["calc_time,funding_interval_hours,last_funding_rate"]
        lines += [
            f"{at},8,{rate}" for at, rate in zip(part.index.as_unit("ms").asi8, part["funding_rate"], strict=True)
        ]
        path = f"/data/futures/um/monthly/fundingRate/{name}/{name}-fundingRate-{month}.zip"
        self.put(path, "\n".join(lines) + "\n")

    def pages(self, path: str, _query: dict[str, str]) -> Answer:
        """Answer with a file, or 404."""
        return self.files.get(path, 404)


def fear_greed_pages(values: pd.Series) -> Pages:
    """Answer as alternative.me does: newest first, texts, the last `limit` values or all."""

    def pages(path: str, query: dict[str, str]) -> Answer:
        if path != "/fng/":
            return 404
        limit = int(query.get("limit", "1")) or len(values)
        rows = [
            {"value": str(int(value)), "value_classification": "-", "timestamp": str(int(moment.timestamp()))}
            for moment, value in list(values.items())[-limit:][::-1]
        ]
        if rows:
            rows[0]["time_until_update"] = "100"
        answer = {"name": "Fear and Greed Index", "data": rows, "metadata": {"error": None}}
        return json.dumps(answer).encode()

    return pages


def kraken_pages(bars: Bars, now_ms: int) -> Pages:
    """Answer as Kraken's public interface does for one pair: at most its latest 720 candles, whatever is asked for."""
    pair = {
        "altname": "XBTUSDT", "wsname": "XBT/USDT", "aclass_base": "currency", "base": "XXBT", "aclass_quote": "currency",
        "quote": "USDT", "lot": "unit", "cost_decimals": 5, "pair_decimals": 2, "lot_decimals": 8, "lot_multiplier": 1,
        "leverage_buy": [], "leverage_sell": [], "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD", "margin_call": 80, "margin_stop": 40, "ordermin": "0.0001", "costmin": "0.5",
        "tick_size": "0.01", "status": "online",
    }  # fmt: skip
    assets = {
        name: {"aclass": "currency", "altname": alt, "decimals": 10, "display_decimals": 5, "status": "enabled"}
        for name, alt in (("XXBT", "XBT"), ("USDT", "USDT"))
    }

    def pages(path: str, query: dict[str, str]) -> Answer:
        if path.endswith("/AssetPairs"):
            result: object = {"XBTUSDT": pair}
        elif path.endswith("/Assets"):
            result = assets
        elif path.endswith("/Time"):
            result = {"unixtime": now_ms // 1_000}
        elif path.endswith("/OHLC"):
            known = bars.frame[bars.opened_ms <= now_ms].iloc[-720:]
            known = known[known.index.as_unit("ms").asi8 // 1_000 > int(query.get("since", 0))]
            rows = [
                [int(at), *map(str, (row.open, row.high, row.low, row.close, row.close, row.volume)), 7]
                for at, row in zip(known.index.as_unit("s").asi8, known.itertuples(), strict=True)
            ]
            result = {"XBTUSDT": rows, "last": rows[-1][0] if rows else 0}
        else:
            return 404
        return json.dumps({"error": [], "result": result}).encode()

    return pages


def perpetual_pages(answers: Callable[[str, dict[str, str]], object], now_ms: int) -> Pages:
    """Answer as Binance's futures do for one perpetual: time and trading rules, and what `answers` returns; for None 404."""
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "4529764", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ]
    market = {
        "symbol": "BTCUSDT", "pair": "BTCUSDT", "contractType": "PERPETUAL", "deliveryDate": 4_133_404_800_000,
        "onboardDate": 1_569_398_400_000, "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
        "marginAsset": "USDT", "pricePrecision": 2, "quantityPrecision": 3, "baseAssetPrecision": 8, "quotePrecision": 8,
        "filters": filters, "orderTypes": ["LIMIT", "MARKET"], "timeInForce": ["GTC"],
    }  # fmt: skip

    def pages(path: str, query: dict[str, str]) -> Answer:
        if path == "/fapi/v1/time":
            answer: object = {"serverTime": now_ms}
        elif path == "/fapi/v1/exchangeInfo":
            answer = {"serverTime": now_ms, "symbols": [market]}
        else:
            answer = answers(path, query)
        return 404 if answer is None else json.dumps(answer).encode()

    return pages


def mark_price_pages(bars: Bars, now_ms: int) -> Pages:
    """Answer as Binance's futures do for a perpetual's mark prices: texts, no volume, the open candle last, 1,500 at most."""

    def answers(path: str, query: dict[str, str]) -> object:
        if path != "/fapi/v1/markPriceKlines" or (query["symbol"], query["interval"]) != (
            "BTCUSDT",
            str(bars.timeframe),
        ):
            return None
        since, until = int(query.get("startTime", 0)), min(int(query.get("endTime", now_ms)), now_ms)
        wanted = (bars.opened_ms >= since) & (bars.opened_ms <= until)
        rows = zip(bars.opened_ms[wanted], bars.frame[wanted].itertuples(), strict=True)
        length = bars.timeframe.seconds * 1_000
        found = [
            [
                int(at),
                *map(str, (row.open, row.high, row.low, row.close)),
                "0",
                int(at) + length - 1,
                "0",
                3600,
                "0",
                "0",
                "0",
            ]
            for at, row in rows
        ]
        return found[: min(int(query.get("limit", 500)), 1_500)]

    return perpetual_pages(answers, now_ms)


def funding_pages(frame: pd.DataFrame, now_ms: int, *, late_ms: int = 3, most: int = 1_000) -> Pages:
    """Answer as Binance's futures do for one perpetual: payments stamped some milliseconds late, `most` at once."""
    moments = frame.index.as_unit("ms").asi8 + late_ms

    def answers(path: str, query: dict[str, str]) -> object:
        if path != "/fapi/v1/fundingRate":
            return None
        since, limit = int(query.get("startTime", 0)), min(int(query.get("limit", 100)), most)
        wanted = [row for row in range(len(frame)) if since <= moments[row] <= now_ms][:limit]
        return [
            {
                "symbol": "BTCUSDT",
                "fundingTime": int(moments[row]),
                "fundingRate": str(frame["funding_rate"].iloc[row]),
                "markPrice": f"{frame['mark_price'].iloc[row]:.2f}",
            }
            for row in wanted
        ]

    return perpetual_pages(answers, now_ms)
