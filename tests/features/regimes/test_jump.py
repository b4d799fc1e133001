"""The jump model: the cheapest path up to each bar, as the library infers it online, from a bounded window."""

import dataclasses

import numpy as np
import pytest

from atb.errors import InputError
from tests.features.regimes.fitted import JUMP, changing_market


def seen_by(bars) -> np.ndarray:
    return JUMP.scale.apply(JUMP.observed(bars)[JUMP.slow :])


@pytest.mark.parametrize("penalty", [0.0, 1.0, 4.0, 20.0])
def test_a_window_ends_in_the_state_that_the_library_infers_online(penalty):
    from jumpmodels.jump import do_E_step

    model = dataclasses.replace(JUMP, penalty=penalty)
    bars, _ = changing_market(500, 1)
    regime, seen = model.compute(bars)["regime"].to_numpy(), seen_by(bars)
    for row in range(model.warmup, 500, 13):
        window = seen[row - model.slow - model.memory + 1 : row - model.slow + 1]
        costs = do_E_step(window, np.array(JUMP.centres), penalty * (1 - np.eye(2)), return_value_mx=True)
        assert regime[row] == costs[-1].argmin()
    assert len(np.unique(regime[model.warmup :])) == 2


def test_a_penalty_saves_changes():
    bars, _ = changing_market(2_000, 2)
    changes = [
        np.count_nonzero(np.diff(dataclasses.replace(JUMP, penalty=penalty).compute(bars)["regime"].dropna()))
        for penalty in (0.0, 4.0, 30.0)
    ]
    assert changes[0] > 2 * changes[1] > 2 * changes[2] > 0


def test_the_best_path_repaints_and_the_online_one_does_not():
    from jumpmodels.jump import do_E_step

    bars, _ = changing_market(600, 3)
    penalties, repainted = JUMP.penalty * (1 - np.eye(2)), 0
    whole = do_E_step(seen_by(bars), np.array(JUMP.centres), penalties)[1]
    for cut in range(150, 600, 30):
        past = do_E_step(seen_by(bars.iloc[:cut]), np.array(JUMP.centres), penalties)[1]
        repainted += int((past != whole[: len(past)]).sum())
        ours = JUMP.compute(bars.iloc[:cut])["regime"].to_numpy()
        assert ours.tobytes() == JUMP.compute(bars)["regime"].to_numpy()[:cut].tobytes()
    assert repainted > 0


def test_the_lead_is_a_share_of_the_penalty():
    bars, _ = changing_market(500, 4)
    lead = JUMP.compute(bars)["lead"].iloc[JUMP.warmup :]
    assert lead.between(0, 1).all()
    assert (lead == 1).any()
    assert (lead < 1).any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"centres": ((1.0,),)}, "centre"), ({"centres": ((np.nan,) * 3,) * 2}, "centre"), ({"penalty": -1.0}, "penalty"),
     ({"penalty": np.inf}, "penalty"), ({"fast": 20}, "fast below slow"), ({"memory": 1}, "memory")],
)  # fmt: skip
def test_numbers_that_are_no_model_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        dataclasses.replace(JUMP, **wrong)
