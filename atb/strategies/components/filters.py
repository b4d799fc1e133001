"""Filters to compose: conditions without which nothing is entered; they close nothing.

filters.above_average(200)
filters.slower_trend(50, timeframe="4h")
"""

from dataclasses import dataclass

from atb.errors import InputError


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition for long entries and one for short entries under a label.

    Parameters
    ----------
    label
        How it prints, such as `above_average(200)`.
    long, short
        Rules, as `atb.strategies.rules` reads them.
    """

    label: str
    long: str
    short: str

    def __str__(self) -> str:
        """Return the label."""
        return self.label


def where(condition: str, short: str | None = None) -> Filter:
    """Return a condition in your own words; the same one for short entries unless another is given."""
    label = condition if short is None else f"{condition}, short: {short}"
    return Filter(f"where({label})", condition, condition if short is None else short)


def above_average(n: int = 200) -> Filter:
    """Return: long only above the mean of `n` closes, short only below it."""
    return Filter(f"above_average({n})", f"close > sma(close, {n})", f"close < sma(close, {n})")


def slower_trend(n: int = 50, *, timeframe: str = "4h") -> Filter:
    """Return: long only while a slower timeframe's close is above its average of `n` bars, short only below it."""
    close, average = f'close(timeframe="{timeframe}")', f'ema(close, {n}, timeframe="{timeframe}")'
    return Filter(f"slower_trend({n}, {timeframe})", f"{close} > {average}", f"{close} < {average}")


def trending(n: int = 14, least: float = 25.0) -> Filter:
    """Return: only while ADX, which measures a trend of either direction, is above `least` (0 to 100)."""
    return _either(f"trending({n}, {least})", f"adx(n={n}) > {least}")


def ranging(n: int = 14, most: float = 20.0) -> Filter:
    """Return: only while ADX is below `most` (0 to 100)."""
    return _either(f"ranging({n}, {most})", f"adx(n={n}) < {most}")


def volatility(least: float = 0.0, most: float = 100.0, *, n: int = 14) -> Filter:
    """Return: only while the average true range is between these percents of the price."""
    return _either(f"volatility({least}, {most}, n={n})", _between(f"natr(n={n})", least, most))


def volume(n: int = 20, times: float = 1.1) -> Filter:
    """Return: only on more than `times` the mean volume of the `n` bars before."""
    return _either(f"volume({n}, {times})", f"volume > {times} * lag(sma(volume, {n}), 1)")


def hours(first: int, last: int) -> Filter:
    """Return: only at bars that close in these hours, UTC, both included; past midnight where `last` is the earlier."""
    if not (0 <= first <= 23 and 0 <= last <= 23):
        raise InputError(
            "An hour lies between 0 and 23", found=f"{first} to {last}", todo="Past midnight: hours(22, 3)"
        )
    word = "and" if first <= last else "or"
    return _either(f"hours({first}, {last})", f"(hour >= {first} {word} hour <= {last})")


def mood(least: float = 0.0, most: float = 100.0) -> Filter:
    """Return: only while the index of fear and greed is between these values (0 to 100), and known."""
    return _either(f"mood({least}, {most})", _between("sentiment", least, most))


def _between(column: str, least: float, most: float) -> str:
    if not least <= most:
        raise InputError(
            "Nothing lies between these limits", found=f"{least} and {most}", todo="Give the lower one first"
        )
    return f"between({column}, {least}, {most})"


def _either(label: str, condition: str) -> Filter:
    return Filter(label, condition, condition)
