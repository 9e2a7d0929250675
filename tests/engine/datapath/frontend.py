# SPDX-License-Identifier: MIT
"""A guest played by hand: memory, a grant table, a ring and an event channel on the embedded hypervisor.

It writes any bytes anywhere, as a hostile guest would; ``submit`` and ``collect`` are the well-behaved way.
"""

from __future__ import annotations

import itertools
import mmap
import os
import select
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.engine.datapath.layouts import LAYOUTS, Response, Segment
from usblkback_tui.engine.host.sim import Hypervisor
from usblkback_tui.engine.host.sim.domains import GRANT_PAGES
from usblkback_tui.protocol.blkif import PAGE, RING_HEADER, ring_slots
from usblkback_tui.protocol.ring import MASK, distance, wants_notify

PERMIT, READONLY, READING, WRITING = 1, 4, 8, 16
"""Flags of a version 1 grant entry; the last two are set by the hypervisor while the page is mapped."""

REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT = 0, 4, 8, 12
FIRST_REF = 8

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Page:
    """A frame of the guest and the reference it is granted as."""

    ref: int
    frame: int


class Frontend:
    """A domain with one ring whose indices start at ``start``."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        *,
        protocol: str = "x86_64-abi",
        ring_pages: int = 1,
        memory_mib: int = 4,
        start: int = 0,
    ) -> None:
        self.layout = LAYOUTS[protocol]
        self.slots = ring_slots(ring_pages, protocol)
        self._hypervisor = hypervisor
        self.domain = hypervisor.create(f"bare-{next(_numbers)}", memory_mib=memory_mib)
        self.memory = mmap.mmap(self.domain.memory, self.domain.pages * PAGE)
        # frames from the end, so that pages of a request that lie side by side here do not do so in the guest
        self._frames = iter(range(self.domain.pages - 1, GRANT_PAGES + ring_pages - 1, -1))
        self._refs = itertools.count(FIRST_REF)
        self.ring_frame = GRANT_PAGES
        self.ring_refs = [self.grant(self.ring_frame + i) for i in range(ring_pages)]
        self._ring = self.ring_frame * PAGE
        self.port, self.event = self.domain.alloc_unbound(0)
        self._poll = select.poll()
        self._poll.register(self.event.to_guest, select.POLLIN)
        self.prod = self.cons = start
        for offset in (REQ_PROD, RSP_PROD):
            self.set_index(offset, start)
        for offset in (REQ_EVENT, RSP_EVENT):
            self.set_index(offset, start + 1)

    def close(self) -> None:
        """The domain ends."""
        self.memory.close()
        self._hypervisor.destroy(self.domain.domid)

    # Memory and grants -----------------------------------------------------------------------------------------------

    def page(self, data: bytes = b"", *, readonly: bool = False) -> Page:
        """A fresh frame that holds ``data``, granted to us."""
        frame = next(self._frames)
        self.write(frame, data)
        return Page(self.grant(frame, readonly=readonly), frame)

    def pages(self, data: bytes, *, readonly: bool = False) -> list[Page]:
        """As many pages as ``data`` needs."""
        return [self.page(data[i : i + PAGE], readonly=readonly) for i in range(0, len(data), PAGE)]

    def grant(self, frame: int, *, readonly: bool = False, domid: int = 0, ref: int | None = None) -> int:
        """Grant a frame; the reference."""
        ref = next(self._refs) if ref is None else ref
        self.entry(ref, PERMIT | (READONLY if readonly else 0), domid, frame)
        return ref

    def entry(self, ref: int, flags: int, domid: int, frame: int) -> None:
        """Write any grant entry."""
        self.memory[ref * 8 : ref * 8 + 8] = struct.pack("<HHI", flags, domid, frame)

    def in_use(self, ref: int) -> int:
        """READING and WRITING of an entry: whether the hypervisor says it is mapped."""
        return int(struct.unpack_from("<H", self.memory, ref * 8)[0]) & (READING | WRITING)

    def write(self, frame: int, data: bytes, offset: int = 0) -> None:
        at = frame * PAGE + offset
        self.memory[at : at + len(data)] = data

    def read(self, frame: int, offset: int = 0, length: int = PAGE) -> bytes:
        at = frame * PAGE + offset
        return self.memory[at : at + length]

    def contents(self, pages: Sequence[Page]) -> bytes:
        return b"".join(self.read(page.frame) for page in pages)

    # The ring --------------------------------------------------------------------------------------------------------

    def index(self, offset: int) -> int:
        return int(struct.unpack_from("<I", self.memory, self._ring + offset)[0])

    def set_index(self, offset: int, value: int) -> None:
        at = self._ring + offset
        self.memory[at : at + 4] = struct.pack("<I", value & MASK)

    def slot_at(self, number: int) -> int:
        """Where in guest memory the slot of a free-running index is."""
        return self._ring + RING_HEADER + number % self.slots * self.layout.slot

    def push(self, *requests: bytes) -> None:
        """Put requests on the ring and publish them together, without an event."""
        for request in requests:
            at = self.slot_at(self.prod)
            self.memory[at : at + len(request)] = request
            self.prod = (self.prod + 1) & MASK
        self.set_index(REQ_PROD, self.prod)

    def kick(self) -> None:
        os.eventfd_write(self.event.to_backend, 1)

    def submit(self, *requests: bytes) -> None:
        """Push, and send an event if and only if the backend asked for one."""
        old = self.prod
        self.push(*requests)
        if wants_notify(old, self.prod, self.index(REQ_EVENT)):
            self.kick()

    def events(self) -> int:
        """Events the backend sent us since the last look."""
        try:
            return os.eventfd_read(self.event.to_guest)
        except BlockingIOError:
            return 0

    def take(self) -> list[Response]:
        """The responses that are there now."""
        responses = []
        while self.cons != self.index(RSP_PROD):
            assert distance(self.index(RSP_PROD), self.cons) <= self.slots, "more responses than requests"
            at = self.slot_at(self.cons)
            responses.append(self.layout.parse_response(self.memory[at : at + self.layout.response]))
            self.cons = (self.cons + 1) & MASK
        return responses

    def collect(self, count: int, timeout: float = 60.0) -> list[Response]:
        """Wait for ``count`` responses as a frontend does: ask for one event with the last of them, look, sleep."""
        deadline = time.monotonic() + timeout
        responses = self.take()
        while len(responses) < count:
            self.set_index(RSP_EVENT, self.cons + count - len(responses))
            if self.cons == self.index(RSP_PROD):
                assert self._poll.poll(max(deadline - time.monotonic(), 0) * 1000), (
                    f"{len(responses)} of {count} responses came, and no event for more"
                )
                self.events()
            responses += self.take()
        assert len(responses) == count, f"{len(responses)} responses to {count} requests"
        return responses

    def do(self, *requests: bytes) -> list[Response]:
        """Submit requests, no more at once than the ring holds; all responses."""
        responses = []
        for i in range(0, len(requests), self.slots):
            some = requests[i : i + self.slots]
            self.submit(*some)
            responses += self.collect(len(some))
        return responses

    # Requests --------------------------------------------------------------------------------------------------------

    def indirect(self, op: int, ident: int, sector: int, segments: Sequence[Segment]) -> bytes:
        """An indirect request with its descriptor pages, granted read-only."""
        packed = b"".join(segment.pack() for segment in segments)
        described = self.pages(packed, readonly=True)
        return self.layout.indirect(op, ident, sector, len(segments), [page.ref for page in described])


def whole(pages: Sequence[Page]) -> list[Segment]:
    """Segments over all of each page."""
    return [Segment(page.ref) for page in pages]
