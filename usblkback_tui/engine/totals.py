# SPDX-License-Identifier: MIT
"""A disk's totals over all its connections: what earlier rings did plus what the present one does."""

from __future__ import annotations

from dataclasses import fields

from usblkback_tui.engine.latency import total
from usblkback_tui.engine.snapshot import Counters, Latency

_NAMES = tuple(field.name for field in fields(Counters))


def add_counters(*parts: Counters) -> Counters:
    """Member by member."""
    return Counters(**{name: sum(getattr(part, name) for part in parts) for name in _NAMES})


def add_latency(one: Latency, other: Latency) -> Latency:
    """Histogram by histogram."""
    return Latency(
        read=total(one.read, other.read),
        write=total(one.write, other.write),
        flush=total(one.flush, other.flush),
        discard=total(one.discard, other.discard),
    )
