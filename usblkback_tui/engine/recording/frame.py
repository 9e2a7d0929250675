# SPDX-License-Identifier: MIT
"""One look at an engine: its state, and what happened since the look before."""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.engine.inspection import RequestView
from usblkback_tui.engine.snapshot import Event, Snapshot


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
