"""Seeded schedules of faults, deaths, lost databases and halts: not one violation of the ten invariants.

A failing seed is played again by `play(draw(SEED), ...)`; without streams it takes the same course to the last request.
"""

import asyncio
import random
import resource
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from atb.backtest import run as backtest
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.errors import LeaseError
from atb.live.feed.candles import CandleFeed
from atb.rehearsal.judge import judge
from atb.strategies import make_strategy
from atb.times import at_ms
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.server import running_exchange
from tests.bars import bars_of, random_walk
from tests.database import lay_sqlite, mainly_sqlite
from tests.instruments import usual
from tests.live.desk import Desk
from tests.rehearsal.harness import Play, check, say
from tests.rehearsal.schedules import HOUR, WARM, Schedule, draw, plan_of
from tests.seeds import seeds

MINUTE = 60_000
KEPT_BYTES = 2_000  # what the simulated exchange keeps for each entry of its ledger, the request itself included
HARMLESS = {"lost", "error", "reset", "truncated", "late", "error_after"}  # the process is still there afterwards


@pytest.mark.parametrize("seed", seeds(8, quick=2))
def test_a_schedule_violates_nothing(seed, tmp_path):
    check(seed, lay_sqlite(tmp_path / "atb.db"), tmp_path)


@mainly_sqlite
@pytest.mark.parametrize("seed", range(1_000, 1_001))
def test_a_schedule_violates_nothing_on_either_database(seed, tmp_path, database_url):
    check(seed, database_url, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2_000, 2_060))
def test_many_schedules_violate_nothing_on_either_database(seed, tmp_path, database_url):
    check(seed, database_url, tmp_path)


# --- two runners on one account -----------------------------------------------------------------------------------------


@mainly_sqlite
def test_of_two_runners_on_one_account_one_is_refused(tmp_path, database_url):
    run = Play(draw(1, hard=False), database_url, tmp_path)

    async def both(running) -> tuple[object, object]:
        first = asyncio.create_task(run.live(running))
        await asyncio.sleep(0.3)
        with pytest.raises(LeaseError):
            await run.live(running)
        return await first

    with run.exchange() as running:
        asyncio.run(both(running))
        ledger = running.ledger()
    assert run.judged(ledger).judgement.clean


# --- a day of minutes ---------------------------------------------------------------------------------------------------


def day(symbols: int, minutes: int, *, every: int) -> Schedule:
    """Return one-minute bars of some symbols, with a fault every so many minutes."""
    execution, plans, series = ExecutionModel(fee=0.001, fee_in_base=True), [], []
    policy = RiskPolicy(fraction=0.9 / symbols, stop_loss=0.01, take_profit=0.02)
    for number in range(symbols):
        frame = random_walk(WARM + minutes + 2, number, sigma=0.002)
        frame.index = frame.index[0] + (frame.index - frame.index[0]) / 60
        bars = bars_of(frame, f"C{number}/USDT", "1m")
        series.append(bars)
        plans.append(plan_of(f"m{number}", bars, policy, execution=execution, fast=5, slow=20))
    start = int(series[0].opened_ms[WARM])
    kinds = ("lost", "error", "reset", "truncated", "late", "error_after", "cancel_stop", "drop", "gap", "duplicate")
    faults = []
    for number, minute in enumerate(range(every, minutes - 15, every)):
        kind = kinds[number % len(kinds)]
        detail = {"delay_ms": 1_500} if kind == "late" else {"symbol": f"C{number % symbols}USDT"}
        path = "*" if kind in {"drop", "gap", "duplicate"} else "changes" if number % 2 else "*"
        faults.append(Fault(kind, path, at_ms=start + minute * MINUTE + 400, detail=detail))
    made = Schedule(7, tuple(plans), tuple(series), minutes, execution, "base", tuple(faults), bar_ms=MINUTE)
    return replace(made, streams=True)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_day_of_minutes_on_ten_symbols_loses_nothing_and_keeps_its_memory_flat(tmp_path, capsys):
    minutes, sizes, taken = 1_440, [], []
    run = Play(day(10, minutes, every=12), lay_sqlite(tmp_path / "atb.db"), tmp_path)
    original = CandleFeed.take

    async def counted(self):
        moment = await original(self)
        if moment is not None:
            taken.append(moment.time_ms)
            if len(taken) % 120 == 0:
                sizes.append((resident(), len(run.running.exchange.ledger)))
                say(
                    capsys,
                    f"{len(taken)} minutes, {sizes[-1][0] / 2**20:.0f} MiB, {sizes[-1][1]} entries in the ledger",
                )
        return moment

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CandleFeed, "take", counted)
        played = run.run()
    assert played.judgement.clean, played.judgement
    assert played.judgement.facts["bars"] == 10 * minutes
    # The exchange lives in the same process, and keeps all that it saw: that is taken off, generously.
    (early, few), (late, many) = sizes[2], sizes[-1]
    assert late - early < (many - few) * KEPT_BYTES + 16 * 2**20


