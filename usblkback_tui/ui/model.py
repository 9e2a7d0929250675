# SPDX-License-Identifier: MIT
"""What the screens show: the last snapshot, the rates, the past of the charts and the log.  No widgets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from usblkback_tui.engine.rates import Rates, together
from usblkback_tui.engine.snapshot import DiskView, Event, Severity, Snapshot
from usblkback_tui.ui.history import History
from usblkback_tui.ui.sampler import Sample

KEPT_EVENTS = 1000

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DiskRow:
    """One row of the table.  ``rates`` is None until they were measured."""

    disk: DiskView
    rates: Rates | None


class Model:
    """Everything on the screens that came from the backend."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.rates: Mapping[Key, Rates] = {}
        self.total = Rates()
        """All rates together."""
        self.problems = 0
        """Disks whose health is a warning or worse."""
        self.history = History()
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.logged = 0
        """Counts every change of ``events``."""
        self.error = ""
        """Why there is no news from the backend."""
        self.error_since = 0.0
        self.samples = 0
        """Snapshots seen."""

    def take(self, sample: Sample) -> None:
        """Bring the model up to date."""
        if sample.snapshot is None:
            self.fail(sample.error)
            return
        if self.snapshot is not None and self.snapshot.started != sample.snapshot.started:
            self.events.clear()
            self.logged += 1
            self.history = History()
            self.rates, self.total = {}, Rates()
        self.error = ""
        self.snapshot = sample.snapshot
        self.problems = sum(map(has_problem, sample.snapshot.disks))
        self.samples += 1
        self.events.extend(sample.events)
        self.logged += len(sample.events)
        if sample.rates is not None:
            self.rates, self.total = sample.rates, together(sample.rates.values())
            self.history.add(sample.rates, [disk.key for disk in sample.snapshot.disks], sample.seconds)

    def fail(self, sentence: str) -> None:
        """The backend gave no answer."""
        if not self.error:
            self.error_since = time.time()
        self.error = sentence

    def frozen(self) -> Model:
        """The model as it is now, for a view that stands still."""
        twin = Model()
        twin.snapshot, twin.samples, twin.problems = self.snapshot, self.samples, self.problems
        twin.rates, twin.total = self.rates, self.total
        twin.history = self.history.copy()
        twin.events, twin.logged = self.events.copy(), self.logged
        return twin

    @property
    def now(self) -> float:
        """Wall-clock time of what is shown."""
        return self.snapshot.time if self.snapshot else 0.0

    @property
    def disks(self) -> tuple[DiskView, ...]:
        """All disks."""
        return self.snapshot.disks if self.snapshot else ()

    def disk(self, key: Key | None) -> DiskView | None:
        """One disk by its key."""
        return self.snapshot.disk(key) if self.snapshot and key else None

    def rows(self) -> list[DiskRow]:
        """All disks with their rates."""
        return [DiskRow(disk, self.rates.get(disk.key)) for disk in self.disks]


def has_problem(disk: DiskView) -> bool:
    """Its health is a warning or an error."""
    return disk.health.severity in (Severity.WARNING, Severity.ERROR)
