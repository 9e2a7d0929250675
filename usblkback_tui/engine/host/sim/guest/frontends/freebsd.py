# SPDX-License-Identifier: MIT
"""FreeBSD's xbd.

    backend says             it does
    InitWait, Initialised    publish, one key after another, and go to Initialised, if it has not
    Connected                the same, then read the disk and go to Connected
    Closing                  Closing, destroy the disk, Closed; while it is open it refuses until the last close

Ring pages are taken by both schemes of keys, and both are written. Source: FreeBSD, sys/dev/xen/blkfront/blkfront.c
(xbd_initialize, xbd_alloc_ring, xbd_connect, xbd_backend_changed, xbd_closing), before it took indirect segments.
"""

from __future__ import annotations

from usblkback_tui.engine.host.sim.guest.frontends.base import Frontend, Part, port_key, ring_keys
from usblkback_tui.engine.host.sim.guest.frontends.steps import Heard, Script, Stop, What, Write
from usblkback_tui.protocol.blkif import SEGMENTS_DIRECT, ring_slots
from usblkback_tui.protocol.states import XenbusState as S

MAX_RING_PAGES = 8
"""XBD_MAX_RING_PAGES for 256 requests."""


class FreeBsd(Frontend):
    """Neither persistent grants nor discards."""

    name = "freebsd"
    knows = frozenset({"flush", "barrier"})

    def life(self) -> Script:
        yield from self.switch(S.INITIALISING)
        connected = leaving = False
        while True:
            heard = yield from self.listen()
            if heard.what is What.LEAVE:
                leaving = True
                yield Stop()
            elif heard.backend in (S.INIT_WAIT, S.INITIALISED, S.CONNECTED) and not leaving:
                if self.state is S.INITIALISING:
                    yield from self._initialize()
                if heard.backend is S.CONNECTED and not connected:
                    connected = True
                    yield from self._connect()
            elif (heard.backend is S.CLOSING or leaving) and (yield from self._closing(heard)):
                return

    def _initialize(self) -> Script:
        order = yield from self.number("max-ring-page-order")
        offered = max((yield from self.number("max-ring-pages", 1 << order)), 1)
        pages = 1 << (min(offered, MAX_RING_PAGES).bit_length() - 1)
        (queue,) = yield from self.make_rings(1, pages)
        keys = ring_keys(queue)
        if pages > 1:
            keys |= {"num-ring-pages": str(pages), "ring-page-order": str(pages.bit_length() - 1)}
        keys |= {
            "max-requests": str(ring_slots(pages, "x86_64-abi")),
            "max-request-segments": str(SEGMENTS_DIRECT),
            "max-request-size": str((SEGMENTS_DIRECT - 1) * 4096),
        }
        yield from self.write_each(keys | port_key(queue) | {"protocol": "x86_64-abi"})
        yield from self.switch(S.INITIALISED)

    def _connect(self) -> Script:
        disk = yield from self.read_disk()
        yield from self.use(disk, S.CONNECTED)

    def _closing(self, heard: Heard) -> Part[bool]:
        """The ring stays granted until the device goes."""
        if heard.busy:
            yield Write({f"error/{self.place.front}/error": "16 Device in use; refusing to close"})
            return False
        yield from self.switch(S.CLOSING)
        yield from self.switch(S.CLOSED)
        return True
