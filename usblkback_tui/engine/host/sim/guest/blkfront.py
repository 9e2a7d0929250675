# SPDX-License-Identifier: MIT
"""Linux's block frontend: its half of the vbd handshake, as drivers/block/xen-blkfront.c does it.

backend says     we do, in our state
InitWait         Initialising: publish rings and ports, go to Initialised
Connected        before: connect, go to Connected; when connected: the size may have changed
Closing, Closed  give the disk up, go to Closed (see ``GuestOptions.closing``)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from usblkback_tui.engine.host.sim._sim import lib
from usblkback_tui.engine.host.sim.guest.features import Disk, gather
from usblkback_tui.engine.host.sim.guest.hypercalls import Hypercalls, Refused
from usblkback_tui.engine.host.sim.guest.memory import Memory, OutOfMemory
from usblkback_tui.engine.host.sim.guest.notebook import Notebook
from usblkback_tui.engine.host.sim.guest.queues import Queues
from usblkback_tui.engine.host.sim.guest.ring import Ring
from usblkback_tui.engine.host.sim.guest.transport import negotiate_pages, negotiate_queues, transport_keys
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.protocol.states import XenbusState
from usblkback_tui.protocol.vdev import vdev_name


class Machine(Protocol):
    """What a driver needs of the guest it runs in."""

    xen: Hypercalls
    memory: Memory
    options: GuestOptions

    def load_of(self, vdev: str) -> Load: ...

    def wants_load(self, vdev: str) -> bool: ...

    def ring_ended(self, driver: Blkfront, ring: Ring, why: int) -> None: ...


class Blkfront:
    """One vbd, from its probe to its removal."""

    def __init__(self, machine: Machine, devid: int) -> None:
        self.vdev = vdev_name(devid)
        self.devid = devid
        self.state = XenbusState.INITIALISING
        self.path = f"device/vbd/{devid}"
        self.token = f"vbd-{devid}"
        self.broken = False
        self._machine = machine
        self._xen = machine.xen
        self._queues: Queues | None = None
        self._disk: Disk | None = None
        self._book: Notebook | None = None
        self._leaving: XenbusState | None = None
        self._backend_id = self._xen.number(f"{self.path}/backend-id")
        self.backend = self._xen.read(f"{self.path}/backend") or ""
        if self.backend:
            self._xen.watch(f"{self.backend}/state", self.token)

    # Seen from the bus -----------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        return self.state is XenbusState.CONNECTED and not self.broken

    @property
    def running(self) -> bool:
        return self._queues is not None and self._queues.running

    def backend_changed(self) -> None:
        """blkback_changed: the backend wrote its state."""
        try:
            backend = XenbusState.parse(self._xen.read(f"{self.backend}/state"))
        except Refused:
            return
        try:
            self._follow(backend)
        except (Refused, OutOfMemory) as error:
            self._fatal(f"{error}")

    def _follow(self, backend: XenbusState) -> None:
        if backend is XenbusState.INIT_WAIT and self.state is XenbusState.INITIALISING:
            self._publish()
        elif backend is XenbusState.CONNECTED:
            if self.state is XenbusState.INITIALISING:
                self._publish()
            if self.state is XenbusState.INITIALISED:
                self._connect()
            elif self.state is XenbusState.CONNECTED:
                self._resize()
        elif backend in (XenbusState.CLOSING, XenbusState.CLOSED) and self.state is not XenbusState.CLOSED:
            self._close(backend)

    def remove(self) -> None:
        """blkfront_remove: the device is gone, or the driver starts anew."""
        self._free()
        if self.backend:
            try:
                self._xen.unwatch(f"{self.backend}/state", self.token)
            except Refused:
                pass

    def shutdown(self) -> None:
        """Before the guest ends: unmount, then Closing; the backend's answer brings Closed."""
        self._leaving = XenbusState.CLOSING
        if self.running:
            self.stop()
        else:
            self._left()

    # Load ------------------------------------------------------------------------------------------------------------

    def start(self, *, verify: bool = False) -> bool:
        """Make load, or read back what was written.  False when there is no disk or it is busy."""
        if not self.connected or self.running or self._queues is None or self._leaving is not None:
            return False
        try:
            self._queues.run(
                self._machine.load_of(self.vdev),
                verify=verify,
                ended=lambda ring, why: self._machine.ring_ended(self, ring, why),
            )
        except OutOfMemory as error:
            self._xen.log(f"blkfront: {self.vdev}: no load: {error}")
            return False
        return True

    def stop(self) -> None:
        """Let the load end; ``ended`` follows."""
        if self._queues:
            self._queues.drain()

    def ended(self, ring: Ring, why: int) -> None:
        """A ring's thread came back."""
        if self._queues is None or ring not in self._queues:
            return
        ring.join()
        if why == lib.FRONT_BROKEN and not self.broken:
            self.broken = True
            self._queues.leave()
            self._xen.log(f"blkfront: {self.vdev}: the backend broke the protocol, disabled for further use")
        if self._leaving is not None and not self.running:
            self._left()

    # The handshake ---------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        """talk_to_blkback."""
        options = self._machine.options
        if options.max_queues > options.vcpus:
            self._xen.log(
                f"xen_blkfront: Invalid max_queues ({options.max_queues}), will use default max: {options.vcpus}"
            )
        self._queues = queues = Queues(
            self._xen,
            self._machine.memory,
            self._backend_id,
            count=negotiate_queues(self._xen, self.backend, options),
            pages=negotiate_pages(self._xen, self.backend, options),
        )
        keys = transport_keys(queues.published, options)
        self._switch(XenbusState.INITIALISED, {f"{self.path}/{key}": value for key, value in keys.items()})

    def _connect(self) -> None:
        """blkfront_connect."""
        if self._queues is None:
            return
        try:
            self._disk = disk = gather(self._xen, self.backend, self._machine.options)
        except ValueError as error:
            self._fatal(f"reading backend fields at {self.backend}: {error}")
            return
        identity = f"{self._xen.read(f'{self.backend}/params')}"
        self._book = Notebook(self._xen.notebook(self.devid), identity)
        x86_32 = self._machine.options.protocol == "x86_32-abi"
        self._queues.connect(disk, self._book, x86_32=x86_32, handle=self.devid)
        self._switch(XenbusState.CONNECTED)
        self._xen.log(f"blkfront: {self.vdev}: {disk}")
        if self._machine.wants_load(self.vdev):
            self.start()

    def _resize(self) -> None:
        """Connected was written again: the size is another one."""
        sectors = self._xen.number(f"{self.backend}/sectors")
        if self._queues is None or self._disk is None or sectors in (0, self._disk.sectors):
            return
        self._xen.log(f"blkfront: {self.vdev}: setting capacity to {sectors}")
        self._disk = replace(self._disk, sectors=sectors)
        self._queues.resize(sectors)

    def _close(self, backend: XenbusState) -> None:
        """blkfront_closing."""
        how = self._machine.options.closing
        if self.state is XenbusState.CLOSING and self._leaving is None and backend is XenbusState.CLOSING:
            return
        if self.running and backend is XenbusState.CLOSING and how != "dead":
            if self._leaving is None and how == "busy":
                self._error("16 Device in use; refusing to close")
                self._switch(XenbusState.CLOSING)
            self._leaving = XenbusState.CLOSED
            if how == "unmounted":
                self.stop()
            return
        if self.running:
            self.stop()
        self._leaving = self._leaving or XenbusState.CLOSED
        self._switch(XenbusState.CLOSED)

    def _left(self) -> None:
        """The load is over and the disk was to be left: say so."""
        if self.state is not XenbusState.CLOSED and self._leaving is not None:
            self._switch(self._leaving)

    # Little things ---------------------------------------------------------------------------------------------------

    def _switch(self, state: XenbusState, keys: dict[str, str] | None = None) -> None:
        """xenbus_switch_state, with other keys in the same transaction."""
        try:
            if self._xen.read(f"{self.path}/state") is None:
                return
            self._xen.write((keys or {}) | {f"{self.path}/state": str(int(state))})
            self.state = state
        except Refused as refused:  # the directory may go at any time
            self._xen.log(f"vbd vbd-{self.devid}: writing new state {state.word}: {refused}")

    def _error(self, text: str) -> None:
        self._xen.log(f"vbd vbd-{self.devid}: {text}")
        try:
            self._xen.write({f"error/{self.path}/error": text})
        except Refused:
            pass

    def _fatal(self, text: str) -> None:
        """xenbus_dev_fatal."""
        self._error(f"22 {text}")
        self._switch(XenbusState.CLOSING)

    def _free(self) -> None:
        queues, self._queues = self._queues, None
        if queues:
            kept = queues.close()
            if kept:
                self._xen.log(f"xen:grant_table: WARNING: {kept} grants of {self.vdev} still in use! deferring")
        if self._book:
            self._book.close()
            self._book = None
