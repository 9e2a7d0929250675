# SPDX-License-Identifier: MIT
"""A recording's file while it grows: limits, what a killed recorder leaves, what cannot be written."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.control.fake_backend import a_disk
from tests.engine.recording.made import HEADER, frames, snapshot, write
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.reader import Recording
from usblkback_tui.engine.recording.writer import MIN_BYTES, Limits, Writer
from usblkback_tui.protocol.errors import UserError


def noisy(count: int) -> Iterator[Frame]:
    """Frames that hardly compress: a sentence of 20 kB of noise in each."""
    for number in range(count):
        disk = a_disk(image=f"/{os.urandom(10_000).hex()}")
        yield Frame(float(number), snapshot(float(number), disk))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    given = write(tmp_path / "r", frames(35))
    with Recording(tmp_path / "r") as recording:
        assert list(recording.frames()) == given
        assert recording.header == HEADER
        assert recording.size == (tmp_path / "r").stat().st_size
        assert not recording.truncated
    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o600


def test_a_full_chunk_is_on_disk_before_the_end(tmp_path: Path) -> None:
    """What kill -9 leaves: all but the chunk that was being filled."""
    writer = Writer(tmp_path / "r", HEADER, chunk_seconds=10.0)
    for frame in frames(25):
        writer.add(frame)
    with Recording(tmp_path / "r") as recording:
        assert recording.count == 22
    writer.close()
    writer.close()
    with Recording(tmp_path / "r") as recording:
        assert recording.count == 25


def test_size_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "r"
    largest = 0
    with Writer(path, HEADER, Limits(max_bytes=MIN_BYTES), chunk_seconds=3.0) as writer:
        for frame in noisy(200):
            writer.add(frame)
            largest = max(largest, path.stat().st_size)
            assert writer.bytes == path.stat().st_size
    with Recording(path) as recording:
        numbers = [round(frame.at) for frame in recording.frames()]
        assert recording.heads[0].chunk > 0
        assert recording.size == writer.bytes
    assert largest <= MIN_BYTES
    assert path.stat().st_size > MIN_BYTES // 2
    assert numbers == list(range(writer.dropped, 200))
    assert writer.frames == 200
    assert [one.name for one in tmp_path.iterdir()] == ["r"]


def test_age_is_bounded_too(tmp_path: Path) -> None:
    write(tmp_path / "r", frames(300), limits=Limits(max_seconds=100.0))
    with Recording(tmp_path / "r") as recording:
        assert recording.last == 299.0
        assert 50 < recording.last - recording.first <= 100


def test_what_a_killed_recorder_left_beside_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "r.part").write_text("left over")
    write(tmp_path / "r", frames(300), limits=Limits(max_seconds=100.0))
    assert not (tmp_path / "r.part").exists()


def test_it_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("mine")
    with pytest.raises(UserError, match="r exists already; choose another name"):
        Writer(tmp_path / "r", HEADER)
    assert (tmp_path / "r").read_text() == "mine"


@pytest.mark.parametrize("name", ["no/such/folder", "nul\0", "x" * 300])
def test_a_place_where_nothing_can_be_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        Writer(tmp_path / name, HEADER)


def test_limits_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too small"):
        Writer(tmp_path / "r", HEADER, Limits(max_bytes=1000))
    assert not (tmp_path / "r").exists()
    big = replace(snapshot(), disks=tuple(a_disk(i, image=os.urandom(8000).hex()) for i in range(100)))
    writer = Writer(tmp_path / "r", HEADER, Limits(max_bytes=MIN_BYTES))
    with pytest.raises(UserError, match="less than one part"):
        writer.add(Frame(0.0, replace(big, disks=big.disks + big.disks)))


def test_a_full_disk_leaves_what_was_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "r", HEADER, chunk_seconds=10.0)
    given = list(frames(30))
    for frame in given[:15]:
        writer.add(frame)
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if len(data) < 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[: len(data) // 2])

    for frame in given[15:21]:
        writer.add(frame)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError) as caught:
        writer.add(given[21])
    monkeypatch.undo()
    assert "cannot be written: no space left on device; what it holds is whole" in str(caught.value)
    writer.close()
    with Recording(tmp_path / "r") as recording:
        assert list(recording.frames()) == given[:11]
        assert not recording.truncated
