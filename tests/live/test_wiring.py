"""From settings to parts: breakers, telemetry, health page, and an exchange that is what the arguments say it is."""

import asyncio
import re
import urllib.request
from decimal import Decimal

import pytest

from atb.config import load_settings
from atb.errors import ConfigError, InputError, SetupError
from atb.live import wiring
from atb.live.feed.timer import PacedTimer, SteppedTimer, SystemTimer
from atb.live.runner import RunnerContext
from atb.live.telemetry import Telemetry
from atb.venues.simulator.configuration import ExchangeConfig, Key
from atb.venues.simulator.server import running_exchange
from tests.bars import bars_of, random_walk
from tests.database import database, database_url, postgres
from tests.live.desk import warm_result
from tests.live.fake_broker import portfolio_of
from tests.timeouts import PATIENCE_S

BARS = bars_of(random_walk(80, 1))
__all__ = ["database", "database_url", "postgres"]


@pytest.fixture
def simulated():
    with running_exchange(
        ExchangeConfig((BARS,), start_ms=int(BARS.opened_ms[60]), keys=(Key(withdraw=True),))
    ) as running:
        yield running


def settings_of(tmp_path, **more):
    return load_settings(data__root=tmp_path, **more)


def at(running, **more):
    known = {"base_url": running.url, "clock": running.clock_url, "api_key": "key",
             "api_secret": "secret"}  # fmt: skip
    return {f"exchange__{name}": value for name, value in (known | more).items() if value is not None}


async def given(settings, **options):
    async with wiring.venue(settings, portfolio_of(), **options) as exchange:
        await exchange.broker.open(portfolio_of().symbols)
        return exchange, exchange.broker.now_ms()


def test_a_rehearsal_gets_the_simulators_clock_and_its_end(tmp_path, simulated):
    settings = settings_of(tmp_path, live__entry_grace=7, live__sync_interval=90, **at(simulated))
    exchange, now = asyncio.run(given(settings, simulated=True, until="2024-01-04", accept=True))
    assert isinstance(exchange.timer, SteppedTimer)
    assert now == pytest.approx(int(BARS.opened_ms[60]), abs=60_000)
    assert (exchange.tick_ms, exchange.compare_ms, exchange.timing.entry_grace_ms) == (None, 90_000, 7_000)
    assert (exchange.until_ms, exchange.accept) == (1_704_326_400_000, True)


def test_without_a_clock_time_is_the_machines(tmp_path, simulated):
    settings = settings_of(tmp_path, **at(simulated, clock=None))

    async def opened():
        async with wiring.venue(settings, portfolio_of(), simulated=False) as exchange:
            return exchange

    exchange = asyncio.run(opened())
    assert isinstance(exchange.timer, SystemTimer)
    assert (exchange.tick_ms, exchange.until_ms) == (1_000, None)


def test_on_a_simulators_clock_books_are_compared_once_a_bar_unless_it_is_said(tmp_path, simulated):
    exchange, _ = asyncio.run(given(settings_of(tmp_path, **at(simulated)), simulated=True))
    assert exchange.compare_ms == 3_600_000
    exchange, _ = asyncio.run(given(settings_of(tmp_path, **at(simulated, clock=None)), simulated=False))
    assert exchange.compare_ms == 60_000


def test_a_simulators_clock_that_outruns_ours_is_for_candles_alone(tmp_path):
    config = ExchangeConfig((BARS,), start_ms=int(BARS.opened_ms[60]), clock="real", speed=3_600)
    with running_exchange(config) as running:
        settings = settings_of(tmp_path, **at(running))
        exchange, _ = asyncio.run(given(settings, simulated=True, orders=False))
        assert (type(exchange.timer), exchange.timer.speed, exchange.tick_ms) == (PacedTimer, 3_600, 3_600_000)
        with pytest.raises(ConfigError, match=r"no time to send orders.*--clock virtual"):
            asyncio.run(given(settings, simulated=True))


@pytest.mark.parametrize(("simulated_wanted", "clock"), [(True, None), (False, "ws://127.0.0.1:1/control/clock")])
def test_a_rehearsal_and_a_simulators_clock_need_each_other(tmp_path, simulated, simulated_wanted, clock):
    settings = settings_of(tmp_path, **at(simulated, clock=clock))
    with pytest.raises(ConfigError, match="simulated exchange"):
        asyncio.run(given(settings, simulated=simulated_wanted))


def test_breakers_are_the_settings(tmp_path):
    settings = settings_of(tmp_path, live__orders_per_minute=11, live__entries_per_bar=2, live__max_notional="500")
    made = wiring.breakers(settings)
    assert (made.orders_per_minute, made.entries_per_bar, made.largest_order) == (11, 2, Decimal(500))


