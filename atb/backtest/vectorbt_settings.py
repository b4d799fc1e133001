"""A policy and its costs as settings of vectorbt's `from_signals`, and the names of the rules it does not support."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atb.engine.policy import ExecutionModel, RiskPolicy

CARRIED = (
    "sizing",
    "fraction",
    "stake",
    "allow_short",
    "reenter",
    "stop_loss",
    "take_profit",
    "signal_exit",
    "opposite",
)
"""Fields of `RiskPolicy` that a screen follows."""

UNCARRIED: dict[str, Any] = {
    "max_position": None,
    "max_participation": None,
    "entry": "market",
    "cooldown": 0,
    "scale_in": None,
    "stop_atr": None,
    "signal_stop": False,
    "ladder": (),
    "trailing_stop": None,
    "trailing_atr": None,
    "break_even": None,
    "max_bars": 0,
    "session": None,
    "flat_weekend": False,
    "cut_after": 0,
}
"""Rules that `from_signals` does not have, with the value that turns each off."""

IDLE = ("risk", "volatility_target", "kelly_scale", "kelly_floor", "kelly_trades", "entry_offset", "entry_bars", "scale_share",
        "scale_limit", "trailing_after", "break_even_offset", "cut_below", "atr_window", "volatility_window")  # fmt: skip
"""Numbers of those rules, which say nothing while their rule is off."""

Bools = NDArray[np.bool_]


def uncarried(policy: RiskPolicy, execution: ExecutionModel) -> list[str]:
    """Return the rules that are on and that `from_signals` cannot follow, each as `name=value`."""
    found = [f"{name}={value!r}" for name, off in UNCARRIED.items() if (value := getattr(policy, name)) != off]
    return found + _uncarried_sizes(policy) + _uncarried_costs(policy, execution)


def _uncarried_sizes(policy: RiskPolicy) -> list[str]:
    if policy.sizing not in {"fixed_fraction", "fixed_stake"}:
        return [f"sizing={policy.sizing!r}"]
    fractions = policy.sizing == "fixed_fraction"
    wrong = {
        f"fraction={policy.fraction!r}, which needs credit": fractions and policy.fraction > 1,
        "opposite='reverse' with shorts of a fraction of equity (a fixed stake can be reversed)": (
            policy.allow_short and fractions and policy.opposite == "reverse"
        ),
        "opposite='ignore' with shorts": policy.allow_short and policy.opposite == "ignore",
        "reenter=True with shorts and opposite='exit'": (
            policy.allow_short and policy.reenter and policy.opposite == "exit"
        ),
    }
    return [name for name, on in wrong.items() if on]


def _uncarried_costs(policy: RiskPolicy, execution: ExecutionModel) -> list[str]:
    both = policy.stop_loss is not None and policy.take_profit is not None
    maker = execution.maker_fee not in {None, execution.fee} and policy.take_profit is not None
    wrong = {
        "fee_in_base": execution.fee_in_base,
        "slippage_atr": execution.slippage_atr > 0,
        "impact": execution.impact > 0,
        "borrow_rate": execution.borrow_rate > 0 and policy.allow_short,
        "maker_fee": maker,
        "target_first": execution.target_first and both,
    }
    return [f"{name}={getattr(execution, name)!r}" for name, on in wrong.items() if on]


def signals(sides: pd.DataFrame, policy: RiskPolicy) -> dict[str, pd.DataFrame]:
    """Return the sides as vectorbt's four signals, each one row later: a signal at a close is traded at the next open.

    A side enters where it begins, or wherever it stands if the policy re-enters; it is left where the side is 0, and where it is
    opposite if no short may be opened.
    """
    side, before = sides.to_numpy(), _later(sides.ffill().to_numpy(), np.nan)
    begins = np.full(side.shape, policy.reenter) | (side != before)
    leave = (side == 0) & policy.signal_exit
    leave_long = leave | ((side == -1) & (not policy.allow_short and policy.opposite != "ignore"))
    found = {
        "entries": (side == 1) & begins,
        "exits": leave_long,
        "short_entries": (side == -1) & begins & policy.allow_short,
        "short_exits": leave & policy.allow_short,
    }
    return {
        name: pd.DataFrame(_later(values, fill=False), sides.index, sides.columns) for name, values in found.items()
    }


def _later(values: Any, fill: float) -> Any:
    """Return the rows one later, the first one filled."""
    return np.concatenate([np.full_like(values[:1], fill), values[:-1]])


def size(policy: RiskPolicy, execution: ExecutionModel, *, bars: pd.DataFrame, short: Bools) -> dict[str, Any]:
    """Return vectorbt's size for each row, and its kind, such that it buys what the kernel would.

    The kernel sizes an order at the close before it, vectorbt at the fill: the ratio of the two prices makes up for it.

    Parameters
    ----------
    policy, execution
        Sizing and costs.
    bars
        The traded bars.
    short
        Where a short position is entered, (rows, columns).
    """
    opened = bars["open"].to_numpy()[:, None]
    closed = _later(bars["close"].to_numpy(), np.nan)[:, None]
    if policy.sizing == "fixed_fraction":
        share = policy.fraction * (1 + execution.fee) * opened / closed
        return {"size": np.nan_to_num(share, nan=0.0), "size_type": "percent"}
    slipped = 1 + execution.slippage * (np.where(short, -1.0, 1.0) if policy.allow_short else 1.0)
    return {"size": np.nan_to_num(np.asarray(policy.stake) / (closed * slipped), nan=0.0), "size_type": "amount"}


def stops(policy: RiskPolicy) -> dict[str, Any]:
    """Return vectorbt's settings of stop and target, those that come nearest to the kernel's.

    vectorbt slips stops and targets alike or neither; a target alone is left at its price, as in the kernel.
    """
    return {
        "use_stops": policy.stop_loss is not None or policy.take_profit is not None,
        "sl_stop": np.nan if policy.stop_loss is None else policy.stop_loss,
        "tp_stop": np.nan if policy.take_profit is None else policy.take_profit,
        "stop_entry_price": "fillprice",
        "stop_exit_price": "stoplimit" if policy.stop_loss is None else "stopmarket",
        "upon_opposite_entry": "reverse" if policy.opposite == "reverse" else "close",
    }


def fill_rules(policy: RiskPolicy, execution: ExecutionModel) -> tuple[str, ...]:
    """Return how a screen with this policy fills orders, and where that differs from the kernel, in sentences."""
    protected = policy.stop_loss is not None or policy.take_profit is not None
    slipped = policy.stop_loss is not None and policy.take_profit is not None and execution.slippage > 0
    own = policy.take_profit is not None and execution.limit_gap == "own"
    sentences = {
        "A signal at a close fills at the next bar's open, with slippage and fee, as in the kernel.": True,
        "A stop or target is looked at from the bar after the entry bar on; the kernel's rests from the fill, so it can end a "
        "trade in its entry bar.": protected,
        "One order a bar and column: where a bar touches a stop or target and the signal left at its open, vectorbt fills the "
        "stop or target and forgets the signal, an entry the other way included; the kernel leaves at the open.": protected,
        "A target pays slippage like a stop; the kernel's is a limit order and fills at its price.": slipped,
        "A target that the open has passed fills at that better open; the kernel's at its own price, as takers reach it first "
        "(limit_gap='open' fills it as vectorbt does).": own,
        "A bar that touches stop and target counts as stopped, as in the kernel, but such bars are not counted.": (
            policy.stop_loss is not None and policy.take_profit is not None
        ),
        "A reversal is one order; the kernel sends an exit and an entry.": policy.allow_short
        and policy.opposite == "reverse",
        "Sizes are not floored to lots, prices not rounded to ticks, and no order is too small.": True,
        "An order that the cash cannot pay at the open is cut to what it can; the kernel refuses it with a reason.": True,
        "Each column is an account of its own, without reserve and without limits; nothing is refused with a reason.": True,
    }
    return tuple(sentence for sentence, on in sentences.items() if on)
