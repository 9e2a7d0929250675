# SPDX-License-Identifier: MIT
"""One queue of a disk: its granted ring, its event channel and the thread that makes load on it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from usblkback_tui.engine.host.seam import PAGE_SIZE
from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.guest.disk import Manners
from usblkback_tui.engine.host.sim.guest.frontends.steps import Published
from usblkback_tui.engine.host.sim.guest.hypercalls import Hypercalls
from usblkback_tui.engine.host.sim.guest.memory import Memory
from usblkback_tui.engine.host.sim.guest.notebook import Notebook
from usblkback_tui.engine.host.sim.guest.plan import pages_per_request


class Ring:
    """The pages and the port exist from the start; the C side when the disk is known."""

    def __init__(self, xen: Hypercalls, memory: Memory, backend: int, pages: int) -> None:
        """Raises OutOfMemory or Refused."""
        self._xen = xen
        self._memory = memory
        self._backend = backend
        self._front: Any = None
        self._thread: threading.Thread | None = None
        self._frames = memory.contiguous(pages)
        self._refs: list[int] = []
        try:
            self._refs = memory.refs(pages)
            self._port, self._event, self._notify = xen.alloc_unbound(backend)
        except BaseException:
            memory.free([], self._refs)
            memory.free_contiguous(self._frames)
            raise
        self._stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # SHARED_RING_INIT: the backend may look as soon as it knows the reference.
        ring = ffi.buffer(memory.ram + self._frames[0] * PAGE_SIZE, pages * PAGE_SIZE)
        ring[:] = bytes(len(ring))
        ring[4:8] = ring[12:16] = b"\1\0\0\0"
        for ref, frame in zip(self._refs, self._frames, strict=True):
            memory.grant(ref, backend, frame)

    @property
    def published(self) -> Published:
        return Published(tuple(self._refs), self._port)

    @property
    def running(self) -> bool:
        return self._thread is not None

    @property
    def slots(self) -> int:
        """Requests the ring holds."""
        return int(lib.front_slots(self._front))

    def connect(self, disk: Any, book: Notebook, manners: Manners, *, queue: int, handle: int) -> None:
        """The disk, a ``front_disk`` of all its queues, is known: requests can be made."""
        setup = ffi.new("front_setup *")
        setup.ram = self._memory.ram
        setup.ring = self._memory.ram + self._frames[0] * PAGE_SIZE
        setup.ring_pages = len(self._frames)
        setup.x86_32 = manners.protocol == "x86_32-abi"
        setup.id_base, setup.id_step = manners.id_base, manners.id_step
        setup.keep_grants, setup.read_only_lists = manners.keep_grants, manners.read_only_lists
        setup.always_notifies, setup.yields = manners.always_notifies, manners.yields
        setup.from_page_start, setup.sync_barrier = manners.from_page_start, manners.sync_barrier
        setup.backend_domid = self._backend
        setup.event_fd, setup.notify_fd, setup.stop_fd = self._event, self._notify, self._stop
        setup.handle = handle & 0xFFFF
        setup.disk = disk
        setup.book = book.pointer
        setup.nr_notes = book.nr_notes
        setup.queue = queue
        self._front = lib.front_new(setup)
        if self._front == ffi.NULL:
            raise MemoryError("no memory for the ring's shadow")

    def provide(self, plan: Any) -> None:
        """Get what pages a ``front_load`` needs and are not there yet.  Only while none runs.  Raises OutOfMemory."""
        pages = pages_per_request(plan.block)
        if lib.front_reserve(self._front, plan.depth, pages):
            raise MemoryError("no memory for the lists of a request's pages")
        more = plan.depth * pages - lib.front_pages(self._front)
        if more <= 0:
            return
        frames = self._memory.frames(more)
        try:
            refs = self._memory.refs(more)
        except BaseException:
            self._memory.free(frames, [])
            raise
        if lib.front_add_pages(self._front, more, frames, refs):
            raise MemoryError("no memory for the list of pages")

    def run(self, plan: Any, what: int, ended: Callable[[int], None]) -> None:
        """FRONT_LOAD and so on; ``ended`` is called in the ring's thread with why it came back."""
        lib.front_order(self._front, lib.FRONT_GO)

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

    def leave(self) -> None:
        """Stop at once; ``ended`` comes soon."""
        if self._front:
            lib.front_order(self._front, lib.FRONT_LEAVE)

    def wake(self) -> None:
        """Look at the disk anew."""
        if self._front:
            lib.front_wake(self._front)

    def close(self) -> int:
        """blkif_free: leave the ring, end all access, unbind.  The number of pages the backend still has mapped."""
        self.leave()
        self.join()
        kept = self._free_data()
        kept += self._free_ring()
        self._xen.close_port(self._port)
        for fd in (self._event, self._notify, self._stop):
            os.close(fd)
        return kept

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
        freed = [ref for ref in self._refs if self._memory.revoke(ref)]
        if len(freed) == len(self._refs):
            self._memory.free_contiguous(self._frames)
        self._memory.free([], freed)
        return len(self._refs) - len(freed)
