# SPDX-License-Identifier: MIT
"""Looks at the backend off the event loop: a remote engine that hangs must not take the keyboard with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.rates import Rates, between
from usblkback_tui.engine.snapshot import Event, Snapshot
from usblkback_tui.ui.foreign import rates_of_foreign
from usblkback_tui.ui.heat import Heat, heat_between

RATE_SECONDS = 1.0
"""Rates are taken over this long: shorter is unreadable, and a percentile needs something to count."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the backend.  ``error`` is a sentence when it could not be taken; then nothing else is set."""

    snapshot: Snapshot | None = None
    events: tuple[Event, ...] = ()
    rates: dict[tuple[int, int], Rates] | None = None
    """Set once in ``RATE_SECONDS``."""
    heat: dict[tuple[int, int], Heat] | None = None
    """Set together with ``rates``: what ended in that time, by latency."""
    seconds: int = 0
    """How many of ``RATE_SECONDS`` they stand for."""
    error: str = ""


class Sampler:
    """One thread that takes a sample whenever it is asked, and is never asked twice at once."""

    def __init__(
        self, backend: Backend, deliver: Callable[[Sample], None], keep: Callable[[Snapshot], None] | None = None
    ) -> None:
        """``deliver`` is called on the sampler's thread, and so is ``keep``, with snapshots ``RATE_SECONDS`` apart."""
        self._backend = backend
        self._deliver = deliver
        self._keep = keep
        self._asked = threading.Event()
        self._stopped = False
        self._base: Snapshot | None = None
        self._seen = 0
        self._thread = threading.Thread(target=self._run, name="usblk-sampler", daemon=True)
        self.waiting_since: float | None = None
        """When the sample that is under way was asked for (``time.monotonic``)."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples.  Does not wait for one that hangs."""
        self._stopped = True
        self._asked.set()

    def ask(self) -> bool:
        """Ask for a sample; False while the last one is still under way."""
        if self.waiting_since is not None:
            return False
        self.waiting_since = time.monotonic()
        self._asked.set()
        return True

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._stopped:
                return
            sample = self._sample()
            self.waiting_since = None
            self._deliver(sample)

    def _sample(self) -> Sample:
        try:
            snapshot = self._backend.snapshot()
            if self._base is None or self._base.started != snapshot.started:
                self._base, self._seen = snapshot, 0
            events = self._backend.events(self._seen)
        except Exception as error:
            self._base = None
            return Sample(error=str(error) or type(error).__name__)
        if events:
            self._seen = events[-1].seq
        if self._base is snapshot and self._keep is not None:
            self._keep(snapshot)
        seconds = round(snapshot.monotonic - self._base.monotonic, 1)
        if seconds < RATE_SECONDS:
            return Sample(snapshot, events)
        rates, heat = between(self._base, snapshot), heat_between(self._base, snapshot)
        rates |= rates_of_foreign(self._base, snapshot)
        self._base = snapshot
        if self._keep is not None:
            self._keep(snapshot)
        return Sample(snapshot, events, rates, heat, max(1, round(seconds)))
