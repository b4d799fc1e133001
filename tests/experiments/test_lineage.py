"""Lineage: the commit and whether the tree differs from it, with and without git."""

import subprocess
import sys
from pathlib import Path

from atb.experiments.lineage import commit_of, is_gone, json_sha256, this_process, versions


def git(folder, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_and_whether_the_tree_is_dirty(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    git(tree, "init", "-q")
    (tree / "a").write_text("1")
    assert commit_of(tree) == (None, None)  # no commit yet
    git(tree, "add", "a")
    git(tree, "commit", "-qm", "one")
    head = git(tree, "rev-parse", "HEAD")
    assert commit_of(tree) == (head, False)
    (tree / "a").write_text("2")
    assert commit_of(tree) == (head, True)


def test_a_folder_without_git_or_a_machine_without_it_is_fine(tmp_path, monkeypatch):
    assert commit_of(tmp_path) == (None, None)
    monkeypatch.setenv("PATH", "")
    assert commit_of(tmp_path) == (None, None)


def test_versions_name_python_and_the_packages_that_change_results():
    assert {"python", "numpy", "numba", "TA-Lib"} <= versions().keys()


def test_a_parameter_hash_does_not_depend_on_the_order():
    assert json_sha256({"a": 1, "b": [1.0]}) == json_sha256({"b": [1.0], "a": 1}) != json_sha256({"a": 1, "b": [2.0]})


def test_a_process_is_gone_when_it_ended_or_its_number_went_to_another():
    assert not is_gone(this_process())
    host, pid, started = this_process().rsplit(" ", 2)
    assert is_gone(f"{host} {pid} 1{started}")
    assert not is_gone(f"elsewhere {pid} 1{started}")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    text = f"{host} {child.pid} {Path(f'/proc/{child.pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    assert not is_gone(text)
    child.kill()
    child.communicate()
    assert is_gone(text)
