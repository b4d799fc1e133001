"""Findings against a result, the gravest first, and the rules it was traded by, as sentences for the reader."""

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from atb.backtest import Result
from atb.backtest.ruin import RUINED
from atb.decimals import counted, merit
from atb.domain.bars import FEW
from atb.experiments.evidence import ResultEvidence, models_used

if TYPE_CHECKING:
    import pandas as pd

UNPROVEN = "Neither parity nor look-ahead was proven"
_MANY_MISSING = 0.01  # share of the bars from which holes are grave
_WITHIN_ANOTHER = {"sizing"}  # rules that are part of another one's sentence


def findings(result: Result, proven: ResultEvidence | None = None) -> list[str]:
    """Return the findings against a result, a sentence each, the gravest first; empty if there are none.

    Parameters
    ----------
    result
        The result of a backtest.
    proven
        Its `evidence`. Without it neither parity nor look-ahead is judged, and the last sentence says so.
    """
    stats, held = result.stats, result.baselines["hold"]
    earned = stats["total_return_pct"]
    models = models_used(result) if proven is None else proven.models
    seen = sum(model.bars_seen_before for model in models)
    refused = {reason: count for reason, count in result.refusal_counts.items() if reason != RUINED}
    checks = [
        (
            bool(result.halt and not result.ruin),
            f"The account ended {result.halt}: everything below is the result up to then",
        ),
        (
            any(bars.synthetic for bars in result.bars),
            "The bars are SYNTHETIC: the result says nothing about any market",
        ),
        (seen > 0, f"The model had seen {seen:,} of the traded bars in training: for them this is no test"),
        (not all(model.beats_baselines for model in models), "The model does not beat its baselines out of sample"),
        *((True, text) for text in _unpaid(result)),
        *((holes.share >= _MANY_MISSING, str(holes)) for holes in result.holes),
        (
            bool(result.holes and _rules_in_bars(result)),
            f"With bars missing, these rules count bars, not hours: {_rules_in_bars(result)}",
        ),
        *((True, text) for text in _not_held(result)),
        (bool(refused), f"Signals not traded as given: {_counts(refused)}"),
        (
            stats["n_trades"] < 30,
            f"{counted(stats['n_trades'], 'closed trade is', 'closed trades are')} too few for statistics",
        ),
        (earned == 0, "It earned nothing, and lost nothing"),
        (not earned >= 0, f"It loses money: {merit('total_return_pct', earned)} after costs"),
        (not earned >= held["total_return_pct"], "Holding would have earned more, with less work"),
        (not _above(stats["sharpe"], held["sharpe"]), "Its Sharpe ratio is not above that of holding"),
        *((True, text) for text in _lucky(result)),
        (
            stats["ambiguous_bars"] > 0,
            f"{counted(stats['ambiguous_bars'], 'bar')} touched stop and target: order unknown",
        ),
        *((holes.share < _MANY_MISSING, str(holes)) for holes in result.holes),
        *((True, f"No venue's rules are known: {rules}") for rules in _inferred_rules(result)),
        (proven is None, UNPROVEN),
    ]
    ruined = [str(result.ruin).rstrip(".")] if result.ruin else []
    return [*ruined, *_failed_proofs(proven), *_unchecked(proven), *(text for applies, text in checks if applies)]


def _lucky(result: Result) -> list[str]:
    """Return that luck alone would reach its Sharpe ratio, by the number of trials that its bars have seen."""
    seen, sharpe = result.seen, result.stats["sharpe"]
    if seen.trials < 2 or not sharpe <= seen.lucky:  # nothing is said of a ratio that is not defined
        return []
    return [f"{str(seen).rstrip('.')}, which is not below its own of {merit('sharpe', sharpe)}"]


def _failed_proofs(proven: ResultEvidence | None) -> list[str]:
    """Return which proofs failed: nothing else counts before them."""
    if proven is None:
        return []
    columns = "; ".join(str(report) for report in proven.columns if report.equal is False)
    ahead, differs = proven.lookahead_clean is False, proven.columns_equal is False
    checks = [
        (not proven.parity.equal and not differs, f"Parity FAILED: {proven.parity.first_difference}"),
        (ahead, f"The strategy LOOKS AHEAD: {columns}"),
        (differs and not ahead, f"A runner would NOT DECIDE this: {columns}"),
    ]
    return [text for applies, text in checks if applies]


def _unchecked(proven: ResultEvidence | None) -> list[str]:
    """Return the slots whose columns were not all computed again, with how many were."""
    columns = () if proven is None else proven.columns
    if len(columns) > FEW and all(report.checked and report.equal is not False for report in columns):
        checked, bars = sum(report.checked for report in columns), sum(report.bars for report in columns)
        return (
            [f"Look-ahead and warm-up were checked at {checked:,} of {counted(bars, 'bar')}"] if checked < bars else []
        )
    names = [f"{one.strategy} on {one.symbol}" if len(columns) > 1 else one.strategy for one in columns]
    return [
        f"Look-ahead and warm-up of {name} were checked at {report.checked:,} of {counted(report.bars, 'bar')}"
        + ("" if report.checked else ": its sides were given, and how they were made is not known")
        for name, report in zip(names, columns, strict=True)
        if report.equal is not False and report.checked < report.bars
    ]


def _unpaid(result: Result) -> list[str]:
    """Return the perpetuals whose funding is not, or not all, in the figures."""
    import pandas as pd

    from atb.data.catalogue.funding import missing_hours

    found = []
    for slot in result.slots:
        if not slot.bars.symbol.settle:
            continue
        end = slot.bars.timeframe.next(slot.bars.frame.index[-1].to_pydatetime())
        name = f"{slot.bars.symbol} at {slot.bars.venue}"
        if slot.funding is None:
            found.append(f"No funding of {name} is stored: its cost is not in the figures (atb data funding)")
        elif hours := missing_hours(slot.funding.index, slot.bars.frame.index[0], pd.Timestamp(end)):
            found.append(
                f"Funding of {name} is missing for {hours / 24:,.1f} days: its cost then is not in the figures"
            )
    return found


