"""Real money: nothing that a process inherits arms it, words are bound to what they were typed for, and no notebook trades it."""

import itertools
import os
import subprocess
import sys
from contextlib import suppress
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from atb.config import load_settings
from atb.db import open_database
from atb.db.tables import AcknowledgementRow as Row
from atb.errors import AtbError, ConfigError, InputError, PromotionError, SetupError
from atb.live import acknowledgement
from atb.live.acknowledgement import StartRequest, arm, config_sha256, person, words
from tests.database import database, database_url, postgres
from tests.timeouts import PATIENCE_S

__all__ = ["database", "database_url", "postgres"]
WORDS = "main max-loss 250"
REAL = {
    "exchange": {"api_key": "k" * 20, "api_secret": "s" * 20},
    "live": {"account": "main", "max_loss": "250.00"},
}
VARIABLES = {
    "ATB__EXCHANGE__API_KEY": "k" * 20, "ATB__EXCHANGE__API_SECRET": "s" * 20, "ATB__LIVE__ACCOUNT": "main",
    "ATB__LIVE__MAX_LOSS": "250",
}  # fmt: skip


@pytest.fixture
def books(tmp_path):
    """An empty database; what depends on its dialect is tested on both."""
    opened = open_database(f"sqlite:///{tmp_path / 'books.db'}")
    yield opened
    opened.close()


def settings(**sections):
    return load_settings(**{name: {**REAL.get(name, {}), **sections.get(name, {})} for name in {*REAL, *sections}})


def asked(**changes):
    return StartRequest(**{"account": "main", "modes": ("live",), "live": True, "typed": WORDS, **changes})


def stored(database):
    with database.session(read_only=True) as session:
        return session.scalar(select(func.count()).select_from(Row))


def test_the_words_arm_one_account_and_are_kept(database):
    armed = arm(database, settings(), asked())
    assert armed is not None
    assert (armed.account, armed.max_loss, armed.text) == ("main", Decimal(250), WORDS)
    assert armed.config_sha256 == config_sha256(settings())
    with database.session(read_only=True) as session:
        row = session.scalars(select(Row)).one()
    assert str(os.getpid()) in row.holder


def test_words_that_were_typed_hold_for_the_next_start_and_not_without_the_flag(database):
    first = arm(database, settings(), asked())
    assert arm(database, settings(), asked(typed=None)) == first
    assert stored(database) == 1
    assert arm(database, settings(), asked(account="paper", live=False)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"live": {"max_loss": "250.01"}}, {"live": {"account": "other"}}, {"live": {"orders_per_minute": 500}},
        {"live": {"max_notional": 1_000_000}}, {"exchange": {"api_key": "another"}}, {"exchange": {"api_secret": "another"}},
        {"exchange": {"base_url": "http://127.0.0.1:1"}}, {"exchange": {"id": "kraken"}}, {"exchange": {"proxy": "http://127.0.0.1:1"}},
        {"exchange": {"timeout": 3}}, {"database": {"url": "sqlite:////elsewhere.db"}},
    ],
)  # fmt: skip
def test_words_expire_when_what_they_are_bound_to_changes(books, changed):
    arm(books, settings(), asked())
    account = changed.get("live", {}).get("account", "main")
    with pytest.raises(InputError, match=f'--ack "{account} max-loss'):
        arm(books, settings(**changed), asked(account=account, typed=None))
    assert arm(books, settings(), asked(typed=None)) is not None, "what they were typed for still holds"


def test_what_does_not_move_money_does_not_expire_them(books):
    arm(books, settings(), asked())
    for harmless in ({"log": {"level": "DEBUG"}}, {"live": {"max_loss": 250}}, {"data": {"venue": "binance"}}):
        assert arm(books, settings(**harmless), asked(typed=None)) is not None


@pytest.mark.parametrize(
    "typed",
    ["", "yes", "main", "main max-loss 25", "main max-loss 250.001", "other max-loss 250", "Main max-loss 250",
     "main max-loss -250",
     "main max-loss 2.5e2", "main  max-loss 250", "main max-loss 250 please", "main max-loss"],
)  # fmt: skip
def test_other_words_are_refused_even_when_the_right_ones_are_stored(books, typed):
    arm(books, settings(), asked())
    with pytest.raises(InputError, match=f"not of this account and its largest loss.*It is: {WORDS}"):
        arm(books, settings(), asked(typed=typed))


@pytest.mark.parametrize("typed", [WORDS, " main max-loss 250\n", "main max-loss 250.00", "main max-loss 0250"])
def test_the_same_words_in_another_spelling_are_the_same(books, typed):
    assert arm(books, settings(), asked(typed=typed)).text == WORDS


def test_a_person_is_asked_where_one_is_there(books):
    shown = []

    def ask(wanted):
        shown.append(wanted)
        return wanted

    assert arm(books, settings(), asked(typed=None, ask=ask)) is not None
    assert arm(books, settings(), asked(typed=None, ask=ask)) is not None, "asked once"
    assert shown == [WORDS]
    with pytest.raises(InputError, match="not of this account"):
        arm(books, settings(live={"max_loss": 9}), asked(typed=None, ask=lambda _: "no"))


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"modes": ("paper",)}, PromotionError, "promoted to live, not to paper"),
        ({"modes": ("live", "paper")}, PromotionError, "promoted to live, not to paper"),
        ({"account": "other", "typed": "other max-loss 250"}, ConfigError, "account main alone; found 'other'"),
        ({"live": False}, ConfigError, "the account for real money, and --live was not given"),
        ({"typed": None}, InputError, "must be acknowledged"),
    ],
)
def test_half_of_it_is_refused(books, changes, kind, message):
    with pytest.raises(kind, match=message):
        arm(books, settings(), asked(**changes))
    assert stored(books) == 0


