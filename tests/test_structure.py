"""Sizes, names and texts of the source, so that the whole stays small enough to read."""

import ast
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

LONGEST_FUNCTION, LONGEST_FILE = 60, 400
# A class and the table it reads may share a file rather than be carved along the ruler.
LONGEST_CLASS_FILE = 450
# A file this short, with one public function that one module imports, is a page more to turn: the function belongs to its reader.
LONE_FUNCTION_LINES = 60
LONE_FUNCTIONS = {
    "atb/features/indicators/candles.py": "a family of indicators: the table of 61 patterns, registered one by one",
    "atb/bench/launch.py": "starts the process that is measured, and so is imported by no measured one",
    "atb/dashboards/run_files.py": "the one place that serves files of a run, and states the sandbox that they are shown in",
}
# The decision kernel is one module on purpose: its rules are read side by side, and hashed as one.
KERNEL, KERNEL_FUNCTION, KERNEL_FILE = "atb/engine/kernel.py", 120, 600
VAGUE = {"manager", "handler", "service", "helper", "helpers", "util", "utils", "common", "misc"}
FOLDERS = ("atb", "runners", "tests", "notebooks", ".ci", ".github")
FILES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    ".editorconfig",
    ".pre-commit-config.yaml",
    "Makefile",
    "pyproject.toml",
    "environment.yml",
    "CHANGELOG.md",
    "data/README.md",
    "models/README.md",
)


@cache
def sources() -> tuple[Path, ...]:
    """Return every module of the package and the runners."""
    return tuple(sorted(file for folder in ("atb", "runners") for file in (REPOSITORY / folder).rglob("*.py")))


def name_of(file: Path) -> str:
    return file.relative_to(REPOSITORY).as_posix()


def docstring_lines(tree: ast.AST) -> set[int]:
    """Return the lines that docstrings take."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list) or not body or not isinstance(body[0], ast.Expr):
            continue
        value = body[0].value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            lines.update(range(body[0].lineno, (body[0].end_lineno or body[0].lineno) + 1))
    return lines


def code_lines(text: str) -> set[int]:
    """Return the lines with code: no docstring, comment or blank line."""
    written = enumerate(text.splitlines(), start=1)
    lines = {number for number, line in written if line.strip() and not line.lstrip().startswith("#")}
    return lines - docstring_lines(ast.parse(text))


@cache
def function_lengths() -> dict[str, int]:
    """Return the number of code lines of every function, its signature included; migrations are lists of columns."""
    lengths = {}
    for file in (file for file in sources() if "migrations" not in file.parts):
        text = file.read_text(encoding="utf-8")
        lines = code_lines(text)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                span = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                lengths[f"{name_of(file)}:{node.lineno} {node.name}"] = len(lines.intersection(span))
    return lengths


def written_files() -> list[Path]:
    """Return every text file a person wrote: sources, notebooks, tests and the files of the top folder."""
    found = [file for folder in FOLDERS for file in (REPOSITORY / folder).rglob("*") if file.is_file()]
    kept = {".py", ".ipynb", ".md", ".toml", ".yml", ".yaml", ".json", ".mako", ""}
    skipped = {"__pycache__", ".ipynb_checkpoints", "promoted"}
    return [file for file in found if file.suffix in kept and not skipped.intersection(file.parts)] + [
        REPOSITORY / name for name in FILES if (REPOSITORY / name).exists()
    ]


def test_code_lines_leave_out_what_is_not_code():
    text = '"""Doc."""\n\n# comment\ndef f():\n    """Doc\n    more."""\n    x = [\n        1,\n    ]\n\n    return x\n'
    assert code_lines(text) == {4, 7, 8, 9, 11}


def test_no_function_is_too_long():
    def limit(name: str) -> int:
        return KERNEL_FUNCTION if name.startswith(KERNEL) else LONGEST_FUNCTION

    assert {name: length for name, length in function_lengths().items() if length > limit(name)} == {}


def test_most_functions_are_short():
    lengths = sorted(function_lengths().values())
    assert statistics.median(lengths) <= 10
    assert lengths[int(len(lengths) * 0.9)] <= 30


def longest(file: Path) -> int:
    """Return the limit of a file's lines: more for the kernel, and for one class with its table and no public function."""
    if name_of(file) == KERNEL:
        return KERNEL_FILE
    kinds = [node for node in parsed(file).body if isinstance(node, ast.ClassDef)]
    return LONGEST_CLASS_FILE if len(kinds) == 1 and not public_functions(file) else LONGEST_FILE


