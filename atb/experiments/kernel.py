"""The kernel process of a run: its environment is what it was given, and its own words go to a file, not to a terminal.

A Jupyter kernel that is told to end may still complain about its closed sockets, from whichever library meets them first. What a
cell prints or raises comes through the kernel's channels into the notebook; what really fails is told by the run's error.
"""

from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from traitlets import Dict, Unicode


class SilentKernelManager(AsyncKernelManager):
    """Starts kernels whose standard output and error are the file `said`."""

    said = Unicode(help="Path of the file that takes what the kernel process itself writes.").tag(config=True)

    environment = Dict(help="The kernel's environment, all of it.").tag(config=True)

    async def _async_start_kernel(self, **options: Any) -> None:
        options["env"] = dict(self.environment)
        with Path(self.said).open("ab") as log:
            await super()._async_start_kernel(**options, stdout=log, stderr=log)

    start_kernel = _async_start_kernel
