"""Secrets never reach the log: by name, by shape, by value, in messages, structures and tracebacks."""

import json
import pprint
import re
import secrets as entropy
import string
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.monitoring import Redactor
from atb.redaction import is_secret_name

WORDS = st.text(string.ascii_letters + string.digits, min_size=8, max_size=40).map(lambda text: f"kNrY{text}")
AWKWARD = st.text(string.printable, min_size=8, max_size=40).map(lambda text: f"kNrY{text}")

# Where exchange libraries, drivers and people put secrets; each text holds one that nobody declared.
PLACES = (
    "binance GET https://api.binance.com/api/v3/account?timestamp=1&recvWindow=5000&signature={} 400 Bad Request",
    "signature={}&symbol=BTCUSDT",
    "{{'X-MBX-APIKEY': '{}', 'Accept': '*/*'}}",
    '{{"apiKey": "{}", "n": 1}}',
    "X-MBX-APIKEY: {}",
    "X-MBX-APIKEY={}",
    "Authorization: Bearer {}",
    "Authorization: Basic {}",
    "authorization='Bearer {}'",
    "CB-ACCESS-SIGN: {}",
    "ATB__EXCHANGE__API_SECRET={}",
    "api_secret='{}'",
    "password = {}",
    "passphrase: {},",
    "listenKey={}",
    "postgresql+psycopg2://me:{}@localhost:5432/atb",
    "could not connect to postgres://me:{}@db.internal/atb, retrying",
    "https://user:{}@example.com/path",
    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
    "private_key={}",
    r'"{{\"secret\": \"{}\"}}"',
    "b'token={}'",
    "[(b'X-MBX-APIKEY', b'{}'), (b'Accept', b'*/*')]",
    "retry of %2Fapi%2Fv3%2Forder%3Fsignature%3D{}%26symbol%3DBTCUSDT",
    "signature=\n    {}",
    "Authorization%3A+Bearer+{}",
    r'"{{\\\"apiKey\\\": \\\"{}\\\"}}"',
)


@pytest.mark.parametrize("place", PLACES)
@given(secret=WORDS)
def test_a_secret_nobody_declared_is_found_by_its_place(place, secret):
    assert secret not in Redactor().text(place.format(secret))


@given(secret=AWKWARD, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_declared_secret_is_found_anywhere_in_any_spelling(secret, before, after):
    redactor = Redactor((secret,))
    for spelling in (secret, quote(secret, safe=""), json.dumps(secret), repr(secret), repr({"x": secret})):
        assert "kNrY" not in redactor.text(f"{before}{spelling}{after}")


def wrapped(secret: str, width: int) -> list[str]:
    """Return a secret as printers that keep to a width leave it."""
    parts = [secret[start : start + width] for start in range(0, len(secret), width)]
    return [
        "\n".join(parts), "\n    ".join(parts), "\r\n".join(parts), "'\n '".join(parts), "'\n b'".join(parts),
        '"\n    "'.join(parts),
        "\\\n".join(parts), "\\n".join(parts), "\n> ".join(parts),
    ]  # fmt: skip


@given(secret=WORDS, width=st.integers(4, 20))
def test_a_declared_secret_is_found_over_the_ends_of_lines(secret, width):
    redactor = Redactor((secret,))
    for text in [*wrapped(secret, width), pprint.pformat({"x": f"some words {secret} more"}, width=width)]:
        cleaned = redactor.text(f"before {text} after")
        assert "kNrY" not in cleaned
        assert secret[-4:] not in cleaned.replace("***", "")


@given(secret=AWKWARD)
def test_a_declared_secret_is_found_however_it_is_percent_encoded(secret):
    everything = "".join(f"%{byte:02x}" for byte in secret.encode())
    once = quote(secret, safe="")
    small = re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), once)
    for spelling in (
        everything,
        everything.upper(),
        once,
        small,
        quote(once, safe=""),
        quote(small),
        quote_plus(secret),
    ):
        cleaned = Redactor((secret,)).text(f"?x={spelling}&y")
        assert cleaned == "?x=***&y"


def test_every_line_of_a_private_key_is_a_secret_of_its_own():
    lines = [
        "-----BEGIN EC PRIVATE KEY-----",
        *(entropy.token_urlsafe(48)[:64] for _ in range(3)),
        "-----END EC PRIVATE KEY-----",
    ]
    for joint in ("\n", "\\n", "\r\n"):
        redactor = Redactor((joint.join(lines),))
        for line in lines[1:-1]:
            assert line not in redactor.text(f"could not read {line!r} of the key")
        assert redactor.text("-----BEGIN CERTIFICATE-----") == "-----BEGIN CERTIFICATE-----"


def test_headers_as_pairs_and_bytes_are_found_in_structures():
    pairs = Redactor().value({"raw": [(b"X-MBX-APIKEY", b"kNrY"), ("Accept", "*/*")], "pair": ("password", "kNrY")})
    assert pairs == {"raw": [["X-MBX-APIKEY", "***"], ["Accept", "*/*"]], "pair": ["password", "***"]}


def test_a_value_that_cannot_say_what_it_is_breaks_nothing():
    class Mute:
        def __str__(self):
            raise RuntimeError("no words")

    assert Redactor().value({"it": [Mute()], "n": float("nan")}) == {
        "it": ["<Mute without a text: RuntimeError>"],
        "n": "nan",
    }


def test_asterisks_stay_as_many_as_they_are():
    text = "postgresql://me:********@host/atb"
    assert Redactor().text(text) == text


@given(secret=WORDS, name=st.sampled_from(["api_key", "apiSecret", "X-MBX-APIKEY", "password", "jwt", "signature"]))
def test_a_value_under_a_telling_name_is_replaced_at_any_depth(secret, name):
    cleaned = Redactor().value({"a": [{"b": ({name: secret}, {name: {"nested": secret}})}], "n": 1, "flag": True})
    assert secret not in repr(cleaned)
    assert (cleaned["n"], cleaned["flag"]) == (1, True)


@pytest.mark.parametrize(
    "text",
    [
        "order sent client_id=atb-1-smacro-k3x symbol=BTC/USDT quantity=0.10000 price=42000.10",
        "kernel_hash=0f3a fingerprint=deadbeef token_count=4 tokens=5",
        "GET https://api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=1000",
        "sqlite:////data/atb.db opened; designature of 3 keys: a, b",
    ],
)
def test_ordinary_lines_stay_as_they_are(text):
    assert Redactor().text(text) == text


@pytest.mark.parametrize("name", ["client_id", "kernel_hash", "token_count", "symbol", "keys", "signal", "key"])
def test_ordinary_names_are_no_secrets(name):
    assert not is_secret_name(name)


def test_a_short_secret_does_not_blank_the_whole_log():
    assert Redactor(("a",)).text("a bar and a fill") == "a bar and a fill"


def test_a_structure_that_contains_itself_ends():
    loop: dict[str, object] = {}
    loop["self"] = loop
    assert "..." in repr(Redactor().value(loop))


def test_a_long_hostile_text_is_searched_quickly():
    began = time.process_time()
    for piece in ("a-", "a.b_", "x" * 50, "://", "api_", "'", "secret"):
        Redactor(("kNrY",)).text(piece * (20_000 // len(piece)))
    assert time.process_time() - began < 5