def _not_held(result: Result) -> list[str]:
    """Return which rule sold a position of the baseline `hold`, which is to be kept, and how often."""
    trades = result.trades
    symbols = [str(slot.bars.symbol) for slot in result.slots if slot.strategy.name == "hold" and slot.listings is None]
    sold = trades[trades["symbol"].isin(symbols) & (trades["status"] == "closed")]
    counts = {str(reason).replace("_", " "): int(count) for reason, count in sold["exit_reason"].value_counts().items()}
    if not counts:
        return []
    rules = ", ".join(f"{reason} {counted(count, 'time')}" for reason, count in counts.items())
    return [f"hold was not held: it was sold by {rules}; without a stop (--stop-loss 0) it is the baseline"]


def _rules_in_bars(result: Result) -> str:
    """Return the active rules that are given as a number of bars."""
    names = ("max_bars", "cooldown", "cut_after")
    on = [f"{name}={value}" for slot in result.slots for name in names if (value := getattr(slot.policy, name))]
    on += [f"entry_bars={slot.policy.entry_bars}" for slot in result.slots if slot.policy.entry != "market"]
    return ", ".join(dict.fromkeys(on))


def _inferred_rules(result: Result) -> list[str]:
    """Return the trading rules that were inferred from the bars, a sentence each."""
    found = list(
        dict.fromkeys(str(slot.rules) for slot in result.slots if slot.rules.source.startswith("from the data"))
    )
    return found if len(found) <= FEW else [f"those of {len(found)} symbols are read from their data"]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in counts.items())


def rules_used(result: Result) -> dict[str, Any]:
    """Return every rule by name with its value: policy and costs of the first slot, limits of the account."""
    slot = result.slots[0]
    return {**slot.policy.to_json(), **slot.execution.to_json(), **result.inputs.account.to_json()}


def assumptions(result: Result, given: Collection[str] = ()) -> dict[str, str]:
    """Return the rules that were traded by, in words by name; those not chosen are marked as defaults.

    Parameters
    ----------
    result
        The result of a backtest.
    given
        Names of the rules and strategy parameters that were chosen.
    """
    from atb.strategies import strategy_params

    slot, quote = result.slots[0], result.slots[0].bars.symbol.quote
    rules = rules_used(result)
    defaults = {
        **type(slot.policy)().to_json(),
        **type(slot.execution)().to_json(),
        **type(result.inputs.account)().to_json(),
    }
    size = f"{_percent(rules['fraction'])} of equity a position"
    if (count := len(result.slots)) > 1:
        size += f", of {count} that share the account"
    if rules["sizing"] != "fixed_fraction":
        size = f"by {rules['sizing'].replace('_', ' ')}, at most {size}"
    named = {
        "fraction": size,
        "stop_loss": "none" if rules["stop_loss"] is None else f"{_percent(rules['stop_loss'])} from the entry price",
        "take_profit": "none"
        if rules["take_profit"] is None
        else f"{_percent(rules['take_profit'])} from the entry price",
        "fee": f"{_percent(rules['fee'])} of each order's value",
        "slippage": f"{_percent(rules['slippage'])} worse for market orders and stops",
        "cash": f"{rules['cash']:,.2f} {quote} to start with",
    }
    others = {
        name: str(value)
        for name, value in rules.items()
        if name not in named and name not in _WITHIN_ANOTHER and value != defaults[name]
    }
    own = {name: _by_symbol(result, name) for name in strategy_params(slot.strategy)}
    words = {**own, **named, **others}
    return {name: text if name in given or name in others else f"{text} (default)" for name, text in words.items()}


def _by_symbol(result: Result, name: str) -> str:
    """Return a strategy parameter's value; where the slots differ in it, each symbol's."""
    from atb.strategies import strategy_params

    found = {str(slot.bars.symbol): str(strategy_params(slot.strategy).get(name)) for slot in result.slots}
    values = dict.fromkeys(found.values())
    return (
        next(iter(values)) if len(values) == 1 else ", ".join(f"{value} on {symbol}" for symbol, value in found.items())
    )


def _percent(share: float) -> str:
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + " %"


def fragility(result: Result, *, costs: "pd.DataFrame", shifts: "pd.DataFrame") -> list[str]:
    """Return how small changes of costs and start break a result, a sentence each; empty if they do not.

    Parameters
    ----------
    result
        The result of the backtest that was varied.
    costs
        From `cost_table`: the last row has the highest fee, the second column the assumed slippage.
    shifts
        From `shift_table`.
    """
    at_highest_fee, spread = float(costs.iloc[-1].iloc[1]), start_spread(shifts)
    checks = [
        (not at_highest_fee > 0, f"At the highest fee it loses money: {merit('total_return_pct', at_highest_fee)}"),
        (
            spread > abs(result.stats["total_return_pct"]),
            f"The day of the start moves the return by {spread:.1f} points, more than the return itself",
        ),
    ]
    return [text for applies, text in checks if applies]


def start_spread(shifts: "pd.DataFrame") -> float:
    """Return the spread of total returns over the starting days of a `shift_table`, in percentage points."""
    returns = shifts["total return (%)"]
    return float(returns.max() - returns.min())


def _above(ours: float, theirs: float) -> bool:
    return math.isnan(theirs) or ours > theirs
