# SPDX-License-Identifier: MIT
"""Vbds that others serve, in the shape of our own disks, so that one table shows them all.  Pure."""

from __future__ import annotations

from usblkback_tui.engine.rates import Rates
from usblkback_tui.engine.snapshot import Counters, DiskView, ForeignDisk, KernelCounters, Latency, Snapshot

Key = tuple[int, int]


def foreign_view(disk: ForeignDisk) -> DiskView:
    """What is known of it; it has no rings and no latencies."""
    seen = disk.counters or KernelCounters(0.0)
    return DiskView(
        domid=disk.domid,
        domain=disk.domain,
        devid=disk.devid,
        vdev=disk.vdev,
        image=disk.image,
        mode=disk.mode,
        kind=disk.server,
        sectors=disk.sectors,
        frontend_state=disk.frontend_state,
        backend_state=disk.backend_state,
        frontend_since=disk.since,
        backend_since=disk.since,
        online=disk.online,
        owned=False,
        health=disk.health,
        counters=Counters(
            reads=seen.reads,
            writes=seen.writes,
            flushes=seen.flushes,
            discards=seen.discards,
            bytes_read=seen.bytes_read,
            bytes_written=seen.bytes_written,
        ),
        latency=Latency(),
    )


def foreign_rates(old: Snapshot, new: Snapshot) -> dict[Key, Rates]:
    """The rates of those whose server counts."""
    if old.started != new.started:
        return {}
    before = {disk.key: disk.counters for disk in old.foreign if disk.counters}
    found = {}
    for disk in new.foreign:
        was, now = before.get(disk.key), disk.counters
        if was is None or now is None or (seconds := now.monotonic - was.monotonic) <= 0 or now.reads < was.reads:
            continue
        found[disk.key] = Rates(
            reads=(now.reads - was.reads) / seconds,
            writes=max(now.writes - was.writes, 0) / seconds,
            flushes=max(now.flushes - was.flushes, 0) / seconds,
            discards=max(now.discards - was.discards, 0) / seconds,
            read_bytes=max(now.bytes_read - was.bytes_read, 0) / seconds,
            written_bytes=max(now.bytes_written - was.bytes_written, 0) / seconds,
        )
    return found
