# SPDX-License-Identifier: MIT
"""A recording as a Backend: play, pause, speed, seek, step, and what a screen derives from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.recording.made import event, frames, request, snapshot, write
from usblkback_tui.engine.api import AttachRequest, Backend
from usblkback_tui.engine.rates import between
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.replay import ReplayBackend
from usblkback_tui.protocol.errors import UserError

DISK = (3, 51728)


class Clock:
    """Moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def replay(tmp_path: Path, clock: Clock) -> Iterator[ReplayBackend]:
    write(tmp_path / "r", frames(60, begin=2.0))
    replay = ReplayBackend(tmp_path / "r", clock=clock)
    yield replay
    replay.close()


WANTED = [frame.snapshot for frame in frames(60, begin=2.0)]


def test_it_plays_from_its_begin_to_its_end(replay: ReplayBackend, clock: Clock) -> None:
    backend: Backend = replay
    assert backend.snapshot() == WANTED[0]
    clock.now += 10.5
    assert (replay.place, replay.playing) == (12.5, True)
    assert backend.snapshot() == WANTED[10]
    clock.now += 1000
    assert (replay.place, replay.playing) == (replay.last, False)
    assert backend.snapshot() == WANTED[59]
    replay.play()
    assert replay.place == replay.first
    assert replay.playing


def test_pause_and_speed(replay: ReplayBackend, clock: Clock) -> None:
    clock.now += 5
    replay.pause()
    clock.now += 100
    assert (replay.place, replay.playing) == (7.0, False)
    replay.set_speed(4.0)
    assert replay.place == 7.0
    replay.play()
    clock.now += 2.5
    assert replay.place == 17.0
    replay.set_speed(0.5)
    clock.now += 2
    assert (replay.place, replay.speed) == (18.0, 0.5)
    with pytest.raises(UserError, match="speed 0 cannot be played"):
        replay.set_speed(0.0)


def test_stepping(replay: ReplayBackend) -> None:
    replay.seek(20.4)
    replay.step(1)
    assert (replay.place, replay.playing) == (21.0, False)
    replay.step(-1)
    assert replay.place == 20.0
    replay.step(-100)
    assert replay.place == replay.first
    replay.step(100)
    assert replay.place == replay.last
    replay.step(1)
    assert replay.place == replay.last


def test_playing_on_is_one_engine_and_a_jump_is_another(replay: ReplayBackend, clock: Clock) -> None:
    first = replay.snapshot()
    clock.now += 3
    second = replay.snapshot()
    assert first.started == second.started
    assert between(first, second)[DISK].reads > 0
    replay.step(1)
    assert replay.snapshot().started == first.started
    for jump, how in ((replay.seek, 30), (replay.seek, 10), (replay.step, -1)):
        before = replay.snapshot()
        jump(how)
        assert replay.snapshot().started != before.started
        assert between(before, replay.snapshot()) == {}
    assert abs(replay.snapshot().started - first.started) < 0.01


def test_there_are_rates_at_once_after_a_jump(replay: ReplayBackend) -> None:
    replay.pause()
    replay.seek(30.0)
    before, now = replay.snapshot(), replay.snapshot()
    assert now.monotonic - before.monotonic == pytest.approx(1.0)
    assert now.disks == WANTED[28].disks
    assert between(before, now)[DISK].reads > 0
    replay.seek(0.0)
    assert replay.snapshot().disks == WANTED[0].disks


def test_events_up_to_the_place(replay: ReplayBackend) -> None:
    def texts(after: int = 0) -> list[str]:
        return [one.text for one in replay.events(after)]

    assert texts() == ["event 1", "event 2"]
    replay.seek(13.0)
    assert texts() == [f"event {number}" for number in range(1, 7)]
    assert texts(4) == ["event 5", "event 6"]
    assert texts(6) == []
    replay.seek(2.0)
    assert texts() == ["event 1", "event 2"]


def test_events_of_two_engines_count_on(tmp_path: Path) -> None:
    write(
        tmp_path / "two",
        [
            Frame(0.0, snapshot(0.0), (event(1, "a"), event(2, "b"))),
            Frame(1.0, snapshot(1.0, started=2000.0), (event(1, "c"),)),
        ],
    )
    replay = ReplayBackend(tmp_path / "two", clock=lambda: 5.0)
    assert [(one.seq, one.text) for one in replay.events(0)] == [(1, "a"), (2, "b")]
    replay.seek(1.0)
    assert [(one.seq, one.text) for one in replay.events(0)] == [(1, "a"), (2, "b"), (3, "c")]
    replay.snapshot()
    replay.close()


