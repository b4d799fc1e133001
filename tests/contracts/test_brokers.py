"""Contract of every broker, at every venue that has a simulated exchange; the exchange's ledger is the judge."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from atb.domain import Timeframe
from atb.domain.venue import OrderList
from atb.errors import InputError, VenueError
from atb.venues.broker.capabilities import VENUES
from atb.venues.simulator.faults import Fault
from tests.contracts.broker_harness import FRAME, HOUR_MS, ORDERS, ROW, SYMBOLS, WEBSOCKET, stage
from tests.venues.broker.fake_exchange import in_loop

HOUR = Timeframe.parse("1h")
at_each_venue = pytest.mark.parametrize("venue", sorted(SYMBOLS))


@asynccontextmanager
async def on_stage(venue, *, access=None, **config):
    """Yield a stage with an open broker."""
    with stage(venue, **config) as scene:
        broker = scene.connect(**(access or {}))
        try:
            await broker.open([scene.symbol])
            yield scene, broker
        finally:
            await broker.close()


def test_every_venue_of_the_table_is_tried_here_or_known_to_have_no_simulated_exchange():
    assert set(VENUES) - set(SYMBOLS) == {"kraken"}


@at_each_venue
@in_loop
async def test_nothing_is_asked_before_it_is_opened_and_nothing_is_left_when_it_is_closed(venue):
    with stage(venue) as scene:
        broker = scene.connect()
        assert scene.asked() == 0
        await broker.open([scene.symbol])
        await broker.close()
    assert len(asyncio.all_tasks()) == 1


@at_each_venue
@in_loop
async def test_knows_the_time_and_the_rules(venue):
    async with on_stage(venue) as (scene, broker):
        assert broker.now_ms() == scene.start_ms
        assert broker.instrument(scene.symbol) == scene.rules


@at_each_venue
@in_loop
async def test_bars_are_the_markets_own_and_only_closed_ones(venue):
    async with on_stage(venue) as (scene, broker):
        found = await broker.bars(scene.symbol, HOUR, since_ms=int(scene.bars.opened_ms[0]))
        assert found.frame.to_numpy().tolist() == FRAME.iloc[:ROW].to_numpy().tolist()
        assert found.opened_ms.tolist() == scene.bars.opened_ms[:ROW].tolist()
        assert await broker.bars(scene.symbol, HOUR, since_ms=scene.start_ms) is None
        scene.running.advance(scene.start_ms + HOUR_MS - 1)
        assert await broker.bars(scene.symbol, HOUR, since_ms=scene.start_ms) is None
        scene.running.advance(scene.start_ms + HOUR_MS)
        assert len(await broker.bars(scene.symbol, HOUR, since_ms=scene.start_ms)) == 1


@at_each_venue
@pytest.mark.parametrize("quantity", ["0.500001", "0", "0.00000001"])
@in_loop
async def test_a_quantity_that_breaks_the_rules_never_leaves(venue, quantity):
    async with on_stage(venue) as (scene, broker):
        asked = scene.asked()
        answer = await broker.place(scene.order(quantity=Decimal(quantity)))
        assert (answer.outcome, answer.code) == ("rejected", "local:lot_size")
        assert scene.asked() == asked


@at_each_venue
@in_loop
async def test_an_order_at_market_is_filled_and_reported_as_the_ledger_has_it(venue):
    async with on_stage(venue) as (scene, broker):
        before = await broker.balances()
        order = scene.order()
        answer = await broker.place(order)
        assert (answer.outcome, answer.sent_ms) == ("done", scene.start_ms)
        assert ("ws" in scene.ways(order)) == (venue == WEBSOCKET)
        found = await broker.find(order)
        assert (found.client_id, found.state, found.filled, found.type) == (
            order.client_id,
            "filled",
            order.quantity,
            "market",
        )
        fills = await broker.trades(scene.symbol, after=None, since_ms=scene.start_ms)
        reported = [(fill.price, fill.quantity, fill.fee, fill.fee_asset, fill.order_id) for fill in fills]
        assert reported == [
            (
                Decimal(execution["price"]),
                Decimal(execution["quantity"]),
                Decimal(execution["commission"]),
                execution["commission_asset"],
                found.exchange_id,
            )
            for execution in scene.executions(order.client_id)
        ]
        after, quote = await broker.balances(), scene.symbol.quote
        spent = sum(fill.price * fill.quantity + fill.fee_value for fill in fills)
        assert after[scene.symbol.base].total - before[scene.symbol.base].total == order.quantity
        assert before[quote].total - after[quote].total == spent


@at_each_venue
@in_loop
async def test_trades_after_one_leave_it_out(venue):
    async with on_stage(venue) as (scene, broker):
        for name in "012":
            await broker.place(scene.order(name=name))
        every = await broker.trades(scene.symbol, after=None, since_ms=scene.start_ms)
        rest = await broker.trades(scene.symbol, after=every[0].trade_id, since_ms=scene.start_ms)
        assert (len(every), rest) == (3, every[1:])
        assert await broker.trades(scene.symbol, after=every[-1].trade_id, since_ms=scene.start_ms) == []
        assert await broker.trades(scene.symbol, after=None, since_ms=scene.start_ms + 1) == []


@at_each_venue
@pytest.mark.parametrize(("role", "kind"), [("stop", "stop"), ("target", "limit"), ("entry", "limit")])
@in_loop
async def test_an_order_that_rests_is_listed_until_it_is_cancelled(venue, role, kind):
    async with on_stage(venue) as (scene, broker):
        order = scene.order(role, kind)
        assert (await broker.place(order)).outcome == "done"
        listed = await broker.open_orders(scene.symbol)
        reported = [(o.client_id, o.side, o.type, o.state, o.quantity, o.stop_price) for o in listed]
        assert reported == [(order.client_id, order.side, kind, "new", order.quantity, order.stop_price)]
        assert (await broker.cancel(order)).outcome == "done"
        assert (await broker.cancel(order)).outcome == "rejected"
        assert list(await broker.open_orders(scene.symbol)) == []
        assert (await broker.find(order)).state == "cancelled"


@at_each_venue
@in_loop
async def test_an_order_that_never_was_is_not_found(venue):
    async with on_stage(venue) as (scene, broker):
        assert await broker.find(scene.order()) is None
        assert (await broker.cancel(scene.order())).outcome == "rejected"


@at_each_venue
@in_loop
async def test_an_execution_leads_by_its_order_id_to_our_client_id(venue):
    async with on_stage(venue) as (scene, broker):
        order = scene.order()
        await broker.place(order)
        other = scene.connect()  # one that has seen nothing yet, as after a restart
        try:
            await other.open([scene.symbol])
            (fill, *_) = await other.trades(scene.symbol, after=None, since_ms=scene.start_ms)
            found = await other.find_by_id(scene.symbol, fill.order_id)
            assert (found.client_id, found.state, found.filled) == (order.client_id, "filled", order.quantity)
            assert await other.find_by_id(scene.symbol, "4711") is None
        finally:
            await other.close()


@at_each_venue
@in_loop
async def test_every_order_is_listed_in_any_state(venue):
    async with on_stage(venue) as (scene, broker):
        orders = [scene.order(name="0"), scene.order("stop", "stop"), scene.order("entry", "limit", name="1")]
        for order in orders:
            await broker.place(order)
        await broker.cancel(orders[-1])
        listed = await broker.all_orders(scene.symbol, since_ms=scene.start_ms)
        states = {one.client_id: one.state for one in listed}
        assert states == dict(zip([order.client_id for order in orders], ("filled", "new", "cancelled"), strict=True))
        assert list(await broker.all_orders(scene.symbol, since_ms=scene.start_ms + 1)) == []


@at_each_venue
@in_loop
async def test_a_list_is_found_with_its_legs_where_there_are_lists(venue):
    async with on_stage(venue) as (scene, broker):
        assert await broker.find_list(scene.symbol, "atb-stage-l0") is None
        legs = scene.order("stop", "stop"), scene.order("target", "limit")
        if "oco" not in broker.capabilities_of(scene.symbol).lists:
            return
        await broker.place(OrderList("atb-stage-l0", "oco", legs))
        found = await broker.find_list(scene.symbol, "atb-stage-l0")
        assert set(found) == {leg.client_id for leg in legs}
        assert {(await broker.find_by_id(scene.symbol, one)).client_id for one in found.values()} == set(found)


@at_each_venue
@in_loop
async def test_what_the_account_cannot_pay_is_rejected(venue):
    async with on_stage(venue, balances={SYMBOLS[venue].quote: Decimal(10)}) as (scene, broker):
        answer = await broker.place(scene.order())
        assert answer.outcome == "rejected"
        assert answer.text
        assert not scene.executions("atb-stage-e0")
        assert await broker.find(scene.order()) is None


@at_each_venue
@in_loop
async def test_the_same_id_twice_does_what_the_flags_say(venue):
    async with on_stage(venue) as (scene, broker):
        resting, done = scene.order("stop", "stop"), scene.order()
        for order in (resting, done):
            assert (await broker.place(order)).outcome == "done"
        again = await broker.place(resting)
        assert again.outcome != "rejected"
        assert len(await broker.open_orders(scene.symbol)) == 1
        await broker.place(done)
        executions = {"ever": 1, "open": 2}[broker.capabilities.id_unique]
        assert len(scene.executions(done.client_id)) == executions


@at_each_venue
@pytest.mark.parametrize("kind", ["lost", "held_after", "error_after", "truncated", "reset", "held", "error"])
@in_loop
async def test_a_lost_answer_is_unknown_and_asking_tells_what_the_ledger_says(venue, kind):
    async with on_stage(venue, access={"timeout_s": 0.5}) as (scene, broker):
        scene.running.add_faults(Fault(kind, ORDERS[venue]))
        order = scene.order("stop", "stop")
        answer = await broker.place(order)
        assert answer.outcome == "unknown"
        scene.running.advance(answer.sent_ms + 5_001)
        there = any(row["client_id"] == order.client_id for row in scene.running.ledger("order"))
        assert (await broker.find(order) is not None) == there
        assert there == (kind in {"lost", "held_after", "error_after", "truncated"})


@at_each_venue
@in_loop
async def test_what_the_flags_deny_is_refused_here_and_what_they_grant_is_not(venue):
    async with on_stage(venue) as (scene, broker):
        stop, target = scene.order("stop", "stop"), scene.order("target", "limit")
        listed = await broker.place(OrderList("atb-stage-l0", "oco", (stop, target)))
        can = broker.capabilities_of(scene.symbol)
        assert (listed.code != "local:unsupported") == ("oco" in can.lists)
        replaced = await broker.replace(stop, scene.order("stop", "stop", "1"))
        assert (replaced.code != "local:unsupported") == can.replaces
        assert bool(can.missing()) == (venue == "coinbase")


@at_each_venue
@in_loop
async def test_what_a_symbol_allows_and_its_last_price_are_told_again_when_asked(venue):
    async with on_stage(venue) as (scene, broker):
        assert broker.capabilities_of(scene.symbol).status == "trading"
        assert broker.capabilities_of(scene.symbol).stops
        await broker.refresh([scene.symbol])
        assert broker.capabilities_of(scene.symbol).status == "trading"
        assert await broker.price(scene.symbol) == Decimal(str(FRAME["open"].iloc[ROW]))


@at_each_venue
@in_loop
async def test_tells_what_the_key_may_do(venue):
    async with on_stage(venue) as (_, broker):
        rights = await broker.permissions()
        assert (rights.trade, rights.withdraw) == (True, False)


@at_each_venue
@in_loop
async def test_a_symbol_that_the_venue_does_not_have_is_refused(venue):
    with stage(venue) as scene:
        broker = scene.connect()
        try:
            with pytest.raises(InputError, match="no such symbol"):
                await broker.open([type(scene.symbol).parse("NOPE/USDT")])
        finally:
            await broker.close()


@at_each_venue
@in_loop
async def test_no_secret_is_in_an_answer_an_error_or_a_description(venue):
    async with on_stage(venue) as (scene, broker):
        scene.running.add_faults(Fault("error", ORDERS[venue]))
        shown = f"{broker!r} {vars(broker)!r} {await broker.place(scene.order())!r}"
        scene.running.add_faults(Fault("error", "*"))
        with pytest.raises(VenueError) as failed:
            await broker.balances()
        shown += f"{failed.value!r} {failed.value}"
        assert not any(word in shown for word in ("canary", "PRIVATE KEY", "signature=", "Bearer"))
