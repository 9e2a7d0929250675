# SPDX-License-Identifier: MIT
"""One moment to draw.  Every view is made of a Scene alone, so live, scrubbed and replayed screens look the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from usblkback_tui.engine.rates import Rates
from usblkback_tui.engine.snapshot import DiskView, Event, PendingAttach, Snapshot
from usblkback_tui.ui import units
from usblkback_tui.ui.foreign import foreign_view
from usblkback_tui.ui.history import History, Track
from usblkback_tui.ui.pending import pending_key, pending_view

Key = tuple[int, int]


class DiskRow(NamedTuple):
    """One row of the table.  ``rates`` is None until they were measured."""

    disk: DiskView
    rates: Rates | None
    foreign: bool = False
    """Somebody else serves it: it is looked at, never touched."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the operator looks at."""

    snapshot: Snapshot
    rates: Mapping[Key, Rates] = field(default_factory=dict)
    total: Rates = field(default_factory=Rates)
    """All rates together."""
    earlier: tuple[Snapshot, Snapshot] | None = None
    """The two snapshots the rates are measured between, for whatever is measured of less than a disk."""
    window: Snapshot | None = None
    """The snapshot ``window_seconds`` before, for percentiles that need many requests."""
    window_seconds: int = 0
    history: History = field(default_factory=History)
    second: int = 0
    """How far of the history is shown, see ``History.seconds``."""
    log: Sequence[Event] = ()
    """Every event up to this moment, oldest first."""
    selected: Key | None = None
    """The disk under the cursor."""
    cursor: int = 0
    """The time cursor of charts: dots before the end; 0 is the end itself."""
    live: bool = True
    """The newest there is; it moves by itself."""
    frozen: bool = False
    """Held still where it was, rather than gone back to."""
    behind: float = 0.0
    """Seconds between this moment and the newest."""

    @property
    def now(self) -> float:
        """Wall-clock time of the moment."""
        return self.snapshot.time

    @property
    def disks(self) -> tuple[DiskView, ...]:
        """All disks, then those of others and those that wait for their domain."""
        snapshot = self.snapshot
        return *snapshot.disks, *map(foreign_view, snapshot.foreign), *map(pending_view, snapshot.pending)

    @property
    def disk(self) -> DiskView | None:
        """The selected disk."""
        if self.selected is None:
            return None
        ours = self.snapshot.disk(self.selected)
        other = next((one for one in self.snapshot.foreign if one.key == self.selected), None)
        waits = self.pending
        return ours or (foreign_view(other) if other else pending_view(waits) if waits else None)

    @property
    def pending(self) -> PendingAttach | None:
        """What waits, where that is selected."""
        return next((one for one in self.snapshot.pending if pending_key(one) == self.selected), None)

    @property
    def is_ours(self) -> bool:
        """This engine serves the selected disk."""
        return self.selected is not None and self.snapshot.disk(self.selected) is not None

    @property
    def is_foreign(self) -> bool:
        """Somebody else serves the selected disk."""
        return any(one.key == self.selected for one in self.snapshot.foreign)

    @property
    def disk_rates(self) -> Rates | None:
        """Its rates."""
        return self.rates.get(self.selected) if self.selected else None

    @property
    def problems(self) -> int:
        """Disks whose health is a warning or worse."""
        ours, others = self.snapshot.disks, self.snapshot.foreign
        return sum(disk.health.unwell for disk in ours) + sum(disk.health.unwell for disk in others)

    @property
    def end(self) -> str:
        """What a time axis ends with: ``now``, or the time of the moment."""
        return "now" if self.live else units.clock_seconds(self.now)

    @property
    def back(self) -> int:
        """Seconds of history that are not shown."""
        return max(self.history.seconds - self.second, 0)

    def track(self, key: Key | None) -> Track:
        """The past of one disk, of all disks for None."""
        return self.history.track(key)

    def rows(self) -> list[DiskRow]:
        """All disks with their rates."""
        ours = [DiskRow(disk, self.rates.get(disk.key)) for disk in self.snapshot.disks]
        others = [DiskRow(foreign_view(disk), self.rates.get(disk.key), True) for disk in self.snapshot.foreign]
        return ours + others + [DiskRow(pending_view(one), None) for one in self.snapshot.pending]

    def domain(self, domid: int | None) -> str:
        """The name of a domain, empty when nobody lists it."""
        return next((one.name for one in self.snapshot.domains if one.domid == domid), "")
