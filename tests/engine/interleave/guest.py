# SPDX-License-Identifier: MIT
"""A guest's kernel without a process: the real bus, drivers and descriptions over rings that make no requests."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.engine.interleave.hypervisor import Dom, Hypervisor
from usblkback_tui.engine.host.seam import HostError, Put, Remove
from usblkback_tui.engine.host.sim._sim import lib
from usblkback_tui.engine.host.sim.guest.driver import Driver
from usblkback_tui.engine.host.sim.guest.frontends.steps import Erase, Listen, Published, Read, Step, Wait, What, Write
from usblkback_tui.engine.host.sim.guest.hypercalls import Refused
from usblkback_tui.engine.host.sim.guest.xenbus import TOKEN, Xenbus
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.protocol.states import XenbusState as S


class Xen:
    """``Hypercalls`` on the store, without a wire; what the watches say waits in ``news``."""

    def __init__(self, hypervisor: Hypervisor, dom: Dom, wrote: Callable[[str, S], None]) -> None:
        self.dom = dom
        self.news: deque[str] = deque()
        self.lines: list[str] = []
        self.tokens: set[str] = set()
        self._wrote = wrote
        self._store = hypervisor.store.connect(dom.domid, self._fired)

    def _fired(self, path: str, token: str) -> None:
        if token not in self.news:
            self.news.append(token)

    def _done(self, work: Callable[[], Any], missing: Any) -> Any:
        try:
            return work()
        except HostError as error:
            if error.errno == errno.ENOENT:
                return missing
            raise Refused(error.errno, error.problem) from None

    def read(self, path: str) -> str | None:
        text: str | None = self._done(lambda: self._store.read(path).decode(), None)
        return text

    def number(self, path: str, default: int = 0) -> int:
        text = self.read(path)
        return int(text) if text is not None and text.isdecimal() else default

    def list(self, path: str) -> tuple[str, ...]:
        names: tuple[str, ...] = self._done(lambda: self._store.list(path), ())
        return names

    def write(self, keys: dict[str, str]) -> None:
        self._done(lambda: self._store.commit([Put(path, value) for path, value in keys.items()]), None)
        for path, value in keys.items():
            if path.endswith("/state"):
                self._wrote(self._store.path(path), S.parse(value))

    def remove(self, path: str) -> None:
        self._done(lambda: self._store.commit([Remove(path)]), None)

    def watch(self, path: str, token: str) -> None:
        self.tokens.add(token)
        self._done(lambda: self._store.watch(path, token), None)

    def unwatch(self, path: str, token: str) -> None:
        self.tokens.discard(token)
        self._done(lambda: self._store.unwatch(path, token), None)

    def notebook(self, devid: int) -> int:
        return -1

    def log(self, line: str) -> None:
        self.lines.append(line)

    def close(self) -> None:
        self._store.close()


class Ring:
    """One queue: granted pages and a port."""

    def __init__(self, dom: Dom, pages: int) -> None:
        self.refs = tuple(next(dom.numbers) for _ in range(pages))
        self.port = next(dom.numbers)
        dom.refs |= dict.fromkeys(self.refs, 0)
        dom.ports[self.port] = False

    def join(self) -> None:
        """Part of the interface."""


class Queues:
    """In the place of the guest's ``Queues``; its load is either on or off."""

    def __init__(self, xen: Xen, memory: None, backend: int, *, count: int, pages: int) -> None:
        self._dom = xen.dom
        self.rings = [Ring(xen.dom, pages) for _ in range(count)]
        self.running = False
        self._ended: Callable[[Ring, int], None] | None = None

    @property
    def published(self) -> tuple[Published, ...]:
        return tuple(Published(ring.refs, ring.port) for ring in self.rings)

    @property
    def served(self) -> bool:
        """A backend has every page mapped and every port bound."""
        refs = [ref for ring in self.rings for ref in ring.refs]
        return all(self._dom.refs[ref] for ref in refs) and all(self._dom.ports.get(ring.port) for ring in self.rings)

    def connect(self, *what: object) -> None:
        """Part of the interface."""

    def resize(self, sectors: int) -> None:
        """Part of the interface."""

    def run(self, load: Load, *, verify: bool, ended: Callable[[Ring, int], None]) -> None:
        self.running, self._ended = True, ended

    def flush(self, ended: Callable[[Ring, int], None]) -> None:
        self.running, self._ended = True, ended
        self.drain()

    def drain(self) -> None:
        if self._ended is not None:
            self._ended(self.rings[0], lib.FRONT_DONE)
            self._ended = None

    def leave(self) -> None:
        """Part of the interface."""

    def __contains__(self, ring: Ring) -> bool:
        return ring in self.rings

    def abandon(self) -> None:
        self.running = False

    def close(self) -> int:
        """As the real one: what is still mapped cannot be revoked."""
        kept = 0
        for ring in self.rings:
            self._dom.ports.pop(ring.port, None)
            for ref in ring.refs:
                if self._dom.refs.get(ref):
                    kept += 1
                else:
                    self._dom.refs.pop(ref, None)
        self.rings = []
        return kept


