# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usblkback_tui.ui import units


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-1, "0"),
        (0.01, "0.1"),
        (3.21, "3.2"),
        (5.0, "5"),
        (9.96, "10"),
        (812, "812"),
        (999.6, "1.0k"),
        (12_345, "12.3k"),
        (123_456, "123k"),
        (999_600, "1.0M"),
        (4_500_000, "4.5M"),
        (7e18, "7.0E"),
    ],
)
def test_count(value: float, shown: str) -> None:
    assert units.count(value) == shown


@given(st.floats(0, 9e17))
def test_a_count_never_needs_more_than_five_characters(value: float) -> None:
    assert len(units.count(value)) <= 5


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [(None, "-"), (850, "0.8µs"), (8_100, "8.1µs"), (412_000, "412µs"), (999_600, "1.0ms"), (1_700_000, "1.7ms"),
     (23_000_000, "23ms"), (1.2e9, "1.2s")],
)  # fmt: skip
def test_latency(nanoseconds: float | None, shown: str) -> None:
    assert units.latency(nanoseconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-3, "0.0 ms"), (0.0004, "0.4 ms"), (0.0312, "31 ms"), (1.24, "1.2 s"), (42, "42 s"), (59.7, "1 min 00 s"),
     (185, "3 min 05 s"), (599, "9 min 59 s"), (600, "10 min"), (754, "12 min"),
     (7380, "2 h 03 min"), (360_000, "4 d 4 h")],
)  # fmt: skip
def test_elapsed(seconds: float, shown: str) -> None:
    assert units.elapsed(seconds) == shown


def test_steps_between_transitions() -> None:
    assert units.milliseconds(0.0062) == "+6.2 ms"
    assert units.milliseconds(1.204) == "+1,204 ms"
    assert units.milliseconds(42) == "+42 s"


def test_rates_and_sizes() -> None:
    assert units.megabytes(213_600_000) == "213.6"
    assert units.megabytes(1_234_500_000) == "1,234"
    assert units.megabytes(0) == "0.0"
    assert units.throughput(4_500_000) == "4.5M/s"
    assert units.throughput(0) == "0B/s"
    assert units.capacity(131_072) == "64 MiB"
    assert units.capacity(1) == "512 B"
    assert units.capacity(3 * 2**31) == "3 TiB"
    assert units.whole(1_234_567) == "1,234,567"
    assert units.whole(12_345_678) == "12.3M"


def test_clock_is_local_time_with_milliseconds() -> None:
    assert units.clock(1_700_000_000.114) == "22:13:20.114"
    assert units.clock_seconds(1_700_000_000) == "22:13:20"
