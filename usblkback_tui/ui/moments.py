# SPDX-License-Identifier: MIT
"""The last minutes, one moment a second: what scrubbing goes back to."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from usblkback_tui.engine.rates import Rates
from usblkback_tui.engine.snapshot import Snapshot

KEPT = 900
"""Moments at most: 15 minutes."""
KEPT_DISKS = 8_000
"""Disks in all of them together at most, which bounds the memory."""

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Moment:
    """The engine at one time, and what it did in the second before."""

    number: int
    """Counts up by one from moment to moment."""
    snapshot: Snapshot
    second: int
    """How far the history reached then, see ``History.seconds``."""
    rates: Mapping[Key, Rates] = field(default_factory=dict)
    total: Rates = field(default_factory=Rates)


class Moments:
    """A bounded past, oldest first."""

    def __init__(self) -> None:
        self._kept: deque[Moment] = deque()
        self._disks = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, snapshot: Snapshot, second: int, rates: Mapping[Key, Rates], total: Rates) -> None:
        """Append the newest one."""
        number = self._kept[-1].number + 1 if self._kept else 0
        self._kept.append(Moment(number, snapshot, second, rates, total))
        self._disks += len(snapshot.disks)
        while len(self._kept) > KEPT or (self._disks > KEPT_DISKS and len(self._kept) > 1):
            self._disks -= len(self._kept.popleft().snapshot.disks)

    @property
    def newest(self) -> Moment | None:
        """The last one."""
        return self._kept[-1] if self._kept else None

    def near(self, number: int) -> Moment | None:
        """The moment with this number, or the kept one next to it."""
        if not self._kept:
            return None
        return self._kept[max(0, min(number - self._kept[0].number, len(self._kept) - 1))]

    def at(self, time: float) -> Moment | None:
        """The last moment that is not after ``time`` (wall clock); the oldest when all are."""
        found = self._kept[0] if self._kept else None
        for moment in reversed(self._kept):
            if moment.snapshot.time <= time:
                return moment
        return found
