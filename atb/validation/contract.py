"""The contract of a strategy as a list of checks, the same for built-in strategies and your own: `atb test-strategy`.

A strategy is checked with its defaults. Where these do not use all of its parameters, its class has `example`, the parameters to
check it with; texts have no values nearby, so `other_texts` of the class are tried for them, and none if it has none.

Each check is a function of a `Subject`: it returns what was seen, or raises `Broken` with what was found and what to do. The
markets are seeded walks, so a strategy that passes is sound, and nothing is said of whether it earns anything.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atb.checks import Check, Status
from atb.decimals import counted
from atb.domain import Signals, Strategy
from atb.domain.input_series import InputSeries
from atb.domain.raised import described, named_errors
from atb.engine.slot import slot_inputs
from atb.errors import AtbError, InputError
from atb.strategies import parameter_types, strategy_class, strategy_params
from atb.validation.clocks import clocks_read
from atb.validation.markets import START, SYMBOL, TIMEFRAME, random_walk, series_of, standing_still, synthetic_input
from atb.validation.windows import LOOKS_AHEAD, NOT_REPEATABLE, SHORT_WARMUP, WindowsReport

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_LENGTH = 900  # bars beyond the warm-up on which columns are compared
_WALKS = ((5, 0.01), (6, 0.01), (7, 0.03), (8, 0.03), (9, 0.002))  # seeds and hourly volatilities
_STEPS = 200  # bars checked one by one as a runner computes them
_CUTS = (1, 2, 30, 77, 360, 361, 700, 899)  # lengths of the histories that are compared with the whole one

_WAYS_OUT = {  # the gravest first
    NOT_REPEATABLE: "Keep nothing between calls, draw no random numbers, read no clock: compute from what is given",
    LOOKS_AHEAD: "Use each bar and those before it: no shift(-1), no centred window, no mean of the whole column",
    SHORT_WARMUP: "Raise warmup, or compute from the last warmup bars alone: pandas' rolling and ewm carry older bars along, "
    "atb.features.indicators do not",
}


class Broken(Exception):  # noqa: N818 - a check's answer, not an error of the program
    """A strategy does not keep a part of the contract."""

    def __init__(self, found: str, todo: str, *, status: Status = "error") -> None:
        super().__init__(found)
        self.found, self.todo, self.status = found, todo, status


class Odds:
    """A causal toy prediction between 0 and 1 behind the port of a model, NaN in the first `warmup` rows."""

    warmup = 40
    fingerprint = "0" * 64

    def predict(self, bars: "pd.DataFrame") -> "NDArray[Any]":
        """Return 0.5 for a bar that did not move, more for one that rose."""
        import numpy as np

        odds = 0.5 + 0.5 * np.tanh(15 * (bars["close"] / bars["open"] - 1).to_numpy())
        odds[: self.warmup] = np.nan
        return np.asarray(odds)


@dataclass(frozen=True)
class Subject:
    """A strategy, and the markets on which it is checked."""

    strategy: Strategy

    @cached_property
    def bars(self) -> "pd.DataFrame":
        """The first of some random walks, longer than the warm-up, on which the strategy changes its mind; or else the first."""
        walks = [random_walk(self.strategy.warmup + _LENGTH, seed, sigma=sigma) for seed, sigma in _WALKS]
        with suppress(Exception):  # each check that uses the bars says which it is
            return next(bars for bars in walks if len(sides(self.signals(bars))) > 1)
        return walks[0]

    def features(self, frame: "pd.DataFrame", strategy: Strategy | None = None) -> "pd.DataFrame":
        """Return the features over bars, made with the inputs that the strategy declares."""
        chosen = strategy or self.strategy
        rows = self.rows(frame, chosen)
        closes = series_of(frame).closed_ms
        known = [MappingProxyType({name: series.known(closes) for name, series in rows.items()})] if rows else []
        return chosen.features(frame, *known)

    def rows(self, frame: "pd.DataFrame", strategy: Strategy) -> dict[str, InputSeries]:
        """Return the rows of every input that a strategy declares, on and around these bars."""
        import pandas as pd

        count = max(len(frame), self.strategy.warmup + _LENGTH)
        opens = pd.date_range(START, periods=count, freq="h", tz="UTC")
        declared = slot_inputs(strategy, SYMBOL, TIMEFRAME)
        return {name: synthetic_input(one, opens) for name, one in declared.items()}

    def frame(self, bars: "pd.DataFrame", strategy: Strategy | None = None) -> "pd.DataFrame":
        """Return the frame that `signals` reads: bars, features and, if wanted, a prediction."""
        chosen = strategy or self.strategy
        frame = bars.join(self.features(bars, chosen))
        return frame.assign(prediction=Odds().predict(bars)) if chosen.predicts else frame

    def signals(self, bars: "pd.DataFrame", strategy: Strategy | None = None) -> Signals:
        """Return the strategy's signals at each bar."""
        return (strategy or self.strategy).signals(self.frame(bars, strategy))

    def columns(self, bars: "pd.DataFrame", strategy: Strategy | None = None) -> "NDArray[Any]":
        """Return all given columns of the signals, (N, K)."""
        import numpy as np

        signals = self.signals(bars, strategy)
        columns = (signals.side, signals.confidence, signals.atr, signals.volatility, signals.stop, signals.price)
        return np.column_stack([column for column in columns if column is not None])


