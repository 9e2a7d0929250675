# SPDX-License-Identifier: MIT
"""illumos' xdf.

It looks for its backend below ``backend/vbd`` of the domain in ``backend-id`` and does not read ``backend``, so it
finds no disk of another kind. It publishes its ring at once. Closing is refused while the disk is open, without a
word in the store; Closed ends the connection, and a backend that goes back to Initialising is connected to again.
Source: illumos-gate, usr/src/uts/common/xen/io/xdf.c (xdf_start_connect, xdf_post_connect, xdf_oe_change) and
os/xvdi.c.
"""

from __future__ import annotations

from usblkback_tui.engine.host.sim.guest.disk import Manners
from usblkback_tui.engine.host.sim.guest.frontends.base import Frontend, port_key, ring_keys
from usblkback_tui.engine.host.sim.guest.frontends.steps import FreeRings, Heard, Say, Script, Stop, What
from usblkback_tui.protocol.states import XenbusState as S


class Illumos(Frontend):
    """It asks for a flush by trying one, if barriers are offered."""

    name = "illumos"
    knows = frozenset({"flush", "barrier"})

    @property
    def manners(self) -> Manners:
        return Manners(id_base=0xFFFF_FF01_D0A0_0000, id_step=0x80)

    @classmethod
    def backend_path(cls, told: str, backend: int, domid: int, devid: int) -> str:
        return f"/local/domain/{backend}/backend/vbd/{domid}/{devid}"

    def life(self) -> Script:
        yield from self._start_connect()
        leaving = False
        while True:
            heard = yield from self.listen()
            if heard.what is What.LEAVE:
                leaving = True
                yield Stop()
            elif heard.what is What.ENDED:
                if leaving and not heard.busy:
                    yield from self.switch(S.CLOSED)
            elif heard.backend is S.CLOSED:
                yield from self._closed()
                if leaving:
                    return
            elif not leaving:
                yield from self._follow(heard)

    def _start_connect(self) -> Script:
        (queue,) = yield from self.make_rings()
        yield from self.switch(S.INITIALISED, ring_keys(queue) | port_key(queue) | {"protocol": "x86_64-abi"})

    def _follow(self, heard: Heard) -> Script:
        """xdf_oe_change."""
        if heard.backend is S.INITIALISING and self.state is S.CLOSED:
            yield from self._start_connect()
        elif heard.backend is S.CONNECTED and self.state is S.INITIALISED:
            yield from self.switch(S.CONNECTED)
            disk = yield from self.read_disk(("sectors", "info"))
            yield from self.use(disk)
        elif heard.backend is S.CLOSING and self.state is not S.CLOSED:
            if heard.busy:
                yield Say(f"xdf@{self.place.devid}: hot-unplug failed, still in use")
            else:
                yield from self.switch(S.CLOSED)

    def _closed(self) -> Script:
        if self.state is S.CONNECTED:
            yield from self.switch(S.CLOSED)
        yield FreeRings()
