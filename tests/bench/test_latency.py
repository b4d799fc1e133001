"""The latency of the runner: percentiles and histogram add up, and a small measurement on the real parts goes through."""

import pytest

from atb.bench import latency
from atb.bench.latency import WAYS, Latency, measure_latency, measure_orders
from atb.bench.targets import check_targets


def milliseconds(*values):
    return Latency(tuple(value / 1_000 for value in values))


def test_percentiles_are_measured_values_by_nearest_rank():
    found = milliseconds(*range(1, 101))
    assert [found.percentile(share) for share in (0.5, 0.95, 0.99, 1.0)] == [0.05, 0.095, 0.099, 0.1]
    assert milliseconds(7).percentile(0.01) == 0.007


def test_a_histogram_counts_each_request_once_and_an_edge_belongs_below():
    counts = dict(milliseconds(1, 5, 5.1, 50, 50.1, 999).histogram())
    assert sum(counts.values()) == 6
    assert (counts["<= 5 ms"], counts["<= 10 ms"], counts["<= 50 ms"], counts["<= 75 ms"]) == (2, 1, 1, 1)
    assert counts["> 200 ms"] == 1


def test_the_promise_is_kept_at_fifty_milliseconds_and_broken_above():
    kept, broken = (check_targets([milliseconds(*[1] * 50, worst).row()])[0] for worst in (50, 50.1))
    assert (kept.met, broken.met) == (True, False)
    assert broken.figure == "50.1 ms"


def test_rows_of_orders_have_the_median_and_leave_the_promise_to_the_runners_row():
    row = milliseconds(1, 2, 3).order_row("websocket")
    assert (row.engine, row.wall_s, row.notes) == (
        "atb by WebSocket", 0.002, ["order sent to answer, on loopback: p50 2.0 ms, p95 3.0 ms, p99 3.0 ms of 3"],
    )  # fmt: skip
    rows = [milliseconds(51).row(), *(milliseconds(1).order_row(way) for way in WAYS)]
    assert [check.figure for check in check_targets(rows)] == ["51.0 ms"]


@pytest.mark.parametrize("way", WAYS)
def test_orders_are_timed_by_each_way(monkeypatch, way):
    monkeypatch.setattr(latency, "ORDERS", 5)
    monkeypatch.setattr(latency, "_WARM", 1)
    assert len(measure_orders(way).seconds) == 5


def test_a_small_measurement_sends_orders_through_the_real_parts(monkeypatch):
    monkeypatch.setattr(latency, "BARS", 40)
    monkeypatch.setattr(latency, "_WARM", 2)
    found = measure_latency(seed=1)
    assert len(found.seconds) > 3
    assert found.seconds == tuple(sorted(found.seconds))
    assert 0 < found.seconds[0] < found.percentile(0.99) < 5
