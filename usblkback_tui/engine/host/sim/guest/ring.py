# SPDX-License-Identifier: MIT
"""One granted ring, its event channel and the thread that makes load on it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from usblkback_tui.engine.host.seam import PAGE_SIZE
from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.guest.hypercalls import Hypercalls
from usblkback_tui.engine.host.sim.guest.memory import Memory
from usblkback_tui.engine.host.sim.guest.notebook import Notebook
from usblkback_tui.engine.host.sim.load import Load

DIRECT_SEGMENTS = 11
FLUSH, BARRIER = 3, 2


@dataclass(frozen=True, slots=True)
class Disk:
    """What the backend told us of the disk."""

    sectors: int
    flush: int = 0
    """The operation that flushes: FLUSH, BARRIER or 0."""
    discard: bool = False
    persistent: bool = False
    max_segments: int = DIRECT_SEGMENTS
    read_only: bool = False


class Ring:
    """The pages and the port exist from the start; the C side when the disk is known."""

    def __init__(self, xen: Hypercalls, memory: Memory, backend: int, order: int) -> None:
        self._xen = xen
        self._memory = memory
        self._backend = backend
        self._frames = memory.contiguous(1 << order)
        self.refs = memory.refs(1 << order)
        for ref, frame in zip(self.refs, self._frames, strict=True):
            memory.grant(ref, backend, frame)
        # SHARED_RING_INIT: the backend may look as soon as it knows the reference.
        ring = ffi.buffer(memory.ram + self._frames[0] * PAGE_SIZE, PAGE_SIZE << order)
        ring[:] = bytes(len(ring))
        ring[4:8] = ring[12:16] = b"\1\0\0\0"
        self.port, self._event, self._notify = xen.alloc_unbound(backend)
        self._stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._front: Any = None
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None

    def connect(self, disk: Disk, book: Notebook, *, x86_32: bool, handle: int) -> None:
        """The disk is known: requests can be made."""
        self._book = book
        self._disk = disk
        setup = ffi.new("front_setup *")
        setup.ram = self._memory.ram
        setup.ring = self._memory.ram + self._frames[0] * PAGE_SIZE
        setup.ring_pages = len(self._frames)
        setup.x86_32 = x86_32
        setup.backend_domid = self._backend
        setup.event_fd, setup.notify_fd, setup.stop_fd = self._event, self._notify, self._stop
        setup.handle = handle & 0xFFFF
        setup.persistent = disk.persistent
        setup.max_segments = disk.max_segments
        setup.flush, setup.discard, setup.read_only = disk.flush, disk.discard, disk.read_only
        setup.sectors = disk.sectors
        setup.book = book.pointer
        setup.nr_notes = book.nr_notes
        self._front = lib.front_new(setup)
        if self._front == ffi.NULL:
            raise MemoryError("no memory for the ring's shadow")

    def resize(self, sectors: int) -> None:
        """The disk has another size from now on, also for a running load."""
        lib.front_resize(self._front, sectors)

    def run(self, load: Load, *, verify: bool, ended: Callable[[int], None]) -> None:
        """Make load, or read everything back; ``ended`` is called in the ring's thread with why it came back.

        Raises OutOfMemory.
        """
        plan = self._plan(load, verify)
        self._provide(plan.depth * _pages_of(plan.block))
        lib.front_order(self._front, lib.FRONT_GO)
        what = lib.FRONT_VERIFY if verify else lib.FRONT_LOAD

        def work() -> None:
            ended(lib.front_run(self._front, plan, what))

        self._thread = threading.Thread(target=work, name="ring", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """After ``ended``: the thread is over."""
        if self._thread:
            self._thread.join()
            self._thread = None

    def drain(self) -> None:
        """Make no new requests; ``ended`` comes when all are answered."""
        if self._front:
            lib.front_order(self._front, lib.FRONT_DRAIN)

    def close(self) -> int:
        """blkif_free: leave the ring, end all access, unbind.  The number of pages the backend still has mapped."""
        if self._front:
            lib.front_order(self._front, lib.FRONT_LEAVE)
        self.join()
        kept = self._free_data()
        kept += self._free_ring()
        self._xen.close_port(self.port)
        for fd in (self._event, self._notify, self._stop):
            os.close(fd)
        return kept

    def _plan(self, load: Load, verify: bool) -> Any:
        self._book.use_granule(load.block_bytes)
        plan = ffi.new("front_load *")
        block = min(load.block_bytes, self._disk.max_segments * PAGE_SIZE)
        plan.block = self._book.granule if verify else block - block % self._book.granule
        plan.depth = min(32 if verify else max(1, load.depth), lib.front_slots(self._front))
        plan.read_percent = load.read_percent
        plan.rate, plan.span = load.rate, load.span_bytes
        plan.flush_every, plan.discard_every = load.flush_every, load.discard_every
        plan.sequential, plan.verify, plan.spin = load.sequential, load.verify or verify, load.spin
        plan.seed = load.seed
        return plan

    def _provide(self, pages: int) -> None:
        more = pages - lib.front_pages(self._front)
        if more > 0:
            frames = self._memory.frames(more)
            try:
                refs = self._memory.refs(more)
            except BaseException:
                self._memory.free(frames, [])
                raise
            if lib.front_add_pages(self._front, more, frames, refs):
                raise MemoryError("no memory for the list of pages")

    def _free_data(self) -> int:
        if not self._front:
            return 0
        pages = lib.front_pages(self._front)
        refs, frames = ffi.new("uint32_t[]", pages + 1), ffi.new("uint32_t[]", pages + 1)
        freed = lib.front_revoke(self._front, refs, frames)
        self._memory.free(list(frames[0:freed]), list(refs[0:freed]))
        lib.front_free(self._front)
        self._front = None
        return int(pages - freed)

    def _free_ring(self) -> int:
        freed = [ref for ref in self.refs if self._memory.revoke(ref)]
        if len(freed) == len(self.refs):
            self._memory.free_contiguous(self._frames)
        self._memory.free([], freed)
        return len(self.refs) - len(freed)


def _pages_of(block: int) -> int:
    data = -(-block // PAGE_SIZE)
    return data + (1 if data > DIRECT_SEGMENTS else 0)
