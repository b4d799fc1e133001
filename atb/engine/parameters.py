"""From policies to the kernel's parameter records: NaN, 0 and numbers for None, choices and text."""

import functools
from dataclasses import fields
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.domain.instrument import Instrument
from atb.engine.checks import clock_minutes
from atb.engine.policy import ENTRIES, LIMIT_GAPS, OPPOSITES, SIZINGS, AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.records import ACCOUNT_PARAMETERS, SLOT_PARAMETERS
from atb.errors import InputError

_OFF = float("nan")


def account_parameters(policy: AccountPolicy) -> NDArray[np.void]:
    """Return the account's parameter record as an array of length 1."""
    copied = ("max_gross", "max_net", "max_cluster", "reserve", "daily_loss", "max_drawdown", "turnover_per_day", "maintenance",
              "recovery", "max_positions", "orders_per_bar", "orders_per_day")  # fmt: skip
    values: dict[str, Any] = {name: _or_off(getattr(policy, name)) for name in copied}
    values["flatten"] = policy.on_halt == "flatten"
    for k in range(3):
        drawdown, factor = policy.throttle[k] if k < len(policy.throttle) else (_OFF, 1.0)
        values |= {f"throttle_{k + 1}": drawdown, f"factor_{k + 1}": factor}
    return _filled(values, ACCOUNT_PARAMETERS)


def _or_off(value: Any) -> Any:
    return _OFF if value is None else value


def _filled(values: dict[str, Any], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Return one record with exactly these values, as an array of length 1."""
    return np.array([tuple(values[name] for name in dtype.names or ())], dtype)


@functools.lru_cache(maxsize=256)
def _inverse(step: str) -> float:
    """Return 1 / step where that is a whole number, else 0: the kernel divides by it to hit the nearest double."""
    ratio = 1 / Fraction(step)
    return float(ratio) if ratio.denominator == 1 and ratio > 1 else 0.0


def slot_parameters(policy: RiskPolicy, execution: ExecutionModel, instrument: Instrument) -> Any:
    """Return one slot's parameter record from its policy, costs and instrument rules.

    Raises
    ------
    InputError
        If fees in base meet short positions: what a short would have to pay back is not what it sold.
    """
    if execution.fee_in_base and policy.allow_short:
        raise InputError(
            "fee_in_base is for spot accounts, which hold no short positions", todo="Set allow_short=False"
        )
    return _filled(
        _policy_values(policy) | _execution_values(execution) | _instrument_values(instrument), SLOT_PARAMETERS
    )[0]


def _policy_values(policy: RiskPolicy) -> dict[str, Any]:
    copied = ("fraction", "risk", "volatility_target", "kelly_scale", "kelly_floor", "kelly_trades", "allow_short", "reenter",
              "cooldown", "entry_offset", "entry_bars", "scale_share", "scale_limit", "signal_stop", "break_even_offset",
              "max_bars", "flat_weekend", "cut_after", "cut_below", "signal_exit")  # fmt: skip
    renamed = {"stake": "stake", "max_position": "max_position", "max_participation": "max_participation",
               "scale_trigger": "scale_in", "stop_loss": "stop_loss", "stop_atr": "stop_atr", "take_profit": "take_profit",
               "trail": "trailing_stop", "trail_atr": "trailing_atr", "trail_after": "trailing_after",
               "break_even": "break_even"}  # fmt: skip
    values = {name: getattr(policy, name) for name in copied}
    values |= {name: _or_off(getattr(policy, field)) for name, field in renamed.items()}
    values["scale_limit"] = policy.scale_limit if policy.scale_in is not None else 0
    values["sizing"], values["entry_kind"] = SIZINGS.index(policy.sizing), ENTRIES.index(policy.entry)
    values["opposite"] = OPPOSITES.index(policy.opposite)
    values["session_start"], values["session_end"] = clock_minutes(policy.session) if policy.session else (0, 0)
    values["rungs"] = len(policy.ladder)
    for k in range(3):
        values[f"rung_{k + 1}"], values[f"share_{k + 1}"] = policy.ladder[k] if k < len(policy.ladder) else (_OFF, 0.0)
    return values


def _execution_values(execution: ExecutionModel) -> dict[str, Any]:
    values = {field.name: getattr(execution, field.name) for field in fields(execution)}
    fee, maker = values.pop("fee"), values.pop("maker_fee")
    values["limit_gap"] = LIMIT_GAPS.index(execution.limit_gap)
    return values | {"taker_fee": fee, "maker_fee": fee if maker is None else maker}


def _instrument_values(instrument: Instrument) -> dict[str, float]:
    values = {name: float(getattr(instrument, name)) for name in ("tick", "lot", "min_quantity", "min_notional")}
    return values | {"tick_inverse": _inverse(str(instrument.tick)), "lot_inverse": _inverse(str(instrument.lot))}
