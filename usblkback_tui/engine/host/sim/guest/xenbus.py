# SPDX-License-Identifier: MIT
"""The bus of vbds: finds devices in the store, gives each a driver, tells it of its backend and takes it away."""

from __future__ import annotations

from usblkback_tui.engine.host.sim.guest.driver import Driver, Machine
from usblkback_tui.engine.host.sim.guest.frontends import FRONTENDS
from usblkback_tui.engine.host.sim.guest.frontends.steps import What
from usblkback_tui.protocol.states import XenbusState

TOKEN = "frontend-bus"


class Xenbus:
    """Watches ``device`` in our own directory; any event means to look at all of it again."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._frontend = FRONTENDS[machine.options.frontend]
        self.drivers: dict[int, Driver] = {}

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
                driver.hear(What.BACKEND)

    def named(self, vdev: str | None) -> list[Driver]:
        """The drivers of one vdev, or all."""
        return [driver for driver in self.drivers.values() if vdev in (None, driver.vdev)]

    def restart(self, driver: Driver) -> None:
        """Another driver boots on the device, which finds it as it is; nobody has told the backend."""
        driver.abandon()
        del self.drivers[driver.devid]
        state = XenbusState.parse(self._machine.xen.read(f"{driver.path}/state"))
        if state in self._frontend.probes:
            self._probe(driver.devid)

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
                if driver.state is XenbusState.INITIALISING and driver.told == backend:
                    continue
                driver.remove()
            self._probe(devid)

    def _probe(self, devid: int) -> None:
        self.drivers[devid] = Driver(self._machine, devid, self._frontend)
