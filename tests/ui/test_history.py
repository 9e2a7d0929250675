# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from usblkback_tui.engine.rates import Rates
from usblkback_tui.ui.history import KEPT, LEVELS, History, Series


def test_levels_are_averages() -> None:
    series = Series()
    for value in range(60):
        series.add(value)
    assert series.last(3) == [57, 58, 59]
    assert series.last(2, 1) == pytest.approx([52, 57])
    assert series.last(9, 3) == pytest.approx([29.5])
    assert series.last(0) == []


def test_memory_is_bounded_at_every_level() -> None:
    series = Series()
    for value in range(3 * KEPT):
        series.add(value)
    assert len(series._dots[0]) < 2 * KEPT
    assert series.last(10_000)[-1] == 3 * KEPT - 1
    assert len(series.last(10_000)) >= KEPT


def test_a_copy_stands_still() -> None:
    history = History()
    history.add({(1, 2): Rates(reads=5)}, [(1, 2)])
    copy = history.copy()
    history.add({(1, 2): Rates(reads=9)}, [(1, 2)])
    assert copy.track((1, 2)).reads.last(9) == [5]
    assert history.track((1, 2)).reads.last(9) == [5, 9]


def test_all_disks_are_summed_and_a_gone_disk_is_forgotten() -> None:
    history = History()
    history.add({(1, 2): Rates(reads=5), (1, 3): Rates(reads=7)}, [(1, 2), (1, 3)])
    assert history.track(None).reads.last(1) == [12]
    history.add({(1, 3): Rates(reads=1)}, [(1, 3)])
    assert history.track((1, 2)).reads.last(9) == []
    assert history.track((1, 3)).reads.last(9) == [7, 1]


def test_a_long_gap_between_two_samples_keeps_the_time_axis_true() -> None:
    history = History()
    history.add({(1, 2): Rates(writes=3)}, [(1, 2)], seconds=4)
    assert history.track((1, 2)).writes.last(9) == [3, 3, 3, 3]
    assert LEVELS[0] == 1
