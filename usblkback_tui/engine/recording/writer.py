# SPDX-License-Identifier: MIT
"""A recording's file while it grows.

A chunk is appended whole, with one write, so a program that is killed loses the chunk it was filling and no more.  When
the file reaches its limit, or its first frame gets too old, its oldest quarter is dropped: what stays is copied to a
file beside it that then takes its name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from usblkback_tui.engine.recording.chunk import MAX_FRAMES, BadChunk, ChunkBuilder, ChunkHead
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.layout import Header, head_line, header_line
from usblkback_tui.protocol.errors import UserError

CHUNK_SECONDS = 30.0
CHUNK_TEXT = 4 << 20
"""Bytes of lines in a chunk, some more with the last of them."""
MIN_BYTES = 1 << 20
_KEPT = 0.75
_COPIED = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may hold."""

    max_bytes: int = 256 << 20
    max_seconds: float = 86400.0


@dataclass(frozen=True, slots=True)
class _Stored:
    head: ChunkHead
    offset: int
    length: int
    """Its line included."""


class Writer:
    """Writes a new file at ``path``, readable by its owner alone.  For one thread; every method raises UserError."""

    def __init__(
        self, path: Path, header: Header, limits: Limits | None = None, *, chunk_seconds: float = CHUNK_SECONDS
    ) -> None:
        self.path = path
        self._header = header_line(header)
        self._limits = limits or Limits()
        if self._limits.max_bytes < MIN_BYTES:
            raise UserError(
                f"a recording of {self._limits.max_bytes} bytes is too small", fix=f"allow {MIN_BYTES} bytes or more"
            )
        self._chunk_seconds = chunk_seconds
        self._chunk_text = min(CHUNK_TEXT, self._limits.max_bytes // 4)
        self._builder = ChunkBuilder()
        self._stored: list[_Stored] = []
        self._number = 0
        self.frames = 0
        """Given to it, dropped ones included."""
        self.dropped = 0
        """Frames that made room for others."""
        self._fd = self._create()
        self.bytes = len(self._header)
        """Size of the file."""
        try:
            self._write(self._fd, self._header)
        except OSError as error:
            self._give_up(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, frame: Frame) -> None:
        """Append a frame; it reaches the file with its chunk."""
        try:
            self._builder.add(frame)
        except BadChunk as error:
            raise UserError(f"this engine cannot be recorded: {error}", fix="record one with fewer disks") from None
        self.frames += 1
        builder = self._builder
        if (
            builder.text >= self._chunk_text
            or builder.frames >= MAX_FRAMES
            or frame.at - builder.first >= self._chunk_seconds
        ):
            self.flush()

    def flush(self) -> None:
        """Write the chunk that is being filled, and begin another."""
        if not self._builder.frames:
            return
        head, data = self._builder.pack(self._number)
        self._builder = ChunkBuilder()
        piece = head_line(head) + data
        try:
            self._make_room(head, len(piece))
            self._append(piece)
        except OSError as error:
            self._give_up(error)
        self._stored.append(_Stored(head, self.bytes, len(piece)))
        self.bytes += len(piece)
        self._number += 1

    def close(self) -> None:
        """Write what is left and close; idempotent."""
        if self._fd < 0:
            return
        try:
            self.flush()
        finally:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    # room -------------------------------------------------------------------------------------------------------

    def _make_room(self, head: ChunkHead, length: int) -> None:
        limits = self._limits
        if len(self._header) + length > limits.max_bytes:
            raise OSError(0, "its limit is less than one part of it")
        if not self._stored:
            return
        oldest = self._stored[0].head
        if self.bytes + length <= limits.max_bytes and head.last - oldest.first <= limits.max_seconds:
            return
        budget = int(limits.max_bytes * _KEPT) - length - len(self._header)
        since = head.last - limits.max_seconds * _KEPT
        kept: list[_Stored] = []
        for one in reversed(self._stored):
            budget -= one.length
            if budget < 0 or one.head.first < since:
                break
            kept.append(one)
        self._keep(kept[::-1])

    def _keep(self, kept: Sequence[_Stored]) -> None:
        """Put a file with nothing but these chunks in place of ours."""
        beside = self.path.with_name(f"{self.path.name}.part")
        beside.unlink(missing_ok=True)
        fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._write(fd, self._header)
            for one in kept:
                self._copy(one, fd)
            os.replace(beside, self.path)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        os.close(self._fd)
        self._fd = fd
        self.dropped += sum(one.head.frames for one in self._stored) - sum(one.head.frames for one in kept)
        offset = len(self._header)
        self._stored = []
        for one in kept:
            self._stored.append(_Stored(one.head, offset, one.length))
            offset += one.length
        self.bytes = offset

    def _copy(self, one: _Stored, target: int) -> None:
        done = 0
        while done < one.length:
            data = os.pread(self._fd, min(_COPIED, one.length - done), one.offset + done)
            if not data:
                raise OSError(0, "it became shorter")
            self._write(target, data)
            done += len(data)

    # the file ---------------------------------------------------------------------------------------------------

    def _create(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise UserError(
                f"{self.path} exists already",
                fix="choose another name, or remove it first",
                key="file",
                value=self.path,
            ) from None
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from None

    def _append(self, piece: bytes) -> None:
        try:
            self._write(self._fd, piece)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.bytes)
                os.lseek(self._fd, self.bytes, os.SEEK_SET)
            raise

    @staticmethod
    def _write(fd: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def _give_up(self, error: OSError) -> NoReturn:
        os.close(self._fd)
        self._fd = -1
        raise self._unwritable(error) from None

    def _unwritable(self, error: Exception) -> UserError:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        whole = "; what it holds is whole" if self.frames else ""
        return UserError(
            f"recording {self.path} cannot be written: {reason}{whole}",
            fix="choose another place, or make room there",
            key="file",
            value=self.path,
        )
