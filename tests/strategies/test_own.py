"""Your own strategies: found by their files' names, typed like built-in ones, and each broken file breaks only itself."""

import sys

import pytest

from atb.config import load_settings
from atb.domain import Strategy
from atb.errors import InputError
from atb.strategies import (
    grid,
    is_own,
    make_strategy,
    parameter_types,
    strategy_class,
    strategy_module,
    strategy_names,
    strategy_params,
)
from tests.strategies.own_files import FADE, write_strategy


def test_a_file_of_the_folder_is_a_strategy_of_its_name():
    write_strategy("fade", FADE)
    strategy = make_strategy("fade", window=9)
    assert isinstance(strategy, Strategy)
    assert strategy_names()[-1] == "fade"
    assert is_own("fade")
    assert strategy_module("fade") == "atb.strategies.own.fade"
    assert parameter_types("fade") == {"window": int, "depth": float}
    assert strategy_params(strategy) == {"window": 9, "depth": 0.02}
    assert [one.window for one in grid("fade", window=[0, 5, 7])] == [5, 7]


def test_without_a_folder_there_are_the_built_in_ones():
    assert not load_settings().strategies_root.exists()
    assert not any(is_own(name) for name in strategy_names())
    with pytest.raises(InputError, match="Unknown strategy"):
        make_strategy("fade")


def test_the_setting_names_another_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ATB__STRATEGIES__FOLDER", "mine")
    write_strategy("fade", FADE)
    assert (tmp_path / "mine" / "fade.py").is_file()
    assert make_strategy("fade").window == 20


def test_parameters_are_typed_like_those_of_built_in_strategies():
    write_strategy("fade", FADE)
    refused = (
        ({"window": 2.5}, "fade.window must be a whole number"),
        ({"windo": 3}, "Did you mean 'window'"),
        ({"window": 0}, "fade refuses its parameters: need window above 0"),
        ({"depth": True}, "finite"),
    )
    for wrong, message in refused:
        with pytest.raises(InputError, match=message):
            make_strategy("fade", **wrong)
    with pytest.raises(InputError, match="Did you mean 'fade'"):
        make_strategy("fad")


def test_a_file_that_changed_is_loaded_again():
    path = write_strategy("fade", FADE)
    before = strategy_class("fade")
    assert strategy_class("fade") is before
    path.write_text(path.read_text().replace("window: int = 20", "window: int = 25"))
    assert make_strategy("fade").window == 25
    assert strategy_class("fade") is not before


def test_shared_code_of_the_folder_is_imported_and_loaded_again_with_it():
    shared = write_strategy("_shared", '"""Shared."""\n\nDEPTH = 0.5\n')
    imported = "from atb.strategies.own._shared import DEPTH\n"
    write_strategy(
        "fade", FADE.replace("import numpy as np\n", f"import numpy as np\n\n{imported}").replace("0.02", "DEPTH")
    )
    assert make_strategy("fade").depth == 0.5
    shared.write_text('"""Shared."""\n\nDEPTH = 0.25\n')
    assert make_strategy("fade").depth == 0.25
    assert strategy_names()[-1] == "fade"
    assert "_shared" not in strategy_names()


def test_another_folder_means_other_files(tmp_path, monkeypatch):
    write_strategy("fade", FADE)
    assert make_strategy("fade").window == 20
    monkeypatch.setenv("ATB__STRATEGIES__FOLDER", str(tmp_path / "other"))
    write_strategy("fade", FADE.replace("window: int = 20", "window: int = 33"))
    assert make_strategy("fade").window == 33


def test_byte_code_beside_a_file_is_neither_read_nor_written():
    path = write_strategy("fade", FADE)
    make_strategy("fade")
    assert not (path.parent / "__pycache__").exists()


def test_a_broken_file_breaks_only_itself():
    write_strategy("broken", "def signals(:\n")
    write_strategy("fade", FADE)
    assert {"broken", "fade"} <= set(strategy_names())
    assert make_strategy("fade").window == 20
    with pytest.raises(InputError, match=r"The file of broken is not Python: .*broken\.py, line 1"):
        make_strategy("broken")
    assert "atb.strategies.own.broken" not in sys.modules


def test_a_built_in_strategy_is_never_shadowed():
    path = write_strategy("sma_cross", "raise SystemExit('this must not run')\n")
    assert make_strategy("sma_cross").fast == 20
    assert strategy_names().count("sma_cross") == 1
    assert strategy_module("sma_cross") == "atb.strategies.sma_cross"
    assert not is_own("sma_cross")
    assert path.is_file()


