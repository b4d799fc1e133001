"""Metrics: each has a name, a help text and a registry that no other runner of the process shares."""

from prometheus_client.parser import text_string_to_metric_families

from atb.monitoring.metrics import Metrics

# What alerts and dashboards are built on: a name that changes here breaks them.
PROMISED = {
    "atb_orders", "atb_intents_unknown", "atb_resolve_seconds", "atb_stream_last_frame_age_seconds", "atb_bar_lag_seconds",
    "atb_exchange_weight_used", "atb_ledger_drift", "atb_lease_epoch", "atb_unprotected_seconds", "atb_commit_seconds",
    "atb_decision_to_request_seconds", "atb_equity", "atb_drawdown", "atb_withheld", "atb_fills",
    "atb_halt_level", "atb_log_lines_lost",
}  # fmt: skip


def families(metrics):
    return {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}


def test_every_promised_metric_is_there_with_a_help_text():
    found = families(Metrics())
    assert set(found) >= PROMISED
    assert [name for name, family in found.items() if not family.documentation] == []


def test_what_is_counted_and_measured_is_rendered_with_its_labels():
    metrics = Metrics()
    metrics.orders.labels(role="stop", outcome="unknown").inc()
    metrics.decision_to_request.observe(0.012)
    metrics.ledger_drift.labels(asset="BTC").set(-0.5)
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families(metrics).values()
        for sample in family.samples
    }
    assert samples["atb_orders_total", "stop", "unknown"] == 1
    assert samples["atb_ledger_drift", "BTC"] == -0.5
    assert samples["atb_decision_to_request_seconds_bucket", "0.01"] == 0
    assert samples["atb_decision_to_request_seconds_bucket", "0.02"] == 1


def test_two_runners_of_one_process_do_not_share_their_counts():
    one, other = Metrics(), Metrics()
    one.fills.labels(symbol="BTC/USDT", role="entry").inc(3)
    assert b"BTC/USDT" in one.render()
    assert b"BTC/USDT" not in other.render()
