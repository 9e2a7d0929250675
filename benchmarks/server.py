# SPDX-License-Identifier: MIT
"""A peer that serves the image on a unix socket, on a CPU of its own."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.processes import on_cpu

_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """Where it listens, and the process to ask for its use of CPU."""

    socket: Path
    pid: int


@contextmanager
def serving(name: str, command: Callable[[Path], Sequence[str]], cpu: int) -> Iterator[Served]:
    """Run ``command(socket)`` on ``cpu`` to the end of the block.  Raises BenchmarkError when it does not listen."""
    with tempfile.TemporaryDirectory(prefix="usblkback-tui-bench-") as folder:
        socket = Path(folder) / "socket"
        process = subprocess.Popen(
            on_cpu(cpu, command(socket)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _wait(name, process, socket)
            yield Served(socket, process.pid)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.communicate()


def _wait(name: str, process: subprocess.Popen[str], socket: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not socket.exists():
        if process.poll() is not None:
            said = process.stderr.read().strip() if process.stderr else ""
            raise BenchmarkError(f"{name} ended at once: {said or f'exit code {process.returncode}'}")
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{name} does not listen after {_START_SECONDS:g} s")
        time.sleep(0.01)
