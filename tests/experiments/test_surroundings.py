"""The kernel's environment is built from a list of names."""

from hypothesis import given
from hypothesis import strategies as st

from atb.experiments.surroundings import kernel_environment, secrets_of

NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=12)


@given(given=st.dictionaries(NAMES.map(lambda name: f"X{name}"), st.text(max_size=20)))
def test_what_is_not_listed_is_not_passed_on(given):
    listed = {"PATH": "/bin", "LC_ALL": "C", "NUMBA_NUM_THREADS": "1"}
    kept = kernel_environment({**given, **listed})
    assert listed.items() <= kept.items()
    assert {name for name in kept if name not in listed} <= {name for name in given if name.startswith("XDG_")}


def test_the_account_s_keys_are_withheld_even_where_they_are_asked_for():
    given = {
        "ATB__EXCHANGE__API_KEY": "kNrY",
        "ATB__EXCHANGE__API_SECRET": "kNrY",
        "FRED_API_KEY": "fred",
        "ATB__SEED": "1",
    }
    assert kernel_environment(given, given) == {"FRED_API_KEY": "fred", "ATB__SEED": "1"}
    assert secrets_of(given, ("FRED_API_KEY", "ABSENT")) == ("fred",)


def test_addresses_are_passed_on_without_their_passwords():
    given = {
        "ATB__DATABASE__URL": "postgresql://me:p@ss@h/db",
        "HTTPS_PROXY": "http://me:pw@h",
        "HTTP_PROXY": "http://h:1",
        "https_proxy": "http://h",
    }
    assert kernel_environment(given) == {
        "ATB__DATABASE__URL": "postgresql://me@h/db",
        "HTTP_PROXY": "http://h:1",
        "https_proxy": "http://h",
    }
    assert kernel_environment(given, ["HTTPS_PROXY"])["HTTPS_PROXY"] == "http://me:pw@h"
