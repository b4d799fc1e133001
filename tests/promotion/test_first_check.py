"""What the runner checks before anything of the package runs: a checker that was changed does not get to pass itself."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.database import untouched
from tests.live.desk import first_open, warm_result
from tests.promotion.checkout import copied_checkout
from tests.promotion.test_tampering import PLAIN, RUNNER, outcome
from tests.timeouts import PATIENCE_S

# Says yes to everything, in whichever module of the package it stands.
CHANGED = """
import sys
print("what was changed runs", file=sys.stderr)
def _yes(*given, **named): return []
check_sources = check_locks = check_kernel = check_versions = check_signature = verify = seal = begin = _yes
"""
CHECKERS = ("promotion/provenance.py", "promotion/trust.py", "sources.py", "__init__.py", "errors.py")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return copied_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def promoted(sqlite_desk):
    result = warm_result(sqlite_desk.stock(60, 1))
    return sqlite_desk.promote(result), first_open(result)


def started(desk, promoted, package, *arguments):
    path, since = promoted
    return outcome(desk.start(path, "--from", since, *arguments, runner=package.parent / RUNNER, env=PLAIN))


@pytest.mark.parametrize("name", CHECKERS)
def test_a_checker_that_accepts_everything_never_runs(sqlite_desk, promoted, package, name):
    changed, decides = package / name, package / "strategies" / "sma_cross.py"
    before = {file: file.read_bytes() for file in (changed, decides)}
    try:
        changed.write_bytes(before[changed] + CHANGED.encode())
        decides.write_bytes(before[decides] + b"#")
        code, err = started(sqlite_desk, promoted, package)
    finally:
        for file, content in before.items():
            file.write_bytes(content)
    assert (code, len(err.splitlines())) == (2, 1), err
    assert err.startswith("Error: 2 source files changed since the promotion: ")
    assert f"atb/{name}" in err
    assert "atb/strategies/sma_cross.py" in err


def test_the_runner_itself_is_pinned(sqlite_desk, promoted, package):
    runner = package.parent / RUNNER
    before = runner.read_bytes()
    try:
        runner.write_bytes(before + b"#")
        code, err = started(sqlite_desk, promoted, package)
    finally:
        runner.write_bytes(before)
    assert (code, err.strip()) == (
        2, "Error: A source file changed since the promotion: runners/live.py. Restore it, or backtest and promote again"
    )  # fmt: skip


@pytest.mark.parametrize("gone", ["removed", "pipe", "folder", "endless"])
def test_a_source_that_is_gone_or_no_file_is_a_refusal_that_nobody_waits_for(sqlite_desk, promoted, package, gone):
    source = package / "promotion" / "provenance.py"
    kept = source.with_suffix(".kept")
    source.rename(kept)
    try:
        make = {
            "pipe": lambda: os.mkfifo(source),
            "folder": source.mkdir,
            "endless": lambda: source.symlink_to("/dev/zero"),
        }
        make.get(gone, lambda: None)()
        code, err = started(sqlite_desk, promoted, package)
    finally:
        if gone == "folder":
            source.rmdir()
        kept.replace(source)
    assert (code, "atb/promotion/provenance.py" in err, len(err.splitlines())) == (2, True, 1), err


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("errors", "folder"),
        pytest.param("promotion/provenance", "link", marks=pytest.mark.slow),
        pytest.param("errors", "sourceless", marks=pytest.mark.slow),
        ("promotion/provenance", "extension"),
    ],
)
def test_what_is_planted_before_or_instead_of_a_source_never_runs(sqlite_desk, promoted, package, name, kind):
    """A folder comes before a module of its name, and Python would rather load an extension than a source."""
    evil = package.parent / "evil"
    evil.mkdir()
    (evil / "__init__.py").write_text(CHANGED)
    place = package / (name if kind in {"folder", "link"} else f"{name}.{'pyc' if kind == 'sourceless' else 'so'}")
    try:
        make = {"folder": lambda: shutil.copytree(evil, place), "link": lambda: place.symlink_to(evil)}
        make.get(kind, lambda: place.write_bytes(b"not even code"))()
        code, err = started(sqlite_desk, promoted, package)
    finally:
        shutil.rmtree(evil)
        shutil.rmtree(place) if kind == "folder" else place.unlink()
    assert "what was changed runs" not in err
    shadowed = kind in {"folder", "link"}
    assert (code, "Traceback" in err) == (2 if shadowed else 0, False), err
    assert shadowed == (f"{name}/__init__.py" in err), err


def test_what_lies_where_modules_are_looked_for_never_runs(sqlite_desk, promoted, package, tmp_path):
    """A package beside the runner and in the working directory, and the interpreter's own hooks there."""
    path, since = promoted
    planted = []
    for folder in (package.parent / "runners", sqlite_desk.root):
        for name in ("atb/__init__.py", "json.py", "hashlib.py", "sitecustomize.py", "usercustomize.py"):
            planted.append(folder / name)
            planted[-1].parent.mkdir(exist_ok=True)
            planted[-1].write_text("raise SystemExit('planted code ran')")
    try:
        process = sqlite_desk.start(path, "--from", since, runner=package.parent / RUNNER, env=PLAIN)
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        for file in planted:
            file.unlink()
        (package.parent / "runners" / "atb").rmdir()
    assert (process.returncode, "finished: 53 bars" in out) == (0, True), err


