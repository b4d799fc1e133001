"""Passwords in addresses (database, exchange, proxy): masked, taken out, or found."""

import re
from urllib.parse import unquote, unquote_plus

from atb.redaction import MASK

# Up to the last @: a raw password may hold a slash, a colon, an @ or a space, and hiding too much is the right mistake. An
# address without its scheme, or with a slash too few, is mistyped and still holds its password.
_PASSWORD = re.compile(
    r"^(?!sqlite:///|file:/)(?P<user>(?:[A-Za-z][\w+.-]*:/{0,3})?[^:@]*):(?P<password>.*)@", re.DOTALL
)
_QUERY_PASSWORD = re.compile(r"(?P<user>(?:[?&]|^|\s)(?:password|sslpassword)=)(?P<password>[^&\s]*)", re.IGNORECASE)


def mask_url(url: str) -> str:
    """Return an address with `MASK` in place of its password, wherever that stands."""
    return _QUERY_PASSWORD.sub(rf"\g<user>{MASK}", _PASSWORD.sub(rf"\g<user>:{MASK}@", url))


def without_password(url: str) -> str:
    """Return an address without its password."""
    return _QUERY_PASSWORD.sub(r"\g<user>", _PASSWORD.sub(r"\g<user>@", url))


def url_passwords(url: str) -> tuple[str, ...]:
    """Return the passwords in an address, as written and percent-decoded."""
    written = [match["password"] for pattern in (_PASSWORD, _QUERY_PASSWORD) for match in pattern.finditer(url)]
    return tuple(dict.fromkeys(text for word in written if word for text in (word, unquote(word), unquote_plus(word))))