class Notebook:
    """In the place of the guest's."""

    def __init__(self, fd: int, identity: str) -> None:
        pass

    def close(self) -> None:
        """Part of the interface."""


def _kind(step: Step | None) -> str:
    """Steps of one kind that follow each other are done together; those that nobody else notices have none."""
    match step:
        case Read():
            return "read"
        case Write(keys):
            return "state" if any(key.endswith("/state") for key in keys) else "keys"
        case Erase():
            return "erase"
        case Wait() | Listen():
            return "state"
        case _:
            return ""


class Guest:
    """One life of a domain with one kind of frontend."""

    memory = None

    def __init__(
        self, hypervisor: Hypervisor, dom: Dom, options: GuestOptions, wrote: Callable[[str, S], None]
    ) -> None:
        self.dom = dom
        self.options = options
        self.xen = Xen(hypervisor, dom, wrote)
        self.bus = Xenbus(self)  # type: ignore[arg-type]
        self.ended: deque[tuple[Driver, Ring]] = deque()
        self.failures: list[str] = []
        self.bus.start()

    def load_of(self, vdev: str) -> Load:
        return Load()

    def wants_load(self, vdev: str) -> bool:
        return True

    def ring_ended(self, driver: Driver, ring: Ring, why: int) -> None:
        self.ended.append((driver, ring))

    @property
    def driver(self) -> Driver | None:
        """That of its only disk."""
        return next(iter(self.bus.drivers.values()), None)

    @property
    def queues(self) -> Queues | None:
        driver = self.driver
        return driver._queues if driver is not None else None  # type: ignore[return-value]

    # What can happen in it -------------------------------------------------------------------------------------------

    def actions(self) -> list[tuple[str, Callable[[], None]]]:
        """What the guest itself can do now."""
        found: list[tuple[str, Callable[[], None]]] = []
        self._hear_the_rest()
        if self.xen.news:
            found.append(("guest looks at its bus", self._hear))
        if self.ended:
            found.append(("guest's load ends", self._end))
        driver = self.driver
        if driver is not None and driver.ready:
            found.append((f"guest does {type(driver._step).__name__}", lambda: self._step(driver)))
        return found

    def _hear_the_rest(self) -> None:
        """What tells a driver to look, at whatever is there when it does; and what tells the bus nothing."""
        for token in tuple(self.xen.news):
            if token != TOKEN or not self._bus_has_news():
                self.xen.news.remove(token)
                self.bus.fired(token)

    def _bus_has_news(self) -> bool:
        present = {int(name) for name in self.xen.list("device/vbd")}
        if present != set(self.bus.drivers):
            return True
        new = [d for d in self.bus.drivers.values() if self.xen.read(f"{d.path}/state") == "1"]
        return any(d.state is not S.INITIALISING or d.told != self.xen.read(f"{d.path}/backend") for d in new)

    def _hear(self) -> None:
        self.bus.fired(self.xen.news.popleft())

    def _end(self) -> None:
        driver, ring = self.ended.popleft()
        if driver._queues is not None:
            driver._queues.running = False  # type: ignore[misc]
        driver.ended(ring, lib.FRONT_DONE)  # type: ignore[arg-type]

    def _step(self, driver: Driver) -> None:
        """One step that others can see or that sees what others do, and those after it that concern nobody."""
        what = _kind(driver._step)
        driver.go_one_step()
        while driver.ready and (kind := _kind(driver._step)) in (what, "") and kind != "state":
            driver.go_one_step()
        if driver.front.failure and driver.front.failure not in self.failures:
            self.failures.append(driver.front.failure)

    def leave(self) -> None:
        """The guest is to close its disk."""
        for driver in self.bus.drivers.values():
            driver.hear(What.LEAVE)

    def restart(self) -> None:
        """Another driver boots, and nothing was closed."""
        for driver in tuple(self.bus.drivers.values()):
            self.bus.restart(driver)

    def echo(self) -> None:
        """Every watch fires for nothing."""
        for token in sorted(self.xen.tokens):
            self.xen._fired("", token)

    def die(self) -> None:
        self.xen.close()
        self.xen.news.clear()
        self.ended.clear()
        self.bus.drivers.clear()