def test_requests_up_to_the_place(replay: ReplayBackend, clock: Clock) -> None:
    assert replay.requests(*DISK) == (request(0),)
    clock.now += 6
    assert replay.requests(*DISK) == (request(0), request(3), request(6))
    clock.now += 1
    assert replay.requests(*DISK, after=(3,)) == (request(6),)
    assert replay.requests(*DISK, limit=1) == (request(6),)
    assert replay.requests(*DISK, limit=0) == ()
    assert replay.requests(9, 9) == ()
    replay.seek(2.0)
    assert replay.requests(*DISK) == (request(0),)
    replay.seek(replay.last)
    assert [one.seq for one in replay.requests(*DISK)][-2:] == [54, 57]


@pytest.mark.parametrize(
    "act",
    [
        lambda replay: replay.attach(AttachRequest("g", "/i", "xvdb")),
        lambda replay: replay.plan(AttachRequest("g", "/i", "xvdb")),
        lambda replay: replay.resize("g", "xvdb", 8),
        lambda replay: replay.detach("g", "xvdb"),
        lambda replay: replay.next_vdev("g"),
        lambda replay: replay.store_write("/local", "x"),
        lambda replay: replay.store_remove("/local"),
    ],
)
def test_nothing_can_be_changed(replay: ReplayBackend, act: Callable[[ReplayBackend], object]) -> None:
    with pytest.raises(UserError, match=r"^a recording cannot be changed; connect to a running engine"):
        act(replay)


def test_it_says_that_nothing_can_be_changed(tmp_path: Path) -> None:
    write(tmp_path / "r", [Frame(0.0, replace(snapshot(), read_only=False))])
    replay = ReplayBackend(tmp_path / "r")
    assert replay.snapshot().read_only
    replay.close()


def test_what_is_not_recorded_is_said(replay: ReplayBackend) -> None:
    with pytest.raises(UserError, match="the slots of rings are not recorded"):
        replay.ring_slots(*DISK, 0)
    with pytest.raises(UserError, match="xenstore is not recorded"):
        replay.store("/local")


def test_a_disk_that_came_with_another_engine_has_no_lead_in(tmp_path: Path) -> None:
    other = replace(snapshot(1.0), started=2000.0)
    write(tmp_path / "two", [Frame(0.0, snapshot(0.0)), Frame(1.0, other)])
    replay = ReplayBackend(tmp_path / "two", clock=lambda: 5.0)
    replay.seek(1.0)
    assert replay.snapshot().time == other.time
    replay.close()


def test_what_came_before_a_jump_can_be_read(replay: ReplayBackend, clock: Clock) -> None:
    assert list(replay.past(replay.snapshot(), 900.0)) == []
    replay.pause()
    replay.seek(42.0)
    first = replay.snapshot()  # the frame before the place
    now = replay.snapshot()
    past = list(replay.past(now, 900.0))
    assert [one.monotonic for one in past] == [one.monotonic for one in WANTED[:40]]
    assert {one.started for one in past} == {now.started} == {first.started}
    assert between(past[-1], now)[DISK].reads > 0
    assert [one.monotonic for one in replay.past(now, 5.0)] == [one.monotonic for one in WANTED[35:40]]
    reading = replay.past(now, 900.0)
    next(reading)
    replay.seek(10.0)
    assert list(reading) == []


def test_the_past_begins_with_the_engine_that_is_shown(tmp_path: Path, clock: Clock) -> None:
    made = list(frames(20, begin=0.0))
    again = [replace(f, snapshot=replace(f.snapshot, started=f.snapshot.started + 99)) for f in made[12:]]
    write(tmp_path / "two", [*made[:12], *again])
    replay = ReplayBackend(tmp_path / "two", clock=clock)
    replay.pause()
    replay.seek(18.0)
    replay.snapshot()
    assert len(list(replay.past(replay.snapshot(), 900.0))) == 6
    replay.close()
