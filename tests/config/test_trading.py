"""Settings of trading: nothing but a simulator has a clock, the health page stays here, and limits are limits."""

from decimal import Decimal
from pathlib import Path

import pytest

from atb.config import load_settings, load_with_sources
from atb.errors import ConfigError

CLOCK = "ws://127.0.0.1:9000/control/clock"
HERE, THERE = "http://127.0.0.1:9000", "https://api.binance.com"


def test_the_defaults_name_no_account_and_open_no_port():
    live = load_settings().live
    assert (live.account, live.max_loss, live.health_port) == (None, None, None)
    assert (live.health_host, live.health_public) == ("127.0.0.1", False)
    assert load_settings().exchange.clock is None
    assert load_settings().exchange.order_entry == "rest"


def test_orders_go_by_a_way_that_exists():
    assert load_settings(exchange={"order_entry": "websocket"}).exchange.order_entry == "websocket"
    with pytest.raises(ConfigError, match=r"exchange\.order_entry.*'rest' or 'websocket'"):
        load_settings(exchange={"order_entry": "fix"})


@pytest.mark.parametrize(
    "way", [{"base_url": HERE}, {"proxy": HERE, "ca_file": "ca.pem"}, {"base_url": "http://localhost:1", "proxy": HERE}]
)
def test_a_simulator_on_this_machine_may_have_a_clock(way):
    assert load_settings(exchange={"clock": CLOCK, **way}).exchange.clock == CLOCK


@pytest.mark.parametrize(
    "ways",
    [
        {"clock": CLOCK},  # the exchange itself is reached: its time is real
        {"clock": CLOCK, "base_url": THERE},
        {"clock": CLOCK, "proxy": HERE},  # a proxy of this machine may lead to the real one
        {"clock": CLOCK, "proxy": "http://10.0.0.1:3128", "ca_file": "ca.pem"},
        {"clock": CLOCK, "proxy": "http://10.0.0.1:3128"},
        {"clock": CLOCK, "base_url": HERE, "proxy": "http://10.0.0.1:3128"},
        {"clock": "ws://192.168.0.7:9000/control/clock", "base_url": HERE},
        {"clock": "ws://localhost.example.com/control/clock", "base_url": HERE},
    ],
)
def test_virtual_time_is_refused_wherever_a_real_exchange_could_be_meant(ways):
    with pytest.raises(ConfigError, match=r"exchange\.clock.*only a simulated exchange has a clock"):
        load_settings(exchange=ways)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "example.com", "::", ""])
def test_the_health_page_leaves_this_machine_only_when_that_is_said(host):
    with pytest.raises(ConfigError, match=r"live\.health_host.*live\.health_public"):
        load_settings(live={"health_host": host})
    assert load_settings(live={"health_host": host, "health_public": True}).live.health_host == host


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("account", "two words"), ("account", "x" * 33), ("max_loss", -1), ("max_loss", "nan"), ("max_loss", True),
        ("orders_per_minute", 0), ("orders_per_minute", True),
        ("entries_per_bar", 1.5), ("turnover_per_day", "inf"), ("turnover_per_day", 0),
        ("max_share", "nan"), ("database_grace", "nan"), ("database_grace", -1), ("health_port", 70_000), ("sync_interval", 0),
        ("drift_tolerance", 1), ("drift_tolerance", -0.1), ("metrics", "perhaps"),
    ],
)  # fmt: skip
def test_a_limit_that_is_none_is_refused(key, value):
    with pytest.raises(ConfigError, match=f"live.{key}"):
        load_settings(live={key: value})


def test_an_unknown_limit_is_refused_with_the_one_that_was_meant():
    with pytest.raises(ConfigError, match=r"Did you mean 'live\.max_loss'"):
        load_settings(live={"max_los": 1})


def test_amounts_stay_exact_in_every_source(tmp_path, monkeypatch):
    (tmp_path / "atb.toml").write_text("[live]\nmax_loss = 250.1\n", encoding="utf-8")
    assert load_settings().live.max_loss == Decimal("250.1")
    monkeypatch.setenv("ATB__LIVE__MAX_LOSS", "0.3")
    loaded = load_with_sources()
    assert loaded.settings.live.max_loss == Decimal("0.3")
    assert {
        "key": "live.max_loss",
        "value": "0.3",
        "source": "environment variable ATB__LIVE__MAX_LOSS",
    } in loaded.rows()


def test_certificates_are_the_projects_unless_their_place_is_absolute(tmp_path):
    assert load_settings(exchange={"ca_file": "ca.pem"}).exchange.ca_file == tmp_path / "ca.pem"
    assert load_settings(exchange={"ca_file": "/etc/ca.pem"}).exchange.ca_file == Path("/etc/ca.pem")


def test_passwords_in_addresses_are_masked_and_known_for_redaction():
    loaded = load_with_sources(
        exchange={"proxy": "http://me:kNrYproxy@10.0.0.1:3128", "base_url": "https://me:kNrYbase@h"}
    )
    assert "kNrY" not in repr(loaded.rows()) + repr(loaded.settings)
    assert {"kNrYproxy", "kNrYbase"} <= set(loaded.settings.secrets())
