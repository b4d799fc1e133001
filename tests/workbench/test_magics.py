"""`%%strategy NAME` in a real IPython shell: the cell becomes a file, and the notebook goes on with its class."""

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from atb.config import load_settings
from atb.errors import InputError
from atb.strategies import make_strategy
from atb.workbench.magics import write_strategy
from tests.strategies.own_files import FADE


@pytest.fixture
def shell():
    return InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))


def test_a_cell_becomes_a_file_and_its_class_is_used_in_the_next_cell(shell, capsys):
    shell.run_line_magic("load_ext", "atb")
    head, body = FADE[: FADE.index("@dataclass")], FADE[FADE.index("@dataclass") :]
    shell.run_cell(head).raise_error()
    shell.run_cell(f"%%strategy fade\n{body}").raise_error()
    assert "Fade is the strategy fade" in capsys.readouterr().out
    shell.run_cell("mine = Fade(window=8)").raise_error()
    assert shell.user_ns["mine"] == make_strategy("fade", window=8)
    assert type(shell.user_ns["mine"]).__module__ == "atb.strategies.own.fade"
    assert (load_settings().strategies_root / "test_fade.py").is_file()


@pytest.mark.parametrize("line", ["", "a b", "--replace", "'a b"])
def test_a_line_without_one_name_is_refused(line):
    with pytest.raises(InputError, match="Say the strategy's name"):
        write_strategy(line, FADE, {})
