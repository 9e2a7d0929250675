# SPDX-License-Identifier: MIT
"""Attaches that wait for their domain, in the shape of disks, so that the table shows them too.  Pure."""

from __future__ import annotations

from usblkback_tui.engine.snapshot import Counters, DiskView, Health, Latency, PendingAttach, Severity
from usblkback_tui.protocol.states import XenbusState
from usblkback_tui.ui import units
from usblkback_tui.ui.text import Line, clean, fit_path, wrap

Key = tuple[int, int]


def pending_key(one: PendingAttach) -> Key:
    """Its key among disks: the domain has no number yet, so it is none that a domain can have."""
    return -one.number, one.devid


def pending_view(one: PendingAttach) -> DiskView:
    """What is known of the disk it becomes."""
    until = f" until {units.clock_seconds(one.until)}" if one.until is not None else ""
    domid, devid = pending_key(one)
    return DiskView(
        domid=domid,
        domain=one.domain,
        devid=devid,
        vdev=one.vdev,
        image=one.image,
        mode=one.mode,
        kind="waits",
        sectors=0,
        frontend_state=XenbusState.UNKNOWN,
        backend_state=XenbusState.UNKNOWN,
        frontend_since=one.since,
        backend_since=one.since,
        online=False,
        owned=False,
        health=Health(Severity.INFO, f"waits for domain {one.domain}{until}; d takes it back"),
        counters=Counters(),
        latency=Latency(),
        options=one.options,
    )


def pending_lines(one: PendingAttach, now: float, width: int) -> list[Line]:
    """Everything about it."""
    ends = f"until {units.clock_seconds(one.until)}" if one.until is not None else "as long as the engine runs"
    waited = units.elapsed(float(int(max(now - one.since, 0.0)))) if now - one.since >= 1 else "just now"
    label = "{:<10}".format
    return [
        ((label("waits for"), "muted"), (f"domain {clean(one.domain)}", "bold"), (f"  {ends}", "muted")),
        ((label("since"), "muted"), (f"{units.clock_seconds(one.since)}  {waited}", "")),
        ((label("image"), "muted"), (fit_path(clean(one.image), max(width - 10, 10)), "")),
        ((label("becomes"), "muted"), (f"{one.vdev}, {'read-only' if one.mode == 'r' else 'read-write'}", "")),
        *wrap("It is attached as soon as a domain of this name appears. d takes it back.", width, "muted", rows=3),
    ]
