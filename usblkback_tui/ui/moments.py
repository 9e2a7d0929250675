# SPDX-License-Identifier: MIT
"""The last minutes, one moment a second: what scrubbing goes back to.

The newest moments are kept as they came; older ones are unpacked from the engine's timeline, which takes a hundredth of
the memory.  Packing is work, so it is done on the thread that takes the snapshots.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from usblkback_tui.engine.rates import Rates, between, together
from usblkback_tui.engine.recording.timeline import Timeline
from usblkback_tui.engine.snapshot import Snapshot
from usblkback_tui.ui.foreign import rates_of_foreign

KEPT = 900
"""Moments at most: 15 minutes."""
WHOLE = 13
"""Of these the newest that are kept whole."""

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


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a moment is in the timeline."""

    number: int
    place: float
    second: int


class Moments:
    """A bounded past.  :meth:`keep` may be called on another thread; everything else belongs to the event loop."""

    def __init__(self) -> None:
        self._timeline = Timeline()
        self._lock = threading.Lock()
        self._marks: deque[_Mark] = deque(maxlen=KEPT)
        self._whole: deque[Moment] = deque(maxlen=WHOLE)
        self._unpacked: Moment | None = None

    def __len__(self) -> int:
        return len(self._marks)

    def keep(self, snapshot: Snapshot) -> None:
        """Pack a snapshot that :meth:`add` will come with."""
        with self._lock:
            self._timeline.add(snapshot)

    def add(self, snapshot: Snapshot, second: int, rates: Mapping[Key, Rates], total: Rates) -> None:
        """Append the newest one."""
        number = self._marks[-1].number + 1 if self._marks else 0
        self._marks.append(_Mark(number, snapshot.monotonic, second))
        self._whole.append(Moment(number, snapshot, second, rates, total))
        with self._lock:
            first = self._timeline.first
        oldest = self._whole[0].number
        while first is not None and self._marks[0].place < first and self._marks[0].number < oldest:
            self._marks.popleft()

    def forget(self) -> None:
        """Begin anew, with another engine."""
        self._marks.clear()
        self._whole.clear()
        self._unpacked = None

    @property
    def newest(self) -> Moment | None:
        """The last one."""
        return self._whole[-1] if self._whole else None

    @property
    def reach(self) -> float:
        """Seconds between the oldest and the newest."""
        return self._marks[-1].place - self._marks[0].place if self._marks else 0.0

    def number_at(self, place: float) -> int:
        """The number of the moment that was the newest at a ``Snapshot.monotonic``; of the oldest for one before."""
        at = bisect_right(self._marks, place, key=lambda mark: mark.place)
        return self._marks[max(at - 1, 0)].number if self._marks else 0

    def near(self, number: int) -> Moment | None:
        """The moment with this number, or the kept one next to it."""
        if not self._marks:
            return None
        oldest = self._whole[0].number
        if number >= oldest:
            return self._whole[min(number - oldest, len(self._whole) - 1)]
        at = max(number - self._marks[0].number, 0)
        mark, before = self._marks[at], next(islice(self._marks, max(at - 1, 0), None))
        if self._unpacked is None or self._unpacked.number != mark.number:
            self._unpacked = self._unpack(mark, before)
        return self._unpacked

    def _unpack(self, mark: _Mark, before: _Mark) -> Moment | None:
        with self._lock:
            snapshot, earlier = self._timeline.at(mark.place), self._timeline.at(before.place)
        if snapshot is None:
            return self._whole[0]
        rates = between(earlier, snapshot) | rates_of_foreign(earlier, snapshot) if earlier is not None else {}
        ours = [rates[disk.key] for disk in snapshot.disks if disk.key in rates]
        return Moment(mark.number, snapshot, mark.second, rates, together(ours))
