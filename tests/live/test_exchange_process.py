"""The runner's script against a simulated exchange: it stops and goes on by signals, and real money needs more than a word."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from atb.data.catalogue.writing import save_bars
from atb.engine.policy import RiskPolicy
from atb.promotion.manifest import load_manifest
from atb.venues.simulator.configuration import ExchangeConfig, Key
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.server import running_exchange
from tests.live.desk import RUNNER, read_journal, warm_result
from tests.live.execution.test_desk import rising
from tests.promotion.test_live import signed_live
from tests.timeouts import PATIENCE_S

FIRST, BARS, HOUR = 20, 70, 3_600_000
LASTING = 2_000  # bars that do not end before a runner on a busy machine has started
HIDDEN = (b"API_SECRET=secret", b"API_KEY=key", b"s3cret-kNrY", b"control:")
WORDS = "main max-loss 250"


@pytest.fixture
def manifest(sqlite_desk):
    bars = rising(BARS)
    save_bars(bars, root=sqlite_desk.bars_root, source="made by hand")
    return sqlite_desk.promote(warm_result(bars, policy=RiskPolicy(fraction=0.5, stop_loss=0.05)))


@contextmanager
def exchange(count=BARS, **values):
    bars = rising(count)
    config = ExchangeConfig(
        (bars,), start_ms=int(bars.opened_ms[FIRST]), balances={"USDT": Decimal(10_000)}, fee_in="quote", **values
    )
    with running_exchange(config) as running:
        yield running


def environment_of(desk, running, **more):
    return {
        "PATH": os.environ["PATH"], "ATB__DATA__ROOT": str(desk.root), "ATB__DATABASE__URL": desk.url,
        "XDG_CONFIG_HOME": str(desk.config),
        "ATB__EXCHANGE__BASE_URL": running.url, "ATB__EXCHANGE__API_KEY": "key", "ATB__EXCHANGE__API_SECRET": "secret",
        "ATB__EXCHANGE__CLOCK": running.clock_url,
        "ATB__LIVE__SYNC_INTERVAL": "3600", **more,
    }  # fmt: skip


def started(desk, running, *arguments, **more):
    return subprocess.Popen(
        [sys.executable, RUNNER, *map(str, arguments)], env=environment_of(desk, running, **more), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=desk.root,
    )  # fmt: skip


def orders_sent(running):
    """Return the requests that could have made or ended an order; a test order is none."""
    sent = [entry for entry in running.ledger("request") if entry["method"] in {"POST", "DELETE"}]
    return [entry for entry in sent if entry["path"] != "/api/v3/order/test"] + running.ledger("order")


def wait_for(happened, process, seconds=PATIENCE_S):
    until = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.01)


def until_of(bar):
    return rising(BARS).frame.index[bar].isoformat()


def test_a_signal_stops_it_with_its_stop_resting_and_the_next_start_goes_on(sqlite_desk, manifest):
    with exchange() as running:
        more = {"ATB__EXCHANGE__PROXY": "", "SOME_API_TOKEN": "s3cret-kNrY"}
        process = started(sqlite_desk, running, manifest, "--rehearse", "--account", "main", **more)
        wait_for(lambda: running.clock.now_ms() >= running.exchange.config.start_ms + 10 * HOUR, process)
        shown = Path(f"/proc/{process.pid}/environ")
        assert not shown.exists() or not [word for word in HIDDEN if word in shown.read_bytes()], (
            "a runner's environment shows no secret"
        )
        process.send_signal(signal.SIGTERM)
        out, stderr = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, "stopped:" in out) == (0, True), stderr
        (stop,) = running.call(lambda: list(running.exchange.trading.book.open_orders()))
        assert stop.type == "STOP_LOSS"
        journal = read_journal(sqlite_desk.url)
        assert journal["session"][0]["status"] == "stopped"
        assert not [row for row in journal["intent"] if row["state"] == "sent"]
        done = len(journal["decision"])

        process = started(
            sqlite_desk, running, manifest, "--rehearse", "--account", "main", "--until", until_of(BARS - 5)
        )
        out, stderr = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, "finished:" in out) == (0, True), stderr
        journal = read_journal(sqlite_desk.url)
        bars = [row["bar_ms"] for row in journal["decision"]]
        assert len(bars) == len(set(bars)) > done
        assert len([row for row in journal["fill"] if row["role"] == "entry"]) == 1, "nothing was bought twice"


@pytest.mark.slow
def test_a_second_signal_ends_it_in_the_middle_of_a_request_and_the_next_start_finds_out(sqlite_desk, manifest):
    held = Fault("held_after", "POST /api/v3/orderList/opo")  # executed, and never answered
    with exchange(faults=[held]) as running:
        more = {"ATB__EXCHANGE__TIMEOUT": "20"}
        process = started(sqlite_desk, running, manifest, "--rehearse", "--account", "main", **more)
        wait_for(lambda: running.ledger("trade"), process)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None, "the first signal lets the request end"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == -signal.SIGTERM
        arguments = ("--rehearse", "--account", "main", "--until", until_of(FIRST + 12))
        process = started(sqlite_desk, running, manifest, *arguments)
        assert process.wait(timeout=PATIENCE_S) == 0, process.communicate()[1]
        process.communicate()
        journal = read_journal(sqlite_desk.url)
        assert [row["role"] for row in journal["fill"]] == ["entry"]
        assert [row["state"] for row in journal["intent"] if row["role"] == "entry"] == ["filled"]


def test_a_rehearsal_needs_a_simulated_exchange(sqlite_desk, manifest):
    with exchange() as running:
        process = started(sqlite_desk, running, manifest, "--rehearse", ATB__EXCHANGE__CLOCK="")
        _, stderr = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 2, stderr
        assert orders_sent(running) == []


@pytest.mark.slow
def test_paper_over_candles_sends_nothing_and_keeps_the_books_of_the_rehearsal(sqlite_desk, manifest):
    with exchange() as running:
        process = started(sqlite_desk, running, manifest, "--candles", "--until", until_of(FIRST + 12))
        out, stderr = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, "finished: 12 bars" in out) == (0, True), stderr
        assert orders_sent(running) == []
        assert [row["role"] for row in read_journal(sqlite_desk.url)["fill"]] == ["entry"]


@pytest.mark.slow
def test_candles_of_a_clock_that_outruns_ours_are_traded_as_they_close(sqlite_desk, manifest):
    with exchange(LASTING, clock="real", speed=7_200) as running:
        process = started(sqlite_desk, running, manifest, "--candles")
        wait_for(lambda: len(running.ledger("answer")) and decisions(sqlite_desk) >= 3, process)
        process.send_signal(signal.SIGTERM)
        out, stderr = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, "stopped:" in out) == (0, True), stderr
    assert "the venue's clock is not ours" not in stderr

    with exchange(LASTING, clock="real", speed=7_200) as running:
        process = started(sqlite_desk, running, manifest, "--candles", "--account", "lost", ATB__EXCHANGE__CLOCK="")
        wait_for(lambda: any(row["account"] == "lost" for row in read_journal(sqlite_desk.url)["session"]), process)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert "the venue's clock is not ours" in stderr
    assert "exchange.clock" in stderr


def decisions(desk):
    return len(read_journal(desk.url)["decision"])


@pytest.mark.slow
def test_an_entry_that_rests_without_its_stop_is_warned_of(sqlite_desk):
    bars = rising(BARS)
    save_bars(bars, root=sqlite_desk.bars_root, source="made by hand")
    policy = RiskPolicy(fraction=0.5, stop_loss=0.05, entry="stop", entry_offset=0.01)
    path = sqlite_desk.promote(warm_result(bars, policy=policy))
    with exchange() as running:
        process = started(sqlite_desk, running, path, "--rehearse", "--until", until_of(FIRST + 3))
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert "an entry at a stop brings no protective stop" in stderr


@pytest.mark.parametrize(
    ("mode", "arguments", "more"),
    [
        ("paper", ("--live", "--account", "main", "--ack", WORDS), {}),
        *(
            pytest.param("live", arguments, more, marks=pytest.mark.slow)
            for arguments, more in (
                (("--live", "--account", "main"), {}),
                (("--live", "--account", "main", "--ack", WORDS), {"ATB__LIVE__MAX_LOSS": ""}),
                (("--live", "--account", "main", "--ack", WORDS), {"ATB__LIVE__ACCOUNT": ""}),
                (("--live", "--account", "main", "--ack", WORDS, "--rehearse"), {}),
                (("--account", "main", "--ack", WORDS), {}),
            )
        ),
        ("live", ("--live", "--account", "main", "--ack", WORDS), {"withdraw": "yes"}),
    ],
)
def test_real_money_is_refused_where_anything_is_missing_and_nothing_reaches_the_exchange(
    sqlite_desk, manifest, mode, arguments, more
):
    path = manifest if mode == "paper" else signed_live(sqlite_desk, load_manifest(manifest))
    more = dict(more)
    keys = (Key(withdraw=bool(more.pop("withdraw", ""))),)
    real = {"ATB__EXCHANGE__CLOCK": "", "ATB__LIVE__ACCOUNT": "main", "ATB__LIVE__MAX_LOSS": "250"}
    with exchange(keys=keys) as running:
        wishes = {"LIVE": "1", "ATB_LIVE": "1", "ATB__LIVE": "", "ATB_ACK": WORDS, "ACK": WORDS} | real | more
        wishes = {
            name: value for name, value in wishes.items() if value or name in more or name == "ATB__EXCHANGE__CLOCK"
        }
        process = started(sqlite_desk, running, path, *arguments, **wishes)
        _, stderr = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 2, stderr
        assert "Traceback" not in stderr
        assert orders_sent(running) == []