def resident() -> int:
    """Return the memory of this process in bytes, 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0


# --- the real process ---------------------------------------------------------------------------------------------------


def killed(desk, path, running, *, kills: list[int], until_ms: int) -> list[tuple[int, int]]:
    """Run the real runner until the bars end, with SIGKILL at some times of the exchange; return when it was dead."""
    environment = {
        "ATB__EXCHANGE__ID": "binance",
        "ATB__EXCHANGE__BASE_URL": running.url,
        "ATB__EXCHANGE__CLOCK": running.clock_url,
        "ATB__EXCHANGE__API_KEY": "key",
        "ATB__EXCHANGE__API_SECRET": "secret",
        "ATB__EXCHANGE__TIMEOUT": "0.5",
        "ATB__EXCHANGE__RECV_WINDOW_MS": "3000",
        "ATB__LOG__LEVEL": "ERROR",
    }
    deaths, until, due = [], at_ms(until_ms).isoformat(), list(kills)
    for _ in range(20):
        process = desk.start(path, "--rehearse", "--account", "main", "--until", until, env=environment)
        while (code := process.poll()) is None:
            if due and running.clock.now_ms() >= due[0]:
                due.pop(0)
                process.kill()
            time.sleep(0.002)
        said = "".join(process.communicate())
        if code == 0:
            return deaths
        assert code in {-9, 6}, said
        died = running.clock.now_ms()
        deaths.append((died, running.advance(died + 20_000)))
    raise AssertionError("The runner died too often")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_real_process_survives_sigkill(seed, tmp_path, database_url):
    desk, rng = Desk(tmp_path, database_url), random.Random(seed)
    bars = desk.stock(320, seed)
    execution = ExecutionModel(fee=0.001, fee_in_base=True)
    policy = RiskPolicy(fraction=0.9, stop_loss=0.02, take_profit=0.04, reenter=True)
    result = backtest(Slot(make_strategy("sma_cross", fast=3, slow=8), bars, policy, execution, usual(bars.symbol)))
    path = desk.promote(result)
    start, count = int(bars.opened_ms[240]), 40
    until = start + count * HOUR
    schedule = draw(seed)
    faults = [
        replace(fault, at_ms=start + rng.randrange(30) * HOUR) for fault in schedule.faults if fault.kind in HARMLESS
    ]
    config = ExchangeConfig(
        (bars,), start_ms=start, balances={"USDT": Decimal(10_000)}, execution=execution,
        fee_in="base", faults=faults,
    )  # fmt: skip
    kills = sorted(start + rng.randrange(1, 30) * HOUR for _ in range(4))
    with running_exchange(config) as running:
        deaths = killed(desk, path, running, kills=kills, until_ms=until)
        ledger = running.ledger()
    assert deaths
    found = judge(ledger, database_url, desk.portfolio(path), deaths=deaths)
    assert found.clean, found
    assert found.facts["bars"] == count
