"""What one run proves about itself: evidence for the gate, and the same in sentences for the reader."""

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from atb.backtest import Result
from atb.backtest.ruin import RUINED

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from atb.engine.slot import Slot
    from atb.prediction.predictor import OnnxPredictor
    from atb.validation.parity import ParityReport
    from atb.validation.windows import Checked

UNPROVEN = "Neither parity nor look-ahead was proven"
_SAID = {"sizing"}  # rules that are told with another one
PARITY_BARS = 10_000  # proven bar by bar in every backtest; a longer one is proven over its last bars
CHECKED_BARS = (
    10_000  # of all slots, whose columns are computed again in every backtest; of a longer one, as many all over
)


def evidence(
    result: Result, *, checked_bars: int = CHECKED_BARS, parity_bars: int = PARITY_BARS, seed: int = 7
) -> dict[str, Any]:
    """Return what is proven of a result: parity of these very orders and columns, and what its model is worth.

    Parameters
    ----------
    result
        Of a backtest.
    checked_bars
        At how many bars, of all slots together, columns are computed again as a runner computes them; of more, so many are drawn.
    parity_bars
        How many of the last bars are executed in the slower ways; the report says how many were.
    seed
        Of the bars that are drawn.

    Returns
    -------
    dict
        Whether `parity` holds; whether `columns_equal` at every bar (None: not at every one looked at) and the strategy is
        `lookahead_clean` (None: not known), with both reports (columns: one per slot); `model` (one entry per slot that predicts)
        and whether every traded bar is `out_of_sample` of all of them; `synthetic`. Plain values.
    """
    from atb.validation.windows import all_of, check_windows

    checked = check_windows(result.problem, most=max(1, checked_bars // len(result.slots)), seed=seed)
    parity, columns = _parity(result, parity_bars, checked), [one.report for one in checked]
    models = seen_by_models(result)
    return {
        "parity": parity.equal,
        "columns_equal": all_of(report.everywhere for report in columns),
        "lookahead_clean": all_of(report.lookahead_clean for report in columns),
        "synthetic": any(bars.synthetic for bars in result.bars),
        "parity_report": parity.to_json() | {"bars_in_all": len(result.problem.market)},
        "columns_reports": [report.to_json() | {"verdict": str(report)} for report in columns],
        "model": models,
        "out_of_sample": all(model["out_of_sample"] for model in models) if models else None,
    }


def _parity(result: Result, most: int, checked: "Sequence[Checked]") -> "ParityReport":
    from atb.engine.prepare import prepare
    from atb.validation.parity import prove_problem

    problem = result.problem
    if len(result.index) > most:
        problem = prepare(result.slots, problem.account, result.index[-most])
    return prove_problem(problem, checked=checked)


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
    """Return what was proven, as sentences: orders and bars, columns as a runner computes them, what the model has seen."""
    parity, columns = proven["parity_report"], proven["columns_reports"]
    ways = ", ".join(f"{way} {'equal' if same else 'NOT EQUAL'}" for way, same in parity["ways"].items())
    part = "" if parity["bars"] == parity["bars_in_all"] else f"the last of {parity['bars_in_all']:,}, "
    without = ", ".join(parity.get("left_out_for_vectorbt", ()))
    return [
        f"Parity: {parity['orders']:,} orders over {parity['bars']:,} bars, {part}compared bit by bit with the kernel's: {ways}"
        + (f"; vectorbt knows no {without}" if without else ""),
        *(f"Columns: {report['verdict']}" for report in columns),
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
    earned = stats["total_return_pct"]
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
        (bool(refused), f"Signals not traded as given: {_counts(refused)}"),
        (stats["n_trades"] < 30, f"{stats['n_trades']:.0f} closed trades are too few for statistics"),
        (earned == 0, "It earned nothing, and lost nothing"),
        (not earned >= 0, f"It loses money: {earned:+.2f} % after costs"),
        (not earned >= held["total_return_pct"], "Holding would have given more, with less work"),
        (not _at_least(stats["sharpe"], held["sharpe"]), "Its Sharpe ratio is not above that of holding"),
        (stats["ambiguous_bars"] > 0, f"{stats['ambiguous_bars']:.0f} bars touched stop and target: order unknown"),
        *((True, f"No venue's rules are known: {rules}") for rules in _read_off(result)),
        (proven is None, UNPROVEN),
    ]
    ruined = [str(result.ruin).rstrip(".")] if result.ruin else []
    return [*ruined, *_disproved(proven), *_unchecked(proven), *(text for applies, text in told if applies)]


def _disproved(proven: dict[str, Any] | None) -> list[str]:
    """Return which proofs failed: nothing else counts before them."""
    if proven is None:
        return []
    columns = "; ".join(report["verdict"] for report in proven["columns_reports"] if report["equal"] is False)
    ahead, other = proven["lookahead_clean"] is False, proven["columns_equal"] is False
    told = [
        (not proven["parity"] and not other, f"Parity FAILED: {proven['parity_report']['first_difference']}"),
        (ahead, f"The strategy LOOKS AHEAD: {columns}"),
        (other and not ahead, f"A runner would NOT DECIDE this: {columns}"),
    ]
    return [text for applies, text in told if applies]


def _unchecked(proven: dict[str, Any] | None) -> list[str]:
    """Return of which slots' columns not all were computed again, and how many were."""
    reports = [] if proven is None else proven["columns_reports"]
    return [
        f"Look-ahead and warm-up of {report['strategy']} were checked at {report['checked']:,} of {report['bars']:,} bars"
        + ("" if report["checked"] else ": its sides were given, and nothing tells how they were made")
        for report in reports
        if report["equal"] is not False and report["checked"] < report["bars"]
    ]


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
