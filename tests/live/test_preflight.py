"""Preflight: a real broker at the simulated exchange, and one thing wrong at a time."""

import asyncio
import os
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from atb.config import load_settings
from atb.db import open_database
from atb.db.tables import LeaseRow
from atb.domain import Symbol
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.errors import SetupError, VenueError
from atb.live.journal.kill_switch import Level, set_halt, write_halt_file
from atb.live.journal.lease import TTL_MS
from atb.live.portfolio import Portfolio
from atb.live.preflight import AccountState, preflight
from atb.monitoring.processes import Holder, _started
from atb.strategies import make_strategy
from atb.venues.broker.reports import commissions_in
from atb.venues.simulator.capabilities import EVERYTHING
from atb.venues.simulator.configuration import Filters, Key
from tests.instruments import usual
from tests.live.exchange_harness import plan_of
from tests.rehearsal.ledger import START, Plans, StillClock, close, filled, open_journal, take, working
from tests.venues.broker.harness import BARS, BTC, PRICE, broker_at, exchange, make

SETTINGS = {"exchange": {"base_url": "http://127.0.0.1:1"}}


def portfolio(policy=None, *, market="binance", instrument=None, execution=None):
    strategy = make_strategy("sma_cross", fast=3, slow=8)
    plan = plan_of(
        strategy,
        BARS,
        policy or RiskPolicy(stop_loss=0.02, take_profit=0.03),
        execution=execution or ExecutionModel(fee_in_base=True),
        account=AccountPolicy(),
    )
    plan = replace(plan, manifest=SimpleNamespace(**vars(plan.manifest) | {"venue": market}))
    return Portfolio((replace(plan, instrument=instrument) if instrument else plan,))


def allow(broker, **values):
    """Change what the symbol allows, as the broker learned it."""
    broker._allowed[BTC] = replace(broker.capabilities_of(BTC), **values)


def look(running, *, situation=None, before=None, plans=None, clock=None, change=None, **settings):
    """Return the checks that are not passed by name, and all of them."""

    async def whole():
        async with broker_at(running) as broker:
            if before is not None:
                await before(broker)
            if change is not None:
                change(broker)
            return await preflight(
                broker, plans or portfolio(), load_settings(**(settings or SETTINGS)), clock=clock or running.clock,
                situation=situation or AccountState(),
            )  # fmt: skip

    found = asyncio.run(whole())
    return {check.name: check for check in found.checks if not check.ok}, found


def test_an_account_that_is_ready_passes_every_check():
    with exchange() as running:
        wrong, found = look(running)
    assert wrong == {}
    assert found.passed
    found.require()
    names = [check.name.split(" of ")[0] for check in found.checks]
    assert names == ["venue", "market", "lease", "kill switch", "status", "policy", "limit orders", "clock", "key may trade",
                     "key cannot withdraw", "instrument", "open orders", "balance", "balance", "room for entries", "fees",
                     "test order in BTC/USDT"]  # fmt: skip
    assert found.to_json()[0]["ok"] is True


def test_a_simulator_is_announced_loudly_and_the_exchange_is_named():
    with exchange() as running:
        _, found = look(running)
        assert "*** SIMULATOR" in found.checks[0].found
        assert "NOT binance itself" in found.checks[0].found
        _, found = look(running, data={})
    assert found.checks[0].found == "binance, real money"


@pytest.mark.parametrize(
    ("key", "name"),
    [(Key(withdraw=True), "key cannot withdraw"), (Key(trade=False), "key may trade")],
)
def test_a_key_that_may_do_more_or_less_is_refused(key, name):
    with exchange(keys=(key,)) as running:
        wrong, found = look(running)
    assert name in wrong
    with pytest.raises(SetupError, match=rf"checks keep the runner from starting:(.|\n)*{name}"):
        found.require()


def test_a_clock_that_is_off_is_refused():
    with exchange() as running:
        wrong, _ = look(running, clock=StillClock(running.clock.now_ms() - 60_000))
    assert "+60000 ms" in wrong["clock"].found


