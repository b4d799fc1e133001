"""Faults of a rehearsal: a seeded schedule of exchange faults and kills of the runner."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from atb.errors import InputError, did_you_mean
from atb.times import DAY_MS
from atb.venues.simulator.faults import MANY, ORDER_READS, PLACEMENTS, Fault
from atb.venues.simulator.refusals import PASSING

LEVELS = {"none": 0, "standard": 1, "hard": 4}
# Requests that change something get more kinds of faults than reads: that is where money is lost.
_ON_CHANGES = ("lost", "held_after", "error_after", "truncated", "reset", "held", "error", "late")
_ON_READS = ("error", "reset", "held", "truncated")
_ON_STREAMS = ("drop", "gap", "duplicate", "reorder", "half_open")
# At a time: the exchange's clock jumps, it is down, a symbol does not trade, its candles stop, a stop is cancelled there.
_AT_TIMES = ("skew", "maintenance", "halt", "freeze", "cancel_stop")
# From `hard` on others trade on the account too, late in the period: foreign positions may block all entries that follow.
_BY_OTHERS = ("manual", "stranger", "deposit", "revise")
# At `hard` too: an order's fate is not known after its answer was lost, and a list's legs do not protect as they should.
_DOUBTS = ("lag", "late_engine", "refuse", "partial", "reject_legs", "expire_stop", "symbol")
_SYMBOL_CHANGES: tuple[dict[str, Any], ...] = (
    {"opoAllowed": False}, {"ocoAllowed": False}, {"cancelReplaceAllowed": False}, {"status": "CANCEL_ONLY"}, {"status": "BREAK"},
)  # fmt: skip
_DEAD_BARS = 3  # longest time without a runner
_PER_DAYS = 10  # each kind occurs once per so many days at `standard`, and at least once
_CODES = (-1000, -1001, -1006, -1007)


@dataclass(frozen=True)
class Schedule:
    """Faults, and kills as (exchange time in epoch milliseconds, milliseconds without a runner).

    Until `gaps_until_ms` the runner is also killed in every kind of gap between two requests, once each.
    """

    faults: tuple[Fault, ...] = ()
    kills: tuple[tuple[int, int], ...] = ()
    gaps_until_ms: int | None = None


def draw_schedule(
    level: str, *, seed: int, start_ms: int, end_ms: int, symbols: Sequence[str], bar_ms: int, quote: str
) -> Schedule:
    """Draw a schedule; the same seed and period give the same one.

    Parameters
    ----------
    level
        `none`, `standard` (each kind once in ten days) or `hard` (four times as often, others trade too, and all else that
        the exchange can do: answers that lag, late engines, refusals that pass, orders met in part, legs rejected or expired,
        symbols that allow less).
    symbols
        As the exchange writes them.
    bar_ms
        Duration of a bar; a lasting fault ends within one.
    quote
        The quote currency.

    Raises
    ------
    InputError
        If there is no such level.
    """
    if level not in LEVELS:
        raise InputError("There is no such level of faults", found=level, todo=did_you_mean(level, LEVELS))
    frequency = LEVELS[level]
    if not frequency:
        return Schedule()
    # Seeded: the same rehearsal must be repeatable.
    random = Random(f"{seed} {start_ms} {end_ms}")  # noqa: S311 - a seeded plan
    times = max(1, round((end_ms - start_ms) / DAY_MS / _PER_DAYS * frequency))
    faults = [
        _draw_fault(kind, group, random, start_ms=start_ms, end_ms=end_ms, symbol=random.choice(symbols), bar_ms=bar_ms)
        for group, kinds in enumerate((_ON_CHANGES, _ON_READS, _ON_STREAMS, _AT_TIMES, ("rate_limit", "ban")))
        for kind in kinds
        for _ in range(times)
    ]
    kills = sorted(_draw_kill(random, start_ms, end_ms, bar_ms=bar_ms) for _ in range(times))
    if frequency > 1:
        late_ms = end_ms - (end_ms - start_ms) // 3
        faults += [
            _draw_foreign(kind, random.randrange(late_ms, end_ms), random.choice(symbols), quote=quote, bar_ms=bar_ms)
            for kind in _BY_OTHERS
        ]
        for kind in _DOUBTS * times:
            at_ms = random.randrange(start_ms, max(start_ms + 1, end_ms - 2 * bar_ms))
            faults += _draw_doubt(kind, at_ms, random, symbol=random.choice(symbols), bar_ms=bar_ms)
    gaps_until_ms = end_ms if frequency > 1 else None
    return Schedule(tuple(sorted(faults, key=lambda fault: fault.at_ms or 0)), tuple(kills), gaps_until_ms)


def _draw_kill(random: Random, start_ms: int, end_ms: int, *, bar_ms: int) -> tuple[int, int]:
    """Draw when the runner is killed, and how long it stays down: not at all, seconds, minutes, or some bars."""
    at_ms = random.randrange(start_ms, end_ms)
    longest = random.choice((0, 30_000, bar_ms // 4, _DEAD_BARS * bar_ms))
    return at_ms, min(random.randint(0, longest), end_ms - at_ms)


def _draw_foreign(kind: str, at_ms: int, symbol: str, *, quote: str, bar_ms: int) -> Fault:
    """Draw an event from outside: a small purchase or a deposit on the account, or a candle revised by the exchange."""
    order = {"symbol": symbol, "side": "BUY", "type": "MARKET", "quoteOrderQty": "25"}
    details: dict[str, dict[str, Any]] = {
        "manual": {"order": order},
        "stranger": {"order": order},
        "deposit": {"asset": quote, "amount": "1.5"},
        "revise": {"symbol": symbol, "opened": at_ms - at_ms % bar_ms - bar_ms},
    }
    return Fault(kind, at_ms=at_ms, until_ms=at_ms + 60_000 if kind == "revise" else None, detail=details[kind])


def _draw_fault(
    kind: str, group: int, random: Random, *, start_ms: int, end_ms: int, symbol: str, bar_ms: int
) -> Fault:
    """Draw the time and details of one fault; `group` is its place among the lists of kinds."""
    at_ms = random.randrange(start_ms, max(start_ms + 1, end_ms - bar_ms))
    if group == 0:
        return Fault(kind, "changes", at_ms=at_ms, detail=_request_detail(kind, random))
    if group == 1:
        return Fault(kind, "reads", at_ms=at_ms, detail=_request_detail(kind, random))
    if group == 2:
        return Fault(kind, "*", at_ms=at_ms, times=random.randint(1, 3))
    if group == 4:
        return Fault(kind, "*", at_ms=at_ms, retry_after_s=random.randint(1, 20))
    until = at_ms + random.randrange(bar_ms // 4, bar_ms)
    details: dict[str, dict[str, Any]] = {
        "skew": {"ms": random.choice((-1, 1)) * random.randint(1_500, 15_000)},
        "halt": {"symbol": symbol},
        "cancel_stop": {"symbol": symbol},
        "freeze": {"symbol": symbol},
    }
    lasts = kind in {"maintenance", "halt", "freeze"}
    return Fault(kind, "*", at_ms=at_ms, until_ms=until if lasts else None, detail=details.get(kind, {}))


def _draw_doubt(kind: str, at_ms: int, random: Random, *, symbol: str, bar_ms: int) -> list[Fault]:
    """Draw one fault of `_DOUBTS`; with reads that lag the answer to an order is lost too, so that they hide it."""
    if kind == "lag":
        detail, until_ms = {"lag_ms": random.randint(1_000, 15_000)}, at_ms + 2 * bar_ms
        lag = Fault(kind, random.choice(ORDER_READS), times=MANY, at_ms=at_ms, until_ms=until_ms, detail=detail)
        return [lag, Fault("lost", "changes", at_ms=at_ms)]
    if kind == "late_engine":
        answer = random.choice(({}, {"status": 504, "code": -1007}))
        return [Fault(kind, "changes", at_ms=at_ms, detail={"delay_ms": random.randint(2_000, 30_000)} | answer)]
    if kind == "refuse":
        return [Fault(kind, random.choice(PLACEMENTS), at_ms=at_ms, detail=dict(random.choice(PASSING)))]
    if kind == "symbol":
        until_ms = at_ms + random.randrange(bar_ms // 4, 2 * bar_ms)
        return [Fault(kind, at_ms=at_ms, until_ms=until_ms, detail={"symbol": symbol} | random.choice(_SYMBOL_CHANGES))]
    share = {"share": round(random.uniform(0.05, 0.95), 2)} if kind == "partial" else {}
    return [Fault(kind, "*", at_ms=at_ms, detail={"symbol": symbol} | share)]


def _request_detail(kind: str, random: Random) -> dict[str, Any]:
    if kind == "late":
        return {
            "delay_ms": random.randint(200, 9_000)
        }  # partly beyond recvWindow, after which it is not executed any more
    if kind in {"error", "error_after"}:
        status = random.choice((502, 503, 504, 0))
        return {"status": status} if status else {"status": 500, "code": random.choice(_CODES)}
    return {}
