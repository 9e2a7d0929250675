# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.fake import histogram, make_disk
from usblkback_tui.engine.latency import BUCKETS
from usblkback_tui.engine.rates import Rates, between, together
from usblkback_tui.engine.snapshot import Counters, DiskView, Histogram, Latency, Snapshot

DISK = make_disk(3, "web")


def snap(at: float, *disks: DiskView, started: float = 1.0) -> Snapshot:
    return Snapshot(
        time=1000 + at, monotonic=at, host="fake", domid=0, domains=(), disks=disks, max_disks=64, started=started
    )


def test_counter_differences_over_the_interval() -> None:
    old = replace(DISK, counters=Counters(reads=100, bytes_read=4096, writes=10, errors=1))
    new = replace(
        DISK,
        counters=Counters(reads=1100, bytes_read=4_100_096, writes=60, bytes_written=1000, errors=3, in_flight=7),
    )
    rates = between(snap(10.0, old), snap(12.0, new))[DISK.key]
    assert rates.reads == 500
    assert rates.writes == 25
    assert rates.read_bytes == 2_048_000
    assert rates.written_bytes == 500
    assert rates.bytes == 2_048_500
    assert rates.errors == 1
    assert rates.queue_depth == 7
    assert rates.operations == 525


def test_percentiles_are_those_of_the_interval_not_of_the_past() -> None:
    slow_past = histogram({50_000_000: 100_000})
    both = histogram({50_000_000: 100_000, 100_000: 1000})
    rates = between(
        snap(0.0, replace(DISK, latency=Latency(read=slow_past))), snap(1.0, replace(DISK, latency=Latency(read=both)))
    )[DISK.key]
    assert rates.p50 == pytest.approx(100_000, rel=0.25)
    assert rates.p99 == pytest.approx(100_000, rel=0.25)


def test_percentiles_take_all_operations_together() -> None:
    new = replace(DISK, latency=Latency(read=histogram({10_000: 90}), write=histogram({1_000_000: 10})))
    rates = between(snap(0.0, DISK), snap(1.0, new))[DISK.key]
    assert rates.p50 == pytest.approx(10_000, rel=0.25)
    assert rates.p99 == pytest.approx(1_000_000, rel=0.25)


def test_no_io_has_no_percentile() -> None:
    latency = Latency(read=histogram({10_000: 5}))
    same = replace(DISK, latency=latency, counters=Counters(reads=5))
    rates = between(snap(0.0, same), snap(1.0, same))[DISK.key]
    assert rates == Rates()


def test_a_disk_that_vanished_or_is_new_has_no_rates() -> None:
    other = make_disk(4, "db")
    assert between(snap(0.0, DISK), snap(1.0, other)) == {}
    assert set(between(snap(0.0, DISK), snap(1.0, DISK, other))) == {DISK.key}


def test_a_disk_that_was_attached_again_counts_from_zero() -> None:
    old = replace(DISK, counters=Counters(reads=1_000_000, bytes_read=10**9), latency=Latency(read=histogram({9: 50})))
    new = replace(DISK, counters=Counters(reads=40, bytes_read=4000), latency=Latency(read=histogram({20_000: 40})))
    rates = between(snap(0.0, old), snap(2.0, new))[DISK.key]
    assert rates.reads == 20
    assert rates.read_bytes == 2000
    assert rates.p99 == pytest.approx(20_000, rel=0.25)


def test_no_time_and_another_engine_give_nothing() -> None:
    assert between(snap(1.0, DISK), snap(1.0, DISK)) == {}
    assert between(snap(2.0, DISK), snap(1.0, DISK)) == {}
    assert between(snap(1.0, DISK), snap(2.0, DISK, started=9.0)) == {}


def test_together_sums_rates_and_keeps_the_worst_latency() -> None:
    both = together([Rates(reads=5, p50=10.0, p99=99.0), Rates(reads=6, writes=1, queue_depth=3), Rates(p99=500.0)])
    assert (both.reads, both.writes, both.queue_depth, both.p50, both.p99) == (11, 1, 3, 10.0, 500.0)
    assert together([]) == Rates()


COUNTERS = st.builds(
    Counters,
    reads=st.integers(0, 2**40),
    writes=st.integers(0, 2**40),
    bytes_read=st.integers(0, 2**60),
    errors=st.integers(0, 2**20),
)
COUNTS = st.lists(st.integers(0, 1000), min_size=BUCKETS, max_size=BUCKETS).map(lambda c: Histogram(tuple(c)))


@given(COUNTERS, COUNTERS, COUNTS, COUNTS)
def test_whatever_happened_in_between_no_rate_is_negative(
    was: Counters, now: Counters, old: Histogram, new: Histogram
) -> None:
    rates = between(
        snap(0.0, replace(DISK, counters=was, latency=Latency(read=old))),
        snap(0.5, replace(DISK, counters=now, latency=Latency(read=new))),
    )[DISK.key]
    assert min(rates.reads, rates.writes, rates.read_bytes, rates.errors) >= 0
    assert rates.p50 is None or rates.p99 is None or 0 <= rates.p50 <= rates.p99
