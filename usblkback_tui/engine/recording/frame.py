# SPDX-License-Identifier: MIT
"""One look at an engine: its state, and what happened since the look before."""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.engine.snapshot import Event, Snapshot


@dataclass(frozen=True, slots=True)
class RequestView:
    """One request that was answered, as a ring's trace tells it."""

    ring: int
    """Index of its queue."""
    seq: int
    """Grows by one with each request of a ring."""
    time: float
    """When it was answered, ``time.time()`` seconds."""
    op: str
    """``read``, ``write``, ``barrier``, ``flush``, ``discard``, or ``op 9``."""
    indirect: bool
    sector: int
    sectors: int
    segments: int
    """Pages of data."""
    latency_ns: int
    """From reading it off the ring to its answer."""
    status: str
    """``ok``, ``error``, ``unsupported``."""


@dataclass(frozen=True, slots=True)
class DiskRequests:
    """Requests of one disk that were answered since the frame before; the newest, when there were too many."""

    domid: int
    devid: int
    requests: tuple[RequestView, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """The engine at ``at``, in seconds since the recording began by a clock that never goes back."""

    at: float
    snapshot: Snapshot
    events: tuple[Event, ...] = ()
    """New since the frame before, oldest first."""
    requests: tuple[DiskRequests, ...] = ()
