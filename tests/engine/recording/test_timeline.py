# SPDX-License-Identifier: MIT
"""The past in memory: every moment whole, bounded in time and in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.engine.control.fake_backend import a_disk
from tests.engine.recording.made import event, frames, snapshot
from usblkback_tui.engine.recording import chunk
from usblkback_tui.engine.recording.changes import Changed
from usblkback_tui.engine.recording.timeline import Timeline
from usblkback_tui.engine.snapshot import Snapshot

BEGIN = snapshot().monotonic


def filled(timeline: Timeline, count: int) -> list[Snapshot]:
    given = []
    for frame in frames(count):
        given.append(frame.snapshot)
        assert timeline.add(frame.snapshot, frame.events)
    return given


def test_every_moment_comes_back_whole() -> None:
    timeline = Timeline()
    given = filled(timeline, 70)
    assert len(timeline) == 70
    assert (timeline.first, timeline.last) == (BEGIN, BEGIN + 69)
    for number in (0, 69, 14, 15, 16, 68, 3, 44, 45, 46, 69):
        assert timeline.at(BEGIN + number) == given[number]
    assert timeline.at(BEGIN + 20.7) == given[20]
    assert timeline.at(BEGIN - 5) == given[0]
    assert timeline.at(BEGIN + 500) == given[69]


def test_while_it_grows() -> None:
    timeline = Timeline()
    for number, frame in enumerate(frames(50)):
        timeline.add(frame.snapshot)
        assert timeline.at(BEGIN + number) == frame.snapshot
        assert timeline.at(BEGIN) == next(frames(1)).snapshot


def test_what_was_unpacked_is_not_taken_for_a_later_chunk() -> None:
    timeline = Timeline()
    for number, frame in enumerate(frames(40)):
        timeline.add(frame.snapshot)
        if number % 15 == 4:  # as many in the chunk that is being filled as at the last look
            assert timeline.at(BEGIN + number) == frame.snapshot


def test_stepping() -> None:
    timeline = Timeline()
    filled(timeline, 40)
    assert timeline.step(BEGIN + 20.5, 1) == BEGIN + 21
    assert timeline.step(BEGIN + 20.5, -1) == BEGIN + 19
    assert timeline.step(BEGIN + 20, 0) == BEGIN + 20
    assert timeline.step(BEGIN, -3) == BEGIN
    assert timeline.step(BEGIN + 38, 9) == BEGIN + 39


def test_events_as_of_a_moment() -> None:
    timeline = Timeline()
    filled(timeline, 12)
    assert [one.seq for one in timeline.events()] == [1, 2, 3, 4, 5, 6]
    assert [one.seq for one in timeline.events(BEGIN + 5)] == [1, 2, 3, 4]
    assert [one.seq for one in timeline.events(BEGIN + 9, since=BEGIN)] == [3, 4]


def test_what_changed_between_two_moments() -> None:
    timeline = Timeline()
    disk = a_disk()
    timeline.add(snapshot(0.0, disk))
    timeline.add(snapshot(1.0, replace(disk, online=False)))
    assert timeline.changed(BEGIN, BEGIN + 1) == (Changed(disk.key, "online", True, False),)
    assert timeline.changed(BEGIN + 1, BEGIN + 1) == ()


def test_looks_between_two_are_passed_over_but_not_their_events() -> None:
    timeline = Timeline(interval=1.0)
    kept = [timeline.add(snapshot(quarter / 4), [event(quarter + 1)]) for quarter in range(9)]
    assert kept == [True, False, False, False, True, False, False, False, True]
    assert len(timeline.events()) == 9
    assert timeline.add(snapshot(2.95), ()), "a little early is on time"


def test_the_old_are_forgotten() -> None:
    timeline = Timeline(60.0)
    filled(timeline, 200)
    assert 60 <= len(timeline) <= 60 + 15 + 1
    assert timeline.first is not None
    assert BEGIN + 200 - 76 <= timeline.first <= BEGIN + 200 - 60
    assert timeline.events()[0].time > 1234


def test_so_many_disks_that_memory_is_short() -> None:
    timeline = Timeline(max_bytes=4000)
    filled(timeline, 150)
    assert len(timeline) < 100
    assert timeline.size < 4000 + 2000
    assert timeline.at(BEGIN + 149) is not None


def test_an_engine_too_large_has_no_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "MAX_LINE", 100)
    timeline = Timeline()
    assert not timeline.add(snapshot())
    assert timeline.at(0.0) is None


@pytest.mark.parametrize("then", [snapshot(99.0, started=2000.0), snapshot(0.0)])
def test_another_engine_begins_anew(then: Snapshot) -> None:
    timeline = Timeline()
    filled(timeline, 40)
    assert timeline.add(then, [event(1)])
    assert len(timeline) == 1
    assert timeline.at(0.0) == then
    assert len(timeline.events()) == 1


def test_nothing_yet() -> None:
    timeline = Timeline()
    assert (len(timeline), timeline.first, timeline.last, timeline.size) == (0, None, None, 0)
    assert timeline.at(1.0) is None
    assert timeline.step(1.0, 1) is None
    assert timeline.events() == ()
    assert timeline.changed(1.0, 2.0) == ()


def test_64_busy_disks_stay_small() -> None:
    """A quarter of an hour is 60 chunks: what two of them take times 30 must stay far below 60 MB."""
    timeline = Timeline()
    for frame in frames(30):
        (disk,) = frame.snapshot.disks
        timeline.add(replace(frame.snapshot, disks=tuple(replace(disk, domid=domid) for domid in range(1, 65))))
    assert timeline.size * 30 < 30 << 20
