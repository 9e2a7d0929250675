# SPDX-License-Identifier: MIT
"""Signals as something to wait for.

A handler may only set a flag: the interrupted code may hold any lock.  So it writes the signal's number to a pipe, and
the main thread waits on that.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any, Self


class Signals:
    """Catches ``numbers`` while used as a context, in the main thread."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._before: dict[int, Any] = {}
        self._reader, self._writer = -1, -1

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        for number in self._numbers:
            self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        writer, self._writer = self._writer, -1
        os.close(writer)
        os.close(self._reader)

    def wait(self, timeout: float) -> int | None:
        """The next signal, or None after ``timeout`` seconds; one that is over looks once."""
        ready, _, _ = select.select([self._reader], [], [], max(timeout, 0.0))
        return os.read(self._reader, 1)[0] if ready else None

    def send(self, number: signal.Signals) -> None:
        """As if ``number`` had come; from any thread."""
        self._caught(number, None)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if self._writer >= 0:
            try:
                os.write(self._writer, bytes([number]))
            except BlockingIOError:
                pass  # thousands of signals wait to be read: one more says nothing new
