# SPDX-License-Identifier: MIT
"""A thread that records: what it takes down, engines that fail, and a real one on the embedded host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.control.fake_backend import FakeBackend, a_disk
from tests.engine.recording.made import request
from tests.engine.rig import rig
from usblkback_tui.engine.control.client import NoEngine
from usblkback_tui.engine.inspection import RequestView
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.reader import Recording
from usblkback_tui.engine.recording.recorder import Recorder
from usblkback_tui.engine.recording.redact import Redactor
from usblkback_tui.engine.recording.replay import ReplayBackend
from usblkback_tui.engine.snapshot import Event, Snapshot
from usblkback_tui.protocol.errors import UserError


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Traced(FakeBackend):
    """With a trace of ten requests of each of two rings."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, ...]] = []

    def requests(self, domid: int, devid: int, after: Sequence[int] = (), limit: int = 256) -> tuple[RequestView, ...]:
        self.asked.append(tuple(after))
        if domid == 9:
            raise UserError("xvda of g9 is not attached")
        every = [request(seq, ring) for ring in (0, 1) for seq in range(1, 11)]
        return tuple(one for one in every if one.ring >= len(after) or one.seq > after[one.ring])[-limit:]


def recorded(path: Path) -> list[Frame]:
    with Recording(path) as recording:
        return list(recording.frames())


def test_frames_events_and_requests(tmp_path: Path) -> None:
    backend = Traced()
    backend.disks = (a_disk(), a_disk(9), a_disk(4, rings=()))
    backend.say("first")
    recorder = Recorder(backend, tmp_path / "r", hz=10.0, requests=12)
    recorder.start()
    wait_for(lambda: recorder.writer.frames >= 2)
    backend.say("second")
    wait_for(lambda: recorder.writer.frames >= 5)
    assert recorder.stop(60)
    assert (recorder.error, recorder.problem, recorder.disks, recorder.running) == (None, "", 3, False)
    frames = recorded(tmp_path / "r")
    assert len(frames) == recorder.writer.frames
    assert all(frame.snapshot == backend.snapshot() for frame in frames)
    assert [event.text for frame in frames for event in frame.events] == ["first", "second"]
    assert len(frames[0].events) == 1
    (traced,) = frames[0].requests
    assert (traced.domid, traced.devid) == a_disk().key
    assert [(one.ring, one.seq) for one in traced.requests] == [(0, 9), (0, 10), *((1, seq) for seq in range(1, 11))]
    assert all(not frame.requests for frame in frames[1:])
    assert (10, 10) in backend.asked
    assert 0 <= frames[0].at < frames[-1].at <= recorder.seconds


def test_without_wanting_requests(tmp_path: Path) -> None:
    backend = Traced()
    recorder = Recorder(backend, tmp_path / "r", hz=10.0, requests=0)
    recorder.start()
    wait_for(lambda: recorder.writer.frames)
    assert recorder.stop(60)
    assert recorded(tmp_path / "r")[0].requests == ()
    assert backend.asked == []


def test_an_engine_that_does_not_answer_for_a_while(tmp_path: Path) -> None:
    backend = FakeBackend()
    backend.error = UserError("it did not answer in time")
    recorder = Recorder(backend, tmp_path / "r", hz=10.0)
    recorder.start()
    wait_for(lambda: recorder.problem)
    assert recorder.problem == "it did not answer in time"
    assert recorder.running
    backend.error = None
    wait_for(lambda: recorder.writer.frames)
    assert recorder.stop(60)
    assert (recorder.problem, recorder.error) == ("", None)


@pytest.mark.parametrize(
    ("error", "words"),
    [(NoEngine("no engine answers at /s"), "no engine answers"), (ZeroDivisionError("oh"), "ZeroDivisionError: oh")],
)
def test_an_engine_that_is_gone_ends_it(tmp_path: Path, error: Exception, words: str) -> None:
    backend = FakeBackend()
    recorder = Recorder(backend, tmp_path / "r", hz=10.0)
    recorder.start()
    wait_for(lambda: recorder.writer.frames >= 3)
    backend.error = error
    wait_for(lambda: not recorder.running)
    assert words in str(recorder.error)
    assert recorder.stop()
    assert len(recorded(tmp_path / "r")) == recorder.writer.frames


