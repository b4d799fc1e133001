"""Signals to compose: when to be long and when to be flat again as rules, with the mirrored rules for short positions.

signals.average_cross(12, 48)
signals.any_of(signals.breakout(120, 60), signals.rule("rsi(14) < 30", "rsi(14) > 60"))
"""

from dataclasses import dataclass

from atb.errors import InputError


@dataclass(frozen=True, slots=True)
class Signal:
    """Rules of entry and exit under a label.

    Parameters
    ----------
    label
        How it prints, such as `average_cross(12, 48)`.
    entry, exit
        Rules for a long position, as `atb.strategies.rules` reads them; without an exit it is left by the exits of the policy.
    short_entry, short_exit
        The same for a short one; empty where the signal has no opinion of the other side.
    """

    label: str
    entry: str
    exit: str = ""
    short_entry: str = ""
    short_exit: str = ""

    def __str__(self) -> str:
        """Return the label."""
        return self.label


def rule(entry: str, exit: str = "", *, short_entry: str = "", short_exit: str = "") -> Signal:  # noqa: A002 - the rule's name
    """Return a signal in your own words."""
    label = ", ".join(f"{name}: {text}" for name, text in (("entry", entry), ("exit", exit), ("short entry", short_entry),
                                                           ("short exit", short_exit)) if text)  # fmt: skip
    return Signal(f"rule({label})", entry, exit, short_entry, short_exit)


def average_cross(fast: int = 20, slow: int = 50, *, average: str = "ema") -> Signal:
    """Return: long while the fast average is above the slow one; `average` is any indicator of one period, such as `sma`."""
    above, below = (f"{average}(close, {fast}) {sign} {average}(close, {slow})" for sign in "><")
    return Signal(f"average_cross({fast}, {slow}, {average})", above, below, below, above)


def momentum(window: int = 168, enter: float = 4.0, leave: float = 0.0) -> Signal:
    """Return: long after a rise of `enter` percent over `window` bars, flat once only `leave` percent are left."""
    rise = f"roc(close, {window})"
    texts = f"{rise} > {enter}", f"{rise} < {leave}", f"{rise} < {-enter}", f"{rise} > {0.0 - leave}"
    return Signal(f"momentum({window}, {enter}, {leave})", *texts)


def breakout(enter: int = 120, leave: int = 60) -> Signal:
    """Return: long above the highest high of `enter` bars, flat below the lowest low of `leave` bars, the bar itself left out."""
    high, low = "close > lag(highest(high, {}), 1)", "close < lag(lowest(low, {}), 1)"
    texts = high.format(enter), low.format(leave), low.format(enter), high.format(leave)
    return Signal(f"breakout({enter}, {leave})", *texts)


def oscillator(n: int = 14, low: float = 30.0, high: float = 70.0) -> Signal:
    """Return: long once RSI has come back up through `low`, flat above `high`."""
    rsi = f"rsi({n})"
    texts = f"cross_above({rsi}, {low})", f"{rsi} > {high}", f"cross_below({rsi}, {high})", f"{rsi} < {low}"
    return Signal(f"oscillator({n}, {low}, {high})", *texts)


def distance(window: int = 24, enter: float = 2.0, leave: float = 0.0) -> Signal:
    """Return: long `enter` standard deviations below the mean of `window` bars, flat once it is `leave` below."""
    score = f"zscore(close, {window})"
    texts = f"{score} < {-enter}", f"{score} > {0.0 - leave}", f"{score} > {enter}", f"{score} < {leave}"
    return Signal(f"distance({window}, {enter}, {leave})", *texts)


def any_of(*signals: Signal) -> Signal:
    """Return: enter where one of them enters, leave where all of them leave; only those with rules for a side count there."""
    return _joined("any_of", signals, enter="or", leave="and")


def all_of(*signals: Signal) -> Signal:
    """Return: enter where all of them enter, leave where one of them leaves."""
    return _joined("all_of", signals, enter="and", leave="or")


def _joined(name: str, signals: tuple[Signal, ...], *, enter: str, leave: str) -> Signal:
    if len(signals) < 2:
        raise InputError(f"{name} joins two signals or more", found=", ".join(map(str, signals)) or "none")
    if other := [one for one in signals if not isinstance(one, Signal)]:
        raise InputError(f"{name} joins signals", found=other[0], todo="A text becomes one by signals.rule(...)")
    label = f"{name}({', '.join(map(str, signals))})"
    long = _side([(one.entry, one.exit) for one in signals], enter, leave)
    short = _side([(one.short_entry, one.short_exit) for one in signals], enter, leave)
    return Signal(label, *long, *short)


def _side(rules: list[tuple[str, str]], enter: str, leave: str) -> tuple[str, str]:
    """Return entry and exit of one side; a signal without either has no say in when to leave it."""
    entry = _join([entering for entering, _ in rules], enter)
    return entry, _join([leaving for entering, leaving in rules if entering or leaving], leave) if entry else ""


def _join(texts: list[str], word: str) -> str:
    """Return texts joined by `and` or `or`; a text that is missing is a wish that never comes."""
    given = [f"({text})" for text in texts if text]
    return "" if word == "and" and len(given) < len(texts) else f" {word} ".join(given)
