"""The log lines of a session: every order, execution and notice, with whose it was."""

import io
import json

import pytest

from atb.decimals import amount
from atb.engine.policy import RiskPolicy
from atb.live.journal.step import Notice, Step, Withheld
from atb.live.step_log import StepLog
from atb.monitoring import configure_logging
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk
from tests.live.exchange_harness import venue


@pytest.fixture
def lines():
    stream = io.StringIO()
    configure_logging("INFO", json_lines=True, stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    configure_logging("WARNING")


def test_a_session_logs_what_it_sent_and_what_was_filled_with_whose_it_was(tmp_path, lines):
    policy = RiskPolicy(fraction=0.5, stop_loss=0.02, take_profit=0.03, reenter=True)
    plans = [(make_strategy("sma_cross", fast=3, slow=8), bars_of(random_walk(160, 3)), policy)]
    with venue(tmp_path, plans, first=60, count=40) as traded:
        traded.trade()
        fills = traded.fills()
    logged = lines()
    filled = [line for line in logged if line["event"] == "filled"]
    assert [line["client_id"] for line in filled] == [fill.client_id for fill in fills] != []
    assert [line["fee"] for line in filled] == [f"{amount(fill.fee)} {fill.fee_asset}" for fill in fills]
    assert max(len(line["fee"].split()[0].replace(".", "")) for line in filled) <= 13
    for line in filled + [line for line in logged if line["event"] == "sending"]:
        assert (line["strategy"], line["symbol"], line["epoch"]) == ("sma_cross", "BTC/USDT", 1)
        assert line["bar"].startswith("2024-")
    assert {line["role"] for line in logged if line["event"] == "sending"} >= {"entry", "stop"}


def test_notices_are_logged_at_their_severity(lines):
    notices = [
        Notice("drift", {"asset": "BTC"}, "warning"),
        Notice("gave_up", {"slot": 0}, "error"),
        Notice("resolved"),
    ]
    StepLog((), 3).write(Step(0, notices=notices), [Withheld("none", "halted")])
    found = [(line["event"], line["level"], line["epoch"]) for line in lines()]
    assert found == [("drift", "warning", 3), ("gave_up", "error", 3), ("resolved", "info", 3)]
