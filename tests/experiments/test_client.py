"""What a cell shows is kept up to a limit, however it shows it: in one piece, in many, over and over."""

import asyncio
import gc
import signal
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from atb.experiments.client import _EXECUTE, RunClient, exit_line
from atb.experiments.outputs import NAME_CHARS, NOTEBOOK_BYTES, OUTPUTS, STREAM_CHARS, TEXT_CHARS
from atb.experiments.report import html_report

LARGE = 3 * TEXT_CHARS
CUT = "The output was cut here"


class Kernel:
    """Plays a kernel that says anything: its messages go into a client that runs no process."""

    def __init__(self, cells=1):
        self.notebook = new_notebook(cells=[new_code_cell("x") for _ in range(cells)])
        for cell in self.notebook.cells:
            cell.metadata["execution"] = {}
        self.client = RunClient(SimpleNamespace(nb=self.notebook, autosave_cell=lambda: None))
        self.client.task_poll_for_reply = SimpleNamespace(cancel=lambda: None)
        self.client.clear_before_next_output = False

    def says(self, kind, content, cell=0):
        message = {
            "msg_type": kind, "header": {"msg_type": kind}, "parent_header": {"msg_id": "1"}, "content": content,
            "metadata": {}, "buffers": [],
        }  # fmt: skip
        self.client.process_message(message, self.notebook.cells[cell], cell)

    def shows(self, data, cell=0, kind="display_data", display=None):
        transient = {"display_id": display} if display else {}
        self.says(kind, {"data": dict(data), "metadata": {}, "transient": transient, "execution_count": 1}, cell)

    def prints(self, text, cell=0, name="stdout"):
        self.says("stream", {"name": name, "text": text}, cell)

    def outputs(self, cell=0):
        return self.notebook.cells[cell].outputs

    def written(self):
        return nbformat.writes(self.notebook)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("error", {"ename": "E" * LARGE, "evalue": "x", "traceback": ["x"]}),
        ("error", {"ename": "E", "evalue": "x" * LARGE, "traceback": ["x" * LARGE] * 100}),
        ("display_data", {"data": {"text/plain": "x"}, "metadata": {"m": "x" * LARGE}}),
        ("display_data", {"data": {"k" * LARGE: "x"}, "metadata": {}}),
        ("execute_result", {"data": {"text/plain": "x" * LARGE}, "metadata": {}, "execution_count": 1}),
    ],
)
def test_no_part_of_an_output_is_larger_than_what_is_kept(kind, content):
    kernel = Kernel()
    kernel.says(kind, content)
    assert len(kernel.written()) < TEXT_CHARS * 3 // 2 + 40 * TEXT_CHARS // 20


def test_a_type_whose_name_is_a_text_is_named_in_part():
    kernel = Kernel()
    kernel.shows({"k" * LARGE: "x"})
    assert "k" * NAME_CHARS in kernel.outputs()[0].data["text/plain"]
    assert "k" * (NAME_CHARS + 1) not in kernel.outputs()[0].data["text/plain"]