def check_strategy(name: "str | type[Strategy]", *, steps: bool = True) -> list[Check]:
    """Return the outcome of each check on a strategy, given by its name or its class.

    Parameters
    ----------
    steps
        Whether to compute signals again bar by bar in a process of their own, as a runner does; that takes some seconds.

    Raises
    ------
    InputError
        If there is no such strategy, its declaration is wrong, or it cannot be made from its `example`.
    """
    return [run() for title, run in checks_of(name) if steps or title != title_of(decides_alike_at_every_bar)]


def checks_of(name: "str | type[Strategy]") -> Iterator[tuple[str, Callable[[], Check]]]:
    """Yield each check's title with the function that runs it; errors as for `check_strategy`."""
    kind = strategy_class(name)
    with named_errors(kind, kind.name):
        subject = Subject(kind(**getattr(kind, "example", {})))
    for check in CHECKS:
        yield title_of(check), partial(outcome, check, subject)


def title_of(check: Callable[[Subject], str]) -> str:
    """Return a check's name in words."""
    return check.__name__.replace("_", " ")


def outcome(check: Callable[[Subject], str], subject: Subject) -> Check:
    """Return the outcome of a check; an error of the strategy counts against it."""
    title = title_of(check)
    try:
        return Check(title, "ok", check(subject))
    except Broken as broken:
        return Check(title, broken.status, broken.found, broken.todo)
    except AtbError as error:
        return Check(title, "error", str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the strategy raises is its fault
        return Check(
            title, "error", described(error, subject.strategy), "Correct it, or refuse such parameters in __post_init__"
        )


def sides(signals: Signals) -> list[float]:
    """Return the different sides of signals, in order."""
    return sorted({float(side) for side in signals.side if side == side})  # noqa: PLR0124 - NaN equals nothing


# --- the checks -----------------------------------------------------------------------------------------------------------


def returns_one_signal_a_bar(subject: Subject) -> str:
    """A side for each bar, and more than one opinion."""
    signals = subject.signals(subject.bars)
    if not isinstance(signals, Signals) or len(signals.side) != len(subject.bars):
        found = f"{type(signals).__name__} of {len(getattr(signals, 'side', ()))} rows for {len(subject.bars)} bars"
        raise Broken(found, "Return Signals(side) with a side for each bar")
    different = sides(signals)
    if len(different) < 2 and strategy_params(subject.strategy):
        todo = "Choose defaults that trade more often, or look at real bars: atb backtest"
        raise Broken(f"it never changes its mind on {len(_WALKS)} random walks", todo, status="warning")
    return f"sides {', '.join(f'{side:g}' for side in different)}"


def knows_nothing_of_later_bars(subject: Subject) -> str:
    """Features and signals of a shorter history are those of the whole one, bit by bit."""
    bars, strategy = subject.bars, subject.strategy
    for what, compute in (("features", lambda b: subject.features(b).to_numpy()), ("signals", subject.columns)):
        whole = compute(bars)
        for cut in (strategy.warmup + cut for cut in _CUTS):
            known = compute(bars.iloc[:cut])
            if repr(known.tolist()) != repr(whole[:cut].tolist()):  # bytes of floats beside booleans are addresses
                todo = "Use each bar and those before it: no shift(-1), no centred window, no mean of the whole column"
                raise Broken(f"{what} of the first {cut} bars change once later bars are there", todo)
    return f"{len(_CUTS)} histories"


def decides_alike_at_every_bar(subject: Subject) -> str:
    """A process that knows the declared warm-up and the bars so far computes the same, as a runner does."""
    from atb.engine.kernel_input import prepare
    from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
    from atb.engine.slot import Slot, warmup_bars
    from atb.validation.windows import check_windows

    policy = RiskPolicy(stop_atr=2.0, atr_window=5, sizing="volatility", volatility_window=30)
    strategy = subject.strategy
    predictor = Odds() if strategy.predicts else None
    warm = warmup_bars(strategy, policy, ExecutionModel(), predictor=predictor)
    frame = standing_still(warm + _STEPS, 5, quiet=range(warm + 50, warm + 130))
    rows = subject.rows(frame, strategy)
    slot = Slot(strategy, series_of(frame), policy, predictor=predictor, inputs=rows)
    (checked,) = check_windows(prepare((slot,), AccountPolicy(), frame.index[slot.warmup]))
    if not checked.report.everywhere:
        raise Broken(str(checked.report), _way_out(checked.report))
    return str(checked.report)


def _way_out(report: WindowsReport) -> str:
    if "no business with" in str((report.first_difference or {}).get("runner")):
        return "A strategy is given its bars and the inputs that it declares, and nothing else: no file, network, program or clock"
    found = (way for kind, way in _WAYS_OUT.items() if kind in report.kinds)
    return next(found, "Compute each row from the bars up to it alone")


def is_silent_until_warm(subject: Subject) -> str:
    """No side before the declared warm-up, and one after it."""
    import numpy as np

    side, warmup = subject.signals(subject.bars).side, subject.strategy.warmup
    if isinstance(warmup, bool) or not isinstance(warmup, int) or warmup < 0:
        raise Broken(f"warmup {warmup!r}", "Return a whole number of bars, 0 or more")
    if not np.isnan(side[:warmup]).all():
        at = int(np.flatnonzero(~np.isnan(side))[0])
        raise Broken(f"a side at bar {at}, warmup {warmup}", "Return NaN where too few bars are known")
    if not np.isfinite(side[warmup:]).any():
        raise Broken(f"no side after {counted(warmup, 'bar')}", "Return 1, 0 or -1 once it is warm")
    return counted(warmup, "bar")


def says_nothing_without_a_prediction(subject: Subject) -> str:
    """A strategy that follows a model does nothing where the model says nothing."""
    import numpy as np

    if not subject.strategy.predicts:
        return "it follows no model"
    frame = subject.frame(subject.bars).assign(prediction=np.nan)
    if not np.isnan(subject.strategy.signals(frame).side).all():
        raise Broken("a side where the prediction is NaN", "Return NaN where the prediction is")
    return "NaN where the prediction is"


def wants_no_position_on_a_missing_feature(subject: Subject) -> str:
    """No side but 0 at a bar where a feature is NaN, whichever of them it is."""
    import numpy as np

    frame, names = subject.frame(subject.bars), list(subject.features(subject.bars).columns)
    for name in names:
        side = subject.strategy.signals(frame.assign(**{name: np.nan})).side
        if (np.abs(np.nan_to_num(side)) > 0).any():
            raise Broken(f"a position where {name} is NaN", "Return NaN, or 0, where a feature is NaN")
    return ", ".join(map(str, names)) or "it has no features"


def adds_features_beside_the_bars(subject: Subject) -> str:
    """Features stand on the bars' index and take no name of theirs."""
    features = subject.features(subject.bars)
    if not features.index.equals(subject.bars.index):
        raise Broken("features on another index", "Return pd.DataFrame(columns, index=bars.index)")
    if taken := [str(name) for name in features.columns if name in {*subject.bars.columns, "prediction"}]:
        raise Broken(f"features named {', '.join(taken)}", "Give them names that bars and predictions do not have")
    return ", ".join(map(str, features.columns)) or "none"


def reads_no_clock(subject: Subject) -> str:
    """Its module names no function that tells the time or waits: a bar's own time is in its index."""
    found = clocks_read(type(subject.strategy))
    if found:
        raise Broken(
            ", ".join(found), "Use the time of the bars, frame.index: a backtest and a runner read other clocks"
        )
    return "none in its module"


def leaves_its_inputs_alone(subject: Subject) -> str:
    """Neither bars nor frame are changed."""
    bars = subject.bars.copy(deep=True)
    frame = subject.frame(bars)
    before = frame.copy(deep=True)
    subject.strategy.signals(frame)
    for what, now, then in (("bars", bars, subject.bars), ("frame", frame, before)):
        if not now.equals(then):
            raise Broken(f"it changes the {what} that it is given", "Write into a copy")
    return "bars and frame unchanged"


def answers_an_empty_history(subject: Subject) -> str:
    """No bars, no signals, no error."""
    count = len(subject.signals(subject.bars.iloc[:0]).side)
    if count:
        raise Broken(f"{counted(count, 'signal')} for no bars", "Return as many signals as there are bars")
    return "no signals"


def parameters_survive_json(subject: Subject) -> str:
    """Parameters written to a manifest make an equal strategy."""
    strategy = subject.strategy
    again = type(strategy)(**json.loads(json.dumps(strategy_params(strategy), allow_nan=False)))
    if again != strategy or hash(again) != hash(strategy):
        raise Broken("another strategy from the same parameters", "Compare by the parameters: keep eq of the dataclass")
    return counted(len(strategy_params(strategy)), "parameter")


def keeps_no_memory(subject: Subject) -> str:
    """Two calls with the same bars give the same signals, whatever was computed between."""
    first = subject.columns(subject.bars)
    subject.columns(random_walk(len(subject.bars), seed=11))
    if subject.columns(subject.bars).tobytes() != first.tobytes():
        raise Broken("other signals at the second call", "Keep nothing between calls: compute from what is given")
    return "the same signals at the second call"


def every_parameter_matters(subject: Subject) -> str:
    """Some other value of each parameter changes a signal."""
    usual, params = subject.columns(subject.bars), strategy_params(subject.strategy)
    for name, value in params.items():
        if isinstance(value, str) and not (value and _texts(subject)):  # an empty text is a rule that is not there
            continue
        if not any(
            subject.columns(subject.bars, other).tobytes() != usual.tobytes() for other in _others(subject, name)
        ):
            seldom = len(sides(subject.signals(subject.bars))) < 2
            found = f"{name} changes nothing{' on markets where it never changes its mind' if seldom else ''}"
            raise Broken(found, "Use it, or leave it out", status="warning" if seldom else "error")
    return ", ".join(params) or "no parameters"


def _others(subject: Subject, name: str) -> Iterator[Strategy]:
    """Yield the strategy with other legal values of one parameter."""
    params = strategy_params(subject.strategy)
    value, kind = params[name], type(subject.strategy)
    if isinstance(value, bool):
        near: list[Any] = [not value]
    elif isinstance(value, int):
        near = [value + 3, value - 3, value * 2, value + 1]
    elif isinstance(value, float):
        near = [value * 1.1, value * 0.9, value * 2, value + 0.01, value - 0.01]
    else:
        near = list(_texts(subject))
    found = False
    for other in near:
        try:
            made: Strategy = kind(**{**params, name: type(value)(other)})
        except (ValueError, InputError):
            continue
        found = True
        yield made
    if not found and near:
        raise Broken(f"no other legal value near {name}={value!r}", "Allow more than one value, or leave it out")


def _texts(subject: Subject) -> tuple[str, ...]:
    return tuple(getattr(subject.strategy, "other_texts", ()))


def is_frozen(subject: Subject) -> str:
    """No attribute can be set, and each parameter has a plain type."""
    for name in parameter_types(type(subject.strategy)):
        try:
            setattr(subject.strategy, name, getattr(subject.strategy, name))
        except dataclasses.FrozenInstanceError:
            continue
        raise Broken(f"{name} can be set", "Write @dataclass(frozen=True) above the class")
    return "no parameter can be set"


CHECKS: tuple[Callable[[Subject], str], ...] = (
    returns_one_signal_a_bar,
    adds_features_beside_the_bars,
    is_silent_until_warm,
    knows_nothing_of_later_bars,
    reads_no_clock,
    says_nothing_without_a_prediction,
    wants_no_position_on_a_missing_feature,
    leaves_its_inputs_alone,
    keeps_no_memory,
    answers_an_empty_history,
    parameters_survive_json,
    is_frozen,
    every_parameter_matters,
    decides_alike_at_every_bar,
)
