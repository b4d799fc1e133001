"""`%atb` in a real IPython shell: commands run in the cell, refusals end it, Tab completes what the project has."""

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from atb.cli import COMMANDS
from atb.cli.magic import TERMINAL, completions
from tests.data.markets import days, store


@pytest.fixture
def shell(tmp_path):
    store(tmp_path / "bars", days(120))
    made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    made.run_line_magic("load_ext", "atb")
    return made


def completed(shell, text: str) -> set[str]:
    with provisionalcompleter():
        return {found.text for found in shell.Completer.completions(text, len(text))}


def test_a_command_runs_in_the_cell_and_prints_into_it(shell, capsys):
    assert shell.run_cell("%atb backtest sma_cross -s BTC/USDT -t 1d -p fast=5 -p slow=20 --no-report").success
    printed = capsys.readouterr().out
    assert "sma_cross" in printed
    assert "fast         5" in printed
    assert shell.run_cell("%atb runs").success
    assert "No run yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("backtest sma_cros", "Did you mean 'sma_cross'?"),
        ("backtest sma_cross -s DOGE/USDT", "DOGE/USDT"),
        ("bactest", "Did you mean 'backtest'?"),
        ("backtest", "Missing argument 'STRATEGY'"),
        ("backtest 'sma", "No closing quotation"),
        ("test-strategy absent", "absent"),
        *((name, "needs a terminal of its own") for name in TERMINAL),
    ],
)
def test_a_refusal_ends_the_cell_in_a_sentence_without_a_traceback(shell, capsys, line, said):
    assert not shell.run_cell(f"%atb {line}").success
    printed = "".join(capsys.readouterr())
    assert said in printed
    assert "Traceback" not in printed


def test_the_exit_code_of_a_check_that_failed_ends_the_cell(shell, capsys, monkeypatch):
    monkeypatch.setenv("ATB__LOG__LEVEL", "nonsense")
    assert not shell.run_cell("%atb doctor").success
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("%atb backt", {"backtest"}),
        ("atb backt", {"backtest"}),
        ("%atb backtest sma", {"sma_cross"}),
        ("%atb backtest sma_cross --sym", {"--symbol"}),
        ("%atb backtest sma_cross -s BT", {"BTC/USDT"}),
        ("%atb backtest sma_cross -s btc", {"BTC/USDT"}),
        ("%atb sweep sma_cross -s BTC/USDT -t ", {"1d"}),
        ("%atb backtest sma_cross -p ", {"fast=", "slow="}),
        ("%atb data im", {"import"}),
    ],
)
def test_tab_completes_commands_strategies_symbols_and_parameters(shell, typed, wanted):
    assert wanted <= completed(shell, typed)


def test_a_shell_is_offered_every_command_and_no_more_than_fits():
    assert set(completions([], "")) == set(COMMANDS)
    assert completions(["backtest"], "no_such") == []
    assert completions(["backtest", "no_such", "-p"], "") == []


def test_settings_that_are_wrong_complete_to_nothing(monkeypatch):
    monkeypatch.setenv("ATB__DATA__ROOT", "")
    assert completions(["backtest", "sma_cross", "-s"], "") == []


@pytest.mark.parametrize(
    "line", ["%atb ", "%atb backtest sma_cross -s ", "%atb backtest sma_cross -p ", "%atb backtest "]
)
def test_python_offers_none_of_its_own_words_among_a_commands(shell, line):
    shell.run_line_magic("reload_ext", "atb")
    shell.Completer.use_jedi = True
    found = completed(shell, line)
    assert found
    assert not {"and", "if", "in", "is", "not", "or"} & found
