"""The kernel process of a run: a given environment, a memory limit, and its own output written to a file.

A Jupyter kernel may complain about closed sockets during shutdown, so its standard output and error go to a file. What a cell
prints or raises reaches the notebook through the kernel's channels, and real failures are in the run's error.

The memory limit ends a run whose memory grows without bound, not the machine. After a run, processes left in the kernel's process
group are killed too.

Results are evidence, so the process loads `atb` from its sources (`atb.sources`), loader included, as a runner does.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from traitlets import Dict, DottedObjectName, Instance, Int, Type, Unicode, default

from atb.experiments.fork_server import ForkServer, Wanted, from_sources
from atb.files import open_private_log

POLL_SECONDS = 0.01
# For the first status to arrive: without it the channel was not connected yet, and the kernel is asked again.
READY_SECONDS = 0.03
RECONNECT_MS = 5
START_SECONDS = 120.0
_SEPARATOR = "-c"
_LAUNCHER = ["-m", "ipykernel_launcher"]
# As `python -m ipykernel_launcher`, after loading the package from its sources.
_BEGIN = """
import runpy
from atb.experiments.ceiling import limit_memory
limit_memory({memory})
runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
from atb.experiments.fork_server import end_control_thread
end_control_thread()
"""


def _prompt(context: Any) -> Any:
    """Let a context's sockets try again soon: they connect before the kernel listens, and would then wait 100 ms."""
    context.reconnect_ivl = RECONNECT_MS
    return context


class PromptClient(AsyncKernelClient):
    """Waits for a kernel until it has answered on both channels; the usual client then waits for silence."""

    @default("context")
    def _context_default(self) -> Any:
        return _prompt(super()._context_default())

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Return once a reply and the idle status of the same request have arrived.

        Raises
        ------
        RuntimeError
            If the kernel died, or did not answer in `timeout` seconds.
        """
        deadline = time.monotonic() + (START_SECONDS if timeout is None else timeout)
        while time.monotonic() < deadline:
            if await self._answers(self.kernel_info()):
                return
            if not await self._async_is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
        raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")

    async def _answers(self, request: str) -> bool:
        """Return whether the reply to a request arrived, and its idle status."""
        try:
            while _parent(reply := await self.get_shell_msg(timeout=1)) != request:
                pass
            self._handle_kernel_info_reply(reply)
            while True:
                said = await self.get_iopub_msg(timeout=READY_SECONDS)
                if _parent(said) == request and said["content"].get("execution_state") == "idle":
                    return True
        except Empty:
            return False


def _parent(message: Any) -> object:
    return message["parent_header"].get("msg_id")


class SilentKernelManager(AsyncKernelManager):
    """Starts kernels whose standard output and error go to the file `said`."""

    said = Unicode(help="Path of the file for the kernel process's own output.").tag(config=True)

    environment = Dict(help="The kernel's whole environment.").tag(config=True)

    memory = Int(0, help="Memory limit in bytes; 0 for none.").tag(config=True)

    kernels = Instance(ForkServer, allow_none=True, help="Makes the kernel by a fork; None starts it anew.").tag(
        config=True
    )

    client_class = DottedObjectName("atb.experiments.kernel.PromptClient")

    client_factory = Type(PromptClient)

    @default("context")
    def _context_default(self) -> Any:
        return _prompt(super()._context_default())

    async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
        """Start the process, or have it forked."""
        if self.kernels is None or self.provisioner is None or _SEPARATOR not in kernel_cmd:
            await super()._async_launch_kernel(kernel_cmd, **options)
            return
        arguments = kernel_cmd[kernel_cmd.index(_SEPARATOR) + 2 :]
        wanted = Wanted(arguments, str(options.get("cwd") or Path.cwd()), options["env"], self.said, self.memory)
        process: Any = self.kernels.fork(wanted)
        started: Any = self.provisioner
        started.process, started.pid, started.pgid, started.cwd = process, process.pid, process.pid, wanted.cwd
        self._reconcile_connection_info(started.connection_info)

    _launch_kernel = _async_launch_kernel

    async def _async_wait(self, pollinterval: float = POLL_SECONDS) -> None:
        """Wait for the kernel's end, looking often: most end at once."""
        await super()._async_wait(pollinterval=min(pollinterval, POLL_SECONDS))

    async def _async_start_kernel(self, **options: Any) -> None:
        options["env"] = dict(self.environment)
        with open_private_log(Path(self.said)) as log:
            await super()._async_start_kernel(**options, stdout=log, stderr=log)

    start_kernel = _async_start_kernel

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        """Clean up after a kernel, its child processes first."""
        group = getattr(self.provisioner, "pgid", None)
        if group and hasattr(os, "killpg") and group != os.getpgrp():
            with suppress(OSError):  # no process is left
                os.killpg(group, signal.SIGKILL)
        await super()._async_cleanup_resources(restart=restart)

    cleanup_resources = _async_cleanup_resources

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Return the command of the kernel's process."""
        command = list(super().format_kernel_cmd(extra_arguments))
        for at in range(len(command)):
            if command[at : at + 2] == _LAUNCHER:
                return [
                    *command[:at],
                    "-c",
                    from_sources(_BEGIN.format(memory=self.memory)),
                    *command[at + 2 :],
                ]
        return command  # a kernel of another kind
