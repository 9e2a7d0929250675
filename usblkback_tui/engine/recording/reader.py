# SPDX-License-Identifier: MIT
"""A recording's file to be looked at: any frame by its number or its time, and the events up to it.

Opening it reads the line of each chunk and passes over the bytes; that is the index.  A chunk is unpacked when one of
its frames is asked for.  A file that ends in the middle of a chunk is one whose recorder was killed: it ends before
that chunk.  Whatever else is wrong with a file is a UserError, and none makes us hold more than a chunk and two frames.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from usblkback_tui.engine.recording.chunk import BadChunk, ChunkHead, read_events, read_frames, unpack
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.layout import MAX_HEAD, MAX_HEADER, BadLayout, Header, parse_head, parse_header
from usblkback_tui.engine.snapshot import Event
from usblkback_tui.protocol.errors import UserError

MAX_CHUNKS = 200_000
"""In one file: 69 days at the usual length of a chunk."""


class Recording:
    """The file ``path``, open.  One thread at a time; every method raises UserError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = self._open()
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            """Bytes."""
            self.truncated = False
            """Its last chunk is cut off."""
            self.header = self._header()
            self.heads: list[ChunkHead] = []
            """What is known of each chunk."""
            self._offsets: list[int] = []
            self._index()
        except BaseException:
            self._file.close()
            raise
        self._firsts = [head.first for head in self.heads]
        self._frames_before = [0, *accumulate(head.frames for head in self.heads)]
        self._events_before = [0, *accumulate(head.events for head in self.heads)]
        self._cursor: _Cursor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()

    # what is in it ----------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Frames; at least one."""
        return self._frames_before[-1]

    @property
    def events_count(self) -> int:
        """Events of all frames."""
        return self._events_before[-1]

    @property
    def first(self) -> float:
        """``at`` of the first frame; more than 0 when older ones were dropped."""
        return self.heads[0].first

    @property
    def last(self) -> float:
        """``at`` of the last frame."""
        return self.heads[-1].last

    def frame(self, number: int) -> Frame:
        """Frame ``number`` from 0; the nearest one there is."""
        number = min(max(number, 0), self.count - 1)
        chunk = bisect_right(self._frames_before, number) - 1
        index = number - self._frames_before[chunk]
        cursor = self._cursor
        if cursor is None or cursor.chunk != chunk or cursor.index > index:
            cursor = self._enter(chunk)
        while cursor.index < index:
            self._advance(cursor)
        return cursor.frame

    def number_at(self, at: float) -> int:
        """The number of the last frame that is not after ``at``; of the first one when all are."""
        chunk = max(bisect_right(self._firsts, at) - 1, 0)
        cursor = self._cursor
        if cursor is None or cursor.chunk != chunk or cursor.frame.at > at:
            cursor = self._enter(chunk)
        while cursor.ahead is not None and cursor.ahead.at <= at:
            self._advance(cursor)
        return self._frames_before[chunk] + cursor.index

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """All frames from number ``start`` on."""
        return (self.frame(number) for number in range(start, self.count))

    def keyframes(self) -> Iterator[Frame]:
        """The first frame of each chunk and the last one of all, which need no others."""
        return (self.frame(number) for number in [*self._frames_before[:-1], self.count - 1])

    def events(self, until: int, *, after: int = 0, limit: int = 2000) -> tuple[int, tuple[Event, ...]]:
        """The events of the frames up to number ``until``, and which of all events the first of them is, from 1.

        Only those beyond the first ``after`` of all, and of these the newest ``limit``.
        """
        self.frame(until)
        cursor = self._cursor
        assert cursor is not None
        found: list[Event] = list(cursor.events)
        end = self._events_before[cursor.chunk] + len(found)
        chunk = cursor.chunk
        after = max(after, end - limit)
        while self._events_before[chunk] > after:
            chunk -= 1
            if self.heads[chunk].events:
                found[:0] = self._events_of(chunk)
        start = max(after, self._events_before[chunk])
        return start + 1, tuple(found[start - self._events_before[chunk] :])

    # chunks -----------------------------------------------------------------------------------------------------

    def _enter(self, chunk: int) -> _Cursor:
        try:
            self._cursor = _Cursor(chunk, self.heads[chunk], self._lines(chunk))
        except BadChunk as error:
            raise self._damaged(chunk, error) from None
        return self._cursor

    def _advance(self, cursor: _Cursor) -> None:
        try:
            cursor.advance()
        except BadChunk as error:
            self._cursor = None
            raise self._damaged(cursor.chunk, error) from None

    def _events_of(self, chunk: int) -> tuple[Event, ...]:
        try:
            events = read_events(self._lines(chunk))
            if len(events) != self.heads[chunk].events:
                raise BadChunk("it does not hold the events it should")
            return events
        except BadChunk as error:
            raise self._damaged(chunk, error) from None

    def _lines(self, chunk: int) -> bytes:
        head = self.heads[chunk]
        try:
            self._file.seek(self._offsets[chunk])
            data = self._file.read(head.bytes)
        except OSError as error:
            raise self._unreadable(error) from None
        return unpack(data, text=head.text, crc=head.crc)

    # opening ----------------------------------------------------------------------------------------------------

    def _open(self) -> BinaryIO:
        try:
            # A pipe or a terminal must not make us wait.
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self._foreign("it is no regular file")
        return os.fdopen(fd, "rb")

    def _header(self) -> Header:
        try:
            return parse_header(self._file.readline(MAX_HEADER + 1))
        except BadLayout as error:
            raise self._foreign(str(error)) from None
        except OSError as error:
            raise self._unreadable(error) from None

    def _index(self) -> None:
        before: ChunkHead | None = None
        offset = self._file.tell()
        try:
            while line := self._file.readline(MAX_HEAD + 1):
                if not line.endswith(b"\n") and len(line) <= MAX_HEAD:
                    self.truncated = True
                    break
                before = parse_head(line, before)
                offset += len(line)
                if offset + before.bytes > self.size:
                    self.truncated = True
                    break
                if len(self.heads) == MAX_CHUNKS:
                    raise BadLayout(f"it has more than {MAX_CHUNKS} parts")
                self.heads.append(before)
                self._offsets.append(offset)
                offset = self._file.seek(offset + before.bytes)
        except BadLayout as error:
            raise self._damaged(len(self.heads), error) from None
        except OSError as error:
            raise self._unreadable(error) from None
        if not self.heads:
            raise UserError(
                f"recording {self.path} holds nothing yet",
                fix="its recorder ended, or was killed, before the first part was written",
                key="file",
                value=self.path,
            )

    def _foreign(self, why: str) -> UserError:
        return UserError(
            f"{self.path} is no recording that can be read: {why}",
            fix="name a file that usblkback-tui record wrote",
            key="file",
            value=self.path,
        )

    def _damaged(self, chunk: int, error: Exception) -> UserError:
        return UserError(
            f"recording {self.path} is damaged in part {chunk + 1}: {error}",
            fix="copy it again from where it was recorded",
            key="file",
            value=self.path,
        )

    def _unreadable(self, error: Exception) -> UserError:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        return UserError(
            f"recording {self.path} cannot be read: {reason}", fix="check its name", key="file", value=self.path
        )


class _Cursor:
    """A place in a chunk: a frame, the one after it, and the events up to it.  Raises BadChunk."""

    def __init__(self, chunk: int, head: ChunkHead, lines: bytes) -> None:
        self.chunk = chunk
        self._head = head
        self._rest = read_frames(lines)
        first = next(self._rest, None)
        if first is None or first.at != head.first:
            raise BadChunk("it does not begin with the frame it should")
        self.index = 0
        self.frame = first
        self.events = list(first.events)
        self.ahead = self._next()

    def advance(self) -> None:
        """Go to the next frame."""
        if self.ahead is None:
            raise BadChunk("it holds fewer frames than it should")
        self.frame = self.ahead
        self.index += 1
        self.events += self.frame.events
        self.ahead = self._next()

    def _next(self) -> Frame | None:
        frame = next(self._rest, None)
        if frame is None and self.index + 1 != self._head.frames:
            raise BadChunk("it holds fewer frames than it should")
        if frame is not None and (self.index + 1 >= self._head.frames or frame.at > self._head.last):
            raise BadChunk("it holds more frames than it should")
        return frame
