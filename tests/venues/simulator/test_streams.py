"""Market streams: the candles, trades and best prices of virtual time, single, combined and subscribed to on the way."""

import asyncio
from dataclasses import replace

import ccxt.pro
import pytest

from atb.venues.simulator.faults import Fault
from atb.venues.simulator.server import running_exchange
from tests.bars import bars_of
from tests.timeouts import PATIENCE_S
from tests.venues.simulator.websocket_client import BARS, HOUR, START, connected, exchange, talk

NEXT = int(BARS.opened_ms[21])
KLINE = "btcusdt@kline_1h"


@pytest.fixture
def running():
    with running_exchange(exchange()) as running:
        yield running


def candle_of(frame):
    return frame["k"]["t"], frame["k"]["x"]


async def settled(socket):
    """Return once the exchange has read what was said before."""
    await socket.say(method="LIST_SUBSCRIPTIONS", id=0)
    return await socket.hear()


def test_a_bar_closes_and_the_next_one_opens(running):
    async def listen(socket):
        await settled(socket)
        running.advance(NEXT)
        return await socket.hear_all(2)

    closed, opened = talk(running, f"/ws/{KLINE}", listen)
    assert candle_of(closed) == (BARS.opened_ms[20], True)
    assert candle_of(opened) == (NEXT, False)
    assert closed["k"]["c"] == f"{BARS.frame['close'].iloc[20]:.8f}"
    assert opened["k"]["c"] == opened["k"]["o"] == f"{BARS.frame['open'].iloc[21]:.8f}"
    assert (closed["e"], closed["s"], closed["E"]) == ("kline", "BTCUSDT", NEXT)


def test_combined_streams_name_the_stream(running):
    async def listen(socket):
        await settled(socket)
        running.advance(NEXT)
        return {frame["stream"]: frame["data"] for frame in await socket.hear_all(4)}

    frames = talk(running, f"/stream?streams={KLINE}/btcusdt@trade/btcusdt@bookTicker", listen)
    assert set(frames) == {KLINE, "btcusdt@trade", "btcusdt@bookTicker"}
    best = frames["btcusdt@bookTicker"]
    assert float(best["b"]) <= float(frames["btcusdt@trade"]["p"]) <= float(best["a"])


def test_subscribes_and_unsubscribes_on_the_way(running):
    async def listen(socket):
        answers = []
        for method, params in (
            ("SUBSCRIBE", [KLINE, "btcusdt@trade"]),
            ("LIST_SUBSCRIPTIONS", []),
            ("UNSUBSCRIBE", ["btcusdt@trade"]),
            ("LIST_SUBSCRIPTIONS", []),
        ):
            await socket.say(method=method, params=params, id=len(answers))
            answers.append(await socket.hear())
        running.advance(NEXT)
        return answers, [candle_of(frame) for frame in await socket.hear_all(2)], await socket.silent()

    answers, frames, silent = talk(running, "/ws", listen)
    assert [answer["result"] for answer in answers] == [None, [KLINE, "btcusdt@trade"], None, [KLINE]]
    assert [answer["id"] for answer in answers] == [0, 1, 2, 3]
    assert frames == [(BARS.opened_ms[20], True), (NEXT, False)]
    assert silent


def test_a_connection_may_ask_to_be_told_the_streams_name(running):
    async def listen(socket):
        await socket.say(method="SET_PROPERTY", params=["combined", True], id=1)
        await socket.say(method="GET_PROPERTY", params=["combined"], id=2)
        answers = await socket.hear_all(2)
        running.advance(NEXT)
        return [answer["result"] for answer in answers], await socket.hear()

    answers, frame = talk(running, f"/stream/ws/{KLINE}", listen)
    assert answers == [None, True]
    assert frame["stream"] == KLINE


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("{", 3),
        ("[1]", 3),
        ('{"method": "SUBSCRIBE"}', 3),
        ('{"method": "SUBSCRIBE", "params": "x", "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": [1], "id": 1}', 2),
        ('{"method": "SET_PROPERTY", "params": [], "id": 1}', 2),
        ('{"method": "SHOUT", "id": 1}', 2),
    ],
)
def test_refuses_what_it_does_not_understand(running, said, code):
    async def listen(socket):
        await socket.ws.send_str(said)
        return await socket.hear()

    assert talk(running, "/ws", listen)["error"]["code"] == code


