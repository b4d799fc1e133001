"""Floats as exact decimals, and numbers as people write them: as many digits as matter, never an exponent."""

import math
from decimal import Context, Decimal

DIGITS = 6  # significant ones of a float that is shown
CENTS = 2  # decimals that a number keeps, however large it is
EXACT = 12  # significant digits of a computed amount in a log: more would be the noise of binary numbers
MISSING = "–"
# How each figure of merit is rounded, in a table, a sentence or a picture, by its standard name.
MERITS = {
    "total_return_pct": "+,.2f",
    "benchmark_return_pct": "+,.2f",
    "cagr_pct": "+,.2f",
    "max_drawdown_pct": ",.2f",
    "max_drawdown_days": ",.1f",
    "volatility_pct": ",.2f",
    "sharpe": ",.2f",
    "sortino": ",.2f",
    "calmar": ",.2f",
    "n_trades": ",.0f",
    "fees_paid": ",.2f",
    "financing_paid": ",.2f",
    "turnover": ",.1f",
    "exposure_time_pct": ",.1f",
    "open_trades": ",.0f",
    "win_rate_pct": ",.1f",
    "profit_factor": ",.2f",
    "expectancy": "+,.2f",
    "avg_trade_pct": "+,.3f",
    "best_trade_pct": "+,.2f",
    "worst_trade_pct": "+,.2f",
    "avg_bars_held": ",.1f",
    "rejected_signals": ",.0f",
    "shrunk_signals": ",.0f",
    "ambiguous_bars": ",.0f",
    "bars": ",.0f",
    "periods_per_year": ",.0f",
}
FINEST = 18  # decimals of the finest coin; what is smaller is nothing


def exact(value: float) -> Decimal:
    """Return the shortest decimal that reads back to the same float: `float(exact(x)) == x`, bit by bit."""
    return Decimal(repr(float(value)))


def power_of_ten(exponent: int) -> Decimal:
    """Return a power of ten, written out: `0.001`, `1000`, never `1E+3`."""
    return Decimal(f"{Decimal(1).scaleb(exponent):f}")


def number(value: float) -> str:
    """Return a number as people write it: six significant digits, at least two decimals if it has any, never an exponent.

    >>> number(1e-05), number(0.1 + 0.2), number(64123.456), number(12.0)
    ('0.00001', '0.3', '64,123.46', '12')
    """
    if not math.isfinite(value):
        return str(value)
    if not value:
        return "0"
    decimals = min(FINEST, max(CENTS, DIGITS - 1 - math.floor(math.log10(abs(value)))))
    text = f"{exact(value):,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def counted(count: float, noun: str, plural: str = "") -> str:
    """Return a number of things in words: one thing, two things.

    >>> counted(1, "closed trade"), counted(2_000, "bar"), counted(2, "entry", "entries")
    ('1 closed trade', '2,000 bars', '2 entries')
    """
    return f"{count:,.0f} {noun if count == 1 else plural or noun + 's'}"


def percent(value: float, form: str = ".1f") -> str:
    """Return a percentage in a format such as `.1f`; what is not 0 is never shown as 0.

    >>> percent(12.34), percent(0.004), percent(0.0), percent(-0.004), percent(0.2, ".0f")
    ('12.3 %', '< 0.1 %', '0.0 %', '> -0.1 %', '< 1 %')
    """
    text = format(value, form)
    if not value or not math.isfinite(value) or float(text):
        return f"{text} %"
    least = f"{10.0 ** -(len(text.partition('.')[2])):.{len(text.partition('.')[2])}f}"
    return f"< {least} %" if value > 0 else f"> -{least} %"


def figure(value: float | None, form: str) -> str:
    """Return a figure of merit in a format such as `.2f`, a dash where it is not known.

    >>> figure(1.234, ".2f"), figure(math.nan, ".2f"), figure(None, "+.1f")
    ('1.23', '–', '–')
    """
    return MISSING if value is None or not math.isfinite(value) else format(value, form)


def merit(name: str, value: float | None) -> str:
    """Return a figure of merit in a sentence, rounded as everywhere: with its unit if it is a percentage, a dash if not known.

    >>> merit("total_return_pct", 44.694), merit("sharpe", 1.2), merit("max_drawdown_pct", math.nan)
    ('+44.69 %', '1.20', '–')
    """
    text = figure(value, MERITS[name])
    return f"{text} %" if name.endswith("_pct") and text != MISSING else text


def rounded_figure(name: str, value: float) -> str:
    """Return a published figure in a table, without its unit: a figure of merit as everywhere, any other as `number`.

    >>> rounded_figure("sharpe", 1.6), rounded_figure("auc", 0.5991), rounded_figure("auc", math.nan)
    ('1.60', '0.5991', '–')
    """
    if name in MERITS:
        return figure(value, MERITS[name])
    return MISSING if math.isnan(value) else number(value)


def amount(value: Decimal) -> str:
    """Return a computed amount for a log line: decimals that a program reads, without the noise of binary numbers.

    >>> amount(Decimal("8.836938340000001")), amount(Decimal("1E-8")), amount(Decimal("30.0"))
    ('8.83693834', '0.00000001', '30')
    """
    if not value.is_finite():
        return str(value)
    text = f"{Context(prec=EXACT).plus(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
