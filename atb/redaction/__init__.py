"""Removes secrets from everything that is written: by the name they stand under, by shape, and by value.

Exchange libraries put signed URLs and key headers into the text of their exceptions, so names of fields alone are not
enough; an unnamed secret, such as one pasted into a message, is found by its known value: in URL encoding, in JSON, in `repr`,
and wrapped over lines too.

What only resembles a secret stays: a message without the symbol, model or session it is about is useless. So a word after
`basic` is masked only if it is what that scheme sends (base64 of `user:password`), a sentence after `signature:` is none, and
`COOKIE` and `TOKEN` with a number behind them are coins.
"""

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import unquote

from atb.redaction.spellings import known_texts, pattern_of, without_codes, without_parts

MASK = "***"
_DEEPEST = 12  # a structure that contains itself must end
_PLAIN = (bool, int, float, type(None))

_WORDS = "secret|password|passwd|passphrase|pwd|signature|jwt|authorization|cookie|credentials?|token"
_PAIRS = "api[-_ ]?(?:key|secret)|private[-_ ]?key|access[-_ ]?key|listen[-_ ]?key|session[-_ ]?key|sessionid"
_PARTS = (
    "secret",
    "pass",
    "pwd",
    "sign",
    "jwt",
    "authorization",
    "cookie",
    "credential",
    "token",
    "key",
    "session",
)  # in each
# A name ends in the telling word (`api_secret`, `X-MBX-APIKEY`, `CB-ACCESS-SIGN`); `token_count` and `designature` do not.
_NAME = rf"(?:[A-Za-z0-9]{{1,40}}[-_.]{{1,3}}){{0,12}}?(?:[a-z]{{1,40}})??(?:{_WORDS}|{_PAIRS}|(?:access|api)-sign)"
_KEY_NAME = re.compile(rf"^{_NAME}$", re.IGNORECASE)
# `name=value`, `'name': 'value'`, `('name', 'value')`, `name%3Dvalue`, over a line's end too.
_ASSIGNMENT = re.compile(
    rf"""(?P<name>(?:\b|(?<=%[0-9A-Fa-f]{{2}})){_NAME}\b(?:\\*["']?\s*(?:=>|[:=])\s*|\\*["']\s*,\s*(?=b?\\*["'])|%(?:25)*3[AaDd](?:%(?:25)*20|\+)*))"""
    r"""(?:b?\\*(?P<quote>["'])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\])*)|(?P<scheme>(?:Bearer|Basic|Token)\s+)?[^\s"'&,;})\]\\]+)""",
    re.IGNORECASE,
)
_SHAPES = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    # A password in a URL, up to the last @, unless asterisks alone stand there already.
    # A stream such as wss://host:9443/ws/btcusdt@kline_1h has none.
    (
        re.compile(
            r"(?<=://)(?!(?<=wss://)[^:@/\s]*:\d{1,5}/|(?<=ws://)[^:@/\s]*:\d{1,5}/)([^:@/\s]*):(?!\*+@[^@\s]*(?:\s|\Z))\S*@(?=[^@\s]*)"
        ),
        rf"\g<1>:{MASK}@",
    ),
    (re.compile(r"(%3[Aa]%2[Ff]%2[Ff](?:(?!%3[Aa]|%40)[^\s&])*%3[Aa])[^\s&]*%40"), rf"\g<1>{MASK}%40"),
    # The same without a scheme: only where what follows the @ can be nothing but a host, since symbols and times have colons too.
    (
        re.compile(
            r"(?<![\w@/:.+%-])([A-Za-z_][\w.+~%-]{0,63}):(?!\*+@|//)\S+@(?=(?:localhost\b|\d{1,3}(?:\.\d{1,3}){3}\b"
            r"|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[a-z]{2,}\b|[A-Za-z0-9._-]+:\d{2,5}\b|[a-z][a-z0-9_-]*/[a-z]))"
        ),
        rf"\g<1>:{MASK}@",
    ),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.|%2[Ee])[\w-]+(?:\.|%2[Ee])[\w-]*"), MASK),  # a JSON web token
)
_SCHEME = re.compile(r"\b(?P<scheme>Bearer|Basic)(?:\s+|%20|\+)(?P<given>[A-Za-z0-9._~+/=%-]{8,})", re.IGNORECASE)
_OPAQUE = 16  # characters that a bearer's token has at least
# Our own ids of a run and of a session, and symbols.
_OURS = re.compile(r"\d{8}-\d{6}-[a-z0-9-]+-[0-9a-f]{6}|[\w.-]+-[0-9a-f]{16}|[A-Z0-9]{2,20}[/-][A-Z0-9]{2,6}")
# Words that go on with a sentence after a telling word and a colon; no secret is one of them.
_PROSE = {"a", "all", "an", "and", "are", "both", "for", "he", "how", "if", "in", "is", "it", "its", "no", "none", "not", "nothing",
          "of", "on", "one", "or", "see", "so", "some", "that", "the", "their", "there", "these", "they", "this", "those", "to",
          "use", "was", "what", "when", "where", "which", "who", "why", "with", "you", "your"}  # fmt: skip
_COINS = frozenset({"COOKIE", "TOKEN"})
_AMOUNT = re.compile(r"[-+]?\d{1,7}|[-+]?\d[\d,]*\.\d+")


