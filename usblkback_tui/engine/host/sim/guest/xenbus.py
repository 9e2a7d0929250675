# SPDX-License-Identifier: MIT
"""Linux's frontend bus: finds devices in the store, probes drivers, tells them of their backend and takes them away."""

from __future__ import annotations

from usblkback_tui.engine.host.sim.guest.blkfront import Blkfront, Machine
from usblkback_tui.protocol.states import XenbusState

TOKEN = "frontend-bus"


class Xenbus:
    """Watches ``device`` in our own directory; any event means to look at all of it again."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.drivers: dict[int, Blkfront] = {}

    def start(self) -> None:
        """From now on devices come and go."""
        self._machine.xen.watch("device", TOKEN)

    def fired(self, token: str) -> None:
        """A watch of ours fired."""
        if token == TOKEN:
            self._scan()
            return
        for driver in tuple(self.drivers.values()):
            if driver.token == token:
                driver.backend_changed()

    def named(self, vdev: str | None) -> list[Blkfront]:
        """The drivers of one vdev, or all."""
        return [driver for driver in self.drivers.values() if vdev in (None, driver.vdev)]

    def _scan(self) -> None:
        xen = self._machine.xen
        present = {int(name) for name in xen.list("device/vbd") if name.isdecimal()}
        for devid in set(self.drivers) - present:
            self.drivers.pop(devid).remove()
        for devid in sorted(present):
            if XenbusState.parse(xen.read(f"device/vbd/{devid}/state")) is not XenbusState.INITIALISING:
                continue  # xenbus_probe_node: only a new device is probed
            driver = self.drivers.get(devid)
            if driver is not None:
                backend = xen.read(f"device/vbd/{devid}/backend") or ""
                if driver.state is XenbusState.INITIALISING and driver.backend == backend:
                    continue
                driver.remove()
            self.drivers[devid] = driver = Blkfront(self._machine, devid)
