"""Coinbase's authorization: a JWT signed with the key's elliptic curve (ES256), valid for one request and two minutes."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from atb.venues.simulator.configuration import Key

if TYPE_CHECKING:
    from jwt.types import Options

_PEM = "-----BEGIN"
_AUDIENCE = "retail_rest_api_proxy"


class Unauthorized(Exception):  # noqa: N818 - an answer of the exchange, not a fault of this program
    """The response to an invalid token; Coinbase gives no reason, so the text here is not sent."""


def authorize(header: str | None, requested: str, keys: Sequence[Key], *, now_ms: int) -> Key:
    """Return the key that signed a request.

    Parameters
    ----------
    header
        The `Authorization` header.
    asked
        The request as the token must name it: `METHOD host/path`.
    keys
        The account's keys; Coinbase's have a private key in PEM as their secret.
    now_ms
        Exchange time: expired and not yet valid tokens are refused.

    Raises
    ------
    Unauthorized
        If there is no token, or its key is unknown, or it is for another request or time.
    """
    token = (header or "").removeprefix("Bearer ")
    try:
        name = jwt.get_unverified_header(token).get("kid")
        key = next((key for key in keys if key.name == name and key.secret.startswith(_PEM)), None)
        if key is None:
            raise Unauthorized(f"unknown key {name}")
        options: Options = {
            "require": ["sub", "nbf", "exp", "uri"],
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
        }
        claims = jwt.decode(token, _public(key.secret), algorithms=["ES256"], audience=_AUDIENCE, options=options)
    except jwt.InvalidTokenError as error:
        raise Unauthorized(str(error)) from error
    if claims["sub"] != name or claims["uri"].replace("http://", "") != requested:
        raise Unauthorized(f"a token of {claims['sub']} for {claims['uri']}")
    # The exchange's clock decides, not the machine's: its time may be virtual.
    if not claims["nbf"] - 5 <= now_ms / 1_000 <= claims["exp"]:
        raise Unauthorized("not valid now")
    return key


@cache
def _public(pem: str) -> ec.EllipticCurvePublicKey:
    key = load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey), "Coinbase's keys are elliptic"
    return key.public_key()
