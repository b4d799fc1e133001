"""Inputs: what a strategy, rule or feature set reads beside its own bars, each row with the time at which it became known.

A strategy declares them as `inputs`, a mapping from names of its own to declarations; `features(bars, inputs)` is then called with
a `Known` for each. Without a declaration it stays `features(bars)`.

    @property
    def inputs(self):
        return {"slow": BarsInput(timeframe="4h", warmup=INDICATORS["ema"].warmup(n=50)), "mood": SentimentInput()}

    def features(self, bars, inputs):
        slow = inputs["slow"]
        trend = slow.as_of(ema(slow.frame["close"].to_numpy(), 50))
        return pd.DataFrame({"trend": trend, "mood": inputs["mood"].as_of("value")}, index=bars.index)

A column is computed on the input's own rows and then aligned to the bars: at each bar's close the newest row known then. So a
slower bar counts from its close and not before, sentiment from its publication, funding from its payment. A row counts until it is
too old: bars until the next bar of their timeframe is due, so that a hole in them is missing and not the bar before it; funding and
sentiment for `max_age` from their stated time. What is missing or too old is NaN.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from atb.domain.symbol import Symbol
from atb.domain.timeframe import Timeframe
from atb.errors import InputError, did_you_mean
from atb.times import DAY_MS, HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

_UNITS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MOST_ROWS = 10_000_000


@dataclass(frozen=True, slots=True)
class BarsInput:
    """Bars of another timeframe or symbol, each known at its close.

    Parameters
    ----------
    timeframe, symbol
        In any accepted spelling; None means the slot's own.
    warmup
        Rows needed before the first one whose value is exact, as for an indicator on them.
    max_age
        How long after its close a bar still counts, such as `8h`; None: until the next bar of its timeframe is due.
    another
        Whether the slot's own symbol is refused, where a symbol beside itself means nothing.
    """

    kind: ClassVar[str] = "bars"
    timeframe: str | None = None
    symbol: str | None = None
    warmup: int = 0
    max_age: str | None = None
    another: bool = False

    def __post_init__(self) -> None:
        """Refuse unknown names; spell them in the canonical way."""
        _spell(self, "timeframe", Timeframe.parse)
        _spell(self, "symbol", Symbol.parse)
        _check_common(self)

    def resolved(self, symbol: Symbol, timeframe: Timeframe) -> Self:
        """Return the declaration with the slot's own symbol and timeframe where it names none.

        Raises
        ------
        InputError
            If it must be another symbol and is not.
        """
        if self.another and self.symbol in {None, str(symbol)}:
            raise InputError("The other symbol is the traded one itself", found=str(symbol),
                             todo="Name another symbol, or trade another one")  # fmt: skip
        own, step = self.symbol or str(symbol), self.timeframe or str(timeframe)
        return replace(self, symbol=own, timeframe=step, another=False)

    def __str__(self) -> str:
        """Return it in words, such as `BTC/USDT 4h bars`."""
        return f"{self.symbol or 'own symbol'} {self.timeframe or 'own timeframe'} bars"


@dataclass(frozen=True, slots=True)
class FundingInput:
    """Funding rates of a perpetual (column `funding_rate`, a fraction paid by longs to shorts), each known at its payment.

    Parameters
    ----------
    symbol
        The perpetual, in any accepted spelling; None means the slot's own symbol. A spot pair means its perpetual, settled in its
        quote asset.
    warmup
        Rows needed before the first one whose value is exact.
    max_age
        How long after its payment a rate still counts; None is for ever.
    venue
        Where it is paid; None means the venue of the slot's bars if it has such payments, else the only one that has.
    """

    kind: ClassVar[str] = "funding"
    symbol: str | None = None
    warmup: int = 0
    max_age: str | None = "8h"
    venue: str | None = None

    def __post_init__(self) -> None:
        """Refuse an unknown name; spell it in the canonical way."""
        _spell(self, "symbol", _perpetual)
        if self.venue is not None:
            _check_name("A venue", self.venue)
        _check_common(self)

    def resolved(self, symbol: Symbol, timeframe: Timeframe) -> Self:  # noqa: ARG002 - as every declaration
        """Return the declaration with the slot's own symbol where it names none."""
        return replace(self, symbol=self.symbol or str(_perpetual(symbol)))

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.symbol or 'own symbol'} funding"


