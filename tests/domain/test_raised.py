"""An error of a strategy's own code is one sentence with the line of its file; refusals pass as they are."""

import json
import re

import pytest

from atb.domain.raised import named_errors
from atb.errors import DataError, InputError


class Raising:
    def run(self, error):
        raise error


@pytest.mark.parametrize(
    "error", [KeyError("x"), ZeroDivisionError("by zero"), SystemExit(0), FileNotFoundError("none")]
)
def test_an_error_is_named_with_its_kind_and_the_line_of_the_file(error):
    wanted = f"The strategy odd raised an error.*{type(error).__name__}"
    with pytest.raises(InputError, match=wanted) as raised, named_errors(Raising(), "odd"):
        Raising().run(error)
    assert f"({__file__}, line " in str(raised.value)
    assert raised.value.__cause__ is error


def test_the_line_of_its_own_file_is_named_where_a_library_raised():
    class Inside:
        def run(self):
            return int("no number")

    with pytest.raises(InputError, match=f"ValueError.*{__file__}"), named_errors(Inside(), "odd"):
        Inside().run()


def test_the_line_of_a_notebooks_cell_is_named_where_a_library_raised(tmp_path):
    file = str(tmp_path / "ipykernel_1" / "2.py")
    cell = "class Cell:\n    @property\n    def warmup(self):\n        return json.loads('no number')\n"
    scope = {"__name__": "__main__", "json": json}
    exec(compile(cell, file, "exec"), scope)
    made = scope["Cell"]()
    with (
        pytest.raises(InputError, match=rf"JSONDecodeError.*\({re.escape(file)}, line 4\)"),
        named_errors(made, "odd"),
    ):
        _ = made.warmup


def test_refusals_and_interrupts_pass_as_they_are():
    for error in (DataError("No bars"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, named_errors(Raising(), "odd"):
            Raising().run(error)
        assert raised.value is error
