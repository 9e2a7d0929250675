# SPDX-License-Identifier: MIT
"""The guest's memory: a version 1 grant table in its first pages, then free frames in no useful order."""

from __future__ import annotations

import mmap
import random

from usblkback_tui.engine.host.seam import PAGE_SIZE
from usblkback_tui.engine.host.sim._sim import ffi, lib

RESERVED_REFS = 8
"""Grant references Xen and the console use."""
REFS_PER_PAGE = PAGE_SIZE // 8


class OutOfMemory(Exception):
    """No free frame or grant reference."""


class Memory:
    """Frames and grant references of one guest; used by its main thread only."""

    def __init__(self, fd: int, pages: int, grant_pages: int) -> None:
        self._map = mmap.mmap(fd, pages * PAGE_SIZE)
        self._buffer = ffi.from_buffer(self._map)
        self.ram = ffi.cast("uint8_t *", self._buffer)
        self._refs = list(range(grant_pages * REFS_PER_PAGE - 1, RESERVED_REFS - 1, -1))
        # Contiguous pages come from the front; single ones are shuffled, as after some uptime, so that nothing merges.
        half = grant_pages + min(512, (pages - grant_pages) // 4)
        self._together = list(range(grant_pages, half))
        self._frames = list(range(half, pages))
        random.Random(pages).shuffle(self._frames)

    def frames(self, count: int) -> list[int]:
        """So many free frames.  Raises OutOfMemory."""
        return _take(self._frames, count, "frames")

    def contiguous(self, count: int) -> list[int]:
        """Frames side by side, for a ring.  Raises OutOfMemory."""
        free = sorted(self._together)
        for start in range(len(free) - count + 1):
            if free[start + count - 1] - free[start] == count - 1:
                taken = free[start : start + count]
                self._together = [frame for frame in free if frame not in taken]
                return taken
        raise OutOfMemory(f"no {count} frames side by side")

    def refs(self, count: int) -> list[int]:
        """So many free grant references.  Raises OutOfMemory."""
        return _take(self._refs, count, "grant references")

    def free(self, frames: list[int], refs: list[int]) -> None:
        """Give single frames and references back."""
        self._frames += frames
        self._refs += refs

    def free_contiguous(self, frames: list[int]) -> None:
        self._together += frames

    def grant(self, ref: int, domid: int, frame: int) -> None:
        """Let ``domid`` map the frame, writable."""
        lib.front_grant(self.ram, ref, domid, frame, 0)

    def revoke(self, ref: int) -> bool:
        """End access; False while the other domain has it mapped."""
        return bool(lib.front_revoke_one(self.ram, ref) == 0)


def _take(free: list[int], count: int, what: str) -> list[int]:
    if count > len(free):
        raise OutOfMemory(f"{count} {what} wanted, {len(free)} free")
    taken = free[len(free) - count :]
    del free[len(free) - count :]
    return taken
