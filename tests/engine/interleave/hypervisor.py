# SPDX-License-Identifier: MIT
"""A hypervisor without memory or threads: a real store, and grants and event channels that are only counted."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from usblkback_tui.engine.host.seam import ChannelOps, Commit, Domain, GrantOps, Hints, HostError, Put, Remove
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.host.sim.hypervisor import birth
from usblkback_tui.engine.host.sim.store import INTRODUCE, RELEASE, Store
from usblkback_tui.protocol.states import XenbusState as S


@dataclass
class Dom:
    """One domain; ``refs`` counts the mappings of each granted page, ``ports`` says which are bound."""

    domid: int
    name: str
    vm: str
    alive: bool = True
    refs: dict[int, int] = field(default_factory=dict)
    ports: dict[int, bool] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(8))


class Hypervisor:
    """What :class:`SimHost` asks of a hypervisor."""

    def __init__(self) -> None:
        self.store = Store()
        self.doms: dict[int, Dom] = {}
        self.dead: list[Dom] = []
        self._domids = itertools.count(1)
        self.toolstack = self.store.connect(0, lambda path, token: None)
        self.toolstack.commit([Put("/local/domain/0/name", "Domain-0"), Put("/local/domain/0/backend", "")])

    def close(self) -> None:
        """Part of the interface."""

    def domains(self) -> tuple[Domain, ...]:
        return (Domain(0, "Domain-0"), *(Domain(dom.domid, dom.name, dom.vm) for dom in self.doms.values()))

    def create(self, name: str, vm: str) -> Dom:
        dom = Dom(next(self._domids), name, vm)
        self.doms[dom.domid] = dom
        self.toolstack.commit(birth(dom.domid, name, vm))
        self.store.fire(INTRODUCE)
        return dom

    def destroy(self, dom: Dom) -> None:
        self.dead.append(self.doms.pop(dom.domid))
        dom.alive = False
        dom.ports.clear()
        self.toolstack.commit([Remove(f"/local/domain/{dom.domid}")])
        self.store.fire(RELEASE)

    @property
    def mapped(self) -> int:
        return sum(sum(dom.refs.values()) for dom in (*self.doms.values(), *self.dead))

    @property
    def bound(self) -> int:
        return sum(sum(dom.ports.values()) for dom in self.doms.values())

    def open_grants(self, domid: int, caller: int) -> Grants:
        if domid not in self.doms:
            raise HostError(f"there is no domain {domid}", errno=errno.ESRCH)
        return Grants(self.doms[domid])

    def bind(self, domid: int, port: int, caller: int) -> Channel:
        dom = self.doms.get(domid)
        if dom is None or dom.ports.get(port) is not False:
            raise HostError(f"event channel {port} of domain {domid} cannot be bound", errno=errno.EINVAL)
        dom.ports[port] = True
        return Channel(dom, port)


class Grants:
    """One handle."""

    def __init__(self, dom: Dom) -> None:
        self.ops = GrantOps(0, 0, 0)
        self._dom = dom
        self._addresses = itertools.count(0x1000, 0x1000)
        self.held: dict[int, tuple[int, ...]] = {}

    def map(self, refs: Sequence[int], *, writable: bool) -> int:
        if not self._dom.alive or any(ref not in self._dom.refs for ref in refs):
            raise HostError(f"cannot map {list(refs)} of domain {self._dom.domid}", errno=errno.EINVAL)
        for ref in refs:
            self._dom.refs[ref] += 1
        address = next(self._addresses)
        self.held[address] = tuple(refs)
        return address

    def unmap(self, address: int, count: int) -> None:
        refs = self.held.pop(address)
        assert len(refs) == count
        for ref in refs:
            self._dom.refs[ref] -= 1

    def close(self) -> None:
        assert not self.held, "a handle is closed that maps pages"


class Channel:
    """Our end of one."""

    def __init__(self, dom: Dom, port: int) -> None:
        self.ops = ChannelOps(0, -1, 1, 0, 0, 0)
        self._dom = dom
        self.port = port

    def close(self) -> None:
        if self._dom.ports.get(self.port):
            self._dom.ports[self.port] = False


class Backend(SimHost):
    """One life of a backend's host.  ``between`` is called before each of its operations on the store."""

    def __init__(self, hypervisor: Hypervisor, wrote: Callable[[str, S], None]) -> None:
        super().__init__(hypervisor)  # type: ignore[arg-type]
        self._wrote = wrote
        self._grants: list[Grants] = []
        self._channels: list[Channel] = []
        self.between: Callable[[], None] = lambda: None
        self.woken = False
        self.open()

    @property
    def tokens(self) -> set[str]:
        return self._tokens

    def take(self, *, everything: bool = False) -> Hints:
        """What :meth:`wait` would have returned."""
        hints = Hints(frozenset(self._tokens), everything)
        self._tokens.clear()
        self.woken = False
        return hints

    def wake(self) -> None:
        self.woken = True

    def read_bytes(self, path: str) -> bytes | None:
        self.between()
        return super().read_bytes(path)

    def commit(self, changes: Commit) -> None:
        self.between()
        super().commit(changes)
        for change in changes:
            if isinstance(change, Put) and change.path.endswith("/state"):
                self._wrote(change.path, S.parse(change.value))

    def grants(self, domid: int) -> Grants:
        self._grants.append(grants := self.hypervisor.open_grants(domid, 0))  # type: ignore[arg-type]
        return grants  # type: ignore[return-value]

    def bind(self, domid: int, port: int) -> Channel:
        self._channels.append(channel := self.hypervisor.bind(domid, port, 0))  # type: ignore[arg-type]
        return channel  # type: ignore[return-value]

    def die(self) -> None:
        """The process is killed: the kernel gives everything back."""
        self.close()
        for grants in self._grants:
            for address, refs in tuple(grants.held.items()):
                grants.unmap(address, len(refs))
        for channel in self._channels:
            channel.close()
