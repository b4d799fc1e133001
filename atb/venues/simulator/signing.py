"""Authentication of requests: API keys, HMAC-SHA256 signatures, timestamps and the receive window."""

import hashlib
import hmac
from collections.abc import Mapping

from atb.venues.simulator import refusals
from atb.venues.simulator.configuration import Key
from atb.venues.simulator.requests import integer

DEFAULT_WINDOW_MS, LONGEST_WINDOW_MS, AHEAD_MS = 5_000, 60_000, 1_000


def find_key(keys: tuple[Key, ...], name: str) -> Key:
    """Return the key of that name.

    Raises
    ------
    Refusal
        -2014 without a name, -2015 for an unknown one.
    """
    if not name:
        raise refusals.bad_key()
    for key in keys:
        if hmac.compare_digest(key.name.encode(), name.encode()):
            return key
    raise refusals.unknown_key()


def sign(secret: str, payload: str) -> str:
    """Return the signature (hex) of a payload: query and body as sent, without the signature itself."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def sorted_payload(params: Mapping[str, str]) -> str:
    """Return the signed text of the WebSocket API: the parameters in alphabetical order, without the signature."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")


def check_signature(key: Key, payload: str, signature: str) -> None:
    """Refuse a signature that is not the key's.

    Raises
    ------
    Refusal
        -1102 where there is none, -1022 where it is wrong.
    """
    if not signature:
        raise refusals.missing_parameter("signature")
    if not hmac.compare_digest(sign(key.secret, payload), signature.lower()):
        raise refusals.bad_signature()


def check_time(params: Mapping[str, str], server_ms: int) -> None:
    """Refuse a request that is too old, or from the future.

    Raises
    ------
    Refusal
        -1102 without a timestamp, -1131 for a window that is too long, -1021 outside of it.
    """
    timestamp, window = integer(params, "timestamp"), integer(params, "recvWindow")
    if timestamp is None:
        raise refusals.missing_parameter("timestamp")
    if window is not None and window > LONGEST_WINDOW_MS:
        raise refusals.bad_window()
    if timestamp >= server_ms + AHEAD_MS:
        raise refusals.outside_window(ahead=True)
    if server_ms - timestamp > (DEFAULT_WINDOW_MS if window is None else window):
        raise refusals.outside_window(ahead=False)