def test_more_streams_than_a_connection_may_have_are_refused(running):
    async def listen(socket):
        await socket.say(method="SUBSCRIBE", params=[f"a{k}@trade" for k in range(1_025)], id=1)
        return await socket.hear()

    assert "more than 1024" in talk(running, "/ws", listen)["error"]["msg"]


def test_answers_pings(running):
    async def listen(socket):
        await socket.ws.ping(b"are you there")
        return (await socket.ws.receive(timeout=PATIENCE_S)).data

    assert talk(running, "/ws", listen) == b"are you there"


def test_pings_who_is_told_nothing(running, monkeypatch):
    monkeypatch.setattr("atb.venues.simulator.socket_writer._PING_EVERY_S", 0.05)

    async def listen(socket):
        return (await socket.ws.receive(timeout=PATIENCE_S)).data

    assert talk(running, "/ws", listen) == str(START).encode()


def test_says_goodbye_when_the_exchange_ends():
    async def listen():
        with running_exchange(exchange()) as running:
            connection = connected(running.url, "/ws")
            socket = await connection.__aenter__()
            await settled(socket)
        assert await socket.ended()
        await connection.__aexit__(None, None, None)

    asyncio.run(listen())


class TestFaults:
    """Stream faults; the account's stream breaks the same way."""

    def heard(self, *faults, bars=3):
        """Return the candles heard over some bars with these faults, and whether the stream was silent afterwards."""

        async def listen(socket):
            await settled(socket)
            running.advance(NEXT + (bars - 1) * HOUR)
            frames = []
            while not await self.over(socket):
                frames.append(self.last)
            return [
                (row - BARS.opened_ms[20]) // HOUR * 2 + (0 if closed else -1) for row, closed in map(candle_of, frames)
            ]

        with running_exchange(exchange(faults=list(faults))) as running:
            return talk(running, f"/ws/{KLINE}", listen)

    async def over(self, socket):
        try:
            self.last = await socket.hear(within=0.2)
        except (TimeoutError, TypeError):
            return True
        return False

    # Frames are numbered: bar k closes (2k), bar k + 1 opens (2k + 1).
    def test_without_a_fault_every_frame_comes_in_order(self):
        assert self.heard() == [0, 1, 2, 3, 4, 5]

    def test_a_gap_loses_frames(self):
        assert self.heard(Fault("gap", KLINE, after=1, times=2)) == [0, 3, 4, 5]

    def test_frames_come_twice(self):
        assert self.heard(Fault("duplicate", KLINE, after=2)) == [0, 1, 2, 2, 3, 4, 5]

    def test_frames_change_places(self):
        assert self.heard(Fault("reorder", "*", after=1, times=3)) == [0, 3, 2, 1, 4, 5]

    def test_a_connection_is_dropped(self):
        assert self.heard(Fault("drop", "market", after=2))[:2] in ([], [0], [0, 1])

    def test_a_socket_that_is_half_open_says_nothing_more(self):
        async def listen(socket):
            await settled(socket)
            running.advance(NEXT + HOUR)
            frames = await socket.hear_all(1)
            await socket.ws.ping()
            await socket.say(method="LIST_SUBSCRIPTIONS", id=1)
            return [candle_of(frame)[1] for frame in frames], await socket.silent(), socket.ws.closed

        with running_exchange(exchange(faults=[Fault("half_open", KLINE, after=1)])) as running:
            assert talk(running, f"/ws/{KLINE}", listen) == ([True], True, False)
            fates = [entry["fate"] for entry in running.ledger("frame")]
        assert fates == ["sent", "half_open", "lost", "lost"]

    def test_a_frame_comes_late_in_virtual_time(self):
        async def listen(socket):
            await settled(socket)
            running.advance(NEXT)
            first = await socket.hear()
            running.advance(NEXT + 4_999)
            before = await socket.silent()
            running.advance(NEXT + 5_000)
            return candle_of(first)[1], before, candle_of(await socket.hear())[1]

        with running_exchange(exchange(faults=[Fault("delay", KLINE, detail={"delay_ms": 5_000})])) as running:
            assert talk(running, f"/ws/{KLINE}", listen) == (False, True, True)

    def test_who_connects_again_hears_again(self):
        async def listen(socket):
            await settled(socket)
            running.advance(running.exchange.now_ms() + HOUR)
            return await socket.ended() if running.ledger("fault") else False

        with running_exchange(exchange(faults=[Fault("drop", KLINE)])) as running:
            assert talk(running, f"/ws/{KLINE}", listen)

            async def again(socket):
                await settled(socket)
                running.advance(running.exchange.now_ms() + HOUR)
                return candle_of(await socket.hear())

            assert talk(running, f"/ws/{KLINE}", again)[1] is True