@dataclass(frozen=True)
class Redactor:
    """Removes secrets from texts and structures.

    Parameters
    ----------
    secrets
        Values that must never be written, in whatever text they occur; ones shorter than four characters are left to
        the names they stand under.
    """

    secrets: tuple[str, ...] = ()

    @cached_property
    def _known(self) -> tuple[str, ...]:
        return tuple(known_texts(self.secrets))

    def known(self, text: str) -> str:
        """Return a text without the declared secrets, whole or in part; everything else stays as it is."""
        for secret in self._known:
            text = without_codes(pattern_of(secret).sub(MASK, text), secret, MASK)
            text = without_parts(text, secret, MASK)
        return text

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        text = self.known(text)
        if text.isidentifier():  # one word, as most names and values are: it has neither shape nor place
            return text
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        text = _SCHEME.sub(_header, text)
        folded = text.casefold()
        return _ASSIGNMENT.sub(_blank, text) if any(part in folded for part in _PARTS) else text

    def value(self, value: Any, depth: int = 0) -> Any:
        """Return a structure without secrets: values under names of secrets are replaced, every text is searched."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, _PLAIN):
            return str(value) if isinstance(value, float) and not math.isfinite(value) else value
        if depth > _DEEPEST:
            return "..."
        if isinstance(value, Mapping):
            return {self._key(key): self._under(key, item, depth) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(list(value), depth)
        return self.text(_text(value))

    def _key(self, key: object) -> object:
        return key if isinstance(key, _PLAIN) else self.text(_text(key))

    def _items(self, items: list[Any], depth: int) -> list[Any]:
        """Redact a sequence; a pair such as `(b"X-MBX-APIKEY", b"...")` is how libraries list headers."""
        if len(items) == 2 and isinstance(items[0], str | bytes):
            return [self._key(items[0]), self._under(items[0], items[1], depth)]
        return [self.value(item, depth + 1) for item in items]

    def _under(self, key: object, item: object, depth: int) -> object:
        if item is not None and is_secret_name(_text(key)) and not _is_amount(_text(key), _text(item)):
            return MASK
        return self.value(item, depth + 1)


_installed = [Redactor()]


def install(redactor: Redactor) -> None:
    """Make a redactor the one of this process."""
    _installed[0] = redactor


def installed() -> Redactor:
    """Return the redactor of this process; until one is installed it knows no secret by its value."""
    return _installed[0]


def redact(value: Any) -> Any:
    """Return a text or a structure without the secrets of this process, for rows, files and messages."""
    return installed().value(value)


@lru_cache(4096)
def is_secret_name(name: str) -> bool:
    """Return True if values under this name are secrets: `api_key`, `apiSecret`, `X-MBX-APIKEY`, `password`, ..."""
    return _KEY_NAME.match(name) is not None


_LONG = (
    12  # characters: base64 of a user and a password of eight is longer, a word or symbol behind `basic` hardly ever
)


def _header(match: re.Match[str]) -> str:
    """Mask what an `Authorization` header carries, and leave words that merely follow `basic` or `bearer`."""
    given = unquote(match["given"])
    sent = _is_basic(given) if match["scheme"].casefold() == "basic" else _is_bearer(given)
    return f"{match['scheme']} {MASK}" if sent else match[0]


def _is_basic(text: str) -> bool:
    """Return True if a text is base64 of `user:password`; words and symbols are short and of one case, or decode to noise."""
    if (text.islower() or text.isupper()) and len(text) < _LONG:
        return False
    letters = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    whole = letters[: len(letters) // 4 * 4] if len(letters) % 4 == 1 else letters + "=" * (-len(letters) % 4)
    try:
        decoded = base64.b64decode(whole, validate=True)
        decoded.decode()
    except ValueError:
        return False
    return b":" in decoded and not any(byte < 32 or byte == 127 for byte in decoded)


def _is_bearer(text: str) -> bool:
    mixed = any(character.isdigit() for character in text) and any(character.isalpha() for character in text)
    return len(text) >= _OPAQUE and mixed and not _OURS.fullmatch(text)


def _is_amount(name: str, value: str) -> bool:
    return name in _COINS and _AMOUNT.fullmatch(value) is not None


def _is_harmless(match: re.Match[str]) -> bool:
    """Return True if a secret's name only ends a clause (`its signature: that is ...`), or is a coin with its amount."""
    name, value = match["name"], match[0][match.end("name") - match.start() :]
    after = match.string[match.end() : match.end() + 1]
    return (name.endswith(": ") and value in _PROSE and after in {" ", ",", ""}) or _is_amount(
        name.rstrip(" :="), value
    )


def assigned_secrets(text: str) -> tuple[str, ...]:
    """Return the values that a text assigns to names of secrets, as in `api_key=...` or `"password": "..."`."""
    found = (
        match["quoted"] if match["quote"] else match[0][_opening(match) :]
        for match in _ASSIGNMENT.finditer(text)
        if not _is_harmless(match)
    )
    return tuple(secret for secret in found if secret)


def _opening(match: re.Match[str]) -> int:
    """Return where, in an assignment without quotes, the value begins."""
    return len(_blank(match)) - len(MASK)


def _blank(match: re.Match[str]) -> str:
    if _is_harmless(match):
        return match[0]
    if match["quote"] is not None:
        opening = match[0][match.end("name") - match.start() : match.start("quoted") - match.start()]
        return f"{match['name']}{opening}{MASK}"
    return f"{match['name']}{match['scheme'] or ''}{MASK}"


def _text(value: object) -> str:
    """Return a value's text; a value that cannot say what it is must not break what is being written."""
    try:
        return bytes(value).decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)
    except Exception as error:  # noqa: BLE001 - foreign code, run while something else is being reported
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"