def test_rules_that_are_not_the_tested_ones_are_refused_with_both():
    with exchange() as running:
        wrong, _ = look(running, plans=portfolio(instrument=usual(BTC, tick=Decimal("0.1"), min_notional=Decimal(10))))
    (check,) = wrong.values()
    assert check.found == "BTC/USDT: tick 0.01 instead of 0.1, min_notional 5 instead of 10 (given by hand)"


def test_bars_of_another_market_are_refused():
    with exchange() as running:
        wrong, _ = look(running, plans=portfolio(market="synthetic"))
    (check,) = wrong.values()
    assert check.found == "tested on bars of synthetic, to be traded on binance"


def test_what_the_venue_cannot_keep_is_named():
    with exchange() as running:
        wrong, _ = look(running, plans=portfolio(RiskPolicy(allow_short=True, stop_loss=0.02)))
        assert "selling short" in next(iter(wrong.values())).found

        def weaken(broker):
            allow(broker, lists=frozenset(), stops_at_market=False, late_bound_ms=None)

        ladder = RiskPolicy(stop_loss=0.02, ladder=((0.01, 0.5),))
        wrong, _ = look(running, plans=portfolio(ladder), change=weaken)
        (check,) = wrong.values()
        assert "stops that sell at any price, pairs of stop and target (OCO), a bound on late execution" in check.found
        wrong, _ = look(running, plans=portfolio(RiskPolicy(take_profit=0.02)), change=weaken)
        assert "OCO" not in next(iter(wrong.values())).found, "a target alone needs no pair"
        wrong, _ = look(
            running,
            plans=portfolio(RiskPolicy(trailing_atr=2.0)),
            change=lambda broker: allow(broker, stops=False),
        )
        assert "stops that rest at the venue" in next(iter(wrong.values())).found


def test_an_entry_that_can_be_filled_while_no_runner_lives_to_place_its_stop_is_refused_with_what_to_do():
    with exchange() as running:
        wrong, found = look(running, plans=portfolio(RiskPolicy(entry="stop", entry_offset=0.01, trailing_stop=0.02)))
        (check,) = wrong.values()
        assert "the venue lacks entries at a stop that bring their own protective stop" in check.found
        with pytest.raises(SetupError, match="enters at the market or at a limit"):
            found.require()
        for policy in (RiskPolicy(entry="stop"), RiskPolicy(entry="limit", entry_offset=0.01, stop_loss=0.02)):
            assert look(running, plans=portfolio(policy))[0] == {}, "no stop is wanted, or it comes with the entry"
        wrong, _ = look(
            running,
            plans=portfolio(RiskPolicy(entry="limit", entry_offset=0.01, stop_loss=0.02)),
            change=lambda broker: allow(broker, lists=frozenset(("oco",))),
        )
        assert "entries that bring their own protective stop (OPO)" in next(iter(wrong.values())).found


def test_the_symbol_itself_is_asked_what_it_allows():
    moves = RiskPolicy(stop_loss=0.02, trailing_stop=0.01)
    for values, words in (
        ({"opoAllowed": False}, "entries that bring their own protective stop (OPO)"),
        ({"otoAllowed": False}, "entries that bring their own protective stop (OPO)"),
        ({"cancelReplaceAllowed": False}, "moving a stop in one request (cancel-replace)"),
        ({"orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"]}, "stops that rest at the venue"),
    ):
        with exchange(symbols={"BTCUSDT": EVERYTHING.changed(values)}) as running:
            wrong, _ = look(running, plans=portfolio(moves))
        (check,) = wrong.values()
        assert words in check.found
        assert check.found.startswith("BTC/USDT: the venue lacks ")


@pytest.mark.parametrize(
    ("status", "words"), [("CANCEL_ONLY", "takes cancellations and no orders"), ("HALT", "closed")]
)
def test_a_market_that_takes_no_orders_is_refused(status, words):
    with exchange(symbols={"BTCUSDT": EVERYTHING.changed({"status": status})}) as running:
        wrong, _ = look(running)
    assert wrong["status of BTC/USDT"].found == f"BTC/USDT: {words}"


@pytest.mark.parametrize(
    ("target", "gap", "passes"), [(0.03, "open", False), (0.03, "own", True), (None, "open", True)]
)
def test_limit_orders_that_were_tested_at_the_better_open_are_refused(target, gap, passes):
    costs = ExecutionModel(fee_in_base=True, limit_gap=gap)
    with exchange() as running:
        wrong, _ = look(running, plans=portfolio(RiskPolicy(stop_loss=0.02, take_profit=target), execution=costs))
    assert (wrong == {}) is passes
    assert passes or "limit_gap=own" in wrong[next(iter(wrong))].todo