def test_no_file_is_too_long():
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in sources()}
    assert {name_of(file): length for file, length in lengths.items() if length > longest(file)} == {}


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def public_functions(file: Path) -> list[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node.name for node in parsed(file).body if isinstance(node, kinds) and not node.name.startswith("_")]


@cache
def importers() -> dict[str, set[str]]:
    """Return, by dotted name, the files that import a module; `from a import b` may mean the module `a.b`."""
    found: dict[str, set[str]] = {}
    for file in sources():
        for node in ast.walk(parsed(file)):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            for name in names:
                found.setdefault(name, set()).add(name_of(file))
    return found


def exists_to_be_a_file(file: Path) -> bool:
    """Tell whether a module is one short public function that one other module imports; commands are found by their name."""
    if file.stem.startswith("__") or file.parts[-2] in {"cli", "runners", "versions"}:
        return False
    short = len(file.read_text(encoding="utf-8").splitlines()) <= LONE_FUNCTION_LINES
    classes = any(isinstance(node, ast.ClassDef) for node in parsed(file).body)
    dotted = name_of(file).removesuffix(".py").replace("/", ".")
    readers = importers().get(dotted, set()) - {name_of(file)}
    return short and not classes and len(public_functions(file)) == 1 and len(readers) <= 1


def test_no_file_exists_only_to_be_a_file():
    found = {name_of(file) for file in sources() if exists_to_be_a_file(file)}
    assert found - set(LONE_FUNCTIONS) == set()
    assert set(LONE_FUNCTIONS) - found == set(), "no longer so: take them off the list"


@pytest.mark.parametrize("file", sources(), ids=name_of)
def test_a_module_says_its_responsibility_in_its_first_line(file):
    text = file.read_text(encoding="utf-8")
    first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    assert len(first) >= 15 or not text.strip()


def test_no_module_has_a_vague_name():
    names = {name_of(file): set(file.stem.lower().split("_")) | {file.parent.name} for file in sources()}
    assert [name for name, words in names.items() if words & VAGUE] == []


def test_nothing_is_left_for_later():
    marks = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    assert [name_of(file) for file in sources() if marks.search(file.read_text(encoding="utf-8"))] == []


def test_no_file_names_a_place_of_one_machine():
    place = re.compile(r"(?<![\w.:/-])/(?:home|Users|root|work|opt|mnt|workspace)/\w|[A-Z]:\\\\Users")
    own = Path(__file__)
    assert [name_of(file) for file in written_files() if file != own and place.search(file.read_text("utf-8"))] == []


def test_only_continuous_integration_knows_a_folder_outside():
    outside = "../" + "shared"
    assert [name_of(file) for file in written_files() if outside in file.read_text("utf-8")] == [".ci/run"]


def test_pickle_goes_to_the_process_of_the_columns_check_and_back_and_nowhere_else():
    imported = re.compile(r"^\s*(?:import|from) (?:cloud)?pickle", re.MULTILINE)
    uses = {name_of(file) for file in sources() if imported.search(file.read_text(encoding="utf-8"))}
    assert uses == {f"atb/validation/{name}.py" for name in ("isolated", "sources", "processes")}