BROKEN = {
    "no Python": ("x = (\n", "is not Python"),
    "nothing in it": ('"""Empty."""\n', "defines no strategy"),
    "two classes": (FADE + FADE[FADE.index("@dataclass") :].replace("class Fade", "class Other"), "more than one.*Fade, Other"),
    "no name": (FADE.replace('    name: ClassVar[str] = "fade"\n', ""), "Fade has no name.*name: ClassVar"),
    "another name": (FADE.replace('= "fade"', '= "fader"'), "'fader' in a file of another name"),
    "no predicts": (FADE.replace("    predicts: ClassVar[bool] = False\n", ""), "Fade has no predicts"),
    "a name that is a parameter": (FADE.replace("name: ClassVar[str]", "name: str"), "takes name for a parameter"),
    "no dataclass": (FADE.replace("@dataclass(frozen=True)\n", ""), "no frozen dataclass"),
    "not frozen": (FADE.replace("(frozen=True)", ""), "no frozen dataclass"),
    "no features": (FADE.replace("def features", "def _features"), "Fade has no features"),
    "no signals": (FADE.replace("def signals", "def _signals"), "Fade has no signals"),
    "no warm-up": (FADE.replace("def warmup", "def _warmup"), "Fade has no warmup"),
    "a list": (FADE.replace("window: int = 20", "window: tuple[int, ...] = (20,)"), "window that is no plain value"),
    "no default": (FADE.replace("window: int = 20", "window: int"), "window without a default"),
    "an unknown annotation": (FADE.replace("window: int = 20", 'window: "Windows" = 20'), "annotation that cannot be read"),
    "an error at import": (FADE + "\nEDGE = 1 / 0\n", r"ZeroDivisionError: .*fade\.py, line \d+"),
    "an import of nothing": ("import of_nobody\n" + FADE, r"No module named 'of_nobody'.*line 1"),
    "an exit": (FADE + "\nraise SystemExit(3)\n", "SystemExit"),
    "no text": ("\0", "is not Python|cannot be loaded"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_no_strategy_is_refused_with_its_fault_and_the_way_out(kind):
    text, message = BROKEN[kind]
    path = write_strategy("fade", text)
    with pytest.raises(InputError, match=message) as refused:
        make_strategy("fade")
    assert str(path) in str(refused.value)
    assert refused.value.todo


def test_a_class_is_as_good_as_a_name_where_parameters_are_chosen():
    scope = {"__name__": "__main__"}
    exec(FADE, scope)
    assert [one.depth for one in grid(scope["Fade"], depth=[0.1, 0.2])] == [0.1, 0.2]
    with pytest.raises(InputError, match=r"fade has no such parameter.*Did you mean 'depth'"):
        grid(scope["Fade"], dept=[1.0])


def loose(kind, /, **parts):
    """Return an object of a class of the given parts."""
    return type(kind, (), {"predicts": False, "features": 1, **parts})()


LOOSE = {
    "its class": (lambda kind: kind, r"not its class; found 'Fade'. Write Fade\(\)"),
    "no name": (lambda _: loose("Nameless", signals=1, warmup=0), "Nameless has no name"),
    "no signals": (lambda _: loose("Mute", name="mute", warmup=0), "Mute has no signals"),
    "a text": (lambda _: "fade", r"A strategy is wanted; found 'fade'. .*make_strategy"),
    "nothing": (lambda _: None, "A strategy is wanted. Make one"),
}


@pytest.mark.parametrize("kind", LOOSE)
def test_what_is_no_strategy_is_refused_where_a_slot_is_made(kind):
    from atb.engine.slot import Slot
    from tests.bars import bars_of, random_walk

    scope = {"__name__": "__main__"}
    exec(FADE, scope)
    make, message = LOOSE[kind]
    with pytest.raises(InputError, match=message):
        Slot(make(scope["Fade"]), bars_of(random_walk(30)))


def test_a_warm_up_that_is_a_parameter_without_a_default_is_one():
    from atb.engine.slot import Slot
    from tests.bars import bars_of, random_walk

    scope = {"__name__": "__main__"}
    exec(
        FADE.replace("    window: int = 20", "    warmup: int\n    window: int = 20").replace(
            "def warmup(", "def other("
        ),
        scope,
    )
    assert Slot(scope["Fade"](30), bars_of(random_walk(50))).warmup >= 30


def test_parameters_of_what_is_no_dataclass_are_refused():
    with pytest.raises(InputError, match=r"frozen dataclass.*Write @dataclass"):
        strategy_params(object())
