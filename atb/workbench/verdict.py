"""What one run proves about itself: evidence for the gate, and the same in sentences for the reader."""

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from atb.backtest import Result
from atb.backtest.ruin import RUINED

if TYPE_CHECKING:
    import pandas as pd

    from atb.engine.prepare import Slot
    from atb.prediction.predictor import OnnxPredictor
    from atb.validation.parity import ParityReport

UNPROVEN = "Neither parity nor look-ahead was proven"
_SAID = {"sizing"}  # rules that are told with another one
CUTS = 8  # of the history, in the look-ahead check of every backtest
PARITY_BARS = 10_000  # proven bar by bar in every backtest; a longer one is proven over its last bars


def evidence(
    result: Result, *, lookahead_cuts: int = CUTS, parity_bars: int = PARITY_BARS, seed: int = 7
) -> dict[str, Any]:
    """Return what is proven of a result: parity of these very orders, no look-ahead, and what its model is worth.

    Parameters
    ----------
    result
        Of a backtest.
    lookahead_cuts
        How often each slot's history is cut short and computed again.
    parity_bars
        How many of the last bars are executed in the slower ways; the report says how many were.
    seed
        Of the places at which histories are cut.

    Returns
    -------
    dict
        Whether `parity` holds and `lookahead_clean`, with both reports (look-ahead: one per slot); `model` (one entry per slot
        that predicts) and whether every traded bar is `out_of_sample` of all of them; `synthetic`. Plain values.
    """
    from atb.validation.lookahead import check_lookahead

    parity = _parity(result, parity_bars)
    lookahead = [check_lookahead(slot, samples=lookahead_cuts, seed=seed) for slot in result.slots]
    models = seen_by_models(result)
    return {
        "parity": parity.equal,
        "lookahead_clean": all(report.clean for report in lookahead),
        "synthetic": any(bars.synthetic for bars in result.bars),
        "parity_report": parity.to_json() | {"bars_in_all": len(result.problem.market)},
        "lookahead_reports": [report.to_json() for report in lookahead],
        "model": models,
        "out_of_sample": all(model["out_of_sample"] for model in models) if models else None,
    }


def _parity(result: Result, most: int) -> "ParityReport":
    from atb.validation.parity import prove, prove_problem

    if len(result.index) <= most:
        return prove_problem(result.problem)
    return prove(result.slots, account=result.problem.account, start=result.index[-most])


def seen_by_models(result: Result) -> list[dict[str, Any]]:
    """Return the facts of each slot's model that decide whether the result is out of sample; see `evidence`."""
    from atb.prediction.predictor import OnnxPredictor

    return [
        _model(slot.predictor, slot, result.index[0])
        for slot in result.slots
        if isinstance(slot.predictor, OnnxPredictor)
    ]


def _model(predictor: "OnnxPredictor", slot: "Slot", start: "pd.Timestamp") -> dict[str, Any]:
    """Return the card's facts that decide whether the result is out of sample."""
    import pandas as pd

    card = predictor.bundle.card
    seen = pd.Timestamp(card["periods"]["validation"]["last_open"])
    traded = slot.bars.frame.index[slot.bars.frame.index >= start]
    return {
        "name": card["name"],
        "version": card["version"],
        "model_sha256": card["model_sha256"],
        "beats_baselines": card["beats_baselines"],
        "verdict": card["verdict"],
        "last_bar_seen": seen.isoformat(),
        "bars_seen_before": int((traded <= seen).sum()),
        "out_of_sample": bool(len(traded) and traded[0] > seen),
        "bars": len(traded),
    }


def proofs(proven: dict[str, Any]) -> list[str]:
    """Return what was proven, as sentences: how many orders and bars, how many cuts, what the model has seen."""
    parity, lookahead = proven["parity_report"], proven["lookahead_reports"]
    ways = ", ".join(f"{way} {'equal' if same else 'NOT EQUAL'}" for way, same in parity["ways"].items())
    cuts = sum(report["checked"] for report in lookahead)
    clean = "nothing before them moved" if proven["lookahead_clean"] else "something before them MOVED"
    part = "" if parity["bars"] == parity["bars_in_all"] else f"the last of {parity['bars_in_all']:,}, "
    without = ", ".join(parity.get("left_out_for_vectorbt", ()))
    return [
        f"Parity: {parity['orders']:,} orders over {parity['bars']:,} bars, {part}compared bit by bit with the kernel's: {ways}"
        + (f"; vectorbt knows no {without}" if without else ""),
        f"Look-ahead: the history was cut short {cuts} times, and {clean}",
        *(_model_sentence(model) for model in proven["model"]),
    ]


def _model_sentence(model: dict[str, Any]) -> str:
    seen = f"it had seen {model['bars_seen_before']:,} of the {model['bars']:,} traded bars"
    return f"Model {model['name']} {model['version']}: {model['verdict'].rstrip('.')}; {seen}"


