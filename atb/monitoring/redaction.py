"""Takes secrets out of anything that is about to be written: by the name they stand under, by shape, and by value.

Exchange libraries put signed URLs and key headers into the text of their exceptions, so names of fields alone are not
enough; a secret that nobody named, such as one pasted into a message, is found because its value is known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
_SHORTEST = 4  # replacing every "a" of a log because a password is "a" would hide more than it protects
_DEEPEST = 12  # a structure that contains itself must end
_PLAIN = (bool, int, float, type(None))

_WORDS = "secret|password|passwd|passphrase|pwd|signature|jwt|authorization|cookie|credentials?|token"
_PAIRS = "api[-_ ]?(?:key|secret)|private[-_ ]?key|access[-_ ]?key|listen[-_ ]?key|session[-_ ]?(?:key|id)"
# A name ends in the telling word (`api_secret`, `X-MBX-APIKEY`, `CB-ACCESS-SIGN`); `token_count` and `designature` do not.
_NAME = rf"(?:[A-Za-z0-9]{{1,40}}[-_.]{{1,3}}){{0,12}}?(?:[a-z]{{1,40}})??(?:{_WORDS}|{_PAIRS}|(?:access|api)-sign)"
_KEY_NAME = re.compile(rf"^{_NAME}$", re.IGNORECASE)
_ASSIGNMENT = re.compile(
    rf"""(?P<name>\b{_NAME}\b\\?["']?\s*(?:=>|[:=])\s*)"""
    r"""(?:b?\\?(?P<quote>["'])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\])*)|(?P<scheme>(?:Bearer|Basic|Token)\s+)?[^\s"'&,;})\]\\]+)""",
    re.IGNORECASE,
)
_SHAPES = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"(?<=://)([^:@/\s]*):\S*@(?=[^@\s]*)"), rf"\g<1>:{MASK}@"),  # a password in a URL, up to the last @
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\g<1> {MASK}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), MASK),  # a JSON web token
)


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
    def _known(self) -> re.Pattern[str] | None:
        spellings = {
            spelling
            for secret in self.secrets
            if len(secret) >= _SHORTEST
            for spelling in (secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1], _in_json(secret))
        }
        longest_first = sorted(spellings, key=len, reverse=True)
        return re.compile("|".join(re.escape(text) for text in longest_first)) if spellings else None

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return _ASSIGNMENT.sub(_blank, text)

    def value(self, value: Any, depth: int = 0) -> Any:
        """Return a structure without secrets: values under telling names are replaced, every text is searched."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, _PLAIN):
            return value
        if depth > _DEEPEST:
            return "..."
        if isinstance(value, Mapping):
            return {key: self._under(key, item, depth) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item, depth + 1) for item in value]
        return self.text(value.decode(errors="replace") if isinstance(value, bytes) else str(value))

    def _under(self, key: object, item: object, depth: int) -> object:
        if item is not None and is_secret_name(str(key)):
            return MASK
        return self.value(item, depth + 1)


def is_secret_name(name: str) -> bool:
    """Tell whether values under this name are secrets: `api_key`, `apiSecret`, `X-MBX-APIKEY`, `password`, ..."""
    return _KEY_NAME.match(name) is not None


def _blank(match: re.Match[str]) -> str:
    if match["quote"] is not None:
        opening = match[0][match.end("name") - match.start() : match.start("quoted") - match.start()]
        return f"{match['name']}{opening}{MASK}"
    return f"{match['name']}{match['scheme'] or ''}{MASK}"


def _in_json(secret: str) -> str:
    import json

    return json.dumps(secret)[1:-1]
