"""Numbers as people write them: decimals, as many digits as matter, never an exponent."""

import math
from decimal import Decimal

DIGITS = 6  # significant ones of a float that is shown
CENTS = 2  # decimals that a number keeps, however large it is
FINEST = 18  # decimals of the finest coin; what is smaller is nothing


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
    text = f"{Decimal(repr(float(value))):,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