@pytest.mark.parametrize(
    "missing", [("live", "account"), ("live", "max_loss"), ("exchange", "api_key"), ("exchange", "api_secret")]
)
def test_settings_that_do_not_say_everything_are_refused_by_name(books, missing):
    section, key = missing
    with pytest.raises(ConfigError, match=f"needs the settings {section}.{key}"):
        arm(books, settings(**{section: {key: None}}), asked())


def subsets(names):
    return itertools.chain.from_iterable(itertools.combinations(names, n) for n in range(len(names) + 1))


def test_no_combination_of_environment_variables_arms_anything(books, monkeypatch):
    """Every subset of the settings that real money needs, with and without what people guess would be a switch."""
    guesses = ("ATBLIVE", "LIVE", "ACK", "LIVE_TRADING", "TRADING_MODE")
    armed = []
    for guessed in (False, True):
        for names in subsets(VARIABLES):
            with monkeypatch.context() as patch:
                for name in names:
                    patch.setenv(name, VARIABLES[name])
                for name in guesses if guessed else ():
                    patch.setenv(name, WORDS)
                for modes, account in itertools.product([("live",), ("paper",), ()], ["main", "paper"]):
                    with suppress(ConfigError):
                        armed.append(arm(books, load_settings(), StartRequest(account=account, modes=modes)))
                    with pytest.raises(AtbError):  # nor does the flag alone
                        arm(books, load_settings(), StartRequest(account=account, modes=("live",), live=True))
    assert set(armed) == {None}
    assert len(armed) >= 2 * 3 * 16, "the paper account is always paper"
    assert stored(books) == 0


@pytest.mark.parametrize(
    "name", ["ATB__LIVE__ENABLED", "ATB__LIVE__ACK", "ATB__LIVE", "ATB__LIVE__LIVE", "ATB_LIVE_ACCOUNT"]
)
def test_a_variable_that_looks_like_a_switch_is_refused(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError):
        load_settings()


def test_the_hash_holds_no_secret_and_is_the_same_in_every_process(tmp_path):
    program = "from atb.config import load_settings\nfrom atb.live.acknowledgement import config_sha256\n"
    program += "print(config_sha256(load_settings()))"
    environment = {"PATH": os.environ["PATH"], "ATB__DATA__ROOT": str(tmp_path), **VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == config_sha256(settings())
    assert "kkkk" not in repr(acknowledgement._plain(settings().exchange))


@pytest.mark.parametrize("way", ["variable", "shell"])
def test_a_notebook_never_trades_real_money(books, monkeypatch, way):
    if way == "variable":
        monkeypatch.setenv("JPY_PARENT_PID", "17")
    else:
        monkeypatch.setattr(pytest.importorskip("IPython"), "get_ipython", object)
    with pytest.raises(SetupError, match="never traded from a notebook"):
        arm(books, settings(), asked())
    assert arm(books, settings(), asked(account="paper", live=False)) is None, "paper may"


def test_a_real_kernel_is_refused(tmp_path):
    """The check runs in a kernel of Jupyter's own, and in a process that one starts."""
    client = pytest.importorskip("jupyter_client")
    source = (
        "import subprocess, sys\ncode = '''\nfrom atb.errors import SetupError\n"
        "from atb.live.acknowledgement import refuse_notebook\n"
        "try:\n    refuse_notebook()\n    print('armed')\nexcept SetupError:\n    print('refused')\n'''\n"
        "exec(code)\nprint(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout)\n"
    )
    text = []
    manager, kernel = client.manager.start_new_kernel(cwd=str(tmp_path))
    try:
        kernel.execute_interactive(
            source, timeout=PATIENCE_S, output_hook=lambda message: text.append(message["content"].get("text", ""))
        )
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "".join(text).split() == ["refused", "refused"]


def test_without_a_terminal_there_is_no_prompt():
    assert person() is None


def test_in_a_terminal_the_words_are_asked_for():
    import pty

    program = "from atb.live.acknowledgement import person\nask = person()\n"
    program += "print('typed:', ask('main max-loss 250') if ask else None)"
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-W", "ignore", "-c", program])
    shown = b""
    while b"> " not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, b"main max-loss 250\n")
    while b"\n" not in shown.partition(b"typed:")[2]:
        shown += os.read(terminal, 1024)
    os.waitpid(child, 0)
    os.close(terminal)
    assert b"REAL MONEY" in shown
    assert b"typed: main max-loss 250" in shown


def test_words_name_the_amount_plainly():
    assert words("main", Decimal("250.00")) == WORDS
    assert words("a", Decimal("1E+3")) == "a max-loss 1000"
    assert words("a", Decimal("0.10")) == "a max-loss 0.1"
