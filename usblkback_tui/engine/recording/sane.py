# SPDX-License-Identifier: MIT
"""What a snapshot from a file must keep to so that everything that shows one can rely on it.

The types were checked when it was decoded; these are the sizes that make others allocate memory or index tables.
"""

from __future__ import annotations

from usblkback_tui.engine.latency import BUCKETS
from usblkback_tui.engine.snapshot import DiskView, Histogram, RingView, Snapshot

MAX_DISKS = 4096
MAX_DOMAINS = 65536
MAX_RINGS = 256
MAX_SLOTS = 65536


def problem_of(snapshot: Snapshot, known: Snapshot | None = None) -> str:
    """Why nobody can have recorded this, or nothing; what it shares with ``known`` was looked at before."""
    count = len(snapshot.disks) + len(snapshot.foreign) + len(snapshot.pending)
    if count > MAX_DISKS or len(snapshot.domains) > MAX_DOMAINS:
        return f"it has {count} disks of {len(snapshot.domains)} domains"
    before = set(map(id, known.disks)) if known else set()
    for disk in snapshot.disks:
        if id(disk) not in before and (problem := _disk(disk)):
            return f"disk {disk.domid}/{disk.devid} {problem}"
    return ""


def _disk(disk: DiskView) -> str:
    latency = disk.latency
    for histogram in (latency.read, latency.write, latency.flush, latency.discard):
        if problem := _histogram(histogram):
            return problem
    if len(disk.rings) > MAX_RINGS:
        return f"has {len(disk.rings)} rings"
    return next(filter(None, map(_ring, disk.rings)), "")


def _histogram(histogram: Histogram) -> str:
    counts = histogram.counts
    if not counts:
        return ""
    if len(counts) != BUCKETS:
        return f"has a histogram of {len(counts)} buckets"
    return "counted less than nothing" if min(counts) < 0 else ""


def _ring(ring: RingView) -> str:
    return "" if 1 <= ring.slots <= MAX_SLOTS and ring.pages >= 1 else f"has a ring of {ring.slots} slots"
