# SPDX-License-Identifier: MIT
"""A domain as the hypervisor sees it: memory with a grant table at its start, and event channel ports."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from typing import Any

from usblkback_tui.engine.host.seam import PAGE_SIZE, HostError
from usblkback_tui.engine.host.sim._sim import ffi, lib

GRANT_PAGES = 64
"""Pages of grant table, Xen's default: 32768 references."""
FIRST_PORT = 3
"""1 and 2 are the store's and the console's."""
MAX_PORTS = 128
"""Event channels of a guest; each costs us two descriptors."""
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@dataclass(slots=True)
class Port:
    """One end of an event channel.  ``bound`` is unbound-for-``remote`` when False."""

    remote: int
    to_guest: int
    to_backend: int
    bound: bool = False

    def close(self) -> None:
        os.close(self.to_guest)
        os.close(self.to_backend)


class SimDomain:
    """Owned by the hypervisor, which serialises every call."""

    def __init__(self, domid: int, name: str, vm: str, memory_mib: int) -> None:
        self.domid = domid
        self.name = name
        self.vm = vm
        self.alive = True
        self.pages = (memory_mib << 20) // PAGE_SIZE
        self.memory = os.memfd_create(f"domain-{domid}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, self.pages * PAGE_SIZE)
        fcntl.fcntl(self.memory, fcntl.F_ADD_SEALS, _SEALS)
        self._ports: dict[int, Port] = {}
        self._c: Any = lib.sim_domain_new(domid, self.memory, self.pages, GRANT_PAGES)
        if self._c == ffi.NULL:
            raise HostError(f"no memory for domain {domid}", errno=errno.ENOMEM)

    # Grants ----------------------------------------------------------------------------------------------------------

    def open_grants(self, our_domid: int) -> Any:
        """A C handle for mapping this domain's pages.  Raises HostError."""
        grants = lib.sim_grants_open(self._c, our_domid)
        if grants == ffi.NULL:
            raise HostError(f"no memory for a grant handle on domain {self.domid}", errno=errno.ENOMEM)
        return grants

    @property
    def mapped(self) -> int:
        """Pages a backend has mapped now."""
        return int(lib.sim_domain_mapped(self._c)) if self._c else 0

    @property
    def maps(self) -> int:
        """Pages ever mapped."""
        return int(lib.sim_domain_maps(self._c)) if self._c else 0

    @property
    def copies(self) -> int:
        """Segments ever copied."""
        return int(lib.sim_domain_copies(self._c)) if self._c else 0

    # Event channels --------------------------------------------------------------------------------------------------

    def alloc_unbound(self, remote: int) -> tuple[int, Port]:
        """EVTCHNOP_alloc_unbound: a port that ``remote`` may bind.  Raises HostError."""
        if len(self._ports) >= MAX_PORTS:
            raise HostError(f"domain {self.domid} has {MAX_PORTS} event channels already", errno=errno.ENOSPC)
        number = FIRST_PORT
        while number in self._ports:
            number += 1
        flags = os.EFD_NONBLOCK | os.EFD_CLOEXEC
        port = self._ports[number] = Port(remote, os.eventfd(0, flags), os.eventfd(0, flags))
        return number, port

    def bind(self, number: int, caller: int) -> Port:
        """The far end of EVTCHNOP_bind_interdomain.  Raises HostError as Xen refuses it."""
        port = self._ports.get(number)
        if not self.alive:
            raise HostError(f"domain {self.domid} is gone, its port {number} cannot be bound", errno=errno.ESRCH)
        if port is None or port.remote != caller or port.bound:
            why = (
                "does not exist"
                if port is None
                else "is bound already"
                if port.bound
                else f"is not for domain {caller}"
            )
            raise HostError(f"event channel {number} of domain {self.domid} {why}", errno=errno.EINVAL)
        port.bound = True
        return port

    def close_port(self, number: int) -> None:
        """EVTCHNOP_close by the domain itself.  Raises HostError for an unknown port."""
        port = self._ports.pop(number, None)
        if port is None:
            raise HostError(f"domain {self.domid} has no event channel {number}", errno=errno.EINVAL)
        port.close()

    # End -------------------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """No new maps or binds; ports are closed; mapped pages stay.  Idempotent."""
        if self.alive:
            self.alive = False
            lib.sim_domain_kill(self._c)
            for number in tuple(self._ports):
                self.close_port(number)
            os.close(self.memory)

    def free(self) -> None:
        """Let go of the memory, which lives until the last handle on it is closed.  Idempotent."""
        self.kill()
        if self._c:
            lib.sim_domain_put(self._c)
            self._c = None
