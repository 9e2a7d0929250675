# SPDX-License-Identifier: MIT
"""mini-os' block frontend, which U-Boot's, OVMF's and PV-GRUB's come from.

It does not wait for InitWait but goes straight to Connected, and waits for the backend to be there. When it leaves it
flushes, closes step by step, and hands the device on as new. Source: mini-os, blkfront.c (init_blkfront,
shutdown_blkfront, blkfront_sync).
"""

from __future__ import annotations

from usblkback_tui.engine.host.sim.guest.disk import Disk, Manners
from usblkback_tui.engine.host.sim.guest.frontends.base import ANY, Frontend, Part, port_key, ring_keys
from usblkback_tui.engine.host.sim.guest.frontends.steps import Failed, FreeRings, Script
from usblkback_tui.protocol.states import XenbusState as S


class MiniOs(Frontend):
    """One queue of one page, 11 pages in a request."""

    name = "minios"
    probes = ANY
    knows = frozenset({"flush", "barrier"})
    protocol = "x86_64-abi"

    @property
    def manners(self) -> Manners:
        return Manners(protocol=self.protocol, id_base=0x7F00_0010, id_step=0x90, sync_barrier=True)

    def life(self) -> Script:
        disk = yield from self.connect()
        yield from self.use(disk)
        yield from self.until_told()
        yield from self.leave()

    def connect(self) -> Part[Disk]:
        """A ring, Connected in the same transaction, then the backend's turn."""
        (queue,) = yield from self.make_rings()
        yield from self.switch(S.CONNECTED, ring_keys(queue) | port_key(queue) | {"protocol": self.protocol})
        if (yield from self.back("mode")) is None:
            raise Failed("the backend's mode cannot be read")
        yield from self.await_backend(S.CONNECTED)
        return (yield from self.read_disk(("info", "sectors", "sector-size")))

    def await_backend(self, wanted: S) -> Script:
        """Any state below is waited out; more than Connected is no Connected."""
        found = yield from self.wait(lambda state: state >= wanted)
        if wanted is S.CONNECTED and found is not wanted:
            raise Failed(f"backend not available, state={found.value}")

    def leave(self) -> Script:
        """shutdown_blkfront."""
        yield from self.sync()
        yield from self.switch(S.CLOSING)
        yield from self.await_backend(S.CLOSING)
        yield from self.switch(S.CLOSED)
        yield from self.await_backend(S.CLOSED)
        yield from self.switch(S.INITIALISING)
        yield from self.wait(lambda state: S.INIT_WAIT <= state < S.CLOSED)
        yield from self.erase("ring-ref", "event-channel")
        yield FreeRings()
