"""The error tree: what is wrong, what was found, what to do; exit codes by class."""

import pytest

from atb.errors import (
    AtbError,
    ConfigError,
    DataError,
    InputError,
    ModelError,
    ParityError,
    PromotionError,
    RunError,
    SetupError,
    did_you_mean,
)


def test_a_message_says_what_is_wrong_what_was_found_and_what_to_do():
    assert str(DataError("No bars", found="x", todo="Import them")) == "No bars; found 'x'. Import them"
    assert str(DataError("No bars", todo="Import them")) == "No bars. Import them"
    assert str(DataError("No bars", found=0)) == "No bars; found 0"
    assert str(DataError("No bars")) == "No bars"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (InputError, 2), (ConfigError, 2), (DataError, 2), (ModelError, 2), (PromotionError, 2), (SetupError, 2),
        (RunError, 1), (ParityError, 1),
    ],
)  # fmt: skip
def test_every_refusal_has_the_exit_code_of_its_kind(kind, code):
    assert issubclass(kind, AtbError)
    assert kind("wrong").exit_code == code


def test_a_wrong_argument_is_a_value_error_too():
    assert issubclass(InputError, ValueError)


def test_suggests_the_nearest_name_or_lists_the_known_ones():
    assert did_you_mean("sma_crss", ["sma_cross", "ml_basic"]) == "Did you mean 'sma_cross'?"
    assert did_you_mean("zzz", ["b", "a"]) == "Known: a, b"
    assert did_you_mean("zzz", []) == "None is known"


def test_a_sentence_that_ends_itself_gets_no_second_full_stop():
    assert str(InputError("Is it 'fast'?", todo="Say so")) == "Is it 'fast'? Say so"
