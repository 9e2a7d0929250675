# SPDX-License-Identifier: MIT
"""How a recording lies in its file: one line of JSON about all of it, then for each chunk one line and its bytes."""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.engine.control.codec import CodecError, decode, encode
from usblkback_tui.engine.recording.chunk import MAX_FRAMES, MAX_TEXT, ChunkHead
from usblkback_tui.engine.recording.lines import dump, load

FORMAT = "usblkback-tui recording"
VERSION = 1
"""Counts changes that an older reader would misunderstand; new members and new kinds of lines are none."""
MAX_HEADER = 4096
"""Bytes of the first line."""
MAX_HEAD = 512
"""Bytes of a chunk's line."""


class BadLayout(ValueError):
    """A line that does not belong where it stands; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is known when a recording begins."""

    format: str
    version: int
    program: str
    """Version of the program that wrote it."""
    created: float
    """``time.time()`` seconds when ``at`` was 0."""
    hz: float
    """Frames a second, as wanted."""
    redacted: tuple[str, ...] = ()
    """What was taken out: ``images``, ``names``."""


def header_line(header: Header) -> bytes:
    """The first line."""
    return dump(encode(header))


def parse_header(line: bytes) -> Header:
    """The first line again.  Raises BadLayout."""
    try:
        data = load(line) if line.endswith(b"\n") else {}
    except ValueError:
        data = {}
    if data.get("format") != FORMAT:
        raise BadLayout("it does not begin like one")
    if data.get("version") != VERSION:
        raise BadLayout(f"it has version {str(data.get('version'))[:20]}, and this program reads version {VERSION}")
    try:
        return decode(Header, data)
    except CodecError as error:
        raise BadLayout(f"its first line: {str(error)[:200]}") from None


def head_line(head: ChunkHead) -> bytes:
    """What stands before a chunk's bytes."""
    return dump(encode(head))


def parse_head(line: bytes, before: ChunkHead | None) -> ChunkHead:
    """The same again; ``before`` is the chunk before it.  Raises BadLayout."""
    try:
        head = decode(ChunkHead, load(line))
    except (ValueError, CodecError) as error:
        raise BadLayout(str(error)[:200]) from None
    if not (0 < head.bytes <= 2 * MAX_TEXT and 0 < head.text <= MAX_TEXT and 0 < head.frames <= MAX_FRAMES):
        raise BadLayout("it cannot have that size")
    if not 0 <= head.events <= head.text:
        raise BadLayout("it cannot hold so many events")
    if not (before.last if before else 0.0) <= head.first <= head.last:
        raise BadLayout("it is older than the part before it")
    if head.chunk < 0 or (before is not None and head.chunk != before.chunk + 1):
        raise BadLayout("it does not follow the part before it")
    return head
