"""Streams at the simulated exchange: updates that say when to query, and one for each gap, detection of silence."""

import asyncio
from decimal import Decimal

import pytest

from atb.domain.venue import StreamUpdate
from atb.venues.broker.streams import Streams, StreamWatch
from atb.venues.simulator.faults import Fault
from tests.timeouts import PATIENCE_S
from tests.venues.broker.fake_exchange import in_loop
from tests.venues.broker.harness import BTC, HOUR, HOUR_MS, START, broker_at, exchange, make


async def until(holds, seconds=PATIENCE_S):
    """Wait until something holds; a test that waits in vain fails here."""
    for _ in range(int(seconds / 0.01)):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to hold")


def gaps(updates, state):
    return [update for update in updates if update.kind == "gap" and update.detail["state"] == state]


async def listening(broker, updates, *, bars=True):
    """Listen to the account, and to bars where they are wanted; wait until every stream is up."""
    if bars:
        await broker.bars(BTC, HOUR, since_ms=START - 5 * HOUR_MS)
    broker.listen(updates.append)
    await until(lambda: len(gaps(updates, "up")) == 1 + bars)


@in_loop
async def test_orders_balances_and_bars_give_hints_and_every_connection_is_a_gap():
    updates = []
    with exchange() as running:
        async with broker_at(running) as broker:
            await listening(broker, updates)
            order = make("stop", "stop")
            await broker.place(order)
            await until(lambda: StreamUpdate("order", BTC, {"client_id": order.client_id}) in updates)
            await until(lambda: any(update.kind == "balance" for update in updates))
            running.advance(START + 2 * HOUR_MS)
            await until(
                lambda: (
                    [update.detail["open_ms"] for update in updates if update.kind == "bar"][-1:]
                    == [str(START + 2 * HOUR_MS)]
                )
            )
            assert {update.detail["state"] for update in updates if update.kind == "gap"} == {"up"}
            assert not any("key" in str(update) or "signature" in str(update) for update in updates)


@in_loop
async def test_without_bars_asked_for_only_the_account_is_listened_to():
    updates = []
    with exchange() as running:
        async with broker_at(running) as broker:
            await listening(broker, updates, bars=False)
            assert ["/ws-api/" in update.detail["stream"] for update in updates] == [True]


@in_loop
async def test_a_dropped_stream_is_told_comes_back_and_what_was_missed_is_found_by_asking():
    updates = []
    with exchange() as running:
        async with broker_at(running) as broker:
            await listening(broker, updates)
            running.add_faults(Fault("drop", "executionReport"))
            order = make()
            await broker.place(order)
            await until(lambda: len(gaps(updates, "down")) == 1)
            await until(lambda: len(gaps(updates, "up")) == 3)
            assert (await broker.find(order)).state == "filled"
            again = make(name="1")
            await broker.place(again)
            await until(lambda: StreamUpdate("order", BTC, {"client_id": again.client_id}) in updates)


@pytest.mark.parametrize("kind", ["duplicate", "reorder", "gap"])
@in_loop
async def test_frames_that_come_twice_late_or_never_change_nothing_that_is_asked(kind):
    updates = []
    with exchange() as running:
        async with broker_at(running) as broker:
            await listening(broker, updates)
            running.add_faults(Fault(kind, "executionReport", times=2))
            order = make()
            answer = await broker.place(order)
            assert answer.fills == tuple(await broker.trades(BTC, after=None, since_ms=0))
            assert ((await broker.find(order)).state, (await broker.find(order)).filled) == ("filled", Decimal("0.5"))


@in_loop
async def test_a_stream_of_bars_that_says_nothing_more_is_cut_and_opened_again():
    updates = []
    with exchange() as running:
        async with broker_at(running) as broker:
            await listening(broker, updates)
            running.add_faults(Fault("half_open", "btcusdt@kline_1h"))
            # Silent for two bars: that may be. Silent for more than three: dead.
            running.advance(START + 2 * HOUR_MS)
            await asyncio.sleep(1.2)
            assert gaps(updates, "down") == []
            assert max(broker.silences().values()) >= 2 * HOUR_MS
            running.advance(START + 3 * HOUR_MS + 1)
            await until(lambda: len(gaps(updates, "down")) == 1)
            assert max(broker.silences().values()) >= 3 * HOUR_MS, "a stream that is lost is silent"
            await until(lambda: len(gaps(updates, "up")) == 3)
            running.advance(START + 4 * HOUR_MS)
            await until(
                lambda: (
                    [update.detail["open_ms"] for update in updates if update.kind == "bar"][-1:]
                    == [str(START + 4 * HOUR_MS)]
                )
            )


@in_loop
async def test_a_stream_of_the_account_that_says_nothing_more_is_noticed_by_a_ping():
    updates = []
    with exchange() as running:
        async with broker_at(running) as broker:
            broker._exchange.streaming["keepAlive"] = 100
            await listening(broker, updates, bars=False)
            running.add_faults(Fault("half_open", "executionReport"))
            await broker.place(make())
            await until(lambda: len(gaps(updates, "down")) == 1)
            await until(lambda: len(gaps(updates, "up")) == 2)


@in_loop
async def test_the_exchange_may_be_gone_for_a_while():
    updates = []
    with exchange() as running:
        async with broker_at(running) as broker:
            await listening(broker, updates, bars=False)
    # The exchange is gone, and so is the broker: nothing is left that could fail later.
    assert len(asyncio.all_tasks()) == 1


class SilentExchange:
    """As much of ccxt's exchange as streams need."""

    clients = None
    on_frame = on_drop = None


@in_loop
async def test_a_watch_that_fails_is_tried_again_each_time_later(monkeypatch):
    pauses, real = [], asyncio.sleep

    async def sleep(seconds):
        pauses.append(seconds)
        await real(0)

    calls = iter([ValueError("signature=abc"), ValueError("x"), ["news"], ValueError("x")])

    async def call():
        said = next(calls, None)
        if said is None:
            await asyncio.Event().wait()
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr("atb.venues.broker.streams.asyncio.sleep", sleep)
    updates = []
    streams = Streams(SilentExchange(), updates.append, lambda: 0)
    streams.start(
        [StreamWatch("test", call, lambda news: [StreamUpdate("order", None, {"news": news[0]})])],
        never_silent=lambda _: False,
    )
    for _ in range(20):
        await real(0)
    await streams.stop()
    assert updates == [StreamUpdate("order", None, {"news": "news"})]
    assert [pause for pause in pauses if pause != 0.5] == [0.1, 0.2, 0.1]


@in_loop
async def test_a_connection_that_the_library_cancels_is_opened_again_and_closing_ends_it():
    calls = []

    async def call():
        calls.append(1)
        if len(calls) == 1:
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    streams = Streams(SilentExchange(), print, lambda: 0)
    streams.start([StreamWatch("test", call, lambda _: [])], never_silent=lambda _: True)
    await until(lambda: len(calls) == 2)
    streams._frame_ms["ws://gone"], streams._frame_s["ws://gone"] = -100_000, -100.0
    await until(lambda: "ws://gone" not in streams._frame_ms)
    await streams.stop()
    assert streams.silences() == {}
