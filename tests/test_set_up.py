"""`make setup` gives what the lock file says, today and later: on a tiny project with an index of its own, without a network."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.test_packaging import make

OLDEST = "22.3"  # the pip that Python 3.11.0 brings
BACKEND = '''
"""A build backend in the project's own folder: it needs nothing from an index."""
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\nRequires-Dist: top\\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.0.dist-info/entry_points.txt", "[console_scripts]\\natb = tiny:main\\n")
        wheel.writestr("tiny.py", "def main():\\n    print('warm')\\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return name

build_wheel = build_editable
'''
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


class Index:
    """A package index in a folder; its pages carry hashes, as those of every real index do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def offer(self, name: str, version: str, *needs: str, build: str = "", text: str = "") -> str:
        """Add a wheel, and return its hash."""
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        wheel = place / f"{name}-{version}{build}-py3-none-any.whl"
        write_wheel(wheel, (name, version), needs, text or version)
        pages = [(file.name, sha256(file)) for file in sorted(place.glob("*.whl"))]
        links = "".join(f'<a href="{file}#sha256={found}">{file}</a>\n' for file, found in pages)
        (place / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>", encoding="utf-8")
        return sha256(wheel)


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_wheel(file: Path, package: tuple[str, str], needs: tuple[str, ...], text: str) -> None:
    name, version = package
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: more"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(f"{name}.py", f"FROM = {text!r}\n")
        wheel.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines) + "\n")
        wheel.writestr(
            f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{name}-{version}.dist-info/RECORD", "")


class Tiny:
    """A project with the Makefile of this one, and `top`, which needs `part` with an extra, which needs `small`."""

    def __init__(self, place: Path, repository: Path) -> None:
        self.place, self.index = place / "project", Index(place / "index")
        self.place.mkdir()
        shutil.copy(repository / "Makefile", self.place / "Makefile")
        (self.place / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
        (self.place / "backend.py").write_text(BACKEND, encoding="utf-8")
        hashes = {
            "top": self.index.offer("top", "1.0", "part[more]>=1"),
            "part": self.index.offer("part", "1.0", 'small>=1; extra == "more"'),
            "small": self.index.offer("small", "1.0"),
        }
        self.lock(hashes)
        self.hashes = hashes

    def lock(self, hashes: dict[str, str]) -> None:
        lines = [f"{name}==1.0 \\\n    --hash=sha256:{found}\n" for name, found in hashes.items()]
        (self.place / "requirements.lock").write_text("".join(lines), encoding="utf-8")

    def set_up(self, python: Path | str = sys.executable, **more: str) -> subprocess.CompletedProcess[str]:
        """Call `make setup` with this index alone."""
        own = {"PIP_INDEX_URL": self.index.folder.as_uri(), "PIP_CONFIG_FILE": os.devnull}
        return make(self.place, "setup", f"PYTHON={python}", without=("PIP_",), **own, **more)

    def installed(self) -> dict[str, str]:
        """Return where each package that can be imported came from."""
        (site,) = self.place.glob(".venv/lib/*/site-packages")
        files = {name: site / f"{name}.py" for name in ("top", "part", "small")}
        return {name: file.read_text(encoding="utf-8") for name, file in files.items() if file.is_file()}


@pytest.fixture
def tiny(tmp_path, repository):
    return Tiny(tmp_path, repository)


LOCKED = dict.fromkeys(("top", "part", "small"), "FROM = '1.0'\n")


def appear_later(tiny: Tiny, elsewhere: Path) -> dict[str, str]:
    """Have newer releases appear, other files of the locked ones, and both in a folder that pip is told of; return that."""
    for name, *needs in (("top", "part[more]>=2"), ("part", 'small>=2; extra == "more"'), ("small", "unheard>=1")):
        tiny.index.offer(name, "1.0", *needs, build="-7", text="rebuilt")
        tiny.index.offer(name, "1.1", *needs)
        tiny.index.offer(name, "2.0", *needs)
    elsewhere.mkdir()
    write_wheel(elsewhere / "part-1.0-9-py3-none-any.whl", ("part", "1.0"), (), "elsewhere")
    write_wheel(elsewhere / "small-3.0-py3-none-any.whl", ("small", "3.0"), (), "elsewhere")
    return {"PIP_FIND_LINKS": str(elsewhere)}


def test_what_appears_on_an_index_later_changes_no_set_up(tiny, tmp_path):
    more = appear_later(tiny, tmp_path / "elsewhere")
    done = tiny.set_up(**more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tiny.installed() == LOCKED
    assert "warm" in done.stdout, "the command was not called"
    again = tiny.set_up()
    assert (again.returncode, again.stdout) == (0, "")


@pytest.mark.slow
def test_the_oldest_pip_of_the_oldest_python_sets_up_too(tiny, tmp_path):
    if sys.version_info[:2] != (3, 11):
        pytest.skip(f"pip {OLDEST} runs on Python 3.11 at most")
    python = interpreter_with(OLDEST, tmp_path)
    done = tiny.set_up(python, **appear_later(tiny, tmp_path / "elsewhere"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert tiny.installed() == LOCKED
    said = subprocess.run([tiny.place / ".venv/bin/pip", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith(f"pip {OLDEST} ")


def interpreter_with(version: str, place: Path) -> Path:
    """Return an interpreter whose virtual environments get this pip; it comes from an index, if one can be reached."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", place, f"pip=={version}"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"pip {version} cannot be fetched from an index here")
    (wheel,) = place.glob("pip-*.whl")
    script = f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {sys.executable} "$@"
for folder; do :; done
{sys.executable} "$@" --without-pip && "$folder/bin/python" {wheel}/pip install --quiet --no-index {wheel}
"""
    python = place / "python3.11"
    python.write_text(script, encoding="utf-8")
    python.chmod(0o755)
    return python


@pytest.mark.slow
def test_a_lock_file_that_is_not_whole_ends_the_set_up(tiny):
    tiny.lock({name: tiny.hashes[name] for name in ("top", "small")})
    done = tiny.set_up()
    assert done.returncode != 0
    assert "top 1.0 requires part, which is not installed" in done.stdout + done.stderr
    assert tiny.set_up().returncode != 0, "a broken set-up is not taken for a finished one"


def test_every_lock_file_is_installed_in_the_same_way(repository):
    text = (repository / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^INSTALL := .*pip install .*--require-hashes --no-deps --only-binary :all:$", text, re.MULTILINE)
    steps = re.findall(r"^\t(\S+) .*-r requirements\S*\.lock$", text, re.MULTILINE)
    assert set(steps) == {"$(INSTALL)", "$(BIN)/pip-audit"}


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 14, 0), (4, 0, 0)])
def test_another_python_is_refused_in_one_line(tiny, tmp_path, version):
    other, text = tmp_path / "python-other", ".".join(map(str, version))
    other.write_text(
        f"""#!/bin/sh
[ "$1" = --version ] && echo Python {text} && exit 0
exec {sys.executable} -c 'import sys; sys.version_info = {version}; exec(sys.argv[2])' "$@"
""",
        encoding="utf-8",
    )
    other.chmod(0o755)
    done = tiny.set_up(other)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert said == [
        f"atb needs Python 3.11, 3.12 or 3.13; '{other}' is Python {text}. Try: make setup PYTHON=python3.13"
    ]
    assert not (tiny.place / ".venv").exists()


def test_the_versions_of_python_are_the_same_everywhere(repository):
    project = (repository / "pyproject.toml").read_text(encoding="utf-8")
    versions = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    assert versions == ["3.11", "3.12", "3.13"]
    assert 'requires-python = ">=3.11,<3.14"' in project
    assert "- python>=3.11,<3.14\n" in (repository / "environment.yml").read_text(encoding="utf-8")
    assert "(3, 11) <= sys.version_info < (3, 14)" in (repository / "Makefile").read_text(encoding="utf-8")