def findings(result: Result, proven: dict[str, Any] | None = None) -> list[str]:
    """Return what speaks against trusting a result, as sentences, the gravest first; empty when nothing was found.

    Parameters
    ----------
    result
        Of a backtest.
    proven
        Its `evidence`. Without it neither parity nor look-ahead is judged, and the last sentence says so.
    """
    stats, held = result.stats, result.baselines["hold"]
    models = seen_by_models(result) if proven is None else proven["model"]
    seen = sum(model["bars_seen_before"] for model in models)
    refused = {reason: count for reason, count in result.refusal_counts.items() if reason != RUINED}
    told = [
        (
            bool(result.halt and not result.ruin),
            f"The account ended {result.halt}: what follows is a result up to then",
        ),
        (
            any(bars.synthetic for bars in result.bars),
            "The bars are SYNTHETIC: the result says nothing about any market",
        ),
        (seen > 0, f"{seen:,} of the traded bars were seen while the model was made: for them this is no test"),
        (not all(m["beats_baselines"] for m in models), "The model does not beat its baselines out of sample"),
        *((True, str(holes)) for holes in result.holes),
        (
            bool(result.holes and _counted(result)),
            f"With bars missing, these rules count bars and no hours: {_counted(result)}",
        ),
        *((True, f"No venue's rules are known: {rules}") for rules in _read_off(result)),
        (bool(refused), f"Signals not traded as given: {_counts(refused)}"),
        (stats["n_trades"] < 30, f"{stats['n_trades']:.0f} closed trades are too few for statistics"),
        (not stats["total_return_pct"] > 0, f"It loses money: {stats['total_return_pct']:+.2f} % after costs"),
        (not stats["total_return_pct"] > held["total_return_pct"], "Holding would have given more, with less work"),
        (not _at_least(stats["sharpe"], held["sharpe"]), "Its Sharpe ratio is not above that of holding"),
        (stats["ambiguous_bars"] > 0, f"{stats['ambiguous_bars']:.0f} bars touched stop and target: order unknown"),
        (proven is None, UNPROVEN),
    ]
    ruined = [str(result.ruin).rstrip(".")] if result.ruin else []
    return [*ruined, *_disproved(proven), *(text for applies, text in told if applies)]


def _disproved(proven: dict[str, Any] | None) -> list[str]:
    """Return which proofs failed: nothing else counts before them."""
    if proven is None:
        return []
    told = [
        (not proven["parity"], f"Parity FAILED: {proven['parity_report']['first_difference']}"),
        (not proven["lookahead_clean"], f"The strategy LOOKS AHEAD: {proven['lookahead_reports']}"),
    ]
    return [text for applies, text in told if applies]


def _counted(result: Result) -> str:
    """Return the rules of a result's policies that are given as a number of bars and are on."""
    names = ("max_bars", "cooldown", "cut_after")
    on = [f"{name}={value}" for slot in result.slots for name in names if (value := getattr(slot.policy, name))]
    on += [f"entry_bars={slot.policy.entry_bars}" for slot in result.slots if slot.policy.entry != "market"]
    return ", ".join(dict.fromkeys(on))


def _read_off(result: Result) -> list[str]:
    """Return the trading rules that were read off the bars, a sentence each."""
    found = (str(slot.rules) for slot in result.slots if slot.rules.source.startswith("from the data"))
    return list(dict.fromkeys(found))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in counts.items())


def rules_used(result: Result) -> dict[str, Any]:
    """Return every rule by its name with the value that was used: of the first slot's policy and costs, and of the account."""
    slot = result.slots[0]
    return {**slot.policy.to_json(), **slot.execution.to_json(), **result.problem.account.to_json()}


def assumptions(result: Result, given: Collection[str] = ()) -> dict[str, str]:
    """Return by which rules was traded, as words by name, those that nobody gave marked as defaults.

    Parameters
    ----------
    result
        Of a backtest.
    given
        Names of the rules and strategy parameters that somebody chose.
    """
    from atb.strategies import strategy_params

    slot, quote = result.slots[0], result.slots[0].bars.symbol.quote
    rules = rules_used(result)
    usual = {
        **type(slot.policy)().to_json(),
        **type(slot.execution)().to_json(),
        **type(result.problem.account)().to_json(),
    }
    size = f"{_percent(rules['fraction'])} of equity a position"
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
        if name not in named and name not in _SAID and value != usual[name]
    }
    own = {name: str(value) for name, value in strategy_params(slot.strategy).items()}
    told = {**own, **named, **others}
    return {name: text if name in given or name in others else f"{text} (default)" for name, text in told.items()}


def _percent(share: float) -> str:
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + " %"


def fragility(result: Result, *, costs: "pd.DataFrame", shifts: "pd.DataFrame") -> list[str]:
    """Return what small changes of the unknown do to a result, as sentences; empty when it stands them.

    Parameters
    ----------
    result
        The backtest that was varied.
    costs
        Of `cost_table`: the last row is the dearest fee, the second column the assumed slippage.
    shifts
        Of `shift_table`.
    """
    dearer, spread = float(costs.iloc[-1].iloc[1]), start_spread(shifts)
    told = [
        (not dearer > 0, f"At the dearest fee it loses money: {dearer:+.2f} %"),
        (
            spread > abs(result.stats["total_return_pct"]),
            f"Starting days move the return by {spread:.1f} points, more than the return itself",
        ),
    ]
    return [text for applies, text in told if applies]


def start_spread(shifts: "pd.DataFrame") -> float:
    """Return by how many points of total return the starting days of a `shift_table` differ."""
    returns = shifts["total return (%)"]
    return float(returns.max() - returns.min())


def _at_least(ours: float, theirs: float) -> bool:
    return math.isnan(theirs) or ours > theirs
