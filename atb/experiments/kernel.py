"""The kernel process of a run: its environment is what it was given, and its own words go to a file, not to a terminal.

A Jupyter kernel that is told to end may still complain about its closed sockets, from whichever library meets them first. What a
cell prints or raises comes through the kernel's channels into the notebook; what really fails is told by the run's error.

It may take so much memory and no more: a list that grows for ever ends its run, not the machine. When a run is over, whatever its
kernel started and left behind in its process group is ended too.

What a run shows is evidence, so its process begins as a runner's does: with `atb` from its sources (`atb.sources`), the loader
included.
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
# What `python -m ipykernel_launcher` does, after the package is loaded from its sources.
_BEGIN = """
import runpy, sys
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
    """Starts kernels whose standard output and error are the file `said`."""

    said = Unicode(help="Path of the file that takes what the kernel process itself writes.").tag(config=True)

    environment = Dict(help="The kernel's environment, all of it.").tag(config=True)

    memory = Int(0, help="Bytes that the kernel may take; 0 sets no ceiling.").tag(config=True)

    async def _async_start_kernel(self, **options: Any) -> None:
        options["env"] = dict(self.environment)
        with open_private_log(Path(self.said)) as log:
            await super()._async_start_kernel(**options, stdout=log, stderr=log)

    start_kernel = _async_start_kernel

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        """Take away what belongs to a kernel that has ended: its children first."""
        group = getattr(self.provisioner, "pgid", None)
        if group and hasattr(os, "killpg") and group != os.getpgrp():
            with suppress(OSError):  # none is left
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
