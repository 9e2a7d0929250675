# SPDX-License-Identifier: MIT
"""What the charts remember: four figures of every disk at four time resolutions, in a fixed amount of memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from itertools import pairwise

from usblkback_tui.engine.rates import Rates, together

LEVELS = (1, 5, 15, 60)
"""Seconds in one dot of a chart, by zoom level; each a multiple of the one before."""
KEPT = 512
"""Dots kept at each level: from 8.5 minutes to 8.5 hours."""

Key = tuple[int, int]


class Series:
    """One figure, one value a second in, averages of LEVELS seconds out."""

    __slots__ = ("_count", "_dots")

    def __init__(self) -> None:
        self._dots = tuple(array("f") for _ in LEVELS)
        self._count = 0

    def add(self, value: float) -> None:
        """Append the value of the next second."""
        self._count += 1
        _append(self._dots[0], value)
        for level, (finer, coarser) in enumerate(pairwise(LEVELS)):
            if self._count % coarser:
                return
            dots = self._dots[level][-(coarser // finer) :]
            _append(self._dots[level + 1], sum(dots) / len(dots))

    def last(self, width: int, level: int = 0) -> list[float]:
        """Up to ``width`` newest dots of a level, oldest first."""
        return self._dots[level][-width:].tolist() if width > 0 else []

    def copy(self) -> Series:
        """A series that no longer changes with this one."""
        twin = Series()
        twin._dots = tuple(array("f", dots) for dots in self._dots)
        twin._count = self._count
        return twin


def _append(dots: array[float], value: float) -> None:
    dots.append(value)
    if len(dots) >= 2 * KEPT:
        del dots[:-KEPT]


class Track:
    """The four figures of one disk, or of all of them."""

    __slots__ = ("read_bytes", "reads", "writes", "written_bytes")

    def __init__(self) -> None:
        self.reads, self.writes, self.read_bytes, self.written_bytes = Series(), Series(), Series(), Series()

    def add(self, rates: Rates) -> None:
        """Append one second."""
        self.reads.add(rates.reads)
        self.writes.add(rates.writes)
        self.read_bytes.add(rates.read_bytes)
        self.written_bytes.add(rates.written_bytes)

    def copy(self) -> Track:
        """A track that no longer changes with this one."""
        twin = Track()
        twin.reads, twin.writes = self.reads.copy(), self.writes.copy()
        twin.read_bytes, twin.written_bytes = self.read_bytes.copy(), self.written_bytes.copy()
        return twin


class History:
    """The tracks of all disks; those of a disk that is gone are dropped."""

    def __init__(self) -> None:
        self._tracks: dict[Key, Track] = {}
        self.all = Track()
        """All disks together."""
        self.added = 0
        """Counts what was appended."""

    def add(self, rates: Mapping[Key, Rates], present: Iterable[Key], seconds: int = 1) -> None:
        """Append what was measured over the last ``seconds`` whole seconds.  A disk not measured gets no dot."""
        self.added += 1
        sums = together(rates.values())
        for _ in range(min(seconds, KEPT)):
            self.all.add(sums)
            for key, one in rates.items():
                self._tracks.setdefault(key, Track()).add(one)
        for key in self._tracks.keys() - set(present):
            del self._tracks[key]

    def track(self, key: Key | None) -> Track:
        """The track of a disk (an empty one for a disk without a past); of all disks for None."""
        return self.all if key is None else self._tracks.get(key) or Track()

    def copy(self) -> History:
        """A history that no longer changes with this one."""
        twin = History()
        twin._tracks = {key: track.copy() for key, track in self._tracks.items()}
        twin.all, twin.added = self.all.copy(), self.added
        return twin
