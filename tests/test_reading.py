"""Files and JSON that others may have written: one ValueError for what would cost memory, stack or a traceback later."""

import os

import pytest

from atb.reading import DEEPEST, parse_json, read_file, read_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 50_000 + b"]" * 50_000, "nested deeper"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested deeper"),
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "nested deeper"),
        (b"[1" + b"0" * 400 + b"]", "401 digits"),
        (b"[" + b"9" * 10_000 + b"]", "10000 digits"),
        (b"[9223372036854775808]", "64 bits"),
        (b"[-9223372036854775809]", "64 bits"),
        (b"[1e999]", "no finite number"),
        (b"[NaN]", "no finite number"),
        (b"[-Infinity]", "no finite number"),
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b'["\\ud800"]', "surrogates"),
        (b'{"\\ud800": 1}', "surrogates"),
        (b"\xff\xfe", "utf-8"),
        (b"", "Expecting value"),
        (b"{", "Expecting"),
    ],
)  # fmt: skip
def test_what_would_hurt_later_is_one_value_error(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_what_is_ordinary_is_read_as_it_is():
    assert parse_json('{"a": [1, -2.5, null, true, "ä"], "b": {"c": 1e300}}') == {
        "a": [1, -2.5, None, True, "ä"],
        "b": {"c": 1e300},
    }
    assert parse_json("[" * DEEPEST + "]" * DEEPEST)
    assert parse_json("[9223372036854775807, -9223372036854775808]") == [2**63 - 1, -(2**63)]


def test_a_file_is_regular_and_of_bounded_size(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b"[1]")
    assert read_json(path) == [1]
    assert read_file(path, max_bytes=3) == b"[1]"
    path.write_bytes(b" " * 1_025)
    with pytest.raises(ValueError, match="larger than 1 KiB"):
        read_file(path, max_bytes=1_024)
    with path.open("ab") as file:
        file.truncate(1 << 40)  # a sparse file of a TiB is not read into memory
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        read_json(path)


def test_what_is_no_file_is_refused_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", type(tmp_path)("/dev/zero")):
        with pytest.raises(ValueError, match="no regular file"):
            read_file(path, max_bytes=10)
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(OSError):
            read_file(path, max_bytes=10)
