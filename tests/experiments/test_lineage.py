"""Lineage: the commit and whether the tree differs from it, with and without git."""

import subprocess

from atb.experiments.lineage import commit_of, json_sha256, versions


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