def test_an_account_a_little_short_of_the_worst_price_of_an_entry_is_told_what_follows():
    plans = portfolio(RiskPolicy(stop_loss=0.02, fraction=0.99))
    with exchange(balances={"USDT": Decimal(10_000)}) as running:
        wrong, found = look(running, plans=plans)
    (check,) = (check for check in found.checks if check.name.startswith("room for entries"))
    assert wrong == {}
    assert check.found == (
        "an entry of 9900 USDT, filled up to 2% above the last price, needs 10098; 10000 are free: "
        "its worst price is lower, or its quantity smaller"
    )


@pytest.mark.parametrize(("client_id", "whose"), [("atb-sim-e7", "ours, forgotten"), ("by-hand-1", "not ours")])
def test_open_orders_that_the_books_do_not_know_are_refused(client_id, whose):
    async def order(broker):
        await broker.place(make("entry", "limit", client_id=client_id))

    with exchange() as running:
        wrong, _ = look(running, before=order)
        assert whose in wrong["open orders"].found
    with exchange() as running:
        assert look(running, before=order, situation=AccountState(working=frozenset({client_id})))[0] == {}


def test_less_than_the_books_say_is_refused_and_more_is_not():
    with exchange(balances={"USDT": Decimal(9_000), "BTC": Decimal("0.4")}) as running:
        wrong, _ = look(running)
        assert wrong["balance of USDT"].found == "9000 USDT there, 10000.0 in the books"
        wrong, _ = look(running, situation=AccountState(held={BTC: Decimal("0.5")}, cash=Decimal(5_000)))
        assert set(wrong) == {"balance of BTC"}
        assert look(running, situation=AccountState(held={BTC: Decimal("0.3")}, cash=Decimal(5_000)))[0] == {}


def test_executions_that_the_books_do_not_know_yet_are_no_drift():
    """The runner died after its stop was met: recovery will book what the venue already did."""

    async def trade(broker):
        await broker.place(make("entry"))
        seen.append((await broker.trades(BTC, after=None, since_ms=0))[-1].trade_id)
        await broker.place(make("stop", "market", name="1"))

    seen: list[str] = []
    with exchange(balances={"USDT": Decimal(10_000)}) as running:
        books = AccountState(held={BTC: Decimal("0.5")}, cash=Decimal(10_000) - PRICE)

        async def whole():
            async with broker_at(running) as broker:
                await trade(broker)
                known = replace(books, cursors={BTC: seen[0]})
                return [
                    await preflight(broker, portfolio(), load_settings(**SETTINGS), clock=running.clock, situation=part)
                    for part in (known, books)
                ]

        recovering, lost = asyncio.run(whole())
    assert [check for check in recovering.checks if check.name.startswith("balance") and not check.ok] == []
    assert [check.name for check in lost.checks if not check.ok] == ["balance of BTC"]


def test_what_the_venue_does_not_answer_is_not_passed():
    async def gone(broker):
        async def refuse(*_, **__):
            raise VenueError("The venue cannot be asked")

        broker.permissions = broker.balances = refuse

    with exchange() as running:
        wrong, _ = look(running, before=gone)
    assert set(wrong) == {"key", "balances", "fees"}
    assert "cannot be asked" in wrong["key"].found


def test_a_test_order_that_the_venue_refuses_is_told_with_its_words():
    with exchange(filters=Filters(max_market_quantity=Decimal("0.00001"))) as running:
        wrong, _ = look(running)
    (check,) = wrong.values()
    assert (check.name, "rejected: " in check.found) == ("test order in BTC/USDT", True)


# --- what the journal says --------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'atb.db'}")
    yield opened
    opened.close()


def read(database, plans, now_ms=START):
    return AccountState.read(database, load_settings(), plans, account="paper", now_ms=now_ms)


def test_before_the_first_session_the_books_are_empty(database):
    assert read(database, portfolio()) == AccountState()