@pytest.mark.slow
def test_a_link_to_the_runner_trades_with_the_package_that_lies_beside_the_runner(
    sqlite_desk, promoted, package, tmp_path
):
    (tmp_path / "runners").mkdir()
    (tmp_path / "atb").mkdir()
    (tmp_path / "atb" / "__init__.py").write_text(CHANGED)
    link = tmp_path / "runners" / "live.py"
    link.symlink_to(package.parent / RUNNER)
    path, since = promoted
    code, err = outcome(sqlite_desk.start(path, "--from", since, runner=link, env=PLAIN))
    assert (code, "what was changed runs" in err) == (0, False), err


def test_a_package_that_something_imported_before_is_not_run_unchecked(sqlite_desk, promoted, package):
    path, since = promoted
    runner = str(package.parent / RUNNER)
    arguments = [runner, str(path), "--from", since]
    code = f"import atb, runpy, sys; sys.argv = {arguments!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert (done.returncode, "imported atb before the runner did" in done.stderr) == (2, True), done.stderr


ODD = {
    "not JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "empty": b"",
    "nested": b"[" * 50_000 + b"]" * 50_000,
    "nested inside": b'{"sources": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
    "huge": b" " * (2 << 20),
    "a number without an end": b'{"sources": ' + b"9" * 100_000 + b"}",
    "a list": b"[]",
    "null": b"null",
    "no sources": b"{}",
    "sources are a list": b'{"sources": ["atb/__init__.py"]}',
    "hashes are numbers": b'{"sources": {"atb/__init__.py": 1}}',
    "nothing is pinned": b'{"sources": {}}',
    "a name with a zero": json.dumps({"sources": {"a\0b": "x"}}).encode(),
    "names of lines": json.dumps({"sources": {f"a\n{n}": "x" for n in range(5_000)}}).encode(),
    "half a character": b'{"sources": {"\\ud800": "\\ud800"}}',
    "another's file": b'{"sources": {"/etc/passwd": "x", "../../x": "x"}}',
    "a long name": json.dumps({"sources": {"x" * 100_000: "x"}}).encode(),
    "folder": None,
    "pipe": None,
    "missing": None,
}


@pytest.mark.parametrize(
    ("kind", "where"), [*((kind, "manifest") for kind in ODD), ("nested", "shadow"), ("pipe", "shadow")]
)
def test_an_odd_manifest_is_one_sentence(sqlite_desk, promoted, kind, where, package):
    path, since = promoted
    odd = sqlite_desk.root / "odd.json"
    make = {"folder": odd.mkdir, "pipe": lambda: os.mkfifo(odd), "missing": lambda: None}
    make.get(kind, lambda: odd.write_bytes(ODD[kind]))()
    given = [odd] if where == "manifest" else [path, "--shadow", odd]
    code, err = outcome(sqlite_desk.start(*given, "--from", since, runner=package.parent / RUNNER))
    assert (code, len(err.splitlines()), err[:6]) == (2, 1, "Error:"), err
    assert len(err) < 3_000
    assert untouched(sqlite_desk.root / "atb.db")
