# SPDX-License-Identifier: MIT
"""The columns of the request trace, and what a filter of it can ask for."""

from __future__ import annotations

from usblkback_tui.engine.inspection import RequestView
from usblkback_tui.ui import units
from usblkback_tui.ui.filtering import Fields, Filter
from usblkback_tui.ui.livetable import Column
from usblkback_tui.ui.text import Span

SLOW, VERY_SLOW = 20e6, 200e6
"""Nanoseconds from which on a latency is coloured."""

_OP_STYLE = {"read": "read", "write": "write", "barrier": "write", "flush": "warning", "discard": "info"}


def _latency(row: RequestView) -> Span:
    ns = row.latency_ns
    return units.latency(ns), "bold error" if ns >= VERY_SLOW else "warning" if ns >= SLOW else ""


TRACE_COLUMNS: tuple[Column[RequestView], ...] = (
    Column("time", "TIME", lambda r: (units.clock(r.time), "muted"), lambda r: r.time, least=12, descending=True),
    Column("ring", "RING", lambda r: (str(r.ring), "muted"), lambda r: r.ring, least=4, align=">", drop=3),
    Column(
        "seq", "REQUEST", lambda r: (str(r.seq), "muted"), lambda r: r.seq, least=9, align=">", drop=4, descending=True
    ),
    Column("op", "OP", lambda r: (r.op, _OP_STYLE.get(r.op, "bold")), lambda r: r.op, least=8),
    Column("sector", "SECTOR", lambda r: (f"{r.sector:,}", ""), lambda r: r.sector, least=14, align=">"),
    Column(
        "size",
        "SIZE",
        lambda r: (units.capacity(r.sectors), "" if r.sectors else "faint"),
        lambda r: r.sectors,
        least=9,
        align=">",
        descending=True,
    ),
    Column(
        "pages",
        "PAGES",
        lambda r: (f"{r.segments}{'i' if r.indirect else ''}", "muted"),
        lambda r: r.segments,
        least=6,
        align=">",
        drop=2,
        descending=True,
    ),
    Column("latency", "LATENCY", _latency, lambda r: r.latency_ns, least=8, align=">", descending=True),
    Column(
        "status",
        "STATUS",
        lambda r: (r.status, "good" if r.status == "ok" else "bold error"),
        lambda r: r.status,
        least=11,
    ),
)

TRACE_FIELDS: Fields[RequestView] = {
    "op": lambda r: r.op,
    "status": lambda r: r.status,
    "ring": lambda r: r.ring,
    "seq": lambda r: r.seq,
    "sector": lambda r: r.sector,
    "sectors": lambda r: r.sectors,
    "size": lambda r: r.sectors * 512,
    "pages": lambda r: r.segments,
    "lat": lambda r: r.latency_ns,
    "latency": lambda r: r.latency_ns,
    "indirect": lambda r: "yes" if r.indirect else "no",
}


def trace_filter(text: str) -> Filter[RequestView]:
    """A filter of requests."""
    return Filter(text, TRACE_FIELDS)
