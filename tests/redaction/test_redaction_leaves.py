"""Redaction leaves alone what is no secret: symbols, timeframes, models, strategies, ids, amounts, and every sentence of ours."""

import ast
import base64
import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import atb
from atb.errors import InputError
from atb.monitoring import Redactor

CODES = st.one_of(
    st.text(string.ascii_uppercase + string.digits, min_size=2, max_size=12),
    st.sampled_from(["BTC", "TOKEN", "COOKIE", "BASIC", "KEY", "PASS", "1000SATS", "SIGN", "JWT"]),
)
SYMBOLS = st.builds("{}{}{}".format, CODES, st.sampled_from("/-"), st.sampled_from(["USDT", "BTC", "EUR", "USDT:USDT"]))
TIMEFRAMES = st.sampled_from(["1m", "5m", "1h", "4h", "1d", "1w", "1M"])
NAMES = st.one_of(
    st.sampled_from(["basic", "Basic", "bearer", "token_ring", "sma_cross", "ml_basic", "keys", "secretive"]),
    st.from_regex(r"[a-z]{1,12}(_[a-z0-9]{1,8}){0,2}", fullmatch=True),
)
RUNS = st.builds(
    "{}-{}-03-backtest-{}".format,
    *(st.from_regex(rf"[0-9]{{{n}}}", fullmatch=True) for n in (8, 6)),
    st.from_regex(r"[0-9a-f]{6}", fullmatch=True),
)
SESSIONS = st.builds("{}-{}".format, NAMES, st.from_regex(r"[0-9a-f]{16}", fullmatch=True))
SENTENCES = (
    "No model {name} {symbol} {timeframe}. Known: {name} {symbol} 4h",
    "No model basic {symbol} {timeframe}",
    "No model Basic {run}",
    "The model Bearer {symbol} {timeframe} has no bundle",
    "Promoted run {run} of {name} on {symbol}; session {session}",
    "session_id={session} symbol={symbol} timeframe={timeframe} strategy={name}",
    "/srv/atb/models/{symbol}/basic/{run}/card.json",
    "basic added, basic unchanged, {name} replaced",
    "wss://stream.example.com:9443/ws/{symbol}@kline_{timeframe}",
)


@given(data=st.data(), sentence=st.sampled_from(SENTENCES))
def test_no_name_of_ours_is_ever_masked(data, sentence):
    drawn = {"name": NAMES, "symbol": SYMBOLS, "timeframe": TIMEFRAMES, "run": RUNS, "session": SESSIONS}
    text = sentence.format(**{key: data.draw(values) for key, values in drawn.items()})
    assert Redactor().value({"text": [text]}) == {"text": [text]}


# Drawn as secrets are: of many different characters, so that none of our names holds it by chance.
DRAWN = st.text(string.ascii_letters + string.digits + "+/=_-", min_size=20, max_size=64).filter(
    lambda text: len(set(text)) >= 10
)


@given(data=st.data(), sentence=st.sampled_from(SENTENCES), secrets=st.lists(DRAWN, max_size=3))
def test_no_name_of_ours_is_masked_for_a_known_secret_that_it_does_not_hold(data, sentence, secrets):
    drawn = {"name": NAMES, "symbol": SYMBOLS, "timeframe": TIMEFRAMES, "run": RUNS, "session": SESSIONS}
    text = sentence.format(**{key: data.draw(values) for key, values in drawn.items()})
    redactor = Redactor(tuple(secrets))
    for spelt in (text, text.upper(), text[::-1], text.encode().hex(), base64.b32encode(text.encode()).decode()):
        assert redactor.known(spelt) == spelt


@given(symbol=SYMBOLS, name=NAMES, timeframe=TIMEFRAMES)
def test_an_error_names_the_model_that_is_missing_in_full(symbol, name, timeframe):
    error = str(InputError(f"No model {name} {symbol} {timeframe}", found=symbol, todo=f"Train {name} {symbol}"))
    assert Redactor().text(error) == error


def sentences() -> list[tuple[str, ast.JoinedStr]]:
    """Return every text of the package that is filled in while it runs, with its place."""
    root = Path(atb.__file__).parent
    return [
        (f"{path.relative_to(root)}:{node.lineno}", node)
        for path in sorted(root.rglob("*.py"))
        if path.name != "native.py" and path.parent.name != "redaction"  # machine code and patterns
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr)
    ]


@pytest.mark.parametrize(
    "value", ["BTC/USDT", "basic", "1000SATS/USDT", "20240131-094500-03-backtest-1f9a3c", "0.05", "bearer"]
)
def test_every_sentence_of_the_package_keeps_what_it_is_filled_with(value):
    # The first prints the token of a server that it starts; the second puts the one of an exchange's control into its address.
    secretive = ("cli/lab.py", "venues/simulator/server.py")
    filled = {
        place: "".join(str(part.value) if isinstance(part, ast.Constant) else value for part in node.values)
        for place, node in sentences()
        if not place.startswith(secretive)
    }
    assert len(filled) > 500
    assert {place: Redactor().text(text) for place, text in filled.items() if Redactor().text(text) != text} == {}


def test_coins_whose_codes_are_telling_words_keep_their_amounts():
    balances = {"TOKEN": "12.5000", "COOKIE": 3, "USDT": "1,000.00"}
    assert Redactor().value(balances) == balances
    assert Redactor().text("free: COOKIE=12.5, TOKEN: 1,000.50") == "free: COOKIE=12.5, TOKEN: 1,000.50"
    assert Redactor().value({"TOKEN": "kNrY"}) == {"TOKEN": "***"}


@example(user="AA", password="00400400")  # all its letters are capitals
@given(
    user=st.text(string.ascii_letters, min_size=1, max_size=8),
    password=st.text(string.printable[:94], min_size=8, max_size=30),
)
def test_what_the_basic_scheme_really_sends_is_masked_wherever_it_stands(user, password):
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        sent = encode(f"{user}:{password}".encode()).decode()
        for text in (f"sent Basic {sent}", f"basic {sent}, then", f"Basic%20{sent}"):
            assert sent.rstrip("=")[:12] not in Redactor().text(text)
