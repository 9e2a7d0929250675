# SPDX-License-Identifier: MIT
"""Looks at the backend off the event loop: a remote engine that hangs must not take the keyboard with it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.rates import Rates, between, together
from usblkback_tui.engine.snapshot import Event, Snapshot
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui import heat
from usblkback_tui.ui.foreign import rates_of_foreign
from usblkback_tui.ui.heat import Heat, heat_between
from usblkback_tui.ui.moments import WHOLE

PAST_DISK_SECONDS = 1800
"""How far back is read after a jump in a recording, in seconds times disks: about a second of work."""
LEAST_PAST, MOST_PAST = 60.0, 900.0
"""And this many seconds at least and at most."""
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
    total: Rates = field(default_factory=Rates)
    """Of all disks of ours together."""
    warmth: Heat | None = None
    """And their heat."""
    seconds: int = 0
    """How many of ``RATE_SECONDS`` they stand for."""
    past: tuple[Sample, ...] = ()
    """Set once for a backend that knows its past: what would have been seen of it up to ``snapshot``, oldest first."""
    error: str = ""


class Sampler:
    """One thread that takes a sample whenever it is asked, and is never asked twice at once."""

    def __init__(
        self,
        backend: Backend,
        deliver: Callable[[Sample], None],
        keep: Callable[[Snapshot], None] | None = None,
        past: Callable[[Snapshot, float], Iterable[Snapshot]] | None = None,
    ) -> None:
        """``deliver`` is called on the sampler's thread, and so is ``keep``, with snapshots ``RATE_SECONDS`` apart.

        ``past`` is what came before a snapshot, so many seconds back, for a backend that knows.
        """
        self._backend = backend
        self._deliver = deliver
        self._keep = keep
        self._past = past
        self._past_due = False
        """The backend is another one since the last sample but one."""
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
            past = self._looked_back(snapshot) if self._past_due and self._base is not snapshot else ()
        except Exception as error:
            self._base = None
            return Sample(error=str(error) or type(error).__name__)
        if events:
            self._seen = events[-1].seq
        if past:
            self._base = snapshot
            self._kept(snapshot)
            return Sample(snapshot, events, past=past)
        if self._base is snapshot:
            # what was there before takes a moment to read, and comes with the next sample
            self._past_due = self._past is not None
            self._kept(snapshot)
            return Sample(snapshot, events)
        seconds = round(snapshot.monotonic - self._base.monotonic, 1)
        if seconds < RATE_SECONDS:
            return Sample(snapshot, events)
        sample = self._measured(self._base, snapshot, events)
        self._base = snapshot
        self._kept(snapshot)
        return sample

    def _looked_back(self, snapshot: Snapshot) -> tuple[Sample, ...]:
        """What came before it, measured as if it had been seen."""
        assert self._past is not None
        self._past_due = False
        disks = len(snapshot.disks) + len(snapshot.foreign)
        seconds = min(max(PAST_DISK_SECONDS / max(disks, 1), LEAST_PAST), MOST_PAST)
        before: deque[Snapshot] = deque(maxlen=WHOLE)
        measured: list[Sample] = []
        with suppress(UserError):  # what cannot be read is missing; that it cannot is said where it is looked at
            for one in self._past(snapshot, seconds):
                if before:
                    measured.append(self._measured(before[-1], one))
                before.append(one)
        if before:
            measured.append(self._measured(before[-1], snapshot))
        for one in before:
            self._kept(one)
        return tuple(measured)

    def _measured(self, old: Snapshot, new: Snapshot, events: tuple[Event, ...] = ()) -> Sample:
        seconds = max(1, round(new.monotonic - old.monotonic))
        ours, heats = between(old, new), heat_between(old, new)
        warmth = heat.together(heats.values()) if heats else None
        total = together(ours.values())
        return Sample(new, events, ours | rates_of_foreign(old, new), heats, total, warmth, seconds)

    def _kept(self, snapshot: Snapshot) -> None:
        if self._keep is not None:
            self._keep(snapshot)
