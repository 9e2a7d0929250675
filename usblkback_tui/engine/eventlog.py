# SPDX-License-Identifier: MIT
"""The last things worth telling, kept in order and readable from any thread."""

from __future__ import annotations

import threading
import time
from collections import deque

from usblkback_tui.engine.snapshot import Event, Severity, StateChange

KEPT = 2000
"""Events; older ones are forgotten, so a noisy guest costs nothing."""


class EventLog:
    """A bounded log.  ``seq`` numbers say what a reader has seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._seq = 0

    def add(
        self,
        severity: Severity,
        text: str,
        kind: str = "log",
        *,
        domid: int | None = None,
        devid: int | None = None,
        vdev: str = "",
        change: StateChange | None = None,
    ) -> None:
        """Append one event, now."""
        with self._lock:
            self._seq += 1
            self._events.append(
                Event(self._seq, time.time(), severity, text, kind, domid, devid, vdev, change),
            )

    def after(self, seq: int) -> tuple[Event, ...]:
        """The kept events newer than ``seq``, oldest first."""
        with self._lock:
            if seq >= self._seq:
                return ()
            return tuple(event for event in self._events if event.seq > seq)
