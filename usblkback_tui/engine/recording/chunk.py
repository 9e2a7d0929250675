# SPDX-License-Identifier: MIT
"""Frames packed together: lines of JSON, compressed as one piece that needs no other.

The first member of a line says what it is:

    {"key": {snapshot}, "at": 0.0}                          a whole frame; each chunk begins with one
    {"delta": {changes}, "at": 1.0}                         a frame, from the one before (delta.py)
    {"events": [...], "at": 1.0}                            of the frame that follows
    {"requests": [{"domid", "devid", "requests"}], "at": 1.0}    the same
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from usblkback_tui.engine.control.codec import CodecError, decode, encode
from usblkback_tui.engine.recording.delta import apply, diff
from usblkback_tui.engine.recording.frame import DiskRequests, Frame
from usblkback_tui.engine.recording.lines import dump, load
from usblkback_tui.engine.recording.sane import problem_of
from usblkback_tui.engine.snapshot import Event, Snapshot

MAX_LINE = 8 << 20
"""Bytes: a whole frame of some 800 disks."""
MAX_TEXT = 16 << 20
"""Bytes of all lines of a chunk."""
MAX_FRAMES = 1024
"""In one chunk."""

_EVENTS = b'{"events":'


class BadChunk(ValueError):
    """These bytes are no chunk of a recording; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class ChunkHead:
    """What is known of a chunk without unpacking it."""

    chunk: int
    """Counts from 0 in one recording."""
    bytes: int
    """Compressed."""
    text: int
    """Bytes of its lines."""
    crc: int
    """``zlib.crc32`` of the compressed bytes."""
    frames: int
    events: int
    first: float
    """``at`` of its first frame."""
    last: float


class ChunkBuilder:
    """Packs frames as they come, so that no moment has much to compress."""

    def __init__(self, level: int = 6) -> None:
        self._packer = zlib.compressobj(level)
        self._packed = bytearray()
        self._last: Frame | None = None
        self._first = 0.0
        self.text = 0
        """Bytes of the lines so far."""
        self.frames = 0
        self.events = 0

    @property
    def first(self) -> float:
        """``at`` of the first frame."""
        return self._first

    @property
    def last(self) -> Frame | None:
        """The newest frame."""
        return self._last

    def add(self, frame: Frame) -> None:
        """Append a frame, not older than the last one.  Raises BadChunk when it is too large for any reader."""
        lines = _lines(frame, self._last)
        if len(lines) > MAX_LINE:
            raise BadChunk(f"one look at the engine has {len(lines) >> 20} MiB")
        if self._last is None:
            self._first = frame.at
        self._packed += self._packer.compress(lines)
        self._last = frame
        self.text += len(lines)
        self.frames += 1
        self.events += len(frame.events)

    def peek(self) -> bytes:
        """The chunk as if it ended here."""
        return bytes(self._packed) + self._packer.copy().flush()

    def pack(self, number: int) -> tuple[ChunkHead, bytes]:
        """End it; it has at least one frame."""
        assert self._last is not None
        data = bytes(self._packed) + self._packer.flush()
        head = ChunkHead(
            chunk=number,
            bytes=len(data),
            text=self.text,
            crc=zlib.crc32(data),
            frames=self.frames,
            events=self.events,
            first=self._first,
            last=self._last.at,
        )
        return head, data


def _lines(frame: Frame, last: Frame | None) -> bytes:
    parts = []
    if frame.events:
        parts.append(dump({"events": encode(frame.events), "at": frame.at}))
    if frame.requests:
        parts.append(dump({"requests": encode(frame.requests), "at": frame.at}))
    if last is None:
        parts.append(dump({"key": encode(frame.snapshot), "at": frame.at}))
    else:
        parts.append(dump({"delta": diff(last.snapshot, frame.snapshot), "at": frame.at}))
    return b"".join(parts)


def unpack(data: bytes, *, text: int, crc: int | None = None) -> bytes:
    """The lines of a chunk, which are ``text`` bytes.  Raises BadChunk."""
    if crc is not None and zlib.crc32(data) != crc:
        raise BadChunk("its checksum is wrong")
    unpacker = zlib.decompressobj()
    try:
        lines = unpacker.decompress(data, text + 1)
    except zlib.error:
        raise BadChunk("it cannot be decompressed") from None
    if len(lines) != text or not unpacker.eof or unpacker.unused_data:
        raise BadChunk("it does not have the size it should have")
    return lines


def read_frames(lines: bytes, *, trusted: bool = False) -> Iterator[Frame]:
    """Its frames, in order; ``trusted`` when this process wrote them.  Raises BadChunk."""
    parse = json.loads if trusted else load
    frame: Frame | None = None
    events: tuple[Event, ...] = ()
    requests: tuple[DiskRequests, ...] = ()
    for number, line in enumerate(_split(lines), 1):
        try:
            data = parse(line)
            at = _at(data, frame.at if frame else 0.0)
            kind = next(iter(data))
            if kind == "events":
                events += decode(tuple[Event, ...], data[kind])
            elif kind == "requests":
                requests += decode(tuple[DiskRequests, ...], data[kind])
            elif kind in ("key", "delta"):
                frame = Frame(at, _snapshot(kind, data[kind], frame, trusted=trusted), events, requests)
                events, requests = (), ()
                yield frame
            # Another kind is from a later program, which says with the version when it matters.
        except (ValueError, CodecError) as error:
            raise BadChunk(f"line {number}: {_short(error)}") from None


def read_events(lines: bytes) -> tuple[Event, ...]:
    """Only its events, oldest first, which is far quicker.  Raises BadChunk."""
    events: tuple[Event, ...] = ()
    try:
        for line in _split(lines):
            if line.startswith(_EVENTS):
                events += decode(tuple[Event, ...], load(line)["events"])
    except (ValueError, CodecError) as error:
        raise BadChunk(_short(error)) from None
    return events


def _snapshot(kind: str, data: Any, before: Frame | None, *, trusted: bool) -> Snapshot:
    known = before.snapshot if before else None
    if kind == "key":
        snapshot = decode(Snapshot, data)
    elif known is None:
        raise ValueError("it begins with a change of nothing")
    else:
        snapshot = apply(known, data)
    if not trusted and (problem := problem_of(snapshot, known)):
        raise ValueError(problem)
    return snapshot


def _at(data: dict[str, Any], least: float) -> float:
    at = data.get("at")
    if type(at) not in (int, float):
        raise ValueError("it has no time")
    at = float(at)  # type: ignore[arg-type]
    if at < least:
        raise ValueError("it is older than the line before")
    return at


def _split(lines: bytes) -> Iterator[bytes]:
    file = io.BytesIO(lines)
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE or not line.endswith(b"\n"):
            raise BadChunk("a line is too long or cut off")
        yield line


def _short(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= 200 else f"{text[:200]}…"
