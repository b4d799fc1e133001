"""Whatever the umask is, nothing that atb writes can be written by others, and what holds secrets not even read."""

import ast
import os
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest

import atb
from atb.files import (
    make_private_file,
    make_private_folder,
    make_public_folder,
    open_private_log,
    owner_only_writes,
    write_private,
    write_public,
)

# They write nothing, write to no disk, or are doors of their own, each with a test of its own.
DOORS = {
    "files.py",
    "engine/cache.py",  # machine code, for its owner alone
    "bench/measure.py",  # /proc
    "validation/isolated.py",  # /dev/null
    "experiments/running.py",  # a notebook in a folder that is private, made so there
}
WRITES = {"write_text", "write_bytes", "mkdir", "makedirs", "touch", "to_csv", "to_parquet", "to_feather", "to_json",
          "savefig", "write_html", "write_image", "copyfile", "copy2", "symlink_to", "mknod", "mkfifo"}  # fmt: skip


@contextmanager
def umask(mask: int):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode) for path in root.rglob("*")}


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_what_is_made_has_its_mode_whatever_the_umask_is(tmp_path, mask):
    with umask(mask):
        make_private_folder(tmp_path / "a" / "b")
        make_public_folder(tmp_path / "c" / "d")
        make_private_file(tmp_path / "empty")
        write_private(tmp_path / "secret", b"x")
        write_private(tmp_path / "secret", b"y")
        write_public(tmp_path / "shown", b"x")
        open_private_log(tmp_path / "log").close()
    shown = {"c": 0o755, "c/d": 0o755, "shown": 0o644}
    private = {"a": 0o700, "a/b": 0o700, "empty": 0o600, "secret": 0o600, "log": 0o600}
    assert modes(tmp_path) == private | {name: mode & ~mask for name, mode in shown.items()} | {"atb.toml": 0o644}


def test_a_file_that_must_be_new_is_never_replaced(tmp_path):
    for write in (write_private, write_public):
        path = tmp_path / write.__name__
        write(path, b"first", new=True)
        with pytest.raises(FileExistsError):
            write(path, b"second", new=True)
        assert path.read_bytes() == b"first"
    assert {path.name for path in tmp_path.iterdir()} == {"write_private", "write_public", "atb.toml"}


def test_a_program_takes_from_its_umask_only_what_others_could_write(tmp_path):
    for mask, wanted in ((0o000, 0o644), (0o077, 0o600), (0o027, 0o640)):
        with umask(mask):
            with owner_only_writes():
                path = tmp_path / f"{mask:o}"
                path.touch()
            assert os.umask(mask) == mask
        assert stat.S_IMODE(path.stat().st_mode) == wanted


def _makes_a_file(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in WRITES and isinstance(node.func, ast.Attribute):
        in_memory = name in {"to_csv", "to_json", "savefig"} and "path" not in ast.unparse(node)
        return not in_memory
    given = [*node.args, *(word.value for word in node.keywords if word.arg in {"mode", "flags"})]
    words = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    opens = name == "open" and any(word[:1] in {"w", "a", "x"} or "+" in word for word in words if len(word) <= 3)
    safely = any(
        word.arg == "opener" and ast.unparse(word.value) in {"private_opener", "public_opener"}
        for word in node.keywords
    )
    return (opens and not safely) or ("O_CREAT" in ast.unparse(node) and name == "open")


def test_files_and_folders_are_made_by_one_module_alone():
    root = Path(atb.__file__).parent
    found = {
        f"{name}:{node.lineno} {ast.unparse(node)[:60]}"
        for path in sorted(root.rglob("*.py"))
        if (name := str(path.relative_to(root))) not in DOORS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _makes_a_file(node)
    }
    assert found == set()
