"""Random rules: typed trees for Hypothesis, and texts that are rules, nearly rules, or nothing of the kind."""

import random
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from atb.features.indicators import INDICATORS
from atb.strategies.rules.functions import LANGUAGE, function_of
from atb.strategies.rules.tree import (
    Arithmetic,
    Call,
    Column,
    Comparison,
    Kind,
    Logic,
    Named,
    Negative,
    Node,
    Not,
    Number,
    canonical,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BAR_COLUMNS = ("open", "high", "low", "close", "volume")
_NAMES = {"n": 14, "low": -0.5, "x_1": 1e-7}
_ONE_COLUMN = ("sma", "roc", "ema", "rsi")

values = st.one_of(st.integers(0, 2**60), st.floats(0, 1e12, allow_nan=False)).map(canonical)
constants: st.SearchStrategy[Node] = st.recursive(
    st.one_of(values.map(Number), st.sampled_from(sorted(_NAMES.items())).map(lambda pair: Named(*pair))),
    lambda inner: inner.map(Negative),
    max_leaves=3,
)
periods = st.integers(1, 30)


def columns(
    names: tuple[str, ...] = (*BAR_COLUMNS, "hour", "weekday", "funding", "sentiment"),
) -> st.SearchStrategy[Node]:
    """Return columns, some of them with options."""
    plain = st.sampled_from(names).map(Column)
    slower = st.sampled_from(BAR_COLUMNS).map(lambda name: Column(name, (("timeframe", "4h"), ("symbol", "ETH/USDT"))))
    others = [Column("funding", (("max_age", "1d"),)), Column("sentiment", (("source", "mood"),))]
    with_options = st.one_of(slower, st.sampled_from(others)) if "funding" in names else slower
    return st.one_of(plain, plain, with_options if len(names) > len(BAR_COLUMNS) else plain)


def numbers(
    leaves: st.SearchStrategy[Node], conditions: st.SearchStrategy[Node] | None = None
) -> st.SearchStrategy[Node]:
    """Return trees of numbers over these columns."""
    return st.recursive(leaves, lambda inner: _more(inner, conditions), max_leaves=8)


def _more(inner: st.SearchStrategy[Node], conditions: st.SearchStrategy[Node] | None) -> st.SearchStrategy[Node]:
    either_side = st.one_of(st.tuples(inner, constants), st.tuples(constants, inner), st.tuples(inner, inner))
    arithmetic = st.tuples(st.sampled_from("+-*/"), either_side).map(lambda drawn: Arithmetic(drawn[0], *drawn[1]))
    indicator = st.tuples(st.sampled_from(_ONE_COLUMN), inner, periods).map(
        lambda drawn: Call(drawn[0], Kind.NUMBER, (drawn[1],), (Number(drawn[2] + 1),))
    )
    lag = st.tuples(inner, st.integers(0, 5)).map(
        lambda drawn: Call("lag", Kind.NUMBER, (drawn[0],), (Number(drawn[1]),))
    )
    extreme = st.tuples(st.sampled_from(["highest", "lowest"]), inner, periods).map(
        lambda drawn: Call(drawn[0], Kind.NUMBER, (drawn[1],), (), (("n", Number(drawn[2])),))
    )
    several = st.tuples(st.sampled_from(["min", "max"]), either_side).map(
        lambda drawn: Call(drawn[0], Kind.NUMBER, drawn[1])
    )
    absolute = inner.map(lambda node: Call("abs", Kind.NUMBER, (node,)))
    return st.one_of(arithmetic, inner.map(Negative), indicator, lag, extreme, several, absolute)


def conditions(leaves: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Return trees of conditions over these columns."""
    number = numbers(leaves)
    side = st.one_of(st.tuples(number, number), st.tuples(number, constants))
    comparison = st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), side).map(
        lambda drawn: Comparison(drawn[0], *drawn[1])
    )
    crossing = st.tuples(st.sampled_from(["cross_above", "cross_below"]), side).map(
        lambda drawn: Call(drawn[0], Kind.CONDITION, drawn[1])
    )
    moving = st.tuples(st.sampled_from(["rising", "falling"]), number, st.integers(1, 4)).map(
        lambda drawn: Call(drawn[0], Kind.CONDITION, (drawn[1],), (Number(drawn[2]),))
    )
    between = st.tuples(number, constants, number).map(lambda drawn: Call("between", Kind.CONDITION, drawn))
    return st.recursive(st.one_of(comparison, crossing, moving, between), _joined, max_leaves=6)


def _joined(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    parts = st.lists(inner, min_size=2, max_size=4).map(tuple)
    logic = st.tuples(st.sampled_from(["and", "or"]), parts).map(lambda drawn: Logic.of(*drawn))
    lag = inner.map(lambda node: Call("lag", Kind.CONDITION, (node,), (Number(1),)))
    return st.one_of(logic, inner.map(Not), lag)


# --- texts ------------------------------------------------------------------------------------------------------------


def calls_of(name: str) -> list[str]:
    """Return a call of a function by its name, one for each of its outputs, with all its columns and constants."""
    function = function_of(name)
    assert function is not None
    columns = [column if column in BAR_COLUMNS else BAR_COLUMNS[at] for at, column in enumerate(function.inputs)]
    example = INDICATORS[name].example if name in INDICATORS else {one.name: 3 for one in function.parameters}
    constants = [f"{key}={value}" for key, value in example.items()]
    return [
        f"{name}({', '.join([*columns, *constants])}){output}"
        for output in [f".{one}" for one in function.outputs] or [""]
    ]


RULES = (
    "cross_above(ema(close, 12), ema(close, 48)) and rsi(14) < 70",
    'ema(close, 50, timeframe="4h") > close or not between(hour, 9, 17)',
    "close > lag(highest(high, {n=20}), 1) and volume > 2 * sma(volume, {n})",
    'sma(funding, 3) > 1e-4 and sentiment(source="mood", max_age="2d") <= 25',
    "atr(14) / close < .02 and (weekday != 6 or rising(close, n=3))",
)
_TOKENS = (
    *LANGUAGE, *BAR_COLUMNS, "ema", "rsi", "atr", "hour", "funding", "sentiment", "and", "or", "not", "n", "timeframe",
    "(", ")", ",", ".", "=", "==", "<", ">=", "+", "-", "*", "/", "{", "}", "{n}", "{n=3}", '"4h"', "'", '"', "14", "0", "1.5",
    "1e400", "-1", "\n", " ", "\t", "\x00", "é", "𝟙", "__import__", "eval", "lambda", "[", "]", ";", ":", "\\", "%", "&", "|",
)  # fmt: skip


def texts(count: int, seed: int) -> list[str]:
    """Return texts made of a seed: rules with a few changes, tokens at random, characters at random, and nests."""
    drawn = random.Random(seed)
    makers: list[Callable[[random.Random], str]] = [_changed, _changed, _tokens, _characters, _nested]
    return [drawn.choice(makers)(drawn) for _ in range(count)]


def _changed(drawn: random.Random) -> str:
    text = drawn.choice(RULES)
    for _ in range(drawn.randint(1, 3)):
        first = drawn.randrange(len(text) + 1)
        end = min(len(text), first + drawn.choice([0, 0, 1, 1, 5]))
        text = text[:first] + drawn.choice(["", drawn.choice(_TOKENS), text[end : end + 9]]) + text[end:]
    return text


def _tokens(drawn: random.Random) -> str:
    return drawn.choice(["", " "]).join(drawn.choices(_TOKENS, k=drawn.randint(1, 30)))


def _characters(drawn: random.Random) -> str:
    return "".join(
        chr(drawn.choice([drawn.randrange(32, 127), drawn.randrange(0x3000)])) for _ in range(drawn.randint(0, 40))
    )


def _nested(drawn: random.Random) -> str:
    depth = drawn.choice([3, 30, 30, 300, 300, 3_000] if drawn.random() < 0.3 else [3, 30])
    before, after = drawn.choice(
        [("(", ")"), ("not ", ""), ("-", ""), ("abs(", ")"), ("close + (", ")"), ("{", "}"), ("(", "")]
    )
    return before * depth + drawn.choice(["close > 1", "close", ""]) + after * depth
