# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from usblkback_tui.engine.rates import Rates
from usblkback_tui.ui.heat import Heat
from usblkback_tui.ui.history import KEPT, LEVELS, MOST_LATE, History, Series

KEY = (1, 2)


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


def test_a_picture_may_end_before_the_newest_value() -> None:
    series = Series()
    for value in range(100):
        series.add(value)
    assert series.last(2, back=10) == [88, 89]
    assert series.last(2, 1, back=10) == pytest.approx([82, 87])
    assert series.last(5, back=1000) == []


def test_heat_is_summed_at_coarser_levels_and_quiet_seconds_stay_empty() -> None:
    track = History()
    column = Heat()
    column.read[3] = 7
    for second in range(10):
        track.add({KEY: Rates(reads=1)}, [KEY], heats={KEY: column} if second < 5 else {})
    heat = track.track(KEY).heat
    assert [None if one is None else one.read[3] for one in heat.last(7)] == [7, 7, None, None, None, None, None]
    assert [None if one is None else one.read[3] for one in heat.last(9, 1)] == [35, None]
    assert [one is None for one in heat.last(2, back=6)] == [False, False]


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


def test_tracks_are_brought_up_to_date_in_turn_or_when_they_are_looked_at() -> None:
    history = History()
    keys = [(1, n) for n in range(10)]
    for second in range(1, 4):
        history.add({key: Rates(reads=second) for key in keys}, keys)
        history.settle(4)
    assert len(history._late) == 3
    assert history.track(keys[9]).reads.last(9) == [1, 2, 3]
    assert history.track(keys[9]).reads.last(9) == [1, 2, 3]
    for _ in range(3):
        history.settle(4)
    assert history._late == []
    assert all(history.track(key).reads.last(9) == [1, 2, 3] for key in keys)


def test_a_disk_that_comes_back_begins_anew_though_nobody_looked() -> None:
    history = History()
    other = (7, 7)
    history.add({KEY: Rates(reads=5), other: Rates()}, [KEY, other])
    history.add({other: Rates()}, [other])
    history.add({KEY: Rates(reads=6), other: Rates()}, [KEY, other])
    assert history.track(KEY).reads.last(9) == [6]
    assert len(history.track(other).reads.last(9)) == 3


def test_what_nobody_looks_at_is_bounded() -> None:
    history = History()
    for _ in range(3 * MOST_LATE):
        history.add({KEY: Rates()}, [KEY])
    assert len(history._late) < MOST_LATE
    assert len(history.track(KEY).reads.last(1000)) == 3 * MOST_LATE
