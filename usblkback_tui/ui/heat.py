# SPDX-License-Identifier: MIT
"""Latency by power of two: what one second adds to a heat map.  Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from usblkback_tui.engine.latency import BUCKETS, bucket_floor
from usblkback_tui.engine.snapshot import DiskView, Histogram, Snapshot

Key = tuple[int, int]

LOWEST = 9
"""The octave of the first row; what is faster than 2 µs is counted there."""
ROWS = 25
"""Octaves, each from one power of two of nanoseconds to the next; the last takes what is slower than 17 s."""


MOST = 0xFFFF_FFFF
"""Requests that a column can hold in a row."""


def row_floor(row: int) -> int:
    """Nanoseconds from which on row ``row`` counts."""
    return bucket_floor(4 * (LOWEST + row))


def _no_counts() -> array[int]:
    return array("I", bytes(4 * ROWS))


@dataclass(frozen=True, slots=True)
class Heat:
    """Requests that ended in one interval, by operation and row."""

    read: array[int] = field(default_factory=_no_counts)
    write: array[int] = field(default_factory=_no_counts)


def heat_between(old: Snapshot, new: Snapshot) -> dict[Key, Heat]:
    """What each disk that did something did between two snapshots of one engine."""
    if old.started != new.started:
        return {}
    before = {disk.key: disk for disk in old.disks}
    found = {disk.key: disk_heat(before[disk.key], disk) for disk in new.disks if disk.key in before}
    return {key: heat for key, heat in found.items() if heat is not None}


def disk_heat(old: DiskView, new: DiskView) -> Heat | None:
    """The same of one disk; None when it did nothing."""
    if old.latency == new.latency:
        return None
    return Heat(rows(old.latency.read, new.latency.read), rows(old.latency.write, new.latency.write))


def rows(old: Histogram, new: Histogram) -> array[int]:
    """What was counted between two readings of a histogram, by row; all of it when the counting began anew."""
    result = _no_counts()
    if not new.counts or old.counts == new.counts:
        return result
    was: Sequence[int] = old.counts or (0,) * BUCKETS
    counted = [a - b for a, b in zip(new.counts, was, strict=True)]
    if min(counted) < 0:
        counted = list(new.counts)
    first = 4 * (LOWEST + 1)
    result[0] = _held(sum(counted[:first]))
    for row in range(1, ROWS - 1):
        at = 4 * (LOWEST + row)
        result[row] = _held(sum(counted[at : at + 4]))
    result[ROWS - 1] = _held(sum(counted[4 * (LOWEST + ROWS - 1) :]))
    return result


def summed(columns: Sequence[array[int]]) -> array[int]:
    """Several columns as one."""
    if not columns:
        return _no_counts()
    sums = list(map(sum, zip(*columns, strict=True)))
    return array("I", sums if max(sums) <= MOST else map(_held, sums))


def together(heats: Iterable[Heat]) -> Heat:
    """Several disks, or several seconds, as one."""
    several = list(heats)
    return Heat(summed([heat.read for heat in several]), summed([heat.write for heat in several]))


def _held(count: int) -> int:
    """At most what a column can hold."""
    return min(count, MOST)
