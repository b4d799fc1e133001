"""The kernel process of a run: a given environment, a memory limit, and its own output written to a file.

A Jupyter kernel may complain about closed sockets during shutdown, so its standard output and error go to a file. What a cell
prints or raises reaches the notebook through the kernel's channels, and real failures are in the run's error.

The memory limit ends a run whose memory grows without bound, not the machine. After a run, processes left in the kernel's process
group are killed too.

Results are evidence, so the process loads `atb` from its sources (`atb.sources`), loader included, as a runner does.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from traitlets import Dict, Int, Unicode

from atb import sources
from atb.files import open_private_log

_LAUNCHER = ["-m", "ipykernel_launcher"]
# As `python -m ipykernel_launcher`, after loading the package from its sources.
_BEGIN = """
import runpy, sys
sys.modules["rfc3987_syntax"] = None  # as in `atb.cli.main`: it would build a grammar for two seconds, unasked
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
class FromSource(SourceFileLoader):
    def get_code(self, fullname):
        return self.source_to_code(self.get_data(self.path), self.path)
loader = FromSource("atb.sources", {file!r})
module = sys.modules["atb.sources"] = module_from_spec(spec_from_loader("atb.sources", loader))
loader.exec_module(module)
module.begin()
from atb.experiments.ceiling import limit_memory
limit_memory({memory})
runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
"""


class SilentKernelManager(AsyncKernelManager):
    """Starts kernels whose standard output and error go to the file `said`."""

    said = Unicode(help="Path of the file for the kernel process's own output.").tag(config=True)

    environment = Dict(help="The kernel's whole environment.").tag(config=True)

    memory = Int(0, help="Memory limit in bytes; 0 for none.").tag(config=True)

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
                    _BEGIN.format(file=sources.__file__, memory=self.memory),
                    *command[at + 2 :],
                ]
        return command  # a kernel of another kind
