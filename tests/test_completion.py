"""Tab completion: after `import atb` a notebook completes to every public name, and nothing heavy is loaded for it."""

import importlib
import subprocess
import sys

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel
from traitlets.config import Config

import atb

LAZY = ("backtest", "data", "experiments", "trials", "workbench")


@pytest.fixture
def shell():
    made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    made.run_cell("import atb")
    return made


def completed(shell, text: str) -> set[str]:
    with provisionalcompleter():
        return {found.text.lstrip(".") for found in shell.Completer.completions(text, len(text))}


@pytest.mark.parametrize("use_jedi", [True, False])
@pytest.mark.parametrize("package", LAZY)
def test_a_lazy_package_completes_to_its_public_names(shell, use_jedi, package):
    shell.Completer.use_jedi = use_jedi
    assert package in completed(shell, "atb.")
    names = set(importlib.import_module(f"atb.{package}").__all__)
    assert names <= completed(shell, f"atb.{package}.")
    shell.run_cell(f"import atb.{package} as home")
    assert names <= completed(shell, "home.")


def test_a_kernel_answers_the_tab_key_with_the_names():
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=120)
    try:
        client.execute_interactive("import atb", timeout=120, output_hook=lambda _: None)
        for code, wanted in (
            ("atb.", "workbench"),
            ("atb.workbench.", "prepare_slot"),
            ("atb.workbench.fi", "findings"),
        ):
            answer = client.complete(code, len(code), reply=True, timeout=120)["content"]
            start = answer["cursor_start"]
            assert wanted in {match.rpartition(".")[2] for match in answer["matches"]}, (code, start)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("package", [name for name in dir(atb) if not name.startswith("_")])
def test_every_name_that_is_offered_is_there_and_public(package):
    home = getattr(atb, package)
    offered = [name for name in dir(home) if not name.startswith("_")]
    assert offered
    for name in offered:
        assert getattr(home, name) is not None


def test_names_of_packages_are_told_before_anything_heavy_is_loaded():
    program = (
        "import sys, atb\n"
        "assert 'workbench' in dir(atb)\n"
        "print(sorted({'pandas', 'numpy', 'numba', 'ccxt', 'sqlalchemy', 'plotly', 'IPython'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'atb' has no attribute 'workbnch'"):
        _ = atb.workbnch
