"""What a cell shows is kept up to a limit, in whichever part of a message it is large."""

import pytest
from nbformat.v4 import new_code_cell

from atb.experiments.client import NAME_CHARS, NOTEBOOK_CHARS, TEXT_CHARS, RunClient

LARGE = 3 * TEXT_CHARS


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("error", {"ename": "E" * LARGE, "evalue": "x", "traceback": ["x"]}),
        ("error", {"ename": "E", "evalue": "x" * LARGE, "traceback": ["x" * LARGE] * 100}),
        ("display_data", {"data": {"text/plain": "x"}, "metadata": {"m": "x" * LARGE}}),
        ("display_data", {"data": {"k" * LARGE: "x"}, "metadata": {}}),
        ("execute_result", {"data": {"text/plain": "x" * LARGE}, "metadata": {}}),
    ],
)
def test_no_part_of_an_output_is_larger_than_what_is_kept(kind, content):
    client = RunClient.__new__(RunClient)
    client._all = 0
    client._cut(kind, content, cell=new_code_cell(""), index=0)
    assert len(repr(content)) < TEXT_CHARS * 3 // 2 + 40 * TEXT_CHARS // 20
    assert client._all <= NOTEBOOK_CHARS


def test_a_type_whose_name_is_a_text_is_named_in_part():
    client = RunClient.__new__(RunClient)
    client._all = 0
    content = {"data": {"k" * LARGE: "x"}, "metadata": {}}
    client._cut("display_data", content, cell=new_code_cell(""), index=0)
    assert "k" * NAME_CHARS in content["data"]["text/plain"]
    assert "k" * (NAME_CHARS + 1) not in content["data"]["text/plain"]
