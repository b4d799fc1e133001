"""The contract of a strategy: a sound one keeps it, and each kind of fault breaks the check that is made for it."""

import pytest

from atb.domain.inputs import BarsInput, FundingInput, SentimentInput, UniverseInput
from atb.errors import InputError
from atb.strategies import make_strategy
from atb.validation.contract import CHECKS, Subject, check_strategy, outcome
from atb.validation.markets import random_walk, synthetic_input
from tests.strategies.own_files import FADE, write_strategy

QUICK = [check for check in CHECKS if check.__name__ != "decides_alike_at_every_bar"]
SILENT = ("fall = 1 -", "frame.loc[:, 'close'] = 1.0\n        fall = 1 -")
FAULTS = {
    "returns one signal a bar": ("return Signals(np", "return Signals(0 * fall[1:])\n        return Signals(np"),
    "adds features beside the bars": ('["highest"]', '["close"]'),
    "is silent until warm": ("return self.window - 1", "return self.window + 1"),
    "knows nothing of later bars": (".max().set_axis", ".max().shift(-1).set_axis"),
    "leaves its inputs alone": SILENT,
    "keeps no memory": ("fall = 1 -", "_SEEN.append(1)\n        fall = len(_SEEN) % 4 * 0.01 - 0 *"),
    "answers an empty history": ("fall = 1 -", "frame.index[0]\n        fall = 1 -"),
    "parameters survive json": ("@dataclass(frozen=True)", "@dataclass(frozen=True, eq=False)"),
    "every parameter matters": ("fall > self.depth", "fall > 0.02"),
    "decides alike at every bar": ('bars[["close"]].rolling(self.window).max()', 'bars[["close"]].expanding(self.window).max()'),
}  # fmt: skip


def broken(name, *, steps=False):
    return {check.name: check for check in check_strategy(name, steps=steps) if check.failed}


def test_a_sound_strategy_keeps_it_and_says_what_was_seen():
    write_strategy("fade", FADE)
    checks = check_strategy("fade", steps=True)
    assert [check for check in checks if check.failed] == []
    assert all(check.found for check in checks)
    assert len(checks) == len(CHECKS)
    assert "200 bars computed again from the" in checks[-1].found


@pytest.mark.parametrize("check", FAULTS)
def test_each_fault_breaks_its_check_and_is_told_the_way_out(check):
    before, after = FAULTS[check]
    assert before in FADE
    write_strategy("fade", FADE.replace(before, after).replace("@dataclass", "_SEEN = []\n\n\n@dataclass", 1))
    found = broken("fade", steps=check == "decides alike at every bar")
    assert check in found, found
    assert found[check].todo


def test_an_error_of_the_strategy_counts_against_it_with_its_place():
    path = write_strategy("fade", FADE.replace("fall = 1 -", "fall = 1 / 0 -"))
    found = broken("fade")
    assert "ZeroDivisionError" in found["returns one signal a bar"].found
    assert f"{path}, line " in found["returns one signal a bar"].found


def test_one_that_ends_the_program_is_broken_and_ends_nothing():
    write_strategy("fade", FADE.replace("fall = 1 -", "raise SystemExit(0)\n        fall = 1 -"))
    assert "SystemExit: 0" in broken("fade")["returns one signal a bar"].found


def test_features_of_several_types_are_compared_by_their_values():
    mixed = "bars.assign(highest=bars['close'].rolling(self.window).max(), up=bars['close'] > bars['open'])[['highest', 'up']]"
    text = FADE.replace('bars[["close"]].rolling(self.window).max().set_axis(["highest"], axis=1)', mixed)
    text = text.replace("[fall > self.depth,", "[(fall > self.depth) & (frame['up'] == 1).to_numpy(),")
    write_strategy("fade", text)
    assert broken("fade") == {}
    write_strategy("fade", text.replace("bars['open']", "bars['close'].shift(-1)"))
    assert set(broken("fade")) == {"knows nothing of later bars"}


def test_an_example_that_makes_no_strategy_is_one_error():
    write_strategy("fade", FADE.replace("    window: int", '    example: ClassVar = {"windw": 3}\n    window: int'))
    with pytest.raises(InputError, match=r"The strategy fade raised an error.*windw"):
        check_strategy("fade", steps=False)


def test_each_cause_at_the_bars_has_its_way_out():
    ways = {
        "pd.Timestamp.now().hour": "no file, network, program or clock",
        "np.random.rand(len(frame)) * 7": "draw no random numbers",
        "(frame['close'].shift(-1) > frame['close']).to_numpy()": "no mean of the whole column",
    }
    for read, way in ways.items():
        text = FADE.replace("fall = 1 -", f"fall = 0.02 * ({read} % 7) + 1 -").replace(
            "    import pandas as pd", "    pass"
        )
        write_strategy("fade", text.replace("import numpy as np", "import numpy as np\nimport pandas as pd"))
        found = broken("fade", steps=True)["decides alike at every bar"]
        assert way in found.todo, found


def test_a_class_of_no_file_is_checked_alike_and_a_wrong_declaration_is_one_error():
    scope = {"__name__": "__main__"}
    exec(FADE, scope)
    assert [check for check in check_strategy(scope["Fade"], steps=False) if check.failed] == []
    with pytest.raises(InputError, match="no frozen dataclass"):
        check_strategy(
            type("Loose", (), {"name": "loose", "predicts": False, "warmup": 0, "features": 1, "signals": 1})
        )


def test_without_a_prediction_one_that_follows_a_model_is_silent():
    subject = Subject(make_strategy("ml_basic"))
    assert all(outcome(check, subject).ok for check in QUICK)
    guess = type(
        "Guess",
        (type(subject.strategy),),
        {"signals": lambda self, frame: super(type(self), self).signals(frame.fillna(0.9))},
    )
    says_nothing = next(check for check in CHECKS if check.__name__ == "says_nothing_without_a_prediction")
    assert outcome(says_nothing, Subject(guess())).failed


@pytest.mark.parametrize(
    "declared",
    [
        BarsInput("4h", "ETH/USDT", warmup=9),
        BarsInput("1w", "BTC/USDT"),
        BarsInput("1M", "BTC/USDT", warmup=2),
        BarsInput("5m", "BTC/USDT", warmup=9),
        FundingInput("BTC/USDT", warmup=4),
        SentimentInput(warmup=3),
        UniverseInput("top"),
    ],
    ids=str,
)
def test_rows_of_every_input_reach_from_its_warm_up_to_the_last_bar(declared):
    index = random_walk(400, seed=1).index
    rows = synthetic_input(declared, index)
    first, last = index[0].value // 10**6, index[-1].value // 10**6
    assert (rows.known_ms[: declared.warmup + 1] <= first).all()
    assert rows.stated_ms[-1] >= last - 32 * 86_400_000
    assert len(rows.values) == len(rows.stated_ms)


def test_a_strategy_that_seldom_trades_is_checked_on_a_market_on_which_it_does():
    rare = FADE.replace("fall > self.depth", "fall > self.depth + 0.12")
    write_strategy("fade", rare)
    assert broken("fade") == {}
    write_strategy("fade", rare.replace("0.12", "0.9"))
    doubtful = {check.name: check for check in check_strategy("fade", steps=False) if not check.ok}
    assert "5 random walks" in doubtful["returns one signal a bar"].found
    assert {check.status for check in doubtful.values()} == {"warning"}
