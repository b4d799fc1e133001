"""Files of the usual sources, damaged at random: the right bars or one clear refusal, whatever the damage."""

import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.data import ImportRules, import_file
from atb.errors import AtbError
from tests.bars import random_walk
from tests.data.providers.files.sources import SOURCES, ZONELESS
from tests.seeds import examples

FRAME = random_walk(48, 5, price=42_000.0)
WRITERS = {**SOURCES, **ZONELESS}
TOKENS = (
    str(10**400), "1e400", "-1", "", "NaN", "inf", "\x00", "é", '"', ",", ";", "\n", "\r", "1,5", "1.234,5", "[[[[", "null", "true",
    "9999-12-31T23:00:00Z", "0001-01-01T00:00:00Z", "2024-02-30", "99999999999999999999", "253402300799000", "24:00:00", "\u2028",
)  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict[str, Path]:
    """Return a file of each source."""
    folder = tmp_path_factory.mktemp("sound")
    files = {}
    for number, (name, write) in enumerate(WRITERS.items()):
        (folder / str(number)).mkdir()
        files[name] = write(folder / str(number), FRAME)
    return files


@st.composite
def damages(draw):
    """Draw damage to a file: at which share of its length, in which way, with which bytes."""
    ways = st.sampled_from(["put", "insert", "cut", "end", "line again", "line gone", "flip"])
    return draw(st.lists(st.tuples(ways, st.floats(0, 1), st.sampled_from(TOKENS)), min_size=1, max_size=3))


def damaged(content: bytes, damage) -> bytes:
    """Return the content after all that is done to it."""
    for way, share, token in damage:
        at, word = int(share * len(content)), token.encode()
        line = content[:at].rfind(b"\n") + 1, (content.find(b"\n", at) + 1 or len(content))
        content = {
            "put": lambda c, at=at, word=word: c[:at] + word + c[at + len(word) :],
            "insert": lambda c, at=at, word=word: c[:at] + word + c[at:],
            "cut": lambda c, at=at, word=word: c[:at] + c[at + len(word) + 1 :],
            "end": lambda c, at=at: c[:at],
            "line again": lambda c, line=line: c[: line[1]] + c[line[0] : line[1]] + c[line[1] :],
            "line gone": lambda c, line=line: c[: line[0]] + c[line[1] :],
            "flip": lambda c, at=at: c[:at] + bytes(255 - byte for byte in c[at : at + 1]) + c[at + 1 :],
        }[way](content)
    return content


@examples(150)
@given(source=st.sampled_from(sorted(WRITERS)), damage=damages(), keep=st.booleans())
def test_a_damaged_file_gives_its_own_bars_or_one_clear_refusal(sound, tmp_path_factory, source, damage, keep):
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / sound[source].name
    path.write_bytes(damaged(sound[source].read_bytes(), damage))
    rules, refused = ImportRules(assume_utc=True), None
    gaps = "keep" if keep else "refuse"
    try:
        report = import_file(path, root=folder / "bars", symbol="BTC/USDT", timeframe="1h", gaps=gaps, rules=rules)
    except AtbError as error:
        refused = error
    if refused is not None:
        assert refused.exit_code == 2
        assert str(refused).isprintable()
        assert not list((folder / "bars").rglob("*.parquet"))
        return
    # At most the cells that were hit differ: no row is taken for another, no column for another.
    bars = report.bars.frame
    common = bars.index.intersection(FRAME.index)
    differ = (bars.loc[common].to_numpy() != FRAME.loc[common].to_numpy()).sum()
    assert differ + len(bars) - len(common) <= 2 * len(damage)


@examples(60)
@given(text=st.text(max_size=200), name=st.sampled_from(["x.csv", "x.json", "x.feather", "x"]))
def test_no_text_at_all_ends_in_anything_but_a_refusal(tmp_path_factory, text, name):
    folder = tmp_path_factory.mktemp("text")
    (folder / name).write_text(text, errors="replace")
    with pytest.raises(AtbError) as caught:
        import_file(folder / name, root=folder / "bars", symbol="BTC/USDT")
    assert str(caught.value).isprintable()


def test_the_sound_files_import(sound, tmp_path):
    for number, (source, path) in enumerate(sound.items()):
        root = tmp_path / str(number)
        report = import_file(path, root=root, symbol="BTC/USDT", rules=ImportRules(assume_utc=True))
        assert report.bars.frame.index.equals(FRAME.index), source
        assert re.search("epoch|UTC|zone", " ".join(report.notes)), source
        pd.testing.assert_index_equal(report.bars.frame.columns, FRAME.columns)