@dataclass(frozen=True, slots=True)
class SentimentInput:
    """A dated measure of mood (column `value`), each known at its publication, or when it was first seen if that was later.

    Parameters
    ----------
    source
        Its name in the catalogue.
    max_age
        How long after its stated time a value still counts; None is for ever.
    warmup
        Rows needed before the first one whose value is exact.
    """

    kind: ClassVar[str] = "sentiment"
    source: str = "fear_greed"
    max_age: str | None = "3d"
    warmup: int = 0

    def __post_init__(self) -> None:
        """Refuse a name that cannot be a source's."""
        _check_name("A source of sentiment", self.source)
        _check_common(self)

    def resolved(self, symbol: Symbol, timeframe: Timeframe) -> Self:  # noqa: ARG002 - as every declaration
        """Return the declaration itself: sentiment is of no symbol."""
        return self

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.source} sentiment"


@dataclass(frozen=True, slots=True)
class UniverseInput:
    """Listed symbols: a column for each, 1 while it belongs and 0 after it left; each row is known at its time.

    A symbol that was never listed up to the newest row has no column: its name is not known yet.

    Parameters
    ----------
    name
        Of the universe in the catalogue.
    warmup, max_age
        As of every input.
    """

    kind: ClassVar[str] = "universe"
    name: str
    warmup: int = 0
    max_age: str | None = None

    def __post_init__(self) -> None:
        """Refuse a name that cannot be a universe's."""
        _check_name("A universe", self.name)
        _check_common(self)

    def resolved(self, symbol: Symbol, timeframe: Timeframe) -> Self:  # noqa: ARG002 - as every declaration
        """Return the declaration itself: a universe is of no symbol."""
        return self

    def __str__(self) -> str:
        """Return it in words."""
        return f"universe {self.name}"


Input = BarsInput | FundingInput | SentimentInput | UniverseInput
_KINDS: dict[str, type[Input]] = {one.kind: one for one in (BarsInput, FundingInput, SentimentInput, UniverseInput)}


def same_rows(first: Input, second: Input) -> bool:
    """Return whether two declarations mean the same rows; warm-up and age say only how they are used."""
    return replace(first, warmup=0, max_age=None) == replace(second, warmup=0, max_age=None)


def declared_inputs(owner: object) -> dict[str, Input]:
    """Return the inputs that a strategy, predictor or feature set declares, by name; empty where it declares none.

    Raises
    ------
    InputError
        If they are no mapping from names to declarations.
    """
    declared = getattr(owner, "inputs", None)
    if not declared:
        return {}
    who = getattr(owner, "name", type(owner).__name__)
    if not isinstance(declared, Mapping):
        raise InputError(f"{who}.inputs must be a mapping from names to inputs", found=type(declared).__name__,
                         todo='Write {"slow": BarsInput(timeframe="4h")}')  # fmt: skip
    for name, one in declared.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError(f"{who}: an input's name is a Python name", found=name)
        if not isinstance(one, Input):
            todo = "Use " + ", ".join(kind.__name__ for kind in _KINDS.values())
            raise InputError(f"{who}: {name} is no input", found=one, todo=todo)
    return dict(declared)


def input_to_json(declared: Input) -> dict[str, Any]:
    """Return a declaration as plain values: `input_from_json` gives an equal one back."""
    return {"kind": declared.kind, **asdict(declared)}


def input_from_json(values: Mapping[str, Any]) -> Input:
    """Read what `input_to_json` gave.

    Raises
    ------
    InputError
        If the kind is unknown, or a value is missing, unknown or wrong.
    """
    given = {name: value for name, value in values.items() if name != "kind"}
    kind = _KINDS.get(str(values.get("kind")))
    if kind is None:
        found = values.get("kind")
        raise InputError("Unknown kind of input", found=found, todo=did_you_mean(str(found), _KINDS))
    try:
        return kind(**given)
    except TypeError as error:
        raise InputError(f"An input of {kind.kind} has other fields ({error})", found=given) from None


