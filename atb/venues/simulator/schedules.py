"""Random fault schedules, drawn from a seed and spread over given times."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from atb.errors import InputError, did_you_mean
from atb.times import MINUTE_MS
from atb.venues.simulator.faults import MANY, ORDER_READS, PLACEMENTS, Fault
from atb.venues.simulator.refusals import PASSING


def _after(rng: np.random.Generator) -> dict[str, Any]:
    code = int(rng.choice([-1000, -1001, -1006, -1007]))
    return {"path": "changes", "detail": {"status": int(rng.choice([502, 503, 504])), "code": code}}


def _gateway(rng: np.random.Generator) -> dict[str, Any]:
    return {"path": str(rng.choice(["changes", "reads", "*"])), "detail": {"status": int(rng.choice([502, 503, 504]))}}


def _on_changes(_rng: np.random.Generator) -> dict[str, Any]:
    return {"path": "changes"}


def _anywhere(rng: np.random.Generator) -> dict[str, Any]:
    return {"path": str(rng.choice(["changes", "reads"])), "times": int(rng.integers(1, 4))}


def _late(rng: np.random.Generator) -> dict[str, Any]:
    return {"path": "changes", "detail": {"delay_ms": int(rng.integers(200, 8_000))}}


def _limit(rng: np.random.Generator) -> dict[str, Any]:
    return {"path": "*", "retry_after_s": int(rng.integers(1, 30))}


def _skew(rng: np.random.Generator) -> dict[str, Any]:
    return {"detail": {"ms": int(rng.integers(3_000, 20_000)) * int(rng.choice([-1, 1]))}}


def _stream(rng: np.random.Generator) -> dict[str, Any]:
    return {"path": "*", "times": int(rng.integers(1, 6)), "after": int(rng.integers(0, 4))}


_Make = Callable[[np.random.Generator], dict[str, Any]]
_REQUESTS: dict[str, _Make] = {
    "lost": _on_changes,
    "held_after": _on_changes,
    "error_after": _after,
    "truncated": _on_changes,
    "late": _late,
    "error": _gateway,
    "reset": _anywhere,
    "held": _on_changes,
    "rate_limit": _limit,
    "ban": _limit,
}
_CLOCKS: dict[str, _Make] = {"skew": _skew}
_STREAMS: dict[str, _Make] = {
    "drop": _stream,
    "gap": _stream,
    "duplicate": _stream,
    "reorder": _stream,
    "half_open": _stream,
}


def _lag(rng: np.random.Generator) -> dict[str, Any]:
    return {"path": str(rng.choice(ORDER_READS)), "times": MANY, "detail": {"lag_ms": int(rng.integers(1_000, 15_000))}}


def _late_engine(rng: np.random.Generator) -> dict[str, Any]:
    detail: dict[str, Any] = {"delay_ms": int(rng.integers(2_000, 30_000))}
    return {"path": "changes", "detail": detail | (dict(_TIMEOUT) if rng.random() < 0.5 else {})}


def _refuse(rng: np.random.Generator) -> dict[str, Any]:
    return {"path": str(rng.choice(PLACEMENTS)), "detail": dict(PASSING[int(rng.integers(len(PASSING)))])}


def _partial(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "path": "*",
        "times": int(rng.integers(1, 4)),
        "detail": {"share": round(float(rng.uniform(0.05, 0.95)), 2)},
    }


def _order(_rng: np.random.Generator) -> dict[str, Any]:
    return {"path": "*"}


_TIMEOUT = {"status": 504, "code": -1007}
_LAG_MS = 2 * 60 * MINUTE_MS  # how long reads lag
# What is not known after a lost answer, and what a list does to protection.
_DOUBTS: dict[str, _Make] = {
    "lag": _lag,
    "late_engine": _late_engine,
    "refuse": _refuse,
    "partial": _partial,
    "reject_legs": _order,
    "expire_stop": _order,
}


def _symbol(rng: np.random.Generator) -> tuple[int, dict[str, Any]]:
    changes: tuple[dict[str, Any], ...] = (
        {"opoAllowed": False}, {"ocoAllowed": False}, {"cancelReplaceAllowed": False}, {"status": "CANCEL_ONLY"},
        {"status": "BREAK", "cancelsWhileClosed": False},
    )  # fmt: skip
    return int(rng.integers(1, 180)) * MINUTE_MS, changes[int(rng.integers(len(changes)))]


def _maintenance(rng: np.random.Generator) -> tuple[int, dict[str, Any]]:
    return int(rng.integers(1, 20)) * MINUTE_MS, {}


def _halt(rng: np.random.Generator) -> tuple[int, dict[str, Any]]:
    return int(rng.integers(1, 180)) * MINUTE_MS, {}


def _moment(_rng: np.random.Generator) -> tuple[int, dict[str, Any]]:
    return 0, {}


def _revise(rng: np.random.Generator) -> tuple[int, dict[str, Any]]:
    return int(rng.integers(1, 60)) * MINUTE_MS, {"factor": float(rng.choice([0.99, 1.01]))}


_STATES: dict[str, Callable[[np.random.Generator], tuple[int, dict[str, Any]]]] = {
    "maintenance": _maintenance,
    "halt": _halt,
    "symbol": _symbol,
    "freeze": _halt,
    "revise": _revise,
    "cancel_stop": _moment,
    "stranger": _moment,
}
MIXES: dict[str, tuple[str, ...]] = {
    "requests": tuple(_REQUESTS),
    "streams": tuple(_STREAMS),
    "market": tuple(_STATES),
    "standard": (*_REQUESTS, *_CLOCKS, *_STREAMS, "maintenance", "halt", "cancel_stop"),
    "doubt": (*_DOUBTS, "symbol", "lost", "error_after"),
    "everything": (*_DOUBTS, *_REQUESTS, *_CLOCKS, *_STREAMS, *_STATES),
}


def schedule(
    moments: Sequence[int], *, seed: int, symbols: Sequence[str], count: int, mix: str = "standard"
) -> list[Fault]:
    """Draw faults; the same arguments give the same faults.

    Parameters
    ----------
    moments
        Times (epoch milliseconds) at which faults may begin, such as the opens of bars.
    seed
        Of the draw.
    symbols
        As the exchange spells them; a fault of one symbol takes one of these.
    count
        Number of faults; each kind of the mix comes about as often as any other.
    mix
        `requests`, `streams`, `market`, `standard` (no foreign orders, no wrong candles), `doubt` (lost answers while reads lag,
        orders met in part, symbols that allow less) or `everything`.

    Raises
    ------
    InputError
        If there is no such mix, or there are no moments or symbols.
    """
    if mix not in MIXES:
        raise InputError("There is no such mix of faults", found=mix, todo=did_you_mean(mix, MIXES))
    if not len(moments) or not symbols:
        raise InputError("A schedule needs moments and symbols", found=f"{len(moments)} and {len(symbols)}")
    rng, kinds = np.random.default_rng(seed), MIXES[mix]
    drawn = [kinds[k % len(kinds)] for k in range(count)]
    rng.shuffle(drawn)
    times = sorted(int(moments[k]) for k in rng.integers(0, len(moments), count))
    return [
        _drawn(rng, kind, at_ms, symbol=str(rng.choice(list(symbols))))
        for kind, at_ms in zip(drawn, times, strict=True)
    ]


def _drawn(rng: np.random.Generator, kind: str, at_ms: int, *, symbol: str) -> Fault:
    made = (_DOUBTS | _REQUESTS | _CLOCKS | _STREAMS).get(kind)
    if made is not None:
        return Fault(kind, at_ms=at_ms, until_ms=at_ms + _LAG_MS if kind == "lag" else None, **made(rng))
    lasts, detail = _STATES[kind](rng)
    detail = {"symbol": symbol} | detail
    if kind == "stranger":
        detail = {"order": {"symbol": symbol, "side": "BUY", "type": "MARKET", "quoteOrderQty": "20"}}
    if kind == "revise":
        detail |= {"opened": at_ms}
    if kind == "maintenance":
        detail = {}
    return Fault(kind, at_ms=at_ms, until_ms=at_ms + lasts if lasts else None, detail=detail)
