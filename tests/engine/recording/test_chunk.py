# SPDX-License-Identifier: MIT
"""Chunks: frames in and out, and bytes that are none."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from tests.engine.control.fake_backend import a_disk
from tests.engine.recording.made import frames, snapshot
from usblkback_tui.engine.control.codec import encode
from usblkback_tui.engine.recording import chunk
from usblkback_tui.engine.recording.chunk import BadChunk, ChunkBuilder, read_events, read_frames, unpack
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.sane import MAX_SLOTS
from usblkback_tui.engine.snapshot import Histogram, Latency, RingView


def built(count: int) -> ChunkBuilder:
    builder = ChunkBuilder()
    for frame in frames(count):
        builder.add(frame)
    return builder


def test_frames_come_out_as_they_went_in() -> None:
    head, data = built(12).pack(7)
    lines = unpack(data, text=head.text, crc=head.crc)
    assert list(read_frames(lines)) == list(read_frames(lines, trusted=True)) == list(frames(12))
    assert read_events(lines) == tuple(event for frame in frames(12) for event in frame.events)
    assert (head.chunk, head.bytes, head.frames, head.events) == (7, len(data), 12, 6)
    assert (head.first, head.last) == (0.0, 11.0)


def test_it_can_be_looked_at_while_it_grows() -> None:
    builder = ChunkBuilder()
    for number, frame in enumerate(frames(6), 1):
        builder.add(frame)
        assert list(read_frames(unpack(builder.peek(), text=builder.text))) == list(frames(number))


def test_a_frame_that_no_reader_would_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = built(2)
    monkeypatch.setattr(chunk, "MAX_LINE", 1000)
    with pytest.raises(BadChunk, match="one look at the engine has 0 MiB"):
        builder.add(Frame(2.0, snapshot(2.0, *(a_disk(domid) for domid in range(100)))))
    assert builder.frames == 2


def test_bytes_that_are_no_chunk() -> None:
    head, data = built(3).pack(0)
    with pytest.raises(BadChunk, match="checksum"):
        unpack(data[:-1], text=head.text, crc=head.crc)
    with pytest.raises(BadChunk, match="cannot be decompressed"):
        unpack(b"garbage" * 9, text=head.text)
    for text in (head.text - 1, head.text + 1):
        with pytest.raises(BadChunk, match="size"):
            unpack(data, text=text)
    with pytest.raises(BadChunk, match="size"):
        unpack(data + b"x", text=head.text)
    with pytest.raises(BadChunk, match="size"):
        unpack(zlib.compress(b"0" * (64 << 20)), text=100)


def line(**members: Any) -> bytes:
    return json.dumps(members).encode() + b"\n"


KEY = line(key=encode(snapshot()), at=1.0)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (b"[]\n", "line 1: it is no object"),
        (b"{\n", "line 1: "),
        (b"\n", "line 1: "),
        (b"\xff\n", "line 1: "),
        (b'{"key":' + b"[" * 100_000 + b"\n", "line 1: it is nested too deeply"),
        (KEY[:-1], "a line is too long or cut off"),
        (line(delta={}, at=1.0), "it begins with a change of nothing"),
        (line(key={}, at=1.0), "is missing"),
        (line(key=encode(snapshot())), "it has no time"),
        (line(key=encode(snapshot()), at="1"), "it has no time"),
        (b'{"key":{},"at":NaN}\n', "NaN is no number"),
        (b'{"key":{},"at":1e999}\n', "a number is too large"),
        (b'{"key":{},"at":' + b"9" * 30 + b"}\n", "a number is too long"),
        (KEY + line(delta={}, at=0.5), "line 2: it is older than the line before"),
        (KEY + line(delta={"disks": 3}, at=2.0), "line 2: disks is not an object"),
        (line(events=[{}], at=1.0) + KEY, "line 1: [0].seq is missing"),
        (line(requests=[3], at=1.0) + KEY, "line 1: [0] is not an object"),
        (line(key=encode(snapshot(0.0, a_disk(latency=Latency(read=Histogram((1, 2)))))), at=1.0), "of 2 buckets"),
        (
            KEY + line(delta={"disks": {"at": [[0, {"latency": {"read": {"counts": [5, -9]}}}]]}}, at=2.0),
            "line 2: disk 3/51728 counted less than nothing",
        ),
        (
            line(key=encode(snapshot(0.0, a_disk(rings=(RingView(0, MAX_SLOTS + 1, 1, "", "", "", 1),)))), at=1.0),
            "a ring of 65537 slots",
        ),
    ],
)
def test_lines_that_nobody_wrote(lines: bytes, words: str) -> None:
    with pytest.raises(BadChunk) as caught:
        list(read_frames(lines))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


def test_lines_of_a_later_program_are_passed_over() -> None:
    lines = KEY + line(weather="fine", at=1.5) + line(delta={"max_disks": 1}, at=2.0)
    assert [frame.snapshot.max_disks for frame in read_frames(lines)] == [64, 65]


def test_text_of_any_kind_survives() -> None:
    builder = ChunkBuilder()
    frame = Frame(0.0, snapshot(0.0, a_disk(domain="größe\u2028\x1b\n", image="/img/\udcff.img")))
    builder.add(frame)
    assert list(read_frames(unpack(builder.peek(), text=builder.text))) == [frame]
