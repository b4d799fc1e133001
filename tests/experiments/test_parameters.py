"""Parameters: what papermill lets through with a warning, or turns into something else, is an error here."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from atb.errors import InputError
from atb.experiments.conversion import convert
from atb.experiments.parameters import (
    parse_parameters,
    read_notebook,
    read_parameters,
    validate_parameters,
    with_defaults,
)
from tests.experiments.notebooks import notebook

SPEC = parse_parameters(
    """
'''The knobs of this notebook.'''
fast: int = 10  # fast window, bars
fraction: float = 1  # of equity
live: bool = False
symbol: str = "BTC/USDT"
start: str | None = None  # first bar's open
stop: float | None = 0.05
windows: list[int] = [1, 2]
names: list[str] = []
anything: list = []
params: dict = {"a": 1}
seed = 7
note = "x # not a comment"
offset = -1.5
""",
    "small.ipynb",
)


def given(**values):
    return validate_parameters(SPEC, values)


class Colour(StrEnum):
    RED = "red"


def test_reads_names_types_defaults_and_help():
    rows = [(p.name, str(p.kind), p.default, p.help) for p in SPEC]
    assert rows == [
        ("fast", "int", 10, "fast window, bars"),
        ("fraction", "float", 1.0, "of equity"),
        ("live", "bool", False, ""),
        ("symbol", "str", "BTC/USDT", ""),
        ("start", "str | None", None, "first bar's open"),
        ("stop", "float | None", 0.05, ""),
        ("windows", "list[int]", [1, 2], ""),
        ("names", "list[str]", [], ""),
        ("anything", "list", [], ""),
        ("params", "dict", {"a": 1}, ""),
        ("seed", "int", 7, ""),
        ("note", "str", "x # not a comment", ""),
        ("offset", "float", -1.5, ""),
    ]
    assert isinstance(SPEC[1].default, float)


ACCEPTED = [
    ("live", "false", False),  # papermill: the true string 'false'
    ("live", "True", True),
    ("live", True, True),
    ("live", np.bool_(False), False),  # papermill: the true string 'False'
    ("symbol", "007", "007"),  # papermill: 7
    ("symbol", "1_000", "1_000"),  # papermill: 1000
    ("symbol", "NAN", "NAN"),  # papermill: a float
    ("symbol", "INF", "INF"),
    ("symbol", "true", "true"),
    ("symbol", "None", "None"),
    ("symbol", "", ""),
    ("symbol", '"; import os #', '"; import os #'),
    ("symbol", Colour.RED, "red"),
    ("symbol", np.str_("ETH/USDT"), "ETH/USDT"),
    ("fast", "5", 5),
    ("fast", "-5", -5),
    ("fast", np.int64(5), 5),  # papermill: '5'
    ("fraction", "0.5", 0.5),
    ("fraction", "1e-3", 0.001),
    ("fraction", 1, 1.0),
    ("fraction", np.float64(0.25), 0.25),
    ("start", "None", None),
    ("start", "null", None),
    ("start", None, None),
    ("start", "2024-01-01", "2024-01-01"),
    ("stop", "none", None),
    ("stop", "0.1", 0.1),
    ("windows", "1,2, 3", [1, 2, 3]),
    ("windows", "[1, 2]", [1, 2]),
    ("windows", [np.int32(4)], [4]),
    ("windows", [], []),
    ("names", "a,007", ["a", "007"]),
    ("anything", '[1, "a", null, {"b": [true]}]', [1, "a", None, {"b": [True]}]),
    ("params", '{"fast": 5, "nested": {"x": [1.5, null]}}', {"fast": 5, "nested": {"x": [1.5, None]}}),
    ("params", {"fast": np.int64(5)}, {"fast": 5}),
]


@pytest.mark.parametrize(("name", "value", "wanted"), ACCEPTED, ids=repr)
def test_a_value_becomes_a_plain_value_of_its_declared_type(name, value, wanted):
    found = given(**{name: value})[name]
    assert found == wanted
    assert type(found) is type(wanted)


REFUSED = [
    ("live", "yes"),
    ("live", "1"),
    ("live", 1),
    ("live", 0.0),
    ("live", ""),
    ("fast", "abc"),  # papermill: runs with text
    ("fast", "1_000"),
    ("fast", "007"),
    ("fast", "5.0"),
    ("fast", "1e3"),
    ("fast", "٣"),
    ("fast", " 5"),
    ("fast", ""),
    ("fast", 5.0),
    ("fast", True),
    ("fast", np.bool_(True)),
    ("fast", None),
    ("fast", "None"),
    ("fraction", "nan"),
    ("fraction", "inf"),
    ("fraction", "1e999"),
    ("fraction", "1_0.5"),
    ("fraction", float("nan")),
    ("fraction", float("inf")),
    ("fraction", np.float64("nan")),
    ("fraction", True),
    ("fraction", 2**53 + 1),
    ("fraction", 10**400),
    ("symbol", 5),
    ("symbol", None),
    ("symbol", b"BTC"),
    ("symbol", "a\0b"),
    ("symbol", "\ud800"),
    ("windows", "1,,2"),
    ("windows", "1,a"),
    ("windows", "[1, 2"),
    ("windows", [1, None]),
    ("windows", [True]),
    ("windows", 5),
    ("windows", {"a": 1}),
    ("anything", "1,2"),
    ("anything", [float("nan")]),
    ("anything", [(1, 2)]),
    ("params", "fast=5"),
    ("params", "[1]"),
    ("params", '{"a": NaN}'),
    ("params", '{"a": 1, "a": 2}'),
    ("params", {1: 2}),  # papermill: {"1": 2}
    ("params", {"a": {1: 2}}),
    ("params", {"a": Decimal(1)}),
]


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=lambda value: ascii(value)[:30])
def test_a_value_that_does_not_fit_is_an_error_that_names_the_parameter(name, value):
    with pytest.raises(InputError, match=name):
        given(**{name: value})


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ((1, 2), "Use a list"),
        ({1, 2}, "Use a list"),
        (Decimal("0.1"), "float"),
        (pd.Timestamp("2024-01-01"), "isoformat"),
        (date(2024, 1, 1), "isoformat"),
        (Path("x'); import os #"), "str"),  # papermill: breaks out of its quotes
        (np.array([1, 2]), "tolist"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("name", ["windows", "params", "symbol", "fraction", "fast", "live"])
def test_what_papermill_writes_as_text_is_refused_with_advice(name, value, advice):
    with pytest.raises(InputError, match=advice):
        given(**{name: value})


def test_an_unknown_name_is_an_error_with_the_nearest_known_one():
    with pytest.raises(InputError, match="Did you mean 'fast'"):
        given(fasst=5)


@pytest.mark.parametrize(
    "name", ["symbol=1;import os;os.system('true')#", "fast\n", "a b", "", "__import__('os')", "../x"]
)
def test_code_in_a_name_never_reaches_the_notebook(name):
    with pytest.raises(InputError, match="no such parameter"):
        validate_parameters(SPEC, {name: "1"})


@pytest.mark.parametrize("name", ["api_key", "apiKey", "API_SECRET", "token", "db_password", "key", "passphrase"])
def test_a_secret_is_no_parameter(name):
    with pytest.raises(InputError, match="environment variable"):
        given(**{name: "hunter2"})
    with pytest.raises(InputError, match="environment variable"):
        parse_parameters(f'{name}: str = ""', "small.ipynb")


def test_words_that_only_contain_secret_words_are_fine():
    assert parse_parameters("monkey: int = 1\ntokens_per_bar = 2", "small.ipynb")


def test_defaults_fill_what_was_not_given():
    assert with_defaults(SPEC, {"fast": 5})["fast"] == 5
    assert with_defaults(SPEC, {"stop": None})["stop"] is None
    assert with_defaults(SPEC, {})["stop"] == 0.05


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("fast: int", "no default"),
        ("fast: int = slow", "literal"),
        ("fast: int = 2 * 5", "literal"),
        ("ratio: float = float('nan')", "literal"),
        ("ratio: float = 1e999", "finite"),
        ("fast: int = 'ten'", "declared int"),
        ("fast: int = 1.5", "declared int"),
        ("fast: int = True", "declared int"),
        ("fast: int = None", "declared int"),
        ("pair = (1, 2)", "type"),
        ("pair: tuple = (1, 2)", "type"),
        ("names: set[str] = {'a'}", "type"),
        ("price: Decimal = 1", "type"),
        ("when: pd.Timestamp = 1", "type"),
        ("mix: int | str = 1", "type"),
        ("deep: list[list[int]] = []", "type"),
        ("odd: list[str, int] = []", "type"),
        ("nothing = None", "type"),
        ("import os", "only `name: type = value`"),
        ("a = b = 1", "only `name: type = value`"),
        ("a, b = 1, 2", "only `name: type = value`"),
        ("print('hello')", "only `name: type = value`"),
        ("fast = 1\nfast = 2", "twice"),
        ("%matplotlib inline", "not Python"),
        ("fast: int = ", "not Python"),
    ],
)
def test_a_parameters_cell_holds_typed_literals_and_nothing_else(source, reason):
    with pytest.raises(InputError, match=reason):
        parse_parameters(source, "small.ipynb")


@pytest.mark.parametrize(
    "annotation", ["Optional[int]", "typing.Optional[int]", "int | None", "None | int", "'int | None'"]
)
def test_the_ways_to_allow_none(annotation):
    assert str(parse_parameters(f"fast: {annotation} = None", "small.ipynb")[0].kind) == "int | None"


def test_reads_a_notebook_file(tmp_path):
    assert [p.name for p in read_parameters(notebook(tmp_path / "a.ipynb"))] == ["symbol", "window"]


def test_a_notebook_without_a_parameters_cell_or_with_two_is_refused(tmp_path):
    with pytest.raises(InputError, match="no cell tagged 'parameters'"):
        read_parameters(notebook(tmp_path / "none.ipynb", parameters=None))
    node = read_notebook(notebook(tmp_path / "a.ipynb"))
    node.cells.append(nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}))
    nbformat.write(node, tmp_path / "two.ipynb")
    with pytest.raises(InputError, match="2 cells tagged"):
        read_parameters(tmp_path / "two.ipynb")


NO_NOTEBOOKS = [
    "",
    "{}",
    "not json",
    "[]",
    "[" * 50_000,
    '{"nbformat": 4}',
    '{"cells": [{}], "nbformat": 4, "nbformat_minor": 5}',
]


@pytest.mark.parametrize("content", NO_NOTEBOOKS)
def test_a_file_that_is_no_notebook_is_one_clear_error(tmp_path, content):
    (tmp_path / "bad.ipynb").write_text(content)
    with pytest.raises(InputError, match=r"bad\.ipynb"):
        read_parameters(tmp_path / "bad.ipynb")


def test_a_missing_notebook_is_answered_with_the_nearest_name(tmp_path):
    notebook(tmp_path / "03_backtest.ipynb")
    with pytest.raises(InputError, match=r"Did you mean .03_backtest"):
        read_parameters(tmp_path / "3_backtest.ipynb")
    with pytest.raises(InputError, match="no such notebook"):
        read_parameters(tmp_path)


HURTS = [
    ("numbers: dict = {}", '{"a": ' * 50_000 + "1" + "}" * 50_000),
    ("count: int = 1", "1" + "0" * 400),
    ("count: int = 1", "9" * 5_000),
    ("count: int = 1", 10**400),
    ("share: float = 1.0", "1" + "0" * 400),
    ("share: float = 1.0", 10**400),
    ("numbers: list[int] = []", "[1" + "0" * 400 + "]"),
    ("numbers: list[float] = []", "[1e999]"),
    ("text: str = ''", "x" * 70_000),
]


@pytest.mark.parametrize("number", range(len(HURTS)))
def test_values_that_are_made_to_hurt_are_one_clear_error(number):
    declared, text = HURTS[number]
    (parameter,) = parse_parameters(declared, "small.ipynb")
    with pytest.raises(InputError, match=r"Parameter '(numbers|count|share|text)'"):
        convert(parameter.name, parameter.kind, text)