def identified_input(identity: Mapping[str, Any]) -> Input:
    """Return the declaration in an input's recorded identity (`InputSeries.identity`).

    Raises
    ------
    InputError
        As `input_from_json`.
    """
    kind = _KINDS.get(str(identity.get("kind")))
    names = {one.name for one in fields(kind)} if kind is not None else set()
    return input_from_json({name: value for name, value in identity.items() if name in {"kind", *names}})


class Known:
    """An input as a strategy gets it: the rows known at its newest bar, and when each became known.

    `frame` holds the input's rows by their stated time (UTC; bars by their open), oldest first, and `known_ms` when each became
    known (epoch milliseconds, never falling). Neither can be written.

    Parameters
    ----------
    frame, known_ms
        See above.
    stale_ms
        From when on each row is too old, epoch milliseconds.
    closes_ms
        The closes of the strategy's bars, in order.
    """

    __slots__ = ("_closes_ms", "_row", "_stale_ms", "frame", "known_ms")

    def __init__(
        self, frame: "pd.DataFrame", known_ms: "NDArray[np.int64]", *, stale_ms: "NDArray[np.int64]",
        closes_ms: "NDArray[np.int64]",
    ) -> None:  # fmt: skip
        self.frame, self.known_ms = frame, known_ms
        self._stale_ms, self._closes_ms = stale_ms, closes_ms
        self._row: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    def __repr__(self) -> str:
        """Return columns and size."""
        return f"Known({len(self.frame)} rows of {', '.join(map(str, self.frame.columns))})"

    @property
    def rows(self) -> "NDArray[np.int64]":
        """At each of the strategy's bars the newest row known at its close; -1 where there is none, or it is too old."""
        if self._row is None:
            import numpy as np

            found = np.searchsorted(self.known_ms, self._closes_ms, side="right") - 1
            if len(self.known_ms):
                found[self._stale_ms[found] <= self._closes_ms] = -1
            found.flags.writeable = False
            self._row = found
        return self._row

    def as_of(self, values: "str | ArrayLike") -> "NDArray[np.float64]":
        """Align a column to the strategy's bars: at each the value of the newest row known at its close, else NaN.

        Parameters
        ----------
        values
            A column of `frame` by its name, or one value per row of `frame`.

        Raises
        ------
        InputError
            If there is no such column, or there is not one number per row.
        """
        import numpy as np

        if isinstance(values, str) and values not in self.frame.columns:
            todo = did_you_mean(values, [str(name) for name in self.frame.columns])
            raise InputError("The input has no such column", found=values, todo=todo)
        column = np.asarray(self.frame[values] if isinstance(values, str) else values, dtype=np.float64)
        if column.shape != (len(self.frame),):
            raise InputError("A column of an input has one value per row", found=f"{column.shape} for {len(self)} rows")
        found = np.full(len(self._closes_ms), np.nan)
        there = self.rows >= 0
        found[there] = column[self.rows[there]]
        return found


def duration_ms(text: str) -> int:
    """Return a duration such as `90m`, `8h`, `3d` or `2w` in milliseconds.

    Raises
    ------
    InputError
        If it is none of these, or 0.
    """
    match = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", text) if isinstance(text, str) else None
    if match is None:
        raise InputError("Not a duration", found=text, todo="Write it like 90m, 8h, 3d or 2w")
    return int(match[1]) * _UNITS[match[2]]


def _spell(declared: Any, name: str, parse: Any) -> None:
    """Write a field in its canonical spelling; None stays None."""
    value = getattr(declared, name)
    if value is not None:
        object.__setattr__(declared, name, str(parse(value)))


def _perpetual(text: str | Symbol) -> Symbol:
    """Return a symbol's perpetual: one without a settlement asset is settled in its quote asset."""
    symbol = Symbol.parse(text)
    return symbol if symbol.settle else Symbol(symbol.base, symbol.quote, symbol.quote)


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"{what} has a name of letters, digits, _, - and .", found=name)


def _check_common(declared: Input) -> None:
    warmup = declared.warmup
    if isinstance(warmup, bool) or not isinstance(warmup, int) or not 0 <= warmup <= _MOST_ROWS:
        raise InputError("The warm-up of an input is a number of its rows, 0 or more", found=warmup)
    if declared.max_age is not None:
        duration_ms(declared.max_age)
