# SPDX-License-Identifier: MIT
"""Frames of an engine that works, and recordings of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.engine.control.fake_backend import FakeBackend, a_disk
from usblkback_tui.engine.inspection import RequestView
from usblkback_tui.engine.latency import BUCKETS
from usblkback_tui.engine.recording.frame import DiskRequests, Frame
from usblkback_tui.engine.recording.layout import FORMAT, VERSION, Header
from usblkback_tui.engine.recording.writer import Limits, Writer
from usblkback_tui.engine.snapshot import Counters, DiskView, Event, Histogram, Latency, Severity, Snapshot

HEADER = Header(FORMAT, VERSION, "0.0.0", 1_700_000_000.0, 1.0)


def snapshot(second: float = 0.0, *disks: DiskView, started: float = 1000.0) -> Snapshot:
    """The fake engine's, ``second`` seconds later."""
    one = FakeBackend().snapshot()
    return replace(
        one, time=one.time + second, monotonic=one.monotonic + second, disks=disks or one.disks, started=started
    )


def busy(disk: DiskView, work: int) -> DiskView:
    """The disk after ``work`` more requests."""
    was = disk.counters
    counters = replace(was, reads=was.reads + work, bytes_read=was.bytes_read + 4096 * work, in_flight=work % 7)
    counts = list(disk.latency.read.counts or (0,) * BUCKETS)
    for number in range(work):
        counts[60 + number % 5] += 1
    rings = tuple(replace(ring, req_prod=(ring.req_prod + work) % 2**32, counters=counters) for ring in disk.rings)
    return replace(disk, counters=counters, rings=rings, latency=replace(disk.latency, read=Histogram(tuple(counts))))


def event(seq: int, text: str = "") -> Event:
    """Event ``seq``."""
    return Event(seq, 1234.0 + seq, Severity.INFO, text or f"event {seq}")


def request(seq: int, ring: int = 0) -> RequestView:
    """Request ``seq`` of a ring."""
    return RequestView(ring, seq, 1234.0 + seq, "read", False, 8 * seq, 8, 1, 120_000, "ok")


def frames(count: int, *, begin: float = 0.0) -> Iterator[Frame]:
    """One a second of one busy disk; each fifth says something, each third has requests."""
    disk = a_disk(counters=Counters(), latency=Latency())
    said = 0
    for number in range(count):
        disk = busy(disk, 10 + number % 3)
        events: tuple[Event, ...] = ()
        if number % 5 == 0:
            events = (event(said + 1), event(said + 2))
            said += 2
        requests = (DiskRequests(*disk.key, (request(number),)),) if number % 3 == 0 else ()
        yield Frame(begin + number, snapshot(begin + number, disk), events, requests)


def write(
    path: Path, what: Iterable[Frame], *, limits: Limits | None = None, chunk_seconds: float = 10.0
) -> list[Frame]:
    """A recording at ``path``, and the frames that were given to it."""
    given = list(what)
    with Writer(path, HEADER, limits, chunk_seconds=chunk_seconds) as writer:
        for frame in given:
            writer.add(frame)
    return given
