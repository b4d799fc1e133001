"""What every test gets: no settings from outside, a folder of its own to write into, and the same random examples."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.seeds import SEED, load_profile

REPOSITORY = Path(__file__).resolve().parents[1]
REAL_DATA = os.environ.get("ATB_TEST_DATA", "")

# Fixtures of a whole session run before any test's own world: they must not see the settings of this shell either.
for _name in [name for name in os.environ if name.upper().startswith("ATB_") and not name.startswith("ATB_TEST_")]:
    del os.environ[_name]

# Tables fit COLUMNS. readline, which pytest loads, sets it for every process begun later (such as pytest-xdist's workers and the
# commands that tests start), in the C library's environment where os.environ does not see it: so load it first, then unset.
with contextlib.suppress(ImportError):
    import readline  # noqa: F401 - for what it sets
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)
    os.unsetenv(_name)

# A shell starts what runs in its background with Ctrl-C ignored, and so would be every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# As `atb` does: what nbformat loads would build a grammar for two seconds in each worker, and nothing here asks for it.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

load_profile()


def pytest_report_header() -> str:
    """Say how chance was drawn, and how to draw it so again."""
    if SEED is None:
        return "random examples: the same in every run"
    return f"random examples: seed {SEED}, ten times as many; the same again: make test-all SEED={SEED}"


# The files that take longest, in that order: begun last, they would be waited for by one worker alone.
LONGEST = (
    "test_real_path.py", "test_static.py", "test_demo.py", "test_notebooks.py", "test_rehearse.py", "test_every_rule.py",
    "test_kill.py", "test_bench.py", "test_parity.py", "test_set_up.py", "test_lock.py", "test_exchange_process.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; within a file and between the others the order stays."""
    ranks = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def no_trials(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], None]:
    """Record the trials of what is shared between tests in a folder of this session, never in the user's ledger."""
    from atb import config, trial_folder  # noqa: F401 - the settings mount theirs once, when they are imported

    folder = tmp_path_factory.mktemp("trials")

    def mount() -> None:
        trial_folder.mount(lambda: folder)

    mount()
    return mount


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_trials: Callable[[], None]) -> Iterator[None]:
    """Stand and write in `tmp_path`, a project of its own, never in the repository."""
    from atb.config.own import mount_settings

    mount_settings()
    (tmp_path / "atb.toml").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path.with_name(f"{tmp_path.name}-config")))
    monkeypatch.setenv("ATB__DATA__ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield
    no_trials()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real candles; tests that want it are skipped where there is none."""
    folder = Path(REAL_DATA)
    if not REAL_DATA or not folder.is_dir():
        pytest.skip(f"needs real candles: set ATB_TEST_DATA to their folder (it is {REAL_DATA or 'not set'!r})")
    return folder.resolve()
