"""Rules by name: each finds its policy, from a dict, JSON text or a file, and a wrong one is answered with the nearest."""

import json
from dataclasses import fields

import pytest

from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.errors import InputError
from atb.workbench.rules import BacktestRules, make_rules

MANY = {
    "trailing_stop": 0.03, "ladder": [[0.01, 0.5]], "session": ["08:00", "20:00"], "borrow_rate": 0.1, "daily_loss": 0.02,
    "throttle": [[0.05, 0.8]],
}  # fmt: skip
MADE = BacktestRules(
    RiskPolicy(trailing_stop=0.03, ladder=((0.01, 0.5),), session=("08:00", "20:00")),
    ExecutionModel(borrow_rate=0.1),
    AccountPolicy(daily_loss=0.02, throttle=((0.05, 0.8),)),
)


def test_no_name_belongs_to_two_policies():
    names = [field.name for kind in (RiskPolicy, ExecutionModel, AccountPolicy) for field in fields(kind)]
    assert len(names) == len(set(names))


def test_rules_are_the_same_from_a_dict_from_text_and_from_a_file(tmp_path):
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(MANY))
    for given in (MANY, json.dumps(MANY), "\n " + json.dumps(MANY), file, str(file)):
        assert make_rules(given) == MADE


def test_what_is_not_named_keeps_its_default_and_given_rules_overrule_common_ones():
    assert make_rules() == make_rules({}) == make_rules("") == BacktestRules()
    rules = make_rules({"stop_loss": None}, stop_loss=0.05, cash=500.0)
    assert (rules.policy.stop_loss, rules.account.cash) == (None, 500.0)


@pytest.mark.parametrize("kind", ["policy", "execution", "account"])
def test_what_a_policy_writes_is_read_back(kind):
    assert getattr(make_rules(getattr(MADE, kind).to_json()), kind) == getattr(MADE, kind)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trailing_stpo": 0.03}, "Did you mean 'trailing_stop'"),
        ({"dayly_loss": 0.03}, "Did you mean 'daily_loss'"),
        ({"trailing_stop": "x"}, "trailing_stop must be"),
        ({"ladder": [[0.01]]}, "ladder must be"),
        ({"stop_loss": 2}, "stop_loss must be"),
        ("{", "not JSON"),
        ('{"cash": 1, "cash": 2}', "twice"),
        ("nowhere.json", "cannot be read"),
        (".", "cannot be read"),
    ],
)
def test_wrong_rules_are_one_sentence(given, message):
    with pytest.raises(InputError, match=message):
        make_rules(given)


def test_a_file_that_holds_no_object_is_refused(tmp_path):
    file = tmp_path / "rules.json"
    file.write_text("[1]")
    with pytest.raises(InputError, match="one JSON object"):
        make_rules(file)


@pytest.mark.parametrize("value", [10**400, -(10**400), 2**63, [[10**400, 0.5]], [[[0.1]]]], ids=range(5))
@pytest.mark.parametrize("name", ["stop_loss", "max_bars", "cash", "ladder", "fee", "orders_per_day"])
def test_a_number_that_no_float_holds_is_refused_like_any_other(name, value):
    with pytest.raises(InputError, match=name):
        make_rules({name: value})


@pytest.mark.parametrize(
    "text", ['{"x": ' * 50_000 + "1" + "}" * 50_000, '{"max_bars": 1' + "0" * 400 + "}", '{"fee": 1e999}']
)
def test_rules_that_are_made_to_hurt_are_no_json(tmp_path, text):
    (tmp_path / "rules.json").write_text(text)
    for given in (text, tmp_path / "rules.json"):
        with pytest.raises(InputError, match="The rules are not JSON"):
            make_rules(given)
