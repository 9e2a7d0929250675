# SPDX-License-Identifier: MIT
"""What came from the backend: the newest snapshot, the past, and the scene that is made of them.  No widgets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

from usblkback_tui.engine.rates import Rates
from usblkback_tui.engine.snapshot import DiskView, Event, Snapshot
from usblkback_tui.ui.history import History
from usblkback_tui.ui.moments import Moment, Moments
from usblkback_tui.ui.sampler import Sample
from usblkback_tui.ui.scene import Scene

KEPT_EVENTS = 1000
AT_A_TIME = 24
"""Tracks of the history brought up to date in a tick that measured nothing."""
WINDOW = 10
"""Seconds that percentiles are taken over."""

Key = tuple[int, int]


class Model:
    """Everything on the screens that came from the backend."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.rates: Mapping[Key, Rates] = {}
        self.total = Rates()
        self.history = History()
        self.moments = Moments()
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.logged = 0
        """Counts every change of ``events``."""
        self.error = ""
        """Why there is no news from the backend."""
        self.error_since = 0.0
        self.samples = 0
        """Snapshots seen."""
        self._log: tuple[tuple[int, float], tuple[Event, ...]] = ((-1, 0.0), ())
        """The events up to a time, and what they were picked for."""

    def take(self, sample: Sample) -> None:
        """Bring the model up to date."""
        if sample.snapshot is None:
            self.fail(sample.error)
            return
        if self.snapshot is not None and self.snapshot.started != sample.snapshot.started:
            self.events.clear()
            self.logged += 1
            self._forget()
        self.error = ""
        self.snapshot = sample.snapshot
        self.samples += 1
        self.events.extend(sample.events)
        self.logged += len(sample.events)
        if sample.past:
            self._forget()
        for one in (*sample.past, sample):
            self._measure(one)
        if sample.rates is None:
            self.history.settle(None if sample.past else AT_A_TIME)

    def _forget(self) -> None:
        """Begin the past anew."""
        self.history = History()
        self.moments.forget()
        self.rates, self.total = {}, Rates()

    def _measure(self, sample: Sample) -> None:
        """Take what was measured into the past, where something was."""
        if sample.rates is not None and sample.snapshot is not None:
            ours = [disk.key for disk in sample.snapshot.disks]
            # Those who count for others do it once a second, so a look may come between two of their counts.
            before = {disk.key: self.rates[disk.key] for disk in sample.snapshot.foreign if disk.key in self.rates}
            self.rates = before | sample.rates
            self.total = sample.total
            present = ours + [disk.key for disk in sample.snapshot.foreign]
            self.history.add(self.rates, present, sample.seconds, sample.heat, total=self.total, warmth=sample.warmth)
            self.moments.add(sample.snapshot, self.history.seconds, self.rates, self.total)

    def fail(self, sentence: str) -> None:
        """The backend gave no answer."""
        if not self.error:
            self.error_since = time.time()
        self.error = sentence

    @property
    def now(self) -> float:
        """Wall-clock time of the newest snapshot."""
        return self.snapshot.time if self.snapshot else 0.0

    @property
    def disks(self) -> tuple[DiskView, ...]:
        """All disks of ours there are now."""
        return self.snapshot.disks if self.snapshot else ()

    def disk(self, key: Key | None) -> DiskView | None:
        """One disk by its key."""
        return self.snapshot.disk(key) if self.snapshot and key else None

    @property
    def window(self) -> Snapshot | None:
        """The snapshot of ``WINDOW`` seconds ago; None before there is one."""
        newest = self.moments.newest
        before = self.moments.near(newest.number - WINDOW) if newest else None
        return before.snapshot if newest and before and before.number == newest.number - WINDOW else None

    def moment(self) -> Moment | None:
        """Now, to be held."""
        if self.snapshot is None:
            return None
        newest = self.moments.newest
        number = newest.number if newest else 0
        return Moment(number, self.snapshot, self.history.seconds, self.rates, self.total)

    def scene(
        self, selected: Key | None = None, *, held: Moment | None = None, frozen: bool = False, cursor: int = 0
    ) -> Scene | None:
        """What to draw: the newest moment, or the one that is held; None before the first snapshot."""
        shown = held or self.moment()
        if shown is None:
            return None
        now, before = self.moments.near(shown.number), self.moments.near(shown.number - 1)
        window = self.moments.near(shown.number - WINDOW)
        measured = now is not None and before is not None and now is not before
        return Scene(
            snapshot=shown.snapshot,
            rates=shown.rates,
            total=shown.total,
            earlier=(before.snapshot, now.snapshot) if measured and before and now else None,
            window=window.snapshot if window else None,
            window_seconds=shown.number - window.number if window else 0,
            history=self.history,
            second=shown.second,
            log=self._events(shown.snapshot.time if held else None),
            selected=selected,
            cursor=cursor,
            live=held is None,
            frozen=frozen,
            behind=max(self.now - shown.snapshot.time, 0.0) if held else 0.0,
        )

    def _events(self, until: float | None) -> tuple[Event, ...]:
        """The events up to a time; the same tuple as long as they are the same."""
        wanted = (self.logged, until or 0.0)
        if self._log[0] != wanted:
            events = tuple(self.events) if until is None else tuple(e for e in self.events if e.time <= until)
            self._log = wanted, events
        return self._log[1]
