"""Ways to an exchange: another address, or production's own through a proxy with a private authority; and what is refused."""

from decimal import Decimal

import pytest

from atb.domain.venue import StreamUpdate
from atb.errors import ConfigError, InputError
from atb.venues.broker import Access, connect
from atb.venues.broker.connection import make_exchange
from tests.venues.broker.fake_exchange import StandingClock, in_loop
from tests.venues.broker.harness import BARS, BTC, HOUR, START, ExchangeConfig, exchange, make, running_exchange
from tests.venues.broker.test_streams import gaps, until


@pytest.mark.parametrize("order_entry", ["rest", "websocket"])
@in_loop
async def test_through_a_proxy_the_production_addresses_are_the_simulated_exchange(order_entry, tmp_path):
    ca_file, updates = tmp_path / "ca.pem", []
    config = ExchangeConfig((BARS,), start_ms=START, balances={"USDT": Decimal(10_000)})
    with running_exchange(config, ca_file=ca_file) as running:
        access = Access(
            "binance",
            "key",
            "secret",
            proxy=running.proxy_url,
            ca_file=ca_file,
            timeout_s=60.0,
            frame_gap_ms=10**7,
            order_entry=order_entry,
        )
        broker = connect(access, running.clock)
        try:
            await broker.open([BTC])
            await broker.bars(BTC, HOUR, since_ms=int(BARS.opened_ms[190]))
            broker.listen(updates.append)
            await until(lambda: len(gaps(updates, "up")) == 2)
            order = make()
            assert (await broker.place(order)).outcome == "done"
            (way,) = {row["via"] for row in running.ledger("request") if row["client_id"] == order.client_id}
            assert way == ("ws" if order_entry == "websocket" else "rest")
            await until(lambda: StreamUpdate("order", BTC, {"client_id": order.client_id}) in updates)
        finally:
            await broker.close()
        assert {host.partition(":")[0] for host in running.hosts} == {
            "api.binance.com", "stream.binance.com", "ws-api.binance.com",
        }  # fmt: skip


@in_loop
async def test_markets_are_learnt_with_one_request_and_none_of_the_account():
    with exchange() as running:
        broker = connect(Access("binance", "key", "secret", base_url=running.url), running.clock)
        await broker.open([BTC])
        await broker.close()
        assert [row["path"] for row in running.ledger("request")] == ["/api/v3/time", "/api/v3/exchangeInfo"]


@in_loop
async def test_what_ccxt_refuses_to_send_is_refused_and_nothing_has_left():
    with exchange() as running:
        broker = connect(Access("binance", base_url=running.url), running.clock)
        await broker.open([BTC])
        asked = len(running.ledger("request"))
        answer = await broker.place(make())
        with pytest.raises(InputError, match="does not send"):
            await broker.balances()
        await broker.close()
        assert (answer.outcome, answer.code) == ("rejected", "local:refused")
        assert len(running.ledger("request")) == asked


@pytest.mark.parametrize("id_", ["binance", "coinbase", "kraken"])
def test_every_address_is_another_one_where_another_one_is_given(id_):
    made = make_exchange(Access(id_, base_url="http://127.0.0.1:1"))
    api = made.urls["api"]
    used = [api[name] for name in ("public", "private", "sapi") if name in api] + [
        api.get("rest", "http://127.0.0.1:1")
    ]
    if id_ == "binance":
        used += [api["ws"]["spot"], api["ws"]["ws-api"]["spot"]]
    assert all("127.0.0.1:1" in address for address in used)


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"id": "binanse"}, InputError, "Did you mean 'binance'"),
        ({"id": "gate", "base_url": "http://127.0.0.1:1"}, ConfigError, "another address"),
        ({"id": "binance", "timeout_s": 0.0}, ConfigError, "time-out"),
        ({"id": "binance", "recv_window_ms": 0}, ConfigError, "receive window"),
        ({"id": "binance", "recv_window_ms": 60_001}, ConfigError, "receive window"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_asked(values, error, words):
    with pytest.raises(error, match=words):
        connect(Access(**values), StandingClock())


def test_a_description_of_an_access_has_no_secret():
    assert "hush" not in repr(Access("binance", "hush-key", "hush-secret"))


def test_the_receive_window_is_the_bound_on_late_execution():
    assert connect(Access("binance", recv_window_ms=2_000), StandingClock()).capabilities.late_bound_ms == 2_000
    assert connect(Access("coinbase"), StandingClock()).capabilities.late_bound_ms is None


def test_an_exchange_without_a_row_gets_what_ccxt_says_and_says_what_it_lacks():
    broker = connect(Access("gate"), StandingClock())
    assert broker.capabilities.id_unique == "never"
    assert {"look-up by client id", "a bound on late execution", "judging an order without placing it"} <= set(
        broker.capabilities.missing()
    )