@pytest.mark.parametrize(("live", "loss"), [(True, 250.0), (False, None)])
def test_the_largest_loss_is_of_real_money_alone(tmp_path, live, loss):
    settings = settings_of(tmp_path, live__max_loss="250", live__account="main")
    assert wiring.max_loss(settings, live=live) == loss
    assert wiring.make_telemetry(settings).metrics is None


def test_the_page_is_there_where_it_has_a_port_and_only_then(tmp_path):
    with wiring.health_page(settings_of(tmp_path), Telemetry()):
        pass
    from socket import socket

    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = settings_of(tmp_path, live__health_port=port)
    telemetry = wiring.make_telemetry(settings)
    with (
        wiring.health_page(settings, telemetry),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=PATIENCE_S) as answer,
    ):
        assert answer.status == 200
    assert telemetry.metrics is not None


def test_a_manifest_is_verified_before_anything_trades(sqlite_desk):
    path = sqlite_desk.promote(warm_result(sqlite_desk.stock(60, 1)))
    settings = settings_of(sqlite_desk.root)
    (plan,) = wiring.load_portfolio([path], settings).plans
    assert plan.manifest.name == "desk"
    path.write_text(path.read_text().replace("BTC/USDT", "ETH/USDT"))
    with pytest.raises(Exception, match=r"(?i)changed|hash|sign") as refused:
        wiring.load_portfolio([path], settings)
    assert refused.value.exit_code == 2


def test_paper_passes_the_gates_and_a_half_asked_for_life_does_not(tmp_path, database):
    settings, context = settings_of(tmp_path), RunnerContext(database, "main")
    portfolio = portfolio_of()
    with pytest.raises((InputError, ConfigError)):
        wiring.arm(portfolio, settings, context, live=True, typed=None)


def test_the_exchange_has_to_pass_the_preflight(tmp_path, database, simulated):
    settings = settings_of(tmp_path, live__account="main", live__max_loss="250", **at(simulated))

    async def inspected():
        async with wiring.venue(settings, portfolio_of(), simulated=True) as exchange:
            await wiring.inspect(portfolio_of(), settings, context=RunnerContext(database, "main"), venue=exchange)

    with pytest.raises(SetupError, match="withdraw"):
        asyncio.run(inspected())


def laid_out(folder, monkeypatch):
    """Return settings of a project in which every file that may hold a secret is there, and safe."""
    from atb.promotion.signing import PRIVATE

    (folder / ".env").write_text("ATB__EXCHANGE__API_KEY=kNrY0000kNrY\n")
    (folder / "atb.toml").write_text('[exchange]\nproxy = "http://me:kNrY0000@h.example:1"\n')
    monkeypatch.delenv("ATB__DATA__ROOT")
    settings = load_settings(data__root=folder / "data", live__trust_root=folder / "trust")
    files = [folder / ".env", folder / "atb.toml", settings.keys_root / PRIVATE, settings.trust_root / PRIVATE]
    for path in files:
        path.parent.mkdir(0o700, exist_ok=True, parents=True)
        path.touch()
        path.chmod(0o600)
    return settings, files


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("fault", [0o640, 0o604, 0o620, 0o602, "link", "folder"])
def test_real_money_waits_until_no_other_user_reads_or_changes_a_secret(tmp_path, monkeypatch, which, fault):
    folder = tmp_path / "project"
    folder.mkdir(0o700)
    (folder / "atb.toml").touch()
    monkeypatch.chdir(folder)
    settings, files = laid_out(folder, monkeypatch)
    wiring.check_secrets(settings, live=True)
    path = files[which]
    if fault == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif fault == "folder":
        path.parent.chmod(0o777)
    else:
        path.chmod(fault)
    with pytest.raises(ConfigError, match=re.escape(path.name if fault != "folder" else "Real money waits")) as refused:
        wiring.check_secrets(settings, live=True)
    assert refused.value.exit_code == 2
    assert refused.value.todo
    assert "\n" not in str(refused.value)
    assert "kNrY" not in str(refused.value)
    wiring.check_secrets(settings, live=False)


@pytest.mark.parametrize("live", [True, False])
def test_a_start_with_an_open_file_of_secrets_is_refused_with_real_money_and_warned_of_on_paper(sqlite_desk, live):
    (sqlite_desk.root / ".env").write_text("SOMETHING=kNrY0000kNrY\n")
    (sqlite_desk.root / ".env").chmod(0o644)
    path = sqlite_desk.promote(warm_result(sqlite_desk.stock(60, 1)))
    process = sqlite_desk.start(path, *(["--live"] if live else []))
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == (2 if live else 0), stderr
    assert ("Error: Real money waits" in stderr) is live, stderr
    assert ("a file with secrets is not safe" in stderr) is not live
    assert "chmod 600" in stderr
    assert "Traceback" not in stderr
    assert "kNrY" not in stderr
