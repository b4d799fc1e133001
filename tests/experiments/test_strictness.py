"""A notebook may publish what Run All would show and nothing else: what was run otherwise is refused, and shown."""

import os

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import new_code_cell, new_notebook

from atb.experiments.strictness import Execution, differences
from tests.timeouts import PATIENCE_S

CELLS = {"a": "x = 1", "b": "y = x + 1", "c": "def double():\n    return 2 * y", "d": "publish(double())"}


def ran(*order: str, told: bool = True, **texts: str) -> list[Execution]:
    """Return executions of cells by id; `b=...` is an edited text of cell b, and an unknown id is a text itself."""
    return [
        Execution(k, texts.get(cell, CELLS.get(cell, cell)), cell if told and cell in {*CELLS, *texts} else None)
        for k, cell in enumerate(order, 1)
    ]


def found(executions: list[Execution], cells: dict[str, str] = CELLS, deleted: tuple[str, ...] = ()) -> str:
    return "\n".join(differences(list(cells.items()), executions, deleted=set(deleted)))


@pytest.mark.parametrize(
    "order",
    ["abcd", "abcdabcd", "dcbaabcd", "abcdd", "abcddd", "babcd"],
)
@pytest.mark.parametrize("told", [True, False])
def test_what_ends_with_a_whole_pass_is_let_through(order, told):
    assert found(ran(*order, told=told)) == ""


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("acbd", "code cell 2 `y = x + 1` was run after code cell 3 `def double():`, which stands below it"),
        ("abd", "code cell 3 `def double():` was not run"),
        ("abbcd", "code cell 2 `y = x + 1` was run twice"),
        ("abcdbcd", "code cell 2 `y = x + 1` was run twice"),
        ("bcd", "code cell 1 `x = 1` was never run"),
        ("abcdac", "code cell 2 `y = x + 1` was not run"),
    ],
)
def test_cells_out_of_order_left_out_or_run_twice_are_named(order, words):
    assert words in found(ran(*order))


def test_a_name_of_a_deleted_cell_is_named_with_the_cell_it_came_from():
    cells = {"a": "x = 1", "d": "publish(x + gone)"}
    executions = [Execution(1, "gone = 5", "g"), Execution(2, "x = 1", "a"), Execution(3, "publish(x + gone)", "d")]
    assert (
        found(executions, cells, ("g",))
        == "gone in `publish(x + gone)` comes from [1] `gone = 5`, not from a cell above"
    )
    between = [executions[1], executions[0], executions[2]]
    assert "gone = 5: it is not in the saved notebook (deleted, or not saved yet)" in found(between, cells, ("g",))


def test_a_name_that_an_earlier_text_of_a_cell_stored_is_found():
    cells = {"a": "x = 1", "d": "publish(old)"}
    executions = [Execution(1, "old = 1", "a"), Execution(2, "x = 1", "a"), Execution(3, "publish(old)", "d")]
    assert "old in `publish(old)` comes from [1] `old = 1`" in found(executions, cells)


def test_a_name_that_only_a_cell_below_stores_is_found_and_functions_may_read_it():
    cells = {"a": "y = later", "b": "later = 2", "d": "publish(y)"}
    order = [
        Execution(1, "later = 2", "b"),
        *(Execution(k, text, cell) for k, (cell, text) in enumerate(cells.items(), 2)),
    ]
    assert "later in `y = later` comes from [1]" in found(order, cells)
    lazy = {"a": "def f():\n    return later", "b": "later = 2", "d": "publish(f())"}
    assert found([Execution(k, text, cell) for k, (cell, text) in enumerate(lazy.items(), 1)], lazy) == ""


@pytest.mark.parametrize(
    "text",
    ["[gone for _ in range(3)]", "class A:\n    v = gone", "f = lambda: gone", "def f():\n    return [gone for _ in '']",
     "%time gone", "print(f'{gone}')", "gone += 1", "del gone"],
)  # fmt: skip
def test_a_name_is_found_wherever_a_cell_reads_it(text):
    cells = {"a": "x = 1", "d": text}
    assert "gone in" in found([Execution(1, "gone = 5"), Execution(2, "x = 1", "a"), Execution(3, text, "d")], cells)


@pytest.mark.parametrize(
    "text",
    ["gone = 3\nprint(gone)", "def f(gone):\n    return gone", "[gone for gone in range(3)]", "x.gone", "f(gone=1)", "'gone'",
     "import gone", "for gone in []: pass", "!echo gone"],
)  # fmt: skip
def test_a_name_of_its_own_is_not_taken_for_one_from_elsewhere(text):
    cells = {"a": "x = 1", "d": text}
    assert found([Execution(1, "gone = 5"), Execution(2, "x = 1", "a"), Execution(3, text, "d")], cells) == ""


def test_edits_need_not_be_saved_and_a_new_cell_must_be():
    assert found(ran("a", "b", "c", "d", b="y = x + 2")) == ""
    unnamed = [Execution(1, "x = 5"), *ran("a", "b", "c", "d")[1:]]
    assert found([Execution(one.number, one.source, one.cell) for one in unnamed]) == ""
    assert (
        found([*ran("a", "b", "c"), Execution(4, "publish(1)", "new")])
        == "the running cell is not in the saved notebook: save it first"
    )


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel of a saved notebook, told of cells as JupyterLab tells it."""
    folder = tmp_path_factory.mktemp("strict")
    path = folder / "mine.ipynb"
    texts = {"p": "days = 3", "i": "import atb.workbench as w", "v": "v = days", "z": "w.publish(metrics={'days': v})"}
    cells = [new_code_cell(text, id=name) for name, text in texts.items()]
    nbformat.write(new_notebook(cells=cells), path)
    environment = {**os.environ, "JPY_SESSION_NAME": str(path)}
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=120, env=environment)
    yield cells, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_real_kernel_refuses_and_lets_through_as_the_cells_were_run(kernel):
    cells, client = kernel
    texts = {cell.id: cell.source for cell in cells}

    def run(name: str, text: str | None = None, deleted: tuple[str, ...] = ()) -> str:
        content = {
            "code": text or texts[name],
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
        }
        message = client.session.msg(
            "execute_request", content, metadata={"cellId": name, "deletedCells": list(deleted)}
        )
        client.shell_channel.send(message)
        said = []
        while True:
            heard = client.get_iopub_msg(timeout=PATIENCE_S)
            if heard["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if heard["msg_type"] == "error":
                said.append(heard["content"]["evalue"])
            if heard["msg_type"] == "status" and heard["content"]["execution_state"] == "idle":
                return "\n".join(said)

    assert [run(name) for name in "pivz"] == ["", "", "", ""]
    assert run("z") == ""
    assert "was run twice" in [run("v"), run("z")][1]
    assert [run(name) for name in "pivz"] == ["", "", "", ""]
    run("x", "extra = 9")
    assert "it is not in the saved notebook" in run("z", deleted=("x",))
    run("p"), run("i")
    assert "extra in `v = extra` comes from" in [run("v", "v = extra"), run("z")][1]
