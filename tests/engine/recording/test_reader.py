# SPDX-License-Identifier: MIT
"""Recordings to be looked at: any place in them, and files that are none."""

from __future__ import annotations

import json
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.recording.made import HEADER, frames, write
from usblkback_tui.engine.recording import reader
from usblkback_tui.engine.recording.chunk import MAX_TEXT, ChunkBuilder
from usblkback_tui.engine.recording.layout import head_line, header_line
from usblkback_tui.engine.recording.reader import Recording
from usblkback_tui.protocol.errors import UserError


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "r"
    write(path, frames(57, begin=3.0))
    return path


def test_any_frame_in_any_order(path: Path) -> None:
    wanted = list(frames(57, begin=3.0))
    numbers = [0, 56, 55, 30, 31, 31, 10, 11, 12, 0, *random.Random(3).sample(range(57), 40)]
    with Recording(path) as recording:
        assert (recording.count, recording.first, recording.last) == (57, 3.0, 59.0)
        for number in numbers:
            assert recording.frame(number) == wanted[number]
        assert recording.frame(-5) == wanted[0]
        assert recording.frame(99) == wanted[56]


def test_any_time_in_any_order(path: Path) -> None:
    with Recording(path) as recording:
        for at in (0.0, 3.0, 3.9, 4.0, 59.0, 1e9, 13.999, 14.0, 13.0, 14.5, 40.0):
            assert recording.number_at(at) == min(max(int(at) - 3, 0), 56), at


def test_key_frames_need_no_others(path: Path) -> None:
    with Recording(path) as recording:
        assert [frame.at for frame in recording.keyframes()] == [*(head.first for head in recording.heads), 59.0]


@pytest.mark.parametrize("until", [0, 4, 5, 20, 56])
@pytest.mark.parametrize("after", [0, 1, 5, 10, 24, 99])
@pytest.mark.parametrize("limit", [1, 7, 2000])
def test_events_up_to_a_frame(path: Path, until: int, after: int, limit: int) -> None:
    every = [event for frame in list(frames(57))[: until + 1] for event in frame.events]
    with Recording(path) as recording:
        first, found = recording.events(until, after=after, limit=limit)
        assert recording.events_count == 24
    assert list(found) == every[after:][-limit:]
    if found:
        assert first == found[0].seq  # they count from 1 here too