def kernel_writes(text: str) -> list[int]:
    """Return the lines that assign to a field of account, slot or order, by its name; what the engine hands out is read-only."""
    from atb.engine import records

    fields = {name for record in (records.ACCOUNT, records.SLOT, records.ORDER) for name in record.names or ()}
    stores = (
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    )
    return [store.lineno for store in stores if isinstance(store.slice, ast.Constant) and store.slice.value in fields]


def test_a_write_to_a_field_of_a_kernel_record_is_seen():
    lines = (
        'record["entry"] = 0.0',
        'a, slots[0]["dust"] = 1, 2',
        'self.book.slot(1)["exit"] += 1.0',
        'x["halt"]: int = 1',
    )
    assert [kernel_writes(line) for line in lines] == [[1]] * 4
    assert kernel_writes('value = record["entry"]; record["other_name"] = 1') == []


def test_only_the_engine_writes_the_kernels_records():
    # Not of the kernel's state: tables of pandas, vectorbt's records, what a file's columns are called, the signals of a baseline,
    # and what the exchange simulator's own fills are priced with.
    names = (
        "backtest/agreement",
        "backtest/baselines",
        "backtest/portfolio",
        "data/providers/files/columns",
        "venues/simulator/tape",
    )
    others = {f"atb/{name}.py" for name in names}
    outside = {name_of(file): file for file in sources() if not name_of(file).startswith("atb/engine/")}
    writes = {
        name: found for name, file in outside.items() if (found := kernel_writes(file.read_text(encoding="utf-8")))
    }
    assert {name: lines for name, lines in writes.items() if name not in others} == {}
    assert others <= writes.keys()


def test_the_core_draws_no_random_numbers():
    core = ("atb/domain/", "atb/features/", "atb/strategies/", "atb/engine/")
    texts = {name_of(file): file.read_text(encoding="utf-8") for file in sources() if name_of(file).startswith(core)}
    assert texts
    assert [name for name, text in texts.items() if re.search(r"\bnp\.random|numpy\.random|default_rng", text)] == []


def test_every_strategy_file_is_registered(repository):
    # Signals given from outside have no source that could be promoted; `own` imports the files of a folder outside.
    others = {"components", "register", "from_signals", "own"}
    files = {file.stem for file in (repository / "atb" / "strategies").glob("[a-z]*.py")} - others
    from atb.strategies import STRATEGIES

    assert files - {kind.__module__.rpartition(".")[2] for kind in STRATEGIES.values()} == set()


# A docstring says what a thing is or does; these begin a riddle, or are words that the field does not use.
RIDDLE = re.compile(r"(?:Return )?(?:what|who)\b", re.IGNORECASE)
OWN_WORDS = re.compile(r"(?<![a-z])(?:told|nobody|nobodys|strangers?)(?![a-z])", re.IGNORECASE)


def docstrings(tree: ast.Module) -> list[tuple[int, str]]:
    """Return every docstring with its line; a bare string below an attribute is one too."""
    nodes = [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return [(node.lineno, node.value.strip()) for node in nodes if isinstance(node.value, str)]


def names_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Give every name that a module defines or assigns, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler) and node.name:
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr


def test_no_docstring_begins_with_what_or_who():
    found = [(file, *each) for file in sources() for each in docstrings(parsed(file)) if RIDDLE.match(each[1])]
    places = [f"{name_of(file)}:{line}: {text[:60]}" for file, line, text in found]
    assert places == []


def test_no_docstring_or_name_has_a_word_of_its_own_for_what_the_field_has_one_for():
    found = []
    for file in sources():
        texts = [*docstrings(parsed(file)), *((line, name.replace("_", " ")) for line, name in names_in(parsed(file)))]
        # In backticks stand names of files and commands.
        found += [
            f"{name_of(file)}:{line}: {hit[0]}"
            for line, text in texts
            for hit in OWN_WORDS.finditer(re.sub(r"`[^`]*`", "", text))
        ]
    assert found == []
