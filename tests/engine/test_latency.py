# SPDX-License-Identifier: MIT
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usblkback_tui.engine.latency import BUCKETS, bucket_floor, bucket_of, difference, percentile, total
from usblkback_tui.engine.snapshot import Histogram


def histogram(*values: int) -> Histogram:
    counts = [0] * BUCKETS
    for value in values:
        counts[bucket_of(value)] += 1
    return Histogram(tuple(counts))


@given(st.integers(0, 2**40 - 1))
def test_a_value_lies_between_the_floors_of_its_bucket_and_the_next(value: int) -> None:
    index = bucket_of(value)
    assert bucket_floor(index) <= value < bucket_floor(index + 1)
    if value >= 8:
        assert bucket_floor(index + 1) - bucket_floor(index) <= value / 4


def test_the_last_bucket_takes_what_is_longer() -> None:
    assert bucket_of(2**63) == BUCKETS - 1


@given(st.lists(st.integers(0, 2**39), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_percentile_lies_in_the_bucket_of_the_exact_one(values: list[int], fraction: float) -> None:
    found = percentile(histogram(*values), fraction)
    exact = sorted(values)[math.ceil(fraction * len(values)) - 1]
    assert found is not None
    assert bucket_floor(bucket_of(exact)) <= found <= bucket_floor(bucket_of(exact) + 1)


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile(Histogram(), 0.99) is None
    assert percentile(histogram(), 0.99) is None


def test_p50_and_p99_of_a_known_load() -> None:
    one = histogram(*[10_000] * 98, *[1_000_000] * 2)
    p50, p99 = percentile(one, 0.5), percentile(one, 0.99)
    assert p50 == pytest.approx(10_000, rel=0.25)
    assert p99 == pytest.approx(1_000_000, rel=0.25)


def test_difference_and_total() -> None:
    early, late = histogram(5, 100), histogram(5, 100, 100, 7)
    assert difference(late, early) == histogram(100, 7)
    assert difference(late, Histogram()) == late
    assert total(early, difference(late, early)) == late
    assert total(Histogram(), early) == early
    assert total() == Histogram()
