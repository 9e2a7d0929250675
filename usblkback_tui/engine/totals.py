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


def add_latency(*parts: Latency) -> Latency:
    """Histogram by histogram."""
    return Latency(
        read=total(*(part.read for part in parts)),
        write=total(*(part.write for part in parts)),
        flush=total(*(part.flush for part in parts)),
        discard=total(*(part.discard for part in parts)),
    )