def test_longer_candles_of_a_symbol_have_streams_of_their_own():
    hours = BARS.frame.resample("4h")
    whole = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    four = bars_of(hours.agg(whole), timeframe="4h")
    config = replace(exchange(), series=(BARS, four))

    async def listen(socket):
        await settled(socket)
        running.advance(START + 8 * HOUR)
        return await socket.hear_all(4), await socket.silent()

    with running_exchange(config) as running:
        frames, silent = talk(running, "/ws/btcusdt@kline_4h", listen)
    assert silent
    assert [candle_of(frame) for frame in frames] == [(row, x) for row in four.opened_ms[5:8] for x in (False, True)][
        1:5
    ]
    assert (frames[0]["k"]["i"], frames[0]["k"]["h"]) == ("4h", f"{four.frame['high'].iloc[5]:.8f}")


def test_in_real_time_the_open_candle_is_told_again_and_again(monkeypatch):
    monkeypatch.setattr("atb.venues.simulator.streams._REFRESH_S", 0.02)

    async def listen(socket):
        return [candle_of(await socket.hear()) for _ in range(3)]

    with running_exchange(exchange(clock="real")) as running:
        assert talk(running, f"/ws/{KLINE}", listen) == [(BARS.opened_ms[20], False)] * 3


def test_ccxt_pro_watches_candles_of_virtual_time(running):
    async def watch():
        client = ccxt.pro.binance({"enableRateLimit": False, "options": {"fetchMarkets": {"types": ["spot"]}}})
        for name in ("public", "private"):
            client.urls["api"][name] = f"{running.url}/api/v3"
        client.urls["api"]["ws"] = {"spot": running.url.replace("http", "ws") + "/stream/ws"}
        try:
            await client.load_markets()
            watching = asyncio.create_task(client.watch_ohlcv("BTC/USDT", "1h"))
            while not running.ledger("subscription"):
                await asyncio.sleep(0.01)
            running.advance(NEXT)
            await asyncio.wait_for(watching, 5)
            while client.ohlcvs["BTC/USDT"]["1h"][-1][0] != NEXT:
                await asyncio.sleep(0.01)
            return list(client.ohlcvs["BTC/USDT"]["1h"])
        finally:
            await client.close()

    rows = asyncio.run(asyncio.wait_for(watch(), 10))
    assert [row[0] for row in rows] == [BARS.opened_ms[20], NEXT]
    assert rows[0][1:5] == BARS.frame.iloc[20].tolist()[:4]
    assert rows[1][1] == BARS.frame["open"].iloc[21]


def test_who_waits_for_a_time_is_woken_by_what_a_stream_tells(running):
    async def wait():
        async with connected(running.control_url, "/clock") as clock, connected(running.url, f"/ws/{KLINE}") as stream:
            await clock.hear()
            await settled(stream)
            await clock.say(until=NEXT + HOUR // 2)
            return [await clock.hear(), candle_of(await stream.hear())]

    assert asyncio.run(wait()) == [{"now": NEXT, "woken": True}, (BARS.opened_ms[20], True)]
