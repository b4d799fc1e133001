"""Lost answers while reads lag or the engine is late: nothing is doubled, outside the books, or bare."""

import pytest

from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.venues.simulator.faults import Fault
from tests.database import lay_sqlite
from tests.rehearsal.former_rules import not_found_is_absent
from tests.rehearsal.harness import play
from tests.rehearsal.schedules import HOUR, WARM, Schedule, market, plan_of

COUNT = 24
STOPPED = {"stop_loss": 0.015, "reenter": True}
PAIRED = {"stop_loss": 0.02, "take_profit": 0.03, "reenter": True}
TRAILED = {"stop_loss": 0.03, "trailing_stop": 0.012, "reenter": True}
BARE = {"reenter": True}
SMALL = STOPPED | {"fraction": 0.4}  # the account could pay for two of its entries
READS = (
    "GET /api/v3/order",
    "GET /api/v3/orderList",
    "GET /api/v3/openOrders",
    "GET /api/v3/myTrades",
    "GET /api/v3/account",
)
_UNKNOWN = {"status": 504, "code": -1007}


def lags(ms, *reads):
    """Return reads that are always so old."""
    return tuple(Fault("lag", read, times=100_000, detail={"lag_ms": ms}) for read in reads or READS)


def late(ms, path, times=1, *, after=0):
    """Return an engine that executes requests only so much later, and says that it does not know."""
    return Fault("late_engine", path, after=after, times=times, detail={"delay_ms": ms} | _UNKNOWN)


def schedule(policy, *faults, seed=3):
    bars = market("BTC/USDT", WARM + COUNT + 2, seed)
    execution = ExecutionModel(fee=0.001, maker_fee=0.0005, slippage=0.0005, fee_in_base=True)
    plan = plan_of("p0", bars, RiskPolicy(**{"fraction": 0.9} | policy), execution=execution, fast=2, slow=5)
    return Schedule(seed, (plan,), (bars,), COUNT, execution, "base", tuple(faults))


def played(tmp_path, *args, **more):
    return play(schedule(*args, **more), lay_sqlite(tmp_path / "atb.db"), tmp_path)


COINS = Fault("deposit", detail={"asset": "BTC", "amount": "200"})
OPO, ORDER, REPLACE = "POST /api/v3/orderList/opo", "POST /api/v3/order", "POST /api/v3/order/cancelReplace"
LIST, ANY = "DELETE /api/v3/orderList", "changes"
CASES = {
    "an entry whose look-up lags 8 s": (STOPPED, (*lags(8_000, "GET /api/v3/order"), Fault("lost", OPO))),
    "an entry whose look-up lags 15 s": (STOPPED, (*lags(15_000, "GET /api/v3/order"), Fault("lost", OPO))),
    "a pair whose look-up lags 15 s": (
        PAIRED,
        (*lags(15_000, "GET /api/v3/order"), Fault("lost", "POST /api/v3/orderList/opoco")),
    ),
    "an entry, every read lags 15 s": (STOPPED, (*lags(15_000), Fault("lost", OPO))),
    "an entry, every read but the balances lags 40 s": (STOPPED, (*lags(40_000, *READS[:-1]), Fault("lost", OPO))),
    "an entry without a stop, every read lags 15 s": (BARE, (*lags(15_000), Fault("lost", ORDER))),
    "an entry that the engine executes after 8 s": (SMALL, (late(8_000, OPO),)),
    "an entry that the engine executes after 30 s": (SMALL, (late(30_000, OPO),)),
    "an entry that the engine executes after 3 minutes": (SMALL, (late(180_000, OPO),)),
    "an entry that the engine executes after 5 hours": (SMALL, (late(5 * 3_600_000, OPO),)),
    "an entry that the engine executes in part after 28 s": (SMALL, (late(28_000, OPO), Fault("partial", "*"))),
    "an entry without a stop that the engine executes after 3 minutes": (BARE, (late(180_000, ORDER),)),
    "every exit and stop after 8 s": (STOPPED, (late(8_000, ORDER, 50),)),
    "every exit and stop after 30 s": (STOPPED, (late(30_000, ORDER, 50),)),
    "every replacement after 8 s": (TRAILED, (late(8_000, REPLACE, 50),)),
    "every replacement after 30 s": (TRAILED, (late(30_000, REPLACE, 50),)),
    "every replacement lost, reads lag 8 s": (TRAILED, (*lags(8_000), Fault("lost", REPLACE, times=50))),
    "every exit lost, reads lag 15 s": (BARE, (*lags(15_000), Fault("lost", ORDER, times=50))),
    "an exit after 30 s, with coins of the owner": (BARE, (COINS, late(30_000, ORDER, after=1))),
    "every exit and stop after 30 s, with coins of the owner": (STOPPED, (COINS, late(30_000, ORDER, 50))),
    "every pair left late": (PAIRED, (late(8_000, LIST, 50), late(30_000, ORDER, 50))),
    "every change lost, reads lag 8 s": (PAIRED, (*lags(8_000), Fault("lost", ANY, times=50))),
    "open orders that are listed 15 s late": (PAIRED, lags(15_000, "GET /api/v3/openOrders")),
    "every third change late": (
        PAIRED,
        tuple(late(9_000, ANY, after=2 * k) for k in range(9)),
    ),
}


BEGAN_MS = int(market("BTC/USDT", WARM + 2, 3).opened_ms[WARM])
GONE = tuple(
    Fault("cancel_stop", at_ms=BEGAN_MS + int((bar + 0.5) * HOUR), detail={"symbol": "BTCUSDT"}) for bar in range(1, 16)
)
# Nobody asked for anything: the account's stream wakes the runner, and what it then reads is older than what happened.
CASES |= {
    f"a stop that {how}, every read lags {ms // 1_000} s": (STOPPED, (*lags(ms), *faults))
    for ms in (4_000, 8_000, 15_000)
    for how, faults in (("expires unfilled", (Fault("expire_stop", "*", times=9),)), ("others cancel", GONE))
}
QUICK = {
    "a stop that expires unfilled, every read lags 8 s",
    "an entry whose look-up lags 8 s",
    "an entry that the engine executes after 3 minutes",
    "an exit after 30 s, with coins of the owner",
}


def cases(names, quick):
    """Return parameters, slow but for the quick ones."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", cases(CASES, QUICK))
def test_doubt_violates_nothing(tmp_path, name):
    policy, faults = CASES[name]
    run = played(tmp_path, policy, *faults)
    assert not run.broken
    assert run.judgement.clean, run.judgement
    assert run.summary.startswith("finished")


FOUND = {
    "an entry whose look-up lags 8 s": {"I1", "I3"},
    "an entry whose look-up lags 15 s": {"I1", "I3"},
    "an entry that the engine executes after 30 s": {"I1", "I2"},
    "an entry without a stop, every read lags 15 s": {"I1"},
    "an exit after 30 s, with coins of the owner": {"I4"},
    "every replacement after 8 s": {"I1", "I3"},
}


@pytest.mark.parametrize("name", cases(FOUND, {"an entry whose look-up lags 8 s"}))
def test_the_judge_finds_a_runner_for_which_not_found_is_absent(tmp_path, name):
    policy, faults = CASES[name]
    with not_found_is_absent():
        found = set(played(tmp_path, policy, *faults).judgement.violated)
    assert found >= FOUND[name], found
