"""A known secret is found in every spelling: encoded, escaped, wrapped, in base64, and in part."""

import base64
import html
import json
import quopri
import textwrap
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from atb.monitoring import Redactor
from tests.seeds import examples

ANYTHING = st.text(st.characters(codec="utf-8"), min_size=4, max_size=30).map(lambda text: f"kNrY0{text}0YrNk")
SPELLERS = (
    str,
    quote,
    lambda text: quote(text, safe=""),
    quote_plus,
    lambda text: quote(quote(text, safe=""), safe=""),
    lambda text: quote(quote(quote(text, safe=""), safe=""), safe=""),
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    lambda text: json.dumps(json.dumps(text)),
    repr,
    ascii,
    lambda text: repr({"x": text}),
    lambda text: repr(text.encode()),
    html.escape,
    lambda text: html.escape(html.escape(text)),
    lambda text: html.escape(json.dumps(text)),
    lambda text: quote(json.dumps(text), safe=""),
    lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    lambda text: text.encode().hex(),
    lambda text: text.encode().hex().upper(),
    lambda text: text.encode().hex(":"),
    lambda text: text.encode().hex(" ", 2),
    lambda text: text.encode().hex("\n", 8),
    lambda text: base64.b32encode(text.encode()).decode(),
    lambda text: base64.b32encode(text.encode()).decode().lower().rstrip("="),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    lambda text: quopri.encodestring(text.encode(), quotetabs=True).decode(),
    lambda text: "".join(f"\\{byte:03o}" if byte > 126 else chr(byte) for byte in text.encode()),
    lambda text: text[::-1],
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
)


@examples(15)
@given(secret=ANYTHING)
@example("kNrY0000000%")
@example("kNrY00000000%25")
@example("kNrY%%25%2525&amp;\\n\"'\n<")
@example("kNrY😀\ud7ff￿é ü+ /")
@example('kNrY\\\\"%5c\\')
@example(
    "kNrY0𩶬Ïg\U00018d77>\U0005de2d\U000c1877\x83\U00045ad20YrNk"
)  # mail ends its line inside the last character but five
def test_nothing_of_a_known_secret_stays(secret):
    redactor = Redactor((secret,))
    for spell in SPELLERS:
        spelt = spell(secret)
        frame = ("{'x': ", "}") if spelt.startswith("{") else ("", "")
        left = redactor.known(f"before >{spelt}< after").removeprefix("before >").removesuffix("< after")
        left = left.removeprefix(frame[0]).removesuffix(frame[1])
        assert len(left.replace("&quot;", "").replace("%22", "").strip("b\"'=%D3\\")) <= 5, (spell, left)


@pytest.mark.parametrize("url", ["https://u:{}@h.example/x", "?x={}&y=1", "u:{}@db.internal:5432/atb", "/a/{}/b"])
def test_a_secret_that_ends_in_a_percent_sign_leaves_nothing_of_its_encoding(url):
    for secret in ("kNrY0000000%", "kNrY%25", "%kNrY000"):
        for encoded in (quote(secret, safe=""), quote(quote(secret, safe=""), safe="")):
            cleaned = Redactor((secret,)).known(url.format(encoded))
            assert cleaned == url.format("***")


@examples(30)
@given(secret=ANYTHING, before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_base64_hides_no_secret_wherever_in_it_the_secret_begins(secret, before, after):
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        left = Redactor((secret,)).known(encode(before + secret.encode() + after).decode())
        assert "***" in left
        assert len(left) <= len(encode(before)) + len(encode(after)) + len("***") + 4


@examples(5)
@given(secret=st.text(st.characters(codec="utf-8"), min_size=50, max_size=120), before=st.binary(max_size=80))
def test_a_code_that_is_wrapped_over_lines_hides_no_secret(secret, before):
    redactor = Redactor((secret,))
    whole = before + secret.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.b32encode):
        code = encode(whole).decode()
        for wrap in (*("\n".join, "\r\n".join), json_wrapped, repr_wrapped):
            for columns in (64, 76):
                text = wrap(textwrap.wrap(code, columns))
                left = redactor.known(text)
                assert "***" in left, text
                assert len(left) <= len(text) - len(encode(secret.encode())) + 30, (text, left)


def json_wrapped(lines: list[str]) -> str:
    return json.dumps("\r\n".join(lines))


def repr_wrapped(lines: list[str]) -> str:
    return repr("\n".join(lines).encode())


@examples(40)
@given(secret=st.text("abcdefghijklmnopqrstuvwxyzABC0123456789", min_size=24, max_size=64), data=st.data())
def test_most_of_a_secret_is_as_secret_as_all_of_it(secret, data):
    start = data.draw(st.integers(0, len(secret) - 14))
    part = secret[start : start + data.draw(st.integers(12, len(secret) - start))]
    assert part not in Redactor((secret,)).text(f"a message that was cut: {part}... [cut]")


def test_words_that_a_password_shares_with_a_text_stay():
    redactor = Redactor(("the-database-of-binance-2024",))
    text = "the database of binance: 2024 has binance-2023 and the-data"
    assert redactor.known(text) == text


def test_what_follows_a_secret_stays_as_it_was():
    assert Redactor(("kNrY0000",)).known("kNrY0000 BTC/USDT kNrY00 25%") == "*** BTC/USDT kNrY00 25%"
