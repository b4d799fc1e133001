"""Finds where the source of a strategy's module reads a clock, by its names: also clocks that cannot be replaced in a process.

`numpy.datetime64("now")` is compiled and asks the system itself. Names are followed through the module's imports; what is put
together while it runs, such as `getattr(time, "ti" + "me")`, is not found here, and is refused where the function can be replaced
(`atb.validation.isolated`).
"""

import ast
import inspect
import sys
from collections.abc import Iterator

MONOTONIC = ("monotonic", "perf_counter", "process_time", "thread_time")
_OF_TIME = ("time", "localtime", "gmtime", "ctime", "asctime", "strftime", "sleep", "clock_gettime", *MONOTONIC)
_NAMES = {
    *(f"time.{name}{unit}" for name in _OF_TIME for unit in ("", "_ns")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    *(f"pandas.{kind}.{name}" for kind in ("Timestamp", "Period") for name in ("now", "utcnow", "today")),
    "datetime.date.today", "os.times", "resource.getrusage",
}  # fmt: skip
_WITH_TIMES = {"time.strftime": 2, "time.localtime": 1, "time.gmtime": 1, "time.ctime": 1, "time.asctime": 1}
_WORDS = {"now", "today"}
_READERS = {
    *(f"numpy.{name}" for name in ("datetime64", "array", "asarray", "full")),
    *(f"pandas.{name}" for name in ("Timestamp", "Period", "to_datetime", "DatetimeIndex", "date_range", "period_range")),
}  # fmt: skip


def clocks_read(kind: type) -> list[str]:
    """Return each clock that the module of a class reads, with its line; nothing where there is no source."""
    try:
        module = sys.modules.get(kind.__module__)
        text = inspect.getsource(module if module is not None and getattr(module, "__file__", None) else kind)
        tree = ast.parse(inspect.cleandoc("\n" + text) if text[:1].isspace() else text)
    except (OSError, TypeError, SyntaxError):
        return []
    return list(dict.fromkeys(_found(tree, _imports(tree))))


def _imports(tree: ast.AST) -> dict[str, str]:
    """Return the full name of each imported name."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                one.asname or one.name.split(".")[0]: one.name if one.asname else one.name.split(".")[0]
                for one in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return names


def _found(tree: ast.AST, names: dict[str, str]) -> Iterator[str]:
    """Yield each use of a clock, in words."""
    given = {id(node.func): len(node.args) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = _full_name(node, names)
            if name in _NAMES and given.get(id(node), 0) < _WITH_TIMES.get(name, 99):
                yield f"{name} in line {node.lineno}"
        elif isinstance(node, ast.Call) and _full_name(node.func, names) in _READERS and (word := _word(node)):
            yield f"{_full_name(node.func, names)}({word!r}) in line {node.lineno}"


def _full_name(node: ast.expr, names: dict[str, str]) -> str:
    """Return a name through the imports, such as `numpy.datetime64`; empty for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute) and (owner := _full_name(node.value, names)):
        return f"{owner}.{node.attr}"
    return ""


def _word(call: ast.Call) -> str | None:
    """Return an argument that means the present to numpy and pandas."""
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        for node in ast.walk(argument):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() in _WORDS:
                return node.value
    return None
