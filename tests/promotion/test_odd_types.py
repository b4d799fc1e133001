"""A manifest whose signature is good and whose values are not: one sentence wherever a type is another, and no traceback."""

from dataclasses import asdict

import pytest

from atb.errors import AtbError
from atb.live.plan import make_plan
from atb.promotion.manifest import Manifest, check_verdict, load_manifest, sign_manifest, verify
from tests.live.desk import ruled_result

ODD = (None, True, 7, -1, 2**62, 1.5, "odd", "", [], [1, "a", None], {}, {"odd": 1}, [[["deep"]]])
LISTED = {"sources", "locks", "versions"}  # text by text: one key of each stands for all


@pytest.fixture
def paper(sqlite_desk):
    return load_manifest(sqlite_desk.promote(ruled_result(sqlite_desk.stock(260, 1))))


def places(value, path=()):
    """Yield the path of every value of a manifest, containers too."""
    yield path
    if isinstance(value, dict):
        keys = list(value)[:1] if path and path[0] in LISTED else list(value)
        for key in keys:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value[:2]):
            yield from places(part, (*path, number))


def replaced(value, path, odd):
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], odd)
    return copy


def read(values, desk):
    """Read values as the runner reads a file, to the plan."""
    manifest = Manifest.from_json(values)
    check_verdict(manifest)
    return make_plan(manifest, desk.models_root)


def refusal(values, act):
    """Return what refused values, None if nothing did; anything but a refusal of atb's own fails."""
    try:
        act(values)
    except AtbError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error
    return None


def test_a_value_of_another_type_anywhere_is_a_refusal_and_never_a_traceback(sqlite_desk, paper):
    good, tried, refused = asdict(paper), 0, []
    for path in places(good):
        for odd in ODD if path else ():
            tried += 1
            found = refusal(replaced(good, path, odd), lambda values: read(values, sqlite_desk))
            refused += [] if found is None else [found]
    assert tried > 1_000
    assert len(refused) > tried / 3
    assert max(map(len, refused)) < 3_000


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_the_whole_check_of_a_signed_manifest_survives_odd_values(sqlite_desk, paper, mode):
    def check(values):
        manifest = sign_manifest(Manifest.from_json(values), sqlite_desk.keys_root)
        check_verdict(manifest)
        verify(manifest, models_root=sqlite_desk.models_root, keys_root=sqlite_desk.keys_root)

    good = asdict(paper) | {"mode": mode, "evidence": {"gate": {}}}
    paths = ("sources", "runners/live.py"), ("locks", "requirements.lock"), ("versions", "numpy"), ("evidence", "gate")
    for path in (*paths, ("verdict",), ("kernel_hash",), ("model",), ("strategy", "module"), ("data",)):
        for odd in ODD:
            refusal(replaced(good, path, odd), check)


@pytest.mark.parametrize("rules", ["policy", "execution", "account", "instrument"])
def test_a_rule_that_a_manifest_does_not_say_is_no_default_but_a_refusal(sqlite_desk, paper, rules):
    said = getattr(paper, rules)
    name = min(said)
    without = {key: value for key, value in said.items() if key != name}
    assert make_plan(paper, sqlite_desk.models_root).manifest == paper
    for given in ({}, without):
        found = refusal(asdict(paper) | {rules: given}, lambda values: read(values, sqlite_desk))
        assert found is not None
        assert name in found
