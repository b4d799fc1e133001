"""The grammar of rules: a text becomes a syntax tree, or one error with a caret under the place that does not fit.

lark's LALR parser is made from the grammar at first use, which takes 0.05 s. Its cache is a pickle file and its standalone output
is under another licence (MPL-2.0); neither is used.
"""

import functools
from typing import TYPE_CHECKING

from atb.errors import InputError, did_you_mean
from atb.strategies.rules.places import Place

if TYPE_CHECKING:
    from collections.abc import Collection

    from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    Syntax = Tree[Token]

LONGEST = 4_000  # characters
DEEPEST = 40  # levels; what walks a tree calls itself once for each

_GRAMMAR = r"""
start: _condition
_condition: either | _both
either: _both ("or" _both)+
_both: both | _not
both: _not ("and" _not)+
_not: not_ | _compared
not_: "not" _not
_compared: comparison | _sum
comparison: _sum COMPARES _sum
_sum: sum | _product
sum: _sum (PLUS | MINUS) _product
_product: product | _signed
product: _product (TIMES | OVER) _signed
_signed: negative | _atom
negative: MINUS _signed
_atom: number | constant | column | call | "(" _condition ")"
number: NUMBER
constant: "{" NAME ["=" MINUS? NUMBER] "}"
column: NAME
call: NAME "(" [_argument ("," _argument)*] ")" [output]
output: "." NAME
_argument: _condition | named | option
named: NAME "=" _condition
option: NAME "=" TEXT

COMPARES: "<=" | ">=" | "==" | "!=" | "<" | ">"
PLUS: "+"
MINUS: "-"
TIMES: "*"
OVER: "/"
NUMBER: /([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?/
NAME: /[A-Za-z_][A-Za-z0-9_]*/
TEXT: /"[^"\n]*"|'[^'\n]*'/
%ignore /[ \t\r\n\f]+/
"""

_INSTEAD = {
    "=": "Equality is written ==",
    "&": "Write and",
    "|": "Write or",
    "!": "Write not, or != for unequal",
    "^": "Powers are not known here: write x * x",
    "*": "Powers are not known here: write x * x",
    "[": "An earlier value is written lag(close, 1)",
    "?": "There is no if: use and, or and not",
}


def parse_syntax(text: str) -> "Syntax":
    """Return the syntax tree of a rule.

    Raises
    ------
    InputError
        If it is no text, is empty, too long or too deep, or does not follow the grammar.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("A rule is a text", found=text, todo='Such as "close > sma(close, 50)"')
    if len(text) > LONGEST:
        raise InputError(f"A rule has at most {LONGEST:,} characters", found=len(text))
    return _parsed(text)


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> "Syntax":
    from lark import UnexpectedInput

    try:
        tree = _parser().parse(text)
    except UnexpectedInput as odd:
        raise _refusal(text, odd) from None
    _check_depth(text, tree)
    return tree


@functools.cache
def _parser() -> "Lark":
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr", lexer="basic", propagate_positions=True, maybe_placeholders=False)


def _check_depth(text: str, tree: "Syntax") -> None:
    """Refuse a tree that nests too deep, without calling itself."""
    from lark import Tree

    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > DEEPEST:
            raise place_of(text, node).error(f"A rule nests at most {DEEPEST} levels deep")
        waiting.extend((child, depth + 1) for child in node.children if isinstance(child, Tree))


def place_of(text: str, node: "Syntax | Token") -> Place:
    """Return where a part of the syntax tree stands in the text."""
    from lark import Tree

    if not isinstance(node, Tree):
        return Place(text, node.start_pos or 0, node.end_pos or 0)
    return Place(text, node.meta.start_pos, node.meta.end_pos)


def _refusal(text: str, odd: "UnexpectedInput") -> InputError:
    from lark import UnexpectedCharacters, UnexpectedToken

    if isinstance(odd, UnexpectedCharacters):
        return _foreign(text, odd)
    assert isinstance(odd, UnexpectedToken)  # the only other one of an LALR parser
    if odd.token.type == "$END":
        return Place(text, len(text.rstrip()), len(text.rstrip()) + 1).error(
            "The rule ends too early", _missing(odd.accepts)
        )
    return _misplaced(text, odd)


def _foreign(text: str, odd: "UnexpectedCharacters") -> InputError:
    at = odd.pos_in_stream or 0
    sign = text[at]
    if sign in "\"'":
        return Place(text, at, at + 1).error("A quoted text does not end", "It ends on its line, with the same quote")
    return Place(text, at, at + 1).error(f"Rules have no {sign!r}", _INSTEAD.get(sign, ""))


def _misplaced(text: str, odd: "UnexpectedToken") -> InputError:
    token = odd.token
    place, sign, wanted = place_of(text, token), str(token), odd.accepts
    if sign in _INSTEAD and sign != "*":
        return place.error(f"{sign!r} has no place here", _INSTEAD[sign])
    if token.type == "TEXT":
        return place.error("A quoted text has no place here", 'It belongs to an option, such as timeframe="4h"')
    if "LBRACE" in wanted:
        powers = _INSTEAD["*"] if sign == "*" and text[: place.start].rstrip().endswith("*") else ""
        return place.error(f"A value is missing before {sign!r}", powers)
    if token.type == "COMPARES":
        return place.error("One comparison at a time", "Use between(x, low, high), or join two with and")
    near = _near_word(sign) if token.type == "NAME" else ""
    return place.error(f"{sign!r} has no place here", near or _missing(wanted))


def _near_word(name: str) -> str:
    near = did_you_mean(name.lower(), ("and", "or", "not"))
    return near if near.startswith("Did") else ""


def _missing(wanted: "Collection[str]") -> str:
    """Return advice on what the parser would accept instead."""
    if "LBRACE" in wanted:
        return "A value is missing"
    if {*wanted} == {"NAME"}:
        return "A name is missing"
    if {"RBRACE", "MINUS"} & {*wanted} and "COMPARES" not in wanted:
        return "A constant is written {name} or {name=14}"
    if "RPAR" in wanted:
        return "A ) is missing, or an operator or comma"
    return "An operator is missing, such as and, or, < or +"
