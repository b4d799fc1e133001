"""Deliberate errors in the kernel, one at a time: each must make a test fail.

    python -m tests.mutations.run              all of errors.toml; writes result.md beside it (about ten minutes)
    python -m tests.mutations.run 12 40        only these, by their number; the others keep their rows

Every error is applied to a copy of the repository in a temporary folder; the working tree stays as it is. The tests run there
without compiling, until one fails: first those of the same module, then those of all rules, of the loops, and the properties.
An error that makes a test hang counts as caught.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parents[1]
RULES = ("exits", "entries", "costs", "limits", "kernel", "sizing", "matching", "clusters")
NEAREST = {
    "matching.py": "matching",
    "sizing.py": "sizing",
    "loop.py": "loop",
    "adjust.py": "adjust",
    "clusters.py": "clusters",
    "prepare.py": "costs",
}
JOBS, LIMIT_S = 2, 120
FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(?P<test>\S+?)(?:\[.*)?(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """One error: in which file, which text, what stands there instead, and what would go wrong."""

    number: int
    file: str
    line: str
    instead: str
    why: str

    def apply(self, root: Path) -> None:
        """Write the error into the copy at `root`."""
        path = root / "atb" / "engine" / self.file
        path.write_text(self.applied_to(path.read_text(encoding="utf-8")), encoding="utf-8")

    def applied_to(self, text: str) -> str:
        """Return a file's text with the error; the line must stand there exactly once."""
        if text.count(self.line) != 1:
            raise ValueError(f"{self.file} has {text.count(self.line)} times: {self.line}")
        return text.replace(self.line, self.instead)


def mutants() -> list[Mutant]:
    """Return the errors of errors.toml, numbered from 1."""
    listed = tomllib.loads((FOLDER / "errors.toml").read_text(encoding="utf-8"))
    return [
        Mutant(number, file, *(entry[name] for name in ("line", "instead", "why")))
        for number, (file, entry) in enumerate(((file, entry) for file in listed for entry in listed[file]), start=1)
    ]


def copied(root: Path) -> Path:
    """Copy package and tests to `root`, without what was compiled of the engine."""
    for name in ("atb", "tests"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("kernel-*", "*.nb?"))
    shutil.rmtree(root / "atb" / "engine" / "__pycache__", ignore_errors=True)
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    return root


def first_failure(root: Path, names: tuple[str, ...]) -> str:
    """Return the first test of these files that fails in the copy at `root`, "" if all pass."""
    files = [f"tests/engine/test_{name}.py" for name in names]
    left_out = "--deselect=tests/engine/test_loop.py::test_every_entry_point_can_be_warmed_up_at_any_time"
    plugins = (
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_timeout",
        "-p",
        "_hypothesis_pytestplugin",
    )  # others take longer to load
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "--tb=no", *plugins, left_out, *files]
    own = {"NUMBA_DISABLE_JIT": "1", "CI": "1", "PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment = {**os.environ, **own}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end within {LIMIT_S} s"
    if done.returncode == 0:
        return ""
    found = FAILED.search(done.stdout)
    return found["test"] if found else f"pytest ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"


def caught_by(mutant: Mutant, root: Path) -> str:
    """Return the test that catches an error, "" if none does."""
    path = root / "atb" / "engine" / mutant.file
    whole = path.read_text(encoding="utf-8")
    mutant.apply(root)
    try:
        nearest = NEAREST.get(mutant.file, RULES[0])
        rules = tuple(name for name in RULES if name != nearest)
        return first_failure(root, (nearest,) if nearest == "loop" else (nearest, *rules)) or first_failure(
            root, (*rules, "properties") if nearest == "loop" else ("loop", "properties")
        )
    finally:
        path.write_text(whole, encoding="utf-8")


def run_all(chosen: list[Mutant]) -> list[tuple[Mutant, str]]:
    """Try the errors, two at a time, each job in its own copy."""
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(JOBS) as pool:
        roots: Queue[Path] = Queue()
        for job in range(JOBS):
            roots.put(copied(Path(scratch) / str(job)))
        check = roots.get()
        if failing := first_failure(check, RULES):
            raise SystemExit(f"Without any error a test fails already: {failing}")
        roots.put(check)

        def tried(mutant: Mutant) -> tuple[Mutant, str]:
            root = roots.get()
            try:
                found = caught_by(mutant, root)
            finally:
                roots.put(root)
            sys.stdout.write(f"{mutant.number:3} {mutant.file:12} {mutant.why}: {found or 'SURVIVED'}\n")
            sys.stdout.flush()
            return mutant, found

        return list(pool.map(tried, chosen))


def row(mutant: Mutant, cell: str) -> str:
    """Return an error's row of the result."""
    return f"| {mutant.number} {place(mutant)}{cell} |"


def place(mutant: Mutant) -> str:
    """Return the cells that say which error it is, whatever its number."""
    return f"| {mutant.file} | {mutant.why} | "


def written(results: list[tuple[Mutant, str]], before: str) -> str:
    """Return the result as Markdown; errors that were not tried keep their test of the result before, under their new number."""
    tried = {mutant.number: row(mutant, f"`{found}`" if found else "**survived**") for mutant, found in results}
    kept = {
        mutant.number: row(mutant, line.split(place(mutant))[1].removesuffix(" |"))
        for mutant in mutants()
        for line in before.splitlines()
        if place(mutant) in line
    }
    rows = [(kept | tried)[mutant.number] for mutant in mutants() if mutant.number in kept | tried]
    caught = sum("**survived**" not in line for line in rows)
    return "\n".join(
        [
            "# Deliberate errors and the tests that catch them",
            "",
            f"{caught} of {len(rows)} errors caught. Written by `python -m tests.mutations.run` from `errors.toml`.",
            "",
            "| No. | File of `atb/engine` | Error | First test that fails |",
            "| --: | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def main(numbers: list[int]) -> int:
    """Try all errors, or only those with these numbers, and write the result; return 1 if one survives."""
    chosen = [mutant for mutant in mutants() if not numbers or mutant.number in numbers]
    results = run_all(chosen)
    result = FOLDER / "result.md"
    before = result.read_text(encoding="utf-8") if result.exists() else ""
    result.write_text(written(results, before), encoding="utf-8")
    survived = [mutant for mutant, found in results if not found]
    sys.stdout.write(f"{len(results) - len(survived)} of {len(results)} caught\n")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main([int(text) for text in sys.argv[1:]]))
