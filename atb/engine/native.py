"""The loop of a single slot as machine code alone: loaded and called without numba, whose import takes longer than most backtests.

numba compiles `loop.run_one` like every other function of the kernel. What LLVM makes of it, without the wrapper that Python calls
it by, is kept as object code in the kernel's folder, under the same key as all that numba keeps. Another process hands the object
to LLVM and calls it by its address. It is the very code that numba would have run, from the one source of the rules; the tests
compare the two bit by bit. Where no object can be kept (code that calls more than the C library), numba itself is called.

numba passes an array of one dimension as seven words: owner and parent (none here), length, size of an item, address, length
and stride. Before them come two places, for a returned value and for an exception; a kernel function has neither.
"""

import ctypes
import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.engine import cache, records

_WORDS = 7
_FLOATS, _ROWS = np.dtype(np.float64), np.dtype(np.int64)
# What `loop.run_one` takes, in its order.
TAKES = (
    records.ACCOUNT, records.ACCOUNT_PARAMETERS, records.SLOT, records.SLOT_PARAMETERS, records.SIGNAL, _FLOATS,
    _ROWS, _ROWS, _FLOATS, _FLOATS, _FLOATS, _FLOATS, _FLOATS, _FLOATS, _ROWS,
    records.ORDER, records.TRADE, records.REFUSAL, _FLOATS, records.SUMMARY,
    records.ORDER, records.TRADE, records.MARKET, records.SIGNAL, _ROWS, _ROWS,
)  # fmt: skip
_LANES = range(6, 15)  # the bars, which are closed to writing
_RESOLVED = frozenset({"sqrt", "memset", "memcpy", "memmove"})  # of the C library
_HEAD = (
    object.__basicsize__
)  # NumPy's C structure of an array begins with Python's head; the address of its data follows
_ENTRY = "enter"
_LOCK = threading.Lock()


def run_one(*arrays: NDArray[Any]) -> None:
    """Call `loop.run_one`: its arguments, in its order.

    Raises
    ------
    TypeError
        If an array is not what the loop was compiled for.
    """
    with _LOCK:
        entry = _entry()
    entry(*arrays)


@functools.cache
def _entry() -> Callable[..., Any]:
    """Return the loop as object code, or the Python function where nothing is compiled."""
    if not cache.is_interpreted():
        found = cache.kept("run_one")
        if found is None and (found := _compiled()) is not None:
            cache.keep("run_one", found)
        if found is not None:
            return _loaded(found)
    from atb.engine import loop

    return loop.run_one


# --- to object code ---------------------------------------------------------------------------------------------------


def _compiled() -> bytes | None:
    """Compile the loop and return its object code, None if that is not as expected or needs more than there is."""
    import llvmlite.binding as llvm
    import numba
    from numba.np.numpy_support import from_dtype

    from atb.engine import loop

    typed: Any = from_dtype
    takes = tuple(
        numba.types.Array(typed(dtype), 1, "C", readonly=k in _LANES, aligned=True) for k, dtype in enumerate(TAKES)
    )
    source: Any = loop.run_one
    function = numba.njit(**{**cache.OPTIONS, "cache": False})(source.py_func)
    function.compile(takes)
    name = function.overloads[takes].fndesc.llvm_func_name
    module, machine = llvm.parse_assembly(function.inspect_llvm(takes)), _machine(llvm)
    arguments = [str(each.type) for each in module.get_function(name).arguments]
    if len(arguments) != _WORDS * len(TAKES) + 2:
        return None
    module.link_in(llvm.parse_assembly(_entered_by_words(name, arguments)))
    _leave_only(module, _ENTRY, llvm=llvm, machine=machine)
    external = {each.name for each in module.functions if each.is_declaration and not each.name.startswith("llvm.")}
    code: bytes = machine.emit_object(module)
    return code if external <= _RESOLVED else None


def _entered_by_words(name: str, arguments: list[str]) -> str:
    """Return the assembly of a function that takes the arguments of another one as one block of words."""
    loads = "".join(
        f"%a{k} = getelementptr i64, ptr %words, i64 {k}\n%v{k} = load {kind}, ptr %a{k}\n"
        for k, kind in enumerate(arguments)
    )
    passed = ", ".join(f"{kind} %v{k}" for k, kind in enumerate(arguments))
    return (
        f'declare i32 @"{name}"({", ".join(arguments)})\n'
        f"define i32 @{_ENTRY}(ptr %words) {{\n{loads}"
        f'%status = call i32 @"{name}"({passed})\nret i32 %status\n}}\n'
    )


def _leave_only(module: Any, name: str, *, llvm: Any, machine: Any) -> None:
    """Remove every function of a module but one and what it calls."""
    for function in module.functions:
        if not function.is_declaration and function.name != name:
            function.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=0)))


def _machine(llvm: Any) -> Any:
    """Return LLVM's description of this processor, set as numba sets it for code that runs at once."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, reloc="default",
        codemodel="jitdefault", jit=True,
    )  # fmt: skip


# --- from object code -------------------------------------------------------------------------------------------------


def _loaded(code: bytes) -> Callable[..., None]:
    """Give the object code to LLVM and return a function that calls it."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(llvm))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(engine.get_function_address(_ENTRY))
    return functools.partial(_call, function, engine)  # the engine owns the code


def _call(function: Any, _engine: Any, *arrays: NDArray[Any]) -> None:
    """Call the loop; ctypes lets the interpreter's lock go."""
    places = (ctypes.c_void_p * 2)()
    words = [ctypes.addressof(places), ctypes.addressof(places) + ctypes.sizeof(ctypes.c_void_p)]
    for array, dtype in zip(arrays, TAKES, strict=True):
        if array.dtype is not dtype and array.dtype != dtype:
            raise TypeError(f"the loop takes {dtype}, not {array.dtype}")
        (count,), (stride,), size = array.shape, array.strides, dtype.itemsize
        if count > 1 and stride != size:
            raise TypeError(f"the loop takes arrays without gaps, not one with a stride of {stride} bytes")
        words += (0, 0, count, size, _address(array), count, size)
    if function((ctypes.c_int64 * len(words))(*words)):
        raise RuntimeError("the compiled loop met an error that it cannot meet")


def _address(array: NDArray[Any]) -> int:
    """Return where the numbers lie: what `array.ctypes.data` says, in a fraction of the time; it is asked 26 times a run."""
    return ctypes.c_ssize_t.from_address(id(array) + _HEAD).value
