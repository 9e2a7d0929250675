# SPDX-License-Identifier: MIT
"""All queues of one disk: they are made, loaded, stopped and given up together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.guest.disk import Disk, Manners
from usblkback_tui.engine.host.sim.guest.frontends.steps import Published
from usblkback_tui.engine.host.sim.guest.hypercalls import Hypercalls
from usblkback_tui.engine.host.sim.guest.memory import Memory
from usblkback_tui.engine.host.sim.guest.notebook import Notebook
from usblkback_tui.engine.host.sim.guest.plan import flush_plan, load_plans, verify_plans
from usblkback_tui.engine.host.sim.guest.ring import Ring
from usblkback_tui.engine.host.sim.load import Load
from usblkback_tui.protocol.blkif import SECTOR


class Queues:
    """Rings from the start; requests can be made once the disk is known."""

    def __init__(self, xen: Hypercalls, memory: Memory, backend: int, *, count: int, pages: int) -> None:
        """Raises OutOfMemory or Refused."""
        self._rings: list[Ring] = []
        try:
            for _ in range(count):
                self._rings.append(Ring(xen, memory, backend, pages))
        except BaseException:
            self.close()
            raise

    @property
    def published(self) -> tuple[Published, ...]:
        return tuple(ring.published for ring in self._rings)

    @property
    def running(self) -> bool:
        return any(ring.running for ring in self._rings)

    def connect(self, disk: Disk, book: Notebook, manners: Manners, handle: int) -> None:
        """The disk is known."""
        self._disk = disk
        self._depth = manners.depth
        self._book = book
        self._shared: Any = ffi.new("front_disk *")  # lives as long as the rings, which look at it
        self._shared.sectors = disk.sectors
        self._shared.flush, self._shared.barrier = disk.flush, disk.barrier
        self._shared.discard, self._shared.secure = disk.discard, disk.secure
        self._shared.unit = disk.unit
        self._shared.discard_granularity = disk.discard_granularity // SECTOR
        self._shared.discard_alignment = disk.discard_alignment // SECTOR
        self._shared.read_only, self._shared.persistent = disk.read_only, disk.persistent
        book.connected(len(self._rings))
        for number, ring in enumerate(self._rings):
            ring.connect(self._shared, book, manners, queue=number, handle=handle)

    def resize(self, sectors: int) -> None:
        """The disk has another size from now on, also for a running load."""
        lib.front_resize(self._shared, sectors)
        for ring in self._rings:
            ring.wake()

    def run(self, load: Load, *, verify: bool, ended: Callable[[Ring, int], None]) -> None:
        """Make load, or read everything back; ``ended`` is called in each ring's thread with why it came back.

        Raises OutOfMemory, and then nothing runs.
        """
        self._book.use_granule(load.block_bytes)
        count, granule = len(self._rings), self._book.granule
        slots = min(self._rings[0].slots, self._depth or self._rings[0].slots)
        plans = (
            verify_plans(load, granule, count, slots) if verify else load_plans(load, self._disk, granule, count, slots)
        )
        work = list(zip(self._rings, plans, strict=False))
        for ring, plan in work:
            ring.provide(plan)
        for ring, plan in work:
            ring.run(plan, lib.FRONT_VERIFY if verify else lib.FRONT_LOAD, _told(ended, ring))

    def flush(self, ended: Callable[[Ring, int], None]) -> None:
        """Have what was written made durable, on one queue; ``ended`` as in :meth:`run`."""
        ring = self._rings[0]
        ring.run(flush_plan(self._book.granule), lib.FRONT_FLUSH, _told(ended, ring))

    def drain(self) -> None:
        """Make no new requests; the rings end when all are answered."""
        for ring in self._rings:
            ring.drain()

    def leave(self) -> None:
        """Stop at once, whatever is under way."""
        for ring in self._rings:
            ring.leave()

    def abandon(self) -> None:
        """Stop at once and leave everything as it is: pages stay granted, ports open."""
        for ring in self._rings:
            ring.leave()
            ring.join()

    def __contains__(self, ring: Ring) -> bool:
        return ring in self._rings

    def close(self) -> int:
        """blkif_free.  The number of pages the backend still has mapped."""
        self.leave()
        kept = sum(ring.close() for ring in self._rings)
        self._rings.clear()
        return kept


def _told(ended: Callable[[Ring, int], None], ring: Ring) -> Callable[[int], None]:
    return lambda why: ended(ring, why)
