"""A traded pair in ccxt's unified spelling, parsed from any spelling the ecosystem uses."""

import re
from dataclasses import dataclass
from typing import Self

from atb.errors import InputError

# Quote assets recognised in spellings without a separator ("BTCUSDT"), longest first so that "USDT" wins over "USD".
QUOTES = tuple(
    sorted(
        (
            "USDT",
            "USDC",
            "FDUSD",
            "BUSD",
            "TUSD",
            "DAI",
            "USD",
            "EUR",
            "GBP",
            "TRY",
            "BRL",
            "JPY",
            "AUD",
            "BTC",
            "ETH",
            "BNB",
        ),
        key=len,
        reverse=True,
    )
)
_SEPARATED = re.compile(r"^([A-Z0-9]{1,20})[/\-_]([A-Z0-9]{1,20})(?::([A-Z0-9]{1,20}))?$")
_TODO = "Write it like BTC/USDT (BTCUSDT and BTC-USDT are accepted too)"


@dataclass(frozen=True, slots=True, order=True)
class Symbol:
    """One traded pair: base asset, quote asset and, for a derivative, the settlement asset."""

    base: str
    quote: str
    settle: str = ""

    @classmethod
    def parse(cls, text: "str | Symbol") -> Self:
        """Read `BTC/USDT`, `BTCUSDT`, `BTC-USDT`, `BTC_USDT` or `BTC/USDT:USDT`, in any case.

        Raises
        ------
        InputError
            If the text names no base and quote asset.
        """
        if isinstance(text, Symbol):
            return cls(text.base, text.quote, text.settle)
        if not isinstance(text, str):
            raise InputError("A symbol must be text", found=text, todo=_TODO)
        upper = text.strip().upper()
        if match := _SEPARATED.match(upper):
            return cls(match[1], match[2], match[3] or "")
        if re.fullmatch(r"[A-Z0-9]{3,24}", upper):
            for quote in QUOTES:
                if upper.endswith(quote) and len(upper) > len(quote):
                    return cls(upper.removesuffix(quote), quote)
        raise InputError("Not a symbol", found=text, todo=_TODO)

    def __str__(self) -> str:
        """Return the canonical spelling, `BASE/QUOTE` or `BASE/QUOTE:SETTLE`."""
        return f"{self.base}/{self.quote}" + (f":{self.settle}" if self.settle else "")

    @property
    def slug(self) -> str:
        """The spelling used in file names: `BTC-USDT`, `BTC-USDT-USDT` for a derivative."""
        return "-".join(part for part in (self.base, self.quote, self.settle) if part)

    @property
    def joined(self) -> str:
        """The spelling most exchanges use: `BTCUSDT`."""
        return self.base + self.quote
