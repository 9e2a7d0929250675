# SPDX-License-Identifier: MIT
"""Thresholds, each crossed and just not crossed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.engine.control.fake_backend import a_disk
from usblkback_tui.engine.alerts import Alert, find_alerts
from usblkback_tui.engine.latency import BUCKETS, bucket_of
from usblkback_tui.engine.settings import AlertSettings
from usblkback_tui.engine.snapshot import Counters, DiskView, Histogram, Latency, RingView, Severity, Snapshot
from usblkback_tui.protocol.expected import Expected
from usblkback_tui.protocol.states import XenbusState as S

SETTINGS = AlertSettings(p99_ms=10.0, errors_percent=1.0, stuck_seconds=30.0, queue_full_seconds=10.0)
OFF = AlertSettings(p99_ms=0, errors_percent=0, stuck_seconds=0, queue_full_seconds=0)


def quiet(**changes: object) -> DiskView:
    """A disk without a past."""
    still = replace(a_disk(), counters=Counters(), latency=Latency(), rings=(), expected=None)
    return replace(still, **changes)  # type: ignore[arg-type]


def seen(disk: DiskView, at: float) -> Snapshot:
    return Snapshot(1000.0 + at, at, "sim", 0, (), (disk,), 64, 900.0)


def between(old: DiskView, new: DiskView, seconds: float = 10.0, settings: AlertSettings = SETTINGS) -> list[Alert]:
    return list(find_alerts(seen(old, 100.0), seen(new, 100.0 + seconds), settings))


def slow(ms: float, count: int = 100) -> Latency:
    counts = [0] * BUCKETS
    counts[bucket_of(int(ms * 1e6))] = count
    return Latency(read=Histogram(tuple(counts)))


def full(in_flight: int, index: int = 0) -> tuple[RingView, ...]:
    return (RingView(index, 32, 1, "x86_64-abi", "map", "sync", 7, counters=Counters(in_flight=in_flight)),)


def test_a_quiet_disk_alerts_nobody() -> None:
    assert between(quiet(), quiet()) == []


def test_slow_requests() -> None:
    (alert,) = between(quiet(), quiet(latency=slow(50)))
    assert (alert.id, alert.key, alert.severity) == ("p99 3/51728", (3, 51728), Severity.WARNING)
    assert "xvdb of g3: one request of a hundred took longer than" in alert.sentence
    assert "(the limit is 10 ms)" in alert.sentence
    assert between(quiet(), quiet(latency=slow(5))) == []
    assert between(quiet(latency=slow(50)), quiet(latency=slow(50))) == [], "nothing since the last look"


@pytest.mark.parametrize(("failed", "alerts"), [(11, 1), (10, 0), (0, 0)])
def test_failed_requests(failed: int, alerts: int) -> None:
    old, new = Counters(errors=5, responses=1000), Counters(errors=5 + failed, responses=2000)
    found = between(quiet(counters=old), quiet(counters=new))
    assert len(found) == alerts
    if found:
        assert found[0].severity is Severity.ERROR
        assert "11 of 1000 requests failed, 1.1 % (the limit is 1 %)" in found[0].sentence


def test_totals_that_went_back_are_no_errors() -> None:
    old, new = Counters(errors=5, responses=1000), Counters(errors=2, responses=10)
    assert between(quiet(counters=old), quiet(counters=new)) == []


@pytest.mark.parametrize(("waited", "alerts"), [(31.0, 1), (29.0, 0)])
def test_a_handshake_that_is_stuck(waited: float, alerts: int) -> None:
    step = Expected("frontend", "go to Closed", "both ends close", 10.0)
    since = 1110.0 - waited
    disk = quiet(expected=step, frontend_since=since - 5, backend_since=since, frontend_state=S.CLOSING)
    found = between(disk, disk)
    assert len(found) == alerts
    if found:
        assert "for 31 s the frontend has had to go to Closed" in found[0].sentence
    resting = replace(disk, expected=replace(step, seconds=0.0))
    assert between(resting, resting) == [], "what may take as long as it likes is never stuck"


@pytest.mark.parametrize(
    ("before", "after", "seconds", "alerts"),
    [(32, 32, 10.0, 1), (31, 32, 10.0, 0), (32, 31, 10.0, 0), (32, 32, 9.0, 0)],
)
def test_a_full_ring(before: int, after: int, seconds: float, alerts: int) -> None:
    found = between(quiet(rings=full(before)), quiet(rings=full(after)), seconds)
    assert len(found) == alerts
    if found:
        assert found[0].id == "full 0 3/51728"
        assert "all 32 slots of ring 0 are taken, as they were 10 s ago" in found[0].sentence


def test_another_ring_is_not_the_same_ring() -> None:
    assert between(quiet(rings=full(32, 0)), quiet(rings=full(32, 1))) == []


def test_zero_turns_each_off() -> None:
    step = Expected("frontend", "go to Closed", "both ends close", 10.0)
    old = quiet(rings=full(32), expected=step, frontend_since=0.0, backend_since=0.0)
    new = replace(old, latency=slow(50), counters=Counters(errors=9, responses=9))
    assert len(between(old, new)) == 4
    assert between(old, new, settings=OFF) == []


def test_another_engine_and_a_new_disk_have_no_past() -> None:
    old, new = seen(quiet(), 100.0), seen(quiet(latency=slow(50), counters=Counters(errors=9, responses=9)), 110.0)
    assert find_alerts(replace(old, started=1.0), new, SETTINGS) == ()
    assert find_alerts(replace(old, disks=()), new, SETTINGS) == ()
