"""Hysteresis: confirmations and dwell each matter, and a regime is a function of a bounded window."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.errors import InputError
from atb.features.regimes import Hysteresis
from tests.seeds import examples

A, B, C = 0.0, 1.0, 2.0
SETTLED = np.full(60, A)  # long enough to decide, whatever came before


def regimes(rule: Hysteresis, raw) -> np.ndarray:
    """The regime at each bar of `raw`, after a long stretch of the first label."""
    lead = np.full(rule.warmup + rule.memory, raw[0])
    return rule.settle(np.concatenate([lead, raw]), 3)[0][len(lead) :]


def followed(rule: Hysteresis, raw, label: int, age: int) -> list[tuple[int, int]]:
    """The two rules written down once more, one bar at a time, from a given state on: label and age at each bar."""
    states = []
    for t in range(rule.confirmations - 1, len(raw)):
        last = raw[t - rule.confirmations + 1 : t + 1]
        confirmed = len(set(last)) == 1
        if confirmed and last[-1] != label and age >= rule.dwell:
            label, age = last[-1], 1
        else:
            age += 1
        states.append((int(label), min(age, rule.dwell)))
    return states


labels = st.integers(0, 2).map(float)
stretches = st.lists(st.tuples(labels, st.integers(1, 15)), min_size=30, max_size=60)
rules = st.builds(
    lambda k, d, m: Hysteresis(k, d, max(m, 2 * d)), st.integers(1, 4), st.integers(1, 9), st.integers(8, 50)
)


def drawn(parts) -> np.ndarray:
    return np.concatenate([np.full(length, label) for label, length in parts])


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_a_change_comes_exactly_k_minus_1_bars_late(k):
    changed = regimes(Hysteresis(confirmations=k, dwell=1), np.r_[np.full(20, A), np.full(20, B)])
    assert int(np.argmax(changed == B)) == 20 + k - 1
    assert (changed[20 + k - 1 :] == B).all()


def test_one_other_label_begins_the_count_anew():
    """Two of three bars say B for ever, and never three in a row: a count that is never reset would change at the third."""
    raw = np.r_[np.full(20, A), np.tile([B, B, A], 20)]
    assert (regimes(Hysteresis(confirmations=3, dwell=1), raw) == A).all()
    assert (regimes(Hysteresis(confirmations=2, dwell=1), raw) == B).any()


def test_a_third_label_confirms_neither_of_two():
    raw = np.r_[np.full(20, A), np.tile([B, C], 20)]
    assert (regimes(Hysteresis(confirmations=2, dwell=1), raw) == A).all()


def test_dwell_forbids_two_changes_within_so_many_bars():
    raw = np.r_[np.full(20, A), np.full(5, B), np.full(30, A)]
    at_once = regimes(Hysteresis(confirmations=2, dwell=1), raw)
    held = regimes(Hysteresis(confirmations=2, dwell=12), raw)
    assert np.flatnonzero(np.diff(at_once)).tolist() == [20, 25]
    assert np.flatnonzero(np.diff(held)).tolist() == [20, 32]


def test_age_counts_the_bars_of_the_regime_up_to_the_dwell():
    rule = Hysteresis(confirmations=2, dwell=4)
    raw = np.r_[np.full(rule.warmup + 1, A), np.full(8, B)]
    assert rule.settle(raw, 2)[1][-8:].tolist() == [4, 1, 2, 3, 4, 4, 4, 4]


@given(stretches, rules, st.integers(0, 2), st.integers(1, 9))
@examples(40)
def test_a_known_regime_is_that_of_the_two_rules_whatever_the_past(parts, rule, label, age):
    raw = drawn(parts)
    settled, ages = rule.settle(raw, 3)
    run = np.full((len(raw), 2), np.nan)
    run[rule.confirmations - 1 :] = followed(rule, raw, label, min(age, rule.dwell))
    known, aged = ~np.isnan(settled), ~np.isnan(ages)
    assert (settled[known] == run[known, 0]).all()
    assert (ages[known & aged] == run[known & aged, 1]).all()


@given(stretches, rules)
@examples(12)
def test_a_regime_is_undecided_only_where_two_pasts_disagree(parts, rule):
    raw = drawn(parts)
    settled = rule.settle(raw, 3)[0]
    for t in range(rule.warmup, len(raw), 7):
        window = raw[t - rule.warmup : t + 1]
        pasts = [(label, age) for label in range(3) for age in range(1, rule.dwell + 1)]
        ends = {followed(rule, window, *past)[-1][0] for past in pasts}
        assert np.isnan(settled[t]) == (len(ends) > 1)


@given(stretches, rules)
@examples(12)
def test_a_window_of_the_warm_up_gives_the_whole_histories_values(parts, rule):
    raw = drawn(parts)
    settled, age = rule.settle(raw, 3)
    for t in range(rule.warmup, len(raw), 5):
        last = [column[-1] for column in rule.settle(raw[t - rule.warmup : t + 1], 3)]
        np.testing.assert_array_equal(last, [settled[t], age[t]])
    assert np.isnan(settled[: rule.warmup]).all()


@given(stretches, rules)
@examples(40)
def test_known_changes_are_a_dwell_apart(parts, rule):
    settled = rule.settle(drawn(parts), 3)[0]
    known = ~np.isnan(settled)
    both = known[1:] & known[:-1]
    changes = np.flatnonzero(both & (np.diff(np.nan_to_num(settled)) != 0)) + 1
    for first, second in itertools.pairwise(changes):
        assert second - first >= rule.dwell or not known[first:second].all()


def test_where_the_past_matters_for_ever_there_is_no_regime():
    """Labels that alternate faster than the dwell: the regime would depend on a bar of years ago."""
    rule = Hysteresis(confirmations=2, dwell=10, memory=100)
    raw = np.tile(np.r_[np.full(3, A), np.full(3, B)], 100)
    assert np.isnan(rule.settle(raw, 2)[0]).all()


def test_a_confirmed_label_decides_after_a_dwell():
    rule = Hysteresis(confirmations=3, dwell=10, memory=100)
    raw = np.r_[np.tile(np.r_[np.full(3, A), np.full(3, B)], 100), np.full(40, A)]
    decided = ~np.isnan(rule.settle(raw, 2)[0])
    assert int(np.argmax(decided)) <= 600 + rule.confirmations - 1 + rule.dwell
    assert decided[-20:].all()


def test_a_longer_memory_decides_more_and_changes_nothing():
    raw = drawn([(float(n % 3), 2 + (7 * n) % 11) for n in range(80)])
    short, long = (Hysteresis(2, 9, memory).settle(raw, 3)[0] for memory in (24, 60))
    known = ~np.isnan(short) & ~np.isnan(long)
    assert (short[known] == long[known]).all()
    assert np.isnan(short[70:]).sum() > np.isnan(long[70:]).sum()


def test_a_missing_label_confirms_nothing():
    raw = np.r_[np.full(60, A), np.tile([B, np.nan], 20)]
    assert (regimes(Hysteresis(confirmations=2, dwell=1), raw)[40:] == A).all()


@pytest.mark.parametrize("length", [0, 1, 20])
def test_a_history_without_its_warm_up_has_no_regime(length):
    for column in Hysteresis(memory=30).settle(np.zeros(length), 2):
        assert len(column) == length
        assert np.isnan(column).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"confirmations": 0}, "confirmations"), ({"dwell": 1.5}, "dwell"), ({"memory": True}, "memory"),
     ({"dwell": 40, "memory": 79}, "shorter than what it takes to decide")],
)  # fmt: skip
def test_rules_that_mean_nothing_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        Hysteresis(**wrong)


def test_a_long_history_takes_little_memory_and_has_the_values_of_its_parts():
    rule = Hysteresis()
    raw = np.repeat(np.random.default_rng(4).integers(0, 6, 14_000), 10).astype(np.float64)
    tracemalloc.start()
    settled = rule.settle(raw, 6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80_000_000  # bytes; all bars at once took twice as many
    first = 12_345
    for whole, part in zip(settled, rule.settle(raw[first:], 6), strict=True):
        np.testing.assert_array_equal(whole[first + rule.warmup :], part[rule.warmup :])
