# SPDX-License-Identifier: MIT
"""What charts and heat maps remember: the figures of every disk at four time resolutions, in bounded memory.

Reading takes ``back``: how many seconds before the newest value the picture ends.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from usblkback_tui.engine.rates import Rates, together
from usblkback_tui.ui import heat
from usblkback_tui.ui.heat import Heat

LEVELS = (1, 5, 15, 60)
"""Seconds in one dot of a chart, by zoom level; each a multiple of the one before."""
KEPT = 1024
"""Dots kept at each level: from 17 minutes to 17 hours."""
KEPT_HEAT = 256
"""Columns kept at each level beyond the first, which keeps ``KEPT``: a heat map has one to a cell."""
MOST_LATE = 64
"""What was measured so many times is in every track."""

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
        self._dots[0].append(value)
        if self._count % LEVELS[1]:
            return
        _trim(self._dots[0])
        for level, (finer, coarser) in enumerate(pairwise(LEVELS)):
            if self._count % coarser:
                return
            dots = self._dots[level][-(coarser // finer) :]
            self._dots[level + 1].append(sum(dots) / len(dots))
            _trim(self._dots[level + 1])

    def last(self, width: int, level: int = 0, back: int = 0) -> list[float]:
        """Up to ``width`` newest dots of a level, oldest first."""
        dots = self._dots[level]
        end = len(dots) - back // LEVELS[level]
        return dots[max(end - width, 0) : max(end, 0)].tolist() if width > 0 else []


def _trim(dots: array[float]) -> None:
    if len(dots) >= 2 * KEPT:
        del dots[:-KEPT]


class HeatSeries:
    """Columns of a heat map, one a second in, sums of LEVELS seconds out.  None is a second without a request."""

    __slots__ = ("_columns", "_count")

    def __init__(self) -> None:
        self._columns: tuple[list[Heat | None], ...] = tuple([] for _ in LEVELS)
        self._count = 0

    def add(self, column: Heat | None) -> None:
        """Append the column of the next second."""
        self._count += 1
        self._columns[0].append(column)
        if self._count % LEVELS[1]:
            return
        self._trim(0)
        for level, (finer, coarser) in enumerate(pairwise(LEVELS)):
            if self._count % coarser:
                return
            parts = [part for part in self._columns[level][-(coarser // finer) :] if part is not None]
            self._columns[level + 1].append(heat.together(parts) if parts else None)
            self._trim(level + 1)

    def _trim(self, level: int) -> None:
        columns, kept = self._columns[level], KEPT_HEAT if level else KEPT
        if len(columns) >= 2 * kept:
            del columns[:-kept]

    def last(self, width: int, level: int = 0, back: int = 0) -> list[Heat | None]:
        """Up to ``width`` newest columns of a level, oldest first."""
        columns = self._columns[level]
        end = len(columns) - back // LEVELS[level]
        return columns[max(end - width, 0) : max(end, 0)] if width > 0 else []


class Track:
    """The figures of one disk, or of all of them."""

    __slots__ = ("depth", "heat", "read_bytes", "reads", "writes", "written_bytes")

    def __init__(self) -> None:
        self.reads, self.writes, self.read_bytes, self.written_bytes = Series(), Series(), Series(), Series()
        self.depth = Series()
        self.heat = HeatSeries()

    def repeat(self, rates: Rates, heat: Heat | None, seconds: int) -> None:
        """Append so many seconds that were the same but for the requests, which ended in the first of them."""
        for second in range(seconds):
            self.add(rates, None if second else heat)

    def add(self, rates: Rates, heat: Heat | None = None) -> None:
        """Append one second."""
        self.reads.add(rates.reads)
        self.writes.add(rates.writes)
        self.read_bytes.add(rates.read_bytes)
        self.written_bytes.add(rates.written_bytes)
        self.depth.add(rates.queue_depth)
        self.heat.add(heat)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What was measured over some seconds, for the tracks that have not taken it yet."""

    rates: Mapping[Key, Rates]
    heats: Mapping[Key, Heat]
    seconds: int


class History:
    """The tracks of all disks; those of a disk that is gone are dropped.

    A track takes what was measured when it is looked at; the others are brought up to date a few at a time, so that no
    tick has to do all of them.
    """

    def __init__(self) -> None:
        self._tracks: dict[Key, Track] = {}
        self._late: list[_Measured] = []
        """What some tracks have not taken yet, oldest first."""
        self._taken: dict[Key, int] = {}
        """How many of these a track has taken."""
        self._due: list[Key] = []
        """Whose turn it is."""
        self.all = Track()
        """All disks together."""
        self.seconds = 0
        """How many were appended."""

    def add(
        self,
        rates: Mapping[Key, Rates],
        present: Iterable[Key],
        seconds: int = 1,
        heats: Mapping[Key, Heat] | None = None,
        total: Rates | None = None,
        warmth: Heat | None = None,
    ) -> None:
        """Append what was measured over the last ``seconds`` whole seconds.  A disk not measured gets no dot.

        ``total`` is what all disks together are, where that is not the sum of all rates, and ``warmth`` their heat.
        The requests of a heat map are counted in the first of these seconds.
        """
        heats, seconds = heats or {}, min(seconds, KEPT)
        self.seconds += seconds
        if warmth is None and heats:
            warmth = heat.together(heats.values())
        self.all.repeat(total or together(rates.values()), warmth, seconds)
        for key in set(self._tracks).union(*(one.rates for one in self._late)) - set(present):
            self._tracks.pop(key, None)
            self._taken[key] = len(self._late)  # should it come back, it begins anew
        self._late.append(_Measured(rates, heats, seconds))
        self._due = list(self._tracks.keys() | rates.keys())
        if len(self._late) >= MOST_LATE:
            self.settle()

    def settle(self, count: int | None = None) -> None:
        """Bring ``count`` more tracks up to date, or all of them."""
        for _ in range(len(self._due) if count is None else min(count, len(self._due))):
            self._bring(self._due.pop())
        if not self._due:
            self._late.clear()
            self._taken.clear()

    def _bring(self, key: Key) -> Track | None:
        taken = self._taken.get(key, 0)
        if taken == len(self._late):
            return self._tracks.get(key)
        for one in self._late[taken:]:
            if (rates := one.rates.get(key)) is not None:
                if (track := self._tracks.get(key)) is None:
                    track = self._tracks[key] = Track()
                track.repeat(rates, one.heats.get(key), one.seconds)
        self._taken[key] = len(self._late)
        return self._tracks.get(key)

    def track(self, key: Key | None) -> Track:
        """The track of a disk (an empty one for a disk without a past); of all disks for None."""
        return self.all if key is None else self._bring(key) or Track()
