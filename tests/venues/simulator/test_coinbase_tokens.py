"""Coinbase's tokens: one key, one request, two minutes of the exchange's own time."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from atb.venues.simulator.coinbase.tokens import Unauthorized, authorize
from atb.venues.simulator.configuration import Key

NOW = 1_704_067_200_000
ASKED = "GET api.coinbase.com/api/v3/brokerage/accounts"
NAME = "organizations/one/apiKeys/two"


def pem():
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


MINE, OTHER = pem(), pem()
KEYS = (Key("plain", "an HMAC secret"), Key(NAME, MINE))


def token(*, secret=MINE, name=NAME, algorithm="ES256", **changed):
    claims = {"aud": ["retail_rest_api_proxy"], "iss": "cdp", "sub": NAME, "uri": ASKED}
    claims |= {"nbf": NOW // 1_000, "exp": NOW // 1_000 + 120} | changed
    claims = {key: value for key, value in claims.items() if value is not None}
    return "Bearer " + jwt.encode(claims, secret, algorithm, headers={"kid": name})


def test_the_signer_of_this_request_is_known():
    assert authorize(token(), ASKED, KEYS, now_ms=NOW).name == NAME


def test_an_address_override_signs_its_own_host():
    text = token(uri="GET http://127.0.0.1:9/api/v3/x")
    assert authorize(text, "GET 127.0.0.1:9/api/v3/x", KEYS, now_ms=NOW).name == NAME


@pytest.mark.parametrize("late_s", [-5, 0, 120])
def test_a_token_holds_for_two_minutes_of_the_exchanges_time(late_s):
    assert authorize(token(), ASKED, KEYS, now_ms=NOW + late_s * 1_000).name == NAME


@pytest.mark.parametrize("late_s", [-6, 121])
def test_a_token_does_not_hold_before_or_after(late_s):
    with pytest.raises(Unauthorized, match="not valid now"):
        authorize(token(), ASKED, KEYS, now_ms=NOW + late_s * 1_000)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer nonsense",
        token(secret=OTHER),
        token(name="organizations/three"),
        token(name="plain"),
        token(sub="organizations/three"),
        token(uri="POST api.coinbase.com/api/v3/brokerage/orders"),
        token(uri=None),
        token(exp=None),
        token(aud=["another"]),
        token(secret="an HMAC secret that is long enough to be one", algorithm="HS256"),
    ],
)
def test_what_is_not_signed_for_this_request_is_refused(header):
    with pytest.raises(Unauthorized):
        authorize(header, ASKED, KEYS, now_ms=NOW)