def test_another_engine_at_the_same_place(tmp_path: Path) -> None:
    """Its events count from 1 again, and none is lost."""

    class Restarted(FakeBackend):
        started = 1.0

        def snapshot(self) -> Snapshot:
            return replace(super().snapshot(), started=self.started)

    backend = Restarted()
    for text in ("a", "b", "c"):
        backend.say(text)
    recorder = Recorder(backend, tmp_path / "r", hz=10.0)
    recorder.start()
    wait_for(lambda: recorder.writer.frames)
    backend.log = [Event(1, 5.0, backend.log[0].severity, "new")]
    backend.started = 2.0
    count = recorder.writer.frames
    wait_for(lambda: recorder.writer.frames > count + 1)
    assert recorder.stop(60)
    texts = [event.text for frame in recorded(tmp_path / "r") for event in frame.events]
    assert texts == ["a", "b", "c", "new"]


def test_an_engine_that_hangs_does_not_keep_us(tmp_path: Path) -> None:
    held, asked = threading.Event(), threading.Event()

    class Hangs(FakeBackend):
        def snapshot(self) -> Snapshot:
            asked.set()
            held.wait(60)
            return super().snapshot()

    recorder = Recorder(Hangs(), tmp_path / "r")
    recorder.start()
    assert asked.wait(60)
    assert not recorder.stop(0.05)
    held.set()
    wait_for(lambda: not recorder.running)


def test_what_cannot_be_begun(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="frames a second cannot be recorded"):
        Recorder(FakeBackend(), tmp_path / "r", hz=50.0)
    recorder = Recorder(FakeBackend(), tmp_path / "r")
    assert recorder.stop()
    with pytest.raises(UserError, match="exists already"):
        Recorder(FakeBackend(), tmp_path / "r")


def test_a_real_engine_recorded_and_played_again(tmp_path: Path) -> None:
    """Every frame that the engine gave comes back from the file, and as a Backend, as it was; redacted, no path."""
    with rig(tmp_path) as one:
        guest = one.guest("g1")
        seen: list[Snapshot] = []

        class Watched:
            """The engine, and what it answered."""

            def __getattr__(self, name: str) -> object:
                return getattr(one.engine, name)

            def snapshot(self) -> Snapshot:
                seen.append(one.engine.snapshot())
                return seen[-1]

        recorder = Recorder(Watched(), tmp_path / "plain", hz=10.0)  # type: ignore[arg-type]
        hidden = Recorder(one.engine, tmp_path / "hidden", hz=10.0, redactor=Redactor(names=True))
        recorder.start()
        hidden.start()
        image = one.image()
        one.attach("g1", image, "xvdb")
        guest.start_load()
        wait_for(lambda: seen and seen[-1].disks and seen[-1].disks[0].counters.reads > 100)
        count = recorder.writer.frames, hidden.writer.frames
        wait_for(lambda: recorder.writer.frames > count[0] + 2 and hidden.writer.frames > count[1] + 2)
        assert recorder.stop(60)
        assert hidden.stop(60)
        guest.stop_load()
        said = one.engine.events(0)
    frames = recorded(tmp_path / "plain")
    assert [frame.snapshot for frame in frames] == seen
    events = [event for frame in frames for event in frame.events]
    assert events == list(said[: len(events)])
    assert any("xvdb of g1 is attached" in event.text for event in events)

    replay = ReplayBackend(tmp_path / "plain")
    replay.pause()
    for frame in frames:
        replay.seek(frame.at)
        replay.snapshot()  # the one before it may come first
        assert replay.snapshot().disks == frame.snapshot.disks
    assert [event.text for event in replay.events(0)] == [event.text for event in events]
    replay.close()

    with Recording(tmp_path / "hidden") as recording:
        assert recording.header.redacted == ("images", "names")
        text = repr(list(recording.frames()))
    assert str(image) not in text
    assert "g1" not in text
    assert "image-1" in text
    assert "xvdb of domain-1 is attached" in text
