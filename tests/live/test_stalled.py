"""A process that sleeps between a commit and its request, as on a suspended machine, proves its lease before it sends."""

import pytest
from sqlalchemy import update

from atb.db import open_database
from atb.db.tables import LeaseRow
from atb.engine.policy import RiskPolicy
from atb.errors import LeaseError
from atb.live.journal.lease import Lease
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk
from tests.live.exchange_harness import venue


def test_a_request_never_leaves_after_another_runner_has_taken_the_account_over(tmp_path, monkeypatch):
    plans = [(make_strategy("sma_cross", fast=3, slow=8), bars_of(random_walk(160, 3)), RiskPolicy(stop_loss=0.02))]
    with venue(tmp_path, plans, first=60, count=40) as traded:
        asked = []

        def slept(_lease, now_ms):
            asked.append(now_ms)
            if len(asked) == 2:  # the first is asked at the start, this one between the first commit and its request
                other = open_database(traded.url)
                with other.engine.begin() as connection:
                    connection.execute(update(LeaseRow).values(epoch=LeaseRow.epoch + 1, holder="elsewhere 1 ?"))
                other.close()
            return len(asked) == 1

        monkeypatch.setattr(Lease, "fresh", slept)
        with pytest.raises(LeaseError, match="taken over"):
            traded.trade()
        assert not [entry for entry in traded.running.ledger("request") if entry["method"] == "POST"]
    assert len(asked) == 2
