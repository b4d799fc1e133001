"""Finds undeclared secrets in values that are about to be stored: under names of secrets, in addresses, by shape.

A notebook's parameter may hold a webhook's token or a database's address. Such a value is then removed from everything the run
leaves behind, in each of its spellings; the notebook itself receives it unchanged.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, unquote_plus

from atb.redaction import assigned_secrets, is_secret_name

# In the query of an address a shorter name tells enough: `?key=`, `&sig=`, `&access_token=`.
_QUERY = re.compile(
    r"[?&;](?:[\w.-]*(?:key|token|sig|signature|secret|auth|pass|pwd|jwt)[\w.-]*)=([^&;#\s]+)", re.IGNORECASE
)
_ADDRESS = re.compile(r"://[^:@/\s]*:(.+)@", re.DOTALL)
_BARE_ADDRESS = re.compile(r"^[A-Za-z_][\w.+~-]*:(.+)@[\w.:\[\]/-]+", re.DOTALL)  # one without its scheme
_SCHEME = re.compile(r"\b(?:Bearer|Basic|Token)\s+(\S{8,})", re.IGNORECASE)
_PEM = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))", re.DOTALL)
_USER = re.compile(r"://([^:@/\s]{16,})@")  # a token in the user's place
_WORD = re.compile(r"[A-Za-z0-9]{24,}|(?<![\w-])[A-Za-z0-9_-]{32,}(?![\w-])")
_ISSUED = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,}|sk-[\w-]{16,}|sk_(?:live|test)_\w{10,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*)|\b\d{8,10}:[\w-]{30,}"
)
_LEAST_NUMBER = 100_000  # a smaller one is a count
_DEEPEST = 12


def find_secrets(value: object, depth: int = 0) -> tuple[str, ...]:
    """Return the secrets in a value of plain types, those inside JSON, addresses and percent-encoding too."""
    return tuple(dict.fromkeys(_found(value, depth)))


def _found(value: object, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        yield from _in_text(value, depth)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _found(str(key), depth + 1)
            yield from _texts(item) if is_secret_name(str(key)) else _found(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _found(item, depth + 1)


def _texts(value: object) -> Iterator[str]:
    """Yield every text of a value that stands under a secret's name."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str) or (isinstance(value, int | float) and abs(value) >= _LEAST_NUMBER):
        yield str(value)


def _in_text(text: str, depth: int) -> Iterator[str]:
    yield from assigned_secrets(text)
    for pattern in (_ADDRESS, _BARE_ADDRESS, _USER, _QUERY, _SCHEME, _PEM):
        for match in pattern.finditer(text):
            yield from (match[1], unquote(match[1]), unquote_plus(match[1]))
    yield from (match[0] for match in _ISSUED.finditer(text))
    yield from (match[0] for match in _WORD.finditer(text) if _is_drawn(match[0]))
    if text.lstrip()[:1] in {"{", "["}:
        with contextlib.suppress(ValueError, RecursionError):
            yield from _found(json.loads(text), depth + 1)
    if (plain := unquote(text)) != text and depth < _DEEPEST:
        yield from _in_text(plain, depth + 1)


def _is_drawn(word: str) -> bool:
    """Return True if a word looks random: capitals, small letters and digits; a hexadecimal hash does not."""
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(sum(map(kind, word)) >= 2 for kind in kinds)