@pytest.mark.slow
def test_many_large_outputs_are_bounded_together_in_the_notebook_and_in_its_report():
    kernel = Kernel(5)
    for turn in range(10):
        kernel.shows({"text/html": f"<b>{turn}</b>" + "y" * 9_000_000}, cell=turn // 2)
        kernel.prints("<\n" * 600_000, cell=turn // 2)
    assert len(kernel.written()) < NOTEBOOK_BYTES * 5 // 4
    assert "<b>0</b>" in kernel.written()
    assert CUT in kernel.written()
    run = {"run_id": "r", "notebook": "n", "status": "succeeded", "parameters": {}}
    assert len(html_report(kernel.notebook, run)) < NOTEBOOK_BYTES * 5 // 4


@pytest.mark.parametrize(
    "piece",
    [
        lambda kernel: kernel.shows({"text/plain": "x"}),
        lambda kernel: kernel.shows({"application/x+json": {"c": [1]}}, kind="execute_result"),
        lambda kernel: kernel.says("error", {"ename": "E", "evalue": "e", "traceback": []}),
        lambda kernel: (kernel.prints("x"), kernel.prints("x", name="stderr")),
        lambda kernel: kernel.shows({"text/plain": "x"}, display="always the same"),
    ],
    ids=["displays", "odd values", "errors", "two streams in turn", "one display"],
)
def test_pieces_without_end_are_bounded_by_their_number(piece):
    kernel = Kernel()
    for _ in range(3 * OUTPUTS):
        piece(kernel)
    assert OUTPUTS <= len(kernel.outputs()) <= OUTPUTS + 1
    assert kernel.written().count(CUT) == 1


def test_text_in_small_pieces_is_one_output_and_cut_where_a_large_one_would_be():
    kernel = Kernel()
    for _ in range(1_200):
        kernel.prints("x" * 1_000)
    text, note = kernel.outputs()
    assert (len(text.text), note.name) == (STREAM_CHARS, "stderr")
    assert "[The output was cut here: 200,000 more characters were not kept.]" in note.text
    kernel.shows({"text/plain": "a table"})
    assert kernel.outputs()[2].data == {"text/plain": "a table"}


@pytest.mark.slow
def test_a_display_that_is_replaced_for_ever_weighs_what_it_shows_last():
    kernel = Kernel(2)
    for _ in range(3):
        kernel.shows({"text/plain": ""}, display="bar")
    for turn in range(300):
        kernel.shows({"text/html": "x" * 1_000_000 + str(turn)}, cell=1, kind="update_display_data", display="bar")
    assert [output.data["text/html"][-3:] for output in kernel.outputs()] == ["299"] * 3
    assert CUT not in kernel.written()


def test_a_display_in_many_places_is_cut_to_what_all_of_them_may_weigh():
    kernel = Kernel(2)
    for _ in range(100):
        kernel.shows({"text/plain": ""}, display="bar")
    for _ in range(3):
        kernel.shows({"text/html": "x" * 10_000_000}, cell=1, kind="update_display_data", display="bar")
        kernel.says("clear_output", {"wait": False}, cell=1)
    assert len(kernel.written()) < NOTEBOOK_BYTES * 5 // 4
    assert "was not kept" in kernel.outputs()[0].data["text/plain"]


def test_a_cell_that_clears_what_it_showed_may_show_more():
    kernel = Kernel()
    for turn in range(30):
        kernel.says("clear_output", {"wait": turn % 2 == 0})
        kernel.prints("x" * STREAM_CHARS * 2)
        kernel.shows({"text/html": "y" * 9_000_000})
    assert [output.output_type for output in kernel.outputs()] == ["stream", "stream", "display_data"]
    assert len(kernel.outputs()[2].data["text/html"]) == 9_000_000


def test_what_widgets_say_is_bounded():
    kernel = Kernel()
    for number in range(200):
        data = {"state": {"text": "x" * 1_000_000}}
        kernel.says("comm_open", {"comm_id": str(number), "target_name": "none", "data": data})
    kernel.client.set_widgets_metadata()
    assert 0 < len(kernel.client.widget_state) < 70


def test_a_flood_ends_the_cell(monkeypatch):
    monkeypatch.setattr("atb.experiments.outputs.HOPELESS", 2 * STREAM_CHARS)
    kernel = Kernel()
    ended = []
    kernel.client.task_poll_for_reply = SimpleNamespace(cancel=lambda: ended.append(True))
    kernel.prints("x" * 3 * STREAM_CHARS)
    assert ended == []
    kernel.prints("x")
    assert ended == [True]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = 1\nexit()", 2),
        ("exit", 1),
        ("%quit", 1),
        ("get_ipython().ask_exit()", 1),
        ("if late:\n    raise SystemExit", 2),
        ("import os; os._exit(1)", 1),
        ("trade.exit()\nexit_price = quit_at = 1", None),
        ("print('exit')  # exit()", None),
        ("rules = {'exit': 1}", None),
    ],
)
def test_the_line_that_ends_a_kernel_is_told_from_one_that_trades(source, line):
    found = exit_line(source)
    assert (None if found is None else found[0]) == line


def test_after_ctrl_c_the_error_of_a_cell_that_nobody_waits_for_is_not_printed(caplog):
    loops, released = [], asyncio.Event()

    class Cell:
        async def async_execute_cell(self) -> None:
            loops.append(asyncio.get_running_loop())
            loops[0].call_soon(signal.raise_signal, signal.SIGINT)
            await released.wait()
            raise ValueError("of the kernel, interrupted too")

    with pytest.raises(KeyboardInterrupt):
        _EXECUTE(Cell())
    released.set()
    while asyncio.all_tasks(loops[0]):
        loops[0].run_until_complete(asyncio.sleep(0))
    gc.collect()
    assert "never retrieved" not in caplog.text
