# SPDX-License-Identifier: MIT
"""A Python loop that never rests: in a thread of this process, where it competes for the GIL, or in another process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOP = """
import os, sys
parent = int(sys.argv[1])
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextmanager
def busy(where: str) -> Iterator[Callable[[], float]]:
    """Burn in a ``thread`` or a ``process`` on the same CPUs, or not at all with "", until the end of the block.

    What it yields is a clock: CPU seconds of this process that the loop has used, which are no cost of anything else.
    """
    match where:
        case "thread":
            with _thread() as clock:
                yield clock
        case "process":
            with subprocess.Popen([sys.executable, "-S", "-c", _LOOP, str(os.getpid())]) as process:
                try:
                    yield lambda: 0.0
                finally:
                    process.kill()
        case _:
            yield lambda: 0.0


@contextmanager
def _thread() -> Iterator[Callable[[], float]]:
    over = threading.Event()

    def burn() -> None:
        while not over.is_set():
            for _ in range(100_000):
                pass

    thread = threading.Thread(target=burn, name="busy", daemon=True)
    thread.start()
    clock = time.pthread_getcpuclockid(thread.ident or 0)
    try:
        yield lambda: time.clock_gettime(clock)
    finally:
        over.set()
        thread.join()
