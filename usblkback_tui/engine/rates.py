# SPDX-License-Identifier: MIT
"""Rates of every disk between two snapshots: what an operator reads as r/s, MB/s and p99.

Pure.  A disk that both snapshots do not have gets no rates: the first reading of a disk is where its rates start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from usblkback_tui.engine.latency import difference, percentile, total
from usblkback_tui.engine.snapshot import Counters, DiskView, ForeignDisk, Histogram, Latency, Snapshot


@dataclass(frozen=True, slots=True)
class Rates:
    """One disk over one interval.  Per second where a unit is missing; latencies in nanoseconds, None without I/O."""

    reads: float = 0.0
    writes: float = 0.0
    flushes: float = 0.0
    discards: float = 0.0
    read_bytes: float = 0.0
    written_bytes: float = 0.0
    errors: float = 0.0
    queue_depth: int = 0
    """Requests in flight at the end of the interval."""
    p50: float | None = None
    p99: float | None = None

    @property
    def operations(self) -> float:
        """Requests of all kinds a second."""
        return self.reads + self.writes + self.flushes + self.discards

    @property
    def bytes(self) -> float:
        """Bytes moved a second, both ways."""
        return self.read_bytes + self.written_bytes


def between(old: Snapshot, new: Snapshot) -> dict[tuple[int, int], Rates]:
    """The rates of every disk in both snapshots, by disk key.

    Empty when no time passed between them or when they are of two different engines.
    """
    seconds = new.monotonic - old.monotonic
    if seconds <= 0 or old.started != new.started:
        return {}
    before = {disk.key: disk for disk in old.disks}
    return {disk.key: disk_rates(before[disk.key], disk, seconds) for disk in new.disks if disk.key in before}


def disk_rates(old: DiskView, new: DiskView, seconds: float) -> Rates:
    """The rates of one disk over ``seconds`` (> 0)."""
    was, now = old.counters, new.counters
    if _restarted(was, now):
        was = Counters()
    latency = _interval(old.latency, new.latency)
    return Rates(
        reads=(now.reads - was.reads) / seconds,
        writes=(now.writes - was.writes) / seconds,
        flushes=(now.flushes - was.flushes) / seconds,
        discards=(now.discards - was.discards) / seconds,
        read_bytes=(now.bytes_read - was.bytes_read) / seconds,
        written_bytes=(now.bytes_written - was.bytes_written) / seconds,
        errors=(now.errors - was.errors) / seconds,
        queue_depth=now.in_flight,
        p50=percentile(latency, 0.50) if latency.counts else None,
        p99=percentile(latency, 0.99) if latency.counts else None,
    )


def foreign_rates(old: ForeignDisk, new: ForeignDisk) -> Rates | None:
    """The rates of a disk that the kernel serves; None while there is nothing to compare.

    Its counters are read more rarely than snapshots are made: None also when both have the same reading.
    """
    was, now = old.counters, new.counters
    if was is None or now is None or now.monotonic <= was.monotonic:
        return None
    if now.reads < was.reads or now.writes < was.writes:
        return None  # it was connected anew and counts from zero
    seconds = now.monotonic - was.monotonic
    return Rates(
        reads=(now.reads - was.reads) / seconds,
        writes=(now.writes - was.writes) / seconds,
        flushes=max(now.flushes - was.flushes, 0) / seconds,
        discards=max(now.discards - was.discards, 0) / seconds,
        read_bytes=max(now.bytes_read - was.bytes_read, 0) / seconds,
        written_bytes=max(now.bytes_written - was.bytes_written, 0) / seconds,
    )


def together(rates: Iterable[Rates]) -> Rates:
    """Several disks as one: sums, and the latencies of the slowest disk."""
    several = list(rates)
    return Rates(
        reads=sum(r.reads for r in several),
        writes=sum(r.writes for r in several),
        flushes=sum(r.flushes for r in several),
        discards=sum(r.discards for r in several),
        read_bytes=sum(r.read_bytes for r in several),
        written_bytes=sum(r.written_bytes for r in several),
        errors=sum(r.errors for r in several),
        queue_depth=sum(r.queue_depth for r in several),
        p50=max((r.p50 for r in several if r.p50 is not None), default=None),
        p99=max((r.p99 for r in several if r.p99 is not None), default=None),
    )


def _restarted(was: Counters, now: Counters) -> bool:
    """A total went back: the disk was detached and attached again, and counts from zero."""
    return (
        now.reads < was.reads
        or now.writes < was.writes
        or now.flushes < was.flushes
        or now.discards < was.discards
        or now.bytes_read < was.bytes_read
        or now.bytes_written < was.bytes_written
        or now.errors < was.errors
    )


def _interval(old: Latency, new: Latency) -> Histogram:
    """What was counted between two readings, all operations together.

    An operation that did nothing is left out before the sums: comparing two tuples is far cheaper than adding them.
    """
    pairs = (
        (old.read, new.read),
        (old.write, new.write),
        (old.flush, new.flush),
        (old.discard, new.discard),
    )
    return total(*(_counted(was, now) for was, now in pairs if was.counts != now.counts))


def _counted(was: Histogram, now: Histogram) -> Histogram:
    if len(was.counts) != len(now.counts):
        return now
    counted = difference(now, was)
    return now if min(counted.counts) < 0 else counted
