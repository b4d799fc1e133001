"""Secrets in values that nobody declared: found under names, in addresses, by shape; ordinary values are none."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.monitoring import Redactor
from atb.redaction.discovery import find_secrets
from tests.seeds import examples

CANARY = "kNrYq7Xw2Lm9"
DRAWN = "kNrYq7Xw2Lm9Zt4Vb8Kc3Hd5Jf6Gs1PaRe0"
HOLDERS = (
    {"options": {"api_key": CANARY}},
    {"options": [{"deep": {"password": [CANARY]}}]},
    {"options": json.dumps({"token": CANARY, "n": 1})},
    {"url": f"postgresql://me:{CANARY}@db.example/atb"},
    {"url": f"me:{CANARY}@db.example:5432/atb"},
    {"url": f"http://:{CANARY}@proxy.example:3128"},
    {"url": quote(f"https://me:{CANARY}@db.example/atb", safe="")},
    {"url": f"https://hooks.example/x?key={CANARY}&n=1"},
    {"url": f"https://api.example/x?apikey={CANARY}"},
    {"url": f"https://hooks.slack.example/services/T00/B00/{DRAWN}"},
    {"url": f"https://api.telegram.example/bot123456789:{DRAWN}/send"},
    {"header": f"Authorization: Bearer {CANARY}"},
    {"header": f"Bearer {CANARY}"},
    {"note": f"the password={CANARY}; keep it"},
    {"note": DRAWN},
    {"note": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"},
)
ORDINARY = (
    {"symbol": "BTC/USDT", "timeframe": "1h", "start": "2024-01-01", "fast": 10, "stop_loss": 0.05},
    {"symbol": "BTC/USDT:USDT", "venue": "binance", "model": "BTCUSDT/basic/20240101T000000Z-2f9a3c"},
    {"policy": {"trailing_stop": 0.03, "max_bars": 48, "targets": [[0.02, 0.5]]}},
    {"fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
    {"url": "https://data.binance.vision/?prefix=data/spot/monthly/klines/BTCUSDT/1h/"},
    {"path": "/srv/Trader7/Data2024/BTCUSDT-1h-2024-01.csv", "run": "20240131-094500-03-backtest-1f9a3c"},
)


@pytest.mark.parametrize("value", HOLDERS)
def test_a_secret_that_nobody_declared_is_found(value):
    masked = Redactor(find_secrets(value)).known(json.dumps(value))
    assert "kNrY" not in masked


@pytest.mark.parametrize("value", ORDINARY)
def test_ordinary_values_hold_no_secret(value):
    assert find_secrets(value) == ()


@examples(8)
@given(
    secret=st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=4).map(
        lambda text: f"kNrY{text}kNrY"
    )
)
def test_a_password_of_any_characters_is_found_in_an_address(secret):
    for url in (
        f"postgresql://me:{quote(secret, safe='')}@h/db",
        f"postgresql://me:{secret}@h/db",
        f"me:{secret}@db.example:1/x",
    ):
        assert "kNrY" not in Redactor(find_secrets({"url": url})).known(json.dumps({"url": url, "repr": repr(url)}))


@examples(60)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_looking_for_secrets_breaks_on_nothing(value):
    assert all(isinstance(secret, str) for secret in find_secrets(value))
