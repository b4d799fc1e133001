"""A traded pair in ccxt's unified spelling, parsed from any spelling the ecosystem uses."""

import re
from dataclasses import dataclass
from typing import Self

from atb.errors import InputError

# Quote assets recognised in spellings without a separator ("BTCUSDT"), longest first so that "USDT" wins over "USD".
QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "DAI", "USD", "EUR", "GBP", "TRY", "BRL", "JPY", "AUD", "BTC", "ETH",
          "BNB")  # fmt: skip
# Bases that settle a spelling which can be cut in two places: "BNBUSD" is BNB/USD and not BN/BUSD.
MAJORS = frozenset(("BTC", "ETH", "BNB", "SOL", "XRP", "ADA", "DOGE", "DOT", "LTC", "TRX", "AVAX", "LINK", "SHIB",
                    "BCH", "XLM", "ATOM", "ETC", "UNI", "MATIC", "NEAR"))  # fmt: skip
_ASSET = re.compile(r"[A-Z0-9]{1,20}")
_SEPARATED = re.compile(r"([A-Z0-9]{1,20})([/\-_])([A-Z0-9]{1,20})(?:(?::|\2)([A-Z0-9]{1,20}))?")
_PERPETUAL = re.compile(r"([A-Z0-9]{3,24})-PERP")
_VENUE = re.compile(r"\.[A-Z0-9_]{2,20}$")
_TODO = "Write it like BTC/USDT (BTCUSDT and BTC-USDT are accepted too)"


@dataclass(frozen=True, slots=True, order=True)
class Symbol:
    """One traded pair: base asset, quote asset and, for a derivative, the settlement asset."""

    base: str
    quote: str
    settle: str = ""

    def __post_init__(self) -> None:
        """Refuse what is not the canonical spelling of an asset."""
        for asset in (self.base, self.quote, *((self.settle,) if self.settle else ())):
            if not isinstance(asset, str) or not _ASSET.fullmatch(asset):
                raise InputError("An asset is 1 to 20 capital letters and digits", found=asset, todo=_TODO)

    @classmethod
    def parse(cls, text: "str | Symbol") -> Self:
        """Read any spelling of the ecosystem, in any case.

        `BTC/USDT`, `BTCUSDT`, `BTC-USDT`, `BTC_USDT`, `BTCUSDT.BINANCE`; for a derivative `BTC/USDT:USDT`,
        `BTC-USDT-USDT`, `BTC_USDT_USDT`, `BTCUSDT-PERP` (settled in its quote asset).

        Raises
        ------
        InputError
            If the text names no base and quote asset.
        """
        if isinstance(text, Symbol):
            return cls(text.base, text.quote, text.settle)
        if not isinstance(text, str):
            raise InputError("A symbol must be text", found=text, todo=_TODO)
        upper = _VENUE.sub("", text.strip().upper())
        if (match := _PERPETUAL.fullmatch(upper)) and (parts := _cut(match[1])):
            return cls(*parts, settle=parts[1])
        if match := _SEPARATED.fullmatch(upper):
            return cls(match[1], match[3], match[4] or "")
        if parts := _cut(upper):
            return cls(*parts)
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


def _cut(joined: str) -> tuple[str, str] | None:
    """Cut `BTCUSDT` before its quote asset: the longest known one, unless a shorter one leaves a well-known base."""
    cuts = [(joined.removesuffix(quote), quote) for quote in QUOTES if joined.endswith(quote) and joined != quote]
    cuts = [(base, quote) for base, quote in cuts if _ASSET.fullmatch(base)]
    return next((cut for cut in cuts if cut[0] in MAJORS), cuts[0] if cuts else None)
