# SPDX-License-Identifier: MIT
"""Disks that cross a threshold of ``[alerts]``: a pure function of two snapshots.

An alert has the same ``id`` as long as it lasts, so a consumer tells a new one from one that goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from usblkback_tui.engine.rates import Rates, between
from usblkback_tui.engine.settings import AlertSettings
from usblkback_tui.engine.snapshot import DiskView, Severity, Snapshot
from usblkback_tui.protocol.states import XenbusState as S


@dataclass(frozen=True, slots=True)
class Alert:
    """One threshold that one disk has crossed."""

    id: str
    """``p99 3/51712``: what and which disk."""
    key: tuple[int, int]
    """The disk's ``(domid, devid)``."""
    severity: Severity
    sentence: str


def find_alerts(old: Snapshot, new: Snapshot, settings: AlertSettings) -> tuple[Alert, ...]:
    """The alerts of ``new``; rates are those since ``old``, which is best some ten seconds older."""
    rates = between(old, new)
    before = {disk.key: disk for disk in old.disks} if old.started == new.started else {}
    seconds = new.monotonic - old.monotonic
    found: list[Alert] = []
    for disk in new.disks:
        found += _slow(disk, rates.get(disk.key), settings)
        if (was := before.get(disk.key)) is not None:
            found += _failing(was, disk, settings)
            found += _full(was, disk, seconds, settings)
        found += _stuck(disk, new.time, settings)
    return tuple(found)


def _slow(disk: DiskView, rates: Rates | None, settings: AlertSettings) -> Iterator[Alert]:
    limit = settings.p99_ms
    if limit and rates is not None and rates.p99 is not None and rates.p99 > limit * 1e6:
        yield _alert(
            "p99",
            disk,
            Severity.WARNING,
            f"one request of a hundred took longer than {rates.p99 / 1e6:.3g} ms (the limit is {limit:g} ms)",
        )


def _failing(was: DiskView, now: DiskView, settings: AlertSettings) -> Iterator[Alert]:
    limit = settings.errors_percent
    failed = now.counters.errors - was.counters.errors
    answered = now.counters.responses - was.counters.responses
    if limit and failed > 0 and answered > 0 and 100 * failed > limit * answered:
        yield _alert(
            "errors",
            now,
            Severity.ERROR,
            f"{failed} of {answered} requests failed, {100 * failed / answered:.3g} % (the limit is {limit:g} %)",
        )


def _stuck(disk: DiskView, now: float, settings: AlertSettings) -> Iterator[Alert]:
    limit = settings.stuck_seconds
    waited = now - max(disk.frontend_since, disk.backend_since)
    if limit and waited > limit and disk.expected is not None and disk.expected.seconds:
        step = disk.expected
        yield _alert("stuck", disk, Severity.WARNING, f"for {waited:.0f} s the {step.who} has had to {step.what}")


def _full(was: DiskView, now: DiskView, seconds: float, settings: AlertSettings) -> Iterator[Alert]:
    """A ring that was full at both ends of so long a time: its guest waits for slots, or we for the image."""
    limit = settings.queue_full_seconds
    if not limit or seconds < limit or {was.backend_state, now.backend_state} != {S.CONNECTED}:
        return
    rings = {ring.index: ring for ring in was.rings}
    for ring in now.rings:
        old = rings.get(ring.index)
        if (
            old is not None
            and _is_full(ring.counters.in_flight, ring.slots)
            and _is_full(old.counters.in_flight, old.slots)
        ):
            yield _alert(
                f"full {ring.index}",
                now,
                Severity.WARNING,
                f"all {ring.slots} slots of ring {ring.index} are taken, as they were {seconds:.0f} s ago",
            )


def _is_full(in_flight: int, slots: int) -> bool:
    return in_flight >= slots > 0


def _alert(what: str, disk: DiskView, severity: Severity, sentence: str) -> Alert:
    return Alert(f"{what} {disk.domid}/{disk.devid}", disk.key, severity, f"{disk.title}: {sentence}")
