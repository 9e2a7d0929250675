# SPDX-License-Identifier: MIT
"""What the data path must do with any bytes in a slot, told in plain Python on copies of the guest and of the image.

The order of checks does not matter here, only what comes out: the status, the guest's memory and the image; and what
was used for it, so that requests that meet nowhere can be told from those whose order matters.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.engine.datapath.frontend import PERMIT, READONLY
from tests.engine.datapath.layouts import Segment
from usblkback_tui.engine.datapath.ring import GrantMode
from usblkback_tui.engine.host.sim.domains import GRANT_PAGES
from usblkback_tui.protocol.blkif import PAGE, SECTOR, Op, Status

REFS = GRANT_PAGES * PAGE // 8

Touched = tuple[str, int, bool]
"""A sector of the disk or of the guest's memory, and whether it was changed."""


@dataclass(slots=True)
class Model:
    """A disk of ``sectors`` at the start of ``image``, which may be longer, and a guest's ``memory``."""

    image: bytearray
    memory: bytearray
    sectors: int
    mode: GrantMode
    x86_32: bool
    readonly: bool
    discard: bool
    max_segments: int
    touched: list[Touched] = field(default_factory=list)
    """What the last request used."""
    _before: list[tuple[bytearray, int, bytes]] = field(default_factory=list)

    def run(self, slot: bytes) -> tuple[int, int, int]:
        """Do what the slot says; the id, operation and status of the response."""
        self.touched = []
        self._before = []
        return self._run(slot)

    def take_back(self) -> None:
        """As if the last request had not been."""
        for where, at, data in reversed(self._before):
            where[at : at + len(data)] = data

    def _put(self, where: bytearray, at: int, data: bytes | bytearray) -> None:
        self._before.append((where, at, bytes(where[at : at + len(data)])))
        where[at : at + len(data)] = data

    def _touch(self, where: str, at: int, length: int, changed: bool) -> None:
        self.touched += [(where, n, changed) for n in range(at // SECTOR, (at + length) // SECTOR)]

    def _run(self, slot: bytes) -> tuple[int, int, int]:
        op, second, count, ident, sector = struct.unpack_from("<BBHQQ" if self.x86_32 else "<BBH4xQQ", slot)
        rest = slot[20 if self.x86_32 else 24 :]
        if op == Op.DISCARD:
            return ident, op, self._discard(sector, struct.unpack_from("<Q", rest)[0], second)
        if op == Op.INDIRECT:
            return ident, second, self._indirect(second, sector, count, struct.unpack_from("<8I", rest, 4))
        if op not in (Op.READ, Op.WRITE, Op.WRITE_BARRIER, Op.FLUSH_DISKCACHE) or second > 11:
            return ident, op, Status.ERROR
        if second == 0:
            return ident, op, Status.ERROR if op in (Op.READ, Op.WRITE) else Status.OKAY
        return ident, op, self._move(op == Op.READ, sector, _segments(rest, second))

    def _discard(self, sector: int, count: int, flags: int) -> int:
        if self.readonly:
            return Status.ERROR
        if not self.discard or flags & 1:
            return Status.EOPNOTSUPP
        if not count or sector + count > self.sectors:
            return Status.ERROR
        self._put(self.image, sector * SECTOR, bytes(count * SECTOR))
        self._touch("disk", sector * SECTOR, count * SECTOR, True)
        return Status.OKAY

    def _indirect(self, op: int, sector: int, count: int, refs: tuple[int, ...]) -> int:
        if op not in (Op.READ, Op.WRITE) or not 1 <= count <= self.max_segments:
            return Status.ERROR
        described = b""
        for ref in refs[: -(-count // 512)]:
            frame = self._frame(ref, writable=False)
            if frame is None:
                return Status.ERROR
            described += self.memory[frame * PAGE : (frame + 1) * PAGE]
            self._touch("memory", frame * PAGE, PAGE, False)
        return self._move(op == Op.READ, sector, _segments(described, count))

    def _frame(self, ref: int, *, writable: bool) -> int | None:
        """The frame we may map."""
        if ref >= REFS:
            return None
        flags, domid, frame = struct.unpack_from("<HHI", self.memory, ref * 8)
        if flags & 3 != PERMIT or domid != 0 or (writable and flags & READONLY) or frame >= len(self.memory) // PAGE:
            return None
        return int(frame)

    def _move(self, read: bool, sector: int, segments: list[Segment]) -> int:
        if self.readonly and not read:
            return Status.ERROR
        if any(not segment.first <= segment.last < 8 for segment in segments):
            return Status.ERROR
        if sector + sum(segment.bytes for segment in segments) // SECTOR > self.sectors:
            return Status.ERROR
        frames = [self._frame(segment.ref, writable=read) for segment in segments]
        # a copying hypervisor brings what it can of what was read; else all pages are there or nothing happens
        if None in frames and not (read and self.mode is GrantMode.COPY):
            return Status.ERROR
        at = sector * SECTOR
        for segment, frame in zip(segments, frames, strict=True):
            if frame is not None:
                where = frame * PAGE + segment.first * SECTOR
                if read:
                    self._put(self.memory, where, self.image[at : at + segment.bytes])
                else:
                    self._put(self.image, at, self.memory[where : where + segment.bytes])
                self._touch("memory", where, segment.bytes, read)
                self._touch("disk", at, segment.bytes, not read)
            at += segment.bytes
        return Status.ERROR if None in frames else Status.OKAY


def _segments(raw: bytes, count: int) -> list[Segment]:
    return [Segment(*struct.unpack_from("<IBB", raw, 8 * i)) for i in range(count)]


def coarse(touched: list[Touched]) -> list[Touched]:
    """With whole pages for the sectors of memory."""
    return [(where, n // 8 if where == "memory" else n, changed) for where, n, changed in touched]


def meet(some: list[Touched], others: list[Touched]) -> bool:
    """Whether the order of two pieces of work matters: one changes what the other uses."""
    used = {(where, n) for where, n, _ in some}
    changed = {(where, n) for where, n, change in some if change}
    return any((where, n) in (used if change else changed) for where, n, change in others)


def crosses_itself(touched: list[Touched]) -> bool:
    """Whether a read brings two sectors to one place: which of them stays there is nobody's promise."""
    into = [n for where, n, changed in touched if where == "memory" and changed]
    return len(into) != len(set(into))
