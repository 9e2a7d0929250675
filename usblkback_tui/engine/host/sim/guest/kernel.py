# SPDX-License-Identifier: MIT
"""The guest's kernel: one loop over what the hypervisor says and what the rings report, and the orders it obeys."""

from __future__ import annotations

import os
import queue
import selectors
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from usblkback_tui.engine.host.sim.guest.driver import Driver
from usblkback_tui.engine.host.sim.guest.frontends.steps import What
from usblkback_tui.engine.host.sim.guest.hypercalls import Hypercalls, Refused
from usblkback_tui.engine.host.sim.guest.memory import Memory
from usblkback_tui.engine.host.sim.guest.ring import Ring
from usblkback_tui.engine.host.sim.guest.xenbus import Xenbus
from usblkback_tui.engine.host.sim.load import GuestOptions, Load

POLL_SECONDS = 0.001
"""Between two looks of a driver that waits by looking."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An order that is answered when all its disks are at rest."""

    order: int
    drivers: tuple[Driver, ...]
    at_rest: Callable[[Driver], bool]


class Kernel:
    """The machine that drivers run in."""

    def __init__(self, xen: Hypercalls, memory: Memory, options: GuestOptions, loads: dict[str, Load]) -> None:
        self.xen = xen
        self.memory = memory
        self.options = options
        self._loads = loads
        self._running = {"*"} if options.autostart else set[str]()
        self._stopped: set[str] = set()
        self._bus = Xenbus(self)
        self._ended: queue.SimpleQueue[tuple[Driver, Ring, int]] = queue.SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._waiting: list[_Waiting] = []
        self._over = False

    # For the drivers -------------------------------------------------------------------------------------------------

    def load_of(self, vdev: str) -> Load:
        return self._loads.get(vdev) or self._loads.get("*") or Load()

    def wants_load(self, vdev: str) -> bool:
        return vdev not in self._stopped and bool(self._running & {vdev, "*"})

    def ring_ended(self, driver: Driver, ring: Ring, why: int) -> None:
        """From a ring's thread."""
        self._ended.put((driver, ring, why))
        os.eventfd_write(self._wake, 1)

    # The loop --------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until shut down.  Raises Gone when the hypervisor ends first."""
        selector = selectors.DefaultSelector()
        selector.register(self.xen, selectors.EVENT_READ)
        selector.register(self._wake, selectors.EVENT_READ)
        self._bus.start()
        while not self._over:
            polling = any(driver.polls for driver in self._bus.drivers.values())
            if not self.xen.news:
                for key, _ in selector.select(POLL_SECONDS if polling else None):
                    if key.fileobj is self.xen:
                        self.xen.news.append(self.xen.receive()[0])
                    else:
                        os.eventfd_read(self._wake)
            while self.xen.news:
                self._hear(self.xen.news.popleft())
                self._go_on()
            while not self._ended.empty():
                driver, ring, why = self._ended.get()
                driver.ended(ring, why)
            self._go_on()
            self._answer()

    def _go_on(self) -> None:
        for driver in tuple(self._bus.drivers.values()):
            driver.go_on()

    def _hear(self, message: dict[str, Any]) -> None:
        if "watch" in message:
            self._bus.fired(message["watch"][1])
        elif "order" in message:
            try:
                self._obey(message["order"], message["do"], message["args"])
            except (Refused, ValueError) as error:
                self.xen.done(message["order"], error=str(error))

    def _answer(self) -> None:
        for waiting in tuple(self._waiting):
            if all(waiting.at_rest(driver) for driver in waiting.drivers):
                self._waiting.remove(waiting)
                self.xen.done(waiting.order)

    # Orders ----------------------------------------------------------------------------------------------------------

    def _obey(self, order: int, what: str, args: dict[str, Any]) -> None:
        vdev: str | None = args.get("vdev")
        drivers = tuple(self._bus.named(vdev))
        match what:
            case "load":
                self._loads[vdev or "*"] = Load(**args["load"])
                if vdev is None:
                    self._loads = {"*": self._loads["*"]}
                self.xen.done(order)
            case "start":
                self._running.add(vdev or "*")
                self._stopped = self._stopped - {vdev} if vdev else set()
                for driver in drivers:
                    driver.start()
                self.xen.done(order)
            case "stop":
                if vdev:
                    self._stopped.add(vdev)
                else:
                    self._running.clear()
                for driver in drivers:
                    driver.stop()
                self._waiting.append(_Waiting(order, drivers, _idle))
            case "verify":
                refused = [driver.vdev for driver in drivers if not driver.start(verify=True)]
                if refused or not drivers:
                    names = ", ".join(refused) or vdev or "no disk"
                    raise ValueError(f"cannot read back {names}: it is not connected, or busy")
                self._waiting.append(_Waiting(order, drivers, _idle))
            case "shutdown":
                alive = tuple(driver for driver in drivers if driver.connected or driver.running)
                for driver in alive:
                    driver.hear(What.LEAVE)
                self._waiting.append(_Waiting(order, alive, _at_rest))
            case "leave":
                self._waiting.append(_Waiting(order, drivers, _at_rest))
                for driver in drivers:
                    driver.hear(What.LEAVE)
            case "restart":
                for driver in drivers:
                    self._bus.restart(driver)
                self.xen.done(order)
            case "halt":
                self._over = True
                self.xen.done(order)
            case _:
                raise ValueError(f"no such order: {what}")


def _idle(driver: Driver) -> bool:
    return not driver.running


def _at_rest(driver: Driver) -> bool:
    return driver.at_rest
