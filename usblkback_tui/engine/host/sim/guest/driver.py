# SPDX-License-Identifier: MIT
"""Runs a frontend's description against a real ring: one vbd of this guest, from its probe to its removal."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from usblkback_tui.engine.host.sim._sim import lib
from usblkback_tui.engine.host.sim.guest.disk import Disk
from usblkback_tui.engine.host.sim.guest.frontends.base import Frontend, Place
from usblkback_tui.engine.host.sim.guest.frontends.steps import (
    Begin,
    Erase,
    Failed,
    Flush,
    FreeRings,
    Heard,
    Listen,
    MakeRings,
    Read,
    Ready,
    Resized,
    Say,
    Step,
    Stop,
    Wait,
    What,
    Write,
)
from usblkback_tui.engine.host.sim.guest.hypercalls import Hypercalls, Refused
from usblkback_tui.engine.host.sim.guest.memory import Memory, OutOfMemory
from usblkback_tui.engine.host.sim.guest.notebook import Notebook
from usblkback_tui.engine.host.sim.guest.queues import Queues
from usblkback_tui.engine.host.sim.guest.ring import Ring
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

    def ring_ended(self, driver: Driver, ring: Ring, why: int) -> None: ...


class Driver:
    """The steps of a :class:`Frontend`, done one after another until one has to wait; :meth:`go_on` looks again."""

    def __init__(self, machine: Machine, devid: int, frontend: type[Frontend]) -> None:
        self.vdev = vdev_name(devid)
        self.devid = devid
        self.path = f"device/vbd/{devid}"
        self.token = f"vbd-{devid}"
        self.broken = False
        self.over = False
        """The description has come to its end."""
        self._machine = machine
        self._xen = xen = machine.xen
        self._queues: Queues | None = None
        self._book: Notebook | None = None
        self._usable = False
        self._heard: deque[What] = deque()
        self._backend_id = xen.number(f"{self.path}/backend-id")
        self.told = xen.read(f"{self.path}/backend") or ""
        """What our directory said of the backend's when we were probed."""
        self.backend = frontend.backend_path(self.told, self._backend_id, xen.number("domid"), devid)
        self.front = frontend(Place(devid, self.path, self.backend), machine.options)
        self._watched = f"{self.backend}{frontend.watches}" if self.told else ""
        if self._watched:
            xen.watch(self._watched, self.token)
        self._script = self.front.run()
        self._step: Step | None = None
        self._send(None)

    # Seen from the bus -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> XenbusState:
        return self.front.state

    @property
    def connected(self) -> bool:
        return self._usable and not self.broken

    @property
    def running(self) -> bool:
        return self._queues is not None and self._queues.running

    @property
    def polls(self) -> bool:
        """It waits for the backend by looking again and again."""
        return self.front.spins and isinstance(self._step, Wait)

    @property
    def at_rest(self) -> bool:
        """It has left the disk."""
        return self.over and not self.running

    def hear(self, what: What) -> None:
        """Something happened; what waits already is not said twice."""
        if what not in self._heard:
            self._heard.append(what)

    @property
    def ready(self) -> bool:
        """Its next step can be done now."""
        if self.over:
            return False
        if isinstance(self._step, Wait):
            return self._step.until(self._backend_state())
        return bool(self._heard) or not isinstance(self._step, Listen)

    def go_on(self) -> None:
        """Do all steps that can be done now."""
        while self.ready:
            self.go_one_step()

    def go_one_step(self) -> None:
        """Do the next step, which has to be ready."""
        step = self._step
        if isinstance(step, Wait):
            self._send(self._backend_state())
        elif isinstance(step, Listen):
            self._send(Heard(self._heard.popleft(), self._backend_state(), self.running))
        else:
            try:
                result = self._do(step)
            except (Refused, OutOfMemory) as error:
                self._throw(Failed(str(error)))
            else:
                self._send(result)

    def remove(self) -> None:
        """The device is gone, or another driver takes it over."""
        self.over = True
        self._script.close()
        self._free()
        if self._watched:
            try:
                self._xen.unwatch(self._watched, self.token)
            except Refused:
                pass

    def abandon(self) -> None:
        """The driver is no more, and nothing it had is given back."""
        queues, self._queues = self._queues, None
        if queues:
            queues.abandon()
        self.remove()

    # Load ------------------------------------------------------------------------------------------------------------

    def start(self, *, verify: bool = False) -> bool:
        """Make load, or read back what was written.  False when there is no disk or it is busy."""
        if not self.connected or self.running or self._queues is None:
            return False
        try:
            self._queues.run(self._machine.load_of(self.vdev), verify=verify, ended=self._tell)
        except OutOfMemory as error:
            self._xen.log(f"{self.front.name}: {self.vdev}: no load: {error}")
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
            self._xen.log(f"{self.front.name}: {self.vdev}: the backend broke the protocol, disabled for further use")
        if not self.running:
            self.hear(What.ENDED)

    def _tell(self, ring: Ring, why: int) -> None:
        self._machine.ring_ended(self, ring, why)

    # Steps -----------------------------------------------------------------------------------------------------------

    def _send(self, result: Any) -> None:
        try:
            self._step = self._script.send(result)
        except StopIteration:
            self.over = True

    def _throw(self, error: Failed) -> None:
        try:
            self._step = self._script.throw(error)
        except StopIteration:
            self.over = True

    def _backend_state(self) -> XenbusState:
        try:
            return XenbusState.parse(self._xen.read(f"{self.backend}/state"))
        except Refused:
            return XenbusState.UNKNOWN

    def _do(self, step: Step | None) -> Any:
        """A step that waits for nothing.  Raises Refused or OutOfMemory."""
        match step:
            case Read(path):
                return self._xen.read(path)
            case Write(keys):
                self._write(keys)
            case Erase(paths):
                self._erase(paths)
            case MakeRings(count, pages):
                self._free()
                self._queues = Queues(self._xen, self._machine.memory, self._backend_id, count=count, pages=pages)
                return self._queues.published
            case Ready(disk):
                self._ready(disk)
            case Begin():
                self._usable = self._queues is not None
                if self._machine.wants_load(self.vdev):
                    self.start()
            case Resized(sectors):
                if self._queues is not None:
                    self._queues.resize(sectors)
            case Stop():
                self._usable = False
                self._stop()
            case Flush():
                self._flush()
            case FreeRings():
                return self._free()
            case Say(text):
                self._xen.log(text)
        return None

    def _write(self, keys: dict[str, str]) -> None:
        """The directory may go at any time; it must not come back."""
        try:
            ours = any(key.startswith(f"{self.path}/") for key in keys)
            if not ours or self._xen.read(f"{self.path}/state") is not None:
                self._xen.write(keys)
        except Refused as refused:
            self._xen.log(f"vbd vbd-{self.devid}: writing {', '.join(keys)}: {refused}")
        if XenbusState.parse(keys.get(f"{self.path}/state")) in (XenbusState.CLOSING, XenbusState.CLOSED):
            self._usable = False

    def _erase(self, paths: tuple[str, ...]) -> None:
        for path in paths:
            try:
                self._xen.remove(path)
            except Refused:
                pass

    def _ready(self, disk: Disk) -> None:
        if self._queues is None:
            return
        if self._book:
            self._book.close()
        self._book = Notebook(self._xen.notebook(self.devid), f"{self._xen.read(f'{self.backend}/params')}")
        self._queues.connect(disk, self._book, self.front.manners, self.devid)

    def _stop(self) -> None:
        if self.running:
            self.stop()
        elif What.ENDED not in self._heard:
            self._heard.append(What.ENDED)

    def _flush(self) -> None:
        if self._queues is not None and self._book is not None and not self.broken and not self.running:
            self._queues.flush(self._tell)
        else:
            self._stop()

    def _free(self) -> int:
        """What the backend still has mapped is lost until this domain ends."""
        self._usable = False
        queues, self._queues = self._queues, None
        kept = queues.close() if queues else 0
        if kept:
            self._xen.log(f"xen:grant_table: WARNING: {kept} grants of {self.vdev} still in use! deferring")
        if self._book:
            self._book.close()
            self._book = None
        return kept
