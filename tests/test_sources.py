"""The package runs from its sources alone: byte code, extension modules and folders beside a source never run in its place."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.promotion.checkout import copied_checkout, plant

EVIL = "raise SystemExit('planted code ran')"
MODULES = (
    "strategies/sma_cross.py",
    "features/indicators/averages.py",
    "prediction/predictor.py",
    "engine/prepare.py",
    "engine/matching.py",
    "live/loop.py",
)
BEGIN = """
import runpy
from pathlib import Path
package = Path({package!r}).resolve()
runner = runpy.run_path(str(package.parent / "runners" / "live.py"))
runner["_load_package"]({{file: file.read_bytes() for file in package.rglob("*.py") if file.name not in {but!r}}})
"""


def begun(package: Path, *, but: tuple[str, ...] = ()) -> str:
    """Return what a runner does first, where everything is pinned but files of some names."""
    return BEGIN.format(package=str(package), but=but)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return copied_checkout(tmp_path_factory.mktemp("checkout"))


def run(code: str, package: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(package.parent), "PATH": os.environ["PATH"]}
    command = [sys.executable, *flags, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=package.parent)


def importing(name: str) -> str:
    return f"import atb.{name.removesuffix('.py').replace('/', '.')} as it; print('from', type(it.__loader__).__name__)"


def test_byte_code_with_the_sources_time_and_size_does_not_run_in_its_place(package):
    planted = [plant(package / name, EVIL) for name in MODULES]
    try:
        file = package / MODULES[0]
        control = f"from importlib.machinery import SourceFileLoader as L; L('x', {str(file)!r}).load_module('x')"
        assert "planted code ran" in run(control, package, "-W", "ignore").stderr
        done = run("; ".join(importing(name) for name in MODULES), package)
        assert (done.returncode, done.stdout) == (0, "from SourceLoader\n" * len(MODULES)), done.stderr
    finally:
        for file in planted:
            file.unlink()


@pytest.mark.parametrize("name", ["__init__.py", "sources.py"])
def test_not_even_the_loader_itself_comes_from_byte_code_in_a_process_that_begins_with_it(package, name):
    planted = plant(package / name, EVIL)
    try:
        assert "planted code ran" in run("import atb", package).stderr
        done = run(begun(package) + "import atb.errors\nprint(atb.__version__, atb.sources.unexplained())", package)
        assert (done.returncode, done.stdout.split()[1]) == (0, "[]"), done.stderr
    finally:
        planted.unlink()


def test_no_byte_code_of_the_package_is_written(package):
    assert run(importing("domain/symbol.py"), package).returncode == 0
    written = {path.name for path in package.rglob("*.pyc")}
    assert {name for name in written if not name.startswith(("__init__.", "sources."))} == set()


@pytest.mark.parametrize("ending", [sysconfig.get_config_var("EXT_SUFFIX"), ".so", ".pyc"])
def test_a_module_without_a_source_is_refused_and_one_beside_a_source_is_passed_over(package, ending):
    beside, alone = package / f"errors{ending}", package / f"alone{ending}"
    for file in (beside, alone):
        file.write_bytes(b"not even code")
    try:
        assert "from SourceLoader" in run(importing("errors.py"), package).stdout
        assert "atb.alone has no source" in run("import atb.alone", package).stderr
        assert run("import atb, importlib.util as u; print(u.find_spec('atb.nothing'))", package).stdout == "None\n"
    finally:
        beside.unlink()
        alone.unlink()


def test_what_is_sealed_runs_as_it_was_whatever_becomes_of_the_file(package):
    code = begun(package, but=("symbol.py",)) + (
        f"file = Path({str(package / 'errors.py')!r})\nwas = file.read_text()\nfile.write_text('raise SystemExit(1)')\n"
        "try:\n    import atb.errors\nfinally:\n    file.write_text(was)\n"
        "print(atb.errors.AtbError.__name__)\n"
        "try:\n    import atb.domain.symbol\nexcept ImportError as refused:\n    print(refused)\n"
    )
    done = run(code, package)
    assert done.stdout.splitlines()[0] == "AtbError", done.stderr
    assert "atb.domain.symbol is not pinned by what is promoted" in done.stdout
    assert "raise SystemExit" not in (package / "errors.py").read_text()


def test_migrations_run_from_their_sources_too(package, tmp_path):
    planted = [
        plant(package / "db" / "migrations" / name, EVIL) for name in ("env.py", "versions/0001_the_first_schema.py")
    ]
    try:
        code = (
            f"from atb.db import open_database; open_database('sqlite:///{tmp_path / 'x.db'}').close(); print('made')"
        )
        done = run(code, package)
        assert (done.returncode, done.stdout) == (0, "made\n"), done.stderr
    finally:
        for file in planted:
            file.unlink()
