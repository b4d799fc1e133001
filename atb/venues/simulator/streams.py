"""Binance's market streams over WebSocket: klines, trades and best prices; raw, combined, or by later subscription."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from aiohttp import web

from atb.venues.simulator.clock import RealClock
from atb.venues.simulator.events import Kline
from atb.venues.simulator.frames import frame, stream_of
from atb.venues.simulator.socket_writer import SocketWriter, accept_socket, track_writers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atb.venues.simulator.events import Event
    from atb.venues.simulator.exchange import Exchange
    from atb.venues.simulator.market import Market
    from atb.venues.simulator.server import Server

_MAX_STREAMS = 1_024
_REFRESH_S = 2.0


def add_routes(app: web.Application, server: "Server") -> None:
    """Serve `/ws`, `/ws/STREAM/STREAM`, `/stream?streams=STREAM/STREAM`, and `/stream/ws` like `/ws`."""
    track_writers(app)
    exchange = server.exchange

    async def raw(request: web.Request) -> web.StreamResponse:
        return await _serve(request, exchange, combined=False)

    async def combined(request: web.Request) -> web.StreamResponse:
        return await _serve(request, exchange, combined=True)

    for path in ("/ws", "/stream/ws"):
        app.router.add_get(path, raw)
        app.router.add_get(path + "/{streams:.+}", raw)
    app.router.add_get("/stream", combined)


class Subscriptions:
    """The streams of one connection, and its subscription requests."""

    def __init__(self, writer: SocketWriter, streams: list[str], *, combined: bool) -> None:
        self._writer = writer
        self._streams = dict.fromkeys(streams)  # in the order of subscription, as LIST_SUBSCRIPTIONS returns them
        self._combined = combined
        writer.note_subscriptions(*self._streams)

    def on_event(self, event: "Event") -> bool:
        """Send an event if this connection has its stream; return True if so."""
        stream = stream_of(event)
        if stream is None or stream not in self._streams:
            return False
        body = frame(event)
        self._writer.send_event({"stream": stream, "data": body} if self._combined else body, stream, "market")
        return True

    def on_message(self, text: str) -> None:
        """Handle one request of the client."""
        try:
            request = json.loads(text)
            method, number = request["method"], request["id"]
        except (ValueError, TypeError, KeyError):
            self._writer.send_reply(_error(3, "Invalid JSON: a request has a method and an id"))
            return
        try:
            result = self._execute(method, request.get("params", []))
        except (TypeError, IndexError) as error:
            self._writer.send_reply(_error(2, f"Invalid request: {error}", number))
        except LookupError as error:
            self._writer.send_reply(_error(2, f"Invalid request: unknown variant `{error.args[0]}`", number))
        else:
            self._writer.send_reply({"result": result, "id": number})

    def _execute(self, method: str, parameters: list[Any]) -> Any:
        if method == "SUBSCRIBE":
            self._streams |= dict.fromkeys(_names(parameters))
            if len(self._streams) > _MAX_STREAMS:
                raise TypeError(f"more than {_MAX_STREAMS} streams on one connection")
            self._writer.note_subscriptions(*parameters)
        elif method == "UNSUBSCRIBE":
            self._streams = {name: None for name in self._streams if name not in _names(parameters)}
        elif method == "LIST_SUBSCRIPTIONS":
            return list(self._streams)
        elif method == "SET_PROPERTY" and parameters[0] == "combined":
            self._combined = bool(parameters[1])
        elif method == "GET_PROPERTY" and parameters[0] == "combined":
            return self._combined
        else:
            raise LookupError(method)
        return None


async def _serve(request: web.Request, exchange: "Exchange", *, combined: bool) -> web.StreamResponse:
    named = request.query.get("streams", "") if combined else request.match_info.get("streams", "")
    streams = [name for name in named.split("/") if "@" in name]
    async with accept_socket(request, exchange) as writer:
        subscriptions = Subscriptions(writer, streams, combined=combined)

        def on_event(event: "Event") -> None:
            carried = [subscriptions.on_event(each) for each in (event, *longer_candles(exchange.market, event))]
            if any(carried):
                exchange.barrier.wake()  # a participant that waits for a time reads its streams first

        unsubscribe, pulse = (
            exchange.subscribe(on_event),
            asyncio.create_task(_refresh_open_candles(exchange, on_event)),
        )
        try:
            await writer.serve(subscriptions.on_message)
        finally:
            unsubscribe()
            pulse.cancel()
        return writer.socket


def longer_candles(market: "Market", event: "Event") -> "Iterator[Kline]":
    """Yield the candles of a symbol's longer intervals that open or close when one of its shortest does."""
    if not isinstance(event, Kline):
        return
    for bars in (*market.series, *market.others):
        if bars.symbol.joined == event.symbol and str(bars.timeframe) != event.interval:
            times = bars.closed_ms if event.closed else bars.opened_ms
            row = int(np.searchsorted(times, event.time_ms))
            if row < len(bars) and times[row] == event.time_ms:
                opened = int(bars.opened_ms[row])
                (candle,) = market.candles(bars, start_ms=opened, end_ms=opened, limit=1)
                yield Kline(event.time_ms, event.symbol, str(bars.timeframe), candle, event.closed)


async def _refresh_open_candles(exchange: "Exchange", tell: "Callable[[Event], None]") -> None:
    """Send each open candle again every two seconds, as Binance does while there is trade; not in virtual time."""
    while isinstance(exchange.clock, RealClock):
        await asyncio.sleep(_REFRESH_S)
        for name, bars in exchange.market.finest().items():
            for candle in exchange.market.candles(bars, start_ms=None, end_ms=None, limit=1):
                if exchange.now_ms() <= candle.close_ms:
                    tell(Kline(exchange.now_ms(), name, str(bars.timeframe), candle, closed=False))


def _names(parameters: list[Any]) -> list[str]:
    if not isinstance(parameters, list) or not all(isinstance(name, str) for name in parameters):
        raise TypeError("params must be a list of streams")
    return parameters


def _error(code: int, text: str, number: Any = None) -> dict[str, Any]:
    return {"error": {"code": code, "msg": text}, "id": number}
