# SPDX-License-Identifier: MIT
"""Vbds that others serve, in the shape of our own disks, so that one table shows them all.  Pure."""

from __future__ import annotations

from usblkback_tui.engine.rates import Rates, foreign_rates
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
        findings=disk.findings,
        keys=disk.keys,
    )


def rates_of_foreign(old: Snapshot, new: Snapshot) -> dict[Key, Rates]:
    """The rates of those whose server counts, where it has counted since ``old``."""
    if old.started != new.started:
        return {}
    before = {disk.key: disk for disk in old.foreign}
    found = {disk.key: foreign_rates(before[disk.key], disk) for disk in new.foreign if disk.key in before}
    return {key: rates for key, rates in found.items() if rates is not None}
