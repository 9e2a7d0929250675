# SPDX-License-Identifier: MIT
"""Reads a notebook's counters."""

from __future__ import annotations

import mmap

from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.load import DiskReport

NR_NOTES = 1 << 24
"""Granules with a note: 64 GiB of 4 KiB each.  The file is sparse."""
BOOK_BYTES: int = lib.FRONT_BOOK_BYTES
"""The part of a notebook before the notes."""
NOTEBOOK_BYTES = BOOK_BYTES + NR_NOTES * 8
_SUMS = (
    *("reads", "writes", "flushes", "discards", "bytes_read", "bytes_written", "errors", "mismatches", "verified"),
    *("unsupported", "notifies", "wakes", "persistent"),
)
"""Counters that are the same in the notebook and in a report."""


def read_book(vdev: str, book: mmap.mmap) -> DiskReport:
    """The counters as they are now; each is right, though not all are of the same moment."""
    with ffi.from_buffer(book) as buffer:
        pointer = ffi.cast("front_book *", buffer)
        queues = [pointer.stats[i] for i in range(max(pointer.most_queues, 1))]
        buckets = [sum(counts) for counts in zip(*(list(queue.latency) for queue in queues), strict=True)]
        return DiskReport(
            vdev=vdev,
            queues=pointer.queues,
            **{name: sum(int(getattr(queue, name)) for queue in queues) for name in _SUMS},
            in_flight=sum(queue.inflight for queue in queues),
            fault=next(filter(None, (_fault(q.fault, q.fault_id, q.fault_value) for q in queues)), ""),
            bad_sector=pointer.bad_sector,
            p50_us=percentile_us(buckets, 0.5),
            p99_us=percentile_us(buckets, 0.99),
            by_queue=tuple(queue.reads + queue.writes + queue.flushes + queue.discards for queue in queues),
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