def test_the_books_of_a_session_that_goes_on_are_read(database):
    plans = Plans()
    journal = open_journal(database, portfolio=plans)
    entry, stop = working("entry", 0, state="sent"), working("stop", 0, type="stop")
    state = {"schema": 1, "account": {"cash": 9_950.5}, "slots": [{"quantity": 0.5}, {"quantity": None}]}
    journal.commit(
        close(0, placed=[entry, stop], fills=[filled(entry.order, 0)], state=state, cursors={"BTC/USDT": "t0"})
    )
    found = read(database, plans)
    assert (found.held[BTC], found.held[Symbol.parse("ETH/USDT")], found.cash) == (Decimal("0.5"), 0, Decimal("9950.5"))
    assert found.working == {entry.order.client_id, stop.order.client_id}
    assert found.cursors == {BTC: "t0"}
    assert found.holder is None, "the lease is this process's own"


def test_another_runners_lease_and_the_kill_switch_stand_against_it(database, tmp_path):
    take(database)
    here = Holder.here()
    with database.session() as session:  # another process that lives: this one's parent
        parent = os.getppid()
        started = str(Holder(here.host, parent, _started(parent)))
        session.execute(update(LeaseRow).values(holder=started))
    set_halt(database, "paper", "pause", reason="by hand", source="me")
    situation = read(database, portfolio())
    assert (situation.holder, situation.halt.level) == (started, Level.PAUSE)
    assert read(database, portfolio(), now_ms=START + TTL_MS).holder is None, "it ran out"
    write_halt_file(tmp_path, Level.FLATTEN, "worse")
    assert read(database, portfolio()).halt.level == Level.FLATTEN
    with exchange() as running:
        wrong, _ = look(running, situation=situation)
    assert set(wrong) == {"lease", "kill switch"}
    assert str(parent) in wrong["lease"].found
    assert "pause by me: by hand" in wrong["kill switch"].found


# --- fees ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assumed", "fee_in", "right"),
    [
        ({"fee": 0.001, "fee_in_base": True}, "base", True),
        ({"fee": 0.002, "maker_fee": 0.001, "fee_in_base": True}, "base", True),
        ({"fee": 0.001}, "bnb", True),
        ({"fee": 0.0005, "fee_in_base": True}, "base", False),
        ({"fee": 0.001, "maker_fee": 0.0, "fee_in_base": True}, "base", False),
        ({"fee": 0.001}, "base", False),
        ({"fee": 0.001, "fee_in_base": True}, "bnb", False),
    ],
)
def test_costs_below_the_accounts_or_in_another_asset_are_refused_with_found_and_wanted(assumed, fee_in, right):
    name = f"fees of {portfolio().plans[0].manifest.name}"
    balances = {"USDT": Decimal(10_000), "BNB": Decimal(1)}
    with exchange(fee_in=fee_in, execution=ExecutionModel(fee=0.001), balances=balances) as running:
        wrong, _ = look(running, plans=portfolio(execution=ExecutionModel(**assumed)))
    assert (name not in wrong) is right
    if not right:
        assert "the account pays taker 0.1 %" in wrong[name].found
        assert f"fee_in_base={fee_in == 'base'}" in wrong[name].todo


def test_an_account_without_bnb_pays_in_base_whatever_it_prefers():
    with exchange(fee_in="bnb", execution=ExecutionModel(fee=0.001)) as running:
        wrong, _ = look(running)
    assert not [name for name in wrong if name.startswith("fees")]


def test_rates_are_standard_special_and_tax_and_the_discount_is_of_the_standard_one_alone():
    def part(taker, seller="0"):
        return {"maker": "0.0001", "taker": taker, "buyer": "0", "seller": seller}

    body = {"standardCommission": part("0.001"), "specialCommission": part("0.0002"), "taxCommission": part("0", "0.0003"),
            "discount": {"enabledForAccount": True, "enabledForSymbol": True, "discountAsset": "BNB",
            "discount": "0.75"}}  # fmt: skip
    pays = commissions_in(body)
    assert (pays.taker, pays.third_asset, pays.third_taker) == (Decimal("0.0015"), "BNB", Decimal("0.00125"))
    body["discount"]["enabledForSymbol"] = False
    assert commissions_in(body).third_asset is None
