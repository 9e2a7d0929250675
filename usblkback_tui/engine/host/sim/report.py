# SPDX-License-Identifier: MIT
"""Reads a notebook's counters."""

from __future__ import annotations

import mmap

from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.load import DiskReport

NR_NOTES = 1 << 24
"""Granules with a note: 64 GiB of 4 KiB each.  The file is sparse."""
NOTEBOOK_BYTES = lib.FRONT_BOOK_BYTES + NR_NOTES * 8


def read_book(vdev: str, book: mmap.mmap) -> DiskReport:
    """The counters as they are now; each is right, though not all are of the same moment."""
    with ffi.from_buffer(book) as buffer:
        stats = ffi.cast("front_book *", buffer).stats
        buckets = list(stats.latency)
        return DiskReport(
            vdev=vdev,
            reads=stats.reads,
            writes=stats.writes,
            flushes=stats.flushes,
            discards=stats.discards,
            bytes_read=stats.bytes_read,
            bytes_written=stats.bytes_written,
            errors=stats.errors,
            mismatches=stats.mismatches,
            verified=stats.verified,
            unsupported=stats.unsupported,
            notifies=stats.notifies,
            wakes=stats.wakes,
            in_flight=stats.inflight,
            persistent=stats.persistent,
            fault=_fault(stats.fault, stats.fault_id, stats.fault_value),
            bad_sector=stats.bad_sector,
            p50_us=percentile_us(buckets, 0.5),
            p99_us=percentile_us(buckets, 0.99),
        )


def percentile_us(buckets: list[int], part: float) -> float:
    """Microseconds in which ``part`` of the requests were answered; buckets are 8 per power of two of ns."""
    wanted = part * sum(buckets)
    seen = 0
    for index, count in enumerate(buckets):
        seen += count
        if count and seen >= wanted:
            return ((8 + index % 8 + 1) << (index // 8)) / 1000
    return 0.0


def _fault(kind: int, ident: int, value: int) -> str:
    match kind:
        case lib.FAULT_NONE:
            return ""
        case lib.FAULT_COUNT:
            return f"{value} responses are more than there are requests"
        case lib.FAULT_ID:
            return f"a response to id {ident}, which is not under way"
        case lib.FAULT_OPERATION:
            return f"the response to id {ident} has operation {value}, not that of its request"
        case _:
            return f"the backend has not unmapped a grant of id {ident}"
