"""A traded pair in ccxt's unified spelling, parsed from any spelling the ecosystem uses."""

import re
from dataclasses import dataclass
from typing import Self

from atb.domain.assets import KNOWN, QUOTES, SELDOM
from atb.errors import InputError

_ASSET = re.compile(r"[A-Z0-9]{1,20}")
_SEPARATED = re.compile(r"([A-Z0-9]{1,20})([/\-_])([A-Z0-9]{1,20})(?:(?::|(?!/)\2)([A-Z0-9]{1,20}))?")
_PERPETUAL = re.compile(r"([A-Z0-9]{3,40}?|[A-Z0-9]{1,20}[/\-_][A-Z0-9]{1,20})[.\-_]?(?:PERP|PERPETUAL|SWAP|(?<=\.)P)")
_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
# What no asset is called: kinds of contract, and days or months of expiry (240329, 20240329, 29MAR24, MAR24).
_CONTRACT = re.compile(
    rf"PERP|PERPETUAL|SWAP|FUTURES?|QUARTER(LY)?|\d{{6}}|\d{{8}}|(\d{{1,2}})?({_MONTHS})(\d{{2}}|\d{{4}})"
)
_KRAKEN_FUTURE = re.compile(r"(?:PF|PI|FI|FF)_[A-Z0-9]+(?:_[0-9]+)?")
_KRAKEN = re.compile(r"X([A-Z]{3})Z(USD|EUR|GBP|JPY|CAD|AUD)")  # Kraken's own ids: XXBTZUSD, XETHZEUR
_OTHER_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
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
        if contract := next((asset for asset in (self.quote, self.settle) if _CONTRACT.fullmatch(asset)), None):
            raise _derivative(f"{self.base}-{contract}")

    @classmethod
    def parse(cls, text: "str | Symbol") -> Self:
        """Read any spelling of the ecosystem, in any case.

        `BTC/USDT`, `BTCUSDT`, `BTC-USDT`, `BTC_USDT`, `BTCUSDT.BINANCE`; Kraken's `XBTUSD` and `XXBTZUSD`. A perpetual is
        `BTC/USDT:USDT`, `BTC-USDT-USDT`, `BTCUSDT-PERP`, `BTC-USDT-SWAP` (settled in its quote asset); one quoted in USD
        must say what it is settled in.

        A spelling without a separator is cut before its quote asset. Where it can be cut in two places, the cut whose base is
        a known asset counts (`GRTUSD` is GRT/USD); where that does not decide, the user is asked.

        Raises
        ------
        InputError
            If the text names no base and quote asset, can be cut in two places, or is a contract of another kind.
        """
        if isinstance(text, Symbol):
            return cls(text.base, text.quote, text.settle)
        if not isinstance(text, str):
            raise InputError("A symbol must be text", found=text, todo=_TODO)
        upper = text.strip().upper()
        if match := _PERPETUAL.fullmatch(_without_venue(upper)):
            return cls._perpetual(match[1], text)
        upper = _without_venue(upper)
        tokens = re.split(r"[/:\-_]", upper)
        if any(_CONTRACT.fullmatch(token) for token in tokens[1:]) or _KRAKEN_FUTURE.fullmatch(upper):
            raise _derivative(text)
        if match := _SEPARATED.fullmatch(upper):
            return cls(*(_usual(part or "") for part in match.group(1, 3, 4)))
        if parts := _cut(upper):
            return cls(*parts)
        raise InputError("Not a symbol", found=text, todo=_TODO)

    @classmethod
    def _perpetual(cls, pair: str, text: str) -> Self:
        """Return the perpetual of a pair, settled in its quote asset."""
        match = _SEPARATED.fullmatch(pair)
        parts = (_usual(match[1]), _usual(match[3])) if match else _cut(pair)
        if parts is None or (parts[1] == "USD"):
            raise _derivative(text)
        return cls(*parts, settle=parts[1])

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


def _without_venue(upper: str) -> str:
    """Return a spelling without its venue, as in `BTCUSDT.BINANCE`; `.P` and `.PERP` name a contract and stay."""
    return upper if upper.endswith((".P", ".PERP")) else _VENUE.sub("", upper)


def _usual(asset: str) -> str:
    """Return the name that everybody but Kraken uses."""
    return _OTHER_NAMES.get(asset, asset)


def _derivative(text: str) -> InputError:
    return InputError(
        "This is a contract and no spot pair",
        found=text,
        todo="Write the pair, like BTC/USDT; a perpetual with what it is settled in, like BTC/USDT:USDT",
    )


def _cut(joined: str) -> tuple[str, str] | None:
    """Cut `BTCUSDT` before its quote asset; None if it ends with none.

    Raises
    ------
    InputError
        If it can be cut in two places and neither is plainly meant.
    """
    if match := _KRAKEN.fullmatch(joined):
        return _usual(match[1]), match[2]
    if joined in KNOWN:
        return None  # an asset alone, such as WBTC
    cuts = [(_usual(joined.removesuffix(quote)), quote) for quote in QUOTES if joined.endswith(quote)]
    cuts = [cut for cut in cuts if _ASSET.fullmatch(cut[0])]
    if known := [cut for cut in cuts if cut[0] in KNOWN]:
        cuts = [cut for cut in known if cut[1] not in SELDOM] or known
    if len(cuts) > 1:
        ways = " or ".join(f"{base}/{quote}" for base, quote in cuts)
        raise InputError("This spelling can be cut in two places", found=joined, todo=f"Write {ways}")
    return cuts[0] if cuts else None
