# SPDX-License-Identifier: MIT
"""The last finished requests of a disk, from the trace that each ring keeps in C."""

from __future__ import annotations

import time
from collections.abc import Sequence

from usblkback_tui.engine.datapath.ring import RingServer, TraceEntry
from usblkback_tui.engine.inspection import RequestView
from usblkback_tui.protocol.words import op_word, status_word

MAX_REQUESTS = 4096
"""Requests in one answer."""


def recent_requests(
    rings: Sequence[RingServer], answered: int, after: Sequence[int], limit: int
) -> tuple[RequestView, ...]:
    """The newest ``limit`` requests of all rings together, oldest first; of ring i those with ``seq > after[i]``.

    ``answered``: requests that rings of earlier connections answered, which keeps ``seq`` growing.
    """
    limit = max(0, min(limit, MAX_REQUESTS))
    offset = time.time() - time.monotonic()
    found: list[RequestView] = []
    for index, ring in enumerate(rings):
        seen = after[index] - answered if index < len(after) else 0
        entries = ring.trace(max(seen, 0), min(limit, 1024)) if limit else ()
        found += [_view(index, entry, answered, offset) for entry in entries]
    found.sort(key=lambda request: request.time)
    return tuple(found[-limit:]) if limit else ()


def _view(ring: int, entry: TraceEntry, answered: int, offset: float) -> RequestView:
    return RequestView(
        ring=ring,
        seq=answered + entry.seq,
        time=offset + entry.time_ns / 1e9,
        op=op_word(entry.op),
        indirect=entry.indirect,
        sector=entry.sector,
        sectors=entry.sectors,
        segments=entry.segments,
        latency_ns=entry.latency_ns,
        status=status_word(entry.status),
    )
