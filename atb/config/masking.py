"""What may be shown of a setting's value."""

import re
from urllib.parse import unquote

MASK = "********"
SECRET_KEYS = frozenset({"exchange.api_key", "exchange.api_secret"})
# Up to the last @: a raw password may hold a slash, a colon or an @, and hiding too much is the right mistake.
_PASSWORD = re.compile(r"(?<=://)([^:@\s]*):(\S*)@")
_QUERY_PASSWORD = re.compile(r"([?&](?:password|sslpassword)=)([^&\s]*)", re.IGNORECASE)


def mask_url(url: str) -> str:
    """Return a URL whose password is replaced by asterisks, wherever it stands."""
    return _QUERY_PASSWORD.sub(rf"\g<1>{MASK}", _PASSWORD.sub(rf"\g<1>:{MASK}@", url))


def url_passwords(url: str) -> tuple[str, ...]:
    """Return the passwords in a URL as they are written and as they are meant."""
    written = [match[2] for pattern in (_PASSWORD, _QUERY_PASSWORD) for match in pattern.finditer(url) if match[2]]
    return tuple(dict.fromkeys(text for word in written for text in (word, unquote(word))))


def shown(key: str, value: object) -> object:
    """Return the value of setting `key` as it may be printed."""
    if value is not None and key in SECRET_KEYS:
        return MASK
    return mask_url(value) if isinstance(value, str) else value
