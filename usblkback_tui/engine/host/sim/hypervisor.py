# SPDX-License-Identifier: MIT
"""The hypervisor and the toolstack's part of it: domains come and go, and one thread serves their processes.

A domain's life in the store is what libxl writes: ``/local/domain/<D>`` owned by domain 0 and readable by the domain,
the places a guest may write in owned by it, and ``/vm/<uuid>``, which stays the same over a reboot.  When the domain
ends, all of this goes and ``@releaseDomain`` fires; backend directories stay with who wrote them.
"""

from __future__ import annotations

import itertools
import os
import selectors
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from usblkback_tui.engine.host.seam import Domain, HostError, Put, Remove
from usblkback_tui.engine.host.sim.channels import SimChannel
from usblkback_tui.engine.host.sim.domains import SimDomain
from usblkback_tui.engine.host.sim.grants import SimGrants
from usblkback_tui.engine.host.sim.store import INTRODUCE, RELEASE, Store

T = TypeVar("T")

READABLE = ("cpu", "memory", "device", "control")
"""Directories of a domain that it may only read."""
WRITABLE = ("control/shutdown", "data", "drivers", "feature", "attr", "error")
"""Directories of a domain that are its own."""


def birth(domid: int, name: str, vm: str) -> list[Put]:
    """What a toolstack writes of a new domain."""
    home = f"/local/domain/{domid}"
    return [
        Put(vm, "", owner=0, readers=(domid,)),
        Put(f"{vm}/name", name),
        Put(f"{vm}/uuid", vm.removeprefix("/vm/")),
        Put(home, "", owner=0, readers=(domid,)),
        Put(f"{home}/vm", vm),
        Put(f"{home}/name", name),
        Put(f"{home}/domid", str(domid)),
        *(Put(f"{home}/{place}", "") for place in READABLE),
        *(Put(f"{home}/{place}", "", owner=domid) for place in WRITABLE),
    ]


class Hypervisor:
    """Everything a machine with Xen has that is not a process of a guest.  Any thread may call it."""

    def __init__(self) -> None:
        self.store = Store()
        self._lock = threading.RLock()
        self._domains: dict[int, SimDomain] = {}
        self._dead: list[SimDomain] = []
        self._domids = itertools.count(1)
        self._ports: set[tuple[int, int]] = set()
        self._closers: list[Callable[[], None]] = []
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._jobs_lock = threading.Lock()
        self._jobs: list[Callable[[], None]] = []
        self._stopping = False
        self._toolstack = self.store.connect(0, lambda path, token: None)
        self._toolstack.commit(
            [
                Put("/local/domain/0/name", "Domain-0"),
                Put("/local/domain/0/domid", "0"),
                Put("/local/domain/0/backend", ""),
                Put("/tool/xenstored", ""),
            ]
        )
        self._thread = threading.Thread(target=self._serve, name="hypervisor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every domain and the thread; idempotent.  Handles that are still open stay usable."""
        while self._closers:
            self._closers.pop()()
        with self._lock:
            for domid in tuple(self._domains):
                self.destroy(domid)
            for domain in self._dead:
                domain.free()
            self._dead.clear()
        with self._jobs_lock:
            stopped, self._stopping = self._stopping, True
            if not stopped:
                os.eventfd_write(self._wake, 1)
        if not stopped:
            self._thread.join(5)
            self._selector.close()
            os.close(self._wake)

    def at_close(self, closer: Callable[[], None]) -> None:
        """Call this first when the hypervisor ends."""
        self._closers.append(closer)

    # Domains ---------------------------------------------------------------------------------------------------------

    def domains(self) -> tuple[Domain, ...]:
        """Domain 0 and the guests, by domid."""
        with self._lock:
            guests = [Domain(domain.domid, domain.name, domain.vm) for _, domain in sorted(self._domains.items())]
        return (Domain(0, "Domain-0", "/vm/00000000-0000-0000-0000-000000000000"), *guests)

    def domain(self, domid: int) -> SimDomain:
        """Raises HostError when there is no such guest."""
        with self._lock:
            if domid not in self._domains:
                raise HostError(f"there is no domain {domid}", errno=3)
            return self._domains[domid]

    def create(self, name: str, *, vm: str = "", memory_mib: int = 64) -> SimDomain:
        """A new domain with the next domid.  ``vm`` is that of an earlier life when it reboots."""
        vm = vm or f"/vm/{uuid.uuid4()}"
        with self._lock:
            if any(domain.name == name for domain in self._domains.values()):
                raise HostError(f"a domain named {name!r} exists already", fix="choose another name", errno=17)
            domain = SimDomain(next(self._domids), name, vm, memory_mib)
            self._domains[domain.domid] = domain
        self._toolstack.commit(birth(domain.domid, name, vm))
        self.store.fire(INTRODUCE)
        return domain

    def destroy(self, domid: int, *, reboot: bool = False) -> None:
        """The domain ends now: its directory vanishes, ``@releaseDomain`` fires.  An unknown domid is fine."""
        with self._lock:
            domain = self._domains.pop(domid, None)
            if domain is None:
                return
            domain.kill()
            self._dead.append(domain)
        gone = [Remove(f"/local/domain/{domid}"), *(() if reboot else (Remove(domain.vm),))]
        self._toolstack.commit(gone)
        self.store.fire(RELEASE)

    @property
    def mapped(self) -> int:
        """Pages of all domains, dead ones included, that are mapped now."""
        with self._lock:
            return sum(domain.mapped for domain in (*self._domains.values(), *self._dead))

    # What a backend asks ---------------------------------------------------------------------------------------------

    def open_grants(self, domid: int, caller: int) -> SimGrants:
        """Raises HostError."""
        with self._lock:
            return SimGrants(self.domain(domid).open_grants(caller), domid)

    def bind(self, domid: int, port: int, caller: int) -> SimChannel:
        """EVTCHNOP_bind_interdomain.  Raises HostError."""
        with self._lock:
            far = self.domain(domid).bind(port, caller)
            number = next(n for n in itertools.count(1) if (caller, n) not in self._ports)
            self._ports.add((caller, number))

            def unbind() -> None:
                with self._lock:
                    self._ports.discard((caller, number))
                    far.bound = False

            return SimChannel(far, number, unbind)

    # The thread ------------------------------------------------------------------------------------------------------

    def serve(self, fd: Any, events: int, ready: Callable[[int], None]) -> None:
        """In our thread: call ``ready`` when ``fd`` has one of ``events``.  Again with other events is fine."""
        try:
            self._selector.modify(fd, events, ready)
        except KeyError:
            self._selector.register(fd, events, ready)

    def unserve(self, fd: Any) -> None:
        """In our thread: no more; an unknown one is fine."""
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError):
            pass

    def post(self, job: Callable[[], None]) -> None:
        """Do ``job`` in our thread, soon."""
        with self._jobs_lock:
            if not self._stopping:
                self._jobs.append(job)
                os.eventfd_write(self._wake, 1)

    def call(self, job: Callable[[], T]) -> T:
        """Do ``job`` in our thread and wait for it; raises what it raises."""
        if self._stopping or threading.current_thread() is self._thread:
            return job()
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)

        self.post(run)
        return future.result(10)

    def _serve(self) -> None:
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        while not self._stopping:
            for key, events in self._selector.select():
                if key.data is not None:
                    key.data(events)
                    continue
                os.eventfd_read(self._wake)
                with self._jobs_lock:
                    jobs, self._jobs = self._jobs, []
                for job in jobs:
                    job()
