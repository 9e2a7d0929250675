# SPDX-License-Identifier: MIT
"""GRUB's xendisk, of its images for PV and PVH guests.

It writes its keys one by one and its state Initialised, and polls: while the backend is InitWait it waits, anything
else ends the wait, so a backend that is not yet there or not yet done makes it read a size that is not there. It
never goes to Connected. All its requests use one page, granted once, with id 0, and each is followed by an event.
When it leaves it goes straight to Closed and polls for exactly Closed. Source: GRUB, grub-core/disk/xen/xendisk.c.
"""

from __future__ import annotations

from usblkback_tui.engine.host.sim.guest.disk import Manners
from usblkback_tui.engine.host.sim.guest.frontends.base import ANY, Frontend, port_key, ring_keys
from usblkback_tui.engine.host.sim.guest.frontends.steps import FreeRings, Script
from usblkback_tui.protocol.states import XenbusState as S


class Grub(Frontend):
    """The image for 32-bit PV guests, with the layout of x86_32."""

    name = "grub"
    probes = ANY
    spins = True
    protocol = "x86_32-abi"

    @property
    def manners(self) -> Manners:
        return Manners(
            protocol=self.protocol,
            depth=1,
            id_step=0,
            keep_grants=True,
            always_notifies=True,
            yields=True,
            from_page_start=True,
        )

    def life(self) -> Script:
        (queue,) = yield from self.make_rings()
        yield from self.write_each(ring_keys(queue) | port_key(queue) | {"protocol": self.protocol})
        yield from self.switch(S.INITIALISED)
        yield from self.wait(lambda state: state is not S.INIT_WAIT)
        disk = yield from self.read_disk(("sectors", "sector-size"), segments=1)
        yield from self.use(disk)
        yield from self.until_told()
        yield from self.drain()
        yield from self.switch(S.CLOSED)
        yield from self.wait(lambda state: state in (S.CLOSED, S.UNKNOWN))
        yield from self.erase("ring-ref", "event-channel")
        yield FreeRings()
        yield from self.switch(S.INITIALISING)
