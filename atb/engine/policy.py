"""How to size, protect, limit and pay: frozen values that become the kernel's parameter records.

Every rule can be off, and is off by default where a default would surprise: None, 0 or False says so. What a rule does, to the
last case, is in the docstring of `atb.engine.kernel`; here is what each number means.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from atb.engine.checks import Values, check_choice, check_count, check_flag, check_number, check_pairs, clock_minutes
from atb.errors import InputError, did_you_mean

SIZINGS = ("fixed_fraction", "fixed_stake", "risk", "confidence", "volatility", "kelly")
ENTRIES = ("market", "limit", "stop")
OPPOSITES = ("reverse", "exit", "ignore")
CHOICES = {"sizing": SIZINGS, "entry": ENTRIES, "opposite": OPPOSITES}  # rules that are words
HALTS = ("close_only", "flatten")
LIMIT_GAPS = ("own", "open")


@dataclass(frozen=True, slots=True)
class RiskPolicy(Values):
    """How one slot sizes, enters, protects and leaves its positions. Fractions are fractions, never percent.

    Parameters
    ----------
    sizing
        `fixed_fraction` of equity; `fixed_stake` in quote; `risk`: so much that the stop, filled at its price, loses the
        fraction `risk` of equity; `confidence`: `fraction` times the signal's confidence; `volatility`: `fraction` times
        `volatility_target` over the symbol's annualised volatility, at most once; `kelly`: `kelly_scale` times Kelly's
        fraction from this slot's own closed trades.
    fraction
        Value of a new position as a fraction of equity at the decision; for risk, volatility and Kelly the most it may be.
    stake
        Value of a new position in quote, for `fixed_stake`.
    risk
        Fraction of equity lost when the stop fills at its price, for `risk`.
    volatility_target
        Annualised volatility at which the whole `fraction` is used.
    kelly_scale, kelly_floor, kelly_trades
        0.5 is half Kelly; the size never falls below the floor (a fraction of equity), and is the floor until so many trades
        are closed.
    max_position
        Most that a position may be worth, as a fraction of equity; None is off.
    max_participation
        Most of the last bar's volume that an entry may take; None is off. Exits are never cut.
    entry
        `market` at the next open; `limit` below (a buy) or `stop` above the close, at the signal's own price or
        `entry_offset` (a fraction of the close) away, for `entry_bars` bars. A price that would fill at once is refused.
    allow_short
        Whether a signal of -1 may open a short position.
    reenter
        Whether a side may be re-entered right after a stop, target, time limit or early cut, and tried again after a resting
        entry expired. By default the signal must leave that side first: a signal that merely goes on would buy back at once
        what the stop has just sold.
    cooldown
        Decisions after a stop that open nothing.
    scale_in, scale_share, scale_limit
        Add `scale_share` of the first quantity each time the close is this fraction better than the last entry's price, so many
        times; None is off.
    stop_loss, stop_atr, signal_stop
        Distance of the resting stop from the average entry price: a fraction of it, multiples of the ATR at the decision, or
        the absolute price that the signal names. The tightest of those that are on.
    take_profit
        Distance of the target from the average entry price, as a fraction of it.
    ladder
        Up to three partial exits as (distance, fraction of all that was entered), nearest first.
    trailing_stop, trailing_atr, trailing_after
        The stop follows the close at this fraction of it, or this many ATRs (the tighter), once the profit has reached
        `trailing_after`.
    break_even, break_even_offset
        At this profit the stop moves to the entry price plus the offset.
    max_bars
        Bars after which a position is closed; 0 is off.
    session
        UTC times ("HH:MM", "HH:MM") between which positions may be open and entries may rest, seen at the closes of bars.
    flat_weekend
        Nothing is held from Saturday 00:00 to Monday 00:00 UTC.
    cut_after, cut_below
        Close a position whose best excursion is below `cut_below` (a fraction) after `cut_after` bars; 0 is off.
    signal_exit
        Whether a signal of 0 closes the position.
    opposite
        What the opposite signal does: `reverse` the position, `exit` (and wait for the signal to leave that side), `ignore`.
    atr_window, volatility_window
        Bars of the ATR (Wilder's) and of the volatility that the rules above read, where the strategy gives none itself.
    """

    sizing: str = "fixed_fraction"
    fraction: float = 0.95
    stake: float | None = None
    risk: float = 0.02
    volatility_target: float = 0.4
    kelly_scale: float = 0.5
    kelly_floor: float = 0.02
    kelly_trades: int = 30
    max_position: float | None = None
    max_participation: float | None = None
    entry: str = "market"
    entry_offset: float = 0.0
    entry_bars: int = 1
    allow_short: bool = False
    reenter: bool = False
    cooldown: int = 0
    scale_in: float | None = None
    scale_share: float = 0.25
    scale_limit: int = 2
    stop_loss: float | None = None
    stop_atr: float | None = None
    signal_stop: bool = False
    take_profit: float | None = None
    ladder: tuple[tuple[float, float], ...] = ()
    trailing_stop: float | None = None
    trailing_atr: float | None = None
    trailing_after: float | None = None
    break_even: float | None = None
    break_even_offset: float = 0.0
    max_bars: int = 0
    session: tuple[str, str] | None = None
    flat_weekend: bool = False
    cut_after: int = 0
    cut_below: float = 0.0
    signal_exit: bool = True
    opposite: str = "reverse"
    atr_window: int = 14
    volatility_window: int = 168

    def __post_init__(self) -> None:
        """Refuse values outside their range and rules that contradict each other."""
        for name, choices in CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        for name in ("allow_short", "reenter", "signal_stop", "flat_weekend", "signal_exit"):
            check_flag(name, getattr(self, name))
        for name, low, high in _RISK_NUMBERS:
            check_number(name, getattr(self, name), low=low, high=high)
        for name, low, high in _RISK_OPTIONAL:
            check_number(name, getattr(self, name), low=low, high=high, optional=True)
        for name, low in (
            *((name, 0) for name in _RISK_COUNTS),
            ("entry_bars", 1),
            ("atr_window", 1),
            ("volatility_window", 2),
        ):
            check_count(name, getattr(self, name), low=low)
        object.__setattr__(self, "ladder", check_pairs("ladder", self.ladder, "(distance, share)", most=3))
        if self.session is not None:
            clock_minutes(self.session)
            object.__setattr__(self, "session", tuple(self.session))
        self._check_together()

    def _check_together(self) -> None:
        if self.sizing == "fixed_stake" and self.stake is None:
            raise InputError("fixed_stake needs a stake", todo="Pass stake=100.0 (in quote), for example")
        if self.sizing == "risk" and not self.has_stop:
            raise InputError("risk sizing needs a stop", todo="Set stop_loss, stop_atr or signal_stop")
        if self.sizing == "kelly" and self.kelly_floor > self.fraction:
            raise InputError(
                "kelly_floor must not exceed fraction, the most that Kelly may bet",
                found=f"{self.kelly_floor} > {self.fraction}",
            )
        if sum(share for _, share in self.ladder) > 1 + 1e-9:
            raise InputError("A ladder cannot close more than the position", found=self.ladder)
        last = self.ladder[-1][0] if self.ladder else 0.0
        if self.take_profit is not None and self.take_profit <= last:
            raise InputError("take_profit must lie beyond the ladder", found=f"{self.take_profit} and {last}")
        if self.break_even is not None and self.break_even_offset > self.break_even:
            raise InputError(
                "break_even_offset must not exceed break_even", found=f"{self.break_even_offset} > {self.break_even}"
            )

    @property
    def has_stop(self) -> bool:
        """Whether each position starts with a stop."""
        return self.stop_loss is not None or self.stop_atr is not None or self.signal_stop

    @property
    def rests_stop(self) -> bool:
        """Whether a stop rests at some time while a position is open."""
        later = (self.trailing_stop, self.trailing_atr, self.break_even)
        return self.has_stop or any(distance is not None for distance in later)

    @property
    def enters_bare(self) -> bool:
        """Whether a resting entry can be filled before its stop is placed: an exchange ties stops to limit orders alone."""
        return self.entry == "stop" and self.rests_stop

    @property
    def rests_limit(self) -> bool:
        """Whether a limit order rests at some time: a target, a rung of the ladder, or an entry."""
        return self.take_profit is not None or bool(self.ladder) or self.entry == "limit"

    @property
    def reads_atr(self) -> bool:
        """Whether a rule needs the ATR."""
        return self.stop_atr is not None or self.trailing_atr is not None

    @property
    def reads_volatility(self) -> bool:
        """Whether the sizing needs the volatility."""
        return self.sizing == "volatility"


_RISK_NUMBERS = (
    ("fraction", 1e-6, 10.0),
    ("risk", 1e-6, 1.0),
    ("volatility_target", 1e-6, 100.0),
    ("kelly_scale", 1e-6, 1.0),
    ("kelly_floor", 0.0, 1.0),
    ("entry_offset", 0.0, 0.5),
    ("scale_share", 1e-6, 10.0),
    ("break_even_offset", 0.0, 10.0),
    ("cut_below", 0.0, 10.0),
)
_RISK_OPTIONAL = (
    ("stake", 1e-9, 1e15),
    ("max_position", 0.0, 100.0),
    ("max_participation", 1e-9, 1.0),
    ("scale_in", 1e-6, 10.0),
    ("stop_loss", 1e-6, 0.999),
    ("stop_atr", 1e-3, 1000.0),
    ("take_profit", 1e-6, 1000.0),
    ("trailing_stop", 1e-6, 0.999),
    ("trailing_atr", 1e-3, 1000.0),
    ("trailing_after", 0.0, 1000.0),
    ("break_even", 1e-6, 1000.0),
)
_RISK_COUNTS = ("kelly_trades", "cooldown", "scale_limit", "max_bars", "cut_after")


def grid(base: RiskPolicy | None = None, **axes: Iterable[Any]) -> list[RiskPolicy]:
    """Return every combination of the axes over a base policy, the last axis changing fastest.

    >>> len(grid(stop_loss=[0.01, 0.02], take_profit=[None, 0.04, 0.08]))
    6

    Raises
    ------
    InputError
        If an axis is no field of `RiskPolicy`, is empty, or a combination is refused.
    """
    known = [field.name for field in fields(RiskPolicy)]
    for name in axes:
        if name not in known:
            raise InputError("A policy has no such field", found=name, todo=did_you_mean(name, known))
    values = {name: list(axis) for name, axis in axes.items()}
    for name, axis in values.items():
        if not axis:
            raise InputError("An axis of a grid needs at least one value", found=f"{name}=[]")
    start = base or RiskPolicy()
    return [replace(start, **dict(zip(values, chosen, strict=True))) for chosen in itertools.product(*values.values())]


@dataclass(frozen=True, slots=True)
class ExecutionModel(Values):
    """Costs of trading, and how a bar is read.

    Parameters
    ----------
    fee
        Taker fee as a fraction of value: market orders and stops.
    maker_fee
        Maker fee of targets and limit entries; None is the taker fee.
    fee_in_base
        Buys pay their fee out of what they buy, as spot exchanges do; what is left over below a lot stays as dust.
    slippage
        How much worse than the reference price market orders and stops fill, as a fraction.
    slippage_atr
        More slippage in multiples of ATR over price: wild bars cost more. 0 is off.
    impact
        More slippage as this fraction times the square root of the order's share of the last bar's volume. 0 is off.
    borrow_rate
        Yearly rate (365 days) that a short position pays on its value, at each bar's close.
    target_first
        Which of stop and target fills when one bar touches both inside its range: the stop, unless this is set.
    limit_gap
        Where a resting limit order (a target, or a limit entry from its second bar on) is met that a bar's open has passed: at its
        `own` price, since takers reach it on the way to the open, or at the better `open`, as vectorbt and others assume.
    """

    fee: float = 0.001
    maker_fee: float | None = None
    fee_in_base: bool = False
    slippage: float = 0.0005
    slippage_atr: float = 0.0
    impact: float = 0.0
    borrow_rate: float = 0.0
    target_first: bool = False
    limit_gap: str = "own"

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("fee_in_base", "target_first"):
            check_flag(name, getattr(self, name))
        for name in ("fee", "slippage", "impact"):
            check_number(name, getattr(self, name), low=0.0, high=0.5)
        check_choice("limit_gap", self.limit_gap, LIMIT_GAPS)
        check_number("maker_fee", self.maker_fee, low=0.0, high=0.5, optional=True)
        check_number("slippage_atr", self.slippage_atr, low=0.0, high=10.0)
        check_number("borrow_rate", self.borrow_rate, low=0.0, high=10.0)


@dataclass(frozen=True, slots=True)
class AccountPolicy(Values):
    """Starting cash and account-wide limits. A limit cuts or refuses entries; exits always pass.

    Parameters
    ----------
    cash
        Starting cash in the quote currency.
    max_gross, max_net
        Limits of summed absolute and of summed signed position values as fractions of equity; None is off for `max_net`.
    max_cluster
        Limit of the signed value within one cluster of correlated symbols: a hedge is not exposure. None is off.
    cluster_threshold, cluster_days
        Symbols whose daily returns over so many days correlate at least so much form a cluster, anew each UTC day.
    reserve
        Fraction of equity that no entry may spend, so that an order sized at a close can still be paid at a higher open.
    max_positions, orders_per_bar, orders_per_day
        Counts over all slots; 0 is off.
    turnover_per_day
        Limit of a UTC day's summed order values as a fraction of the equity that day began with; None is off.
    daily_loss
        Loss since the UTC day began, as a fraction, that halts entries until the next day; None is off. It is looked at when a
        bar closes, so bars of a day or longer never meet it, and what a day's last bar loses ends with that day.
    max_drawdown
        Loss from the equity's peak, as a fraction, that halts entries for good; None is off.
    on_halt
        `close_only`: positions run on under their stops; `flatten`: they are closed at the next open.
    maintenance
        The account is liquidated at equity below this fraction of its gross exposure.
    throttle, recovery
        Up to three steps (drawdown, factor of size), shallowest first; a step is taken back once the drawdown is `recovery`
        below it. (0.05, 0.8), (0.10, 0.6), (0.15, 0.4) is a usual choice.
    """

    cash: float = 10_000.0
    max_gross: float = 1.0
    reserve: float = 0.01
    max_net: float | None = None
    max_cluster: float | None = None
    cluster_threshold: float = 0.7
    cluster_days: int = 30
    max_positions: int = 0
    orders_per_bar: int = 0
    orders_per_day: int = 0
    turnover_per_day: float | None = None
    daily_loss: float | None = None
    max_drawdown: float | None = None
    on_halt: str = "close_only"
    maintenance: float = 0.0
    throttle: tuple[tuple[float, float], ...] = ()
    recovery: float = 0.02

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        check_number("cash", self.cash, low=1e-6, high=1e15)
        check_number("max_gross", self.max_gross, low=0.0, high=100.0)
        check_choice("on_halt", self.on_halt, HALTS)
        for name in ("reserve", "maintenance", "recovery"):
            check_number(name, getattr(self, name), low=0.0, high=0.999)
        check_number("cluster_threshold", self.cluster_threshold, low=0.0, high=1.0)
        for name, high in (("max_net", 100.0), ("max_cluster", 100.0), ("turnover_per_day", 1e6)):
            check_number(name, getattr(self, name), low=0.0, high=high, optional=True)
        for name in ("daily_loss", "max_drawdown"):
            check_number(name, getattr(self, name), low=1e-6, high=0.999, optional=True)
        for name in ("max_positions", "orders_per_bar", "orders_per_day"):
            check_count(name, getattr(self, name))
        check_count("cluster_days", self.cluster_days, low=5)
        object.__setattr__(self, "throttle", check_pairs("throttle", self.throttle, "(drawdown, factor)", most=3))
