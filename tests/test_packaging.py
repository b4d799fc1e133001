"""The project's files agree with each other: dependencies, lock file, conda environment, licence, what a wheel holds."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from datetime import date
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import atb


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def required(project):
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for text in [*project["dependencies"], *(text for extra in extras for text in extra)]]


@pytest.fixture(scope="module")
def locked(repository):
    """Each locked requirement with the number of its hashes."""
    found: list[tuple[Requirement, int]] = []
    for line in (repository / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            found.append((Requirement(line.rstrip(" \\")), 0))
        elif line.strip().startswith("--hash=sha256:"):
            found[-1] = (found[-1][0], found[-1][1] + 1)
    return found


def test_every_requirement_is_locked_to_a_version_it_allows(required, locked):
    for wanted in required:
        pins = [pin for pin, _ in locked if canonicalize_name(pin.name) == canonicalize_name(wanted.name)]
        assert pins, f"{wanted.name} is not in requirements.lock; run `make lock`"
        for pin in pins:
            version = str(pin.specifier).removeprefix("==")
            assert wanted.specifier.contains(version, prereleases=True), f"{pin} is not {wanted}; run `make lock`"


def test_every_locked_version_is_exact_and_has_hashes(locked):
    assert len(locked) > 100
    assert [str(pin) for pin, hashes in locked if not hashes or not str(pin.specifier).startswith("==")] == []


def test_the_lock_file_names_no_index(repository):
    text = (repository / "requirements.lock").read_text(encoding="utf-8")
    assert re.search(r"https?:|file:|--(?:extra-)?index-url|--find-links|\s@\s", text) is None


def test_what_is_installed_here_is_what_is_locked(locked):
    applying = [pin for pin, _ in locked if pin.marker is None or pin.marker.evaluate()]
    installed = {canonicalize_name(item.name): item.version for item in importlib.metadata.distributions()}
    differing = {
        pin.name: installed.get(canonicalize_name(pin.name))
        for pin in applying
        if installed.get(canonicalize_name(pin.name)) not in pin.specifier
    }
    assert differing == {}


def test_the_conda_environment_is_the_projects(repository, project):
    environment = yaml.safe_load((repository / "environment.yml").read_text(encoding="utf-8"))
    *plain, pip = environment["dependencies"]
    assert plain == [f"python{project['requires-python']}", "pip"]
    extras = ",".join(project["optional-dependencies"])
    assert pip == {"pip": [f'-e ".[{extras}]"']}


def test_the_version_is_written_once_more_only_in_the_package(project):
    assert atb.__version__ == project["version"]


def test_the_licence_is_the_one_that_is_declared(repository, project):
    assert project["license"] == "Apache-2.0"
    text = (repository / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def sections(repository: Path) -> list[tuple[str, str]]:
    """Return the changelog's versions with what stands under each, newest first."""
    text = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_the_changelog_has_what_is_not_released_on_top_and_below_it_dated_versions(repository, project):
    (first, _), *released = sections(repository)
    assert first == "[Unreleased]"
    dated = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", heading) for heading, _ in released]
    assert all(dated)
    found = [(Version(heading[1]), date.fromisoformat(heading[2])) for heading in dated if heading]
    assert found == sorted(found, reverse=True)
    assert str(found[0][0]) == project["version"]


def test_an_entry_of_the_changelog_is_one_line(repository):
    lines = [line for heading, text in sections(repository) for line in text.splitlines() if line]
    entries = [line for line in lines if line.startswith("- ")]
    assert len(entries) > 30
    assert [line for line in entries if len(line) > 170] == []
    assert [line for line in lines if not line.startswith(("- ", "### ", "The first version."))] == []


def test_the_vectorbt_engines_are_pinned_to_one_version(project):
    pins = [text for text in project["optional-dependencies"]["research"] if text.startswith("vectorbt")]
    assert len({pin.partition("==")[2] for pin in pins}) == 1


def make(folder: Path, *arguments: str, without: tuple[str, ...] = (), **more: str) -> subprocess.CompletedProcess[str]:
    """Call make as from a shell: under `make test` it would take itself for a part of that one."""
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", *without)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(outer)} | more
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )


def test_every_make_target_explains_itself(repository):
    text = (repository / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (help .*)$", text, re.MULTILINE)
    assert targets is not None
    listed = make(repository, "help").stdout
    assert {line.split()[1] for line in listed.splitlines()} == set(targets[1].split())


def test_set_up_does_nothing_when_nothing_changed(repository, tmp_path):
    place = set_up_copy(repository, tmp_path)
    done = make(place, "setup", "PYTHON=/no/such/python")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def set_up_copy(repository: Path, tmp_path: Path) -> Path:
    """A folder that looks set up to make, with nothing installed in it."""
    place = tmp_path / "copy"
    (place / ".venv").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(repository / name, place / name)
    sums = subprocess.run(
        ["cksum", "requirements.lock", "pyproject.toml"], cwd=place, capture_output=True, check=True
    ).stdout
    (place / ".venv" / ".set-up-for").write_bytes(sums)
    return place


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_package(repository, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source / name)
    shutil.copytree(repository / "atb", source / "atb", ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        source,
    ]
    subprocess.run(command, check=True, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {file.relative_to(source).as_posix() for file in (source / "atb").rglob("*") if file.is_file()}
    assert wanted - held == set()
    assert {"atb/py.typed", "atb/experiments/report.css", "atb/experiments/report.js"} <= held
