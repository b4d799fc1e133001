"""What is imported is declared, what the runner imports is in its own lock file, and nothing that is set up is under the AGPL."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OWN = {"atb", "tests", "runners"}
# Distributions that are installed to be found, not imported: drivers, engines, plugins, types, tools on the command line.
UNSEEN = {"psycopg2-binary", "vectorbt-rust", "anywidget", "jupyterlab", "ipykernel", "ipywidgets", "pytest-cov",
          "pytest-timeout", "pytest-xdist", "nbval", "ruff", "mypy", "pandas-stubs", "import-linter", "bandit",
          "pip-audit", "types-pyyaml", "setuptools"}  # fmt: skip


def imported(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the top name of every absolute import of code, wherever it stands, with its file."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((name.name.partition(".")[0], file) for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0], file


def foreign(folder: Path) -> dict[str, set[Path]]:
    """Return the imported names that neither Python nor this project brings, with the files that import them."""
    found: dict[str, set[Path]] = {}
    for name, file in imported(folder):
        if name not in sys.stdlib_module_names and name not in OWN:
            found.setdefault(name, set()).add(file)
    return found


@cache
def homes() -> Mapping[str, list[str]]:
    """Return the distributions that bring each module; looked up once, and only where a test asks."""
    return importlib.metadata.packages_distributions()


def homes_of(module: str) -> set[str]:
    """Return the distributions that bring a module; a name that is not installed stands for itself."""
    return {canonicalize_name(home) for home in homes().get(module, [module])}


def names_of(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


@pytest.fixture(scope="module")
def declared(repository):
    """Each group of requirements with the names in it."""
    text = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    groups = text["project"]["optional-dependencies"] | text["dependency-groups"]
    return {"core": names_of(text["project"]["dependencies"])} | {
        name: names_of(group) for name, group in groups.items()
    }


@pytest.fixture(scope="module")
def pins(repository):
    """Each lock file as a mapping of its lines to their distributions."""

    def read(name: str) -> dict[str, str]:
        lines = (repository / name).read_text(encoding="utf-8").splitlines()
        found = [line.rstrip(" \\") for line in lines if line[:1].isalnum()]
        return {line: canonicalize_name(Requirement(line).name) for line in found}

    return {name: read(f"requirements{name}.lock") for name in ("", "-live", "-bench")}


@pytest.mark.parametrize("folder", ["atb", "runners"])
def test_what_the_package_imports_is_declared(repository, declared, folder):
    known = set().union(*(names for group, names in declared.items() if group != "dev"))
    unknown = {name: files for name, files in foreign(repository / folder).items() if not homes_of(name) & known}
    assert unknown == {}, "declare them in pyproject.toml and run `make lock`"


def test_what_the_tests_import_is_declared(repository, declared):
    known = set().union(*declared.values())
    # Brought by binance-sdk-spot at one version, as a part of it.
    assert {name for name in foreign(repository / "tests") if not homes_of(name) & known} == {"binance_common"}


def test_what_is_declared_is_imported_or_found_by_others(repository, declared):
    used = set().union(*(homes_of(name) for folder in ("atb", "tests") for name in foreign(repository / folder)))
    assert set().union(*declared.values()) - used - UNSEEN == set()


def test_the_check_sees_an_import_inside_a_function_and_one_for_annotations_alone(tmp_path):
    (tmp_path / "lazy.py").write_text("def f():\n    import bleach.css_sanitizer\n    from . import near\n", "utf-8")
    (tmp_path / "typed.py").write_text(
        "import os\nif TYPE_CHECKING:\n    from multidict import MultiMapping\n", "utf-8"
    )
    assert set(foreign(tmp_path)) == {"bleach", "multidict"}


# --- lock files -------------------------------------------------------------------------------------------------------


def exact(lines: dict[str, str]) -> set[str]:
    """Return `name==version` of each line: the markers of a smaller file may be narrower."""
    return {line.partition(" ")[0] for line in lines}


def test_the_lock_file_of_the_runner_is_a_part_of_the_whole_one_with_the_same_hashes(repository, pins):
    assert set(pins["-live"]) <= set(pins[""])
    part, whole = ((repository / f"requirements{name}.lock").read_text(encoding="utf-8") for name in ("-live", ""))
    assert set(re.findall(r"sha256:\w+", part)) <= set(re.findall(r"sha256:\w+", whole))


def test_the_lock_file_of_the_benchmark_pins_what_is_shared_alike(pins):
    shared = {line: name for line, name in pins["-bench"].items() if name in pins[""].values()}
    assert exact(shared) <= exact(pins[""])


def test_the_lock_file_of_the_runner_is_the_core_with_what_that_needs_and_nothing_else(pins, declared):
    locked = set(pins["-live"].values())
    assert closure(declared["core"], everywhere=False) <= locked <= closure(declared["core"], everywhere=True)


def closure(names: set[str], *, everywhere: bool) -> set[str]:
    """Return the distributions with all that they need: on this platform, or on any."""
    found: set[str] = set()
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += needs_of(name, everywhere=everywhere)
    return found


def needs_of(name: str, *, everywhere: bool) -> list[str]:
    try:
        needs = [Requirement(text) for text in importlib.metadata.requires(name) or []]
    except importlib.metadata.PackageNotFoundError:
        return []  # of another platform
    return [
        canonicalize_name(need.name)
        for need in needs
        if need.marker is None or (everywhere and "extra" not in str(need.marker)) or need.marker.evaluate()
    ]


# --- licences ---------------------------------------------------------------------------------------------------------


def licence_of(name: str) -> str:
    """Return what an installed distribution says of its licence: expression, classifiers, and how the licences begin.

    Only how they begin: the text of the GPL names the AGPL, and scipy ships it for a part of its compiler.
    """
    place = importlib.metadata.distribution(name)
    said = {field: place.metadata.get_all(field) or [] for field in ("License-Expression", "License", "Classifier")}
    files = [
        file for file in place.files or [] if re.search(r"dist-info/.*(LICEN[CS]E|COPYING)", str(file), re.IGNORECASE)
    ]
    long = [*said["License"], *(file.read_text(encoding="utf-8") for file in files)]
    return "\n".join([*said["License-Expression"], *said["Classifier"], *(text.strip()[:80] for text in long)])


def copyleft_of_networks(names: set[str]) -> set[str]:
    """Return the installed ones whose licence is the AGPL."""
    return {name for name in names if re.search(r"AGPL|Affero", licence_of(name), re.IGNORECASE)}


def test_nothing_that_is_set_up_is_under_the_agpl(pins):
    here = {canonicalize_name(item.metadata["Name"]) for item in importlib.metadata.distributions()}
    assert len(here & set(pins[""].values())) > 150
    assert copyleft_of_networks(here & set(pins[""].values())) == set()
    assert "backtesting" not in set(pins[""].values()) | set(pins["-live"].values())
    assert copyleft_of_networks(here & set(pins["-bench"].values())) <= {"backtesting"}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("License: AGPL-3.0", ""),
        ("License-Expression: AGPL-3.0-or-later", ""),
        ("License: GNU Affero General Public License v3", ""),
        ("Classifier: License :: OSI Approved :: GNU Affero General Public License v3 or later (AGPLv3+)", ""),
        ("License-File: LICENSE", "\n      GNU AFFERO GENERAL PUBLIC LICENSE\n  Version 3, 19 November 2007\n"),
    ],
)
def test_an_agpl_package_is_seen_however_it_says_so(tmp_path, monkeypatch, line, text):
    folder = tmp_path / "odd_one-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: odd-one\nVersion: 1.0\n{line}\n", encoding="utf-8")
    if text:
        (folder / "LICENSE").write_text(text, encoding="utf-8")
        (folder / "RECORD").write_text("odd_one-1.0.dist-info/LICENSE,,\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert copyleft_of_networks({"odd-one", "numpy"}) == {"odd-one"}
