# SPDX-License-Identifier: MIT
"""A disk's totals over all its connections: what earlier rings did plus what the present one does."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter

from usblkback_tui.engine.latency import total
from usblkback_tui.engine.snapshot import Counters, Latency

_members = attrgetter(*(field.name for field in fields(Counters)))


def add_counters(*parts: Counters) -> Counters:
    """Member by member."""
    return Counters(*map(sum, zip(*map(_members, parts), strict=True)))


def add_latency(one: Latency, other: Latency) -> Latency:
    """Histogram by histogram."""
    return Latency(
        read=total(one.read, other.read),
        write=total(one.write, other.write),
        flush=total(one.flush, other.flush),
        discard=total(one.discard, other.discard),
    )
