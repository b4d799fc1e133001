"""A running session as its health page shows it, over real HTTP: vitals, status, metrics, and how long a request took."""

import json
import re
import urllib.error
import urllib.request

import pytest

from atb.live.bell import Bell
from atb.live.journal.kill_switch import KillSwitch, Level
from atb.live.journal.step import Notice, Step, Withheld
from atb.live.telemetry import Telemetry
from atb.monitoring.health import Health
from atb.monitoring.metrics import Metrics
from tests.live.exchange_harness import HOUR, venue
from tests.live.execution.test_desk import COSTS, CROSS, FIRST, GUARDED, rising
from tests.live.fake_broker import BAR, Table
from tests.timeouts import PATIENCE_S


def get(address):
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def metric(text, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return None if found is None else float(found[1])


class Looks(Telemetry):
    """Looks at its own page after every turn of the loop."""

    page: Health

    def turn_ended(self, *arguments, **named):
        super().turn_ended(*arguments, **named)
        self.seen.append({path: get(self.page.address + path) for path in ("/livez", "/readyz", "/status", "/metrics")})


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Trade ten bars with a page that is read all the while."""
    telemetry = Looks(metrics=Metrics())
    telemetry.seen = []
    with Health(telemetry.vitals, telemetry.metrics).start() as telemetry.page:
        root = tmp_path_factory.mktemp("watched")
        with venue(root, [(CROSS, rising(), GUARDED)], first=FIRST, count=10, execution=COSTS) as v:
            v.fault("lost", 1, "POST /api/v3/orderList/opoco")
            v.fault("deposit", 5.5, asset="BTC", amount="0.5")
            v.trade(context={"telemetry": telemetry, "bell": Bell()}, compare_ms=HOUR)
            yield v, telemetry


def test_the_page_is_ready_once_lease_database_streams_clock_and_account_are(session):
    _, telemetry = session
    assert {answers["/livez"][0] for answers in telemetry.seen} == {200}
    shown = json.loads(telemetry.seen[-1]["/readyz"][1])
    good = {name: state["ok"] for name, state in (shown.get("conditions") or shown).items() if isinstance(state, dict)}
    assert {name for name, ok in good.items() if ok} >= {"lease", "database", "reconciled", "clock"}


def test_the_status_is_the_sessions(session):
    v, telemetry = session
    status = json.loads(telemetry.seen[-1]["/status"][1])
    status = status.get("session", status) if isinstance(status.get("session"), dict) else status
    (slot,) = status["slots"]
    assert (slot["symbol"], slot["position"]) == ("BTC/USDT", v.state()["slots"][0]["quantity"])
    assert slot["stop"] < slot["entry_price"] < slot["target"]
    assert (status["bars"], status["halt"]) == (10, 0)
    assert (status["barred"], slot["barred"], status["drift"]) == ({"BTC/USDT": "drift"}, "drift", {"BTC": "0.50000"})
    assert slot["stuck"] == "quarantined"
    assert status["cash"] == pytest.approx(v.state()["account"]["cash"]) != status["initial_cash"] == 10_000.0


def test_the_metrics_count_what_the_journal_holds(session):
    v, telemetry = session
    text = telemetry.seen[-1]["/metrics"][1]
    assert metric(text, 'atb_fills_total{role="entry",symbol="BTC/USDT"}') == 1
    assert metric(text, 'atb_orders_total{outcome="unknown",role="entry"}') == 1
    assert metric(text, "atb_intents_unknown") == 0
    assert metric(text, "atb_resolve_seconds_count") >= 1
    assert metric(text, 'atb_drifts_total{kind="drift"}') == 1
    assert metric(text, 'atb_ledger_drift{asset="BTC"}') == pytest.approx(0.5)
    assert metric(text, 'atb_position{strategy="sma_cross",symbol="BTC/USDT"}') == v.state()["slots"][0]["quantity"]
    assert metric(text, "atb_equity") == pytest.approx(v.curve()[-1][1].__float__())
    assert metric(text, "atb_halt_level") == 0
    assert metric(text, 'atb_stuck{reason="quarantined",strategy="sma_cross",symbol="BTC/USDT"}') == 1
    assert metric(text, 'atb_stuck{reason="dust",strategy="sma_cross",symbol="BTC/USDT"}') == 0
    assert metric(text, "atb_lease_epoch") == 1
    assert metric(text, "atb_commit_seconds_count") > 10
    assert metric(text, 'atb_decisions_total{strategy="sma_cross",symbol="BTC/USDT"}') == 10
    assert metric(text, 'atb_bar_lag_seconds{symbol="BTC/USDT"}') == 0


def test_requests_their_weight_and_the_silence_of_streams_are_measured(session):
    _, telemetry = session
    text = telemetry.seen[-1]["/metrics"][1]
    assert metric(text, 'atb_requests_total{kind="place",outcome="lost"}') == 1
    assert metric(text, 'atb_requests_total{kind="read",outcome="answered"}') > 10
    counted = sum(float(value) for value in re.findall(r"^atb_requests_total\{.*\} (\S+)$", text, re.MULTILINE))
    assert metric(text, "atb_request_seconds_count") == counted
    assert any(metric(answers["/metrics"][1], "atb_exchange_weight_used") > 0 for answers in telemetry.seen)
    ages = re.findall(r"^atb_stream_last_frame_age_seconds\{.*\} (\S+)$", text, re.MULTILINE)
    assert ages
    assert all(float(age) >= 0 for age in ages)


def test_a_position_without_a_stop_is_timed_until_it_has_one(session):
    _, telemetry = session
    assert metric(telemetry.seen[-1]["/metrics"][1], 'atb_unprotected_seconds{symbol="BTC/USDT"}') == 0
    shown = Telemetry(metrics=Metrics(), plans=telemetry.plans)
    symbol = telemetry.plans[0].symbol
    found = []
    for bare, now_ms in (({symbol}, BAR), ({symbol}, BAR + 2_500), (set(), BAR + 3_000), ({symbol}, BAR + 9_000)):
        shown.unprotected(bare, now_ms)
        found.append(metric(shown.metrics.render().decode(), 'atb_unprotected_seconds{symbol="BTC/USDT"}'))
    assert found == [0.0, 2.5, 0.0, 0.0]


def test_the_way_from_a_close_to_its_request_is_measured(session):
    _, telemetry = session
    assert len(telemetry.latencies) >= 1
    assert all(0 < seconds < 2 for seconds in telemetry.latencies)
    text = telemetry.seen[-1]["/metrics"][1]
    assert metric(text, "atb_decision_to_request_seconds_count") == len(telemetry.latencies)


def test_a_withheld_entry_is_counted_with_its_reason():
    telemetry = Telemetry(metrics=Metrics())
    telemetry.written(Step(BAR), [Withheld("x", "halted")], 0.1)
    assert metric(telemetry.metrics.render().decode(), 'atb_withheld_total{reason="halted"}') == 1


def test_a_halt_is_shown(tmp_path):
    telemetry, switch = Telemetry(metrics=Metrics()), KillSwitch()
    switch.signal(Level.PAUSE, "a test")
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=2) as v:
        v.trade(context={"telemetry": telemetry, "switch": switch})
    text = telemetry.metrics.render().decode()
    assert metric(text, "atb_halt_level") == 1
    assert json.loads(telemetry.vitals.status)["halt"] == 1


def test_without_metrics_nothing_is_counted_and_requests_are_measured_all_the_same():
    telemetry = Telemetry()
    telemetry.written(Step(BAR, notices=[Notice("drift")]), (), 0.1)
    telemetry.sending()
    telemetry.closed()
    telemetry.sending()
    telemetry.sending()
    assert len(telemetry.latencies) == 1, "the first request of a close"


def test_an_answer_that_was_resolved_elsewhere_is_not_waited_for():
    telemetry = Telemetry(metrics=Metrics())
    order = Table().order()
    telemetry.written(Step(BAR, notices=[Notice("resolved", {"client_id": order.client_id})]), (), 0.1)
    assert metric(telemetry.metrics.render().decode(), "atb_resolve_seconds_count") == 0