def test_a_recording_that_is_cut_off_ends_before(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    with Recording(path) as whole:
        ends = [offset + head.bytes for offset, head in zip(whole._offsets, whole.heads, strict=True)]
        counts = [sum(head.frames for head in whole.heads[: index + 1]) for index in range(len(ends))]
    cut = tmp_path / "cut"
    for size in [*range(ends[0], len(data), 97), ends[0] + 1, ends[1] - 1]:
        cut.write_bytes(data[:size])
        with Recording(cut) as recording:
            assert recording.count == counts[max(i for i, end in enumerate(ends) if end <= size)]
            assert recording.truncated == (size not in ends)
            assert list(recording.frames()) == list(frames(recording.count, begin=3.0))
    for size in (len(header_line(HEADER)), len(header_line(HEADER)) + 9, ends[0] - 1):
        cut.write_bytes(data[:size])
        with pytest.raises(UserError, match="holds nothing yet"):
            Recording(cut)


def fails(path: Path, look: Callable[[Recording], object] = lambda recording: None) -> str:
    """The sentence a file fails with."""
    with pytest.raises(UserError) as caught, Recording(path) as recording:
        look(recording)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 700
    return text


def sentence(path: Path) -> str:
    """The same for a file that may well play."""
    try:
        with Recording(path) as recording:
            everything(recording)
    except UserError as error:
        return str(error)
    return ""


def everything(recording: Recording) -> None:
    list(recording.frames())
    recording.events(recording.count - 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no recording that can be read: it does not begin like one"),
        (b"\x7fELF" + bytes(9000), "it does not begin like one"),
        (b"[1,2]\n", "it does not begin like one"),
        (b"{}\n", "it does not begin like one"),
        (b'{"a":' * 3000 + b"\n", "it does not begin like one"),
        (header_line(HEADER).rstrip(), "it does not begin like one"),
        (header_line(HEADER).replace(b'"version":1', b'"version":2'), "version 2, and this program reads version 1"),
        (header_line(HEADER).replace(b'"hz":1.0', b'"hz":"x"'), "its first line: hz is 'x'"),
        (header_line(HEADER) + b"nonsense\n", "damaged in part 1"),
        (header_line(HEADER) + b"x" * 600, "damaged in part 1"),
        (header_line(HEADER) + b"{}\n", "damaged in part 1: chunk is missing"),
    ],
)
def test_files_that_are_no_recording(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "f").write_bytes(data)
    assert words in fails(tmp_path / "f")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": MAX_TEXT + 1}, "cannot have that size"),
        ({"bytes": 0}, "cannot have that size"),
        ({"frames": 0}, "cannot have that size"),
        ({"frames": 10**6}, "cannot have that size"),
        ({"events": 10**9}, "cannot hold so many events"),
        ({"first": 9.0, "last": 8.0}, "older than the part before"),
        ({"first": -1.0}, "older than the part before"),
        ({"chunk": -1}, "does not follow"),
        ({"crc": 1}, "checksum"),
        ({"frames": 3}, "fewer frames"),
        ({"frames": 1}, "more frames"),
        ({"first": 0.5}, "does not begin with the frame it should"),
        ({"last": 0.5}, "more frames"),
        ({"events": 9}, "not hold the events"),
    ],
)
def test_a_part_that_is_not_what_its_line_says(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    builder, after = ChunkBuilder(), ChunkBuilder()
    for frame in frames(2):
        builder.add(frame)
    for frame in frames(2, begin=20.0):
        after.add(frame)
    head, data = builder.pack(0)
    line = json.dumps({**json.loads(head_line(head)), **changes}).encode() + b"\n"
    second, rest = after.pack(1)
    (tmp_path / "f").write_bytes(header_line(HEADER) + line + data + head_line(second) + rest)
    assert words in fails(tmp_path / "f", everything)


def test_parts_follow_each_other(tmp_path: Path) -> None:
    pieces = []
    for number, begin in ((0, 50.0), (1, 0.0), (2, 60.0)):
        builder = ChunkBuilder()
        for frame in frames(2, begin=begin):
            builder.add(frame)
        head, data = builder.pack(number)
        pieces.append(head_line(head) + data)
    (tmp_path / "f").write_bytes(header_line(HEADER) + pieces[0] + pieces[1])
    assert "damaged in part 2: it is older" in fails(tmp_path / "f")
    (tmp_path / "f").write_bytes(header_line(HEADER) + pieces[0] + pieces[2])
    assert "damaged in part 2: it does not follow" in fails(tmp_path / "f")


def test_a_file_with_too_many_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_CHUNKS", 3)
    assert "damaged in part 4: it has more than 3 parts" in fails(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    data = zlib.compress(b" " * (64 << 20), 9)
    head = {"chunk": 0, "bytes": len(data), "text": 1000, "crc": zlib.crc32(data), "frames": 1, "events": 0}
    line = json.dumps({**head, "first": 0.0, "last": 0.0}).encode() + b"\n"
    (tmp_path / "f").write_bytes(header_line(HEADER) + line + data)
    assert "does not have the size" in fails(tmp_path / "f", everything)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "it is no regular file" in fails(tmp_path / "pipe")
    assert "it is no regular file" in fails(tmp_path)
    assert "it is no regular file" in fails(Path("/dev/zero"))
    assert "cannot be read: no such file or directory" in fails(tmp_path / "none")
    assert "cannot be read" in fails(tmp_path / "nul\0")


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data())
def test_no_bytes_do_more_than_a_sentence(path: Path, data: st.DataObject) -> None:
    """Whatever is cut, put in or turned round in a recording, it plays or it is refused."""
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 40))
        content[place : place + length] = data.draw(st.binary(max_size=40))
    changed = path.with_name("changed")
    changed.write_bytes(content)
    assert "\n" not in sentence(changed)


LINES = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["key", "delta", "at", "events", "requests", "disks", "drop", "add", "len", "time", "x"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(LINES, max_size=5), st.booleans())
def test_no_lines_in_a_proper_part_do_more_than_a_sentence(path: Path, lines: list[bytes], real: bool) -> None:
    builder = ChunkBuilder()
    for frame in frames(2):
        builder.add(frame)
    head, data = builder.pack(0)
    text = (zlib.decompress(data) if real else b"") + b"".join(line + b"\n" for line in lines)
    packed = zlib.compress(text)
    members = {**json.loads(head_line(head)), "bytes": len(packed), "text": len(text), "crc": zlib.crc32(packed)}
    changed = path.with_name("lines")
    changed.write_bytes(header_line(HEADER) + json.dumps(members).encode() + b"\n" + packed)
    assert "\n" not in sentence(changed)
