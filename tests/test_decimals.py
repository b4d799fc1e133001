"""Numbers in sentences: one thing is one, and what is not 0 is never shown as 0."""

import math

import pytest

from atb.decimals import counted, percent


@pytest.mark.parametrize(
    ("given", "text"),
    [((0, "bar"), "0 bars"), ((1, "bar"), "1 bar"), ((1.0, "closed trade"), "1 closed trade"), ((1_234, "bar"), "1,234 bars"),
     ((1, "bar is", "bars are"), "1 bar is"), ((2, "bar is", "bars are"), "2 bars are")],
)  # fmt: skip
def test_things_are_counted_in_the_grammar_of_their_number(given, text):
    assert counted(*given) == text


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [(12.34, ".1f", "12.3 %"), (0.0, ".1f", "0.0 %"), (0.04, ".1f", "< 0.1 %"), (-0.04, ".1f", "> -0.1 %"), (0.4, ".0f", "< 1 %"),
     (0.05001, ".1f", "0.1 %"), (0.004, ".2f", "< 0.01 %"), (math.inf, ".1f", "inf %")],
)  # fmt: skip
def test_a_percentage_that_rounds_to_0_says_that_it_is_less_than_the_least(value, form, text):
    assert percent(value, form) == text
