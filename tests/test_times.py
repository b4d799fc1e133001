"""Times: text and dates turned into UTC timestamps."""

import pytest

from atb.errors import InputError
from atb.times import in_ms, moment


@pytest.mark.parametrize("text", ["1678-01-01", "2261-12-31T23:59:59+00:00"])
def test_a_moment_has_its_milliseconds(text):
    assert moment(str(moment(text))) == moment(text)
    assert in_ms(moment(text)) % 1_000 == 0


@pytest.mark.parametrize("text", ["0001-01-01", "1677-12-31", "2262-01-01", "9999-12-31"])
def test_a_moment_that_has_no_milliseconds_is_refused(text):
    with pytest.raises(InputError, match="years 1678 to 2261"):
        moment(text)
