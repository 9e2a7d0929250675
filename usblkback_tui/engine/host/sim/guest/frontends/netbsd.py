# SPDX-License-Identifier: MIT
"""NetBSD's xbd.

It publishes its ring as soon as it finds the device, whatever the backend says. Closing is answered with Closed once
all requests are; when the backend is Closed the device goes, after its ring is no longer mapped. States of
reconfiguration are a panic. Source: NetBSD, sys/arch/xen/xen/xbd_xenbus.c (xbd_xenbus_resume, xbd_backend_changed,
xbd_xenbus_detach), sys/arch/xen/xenbus/xenbus_probe.c (otherend_changed, xenbus_free_device).
"""

from __future__ import annotations

from usblkback_tui.engine.host.sim.guest.frontends.base import Frontend, port_key, ring_keys
from usblkback_tui.engine.host.sim.guest.frontends.steps import Failed, FreeRings, Heard, Script, What
from usblkback_tui.protocol.states import XenbusState as S


class NetBsd(Frontend):
    """One queue of one page, flushes but no barriers."""

    name = "netbsd"
    knows = frozenset({"flush"})

    def life(self) -> Script:
        (queue,) = yield from self.make_rings()
        yield from self.write(ring_keys(queue) | port_key(queue) | {"protocol": "x86_64-abi"})
        yield from self.switch(S.INITIALISED)
        while True:
            heard = yield from self.listen()
            if heard.what is What.LEAVE:
                yield from self.drain()
                yield from self.switch(S.CLOSING)
            elif heard.what is What.BACKEND and heard.backend is S.CLOSED:
                yield FreeRings()
                yield from self.switch(S.CLOSED)
                return
            elif heard.what is What.BACKEND:
                yield from self._follow(heard)

    def _follow(self, heard: Heard) -> Script:
        """xbd_backend_changed."""
        if heard.backend >= S.RECONFIGURING:
            raise Failed(f"panic: bad backend state {heard.backend.value}")
        if heard.backend is S.CLOSING and self.state is not S.CLOSED:
            yield from self.drain()
            yield from self.switch(S.CLOSED)
        elif heard.backend is S.CONNECTED and self.state is S.INITIALISED:
            disk = yield from self.read_disk()
            yield from self.use(disk, S.CONNECTED)
